/*
 * Schedules: times of the week in some place of the world, and spans of its calendar.
 *
 *   Mon-Thu 09:00-16:00 Europe/Berlin           each of these days; 22:00-06:00 ends on the next one
 *   Mon,Wed,Fri 09:00-12:00                     UTC
 *   2026-12-20 18:00 - 2027-01-07 08:00 Europe/Berlin
 *   2026-12-24 - 2026-12-26 America/New_York    whole days, the last one too
 *
 * Places and their clock changes are ICU's. A schedule is on when one of its lines is.
 */
#ifndef SHUNT_CONFIG_SCHEDULE_H
#define SHUNT_CONFIG_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_arena;
struct schedule;
struct zones; /* config/zone.h */

/* Adds one line to *schedule (NULL: a new one in `arena`, which owns all). False, and *schedule as it was, with *why
 * (in `arena`: "Mondy is no day; expected ...") when it cannot be read, says nothing, or names no known place; with
 * *why NULL without memory. One thread, before the others ask. */
bool schedule_add(struct schedule **schedule, struct config_arena *arena, const char *line, const char **why);
/* The same in the memory of `zones`, where each place of a file is read only once. */
bool schedule_add_in(struct schedule **schedule, struct zones *zones, const char *line, const char **why);

/* `wall_ms` since 1970. NULL is never on. Any thread. */
bool schedule_is_on(const struct schedule *schedule, uint64_t wall_ms);
/* The first moment, from now on, at which `only` is on (NULL: at any time) and `freeze` is not: false when there is
 * none within a year. Takes a microsecond for each change of a line until then: some 0.1 ms for a year of one line a
 * day. Any thread. */
bool schedule_next_opening(const struct schedule *only, const struct schedule *freeze, uint64_t wall_ms,
                           uint64_t *at_ms);

/* As in the file. */
size_t schedule_count(const struct schedule *schedule);
const char *schedule_line(const struct schedule *schedule, size_t index);

#endif
