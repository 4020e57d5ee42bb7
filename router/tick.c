/*
 * router_tick(): what time and evidence do. Breakers are looked at every time, gates once a second; a plan moves when
 * its stage has been held and passed, when a gate fails, when its deadline is over, and when a plan it depends on has
 * fallen. Control thread only.
 */
#include "router/control.h"

#include <stdio.h>
#include <string.h>

enum {
    JUDGE_EVERY_MS = 1000,
    JUDGE_AT_ONCE = 8,     /* routes whose gates are looked at in one tick; more, where there are very many */
    TICKS_FOR_ALL = 20,    /* all have had their turn after so many */
    LATENCY_EVERY_MS = 75, /* with the ticks around it, still below 100 ms from a crossing to an open breaker */
};

/* ---- the breaker ---- */

/* What is told of each change; NULL: nothing. */
static const char *const breaker_events[] = {
    [BREAKER_UNCHANGED] = NULL,
    [BREAKER_RENEWED] = NULL,
    [BREAKER_TRIPPED] = "breaker_open",
    [BREAKER_HALF_OPENED] = "breaker_half_open",
    [BREAKER_RECOVERED] = "breaker_closed",
    [BREAKER_FORGAVE] = "breaker_healthy",
    [BREAKER_RAMPED] = NULL,
};

static void last_trip(struct router *router, struct route_state *state, uint64_t wall_ms)
{
    char why[64];
    const char *refused;
    uint32_t most = state->config->breaker.max_trips;
    struct plan before = state->plan;
    bool is_ours =
        router->role == ROUTER_ALONE || router->role == ROUTER_CUT_OFF; /* else it is the fleet's breaker's */
    if (!is_ours || most == 0 || state->breaker.trips < most)
        return;
    (void)snprintf(why, sizeof(why), "the breaker tripped %u times in a row", state->breaker.trips);
    json_t *evidence = judgement_json(router_judge(router, state, wall_ms));
    if (plan_roll_back(&state->plan, &refused) == 0)
        route_state_moved(router, state, &before, &(struct change){"rollback", "breaker", why, wall_ms, evidence});
    else
        json_decref(evidence);
}

/* What the breaker looks at now: NULL when nothing is new. The histograms cost most, so they are added up less often,
 * and crowds not at all. */
static const struct route_counters *look(struct router *router, struct route_state *state, bool *with_latency,
                                         uint64_t now_ms)
{
    uint64_t ended = tally_ended(state->tally);
    bool news = ended != state->ended_seen;
    state->ended_seen = ended;
    state->latency_behind = state->latency_behind || news;
    *with_latency = state->latency_behind && now_ms >= state->latency_at_ms;
    if (*with_latency) {
        state->latency_behind = false;
        state->latency_at_ms = now_ms + LATENCY_EVERY_MS;
        tally_sum_latency(state->tally, &router->sum);
        return &router->sum;
    }
    if (!news)
        return NULL;
    tally_sum_counts(state->tally, &router->sum);
    return &router->sum;
}

static void on_breaker_changed(struct router *router, struct route_state *state, enum breaker_change change,
                               enum breaker_state was, uint32_t trips, uint64_t wall_ms)
{
    router_changed(router);
    route_state_tell_breaker(router, state, was, trips,
                             &(struct change){breaker_events[change], "breaker", state->breaker.why, wall_ms, NULL});
    if (change != BREAKER_TRIPPED)
        return;
    if (router->role == ROUTER_ALONE)
        state->plan.held_ms = 0; /* a hold is time without a trip; in a fleet, of its own breaker */
    last_trip(router, state, wall_ms);
}

/* Who asked since the last look: of interest to the breaker, as far as it was new that was asked, and to the stage
 * while its share is in force. */
static void take_marks(struct route_state *state, struct marks marks[SIDES])
{
    memset(marks, 0, SIDES * sizeof(*marks));
    tally_take_marks(state->tally, marks);
    if (state->in_force)
        evidence_mark(&state->meter, marks);
}

static void tick_breaker(struct router *router, struct route_state *state, uint64_t now_ms, uint64_t wall_ms)
{
    struct breaker *breaker = &state->breaker;
    const struct config_breaker *limits = &state->config->breaker;
    uint32_t trips = breaker->trips;
    struct trial_totals trials = {0};
    struct marks marks[SIDES];
    bool with_latency;
    const struct route_counters *sum = look(router, state, &with_latency, now_ms);
    if (sum != NULL)
        take_marks(state, marks);
    fleet_breaker_hold(router, state, now_ms);
    enum breaker_state was = breaker->state;
    if (was == BREAKER_HALF_OPEN)
        trials = tally_trials(state->tally, breaker->epoch);
    enum breaker_change change =
        breaker_tick(breaker, limits, sum, with_latency, sum != NULL ? &marks[SIDE_NEW] : NULL, &trials, now_ms);
    change = fleet_breaker_follow(router, state, change, trips, now_ms, wall_ms);
    tally_watch_slow(state->tally, breaker_slow_us(breaker, limits));
    if (state->last_trip_due && state->plan.phase != PLAN_ROLLED_BACK)
        last_trip(router, state, wall_ms);
    state->last_trip_due = false;
    if (change == BREAKER_UNCHANGED)
        return;
    router->dirty = true;
    if (breaker_events[change] != NULL)
        on_breaker_changed(router, state, change, was, trips, wall_ms);
}

