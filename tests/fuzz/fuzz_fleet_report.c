/*
 * Fuzzer of the report of a fleet, whose figures come from anybody who may write to Redis. The input says what things
 * there are and which numbers they have, a line for each: a thing's kind, the place of its parent and its text, or a
 * counter of the last thing and a number. For any of it there is a report whose figures do not contradict each other,
 * in every form.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/export.h"
#include "shadow/report_fleet.h"
#include "shadow/report_fleet_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    THINGS = 64,
    LINE = 300,
};

struct things {
    char id[THINGS][FLEET_ID + 1];
    uint32_t count;
    json_t *fields;
};

/* "c5 GET /orders": an endpoint of the thing before the last five. */
static void add_thing(struct things *things, const char *line)
{
    char name[LINE + 64];
    const char *parent = line[1] % 2 == 0 ? "l" : "n";
    if (strlen(line) < 4 || things->count == THINGS)
        return;
    uint32_t back = (unsigned char)line[1] % 16;
    if (line[0] != FLEET_ROW && things->count > back)
        parent = things->id[things->count - 1 - back];
    char *id = things->id[things->count++];
    fleet_id(id, (enum fleet_thing)line[0], parent, line + 3);
    (void)snprintf(name, sizeof(name), "=%s %c %s %s", id, line[0], parent, line + 3);
    (void)json_object_set_new(things->fields, name, json_integer(1));
}

/* ".matched 12", ".>last 5", ".p17 -3" */
static void add_number(struct things *things, const char *line)
{
    char name[LINE + 64];
    const char *blank = strrchr(line, ' ');
    if (things->count == 0 || blank == NULL)
        return;
    const char *counter = line + 1;
    const char *sign = *counter == '<' || *counter == '>' ? counter++ : "";
    (void)snprintf(name, sizeof(name), "%.1s%s.%.*s", sign, things->id[things->count - 1],
                   blank > counter ? (int)(blank - counter) : 0, counter);
    (void)json_object_set_new(things->fields, name, json_integer(strtoll(blank + 1, NULL, 0)));
}

static void add_line(struct things *things, json_t *samples, const char *line)
{
    if (line[0] == '{')
        (void)json_array_append_new(samples, json_string(line));
    else if (line[0] == '.')
        add_number(things, line);
    else
        add_thing(things, line);
}

static json_int_t total(const json_t *totals, const char *name)
{
    return json_integer_value(json_object_get(totals, name));
}

static void check(const json_t *report)
{
    const json_t *route;
    size_t i;
    json_array_foreach(json_object_get(report, "routes"), i, route)
    {
        const json_t *totals = json_object_get(route, "totals");
        assert(total(totals, "noise_only") >= 0 && total(totals, "noise_only") <= total(totals, "mismatched"));
        assert(total(totals, "mismatched") <= total(totals, "compared"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct things things = {.fields = json_object()};
    json_t *samples = json_array();
    struct report *own = report_new();
    for (size_t i = 0; i < size; i++) {
        char line[LINE];
        size_t length = 0;
        for (; i < size && data[i] != '\n'; i++)
            if (length < sizeof(line) - 1 && data[i] != '\0')
                line[length++] = (char)data[i];
        line[length] = '\0';
        add_line(&things, samples, line);
    }
    json_t *document = json_pack("{s:i, s:o, s:o}", "alive", 3, "fields", things.fields, "samples", samples);
    json_t *report = report_fleet_json(own, document, NULL, 2);
    assert(report != NULL);
    check(report);
    const struct export_format *format;
    for (unsigned i = 0; (format = export_at(i)) != NULL; i++)
        free(format->make(report));
    json_decref(report);
    json_decref(document);
    report_free(own);
    return 0;
}
