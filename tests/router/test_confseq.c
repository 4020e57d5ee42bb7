/*
 * Confidence sequences: the definition's values computed outside of this program, what holds at all times of simulated
 * traffic (and does not of ordinary intervals), and how many requests verdicts take.
 */
#include "fixture.h"

#include <math.h>

#include "router/confseq.h"

static void near(double value, double expected)
{
    if (fabs(value - expected) > 1e-9)
        fail_msg("%.12f, expected %.12f", value, expected);
}

/* 0 up to, but not including, 1 */
static double chance(uint64_t *random)
{
    return (double)(next_random(random) >> 11) / 9007199254740992.0;
}

/* ---- values ---- */

/*
 * By bisection on the definition, in Python:
 *
 *   def lb(a, b): return lgamma(a) + lgamma(b) - lgamma(a + b)
 *   def logm(p, x, n): return lb(.5 + x, 5 + n - x) - lb(.5, 5) - x * log(p) - (n - x) * log1p(-p)
 *   the interval is where logm(p, x, n) < -log(1 - confidence)
 */
static void rates_have_the_values_of_the_definition(void **state)
{
    (void)state;
    static const struct {
        uint64_t events, total;
        double confidence, low, high;
    } rows[] = {
        {0, 100, 0.99, 0, 0.0596583360971517},
        {1, 500, 0.99, 9.63508626113529e-07, 0.0196947831142066},
        {5, 100, 0.95, 0.00929014113034769, 0.14162477811199},
        {50, 100, 0.99, 0.298845429200527, 0.701154570799473},
        {100, 100, 0.99, 0.783734008007251, 1},
        {20, 2000, 0.995, 0.00350484875430125, 0.0216782633695963},
        {30, 5295, 0.99, 0.00250222548558065, 0.0107568383752016},
        {1, 1, 0.5, 0.0454545454545456, 1},
        {999, 1000, 0.99, 0.962893323495692, 1},
        {0, 0, 0.99, 0, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct interval rate = confseq_of_rate(rows[i].events, rows[i].total, rows[i].confidence);
        near(rate.low, rows[i].low);
        near(rate.high, rows[i].high);
        assert_true(rows[i].events > 0 || rate.low == 0); /* exactly */
        assert_true(rows[i].events < rows[i].total || rate.high == 1);
    }
    struct interval seen_too_early = confseq_of_rate(2, 1, 0.95);
    assert_true(seen_too_early.low > 0 && seen_too_early.high == 1);
}

/* The same, where the smallest logm(p, x, n) + logm(p - d, y, m) for a difference d was searched along the line. */
static void differences_have_the_values_of_the_definition(void **state)
{
    (void)state;
    static const struct {
        uint64_t x, n, y, m;
        double confidence, low, high;
    } rows[] = {
        {0, 460, 0, 460, 0.99, -0.0197739439978586, 0.0197739439978586},
        {5, 100, 3, 80, 0.95, -0.115961349345092, 0.131721300487116},
        {10, 1000, 1, 9000, 0.99, 0.00133998052496777, 0.0316594499559565},
        {100, 100, 0, 100, 0.99, 0.75694101441439, 1},
        {0, 50, 50, 50, 0.99, -1, -0.601132393200388},
        {400, 10000, 100, 10000, 0.99, 0.019654344177717, 0.04115542850358},
        {3, 3, 7, 7, 0.99, -0.996954782714518, 0.916526102037603},
        {0, 0, 0, 100, 0.99, -1, 1},
        {0, 100, 0, 0, 0.99, -1, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct interval d = confseq_of_difference(rows[i].x, rows[i].n, rows[i].y, rows[i].m, rows[i].confidence);
        struct interval turned = confseq_of_difference(rows[i].y, rows[i].m, rows[i].x, rows[i].n, rows[i].confidence);
        near(d.low, rows[i].low);
        near(d.high, rows[i].high);
        assert_true(turned.low == -d.high && turned.high == -d.low);
    }
}

/* One value in each bucket, so that a rank can be read back: bucket b holds the value of rank b + 1. */
static void quantiles_have_the_ranks_of_the_definition(void **state)
{
    (void)state;
    static const struct {
        uint32_t n;
        double q, confidence;
        uint32_t low, high; /* ranks; n + 1: none */
    } rows[] = {
        {100, 0.5, 0.99, 24, 77},    {300, 0.95, 0.99, 268, 299}, {252, 0.95, 0.99, 223, 252},
        {251, 0.95, 0.99, 222, 252}, {896, 0.99, 0.95, 877, 895}, {10, 0.5, 0.95, 0, 11},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct histogram h = {0};
        for (uint32_t b = 0; b < rows[i].n; b++)
            histogram_add(&h, histogram_bucket_floor(b));
        struct interval interval = confseq_of_quantile(&h, rows[i].q, rows[i].confidence);
        if (rows[i].low == 0)
            assert_true(interval.low == 0);
        else
            assert_true(interval.low == (double)histogram_bucket_floor(rows[i].low - 1));
        if (rows[i].high > rows[i].n)
            assert_true(isinf(interval.high));
        else
            assert_true(interval.high == (double)histogram_bucket_floor(rows[i].high) - 1);
    }
}

static void nothing_says_nothing(void **state)
{
    (void)state;
    struct histogram none = {0};
    struct histogram some = {0};
    some.count[500] = 1000000;
    struct interval quantile = confseq_of_quantile(&none, 0.95, 0.99);
    assert_true(quantile.low == 0 && isinf(quantile.high));
    for (int i = 0; i < 3; i++) {
        struct interval increase = confseq_of_increase(i == 0 ? &none : &some, i == 1 ? &none : &some, 0.95, 0.99);
        assert_true(i == 2 ? increase.high < 0.07 && increase.low > -0.07 : increase.low == -1 && isinf(increase.high));
    }
    some.count[HISTOGRAM_BUCKETS - 1] = 1000000; /* may be any time above an hour */
    assert_true(isinf(confseq_of_quantile(&some, 0.95, 0.99).high));
    assert_true(isinf(confseq_of_increase(&some, &some, 0.95, 0.99).high));
}

/* Also of sums that no loop over exchanges would ever end with. */
static void intervals_of_any_size_hold_what_was_seen(void **state)
{
    (void)state;
    for (uint64_t total = 1; total < UINT64_MAX / 20; total *= 10) {
        for (uint64_t events = 0; events <= total; events = events * 5 + 1) {
            struct interval rate = confseq_of_rate(events, total, 0.99);
            struct interval increase = confseq_of_difference(events, total, 1, 100, 0.99);
            double seen = (double)events / (double)total;
            assert_true(rate.low >= 0 && rate.high <= 1);
            assert_true(rate.low <= seen && seen <= rate.high);
            assert_true(increase.low >= -1 && increase.high <= 1);
            assert_true(increase.low <= seen - 0.01 && seen - 0.01 <= increase.high);
            assert_true(total < 1000000 || rate.high - rate.low < 0.01);
            struct histogram h = {0};
            h.count[300] = events;
            h.count[310] = total - events;
            struct interval quantile = confseq_of_quantile(&h, 0.5, 0.99);
            struct interval itself = confseq_of_increase(&h, &h, 0.5, 0.99);
            assert_true(quantile.low <= histogram_quantile(&h, 0.5) &&
                        quantile.high >= histogram_quantile(&h, 0.5) - 1);
            assert_true(itself.low <= 0 && itself.high >= 0);
        }
    }
}

static void surer_is_wider(void **state)
{
    (void)state;
    static const double confidences[] = {0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.999999};
    struct interval rate = {1, 0}, increase = {1, 0}, quantile = {1e9, 0}, ratio = {1e9, -1};
    uint64_t random = 11;
    struct histogram first = {0};
    struct histogram second = {0};
    for (int i = 0; i < 3000; i++) {
        histogram_add(&first, 1000 + next_random(&random) % 9000);
        histogram_add(&second, 1000 + next_random(&random) % 8000);
    }
    for (size_t i = 0; i < sizeof(confidences) / sizeof(confidences[0]); i++) {
        struct interval r = confseq_of_rate(7, 900, confidences[i]);
        struct interval d = confseq_of_difference(7, 900, 20, 5000, confidences[i]);
        struct interval q = confseq_of_quantile(&first, 0.95, confidences[i]);
        struct interval t = confseq_of_increase(&first, &second, 0.95, confidences[i]);
        assert_true(i == 0 ||
                    (r.low < rate.low && r.high > rate.high && d.low < increase.low && d.high > increase.high));
        assert_true(i == 0 || (q.low <= quantile.low && q.high >= quantile.high));
        assert_true(i == 0 || (t.low <= ratio.low && t.high >= ratio.high));
        rate = r;
        increase = d;
        quantile = q;
        ratio = t;
    }
    struct interval both = confseq_of_difference(9, 1000, 12, 1000, 0.99);
    struct interval new = confseq_of_rate(9, 1000, 0.995);
    struct interval legacy = confseq_of_rate(12, 1000, 0.995);
    assert_true(both.high < new.high - legacy.low &&both.low > new.low - legacy.high); /* narrower than of halves */
}

/* ---- at all times ---- */

enum {
    SEQUENCES = 2000,
    DRAWS = 5000
};

/* The game against `p`, played request by request: what sequences of confseq.c compute from sums. */
struct game {
    double p;
    double won;
    uint64_t events;
    uint64_t total;
};

static void play(struct game *game, bool event)
{
    double seen = event ? (double)game->events + 0.5 : (double)(game->total - game->events) + 5;
    game->won *= seen / ((double)game->total + 5.5) / (event ? game->p : 1 - game->p);
    game->events += event;
    game->total++;
}

static bool excludes(const struct interval *interval, double value)
{
    return value < interval->low || value > interval->high;
}

/* Looked at after every single request: of sequences at 95 %, at most 5 % are ever wrong. */
static void rates_are_right_at_all_times(void **state)
{
    (void)state;
    static const double rates[] = {0.001, 0.01, 0.05, 0.2, 0.5};
    uint64_t random = 5;
    for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
        uint32_t wrong = 0;
        for (int run = 0; run < SEQUENCES; run++) {
            struct game game = {rates[r], 1, 0, 0};
            bool ever = false;
            for (int i = 0; i < DRAWS && !ever; i++) {
                play(&game, chance(&random) < rates[r]);
                ever = game.won >= 1 / 0.05;
                if (!ever && i != 300)
                    continue;
                struct interval rate = confseq_of_rate(game.events, game.total, 0.95);
                assert_true(excludes(&rate, rates[r]) == ever);
            }
            wrong += ever;
        }
        if (wrong > SEQUENCES * 5 / 100 + 29) /* three standard deviations of chance */
            fail_msg("rate %g: %u of %d sequences were wrong once", rates[r], wrong, SEQUENCES);
        assert_true(wrong > 0); /* else they say less than they could */
    }
}

/* Why confidence sequences: an exact interval for one look, looked at no more than forty times. */
static void ordinary_intervals_are_wrong_sooner_or_later(void **state)
{
    (void)state;
    uint64_t random = 6;
    uint32_t wrong = 0;
    uint32_t never = 0;
    for (int run = 0; run < 400; run++) {
        uint64_t events = 0;
        uint64_t look = 20;
        bool ordinary = false;
        bool sequence = false;
        for (uint64_t i = 1; i <= 4000; i++) {
            events += chance(&random) < 0.05;
            if (i < look)
                continue;
            look += look / 8;
            struct interval one_look = interval_of_rate(events, i, 0.95);
            struct interval all_times = confseq_of_rate(events, i, 0.95);
            ordinary = ordinary || excludes(&one_look, 0.05);
            sequence = sequence || excludes(&all_times, 0.05);
        }
        wrong += ordinary;
        never += !sequence;
    }
    assert_true(wrong > 400 * 12 / 100); /* and not 5 % */
    assert_true(never >= 400 * 95 / 100);
}

/* Equal backends, or one truly worse; as many requests on each side, or nine times as many on legacy. */
static void differences_are_right_at_all_times(void **state)
{
    (void)state;
    static const struct {
        double new, legacy;
        int times;
    } rows[] = {{0.01, 0.01, 1}, {0.05, 0.01, 1}, {0.01, 0.01, 9}, {0.3, 0.2, 1}};
    uint64_t random = 7;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        uint32_t wrong = 0;
        for (int run = 0; run < 400; run++) {
            struct game new = {rows[r].new, 1, 0, 0};
            struct game legacy = {rows[r].legacy, 1, 0, 0};
            bool ever = false;
            for (uint64_t look = 20; new.total < 3000; look += 1 + look / 12) {
                while (new.total < look) {
                    play(&new, chance(&random) < new.p);
                    for (int i = 0; i < rows[r].times; i++)
                        play(&legacy, chance(&random) < legacy.p);
                }
                struct interval d = confseq_of_difference(new.events, new.total, legacy.events, legacy.total, 0.9);
                bool outside = excludes(&d, new.p - legacy.p);
                assert_true(!outside || new.won *legacy.won >= 10 * (1 - 1e-9)); /* only where both games won it */
                ever = ever || outside;
            }
            wrong += ever;
        }
        if (wrong > 400 * 10 / 100)
            fail_msg("row %zu: %u of 400 sequences were wrong once", r, wrong);
    }
}

