/*
 * Cell: see cell.h. Under the report's lock; the compare thread counts, control and the keeper read.
 */
#include "shadow/cell.h"

#include <stdio.h>
#include <stdlib.h>

struct cell *cell_new(const char *endpoint, uint64_t hash, struct budget *budget)
{
    if (!budget_take(budget, sizeof(struct cell)))
        return NULL;
    struct cell *cell = calloc(1, sizeof(*cell));
    if (cell == NULL) {
        budget_give(budget, sizeof(*cell));
        return NULL;
    }
    snprintf(cell->endpoint, sizeof(cell->endpoint), "%s", endpoint);
    cell->hash = hash;
    return cell;
}

void cell_free(struct cell *cell, const struct field_limits *limits)
{
    if (cell == NULL)
        return;
    field_map_done(&cell->fields, limits);
    groups_done(&cell->groups, limits->bytes);
    if (cell->latency != NULL)
        budget_give(limits->bytes, sizeof(*cell->latency));
    free(cell->latency);
    free(cell);
    budget_give(limits->bytes, sizeof(*cell));
}

/* ---- noise ---- */

struct noise_counts cell_noise_counts(const struct cell *cell, uint32_t field, uint32_t fields_together)
{
    const struct field_counts *row = &cell->fields.rows[field];
    return (struct noise_counts){
        .differing = row->differing,
        .compared = judged_total(cell->judged),
        .noise = row->noise,
        .noise_compared = judged_total(cell->noise_judged),
        .shape = row->shape,
        .noise_shape = row->noise_shape,
        .fields = fields_together > 0 ? fields_together : 1,
    };
}

bool cell_difference_is_noise(const struct cell *cell, const struct config_noise *noise, uint32_t field, bool of_shape)
{
    struct noise_counts counts = cell_noise_counts(cell, field, 1);
    if (!of_shape) /* other pairs in which it is missing do not make this one real */
        counts.shape = counts.noise_shape = 0;
    return noise_excuses(noise, &counts);
}

bool cell_field_is_noise(const struct cell *cell, const struct config_noise *noise, uint32_t field)
{
    return cell_difference_is_noise(cell, noise, field, true);
}

static bool all_are_noise(const struct cell *cell, const struct config_noise *noise, const uint16_t *fields,
                          uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!cell_difference_is_noise(cell, noise, group_row(fields[i]), (fields[i] & GROUP_SHAPE) != 0))
            return false;
    return count > 0;
}

bool cell_group_is_noise(const struct cell *cell, const struct config_noise *noise, const struct group *group)
{
    return all_are_noise(cell, noise, group->fields, group->count);
}

bool cell_hit_is_noise(const struct cell *cell, const struct config_noise *noise, const struct cell_hit *hit)
{
    for (uint32_t i = 0; i < hit->count; i++)
        if (!cell_difference_is_noise(cell, noise, hit->fields[i], hit->of_shape[i]))
            return false;
    return hit->count > 0 && !hit->others;
}

uint64_t cell_noise_only(const struct cell *cell, const struct config_noise *noise)
{
    uint64_t pairs = cell->ungrouped_noise, most = cell->judged[JUDGEMENT_MISMATCHED];
    for (uint32_t i = 0; i < cell->groups.count; i++)
        if (cell_group_is_noise(cell, noise, &cell->groups.rows[i]))
            pairs += cell->groups.rows[i].pairs;
    return pairs < most ? pairs : most;
}

uint32_t cell_differing_fields(const struct cell *cell)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < cell->fields.count; i++)
        count += cell->fields.rows[i].differing > 0;
    return count;
}

/* ---- adding ---- */

static void add_noise_pair(struct cell *cell, const struct field_limits *limits, const struct pair *pair,
                           const struct comparison *comparison)
{
    const struct difference_list *list = &comparison->differences;
    bool others = list->beyond > 0;
    cell->noise_judged[comparison->judgement]++;
    for (uint32_t i = 0; i < list->count; i++)
        if (!list->at[i].ignored &&
            field_map_count(&cell->fields, limits, &list->at[i], FIELD_NOISE, pair) == FIELD_NO_ROW)
            others = true;
    cell->other_noise += others;
}

static void add_hit(struct cell_hit *hit, uint32_t field, bool of_shape)
{
    hit->of_shape[hit->count] = of_shape;
    hit->fields[hit->count++] = (uint16_t)field;
}

static void count_fields(struct cell *cell, const struct field_limits *limits, const struct pair *pair,
                         const struct difference_list *list, struct cell_hit *hit)
{
    bool ignored_others = false;
    hit->others = list->beyond > 0;
    for (uint32_t i = 0; i < list->count; i++) {
        const struct difference *d = &list->at[i];
        uint32_t field = field_map_count(&cell->fields, limits, d, d->ignored ? FIELD_IGNORED : FIELD_DIFFERING, pair);
        if (d->ignored)
            ignored_others = ignored_others || field == FIELD_NO_ROW;
        else if (field == FIELD_NO_ROW)
            hit->others = true;
        else
            add_hit(hit, field, (d->kinds & DIFFERENCE_SHAPES) != 0);
    }
    cell->other_ignored += ignored_others;
    cell->other_differing += hit->others;
}

static void count_group(struct cell *cell, const struct field_limits *limits, const struct config_noise *noise,
                        const struct pair *pair, const struct cell_hit *hit)
{
    uint16_t fields[DIFFERENCES_MAX];
    for (uint32_t i = 0; i < hit->count; i++)
        fields[i] = (uint16_t)(hit->fields[i] | (hit->of_shape[i] ? GROUP_SHAPE : 0));
    if (!hit->others && groups_count(&cell->groups, limits->bytes, fields, hit->count, pair->wall_ms))
        return;
    cell->ungrouped++;
    cell->ungrouped_noise += cell_hit_is_noise(cell, noise, hit);
}

static void add_cross_pair(struct cell *cell, const struct field_limits *limits, const struct config_noise *noise,
                           const struct pair *pair, const struct paired_steps *took,
                           const struct comparison *comparison, struct cell_hit *hit)
{
    cell->judged[comparison->judgement]++;
    if (comparison->judgement == JUDGEMENT_NOT_COMPARABLE) {
        cell->obstacles[comparison->obstacle]++;
        return;
    }
    if (paired_make(&cell->latency, limits->bytes))
        paired_add(cell->latency, took);
    if (comparison->differences.count > 0)
        count_fields(cell, limits, pair, &comparison->differences, hit);
    if (comparison->judgement == JUDGEMENT_MISMATCHED)
        count_group(cell, limits, noise, pair, hit);
}

void cell_add(struct cell *cell, const struct field_limits *limits, const struct config_noise *noise,
              const struct pair *pair, const struct paired_steps *took, const struct comparison *comparison,
              struct cell_hit *hit)
{
    hit->count = 0;
    hit->others = false;
    if (cell->since_ms == 0)
        cell->since_ms = pair->wall_ms;
    cell->last_ms = pair->wall_ms;
    cell->changed = true;
    if (pair->kind == PAIR_NOISE)
        add_noise_pair(cell, limits, pair, comparison);
    else
        add_cross_pair(cell, limits, noise, pair, took, comparison, hit);
}
