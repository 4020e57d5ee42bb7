/*
 * router_status(): what a person, shuntctl or a dashboard wants to know, as one JSON object. Its form is written down
 * at router_status() in router.h. Percentages are numbers of 0 to 100, rates are fractions, latencies are milliseconds.
 */
#include "router/control.h"

#include <math.h>

#include "router/utf8.h"

enum {
    REPORT_FRESH_MS = 2000
};

/* A hundred years: longer is never. */
#define ETA_MAX_MS 3155760000000.0

/* ---- shares and plans, as they stand in events, too ---- */

json_t *share_json(uint32_t share)
{
    return share % 100 == 0 ? json_integer(share / 100) : json_real((double)share / 100);
}

json_t *plan_json(const struct plan *plan, const struct config_route *config)
{
    json_t *json = json_pack("{s:s, s:s?, s:o}", "phase", plan_phase_name(plan->phase), "stage",
                             plan_stage_name(plan, config), "percent", share_json(plan->percent));
    if (json != NULL && plan->ramp.length_ms > 0)
        (void)json_object_set_new(
            json, "ramp",
            json_pack("{s:o, s:I}", "from", share_json(plan->ramp.from), "left_ms", (json_int_t)plan->ramp.left_ms));
    return json;
}

/* ---- counters ---- */

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *milliseconds(double us)
{
    return json_real(round(us) / 1000);
}

static json_t *latency_json(const struct histogram *latency)
{
    if (histogram_total(latency) == 0)
        return json_null();
    return json_pack("{s:o, s:o, s:o}", "p50_ms", milliseconds(histogram_quantile(latency, 0.50)), "p95_ms",
                     milliseconds(histogram_quantile(latency, 0.95)), "p99_ms",
                     milliseconds(histogram_quantile(latency, 0.99)));
}

static double rate(uint64_t part, uint64_t whole)
{
    if (part >= whole)
        return part > 0 ? 1 : 0;
    return (double)part / (double)whole;
}

static json_t *classes_json(const struct side_counters *side)
{
    static const char *const names[STATUS_CLASSES] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    json_t *classes = json_object();
    for (int i = 0; i < STATUS_CLASSES; i++)
        (void)json_object_set_new(classes, names[i], json_integer((json_int_t)side->by_class[i]));
    return classes;
}

static json_t *outcomes_json(const struct side_counters *side)
{
    json_t *outcomes = json_object();
    for (int i = 0; i < OUTCOME_KINDS; i++)
        (void)json_object_set_new(outcomes, outcome_kind_name((enum outcome_kind)i),
                                  json_integer((json_int_t)side->by_outcome[i]));
    return outcomes;
}

static json_t *side_json(const struct side_counters *side)
{
    return json_pack("{s:I, s:I, s:I, s:o, s:I, s:o, s:o, s:o}", "requests", (json_int_t)side->requests, "judged",
                     (json_int_t)side->judged, "errors", (json_int_t)side->errors, "error_rate",
                     number(rate(side->errors, side->judged)), "fallbacks", (json_int_t)side->fallbacks, "classes",
                     classes_json(side), "outcomes", outcomes_json(side), "latency", latency_json(&side->latency));
}

/* By the side that was asked first; of both where `legacy` and `new` are both true. */
static json_t *reasons_json(const struct route_counters *sum, bool legacy, bool new)
{
    json_t *reasons = json_object();
    for (int i = 0; i < MIRROR_REASONS; i++) {
        uint64_t count = (legacy ? sum->mirror[SIDE_LEGACY][i] : 0) + (new ? sum->mirror[SIDE_NEW][i] : 0);
        if (i != MIRROR_OFF)
            (void)json_object_set_new(reasons, mirror_reason_name((enum mirror_reason)i),
                                      json_integer((json_int_t)count));
    }
    return reasons;
}

static json_t *mirror_json(const struct route_counters *sum)
{
    json_t *mirror = reasons_json(sum, true, true);
    (void)json_object_set_new(mirror, "now_in_flight", json_integer((json_int_t)sum->mirror_in_flight));
    return mirror;
}

