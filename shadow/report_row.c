/*
 * A row of the report: one route in one direction, with its endpoints. See report_row.h.
 *
 * Under the report's lock; the compare thread counts. Every endpoint has a cell until there are CELLS_MAX or the budget
 * is spent; the rest share "(other)". Cells are never removed before a reset, so that what is stored of them stays
 * true.
 */
#include "shadow/report_row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "shadow/redact.h"
#include "shadow/rules.h"

const char report_other[] = "(other)";

static const struct config_noise noise_default = {.relative = 0.2, .absolute = 0.0003, .confidence = 0.99};

static void row_init(struct report_row *row, const char *route, enum side primary, struct report_budgets *budgets)
{
    snprintf(row->route, sizeof(row->route), "%s", route);
    row->primary = primary;
    row->budgets = budgets;
    row->limit = -1;
    row->confidence = noise_default.confidence;
    row->noise = noise_default;
    row->fields_left = ROW_FIELDS_MAX;
}

struct report_row *report_row_new(const char *route, enum side primary, struct report_budgets *budgets)
{
    struct report_row *row = calloc(1, sizeof(*row));
    if (row != NULL)
        row_init(row, route, primary, budgets);
    return row;
}

struct field_limits report_row_limits(struct report_row *row)
{
    return (struct field_limits){&row->budgets->cells, &row->fields_left};
}

static void row_clear(struct report_row *row)
{
    struct field_limits limits = report_row_limits(row);
    for (uint32_t i = 0; i < report_row_cells(row); i++)
        cell_free(report_row_at(row, i), &limits);
    budget_give(&row->budgets->cells, row->cell_room * sizeof(struct cell *));
    free(row->cells);
    if (row->latency != NULL)
        budget_give(&row->budgets->rows, sizeof(*row->latency));
    free(row->latency);
    buckets_done(&row->buckets, &row->budgets->rows);
    rule_counts_done(&row->rules, &row->budgets->rows);
    json_decref(row->refused);
}

void report_row_reset(struct report_row *row)
{
    char route[ROUTE_NAME_ROOM];
    enum side primary = row->primary;
    struct report_budgets *budgets = row->budgets;
    uint64_t epoch = row->epoch;
    enum config_sample_values veil = row->veil;

    memcpy(route, row->route, sizeof(route));
    row_clear(row);
    memset(row, 0, sizeof(*row));
    row_init(row, route, primary, budgets);
    row->epoch = epoch + 1;
    row->veil = veil;
}

void report_row_free(struct report_row *row)
{
    if (row == NULL)
        return;
    row_clear(row);
    free(row);
}

bool report_row_is(const struct report_row *row, const char *route, enum side primary)
{
    return row->primary == primary && strncmp(row->route, route, ROUTE_NAME_ROOM - 1) == 0;
}

/* ---- cells ---- */

uint32_t report_row_cells(const struct report_row *row)
{
    return row->cell_count + (row->other != NULL);
}

struct cell *report_row_at(const struct report_row *row, uint32_t index)
{
    return index < row->cell_count ? row->cells[index] : row->other;
}

/* The slot of this endpoint, or the free one where it would go. */
static uint32_t find_slot(const struct report_row *row, uint64_t hash, const char *endpoint)
{
    uint32_t slot = (uint32_t)(hash % CELL_SLOTS);
    while (row->slots[slot] != 0) {
        const struct cell *cell = row->cells[row->slots[slot] - 1];
        if (cell->hash == hash && strcmp(cell->endpoint, endpoint) == 0)
            break;
        slot = (slot + 1) % CELL_SLOTS;
    }
    return slot;
}

static bool make_cell_room(struct report_row *row)
{
    if (row->cell_count == CELLS_MAX)
        return false;
    if (row->cell_count < row->cell_room)
        return true;
    uint32_t room = row->cell_room == 0 ? 4 : row->cell_room * 2;
    size_t more = (room - row->cell_room) * sizeof(struct cell *);
    if (!budget_take(&row->budgets->cells, more))
        return false;
    struct cell **cells = realloc(row->cells, room * sizeof(struct cell *));
    if (cells == NULL) {
        budget_give(&row->budgets->cells, more);
        return false;
    }
    row->cells = cells;
    row->cell_room = room;
    return true;
}

static struct cell *add_cell(struct report_row *row, uint32_t slot, uint64_t hash, const char *endpoint)
{
    if (!make_cell_room(row))
        return NULL;
    struct cell *cell = cell_new(endpoint, hash, &row->budgets->cells);
    if (cell == NULL)
        return NULL;
    row->cells[row->cell_count++] = cell;
    row->slots[slot] = (uint8_t)row->cell_count;
    return cell;
}

