/*
 * gRPC bodies: frames, compression, trailers in the body, base64, and what is no such body.
 */
#include "tests/shadow/messages.h"
#include "tests/shadow/packing.h"

#include "shadow/grpc_stream.h"

static const struct grpc_type plain = {.is_grpc = true}, text = {.is_grpc = true, .web = true, .base64 = true};

static struct span span_of(const char *chars)
{
    return (struct span){chars, strlen(chars)};
}

static void content_types(void **state)
{
    static const struct {
        const char *type;
        struct grpc_type is;
    } cases[] = {
        {"application/grpc", {.is_grpc = true}},
        {"application/grpc+proto", {.is_grpc = true}},
        {"Application/GRPC+JSON; charset=utf-8", {.is_grpc = true, .json = true}},
        {"application/grpc-web", {.is_grpc = true, .web = true}},
        {"application/grpc-web+proto", {.is_grpc = true, .web = true}},
        {"application/grpc-web-text", {.is_grpc = true, .web = true, .base64 = true}},
        {"application/grpc-web-text+proto", {.is_grpc = true, .web = true, .base64 = true}},
        {"application/grpc+jsonx", {.is_grpc = true}},
        {"application/grpcx", {.is_grpc = false}},
        {"application/json", {.is_grpc = false}},
        {"", {.is_grpc = false}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct grpc_type is = grpc_type_of(span_of(cases[i].type));
        if (is.is_grpc != cases[i].is.is_grpc || is.web != cases[i].is.web || is.base64 != cases[i].is.base64 ||
            is.json != cases[i].is.json)
            fail_msg("%s", cases[i].type);
    }
}

static void frames(void **state)
{
    static const struct {
        const char *digits;
        uint32_t count;
        enum node_fault last;
        size_t last_len;
        const char *trailers;
    } cases[] = {
        {"", 0, NODE_SOUND, 0, ""},
        {"00 00000000", 1, NODE_SOUND, 0, ""},
        {"00 00000002 0801", 1, NODE_SOUND, 2, ""},
        {"00 00000002 0801 00 00000003 089601", 2, NODE_SOUND, 3, ""},
        {"00 00000002 0801 00 00000003 0896", 2, NODE_CUT_OFF, 7, ""},
        {"00 00000002 0801 00 0000", 2, NODE_CUT_OFF, 3, ""},
        {"00 ffffffff 08", 1, NODE_CUT_OFF, 6, ""},
        {"02 00000001 08", 1, NODE_CUT_OFF, 6, ""},
        {"01 00000001 08", 1, NODE_NOT_DECODED, 1, ""},
        {"00 00000001 08 80 00000003 'a:b'", 1, NODE_SOUND, 1, "a:b"},
        {"80 00000003 'a:b' 00 00000000", 1, NODE_CUT_OFF, 5, "a:b"},
    };
    struct grpc_stream s = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char room[MESSAGE_ROOM];
        assert_int_equal(grpc_stream_read(&s, plain, message_of(room, cases[i].digits), span_of(""), 1000),
                         CODING_DONE);
        if (s.count != cases[i].count || !span_equal(s.trailers, span_of(cases[i].trailers)) ||
            (s.count > 0 &&
             (s.parts[s.count - 1].fault != cases[i].last || s.parts[s.count - 1].bytes.len != cases[i].last_len)))
            fail_msg("%s: %u parts", cases[i].digits, s.count);
        assert_true(s.cut_off == (s.count > 0 && cases[i].last == NODE_CUT_OFF));
    }
    grpc_stream_done(&s);
}

/* Each message, packed by itself; what they become stays where the parts say, however many follow. */
static void compressed_messages(void **state)
{
    struct grpc_stream s = {0};
    char body[8192], message[64];
    size_t len = 0;
    (void)state;
    for (int i = 0; i < 50; i++) {
        size_t packed_len;
        snprintf(message, sizeof(message), "message %d, message %d", i, i);
        char *packed = test_pack("gzip", message, strlen(message), &packed_len);
        assert_true(len + 5 + packed_len < sizeof(body));
        memcpy(body + len, (char[5]){1, 0, 0, 0, (char)packed_len}, 5);
        memcpy(body + len + 5, packed, packed_len);
        len += 5 + packed_len;
        free(packed);
    }
    assert_int_equal(grpc_stream_read(&s, plain, (struct span){body, len}, span_of("gzip"), 10000), CODING_DONE);
    assert_int_equal(s.count, 50);
    for (int i = 0; i < 50; i++) {
        snprintf(message, sizeof(message), "message %d, message %d", i, i);
        assert_int_equal(s.parts[i].fault, NODE_SOUND);
        assert_true(span_equal(s.parts[i].bytes, span_of(message)));
    }
    assert_int_equal(grpc_stream_read(&s, plain, (struct span){body, len}, span_of("gzip"), 1000), CODING_TOO_LARGE);
    assert_int_equal(grpc_stream_read(&s, plain, (struct span){body, len}, span_of("snappy"), 10000), CODING_UNKNOWN);
    assert_int_equal(grpc_stream_read(&s, plain, (struct span){body, len}, span_of("identity"), 10000), CODING_DONE);
    assert_int_equal(s.parts[0].fault, NODE_NOT_DECODED);
    grpc_stream_trim(&s);
    grpc_stream_done(&s);
}

static void base64(void **state)
{
    static const struct {
        const char *body;
        uint32_t count;
        bool cut_off;
    } cases[] = {
        {"AAAAAAIIAQ==", 1, false},        {"AAAAAAIIAQ==AAAAAAIIAQ==", 2, false},  {"AAAA\r\nAAII\nAQ", 1, false},
        {"AAAAAAIIAQ==AAAAAAII", 2, true}, {"AAAAAAIIAQ==!AAAAAAIIAQ==", 1, false}, {"", 0, false},
    };
    struct grpc_stream s = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(grpc_stream_read(&s, text, span_of(cases[i].body), span_of(""), 1000), CODING_DONE);
        if (s.count != cases[i].count || s.cut_off != cases[i].cut_off)
            fail_msg("%s: %u parts", cases[i].body, s.count);
        if (s.count > 0)
            assert_true(span_equal(s.parts[0].bytes, (struct span){"\x08\x01", 2}));
    }
    grpc_stream_done(&s);
}

static void messages_have_a_bound(void **state)
{
    struct grpc_stream s = {0};
    size_t len = ((size_t)GRPC_MESSAGES + 1) * 5;
    char *zeros = calloc(1, len);
    (void)state;
    assert_non_null(zeros);
    assert_int_equal(grpc_stream_read(&s, plain, (struct span){zeros, len - 5}, span_of(""), 1000), CODING_DONE);
    assert_int_equal(s.count, GRPC_MESSAGES);
    assert_false(s.too_many);
    assert_int_equal(grpc_stream_read(&s, plain, (struct span){zeros, len}, span_of(""), 1000), CODING_TOO_LARGE);
    assert_true(s.too_many);
    grpc_stream_trim(&s);
    assert_null(s.parts);
    grpc_stream_done(&s);
    free(zeros);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_types),         cmocka_unit_test(frames),
        cmocka_unit_test(compressed_messages),   cmocka_unit_test(base64),
        cmocka_unit_test(messages_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
