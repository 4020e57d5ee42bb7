/*
 * The control half from inside: what router.c, tick.c, command.c, depends.c, status.c, save.c and explain.c share.
 * Control thread only.
 */
#ifndef SHUNT_ROUTER_CONTROL_H
#define SHUNT_ROUTER_CONTROL_H

#include "router/breaker.h"
#include "router/evidence.h"
#include "router/gate.h"
#include "router/journal.h"
#include "router/plan.h"
#include "router/view.h"

/* What a stage has shown, and what its gates say to it. */
struct judgement {
    struct evidence evidence;
    struct gate_report report;
};

struct pool_route; /* pool.h */

/* The fleet's breaker of a route, as its item has it (fleet_breaker.c). */
struct fleet_breaker {
    enum breaker_state state;
    uint32_t trips;         /* in a row */
    uint32_t resets;        /* by people: each resets every replica's own breaker, too */
    uint64_t until_wall_ms; /* OPEN: end of the cooldown; CLOSED: when the row of trips is forgotten */
    char why[200];          /* of the last change */
};

/* What the fleet has been asked for. */
struct route_wish {
    bool under_way;
    enum router_wish_kind kind;
    uint64_t over_at_ms;  /* nobody has answered until then */
    uint64_t again_at_ms; /* not before; so that a refused wish is not repeated forty times a second */
    json_t *log;          /* owned: what was asked for last; NULL: nothing */
};

/* A route's part in a fleet; all zero without one. */
struct route_fleet {
    struct fleet_breaker breaker;
    uint64_t until_ms;     /* breaker.until_wall_ms by our own clock */
    uint64_t closed_at_ms; /* the breaker's last closing; 0: long ago */
    uint64_t pooled_at_ms; /* the next look at the pooled window */
    bool holds;            /* the local breaker is open because the fleet's is not closed */
    bool ahead;            /* something safe has happened here that no item shows yet */
    bool edited;           /* the fixed share, in the file: the fleet is to be asked for it */
    bool other_file;       /* the item's plan is of another file than ours */
    bool has_progress;     /* the hold goes on from what leaders have counted */
    bool holds_anew;       /* but not from before the fleet's breaker opened in this stage */
    json_t *item;          /* owned: the value adopted last; NULL: none since the start */
    json_t *outliers;      /* owned: names that were told; NULL: none */
    struct route_wish wish;
};

struct route_state {
    const struct config_route *config; /* borrowed from the configuration in use */
    struct tally *tally;               /* one reference; owns the name */
    struct plan plan;
    json_t
        *moved; /* owned: { "what", "who", "why", "at_ms" } of the plan's last change; NULL: nothing is known of it */
    struct breaker breaker;
    bool last_trip_due; /* it was told before the process was killed, and the rollback it means was not */
    struct evidence_meter meter;
    uint64_t gathered_ms;      /* how long the meter has run */
    bool in_force;             /* the plan's share was, at the last look */
    bool depends_met;          /* all it depends on had come, at the last look */
    uint32_t lent_step;        /* of BREAKER_RAMP_STEPS: see router_settle_lent() */
    uint64_t lent_at_ms;       /* when all are lent; of no meaning while none is */
    uint32_t entries_seen;     /* plan.entries the meter began with */
    uint32_t share_seen;       /* router_share() at the last look */
    uint64_t ended_seen;       /* tally_ended() at the last look */
    uint64_t latency_at_ms;    /* the next look at the latency histograms */
    bool latency_behind;       /* there is something to see in them */
    uint64_t judge_at_ms;      /* next look of the gates */
    uint64_t judged_at_ms;     /* when `report` was made; 0: it is not of this stage */
    struct gate_report report; /* of the last look */
    bool told_failed;          /* events of this stage that are told once */
    bool told_waiting;
    struct pool_route *pool; /* owned (pool.h); NULL: no fleet */
    uint64_t item_version;   /* of the item adopted; 0: none yet */
    uint64_t entry;          /* the version at which this stage's evidence began */
    struct route_fleet fleet;
};

