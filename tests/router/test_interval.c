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
/* 95 % of intervals hold the truth: of 2,000 at least 92 % must, or the formula is wrong. */
static void intervals_hold_the_truth_as_often_as_they_say(void **state)
{
    (void)state;
    uint64_t random = 7;
    uint32_t held = 0;
    for (int run = 0; run < 2000; run++) {
        uint64_t events = 0;
        for (int i = 0; i < 300; i++)
            events += next_random(&random) % 100 < 8;
        struct interval rate = interval_of_rate(events, 300, 0.95);
        held += rate.low <= 0.08 && rate.high >= 0.08;
    }
    assert_in_range(held, 1880, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(z_has_the_tabled_values),
        cmocka_unit_test(rates_have_the_exact_interval),
        cmocka_unit_test(rates_of_any_size_are_ordered_and_narrow),
        cmocka_unit_test(intervals_hold_the_truth_as_often_as_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
