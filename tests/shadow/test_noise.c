/*
 * Noise: the test against known values, the rule at its edges, the sentences; and an experiment with volatile fields.
 */
#include "shadow/noise.h"

#include "tests/shadow/pairs.h"

#include <math.h>
#include <time.h>

#include "shadow/report.h"

static const struct config_noise config = {.relative = 0.2, .absolute = 0.0003, .confidence = 0.99};

static void assert_near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * expected))
        fail_msg("%.12g instead of %.12g", value, expected);
}

/* ---- Fisher's exact test ---- */

static double choose(double n, double k)
{
    double result = 1;
    for (double i = 1; i <= k; i++)
        result *= (n - k + i) / i;
    return result;
}

/* By the definition, term by term. */
static double plainly(uint64_t a, uint64_t n, uint64_t b, uint64_t m)
{
    double sum = 0;
    for (uint64_t k = a; k <= a + b && k <= n; k++)
        if (a + b - k <= m)
            sum += choose((double)n, (double)k) * choose((double)m, (double)(a + b - k));
    return sum / choose((double)(n + m), (double)(a + b));
}

static void the_test_is_exact_for_all_small_tables(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 14; n++)
        for (uint64_t m = 1; m <= 9; m++)
            for (uint64_t a = 0; a <= n; a++)
                for (uint64_t b = 0; b <= m; b++)
                    assert_near(noise_excess_p(a, n, b, m), plainly(a, n, b, m), 1e-9);
}

static void the_test_gives_known_values(void **state)
{
    (void)state;
    assert_near(noise_excess_p(3, 4, 1, 4), 17.0 / 70, 1e-12);        /* Fisher's lady tasting tea, one cup wrong */
    assert_near(noise_excess_p(4, 4, 0, 4), 1.0 / 70, 1e-12);         /* none wrong */
    assert_near(noise_excess_p(10, 13, 2, 17), 0.000465180841, 1e-6); /* convictions of like-sex twins, R. A. Fisher */
    /* 50 of 50,000 against none of 10,000: the product of (50000 - i) / (60000 - i) */
    double product = 1;
    for (int i = 0; i < 50; i++)
        product *= (50000.0 - i) / (60000.0 - i);
    assert_near(noise_excess_p(50, 50000, 0, 10000), product, 1e-7);
    assert_true(noise_excess_p(0, 100, 5, 100) == 1);
    assert_true(noise_excess_p(5, 0, 5, 0) == 1);
    assert_true(noise_excess_p(100, 100, 100, 100) == 1);
    assert_true(noise_excess_p(900, 100, 900, 100) == 1); /* more events than pairs is no reason to fall over */
}

/* The sum and the normal tail must meet where one takes over from the other. */
static void large_counts_continue_small_ones(void **state)
{
    static const double scales[] = {0.5, 0.9, 1.1, 2, 10};
    (void)state;
    for (size_t i = 0; i < sizeof(scales) / sizeof(scales[0]); i++) {
        double n = scales[i] * 2.5e6, deviation = sqrt(n * 0.2 * 0.8 * 2);
        for (double z = 1; z <= 6; z++) {
            double a = round(n * 0.2 + z * deviation), b = round(n * 0.2);
            double p = noise_excess_p((uint64_t)a, (uint64_t)n, (uint64_t)b, (uint64_t)n);
            double pooled = (a + b) / (2 * n), wide = sqrt(2 * n * pooled * (1 - pooled));
            assert_near(p, 0.5 * erfc((a - b - 1) / wide / sqrt(2)), 0.02);
        }
    }
    assert_true(noise_excess_p(1000000, 1000000000, 1, 1000000000) < 1e-100);
    assert_true(noise_excess_p(500, 1000000000, 500, 1000000000) > 0.5);
}

static void large_counts_are_judged_in_microseconds(void **state)
{
    struct timespec begin, end;
    double sum = 0;
    (void)state;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    for (uint64_t i = 0; i < 400; i++)
        sum += noise_excess_p(400000 + i * 1000000, 1000000000, 400000 + i * 999000, 1000000000);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    assert_true(sum >= 0);
    double us = (double)(end.tv_sec - begin.tv_sec) * 1e6 + (double)(end.tv_nsec - begin.tv_nsec) / 1e3;
    assert_true(us / 400 < 5000); /* a hundred times what it takes: no sum over all of a thousand million terms */
}

/* ---- the rule ---- */

