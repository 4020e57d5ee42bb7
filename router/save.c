/*
 * The state that survives a restart, as JSON and back.
 *
 *   { "version": 1, "sequence": 17, "passthrough": ["api"],
 *     "routes": { "orders-read": { "phase": "running", "stage": "canary", "stage_index": 1, "stage_percent": 1000,
 *                                  "percent": 1000, "file_percent": 0, "entered_wall_ms": ..., "held_ms": ...,
 *                                  "saved_wall_ms": ..., "breaker": "closed", "trips": 0, "cooldown_left_ms": 0,
 *                                  "evidence": { ... } } },
 *     "history": [ { "sequence": 17, ... }, ... ] }
 *
 * Shares are counts of 0.01 %. "stage" is null for a route with a fixed share. Whatever is read is checked field by
 * field first: a file that somebody edited, or another version wrote, is refused whole, with the place and what was
 * expected.
 */
#include "router/control.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SAVE_VERSION = 1,
    TRIPS_MAX = 1000000,
    STAGES_MAX = 1000000,
};

/* A hundred years: longer is damage, and would overflow when added to a clock. */
#define DURATION_MAX_MS 3155760000000

/* Switches that are thrown in the running process; the others are looked at anew at each start. */
static const unsigned kept_sources = 1u << PASSTHROUGH_API | 1u << PASSTHROUGH_SIGNAL;

/* ---- saving ---- */

static uint64_t cooldown_left_ms(const struct breaker *breaker, uint64_t now_ms)
{
    return breaker->state == BREAKER_OPEN && breaker->half_open_at_ms > now_ms ? breaker->half_open_at_ms - now_ms : 0;
}

json_t *route_state_save(const struct router *router, const struct route_state *state, uint64_t now_ms,
                         uint64_t wall_ms)
{
    const struct plan *plan = &state->plan;
    const struct plan_past past = plan_past_of(plan, state->config);
    struct comparison_totals pairs = route_state_pairs(router, state);
    struct route_counters sum;
    struct evidence evidence;
    tally_sum(state->tally, &sum);
    evidence_read(&state->meter, &sum, &pairs, &evidence);
    return json_pack("{s:s, s:s?, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:o}", "phase",
                     plan_phase_name(plan->phase), "stage", past.stage_name, "stage_index", (json_int_t)plan->stage,
                     "stage_percent", (json_int_t)past.stage_percent, "percent", (json_int_t)plan->percent,
                     "file_percent", (json_int_t)plan->file_percent, "entered_wall_ms",
                     (json_int_t)plan->entered_wall_ms, "held_ms", (json_int_t)plan->held_ms, "saved_wall_ms",
                     (json_int_t)wall_ms, "breaker", breaker_state_name(state->breaker.state), "trips",
                     (json_int_t)state->breaker.trips, "cooldown_left_ms",
                     (json_int_t)cooldown_left_ms(&state->breaker, now_ms), "evidence", evidence_save(&evidence));
}

static json_t *save_routes(const struct router *router, uint64_t now_ms, uint64_t wall_ms)
{
    json_t *routes = json_copy(router->parked);
    if (routes == NULL || json_object_size(routes) != json_object_size(router->parked)) {
        json_decref(routes);
        return NULL;
    }
    for (uint32_t i = 0; i < router->count; i++) {
        const struct route_state *state = router->states[i];
        json_t *saved = route_state_save(router, state, now_ms, wall_ms);
        if (saved == NULL || json_object_set_new(routes, state->tally->name, saved) != 0) {
            json_decref(routes);
            return NULL;
        }
    }
    return routes;
}

static json_t *save_passthrough(const struct router *router)
{
    json_t *sources = json_array();
    for (int i = 0; i < PASSTHROUGH_SOURCES; i++) {
        if ((router->passthrough & kept_sources & 1u << i) != 0 &&
            json_array_append_new(sources, json_string(passthrough_source_name((enum passthrough_source)i))) != 0) {
            json_decref(sources);
            return NULL; /* better no new state than one that has forgotten the switch */
        }
    }
    return sources;
}

json_t *router_save(const struct router *router, uint64_t now_ms, uint64_t wall_ms)
{
    return json_pack("{s:i, s:I, s:o, s:o, s:o}", "version", SAVE_VERSION, "sequence",
                     (json_int_t)router->journal.sequence, "passthrough", save_passthrough(router), "routes",
                     save_routes(router, now_ms, wall_ms), "history", journal_list(&router->journal, NULL));
}

/* ---- loading ---- */

static bool load_number(const json_t *object, const char *key, int64_t most, uint64_t *number)
{
    const json_t *value = json_object_get(object, key);
    json_int_t integer = json_integer_value(value);
    if (!json_is_integer(value) || integer < 0 || integer > most)
        return false;
    *number = (uint64_t)integer;
    return true;
}

static bool load_number32(const json_t *object, const char *key, uint32_t most, uint32_t *number)
{
    uint64_t wide;
    if (!load_number(object, key, most, &wide))
        return false;
    *number = (uint32_t)wide;
    return true;
}

static bool load_phase(const json_t *value, enum plan_phase *phase)
{
    const char *name = json_string_value(value);
    for (int i = 0; name != NULL && i < PLAN_PHASES; i++) {
        if (strcmp(name, plan_phase_name((enum plan_phase)i)) == 0) {
            *phase = (enum plan_phase)i;
            return true;
        }
    }
    return false;
}

