/*
 * `fleet`: who is in the fleet, who leads, and what all of them are to do.
 *
 * Drawing is apart from asking, so that it can be tested with made-up answers. While Redis is away the answer has no
 * replicas: then only what this one knows is shown, and said to be that.
 */
#include "tools/shuntctl/fleet.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/number.h"
#include "tools/shuntctl/table.h"
#include "tools/shuntctl/value.h"
#include "tools/shuntctl/word.h"

static const char route_prefix[] = "route:";

/* "cut off" for "cut_off"; a role nobody knows is its own word. */
static const char *word_role(const char *role)
{
    return strcmp(role, "cut_off") == 0 ? "cut off" : role;
}

static enum tone role_tone(const char *role)
{
    return strcmp(role, "leader") == 0 ? TONE_STRONG : strcmp(role, "cut_off") == 0 ? TONE_BAD : TONE_PLAIN;
}

static bool is_away(const json_t *fleet)
{
    return !value_flag(fleet, "redis.available");
}

/* There, but no good: out of memory, read-only, loading, or of a later shunt. */
static bool is_cut_off(const json_t *fleet)
{
    return !is_away(fleet) && strcmp(value_text(fleet, "role"), "cut_off") == 0;
}

/* ---- names ---- */

/* What people call it: its name, or, where another has the same, its identity. */
static const char *name_of(const json_t *fleet, const json_t *replica)
{
    const char *name = value_text(replica, "name");
    const json_t *other;
    size_t i;
    if (name[0] == '\0')
        return value_text(replica, "replica");
    json_array_foreach(value_at(fleet, "replicas"), i, other)
    {
        if (other != replica && strcmp(value_text(other, "name"), name) == 0)
            return value_text(replica, "replica");
    }
    return name;
}

static const char *name_of_id(const json_t *fleet, const char *id)
{
    const json_t *replica;
    size_t i;
    json_array_foreach(value_at(fleet, "replicas"), i, replica)
    {
        if (strcmp(value_text(replica, "replica"), id) == 0)
            return name_of(fleet, replica);
    }
    return id;
}

/* ---- the top ---- */

static void draw_group(const struct screen *screen, const json_t *fleet)
{
    char alive[NUMBER_ROOM];
    const char *leader = value_text(fleet, "leader");
    uint64_t replicas = value_count(fleet, "alive");
    screen_print(screen, TONE_STRONG, "fleet %s", value_text(fleet, "group"));
    if (is_away(fleet) || is_cut_off(fleet)) { /* who is alive and who leads was true once */
        screen_print(screen, TONE_PLAIN, ": epoch %llu is what this replica knows\n",
                     (unsigned long long)value_count(fleet, "epoch"));
        return;
    }
    screen_print(screen, TONE_PLAIN, ": %s replica%s alive, ", number_count(replicas, alive), replicas == 1 ? "" : "s");
    if (leader[0] != '\0')
        screen_print(screen, TONE_PLAIN, "%s leads (term %llu)", name_of_id(fleet, leader),
                     (unsigned long long)value_count(fleet, "term"));
    else
        screen_print(screen, TONE_WARN, "nobody leads");
    screen_print(screen, TONE_PLAIN, ", epoch %llu\n", (unsigned long long)value_count(fleet, "epoch"));
}

static void draw_self(const struct screen *screen, const json_t *fleet)
{
    char lag[NUMBER_ROOM];
    const char *role = value_text(fleet, "role");
    uint64_t lag_ms = value_count(fleet, "lag_ms");
    screen_print(screen, TONE_FAINT, "  this replica ");
    screen_print(screen, TONE_PLAIN, "%s, ", name_of_id(fleet, value_text(fleet, "replica")));
    screen_print(screen, role_tone(role), "%s", word_role(role));
    if (lag_ms > 0)
        screen_print(screen, TONE_FAINT, ", answered %s ago", number_duration(lag_ms, lag));
    fputc('\n', screen->out);
}

static void draw_away(const struct screen *screen, const json_t *fleet)
{
    char time[NUMBER_ROOM];
    const json_t *redis = value_at(fleet, "redis");
    const char *server = value_text(redis, "server"), *error = value_text(redis, "last_error");
    uint64_t down_ms = value_count(redis, "down_ms");
    if (is_cut_off(fleet))
        screen_print(screen, TONE_BAD, "CUT OFF, although Redis is there");
    else
        screen_print(screen, TONE_BAD, "REDIS IS AWAY%s%s", down_ms > 0 ? " for " : "",
                     down_ms > 0 ? number_duration(down_ms, time) : "");
    screen_print(screen, TONE_BAD, " (%s%s%s)\n", server[0] != '\0' ? server : "no server yet",
                 error[0] != '\0' ? ": " : "", error);
    screen_wrap(screen, TONE_WARN, 2,
                "This replica goes on with what it knew last. It trips breakers, rolls back and goes to passthrough by "
                "itself, and raises no share.");
}

