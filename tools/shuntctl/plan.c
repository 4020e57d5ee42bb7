/*
 * `plan`: the ladder of stages and where the plan stands on it, the gates with what they have measured drawn against
 * their limits, and on top of all, in the router's own words, why the route is not promoted yet.
 *
 * Drawing is apart from asking, so that it can be tested with made-up answers. What an older shunt does not tell is
 * left out.
 */
#include "tools/shuntctl/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/bar.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/number.h"
#include "tools/shuntctl/table.h"
#include "tools/shuntctl/value.h"
#include "tools/shuntctl/word.h"

enum {
    INDENT = 2,
    BAR_LEAST = 8,
    BAR_MOST = 24,
    SENTENCE_ROOM = 400
};

/* Columns left for a bar when the rest of a row takes `used`. */
static unsigned bar_columns(const struct screen *screen, unsigned used)
{
    unsigned left = screen->width > used ? screen->width - used : 0;
    return left < BAR_LEAST ? BAR_LEAST : left > BAR_MOST ? BAR_MOST : left;
}

/* The widest text that the objects of an array have under `name`. */
static unsigned widest(const json_t *array, const char *name)
{
    unsigned most = 0;
    const json_t *item;
    size_t i;
    json_array_foreach(array, i, item)
    {
        unsigned columns = screen_columns(value_text(item, name));
        most = columns > most ? columns : most;
    }
    return most;
}

/* ---- the head ---- */

/* All of the line but its end. */
static void draw_head(const struct screen *screen, const json_t *route)
{
    char stage[128], percent[NUMBER_ROOM], now[NUMBER_ROOM], shadow[NUMBER_ROOM];
    const char *phase = value_text(route, "phase");
    double plan = value_number(route, "percent"), effective = value_number(route, "effective_percent");
    word_stage(route, stage, sizeof(stage));
    screen_print(screen, TONE_STRONG, "%s", value_text(route, "name"));
    screen_write(screen, TONE_PLAIN, ": ");
    screen_write(screen, word_phase_tone(phase), word_phase(phase));
    screen_print(screen, TONE_PLAIN, "%s%s, %s to %s", stage[0] != '\0' ? ", stage " : "", stage,
                 number_percent(plan / 100.0, percent), value_text(route, "new"));
    if (plan != effective)
        screen_print(screen, TONE_BAD, ", now %s", number_percent(effective / 100.0, now));
    if (value_number(route, "shadow_percent") > 0)
        screen_print(screen, TONE_PLAIN, ", %s mirrored",
                     number_percent(value_number(route, "shadow_percent") / 100.0, shadow));
}

void plan_draw_line(const struct screen *screen, const json_t *route)
{
    char breaker[96];
    draw_head(screen, route);
    word_breaker(route, breaker, sizeof(breaker));
    if (value_flag(route, "breaker.enabled") && strcmp(value_text(route, "breaker.state"), "closed") != 0)
        screen_print(screen, word_breaker_tone(route), ", breaker %s", breaker);
    fputc('\n', screen->out);
}

static void draw_why(const struct screen *screen, const json_t *route)
{
    char *text = NULL;
    const char *why = value_text(route, "why_not"), *phase = value_text(route, "phase");
    if (why[0] != '\0' && asprintf(&text, "Why not promoted yet: %s.", why) < 0)
        text = NULL;
    if (text != NULL)
        screen_wrap(screen, TONE_STRONG, 0, text);
    else if (strcmp(phase, "done") == 0)
        screen_wrap(screen, TONE_PLAIN, 0, "The plan is done: no stage follows its last.");
    else if (strcmp(phase, "fixed") == 0)
        screen_wrap(screen, TONE_PLAIN, 0, "A fixed share, without stages: it changes with the file, or by hand.");
    free(text);
}

/* ---- stages ---- */

enum mark {
    MARK_PASSED,
    MARK_LATER,
    MARK_HERE,
    MARK_HELD,
    MARK_FALLEN
};

static const struct {
    const char *text[2]; /* ASCII, UTF-8 */
    enum tone tone;
} marks[] = {
    [MARK_PASSED] = {{"+", "\u2713"}, TONE_GOOD}, [MARK_LATER] = {{" ", " "}, TONE_FAINT},
    [MARK_HERE] = {{">", "\u25b6"}, TONE_STRONG}, [MARK_HELD] = {{"=", "="}, TONE_WARN},
    [MARK_FALLEN] = {{"x", "\u2717"}, TONE_BAD},
};

