/* Confidence intervals against published and independently computed figures, and against simulated coins. */
#include "fixture.h"

#include <math.h>

#include "router/interval.h"

static void near(double value, double expected)
{
    if (fabs(value - expected) > 1e-9)
        fail_msg("%.12f, expected %.12f", value, expected);
}

static void z_has_the_tabled_values(void **state)
{
    (void)state;
    near(interval_z(0.95), 1.9599639845400536);
    near(interval_z(0.99), 2.5758293035489);
    near(interval_z(0.999), 3.2905267314919255);
}

/* The cases of Newcombe's comparison of seven methods (Statistics in Medicine 17 (1998) 857, table I: 0.2527 to 0.3676,
 * 0.0578 to 0.1617, 0 to 0.1684, 0.0009 to 0.1776), and more, summed up outside of this program. */
static void rates_have_the_exact_interval(void **state)
{
    (void)state;
    static const struct {
        uint64_t events;
        uint64_t total;
        double confidence;
        double low;
        double high;
    } rows[] = {
        {81, 263, 0.95, 0.25273674558533077, 0.36762192260135274},
        {15, 148, 0.95, 0.057844010083456826, 0.16165049034947937},
        {0, 20, 0.95, 0, 0.1684334709830853},
        {1, 29, 0.95, 0.0008726468835799207, 0.1776442954887229},
        {29, 29, 0.95, 0.880555130930486, 1},
        {0, 5000, 0.99, 0, 0.0010591022282324144},
        {1, 500, 0.99, 1.0025033396105319e-05, 0.014765071389688533},
        {0, 0, 0.95, 0, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct interval interval = interval_of_rate(rows[i].events, rows[i].total, rows[i].confidence);
        near(interval.low, rows[i].low);
        near(interval.high, rows[i].high);
    }
    struct interval seen_too_early = interval_of_rate(2, 1, 0.95);
    assert_true(seen_too_early.low > 0 && seen_too_early.high == 1);
}

static void rates_of_any_size_are_ordered_and_narrow(void **state)
{
    (void)state;
    for (uint64_t total = 1; total < UINT64_MAX / 20; total *= 10) {
        for (uint64_t events = 0; events <= total; events = events * 7 + 1) {
            struct interval interval = interval_of_rate(events, total, 0.99);
            double rate = (double)events / (double)total;
            assert_true(interval.low >= 0 && interval.high <= 1);
            assert_true(interval.low <= rate && rate <= interval.high * (1 + 1e-9));
            assert_true(total < 1000000 || interval.high - interval.low < 0.01);
        }
    }
}

/* Newcombe, Statistics in Medicine 17 (1998) 873, table II, method 10: (a) is 0.0524 to 0.3339. */
static void differences_have_newcombes_interval(void **state)
{
    (void)state;
    static const struct {
        uint64_t a, m, b, n;
        double confidence, low, high;
    } rows[] = {
        {56, 70, 48, 80, 0.95, 0.052431472402364926, 0.33387265403690586},
        {9, 10, 3, 10, 0.95, 0.17052272393450307, 0.809017973535488},
        {10, 10, 0, 20, 0.95, 0.6790860371419148, 1},
        {0, 500, 0, 500, 0.99, -0.013096011833243775, 0.013096011833243775},
        {0, 10, 0, 10, 0.95, -0.27753279986288915, 0.27753279986288915},
        {0, 0, 0, 10, 0.95, -1, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct interval d = interval_of_difference(rows[i].a, rows[i].m, rows[i].b, rows[i].n, rows[i].confidence);
        near(d.low, rows[i].low);
        near(d.high, rows[i].high);
    }
}

/* One value per bucket, so that a rank can be read back from the value. */
static uint32_t rank_of(double us)
{
    return histogram_bucket((uint64_t)us) + 1;
}

static void quantiles_have_exact_order_statistics(void **state)
{
    (void)state;
    static const struct {
        uint32_t n;
        double confidence;
        uint32_t low;
        uint32_t high; /* n + 1: none */
    } rows[] = {
        {100, 0.95, 90, 100}, {100, 0.99, 89, 101}, {58, 0.95, 51, 59}, {72, 0.95, 64, 72},
        {73, 0.95, 65, 73},   {73, 0.99, 64, 74},   {10, 0.95, 8, 11},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct histogram h = {0};
        for (uint32_t b = 0; b < rows[i].n; b++)
            histogram_add(&h, histogram_bucket_floor(b));
        struct interval interval = interval_of_quantile(&h, 0.95, rows[i].confidence);
        assert_int_equal(rank_of(interval.low), rows[i].low);
        if (rows[i].high > rows[i].n)
            assert_true(isinf(interval.high));
        else
            assert_int_equal(rank_of(interval.high), rows[i].high);
    }
    struct histogram empty = {0};
    struct interval nothing = interval_of_quantile(&empty, 0.95, 0.95);
    assert_true(nothing.low == 0 && isinf(nothing.high));
}

static void a_huge_sample_is_still_exact_and_quick(void **state)
{
    (void)state;
    struct histogram h = {0};
    for (uint32_t b = 0; b < 400; b++)
        h.count[b] = 2500000;
    struct interval interval = interval_of_quantile(&h, 0.95, 0.99);
    double truth = (double)histogram_bucket_floor(380);
    assert_true(interval.low < truth * 1.02 && interval.low > truth * 0.98);
    assert_true(interval.high > interval.low && interval.high < truth * 1.02);
}

/* 95 % of intervals hold the truth: of 2,000 at least 92 % must, or the formula is wrong. */
static void intervals_hold_the_truth_as_often_as_they_say(void **state)
{
    (void)state;
    uint64_t random = 7;
    uint32_t rate_held = 0;
    uint32_t difference_held = 0;
    uint32_t quantile_held = 0;
    for (int run = 0; run < 2000; run++) {
        uint64_t a = 0;
        uint64_t b = 0;
        struct histogram h = {0};
        for (int i = 0; i < 300; i++) {
            a += next_random(&random) % 100 < 8;
            b += next_random(&random) % 100 < 5;
            histogram_add(&h, 1000 + next_random(&random) % 100000); /* p95 is 96,000 */
        }
        struct interval rate = interval_of_rate(a, 300, 0.95);
        struct interval difference = interval_of_difference(a, 300, b, 300, 0.95);
        struct interval quantile = interval_of_quantile(&h, 0.95, 0.95);
        rate_held += rate.low <= 0.08 && rate.high >= 0.08;
        difference_held += difference.low <= 0.03 && difference.high >= 0.03;
        quantile_held += quantile.low <= 96000 && quantile.high >= 96000;
    }
    assert_in_range(rate_held, 1880, 2000);
    assert_in_range(difference_held, 1840, 1990);
    assert_in_range(quantile_held, 1840, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(z_has_the_tabled_values),
        cmocka_unit_test(rates_have_the_exact_interval),
        cmocka_unit_test(rates_of_any_size_are_ordered_and_narrow),
        cmocka_unit_test(differences_have_newcombes_interval),
        cmocka_unit_test(quantiles_have_exact_order_statistics),
        cmocka_unit_test(a_huge_sample_is_still_exact_and_quick),
        cmocka_unit_test(intervals_hold_the_truth_as_often_as_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
