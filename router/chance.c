/*
 * Tails of the binomial and the hypergeometric distribution, for the breaker. Looked at only when a limit seems to be
 * crossed, so that clearness goes before speed.
 */
#include "router/chance.h"

#include <math.h>

static double entropy_term(double p, double q)
{
    return p > 0 ? p * log(p / q) : 0;
}

double chance_of_rate(uint64_t events, uint64_t total, double rate)
{
    if (events > total)
        events = total;
    if (total == 0 || (double)events <= rate * (double)total)
        return 1;
    if (rate <= 0)
        return 0;
    double seen = (double)events / (double)total;
    return exp(-(double)total * (entropy_term(seen, rate) + entropy_term(1 - seen, 1 - rate)));
}

/* log of n! */
static double log_factorial(uint64_t n)
{
    int sign; /* lgamma() would tell it in a global variable */
    return lgamma_r((double)n + 1, &sign);
}

static double log_choose(uint64_t n, uint64_t k)
{
    return log_factorial(n) - log_factorial(k) - log_factorial(n - k);
}

double chance_of_difference(uint64_t first_events, uint64_t first_total, uint64_t second_events, uint64_t second_total)
{
    if (first_events > first_total)
        first_events = first_total;
    if (second_events > second_total)
        second_events = second_total;
    if ((double)first_events * (double)second_total <= (double)second_events * (double)first_total)
        return 1;
    uint64_t all = first_events + second_events;
    double term = exp(log_choose(first_total, first_events) + log_choose(second_total, second_events) -
                      log_choose(first_total + second_total, all));
    double chance = term;
    /* Above the mean each term is smaller than the one before, and the sum soon stands still. */
    for (uint64_t k = first_events; k < first_total && k < all && term > chance * 1e-12; k++) {
        term *= (double)(first_total - k) / (double)(k + 1) * (double)(all - k) / (double)(second_total - all + k + 1);
        chance += term;
    }
    return chance < 1 ? chance : 1;
}
