/*
 * The fleet's breaker of a route, and what it makes of each replica's own.
 *
 *               a quorum of replicas has tripped, or the              the cooldown is over
 *               window of all of them crosses the limits
 *   CLOSED ----------------------------------------> OPEN ---------------------------> HALF_OPEN
 *     ^  ^                                           | ^                                |    |
 *     |  +------------ a person, or the file --------+ +---------- a probe failed ------+    |
 *     |                                                                                      |
 *     +------------------------------- enough probes succeeded ------------------------------+
 *
 * Every arrow is a wish of the leader (or a person's), and happens when the fleet has agreed: fleet_breaker_adopt().
 * While it is CLOSED each replica's own breaker does what it does alone: it opens at once, probes and closes by itself,
 * and is told to the leader. While it is not, every replica's own is held open; only the leader's goes half-open, as
 * the fleet's is, and what comes of its probes is the next wish. Control thread only.
 */
#include <stdio.h>
#include <string.h>

#include "router/control.h"
#include "router/pool.h"
#include "router/utf8.h"

enum {
    HELD_MS = 1000,        /* moved on at each tick */
    POOLED_EVERY_MS = 250, /* the window of all; it is read about once a second */
    SETTLE_MS = 2000,      /* after it closed: until then replicas may tell of what was before */
};

static const char *const breaker_events[] = {
    [BREAKER_CLOSED] = "fleet_breaker_closed",
    [BREAKER_OPEN] = "fleet_breaker_open",
    [BREAKER_HALF_OPEN] = "fleet_breaker_half_open",
};

json_t *fleet_breaker_json(const struct fleet_breaker *breaker)
{
    return json_pack("{s:s, s:I}", "fleet_breaker", breaker_state_name(breaker->state), "trips",
                     (json_int_t)breaker->trips);
}

/* ---- wishes ---- */

static struct route_before before_of(const struct route_state *state)
{
    return (struct route_before){state->plan, state->fleet.breaker};
}

static void ask(struct router *router, struct route_state *state, const struct route_before *before, const char *what,
                uint64_t wall_ms)
{
    char why[sizeof(state->fleet.breaker.why)];
    memcpy(why, state->fleet.breaker.why, sizeof(why)); /* it is put back before it is told */
    route_state_wish(router, state, before, WISH_LEADER, 0, &(struct change){what, "breaker", why, wall_ms, NULL});
}

static void ask_to_open(struct router *router, struct route_state *state, bool is_trip, const char *why,
                        uint64_t wall_ms)
{
    const struct config_breaker *limits = &state->config->breaker;
    struct fleet_breaker *breaker = &state->fleet.breaker;
    struct route_before before = before_of(state);
    const char *refused;
    const char *what = breaker_events[BREAKER_OPEN];
    (void)snprintf(breaker->why, sizeof(breaker->why), "%s", why);
    breaker->state = BREAKER_OPEN;
    breaker->trips += is_trip;
    breaker->until_wall_ms = wall_ms + breaker_cooldown_ms(limits, breaker->trips);
    if (is_trip && limits->max_trips > 0 && breaker->trips >= limits->max_trips &&
        plan_roll_back(&state->plan, &refused) == 0)
        what = "rollback";
    ask(router, state, &before, what, wall_ms);
}

static void ask_to_half_open(struct router *router, struct route_state *state, uint64_t wall_ms)
{
    struct fleet_breaker *breaker = &state->fleet.breaker;
    struct route_before before = before_of(state);
    breaker->state = BREAKER_HALF_OPEN;
    (void)snprintf(breaker->why, sizeof(breaker->why), "cooldown over: %u trial requests to the leader decide",
                   state->config->breaker.trial_requests);
    ask(router, state, &before, breaker_events[BREAKER_HALF_OPEN], wall_ms);
}