static uint64_t latency(uint64_t *random, double scale)
{
    double u = 1 - chance(random);
    double v = chance(random);
    return (uint64_t)(20000 * scale * exp(0.5 * sqrt(-2 * log(u)) * cos(6.283185307179586 * v)));
}

#define Z95 1.6448536269514722 /* of the normal distribution: the p95 of latency() is 20 ms * exp(Z95 / 2) */

static void quantiles_are_right_at_all_times(void **state)
{
    (void)state;
    uint64_t random = 8;
    uint32_t wrong = 0;
    uint32_t wrong_ratio = 0;
    double truth = 20000 * exp(Z95 / 2);
    for (int run = 0; run < 200; run++) {
        struct histogram first = {0};
        struct histogram second = {0};
        bool ever = false;
        bool ever_ratio = false;
        for (uint64_t look = 20, i = 0; i < 3000; look += 1 + look / 10) {
            for (; i < look; i++) {
                histogram_add(&first, latency(&random, 1));
                histogram_add(&second, latency(&random, 0.8));
            }
            struct interval quantile = confseq_of_quantile(&first, 0.95, 0.9);
            struct interval ratio = confseq_of_increase(&first, &second, 0.95, 0.9);
            ever = ever || truth < quantile.low || truth >= quantile.high + 1; /* whole microseconds */
            ever_ratio = ever_ratio || excludes(&ratio, 0.25);
        }
        wrong += ever;
        wrong_ratio += ever_ratio;
    }
    assert_true(wrong <= 20 && wrong_ratio <= 20);
}

