/*
 * The control thread's half: keeps the plan and the breaker of every route, moves them with time and evidence, obeys
 * people, and makes the view the workers decide by.
 *
 * Everything happens in router_configure(), router_tick(), router_command() and router_passthrough(); each change is
 * told to the journal with who, when, why, from and to, and marks the last view as out of date. Reads no clock and does
 * no I/O.
 */
#include "router/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    JUDGE_EVERY_MS = 1000,
    LATENCY_EVERY_MS = 75, /* with the ticks around it, still below 100 ms from a crossing to an open breaker */
    PARKED_MAX = 256,      /* routes that were taken out of the file and may come back */
};

/* ---- small things ---- */

struct route_state *router_find(const struct router *router, const char *name)
{
    for (uint32_t i = 0; i < router->count; i++)
        if (strcmp(router->states[i]->tally->name, name) == 0)
            return router->states[i];
    return NULL;
}

struct comparison_totals route_state_pairs(const struct router *router, const struct route_state *state)
{
    struct comparison_totals totals = {0};
    if (router->hooks.comparisons != NULL)
        router->hooks.comparisons(router->hooks.context, state->tally->name, &totals);
    return totals;
}

uint32_t router_effective(const struct router *router, const struct route_state *state)
{
    return router->passthrough != 0 || state->breaker.state != BREAKER_CLOSED ? 0 : state->plan.percent;
}

void route_state_judge(const struct router *router, const struct route_state *state, const struct route_counters *sum,
                       struct gate_report *report)
{
    struct comparison_totals pairs = route_state_pairs(router, state);
    struct gate_traffic traffic = {state->plan.percent, plan_shadow(&state->plan, state->config)};
    struct evidence evidence;
    evidence_read(&state->meter, sum, &pairs, &evidence);
    struct gate_world world = {0};
    gates_judge(&state->config->gates, &traffic, &evidence, &world, report);
}

static void changed(struct router *router)
{
    router->revision++;
    router->dirty = true;
}

json_t *share_json(uint32_t share)
{
    return share % 100 == 0 ? json_integer(share / 100) : json_real((double)share / 100);
}

json_t *plan_json(const struct plan *plan, const struct config_route *config)
{
    return json_pack("{s:s, s:s?, s:o}", "phase", plan_phase_name(plan->phase), "stage", plan_stage_name(plan, config),
                     "percent", share_json(plan->percent));
}

static json_t *breaker_json(enum breaker_state state, uint32_t trips)
{
    return json_pack("{s:s, s:I}", "breaker", breaker_state_name(state), "trips", (json_int_t)trips);
}

/* After a change of the plan: a stage that began gets its evidence from now on. */
static void follow_plan(struct router *router, struct route_state *state, const struct route_counters *sum)
{
    if (state->entries_seen == state->plan.entries)
        return;
    struct comparison_totals pairs = route_state_pairs(router, state);
    state->entries_seen = state->plan.entries;
    state->judge_at_ms = 0;
    state->told_failed = false;
    state->told_waiting = false;
    evidence_begin(&state->meter, sum, &pairs, state->plan.percent == SHARE_ALL);
}

struct change {
    const char *what;
    const char *who;
    const char *why;
    uint64_t wall_ms;
};

/* The plan was `before`: tells what became of it. */
static void plan_changed(struct router *router, struct route_state *state, const struct plan *before,
                         const struct route_counters *sum, const struct change *change)
{
    json_t *from = plan_json(before, state->config);
    json_t *to = plan_json(&state->plan, state->config);
    follow_plan(router, state, sum);
    changed(router);
    journal_tell(&router->journal, change->wall_ms, state->tally->name, change->what, change->who, change->why, from,
                 to);
}

/* ---- life ---- */

struct router *router_new(uint32_t workers, const struct router_hooks *hooks)
{
    struct router *router = calloc(1, sizeof(*router));
    if (router == NULL)
        return NULL;
    router->workers = workers;
    if (hooks != NULL)
        router->hooks = *hooks;
    router->unrouted = tally_new("-", workers);
    router->parked = json_object();
    if (!journal_init(&router->journal, &router->hooks) || router->unrouted == NULL || router->parked == NULL) {
        router_free(router);
        return NULL;
    }
    return router;
}

