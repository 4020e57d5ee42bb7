/*
 * The router decides: which route, which side, mirror or not, and why.
 *
 * Two halves. `struct router` is the control thread's: plans, breakers, gates, passthrough, and what was done to them
 * by whom. `struct router_view` is what it publishes: immutable, read by the workers without a lock. A worker asks
 * router_decide() once per request and says how it ended once with router_observe(); both touch nothing but that
 * worker's own counters. The router opens nothing, sends nothing, reads no clock: time is an argument (monotonic for
 * durations and wall clock for records, both in milliseconds).
 */
#ifndef SHUNT_ROUTER_ROUTER_H
#define SHUNT_ROUTER_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "config/config.h"
#include "router/counters.h"
#include "router/request.h"

struct router;
struct router_view;
struct gate_report; /* router/gate.h */
struct gate_result;
struct marks; /* router/sketch.h */

/* Why this side; the name is decision_reason_name(). */
enum decision_reason {
    REASON_NO_ROUTE, /* nothing matched: legacy */
    REASON_PASSTHROUGH,
    REASON_OVERRIDE, /* override rule decision.override */
    REASON_ASSIGNED, /* assignment cookie; only ever keeps a client on new while the share is above 0 */
    REASON_COHORT,   /* share against cohort number */
    REASON_BREAKER_OPEN,
    REASON_BREAKER_TRIAL, /* one of a half-open breaker's probes */
    REASON_ROLLED_BACK,
    REASON_DEPENDENCY, /* the breaker of a route it depends on is not closed */
    DECISION_REASONS,
};

const char *decision_reason_name(enum decision_reason reason);

struct decision {
    const struct config_route *route;     /* NULL: no route; lives as long as the view */
    const struct config_backend *backend; /* of `side` */
    enum side side;
    enum decision_reason reason;
    enum mirror_reason mirror;       /* MIRROR_SENT: please mirror; else why not */
    bool noise;                      /* with MIRROR_SENT: a second copy goes to the primary's own side */
    bool trial;                      /* a half-open probe; router_observe() must be called */
    bool set_assign_cookie;          /* answer carries Set-Cookie for route->assign */
    uint32_t cohort;                 /* 0..SHARE_ALL-1; below the share means new */
    uint32_t share;                  /* of SHARE_ALL, in force for this decision */
    uint16_t key_mark;               /* hashes for sketch.h and crowd.h of the sticky key ... */
    uint16_t path_mark;              /* ... and of the path; router_observe() reads them. 0 where nobody asks */
    uint32_t epoch;                  /* of the breaker; router_observe() reads it */
    int32_t override;                /* index of the rule, or -1 */
    int32_t sticky;                  /* index of the sticky key used, or -1 */
    struct route_counters *counters; /* this worker's; also of "no route" (then of the route named "-") */
};

/* Worker `worker` (0-based) asks. `facts` is borrowed for the call. Never fails, never blocks, allocates nothing. */
void router_decide(const struct router_view *view, uint32_t worker, const struct request_facts *facts,
                   struct decision *decision);

/* How an exchange ended. `status` is 0 when there was no response of the backend. */
struct outcome {
    enum outcome_kind kind;
    uint16_t status;        /* of the side that was asked first */
    uint16_t client_status; /* what the client got in the end; differs after a fallback */
    bool fell_back;
    bool is_grpc;        /* a gRPC call whose grpc-status is known: */
    uint8_t grpc_status; /* of the side that was asked first */
    uint64_t latency_us;
};

/*
 * Same worker as decided; `view` may be the decision's or a later one, but what the decision points to must still live:
 * hold the decision's view until then.
 */
void router_observe(const struct router_view *view, uint32_t worker, const struct decision *decision,
                    const struct outcome *outcome);

/* The value of the assignment cookie when decision->set_assign_cookie: the side with a mark of the route, such as
 * "new.1a2b3c4d". Lives as long as the view. "" without a route. */
const char *router_assign_value(const struct router_view *view, const struct decision *decision);

/* ---- control thread ---- */

/* What the plan does for a route now. */
enum plan_phase {
    PLAN_FIXED, /* no stages: the file's share */
    PLAN_RUNNING,
    PLAN_PAUSED,      /* by a person; the share holds, nothing advances */
    PLAN_ROLLED_BACK, /* share 0, at once or at the end of a way down, until a person resumes or restarts */
    PLAN_DONE,        /* last stage held and passed */
    PLAN_WAITING,     /* start: manual; share 0 and nothing mirrored until a person starts it */
    PLAN_FROZEN,      /* the share stays as it is: nothing but a person and the breaker may touch it */
    PLAN_PHASES,
};

