/*
 * Header fields beyond what the corpus shows: which are shown, long lists, hostile names.
 */
#include "tests/shadow/pairs.h"

#include "shadow/headers.h"

struct fixture {
    struct test_route route;
    struct rules *rules;
    struct difference_list list;
};

static enum replace_result compare(struct fixture *f, const char *name, const char *primary, const char *shadow)
{
    const struct veil veil = veil_of(&f->route.route.shadow.samples);
    if (f->rules == NULL) {
        test_route_header(&f->route, name);
        f->rules = rules_new(&f->route.route);
        assert_non_null(f->rules);
    }
    difference_list_reset(&f->list, &veil);
    return headers_compare(f->rules, (struct span){primary, strlen(primary)}, (struct span){shadow, strlen(shadow)},
                           &f->list);
}

static void stop(struct fixture *f)
{
    rules_free(f->rules);
    f->rules = NULL;
}

/* "NAME: " and so many elements, forwards or backwards; the caller frees it. */
static char *list_of(const char *name, int count, bool backwards)
{
    size_t room = strlen(name) + 8 + (size_t)count * 8;
    char *text = malloc(room);
    assert_non_null(text);
    int len = snprintf(text, room, "%s:", name);
    for (int i = 0; i < count; i++)
        len += snprintf(text + len, room - (size_t)len, " e%d,", backwards ? count - 1 - i : i);
    snprintf(text + len, room - (size_t)len, "\r\n");
    return text;
}

static void check_lists(const char *name, int count, bool same)
{
    struct fixture f = {.rules = NULL};
    char *forwards = list_of(name, count, false), *backwards = list_of(name, count, true);
    test_route_init(&f.route, "r");
    assert_int_equal(compare(&f, name, forwards, backwards), REPLACE_DONE);
    assert_int_equal(f.list.count, same ? 0 : 1);
    stop(&f);
    free(forwards);
    free(backwards);
}

static void long_sets_are_compared_in_order(void **state)
{
    (void)state;
    check_lists("vary", 256, true);
    check_lists("vary", 257, false);
    check_lists("x-list", 2, false);
}

static void every_name_of_a_hostile_head(void **state)
{
    enum {
        NAMES = 4000
    };
    struct fixture f = {.rules = NULL};
    char *primary = malloc(NAMES * 16), *shadow = malloc(NAMES * 16);
    size_t len = 0, other = 0;
    (void)state;
    assert_non_null(primary);
    assert_non_null(shadow);
    test_route_init(&f.route, "r");
    for (int i = 0; i < NAMES; i++) {
        len += (size_t)snprintf(primary + len, 16, "x%d: 1\r\n", i);
        other += (size_t)snprintf(shadow + other, 16, "x%d: 2\r\n", i);
    }
    compare(&f, "*", primary, shadow);
    assert_int_equal(f.list.count, DIFFERENCES_MAX);
    assert_int_equal(f.list.beyond, NAMES - DIFFERENCES_MAX); /* each of them once */
    compare(&f, "*", "A: 1\r\nAb: 2\r\na: 3\r\nA : x\r\n", "AB: 2\r\nA: 1, 3\r\nA : x");
    assert_int_equal(f.list.count, 0); /* lines of one name are one list, wherever they stand */
    compare(&f, "*", "A: 1\r\nB: 2\r\n", "B: 2\r\nA: 1\r\nA: 3");
    assert_int_equal(f.list.count, 1);
    assert_string_equal(f.list.at[0].field, "header:a");
    compare(&f, "*", ": no name\r\nno colon\r\n:\r\n\r\nA\x1b[31m: 1\r\n", "\r\n");
    assert_int_equal(f.list.count, 1);
    assert_string_equal(f.list.at[0].field, "header:a?[31m");
    stop(&f);
    free(primary);
    free(shadow);
}

static void shows_no_values(void **state)
{
    struct fixture f = {.rules = NULL};
    (void)state;
    test_route_init(&f.route, "r");
    compare(&f, "x-name", "X-Name: ann\r\n", "x-name: bobby\r\n");
    assert_int_equal(f.list.count, 1);
    assert_string_equal(f.list.at[0].primary, "<string 3>");
    assert_string_equal(f.list.at[0].shadow, "<string 5>");
    stop(&f);
}

static void a_pattern_without_end_stands_in_the_way(void **state)
{
    struct fixture f = {.rules = NULL};
    struct config_replace replace = {.in = "header:x-a", .pattern = "(x+x+)+y", .with = ""};
    (void)state;
    test_route_init(&f.route, "r");
    f.route.route.shadow.compare.replace = &replace;
    f.route.route.shadow.compare.replace_count = 1;
    assert_int_equal(compare(&f, "x-a", "X-A: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-y\r\n", "X-A: 1\r\n"),
                     REPLACE_TOO_COMPLEX);
    assert_int_equal(f.list.count, 0);
    rules_start_pair(f.rules);
    assert_int_equal(compare(&f, "x-a", "X-A: xxy\r\n", "X-A: xxxxy\r\n"), REPLACE_DONE);
    assert_int_equal(f.list.count, 1);
    assert_true(f.list.at[0].ignored);
    stop(&f);
}

static void a_head_that_never_came_is_empty(void **state)
{
    struct capture capture;
    (void)state;
    capture_init(&capture);
    assert_int_equal(headers_of(&capture).len, 0);
    assert_non_null(headers_of(&capture).at); /* there is no pointer arithmetic on NULL */
    capture_head(&capture, 200, "", 0);
    assert_non_null(headers_of(&capture).at);
    capture_done(&capture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_that_never_came_is_empty),
        cmocka_unit_test(long_sets_are_compared_in_order),
        cmocka_unit_test(every_name_of_a_hostile_head),
        cmocka_unit_test(shows_no_values),
        cmocka_unit_test(a_pattern_without_end_stands_in_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