static void route_state_free(struct route_state *state)
{
    if (state == NULL)
        return;
    breaker_done(&state->breaker);
    tally_unref(state->tally);
    free(state);
}

void router_free(struct router *router)
{
    if (router == NULL)
        return;
    for (uint32_t i = 0; i < router->count; i++)
        route_state_free(router->states[i]);
    free(router->states);
    tally_unref(router->unrouted);
    json_decref(router->parked);
    journal_done(&router->journal);
    route_table_unref(router->table);
    free(router);
}

/* ---- configuration ---- */

/* Everything a configuration needs memory for, found before anything is changed. */
struct draft {
    struct route_table *table;
    struct route_state **states; /* of the new file; those with `fresh` set are ours until they are taken */
    bool *fresh;
    uint32_t count;
};

static struct route_state *route_state_new(const struct router *router, const struct config_route *config)
{
    struct route_state *state = calloc(1, sizeof(*state));
    if (state == NULL)
        return NULL;
    state->config = config;
    state->tally = tally_new(config->name, router->workers);
    if (state->tally == NULL) {
        free(state);
        return NULL;
    }
    return state;
}

static bool draft_route(struct draft *draft, const struct router *router, const struct config_route *config)
{
    uint32_t i = draft->count;
    for (uint32_t before = 0; before < i; before++)
        if (strcmp(draft->states[before]->tally->name, config->name) == 0)
            return false;
    draft->states[i] = router_find(router, config->name);
    draft->fresh[i] = draft->states[i] == NULL;
    if (draft->fresh[i])
        draft->states[i] = route_state_new(router, config);
    if (draft->states[i] == NULL)
        return false;
    draft->count++;
    return breaker_reserve(&draft->states[i]->breaker, &config->breaker);
}

static void draft_discard(struct draft *draft)
{
    for (uint32_t i = 0; i < draft->count; i++)
        if (draft->fresh[i])
            route_state_free(draft->states[i]);
    free(draft->states);
    free(draft->fresh);
    if (draft->table != NULL)
        draft->table->hooks.config_released = NULL; /* the configuration was never taken: it stays the caller's */
    route_table_unref(draft->table);
}

static bool draft_make(struct draft *draft, const struct router *router, const struct config *config)
{
    draft->table = route_table_new(config, &router->hooks);
    draft->states = calloc(config->route_count + 1, sizeof(*draft->states));
    draft->fresh = calloc(config->route_count + 1, sizeof(*draft->fresh));
    if (draft->table == NULL || draft->states == NULL || draft->fresh == NULL)
        return false;
    for (uint32_t i = 0; i < config->route_count; i++)
        if (!draft_route(draft, router, &config->routes[i]))
            return false;
    return true;
}

/* Takes a route up where a saved state left it. */
static void resurrect(struct router *router, struct route_state *state, const struct route_past *past, uint64_t now_ms,
                      uint64_t wall_ms)
{
    struct comparison_totals pairs = route_state_pairs(router, state);
    plan_adopt(&state->plan, &past->plan, state->config, wall_ms);
    evidence_begin(&state->meter, &router->sum, &pairs, false);
    if (state->plan.entries == past->plan.plan.entries)
        evidence_resume(&state->meter, &past->evidence, &pairs);
    state->entries_seen = state->plan.entries;
    state->breaker.trips = past->trips;
    state->breaker.since_ms = now_ms;
    if (past->breaker != BREAKER_CLOSED && state->config->breaker.enabled)
        breaker_reopen(&state->breaker, past->trips, past->cooldown_left_ms, now_ms);
}

static bool plans_differ(const struct plan *a, const struct config_route *a_config, const struct plan *b,
                         const struct config_route *b_config)
{
    const char *a_stage = plan_stage_name(a, a_config);
    const char *b_stage = plan_stage_name(b, b_config);
    return a->phase != b->phase || a->percent != b->percent || (a_stage == NULL) != (b_stage == NULL) ||
           (a_stage != NULL && strcmp(a_stage, b_stage) != 0);
}

