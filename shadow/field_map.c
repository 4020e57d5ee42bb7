/*
 * Fields: see field_map.h. A report keeps one map for each endpoint, under its lock. Rows are never removed before a
 * reset, so that groups.c may remember them by index; a backend that makes up a new member name with every answer fills
 * the map once and is counted in "(other)" from then on.
 */
#include "shadow/field_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "shadow/redact.h"

enum {
    FIELDS_FIRST_ROOM = 4,
    EXAMPLE_REFRESH_MS = 1000
};

static size_t bytes_of(uint32_t room)
{
    return room * (sizeof(struct field_counts) + 2 * sizeof(uint16_t));
}

void field_map_done(struct field_map *fields, const struct field_limits *limits)
{
    budget_give(limits->bytes, bytes_of(fields->room));
    *limits->left += fields->count;
    free(fields->rows);
    free(fields->slots);
    memset(fields, 0, sizeof(*fields));
}

/* The slot of this name, or the free one where it would go. There are always free ones. */
static uint32_t find_slot(const struct field_map *fields, uint64_t hash, const char *name)
{
    uint32_t slots = fields->room * 2, slot = (uint32_t)(hash % slots);
    while (fields->slots[slot] != 0) {
        const struct field_counts *row = &fields->rows[fields->slots[slot] - 1];
        if (row->hash == hash && strcmp(row->name, name) == 0)
            break;
        slot = (slot + 1) % slots;
    }
    return slot;
}

static void fill_slots(struct field_map *fields)
{
    for (uint32_t i = 0; i < fields->count; i++)
        fields->slots[find_slot(fields, fields->rows[i].hash, fields->rows[i].name)] = (uint16_t)(i + 1);
}

static bool grow(struct field_map *fields, uint32_t room)
{
    struct field_counts *rows = realloc(fields->rows, room * sizeof(*rows));
    if (rows == NULL)
        return false;
    fields->rows = rows;
    uint16_t *slots = calloc(room * 2, sizeof(*slots));
    if (slots == NULL)
        return false;
    free(fields->slots);
    fields->slots = slots;
    fields->room = room;
    fill_slots(fields);
    return true;
}

static bool make_room(struct field_map *fields, const struct field_limits *limits)
{
    if (fields->count == FIELDS_MAX || *limits->left == 0)
        return false;
    if (fields->count < fields->room)
        return true;
    uint32_t room = fields->room == 0 ? FIELDS_FIRST_ROOM : fields->room * 2;
    size_t more = bytes_of(room) - bytes_of(fields->room);
    if (!budget_take(limits->bytes, more))
        return false;
    if (grow(fields, room))
        return true;
    budget_give(limits->bytes, more);
    return false;
}

/* The row of this name; `limits` NULL: only when it is there. */
static uint32_t row_of(struct field_map *fields, const struct field_limits *limits, uint64_t hash, const char *name)
{
    if (fields->room > 0) {
        uint32_t slot = find_slot(fields, hash, name);
        if (fields->slots[slot] != 0)
            return fields->slots[slot] - 1u;
    }
    if (limits == NULL || !make_room(fields, limits))
        return FIELD_NO_ROW;
    struct field_counts *row = &fields->rows[fields->count];
    *row = (struct field_counts){.hash = hash, .apart = -1};
    snprintf(row->name, sizeof(row->name), "%s", name);
    fields->slots[find_slot(fields, hash, name)] = (uint16_t)++fields->count;
    (*limits->left)--;
    return fields->count - 1;
}

static void keep_example(struct field_counts *row, const struct difference *difference, const struct pair *pair)
{
    bool is_recent = pair->wall_ms >= row->example_ms && pair->wall_ms < row->example_ms + EXAMPLE_REFRESH_MS;
    if (row->example_ms != 0 && is_recent)
        return;
    row->example_ms = pair->wall_ms;
    memcpy(row->path, difference->path, sizeof(row->path));
    memcpy(row->primary, difference->primary, sizeof(row->primary));
    memcpy(row->shadow, difference->shadow, sizeof(row->shadow));
    redact_clean(row->request_id, sizeof(row->request_id), pair->request_id, strlen(pair->request_id));
}

/* Only what is always two numbers is ever worth a tolerance. */
static void note_apart(struct field_counts *row, double apart)
{
    if (apart < 0 || (row->differing > 0 && row->apart < 0))
        row->apart = -1;
    else if (row->differing == 0 || apart > row->apart)
        row->apart = apart;
}

static void count_kinds(struct field_counts *row, uint32_t kinds)
{
    for (uint32_t kind = 0; kind < DIFFERENCE_KINDS; kind++)
        row->by_kind[kind] += kinds >> kind & 1u;
}

static bool has_shape(const struct difference *difference)
{
    return (difference->kinds & DIFFERENCE_SHAPES) != 0;
}

static void count_differing(struct field_counts *row, const struct difference *difference, const struct pair *pair)
{
    note_apart(row, difference->apart);
    row->differing++;
    row->shape += has_shape(difference);
    count_kinds(row, difference->kinds);
    keep_example(row, difference, pair);
}

uint32_t field_map_count(struct field_map *fields, const struct field_limits *limits,
                         const struct difference *difference, enum field_count what, const struct pair *pair)
{
    uint32_t index = row_of(fields, limits, difference->hash, difference->field);
    if (index == FIELD_NO_ROW)
        return index;
    struct field_counts *row = &fields->rows[index];
    switch (what) {
    case FIELD_DIFFERING:
        count_differing(row, difference, pair);
        break;
    case FIELD_IGNORED:
        row->ignored++;
        break;
    case FIELD_NOISE:
        row->noise++;
        row->noise_shape += has_shape(difference);
        break;
    }
    row->changed = true;
    return index;
}

bool field_map_restore(struct field_map *fields, const struct field_limits *limits, const struct field_counts *field)
{
    uint64_t hash = XXH3_64bits(field->name, strlen(field->name));
    if (row_of(fields, NULL, hash, field->name) != FIELD_NO_ROW)
        return false;
    uint32_t index = row_of(fields, limits, hash, field->name);
    if (index == FIELD_NO_ROW)
        return false;
    fields->rows[index] = *field;
    fields->rows[index].hash = hash;
    return true;
}
