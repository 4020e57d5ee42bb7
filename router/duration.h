/*
 * How long exchanges took, in the few coarse buckets that a metrics page can afford for every route, side and code
 * class.
 *
 * Beside the fine histogram (histogram.h), which decides; this one is only shown. The edges lie at 1, 2.5 and 5 of each
 * decade. One writer, any readers, as in counters.h.
 */
#ifndef SHUNT_ROUTER_DURATION_H
#define SHUNT_ROUTER_DURATION_H

#include <stdint.h>

#include "router/histogram.h"

enum {
    DURATION_EDGES = 18
};

/* Inclusive upper ends in microseconds: the `le` of Prometheus. */
extern const uint64_t duration_edges_us[DURATION_EDGES];

struct durations {
    uint64_t count[DURATION_EDGES + 1]; /* the last: beyond all edges */
    uint64_t sum_us;
};

static inline void durations_add(struct durations *durations, uint64_t us)
{
    uint32_t i = 0;
    while (i < DURATION_EDGES && us > duration_edges_us[i])
        i++;
    count_add(&durations->count[i], 1);
    count_add(&durations->sum_us, us);
}

/* into += from */
void durations_merge(struct durations *into, const struct durations *from);

#endif