/* ---- how many requests it takes ---- */

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

enum {
    ROLLOUTS = 51
};

static uint64_t median(uint64_t *values)
{
    qsort(values, ROLLOUTS, sizeof(values[0]), by_size);
    return values[ROLLOUTS / 2];
}

/* Requests per side until an increase of at most 2 points is told, rightly. */
static uint64_t requests_to_a_verdict(double new, double legacy, bool pass, uint64_t *random)
{
    uint64_t of_new = 0;
    uint64_t of_legacy = 0;
    uint64_t look = 20;
    for (uint64_t i = 1;; i++) {
        of_new += chance(random) < new;
        of_legacy += chance(random) < legacy;
        if (i < look)
            continue;
        look += 1 + look / 50;
        struct interval d = confseq_of_difference(of_new, i, of_legacy, i, 0.99);
        assert_true(pass ? d.low <= 0.02 : d.high > 0.02);
        if (pass ? d.high <= 0.02 : d.low > 0.02)
            return i;
    }
}

/* The fixed-sample test with 1 % error on both sides takes n = (2 * 2.326)^2 * (p (1 - p) + q (1 - q)) / (p - q - 2
 * %)^2 requests per side, all of which have to come before the first look. */
static void verdicts_on_rates_come_soon(void **state)
{
    (void)state;
    static const struct {
        double new, legacy;
        bool pass;
        uint64_t most;
    } rows[] = {
        {0, 0, true, 700},
        {0.01, 0.01, true, 1605},           /* 1.5 times the 1,070 of the fixed-sample test */
        {0.04, 0.01, false, 10450 * 5 / 4}, /* 1.25 times */
        {0.08, 0.01, false, 720},           /* not more */
    };
    uint64_t random = 9;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        uint64_t took[ROLLOUTS];
        for (int run = 0; run < ROLLOUTS; run++)
            took[run] = requests_to_a_verdict(rows[r].new, rows[r].legacy, rows[r].pass, &random);
        if (median(took) > rows[r].most)
            fail_msg("%g against %g: %llu requests", rows[r].new, rows[r].legacy, (unsigned long long)median(took));
    }
    assert_true(confseq_of_difference(0, 460, 0, 460, 0.99).high <= 0.02);
}

