/*
 * ICU, opened when a file first names a place; see config/library.h.
 */
#ifndef SHUNT_CONFIG_ICU_LIBRARY_H
#define SHUNT_CONFIG_ICU_LIBRARY_H

#include <unicode/ucal.h>
#include <unicode/ustring.h>

#include "config/library.h"

#define ICU_FUNCTIONS(X)                                                                                               \
    X(from_chars, u_charsToUChars)                                                                                     \
    X(canonical_zone, ucal_getCanonicalTimeZoneID)                                                                     \
    X(open_zones, ucal_openTimeZones)                                                                                  \
    X(next, uenum_next)                                                                                                \
    X(close_list, uenum_close)                                                                                         \
    X(open_calendar, ucal_open)                                                                                        \
    X(close_calendar, ucal_close)                                                                                      \
    X(get, ucal_get)                                                                                                   \
    X(set_time, ucal_setMillis)                                                                                        \
    X(transition, ucal_getTimeZoneTransitionDate)

struct icu_library {
    ICU_FUNCTIONS(LIBRARY_MEMBER)
};

/* Filled by icu_library_open(); then only read, by any thread. */
extern struct icu_library icu;

/* As library_open(). */
bool icu_library_open(char why[LIBRARY_WHY_ROOM]);

#endif
