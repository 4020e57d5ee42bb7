/*
 * Texts of HTTP/1.1 as fields of HTTP/2: order, names in lower case, what is for one connection only, crumbs of
 * cookies.
 */
#include "proxy/h2_fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "router/text.h"

/* "name=value;" for each. */
static const char *print(const struct h2_fields *fields)
{
    static char line[2048];
    size_t len = 0;
    for (size_t i = 0; i < fields->count; i++) {
        const nghttp2_nv *nv = &fields->at[i];
        int n = snprintf(line + len, sizeof(line) - len, "%.*s=%.*s;", (int)nv->namelen, (const char *)nv->name,
                         (int)nv->valuelen, (const char *)nv->value);
        assert_true(n > 0 && (size_t)n < sizeof(line) - len);
        len += (size_t)n;
    }
    line[len] = '\0';
    return line;
}

static void request_becomes(const char *text, bool tls, const char *expected)
{
    struct h2_fields fields = {0};
    assert_true(h2_fields_request(&fields, text_of(text), tls));
    assert_string_equal(print(&fields), expected);
    h2_fields_done(&fields);
}

static void response_becomes(const char *text, unsigned status, const char *expected)
{
    struct h2_fields fields = {0};
    assert_true(h2_fields_response(&fields, text_of(text), status));
    assert_string_equal(print(&fields), expected);
    h2_fields_done(&fields);
}

static void a_request(void **state)
{
    (void)state;
    request_becomes("GET /a?b HTTP/1.1\r\nX-First: One\r\nHost: shop.test:81\r\nX-Empty:\r\nX-Two:  a b \t\r\n\r\n",
                    false,
                    ":method=GET;:scheme=http;:path=/a?b;:authority=shop.test:81;x-first=One;x-empty=;x-two=a b;");
    request_becomes("OPTIONS * HTTP/1.1\r\nHost: \r\nA: b\r\n\r\n", true, ":method=OPTIONS;:scheme=https;:path=*;a=b;");
}

static void what_is_for_one_connection_only_is_left_out(void **state)
{
    (void)state;
    request_becomes("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: TE\r\nKeep-Alive: "
                    "5\r\nTE: trailers\r\n"
                    "Proxy-Connection: x\r\nUpgrade: h2c\r\nX: y\r\n\r\n",
                    false, ":method=POST;:scheme=http;:path=/;:authority=a;te=trailers;x=y;");
    request_becomes("GET / HTTP/1.1\r\nHost: a\r\nTE: gzip\r\n\r\n", false,
                    ":method=GET;:scheme=http;:path=/;:authority=a;");
    response_becomes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nServer: X\r\n\r\n", 200,
                     ":status=200;server=X;");
}

static void cookies_of_requests_come_in_crumbs(void **state)
{
    (void)state;
    request_becomes("GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2;c=3; ;d\r\n\r\n", false,
                    ":method=GET;:scheme=http;:path=/;:authority=a;cookie=a=1;cookie=b=2;cookie=c=3;cookie=d;");
    response_becomes("HTTP/1.1 200 OK\r\nCookie: a; b\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b\r\n\r\n", 200,
                     ":status=200;cookie=a; b;set-cookie=a=1; Path=/;set-cookie=b;");
}

static void an_upgrade_to_websocket_is_an_extended_connect(void **state)
{
    (void)state;
    struct h2_fields fields = {0};
    assert_true(
        h2_fields_request(&fields,
                          text_of("GET /chat HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: abc\r\nConnection: Upgrade\r\n"
                                  "Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\r\n"),
                          false));
    assert_string_equal(print(&fields), ":method=CONNECT;:scheme=http;:path=/chat;:authority=a;:protocol=websocket;"
                                        "sec-websocket-version=13;");
    assert_true(text_equals(fields.websocket_key, "abc", 3));
    h2_fields_done(&fields);
}

static void the_status_is_the_one_given(void **state)
{
    (void)state;
    struct h2_fields fields = {0};
    assert_true(h2_fields_response(
        &fields, text_of("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nA: b\r\n\r\n"), 200));
    h2_fields_drop(&fields, "sec-websocket-accept");
    assert_string_equal(print(&fields), ":status=200;a=b;");
    h2_fields_drop(&fields, "not-there");
    assert_string_equal(print(&fields), ":status=200;a=b;");
    h2_fields_done(&fields);
}

static void trailers_have_no_pseudo_headers(void **state)
{
    (void)state;
    struct h2_fields fields = {0};
    assert_true(h2_fields_trailers(&fields, text_of("Grpc-Status: 0\r\ngrpc-message: all well\r\n")));
    assert_string_equal(print(&fields), "grpc-status=0;grpc-message=all well;");
    assert_true(h2_fields_trailers(&fields, (struct text){NULL, 0}));
    assert_int_equal(fields.count, 0);
    h2_fields_done(&fields);
}

static void a_text_may_be_written_in_its_place(void **state)
{
    (void)state;
    struct h2_fields fields = {0};
    static const char text[] = "HTTP/1.1 404 Not Found\r\nA-B: c\r\n\r\n";
    for (int i = 0; i < 3; i++) {
        char *room = h2_fields_room(&fields, sizeof(text));
        assert_non_null(room);
        memcpy(room, text, sizeof(text) - 1);
        assert_true(h2_fields_response(&fields, (struct text){room, sizeof(text) - 1}, 404));
        assert_string_equal(print(&fields), ":status=404;a-b=c;");
    }
    h2_fields_done(&fields);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request),
        cmocka_unit_test(what_is_for_one_connection_only_is_left_out),
        cmocka_unit_test(cookies_of_requests_come_in_crumbs),
        cmocka_unit_test(an_upgrade_to_websocket_is_an_extended_connect),
        cmocka_unit_test(the_status_is_the_one_given),
        cmocka_unit_test(trailers_have_no_pseudo_headers),
        cmocka_unit_test(a_text_may_be_written_in_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
