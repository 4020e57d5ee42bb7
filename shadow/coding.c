/*
 * Content codings: see coding.h. Two servers never compress alike, so compressed bodies say nothing until they are
 * decoded. A small body may decode to a very large one on purpose; the bound is checked before memory is taken. The
 * three libraries differ in their words only, so each decoder is one function that goes on as far as there is room.
 * Runs on the compare thread.
 */
#include "shadow/coding.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
    OUTPUT_FIRST = 16 * 1024,
    OUTPUT_KEPT = 256 * 1024,
    ZSTD_WINDOW_LOG = 23, /* 8 MiB, what a content coding may ask for (RFC 9659) */
};

/* zlib's "window bits": they also choose the wrapping. */
enum {
    WRAP_GZIP = 15 + 16,
    WRAP_ZLIB = 15,
    WRAP_NONE = -15
};

struct input {
    const char *at;
    size_t len;
};

static bool is_named(struct input name, const char *word)
{
    return strlen(word) == name.len && strncasecmp(name.at, word, name.len) == 0;
}

/* ---- the output ---- */

/* One byte beyond the limit may be taken: when it is used, the limit does not hold. */
static size_t most_room(size_t limit)
{
    return limit < SIZE_MAX ? limit + 1 : limit;
}

/* Makes room where there is none. */
static enum coding_result make_room(struct coding_output *output, size_t limit)
{
    if (output->len > limit)
        return CODING_TOO_LARGE;
    if (output->len < output->room)
        return CODING_DONE;
    size_t room = output->room == 0 ? OUTPUT_FIRST : output->room * 2;
    if (room > most_room(limit))
        room = most_room(limit);
    if (room == output->room) /* the limit is the largest number there is */
        return CODING_TOO_LARGE;
    char *at = realloc(output->at, room);
    if (at == NULL)
        return CODING_NO_MEMORY;
    output->at = at;
    output->room = room;
    return CODING_DONE;
}

static void start_output(struct coding_output *output, size_t limit)
{
    output->len = 0;
    if (output->room > most_room(limit)) /* it may be less than last time */
        coding_output_done(output);
}

/* ---- gzip and deflate ---- */

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
static enum coding_result judge_inflate(z_stream *stream, int status, bool full, bool gzip, bool *ended)
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

static enum coding_result inflate_all(int wrap, struct input input, size_t limit, struct coding_output *output)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)input.at, .avail_in = (uInt)input.len};
    if (input.len > UINT_MAX)
        return CODING_TOO_LARGE;
    if (inflateInit2(&stream, wrap) != Z_OK)
        return CODING_NO_MEMORY;
    start_output(output, limit);
    enum coding_result result = CODING_DONE;
    for (bool ended = false; result == CODING_DONE && !ended;) {
        result = make_room(output, limit);
        if (result != CODING_DONE)
            break;
        int status = inflate_some(&stream, output);
        result = judge_inflate(&stream, status, output->len == output->room, wrap == WRAP_GZIP, &ended);
    }
    inflateEnd(&stream);
    return result;
}

static enum coding_result decode_gzip(struct input input, size_t limit, struct coding_output *output)
{
    return inflate_all(WRAP_GZIP, input, limit, output);
}

static enum coding_result decode_deflate(struct input input, size_t limit, struct coding_output *output)
{
    enum coding_result result = inflate_all(WRAP_ZLIB, input, limit, output);
    return result == CODING_BROKEN ? inflate_all(WRAP_NONE, input, limit, output) : result;
}

/* ---- brotli ---- */

/* The errors of a decoder that got no memory stand together (brotli/decode.h). */
static bool is_memory_error(BrotliDecoderErrorCode code)
{
    return code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES && code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES;
}

/* The large windows that the format allows beyond RFC 7932 are off by default, which leaves 16 MiB. */
static enum coding_result decode_brotli(struct input input, size_t limit, struct coding_output *output)
{
    BrotliDecoderState *state = BrotliDecoderCreateInstance(NULL, NULL, NULL);
    const uint8_t *in = (const uint8_t *)input.at;
    size_t left = input.len;
    enum coding_result result = state == NULL ? CODING_NO_MEMORY : CODING_DONE;
    BrotliDecoderResult status = BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT;

    start_output(output, limit);
    while (result == CODING_DONE && status == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT) {
        result = make_room(output, limit);
        if (result != CODING_DONE)
            break;
        size_t room = output->room - output->len;
        uint8_t *out = (uint8_t *)output->at + output->len;
        status = BrotliDecoderDecompressStream(state, &left, &in, &room, &out, NULL);
        output->len = output->room - room;
    }
    if (result == CODING_DONE && status == BROTLI_DECODER_RESULT_ERROR)
        result = is_memory_error(BrotliDecoderGetErrorCode(state)) ? CODING_NO_MEMORY : CODING_BROKEN;
    else if (result == CODING_DONE && (status != BROTLI_DECODER_RESULT_SUCCESS || left > 0))
        result = CODING_BROKEN;
    BrotliDecoderDestroyInstance(state);
    return result;
}

