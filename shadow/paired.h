/*
 * Latency of the same request on both sides: each side's own, the difference and the ratio, as histograms of fixed
 * size.
 *
 * Two separate histograms cannot tell a shadow that is always 1 ms slower from one that is much slower for half of the
 * requests and much faster for the rest; pairs can. Difference: shadow minus primary, log-linear in both directions.
 * Ratio: shadow divided by primary, 16 steps to each doubling. Quantiles are interpolated inside a step.
 */
#ifndef SHUNT_SHADOW_PAIRED_H
#define SHUNT_SHADOW_PAIRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shadow/budget.h"

enum {
    PAIRED_SIDES = 16 + 16 * 28,                    /* 0..15 exactly, then 16 to each doubling, up to 2^32 us */
    PAIRED_MAGNITUDES = 240,                        /* 0..7 exactly, then 8 to each doubling, up to 2^32 us */
    PAIRED_DIFFERENCES = 2 * PAIRED_MAGNITUDES - 1, /* the middle one is 0 */
    PAIRED_RATIO_REACH = 160,                       /* 16 steps to each doubling, up to 1024 times */
    PAIRED_RATIOS = 2 * PAIRED_RATIO_REACH + 1,     /* the middle one is around 1 */
    PAIRED_PACKED_MAX = 16 * 1024
};

/* Zeroed is empty. */
struct paired {
    uint64_t count, slower; /* pairs; those in which the shadow took longer */
    uint64_t weight;        /* what the steps of each histogram add up to: `count` until that no longer fits in 32 bits,
                               then all are halved, so that newer pairs weigh more */
    uint32_t primary[PAIRED_SIDES];
    uint32_t shadow[PAIRED_SIDES];
    uint32_t difference[PAIRED_DIFFERENCES];
    uint32_t ratio[PAIRED_RATIOS];
};

/* Where a pair counts: found once, for all the histograms that it goes into. */
struct paired_steps {
    uint32_t primary, shadow, difference, ratio;
    bool slower;
};

struct paired_steps paired_steps_of(uint64_t primary_us, uint64_t shadow_us);

/* Makes an empty one, out of the budget, where there is none yet. False: there is no room, it stays NULL. */
bool paired_make(struct paired **paired, struct budget *budget);
void paired_add(struct paired *paired, const struct paired_steps *steps);
void paired_merge(struct paired *into, const struct paired *from);

/* Values at quantile q (0..1); 0 when empty. Sides and difference in milliseconds. */
double paired_primary_ms(const struct paired *paired, double q);
double paired_shadow_ms(const struct paired *paired, double q);
double paired_difference_ms(const struct paired *paired, double q);
double paired_ratio(const struct paired *paired, double q);

/* Packs into at most PAIRED_PACKED_MAX bytes; returns the length. Its form has a version of its own. */
size_t paired_pack(const struct paired *paired, unsigned char to[PAIRED_PACKED_MAX]);
/* False: not what paired_pack() writes; *paired is then empty. */
bool paired_unpack(struct paired *paired, const void *at, size_t len);

#endif
