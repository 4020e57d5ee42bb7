/*
 * Two captured responses to the same request, on their way to the compare thread and back.
 */
#ifndef SHUNT_SHADOW_PAIR_H
#define SHUNT_SHADOW_PAIR_H

#include <stdint.h>

#include "config/config.h"
#include "shadow/capture.h"

enum pair_kind {
    PAIR_CROSS, /* primary's side against the other side: what the migration is judged by */
    PAIR_NOISE, /* primary's side against itself: what differs here is noise */
};

enum {
    PAIR_METHOD_ROOM = 16,
    PAIR_TARGET_ROOM = 232,
    PAIR_ID_ROOM = 40,
    PAIR_REQUEST_BODY = 16 * 1024, /* of a request's body, kept for samples */
};

struct pair {
    struct pair *next;                /* worker's free list */
    const struct config_route *route; /* lives until the pair is reclaimed: `holder` keeps it */
    void *holder;                     /* the submitter's; shadow does not touch it */
    size_t counted;                   /* likewise: what it has accounted for of pair_bytes() */
    enum pair_kind kind;
    enum side primary;
    uint64_t wall_ms; /* when the request came */
    uint32_t cohort;
    uint16_t key_mark, path_mark;  /* the decision's: whose pair it is, for sketches */
    char method[PAIR_METHOD_ROOM]; /* NUL-terminated, cut where too long */
    char target[PAIR_TARGET_ROOM]; /* path and query, NUL-terminated, cut where too long */
    char request_id[PAIR_ID_ROOM];
    struct capture
        request; /* the head's field lines and the first PAIR_REQUEST_BODY of the body, as the primary got them */
    struct capture primary_capture;
    struct capture shadow_capture;
};

/* NULL without memory. */
struct pair *pair_new(void);
void pair_free(struct pair *pair);
/* The memory it holds. */
size_t pair_bytes(const struct pair *pair);

#endif
