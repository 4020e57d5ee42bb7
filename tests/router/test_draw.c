/*
 * Numbers drawn by chance: their means and spreads, their tails, and that the ways for few and for many agree.
 */
#include "fixture.h"

#include <math.h>

#include "router/draw.h"

enum {
    DRAWS = 20000
};

/* Mean and variance of so many draws must be these, within five standard deviations of chance. */
struct moments {
    double sum, squares;
};

static void add(struct moments *m, double value)
{
    m->sum += value;
    m->squares += value * value;
}

static void assert_moments(const struct moments *m, double mean, double variance, const char *what)
{
    double found = m->sum / DRAWS;
    double found_variance = m->squares / DRAWS - found * found;
    if (fabs(found - mean) > 5 * sqrt(variance / DRAWS) + 1e-12)
        fail_msg("%s: mean %g, expected %g", what, found, mean);
    if (fabs(found_variance - variance) > 0.12 * variance + 1e-12)
        fail_msg("%s: variance %g, expected %g", what, found_variance, variance);
}

static void binomial_numbers_are_binomial(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        double p;
    } rows[] = {{1, 0.3},     {20, 0.2},     {100, 0.05}, {100, 0.5}, {1000, 0.01}, {1000, 0.2},
                {1000, 0.99}, {100000, 0.3}, {100, 0},    {100, 1},   {0, 0.5},     {100000000, 0.0001}};
    struct draw draw = draw_from(1);
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        struct moments m = {0, 0};
        double mean = (double)rows[r].n * rows[r].p;
        char what[64];
        (void)snprintf(what, sizeof(what), "binomial of %llu with %g", (unsigned long long)rows[r].n, rows[r].p);
        for (int i = 0; i < DRAWS; i++) {
            uint64_t k = draw_binomial(&draw, rows[r].n, rows[r].p);
            assert_true(k <= rows[r].n);
            add(&m, (double)k - mean); /* so that squares do not lose digits */
        }
        assert_moments(&m, 0, mean * (1 - rows[r].p), what);
    }
}

/* Each number as often as its probability says, on both sides of where the way changes. */
static void binomial_numbers_have_the_right_shape(void **state)
{
    (void)state;
    static const double probabilities[] = {0.19, 0.21};
    struct draw draw = draw_from(2);
    for (size_t r = 0; r < 2; r++) {
        uint32_t seen[51] = {0};
        double p = probabilities[r];
        double chi = 0;
        uint32_t cells = 0;
        for (int i = 0; i < DRAWS; i++)
            seen[draw_binomial(&draw, 50, p)]++;
        for (int k = 0; k <= 50; k++) {
            double expected =
                DRAWS * exp(lgamma(51) - lgamma(k + 1.0) - lgamma(51.0 - k) + k * log(p) + (50 - k) * log1p(-p));
            if (expected < 10)
                continue;
            chi += (seen[k] - expected) * (seen[k] - expected) / expected;
            cells++;
        }
        assert_true(chi < cells + 6 * sqrt(2.0 * cells)); /* chi squared, six standard deviations */
    }
}

static void poisson_numbers_are_poisson(void **state)
{
    (void)state;
    static const double means[] = {0, 0.01, 3, 9.9, 10.1, 250, 5e6};
    struct draw draw = draw_from(3);
    for (size_t r = 0; r < sizeof(means) / sizeof(means[0]); r++) {
        struct moments m = {0, 0};
        char what[64];
        (void)snprintf(what, sizeof(what), "Poisson of %g", means[r]);
        for (int i = 0; i < DRAWS; i++)
            add(&m, (double)draw_poisson(&draw, means[r]) - means[r]);
        assert_moments(&m, 0, means[r], what);
    }
}