/* ---- gates ---- */

static void tell_once(struct router *router, struct route_state *state, bool *told, const char *what, const char *why,
                      uint64_t wall_ms)
{
    if (*told)
        return;
    *told = true;
    route_state_tell(router, state, &(struct change){what, "plan", why, wall_ms, judgement_json(&router->judged)});
}

static void on_failed_gate(struct router *router, struct route_state *state, uint64_t wall_ms)
{
    const struct gate_report *report = &router->judged.report;
    char why[320];
    (void)snprintf(why, sizeof(why), "gate %s failed: %s", gate_name(report->decisive),
                   report->gate[report->decisive].sentence);
    struct change change = {.who = "plan", .why = why, .wall_ms = wall_ms};
    if (state->plan.percent == 0 || state->config->on_failure.to == FAILURE_TELL) {
        tell_once(router, state, &state->told_failed, "gate_failed", why, wall_ms);
        return;
    }
    change.evidence = judgement_json(&router->judged);
    if (!route_state_fall(router, state, state->config->on_failure.to, &change))
        json_decref(change.evidence);
}

static bool may_raise(const struct router *router)
{
    return router->role == ROUTER_ALONE || router->may_raise;
}

static void on_passed_stage(struct router *router, struct route_state *state, uint64_t wall_ms)
{
    const struct config_stage *stage = plan_stage(&state->plan, state->config);
    if (stage->promotion != PROMOTION_AUTO || stage->confirm) {
        tell_once(router, state, &state->told_waiting, "waiting_for_promote",
                  "all gates passed for the whole hold: a person may promote", wall_ms);
        return;
    }
    if (!may_raise(router))
        return;
    struct plan before = state->plan;
    json_t *evidence = judgement_json(&router->judged);
    plan_advance(&state->plan, state->config, wall_ms);
    route_state_moved(router, state, &before,
                      &(struct change){state->plan.phase == PLAN_DONE ? "done" : "promote", "plan",
                                       "all gates passed for the whole hold", wall_ms, evidence});
}

static void follow_pairs(const struct router *router, struct route_state *state)
{
    struct comparison_totals pairs = route_state_pairs(router, state);
    struct marks of_pairs = route_state_take_pair_marks(router, state);
    evidence_follow(&state->meter, &pairs);
    evidence_mark_pairs(&state->meter, &of_pairs);
}

static void judge(struct router *router, struct route_state *state, bool held, uint64_t now_ms, uint64_t wall_ms)
{
    const struct gate_report *report = &router_judge(router, state, wall_ms)->report;
    state->report = *report;
    state->judged_at_ms = now_ms;
    if (report->verdict == VERDICT_FAIL)
        on_failed_gate(router, state, wall_ms);
    else if (report->verdict == VERDICT_PASS && held && router_in_force(router, state) &&
             state->breaker.state == BREAKER_CLOSED)
        on_passed_stage(router, state, wall_ms);
}

/* ---- the plan ---- */

static void pass_time(const struct router *router, struct route_state *state, uint64_t elapsed_ms)
{
    if (state->in_force)
        state->gathered_ms += elapsed_ms;
    if (state->in_force && state->plan.phase == PLAN_RUNNING && router_judges(router))
        state->plan.held_ms += elapsed_ms;
    plan_pass_time(&state->plan, elapsed_ms);
}

static void do_on_deadline(struct router *router, struct route_state *state, uint64_t wall_ms)
{
    const struct config_stage *stage = plan_stage(&state->plan, state->config);
    struct plan before = state->plan;
    const char *refused;
    char why[200];
    (void)snprintf(why, sizeof(why), "the deadline of stage %s is over", stage->name);
    struct change change = {.who = "plan", .why = why, .wall_ms = wall_ms};
    change.evidence = judgement_json(router_judge(router, state, wall_ms));
    state->plan.deadline_over = true;
    if (stage->on_deadline == DEADLINE_PAUSE && plan_pause(&state->plan, &refused) == 0) {
        change.what = "pause";
        route_state_moved(router, state, &before, &change);
        return;
    }
    enum config_failure_to to = state->config->on_failure.to == FAILURE_PREVIOUS ? FAILURE_PREVIOUS : FAILURE_ZERO;
    if (stage->on_deadline == DEADLINE_ROLLBACK && route_state_fall(router, state, to, &change))
        return;
    change.what = "deadline";
    if (router->role == ROUTER_ALONE)
        route_state_tell(router, state, &change);
    else
        route_state_moved(router, state, &before, &change);
}

