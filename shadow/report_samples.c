/*
 * Which pairs become samples, and where they wait for the keeper. See report.h.
 *
 * A field that is not known to be noise gets its first few samples at once and one a second from then on, so that a
 * developer sees both how it began and how it is now, and ten thousand equal failures cost no more than one a second.
 * A pair makes one sample, for the field of which there are fewest.
 */
#include "shadow/report_row.h"

#include <string.h>

enum {
    SAMPLES_AT_ONCE = 3,
    SAMPLE_EVERY_MS = 1000,
    SAMPLES_WAITING = 256,
    SAMPLES_FOR_FLEET = 8,
};

static bool wants_sample(const struct field_counts *field, uint64_t wall_ms)
{
    bool is_recent = wall_ms >= field->sampled_ms && wall_ms < field->sampled_ms + SAMPLE_EVERY_MS;
    return field->samples < SAMPLES_AT_ONCE || !is_recent;
}

uint32_t report_choose_sample(struct report_row *row, struct cell *cell, const struct pair *pair,
                              const struct cell_hit *hit)
{
    const struct config_samples *samples = &pair->route->shadow.samples;
    uint32_t chosen = FIELD_NO_ROW;
    if (pair->kind != PAIR_CROSS || samples->keep == 0 || samples->values == SAMPLES_NONE)
        return chosen;
    for (uint32_t i = 0; i < hit->count; i++) {
        const struct field_counts *field = &cell->fields.rows[hit->fields[i]];
        if (cell_difference_is_noise(cell, &row->noise, hit->fields[i], hit->of_shape[i]))
            continue;
        if (chosen == FIELD_NO_ROW || field->samples < cell->fields.rows[chosen].samples)
            chosen = hit->fields[i];
    }
    if (chosen == FIELD_NO_ROW || !wants_sample(&cell->fields.rows[chosen], pair->wall_ms))
        return FIELD_NO_ROW;
    cell->fields.rows[chosen].samples++;
    cell->fields.rows[chosen].sampled_ms = pair->wall_ms;
    return chosen;
}

bool report_has_sample_room(const struct report *report)
{
    return json_array_size(report->samples.waiting) < SAMPLES_WAITING && report->samples.bytes < report->samples.most;
}

/* A copy: the fleet's may have to be cut. */
static void offer_to_fleet(struct sample_queue *queue, const json_t *entry)
{
    if (queue->for_fleet == NULL)
        return;
    if (json_array_size(queue->for_fleet) >= SAMPLES_FOR_FLEET)
        (void)json_array_remove(queue->for_fleet, 0);
    (void)json_array_append_new(queue->for_fleet, json_deep_copy(json_object_get(entry, "sample")));
}

void report_queue_sample(struct report *report, json_t *entry)
{
    struct sample_queue *queue = &report->samples;
    offer_to_fleet(queue, entry);
    size_t bytes = json_dumpb(entry, NULL, 0, JSON_COMPACT);
    if (queue->waiting == NULL)
        queue->waiting = json_array();
    if (!report_has_sample_room(report) || bytes > queue->most - queue->bytes) {
        json_decref(entry);
        return;
    }
    if (json_array_append_new(queue->waiting, entry) == 0)
        queue->bytes += bytes;
}

/* Entries and samples both name their route. */
static void drop_of(json_t *array, const char *route)
{
    for (size_t i = json_array_size(array); i-- > 0;) {
        const char *name = json_string_value(json_object_get(json_array_get(array, i), "route"));
        if (route == NULL || (name != NULL && strcmp(name, route) == 0))
            json_array_remove(array, i);
    }
}

void report_drop_samples(struct report *report, const char *route)
{
    json_t *waiting = report->samples.waiting;
    drop_of(waiting, route);
    drop_of(report->samples.for_fleet, route);
    if (json_array_size(waiting) == 0)
        report->samples.bytes = 0;
}

json_t *report_take_samples(struct report *report)
{
    pthread_mutex_lock(&report->lock);
    json_t *taken = report->samples.waiting;
    report->samples.waiting = NULL;
    report->samples.bytes = 0;
    pthread_mutex_unlock(&report->lock);
    if (json_array_size(taken) > 0)
        return taken;
    json_decref(taken);
    return NULL;
}
