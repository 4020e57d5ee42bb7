/*
 * Whether loops turn, judged from their rounds and a clock handed in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/liveness.h"

enum {
    STEP_MS = 25
};

/* Looks every 25 ms for `ms`; with each look the loop has turned so many rounds more. Returns the clock. */
static uint64_t watch(struct liveness *loop, uint64_t now_ms, uint64_t ms, uint64_t rounds)
{
    uint64_t seen = loop->rounds;
    for (uint64_t end_ms = now_ms + ms; now_ms < end_ms;) {
        now_ms += STEP_MS;
        seen += rounds;
        liveness_look(loop, seen, now_ms);
    }
    return now_ms;
}

static void a_loop_that_turns_is_live(void **state)
{
    struct liveness loop = {0};
    (void)state;
    (void)watch(&loop, 777000, 60000, 1);
    assert_false(liveness_hangs(&loop));
}

static void a_quiet_loop_turns_four_times_a_second(void **state)
{
    struct liveness loop = {0};
    uint64_t now_ms = 777000;
    (void)state;
    for (int i = 0; i < 400; i++) {
        now_ms = watch(&loop, now_ms, 225, 0);
        now_ms = watch(&loop, now_ms, STEP_MS, 1);
        assert_false(liveness_hangs(&loop));
    }
}

static void one_that_stands_still_hangs_after_ten_seconds(void **state)
{
    struct liveness loop = {0};
    (void)state;
    uint64_t now_ms = watch(&loop, 777000, 1000, 3);
    now_ms = watch(&loop, now_ms, LIVENESS_HANGS_MS - STEP_MS, 0);
    assert_false(liveness_hangs(&loop));
    now_ms = watch(&loop, now_ms, STEP_MS, 0);
    assert_true(liveness_hangs(&loop));
    assert_int_equal(loop.still_ms, LIVENESS_HANGS_MS);
    (void)watch(&loop, now_ms, STEP_MS, 1);
    assert_false(liveness_hangs(&loop));
}

static void one_that_never_began_hangs_too(void **state)
{
    struct liveness loop = {0};
    (void)state;
    (void)watch(&loop, 777000, LIVENESS_HANGS_MS + STEP_MS, 0);
    assert_true(liveness_hangs(&loop));
}

/* SIGSTOP, a machine that sleeps: nobody could look, and nobody could turn. */
static void time_in_which_nobody_looked_is_not_counted(void **state)
{
    struct liveness loop = {0};
    (void)state;
    uint64_t now_ms = watch(&loop, 777000, 1000, 1);
    for (int i = 0; i < 9; i++) {
        now_ms += 3600000;
        liveness_look(&loop, loop.rounds, now_ms);
        assert_false(liveness_hangs(&loop));
    }
    now_ms += 3600000;
    liveness_look(&loop, loop.rounds, now_ms);
    assert_true(liveness_hangs(&loop)); /* but it had ten chances */
}

static void a_clock_that_stands_is_no_time(void **state)
{
    struct liveness loop = {0};
    (void)state;
    for (int i = 0; i < 1000; i++)
        liveness_look(&loop, 7, 777000);
    assert_false(liveness_hangs(&loop));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_that_turns_is_live),
        cmocka_unit_test(a_quiet_loop_turns_four_times_a_second),
        cmocka_unit_test(one_that_stands_still_hangs_after_ten_seconds),
        cmocka_unit_test(one_that_never_began_hangs_too),
        cmocka_unit_test(time_in_which_nobody_looked_is_not_counted),
        cmocka_unit_test(a_clock_that_stands_is_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
