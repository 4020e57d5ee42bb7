/*
 * The report as Markdown, for a pull request or a wiki: for each route and direction the verdict, the totals, the
 * endpoints, the fields that really differ with the reason, what is hidden in a line for each state, and suggestions.
 * Written in GitHub's dialect (tables); whatever came from outside is code or escaped, so that it cannot become markup.
 */
#include "shadow/export.h"

#include <inttypes.h>
#include <string.h>

#include "shadow/export_text.h"

static void put_cell_count(FILE *out, uint64_t count)
{
    char figure[EXPORT_FIGURE];
    fprintf(out, " %s |", export_commas(figure, count));
}

static void put_counts(FILE *out, const char *label, const json_t *counts)
{
    const char *name, *between = "";
    json_t *count;
    char figure[EXPORT_FIGURE];
    if (json_object_size(counts) == 0)
        return;
    fprintf(out, "%s: ", label);
    json_object_foreach((json_t *)counts, name, count)
    {
        json_int_t value = json_integer_value(count);
        if (value <= 0)
            continue;
        fputs(between, out);
        export_put(out, EXPORT_MARKDOWN, name);
        fprintf(out, " %s", export_commas(figure, (uint64_t)value));
        between = ", ";
    }
    fprintf(out, "%s\n\n", between[0] == '\0' ? "none" : "");
}

static const struct {
    const char *result, *mark;
} verdict_marks[] = {{"pass", "✅"}, {"fail", "❌"}};

static void put_heading(FILE *out, const json_t *route)
{
    const json_t *verdict = json_object_get(route, "verdict");
    const char *mark = "⏳";
    char from[EXPORT_FIGURE], to[EXPORT_FIGURE];
    for (size_t i = 0; i < sizeof(verdict_marks) / sizeof(verdict_marks[0]); i++)
        if (strcmp(export_string(verdict, "result"), verdict_marks[i].result) == 0)
            mark = verdict_marks[i].mark;
    fputs("## ", out);
    export_put(out, EXPORT_MARKDOWN, export_string(route, "route"));
    fputs(": ", out);
    export_put(out, EXPORT_MARKDOWN, export_string(route, "primary"));
    fputs(" answers, ", out);
    export_put(out, EXPORT_MARKDOWN, export_string(route, "shadow"));
    fprintf(out, " is compared\n\n%s **", mark);
    export_put(out, EXPORT_MARKDOWN, export_string(verdict, "sentence"));
    fputs("**\n\n", out);
    if (export_count(route, "since_ms") > 0)
        fprintf(out, "%s to %s UTC\n\n", export_clock(from, export_count(route, "since_ms"), "%Y-%m-%d %H:%M:%S"),
                export_clock(to, export_count(route, "last_ms"), "%Y-%m-%d %H:%M:%S"));
}

static void put_totals(FILE *out, const json_t *route)
{
    const json_t *totals = json_object_get(route, "totals");
    uint64_t mismatched = export_count(totals, "mismatched"), noise = export_count(totals, "noise_only");
    fputs("| compared | matched | ignored | only noise | mismatched | not compared |\n"
          "| ---: | ---: | ---: | ---: | ---: | ---: |\n|",
          out);
    put_cell_count(out, export_count(totals, "compared"));
    put_cell_count(out, export_count(totals, "matched"));
    put_cell_count(out, export_count(totals, "ignored"));
    put_cell_count(out, noise);
    put_cell_count(out, mismatched > noise ? mismatched - noise : 0);
    put_cell_count(out, export_count(totals, "not_comparable"));
    fputs("\n\n", out);
    put_counts(out, "Not compared", json_object_get(route, "not_comparable"));
    put_counts(out, "Not mirrored", json_object_get(route, "not_mirrored"));
}

static void put_quantile(FILE *out, const json_t *quantiles, const char *name)
{
    char figure[EXPORT_FIGURE];
    if (export_has_number(quantiles, name))
        fprintf(out, " %s |", export_milliseconds(figure, export_number(quantiles, name)));
    else
        fputs(" |", out);
}

static void put_endpoints(FILE *out, const json_t *route)
{
    const json_t *endpoints = json_object_get(route, "endpoints"), *endpoint;
    size_t i;
    if (json_array_size(endpoints) == 0)
        return;
    fputs("| endpoint | compared | mismatched | not compared | p50 | p50, shadow | same request, p50 |\n"
          "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
          out);
    json_array_foreach(endpoints, i, endpoint)
    {
        const json_t *totals = json_object_get(endpoint, "totals"), *latency = json_object_get(endpoint, "latency");
        uint64_t mismatched = export_count(totals, "mismatched"), noise = export_count(totals, "noise_only");
        fputs("| ", out);
        export_put_code(out, export_string(endpoint, "endpoint"));
        fputs(" |", out);
        put_cell_count(out, export_count(totals, "compared"));
        put_cell_count(out, mismatched > noise ? mismatched - noise : 0);
        put_cell_count(out, export_count(totals, "not_comparable"));
        put_quantile(out, json_object_get(latency, "primary"), "p50_ms");
        put_quantile(out, json_object_get(latency, "shadow"), "p50_ms");
        put_quantile(out, json_object_get(json_object_get(latency, "paired"), "difference_ms"), "p50");
        fputc('\n', out);
    }
    fputc('\n', out);
}

static void put_side(FILE *out, const json_t *example, const char *side)
{
    if (json_is_string(json_object_get(example, side)))
        export_put_code(out, export_string(example, side));
    else
        fputs("(none)", out);
}

