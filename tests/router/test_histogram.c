/* The latency histogram: where values land, and what is read out of it. */
#include "fixture.h"

#include <math.h>

#include "router/histogram.h"

static void every_value_lies_in_its_bucket(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < HISTOGRAM_BUCKETS; b++) {
        uint64_t floor_us = histogram_bucket_floor(b);
        uint64_t end_us = histogram_bucket_floor(b + 1);
        assert_true(end_us > floor_us);
        assert_int_equal(histogram_bucket(floor_us), b);
        assert_int_equal(histogram_bucket(end_us - 1), b);
        assert_true(b < HISTOGRAM_STEPS || (double)(end_us - floor_us) / (double)floor_us <= 1.0 / HISTOGRAM_STEPS);
    }
    assert_int_equal(histogram_bucket_floor(HISTOGRAM_BUCKETS), 1ull << 32);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void quantiles_are_within_a_bucket_of_the_truth(void **state)
{
    (void)state;
    struct histogram h = {0};
    assert_true(histogram_quantile(&h, 0.95) == 0);
    for (uint64_t us = 1; us <= 100000; us++)
        histogram_add(&h, us);
    static const double quantiles[] = {0.01, 0.5, 0.9, 0.95, 0.99, 1};
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        double truth = quantiles[i] * 100000;
        assert_true(fabs(histogram_quantile(&h, quantiles[i]) - truth) <= truth / HISTOGRAM_STEPS);
    }
    assert_int_equal(histogram_total(&h), 100000);
    assert_int_equal(h.sum_us, 100000ull * 100001 / 2);
    struct histogram one = {0};
    histogram_add(&one, 7);
    assert_true(histogram_quantile(&one, 0.5) == 7);
    assert_true(histogram_quantile(&one, 0) == 7);
}

static void merging_and_subtracting_undo_each_other(void **state)
{
    (void)state;
    struct histogram a = {0};
    struct histogram b = {0};
    uint64_t random = 1;
    for (int i = 0; i < 1000; i++) {
        histogram_add(&a, next_random(&random) % 1000000);
        histogram_add(&b, next_random(&random) % 5000);
    }
    struct histogram both = a;
    histogram_merge(&both, &b);
    assert_int_equal(histogram_total(&both), 2000);
    struct histogram left;
    histogram_difference(&left, &both, &b);
    assert_memory_equal(&left, &a, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_lies_in_its_bucket),
        cmocka_unit_test(quantiles_are_within_a_bucket_of_the_truth),
        cmocka_unit_test(merging_and_subtracting_undo_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
