/*
 * The control thread's half: keeps the plan and the breaker of every route and makes the view the workers decide by.
 * What moves them is elsewhere: time and evidence in tick.c, people in command.c, other plans in depends.c.
 *
 * Everything happens in router_configure(), router_tick(), router_command() and router_passthrough(); each change is
 * told to the journal with who, when, why, from and to, and marks the last view as out of date. Reads no clock and does
 * no I/O.
 */
#include "router/control.h"

#include <stdlib.h>
#include <string.h>

#include "router/utf8.h"

enum {
    PARKED_MAX = 256 /* routes that were taken out of the file and may come back */
};

/* ---- small things ---- */

struct route_state *router_find(const struct router *router, const char *name)
{
    for (uint32_t i = 0; i < router->count; i++)
        if (strcmp(router->states[i]->tally->name, name) == 0)
            return router->states[i];
    return NULL;
}

void router_changed(struct router *router)
{
    router->revision++;
    router->dirty = true;
}

struct comparison_totals route_state_pairs(const struct router *router, const struct route_state *state)
{
    struct comparison_totals totals = {0};
    if (router->hooks.comparisons != NULL)
        router->hooks.comparisons(router->hooks.context, state->tally->name, &totals);
    return totals;
}

struct marks route_state_take_pair_marks(const struct router *router, const struct route_state *state)
{
    struct marks marks = {0};
    if (router->hooks.comparison_marks != NULL)
        router->hooks.comparison_marks(router->hooks.context, state->tally->name, &marks);
    return marks;
}

/* ---- shares ---- */

/* What ramps leave of the plan's share, its breaker's and those of the routes it depends on; whether they are closed,
 * and passthrough, is asked for each request. */
static uint32_t ramped_share(const struct router *router, const struct route_state *state)
{
    uint32_t all = plan_share(&state->plan);
    uint32_t own = breaker_share(&state->breaker, &state->config->breaker, all, router->ticked_ms);
    uint32_t lent = breaker_share_at(route_state_is_held(state) ? BREAKER_RAMP_STEPS : state->lent_step, all);
    return own < lent ? own : lent;
}

uint32_t router_share(const struct router *router, const struct route_state *state)
{
    if (router->passthrough != 0 || state->breaker.state != BREAKER_CLOSED || route_state_is_held(state))
        return 0;
    return ramped_share(router, state);
}

bool router_in_force(const struct router *router, const struct route_state *state)
{
    return router->passthrough == 0 && state->plan.phase != PLAN_WAITING && state->plan.phase != PLAN_ROLLED_BACK &&
           router_share(router, state) == state->plan.percent;
}

/* ---- gates ---- */

void route_state_judge(const struct router *router, const struct route_state *state, const struct route_counters *sum,
                       uint64_t wall_ms, struct judgement *judgement)
{
    struct gate_traffic traffic = {state->plan.percent, plan_shadow(&state->plan, state->config)};
    const struct config_stage *stage = plan_stage(&state->plan, state->config);
    const char *unread = route_state_evidence(router, state, sum, &judgement->evidence);
    memset(&judgement->report, 0, sizeof(judgement->report));
    if (stage == NULL)
        return;
    char waits_for[200];
    struct gate_world world = {
        .wall_ms = wall_ms, .freeze = router->table->config->freeze, .verdicts_only = router->verdicts_only};
    if (route_state_waits(router, state, waits_for, sizeof(waits_for)))
        world.waits_for = waits_for;
    if (stage->gates.webhook.url != NULL && router->hooks.approval != NULL && router_judges(router) &&
        state->plan.phase == PLAN_RUNNING)
        router->hooks.approval(router->hooks.context, state->tally->name, stage->name, &stage->gates.webhook,
                               &world.approval);
    gates_judge(&stage->gates, &traffic, &judgement->evidence, &world, &judgement->report);
    if (unread != NULL)
        gates_leave_open(&judgement->report, unread);
}

const struct judgement *router_judge(struct router *router, const struct route_state *state, uint64_t wall_ms)
{
    tally_sum(state->tally, &router->sum);
    route_state_judge(router, state, &router->sum, wall_ms, &router->judged);
    return &router->judged;
}

/* ---- telling ---- */

static json_t *breaker_json(enum breaker_state state, uint32_t trips)
{
    return json_pack("{s:s, s:I}", "breaker", breaker_state_name(state), "trips", (json_int_t)trips);
}