static json_t *past_json(const struct plan_past *past)
{
    return json_pack("{s:s, s:s?, s:o}", "phase", plan_phase_name(past->plan.phase), "stage", past->stage_name,
                     "percent", share_json(past->plan.percent));
}

static bool past_differs(const struct plan_past *past, const struct route_state *state)
{
    const char *stage = plan_stage_name(&state->plan, state->config);
    return past->plan.phase != state->plan.phase || past->plan.percent != state->plan.percent ||
           (stage == NULL) != (past->stage_name == NULL) || (stage != NULL && strcmp(stage, past->stage_name) != 0);
}

static void begin_route(struct router *router, struct route_state *state, uint64_t now_ms, uint64_t wall_ms)
{
    const char *name = state->tally->name;
    const json_t *parked = json_object_get(router->parked, name);
    struct route_past past;
    const char *why = NULL;
    memset(&router->sum, 0, sizeof(router->sum)); /* a new tally has counted nothing */
    (void)breaker_configure(&state->breaker, &state->config->breaker, &router->sum, now_ms);
    state->breaker.since_ms = now_ms;
    if (parked != NULL && route_past_load(parked, &past, wall_ms, &why)) {
        resurrect(router, state, &past, now_ms, wall_ms);
        if (past_differs(&past.plan, state))
            journal_tell(&router->journal, wall_ms, name, "reload", "config", "the route's plan was edited in the file",
                         past_json(&past.plan), plan_json(&state->plan, state->config));
        (void)json_object_del(router->parked, name);
    } else {
        plan_start(&state->plan, state->config, wall_ms);
        follow_plan(router, state, &router->sum);
        journal_tell(&router->journal, wall_ms, name, "route_added", "config", "the route is new in the file", NULL,
                     plan_json(&state->plan, state->config));
    }
}

static void continue_route(struct router *router, struct route_state *state, const struct config_route *config,
                           uint64_t now_ms, uint64_t wall_ms)
{
    struct plan_past past = plan_past_of(&state->plan, state->config);
    const struct config_route *before = state->config;
    struct breaker *breaker = &state->breaker;
    enum breaker_state was = breaker->state;
    uint32_t trips = breaker->trips;
    json_t *from = plan_json(&state->plan, before);
    tally_sum(state->tally, &router->sum);
    plan_adopt(&state->plan, &past, config, wall_ms);
    bool differs = plans_differ(&past.plan, before, &state->plan, config);
    state->config = config;
    follow_plan(router, state, &router->sum);
    if (differs)
        journal_tell(&router->journal, wall_ms, state->tally->name, "reload", "config",
                     "the route's plan was edited in the file", from, plan_json(&state->plan, config));
    else
        json_decref(from);
    if (breaker_configure(breaker, &config->breaker, &router->sum, now_ms))
        journal_tell(&router->journal, wall_ms, state->tally->name, "breaker_closed", "config", breaker->why,
                     breaker_json(was, trips), breaker_json(breaker->state, breaker->trips));
}

static bool draft_has(const struct draft *draft, const struct route_state *state)
{
    for (uint32_t i = 0; i < draft->count; i++)
        if (draft->states[i] == state)
            return true;
    return false;
}

/* Remembers a route the file no longer names: it may come back, and must then not begin at a share it had lost. */
static void park_route(struct router *router, struct route_state *state, uint64_t now_ms, uint64_t wall_ms)
{
    json_t *saved = route_state_save(router, state, now_ms, wall_ms);
    if (json_object_size(router->parked) >= PARKED_MAX)
        (void)json_object_del(router->parked, json_object_iter_key(json_object_iter(router->parked)));
    if (saved != NULL)
        (void)json_object_set_new(router->parked, state->tally->name, saved);
    journal_tell(&router->journal, wall_ms, state->tally->name, "route_removed", "config",
                 "the file does not name the route any more", plan_json(&state->plan, state->config), NULL);
    route_state_free(state);
}

