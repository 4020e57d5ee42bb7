/*
 * Confidence intervals for a single look. Pure arithmetic.
 *
 * Two-sided: at confidence 0.99 each end is wrong in about half a percent of cases. Whoever looks again and again takes
 * confseq.h.
 */
#ifndef SHUNT_ROUTER_INTERVAL_H
#define SHUNT_ROUTER_INTERVAL_H

#include <stdint.h>

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

#endif