static json_t *counters_json(const struct route_counters *sum)
{
    return json_pack("{s:o, s:o, s:o, s:{s:o, s:o}, s:I}", "legacy", side_json(&sum->side[SIDE_LEGACY]), "new",
                     side_json(&sum->side[SIDE_NEW]), "mirror", mirror_json(sum), "mirror_by_primary", "legacy",
                     reasons_json(sum, true, false), "new", reasons_json(sum, false, true), "in_flight",
                     (json_int_t)sum->in_flight);
}

/* ---- breaker ---- */

static json_t *window_side_json(const struct window *window, enum side side)
{
    return json_pack("{s:I, s:I, s:o, s:o}", "judged", (json_int_t)window->total[side].judged, "errors",
                     (json_int_t)window->total[side].errors, "error_rate", number(window_error_rate(window, side)),
                     "p95_ms", window->latency != NULL ? milliseconds(window_p95(window, side)) : json_null());
}

/* Clients whose errors count against new in the window. */
static uint32_t distinct_keys(const struct window *window)
{
    struct marks marks;
    window_marks(window, &marks);
    return sketch_count(&marks.error_keys);
}

static json_t *breaker_status(const struct route_state *state, uint64_t now_ms)
{
    const struct breaker *breaker = &state->breaker;
    const struct config_breaker *limits = &state->config->breaker;
    uint64_t left_ms =
        breaker->state == BREAKER_OPEN && breaker->half_open_at_ms > now_ms ? breaker->half_open_at_ms - now_ms : 0;
    struct trial_totals trials = tally_trials(state->tally, breaker->epoch);
    return json_pack(
        "{s:b, s:s, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:{s:I, s:o, s:o}}", "enabled", limits->enabled,
        "state", breaker_state_name(breaker->state), "trips", (json_int_t)breaker->trips, "max_trips",
        (json_int_t)limits->max_trips, "why", breaker->why, "in_state_ms", (json_int_t)(now_ms - breaker->since_ms),
        "cooldown_left_ms", (json_int_t)left_ms, "trial_succeeded", (json_int_t)trials.succeeded, "trial_requests",
        (json_int_t)limits->trial_requests, "ramp_left_ms", (json_int_t)breaker_ramp_left_ms(breaker, limits, now_ms),
        "slow_rate", number(window_slow_rate(&breaker->window, SIDE_NEW)), "distinct_keys",
        (json_int_t)distinct_keys(&breaker->window), "window", "length_ms", (json_int_t)limits->window_ms, "legacy",
        window_side_json(&breaker->window, SIDE_LEGACY), "new", window_side_json(&breaker->window, SIDE_NEW));
}

/* ---- stage and gates ---- */

bool router_gate_eta(const struct gate_result *gate, uint64_t gathered_ms, uint64_t *eta_ms)
{
    double wait_ms = (gate->growth - 1) * (double)gathered_ms;
    if (!isfinite(gate->growth) || gate->growth < 1 || wait_ms > ETA_MAX_MS)
        return false;
    *eta_ms = (uint64_t)wait_ms;
    return true;
}

static json_t *eta_json(const struct gate_result *gate, uint64_t gathered_ms)
{
    uint64_t eta_ms;
    return router_gate_eta(gate, gathered_ms, &eta_ms) ? json_integer((json_int_t)eta_ms) : json_null();
}

static void add_figures(json_t *json, const struct gate_result *gate)
{
    (void)json_object_set_new(json, "value", number(gate->value));
    (void)json_object_set_new(json, "low", number(gate->low));
    (void)json_object_set_new(json, "high", number(gate->high));
    (void)json_object_set_new(json, "limit", number(gate->limit));
    (void)json_object_set_new(json, "confidence", number(gate->confidence));
}

