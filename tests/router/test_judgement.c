/*
 * How good the judgement of gates and plans is, by simulation: how often equal backends fail, how often worse ones are
 * promoted, and how many requests a verdict takes, beside the test that may look only once. And on the same traffic
 * what Flagger's and Kayenta's rules would have said, re-stated from their documentation.
 *
 * Seeded, so that every run gives the same numbers. The suite runs a short form. The long one writes the figures of
 * docs/judgement.md as lines of JSON; tools/judgement/judgement.py runs it and makes tables and plots of them:
 *
 *     SHUNT_SIMULATION=long tests/router/test_judgement
 */
#include "fixture.h"

#include <math.h>

#include "router/confseq.h"
#include "router/simulate.h"

enum {
    ROLLOUTS_LONG = 10000,
    LOOK_AT_EACH = 100, /* requests, and from there on as they grow by GROWTH */
    HOUR_MS = 3600000,
    DAY_MS = 24 * HOUR_MS,
};

#define GROWTH 0.02
#define Z99    2.3263478740408408 /* one side of the normal distribution beyond it: 1 % */

static bool is_long(void)
{
    const char *form = getenv("SHUNT_SIMULATION");
    return form != NULL && strcmp(form, "long") == 0;
}

static uint32_t rollouts(uint32_t of_short, uint32_t part)
{
    const char *most = getenv("SHUNT_ROLLOUTS");
    uint32_t all = most != NULL ? (uint32_t)strtoul(most, NULL, 10) : ROLLOUTS_LONG;
    return is_long() ? all / part : of_short;
}

