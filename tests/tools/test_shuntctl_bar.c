/*
 * Bars: shares are never drawn as none or all when they are not, and nothing beyond a limit looks as if it were within.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "tools/shuntctl/bar.h"

static void assert_share(double now, double target, const char *expected)
{
    char out[BAR_ROOM];
    assert_string_equal(bar_share(now, target, 10, false, out), expected);
}

static void shares_fill_cells(void **state)
{
    (void)state;
    assert_share(0, 0, "..........");
    assert_share(1, 1, "##########");
    assert_share(0.25, 0.25, "###.......");
    assert_share(0.0001, 0.0001, "#.........");
    assert_share(0.9999, 0.9999, "#########.");
    assert_share(0.1, 0.5, "#====.....");
    assert_share(0.5, 0.1, "#####.....");
    assert_share(-1, 7, "==========");
    assert_share(NAN, NAN, "..........");
}

static void assert_interval(struct bar_interval interval, const char *expected)
{
    char out[BAR_ROOM];
    assert_string_equal(bar_interval(&interval, 9, false, out), expected);
}

static void intervals_stand_against_their_limit(void **state)
{
    (void)state;
    assert_interval((struct bar_interval){0.0035, 0.0075, 0.0135, 0.02, 0}, ".-o--.|..");
    assert_interval((struct bar_interval){-0.3, -0.1, 0.01, 0.02, 0}, "o---..|..");
    assert_interval((struct bar_interval){0.022, 0.024, 0.2, 0.02, 0}, "......|o-");
    assert_interval((struct bar_interval){0, 0.01, INFINITY, 0.02, 0}, "---o--|--");
    assert_interval((struct bar_interval){0.9991, 0.9995, 0.9998, 0.99, 1}, "...|....o");
    assert_interval((struct bar_interval){0.98, 0.985, 0.989, 0.99, 1}, "o--|.....");
    assert_interval((struct bar_interval){1.4, 1.5, 1.6, 2, 1}, "..-o..|..");
}

static void beyond_the_limit_is_never_in_its_cell(void **state)
{
    (void)state;
    assert_interval((struct bar_interval){0.0201, 0.0202, 0.0203, 0.02, 0}, "......|o.");
    assert_interval((struct bar_interval){0.0197, 0.0198, 0.0199, 0.02, 0}, ".....o|..");
    assert_interval((struct bar_interval){0.0101, 0.0150, 0.0201, 0.02, 0}, "...-o-|-.");
}

static void a_limit_of_nothing_is_in_the_middle(void **state)
{
    (void)state;
    assert_interval((struct bar_interval){0, 0, 0.01, 0, 0}, "....|----");
    assert_interval((struct bar_interval){-0.2, -0.15, -0.1, 0, 0}, "...o|....");
    assert_interval((struct bar_interval){0, 0, 0, 0, 0}, "....|....");
}

static void bars_fit_their_room(void **state)
{
    char out[BAR_ROOM];
    struct bar_interval wild = {NAN, NAN, NAN, NAN, NAN};
    (void)state;
    assert_int_equal(strlen(bar_share(1, 1, 4000, true, out)), BAR_COLUMNS_MOST * 3);
    assert_string_equal(bar_share(1, 1, 0, true, out), "");
    assert_string_equal(bar_interval(&wild, 0, true, out), "");
    assert_true(strlen(bar_interval(&wild, 4000, true, out)) < BAR_ROOM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_fill_cells),
        cmocka_unit_test(intervals_stand_against_their_limit),
        cmocka_unit_test(beyond_the_limit_is_never_in_its_cell),
        cmocka_unit_test(a_limit_of_nothing_is_in_the_middle),
        cmocka_unit_test(bars_fit_their_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
