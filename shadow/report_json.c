/*
 * The report as JSON: how a row is told. The schema is described in docs/shadow.md; a field is added freely, but
 * renamed or removed only with a new REPORT_SCHEMA. Called under the report's lock, on the control thread.
 */
#include "shadow/report_row.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/redact.h"

enum {
    SENTENCE_ROOM = 512,
    NUMBER_ROOM = 32
};

/* One-sided 99 % quantile of the normal distribution. */
static const double normal_99 = 2.3263478740408408;

/* Upper end of the Wilson score interval (E. B. Wilson 1927): the rate is at most this with 99 % confidence. */
static double rate_upper_bound(uint64_t differing, uint64_t compared)
{
    if (compared == 0)
        return 1;
    double n = (double)compared, p = (double)differing / n, z2 = normal_99 * normal_99;
    double middle = p + z2 / (2 * n);
    double spread = normal_99 * sqrt(p * (1 - p) / n + z2 / (4 * n * n));
    return fmin(1, (middle + spread) / (1 + z2 / n));
}

/* 1234567 as "1,234,567". */
static const char *with_commas(char text[NUMBER_ROOM], uint64_t number)
{
    char digits[NUMBER_ROOM];
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

/* A rate as a percentage with two significant digits, never "0 %" for something that happened. */
static const char *percent(char text[NUMBER_ROOM], double rate)
{
    double value = rate * 100;
    int decimals = value >= 10 || value <= 0 ? 1 : value >= 0.1 ? 2 : (int)fmin(8, 1 - floor(log10(value)));
    snprintf(text, NUMBER_ROOM, "%.*f %%", decimals, value);
    return text;
}

struct sentence {
    char text[SENTENCE_ROOM];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void say(struct sentence *s, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(s->text + s->len, sizeof(s->text) - s->len, format, arguments);
    va_end(arguments);
    if (n > 0)
        s->len += (size_t)n < sizeof(s->text) - s->len ? (size_t)n : sizeof(s->text) - s->len - 1;
}

static void say_obstacles(struct sentence *s, const struct report_row *row)
{
    const char *between = " (";
    char number[NUMBER_ROOM];
    for (enum obstacle obstacle = OBSTACLE_NONE + 1; obstacle < OBSTACLES; obstacle++) {
        if (row->obstacles[obstacle] == 0)
            continue;
        say(s, "%s%s %s", between, obstacle_name(obstacle), with_commas(number, row->obstacles[obstacle]));
        between = ", ";
    }
    say(s, ")");
}

static void say_compared(struct sentence *s, uint64_t compared, uint64_t differing)
{
    char a[NUMBER_ROOM], b[NUMBER_ROOM], rate[NUMBER_ROOM], bound[NUMBER_ROOM];
    percent(bound, rate_upper_bound(differing, compared));
    with_commas(a, compared);
    if (differing == 0)
        say(s, "All %s compared answers agree; with 99 %% confidence at most %s differ.", a, bound);
    else
        say(s, "%s of %s compared answers differ (%s; at most %s with 99 %% confidence).", with_commas(b, differing), a,
            percent(rate, (double)differing / (double)compared), bound);
}

static void say_verdict(struct sentence *s, const struct report_row *row, uint64_t compared, uint64_t differing)
{
    char number[NUMBER_ROOM];
    uint64_t obstructed = row->judged[JUDGEMENT_NOT_COMPARABLE], noise = row->judged[JUDGEMENT_MISMATCHED] - differing;
    if (compared > 0)
        say_compared(s, compared, differing);
    else
        say(s, obstructed > 0 ? "No pair could be compared." : "Nothing has been compared yet.");
    if (noise > 0)
        say(s, " %s more differ only in noise.", with_commas(number, noise));
    if (obstructed > 0) {
        say(s, " %s could not be compared", with_commas(number, obstructed));
        say_obstacles(s, row);
        say(s, ".");
    }
}

static json_t *verdict_json(const struct report_row *row)
{
    struct sentence s = {.len = 0};
    uint64_t compared = judged_total(row->judged);
    uint64_t differing = row->judged[JUDGEMENT_MISMATCHED] - report_row_noise_only(row);
    double rate = compared > 0 ? (double)differing / (double)compared : 0;

    say_verdict(&s, row, compared, differing);
    return json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:s}", "state",
                     compared == 0    ? "no_data"
                     : differing == 0 ? "agree"
                                      : "differ",
                     "compared", (json_int_t)compared, "differing", (json_int_t)differing, "rate", rate, "rate_at_most",
                     rate_upper_bound(differing, compared), "confidence", 0.99, "sentence", s.text);
}