static uint64_t requests_to_a_latency(double scale, uint64_t *random)
{
    struct histogram first = {0};
    struct histogram second = {0};
    uint64_t look = 50;
    for (uint64_t i = 1;; i++) {
        histogram_add(&first, latency(random, scale));
        histogram_add(&second, latency(random, 1));
        if (i < look)
            continue;
        look += look / 20;
        struct interval ratio = confseq_of_increase(&first, &second, 0.95, 0.99);
        if (ratio.high <= 0.2 || ratio.low > 0.2) {
            assert_true((ratio.high <= 0.2) == (scale <= 1.2));
            return i;
        }
    }
}

/*
 * An increase of p95 of at most 20 %, with latencies that are lognormal with sigma 0.5. The fixed-sample test takes
 * n = (2 * 2.326 * s / log(scale / 1.2))^2 with s = sqrt(2 * 0.95 * 0.05) * 0.5 / 0.1031 (the standard deviation of the
 * difference of the logarithms of both quantiles, times sqrt(n)): 1,460 for equal ones, 7,560, 972 and 186.
 */
static void verdicts_on_latencies_come_soon(void **state)
{
    (void)state;
    static const struct {
        double scale;
        uint64_t most;
    } rows[] = {{1, 1460 * 5 / 2}, {1.3, 7560 * 5 / 2}, {1.5, 972 * 5 / 2}, {2, 186 * 5 / 2}};
    uint64_t random = 10;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        uint64_t took[ROLLOUTS];
        for (int run = 0; run < ROLLOUTS; run++)
            took[run] = requests_to_a_latency(rows[r].scale, &random);
        if (median(took) > rows[r].most)
            fail_msg("p95 times %g: %llu requests", rows[r].scale, (unsigned long long)median(took));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_have_the_values_of_the_definition),
        cmocka_unit_test(differences_have_the_values_of_the_definition),
        cmocka_unit_test(quantiles_have_the_ranks_of_the_definition),
        cmocka_unit_test(nothing_says_nothing),
        cmocka_unit_test(intervals_of_any_size_hold_what_was_seen),
        cmocka_unit_test(surer_is_wider),
        cmocka_unit_test(rates_are_right_at_all_times),
        cmocka_unit_test(ordinary_intervals_are_wrong_sooner_or_later),
        cmocka_unit_test(differences_are_right_at_all_times),
        cmocka_unit_test(quantiles_are_right_at_all_times),
        cmocka_unit_test(verdicts_on_rates_come_soon),
        cmocka_unit_test(verdicts_on_latencies_come_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
