/*
 * Zones: how far the clocks of a place are ahead of UTC, and when that changes.
 *
 * All times are milliseconds since 1970; "local" ones are what a clock there shows, counted as if it were UTC.
 */
#ifndef SHUNT_CONFIG_ZONE_H
#define SHUNT_CONFIG_ZONE_H

#include <stdint.h>

#include "config/arena.h"

struct zone;

/* The places one file names, each read once: a table takes half a millisecond and 7 KiB. */
struct zones {
    struct config_arena *arena; /* borrowed; owns them all */
    struct zone *newest;        /* NULL: none yet */
};

/* A local time that exists twice, as clocks went back over it. */
enum zone_twice {
    ZONE_FIRST,
    ZONE_LAST
};

/* The clocks of "UTC" or of a place such as "Europe/Berlin", from 1970 to 2200. What is returned never changes again:
 * any thread may ask it. NULL with *why (in the arena) where no such place is known or ICU is not there, or with *why
 * NULL without memory.
 */
const struct zone *zones_find(struct zones *zones, const char *place, const char **why);

const char *zone_name(const struct zone *zone);

/* Local minus UTC at `utc_ms`. *until (NULL is fine): when it changes next, INT64_MAX for never. */
int64_t zone_offset(const struct zone *zone, int64_t utc_ms, int64_t *until);

/* When clocks show `local_ms`. Where they jump over it, the moment of the jump. */
int64_t zone_utc(const struct zone *zone, int64_t local_ms, enum zone_twice twice);

#endif
