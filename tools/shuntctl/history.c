/*
 * `history` and `audit`: changes of state, newest last. History is what the router remembers, audit what is on disk.
 *
 * Each is one row (when, what of which route, who) with a line below for from what to what, why, and on which evidence.
 */
#include "tools/shuntctl/history.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/audit_verify.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/number.h"
#include "tools/shuntctl/table.h"
#include "tools/shuntctl/value.h"
#include "tools/shuntctl/word.h"

/* The time of a change in the reader's zone. */
static void time_text(const json_t *event, char *out, size_t room)
{
    time_t seconds = (time_t)(value_count(event, "at_ms") / 1000);
    struct tm parts;
    out[0] = '\0';
    if (seconds > 0 && localtime_r(&seconds, &parts) != NULL)
        strftime(out, room, "%Y-%m-%d %H:%M:%S", &parts);
    else
        snprintf(out, room, "%s", value_text(event, "time"));
}

static const char *word(const json_t *value, char *out, size_t room)
{
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_boolean(value))
        return json_is_true(value) ? "yes" : "no";
    if (!json_is_number(value))
        return "-";
    snprintf(out, room, "%g", json_number_value(value));
    return out;
}

/* ---- from what to what ---- */

/* "canary 10 %", or "running, canary 10 %" where the phase has changed, too. */
static void write_place(FILE *out, const json_t *place, bool phase)
{
    char percent[NUMBER_ROOM];
    const char *stage = value_text(place, "stage");
    if (phase)
        fprintf(out, "%s, ", word_phase(value_text(place, "phase")));
    fprintf(out, "%s%s%s", stage, stage[0] != '\0' ? " " : "",
            number_percent(value_number(place, "percent") / 100.0, percent));
}

/* A plan that has moved: "canary 10 % -> 25% 25 %". */
static void write_move(FILE *out, const json_t *from, const json_t *to)
{
    char left[NUMBER_ROOM];
    bool began = !json_is_object(from),
         phase = began || strcmp(value_text(from, "phase"), value_text(to, "phase")) != 0;
    if (!began) {
        write_place(out, from, phase);
        fputs(" -> ", out);
    }
    write_place(out, to, phase);
    if (json_is_object(value_at(to, "ramp")))
        fprintf(out, ", within %s", number_duration(value_count(to, "ramp.left_ms"), left));
}

/* Anything else: "breaker closed -> open, trips 0 -> 1", members of from and to that differ. */
static void write_members(FILE *out, const json_t *from, const json_t *to)
{
    const json_t *after;
    const char *name;
    bool any = false;
    json_object_foreach((json_t *)to, name, after)
    {
        const json_t *before = json_object_get(from, name);
        char a[40], b[40];
        if (json_equal(before, after) || json_is_array(after) || json_is_object(after))
            continue;
        fprintf(out, "%s%s ", any ? ", " : "", name);
        if (before != NULL)
            fprintf(out, "%s -> ", word(before, a, sizeof(a)));
        fputs(word(after, b, sizeof(b)), out);
        any = true;
    }
}

static void write_change(FILE *out, const json_t *event)
{
    const json_t *from = value_at(event, "from"), *to = value_at(event, "to");
    if (json_is_number(value_at(to, "percent")))
        write_move(out, from, to);
    else
        write_members(out, from, to);
}

/* ---- on which evidence ---- */

static void write_side(FILE *out, const json_t *evidence, const char *side)
{
    char path[40], count[NUMBER_ROOM], rate[NUMBER_ROOM];
    snprintf(path, sizeof(path), "%s.judged", side);
    uint64_t judged = value_count(evidence, path);
    snprintf(path, sizeof(path), "%s.errors", side);
    if (judged > 0)
        fprintf(out, "; %s %s requests, %s errors", side, number_count(judged, count),
                number_percent((double)value_count(evidence, path) / (double)judged, rate));
}

/* "evidence: pass; legacy 12,034 requests, 0.1 % errors; ...; 4,000 compared, 3 differ; past gate window (...): ..." */
static void write_evidence(FILE *out, const json_t *event)
{
    const json_t *evidence = value_at(event, "evidence"), *past;
    const char *decisive = value_text(evidence, "decisive");
    char count[NUMBER_ROOM], differ[NUMBER_ROOM];
    size_t i;
    if (!json_is_object(evidence))
        return;
    fprintf(out, "evidence: %s%s%s", value_text(evidence, "verdict"), decisive[0] != '\0' ? ", " : "", decisive);
    write_side(out, evidence, "legacy");
    write_side(out, evidence, "new");
    if (value_count(evidence, "compared") > 0)
        fprintf(out, "; %s compared, %s differ", number_count(value_count(evidence, "compared"), count),
                number_count(value_count(evidence, "mismatched"), differ));
    json_array_foreach(value_at(evidence, "past"), i, past)
    {
        if (json_is_string(past))
            fprintf(out, "; past %s", json_string_value(past));
    }
}

