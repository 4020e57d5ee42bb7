/*
 * The machine of plan and breaker as a whole: from the start, every event in every state that can be reached, breadth
 * first, until nothing new is found. An event is a verb, evidence, an error, time, a switch; the code is the real one,
 * and a state is put back by copying what the router keeps of it. In each state the file is also edited in every way,
 * and the process is ended and started again.
 *
 * Two states are the same here when they differ in nothing but how much time and evidence has gathered beyond what
 * decides. What must hold after every single event is written down in check_step(); one that is refused leaves no
 * trace.
 */
#include "fixture.h"

#include <errno.h>

#include "router/control.h"

#define HEAD                                                                                                           \
    "    match: { path: /orders/** }\n"                                                                                \
    "    sticky: [ { header: X-User-Id } ]\n"                                                                          \
    "    overrides: [ { header: { X-Test: new }, backend: new }, { header: { X-Test: legacy }, backend: legacy } ]\n"  \
    "    breaker: { window: 1s, consecutive_errors: 3, cooldown: 2s, trial_requests: 1, max_trips: 2, ramp: 2s,\n"     \
    "               error_rate: off, error_rate_increase: off, p95_ratio: off }\n"                                     \
    "    gates: { min_requests: 1, error_rate_increase: off, p95_increase: off, mismatch_rate: 1% }\n"
#define ORDERS YAML_HEAD "  - name: orders\n" HEAD
#define PLANNER                                                                                                        \
    "  - name: planner\n    match: { path: /planner/** }\n    sticky: [ random ]\n"                                    \
    "    overrides: [ { header: { X-Test: new }, backend: new } ]\n"                                                   \
    "    breaker: { window: 1s, consecutive_errors: 3, cooldown: 2s, trial_requests: 1, max_trips: 2,\n"               \
    "               error_rate: off, error_rate_increase: off, p95_ratio: off }\n"                                     \
    "    stages: [ { name: a, percent: 20, hold: 1h }, { name: b, percent: 100, hold: 1h } ]\n"
#define STAGES                                                                                                         \
    "    stages:\n"                                                                                                    \
    "      - { name: shadow, percent: 0, shadow: 100, hold: 60s, deadline: 1h, on_deadline: rollback }\n"              \
    "      - { name: canary, percent: 10, shadow: 100, hold: 60s, deadline: 1h, on_deadline: rollback }\n"             \
    "      - { name: all, percent: 100, shadow: 100, hold: 60s }\n"

static const char *const files[] = {
    ORDERS "    promotion: auto\n    on_failure: { to: zero, ramp: 3s }\n" STAGES,
    ORDERS "    promotion: auto\n    on_failure: { to: previous, retries: 1 }\n" STAGES,
    ORDERS "    promotion: auto\n    on_failure: { to: freeze }\n"
           "    stages:\n"
           "      - { name: canary, percent: 5, shadow: 100, hold: 60s, deadline: 1h, on_deadline: pause }\n"
           "      - { name: half, percent: 50, shadow: 100, hold: 60s, deadline: 1h, on_deadline: tell }\n",
    ORDERS "    promotion: manual\n    start: manual\n"
           "    stages:\n"
           "      - { name: shadow, percent: 0, shadow: 100, hold: 60s }\n"
           "      - { name: canary, percent: 20, shadow: 100, hold: 60s }\n",
    ORDERS "    percent: 25\n    shadow: { percent: 100 }\n",
    ORDERS "    promotion: auto\n    on_failure: { to: previous, ramp: 2s, retries: 1 }\n"
           "    depends_on: [ { route: planner, stage: b } ]\n"
           "    stages:\n"
           "      - { name: canary, percent: 10, shadow: 100, hold: 60s }\n"
           "      - { name: half, percent: 50, shadow: 100, hold: 60s }\n" PLANNER,
};

enum {
    FILES = sizeof(files) / sizeof(files[0]),
    ROUTES_MOST = 2,
    STEP_EVENTS = 64,
    KEY_ROOM = 192,
    STATES_MOST = 16384,
};

/* ---- the world ---- */

struct told {
    char route[16];
    char what[32];
    char who[32];
    json_t *from, *to; /* owned */
    bool evidence;
};

struct world {
    struct router *router;
    struct router_view *view; /* NULL: a state was put back since it was published */
    struct config *config[FILES];
    struct comparison_totals pairs;
    uint64_t now_ms, wall_ms;
    uint64_t sequence;
    uint32_t told_count;
    struct told told[STEP_EVENTS];
};

