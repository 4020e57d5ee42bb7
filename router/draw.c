/*
 * The generators of draw.h, by methods that are exact: a day of 5,000 requests a second costs no more than its looks.
 * Pure arithmetic on the state it is handed.
 */
#include "router/draw.h"

#include <math.h>
#include <stdbool.h>

/* From this many expected on, rejection is faster than counting up. */
#define MANY 10.0
/* Latencies are drawn one by one up to this many, bucket by bucket above. */
#define EACH_UP_TO 300
/* Latencies less likely than this are not drawn: none in ten billion. */
#define NEVER 1e-10

/* SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014). */
static uint64_t next(struct draw *draw)
{
    uint64_t z = draw->state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* Seeds that are neighbours must not begin one step apart in the same sequence. */
struct draw draw_from(uint64_t seed)
{
    struct draw draw = {seed};
    draw.state = next(&draw) ^ 0x2545f4914f6cdd1d;
    return draw;
}

double draw_uniform(struct draw *draw)
{
    return (double)(next(draw) >> 11) * 0x1p-53;
}

/* Above 0, too: for logarithms. */
static double open_uniform(struct draw *draw)
{
    return ((double)(next(draw) >> 11) + 0.5) * 0x1p-53;
}

double draw_normal(struct draw *draw)
{
    double radius = sqrt(-2 * log(open_uniform(draw)));
    return radius * cos(2 * acos(-1) * draw_uniform(draw));
}

static double log_factorial(double n)
{
    int sign;
    return lgamma_r(n + 1, &sign);
}

/* ---- binomial ---- */

/* Counting up from none, each probability from the one before. */
static uint64_t binomial_of_few(struct draw *draw, uint64_t total, double p)
{
    double odds = p / (1 - p);
    double none = exp((double)total * log1p(-p));
    for (;;) {
        double left = draw_uniform(draw);
        double here = none;
        uint64_t k = 0;
        while (left >= here && k < total) {
            left -= here;
            here *= odds * (double)(total - k) / (double)(k + 1);
            k++;
            if (here < 1e-300)
                break;
        }
        if (left < here)
            return k;
    }
}

/* Transformed rejection (W. Hoermann, J. Statist. Comput. Simul. 46 (1993) 101, BTRD without its short cuts). */
static uint64_t binomial_of_many(struct draw *draw, double n, double p)
{
    double spread = sqrt(n * p * (1 - p));
    double b = 1.15 + 2.53 * spread;
    double a = -0.0873 + 0.0248 * b + 0.01 * p;
    double alpha = (2.83 + 5.1 / b) * spread;
    double inside = 0.92 - 4.2 / b;
    for (;;) {
        double u = draw_uniform(draw) - 0.5;
        double v = open_uniform(draw);
        double us = 0.5 - fabs(u);
        double k = floor((2 * a / us + b) * u + n * p + 0.5);
        if (us >= 0.07 && v <= inside)
            return (uint64_t)k;
        if (!(k >= 0) || k > n)
            continue;
        double mode = floor((n + 1) * p);
        double height = log_factorial(mode) + log_factorial(n - mode) - log_factorial(k) - log_factorial(n - k) +
                        (k - mode) * log(p / (1 - p));
        if (log(v * alpha / (a / (us * us) + b)) <= height)
            return (uint64_t)k;
    }
}

uint64_t draw_binomial(struct draw *draw, uint64_t total, double probability)
{
    if (total == 0 || probability <= 0)
        return 0;
    if (probability >= 1)
        return total;
    if (probability > 0.5)
        return total - draw_binomial(draw, total, 1 - probability);
    return (double)total * probability < MANY ? binomial_of_few(draw, total, probability)
                                              : binomial_of_many(draw, (double)total, probability);
}

/* ---- Poisson ---- */

static uint64_t poisson_of_few(struct draw *draw, double mean)
{
    double end = exp(-mean);
    double product = open_uniform(draw);
    uint64_t k = 0;
    while (product > end) {
        product *= open_uniform(draw);
        k++;
    }
    return k;
}

/* Transformed rejection (W. Hoermann, Insurance: Mathematics and Economics 12 (1993) 39, PTRS). */
static uint64_t poisson_of_many(struct draw *draw, double mean)
{
    double b = 0.931 + 2.53 * sqrt(mean);
    double a = -0.059 + 0.02483 * b;
    double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    double inside = 0.9277 - 3.6224 / (b - 2);
    for (;;) {
        double u = draw_uniform(draw) - 0.5;
        double v = open_uniform(draw);
        double us = 0.5 - fabs(u);
        double k = floor((2 * a / us + b) * u + mean + 0.43);
        if (us >= 0.07 && v <= inside)
            return (uint64_t)k;
        if (!(k >= 0) || (us < 0.013 && v > us))
            continue;
        if (log(v * inverse_alpha / (a / (us * us) + b)) <= k * log(mean) - mean - log_factorial(k))
            return (uint64_t)k;
    }
}

uint64_t draw_poisson(struct draw *draw, double mean)
{
    if (!(mean > 0))
        return 0;
    return mean < MANY ? poisson_of_few(draw, mean) : poisson_of_many(draw, mean);
}

/* ---- beta ---- */

/* G. Marsaglia, W. W. Tsang, ACM TOMS 26 (2000) 363. */
static double gamma_of(struct draw *draw, double shape)
{
    double d = shape - 1.0 / 3;
    double c = 1 / sqrt(9 * d);
    for (;;) {
        double x = draw_normal(draw);
        double v = (1 + c * x) * (1 + c * x) * (1 + c * x);
        if (v > 0 && log(open_uniform(draw)) < 0.5 * x * x + d - d * v + d * log(v))
            return d * v;
    }
}

double draw_beta(struct draw *draw, double a, double b)
{
    double x = gamma_of(draw, a);
    return x / (x + gamma_of(draw, b));
}

/* ---- latencies ---- */

/* The normal distribution's part below z. */
static double below(double z)
{
    return 0.5 * erfc(-z / sqrt(2));
}

/* And its inverse: a rough one (M. Abramowitz, I. A. Stegun, 26.2.23), made exact by Newton's steps. */
static double normal_quantile(double q)
{
    double tail = fmax(fmin(q, 1 - q), 1e-300);
    double t = sqrt(-2 * log(tail));
    double z = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
    for (int i = 0; i < 3; i++)
        z += (below(-z) - tail) / exp(-0.5 * z * z) * sqrt(2 * acos(-1));
    return q < 0.5 ? -z : z;
}

/* Up to the end of the bucket. */
static double law_upto(const struct latency_law *law, uint32_t bucket)
{
    if (bucket + 1 >= HISTOGRAM_BUCKETS)
        return 1;
    return below(log((double)histogram_bucket_floor(bucket + 1) / law->median_us) / law->sigma);
}

void latency_law_init(struct latency_law *law, double median_us, double sigma)
{
    *law = (struct latency_law){.median_us = median_us, .sigma = sigma};
    double before = 0;
    for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        double upto = law_upto(law, bucket);
        if (upto <= NEVER) {
            law->first = bucket + 1;
            continue;
        }
        law->share[law->count] = upto - before;
        law->upto[law->count] = upto;
        law->count++;
        before = upto;
        if (1 - upto <= NEVER)
            break;
    }
    law->upto[law->count - 1] = 1;
}

