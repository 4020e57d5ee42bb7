/*
 * Many simulated runs of one plan, added up: when stages are left, when gates decide, how often that is wrong.
 */
#ifndef SHUNT_SHUNTCTL_FORECAST_H
#define SHUNT_SHUNTCTL_FORECAST_H

#include "router/simulate.h"

/* Of the runs in which it happened. */
struct spread {
    uint32_t count;
    double p5, median, p95;
};

struct forecast_gate {
    bool applies;  /* in a stage that was entered */
    bool measures; /* something that is assumed; the next three mean something */
    bool holds;    /* the truth is within the limit */
    double truth, limit;
    uint32_t passed, failed, undecided; /* runs that entered the stage: what it said first */
    uint32_t open; /* runs that had come no further when their time was over, with this gate undecided */
    struct spread pass_ms, fail_ms; /* in the stage */
    struct spread evidence;         /* exchanges or pairs, of the side that had fewer, until it said so */
};

struct forecast_stage {
    uint32_t entered, left;
    bool by_hand;
    struct spread took_ms;    /* until it was left */
    uint32_t last[GATES + 1]; /* runs in which this gate decided last; GATES: the hold was longer than all */
    struct forecast_gate gate[GATES];
};

struct forecast {
    uint32_t runs;
    uint32_t ends[SIMULATE_ENDS];
    struct spread end_ms[SIMULATE_ENDS];
    uint32_t by_gate[GATES]; /* runs that a gate, the breaker, or a deadline ended */
    uint32_t by_breaker, by_deadline;
    uint32_t tripped;          /* runs in which the breaker opened */
    uint32_t promoted_wrongly; /* left a stage though something it measures is beyond its limit */
    uint32_t failed_wrongly;   /* ended by a gate whose limit truly holds */
    struct spread errors_of_new;
    uint32_t stage_count;
    struct forecast_stage *stages; /* owned */
};

/* Calls back after each run, with the number done; false stops. May be NULL. */
typedef bool forecast_progress(void *context, uint32_t done);

/*
 * NULL without memory. Stopped runs do not count. Call forecast_free().
 */
struct forecast *forecast_make(const struct config *config, uint32_t route, const struct simulate_world *world,
                               uint32_t runs, uint64_t seed, uint64_t most_ms, forecast_progress *progress,
                               void *context);
void forecast_free(struct forecast *forecast);

/* The limit of a gate that measures a rate or latency; RATE_UNSET: it is none, or not asked for. */
double forecast_limit(const struct config_gates *gates, enum gate_kind kind);

#endif
