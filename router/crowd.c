/*
 * Adding crowds up, and leaving a part out. Control thread; adding is inline in crowd.h, as it is on the request path.
 */
#include "router/crowd.h"

void crowd_merge(struct crowd *into, const struct crowd *from)
{
    for (uint32_t part = 0; part < CROWD_PARTS; part++)
        for (uint32_t b = 0; b < CROWD_BUCKETS; b++)
            into->count[part][b] += __atomic_load_n(&from->count[part][b], __ATOMIC_RELAXED);
}

void crowd_gain(struct crowd *into, const struct crowd *later, const struct crowd *earlier)
{
    for (uint32_t part = 0; part < CROWD_PARTS; part++)
        for (uint32_t b = 0; b < CROWD_BUCKETS; b++)
            into->count[part][b] += later->count[part][b] - earlier->count[part][b];
}

/* Takes `count` of the values in these buckets, of each in proportion, rounded so that the sum is right. */
static void take_out(const uint64_t *from, uint64_t count, uint64_t *rest)
{
    uint64_t there = 0;
    uint64_t before = 0;
    uint64_t taken = 0;
    for (uint32_t i = 0; i < CROWD_WIDTH; i++)
        there += from[i];
    double share = there == 0 ? 0 : count < there ? (double)count / (double)there : 1; /* read while it was written */
    for (uint32_t i = 0; i < CROWD_WIDTH; i++) {
        before += from[i];
        uint64_t until = (uint64_t)((double)before * share + 0.5);
        uint64_t here = until > taken ? until - taken : 0;
        rest[i] = from[i] > here ? from[i] - here : 0;
        taken += here;
    }
}

void crowd_without(const struct crowd *crowd, uint32_t part, const struct histogram *all, struct histogram *rest)
{
    for (uint32_t b = 0; b < CROWD_BUCKETS; b++)
        take_out(&all->count[b * CROWD_WIDTH], crowd->count[part][b], &rest->count[b * CROWD_WIDTH]);
    rest->sum_us = 0;
}
