/*
 * Points in time: which texts and numbers are some, and how far they are apart.
 */
#include "tests/shadow/pairs.h"

#include "shadow/instant.h"

static struct instant text(const char *at)
{
    struct instant instant = {0};
    if (!instant_read_text(&instant, at, strlen(at)))
        fail_msg("%s is not taken for a time", at);
    return instant;
}

static void check_same(const char *a, const char *b, bool same)
{
    struct instant x = text(a), y = text(b);
    if (instant_within(&x, &y, 0) != same || instant_within(&y, &x, 0) != same)
        fail_msg("%s and %s: expected %s", a, b, same ? "the same" : "different");
}

static void one_moment_in_many_ways(void **state)
{
    static const char *const same[][2] = {
        {"1994-11-06T08:49:37Z", "1994-11-06t08:49:37z"},
        {"1994-11-06T08:49:37Z", "1994-11-06 08:49:37+00:00"},
        {"1994-11-06T08:49:37Z", "1994-11-06T08:49:37-00:00"},
        {"1994-11-06T08:49:37Z", "1994-11-06T14:19:37+05:30"},
        {"1994-11-06T08:49:37Z", "1994-11-05T23:49:37-0900"},
        {"1994-11-06T08:49:37Z", "1994-11-06T09:49:37+01"},
        {"1994-11-06T08:49:37Z", "1994-11-06T08:49:37.000000000000000000Z"},
        {"1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 GMT"},
        {"1994-11-06T08:49:37Z", "Sunday, 06-Nov-94 08:49:37 GMT"},
        {"1994-11-06T08:49:37Z", "Sun Nov  6 08:49:37 1994"},
        {"2024-11-17T08:49:37Z", "Sunday, 17-Nov-24 08:49:37 GMT"},
        {"2024-11-17T08:49:37Z", "Sun Nov 17 08:49:37 2024"},
        {"1994-11-06T00:00:00Z", "1994-11-06"},
        {"1994-11-06T08:49:00Z", "1994-11-06T08:49Z"},
        {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"},
        {"2016-12-31T18:59:60-05:00", "2017-01-01T00:00:00Z"},
        {"1714557600", "1714557600.000"},
        {"0", "-0"},
    };
    static const char *const different[][2] = {
        {"1994-11-06T08:49:37Z", "1994-11-06T08:49:37"}, /* local: somewhere */
        {"1994-11-06T08:49:37Z", "1994-11-06T08:49:37.000000000000000001Z"},
        {"1994-11-06T08:49:37Z", "784111777"},
        {"1714557600", "1714557600000"},
        {"1714557600000", "1714557600000000"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        check_same(same[i][0], same[i][1], true);
    for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++)
        check_same(different[i][0], different[i][1], false);
}

static void no_times(void **state)
{
    static const char *const bad[] = {
        "",
        "now",
        "1994-11",
        "1994-11-6",
        "1994-13-06",
        "1994-00-06",
        "1994-11-31",
        "1994-11-00",
        "1900-02-29",
        "2023-02-29T00:00:00Z",
        "1994-11-06T",
        "1994-11-06T08",
        "1994-11-06T24:00:00Z",
        "1994-11-06T08:60:00Z",
        "1994-11-06T08:49:61Z",
        "1994-11-06T08:49:60Z",
        "1994-11-06T08:49:37.Z",
        "1994-11-06T08:49:37+24:00",
        "1994-11-06T08:49:37+05:60",
        "1994-11-06T08:49:37+05:",
        "1994-11-06T08:49:37+5",
        "1994-11-06T08:49:37Zx",
        "1994-11-06Z",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Monday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 ",
        "100000000000000000000000",
        "1e9",
        "+1",
        "1.",
        "-",
        " 1714557600",
    };
    struct instant instant;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (instant_read_text(&instant, bad[i], strlen(bad[i])))
            fail_msg("%s is taken for a time", bad[i]);
}

static void numbers_tell_their_unit(void **state)
{
    static const struct {
        const char *text;
        enum instant_frame frame;
    } numbers[] = {
        {"0", INSTANT_SECONDS},
        {"1714557600", INSTANT_SECONDS},
        {"99999999999", INSTANT_SECONDS},
        {"100000000000", INSTANT_MILLISECONDS},
        {"99999999999999", INSTANT_MILLISECONDS},
        {"100000000000000", INSTANT_MICROSECONDS},
        {"99999999999999999.5", INSTANT_MICROSECONDS},
        {"100000000000000000", INSTANT_NANOSECONDS},
        {"99999999999999999999", INSTANT_NANOSECONDS},
        {"-1714557600000", INSTANT_MILLISECONDS},
        {"1.7145576e12", INSTANT_MILLISECONDS},
    };
    struct instant instant;
    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        assert_true(instant_read_number(&instant, numbers[i].text, strlen(numbers[i].text)));
        assert_int_equal(instant.frame, numbers[i].frame);
    }
    assert_false(instant_read_number(&instant, "1e20", 4));
    assert_false(instant_read_number(&instant, "1e999999999999999", 17));
}

static void distances_are_exact(void **state)
{
    static const struct {
        const char *a, *b;
        int64_t apart_ns;
    } pairs[] = {
        {"2023-12-31T23:59:59.999999999Z", "2024-01-01T00:00:00Z", 1},
        {"1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", 1000000000},
        {"2024-02-28T00:00:00Z", "2024-03-01T00:00:00Z", 2 * 86400 * INT64_C(1000000000)},
        {"1714557600.1", "1714557600.3", 200000000},
        {"1714557600001", "1714557600000", 1000000},
        {"1714557600000001", "1714557600000000", 1000},
        {"1714557600000000001", "1714557600000000000", 1},
        {"-1.5", "1.5", 3000000000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct instant x = text(pairs[i].a), y = text(pairs[i].b);
        assert_true(instant_within(&x, &y, (uint64_t)pairs[i].apart_ns));
        assert_true(instant_within(&y, &x, (uint64_t)pairs[i].apart_ns));
        assert_false(instant_within(&x, &y, (uint64_t)pairs[i].apart_ns - 1));
    }
    struct instant early = text("0000-01-01T00:00:00Z"), late = text("9999-12-31T23:59:59Z");
    assert_false(instant_within(&early, &late, UINT64_MAX)); /* 584 years */
    assert_true(early.attoseconds < late.attoseconds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_moment_in_many_ways),
        cmocka_unit_test(no_times),
        cmocka_unit_test(numbers_tell_their_unit),
        cmocka_unit_test(distances_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
