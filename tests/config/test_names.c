/*
 * Names: their characters, and the nearest known one to a wrong one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/names.h"

static const char *guess(const char *wanted, const char *const *known, size_t count)
{
    struct name_guess state = {.wanted = wanted};
    for (size_t i = 0; i < count; i++)
        name_guess_try(&state, known[i]);
    return name_guess_best(&state);
}

static void slips_are_recognised(void **state)
{
    static const char *const known[] = {"listeners", "timeouts", "idle", "percent", "gates", "on"};
    static const size_t count = sizeof(known) / sizeof(known[0]);
    (void)state;
    assert_string_equal(guess("listener", known, count), "listeners");
    assert_string_equal(guess("lsiteners", known, count), "listeners");
    assert_string_equal(guess("timeouts_", known, count), "timeouts");
    assert_string_equal(guess("idel", known, count), "idle");
    assert_string_equal(guess("perzent", known, count), "percent");
    assert_string_equal(guess("gate", known, count), "gates");
    assert_string_equal(guess("ob", known, count), "on");
    assert_null(guess("frobnicate", known, count));
    assert_null(guess("xy", known, count));
    assert_null(guess("a-name-that-is-longer-than-any-key-there-is", known, count));
    assert_null(guess("", known, count));
    assert_null(guess("on", known, 0));
}

static void names_have_few_characters(void **state)
{
    char longest[NAME_BYTES + 2];
    (void)state;
    assert_true(name_is_valid("orders-read_2.b"));
    assert_true(name_is_valid("--"));
    assert_false(name_is_valid("-"));
    assert_false(name_is_valid(""));
    assert_false(name_is_valid("a b"));
    assert_false(name_is_valid("a/b"));
    assert_false(name_is_valid("\xc3\xa9"));
    memset(longest, 'x', sizeof(longest));
    longest[NAME_BYTES + 1] = '\0';
    assert_false(name_is_valid(longest));
    longest[NAME_BYTES] = '\0';
    assert_true(name_is_valid(longest));
}

static void tokens_are_those_of_http(void **state)
{
    (void)state;
    assert_true(name_is_token("X-A"));
    assert_true(name_is_token("!#$%&'*+-.^_`|~09azAZ"));
    assert_false(name_is_token(""));
    assert_false(name_is_token("a:"));
    assert_false(name_is_token("a b"));
    assert_false(name_is_token("(a)"));
    assert_false(name_is_token("a\x7f"));
    assert_false(name_is_token("\x80"));
}

static void only_keys_of_one_section_have_a_home(void **state)
{
    (void)state;
    assert_string_equal(config_key_home("stages"), "routes[]");
    assert_string_equal(config_key_home("directory"), "state");
    assert_string_equal(config_key_home("mismatch_rate"), "routes[].gates"); /* stages and confidence have it too */
    assert_null(config_key_home("token_file"));
    assert_null(config_key_home("percent"));
    assert_null(config_key_home("tls"));
    assert_null(config_key_home("nonsense"));
}

static void quotes_are_those_of_yaml(void **state)
{
    struct config_arena *arena = config_arena_new();
    (void)state;
    assert_non_null(arena);
    assert_string_equal(config_yaml_quote(arena, ""), "\"\"");
    assert_string_equal(config_yaml_quote(arena, "a\"b\\c$"), "\"a\\\"b\\\\c$\"");
    config_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slips_are_recognised),     cmocka_unit_test(names_have_few_characters),
        cmocka_unit_test(tokens_are_those_of_http), cmocka_unit_test(only_keys_of_one_section_have_a_home),
        cmocka_unit_test(quotes_are_those_of_yaml),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
