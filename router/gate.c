/*
 * Judges the evidence of a stage. Pure arithmetic on what it is handed; the control thread asks about once a second.
 *
 * Rates and latencies are judged by confidence sequences (confseq.h), which hold however often one looks: there is no
 * schedule of looks to keep, and a verdict may be acted on at once. Each gate is a row of the table below. A gate that
 * is still undecided is asked again with its evidence multiplied, to tell how much more it will take: the same
 * function judges, so the answer is right when things go on as they are.
 */
#include "router/gate.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "config/schedule.h"
#include "router/confseq.h"
#include "router/few.h"

static const char *const verdict_names[] = {
    [VERDICT_UNDECIDED] = "undecided",
    [VERDICT_PASS] = "pass",
    [VERDICT_FAIL] = "fail",
};

const char *verdict_name(enum verdict verdict)
{
    return (unsigned)verdict < sizeof(verdict_names) / sizeof(verdict_names[0]) ? verdict_names[verdict] : "unknown";
}

/* ---- what a gate is asked ---- */

struct gate_question {
    const struct config_gates *gates;
    const struct gate_traffic *traffic;
    const struct evidence *evidence;
    const struct gate_world *world;
    bool anybody; /* all count as if they came from enough clients */
};

enum {
    FEW_LEAST = 2 /* of min_distinct_keys: one alone is nobody's few */
};

/* What the evidence of a gate grows with. */
enum growing {
    GROWS_NOT,      /* nobody can tell */
    GROWS_ANYWAY,   /* the gate's own sentence says what is missing */
    GROWS_REQUESTS, /* of both sides, as far as they have traffic */
    GROWS_NEW,      /* requests of new alone */
    GROWS_PAIRS,
};

struct gate_row {
    const char *name;
    void (*judge)(const struct gate_question *question, const struct gate_row *row, struct gate_result *result);
    enum growing growing;
    size_t limit;      /* where in struct config_gates */
    size_t confidence; /* where in struct config_confidence */
    double quantile;   /* of a latency */
    bool ratio;        /* the limit is new / legacy, not the increase */
};

static double limit_of(const struct gate_question *q, const struct gate_row *row)
{
    return *(const double *)(const void *)((const char *)q->gates + row->limit);
}

static double confidence_of(const struct gate_question *q, const struct gate_row *row)
{
    double own = *(const double *)(const void *)((const char *)&q->gates->confidence_of + row->confidence);
    return own > 0 ? own : q->gates->confidence;
}

/* ---- what it answers ---- */

__attribute__((format(printf, 2, 3))) static void say(struct gate_result *result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(result->sentence, sizeof(result->sentence), format, arguments);
    va_end(arguments);
}

__attribute__((format(printf, 2, 3))) static void add(struct gate_result *result, const char *format, ...)
{
    size_t used = strlen(result->sentence);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(result->sentence + used, sizeof(result->sentence) - used, format, arguments);
    va_end(arguments);
}

static void not_applicable(struct gate_result *result, const char *why)
{
    result->applies = false;
    result->verdict = VERDICT_PASS;
    say(result, "%s", why);
}

struct measure {
    double value;
    struct interval interval;
    double limit;
    double confidence;
};

static void place(struct gate_result *result, const struct measure *m)
{
    result->measured = true;
    result->value = m->value;
    result->low = m->interval.low;
    result->high = m->interval.high;
    result->limit = m->limit;
    result->confidence = m->confidence;
}

/* The measure must not be above the limit. */
static void place_below(struct gate_result *result, const struct measure *m)
{
    place(result, m);
    result->verdict = m->interval.high <= m->limit ? VERDICT_PASS
                      : m->interval.low > m->limit ? VERDICT_FAIL
                                                   : VERDICT_UNDECIDED;
}

/* The measure must not be below the limit. */
static void place_above(struct gate_result *result, const struct measure *m)
{
    place(result, m);
    result->verdict = m->interval.low >= m->limit   ? VERDICT_PASS
                      : m->interval.high < m->limit ? VERDICT_FAIL
                                                    : VERDICT_UNDECIDED;
}

/* ---- numbers for people ---- */

struct number {
    char text[64];
};

