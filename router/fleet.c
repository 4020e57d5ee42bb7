/*
 * The router's part in a fleet: who decides here (roles), and what the fleet is asked for (wishes). What it has decided
 * is fleet_adopt.c's. docs/fleet.md has the whole.
 *
 * Whatever would change a plan or the fleet's breaker is worked out on the route's state by the same functions as
 * without a fleet; then the state becomes a value, is put back as it was, and the value goes out as a wish. It comes
 * back, or another does, as the route's item. What is safe happens here at once while the fleet cannot be reached; the
 * route is then `ahead` of its item, and stays so, whatever items come, until one is as safe. Control thread only; no
 * I/O.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "router/control.h"
#include "router/pool.h"
#include "router/utf8.h"

enum {
    WISH_PATIENCE_MS = 5000, /* then nobody answers any more */
    WISH_AGAIN_MS = 200,
    LOG_MOST = 6000, /* FLEET_TEXT_MOST of router/store/fleet.h, and some room */
};

static const char *const role_names[] = {
    [ROUTER_ALONE] = "alone",
    [ROUTER_CUT_OFF] = "cut_off",
    [ROUTER_FOLLOWER] = "follower",
    [ROUTER_LEADER] = "leader",
};

const char *router_role_name(enum router_role role)
{
    return (unsigned)role < sizeof(role_names) / sizeof(role_names[0]) ? role_names[role] : "unknown";
}

bool router_judges(const struct router *router)
{
    return router->role == ROUTER_ALONE || router->role == ROUTER_LEADER;
}

/* ---- roles ---- */

static void end_wish(const struct router *router, struct route_state *state)
{
    state->fleet.wish.under_way = false;
    state->fleet.wish.again_at_ms = router->ticked_ms + WISH_AGAIN_MS;
}

/* Without memory the others do not hear of what is counted here; all else goes on. */
void route_state_open_pool(struct router *router, struct route_state *state)
{
    if (state->pool != NULL || router->role == ROUTER_ALONE)
        return;
    state->pool = pool_route_new();
    if (state->pool != NULL)
        pool_route_resume(router, state);
}

static void take_role(struct router *router, struct route_state *state, uint64_t now_ms)
{
    struct route_wish *wish = &state->fleet.wish;
    bool leads = router->role == ROUTER_LEADER;
    route_state_open_pool(router, state);
    if (wish->under_way && !leads && (wish->kind == WISH_LEADER || router->role == ROUTER_CUT_OFF))
        wish->under_way = false;
    wish->again_at_ms = 0;
    state->judged_at_ms = 0; /* what was said by another role is not said any more */
    state->judge_at_ms = 0;
    state->fleet.has_progress = false;
    if (leads)
        return;
    route_state_forget_outliers(state);
    fleet_breaker_stop_probing(router, state, now_ms);
}

void router_name_replica(struct router *router, const char *name)
{
    (void)snprintf(router->replica, sizeof(router->replica), "%s", name);
}

void router_set_role(struct router *router, enum router_role role, bool may_raise, const char *why_not_raise,
                     uint64_t now_ms)
{
    router->may_raise = may_raise;
    router->why_not_raise = why_not_raise;
    if (router->role == role)
        return;
    router->role = role;
    for (uint32_t i = 0; i < router->count; i++)
        take_role(router, router->states[i], now_ms);
    router_changed(router);
}

void route_state_leave_fleet(struct route_state *state)
{
    pool_route_free(state->pool);
    json_decref(state->fleet.item);
    json_decref(state->fleet.outliers);
    json_decref(state->fleet.wish.log);
}

/* ---- wishes ---- */

bool route_state_may_wish(const struct router *router, const struct route_state *state)
{
    const struct route_wish *wish = &state->fleet.wish;
    return !wish->under_way && router->ticked_ms >= wish->again_at_ms;
}

static json_t *by_json(const struct change *change)
{
    return json_pack("{s:s, s:o, s:o, s:I}", "what", change->what, "who", utf8_json(change->who), "why",
                     utf8_json(change->why), "at_ms", (json_int_t)change->wall_ms);
}

