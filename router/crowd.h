/*
 * Crowd: how long the exchanges of one side took, apart by who asked and for what, so that a verdict on latency can be
 * asked again with a part of them left out.
 *
 * Clients are dealt by their marks into eight parts, and paths into eight of their own; one client, and one path, is
 * wholly in one part. Who was slow beyond some time would take less room, but tells nothing here: the slowest twentieth
 * of healthy traffic is everybody's, or for ever that of the same slow path on both sides. Only the comparison of what
 * both sides do without a part tells whether it rests on it.
 *
 * Buckets are eight of histogram.h in one: within them, what is left out is taken from each in proportion. One thread
 * adds, any may read. Counts are modulo 2^32, as are their differences.
 */
#ifndef SHUNT_ROUTER_CROWD_H
#define SHUNT_ROUTER_CROWD_H

#include <stdbool.h>
#include <stdint.h>

#include "router/histogram.h"

enum {
    CROWD_BITS = 3,
    CROWD_OF_EACH = 1 << CROWD_BITS, /* parts of the clients, and of the paths */
    CROWD_PARTS = 2 * CROWD_OF_EACH, /* first those of the clients */
    CROWD_WIDTH = 8,                 /* buckets of a histogram in one */
    CROWD_BUCKETS = HISTOGRAM_BUCKETS / CROWD_WIDTH,
};

struct crowd {
    uint32_t count[CROWD_PARTS][CROWD_BUCKETS];
};

static inline void crowd_add_one(uint32_t *counter)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

/* The marks are cohort.h's: their upper bits, as sketches go by the lower. */
static inline void crowd_add(struct crowd *crowd, uint16_t key_mark, uint16_t path_mark, uint64_t us)
{
    uint32_t bucket = histogram_bucket(us) / CROWD_WIDTH;
    crowd_add_one(&crowd->count[key_mark >> (16 - CROWD_BITS)][bucket]);
    crowd_add_one(&crowd->count[CROWD_OF_EACH + (path_mark >> (16 - CROWD_BITS))][bucket]);
}

/* into += from; `from` may be written meanwhile */
void crowd_merge(struct crowd *into, const struct crowd *from);
/* into += later - earlier */
void crowd_gain(struct crowd *into, const struct crowd *later, const struct crowd *earlier);

static inline bool crowd_part_is_paths(uint32_t part)
{
    return part >= CROWD_OF_EACH;
}

/* *rest = `all` without what this part did; its sum_us is 0. A part of which nothing is known is empty. */
void crowd_without(const struct crowd *crowd, uint32_t part, const struct histogram *all, struct histogram *rest);

#endif
