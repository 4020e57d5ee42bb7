/*
 * Heads that are written: byte for byte what the next recipient gets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "tests/proxy/h1_support.h"

static const struct config_limits limits = {.header_bytes = 65536, .header_count = 100, .uri_bytes = 65536};

/* No additions. */
static const struct config_headers bare = {.x_forwarded_for = HEADER_OFF,
                                           .x_forwarded_proto = HEADER_OFF,
                                           .x_forwarded_host = HEADER_OFF,
                                           .x_request_id = HEADER_OFF,
                                           .x_forwarded_client_cert = HEADER_OFF};
static const struct config_headers usual = {.via = true,
                                            .x_forwarded_for = HEADER_APPEND,
                                            .x_forwarded_proto = HEADER_SET,
                                            .x_forwarded_host = HEADER_SET,
                                            .x_request_id = HEADER_KEEP};

static struct h1_parser *read_head(const char *text, bool request, bool to_head)
{
    struct h1_parser *parser = h1_parser_new(&limits);
    assert_non_null(parser);
    if (request)
        h1_parser_start_request(parser, &limits);
    else
        h1_parser_start_response(parser, &limits, to_head);
    size_t head_bytes;
    enum h1_result result = h1_parser_read(parser, text, strlen(text), &head_bytes);
    if (result != H1_DONE)
        fail_msg("not read (%s): %s", result == H1_BAD ? h1_parser_fault(parser)->name : "more", text);
    return parser;
}

/* A copy with its NUL. Not strndup(): the strict sanitizer lets it look for a NUL where there is none. */
static char *text_of(const char *at, size_t length)
{
    char *text = malloc(length + 1);
    assert_non_null(text);
    memcpy(text, at, length);
    text[length] = '\0';
    return text;
}

/* Writes into a block of exactly the bound, so that a byte too many is noticed. */
static void check_request_head(const struct head *head, const struct h1_forward *forward, const char *expected)
{
    size_t bound = h1_request_bound(head, forward);
    char *to = malloc(bound);
    assert_non_null(to);
    size_t length = h1_write_request(to, head, forward);
    assert_true(length <= bound);
    char *text = text_of(to, length);
    assert_string_equal(text, expected);
    free(text);
    free(to);
}

static void check_response_head(const struct head *head, const struct h1_reply *reply, const char *expected)
{
    size_t bound = h1_response_bound(head, reply);
    char *to = malloc(bound);
    assert_non_null(to);
    size_t length = h1_write_response(to, head, reply);
    assert_true(length <= bound);
    char *text = text_of(to, length);
    assert_string_equal(text, expected);
    free(text);
    free(to);
}

static void check_request(const char *in, const struct h1_forward *forward, const char *expected)
{
    struct h1_parser *parser = read_head(in, true, false);
    check_request_head(h1_parser_head(parser), forward, expected);
    struct head other = *h1_parser_head(parser); /* the same as another codec would hand it over */
    other.lines.len = 0;
    other.plain = false;
    other.present = 0;
    check_request_head(&other, forward, expected);
    h1_parser_free(parser);
}

static void check_response(const char *in, bool to_head, const struct h1_reply *reply, const char *expected)
{
    struct h1_parser *parser = read_head(in, false, to_head);
    check_response_head(h1_parser_head(parser), reply, expected);
    struct head other = *h1_parser_head(parser);
    other.lines.len = 0;
    other.plain = false;
    other.present = 0;
    check_response_head(&other, reply, expected);
    h1_parser_free(parser);
}

/* ---- requests ---- */

static void keeps_order_case_and_duplicates(void **state)
{
    (void)state;
    const struct h1_forward forward = {.rules = &bare};
    check_request("GET /a%20b/../c?d=%zz&&=?e HTTP/1.1\r\nHOST: h:1\r\nb: 1\r\nA: 2\r\nB: 3\r\nb: 1\r\nx-Y: \r\n\r\n",
                  &forward,
                  "GET /a%20b/../c?d=%zz&&=?e HTTP/1.1\r\nHOST: h:1\r\nb: 1\r\nA: 2\r\nB: 3\r\nb: 1\r\nx-Y: \r\n\r\n");
    check_request("GET /? HTTP/1.1\r\nHost: h\r\n\r\n", &forward, "GET /? HTTP/1.1\r\nHost: h\r\n\r\n");
}

