/*
 * Text by lines: where two texts begin to differ and in how many lines.
 */
#include "tests/shadow/pairs.h"

#include "shadow/text_diff.h"

static struct text_difference run(const char *a, const char *b)
{
    struct text_diff *diff = text_diff_new();
    struct text_difference difference;
    assert_non_null(diff);
    assert_true(text_diff_run(diff, a, strlen(a), b, strlen(b), &difference));
    text_diff_free(diff);
    return difference;
}

static void counts_lines(void **state)
{
    static const struct {
        const char *a, *b;
        uint32_t line, removed, added;
    } cases[] = {
        {"", "", 0, 0, 0},
        {"a", "a", 0, 0, 0},
        {"a\n", "a", 0, 0, 0},
        {"a", "b", 1, 1, 1},
        {"a\nb\nc", "a\nx\nc", 2, 1, 1},
        {"a\nb\nc", "a\nc", 2, 1, 0},
        {"a\nc", "a\nb\nc", 2, 0, 1},
        {"a\nb\nc\nd\ne", "a\nx\nc\ny\ne", 2, 2, 2},
        {"a\nb\nc\nd\ne\nf", "b\nc\nd\ne\nf\ng", 1, 1, 1},
        {"", "a\nb", 1, 0, 2},
        {"a\nb", "", 1, 2, 0},
        {"\n\n\n", "\n\n", 3, 1, 0},
        {"a\r\nb", "a\nb", 1, 1, 1},
        {"x\ny\nz\n", "z\ny\nx\n", 1, 2, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text_difference d = run(cases[i].a, cases[i].b);
        if (d.line != cases[i].line || d.removed != cases[i].removed || d.added != cases[i].added || !d.exact)
            fail_msg("case %zu: line %u, removed %u, added %u", i, d.line, d.removed, d.added);
    }
}

static void shows_the_first_lines_that_differ(void **state)
{
    struct text_difference d = run("same\nleft line\n", "same\nright\nmore\n");
    (void)state;
    assert_int_equal(d.first.len, 9);
    assert_memory_equal(d.first.at, "left line", 9);
    assert_memory_equal(d.second.at, "right", 5);
    d = run("same\n", "same\nmore\n");
    assert_null(d.first.at);
    assert_memory_equal(d.second.at, "more", 4);
}

static char *lines(uint32_t count, uint32_t seed)
{
    char *text = malloc(count * 16 + 1), *to = text;
    assert_non_null(text);
    for (uint32_t i = 0; i < count; i++)
        to += sprintf(to, "%u\n", i * seed);
    return text;
}

static void very_different_texts_are_bounded(void **state)
{
    char *a = lines(20000, 3), *b = lines(15000, 7);
    (void)state;
    struct text_difference d = run(a, b);
    assert_int_equal(d.line, 2);
    assert_false(d.exact);
    assert_true(d.removed > 0 && d.added > 0);
    free(a);
    free(b);
}

static void texts_of_too_many_lines_are_one_line(void **state)
{
    enum {
        COUNT = 300000
    };
    char *a = malloc(COUNT + 1);
    (void)state;
    assert_non_null(a);
    memset(a, '\n', COUNT);
    a[COUNT] = '\0';
    struct text_difference d = run(a, "x");
    assert_int_equal(d.line, 1);
    assert_false(d.exact);
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_lines),
        cmocka_unit_test(shows_the_first_lines_that_differ),
        cmocka_unit_test(very_different_texts_are_bounded),
        cmocka_unit_test(texts_of_too_many_lines_are_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
