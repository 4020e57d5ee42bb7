/*
 * The arithmetic of confseq.h. Control asks about once a second for each running stage, the simulator all the time: no
 * loop here is longer than a histogram, and nothing is remembered between calls.
 *
 * Everything rests on one fact. If p is the true rate, the likelihood of what was seen under a mixture of all rates
 * over its likelihood under p is a martingale that begins at 1 (a betting game against p that is fair if p is true), so
 * it ever reaches 1 / alpha with a probability of at most alpha (J. Ville, 1939). The rates against which the game has
 * not won so much are the sequence. Two sides are two games; what is won in one may be bet in the other, so the product
 * is such a game, too, and the pairs (p, q) against which the product has not won are a region that holds at all times.
 * Its shadow on p - q is the sequence of the difference (R. J. Turner and P. D. Gruenwald, Statistics and Probability
 * Letters 198 (2023) 109835). Giving each side half of the error instead takes 1.4 to 1.9 times the requests where both
 * have as many, as both must then be at the end of their intervals at once, which hardly ever happens; where one side
 * has nine times as many, or nothing fails, it takes 0.8 to 1 times as many.
 *
 * Ends are searched from outside and never step inside: rounding makes an interval wider.
 */
#include "router/confseq.h"

#include <math.h>
#include <stdbool.h>

#include "router/histogram.h"

/* More than these many are taken as these many, in proportion: log-gamma loses its last digits beyond. The interval is
 * then a little wide, never too narrow. */
#define TOTAL_MAX 1e11
#define STEPS_MAX 200
#define PULL_MAX  1e300

static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

static double log_beta(double a, double b)
{
    return log_gamma(a) + log_gamma(b) - log_gamma(a + b);
}

/* Which rates the mixture bets on: beta(a, b). Any choice is right; it decides which rates are told soon. */
struct mixture {
    double a, b;
};

/* Rates of errors are mostly below a few percent: with beta(1/2, 1/2), which expects as many near 1, a pass of 1 %
 * against 1 % takes 1.4 times as many requests. With this one it is rates above a half that take 1.3 times as many, and
 * up to 3 times near 1. */
static const struct mixture of_rates = {0.5, 5};

/* log of the mixture's likelihood of so many events and others */
static double log_likelihood(struct mixture mixture, double events, double others)
{
    return log_beta(mixture.a + events, mixture.b + others) - log_beta(mixture.a, mixture.b);
}

/* ---- rates ---- */

struct sample {
    double events;
    double others; /* not total - events, which may have no room for a few events of very many */
    double total;
};

static struct sample sample_of(uint64_t events, uint64_t total)
{
    if (events > total) /* counters read while they are written */
        events = total;
    double scale = (double)total > TOTAL_MAX ? TOTAL_MAX / (double)total : 1;
    return (struct sample){(double)events * scale, (double)(total - events) * scale, (double)total * scale};
}

static double term(double count, double p)
{
    return count > 0 ? count * log(p) : 0;
}

/*
 * The lower end: the p below the best with won - events * log(p) - others * log(1 - p) = 0. In u = log(p) this is
 * convex and falling, so that Newton's steps from the left never pass the end. They begin where it would be without
 * `others`.
 */
static double lower_end(double won, double events, double others)
{
    if (events <= 0)
        return 0;
    double u = won / events;
    for (int i = 0; i < STEPS_MAX; i++) {
        double rest = -expm1(u); /* 1 - p */
        double height = won - events * u - term(others, rest);
        double slope = others * exp(u) / rest - events;
        double step = -height / slope;
        if (!(height > 0) || !(slope < 0) || !(step > 1e-13))
            break;
        u += step;
    }
    return exp(u);
}

struct interval confseq_of_rate(uint64_t events, uint64_t total, double confidence)
{
    if (total == 0)
        return (struct interval){0, 1};
    struct sample s = sample_of(events, total);
    double won = log_likelihood(of_rates, s.events, s.others) + log1p(-confidence);
    return (struct interval){
        .low = lower_end(won, s.events, s.others),
        .high = 1 - lower_end(won, s.others, s.events),
    };
}

/* ---- the difference of two rates ---- */

/* Of all pairs with one difference, the one that is best for both sides lies where pulling up the first by `pull` costs
 * as much as pulling down the second: events / p - others / (1 - p) = pull. */