static json_t *gate_json(enum gate_kind kind, const struct gate_result *gate, uint64_t gathered_ms)
{
    json_t *json = json_pack("{s:s, s:b, s:s, s:o, s:I, s:o}", "gate", gate_name(kind), "applies", gate->applies,
                             "verdict", verdict_name(gate->verdict), "sentence", utf8_json(gate->sentence), "evidence",
                             (json_int_t)gate->evidence, "eta_ms", eta_json(gate, gathered_ms));
    if (json != NULL && gate->measured)
        add_figures(json, gate);
    return json;
}

static json_t *gates_json(const struct route_state *state)
{
    json_t *gates = json_array();
    for (int i = 0; i < GATES; i++)
        (void)json_array_append_new(gates, gate_json((enum gate_kind)i, &state->report.gate[i], state->gathered_ms));
    return json_pack("{s:s, s:o}", "verdict", verdict_name(state->report.verdict), "gates", gates);
}

static json_t *evidence_side_json(const struct evidence_side *side)
{
    return json_pack("{s:I, s:I, s:o, s:o}", "judged", (json_int_t)side->judged, "errors", (json_int_t)side->errors,
                     "error_rate", number(rate(side->errors, side->judged)), "latency", latency_json(&side->latency));
}

static json_t *evidence_json(const struct evidence *evidence, uint64_t gathered_ms)
{
    return json_pack("{s:o, s:o, s:I, s:I, s:I, s:I}", "legacy", evidence_side_json(&evidence->side[SIDE_LEGACY]),
                     "new", evidence_side_json(&evidence->side[SIDE_NEW]), "compared",
                     (json_int_t)evidence->pairs.compared, "mismatched", (json_int_t)evidence->pairs.mismatched,
                     "distinct_keys", (json_int_t)sketch_count(&evidence->side[SIDE_NEW].marks.keys), "gathered_ms",
                     (json_int_t)gathered_ms);
}

static json_t *judged_side_json(const struct evidence_side *side)
{
    return json_pack("{s:I, s:I}", "judged", (json_int_t)side->judged, "errors", (json_int_t)side->errors);
}

static json_t *judged_gates_json(const struct gate_report *report)
{
    json_t *gates = json_array();
    for (int i = 0; i < GATES; i++) {
        const struct gate_result *gate = &report->gate[i];
        if (!gate->applies || !gate->measured)
            continue;
        json_t *json =
            json_pack("{s:s, s:s}", "gate", gate_name((enum gate_kind)i), "verdict", verdict_name(gate->verdict));
        add_figures(json, gate);
        (void)json_array_append_new(gates, json);
    }
    return gates;
}

json_t *judgement_json(const struct judgement *judgement)
{
    const struct evidence *evidence = &judgement->evidence;
    const struct gate_report *report = &judgement->report;
    const char *decisive = report->verdict == VERDICT_PASS ? NULL : gate_name(report->decisive);
    return json_pack("{s:s, s:s?, s:o, s:o, s:I, s:I, s:o}", "verdict", verdict_name(report->verdict), "decisive",
                     decisive, "legacy", judged_side_json(&evidence->side[SIDE_LEGACY]), "new",
                     judged_side_json(&evidence->side[SIDE_NEW]), "compared", (json_int_t)evidence->pairs.compared,
                     "mismatched", (json_int_t)evidence->pairs.mismatched, "gates", judged_gates_json(report));
}

static const char *promotion_name(enum config_promotion promotion)
{
    return promotion == PROMOTION_AUTO ? "auto" : "manual";
}

static const char *const deadline_actions[] = {
    [DEADLINE_PAUSE] = "pause",
    [DEADLINE_ROLLBACK] = "rollback",
    [DEADLINE_TELL] = "tell",
};

static const char *const failure_names[] = {
    [FAILURE_TELL] = "tell",
    [FAILURE_ZERO] = "zero",
    [FAILURE_PREVIOUS] = "previous",
    [FAILURE_FREEZE] = "freeze",
};

