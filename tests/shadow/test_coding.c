/*
 * Content codings: what two servers compress differently is the same answer; what is broken, unknown or too large says
 * so.
 */
#include "tests/shadow/pairs.h"

#include <zlib.h>

#include "shadow/coding.h"

enum {
    PACKED_ROOM = 64 * 1024
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
    assert_int_equal(coding_decode("br", 2, packed, len, 1000, &output), CODING_UNKNOWN);
    assert_int_equal(coding_decode("gzip, gzip", 10, packed, len, 1000, &output), CODING_UNKNOWN);
    coding_output_done(&output);
}

/* 64 MiB of zeroes in 64 KiB. */
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
    assert_true(output.room <= LIMIT);
    assert_int_equal(coding_decode("gzip", 4, packed, len, 0, &output), CODING_TOO_LARGE);
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

    c = judge(compare, pair, "gzip", GZIP, "{\"a\":1}", "br", "whatever", 8);
    assert_int_equal(c->judgement, JUDGEMENT_NOT_COMPARABLE);
    assert_int_equal(c->obstacle, OBSTACLE_CONTENT_ENCODING);

    char large[40000];
    memset(large, ' ', sizeof(large));
    large[0] = '1';
    large[sizeof(large) - 1] = '\0';
    c = judge(compare, pair, "gzip", GZIP, large, "identity", "1", 1); /* 8 x 4096 is the bound */
    assert_int_equal(c->judgement, JUDGEMENT_NOT_COMPARABLE);
    assert_int_equal(c->obstacle, OBSTACLE_TRUNCATED);
    pair_free(pair);
    compare_free(compare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes),
        cmocka_unit_test(refuses_what_is_broken),
        cmocka_unit_test(a_bomb_is_bounded),
        cmocka_unit_test(compressed_answers_are_compared_by_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
