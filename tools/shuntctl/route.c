/*
 * `status ROUTE`: one route with its stages, gates, breaker, traffic and what became of its copies.
 *
 * Draws an element of status.routes; asks nothing.
 */
#include <string.h>

#include "tools/shuntctl/number.h"
#include "tools/shuntctl/status.h"
#include "tools/shuntctl/table.h"
#include "tools/shuntctl/value.h"

static void draw_head(const struct screen *screen, const json_t *route)
{
    char percent[NUMBER_ROOM], now[NUMBER_ROOM], shadow[NUMBER_ROOM];
    double plan = value_number(route, "percent"), effective = value_number(route, "effective_percent");
    screen_print(screen, TONE_STRONG, "%s", value_text(route, "name"));
    screen_print(screen, TONE_PLAIN, ": %s", value_text(route, "phase"));
    if (value_text(route, "stage")[0] != '\0')
        screen_print(screen, TONE_PLAIN, ", stage %s", value_text(route, "stage"));
    screen_print(screen, TONE_PLAIN, "; %s of live traffic to %s", number_percent(plan / 100.0, percent),
                 value_text(route, "new"));
    if (plan != effective)
        screen_print(screen, TONE_BAD, ", now %s", number_percent(effective / 100.0, now));
    screen_print(screen, TONE_PLAIN, ", the rest to %s; %s mirrored\n", value_text(route, "legacy"),
                 number_percent(value_number(route, "shadow_percent") / 100.0, shadow));
}

static bool draw_stages(const struct screen *screen, const json_t *route)
{
    static const struct table_column columns[] = {
        {"STAGE", false}, {"SHARE", true}, {"SHADOW", true}, {"HOLD", true}, {"", false}};
    struct table *table = table_new(columns, 5);
    const json_t *stage;
    size_t i;
    if (table == NULL)
        return false;
    json_array_foreach(value_at(route, "stages"), i, stage)
    {
        char text[NUMBER_ROOM];
        bool current = value_flag(stage, "current");
        enum tone tone = current ? TONE_STRONG : TONE_PLAIN;
        table_row(table);
        table_cell(table, tone, value_text(stage, "name"));
        table_cell(table, tone, number_percent(value_number(stage, "percent") / 100.0, text));
        table_cell(table, tone, number_percent(value_number(stage, "shadow") / 100.0, text));
        table_cell(table, tone, number_duration(value_count(stage, "hold_ms"), text));
        if (current)
            table_cellf(table, TONE_GOOD, "<- %s held%s", number_duration(value_count(route, "hold.elapsed_ms"), text),
                        value_flag(stage, "confirm") ? "; a person must promote" : "");
        else
            table_cell(table, TONE_FAINT, value_flag(stage, "confirm") ? "a person must promote" : "");
    }
    bool whole = table_print(table, screen, 2);
    table_free(table);
    return whole;
}

static enum tone verdict_tone(const char *verdict)
{
    return strcmp(verdict, "pass") == 0 ? TONE_GOOD : strcmp(verdict, "fail") == 0 ? TONE_BAD : TONE_WARN;
}

static bool draw_gates(const struct screen *screen, const json_t *route)
{
    static const struct table_column columns[] = {{"GATE", false}, {"VERDICT", false}, {"", false}};
    struct table *table = table_new(columns, 3);
    const json_t *gate;
    size_t i;
    if (table == NULL)
        return false;
    json_array_foreach(value_at(route, "gates.gates"), i, gate)
    {
        bool applies = value_flag(gate, "applies");
        table_row(table);
        table_cell(table, applies ? TONE_PLAIN : TONE_FAINT, value_text(gate, "gate"));
        table_cell(table, applies ? verdict_tone(value_text(gate, "verdict")) : TONE_FAINT,
                   applies ? value_text(gate, "verdict") : "-");
        table_cell(table, applies ? TONE_PLAIN : TONE_FAINT, value_text(gate, "sentence"));
    }
    bool whole = table_print(table, screen, 2);
    table_free(table);
    return whole;
}

static void draw_breaker(const struct screen *screen, const json_t *route)
{
    char in_state[NUMBER_ROOM], window[NUMBER_ROOM], left[NUMBER_ROOM];
    const char *state = value_text(route, "breaker.state"), *why = value_text(route, "breaker.why");
    if (!value_flag(route, "breaker.enabled")) {
        screen_print(screen, TONE_FAINT, "  breaker off\n");
        return;
    }
    screen_print(screen, strcmp(state, "closed") == 0 ? TONE_GOOD : TONE_BAD, "  breaker %s", state);
    screen_print(screen, TONE_PLAIN, " for %s, window %s, %llu trip%s",
                 number_duration(value_count(route, "breaker.in_state_ms"), in_state),
                 number_duration(value_count(route, "breaker.window.length_ms"), window),
                 (unsigned long long)value_count(route, "breaker.trips"),
                 value_count(route, "breaker.trips") == 1 ? "" : "s");
    if (strcmp(state, "open") == 0)
        screen_print(screen, TONE_PLAIN, ", next trial in %s",
                     number_duration(value_count(route, "breaker.cooldown_left_ms"), left));
    screen_print(screen, TONE_PLAIN, "%s%s\n", why[0] != '\0' ? ": " : "", why);
}

/* Counters that are not 0, as "2xx 1,204, 5xx 3". */
static void draw_counts(const struct screen *screen, const char *title, const json_t *counts)
{
    const char *name;
    const json_t *value;
    bool any = false;
    screen_print(screen, TONE_FAINT, "  %s: ", title);
    json_object_foreach((json_t *)counts, name, value)
    {
        char count[NUMBER_ROOM];
        if (json_integer_value(value) <= 0)
            continue;
        screen_print(screen, TONE_PLAIN, "%s%s %s", any ? ", " : "", name,
                     number_count((uint64_t)json_integer_value(value), count));
        any = true;
    }
    screen_print(screen, TONE_FAINT, "%s\n", any ? "" : "none");
}

bool status_draw_route(const struct screen *screen, const json_t *route)
{
    bool whole = true;
    draw_head(screen, route);
    if (json_array_size(value_at(route, "stages")) > 0) {
        whole &= draw_stages(screen, route);
        fputc('\n', screen->out);
        whole &= draw_gates(screen, route);
        fputc('\n', screen->out);
    }
    json_t *alone = json_pack("{s:[O]}", "routes", route);
    whole &= alone != NULL && status_draw_traffic(screen, alone, NULL);
    json_decref(alone);
    fputc('\n', screen->out);
    draw_breaker(screen, route);
    draw_counts(screen, "legacy answered", value_at(route, "counters.legacy.classes"));
    draw_counts(screen, "new answered", value_at(route, "counters.new.classes"));
    draw_counts(screen, "outcomes on legacy", value_at(route, "counters.legacy.outcomes"));
    draw_counts(screen, "outcomes on new", value_at(route, "counters.new.outcomes"));
    draw_counts(screen, "copies", value_at(route, "counters.mirror"));
    return whole;
}