/* ---- the list ---- */

/* A line below the row, made by one of the writers above. False without memory. */
static bool note(struct table *table, enum tone tone, void (*write)(FILE *out, const json_t *event),
                 const json_t *event)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL)
        return false;
    write(out, event);
    bool whole = fclose(out) == 0;
    if (whole)
        table_note(table, tone, text);
    free(text);
    return whole;
}

static void write_why(FILE *out, const json_t *event)
{
    fputs(value_text(event, "why"), out);
}

bool history_draw(const struct screen *screen, const json_t *events)
{
    static const struct table_column columns[] = {{"TIME", false}, {"ROUTE", false}, {"WHAT", false}, {"WHO", false}};
    static void (*const notes[])(FILE *, const json_t *) = {write_change, write_why, write_evidence};
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    const json_t *event;
    size_t i;
    if (table == NULL)
        return false;
    bool whole = true;
    json_array_foreach(events, i, event)
    {
        char when[40];
        const char *route = value_text(event, "route");
        time_text(event, when, sizeof(when));
        table_row(table);
        table_cell(table, TONE_FAINT, when);
        table_cell(table, TONE_STRONG, route[0] != '\0' ? route : "-");
        table_cell(table, TONE_STRONG, value_text(event, "what"));
        table_cell(table, TONE_PLAIN, value_text(event, "who"));
        for (size_t n = 0; n < sizeof(notes) / sizeof(notes[0]); n++)
            whole &= note(table, TONE_PLAIN, notes[n], event);
    }
    if (json_array_size(events) == 0)
        screen_print(screen, TONE_FAINT, "nothing has changed\n");
    whole &= table_print(table, screen, 0);
    table_free(table);
    return whole;
}

static int ask(struct ctl *ctl, const char *path, const char *member)
{
    json_t *answer = NULL;
    int code = api_ask(ctl, path, NULL, member, &answer);
    if (code == EXIT_DONE && ctl->options.json)
        api_print(value_at(answer, member));
    else if (code == EXIT_DONE && !history_draw(&ctl->screen, value_at(answer, member)))
        code = complain(ctl, EXIT_REFUSED, "out of memory");
    json_decref(answer);
    return code;
}

enum {
    LIMIT_DEFAULT = 100,
    LIMIT_MOST = 10000
};

/* What is asked for by its age is wanted whole. */
static unsigned long long limit_of(const struct ctl *ctl)
{
    if (ctl->options.limit > 0)
        return ctl->options.limit;
    return ctl->options.since_ms > 0 ? LIMIT_MOST : LIMIT_DEFAULT;
}

int run_history(struct ctl *ctl, const struct command *command, const char *const *words)
{
    char format[128];
    int used = snprintf(format, sizeof(format), "/api/v1/history?limit=%llu", limit_of(ctl));
    if (ctl->options.since_ms > 0)
        used += snprintf(format + used, sizeof(format) - (size_t)used, "&since_ms=%llu",
                         (unsigned long long)ctl->options.since_ms);
    snprintf(format + used, sizeof(format) - (size_t)used, "%s", words[0] != NULL ? "&route=%s" : "");
    char *path = words[0] != NULL ? api_path(format, words[0]) : strdup(format);
    int code = ask(ctl, path, "history");
    (void)command;
    free(path);
    return code;
}

int run_audit(struct ctl *ctl, const struct command *command, const char *const *words)
{
    char path[64];
    if (words[0] != NULL && (strcmp(words[0], "verify") != 0 || words[1] == NULL))
        return complain(ctl, EXIT_USAGE, "audit takes nothing, or `verify FILE|DIR`; try `shuntctl %s --help`",
                        command->name);
    if (words[0] != NULL)
        return audit_verify(ctl, words[1]);
    snprintf(path, sizeof(path), "/api/v1/audit?limit=%llu", limit_of(ctl));
    return ask(ctl, path, "audit");
}
