/*
 * The state that survives a restart, as JSON and back.
 *
 *   { "version": 2, "sequence": 17, "passthrough": ["api"],
 *     "routes": { "orders-read": { "phase": "running", "stage": "canary", "stage_index": 1, "stage_percent": 1000,
 *                                  "percent": 1000, "file_percent": 0, "entered_wall_ms": ..., "held_ms": ...,
 *                                  "saved_wall_ms": ..., "breaker": "closed", "trips": 0, "cooldown_left_ms": 0,
 *                                  "evidence": { ... },
 *                                  "gathered_ms": ..., "steps_back": 0, "fell_from": 0, "deadline_over": false,
 *                                  "depends_met": true, "told_failed": false, "told_waiting": false,
 *                                  "breaker_ramp_left_ms": 0,
 *                                  "ramp": { "from": 5000, "length_ms": 60000, "left_ms": 12000 } or null,
 *                                  "moved": { "what": "promote", "who": ..., "why": ..., "at_ms": ... } or null,
 *                                  and in a fleet "entry": 17, "ahead": false, "holds": false,
 *                                  "file_share": 2500 } },
 *     "history": [ { "sequence": 17, ... }, ... ] }
 *
 * Shares are counts of 0.01 %. "stage" is null for a route with a fixed share. Version 1 had the members up to
 * "evidence" only; a route that no file has named since is still saved in that form, so that the others may be missing
 * in any. What replay.c puts in has null for what only the file knows: stage_percent, cooldown_left_ms (all of it),
 * breaker_ramp_left_ms (likewise). Whatever is read is checked field by field first: a file that somebody edited, or a
 * later version wrote, is refused whole, with the place and what was expected.
 */
#include "router/control.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SAVE_VERSION = 2,
    OLDEST_VERSION = 1,
    STEPS_MAX = 1000000,
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

static json_t *save_ramp(const struct plan_ramp *ramp)
{
    if (ramp->length_ms == 0)
        return json_null();
    return json_pack("{s:I, s:I, s:I}", "from", (json_int_t)ramp->from, "length_ms", (json_int_t)ramp->length_ms,
                     "left_ms", (json_int_t)ramp->left_ms);
}

static json_t *save_plan(const struct route_state *state, json_t *moved)
{
    const struct plan *plan = &state->plan;
    const struct plan_past past = plan_past_of(plan, state->config);
    return json_pack("{s:s, s:s?, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:b, s:b, s:b, s:O?}", "phase",
                     plan_phase_name(plan->phase), "stage", past.stage_name, "stage_index", (json_int_t)plan->stage,
                     "stage_percent", (json_int_t)past.stage_percent, "percent", (json_int_t)plan->percent,
                     "file_percent", (json_int_t)plan->file_percent, "entered_wall_ms",
                     (json_int_t)plan->entered_wall_ms, "held_ms", (json_int_t)plan->held_ms, "steps_back",
                     (json_int_t)plan->steps_back, "fell_from", (json_int_t)plan->fell_from, "deadline_over",
                     plan->deadline_over, "ramp", save_ramp(&plan->ramp), "depends_met", state->depends_met,
                     "told_failed", state->told_failed, "told_waiting", state->told_waiting, "moved", moved);
}

json_t *route_plan_save(const struct route_state *state, json_t *moved, uint64_t wall_ms)
{
    json_t *json = save_plan(state, moved);
    if (json == NULL || json_object_set_new(json, "saved_wall_ms", json_integer((json_int_t)wall_ms)) == 0)
        return json;
    json_decref(json);
    return NULL;
}

/* What a fleet's route needs to go on after a restart, besides its item. */
static json_t *save_fleet(const struct route_state *state)
{
    if (state->item_version == 0)
        return json_object();
    json_t *json = json_pack("{s:I, s:b, s:b}", "entry", (json_int_t)state->entry, "ahead", state->fleet.ahead, "holds",
                             state->fleet.holds);
    if (json != NULL && state->config->stage_count == 0)
        (void)json_object_set_new(json, "file_share", json_integer((json_int_t)state->config->percent));
    return json;
}