/* Where the plan is, by its phase. */
static enum mark mark_of_phase(const char *phase)
{
    static const struct {
        const char *phase;
        enum mark mark;
    } here[] = {{"done", MARK_PASSED},
                {"paused", MARK_HELD},
                {"frozen", MARK_HELD},
                {"waiting", MARK_HELD},
                {"rolled_back", MARK_FALLEN}};
    for (size_t i = 0; i < sizeof(here) / sizeof(here[0]); i++)
        if (strcmp(here[i].phase, phase) == 0)
            return here[i].mark;
    return MARK_HERE;
}

static enum mark mark_of_stage(const json_t *route, size_t index)
{
    uint64_t current = value_count(route, "stage_index");
    const char *phase = value_text(route, "phase");
    if (index == current)
        return mark_of_phase(phase);
    return index < current && strcmp(phase, "rolled_back") != 0 ? MARK_PASSED : MARK_LATER;
}

static bool is_held(const char *phase)
{
    return strcmp(phase, "running") == 0 || strcmp(phase, "paused") == 0 || strcmp(phase, "frozen") == 0;
}

/* "held 48m 00s of 2h 00m, 1h 12m left" */
static void note_hold(struct table *table, const json_t *route)
{
    char text[SENTENCE_ROOM], held[NUMBER_ROOM], length[NUMBER_ROOM], left[NUMBER_ROOM];
    uint64_t length_ms = value_count(route, "hold.length_ms"), held_ms = value_count(route, "hold.elapsed_ms");
    const char *phase = value_text(route, "phase");
    if (!is_held(phase) || length_ms == 0)
        return;
    number_duration(length_ms, length);
    held_ms -= held_ms % 1000; /* what is shown of both is together the hold, as "why not" says it */
    if (held_ms >= length_ms)
        snprintf(text, sizeof(text), "held for all of its %s", length);
    else
        snprintf(text, sizeof(text), "held %s of %s, %s left%s", number_duration(held_ms, held), length,
                 number_duration(length_ms - held_ms, left),
                 strcmp(phase, "running") == 0 ? "" : "; the hold stands still");
    table_note(table, TONE_PLAIN, text);
}

/* The share that is on its way, or that something takes away. */
static void note_share(struct table *table, const json_t *route)
{
    char text[SENTENCE_ROOM], from[NUMBER_ROOM], to[NUMBER_ROOM], now[NUMBER_ROOM], left[NUMBER_ROOM];
    double percent = value_number(route, "percent"), effective = value_number(route, "effective_percent");
    const json_t *ramp = value_at(route, "ramp");
    number_percent(effective / 100.0, now);
    if (json_is_object(ramp))
        snprintf(text, sizeof(text), "%s in force, on the way from %s to %s: %s left", now,
                 number_percent(value_number(ramp, "from") / 100.0, from),
                 number_percent(value_number(ramp, "to") / 100.0, to),
                 number_duration(value_count(ramp, "left_ms"), left));
    else if (percent != effective)
        snprintf(text, sizeof(text), "%s in force instead of %s", now, number_percent(percent / 100.0, to));
    else
        return;
    table_note(table, TONE_PLAIN, text);
}

static void time_text(uint64_t wall_ms, char *out, size_t room)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    if (localtime_r(&seconds, &parts) == NULL || strftime(out, room, "%Y-%m-%d %H:%M", &parts) == 0)
        snprintf(out, room, "?");
}

static void note_deadline(struct table *table, const json_t *route)
{
    static const struct {
        const char *action;
        const char *text;
    } actions[] = {
        {"pause", "the plan pauses then"}, {"rollback", "it falls back then"}, {"tell", "that is told then"}};
    char text[SENTENCE_ROOM], at[40], left[NUMBER_ROOM];
    uint64_t at_ms = value_count(route, "deadline.at_ms"), now_ms = value_count(route, "at_ms");
    const char *action = value_text(route, "deadline.action"), *then = action;
    if (at_ms == 0)
        return;
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(actions[i].action, action) == 0)
            then = actions[i].text;
    time_text(at_ms, at, sizeof(at));
    if (now_ms == 0 || at_ms <= now_ms)
        snprintf(text, sizeof(text), "deadline %s: %s", at, then);
    else
        snprintf(text, sizeof(text), "deadline %s, in %s: %s", at, number_duration(at_ms - now_ms, left), then);
    table_note(table, TONE_PLAIN, text);
}

