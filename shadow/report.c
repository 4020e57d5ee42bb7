/*
 * The report: everything comparing has found since the start or the last reset.
 *
 * One row for each route and direction (which side answered the client), found by the route's name, so that a reload
 * changes nothing. The compare thread adds under the one lock, control reads under it; workers never come here. Every
 * part is bounded: rows, fields, groups, samples; what finds no room is counted, never dropped silently.
 */
#include "shadow/report.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/redact.h"
#include "shadow/report_row.h"
#include "shadow/rules.h"

enum {
    ROWS_MAX = 1024,
    SAMPLE_DIFFERENCES_MAX = 12
};

static const char other_route[] = "(other)";

struct report {
    pthread_mutex_t lock;     /* guards everything below */
    struct report_row **rows; /* owned; a row stays where it is until report_free() */
    uint32_t count, room;
    struct report_row *last; /* the row of the pair before: most pairs in a batch are of few routes */
};

struct report *report_new(void)
{
    struct report *report = calloc(1, sizeof(*report));
    if (report == NULL)
        return NULL;
    if (pthread_mutex_init(&report->lock, NULL) != 0) {
        free(report);
        return NULL;
    }
    return report;
}

/* ---- rows ---- */

static void drop_samples(struct report_row *row)
{
    for (uint32_t i = 0; i < row->sample_room; i++)
        json_decref(row->samples[i]);
    free(row->samples);
    row->samples = NULL;
    row->sample_room = row->sample_next = 0;
}

static void row_reset(struct report_row *row)
{
    char route[ROUTE_NAME_ROOM];
    enum side primary = row->primary;

    memcpy(route, row->route, sizeof(route));
    drop_samples(row);
    field_map_done(&row->fields);
    groups_done(&row->groups);
    json_decref(row->refused);
    memset(row, 0, sizeof(*row));
    memcpy(row->route, route, sizeof(route));
    row->primary = primary;
}

void report_free(struct report *report)
{
    if (report == NULL)
        return;
    for (uint32_t i = 0; i < report->count; i++) {
        row_reset(report->rows[i]);
        free(report->rows[i]);
    }
    free(report->rows);
    pthread_mutex_destroy(&report->lock);
    free(report);
}

static bool row_is(const struct report_row *row, const char *route, enum side primary)
{
    return row->primary == primary && strncmp(row->route, route, ROUTE_NAME_ROOM - 1) == 0;
}

static struct report_row *add_row(struct report *report, const char *route, enum side primary)
{
    if (report->count == report->room) {
        uint32_t room = report->room == 0 ? 8 : report->room * 2;
        struct report_row **rows = realloc(report->rows, room * sizeof(struct report_row *));
        if (rows == NULL)
            return NULL;
        report->rows = rows;
        report->room = room;
    }
    struct report_row *row = calloc(1, sizeof(*row));
    if (row == NULL)
        return NULL;
    snprintf(row->route, sizeof(row->route), "%s", route);
    row->primary = primary;
    report->rows[report->count++] = row;
    return row;
}

static struct report_row *find_row(struct report *report, const char *route, enum side primary)
{
    for (uint32_t i = 0; i < report->count; i++)
        if (row_is(report->rows[i], route, primary))
            return report->rows[i];
    return NULL;
}

/* The row of a pair, made when it is the first; NULL without memory. Beyond ROWS_MAX routes share the row "(other)". */
static struct report_row *row_of(struct report *report, const struct pair *pair)
{
    const char *route = pair->route->name;
    if (report->last != NULL && row_is(report->last, route, pair->primary))
        return report->last;
    struct report_row *row = find_row(report, route, pair->primary);
    if (row == NULL && report->count >= ROWS_MAX) {
        route = other_route;
        row = find_row(report, route, pair->primary);
    }
    if (row == NULL)
        row = add_row(report, route, pair->primary);
    report->last = row;
    return row;
}

/* ---- adding ---- */

static void count_noise_pair(struct report_row *row, const struct pair *pair, const struct comparison *comparison)
{
    const struct difference_list *list = &comparison->differences;
    bool others = list->beyond > 0;
    row->noise_judged[comparison->judgement]++;
    for (uint32_t i = 0; i < list->count; i++)
        if (!list->at[i].ignored && field_map_count(&row->fields, &list->at[i], FIELD_NOISE, pair) == FIELD_OTHER_ROW)
            others = true;
    row->fields.other.noise += others;
}

static bool all_are_noise(const struct report_row *row, const uint16_t *fields, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!report_row_field_is_noise(row, fields[i]))
            return false;
    return count > 0;
}

static void count_group(struct report_row *row, const struct pair *pair, uint16_t *fields, uint32_t count, bool whole)
{
    if (whole && groups_count(&row->groups, fields, count, pair->wall_ms))
        return;
    row->ungrouped++;
    row->ungrouped_noise += whole && all_are_noise(row, fields, count);
}