static const struct {
    struct noise_counts counts;
    enum field_state state;
    const char *why;
} cases[] = {
    {{100, 1000, 100, 1000, 1, 0, 0}, FIELD_NOISY, "no more than by itself"},
    {{100, 1000, 50, 1000, 1, 0, 0}, FIELD_REAL, "significant at 99 %"},  /* (0.1 - 0.05) / 0.15 = 33 % */
    {{100, 1000, 70, 1000, 1, 0, 0}, FIELD_NOISY, "not 20 % more"},       /* 17.6 % */
    {{100, 1000, 66, 1000, 1, 0, 0}, FIELD_REAL, "significant"},          /* 20.5 %, p = 0.004 */
    {{100, 1000, 66, 1000, 9, 0, 0}, FIELD_UNDECIDED, "not significant"}, /* ... too little among nine fields */
    {{6, 10000, 4, 10000, 1, 0, 0}, FIELD_NOISY, "not 20 % more"},        /* 20 % is not more than 20 % */
    {{9, 10000, 5, 10000, 1, 0, 0}, FIELD_UNDECIDED, "not significant"},  /* 28 %, 0.04 %, but p = 0.2 */
    {{7, 10000, 4, 10000, 1, 0, 0}, FIELD_NOISY, "within 0.03 %"},        /* 27 %, but 0.03 % */
    {{0, 1000, 100, 1000, 1, 0, 0}, FIELD_NOISY, "none of 1,000 pairs"},
    {{0, 1000, 2, 1000, 1, 0, 0}, FIELD_RARE, "too rare"},
    {{1000, 1000, 2, 1000, 1, 0, 0}, FIELD_REAL, "100 % of pairs (1,000 of 1,000)"},
    {{1000, 1000, 2, 2, 1, 0, 0}, FIELD_RARE, "no more than by itself"}, /* always, but seen only twice */
    {{1000, 1000, 3, 3, 1, 0, 0}, FIELD_NOISY, "100 % of pairs (3 of 3)"},
    {{5, 1000, 0, 1000, 1, 0, 0}, FIELD_UNDECIDED, "p = 0.031"},
    {{7, 1000, 0, 1000, 1, 0, 0}, FIELD_REAL, "by itself in none of 1,000 pairs"}, /* 2^-7 */
    {{7, 1000, 0, 1000, 2, 0, 0}, FIELD_UNDECIDED, "not significant at 99 % yet"},
    {{1, 100000, 0, 1000, 1, 0, 0}, FIELD_RARE, "too rare to show"},
    {{5, 1000, 0, 0, 1, 0, 0}, FIELD_REAL, "noise is not measured"},
    {{1, 1000000, 0, 0, 300, 0, 0}, FIELD_REAL, "every difference counts"},
    /* It differs in every pair, by itself too, but by itself it is always there. */
    {{1000, 1000, 100, 100, 1, 1000, 0}, FIELD_REAL, "it is missing, extra or of another type in 100 %"},
    {{1000, 1000, 100, 100, 1, 5, 0}, FIELD_UNDECIDED, "in 0.50 % of pairs (5 of 1,000)"},
    {{1000, 1000, 100, 100, 1, 100, 10}, FIELD_NOISY, "differs in 100 %"}, /* now and then not there by itself */
    {{100000, 100000, 1000, 1000, 1, 1, 0}, FIELD_NOISY, "no more than by itself"}, /* below the thresholds */
    {{1000, 1000, 2, 2, 1, 1000, 0}, FIELD_RARE, "differs in 100 %"},               /* not known to be noise anyway */
    {{12345, 1000000, 1, 100000, 40, 0, 0}, FIELD_REAL, "differs in 1.2 % of pairs (12,345 of 1,000,000)"},
};

static void every_state_has_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char why[NOISE_WHY_ROOM];
        enum field_state judged = noise_judge(&config, &cases[i].counts);
        if (judged != cases[i].state)
            fail_msg("case %zu: %s", i, field_state_name(judged));
        assert_int_equal(noise_explain(&config, &cases[i].counts, why, sizeof(why)), judged);
        if (strstr(why, cases[i].why) == NULL)
            fail_msg("case %zu: %s", i, why);
        assert_int_equal(noise_excuses(&config, &cases[i].counts), judged == FIELD_NOISY);
    }
}

static void thresholds_are_settable(void **state)
{
    const struct config_noise loose = {.relative = 0, .absolute = 0, .confidence = 0.9},
                              strict = {.relative = 0.5, .absolute = 0.0003, .confidence = 0.99};
    const struct noise_counts
        slight = {.differing = 120, .compared = 1000, .noise = 95, .noise_compared = 1000, .fields = 1},
        double_rate = {.differing = 200, .compared = 1000, .noise = 100, .noise_compared = 1000, .fields = 1};
    char why[24];
    (void)state;
    assert_int_equal(noise_judge(&config, &slight), FIELD_NOISY);
    assert_int_equal(noise_judge(&loose, &slight), FIELD_REAL);
    assert_int_equal(noise_judge(&config, &double_rate), FIELD_REAL);
    assert_int_equal(noise_judge(&strict, &double_rate), FIELD_NOISY);
    noise_explain(&config, &slight, why, sizeof(why));
    assert_int_equal(strlen(why), sizeof(why) - 1);
}

/* ---- the experiment ---- */

enum {
    PAIRS = 50000,
    NOISE_PAIRS = 10000,
    VOLATILE = 9,
    REPETITIONS = 100
};

static const double volatile_rates[VOLATILE] = {1, 0.5, 0.2, 0.05, 0.01, 0.003, 0.001, 0.001, 0.0005};

