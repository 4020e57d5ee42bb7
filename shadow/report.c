/*
 * The report: everything comparing has found since the start or the last reset.
 *
 * One row for each route and direction (which side answered the client), found by the route's name, so that a reload
 * changes nothing. The compare thread adds under the one lock, control and the keeper read under it, a row at a time;
 * workers never come here. Every part is bounded and takes its memory from a budget; what finds no room is counted,
 * never dropped silently. How a row counts is in report_row.c and cell.c, how it is told in report_json.c, how it is
 * stored in report_records.c.
 */
#include "shadow/report.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shadow/redact.h"
#include "shadow/report_row.h"
#include "shadow/sample.h"

enum {
    ROWS_BYTES = 14 * 1024 * 1024,
    CELLS_BYTES = 26 * 1024 * 1024
};

void report_bound(struct report *report, size_t bytes, size_t sample_bytes)
{
    if (bytes > REPORT_BYTES_MAX)
        bytes = REPORT_BYTES_MAX;
    report->budgets.most = bytes;
    report->budgets.rows.limit = bytes / (REPORT_BYTES_MAX / 1024) * (ROWS_BYTES / 1024);
    report->budgets.cells.limit = bytes / (REPORT_BYTES_MAX / 1024) * (CELLS_BYTES / 1024);
    report->samples.most = sample_bytes < REPORT_SAMPLE_BYTES_MAX ? sample_bytes : REPORT_SAMPLE_BYTES_MAX;
}

struct report *report_new(void)
{
    struct report *report = calloc(1, sizeof(*report));
    if (report == NULL)
        return NULL;
    report_bound(report, REPORT_BYTES_MAX, REPORT_SAMPLE_BYTES_MAX);
    if (pthread_mutex_init(&report->lock, NULL) != 0) {
        free(report);
        return NULL;
    }
    return report;
}

void report_free(struct report *report)
{
    if (report == NULL)
        return;
    for (uint32_t i = 0; i < report->count; i++)
        report_row_free(report->rows[i]);
    report_forget_veils(report);
    free(report->rows);
    json_decref(report->samples.waiting);
    json_decref(report->samples.for_fleet);
    pthread_mutex_destroy(&report->lock);
    free(report);
}

/* ---- rows ---- */

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
    struct report_row *row = report_row_new(route, primary, &report->budgets);
    if (row == NULL)
        return NULL;
    row->veil = report_veil_of(report, route);
    report->rows[report->count++] = row;
    return row;
}

static struct report_row *find_row(struct report *report, const char *route, enum side primary)
{
    for (uint32_t i = 0; i < report->count; i++)
        if (report_row_is(report->rows[i], route, primary))
            return report->rows[i];
    return NULL;
}

struct report_row *report_row_of(struct report *report, const char *route, enum side primary)
{
    if (report->last != NULL && report_row_is(report->last, route, primary))
        return report->last;
    struct report_row *row = find_row(report, route, primary);
    if (row == NULL && report->count >= ROWS_MAX) {
        route = report_other;
        row = find_row(report, route, primary);
    }
    if (row == NULL)
        row = add_row(report, route, primary);
    report->last = row;
    return row;
}

/* ---- adding ---- */

struct sample_wish {
    char route[ROUTE_NAME_ROOM];
    char endpoint[ENDPOINT_ROOM];
    char field[FIELD_ROOM]; /* "": none */
    uint64_t epoch;         /* of the row */
};

static void add_pair(struct report *report, const struct pair *pair, const struct comparison *comparison,
                     const char *endpoint, struct sample_wish *wish)
{
    struct cell_hit hit;
    struct report_row *row = report_row_of(report, pair->route->name, pair->primary);
    struct cell *cell = row != NULL ? report_row_add(row, pair, comparison, endpoint, &hit) : NULL;
    bool veiled = cell != NULL && report_tells_more(pair->route->shadow.samples.values, row->veil);
    if (veiled) /* it was sent before the file allowed less */
        report_drop_examples(cell, &hit);
    if (veiled || cell == NULL || hit.count == 0 || comparison->judgement != JUDGEMENT_MISMATCHED ||
        !report_has_sample_room(report))
        return;
    uint32_t field = report_choose_sample(row, cell, pair, &hit);
    if (field == FIELD_NO_ROW)
        return;
    memcpy(wish->field, cell->fields.rows[field].name, sizeof(wish->field));
    memcpy(wish->endpoint, cell->endpoint, sizeof(wish->endpoint));
    memcpy(wish->route, row->route, sizeof(wish->route));
    wish->epoch = row->epoch;
}

