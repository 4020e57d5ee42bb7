/*
 * Frames found in bytes that come whole or in any pieces.
 */
#include "proxy/h2_walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* DATA of 3 bytes on stream 1, SETTINGS without any, DATA of none with END_STREAM on the last stream there is. */
static const uint8_t bytes[] = "xx"
                               "\0\0\3\0\0\0\0\0\1abc"
                               "\0\0\0\4\0\0\0\0\0"
                               "\0\0\0\0\1\xff\xff\xff\xff";

static void frames_are_found_whatever_the_pieces(void **state)
{
    (void)state;
    static const nghttp2_frame_hd expected[] = {{.length = 3, .stream_id = 1},
                                                {.type = NGHTTP2_SETTINGS},
                                                {.stream_id = INT32_MAX, .flags = NGHTTP2_FLAG_END_STREAM}};
    size_t len = sizeof(bytes) - 1;
    for (size_t piece = 1; piece <= len; piece++) {
        struct h2_walk walk = {.skip = 2};
        size_t found = 0;
        for (size_t from = 0; from < len; from += piece) {
            const uint8_t *at = bytes + from, *end = from + piece < len ? at + piece : bytes + len;
            nghttp2_frame_hd frame;
            while (h2_walk_next(&walk, &at, end, &frame)) {
                assert_true(found < 3);
                assert_int_equal(frame.length, expected[found].length);
                assert_int_equal(frame.type, expected[found].type);
                assert_int_equal(frame.flags, expected[found].flags);
                assert_int_equal(frame.stream_id, expected[found++].stream_id);
            }
            assert_ptr_equal(at, end);
        }
        assert_int_equal(found, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(frames_are_found_whatever_the_pieces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