static json_t *stages_json(const struct route_state *state)
{
    const struct config_route *config = state->config;
    json_t *stages = json_array();
    for (uint32_t i = 0; i < config->stage_count; i++) {
        const struct config_stage *stage = &config->stages[i];
        (void)json_array_append_new(
            stages, json_pack("{s:s, s:o, s:o, s:I, s:b, s:s, s:I, s:b}", "name", stage->name, "percent",
                              share_json(stage->percent), "shadow", share_json(stage->shadow), "hold_ms",
                              (json_int_t)stage->hold_ms, "confirm", stage->confirm, "promotion",
                              promotion_name(stage->promotion), "deadline_ms", (json_int_t)stage->deadline_ms,
                              "current", i == state->plan.stage));
    }
    return stages;
}

static json_t *deadline_json(const struct route_state *state)
{
    uint64_t at_ms;
    if (!plan_deadline(&state->plan, state->config, &at_ms))
        return json_null();
    return json_pack("{s:I, s:s}", "at_ms", (json_int_t)at_ms, "action",
                     deadline_actions[plan_stage(&state->plan, state->config)->on_deadline]);
}

static json_t *on_failure_json(const struct config_on_failure *rule)
{
    return json_pack("{s:s, s:I, s:I}", "to", failure_names[rule->to], "ramp_ms", (json_int_t)rule->ramp_ms, "retries",
                     (json_int_t)rule->retries);
}

static json_t *why_not_json(const struct router *router, const struct route_state *state)
{
    char sentence[512];
    return route_state_why_not(router, state, sentence, sizeof(sentence)) ? utf8_json(sentence) : json_null();
}

static void add_plan(json_t *json, const struct router *router, const struct route_state *state)
{
    const struct plan *plan = &state->plan;
    uint64_t hold_ms = plan_hold_ms(plan, state->config);
    (void)json_object_set_new(json, "stage", json_string(plan_stage_name(plan, state->config)));
    (void)json_object_set_new(json, "stage_index", json_integer((json_int_t)plan->stage));
    (void)json_object_set_new(json, "stages", stages_json(state));
    (void)json_object_set_new(json, "promotion", json_string(promotion_name(state->config->promotion)));
    (void)json_object_set_new(json, "hold",
                              json_pack("{s:I, s:I, s:I}", "length_ms", (json_int_t)hold_ms, "elapsed_ms",
                                        (json_int_t)plan->held_ms, "left_ms",
                                        (json_int_t)(plan->held_ms < hold_ms ? hold_ms - plan->held_ms : 0)));
    (void)json_object_set_new(json, "gates", gates_json(state));
    (void)json_object_set_new(json, "why_not", why_not_json(router, state));
    (void)json_object_set_new(json, "deadline", deadline_json(state));
    (void)json_object_set_new(json, "on_failure", on_failure_json(&state->config->on_failure));
    (void)json_object_set_new(json, "steps_back", json_integer((json_int_t)plan->steps_back));
}

/* ---- the route ---- */

static const char *backend_name(const struct config_route *route, enum side side)
{
    return route->side[side] != NULL ? route->side[side]->name : NULL;
}

/* A share on its way: down after a failure, or back up after its breaker closed, or that of a route it depends on. */
static json_t *ramp_json(const struct router *router, const struct route_state *state, uint64_t now_ms)
{
    const struct plan *plan = &state->plan;
    uint64_t back_ms = route_state_ramp_left_ms(state, now_ms);
    if (plan->ramp.length_ms > 0)
        return json_pack("{s:o, s:o, s:I}", "from", share_json(plan->ramp.from), "to", share_json(plan->percent),
                         "left_ms", (json_int_t)plan->ramp.left_ms);
    if (back_ms > 0)
        return json_pack("{s:o, s:o, s:I}", "from", share_json(router_share(router, state)), "to",
                         share_json(plan->percent), "left_ms", (json_int_t)back_ms);
    return json_null();
}

static json_t *depends_json(const struct router *router, const struct route_state *state)
{
    json_t *depends = json_array();
    for (uint32_t i = 0; i < state->config->depends_count; i++) {
        const struct config_dependency *on = &state->config->depends_on[i];
        (void)json_array_append_new(depends, json_pack("{s:s, s:s?, s:b}", "route", on->route, "stage", on->stage,
                                                       "met", dependency_is_met(router, on)));
    }
    return depends;
}

