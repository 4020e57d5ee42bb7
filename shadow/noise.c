/*
 * Noise: see noise.h. Pure; asked by the report for every field it tells, and before a sample is made.
 *
 * The order of the questions matters. Where noise is not measured every difference is real: silence is no excuse. A
 * field below Diffy's thresholds is noise only when it was seen to differ by itself; else it is merely rare. Above the
 * thresholds it is real once chance is ruled out, and undecided until then. Only noise excuses a pair.
 */
#include "shadow/noise.h"

#include <math.h>
#include <stdio.h>

#include "shadow/figures.h"

static const char *const state_names[FIELD_STATES] = {
    [FIELD_REAL] = "real",
    [FIELD_NOISY] = "noise",
    [FIELD_RARE] = "rare",
    [FIELD_UNDECIDED] = "undecided",
};

const char *field_state_name(enum field_state state)
{
    return (unsigned)state < FIELD_STATES ? state_names[state] : "unknown";
}

/* ---- Fisher's exact test ---- */

/* From this variance on, a normal tail with its first correction for skewness is as good as the sum and far quicker. */
#define NORMAL_FROM_VARIANCE 2.5e5

struct hypergeometric { /* X: how many of `events` are among `first`, when they are dealt at random over both */
    double first, second, events;
    double mean, variance;
};

static struct hypergeometric hypergeometric_of(uint64_t events, uint64_t first, uint64_t second)
{
    struct hypergeometric h = {.first = (double)first, .second = (double)second, .events = (double)events};
    double all = h.first + h.second;
    h.mean = h.events * h.first / all;
    h.variance = all > 1 ? h.mean * (h.second / all) * ((all - h.events) / (all - 1)) : 0;
    return h;
}

static double log_choose(double n, double k)
{
    int sign;
    return lgamma_r(n + 1, &sign) - lgamma_r(k + 1, &sign) - lgamma_r(n - k + 1, &sign);
}

static double term_at(const struct hypergeometric *h, double k)
{
    return exp(log_choose(h->first, k) + log_choose(h->second, h->events - k) -
               log_choose(h->first + h->second, h->events));
}

/* P(X >= k) for k above the mean: each term is smaller than the one before. */
static double sum_upwards(const struct hypergeometric *h, double k)
{
    double most = fmin(h->events, h->first), term = term_at(h, k), sum = 0;
    for (; k <= most && term > sum * 1e-14; k++) {
        sum += term;
        term *= (h->first - k) * (h->events - k) / ((k + 1) * (h->second - h->events + k + 1));
    }
    return sum;
}

/* P(X <= k) for k below the mean. */
static double sum_downwards(const struct hypergeometric *h, double k)
{
    double least = fmax(0, h->events - h->second), term = term_at(h, k), sum = 0;
    for (; k >= least && term > sum * 1e-14; k--) {
        sum += term;
        term *= k * (h->second - h->events + k) / ((h->first - k + 1) * (h->events - k + 1));
    }
    return sum;
}

/* P(X >= k): the normal tail, corrected for skewness (F. Y. Edgeworth, 1905). */
static double normal_tail(const struct hypergeometric *h, double k)
{
    double all = h->first + h->second, deviation = sqrt(h->variance);
    double z = (k - 0.5 - h->mean) / deviation;
    double skew = (all - 2 * h->events) * (all - 2 * h->first) / ((all - 2) * all) / deviation;
    double density = exp(-z * z / 2) / sqrt(2 * M_PI);
    return 0.5 * erfc(z / sqrt(2)) + density * skew * (z * z - 1) / 6;
}

static double at_least(const struct hypergeometric *h, double k)
{
    if (k <= fmax(0, h->events - h->second))
        return 1;
    if (h->variance > NORMAL_FROM_VARIANCE)
        return normal_tail(h, k);
    return k > h->mean ? sum_upwards(h, k) : 1 - sum_downwards(h, k - 1);
}

double noise_excess_p(uint64_t first_events, uint64_t first_total, uint64_t second_events, uint64_t second_total)
{
    if (first_events > first_total) /* counters of a damaged store: never more events than pairs */
        first_events = first_total;
    if (second_events > second_total)
        second_events = second_total;
    if (first_total == 0 || second_total == 0)
        return 1;
    struct hypergeometric h = hypergeometric_of(first_events + second_events, first_total, second_total);
    return fmin(1, fmax(0, at_least(&h, (double)first_events)));
}

/* ---- the rule ---- */

/* Which part of Diffy's rule a field fails, if any. */
enum threshold {
    THRESHOLD_NONE,
    THRESHOLD_RAW,
    THRESHOLD_RELATIVE,
    THRESHOLD_ABSOLUTE
};

struct rates {
    double raw, noise;
};

static struct rates rates_of(const struct noise_counts *counts)
{
    return (struct rates){
        .raw = counts->compared > 0 ? (double)counts->differing / (double)counts->compared : 0,
        .noise = counts->noise_compared > 0 ? (double)counts->noise / (double)counts->noise_compared : 0,
    };
}