struct router {
    uint32_t workers;
    struct router_hooks hooks;
    struct route_table *table; /* one reference; NULL before the first router_configure() */
    struct tally *unrouted;
    struct route_state **states; /* in the file's order; each owned */
    uint32_t count;
    struct journal journal;
    unsigned passthrough; /* bit of each enum passthrough_source */
    json_t *parked;       /* owned object: saved routes that no configuration names, by name */
    json_t *parked_items; /* owned object: { "version", "value" } of the items of such routes; NULL: none */
    enum router_role role;
    bool may_raise;            /* as a leader */
    const char *why_not_raise; /* static text; NULL when it may */
    uint64_t revision;
    bool dirty;    /* the last view is out of date */
    bool replayed; /* until the first configuration: the state was brought up to the audit trail (replay.h) */
    uint64_t ticked_ms;
    uint64_t seed;             /* 0: no chance in the cooldowns */
    char replica[16];          /* short name in the fleet; "": none */
    bool verdicts_only;        /* of gates; the simulator asks for nothing else */
    int64_t pool_sequence;     /* of our counts that Redis has taken in (pool.h) */
    uint32_t pool_next;        /* the route that comes first in the next parcel */
    uint32_t judge_next;       /* the route whose gates are looked at first in the next tick */
    struct route_counters sum; /* scratch */
    struct judgement judged;   /* scratch */
};

struct route_state *router_find(const struct router *router, const char *name);
struct router_view *router_make_view(const struct router *router);
/* The view is out of date, and so is what was saved. */
void router_changed(struct router *router);

/* The share in force, of SHARE_ALL: what ramps, the breaker, dependencies and passthrough leave of the plan's. */
uint32_t router_share(const struct router *router, const struct route_state *state);
/* Does the stage get just the traffic it asks for? Only then do its hold and its evidence count. */
bool router_in_force(const struct router *router, const struct route_state *state);

/* The comparison totals of the route, zero without the hook. */
struct comparison_totals route_state_pairs(const struct router *router, const struct route_state *state);
/* Whose pairs were compared since this was last asked. */
struct marks route_state_take_pair_marks(const struct router *router, const struct route_state *state);
/* `sum` is the route's. Without stages there are no gates: then the report is all zero. */
void route_state_judge(const struct router *router, const struct route_state *state, const struct route_counters *sum,
                       uint64_t wall_ms, struct judgement *judgement);
/* tally_sum() and the above. */
const struct judgement *router_judge(struct router *router, const struct route_state *state, uint64_t wall_ms);

/* What is judged: in a fleet that we lead, what all replicas have seen. Returns what must be known before it may be
 * judged, as a sentence; NULL: nothing. */
const char *route_state_evidence(const struct router *router, const struct route_state *state,
                                 const struct route_counters *sum, struct evidence *evidence);

/* ---- changes of a plan ---- */

struct change {
    const char *what;
    const char *who;
    const char *why;
    uint64_t wall_ms;
    json_t *evidence; /* taken over */
};

/* An event with these two, taken over. */
void router_tell(struct router *router, const char *route, const struct change *change, json_t *from, json_t *to);
/* The plan was `before`: tells what became of it. A stage that began gets its evidence from now on. */
void route_state_follow_move(struct router *router, struct route_state *state, const struct plan *before,
                             const struct change *change);
/* The same; but in a fleet it is asked for it, and the plan is put back to `before` until it agrees. */
void route_state_moved(struct router *router, struct route_state *state, const struct plan *before,
                       const struct change *change);
/* An event that changes nothing. */
void route_state_tell(struct router *router, const struct route_state *state, const struct change *change);
void route_state_tell_breaker(struct router *router, const struct route_state *state, enum breaker_state was,
                              uint32_t trips, const struct change *change);
/* Something failed: does what `to` says with the plan, and tells. False, with change->evidence as it was, when there
 * was nothing to do. change->what is found here. */
bool route_state_fall(struct router *router, struct route_state *state, enum config_failure_to to,
                      struct change *change);
/* After a change of the plan that is told otherwise: see route_state_moved(). */
void route_state_follow_plan(struct router *router, struct route_state *state);
/* What both sides do while the stage's share is not in force is no evidence: notices when it begins and ends to be, and
 * with `look_again` leaves out what was done since the last look. */