/* `trips` in a row are left of it. */
static void ask_to_close(struct router *router, struct route_state *state, uint32_t trips, const char *why,
                         uint64_t wall_ms)
{
    const struct config_breaker *limits = &state->config->breaker;
    struct fleet_breaker *breaker = &state->fleet.breaker;
    struct route_before before = before_of(state);
    bool opens = breaker->state != BREAKER_CLOSED;
    (void)snprintf(breaker->why, sizeof(breaker->why), "%s", why);
    breaker->state = BREAKER_CLOSED;
    breaker->trips = trips;
    breaker->until_wall_ms = wall_ms + limits->ramp_ms + breaker_healthy_ms(limits);
    ask(router, state, &before, opens ? breaker_events[BREAKER_CLOSED] : "fleet_breaker_healthy", wall_ms);
}

void fleet_breaker_reset(struct fleet_breaker *breaker, const char *why)
{
    (void)snprintf(breaker->why, sizeof(breaker->why), "%s", why);
    breaker->state = BREAKER_CLOSED;
    breaker->trips = 0;
    breaker->until_wall_ms = 0;
    breaker->resets++;
}

/* ---- a replica's own breaker ---- */

static bool probes(const struct router *router, const struct route_state *state)
{
    return router->role == ROUTER_LEADER && state->fleet.breaker.state == BREAKER_HALF_OPEN &&
           state->config->breaker.enabled && route_state_may_wish(router, state);
}

void fleet_breaker_hold(struct router *router, struct route_state *state, uint64_t now_ms)
{
    struct breaker *own = &state->breaker;
    if (router->role == ROUTER_ALONE || state->fleet.breaker.state == BREAKER_CLOSED)
        return;
    state->fleet.holds = true;
    if (!probes(router, state)) {
        enum breaker_state was = own->state;
        breaker_hold(own, "the fleet's breaker is not closed", now_ms + HELD_MS, now_ms);
        if (own->state != was)
            router_changed(router);
    } else if (own->state == BREAKER_OPEN) {
        own->half_open_at_ms = now_ms; /* the next look takes it there */
    }
}

void fleet_breaker_stop_probing(struct router *router, struct route_state *state, uint64_t now_ms)
{
    if (state->fleet.holds && state->breaker.state == BREAKER_HALF_OPEN) {
        breaker_hold(&state->breaker, "another replica leads the fleet", now_ms + HELD_MS, now_ms);
        router_changed(router);
    }
}

/* What the leader's probes have shown. Nothing of the local breaker's way there is told: the fleet's is. */
static void follow_probes(struct router *router, struct route_state *state, enum breaker_change change, uint32_t trips,
                          uint64_t now_ms, uint64_t wall_ms)
{
    struct breaker *own = &state->breaker;
    bool is_trip = own->trips > trips; /* else legacy failed as well */
    own->trips = trips;
    router_changed(router);
    if (change != BREAKER_RECOVERED && change != BREAKER_TRIPPED)
        return;
    char why[sizeof(own->why)];
    memcpy(why, own->why, sizeof(why));
    breaker_hold(own, why, now_ms + HELD_MS, now_ms);
    if (change == BREAKER_RECOVERED)
        ask_to_close(router, state, state->fleet.breaker.trips, why, wall_ms);
    else
        ask_to_open(router, state, is_trip, why, wall_ms);
}

enum breaker_change fleet_breaker_follow(struct router *router, struct route_state *state, enum breaker_change change,
                                         uint32_t trips, uint64_t now_ms, uint64_t wall_ms)
{
    if (change == BREAKER_UNCHANGED || !state->fleet.holds || router->role == ROUTER_ALONE)
        return change;
    follow_probes(router, state, change, trips, now_ms, wall_ms);
    return BREAKER_UNCHANGED;
}

/* ---- an item ---- */

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* By our own clock, and never further away than it can be: the others' wall clock may be anything. */
static uint64_t until_ms(const struct route_state *state, uint64_t now_ms, uint64_t wall_ms)
{
    const struct fleet_breaker *breaker = &state->fleet.breaker;
    const struct config_breaker *limits = &state->config->breaker;
    uint64_t left_ms = breaker->until_wall_ms > wall_ms ? breaker->until_wall_ms - wall_ms : 0;
    uint64_t most_ms = breaker->state == BREAKER_CLOSED ? limits->ramp_ms + breaker_healthy_ms(limits)
                                                        : breaker_cooldown_ms(limits, breaker->trips);
    return now_ms + smaller(left_ms, most_ms);
}