void router_tell(struct router *router, const char *route, const struct change *change, json_t *from, json_t *to)
{
    journal_tell(&router->journal, &(struct router_event){
                                       .at_ms = change->wall_ms,
                                       .route = route,
                                       .what = change->what,
                                       .who = change->who,
                                       .why = change->why,
                                       .from = from,
                                       .to = to,
                                       .evidence = change->evidence,
                                   });
}

void route_state_tell(struct router *router, const struct route_state *state, const struct change *change)
{
    router->revision++; /* the history is saved, too */
    router_tell(router, state->tally->name, change, plan_json(&state->plan, state->config),
                plan_json(&state->plan, state->config));
}

void route_state_tell_breaker(struct router *router, const struct route_state *state, enum breaker_state was,
                              uint32_t trips, const struct change *change)
{
    router_tell(router, state->tally->name, change, breaker_json(was, trips),
                breaker_json(state->breaker.state, state->breaker.trips));
}

/* Remembers who moved the plan last, and why, for why_not. */
static void note_moved(struct route_state *state, const struct change *change)
{
    json_decref(state->moved);
    state->moved = json_pack("{s:s, s:o, s:o, s:I}", "what", change->what, "who", utf8_json(change->who), "why",
                             utf8_json(change->why), "at_ms", (json_int_t)change->wall_ms);
}

/* After a change of the plan: a stage that began gets its evidence from now on. */
void route_state_follow_plan(struct router *router, struct route_state *state)
{
    if (state->entries_seen == state->plan.entries)
        return;
    struct comparison_totals pairs = route_state_pairs(router, state);
    struct marks former[SIDES] = {0};
    state->entries_seen = state->plan.entries;
    state->judge_at_ms = 0;
    state->judged_at_ms = 0;
    state->gathered_ms = 0;
    state->told_failed = false;
    state->told_waiting = false;
    tally_take_marks(state->tally, former);
    (void)route_state_take_pair_marks(router, state);
    tally_sum(state->tally, &router->sum);
    evidence_begin(&state->meter, &router->sum, &pairs, state->plan.percent == SHARE_ALL);
}

void route_state_follow_force(struct router *router, struct route_state *state, bool look_again)
{
    if (router_share(router, state) < plan_share(&state->plan))
        plan_end_ramp(&state->plan); /* what has been taken away is not given back for the rest of a way down */
    bool was = state->in_force;
    state->in_force = router_in_force(router, state);
    if (state->in_force ? was : !was && !look_again)
        return;
    struct comparison_totals pairs = route_state_pairs(router, state);
    tally_sum(state->tally, &router->sum);
    if (state->in_force)
        evidence_take_up(&state->meter, &router->sum);
    else
        evidence_skip(&state->meter, &router->sum, &pairs);
}

void route_state_follow_move(struct router *router, struct route_state *state, const struct plan *before,
                             const struct change *change)
{
    json_t *from = plan_json(before, state->config);
    json_t *to = plan_json(&state->plan, state->config);
    note_moved(state, change);
    route_state_follow_plan(router, state);
    route_state_follow_force(router, state, false);
    router_changed(router);
    router_tell(router, state->tally->name, change, from, to);
}

void route_state_moved(struct router *router, struct route_state *state, const struct plan *before,
                       const struct change *change)
{
    const struct route_before was = {*before, state->fleet.breaker};
    if (router->role == ROUTER_ALONE)
        route_state_follow_move(router, state, before, change);
    else if (router->role == ROUTER_CUT_OFF)
        route_state_act_safely(router, state, &was, 0, change);
    else
        route_state_wish(router, state, &was, WISH_LEADER, 0, change);
}

bool route_state_fall(struct router *router, struct route_state *state, enum config_failure_to to,
                      struct change *change)
{
    struct plan before = state->plan;
    uint32_t share = router_share(router, state);
    if (share > state->share_seen)
        share = state->share_seen; /* it was about to grow */
    change->what = plan_fall(&state->plan, state->config, to, share, change->wall_ms);
    if (change->what == NULL)
        return false;
    route_state_moved(router, state, &before, change);
    return true;
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
    json_decref(state->moved);
    route_state_leave_fleet(state);
    free(state);
}

static void seed_breaker(struct router *router, struct route_state *state)
{
    if (router->seed == 0)
        return;
    router->seed = router->seed * 6364136223846793005u + 1442695040888963407u; /* D. E. Knuth's MMIX */
    breaker_seed(&state->breaker, router->seed | 1);
}

