/*
 * `simulate`: what a plan of a file would do with assumed traffic, before anybody is asked to bear it. Asks no shunt:
 * the router itself is run on traffic drawn by chance (router/simulate.h). Parses what is assumed, prints what came
 * out.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/forecast.h"
#include "tools/shuntctl/number.h"
#include "tools/shuntctl/route_names.h"
#include "tools/shuntctl/table.h"

enum {
    RUNS_USUAL = 200,
    DAY_MS = 86400000,
    DAYS_MOST = 365,
};

struct simulation {
    struct ctl *ctl;
    struct config *config; /* owned */
    const struct config_route *route;
    struct simulate_world world;
    uint32_t runs;
    uint64_t seed;
    uint64_t most_ms;
    struct forecast *forecast; /* owned */
};

/* ---- what is assumed ---- */

static bool wrong(const struct simulation *s, const char *flag, const char *text, const char *expected)
{
    if (text == NULL)
        complain(s->ctl, EXIT_USAGE, "--%s: simulate needs it; expected %s", flag, expected);
    else
        complain(s->ctl, EXIT_USAGE, "--%s: \"%s\" is not %s", flag, text, expected);
    return false;
}

static bool read_rate(const struct simulation *s, const char *text, double *rate)
{
    char *end = NULL;
    *rate = text != NULL ? strtod(text, &end) : 0;
    if (text != NULL && strcmp(end, "/s") == 0)
        end += 2;
    if (text == NULL || end == text || *end != '\0' || !(*rate >= 0.001 && *rate <= 1e6))
        return wrong(s, "rate", text, "requests a second, from 0.001 to 1000000, such as 20");
    return true;
}

/* "0.5%"; with `base` also "+0.5%" and "-0.1%", from there. */
static bool read_percent(const struct simulation *s, const char *flag, const char *text, const double *base,
                         double *share)
{
    char *end;
    if (text == NULL)
        return true;
    bool relative = text[0] == '+' || text[0] == '-';
    double percent = strtod(text, &end);
    double value = percent / 100 + (relative && base != NULL ? *base : 0);
    if (end == text || strcmp(end, "%") != 0 || (relative && base == NULL) || !(value >= 0 && value <= 1))
        return wrong(s, flag, text,
                     base != NULL
                         ? "a percentage from 0% to 100%, such as 1%, or so much more than legacy's (--legacy-errors), "
                           "such as +0.5%"
                         : "a percentage from 0% to 100%, such as 0.5%");
    *share = value;
    return true;
}

/* "20ms", "1.5s"; with `base` also "x1.3". */
static bool read_latency(const struct simulation *s, const char *flag, const char *text, const double *base, double *us)
{
    static const struct {
        const char *unit;
        double us;
    } units[] = {{"us", 1}, {"ms", 1e3}, {"s", 1e6}};
    char *end;
    if (text == NULL)
        return true;
    bool times = text[0] == 'x' && base != NULL;
    double number = strtod(text + times, &end);
    double value = times && *end == '\0' ? number * *base : 0;
    for (size_t i = 0; !times && i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(end, units[i].unit) == 0)
            value = number * units[i].us;
    if (end == text + times || !(value >= 10 && value <= 600e6))
        return wrong(s, flag, text,
                     base != NULL ? "a time from 10us to 600s, such as 26ms, or times legacy's, such as x1.3"
                                  : "a time from 10us to 600s, such as 20ms");
    *us = value;
    return true;
}

static bool read_world(struct simulation *s)
{
    const struct options *o = &s->ctl->options;
    struct simulate_world *world = &s->world;
    double rate;
    if (!read_rate(s, o->traffic.rate, &rate))
        return false;
    *world = simulate_usual(rate);
    if (!read_percent(s, "legacy-errors", o->traffic.legacy_errors, NULL, &world->errors[SIDE_LEGACY]))
        return false;
    world->errors[SIDE_NEW] = world->errors[SIDE_LEGACY];
    if (!read_percent(s, "new-errors", o->traffic.new_errors, &world->errors[SIDE_LEGACY], &world->errors[SIDE_NEW]) ||
        !read_latency(s, "latency", o->traffic.latency, NULL, &world->median_us[SIDE_LEGACY]))
        return false;
    world->median_us[SIDE_NEW] = world->median_us[SIDE_LEGACY];
    return read_latency(s, "new-latency", o->traffic.new_latency, &world->median_us[SIDE_LEGACY],
                        &world->median_us[SIDE_NEW]) &&
           read_percent(s, "mismatch", o->traffic.mismatch, NULL, &world->mismatches) &&
           read_percent(s, "daily", o->traffic.daily, NULL, &world->daily);
}

