/*
 * How much of values a route's part of the report may show, when the file comes to allow less than before.
 *
 * What is made from then on is made under the new rule by itself, since a pair carries its route. Here is what was
 * there already, and what was under way: examples of fields, samples that wait, pairs that are compared late. Counts
 * and the names of fields stay; whoever wants those gone forgets the report. Under the report's lock, on control or the
 * keeper.
 */
#include "shadow/report_row.h"

#include <stdlib.h>
#include <string.h>

static unsigned told_by(enum config_sample_values values)
{
    static const unsigned told[] = {
        [SAMPLES_NONE] = 0, [SAMPLES_REDACTED] = 1, [SAMPLES_HASHED] = 2, [SAMPLES_FULL] = 3};
    return told[values];
}

bool report_tells_more(enum config_sample_values values, enum config_sample_values veil)
{
    return told_by(values) > told_by(veil);
}

/* The row for the rest shows what the strictest allows. */
enum config_sample_values report_veil_of(const struct report *report, const char *route)
{
    bool is_rest = strcmp(route, report_other) == 0;
    enum config_sample_values veil = SAMPLES_FULL;
    for (uint32_t i = 0; i < report->veil_count; i++) {
        const struct report_veil *one = &report->veils[i];
        if ((is_rest || strncmp(one->route, route, ROUTE_NAME_ROOM - 1) == 0) && report_tells_more(veil, one->values))
            veil = one->values;
    }
    return veil;
}

static bool drop_example(struct field_counts *field)
{
    if (field->example_ms == 0)
        return false;
    field->example_ms = 0; /* none */
    memset(field->path, 0, sizeof(field->path));
    memset(field->primary, 0, sizeof(field->primary));
    memset(field->shadow, 0, sizeof(field->shadow));
    memset(field->request_id, 0, sizeof(field->request_id));
    field->changed = true;
    return true;
}

void report_drop_examples(struct cell *cell, const struct cell_hit *hit)
{
    for (uint32_t i = 0; i < hit->count; i++)
        (void)drop_example(&cell->fields.rows[hit->fields[i]]);
}

static uint64_t drop_all_examples(struct report_row *row)
{
    uint64_t dropped = 0;
    row->changed = true;
    for (uint32_t i = 0; i < report_row_cells(row); i++) {
        struct cell *cell = report_row_at(row, i);
        cell->changed = true;
        for (uint32_t k = 0; k < cell->fields.count; k++)
            dropped += drop_example(&cell->fields.rows[k]);
    }
    return dropped;
}

/* Each row under the veils that have just been set. What was taken back before there were any is the keeper's to judge,
 * which knows under which veil it was stored. */
static void apply(struct report *report, bool first)
{
    for (uint32_t i = 0; i < report->count; i++) {
        struct report_row *row = report->rows[i];
        enum config_sample_values veil = report_veil_of(report, row->route);
        if (!first && report_tells_more(row->veil, veil)) {
            (void)drop_all_examples(row);
            report_drop_samples(report, row->route);
        }
        row->veil = veil;
    }
}

void report_veils_free(struct report_veil *veils, uint32_t count)
{
    for (uint32_t i = 0; veils != NULL && i < count; i++)
        free((char *)veils[i].route);
    free(veils);
}

struct report_veil *report_veils_copy(const struct report_veil *veils, uint32_t count)
{
    struct report_veil *copy = calloc(count > 0 ? count : 1, sizeof(*copy));
    for (uint32_t i = 0; copy != NULL && i < count; i++) {
        copy[i] = (struct report_veil){strdup(veils[i].route), veils[i].values};
        if (copy[i].route == NULL) {
            report_veils_free(copy, i);
            return NULL;
        }
    }
    return copy;
}

bool report_set_veils(struct report *report, const struct report_veil *veils, uint32_t count)
{
    struct report_veil *copy = report_veils_copy(veils, count);
    if (copy == NULL)
        return false;
    pthread_mutex_lock(&report->lock);
    struct report_veil *former = report->veils;
    uint32_t former_count = report->veil_count;
    report->veils = copy;
    report->veil_count = count;
    apply(report, former == NULL);
    pthread_mutex_unlock(&report->lock);
    report_veils_free(former, former_count);
    return true;
}

void report_forget_veils(struct report *report)
{
    pthread_mutex_lock(&report->lock);
    report_veils_free(report->veils, report->veil_count);
    report->veils = NULL;
    report->veil_count = 0;
    pthread_mutex_unlock(&report->lock);
}

bool report_may_show(struct report *report, const char *route, enum config_sample_values values)
{
    pthread_mutex_lock(&report->lock);
    bool may = !report_tells_more(values, report_veil_of(report, route));
    pthread_mutex_unlock(&report->lock);
    return may;
}

uint64_t report_forget_examples(struct report *report, const char *route)
{
    uint64_t dropped = 0;
    pthread_mutex_lock(&report->lock);
    for (uint32_t i = 0; i < report->count; i++)
        if (strncmp(report->rows[i]->route, route, ROUTE_NAME_ROOM - 1) == 0)
            dropped += drop_all_examples(report->rows[i]);
    pthread_mutex_unlock(&report->lock);
    return dropped;
}
