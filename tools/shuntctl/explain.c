/*
 * `explain`: which side a request would get on the running shunt, and why.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/number.h"
#include "tools/shuntctl/table.h"
#include "tools/shuntctl/value.h"

/* [["Name", "value"], ...]; NULL without memory or when a header is not UTF-8. */
static json_t *headers_json(const struct options *options)
{
    json_t *headers = json_array();
    for (size_t i = 0; i < options->header_count; i++) {
        const char *text = options->headers[i];
        size_t name = strcspn(text, ":");
        const char *value = text + name + 1 + strspn(text + name + 1, " \t");
        json_t *pair = json_pack("[s%, s]", text, name, value);
        if (pair == NULL || json_array_append_new(headers, pair) < 0) {
            json_decref(headers);
            return NULL;
        }
    }
    return headers;
}

static json_t *question(const struct options *options, const char *method, const char *path)
{
    json_t *headers = headers_json(options);
    if (headers == NULL)
        return NULL;
    json_t *body = json_pack("{s:s, s:s, s:o}", "method", method, "path", path, "headers", headers);
    if (body != NULL && options->client != NULL)
        json_object_set_new(body, "client", json_string(options->client));
    return body;
}

static void row(struct table *table, const char *name, const char *value)
{
    table_row(table);
    table_cell(table, TONE_FAINT, name);
    table_cell(table, TONE_PLAIN, value);
}

/* Where the caller stands among the cohorts, and with which key; of no meaning without a route. */
static void rows_cohort(struct table *table, const json_t *answer)
{
    char cohort[96], share[NUMBER_ROOM];
    number_percent(value_number(answer, "share_percent") / 100.0, share);
    snprintf(cohort, sizeof(cohort), "%llu of 10,000; the share is %s",
             (unsigned long long)value_count(answer, "cohort"), share);
    if (value_text(answer, "sticky")[0] != '\0')
        row(table, "sticky key", value_text(answer, "sticky"));
    row(table, "cohort", cohort);
}

static int draw(const struct ctl *ctl, const json_t *answer)
{
    static const struct table_column columns[] = {{"", false}, {"", false}};
    struct table *table = table_new(columns, 2);
    if (table == NULL)
        return complain(ctl, EXIT_REFUSED, "out of memory");
    const char *route = value_text(answer, "route");
    screen_wrap(&ctl->screen, TONE_STRONG, 0, value_text(answer, "sentence"));
    row(table, "route", route[0] != '\0' ? route : "none");
    row(table, "side", value_text(answer, "side"));
    row(table, "backend", value_text(answer, "backend"));
    row(table, "reason", value_text(answer, "reason"));
    if (route[0] != '\0')
        rows_cohort(table, answer);
    table_row(table);
    table_cell(table, TONE_FAINT, "mirrored");
    table_cellf(table, TONE_PLAIN, "%s%s", value_flag(answer, "mirrored") ? "yes" : "no: ",
                value_flag(answer, "mirrored") ? "" : value_text(answer, "mirror"));
    bool whole = table_print(table, &ctl->screen, 2);
    table_free(table);
    return whole ? EXIT_DONE : complain(ctl, EXIT_REFUSED, "out of memory");
}

int run_explain(struct ctl *ctl, const struct command *command, const char *const *words)
{
    json_t *answer = NULL, *body = question(&ctl->options, words[0], words[1]);
    (void)command;
    if (body == NULL)
        return complain(ctl, EXIT_USAGE,
                        "explain: a header, the method or the path is not UTF-8 text; percent-encode other bytes");
    int code = api_ask(ctl, "/api/v1/explain", body, "sentence", &answer);
    if (code == EXIT_DONE)
        code = ctl->options.json ? api_print(answer) : draw(ctl, answer);
    json_decref(answer);
    return code;
}
