/* Heads of copies: what the file may change of them, byte for byte, and what it may not. */
#include "proxy/mirror_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ORIGINAL                                                                                                       \
    "POST /p?q=1 HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer live\r\nX-Odd: a\r\nx-oDD: b\r\n"             \
    "Content-Length: 3\r\nX-Request-Id: r1\r\n\r\n"
#define LINE "POST /p?q=1 HTTP/1.1\r\n"
#define REST "Content-Length: 3\r\nX-Request-Id: r1\r\n"
#define END  "X-Shunt-Shadow: 1\r\n\r\n"

static const struct config_backend backend = {
    .name = "new", .address = {.text = "http://10.0.0.7:3002", .host = "10.0.0.7", .port = 3002}};

#define REMOVE(field)                                                                                                  \
    {                                                                                                                  \
        .kind = HEADER_EDIT_REMOVE, .name = field                                                                      \
    }
#define SET(field, text)                                                                                               \
    {                                                                                                                  \
        .kind = HEADER_EDIT_SET, .name = field, .value = text                                                          \
    }
#define ADD(field, text)                                                                                               \
    {                                                                                                                  \
        .kind = HEADER_EDIT_ADD, .name = field, .value = text                                                          \
    }
#define COUNT(edits) (uint32_t)(sizeof(edits) / sizeof((edits)[0]))

static void check(const struct config_shadow *shadow, const struct config_backend *to, const char *expected)
{
    const struct mirror_head head = {
        .original = {ORIGINAL, (uint32_t)strlen(ORIGINAL)}, .shadow = shadow, .backend = to};
    size_t bound = mirror_head_bound(&head);
    char *out = malloc(bound + 1);
    assert_non_null(out);
    size_t length = mirror_head_write(out, &head);
    assert_true(length <= bound);
    out[length] = '\0';
    assert_string_equal(out, expected);
    free(out);
}

static void check_edits(struct config_header_edit *edits, uint32_t count, const char *expected)
{
    const struct config_shadow shadow = {.headers = edits, .header_count = count};
    check(&shadow, &backend, expected);
}

static void nothing_configured_adds_the_mark_alone(void **state)
{
    (void)state;
    const struct config_shadow shadow = {.host = SHADOW_HOST_ORIGINAL};
    check(&shadow, &backend,
          LINE "Host: shop.example\r\nAuthorization: Bearer live\r\nX-Odd: a\r\nx-oDD: b\r\n" REST END);
}

static void the_host_is_original_the_backends_or_named(void **state)
{
    (void)state;
    struct config_shadow shadow = {.host = SHADOW_HOST_BACKEND};
    check(&shadow, &backend,
          LINE "Host: 10.0.0.7:3002\r\nAuthorization: Bearer live\r\nX-Odd: a\r\nx-oDD: b\r\n" REST END);
    const struct config_backend local = {.name = "new", .address = {.text = "unix:/x", .unix_path = "/x"}};
    check(&shadow, &local, LINE "Host: localhost\r\nAuthorization: Bearer live\r\nX-Odd: a\r\nx-oDD: b\r\n" REST END);
    const struct config_backend six = {
        .address = {.text = "http://[2001:db8::7]:3002", .host = "2001:db8::7", .port = 3002}};
    check(&shadow, &six,
          LINE "Host: [2001:db8::7]:3002\r\nAuthorization: Bearer live\r\nX-Odd: a\r\nx-oDD: b\r\n" REST END);
    const struct config_backend plain = {.address = {.text = "http://shop", .host = "shop", .port = 80}};
    check(&shadow, &plain, LINE "Host: shop\r\nAuthorization: Bearer live\r\nX-Odd: a\r\nx-oDD: b\r\n" REST END);
    shadow = (struct config_shadow){.host = SHADOW_HOST_FIXED, .host_name = "copy.example"};
    check(&shadow, &backend,
          LINE "Host: copy.example\r\nAuthorization: Bearer live\r\nX-Odd: a\r\nx-oDD: b\r\n" REST END);
}

static void fields_are_removed_replaced_and_added(void **state)
{
    (void)state;
    struct config_header_edit edits[] = {
        REMOVE("x-odd"),   SET("AUTHORIZATION", "Bearer test"), SET("X-Env", "shadow"), ADD("X-Tag", "1"),
        ADD("X-Tag", "2"),
    };
    check_edits(edits, COUNT(edits),
                LINE "Host: shop.example\r\n" REST
                     "AUTHORIZATION: Bearer test\r\nX-Env: shadow\r\nX-Tag: 1\r\nX-Tag: 2\r\n" END);
}

static void an_added_field_stands_beside_what_came(void **state)
{
    (void)state;
    struct config_header_edit edits[] = {ADD("x-odd", "c")};
    check_edits(edits, COUNT(edits),
                LINE "Host: shop.example\r\nAuthorization: Bearer live\r\nX-Odd: a\r\nx-oDD: b\r\n" REST
                     "x-odd: c\r\n" END);
}

static void a_name_that_only_begins_alike_is_left(void **state)
{
    (void)state;
    struct config_header_edit edits[] = {REMOVE("X-Od"), REMOVE("Authorization-"), REMOVE("X-Request")};
    check_edits(edits, COUNT(edits),
                LINE "Host: shop.example\r\nAuthorization: Bearer live\r\nX-Odd: a\r\nx-oDD: b\r\n" REST END);
}

static void framing_and_the_mark_are_not_for_the_file_to_edit(void **state)
{
    (void)state;
    static const char *const forbidden[] = {
        "Content-Length",   "transfer-encoding", "Connection",     "HOST", "Expect", "Upgrade", "TE",    "Keep-Alive",
        "Proxy-Connection", "Trailer",           "X-Shunt-Shadow", "",     "A B",    "A:",      "A\r\nB"};
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        assert_false(mirror_head_may_edit(forbidden[i]));
        struct config_header_edit edits[] = {REMOVE(forbidden[i]), SET(forbidden[i], "1"), ADD(forbidden[i], "2")};
        check_edits(edits, COUNT(edits),
                    LINE "Host: shop.example\r\nAuthorization: Bearer live\r\nX-Odd: a\r\nx-oDD: b\r\n" REST END);
    }
    assert_true(mirror_head_may_edit("Authorization"));
    struct config_header_edit smuggled[] = {SET("X-Odd", "a\r\nContent-Length: 0"),
                                            ADD("X-New", "b\n\nGET / HTTP/1.1")};
    check_edits(smuggled, COUNT(smuggled),
                LINE "Host: shop.example\r\nAuthorization: Bearer live\r\nX-Odd: a\r\nx-oDD: b\r\n" REST END);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_configured_adds_the_mark_alone),
        cmocka_unit_test(the_host_is_original_the_backends_or_named),
        cmocka_unit_test(fields_are_removed_replaced_and_added),
        cmocka_unit_test(an_added_field_stands_beside_what_came),
        cmocka_unit_test(a_name_that_only_begins_alike_is_left),
        cmocka_unit_test(framing_and_the_mark_are_not_for_the_file_to_edit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