/* The long form may be spread over processes: SHUNT_SIMULATION_ROWS names the rows of a table, such as "0,3". */
static bool is_wanted(size_t row)
{
    const char *rows = getenv("SHUNT_SIMULATION_ROWS");
    for (const char *at = is_long() ? rows : NULL; at != NULL && *at != '\0';
         at += strcspn(at, ",") + (strchr(at, ',') != NULL))
        if (strtoul(at, NULL, 10) == row)
            return true;
    return rows == NULL || !is_long();
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of sorted values. */
static double quantile(const double *values, uint32_t count, double q)
{
    return count > 0 ? values[(uint32_t)(q * (count - 1) + 0.5)] : NAN;
}

/* ---- two sides, looked at again and again ---- */

struct sides {
    struct evidence evidence;
    struct draw draw;
    double errors[SIDES];
    struct latency_law law[SIDES]; /* empty: latency is not drawn */
    uint64_t each;                 /* requests on each side */
    double growth;
    uint64_t every; /* up to so many, each request is looked at */
};

static const struct config_gates no_gates = {
    .error_rate_increase = RATE_UNSET,
    .error_rate = RATE_UNSET,
    .availability = RATE_UNSET,
    .p50_increase = RATE_UNSET,
    .p95_increase = RATE_UNSET,
    .p99_increase = RATE_UNSET,
    .p95_ratio = RATE_UNSET,
    .mismatch_rate = RATE_UNSET,
    .confidence = 0.99,
};

static void sides_init(struct sides *s, double legacy, double new, uint64_t seed)
{
    memset(&s->evidence, 0, sizeof(s->evidence));
    s->draw = draw_from(seed);
    s->errors[SIDE_LEGACY] = legacy;
    s->errors[SIDE_NEW] = new;
    s->law[SIDE_LEGACY].count = s->law[SIDE_NEW].count = 0;
    s->each = 0;
    s->growth = GROWTH;
    s->every = LOOK_AT_EACH;
}

/* As many requests on both sides as until the next look. */
static void sides_grow(struct sides *s)
{
    uint64_t step = (uint64_t)(s->growth * (double)s->each);
    if (s->each < s->every || step < 1)
        step = 1;
    for (int i = 0; i < SIDES; i++) {
        struct evidence_side *side = &s->evidence.side[i];
        side->judged += step;
        side->errors += draw_binomial(&s->draw, step, s->errors[i]);
        if (s->law[i].count > 0)
            draw_latencies(&s->draw, &s->law[i], step, &side->latency);
    }
    s->each += step;
}

static const struct gate_result *ask(const struct sides *s, const struct config_gates *gates, enum gate_kind kind,
                                     struct gate_report *report)
{
    const struct gate_traffic traffic = {SHARE_ALL / 2, 0};
    const struct gate_world world = {.verdicts_only = true};
    gates_judge(gates, &traffic, &s->evidence, &world, report);
    return &report->gate[kind];
}

/* ---- equal backends, judged all day ---- */

/* Newcombe's hybrid score interval (Stat. Med. 17 (1998) 873, method 10): exact enough for one look. */
static double newcombe_low(const struct evidence *evidence, double z)
{
    double p[SIDES];
    double low[SIDES];
    double high[SIDES];
    for (int i = 0; i < SIDES; i++) {
        double n = (double)evidence->side[i].judged;
        p[i] = (double)evidence->side[i].errors / n;
        double middle = (p[i] + z * z / (2 * n)) / (1 + z * z / n);
        double reach = z / (1 + z * z / n) * sqrt(p[i] * (1 - p[i]) / n + z * z / (4 * n * n));
        low[i] = middle - reach;
        high[i] = middle + reach;
    }
    double down = p[SIDE_NEW] - low[SIDE_NEW];
    double up = high[SIDE_LEGACY] - p[SIDE_LEGACY];
    return p[SIDE_NEW] - p[SIDE_LEGACY] - sqrt(down * down + up * up);
}

/* How far a day gets with half of so many requests a second on each side. */
static const double day_rates[] = {5, 50, 500, 5000};

struct ever { /* rollouts that had failed by then */
    uint32_t fixed[64], sequence[64];
};

/*
 * The gate asks for no increase at all, which is the truth: the hardest limit. A limit of 2 points is asked of the same
 * intervals. `until` is requests on each side.
 */
static void judge_equals(double errors, uint32_t count, double until, uint32_t fails_at_none[4], uint32_t fails_at_2[4],
                         struct ever *ever)
{
    static struct sides s;
    static struct gate_report report;
    struct config_gates gates = no_gates;
    gates.error_rate_increase = 0;
    for (uint32_t run = 0; run < count; run++) {
        double none_at = INFINITY;
        double two_at = INFINITY;
        double fixed_at = INFINITY;
        sides_init(&s, errors, errors, run + 1);
        while ((double)s.each < until) {
            sides_grow(&s);
            const struct gate_result *result = ask(&s, &gates, GATE_ERROR_RATE_INCREASE, &report);
            if (result->verdict == VERDICT_FAIL && isinf(none_at))
                none_at = (double)s.each;
            if (result->low > 0.02 && isinf(two_at))
                two_at = (double)s.each;
            if (ever != NULL && isinf(fixed_at) && s.each >= 10 && newcombe_low(&s.evidence, 2.5758293035489) > 0)
                fixed_at = (double)s.each;
        }
        for (int r = 0; r < 4; r++) {
            fails_at_none[r] += none_at <= day_rates[r] * 43200;
            fails_at_2[r] += two_at <= day_rates[r] * 43200;
        }
        for (int i = 0; ever != NULL && i < 64; i++) {
            ever->sequence[i] += none_at <= pow(10, i / 10.0);
            ever->fixed[i] += fixed_at <= pow(10, i / 10.0);
        }
    }
}

static void equal_backends_hardly_ever_fail(void **state)
{
    (void)state;
    static const double rates[] = {0, 0.001, 0.01, 0.1};
    uint32_t count = rollouts(40, 1);
    for (size_t e = 0; e < 4; e++) {
        uint32_t none[4] = {0};
        uint32_t two[4] = {0};
        if (!is_wanted(e))
            continue;
        judge_equals(rates[e], count, is_long() ? 5000 * 43200.0 : 2000, none, two, NULL);
        for (int r = 0; is_long() && r < 4; r++)
            (void)printf("{\"row\": \"equal\", \"errors\": %g, \"rate\": %g, \"rollouts\": %u, \"fails_at_0\": %u, "
                         "\"fails_at_2\": %u}\n",
                         rates[e], day_rates[r], count, none[r], two[r]);
        /* 1 % and four standard deviations of chance */
        assert_true(none[3] <= count / 100.0 + 4 * sqrt(count / 100.0));
        assert_int_equal(two[3], 0);
    }
}

static void ordinary_intervals_fail_sooner_or_later(void **state)
{
    (void)state;
    uint32_t none[4] = {0};
    uint32_t two[4] = {0};
    static struct ever ever;
    uint32_t count = rollouts(150, 1);
    int last = is_long() ? 60 : 40;
    memset(&ever, 0, sizeof(ever));
    judge_equals(0.01, count, pow(10, last / 10.0), none, two, &ever);
    for (int i = 10; is_long() && i <= last; i++)
        (void)printf("{\"row\": \"ever\", \"requests\": %.0f, \"rollouts\": %u, \"fixed\": %u, \"sequence\": %u}\n",
                     pow(10, i / 10.0), count, ever.fixed[i], ever.sequence[i]);
    assert_true(ever.fixed[last] > count * 3 / 100); /* where 0.5 % were meant */
    assert_true(ever.fixed[last] > 2 * ever.sequence[last]);
}

/* ---- how many requests a verdict takes ---- */

struct asked {
    const char *name;   /* of the row */
    double legacy, new; /* error rates */
    double slower;      /* times; 0: latency is not asked about */
    bool holds;
};

struct answers {
    uint32_t count;
    uint32_t right, wrong;
    double took[ROLLOUTS_LONG]; /* requests on each side, of those that were right */
};

static void ask_until_decided(const struct asked *asked, uint32_t count, double growth, uint64_t every,
                              struct answers *answers)
{
    static struct sides s;
    static struct gate_report report;
    static struct latency_law law[SIDES];
    struct config_gates gates = no_gates;
    enum gate_kind kind = asked->slower > 0 ? GATE_P95_INCREASE : GATE_ERROR_RATE_INCREASE;
    if (asked->slower > 0) {
        gates.p95_increase = 0.2;
        latency_law_init(&law[SIDE_LEGACY], 20000, 0.5);
        latency_law_init(&law[SIDE_NEW], 20000 * asked->slower, 0.5);
    } else {
        gates.error_rate_increase = 0.02;
    }
    memset(answers, 0, sizeof(*answers));
    answers->count = count;
    for (uint32_t run = 0; run < count; run++) {
        enum verdict verdict = VERDICT_UNDECIDED;
        sides_init(&s, asked->legacy, asked->new, run + 77);
        s.growth = growth;
        s.every = every;
        if (asked->slower > 0)
            memcpy(s.law, law, sizeof(law));
        while (verdict == VERDICT_UNDECIDED) {
            sides_grow(&s);
            verdict = ask(&s, &gates, kind, &report)->verdict;
        }
        if ((verdict == VERDICT_PASS) == asked->holds)
            answers->took[answers->right++] = (double)s.each;
        else
            answers->wrong++;
    }
    qsort(answers->took, answers->right, sizeof(answers->took[0]), by_value);
}

/* X is binomial: the chance that it is at most k. */
static double chance_of_at_most(uint64_t k, uint64_t n, double p)
{
    double sum = 0;
    for (uint64_t i = 0; i <= k && i <= n; i++) {
        int sign;
        double ways =
            lgamma_r((double)n + 1, &sign) - lgamma_r((double)i + 1, &sign) - lgamma_r((double)(n - i) + 1, &sign);
        double odds = (i > 0 ? (double)i * log(p) : 0) + (n > i ? (double)(n - i) * log1p(-p) : 0);
        sum += exp(ways + odds);
    }
    return sum;
}

/* The smallest number with which some number of errors tells the lower rate from the higher one, with 1 % error on
 * either side. */
static double exact_sample(double lower, double higher)
{
    for (uint64_t most = 0, n = 1;; most++) {
        while (chance_of_at_most(most, n, higher) > 0.01)
            n++;
        if (chance_of_at_most(most, n, lower) >= 0.99)
            return (double)n;
    }
}

/*
 * The test that looks once, with 1 % error on either side. Rates: the usual formula for two proportions (J. L. Fleiss,
 * B. Levin, M. C. Paik, Statistical Methods for Rates and Proportions, 3rd ed., section 4.2, for a difference that is
 * not 0). It knows nothing of rates near 0, so it is never less than what the exact binomial test takes to tell new
 * alone, were legacy's rate known. Quantiles: their logarithms are nearly normal, with variance q (1 - q) / (n f^2)
 * (H. Cramer, Mathematical Methods of Statistics, section 28.5).
 */
static double fixed_sample(const struct asked *asked)
{
    if (asked->slower > 0) {
        double z95 = 1.6448536269514722;
        double density = exp(-0.5 * z95 * z95) / sqrt(2 * acos(-1)) / 0.5; /* of the logarithm, sigma 0.5 */
        double distance = fabs(log(asked->slower / 1.2));
        return pow(2 * Z99 / distance, 2) * 2 * 0.95 * 0.05 / (density * density);
    }
    double spread = asked->legacy * (1 - asked->legacy) + asked->new *(1 - asked->new);
    double usual = pow(2 * Z99 / (asked->new - asked->legacy - 0.02), 2) * spread;
    if (usual > 2000)
        return usual; /* nothing is near 0 */
    double limit = asked->legacy + 0.02;
    return fmax(usual, exact_sample(fmin(asked->new, limit), fmax(asked->new, limit)));
}

static bool asked_of_none(const struct asked *asked)
{
    return asked->slower <= 0 && asked->legacy <= 0 && asked->new <= 0;
}

static void decide(const struct asked *rows, size_t row_count, const uint32_t *of_short, const uint32_t *parts)
{
    static struct answers answers;
    for (size_t i = 0; i < row_count; i++) {
        uint32_t count = rollouts(of_short[i], parts[i]);
        if (count == 0 || !is_wanted(i))
            continue;
        ask_until_decided(&rows[i], count, GROWTH, LOOK_AT_EACH, &answers);
        double fixed = fixed_sample(&rows[i]);
        double median = quantile(answers.took, answers.right, 0.5);
        if (is_long())
            (void)printf("{\"row\": \"decide\", \"name\": \"%s\", \"legacy\": %g, \"new\": %g, \"slower\": %g, "
                         "\"rollouts\": %u, \"wrong\": %u, \"p5\": %.0f, \"median\": %.0f, \"p95\": %.0f, "
                         "\"fixed\": %.0f, \"ratio\": %.2f}\n",
                         rows[i].name, rows[i].legacy, rows[i].new, rows[i].slower, count, answers.wrong,
                         quantile(answers.took, answers.right, 0.05), median,
                         quantile(answers.took, answers.right, 0.95), fixed, median / fixed);
        assert_true(answers.wrong <= count / 100.0 + (is_long() ? 0 : 4 * sqrt(count / 100.0)));
        if (median > 2.5 * fixed)
            fail_msg("%s: %.0f requests, the test that looks once takes %.0f", rows[i].name, median, fixed);
        if (asked_of_none(&rows[i]))
            assert_true(answers.took[answers.right - 1] <= 700);
    }
}

static void worse_error_rates_fail_soon(void **state)
{
    (void)state;
    static const struct asked rows[] = {
        {"+2.5 points", 0.01, 0.035, 0, false}, {"+3 points", 0.01, 0.04, 0, false},
        {"+4 points", 0.01, 0.05, 0, false},    {"+7 points", 0.01, 0.08, 0, false},
        {"+22 points", 0.01, 0.23, 0, false},
    };
    static const uint32_t of_short[] = {0, 7, 21, 41, 41};
    static const uint32_t parts[] = {1, 1, 1, 1, 1};
    decide(rows, 5, of_short, parts);
}

static void worse_latencies_fail_soon(void **state)
{
    (void)state;
    static const struct asked rows[] = {
        {"p95 x1.3", 0, 0, 1.3, false}, {"p95 x1.5", 0, 0, 1.5, false}, {"p95 x2", 0, 0, 2, false}};
    static const uint32_t of_short[] = {0, 15, 21};
    static const uint32_t parts[] = {1, 1, 1};
    decide(rows, 3, of_short, parts);
}

static void equal_backends_pass_soon(void **state)
{
    (void)state;
    static const struct asked rows[] = {
        {"no errors", 0, 0, 0, true},        {"0.1 % errors", 0.001, 0.001, 0, true},
        {"1 % errors", 0.01, 0.01, 0, true}, {"10 % errors", 0.1, 0.1, 0, true},
        {"p95 equal", 0, 0, 1, true},
    };
    static const uint32_t of_short[] = {3, 21, 21, 5, 7};
    static const uint32_t parts[] = {100, 1, 1, 1, 1};
    decide(rows, 5, of_short, parts);
}

/* Between the extremes, for the plot. */
static void decisions_take_longest_at_the_limit(void **state)
{
    (void)state;
    static const double increases[] = {-0.009, 0,    0.005, 0.01,  0.014, 0.016, 0.024,
                                       0.027,  0.03, 0.035, 0.045, 0.07,  0.1,   0.2};
    static struct answers answers;
    double before = 0;
    bool held = true;
    for (size_t i = 0; i < sizeof(increases) / sizeof(increases[0]); i++) {
        bool holds = increases[i] <= 0.02;
        struct asked asked = {"", 0.01, 0.01 + increases[i], 0, holds};
        if (!is_long() && fabs(increases[i] - 0.02) < 0.02)
            continue;
        uint32_t count = rollouts(15, 10);
        ask_until_decided(&asked, count, GROWTH, LOOK_AT_EACH, &answers);
        double median = quantile(answers.took, answers.right, 0.5);
        if (is_long())
            (void)printf("{\"row\": \"curve\", \"increase\": %g, \"rollouts\": %u, \"p5\": %.0f, \"median\": %.0f, "
                         "\"p95\": %.0f, \"fixed\": %.0f}\n",
                         increases[i], count, quantile(answers.took, answers.right, 0.05), median,
                         quantile(answers.took, answers.right, 0.95), fixed_sample(&asked));
        if (before > 0 && held == holds)
            assert_true(holds ? median > before : median < before);
        before = median;
        held = holds;
    }
}

/* Looking more often must not change what is found. */
static void finer_steps_change_nothing(void **state)
{
    (void)state;
    static const struct {
        double growth;
        uint64_t every;
    } steps[] = {{0.1, 1}, {0.05, 20}, {0.02, 100}, {0.01, 100}, {0.005, 1000}, {0, UINT64_MAX}};
    static const struct asked asked = {"", 0.01, 0.05, 0, false};
    static struct answers answers;
    double least = INFINITY;
    double most = 0;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        uint32_t count = rollouts(7, 10);
        ask_until_decided(&asked, count, steps[i].growth, steps[i].every, &answers);
        double median = quantile(answers.took, answers.right, 0.5);
        least = fmin(least, median);
        most = fmax(most, median);
        if (is_long())
            (void)printf("{\"row\": \"steps\", \"growth\": %g, \"rollouts\": %u, \"wrong\": %u, \"median\": %.0f}\n",
                         steps[i].growth, count, answers.wrong, median);
        assert_true(answers.wrong <= count / 100.0 + 2);
    }
    assert_true(most <= least * (is_long() ? 1.2 : 3));
}