static bool plan_is_untouched(const struct plan *a, const struct plan *b)
{
    return a->phase == b->phase && a->entries == b->entries && a->stage == b->stage && a->percent == b->percent &&
           a->ramp.length_ms == b->ramp.length_ms && a->deadline_over == b->deadline_over;
}

/* What Redis keeps of a change is bounded: of very many gates, only how it went. */
static json_t *short_log(const json_t *log)
{
    json_t *copy = json_deep_copy(log);
    json_t *evidence = json_object_get(copy, "evidence");
    static const char *const longest[] = {"past", "gates"};
    for (size_t i = 0; i < sizeof(longest) / sizeof(longest[0]) && json_dumpb(copy, NULL, 0, JSON_COMPACT) > LOG_MOST;
         i++)
        (void)json_object_del(evidence, longest[i]);
    return copy;
}

/* "from" and "to" are of the plan; of the fleet's breaker where only that would change. */
static json_t *log_json(const struct route_state *state, const struct route_before *before, const struct change *change)
{
    json_t *log = by_json(change);
    bool of_breaker = plan_is_untouched(&before->plan, &state->plan);
    if (log == NULL)
        return NULL;
    (void)json_object_set_new(
        log, "from", of_breaker ? fleet_breaker_json(&before->breaker) : plan_json(&before->plan, state->config));
    (void)json_object_set_new(
        log, "to", of_breaker ? fleet_breaker_json(&state->fleet.breaker) : plan_json(&state->plan, state->config));
    (void)json_object_set(log, "evidence", change->evidence != NULL ? change->evidence : json_null());
    return log;
}

/* Where it happened here while others may have gone on, nobody knows whose evidence that of the stage is. */
static uint64_t entry_of(const struct route_state *state, const struct route_before *before, enum router_wish_kind kind)
{
    return kind == WISH_SAFETY || state->plan.entries != before->plan.entries ? 0 : state->entry;
}

static void note_wish(struct router *router, struct route_state *state, enum router_wish_kind kind, json_t *log)
{
    struct route_wish *wish = &state->fleet.wish;
    json_decref(wish->log);
    wish->log = log;
    wish->under_way = true;
    wish->kind = kind;
    wish->over_at_ms = router->ticked_ms + WISH_PATIENCE_MS;
}

void route_state_wish(struct router *router, struct route_state *state, const struct route_before *before,
                      enum router_wish_kind kind, uint64_t ticket, const struct change *change)
{
    json_t *by = by_json(change);
    json_t *log = log_json(state, before, change);
    bool moves = !plan_is_untouched(&before->plan, &state->plan);
    struct router_wish wish = {
        .kind = kind,
        .route = state->tally->name,
        .value = fleet_value_make(state, moves ? by : state->moved, entry_of(state, before, kind), by, change->wall_ms),
        .log = short_log(log),
        .share = fleet_share(&state->plan, &state->fleet.breaker),
        .rank = fleet_rank(&state->plan, &state->fleet.breaker),
        .ticket = ticket,
    };
    if (kind != WISH_SAFETY) {
        state->plan = before->plan;
        state->fleet.breaker = before->breaker;
    }
    note_wish(router, state, kind, log);
    if (router->hooks.wish != NULL && wish.value != NULL && wish.log != NULL)
        router->hooks.wish(router->hooks.context, &wish);
    else
        end_wish(router, state);
    json_decref(wish.value);
    json_decref(wish.log);
    json_decref(by);
    json_decref(change->evidence);
}

/*
 * A share is 0 while the fleet's breaker is not closed, as far as is known here; the fleet would take that for safer
 * than a plan that has come down meanwhile, and that plan would go up with it. So what is no rollback waits until we
 * know.
 */
static bool may_be_told(const struct route_state *state)
{
    return state->fleet.breaker.state == BREAKER_CLOSED || state->plan.phase == PLAN_ROLLED_BACK;
}

void route_state_act_safely(struct router *router, struct route_state *state, const struct route_before *before,
                            uint64_t ticket, const struct change *change)
{
    struct change again = *change;
    again.evidence = json_incref(change->evidence);
    state->fleet.ahead = true;
    route_state_follow_move(router, state, &before->plan, change);
    if (may_be_told(state))
        route_state_wish(router, state, before, WISH_SAFETY, ticket, &again);
    else
        json_decref(again.evidence);
}

