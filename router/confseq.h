/*
 * Confidence sequences: intervals that hold at all times at once, so that looking after every request costs nothing.
 *
 * With probability `confidence` the true value is inside the interval at every moment from the first exchange on, not
 * only at one moment chosen beforehand (D. A. Darling and H. Robbins, PNAS 58 (1967) 66). An ordinary interval that is
 * looked at again and again is wrong sooner or later; these are not. Pure arithmetic; any thread.
 */
#ifndef SHUNT_ROUTER_CONFSEQ_H
#define SHUNT_ROUTER_CONFSEQ_H

#include "router/interval.h"

struct histogram;

/*
 * Of a proportion: the values p whose likelihood is not beaten by a beta mixture of all others by more than 1 / (1 -
 * confidence) (H. Robbins, Ann. Math. Stat. 41 (1970) 1397; S. R. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, Ann.
 * Stat. 49 (2021) 1055, proposition 7). `total` 0 gives 0..1.
 */
struct interval confseq_of_rate(uint64_t events, uint64_t total, double confidence);

/*
 * Difference of two proportions, first minus second: what the games against both have won together (confseq.c). A side
 * without any gives -1..1.
 */
struct interval confseq_of_difference(uint64_t first_events, uint64_t first_total, uint64_t second_events,
                                      uint64_t second_total, double confidence);

/*
 * Of the value at quantile q in microseconds, by order statistics (S. R. Howard and A. Ramdas, Bernoulli 28 (2022)
 * 1704): how many values lie below it is a proportion of true value q. Too few values for an end: low is 0, high is
 * INFINITY. Ends are bounds of buckets, rounded outwards.
 */
struct interval confseq_of_quantile(const struct histogram *values, double q, double confidence);

/* Quantile q of the first over that of the second, minus 1; both together as with the difference. At least -1; high is
 * INFINITY with too few values. */
struct interval confseq_of_increase(const struct histogram *first, const struct histogram *second, double q,
                                    double confidence);

#endif