/* Ten times the holds, from a day to a year: who waits longer than that has not decided either. */
static uint64_t usual_time(const struct config_route *route)
{
    uint64_t ms = 0;
    const uint64_t most_ms = (uint64_t)DAYS_MOST * DAY_MS;
    for (uint32_t i = 0; i < route->stage_count && ms < most_ms; i++)
        ms += route->stages[i].hold_ms < most_ms ? 10 * route->stages[i].hold_ms : most_ms;
    return ms < DAY_MS ? DAY_MS : ms > most_ms ? most_ms : ms;
}

/* ---- the file ---- */

static bool read_file(struct simulation *s, int *code)
{
    struct config_errors errors = {0};
    const char *file = s->ctl->options.config;
    *code = EXIT_USAGE;
    if (file == NULL)
        return wrong(s, "config", NULL, "a file with the plan, such as shunt.yaml");
    s->config = config_load(file, &errors);
    for (size_t i = 0; i < errors.count; i++)
        fprintf(s->ctl->err, "%s\n", errors.lines[i]);
    config_errors_free(&errors);
    *code = EXIT_REFUSED;
    if (s->config == NULL)
        complain(s->ctl, EXIT_REFUSED, "%s is no good configuration", file);
    return s->config != NULL;
}

static uint32_t count_plans(const struct config *config, const struct config_route **first)
{
    uint32_t plans = 0;
    for (uint32_t i = 0; i < config->route_count; i++) {
        if (config->routes[i].stage_count == 0)
            continue;
        if (plans++ == 0)
            *first = &config->routes[i];
    }
    return plans;
}

static bool choose_route(struct simulation *s)
{
    const char *name = s->ctl->options.route;
    const struct config_route *first = NULL;
    uint32_t plans = count_plans(s->config, &first);
    char fault[512] = "";
    for (uint32_t i = 0; name != NULL && i < s->config->route_count; i++)
        if (strcmp(s->config->routes[i].name, name) == 0)
            s->route = &s->config->routes[i];
    if (name == NULL && plans == 1)
        s->route = first;
    if (name != NULL && s->route == NULL)
        (void)snprintf(fault, sizeof(fault), "--route: %s has no route \"%.100s\"", s->config->file, name);
    else if (name == NULL && plans != 1)
        (void)snprintf(fault, sizeof(fault),
                       plans == 0 ? "%s has no plan to simulate" : "--route: which one? %s has several with stages",
                       s->config->file);
    else if (s->route->stage_count == 0)
        (void)snprintf(fault, sizeof(fault), "--route: route %s has a fixed share: there is no plan to simulate",
                       s->route->name);
    else
        return true;
    (void)route_names_complain(s->ctl, s->config, ROUTES_WITH_STAGES, fault);
    return false;
}

/* ---- words ---- */

struct words {
    char text[NUMBER_ROOM * 4];
};

static struct words time_words(const struct spread *ms)
{
    struct words words = {""};
    char median[NUMBER_ROOM];
    char p5[NUMBER_ROOM];
    char p95[NUMBER_ROOM];
    if (ms->count > 0)
        snprintf(words.text, sizeof(words.text), "%s (%s - %s)", number_duration((uint64_t)ms->median, median),
                 number_duration((uint64_t)ms->p5, p5), number_duration((uint64_t)ms->p95, p95));
    return words;
}

static struct words measure_words(enum gate_kind kind, double value)
{
    struct words words;
    char percent[NUMBER_ROOM];
    bool sign = kind == GATE_ERROR_RATE_INCREASE || kind == GATE_P50_INCREASE || kind == GATE_P95_INCREASE ||
                kind == GATE_P99_INCREASE;
    if (kind == GATE_P95_RATIO)
        snprintf(words.text, sizeof(words.text), "%.2f times", value);
    else
        snprintf(words.text, sizeof(words.text), "%s%s", sign ? (value < 0 ? "-" : "+") : "",
                 number_percent(fabs(value), percent));
    return words;
}

static struct words share_words(uint32_t part, uint32_t whole)
{
    struct words words = {"-"};
    if (whole > 0)
        number_percent((double)part / whole, words.text);
    return words;
}

/* ---- remarks ---- */

