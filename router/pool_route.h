/*
 * What is kept of a route's pool. Internal: pool.c fills the first half, pool_read.c the second.
 */
#ifndef SHUNT_ROUTER_POOL_ROUTE_H
#define SHUNT_ROUTER_POOL_ROUTE_H

#include "router/control.h"
#include "router/pool.h"
#include "router/pool_fields.h"

/* A stage's time, as the leader counts it. */
struct pool_progress {
    uint64_t seen_ms;
    int64_t untold_ms;
};

struct pool_route {
    /* ---- told ---- */
    bool begun;
    uint64_t entry;       /* that `told` is of */
    uint32_t entries;     /* plan.entries then: when it changes alone, the stage is none that the fleet knows */
    struct evidence told; /* in parcels, or taken as delivered */
    struct comparison_totals owed; /* of told.pairs, what the fleet may not have: falls are taken from it first */
    struct window_counts window[SIDES];
    uint64_t looked_ms;             /* when `window` was true */
    uint64_t ended;                 /* tally_ended() at the last look */
    struct comparison_totals pairs; /* of the route at the last look */
    uint64_t quiet_at_ms;           /* until then marks may come in late */
    bool waits;                     /* did not fit into the last parcel */
    bool leads;
    struct pool_progress held, gathered;
    uint64_t progress_at_ms, progress_told_ms;
    /* ---- read ---- */
    uint64_t read_at_ms;    /* 0: never */
    struct pool_sums *sums; /* owned; NULL: not read */
    uint64_t sums_entry;
    bool window_known;
    uint64_t bucket_ms;
    uint64_t window_first;  /* number of the first bucket */
    int64_t redis_ahead_ms; /* of our clock */
    struct pool_window window_read;
};

/* Of a bucket of the route's window. */
uint64_t pool_bucket_ms(const struct config_breaker *breaker);

#endif
