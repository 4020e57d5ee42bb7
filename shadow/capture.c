/*
 * Capture: one response on its way to the compare thread.
 *
 * A worker fills it with copies while the response streams past, because the relay's buffers are gone long before the
 * other side has answered. Head and kept body share one buffer that outlives the response, so that small answers cost a
 * memcpy and nothing else. It reads no clock, logs nothing and never fails loudly: without memory it says `failed` and
 * the pair becomes "not comparable"; the client's response has nothing to do with it.
 */
#include "shadow/capture.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

enum {
    CAPTURE_FIRST_ROOM = 2048,     /* most heads with a small body */
    CAPTURE_KEPT_ROOM = 64 * 1024, /* a larger buffer is given back with the next reset */
};

static void drop_hash(struct capture *capture)
{
    if (capture->hash != NULL)
        XXH3_freeState(capture->hash);
    capture->hash = NULL;
}

void capture_init(struct capture *capture)
{
    *capture = (struct capture){.kind = OUTCOME_OK};
}

void capture_done(struct capture *capture)
{
    drop_hash(capture);
    free(capture->at);
    capture_init(capture);
}

void capture_trim(struct capture *capture)
{
    if (capture->room <= CAPTURE_KEPT_ROOM)
        return;
    free(capture->at);
    capture->at = NULL;
    capture->room = capture->len = capture->head_len = capture->trailers_len = 0;
}

void capture_reset(struct capture *capture, size_t max_body)
{
    drop_hash(capture);
    capture_trim(capture);
    memset(capture, 0, offsetof(struct capture, at)); /* the buffer stays */
    capture->kind = OUTCOME_OK;
    capture->max_body = max_body;
    capture->len = 0;
}

/* The size of the buffer that has `more` bytes of room behind what is there. It doubles, so that a streamed body is
 * moved a few times only. `more` is sane. */
static size_t room_for(const struct capture *capture, size_t more)
{
    if (more <= capture->room - capture->len)
        return capture->room;
    size_t room = capture->room < CAPTURE_FIRST_ROOM ? CAPTURE_FIRST_ROOM : capture->room;
    while (room < capture->len + more)
        room *= 2;
    size_t most =
        capture->head_len + capture->max_body; /* nothing beyond it will be kept; may wrap, then it does not fit */
    if (room > most && most >= capture->len + more)
        room = most;
    return room;
}

static bool make_room(struct capture *capture, size_t more)
{
    if (more <= capture->room - capture->len)
        return true;
    if (more > SIZE_MAX / 4 - capture->len)
        return false;
    size_t room = room_for(capture, more);
    char *at = realloc(capture->at, room);
    if (at == NULL)
        return false;
    capture->at = at;
    capture->room = room;
    return true;
}

static void keep(struct capture *capture, const char *at, size_t len)
{
    if (len == 0)
        return;
    if (!make_room(capture, len)) {
        capture->failed = true;
        return;
    }
    memcpy(capture->at + capture->len, at, len);
    capture->len += len;
}

void capture_head(struct capture *capture, unsigned status, const char *lines, size_t len)
{
    drop_hash(capture);
    capture->truncated = false;
    capture->status = (uint16_t)status;
    capture->body_len = 0;
    capture->trailers_len = 0;
    capture->len = 0; /* a later head replaces an earlier one: 103, then 200 */
    capture->head_len = 0;
    if (len > UINT32_MAX) {
        capture->failed = true;
        return;
    }
    keep(capture, lines, len);
    if (!capture->failed)
        capture->head_len = (uint32_t)len;
}

/* The body has outgrown what is kept: from here on it is only digested, beginning with what was kept. */
static void start_digest(struct capture *capture)
{
    capture->truncated = true;
    capture->hash = XXH3_createState();
    if (capture->hash == NULL || XXH3_128bits_reset(capture->hash) != XXH_OK) {
        capture->failed = true;
        return;
    }
    if (capture->len > capture->head_len) /* with `max_body: 0` there may be no buffer at all */
        XXH3_128bits_update(capture->hash, capture->at + capture->head_len, capture->len - capture->head_len);
}

void capture_body(struct capture *capture, const char *at, size_t len)
{
    capture->body_len += len;
    if (capture->failed || len == 0)
        return;
    size_t kept = capture->len - capture->head_len;
    if (!capture->truncated) {
        size_t fits = capture->max_body - kept;
        if (len <= fits) {
            keep(capture, at, len);
            return;
        }
        keep(capture, at, fits);
        if (!capture->failed)
            start_digest(capture);
        at += fits;
        len -= fits;
    }
    if (!capture->failed)
        XXH3_128bits_update(capture->hash, at, len);
}

void capture_beginning(struct capture *capture, const char *at, size_t len)
{
    capture->body_len += len;
    if (capture->failed)
        return;
    size_t fits = capture->max_body - (capture->len - capture->head_len);
    capture->truncated |= len > fits;
    keep(capture, at, len < fits ? len : fits);
}

/* Whole lines only. */
static size_t trailers_kept(const char *lines, size_t len)
{
    if (len <= CAPTURE_TRAILERS)
        return len;
    const char *end = memrchr(lines, '\n', CAPTURE_TRAILERS);
    return end == NULL ? 0 : (size_t)(end + 1 - lines);
}

void capture_trailers(struct capture *capture, const char *lines, size_t len)
{
    size_t kept = trailers_kept(lines, len);
    capture->trailers_len = 0;
    if (capture->failed || kept == 0)
        return;
    if (!make_room(capture, kept)) {
        capture->failed = true;
        return;
    }
    memcpy(capture->at + capture->len, lines, kept);
    capture->trailers_len = (uint32_t)kept;
}

size_t capture_growth(const struct capture *capture, size_t len)
{
    size_t most = capture->head_len + capture->max_body; /* 0 so far, before a head: a head is kept whole */
    if (capture->head_len > 0 && most >= capture->len && len > most - capture->len)
        len = most - capture->len;
    if (len <= capture->room - capture->len || len > SIZE_MAX / 4 - capture->len)
        return 0;
    return room_for(capture, len) - capture->room;
}

void capture_end(struct capture *capture, enum outcome_kind kind, uint64_t latency_us)
{
    capture->kind = kind;
    capture->latency_us = latency_us;
    capture->ended = true;
    if (capture->hash != NULL && !capture->failed) {
        XXH128_hash_t digest = XXH3_128bits_digest(capture->hash);
        capture->digest[0] = digest.high64;
        capture->digest[1] = digest.low64;
    }
    drop_hash(capture);
}