/* ---- Flagger and Kayenta ---- */

/* One side's minute, as a scraped metric shows it. */
struct minute {
    uint64_t requests;
    double error_rate;
    double latency_us; /* at the quantile that was asked for */
};

struct traffic_of {
    double rate;        /* requests a second, both sides together */
    double legacy, new; /* error rates */
    double slower;
};

static struct minute draw_minute(struct draw *draw, double per_second, double errors, const struct latency_law *law,
                                 double q)
{
    struct minute minute = {.requests = draw_poisson(draw, per_second * 60)};
    if (minute.requests == 0)
        return minute;
    minute.error_rate = (double)draw_binomial(draw, minute.requests, errors) / (double)minute.requests;
    minute.latency_us = draw_latency_quantile(draw, law, minute.requests, q);
    return minute;
}

/*
 * Flagger (docs.flagger.app, "Metrics Analysis" and "How it works"; the example that all its tutorials use): every
 * minute the success rate of the last minute must be at least 99 % and its p99 at most 500 ms; a check without values
 * fails, too; five failed checks roll back. Each good check adds 10 % to new's share, and after one at 50 % it is
 * promoted. `all_day`: the shares are those of the plan, for a day, with the same checks.
 */
static bool flagger_rolls_back(const struct traffic_of *t, const struct latency_law *law, bool all_day, uint64_t seed)
{
    struct draw draw = draw_from(seed);
    uint32_t failed = 0;
    uint32_t good = 0;
    for (int minute = 0; failed < 5; minute++) {
        double share = all_day ? (minute < 720 ? 0.1 : 0.5) : 0.1 * fmin(5, good + 1);
        if (all_day ? minute == 1440 : good == 6)
            return false;
        struct minute seen = draw_minute(&draw, t->rate * share, t->new, law, 0.99);
        if (seen.requests == 0 || seen.error_rate > 0.01 || seen.latency_us > 500000)
            failed++;
        else
            good++;
    }
    return true;
}

