/*
 * Schedules: lines of hours in the week and of spans in the calendar, and whether now is in one of them.
 *
 * Read by the loader and asked by whoever judges a plan, on any thread: nothing here changes once it is read, and
 * asking takes no memory. A span is kept as two points in time. Hours of the week are compared with what a clock at the
 * place shows: an hour that a clock change leaves out is not there, and one that comes twice is there twice.
 */
#include "config/schedule.h"

#include <stdio.h>
#include <string.h>

#include "config/arena.h"
#include "config/zone.h"

enum {
    SCHEDULE_LINES = 64,
    SCHEDULE_LINE_BYTES = 200,
    DAYS = 7,
};

static const int64_t MINUTE_MS = INT64_C(60) * 1000;
static const int64_t DAY_MS = INT64_C(24) * 60 * 60 * 1000;
static const int64_t LOOK_AHEAD_MS = INT64_C(366) * 24 * 60 * 60 * 1000;
static const int64_t LATEST_MS = INT64_C(1) << 60; /* a clock that says more is read as this */

static const char *const day_names[DAYS] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

struct line {
    struct line *next;
    const char *text;
    const struct zone *zone;
    unsigned days;    /* bit 0 is Monday; 0: a span */
    int64_t from_ms;  /* of the day; of a span: since 1970 */
    int64_t until_ms; /* as above, not included; smaller than `from_ms` where it is the next day's */
};

struct schedule {
    struct line *first;
    struct line **last;
    size_t count;
};

/* ---- reading ---- */

/* What is left of a line, and why it is refused. */
struct reader {
    struct config_arena *arena;
    struct zones *zones;
    const char *at;
    const char *why;
    bool no_memory;
};

/* "Mondy is no day; expected ...", or "there is no day; expected ..." where the line or the word ends. */
static bool refuse(struct reader *reader, const char *missing, const char *wrong, const char *expected)
{
    int shown = (int)strcspn(reader->at, " ");
    if (shown == 0)
        reader->why = config_arena_print(reader->arena, "%s; expected %s", missing, expected);
    else
        reader->why = config_arena_print(reader->arena, "%.*s %s; expected %s", shown, reader->at, wrong, expected);
    reader->no_memory = reader->why == NULL;
    return false;
}

static bool refuse_plainly(struct reader *reader, const char *why)
{
    reader->why = why;
    return false;
}

static bool take_char(struct reader *reader, char wanted)
{
    if (*reader->at != wanted)
        return false;
    reader->at++;
    return true;
}

/* Exactly so many digits. */
static bool take_digits(struct reader *reader, unsigned digits, int *value)
{
    int read = 0;
    for (unsigned i = 0; i < digits; i++) {
        if (reader->at[i] < '0' || reader->at[i] > '9')
            return false;
        read = read * 10 + (reader->at[i] - '0');
    }
    reader->at += digits;
    *value = read;
    return true;
}

/* HH:MM, and 24:00 too where a day may end. */
static bool take_time(struct reader *reader, bool is_end, int64_t *of_day_ms)
{
    static const char expected[] = "a time from 00:00 to 23:59, such as 09:00";
    static const char expected_end[] = "a time from 00:00 to 24:00, such as 16:30";
    const char *start = reader->at;
    int hours = 0;
    int minutes = 0;
    bool is_read = take_digits(reader, 2, &hours) && take_char(reader, ':') && take_digits(reader, 2, &minutes);
    bool is_end_of_day = is_end && hours == 24 && minutes == 0;
    if (is_read && minutes < 60 && (hours < 24 || is_end_of_day)) {
        *of_day_ms = (hours * 60 + minutes) * MINUTE_MS;
        return true;
    }
    reader->at = start;
    return refuse(reader, "there is no time", "is no time of day", is_end ? expected_end : expected);
}

static bool take_day(struct reader *reader, int *day)
{
    for (int i = 0; i < DAYS; i++) {
        if (strncmp(reader->at, day_names[i], 3) != 0 || strchr(",- ", reader->at[3]) == NULL)
            continue; /* strchr() also finds the text's end */
        reader->at += 3;
        *day = i;
        return true;
    }
    return refuse(reader, "there is no day", "is no day",
                  "Mon, Tue, Wed, Thu, Fri, Sat or Sun, or a date such as 2026-12-24");
}

