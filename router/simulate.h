/*
 * What a plan of the file would do with assumed traffic: the router itself, its clock turned by hand.
 *
 * A simulator takes one route of a configuration. Each run begins its plan anew, counts into the route's tally what
 * workers would have counted, and looks as often as control does until the plan has come to an end. Same seed, same
 * run. Opens nothing; any thread, one at a time for each simulator.
 *
 * What is not simulated: other plans (a plan that depends on one does not wait for it), webhooks (they say go), and the
 * times at which changes are allowed (always). People promote as soon as they are asked.
 */
#ifndef SHUNT_ROUTER_SIMULATE_H
#define SHUNT_ROUTER_SIMULATE_H

#include "router/draw.h"
#include "router/gate.h"

enum {
    SIMULATE_STAGES = 64 /* more of a plan are not told apart: the last row is for the rest */
};

/* What is assumed of the traffic. */
struct simulate_world {
    double rate;  /* requests a second of the route, both sides together */
    double daily; /* 0..1: how much more than that there is at noon, and less at midnight */
    double errors[SIDES];
    double median_us[SIDES]; /* of log-normal latencies; 0: latency is not simulated, and its gates are not asked */
    double sigma;            /* of their logarithm */
    double mismatches;       /* of compared pairs */
    uint32_t clients, paths; /* as many different ones, all alike */
};

/* 1,000 clients, 50 paths, 20 ms with sigma 0.5 on both sides, nothing else. */
struct simulate_world simulate_usual(double rate);

enum simulate_end {
    SIMULATE_DONE,        /* the last stage passed */
    SIMULATE_ROLLED_BACK, /* for good */
    SIMULATE_HALTED,      /* frozen, or paused by a deadline */
    SIMULATE_TOLD,        /* a gate failed, and on_failure only tells */
    SIMULATE_UNDECIDED,   /* the time was over */
    SIMULATE_ENDS,
};

const char *simulate_end_name(enum simulate_end end);

/* Who ended it. */
enum simulate_by {
    SIMULATE_BY_NOBODY,
    SIMULATE_BY_GATE,
    SIMULATE_BY_BREAKER,
    SIMULATE_BY_DEADLINE,
};

struct simulate_gate {
    bool applies;
    enum verdict verdict; /* the first that was not undecided */
    uint64_t after_ms;    /* in the stage */
    uint64_t evidence;    /* exchanges or pairs of the side that had fewer */
    bool failed;          /* at any time, whatever it had said before */
    enum verdict newest;
};

struct simulate_stage {
    bool entered;
    bool left;           /* for the next one */
    bool by_hand;        /* a person was asked */
    uint64_t took_ms;    /* until it was left, or the run ended */
    enum gate_kind last; /* the gate that passed last; GATES: none was asked */
    uint64_t judged[SIDES];
    struct simulate_gate gate[GATES];
};

struct simulate_run {
    enum simulate_end end;
    enum simulate_by by;
    enum gate_kind gate; /* SIMULATE_BY_GATE: which */
    uint32_t stage;      /* where it ended */
    uint64_t end_ms;
    uint32_t trips;         /* of the breaker */
    uint64_t errors_of_new; /* that clients have seen, or would have without `fallback` */
    uint64_t looks;
    struct simulate_stage stages[SIMULATE_STAGES];
};

struct simulator;

/* `config` is borrowed for the simulator's life. NULL without memory. */
struct simulator *simulator_new(const struct config *config, uint32_t route, const struct simulate_world *world);
void simulator_free(struct simulator *simulator); /* NULL is fine */

/*
 * Time goes on a second at a time at first, as control asks gates once a second; then by steps in which the evidence of
 * the stage grows by this part at most. Default 0.01. (A breaker that has something to look at is fed a window at a
 * time at most, and while it is not closed, second by second.)
 */
void simulator_step(struct simulator *simulator, double growth);

/* One run of at most `most_ms`. False without memory. */
bool simulator_run(struct simulator *simulator, uint64_t seed, uint64_t most_ms, struct simulate_run *run);

/* Is what this gate measures truly within its limit? True where it measures nothing. *truth is the true value. */
bool simulate_holds(const struct config_gates *gates, const struct simulate_world *world, enum gate_kind gate,
                    double *truth);

#endif
