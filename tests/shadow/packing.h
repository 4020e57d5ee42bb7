/*
 * Compressing, for the tests of what decompresses.
 */
#ifndef SHUNT_TESTS_SHADOW_PACKING_H
#define SHUNT_TESTS_SHADOW_PACKING_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include "tests/shadow/pairs.h"

enum {
    PACK_MORE = 64 * 1024 /* room for what a packed text may be longer */
};

static inline size_t pack_zlib(int window_bits, char *to, size_t room, const char *at, size_t len)
{
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (Bytef *)(uintptr_t)at;
    stream.avail_in = (uInt)len;
    stream.next_out = (Bytef *)to;
    stream.avail_out = (uInt)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t packed = room - stream.avail_out;
    deflateEnd(&stream);
    return packed;
}

static inline size_t pack_gzip(char *to, size_t room, const char *at, size_t len)
{
    return pack_zlib(15 + 16, to, room, at, len);
}

static inline size_t pack_deflate(char *to, size_t room, const char *at, size_t len)
{
    return pack_zlib(15, to, room, at, len);
}

static inline size_t pack_deflate_raw(char *to, size_t room, const char *at, size_t len)
{
    return pack_zlib(-15, to, room, at, len);
}

static inline size_t pack_br(char *to, size_t room, const char *at, size_t len)
{
    size_t packed = room;
    assert_true(BrotliEncoderCompress(5, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_GENERIC, len, (const uint8_t *)at, &packed,
                                      (uint8_t *)to));
    return packed;
}

static inline size_t pack_zstd(char *to, size_t room, const char *at, size_t len)
{
    size_t packed = ZSTD_compress(to, room, at, len, 3);
    assert_false(ZSTD_isError(packed));
    return packed;
}

/* The first half and the second, each for itself: members of gzip, frames of zstd. */
static inline size_t pack_gzip_twice(char *to, size_t room, const char *at, size_t len)
{
    size_t first = pack_gzip(to, room, at, len / 2);
    return first + pack_gzip(to + first, room - first, at + len / 2, len - len / 2);
}

static inline size_t pack_zstd_twice(char *to, size_t room, const char *at, size_t len)
{
    size_t first = pack_zstd(to, room, at, len / 2);
    return first + pack_zstd(to + first, room - first, at + len / 2, len - len / 2);
}

/* Owned by the caller. */
static inline char *test_pack(const char *name, const char *at, size_t len, size_t *packed)
{
    static const struct {
        const char *name;
        size_t (*pack)(char *to, size_t room, const char *at, size_t len);
    } packers[] = {
        {"gzip", pack_gzip},
        {"gzip-twice", pack_gzip_twice},
        {"deflate", pack_deflate},
        {"deflate-raw", pack_deflate_raw},
        {"br", pack_br},
        {"zstd", pack_zstd},
        {"zstd-twice", pack_zstd_twice},
    };
    char *to = malloc(len + PACK_MORE);
    assert_non_null(to);
    for (size_t i = 0; i < sizeof(packers) / sizeof(packers[0]); i++) {
        if (strcmp(packers[i].name, name) != 0)
            continue;
        *packed = packers[i].pack(to, len + PACK_MORE, at, len);
        return to;
    }
    fail_msg("nothing packs as %s", name);
    free(to);
    return NULL;
}

#endif
