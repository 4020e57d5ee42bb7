/*
 * Verdict: see verdict.h. Pure; called by the report when it is told, which control and `shuntctl verdict` print.
 *
 * Both bounds are one-sided: a pass says "with this confidence below", a fail "with this confidence above", and nobody
 * asks for both at once. The gate of a plan (router/gate.c) asks a two-sided interval of the same kind, so it is never
 * quicker than this.
 */
#include "shadow/verdict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "router/interval.h"
#include "shadow/figures.h"
#include "shadow/redact.h"

enum {
    NAME_ROOM = 128
};

/* Two-sided at 2c - 1 leaves 1 - c beyond each end. */
static struct interval bounds_of(uint64_t compared, uint64_t differing, double confidence)
{
    double one_sided = fmin(fmax(confidence, 0.5), 1 - 1e-9);
    return interval_of_rate(differing, compared, 2 * one_sided - 1);
}

static enum verdict result_of(const struct rate_verdict *verdict, uint64_t compared, double limit)
{
    if (limit < 0 || compared == 0)
        return VERDICT_UNDECIDED;
    if (verdict->at_most <= limit)
        return VERDICT_PASS;
    return verdict->at_least > limit ? VERDICT_FAIL : VERDICT_UNDECIDED;
}

/* "12 differ (0.0010 %), at 99 % confidence below 0.0019 %" */
static void describe(char *to, size_t room, uint64_t compared, uint64_t differing, double confidence,
                     const struct rate_verdict *verdict)
{
    char number[FIGURE_ROOM], all[FIGURE_ROOM], rate[FIGURE_ROOM] = "", bound[FIGURE_ROOM], sure[FIGURE_ROOM];
    bool above = verdict->result == VERDICT_FAIL;
    if (compared == 0) {
        snprintf(to, room, "nothing compared yet");
        return;
    }
    figure_percent(rate, verdict->rate, ROUND_NEAREST);
    figure_percent(bound, above ? verdict->at_least : verdict->at_most, above ? ROUND_DOWN : ROUND_UP);
    snprintf(to, room, "%s compared, %s differ%s%s%s, at %s confidence %s %s", figure_count(all, compared),
             figure_count(number, differing), differing > 0 ? " (" : "", differing > 0 ? rate : "",
             differing > 0 ? ")" : "", figure_given(sure, confidence), above ? "above" : "below", bound);
}

void verdict_judge(const char *name, uint64_t compared, uint64_t differing, double limit, double confidence,
                   struct rate_verdict *verdict)
{
    char clean[NAME_ROOM], text[VERDICT_ROOM - NAME_ROOM - 64], given[FIGURE_ROOM];
    struct interval bounds = bounds_of(compared, differing, confidence);

    verdict->rate = compared > 0 ? (double)differing / (double)compared : 0;
    verdict->at_least = bounds.low;
    verdict->at_most = bounds.high;
    verdict->result = result_of(verdict, compared, limit);
    redact_clean(clean, sizeof(clean), name, strlen(name));
    describe(text, sizeof(text), compared, differing, confidence, verdict);
    snprintf(verdict->sentence, sizeof(verdict->sentence), "%s: %s; %s%s: %s", clean, text,
             limit < 0 ? "no limit" : "limit ", limit < 0 ? "" : figure_given(given, limit),
             verdict_name(verdict->result));
}