/* What the stage has shown by now; the gates are asked anew only when control has not done so within the last second or
 * two, since they cost most. */
static void look_at_stage(const struct router *router, struct route_state *state, const struct route_counters *sum,
                          uint64_t now_ms, uint64_t wall_ms, struct evidence *evidence)
{
    bool fresh = state->judged_at_ms != 0 && now_ms - state->judged_at_ms < REPORT_FRESH_MS;
    if (fresh || state->config->stage_count == 0) {
        (void)route_state_evidence(router, state, sum, evidence);
        return;
    }
    struct judgement judgement;
    route_state_judge(router, state, sum, wall_ms, &judgement);
    *evidence = judgement.evidence;
    state->report = judgement.report;
    state->judged_at_ms = now_ms;
}

static json_t *route_json(const struct router *router, struct route_state *state, uint64_t now_ms, uint64_t wall_ms)
{
    struct route_counters sum;
    struct evidence evidence;
    const struct config_route *config = state->config;
    tally_sum(state->tally, &sum);
    look_at_stage(router, state, &sum, now_ms, wall_ms, &evidence);
    json_t *share = share_json(router_share(router, state));
    json_t *json = json_pack(
        "{s:s, s:s?, s:s?, s:s, s:o, s:O?, s:o?, s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "name", state->tally->name,
        "legacy", backend_name(config, SIDE_LEGACY), "new", backend_name(config, SIDE_NEW), "phase",
        plan_phase_name(state->plan.phase), "percent", share_json(state->plan.percent), "effective_percent", share,
        "share", share, "ramp", ramp_json(router, state, now_ms), "shadow_percent",
        share_json(plan_shadow(&state->plan, config)), "since_wall_ms", (json_int_t)state->plan.entered_wall_ms,
        "depends_on", depends_json(router, state), "evidence", evidence_json(&evidence, state->gathered_ms), "breaker",
        breaker_status(state, now_ms), "counters", counters_json(&sum));
    if (json != NULL && router->role != ROUTER_ALONE)
        (void)json_object_set_new(json, "fleet", route_state_fleet_json(router, state, now_ms));
    if (json != NULL && config->stage_count > 0)
        add_plan(json, router, state);
    return json;
}

/* ---- all ---- */

static json_t *sources_json(const struct router *router)
{
    json_t *sources = json_array();
    for (int i = 0; i < PASSTHROUGH_SOURCES; i++)
        if ((router->passthrough & 1u << i) != 0)
            (void)json_array_append_new(sources, json_string(passthrough_source_name((enum passthrough_source)i)));
    return sources;
}

static json_t *status_json(const struct router *router, json_t *routes, uint64_t wall_ms)
{
    struct route_counters sum;
    tally_sum(router->unrouted, &sum);
    return json_pack("{s:I, s:I, s:{s:b, s:o}, s:o, s:{s:o}}", "at_ms", (json_int_t)wall_ms, "revision",
                     (json_int_t)router->revision, "passthrough", "on", router->passthrough != 0, "sources",
                     sources_json(router), "routes", routes, "unrouted", "counters", counters_json(&sum));
}

json_t *router_status(const struct router *router, uint64_t now_ms, uint64_t wall_ms)
{
    json_t *routes = json_array();
    for (uint32_t i = 0; i < router->count; i++)
        (void)json_array_append_new(routes, route_json(router, router->states[i], now_ms, wall_ms));
    return status_json(router, routes, wall_ms);
}

json_t *router_status_of(const struct router *router, const char *route, uint64_t now_ms, uint64_t wall_ms)
{
    json_t *routes = json_array();
    struct route_state *state = route != NULL ? router_find(router, route) : NULL;
    if (state != NULL)
        (void)json_array_append_new(routes, route_json(router, state, now_ms, wall_ms));
    return status_json(router, routes, wall_ms);
}