void router_wish_over(struct router *router, const char *route)
{
    struct route_state *state = router_find(router, route);
    if (state != NULL)
        end_wish(router, state);
}

/* ---- evidence ---- */

const char *route_state_evidence(const struct router *router, const struct route_state *state,
                                 const struct route_counters *sum, struct evidence *evidence)
{
    struct comparison_totals pairs = route_state_pairs(router, state);
    const struct evidence *pooled = NULL;
    if (router->role == ROUTER_LEADER && state->pool != NULL && state->item_version > 0)
        pooled = pool_evidence(state->pool, state->entry);
    if (pooled != NULL) {
        *evidence = *pooled;
        return NULL;
    }
    evidence_read(&state->meter, sum, &pairs, evidence);
    switch (router->role) {
    case ROUTER_ALONE:
        return NULL;
    case ROUTER_CUT_OFF:
        return "the fleet cannot be reached, and no gate is asked until it can be";
    case ROUTER_FOLLOWER:
        return "another replica leads the fleet and judges, by what all of them saw";
    case ROUTER_LEADER:
        break;
    }
    return "what all replicas saw of this stage has not been read yet";
}

void route_state_take_progress(struct route_state *state)
{
    uint64_t held_ms = 0, gathered_ms = 0;
    if (state->fleet.has_progress || state->pool == NULL || pool_evidence(state->pool, state->entry) == NULL)
        return;
    state->fleet.has_progress = true;
    pool_progress(state->pool, state->entry, &held_ms, &gathered_ms);
    if (held_ms > state->plan.held_ms && !state->fleet.holds_anew)
        state->plan.held_ms = held_ms;
    if (gathered_ms > state->gathered_ms)
        state->gathered_ms = gathered_ms;
}

json_t *router_item(const struct router *router, const char *route, uint64_t now_ms, uint64_t wall_ms, uint32_t *share,
                    uint32_t *rank)
{
    const struct route_state *state = router_find(router, route);
    (void)now_ms;
    if (state == NULL)
        return NULL;
    json_t *by = state->fleet.ahead ? state->moved : json_object_get(state->fleet.item, "by");
    by = by != NULL
             ? json_incref(by)
             : by_json(&(struct change){"route_shared", "config", "the fleet did not know the route", wall_ms, NULL});
    json_t *value = fleet_value_make(state, state->moved, state->entry, by, wall_ms);
    *share = fleet_share(&state->plan, &state->fleet.breaker);
    *rank = fleet_rank(&state->plan, &state->fleet.breaker);
    json_decref(by);
    return value;
}

/* ---- what has to be asked for by itself ---- */

static const char *const edited = "the route's plan was edited in the file";

/* It has happened here, and the items that came since do not show it. Where the fleet is as safe by now, that holds. */
static void ask_for_safety(struct router *router, struct route_state *state, uint64_t now_ms, uint64_t wall_ms)
{
    bool would_help;
    if (route_state_follow_safer_item(router, state, now_ms, wall_ms, &would_help) || !would_help)
        return;
    const struct route_before before = {state->plan, state->fleet.breaker};
    const char *what = json_string_value(json_object_get(state->moved, "what"));
    const char *who = json_string_value(json_object_get(state->moved, "who"));
    const char *why = json_string_value(json_object_get(state->moved, "why"));
    route_state_wish(router, state, &before, WISH_SAFETY, 0,
                     &(struct change){what != NULL ? what : "rollback", who != NULL ? who : "plan",
                                      why != NULL ? why : "it happened while the fleet could not be reached", wall_ms,
                                      NULL});
}

/* A fixed share that was edited. While cut off only a lower one is taken. */
static void follow_edit(struct router *router, struct route_state *state, uint64_t wall_ms)
{
    const struct route_before before = {state->plan, state->fleet.breaker};
    const struct plan_past past = {.plan = state->plan, .had_stages = true};
    struct plan plan;
    plan_adopt(&plan, &past, state->config, wall_ms);
    bool raises = plan.percent > before.plan.percent;
    if (plan.phase == PLAN_ROLLED_BACK || plan.percent == before.plan.percent) {
        state->fleet.edited = false;
        return;
    }
    if (router->role == ROUTER_CUT_OFF && raises)
        return;
    const struct change change = {"reload", "config", edited, wall_ms, NULL};
    state->plan = plan;
    if (router->role == ROUTER_CUT_OFF) {
        state->fleet.edited = false;
        route_state_act_safely(router, state, &before, 0, &change);
    } else {
        route_state_wish(router, state, &before, WISH_FILE, 0, &change);
    }
}

