/*
 * Runs the router on traffic that is drawn by chance. The router is the real one: plan, gates, evidence and breaker are
 * asked as control asks them. What stands in for the workers is here: it writes into the tally what they would have
 * counted, many requests at a time.
 *
 * Runs in errors are worth a word: the order of requests within a step is drawn where there are enough errors for a run
 * of them, and of very many requests only whether there was one.
 */
#include "router/simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "router/control.h"

enum {
    SECOND_MS = 1000,
    DAY_MS = 86400000,
    BEGIN_MS = 1000000,
    MARKS_MOST = 64,       /* of one step: the sketch holds no more than it has seen anyway */
    IN_ORDER_MOST = 20000, /* requests of a step whose order is drawn */
};

#define WALL_MS UINT64_C(1700000000000)

struct simulator {
    struct config config; /* a copy with the one route */
    struct config_route route;
    struct config_stage *stages; /* owned copies */
    struct simulate_world world;
    struct latency_law law[SIDES];
    bool quiet; /* the breaker cannot have anything to say */
    double growth;

    /* one run */
    struct router *router;
    struct route_state *state;
    struct draw draw;
    struct draw marking; /* another, so that marks do not change what happens */
    struct comparison_totals pairs;
    struct marks pair_marks; /* since they were taken */
    uint64_t now_ms;
    uint64_t entered_ms; /* the stage */
    uint32_t entries;
    uint32_t stage;
    bool asked; /* for a person */
    struct simulate_run *run;
};

const char *simulate_end_name(enum simulate_end end)
{
    static const char *const names[SIMULATE_ENDS] = {
        [SIMULATE_DONE] = "done", [SIMULATE_ROLLED_BACK] = "rolled_back", [SIMULATE_HALTED] = "halted",
        [SIMULATE_TOLD] = "told", [SIMULATE_UNDECIDED] = "undecided",
    };
    return (unsigned)end < SIMULATE_ENDS ? names[end] : "unknown";
}

struct simulate_world simulate_usual(double rate)
{
    return (struct simulate_world){
        .rate = rate, .median_us = {20000, 20000}, .sigma = 0.5, .clients = 1000, .paths = 50};
}

/* ---- the truth ---- */

static double latency_increase(const struct simulate_world *world)
{
    return world->median_us[SIDE_NEW] / world->median_us[SIDE_LEGACY] - 1;
}

bool simulate_holds(const struct config_gates *gates, const struct simulate_world *world, enum gate_kind gate,
                    double *truth)
{
    bool latency = world->median_us[SIDE_LEGACY] > 0;
    double increase = world->errors[SIDE_NEW] - world->errors[SIDE_LEGACY];
    const struct {
        enum gate_kind gate;
        bool measures;
        double limit;
        double truth;
    } rows[] = {
        {GATE_ERROR_RATE_INCREASE, true, gates->error_rate_increase, increase},
        {GATE_ERROR_RATE, true, gates->error_rate, world->errors[SIDE_NEW]},
        {GATE_P50_INCREASE, latency, gates->p50_increase, latency_increase(world)},
        {GATE_P95_INCREASE, latency, gates->p95_increase, latency_increase(world)},
        {GATE_P99_INCREASE, latency, gates->p99_increase, latency_increase(world)},
        {GATE_P95_RATIO, latency, gates->p95_ratio, latency_increase(world) + 1},
        {GATE_MISMATCH_RATE, true, gates->mismatch_rate, world->mismatches},
    };
    *truth = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].gate == gate && rows[i].measures && rows[i].limit >= 0) {
            *truth = rows[i].truth;
            return rows[i].truth <= rows[i].limit + 1e-12; /* 5 % - 3 % is 2 % */
        }
    return true;
}

/* ---- the copy of the file ---- */

static void without_latency(struct config_gates *gates)
{
    gates->p50_increase = gates->p95_increase = gates->p99_increase = gates->p95_ratio = RATE_UNSET;
}

/* What stands for others is taken out: see simulate.h. */
static bool copy_route(struct simulator *s, const struct config_route *route)
{
    s->route = *route;
    s->route.index = 0;
    s->route.depends_on = NULL;
    s->route.depends_count = 0;
    if (s->world.median_us[SIDE_LEGACY] <= 0)
        s->route.breaker.p95_ratio = RATE_UNSET;
    s->stages = calloc(route->stage_count + 1, sizeof(*s->stages));
    if (s->stages == NULL)
        return false;
    for (uint32_t i = 0; i < route->stage_count; i++) {
        s->stages[i] = route->stages[i];
        s->stages[i].gates.webhook.url = NULL;
        s->stages[i].gates.only = NULL;
        if (s->world.median_us[SIDE_LEGACY] <= 0)
            without_latency(&s->stages[i].gates);
    }
    s->route.stages = s->stages;
    return true;
}