static void on_event(void *context, const struct router_event *event)
{
    struct world *w = context;
    assert_int_equal(event->sequence, w->sequence + 1); /* no gap */
    assert_true(event->who != NULL && event->who[0] != '\0' && event->why != NULL && event->why[0] != '\0');
    w->sequence = event->sequence;
    assert_true(w->told_count < STEP_EVENTS);
    struct told *told = &w->told[w->told_count++];
    (void)snprintf(told->route, sizeof(told->route), "%s", event->route != NULL ? event->route : "");
    (void)snprintf(told->what, sizeof(told->what), "%s", event->what);
    (void)snprintf(told->who, sizeof(told->who), "%s", event->who);
    told->from = json_incref(event->from);
    told->to = json_incref(event->to);
    told->evidence = event->evidence != NULL;
}

static void forget_told(struct world *w)
{
    for (uint32_t i = 0; i < w->told_count; i++) {
        json_decref(w->told[i].from);
        json_decref(w->told[i].to);
    }
    w->told_count = 0;
}

static void comparisons(void *context, const char *route, struct comparison_totals *totals)
{
    const struct world *w = context;
    *totals = strcmp(route, "orders") == 0 ? w->pairs : (struct comparison_totals){0};
}

static void publish(struct world *w)
{
    router_view_unref(w->view);
    w->view = router_publish(w->router);
    assert_non_null(w->view);
}

static void world_begin(struct world *w, uint32_t file)
{
    struct router_hooks hooks = {.context = w, .on_event = on_event, .comparisons = comparisons};
    memset(w, 0, sizeof(*w));
    w->now_ms = 1000000;
    w->wall_ms = 1700000000000;
    for (uint32_t i = 0; i < FILES; i++)
        w->config[i] = config_from(files[i]);
    w->router = router_new(1, &hooks);
    assert_non_null(w->router);
    assert_true(router_configure(w->router, w->config[file], w->now_ms, w->wall_ms));
    publish(w);
    forget_told(w);
}

static void world_end(struct world *w)
{
    forget_told(w);
    router_view_unref(w->view);
    router_free(w->router);
    for (uint32_t i = 0; i < FILES; i++)
        config_free(w->config[i]);
}

static struct route_state *orders(const struct world *w)
{
    return router_find(w->router, "orders");
}

static struct route_state *planner(const struct world *w)
{
    return router_find(w->router, "planner");
}

/* ---- putting a state back ---- */

struct copy {
    struct route_state state[ROUTES_MOST];
    struct tally_slot slot[ROUTES_MOST];
    uint64_t trial_taken[ROUTES_MOST], slow_us[ROUTES_MOST];
    struct comparison_totals pairs;
    uint64_t now_ms, wall_ms, sequence, revision, ticked_ms;
    unsigned passthrough;
    uint32_t judge_next;
};

static struct copy *copy_take(const struct world *w)
{
    struct copy *copy = calloc(1, sizeof(*copy));
    assert_non_null(copy);
    assert_true(w->router->count <= ROUTES_MOST);
    for (uint32_t i = 0; i < w->router->count; i++) {
        const struct route_state *state = w->router->states[i];
        memcpy(&copy->state[i], state, sizeof(*state)); /* what is between its members, too: see is_as_in() */
        memcpy(&copy->slot[i], &state->tally->slots[0], sizeof(copy->slot[i]));
        copy->trial_taken[i] = state->tally->trial_taken;
        copy->slow_us[i] = state->tally->slow_us;
        (void)json_incref(state->moved);
    }
    copy->pairs = w->pairs;
    copy->now_ms = w->now_ms;
    copy->wall_ms = w->wall_ms;
    copy->sequence = w->sequence;
    copy->revision = w->router->revision;
    copy->ticked_ms = w->router->ticked_ms;
    copy->passthrough = w->router->passthrough;
    copy->judge_next = w->router->judge_next;
    return copy;
}

static void copy_put_back(struct world *w, const struct copy *copy)
{
    forget_told(w);
    for (uint32_t i = 0; i < w->router->count; i++) {
        struct route_state *state = w->router->states[i];
        json_decref(state->moved);
        memcpy(state, &copy->state[i], sizeof(*state));
        (void)json_incref(state->moved);
        memcpy(&state->tally->slots[0], &copy->slot[i], sizeof(copy->slot[i]));
        state->tally->trial_taken = copy->trial_taken[i];
        state->tally->slow_us = copy->slow_us[i];
    }
    w->pairs = copy->pairs;
    w->now_ms = copy->now_ms;
    w->wall_ms = copy->wall_ms;
    w->sequence = w->router->journal.sequence = copy->sequence;
    w->router->revision = copy->revision;
    w->router->ticked_ms = copy->ticked_ms;
    w->router->passthrough = copy->passthrough;
    w->router->judge_next = copy->judge_next;
    router_view_unref(w->view);
    w->view = NULL;
}