static void writes_fields_in_the_plain_form(void **state)
{
    (void)state;
    const struct h1_forward forward = {.rules = &bare};
    check_request("GET / HTTP/1.1\r\nHost:h\r\nA:  1 \t\r\nB:\t2\r\nC:\r\nD: 4\r\n\r\n", &forward,
                  "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: \r\nD: 4\r\n\r\n");
    check_request("GET / HTTP/1.1\r\nHost: h\r\nA: 1 \r\n\r\n", &forward, "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\n\r\n");
    check_request("GET / HTTP/1.1\r\nHost: h\r\nA:\t1\r\n\r\n", &forward, "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\n\r\n");
}

static void leaves_out_hop_by_hop_fields(void **state)
{
    (void)state;
    const struct h1_forward forward = {.rules = &bare};
    check_request("GET / HTTP/1.1\r\nConnection: keep-alive, x-a\r\nHost: h\r\nKeep-Alive: 5\r\nX-B: "
                  "1\r\nProxy-Connection: close\r\n"
                  "X-A: 2\r\nUpgrade: websocket\r\nTE: gzip\r\nTrailer: X-C\r\nX-D: 3\r\n\r\n",
                  &forward, "GET / HTTP/1.1\r\nHost: h\r\nX-B: 1\r\nTrailer: X-C\r\nX-D: 3\r\n\r\n");
    check_request("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-B: 1\r\nKeep-Alive: 5\r\nX-C: 1\r\n\r\n",
                  &forward, "GET / HTTP/1.1\r\nHost: h\r\nX-B: 1\r\nX-C: 1\r\n\r\n");
    check_request("GET / HTTP/1.1\r\nConnection: cookie, host, x-forwarded-for\r\nHost: h\r\nCookie: "
                  "a\r\nX-Forwarded-For: b\r\n\r\n",
                  &forward, "GET / HTTP/1.1\r\nHost: h\r\nCookie: a\r\nX-Forwarded-For: b\r\n\r\n");
}

static void writes_the_framing(void **state)
{
    (void)state;
    const struct h1_forward forward = {.rules = &bare};
    check_request("POST / HTTP/1.1\r\nHost: h\r\ncontent-length: 5\r\nX: y\r\n\r\n", &forward,
                  "POST / HTTP/1.1\r\nHost: h\r\ncontent-length: 5\r\nX: y\r\n\r\n");
    check_request("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 005\r\nX: y\r\n\r\n", &forward,
                  "POST / HTTP/1.1\r\nHost: h\r\nX: y\r\nContent-Length: 5\r\n\r\n");
    check_request("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", &forward,
                  "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    check_request("POST / HTTP/1.1\r\nHost: h\r\ntransfer-encoding: Chunked\r\nX: y\r\n\r\n", &forward,
                  "POST / HTTP/1.1\r\nHost: h\r\ntransfer-encoding: Chunked\r\nX: y\r\n\r\n");
    check_request("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073\r\n\r\n", &forward,
                  "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073\r\n\r\n");
}

