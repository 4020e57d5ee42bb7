/*
 * Header sections of HTTP/2 as heads: what is understood, what would smuggle, and where the limits are.
 */
#include "proxy/h2_block.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/proxy/h2_support.h"

#define GET                                                                                                            \
    {":method", "GET"}, {":scheme", "http"}, {":path", "/a?b"},                                                        \
    {                                                                                                                  \
        ":authority", "shop.test"                                                                                      \
    }
#define POST                                                                                                           \
    {":method", "POST"}, {":scheme", "http"}, {":path", "/"},                                                          \
    {                                                                                                                  \
        ":authority", "shop.test"                                                                                      \
    }
#define SECTION(...) ((const struct pair_of_text[]){__VA_ARGS__, {NULL, NULL}})

static int set_up(void **state)
{
    static struct bench bench;
    *state = &bench;
    return bench_open(&bench) ? 0 : -1;
}

static int tear_down(void **state)
{
    bench_close(*state);
    return 0;
}

/* Reads the section; the text it became goes to `room`. */
static enum h2_block_result read_request(struct bench *bench, const struct pair_of_text *pairs, bool ended,
                                         struct head *head, char room[4096])
{
    struct slice text;
    struct h2_block *block = block_of(bench, pairs);
    assert_non_null(block);
    enum h2_block_result result = h2_block_request(block, bench->parser, &bench->config.limits, ended, head, &text);
    room[0] = '\0';
    if (result == H2_BLOCK_DONE) {
        assert_true(text.len < 4096);
        memcpy(room, text.at, text.len);
        room[text.len] = '\0';
        assert_true(head->http2 && head->minor == 1 && head->keep_alive);
        chunk_unref(text.chunk);
    } else {
        assert_null(text.chunk);
    }
    h2_block_give(bench->worker, block);
    return result;
}

static void becomes(void **state, const struct pair_of_text *pairs, bool ended, enum framing framing, const char *text)
{
    struct head head;
    char room[4096];
    assert_int_equal(read_request(*state, pairs, ended, &head, room), H2_BLOCK_DONE);
    assert_string_equal(room, text);
    assert_int_equal(head.framing, framing);
}

static void is_refused(void **state, const struct pair_of_text *pairs, unsigned status)
{
    struct head head;
    char room[4096];
    struct bench *bench = *state;
    assert_int_equal(read_request(bench, pairs, true, &head, room), H2_BLOCK_BAD);
    assert_int_equal(h1_parser_fault(bench->parser)->status, status);
}

static void a_request_is_what_it_is_in_http1(void **state)
{
    becomes(state, SECTION(GET, {"accept", "*/*"}, {"x-a", "1"}, {"x-a", "2"}, {"x-empty", ""}), true, FRAMING_NONE,
            "GET /a?b HTTP/1.1\r\nhost: shop.test\r\naccept: */*\r\nx-a: 1\r\nx-a: 2\r\nx-empty: \r\n\r\n");
}