static void copy_free(const struct world *w, struct copy *copy)
{
    for (uint32_t i = 0; i < w->router->count; i++)
        json_decref(copy->state[i].moved);
    free(copy);
}

/* ---- events ---- */

static void tick(struct world *w, uint64_t ms)
{
    w->now_ms += ms;
    w->wall_ms += ms;
    if (router_tick(w->router, w->now_ms, w->wall_ms))
        publish(w);
}

static void requests_of_testers(struct world *w, const char *path, const char *side, uint32_t count, uint16_t status)
{
    if (w->view == NULL)
        publish(w);
    for (uint32_t i = 0; i < count; i++) {
        struct request r;
        struct decision decision;
        struct outcome outcome = {.kind = OUTCOME_OK, .status = status, .client_status = status, .latency_us = 1000};
        request_init(&r, "GET", path);
        request_add(&r, "X-Test", side);
        router_decide(w->view, 0, &r.facts, &decision);
        router_observe(w->view, 0, &decision, &outcome);
    }
}

enum kind {
    KIND_VERB,
    KIND_PAIRS,
    KIND_REQUESTS,
    KIND_TIME,
    KIND_PASSTHROUGH,
};

static const struct event {
    const char *name;
    enum kind kind;
    const char *route; /* NULL: orders */
    enum router_verb verb;
    bool force;
    uint64_t amount; /* share, pairs that differ of 10,000, status, milliseconds */
    bool alone;      /* what it does has nothing to do with another plan: only where there is none */
} events[] = {
    {"start", KIND_VERB, NULL, VERB_START, false, 0, true},
    {"promote", KIND_VERB, NULL, VERB_PROMOTE, false, 0, false},
    {"promote --force", KIND_VERB, NULL, VERB_PROMOTE, true, 0, false},
    {"pause", KIND_VERB, NULL, VERB_PAUSE, false, 0, false},
    {"freeze", KIND_VERB, NULL, VERB_FREEZE, false, 0, false},
    {"resume", KIND_VERB, NULL, VERB_RESUME, false, 0, false},
    {"rollback", KIND_VERB, NULL, VERB_ROLLBACK, false, 0, false},
    {"restart", KIND_VERB, NULL, VERB_RESTART, false, 0, false},
    {"set-percent 0", KIND_VERB, NULL, VERB_SET_PERCENT, false, 0, true},
    {"set-percent 7", KIND_VERB, NULL, VERB_SET_PERCENT, false, 700, false},
    {"reset-breaker", KIND_VERB, NULL, VERB_RESET_BREAKER, false, 0, true},
    {"pairs agree", KIND_PAIRS, NULL, 0, false, 0, false},
    {"pairs differ", KIND_PAIRS, NULL, 0, false, 5000, false},
    {"errors", KIND_REQUESTS, "/orders", 0, false, 500, true},
    {"successes", KIND_REQUESTS, "/orders", 0, false, 200, true},
    {"a second", KIND_TIME, NULL, 0, false, 1000, false},
    {"a minute", KIND_TIME, NULL, 0, false, 61000, false},
    {"an hour", KIND_TIME, NULL, 0, false, 3600000, true},
    {"passthrough", KIND_PASSTHROUGH, NULL, 0, false, 0, true},
    {"planner: promote --force", KIND_VERB, "planner", VERB_PROMOTE, true, 0, false},
    {"planner: rollback", KIND_VERB, "planner", VERB_ROLLBACK, false, 0, false},
    {"planner: resume", KIND_VERB, "planner", VERB_RESUME, false, 0, false},
    {"planner: restart", KIND_VERB, "planner", VERB_RESTART, false, 0, false},
    {"planner: errors", KIND_REQUESTS, "/planner", 0, false, 500, false},
    {"planner: successes", KIND_REQUESTS, "/planner", 0, false, 200, false},
};

enum {
    EVENTS = sizeof(events) / sizeof(events[0]),
    OWN_EVENTS = 19 /* those before the planner's */
};

