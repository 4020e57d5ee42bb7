/*
 * gRPC bodies: see grpc_stream.h. Frames only; what is in a message others read. A body that is no row of frames ends
 * in a part that is cut off: so it is named, and what came before it is compared. Compare thread.
 */
#include "shadow/grpc_stream.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    FRAME_HEAD = 5,
    FLAG_COMPRESSED = 0x01,
    FLAG_TRAILERS = 0x80, /* of gRPC-Web */
    PARTS_FIRST = 16,
    PARTS_KEPT = 4 * 1024,
    BYTES_KEPT = 64 * 1024,
};

/* ---- content types ---- */

static bool takes(struct span *text, const char *word)
{
    size_t len = strlen(word);
    if (text->len < len || strncasecmp(text->at, word, len) != 0)
        return false;
    *text = (struct span){text->at + len, text->len - len};
    return true;
}

static bool ends_here(struct span text)
{
    return text.len == 0 || text.at[0] == ';' || text.at[0] == ' ' || text.at[0] == '\t';
}

struct grpc_type grpc_type_of(struct span text)
{
    struct grpc_type type = {0};
    if (!takes(&text, "application/grpc"))
        return type;
    type.web = takes(&text, "-web");
    type.base64 = type.web && takes(&text, "-text");
    type.is_grpc = ends_here(text) || text.at[0] == '+';
    type.json = takes(&text, "+json") && ends_here(text);
    return type;
}

/* ---- base64 ---- */

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* A server may send several texts, each with its padding, one behind the other. What is no base64 ends it. */
static size_t decode_base64(char *to, struct span text)
{
    uint32_t bits = 0, digits = 0;
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.at[i]);
        if (text.at[i] == '=' || text.at[i] == '\r' || text.at[i] == '\n') {
            digits = text.at[i] == '=' ? 0 : digits;
            continue;
        }
        if (digit < 0)
            break;
        bits = bits << 6 | (uint32_t)digit;
        if (++digits % 4 != 1)
            to[len++] = (char)(bits >> (digits % 4 == 2 ? 4 : digits % 4 == 3 ? 2 : 0));
    }
    return len;
}

static enum coding_result undo_base64(struct grpc_stream *s, struct span *body)
{
    size_t need = body->len / 4 * 3 + 4;
    if (need > s->decoded_room) {
        char *decoded = realloc(s->decoded, need);
        if (decoded == NULL)
            return CODING_NO_MEMORY;
        s->decoded = decoded;
        s->decoded_room = need;
    }
    *body = (struct span){s->decoded, decode_base64(s->decoded, *body)};
    return CODING_DONE;
}

/* ---- frames ---- */

static enum coding_result add_part(struct grpc_stream *s, struct span bytes, enum node_fault fault)
{
    if (s->count == GRPC_MESSAGES) {
        s->too_many = true;
        return CODING_TOO_LARGE;
    }
    if (s->count == s->room) {
        uint32_t room = s->room == 0 ? PARTS_FIRST : s->room * 2;
        struct protobuf_part *parts = realloc(s->parts, room * sizeof(*parts));
        if (parts == NULL)
            return CODING_NO_MEMORY;
        s->parts = parts;
        s->room = room;
    }
    s->parts[s->count++] = (struct protobuf_part){bytes, fault};
    return CODING_DONE;
}

/* Behind what was unpacked before; the buffer may move, and with it what points into it. */
static bool keep_unpacked(struct grpc_stream *s, struct span *bytes)
{
    if (bytes->len > s->unpacked_room - s->unpacked_len) {
        size_t room = (s->unpacked_len + bytes->len) * 2 + 256;
        char *unpacked = malloc(room); /* beside the old one, whose addresses are still needed */
        if (unpacked == NULL)
            return false;
        if (s->unpacked_len > 0)
            memcpy(unpacked, s->unpacked, s->unpacked_len);
        uintptr_t from = (uintptr_t)s->unpacked;
        for (uint32_t i = 0; i < s->count; i++)
            if (from != 0 && (uintptr_t)s->parts[i].bytes.at >= from &&
                (uintptr_t)s->parts[i].bytes.at < from + s->unpacked_len)
                s->parts[i].bytes.at = unpacked + ((uintptr_t)s->parts[i].bytes.at - from);
        free(s->unpacked);
        s->unpacked = unpacked;
        s->unpacked_room = room;
    }
    memcpy(s->unpacked + s->unpacked_len, bytes->at, bytes->len);
    *bytes = (struct span){s->unpacked + s->unpacked_len, bytes->len};
    s->unpacked_len += bytes->len;
    return true;
}

