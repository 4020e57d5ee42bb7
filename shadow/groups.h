/*
 * Groups of pairs that differ in the same set of fields: a bounded map from set to count.
 *
 * Kept so that noise, once it is known, can be taken out of what was counted before: a pair is excused when every field
 * in which it differs is noise, and that can be asked later for all pairs of a group at once. A developer sees in it
 * how many causes there are behind ten thousand differences.
 */
#ifndef SHUNT_SHADOW_GROUPS_H
#define SHUNT_SHADOW_GROUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "shadow/budget.h"

enum {
    GROUPS_MAX = 128,
    GROUP_FIELDS_MAX = 24,
    GROUP_SHAPE = 0x8000 /* beside a row: in these pairs its value was missing, extra or no such value */
};

struct group {
    uint64_t pairs;
    uint64_t last_ms; /* wall clock of the newest pair */
    uint32_t count;
    bool changed;                      /* since it was last stored */
    uint16_t fields[GROUP_FIELDS_MAX]; /* rows of struct field_map, some with GROUP_SHAPE; ascending */
};

struct groups {
    struct group *rows; /* owned */
    uint32_t count, room;
};

static inline uint32_t group_row(uint16_t field)
{
    return field & ~(uint32_t)GROUP_SHAPE;
}

/* A zeroed struct is empty. */
void groups_done(struct groups *groups, struct budget *budget);
/* Counts a pair under its set of fields, which is sorted here. False: no room for this set, nothing is counted. */
bool groups_count(struct groups *groups, struct budget *budget, uint16_t *fields, uint32_t count, uint64_t wall_ms);
/* Takes back a stored group as the next one; its fields ascend. False: it is there already, or no room. */
bool groups_restore(struct groups *groups, struct budget *budget, const struct group *group);

#endif