static void note_current(struct table *table, const json_t *route)
{
    note_hold(table, route);
    note_share(table, route);
    note_deadline(table, route);
}

static void cell_duration(struct table *table, enum tone tone, uint64_t ms)
{
    char text[NUMBER_ROOM];
    table_cell(table, tone, ms > 0 ? number_duration(ms, text) : "");
}

/* The bar of a stage: its share, and of the current one what of it is in force. */
static void cell_stage_bar(struct table *table, const struct screen *screen, const json_t *route, const json_t *stage,
                           unsigned columns)
{
    char bar[BAR_ROOM];
    bool current = value_flag(stage, "current");
    double target = value_number(stage, "percent") / 100.0;
    double now = current ? value_number(route, "effective_percent") / 100.0 : target;
    table_cell(table, current ? TONE_GOOD : TONE_FAINT, bar_share(now, target, columns, screen->unicode, bar));
}

static void row_stage(struct table *table, const struct screen *screen, const json_t *route, size_t index,
                      unsigned columns)
{
    char text[NUMBER_ROOM];
    const json_t *stage = json_array_get(value_at(route, "stages"), index);
    enum mark mark = mark_of_stage(route, index);
    enum tone tone = value_flag(stage, "current") ? marks[mark].tone : TONE_PLAIN;
    bool person = value_flag(stage, "confirm") || strcmp(value_text(stage, "promotion"), "manual") == 0;
    table_row(table);
    table_cellf(table, mark == MARK_PASSED ? TONE_PLAIN : tone, "%s %s", marks[mark].text[screen->unicode],
                value_text(stage, "name"));
    table_cell(table, tone, number_percent(value_number(stage, "percent") / 100.0, text));
    cell_stage_bar(table, screen, route, stage, columns);
    table_cell(table, TONE_PLAIN, number_percent(value_number(stage, "shadow") / 100.0, text));
    cell_duration(table, TONE_PLAIN, value_count(stage, "hold_ms"));
    cell_duration(table, TONE_PLAIN, value_count(stage, "deadline_ms"));
    table_cell(table, TONE_FAINT, person ? "by a person" : "");
    if (value_flag(stage, "current"))
        note_current(table, route);
}

static bool draw_stages(const struct screen *screen, const json_t *route)
{
    static const struct table_column columns[] = {{"  STAGE", false}, {"SHARE", true},    {"", false}, {"SHADOW", true},
                                                  {"HOLD", true},     {"DEADLINE", true}, {"", false}};
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    const json_t *stages = value_at(route, "stages"), *stage;
    unsigned name = widest(stages, "name"), rest = 0;
    size_t i;
    if (table == NULL)
        return false;
    json_array_foreach(stages, i, stage)
    {
        if (value_count(stage, "deadline_ms") > 0)
            rest = 10;
    }
    /* mark and name, share, bar, shadow, hold, deadline, who promotes, and the gaps between them */
    unsigned used = INDENT + 2 + (name > 5 ? name : 5) + 2 + 7 + 2 + 2 + 6 + 2 + 7 + rest + 2 + 11;
    for (i = 0; i < json_array_size(stages); i++)
        row_stage(table, screen, route, i, bar_columns(screen, used));
    bool whole = table_print(table, screen, INDENT);
    table_free(table);
    return whole;
}

/* ---- gates ---- */

/* How the figures of a gate are read; those not named here are rates. */
static const struct measure {
    const char *gate;
    double nothing; /* the value that means "no harm" */
    bool ratio;     /* 1.30x, not a percentage */
    bool increase;  /* with its sign */
} measures[] = {
    {"error_rate_increase", 0, false, true},
    {"p50_increase", 0, false, true},
    {"p95_increase", 0, false, true},
    {"p99_increase", 0, false, true},
    {"p95_ratio", 1, true, false},
    {"availability", 1, false, false},
    {"", 0, false, false},
};

static const struct measure *measure_of(const char *gate)
{
    const struct measure *measure = measures;
    while (measure->gate[0] != '\0' && strcmp(measure->gate, gate) != 0)
        measure++;
    return measure;
}

