/*
 * Prints and reads wall clock times. gmtime_r() is not used: it takes a lock shared by all threads and reads the time
 * zone's file the first time, and the access log prints times on the request path.
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

/* ---- reading ---- */

/* The reverse of civil_of_days(): Hinnant's days_from_civil. */
static uint64_t days_of_civil(unsigned year, unsigned month, unsigned day)
{
    uint64_t shifted_year = year - (month <= 2 ? 1u : 0u);
    uint64_t era = shifted_year / 400;
    uint64_t year_of_era = shifted_year % 400;
    uint64_t day_of_year = (153u * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    uint64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static unsigned number_at(const char *at, unsigned count)
{
    unsigned value = 0;
    for (unsigned i = 0; i < count; i++)
        value = value * 10 + (unsigned)(at[i] - '0');
    return value;
}

bool timestamp_read(const char *text, uint64_t *wall_ms)
{
    static const char form[] = "0000-00-00T00:00:00.000Z";
    char again[TIMESTAMP_ROOM];
    if (strlen(text) != sizeof(form) - 1)
        return false;
    for (size_t i = 0; form[i] != '\0'; i++)
        if (form[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    unsigned year = number_at(text, 4), month = number_at(text + 5, 2), day = number_at(text + 8, 2);
    if (year < 1970 || month < 1 || month > 12 || day < 1)
        return false;
    uint64_t seconds = number_at(text + 11, 2) * 3600 + number_at(text + 14, 2) * 60 + number_at(text + 17, 2);
    uint64_t read_ms = days_of_civil(year, month, day) * MS_PER_DAY + seconds * 1000 + number_at(text + 20, 3);
    timestamp_print(again, read_ms); /* the 31st of June, the 25th hour */
    if (strcmp(text, again) != 0)
        return false;
    *wall_ms = read_ms;
    return true;
}