/* Returns what router_command() said; 0 for other events. */
static int happen(struct world *w, const struct event *event)
{
    const char *why = NULL;
    struct router_command command = {
        .verb = event->verb,
        .route = event->route != NULL ? event->route : "orders",
        .percent = (uint32_t)event->amount,
        .force = event->force,
        .who = "operator:ann",
        .reason = "test",
    };
    int result = 0;
    switch (event->kind) {
    case KIND_VERB:
        result = router_command(w->router, &command, w->now_ms, w->wall_ms, &why);
        assert_true((result == 0) == (why == NULL));
        if (result == 0)
            publish(w);
        break;
    case KIND_PAIRS:
        requests_of_testers(w, "/orders", "legacy", 1, 200);
        requests_of_testers(w, "/orders", "new", 1, 200);
        w->pairs.compared += 10000;
        w->pairs.mismatched += event->amount;
        tick(w, 1000);
        break;
    case KIND_REQUESTS:
        requests_of_testers(w, event->route, "new", 3, (uint16_t)event->amount);
        tick(w, TICK_MS);
        break;
    case KIND_TIME:
        tick(w, event->amount);
        break;
    case KIND_PASSTHROUGH:
        (void)router_passthrough(w->router, PASSTHROUGH_API, w->router->passthrough == 0, "operator:ann", "test",
                                 w->wall_ms);
        publish(w);
        break;
    }
    return result;
}

/* ---- what must hold ---- */

static char where[KEY_ROOM + 64]; /* the state and the event, for messages */

#define must(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail_msg("in %s: %s", where, #condition);                                                                  \
    } while (0)

struct facts {
    struct plan plan;
    uint32_t share;
    enum verdict verdict;
    bool held;
    bool depends_met;
    uint64_t revision;
    uint64_t now_ms;
};

static struct facts facts_of(const struct world *w)
{
    const struct route_state *state = orders(w);
    static struct judgement judgement;
    static struct route_counters sum;
    tally_sum(state->tally, &sum);
    route_state_judge(w->router, state, &sum, w->wall_ms, &judgement);
    return (struct facts){
        .plan = state->plan,
        .share = router_share(w->router, state),
        .verdict = judgement.report.verdict,
        .held = state->plan.held_ms >= plan_hold_ms(&state->plan, state->config),
        .depends_met = state->depends_met,
        .revision = w->router->revision,
        .now_ms = w->now_ms,
    };
}

static bool is_plan(const json_t *json)
{
    return json_object_get(json, "phase") != NULL;
}

static bool same_plan(const json_t *a, const json_t *b)
{
    static const char *const members[] = {"phase", "stage", "percent"};
    for (int i = 0; i < 3; i++)
        if (!json_equal(json_object_get(a, members[i]), json_object_get(b, members[i])))
            return false;
    return true;
}

/* The trail tells the whole way of the plan, without a gap, from `before` to what it is now. */
static void check_trail(const struct world *w, const struct plan *before, const struct config_route *config)
{
    const struct plan *after = &orders(w)->plan;
    if (w->told_count == 0 && config == orders(w)->config && before->phase == after->phase &&
        before->stage == after->stage && before->percent == after->percent)
        return; /* which is all that same_plan() looks at */
    json_t *at = plan_json(before, config);
    for (uint32_t i = 0; i < w->told_count; i++) {
        const struct told *told = &w->told[i];
        if (strcmp(told->route, "orders") != 0 || !is_plan(told->to))
            continue;
        if (!same_plan(at, told->from))
            fail_msg("%s: the trail has a gap", told->what);
        json_decref(at);
        at = json_incref(told->to);
    }
    json_t *now = plan_json(&orders(w)->plan, orders(w)->config);
    if (!same_plan(at, now))
        fail_msg("the plan has moved, and nobody was told");
    json_decref(at);
    json_decref(now);
}

static bool was_told(const struct world *w, const char *what, const char *who)
{
    for (uint32_t i = 0; i < w->told_count; i++)
        if (strcmp(w->told[i].route, "orders") == 0 && strcmp(w->told[i].what, what) == 0 &&
            strcmp(w->told[i].who, who) == 0)
            return true;
    return false;
}

static bool may_raise(enum router_verb verb)
{
    return verb == VERB_START || verb == VERB_PROMOTE || verb == VERB_RESUME || verb == VERB_RESTART ||
           verb == VERB_SET_PERCENT;
}