#define REMARK_ROOM 320

static void add_remark(json_t *remarks, const char *text)
{
    json_array_append_new(remarks, json_string(text));
}

static void remark_on_gate(const struct simulation *s, json_t *remarks, uint32_t index, enum gate_kind kind)
{
    char text[REMARK_ROOM];
    char took[NUMBER_ROOM];
    char hold[NUMBER_ROOM];
    const struct config_stage *config = &s->route->stages[index];
    const struct forecast_stage *stage = &s->forecast->stages[index];
    const struct forecast_gate *gate = &stage->gate[kind];
    const char *name = gate_name(kind);
    if (!gate->applies)
        return;
    if (gate->measures && fabs(gate->truth - gate->limit) < 1e-9)
        snprintf(text, sizeof(text), "stage %s: the truth is exactly the limit of %s: no number of requests decides it",
                 config->name, name);
    else if (gate->open > 0)
        snprintf(
            text, sizeof(text),
            "stage %s is not left in %s of the runs, as the gate %s is undecided to the end: more traffic, more time, "
            "or a wider limit",
            config->name, share_words(gate->open, s->forecast->runs).text, name);
    else if (gate->passed > gate->failed && gate->pass_ms.median > (double)config->hold_ms)
        snprintf(text, sizeof(text), "at %g req/s the gate %s of stage %s needs %s: longer than the hold of %s",
                 s->world.rate, name, config->name, number_duration((uint64_t)gate->pass_ms.median, took),
                 number_duration(config->hold_ms, hold));
    else
        return;
    add_remark(remarks, text);
}

static void remark_on_breaker(const struct simulation *s, json_t *remarks)
{
    char text[REMARK_ROOM];
    if (s->forecast->tripped == 0)
        return;
    snprintf(text, sizeof(text), "the breaker opens in %s of the runs",
             share_words(s->forecast->tripped, s->forecast->runs).text);
    add_remark(remarks, text);
}

static void remark_on_what_is_left_out(const struct simulation *s, json_t *remarks)
{
    bool webhook = false;
    bool only = s->config->freeze != NULL;
    bool by_hand = false;
    for (uint32_t i = 0; i < s->route->stage_count; i++) {
        webhook = webhook || s->route->stages[i].gates.webhook.url != NULL;
        only = only || s->route->stages[i].gates.only != NULL;
    }
    for (uint32_t i = 0; i < s->forecast->stage_count; i++)
        by_hand = by_hand || s->forecast->stages[i].by_hand;
    if (by_hand || s->route->start_by_hand)
        add_remark(remarks, "people are taken to start and promote as soon as they are asked");
    if (s->route->depends_count > 0)
        add_remark(remarks, "the plans it depends on are taken to be done");
    if (webhook)
        add_remark(remarks, "webhooks are taken to say go");
    if (only)
        add_remark(remarks, "the hours and freezes of the file are not simulated: they come on top");
}

/* Assumptions that nothing of the plan looks at, or that leave it no time. */
static void remark_on_what_is_idle(const struct simulation *s, json_t *remarks)
{
    char text[REMARK_ROOM];
    char most[NUMBER_ROOM];
    char holds[NUMBER_ROOM];
    uint64_t hold_ms = 0;
    bool compares = false;
    for (uint32_t i = 0; i < s->forecast->stage_count; i++) {
        hold_ms += s->route->stages[i].hold_ms;
        compares = compares || (s->route->stages[i].shadow > 0 &&
                                forecast_limit(&s->route->stages[i].gates, GATE_MISMATCH_RATE) >= 0);
    }
    if (s->ctl->options.traffic.mismatch != NULL && !compares)
        add_remark(remarks, "--mismatch changes nothing: no stage of the plan mirrors and has a gate mismatch_rate");
    if (s->most_ms >= hold_ms)
        return;
    (void)snprintf(text, sizeof(text), "each run ends after %s, before the holds of %s together can be over: --for",
                   number_duration(s->most_ms, most), number_duration(hold_ms, holds));
    add_remark(remarks, text);
}

static json_t *make_remarks(const struct simulation *s)
{
    json_t *remarks = json_array();
    remark_on_what_is_idle(s, remarks);
    for (uint32_t i = 0; i < s->forecast->stage_count; i++)
        for (int kind = 0; kind < GATES; kind++)
            remark_on_gate(s, remarks, i, (enum gate_kind)kind);
    remark_on_breaker(s, remarks);
    remark_on_what_is_left_out(s, remarks);
    return remarks;
}