static void count_differences(struct report_row *row, const struct pair *pair, const struct comparison *comparison)
{
    const struct difference_list *list = &comparison->differences;
    uint16_t fields[DIFFERENCES_MAX];
    uint32_t count = 0;
    bool others = list->beyond > 0, ignored_others = false;

    for (uint32_t i = 0; i < list->count; i++) {
        const struct difference *d = &list->at[i];
        uint32_t field = field_map_count(&row->fields, d, d->ignored ? FIELD_IGNORED : FIELD_DIFFERING, pair);
        if (d->ignored)
            ignored_others = ignored_others || field == FIELD_OTHER_ROW;
        else if (field == FIELD_OTHER_ROW)
            others = true;
        else
            fields[count++] = (uint16_t)field;
    }
    row->fields.other.ignored += ignored_others;
    row->fields.other.differing += others;
    if (comparison->judgement != JUDGEMENT_MISMATCHED)
        return;
    count_group(row, pair, fields, count, !others);
}

static void note_refused(struct report_row *row, const struct rules *rules)
{
    if (rules == NULL || (rules->refused_count == 0 && row->refused == NULL))
        return;
    if (row->refused != NULL && json_array_size(row->refused) == rules->refused_count)
        return;
    json_t *refused = json_array();
    for (uint32_t i = 0; refused != NULL && i < rules->refused_count; i++) {
        char text[256];
        redact_clean(text, sizeof(text), rules->refused[i], strlen(rules->refused[i]));
        json_array_append_new(refused, json_string(text));
    }
    json_decref(row->refused);
    row->refused = refused;
}

/* ---- samples ---- */

static json_t *difference_json(const struct difference *d)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:i}", "field", d->field, "path", d->path, "kind",
                             difference_kind_name(d->kind), "places", (int)d->count);
    if (json != NULL && d->primary[0] != '\0')
        json_object_set_new(json, "primary", json_string(d->primary));
    if (json != NULL && d->shadow[0] != '\0')
        json_object_set_new(json, "shadow", json_string(d->shadow));
    return json;
}

/* Worth a developer's time: not ignored, and not known to be noise. */
static bool is_worth_showing(const struct report_row *row, const struct difference *d)
{
    return !d->ignored &&
           !field_map_is_noise(&row->fields, d, judged_total(row->judged), judged_total(row->noise_judged));
}

static json_t *differences_json(const struct report_row *row, const struct difference_list *list)
{
    json_t *array = json_array();
    for (uint32_t i = 0; array != NULL && i < list->count && json_array_size(array) < SAMPLE_DIFFERENCES_MAX; i++)
        if (is_worth_showing(row, &list->at[i]))
            json_array_append_new(array, difference_json(&list->at[i]));
    return array;
}

static json_t *side_json(const struct capture *capture)
{
    return json_pack("{s:i, s:I, s:I}", "status", (int)capture->status, "latency_us", (json_int_t)capture->latency_us,
                     "bytes", (json_int_t)capture->body_len);
}

static json_t *sample_json(const struct report_row *row, const struct pair *pair, const struct comparison *comparison)
{
    const struct difference_list *list = &comparison->differences;
    char method[PAIR_METHOD_ROOM], target[PAIR_TARGET_ROOM + 32], id[PAIR_ID_ROOM];

    redact_clean(method, sizeof(method), pair->method, strlen(pair->method));
    redact_clean(id, sizeof(id), pair->request_id, strlen(pair->request_id));
    redact_target(target, sizeof(target), &list->veil, pair->target);
    return json_pack("{s:I, s:s, s:s, s:s, s:i, s:o, s:o, s:i, s:o}", "at_ms", (json_int_t)pair->wall_ms, "method",
                     method, "target", target, "request_id", id, "cohort", (int)pair->cohort, "primary",
                     side_json(&pair->primary_capture), "shadow", side_json(&pair->shadow_capture), "fields",
                     (int)(list->real + list->beyond), "differences", differences_json(row, list));
}

static bool make_sample_room(struct report_row *row, uint32_t room)
{
    if (row->sample_room == room)
        return true;
    json_t **samples = calloc(room, sizeof(json_t *)); /* a reload changed the bound: start over */
    if (samples == NULL)
        return false;
    drop_samples(row);
    row->samples = samples;
    row->sample_room = room;
    return true;
}

static bool is_only_noise(const struct report_row *row, const struct difference_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (is_worth_showing(row, &list->at[i]))
            return false;
    return list->beyond == 0;
}

