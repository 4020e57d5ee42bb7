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
    timestamp_print(text, wall_ms);
    assert_string_equal(text, wanted);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_instants),
        cmocka_unit_test(every_day_of_five_hundred_years_is_the_c_librarys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
