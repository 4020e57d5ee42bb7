/*
 * Points in time: see instant.h.
 *
 * The C library's strptime() knows the process's locale and takes the 31st of June; mktime() knows its time zone. A
 * judge needs neither, so this reads the few forms itself and counts days by the rule of the Gregorian calendar, to the
 * attosecond and without a double. Pure; used on the compare thread.
 */
#include "shadow/instant.h"

#include <string.h>
#include <strings.h>

#include "shadow/decimal.h"

enum {
    FRACTION_DIGITS = 18,
    SECONDS_PER_DAY = 86400,
    NUMBER_DIGITS = 20,
};

static const int64_t attoseconds_per_second = INT64_C(1000000000000000000);
static const int64_t attoseconds_per_nanosecond = INT64_C(1000000000);

struct reader {
    const char *at, *end;
};

struct moment {
    unsigned year, month, day, hour, minute, second;
    int64_t fraction; /* attoseconds */
    int offset_s;     /* of the zone, east positive */
    bool local;
};

/* ---- pieces of text ---- */

static bool take(struct reader *r, char c)
{
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool take_any(struct reader *r, const char *set)
{
    if (r->at == r->end || *r->at == '\0' || strchr(set, *r->at) == NULL)
        return false;
    r->at++;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Exactly so many digits. */
static bool take_number(struct reader *r, int digits, unsigned *value)
{
    *value = 0;
    for (int i = 0; i < digits; i++, r->at++) {
        if (r->at == r->end || !is_digit(*r->at))
            return false;
        *value = *value * 10 + (unsigned)(*r->at - '0');
    }
    return true;
}

static bool take_fraction(struct reader *r, int64_t *attoseconds)
{
    int digits = 0;
    *attoseconds = 0;
    for (; r->at < r->end && is_digit(*r->at); r->at++, digits++)
        if (digits < FRACTION_DIGITS)
            *attoseconds = *attoseconds * 10 + (*r->at - '0');
    for (int i = digits; i < FRACTION_DIGITS; i++)
        *attoseconds *= 10;
    return digits > 0;
}

/* The place of the next word in a list, from 0 on. */
static bool take_word(struct reader *r, const char *const *words, unsigned count, unsigned *which)
{
    for (*which = 0; *which < count; ++*which) {
        size_t len = strlen(words[*which]);
        if ((size_t)(r->end - r->at) >= len && memcmp(r->at, words[*which], len) == 0) {
            r->at += len;
            return true;
        }
    }
    return false;
}

static bool take_text(struct reader *r, const char *text)
{
    unsigned which;
    return take_word(r, &text, 1, &which);
}

/* ---- the calendar ---- */

static bool is_leap_year(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_of_month(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap_year(year) ? 1u : 0u);
}

/* Days from 1970-01-01; the year begins in March, so that its leap day is its last. */
static int64_t day_number(unsigned year, unsigned month, unsigned day)
{
    int64_t y = (int64_t)year - (month <= 2 ? 1 : 0);
    int64_t era = (y >= 0 ? y : y - 399) / 400, year_of_era = y - era * 400;
    int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

/* 0 is Sunday. */
static unsigned weekday(unsigned year, unsigned month, unsigned day)
{
    return (unsigned)(((day_number(year, month, day) + 4) % 7 + 7) % 7);
}

static bool is_day(const struct moment *m)
{
    return m->month >= 1 && m->month <= 12 && m->day >= 1 && m->day <= days_of_month(m->year, m->month);
}

/* Leap seconds end a day of UTC; where the zone is not known, an hour's quarter. */
static bool may_be_leap_second(const struct moment *m, int64_t second_of_day)
{
    if (m->local)
        return m->minute % 15 == 14;
    return ((second_of_day % SECONDS_PER_DAY) + SECONDS_PER_DAY) % SECONDS_PER_DAY == 0;
}

/* A 60th second is the first of the next minute, as the clocks of computers count it. */
static bool finish(const struct moment *m, struct instant *to)
{
    if (!is_day(m) || m->hour > 23 || m->minute > 59 || m->second > 60)
        return false;
    int64_t second_of_day = (int64_t)m->hour * 3600 + m->minute * 60 + m->second - m->offset_s;
    if (m->second == 60 && !may_be_leap_second(m, second_of_day))
        return false;
    int64_t seconds = day_number(m->year, m->month, m->day) * SECONDS_PER_DAY + second_of_day;
    to->attoseconds = (__int128)seconds * attoseconds_per_second + m->fraction;
    to->frame = m->local ? INSTANT_LOCAL : INSTANT_UTC;
    return true;
}

/* ---- ISO 8601, as RFC 3339 and its neighbours write it ---- */

static bool take_zone(struct reader *r, struct moment *m)
{
    unsigned hours, minutes = 0;
    if (r->at == r->end) {
        m->local = true;
        return true;
    }
    if (take_any(r, "Zz"))
        return true;
    bool west = *r->at == '-';
    if (!take_any(r, "+-") || !take_number(r, 2, &hours))
        return false;
    take(r, ':');
    if (r->at < r->end && !take_number(r, 2, &minutes))
        return false;
    if (hours > 23 || minutes > 59 || r->end[-1] == ':')
        return false;
    int seconds = (int)(hours * 3600 + minutes * 60);
    m->offset_s = west ? -seconds : seconds;
    return true;
}

static bool take_clock(struct reader *r, struct moment *m)
{
    if (!take_number(r, 2, &m->hour) || !take(r, ':') || !take_number(r, 2, &m->minute))
        return false;
    if (!take(r, ':'))
        return true;
    if (!take_number(r, 2, &m->second))
        return false;
    return !take_any(r, ".,") || take_fraction(r, &m->fraction);
}

static bool read_iso(struct reader r, struct instant *to)
{
    struct moment m = {0};
    if (!take_number(&r, 4, &m.year) || !take(&r, '-') || !take_number(&r, 2, &m.month) || !take(&r, '-') ||
        !take_number(&r, 2, &m.day))
        return false;
    if (r.at < r.end && (!take_any(&r, "Tt ") || !take_clock(&r, &m) || !take_zone(&r, &m)))
        return false;
    return r.at == r.end && finish(&m, to);
}

/* ---- the three forms of HTTP ---- */

static const char *const short_days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const long_days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static bool take_month(struct reader *r, struct moment *m)
{
    bool found = take_word(r, months, 12, &m->month);
    m->month++;
    return found;
}

static bool take_full_clock(struct reader *r, struct moment *m)
{
    return take_number(r, 2, &m->hour) && take(r, ':') && take_number(r, 2, &m->minute) && take(r, ':') &&
           take_number(r, 2, &m->second);
}

static bool finish_on(const struct reader *r, const struct moment *m, unsigned day, struct instant *to)
{
    return r->at == r->end && is_day(m) && weekday(m->year, m->month, m->day) == day && finish(m, to);
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool read_imf_fixdate(struct reader r, struct instant *to)
{
    struct moment m = {0};
    unsigned day;
    return take_word(&r, short_days, 7, &day) && take_text(&r, ", ") && take_number(&r, 2, &m.day) && take(&r, ' ') &&
           take_month(&r, &m) && take(&r, ' ') && take_number(&r, 4, &m.year) && take(&r, ' ') &&
           take_full_clock(&r, &m) && take_text(&r, " GMT") && finish_on(&r, &m, day, to);
}

/* Sunday, 06-Nov-94 08:49:37 GMT. The day of the week tells which century was meant, this one or the last. */
static bool read_rfc850(struct reader r, struct instant *to)
{
    struct moment m = {0};
    unsigned day;
    if (!take_word(&r, long_days, 7, &day) || !take_text(&r, ", ") || !take_number(&r, 2, &m.day) || !take(&r, '-') ||
        !take_month(&r, &m) || !take(&r, '-') || !take_number(&r, 2, &m.year) || !take(&r, ' ') ||
        !take_full_clock(&r, &m) || !take_text(&r, " GMT"))
        return false;
    unsigned of_century = m.year;
    m.year = 1900 + of_century;
    if (of_century >= 70 && finish_on(&r, &m, day, to))
        return true;
    m.year = 2000 + of_century;
    return finish_on(&r, &m, day, to);
}

/* Sun Nov  6 08:49:37 1994 */
static bool read_asctime(struct reader r, struct instant *to)
{
    struct moment m = {0};
    unsigned day;
    if (!take_word(&r, short_days, 7, &day) || !take(&r, ' ') || !take_month(&r, &m) || !take(&r, ' '))
        return false;
    bool one_digit = take(&r, ' ');
    return take_number(&r, one_digit ? 1 : 2, &m.day) && take(&r, ' ') && take_full_clock(&r, &m) && take(&r, ' ') &&
           take_number(&r, 4, &m.year) && finish_on(&r, &m, day, to);
}

/* ---- numbers ---- */

static const struct {
    int digits; /* before the point, at most */
    enum instant_frame frame;
    int64_t attoseconds;
} units[] = {
    {11, INSTANT_SECONDS, INT64_C(1000000000000000000)},
    {14, INSTANT_MILLISECONDS, INT64_C(1000000000000000)},
    {17, INSTANT_MICROSECONDS, INT64_C(1000000000000)},
    {NUMBER_DIGITS, INSTANT_NANOSECONDS, INT64_C(1000000000)},
};

/* The digits of `d` as a whole number of attoseconds, `unit` being what its 1 stands for. */
static __int128 attoseconds_of(const struct decimal *d, int64_t unit)
{
    __int128 value = 0, place = unit;
    for (int64_t i = 1; i < d->exponent; i++)
        place *= 10; /* of the first digit; at most 10^11 seconds */
    for (int64_t i = d->exponent; i < 1; i++)
        place /= 10;
    for (const char *at = d->digits; at < d->end && place > 0; at++) {
        if (*at == '.')
            continue;
        value += place * (*at - '0');
        place /= 10;
    }
    return d->negative ? -value : value;
}

bool instant_read_number(struct instant *to, const char *text, size_t len)
{
    struct decimal d;
    decimal_read(&d, text, len);
    if (d.huge || (!d.zero && (d.exponent > NUMBER_DIGITS || d.exponent < -FRACTION_DIGITS)))
        return false;
    size_t unit = 0;
    while (!d.zero && d.exponent > units[unit].digits)
        unit++;
    to->frame = units[unit].frame;
    to->attoseconds = d.zero ? 0 : attoseconds_of(&d, units[unit].attoseconds);
    return true;
}

/* A number in a text is written plainly: digits, perhaps a sign, perhaps a fraction. */
static bool is_plain_number(struct reader r)
{
    take(&r, '-');
    const char *from = r.at;
    while (r.at < r.end && is_digit(*r.at))
        r.at++;
    if (r.at == from)
        return false;
    if (!take(&r, '.'))
        return r.at == r.end;
    from = r.at;
    while (r.at < r.end && is_digit(*r.at))
        r.at++;
    return r.at > from && r.at == r.end;
}

bool instant_read_text(struct instant *to, const char *text, size_t len)
{
    static bool (*const forms[])(struct reader, struct instant *) = {
        read_iso,
        read_imf_fixdate,
        read_rfc850,
        read_asctime,
    };
    struct reader r = {.at = text, .end = text + len};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (forms[i](r, to))
            return true;
    return is_plain_number(r) && instant_read_number(to, text, len);
}

bool instant_within(const struct instant *a, const struct instant *b, uint64_t nanoseconds)
{
    if (a->frame != b->frame)
        return false;
    __int128 apart =
        a->attoseconds > b->attoseconds ? a->attoseconds - b->attoseconds : b->attoseconds - a->attoseconds;
    return apart <= (__int128)nanoseconds * attoseconds_per_nanosecond;
}
