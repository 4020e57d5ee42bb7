/*
 * The judge: two captured responses in, one judgement out.
 */
#ifndef SHUNT_SHADOW_COMPARE_H
#define SHUNT_SHADOW_COMPARE_H

#include "shadow/difference.h"
#include "shadow/pair.h"

enum judgement {
    JUDGEMENT_MATCHED, /* the same, as far as the route compares */
    JUDGEMENT_IGNORED, /* different only where a rule says that it does not matter */
    JUDGEMENT_MISMATCHED,
    JUDGEMENT_NOT_COMPARABLE, /* see the reason; says nothing about the new backend's answers */
    JUDGEMENTS,
};

/* "matched", "ignored", "mismatched", "not_comparable". */
const char *judgement_name(enum judgement judgement);

/* Why a pair could not be compared. */
enum obstacle {
    OBSTACLE_NONE,
    OBSTACLE_PRIMARY_FAILED, /* the primary side gave no whole response */
    OBSTACLE_CLIENT_GONE,    /* one side was broken off because the client left */
    OBSTACLE_SHADOW_CONNECT, /* the shadow side: no connection, no answer in time, broken off, not HTTP */
    OBSTACLE_SHADOW_TIMEOUT,
    OBSTACLE_SHADOW_RESET,
    OBSTACLE_SHADOW_BAD_RESPONSE,
    OBSTACLE_SHADOW_OVERLOADED, /* no connection was free for the copy: shunt's bound, not the backend's fault */
    OBSTACLE_TRUNCATED,         /* a body beyond max_body that differs: whether a rule covers how, cannot be told */
    OBSTACLE_CONTENT_ENCODING,  /* compressed bodies that differ and cannot be decoded */
    OBSTACLE_DECODED_TOO_LARGE, /* a compressed body becomes too large: a bomb, or max_body is too small */
    OBSTACLE_TOO_COMPLEX,       /* nested too deeply, or more work than a pair is given */
    OBSTACLE_MEMORY,
    OBSTACLE_LIBRARY, /* XML, and libxml2 cannot be loaded */
    OBSTACLES,
};

/* "shadow_timeout", "truncated", ... */
const char *obstacle_name(enum obstacle obstacle);

struct comparison {
    enum judgement judgement;
    enum obstacle obstacle;             /* OBSTACLE_NONE unless not comparable */
    struct difference_list differences; /* ignored ones included; empty when matched or not comparable */
    const struct rules *rules; /* of the route; NULL when they were not needed. Until the next compare_pair() */
    uint64_t rule_hits[RULES_MAX / 64]; /* bit i: rules->texts[i] changed something about this pair. Only with rules */
};

struct compare;

struct compare *compare_new(void); /* NULL without memory */
void compare_free(struct compare *compare);

/* What one pair may take besides its captures: where it is more, it is not comparable, and too complex. */
struct compare_bounds {
    uint32_t nodes; /* of a document; 0: as many as json_doc.h allows */
    size_t bytes;   /* of a body that is decoded, and of each list of an XML document; 0: no bound */
};
/* Between two pairs. */
void compare_bound(struct compare *compare, const struct compare_bounds *bounds);

/* Judges; the compare thread only. Borrows the pair for the call. The result is the judge's, until the next call. */
const struct comparison *compare_pair(struct compare *compare, const struct pair *pair);

#endif