static json_t *save_breaker(const struct route_state *state, uint64_t now_ms)
{
    const struct breaker *breaker = &state->breaker;
    return json_pack("{s:s, s:I, s:I, s:I}", "breaker", breaker_state_name(breaker->state), "trips",
                     (json_int_t)breaker->trips, "cooldown_left_ms", (json_int_t)cooldown_left_ms(breaker, now_ms),
                     "breaker_ramp_left_ms",
                     (json_int_t)breaker_ramp_left_ms(breaker, &state->config->breaker, now_ms));
}

static json_t *save_evidence(const struct router *router, const struct route_state *state, uint64_t wall_ms)
{
    struct comparison_totals pairs = route_state_pairs(router, state);
    struct route_counters sum;
    struct evidence evidence;
    tally_sum(state->tally, &sum);
    evidence_read(&state->meter, &sum, &pairs, &evidence);
    return json_pack("{s:I, s:I, s:o}", "saved_wall_ms", (json_int_t)wall_ms, "gathered_ms",
                     (json_int_t)state->gathered_ms, "evidence", evidence_save(&evidence));
}

json_t *route_state_save(const struct router *router, const struct route_state *state, uint64_t now_ms,
                         uint64_t wall_ms)
{
    json_t *json = save_plan(state, state->moved);
    json_t *parts[] = {save_breaker(state, now_ms), save_evidence(router, state, wall_ms), save_fleet(state)};
    bool complete = json != NULL;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        complete = complete && parts[i] != NULL && json_object_update(json, parts[i]) == 0;
        json_decref(parts[i]);
    }
    if (complete)
        return json;
    json_decref(json);
    return NULL;
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

/* A number, or null for `otherwise`. */
static bool load_known(const json_t *object, const char *key, int64_t most, uint64_t otherwise, uint64_t *number)
{
    *number = otherwise;
    return json_is_null(json_object_get(object, key)) || load_number(object, key, most, number);
}

static bool load_number32(const json_t *object, const char *key, uint32_t most, uint32_t *number)
{
    uint64_t wide;
    if (!load_number(object, key, most, &wide))
        return false;
    *number = (uint32_t)wide;
    return true;
}

/* What version 1 did not have: 0, where it is missing. */
static bool load_later(const json_t *object, const char *key, int64_t most, uint64_t *number)
{
    *number = 0;
    return json_object_get(object, key) == NULL || load_number(object, key, most, number);
}

static bool load_later32(const json_t *object, const char *key, uint32_t most, uint32_t *number)
{
    uint64_t wide;
    if (!load_later(object, key, most, &wide))
        return false;
    *number = (uint32_t)wide;
    return true;
}