enum breaker_state {
    BREAKER_CLOSED = 0,
    BREAKER_OPEN,
    BREAKER_HALF_OPEN
};

const char *plan_phase_name(enum plan_phase phase);
const char *breaker_state_name(enum breaker_state state);

/* Results of comparing, added up by shadow/ for a route name since the process started. */
struct comparison_totals {
    uint64_t compared;
    uint64_t mismatched;
};

/* One change of state. `who` is "operator:NAME", "plan", "breaker", "config", "signal:USR1", "file", "environment", ...
 */
struct router_event {
    uint64_t sequence; /* 1, 2, 3, ... for ever */
    uint64_t at_ms;    /* wall clock */
    const char *route; /* NULL: the whole process */
    const char *what;  /* "promote", "breaker_open", "passthrough_on", ... */
    const char *who;
    const char *why;
    json_t *from; /* borrowed for the call, as are the next two; NULL: nothing */
    json_t *to;
    json_t *evidence; /* what the stage had shown, where the plan moved by itself or was promoted; router_status() */
};

/* What the webhook of a stage's gates has said. */
enum approval {
    APPROVAL_WAITING = 0, /* not asked yet, or no answer */
    APPROVAL_GO,
    APPROVAL_HOLD
};

struct approval_answer {
    enum approval what;
    char sentence[160]; /* "200 at 12:03", "no answer: connection refused", ... */
};

/*
 * A fleet: replicas that share one plan (docs/fleet.md). Then a plan, and the fleet's breaker, are changed by nobody
 * here: what would change them becomes a wish, told by the hook, and the state stays as it is until router_adopt() says
 * what the fleet has decided. What is safe and urgent happens here at once all the same: local breakers, passthrough.
 */
enum router_role {
    ROUTER_ALONE = 0, /* no fleet: all is decided here */
    ROUTER_CUT_OFF,  /* the fleet cannot be reached: no gate is asked; what people order happens here if it is safe, and
                        so does  the last trip of a breaker */
    ROUTER_FOLLOWER, /* gates, deadlines, dependencies and the fleet's breaker are another's business */
    ROUTER_LEADER    /* they are ours, on the evidence of all */
};

enum router_wish_kind {
    WISH_LEADER, /* a gate, a deadline, a dependency, the fleet's breaker */
    WISH_PERSON,
    WISH_SAFETY, /* it has happened here already */
    WISH_FILE    /* a route that nobody has shared yet, or a fixed share edited in the file */
};

struct router_wish {
    enum router_wish_kind kind;
    const char *route;
    json_t *value;   /* what the item is to be: router_item(); borrowed for the call, as is the next */
    json_t *log;     /* { "what", "who", "why", "from", "to", "evidence" } */
    uint32_t share;  /* 0..SHARE_ALL: the plan's, at the end of a way down; 0 while the fleet's breaker is not closed */
    uint32_t rank;   /* of equal shares the lower is safer: rolled back, open, half-open, frozen, paused, waiting,
                        running, done */
    uint64_t ticket; /* of the command it comes from; 0: none */
};

/* Functions the router needs from others; `context` is handed back. Each may be NULL. */
struct router_hooks {
    void *context;
    /* A change of state has happened. Must keep it (audit, log) before it returns; called in order, on the control
     * thread. */
    void (*on_event)(void *context, const struct router_event *event);
    /* Comparison totals of a route for the mismatch gate; zeroes when there are none. */
    void (*comparisons)(void *context, const char *route, struct comparison_totals *totals);
    /* Whose pairs were compared since this was last called for the route, merged into *marks (keys and paths), and of
     * these whose differ (error_keys and error_paths). Called once a second while its plan runs. */
    void (*comparison_marks)(void *context, const char *route, struct marks *marks);
    /* The newest answer of the webhook of this route's stage; asks for one when it is old. Never blocks. */
    void (*approval)(void *context, const char *route, const char *stage, const struct config_gate_webhook *webhook,
                     struct approval_answer *answer);
    /* In a fleet: please ask it for this. router_adopt() or router_wish_over() must follow, perhaps before this
     * returns. */
    void (*wish)(void *context, const struct router_wish *wish);
    /* Nobody reads this configuration any more: neither the router nor a view. Once for each router_configure() that
     * was true, at the latest within router_free() or the last router_view_unref(). Any thread. */
    void (*config_released)(void *context, const struct config *config);
};

/* Chance for the breakers' cooldowns, so that many processes do not try at once. Tests give their own. */
void router_seed(struct router *router, uint64_t seed);

