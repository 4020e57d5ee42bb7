/*
 * Redaction: nothing leaves with a value, nothing leaves that a terminal would obey.
 */
#include "tests/shadow/pairs.h"

#include "shadow/redact.h"

static const struct veil redacted = {.values = SAMPLES_REDACTED}, full = {.values = SAMPLES_FULL},
                         hashed = {.values = SAMPLES_HASHED}, none = {.values = SAMPLES_NONE};

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
    static const char *const names[] = {"password",
                                        "userPassword",
                                        "PASSWD",
                                        "client_secret",
                                        "access_token",
                                        "refreshToken",
                                        "apiKey",
                                        "api_key",
                                        "sessionId",
                                        "pin",
                                        "OTP",
                                        "ssn",
                                        "jwt",
                                        "privateKey",
                                        "signature",
                                        "card",
                                        "cardNumber",
                                        "card_no",
                                        "userPAN",
                                        "cvv2",
                                        "card-cvc",
                                        "ibanCode",
                                        "user[password]",
                                        "pass%77ord",
                                        "user%5Bpwd%5D",
                                        "PHPSESSID",
                                        "SAMLResponse",
                                        "sig",
                                        "Ocp-Apim-Subscription-Key"};
    static const char *const open_names[] = {"name",     "className", "option",    "spinning", "price",   "id",
                                             "authors",  "discard",   "passenger", "pins",     "company", "expand",
                                             "cardinal", "signal",    "inside",    "%zz",      ""};
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

static void denied_names_are_secret_however_they_are_spelt(void **state)
{
    static const char *const deny[] = {"x-tenant-key", "birth day", "\xc3\xa9t\xc3\xa9"};
    const struct veil veil = {.values = SAMPLES_FULL, .deny = deny, .deny_count = 3};
    static const char *const names[] = {"X-Tenant-Key", "xTenantKey",  "x_tenant_key",
                                        "BirthDay",     "birth%20day", "\xc3\xa9t\xc3\xa9"};
    char huge[400];
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!redact_is_secret_name(&veil, names[i], strlen(names[i])))
            fail_msg("%s is denied", names[i]);
        assert_false(redact_is_secret_name(&full, names[i], strlen(names[i])));
    }
    assert_false(redact_is_secret_name(&veil, "birthdays", 9));
    assert_true(redact_is_secret_header(&veil, "X-TENANT-KEY", 12));
    memset(huge, 'x', sizeof(huge));
    assert_true(redact_is_secret_name(&full, huge, sizeof(huge))); /* nobody has looked at it */
}