/* 1234567 is 1,234,567. */
static struct number grouped(uint64_t value)
{
    char plain[24];
    struct number number;
    int digits = snprintf(plain, sizeof(plain), "%llu", (unsigned long long)value);
    int used = 0;
    for (int i = 0; i < digits; i++) {
        if (i > 0 && (digits - i) % 3 == 0)
            number.text[used++] = ',';
        number.text[used++] = plain[i];
    }
    number.text[used] = '\0';
    return number;
}

/* "1 client", "3 clients": of what a sketch can count */
static struct number counted(uint32_t value, const char *noun)
{
    struct number number;
    (void)snprintf(number.text, sizeof(number.text), "%u %.20s%s", (unsigned)value, noun, value == 1 ? "" : "s");
    return number;
}

/* Two digits are enough of what is a guess. */
static struct number about(double value)
{
    double unit = 1;
    while (value / unit >= 100)
        unit *= 10;
    double rounded = ceil(value / unit) * unit;
    return grouped(rounded < 1e18 ? (uint64_t)rounded : UINT64_C(1000000000000000000));
}

static struct number time_text(uint64_t wall_ms)
{
    struct number number;
    struct tm parts;
    time_t seconds = (time_t)(wall_ms / 1000);
    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(number.text, sizeof(number.text), "%Y-%m-%d %H:%M UTC", &parts) == 0)
        (void)snprintf(number.text, sizeof(number.text), "a time far away");
    return number;
}

/* ---- volume ---- */

static bool has_new(const struct gate_question *q)
{
    return q->traffic->percent > 0;
}

static bool has_legacy(const struct gate_question *q)
{
    return q->traffic->percent < SHARE_ALL;
}

static uint64_t missing(uint64_t have, uint64_t want)
{
    return have < want ? want - have : 0;
}

static uint64_t fewer(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Only what is missing: "not enough requests yet: 20 more on legacy, 20 more compared". */
static void say_missing(struct gate_result *result, uint64_t on_new, uint64_t on_legacy, uint64_t compared)
{
    const struct {
        uint64_t count;
        const char *where;
    } parts[] = {{on_new, "on new"}, {on_legacy, "on legacy"}, {compared, "compared"}};
    const char *before = ": ";
    say(result, "not enough requests yet");
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i].count == 0)
            continue;
        add(result, "%s%s more %s", before, grouped(parts[i].count).text, parts[i].where);
        before = ", ";
    }
}

static void judge_min_requests(const struct gate_question *q, const struct gate_row *row, struct gate_result *result)
{
    (void)row;
    uint64_t want = q->gates->min_requests;
    uint64_t of_new = q->evidence->side[SIDE_NEW].judged;
    uint64_t of_legacy = q->evidence->side[SIDE_LEGACY].judged;
    uint64_t pairs = q->evidence->pairs.compared;
    bool wants_pairs = !has_new(q) && q->traffic->shadow > 0;
    if (want == 0) {
        not_applicable(result, "no minimum asked for");
        return;
    }
    result->evidence = UINT64_MAX;
    if (has_new(q))
        result->evidence = fewer(result->evidence, of_new);
    if (has_legacy(q))
        result->evidence = fewer(result->evidence, of_legacy);
    if (wants_pairs)
        result->evidence = fewer(result->evidence, pairs);
    result->verdict = result->evidence >= want ? VERDICT_PASS : VERDICT_UNDECIDED;
    if (result->verdict == VERDICT_PASS)
        say(result, "enough requests: %s on new, %s on legacy, %s compared; %s wanted of each the stage has",
            grouped(of_new).text, grouped(of_legacy).text, grouped(pairs).text, grouped(want).text);
    else
        say_missing(result, has_new(q) ? missing(of_new, want) : 0, has_legacy(q) ? missing(of_legacy, want) : 0,
                    wants_pairs ? missing(pairs, want) : 0);
}

static void judge_min_distinct_keys(const struct gate_question *q, const struct gate_row *row,
                                    struct gate_result *result)
{
    (void)row;
    uint64_t want = q->gates->min_distinct_keys;
    uint64_t have = sketch_count(&q->evidence->side[SIDE_NEW].marks.keys);
    if (want == 0 || !has_new(q)) {
        not_applicable(result, want == 0 ? "not asked for" : "new has no live traffic in this stage");
        return;
    }
    result->evidence = q->evidence->side[SIDE_NEW].judged;
    result->verdict = have >= want ? VERDICT_PASS : VERDICT_UNDECIDED;
    say(result, "%s: about %s asked new, %s wanted",
        have >= want ? "enough different clients" : "not enough different clients yet", grouped(have).text,
        grouped(want).text);
}

