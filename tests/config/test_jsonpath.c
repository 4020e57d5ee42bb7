/*
 * JSON paths: which forms are taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/jsonpath.h"

static void good_paths_are_taken(void **state)
{
    static const char *const good[] = {"$",      "$.a",           "$.a.b",         "$['a']",  "$[\"a b\"]",
                                       "$[*]",   "$[3]",          "$..a",          "$.*",     "$.a[*].b[0]['c'].d",
                                       "$..*",   "$['a\\'b']",    "$.caf\xc3\xa9", "$.a-b_c", "$..['a b']",
                                       "$..[*]", "$[4294967295]", "$.@type",       "$[0][1]"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (jsonpath_fault(good[i]) != NULL)
            fail_msg("%s: %s", good[i], jsonpath_fault(good[i]));
    }
}

static void bad_paths_are_refused(void **state)
{
    static const char *const bad[] = {
        "",        "a",     ".a",       "$a",        "$.",    "$..",  "$...a",         "$[",
        "$[]",     "$[a]",  "$[-1]",    "$[1",       "$['']", "$['a", "$['a'",         "$[*",
        "$.a b",   "$ .a",  "$.a[1:2]", "$[?(@.a)]", "$.a.",  "$$.a", "$[4294967296]", "$[99999999999999999999]",
        "$.. [1]", "$['a\\"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (jsonpath_fault(bad[i]) == NULL)
            fail_msg("%s should be refused", bad[i]);
    }
}

static void paths_have_at_most_63_steps(void **state)
{
    char path[2 + 64 * 2] = "$";
    (void)state;
    for (unsigned i = 0; i < 63; i++)
        strcat(path, ".a");
    assert_null(jsonpath_fault(path));
    strcat(path, ".a");
    assert_non_null(jsonpath_fault(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_paths_are_taken), cmocka_unit_test(bad_paths_are_refused),
                                       cmocka_unit_test(paths_have_at_most_63_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
