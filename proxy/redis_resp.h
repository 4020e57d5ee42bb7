/*
 * RESP3, Redis' protocol since version 6, rewritten as RESP2 while it comes in, for hiredis's reader, which knows no
 * other. What it lets through is well-formed and within bounds, so that the reader never meets anything else.
 *
 *   _        $-1          ,  (     + with the same text     % ~ >    * (a map of N pairs has 2N elements)
 *   # t/f    :1 / :0      !        - on one line            |        left out: it is about the reply behind it
 *   =        $ without "txt:"      + - : $ *  unchanged, byte for byte
 *
 * https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md; streamed strings and aggregates, which
 * no server sends, are refused.
 */
#ifndef SHUNT_PROXY_REDIS_RESP_H
#define SHUNT_PROXY_REDIS_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REDIS_RESP_DEPTH = 7,             /* what hiredis 0.14 can nest */
    REDIS_RESP_LINE_MOST = 64 * 1024, /* a status, an error, a number */
    REDIS_RESP_ELEMENTS =
        256 * 1024, /* of one reply, all levels: CLUSTER SLOTS of a cluster in splinters has as many */
    REDIS_RESP_NUMBER_ROOM = 24,
    REDIS_RESP_OUT_ROOM = 512,
};

struct redis_resp {
    /* The result of all. False: no memory; nothing more is read. */
    bool (*emit)(void *context, const char *bytes, size_t length);
    void *context;
    bool drop_pushes;   /* of the top level: nobody asked for them */
    uint64_t size_most; /* of one reply, bytes as they came */
    /* private */
    int state;
    char type;
    char line[REDIS_RESP_NUMBER_ROOM];
    size_t length; /* of `line`, or of the line that is let through */
    uint64_t left; /* of a payload */
    uint64_t size;
    uint64_t elements;
    unsigned depth;
    struct {
        uint64_t left;
        bool muted, aside; /* not for the reader; no element of what is around it */
    } level[REDIS_RESP_DEPTH];
    unsigned muted; /* levels */
    char out[REDIS_RESP_OUT_ROOM];
    size_t out_length;
    const char *fault; /* static; NULL: none so far */
};

/* What is before "private" is the caller's to set. */
void redis_resp_start(struct redis_resp *resp);
/* False: it is no RESP, or too much, or there was no memory, as `fault` says; from then on always. */
bool redis_resp_feed(struct redis_resp *resp, const char *bytes, size_t length);
/* Nothing is half read. */
bool redis_resp_is_between(const struct redis_resp *resp);

#endif