/* There is one for every row, whatever is left of the budget. */
static struct cell *other_cell(struct report_row *row)
{
    struct budget unlimited = {.limit = SIZE_MAX};
    if (row->other != NULL)
        return row->other;
    row->other = cell_new(report_other, 0, &unlimited);
    if (row->other != NULL)
        row->budgets->cells.used += sizeof(struct cell);
    return row->other;
}

struct cell *report_row_find(const struct report_row *row, const char *endpoint)
{
    if (strcmp(endpoint, report_other) == 0)
        return row->other;
    uint32_t slot = find_slot(row, XXH3_64bits(endpoint, strlen(endpoint)), endpoint);
    return row->slots[slot] != 0 ? row->cells[row->slots[slot] - 1] : NULL;
}

struct cell *report_row_cell(struct report_row *row, const char *endpoint)
{
    if (strcmp(endpoint, report_other) == 0)
        return other_cell(row);
    uint64_t hash = XXH3_64bits(endpoint, strlen(endpoint));
    uint32_t slot = find_slot(row, hash, endpoint);
    if (row->slots[slot] != 0)
        return row->cells[row->slots[slot] - 1];
    struct cell *cell = add_cell(row, slot, hash, endpoint);
    return cell != NULL ? cell : other_cell(row);
}

/* ---- adding ---- */

static void note_config(struct report_row *row, const struct config_route *route)
{
    row->limit = route->gates.mismatch_rate;
    row->confidence = route->gates.confidence > 0 ? route->gates.confidence : noise_default.confidence;
    row->noise = route->shadow.compare.noise;
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

static void count_whole(struct report_row *row, const struct pair *pair, const struct paired_steps *took,
                        const struct comparison *comparison)
{
    buckets_add(&row->buckets, &row->budgets->rows, pair->wall_ms, comparison->judgement, took);
    if (comparison->judgement == JUDGEMENT_NOT_COMPARABLE)
        return;
    if (paired_make(&row->latency, &row->budgets->rows))
        paired_add(row->latency, took);
    rule_counts_add(&row->rules, &row->budgets->rows, comparison);
    note_refused(row, comparison->rules);
}

static void leave_marks(struct report_row *row, const struct pair *pair, bool differs)
{
    sketch_add(&row->marks.keys, pair->key_mark);
    sketch_add(&row->marks.paths, pair->path_mark);
    if (!differs)
        return;
    sketch_add(&row->marks.error_keys, pair->key_mark);
    sketch_add(&row->marks.error_paths, pair->path_mark);
}

struct cell *report_row_add(struct report_row *row, const struct pair *pair, const struct comparison *comparison,
                            const char *endpoint, struct cell_hit *hit)
{
    struct cell *cell = report_row_cell(row, endpoint);
    if (cell == NULL)
        return NULL;
    if (row->since_ms == 0)
        row->since_ms = pair->wall_ms;
    row->last_ms = pair->wall_ms;
    row->changed = true;
    note_config(row, pair->route);
    struct paired_steps took = paired_steps_of(pair->primary_capture.latency_us, pair->shadow_capture.latency_us);
    if (pair->kind == PAIR_CROSS)
        count_whole(row, pair, &took, comparison);
    struct field_limits limits = report_row_limits(row);
    cell_add(cell, &limits, &row->noise, pair, &took, comparison, hit);
    if (pair->kind == PAIR_CROSS && comparison->judgement != JUDGEMENT_NOT_COMPARABLE)
        leave_marks(row, pair,
                    comparison->judgement == JUDGEMENT_MISMATCHED && !cell_hit_is_noise(cell, &row->noise, hit));
    return cell;
}

/* ---- sums ---- */

static void add_counts(uint64_t *to, const uint64_t *counts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        to[i] += counts[i];
}

void report_row_sums(const struct report_row *row, struct row_sums *sums)
{
    *sums = (struct row_sums){.differing_fields = 0};
    for (uint32_t i = 0; i < report_row_cells(row); i++) {
        const struct cell *cell = report_row_at(row, i);
        add_counts(sums->judged, cell->judged, JUDGEMENTS);
        add_counts(sums->noise_judged, cell->noise_judged, JUDGEMENTS);
        add_counts(sums->obstacles, cell->obstacles, OBSTACLES);
        sums->noise_only += cell_noise_only(cell, &row->noise);
        sums->differing_fields += cell_differing_fields(cell);
        sums->fields_beyond =
            sums->fields_beyond || cell->other_differing + cell->other_ignored + cell->other_noise > 0;
    }
}