bool router_configure(struct router *router, const struct config *config, uint64_t now_ms, uint64_t wall_ms)
{
    struct draft draft = {0};
    if (!draft_make(&draft, router, config)) {
        draft_discard(&draft);
        return false;
    }
    for (uint32_t i = 0; i < router->count; i++)
        if (!draft_has(&draft, router->states[i]))
            park_route(router, router->states[i], now_ms, wall_ms);
    for (uint32_t i = 0; i < draft.count; i++) {
        if (draft.fresh[i])
            begin_route(router, draft.states[i], now_ms, wall_ms);
        else
            continue_route(router, draft.states[i], &config->routes[i], now_ms, wall_ms);
    }
    struct route_table *former = router->table;
    free(router->states);
    free(draft.fresh);
    router->states = draft.states;
    router->count = draft.count;
    router->table = draft.table;
    if (former == NULL)
        router->ticked_ms = now_ms;
    changed(router);
    route_table_unref(former);
    return true;
}

/* ---- time ---- */

static void roll_back(struct router *router, struct route_state *state, const struct route_counters *sum,
                      const struct change *change)
{
    struct plan before = state->plan;
    const char *why;
    if (plan_roll_back(&state->plan, &why) == 0)
        plan_changed(router, state, &before, sum, change);
}

static const char *const breaker_events[] = {
    [BREAKER_TRIPPED] = "breaker_open",
    [BREAKER_HALF_OPENED] = "breaker_half_open",
    [BREAKER_RECOVERED] = "breaker_closed",
    [BREAKER_FORGAVE] = "breaker_healthy",
};

static void last_trip(struct router *router, struct route_state *state, uint64_t wall_ms)
{
    char why[64];
    uint32_t most = state->config->breaker.max_trips;
    if (most == 0 || state->breaker.trips < most)
        return;
    (void)snprintf(why, sizeof(why), "the breaker tripped %u times in a row", state->breaker.trips);
    tally_sum(state->tally, &router->sum);
    roll_back(router, state, &router->sum, &(struct change){"rollback", "breaker", why, wall_ms});
}

/* What the breaker looks at now: NULL when nothing is new. The histograms cost most, so they are added up less often.
 */
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
        tally_sum(state->tally, &router->sum);
        return &router->sum;
    }
    if (!news)
        return NULL;
    tally_sum_counts(state->tally, &router->sum);
    return &router->sum;
}

static void tick_breaker(struct router *router, struct route_state *state, uint64_t now_ms, uint64_t wall_ms)
{
    struct breaker *breaker = &state->breaker;
    enum breaker_state was = breaker->state;
    uint32_t trips = breaker->trips;
    struct trial_totals trials = {0};
    bool with_latency;
    const struct route_counters *sum = look(router, state, &with_latency, now_ms);
    if (was == BREAKER_HALF_OPEN)
        trials = tally_trials(state->tally, breaker->epoch);
    enum breaker_change change = breaker_tick(breaker, &state->config->breaker, sum, with_latency, &trials, now_ms);
    if (change == BREAKER_UNCHANGED)
        return;
    router->dirty = true;
    if (change == BREAKER_RENEWED)
        return;
    changed(router);
    journal_tell(&router->journal, wall_ms, state->tally->name, breaker_events[change], "breaker", breaker->why,
                 breaker_json(was, trips), breaker_json(breaker->state, breaker->trips));
    if (change != BREAKER_TRIPPED)
        return;
    state->plan.held_ms = 0; /* a hold is time without a trip */
    last_trip(router, state, wall_ms);
}

static void tell_once(struct router *router, struct route_state *state, bool *told, const char *what, const char *why,
                      uint64_t wall_ms)
{
    if (*told)
        return;
    *told = true;
    router->revision++;
    journal_tell(&router->journal, wall_ms, state->tally->name, what, "plan", why,
                 plan_json(&state->plan, state->config), plan_json(&state->plan, state->config));
}

static void on_failed_gate(struct router *router, struct route_state *state, const struct gate_report *report,
                           uint64_t wall_ms)
{
    const struct gate_result *gate = &report->gate[report->decisive];
    char why[320];
    (void)snprintf(why, sizeof(why), "gate %s failed: %s", gate_name(report->decisive), gate->sentence);
    if (state->config->promotion == PROMOTION_AUTO && state->plan.percent > 0)
        roll_back(router, state, &router->sum, &(struct change){"rollback", "plan", why, wall_ms});
    else
        tell_once(router, state, &state->told_failed, "gate_failed", why, wall_ms);
}