/* ---- for people ---- */

static const struct {
    const char *text;
    enum tone tone;
} end_words[SIMULATE_ENDS] = {
    [SIMULATE_DONE] = {"done", TONE_GOOD},
    [SIMULATE_ROLLED_BACK] = {"rolled back", TONE_BAD},
    [SIMULATE_HALTED] = {"halted", TONE_WARN},
    [SIMULATE_TOLD] = {"a gate failed, a person is told", TONE_BAD},
    [SIMULATE_UNDECIDED] = {"still undecided", TONE_WARN},
};

static void print_world(const struct simulation *s)
{
    char legacy[NUMBER_ROOM];
    char new[NUMBER_ROOM];
    char mismatches[NUMBER_ROOM];
    char slow[NUMBER_ROOM];
    char slower[NUMBER_ROOM];
    char most[NUMBER_ROOM];
    const struct simulate_world *w = &s->world;
    screen_print(&s->ctl->screen, TONE_STRONG, "%s", s->route->name);
    screen_print(&s->ctl->screen, TONE_PLAIN,
                 " at %g req/s: legacy errs %s, new %s; medians %s and %s; %s of compared answers differ\n", w->rate,
                 number_percent(w->errors[SIDE_LEGACY], legacy), number_percent(w->errors[SIDE_NEW], new),
                 number_latency(w->median_us[SIDE_LEGACY], slow), number_latency(w->median_us[SIDE_NEW], slower),
                 number_percent(w->mismatches, mismatches));
    screen_print(&s->ctl->screen, TONE_FAINT,
                 "%u runs of at most %s, seed %llu; times are medians, and 5 %% to 95 %%\n\n", s->forecast->runs,
                 number_duration(s->most_ms, most), (unsigned long long)s->seed);
}

static struct words blame_words(const struct simulation *s, enum simulate_end end)
{
    struct words words = {""};
    const struct forecast *f = s->forecast;
    uint32_t most = f->by_breaker;
    const char *by = "the breaker";
    for (int kind = 0; kind < GATES; kind++)
        if (f->by_gate[kind] > most) {
            most = f->by_gate[kind];
            by = gate_name((enum gate_kind)kind);
        }
    if (f->by_deadline > most) {
        most = f->by_deadline;
        by = "a deadline";
    }
    if (end != SIMULATE_DONE && end != SIMULATE_UNDECIDED && most > 0)
        snprintf(words.text, sizeof(words.text), "mostly by %s", by);
    return words;
}

static void print_ends(const struct simulation *s)
{
    static const struct table_column columns[] = {{"", false}, {"runs", true}, {"after", false}, {"", false}};
    struct table *table = table_new(columns, 4);
    if (table == NULL)
        return;
    for (int end = 0; end < SIMULATE_ENDS; end++) {
        if (s->forecast->ends[end] == 0)
            continue;
        table_row(table);
        table_cell(table, end_words[end].tone, end_words[end].text);
        table_cell(table, TONE_PLAIN, share_words(s->forecast->ends[end], s->forecast->runs).text);
        table_cell(table, TONE_PLAIN, time_words(&s->forecast->end_ms[end]).text);
        table_cell(table, TONE_FAINT, blame_words(s, (enum simulate_end)end).text);
    }
    (void)table_print(table, &s->ctl->screen, 0);
    table_free(table);
    screen_print(&s->ctl->screen, s->forecast->promoted_wrongly > 0 ? TONE_BAD : TONE_PLAIN, "promoted wrongly: %s",
                 share_words(s->forecast->promoted_wrongly, s->forecast->runs).text);
    screen_print(&s->ctl->screen, s->forecast->failed_wrongly > 0 ? TONE_BAD : TONE_PLAIN, "; failed wrongly: %s\n\n",
                 share_words(s->forecast->failed_wrongly, s->forecast->runs).text);
}

static const char *held_by(const struct forecast_stage *stage)
{
    int most = GATES;
    for (int kind = 0; kind < GATES; kind++)
        if (stage->last[kind] > stage->last[most])
            most = kind;
    return stage->left == 0 ? "" : most == GATES ? "its hold" : gate_name((enum gate_kind)most);
}

