/*
 * Bodies: counted, chunked and until the end, each read in one piece, byte by byte, and cut in two at every place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/proxy/h1_support.h"

struct body_case {
    const char *name;
    struct bytes bytes;
    const char *fault; /* NULL: complete; "more": not complete */
    const char *data;  /* what comes out of it, up to the fault too */
    const char *trailers;
    size_t left; /* bytes behind the body */
    size_t by;   /* refused at this byte; 0: wherever */
};

#define X16   "xxxxxxxxxxxxxxxx"
#define X64   X16 X16 X16 X16
#define X256  X64 X64 X64 X64
#define X1024 X256 X256 X256 X256

#pragma GCC diagnostic ignored "-Wmissing-field-initializers" /* most cases need only the first columns */
static const struct body_case chunked[] = {
    {"empty", BYTES("0\r\n\r\n"), NULL, "", ""},
    {"one", BYTES("5\r\nhello\r\n0\r\n\r\n"), NULL, "hello", ""},
    {"two", BYTES("5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n"), NULL, "hello, world", ""},
    {"more behind it", BYTES("1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n"), NULL, "a", "", 16},
    {"letters", BYTES("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), NULL, "01234567890123456789", ""},
    {"leading zeros", BYTES("0000000000000001\r\na\r\n00\r\n\r\n"), NULL, "a", ""},
    {"crlf in data", BYTES("4\r\n\r\n\r\n\r\n0\r\n\r\n"), NULL, "\r\n\r\n", ""},
    {"extension", BYTES("1;a\r\nx\r\n0;b=c\r\n\r\n"), NULL, "x", ""},
    {"extensions", BYTES("1;a=b;c;d=\"e;f\"\r\nx\r\n0\r\n\r\n"), NULL, "x", ""},
    {"quoted pairs", BYTES("1;a=\"\\\"\\\\\\;\"\r\nx\r\n0\r\n\r\n"), NULL, "x", ""},
    {"quoted high bytes and tab", BYTES("1;a=\"\xc3\xa4\t \"\r\nx\r\n0\r\n\r\n"), NULL, "x", ""},
    {"blanks around an extension", BYTES("1 \t; a = b ;c\r\nx\r\n0\r\n\r\n"), NULL, "x", ""},
    {"trailer", BYTES("0\r\nX-Sum: 1\r\n\r\n"), NULL, "", "X-Sum: 1\r\n"},
    {"trailers", BYTES("1\r\na\r\n0\r\nA: 1\r\nb:2\r\nC: \r\n\r\nrest"), NULL, "a", "A: 1\r\nb:2\r\nC: \r\n", 4},
    {"unfit trailers",
     BYTES("0\r\nHost: evil\r\nA: 1\r\nCOOKIE: x\r\nauthorization: y\r\nB: 2\r\nX-Forwarded-For: z\r\n\r\n"), NULL, "",
     "A: 1\r\nB: 2\r\n"},
    {"not complete", BYTES("5\r\nhel"), "more", "hel"},
    {"not complete at the line", BYTES("5\r\nhello\r\n"), "more", "hello"},
    {"not complete in a trailer", BYTES("0\r\nA: 1\r\nB"), "more", ""},
    {"not complete at the end", BYTES("0\r\n\r"), "more", ""},

    {"no size", BYTES("\r\nhello\r\n"), "chunk_size", "", NULL, 0, 1},
    {"no size but extension", BYTES(";a\r\n"), "chunk_size", "", NULL, 0, 1},
    {"no hexadecimal", BYTES("g\r\n"), "chunk_size", "", NULL, 0, 1},
    {"plus", BYTES("+5\r\nhello"), "chunk_size", "", NULL, 0, 1},
    {"minus", BYTES("-5\r\nhello"), "chunk_size", "", NULL, 0, 1},
    {"0x", BYTES("0x5\r\nhello"), "chunk_size", "", NULL, 0, 2},
    {"blank before", BYTES(" 5\r\nhello"), "chunk_size", "", NULL, 0, 1},
    {"blank behind", BYTES("5 \r\nhello"), "chunk_extension", "", NULL, 0, 3},
    {"tab behind", BYTES("5\t\r\nhello"), "chunk_extension", "", NULL, 0, 3},
    {"size with comma", BYTES("5,5\r\nhello"), "chunk_size", "", NULL, 0, 2},
    {"size with underscore", BYTES("1_0\r\nhello"), "chunk_size", "", NULL, 0, 2},
    {"17 digits", BYTES("00000000000000005\r\nhello"), "chunk_size", "", NULL, 0, 17},
    {"2^63", BYTES("8000000000000000\r\n"), "chunk_too_large", "", NULL, 0, 16},
    {"2^64 - 1", BYTES("ffffffffffffffff\r\n"), "chunk_too_large", "", NULL, 0, 16},
    {"2^64 + 5", BYTES("10000000000000005\r\n"), "chunk_size", "", NULL, 0, 17},
    {"lf behind size", BYTES("5\nhello\r\n0\r\n\r\n"), "bare_lf", "", NULL, 0, 2},
    {"cr behind size", BYTES("5\rhello\r\n0\r\n\r\n"), "bare_cr", "", NULL, 0, 3},
    {"two cr behind size", BYTES("5\r\r\nhello"), "bare_cr", "", NULL, 0, 3},
    {"lf in extension", BYTES("5;a\nhello"), "bare_lf", "", NULL, 0, 4},
    {"lf in quoted extension", BYTES("5;a=\"b\nc\"\r\nhello"), "bare_lf", "", NULL, 0, 7},
    {"cr in quoted extension", BYTES("5;a=\"b\r\nc\"\r\nhello"), "chunk_extension", "", NULL, 0, 7},
    {"cr behind backslash", BYTES("5;a=\"b\\\r\nc\"\r\nhello"), "chunk_extension", "", NULL, 0, 8},
    {"nul in extension", BYTES("5;a\0\r\nhello"), "chunk_extension", "", NULL, 0, 4},
    {"nul in quoted extension", BYTES("5;a=\"\0\"\r\nhello"), "chunk_extension", "", NULL, 0, 6},
    {"empty extension", BYTES("5;\r\nhello"), "chunk_extension", "", NULL, 0, 3},
    {"two semicolons", BYTES("5;;a\r\nhello"), "chunk_extension", "", NULL, 0, 3},
    {"no value", BYTES("5;a=\r\nhello"), "chunk_extension", "", NULL, 0, 5},
    {"two values", BYTES("5;a=b=c\r\nhello"), "chunk_extension", "", NULL, 0, 6},
    {"blank in extension", BYTES("5;a b\r\nhello"), "chunk_extension", "", NULL, 0, 5},
    {"text behind quotes", BYTES("5;a=\"b\"c\r\nhello"), "chunk_extension", "", NULL, 0, 8},
    {"open quotes", BYTES("5;a=\"b\r\nhello"), "chunk_extension", "", NULL, 0, 7},
    {"extension too long", BYTES("5;" X256 X256 "\r\nhello"), "chunk_line_too_long", "", NULL, 0, 513},
    {"data too long", BYTES("5\r\nhello!\r\n0\r\n\r\n"), "chunk_end", "hello", NULL, 0, 9},
    {"data too short", BYTES("6\r\nhello\r\n0\r\n\r\n"), "chunk_end", "hello\r", NULL, 0, 10},
    {"lf behind data", BYTES("5\r\nhello\n0\r\n\r\n"), "chunk_end", "hello", NULL, 0, 9},
    {"cr behind data", BYTES("5\r\nhello\r0\r\n\r\n"), "chunk_end", "hello", NULL, 0, 10},
    {"no crlf behind data", BYTES("5\r\nhello0\r\n\r\n"), "chunk_end", "hello", NULL, 0, 9},
    {"lf as the last line", BYTES("0\r\n\n"), "bare_lf", "", NULL, 0, 4},
    {"lf behind zero", BYTES("0\n\n"), "bare_lf", "", NULL, 0, 2},
    {"cr in the last line", BYTES("0\r\n\rX"), "bare_cr", "", NULL, 0, 5},
    {"length in trailers", BYTES("0\r\nContent-Length: 5\r\n\r\n"), "trailer_framing", ""},
    {"coding in trailers", BYTES("0\r\nA: 1\r\ntransfer-ENCODING: chunked\r\n\r\n"), "trailer_framing", ""},
    {"trailer without colon", BYTES("0\r\nGET / HTTP/1.1\r\n\r\n"), "space_before_colon", ""},
    {"trailer of one word", BYTES("0\r\nabc\r\n\r\n"), "no_colon", ""},
    {"trailer without name", BYTES("0\r\n: 5\r\n\r\n"), "field_name_empty", ""},
    {"trailer with space before colon", BYTES("0\r\nA : 5\r\n\r\n"), "space_before_colon", ""},
    {"trailer with bad name", BYTES("0\r\nA(: 5\r\n\r\n"), "field_name", ""},
    {"folded trailer", BYTES("0\r\nA: 5\r\n b\r\n\r\n"), "obs_fold", ""},
    {"blank before the first trailer", BYTES("0\r\n A: 5\r\n\r\n"), "space_before_field", ""},
    {"lf in trailers", BYTES("0\r\nA: 5\nB: 6\r\n\r\n"), "bare_lf", ""},
    {"cr in trailer", BYTES("0\r\nA: 5\r6\r\n\r\n"), "bare_cr", ""},
    {"two cr in trailer", BYTES("0\r\nA: 5\r\r\n\r\n"), "bare_cr", ""},
    {"nul in trailer", BYTES("0\r\nA: \0\r\n\r\n"), "nul_byte", ""},
    {"trailers too large", BYTES("0\r\nA: " X1024 X1024 "\r\nB: " X1024 X1024 "\r\n\r\n"), "trailers_too_large", "",
     NULL, 0, 4100},
    {"dropped trailers too large", BYTES("0\r\nHost: " X1024 X1024 "\r\nHost: " X1024 X1024 "\r\n\r\n"),
     "trailers_too_large", "", NULL, 0, 4100},
};

struct outcome {
    enum h1_body_result result;
    char data[8192];
    size_t data_len, used, given;
    const char *fault;
    char trailers[H1_TRAILER_ROOM + 1];
};

/* Gives all of a block to the body; what was used is added. */
static enum h1_body_result read_block(struct h1_body *body, const char *at, size_t length, struct outcome *outcome)
{
    for (;;) {
        size_t consumed = 0;
        struct text data;
        enum h1_body_result result = h1_body_read(body, at, length, &consumed, &data);
        assert_true(consumed <= length);
        outcome->used += consumed;
        if (result != H1_BODY_DATA) {
            if (result == H1_BODY_MORE)
                assert_int_equal(consumed, length);
            return result;
        }
        assert_true(data.len > 0 && data.at >= at && data.at + data.len == at + consumed);
        assert_true(outcome->data_len + data.len <= sizeof(outcome->data));
        memcpy(outcome->data + outcome->data_len, data.at, data.len);
        outcome->data_len += data.len;
        at += consumed;
        length -= consumed;
    }
}

static struct outcome read_body(const struct head *head, struct bytes bytes, size_t first, size_t step)
{
    static struct outcome outcome;
    memset(&outcome, 0, sizeof(outcome));
    struct h1_body body;
    h1_body_start(&body, head, true);
    size_t from = 0;
    for (size_t to = first;; to += step) {
        if (to > bytes.len)
            to = bytes.len;
        char *block = malloc(to - from > 0 ? to - from : 1);
        assert_non_null(block);
        memcpy(block, bytes.at + from, to - from);
        outcome.result = read_block(&body, block, to - from, &outcome);
        free(block);
        outcome.given = to;
        from = to;
        if (outcome.result != H1_BODY_MORE || to == bytes.len)
            break;
    }
    if (outcome.result == H1_BODY_BAD)
        outcome.fault = body.fault->name;
    memcpy(outcome.trailers, body.trailers != NULL ? body.trailers : "", body.trailers_len);
    assert_int_equal(h1_body_closed(&body), outcome.result == H1_BODY_END);
    struct text data;
    size_t consumed;
    if (outcome.result != H1_BODY_MORE) /* and stays so */
        assert_int_equal(h1_body_read(&body, "x", 1, &consumed, &data), outcome.result);
    h1_body_done(&body);
    return outcome;
}

static void check(const struct body_case *c, const struct outcome *outcome, const char *how)
{
    const char *fault = outcome->result == H1_BODY_BAD    ? outcome->fault
                        : outcome->result == H1_BODY_MORE ? "more"
                                                          : NULL;
    if ((fault == NULL) != (c->fault == NULL) || (fault != NULL && strcmp(fault, c->fault) != 0))
        fail_msg("%s, %s: %s instead of %s", c->name, how, fault != NULL ? fault : "complete",
                 c->fault != NULL ? c->fault : "complete");
    if (outcome->data_len != strlen(c->data) || memcmp(outcome->data, c->data, outcome->data_len) != 0)
        fail_msg("%s, %s: data is '%.*s'", c->name, how, (int)outcome->data_len, outcome->data);
    if (fault != NULL)
        return;
    assert_string_equal(outcome->trailers, c->trailers);
}

static void reads_chunked_bodies(void **state)
{
    (void)state;
    const struct head head = {.framing = FRAMING_CHUNKED};
    for (size_t i = 0; i < sizeof(chunked) / sizeof(chunked[0]); i++) {
        const struct body_case *c = &chunked[i];
        struct outcome outcome = read_body(&head, c->bytes, c->bytes.len, 1);
        check(c, &outcome, "whole");
        if (outcome.result == H1_BODY_END)
            assert_int_equal(c->bytes.len - outcome.used, c->left);
        outcome = read_body(&head, c->bytes, 0, 1);
        check(c, &outcome, "byte by byte");
        if (c->by != 0 && outcome.given != c->by)
            fail_msg("%s: refused at byte %zu instead of %zu", c->name, outcome.given, c->by);
        for (size_t cut = 1; cut < c->bytes.len; cut++) {
            outcome = read_body(&head, c->bytes, cut, c->bytes.len);
            check(c, &outcome, "in two pieces");
        }
    }
}

static void counts_a_length_down(void **state)
{
    (void)state;
    const struct head head = {.framing = FRAMING_LENGTH, .content_length = 5};
    static const struct bytes bytes = BYTES("hello, world");
    for (size_t first = 0; first < bytes.len; first++) {
        struct outcome outcome = read_body(&head, bytes, first, 1);
        assert_int_equal(outcome.result, H1_BODY_END);
        assert_int_equal(outcome.used, 5);
        assert_memory_equal(outcome.data, "hello", 5);
    }
    static const struct bytes short_one = BYTES("hell");
    struct outcome outcome = read_body(&head, short_one, 2, 2);
    assert_int_equal(outcome.result, H1_BODY_MORE);
}

static void an_empty_body_ends_at_once(void **state)
{
    (void)state;
    static const struct head heads[] = {{.framing = FRAMING_NONE, .content_length = 5},
                                        {.framing = FRAMING_LENGTH, .content_length = 0}};
    for (size_t i = 0; i < 2; i++) {
        struct h1_body body;
        struct text data;
        size_t consumed = 9;
        h1_body_start(&body, &heads[i], false);
        assert_true(h1_body_closed(&body));
        assert_int_equal(h1_body_read(&body, "GET", 3, &consumed, &data), H1_BODY_END);
        assert_int_equal(consumed, 0);
        h1_body_done(&body);
    }
}

static void a_body_until_close_takes_everything(void **state)
{
    (void)state;
    const struct head head = {.framing = FRAMING_UNTIL_CLOSE};
    struct h1_body body;
    struct text data;
    size_t consumed;
    h1_body_start(&body, &head, false);
    assert_int_equal(h1_body_read(&body, "", 0, &consumed, &data), H1_BODY_MORE);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(h1_body_read(&body, "hello", 5, &consumed, &data), H1_BODY_DATA);
        assert_int_equal(consumed, 5);
        assert_int_equal(data.len, 5);
    }
    assert_true(h1_body_closed(&body));
    h1_body_done(&body);
}

static void a_responses_fault_is_the_backends(void **state)
{
    (void)state;
    const struct head head = {.framing = FRAMING_CHUNKED};
    for (int request = 0; request < 2; request++) {
        struct h1_body body;
        struct text data;
        size_t consumed;
        h1_body_start(&body, &head, request != 0);
        assert_int_equal(h1_body_read(&body, "x", 1, &consumed, &data), H1_BODY_BAD);
        assert_int_equal(body.fault->status, request != 0 ? 400 : 502);
        h1_body_done(&body);
    }
}

static void a_body_may_be_started_again(void **state)
{
    (void)state;
    const struct head head = {.framing = FRAMING_CHUNKED};
    static const struct bytes bytes = BYTES("0\r\nA: 1\r\n\r\n");
    struct h1_body body;
    struct text data;
    size_t consumed;
    for (int i = 0; i < 2; i++) {
        h1_body_start(&body, &head, true);
        assert_int_equal(h1_body_read(&body, bytes.at, bytes.len, &consumed, &data), H1_BODY_END);
        assert_int_equal(body.trailers_len, 6);
        h1_body_done(&body);
        assert_null(body.trailers);
        h1_body_done(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_chunked_bodies),
        cmocka_unit_test(counts_a_length_down),
        cmocka_unit_test(an_empty_body_ends_at_once),
        cmocka_unit_test(a_body_until_close_takes_everything),
        cmocka_unit_test(a_responses_fault_is_the_backends),
        cmocka_unit_test(a_body_may_be_started_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
