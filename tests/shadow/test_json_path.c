/*
 * Rule paths: which are understood, and which places they lead to.
 */
#include "tests/shadow/pairs.h"

#include "shadow/json_path.h"
#include "shadow/rules.h"

static void understands(void **state)
{
    static const char *const good[] = {
        "$",       "$.a",    "$.a.b[*].c", "$..name",    "$['x y']",    "$[\"x\"]", "$[3]",
        "$[*]",    "$.*",    "$..*",       "$..[*]",     "$..['a b']",  "$.a-b",    "$.a_b",
        "$.@type", "$.$ref", "$.a:b",      "$.\xc3\xa9", "$['it\\'s']", "$['']",    "$[0][4294967295]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct json_path_fault fault = {0};
        if (!json_path_is_valid(good[i], &fault))
            fail_msg("%s: at %zu %s", good[i], fault.at, fault.what);
    }
}

static void refuses_with_the_place(void **state)
{
    static const struct {
        const char *path;
        size_t at;
    } bad[] = {
        {"", 0},
        {"a", 0},
        {"$a", 1},
        {"$.", 2},
        {"$..", 3},
        {"$.a.", 4},
        {"$[", 2},
        {"$[x]", 2},
        {"$[1", 3},
        {"$[-1]", 2},
        {"$['a'", 5},
        {"$['a]", 5},
        {"$.a b", 3},
        {"$[*", 3},
        {"$[1:2]", 3},
        {"$[?(@.a)]", 2},
        {"$[4294967296]", 11},
        {"$.a.*b", 5},
        {"$['a\\", 5},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct json_path_fault fault = {.at = 999};
        if (json_path_is_valid(bad[i].path, &fault))
            fail_msg("%s was taken", bad[i].path);
        if (fault.at != bad[i].at)
            fail_msg("%s: fault at %zu (%s), expected at %zu", bad[i].path, fault.at, fault.what, bad[i].at);
        assert_non_null(fault.what);
    }
}

static void bounds_the_number_of_steps(void **state)
{
    char path[256] = "$";
    struct json_path_fault fault;
    (void)state;
    for (int i = 0; i < 63; i++)
        strcat(path, ".a");
    assert_true(json_path_is_valid(path, &fault));
    strcat(path, ".a");
    assert_false(json_path_is_valid(path, &fault));
}

/* ---- matching ---- */

enum {
    WORDS_MAX = 8
};

static void collect(void *context, uint32_t id)
{
    *(uint64_t *)context |= UINT64_C(1) << id;
}

/* The ids that match at a place such as "a/0/b": digits are elements, "!0" is a member named 0. */
static uint64_t matches_at(const struct json_path_set *set, const char *place)
{
    uint64_t positions[2][WORDS_MAX] = {{0}}, found = 0;
    int now = 0;
    assert_true(json_path_words(set) <= WORDS_MAX);
    json_path_root(set, positions[0]);
    while (*place != '\0') {
        size_t len = strcspn(place, "/");
        if (*place >= '0' && *place <= '9')
            json_path_into_element(set, positions[now], (uint32_t)strtoul(place, NULL, 10), positions[1 - now]);
        else if (*place == '!')
            json_path_into_member(set, positions[now], place + 1, len - 1, positions[1 - now]);
        else
            json_path_into_member(set, positions[now], place, len, positions[1 - now]);
        now = 1 - now;
        place += len + (place[len] == '/' ? 1 : 0);
    }
    json_path_matches(set, positions[now], collect, &found);
    return found;
}

static void leads_to_the_right_places(void **state)
{
    static const char *const paths[] = {"$",    "$.a",   "$.a.b[*].c", "$..name", "$['x y'].z",
                                        "$[3]", "$.a.*", "$..l[0]",    "$..*"};
    static const struct {
        const char *place;
        uint64_t ids; /* of the first eight; "$..*" matches everything below the root */
    } expected[] = {
        {"", 0x01},
        {"a", 0x02},
        {"b", 0},
        {"a/b", 0x40},
        {"a/b/0", 0},
        {"a/b/7/c", 0x04},
        {"a/b/7/d", 0},
        {"a/b/7/c/d", 0},
        {"name", 0x08},
        {"a/name", 0x48},
        {"a/b/0/name", 0x08},
        {"x y", 0},
        {"x y/z", 0x10},
        {"3", 0x20},
        {"!3", 0},
        {"2", 0},
        {"l/0", 0x80},
        {"q/l/0", 0x80},
        {"q/l/1", 0},
        {"l/l/0", 0x80},
        {"a/0", 0x40},
        {"name/name", 0x08},
    };
    struct json_path_set *set = json_path_set_new();
    (void)state;
    assert_non_null(set);
    for (uint32_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_true(json_path_set_add(set, paths[i], i, NULL));
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        uint64_t ids = expected[i].ids | (expected[i].place[0] != '\0' ? 0x100 : 0);
        uint64_t found = matches_at(set, expected[i].place);
        if (found != ids)
            fail_msg("at \"%s\": found %lx, expected %lx", expected[i].place, (unsigned long)found, (unsigned long)ids);
    }
    json_path_set_free(set);
}