static void check_evidence_is_told(const struct world *w)
{
    for (uint32_t i = 0; i < w->told_count; i++) {
        const struct told *told = &w->told[i];
        bool by_itself = strcmp(told->who, "plan") == 0 && strncmp(told->what, "dependency", 10) != 0;
        bool fell_with_another = told->evidence == false && by_itself && strcmp(told->what, "rollback") != 0 &&
                                 strcmp(told->what, "step_back") != 0;
        if (fell_with_another || (strcmp(told->what, "promote") == 0 && !told->evidence))
            fail_msg("%s by %s without evidence", told->what, told->who);
    }
}

static void check_raise(const struct world *w, const struct event *event, const struct facts *before,
                        const struct facts *after)
{
    bool by_person = event->kind == KIND_VERB && event->route == NULL && may_raise(event->verb);
    if (after->plan.percent > before->plan.percent && !by_person) {
        /* time and evidence: a pass for the whole hold, seen at the end of this very event */
        must(was_told(w, "promote", "plan"));
        must(before->plan.phase == PLAN_RUNNING);
        must(event->kind == KIND_TIME || event->kind == KIND_PAIRS || event->kind == KIND_REQUESTS);
        must(before->verdict == VERDICT_PASS || event->kind == KIND_PAIRS);
        uint64_t held_ms = before->plan.held_ms + (after->now_ms - before->now_ms);
        must(held_ms >= plan_hold_ms(&before->plan, orders(w)->config));
        must(orders(w)->config->stages[before->plan.stage].promotion == PROMOTION_AUTO);
    }
    /* the breaker, passthrough and ramps only ever give back what the plan has, and what falls does not rise */
    uint32_t most = after->plan.percent > before->share ? after->plan.percent : before->share;
    must(after->share <= most);
}

/* Whoever depends on a plan that falls, falls with it. */
static void check_fall(const struct world *w, const struct facts *before, const struct facts *after)
{
    enum plan_phase phase = before->plan.phase;
    bool can_fall = phase == PLAN_RUNNING || phase == PLAN_PAUSED || phase == PLAN_DONE;
    if (!before->depends_met || after->depends_met || !can_fall || before->plan.percent == 0)
        return;
    must(was_told(w, "rollback", "plan") || was_told(w, "step_back", "plan"));
    must(after->plan.phase == PLAN_ROLLED_BACK || after->plan.stage < before->plan.stage);
}

static void check_shape(const struct world *w, const struct facts *now)
{
    const struct plan *plan = &now->plan;
    const struct config_route *config = orders(w)->config;
    must(plan->percent <= SHARE_ALL && now->share <= SHARE_ALL);
    must((plan->phase == PLAN_FIXED) == (config->stage_count == 0 && plan->phase != PLAN_ROLLED_BACK));
    must(config->stage_count == 0 || plan->stage < config->stage_count);
    if (plan->phase == PLAN_ROLLED_BACK || plan->phase == PLAN_WAITING)
        must(plan->percent == 0);
    if (plan->phase == PLAN_WAITING)
        must(now->share == 0);
    if (plan->phase == PLAN_RUNNING || plan->phase == PLAN_DONE)
        must(plan->percent <= config->stages[plan->stage].percent);
}

/* Nothing has happened since the state was put back, byte for byte: what is never saved is the same, too. */
static bool is_as_in(const struct world *w, const struct copy *copy)
{
    const struct router *router = w->router;
    for (uint32_t i = 0; i < router->count; i++) {
        const struct route_state *state = router->states[i];
        if (memcmp(state, &copy->state[i], sizeof(*state)) != 0 ||
            memcmp(&state->tally->slots[0], &copy->slot[i], sizeof(copy->slot[i])) != 0 ||
            state->tally->trial_taken != copy->trial_taken[i] || state->tally->slow_us != copy->slow_us[i])
            return false;
    }
    return w->told_count == 0 && memcmp(&w->pairs, &copy->pairs, sizeof(w->pairs)) == 0 && w->now_ms == copy->now_ms &&
           w->wall_ms == copy->wall_ms && w->sequence == copy->sequence && router->revision == copy->revision &&
           router->ticked_ms == copy->ticked_ms && router->passthrough == copy->passthrough &&
           router->judge_next == copy->judge_next;
}

/* What is saved, but for the history, which is not put back here. */
static json_t *saved(const struct world *w)
{
    json_t *json = router_save(w->router, w->now_ms, w->wall_ms);
    assert_non_null(json);
    must(json_object_set_new(json, "history", json_array()) == 0);
    return json;
}