static double pulled_down(struct sample s, double pull)
{
    double sum = s.total + pull;
    return s.events <= 0 ? 0 : 2 * s.events / (sum + sqrt(fmax(0, sum * sum - 4 * pull * s.events)));
}

/* 1 minus that, and exact near 0. */
static double pulled_down_rest(struct sample s, double pull)
{
    double sum = s.total - pull;
    double root = sqrt(sum * sum + 4 * pull * s.others);
    return sum <= 0 ? (root - sum) / (2 * pull) : 2 * s.others / (sum + root);
}

static struct sample turned(struct sample s)
{
    return (struct sample){s.others, s.events, s.total};
}

/* log of what the game has won against the best pair (p, q) at this pull; *rest is 1 - p, *rate is q. */
static double won_at(double won, struct sample first, struct sample second, double pull, double *rest, double *rate)
{
    *rest = pulled_down(turned(first), pull);
    *rate = pulled_down(second, pull);
    return won - term(first.events, pulled_down_rest(turned(first), pull)) - term(first.others, *rest) -
           term(second.events, *rate) - term(second.others, pulled_down_rest(second, pull));
}

/*
 * The largest p - q: the more pull, the larger, and the more is won. The end is searched between a pull against which
 * too little was won and one against which enough was, by the line through both (the Illinois way: M. Dowell and P.
 * Jarratt, BIT 11 (1971) 168); the latter is taken, and each
 * step goes a little too far, so that it comes near, too.
 */
static double largest_difference(double won, struct sample first, struct sample second)
{
    double rest;
    double rate;
    if (first.others <= 0 && second.events <= 0)
        return 1;
    double inside = 0;
    double outside = 1;
    double at_inside = won_at(won, first, second, inside, &rest, &rate);
    double at_outside = won_at(won, first, second, outside, &rest, &rate);
    while (at_outside < 0 && outside < PULL_MAX) {
        inside = outside;
        at_inside = at_outside;
        outside *= 4;
        at_outside = won_at(won, first, second, outside, &rest, &rate);
    }
    int moved = 0; /* -1: the inner end, 1: the outer end */
    for (int i = 0; i < STEPS_MAX && outside - inside > outside * 1e-11; i++) {
        double line = inside + (outside - inside) * at_inside / (at_inside - at_outside) + outside * 4e-12;
        double middle = fmin(line, (inside + 7 * outside) / 8);
        double height = won_at(won, first, second, middle, &rest, &rate);
        if (height < 0) {
            inside = middle;
            at_inside = height;
            at_outside /= moved == -1 ? 2 : 1;
            moved = -1;
        } else {
            outside = middle;
            at_outside = height;
            at_inside /= moved == 1 ? 2 : 1;
            moved = 1;
        }
    }
    (void)won_at(won, first, second, outside, &rest, &rate);
    return 1 - rest - rate;
}

struct interval confseq_of_difference(uint64_t first_events, uint64_t first_total, uint64_t second_events,
                                      uint64_t second_total, double confidence)
{
    if (first_total == 0 || second_total == 0)
        return (struct interval){-1, 1};
    struct sample first = sample_of(first_events, first_total);
    struct sample second = sample_of(second_events, second_total);
    double won = log_likelihood(of_rates, first.events, first.others) +
                 log_likelihood(of_rates, second.events, second.others) + log1p(-confidence);
    return (struct interval){
        .low = -largest_difference(won, second, first),
        .high = largest_difference(won, first, second),
    };
}

/* ---- quantiles ---- */

/* The share of values at or below quantile q is q: the mixture bets around it, with the weight of so many values. More
 * tells differences that are near the limit sooner, and those far away later: with 100, a p95 of 1.3 times against 1.2
 * takes 4 % more requests, one of 2 times 11 % less. */
#define QUANTILE_WEIGHT 200.0

struct counting {
    struct mixture mixture;
    double q;
    double total;
    double best;                         /* number of values at or below that speaks least against q */
    uint32_t middle;                     /* the bucket where it is reached */
    double least;                        /* what the game against that bucket has won (its log) */
    double below[HISTOGRAM_BUCKETS + 1]; /* values in the buckets below */
};

/* Where between its ends the number of values at or below the quantile speaks least against bucket `b`: values equal to
 * the quantile may be counted on either side. */
