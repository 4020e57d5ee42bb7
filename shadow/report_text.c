/*
 * The report for a person at a terminal, made from its JSON: shuntctl prints what the admin API gave it, so this file
 * trusts nothing in it. Missing members read as nothing, text is cleaned again and cut to its column. Pure apart from
 * malloc; any thread.
 */
#include "shadow/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shadow/redact.h"

enum {
    WIDTH_DEFAULT = 100,
    WIDTH_LEAST = 60,
    WIDTH_MOST = 400,
    FIELDS_SHOWN = 20,
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
};

/* ---- reading ---- */

static uint64_t number_of(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

static double real_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

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

/* Words in lines of the page's width. */
static void print_wrapped(struct page *page, enum paint paint, const char *text, unsigned indent)
{
    unsigned room = page->width - indent, used = 0;
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        char copy[TEXT_ROOM];
        snprintf(copy, sizeof(copy), "%.*s", (int)word, text);
        unsigned columns = columns_of(copy);
        if (used > 0 && used + 1 + columns > room) {
            print(page, PLAIN, "\n%*s", (int)indent, "");
            used = 0;
        }
        print(page, paint, "%s%s", used > 0 ? " " : "", copy);
        used += columns + (used > 0 ? 1 : 0);
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', page->out);
}

enum {
    FIGURE_ROOM = 40
};

static const char *commas(char text[FIGURE_ROOM], uint64_t number)
{
    char digits[FIGURE_ROOM];
    int len = snprintf(digits, sizeof(digits), "%" PRIu64, number);
    char *to = text;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

static const char *share(char text[FIGURE_ROOM], double rate)
{
    snprintf(text, FIGURE_ROOM, rate > 0 && rate < 0.0001 ? "<0.01 %%" : "%.2f %%", rate * 100);
    return text;
}

static const char *milliseconds(char text[FIGURE_ROOM], double ms)
{
    snprintf(text, FIGURE_ROOM, ms < 10 ? "%.2f ms" : ms < 100 ? "%.1f ms" : "%.0f ms", ms);
    return text;
}

static const char *clock_text(char text[FIGURE_ROOM], uint64_t wall_ms, const char *format)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    text[0] = '\0';
    if (gmtime_r(&seconds, &parts) != NULL && strftime(text, FIGURE_ROOM, format, &parts) == 0)
        text[0] = '\0';
    return text;
}

/* ---- the parts of a route ---- */

static void print_heading(struct page *page, const json_t *route)
{
    char name[TEXT_ROOM], primary[TEXT_ROOM], shadow[TEXT_ROOM], from[FIGURE_ROOM], to[FIGURE_ROOM];
    char sides[TEXT_ROOM * 3], period[FIGURE_ROOM * 3];
    snprintf(sides, sizeof(sides), "%s answers, %s is compared", text_of(route, "primary", primary),
             text_of(route, "shadow", shadow));
    snprintf(period, sizeof(period), "%s to %s UTC",
             clock_text(from, number_of(route, "since_ms"), "%Y-%m-%d %H:%M:%S"),
             clock_text(to, number_of(route, "last_ms"), "%Y-%m-%d %H:%M:%S"));
    print_last_cell(page, BOLD, text_of(route, "route", name), page->width);
    fputs("  ", page->out);
    unsigned used = 2 + columns_of(sides);
    if (number_of(route, "since_ms") == 0) {
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
    const char *state, *mark;
    enum paint paint;
} verdict_marks[] = {
    {"agree", "✓", GREEN},
    {"differ", "✗", RED},
    {"no_data", "○", YELLOW},
};

static void print_verdict(struct page *page, const json_t *route)
{
    char state[TEXT_ROOM], sentence[TEXT_ROOM];
    const json_t *verdict = json_object_get(route, "verdict");
    const char *mark = "○";
    enum paint paint = YELLOW;

    text_of(verdict, "state", state);
    for (size_t i = 0; i < sizeof(verdict_marks) / sizeof(verdict_marks[0]); i++) {
        if (strcmp(state, verdict_marks[i].state) == 0) {
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
    char figure[FIGURE_ROOM], rate[FIGURE_ROOM];
    double part = compared > 0 ? (double)count / (double)compared : 0;
    unsigned room = page->width > 50 ? page->width - 45 : 5;
    print(page, PLAIN, "    %-13s %12s  %9s%s", label, commas(figure, count), share(rate, part), part > 0 ? "  " : "");
    print_bar(page, paint, part > 1 ? 1 : part, room > 40 ? 40 : room);
    fputc('\n', page->out);
}

static void print_obstacles(struct page *page, const json_t *route, uint64_t count)
{
    char figure[FIGURE_ROOM], list[TEXT_ROOM], name[TEXT_ROOM];
    const char *key;
    json_t *value, *obstacles = json_object_get(route, "not_comparable");
    size_t len = 0;

    list[0] = '\0';
    json_object_foreach(obstacles, key, value)
    {
        redact_clean(name, sizeof(name), key, strlen(key));
        int n = snprintf(list + len, sizeof(list) - len, "%s%s %" PRIu64, len > 0 ? ", " : "", name,
                         (uint64_t)json_integer_value(value));
        len += n > 0 && (size_t)n < sizeof(list) - len ? (size_t)n : 0;
    }
    print(page, YELLOW, "    %-13s %12s             ", "not compared", commas(figure, count));
    print_wrapped(page, YELLOW, list, 43);
}

static void print_totals(struct page *page, const json_t *route)
{
    const json_t *totals = json_object_get(route, "totals");
    uint64_t compared = number_of(totals, "compared"), noise = number_of(totals, "noise_only");
    uint64_t mismatched = number_of(totals, "mismatched"), obstructed = number_of(totals, "not_comparable");
    uint64_t real = mismatched > noise ? mismatched - noise : 0;

    fputc('\n', page->out);
    print_total(page, "matched", number_of(totals, "matched"), compared, GREEN);
    print_total(page, "ignored", number_of(totals, "ignored"), compared, CYAN);
    if (noise > 0)
        print_total(page, "only noise", noise, compared, CYAN);
    print_total(page, "mismatched", real, compared, RED);
    if (obstructed > 0)
        print_obstacles(page, route, obstructed);
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
    FIELD_FIGURES = 4 + 2 + 9 + 1 + 9 + 1 + 9 + 1 + 9,
    EXAMPLE_LEAST = 16
};

static void print_field(struct page *page, const json_t *field, const struct field_columns *columns)
{
    char name[TEXT_ROOM], kind[TEXT_ROOM], figure[FIGURE_ROOM], rate[FIGURE_ROOM], noise[FIGURE_ROOM];
    char example[TEXT_ROOM * 2 + 16] = "";
    bool is_noise = json_is_true(json_object_get(field, "noise"));
    const json_t *noise_rate = json_object_get(field, "noise_rate"), *shown = json_object_get(field, "example");
    enum paint paint = is_noise ? DIM : PLAIN;

    if (json_is_number(noise_rate))
        share(noise, json_number_value(noise_rate));
    else
        snprintf(noise, sizeof(noise), "-");
    if (is_noise)
        snprintf(example, sizeof(example), "noise");
    else if (shown != NULL)
        describe(shown, example);
    fputs("    ", page->out);
    print_cell(page, paint, text_of(field, "field", name), columns->name);
    print(page, paint, "  %-9.9s %9s %9s %9s", main_kind(field, kind), commas(figure, number_of(field, "differing")),
          share(rate, real_of(field, "rate")), is_noise && columns->example == 0 ? "noise" : noise);
    fputs(columns->example > 0 ? "  " : "", page->out);
    print_last_cell(page, paint, columns->example > 0 ? example : "", columns->example);
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
        if (number_of(field, "differing") > 0 && columns > widest)
            widest = columns;
    }
    if (room < 12 + 2 + EXAMPLE_LEAST)
        return (struct field_columns){.name = widest < room ? widest : room};
    unsigned most = room - 2 - EXAMPLE_LEAST < room * 2 / 3 ? room - 2 - EXAMPLE_LEAST : room * 2 / 3;
    unsigned name = widest < most ? widest : most;
    return (struct field_columns){.name = name, .example = room - name - 2};
}

static void print_fields(struct page *page, const json_t *route)
{
    const json_t *fields = json_object_get(route, "fields");
    struct field_columns columns = field_columns_of(page, fields);
    unsigned shown = 0;
    size_t i;
    json_t *field;

    json_array_foreach(fields, i, field)
    {
        if (number_of(field, "differing") == 0)
            continue;
        if (shown == 0) {
            fputs("\n    ", page->out);
            print_cell(page, BOLD, "FIELD", columns.name);
            print(page, BOLD, "  %-9s %9s %9s %9s%s\n", "KIND", "PAIRS", "RATE", "NOISE",
                  columns.example > 0 ? "  EXAMPLE" : "");
        }
        if (shown++ < FIELDS_SHOWN)
            print_field(page, field, &columns);
    }
    if (shown > FIELDS_SHOWN)
        print(page, DIM, "    … and %u more fields\n", shown - FIELDS_SHOWN);
}

static void print_ignored(struct page *page, const json_t *route)
{
    const json_t *fields = json_object_get(route, "fields");
    char line[TEXT_ROOM], name[TEXT_ROOM], figure[FIGURE_ROOM];
    size_t i, len = 0;
    json_t *field;

    json_array_foreach(fields, i, field)
    {
        if (number_of(field, "ignored") == 0)
            continue;
        int n = snprintf(line + len, sizeof(line) - len, "%s%s (%s)", len > 0 ? ", " : "",
                         text_of(field, "field", name), commas(figure, number_of(field, "ignored")));
        if (n < 0 || (size_t)n >= sizeof(line) - len)
            break;
        len += (size_t)n;
    }
    if (len == 0)
        return;
    line[len] = '\0';
    print(page, PLAIN, "\n    ignored by rule: ");
    print_wrapped(page, DIM, line, 21);
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
        print(page, YELLOW, "    rule without effect: ");
        print_wrapped(page, YELLOW, text, 25);
    }
}

static void print_latency_row(struct page *page, const json_t *route, const char *side)
{
    char name[TEXT_ROOM], p50[FIGURE_ROOM], p95[FIGURE_ROOM], p99[FIGURE_ROOM];
    const json_t *latency = json_object_get(json_object_get(route, "latency"), side);
    print(page, PLAIN, "    ");
    print_cell(page, PLAIN, text_of(route, side, name), 22);
    print(page, PLAIN, " %10s %10s %10s\n", milliseconds(p50, real_of(latency, "p50_ms")),
          milliseconds(p95, real_of(latency, "p95_ms")), milliseconds(p99, real_of(latency, "p99_ms")));
}

static void print_latency(struct page *page, const json_t *route)
{
    if (number_of(json_object_get(route, "totals"), "compared") == 0)
        return;
    print(page, BOLD, "\n    %-22s %10s %10s %10s\n", "LATENCY, SAME REQUESTS", "P50", "P95", "P99");
    print_latency_row(page, route, "primary");
    print_latency_row(page, route, "shadow");
}

static void print_sample(struct page *page, const json_t *sample)
{
    char at[FIGURE_ROOM], method[TEXT_ROOM], target[TEXT_ROOM], head[TEXT_ROOM * 2 + 64], path[TEXT_ROOM],
        kind[TEXT_ROOM];
    const json_t *primary = json_object_get(sample, "primary"), *shadow = json_object_get(sample, "shadow");
    const json_t *differences = json_object_get(sample, "differences");
    size_t i;
    json_t *difference;

    snprintf(head, sizeof(head), "%s  %" PRIu64 " | %" PRIu64 "  %s %s",
             clock_text(at, number_of(sample, "at_ms"), "%H:%M:%S"), number_of(primary, "status"),
             number_of(shadow, "status"), text_of(sample, "method", method), text_of(sample, "target", target));
    fputs("    ", page->out);
    print_last_cell(page, PLAIN, head, page->width - 4);
    json_array_foreach(differences, i, difference)
    {
        char values[TEXT_ROOM * 2 + 16], line[TEXT_ROOM * 5];
        if (i == 3) {
            print(page, DIM, "              … %zu more\n", json_array_size(differences) - i);
            break;
        }
        describe(difference, values);
        snprintf(line, sizeof(line), "%s  %s  %s", text_of(difference, "path", path), text_of(difference, "kind", kind),
                 values);
        fputs("              ", page->out);
        print_last_cell(page, DIM, line, page->width - 14);
    }
}

static void print_samples(struct page *page, const json_t *route)
{
    const json_t *samples = json_object_get(route, "samples");
    size_t i;
    json_t *sample;
    if (json_array_size(samples) > 0)
        print(page, BOLD, "\n    NEWEST REQUESTS THAT DIFFER\n");
    json_array_foreach(samples, i, sample)
    {
        if (i == SAMPLES_SHOWN)
            break;
        print_sample(page, sample);
    }
}

static void print_route(struct page *page, const json_t *route)
{
    print_heading(page, route);
    print_verdict(page, route);
    print_refused(page, route);
    if (number_of(route, "since_ms") > 0) {
        print_totals(page, route);
        print_fields(page, route);
        print_ignored(page, route);
        print_latency(page, route);
        print_samples(page, route);
    }
}

static void print_routes(struct page *page, const json_t *report)
{
    const json_t *routes = json_object_get(report, "routes");
    size_t i;
    json_t *route;
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

char *report_text(const json_t *report, unsigned width, bool color)
{
    char *text = NULL;
    size_t len = 0;
    struct page page = {
        .out = open_memstream(&text, &len), .width = width == 0 ? WIDTH_DEFAULT : width, .color = color};

    if (page.out == NULL)
        return NULL;
    if (page.width < WIDTH_LEAST)
        page.width = WIDTH_LEAST;
    if (page.width > WIDTH_MOST)
        page.width = WIDTH_MOST;
    print_routes(&page, report);
    bool bad = ferror(page.out) != 0;
    if (fclose(page.out) != 0 || bad) {
        free(text);
        return NULL;
    }
    return text;
}
