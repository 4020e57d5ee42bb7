/*
 * Prints wall clock times. gmtime_r() is not used: it takes a lock shared by all threads and reads the time zone's file
 * the first time, and the access log prints times on the request path.
 */
#include "router/store/timestamp.h"

#include <string.h>

enum {
    MS_PER_DAY = 86400000
};

/* Year, month and day of a count of days since 1970-01-01 (Hinnant, "chrono-Compatible Low-Level Date Algorithms",
 * civil_from_days; here for days that are not negative). */
static void civil_of_days(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    uint64_t shifted = days + 719468; /* since 0000-03-01: leap days come last in such a year */
    uint64_t era = shifted / 146097;
    unsigned day_of_era = (unsigned)(shifted % 146097);
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned from_march = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * from_march + 2) / 5 + 1;
    *month = from_march < 10 ? from_march + 3 : from_march - 9;
    *year = (unsigned)(era * 400) + year_of_era + (*month <= 2 ? 1 : 0);
}

static void digits(char *at, unsigned value, unsigned count)
{
    while (count-- > 0) {
        at[count] = (char)('0' + value % 10);
        value /= 10;
    }
}

void timestamp_print(char text[TIMESTAMP_ROOM], uint64_t wall_ms)
{
    const uint64_t last_ms = 253402300799999u; /* 9999-12-31T23:59:59.999Z */
    if (wall_ms > last_ms)
        wall_ms = last_ms;
    unsigned year, month, day;
    civil_of_days(wall_ms / MS_PER_DAY, &year, &month, &day);
    unsigned ms = (unsigned)(wall_ms % MS_PER_DAY);
    memcpy(text, "0000-00-00T00:00:00.000Z", TIMESTAMP_ROOM);
    digits(text, year, 4);
    digits(text + 5, month, 2);
    digits(text + 8, day, 2);
    digits(text + 11, ms / 3600000, 2);
    digits(text + 14, ms / 60000 % 60, 2);
    digits(text + 17, ms / 1000 % 60, 2);
    digits(text + 20, ms % 1000, 3);
}