static struct facts check_step(const struct world *w, const struct event *event, const struct facts *before)
{
    struct facts after = facts_of(w);
    check_shape(w, &after);
    must(after.plan.steps_back <= orders(w)->config->on_failure.retries);
    check_trail(w, &before->plan, orders(w)->config);
    check_raise(w, event, before, &after);
    check_fall(w, before, &after);
    check_evidence_is_told(w);
    bool moved = before->plan.phase != after.plan.phase || before->plan.percent != after.plan.percent ||
                 before->plan.stage != after.plan.stage;
    if (moved || w->told_count > 0)
        must(after.revision > before->revision); /* so that it is saved */
    return after;
}

/* ---- the file edited, and the process ended, in each state ---- */

static void check_reload(struct world *w, uint32_t file, uint32_t other)
{
    struct copy *copy = copy_take(w);
    struct facts before = facts_of(w);
    const struct config_route *config = orders(w)->config;
    const char *stage = plan_stage_name(&before.plan, config);
    must(router_configure(w->router, w->config[other], w->now_ms, w->wall_ms));
    publish(w);
    struct facts after = facts_of(w);
    check_shape(w, &after);
    check_trail(w, &before.plan, config);
    bool stays =
        before.plan.phase == PLAN_ROLLED_BACK ||
        (after.plan.phase != PLAN_FIXED &&
         (before.plan.phase == PLAN_PAUSED || before.plan.phase == PLAN_FROZEN || before.plan.phase == PLAN_WAITING));
    must(!stays || after.plan.phase == before.plan.phase);
    if (after.plan.phase != PLAN_FIXED) {
        must(after.plan.percent <= before.plan.percent);
        must(after.share <= before.share || after.share <= before.plan.percent);
    }
    const struct config_route *edited = orders(w)->config;
    for (uint32_t i = 0; stage != NULL && before.plan.phase != PLAN_WAITING && i < edited->stage_count; i++)
        if (strcmp(edited->stages[i].name, stage) == 0)
            must(after.plan.stage == i); /* a stage that is still there is kept */
    must(router_configure(w->router, w->config[file], w->now_ms, w->wall_ms));
    copy_put_back(w, copy);
    copy_free(w, copy);
}

static void make_comparable(json_t *state)
{
    const char *name;
    json_t *route;
    json_object_foreach(json_object_get(state, "routes"), name, route)
    {
        const char *breaker = json_string_value(json_object_get(route, "breaker"));
        if (strcmp(breaker, "half_open") == 0) /* it comes back open, its cooldown over */
            (void)json_object_set_new(route, "breaker", json_string("open"));
    }
}

static bool is_same_plan(const struct route_state *a, const struct route_state *b)
{
    const struct plan *x = &a->plan;
    const struct plan *y = &b->plan;
    return x->phase == y->phase && x->stage == y->stage && x->percent == y->percent &&
           x->file_percent == y->file_percent && x->steps_back == y->steps_back && x->fell_from == y->fell_from &&
           x->entered_wall_ms == y->entered_wall_ms && x->held_ms == y->held_ms &&
           x->deadline_over == y->deadline_over && x->ramp.from == y->ramp.from &&
           x->ramp.length_ms == y->ramp.length_ms && x->ramp.left_ms == y->ramp.left_ms &&
           a->depends_met == b->depends_met && a->gathered_ms == b->gathered_ms &&
           (a->moved == b->moved || json_equal(a->moved, b->moved) == 1);
}

static void check_restart(struct world *w, uint32_t file)
{
    struct world other = {.now_ms = 5000000, .wall_ms = w->wall_ms, .pairs = w->pairs};
    struct router_hooks hooks = {.context = &other, .on_event = on_event, .comparisons = comparisons};
    char *why = NULL;
    json_t *before = saved(w);
    other.sequence = w->sequence;
    other.router = router_new(1, &hooks);
    assert_non_null(other.router);
    if (!router_restore(other.router, before, other.now_ms, other.wall_ms, &why))
        fail_msg("%s", why);
    must(router_configure(other.router, w->config[file], other.now_ms, other.wall_ms));
    json_t *after = saved(&other);
    make_comparable(before);
    if (!json_equal(before, after)) {
        char *a = json_dumps(json_object_get(before, "routes"), JSON_SORT_KEYS);
        char *b = json_dumps(json_object_get(after, "routes"), JSON_SORT_KEYS);
        fail_msg("saved and restored, it is another:\n%s\n%s", a, b);
    }
    must(other.told_count == 0);
    must(is_same_plan(orders(w), orders(&other)));
    must(router_share(other.router, orders(&other)) == router_share(w->router, orders(w)));
    router_free(other.router);
    json_decref(before);
    json_decref(after);
}

