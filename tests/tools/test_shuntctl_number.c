/*
 * Numbers as people read them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tools/shuntctl/number.h"

static void assert_text(const char *text, const char *expected)
{
    assert_string_equal(text, expected);
}

static void counts_have_commas(void **state)
{
    char out[NUMBER_ROOM];
    (void)state;
    assert_text(number_count(0, out), "0");
    assert_text(number_count(999, out), "999");
    assert_text(number_count(1000, out), "1,000");
    assert_text(number_count(1204332, out), "1,204,332");
    assert_text(number_count(UINT64_MAX, out), "18,446,744,073,709,551,615");
}

static void rates_are_never_rounded_to_nothing(void **state)
{
    char out[NUMBER_ROOM];
    (void)state;
    assert_text(number_rate(0, out), "0/s");
    assert_text(number_rate(0.01, out), "0.1/s");
    assert_text(number_rate(81.24, out), "81.2/s");
    assert_text(number_rate(99.96, out), "100/s");
    assert_text(number_rate(12345.6, out), "12,346/s");
    assert_text(number_rate(1e15, out), "1,000,000,000,000,000/s");
}

static void percentages_keep_the_digits_that_matter(void **state)
{
    char out[NUMBER_ROOM];
    (void)state;
    assert_text(number_percent(0, out), "0 %");
    assert_text(number_percent(1, out), "100 %");
    assert_text(number_percent(0.125, out), "12.5 %");
    assert_text(number_percent(0.1234, out), "12.34 %");
    assert_text(number_percent(0.9999, out), "99.99 %");
    assert_text(number_percent(0.9999999, out), "99.99 %");
    assert_text(number_percent(0.00013, out), "0.013 %");
    assert_text(number_percent(1.0 / 3000000, out), "0.000033 %");
    assert_text(number_percent(1e-9, out), "0.0000001 %");
}

static void latencies_change_their_unit(void **state)
{
    char out[NUMBER_ROOM];
    (void)state;
    assert_text(number_latency(0, out), "0 us");
    assert_text(number_latency(870, out), "870 us");
    assert_text(number_latency(999.6, out), "1.00 ms");
    assert_text(number_latency(12345, out), "12.3 ms");
    assert_text(number_latency(123456, out), "123 ms");
    assert_text(number_latency(999600, out), "1.00 s");
    assert_text(number_latency(61000000, out), "61.0 s");
}

static void durations_have_two_units(void **state)
{
    char out[NUMBER_ROOM];
    (void)state;
    assert_text(number_duration(0, out), "0s");
    assert_text(number_duration(850, out), "850ms");
    assert_text(number_duration(12999, out), "12s");
    assert_text(number_duration(303000, out), "5m 03s");
    assert_text(number_duration(3900000, out), "1h 05m");
    assert_text(number_duration(183600000, out), "2d 03h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_have_commas),
        cmocka_unit_test(rates_are_never_rounded_to_nothing),
        cmocka_unit_test(percentages_keep_the_digits_that_matter),
        cmocka_unit_test(latencies_change_their_unit),
        cmocka_unit_test(durations_have_two_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
