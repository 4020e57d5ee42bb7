/* Names that metrics and logs are made of: each there, each different. */
#include "fixture.h"

#include "router/counters.h"

static void check_names(const char *(*name)(int), int count)
{
    for (int i = 0; i < count; i++) {
        assert_true(strlen(name(i)) > 1);
        assert_string_not_equal(name(i), "unknown");
        for (int j = 0; j < i; j++)
            assert_string_not_equal(name(i), name(j));
    }
    assert_string_equal(name(count), "unknown");
    assert_string_equal(name(-1), "unknown");
}

static const char *outcome(int i)
{
    return outcome_kind_name((enum outcome_kind)i);
}

static const char *mirror(int i)
{
    return mirror_reason_name((enum mirror_reason)i);
}

static const char *reason(int i)
{
    return decision_reason_name((enum decision_reason)i);
}

static const char *phase(int i)
{
    return plan_phase_name((enum plan_phase)i);
}

static const char *breaker(int i)
{
    return breaker_state_name((enum breaker_state)i);
}

static const char *source(int i)
{
    return passthrough_source_name((enum passthrough_source)i);
}

static void every_value_has_a_name_of_its_own(void **state)
{
    (void)state;
    check_names(outcome, OUTCOME_KINDS);
    check_names(mirror, MIRROR_REASONS);
    check_names(reason, DECISION_REASONS);
    check_names(phase, PLAN_PHASES);
    check_names(breaker, BREAKER_HALF_OPEN + 1);
    check_names(source, PASSTHROUGH_SOURCES);
}

static void a_sum_has_every_counter_of_both(void **state)
{
    (void)state;
    static struct route_counters a;
    static struct route_counters sum;
    uint64_t *words = (uint64_t *)&a;
    size_t used = offsetof(struct route_counters, mirror_in_flight) / sizeof(uint64_t) + 1;
    for (size_t i = 0; i < used; i++)
        words[i] = i + 1;
    route_counters_add(&sum, &a);
    route_counters_add(&sum, &a);
    for (size_t i = 0; i < used; i++)
        assert_int_equal(((uint64_t *)&sum)[i], 2 * (i + 1));
}

/* Copies that were sent go on; copies that measure noise are a second copy of a request that is counted already. */
static void steps_on_the_way_and_noise_are_not_final(void **state)
{
    (void)state;
    uint32_t final = 0;
    for (int i = 0; i < MIRROR_REASONS; i++)
        final += mirror_reason_is_final((enum mirror_reason)i);
    assert_int_equal(final, MIRROR_REASONS - 5);
    assert_false(mirror_reason_is_final(MIRROR_SENT));
    assert_false(mirror_reason_is_final(MIRROR_OFF));
    assert_false(mirror_reason_is_final(MIRROR_NOISE_SENT));
    assert_false(mirror_reason_is_final(MIRROR_NOISE_COMPARED));
    assert_false(mirror_reason_is_final(MIRROR_NOISE_DROPPED));
    assert_false(mirror_reason_is_final(MIRROR_REASONS));
}

static void workers_whose_mirror_breaker_is_open_are_added_up(void **state)
{
    (void)state;
    static struct route_counters a;
    static struct route_counters sum;
    a.copies[SIDE_NEW].open = 1;
    route_counters_add(&sum, &a);
    route_counters_add_counts(&sum, &a);
    assert_int_equal(sum.copies[SIDE_NEW].open, 2);
    assert_int_equal(sum.copies[SIDE_LEGACY].open, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_has_a_name_of_its_own),
        cmocka_unit_test(a_sum_has_every_counter_of_both),
        cmocka_unit_test(steps_on_the_way_and_noise_are_not_final),
        cmocka_unit_test(workers_whose_mirror_breaker_is_open_are_added_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
