/*
 * Plans that depend on other plans: what they wait for, when they fall with them, and when they have no live traffic,
 * or less, because the other's breaker is not closed, or has been for a moment only.
 *
 * A dependency is met, and then it may fall: a plan that has been met and is no more has been rolled back or stepped
 * back, by whomever. Then the plans that depend on it do what their on_failure says, and so do those that depend on
 * these. Control thread only; called after everything that may have moved a plan.
 */
#include "router/control.h"

#include <stdio.h>

/* NULL before all routes of the configuration are there. */
static const struct route_state *state_of(const struct router *router, const struct config_dependency *dependency)
{
    return dependency->route_index < router->count ? router->states[dependency->route_index] : NULL;
}

bool dependency_is_met(const struct router *router, const struct config_dependency *dependency)
{
    const struct route_state *state = state_of(router, dependency);
    if (state == NULL || state->plan.phase == PLAN_WAITING || state->plan.phase == PLAN_ROLLED_BACK)
        return false;
    if (state->plan.phase == PLAN_DONE)
        return true;
    return dependency->stage != NULL && state->plan.stage >= dependency->stage_index;
}

static const struct config_dependency *first_unmet(const struct router *router, const struct route_state *state)
{
    for (uint32_t i = 0; i < state->config->depends_count; i++)
        if (!dependency_is_met(router, &state->config->depends_on[i]))
            return &state->config->depends_on[i];
    return NULL;
}

/* ---- traffic ---- */

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint32_t own_step(const struct router *router, const struct route_state *state)
{
    return breaker_step(&state->breaker, &state->config->breaker, router->ticked_ms);
}

static uint64_t own_ramp_ends_ms(const struct router *router, const struct route_state *state)
{
    return router->ticked_ms + breaker_ramp_left_ms(&state->breaker, &state->config->breaker, router->ticked_ms);
}

/* Takes over what those it depends on have themselves, and were left. True when that is less than it was. */
static bool settle_lent(const struct router *router, struct route_state *state)
{
    uint32_t step = state->lent_step;
    uint64_t at_ms = state->lent_at_ms;
    for (uint32_t i = 0; i < state->config->depends_count; i++) {
        const struct route_state *on = state_of(router, &state->config->depends_on[i]);
        if (on == NULL)
            continue;
        step = smaller(step, smaller(own_step(router, on), on->lent_step));
        at_ms = later(at_ms, later(own_ramp_ends_ms(router, on), on->lent_at_ms));
    }
    bool less = step < state->lent_step || at_ms > state->lent_at_ms;
    state->lent_step = step;
    state->lent_at_ms = at_ms;
    return less;
}

/* Each round reaches those one step further from the breakers; where many depend on many, walking every way from each
 * would take for ever. */
void router_settle_lent(struct router *router)
{
    bool again = true;
    for (uint32_t i = 0; i < router->count; i++) {
        router->states[i]->lent_step = BREAKER_RAMP_STEPS;
        router->states[i]->lent_at_ms = router->ticked_ms;
    }
    while (again) {
        again = false;
        for (uint32_t i = 0; i < router->count; i++)
            again = settle_lent(router, router->states[i]) || again;
    }
}

bool route_state_is_held(const struct route_state *state)
{
    return state->lent_step == 0;
}

uint64_t route_state_ramp_left_ms(const struct route_state *state, uint64_t now_ms)
{
    uint64_t own_ms = breaker_ramp_left_ms(&state->breaker, &state->config->breaker, now_ms);
    return later(own_ms, state->lent_at_ms > now_ms ? state->lent_at_ms - now_ms : 0);
}

/* The first it depends on that holds it, by its own breaker or since it is held, too; NULL: none. */
static const struct route_state *held_by(const struct router *router, const struct route_state *state)
{
    for (uint32_t i = 0; i < state->config->depends_count; i++) {
        const struct route_state *on = state_of(router, &state->config->depends_on[i]);
        if (on != NULL && (on->breaker.state != BREAKER_CLOSED || route_state_is_held(on)))
            return on;
    }
    return NULL;
}

/* The route whose breaker holds this one's traffic; NULL: none. The configuration has no circles. */
static const struct route_state *holder(const struct router *router, const struct route_state *state)
{
    const struct route_state *on = route_state_is_held(state) ? held_by(router, state) : NULL;
    while (on != NULL && on->breaker.state == BREAKER_CLOSED)
        on = held_by(router, on);
    return on;
}