/* No limit of the breaker is nearer than twice what new truly does: it never trips then, and need not be watched. */
static bool is_quiet(const struct config_breaker *limits, const struct simulate_world *world,
                     const struct latency_law *law)
{
    double errors = world->errors[SIDE_NEW];
    double increase = errors - world->errors[SIDE_LEGACY];
    if (!limits->enabled)
        return true;
    if (limits->error_rate >= 0 && errors > limits->error_rate / 2)
        return false;
    if (limits->error_rate_increase >= 0 && increase > limits->error_rate_increase / 2)
        return false;
    if (limits->consecutive_errors > 0 && pow(errors, limits->consecutive_errors) * world->rate > 1e-12)
        return false;
    if (limits->p95_ratio >= 0 && 1 + latency_increase(world) > sqrt(limits->p95_ratio))
        return false;
    return limits->slow_call_ms == 0 || limits->slow_call_rate < 0 || world->median_us[SIDE_NEW] <= 0 ||
           latency_law_beyond(&law[SIDE_NEW], (double)limits->slow_call_ms * 1000) <= limits->slow_call_rate / 2;
}

struct simulator *simulator_new(const struct config *config, uint32_t route, const struct simulate_world *world)
{
    struct simulator *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->world = *world;
    s->growth = 0.01;
    if (!copy_route(s, &config->routes[route])) {
        free(s);
        return NULL;
    }
    for (int side = 0; side < SIDES; side++)
        if (world->median_us[side] > 0)
            latency_law_init(&s->law[side], world->median_us[side], world->sigma);
    s->config = *config;
    s->config.routes = &s->route;
    s->config.route_count = 1;
    s->config.freeze = NULL;
    s->quiet = is_quiet(&s->route.breaker, world, s->law);
    return s;
}

void simulator_free(struct simulator *simulator)
{
    if (simulator == NULL)
        return;
    free(simulator->stages);
    free(simulator);
}

void simulator_step(struct simulator *simulator, double growth)
{
    simulator->growth = growth;
}

/* ---- what workers count ---- */

static uint32_t mark_of(struct draw *draw, uint32_t different)
{
    uint32_t one = (uint32_t)(draw_uniform(draw) * different);
    return one * 2654435761u >> 8; /* to a hash */
}

static void leave_marks(struct simulator *s, struct draw *draw, struct sketch *keys, struct sketch *paths,
                        uint64_t count)
{
    for (uint64_t i = 0; i < count && i < MARKS_MOST; i++) {
        sketch_add(keys, mark_of(draw, s->world.clients));
        sketch_add(paths, mark_of(draw, s->world.paths));
    }
}

static void deal_out(struct draw *draw, uint32_t different, uint64_t gained, uint32_t bucket,
                     uint32_t (*parts)[CROWD_BUCKETS])
{
    uint32_t count = different < CROWD_OF_EACH ? different : CROWD_OF_EACH;
    uint32_t first = (uint32_t)(draw_uniform(draw) * count);
    for (uint32_t i = 0; i < count; i++)
        parts[(first + i) % count][bucket] += (uint32_t)(gained / count + (i < gained % count));
}

/* Clients and paths are all alike, so that each part of them has its even share. */
static void leave_crowd(struct simulator *s, const struct histogram *before, struct side_counters *side)
{
    for (uint32_t b = 0; b < CROWD_BUCKETS; b++) {
        uint64_t gained = 0;
        for (uint32_t i = b * CROWD_WIDTH; i < (b + 1) * CROWD_WIDTH; i++)
            gained += side->latency.count[i] - before->count[i];
        if (gained == 0)
            continue;
        deal_out(&s->marking, s->world.clients, gained, b, side->crowd.count);
        deal_out(&s->marking, s->world.paths, gained, b, side->crowd.count + CROWD_OF_EACH);
    }
}

static void count_latencies(struct simulator *s, struct side_counters *side, enum side which, uint64_t total)
{
    struct histogram before = side->latency;
    draw_latencies(&s->draw, &s->law[which], total, &side->latency);
    leave_crowd(s, &before, side);
}

/* One of `total` after another: errors in a row, and how often they reached the breaker's limit. */
static void count_run_in_order(struct simulator *s, struct side_counters *side, uint64_t total, uint64_t errors)
{
    uint32_t limit = s->route.breaker.consecutive_errors;
    for (; total > 0; total--) {
        bool error = draw_uniform(&s->draw) * (double)total < (double)errors;
        errors -= error;
        side->error_run = error ? side->error_run + 1 : 0;
        side->error_runs_over += error && side->error_run % limit == 0;
    }
}