/* `workers` is the number of threads that will call router_decide(); it never changes. NULL without memory. */
struct router *router_new(uint32_t workers, const struct router_hooks *hooks);
void router_free(struct router *router);

/*
 * Takes a configuration into use; first call and every reload. A route keeps its place in the plan, share, breaker and
 * counters by its name: see docs/plans.md for an edited plan (the share never jumps up). `config` is borrowed until the
 * next router_configure() and until all views made from it are released. False without memory: nothing has changed.
 */
bool router_configure(struct router *router, const struct config *config, uint64_t now_ms, uint64_t wall_ms);

/*
 * Looks at the counters, moves breakers and plans, emits events. Call every 25 ms or so. Returns true when the view has
 * to be published again.
 */
bool router_tick(struct router *router, uint64_t now_ms, uint64_t wall_ms);

/*
 * The process did not run between the last tick and now (it was stopped, its cgroup frozen, its machine suspended).
 * That time counts for nothing that has to be earned: a stage's hold, a share's way back or down, a breaker's healthy
 * windows. Cooldowns and deadlines go on: they are waits, and others waited, too. Before the next router_tick().
 */
void router_slept(struct router *router, uint64_t now_ms);

/* A new immutable view of the state as it is now, with one reference; NULL without memory. */
struct router_view *router_publish(struct router *router);
/* Any thread. The last release frees it. */
void router_view_ref(struct router_view *view);
void router_view_unref(struct router_view *view);
bool router_view_passthrough(const struct router_view *view);
/* May passthrough relay bytes without reading them? True when the legacy side of every route is config->legacy; else
 * each request still has to be matched to reach its own route's legacy side, which is what router_decide() gives in
 * passthrough. */
bool router_view_passthrough_raw(const struct router_view *view);
const struct config *router_view_config(const struct router_view *view);

/* Verbs. Return 0, or a negative errno with *why (static text) saying what is wrong: -ENOENT no such route, -EINVAL,
 * -EALREADY, -EPERM not possible in this phase. The view must be published again after a 0. `who` and `reason` go to
 * the audit trail. */
enum router_verb {
    VERB_PROMOTE,
    VERB_PAUSE,
    VERB_RESUME,
    VERB_ROLLBACK,
    VERB_RESTART,
    VERB_SET_PERCENT,
    VERB_RESET_BREAKER,
    VERB_START, /* PLAN_WAITING only */
    VERB_FREEZE /* the share stays until a person resumes: no gate, deadline or dependency moves the plan */
};

struct router_command {
    enum router_verb verb;
    const char *route;
    uint32_t percent; /* VERB_SET_PERCENT: of SHARE_ALL; the plan is paused there */
    bool force;       /* VERB_PROMOTE: past an undecided or failed gate, or a breaker that is not closed */
    const char *who;
    const char *reason; /* may be NULL */
    uint64_t ticket;    /* in a fleet: handed back in the wish; not 0 */
};

enum {
    ROUTER_ASKED = 1 /* router_command(): nothing has happened yet, a wish was told */
};

int router_command(struct router *router, const struct router_command *command, uint64_t now_ms, uint64_t wall_ms,
                   const char **why);

/* Passthrough has several switches (api, signal, environment, file, ...): it is on while any is on. True when the sum
 * changed. */
enum passthrough_source {
    PASSTHROUGH_API,
    PASSTHROUGH_SIGNAL,
    PASSTHROUGH_ENVIRONMENT,
    PASSTHROUGH_FILE,
    PASSTHROUGH_FAIL_OPEN,
    PASSTHROUGH_FLEET, /* the item of that name; kept over a restart by the fleet's own saved state */
    PASSTHROUGH_SOURCES
};
bool router_passthrough(struct router *router, enum passthrough_source source, bool on, const char *who,
                        const char *reason, uint64_t wall_ms);
bool router_passthrough_is_on(const struct router *router);
/* What a person did that is no state of the router, such as "report_forgotten": it stands in history and audit trail in
 * the order in which it happened. `route` NULL: the whole process. */
void router_note(struct router *router, const char *route, const char *what, const char *who, const char *reason,
                 uint64_t wall_ms);
const char *passthrough_source_name(enum passthrough_source source);

/* ---- a fleet ---- */

/* Takes the role up; cheap when it is the same. `may_raise`: a leader may promote now (else its gates wait, and why_not
 * says `why_not_raise`, static text). Becoming cut off or a follower ends what only a leader does, in the middle of it
 * if need be. */
void router_set_role(struct router *router, enum router_role role, bool may_raise, const char *why_not_raise,
                     uint64_t now_ms);

