/*
 * router_command(): what people do to one route. Each verb is a row of the table: it asks the plan or the breaker,
 * which refuse by themselves where they must, and what came of it is told with who and why. Control thread only.
 */
#include "router/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "router/utf8.h"

struct order {
    struct router *router;
    struct route_state *state;
    const struct router_command *command;
    uint64_t now_ms;
    uint64_t wall_ms;
    json_t *evidence; /* what the stage had shown, for the event; owned until it is told */
};

static int refuse(int error, const char *reason, const char **why)
{
    *why = reason;
    return -error;
}

/* ---- the plan ---- */

static int start(struct order *order, const char **why)
{
    return plan_start(&order->state->plan, order->state->config, order->wall_ms, why);
}

/* What force does without. */
static int may_promote(const struct order *order, enum verdict verdict, const char **why)
{
    if (!router_judges(order->router))
        return refuse(
            EPERM,
            "another replica leads the fleet and knows what the gates say: ask that one (shuntctl fleet names "
            "it), or promote with force",
            why);
    if (verdict == VERDICT_FAIL)
        return refuse(EPERM, "a gate has failed: see status, or promote with force", why);
    if (verdict == VERDICT_UNDECIDED)
        return refuse(EPERM, "a gate is undecided: see status, or promote with force", why);
    if (order->state->breaker.state != BREAKER_CLOSED)
        return refuse(EPERM, "the breaker is not closed: wait for its trial, or promote with force", why);
    return 0;
}

/* A webhook's answer, which may be any bytes, is in what gates say. */
__attribute__((format(printf, 1, 2))) static json_t *sentence_json(const char *format, ...)
{
    char sentence[400];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    return utf8_json(sentence);
}

/* What stood in the way of a promotion by force, as sentences. */
static json_t *past_json(const struct route_state *state, const struct gate_report *report)
{
    json_t *past = json_array();
    for (int i = 0; i < GATES; i++) {
        const struct gate_result *gate = &report->gate[i];
        if (gate->applies && gate->verdict != VERDICT_PASS)
            (void)json_array_append_new(past, sentence_json("gate %s (%s): %s", gate_name((enum gate_kind)i),
                                                            verdict_name(gate->verdict), gate->sentence));
    }
    if (state->breaker.state != BREAKER_CLOSED)
        (void)json_array_append_new(
            past, sentence_json("the breaker (%s): %s", breaker_state_name(state->breaker.state), state->breaker.why));
    return past;
}

static int promote(struct order *order, const char **why)
{
    struct route_state *state = order->state;
    bool force = order->command->force;
    if (state->plan.phase == PLAN_RUNNING) {
        const struct judgement *judgement = router_judge(order->router, state, order->wall_ms);
        int result = force ? 0 : may_promote(order, judgement->report.verdict, why);
        if (result != 0)
            return result;
        order->evidence = judgement_json(judgement);
        if (force && order->evidence != NULL) {
            (void)json_object_set_new(order->evidence, "forced", json_true());
            (void)json_object_set_new(order->evidence, "past", past_json(state, &judgement->report));
        }
    }
    return plan_promote(&state->plan, state->config, order->wall_ms, why);
}

static int pause_plan(struct order *order, const char **why)
{
    return plan_pause(&order->state->plan, why);
}

static int freeze(struct order *order, const char **why)
{
    return plan_freeze(&order->state->plan, why);
}

/* A person who starts a rolled-back plan again has decided that new may be tried: the breaker starts closed, too. */
static int begin_again(const struct order *order, int result, enum plan_phase was)
{
    struct breaker *breaker = &order->state->breaker;
    if (result == 0 && was == PLAN_ROLLED_BACK && order->router->role != ROUTER_ALONE) {
        fleet_breaker_reset(&order->state->fleet.breaker, "the plan was started again by a person");
        return result;
    }
    if (result != 0 || was != PLAN_ROLLED_BACK || (breaker->state == BREAKER_CLOSED && breaker->trips == 0))
        return result;
    enum breaker_state state = breaker->state;
    uint32_t trips = breaker->trips;
    breaker_reset(breaker, "the plan was started again by a person", order->now_ms);
    route_state_tell_breaker(
        order->router, order->state, state, trips,
        &(struct change){"breaker_closed", order->command->who, breaker->why, order->wall_ms, NULL});
    return result;
}

static int resume(struct order *order, const char **why)
{
    struct plan *plan = &order->state->plan;
    enum plan_phase was = plan->phase;
    return begin_again(order, plan_resume(plan, order->state->config, order->wall_ms, why), was);
}

static int rollback(struct order *order, const char **why)
{
    return plan_roll_back(&order->state->plan, why);
}

static int restart(struct order *order, const char **why)
{
    struct plan *plan = &order->state->plan;
    enum plan_phase was = plan->phase;
    return begin_again(order, plan_restart(plan, order->state->config, order->wall_ms, why), was);
}

