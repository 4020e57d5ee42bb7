/*
 * The words of the views. Reads an answer of shunt, prints nothing.
 */
#include "tools/shuntctl/word.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tools/shuntctl/number.h"
#include "tools/shuntctl/value.h"

static const struct {
    const char *phase;
    const char *word;
    enum tone tone;
} phases[] = {
    {"fixed", "fixed", TONE_PLAIN},           {"waiting", "waiting", TONE_WARN}, {"running", "running", TONE_GOOD},
    {"paused", "paused", TONE_WARN},          {"frozen", "frozen", TONE_WARN},   {"done", "done", TONE_GOOD},
    {"rolled_back", "rolled back", TONE_BAD},
};

enum {
    PHASES = sizeof(phases) / sizeof(phases[0])
};

static size_t phase_index(const char *phase)
{
    size_t i = 0;
    while (i < PHASES && strcmp(phases[i].phase, phase) != 0)
        i++;
    return i;
}

const char *word_phase(const char *phase)
{
    size_t i = phase_index(phase);
    return i < PHASES ? phases[i].word : phase;
}

enum tone word_phase_tone(const char *phase)
{
    size_t i = phase_index(phase);
    return i < PHASES ? phases[i].tone : TONE_PLAIN;
}

enum tone word_verdict_tone(const char *verdict)
{
    if (strcmp(verdict, "pass") == 0)
        return TONE_GOOD;
    return strcmp(verdict, "fail") == 0 ? TONE_BAD : TONE_WARN;
}

void word_stage(const json_t *route, char *out, size_t room)
{
    size_t stages = json_array_size(value_at(route, "stages"));
    out[0] = '\0';
    if (stages > 0)
        snprintf(out, room, "%s %llu/%zu", value_text(route, "stage"),
                 (unsigned long long)value_count(route, "stage_index") + 1, stages);
}

void word_share(const json_t *route, char *out, size_t room)
{
    char plan[NUMBER_ROOM], now[NUMBER_ROOM];
    double percent = value_number(route, "percent"), effective = value_number(route, "effective_percent");
    number_percent(percent / 100.0, plan);
    number_percent(effective / 100.0, now);
    if (percent == effective)
        snprintf(out, room, "%s", plan);
    else
        snprintf(out, room, "%s, now %s", plan, now);
}

void word_breaker(const json_t *route, char *out, size_t room)
{
    const char *state = value_text(route, "breaker.state");
    uint64_t trips = value_count(route, "breaker.trips"), most = value_count(route, "breaker.max_trips");
    if (!value_flag(route, "breaker.enabled"))
        snprintf(out, room, "off");
    else if (trips == 0)
        snprintf(out, room, "%s", state);
    else if (most == 0)
        snprintf(out, room, "%s, %llu trip%s", state, (unsigned long long)trips, trips == 1 ? "" : "s");
    else
        snprintf(out, room, "%s, trip %llu/%llu", state, (unsigned long long)trips, (unsigned long long)most);
    for (char *at = out; *at != '\0'; at++) /* half_open */
        if (*at == '_')
            *at = ' ';
}

enum tone word_breaker_tone(const json_t *route)
{
    const char *state = value_text(route, "breaker.state");
    if (!value_flag(route, "breaker.enabled"))
        return TONE_FAINT;
    if (strcmp(state, "open") == 0)
        return TONE_BAD;
    return strcmp(state, "closed") == 0 && value_count(route, "breaker.trips") == 0 ? TONE_GOOD : TONE_WARN;
}
