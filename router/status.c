/*
 * router_status(): what a person, shuntctl or a dashboard wants to know, as one JSON object. Its form is written down
 * at router_status() in router.h. Percentages are numbers of 0 to 100, rates are fractions, latencies are milliseconds.
 */
#include <math.h>

#include "router/control.h"

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

static json_t *breaker_status(const struct route_state *state, uint64_t now_ms)
{
    const struct breaker *breaker = &state->breaker;
    const struct config_breaker *limits = &state->config->breaker;
    uint64_t left_ms =
        breaker->state == BREAKER_OPEN && breaker->half_open_at_ms > now_ms ? breaker->half_open_at_ms - now_ms : 0;
    struct trial_totals trials = tally_trials(state->tally, breaker->epoch);
    return json_pack(
        "{s:b, s:s, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:{s:I, s:o, s:o}}", "enabled", limits->enabled, "state",
        breaker_state_name(breaker->state), "trips", (json_int_t)breaker->trips, "max_trips",
        (json_int_t)limits->max_trips, "why", breaker->why, "in_state_ms", (json_int_t)(now_ms - breaker->since_ms),
        "cooldown_left_ms", (json_int_t)left_ms, "trial_succeeded", (json_int_t)trials.succeeded, "trial_requests",
        (json_int_t)limits->trial_requests, "window", "length_ms", (json_int_t)limits->window_ms, "legacy",
        window_side_json(&breaker->window, SIDE_LEGACY), "new", window_side_json(&breaker->window, SIDE_NEW));
}

/* ---- stage and gates ---- */

static json_t *gate_json(enum gate_kind kind, const struct gate_result *gate)
{
    json_t *json = json_pack("{s:s, s:b, s:s, s:s}", "gate", gate_name(kind), "applies", gate->applies, "verdict",
                             verdict_name(gate->verdict), "sentence", gate->sentence);
    if (json == NULL || !gate->measured)
        return json;
    (void)json_object_set_new(json, "value", number(gate->value));
    (void)json_object_set_new(json, "low", number(gate->low));
    (void)json_object_set_new(json, "high", number(gate->high));
    (void)json_object_set_new(json, "limit", number(gate->limit));
    return json;
}

static json_t *gates_json(const struct router *router, const struct route_state *state,
                          const struct route_counters *sum)
{
    struct gate_report report;
    json_t *gates = json_array();
    route_state_judge(router, state, sum, &report);
    for (int i = 0; i < GATES; i++)
        (void)json_array_append_new(gates, gate_json((enum gate_kind)i, &report.gate[i]));
    return json_pack("{s:s, s:o}", "verdict", verdict_name(report.verdict), "gates", gates);
}

static json_t *evidence_side_json(const struct evidence_side *side)
{
    return json_pack("{s:I, s:I, s:o, s:o}", "judged", (json_int_t)side->judged, "errors", (json_int_t)side->errors,
                     "error_rate", number(rate(side->errors, side->judged)), "latency", latency_json(&side->latency));
}

static json_t *evidence_json(const struct router *router, const struct route_state *state,
                             const struct route_counters *sum)
{
    struct comparison_totals pairs = route_state_pairs(router, state);
    struct evidence evidence;
    evidence_read(&state->meter, sum, &pairs, &evidence);
    return json_pack("{s:o, s:o, s:I, s:I}", "legacy", evidence_side_json(&evidence.side[SIDE_LEGACY]), "new",
                     evidence_side_json(&evidence.side[SIDE_NEW]), "compared", (json_int_t)evidence.pairs.compared,
                     "mismatched", (json_int_t)evidence.pairs.mismatched);
}

static json_t *stages_json(const struct route_state *state)
{
    const struct config_route *config = state->config;
    json_t *stages = json_array();
    for (uint32_t i = 0; i < config->stage_count; i++) {
        const struct config_stage *stage = &config->stages[i];
        (void)json_array_append_new(stages, json_pack("{s:s, s:o, s:o, s:I, s:b, s:b}", "name", stage->name, "percent",
                                                      share_json(stage->percent), "shadow", share_json(stage->shadow),
                                                      "hold_ms", (json_int_t)stage->hold_ms, "confirm", stage->confirm,
                                                      "current", i == state->plan.stage));
    }
    return stages;
}

static void add_plan(json_t *json, const struct router *router, const struct route_state *state,
                     const struct route_counters *sum)
{
    const struct plan *plan = &state->plan;
    uint64_t hold_ms = plan_hold_ms(plan, state->config);
    (void)json_object_set_new(json, "stage", json_string(plan_stage_name(plan, state->config)));
    (void)json_object_set_new(json, "stage_index", json_integer((json_int_t)plan->stage));
    (void)json_object_set_new(json, "stages", stages_json(state));
    (void)json_object_set_new(json, "promotion",
                              json_string(state->config->promotion == PROMOTION_AUTO ? "auto" : "manual"));
    (void)json_object_set_new(json, "hold",
                              json_pack("{s:I, s:I, s:I}", "length_ms", (json_int_t)hold_ms, "elapsed_ms",
                                        (json_int_t)plan->held_ms, "left_ms",
                                        (json_int_t)(plan->held_ms < hold_ms ? hold_ms - plan->held_ms : 0)));
    (void)json_object_set_new(json, "gates", gates_json(router, state, sum));
}

static const char *backend_name(const struct config_route *route, enum side side)
{
    return route->side[side] != NULL ? route->side[side]->name : NULL;
}

static json_t *route_json(const struct router *router, const struct route_state *state, uint64_t now_ms)
{
    struct route_counters sum;
    tally_sum(state->tally, &sum);
    json_t *json =
        json_pack("{s:s, s:s?, s:s?, s:s, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "name", state->tally->name, "legacy",
                  backend_name(state->config, SIDE_LEGACY), "new", backend_name(state->config, SIDE_NEW), "phase",
                  plan_phase_name(state->plan.phase), "percent", share_json(state->plan.percent), "effective_percent",
                  share_json(router_effective(router, state)), "shadow_percent",
                  share_json(plan_shadow(&state->plan, state->config)), "since_wall_ms",
                  (json_int_t)state->plan.entered_wall_ms, "evidence", evidence_json(router, state, &sum), "breaker",
                  breaker_status(state, now_ms), "counters", counters_json(&sum));
    if (json != NULL && state->config->stage_count > 0)
        add_plan(json, router, state, &sum);
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

json_t *router_status(const struct router *router, uint64_t now_ms, uint64_t wall_ms)
{
    struct route_counters sum;
    json_t *routes = json_array();
    for (uint32_t i = 0; i < router->count; i++)
        (void)json_array_append_new(routes, route_json(router, router->states[i], now_ms));
    tally_sum(router->unrouted, &sum);
    return json_pack("{s:I, s:I, s:{s:b, s:o}, s:o, s:{s:o}}", "at_ms", (json_int_t)wall_ms, "revision",
                     (json_int_t)router->revision, "passthrough", "on", router->passthrough != 0, "sources",
                     sources_json(router), "routes", routes, "unrouted", "counters", counters_json(&sum));
}