/* A replica that has not seen it close, but knows from its trips that it did so lately. */
static uint64_t closed_at_ms(const struct route_state *state, uint64_t now_ms)
{
    const struct config_breaker *limits = &state->config->breaker;
    uint64_t left_ms = state->fleet.until_ms - now_ms;
    uint64_t passed_ms = limits->ramp_ms + breaker_healthy_ms(limits) - left_ms;
    return state->fleet.breaker.trips > 0 && now_ms > passed_ms ? now_ms - passed_ms : 0;
}

static void reset_own(struct router *router, struct route_state *state, uint64_t now_ms, uint64_t wall_ms)
{
    struct breaker *own = &state->breaker;
    enum breaker_state was = own->state;
    uint32_t trips = own->trips;
    bool held = state->fleet.holds;
    breaker_reset(own, "reset by a person", now_ms);
    if (!held && (was != BREAKER_CLOSED || trips > 0))
        route_state_tell_breaker(router, state, was, trips,
                                 &(struct change){"breaker_closed", "breaker", own->why, wall_ms, NULL});
}

void fleet_breaker_adopt(struct router *router, struct route_state *state, const struct fleet_breaker *breaker,
                         bool first, uint64_t now_ms, uint64_t wall_ms)
{
    struct route_fleet *fleet = &state->fleet;
    struct fleet_breaker was = fleet->breaker;
    fleet->breaker = *breaker;
    fleet->until_ms = until_ms(state, now_ms, wall_ms);
    if (breaker->state != BREAKER_CLOSED) {
        if (was.state == BREAKER_CLOSED) {
            state->plan.held_ms = 0; /* a hold is time without a trip */
            fleet->holds_anew = true;
        }
        fleet_breaker_hold(router, state, now_ms);
        return;
    }
    if (first)
        fleet->closed_at_ms = closed_at_ms(state, now_ms);
    else if (was.state != BREAKER_CLOSED)
        fleet->closed_at_ms = now_ms;
    if (!first && breaker->resets > was.resets) /* one that was cut off may know fewer */
        reset_own(router, state, now_ms, wall_ms);
    else if (fleet->holds && !state->config->breaker.enabled)
        breaker_reset(&state->breaker, breaker->why, now_ms);
    else if (fleet->holds)
        breaker_recover(&state->breaker, &state->config->breaker, breaker->why, now_ms);
    fleet->holds = false;
}

/* ---- the leader ---- */

static bool crosses(const struct route_state *state, uint64_t now_ms, char *why, size_t room)
{
    struct window_counts counts[SIDES];
    struct marks
        marks; /* nobody knows whose errors they are but of our own, and by these it must not be a few clients */
    if (state->pool == NULL || !pool_window(state->pool, state->fleet.closed_at_ms, now_ms, counts))
        return false;
    if (counts[SIDE_NEW].errors == 0 && counts[SIDE_NEW].slow == 0)
        return false; /* so it is nearly always, and the marks cost more than all the rest */
    window_marks(&state->breaker.window, &marks);
    return breaker_is_crossed(&state->config->breaker, counts, &marks, why, room);
}

static void tick_closed(struct router *router, struct route_state *state, uint64_t now_ms, uint64_t wall_ms)
{
    struct route_fleet *fleet = &state->fleet;
    char crossed[120];
    char why[160];
    if (fleet->breaker.trips > 0 && now_ms >= fleet->until_ms) {
        ask_to_close(router, state, 0, "healthy for 10 windows", wall_ms);
        return;
    }
    if (now_ms < fleet->pooled_at_ms)
        return;
    fleet->pooled_at_ms = now_ms + POOLED_EVERY_MS;
    if (!crosses(state, now_ms, crossed, sizeof(crossed)))
        return;
    (void)snprintf(why, sizeof(why), "all replicas together: %s", crossed);
    ask_to_open(router, state, true, why, wall_ms);
}