/* ---- plans ---- */

static const char *stage_or_share(const struct route_state *state)
{
    const char *stage = plan_stage_name(&state->plan, state->config);
    return stage != NULL ? stage : "its fixed share";
}

static void say_unmet(const struct router *router, const struct config_dependency *dependency, char *sentence,
                      size_t room)
{
    const struct route_state *on = state_of(router, dependency);
    const char *phase = on != NULL ? plan_phase_name(on->plan.phase) : "not there";
    const char *at = on != NULL ? stage_or_share(on) : "-";
    if (dependency->stage != NULL)
        (void)snprintf(sentence, room, "%s has to be in stage %s or behind it, and is %s in stage %s",
                       dependency->route, dependency->stage, phase, at);
    else
        (void)snprintf(sentence, room, "%s has to be done, and is %s in stage %s", dependency->route, phase, at);
}

bool route_state_waits(const struct router *router, const struct route_state *state, char *sentence, size_t room)
{
    const struct config_dependency *unmet = first_unmet(router, state);
    const struct route_state *by = holder(router, state);
    if (unmet != NULL)
        say_unmet(router, unmet, sentence, room);
    else if (by != NULL)
        (void)snprintf(sentence, room, "the breaker of %s is %s", by->tally->name,
                       breaker_state_name(by->breaker.state));
    return unmet != NULL || by != NULL;
}

static void fall(struct router *router, struct route_state *state, const struct config_dependency *unmet,
                 uint64_t wall_ms)
{
    enum config_failure_to to = state->config->on_failure.to == FAILURE_PREVIOUS ? FAILURE_PREVIOUS : FAILURE_ZERO;
    char what_is[200];
    char why[256];
    say_unmet(router, unmet, what_is, sizeof(what_is));
    (void)snprintf(why, sizeof(why), "a dependency fell: %s", what_is);
    struct change change = {.who = "plan", .why = why, .wall_ms = wall_ms};
    if (state->plan.percent > 0 && route_state_fall(router, state, to, &change))
        return;
    change.what = "dependency_lost"; /* frozen, or without live traffic: there is nothing to take back */
    route_state_tell(router, state, &change);
}

/* In a fleet the leader follows, and not while it has asked for something. Another only remembers what has come, so
 * that it knows what falls when it leads. */
static bool may_follow(const struct router *router, struct route_state *state, const struct config_dependency *unmet)
{
    if (router->role == ROUTER_LEADER)
        return state->item_version > 0 && route_state_may_wish(router, state);
    if (unmet == NULL)
        state->depends_met = true;
    return false;
}

/* True when something changed that others may depend on. */
static bool follow(struct router *router, struct route_state *state, uint64_t wall_ms)
{
    const struct config_dependency *unmet = first_unmet(router, state);
    if (state->depends_met == (unmet == NULL))
        return false;
    if (router->role != ROUTER_ALONE && !may_follow(router, state, unmet))
        return false;
    uint64_t version = state->item_version;
    state->depends_met = unmet == NULL;
    router->revision++;
    if (unmet != NULL) {
        fall(router, state, unmet, wall_ms);
        if (!route_state_may_wish(router, state) && state->item_version == version)
            state->depends_met = true; /* until the fleet has agreed */
    } else if (state->config->depends_count > 0)
        route_state_tell(
            router, state,
            &(struct change){"dependency_met", "plan", "all this plan depends on has come", wall_ms, NULL});
    return true;
}

void router_follow_dependencies(struct router *router, uint64_t wall_ms)
{
    bool again = true;
    for (uint32_t round = 0; again && round <= router->count; round++) {
        again = false;
        for (uint32_t i = 0; i < router->count; i++)
            again = follow(router, router->states[i], wall_ms) || again;
    }
}

/* But what fell in the moment before the process was killed has fallen, and is followed. */
void router_settle_dependencies(struct router *router)
{
    for (uint32_t i = 0; i < router->count; i++) {
        struct route_state *state = router->states[i];
        if (state->config->depends_count == 0)
            state->depends_met = true;
        else if (first_unmet(router, state) != NULL && !(router->replayed && state->depends_met))
            state->depends_met = false;
    }
}
