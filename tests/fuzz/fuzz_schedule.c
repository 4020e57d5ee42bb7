/*
 * Lines of a schedule: each is taken, or refused with the reason. Of what is taken the next change is later than now,
 * it is a change, and nothing changes before it.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/arena.h"
#include "config/schedule.h"
#include "config/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_lines(struct schedule **schedule, struct zones *zones, char *text)
{
    char *rest = text;
    for (const char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        size_t before = schedule_count(*schedule);
        const char *why = NULL;
        bool taken = schedule_add_in(schedule, zones, line, &why);
        assert(taken == (why == NULL));
        assert(schedule_count(*schedule) == before + (taken ? 1 : 0));
        assert(!taken || strcmp(schedule_line(*schedule, before), line) == 0);
    }
}

static bool next_change(const struct schedule *schedule, uint64_t now, uint64_t *at)
{
    bool on = schedule_is_on(schedule, now);
    return schedule_next_opening(on ? NULL : schedule, on ? schedule : NULL, now, at);
}

static void ask(const struct schedule *schedule, uint64_t now)
{
    bool on = schedule_is_on(schedule, now);
    uint64_t at = 0;
    if (schedule == NULL || !next_change(schedule, now, &at))
        return;
    assert(at > now);
    assert(schedule_is_on(schedule, at) != on);
    for (unsigned i = 0; i < 16; i++)
        assert(schedule_is_on(schedule, now + (at - 1 - now) / 16 * i) == on);
    assert(schedule_is_on(schedule, at - 1) == on);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Around clock changes of 2026 in Berlin and New York, the year's end, and the ends of what a clock can say. */
    static const uint64_t clocks[] = {0,
                                      UINT64_C(1772953199999),
                                      UINT64_C(1774745999999),
                                      UINT64_C(1792889999999),
                                      UINT64_C(1793512800000),
                                      UINT64_C(1798761599999),
                                      UINT64_C(7258118399999),
                                      UINT64_C(1) << 59};
    struct zones zones = {.arena = config_arena_new()};
    struct schedule *schedule = NULL;
    char *text = malloc(size + 1); /* an exact copy, so that a byte read too far is seen */
    assert(zones.arena != NULL && text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    add_lines(&schedule, &zones, text);
    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++)
        ask(schedule, clocks[i]);
    (void)schedule_is_on(schedule, UINT64_MAX);
    config_arena_free(zones.arena);
    free(text);
    return 0;
}
