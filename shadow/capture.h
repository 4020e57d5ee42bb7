/*
 * One response, kept for comparing: head, the first max_body bytes of the body, and beyond that its length and digest.
 *
 * The worker fills it while the response streams past; once the pair is submitted only the compare thread touches it.
 * Small responses cost no allocation: a capture keeps its buffer from one use to the next. A request is kept in one,
 * too: its beginning, without a digest of the rest (capture_beginning()).
 */
#ifndef SHUNT_SHADOW_CAPTURE_H
#define SHUNT_SHADOW_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/counters.h"

enum {
    CAPTURE_TRAILERS = 16 * 1024
};

struct capture {
    enum outcome_kind kind;
    uint16_t status;   /* 0: no head came */
    uint32_t head_len; /* of the kept head: lines "Name: value\r\n" without status line and without the empty line */
    uint32_t trailers_len; /* of the kept trailers: lines like the head's, behind the kept body */
    uint64_t body_len;     /* whole length as far as it came */
    uint64_t latency_us;   /* from the request's start on this side to the response's last byte */
    size_t max_body;
    bool truncated;     /* body_len > max_body: kept bytes are the beginning, digest covers all */
    bool failed;        /* no memory to keep it: cannot be compared */
    bool ended;         /* capture_end() was called */
    uint64_t digest[2]; /* XXH3 128 of the whole body; only when truncated */
    char *at;           /* head, then the kept part of the body, then the trailers */
    size_t len, room;   /* len: of head and kept body, without the trailers */
    void *hash;         /* XXH3 state, only while a truncated body streams */
};

void capture_init(struct capture *capture);
/* Frees what it holds. */
void capture_done(struct capture *capture);
/* Ready for another response; keeps a buffer of moderate size. */
void capture_reset(struct capture *capture, size_t max_body);
/* Gives back a large buffer, and with it what was captured; a buffer of moderate size is kept as it is. */
void capture_trim(struct capture *capture);
/* The head's field lines, each with its CRLF. */
void capture_head(struct capture *capture, unsigned status, const char *lines, size_t len);
void capture_body(struct capture *capture, const char *at, size_t len);
/* The same without a digest: beyond max_body only the length is counted. */
void capture_beginning(struct capture *capture, const char *at, size_t len);
/* The trailers' field lines, each with its CRLF; behind the last byte of the body, before capture_end(). Lines beyond
 * CAPTURE_TRAILERS bytes are not kept. */
void capture_trailers(struct capture *capture, const char *lines, size_t len);
/* By how much the buffer will grow when `len` more bytes of the body, or of a head, are kept; for those who count it.
 */
size_t capture_growth(const struct capture *capture, size_t len);
void capture_end(struct capture *capture, enum outcome_kind kind, uint64_t latency_us);

#endif
