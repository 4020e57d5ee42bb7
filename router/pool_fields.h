/*
 * Names of what a fleet adds up of a route's evidence, and the way to JSON and back. Internal to the pool (pool.h lists
 * them). Control thread; trusts nothing in the JSON it reads.
 */
#ifndef SHUNT_ROUTER_POOL_FIELDS_H
#define SHUNT_ROUTER_POOL_FIELDS_H

#include <jansson.h>

#include "router/evidence.h"
#include "router/pool.h"
#include "router/window.h"

enum {
    POOL_SKETCHES = 16,
};

/* Where each is in struct evidence, in the order in which they stand in Redis. */
extern const size_t pool_sketches[POOL_SKETCHES];

/* An object FIELD: N that grows. */
struct pool_adder {
    json_t *add;  /* owned */
    size_t bytes; /* of its JSON, about */
    bool failed;  /* no memory */
};

/* Nothing for 0. */
void pool_add(struct pool_adder *adder, const char *field, int64_t amount);
/* What `now` has more than `told`, but for pairs, which may fall and are the caller's. */
void pool_add_gain(struct pool_adder *adder, const struct evidence *now, const struct evidence *told, bool crowds);
/* counts of a window: to - from; new's once more under the name of `replica` where it has errors or slow calls ("":
 * not) */
void pool_add_window(struct pool_adder *adder, const struct window_counts to[SIDES],
                     const struct window_counts from[SIDES], const char *replica);
/* Bits of now's sketches that told's have not, as an array of offsets; *bytes grows. NULL without memory. */
json_t *pool_bits(const struct evidence *now, const struct evidence *told, size_t *bytes);

/* All replicas together. */
struct pool_sums {
    struct evidence evidence;
    uint64_t held_ms, gathered_ms;
};

/* `counts` is { FIELD: N }, `bits` hex; NULL: none. Fields of another version are passed over. False: garbage; *sums is
 * then undefined. */
bool pool_sums_read(const json_t *counts, const json_t *bits, struct pool_sums *sums);
/* A breaker's window in buckets of time: of all replicas, and of new that part which comes from the replica with the
 * most errors and slow calls. */
struct pool_window {
    struct window_counts all[POOL_WINDOW_BUCKETS][SIDES];
    struct window_counts worst[POOL_WINDOW_BUCKETS];
};

/* { "BUCKET FIELD": N }: what is in bucket `first` and those after it. False as above. */
bool pool_window_read(const json_t *window, uint64_t first, struct pool_window *read);

/* An integer as JSON, as a whole real number (Lua has no other) or as a text. */
bool pool_number(const json_t *json, int64_t *number);

#endif