static void on_passed_stage(struct router *router, struct route_state *state, uint64_t wall_ms)
{
    const struct config_stage *stage = &state->config->stages[state->plan.stage];
    if (state->config->promotion != PROMOTION_AUTO || stage->confirm) {
        tell_once(router, state, &state->told_waiting, "waiting_for_promote",
                  "all gates passed for the whole hold: a person may promote", wall_ms);
        return;
    }
    struct plan before = state->plan;
    plan_advance(&state->plan, state->config, wall_ms);
    plan_changed(router, state, &before, &router->sum,
                 &(struct change){state->plan.phase == PLAN_DONE ? "done" : "promote", "plan",
                                  "all gates passed for the whole hold", wall_ms});
}

/* Time counts for the hold only while the stage's share is really in force. */
static bool hold_runs(const struct router *router, const struct route_state *state)
{
    return state->plan.phase == PLAN_RUNNING && router->passthrough == 0 &&
           (state->breaker.state == BREAKER_CLOSED || state->plan.percent == 0);
}

static void tick_plan(struct router *router, struct route_state *state, uint64_t elapsed_ms, uint64_t now_ms,
                      uint64_t wall_ms)
{
    if (state->plan.phase != PLAN_RUNNING)
        return;
    uint64_t hold_ms = plan_hold_ms(&state->plan, state->config);
    bool was_short = state->plan.held_ms < hold_ms;
    if (hold_runs(router, state))
        state->plan.held_ms += elapsed_ms;
    bool held = state->plan.held_ms >= hold_ms;
    if (now_ms < state->judge_at_ms && !(was_short && held))
        return;
    state->judge_at_ms = now_ms + JUDGE_EVERY_MS;
    struct gate_report report;
    struct comparison_totals pairs = route_state_pairs(router, state);
    evidence_follow(&state->meter, &pairs);
    tally_sum(state->tally, &router->sum);
    route_state_judge(router, state, &router->sum, &report);
    if (report.verdict == VERDICT_FAIL)
        on_failed_gate(router, state, &report, wall_ms);
    else if (report.verdict == VERDICT_PASS && held && router->passthrough == 0 && state->breaker.state != BREAKER_OPEN)
        on_passed_stage(router, state, wall_ms);
}

bool router_tick(struct router *router, uint64_t now_ms, uint64_t wall_ms)
{
    uint64_t elapsed_ms = now_ms > router->ticked_ms ? now_ms - router->ticked_ms : 0;
    router->ticked_ms = now_ms;
    for (uint32_t i = 0; i < router->count; i++) {
        tick_breaker(router, router->states[i], now_ms, wall_ms);
        tick_plan(router, router->states[i], elapsed_ms, now_ms, wall_ms);
    }
    return router->dirty;
}

/* ---- the view ---- */

struct router_view *router_make_view(const struct router *router)
{
    if (router->table == NULL)
        return NULL;
    struct router_view *view = view_new(router->table, router->unrouted, router->workers, router->passthrough != 0);
    if (view == NULL)
        return NULL;
    for (uint32_t i = 0; i < router->count; i++) {
        const struct route_state *state = router->states[i];
        struct view_route *row = &view->routes[i];
        row->tally = tally_ref(state->tally);
        row->share = state->plan.percent;
        row->shadow = plan_shadow(&state->plan, state->config);
        row->epoch = state->breaker.epoch;
        row->permits = state->config->breaker.trial_requests;
        row->breaker = state->breaker.state;
        row->rolled_back = state->plan.phase == PLAN_ROLLED_BACK;
    }
    return view;
}

struct router_view *router_publish(struct router *router)
{
    struct router_view *view = router_make_view(router);
    if (view != NULL)
        router->dirty = false;
    return view;
}

/* ---- verbs ---- */

struct order {
    struct router *router;
    struct route_state *state;
    const struct router_command *command;
    uint64_t now_ms;
    uint64_t wall_ms;
};

static int refuse(int error, const char *reason, const char **why)
{
    *why = reason;
    return -error;
}

