/*
 * The exposition format as bytes: https://prometheus.io/docs/instrumenting/exposition_formats/ (text format, version
 * 0.0.4).
 *
 * metrics.c says what is written; this file only how. Touches the buffer it is given.
 */
#include "proxy/metrics_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const type_names[] = {
    [METRICS_COUNTER] = "counter", [METRICS_GAUGE] = "gauge", [METRICS_HISTOGRAM] = "histogram"};

void metrics_text_init(struct metrics_text *text, struct evbuffer *out)
{
    *text = (struct metrics_text){.out = out};
}

static void add(struct metrics_text *text, const char *at, size_t length)
{
    if (!text->failed && evbuffer_add(text->out, at, length) < 0)
        text->failed = true;
}

static void add_string(struct metrics_text *text, const char *string)
{
    add(text, string, strlen(string));
}

/* Backslash and newline are escaped everywhere, the quote only where one encloses the text. */
static void add_escaped(struct metrics_text *text, const char *string, bool quoted)
{
    const char *special = quoted ? "\\\n\"" : "\\\n";
    while (*string != '\0') {
        size_t plain = strcspn(string, special);
        add(text, string, plain);
        string += plain;
        if (*string != '\0') {
            char escaped[2] = {'\\', *string == '\n' ? 'n' : *string};
            add(text, escaped, sizeof(escaped));
            string++;
        }
    }
}

void metrics_text_family(struct metrics_text *text, const char *name, enum metrics_type type, const char *help)
{
    snprintf(text->name, sizeof(text->name), "%s", name);
    add_string(text, "# HELP ");
    add_string(text, text->name);
    add_string(text, " ");
    add_escaped(text, help, false);
    add_string(text, "\n# TYPE ");
    add_string(text, text->name);
    add_string(text, " ");
    add_string(text, type_names[type]);
    add_string(text, "\n");
}

static void add_label(struct metrics_text *text, const char *name, const char *value, bool first)
{
    add_string(text, first ? "{" : ",");
    add_string(text, name);
    add_string(text, "=\"");
    add_escaped(text, value, true);
    add_string(text, "\"");
}

/* Name, labels, `le` where there is one, value. */
static void add_sample(struct metrics_text *text, const char *suffix, const struct metrics_label *labels,
                       const char *le, const char *value)
{
    bool first = true;
    add_string(text, text->name);
    add_string(text, suffix);
    for (; labels != NULL && labels->name != NULL; labels++, first = false)
        add_label(text, labels->name, labels->value, first);
    if (le != NULL) {
        add_label(text, "le", le, first);
        first = false;
    }
    add_string(text, first ? " " : "} ");
    add_string(text, value);
    add_string(text, "\n");
}

void metrics_text_count(struct metrics_text *text, const struct metrics_label *labels, uint64_t value)
{
    char number[24];
    snprintf(number, sizeof(number), "%" PRIu64, value);
    add_sample(text, "", labels, NULL, number);
}

static void print_value(char *out, size_t room, double value)
{
    if (isfinite(value))
        snprintf(out, room, "%.15g", value);
    else
        snprintf(out, room, "%s", isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
}

void metrics_text_value(struct metrics_text *text, const struct metrics_label *labels, double value)
{
    char number[40];
    print_value(number, sizeof(number), value);
    add_sample(text, "", labels, NULL, number);
}

void metrics_text_facts(struct metrics_text *text, const struct metrics_fact *facts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        metrics_text_family(text, facts[i].name, facts[i].type, facts[i].help);
        metrics_text_value(text, NULL, facts[i].value);
    }
}

void metrics_text_histogram(struct metrics_text *text, const struct metrics_label *labels, const uint64_t *edges_us,
                            const uint64_t *cumulative, uint32_t edges, uint64_t total, uint64_t sum_us)
{
    char number[40], le[40];
    for (uint32_t i = 0; i < edges; i++) {
        print_value(le, sizeof(le), (double)edges_us[i] / 1e6);
        snprintf(number, sizeof(number), "%" PRIu64, cumulative[i]);
        add_sample(text, "_bucket", labels, le, number);
    }
    snprintf(number, sizeof(number), "%" PRIu64, total);
    add_sample(text, "_bucket", labels, "+Inf", number);
    print_value(le, sizeof(le), (double)sum_us / 1e6);
    add_sample(text, "_sum", labels, NULL, le);
    add_sample(text, "_count", labels, NULL, number);
}
