/*
 * Wall clock times as text, against the C library.
 */
#include "router/store/timestamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

static void is(uint64_t wall_ms, const char *wanted)
{
    char text[TIMESTAMP_ROOM];
    uint64_t again;
    timestamp_print(text, wall_ms);
    assert_string_equal(text, wanted);
    assert_true(timestamp_read(text, &again));
    assert_true(again == wall_ms || wall_ms == UINT64_MAX);
}

static void known_instants(void **state)
{
    (void)state;
    is(0, "1970-01-01T00:00:00.000Z");
    is(951782399999, "2000-02-28T23:59:59.999Z");
    is(951782400000, "2000-02-29T00:00:00.000Z");
    is(1709251199001, "2024-02-29T23:59:59.001Z");
    is(4107542400000, "2100-03-01T00:00:00.000Z"); /* 2100 is no leap year */
    is(253402300799999, "9999-12-31T23:59:59.999Z");
    is(UINT64_MAX, "9999-12-31T23:59:59.999Z");
}

static void every_day_of_five_hundred_years_is_the_c_librarys(void **state)
{
    (void)state;
    for (uint64_t day = 0; day < 500 * 366; day++) {
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        struct tm parts;
        char wanted[64];
        assert_non_null(gmtime_r(&seconds, &parts));
        strftime(wanted, sizeof(wanted), "%Y-%m-%dT%H:%M:%S.007Z", &parts);
        is((uint64_t)seconds * 1000 + 7, wanted);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "2024-02-29T23:59:59Z",
        "2024-02-29T23:59:59.001",
        "2024-02-29 23:59:59.001Z",
        "2024-02-29T23:59:59.001Z ",
        "2023-02-29T00:00:00.000Z",
        "2024-06-31T00:00:00.000Z",
        "2024-00-01T00:00:00.000Z",
        "2024-13-01T00:00:00.000Z",
        "2024-01-00T00:00:00.000Z",
        "2024-01-01T24:00:00.000Z",
        "2024-01-01T00:60:00.000Z",
        "2024-01-01T00:00:60.000Z",
        "1969-12-31T23:59:59.999Z",
        "2024-01-01T0 :00:00.000Z",
        "2024-01-01T-1:00:00.000Z",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint64_t wall_ms = 7;
        assert_false(timestamp_read(wrong[i], &wall_ms));
        assert_int_equal(wall_ms, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_instants),
        cmocka_unit_test(every_day_of_five_hundred_years_is_the_c_librarys),
        cmocka_unit_test(what_is_no_time_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