/* The value of rank k (from 0); reorders. */
static double nth(double *values, int count, int k)
{
    int low = 0;
    int high = count - 1;
    while (low < high) {
        double pivot = values[(low + high) / 2];
        int i = low;
        int j = high;
        while (i <= j) {
            while (values[i] < pivot)
                i++;
            while (values[j] > pivot)
                j--;
            if (i <= j) {
                double swapped = values[i];
                values[i++] = values[j];
                values[j--] = swapped;
            }
        }
        if (k <= j)
            high = j;
        else if (k >= i)
            low = i;
        else
            break;
    }
    return values[k];
}

/*
 * Kayenta's Mann-Whitney classifier (github.com/spinnaker/kayenta, docs/canary-config.md and its judge): new is High
 * where the lower end of the 98 % interval of the shift (Hodges and Lehmann) is above a quarter of the estimated shift.
 * The interval is that of the normal approximation, by ranks of the differences of all pairs.
 */
static bool is_high(const double *new, int new_count, const double *legacy, int legacy_count)
{
    static double differences[60 * 60];
    int pairs = new_count * legacy_count;
    if (pairs == 0)
        return false;
    for (int i = 0; i < new_count; i++)
        for (int j = 0; j < legacy_count; j++)
            differences[i * legacy_count + j] = new[i] - legacy[j];
    double deviation = sqrt((double)pairs * (new_count + legacy_count + 1) / 12);
    int rank = (int)floor(pairs / 2.0 - Z99 * deviation);
    if (rank < 1)
        return false;
    double estimate = nth(differences, pairs, pairs / 2);
    return nth(differences, pairs, rank - 1) > 0.25 * fabs(estimate);
}

