/*
 * Redaction: nothing leaves with a value, nothing leaves that a terminal would obey.
 */
#include "tests/shadow/pairs.h"

#include "shadow/redact.h"

static const struct veil redacted = {.values = SAMPLES_REDACTED}, full = {.values = SAMPLES_FULL};

static void check_clean(const char *in, size_t len, size_t room, const char *expected)
{
    char to[256];
    memset(to, 'Z', sizeof(to));
    size_t out = redact_clean(to, room, in, len);
    if (strcmp(to, expected) != 0 || out != strlen(expected))
        fail_msg("\"%s\" became \"%s\", expected \"%s\"", in, to, expected);
    assert_int_equal(to[room], 'Z');
}

static void cleans(void **state)
{
    (void)state;
    check_clean("plain", 5, 32, "plain");
    check_clean("", 0, 32, "");
    check_clean("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 14, 32, "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
    check_clean("a\x1b[31mb", 7, 32, "a?[31mb");
    check_clean("a\nb\tc\0d", 7, 32, "a?b?c?d");
    check_clean("\x7f", 1, 32, "?");
    check_clean("\xc2\x9b"
                "31m",
                5, 32, "??31m"); /* C1: another way to write ESC [ */
    check_clean("\xe2\x80\xae"
                "abc",
                6, 32, "???abc");              /* right-to-left override */
    check_clean("\xe2\x80\xa8", 3, 32, "???"); /* line separator */
    check_clean("\xff\xfe", 2, 32, "??");
    check_clean("\xc0\xaf", 2, 32, "??");
    check_clean("\xed\xa0\x80", 3, 32, "???");
    check_clean("\xf4\x90\x80\x80", 4, 32, "????");
    check_clean("\xe2\x82", 2, 32, "??");
    check_clean("0123456789", 10, 11, "0123456789");
    check_clean("0123456789", 10, 10, "012345...");
    check_clean("01234\xe2\x82\xac"
                "9",
                9, 9, "01234...");
    check_clean("abc", 3, 3, "ab");
    check_clean("abc", 3, 1, "");
}

static void knows_secrets(void **state)
{
    static const char *const headers[] = {
        "Authorization",        "cookie",       "Set-Cookie",          "X-Api-Key",       "x-auth-token",
        "X-Amz-Security-Token", "X-CSRF-Token", "Proxy-Authorization", "www-authenticate"};
    static const char *const open_headers[] = {"content-type", "location", "etag", "x-total", "vary"};
    static const char *const names[] = {"password",     "userPassword", "PASSWD",  "client_secret", "access_token",
                                        "refreshToken", "apiKey",       "api_key", "sessionId",     "pin",
                                        "OTP",          "ssn",          "jwt",     "privateKey",    "signature"};
    static const char *const open_names[] = {"name", "className", "option", "spinning", "price", "id", "authors"};
    (void)state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        if (!redact_is_secret_header(&full, headers[i], strlen(headers[i])))
            fail_msg("%s is a secret", headers[i]);
    for (size_t i = 0; i < sizeof(open_headers) / sizeof(open_headers[0]); i++)
        if (redact_is_secret_header(&full, open_headers[i], strlen(open_headers[i])))
            fail_msg("%s is no secret", open_headers[i]);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!redact_is_secret_name(&full, names[i], strlen(names[i])))
            fail_msg("%s is a secret", names[i]);
    for (size_t i = 0; i < sizeof(open_names) / sizeof(open_names[0]); i++)
        if (redact_is_secret_name(&full, open_names[i], strlen(open_names[i])))
            fail_msg("%s is no secret", open_names[i]);
}

static void tells_names_from_data(void **state)
{
    static const char *const data[] = {"17", "ann@example.com", "order-123456", "0d9f2c1e-7a44-4b1e-9d0c-5c1d6f7a8b90"};
    static const char *const names[] = {"", "a", "address2", "iso8601", "utf8", "line_item_2023", "x y"};
    (void)state;
    for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++)
        if (!redact_is_data_name(data[i], strlen(data[i])))
            fail_msg("%s is data", data[i]);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (redact_is_data_name(names[i], strlen(names[i])))
            fail_msg("%s is a name", names[i]);
}

static void check_target(bool redact, const char *target, const char *expected)
{
    char to[256];
    redact_target(to, sizeof(to), redact ? &redacted : &full, target);
    if (strcmp(to, expected) != 0)
        fail_msg("%s became %s, expected %s", target, to, expected);
}

static void targets(void **state)
{
    (void)state;
    check_target(true, "/orders/17", "/orders/17");
    check_target(true, "/", "/");
    check_target(true, "", "");
    check_target(true, "/a?page=2&q=hello+world", "/a?page=<string 1>&q=<string 11>");
    check_target(true, "/a?flag&x=", "/a?<string 4>&x=<string 0>");
    check_target(true, "/a?", "/a?");
    check_target(true, "/a?&&x=1", "/a?&&x=<string 1>");
    check_target(true, "/a?x=1?y=2", "/a?x=<string 5>");
    check_target(true, "/users/ann@example.com/orders", "/users/<15>/orders");
    check_target(true, "/reset/abcdefghijabcdefghijabcdefghijabcdefghijX/", "/reset/<41>/");
    check_target(true, "/a\x1b[31m", "/a?[31m");
    check_target(false, "/a?page=2&token=abcdef&Api_Key=xyz", "/a?page=2&token=<string 6>&Api_Key=<string 3>");
    check_target(false, "/users/ann@example.com?q=1", "/users/ann@example.com?q=1");
}

static void values(void **state)
{
    char to[VALUE_ROOM];
    (void)state;
    redact_value(to, sizeof(to), &redacted, false, "string", 12, "top secret!!", 12);
    assert_string_equal(to, "<string 12>");
    redact_value(to, sizeof(to), &full, false, "string", 12, "not a secret", 12);
    assert_string_equal(to, "not a secret");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cleans),  cmocka_unit_test(knows_secrets), cmocka_unit_test(tells_names_from_data),
        cmocka_unit_test(targets), cmocka_unit_test(values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