static enum coding_result unpack(struct grpc_stream *s, struct span *bytes, struct span encoding, size_t limit)
{
    if (coding_is_identity(encoding.at, encoding.len))
        return CODING_BROKEN;
    enum coding_result result =
        coding_decode(encoding.at, encoding.len, bytes->at, bytes->len, limit - s->unpacked_len, &s->output);
    if (result != CODING_DONE)
        return result;
    *bytes = s->output.len == 0 ? (struct span){"", 0} : (struct span){s->output.at, s->output.len};
    return s->output.len == 0 || keep_unpacked(s, bytes) ? CODING_DONE : CODING_NO_MEMORY;
}

static enum coding_result take_message(struct grpc_stream *s, struct span bytes, bool compressed, struct span encoding,
                                       size_t limit)
{
    enum coding_result result = compressed ? unpack(s, &bytes, encoding, limit) : CODING_DONE;
    if (result == CODING_BROKEN)
        return add_part(s, bytes, NODE_NOT_DECODED);
    return result == CODING_DONE ? add_part(s, bytes, NODE_SOUND) : result;
}

static size_t length_of(const char *at)
{
    const unsigned char *bytes = (const unsigned char *)at;
    return (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
}

/* The frame at the front of *rest. */
static enum coding_result take_frame(struct grpc_stream *s, struct span *rest, struct span encoding, size_t limit)
{
    unsigned flags = (unsigned char)rest->at[0];
    bool whole = rest->len >= FRAME_HEAD && length_of(rest->at + 1) <= rest->len - FRAME_HEAD;
    if (!whole || s->ended || (flags & ~(unsigned)(FLAG_COMPRESSED | FLAG_TRAILERS)) != 0) {
        struct span left = *rest;
        *rest = (struct span){"", 0};
        s->cut_off = true;
        return add_part(s, left, NODE_CUT_OFF);
    }
    struct span bytes = {rest->at + FRAME_HEAD, length_of(rest->at + 1)};
    *rest = (struct span){bytes.at + bytes.len, rest->len - FRAME_HEAD - bytes.len};
    bool compressed = (flags & FLAG_COMPRESSED) != 0;
    if ((flags & FLAG_TRAILERS) == 0)
        return take_message(s, bytes, compressed, encoding, limit);
    enum coding_result result = compressed ? unpack(s, &bytes, encoding, limit) : CODING_DONE;
    s->trailers = bytes;
    s->ended = true;
    return result == CODING_BROKEN ? CODING_DONE : result;
}

enum coding_result grpc_stream_read(struct grpc_stream *s, struct grpc_type type, struct span body,
                                    struct span encoding, size_t limit)
{
    s->count = 0;
    s->cut_off = s->ended = s->too_many = false;
    s->trailers = (struct span){"", 0};
    s->unpacked_len = 0;
    enum coding_result result = type.base64 ? undo_base64(s, &body) : CODING_DONE;
    while (result == CODING_DONE && body.len > 0)
        result = take_frame(s, &body, encoding, limit);
    return result;
}

/* ---- buffers ---- */

void grpc_stream_trim(struct grpc_stream *s)
{
    coding_output_trim(&s->output);
    if (s->room <= PARTS_KEPT && s->decoded_room <= BYTES_KEPT && s->unpacked_room <= BYTES_KEPT)
        return;
    free(s->parts);
    free(s->decoded);
    free(s->unpacked);
    s->parts = NULL;
    s->decoded = s->unpacked = NULL;
    s->count = s->room = 0;
    s->decoded_room = s->unpacked_len = s->unpacked_room = 0;
    s->trailers = (struct span){"", 0};
}

void grpc_stream_done(struct grpc_stream *s)
{
    coding_output_done(&s->output);
    free(s->parts);
    free(s->decoded);
    free(s->unpacked);
    *s = (struct grpc_stream){0};
}