/* A pair that differs only in noise would push out those that matter. */
static void keep_sample(struct report_row *row, const struct pair *pair, const struct comparison *comparison)
{
    uint32_t wanted = pair->route->shadow.samples.keep;
    uint32_t room = wanted < SAMPLES_MAX ? wanted : SAMPLES_MAX;
    if (room == 0 || is_only_noise(row, &comparison->differences) || !make_sample_room(row, room))
        return;
    json_t *sample = sample_json(row, pair, comparison);
    if (sample == NULL)
        return;
    json_t **slot = &row->samples[row->sample_next++ % row->sample_room];
    json_decref(*slot);
    *slot = sample;
}

static void add_to_row(struct report_row *row, const struct pair *pair, const struct comparison *comparison)
{
    if (row->since_ms == 0)
        row->since_ms = pair->wall_ms;
    row->last_ms = pair->wall_ms;
    if (pair->kind == PAIR_NOISE) {
        count_noise_pair(row, pair, comparison);
        return;
    }
    row->judged[comparison->judgement]++;
    if (comparison->judgement == JUDGEMENT_NOT_COMPARABLE) {
        row->obstacles[comparison->obstacle]++;
        return;
    }
    histogram_add(&row->latency[0], pair->primary_capture.latency_us);
    histogram_add(&row->latency[1], pair->shadow_capture.latency_us);
    if (comparison->differences.count > 0)
        count_differences(row, pair, comparison);
    if (comparison->judgement == JUDGEMENT_MISMATCHED)
        keep_sample(row, pair, comparison);
    note_refused(row, comparison->rules);
}

void report_add(struct report *report, const struct pair *pair, const struct comparison *comparison)
{
    pthread_mutex_lock(&report->lock);
    struct report_row *row = row_of(report, pair);
    if (row != NULL)
        add_to_row(row, pair, comparison);
    pthread_mutex_unlock(&report->lock);
}

/* ---- noise ---- */

bool report_row_field_is_noise(const struct report_row *row, uint32_t field)
{
    return field_is_noise(&row->fields.rows[field], judged_total(row->judged), judged_total(row->noise_judged));
}

uint64_t report_row_noise_only(const struct report_row *row)
{
    uint64_t pairs = row->ungrouped_noise;
    for (uint32_t i = 0; i < row->groups.count; i++) {
        const struct group *group = &row->groups.rows[i];
        if (all_are_noise(row, group->fields, group->count))
            pairs += group->pairs;
    }
    return pairs;
}

/* ---- reading ---- */

void report_totals(struct report *report, const char *route, struct comparison_totals *totals)
{
    *totals = (struct comparison_totals){0};
    pthread_mutex_lock(&report->lock);
    for (enum side primary = SIDE_LEGACY; primary < SIDES; primary++) {
        const struct report_row *row = find_row(report, route, primary);
        if (row == NULL)
            continue;
        totals->compared += judged_total(row->judged);
        totals->mismatched += row->judged[JUDGEMENT_MISMATCHED] - report_row_noise_only(row);
    }
    pthread_mutex_unlock(&report->lock);
}

static json_t *rows_json(const struct report *report, const char *route)
{
    json_t *routes = json_array();
    for (uint32_t i = 0; routes != NULL && i < report->count; i++) {
        const struct report_row *row = report->rows[i];
        if (route != NULL && strncmp(row->route, route, ROUTE_NAME_ROOM - 1) != 0)
            continue;
        json_t *json = report_row_json(row);
        if (json == NULL || json_array_append_new(routes, json) != 0) {
            json_decref(routes);
            return NULL;
        }
    }
    return routes;
}

json_t *report_json(struct report *report, const char *route)
{
    pthread_mutex_lock(&report->lock);
    json_t *routes = rows_json(report, route);
    pthread_mutex_unlock(&report->lock);
    if (routes == NULL)
        return NULL;
    if (route != NULL && json_array_size(routes) == 0) {
        json_decref(routes);
        return NULL;
    }
    return json_pack("{s:i, s:o}", "schema", REPORT_SCHEMA, "routes", routes);
}

void report_each(struct report *report,
                 void (*each)(void *context, const char *route, enum side primary, const char *outcome, uint64_t count),
                 void *context)
{
    pthread_mutex_lock(&report->lock);
    for (uint32_t i = 0; i < report->count; i++)
        for (enum judgement judgement = 0; judgement < JUDGEMENTS; judgement++)
            each(context, report->rows[i]->route, report->rows[i]->primary, judgement_name(judgement),
                 report->rows[i]->judged[judgement]);
    pthread_mutex_unlock(&report->lock);
}

void report_reset(struct report *report, const char *route)
{
    pthread_mutex_lock(&report->lock);
    for (uint32_t i = 0; i < report->count; i++)
        if (route == NULL || strncmp(report->rows[i]->route, route, ROUTE_NAME_ROOM - 1) == 0)
            row_reset(report->rows[i]);
    pthread_mutex_unlock(&report->lock);
}
