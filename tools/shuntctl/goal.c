/*
 * Goals of a wait. Judges one answer of shunt by itself: what a route has been through before is not remembered, so a
 * stage counts as reached when a later one is.
 *
 * A plan moves by itself from waiting or running to done or rolled back, and pauses and freezes are meant to end: from
 * these it may still get anywhere. Done, rolled back and fixed are ends; what leads on from there is a person's doing,
 * and nobody should wait for it.
 */
#include "tools/shuntctl/goal.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tools/shuntctl/value.h"
#include "tools/shuntctl/word.h"

static const struct goal words[] = {
    {GOAL_PHASE, "running"}, {GOAL_PHASE, "paused"}, {GOAL_PHASE, "frozen"},
    {GOAL_PHASE, "waiting"}, {GOAL_PHASE, "done"},   {GOAL_PHASE, "rolled_back"},
};

static bool is(const json_t *route, const char *path, const char *text)
{
    return strcmp(value_text(route, path), text) == 0;
}

struct goal goal_of(const char *text)
{
    static const char stage[] = "stage:", breaker[] = "breaker-";
    if (strncmp(text, stage, sizeof(stage) - 1) == 0)
        return (struct goal){GOAL_STAGE, text + sizeof(stage) - 1};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i].word, text) == 0)
            return words[i];
    if (strcmp(text, "breaker-open") == 0 || strcmp(text, "breaker-closed") == 0)
        return (struct goal){GOAL_BREAKER, text + sizeof(breaker) - 1};
    if (strcmp(text, "healthy") == 0)
        return (struct goal){GOAL_HEALTHY, text};
    return (struct goal){GOAL_STAGE, text};
}

struct reply {
    char *text;
    size_t room;
};

__attribute__((format(printf, 3, 4))) static enum goal_answer say(const struct reply *reply, enum goal_answer answer,
                                                                  const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reply->text, reply->room, format, args);
    va_end(args);
    return answer;
}

static bool is_at_an_end(const json_t *route)
{
    return is(route, "phase", "done") || is(route, "phase", "rolled_back") || is(route, "phase", "fixed");
}

static enum goal_answer lost_by_phase(const json_t *route, const struct reply *reply)
{
    return say(reply, GOAL_LOST, is(route, "phase", "fixed") ? "it has a fixed share and no plan" : "the plan is %s",
               word_phase(value_text(route, "phase")));
}

static enum goal_answer judge_phase(const struct goal *goal, const json_t *route, const struct reply *reply)
{
    if (is(route, "phase", goal->word))
        return GOAL_REACHED;
    if (strcmp(goal->word, "rolled_back") == 0) /* whatever a plan does, it can fall */
        return GOAL_NOT_YET;
    if (strcmp(goal->word, "waiting") == 0 && !is(route, "phase", "fixed"))
        return say(reply, GOAL_LOST, "the plan has been started");
    return is_at_an_end(route) ? lost_by_phase(route, reply) : GOAL_NOT_YET;
}

/* The index of a stage by its name; -1: there is none. */
static long stage_index(const json_t *route, const char *name)
{
    const json_t *stage;
    size_t i;
    json_array_foreach(value_at(route, "stages"), i, stage)
    {
        if (is(stage, "name", name))
            return (long)i;
    }
    return -1;
}

/* "its stages are shadow, canary" */
static enum goal_answer unknown_stage(const struct goal *goal, const json_t *route, const struct reply *reply)
{
    const json_t *stage;
    size_t i, used;
    say(reply, GOAL_UNKNOWN, "\"%s\" is neither a stage of %s nor another state; expected ", goal->word,
        value_text(route, "name"));
    json_array_foreach(value_at(route, "stages"), i, stage)
    {
        used = strlen(reply->text);
        (void)snprintf(reply->text + used, reply->room - used, "%s, ", value_text(stage, "name"));
    }
    used = strlen(reply->text);
    (void)snprintf(reply->text + used, reply->room - used,
                   "running, paused, frozen, waiting, done, rolled_back, breaker-closed, breaker-open or healthy");
    return GOAL_UNKNOWN;
}

static enum goal_answer judge_stage(const struct goal *goal, const json_t *route, const struct reply *reply)
{
    long wanted = stage_index(route, goal->word);
    if (wanted < 0)
        return unknown_stage(goal, route, reply);
    if (is(route, "phase", "rolled_back"))
        return lost_by_phase(route, reply);
    if (is(route, "phase", "waiting"))
        return GOAL_NOT_YET;
    return value_count(route, "stage_index") >= (uint64_t)wanted ? GOAL_REACHED : GOAL_NOT_YET;
}

static enum goal_answer judge_breaker(const struct goal *goal, const json_t *route, const struct reply *reply)
{
    if (!value_flag(route, "breaker.enabled"))
        return say(reply, GOAL_LOST, "its breaker is off");
    if (is(route, "breaker.state", goal->word))
        return GOAL_REACHED;
    /* no trial without traffic for new */
    if (strcmp(goal->word, "closed") == 0 && is(route, "phase", "rolled_back"))
        return lost_by_phase(route, reply);
    return GOAL_NOT_YET;
}

static enum goal_answer judge_healthy(const struct goal *goal, const json_t *route, const struct reply *reply)
{
    (void)goal;
    if (is(route, "phase", "rolled_back"))
        return lost_by_phase(route, reply);
    bool goes_on = is(route, "phase", "running") || is(route, "phase", "waiting") || is(route, "phase", "done") ||
                   is(route, "phase", "fixed");
    bool closed = !value_flag(route, "breaker.enabled") || is(route, "breaker.state", "closed");
    bool whole =
        !value_flag(route, "passthrough") && value_number(route, "percent") == value_number(route, "effective_percent");
    return goes_on && closed && whole && !is(route, "gates.verdict", "fail") ? GOAL_REACHED : GOAL_NOT_YET;
}

static enum goal_answer (*const judges[])(const struct goal *, const json_t *, const struct reply *) = {
    [GOAL_STAGE] = judge_stage,
    [GOAL_PHASE] = judge_phase,
    [GOAL_BREAKER] = judge_breaker,
    [GOAL_HEALTHY] = judge_healthy,
};

enum goal_answer goal_judge(const struct goal *goal, const json_t *route, char *sentence, size_t room)
{
    const struct reply reply = {sentence, room};
    sentence[0] = '\0';
    return judges[goal->kind](goal, route, &reply);
}
