/*
 * Latency histogram: log-linear buckets, mergeable by addition, 1/32 relative width (about 3 % error at most).
 *
 * Values are microseconds. Bucket b below 32 holds exactly the value b; above, each power of two is cut into 32. One
 * writer adds with histogram_add(); any thread may read counts at any time (relaxed loads: a reader may miss the
 * newest). The layout follows HdrHistogram (G. Tene) with 5 bits of mantissa: with 4, an increase of 30 % cannot be
 * told from one of 20 %.
 */
#ifndef SHUNT_ROUTER_HISTOGRAM_H
#define SHUNT_ROUTER_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_MANTISSA_BITS = 5,
    HISTOGRAM_STEPS = 1 << HISTOGRAM_MANTISSA_BITS, /* of each power of two; values below are exact */
    HISTOGRAM_BUCKETS = HISTOGRAM_STEPS * (33 - HISTOGRAM_MANTISSA_BITS), /* up to 2^32 us, more than an hour; larger
                                                                             values land in the last */
};

struct histogram {
    uint64_t count[HISTOGRAM_BUCKETS];
    uint64_t sum_us;
};

static inline uint32_t histogram_bucket(uint64_t us)
{
    if (us < HISTOGRAM_STEPS)
        return (uint32_t)us;
    uint32_t power = 63u - (uint32_t)__builtin_clzll(us) - HISTOGRAM_MANTISSA_BITS;
    uint32_t bucket = power * HISTOGRAM_STEPS + (uint32_t)(us >> power);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* Adds one to a counter that only the calling thread writes and others read. */
static inline void count_add(uint64_t *counter, uint64_t amount)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + amount, __ATOMIC_RELAXED);
}

static inline void count_sub(uint64_t *counter, uint64_t amount)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) - amount, __ATOMIC_RELAXED);
}

static inline uint64_t count_read(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static inline void histogram_add(struct histogram *h, uint64_t us)
{
    count_add(&h->count[histogram_bucket(us)], 1);
    count_add(&h->sum_us, us);
}

/* Smallest value of the bucket, in microseconds; histogram_bucket_floor(b + 1) is its exclusive upper end. */
uint64_t histogram_bucket_floor(uint32_t bucket);

void histogram_merge(struct histogram *into, const struct histogram *from);
/* into = later - earlier */
void histogram_difference(struct histogram *into, const struct histogram *later, const struct histogram *earlier);
uint64_t histogram_total(const struct histogram *h);
/* The value at quantile q (0..1) in microseconds, interpolated inside its bucket; 0 when empty. */
double histogram_quantile(const struct histogram *h, double q);

#endif