void route_state_follow_force(struct router *router, struct route_state *state, bool look_again);

/* ---- dependencies (depends.c) ---- */

/* Has this come? */
bool dependency_is_met(const struct router *router, const struct config_dependency *dependency);
/* To be called after breakers may have changed, and as their ramps go on: finds again what those of the routes it
 * depends on, near or far, leave of each route's share. */
void router_settle_lent(struct router *router);
/* Is the breaker of a route it depends on, near or far, not closed? */
bool route_state_is_held(const struct route_state *state);
/* Until ramps, its own breaker's and those of all it depends on, are over. */
uint64_t route_state_ramp_left_ms(const struct route_state *state, uint64_t now_ms);
/* What it waits for, as a sentence; false: nothing. */
bool route_state_waits(const struct router *router, const struct route_state *state, char *sentence, size_t room);
/* After plans may have moved: whoever depended on one that fell falls with it. */
void router_follow_dependencies(struct router *router, uint64_t wall_ms);
/* After a configuration: what it says is not met any more has not fallen. */
void router_settle_dependencies(struct router *router);

/* ---- a fleet (fleet.c, fleet_adopt.c) ---- */

/* What a wish would change, as it was before. */
struct route_before {
    struct plan plan;
    struct fleet_breaker breaker;
};

const char *router_role_name(enum router_role role);
/* Are gates, deadlines and dependencies ours to judge? */
bool router_judges(const struct router *router);
/* Takes change->evidence over. What would change is put back, but for WISH_SAFETY: that has happened. */
void route_state_wish(struct router *router, struct route_state *state, const struct route_before *before,
                      enum router_wish_kind kind, uint64_t ticket, const struct change *change);
/* Something safe, while the fleet cannot be reached: it happens, and the fleet is asked for it, too. */
void route_state_act_safely(struct router *router, struct route_state *state, const struct route_before *before,
                            uint64_t ticket, const struct change *change);
/* May the fleet be asked for something by itself, not by a person? */
bool route_state_may_wish(const struct router *router, const struct route_state *state);
/* The hold and what was gathered go on from what leaders before us have counted. */
void route_state_take_progress(struct route_state *state);
/* To be called in each tick: asks for what has to be asked for, but for what gates and deadlines say. */
void route_state_tick_fleet(struct router *router, struct route_state *state, uint64_t now_ms, uint64_t wall_ms);
/* The file may have been edited: the plan's place in it, by the item. False: there is none, or it is behind. */
bool route_state_place_again(struct route_state *state, uint64_t wall_ms);
/* Unless what has happened here is safer than the item: takes it up again, and true. Else *would_help says whether the
 * fleet would see that it is: a lower share does not show while its breaker is not closed. */
bool route_state_follow_safer_item(struct router *router, struct route_state *state, uint64_t now_ms, uint64_t wall_ms,
                                   bool *would_help);
/* Where there is a fleet, and none yet. */
void route_state_open_pool(struct router *router, struct route_state *state);
/* At the end of a configuration. */
void router_settle_fleet(struct router *router, uint64_t now_ms, uint64_t wall_ms);
/* The item of a route that is taken out of the file is kept for when it comes back. */
void router_park_item(struct router *router, const struct route_state *state);
void route_state_leave_fleet(struct route_state *state); /* frees */
/* Why it is not promoted yet, as far as the fleet is the reason; false: it is not. */
bool route_state_fleet_why_not(const struct router *router, const struct route_state *state, char *sentence,
                               size_t room);
/* For status; new reference. */
json_t *route_state_fleet_json(const struct router *router, const struct route_state *state, uint64_t now_ms);

/* ---- its items (fleet_value.c) ---- */

struct route_past;

/* A value as it was read; texts are borrowed from the JSON. */
struct fleet_value {
    const struct route_past *past; /* of which plan, moved, depends_met mean something */
    struct fleet_breaker breaker;
    const char *file;
    uint64_t entry; /* 0: the version that carries this value */
    const char *what, *who, *why;
    uint64_t at_ms;
};

