/*
 * Content codings: what two servers compress differently is the same answer; what is broken, unknown or too large says
 * so.
 */
#include "tests/shadow/packing.h"
#include "tests/shadow/pairs.h"

#include "shadow/coding.h"

enum {
    PACKED_ROOM = 64 * 1024,
    OUTPUT_LIMIT = 40000
};

enum wrap {
    GZIP = 15 + 16,
    ZLIB = 15,
    RAW = -15
};

static size_t pack(char *to, enum wrap wrap, int level, const char *text, size_t len)
{
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, level, Z_DEFLATED, (int)wrap, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (Bytef *)(uintptr_t)text;
    stream.avail_in = (uInt)len;
    stream.next_out = (Bytef *)to;
    stream.avail_out = PACKED_ROOM;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t packed = PACKED_ROOM - stream.avail_out;
    deflateEnd(&stream);
    return packed;
}

static enum coding_result decode(const char *names, const char *at, size_t len, size_t limit,
                                 struct coding_output *output)
{
    return coding_decode(names, strlen(names), at, len, limit, output);
}

static const char text[] = "{\"a\":1,\"b\":[1,2,3],\"c\":\"abcabcabcabcabcabcabc\"}";

static void decodes(void **state)
{
    static const struct {
        const char *name;
        enum wrap wrap;
    } cases[] = {{"gzip", GZIP}, {"GZip", GZIP}, {"x-gzip", GZIP}, {"deflate", ZLIB}, {"deflate", RAW}};
    char packed[PACKED_ROOM];
    struct coding_output output = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = pack(packed, cases[i].wrap, 6, text, sizeof(text) - 1);
        assert_int_equal(coding_decode(cases[i].name, strlen(cases[i].name), packed, len, 1000, &output), CODING_DONE);
        assert_int_equal(output.len, sizeof(text) - 1);
        assert_memory_equal(output.at, text, output.len);
    }
    size_t first = pack(packed, GZIP, 6, "one ", 4), second = pack(packed + first, GZIP, 1, "two", 3);
    assert_int_equal(coding_decode("gzip", 4, packed, first + second, 1000, &output), CODING_DONE);
    assert_memory_equal(output.at, "one two", 7);
    size_t nothing = pack(packed, GZIP, 6, "", 0);
    assert_int_equal(coding_decode("gzip", 4, packed, nothing, 1000, &output), CODING_DONE);
    assert_int_equal(output.len, 0);
    coding_output_done(&output);
}

static void refuses_what_is_broken(void **state)
{
    char packed[PACKED_ROOM];
    struct coding_output output = {0};
    (void)state;
    size_t len = pack(packed, GZIP, 6, text, sizeof(text) - 1);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(coding_decode("gzip", 4, packed, cut, 1000, &output), CODING_BROKEN);
    packed[len - 6] ^= 1; /* the checksum */
    assert_int_equal(coding_decode("gzip", 4, packed, len, 1000, &output), CODING_BROKEN);
    assert_int_equal(coding_decode("gzip", 4, "{}", 2, 1000, &output), CODING_BROKEN);
    assert_int_equal(coding_decode("deflate", 7, "\xff\xff\xff", 3, 1000, &output), CODING_BROKEN);
    packed[len - 6] ^= 1;
    packed[len] = 'x';
    assert_int_equal(coding_decode("gzip", 4, packed, len + 1, 1000, &output), CODING_BROKEN);
    coding_output_done(&output);
}

static void decodes_brotli_and_zstd(void **state)
{
    char packed[PACKED_ROOM];
    struct coding_output output = {0};
    (void)state;
    size_t len = pack_br(packed, PACKED_ROOM, text, sizeof(text) - 1);
    assert_int_equal(decode("BR", packed, len, 1000, &output), CODING_DONE);
    assert_int_equal(output.len, sizeof(text) - 1);
    assert_memory_equal(output.at, text, output.len);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(decode("br", packed, cut, 1000, &output), CODING_BROKEN);
    packed[len] = 'x';
    assert_int_equal(decode("br", packed, len + 1, 1000, &output), CODING_BROKEN);
    assert_int_equal(decode("br", "\xff\xff\xff", 3, 1000, &output), CODING_BROKEN);

    len = pack_zstd(packed, PACKED_ROOM, text, sizeof(text) - 1);
    assert_int_equal(decode("zstd", packed, len, 1000, &output), CODING_DONE);
    assert_int_equal(output.len, sizeof(text) - 1);
    assert_memory_equal(output.at, text, output.len);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(decode("zstd", packed, cut, 1000, &output), CODING_BROKEN);
    memcpy(packed + len, "garbage", 7);
    assert_int_equal(decode("zstd", packed, len + 7, 1000, &output), CODING_BROKEN);
    size_t more = pack_zstd(packed + len, PACKED_ROOM - len, " more", 5); /* a second frame */
    assert_int_equal(decode("zstd", packed, len + more, 1000, &output), CODING_DONE);
    assert_int_equal(output.len, sizeof(text) - 1 + 5);
    assert_int_equal(decode("zstd", packed, len + more - 1, 1000, &output), CODING_BROKEN);
    coding_output_done(&output);
}