static json_t *judged_json(const uint64_t judged[JUDGEMENTS])
{
    json_t *json = json_object();
    for (enum judgement judgement = 0; json != NULL && judgement < JUDGEMENTS; judgement++)
        json_object_set_new(json, judgement_name(judgement), json_integer((json_int_t)judged[judgement]));
    return json;
}

static json_t *totals_json(const struct report_row *row)
{
    json_t *json = judged_json(row->judged);
    if (json == NULL)
        return NULL;
    json_object_set_new(json, "compared", json_integer((json_int_t)judged_total(row->judged)));
    json_object_set_new(json, "noise_only", json_integer((json_int_t)report_row_noise_only(row)));
    return json;
}

static json_t *obstacles_json(const struct report_row *row)
{
    json_t *json = json_object();
    for (enum obstacle obstacle = OBSTACLE_NONE + 1; json != NULL && obstacle < OBSTACLES; obstacle++)
        if (row->obstacles[obstacle] > 0)
            json_object_set_new(json, obstacle_name(obstacle), json_integer((json_int_t)row->obstacles[obstacle]));
    return json;
}

static json_t *noise_json(const struct report_row *row)
{
    json_t *json = judged_json(row->noise_judged);
    if (json != NULL)
        json_object_set_new(json, "compared", json_integer((json_int_t)judged_total(row->noise_judged)));
    return json;
}

static double rate_of(uint64_t count, uint64_t total)
{
    return total > 0 ? (double)count / (double)total : 0;
}

/* ---- fields ---- */

static json_t *kinds_json(const struct field_counts *field)
{
    json_t *json = json_object();
    for (uint32_t kind = 0; json != NULL && kind < DIFFERENCE_KINDS; kind++)
        if (field->by_kind[kind] > 0)
            json_object_set_new(json, difference_kind_name(kind), json_integer((json_int_t)field->by_kind[kind]));
    return json;
}

static json_t *example_json(const struct field_counts *field)
{
    json_t *json = json_pack("{s:I, s:s, s:s}", "at_ms", (json_int_t)field->example_ms, "path", field->path,
                             "request_id", field->request_id);
    if (json != NULL && field->primary[0] != '\0')
        json_object_set_new(json, "primary", json_string(field->primary));
    if (json != NULL && field->shadow[0] != '\0')
        json_object_set_new(json, "shadow", json_string(field->shadow));
    return json;
}

static json_t *field_json(const struct report_row *row, const struct field_counts *field, const char *name)
{
    uint64_t compared = judged_total(row->judged), noise_compared = judged_total(row->noise_judged);
    json_t *json = json_pack("{s:s, s:I, s:f, s:I, s:I, s:b, s:o}", "field", name, "differing",
                             (json_int_t)field->differing, "rate", rate_of(field->differing, compared), "ignored",
                             (json_int_t)field->ignored, "noise_differing", (json_int_t)field->noise, "noise",
                             field_is_noise(field, compared, noise_compared), "kinds", kinds_json(field));
    if (json == NULL)
        return NULL;
    json_object_set_new(json, "noise_rate",
                        noise_compared > 0 ? json_real(rate_of(field->noise, noise_compared)) : json_null());
    if (field->differing > 0 && field->example_ms > 0)
        json_object_set_new(json, "example", example_json(field));
    return json;
}

static int most_differing_first(const void *a, const void *b)
{
    const struct field_counts *x = *(const struct field_counts *const *)a, *y = *(const struct field_counts *const *)b;
    if (x->differing != y->differing)
        return x->differing < y->differing ? 1 : -1;
    if (x->ignored != y->ignored)
        return x->ignored < y->ignored ? 1 : -1;
    return strcmp(x->name, y->name);
}