static void many_paths_in_one_set(void **state)
{
    struct json_path_set *set = json_path_set_new();
    (void)state;
    assert_non_null(set);
    for (uint32_t i = 0; i < 60; i++) {
        char path[32];
        snprintf(path, sizeof(path), "$.a.m%u[*].x", i);
        assert_true(json_path_set_add(set, path, i, NULL));
    }
    for (uint32_t i = 0; i < 60; i++) {
        char place[32];
        snprintf(place, sizeof(place), "a/m%u/5/x", i);
        assert_true(matches_at(set, place) == UINT64_C(1) << i);
    }
    assert_int_equal(matches_at(set, "a/m60/5/x"), 0);
    json_path_set_free(set);
}

static void a_refused_path_leaves_the_set_alone(void **state)
{
    struct json_path_set *set = json_path_set_new();
    struct json_path_fault fault;
    (void)state;
    assert_non_null(set);
    assert_int_equal(json_path_words(set), 0);
    assert_false(json_path_set_add(set, "$.a[", 0, &fault));
    assert_int_equal(json_path_words(set), 0);
    assert_true(json_path_set_add(set, "$.a", 3, &fault));
    assert_true(matches_at(set, "a") == UINT64_C(1) << 3);
    json_path_set_free(set);
    json_path_set_free(NULL);
}

/* ---- rules made of them ---- */

static void rules_name_what_they_refuse(void **state)
{
    struct test_route route;
    struct json_path_fault fault;
    (void)state;
    test_route_init(&route, "r");
    test_route_ignore(&route, "$.good");
    test_route_ignore(&route, "$.bad[");
    test_route_ignore(&route, "nonsense");
    test_route_ignore(&route, "header:");
    test_route_unordered(&route, "tags");
    test_route_tolerate(&route, "$.x[", TOLERANCE_ABSOLUTE, 1);
    test_route_tolerate(&route, "$.y", TOLERANCE_RELATIVE, 0.5);
    struct rules *rules = rules_new(&route.route);
    assert_non_null(rules);
    assert_int_equal(rules->refused_count, 5);
    assert_string_equal(rules->refused[0], "$.bad[: at character 7 a number, * or a quoted name is expected");
    assert_int_equal(rules->rule_count, 2);
    assert_int_equal(rules->rules[1].kind, RULE_TOLERANCE);
    assert_true(rules->rules[1].tolerance.relative);
    assert_string_equal(rules->rules[1].tolerance.text, "0.5");
    assert_true(rules_are_of(rules, &route.route));
    assert_true(rules_accept_ignore("status", &fault));
    assert_true(rules_accept_ignore("body", &fault));
    assert_true(rules_accept_ignore("header:date", &fault));
    assert_false(rules_accept_ignore("header", &fault));
    rules_free(rules);
    rules_free(NULL);
}

/* Every input changes the answer of rules_are_of(). */
static void rules_know_their_source(void **state)
{
    struct test_route route;
    (void)state;
    test_route_init(&route, "r");
    test_route_header(&route, "content-type");
    test_route_ignore(&route, "$.a");
    test_route_unordered(&route, "$.b");
    test_route_tolerate(&route, "$.c", TOLERANCE_ABSOLUTE, 1);
    struct rules *rules = rules_new(&route.route);
    assert_non_null(rules);
    assert_true(rules_are_of(rules, &route.route));
    struct config_compare *compare = &route.route.shadow.compare;
    struct test_route before = route;
#define CHANGED(change)                                                                                                \
    do {                                                                                                               \
        change;                                                                                                        \
        assert_false(rules_are_of(rules, &route.route));                                                               \
        memcpy(&route, &before, sizeof(route));                                                                        \
        assert_true(rules_are_of(rules, &route.route));                                                                \
    } while (0)
    CHANGED(compare->status_class = true);
    CHANGED(route.headers[0] = "location");
    CHANGED(compare->header_count = 0);
    CHANGED(route.ignore[0] = "$.aa");
    CHANGED(compare->ignore_count = 0);
    CHANGED(test_route_ignore(&route, "$.z"));
    CHANGED(route.unordered[0] = "$.z");
    CHANGED(route.tolerance[0].amount = 2);
    CHANGED(route.tolerance[0].kind = TOLERANCE_RELATIVE);
    CHANGED(route.tolerance[0].path = "$.z");
    CHANGED(compare->tolerance_count = 0);
    CHANGED(test_route_tolerate(&route, "$.z", TOLERANCE_RELATIVE, 1));
#undef CHANGED
    rules_free(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(understands),
        cmocka_unit_test(refuses_with_the_place),
        cmocka_unit_test(bounds_the_number_of_steps),
        cmocka_unit_test(leads_to_the_right_places),
        cmocka_unit_test(many_paths_in_one_set),
        cmocka_unit_test(a_refused_path_leaves_the_set_alone),
        cmocka_unit_test(rules_name_what_they_refuse),
        cmocka_unit_test(rules_know_their_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
