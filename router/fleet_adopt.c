/*
 * What the fleet has decided of a route, taken up: its item. A replica whose file has another plan finds its place by
 * the rules of an edited file; what happened here while the fleet could not be reached stays while it is safer. Control
 * thread only.
 */
#include <string.h>

#include "router/control.h"
#include "router/pool.h"

enum {
    PARKED_MAX = 256, /* items of routes that the file does not name */
};

/* ---- the plan ---- */

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool is_same_ramp(const struct plan_ramp *a, const struct plan_ramp *b)
{
    return a->length_ms == b->length_ms && a->from == b->from;
}

/* A fixed share is the fleet's, whatever the file of a replica says: edits are asked for. */
static struct plan place_in(const struct route_state *state, const struct plan_past *past, uint64_t wall_ms)
{
    const struct config_route *config = state->config;
    struct plan plan = past->plan;
    if (config->stage_count > 0 || past->had_stages)
        plan_adopt(&plan, past, config, wall_ms);
    if (config->stage_count == 0) {
        plan.stage = 0;
        plan.percent = (uint32_t)smaller(plan.percent, past->plan.percent);
    }
    return plan;
}

/* The plan's place by the value. In the same stage what has been held here goes on. */
static void place(struct route_state *state, const struct fleet_value *value, bool anew, uint64_t wall_ms)
{
    const struct plan was = state->plan;
    struct plan_past past = value->past->plan;
    past.plan.entries = was.entries;
    struct plan plan = place_in(state, &past, wall_ms);
    bool elsewhere = plan.entries != was.entries; /* this replica's file has another stage for it */
    plan.entries = was.entries + anew;
    if (anew) {
        plan.held_ms = 0;
    } else {
        plan.held_ms = was.held_ms;
        plan.deadline_over = plan.deadline_over || was.deadline_over;
        if (elsewhere && plan.stage == was.stage)
            plan.entered_wall_ms = was.entered_wall_ms;
    }
    if (is_same_ramp(&plan.ramp, &was.ramp))
        plan.ramp.left_ms = smaller(plan.ramp.left_ms, was.ramp.left_ms);
    state->plan = plan;
}

bool route_state_place_again(struct route_state *state, uint64_t wall_ms)
{
    struct route_past past;
    struct fleet_value value;
    const char *why;
    if (state->fleet.item == NULL || state->fleet.ahead ||
        !fleet_value_load(state->fleet.item, &past, &value, wall_ms, &why))
        return false;
    uint32_t entries = state->plan.entries;
    struct plan_ramp ramp = state->plan.ramp;
    place(state, &value, false, wall_ms);
    if (ramp.length_ms == 0)
        plan_end_ramp(&state->plan);
    state->plan.entries = entries;
    return true;
}

static bool is_safer(const struct plan *a, const struct plan *b, const struct fleet_breaker *breaker)
{
    uint32_t share = fleet_share(a, breaker);
    uint32_t others = fleet_share(b, breaker);
    return share < others || (share == others && fleet_rank(a, breaker) < fleet_rank(b, breaker));
}

/* Is the plan here safer than what the value says? Then it has happened here, and the fleet does not know. */
static bool is_ahead(const struct route_state *state, const struct fleet_value *value)
{
    const struct fleet_breaker closed = {.state = BREAKER_CLOSED};
    return is_safer(&state->plan, &value->past->plan.plan, &closed);
}

/* When a stage began is not the same in replicas that meet. */
static bool shows(const struct plan *a, const struct plan *b, bool first)
{
    return a->phase != b->phase || a->stage != b->stage || a->percent != b->percent ||
           (a->entered_wall_ms != b->entered_wall_ms && !first) || a->deadline_over != b->deadline_over ||
           (b->ramp.length_ms > 0 && !is_same_ramp(&a->ramp, &b->ramp));
}

/* What the stage had shown, where the wish was ours. */
static json_t *evidence_of(const struct route_state *state, const struct fleet_value *value)
{
    const json_t *log = state->fleet.wish.log;
    json_t *evidence = json_object_get(log, "evidence");
    const char *what = json_string_value(json_object_get(log, "what"));
    json_int_t at_ms = json_integer_value(json_object_get(log, "at_ms"));
    bool ours = what != NULL && strcmp(what, value->what) == 0 && (uint64_t)at_ms == value->at_ms;
    return ours && json_is_object(evidence) ? json_incref(evidence) : NULL;
}

static void take_moved(struct route_state *state, const struct fleet_value *value)
{
    json_t *moved = json_deep_copy(value->past->moved);
    if (value->past->moved != NULL && moved == NULL)
        return;
    json_decref(state->moved);
    state->moved = moved;
}

/* ---- all of it ---- */

static const char *breaker_event(const struct fleet_breaker *was, const struct fleet_breaker *now)
{
    if (now->state == BREAKER_OPEN)
        return "fleet_breaker_open";
    if (now->state == BREAKER_HALF_OPEN)
        return "fleet_breaker_half_open";
    return was->state != BREAKER_CLOSED ? "fleet_breaker_closed" : "fleet_breaker_healthy";
}

static bool breakers_differ(const struct fleet_breaker *a, const struct fleet_breaker *b)
{
    return a->state != b->state || a->trips != b->trips;
}

static void tell_breaker(struct router *router, const struct route_state *state, const struct fleet_value *value,
                         const struct fleet_breaker *was, bool plan_moved, uint64_t wall_ms)
{
    const struct fleet_breaker *now = &state->fleet.breaker;
    if (!breakers_differ(was, now))
        return;
    const char *what = plan_moved ? breaker_event(was, now) : value->what;
    router_tell(router, state->tally->name, &(struct change){what, value->who, value->why, wall_ms, NULL},
                fleet_breaker_json(was), fleet_breaker_json(now));
}

