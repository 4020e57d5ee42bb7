/*
 * Numbers drawn by chance, for simulations: many requests at once, as exactly distributed as if each had been drawn by
 * itself. Nothing that decides about traffic calls this. The same seed gives the same numbers on every machine.
 */
#ifndef SHUNT_ROUTER_DRAW_H
#define SHUNT_ROUTER_DRAW_H

#include "router/histogram.h"

struct draw {
    uint64_t state;
};

struct draw draw_from(uint64_t seed);
double draw_uniform(struct draw *draw); /* at least 0, below 1 */
double draw_normal(struct draw *draw);
/* How many of `total` happen, if each does with this probability. */
uint64_t draw_binomial(struct draw *draw, uint64_t total, double probability);
/* How many happen, if so many do on average. */
uint64_t draw_poisson(struct draw *draw, double mean);
double draw_beta(struct draw *draw, double a, double b); /* both at least 1 */

/* Log-normal latencies, as a histogram holds them. */
struct latency_law {
    double median_us;
    double sigma;
    uint32_t first, count;           /* the buckets that are not out of the question */
    double share[HISTOGRAM_BUCKETS]; /* of all, in bucket first + i */
    double upto[HISTOGRAM_BUCKETS];  /* in the buckets up to first + i */
};

void latency_law_init(struct latency_law *law, double median_us, double sigma);
/* Adds so many. */
void draw_latencies(struct draw *draw, const struct latency_law *law, uint64_t total, struct histogram *into);
/* Quantile q of `total` latencies (at least one), in microseconds, without drawing them all. */
double draw_latency_quantile(struct draw *draw, const struct latency_law *law, uint64_t total, double q);
/* The share that takes longer than `us`. */
double latency_law_beyond(const struct latency_law *law, double us);
/* The true quantile. */
double latency_law_quantile(const struct latency_law *law, double q);

#endif
