/*
 * Groups: see groups.h. A linear search: there are few causes at a time, and it runs only for pairs that differ. Under
 * the report's lock.
 */
#include "shadow/groups.h"

#include <stdlib.h>
#include <string.h>

enum {
    GROUPS_FIRST_ROOM = 8
};

void groups_done(struct groups *groups, struct budget *budget)
{
    budget_give(budget, groups->room * sizeof(struct group));
    free(groups->rows);
    memset(groups, 0, sizeof(*groups));
}

static int by_index(const void *a, const void *b)
{
    uint16_t x = *(const uint16_t *)a, y = *(const uint16_t *)b;
    return (x > y) - (x < y);
}

static struct group *find(struct groups *groups, const uint16_t *fields, uint32_t count)
{
    for (uint32_t i = 0; i < groups->count; i++) {
        struct group *group = &groups->rows[i];
        if (group->count == count && memcmp(group->fields, fields, count * sizeof(*fields)) == 0)
            return group;
    }
    return NULL;
}

static bool make_room(struct groups *groups, struct budget *budget)
{
    if (groups->count < groups->room)
        return true;
    uint32_t room = groups->room == 0 ? GROUPS_FIRST_ROOM : groups->room * 2;
    size_t more = (room - groups->room) * sizeof(struct group);
    if (!budget_take(budget, more))
        return false;
    struct group *rows = realloc(groups->rows, room * sizeof(*rows));
    if (rows == NULL) {
        budget_give(budget, more);
        return false;
    }
    groups->rows = rows;
    groups->room = room;
    return true;
}

static struct group *add(struct groups *groups, struct budget *budget, const uint16_t *fields, uint32_t count)
{
    if (groups->count == GROUPS_MAX || !make_room(groups, budget))
        return NULL;
    struct group *group = &groups->rows[groups->count++];
    *group = (struct group){.count = count};
    memcpy(group->fields, fields, count * sizeof(*fields));
    return group;
}

bool groups_count(struct groups *groups, struct budget *budget, uint16_t *fields, uint32_t count, uint64_t wall_ms)
{
    if (count == 0 || count > GROUP_FIELDS_MAX)
        return false;
    qsort(fields, count, sizeof(*fields), by_index);
    struct group *group = find(groups, fields, count);
    if (group == NULL)
        group = add(groups, budget, fields, count);
    if (group == NULL)
        return false;
    group->pairs++;
    group->last_ms = wall_ms;
    group->changed = true;
    return true;
}

bool groups_restore(struct groups *groups, struct budget *budget, const struct group *group)
{
    if (find(groups, group->fields, group->count) != NULL)
        return false;
    struct group *row = add(groups, budget, group->fields, group->count);
    if (row == NULL)
        return false;
    row->pairs = group->pairs;
    row->last_ms = group->last_ms;
    return true;
}
