/*
 * The report as JUnit XML, which every CI shows: a suite for each route and direction, a case for the verdict and one
 * for each endpoint. An endpoint fails when a field is shown as a real difference; where nothing was compared, or
 * evidence is still missing, its case is skipped, which is neither good nor bad.
 */
#include "shadow/export.h"

#include <inttypes.h>
#include <string.h>

#include "shadow/export_text.h"

struct outcome {
    const char *element;  /* "failure", "skipped"; NULL: passed */
    const json_t *object; /* whose member is the message; NULL: `text` */
    const char *member, *text;
};

static const json_t *first_field(const json_t *endpoint, const char *state)
{
    const json_t *field;
    size_t i;
    json_array_foreach(json_object_get(endpoint, "fields"), i, field)
    {
        if (strcmp(export_string(field, "state"), state) == 0)
            return field;
    }
    return NULL;
}

static const json_t *first_shown(const json_t *endpoint)
{
    const json_t *field;
    size_t i;
    json_array_foreach(json_object_get(endpoint, "fields"), i, field)
    {
        if (export_flag(field, "shown"))
            return field;
    }
    return NULL;
}

static struct outcome endpoint_outcome(const json_t *endpoint)
{
    const json_t *shown = first_shown(endpoint), *undecided = first_field(endpoint, "undecided");
    if (shown != NULL)
        return (struct outcome){"failure", shown, "why", NULL};
    if (export_count(json_object_get(endpoint, "totals"), "compared") == 0)
        return (struct outcome){"skipped", NULL, NULL, "no pair could be compared"};
    if (undecided != NULL)
        return (struct outcome){"skipped", undecided, "why", NULL};
    return (struct outcome){NULL, NULL, NULL, NULL};
}

static struct outcome verdict_outcome(const json_t *route)
{
    const json_t *verdict = json_object_get(route, "verdict");
    const char *result = export_string(verdict, "result");
    if (strcmp(result, "pass") == 0)
        return (struct outcome){NULL, NULL, NULL, NULL};
    if (verdict == NULL)
        return (struct outcome){"skipped", NULL, NULL, "there is no verdict"};
    return (struct outcome){strcmp(result, "fail") == 0 ? "failure" : "skipped", verdict, "sentence", NULL};
}

static void put_attribute(FILE *out, const char *name, const char *value)
{
    fprintf(out, " %s=\"", name);
    export_put(out, EXPORT_XML, value);
    fputc('"', out);
}

/* "$.total: differs in 0.06 % of pairs ..." */
static void put_message(FILE *out, const struct outcome *outcome)
{
    const char *field = export_string(outcome->object, "field");
    fputs(" message=\"", out);
    export_put(out, EXPORT_XML, field);
    fputs(field[0] != '\0' ? ": " : "", out);
    export_put(out, EXPORT_XML,
               outcome->object != NULL ? export_string(outcome->object, outcome->member) : outcome->text);
    fputc('"', out);
}

static void put_shown_fields(FILE *out, const json_t *endpoint)
{
    const json_t *field;
    size_t i;
    json_array_foreach(json_object_get(endpoint, "fields"), i, field)
    {
        const json_t *example = json_object_get(field, "example");
        if (!export_flag(field, "shown"))
            continue;
        export_put(out, EXPORT_XML, export_string(field, "field"));
        fputs(": ", out);
        export_put(out, EXPORT_XML, export_string(field, "why"));
        fputc('\n', out);
        if (!json_is_object(example))
            continue;
        fputs("    ", out);
        export_put(out, EXPORT_XML, export_string(example, "path"));
        fputs(": ", out);
        export_put(out, EXPORT_XML, json_object_get(example, "primary") ? export_string(example, "primary") : "(none)");
        fputs(" -&gt; ", out);
        export_put(out, EXPORT_XML, json_object_get(example, "shadow") ? export_string(example, "shadow") : "(none)");
        fputs(", request id ", out);
        export_put(out, EXPORT_XML, export_string(example, "request_id"));
        fputc('\n', out);
    }
}