static char *figure(const struct measure *measure, double value, char out[NUMBER_ROOM])
{
    if (measure->ratio) {
        snprintf(out, NUMBER_ROOM, "%.2fx", value);
        return out;
    }
    char percent[NUMBER_ROOM];
    number_percent(value, percent);
    snprintf(out, NUMBER_ROOM, "%s%.*s", measure->increase && value > 0 ? "+" : "", NUMBER_ROOM - 2, percent);
    return out;
}

/* JSON has no infinity: a bound that is null is none. */
static double bound(const json_t *gate, const char *name, double otherwise)
{
    const json_t *value = json_object_get(gate, name);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

static void cells_measured(struct table *table, const struct screen *screen, const json_t *gate, unsigned columns)
{
    char text[NUMBER_ROOM], bar[BAR_ROOM];
    const struct measure *measure = measure_of(value_text(gate, "gate"));
    enum tone tone = word_verdict_tone(value_text(gate, "verdict"));
    const struct bar_interval interval = {
        .low = bound(gate, "low", -INFINITY),
        .value = value_number(gate, "value"),
        .high = bound(gate, "high", INFINITY),
        .limit = value_number(gate, "limit"),
        .nothing = measure->nothing,
    };
    table_cell(table, TONE_PLAIN, figure(measure, interval.value, text));
    table_cell(table, tone, bar_interval(&interval, columns, screen->unicode, bar));
    table_cell(table, TONE_PLAIN, figure(measure, interval.limit, text));
}

/* How many requests or pairs, in six columns. */
static void cell_evidence(struct table *table, uint64_t count)
{
    char text[NUMBER_ROOM];
    if (count == 0)
        table_cell(table, TONE_FAINT, "");
    else if (count < 100000)
        table_cell(table, TONE_PLAIN, number_count(count, text));
    else if (count < 9950000)
        table_cellf(table, TONE_PLAIN, count < 999500 ? "%.0fk" : "%.2fM",
                    (double)count / (count < 999500 ? 1e3 : 1e6));
    else
        table_cellf(table, TONE_PLAIN, "%.0fM", (double)count / 1e6);
}

/* When a gate that is undecided will be decided, if things go on as they are. */
static void cell_time(struct table *table, const json_t *gate)
{
    char text[NUMBER_ROOM];
    const json_t *eta = json_object_get(gate, "eta_ms");
    if (strcmp(value_text(gate, "verdict"), "undecided") != 0)
        table_cell(table, TONE_FAINT, "");
    else if (json_is_integer(eta))
        table_cell(table, TONE_PLAIN, number_duration((uint64_t)json_integer_value(eta), text));
    else
        table_cell(table, TONE_FAINT, "?");
}

static void row_gate(struct table *table, const struct screen *screen, const json_t *route, const json_t *gate,
                     unsigned columns)
{
    const char *verdict = value_text(gate, "verdict"), *sentence = value_text(gate, "sentence");
    bool measured = json_is_number(json_object_get(gate, "limit"));
    table_row(table);
    table_cell(table, TONE_PLAIN, value_text(gate, "gate"));
    table_cell(table, word_verdict_tone(verdict), verdict);
    if (measured)
        cells_measured(table, screen, gate, columns);
    for (int i = 0; i < 3 && !measured; i++)
        table_cell(table, TONE_FAINT, "");
    cell_evidence(table, value_count(gate, "evidence"));
    cell_time(table, gate);
    /* What does not pass says why, unless it stands on top already. */
    if (strcmp(verdict, "pass") != 0 && strstr(value_text(route, "why_not"), sentence) == NULL)
        table_note(table, TONE_FAINT, sentence);
}

/* Confidence as the file writes it, with all the nines it has. */
static char *confidence_text(double confidence, char out[NUMBER_ROOM])
{
    snprintf(out, NUMBER_ROOM, "%.6g %%", confidence * 100);
    return out;
}

/* "gates: undecided, at 99 % confidence (p95_increase 95 %)" */
static bool draw_gates_title(const struct screen *screen, const json_t *route)
{
    char number[NUMBER_ROOM], *text = NULL;
    size_t length = 0, i;
    double first = 0;
    const json_t *gate;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL)
        return false;
    fprintf(out, "gates: %s", value_text(route, "gates.verdict"));
    unsigned others = 0;
    json_array_foreach(value_at(route, "gates.gates"), i, gate)
    {
        double confidence = value_number(gate, "confidence");
        if (!value_flag(gate, "applies") || !(confidence > 0))
            continue;
        if (!(first > 0))
            fprintf(out, ", at %s confidence", confidence_text(first = confidence, number));
        else if (confidence != first)
            fprintf(out, "%s%s %s", others++ == 0 ? " (" : ", ", value_text(gate, "gate"),
                    confidence_text(confidence, number));
    }
    fputs(others > 0 ? ")" : "", out);
    if (fclose(out) == 0)
        screen_wrap(screen, word_verdict_tone(value_text(route, "gates.verdict")), INDENT, text);
    free(text);
    return true;
}