static void normal_and_beta_numbers_are_those(void **state)
{
    (void)state;
    struct draw draw = draw_from(4);
    struct moments normal = {0, 0};
    struct moments beta = {0, 0};
    for (int i = 0; i < DRAWS; i++) {
        add(&normal, draw_normal(&draw));
        add(&beta, draw_beta(&draw, 3, 7));
    }
    assert_moments(&normal, 0, 1, "normal");
    assert_moments(&beta, 0.3, 0.3 * 0.7 / 11, "beta");
}

static void neighbouring_seeds_have_nothing_in_common(void **state)
{
    (void)state;
    struct draw first = draw_from(7);
    struct draw second = draw_from(8);
    double late = 0;
    for (int i = 0; i < 50; i++) {
        double value = draw_uniform(&first);
        late = draw_uniform(&second);
        assert_true(value != late);
        struct draw ahead = draw_from(7);
        for (int j = 0; j < 100; j++)
            assert_true(draw_uniform(&ahead) != late); /* nor a step apart */
    }
    struct draw again = draw_from(8);
    for (int i = 0; i < 49; i++)
        (void)draw_uniform(&again);
    assert_true(draw_uniform(&again) == late);
}

static void latencies_follow_their_law(void **state)
{
    (void)state;
    struct latency_law law;
    latency_law_init(&law, 20000, 0.5);
    double sum = 0;
    for (uint32_t i = 0; i < law.count; i++)
        sum += law.share[i];
    assert_true(fabs(sum - 1) < 1e-9);
    assert_true(fabs(latency_law_quantile(&law, 0.5) - 20000) < 0.01);
    assert_true(fabs(latency_law_quantile(&law, 0.95) - 20000 * exp(0.5 * 1.6448536269514722)) < 0.01);
    assert_true(fabs(latency_law_beyond(&law, latency_law_quantile(&law, 0.99)) - 0.01) < 1e-9);
    struct draw draw = draw_from(5);
    struct histogram few = {0};
    struct histogram many = {0};
    for (int i = 0; i < 2000; i++) /* one by one, and all at once */
        draw_latencies(&draw, &law, 100, &few);
    draw_latencies(&draw, &law, 200000, &many);
    assert_int_equal(histogram_total(&few), 200000);
    assert_int_equal(histogram_total(&many), 200000);
    static const double quantiles[] = {0.05, 0.5, 0.95, 0.99};
    for (size_t i = 0; i < 4; i++) {
        double truth = latency_law_quantile(&law, quantiles[i]);
        assert_true(fabs(histogram_quantile(&few, quantiles[i]) / truth - 1) < 0.02);
        assert_true(fabs(histogram_quantile(&many, quantiles[i]) / truth - 1) < 0.02);
    }
}

/* The p95 of 100, drawn at once, is spread as that of a hundred drawn one by one. */
static void a_quantile_is_that_of_many(void **state)
{
    (void)state;
    struct latency_law law;
    struct draw draw = draw_from(6);
    struct moments m = {0, 0};
    latency_law_init(&law, 1000, 0.5);
    double truth = log(latency_law_quantile(&law, 0.95));
    for (int i = 0; i < DRAWS; i++)
        add(&m, log(draw_latency_quantile(&draw, &law, 100, 0.95)) - truth);
    double mean = m.sum / DRAWS;
    double deviation = sqrt(m.squares / DRAWS - mean * mean);
    assert_true(fabs(mean) < 0.05);
    assert_true(deviation > 0.08 && deviation < 0.13); /* sqrt(0.95 * 0.05 / 100) * 0.5 / 0.1031 is 0.106 */
    assert_true(draw_latency_quantile(&draw, &law, 1, 0.99) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binomial_numbers_are_binomial),
        cmocka_unit_test(binomial_numbers_have_the_right_shape),
        cmocka_unit_test(poisson_numbers_are_poisson),
        cmocka_unit_test(normal_and_beta_numbers_are_those),
        cmocka_unit_test(neighbouring_seeds_have_nothing_in_common),
        cmocka_unit_test(latencies_follow_their_law),
        cmocka_unit_test(a_quantile_is_that_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
