/*
 * Patterns: how paths and hosts are read, and when one match proves another needless.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/pattern.h"

static struct config_path *path(struct config_arena *arena, const char *text)
{
    const char *why = NULL;
    struct config_path *read = pattern_path(arena, text, &why);
    if (read == NULL)
        fail_msg("%s: %s", text, why != NULL ? why : "no memory");
    return read;
}

static void paths_are_split_at_slashes(void **state)
{
    struct config_arena *arena = config_arena_new();
    (void)state;
    assert_non_null(arena);
    const struct config_path *root = path(arena, "/");
    assert_int_equal(root->segment_count, 1);
    assert_int_equal(root->segments[0].kind, SEGMENT_LITERAL);
    assert_int_equal(root->segments[0].len, 0);
    const struct config_path *slash = path(arena, "/a/");
    assert_int_equal(slash->segment_count, 2);
    assert_int_equal(slash->segments[1].len, 0);
    const struct config_path *rest = path(arena, "/**");
    assert_int_equal(rest->segment_count, 1);
    assert_int_equal(rest->segments[0].kind, SEGMENT_REST);
    const struct config_path *encoded = path(arena, "/a%20b/*/c;v=1/**");
    assert_int_equal(encoded->segment_count, 4);
    assert_memory_equal(encoded->segments[0].text, "a%20b", 5);
    assert_int_equal(encoded->segments[0].len, 5);
    assert_int_equal(encoded->segments[1].kind, SEGMENT_ANY);
    assert_string_equal(encoded->text, "/a%20b/*/c;v=1/**");
    config_arena_free(arena);
}

struct pair {
    const char *wide;
    const char *narrow;
};

static bool path_covers(struct config_arena *arena, const struct pair *pair)
{
    struct config_match wide = {.path = pair->wide == NULL ? NULL : path(arena, pair->wide)};
    struct config_match narrow = {.path = pair->narrow == NULL ? NULL : path(arena, pair->narrow)};
    return pattern_covers(&wide, &narrow);
}

static void wider_paths_cover_narrower_ones(void **state)
{
    static const struct pair covered[] = {
        {NULL, NULL},        {NULL, "/**"},      {NULL, "/a"},         {"/a", "/a"},     {"/**", "/"}, {"/**", "/a/b"},
        {"/a/**", "/a"},     {"/a/**", "/a/"},   {"/a/**", "/a/b/**"}, {"/*", "/a"},     {"/*", "/*"}, {"/*/b", "/a/b"},
        {"/a/*/**", "/a/b"}, {"/a/**", "/a/**"}, {"/*/**", "/a/**"},   {"/*/*", "/a/*"},
    };
    static const struct pair open[] = {
        {"/**", NULL},    {"/a", "/b"},      {"/a", "/a/"},  {"/a/", "/a"}, {"/a", "/A"},    {"/a/**", "/ab"},
        {"/a", "/a/**"},  {"/a/*", "/a/**"}, {"/a/*", "/a"}, {"/*", "/"},   {"/a/*", "/a/"}, {"/a/*/**", "/a"},
        {"/a/b", "/a/*"}, {"/*", "/a/b"},    {"/*", "/**"},  {"/a", "/"},
    };
    struct config_arena *arena = config_arena_new();
    (void)state;
    assert_non_null(arena);
    for (size_t i = 0; i < sizeof(covered) / sizeof(covered[0]); i++) {
        if (!path_covers(arena, &covered[i]))
            fail_msg("%s should cover %s", covered[i].wide, covered[i].narrow);
    }
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        if (path_covers(arena, &open[i]))
            fail_msg("%s should not cover %s", open[i].wide, open[i].narrow);
    }
    config_arena_free(arena);
}

static void wider_hosts_cover_narrower_ones(void **state)
{
    static const struct pair covered[] = {{NULL, "a.b"},    {"a.b", "a.b"}, {"*.b", "a.b"}, {"*.b", "c.a.b"},
                                          {"*.b", "*.a.b"}, {"*.b", "*.b"}, {NULL, NULL}};
    static const struct pair open[] = {{"a.b", NULL},    {"a.b", "c.b"}, {"*.b", "b"},  {"*.b", "ab"},
                                       {"*.a.b", "*.b"}, {"a.b", "*.b"}, {"*.b", NULL}, {"*.a.b", "a.b"}};
    (void)state;
    for (size_t i = 0; i < sizeof(covered) / sizeof(covered[0]); i++) {
        struct config_match wide = {.host = covered[i].wide};
        struct config_match narrow = {.host = covered[i].narrow};
        assert_true(pattern_covers(&wide, &narrow));
    }
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        struct config_match wide = {.host = open[i].wide};
        struct config_match narrow = {.host = open[i].narrow};
        assert_false(pattern_covers(&wide, &narrow));
    }
}