/* How this replica is called where the fleet's counts are kept apart by replica: at most 15 bytes, copied. */
void router_name_replica(struct router *router, const char *name);

/* What this route's item is now, by what this replica has adopted: { "plan": {...as saved...}, "breaker": { "state",
 * "trips", "resets": by people, "until_ms": wall clock, "why" }, "file": hash of the route's plan in the file, "entry":
 * version, 0: the one that will carry this, "by": { "what", "who", "why", "at_ms" } }; new reference, NULL without
 * memory or such a route. */
json_t *router_item(const struct router *router, const char *route, uint64_t now_ms, uint64_t wall_ms, uint32_t *share,
                    uint32_t *rank);

/*
 * The fleet has decided that this route's item is now this. The plan takes its place by the rules of an edited file
 * where this replica's file differs; what is safer here stays until the fleet knows it; evidence begins anew when
 * `entry` has changed; the event names who and why as the item does. False with *why (static) when it is not an item of
 * a route: nothing has changed. A route that the file does not name is parked until it does.
 */
bool router_adopt(struct router *router, const char *route, const json_t *value, uint64_t version, uint64_t now_ms,
                  uint64_t wall_ms, const char **why);
/* The wish for this route came to nothing (conflict, no answer): it may be wished again. */
void router_wish_over(struct router *router, const char *route);

/* { ROUTE: why } of the breakers that are open by this replica's own judgement; new reference. */
json_t *router_open_breakers(const struct router *router);
/* How many of `alive` replicas speak for the fleet: more than half; a replica that is alone does. */
uint64_t router_fleet_quorum(uint64_t alive);
/* What the leader knows of the replicas' own breakers, to be told after each beat: `open` is { ROUTE: [ replica, ... ]
 * } and `alive` the number of replicas. Trips the fleet's breaker where a quorum has tripped; names the outliers
 * otherwise (an event, once each time). */
void router_fleet_looked(struct router *router, const json_t *open, uint32_t alive, uint64_t now_ms, uint64_t wall_ms);

/* Everything that must survive a restart (stage, share, phase, breaker, trips, passthrough, sequence, newest history),
 * as JSON with a version; a new reference. NULL without memory. */
json_t *router_save(const struct router *router, uint64_t now_ms, uint64_t wall_ms);
/* Before the first router_configure(). False with *why (malloc'd) when it is not what router_save() writes; nothing is
 * changed. */
bool router_restore(struct router *router, const json_t *state, uint64_t now_ms, uint64_t wall_ms, char **why);
/* Grows with every change that router_save() would show, evidence of a running stage left out. */
uint64_t router_revision(const struct router *router);

/*
 * For status and metrics, new reference. Fields are only ever added. Percentages are numbers of 0 to 100, rates and
 * limits fractions, times milliseconds; what is not known is null.
 *
 *   { "at_ms": wall clock, "revision": N, "passthrough": { "on": false, "sources": ["api"] },
 *     "routes": [ ROUTE, ... in the file's order ], "unrouted": { "counters": COUNTERS } }
 *
 *   ROUTE:    { "name", "legacy": backend, "new": backend, "phase": plan_phase_name(), "percent": the plan's share,
 *               "share": what ramps, breaker, dependencies and passthrough leave of it (also as "effective_percent"),
 *               "ramp": null or { "from", "to", "left_ms" }: the share is on its way, "shadow_percent",
 *               "since_wall_ms": when the stage or share began, "evidence": EVIDENCE since then,
 *               "depends_on": [ { "route", "stage": null for the whole plan, "met" }, ... ],
 *               "breaker": BREAKER, "counters": COUNTERS,
 *               only in a fleet: "fleet": { "role", "version" and "entry" of the item adopted, "ahead": something safe
 * has happened here that the fleet does not know, "asked": a wish is under way, "breaker": the fleet's: { "state",
 *                 "trips", "why", "cooldown_left_ms" } },
 *               and only with stages: "stage": name, "stage_index", "promotion": "auto" | "manual",
 *               "stages": [ { "name", "percent", "shadow", "hold_ms", "confirm", "promotion", "deadline_ms",
 *                             "current" }, ... ],
 *               "hold": { "length_ms", "elapsed_ms", "left_ms" },
 *               "gates": { "verdict": "pass" | "fail" | "undecided", "gates": [ GATE, ... ] },
 *               "why_not": why it is not promoted yet, one sentence; null when done,
 *               "deadline": null or { "at_ms": wall clock, "action": "pause" | "rollback" | "tell" },
 *               "on_failure": { "to": "zero" | "previous" | "freeze" | "tell", "ramp_ms", "retries" },
 *               "steps_back": in a row }
 *   GATE:     { "gate": name, "applies", "verdict", "sentence", "evidence": exchanges or pairs so far,
 *               "eta_ms": until a decision, if it goes on as it is; 0: decided, null: nobody can tell, or never,
 *               when measured: "value", "low", "high", "limit", "confidence" }
 *   EVIDENCE: { "legacy": E, "new": E, "compared", "mismatched", "distinct_keys": clients on new,
 *               "gathered_ms": time in which the share was in force }
 *   E:        { "judged", "errors", "error_rate", "latency": LATENCY }
 *   BREAKER:  { "enabled", "state": breaker_state_name(), "trips", "max_trips", "why": of the last change,
 *               "in_state_ms", "cooldown_left_ms", "trial_succeeded", "trial_requests", "ramp_left_ms",
 *               "slow_rate": of new's calls in the window, "distinct_keys": clients whose errors count there,
 *               "window": { "length_ms", "legacy": W, "new": W } }
 *   W:        { "judged", "errors", "error_rate", "p95_ms" }
 *   COUNTERS: { "legacy": C, "new": C, "mirror": { mirror_reason_name(): count, ..., "now_in_flight" },
 *               "mirror_by_primary": { "legacy": { mirror_reason_name(): count, ... }, "new": { ... } }, "in_flight" }
 *   C:        { "requests", "judged", "errors", "error_rate", "fallbacks", "classes": { "none", "1xx", ... "5xx" },
 *               "outcomes": { outcome_kind_name(): count, ... }, "latency": LATENCY }
 *   LATENCY:  { "p50_ms", "p95_ms", "p99_ms" }, or null without requests
 */
