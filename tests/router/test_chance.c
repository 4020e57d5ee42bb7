/* The breaker's chances, against numbers worked out by other means. */
#include "fixture.h"

#include <math.h>

#include "router/chance.h"

static double binomial_tail(uint64_t events, uint64_t total, double rate)
{
    double sum = 0;
    for (uint64_t k = events; k <= total; k++) {
        double term = 1;
        for (uint64_t i = 0; i < k; i++)
            term *= (double)(total - i) / (double)(i + 1) * rate;
        for (uint64_t i = 0; i < total - k; i++)
            term *= 1 - rate;
        sum += term;
    }
    return sum;
}

static void the_bound_is_above_the_tail_and_not_far(void **state)
{
    (void)state;
    static const double rates[] = {0.001, 0.025, 0.05, 0.25, 0.5, 0.9};
    for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++)
        for (uint64_t total = 1; total <= 60; total++)
            for (uint64_t events = 0; events <= total; events++) {
                double tail = binomial_tail(events, total, rates[r]);
                double bound = chance_of_rate(events, total, rates[r]);
                assert_true(bound >= tail * (1 - 1e-9) && bound <= 1);
                if ((double)events > rates[r] * (double)total)
                    assert_true(bound <= tail * 4 * sqrt((double)total + 1));
            }
}

static void ends_are_exact(void **state)
{
    (void)state;
    assert_true(chance_of_rate(0, 0, 0.05) == 1);
    assert_true(chance_of_rate(5, 100, 0.05) == 1); /* as expected */
    assert_true(chance_of_rate(1, 100, 0) == 0);
    assert_true(chance_of_rate(0, 100, 0) == 1);
    assert_true(chance_of_rate(100, 100, 1) == 1);
    assert_true(fabs(chance_of_rate(10, 10, 0.5) - pow(0.5, 10)) < 1e-12);
    assert_true(fabs(chance_of_rate(11, 10, 0.5) - pow(0.5, 10)) < 1e-12); /* an error seen before its exchange */
}

/* All tables of small sides, by counting the ways to draw. */
static double choose(uint64_t n, uint64_t k)
{
    double ways = 1;
    for (uint64_t i = 0; i < k; i++)
        ways *= (double)(n - i) / (double)(i + 1);
    return k > n ? 0 : ways;
}

static void the_difference_is_fishers(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 12; n++)
        for (uint64_t m = 1; m <= 12; m++)
            for (uint64_t a = 0; a <= n; a++)
                for (uint64_t b = 0; b <= m; b++) {
                    double tail = 0;
                    for (uint64_t k = a; k <= n && k <= a + b; k++)
                        tail += choose(n, k) * choose(m, a + b - k) / choose(n + m, a + b);
                    double chance = chance_of_difference(a, n, b, m);
                    if (a * m <= b * n)
                        assert_true(chance == 1);
                    else
                        assert_true(fabs(chance - tail) < 1e-9);
                }
}

static void large_sides_are_no_trouble(void **state)
{
    (void)state;
    /* The tea-tasting lady: 4 of 4 against 0 of 4 is 1 in 70. */
    assert_true(fabs(chance_of_difference(4, 4, 0, 4) - 1.0 / 70) < 1e-12);
    double chance = chance_of_difference(51000, 1000000, 50000, 1000000); /* z = 3.23 */
    assert_true(chance > 5.5e-4 && chance < 6.8e-4);
    assert_true(chance_of_difference(60000, 1000000, 50000, 1000000) < 1e-100);
    assert_true(chance_of_difference(10, 10, 0, 0) == 1); /* nothing to compare with */
    assert_true(chance_of_difference(0, 0, 5, 10) == 1);
    assert_true(chance_of_difference(7, 5, 0, 100) < 1e-7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bound_is_above_the_tail_and_not_far),
        cmocka_unit_test(ends_are_exact),
        cmocka_unit_test(the_difference_is_fishers),
        cmocka_unit_test(large_sides_are_no_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