static void take_plan(struct router *router, struct route_state *state, const struct fleet_value *value, bool anew,
                      uint64_t wall_ms)
{
    uint32_t share = router_share(router, state);
    place(state, value, anew, wall_ms);
    if (share < plan_share(&state->plan))
        plan_end_ramp(&state->plan); /* a way down begins where the share is: never above it */
    state->depends_met = value->past->depends_met;
    if (state->config->depends_count == 0)
        state->depends_met = true;
    if (state->plan.file_percent == state->config->percent)
        state->fleet.edited = false;
    take_moved(state, value);
}

/* Of a plan with stages; a fixed share is asked for when it is edited. */
static void compare_files(struct route_state *state)
{
    const char *shared = json_string_value(json_object_get(state->fleet.item, "file"));
    const struct fleet_file own = fleet_file_of(state->config);
    state->fleet.other_file = state->config->stage_count > 0 && shared != NULL && strcmp(shared, own.hash) != 0;
}

static void begin_entry(struct route_state *state, uint64_t entry)
{
    state->entry = entry;
    state->fleet.has_progress = false;
    state->fleet.holds_anew = false;
}

static void adopt(struct router *router, struct route_state *state, const json_t *json, const struct fleet_value *value,
                  uint64_t version, uint64_t now_ms, uint64_t wall_ms)
{
    struct route_fleet *fleet = &state->fleet;
    const struct route_before before = {state->plan, fleet->breaker};
    uint64_t entry = value->entry > 0 ? value->entry : version;
    bool first = fleet->item == NULL;
    bool anew = entry != state->entry;
    fleet->ahead = fleet->ahead && is_ahead(state, value);
    json_decref(fleet->item);
    fleet->item = json_deep_copy(json);
    state->item_version = version;
    compare_files(state);
    if (anew)
        begin_entry(state, entry);
    if (fleet->ahead)
        state->plan.entries += anew;
    else
        take_plan(router, state, value, anew, wall_ms);
    fleet_breaker_adopt(router, state, &value->breaker, first, now_ms, wall_ms);
    bool moved = shows(&before.plan, &state->plan, first);
    tell_breaker(router, state, value, &before.breaker, moved, wall_ms);
    route_state_follow_plan(router, state);
    router_settle_lent(router);
    route_state_follow_force(router, state, false);
    router_changed(router);
    if (moved)
        router_tell(router, state->tally->name,
                    &(struct change){value->what, value->who, value->why, wall_ms, evidence_of(state, value)},
                    plan_json(&before.plan, state->config), plan_json(&state->plan, state->config));
    fleet->wish.under_way = false;
    fleet->wish.again_at_ms = 0;
}

bool route_state_follow_safer_item(struct router *router, struct route_state *state, uint64_t now_ms, uint64_t wall_ms,
                                   bool *would_help)
{
    struct route_past past;
    struct fleet_value value;
    const char *why;
    json_t *item = json_deep_copy(state->fleet.item);
    bool known = item != NULL && fleet_value_load(item, &past, &value, wall_ms, &why);
    bool follows = known && !is_ahead(state, &value);
    *would_help = !known || is_safer(&state->plan, &past.plan.plan, &state->fleet.breaker);
    if (follows)
        adopt(router, state, item, &value, state->item_version, now_ms, wall_ms);
    json_decref(item);
    return follows;
}

static bool park(struct router *router, const char *route, const json_t *value, uint64_t version)
{
    if (router->parked_items == NULL)
        router->parked_items = json_object();
    json_t *parked = json_pack("{s:I, s:o}", "version", (json_int_t)version, "value", json_deep_copy(value));
    if (parked == NULL)
        return false;
    if (json_object_size(router->parked_items) >= PARKED_MAX)
        (void)json_object_del(router->parked_items, json_object_iter_key(json_object_iter(router->parked_items)));
    return json_object_set_new(router->parked_items, route, parked) == 0;
}

bool router_adopt(struct router *router, const char *route, const json_t *value, uint64_t version, uint64_t now_ms,
                  uint64_t wall_ms, const char **why)
{
    struct route_past past;
    struct fleet_value read;
    struct route_state *state = router_find(router, route);
    if (!fleet_value_load(value, &past, &read, wall_ms, why))
        return false;
    if (state == NULL) {
        (void)park(router, route, value, version);
        return true;
    }
    if (state->fleet.item != NULL && state->item_version == version && json_equal(state->fleet.item, value))
        state->fleet.wish.under_way = false; /* that is how it is already */
    else
        adopt(router, state, value, &read, version, now_ms, wall_ms);
    return true;
}

/* ---- a configuration ---- */

void router_park_item(struct router *router, const struct route_state *state)
{
    if (state->fleet.item != NULL)
        (void)park(router, state->tally->name, state->fleet.item, state->item_version);
}

static void take_parked(struct router *router, struct route_state *state, uint64_t now_ms, uint64_t wall_ms)
{
    json_t *parked = json_incref(json_object_get(router->parked_items, state->tally->name));
    const char *why;
    if (parked == NULL)
        return;
    (void)json_object_del(router->parked_items, state->tally->name);
    (void)router_adopt(router, state->tally->name, json_object_get(parked, "value"),
                       (uint64_t)json_integer_value(json_object_get(parked, "version")), now_ms, wall_ms, &why);
    json_decref(parked);
}

void router_settle_fleet(struct router *router, uint64_t now_ms, uint64_t wall_ms)
{
    for (uint32_t i = 0; i < router->count && router->role != ROUTER_ALONE; i++) {
        route_state_open_pool(router, router->states[i]);
        compare_files(router->states[i]);
        take_parked(router, router->states[i], now_ms, wall_ms);
        fleet_breaker_hold(router, router->states[i], now_ms);
    }
}