void router_seed(struct router *router, uint64_t seed)
{
    router->seed = seed;
    for (uint32_t i = 0; i < router->count; i++)
        seed_breaker(router, router->states[i]);
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
    json_decref(router->parked_items);
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
    state->lent_step = BREAKER_RAMP_STEPS;
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

static void resurrect_breaker(const struct router *router, struct route_state *state, const struct route_past *past,
                              uint64_t now_ms)
{
    struct breaker *breaker = &state->breaker;
    const struct config_breaker *limits = &state->config->breaker;
    breaker->trips = past->trips;
    if (!limits->enabled)
        return;
    state->last_trip_due = router->replayed && past->breaker == BREAKER_OPEN;
    uint64_t cooldown_left_ms = past->cooldown_left_ms;
    if (cooldown_left_ms == ALL_OF_IT)
        cooldown_left_ms = breaker_cooldown_ms(limits, past->trips);
    if (past->breaker != BREAKER_CLOSED)
        breaker_reopen(breaker, past->trips, cooldown_left_ms, now_ms);
    else if (past->breaker_ramp_left_ms > 0)
        breaker_resume_ramp(breaker, limits, past->breaker_ramp_left_ms, now_ms);
}

/* Takes a route up where a saved state left it. */
static void resurrect(struct router *router, struct route_state *state, const struct route_past *past, uint64_t now_ms,
                      uint64_t wall_ms)
{
    struct comparison_totals pairs = route_state_pairs(router, state);
    plan_adopt(&state->plan, &past->plan, state->config, wall_ms);
    evidence_begin(&state->meter, &router->sum, &pairs, false);
    if (state->plan.entries == past->plan.plan.entries) {
        evidence_resume(&state->meter, &past->evidence, &pairs);
        state->gathered_ms = past->gathered_ms;
        state->told_failed = past->told_failed;
        state->told_waiting = past->told_waiting;
    }
    state->entries_seen = state->plan.entries;
    state->in_force = true;
    state->depends_met = past->depends_met;
    state->moved = json_incref((json_t *)past->moved);
    state->entry = past->entry;
    state->fleet.ahead = past->ahead;
    state->fleet.holds = past->holds;
    if (past->holds)
        state->fleet.breaker.state = BREAKER_OPEN; /* until its item says what it is */
    state->fleet.edited =
        past->file_share <= SHARE_ALL && state->config->stage_count == 0 && past->file_share != state->config->percent;
    resurrect_breaker(router, state, past, now_ms);
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

static const char *const edited = "the route's plan was edited in the file";

static void begin_route(struct router *router, struct route_state *state, uint64_t now_ms, uint64_t wall_ms)
{
    const char *name = state->tally->name;
    const json_t *parked = json_object_get(router->parked, name);
    struct route_past past;
    const char *why = NULL;
    memset(&router->sum, 0, sizeof(router->sum)); /* a new tally has counted nothing */
    (void)breaker_configure(&state->breaker, &state->config->breaker, &router->sum, now_ms);
    state->breaker.since_ms = now_ms;
    seed_breaker(router, state);
    if (parked != NULL && route_past_load(parked, &past, wall_ms, &why)) {
        resurrect(router, state, &past, now_ms, wall_ms);
        if (past_differs(&past.plan, state))
            router_tell(router, name, &(struct change){"reload", "config", edited, wall_ms, NULL},
                        past_json(&past.plan), plan_json(&state->plan, state->config));
        (void)json_object_del(router->parked, name);
    } else {
        plan_begin(&state->plan, state->config, wall_ms);
        route_state_follow_plan(router, state);
        state->in_force = true; /* until all routes are there, and it can be told */
        router_tell(router, name,
                    &(struct change){"route_added", "config", "the route is new in the file", wall_ms, NULL}, NULL,
                    plan_json(&state->plan, state->config));
    }
}

/* A fixed share was, or stages have become one. */
static bool is_edited(const struct config_route *before, const struct config_route *config)
{
    return before->stage_count > 0 || before->percent != config->percent;
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
    state->config = config;
    if (route_state_place_again(state, wall_ms))
        state->fleet.edited = state->fleet.edited || (config->stage_count == 0 && is_edited(before, config) &&
                                                      state->plan.file_percent != config->percent);
    else
        plan_adopt(&state->plan, &past, config, wall_ms);
    bool differs = plans_differ(&past.plan, before, &state->plan, config);
    state->judged_at_ms = 0;
    route_state_follow_plan(router, state);
    if (differs)
        router_tell(router, state->tally->name, &(struct change){"reload", "config", edited, wall_ms, NULL}, from,
                    plan_json(&state->plan, config));
    else
        json_decref(from);
    tally_sum(state->tally, &router->sum);
    if (breaker_configure(breaker, &config->breaker, &router->sum, now_ms))
        route_state_tell_breaker(router, state, was, trips,
                                 &(struct change){"breaker_closed", "config", breaker->why, wall_ms, NULL});
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
    const struct change change = {"route_removed", "config", "the file does not name the route any more", wall_ms,
                                  NULL};
    router_tell(router, state->tally->name, &change, plan_json(&state->plan, state->config), NULL);
    router_park_item(router, state);
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
    struct route_table *former = router->table;
    free(router->states);
    router->states = draft.states;
    router->count = draft.count;
    router->table = draft.table;
    if (former == NULL)
        router->ticked_ms = now_ms;
    for (uint32_t i = 0; i < draft.count; i++) {
        if (draft.fresh[i])
            begin_route(router, draft.states[i], now_ms, wall_ms);
        else
            continue_route(router, draft.states[i], &config->routes[i], now_ms, wall_ms);
    }
    free(draft.fresh);
    router_settle_fleet(router, now_ms, wall_ms);
    router_settle_lent(router);
    router_settle_dependencies(router);
    router->replayed = false;
    for (uint32_t i = 0; i < router->count; i++)
        route_state_follow_force(router, router->states[i], false); /* now that all are there to depend on */
    router_changed(router);
    route_table_unref(former);
    return true;
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
        row->share = ramped_share(router, state);
        row->shadow = plan_shadow(&state->plan, state->config);
        row->epoch = state->breaker.epoch;
        row->permits = state->config->breaker.trial_requests;
        row->breaker = state->breaker.state;
        row->rolled_back = state->plan.phase == PLAN_ROLLED_BACK && row->share == 0;
        row->by_cohort =
            row->share > 0 && (state->plan.phase == PLAN_ROLLED_BACK || row->share < plan_share(&state->plan));
        row->held_back = route_state_is_held(state);
    }
    return view;
}

struct router_view *router_publish(struct router *router)
{
    struct router_view *view = router_make_view(router);
    if (view == NULL)
        return NULL;
    router->dirty = false;
    for (uint32_t i = 0; i < router->count; i++)
        router->states[i]->share_seen = router_share(router, router->states[i]);
    return view;
}

/* ---- passthrough ---- */

static const char *const source_names[PASSTHROUGH_SOURCES] = {
    [PASSTHROUGH_API] = "api",   [PASSTHROUGH_SIGNAL] = "signal",       [PASSTHROUGH_ENVIRONMENT] = "environment",
    [PASSTHROUGH_FILE] = "file", [PASSTHROUGH_FAIL_OPEN] = "fail_open", [PASSTHROUGH_FLEET] = "fleet",
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
    router_changed(router);
    for (uint32_t i = 0; i < router->count; i++)
        route_state_follow_force(router, router->states[i], false);
    router_tell(router, NULL,
                &(struct change){on ? "passthrough_on" : "passthrough_off", who,
                                 reason != NULL ? reason : "no reason given", wall_ms, NULL},
                passthrough_json(before), passthrough_json(after));
    return (before != 0) != (after != 0);
}

void router_note(struct router *router, const char *route, const char *what, const char *who, const char *reason,
                 uint64_t wall_ms)
{
    router->revision++; /* the history is saved, too */
    router_tell(router, route, &(struct change){what, who, reason != NULL ? reason : "no reason given", wall_ms, NULL},
                NULL, NULL);
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
            .effective = router_share(router, state),
            .shadow = plan_shadow(&state->plan, state->config),
            .breaker = state->breaker.state,
            .trips = state->breaker.trips,
            .error_rate = {window_error_rate(&state->breaker.window, SIDE_LEGACY),
                           window_error_rate(&state->breaker.window, SIDE_NEW)},
            .slow_rate = window_slow_rate(&state->breaker.window, SIDE_NEW),
            .steps_back = state->plan.steps_back,
            .gathered_ms = state->gathered_ms,
            .gates = state->judged_at_ms != 0 ? &state->report : NULL,
        };
        tally_sum(state->tally, &sum);
        each(context, &public, &sum);
    }
    tally_sum(router->unrouted, &sum);
    each(context, &(struct router_route_state){.name = "-"}, &sum);
}