static double count_at(const struct counting *c, uint32_t b)
{
    return fmin(fmax(c->best, c->below[b]), c->below[b + 1]);
}

static double won_against(const struct counting *c, double count)
{
    return log_likelihood(c->mixture, count, c->total - count) - term(count, c->q) - term(c->total - count, 1 - c->q);
}

static void count_up(struct counting *c, const struct histogram *values, double q)
{
    uint64_t total = histogram_total(values);
    uint64_t before = 0;
    double scale = (double)total > TOTAL_MAX ? TOTAL_MAX / (double)total : 1;
    c->mixture = (struct mixture){QUANTILE_WEIGHT * q, QUANTILE_WEIGHT * (1 - q)};
    c->q = q;
    c->total = (double)total * scale;
    c->best = fmax(0, ceil(q * (c->total - 1)));
    c->middle = 0;
    for (uint32_t b = 0; b < HISTOGRAM_BUCKETS; b++) {
        c->below[b] = (double)before * scale;
        before += values->count[b];
        if (c->below[b] < c->best)
            c->middle = b;
    }
    c->below[HISTOGRAM_BUCKETS] = c->total;
    c->least = won_against(c, count_at(c, c->middle));
}

/* The buckets against which less than so much was won, and what; all others are out of the question. */
struct places {
    uint32_t first, last; /* inclusive */
    double won[HISTOGRAM_BUCKETS];
};

/* One step from bucket `from` to its neighbour `to`: false when that is out of the question. */
static bool may_lie(const struct counting *c, struct places *places, uint32_t from, uint32_t to, double enough)
{
    double count = count_at(c, to);
    places->won[to] = count == count_at(c, from) ? places->won[from] : won_against(c, count);
    return places->won[to] < enough;
}

static void find_places(struct places *places, const struct counting *c, double enough)
{
    places->won[c->middle] = c->least;
    places->first = c->middle;
    while (places->first > 0 && may_lie(c, places, places->first, places->first - 1, enough))
        places->first--;
    places->last = c->middle;
    while (places->last + 1 < HISTOGRAM_BUCKETS && may_lie(c, places, places->last, places->last + 1, enough))
        places->last++;
}

static double lowest_in(uint32_t bucket)
{
    return (double)histogram_bucket_floor(bucket);
}

static double highest_in(uint32_t bucket)
{
    return bucket + 1 < HISTOGRAM_BUCKETS ? (double)histogram_bucket_floor(bucket + 1) - 1 : INFINITY;
}

struct interval confseq_of_quantile(const struct histogram *values, double q, double confidence)
{
    struct counting counting;
    struct places places;
    count_up(&counting, values, q);
    find_places(&places, &counting, -log1p(-confidence));
    return (struct interval){lowest_in(places.first), highest_in(places.last)};
}

/* The largest first / second over the pairs of places against which less than `enough` was won together: while the
 * first goes down from its highest, less is won against it, and the second may go down, too. Below its middle it does
 * so no more. */
static double largest_ratio(const struct places *first, uint32_t first_middle, const struct places *second,
                            uint32_t second_middle, double enough)
{
    double largest = 0;
    uint32_t b = second_middle;
    for (uint32_t a = first->last + 1; a-- > first_middle;) {
        while (b > second->first && first->won[a] + second->won[b - 1] < enough)
            b--;
        double low = lowest_in(b);
        largest = fmax(largest, low > 0 ? highest_in(a) / low : INFINITY);
    }
    return largest;
}

struct interval confseq_of_increase(const struct histogram *first, const struct histogram *second, double q,
                                    double confidence)
{
    struct counting first_counts;
    struct counting second_counts;
    struct places first_places;
    struct places second_places;
    double enough = -log1p(-confidence);
    count_up(&first_counts, first, q);
    count_up(&second_counts, second, q);
    find_places(&first_places, &first_counts, enough - second_counts.least);
    find_places(&second_places, &second_counts, enough - first_counts.least);
    double most = largest_ratio(&first_places, first_counts.middle, &second_places, second_counts.middle, enough);
    double inverse = largest_ratio(&second_places, second_counts.middle, &first_places, first_counts.middle, enough);
    return (struct interval){
        .low = isfinite(inverse) && inverse > 0 ? 1 / inverse - 1 : -1,
        .high = most - 1,
    };
}
