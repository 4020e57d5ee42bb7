/*
 * The report for a person at a terminal, made from its JSON: shuntctl prints what the admin API gave it, so this file
 * trusts nothing in it. Missing members read as nothing, text is cleaned again and cut to its column. Pure apart from
 * malloc; any thread.
 */
#include "shadow/export.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/export_text.h"
#include "shadow/redact.h"

enum {
    WIDTH_DEFAULT = 100,
    WIDTH_LEAST = 60,
    WIDTH_MOST = 400,
    FIELDS_SHOWN = 20,
    ENDPOINTS_SHOWN = 12,
    DIFFERENCES_SHOWN = 3, /* of a sample */
    SAMPLES_SHOWN = 5,
    TEXT_ROOM = 1024
};

enum paint {
    PLAIN,
    BOLD,
    DIM,
    RED,
    GREEN,
    YELLOW,
    CYAN
};

static const char *const paints[] = {
    [PLAIN] = "",         [BOLD] = "\033[1m",    [DIM] = "\033[2m",   [RED] = "\033[31m",
    [GREEN] = "\033[32m", [YELLOW] = "\033[33m", [CYAN] = "\033[36m",
};

struct page {
    FILE *out;
    unsigned width;
    bool color;
    bool all; /* each hidden field has a line of its own */
};

/* ---- reading ---- */

/* Text of a member, cleaned; "" when there is none. */
static const char *text_of(const json_t *object, const char *key, char text[TEXT_ROOM])
{
    const char *value = json_string_value(json_object_get(object, key));
    redact_clean(text, TEXT_ROOM, value == NULL ? "" : value, value == NULL ? 0 : strlen(value));
    return text;
}

/* ---- writing ---- */

__attribute__((format(printf, 3, 4))) static void print(struct page *page, enum paint paint, const char *format, ...)
{
    va_list arguments;
    bool painted = page->color && paint != PLAIN;
    if (painted)
        fputs(paints[paint], page->out);
    va_start(arguments, format);
    vfprintf(page->out, format, arguments);
    va_end(arguments);
    if (painted)
        fputs("\033[0m", page->out);
}

static bool starts_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

static unsigned columns_of(const char *text)
{
    unsigned columns = 0;
    for (; *text != '\0'; text++)
        columns += starts_character(*text) ? 1 : 0;
    return columns;
}

/* Bytes of the first `columns` characters. */
static size_t bytes_of(const char *text, unsigned columns)
{
    size_t i = 0;
    for (; text[i] != '\0'; i++)
        if (starts_character(text[i]) && columns-- == 0)
            break;
    return i;
}

/* Exactly `columns` wide: cut with an ellipsis, or filled up with blanks. */
static void print_cell(struct page *page, enum paint paint, const char *text, unsigned columns)
{
    unsigned has = columns_of(text);
    if (has > columns && columns > 0)
        print(page, paint, "%.*s…", (int)bytes_of(text, columns - 1), text);
    else
        print(page, paint, "%s%*s", text, (int)(columns - has), "");
}

/* Without the blanks at the end of a line. */
static void print_last_cell(struct page *page, enum paint paint, const char *text, unsigned columns)
{
    unsigned has = columns_of(text);
    print_cell(page, paint, text, has < columns ? has : columns);
    fputc('\n', page->out);
}