static bool add_days(struct reader *reader, unsigned *days, int from, int until)
{
    for (int day = from;; day = (day + 1) % DAYS) {
        if ((*days >> day & 1) != 0) {
            reader->why = config_arena_print(reader->arena, "%s is said twice; expected each day once", day_names[day]);
            reader->no_memory = reader->why == NULL;
            return false;
        }
        *days |= 1U << day;
        if (day == until)
            return true;
    }
}

/* "Mon-Thu,Sat" */
static bool take_days(struct reader *reader, unsigned *days)
{
    *days = 0;
    do {
        int from = 0;
        int until = 0;
        if (!take_day(reader, &from))
            return false;
        until = from;
        if (take_char(reader, '-') && !take_day(reader, &until))
            return false;
        if (!add_days(reader, days, from, until))
            return false;
    } while (take_char(reader, ','));
    return true;
}

/* The end of the line, or a blank and the place the line ends with. */
static bool take_zone(struct reader *reader, struct line *line)
{
    static const char expected[] = "a blank and a place such as Europe/Berlin, or the end of the line";
    const char *place = "UTC";
    if (*reader->at != '\0') {
        if (!take_char(reader, ' '))
            return refuse(reader, "", "does not belong here", expected);
        place = reader->at;
        reader->at += strcspn(place, " ");
        if (reader->at == place)
            return refuse(reader, "there is a blank too many", "", expected);
        if (take_char(reader, ' '))
            return refuse(reader, "there is a blank too many", "does not belong here",
                          "the end of the line behind the place");
    }
    line->zone = zones_find(reader->zones, place, &reader->why);
    reader->no_memory = line->zone == NULL && reader->why == NULL;
    return line->zone != NULL;
}

static bool take_hours(struct reader *reader, struct line *line)
{
    if (!take_char(reader, ' '))
        return refuse(reader, "there are no hours", "does not belong here",
                      "a blank and hours such as 09:00-16:00 (or 00:00-24:00)");
    if (!take_time(reader, false, &line->from_ms))
        return false;
    if (!take_char(reader, '-'))
        return refuse(reader, "there is no end", "does not belong here", "hours such as 09:00-16:00");
    if (!take_time(reader, true, &line->until_ms))
        return false;
    if (line->from_ms == line->until_ms)
        return refuse_plainly(reader,
                              "the hours end as they begin; expected a later end, or 00:00-24:00 for whole days");
    return take_zone(reader, line);
}

/* Days since 1970 of a date of the Gregorian calendar: whole 400-year cycles from March on, so that a leap day is last.
 */
static int64_t days_of(int year, int month, int day)
{
    int from_march = (month + 9) % 12;
    int64_t years = month > 2 ? year : year - 1;
    int64_t cycle = years / 400;
    int64_t in_cycle = years % 400;
    int64_t in_year = (153 * from_march + 2) / 5 + day - 1;
    return cycle * 146097 + in_cycle * 365 + in_cycle / 4 - in_cycle / 100 + in_year - 719468;
}

static int month_length(int year, int month)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return lengths[month - 1] + (month == 2 && is_leap ? 1 : 0);
}

/* "2026-12-24" as the local start of that day. */
static bool take_date(struct reader *reader, int64_t *local_ms)
{
    const char *start = reader->at;
    int year = 0;
    int month = 0;
    int day = 0;
    bool is_read = take_digits(reader, 4, &year) && take_char(reader, '-') && take_digits(reader, 2, &month) &&
                   take_char(reader, '-') && take_digits(reader, 2, &day);
    if (is_read && year >= 2000 && year < 2200 && month >= 1 && month <= 12 && day >= 1 &&
        day <= month_length(year, month)) {
        *local_ms = days_of(year, month, day) * DAY_MS;
        return true;
    }
    reader->at = start;
    return refuse(reader, "there is no date", "is no date", "a date from 2000-01-01 to 2199-12-31, such as 2026-12-24");
}

static bool starts_with_digit(const char *text)
{
    return *text >= '0' && *text <= '9';
}

/* A date, and the time that may follow it. */
static bool take_moment(struct reader *reader, bool is_end, int64_t *local_ms, bool *has_time)
{
    int64_t of_day_ms = 0;
    if (!take_date(reader, local_ms))
        return false;
    *has_time = *reader->at == ' ' && starts_with_digit(reader->at + 1);
    if (!*has_time)
        return true;
    reader->at++;
    if (!take_time(reader, is_end, &of_day_ms))
        return false;
    *local_ms += of_day_ms;
    return true;
}