/* A canary analysis each hour of the day, of the hour's minutes: error rate and p95; below the marginal score, which is
 * one High of two, it ends. */
static bool kayenta_fails(const struct traffic_of *t, const struct latency_law law[SIDES], uint64_t seed)
{
    struct draw draw = draw_from(seed);
    for (int hour = 0; hour < 24; hour++) {
        double share = hour < 12 ? 0.1 : 0.5;
        double errors[SIDES][60];
        double latency[SIDES][60];
        int count[SIDES] = {0};
        for (int side = 0; side < SIDES; side++)
            for (int minute = 0; minute < 60; minute++) {
                double part = side == SIDE_NEW ? share : 1 - share;
                struct minute seen =
                    draw_minute(&draw, t->rate * part, side == SIDE_NEW ? t->new : t->legacy, &law[side], 0.95);
                if (seen.requests == 0)
                    continue; /* no value: left out */
                errors[side][count[side]] = seen.error_rate;
                latency[side][count[side]++] = seen.latency_us;
            }
        if (is_high(errors[SIDE_NEW], count[SIDE_NEW], errors[SIDE_LEGACY], count[SIDE_LEGACY]) ||
            is_high(latency[SIDE_NEW], count[SIDE_NEW], latency[SIDE_LEGACY], count[SIDE_LEGACY]))
            return true;
    }
    return false;
}