static void the_head_decides_the_framing(void **state)
{
    (void)state;
    const struct h1_forward forward = {.rules = &bare};
    struct h1_parser *parser = read_head("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", true, false);
    struct head head = *h1_parser_head(parser);
    head.framing = FRAMING_CHUNKED;
    check_request_head(&head, &forward, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    head.framing = FRAMING_NONE;
    check_request_head(&head, &forward, "POST / HTTP/1.1\r\nHost: h\r\n\r\n");
    h1_parser_free(parser);

    parser = read_head("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", true, false);
    head = *h1_parser_head(parser);
    head.framing = FRAMING_LENGTH;
    head.content_length = 18446744073709551615u;
    check_request_head(&head, &forward, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n\r\n");
    h1_parser_free(parser);
}

static void turns_absolute_form_into_origin_form(void **state)
{
    (void)state;
    const struct h1_forward forward = {.rules = &bare};
    check_request("GET http://a:8/b?c HTTP/1.1\r\nX: y\r\nHost: other\r\n\r\n", &forward,
                  "GET /b?c HTTP/1.1\r\nHost: a:8\r\nX: y\r\n\r\n");
    check_request("GET http://a?c HTTP/1.1\r\nHost: a\r\n\r\n", &forward, "GET /?c HTTP/1.1\r\nHost: a\r\n\r\n");
    check_request("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", &forward, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    check_request("GET http://a/? HTTP/1.0\r\n\r\n", &forward, "GET /? HTTP/1.1\r\nHost: a\r\n\r\n");
    check_request("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", &forward, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    check_request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", &forward, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
}

static void an_old_client_gets_a_host(void **state)
{
    (void)state;
    const struct h1_forward forward = {.rules = &bare, .backend_host = {"new:3002", 8}};
    const struct h1_forward nobody = {.rules = &bare};
    check_request("GET / HTTP/1.0\r\nX: y\r\n\r\n", &forward, "GET / HTTP/1.1\r\nX: y\r\nHost: new:3002\r\n\r\n");
    check_request("GET / HTTP/1.0\r\n\r\n", &nobody, "GET / HTTP/1.1\r\nHost: \r\n\r\n");
    check_request("GET / HTTP/1.0\r\nHost: h\r\n\r\n", &forward, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
}

static void keeps_an_upgrade(void **state)
{
    (void)state;
    const struct h1_forward forward = {.rules = &bare};
    check_request(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: "
        "k\r\n\r\n",
        &forward,
        "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    check_request("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, TE, HTTP2-Settings\r\nUpgrade: h2c, foo/2\r\n"
                  "HTTP2-Settings: AAMA\r\nTE: trailers\r\n\r\n",
                  &forward,
                  "GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: Upgrade, TE\r\nUpgrade: foo/2\r\n\r\n");
    check_request("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
                  "AAMA\r\n\r\n",
                  &forward, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
}

static void keeps_expect_and_te_trailers(void **state)
{
    (void)state;
    const struct h1_forward forward = {.rules = &bare};
    check_request(
        "POST / HTTP/1.1\r\nHost: h\r\nTE: trailers, gzip\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
        &forward,
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\nTE: trailers\r\n"
        "Connection: TE\r\n\r\n");
    check_request("POST / HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", &forward,
                  "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n");
}

static void adds_what_the_rules_say(void **state)
{
    (void)state;
    struct h1_forward forward = {.rules = &usual, .client = {{192, 0, 2, 10}, 4}, .request_id = {"id-1", 4}};
    check_request(
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n", &forward,
        "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 shunt\r\nX-Forwarded-For: 192.0.2.10\r\nX-Forwarded-Proto: http\r\n"
        "X-Forwarded-Host: h\r\nX-Request-Id: id-1\r\n\r\n");
    forward.downstream_tls = true;
    forward.shadow = true;
    check_request("GET / HTTP/1.0\r\nHost: h\r\nVia: 1.0 a\r\nX-Forwarded-For: 1.1.1.1\r\nB: c\r\nx-forwarded-for: "
                  "2.2.2.2, 3.3.3.3\r\n"
                  "X-Forwarded-Proto: gopher\r\nX-Forwarded-Host: evil\r\nX-Request-Id: theirs\r\nvia: 1.1 b\r\n\r\n",
                  &forward,
                  "GET / HTTP/1.1\r\nHost: h\r\nB: c\r\nX-Request-Id: theirs\r\nVia: 1.0 a, 1.1 b, 1.0 shunt\r\n"
                  "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.10\r\nX-Forwarded-Proto: https\r\n"
                  "X-Forwarded-Host: h\r\nX-Shunt-Shadow: 1\r\n\r\n");
}

static void each_rule_does_what_it_says(void **state)
{
    (void)state;
    static const char in[] =
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: a\r\nX-Forwarded-Proto: b\r\nX-Forwarded-Host: c\r\n"
        "X-Request-Id: d\r\n\r\n";
    static const char none[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    const struct config_headers set = {.x_forwarded_for = HEADER_SET,
                                       .x_forwarded_proto = HEADER_SET,
                                       .x_forwarded_host = HEADER_SET,
                                       .x_request_id = HEADER_SET};
    const struct config_headers keep = {.x_forwarded_for = HEADER_KEEP,
                                        .x_forwarded_proto = HEADER_KEEP,
                                        .x_forwarded_host = HEADER_KEEP,
                                        .x_request_id = HEADER_KEEP};
    struct h1_forward forward = {.rules = &set, .client = {{10, 0, 0, 1}, 4}, .request_id = {"i", 1}};
    static const char ours[] = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: http\r\n"
                               "X-Forwarded-Host: h\r\nX-Request-Id: i\r\n\r\n";
    check_request(in, &forward, ours);
    check_request(none, &forward, ours);
    forward.rules = &keep;
    check_request(in, &forward, in);
    check_request(none, &forward, ours);
    forward.rules = &bare;
    check_request(in, &forward, in);
    check_request(none, &forward, none);
}

static void nobody_says_by_himself_that_he_was_verified(void **state)
{
    (void)state;
    static const char in[] = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Client-Cert: By=a\r\nA: b\r\n"
                             "x-forwarded-client-cert: By=c\r\n\r\n";
    static const char without[] = "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
    static const struct {
        enum config_header_rule rule;
        const char *verified, *out;
    } cases[] = {
        {HEADER_SET, "", without},
        {HEADER_SET, "Hash=1", "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nX-Forwarded-Client-Cert: Hash=1\r\n\r\n"},
        {HEADER_APPEND, "", without},
        {HEADER_APPEND, "Hash=1",
         "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nX-Forwarded-Client-Cert: By=a, By=c, Hash=1\r\n\r\n"},
        {HEADER_KEEP, "", in},
        {HEADER_KEEP, "Hash=1", in},
        {HEADER_OFF, "Hash=1", in},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config_headers rules = bare;
        rules.x_forwarded_client_cert = cases[i].rule;
        const struct h1_forward forward = {
            .rules = &rules, .client_certificate = {cases[i].verified, (uint32_t)strlen(cases[i].verified)}};
        check_request(in, &forward, cases[i].out);
    }
    struct config_headers keep = bare;
    keep.x_forwarded_client_cert = HEADER_KEEP;
    const struct h1_forward forward = {.rules = &keep, .client_certificate = {"Hash=1", 6}};
    check_request(without, &forward, "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nX-Forwarded-Client-Cert: Hash=1\r\n\r\n");
}

static void early_requests_say_so(void **state)
{
    (void)state;
    const struct h1_forward forward = {.rules = &bare, .early_data = true};
    check_request("GET / HTTP/1.1\r\nHost: h\r\n\r\n", &forward, "GET / HTTP/1.1\r\nHost: h\r\nEarly-Data: 1\r\n\r\n");
}

static void without_an_address_or_id_the_fields_stay(void **state)
{
    (void)state;
    const struct config_headers set = {.x_forwarded_for = HEADER_APPEND,
                                       .x_forwarded_proto = HEADER_OFF,
                                       .x_forwarded_host = HEADER_SET,
                                       .x_request_id = HEADER_SET};
    const struct h1_forward forward = {.rules = &set};
    static const char in[] = "GET / HTTP/1.0\r\nX-Forwarded-For: a\r\nX-Forwarded-For: b\r\nX-Request-Id: c\r\n"
                             "X-Forwarded-Host: d\r\n\r\n";
    check_request(
        in, &forward,
        "GET / HTTP/1.1\r\nX-Forwarded-For: a\r\nX-Forwarded-For: b\r\nX-Request-Id: c\r\nX-Forwarded-Host: d\r\n"
        "Host: \r\n\r\n");
}

static void writes_addresses(void **state)
{
    (void)state;
    static const char *const addresses[] = {
        "0.0.0.0",
        "255.255.255.255",
        "10.1.20.100",
        "::",
        "::1",
        "1::",
        "2001:db8::1",
        "2001:db8:0:1:1:1:1:1",
        "2001:0:0:1::1",
        "2001:db8::1:0:0:1",
        "fe80::1:2:3:4",
        "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7::",
        "ff02::fb",
        "abcd:ef01:2345:6789:abcd:ef01:2345:6789",
        "64:ff9b::102:304",
        "1:0:0:4:5:0:0:8",
        "0:1::",
        "::1:0:0:0:0",
    };
    const struct config_headers rules = {.x_forwarded_for = HEADER_SET,
                                         .x_forwarded_proto = HEADER_OFF,
                                         .x_forwarded_host = HEADER_OFF,
                                         .x_request_id = HEADER_OFF};
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        struct h1_forward forward = {.rules = &rules};
        bool six = strchr(addresses[i], ':') != NULL;
        forward.client.length = six ? 16 : 4;
        assert_int_equal(inet_pton(six ? AF_INET6 : AF_INET, addresses[i], forward.client.bytes), 1);
        char canonical[INET6_ADDRSTRLEN], expected[256];
        assert_non_null(inet_ntop(six ? AF_INET6 : AF_INET, forward.client.bytes, canonical, sizeof(canonical)));
        snprintf(expected, sizeof(expected), "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: %s\r\n\r\n", canonical);
        check_request("GET / HTTP/1.1\r\nHost: h\r\n\r\n", &forward, expected);
    }
    struct h1_forward mapped = {.rules = &rules, .client = {{[10] = 255, 255, 192, 0, 2, 1}, 16}};
    check_request("GET / HTTP/1.1\r\nHost: h\r\n\r\n", &mapped,
                  "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
}

/* ---- responses ---- */

static void keeps_a_response(void **state)
{
    (void)state;
    const struct h1_reply reply = {.rules = &bare, .framing = FRAMING_LENGTH, .client_minor = 1};
    check_response(
        "HTTP/1.1 200 Fine, thanks\r\nSet-Cookie: a\r\nServer: x\r\nset-cookie: b\r\nContent-Length: 3\r\n\r\n", false,
        &reply,
        "HTTP/1.1 200 Fine, thanks\r\nSet-Cookie: a\r\nServer: x\r\nset-cookie: b\r\nContent-Length: 3\r\n\r\n");
    check_response("HTTP/1.0 200\r\nContent-Length: 003\r\nA:b\r\n\r\n", false, &reply,
                   "HTTP/1.1 200 \r\nA: b\r\nContent-Length: 3\r\n\r\n");
}

static void a_response_loses_hop_by_hop_fields(void **state)
{
    (void)state;
    const struct h1_reply reply = {.rules = &usual, .framing = FRAMING_LENGTH, .client_minor = 1, .close = true};
    check_response(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, x-a\r\nKeep-Alive: timeout=5\r\nX-A: 1\r\nX-B: 2\r\nUpgrade: h2\r\n"
        "Content-Length: 3\r\nVia: 1.1 b\r\n\r\n",
        false, &reply,
        "HTTP/1.1 200 OK\r\nX-B: 2\r\nContent-Length: 3\r\nVia: 1.1 b, 1.1 shunt\r\nConnection: close\r\n\r\n");
}

static void writes_the_framing_of_responses(void **state)
{
    (void)state;
    struct h1_reply reply = {.rules = &bare, .framing = FRAMING_CHUNKED, .client_minor = 1};
    check_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n", false, &reply,
                   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n");
    check_response("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", false, &reply,
                   "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n");
    reply.framing = FRAMING_UNTIL_CLOSE;
    reply.close = true;
    check_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n", false, &reply,
                   "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n");
    reply.close = false;
    reply.framing = FRAMING_LENGTH;
    reply.keep_alive_10 = true;
    check_response("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", false, &reply,
                   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n");
}

static void responses_without_body(void **state)
{
    (void)state;
    const struct h1_reply reply = {.rules = &bare, .framing = FRAMING_NONE, .client_minor = 1};
    check_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, &reply,
                   "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    check_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, &reply, "HTTP/1.1 200 OK\r\n\r\n");
    check_response("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\n", false, &reply,
                   "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\n");
    check_response("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nA: b\r\n\r\n", false, &reply,
                   "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n");
}

static void interim_responses(void **state)
{
    (void)state;
    const struct h1_reply reply = {.rules = &usual, .framing = FRAMING_NONE, .client_minor = 1, .close = true};
    check_response("HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n", false, &reply,
                   "HTTP/1.1 100 Continue\r\n\r\n");
    check_response("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", false, &reply,
                   "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nVia: 1.1 shunt\r\n\r\n");
}

static void switching_protocols(void **state)
{
    (void)state;
    struct h1_reply reply = {.rules = &bare, .framing = FRAMING_NONE, .client_minor = 1};
    check_response("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: "
                   "websocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
                   false, &reply,
                   "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nUpgrade: websocket\r\nConnection: "
                   "Upgrade\r\n\r\n");
    check_response("HTTP/1.1 101 Switching Protocols\r\n\r\n", false, &reply,
                   "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n");
    reply.framing = FRAMING_LENGTH;
    reply.close = true;
    check_response(
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
        false, &reply,
        "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nUpgrade: websocket\r\nConnection: close, "
        "Upgrade\r\n\r\n");
}

static void adds_extra_lines(void **state)
{
    (void)state;
    static const char line[] = "Set-Cookie: side=new\r\n";
    const struct h1_reply reply = {
        .rules = &usual, .framing = FRAMING_LENGTH, .client_minor = 1, .extra = {line, sizeof(line) - 1}};
    check_response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, &reply,
                   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nVia: 1.1 shunt\r\nSet-Cookie: side=new\r\n\r\n");
}

static void writes_a_head_of_its_own(void **state)
{
    (void)state;
    const struct h1_reply reply = {.rules = &bare, .framing = FRAMING_LENGTH, .client_minor = 1, .close = true};
    const struct head head = {.status = 503, .minor = 1, .content_length = 12};
    check_response_head(&head, &reply,
                        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 12\r\nConnection: close\r\n\r\n");
}

/* ---- the small ones ---- */

static void writes_chunk_prefixes(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {
        0, 1, 15, 16, 255, 256, 0x1f4, 4095, 4096, 65535, 1u << 31, UINT64_MAX, UINT64_MAX / 16};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        char to[H1_CHUNK_PREFIX], expected[32];
        size_t length = h1_write_chunk_prefix(to, lengths[i]);
        int n = snprintf(expected, sizeof(expected), "%llx\r\n", (unsigned long long)lengths[i]);
        assert_int_equal(length, n);
        assert_memory_equal(to, expected, length);
    }
}

static void knows_reasons(void **state)
{
    (void)state;
    assert_string_equal(h1_reason(400), "Bad Request");
    assert_string_equal(h1_reason(431), "Request Header Fields Too Large");
    assert_string_equal(h1_reason(502), "Bad Gateway");
    assert_string_equal(h1_reason(777), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order_case_and_duplicates),
        cmocka_unit_test(writes_fields_in_the_plain_form),
        cmocka_unit_test(leaves_out_hop_by_hop_fields),
        cmocka_unit_test(writes_the_framing),
        cmocka_unit_test(the_head_decides_the_framing),
        cmocka_unit_test(turns_absolute_form_into_origin_form),
        cmocka_unit_test(an_old_client_gets_a_host),
        cmocka_unit_test(keeps_an_upgrade),
        cmocka_unit_test(keeps_expect_and_te_trailers),
        cmocka_unit_test(adds_what_the_rules_say),
        cmocka_unit_test(each_rule_does_what_it_says),
        cmocka_unit_test(nobody_says_by_himself_that_he_was_verified),
        cmocka_unit_test(early_requests_say_so),
        cmocka_unit_test(without_an_address_or_id_the_fields_stay),
        cmocka_unit_test(writes_addresses),
        cmocka_unit_test(keeps_a_response),
        cmocka_unit_test(a_response_loses_hop_by_hop_fields),
        cmocka_unit_test(writes_the_framing_of_responses),
        cmocka_unit_test(responses_without_body),
        cmocka_unit_test(interim_responses),
        cmocka_unit_test(switching_protocols),
        cmocka_unit_test(adds_extra_lines),
        cmocka_unit_test(writes_a_head_of_its_own),
        cmocka_unit_test(writes_chunk_prefixes),
        cmocka_unit_test(knows_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
