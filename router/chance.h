/*
 * Could it be bad luck? The chance of seeing so many failures when nothing is wrong.
 *
 * The breaker looks forty times a second for months, so that what happens by chance once in a million looks happens
 * every seven hours. It acts only on what is next to impossible. Pure arithmetic; any thread.
 */
#ifndef SHUNT_ROUTER_CHANCE_H
#define SHUNT_ROUTER_CHANCE_H

#include <stdint.h>

/*
 * At most this likely: `events` or more of `total` when each happens with probability `rate`. Chernoff's bound of the
 * binomial tail, exp(-total * D(events/total || rate)) with the relative entropy D (H. Chernoff, Ann. Math. Stat. 23
 * (1952) 493; W. Hoeffding, JASA 58 (1963) 13, theorem 1). 1 where no more than expected were seen.
 */
double chance_of_rate(uint64_t events, uint64_t total, double rate);

/*
 * As likely: the first having at least so many of all the events when both sides have the same rate. Exact one-sided
 * test of R. A. Fisher (The Design of Experiments, 1935): the events fall on the sides like balls from an urn. 1 where
 * the first has no higher rate.
 */
double chance_of_difference(uint64_t first_events, uint64_t first_total, uint64_t second_events, uint64_t second_total);

#endif
