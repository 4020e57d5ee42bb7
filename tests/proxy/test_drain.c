/*
 * The phases of draining, with a clock handed in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/drain.h"

enum {
    BEGAN_MS = 777000
};

struct step {
    uint64_t after_ms;
    enum drain_phase phase;
};

static void goes_through(const struct drain *drain, const struct step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(drain_phase(drain, BEGAN_MS + steps[i].after_ms), steps[i].phase);
}

#define GOES_THROUGH(drain, ...)                                                                                       \
    goes_through(drain, (const struct step[]){__VA_ARGS__},                                                            \
                 sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step))

static void nothing_holds_before_it_begins(void **state)
{
    (void)state;
    GOES_THROUGH(&(struct drain){0}, {0, DRAIN_NONE}, {1000000, DRAIN_NONE});
}

static void without_a_signal_it_ends_nothing(void **state)
{
    const struct drain drain = {.begun = true, .began_ms = BEGAN_MS, .min_ms = 5000};
    (void)state;
    GOES_THROUGH(&drain, {0, DRAIN_SERVING}, {2499, DRAIN_SERVING}, {2500, DRAIN_LEAVING}, {4999, DRAIN_LEAVING},
                 {5000, DRAIN_CLOSING}, {86400000, DRAIN_CLOSING});
}

static void a_signal_ends_it_after_the_minimum(void **state)
{
    const struct drain drain = {
        .begun = true, .began_ms = BEGAN_MS, .min_ms = 5000, .ends = true, .until_ms = BEGAN_MS + 31000};
    (void)state;
    GOES_THROUGH(&drain, {0, DRAIN_SERVING}, {2500, DRAIN_LEAVING}, {5000, DRAIN_ENDING}, {30999, DRAIN_ENDING},
                 {31000, DRAIN_OVER});
}

static void a_maximum_that_is_over_first_ends_it(void **state)
{
    const struct drain drain = {
        .begun = true, .began_ms = BEGAN_MS, .min_ms = 5000, .ends = true, .until_ms = BEGAN_MS + 1000};
    (void)state;
    GOES_THROUGH(&drain, {0, DRAIN_SERVING}, {999, DRAIN_SERVING}, {1000, DRAIN_OVER});
}

static void without_a_minimum_the_first_phases_take_no_time(void **state)
{
    struct drain drain = {.begun = true, .began_ms = BEGAN_MS};
    (void)state;
    GOES_THROUGH(&drain, {0, DRAIN_CLOSING});
    drain.ends = true;
    drain.until_ms = BEGAN_MS + 1;
    GOES_THROUGH(&drain, {0, DRAIN_ENDING}, {1, DRAIN_OVER});
}

static void an_odd_minimum_has_a_half_too(void **state)
{
    const struct drain drain = {.begun = true, .began_ms = BEGAN_MS, .min_ms = 1};
    (void)state;
    GOES_THROUGH(&drain, {0, DRAIN_SERVING}, {1, DRAIN_CLOSING});
    assert_int_equal(drain_phase(&drain, BEGAN_MS - 5),
                     DRAIN_SERVING); /* another thread's clock was read a little earlier */
}

static void every_phase_has_a_name(void **state)
{
    (void)state;
    for (enum drain_phase phase = DRAIN_NONE; phase <= DRAIN_OVER; phase++)
        assert_non_null(drain_phase_name(phase));
    assert_string_equal(drain_phase_name(DRAIN_LEAVING), "leaving");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_holds_before_it_begins),
        cmocka_unit_test(without_a_signal_it_ends_nothing),
        cmocka_unit_test(a_signal_ends_it_after_the_minimum),
        cmocka_unit_test(a_maximum_that_is_over_first_ends_it),
        cmocka_unit_test(without_a_minimum_the_first_phases_take_no_time),
        cmocka_unit_test(an_odd_minimum_has_a_half_too),
        cmocka_unit_test(every_phase_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