static void draw_redis(const struct screen *screen, const json_t *fleet)
{
    char time[NUMBER_ROOM];
    const json_t *redis = value_at(fleet, "redis");
    if (is_away(fleet) || is_cut_off(fleet)) {
        draw_away(screen, fleet);
        return;
    }
    screen_print(screen, TONE_FAINT, "  redis ");
    screen_print(screen, TONE_PLAIN, "%s, answers in %s, %llu reconnects\n", value_text(redis, "server"),
                 number_latency(value_number(redis, "latency_ms") * 1000, time),
                 (unsigned long long)value_count(redis, "reconnects"));
}

/* "operator:anna: on fire" */
static void draw_by(const struct screen *screen, enum tone tone, const json_t *by)
{
    const char *who = value_text(by, "who"), *why = value_text(by, "why");
    if (who[0] != '\0')
        screen_print(screen, tone, " (by %s%s%s)", who, why[0] != '\0' ? ": " : "", why);
}

/* Who changed the item; it stands in its text, too. */
static const json_t *by_of(const json_t *item)
{
    const json_t *by = value_at(item, "by");
    return json_is_object(by) ? by : value_at(item, "text.by");
}

static void draw_passthrough(const struct screen *screen, const json_t *item)
{
    bool on = value_flag(item, "on") || value_flag(item, "text.on");
    if (!on)
        return;
    screen_print(screen, TONE_BAD, "PASSTHROUGH IS ON for the fleet: everything goes straight to legacy");
    draw_by(screen, TONE_BAD, by_of(item));
    fputc('\n', screen->out);
}

/* ---- routes ---- */

/* "10 %", or "10 %, now 0 %" while the fleet's breaker takes it away. */
static void share_text(const json_t *item, char *out, size_t room)
{
    char plan[NUMBER_ROOM], now[NUMBER_ROOM];
    double in_force = value_number(item, "share"), planned = value_number(item, "text.plan.percent") / 100.0;
    bool is_plan = json_is_number(value_at(item, "text.plan.percent"));
    number_percent(planned / 100.0, plan);
    number_percent(in_force / 100.0, now);
    if (!is_plan || planned == in_force)
        snprintf(out, room, "%s", now);
    else
        snprintf(out, room, "%s, now %s", plan, now);
}

/* "2026-03-01 10:12:11 set percent by operator:anna: a closer look" */
static void changed_text(const json_t *item, char *out, size_t room)
{
    const json_t *by = by_of(item);
    time_t seconds = (time_t)(value_count(by, "at_ms") / 1000);
    struct tm parts;
    char when[40] = "", what[64];
    if (seconds > 0 && localtime_r(&seconds, &parts) != NULL)
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S ", &parts);
    snprintf(what, sizeof(what), "%s", value_text(by, "what"));
    for (char *at = what; *at != '\0'; at++)
        if (*at == '_')
            *at = ' ';
    const char *who = value_text(by, "who"), *why = value_text(by, "why");
    snprintf(out, room, "%s%s%s%s%s%s", when, what, who[0] != '\0' ? " by " : "", who, why[0] != '\0' ? ": " : "", why);
}

static enum tone breaker_tone(const char *state)
{
    return strcmp(state, "open") == 0 ? TONE_BAD : strcmp(state, "half_open") == 0 ? TONE_WARN : TONE_PLAIN;
}

static void row_route(struct table *table, const json_t *item)
{
    char share[96], changed[512];
    const char *phase = value_text(item, "text.plan.phase"), *breaker = value_text(item, "text.breaker.state");
    share_text(item, share, sizeof(share));
    changed_text(item, changed, sizeof(changed));
    table_row(table);
    table_cell(table, TONE_STRONG, value_text(item, "name") + strlen(route_prefix));
    table_cell(table, word_phase_tone(phase), word_phase(phase));
    table_cell(table, TONE_PLAIN, value_text(item, "text.plan.stage"));
    table_cell(table, TONE_STRONG, share);
    table_cell(table, breaker_tone(breaker), strcmp(breaker, "half_open") == 0 ? "half open" : breaker);
    table_cellf(table, TONE_FAINT, "%llu", (unsigned long long)value_count(item, "version"));
    table_cell(table, TONE_PLAIN, changed);
}

static bool draw_routes(const struct screen *screen, const json_t *items)
{
    static const struct table_column columns[] = {{"ROUTE", false},  {"STATE", false},   {"STAGE", false},
                                                  {"SHARE", true},   {"BREAKER", false}, {"VERSION", true},
                                                  {"CHANGED", false}};
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    const json_t *item;
    size_t i, routes = 0;
    if (table == NULL)
        return false;
    json_array_foreach(items, i, item)
    {
        if (strncmp(value_text(item, "name"), route_prefix, strlen(route_prefix)) != 0)
            continue;
        row_route(table, item);
        routes++;
    }
    if (routes > 0)
        fputc('\n', screen->out);
    bool whole = routes == 0 || table_print(table, screen, 0);
    table_free(table);
    return whole;
}