/* ---- the walk ---- */

/* More trips than roll a plan back are as many. */
static unsigned trips_of(const struct breaker *breaker)
{
    return breaker->trips < 2 ? breaker->trips : 2;
}

/* What reloads and restarts look at. */
static void plan_key_of(const struct world *w, const struct facts *now, char *key)
{
    const struct route_state *state = orders(w);
    const struct plan *plan = &now->plan;
    (void)snprintf(key, KEY_ROOM, "%s %u %u/%u back %u,%u deadline %d, breaker %s %u%s", plan_phase_name(plan->phase),
                   plan->stage, plan->percent, now->share, plan->steps_back, plan->fell_from, plan->deadline_over,
                   breaker_state_name(state->breaker.state), trips_of(&state->breaker),
                   state->breaker.ramping ? " ramping" : "");
}

static void key_of(const struct world *w, const struct facts *now, char *key)
{
    const struct route_state *on = planner(w);
    plan_key_of(w, now, key);
    size_t used = strlen(key);
    (void)snprintf(key + used, KEY_ROOM - used, ", gates %s%s%s", verdict_name(now->verdict), now->held ? ", held" : "",
                   w->router->passthrough != 0 ? ", passthrough" : "");
    used = strlen(key);
    if (on != NULL)
        (void)snprintf(key + used, KEY_ROOM - used, ", planner %s %u %s %u, met %d", plan_phase_name(on->plan.phase),
                       on->plan.stage, breaker_state_name(on->breaker.state), trips_of(&on->breaker),
                       orders(w)->depends_met);
}

struct walk {
    char (*keys)[KEY_ROOM];      /* STATES_MOST: a hash table with open addressing */
    char (*plan_keys)[KEY_ROOM]; /* the same */
    struct copy **queue;
    uint32_t found, done;
    bool reached[PLAN_PHASES][BREAKER_HALF_OPEN + 1];
    bool took[EVENTS][2]; /* refused, taken */
};

static bool is_new(char (*keys)[KEY_ROOM], const char *key)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (const char *c = key; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    uint32_t i = (uint32_t)(hash % STATES_MOST);
    for (; keys[i][0] != '\0'; i = (i + 1) % STATES_MOST)
        if (strcmp(keys[i], key) == 0)
            return false;
    memcpy(keys[i], key, KEY_ROOM);
    return true;
}

static void note_state(struct world *w, struct walk *walk, const struct facts *now)
{
    char key[KEY_ROOM] = {0};
    key_of(w, now, key);
    walk->reached[now->plan.phase][orders(w)->breaker.state] = true;
    if (!is_new(walk->keys, key))
        return;
    assert_true(walk->found < STATES_MOST / 2);
    walk->queue[walk->found++] = copy_take(w);
}

static void try_events(struct world *w, struct walk *walk, const struct copy *copy, const struct facts *before)
{
    uint32_t count = planner(w) != NULL ? EVENTS : OWN_EVENTS;
    bool way_out = false;
    char key[KEY_ROOM];
    key_of(w, before, key);
    json_t *state = saved(w);
    bool is_there = false;
    for (uint32_t e = 0; e < count; e++) {
        if (events[e].alone && planner(w) != NULL)
            continue;
        (void)snprintf(where, sizeof(where), "%s, event %s", key, events[e].name);
        if (!is_there)
            copy_put_back(w, copy);
        int result = happen(w, &events[e]);
        is_there = result != 0;
        walk->took[e][result == 0] = true;
        if (is_there) {
            must(is_as_in(w, copy)); /* refused: nothing at all has changed */
            continue;
        }
        struct facts after = check_step(w, &events[e], before);
        way_out = way_out || (events[e].kind == KIND_VERB && events[e].verb != VERB_ROLLBACK);
        note_state(w, walk, &after);
    }
    must(way_out);
    copy_put_back(w, copy);
    json_t *again = saved(w);
    must(json_equal(state, again)); /* nothing was done to what copies share, either */
    json_decref(state);
    json_decref(again);
}