static uint32_t draw_bucket(struct draw *draw, const struct latency_law *law)
{
    double u = draw_uniform(draw);
    uint32_t low = 0;
    uint32_t high = law->count - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (law->upto[middle] > u)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void add_many(struct histogram *into, uint32_t bucket, uint64_t count)
{
    count_add(&into->count[bucket], count);
    count_add(&into->sum_us, count * histogram_bucket_floor(bucket));
}

void draw_latencies(struct draw *draw, const struct latency_law *law, uint64_t total, struct histogram *into)
{
    if (total <= EACH_UP_TO) {
        for (uint64_t i = 0; i < total; i++)
            add_many(into, law->first + draw_bucket(draw, law), 1);
        return;
    }
    double left = 1;
    for (uint32_t i = 0; i < law->count && total > 0; i++) {
        bool last = i + 1 == law->count;
        uint64_t here = last ? total : draw_binomial(draw, total, fmin(1, law->share[i] / left));
        add_many(into, law->first + i, here);
        total -= here;
        left -= law->share[i];
    }
}

/* The k-th of n uniform numbers is beta distributed. */
double draw_latency_quantile(struct draw *draw, const struct latency_law *law, uint64_t total, double q)
{
    double rank = fmin((double)total, floor(q * (double)total) + 1);
    double place = draw_beta(draw, rank, (double)total - rank + 1);
    return latency_law_quantile(law, place);
}

double latency_law_beyond(const struct latency_law *law, double us)
{
    return us > 0 ? 1 - below(log(us / law->median_us) / law->sigma) : 1;
}

double latency_law_quantile(const struct latency_law *law, double q)
{
    return law->median_us * exp(law->sigma * normal_quantile(q));
}
