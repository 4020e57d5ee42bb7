/*
 * Gates: what must be true to leave a stage, and the verdict on each.
 *
 * A gate passes only when the interval of what it measures, at its confidence, lies wholly on the safe side of its
 * limit, fails when it lies wholly on the other, and is undecided in between: it never guesses. The intervals hold at
 * all times at once (confseq.h), so that a verdict may be looked for, and acted on, as often as one likes. A gate that
 * the file does not ask for, or that the stage gives no traffic to measure with, does not apply.
 *
 * No single client and no single path moves a plan, where min_distinct_keys is asked for:
 *   errors      A gate fails only when they come from so many clients and as many paths, or from as many as new has.
 *               Those of legacy help new to pass only when they come from as many of legacy's; else it must pass as if
 *               there were none of them.
 *   mismatches  The gate fails only when they come from so many clients and as many paths, or from as many as pairs
 *               were compared of.
 *   latency     From 2 on. A quantile is everybody's, so that counting who is slow says nothing: the slowest twentieth
 *               is soon of all clients, and where one path is slow on both sides for ever of that one. So it is asked
 *               whether the verdict rests on few: it must be the same without any one part of the clients, or of the
 *               paths (crowd.h), on both sides, if that part makes new (to fail) or legacy (to pass) slower and by that
 *               leads to the verdict.
 * The verdict is undecided otherwise, and its sentence says why.
 */
#ifndef SHUNT_ROUTER_GATE_H
#define SHUNT_ROUTER_GATE_H

#include "config/config.h"
#include "router/evidence.h"

enum verdict {
    VERDICT_UNDECIDED = 0,
    VERDICT_PASS,
    VERDICT_FAIL
};

/* "undecided", "pass", "fail". */
const char *verdict_name(enum verdict verdict);

enum gate_kind {
    GATE_MIN_REQUESTS,
    GATE_MIN_DISTINCT_KEYS,
    GATE_ERROR_RATE_INCREASE,
    GATE_ERROR_RATE,
    GATE_AVAILABILITY,
    GATE_P50_INCREASE,
    GATE_P95_INCREASE,
    GATE_P99_INCREASE,
    GATE_P95_RATIO,
    GATE_MISMATCH_RATE,
    GATE_WEBHOOK,    /* never fails: go, or not yet */
    GATE_WINDOW,     /* times and freezes; never fails */
    GATE_DEPENDENCY, /* other plans; never fails: a fallen one is the plan's matter */
    GATES
};

const char *gate_name(enum gate_kind kind);

struct gate_result {
    bool applies;
    enum verdict verdict;
    bool measured; /* the figures below mean something */
    double value;  /* best estimate: a fraction */
    double low;    /* its interval */
    double high;   /* may be INFINITY */
    double limit;
    double confidence;
    uint64_t evidence; /* exchanges or pairs of the side that has fewer */
    double growth;     /* by what factor the evidence must grow for a decision if it goes on as it is: 1 when decided,
                          INFINITY when it never will be, 0 when nobody can tell */
    char sentence[256];
};

struct gate_report {
    enum verdict verdict;    /* fail if one fails, pass if all that apply pass */
    enum gate_kind decisive; /* the first that failed, else the first undecided */
    struct gate_result gate[GATES];
};

/* What a stage sends where, as far as gates care. */
struct gate_traffic {
    uint32_t percent; /* live share of new, of SHARE_ALL */
    uint32_t shadow;  /* mirrored share */
};

/* What gates go by besides evidence. All zero: no questions open. */
struct gate_world {
    uint64_t wall_ms;
    const struct schedule *freeze;   /* of the whole file; NULL: none */
    struct approval_answer approval; /* of the webhook */
    const char *waits_for;           /* what this plan depends on and has not come yet, as a sentence; NULL: nothing */
    bool verdicts_only;              /* nobody asks for `growth`: it stays 0 where undecided */
};

/* `gates` are the stage's; a confidence_of that is 0 is their `confidence`. Some 20 us, and up to ten times as long
 * while gates are undecided, for `growth`; 100 us for each gate of latency that decides, with min_distinct_keys.
 * Control thread. */
void gates_judge(const struct config_gates *gates, const struct gate_traffic *traffic, const struct evidence *evidence,
                 const struct gate_world *world, struct gate_report *report);

/* Nothing is known yet of what is measured: these gates are undecided, and say why. */
void gates_leave_open(struct gate_report *report, const char *why);

#endif