/* Names of a suite: "orders-read, legacy answers"; packages of CI pages are cut at dots. */
static void put_class(FILE *out, const char *attribute, const json_t *route)
{
    fprintf(out, " %s=\"", attribute);
    export_put(out, EXPORT_XML, export_string(route, "route"));
    fputs(", ", out);
    export_put(out, EXPORT_XML, export_string(route, "primary"));
    fputs(" answers\"", out);
}

static double seconds_of(const json_t *latency_of)
{
    const json_t *shadow = json_object_get(json_object_get(latency_of, "latency"), "shadow");
    double seconds = export_number(shadow, "p50_ms") / 1000;
    return seconds > 0 && seconds < 1e9 ? seconds : 0;
}

static void put_case(FILE *out, const json_t *route, const char *name, const json_t *latency_of,
                     const struct outcome *outcome, const json_t *endpoint)
{
    fputs("    <testcase", out);
    put_attribute(out, "name", name);
    put_class(out, "classname", route);
    fprintf(out, " time=\"%.6f\"", seconds_of(latency_of));
    if (outcome->element == NULL) {
        fputs("/>\n", out);
        return;
    }
    fprintf(out, ">\n      <%s", outcome->element);
    put_message(out, outcome);
    if (strcmp(outcome->element, "failure") == 0) {
        fputs(" type=\"difference\">", out);
        put_shown_fields(out, endpoint);
        fputs("</failure>\n", out);
    } else {
        fputs("/>\n", out);
    }
    fputs("    </testcase>\n", out);
}

struct tally {
    uint64_t tests, failures, skipped;
};

static void count_case(struct tally *tally, struct outcome outcome)
{
    tally->tests++;
    if (outcome.element != NULL && strcmp(outcome.element, "failure") == 0)
        tally->failures++;
    else if (outcome.element != NULL)
        tally->skipped++;
}

static void count_suite(struct tally *tally, const json_t *route)
{
    const json_t *endpoint;
    size_t i;
    count_case(tally, verdict_outcome(route));
    json_array_foreach(json_object_get(route, "endpoints"), i, endpoint)
    {
        count_case(tally, endpoint_outcome(endpoint));
    }
}

static void put_counts(FILE *out, const struct tally *tally)
{
    fprintf(out, " tests=\"%" PRIu64 "\" failures=\"%" PRIu64 "\" errors=\"0\" skipped=\"%" PRIu64 "\"", tally->tests,
            tally->failures, tally->skipped);
}

static void put_suite(FILE *out, const json_t *route, size_t id, const char *made_at)
{
    const json_t *endpoint;
    struct tally tally = {0};
    struct outcome outcome = verdict_outcome(route);
    size_t i;
    count_suite(&tally, route);
    fputs("  <testsuite", out);
    put_class(out, "name", route);
    put_counts(out, &tally);
    fprintf(out, " time=\"0\" timestamp=\"%s\" hostname=\"localhost\" id=\"%zu\" package=\"shunt\">\n", made_at, id);
    put_case(out, route, "verdict", NULL, &outcome, NULL);
    json_array_foreach(json_object_get(route, "endpoints"), i, endpoint)
    {
        outcome = endpoint_outcome(endpoint);
        put_case(out, route, export_string(endpoint, "endpoint"), endpoint, &outcome, endpoint);
    }
    fputs("  </testsuite>\n", out);
}

char *export_junit(const json_t *report)
{
    const json_t *routes = json_object_get(report, "routes"), *route;
    struct export_page page;
    struct tally tally = {0};
    char made_at[EXPORT_FIGURE], fleet[EXPORT_FLEET];
    size_t i;
    if (!export_open(&page))
        return NULL;
    if (export_clock(made_at, export_count(report, "generated_at_ms"), "%Y-%m-%dT%H:%M:%S")[0] == '\0')
        strcpy(made_at, "1970-01-01T00:00:00");
    json_array_foreach(routes, i, route)
    {
        count_suite(&tally, route);
    }
    fprintf(page.out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"shunt%s%s\"",
            export_fleet(fleet, report) ? ": " : "", fleet);
    put_counts(page.out, &tally);
    fputs(">\n", page.out);
    json_array_foreach(routes, i, route)
    {
        put_suite(page.out, route, i, made_at);
    }
    fputs("</testsuites>\n", page.out);
    return export_close(&page);
}
