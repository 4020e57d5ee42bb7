/*
 * The arithmetic of interval.h. Asked when a report is read, so plain beats fast.
 */
#include "router/interval.h"

#include <math.h>

/* More than these many are taken as these many, in proportion: the interval is then a little wide, never too narrow,
 * and the exact sums stay exact (log-factorials lose their last digits) and short. */
#define RATE_MAX 1e11
/* From so many events, and as many of the others, Wilson's interval is as good as the exact one. */
#define NORMAL_FROM 1e5

double interval_z(double confidence)
{
    double tail = (1 - confidence) / 2;
    double low = 0;
    double high = 40;
    for (int i = 0; i < 200 && high - low > 1e-13; i++) {
        double middle = (low + high) / 2;
        if (0.5 * erfc(middle / sqrt(2)) > tail)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

static struct interval wilson(uint64_t events, uint64_t total, double z)
{
    if (total == 0)
        return (struct interval){0, 1};
    if (events > total) /* counters read while they are written */
        events = total;
    double n = (double)total;
    double p = (double)events / n;
    double middle = p + z * z / (2 * n);
    double half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    double scale = 1 + z * z / n;
    return (struct interval){
        .low = events == 0 ? 0 : (middle - half) / scale,
        .high = events == total ? 1 : (middle + half) / scale,
    };
}

static double log_factorial(double n)
{
    int sign;
    return lgamma_r(n + 1, &sign);
}

/* P(Binomial(n, p) <= k) for k at or below the mean: the largest term first, the rest shrink at least as fast as a row
 * of geometric numbers. */
static double lower_tail(double n, double p, double k)
{
    if (k < 0)
        return 0;
    double term = exp(log_factorial(n) - log_factorial(k) - log_factorial(n - k) + k * log(p) + (n - k) * log1p(-p));
    double sum = 0;
    for (double i = k; i >= 0 && term > sum * 1e-15; i--) {
        sum += term;
        term *= i * (1 - p) / ((n - i + 1) * p);
    }
    return sum;
}

/* The p with P(Binomial(n, p) <= k) = tail, for k below the mean of every p that is tried. */
static double rate_with_tail(double n, double k, double tail)
{
    double low = k / n;
    double high = 1;
    for (int i = 0; i < 100 && high - low > high * 1e-15; i++) {
        double middle = (low + high) / 2;
        if (lower_tail(n, middle, k) > tail)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

struct interval interval_of_rate(uint64_t events, uint64_t total, double confidence)
{
    if (total == 0)
        return (struct interval){0, 1};
    if (events > total) /* counters read while they are written */
        events = total;
    double n = fmin((double)total, RATE_MAX);
    double x = floor((double)events * (n / (double)total));
    if (x > NORMAL_FROM && n - x > NORMAL_FROM)
        return wilson(events, total, interval_z(confidence));
    double tail = (1 - confidence) / 2;
    return (struct interval){
        .low = x < 1 ? 0 : 1 - rate_with_tail(n, n - x, tail), /* the same question about what is no event */
        .high = events == total ? 1 : rate_with_tail(n, x, tail),
    };
}
