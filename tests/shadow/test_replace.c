/*
 * Replacements: what comes out, what is refused, and what is given up.
 */
#include "tests/shadow/pairs.h"

#include "shadow/replace.h"

static struct replacement *made(const char *pattern, const char *with)
{
    struct replace_fault fault;
    struct replacement *r = replacement_new(pattern, with, &fault);
    if (r == NULL)
        fail_msg("%s: at %zu %s", pattern, fault.at, fault.what);
    return r;
}

static struct span of(const char *text)
{
    return (struct span){text, strlen(text)};
}

static void check(const char *pattern, const char *with, const char *text, const char *expected)
{
    struct replacer *replacer = replacer_new();
    struct replacement *r = made(pattern, with);
    struct span at = of(text);
    uint64_t pieces = 0;

    assert_non_null(replacer);
    assert_int_equal(replacer_run(replacer, r, 0, &at, &pieces), REPLACE_DONE);
    if (!span_equal(at, of(expected)))
        fail_msg("s/%s/%s/ of %s: %.*s, expected %s", pattern, with, text, (int)at.len, at.at, expected);
    replacement_free(r);
    replacer_free(replacer);
}

static void replaces_all_matches(void **state)
{
    (void)state;
    check("[0-9]+", "N", "1 and 22", "N and N");
    check("x", "y", "nothing here", "nothing here");
    check("(\\w)(\\d)", "$2$1", "a1 b2", "1a 2b");
    check("(\\w)(\\d)", "${2}0$$$0", "a1", "10$a1");
    check("(a)|b", "<$1>", "ab", "<a><>"); /* a group that took no part */
    check("", "-", "ab", "-a-b-");
    check("$", "!", "", "!");
    check("(?m)^#.*\\n", "", "a\n# b\nc\n", "a\nc\n");
    check("(?i)É", "e", "é", "e"); /* characters, not bytes */
    check("^.", "_", "€1", "_1");
    check("\\d", "N",
          "\xff"
          "1\xc3",
          "\xff"
          "N\xc3");
    check("a", "bcdefghijklmnopqrstuvwxyz", "aaaaaaaaaaaaaaaaaaaa",
          "bcdefghijklmnopqrstuvwxyzbcdefghijklmnopqrstuvwxyzbcdefghijklmnopqrstuvwxyzbcdefghijklmnopqrstuvwxyz"
          "bcdefghijklmnopqrstuvwxyzbcdefghijklmnopqrstuvwxyzbcdefghijklmnopqrstuvwxyzbcdefghijklmnopqrstuvwxyz"
          "bcdefghijklmnopqrstuvwxyzbcdefghijklmnopqrstuvwxyzbcdefghijklmnopqrstuvwxyzbcdefghijklmnopqrstuvwxyz"
          "bcdefghijklmnopqrstuvwxyzbcdefghijklmnopqrstuvwxyzbcdefghijklmnopqrstuvwxyzbcdefghijklmnopqrstuvwxyz"
          "bcdefghijklmnopqrstuvwxyzbcdefghijklmnopqrstuvwxyzbcdefghijklmnopqrstuvwxyzbcdefghijklmnopqrstuvwxyz");
}