static void put_field(FILE *out, const char *endpoint, const json_t *field)
{
    const json_t *example = json_object_get(field, "example");
    char rate[EXPORT_FIGURE], noise[EXPORT_FIGURE] = "-";
    if (export_has_number(field, "noise_rate"))
        export_percent(noise, export_number(field, "noise_rate"));
    fputs("| ", out);
    export_put_code(out, endpoint);
    fputs(" | ", out);
    export_put_code(out, export_string(field, "field"));
    fputs(" |", out);
    put_cell_count(out, export_count(field, "differing"));
    fprintf(out, " %s | %s | ", export_percent(rate, export_number(field, "rate")), noise);
    if (json_is_object(example)) {
        put_side(out, example, "primary");
        fputs(" → ", out);
        put_side(out, example, "shadow");
    }
    fputs(" | ", out);
    export_put(out, EXPORT_MARKDOWN, export_string(field, "why"));
    fputs(" |\n", out);
}

static void put_shown_fields(FILE *out, const json_t *route)
{
    const json_t *endpoint, *field;
    size_t i, k, count = 0;
    json_array_foreach(json_object_get(route, "endpoints"), i, endpoint)
    {
        json_array_foreach(json_object_get(endpoint, "fields"), k, field)
        {
            if (!export_flag(field, "shown"))
                continue;
            if (count++ == 0)
                fputs("### What differs\n\n| endpoint | field | pairs | rate | by itself | example | why |\n"
                      "| --- | --- | ---: | ---: | ---: | --- | --- |\n",
                      out);
            put_field(out, export_string(endpoint, "endpoint"), field);
        }
    }
    fputs(count > 0 ? "\n" : "", out);
}

/* "Hidden as noise: `$.token` (1,191 pairs), ...": for each state one line. */
static void put_hidden(FILE *out, const json_t *route, const char *state, const char *label)
{
    const json_t *endpoint, *field;
    char figure[EXPORT_FIGURE];
    size_t i, k, count = 0;
    json_array_foreach(json_object_get(route, "endpoints"), i, endpoint)
    {
        json_array_foreach(json_object_get(endpoint, "fields"), k, field)
        {
            uint64_t differing = export_count(field, "differing");
            if (export_flag(field, "shown") || strcmp(export_string(field, "state"), state) != 0)
                continue;
            fputs(count++ == 0 ? label : ", ", out);
            export_put_code(out, export_string(field, "field"));
            fprintf(out, " (%s)", export_commas(figure, differing > 0 ? differing : export_count(field, "ignored")));
        }
    }
    fputs(count > 0 ? "\n" : "", out);
}

static void put_list(FILE *out, const char *title, const json_t *list, void (*put)(FILE *out, const json_t *element))
{
    const json_t *element;
    size_t i;
    if (json_array_size(list) == 0)
        return;
    fprintf(out, "### %s\n\n", title);
    json_array_foreach(list, i, element)
    {
        fputs("- ", out);
        put(out, element);
        fputc('\n', out);
    }
    fputc('\n', out);
}

static void put_suggestion(FILE *out, const json_t *suggestion)
{
    export_put(out, EXPORT_MARKDOWN, export_string(suggestion, "rule"));
    fputc(' ', out);
    export_put_code(out, export_string(suggestion, "path"));
    fputs(": ", out);
    export_put(out, EXPORT_MARKDOWN, export_string(suggestion, "why"));
}

static void put_refused(FILE *out, const json_t *rule)
{
    export_put_code(out, json_is_string(rule) ? json_string_value(rule) : "");
}

static void put_idle_rules(FILE *out, const json_t *route)
{
    const json_t *rule;
    size_t i, count = 0;
    json_array_foreach(json_object_get(route, "rules"), i, rule)
    {
        if (export_count(rule, "pairs") > 0 || export_string(rule, "rule")[0] == '\0')
            continue;
        fputs(count++ == 0 ? "Rules that never matched anything: " : ", ", out);
        export_put_code(out, export_string(rule, "rule"));
    }
    fputs(count > 0 ? "\n\n" : "", out);
}

static void put_route(FILE *out, const json_t *route)
{
    put_heading(out, route);
    put_totals(out, route);
    put_endpoints(out, route);
    put_shown_fields(out, route);
    put_hidden(out, route, "undecided", "- Not significant yet: ");
    put_hidden(out, route, "rare", "- Too rare to be shown: ");
    put_hidden(out, route, "noise", "- Noise, which differs by itself: ");
    put_hidden(out, route, "ignored", "- Ignored by rules: ");
    fputc('\n', out);
    put_idle_rules(out, route);
    put_list(out, "Rules without effect", json_object_get(route, "rules_refused"), put_refused);
    put_list(out, "Suggested rules", json_object_get(route, "suggestions"), put_suggestion);
}

char *export_markdown(const json_t *report)
{
    const json_t *routes = json_object_get(report, "routes"), *route;
    struct export_page page;
    char at[EXPORT_FIGURE], fleet[EXPORT_FLEET];
    size_t i;
    if (!export_open(&page))
        return NULL;
    fputs("# What comparing found\n\n", page.out);
    if (export_count(report, "generated_at_ms") > 0)
        fprintf(page.out, "Made %s UTC.\n\n",
                export_clock(at, export_count(report, "generated_at_ms"), "%Y-%m-%d %H:%M:%S"));
    if (export_fleet(fleet, report))
        fprintf(page.out, "Of %s.\n\n", fleet);
    if (json_array_size(routes) == 0)
        fputs("Nothing has been compared yet.\n", page.out);
    json_array_foreach(routes, i, route)
    {
        put_route(page.out, route);
    }
    return export_close(&page);
}
