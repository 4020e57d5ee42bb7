/*
 * Confidence intervals for a single look. Pure arithmetic.
 *
 * All are two-sided: at confidence 0.99 each end is wrong in about half a percent of cases. Whoever looks again and
 * again takes confseq.h.
 */
#ifndef SHUNT_ROUTER_INTERVAL_H
#define SHUNT_ROUTER_INTERVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "router/histogram.h"

struct interval {
    double low;
    double high;
};

/* z with P(|Z| <= z) = confidence for a standard normal Z; 0 < confidence < 1. */
double interval_z(double confidence);

/*
 * Exact interval of a proportion (C. J. Clopper and E. S. Pearson, Biometrika 26 (1934) 404): each end is right at
 * least as often as it says, also for the handful of events that rare mismatches are. Wilson's is not: at 1 of 500 its
 * lower end at 99 % is 0.025 %, where the exact one is 0.001 %, so one bad pair would fail a limit of 0.01 %. `total` 0
 * gives 0..1.
 */
struct interval interval_of_rate(uint64_t events, uint64_t total, double confidence);

/* Difference of two proportions, first minus second, from their score intervals (E. B. Wilson, 1927), joined as by
 * R. G. Newcombe, Statistics in Medicine 17 (1998) 873, method 10. */
struct interval interval_of_difference(uint64_t first_events, uint64_t first_total, uint64_t second_events,
                                       uint64_t second_total, double confidence);

/*
 * Distribution-free interval of the value at quantile q, in microseconds, by order statistics with exact binomial tails
 * (H. A. David and H. N. Nagaraja, Order Statistics, section 7.1). Too few values for an end: low is 0, high is
 * INFINITY.
 */
struct interval interval_of_quantile(const struct histogram *values, double q, double confidence);

#endif
