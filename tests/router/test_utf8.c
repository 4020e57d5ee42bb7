/*
 * UTF-8: every code point's encoding is taken, and nothing else is.
 */
#include "router/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static size_t encode(uint32_t point, char *to)
{
    if (point < 0x80) {
        to[0] = (char)point;
        return 1;
    }
    size_t more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    for (size_t i = more; i > 0; i--) {
        to[i] = (char)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    to[0] = (char)(lead[more] | point);
    return more + 1;
}

static void every_code_point_but_surrogates(void **state)
{
    (void)state;
    char text[4];
    for (uint32_t point = 0; point <= 0x10ffff; point++) {
        size_t length = encode(point, text);
        size_t wanted = point >= 0xd800 && point <= 0xdfff ? 0 : length;
        if (utf8_sequence(text, length) != wanted)
            fail_msg("U+%04X", point);
        if (length > 1 && utf8_sequence(text, length - 1) != 0)
            fail_msg("U+%04X cut short", point);
    }
}

static void all_of_two_and_three_bytes_against_jansson(void **state)
{
    (void)state;
    for (uint32_t i = 0x80; i < 0x10000; i++) {
        char text[3] = {(char)(i >> 8), (char)i, (char)0x80};
        for (size_t length = 1; length <= 3; length++) {
            json_t *theirs = json_stringn(text, length);
            size_t at = 0, step = 1;
            while (at < length && (step = utf8_sequence(text + at, length - at)) > 0)
                at += step;
            if ((at == length) != (theirs != NULL))
                fail_msg("%04x, %zu bytes", i, length);
            json_decref(theirs);
        }
    }
}

static void what_is_not_utf8_is_replaced_in_json(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"\xc3\xa4", "\xc3\xa4"},
        {"a\xff\x62", "a\xef\xbf\xbd\x62"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xaf\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *got = utf8_json(cases[i].text);
        assert_string_equal(json_string_value(got), cases[i].wanted);
        json_decref(got);
    }
    assert_true(json_is_null(utf8_json(NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_but_surrogates),
        cmocka_unit_test(all_of_two_and_three_bytes_against_jansson),
        cmocka_unit_test(what_is_not_utf8_is_replaced_in_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