static int promote(const struct order *order, const char **why)
{
    struct route_state *state = order->state;
    struct gate_report report;
    if (state->plan.phase == PLAN_RUNNING && !order->command->force) {
        route_state_judge(order->router, state, &order->router->sum, &report);
        if (report.verdict == VERDICT_FAIL)
            return refuse(EPERM, "a gate has failed: see status, or promote with force", why);
        if (report.verdict == VERDICT_UNDECIDED)
            return refuse(EPERM, "a gate is undecided: see status, or promote with force", why);
        if (state->breaker.state != BREAKER_CLOSED)
            return refuse(EPERM, "the breaker is not closed: wait for its trial, or promote with force", why);
    }
    return plan_promote(&state->plan, state->config, order->wall_ms, why);
}

static int pause_plan(const struct order *order, const char **why)
{
    return plan_pause(&order->state->plan, why);
}

/* A person who starts a rolled-back plan again has decided that new may be tried: the breaker starts closed, too. */
static int start_again(const struct order *order, int result, enum plan_phase was)
{
    struct breaker *breaker = &order->state->breaker;
    if (result == 0 && was == PLAN_ROLLED_BACK && (breaker->state != BREAKER_CLOSED || breaker->trips > 0)) {
        json_t *from = breaker_json(breaker->state, breaker->trips);
        breaker_reset(breaker, "the plan was started again by a person", order->now_ms);
        journal_tell(&order->router->journal, order->wall_ms, order->state->tally->name, "breaker_closed",
                     order->command->who, breaker->why, from, breaker_json(breaker->state, breaker->trips));
    }
    return result;
}

static int resume(const struct order *order, const char **why)
{
    struct plan *plan = &order->state->plan;
    enum plan_phase was = plan->phase;
    return start_again(order, plan_resume(plan, order->state->config, order->wall_ms, why), was);
}

static int rollback(const struct order *order, const char **why)
{
    return plan_roll_back(&order->state->plan, why);
}

static int restart(const struct order *order, const char **why)
{
    struct plan *plan = &order->state->plan;
    enum plan_phase was = plan->phase;
    return start_again(order, plan_restart(plan, order->state->config, order->wall_ms, why), was);
}

static int set_percent(const struct order *order, const char **why)
{
    return plan_set_percent(&order->state->plan, order->state->config, order->command->percent, order->wall_ms, why);
}

static int reset_breaker(const struct order *order, const char **why)
{
    struct breaker *breaker = &order->state->breaker;
    if (breaker->state == BREAKER_CLOSED && breaker->trips == 0)
        return refuse(EALREADY, "the breaker is closed and has no trips", why);
    breaker_reset(breaker, "reset by a person", order->now_ms);
    return 0;
}

static const struct {
    const char *name;
    int (*act)(const struct order *order, const char **why);
    bool on_breaker; /* its event shows the breaker, not the plan */
} verbs[] = {
    [VERB_PROMOTE] = {"promote", promote, false},
    [VERB_PAUSE] = {"pause", pause_plan, false},
    [VERB_RESUME] = {"resume", resume, false},
    [VERB_ROLLBACK] = {"rollback", rollback, false},
    [VERB_RESTART] = {"restart", restart, false},
    [VERB_SET_PERCENT] = {"set_percent", set_percent, false},
    [VERB_RESET_BREAKER] = {"reset_breaker", reset_breaker, true},
};

static void tell_breaker_verb(const struct order *order, const char *what, const char *why, json_t *from)
{
    const struct breaker *breaker = &order->state->breaker;
    changed(order->router);
    journal_tell(&order->router->journal, order->wall_ms, order->state->tally->name, what, order->command->who, why,
                 from, breaker_json(breaker->state, breaker->trips));
}

