/*
 * Names of fields and the loops over bytes, against their plain descriptions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proxy/h1_chars.h"
#include "proxy/h1_field.h"

static const char *const names[] = {
    "Connection",
    "Content-Length",
    "Transfer-Encoding",
    "Host",
    "Expect",
    "Upgrade",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Via",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Host",
    "X-Request-Id",
    "Cookie",
    "Content-Type",
    "Content-Encoding",
    "X-Shunt-Shadow",
};

static enum field_id id_of(const char *name, size_t length)
{
    char *exact = malloc(length > 0 ? length : 1); /* so that reading further is noticed */
    assert_non_null(exact);
    memcpy(exact, name, length);
    enum field_id id = h1_field_id(exact, length);
    struct text text = {exact, (uint32_t)length};
    assert_int_equal(id, request_field_id(text)); /* both know the same names */
    free(exact);
    return id;
}

static void knows_names_in_any_case(void **state)
{
    (void)state;
    unsigned seen = 1;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char upper[32], lower[32];
        size_t length = strlen(names[i]);
        for (size_t c = 0; c <= length; c++) {
            char byte = names[i][c];
            upper[c] = byte >= 'a' && byte <= 'z' ? (char)(byte - 0x20) : byte;
            lower[c] = byte >= 'A' && byte <= 'Z' ? (char)(byte + 0x20) : byte;
        }
        enum field_id id = id_of(names[i], length);
        assert_int_not_equal(id, FIELD_OTHER);
        assert_int_equal(id_of(upper, length), id);
        assert_int_equal(id_of(lower, length), id);
        seen |= 1u << id;
    }
    assert_int_equal(seen, (1u << FIELD_IDS) - 1);
}

static void near_misses_are_other_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t length = strlen(names[i]);
        for (size_t c = 0; c < length; c++) {
            char name[32];
            memcpy(name, names[i], length + 1);
            for (int byte = 0; byte < 256; byte++) {
                if (!h1_is((char)byte, H1_TOKEN))
                    continue;
                name[c] = (char)byte;
                id_of(name, length); /* equal to the plain comparison */
            }
        }
        assert_int_equal(id_of(names[i], length - 1), FIELD_OTHER);
    }
    assert_int_equal(id_of("", 0), FIELD_OTHER);
    assert_int_equal(id_of("Accept", 6), FIELD_OTHER);
}

static void classes_are_those_of_the_rfcs(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        assert_int_equal(h1_is((char)c, H1_TOKEN),
                         alnum || (c != 0 && c < 128 && strchr("!#$%&'*+-.^_`|~", c) != NULL));
        assert_int_equal(h1_is((char)c, H1_TARGET), c > 0x20 && c != 0x7f && c != '#');
        assert_int_equal(h1_is((char)c, H1_REG_NAME),
                         alnum || (c != 0 && c < 128 && strchr("-._~!$&'()*+;=", c) != NULL));
        assert_int_equal(h1_is((char)c, H1_HEX),
                         (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f'));
        assert_int_equal(h1_is((char)c, H1_DIGIT), c >= '0' && c <= '9');
        assert_int_equal(h1_is_text((char)c), (c >= 0x20 && c != 0x7f) || c == '\t');
    }
}

/* Each byte at each place of blocks of each length up to three times the width of the fast loops. */
static void fast_loops_stop_where_plain_ones_do(void **state)
{
    (void)state;
    for (size_t length = 1; length <= 50; length++) {
        char *block = malloc(length);
        assert_non_null(block);
        const char *end = block + length;
        for (size_t at = 0; at < length; at++) {
            for (int byte = 0; byte < 256; byte++) {
                memset(block, 'a', length);
                block[at] = (char)byte;
                block[length - 1 - at / 2] = (char)(byte ^ 0x0d);
                const char *plain = block;
                while (plain < end && h1_is(*plain, H1_TOKEN))
                    plain++;
                assert_ptr_equal(h1_skip_token(block, end), plain);
                for (plain = block; plain < end && h1_is(*plain, H1_TARGET);)
                    plain++;
                assert_ptr_equal(h1_skip_target(block, end), plain);
                for (plain = block; plain < end && h1_is_text(*plain);)
                    plain++;
                assert_ptr_equal(h1_skip_text(block, end), plain);
            }
        }
        free(block);
    }
}

static void lists_are_walked(void **state)
{
    (void)state;
    static const struct {
        const char *list, *elements;
    } cases[] = {
        {"", "[]"},
        {"a", "[a]"},
        {" a ", "[a]"},
        {"a,b", "[a][b]"},
        {"a , \tb c ", "[a][b c]"},
        {",", "[][]"},
        {"a,", "[a][]"},
        {" , a,,b", "[][a][][b]"},
        {"\t", "[]"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[64] = "";
        struct h1_list list = h1_list_of((struct text){cases[i].list, (uint32_t)strlen(cases[i].list)});
        struct text element;
        while (h1_list_next(&list, &element))
            snprintf(line + strlen(line), sizeof(line) - strlen(line), "[%.*s]", (int)element.len, element.at);
        assert_string_equal(line, cases[i].elements);
    }
}

static void trailers_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum h1_trailer_use use;
    } cases[] = {
        {"content-length", H1_TRAILER_REFUSE},
        {"Transfer-Encoding", H1_TRAILER_REFUSE},
        {"HOST", H1_TRAILER_DROP},
        {"Authorization", H1_TRAILER_DROP},
        {"Set-Cookie", H1_TRAILER_DROP},
        {"Trailer", H1_TRAILER_DROP},
        {"Server-Timing", H1_TRAILER_KEEP},
        {"ETag", H1_TRAILER_KEEP},
        {"Grpc-Status", H1_TRAILER_KEEP},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(h1_trailer_use((struct text){cases[i].name, (uint32_t)strlen(cases[i].name)}), cases[i].use);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_names_in_any_case),
        cmocka_unit_test(near_misses_are_other_names),
        cmocka_unit_test(classes_are_those_of_the_rfcs),
        cmocka_unit_test(fast_loops_stop_where_plain_ones_do),
        cmocka_unit_test(lists_are_walked),
        cmocka_unit_test(trailers_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