/* Rows sorted: what differs most first; "(other)" last. */
static json_t *fields_json(const struct report_row *row)
{
    const struct field_counts *sorted[FIELDS_MAX] = {NULL};
    json_t *array = json_array();
    for (uint32_t i = 0; i < row->fields.count; i++)
        sorted[i] = &row->fields.rows[i];
    qsort(sorted, row->fields.count, sizeof(struct field_counts *), most_differing_first);
    for (uint32_t i = 0; array != NULL && i < row->fields.count; i++)
        json_array_append_new(array, field_json(row, sorted[i], sorted[i]->name));
    if (array != NULL && (row->fields.other.differing > 0 || row->fields.other.ignored > 0))
        json_array_append_new(array, field_json(row, &row->fields.other, "(other)"));
    return array;
}

/* ---- groups ---- */

static json_t *group_json(const struct report_row *row, const struct group *group)
{
    json_t *fields = json_array();
    bool noise = true;
    for (uint32_t i = 0; fields != NULL && i < group->count; i++) {
        json_array_append_new(fields, json_string(row->fields.rows[group->fields[i]].name));
        noise = noise && report_row_field_is_noise(row, group->fields[i]);
    }
    return json_pack("{s:o, s:I, s:I, s:b}", "fields", fields, "pairs", (json_int_t)group->pairs, "last_ms",
                     (json_int_t)group->last_ms, "noise", noise);
}

static int most_pairs_first(const void *a, const void *b)
{
    const struct group *x = *(const struct group *const *)a, *y = *(const struct group *const *)b;
    return (x->pairs < y->pairs) - (x->pairs > y->pairs);
}

static json_t *groups_json(const struct report_row *row)
{
    const struct group *sorted[GROUPS_MAX] = {NULL};
    json_t *array = json_array();
    for (uint32_t i = 0; i < row->groups.count; i++)
        sorted[i] = &row->groups.rows[i];
    qsort(sorted, row->groups.count, sizeof(struct group *), most_pairs_first);
    for (uint32_t i = 0; array != NULL && i < row->groups.count; i++)
        json_array_append_new(array, group_json(row, sorted[i]));
    if (array != NULL && row->ungrouped > 0)
        json_array_append_new(array,
                              json_pack("{s:[s], s:I, s:I, s:b}", "fields", "(other)", "pairs",
                                        (json_int_t)row->ungrouped, "last_ms", (json_int_t)row->last_ms, "noise", 0));
    return array;
}

/* ---- the rest ---- */

/* Newest first; copies, because the row goes on changing. */
static json_t *samples_json(const struct report_row *row)
{
    json_t *array = json_array();
    for (uint32_t i = 1; array != NULL && i <= row->sample_room; i++) {
        json_t *sample = row->samples[(row->sample_next + row->sample_room - i) % row->sample_room];
        if (sample != NULL)
            json_array_append_new(array, json_deep_copy(sample));
    }
    return array;
}

static json_t *latency_json(const struct histogram *h)
{
    return json_pack("{s:I, s:f, s:f, s:f}", "count", (json_int_t)histogram_total(h), "p50_ms",
                     histogram_quantile(h, 0.5) / 1000, "p95_ms", histogram_quantile(h, 0.95) / 1000, "p99_ms",
                     histogram_quantile(h, 0.99) / 1000);
}

json_t *report_row_json(const struct report_row *row)
{
    char route[ROUTE_NAME_ROOM];
    redact_clean(route, sizeof(route), row->route, strlen(row->route));
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:{s:o, s:o}, s:o, s:o, s:o}", "route", route,
                  "primary", side_name(row->primary), "shadow", side_name(side_other(row->primary)), "since_ms",
                  (json_int_t)row->since_ms, "last_ms", (json_int_t)row->last_ms, "verdict", verdict_json(row),
                  "totals", totals_json(row), "not_comparable", obstacles_json(row), "noise", noise_json(row),
                  "latency", "primary", latency_json(&row->latency[0]), "shadow", latency_json(&row->latency[1]),
                  "fields", fields_json(row), "groups", groups_json(row), "samples", samples_json(row));
    if (json != NULL && row->refused != NULL)
        json_object_set_new(json, "rules_refused", json_copy(row->refused));
    return json;
}