static void print_gate(struct table *table, const struct forecast_gate *gate, enum gate_kind kind)
{
    char evidence[NUMBER_ROOM];
    uint32_t all = gate->passed + gate->failed + gate->undecided;
    table_row(table);
    table_cellf(table, TONE_PLAIN, "  %s", gate_name(kind));
    table_cell(table, TONE_PLAIN, gate->measures ? measure_words(kind, gate->truth).text : "");
    table_cell(table, TONE_PLAIN, gate->measures ? measure_words(kind, gate->limit).text : "");
    table_cell(table, gate->passed > 0 ? TONE_GOOD : TONE_FAINT, share_words(gate->passed, all).text);
    table_cell(table, gate->failed > 0 ? TONE_BAD : TONE_FAINT, share_words(gate->failed, all).text);
    table_cell(table, gate->undecided > 0 ? TONE_WARN : TONE_FAINT, share_words(gate->undecided, all).text);
    table_cell(table, TONE_PLAIN, time_words(gate->passed >= gate->failed ? &gate->pass_ms : &gate->fail_ms).text);
    table_cell(table, TONE_PLAIN,
               gate->evidence.count > 0 ? number_count((uint64_t)gate->evidence.median, evidence) : "");
}

static void print_stages(const struct simulation *s)
{
    static const struct table_column columns[] = {
        {"stage and gates", false}, {"truth", true},  {"limit", true},    {"pass", true}, {"fail", true},
        {"undecided", true},        {"after", false}, {"requests", true},
    };
    struct table *table = table_new(columns, 8);
    if (table == NULL)
        return;
    for (uint32_t i = 0; i < s->forecast->stage_count; i++) {
        const struct forecast_stage *stage = &s->forecast->stages[i];
        char percent[NUMBER_ROOM];
        table_row(table);
        table_cellf(table, TONE_STRONG, "%s, %s on new", s->route->stages[i].name,
                    number_percent((double)s->route->stages[i].percent / SHARE_ALL, percent));
        table_cell(table, TONE_PLAIN, "");
        table_cell(table, TONE_PLAIN, "");
        table_cell(table, TONE_STRONG, share_words(stage->left, s->forecast->runs).text);
        table_cell(table, TONE_PLAIN, "");
        table_cell(table, TONE_PLAIN, "");
        if (stage->left > 0)
            table_cellf(table, TONE_STRONG, "%s, held by %s", time_words(&stage->took_ms).text, held_by(stage));
        for (int kind = 0; kind < GATES; kind++)
            if (stage->gate[kind].applies)
                print_gate(table, &stage->gate[kind], (enum gate_kind)kind);
    }
    (void)table_print(table, &s->ctl->screen, 0);
    table_free(table);
}

static void print_remarks(const struct simulation *s, const json_t *remarks)
{
    size_t index;
    const json_t *remark;
    if (json_array_size(remarks) > 0)
        fputc('\n', s->ctl->screen.out);
    json_array_foreach(remarks, index, remark)
    {
        char *line = NULL;
        if (asprintf(&line, "- %s", json_string_value(remark)) < 0)
            continue;
        screen_wrap(&s->ctl->screen, TONE_PLAIN, 0, line);
        free(line);
    }
}

/* ---- for scripts ---- */

static json_t *spread_json(const struct spread *spread)
{
    if (spread->count == 0)
        return json_null();
    return json_pack("{s:i, s:f, s:f, s:f}", "runs", (int)spread->count, "p5", spread->p5, "median", spread->median,
                     "p95", spread->p95);
}

static json_t *gate_json(const struct forecast_gate *gate, enum gate_kind kind)
{
    json_t *json =
        json_pack("{s:s, s:i, s:i, s:i, s:o, s:o, s:o}", "gate", gate_name(kind), "pass", (int)gate->passed, "fail",
                  (int)gate->failed, "undecided", (int)gate->undecided, "pass_ms", spread_json(&gate->pass_ms),
                  "fail_ms", spread_json(&gate->fail_ms), "evidence", spread_json(&gate->evidence));
    if (gate->measures && json != NULL) {
        json_object_set_new(json, "truth", json_real(gate->truth));
        json_object_set_new(json, "limit", json_real(gate->limit));
        json_object_set_new(json, "holds", json_boolean(gate->holds));
    }
    return json;
}

