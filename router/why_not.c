/*
 * "Why is it not promoted yet?" in one sentence, for the person who looks at a plan that does not move. What stops it
 * for certain comes first, then what the gates lack, then the hold. Control thread only; changes nothing.
 */
#include "router/control.h"

#include <stdio.h>
#include <time.h>

/* The last report of the gates, and how long the hold has still to go. */
struct why {
    const struct router *router;
    const struct route_state *state;
    const struct config_stage *stage;
    char *sentence;
    size_t room;
};

/* "3 d 4 h", "1 h 12 min", "2 min 5 s", "7 s": the two largest units. */
static void say_duration(uint64_t ms, char *text, size_t room)
{
    static const struct {
        const char *name;
        uint64_t seconds;
    } units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
    enum {
        UNITS = sizeof(units) / sizeof(units[0])
    };
    uint64_t seconds = ms / 1000 + (ms % 1000 > 0);
    size_t first = 0;
    while (first + 1 < UNITS && seconds < units[first].seconds)
        first++;
    unsigned long long whole = seconds / units[first].seconds;
    unsigned long long rest = first + 1 < UNITS ? seconds % units[first].seconds / units[first + 1].seconds : 0;
    if (rest > 0)
        (void)snprintf(text, room, "%llu %s %llu %s", whole, units[first].name, rest, units[first + 1].name);
    else
        (void)snprintf(text, room, "%llu %s", whole, units[first].name);
}

static void say_time(uint64_t wall_ms, char *text, size_t room)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    if (gmtime_r(&seconds, &utc) == NULL || strftime(text, room, "%Y-%m-%d %H:%M UTC", &utc) == 0)
        (void)snprintf(text, room, "an unknown time");
}

static const char *moved_text(const struct route_state *state, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(state->moved, key));
    return text != NULL ? text : otherwise;
}

/* The plan stands in a phase somebody put it in. */
static bool is_stopped(const struct why *why)
{
    static const char *const words[PLAN_PHASES] = {
        [PLAN_PAUSED] = "paused",
        [PLAN_FROZEN] = "frozen",
        [PLAN_ROLLED_BACK] = "rolled back",
    };
    const struct route_state *state = why->state;
    const char *word = words[state->plan.phase];
    char at[40];
    if (state->plan.phase == PLAN_WAITING) {
        (void)snprintf(why->sentence, why->room, "the file says `start: manual`: a person has to start the plan");
        return true;
    }
    if (word == NULL)
        return false;
    json_int_t at_ms = json_integer_value(json_object_get(state->moved, "at_ms"));
    say_time((uint64_t)at_ms, at, sizeof(at));
    if (state->moved != NULL)
        (void)snprintf(why->sentence, why->room, "the plan is %s until a person resumes it: %s by %s at %s (%s)", word,
                       moved_text(state, "what", "moved"), moved_text(state, "who", "somebody"), at,
                       moved_text(state, "why", "no reason given"));
    else
        (void)snprintf(why->sentence, why->room, "the plan is %s until a person resumes it", word);
    return true;
}

static bool has_no_traffic(const struct why *why)
{
    const struct route_state *state = why->state;
    char waits_for[200];
    if (why->router->passthrough != 0)
        (void)snprintf(why->sentence, why->room, "passthrough is on: everything goes to legacy, and no hold runs");
    else if (state->breaker.state != BREAKER_CLOSED)
        (void)snprintf(why->sentence, why->room, "the breaker is %s: %s", breaker_state_name(state->breaker.state),
                       state->breaker.why);
    else if (route_state_waits(why->router, state, waits_for, sizeof(waits_for)))
        (void)snprintf(why->sentence, why->room, "it depends on another route: %s", waits_for);
    else
        return false;
    return true;
}

static bool is_on_its_way(const struct why *why)
{
    const struct route_state *state = why->state;
    uint32_t share = router_share(why->router, state);
    uint64_t left_ms = state->plan.ramp.left_ms;
    char left[40];
    if (share == state->plan.percent)
        return false;
    if (left_ms == 0)
        left_ms = route_state_ramp_left_ms(state, why->router->ticked_ms);
    say_duration(left_ms, left, sizeof(left));
    (void)snprintf(why->sentence, why->room, "the share is %.2f %% and goes %s to the stage's %.2f %% within %s",
                   share / 100.0, share > state->plan.percent ? "down" : "back up", state->plan.percent / 100.0, left);
    return true;
}

/* "; and 12 min of the hold are left", or nothing. */
static void say_hold(const struct why *why, const char *before, char *text, size_t room)
{
    uint64_t held_ms = why->state->plan.held_ms;
    char left[40];
    text[0] = '\0';
    if (held_ms >= why->stage->hold_ms)
        return;
    say_duration(why->stage->hold_ms - held_ms, left, sizeof(left));
    (void)snprintf(text, room, "%s%s of the hold are left", before, left);
}

static bool lacks_evidence(const struct why *why)
{
    const struct gate_report *report = &why->state->report;
    const struct gate_result *gate = &report->gate[report->decisive];
    char hold[80];
    if (report->verdict == VERDICT_PASS)
        return false;
    say_hold(why, "; and ", hold, sizeof(hold));
    if (report->verdict == VERDICT_FAIL)
        (void)snprintf(why->sentence, why->room, "gate %s has failed, and a person decides: %s",
                       gate_name(report->decisive), gate->sentence);
    else
        (void)snprintf(why->sentence, why->room, "gate %s is undecided: %s%s", gate_name(report->decisive),
                       gate->sentence, hold);
    return true;
}

static void say_passed(const struct why *why)
{
    char hold[80];
    say_hold(why, "", hold, sizeof(hold));
    if (hold[0] != '\0')
        (void)snprintf(why->sentence, why->room, "all gates pass, and %s", hold);
    else if (why->stage->confirm || why->stage->promotion != PROMOTION_AUTO)
        (void)snprintf(why->sentence, why->room, "all gates pass and the hold is over: a person has to promote (%s)",
                       why->stage->confirm ? "the stage says `confirm: true`" : "promotion is manual");
    else if (why->router->role == ROUTER_LEADER && !why->router->may_raise)
        (void)snprintf(why->sentence, why->room, "all gates pass and the hold is over, but nothing is raised yet: %s",
                       why->router->why_not_raise != NULL ? why->router->why_not_raise : "the fleet is not settled");
    else
        (void)snprintf(why->sentence, why->room, "nothing: all gates pass and the hold is over");
}

bool route_state_why_not(const struct router *router, const struct route_state *state, char *sentence, size_t room)
{
    const struct why why = {router, state, plan_stage(&state->plan, state->config), sentence, room};
    if (why.stage == NULL || state->plan.phase == PLAN_DONE || state->plan.phase == PLAN_FIXED)
        return false;
    if (is_stopped(&why) || (state->fleet.holds && route_state_fleet_why_not(router, state, sentence, room)) ||
        has_no_traffic(&why) || is_on_its_way(&why) || route_state_fleet_why_not(router, state, sentence, room) ||
        lacks_evidence(&why))
        return true;
    say_passed(&why);
    return true;
}