static void undoes_several_codings_in_reverse(void **state)
{
    char packed[PACKED_ROOM], again[PACKED_ROOM], third[PACKED_ROOM], fourth[PACKED_ROOM];
    struct coding_output output = {0};
    (void)state;
    size_t len = pack(packed, GZIP, 6, text, sizeof(text) - 1);
    len = pack_br(again, PACKED_ROOM, packed, len);
    assert_int_equal(decode("gzip, br", again, len, 1000, &output), CODING_DONE);
    assert_memory_equal(output.at, text, sizeof(text) - 1);
    assert_int_equal(decode("\tgzip ,identity,, br ,", again, len, 1000, &output), CODING_DONE);
    assert_int_equal(decode("br, gzip", again, len, 1000, &output), CODING_BROKEN);
    assert_int_equal(decode("gzip, rot13", again, len, 1000, &output), CODING_UNKNOWN);
    assert_int_equal(decode("rot13, br", again, len, 1000, &output), CODING_UNKNOWN);
    len = pack_zstd(third, PACKED_ROOM, again, len);
    len = pack(fourth, ZLIB, 6, third, len);
    assert_int_equal(decode("gzip, br, zstd, deflate", fourth, len, 1000, &output), CODING_DONE);
    assert_int_equal(output.len, sizeof(text) - 1);
    assert_memory_equal(output.at, text, output.len);
    assert_int_equal(decode("gzip, br, zstd, deflate, gzip", fourth, len, 1000, &output), CODING_UNKNOWN);
    assert_int_equal(decode("identity", text, 5, 1000, &output), CODING_DONE);
    assert_int_equal(output.len, 5);
    assert_int_equal(decode("identity", text, 5, 4, &output), CODING_TOO_LARGE);
    assert_true(coding_is_identity("identity, identity", 18));
    assert_true(coding_is_identity("", 0));
    assert_false(coding_is_identity("identity, gzip", 14));
    assert_false(coding_is_identity("rot13", 5));
    coding_output_done(&output);
}

/* Every decoder, a result just as large as the bound and one byte more. */
static void the_bound_is_exact(void **state)
{
    char packed[PACKED_ROOM], large[OUTPUT_LIMIT + 1];
    struct coding_output output = {0};
    (void)state;
    memset(large, 'a', sizeof(large));
    for (size_t more = 0; more < 2; more++) {
        enum coding_result expected = more == 0 ? CODING_DONE : CODING_TOO_LARGE;
        size_t len = pack(packed, GZIP, 6, large, OUTPUT_LIMIT + more);
        assert_int_equal(decode("gzip", packed, len, OUTPUT_LIMIT, &output), expected);
        len = pack(packed, RAW, 6, large, OUTPUT_LIMIT + more);
        assert_int_equal(decode("deflate", packed, len, OUTPUT_LIMIT, &output), expected);
        len = pack_br(packed, PACKED_ROOM, large, OUTPUT_LIMIT + more);
        assert_int_equal(decode("br", packed, len, OUTPUT_LIMIT, &output), expected);
        len = pack_zstd(packed, PACKED_ROOM, large, OUTPUT_LIMIT + more);
        assert_int_equal(decode("zstd", packed, len, OUTPUT_LIMIT, &output), expected);
        assert_true(output.room <= OUTPUT_LIMIT + 1);
    }
    coding_output_done(&output);
}

/* A frame that asks for 128 MiB of window, and says so in its header only. */
static void a_large_window_is_refused(void **state)
{
    enum {
        SIZE = 1024 * 1024
    };
    char packed[PACKED_ROOM], *zeroes = calloc(1, SIZE);
    struct coding_output output = {0};
    ZSTD_CCtx *context = ZSTD_createCCtx();
    (void)state;
    assert_non_null(context);
    assert_non_null(zeroes);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 27);
    ZSTD_outBuffer out = {packed, PACKED_ROOM, 0};
    ZSTD_inBuffer in = {zeroes, SIZE, 0};
    assert_false(ZSTD_isError(ZSTD_compressStream2(context, &out, &in, ZSTD_e_flush))); /* of unknown length */
    assert_int_equal(ZSTD_compressStream2(context, &out, &in, ZSTD_e_end), 0);
    assert_int_equal(decode("zstd", packed, out.pos, 64 * 1024 * 1024, &output), CODING_TOO_LARGE);
    ZSTD_freeCCtx(context);
    free(zeroes);
    coding_output_done(&output);
}