/* Words in lines of the page's width; the first line begins at `column`, the others at `indent`. */
static void print_wrapped_from(struct page *page, enum paint paint, const char *text, unsigned indent, unsigned column)
{
    bool first = true; /* no blank before the first word of a line */
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        char copy[TEXT_ROOM];
        snprintf(copy, sizeof(copy), "%.*s", (int)word, text);
        unsigned columns = columns_of(copy);
        if (column > indent && column + (first ? 0 : 1) + columns > page->width) {
            print(page, PLAIN, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        print(page, paint, "%s%s", first ? "" : " ", copy);
        column += columns + (first ? 0 : 1);
        first = false;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', page->out);
}

static void print_wrapped(struct page *page, enum paint paint, const char *text, unsigned indent)
{
    print_wrapped_from(page, paint, text, indent, indent);
}

/* "    label: text", wrapped. */
static void print_labelled(struct page *page, enum paint paint, unsigned indent, const char *label, const char *text)
{
    print(page, paint, "%*s%s: ", (int)indent, "", label);
    print_wrapped_from(page, paint, text, indent + 2, indent + columns_of(label) + 2);
}

/* ---- the parts of a route ---- */

static void print_heading(struct page *page, const json_t *route)
{
    char name[TEXT_ROOM], primary[TEXT_ROOM], shadow[TEXT_ROOM], from[EXPORT_FIGURE], to[EXPORT_FIGURE];
    char sides[TEXT_ROOM * 3], period[EXPORT_FIGURE * 3];
    snprintf(sides, sizeof(sides), "%s answers, %s is compared", text_of(route, "primary", primary),
             text_of(route, "shadow", shadow));
    snprintf(period, sizeof(period), "%s to %s UTC",
             export_clock(from, export_count(route, "since_ms"), "%Y-%m-%d %H:%M:%S"),
             export_clock(to, export_count(route, "last_ms"), "%Y-%m-%d %H:%M:%S"));
    print_last_cell(page, BOLD, text_of(route, "route", name), page->width);
    fputs("  ", page->out);
    unsigned used = 2 + columns_of(sides);
    if (export_count(route, "since_ms") == 0) {
        print_last_cell(page, CYAN, sides, page->width - 2);
    } else if (used + 2 + columns_of(period) <= page->width) {
        print(page, CYAN, "%s", sides);
        print(page, DIM, "  %s\n", period);
    } else {
        print_last_cell(page, CYAN, sides, page->width - 2);
        fputs("  ", page->out);
        print_last_cell(page, DIM, period, page->width - 2);
    }
}

static const struct {
    const char *result, *mark;
    enum paint paint;
} verdict_marks[] = {
    {"pass", "✓", GREEN},
    {"fail", "✗", RED},
};

static void print_verdict(struct page *page, const json_t *route)
{
    char sentence[TEXT_ROOM];
    const json_t *verdict = json_object_get(route, "verdict");
    const char *mark = "○";
    enum paint paint = YELLOW;

    for (size_t i = 0; i < sizeof(verdict_marks) / sizeof(verdict_marks[0]); i++) {
        if (strcmp(export_string(verdict, "result"), verdict_marks[i].result) == 0) {
            mark = verdict_marks[i].mark;
            paint = verdict_marks[i].paint;
        }
    }
    print(page, paint, "  %s ", mark);
    print_wrapped(page, paint, text_of(verdict, "sentence", sentence), 4);
}

static void print_bar(struct page *page, enum paint paint, double rate, unsigned room)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    unsigned steps = (unsigned)(rate * room * 8 + 0.5);
    if (rate > 0 && steps == 0)
        steps = 1;
    for (unsigned i = 0; i < steps / 8; i++)
        print(page, paint, "█");
    print(page, paint, "%s", eighths[steps % 8]);
}

static void print_total(struct page *page, const char *label, uint64_t count, uint64_t compared, enum paint paint)
{
    char figure[EXPORT_FIGURE], rate[EXPORT_FIGURE];
    double part = compared > 0 ? (double)count / (double)compared : 0;
    unsigned room = page->width > 50 ? page->width - 45 : 5;
    print(page, PLAIN, "    %-13s %12s  %9s%s", label, export_commas(figure, count), export_percent(rate, part),
          part > 0 ? "  " : "");
    print_bar(page, paint, part > 1 ? 1 : part, room > 40 ? 40 : room);
    fputc('\n', page->out);
}

/* Reasons with their counts, the larger first to be cut off at the end: "shadow_timeout 24, truncated 7". */
static uint64_t list_reasons(const json_t *reasons, char list[TEXT_ROOM])
{
    char figure[EXPORT_FIGURE], name[TEXT_ROOM / 4];
    const char *key;
    json_t *value;
    size_t len = 0;
    uint64_t total = 0;

    list[0] = '\0';
    json_object_foreach((json_t *)reasons, key, value)
    {
        json_int_t count = json_integer_value(value);
        if (count <= 0)
            continue;
        redact_clean(name, sizeof(name), key, strlen(key));
        int n = snprintf(list + len, TEXT_ROOM - len, "%s%s %s", len > 0 ? ", " : "", name,
                         export_commas(figure, (uint64_t)count));
        len += n > 0 && (size_t)n < TEXT_ROOM - len ? (size_t)n : 0;
        total += (uint64_t)count;
    }
    list[len] = '\0';
    return total;
}

static void print_reasons(struct page *page, const char *label, uint64_t count, const json_t *reasons)
{
    char figure[EXPORT_FIGURE], list[TEXT_ROOM];
    uint64_t listed = list_reasons(reasons, list);
    if (count == 0)
        count = listed;
    if (count == 0)
        return;
    print(page, YELLOW, "    %-13s %12s             ", label, export_commas(figure, count));
    print_wrapped(page, YELLOW, list, 43);
}

static void print_totals(struct page *page, const json_t *route)
{
    const json_t *totals = json_object_get(route, "totals");
    uint64_t compared = export_count(totals, "compared"), noise = export_count(totals, "noise_only");
    uint64_t mismatched = export_count(totals, "mismatched"), obstructed = export_count(totals, "not_comparable");
    uint64_t real = mismatched > noise ? mismatched - noise : 0;

    fputc('\n', page->out);
    print_total(page, "matched", export_count(totals, "matched"), compared, GREEN);
    print_total(page, "ignored", export_count(totals, "ignored"), compared, CYAN);
    if (noise > 0)
        print_total(page, "only noise", noise, compared, CYAN);
    print_total(page, "mismatched", real, compared, RED);
    print_reasons(page, "not compared", obstructed, json_object_get(route, "not_comparable"));
    print_reasons(page, "not mirrored", 0, json_object_get(route, "not_mirrored"));
}

/* The kind that was seen most. */
static const char *main_kind(const json_t *field, char text[TEXT_ROOM])
{
    const char *key, *most = "";
    json_t *value, *kinds = json_object_get(field, "kinds");
    json_int_t count = 0;
    json_object_foreach(kinds, key, value)
    {
        if (json_integer_value(value) > count) {
            count = json_integer_value(value);
            most = key;
        }
    }
    redact_clean(text, TEXT_ROOM, most, strlen(most));
    return text;
}

/* "12 → 13", "12 only", "only 13". */
static void describe(const json_t *difference, char text[TEXT_ROOM * 2 + 16])
{
    char primary[TEXT_ROOM], shadow[TEXT_ROOM];
    text_of(difference, "primary", primary);
    text_of(difference, "shadow", shadow);
    if (primary[0] != '\0' && shadow[0] != '\0')
        snprintf(text, TEXT_ROOM * 2 + 16, "%s → %s", primary, shadow);
    else
        snprintf(text, TEXT_ROOM * 2 + 16, "%s → %s", primary[0] != '\0' ? primary : "(none)",
                 shadow[0] != '\0' ? shadow : "(none)");
}

/* Which columns of the table of fields find room: the example goes first where the page is narrow. */
struct field_columns {
    unsigned name, example;
};

enum {
    FIELD_FIGURES = 6 + 2 + 9 + 1 + 9 + 1 + 9 + 1 + 9,
    EXAMPLE_LEAST = 16
};

static void print_field(struct page *page, const json_t *field, const struct field_columns *columns)
{
    char name[TEXT_ROOM], kind[TEXT_ROOM], figure[EXPORT_FIGURE], rate[EXPORT_FIGURE], noise[EXPORT_FIGURE];
    char example[TEXT_ROOM * 2 + 16] = "";
    const json_t *shown = json_object_get(field, "example");
    bool is_shown = export_flag(field, "shown");
    enum paint paint = is_shown ? PLAIN : DIM;

    if (export_has_number(field, "noise_rate"))
        export_percent(noise, export_number(field, "noise_rate"));
    else
        snprintf(noise, sizeof(noise), "-");
    if (!is_shown)
        text_of(field, "state", example);
    else if (json_is_object(shown))
        describe(shown, example);
    fputs("      ", page->out);
    print_cell(page, paint, text_of(field, "field", name), columns->name);
    print(page, paint, "  %-9.9s %9s %9s %9s", main_kind(field, kind),
          export_commas(figure, export_count(field, "differing")), export_percent(rate, export_number(field, "rate")),
          noise);
    fputs(columns->example > 0 ? "  " : "", page->out);
    print_last_cell(page, paint, columns->example > 0 ? example : "", columns->example);
    if (is_shown || page->all) {
        char why[TEXT_ROOM];
        print(page, PLAIN, "        ");
        print_wrapped(page, DIM, text_of(field, "why", why), 8);
    }
}

static struct field_columns field_columns_of(const struct page *page, const json_t *fields)
{
    unsigned widest = 12, room = page->width - FIELD_FIGURES;
    size_t i;
    json_t *field;
    json_array_foreach(fields, i, field)
    {
        char name[TEXT_ROOM];
        unsigned columns = columns_of(text_of(field, "field", name));
        if (export_count(field, "differing") > 0 && columns > widest)
            widest = columns;
    }
    if (room < 12 + 2 + EXAMPLE_LEAST)
        return (struct field_columns){.name = widest < room ? widest : room};
    unsigned most = room - 2 - EXAMPLE_LEAST < room * 2 / 3 ? room - 2 - EXAMPLE_LEAST : room * 2 / 3;
    unsigned name = widest < most ? widest : most;
    return (struct field_columns){.name = name, .example = room - name - 2};
}

static bool has_a_line(const struct page *page, const json_t *field)
{
    return export_flag(field, "shown") || (page->all && export_count(field, "differing") > 0);
}

static void print_fields(struct page *page, const json_t *endpoint, const struct field_columns *columns)
{
    const json_t *field;
    unsigned shown = 0;
    size_t i;
    json_array_foreach(json_object_get(endpoint, "fields"), i, field)
    {
        if (!has_a_line(page, field))
            continue;
        if (shown == 0) {
            fputs("      ", page->out);
            print_cell(page, BOLD, "FIELD", columns->name);
            print(page, BOLD, "  %-9s %9s %9s %9s%s\n", "KIND", "PAIRS", "RATE", "BY ITSELF",
                  columns->example > 0 ? "  EXAMPLE" : "");
        }
        if (shown++ < FIELDS_SHOWN || page->all)
            print_field(page, field, columns);
    }
    if (shown > FIELDS_SHOWN && !page->all)
        print(page, DIM, "      … and %u more fields\n", shown - FIELDS_SHOWN);
}

static const struct {
    const char *state, *label;
} hidden_states[] = {
    {"undecided", "not significant yet"},
    {"rare", "too rare"},
    {"noise", "noise"},
    {"ignored", "ignored by rule"},
};

/* All fields of one state in one line: "noise: $.token (1,191), $.tags (30)". */
static void print_hidden(struct page *page, const json_t *endpoint, unsigned state)
{
    char line[TEXT_ROOM], name[TEXT_ROOM / 4], figure[EXPORT_FIGURE], label[EXPORT_FIGURE];
    const json_t *field;
    unsigned count = 0;
    size_t i, len = 0;
    json_array_foreach(json_object_get(endpoint, "fields"), i, field)
    {
        uint64_t pairs = export_count(field, "differing");
        const char *text = export_string(field, "field");
        if (export_flag(field, "shown") || strcmp(export_string(field, "state"), hidden_states[state].state) != 0)
            continue;
        redact_clean(name, sizeof(name), text, strlen(text));
        int n = snprintf(line + len, sizeof(line) - len, "%s%s (%s)", len > 0 ? ", " : "", name,
                         export_commas(figure, pairs > 0 ? pairs : export_count(field, "ignored")));
        len += n > 0 && (size_t)n < sizeof(line) - len ? (size_t)n : 0;
        count++;
    }
    if (count == 0)
        return;
    line[len] = '\0';
    snprintf(label, sizeof(label), "%u %s", count, hidden_states[state].label);
    print_labelled(page, DIM, 6, label, line);
}

static bool has_fields(const json_t *endpoint)
{
    return json_array_size(json_object_get(endpoint, "fields")) > 0;
}

static void print_endpoint(struct page *page, const json_t *endpoint)
{
    char name[TEXT_ROOM], head[TEXT_ROOM * 2], compared[EXPORT_FIGURE], differing[EXPORT_FIGURE], list[TEXT_ROOM];
    const json_t *totals = json_object_get(endpoint, "totals");
    uint64_t mismatched = export_count(totals, "mismatched"), noise = export_count(totals, "noise_only");
    struct field_columns columns = field_columns_of(page, json_object_get(endpoint, "fields"));

    snprintf(head, sizeof(head), "%s  %s of %s differ", text_of(endpoint, "endpoint", name),
             export_commas(differing, mismatched > noise ? mismatched - noise : 0),
             export_commas(compared, export_count(totals, "compared")));
    fputs("\n    ", page->out);
    print_last_cell(page, BOLD, head, page->width - 4);
    if (list_reasons(json_object_get(endpoint, "not_comparable"), list) > 0) {
        print_labelled(page, YELLOW, 6, "not compared", list);
    }
    print_fields(page, endpoint, &columns);
    for (unsigned state = 0; state < sizeof(hidden_states) / sizeof(hidden_states[0]); state++)
        if (!page->all || strcmp(hidden_states[state].state, "ignored") == 0)
            print_hidden(page, endpoint, state);
}

/* Endpoints in which something differs have a paragraph; the others are counted in one line. */
static void print_endpoints(struct page *page, const json_t *route)
{
    const json_t *endpoints = json_object_get(route, "endpoints"), *endpoint;
    unsigned printed = 0, quiet = 0;
    size_t i;
    json_array_foreach(endpoints, i, endpoint)
    {
        bool telling = has_fields(endpoint) || json_object_size(json_object_get(endpoint, "not_comparable")) > 0;
        if (!page->all && (!telling || printed >= ENDPOINTS_SHOWN)) {
            quiet += telling ? 0 : 1;
            continue;
        }
        printed++;
        print_endpoint(page, endpoint);
    }
    size_t left = json_array_size(endpoints) - printed - quiet;
    if (left > 0)
        print(page, DIM, "\n    … and %zu more endpoints in which something differs (--all)\n", left);
    if (quiet > 0)
        print(page, DIM, "\n    %u endpoint%s without a difference\n", quiet, quiet == 1 ? "" : "s");
}

/* "rules that never matched: ignore $.x, unordered $.y": their owner may drop or mend them. */
static void print_idle_rules(struct page *page, const json_t *route)
{
    char line[TEXT_ROOM], name[TEXT_ROOM / 4];
    const json_t *rule;
    size_t i, len = 0;
    json_array_foreach(json_object_get(route, "rules"), i, rule)
    {
        const char *text = export_string(rule, "rule");
        if (export_count(rule, "pairs") > 0 || text[0] == '\0')
            continue;
        redact_clean(name, sizeof(name), text, strlen(text));
        int n = snprintf(line + len, sizeof(line) - len, "%s%s", len > 0 ? ", " : "", name);
        len += n > 0 && (size_t)n < sizeof(line) - len ? (size_t)n : 0;
    }
    if (len == 0)
        return;
    line[len] = '\0';
    fputc('\n', page->out);
    print_labelled(page, YELLOW, 4, "rules that never matched anything", line);
}

static void print_refused(struct page *page, const json_t *route)
{
    size_t i;
    json_t *rule;
    json_array_foreach(json_object_get(route, "rules_refused"), i, rule)
    {
        char text[TEXT_ROOM];
        const char *value = json_string_value(rule);
        redact_clean(text, sizeof(text), value == NULL ? "" : value, value == NULL ? 0 : strlen(value));
        print_labelled(page, YELLOW, 4, "rule without effect", text);
    }
}

static uint64_t compared_in_other(const json_t *route)
{
    const json_t *endpoint;
    size_t i;
    json_array_foreach(json_object_get(route, "endpoints"), i, endpoint)
    {
        if (strcmp(export_string(endpoint, "endpoint"), "(other)") == 0)
            return export_count(json_object_get(endpoint, "totals"), "compared");
    }
    return 0;
}

/* What found no row, and what takes it away. */
static void print_limits(struct page *page, const json_t *route)
{
    char line[TEXT_ROOM], pairs[EXPORT_FIGURE];
    const json_t *limits = json_object_get(route, "limits");
    if (export_flag(limits, "endpoints_beyond")) {
        snprintf(line, sizeof(line),
                 "%s pairs are under (other): name what is data in their paths, in shadow.endpoints (\"/shop/{slug}\")",
                 export_commas(pairs, compared_in_other(route)));
        fputc('\n', page->out);
        print_labelled(page, YELLOW, 4, "more endpoints than rows", line);
    }
    if (export_flag(limits, "fields_beyond")) {
        fputc('\n', page->out);
        print_labelled(page, YELLOW, 4, "more fields than rows",
                       "some are under (other) and are not judged one by one: where names of members are data, ignore "
                       "what they are in");
    }
    if (export_flag(limits, "bytes_beyond")) {
        fputc('\n', page->out);
        print_labelled(page, YELLOW, 4, "the report is full", "what is new is under (other); --reset begins anew");
    }
}

static void print_suggestions(struct page *page, const json_t *route)
{
    size_t count = json_array_size(json_object_get(route, "suggestions"));
    if (count > 0)
        print(page, CYAN, "\n    %zu rule%s suggested, as YAML to paste: --suggest-rules\n", count,
              count == 1 ? " is" : "s are");
}

static const char *latency_figure(char text[EXPORT_FIGURE], const json_t *quantiles, const char *name)
{
    if (!export_has_number(quantiles, name))
        return "-";
    return export_milliseconds(text, export_number(quantiles, name));
}

static void print_latency_row(struct page *page, const json_t *route, const char *side)
{
    char name[TEXT_ROOM], p50[EXPORT_FIGURE], p95[EXPORT_FIGURE], p99[EXPORT_FIGURE];
    const json_t *latency = json_object_get(json_object_get(route, "latency"), side);
    print(page, PLAIN, "    ");
    print_cell(page, PLAIN, text_of(route, side, name), 22);
    print(page, PLAIN, " %10s %10s %10s\n", latency_figure(p50, latency, "p50_ms"),
          latency_figure(p95, latency, "p95_ms"), latency_figure(p99, latency, "p99_ms"));
}

/* Of pairs: what the shadow took more than the primary for the same request. */
static void print_paired_latency(struct page *page, const json_t *route)
{
    const json_t *paired = json_object_get(json_object_get(route, "latency"), "paired");
    const json_t *difference = json_object_get(paired, "difference_ms"), *ratio = json_object_get(paired, "ratio");
    char p50[EXPORT_FIGURE], p95[EXPORT_FIGURE], p99[EXPORT_FIGURE], slower[EXPORT_FIGURE], line[TEXT_ROOM];
    if (export_count(paired, "count") == 0)
        return;
    print(page, PLAIN, "    %-22s %10s %10s %10s\n", "shadow minus primary", latency_figure(p50, difference, "p50"),
          latency_figure(p95, difference, "p95"), latency_figure(p99, difference, "p99"));
    snprintf(line, sizeof(line), "the shadow was slower in %s of pairs; half of them took at least %.2f times as long",
             export_percent(slower, export_number(paired, "slower")),
             export_has_number(ratio, "p50") && export_number(ratio, "p50") < 1e6 ? export_number(ratio, "p50") : 0);
    print(page, PLAIN, "    ");
    print_wrapped(page, DIM, line, 4);
}

static void print_latency(struct page *page, const json_t *route)
{
    if (export_count(json_object_get(route, "totals"), "compared") == 0)
        return;
    print(page, BOLD, "\n    %-22s %10s %10s %10s\n", "LATENCY, SAME REQUESTS", "P50", "P95", "P99");
    print_latency_row(page, route, "primary");
    print_latency_row(page, route, "shadow");
    print_paired_latency(page, route);
}

static void print_sample(struct page *page, const json_t *route, const json_t *sample)
{
    char at[EXPORT_FIGURE], method[TEXT_ROOM], target[TEXT_ROOM], head[TEXT_ROOM * 2 + 64], path[TEXT_ROOM],
        kind[TEXT_ROOM];
    const json_t *primary = json_object_get(sample, "primary_answer"),
                 *shadow = json_object_get(sample, "shadow_answer");
    const json_t *differences = json_object_get(sample, "differences");
    size_t i, shown = 0, more = 0;
    json_t *difference;

    snprintf(head, sizeof(head), "%s  %" PRIu64 " | %" PRIu64 "  %s %s",
             export_clock(at, export_count(sample, "at_ms"), "%H:%M:%S"), export_count(primary, "status"),
             export_count(shadow, "status"), text_of(sample, "method", method), text_of(sample, "target", target));
    fputs("    ", page->out);
    print_last_cell(page, PLAIN, head, page->width - 4);
    json_array_foreach(differences, i, difference)
    {
        char values[TEXT_ROOM * 2 + 16], line[TEXT_ROOM * 5];
        if (!page->all && !export_counts(route, sample, difference))
            continue;
        if (shown++ >= DIFFERENCES_SHOWN) {
            more++;
            continue;
        }
        describe(difference, values);
        snprintf(line, sizeof(line), "%s  %s  %s", text_of(difference, "path", path), text_of(difference, "kind", kind),
                 values);
        fputs("              ", page->out);
        print_last_cell(page, DIM, line, page->width - 14);
    }
    if (more > 0)
        print(page, DIM, "              … %zu more\n", more);
}

/* Those that differ in noise only are for who asks for all. */
static void print_samples(struct page *page, const json_t *route)
{
    const json_t *samples = json_object_get(route, "samples");
    size_t i, shown = 0;
    json_t *sample;
    json_array_foreach(samples, i, sample)
    {
        if (!page->all && !export_sample_counts(route, sample))
            continue;
        if (shown == SAMPLES_SHOWN)
            break;
        if (shown++ == 0)
            print(page, BOLD, "\n    NEWEST REQUESTS THAT DIFFER\n");
        print_sample(page, route, sample);
    }
}

static void print_route(struct page *page, const json_t *route)
{
    print_heading(page, route);
    print_verdict(page, route);
    print_refused(page, route);
    if (export_count(route, "since_ms") == 0)
        return;
    print_totals(page, route);
    print_endpoints(page, route);
    print_latency(page, route);
    print_idle_rules(page, route);
    print_limits(page, route);
    print_suggestions(page, route);
    print_samples(page, route);
}

static void print_routes(struct page *page, const json_t *report)
{
    const json_t *routes = json_object_get(report, "routes");
    char fleet[EXPORT_FLEET];
    size_t i;
    json_t *route;
    if (export_fleet(fleet, report)) {
        print_wrapped(page, DIM, fleet, 0);
        fputc('\n', page->out);
    }
    if (json_array_size(routes) == 0) {
        print(page, YELLOW, "○ ");
        print_wrapped(page, YELLOW,
                      "Nothing has been compared yet. Pairs appear here once a route mirrors requests "
                      "(its stage's `shadow` is above 0) and both sides have answered.",
                      2);
        return;
    }
    json_array_foreach(routes, i, route)
    {
        if (i > 0)
            fputc('\n', page->out);
        print_route(page, route);
    }
}

static char *make(const json_t *report, struct page page)
{
    struct export_page text;
    if (!export_open(&text))
        return NULL;
    page.out = text.out;
    if (page.width == 0)
        page.width = WIDTH_DEFAULT;
    if (page.width < WIDTH_LEAST)
        page.width = WIDTH_LEAST;
    if (page.width > WIDTH_MOST)
        page.width = WIDTH_MOST;
    print_routes(&page, report);
    return export_close(&text);
}

char *report_text(const json_t *report, unsigned width, bool color)
{
    return make(report, (struct page){.width = width, .color = color});
}

char *report_text_all(const json_t *report, unsigned width, bool color)
{
    return make(report, (struct page){.width = width, .color = color, .all = true});
}
