/*
 * The samples as HAR 1.2 (HTTP Archive), two entries for each: what the primary answered and what the shadow answered.
 *
 * Any HAR reader opens it; where the request went is told with placeholder hosts, `legacy` and `new`. What HAR has no
 * word for (route, direction, differences) is in `_shunt`, as the specification allows for names that begin with "_".
 * Values of an unknown are those HAR prescribes: -1 for sizes and times, "" for texts.
 */
#include "shadow/export.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shadow/export_text.h"

static json_t *text(const char *value)
{
    return json_string(value);
}

static const char *first_header(const json_t *lines, const char *name)
{
    const json_t *line;
    size_t i;
    json_array_foreach(lines, i, line)
    {
        const char *at = json_string_value(json_array_get(line, 0));
        const char *value = json_string_value(json_array_get(line, 1));
        if (at != NULL && value != NULL && strcasecmp(at, name) == 0)
            return value;
    }
    return "";
}

static json_t *headers_of(const json_t *lines)
{
    json_t *list = json_array();
    const json_t *line;
    size_t i;
    json_array_foreach(lines, i, line)
    {
        const char *name = json_string_value(json_array_get(line, 0));
        const char *value = json_string_value(json_array_get(line, 1));
        if (name != NULL && value != NULL)
            json_array_append_new(list, json_pack("{s:s, s:s}", "name", name, "value", value));
    }
    return list;
}

/* Bytes that may not stand in a URL are written as %XX; "%" stays, because the target is encoded already. */
static char *url_of(const char *host, const char *target)
{
    struct export_page page;
    if (!export_open(&page))
        return NULL;
    fprintf(page.out, "http://%s%s", host, target[0] == '/' ? "" : "/");
    for (; *target != '\0'; target++) {
        unsigned char c = (unsigned char)*target;
        if (c <= 0x20 || c >= 0x7f || strchr("\"<>\\^`{|}#", c) != NULL)
            fprintf(page.out, "%%%02X", (unsigned)c);
        else
            fputc(c, page.out);
    }
    return export_close(&page);
}

/* name=value of the query, as they stand in the target. */
static json_t *query_of(const char *target)
{
    json_t *list = json_array();
    const char *at = strchr(target, '?');
    while (at != NULL && *++at != '\0') {
        size_t len = strcspn(at, "&"), name = strcspn(at, "=&");
        size_t value = name < len ? name + 1 : len;
        json_t *pair = json_pack("{s:s%, s:s%}", "name", at, name, "value", at + value, len - value);
        if (pair != NULL)
            json_array_append_new(list, pair);
        at = at[len] == '&' ? at + len : NULL;
    }
    return list;
}

static json_t *request_of(const json_t *sample, const char *host)
{
    const json_t *request = json_object_get(sample, "request"), *lines = json_object_get(request, "headers");
    const char *target = export_string(sample, "target");
    char *url = url_of(host, target);
    json_t *made = url == NULL
                       ? NULL
                       : json_pack("{s:o, s:s, s:s, s:[], s:o, s:o, s:i, s:I}", "method",
                                   text(export_string(sample, "method")), "url", url, "httpVersion", "HTTP/1.1",
                                   "cookies", "headers", headers_of(lines), "queryString", query_of(target),
                                   "headersSize", -1, "bodySize", (json_int_t)export_count(request, "body_bytes"));
    free(url);
    if (made != NULL && json_is_string(json_object_get(request, "body")))
        json_object_set_new(made, "postData",
                            json_pack("{s:s, s:[], s:s}", "mimeType", first_header(lines, "content-type"), "params",
                                      "text", export_string(request, "body")));
    return made;
}

static json_t *response_of(const json_t *answer)
{
    const json_t *lines = json_object_get(answer, "headers"), *body = json_object_get(answer, "body");
    json_int_t bytes = (json_int_t)export_count(answer, "bytes");
    json_t *content = json_pack("{s:I, s:s}", "size", bytes, "mimeType", first_header(lines, "content-type"));
    if (json_is_string(body))
        json_object_set(content, "text", (json_t *)body);
    if (export_flag(answer, "cut"))
        json_object_set_new(content, "comment", text("only the beginning of the body"));
    return json_pack("{s:I, s:s, s:s, s:[], s:o, s:o, s:s, s:i, s:I}", "status",
                     (json_int_t)export_count(answer, "status"), "statusText", "", "httpVersion", "HTTP/1.1", "cookies",
                     "headers", headers_of(lines), "content", content, "redirectURL", first_header(lines, "location"),
                     "headersSize", -1, "bodySize", bytes);
}

/* What HAR has no word for. */
static json_t *remarks_of(const json_t *sample, const char *role, const char *side)
{
    static const char *const copied[] = {"route",  "primary", "endpoint", "for",        "request_id",
                                         "cohort", "values",  "fields",   "differences"};
    json_t *remarks = json_pack("{s:s, s:s}", "role", role, "side", side);
    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
        json_t *value = json_object_get(sample, copied[i]);
        if (value != NULL)
            json_object_set(remarks, copied[i], value);
    }
    return remarks;
}

static void add_entry(json_t *entries, const json_t *sample, const char *role, const char *side, const json_t *answer)
{
    char day[EXPORT_FIGURE], started[EXPORT_FIGURE + 8];
    uint64_t at_ms = export_count(sample, "at_ms");
    double ms = (double)export_count(answer, "latency_us") / 1000;
    if (export_clock(day, at_ms, "%Y-%m-%dT%H:%M:%S")[0] == '\0')
        strcpy(day, "1970-01-01T00:00:00");
    snprintf(started, sizeof(started), "%s.%03uZ", day, (unsigned)(at_ms % 1000));
    json_t *entry = json_pack("{s:s, s:f, s:o, s:o, s:{}, s:{s:i, s:f, s:i}, s:o}", "startedDateTime", started, "time",
                              ms, "request", request_of(sample, side), "response", response_of(answer), "cache",
                              "timings", "send", 0, "wait", ms, "receive", 0, "_shunt", remarks_of(sample, role, side));
    if (entry != NULL)
        json_array_append_new(entries, entry);
}

static void add_sample(json_t *entries, const json_t *sample)
{
    bool new_first = strcmp(export_string(sample, "primary"), "new") == 0;
    if (!json_is_object(sample))
        return;
    add_entry(entries, sample, "primary", new_first ? "new" : "legacy", json_object_get(sample, "primary_answer"));
    add_entry(entries, sample, "shadow", new_first ? "legacy" : "new", json_object_get(sample, "shadow_answer"));
}

char *export_har(const json_t *report)
{
    json_t *entries = json_array();
    const json_t *route, *sample;
    size_t i, k;
    json_array_foreach(json_object_get(report, "routes"), i, route)
    {
        json_array_foreach(json_object_get(route, "samples"), k, sample)
        {
            if (export_sample_counts(route, sample))
                add_sample(entries, sample);
        }
    }
    json_t *har = json_pack("{s:{s:s, s:{s:s, s:s}, s:o}}", "log", "version", "1.2", "creator", "name", "shunt",
                            "version", SHUNT_VERSION, "entries", entries);
    char *made = har != NULL ? json_dumps(har, JSON_INDENT(2)) : NULL;
    json_decref(har);
    return made;
}