static int set_percent(struct order *order, const char **why)
{
    return plan_set_percent(&order->state->plan, order->state->config, order->command->percent, order->wall_ms, why);
}

/* ---- the breaker ---- */

static int reset_breaker(struct order *order, const char **why)
{
    struct breaker *breaker = &order->state->breaker;
    if (order->router->role != ROUTER_ALONE) { /* others may be open that we do not know of */
        fleet_breaker_reset(&order->state->fleet.breaker, "reset by a person");
        return 0;
    }
    bool ramps = breaker_ramp_left_ms(breaker, &order->state->config->breaker, order->now_ms) > 0;
    if (breaker->state == BREAKER_CLOSED && breaker->trips == 0 && !ramps)
        return refuse(EALREADY, "the breaker is closed and has no trips", why);
    breaker_reset(breaker, "reset by a person", order->now_ms);
    return 0;
}

/* ---- all ---- */

static const struct {
    const char *name;
    int (*act)(struct order *order, const char **why);
    bool on_breaker; /* its event shows the breaker, not the plan */
} verbs[] = {
    [VERB_PROMOTE] = {"promote", promote, false},
    [VERB_PAUSE] = {"pause", pause_plan, false},
    [VERB_RESUME] = {"resume", resume, false},
    [VERB_ROLLBACK] = {"rollback", rollback, false},
    [VERB_RESTART] = {"restart", restart, false},
    [VERB_SET_PERCENT] = {"set_percent", set_percent, false},
    [VERB_RESET_BREAKER] = {"reset_breaker", reset_breaker, true},
    [VERB_START] = {"start", start, false},
    [VERB_FREEZE] = {"freeze", freeze, false},
};

/* What may happen while the fleet cannot be reached: it takes nothing from what others know to be safe. */
static bool is_safe(const struct route_state *state, const struct router_command *command)
{
    return command->verb == VERB_PAUSE || command->verb == VERB_FREEZE || command->verb == VERB_ROLLBACK ||
           (command->verb == VERB_SET_PERCENT && command->percent <= state->plan.percent);
}

static int ask_fleet(const struct order *order, const struct route_before *before, const struct change *change)
{
    struct router *router = order->router;
    uint64_t ticket = order->command->ticket;
    bool is_cut_off = router->role == ROUTER_CUT_OFF;
    if (is_cut_off ||
        order->command->verb == VERB_ROLLBACK) /* here at once, whoever else changes it or does not answer */
        route_state_act_safely(router, order->state, before, is_cut_off ? 0 : ticket, change);
    else
        route_state_wish(router, order->state, before, WISH_PERSON, ticket, change);
    return is_cut_off ? 0 : ROUTER_ASKED;
}

static int act(struct order *order, const char **why)
{
    struct route_state *state = order->state;
    const struct router_command *command = order->command;
    const struct plan plan = state->plan;
    enum breaker_state breaker = state->breaker.state;
    uint32_t trips = state->breaker.trips;
    const struct route_before before = {state->plan, state->fleet.breaker};
    int result = verbs[command->verb].act(order, why);
    if (result != 0) {
        json_decref(order->evidence);
        return result;
    }
    struct change change = {
        .what = verbs[command->verb].name,
        .who = command->who,
        .why = command->reason != NULL ? command->reason : "no reason given",
        .wall_ms = order->wall_ms,
        .evidence = order->evidence,
    };
    if (order->router->role != ROUTER_ALONE)
        return ask_fleet(order, &before, &change);
    router_changed(order->router);
    router_settle_lent(order->router);
    if (verbs[command->verb].on_breaker)
        route_state_tell_breaker(order->router, state, breaker, trips, &change);
    else
        route_state_moved(order->router, state, &plan, &change);
    return 0;
}

int router_command(struct router *router, const struct router_command *command, uint64_t now_ms, uint64_t wall_ms,
                   const char **why)
{
    if ((unsigned)command->verb >= sizeof(verbs) / sizeof(verbs[0]))
        return refuse(EINVAL,
                      "there is no such verb; verbs are start, promote, pause, freeze, resume, rollback, restart, "
                      "set_percent, reset_breaker",
                      why);
    struct route_state *state = command->route != NULL ? router_find(router, command->route) : NULL;
    if (state == NULL)
        return refuse(ENOENT, "there is no route of that name: routes are those of the file that is in use", why);
    if (router->role == ROUTER_CUT_OFF && !is_safe(state, command))
        return refuse(
            ENOLINK,
            "the fleet cannot be reached, and this might raise a share: wait until Redis is there again; pause, "
            "freeze, rollback and a lower set-percent work meanwhile",
            why);
    struct order order = {router, state, command, now_ms, wall_ms, NULL};
    int result = act(&order, why);
    if (result == 0)
        router_follow_dependencies(router, wall_ms); /* in the same state that is saved next */
    return result;
}
