/*
 * A route's item in a fleet as JSON, and back; what it is safer than. Whatever is read is checked field by field: it
 * came from another process, perhaps of another version, by way of a server that anybody may have written to. Control
 * thread.
 */
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "router/control.h"
#include "router/utf8.h"

/* Beyond these is damage: numbers would overflow when added up. */
#define TIME_MAX_MS INT64_C(4102444800000000)
enum {
    TRIPS_MAX = 1000000,
    RESETS_MAX = 1000000000,
};

/* ---- the file ---- */

static void hash_number(XXH3_state_t *hash, uint64_t number)
{
    unsigned char bytes[sizeof(number)];
    for (size_t i = 0; i < sizeof(number); i++)
        bytes[i] = (unsigned char)(number >> (8 * i)); /* replicas may differ in byte order */
    XXH3_64bits_update(hash, bytes, sizeof(bytes));
}

struct fleet_file fleet_file_of(const struct config_route *config)
{
    struct fleet_file file;
    XXH3_state_t hash;
    XXH3_64bits_reset(&hash);
    hash_number(&hash, config->stage_count);
    for (uint32_t i = 0; i < config->stage_count; i++) {
        const struct config_stage *stage = &config->stages[i];
        XXH3_64bits_update(&hash, stage->name, strlen(stage->name) + 1);
        hash_number(&hash, stage->percent);
        hash_number(&hash, stage->hold_ms);
    }
    if (config->stage_count == 0)
        hash_number(&hash, config->percent);
    (void)snprintf(file.hash, sizeof(file.hash), "%016llx", (unsigned long long)XXH3_64bits_digest(&hash));
    return file;
}

/* ---- what is safer ---- */

/* Where a way down ends, not where it begins: else what is above its end would pass for safer. */
uint32_t fleet_share(const struct plan *plan, const struct fleet_breaker *breaker)
{
    return breaker->state == BREAKER_CLOSED ? plan->percent : 0;
}

uint32_t fleet_rank(const struct plan *plan, const struct fleet_breaker *breaker)
{
    static const uint32_t of_phase[PLAN_PHASES] = {
        [PLAN_FROZEN] = 1, [PLAN_PAUSED] = 2, [PLAN_WAITING] = 3, [PLAN_RUNNING] = 4, [PLAN_FIXED] = 4, [PLAN_DONE] = 5,
    };
    static const uint32_t of_breaker[] = {[BREAKER_OPEN] = 10, [BREAKER_HALF_OPEN] = 20, [BREAKER_CLOSED] = 30};
    return plan->phase == PLAN_ROLLED_BACK ? 0 : of_breaker[breaker->state] + of_phase[plan->phase];
}

/* ---- writing ---- */

static json_t *save_breaker(const struct fleet_breaker *breaker)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:o}", "state", breaker_state_name(breaker->state), "trips",
                     (json_int_t)breaker->trips, "resets", (json_int_t)breaker->resets, "until_ms",
                     (json_int_t)breaker->until_wall_ms, "why", utf8_json(breaker->why));
}

json_t *fleet_value_make(const struct route_state *state, json_t *moved, uint64_t entry, json_t *by, uint64_t wall_ms)
{
    return json_pack("{s:o, s:o, s:s, s:I, s:O}", "plan", route_plan_save(state, moved, wall_ms), "breaker",
                     save_breaker(&state->fleet.breaker), "file", fleet_file_of(state->config).hash, "entry",
                     (json_int_t)entry, "by", by);
}

/* ---- reading ---- */

static bool expect(bool good, const char *expected, const char **why)
{
    if (!good)
        *why = expected;
    return good;
}

static bool load_number(const json_t *object, const char *key, int64_t most, uint64_t *number)
{
    const json_t *json = json_object_get(object, key);
    json_int_t value = json_integer_value(json);
    if (!json_is_integer(json) || value < 0 || value > most)
        return false;
    *number = (uint64_t)value;
    return true;
}

static bool load_state(const char *name, enum breaker_state *state)
{
    for (int i = BREAKER_CLOSED; name != NULL && i <= BREAKER_HALF_OPEN; i++) {
        if (strcmp(name, breaker_state_name((enum breaker_state)i)) == 0) {
            *state = (enum breaker_state)i;
            return true;
        }
    }
    return false;
}

static bool load_breaker(const json_t *json, struct fleet_breaker *breaker, const char **why)
{
    const char *because = json_string_value(json_object_get(json, "why"));
    uint64_t trips = 0, resets = 0;
    bool whole =
        expect(load_state(json_string_value(json_object_get(json, "state")), &breaker->state),
               "breaker: state: expected closed, open or half_open", why) &&
        expect(load_number(json, "trips", TRIPS_MAX, &trips),
               "breaker: trips: expected a whole number from 0 to 1000000", why) &&
        expect(load_number(json, "resets", RESETS_MAX, &resets), "breaker: resets: expected a whole number", why) &&
        expect(load_number(json, "until_ms", TIME_MAX_MS, &breaker->until_wall_ms),
               "breaker: until_ms: expected a time in milliseconds", why) &&
        expect(because != NULL, "breaker: why: expected a text", why);
    if (!whole)
        return false;
    breaker->trips = (uint32_t)trips;
    breaker->resets = (uint32_t)resets;
    (void)snprintf(breaker->why, sizeof(breaker->why), "%s", because);
    return true;
}

static bool load_by(const json_t *json, struct fleet_value *value, const char **why)
{
    value->what = json_string_value(json_object_get(json, "what"));
    value->who = json_string_value(json_object_get(json, "who"));
    value->why = json_string_value(json_object_get(json, "why"));
    return expect(value->what != NULL && value->who != NULL && value->why != NULL &&
                      load_number(json, "at_ms", TIME_MAX_MS, &value->at_ms),
                  "by: expected what, who, why and at_ms of a change", why);
}

bool fleet_value_load(const json_t *json, struct route_past *past, struct fleet_value *value, uint64_t wall_ms,
                      const char **why)
{
    memset(value, 0, sizeof(*value));
    value->past = past;
    value->file = json_string_value(json_object_get(json, "file"));
    return expect(json_is_object(json), "it is no JSON object", why) &&
           route_past_load_plan(json_object_get(json, "plan"), past, wall_ms, why) &&
           load_breaker(json_object_get(json, "breaker"), &value->breaker, why) &&
           expect(value->file != NULL, "file: expected the hash of a plan", why) &&
           expect(load_number(json, "entry", INT64_MAX, &value->entry), "entry: expected a version", why) &&
           load_by(json_object_get(json, "by"), value, why);
}
