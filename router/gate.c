/*
 * Judges the evidence of a stage. Pure arithmetic on what it is handed; the control thread asks about once a second.
 *
 * Each gate looks with its interval (interval.h) each time it is asked, which makes the confidence of many looks
 * together lower than that of one. The interval functions are the one place to change for intervals that hold at any
 * time.
 */
#include "router/gate.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "router/interval.h"

static const char *const verdict_names[] = {
    [VERDICT_UNDECIDED] = "undecided",
    [VERDICT_PASS] = "pass",
    [VERDICT_FAIL] = "fail",
};

const char *verdict_name(enum verdict verdict)
{
    return (unsigned)verdict < sizeof(verdict_names) / sizeof(verdict_names[0]) ? verdict_names[verdict] : "unknown";
}

__attribute__((format(printf, 2, 3))) static void say(struct gate_result *result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(result->sentence, sizeof(result->sentence), format, arguments);
    va_end(arguments);
}

static void not_applicable(struct gate_result *result, const char *why)
{
    result->applies = false;
    result->verdict = VERDICT_PASS;
    say(result, "%s", why);
}

static void undecided(struct gate_result *result, const char *why)
{
    result->verdict = VERDICT_UNDECIDED;
    say(result, "%s", why);
}

static void place(struct gate_result *result, double value, struct interval interval, double limit)
{
    result->measured = true;
    result->value = value;
    result->low = interval.low;
    result->high = interval.high;
    result->limit = limit;
    if (interval.high <= limit)
        result->verdict = VERDICT_PASS;
    else if (interval.low > limit)
        result->verdict = VERDICT_FAIL;
    else
        result->verdict = VERDICT_UNDECIDED;
}

/* ---- the gates ---- */

struct gate_question {
    const struct config_gates *gates;
    const struct gate_traffic *traffic;
    const struct evidence *evidence;
};

static uint64_t missing(uint64_t have, uint64_t want)
{
    return have < want ? want - have : 0;
}

static void judge_min_requests(const struct gate_question *q, struct gate_result *result)
{
    uint64_t want = q->gates->min_requests;
    const struct evidence *e = q->evidence;
    uint64_t lack_new = q->traffic->percent > 0 ? missing(e->side[SIDE_NEW].judged, want) : 0;
    uint64_t lack_legacy = q->traffic->percent < SHARE_ALL ? missing(e->side[SIDE_LEGACY].judged, want) : 0;
    uint64_t lack_pairs = q->traffic->percent == 0 && q->traffic->shadow > 0 ? missing(e->pairs.compared, want) : 0;
    if (want == 0) {
        not_applicable(result, "no minimum asked for");
        return;
    }
    result->verdict = lack_new + lack_legacy + lack_pairs == 0 ? VERDICT_PASS : VERDICT_UNDECIDED;
    if (result->verdict == VERDICT_PASS)
        say(result, "enough requests: %llu on new, %llu on legacy, %llu compared; %llu wanted of each the stage has",
            (unsigned long long)e->side[SIDE_NEW].judged, (unsigned long long)e->side[SIDE_LEGACY].judged,
            (unsigned long long)e->pairs.compared, (unsigned long long)want);
    else
        say(result, "not enough requests yet: %llu more on new, %llu more on legacy, %llu more compared",
            (unsigned long long)lack_new, (unsigned long long)lack_legacy, (unsigned long long)lack_pairs);
}

/* Both sides must have what a comparison of them needs; at 100 % legacy's record from the stage before serves. */
static bool can_compare_sides(const struct gate_question *q, struct gate_result *result)
{
    uint64_t want = q->gates->min_requests > 0 ? q->gates->min_requests : 1;
    if (q->traffic->percent == 0) {
        not_applicable(result, "new has no live traffic in this stage");
        return false;
    }
    if (q->evidence->side[SIDE_NEW].judged < want) {
        undecided(result, "not enough requests on new yet");
        return false;
    }
    if (q->evidence->side[SIDE_LEGACY].judged < want) {
        undecided(result, q->traffic->percent == SHARE_ALL
                              ? "legacy has no traffic at 100 % and too little was measured before: promote with force"
                              : "not enough requests on legacy yet");
        return false;
    }
    return true;
}

static double rate_of(const struct evidence_side *side)
{
    return side->judged > 0 ? (double)side->errors / (double)side->judged : 0;
}

static void judge_error_rate(const struct gate_question *q, struct gate_result *result)
{
    double limit = q->gates->error_rate_increase;
    if (limit < 0) {
        not_applicable(result, "not asked for");
        return;
    }
    if (!can_compare_sides(q, result))
        return;
    const struct evidence_side *new = &q->evidence->side[SIDE_NEW];
    const struct evidence_side *legacy = &q->evidence->side[SIDE_LEGACY];
    struct interval interval =
        interval_of_difference(new->errors, new->judged, legacy->errors, legacy->judged, q->gates->confidence);
    place(result, rate_of(new) - rate_of(legacy), interval, limit);
    say(result, "error rate of new %.3f %%, of legacy %.3f %%: increase between %+.3f %% and %+.3f %%, limit %+.3f %%",
        rate_of(new) * 100, rate_of(legacy) * 100, interval.low * 100, interval.high * 100, limit * 100);
}