/* 60 MiB of zeroes in 64 KiB or less. */
static void a_bomb_is_bounded(void **state)
{
    enum {
        SIZE = 60 * 1024 * 1024,
        LIMIT = 100000
    };
    char packed[PACKED_ROOM];
    char *zeroes = calloc(1, SIZE);
    struct coding_output output = {0};
    (void)state;
    assert_non_null(zeroes);
    size_t len = pack(packed, GZIP, 9, zeroes, SIZE);
    assert_int_equal(coding_decode("gzip", 4, packed, len, LIMIT, &output), CODING_TOO_LARGE);
    assert_true(output.room <= LIMIT + 1);
    assert_int_equal(coding_decode("gzip", 4, packed, len, 0, &output), CODING_TOO_LARGE);
    len = pack_br(packed, PACKED_ROOM, zeroes, SIZE);
    assert_int_equal(decode("br", packed, len, LIMIT, &output), CODING_TOO_LARGE);
    len = pack_zstd(packed, PACKED_ROOM, zeroes, SIZE);
    assert_int_equal(decode("zstd", packed, len, LIMIT, &output), CODING_TOO_LARGE);
    size_t outer = pack(packed + len, GZIP, 9, packed, len); /* small on the way, too */
    assert_int_equal(decode("zstd, gzip", packed + len, outer, LIMIT, &output), CODING_TOO_LARGE);
    assert_true(output.room <= LIMIT + 1);
    len = pack(packed, GZIP, 9, zeroes, LIMIT);
    assert_int_equal(coding_decode("gzip", 4, packed, len, LIMIT + 1, &output), CODING_DONE);
    assert_int_equal(output.len, LIMIT);
    coding_output_trim(&output);
    coding_output_done(&output);
    free(zeroes);
}

/* ---- through the judge ---- */

static const struct comparison *judge(struct compare *compare, struct pair *pair, const char *coding, enum wrap wrap,
                                      const char *primary, const char *other_coding, const char *shadow,
                                      size_t shadow_len)
{
    char packed[PACKED_ROOM], head[256];
    size_t len = pack(packed, wrap, 6, primary, strlen(primary));
    snprintf(head, sizeof(head), "Content-Type: application/json\r\nContent-Encoding: %s\r\n", coding);
    test_capture(&pair->primary_capture, 4096, 200, head, packed, len);
    snprintf(head, sizeof(head), "Content-Type: application/json\r\nContent-Encoding: %s\r\n", other_coding);
    test_capture(&pair->shadow_capture, 4096, 200, head, shadow, shadow_len);
    return compare_pair(compare, pair);
}

static void compressed_answers_are_compared_by_content(void **state)
{
    struct compare *compare = compare_new();
    struct test_route route;
    char packed[PACKED_ROOM];
    (void)state;
    assert_non_null(compare);
    test_route_init(&route, "r");
    struct pair *pair = test_pair(&route);

    size_t len = pack(packed, GZIP, 1, text, sizeof(text) - 1);
    assert_int_equal(judge(compare, pair, "gzip", GZIP, text, "gzip", packed, len)->judgement, JUDGEMENT_MATCHED);
    assert_int_equal(judge(compare, pair, "deflate", ZLIB, text, "gzip", packed, len)->judgement, JUDGEMENT_MATCHED);
    assert_int_equal(judge(compare, pair, "gzip", GZIP, text, "identity", text, sizeof(text) - 1)->judgement,
                     JUDGEMENT_MATCHED);

    const struct comparison *c = judge(compare, pair, "gzip", GZIP, "{\"a\":1}", "identity", "{\"a\":2}", 7);
    assert_int_equal(c->judgement, JUDGEMENT_MISMATCHED);
    assert_string_equal(c->differences.at[0].field, "$.a");

    c = judge(compare, pair, "gzip", GZIP, "{\"a\":1}", "gzip", "{\"a\":1}", 7);
    assert_int_equal(c->judgement, JUDGEMENT_MISMATCHED);
    assert_string_equal(c->differences.at[0].primary, "<valid gzip>");
    assert_string_equal(c->differences.at[0].shadow, "<not gzip>");

    c = judge(compare, pair, "gzip", GZIP, "{\"a\":1}", "sdch", "whatever", 8);
    assert_int_equal(c->judgement, JUDGEMENT_NOT_COMPARABLE);
    assert_int_equal(c->obstacle, OBSTACLE_CONTENT_ENCODING);

    char large[40000];
    memset(large, ' ', sizeof(large));
    large[0] = '1';
    large[sizeof(large) - 1] = '\0';
    c = judge(compare, pair, "gzip", GZIP, large, "identity", "1", 1); /* 8 x 4096 is the bound */
    assert_int_equal(c->judgement, JUDGEMENT_NOT_COMPARABLE);
    assert_int_equal(c->obstacle, OBSTACLE_DECODED_TOO_LARGE);
    pair_free(pair);
    compare_free(compare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes),
        cmocka_unit_test(refuses_what_is_broken),
        cmocka_unit_test(decodes_brotli_and_zstd),
        cmocka_unit_test(undoes_several_codings_in_reverse),
        cmocka_unit_test(the_bound_is_exact),
        cmocka_unit_test(a_large_window_is_refused),
        cmocka_unit_test(a_bomb_is_bounded),
        cmocka_unit_test(compressed_answers_are_compared_by_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