static void tells_secrets_by_their_looks(void **state)
{
    static const char *const secrets[] = {
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "see eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x",
        "-----BEGIN RSA PRIVATE KEY-----",
        "x -----BEGIN CERTIFICATE-----",
        "Bearer abcdefgh12345",
        "basic dXNlcjpwYXNz",
        "4111111111111111",
        "paid with 4111 1111 1111 1111.",
        "5500-0000-0000-0004",
        "340000000000009",
        "4222222222222",
        "https://ann:hunter2@example.com/",
        "redis://:hunter2@cache",
        "a=1&password=hunter2",
        "token: abc",
        "\"api_key\" : 1",
        "{\"secret\":1}",
        "<password>hunter2</password>",
        "<input name=\"csrf_token\" value=\"1\">",
        "Cookie: a=b",
        "user[pin]=1234",
    };
    static const char *const others[] = {
        "",
        "hello world",
        "eyJ",
        "eyJhbGciOiJIUzI1NiJ9",
        "bearer of good news",
        "4111111111111112",
        "41111111111111111111",
        "x4111111111111111",
        "0.4111111111111111",
        "1700000000000",
        "1111111111111117",
        "2023-10-05T12:00:00Z",
        "https://example.com:8080/a@b",
        "tokens and passwords",
        "--- BEGIN",
        "a=1&b=2",
        "<name>ann</name>",
        "authors: two",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
        if (!redact_looks_secret(&full, secrets[i], strlen(secrets[i])))
            fail_msg("%s looks secret", secrets[i]);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (redact_looks_secret(&full, others[i], strlen(others[i])))
            fail_msg("%s does not look secret", others[i]);
}

/* Every beginning of a text is looked at without reading behind it: the sanitizer would tell. */
static void looks_no_further_than_the_text(void **state)
{
    static const char text[] = "Bearer abcdefgh //u:p@h eyJhbGciOiJIUzI1NiJ9.abcd -----BEGIN 4111 1111 1111 1111 %7";
    (void)state;
    for (size_t len = 0; len < sizeof(text); len++) {
        char *copy = malloc(len + 1);
        assert_non_null(copy);
        char *exact = realloc(copy, len == 0 ? 1 : len);
        assert_non_null(exact);
        memcpy(exact, text, len);
        for (size_t from = 0; from < len; from++)
            (void)redact_looks_secret(&redacted, exact + from, len - from);
        (void)redact_is_secret_name(&full, exact, len);
        free(exact);
    }
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
    check_target(true, "/reset/0d9f2c1e-7a44-4b1e-9d0c-5c1d6f7a8b90", "/reset/<36>");
    check_target(true, "/r/a1b2c3d4e5f6a7b8/x", "/r/<16>/x");
    check_target(true, "/orders/12345678901", "/orders/12345678901");
    check_target(true, "/phones/491512345678", "/phones/<12>");
    check_target(true, "/token/abc/x", "/token/<3>/x");
    check_target(true, "/a;v=1/b", "/<5>/b");
    check_target(true, "/a;jsessionid=1/b", "/<14>/<1>");
    check_target(true, "/a%20b/c", "/<5>/c");
    check_target(true, "/a?ann@example.com=1&0123456=2", "/a?<name 15>=<string 1>&<name 7>=<string 1>");
    check_target(true, "/reset-password/x", "/reset-password/<1>");
    check_target(false, "/session/x/orders", "/session/<1>/orders");
    check_target(false, "/a/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x", "/a/<38>");
    check_target(false, "/a?card=1&n=4111111111111111&eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x",
                 "/a?card=<string 1>&n=<string 16>&<string 38>");
    check_target(false, "/a?page=2&token=abcdef&Api_Key=xyz", "/a?page=2&token=<string 6>&Api_Key=<string 3>");
    check_target(false, "/users/ann@example.com?q=1", "/users/ann@example.com?q=1");
}

static void check_value(const struct veil *veil, bool secret, const char *value, const char *expected)
{
    char to[VALUE_ROOM];
    redact_value(to, sizeof(to), veil, secret, "string", (int64_t)strlen(value), value, strlen(value));
    if (strcmp(to, expected) != 0)
        fail_msg("%s became %s, expected %s", value, to, expected);
}

static void values(void **state)
{
    char to[VALUE_ROOM];
    (void)state;
    check_value(&redacted, false, "top secret!!", "<string 12>");
    check_value(&full, false, "not a thing.", "not a thing.");
    check_value(&full, true, "hunter2", "<string 7>");
    check_value(&full, false, "4111111111111111", "<string 16>");
    check_value(&none, false, "a", "");
    check_value(&none, true, "a", "");
    redact_value(to, sizeof(to), &redacted, false, "number", NO_COUNT, "17", 2);
    assert_string_equal(to, "<number>");
    redact_value(to, sizeof(to), &hashed, false, "array", 3, NULL, 0);
    assert_string_equal(to, "<array 3>");
}

/* What begins in the shown part of a long value and ends behind it is a secret too. */
static void a_secret_is_known_beyond_what_is_shown(void **state)
{
    char value[VALUE_ROOM * 3];
    char to[VALUE_ROOM];
    (void)state;
    memset(value, ' ', sizeof(value));
    memset(value + VALUE_ROOM - 20, 'x', sizeof(value) - VALUE_ROOM + 20);
    memcpy(value + VALUE_ROOM - 20, "eyJ", 3);
    value[sizeof(value) - 20] = '.';
    redact_value(to, sizeof(to), &full, false, "string", (int64_t)sizeof(value), value, sizeof(value));
    assert_string_equal(to, "<string 336>");
}

static void hash_of(char to[VALUE_ROOM], const char *type, const char *value)
{
    redact_value(to, VALUE_ROOM, &hashed, false, type, (int64_t)strlen(value), value, strlen(value));
}

static void equal_values_hash_alike_and_others_do_not(void **state)
{
    char first[VALUE_ROOM], again[VALUE_ROOM], other[VALUE_ROOM], number[VALUE_ROOM];
    (void)state;
    hash_of(first, "string", "1000");
    hash_of(again, "string", "1000");
    hash_of(other, "string", "1001");
    hash_of(number, "number", "1000");
    assert_memory_equal(first, "<string 4 #", 11);
    assert_int_equal(strlen(first), 24);
    assert_int_equal(strspn(first + 11, "0123456789abcdef"), 12);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
    assert_string_not_equal(first + 11, number + 11);
    check_value(&hashed, true, "hunter2", "<string 7>"); /* a short secret could be guessed by who has the key */
    check_value(&hashed, false, "Bearer abcdefgh", "<string 15>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cleans),
        cmocka_unit_test(knows_secrets),
        cmocka_unit_test(denied_names_are_secret_however_they_are_spelt),
        cmocka_unit_test(tells_secrets_by_their_looks),
        cmocka_unit_test(looks_no_further_than_the_text),
        cmocka_unit_test(tells_names_from_data),
        cmocka_unit_test(targets),
        cmocka_unit_test(values),
        cmocka_unit_test(a_secret_is_known_beyond_what_is_shown),
        cmocka_unit_test(equal_values_hash_alike_and_others_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
