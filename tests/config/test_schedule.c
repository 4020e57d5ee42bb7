/*
 * Schedules: which lines are read and which are refused with what words, when they are on, and when they change next,
 * over clock changes, midnights and the year's end.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "config/arena.h"
#include "config/schedule.h"
#include "config/zone.h"

enum {
    MINUTE = 60 * 1000,
    HOUR = 60 * MINUTE,
    DAY = 24 * HOUR
};

/* "2026-03-29T01:00:00Z", by the C library and not by what is tested. */
static uint64_t utc(const char *text)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (end == NULL || *end != '\0')
        fail_msg("the test says %s", text);
    return (uint64_t)timegm(&tm) * 1000;
}

static struct config_arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = config_arena_new();
    return arena == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    config_arena_free(arena);
    return 0;
}

static struct schedule *lines(const char *const *texts, size_t count)
{
    struct schedule *schedule = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *why = NULL;
        if (!schedule_add(&schedule, arena, texts[i], &why))
            fail_msg("%s: %s", texts[i], why != NULL ? why : "no memory");
    }
    return schedule;
}

static struct schedule *line(const char *text)
{
    return lines(&text, 1);
}

static void assert_on(const struct schedule *schedule, const char *when, bool on)
{
    if (schedule_is_on(schedule, utc(when)) != on)
        fail_msg("%s: %s is %s", schedule_line(schedule, 0), when, on ? "off" : "on");
}

/* From on to off, or from off to on. */
static bool next_change(const struct schedule *schedule, uint64_t now, uint64_t *at)
{
    bool on = schedule_is_on(schedule, now);
    return schedule_next_opening(on ? NULL : schedule, on ? schedule : NULL, now, at);
}

static void assert_change(const struct schedule *schedule, const char *after, const char *wanted)
{
    uint64_t at = 0;
    if (!next_change(schedule, utc(after), &at))
        fail_msg("%s: no change after %s", schedule_line(schedule, 0), after);
    if (at != utc(wanted))
        fail_msg("%s: changes %.0f minutes from %s on and not at %s", schedule_line(schedule, 0),
                 (double)(at - utc(after)) / MINUTE, after, wanted);
}

/* On from `from` until just before `until`, and the changes are found from outside and from inside. */
static void assert_span(const struct schedule *schedule, const char *from, const char *until)
{
    uint64_t at = 0;
    assert_on(schedule, from, true);
    assert_on(schedule, until, false);
    assert_false(schedule_is_on(schedule, utc(from) - 1));
    assert_true(schedule_is_on(schedule, utc(until) - 1));
    assert_true(next_change(schedule, utc(from) - 1, &at));
    assert_true(at == utc(from));
    assert_change(schedule, from, until);
}

struct refused {
    const char *line;
    const char *why;
};