static json_t *stage_json(const struct config_stage *config, const struct forecast_stage *stage)
{
    json_t *gates = json_array();
    for (int kind = 0; kind < GATES; kind++)
        if (stage->gate[kind].applies)
            json_array_append_new(gates, gate_json(&stage->gate[kind], (enum gate_kind)kind));
    return json_pack("{s:s, s:f, s:I, s:i, s:i, s:o, s:s, s:o}", "stage", config->name, "percent",
                     (double)config->percent * 100 / SHARE_ALL, "hold_ms", (json_int_t)config->hold_ms, "entered",
                     (int)stage->entered, "left", (int)stage->left, "took_ms", spread_json(&stage->took_ms), "held_by",
                     held_by(stage), "gates", gates);
}

static json_t *world_json(const struct simulate_world *w)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "rate", w->rate, "daily", w->daily, "legacy_errors",
                     w->errors[SIDE_LEGACY], "new_errors", w->errors[SIDE_NEW], "legacy_median_ms",
                     w->median_us[SIDE_LEGACY] / 1000, "new_median_ms", w->median_us[SIDE_NEW] / 1000, "mismatch",
                     w->mismatches);
}

/* Takes `remarks` over. */
static void print_json(const struct simulation *s, json_t *remarks)
{
    const struct forecast *f = s->forecast;
    json_t *ends = json_object();
    json_t *by = json_object();
    json_t *stages = json_array();
    for (int end = 0; end < SIMULATE_ENDS; end++)
        json_object_set_new(
            ends, simulate_end_name((enum simulate_end)end),
            json_pack("{s:i, s:o}", "runs", (int)f->ends[end], "after_ms", spread_json(&f->end_ms[end])));
    json_object_set_new(by, "breaker", json_integer(f->by_breaker));
    json_object_set_new(by, "deadline", json_integer(f->by_deadline));
    for (int kind = 0; kind < GATES; kind++)
        if (f->by_gate[kind] > 0)
            json_object_set_new(by, gate_name((enum gate_kind)kind), json_integer(f->by_gate[kind]));
    for (uint32_t i = 0; i < f->stage_count; i++)
        json_array_append_new(stages, stage_json(&s->route->stages[i], &f->stages[i]));
    json_t *answer =
        json_pack("{s:s, s:o, s:i, s:I, s:I, s:o, s:o, s:i, s:i, s:i, s:o, s:o, s:o}", "route", s->route->name,
                  "assumed", world_json(&s->world), "runs", (int)f->runs, "seed", (json_int_t)s->seed, "most_ms",
                  (json_int_t)s->most_ms, "ends", ends, "ended_by", by, "breaker_opened", (int)f->tripped,
                  "promoted_wrongly", (int)f->promoted_wrongly, "failed_wrongly", (int)f->failed_wrongly,
                  "errors_of_new", spread_json(&f->errors_of_new), "stages", stages, "remarks", remarks);
    api_print(answer);
    json_decref(answer);
}

/* ---- the command ---- */

static bool show_progress(void *context, uint32_t done)
{
    const struct simulation *s = context;
    fprintf(s->ctl->err, "\r%u of %u runs", done, s->runs);
    return true;
}

static int simulate(struct simulation *s)
{
    bool progress = isatty(fileno(s->ctl->err)) == 1;
    s->forecast = forecast_make(s->config, s->route->index, &s->world, s->runs, s->seed, s->most_ms,
                                progress ? show_progress : NULL, s);
    if (progress)
        fputs("\r\033[K", s->ctl->err);
    if (s->forecast == NULL)
        return complain(s->ctl, EXIT_USAGE, "out of memory");
    json_t *remarks = make_remarks(s);
    if (s->ctl->options.json) {
        print_json(s, remarks);
        return EXIT_DONE;
    }
    print_world(s);
    print_ends(s);
    print_stages(s);
    print_remarks(s, remarks);
    json_decref(remarks);
    return EXIT_DONE;
}

int run_simulate(struct ctl *ctl, const struct command *command, const char *const *words)
{
    struct simulation s = {.ctl = ctl};
    const struct option_traffic *traffic = &ctl->options.traffic;
    int code = EXIT_USAGE;
    (void)command;
    (void)words;
    s.runs = traffic->runs > 0 ? (uint32_t)traffic->runs : RUNS_USUAL;
    s.seed = traffic->seed > 0 ? traffic->seed : 1;
    if (read_world(&s) && read_file(&s, &code)) {
        code = EXIT_USAGE;
        if (choose_route(&s)) {
            s.most_ms = traffic->time_ms > 0 ? traffic->time_ms : usual_time(s.route);
            code = simulate(&s);
        }
    }
    forecast_free(s.forecast);
    config_free(s.config);
    return code;
}