static bool load_later_bool(const json_t *object, const char *key, bool *value)
{
    const json_t *json = json_object_get(object, key);
    *value = json_is_true(json);
    return json == NULL || json_is_boolean(json);
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

/* The time that has passed since counts. */
static bool load_ramp(const json_t *json, struct plan *plan, uint64_t away_ms)
{
    struct plan_ramp *ramp = &plan->ramp;
    if (json == NULL || json_is_null(json))
        return true;
    if (!load_number32(json, "from", SHARE_ALL, &ramp->from) ||
        !load_number(json, "length_ms", DURATION_MAX_MS, &ramp->length_ms) ||
        !load_number(json, "left_ms", DURATION_MAX_MS, &ramp->left_ms) || ramp->left_ms > ramp->length_ms ||
        ramp->from <= plan->percent)
        return false;
    plan_pass_time(plan, away_ms);
    return true;
}

/* The first that is not as expected says so, and ends the chain of them. */
static bool expect(bool good, const char *expected, const char **why)
{
    if (!good)
        *why = expected;
    return good;
}

static bool load_fall(const json_t *json, struct plan *plan, uint64_t away_ms, const char **why)
{
    return expect(load_later32(json, "steps_back", STEPS_MAX, &plan->steps_back),
                  "steps_back: expected a whole number from 0 to 1000000", why) &&
           expect(load_later32(json, "fell_from", SHARE_ALL, &plan->fell_from),
                  "fell_from: expected a share from 0 to 10000", why) &&
           expect(load_later_bool(json, "deadline_over", &plan->deadline_over), "deadline_over: expected true or false",
                  why) &&
           expect(load_ramp(json_object_get(json, "ramp"), plan, away_ms),
                  "ramp: expected null, or from (a share above percent), length_ms and left_ms (at most length_ms)",
                  why);
}

static bool load_plan(const json_t *json, struct plan_past *past, const char **why)
{
    const json_t *stage = json_object_get(json, "stage");
    struct plan *plan = &past->plan;
    uint64_t stage_percent;
    bool whole = expect(load_phase(json_object_get(json, "phase"), &plan->phase),
                        "phase: expected fixed, waiting, running, paused, frozen, rolled_back or done", why) &&
                 expect(json_is_string(stage) || json_is_null(stage), "stage: expected a name, or null", why) &&
                 expect(load_number32(json, "stage_index", STAGES_MAX, &plan->stage),
                        "stage_index: expected a whole number from 0 to 1000000", why) &&
                 expect(load_known(json, "stage_percent", SHARE_ALL, SHARE_UNKNOWN, &stage_percent),
                        "stage_percent: expected a share from 0 to 10000, or null", why) &&
                 expect(load_number32(json, "percent", SHARE_ALL, &plan->percent),
                        "percent: expected a share from 0 to 10000", why) &&
                 expect(load_number32(json, "file_percent", SHARE_ALL, &plan->file_percent),
                        "file_percent: expected a share from 0 to 10000", why) &&
                 expect(load_number(json, "entered_wall_ms", INT64_MAX, &plan->entered_wall_ms),
                        "entered_wall_ms: expected a time in milliseconds", why) &&
                 expect(load_number(json, "held_ms", DURATION_MAX_MS, &plan->held_ms),
                        "held_ms: expected milliseconds, a hundred years at most", why);
    if (!whole)
        return false;
    past->stage_percent = (uint32_t)stage_percent;
    past->had_stages = json_is_string(stage);
    past->stage_name = json_string_value(stage);
    return expect((plan->phase != PLAN_ROLLED_BACK && plan->phase != PLAN_WAITING) || plan->percent == 0,
                  "phase and percent contradict each other: expected 0 where it is rolled_back or waiting", why) &&
           expect(plan->phase == PLAN_ROLLED_BACK || (plan->phase == PLAN_FIXED) != past->had_stages,
                  "phase and stage contradict each other: expected null where it is fixed, else a name", why);
}

static bool load_breaker(const json_t *json, struct route_past *past, uint64_t away_ms, const char **why)
{
    bool whole = expect(load_breaker_state(json_object_get(json, "breaker"), &past->breaker),
                        "breaker: expected closed, open or half_open", why) &&
                 expect(load_number32(json, "trips", TRIPS_MAX, &past->trips),
                        "trips: expected a whole number from 0 to 1000000", why) &&
                 expect(load_known(json, "cooldown_left_ms", DURATION_MAX_MS, ALL_OF_IT, &past->cooldown_left_ms),
                        "cooldown_left_ms: expected milliseconds, or null", why);
    if (!whole)
        return false;
    if (past->cooldown_left_ms != ALL_OF_IT)
        past->cooldown_left_ms = past->cooldown_left_ms > away_ms ? past->cooldown_left_ms - away_ms : 0;
    past->breaker_ramp_left_ms = ALL_OF_IT;
    return json_is_null(json_object_get(json, "breaker_ramp_left_ms")) ||
           expect(load_later(json, "breaker_ramp_left_ms", DURATION_MAX_MS, &past->breaker_ramp_left_ms),
                  "breaker_ramp_left_ms: expected milliseconds, or null", why);
}

static bool is_text_or_null(const json_t *json)
{
    return json_is_string(json) || json_is_null(json);
}

static bool load_moved(const json_t *json, struct route_past *past, const char **why)
{
    const json_t *at_ms = json_object_get(json, "at_ms");
    if (json == NULL || json_is_null(json))
        return true;
    past->moved = json;
    return expect(json_is_string(json_object_get(json, "what")) && is_text_or_null(json_object_get(json, "who")) &&
                      is_text_or_null(json_object_get(json, "why")) && json_is_integer(at_ms) &&
                      json_integer_value(at_ms) >= 0,
                  "moved: expected null, or what, who, why and at_ms of a change", why);
}

static bool load_away(const json_t *json, uint64_t wall_ms, uint64_t *away_ms, const char **why)
{
    uint64_t saved_wall_ms;
    if (!expect(load_number(json, "saved_wall_ms", INT64_MAX, &saved_wall_ms),
                "saved_wall_ms: expected a time in milliseconds", why))
        return false;
    *away_ms = wall_ms > saved_wall_ms ? wall_ms - saved_wall_ms : 0;
    return true;
}

static bool load_fleet(const json_t *json, struct route_past *past, const char **why)
{
    uint64_t share = SHARE_UNKNOWN;
    bool whole =
        expect(load_later(json, "entry", INT64_MAX, &past->entry), "entry: expected a version", why) &&
        expect(load_later_bool(json, "ahead", &past->ahead), "ahead: expected true or false", why) &&
        expect(load_later_bool(json, "holds", &past->holds), "holds: expected true or false", why) &&
        expect(json_object_get(json, "file_share") == NULL || load_number(json, "file_share", SHARE_ALL, &share),
               "file_share: expected a share from 0 to 10000", why);
    past->file_share = (uint32_t)share;
    return whole;
}

bool route_past_load_plan(const json_t *json, struct route_past *past, uint64_t wall_ms, const char **why)
{
    uint64_t away_ms;
    memset(past, 0, sizeof(*past));
    return load_away(json, wall_ms, &away_ms, why) && load_plan(json, &past->plan, why) &&
           load_fall(json, &past->plan.plan, away_ms, why) && load_moved(json_object_get(json, "moved"), past, why) &&
           expect(load_later_bool(json, "depends_met", &past->depends_met), "depends_met: expected true or false", why);
}

bool route_past_load(const json_t *json, struct route_past *past, uint64_t wall_ms, const char **why)
{
    uint64_t away_ms;
    memset(past, 0, sizeof(*past));
    return load_away(json, wall_ms, &away_ms, why) && load_plan(json, &past->plan, why) &&
           load_fall(json, &past->plan.plan, away_ms, why) && load_breaker(json, past, away_ms, why) &&
           load_fleet(json, past, why) && load_moved(json_object_get(json, "moved"), past, why) &&
           expect(load_later_bool(json, "depends_met", &past->depends_met), "depends_met: expected true or false",
                  why) &&
           expect(load_later_bool(json, "told_failed", &past->told_failed), "told_failed: expected true or false",
                  why) &&
           expect(load_later_bool(json, "told_waiting", &past->told_waiting), "told_waiting: expected true or false",
                  why) &&
           expect(load_later(json, "gathered_ms", DURATION_MAX_MS, &past->gathered_ms),
                  "gathered_ms: expected milliseconds, a hundred years at most", why) &&
           expect(evidence_load(json_object_get(json, "evidence"), &past->evidence),
                  "evidence: expected complete counts of both sides", why);
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
        return refuse(why, "state: routes: expected an object, with a member for each route");
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
    if (json_integer_value(version) > SAVE_VERSION)
        return refuse(why, "state: version: %lld is of a later shunt, expected %d to %d: start that one on it",
                      (long long)json_integer_value(version), (int)OLDEST_VERSION, (int)SAVE_VERSION);
    if (!json_is_integer(version) || json_integer_value(version) < OLDEST_VERSION)
        return refuse(why, "state: version: expected %d to %d", (int)OLDEST_VERSION, (int)SAVE_VERSION);
    if (!load_number(state, "sequence", INT64_MAX - 1, &sequence))
        return refuse(why, "state: sequence: expected a whole number of 0 or more");
    if (!load_sources(json_object_get(state, "passthrough"), &sources))
        return refuse(why, "state: passthrough: expected an array of names of switches, such as \"api\"");
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
    router->replayed = json_is_true(json_object_get(state, "replayed"));
    router->passthrough |= sources & kept_sources;
    router->dirty = true;
    return true;
}