static void bad_lines_are_refused_with_what_was_expected(void **state)
{
    static const struct refused cases[] = {
        {"", "there is no day; expected Mon, Tue, Wed, Thu, Fri, Sat or Sun, or a date such as 2026-12-24"},
        {"Mondy 09:00-16:00", "Mondy is no day; expected Mon, Tue, Wed, Thu, Fri, Sat or Sun, or a date such as "
                              "2026-12-24"},
        {"mon 09:00-16:00", "mon is no day;"},
        {"Monday 09:00-16:00", "Monday is no day;"},
        {" Mon 09:00-16:00", "there is no day;"},
        {"Mon- 09:00-16:00", "there is no day;"},
        {"Mon, Wed 09:00-16:00", "there is no day;"},
        {"Mon-Wed,Tue 09:00-16:00", "Tue is said twice; expected each day once"},
        {"Mon", "there are no hours; expected a blank and hours such as 09:00-16:00 (or 00:00-24:00)"},
        {"Mon-Fri 25:00-26:00", "25:00-26:00 is no time of day; expected a time from 00:00 to 23:59, such as 09:00"},
        {"Mon-Fri 09:60-16:00", "09:60-16:00 is no time of day;"},
        {"Mon-Fri 9:00-16:00", "9:00-16:00 is no time of day;"},
        {"Mon-Fri 24:00-24:00", "24:00-24:00 is no time of day;"},
        {"Mon-Fri 09:00", "there is no end; expected hours such as 09:00-16:00"},
        {"Mon-Fri 09:00 - 16:00", "there is no end; expected hours such as 09:00-16:00"},
        {"Mon-Fri 09:00-", "there is no time; expected a time from 00:00 to 24:00, such as 16:30"},
        {"Mon-Fri 09:00-24:01", "24:01 is no time of day; expected a time from 00:00 to 24:00, such as 16:30"},
        {"Mon-Fri 09:00-09:00", "the hours end as they begin; expected a later end, or 00:00-24:00 for whole days"},
        {"Mon-Fri 09:00-16:00x", "x does not belong here; expected a blank and a place such as Europe/Berlin, or the "
                                 "end of the line"},
        {"Mon-Fri 09:00-16:00 ", "there is a blank too many;"},
        {"Mon-Fri 09:00-16:00  UTC", "there is a blank too many;"},
        {"Mon-Fri 09:00-16:00 UTC ", "there is a blank too many; expected the end of the line behind the place"},
        {"Mon-Fri 09:00-16:00 UTC now", "now does not belong here; expected the end of the line behind the place"},
        {"Mon-Fri 09:00-16:00 Europe/Berln", "Europe/Berln is no place that is known; did you mean Europe/Berlin?"},
        {"Mon-Fri 09:00-16:00 Nowhere/Atlantis-City", "Nowhere/Atlantis-City is no place that is known; expected UTC "
                                                      "or a place such as Europe/Berlin or America/New_York"},
        {"Mon-Fri 09:00-16:00 CST", "CST is no place that is known;"},
        {"Mon-Fri 09:00-16:00 GMT+3", "GMT+3 is no place that is known;"},
        {"Mon-Fri 09:00-16:00 Etc/Unknown", "Etc/Unknown is no place that is known;"},
        {"Mon-Fri 09:00-16:00 SystemV/EST5", "SystemV/EST5 is no place that is known;"},
        {"Mon-Fri 09:00-16:00 Europe/K\xc3\xb6ln", "Europe/K\xc3\xb6ln is no place that is known;"},
        {"Mon-Fri 09:00-16:00 "
         "Europe/Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch_in_Wales",
         "is no place that is known;"},
        {"2026-12-24", "there is no end; expected \" - \" and a second date, as in 2026-12-24 - 2026-12-26"},
        {"2026-12-24-2026-12-26", "-2026-12-26 does not belong here;"},
        {"2026-12-24 - ", "there is no date; expected a date from"},
        {"2026-13-01 - 2026-12-26", "2026-13-01 is no date; expected a date from 2000-01-01 to 2199-12-31, such as "
                                    "2026-12-24"},
        {"2026-02-29 - 2026-12-26", "2026-02-29 is no date;"},
        {"2100-02-29 - 2100-12-26", "2100-02-29 is no date;"},
        {"2026-04-31 - 2026-12-26", "2026-04-31 is no date;"},
        {"2026-00-10 - 2026-12-26", "2026-00-10 is no date;"},
        {"2026-01-00 - 2026-12-26", "2026-01-00 is no date;"},
        {"1999-12-31 - 2000-12-26", "1999-12-31 is no date;"},
        {"2026-12-24 25:00 - 2026-12-26 08:00", "25:00 is no time of day;"},
        {"2026-12-24 18:00 - 2026-12-26", "only one end has a time; expected a time at both ends, or at none for whole "
                                          "days"},
        {"2026-12-24 - 2026-12-26 08:00", "only one end has a time;"},
        {"2026-12-26 - 2026-12-24", "the end is not behind the beginning; expected a later end"},
        {"2026-12-24 18:00 - 2026-12-24 18:00", "the end is not behind the beginning;"},
        {"2026-12-24 - 2026-12-26 Berlin", "Berlin is no place that is known;"},
        {"2026-12-24 - 2026-12-26 Europe/Berlin or so", "or does not belong here;"},
        /* A span that the clocks jump over has no length. */
        {"2026-03-29 02:10 - 2026-03-29 02:50 Europe/Berlin", "the end is not behind the beginning;"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct schedule *schedule = NULL;
        const char *why = NULL;
        if (schedule_add(&schedule, arena, cases[i].line, &why))
            fail_msg("\"%s\" was read", cases[i].line);
        if (why == NULL || strstr(why, cases[i].why) == NULL)
            fail_msg("\"%s\" is refused with: %s", cases[i].line, why != NULL ? why : "(nothing)");
        assert_null(schedule);
    }
}

static void a_line_that_is_too_long_is_refused(void **state)
{
    char text[400];
    struct schedule *schedule = NULL;
    const char *why = NULL;
    (void)state;
    memset(text, 'M', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_false(schedule_add(&schedule, arena, text, &why));
    assert_string_equal(why, "the line is too long; expected hours such as Mon-Thu 09:00-16:00 Europe/Berlin");
}

static void lines_are_kept_as_they_were_written_and_a_bad_one_leaves_the_others(void **state)
{
    static const char *const texts[] = {"Mon-Thu 09:00-16:00 Europe/Berlin", "Fri 09:00-12:00"};
    struct schedule *schedule = lines(texts, 2);
    const char *why = NULL;
    (void)state;
    assert_false(schedule_add(&schedule, arena, "Sat", &why));
    assert_int_equal(schedule_count(schedule), 2);
    assert_string_equal(schedule_line(schedule, 0), texts[0]);
    assert_string_equal(schedule_line(schedule, 1), texts[1]);
    assert_null(schedule_line(schedule, 2));
    assert_int_equal(schedule_count(NULL), 0);
    assert_null(schedule_line(NULL, 0));
}

static void there_are_at_most_64_lines(void **state)
{
    struct schedule *schedule = NULL;
    const char *why = NULL;
    (void)state;
    for (int i = 0; i < 64; i++)
        assert_true(schedule_add(&schedule, arena, "Fri 09:00-12:00", &why));
    assert_false(schedule_add(&schedule, arena, "Fri 09:00-12:00", &why));
    assert_string_equal(why, "there are more than 64 lines; expected fewer");
    assert_int_equal(schedule_count(schedule), 64);
}

static void no_schedule_is_never_on(void **state)
{
    uint64_t at = 0;
    (void)state;
    assert_false(schedule_is_on(NULL, utc("2026-06-15T10:00:00Z")));
    assert_true(schedule_next_opening(NULL, NULL, utc("2026-06-15T10:00:00Z"), &at));
    assert_true(at == utc("2026-06-15T10:00:00Z"));
}

static void hours_are_utc_without_a_place(void **state)
{
    const struct schedule *schedule = line("Mon-Thu 09:00-16:00"); /* 2026-06-15 is a Monday */
    (void)state;
    assert_span(schedule, "2026-06-15T09:00:00Z", "2026-06-15T16:00:00Z");
    assert_span(schedule, "2026-06-18T09:00:00Z", "2026-06-18T16:00:00Z");
    assert_on(schedule, "2026-06-19T12:00:00Z", false);
    assert_on(schedule, "2026-06-21T12:00:00Z", false);
    assert_change(schedule, "2026-06-18T16:00:00Z", "2026-06-22T09:00:00Z");
}

static void listed_days_are_on_alone(void **state)
{
    const struct schedule *schedule = line("Mon,Wed,Fri 09:00-12:00");
    static const char *const days[] = {"2026-06-15", "2026-06-16", "2026-06-17", "2026-06-18",
                                       "2026-06-19", "2026-06-20", "2026-06-21"};
    static const bool on[] = {true, false, true, false, true, false, false};
    (void)state;
    for (size_t i = 0; i < 7; i++) {
        char when[32];
        (void)snprintf(when, sizeof(when), "%sT10:00:00Z", days[i]);
        assert_on(schedule, when, on[i]);
    }
}

static void a_row_of_days_may_go_over_the_weeks_end(void **state)
{
    const struct schedule *schedule = line("Sat-Mon 00:00-24:00");
    (void)state;
    assert_span(schedule, "2026-06-20T00:00:00Z", "2026-06-23T00:00:00Z"); /* one span: midnights are no change */
}

static void hours_over_midnight_belong_to_the_day_they_begin_on(void **state)
{
    const struct schedule *schedule = line("Fri 22:00-06:00 Europe/Berlin");
    (void)state;
    assert_span(schedule, "2026-06-19T20:00:00Z", "2026-06-20T04:00:00Z");
    assert_on(schedule, "2026-06-19T02:00:00Z", false); /* Friday 04:00: Thursday's night */
    assert_on(schedule, "2026-06-20T21:00:00Z", false);
    assert_span(line("Sun 22:00-00:00"), "2026-06-21T22:00:00Z", "2026-06-22T00:00:00Z");
    assert_span(line("Sun 22:00-24:00"), "2026-06-21T22:00:00Z", "2026-06-22T00:00:00Z");
}

static void hours_go_over_the_years_end(void **state)
{
    (void)state; /* 2026-12-31 is a Thursday */
    assert_span(line("Thu 22:00-06:00 America/New_York"), "2027-01-01T03:00:00Z", "2027-01-01T11:00:00Z");
    assert_span(line("2026-12-20 18:00 - 2027-01-07 08:00 Europe/Berlin"), "2026-12-20T17:00:00Z",
                "2027-01-07T07:00:00Z");
}

static void hours_follow_the_clocks_of_the_place(void **state)
{
    const struct schedule *berlin = line("Mon-Fri 09:00-16:00 Europe/Berlin");
    const struct schedule *new_york = line("Mon-Fri 09:00-16:00 America/New_York");
    (void)state;
    assert_span(berlin, "2026-03-27T08:00:00Z", "2026-03-27T15:00:00Z"); /* winter */
    assert_span(berlin, "2026-03-30T07:00:00Z", "2026-03-30T14:00:00Z"); /* summer */
    assert_change(berlin, "2026-03-27T15:00:00Z", "2026-03-30T07:00:00Z");
    assert_change(berlin, "2026-10-23T14:00:00Z", "2026-10-26T08:00:00Z");
    assert_span(new_york, "2026-03-06T14:00:00Z", "2026-03-06T21:00:00Z");
    assert_span(new_york, "2026-03-09T13:00:00Z", "2026-03-09T20:00:00Z");
    assert_change(new_york, "2026-03-06T21:00:00Z", "2026-03-09T13:00:00Z");
    assert_change(new_york, "2026-10-30T20:00:00Z", "2026-11-02T14:00:00Z");
}

/* Berlin, 2026-03-29: 01:59 is followed by 03:00. New York, 2026-03-08: the same at 02:00. */
static void hours_that_clocks_jump_over_are_not_there(void **state)
{
    (void)state;
    assert_span(line("Sun 01:00-04:00 Europe/Berlin"), "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z");
    assert_span(line("Sun 02:30-04:00 Europe/Berlin"), "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z");
    assert_span(line("Sun 01:00-02:30 Europe/Berlin"), "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z");
    assert_change(line("Sun 02:10-02:50 Europe/Berlin"), "2026-03-28T12:00:00Z", "2026-04-05T00:10:00Z");
    assert_span(line("Sun 01:30-03:30 America/New_York"), "2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z");
    assert_change(line("Sun 02:10-02:50 America/New_York"), "2026-03-07T12:00:00Z", "2026-03-15T06:10:00Z");
}

/* Berlin, 2026-10-25: 02:59 is followed by 02:00. New York, 2026-11-01: 01:59 by 01:00. */
static void hours_that_come_twice_are_there_twice(void **state)
{
    const struct schedule *berlin = line("Sun 02:10-02:50 Europe/Berlin");
    const struct schedule *new_york = line("Sun 01:10-01:50 America/New_York");
    (void)state;
    assert_span(berlin, "2026-10-25T00:10:00Z", "2026-10-25T00:50:00Z");
    assert_span(berlin, "2026-10-25T01:10:00Z", "2026-10-25T01:50:00Z");
    assert_change(berlin, "2026-10-25T00:50:00Z", "2026-10-25T01:10:00Z");
    assert_span(line("Sun 01:00-04:00 Europe/Berlin"), "2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z");
    assert_span(line("Sun 02:30-04:00 Europe/Berlin"), "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z");
    assert_change(line("Sun 02:30-04:00 Europe/Berlin"), "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z");
    assert_span(new_york, "2026-11-01T05:10:00Z", "2026-11-01T05:50:00Z");
    assert_span(new_york, "2026-11-01T06:10:00Z", "2026-11-01T06:50:00Z");
}

static void spans_may_be_whole_days_the_last_one_too(void **state)
{
    (void)state;
    assert_span(line("2026-12-24 - 2026-12-26 America/New_York"), "2026-12-24T05:00:00Z", "2026-12-27T05:00:00Z");
    assert_span(line("2026-12-24 - 2026-12-24"), "2026-12-24T00:00:00Z", "2026-12-25T00:00:00Z");
    assert_span(line("2028-02-29 - 2028-02-29"), "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z");
    assert_span(line("2026-12-24 18:00 - 2026-12-31 24:00"), "2026-12-24T18:00:00Z", "2027-01-01T00:00:00Z");
    /* The day that has 23 hours, and the one that has 25. */
    assert_span(line("2026-03-29 - 2026-03-29 Europe/Berlin"), "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
    assert_span(line("2026-10-25 - 2026-10-25 Europe/Berlin"), "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
}

static void a_span_whose_ends_come_twice_is_the_longer_one(void **state)
{
    (void)state;
    assert_span(line("2026-10-25 02:30 - 2026-10-25 02:45 Europe/Berlin"), "2026-10-25T00:30:00Z",
                "2026-10-25T01:45:00Z");
    assert_span(line("2026-11-01 01:30 - 2026-11-01 12:00 America/New_York"), "2026-11-01T05:30:00Z",
                "2026-11-01T17:00:00Z");
    /* An end that is jumped over is the jump. */
    assert_span(line("2026-03-29 02:30 - 2026-03-29 12:00 Europe/Berlin"), "2026-03-29T01:00:00Z",
                "2026-03-29T10:00:00Z");
    assert_span(line("2026-03-28 12:00 - 2026-03-29 02:30 Europe/Berlin"), "2026-03-28T11:00:00Z",
                "2026-03-29T01:00:00Z");
}

static void one_line_is_enough_and_lines_that_meet_are_one(void **state)
{
    static const char *const texts[] = {"Mon 09:00-12:00", "Mon 12:00-16:00 UTC", "Mon 15:00-18:00 Europe/Berlin",
                                        "2026-06-16 - 2026-06-16"};
    const struct schedule *schedule = lines(texts, 4);
    (void)state;
    assert_span(schedule, "2026-06-15T09:00:00Z", "2026-06-15T16:00:00Z");
    assert_span(schedule, "2026-06-16T00:00:00Z", "2026-06-17T00:00:00Z");
}

static void a_year_is_as_far_as_a_change_is_looked_for(void **state)
{
    const struct schedule *always = line("Mon-Sun 00:00-24:00 Europe/Berlin");
    const struct schedule *span = line("2028-01-01 - 2028-01-02");
    uint64_t at = 7;
    (void)state;
    assert_true(schedule_is_on(always, utc("2026-03-29T01:30:00Z")));
    assert_false(next_change(always, utc("2026-03-29T01:30:00Z"), &at));
    assert_false(next_change(span, utc("2026-12-01T00:00:00Z"), &at));
    assert_false(next_change(span, utc("2028-01-03T00:00:00Z"), &at));
    assert_true(at == 7);
    assert_true(next_change(span, utc("2027-02-01T00:00:00Z"), &at));
    assert_true(at == utc("2028-01-01T00:00:00Z"));
}

static void assert_opens(const struct schedule *only, const struct schedule *freeze, const char *after,
                         const char *wanted)
{
    uint64_t at = 0;
    bool opens = schedule_next_opening(only, freeze, utc(after), &at);
    if (opens != (wanted != NULL) || (opens && at != utc(wanted)))
        fail_msg("after %s it opens after %.0f minutes and not at %s", after,
                 opens ? (double)(at - utc(after)) / MINUTE : -1, wanted != NULL ? wanted : "no time");
}

static void an_opening_is_found_behind_any_number_of_others_that_are_frozen(void **state)
{
    static const char *const hours[] = {"Mon-Sun 09:00-12:00", "Mon-Sun 13:00-16:00",
                                        "2027-05-20 12:15 - 2027-05-20 12:45"};
    static const char *const frozen[] = {"Mon-Sun 08:00-12:30", "Mon-Sun 12:40-17:00", "2026-12-24 - 2026-12-26"};
    const struct schedule *only = lines(hours, 3);
    const struct schedule *freeze = lines(frozen, 3);
    (void)state;
    assert_opens(only, freeze, "2026-06-15T10:00:00Z",
                 "2027-05-20T12:30:00Z"); /* behind some 700 hours that are frozen */
    assert_opens(only, freeze, "2027-05-20T12:39:59Z", "2027-05-20T12:39:59Z");
    assert_opens(only, freeze, "2027-05-20T12:40:00Z", NULL);
    assert_opens(only, freeze, "2026-05-01T00:00:00Z", NULL); /* in more than a year */
    assert_opens(only, NULL, "2026-06-15T12:00:00Z", "2026-06-15T13:00:00Z");
    assert_opens(NULL, freeze, "2026-12-23T18:00:00Z", "2026-12-23T18:00:00Z");
    assert_opens(NULL, freeze, "2026-12-24T07:00:00Z", "2026-12-27T00:00:00Z");
}

/* As many lines as a file may have, none of which ever helps. */
static void sixty_four_lines_are_walked_for_a_year(void **state)
{
    struct schedule *only = NULL;
    struct schedule *freeze = NULL;
    (void)state;
    for (int i = 0; i < 64; i++) {
        const char *why = NULL;
        char text[64];
        (void)snprintf(text, sizeof(text), "Mon-Sun 09:%02d-15:%02d Europe/Berlin", i % 60, i % 50);
        assert_true(schedule_add(&only, arena, text, &why));
        (void)snprintf(text, sizeof(text), "Mon-Sun 08:%02d-16:%02d Europe/Berlin", i % 60, i % 50);
        assert_true(schedule_add(&freeze, arena, text, &why));
    }
    assert_opens(only, freeze, "2026-06-15T10:00:00Z", NULL);
}

static void any_clock_value_is_answered(void **state)
{
    static const uint64_t values[] = {0, 1, 12 * UINT64_C(3600000), INT64_MAX, UINT64_MAX};
    const struct schedule *schedule = line("Mon-Sun 20:00-10:00 America/New_York");
    uint64_t at = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        (void)schedule_is_on(schedule, values[i]);
        assert_true(next_change(schedule, values[i], &at));
    }
    assert_true(schedule_is_on(schedule, 12 * UINT64_C(3600000)));  /* 1970-01-01 07:00 in New York */
    assert_false(schedule_is_on(schedule, 16 * UINT64_C(3600000))); /* 11:00 */
}

/* What next_change() finds is what a walk in steps finds, around clock changes of several kinds. */
static void changes_are_those_a_walk_finds(void **state)
{
    static const char *const texts[] = {"Mon-Thu 09:00-16:00 Europe/Berlin",    "Sat,Sun 22:30-02:15 Europe/Berlin",
                                        "Sat,Sun 00:30-02:30 America/New_York", "Sun 02:00-03:00 America/New_York",
                                        "Mon-Sun 23:45-00:15 Africa/Cairo",     "Mon-Sun 00:00-24:00 Asia/Tokyo",
                                        "Sun 01:45-02:15 Australia/Lord_Howe",  "Sat-Sun 00:00-24:00 America/Havana"};
    static const char *const starts[] = {"2026-03-07T00:00:00Z", "2026-03-28T00:00:00Z", "2026-04-04T00:00:00Z",
                                         "2026-04-23T12:00:00Z", "2026-10-03T00:00:00Z", "2026-10-24T00:00:00Z",
                                         "2026-10-29T12:00:00Z", "2026-10-31T00:00:00Z", "2026-12-31T00:00:00Z"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const struct schedule *schedule = line(texts[i]);
        for (size_t j = 0; j < sizeof(starts) / sizeof(starts[0]); j++) {
            uint64_t start = utc(starts[j]);
            uint64_t at = start;
            bool on = schedule_is_on(schedule, start);
            for (uint64_t now = start; now < start + 3 * (uint64_t)DAY; now += 5 * MINUTE) {
                if (schedule_is_on(schedule, now) != on) {
                    assert_true(next_change(schedule, now - 5 * MINUTE, &at));
                    if (at != now)
                        fail_msg("%s: a walk from %s finds a change after %.0f minutes, the question %.0f", texts[i],
                                 starts[j], (double)(now - start) / MINUTE, (double)(at - start) / MINUTE);
                    on = !on;
                }
            }
        }
    }
}

/* The C library has time zones too, of another source; both must say the same of these years. */
static void zones_are_those_of_the_c_library(void **state)
{
    static const char *const places[] = {"Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe",
                                         "America/Santiago"};
    struct zones zones = {.arena = arena};
    char file[128];
    (void)state;
    (void)snprintf(file, sizeof(file), "/usr/share/zoneinfo/%s", places[0]);
    FILE *here = fopen(file, "re");
    if (here == NULL)
        skip();
    (void)fclose(here);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        const char *why = NULL;
        const struct zone *zone = zones_find(&zones, places[i], &why);
        assert_non_null(zone);
        assert_ptr_equal(zones_find(&zones, places[i], &why), zone);
        assert_string_equal(zone_name(zone), places[i]);
        assert_int_equal(setenv("TZ", places[i], 1), 0);
        tzset();
        for (int64_t now = (int64_t)utc("2010-01-01T00:00:00Z"); now < (int64_t)utc("2022-01-01T00:00:00Z");
             now += 6 * (int64_t)HOUR + 13 * MINUTE) {
            time_t seconds = now / 1000;
            struct tm tm;
            int64_t until = 0;
            assert_non_null(localtime_r(&seconds, &tm));
            int64_t offset = zone_offset(zone, now, &until);
            assert_true(offset == (int64_t)tm.tm_gmtoff * 1000);
            assert_true(until > now);
            int64_t first = zone_utc(zone, now + offset, ZONE_FIRST);
            int64_t last = zone_utc(zone, now + offset, ZONE_LAST);
            assert_true(first == now || last == now);
            assert_true(first <= last);
        }
    }
    assert_int_equal(unsetenv("TZ"), 0);
    tzset();
}

struct asker {
    pthread_t thread;
    const struct schedule *schedule;
    uint64_t sum;
};

static void *ask(void *argument)
{
    struct asker *asker = argument;
    uint64_t start = utc("2026-01-01T00:00:00Z");
    for (uint64_t hour = 0; hour < 366 * 24; hour += 7) {
        uint64_t at = 0;
        asker->sum += schedule_is_on(asker->schedule, start + hour * HOUR);
        if (next_change(asker->schedule, start + hour * HOUR, &at))
            asker->sum += at / MINUTE;
    }
    return NULL;
}

static void many_threads_may_ask_at_once(void **state)
{
    static const char *const texts[] = {"Mon-Thu 09:00-16:00 Europe/Berlin", "Fri 22:00-06:00 America/New_York"};
    struct asker askers[4] = {{0}};
    const struct schedule *schedule = lines(texts, 2);
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        askers[i].schedule = schedule;
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
    }
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(askers[i].thread, NULL), 0);
    assert_true(askers[0].sum > 0);
    for (size_t i = 1; i < 4; i++)
        assert_true(askers[i].sum == askers[0].sum);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(bad_lines_are_refused_with_what_was_expected),
        CASE(a_line_that_is_too_long_is_refused),
        CASE(lines_are_kept_as_they_were_written_and_a_bad_one_leaves_the_others),
        CASE(there_are_at_most_64_lines),
        CASE(no_schedule_is_never_on),
        CASE(hours_are_utc_without_a_place),
        CASE(listed_days_are_on_alone),
        CASE(a_row_of_days_may_go_over_the_weeks_end),
        CASE(hours_over_midnight_belong_to_the_day_they_begin_on),
        CASE(hours_go_over_the_years_end),
        CASE(hours_follow_the_clocks_of_the_place),
        CASE(hours_that_clocks_jump_over_are_not_there),
        CASE(hours_that_come_twice_are_there_twice),
        CASE(spans_may_be_whole_days_the_last_one_too),
        CASE(a_span_whose_ends_come_twice_is_the_longer_one),
        CASE(one_line_is_enough_and_lines_that_meet_are_one),
        CASE(a_year_is_as_far_as_a_change_is_looked_for),
        CASE(an_opening_is_found_behind_any_number_of_others_that_are_frozen),
        CASE(sixty_four_lines_are_walked_for_a_year),
        CASE(any_clock_value_is_answered),
        CASE(changes_are_those_a_walk_finds),
        CASE(zones_are_those_of_the_c_library),
        CASE(many_threads_may_ask_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