static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u; /* splitmix64, G. Steele et al., 2014 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static bool happens(uint64_t *seed, double rate)
{
    return (double)(next_random(seed) >> 11) * 0x1p-53 < rate;
}

struct experiment {
    struct test_route route;
    struct pair *pair;
    struct comparison comparison;
    struct report *report;
    uint64_t seed;
};

static void note(struct experiment *e, const char *name)
{
    struct difference *d = difference_note(&e->comparison.differences, DIFFERENCE_VALUE, false, name);
    snprintf(d->path, sizeof(d->path), "%s", name);
}

static void one_pair(struct experiment *e, enum pair_kind kind, bool differs)
{
    static const char *const names[VOLATILE] = {"$.v0", "$.v1", "$.v2", "$.v3", "$.v4", "$.v5", "$.v6", "$.v7", "$.v8"};
    struct veil veil = veil_of(&e->route.route.shadow.samples);
    difference_list_reset(&e->comparison.differences, &veil);
    for (int i = 0; i < VOLATILE; i++)
        if (happens(&e->seed, volatile_rates[i]))
            note(e, names[i]);
    if (differs && kind == PAIR_CROSS)
        note(e, "$.true");
    e->comparison.judgement = e->comparison.differences.count > 0 ? JUDGEMENT_MISMATCHED : JUDGEMENT_MATCHED;
    e->pair->kind = kind;
    report_add(e->report, e->pair, &e->comparison);
}

/* 50,000 requests, every fifth also sent twice to the primary's side. The other twenty-one fields never differ. */
static void run(struct experiment *e, uint64_t seed, uint32_t true_every)
{
    e->seed = seed;
    for (uint32_t i = 0; i < PAIRS; i++) {
        one_pair(e, PAIR_CROSS, true_every > 0 && i % true_every == 0);
        if (i % (PAIRS / NOISE_PAIRS) == 0)
            one_pair(e, PAIR_NOISE, false);
    }
}

static void experiment_start(struct experiment *e)
{
    memset(e, 0, sizeof(*e));
    test_route_init(&e->route, "orders");
    e->route.route.shadow.samples.keep = 0;
    e->pair = test_pair(&e->route);
    e->report = report_new();
    assert_non_null(e->report);
}

static void experiment_stop(struct experiment *e)
{
    report_free(e->report);
    pair_free(e->pair);
}

/* The names shown as real, each followed by a blank; counts them. */
static uint32_t shown(struct experiment *e, char *names, size_t room)
{
    size_t i;
    json_t *field, *report = report_json(e->report, "orders");
    uint32_t count = 0;
    names[0] = '\0';
    json_t *endpoint =
        json_array_get(json_object_get(json_array_get(json_object_get(report, "routes"), 0), "endpoints"), 0);
    assert_true(json_array_size(json_object_get(endpoint, "fields")) >= VOLATILE);
    json_array_foreach(json_object_get(endpoint, "fields"), i, field)
    {
        if (!json_is_true(json_object_get(field, "shown")))
            continue;
        size_t used = strlen(names);
        snprintf(names + used, room - used, "%s ", json_string_value(json_object_get(field, "field")));
        count++;
    }
    json_decref(report);
    return count;
}

static void one_true_field_among_volatile_ones_is_shown_and_no_other(void **state)
{
    struct experiment e;
    char names[256];
    (void)state;
    experiment_start(&e);
    run(&e, 1, 1000); /* in 0.1 % of requests */
    shown(&e, names, sizeof(names));
    assert_string_equal(names, "$.true ");
    struct comparison_totals totals;
    report_totals(e.report, "orders", &totals);
    assert_int_equal(totals.compared, PAIRS);
    assert_true(totals.mismatched >= PAIRS / 1000); /* what is rare or undecided counts as well */
    assert_true(totals.mismatched < PAIRS / 100);
    experiment_stop(&e);
}

static void without_a_true_difference_none_is_shown(void **state)
{
    struct experiment e;
    char names[256];
    uint32_t false_fields = 0;
    (void)state;
    experiment_start(&e);
    for (uint64_t seed = 1; seed <= REPETITIONS; seed++) {
        report_reset(e.report, NULL);
        run(&e, seed * 7919, 0);
        uint32_t count = shown(&e, names, sizeof(names));
        if (count > 0)
            print_message("repetition %d: %s\n", (int)seed, names);
        false_fields += count;
    }
    experiment_stop(&e);
    assert_true(false_fields <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_test_is_exact_for_all_small_tables),
        cmocka_unit_test(the_test_gives_known_values),
        cmocka_unit_test(large_counts_continue_small_ones),
        cmocka_unit_test(large_counts_are_judged_in_microseconds),
        cmocka_unit_test(every_state_has_its_reason),
        cmocka_unit_test(thresholds_are_settable),
        cmocka_unit_test(one_true_field_among_volatile_ones_is_shown_and_no_other),
        cmocka_unit_test(without_a_true_difference_none_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