/* ---- the plan, beside them ---- */

/* A day: half of it at 10 %, half at 50 %. */
static const char *const day_plan =
    YAML_HEAD "  - name: orders\n"
              "    match: { path: /orders }\n"
              "    promotion: auto\n"
              "    stages: [ { name: tenth, percent: 10, hold: 12h }, { name: half, percent: 50, hold: 12h } ]\n"
              "    gates: { error_rate_increase: 2%, p95_increase: 20%, confidence: 99% }\n";

struct said { /* in so many rollouts */
    uint32_t count;
    uint32_t promoted; /* out of the first stage */
    uint32_t done, failed, by_gate, undecided;
    uint32_t flagger, flagger_day, kayenta, others; /* rolled back, of `others` rollouts */
};

static void run_plans(const struct traffic_of *t, bool latency, uint32_t count, double growth, struct said *said)
{
    static struct simulate_run run;
    struct config *config = config_from(day_plan);
    struct simulate_world world = simulate_usual(t->rate);
    world.errors[SIDE_LEGACY] = t->legacy;
    world.errors[SIDE_NEW] = t->new;
    world.median_us[SIDE_NEW] *= t->slower;
    if (!latency)
        world.median_us[SIDE_LEGACY] = world.median_us[SIDE_NEW] = 0;
    struct simulator *simulator = simulator_new(config, 0, &world);
    assert_non_null(simulator);
    simulator_step(simulator, growth);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(simulator_run(simulator, i + 1, 2 * (uint64_t)DAY_MS, &run));
        said->promoted += run.stages[0].left;
        said->done += run.end == SIMULATE_DONE;
        said->failed += run.end == SIMULATE_ROLLED_BACK;
        said->by_gate += run.end == SIMULATE_ROLLED_BACK && run.by == SIMULATE_BY_GATE;
        said->undecided += run.end == SIMULATE_UNDECIDED;
    }
    said->count = count;
    simulator_free(simulator);
    config_free(config);
}