static enum threshold threshold_failed(const struct config_noise *config, struct rates rates)
{
    if (rates.raw <= rates.noise)
        return THRESHOLD_RAW;
    if ((rates.raw - rates.noise) / (rates.raw + rates.noise) <= config->relative)
        return THRESHOLD_RELATIVE;
    return rates.raw - rates.noise <= config->absolute ? THRESHOLD_ABSOLUTE : THRESHOLD_NONE;
}

static double p_of(const struct noise_counts *counts)
{
    return noise_excess_p(counts->differing, counts->compared, counts->noise, counts->noise_compared);
}

static double p_allowed(const struct config_noise *config, const struct noise_counts *counts)
{
    return (1 - config->confidence) / (counts->fields > 0 ? counts->fields : 1);
}

/* The shape of a field's values alone, as counts of their own. */
static struct noise_counts shape_of(const struct noise_counts *counts)
{
    struct noise_counts shape = *counts;
    shape.differing = counts->shape;
    shape.noise = counts->noise_shape;
    return shape;
}

static bool is_excessive(const struct config_noise *config, const struct noise_counts *counts)
{
    return threshold_failed(config, rates_of(counts)) == THRESHOLD_NONE;
}

/* What is asked about a field: all its differences, or only those of shape, where the others are noise. */
static struct noise_counts in_question(const struct config_noise *config, const struct noise_counts *counts)
{
    struct noise_counts shape = shape_of(counts);
    bool differs_by_itself = counts->noise >= NOISE_SIGHTINGS && !is_excessive(config, counts);
    return differs_by_itself && is_excessive(config, &shape) ? shape : *counts;
}

enum field_state noise_judge(const struct config_noise *config, const struct noise_counts *counts)
{
    if (counts->noise_compared == 0)
        return FIELD_REAL;
    struct noise_counts asked = in_question(config, counts);
    if (!is_excessive(config, &asked))
        return counts->noise >= NOISE_SIGHTINGS ? FIELD_NOISY : FIELD_RARE;
    return p_of(&asked) <= p_allowed(config, counts) ? FIELD_REAL : FIELD_UNDECIDED;
}

bool noise_excuses(const struct config_noise *config, const struct noise_counts *counts)
{
    struct noise_counts shape = shape_of(counts);
    return counts->noise_compared > 0 && counts->noise >= NOISE_SIGHTINGS && !is_excessive(config, counts) &&
           !is_excessive(config, &shape);
}

/* ---- saying it ---- */

/* "0.060 % of pairs (6 of 10,104)"; "none of 505 pairs". */
static const char *say_share(char *to, size_t room, uint64_t count, uint64_t total)
{
    char rate[FIGURE_ROOM], some[FIGURE_ROOM], all[FIGURE_ROOM];
    figure_count(all, total);
    if (count == 0)
        snprintf(to, room, "none of %s pairs", all);
    else
        snprintf(to, room, "%s of pairs (%s of %s)",
                 figure_percent(rate, (double)count / (double)(total > 0 ? total : count), ROUND_NEAREST),
                 figure_count(some, count), all);
    return to;
}

static void say_threshold(char *to, size_t room, const struct config_noise *config, enum threshold threshold)
{
    char figure[FIGURE_ROOM];
    if (threshold == THRESHOLD_RAW)
        snprintf(to, room, "no more than by itself");
    else if (threshold == THRESHOLD_RELATIVE)
        snprintf(to, room, "not %s more than by itself, of both rates together",
                 figure_given(figure, config->relative));
    else
        snprintf(to, room, "within %s of all pairs of its own rate", figure_given(figure, config->absolute));
}

static void say_significance(char *to, size_t room, const struct config_noise *config,
                             const struct noise_counts *counts, bool significant)
{
    char sure[FIGURE_ROOM];
    figure_given(sure, config->confidence);
    if (significant)
        snprintf(to, room, "significant at %s", sure);
    else
        snprintf(to, room, "more than by itself, but not significant at %s yet: chance alone does this with p = %.2g",
                 sure, p_of(counts));
}

enum field_state noise_explain(const struct config_noise *config, const struct noise_counts *counts, char *why,
                               size_t room)
{
    char raw[96], noise[96], reason[160];
    enum field_state state = noise_judge(config, counts);
    say_share(raw, sizeof(raw), counts->differing, counts->compared);
    if (counts->noise_compared == 0) {
        snprintf(why, room, "differs in %s; noise is not measured, so every difference counts", raw);
        return state;
    }
    struct noise_counts asked = in_question(config, counts);
    bool of_shape = asked.differing != counts->differing || asked.noise != counts->noise;
    say_share(raw, sizeof(raw), asked.differing, counts->compared);
    say_share(noise, sizeof(noise), asked.noise, counts->noise_compared);
    enum threshold failed = threshold_failed(config, rates_of(&asked));
    if (failed != THRESHOLD_NONE)
        say_threshold(reason, sizeof(reason), config, failed);
    else
        say_significance(reason, sizeof(reason), config, &asked, state == FIELD_REAL);
    snprintf(why, room, "%s in %s and by itself in %s: %s%s",
             of_shape ? "its value differs by itself, but it is missing, extra or of another type" : "differs", raw,
             noise, reason, state == FIELD_RARE ? "; too rare to show" : "");
    return state;
}
