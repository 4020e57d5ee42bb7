/* The mirror's breaker and the limit on copies per second, with a clock in hand. */
#include "proxy/mirror_breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct config_shadow_breaker config = {.enabled = true, .consecutive_failures = 3, .cooldown_ms = 1000};

/* In the middle of the jitter: the cool-down as the file has it. */
static uint64_t middle(uint64_t cooldown_ms)
{
    return cooldown_ms / 5;
}

static void fail_times(struct copy_state *state, int times, uint64_t now_ms)
{
    for (int i = 0; i < times; i++)
        mirror_breaker_report(state, &config, false, COPY_FAILED, now_ms, middle(config.cooldown_ms));
}

static void it_opens_after_failures_in_a_row_only(void **unused)
{
    (void)unused;
    struct copy_state state = {0};
    fail_times(&state, 2, 0);
    mirror_breaker_report(&state, &config, false, COPY_ANSWERED, 0, 0);
    fail_times(&state, 2, 0);
    mirror_breaker_report(&state, &config, false, COPY_UNKNOWN, 0, 0); /* says nothing either way */
    assert_true(mirror_breaker_allows(&state, &config, 0));
    assert_int_equal(state.open, 0);
    assert_false(mirror_breaker_enter(&state, &config));
    fail_times(&state, 1, 0);
    assert_int_equal(state.open, 1);
    assert_false(mirror_breaker_allows(&state, &config, 0));
    assert_false(mirror_breaker_allows(&state, &config, 999));
    assert_true(mirror_breaker_allows(&state, &config, 1000));
}

static void one_copy_at_a_time_tries(void **unused)
{
    (void)unused;
    struct copy_state state = {0};
    fail_times(&state, 3, 0);
    assert_true(mirror_breaker_enter(&state, &config));
    assert_false(mirror_breaker_allows(&state, &config, 5000));
    /* What was under way when it opened says nothing any more. */
    mirror_breaker_report(&state, &config, false, COPY_ANSWERED, 5000, 0);
    assert_false(mirror_breaker_allows(&state, &config, 5000));
    /* The probe was given up for a reason of ours: another may try. */
    mirror_breaker_report(&state, &config, true, COPY_UNKNOWN, 5000, 0);
    assert_true(mirror_breaker_allows(&state, &config, 5000));
    assert_int_equal(state.open, 1);
    assert_true(mirror_breaker_enter(&state, &config));
    mirror_breaker_report(&state, &config, true, COPY_ANSWERED, 5000, 0);
    assert_int_equal(state.open, 0);
    assert_true(mirror_breaker_allows(&state, &config, 5000));
    assert_false(mirror_breaker_enter(&state, &config));
    fail_times(&state, 2, 6000);
    assert_true(mirror_breaker_allows(&state, &config, 6000)); /* it counts from the beginning */
}

static void the_cooldown_doubles_up_to_32_times(void **unused)
{
    static const uint64_t factors[] = {1, 2, 4, 8, 16, 32, 32, 32};
    (void)unused;
    struct copy_state state = {0};
    uint64_t now_ms = 0;
    fail_times(&state, 3, now_ms);
    for (size_t i = 0; i < sizeof(factors) / sizeof(factors[0]); i++) {
        uint64_t cooldown_ms = config.cooldown_ms * factors[i];
        assert_false(mirror_breaker_allows(&state, &config, now_ms + cooldown_ms - 1));
        now_ms += cooldown_ms;
        assert_true(mirror_breaker_allows(&state, &config, now_ms));
        assert_true(mirror_breaker_enter(&state, &config));
        uint64_t next = i + 1 < sizeof(factors) / sizeof(factors[0]) ? factors[i + 1] : 32;
        mirror_breaker_report(&state, &config, true, COPY_FAILED, now_ms, middle(config.cooldown_ms * next));
    }
}

static void the_jitter_is_a_fifth_up_or_down(void **unused)
{
    (void)unused;
    uint64_t least = UINT64_MAX, most = 0;
    for (uint64_t random = 0; random < 2000; random++) {
        struct copy_state state = {.failures = 2};
        mirror_breaker_report(&state, &config, false, COPY_FAILED, 0, random);
        least = state.probe_at_ms < least ? state.probe_at_ms : least;
        most = state.probe_at_ms > most ? state.probe_at_ms : most;
    }
    assert_int_equal(least, 800);
    assert_int_equal(most, 1200);
}

static void switched_off_it_never_refuses(void **unused)
{
    (void)unused;
    const struct config_shadow_breaker off = {.enabled = false, .consecutive_failures = 3, .cooldown_ms = 1000};
    struct copy_state state = {0};
    for (int i = 0; i < 10; i++)
        mirror_breaker_report(&state, &off, false, COPY_FAILED, 0, 0);
    assert_int_equal(state.open, 0);
    /* A reload switches it off while it is open: the next copy closes it. */
    fail_times(&state, 3, 0);
    assert_int_equal(state.open, 1);
    assert_true(mirror_breaker_allows(&state, &off, 0));
    assert_false(mirror_breaker_enter(&state, &off));
    assert_int_equal(state.open, 0);
}

static uint32_t allowed(uint64_t *due_ns, uint32_t per_second, uint64_t from_us, uint64_t to_us, uint64_t step_us)
{
    uint32_t count = 0;
    for (uint64_t now_us = from_us; now_us < to_us; now_us += step_us)
        count += mirror_rate_allows(due_ns, per_second, now_us);
    return count;
}

static void the_rate_is_kept_and_a_second_of_it_may_go_at_once(void **unused)
{
    (void)unused;
    uint64_t due_ns = 0, start_us = 77000000;
    uint32_t burst = 0;
    while (mirror_rate_allows(&due_ns, 100, start_us))
        burst++;
    assert_int_equal(burst, 100);
    /* From then on 100 in each second, however many ask. */
    assert_in_range(allowed(&due_ns, 100, start_us, start_us + 10000000, 500), 999, 1001);
    /* A quiet time saves up one second's worth and no more. */
    assert_in_range(allowed(&due_ns, 100, start_us + 60000000, start_us + 60001000, 1), 100, 101);
    assert_int_equal(allowed(&due_ns, 0, 0, 1000, 1), 1000); /* no limit */
    due_ns = 0;
    assert_in_range(allowed(&due_ns, 1, start_us, start_us + 10000000, 1000), 10, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_opens_after_failures_in_a_row_only),
        cmocka_unit_test(one_copy_at_a_time_tries),
        cmocka_unit_test(the_cooldown_doubles_up_to_32_times),
        cmocka_unit_test(the_jitter_is_a_fifth_up_or_down),
        cmocka_unit_test(switched_off_it_never_refuses),
        cmocka_unit_test(the_rate_is_kept_and_a_second_of_it_may_go_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
