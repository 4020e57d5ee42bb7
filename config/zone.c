/*
 * Zones: a place's clock changes, as a table that is made once and then only read.
 *
 * Made by the loader (schedule.c), asked from any thread. The changes come from ICU and its own data, so that a
 * container without /usr/share/zoneinfo knows them too; libc's functions would also need the TZ variable, which the
 * whole process shares. ICU is asked only here and only while a file is read: a calendar of ICU's belongs to one
 * thread, can run out of memory, and would have to be closed, while a table of some 500 changes (8 KiB) lives and dies
 * with the configuration.
 */
#include "config/zone.h"

#include <stdbool.h>
#include <string.h>

#include "config/icu_library.h"
#include "config/names.h"

enum {
    ZONE_NAME_BYTES = 64,
    ZONE_CHANGES = 1200, /* from 1970 to 2200; no place has half as many */
};
static const double END_OF_TABLE = 7258118400000.0; /* 2200-01-01 */

/* From `from_ms` until the next one. */
struct period {
    int64_t from_ms;
    int64_t offset_ms;
};

struct zone {
    struct zone *older;
    const char *name;
    const struct period *periods;
    uint32_t count; /* at least 1; the first one began before everything */
};

static const char *say(struct config_arena *arena, const char *what, const char *near)
{
    static const char expected[] = "expected UTC or a place such as Europe/Berlin or America/New_York";
    if (near != NULL)
        return config_arena_print(arena, "%s is no place that is known; did you mean %s?", what, near);
    return config_arena_print(arena, "%s is no place that is known; %s", what, expected);
}

/* Names ICU knows besides are short ones that mean different clocks to different people (CST), and its own. */
static bool is_place(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
    size_t len = strlen(name);
    if (strcmp(name, "UTC") == 0)
        return true;
    return len < ZONE_NAME_BYTES && strspn(name, letters) == len && strchr(name, '/') != NULL &&
           strncmp(name, "SystemV/", strlen("SystemV/")) != 0;
}

static bool is_known(const char *name)
{
    UChar id[ZONE_NAME_BYTES];
    UChar canonical[ZONE_NAME_BYTES * 2];
    UErrorCode error = U_ZERO_ERROR;
    UBool known = false;
    icu.from_chars(name, id, (int32_t)strlen(name) + 1);
    (void)icu.canonical_zone(id, -1, canonical, ZONE_NAME_BYTES * 2, &known, &error);
    return U_SUCCESS(error) && known;
}

/* The place that was meant, of `arena`; NULL when none is near. */
static const char *nearest_place(struct config_arena *arena, const char *name)
{
    struct name_guess guess = {.wanted = name};
    UErrorCode error = U_ZERO_ERROR;
    UEnumeration *places = icu.open_zones(&error);
    const char *place = NULL;
    while (U_SUCCESS(error) && (place = icu.next(places, NULL, &error)) != NULL) {
        if (!is_place(place))
            continue;
        name_guess_try(&guess, place);
        if (guess.best == place) /* ICU writes the next one over it */
            guess.best = config_arena_text(arena, place, strlen(place));
    }
    icu.close_list(places);
    return name_guess_best(&guess);
}

static int64_t offset_now(UCalendar *calendar, UErrorCode *error)
{
    int32_t zone = icu.get(calendar, UCAL_ZONE_OFFSET, error);
    int32_t summer = icu.get(calendar, UCAL_DST_OFFSET, error);
    return (int64_t)zone + summer;
}

/* Fills `periods`, and returns how many there are; 0 where ICU fails. Changes of the name alone are left out. */
static uint32_t list_periods(UCalendar *calendar, struct period periods[ZONE_CHANGES])
{
    UErrorCode error = U_ZERO_ERROR;
    UDate at = 0;
    uint32_t count = 1;
    icu.set_time(calendar, at, &error);
    periods[0] = (struct period){.from_ms = INT64_MIN, .offset_ms = offset_now(calendar, &error)};
    while (count < ZONE_CHANGES && icu.transition(calendar, UCAL_TZ_TRANSITION_NEXT, &at, &error) && U_SUCCESS(error) &&
           at < END_OF_TABLE) {
        icu.set_time(calendar, at, &error);
        struct period next = {.from_ms = (int64_t)at, .offset_ms = offset_now(calendar, &error)};
        if (next.offset_ms != periods[count - 1].offset_ms)
            periods[count++] = next;
    }
    return U_SUCCESS(error) ? count : 0;
}