static void crumbs_of_cookies_are_one_field(void **state)
{
    becomes(state, SECTION(GET, {"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}, {"cookie", "c=3; d=4"}), true,
            FRAMING_NONE, "GET /a?b HTTP/1.1\r\nhost: shop.test\r\nx: y\r\ncookie: a=1; b=2; c=3; d=4\r\n\r\n");
}

static void the_end_of_the_body_is_known(void **state)
{
    const char *text = "POST / HTTP/1.1\r\nhost: shop.test\r\n\r\n";
    becomes(state, SECTION(POST), false, FRAMING_CHUNKED, text);
    becomes(state, SECTION(POST), true, FRAMING_LENGTH, text); /* of none: who takes a POST is told so */
    becomes(state, SECTION(POST, {"content-length", "3"}), false, FRAMING_LENGTH,
            "POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 3\r\n\r\n");
    becomes(state, SECTION(GET), true, FRAMING_NONE, "GET /a?b HTTP/1.1\r\nhost: shop.test\r\n\r\n");
}

static void host_and_authority_may_agree(void **state)
{
    const char *text = "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n";
    const struct pair_of_text front[] = {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}};
    becomes(state, SECTION(front[0], front[1], front[2], {":authority", "a"}, {"host", "A"}, {"x", "y"}), true,
            FRAMING_NONE, text);
    becomes(state, SECTION(front[0], front[1], front[2], {"host", "a"}, {"x", "y"}), true, FRAMING_NONE, text);
    is_refused(state, SECTION(front[0], front[1], front[2], {":authority", "a"}, {"host", "b"}), 400);
    is_refused(state, SECTION(front[0], front[1], front[2], {"host", "a"}, {"host", "a"}), 400);
    is_refused(state, SECTION(front[0], front[1], front[2]), 400);
}

static void what_would_smuggle_is_refused(void **state)
{
    is_refused(state, SECTION(GET, {"x", "a\r\ny: b"}), 400);
    is_refused(state, SECTION(GET, {"x", "a\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a"}), 400);
    is_refused(state, SECTION(GET, {"x\r\ny", "a"}), 400);
    is_refused(state, SECTION(GET, {"", "a"}), 400);
    is_refused(state, SECTION({":method", "GET /x"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a"}), 400);
    is_refused(state,
               SECTION({":method", "GET"}, {":scheme", "http"}, {":path", "/ HTTP/1.1\r\nx: y"}, {":authority", "a"}),
               400);
    is_refused(state, SECTION({":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a\r\nx: y"}),
               400);
    is_refused(state, SECTION(POST, {"content-length", "3"}, {"content-length", "4"}), 400);
    is_refused(state, SECTION(POST, {"content-length", "+3"}), 400);
}

static void connect_is_only_for_websockets(void **state)
{
    is_refused(state, SECTION({":method", "CONNECT"}, {":authority", "a:443"}), 501);
    is_refused(state,
               SECTION({":method", "CONNECT"}, {":protocol", "other"}, {":scheme", "http"}, {":path", "/"},
                       {":authority", "a"}),
               501);
    struct head head;
    char room[4096];
    assert_int_equal(read_request(*state,
                                  SECTION({":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"},
                                          {":path", "/chat"}, {":authority", "a"}, {"sec-websocket-version", "13"}),
                                  false, &head, room),
                     H2_BLOCK_DONE);
    assert_true(head.upgrade && head.is_get && head.framing == FRAMING_NONE);
    static const char begin[] =
        "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: ";
    assert_memory_equal(room, begin, sizeof(begin) - 1);
    assert_string_equal(room + sizeof(begin) - 1 + 24, "\r\nsec-websocket-version: 13\r\n\r\n");
}

static void limits_hold_and_the_section_is_read_on(void **state)
{
    struct bench *bench = *state;
    static char large[3000];
    memset(large, 'x', sizeof(large) - 1);
    is_refused(state, SECTION(GET, {"a", large}, {"b", large}, {"c", "1"}), 431);
    struct h2_block *block = block_of(bench, SECTION(GET));
    uint32_t most = bench->config.limits.header_count * 3;
    for (uint32_t i = 0; i < most; i++)
        assert_true(h2_block_add(block, text_of("x"), text_of("y")));
    struct head head;
    struct slice text;
    assert_int_equal(h2_block_request(block, bench->parser, &bench->config.limits, true, &head, &text), H2_BLOCK_BAD);
    assert_int_equal(h1_parser_fault(bench->parser)->status, 431);
    bool patient = true; /* but not for ever: a bomb of HPACK is 4 KB for each byte */
    for (int i = 0; i < 20 && patient; i++)
        patient = h2_block_add(block, text_of("x"), text_of(large));
    assert_false(patient);
    h2_block_give(bench->worker, block);
}

static void a_block_is_empty_when_it_is_taken_again(void **state)
{
    struct bench *bench = *state;
    struct h2_block *block = block_of(bench, SECTION(GET, {"cookie", "a"}, {"x", "y"}));
    assert_int_equal(h2_block_count(block), 2);
    h2_block_give(bench->worker, block);
    assert_ptr_equal(h2_block_take(bench->worker), block);
    assert_int_equal(h2_block_count(block), 0);
    h2_block_give(bench->worker, block);
    becomes(state, SECTION(GET), true, FRAMING_NONE, "GET /a?b HTTP/1.1\r\nhost: shop.test\r\n\r\n");
}

static void trailers_are_lines_without_what_may_not_be_there(void **state)
{
    struct bench *bench = *state;
    struct h2_block *block =
        block_of(bench, SECTION({"grpc-status", "0"}, {"content-length", "5"}, {"x-a", "1"}, {"x-b", ""}));
    struct text trailers = h2_block_trailers(block);
    static const char lines[] = "grpc-status: 0\r\nx-a: 1\r\nx-b: \r\n";
    assert_int_equal(trailers.len, sizeof(lines) - 1);
    assert_memory_equal(trailers.at, lines, sizeof(lines) - 1);
    h2_block_give(bench->worker, block);
}

static void a_head_request_is_known_before_it_is_read(void **state)
{
    struct bench *bench = *state;
    struct h2_block *block = block_of(bench, SECTION({":method", "HEAD"}, {":path", "/ /"}));
    assert_true(h2_block_asks_head(block));
    h2_block_give(bench->worker, block);
    block = block_of(bench, SECTION(GET));
    assert_false(h2_block_asks_head(block));
    h2_block_give(bench->worker, block);
}

static void response_becomes(struct bench *bench, const struct pair_of_text *pairs, bool to_head, bool ended,
                             enum framing framing)
{
    struct head head;
    struct slice text;
    struct h2_block *block = block_of(bench, pairs);
    assert_int_equal(h2_block_response(block, bench->parser, &bench->config.limits, to_head, ended,
                                       (struct text){NULL, 0}, &head, &text),
                     H2_BLOCK_DONE);
    assert_int_equal(head.framing, framing);
    assert_int_equal(head.status, atoi(pairs[0].value));
    assert_string_equal(head.reason.at, h1_reason(head.status));
    assert_true(head.http2);
    chunk_unref(text.chunk);
    h2_block_give(bench->worker, block);
}

static void a_granted_extended_connect_reads_as_the_upgrade_it_stands_for(void **state)
{
    struct bench *bench = *state;
    struct head head;
    struct slice text;
    struct h2_block *block = block_of(bench, SECTION({":status", "200"}, {"sec-websocket-protocol", "chat"}));
    assert_int_equal(
        h2_block_response(block, bench->parser, &bench->config.limits, false, false, text_of("key"), &head, &text),
        H2_BLOCK_DONE);
    assert_int_equal(head.status, 101);
    assert_true(head.upgrade);
    chunk_unref(text.chunk);
    h2_block_give(bench->worker, block);
}

static void responses_end_with_their_stream(void **state)
{
    response_becomes(*state, SECTION({":status", "200"}, {"x", "y"}), false, false, FRAMING_CHUNKED);
    response_becomes(*state, SECTION({":status", "200"}, {"content-length", "5"}), false, false, FRAMING_LENGTH);
    response_becomes(*state, SECTION({":status", "200"}, {"content-length", "5"}), true, true, FRAMING_NONE);
    response_becomes(*state, SECTION({":status", "503"}), false, true, FRAMING_NONE);
    response_becomes(*state, SECTION({":status", "304"}), false, true, FRAMING_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_what_it_is_in_http1),
        cmocka_unit_test(crumbs_of_cookies_are_one_field),
        cmocka_unit_test(the_end_of_the_body_is_known),
        cmocka_unit_test(host_and_authority_may_agree),
        cmocka_unit_test(what_would_smuggle_is_refused),
        cmocka_unit_test(connect_is_only_for_websockets),
        cmocka_unit_test(limits_hold_and_the_section_is_read_on),
        cmocka_unit_test(a_block_is_empty_when_it_is_taken_again),
        cmocka_unit_test(trailers_are_lines_without_what_may_not_be_there),
        cmocka_unit_test(a_head_request_is_known_before_it_is_read),
        cmocka_unit_test(responses_end_with_their_stream),
        cmocka_unit_test(a_granted_extended_connect_reads_as_the_upgrade_it_stands_for),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