/* The gates that the file does not ask for, or that this stage has no traffic for. */
static bool draw_idle_gates(const struct screen *screen, const json_t *gates)
{
    char *text = NULL;
    size_t length = 0, i;
    const json_t *gate;
    unsigned count = 0;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL)
        return false;
    json_array_foreach(gates, i, gate)
    {
        if (!value_flag(gate, "applies"))
            fprintf(out, "%s%s", count++ == 0 ? "not asked in this stage: " : ", ", value_text(gate, "gate"));
    }
    if (fclose(out) == 0 && count > 0)
        screen_wrap(screen, TONE_FAINT, INDENT, text);
    free(text);
    return true;
}

static bool draw_gates(const struct screen *screen, const json_t *route)
{
    static const struct table_column columns[] = {{"GATE", false}, {"VERDICT", false}, {"VALUE", true}, {"", false},
                                                  {"LIMIT", true}, {"SEEN", true},     {"ETA", true}};
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    const json_t *gates = value_at(route, "gates.gates"), *gate;
    size_t i;
    if (table == NULL)
        return false;
    /* name, verdict, value, bar, limit, evidence, time, and the gaps between them */
    unsigned used = INDENT + widest(gates, "gate") + 2 + 9 + 2 + 8 + 2 + 2 + 7 + 2 + 6 + 2 + 7;
    json_array_foreach(gates, i, gate)
    {
        if (value_flag(gate, "applies"))
            row_gate(table, screen, route, gate, bar_columns(screen, used));
    }
    bool whole = draw_gates_title(screen, route) && table_print(table, screen, INDENT);
    table_free(table);
    return draw_idle_gates(screen, gates) && whole;
}

/* ---- what may take it back ---- */

static void draw_dependencies(const struct screen *screen, const json_t *route)
{
    const json_t *on;
    size_t i;
    json_array_foreach(value_at(route, "depends_on"), i, on)
    {
        const char *stage = value_text(on, "stage");
        bool met = value_flag(on, "met");
        screen_print(screen, TONE_PLAIN, "%*sdepends on %s%s%s: ", INDENT, "", value_text(on, "route"),
                     stage[0] != '\0' ? ", stage " : ", the whole plan", stage);
        screen_write(screen, met ? TONE_GOOD : TONE_WARN, met ? "met\n" : "not met\n");
    }
}

static void draw_on_failure(const struct screen *screen, const json_t *route)
{
    static const struct {
        const char *to;
        const char *text;
    } ways[] = {{"zero", "all back to legacy"},
                {"previous", "back to the stage before"},
                {"freeze", "the plan freezes"},
                {"tell", "that is told, and a person decides"}};
    char ramp[NUMBER_ROOM], text[SENTENCE_ROOM];
    const char *to = value_text(route, "on_failure.to"), *way = NULL;
    uint64_t ramp_ms = value_count(route, "on_failure.ramp_ms"), back = value_count(route, "steps_back");
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        way = strcmp(ways[i].to, to) == 0 ? ways[i].text : way;
    if (way == NULL || strcmp(value_text(route, "phase"), "done") == 0)
        return;
    int used = snprintf(text, sizeof(text), "if a gate fails: %s%s%s", way, ramp_ms > 0 ? ", within " : "",
                        ramp_ms > 0 ? number_duration(ramp_ms, ramp) : "");
    if (strcmp(to, "previous") == 0)
        snprintf(text + used, sizeof(text) - (size_t)used, "; after %llu such steps in a row (now %llu) to legacy",
                 (unsigned long long)value_count(route, "on_failure.retries"), (unsigned long long)back);
    screen_wrap(screen, TONE_PLAIN, INDENT, text);
}