static void run_others(const struct traffic_of *t, uint32_t count, struct said *said)
{
    static struct latency_law law[SIDES];
    latency_law_init(&law[SIDE_LEGACY], 20000, 0.5);
    latency_law_init(&law[SIDE_NEW], 20000 * t->slower, 0.5);
    for (uint32_t i = 0; i < count; i++) {
        said->flagger += flagger_rolls_back(t, &law[SIDE_NEW], false, 3 * i + 1);
        said->flagger_day += flagger_rolls_back(t, &law[SIDE_NEW], true, 3 * i + 2);
        said->kayenta += kayenta_fails(t, law, 3 * i + 3);
    }
    said->others = count;
}

static void print_said(const char *row, const struct traffic_of *t, bool latency, const struct said *said)
{
    if (is_long())
        (void)printf("{\"row\": \"%s\", \"rate\": %g, \"legacy\": %g, \"new\": %g, \"slower\": %g, \"latency\": %s, "
                     "\"rollouts\": %u, \"promoted\": %u, \"done\": %u, \"failed\": %u, \"by_gate\": %u, "
                     "\"undecided\": %u, \"others\": %u, \"flagger\": %u, \"flagger_day\": %u, \"kayenta\": %u}\n",
                     row, t->rate, t->legacy, t->new, t->slower, latency ? "true" : "false", said->count,
                     said->promoted, said->done, said->failed, said->by_gate, said->undecided, said->others,
                     said->flagger, said->flagger_day, said->kayenta);
}

static void plans_of_equal_backends_are_done(void **state)
{
    (void)state;
    static const double errors[] = {0, 0.001, 0.01, 0.1};
    static const double rates[] = {5, 150, 5000};
    for (size_t e = 0; e < 4; e++)
        for (size_t r = 0; r < 3; r++) {
            struct traffic_of t = {rates[r], errors[e], errors[e], 1};
            struct said said = {0};
            if (!is_wanted(e * 3 + r) || (!is_long() && (e % 2 == 0 || r == 1)))
                continue;
            run_plans(&t, false, rollouts(1, 1), is_long() ? 0.1 : 0.4, &said);
            run_others(&t, rollouts(1, 1), &said);
            print_said("plan_equal", &t, false, &said);
            assert_true(said.failed <= said.count / 100.0);
            assert_true(said.done >= said.count * 0.99);
        }
}

static void plans_of_equal_backends_are_done_with_latency(void **state)
{
    (void)state;
    static const double rates[] = {5, 5000};
    for (size_t r = 0; r < 2; r++) {
        struct traffic_of t = {rates[r], 0.01, 0.01, 1};
        struct said said = {0};
        if (!is_wanted(r))
            continue;
        run_plans(&t, true, rollouts(1, 1), is_long() ? 0.1 : 0.4, &said);
        print_said("plan_equal", &t, true, &said);
        assert_true(said.failed <= said.count / 100.0 && said.done >= said.count * 0.99);
    }
}