int router_command(struct router *router, const struct router_command *command, uint64_t now_ms, uint64_t wall_ms,
                   const char **why)
{
    if ((unsigned)command->verb >= sizeof(verbs) / sizeof(verbs[0]))
        return refuse(EINVAL, "there is no such verb", why);
    struct route_state *state = command->route != NULL ? router_find(router, command->route) : NULL;
    if (state == NULL)
        return refuse(ENOENT, "there is no route of that name", why);
    struct order order = {router, state, command, now_ms, wall_ms};
    struct plan before = state->plan;
    json_t *breaker_before = breaker_json(state->breaker.state, state->breaker.trips);
    tally_sum(state->tally, &router->sum);
    int result = verbs[command->verb].act(&order, why);
    const char *reason = command->reason != NULL ? command->reason : "no reason given";
    if (result == 0 && verbs[command->verb].on_breaker) {
        tell_breaker_verb(&order, verbs[command->verb].name, reason, breaker_before);
        return 0;
    }
    json_decref(breaker_before);
    if (result == 0)
        plan_changed(router, state, &before, &router->sum,
                     &(struct change){verbs[command->verb].name, command->who, reason, wall_ms});
    return result;
}

/* ---- passthrough ---- */

static const char *const source_names[PASSTHROUGH_SOURCES] = {
    [PASSTHROUGH_API] = "api",   [PASSTHROUGH_SIGNAL] = "signal",       [PASSTHROUGH_ENVIRONMENT] = "environment",
    [PASSTHROUGH_FILE] = "file", [PASSTHROUGH_FAIL_OPEN] = "fail_open",
};

const char *passthrough_source_name(enum passthrough_source source)
{
    return (unsigned)source < PASSTHROUGH_SOURCES ? source_names[source] : "unknown";
}

static json_t *passthrough_json(unsigned sources)
{
    json_t *names = json_array();
    for (unsigned i = 0; i < PASSTHROUGH_SOURCES; i++)
        if ((sources & 1u << i) != 0)
            (void)json_array_append_new(names, json_string(source_names[i]));
    return json_pack("{s:b, s:o}", "passthrough", sources != 0, "sources", names);
}

bool router_passthrough(struct router *router, enum passthrough_source source, bool on, const char *who,
                        const char *reason, uint64_t wall_ms)
{
    if ((unsigned)source >= PASSTHROUGH_SOURCES)
        return false;
    unsigned before = router->passthrough;
    unsigned bit = 1u << (unsigned)source;
    unsigned after = on ? before | bit : before & ~bit;
    if (before == after)
        return false;
    router->passthrough = after;
    changed(router);
    journal_tell(&router->journal, wall_ms, NULL, on ? "passthrough_on" : "passthrough_off", who,
                 reason != NULL ? reason : "no reason given", passthrough_json(before), passthrough_json(after));
    return (before != 0) != (after != 0);
}

void router_note(struct router *router, const char *route, const char *what, const char *who, const char *reason,
                 uint64_t wall_ms)
{
    router->revision++; /* the history is saved, too */
    journal_tell(&router->journal, wall_ms, route, what, who, reason != NULL ? reason : "no reason given", NULL, NULL);
}

bool router_passthrough_is_on(const struct router *router)
{
    return router->passthrough != 0;
}

/* ---- reading ---- */

uint64_t router_revision(const struct router *router)
{
    return router->revision;
}

json_t *router_history(const struct router *router, const char *route)
{
    return journal_list(&router->journal, route);
}

bool router_counters(const struct router *router, const char *route, struct route_counters *sum)
{
    if (strcmp(route, "-") == 0) {
        tally_sum(router->unrouted, sum);
        return true;
    }
    const struct route_state *state = router_find(router, route);
    if (state == NULL)
        return false;
    tally_sum(state->tally, sum);
    return true;
}

void router_each(const struct router *router,
                 void (*each)(void *context, const struct router_route_state *state, const struct route_counters *sum),
                 void *context)
{
    struct route_counters sum;
    for (uint32_t i = 0; i < router->count; i++) {
        const struct route_state *state = router->states[i];
        struct router_route_state public = {
            .name = state->tally->name,
            .config = state->config,
            .phase = state->plan.phase,
            .stage = state->plan.stage,
            .percent = state->plan.percent,
            .effective = router_effective(router, state),
            .shadow = plan_shadow(&state->plan, state->config),
            .breaker = state->breaker.state,
            .trips = state->breaker.trips,
        };
        tally_sum(state->tally, &sum);
        each(context, &public, &sum);
    }
    tally_sum(router->unrouted, &sum);
    each(context, &(struct router_route_state){.name = "-"}, &sum);
}
