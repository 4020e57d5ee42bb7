/*
 * Verdicts: the sentence, the bounds, and figures that never say 0 % of what happened.
 */
#include "shadow/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "shadow/figures.h"

static const struct {
    uint64_t compared, differing;
    double limit, confidence;
    enum verdict result;
    const char *sentence;
} cases[] = {
    {1204332, 12, 0.0001, 0.99, VERDICT_PASS,
     "orders-read: 1,204,332 compared, 12 differ (0.0010 %), at 99 % confidence below 0.0019 %; limit 0.01 %: pass"},
    {13017, 13, 0.0001, 0.99, VERDICT_FAIL,
     "orders-read: 13,017 compared, 13 differ (0.10 %), at 99 % confidence above 0.046 %; limit 0.01 %: fail"},
    {1000, 0, 0.0001, 0.99, VERDICT_UNDECIDED,
     "orders-read: 1,000 compared, 0 differ, at 99 % confidence below 0.46 %; limit 0.01 %: undecided"},
    {1000, 0, 0.005, 0.99, VERDICT_PASS,
     "orders-read: 1,000 compared, 0 differ, at 99 % confidence below 0.46 %; limit 0.5 %: pass"},
    {400, 4, -1, 0.99, VERDICT_UNDECIDED,
     "orders-read: 400 compared, 4 differ (1.0 %), at 99 % confidence below 2.9 %; no limit: undecided"},
    {0, 0, 0.0001, 0.99, VERDICT_UNDECIDED, "orders-read: nothing compared yet; limit 0.01 %: undecided"},
    {0, 0, -1, 0.99, VERDICT_UNDECIDED, "orders-read: nothing compared yet; no limit: undecided"},
    {50, 50, 0.5, 0.999, VERDICT_FAIL,
     "orders-read: 50 compared, 50 differ (100 %), at 99.9 % confidence above 87.0 %; limit 50 %: fail"},
    {1, 1, 0, 0.95, VERDICT_FAIL,
     "orders-read: 1 compared, 1 differ (100 %), at 95 % confidence above 5.0 %; limit 0 %: fail"},
};

static void sentences_say_what_was_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rate_verdict verdict;
        verdict_judge("orders-read", cases[i].compared, cases[i].differing, cases[i].limit, cases[i].confidence,
                      &verdict);
        assert_string_equal(verdict.sentence, cases[i].sentence);
        assert_int_equal(verdict.result, cases[i].result);
        assert_true(verdict.at_least <= verdict.rate && verdict.rate <= verdict.at_most);
    }
}

/* P(Binomial(n, p) <= k) by the definition. */
static double at_most(double n, double p, double k)
{
    double sum = 0;
    for (double i = 0; i <= k; i++)
        sum += exp(lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) + i * log(p) + (n - i) * log1p(-p));
    return sum;
}

/* Each bound is the rate at which what was seen, or less (more), has just the probability that confidence leaves. */
static void bounds_are_one_sided_and_exact(void **state)
{
    static const double confidences[] = {0.9, 0.95, 0.99, 0.999};
    (void)state;
    for (size_t c = 0; c < sizeof(confidences) / sizeof(confidences[0]); c++)
        for (uint64_t differing = 1; differing < 30; differing += 7) {
            struct rate_verdict verdict;
            double k = (double)differing, left = 1 - confidences[c];
            verdict_judge("r", 5000, differing, -1, confidences[c], &verdict);
            assert_true(fabs(at_most(5000, verdict.at_most, k) - left) < 1e-6);
            assert_true(fabs(1 - at_most(5000, verdict.at_least, k - 1) - left) < 1e-6);
        }
}

static void a_strange_name_is_harmless(void **state)
{
    struct rate_verdict verdict;
    char name[1000];
    (void)state;
    memset(name, 'n', sizeof(name));
    name[999] = '\0';
    verdict_judge(name, UINT64_MAX / 2, UINT64_MAX / 4, 0.123456789, 0.999999, &verdict);
    assert_true(strlen(verdict.sentence) < VERDICT_ROOM);
    assert_non_null(strstr(verdict.sentence, ": fail"));
    verdict_judge("a\x1b[2J", 10, 20, 0.5, 0.99, &verdict); /* counters read while they are written */
    assert_null(strchr(verdict.sentence, '\x1b'));
    assert_true(isfinite(verdict.at_most));
}

static void percentages_do_not_lie(void **state)
{
    static const struct {
        double rate;
        enum rounding rounding;
        const char *text;
    } rates[] = {
        {0, ROUND_NEAREST, "0 %"},
        {1, ROUND_NEAREST, "100 %"},
        {1e-9, ROUND_NEAREST, "0.00000010 %"},
        {0.00001, ROUND_NEAREST, "0.0010 %"},
        {0.001, ROUND_NEAREST, "0.10 %"},
        {0.0123, ROUND_NEAREST, "1.2 %"},
        {0.0123, ROUND_UP, "1.3 %"},
        {0.0129, ROUND_DOWN, "1.2 %"},
        {0.01, ROUND_UP, "1.0 %"},
        {0.07, ROUND_DOWN, "7.0 %"},
        {0.5897, ROUND_NEAREST, "59.0 %"},
        {0.9996, ROUND_NEAREST, ">99.9 %"},
        {0.999999, ROUND_UP, ">99.9 %"},
        {0.9996, ROUND_DOWN, "99.9 %"},
        {1e-15, ROUND_UP, "0.000000000001 %"},
    };
    char text[FIGURE_ROOM];
    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
        assert_string_equal(figure_percent(text, rates[i].rate, rates[i].rounding), rates[i].text);
    assert_string_equal(figure_count(text, 0), "0");
    assert_string_equal(figure_count(text, 999), "999");
    assert_string_equal(figure_count(text, UINT64_MAX), "18,446,744,073,709,551,615");
    assert_string_equal(figure_given(text, 0.0001), "0.01 %");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_say_what_was_found),
        cmocka_unit_test(bounds_are_one_sided_and_exact),
        cmocka_unit_test(a_strange_name_is_harmless),
        cmocka_unit_test(percentages_do_not_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
