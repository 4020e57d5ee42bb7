/*
 * Values with units: what is read, what is refused, and that printing gives the same again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/scalar.h"

struct duration_case {
    const char *text;
    uint64_t ms;
    const char *printed;
};

static void durations_are_read_and_printed(void **state)
{
    static const struct duration_case cases[] = {
        {"0", 0, "0s"},          {"0s", 0, "0s"},
        {"1ms", 1, "1ms"},       {"1500ms", 1500, "1s500ms"},
        {"10s", 10000, "10s"},   {"60s", 60000, "1m"},
        {"5m", 300000, "5m"},    {"1h30m", 5400000, "1h30m"},
        {"24h", 86400000, "1d"}, {"1d1h1m1s1ms", 90061001, "1d1h1m1s1ms"},
        {"0s5ms", 5, "5ms"},     {"213503982334d", UINT64_C(213503982334) * 86400000, "213503982334d"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[SCALAR_TEXT_BYTES];
        uint64_t ms = 99;
        assert_int_equal(scalar_duration(cases[i].text, &ms), SCALAR_OK);
        assert_true(ms == cases[i].ms);
        scalar_print_duration(ms, out);
        assert_string_equal(out, cases[i].printed);
        assert_int_equal(scalar_duration(out, &ms), SCALAR_OK);
        assert_true(ms == cases[i].ms);
    }
}

struct refused {
    const char *text;
    enum scalar_result result;
};

static void bad_durations_are_refused(void **state)
{
    static const struct refused cases[] = {
        {"", SCALAR_MALFORMED},
        {"s", SCALAR_MALFORMED},
        {"5", SCALAR_NO_UNIT},
        {"1s5", SCALAR_NO_UNIT},
        {"1s0", SCALAR_NO_UNIT},
        {"1x", SCALAR_MALFORMED},
        {"1s1m", SCALAR_MALFORMED},
        {"1s1s", SCALAR_MALFORMED},
        {"1.5s", SCALAR_MALFORMED},
        {" 1s", SCALAR_MALFORMED},
        {"1s ", SCALAR_MALFORMED},
        {"+1s", SCALAR_MALFORMED},
        {"-1s", SCALAR_MALFORMED},
        {"1S", SCALAR_MALFORMED},
        {"99999999999999999999s", SCALAR_TOO_LARGE},
        {"213503982335d", SCALAR_TOO_LARGE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t ms = 99;
        assert_int_equal(scalar_duration(cases[i].text, &ms), cases[i].result);
        assert_true(ms == 99);
    }
}

static void sizes_are_read_and_printed(void **state)
{
    static const struct duration_case cases[] = {
        {"0", 0, "0B"},
        {"1B", 1, "1B"},
        {"1023B", 1023, "1023B"},
        {"1KiB", 1024, "1KiB"},
        {"1kB", 1000, "1000B"},
        {"1KB", 1000, "1000B"},
        {"1MB", 1000000, "1000000B"},
        {"64KiB", 65536, "64KiB"},
        {"1024KiB", 1 << 20, "1MiB"},
        {"3GiB", UINT64_C(3) << 30, "3GiB"},
        {"2GB", 2000000000, "1953125KiB"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[SCALAR_TEXT_BYTES];
        uint64_t bytes = 99;
        assert_int_equal(scalar_size(cases[i].text, &bytes), SCALAR_OK);
        assert_true(bytes == cases[i].ms);
        scalar_print_size(bytes, out);
        assert_string_equal(out, cases[i].printed);
    }
}

static void bad_sizes_are_refused(void **state)
{
    static const struct refused cases[] = {
        {"", SCALAR_MALFORMED},       {"1024", SCALAR_NO_UNIT},    {"1K", SCALAR_MALFORMED},
        {"1kiB", SCALAR_MALFORMED},   {"1KiBB", SCALAR_MALFORMED}, {"1MiB1KiB", SCALAR_MALFORMED},
        {"1.5MiB", SCALAR_MALFORMED}, {"-1B", SCALAR_MALFORMED},   {"99999999999GiB", SCALAR_TOO_LARGE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t bytes = 99;
        assert_int_equal(scalar_size(cases[i].text, &bytes), cases[i].result);
        assert_true(bytes == 99);
    }
}

static void shares_are_steps_of_a_hundredth(void **state)
{
    static const struct duration_case cases[] = {
        {"0", 0, "0%"},
        {"100", SHARE_ALL, "100%"},
        {"100%", SHARE_ALL, "100%"},
        {"12.5", 1250, "12.5%"},
        {"12.50%", 1250, "12.5%"},
        {"0.01%", 1, "0.01%"},
        {"99.99", 9999, "99.99%"},
        {"1.000%", 100, "1%"},
        {"007", 700, "7%"},
    };
    static const struct refused bad[] = {
        {"", SCALAR_MALFORMED},           {"%", SCALAR_MALFORMED},         {"1%%", SCALAR_MALFORMED},
        {"1 %", SCALAR_MALFORMED},        {".5", SCALAR_MALFORMED},        {"5.", SCALAR_MALFORMED},
        {"1.2.3", SCALAR_MALFORMED},      {"0.001", SCALAR_TOO_FINE},      {"1e2", SCALAR_MALFORMED},
        {"nan", SCALAR_MALFORMED},        {"0x1", SCALAR_MALFORMED},       {"-1", SCALAR_MALFORMED},
        {"9999999999", SCALAR_TOO_LARGE}, {"999999999", SCALAR_TOO_LARGE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[SCALAR_TEXT_BYTES];
        uint32_t share = 99;
        assert_int_equal(scalar_share(cases[i].text, &share), SCALAR_OK);
        assert_int_equal(share, cases[i].ms);
        scalar_print_share(share, out);
        assert_string_equal(out, cases[i].printed);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint32_t share = 77;
        assert_int_equal(scalar_share(bad[i].text, &share), bad[i].result);
        assert_int_equal(share, 77);
    }
}

static void every_share_prints_to_itself(void **state)
{
    (void)state;
    for (uint32_t share = 0; share <= SHARE_ALL; share++) {
        char out[SCALAR_TEXT_BYTES];
        uint32_t again = 0;
        scalar_print_share(share, out);
        assert_int_equal(scalar_share(out, &again), SCALAR_OK);
        assert_int_equal(again, share);
    }
}

static void rates_need_their_sign(void **state)
{
    double rate = 7;
    (void)state;
    assert_int_equal(scalar_rate("2", &rate), SCALAR_NO_UNIT);
    assert_int_equal(scalar_rate("2 %", &rate), SCALAR_MALFORMED);
    assert_int_equal(scalar_rate("0.0000000001%", &rate), SCALAR_TOO_FINE);
    assert_true(rate == 7);
    assert_int_equal(scalar_rate("2%", &rate), SCALAR_OK);
    assert_true(rate == 0.02);
    assert_int_equal(scalar_rate("0.01%", &rate), SCALAR_OK);
    assert_true(rate == 0.0001);
    assert_int_equal(scalar_rate("100.00%", &rate), SCALAR_OK);
    assert_true(rate == 1.0);
}

static void rates_and_decimals_print_to_themselves(void **state)
{
    static const char *const texts[] = {"0%",          "0.01%",        "0.1%",        "0.5%",      "1%",
                                        "2%",          "5%",           "7%",          "14%",       "29%",
                                        "33.3333%",    "57%",          "99.9999%",    "100%",      "1000%",
                                        "99.9999999%", "0.000000001%", "12345.6789%", "999999999%"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char out[SCALAR_TEXT_BYTES];
        double value = -1;
        assert_int_equal(scalar_rate(texts[i], &value), SCALAR_OK);
        scalar_print_rate(value, out);
        assert_string_equal(out, texts[i]);
    }
    for (unsigned i = 0; i < 100000; i += 7) {
        char text[SCALAR_TEXT_BYTES];
        char out[SCALAR_TEXT_BYTES];
        double value = -1;
        double again = -2;
        (void)snprintf(text, sizeof(text), "%u.%03u", i / 1000, i % 1000);
        assert_int_equal(scalar_decimal(text, &value), SCALAR_OK);
        assert_true(value == strtod(text, NULL));
        scalar_print_decimal(value, out);
        assert_int_equal(scalar_decimal(out, &again), SCALAR_OK);
        assert_true(value == again);
    }
}

static void addresses_are_taken_apart(void **state)
{
    struct config_arena *arena = config_arena_new();
    struct config_address address;
    const char *why = NULL;
    (void)state;
    assert_non_null(arena);
    assert_true(scalar_address(arena, "0.0.0.0:8080", &address, &why));
    assert_string_equal(address.host, "0.0.0.0");
    assert_int_equal(address.port, 8080);
    assert_null(address.unix_path);
    assert_true(scalar_address(arena, "[::1]:0", &address, &why));
    assert_string_equal(address.host, "::1");
    assert_int_equal(address.port, 0);
    assert_string_equal(address.text, "[::1]:0");
    assert_true(scalar_address(arena, "unix:/run/a.sock", &address, &why));
    assert_null(address.host);
    assert_string_equal(address.unix_path, "/run/a.sock");
    assert_true(scalar_address(arena, "api_1.example.com:65535", &address, &why));
    assert_int_equal(address.port, 65535);
    assert_false(scalar_address(arena, "[]:1", &address, &why));
    assert_non_null(why);
    config_arena_free(arena);
}

static void backend_urls_are_taken_apart(void **state)
{
    struct config_arena *arena = config_arena_new();
    struct config_address address;
    const char *why = NULL;
    (void)state;
    assert_non_null(arena);
    assert_true(scalar_backend_url(arena, "http://backend", &address, &why));
    assert_string_equal(address.host, "backend");
    assert_int_equal(address.port, 80);
    assert_true(scalar_backend_url(arena, "http://[fe80::1]:3001/", &address, &why));
    assert_string_equal(address.host, "fe80::1");
    assert_int_equal(address.port, 3001);
    assert_true(scalar_backend_url(arena, "https://backend/", &address, &why));
    assert_string_equal(address.host, "backend");
    assert_int_equal(address.port, 443);
    assert_true(scalar_backend_url(arena, "https://[::1]:8443", &address, &why));
    assert_int_equal(address.port, 8443);
    assert_true(scalar_is_https("https://[::1]:8443"));
    assert_false(scalar_is_https("http://https://"));
    assert_false(scalar_is_https("unix:/https://"));
    assert_true(scalar_backend_url(arena, "http+unix:/run/b.sock", &address, &why));
    assert_string_equal(address.unix_path, "/run/b.sock");
    assert_true(scalar_backend_url(arena, "unix:/run/b.sock", &address, &why));
    assert_string_equal(address.unix_path, "/run/b.sock");
    config_arena_free(arena);
}

static void server_names_are_hosts_without_a_port(void **state)
{
    static const char *const good[] = {"a", "api.example.com", "api.example.com.", "127.0.0.1", "::1", "fe80::1:2"};
    static const struct {
        const char *text;
        const char *why;
    } bad[] = {
        {"", "the host is missing"},
        {"a:443", "it has a colon and is no IPv6 address"},
        {"[::1]", "it has a colon and is no IPv6 address"},
        {"300.1.1.1", "the host is no IPv4 address"},
        {"*.example.com", "the host is neither a name nor an address"},
        {"a b", "the host is neither a name nor an address"},
        {".", "the host is no IPv4 address"},
    };
    const char *why = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(scalar_server_name(good[i], &why));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(scalar_server_name(bad[i].text, &why));
        assert_string_equal(why, bad[i].why);
    }
}

static void loopback_is_what_only_this_machine_reaches(void **state)
{
    static const char *const inside[] = {"127.0.0.1:1", "127.9.9.9:1",         "[::1]:1", "localhost:1", "LOCALHOST:1",
                                         "unix:/a",     "[::ffff:127.0.0.1]:1"};
    static const char *const outside[] = {"0.0.0.0:1",           "[::]:1",     "10.0.0.1:1", "localhost.example.com:1",
                                          "[::ffff:10.0.0.1]:1", "128.0.0.1:1"};
    struct config_arena *arena = config_arena_new();
    struct config_address address;
    const char *why = NULL;
    (void)state;
    assert_non_null(arena);
    for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
        assert_true(scalar_address(arena, inside[i], &address, &why));
        assert_true(scalar_is_loopback(&address));
    }
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        assert_true(scalar_address(arena, outside[i], &address, &why));
        assert_false(scalar_is_loopback(&address));
    }
    config_arena_free(arena);
}

static void statuses_are_classes_single_ones_and_ranges(void **state)
{
    static const struct {
        const char *text;
        unsigned from, to;
        const char *printed;
    } cases[] = {
        {"2xx", 200, 299, "2xx"},         {"5xx", 500, 599, "5xx"},     {"404", 404, 404, "404"},
        {"200-204", 200, 204, "200-204"}, {"400-499", 400, 499, "4xx"}, {"503-503", 503, 503, "503"},
        {"200-599", 200, 599, "200-599"},
    };
    static const char *const bad[] = {"",    "1xx",     "6xx",  "5x",       "5XX",       "199",    "600",
                                      "40a", "204-200", "200-", "200-2040", "200 - 204", "404-xx", "-404"};
    uint16_t from = 0;
    uint16_t to = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[SCALAR_TEXT_BYTES];
        assert_true(scalar_statuses(cases[i].text, &from, &to));
        assert_int_equal(from, cases[i].from);
        assert_int_equal(to, cases[i].to);
        scalar_print_statuses(from, to, out);
        assert_string_equal(out, cases[i].printed);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(scalar_statuses(bad[i], &from, &to));
}

static void web_urls_may_have_a_path_and_no_user(void **state)
{
    static const char *const good[] = {"http://a", "https://a.example.com:8443/b/c?d=e%20f", "http://[::1]:9000/",
                                       "https://10.0.0.1?x=@", "http://a/user@host"};
    static const struct {
        const char *text;
        const char *why;
    } bad[] = {
        {"", "it begins neither with http:// nor with https://"},
        {"HTTP://a", "it begins neither with http:// nor with https://"},
        {"unix:/run/a", "it begins neither with http:// nor with https://"},
        {"https://u:p@a/", "it holds a user or a password"},
        {"https://a/b c", "it holds a blank or a byte beyond ASCII"},
        {"https://a/\xc3\xa9", "it holds a blank or a byte beyond ASCII"},
        {"https://a/\r\nX: y", "it holds a blank or a byte beyond ASCII"},
        {"https://a/#b", "it has a fragment, which is never sent"},
        {"https://", "the host is missing"},
        {"https:///a", "the host is missing"},
    };
    struct config_arena *arena = config_arena_new();
    (void)state;
    assert_non_null(arena);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        const char *why = NULL;
        if (!scalar_web_url(arena, good[i], &why))
            fail_msg("%s: %s", good[i], why);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *why = NULL;
        assert_false(scalar_web_url(arena, bad[i].text, &why));
        assert_non_null(why);
        assert_string_equal(why, bad[i].why);
    }
    config_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_and_printed),
        cmocka_unit_test(bad_durations_are_refused),
        cmocka_unit_test(sizes_are_read_and_printed),
        cmocka_unit_test(bad_sizes_are_refused),
        cmocka_unit_test(shares_are_steps_of_a_hundredth),
        cmocka_unit_test(every_share_prints_to_itself),
        cmocka_unit_test(rates_need_their_sign),
        cmocka_unit_test(rates_and_decimals_print_to_themselves),
        cmocka_unit_test(addresses_are_taken_apart),
        cmocka_unit_test(backend_urls_are_taken_apart),
        cmocka_unit_test(statuses_are_classes_single_ones_and_ranges),
        cmocka_unit_test(web_urls_may_have_a_path_and_no_user),
        cmocka_unit_test(server_names_are_hosts_without_a_port),
        cmocka_unit_test(loopback_is_what_only_this_machine_reaches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
