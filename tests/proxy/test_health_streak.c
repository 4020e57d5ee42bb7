/*
 * Thresholds and jitter of active checks.
 */
#include "proxy/health_streak.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct config_health limits = {.unhealthy_after = 3, .healthy_after = 2};

/* Notes one check for each letter, "+" and "-"; how often the verdict turned. */
static int note(struct health_streak *streak, const char *checks)
{
    int turned = 0;
    for (; *checks != '\0'; checks++)
        turned += health_streak_note(streak, &limits, *checks == '+');
    return turned;
}

static void an_address_is_healthy_until_it_has_failed_often_enough(void **state)
{
    (void)state;
    struct health_streak streak = {0};
    assert_int_equal(note(&streak, "--"), 0);
    assert_false(streak.down);
    assert_int_equal(note(&streak, "-"), 1);
    assert_true(streak.down);
    assert_int_equal(note(&streak, "------"), 0); /* it is told once */
}

static void a_success_breaks_the_row(void **state)
{
    (void)state;
    struct health_streak streak = {0};
    assert_int_equal(note(&streak, "--+--+--+--"), 0);
    assert_false(streak.down);
    assert_int_equal(note(&streak, "-"), 1);
}

static void it_comes_back_after_successes_in_a_row(void **state)
{
    (void)state;
    struct health_streak streak = {0};
    assert_int_equal(note(&streak, "---"), 1);
    assert_int_equal(note(&streak, "+-+-+"), 0);
    assert_true(streak.down);
    assert_int_equal(note(&streak, "+"), 1);
    assert_false(streak.down);
    /* What was counted on the way does not count again. */
    assert_int_equal(note(&streak, "--"), 0);
    assert_int_equal(note(&streak, "-"), 1);
}

static void one_of_each_is_enough_where_the_file_says_so(void **state)
{
    (void)state;
    const struct config_health strict = {.unhealthy_after = 1, .healthy_after = 1};
    struct health_streak streak = {0};
    for (int i = 0; i < 5; i++) {
        assert_true(health_streak_note(&streak, &strict, false));
        assert_true(streak.down);
        assert_true(health_streak_note(&streak, &strict, true));
        assert_false(streak.down);
    }
}

static void limits_that_a_reload_lowers_are_in_force_at_once(void **state)
{
    (void)state;
    const struct config_health lower = {.unhealthy_after = 1, .healthy_after = 1};
    struct health_streak streak = {0};
    assert_int_equal(note(&streak, "--"), 0);
    assert_true(health_streak_note(&streak, &lower, false));
}

static void the_wait_is_the_interval_and_up_to_a_tenth_more_or_less(void **state)
{
    (void)state;
    uint64_t least = UINT64_MAX, most = 0;
    for (uint64_t chance = 0; chance < 20000; chance++) {
        uint64_t wait = health_wait_ms(10000, chance * 0x9E3779B97F4A7C15);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    assert_in_range(least, 9000, 9010);
    assert_in_range(most, 10990, 11000);
    assert_in_range(health_wait_ms(10, UINT64_MAX), 9, 11);
    assert_int_equal(health_wait_ms(9, UINT64_MAX), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_healthy_until_it_has_failed_often_enough),
        cmocka_unit_test(a_success_breaks_the_row),
        cmocka_unit_test(it_comes_back_after_successes_in_a_row),
        cmocka_unit_test(one_of_each_is_enough_where_the_file_says_so),
        cmocka_unit_test(limits_that_a_reload_lowers_are_in_force_at_once),
        cmocka_unit_test(the_wait_is_the_interval_and_up_to_a_tenth_more_or_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