static void draw_breaker(const struct screen *screen, const json_t *route)
{
    char breaker[96], text[SENTENCE_ROOM], in_state[NUMBER_ROOM], left[NUMBER_ROOM] = "";
    const char *state = value_text(route, "breaker.state"), *why = value_text(route, "breaker.why");
    bool open = strcmp(state, "open") == 0, closed = strcmp(state, "closed") == 0;
    uint64_t ramp_ms = value_count(route, "breaker.ramp_left_ms");
    if (!value_flag(route, "breaker.enabled")) {
        screen_print(screen, TONE_FAINT, "%*sbreaker off\n", INDENT, "");
        return;
    }
    word_breaker(route, breaker, sizeof(breaker));
    number_duration(value_count(route, "breaker.in_state_ms"), in_state);
    int used = snprintf(text, sizeof(text), "breaker %s, for %s", breaker, in_state);
    if (open)
        used += snprintf(text + used, sizeof(text) - (size_t)used, "; next trial in %s",
                         number_duration(value_count(route, "breaker.cooldown_left_ms"), left));
    else if (!closed)
        used += snprintf(text + used, sizeof(text) - (size_t)used, "; %llu of %llu trial requests have succeeded",
                         (unsigned long long)value_count(route, "breaker.trial_succeeded"),
                         (unsigned long long)value_count(route, "breaker.trial_requests"));
    else if (ramp_ms > 0)
        used += snprintf(text + used, sizeof(text) - (size_t)used, "; the share grows back within %s",
                         number_duration(ramp_ms, left));
    if (why[0] != '\0')
        snprintf(text + used, sizeof(text) - (size_t)used, ": %s", why);
    screen_wrap(screen, word_breaker_tone(route), INDENT, text);
}

/* ---- all of it ---- */

bool plan_draw(const struct screen *screen, const json_t *route)
{
    bool whole = true;
    if (value_flag(route, "passthrough"))
        screen_print(screen, TONE_BAD, "PASSTHROUGH IS ON: everything goes straight to legacy; no split, no shadow\n");
    draw_head(screen, route);
    fputc('\n', screen->out);
    draw_why(screen, route);
    fputc('\n', screen->out);
    if (json_array_size(value_at(route, "stages")) > 0) {
        whole &= draw_stages(screen, route);
        fputc('\n', screen->out);
        whole &= draw_gates(screen, route);
        fputc('\n', screen->out);
    }
    draw_dependencies(screen, route);
    draw_on_failure(screen, route);
    draw_breaker(screen, route);
    return whole;
}

bool plan_draw_list(const struct screen *screen, const json_t *routes)
{
    static const struct table_column columns[] = {
        {"ROUTE", false}, {"STATE", false}, {"STAGE", false}, {"SHARE", true}, {"WHY NOT PROMOTED YET", false}};
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    const json_t *route;
    size_t i;
    if (table == NULL)
        return false;
    json_array_foreach(routes, i, route)
    {
        char stage[128], share[96];
        const char *phase = value_text(route, "phase");
        word_stage(route, stage, sizeof(stage));
        word_share(route, share, sizeof(share));
        table_row(table);
        table_cell(table, TONE_STRONG, value_text(route, "name"));
        table_cell(table, word_phase_tone(phase), word_phase(phase));
        table_cell(table, TONE_PLAIN, stage);
        table_cell(table, TONE_STRONG, share);
        table_cell(table, TONE_FAINT, value_text(route, "why_not"));
    }
    if (json_array_size(routes) == 0)
        screen_print(screen, TONE_FAINT, "no routes: everything goes to legacy\n");
    bool whole = table_print(table, screen, 0);
    table_free(table);
    return whole;
}

int run_plan(struct ctl *ctl, const struct command *command, const char *const *words)
{
    json_t *answer = NULL;
    char *path = words[0] != NULL ? api_path("/api/v1/routes/%s", words[0]) : strdup("/api/v1/routes");
    int code = api_ask(ctl, path, NULL, words[0] != NULL ? "phase" : "routes", &answer);
    (void)command;
    if (code == EXIT_DONE && ctl->options.json)
        code = api_print(words[0] != NULL ? answer : value_at(answer, "routes"));
    else if (code == EXIT_DONE && !(words[0] != NULL ? plan_draw(&ctl->screen, answer)
                                                     : plan_draw_list(&ctl->screen, value_at(answer, "routes"))))
        code = complain(ctl, EXIT_REFUSED, "out of memory");
    json_decref(answer);
    free(path);
    return code;
}
