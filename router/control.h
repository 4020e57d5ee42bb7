/*
 * The control half from inside: what router.c, status.c, save.c and explain.c share. Control thread only.
 */
#ifndef SHUNT_ROUTER_CONTROL_H
#define SHUNT_ROUTER_CONTROL_H

#include "router/breaker.h"
#include "router/evidence.h"
#include "router/gate.h"
#include "router/journal.h"
#include "router/plan.h"
#include "router/view.h"

struct route_state {
    const struct config_route *config; /* borrowed from the configuration in use */
    struct tally *tally;               /* one reference; owns the name */
    struct plan plan;
    struct breaker breaker;
    struct evidence_meter meter;
    uint32_t entries_seen;  /* plan.entries the meter began with */
    uint64_t ended_seen;    /* tally_ended() at the last look */
    uint64_t latency_at_ms; /* the next look at the latency histograms */
    bool latency_behind;    /* there is something to see in them */
    uint64_t judge_at_ms;   /* next look of the gates */
    bool told_failed;       /* events of this stage that are told once */
    bool told_waiting;
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
    uint64_t revision;
    bool dirty; /* the last view is out of date */
    uint64_t ticked_ms;
    struct route_counters sum; /* scratch */
};

struct route_state *router_find(const struct router *router, const char *name);
struct router_view *router_make_view(const struct router *router);
uint32_t router_effective(const struct router *router, const struct route_state *state);

/* The comparison totals of the route, zero without the hook. */
struct comparison_totals route_state_pairs(const struct router *router, const struct route_state *state);
void route_state_judge(const struct router *router, const struct route_state *state, const struct route_counters *sum,
                       struct gate_report *report);

/* One route as saved; new reference, NULL without memory. */
json_t *route_state_save(const struct router *router, const struct route_state *state, uint64_t now_ms,
                         uint64_t wall_ms);

/* What was saved of a route. */
struct route_past {
    struct plan_past plan; /* stage_name borrowed from the JSON */
    enum breaker_state breaker;
    uint32_t trips;
    uint64_t cooldown_left_ms;
    struct evidence evidence;
};
/* False with *why (static) when it is not what route_state_save() writes. */
bool route_past_load(const json_t *json, struct route_past *past, uint64_t wall_ms, const char **why);

/* A share as people read it: 25, or 12.34. */
json_t *share_json(uint32_t share);
json_t *plan_json(const struct plan *plan, const struct config_route *config);

#endif