json_t *router_status(const struct router *router, uint64_t now_ms, uint64_t wall_ms);
/* The same with nothing in "routes" but that of this name; NULL, or one there is not: none. Some 0.1 ms for each route
 * is what a status costs, nearly all of it memory for JSON. */
json_t *router_status_of(const struct router *router, const char *route, uint64_t now_ms, uint64_t wall_ms);
/*
 * The newest events, at most 200, oldest first: { "sequence", "at_ms", "route", "what", "who", "why", "from", "to",
 * "evidence" }; new reference.
 *
 * "from" and "to" of a plan are { "phase", "stage", "percent", and while it goes down by steps "ramp": { "from",
 * "left_ms" } }, of a breaker { "breaker", "trips" }, of the fleet's { "fleet_breaker", "trips" }.
 * "evidence", null where there is none, is what the stage had shown: { "verdict", "decisive": the gate that failed or
 * was first undecided, null after a pass, "legacy": { "judged", "errors" }, "new": the same, "compared", "mismatched",
 * "gates": [ { "gate", "verdict", "value", "low", "high", "limit", "confidence" } of those that were measured ],
 * "forced": true where a person promoted with force, with "past": [ a sentence for each gate that had not passed, and
 * for a breaker that was not closed ] }.
 */
json_t *router_history(const struct router *router, const char *route /* NULL: all */);

/* Sums of all workers for the route; false when there is none of that name ("-" is the requests without a route). */
bool router_counters(const struct router *router, const char *route, struct route_counters *sum);
/* Calls back for every route in file order, then "-". */
struct router_route_state {
    const char *name;
    const struct config_route *config; /* NULL for "-" */
    enum plan_phase phase;
    uint32_t stage;     /* index */
    uint32_t percent;   /* the plan's share now */
    uint32_t effective; /* what the breaker and passthrough leave of it */
    uint32_t shadow;
    enum breaker_state breaker;
    uint32_t trips;
    double error_rate[SIDES];        /* within the breaker's window, as is the next */
    double slow_rate;                /* of new's exchanges */
    uint32_t steps_back;             /* in a row */
    uint64_t gathered_ms;            /* how long the stage has gathered evidence */
    const struct gate_report *gates; /* router/gate.h: of the last look; NULL: none yet. Borrowed for the call */
};
void router_each(const struct router *router,
                 void (*each)(void *context, const struct router_route_state *state, const struct route_counters *sum),
                 void *context);

/* When the gate will have decided if all goes on as it is: false when nobody can tell, or never. 0 when it has. */
bool router_gate_eta(const struct gate_result *gate, uint64_t gathered_ms, uint64_t *eta_ms);

/* `explain`: the decision for made-up facts on the current state, without counting anything. `sentence` gets a
 * NUL-terminated explanation for people. */
void router_explain(const struct router *router, const struct request_facts *facts, struct decision *decision,
                    char *sentence, size_t room);

#endif