/* Each side's interval takes half of the error, so that both hold together (Bonferroni). */
static struct interval p95_increase(const struct gate_question *q)
{
    double confidence = 1 - (1 - q->gates->confidence) / 2;
    struct interval new = interval_of_quantile(&q->evidence->side[SIDE_NEW].latency, 0.95, confidence);
    struct interval legacy = interval_of_quantile(&q->evidence->side[SIDE_LEGACY].latency, 0.95, confidence);
    return (struct interval){
        .low = isfinite(legacy.high) && legacy.high > 0 ? new.low / legacy.high - 1 : -1,
        .high = legacy.low > 0 ? new.high / legacy.low - 1 : INFINITY,
    };
}

static void judge_p95(const struct gate_question *q, struct gate_result *result)
{
    double limit = q->gates->p95_increase;
    if (limit < 0) {
        not_applicable(result, "not asked for");
        return;
    }
    if (!can_compare_sides(q, result))
        return;
    double new = histogram_quantile(&q->evidence->side[SIDE_NEW].latency, 0.95);
    double legacy = histogram_quantile(&q->evidence->side[SIDE_LEGACY].latency, 0.95);
    struct interval interval = p95_increase(q);
    place(result, legacy > 0 ? new / legacy - 1 : 0, interval, limit);
    if (isfinite(interval.high))
        say(result, "p95 of new %.2f ms, of legacy %.2f ms: increase between %+.1f %% and %+.1f %%, limit %+.1f %%",
            new / 1000, legacy / 1000, interval.low * 100, interval.high * 100, limit * 100);
    else
        say(result,
            "p95 of new %.2f ms, of legacy %.2f ms: increase at least %+.1f %%, too few requests for a bound above",
            new / 1000, legacy / 1000, interval.low * 100);
}

/* Pairs without a difference that would prove the limit: n with (1 - limit)^n = tail, the exact upper end at 0 events.
 */
static double pairs_needed(double limit, double confidence)
{
    return limit > 0 && limit < 1 ? log((1 - confidence) / 2) / log1p(-limit) : INFINITY;
}

static void judge_mismatch(const struct gate_question *q, struct gate_result *result)
{
    double limit = q->gates->mismatch_rate;
    const struct comparison_totals *pairs = &q->evidence->pairs;
    if (limit < 0) {
        not_applicable(result, "not asked for");
        return;
    }
    if (q->traffic->shadow == 0) {
        not_applicable(result, "nothing is mirrored in this stage");
        return;
    }
    if (pairs->compared < q->gates->min_requests || pairs->compared == 0) {
        undecided(result, "not enough compared pairs yet");
        return;
    }
    struct interval interval = interval_of_rate(pairs->mismatched, pairs->compared, q->gates->confidence);
    place(result, (double)pairs->mismatched / (double)pairs->compared, interval, limit);
    int used = snprintf(result->sentence, sizeof(result->sentence),
                        "%llu of %llu compared pairs differ: between %.4f %% and %.4f %%, limit %.4f %%",
                        (unsigned long long)pairs->mismatched, (unsigned long long)pairs->compared, interval.low * 100,
                        interval.high * 100, limit * 100);
    double needed = pairs_needed(limit, q->gates->confidence);
    if (result->verdict == VERDICT_UNDECIDED && pairs->mismatched == 0 && isfinite(needed) && used > 0)
        (void)snprintf(result->sentence + used, sizeof(result->sentence) - (size_t)used,
                       "; about %.0f pairs without a difference would prove it", ceil(needed));
}

static const struct {
    const char *name;
    void (*judge)(const struct gate_question *question, struct gate_result *result);
} gate_kinds[GATES] = {
    [GATE_MIN_REQUESTS] = {"min_requests", judge_min_requests},
    [GATE_ERROR_RATE_INCREASE] = {"error_rate_increase", judge_error_rate},
    [GATE_P95_INCREASE] = {"p95_increase", judge_p95},
    [GATE_MISMATCH_RATE] = {"mismatch_rate", judge_mismatch},
    [GATE_MIN_DISTINCT_KEYS] = {"min_distinct_keys", NULL},
    [GATE_ERROR_RATE] = {"error_rate", NULL},
    [GATE_AVAILABILITY] = {"availability", NULL},
    [GATE_P50_INCREASE] = {"p50_increase", NULL},
    [GATE_P99_INCREASE] = {"p99_increase", NULL},
    [GATE_P95_RATIO] = {"p95_ratio", NULL},
    [GATE_WEBHOOK] = {"webhook", NULL},
    [GATE_WINDOW] = {"window", NULL},
    [GATE_DEPENDENCY] = {"dependency", NULL},
};

const char *gate_name(enum gate_kind kind)
{
    return (unsigned)kind < GATES ? gate_kinds[kind].name : "unknown";
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
    (void)world;
    struct gate_question question = {gates, traffic, evidence};
    memset(report, 0, sizeof(*report));
    report->verdict = VERDICT_PASS;
    for (int kind = 0; kind < GATES; kind++) {
        report->gate[kind].applies = true;
        if (gate_kinds[kind].judge == NULL)
            not_applicable(&report->gate[kind], "not asked for");
        else
            gate_kinds[kind].judge(&question, &report->gate[kind]);
        add_to_verdict(report, (enum gate_kind)kind);
    }
}
