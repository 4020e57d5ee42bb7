/*
 * Reading and adding latency histograms. Writing is inline in histogram.h, as it is on the request path.
 *
 * Readers may look while a worker writes: every count is loaded once, so that a sum is of counts that each existed,
 * though not all at one instant. Nothing here allocates or fails.
 */
#include "router/histogram.h"

uint64_t histogram_bucket_floor(uint32_t bucket)
{
    if (bucket < HISTOGRAM_STEPS)
        return bucket;
    uint32_t power = bucket / HISTOGRAM_STEPS - 1;
    uint64_t mantissa = HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS;
    return mantissa << power;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (uint32_t b = 0; b < HISTOGRAM_BUCKETS; b++)
        into->count[b] += count_read(&from->count[b]);
    into->sum_us += count_read(&from->sum_us);
}

void histogram_difference(struct histogram *into, const struct histogram *later, const struct histogram *earlier)
{
    for (uint32_t b = 0; b < HISTOGRAM_BUCKETS; b++)
        into->count[b] = later->count[b] - earlier->count[b];
    into->sum_us = later->sum_us - earlier->sum_us;
}

uint64_t histogram_total(const struct histogram *h)
{
    uint64_t total = 0;
    for (uint32_t b = 0; b < HISTOGRAM_BUCKETS; b++)
        total += h->count[b];
    return total;
}

/* Where in bucket `b` the fraction `part` (0..1) of its values lies; the first buckets hold one value each. */
static double value_inside(uint32_t b, double part)
{
    double low = (double)histogram_bucket_floor(b);
    if (b < HISTOGRAM_STEPS)
        return low;
    return low + ((double)histogram_bucket_floor(b + 1) - low) * part;
}

double histogram_quantile(const struct histogram *h, double q)
{
    uint64_t total = histogram_total(h);
    if (total == 0)
        return 0;
    double rank = q * (double)total;
    double before = 0;
    uint32_t last = 0;
    for (uint32_t b = 0; b < HISTOGRAM_BUCKETS; b++) {
        if (h->count[b] == 0)
            continue;
        double here = (double)h->count[b];
        if (rank <= before + here)
            return value_inside(b, rank > before ? (rank - before) / here : 0);
        before += here;
        last = b;
    }
    return value_inside(last, 1);
}