struct other_case {
    struct traffic_of traffic;
    bool holds; /* within the limits of the plan */
};

/* Errors or latencies truly worse, beyond the limits and within them. */
static void plans_of_worse_backends_are_not_promoted(void **state)
{
    (void)state;
    static const struct other_case cases[] = {
        {{20, 0.001, 0.006, 1}, true},    {{20, 0.001, 0.011, 1}, true},    {{20, 0.001, 0.001, 1.1}, true},
        {{20, 0.001, 0.026, 1}, false},   {{20, 0.001, 0.031, 1}, false},   {{20, 0.001, 0.041, 1}, false},
        {{20, 0.001, 0.071, 1}, false},   {{20, 0.001, 0.221, 1}, false},   {{20, 0.001, 0.001, 1.3}, false},
        {{20, 0.001, 0.001, 1.5}, false}, {{20, 0.001, 0.001, 2}, false},   {{5, 0.001, 0.041, 1}, false},
        {{500, 0.001, 0.041, 1}, false},  {{5, 0.001, 0.001, 1.5}, false},  {{500, 0.001, 0.001, 1.5}, false},
        {{500, 0.001, 0.006, 1}, true},   {{500, 0.001, 0.001, 1.1}, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct traffic_of *t = &cases[i].traffic;
        struct said said = {0};
        if (!is_wanted(i))
            continue;
        run_plans(t, true, rollouts(1, 1), is_long() ? 0.1 : 0.4, &said);
        run_others(t, rollouts(1, 5), &said);
        print_said(cases[i].holds ? "plan_within" : "plan_beyond", t, true, &said);
        if (cases[i].holds)
            assert_true(said.failed <= said.count / 100.0);
        else
            assert_true(said.promoted <= said.count / 100.0);
    }
}

static void the_others_are_restated_rightly(void **state)
{
    (void)state;
    static struct latency_law law[SIDES];
    const struct traffic_of quiet = {5000, 0, 0, 1};
    const struct traffic_of loud = {5000, 0, 0.05, 1};
    const struct traffic_of slow = {5000, 0, 0, 20};
    const struct traffic_of still = {0.001, 0, 0, 1};
    latency_law_init(&law[SIDE_LEGACY], 20000, 0.5);
    latency_law_init(&law[SIDE_NEW], 20000, 0.5);
    for (int all_day = 0; all_day < 2; all_day++) {
        assert_false(flagger_rolls_back(&quiet, &law[SIDE_NEW], all_day, 1));
        assert_true(flagger_rolls_back(&loud, &law[SIDE_NEW], all_day, 1));
        assert_true(flagger_rolls_back(&still, &law[SIDE_NEW], all_day, 1)); /* no values */
    }
    assert_true(kayenta_fails(&loud, law, 1));
    latency_law_init(&law[SIDE_NEW], 400000, 0.5);
    assert_true(flagger_rolls_back(&slow, &law[SIDE_NEW], true, 1));
    assert_true(kayenta_fails(&slow, law, 1));
    /* All of one are above all of the other. */
    double high[] = {11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
    double low[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    assert_true(is_high(high, 10, low, 10));
    assert_false(is_high(low, 10, high, 10));
    assert_false(is_high(low, 10, low, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_others_are_restated_rightly),
        cmocka_unit_test(equal_backends_pass_soon),
        cmocka_unit_test(worse_error_rates_fail_soon),
        cmocka_unit_test(worse_latencies_fail_soon),
        cmocka_unit_test(decisions_take_longest_at_the_limit),
        cmocka_unit_test(finer_steps_change_nothing),
        cmocka_unit_test(ordinary_intervals_fail_sooner_or_later),
        cmocka_unit_test(equal_backends_hardly_ever_fail),
        cmocka_unit_test(plans_of_equal_backends_are_done),
        cmocka_unit_test(plans_of_equal_backends_are_done_with_latency),
        cmocka_unit_test(plans_of_worse_backends_are_not_promoted),
    };
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    cmocka_set_test_filter(getenv("SHUNT_SIMULATION_OF")); /* NULL: all */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