/* ---- replicas ---- */

static int by_name(const void *a, const void *b)
{
    const json_t *one = *(json_t *const *)a, *other = *(json_t *const *)b;
    int order = strcmp(value_text(one, "name"), value_text(other, "name"));
    return order != 0 ? order : strcmp(value_text(one, "replica"), value_text(other, "replica"));
}

/* The replicas in the order of their names, borrowed; NULL without memory or replicas. */
static json_t **in_order(const json_t *replicas)
{
    size_t count = json_array_size(replicas);
    json_t **sorted = count > 0 ? calloc(count, sizeof(*sorted)) : NULL;
    for (size_t i = 0; sorted != NULL && i < count; i++)
        sorted[i] = json_array_get(replicas, i);
    if (sorted != NULL)
        qsort(sorted, count, sizeof(*sorted), by_name);
    return sorted;
}

static void cell_epoch(struct table *table, const json_t *replica)
{
    uint64_t behind = value_count(replica, "epochs_behind");
    if (behind == 0)
        table_cellf(table, TONE_PLAIN, "%llu", (unsigned long long)value_count(replica, "epoch"));
    else
        table_cellf(table, TONE_WARN, "%llu, %llu behind", (unsigned long long)value_count(replica, "epoch"),
                    (unsigned long long)behind);
}

static void cell_open(struct table *table, const json_t *open)
{
    char names[256] = "";
    const json_t *route;
    size_t i;
    json_array_foreach(open, i, route)
    {
        const char *name = json_string_value(route);
        size_t length = strlen(names);
        snprintf(names + length, sizeof(names) - length, "%s%s", i > 0 ? ", " : "", name != NULL ? name : "");
    }
    table_cell(table, names[0] != '\0' ? TONE_BAD : TONE_FAINT, names[0] != '\0' ? names : "-");
}

static void row_replica(struct table *table, const json_t *fleet, const json_t *replica)
{
    char seen[NUMBER_ROOM];
    const char *id = value_text(replica, "replica"), *file = value_text(replica, "file");
    const char *role = strcmp(id, value_text(fleet, "leader")) == 0 ? "leader" : value_text(replica, "role");
    bool same = strcmp(file, value_text(fleet, "file")) == 0;
    uint64_t seen_ms = value_count(replica, "seen_ms_ago");
    table_row(table);
    table_cellf(table, TONE_STRONG, "%s%s", name_of(fleet, replica),
                strcmp(id, value_text(fleet, "replica")) == 0 ? " (this one)" : "");
    table_cell(table, TONE_PLAIN, value_text(replica, "version"));
    table_cell(table, role_tone(role), word_role(role));
    cell_epoch(table, replica);
    table_cell(table, same ? TONE_PLAIN : TONE_WARN, same ? "same" : "other");
    cell_open(table, value_at(replica, "open"));
    table_cellf(table, seen_ms > 5000 ? TONE_WARN : TONE_FAINT, "%s ago", number_duration(seen_ms, seen));
}

static bool draw_replicas(const struct screen *screen, const json_t *fleet)
{
    static const struct table_column columns[] = {{"REPLICA", false}, {"VERSION", false}, {"ROLE", false},
                                                  {"EPOCH", true},    {"FILE", false},    {"BREAKERS OPEN", false},
                                                  {"SEEN", true}};
    const json_t *replicas = value_at(fleet, "replicas");
    size_t count = json_array_size(replicas);
    if (count == 0)
        return true;
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    json_t **sorted = in_order(replicas);
    bool whole = table != NULL && sorted != NULL;
    for (size_t i = 0; whole && i < count; i++)
        row_replica(table, fleet, sorted[i]);
    fputc('\n', screen->out);
    whole = whole && table_print(table, screen, 0);
    table_free(table);
    free(sorted);
    return whole;
}

bool fleet_draw(const struct screen *screen, const json_t *fleet)
{
    draw_group(screen, fleet);
    draw_self(screen, fleet);
    draw_redis(screen, fleet);
    draw_passthrough(screen, value_at(fleet, "passthrough"));
    return draw_routes(screen, value_at(fleet, "items")) && draw_replicas(screen, fleet);
}

/* ---- the command ---- */

int run_fleet(struct ctl *ctl, const struct command *command, const char *const *words)
{
    json_t *answer = NULL;
    (void)command;
    (void)words;
    int code = api_ask(ctl, "/api/v1/fleet", NULL, "group", &answer);
    if (code == EXIT_DONE && ctl->options.json)
        api_print(answer);
    else if (code == EXIT_DONE && !fleet_draw(&ctl->screen, answer))
        code = complain(ctl, EXIT_REFUSED, "out of memory");
    if (code == EXIT_DONE && (is_away(answer) || is_cut_off(answer)))
        code = EXIT_REFUSED;
    json_decref(answer);
    return code;
}