static void on_deadline(struct router *router, struct route_state *state, uint64_t wall_ms)
{
    uint64_t version = state->item_version;
    do_on_deadline(router, state, wall_ms);
    if (router->role != ROUTER_ALONE && state->item_version == version)
        state->plan.deadline_over = false; /* until the fleet has agreed */
}

/* In a fleet it is the leader's, and not while it has been asked for something. */
static bool is_ours_to_judge(const struct router *router, struct route_state *state)
{
    if (router->role == ROUTER_ALONE)
        return true;
    if (router->role != ROUTER_LEADER || state->item_version == 0 || !route_state_may_wish(router, state))
        return false;
    route_state_take_progress(state);
    return true;
}

/* True when the gates were looked at. */
static bool tick_plan(struct router *router, struct route_state *state, uint64_t elapsed_ms, bool may_judge,
                      uint64_t now_ms, uint64_t wall_ms)
{
    uint64_t deadline_ms;
    uint64_t hold_ms = plan_hold_ms(&state->plan, state->config);
    bool was_short = state->plan.held_ms < hold_ms;
    route_state_follow_force(router, state, now_ms >= state->judge_at_ms);
    pass_time(router, state, elapsed_ms);
    if (router->role != ROUTER_ALONE)
        route_state_tick_fleet(router, state, now_ms, wall_ms);
    bool held = state->plan.held_ms >= hold_ms;
    if (was_short && held)
        state->judge_at_ms = 0;
    bool due = now_ms >= state->judge_at_ms && may_judge;
    if (due)
        state->judge_at_ms = now_ms + JUDGE_EVERY_MS;
    if (due && state->plan.phase == PLAN_RUNNING)
        follow_pairs(router, state);
    if (!is_ours_to_judge(router, state))
        return due;
    if (due && state->plan.phase == PLAN_RUNNING)
        judge(router, state, held, now_ms, wall_ms);
    if (is_ours_to_judge(router, state) && plan_deadline(&state->plan, state->config, &deadline_ms) &&
        wall_ms >= deadline_ms)
        on_deadline(router, state, wall_ms);
    return due;
}

/* The gates of very many routes are not all looked at in one tick, so that no breaker waits for them. */
static void tick_plans(struct router *router, uint64_t elapsed_ms, uint64_t now_ms, uint64_t wall_ms)
{
    uint32_t first = router->judge_next < router->count ? router->judge_next : 0;
    uint32_t most = JUDGE_AT_ONCE + router->count / TICKS_FOR_ALL;
    uint32_t judged = 0;
    for (uint32_t n = 0; n < router->count; n++) {
        uint32_t i = (first + n) % router->count;
        if (!tick_plan(router, router->states[i], elapsed_ms, judged < most, now_ms, wall_ms))
            continue;
        judged++;
        router->judge_next = i + 1;
    }
}

/* ---- all ---- */

/* Ramps, breakers and dependencies move shares: each step is published, and saved so that none is taken back. */
static void note_shares(struct router *router)
{
    for (uint32_t i = 0; i < router->count; i++) {
        struct route_state *state = router->states[i];
        uint32_t share = router_share(router, state);
        if (share != state->share_seen)
            router_changed(router);
        state->share_seen = share;
    }
}

static uint64_t since_last_tick_ms(const struct router *router, uint64_t now_ms)
{
    return now_ms > router->ticked_ms ? now_ms - router->ticked_ms : 0;
}

void router_slept(struct router *router, uint64_t now_ms)
{
    uint64_t slept_ms = since_last_tick_ms(router, now_ms);
    for (uint32_t i = 0; i < router->count; i++)
        breaker_slept(&router->states[i]->breaker, slept_ms, now_ms);
    router->ticked_ms += slept_ms;
}

bool router_tick(struct router *router, uint64_t now_ms, uint64_t wall_ms)
{
    uint64_t elapsed_ms = since_last_tick_ms(router, now_ms);
    router->ticked_ms = now_ms;
    for (uint32_t i = 0; i < router->count; i++)
        tick_breaker(router, router->states[i], now_ms, wall_ms);
    router_settle_lent(router);
    tick_plans(router, elapsed_ms, now_ms, wall_ms);
    router_follow_dependencies(router, wall_ms);
    note_shares(router);
    return router->dirty;
}