static void visit(struct world *w, struct walk *walk, uint32_t file, const struct copy *copy)
{
    copy_put_back(w, copy);
    struct facts before = facts_of(w);
    char key[KEY_ROOM] = {0};
    try_events(w, walk, copy, &before);
    plan_key_of(w, &before, key);
    if (!is_new(walk->plan_keys, key))
        return;
    (void)snprintf(where, sizeof(where), "%s", key);
    check_restart(w, file);
    for (uint32_t other = 0; other < FILES && planner(w) == NULL; other++)
        if (other + 1 < FILES)
            check_reload(w, file, other);
}

static struct walk walk_all(uint32_t file)
{
    static struct world w;
    struct walk walk = {
        .keys = calloc(STATES_MOST, KEY_ROOM),
        .plan_keys = calloc(STATES_MOST, KEY_ROOM),
        .queue = calloc(STATES_MOST, sizeof(struct copy *)),
    };
    assert_true(walk.keys != NULL && walk.plan_keys != NULL && walk.queue != NULL);
    world_begin(&w, file);
    struct facts first = facts_of(&w);
    note_state(&w, &walk, &first);
    for (; walk.done < walk.found; walk.done++) {
        visit(&w, &walk, file, walk.queue[walk.done]);
        copy_free(&w, walk.queue[walk.done]);
    }
    print_message("file %u: %u states\n", file, walk.found);
    world_end(&w);
    free(walk.keys);
    free(walk.plan_keys);
    free(walk.queue);
    return walk;
}

static void assert_reached(const struct walk *walk, enum plan_phase phase)
{
    for (int breaker = BREAKER_CLOSED; breaker <= BREAKER_HALF_OPEN; breaker++)
        if (!walk->reached[phase][breaker])
            fail_msg("%s with the breaker %s was never reached", plan_phase_name(phase),
                     breaker_state_name((enum breaker_state)breaker));
}

static void assert_all_reached(const struct walk *walk)
{
    static const enum plan_phase phases[] = {PLAN_RUNNING, PLAN_PAUSED, PLAN_FROZEN, PLAN_ROLLED_BACK, PLAN_DONE};
    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++)
        assert_reached(walk, phases[i]);
}

/* Every verb was taken somewhere and, but for those that never are, refused somewhere. */
static void assert_all_tried(const struct walk *walk)
{
    for (uint32_t e = 0; e < OWN_EVENTS; e++) {
        bool starts = events[e].kind == KIND_VERB && events[e].verb == VERB_START;
        if (!walk->took[e][1] && !starts)
            fail_msg("%s was refused in every state", events[e].name);
    }
}

static void to_zero_on_a_way_down(void **state)
{
    (void)state;
    struct walk walk = walk_all(0);
    assert_all_reached(&walk);
    assert_all_tried(&walk);
    assert_false(walk.reached[PLAN_WAITING][BREAKER_CLOSED] || walk.reached[PLAN_FIXED][BREAKER_CLOSED]);
}

static void to_the_stage_before(void **state)
{
    (void)state;
    struct walk walk = walk_all(1);
    assert_all_reached(&walk);
    assert_all_tried(&walk);
}

static void frozen_and_paused_by_itself(void **state)
{
    (void)state;
    struct walk walk = walk_all(2);
    assert_all_reached(&walk);
    assert_all_tried(&walk);
}

static void started_and_promoted_by_hand(void **state)
{
    (void)state;
    struct walk walk = walk_all(3);
    assert_all_reached(&walk);
    assert_all_tried(&walk);
    assert_reached(&walk, PLAN_WAITING);
    assert_true(walk.took[0][1]);
}

static void a_fixed_share(void **state)
{
    (void)state;
    struct walk walk = walk_all(4);
    assert_reached(&walk, PLAN_FIXED);
    assert_reached(&walk, PLAN_ROLLED_BACK);
}

static void with_another_plan(void **state)
{
    (void)state;
    struct walk walk = walk_all(5);
    static const enum plan_phase phases[] = {PLAN_RUNNING, PLAN_PAUSED, PLAN_FROZEN, PLAN_ROLLED_BACK, PLAN_DONE};
    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++)
        assert_true(walk.reached[phases[i]][BREAKER_CLOSED]);
    for (uint32_t e = OWN_EVENTS; e < EVENTS; e++)
        assert_true(walk.took[e][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fixed_share),
        cmocka_unit_test(to_zero_on_a_way_down),
        cmocka_unit_test(to_the_stage_before),
        cmocka_unit_test(frozen_and_paused_by_itself),
        cmocka_unit_test(started_and_promoted_by_hand),
        cmocka_unit_test(with_another_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