/* XXH3 of what plan_adopt() goes by, as 16 hex digits. */
struct fleet_file {
    char hash[17];
};
struct fleet_file fleet_file_of(const struct config_route *config);
/* "by" and "moved" are borrowed; moved NULL: nothing is known. New reference, NULL without memory. */
json_t *fleet_value_make(const struct route_state *state, json_t *moved, uint64_t entry, json_t *by, uint64_t wall_ms);
/* `past` is where value->past points to then. False with *why (static). */
bool fleet_value_load(const json_t *json, struct route_past *past, struct fleet_value *value, uint64_t wall_ms,
                      const char **why);
/* As in struct router_wish. */
uint32_t fleet_share(const struct plan *plan, const struct fleet_breaker *breaker);
uint32_t fleet_rank(const struct plan *plan, const struct fleet_breaker *breaker);

/* ---- its breakers (fleet_breaker.c) ---- */

/* Before and after breaker_tick(): keeps the local breaker open while the fleet's is, lets the leader probe, and makes
 * wishes of what comes of that. Returns what is still to be told of the local one. */
void fleet_breaker_hold(struct router *router, struct route_state *state, uint64_t now_ms);
enum breaker_change fleet_breaker_follow(struct router *router, struct route_state *state, enum breaker_change change,
                                         uint32_t trips, uint64_t now_ms, uint64_t wall_ms);
/* What a leader does by the clock and by the pooled window. */
void fleet_breaker_tick(struct router *router, struct route_state *state, uint64_t now_ms, uint64_t wall_ms);
/* An item says so. `first`: none was known before. */
void fleet_breaker_adopt(struct router *router, struct route_state *state, const struct fleet_breaker *breaker,
                         bool first, uint64_t now_ms, uint64_t wall_ms);
/* The local breaker does not probe for the fleet any more. */
void fleet_breaker_stop_probing(struct router *router, struct route_state *state, uint64_t now_ms);
/* A person closes it, and every replica's own. */
void fleet_breaker_reset(struct fleet_breaker *breaker, const char *why);
json_t *fleet_breaker_json(const struct fleet_breaker *breaker);
void route_state_forget_outliers(struct route_state *state);

/* ---- saving ---- */

/* The plan's part of the next, with "saved_wall_ms". */
json_t *route_plan_save(const struct route_state *state, json_t *moved, uint64_t wall_ms);
/* One route as saved; new reference, NULL without memory. */
json_t *route_state_save(const struct router *router, const struct route_state *state, uint64_t now_ms,
                         uint64_t wall_ms);

/* A cooldown or a ramp of which only the file knows how long it is. */
#define ALL_OF_IT UINT64_MAX

/* What was saved of a route. */
struct route_past {
    struct plan_past plan; /* stage_name borrowed from the JSON */
    const json_t *moved;   /* borrowed from the JSON; NULL: nothing is known */
    bool depends_met;
    bool told_failed;
    bool told_waiting;
    enum breaker_state breaker;
    uint32_t trips;
    uint64_t cooldown_left_ms;     /* or ALL_OF_IT */
    uint64_t breaker_ramp_left_ms; /* or ALL_OF_IT */
    uint64_t gathered_ms;
    struct evidence evidence;
    uint64_t entry; /* in a fleet, as are the next; else 0 */
    bool ahead;
    bool holds;
    uint32_t file_share; /* the fixed share of this replica's own file; SHARE_UNKNOWN */
};
/* Of what route_plan_save() writes. */
bool route_past_load_plan(const json_t *json, struct route_past *past, uint64_t wall_ms, const char **why);
/* False with *why (static) when it is not what route_state_save() writes. */
bool route_past_load(const json_t *json, struct route_past *past, uint64_t wall_ms, const char **why);

/* ---- JSON ---- */

/* A share as people read it: 25, or 12.34. */
json_t *share_json(uint32_t share);
json_t *plan_json(const struct plan *plan, const struct config_route *config);
/* What stands beside a transition in history and audit trail. */
json_t *judgement_json(const struct judgement *judgement);

/* Why the plan is not promoted yet; false: there is nothing to promote. */
bool route_state_why_not(const struct router *router, const struct route_state *state, char *sentence, size_t room);

#endif
