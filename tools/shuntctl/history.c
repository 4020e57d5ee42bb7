/*
 * `history` and `audit`: changes of state, newest last. History is what the router remembers, audit what is on disk.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/audit_verify.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/table.h"
#include "tools/shuntctl/value.h"

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

/* "percent 10 -> 25, stage canary -> 25%": members of from and to that differ. */
static char *change_text(const json_t *event)
{
    const json_t *from = value_at(event, "from"), *to = value_at(event, "to"), *after;
    const char *name;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL)
        return NULL;
    json_object_foreach((json_t *)to, name, after)
    {
        const json_t *before = json_object_get(from, name);
        char a[40], b[40];
        if (json_equal(before, after) || json_is_array(after) || json_is_object(after))
            continue;
        fprintf(out, "%s%s ", ftell(out) > 0 ? ", " : "", name);
        if (before != NULL)
            fprintf(out, "%s -> ", word(before, a, sizeof(a)));
        fputs(word(after, b, sizeof(b)), out);
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static bool draw(const struct screen *screen, const json_t *events)
{
    static const struct table_column columns[] = {
        {"TIME", false}, {"ROUTE", false}, {"WHAT", false}, {"WHO", false}, {"CHANGE", false}};
    struct table *table = table_new(columns, 5);
    const json_t *event;
    size_t i;
    if (table == NULL)
        return false;
    json_array_foreach(events, i, event)
    {
        char when[40], *change = change_text(event);
        const char *route = value_text(event, "route");
        time_text(event, when, sizeof(when));
        table_row(table);
        table_cell(table, TONE_FAINT, when);
        table_cell(table, TONE_STRONG, route[0] != '\0' ? route : "-");
        table_cell(table, TONE_PLAIN, value_text(event, "what"));
        table_cell(table, TONE_PLAIN, value_text(event, "who"));
        table_cell(table, TONE_PLAIN, change != NULL ? change : "");
        if (value_text(event, "why")[0] != '\0')
            table_note(table, TONE_FAINT, value_text(event, "why"));
        free(change);
    }
    if (json_array_size(events) == 0)
        screen_print(screen, TONE_FAINT, "nothing has changed yet\n");
    bool whole = table_print(table, screen, 0);
    table_free(table);
    return whole;
}

static int ask(struct ctl *ctl, const char *path, const char *member)
{
    json_t *answer = NULL;
    int code = api_ask(ctl, path, NULL, &answer);
    if (code == EXIT_DONE && ctl->options.json)
        api_print(value_at(answer, member));
    else if (code == EXIT_DONE && !draw(&ctl->screen, value_at(answer, member)))
        code = complain(ctl, EXIT_REFUSED, "out of memory");
    json_decref(answer);
    return code;
}

static unsigned long long limit_of(const struct ctl *ctl)
{
    return ctl->options.limit > 0 ? ctl->options.limit : 100;
}

int run_history(struct ctl *ctl, const struct command *command, const char *const *words)
{
    char format[64], *path;
    snprintf(format, sizeof(format), "/api/v1/history?limit=%llu%s", limit_of(ctl),
             words[0] != NULL ? "&route=%s" : "");
    path = words[0] != NULL ? api_path(format, words[0]) : strdup(format);
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