/* ---- zstd ---- */

static enum coding_result judge_zstd(size_t status)
{
    if (!ZSTD_isError(status))
        return CODING_DONE;
    switch (ZSTD_getErrorCode(status)) {
    case ZSTD_error_frameParameter_windowTooLarge:
        return CODING_TOO_LARGE;
    case ZSTD_error_memory_allocation:
        return CODING_NO_MEMORY;
    default:
        return CODING_BROKEN;
    }
}

/* Frames may follow one another (RFC 8878 section 3). */
static enum coding_result decode_zstd(struct input input, size_t limit, struct coding_output *output)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (context == NULL)
        return CODING_NO_MEMORY;
    ZSTD_inBuffer in = {.src = input.at, .size = input.len};
    size_t status = 1; /* 0: a frame is complete and all of it was handed out */
    enum coding_result result = judge_zstd(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG));

    start_output(output, limit);
    while (result == CODING_DONE && (in.pos < in.size || status != 0)) {
        result = make_room(output, limit);
        if (result != CODING_DONE)
            break;
        ZSTD_outBuffer out = {.dst = output->at, .size = output->room, .pos = output->len};
        size_t pos = in.pos;
        status = ZSTD_decompressStream(context, &out, &in);
        result = judge_zstd(status);
        bool stuck = in.pos == pos && out.pos == output->len;
        output->len = out.pos;
        if (result == CODING_DONE && stuck && (status != 0 || in.pos < in.size))
            result = CODING_BROKEN; /* it waits for more than there is */
    }
    ZSTD_freeDCtx(context);
    return result;
}

/* ---- the codings of a body ---- */

static const struct codec {
    const char *name;
    enum coding_result (*decode)(struct input input, size_t limit, struct coding_output *output);
} codecs[] = {
    {"gzip", decode_gzip}, {"x-gzip", decode_gzip}, {"deflate", decode_deflate},
    {"br", decode_brotli}, {"zstd", decode_zstd},
};

static const struct codec *find_codec(struct input name)
{
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
        if (is_named(name, codecs[i].name))
            return &codecs[i];
    return NULL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Takes the first name off a list; empty when there is none between two commas. */
static struct input take_name(struct input *list)
{
    const char *comma = list->len == 0 ? NULL : memchr(list->at, ',', list->len);
    size_t taken = comma == NULL ? list->len : (size_t)(comma - list->at);
    struct input name = {list->at, taken};
    taken += comma == NULL ? 0 : 1;
    *list = (struct input){list->at + taken, list->len - taken};
    while (name.len > 0 && is_blank(name.at[0]))
        name = (struct input){name.at + 1, name.len - 1};
    while (name.len > 0 && is_blank(name.at[name.len - 1]))
        name.len--;
    return name;
}

/* The codings in the order in which they were applied. Returns how many, or a negative number when some are not known.
 */
static int read_codings(struct input list, const struct codec *to[CODINGS_MAX])
{
    int count = 0;
    while (list.len > 0) {
        struct input name = take_name(&list);
        if (name.len == 0 || is_named(name, "identity"))
            continue;
        const struct codec *codec = find_codec(name);
        if (codec == NULL || count == CODINGS_MAX)
            return -1;
        to[count++] = codec;
    }
    return count;
}

bool coding_is_identity(const char *names, size_t len)
{
    const struct codec *all[CODINGS_MAX];
    return len == 0 || read_codings((struct input){names, len}, all) == 0;
}

static enum coding_result copy(struct input input, size_t limit, struct coding_output *output)
{
    start_output(output, limit);
    for (;;) {
        enum coding_result result = make_room(output, limit);
        if (result != CODING_DONE)
            return result;
        size_t room = output->room - output->len, some = input.len < room ? input.len : room;
        if (some == 0)
            return CODING_DONE;
        memcpy(output->at + output->len, input.at, some);
        output->len += some;
        input = (struct input){input.at + some, input.len - some};
    }
}

static enum coding_result undo(const struct codec *codec, struct input input, size_t limit,
                               struct coding_output *output)
{
    enum coding_result result = codec->decode(input, limit, output);
    return result == CODING_DONE && output->len > limit ? CODING_TOO_LARGE : result;
}

enum coding_result coding_decode(const char *names, size_t names_len, const char *at, size_t len, size_t limit,
                                 struct coding_output *output)
{
    const struct codec *all[CODINGS_MAX];
    int count = read_codings((struct input){names, names_len}, all);
    if (count < 0)
        return CODING_UNKNOWN;
    if (count == 0)
        return copy((struct input){at, len}, limit, output);
    enum coding_result result = undo(all[count - 1], (struct input){at, len}, limit, output);
    struct coding_output next = {0};
    for (int i = count - 2; i >= 0 && result == CODING_DONE; i--) {
        result = undo(all[i], (struct input){output->len == 0 ? "" : output->at, output->len}, limit, &next);
        struct coding_output done = *output;
        *output = next;
        next = done;
    }
    coding_output_done(&next);
    return result;
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
