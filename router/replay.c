/*
 * Puts events of the audit trail into a saved state, as JSON into JSON, before it is restored. Control calls it once at
 * the start. Knows what an event's "to" looks like (router.h) and what a route is saved as (save.c), and nothing else:
 * which stages there are, and how long a cooldown is, only the file knows.
 */
#include "router/replay.h"

#include <math.h>
#include <string.h>

#include "router/control.h"

/* ---- small things ---- */

/* Without memory the member stays as it was, and the state is refused or behind: no worse than without us. */
static void put(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

static void put_number(json_t *object, const char *key, uint64_t number)
{
    put(object, key, json_integer((json_int_t)number));
}

static uint64_t number_of(const json_t *object, const char *key)
{
    json_int_t number = json_integer_value(json_object_get(object, key));
    return number > 0 ? (uint64_t)number : 0;
}

static const char *text_in(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static bool is(const json_t *object, const char *key, const char *text)
{
    return strcmp(text_in(object, key), text) == 0;
}

/* Percent, as events show it, to a count of 0.01 %. */
static bool share_in(const json_t *object, const char *key, uint32_t *share)
{
    const json_t *number = json_object_get(object, key);
    double steps = round(json_number_value(number) * 100);
    if (!json_is_number(number) || !(steps >= 0 && steps <= SHARE_ALL))
        return false;
    *share = (uint32_t)steps;
    return true;
}

/* ---- a route ---- */

/* One that the state does not know: it was new in the file. */
static json_t *blank_route(uint64_t at_ms)
{
    const struct evidence none = {0};
    return json_pack("{s:s, s:n, s:i, s:i, s:i, s:i, s:I, s:i, s:I, s:s, s:i, s:i, s:o}", "phase", "fixed", "stage",
                     "stage_index", 0, "stage_percent", 0, "percent", 0, "file_percent", 0, "entered_wall_ms",
                     (json_int_t)at_ms, "held_ms", 0, "saved_wall_ms", (json_int_t)at_ms, "breaker", "closed", "trips",
                     0, "cooldown_left_ms", 0, "evidence", evidence_save(&none));
}

static json_t *route_of(json_t *state, const json_t *event)
{
    json_t *routes = json_object_get(state, "routes");
    const char *name = json_string_value(json_object_get(event, "route"));
    if (name == NULL)
        return NULL;
    if (json_object_get(routes, name) == NULL)
        put(routes, name, blank_route(number_of(event, "at_ms")));
    return json_object_get(routes, name);
}

static void pass_time_in(json_t *object, const char *key, uint64_t ms)
{
    if (json_is_integer(json_object_get(object, key))) {
        uint64_t left_ms = number_of(object, key);
        put_number(object, key, left_ms > ms ? left_ms - ms : 0);
    }
}

/* The route was saved at some time, and this was later. */
static void pass_time(json_t *route, uint64_t at_ms)
{
    uint64_t saved_ms = number_of(route, "saved_wall_ms");
    if (at_ms <= saved_ms)
        return;
    pass_time_in(route, "cooldown_left_ms", at_ms - saved_ms);
    pass_time_in(json_object_get(route, "ramp"), "left_ms", at_ms - saved_ms);
    put_number(route, "saved_wall_ms", at_ms);
}

/* ---- plans ---- */

static bool same_stage(const json_t *a, const json_t *b)
{
    const json_t *stage = json_object_get(b, "stage");
    return stage != NULL && json_equal(json_object_get(a, "stage"), stage);
}

static bool stands_still(const char *phase)
{
    return strcmp(phase, plan_phase_name(PLAN_PAUSED)) == 0 || strcmp(phase, plan_phase_name(PLAN_FROZEN)) == 0 ||
           strcmp(phase, plan_phase_name(PLAN_ROLLED_BACK)) == 0;
}

static void begin_anew(json_t *route, uint64_t at_ms)
{
    const struct evidence none = {0};
    put_number(route, "entered_wall_ms", at_ms);
    put_number(route, "held_ms", 0);
    put_number(route, "gathered_ms", 0);
    put(route, "deadline_over", json_false());
    put(route, "told_failed", json_false());
    put(route, "told_waiting", json_false());
    put(route, "evidence", evidence_save(&none));
}

static void put_ramp(json_t *route, const json_t *to, uint32_t percent)
{
    const json_t *ramp = json_object_get(to, "ramp");
    uint64_t left_ms = number_of(ramp, "left_ms");
    uint32_t from;
    if (left_ms > 0 && share_in(ramp, "from", &from) && from > percent)
        put(route, "ramp",
            json_pack("{s:I, s:I, s:I}", "from", (json_int_t)from, "length_ms", (json_int_t)left_ms, "left_ms",
                      (json_int_t)left_ms));
    else
        put(route, "ramp", json_null());
}

/* Steps back in a row: see plan.h. */
static void count_steps(json_t *route, const json_t *event, uint32_t percent)
{
    const json_t *from = json_object_get(event, "from");
    uint64_t fell_from = number_of(route, "fell_from");
    uint32_t share;
    if (is(event, "what", "step_back") && share_in(from, "percent", &share)) {
        put_number(route, "steps_back", number_of(route, "steps_back") + 1);
        put_number(route, "fell_from", share > fell_from ? share : fell_from);
        return;
    }
    bool promoted = is(event, "what", "promote") && percent > fell_from;
    bool by_hand = is(event, "what", "start") || is(event, "what", "restart") || is(event, "what", "set_percent");
    bool resumed = is(event, "what", "resume") && is(from, "phase", plan_phase_name(PLAN_ROLLED_BACK));
    if (promoted || by_hand || resumed || is(event, "what", "done")) {
        put_number(route, "steps_back", 0);
        put_number(route, "fell_from", 0);
    }
}

static void note_moved(json_t *route, const json_t *event)
{
    json_t *moved = json_object();
    static const char *const keys[] = {"what", "who", "why", "at_ms"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        (void)json_object_set(moved, keys[i], json_object_get(event, keys[i]));
    put(route, "moved", moved);
}

static void move_plan(json_t *route, const json_t *event, const json_t *to, uint32_t percent)
{
    bool stays = same_stage(route, to);
    bool goes_on = stays && stands_still(text_in(to, "phase"));
    if (!stays) /* nobody but the file knows its share */
        put(route, "stage_percent", json_null());
    (void)json_object_set(route, "phase", json_object_get(to, "phase"));
    (void)json_object_set(route, "stage", json_object_get(to, "stage"));
    put_number(route, "percent", percent);
    if (!goes_on)
        begin_anew(route, number_of(event, "at_ms"));
    count_steps(route, event, percent);
    note_moved(route, event);
}

static bool is_deadline(const json_t *event)
{
    return is(event, "what", "deadline") || (is(event, "what", "pause") && is(event, "who", "plan"));
}

/* A plan that falls because of its own gates or deadline shows their evidence. */
static bool is_lost_dependency(const json_t *event)
{
    bool fell = is(event, "what", "rollback") || is(event, "what", "step_back");
    return is(event, "what", "dependency_lost") ||
           (fell && is(event, "who", "plan") && !json_is_object(json_object_get(event, "evidence")));
}

/* A restart of the first stage looks like nothing, and begins the stage anew all the same. */
static bool is_only_told(const json_t *event)
{
    static const char *const told[] = {"gate_failed", "waiting_for_promote", "deadline", "dependency_met",
                                       "dependency_lost"};
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
        if (is(event, "what", told[i]))
            return true;
    return false;
}

static void replay_plan(json_t *route, const json_t *event, const json_t *to)
{
    uint32_t percent;
    if (!share_in(to, "percent", &percent))
        return;
    if (!is_only_told(event))
        move_plan(route, event, to, percent);
    put_ramp(route, to, percent);
    if (is_deadline(event))
        put(route, "deadline_over", json_true());
    if (is(event, "what", "gate_failed"))
        put(route, "told_failed", json_true());
    if (is(event, "what", "waiting_for_promote"))
        put(route, "told_waiting", json_true());
    if (is_lost_dependency(event) || is(event, "what", "dependency_met"))
        put(route, "depends_met", json_boolean(is(event, "what", "dependency_met")));
}

/* ---- breakers ---- */

static void replay_breaker(json_t *route, const json_t *event, const json_t *to)
{
    bool opened = is(to, "breaker", breaker_state_name(BREAKER_OPEN));
    bool recovered = is(event, "what", "breaker_closed") && is(event, "who", "breaker");
    (void)json_object_set(route, "breaker", json_object_get(to, "breaker"));
    (void)json_object_set(route, "trips", json_object_get(to, "trips"));
    put(route, "cooldown_left_ms", opened ? json_null() : json_integer(0));
    put(route, "breaker_ramp_left_ms", recovered ? json_null() : json_integer(0));
    if (opened)
        put_number(route, "held_ms", 0);
}

/* ---- all ---- */

static void replay_one(json_t *state, const json_t *event)
{
    const json_t *to = json_object_get(event, "to");
    if (json_is_array(json_object_get(to, "sources"))) {
        (void)json_object_set(state, "passthrough", json_object_get(to, "sources"));
        return;
    }
    bool of_plan = json_is_string(json_object_get(to, "phase"));
    bool of_breaker = json_is_string(json_object_get(to, "breaker"));
    json_t *route = of_plan || of_breaker ? route_of(state, event) : NULL;
    if (route == NULL)
        return;
    pass_time(route, number_of(event, "at_ms"));
    if (of_plan)
        replay_plan(route, event, to);
    else
        replay_breaker(route, event, to);
}

static void remember(json_t *history, const json_t *event)
{
    (void)json_array_append(history, (json_t *)event);
    while (json_array_size(history) > JOURNAL_KEEPS)
        (void)json_array_remove(history, 0);
}

static bool is_event(const json_t *event)
{
    json_t *alone = json_pack("[O]", event);
    bool valid = journal_is_valid(alone);
    json_decref(alone);
    return valid;
}

bool state_replay(json_t *state, const json_t *events)
{
    bool any = false;
    size_t i;
    const json_t *event;
    json_array_foreach(events, i, event)
    {
        uint64_t sequence = number_of(event, "sequence");
        if (sequence <= number_of(state, "sequence") || !is_event(event))
            continue;
        any = true;
        replay_one(state, event);
        remember(json_object_get(state, "history"), event);
        put_number(state, "sequence", sequence);
    }
    if (any)
        put(state, "replayed", json_true());
    return any;
}