static void methods_and_fields_must_be_implied(void **state)
{
    const char *get_head[] = {"GET", "HEAD"};
    const char *get[] = {"GET"};
    const char *values[] = {"a", "b"};
    const char *value[] = {"b"};
    struct config_field_match any = {.name = "x", .name_len = 1};
    struct config_field_match two = {.name = "x", .name_len = 1, .values = values, .value_count = 2};
    struct config_field_match one = {.name = "x", .name_len = 1, .values = value, .value_count = 1};
    struct config_field_match other = {.name = "y", .name_len = 1};
    struct config_match all = {.host = NULL};
    struct config_match match_two_methods = {.methods = get_head, .method_count = 2};
    struct config_match match_get = {.methods = get, .method_count = 1};
    struct config_match match_any = {.headers = &any, .header_count = 1};
    struct config_match match_two = {.headers = &two, .header_count = 1};
    struct config_match match_one = {.headers = &one, .header_count = 1};
    struct config_match match_other = {.headers = &other, .header_count = 1};
    struct config_match query_one = {.query = &one, .query_count = 1};
    (void)state;
    assert_true(pattern_covers(&match_two_methods, &match_get));
    assert_false(pattern_covers(&match_get, &match_two_methods));
    assert_false(pattern_covers(&match_get, &all));
    assert_true(pattern_covers(&all, &match_get));
    assert_true(pattern_covers(&match_any, &match_two));
    assert_true(pattern_covers(&match_two, &match_one));
    assert_false(pattern_covers(&match_one, &match_two));
    assert_false(pattern_covers(&match_two, &match_any));
    assert_false(pattern_covers(&match_any, &match_other));
    assert_false(pattern_covers(&match_any, &all));
    assert_true(pattern_covers(&all, &match_any));
    assert_false(pattern_covers(&match_one, &query_one));
    assert_true(pattern_covers(&query_one, &query_one));
}

static void hosts_are_names_or_addresses(void **state)
{
    static const char *const good[] = {"localhost", "a.b.c", "*.a", "*.a.b", "10.0.0.1", "[::1]", "a_b.c", "x-1.y"};
    static const char *const bad[] = {"",      "*",     "*.",   ".a",       "a.", "a..b", "a b",         "*a.b",
                                      "a.*.b", "*.*.a", "a:80", "[::1]:80", "[]", "[::1", "\xc3\xa9.fr", "a/b"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_null(pattern_host_fault(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (pattern_host_fault(bad[i]) == NULL)
            fail_msg("%s should be refused", bad[i]);
    }
}

static void templates_name_whole_segments(void **state)
{
    static const char *const good[] = {"/",      "/orders",         "/orders/{id}/items", "/files/**", "/**",
                                       "/a%20b", "/a-b/v1.2/{x_1}", "/{order-id}",        "/{a}",      "/{a.b}"};
    static const char *const bad[] = {"",      "orders", "/orders/", "/a//b", "//",       "/{}",  "/{id",
                                      "/id}",  "/a{id}", "/**/x",    "/*",    "/a?b",     "/a#b", "/a b",
                                      "/a\nb", "/a;v=1", "/{a}b",    "/a*",   "/\xc3\xa9"};
    char many[PATTERN_TEMPLATE_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (pattern_template_fault(good[i]) != NULL)
            fail_msg("%s: %s", good[i], pattern_template_fault(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (pattern_template_fault(bad[i]) == NULL)
            fail_msg("\"%s\" is accepted", bad[i]);
    for (size_t i = 0; i < PATTERN_SEGMENTS + 1; i++)
        memcpy(many + 2 * i, "/a", 3);
    assert_non_null(pattern_template_fault(many));
    many[2 * PATTERN_SEGMENTS] = '\0';
    assert_null(pattern_template_fault(many));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_split_at_slashes),      cmocka_unit_test(wider_paths_cover_narrower_ones),
        cmocka_unit_test(wider_hosts_cover_narrower_ones), cmocka_unit_test(methods_and_fields_must_be_implied),
        cmocka_unit_test(hosts_are_names_or_addresses),    cmocka_unit_test(templates_name_whole_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