static void count_runs(struct simulator *s, struct side_counters *side, uint64_t total, uint64_t errors)
{
    uint32_t limit = s->route.breaker.consecutive_errors;
    if (limit == 0 || total == 0)
        return;
    if (errors + side->error_run < limit) { /* no run can be over */
        side->error_run = errors == total ? side->error_run + errors : 0;
    } else if (total <= IN_ORDER_MOST) {
        count_run_in_order(s, side, total, errors);
    } else {
        double rate = (double)errors / (double)total;
        side->error_runs_over += draw_poisson(&s->draw, (double)total * pow(rate, limit) * (1 - rate)) > 0;
        side->error_run = errors == total ? side->error_run + errors : 0;
    }
}

static void count_side(struct simulator *s, struct tally_slot *slot, enum side which, uint64_t total)
{
    struct side_counters *side = &slot->counters.side[which];
    struct marks *marks = &slot->marks[which];
    uint64_t errors = draw_binomial(&s->draw, total, s->world.errors[which]);
    struct draw *draw = which == SIDE_NEW ? &s->draw : &s->marking;
    if (which == SIDE_NEW)
        count_runs(s, side, total, errors);
    leave_marks(s, draw, &marks->keys, &marks->paths, total);
    leave_marks(s, draw, &marks->error_keys, &marks->error_paths, errors);
    if (which == SIDE_NEW) {
        uint64_t watched_us = count_read(&slot->tally->slow_us);
        if (watched_us < UINT64_MAX && s->law[which].count > 0) {
            double beyond = latency_law_beyond(&s->law[which], (double)watched_us);
            leave_marks(s, draw, &marks->slow_keys, &marks->slow_paths, draw_binomial(&s->draw, total, beyond));
        }
        s->run->errors_of_new += errors;
    }
    side->by_class[2] += total - errors;
    side->by_class[5] += errors;
    side->by_outcome[OUTCOME_OK] += total;
    side->judged += total;
    side->errors += errors;
    if (s->law[which].count > 0) {
        count_latencies(s, side, which, total);
        if (s->route.breaker.slow_call_ms > 0)
            side->slow += draw_binomial(
                &s->draw, total, latency_law_beyond(&s->law[which], (double)s->route.breaker.slow_call_ms * 1000));
    }
    side->requests += total;
}

/* Half open: of those that would go to new, as many as there are permits do. */
static uint64_t count_trials(struct simulator *s, struct tally_slot *slot, uint64_t wanted)
{
    uint32_t epoch = s->state->breaker.epoch;
    uint64_t tried = 0;
    uint64_t before = slot->counters.side[SIDE_NEW].errors;
    while (tried < wanted && tally_take_permit(s->state->tally, epoch, s->route.breaker.trial_requests, false))
        tried++;
    count_side(s, slot, SIDE_NEW, tried);
    uint64_t failed = slot->counters.side[SIDE_NEW].errors - before;
    slot->trial_failed = epoch_pack(epoch, epoch_count(slot->trial_failed, epoch) + failed);
    slot->trial_ok = epoch_pack(epoch, epoch_count(slot->trial_ok, epoch) + tried - failed);
    return tried;
}

static double rate_now(const struct simulator *s)
{
    double day = (double)((s->now_ms - BEGIN_MS) % DAY_MS) / DAY_MS;
    return s->world.rate * (1 - s->world.daily * cos(2 * acos(-1) * day));
}

static void count_pairs(struct simulator *s, uint64_t compared)
{
    uint64_t differ = draw_binomial(&s->draw, compared, s->world.mismatches);
    s->pairs.compared += compared;
    s->pairs.mismatched += differ;
    leave_marks(s, &s->marking, &s->pair_marks.keys, &s->pair_marks.paths, compared);
    leave_marks(s, &s->marking, &s->pair_marks.error_keys, &s->pair_marks.error_paths, differ);
}

static void count_traffic(struct simulator *s, uint64_t step_ms)
{
    struct route_state *state = s->state;
    struct tally_slot *slot = &state->tally->slots[0];
    uint64_t all = draw_poisson(&s->draw, rate_now(s) * (double)step_ms / 1000);
    uint64_t of_new = draw_binomial(&s->draw, all, (double)router_share(s->router, state) / SHARE_ALL);
    uint64_t compared = draw_binomial(&s->draw, all, (double)plan_shadow(&state->plan, state->config) / SHARE_ALL);
    if (state->breaker.state == BREAKER_HALF_OPEN)
        of_new = count_trials(s, slot, draw_binomial(&s->draw, all, (double)state->plan.percent / SHARE_ALL));
    else
        count_side(s, slot, SIDE_NEW, of_new);
    count_side(s, slot, SIDE_LEGACY, all - of_new);
    count_pairs(s, compared);
}

