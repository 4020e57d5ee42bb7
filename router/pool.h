/*
 * What the whole fleet has seen: this replica's counts as parcels for the others, and the sum of all as the leader
 * reads it back. docs/fleet.md has the way they take; here is only what is in them. Control thread.
 *
 * Fields of the evidence's hash (e:ROUTE), all of them sums, of routes whose plan has stages:
 *   S.j S.e S.u      judged, errors, unanswered of side S (l: legacy, n: new)
 *   S.h.B            of bucket B of its latency histogram; S.h.us its sum_us
 *   S.c.P.B          of bucket B of part P of its crowd; only where a gate of latency asks (min_distinct_keys)
 *   p.c p.m          compared and mismatched pairs; they may fall: noise is learnt, the report is forgotten
 *   held gathered    ms the leader has counted for the stage; they may fall as well
 * Bits (m:ROUTE): sketch number * 1024 + bit, in the order of pool_sketches (pool_fields.h). None is ever taken back.
 * Fields of the window's hash (w:ROUTE): S.j S.e S.s (slow), in 12 buckets of a breaker's window; and what a replica
 * adds to new's while it has errors or slow calls there, once more under its own name: n.j@REPLICA n.e@REPLICA
 * n.s@REPLICA. So the leader can leave out the worst one: a replica that alone cannot reach new says nothing about new.
 *
 * A parcel is what was gained since the one before: whoever takes it has to see it delivered, once (fleet.h does).
 * After a restart what the state directory had is taken as delivered: counts of the last moment may be missing, none is
 * there twice.
 *
 *   pool.c         what a route has told, and the parcels
 *   pool_fields.c  names of fields, to and from JSON
 *   pool_read.c    the fleet's side
 */
#ifndef SHUNT_ROUTER_POOL_H
#define SHUNT_ROUTER_POOL_H

#include <jansson.h>

#include "router/evidence.h"
#include "router/window.h"

struct route_state;
struct router;

enum {
    POOL_PARCEL_BYTES = 64 * 1024, /* of JSON, about: routes that do not fit wait; one alone may be larger */
    POOL_BUCKETS = 12,
    POOL_WINDOW_BUCKETS = POOL_BUCKETS + 1, /* with the one that fills */
};

/* Of one route; NULL in route_state while there is no fleet. */
struct pool_route;

/* Where the pool of a route begins: nothing is told of what was before. NULL without memory. */
struct pool_route *pool_route_new(void);
void pool_route_free(struct pool_route *pool); /* NULL is fine */
/* To be called when state->meter and state->entry have been restored: what the meter has is taken as delivered. Else
 * the first parcel does so, with what has been gained until then. */
void pool_route_resume(struct router *router, struct route_state *state);

/* The next parcel: array of route names in *routes and of what they gained in *counts, as "counts.routes" of a beat;
 * new references. False: nothing was gained (or no memory), and neither is set. `leads`: with held and gathered, of
 * which only what has passed since the former parcel counts: so a new leader may set them to pool_progress(). */
bool router_pool_parcel(struct router *router, bool leads, uint64_t now_ms, json_t **routes, json_t **counts);
/* Each answered beat. True: Redis has come back with less than it was told ("had" is lower than a former "seq"). */
bool router_pool_answered(struct router *router, const json_t *answer);
/* The names of routes that a leader wants to read now, at most `most`, the ones longest not read first; new reference.
 */
json_t *router_pool_wanted(const struct router *router, uint32_t most);
/* One route of the answer to `read`; `redis_ms` is the "now" of that answer. Garbage is refused: false, and nothing has
 * changed. */
bool router_pool_take(struct router *router, const char *route, const json_t *answer, uint64_t now_ms,
                      uint64_t redis_ms);
/* Another leads: what was read is forgotten. */
void router_pool_forget(struct router *router);

/* The fleet's evidence of the stage `entry`; NULL: not read yet, or of another. Borrowed until the next take. */
const struct evidence *pool_evidence(const struct pool_route *pool, uint64_t entry);
/* ms that leaders have counted for it, as far as told; 0 when that is not known. */
void pool_progress(const struct pool_route *pool, uint64_t entry, uint64_t *held_ms, uint64_t *gathered_ms);
/* The breaker's window over all replicas but, of new, the worst one, of what was last read, up to two of the 12 buckets
 * too long; of it only what came after `since_ms` (0: all of it), as when a breaker has closed. False: not known. */
bool pool_window(const struct pool_route *pool, uint64_t since_ms, uint64_t now_ms, struct window_counts counts[SIDES]);

#endif