static uint32_t ask_icu(const char *name, struct period periods[ZONE_CHANGES])
{
    UChar id[ZONE_NAME_BYTES];
    UErrorCode error = U_ZERO_ERROR;
    icu.from_chars(name, id, (int32_t)strlen(name) + 1);
    UCalendar *calendar = icu.open_calendar(id, -1, "", UCAL_GREGORIAN, &error);
    if (U_FAILURE(error))
        return 0;
    uint32_t count = list_periods(calendar, periods);
    icu.close_calendar(calendar);
    return count;
}

static const struct zone *keep(struct zones *zones, const char *name, const struct period *periods, uint32_t count)
{
    struct zone *zone = config_arena_take(zones->arena, 1, sizeof(*zone));
    struct period *copy = config_arena_take(zones->arena, count, sizeof(*copy));
    const char *text = config_arena_text(zones->arena, name, strlen(name));
    if (zone == NULL || copy == NULL || text == NULL)
        return NULL;
    memcpy(copy, periods, count * sizeof(*copy));
    *zone = (struct zone){.older = zones->newest, .name = text, .periods = copy, .count = count};
    zones->newest = zone;
    return zone;
}

static const struct zone *read_place(struct zones *zones, const char *place, const char **why)
{
    static const struct period utc = {.from_ms = INT64_MIN, .offset_ms = 0};
    struct period periods[ZONE_CHANGES];
    if (strcmp(place, "UTC") == 0)
        return keep(zones, place, &utc, 1);
    char fault[LIBRARY_WHY_ROOM];
    if (!icu_library_open(fault)) {
        *why = config_arena_print(zones->arena, "%s needs ICU: %s", place, fault);
        return NULL;
    }
    if (!is_place(place) || !is_known(place)) {
        *why = say(zones->arena, place, nearest_place(zones->arena, place));
        return NULL;
    }
    uint32_t count = ask_icu(place, periods);
    return count > 0 ? keep(zones, place, periods, count) : NULL;
}

const struct zone *zones_find(struct zones *zones, const char *place, const char **why)
{
    *why = NULL;
    for (const struct zone *zone = zones->newest; zone != NULL; zone = zone->older) {
        if (strcmp(zone->name, place) == 0)
            return zone;
    }
    return read_place(zones, place, why);
}

const char *zone_name(const struct zone *zone)
{
    return zone->name;
}

/* The last period that began at `utc_ms` or before. */
static uint32_t period_at(const struct zone *zone, int64_t utc_ms)
{
    uint32_t low = 0;
    uint32_t high = zone->count; /* the first that begins later is in (low, high] */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (zone->periods[middle].from_ms <= utc_ms)
            low = middle;
        else
            high = middle;
    }
    return low;
}

int64_t zone_offset(const struct zone *zone, int64_t utc_ms, int64_t *until)
{
    uint32_t index = period_at(zone, utc_ms);
    if (until != NULL)
        *until = index + 1 < zone->count ? zone->periods[index + 1].from_ms : INT64_MAX;
    return zone->periods[index].offset_ms;
}

int64_t zone_utc(const struct zone *zone, int64_t local_ms, enum zone_twice twice)
{
    static const int64_t widest_ms = INT64_C(26) * 3600 * 1000; /* offsets lie between -12 and +14 hours */
    uint32_t first = period_at(zone, local_ms - widest_ms);
    uint32_t last = period_at(zone, local_ms + widest_ms);
    int64_t found = 0;
    bool is_found = false;
    for (uint32_t i = first; i <= last && !(is_found && twice == ZONE_FIRST); i++) {
        int64_t utc_ms = local_ms - zone->periods[i].offset_ms;
        int64_t end_ms = i + 1 < zone->count ? zone->periods[i + 1].from_ms : INT64_MAX;
        if (utc_ms < zone->periods[i].from_ms || utc_ms >= end_ms)
            continue;
        found = utc_ms;
        is_found = true;
    }
    /* Jumped over: the period in which clocks show more already begins with the jump. */
    for (uint32_t i = first; i <= last && !is_found; i++) {
        is_found = i > 0 && zone->periods[i].from_ms + zone->periods[i].offset_ms > local_ms;
        found = zone->periods[i].from_ms;
    }
    return found;
}