/* ---- hooks ---- */

static void on_event(void *context, const struct router_event *event)
{
    struct simulator *s = context;
    struct simulate_run *run = s->run;
    if (strcmp(event->what, "waiting_for_promote") == 0)
        s->asked = true;
    else if (strcmp(event->what, "breaker_open") == 0)
        run->trips++;
    else if (strcmp(event->what, "gate_failed") == 0)
        run->end = SIMULATE_TOLD;
    if (strcmp(event->who, "breaker") == 0)
        run->by = SIMULATE_BY_BREAKER;
    else if (s->state != NULL && s->state->report.verdict == VERDICT_FAIL)
        run->by = SIMULATE_BY_GATE;
    else
        run->by = SIMULATE_BY_DEADLINE;
}

static void comparisons(void *context, const char *route, struct comparison_totals *totals)
{
    const struct simulator *s = context;
    (void)route;
    *totals = s->pairs;
}

static void comparison_marks(void *context, const char *route, struct marks *marks)
{
    struct simulator *s = context;
    (void)route;
    marks_take(marks, &s->pair_marks);
}

/* ---- a run ---- */

static uint64_t nearer(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How long nothing is looked at: see simulator_step(). */
static uint64_t next_step(const struct simulator *s)
{
    const struct route_state *state = s->state;
    const struct plan *plan = &state->plan;
    const struct config_breaker *limits = &s->route.breaker;
    uint64_t step_ms = (uint64_t)(s->growth * (double)(s->now_ms - s->entered_ms));
    uint64_t hold_ms = plan_hold_ms(plan, state->config);
    uint64_t deadline_ms;
    if (step_ms < SECOND_MS || state->breaker.state != BREAKER_CLOSED || state->breaker.ramping ||
        plan->ramp.left_ms > 0)
        step_ms = SECOND_MS;
    if (!s->quiet)
        step_ms = nearer(step_ms, limits->window_ms > SECOND_MS ? limits->window_ms : SECOND_MS);
    if (plan->held_ms < hold_ms)
        step_ms = nearer(step_ms, hold_ms - plan->held_ms);
    uint64_t wall_ms = WALL_MS + s->now_ms;
    if (plan_deadline(plan, state->config, &deadline_ms) && deadline_ms > wall_ms)
        step_ms = nearer(step_ms, deadline_ms - wall_ms);
    return step_ms;
}

static struct simulate_stage *row_of(const struct simulator *s)
{
    return &s->run->stages[s->stage < SIMULATE_STAGES ? s->stage : SIMULATE_STAGES - 1];
}

static void enter_stage(struct simulator *s)
{
    s->entries = s->state->plan.entries;
    s->stage = s->state->plan.stage;
    s->entered_ms = s->now_ms;
    struct simulate_stage *row = row_of(s);
    if (!row->entered)
        row->last = GATES;
    row->entered = true;
}

static void note_gates(struct simulator *s, const struct gate_report *report)
{
    struct simulate_stage *row = row_of(s);
    for (int kind = 0; kind < GATES; kind++) {
        const struct gate_result *result = &report->gate[kind];
        struct simulate_gate *gate = &row->gate[kind];
        if (!result->applies)
            continue;
        gate->applies = true;
        gate->newest = result->verdict;
        gate->failed = gate->failed || result->verdict == VERDICT_FAIL;
        if (gate->verdict != VERDICT_UNDECIDED || result->verdict == VERDICT_UNDECIDED)
            continue;
        gate->verdict = result->verdict;
        gate->after_ms = s->now_ms - s->entered_ms;
        gate->evidence = result->evidence;
        if (result->verdict == VERDICT_PASS)
            row->last = (enum gate_kind)kind;
    }
}

/* The traffic of the stage so far; before the tick, which may begin another. */
static void note_traffic(struct simulator *s, const uint64_t judged[SIDES])
{
    const struct side_counters *side = s->state->tally->slots[0].counters.side;
    for (int i = 0; i < SIDES; i++)
        row_of(s)->judged[i] += side[i].judged - judged[i];
}

static void promote(struct simulator *s)
{
    const char *why;
    struct router_command command = {.verb = VERB_PROMOTE, .route = s->route.name, .who = "operator:simulation"};
    s->asked = false;
    row_of(s)->by_hand = true;
    (void)router_command(s->router, &command, s->now_ms, WALL_MS + s->now_ms, &why);
}

static void look(struct simulator *s)
{
    struct simulate_stage *row = row_of(s);
    (void)router_tick(s->router, s->now_ms, WALL_MS + s->now_ms);
    s->run->looks++;
    bool moved = s->state->plan.entries != s->entries;
    if (moved || s->state->judged_at_ms == s->now_ms)
        note_gates(s, &s->state->report);
    if (s->asked && s->state->plan.phase == PLAN_RUNNING && !moved)
        promote(s);
    moved = s->state->plan.entries != s->entries || s->state->plan.phase == PLAN_DONE;
    row->took_ms += moved ? s->now_ms - s->entered_ms : 0;
    if (moved && (s->state->plan.phase == PLAN_DONE || s->state->plan.stage > s->stage))
        row->left = true;
    if (moved)
        enter_stage(s);
}

static bool is_over(struct simulator *s)
{
    static const struct {
        bool over;
        enum simulate_end end;
    } ends[PLAN_PHASES] = {
        [PLAN_DONE] = {true, SIMULATE_DONE},       [PLAN_ROLLED_BACK] = {true, SIMULATE_ROLLED_BACK},
        [PLAN_PAUSED] = {true, SIMULATE_HALTED},   [PLAN_FROZEN] = {true, SIMULATE_HALTED},
        [PLAN_FIXED] = {true, SIMULATE_UNDECIDED}, [PLAN_WAITING] = {true, SIMULATE_UNDECIDED},
    };
    enum plan_phase phase = s->state->plan.phase;
    if (ends[phase].over)
        s->run->end = ends[phase].end;
    return ends[phase].over || s->run->end == SIMULATE_TOLD;
}

static void conclude(struct simulator *s)
{
    struct simulate_run *run = s->run;
    run->end_ms = s->now_ms - BEGIN_MS;
    if (run->end != SIMULATE_DONE && row_of(s)->took_ms == 0)
        row_of(s)->took_ms = s->now_ms - s->entered_ms;
    if (run->end == SIMULATE_DONE || run->end == SIMULATE_UNDECIDED)
        run->by = SIMULATE_BY_NOBODY;
    if (run->by == SIMULATE_BY_GATE)
        run->gate = s->state->report.decisive;
}

static void go_on_until(struct simulator *s, uint64_t until_ms)
{
    while (!is_over(s) && s->now_ms < until_ms) {
        const struct side_counters *side = s->state->tally->slots[0].counters.side;
        uint64_t judged[SIDES] = {side[SIDE_LEGACY].judged, side[SIDE_NEW].judged};
        uint64_t step_ms = nearer(next_step(s), until_ms - s->now_ms);
        count_traffic(s, step_ms);
        note_traffic(s, judged);
        s->run->stage = s->stage;
        s->now_ms += step_ms;
        look(s);
    }
    conclude(s);
}

static bool begin(struct simulator *s, uint64_t seed)
{
    struct router_hooks hooks = {
        .context = s, .on_event = on_event, .comparisons = comparisons, .comparison_marks = comparison_marks};
    s->draw = draw_from(seed);
    s->marking = draw_from(~seed);
    s->pairs = (struct comparison_totals){0};
    memset(&s->pair_marks, 0, sizeof(s->pair_marks));
    s->now_ms = BEGIN_MS;
    s->asked = false;
    s->state = NULL;
    s->router = router_new(1, &hooks);
    if (s->router == NULL || !router_configure(s->router, &s->config, s->now_ms, WALL_MS + s->now_ms))
        return false;
    router_seed(s->router, seed | 1);
    s->router->verdicts_only = true;
    s->state = router_find(s->router, s->route.name);
    const char *why;
    struct router_command start = {.verb = VERB_START, .route = s->route.name, .who = "operator:simulation"};
    if (s->state->plan.phase == PLAN_WAITING)
        (void)router_command(s->router, &start, s->now_ms, WALL_MS + s->now_ms, &why);
    enter_stage(s);
    return true;
}

bool simulator_run(struct simulator *simulator, uint64_t seed, uint64_t most_ms, struct simulate_run *run)
{
    memset(run, 0, sizeof(*run));
    run->end = SIMULATE_UNDECIDED;
    simulator->run = run;
    bool good = begin(simulator, seed);
    if (good)
        go_on_until(simulator, BEGIN_MS + most_ms);
    router_free(simulator->router);
    simulator->router = NULL;
    return good;
}