/* Outside the lock: reading two bodies again takes a while. */
static void make_sample(struct report *report, const struct pair *pair, const struct comparison *comparison,
                        const struct sample_wish *wish)
{
    const struct config_samples *samples = &pair->route->shadow.samples;
    const struct difference_list *list = &comparison->differences;
    json_t *sample = sample_json(pair, comparison, wish->endpoint);
    if (sample == NULL)
        return;
    json_t *entry =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "route", wish->route, "primary",
                  side_name(pair->primary), "endpoint", wish->endpoint, "field", wish->field, "score",
                  (json_int_t)list->real + list->beyond, "keep", (json_int_t)samples->keep, "max_bytes",
                  (json_int_t)samples->max_bytes, "max_age_ms", (json_int_t)samples->max_age_ms, "sample", sample);
    if (entry == NULL)
        return;
    pthread_mutex_lock(&report->lock);
    const struct report_row *row = find_row(report, wish->route, pair->primary);
    /* Meanwhile it may have been forgotten, or veiled. */
    if (row != NULL && row->epoch == wish->epoch && !report_tells_more(samples->values, row->veil))
        report_queue_sample(report, entry);
    else
        json_decref(entry);
    pthread_mutex_unlock(&report->lock);
}

void report_add(struct report *report, const struct pair *pair, const struct comparison *comparison)
{
    char endpoint[ENDPOINT_ROOM];
    struct sample_wish wish;
    wish.field[0] = '\0'; /* the rest of it is large, and of use for a mismatch only */
    endpoint_name(&pair->route->shadow, pair->method, pair->target, endpoint);
    pthread_mutex_lock(&report->lock);
    add_pair(report, pair, comparison, endpoint, &wish);
    pthread_mutex_unlock(&report->lock);
    if (wish.field[0] != '\0')
        make_sample(report, pair, comparison, &wish);
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
        struct row_sums sums;
        report_row_sums(row, &sums);
        totals->compared += judged_total(sums.judged);
        totals->mismatched += sums.judged[JUDGEMENT_MISMATCHED] - sums.noise_only;
    }
    pthread_mutex_unlock(&report->lock);
}

void report_take_marks(struct report *report, const char *route, struct marks *marks)
{
    pthread_mutex_lock(&report->lock);
    for (enum side primary = SIDE_LEGACY; primary < SIDES; primary++) {
        struct report_row *row = find_row(report, route, primary);
        if (row != NULL)
            marks_take(marks, &row->marks);
    }
    pthread_mutex_unlock(&report->lock);
}

size_t report_bytes(struct report *report)
{
    pthread_mutex_lock(&report->lock);
    size_t bytes = report->budgets.rows.used + report->budgets.cells.used + report->samples.bytes;
    pthread_mutex_unlock(&report->lock);
    return bytes;
}

bool report_is_empty(struct report *report)
{
    pthread_mutex_lock(&report->lock);
    bool empty = report->count == 0;
    pthread_mutex_unlock(&report->lock);
    return empty;
}

bool report_knows(struct report *report, const char *route)
{
    pthread_mutex_lock(&report->lock);
    bool knows = find_row(report, route, SIDE_LEGACY) != NULL || find_row(report, route, SIDE_NEW) != NULL;
    pthread_mutex_unlock(&report->lock);
    return knows;
}

/* The lock is let go between rows, so that the compare thread waits for one row at most. */
static bool append_rows(struct report *report, const char *route, json_t *routes)
{
    bool good = true;
    for (uint32_t i = 0; good; i++) {
        pthread_mutex_lock(&report->lock);
        bool is_last = i >= report->count;
        const struct report_row *row = is_last ? NULL : report->rows[i];
        if (row != NULL && (route == NULL || strncmp(row->route, route, ROUTE_NAME_ROOM - 1) == 0))
            good = json_array_append_new(routes, report_row_json(row)) == 0;
        pthread_mutex_unlock(&report->lock);
        if (is_last)
            break;
    }
    return good;
}

static json_int_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

json_t *report_json(struct report *report, const char *route)
{
    json_t *routes = json_array();
    if (routes == NULL || !append_rows(report, route, routes) || (route != NULL && json_array_size(routes) == 0)) {
        json_decref(routes);
        return NULL;
    }
    return json_pack("{s:i, s:I, s:s, s:o}", "schema", REPORT_SCHEMA, "generated_at_ms", now_ms(), "version",
                     SHUNT_VERSION, "routes", routes);
}

void report_each(struct report *report,
                 void (*each)(void *context, const char *route, enum side primary, const char *outcome, uint64_t count),
                 void *context)
{
    pthread_mutex_lock(&report->lock);
    for (uint32_t i = 0; i < report->count; i++) {
        struct row_sums sums;
        report_row_sums(report->rows[i], &sums);
        for (enum judgement judgement = 0; judgement < JUDGEMENTS; judgement++)
            each(context, report->rows[i]->route, report->rows[i]->primary, judgement_name(judgement),
                 sums.judged[judgement]);
    }
    pthread_mutex_unlock(&report->lock);
}

void report_reset(struct report *report, const char *route)
{
    pthread_mutex_lock(&report->lock);
    for (uint32_t i = 0; i < report->count; i++)
        if (route == NULL || strncmp(report->rows[i]->route, route, ROUTE_NAME_ROOM - 1) == 0)
            report_row_reset(report->rows[i]);
    report_drop_samples(report, route);
    pthread_mutex_unlock(&report->lock);
}