static uint64_t least_requests(const struct gate_question *q)
{
    return q->gates->min_requests > 0 ? q->gates->min_requests : 1;
}

static bool is_asked_of_new(const struct gate_question *q, const struct gate_row *row, struct gate_result *result)
{
    if (limit_of(q, row) < 0) {
        not_applicable(result, "not asked for");
        return false;
    }
    if (!has_new(q)) {
        not_applicable(result, "new has no live traffic in this stage");
        return false;
    }
    return true;
}

static bool has_enough(const struct gate_question *q, enum side side, struct gate_result *result)
{
    uint64_t have = q->evidence->side[side].judged;
    if (have >= least_requests(q))
        return true;
    result->verdict = VERDICT_UNDECIDED;
    if (side == SIDE_LEGACY && !has_legacy(q))
        say(result, "legacy has no traffic at 100 %% and too little was measured before: promote with force");
    else
        say(result, "not enough requests on %s yet: %s of %s", side_name(side), grouped(have).text,
            grouped(least_requests(q)).text);
    return false;
}

/* Both sides must have what a comparison of them needs; at 100 % legacy's record from the stage before serves. */
static bool can_compare_sides(const struct gate_question *q, const struct gate_row *row, struct gate_result *result)
{
    if (!is_asked_of_new(q, row, result))
        return false;
    uint64_t of_new = q->evidence->side[SIDE_NEW].judged;
    result->evidence = has_legacy(q) ? fewer(of_new, q->evidence->side[SIDE_LEGACY].judged) : of_new;
    return has_enough(q, SIDE_NEW, result) && has_enough(q, SIDE_LEGACY, result);
}

/* ---- rates ---- */