static void refuses(void **state)
{
    static const char *const bad[][2] = {
        {"(", ""}, {"a**", ""}, {"[z-a]", ""}, {"\\C", ""}, {"a", "$1"}, {"(a)", "$2"}, {"a", "$x"}, {"a", "${0"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct replace_fault fault;
        if (replacement_new(bad[i][0], bad[i][1], &fault) != NULL)
            fail_msg("%s was taken with %s", bad[i][0], bad[i][1]);
        assert_false(fault.no_memory);
        assert_true(fault.what[0] != '\0');
        assert_true(fault.at <= strlen(bad[i][0]));
    }
}

/* Two texts in which the same gave way to the same have the same sum, in whatever order it stood. */
static void sums_tell_what_was_replaced(void **state)
{
    struct replacer *replacer = replacer_new();
    struct replacement *r = made("\\d+", "N");
    struct span a = of("1 22 x"), b = of("y 22, 1"), c = of("1 1");
    uint64_t sums[3] = {0, 0, 0};

    (void)state;
    assert_non_null(replacer);
    assert_int_equal(replacer_run(replacer, r, 0, &a, &sums[0]), REPLACE_DONE);
    assert_int_equal(replacer_run(replacer, r, 1, &b, &sums[1]), REPLACE_DONE);
    assert_int_equal(replacer_run(replacer, r, 2, &c, &sums[2]), REPLACE_DONE);
    assert_true(sums[0] == sums[1]);
    assert_true(sums[0] != sums[2]);
    assert_true(span_equal(a, of("N N x"))); /* each slot keeps its text */
    assert_true(span_equal(b, of("y N, N")));
    assert_true(span_equal(c, of("N N")));
    assert_int_equal(replacer_run(replacer, r, 3, &a, &sums[0]), REPLACE_DONE);
    replacement_free(r);
    replacer_free(replacer);
}

/* The result of one replacement is what the next one works on. */
static void one_after_the_other(void **state)
{
    struct replacer *replacer = replacer_new();
    struct replacement *first = made("a", "bb"), *second = made("bb", "c"), *third = made("c", "a");
    struct span at = of("a-a");
    uint64_t pieces = 0;

    (void)state;
    assert_non_null(replacer);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(replacer_run(replacer, first, 0, &at, &pieces), REPLACE_DONE);
        assert_true(span_equal(at, of("bb-bb")));
        assert_int_equal(replacer_run(replacer, second, 0, &at, &pieces), REPLACE_DONE);
        assert_int_equal(replacer_run(replacer, third, 0, &at, &pieces), REPLACE_DONE);
        assert_true(span_equal(at, of("a-a")));
    }
    replacement_free(first);
    replacement_free(second);
    replacement_free(third);
    replacer_free(replacer);
}

static void check_given_up(const char *pattern, const char *with, const char *unit, size_t times, const char *end,
                           enum replace_result expected)
{
    struct replacer *replacer = replacer_new();
    struct replacement *r = made(pattern, with);
    size_t len = strlen(unit) * times;
    char *text = malloc(len + strlen(end) + 1);
    uint64_t pieces = 0;

    assert_non_null(replacer);
    assert_non_null(text);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * strlen(unit), unit, strlen(unit));
    memcpy(text + len, end, strlen(end) + 1);
    struct span at = of(text);
    assert_int_equal(replacer_run(replacer, r, 0, &at, &pieces), expected);
    assert_ptr_equal(at.at, text);
    assert_int_equal(pieces, 0);
    replacer_start(replacer); /* the next pair has its own budget */
    struct replacement *simple = made("b", "c");
    at = of("abc");
    assert_int_equal(replacer_run(replacer, simple, 0, &at, &pieces), REPLACE_DONE);
    assert_true(span_equal(at, of("acc")));
    replacement_free(simple);
    replacement_free(r);
    replacer_free(replacer);
    free(text);
}

static void patterns_without_end_are_given_up(void **state)
{
    (void)state;
    check_given_up("(x+x+)+y", "", "x", 60, "z y", REPLACE_TOO_COMPLEX);
    check_given_up("(a|aa)+$", "", "a", 60, "b", REPLACE_TOO_COMPLEX);
    /* Quadratic over a whole megabyte: no start of it is beyond any limit of its own. */
    check_given_up("a*b", "", "a", 1024 * 1024, "cb", REPLACE_TOO_COMPLEX);
    check_given_up("(?:a)*?c", "", "a", 1024 * 1024, "bc", REPLACE_TOO_COMPLEX);
    check_given_up(".*?,.*?,.*?,x", "", "a,", 4096, "y x", REPLACE_TOO_COMPLEX);
    /* A match needs the text checked anew where it is not UTF-8. */
    check_given_up("a", "b", "a", 1024 * 1024, "\xff", REPLACE_TOO_COMPLEX);
}

static void results_are_bounded(void **state)
{
    char with[201];
    (void)state;
    memset(with, 'x', 200);
    with[200] = '\0';
    check_given_up("a", with, "a", 4096, "", REPLACE_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaces_all_matches),
        cmocka_unit_test(refuses),
        cmocka_unit_test(sums_tell_what_was_replaced),
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(patterns_without_end_are_given_up),
        cmocka_unit_test(results_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