void fleet_breaker_tick(struct router *router, struct route_state *state, uint64_t now_ms, uint64_t wall_ms)
{
    const struct fleet_breaker *breaker = &state->fleet.breaker;
    if (!state->config->breaker.enabled) {
        if (breaker->state != BREAKER_CLOSED || breaker->trips > 0)
            ask_to_close(router, state, 0, "the breaker was switched off in the file", wall_ms);
    } else if (breaker->state == BREAKER_CLOSED) {
        tick_closed(router, state, now_ms, wall_ms);
    } else if (breaker->state == BREAKER_OPEN && now_ms >= state->fleet.until_ms) {
        ask_to_half_open(router, state, wall_ms);
    }
}

/* ---- the replicas' own breakers, as the leader knows them ---- */

json_t *router_open_breakers(const struct router *router)
{
    json_t *open = json_object();
    for (uint32_t i = 0; i < router->count; i++) {
        const struct route_state *state = router->states[i];
        if (state->breaker.state != BREAKER_CLOSED && !state->fleet.holds)
            (void)json_object_set_new(open, state->tally->name, utf8_json(state->breaker.why));
    }
    return open;
}

void route_state_forget_outliers(struct route_state *state)
{
    json_decref(state->fleet.outliers);
    state->fleet.outliers = NULL;
}

static void tell_outlier(struct router *router, const struct route_state *state, const char *replica, size_t tripped,
                         uint32_t alive, uint64_t wall_ms)
{
    char why[320];
    (void)snprintf(why, sizeof(why),
                   "replica %.100s has opened its own breaker, %zu of %u have: the fleet's stays closed", replica,
                   tripped, alive);
    router->revision++;
    router_tell(router, state->tally->name, &(struct change){"fleet_outlier", "breaker", why, wall_ms, NULL}, NULL,
                NULL);
}

/* Once each time: until it is none any more. */
static void name_outliers(struct router *router, struct route_state *state, const json_t *names, uint32_t alive,
                          uint64_t wall_ms)
{
    json_t *told = json_object();
    for (size_t i = 0; told != NULL && i < json_array_size(names); i++) {
        const char *replica = json_string_value(json_array_get(names, i));
        if (replica == NULL || json_object_get(told, replica) != NULL)
            continue;
        if (json_object_get(state->fleet.outliers, replica) == NULL)
            tell_outlier(router, state, replica, json_array_size(names), alive, wall_ms);
        (void)json_object_set_new(told, replica, json_true());
    }
    route_state_forget_outliers(state);
    state->fleet.outliers = told;
}

uint64_t router_fleet_quorum(uint64_t alive)
{
    return alive < 2 ? 1 : alive / 2 + 1;
}

/* "2 of 3 replicas have opened theirs: a, b" */
static void say_quorum(const json_t *names, uint32_t alive, char *why, size_t room)
{
    size_t count = json_array_size(names);
    int used = snprintf(why, room, "%zu of %u replicas have opened their own:", count, alive);
    for (size_t i = 0; i < count && used > 0 && (size_t)used < room; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        used += snprintf(why + used, room - (size_t)used, "%s %.60s", i > 0 ? "," : "", name != NULL ? name : "?");
    }
}

static void look_at(struct router *router, struct route_state *state, const json_t *names, uint32_t alive,
                    uint64_t now_ms, uint64_t wall_ms)
{
    struct route_fleet *fleet = &state->fleet;
    char why[sizeof(fleet->breaker.why)];
    bool is_settled = fleet->closed_at_ms == 0 || now_ms - fleet->closed_at_ms >= SETTLE_MS;
    if (fleet->breaker.state != BREAKER_CLOSED || !json_is_array(names) || json_array_size(names) == 0) {
        route_state_forget_outliers(state);
    } else if (json_array_size(names) < router_fleet_quorum(alive)) {
        name_outliers(router, state, names, alive, wall_ms);
    } else if (is_settled && state->config->breaker.enabled && route_state_may_wish(router, state)) {
        say_quorum(names, alive, why, sizeof(why));
        ask_to_open(router, state, true, why, wall_ms);
    }
}

void router_fleet_looked(struct router *router, const json_t *open, uint32_t alive, uint64_t now_ms, uint64_t wall_ms)
{
    for (uint32_t i = 0; i < router->count && router->role == ROUTER_LEADER; i++) {
        struct route_state *state = router->states[i];
        if (state->item_version > 0)
            look_at(router, state, json_object_get(open, state->tally->name), alive, now_ms, wall_ms);
    }
}