static double share(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

/* ---- nobody moves a plan alone: see gate.h ---- */

static uint32_t least_clients(const struct gate_question *q)
{
    return (uint32_t)fewer(q->gates->min_distinct_keys, UINT32_MAX);
}

static void say_few(struct gate_result *result, const char *what, const struct sketch *keys, const struct sketch *paths,
                    const char *why)
{
    result->verdict = VERDICT_UNDECIDED;
    add(result, "; but all %s come from %s and %s: %s", what, counted(sketch_count(keys), "client").text,
        counted(sketch_count(paths), "path").text, why);
}

static void fail_only_if_errors_are_spread(const struct gate_question *q, struct gate_result *result)
{
    const struct marks *marks = &q->evidence->side[SIDE_NEW].marks;
    if (result->verdict == VERDICT_FAIL && !q->anybody && !marks_are_spread(marks, least_clients(q)))
        say_few(result, "errors", &marks->error_keys, &marks->error_paths, "too few to say that it is new's fault");
}

/* What got no answer speaks against new's availability also where `errors` does not name its kind. */
static void fail_only_if_lost_are_spread(const struct gate_question *q, struct gate_result *result)
{
    const struct marks *marks = &q->evidence->side[SIDE_NEW].marks;
    if (result->verdict == VERDICT_FAIL && !q->anybody && !marks_lost_are_spread(marks, least_clients(q)))
        say_few(result, "errors", &marks->lost_keys, &marks->lost_paths, "too few to say that it is new's fault");
}

static void fail_only_if_mismatches_are_spread(const struct gate_question *q, struct gate_result *result)
{
    const struct marks *marks = &q->evidence->pair_marks;
    if (result->verdict == VERDICT_FAIL && !q->anybody && !marks_are_spread(marks, least_clients(q)))
        say_few(result, "of these", &marks->error_keys, &marks->error_paths, "too few to say that it is new's fault");
}

/* A few clients that fail on legacy do not make new's errors look small. */
static void pass_only_without_few_errors_of_legacy(const struct gate_question *q, struct gate_result *result)
{
    const struct evidence_side *new = &q->evidence->side[SIDE_NEW];
    const struct evidence_side *legacy = &q->evidence->side[SIDE_LEGACY];
    const struct marks *marks = &legacy->marks;
    if (result->verdict != VERDICT_PASS || q->anybody || legacy->errors == 0 ||
        marks_are_spread(marks, least_clients(q)))
        return;
    struct interval without = confseq_of_difference(new->errors, new->judged, 0, legacy->judged, result->confidence);
    if (without.high > result->limit)
        say_few(result, "errors of legacy", &marks->error_keys, &marks->error_paths, "without them it does not pass");
}

/* Nor does it fail or pass by those who are slow on one side only. `ratio` is the limit of new / legacy. */
static void decide_only_without_few(const struct gate_question *q, double quantile, double ratio,
                                    struct gate_result *result)
{
    static const char *const names[] = {[FEW_CLIENTS] = "clients", [FEW_PATHS] = "paths"};
    const struct few_question question = {q->evidence, quantile, ratio, result->confidence, least_requests(q)};
    bool fails = result->verdict == VERDICT_FAIL;
    if (result->verdict == VERDICT_UNDECIDED || q->anybody || least_clients(q) < FEW_LEAST)
        return;
    enum few few = fails ? few_make_new_fail(&question) : few_make_new_pass(&question);
    if (few == FEW_NOT)
        return;
    result->verdict = VERDICT_UNDECIDED;
    if (fails)
        add(result, "; but only by a few %s that are slow on new: without them it does not fail", names[few]);
    else
        add(result, "; but only by a few %s that are slow on legacy: without them it does not pass", names[few]);
}

static void judge_error_rate_increase(const struct gate_question *q, const struct gate_row *row,
                                      struct gate_result *result)
{
    if (!can_compare_sides(q, row, result))
        return;
    const struct evidence_side *new = &q->evidence->side[SIDE_NEW];
    const struct evidence_side *legacy = &q->evidence->side[SIDE_LEGACY];
    double of_new = share(new->errors, new->judged);
    double of_legacy = share(legacy->errors, legacy->judged);
    struct measure m = {of_new - of_legacy, .limit = limit_of(q, row), .confidence = confidence_of(q, row)};
    m.interval = confseq_of_difference(new->errors, new->judged, legacy->errors, legacy->judged, m.confidence);
    place_below(result, &m);
    say(result, "error rate of new %.3f %%, of legacy %.3f %%: increase between %+.3f %% and %+.3f %%, limit %+.3f %%",
        of_new * 100, of_legacy * 100, m.interval.low * 100, m.interval.high * 100, m.limit * 100);
    fail_only_if_errors_are_spread(q, result);
    pass_only_without_few_errors_of_legacy(q, result);
}

static void judge_error_rate(const struct gate_question *q, const struct gate_row *row, struct gate_result *result)
{
    const struct evidence_side *new = &q->evidence->side[SIDE_NEW];
    if (!is_asked_of_new(q, row, result))
        return;
    result->evidence = new->judged;
    if (!has_enough(q, SIDE_NEW, result))
        return;
    struct measure m = {share(new->errors, new->judged), .limit = limit_of(q, row),
                        .confidence = confidence_of(q, row)};
    m.interval = confseq_of_rate(new->errors, new->judged, m.confidence);
    place_below(result, &m);
    say(result, "error rate of new %.3f %%: between %.3f %% and %.3f %%, limit %.3f %%", m.value * 100,
        m.interval.low * 100, m.interval.high * 100, m.limit * 100);
    fail_only_if_errors_are_spread(q, result);
}

static void judge_availability(const struct gate_question *q, const struct gate_row *row, struct gate_result *result)
{
    const struct evidence_side *new = &q->evidence->side[SIDE_NEW];
    if (!is_asked_of_new(q, row, result))
        return;
    result->evidence = new->judged;
    if (!has_enough(q, SIDE_NEW, result))
        return;
    struct measure m = {1 - share(new->unanswered, new->judged), .limit = limit_of(q, row),
                        .confidence = confidence_of(q, row)};
    struct interval unanswered = confseq_of_rate(new->unanswered, new->judged, m.confidence);
    m.interval = (struct interval){1 - unanswered.high, 1 - unanswered.low};
    place_above(result, &m);
    say(result, "new answered %.4f %% of what it was asked: between %.4f %% and %.4f %%, at least %.4f %% wanted",
        m.value * 100, m.interval.low * 100, m.interval.high * 100, m.limit * 100);
    fail_only_if_lost_are_spread(q, result);
}

static void judge_mismatch(const struct gate_question *q, const struct gate_row *row, struct gate_result *result)
{
    const struct comparison_totals *pairs = &q->evidence->pairs;
    if (limit_of(q, row) < 0 || q->traffic->shadow == 0) {
        not_applicable(result, limit_of(q, row) < 0 ? "not asked for" : "nothing is mirrored in this stage");
        return;
    }
    result->evidence = pairs->compared;
    if (pairs->compared < least_requests(q)) {
        result->verdict = VERDICT_UNDECIDED;
        say(result, "not enough compared pairs yet: %s of %s", grouped(pairs->compared).text,
            grouped(least_requests(q)).text);
        return;
    }
    struct measure m = {share(pairs->mismatched, pairs->compared), .limit = limit_of(q, row),
                        .confidence = confidence_of(q, row)};
    m.interval = confseq_of_rate(pairs->mismatched, pairs->compared, m.confidence);
    place_below(result, &m);
    say(result, "%s of %s compared pairs differ: between %.4f %% and %.4f %%, limit %.4f %%",
        grouped(pairs->mismatched).text, grouped(pairs->compared).text, m.interval.low * 100, m.interval.high * 100,
        m.limit * 100);
    fail_only_if_mismatches_are_spread(q, result);
}

/* ---- latency ---- */

static void say_latency(struct gate_result *result, const struct gate_row *row, double of_new, double of_legacy)
{
    say(result, "p%.0f of new %.2f ms, of legacy %.2f ms: ", row->quantile * 100, of_new / 1000, of_legacy / 1000);
    if (row->ratio)
        add(result, "%.2f times to %.2f times, limit %.2f times", result->low, result->high, result->limit);
    else
        add(result, "increase between %+.1f %% and %+.1f %%, limit %+.1f %%", result->low * 100, result->high * 100,
            result->limit * 100);
    if (isinf(result->high))
        add(result, " (too few requests for a bound above)");
}

static void judge_latency(const struct gate_question *q, const struct gate_row *row, struct gate_result *result)
{
    if (!can_compare_sides(q, row, result))
        return;
    const struct histogram *new = &q->evidence->side[SIDE_NEW].latency;
    const struct histogram *legacy = &q->evidence->side[SIDE_LEGACY].latency;
    double of_new = histogram_quantile(new, row->quantile);
    double of_legacy = histogram_quantile(legacy, row->quantile);
    double from = row->ratio ? 0 : 1;
    struct measure m = {of_legacy > 0 ? of_new / of_legacy - from : 1 - from, .limit = limit_of(q, row),
                        .confidence = confidence_of(q, row)};
    struct interval increase = confseq_of_increase(new, legacy, row->quantile, m.confidence);
    m.interval = (struct interval){increase.low + 1 - from, increase.high + 1 - from};
    place_below(result, &m);
    say_latency(result, row, of_new, of_legacy);
    decide_only_without_few(q, row->quantile, m.limit + from, result);
}

/* ---- others' word ---- */

static void judge_webhook(const struct gate_question *q, const struct gate_row *row, struct gate_result *result)
{
    (void)row;
    static const char *const words[] = {
        [APPROVAL_WAITING] = "the webhook has not answered yet",
        [APPROVAL_GO] = "the webhook says go",
        [APPROVAL_HOLD] = "the webhook says not yet",
    };
    const struct approval_answer *answer = &q->world->approval;
    if (q->gates->webhook.url == NULL) {
        not_applicable(result, "not asked for");
        return;
    }
    result->verdict = answer->what == APPROVAL_GO ? VERDICT_PASS : VERDICT_UNDECIDED;
    say(result, "%s%s%s", words[answer->what], answer->sentence[0] != '\0' ? ": " : "", answer->sentence);
}

static void judge_window(const struct gate_question *q, const struct gate_row *row, struct gate_result *result)
{
    (void)row;
    uint64_t at_ms;
    const struct schedule *only = q->gates->only;
    if (only == NULL && q->world->freeze == NULL) {
        not_applicable(result, "no times asked for");
        return;
    }
    bool opens = schedule_next_opening(only, q->world->freeze, q->world->wall_ms, &at_ms);
    result->verdict = opens && at_ms == q->world->wall_ms ? VERDICT_PASS : VERDICT_UNDECIDED;
    if (result->verdict == VERDICT_PASS) {
        say(result, "changes are allowed now");
        return;
    }
    if (schedule_is_on(q->world->freeze, q->world->wall_ms))
        say(result, "changes are frozen");
    else if (schedule_count(only) == 1)
        say(result, "not now, only %s", schedule_line(only, 0));
    else
        say(result, "not now, only at the times the stage names");
    if (opens)
        add(result, "; opens %s", time_text(at_ms).text);
    else
        add(result, "; does not open within a year");
}

static void judge_dependency(const struct gate_question *q, const struct gate_row *row, struct gate_result *result)
{
    (void)row;
    if (q->world->waits_for == NULL) {
        not_applicable(result, "waits for no other plan");
        return;
    }
    result->verdict = VERDICT_UNDECIDED;
    say(result, "%s", q->world->waits_for);
}

/* ---- the table ---- */

#define RATE(gate, function, member)                                                                                   \
    .name = gate, .judge = function, .limit = offsetof(struct config_gates, member),                                   \
    .confidence = offsetof(struct config_confidence, member)
#define LATENCY(gate, member, q) RATE(gate, judge_latency, member), .growing = GROWS_REQUESTS, .quantile = (q)

static const struct gate_row rows[GATES] = {
    [GATE_MIN_REQUESTS] = {.name = "min_requests", .judge = judge_min_requests, .growing = GROWS_ANYWAY},
    [GATE_MIN_DISTINCT_KEYS] = {.name = "min_distinct_keys", .judge = judge_min_distinct_keys},
    [GATE_ERROR_RATE_INCREASE] = {RATE("error_rate_increase", judge_error_rate_increase, error_rate_increase),
                                  .growing = GROWS_REQUESTS},
    [GATE_ERROR_RATE] = {RATE("error_rate", judge_error_rate, error_rate), .growing = GROWS_NEW},
    [GATE_AVAILABILITY] = {RATE("availability", judge_availability, availability), .growing = GROWS_NEW},
    [GATE_P50_INCREASE] = {LATENCY("p50_increase", p50_increase, 0.50)},
    [GATE_P95_INCREASE] = {LATENCY("p95_increase", p95_increase, 0.95)},
    [GATE_P99_INCREASE] = {LATENCY("p99_increase", p99_increase, 0.99)},
    [GATE_P95_RATIO] = {LATENCY("p95_ratio", p95_ratio, 0.95), .ratio = true},
    [GATE_MISMATCH_RATE] = {RATE("mismatch_rate", judge_mismatch, mismatch_rate), .growing = GROWS_PAIRS},
    [GATE_WEBHOOK] = {.name = "webhook", .judge = judge_webhook},
    [GATE_WINDOW] = {.name = "window", .judge = judge_window},
    [GATE_DEPENDENCY] = {.name = "dependency", .judge = judge_dependency},
};

const char *gate_name(enum gate_kind kind)
{
    return (unsigned)kind < GATES ? rows[kind].name : "unknown";
}

/* ---- how much more it takes ---- */

#define GROWTH_DOUBLINGS 20.0
#define GROWTH_STEPS     9 /* then within 3 % */

/* No more than anybody will ever count. */
static uint64_t times(uint64_t count, double factor)
{
    return (uint64_t)fmin((double)count * factor + 0.5, 1e18);
}

/* Rounded so that the sum is right, and each bucket nearly. */
static void multiply_latency(struct histogram *to, const struct histogram *from, double factor)
{
    uint64_t before = 0;
    uint64_t told = 0;
    for (uint32_t b = 0; b < HISTOGRAM_BUCKETS; b++) {
        before += from->count[b];
        uint64_t now = from->count[b] > 0 ? times(before, factor) : told;
        to->count[b] = now - told;
        told = now;
    }
}

static void multiply_side(struct evidence_side *to, const struct evidence_side *from, double factor, bool latency)
{
    to->judged = times(from->judged, factor);
    to->errors = times(from->errors, factor);
    to->unanswered = times(from->unanswered, factor);
    if (latency)
        multiply_latency(&to->latency, &from->latency, factor);
}

/* Is the gate decided with so many times the evidence? Sides without traffic stay as they are. */
static bool is_decided(const struct gate_question *question, const struct gate_row *row, double factor,
                       struct evidence *scratch)
{
    struct gate_question asked = *question;
    struct gate_result result = {.applies = true};
    bool latency = row->judge == judge_latency;
    asked.evidence = scratch;
    asked.anybody = true;
    if (has_new(question))
        multiply_side(&scratch->side[SIDE_NEW], &question->evidence->side[SIDE_NEW], factor, latency);
    if (has_legacy(question))
        multiply_side(&scratch->side[SIDE_LEGACY], &question->evidence->side[SIDE_LEGACY], factor, latency);
    scratch->pairs.compared = times(question->evidence->pairs.compared, factor);
    scratch->pairs.mismatched = times(question->evidence->pairs.mismatched, factor);
    row->judge(&asked, row, &result);
    return result.verdict != VERDICT_UNDECIDED;
}

static double growth_of(const struct gate_question *question, const struct gate_row *row,
                        const struct gate_result *result)
{
    if (result->verdict != VERDICT_UNDECIDED)
        return 1;
    if (row->growing == GROWS_NOT || result->evidence == 0 || question->world->verdicts_only)
        return 0;
    struct evidence scratch = *question->evidence;
    if (is_decided(question, row, 1, &scratch)) /* but for the clients and paths it comes from */
        return 0;
    double below = 0;
    double above = GROWTH_DOUBLINGS;
    if (!is_decided(question, row, exp2(above), &scratch))
        return INFINITY;
    for (int i = 0; i < GROWTH_STEPS; i++) {
        double middle = (below + above) / 2;
        if (is_decided(question, row, exp2(middle), &scratch))
            above = middle;
        else
            below = middle;
    }
    return exp2(above);
}

static void say_growth(const struct gate_question *q, const struct gate_row *row, struct gate_result *result)
{
    double more = result->growth - 1;
    double on_new = more * (double)q->evidence->side[SIDE_NEW].judged;
    double on_legacy = more * (double)q->evidence->side[SIDE_LEGACY].judged;
    if (row->growing == GROWS_ANYWAY || more <= 0)
        return;
    if (isinf(more))
        add(result, "; more like these will not decide it");
    else if (row->growing == GROWS_PAIRS)
        add(result, "; about %s pairs more if it goes on like this",
            about(more * (double)q->evidence->pairs.compared).text);
    else if (row->growing == GROWS_NEW || !has_legacy(q))
        add(result, "; about %s requests more on new if it goes on like this", about(on_new).text);
    else if (fabs(on_new - on_legacy) < 0.1 * on_new)
        add(result, "; about %s requests more on each side if it goes on like this", about(on_new).text);
    else
        add(result, "; about %s requests more on new and %s on legacy if it goes on like this", about(on_new).text,
            about(on_legacy).text);
}

/* ---- all together ---- */

static void add_to_verdict(struct gate_report *report, enum gate_kind kind)
{
    enum verdict verdict = report->gate[kind].verdict;
    if (verdict == VERDICT_PASS || report->verdict == VERDICT_FAIL)
        return;
    if (verdict == VERDICT_FAIL || report->verdict == VERDICT_PASS) {
        report->verdict = verdict;
        report->decisive = kind;
    }
}

void gates_judge(const struct config_gates *gates, const struct gate_traffic *traffic, const struct evidence *evidence,
                 const struct gate_world *world, struct gate_report *report)
{
    struct gate_question question = {gates, traffic, evidence, world, false};
    memset(report, 0, sizeof(*report));
    report->verdict = VERDICT_PASS;
    for (int kind = 0; kind < GATES; kind++) {
        struct gate_result *result = &report->gate[kind];
        result->applies = true;
        rows[kind].judge(&question, &rows[kind], result);
        result->growth = growth_of(&question, &rows[kind], result);
        say_growth(&question, &rows[kind], result);
        add_to_verdict(report, (enum gate_kind)kind);
    }
}

void gates_leave_open(struct gate_report *report, const char *why)
{
    bool any = false;
    for (int kind = GATE_MIN_REQUESTS; kind < GATE_WEBHOOK; kind++) {
        struct gate_result *gate = &report->gate[kind];
        if (!gate->applies)
            continue;
        *gate = (struct gate_result){.applies = true, .verdict = VERDICT_UNDECIDED};
        say(gate, "%s", why);
        if (!any)
            report->decisive = (enum gate_kind)kind;
        any = true;
    }
    if (any)
        report->verdict = VERDICT_UNDECIDED;
}
