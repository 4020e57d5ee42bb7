/*
 * Content codings: see coding.h. Two servers never compress alike, so compressed bodies say nothing until they are
 * decoded. A small body may decode to a very large one on purpose; the bound is checked before memory is taken. Runs on
 * the compare thread.
 */
#include "shadow/coding.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <zlib.h>

enum {
    OUTPUT_FIRST = 16 * 1024,
    OUTPUT_KEPT = 256 * 1024
};

/* zlib's "window bits": they also choose the wrapping. */
enum {
    WRAP_GZIP = 15 + 16,
    WRAP_ZLIB = 15,
    WRAP_NONE = -15
};

static bool is_named(const char *name, size_t len, const char *word)
{
    return strlen(word) == len && strncasecmp(name, word, len) == 0;
}

bool coding_is_identity(const char *name, size_t name_len)
{
    return name_len == 0 || is_named(name, name_len, "identity");
}

static bool grow(struct coding_output *output, size_t limit)
{
    size_t room = output->room == 0 ? OUTPUT_FIRST : output->room * 2;
    if (room > limit)
        room = limit;
    char *at = realloc(output->at, room == 0 ? 1 : room);
    if (at == NULL)
        return false;
    output->at = at;
    output->room = room;
    return true;
}

/* One turn of inflate() with as much room as there is. */
static int inflate_some(z_stream *stream, struct coding_output *output)
{
    size_t room = output->room - output->len;
    stream->next_out = (Bytef *)output->at + output->len;
    stream->avail_out = room > UINT_MAX ? UINT_MAX : (uInt)room;
    uInt before = stream->avail_out;
    int status = inflate(stream, Z_NO_FLUSH);
    output->len += before - stream->avail_out;
    return status;
}

/* What a status of inflate() means; CODING_DONE here is "go on". *ended: the whole body is there. */
static enum coding_result judge(z_stream *stream, int status, bool full, bool gzip, bool *ended)
{
    switch (status) {
    case Z_OK:
        return CODING_DONE;
    case Z_BUF_ERROR: /* no progress: for want of room, or of input */
        return full ? CODING_DONE : CODING_BROKEN;
    case Z_STREAM_END:
        *ended = stream->avail_in == 0;
        if (*ended)
            return CODING_DONE;
        /* gzip allows several members one after the other (RFC 1952 section 2.2) */
        return gzip && inflateReset(stream) == Z_OK ? CODING_DONE : CODING_BROKEN;
    case Z_MEM_ERROR:
        return CODING_NO_MEMORY;
    default:
        return CODING_BROKEN;
    }
}

static enum coding_result inflate_all(z_stream *stream, bool gzip, size_t limit, struct coding_output *output)
{
    enum coding_result result = CODING_DONE;
    bool ended = false;
    while (result == CODING_DONE && !ended) {
        if (output->len == output->room) {
            if (output->room >= limit)
                return CODING_TOO_LARGE;
            if (!grow(output, limit))
                return CODING_NO_MEMORY;
        }
        int status = inflate_some(stream, output);
        result = judge(stream, status, output->len == output->room, gzip, &ended);
    }
    return result;
}

static enum coding_result decode_with(int wrap, const char *at, size_t len, size_t limit, struct coding_output *output)
{
    z_stream stream = {0};
    output->len = 0;
    if (len > UINT_MAX)
        return CODING_TOO_LARGE;
    if (output->room > limit) /* it may be less than last time */
        coding_output_done(output);
    stream.next_in = (Bytef *)(uintptr_t)at;
    stream.avail_in = (uInt)len;
    if (inflateInit2(&stream, wrap) != Z_OK)
        return CODING_NO_MEMORY;
    enum coding_result result = inflate_all(&stream, wrap == WRAP_GZIP, limit, output);
    inflateEnd(&stream);
    return result;
}

enum coding_result coding_decode(const char *name, size_t name_len, const char *at, size_t len, size_t limit,
                                 struct coding_output *output)
{
    if (is_named(name, name_len, "gzip") || is_named(name, name_len, "x-gzip"))
        return decode_with(WRAP_GZIP, at, len, limit, output);
    if (!is_named(name, name_len, "deflate"))
        return CODING_UNKNOWN;
    enum coding_result result = decode_with(WRAP_ZLIB, at, len, limit, output);
    return result == CODING_BROKEN ? decode_with(WRAP_NONE, at, len, limit, output) : result;
}

void coding_output_trim(struct coding_output *output)
{
    if (output->room > OUTPUT_KEPT)
        coding_output_done(output);
}

void coding_output_done(struct coding_output *output)
{
    free(output->at);
    *output = (struct coding_output){0};
}
