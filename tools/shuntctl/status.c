/*
 * `status`, `routes`, `gates`: the answer of GET /api/v1/status as tables for people.
 *
 * Drawing is apart from asking, so that it can be tested with made-up answers. Two tables, as one would be too wide:
 * what the plans do, and what the traffic looks like. What the router says in sentences is shown as it says it.
 */
#include "tools/shuntctl/status.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/drain.h"
#include "tools/shuntctl/number.h"
#include "tools/shuntctl/table.h"
#include "tools/shuntctl/value.h"
#include "tools/shuntctl/word.h"

static const char *const sides[] = {"legacy", "new"};
enum {
    SIDE_COUNT = 2
};

/* ---- verdict of the gates ---- */

/* The first gate with this verdict; NULL when there is none. */
static const json_t *gate_with(const json_t *route, const char *verdict)
{
    const json_t *gate;
    size_t i;
    json_array_foreach(value_at(route, "gates.gates"), i, gate)
    {
        if (value_flag(gate, "applies") && strcmp(value_text(gate, "verdict"), verdict) == 0)
            return gate;
    }
    return NULL;
}

static char *print(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *print(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    return length < 0 ? NULL : text;
}

char *status_verdict(const json_t *route)
{
    const char *verdict = value_text(route, "gates.verdict");
    if (verdict[0] == '\0')
        return strdup("");
    const json_t *gate = gate_with(route, verdict);
    if (strcmp(verdict, "pass") == 0 || gate == NULL)
        return print("%s: %s", verdict, strcmp(verdict, "pass") == 0 ? "all gates pass" : "see the gates");
    return print("%s: %s: %s", verdict, value_text(gate, "gate"), value_text(gate, "sentence"));
}

/* The line below a route: why it is not promoted yet, and when an open breaker tries again. */
static void note_route(struct table *table, const json_t *route)
{
    char cooldown[NUMBER_ROOM];
    const char *state = value_text(route, "breaker.state"), *why = value_text(route, "why_not");
    bool broken = value_flag(route, "breaker.enabled") && state[0] != '\0' && strcmp(state, "closed") != 0;
    bool open = strcmp(state, "open") == 0;
    table_note(table, broken ? TONE_BAD : word_verdict_tone(value_text(route, "gates.verdict")), why);
    if (!broken)
        return;
    char *note = print("breaker: %s%s%s", value_text(route, "breaker.why"), open ? "; next trial in " : "; trying",
                       open ? number_duration(value_count(route, "breaker.cooldown_left_ms"), cooldown) : "");
    if (note != NULL)
        table_note(table, TONE_BAD, note);
    free(note);
}

/* ---- rates ---- */

json_t *status_route(const json_t *status, const char *name)
{
    json_t *route;
    size_t i;
    json_array_foreach(value_at(status, "routes"), i, route)
    {
        if (strcmp(value_text(route, "name"), name) == 0)
            return route;
    }
    return NULL;
}

static double value_of_side(const json_t *route, const char *format, const char *side)
{
    char path[64];
    snprintf(path, sizeof(path), format, side);
    return value_number(route, path);
}

double status_rate(const json_t *status, const json_t *route, const json_t *before, const char *side)
{
    const json_t *past = before != NULL ? status_route(before, value_text(route, "name")) : NULL;
    double ms = value_number(status, "at_ms") - value_number(before, "at_ms");
    double uptime_ms = value_number(status, "uptime_ms");
    if (past != NULL && ms > 0 && uptime_ms >= value_number(before, "uptime_ms")) {
        double gained =
            value_of_side(route, "counters.%s.requests", side) - value_of_side(past, "counters.%s.requests", side);
        return gained > 0 ? gained * 1000.0 / ms : 0;
    }
    double window_ms = value_number(route, "breaker.window.length_ms");
    double closed_ms = value_number(route, "breaker.in_state_ms");
    if (!value_flag(route, "breaker.enabled") || window_ms <= 0)
        return -1;
    /* A breaker that closes, at the start or after a trip, begins with an empty window. */
    if (strcmp(value_text(route, "breaker.state"), "closed") == 0 && closed_ms > 0 && closed_ms < window_ms)
        window_ms = closed_ms;
    return value_of_side(route, "breaker.window.%s.judged", side) * 1000.0 / window_ms;
}

/* ---- tables ---- */

static void cell_compared(struct table *table, const json_t *route)
{
    char count[NUMBER_ROOM], rate[NUMBER_ROOM];
    uint64_t compared = value_count(route, "evidence.compared"), differ = value_count(route, "evidence.mismatched");
    if (compared == 0) {
        table_cell(table, TONE_FAINT, "-");
        table_cell(table, TONE_FAINT, "-");
        return;
    }
    table_cell(table, TONE_PLAIN, number_count(compared, count));
    number_percent((double)differ / (double)compared, rate);
    if (differ == 0)
        table_cell(table, TONE_GOOD, "0");
    else
        table_cellf(table, TONE_WARN, "%s (%s)", number_count(differ, count), rate);
}

static bool draw_plans(const struct screen *screen, const json_t *routes)
{
    static const struct table_column columns[] = {{"ROUTE", false},   {"STATE", false}, {"STAGE", false},
                                                  {"SHARE", true},    {"SHADOW", true}, {"BREAKER", false},
                                                  {"COMPARED", true}, {"DIFFER", false}};
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    const json_t *route;
    size_t i;
    if (table == NULL)
        return false;
    json_array_foreach(routes, i, route)
    {
        char stage[128], share[96], breaker[96], shadow[NUMBER_ROOM];
        word_stage(route, stage, sizeof(stage));
        word_share(route, share, sizeof(share));
        word_breaker(route, breaker, sizeof(breaker));
        table_row(table);
        table_cell(table, TONE_STRONG, value_text(route, "name"));
        table_cell(table, word_phase_tone(value_text(route, "phase")), word_phase(value_text(route, "phase")));
        table_cell(table, TONE_PLAIN, stage);
        table_cell(table, TONE_STRONG, share);
        table_cell(table, TONE_PLAIN, number_percent(value_number(route, "shadow_percent") / 100.0, shadow));
        table_cell(table, word_breaker_tone(route), breaker);
        cell_compared(table, route);
        note_route(table, route);
    }
    bool whole = table_print(table, screen, 0);
    table_free(table);
    return whole;
}

static void cell_rate(struct table *table, double rate)
{
    char text[NUMBER_ROOM];
    table_cell(table, rate > 0 ? TONE_PLAIN : TONE_FAINT, rate < 0 ? "-" : number_rate(rate, text));
}

static void cell_errors(struct table *table, double rate, bool any)
{
    char text[NUMBER_ROOM];
    table_cell(table, !any ? TONE_FAINT : rate > 0 ? TONE_WARN : TONE_PLAIN, any ? number_percent(rate, text) : "-");
}

static void cell_latency(struct table *table, const json_t *route, const char *format, const char *side)
{
    char text[NUMBER_ROOM];
    double ms = value_of_side(route, format, side);
    table_cell(table, ms > 0 ? TONE_PLAIN : TONE_FAINT, ms > 0 ? number_latency(ms * 1000.0, text) : "-");
}

static void row_traffic(struct table *table, const json_t *status, const json_t *route, const json_t *before, int side)
{
    char count[NUMBER_ROOM];
    const char *name = sides[side];
    double in_window = value_of_side(route, "breaker.window.%s.judged", name);
    double in_stage = value_of_side(route, "evidence.%s.judged", name);
    table_row(table);
    table_cell(table, TONE_STRONG, side == 0 ? value_text(route, "name") : "");
    table_cell(table, TONE_PLAIN, name);
    cell_rate(table, status_rate(status, route, before, name));
    cell_errors(table, value_of_side(route, "breaker.window.%s.error_rate", name), in_window > 0);
    table_cell(table, in_stage > 0 ? TONE_PLAIN : TONE_FAINT, number_count((uint64_t)in_stage, count));
    cell_errors(table, value_of_side(route, "evidence.%s.error_rate", name), in_stage > 0);
    cell_latency(table, route, "evidence.%s.latency.p50_ms", name);
    cell_latency(table, route, "evidence.%s.latency.p95_ms", name);
    cell_latency(table, route, "evidence.%s.latency.p99_ms", name);
}

bool status_draw_traffic(const struct screen *screen, const json_t *status, const json_t *before)
{
    static const struct table_column columns[] = {{"TRAFFIC", false},   {"SIDE", false},    {"NOW", true},
                                                  {"ERRORS NOW", true}, {"IN STAGE", true}, {"ERRORS", true},
                                                  {"P50", true},        {"P95", true},      {"P99", true}};
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    const json_t *route;
    size_t i;
    if (table == NULL)
        return false;
    json_array_foreach(value_at(status, "routes"), i, route)
    {
        for (int side = 0; side < SIDE_COUNT; side++)
            row_traffic(table, status, route, before, side);
    }
    bool whole = table_print(table, screen, 0);
    table_free(table);
    return whole;
}

/* ---- the top ---- */

static void draw_list(const struct screen *screen, const char *title, const json_t *items)
{
    const json_t *item;
    size_t i;
    if (json_array_size(items) == 0)
        return;
    screen_print(screen, TONE_FAINT, "  %s ", title);
    json_array_foreach(items, i, item)
    {
        const char *text = json_is_string(item) ? json_string_value(item) : value_text(item, "name");
        screen_print(screen, TONE_PLAIN, "%s%s", i > 0 ? ", " : "", text);
    }
    fputc('\n', screen->out);
}

static const char *address_text(const json_t *address)
{
    return json_is_string(address) ? json_string_value(address) : value_text(address, "address");
}

/* What active checks have found down. */
static void draw_unhealthy(const struct screen *screen, const json_t *unhealthy)
{
    const json_t *address;
    size_t i;
    json_array_foreach(unhealthy, i, address)
    {
        screen_print(screen, TONE_BAD, "%s%s (%s)", i > 0 ? ", " : " unhealthy: ", value_text(address, "address"),
                     value_text(address, "reason"));
    }
}

static void draw_backends(const struct screen *screen, const json_t *backends)
{
    const json_t *backend, *address;
    size_t i, j;
    json_array_foreach(backends, i, backend)
    {
        const json_t *addresses = value_at(backend, "addresses");
        screen_print(screen, TONE_FAINT, "  backend ");
        screen_print(screen, TONE_PLAIN, "%s %s", value_text(backend, "name"), value_text(backend, "url"));
        if (json_is_array(addresses) && json_array_size(addresses) == 0)
            screen_print(screen, TONE_BAD, " (name not resolved)");
        bool plain = json_array_size(addresses) == 1 && /* the URL is an address, not a name */
                     strstr(value_text(backend, "url"), address_text(json_array_get(addresses, 0))) != NULL;
        json_array_foreach(plain ? NULL : addresses, j, address)
        {
            screen_print(screen, TONE_FAINT, "%s%s%s", j > 0 ? ", " : " (", address_text(address),
                         j + 1 == json_array_size(addresses) ? ")" : "");
        }
        draw_unhealthy(screen, value_at(backend, "unhealthy"));
        fputc('\n', screen->out);
    }
}

static void draw_warnings(const struct screen *screen, const json_t *status)
{
    const json_t *sources = value_at(status, "passthrough_sources"), *source;
    size_t i;
    if (value_flag(status, "passthrough")) {
        screen_print(screen, TONE_BAD, "PASSTHROUGH IS ON: everything goes straight to legacy; no split, no shadow");
        json_array_foreach(sources, i, source)
        {
            screen_print(screen, TONE_BAD, "%s%s%s", i > 0 ? ", " : " (by ", json_string_value(source),
                         i + 1 == json_array_size(sources) ? ")" : "");
        }
        fputc('\n', screen->out);
    }
    if (value_flag(status, "fail_open"))
        screen_print(screen, TONE_BAD, "FAIL-OPEN: the configuration file is bad; serving without it\n");
    if (value_flag(status, "draining"))
        screen_print(screen, TONE_WARN, "DRAINING: %s\n", drain_sentence(value_at(status, "drain")));
    if (value_count(status, "config.reload_failures") > 0 && !value_flag(status, "config.last_reload_ok"))
        screen_print(screen, TONE_WARN,
                     "The last reload failed: the running configuration is older than the file "
                     "(shuntctl check %s)\n",
                     value_text(status, "config.file"));
    if (value_count(status, "state.save_failures") > 0)
        screen_print(screen, TONE_WARN, "State could not be saved %llu times; see the log\n",
                     (unsigned long long)value_count(status, "state.save_failures"));
}

/* Whose plan this is; silence where it is this process's alone. */
static void draw_fleet(const struct screen *screen, const json_t *fleet)
{
    char alive[NUMBER_ROOM];
    const char *role = value_text(fleet, "role"), *leader = value_text(fleet, "leader");
    uint64_t replicas = value_count(fleet, "alive");
    if (!json_is_object(fleet))
        return;
    screen_print(screen, TONE_FAINT, "  fleet ");
    screen_print(screen, TONE_PLAIN, "%s as %s: ", value_text(fleet, "group"), value_text(fleet, "replica"));
    if (!value_flag(fleet, "redis_available"))
        screen_print(screen, TONE_WARN, "Redis is away, and what was known last holds (shuntctl fleet)");
    else if (strcmp(role, "cut_off") == 0)
        screen_print(screen, TONE_WARN, "cut off, and what was known last holds (shuntctl fleet)");
    else
        screen_print(screen, TONE_PLAIN, "%s replica%s, %s%s", number_count(replicas, alive), replicas == 1 ? "" : "s",
                     strcmp(role, "leader") == 0 ? "this one leads"
                     : leader[0] != '\0'         ? "led by "
                                                 : "nobody leads",
                     strcmp(role, "leader") == 0 ? "" : leader);
    fputc('\n', screen->out);
}

static void draw_top(const struct screen *screen, const json_t *status)
{
    char uptime[NUMBER_ROOM];
    screen_print(screen, TONE_STRONG, "shunt %s", value_text(status, "version"));
    screen_print(screen, TONE_PLAIN, ", up %s, %llu worker%s, ",
                 number_duration(value_count(status, "uptime_ms"), uptime),
                 (unsigned long long)value_count(status, "workers"), value_count(status, "workers") == 1 ? "" : "s");
    screen_print(screen, value_flag(status, "ready") ? TONE_GOOD : TONE_BAD, "%s",
                 value_flag(status, "ready") ? "ready" : "not ready");
    fputc('\n', screen->out);
    draw_list(screen, "listening on", value_at(status, "listeners"));
    draw_backends(screen, value_at(status, "backends"));
    draw_fleet(screen, value_at(status, "fleet"));
    draw_warnings(screen, status);
}

bool status_draw(const struct screen *screen, const json_t *status, const json_t *before)
{
    const json_t *routes = value_at(status, "routes");
    draw_top(screen, status);
    fputc('\n', screen->out);
    if (json_array_size(routes) == 0) {
        screen_print(screen, TONE_FAINT, "no routes: everything goes to legacy\n");
        return true;
    }
    bool whole = draw_plans(screen, routes);
    fputc('\n', screen->out);
    return status_draw_traffic(screen, status, before) && whole;
}

/* ---- lines ---- */

void status_draw_lines(const struct screen *screen, const json_t *status, const json_t *before)
{
    char clock[16] = "", stage[128], share[96], breaker[96], legacy[NUMBER_ROOM], new[NUMBER_ROOM],
         compared[NUMBER_ROOM], differ[NUMBER_ROOM];
    time_t now = (time_t)(value_count(status, "at_ms") / 1000);
    struct tm parts;
    const json_t *route;
    size_t i;
    if (localtime_r(&now, &parts) != NULL)
        strftime(clock, sizeof(clock), "%H:%M:%S", &parts);
    json_array_foreach(value_at(status, "routes"), i, route)
    {
        double rates[SIDE_COUNT] = {status_rate(status, route, before, "legacy"),
                                    status_rate(status, route, before, "new")};
        word_stage(route, stage, sizeof(stage));
        word_share(route, share, sizeof(share));
        word_breaker(route, breaker, sizeof(breaker));
        screen_print(screen, TONE_PLAIN,
                     "%s %s %s%s%s, share %s, breaker %s, legacy %s, new %s, compared %s, differ %s%s\n", clock,
                     value_text(route, "name"), value_text(route, "phase"), stage[0] != '\0' ? " " : "", stage, share,
                     breaker, rates[0] < 0 ? "-" : number_rate(rates[0], legacy),
                     rates[1] < 0 ? "-" : number_rate(rates[1], new),
                     number_count(value_count(route, "evidence.compared"), compared),
                     number_count(value_count(route, "evidence.mismatched"), differ),
                     value_flag(status, "passthrough") ? ", PASSTHROUGH" : "");
    }
}

/* ---- commands ---- */

static int show_status(struct ctl *ctl, const char *name)
{
    json_t *answer = NULL;
    char *path = name != NULL ? api_path("/api/v1/routes/%s", name) : strdup("/api/v1/status");
    int code = api_ask(ctl, path, NULL, name != NULL ? "phase" : "routes", &answer);
    if (code == EXIT_DONE && ctl->options.json)
        code = api_print(answer);
    else if (code == EXIT_DONE &&
             !(name != NULL ? status_draw_route(&ctl->screen, answer) : status_draw(&ctl->screen, answer, NULL)))
        code = complain(ctl, EXIT_REFUSED, "out of memory");
    json_decref(answer);
    free(path);
    return code;
}

int run_status(struct ctl *ctl, const struct command *command, const char *const *words)
{
    if (ctl->options.state == NULL) {
        if (ctl->options.wait_most_ms > 0) /* without a wait, --timeout is that of the answer, as everywhere */
            ctl->client.timeout_ms = ctl->options.wait_most_ms;
        return show_status(ctl, words[0]);
    }
    if (words[0] == NULL)
        return complain(ctl, EXIT_USAGE, "%s --wait needs a route; `shuntctl routes` lists them", command->name);
    return status_wait(ctl, words[0]);
}

int run_routes(struct ctl *ctl, const struct command *command, const char *const *words)
{
    json_t *answer = NULL;
    const json_t *route;
    size_t i;
    int code = api_ask(ctl, "/api/v1/routes", NULL, "routes", &answer);
    (void)command;
    (void)words;
    if (code == EXIT_DONE && ctl->options.json)
        code = api_print(answer);
    else if (code == EXIT_DONE)
        json_array_foreach(value_at(answer, "routes"), i, route)
        {
            screen_print(&ctl->screen, TONE_PLAIN, "%s\n", value_text(route, "name"));
        }
    json_decref(answer);
    return code;
}

/* No verdict at all is that of a route without gates; a word of a later shunt is no pass. */
static int verdict_code(const char *verdict)
{
    if (strcmp(verdict, "fail") == 0)
        return EXIT_REFUSED;
    return verdict[0] == '\0' || strcmp(verdict, "pass") == 0 ? EXIT_DONE : EXIT_UNDECIDED;
}

static int draw_verdicts(const struct ctl *ctl, const json_t *routes)
{
    bool failed = false, undecided = false;
    const json_t *route;
    size_t i;
    json_array_foreach(routes, i, route)
    {
        char *sentence = status_verdict(route);
        int code = verdict_code(value_text(route, "gates.verdict"));
        failed |= code == EXIT_REFUSED;
        undecided |= code == EXIT_UNDECIDED;
        if (!ctl->options.json) {
            screen_print(&ctl->screen, TONE_STRONG, "%s: ", value_text(route, "name"));
            screen_print(&ctl->screen, word_verdict_tone(value_text(route, "gates.verdict")), "%s\n",
                         sentence != NULL && sentence[0] != '\0' ? sentence : "no gates: a fixed share");
        }
        free(sentence);
    }
    return failed ? EXIT_REFUSED : undecided ? EXIT_UNDECIDED : EXIT_DONE;
}

int run_gates(struct ctl *ctl, const struct command *command, const char *const *words)
{
    json_t *answer = NULL;
    char *path = words[0] != NULL ? api_path("/api/v1/routes/%s", words[0]) : strdup("/api/v1/routes");
    int code = api_ask(ctl, path, NULL, words[0] != NULL ? "phase" : "routes", &answer);
    (void)command;
    if (code == EXIT_DONE) {
        json_t *routes = words[0] != NULL ? json_pack("[O]", answer) : json_incref(value_at(answer, "routes"));
        if (ctl->options.json)
            api_print(routes);
        code = draw_verdicts(ctl, routes);
        json_decref(routes);
    } else if (code == EXIT_REFUSED) { /* "there is no such route" must not read as "a gate has failed" */
        code = EXIT_USAGE;
    }
    json_decref(answer);
    free(path);
    return code;
}