static bool load_breaker_state(const json_t *value, enum breaker_state *state)
{
    const char *name = json_string_value(value);
    for (int i = BREAKER_CLOSED; name != NULL && i <= BREAKER_HALF_OPEN; i++) {
        if (strcmp(name, breaker_state_name((enum breaker_state)i)) == 0) {
            *state = (enum breaker_state)i;
            return true;
        }
    }
    return false;
}

static bool load_plan(const json_t *json, struct plan_past *past, const char **why)
{
    const json_t *stage = json_object_get(json, "stage");
    struct plan *plan = &past->plan;
    *why = "phase, stage or one of their numbers is missing or out of range";
    if (!load_phase(json_object_get(json, "phase"), &plan->phase) || (!json_is_string(stage) && !json_is_null(stage)) ||
        !load_number32(json, "stage_index", STAGES_MAX, &plan->stage) ||
        !load_number32(json, "stage_percent", SHARE_ALL, &past->stage_percent) ||
        !load_number32(json, "percent", SHARE_ALL, &plan->percent) ||
        !load_number32(json, "file_percent", SHARE_ALL, &plan->file_percent) ||
        !load_number(json, "entered_wall_ms", INT64_MAX, &plan->entered_wall_ms) ||
        !load_number(json, "held_ms", DURATION_MAX_MS, &plan->held_ms))
        return false;
    past->had_stages = json_is_string(stage);
    past->stage_name = json_string_value(stage);
    *why = "phase, stage and percent contradict each other";
    if (plan->phase == PLAN_ROLLED_BACK)
        return plan->percent == 0;
    return (plan->phase == PLAN_FIXED) != past->had_stages;
}

static bool load_breaker(const json_t *json, struct route_past *past, uint64_t wall_ms, const char **why)
{
    uint64_t saved_wall_ms;
    *why = "breaker, trips, cooldown_left_ms or saved_wall_ms is missing or out of range";
    if (!load_breaker_state(json_object_get(json, "breaker"), &past->breaker) ||
        !load_number32(json, "trips", TRIPS_MAX, &past->trips) ||
        !load_number(json, "cooldown_left_ms", DURATION_MAX_MS, &past->cooldown_left_ms) ||
        !load_number(json, "saved_wall_ms", INT64_MAX, &saved_wall_ms))
        return false;
    uint64_t away_ms = wall_ms > saved_wall_ms ? wall_ms - saved_wall_ms : 0;
    past->cooldown_left_ms = past->cooldown_left_ms > away_ms ? past->cooldown_left_ms - away_ms : 0;
    return true;
}

bool route_past_load(const json_t *json, struct route_past *past, uint64_t wall_ms, const char **why)
{
    memset(past, 0, sizeof(*past));
    if (!load_plan(json, &past->plan, why) || !load_breaker(json, past, wall_ms, why))
        return false;
    *why = "evidence is not complete counts";
    return evidence_load(json_object_get(json, "evidence"), &past->evidence);
}

__attribute__((format(printf, 2, 3))) static bool refuse(char **why, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(why, format, arguments) < 0)
        *why = NULL;
    va_end(arguments);
    return false;
}

static bool load_sources(const json_t *names, unsigned *sources)
{
    *sources = 0;
    if (!json_is_array(names))
        return false;
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        unsigned bit = 0;
        for (int source = 0; name != NULL && source < PASSTHROUGH_SOURCES; source++)
            if (strcmp(name, passthrough_source_name((enum passthrough_source)source)) == 0)
                bit = 1u << source;
        if (bit == 0)
            return false;
        *sources |= bit;
    }
    return true;
}

static bool check_routes(const json_t *routes, uint64_t wall_ms, char **why)
{
    if (!json_is_object(routes))
        return refuse(why, "state: routes: expected an object");
    const char *name;
    json_t *route;
    struct route_past past;
    const char *fault;
    json_object_foreach((json_t *)routes, name, route)
    {
        if (!route_past_load(route, &past, wall_ms, &fault))
            return refuse(why, "state: routes: %s: %s", name, fault);
    }
    return true;
}

bool router_restore(struct router *router, const json_t *state, uint64_t now_ms, uint64_t wall_ms, char **why)
{
    (void)now_ms;
    const json_t *version = json_object_get(state, "version");
    const json_t *routes = json_object_get(state, "routes");
    const json_t *history = json_object_get(state, "history");
    uint64_t sequence;
    unsigned sources;
    if (router->table != NULL)
        return refuse(why, "state: it can only be restored before the first configuration is taken into use");
    if (!json_is_integer(version) || json_integer_value(version) != SAVE_VERSION)
        return refuse(why, "state: version: expected %d", (int)SAVE_VERSION);
    if (!load_number(state, "sequence", INT64_MAX - 1, &sequence))
        return refuse(why, "state: sequence: expected a number of 0 or more");
    if (!load_sources(json_object_get(state, "passthrough"), &sources))
        return refuse(why, "state: passthrough: expected an array of known sources");
    if (!journal_is_valid(history))
        return refuse(why, "state: history: expected an array of at most %d events", (int)JOURNAL_KEEPS);
    if (!check_routes(routes, wall_ms, why))
        return false;
    json_t *parked = json_deep_copy(routes);
    if (parked == NULL || !json_equal(parked, routes) || !journal_load(&router->journal, sequence, history)) {
        json_decref(parked);
        return refuse(why, "state: no memory to restore it");
    }
    json_decref(router->parked);
    router->parked = parked;
    router->passthrough |= sources & kept_sources;
    router->dirty = true;
    return true;
}