/* Where clocks go back over an end of it, a span is the longer one. */
static bool take_span(struct reader *reader, struct line *line)
{
    bool begins_with_time = false;
    bool ends_with_time = false;
    int64_t from_ms = 0;
    int64_t until_ms = 0;
    if (!take_moment(reader, false, &from_ms, &begins_with_time))
        return false;
    if (strncmp(reader->at, " - ", 3) != 0)
        return refuse(reader, "there is no end", "does not belong here",
                      "\" - \" and a second date, as in 2026-12-24 - 2026-12-26");
    reader->at += 3;
    if (!take_moment(reader, true, &until_ms, &ends_with_time) || !take_zone(reader, line))
        return false;
    if (begins_with_time != ends_with_time)
        return refuse_plainly(reader,
                              "only one end has a time; expected a time at both ends, or at none for whole days");
    if (!ends_with_time)
        until_ms += DAY_MS;
    line->from_ms = zone_utc(line->zone, from_ms, ZONE_FIRST);
    line->until_ms = zone_utc(line->zone, until_ms, ZONE_LAST);
    if (until_ms <= from_ms || line->until_ms <= line->from_ms)
        return refuse_plainly(reader, "the end is not behind the beginning; expected a later end");
    return true;
}

static bool take_line(struct reader *reader, struct line *line)
{
    if (strlen(reader->at) > SCHEDULE_LINE_BYTES)
        return refuse_plainly(reader, "the line is too long; expected hours such as Mon-Thu 09:00-16:00 Europe/Berlin");
    if (starts_with_digit(reader->at))
        return take_span(reader, line);
    return take_days(reader, &line->days) && take_hours(reader, line);
}

static bool append(struct schedule **schedule, struct config_arena *arena, const struct line *line)
{
    struct line *kept = config_arena_take(arena, 1, sizeof(*kept));
    struct schedule *all = *schedule != NULL ? *schedule : config_arena_take(arena, 1, sizeof(*all));
    if (kept == NULL || all == NULL)
        return false;
    *kept = *line;
    if (all->last == NULL)
        all->last = &all->first;
    *all->last = kept;
    all->last = &kept->next;
    all->count++;
    *schedule = all;
    return true;
}

bool schedule_add(struct schedule **schedule, struct config_arena *arena, const char *line, const char **why)
{
    struct zones zones = {.arena = arena};
    return schedule_add_in(schedule, &zones, line, why);
}

bool schedule_add_in(struct schedule **schedule, struct zones *zones, const char *line, const char **why)
{
    struct config_arena *arena = zones->arena;
    struct reader reader = {.arena = arena, .zones = zones, .at = line};
    struct line read = {.text = config_arena_text(arena, line, strlen(line))};
    *why = NULL;
    if (read.text == NULL)
        return false;
    if (schedule_count(*schedule) >= SCHEDULE_LINES) {
        *why = "there are more than 64 lines; expected fewer";
        return false;
    }
    if (!take_line(&reader, &read)) {
        *why = reader.no_memory ? NULL : reader.why;
        return false;
    }
    return append(schedule, arena, &read);
}

/* ---- asking ---- */

static int64_t clamped(uint64_t wall_ms)
{
    return wall_ms < (uint64_t)LATEST_MS ? (int64_t)wall_ms : LATEST_MS;
}

/* A local time as its day since 1970 (which was a Thursday) and the time of that day. */
struct local {
    int64_t day;
    int64_t of_day_ms;
};

static struct local local_of(int64_t local_ms)
{
    struct local local = {.day = local_ms / DAY_MS, .of_day_ms = local_ms % DAY_MS};
    if (local.of_day_ms < 0) {
        local.day--;
        local.of_day_ms += DAY_MS;
    }
    return local;
}

static bool has_day(const struct line *line, int64_t day)
{
    return (line->days >> ((day % DAYS + DAYS + 3) % DAYS) & 1) != 0;
}

static bool line_is_on(const struct line *line, int64_t utc_ms)
{
    if (line->days == 0)
        return utc_ms >= line->from_ms && utc_ms < line->until_ms;
    struct local now = local_of(utc_ms + zone_offset(line->zone, utc_ms, NULL));
    if (line->from_ms < line->until_ms)
        return has_day(line, now.day) && now.of_day_ms >= line->from_ms && now.of_day_ms < line->until_ms;
    return (has_day(line, now.day) && now.of_day_ms >= line->from_ms) ||
           (has_day(line, now.day - 1) && now.of_day_ms < line->until_ms);
}

