/* proxy/wheel.c: timers fire once, never early, at most a tick late, whatever is done to them meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/wheel.h"

struct probe {
    struct timer timer;
    struct wheel *wheel;
    uint64_t fired_at; /* 0: not yet */
    unsigned fired;
    struct probe *sets; /* set again from the callback */
    uint64_t sets_in;
    struct probe *cancels;
};

static void fire(struct timer *timer)
{
    struct probe *probe = (struct probe *)timer;
    assert_false(timer_is_set(timer));
    probe->fired++;
    probe->fired_at = probe->wheel->now_ms;
    if (probe->sets != NULL)
        wheel_set(probe->wheel, &probe->sets->timer, probe->wheel->now_ms + probe->sets_in);
    if (probe->cancels != NULL)
        wheel_cancel(probe->wheel, &probe->cancels->timer);
}

static struct wheel *new_wheel(uint64_t now_ms)
{
    struct wheel *wheel = malloc(sizeof(*wheel));
    assert_non_null(wheel);
    wheel_init(wheel, now_ms);
    return wheel;
}

static struct probe new_probe(struct wheel *wheel)
{
    struct probe probe;
    memset(&probe, 0, sizeof(probe));
    probe.timer.fire = fire;
    probe.wheel = wheel;
    return probe;
}

static void never_early_and_at_most_a_tick_late(void **state)
{
    (void)state;
    static const uint64_t delays[] = {0, 1, 15, 16, 17, 100, 1000, 8191, 8192, 8193, 60000, 3600000};
    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        struct wheel *wheel = new_wheel(1000003);
        struct probe probe = new_probe(wheel);
        uint64_t due = wheel->now_ms + delays[i];
        wheel_set(wheel, &probe.timer, due);
        for (uint64_t now = wheel->now_ms; probe.fired == 0; now += 7) {
            assert_true(now <= due + 3 * WHEEL_TICK_MS);
            wheel_advance(wheel, now);
        }
        assert_int_equal(probe.fired, 1);
        assert_true(probe.fired_at >= due);
        assert_int_equal(wheel->count, 0);
        free(wheel);
    }
}

static void moved_later_it_fires_only_then(void **state)
{
    (void)state;
    struct wheel *wheel = new_wheel(0);
    struct probe probe = new_probe(wheel);
    wheel_set(wheel, &probe.timer, 100);
    wheel_set(wheel, &probe.timer, 5000);
    wheel_advance(wheel, 4999);
    assert_int_equal(probe.fired, 0);
    wheel_advance(wheel, 5000 + WHEEL_TICK_MS);
    assert_int_equal(probe.fired, 1);
    free(wheel);
}

static void moved_earlier_it_fires_then(void **state)
{
    (void)state;
    struct wheel *wheel = new_wheel(0);
    struct probe probe = new_probe(wheel);
    wheel_set(wheel, &probe.timer, 60000);
    wheel_set(wheel, &probe.timer, 50);
    wheel_advance(wheel, 50 + WHEEL_TICK_MS);
    assert_int_equal(probe.fired, 1);
    free(wheel);
}

static void a_cancelled_timer_never_fires(void **state)
{
    (void)state;
    struct wheel *wheel = new_wheel(0);
    struct probe probe = new_probe(wheel);
    wheel_set(wheel, &probe.timer, 50);
    wheel_cancel(wheel, &probe.timer);
    wheel_cancel(wheel, &probe.timer); /* twice is fine */
    wheel_advance(wheel, 100000);
    assert_int_equal(probe.fired, 0);
    assert_int_equal(wheel->count, 0);
    free(wheel);
}

static void a_callback_may_cancel_a_timer_of_the_same_slot(void **state)
{
    (void)state;
    struct wheel *wheel = new_wheel(0);
    struct probe first = new_probe(wheel), second = new_probe(wheel);
    first.cancels = &second;
    second.cancels = &first;
    wheel_set(wheel, &first.timer, 50);
    wheel_set(wheel, &second.timer, 50);
    wheel_advance(wheel, 1000);
    assert_int_equal(first.fired + second.fired, 1);
    free(wheel);
}

static void a_callback_may_set_itself_again(void **state)
{
    (void)state;
    struct wheel *wheel = new_wheel(0);
    struct probe probe = new_probe(wheel);
    probe.sets = &probe;
    probe.sets_in = WHEEL_TICK_MS * WHEEL_SLOTS; /* the very same slot, one round later */
    wheel_set(wheel, &probe.timer, 50);
    for (uint64_t now = 0; now < 10 * WHEEL_TICK_MS * WHEEL_SLOTS; now += WHEEL_TICK_MS)
        wheel_advance(wheel, now);
    assert_in_range(probe.fired, 9, 10);
    free(wheel);
}

static void a_long_stop_fires_everything_that_is_due(void **state)
{
    (void)state;
    enum {
        PROBES = 500
    };
    struct wheel *wheel = new_wheel(77);
    struct probe *probes = calloc(PROBES, sizeof(*probes));
    assert_non_null(probes);
    for (size_t i = 0; i < PROBES; i++) {
        probes[i] = new_probe(wheel);
        wheel_set(wheel, &probes[i].timer, 77 + i * 100);
    }
    wheel_advance(wheel, 77 + 24999); /* a suspended machine wakes up */
    for (size_t i = 0; i < PROBES; i++)
        assert_int_equal(probes[i].fired, i * 100 <= 24999 ? 1 : 0);
    free(probes);
    free(wheel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_early_and_at_most_a_tick_late),
        cmocka_unit_test(moved_later_it_fires_only_then),
        cmocka_unit_test(moved_earlier_it_fires_then),
        cmocka_unit_test(a_cancelled_timer_never_fires),
        cmocka_unit_test(a_callback_may_cancel_a_timer_of_the_same_slot),
        cmocka_unit_test(a_callback_may_set_itself_again),
        cmocka_unit_test(a_long_stop_fires_everything_that_is_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
