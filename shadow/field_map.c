/*
 * Fields: see fields.h. A report keeps one map for each route and direction, under its lock. Rows are never removed
 * before a reset, so that groups.c may remember them by index; a backend that makes up a new member name with every
 * answer fills the map once and is counted in "(other)" from then on.
 */
#include "shadow/field_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/redact.h"

enum {
    FIELDS_FIRST_ROOM = 8,
    EXAMPLE_REFRESH_MS = 1000
};

static const double noise_relative = 0.20, noise_absolute = 0.0003;

void field_map_done(struct field_map *fields)
{
    free(fields->rows);
    memset(fields, 0, sizeof(*fields));
}

/* The row of this name, or of the free slot where it would go. */
static uint32_t find_slot(const struct field_map *fields, uint64_t hash, const char *name)
{
    uint32_t slot = (uint32_t)(hash % FIELD_SLOTS);
    while (fields->slots[slot] != 0) {
        const struct field_counts *row = &fields->rows[fields->slots[slot] - 1];
        if (row->hash == hash && strcmp(row->name, name) == 0)
            break;
        slot = (slot + 1) % FIELD_SLOTS;
    }
    return slot;
}

static bool make_room(struct field_map *fields)
{
    if (fields->count < fields->room)
        return true;
    uint32_t room = fields->room == 0 ? FIELDS_FIRST_ROOM : fields->room * 2;
    struct field_counts *rows = realloc(fields->rows, room * sizeof(*rows));
    if (rows == NULL)
        return false;
    fields->rows = rows;
    fields->room = room;
    return true;
}

static uint32_t row_of(struct field_map *fields, uint64_t hash, const char *name)
{
    uint32_t slot = find_slot(fields, hash, name);
    if (fields->slots[slot] != 0)
        return fields->slots[slot] - 1u;
    if (fields->count == FIELDS_MAX || !make_room(fields))
        return FIELD_OTHER_ROW;
    struct field_counts *row = &fields->rows[fields->count];
    *row = (struct field_counts){.hash = hash};
    snprintf(row->name, sizeof(row->name), "%s", name);
    fields->slots[slot] = (uint16_t)++fields->count;
    return fields->count - 1;
}

static void keep_example(struct field_counts *row, const struct difference *difference, const struct pair *pair)
{
    if (row->example_ms != 0 && pair->wall_ms < row->example_ms + EXAMPLE_REFRESH_MS)
        return;
    row->example_ms = pair->wall_ms;
    memcpy(row->path, difference->path, sizeof(row->path));
    memcpy(row->primary, difference->primary, sizeof(row->primary));
    memcpy(row->shadow, difference->shadow, sizeof(row->shadow));
    redact_clean(row->request_id, sizeof(row->request_id), pair->request_id, strlen(pair->request_id));
}

static void count_kinds(struct field_counts *row, uint32_t kinds)
{
    for (uint32_t kind = 0; kind < DIFFERENCE_KINDS; kind++)
        row->by_kind[kind] += kinds >> kind & 1u;
}

uint32_t field_map_count(struct field_map *fields, const struct difference *difference, enum field_count what,
                         const struct pair *pair)
{
    uint32_t index = row_of(fields, difference->hash, difference->field);
    if (index == FIELD_OTHER_ROW)
        return index;
    struct field_counts *row = &fields->rows[index];
    switch (what) {
    case FIELD_DIFFERING:
        row->differing++;
        count_kinds(row, difference->kinds);
        keep_example(row, difference, pair);
        break;
    case FIELD_IGNORED:
        row->ignored++;
        break;
    case FIELD_NOISE:
        row->noise++;
        break;
    }
    return index;
}

bool field_is_noise(const struct field_counts *field, uint64_t compared, uint64_t noise_compared)
{
    if (field->noise < NOISE_SIGHTINGS || compared == 0 || noise_compared == 0)
        return false;
    double raw = (double)field->differing / (double)compared;
    double noise = (double)field->noise / (double)noise_compared;
    bool above = raw > noise && (raw - noise) / (raw + noise) > noise_relative && raw - noise > noise_absolute;
    return !above;
}

bool field_map_is_noise(const struct field_map *fields, const struct difference *difference, uint64_t compared,
                        uint64_t noise_compared)
{
    uint32_t slot = find_slot(fields, difference->hash, difference->field);
    return fields->slots[slot] != 0 && field_is_noise(&fields->rows[fields->slots[slot] - 1], compared, noise_compared);
}