static bool is_on(const struct schedule *schedule, int64_t utc_ms)
{
    for (const struct line *line = schedule->first; line != NULL; line = line->next) {
        if (line_is_on(line, utc_ms))
            return true;
    }
    return false;
}

static int64_t sooner(int64_t best_ms, int64_t at_ms, int64_t after_ms)
{
    return at_ms > after_ms && at_ms < best_ms ? at_ms : best_ms;
}

/* The first moment after `utc_ms` at which the line might change: an edge of its hours on any day, or a clock change.
 */
static int64_t next_edge(const struct line *line, int64_t utc_ms)
{
    int64_t best_ms = INT64_MAX;
    if (line->days == 0)
        return sooner(sooner(best_ms, line->from_ms, utc_ms), line->until_ms, utc_ms);
    int64_t offset_ms = zone_offset(line->zone, utc_ms, &best_ms);
    int64_t day_ms = local_of(utc_ms + offset_ms).day * DAY_MS - offset_ms;
    for (int day = 0; day < 2; day++, day_ms += DAY_MS) {
        best_ms = sooner(best_ms, day_ms + line->from_ms, utc_ms);
        best_ms = sooner(best_ms, day_ms + line->until_ms, utc_ms);
    }
    return best_ms;
}

bool schedule_is_on(const struct schedule *schedule, uint64_t wall_ms)
{
    return schedule != NULL && is_on(schedule, clamped(wall_ms));
}

/* A walk from edge to edge of all lines of two schedules: each line is asked again only at its own. */
enum {
    WALK_ONLY,
    WALK_FREEZE,
    WALK_SCHEDULES
};

struct walk {
    int64_t at_ms;
    size_t count; /* of lines */
    const struct line *line[WALK_SCHEDULES * SCHEDULE_LINES];
    int schedule[WALK_SCHEDULES * SCHEDULE_LINES]; /* whose line it is */
    int64_t next_ms[WALK_SCHEDULES * SCHEDULE_LINES];
    bool on[WALK_SCHEDULES * SCHEDULE_LINES];
    size_t on_count[WALK_SCHEDULES];
};

static void look_at_line(struct walk *walk, size_t index)
{
    const struct line *line = walk->line[index];
    bool was_on = walk->on[index];
    size_t *on_count = &walk->on_count[walk->schedule[index]];
    walk->on[index] = line_is_on(line, walk->at_ms);
    walk->next_ms[index] = next_edge(line, walk->at_ms);
    *on_count = *on_count - was_on + walk->on[index];
}

static void take_along(struct walk *walk, const struct schedule *schedule, int which)
{
    for (const struct line *line = schedule != NULL ? schedule->first : NULL; line != NULL; line = line->next) {
        walk->line[walk->count] = line;
        walk->schedule[walk->count] = which;
        look_at_line(walk, walk->count++);
    }
}

/* To the next edge of any; INT64_MAX: there is none. */
static void step(struct walk *walk)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < walk->count; i++)
        next_ms = walk->next_ms[i] < next_ms ? walk->next_ms[i] : next_ms;
    walk->at_ms = next_ms;
    for (size_t i = 0; i < walk->count && next_ms < INT64_MAX; i++)
        if (walk->next_ms[i] == next_ms)
            look_at_line(walk, i);
}

bool schedule_next_opening(const struct schedule *only, const struct schedule *freeze, uint64_t wall_ms,
                           uint64_t *at_ms)
{
    struct walk walk = {.at_ms = clamped(wall_ms)};
    int64_t last_ms = walk.at_ms + LOOK_AHEAD_MS;
    take_along(&walk, only, WALK_ONLY);
    take_along(&walk, freeze, WALK_FREEZE);
    for (; walk.at_ms <= last_ms; step(&walk)) {
        if ((only == NULL || walk.on_count[WALK_ONLY] > 0) && walk.on_count[WALK_FREEZE] == 0) {
            *at_ms = (uint64_t)walk.at_ms;
            return true;
        }
    }
    return false;
}

size_t schedule_count(const struct schedule *schedule)
{
    return schedule == NULL ? 0 : schedule->count;
}

const char *schedule_line(const struct schedule *schedule, size_t index)
{
    const struct line *line = schedule == NULL ? NULL : schedule->first;
    for (; line != NULL && index > 0; index--)
        line = line->next;
    return line == NULL ? NULL : line->text;
}