/* The leader's file is the one by which it judges: the others are told what became of the plan in it. */
static void share_file(struct router *router, struct route_state *state, uint64_t wall_ms)
{
    const struct route_before before = {state->plan, state->fleet.breaker};
    const json_t *plan = json_object_get(state->fleet.item, "plan");
    const char *stage = json_string_value(json_object_get(plan, "stage"));
    if (!state->fleet.other_file)
        return;
    if (stage == NULL || strcmp(stage, plan_stage_name(&state->plan, state->config)) != 0 ||
        json_integer_value(json_object_get(plan, "percent")) != (json_int_t)state->plan.percent)
        state->plan.entries++; /* another stage, or another share: its evidence begins anew */
    route_state_wish(router, state, &before, WISH_LEADER, 0,
                     &(struct change){"reload", "config", edited, wall_ms, NULL});
}

void route_state_tick_fleet(struct router *router, struct route_state *state, uint64_t now_ms, uint64_t wall_ms)
{
    struct route_fleet *fleet = &state->fleet;
    if (fleet->wish.under_way && router->ticked_ms >= fleet->wish.over_at_ms)
        end_wish(router, state);
    if (!route_state_may_wish(router, state) || state->item_version == 0)
        return;
    if (fleet->ahead && router->role != ROUTER_CUT_OFF)
        ask_for_safety(router, state, now_ms, wall_ms);
    else if (fleet->edited)
        follow_edit(router, state, wall_ms);
    if (router->role == ROUTER_LEADER && route_state_may_wish(router, state))
        share_file(router, state, wall_ms);
    if (router->role == ROUTER_LEADER && route_state_may_wish(router, state))
        fleet_breaker_tick(router, state, now_ms, wall_ms);
}

/* ---- for people ---- */

bool route_state_fleet_why_not(const struct router *router, const struct route_state *state, char *sentence,
                               size_t room)
{
    const struct fleet_breaker *breaker = &state->fleet.breaker;
    const char *why = NULL;
    if (router->role == ROUTER_ALONE)
        return false;
    if (breaker->state != BREAKER_CLOSED) {
        (void)snprintf(sentence, room, "the fleet's breaker is %s: %s", breaker_state_name(breaker->state),
                       breaker->why);
        return true;
    }
    if (router->role == ROUTER_CUT_OFF)
        why = "the fleet cannot be reached: no gate is asked and nothing is raised until Redis is there again";
    else if (router->role == ROUTER_FOLLOWER)
        why = "another replica leads the fleet and judges, by what all of them saw: ask it (shuntctl fleet names it)";
    else if (state->item_version == 0)
        why = "the fleet has no plan of this route yet: it has been asked to take this one";
    else if (state->fleet.wish.under_way)
        why = "the fleet has been asked for a change, and has not answered yet";
    if (why != NULL)
        (void)snprintf(sentence, room, "%s", why);
    return why != NULL;
}

json_t *route_state_fleet_json(const struct router *router, const struct route_state *state, uint64_t now_ms)
{
    const struct route_fleet *fleet = &state->fleet;
    const struct fleet_breaker *breaker = &fleet->breaker;
    bool cools = breaker->state == BREAKER_OPEN && fleet->until_ms > now_ms;
    return json_pack("{s:s, s:I, s:I, s:b, s:b, s:{s:s, s:I, s:o, s:I}}", "role", router_role_name(router->role),
                     "version", (json_int_t)state->item_version, "entry", (json_int_t)state->entry, "ahead",
                     fleet->ahead, "asked", fleet->wish.under_way, "breaker", "state",
                     breaker_state_name(breaker->state), "trips", (json_int_t)breaker->trips, "why",
                     utf8_json(breaker->why), "cooldown_left_ms", (json_int_t)(cools ? fleet->until_ms - now_ms : 0));
}
