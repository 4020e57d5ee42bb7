/*
 * Moves one plan through its phases. Control thread only; knows neither counters nor breakers: whether a stage may be
 * left is the gates' question, asked by the router before it calls plan_advance(), and so is whether it has failed.
 */
#include "router/plan.h"

#include <errno.h>
#include <string.h>

enum {
    RAMP_STEPS = 10
};

static const char *const phase_names[PLAN_PHASES] = {
    [PLAN_FIXED] = "fixed", [PLAN_RUNNING] = "running", [PLAN_PAUSED] = "paused", [PLAN_ROLLED_BACK] = "rolled_back",
    [PLAN_DONE] = "done",   [PLAN_WAITING] = "waiting", [PLAN_FROZEN] = "frozen",
};

const char *plan_phase_name(enum plan_phase phase)
{
    return (unsigned)phase < PLAN_PHASES ? phase_names[phase] : "unknown";
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* ---- the one door into a stage ---- */

static void begin_anew(struct plan *plan, uint32_t stage, uint32_t percent, uint64_t wall_ms)
{
    plan->entries++;
    plan->stage = stage;
    plan->percent = percent;
    plan->held_ms = 0;
    plan->entered_wall_ms = wall_ms;
    plan->deadline_over = false;
    plan->ramp = (struct plan_ramp){0};
}

static void enter_stage(struct plan *plan, const struct config_route *config, uint32_t stage, uint64_t wall_ms)
{
    plan->phase = PLAN_RUNNING;
    begin_anew(plan, stage, config->stages[stage].percent, wall_ms);
}

static void follow_file(struct plan *plan, const struct config_route *config, uint64_t wall_ms)
{
    plan->phase = PLAN_FIXED;
    plan->file_percent = config->percent;
    begin_anew(plan, 0, config->percent, wall_ms);
}

/* A person vouches for the plan: what it failed at before is forgotten. */
static void forgive(struct plan *plan)
{
    plan->steps_back = 0;
    plan->fell_from = 0;
}

static void begin_at_first(struct plan *plan, const struct config_route *config, uint64_t wall_ms)
{
    forgive(plan);
    if (config->stage_count > 0)
        enter_stage(plan, config, 0, wall_ms);
    else
        follow_file(plan, config, wall_ms);
}

void plan_begin(struct plan *plan, const struct config_route *config, uint64_t wall_ms)
{
    begin_at_first(plan, config, wall_ms);
    if (config->stage_count > 0 && config->start_by_hand) {
        plan->phase = PLAN_WAITING;
        plan->percent = 0;
    }
}

/* ---- questions ---- */

const struct config_stage *plan_stage(const struct plan *plan, const struct config_route *config)
{
    return plan->stage < config->stage_count ? &config->stages[plan->stage] : NULL;
}

uint32_t plan_shadow(const struct plan *plan, const struct config_route *config)
{
    const struct config_stage *stage = plan_stage(plan, config);
    if (plan->phase == PLAN_WAITING)
        return 0;
    return stage != NULL ? stage->shadow : config->shadow.percent;
}

uint64_t plan_hold_ms(const struct plan *plan, const struct config_route *config)
{
    const struct config_stage *stage = plan_stage(plan, config);
    return stage != NULL ? stage->hold_ms : 0;
}

const char *plan_stage_name(const struct plan *plan, const struct config_route *config)
{
    const struct config_stage *stage = plan_stage(plan, config);
    return stage != NULL ? stage->name : NULL;
}

/* The first step is taken at once and the last when the time is over. */
uint32_t plan_share(const struct plan *plan)
{
    const struct plan_ramp *ramp = &plan->ramp;
    if (ramp->length_ms == 0 || ramp->from <= plan->percent)
        return plan->percent;
    uint64_t step_ms = (ramp->length_ms + RAMP_STEPS - 2) / (RAMP_STEPS - 1);
    uint64_t steps = (ramp->left_ms + step_ms - 1) / step_ms;
    return plan->percent + (uint32_t)((ramp->from - plan->percent) * steps / RAMP_STEPS);
}

bool plan_deadline(const struct plan *plan, const struct config_route *config, uint64_t *at_ms)
{
    const struct config_stage *stage = plan_stage(plan, config);
    bool runs = plan->phase == PLAN_RUNNING || plan->phase == PLAN_PAUSED || plan->phase == PLAN_FROZEN;
    if (!runs || stage == NULL || stage->deadline_ms == 0 || plan->deadline_over)
        return false;
    *at_ms = plan->entered_wall_ms + stage->deadline_ms;
    return true;
}

struct plan_past plan_past_of(const struct plan *plan, const struct config_route *config)
{
    const struct config_stage *stage = plan_stage(plan, config);
    return (struct plan_past){
        .plan = *plan,
        .had_stages = config->stage_count > 0,
        .stage_name = stage != NULL ? stage->name : NULL,
        .stage_percent = stage != NULL ? stage->percent : config->percent,
    };
}

/* ---- an edited file ---- */

/* The stage of the same name, preferably at the same place; stage_count when there is none. */
static uint32_t stage_of_name(const struct config_route *config, const char *name, uint32_t place)
{
    if (name == NULL)
        return config->stage_count;
    if (place < config->stage_count && strcmp(config->stages[place].name, name) == 0)
        return place;
    for (uint32_t i = 0; i < config->stage_count; i++)
        if (strcmp(config->stages[i].name, name) == 0)
            return i;
    return config->stage_count;
}

/* The stage with the largest share not above `percent`, the first of equals so that none is skipped; else the first of
 * all. */
static uint32_t stage_of_share(const struct config_route *config, uint32_t percent)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < config->stage_count; i++) {
        uint32_t share = config->stages[i].percent;
        if (share <= percent && (share > config->stages[best].percent || config->stages[best].percent > percent))
            best = i;
    }
    return best;
}

static void adopt_fixed(struct plan *plan, const struct plan_past *past, const struct config_route *config,
                        uint64_t wall_ms)
{
    if (past->plan.phase == PLAN_ROLLED_BACK) {
        plan->stage = 0;
        plan->file_percent = config->percent;
    } else if (past->had_stages || past->plan.file_percent != config->percent) {
        forgive(plan);
        follow_file(plan, config, wall_ms);
    }
}

/* Does a person, or the plan until a person comes, hold the share where it is? */
static bool is_held(enum plan_phase phase)
{
    return phase == PLAN_PAUSED || phase == PLAN_FROZEN;
}

static void adopt_other_stage(struct plan *plan, const struct config_route *config, uint64_t wall_ms)
{
    uint32_t share = plan->percent;
    enum plan_phase phase = plan->phase;
    struct plan_ramp ramp = plan->ramp;
    enter_stage(plan, config, stage_of_share(config, share), wall_ms);
    if (is_held(phase) || phase == PLAN_ROLLED_BACK)
        plan->phase = phase;
    plan->percent = is_held(phase) ? share : smaller(share, plan->percent);
    plan->ramp = ramp;
}

static void adopt_same_stage(struct plan *plan, const struct plan_past *past, const struct config_route *config,
                             uint32_t stage, uint64_t wall_ms)
{
    plan->stage = stage;
    bool edited = past->stage_percent != SHARE_UNKNOWN && past->stage_percent != config->stages[stage].percent;
    if (!is_held(plan->phase) || edited)
        plan->percent = smaller(plan->percent, config->stages[stage].percent);
    bool held_enough = stage + 1 == config->stage_count && plan->percent == config->stages[stage].percent;
    if (plan->phase == PLAN_DONE && !held_enough) {
        plan->phase = PLAN_RUNNING;
        plan->entered_wall_ms = wall_ms; /* its deadline does not count the time it was done */
    }
}

void plan_adopt(struct plan *plan, const struct plan_past *past, const struct config_route *config, uint64_t wall_ms)
{
    *plan = past->plan;
    if (config->stage_count == 0) {
        adopt_fixed(plan, past, config, wall_ms);
        return;
    }
    if (plan->phase == PLAN_WAITING) {
        plan->stage = 0; /* whatever the file says now: it takes a person */
        return;
    }
    if (plan->phase == PLAN_FIXED)
        plan->phase = PLAN_RUNNING;
    uint32_t stage = past->had_stages ? stage_of_name(config, past->stage_name, plan->stage) : config->stage_count;
    if (stage == config->stage_count)
        adopt_other_stage(plan, config, wall_ms);
    else
        adopt_same_stage(plan, past, config, stage, wall_ms);
}

/* ---- by itself ---- */

void plan_pass_time(struct plan *plan, uint64_t elapsed_ms)
{
    struct plan_ramp *ramp = &plan->ramp;
    ramp->left_ms = ramp->left_ms > elapsed_ms ? ramp->left_ms - elapsed_ms : 0;
    if (ramp->left_ms == 0)
        plan_end_ramp(plan);
}

void plan_end_ramp(struct plan *plan)
{
    plan->ramp = (struct plan_ramp){0};
}

void plan_advance(struct plan *plan, const struct config_route *config, uint64_t wall_ms)
{
    if (plan->percent < config->stages[plan->stage].percent)
        enter_stage(plan, config, plan->stage,
                    wall_ms); /* the file raised this stage's share: it was not reached yet */
    else if (plan->stage + 1 < config->stage_count)
        enter_stage(plan, config, plan->stage + 1, wall_ms);
    else
        plan->phase = PLAN_DONE;
    if (plan->phase == PLAN_DONE || plan->percent > plan->fell_from)
        forgive(plan);
}

static void ramp_down(struct plan *plan, uint32_t from, uint64_t length_ms)
{
    if (from > plan->percent && length_ms > 0)
        plan->ramp = (struct plan_ramp){from, length_ms, length_ms};
}

static const char *fall_to_zero(struct plan *plan, uint32_t share, uint64_t ramp_ms)
{
    plan->phase = PLAN_ROLLED_BACK;
    plan->percent = 0;
    plan->ramp = (struct plan_ramp){0};
    ramp_down(plan, share, ramp_ms);
    return "rollback";
}

static const char *step_back(struct plan *plan, const struct config_route *config, uint32_t share, uint64_t wall_ms)
{
    const struct config_on_failure *rule = &config->on_failure;
    if (plan->phase == PLAN_FIXED || plan->stage == 0 || plan->steps_back >= rule->retries)
        return fall_to_zero(plan, share, rule->ramp_ms);
    uint32_t percent = plan->percent;
    enum plan_phase phase = plan->phase;
    enter_stage(plan, config, plan->stage - 1, wall_ms);
    plan->percent = smaller(percent, plan->percent);
    if (phase == PLAN_PAUSED)
        plan->phase = phase; /* it was a person who stopped it */
    plan->steps_back++;
    if (plan->fell_from < percent)
        plan->fell_from = percent;
    ramp_down(plan, share, rule->ramp_ms);
    return "step_back";
}

const char *plan_fall(struct plan *plan, const struct config_route *config, enum config_failure_to to, uint32_t share,
                      uint64_t wall_ms)
{
    if (plan->phase == PLAN_WAITING || plan->phase == PLAN_FROZEN || plan->phase == PLAN_ROLLED_BACK)
        return NULL;
    switch (to) {
    case FAILURE_ZERO:
        return fall_to_zero(plan, share, config->on_failure.ramp_ms);
    case FAILURE_PREVIOUS:
        return step_back(plan, config, share, wall_ms);
    case FAILURE_FREEZE:
        if (plan->phase == PLAN_FIXED)
            return NULL;
        plan->phase = PLAN_FROZEN;
        return "freeze";
    case FAILURE_TELL:
        break;
    }
    return NULL;
}

/* ---- verbs ---- */

enum plan_verb {
    DO_START,
    DO_PROMOTE,
    DO_PAUSE,
    DO_FREEZE,
    DO_RESUME,
    DO_ROLL_BACK,
    DO_RESTART,
    DO_SET_PERCENT,
    PLAN_VERBS
};

#define NO_STAGES      "the route has a fixed share and no stages: use set-percent or rollback"
#define IS_WAITING     "the plan has not been started: start it first"
#define IS_PAUSED      "the plan is paused: resume it first"
#define IS_FROZEN      "the plan is frozen: resume it first"
#define IS_ROLLED_BACK "the plan is rolled back: resume it first"

/* What each verb says where it may not be used; why NULL: it may. */
static const struct refusal {
    int error;
    const char *why;
} refusals[PLAN_VERBS][PLAN_PHASES] = {
    [DO_START] = {[PLAN_FIXED] = {EPERM, NO_STAGES},
                  [PLAN_RUNNING] = {EALREADY, "the plan runs already"},
                  [PLAN_PAUSED] = {EALREADY, "the plan has been started and is paused: resume it"},
                  [PLAN_FROZEN] = {EALREADY, "the plan has been started and is frozen: resume it"},
                  [PLAN_ROLLED_BACK] = {EALREADY, "the plan has been started and is rolled back: resume it"},
                  [PLAN_DONE] = {EALREADY, "the plan is done"}},
    [DO_PROMOTE] = {[PLAN_FIXED] = {EPERM, NO_STAGES},
                    [PLAN_WAITING] = {EPERM, IS_WAITING},
                    [PLAN_PAUSED] = {EPERM, IS_PAUSED},
                    [PLAN_FROZEN] = {EPERM, IS_FROZEN},
                    [PLAN_ROLLED_BACK] = {EPERM, IS_ROLLED_BACK},
                    [PLAN_DONE] = {EALREADY, "the plan is done: there is no stage after the last"}},
    [DO_PAUSE] = {[PLAN_FIXED] = {EPERM, NO_STAGES},
                  [PLAN_WAITING] = {EPERM, "the plan has not been started: nothing advances"},
                  [PLAN_PAUSED] = {EALREADY, "the plan is paused already"},
                  [PLAN_FROZEN] = {EPERM, "the plan is frozen: nothing advances until it is resumed"},
                  [PLAN_ROLLED_BACK] = {EPERM, "the plan is rolled back: nothing advances until it is resumed"},
                  [PLAN_DONE] = {EPERM, "the plan is done: nothing advances any more"}},
    [DO_FREEZE] = {[PLAN_FIXED] = {EPERM, NO_STAGES},
                   [PLAN_WAITING] = {EPERM, "the plan has not been started: there is no share to freeze"},
                   [PLAN_FROZEN] = {EALREADY, "the plan is frozen already"},
                   [PLAN_ROLLED_BACK] = {EPERM, "the plan is rolled back: there is no share to freeze"},
                   [PLAN_DONE] = {EPERM, "the plan is done: nothing advances any more"}},
    [DO_RESUME] = {[PLAN_FIXED] = {EALREADY, "the route is not rolled back"},
                   [PLAN_WAITING] = {EPERM, IS_WAITING},
                   [PLAN_RUNNING] = {EALREADY, "the plan is neither paused, frozen nor rolled back"},
                   [PLAN_DONE] = {EALREADY, "the plan is neither paused, frozen nor rolled back"}},
    [DO_ROLL_BACK] = {[PLAN_ROLLED_BACK] = {EALREADY, "the plan is rolled back already"}},
    [DO_RESTART] = {[PLAN_FIXED] = {EPERM, "the route has a fixed share and no stages: use resume"},
                    [PLAN_WAITING] = {EPERM, IS_WAITING}},
    [DO_SET_PERCENT] = {[PLAN_WAITING] = {EPERM, IS_WAITING}, [PLAN_ROLLED_BACK] = {EPERM, IS_ROLLED_BACK}},
};

static int refuse(int error, const char *reason, const char **why)
{
    *why = reason;
    return -error;
}

static int ask(const struct plan *plan, enum plan_verb verb, const char **why)
{
    const struct refusal *refusal = &refusals[verb][plan->phase];
    return refusal->why != NULL ? refuse(refusal->error, refusal->why, why) : 0;
}

int plan_start(struct plan *plan, const struct config_route *config, uint64_t wall_ms, const char **why)
{
    int result = ask(plan, DO_START, why);
    if (result == 0)
        begin_at_first(plan, config, wall_ms);
    return result;
}

int plan_promote(struct plan *plan, const struct config_route *config, uint64_t wall_ms, const char **why)
{
    int result = ask(plan, DO_PROMOTE, why);
    if (result == 0)
        plan_advance(plan, config, wall_ms);
    return result;
}

int plan_pause(struct plan *plan, const char **why)
{
    int result = ask(plan, DO_PAUSE, why);
    if (result == 0)
        plan->phase = PLAN_PAUSED;
    return result;
}

int plan_freeze(struct plan *plan, const char **why)
{
    int result = ask(plan, DO_FREEZE, why);
    if (result == 0)
        plan->phase = PLAN_FROZEN;
    return result;
}

int plan_resume(struct plan *plan, const struct config_route *config, uint64_t wall_ms, const char **why)
{
    int result = ask(plan, DO_RESUME, why);
    if (result != 0)
        return result;
    if (plan->phase == PLAN_ROLLED_BACK)
        begin_at_first(plan, config, wall_ms);
    else if (plan->phase == PLAN_PAUSED && plan->percent == config->stages[plan->stage].percent)
        plan->phase = PLAN_RUNNING; /* the stage goes on: its hold and evidence count */
    else
        enter_stage(plan, config, plan->stage, wall_ms);
    return 0;
}

int plan_roll_back(struct plan *plan, const char **why)
{
    bool on_the_way = plan->phase == PLAN_ROLLED_BACK && plan->ramp.length_ms > 0;
    int result = on_the_way ? 0 : ask(plan, DO_ROLL_BACK, why);
    if (result == 0)
        (void)fall_to_zero(plan, 0, 0);
    return result;
}

int plan_restart(struct plan *plan, const struct config_route *config, uint64_t wall_ms, const char **why)
{
    if (config->stage_count == 0)
        return refuse(EPERM, refusals[DO_RESTART][PLAN_FIXED].why, why);
    int result = ask(plan, DO_RESTART, why);
    if (result == 0)
        begin_at_first(plan, config, wall_ms);
    return result;
}

/* The stage of that share: the one it is in, where that has it, too. */
static uint32_t stage_to_set(const struct plan *plan, const struct config_route *config, uint32_t percent)
{
    uint32_t stage = stage_of_share(config, percent);
    return config->stages[stage].percent == config->stages[plan->stage].percent ? plan->stage : stage;
}

int plan_set_percent(struct plan *plan, const struct config_route *config, uint32_t percent, uint64_t wall_ms,
                     const char **why)
{
    if (percent > SHARE_ALL)
        return refuse(EINVAL, "the percentage is above 100: expected 0 to 100 with up to two decimals", why);
    int result = ask(plan, DO_SET_PERCENT, why);
    if (result != 0)
        return result;
    bool holds = is_held(plan->phase) || plan->phase == PLAN_FIXED;
    if (holds && percent == plan->percent && plan->ramp.length_ms == 0)
        return refuse(EALREADY, "that is the share already", why);
    forgive(plan);
    plan->ramp = (struct plan_ramp){0};
    if (plan->phase == PLAN_FIXED) {
        plan->percent = percent;
        return 0;
    }
    uint32_t stage = stage_to_set(plan, config, percent);
    if (stage != plan->stage || percent != plan->percent)
        begin_anew(plan, stage, percent, wall_ms);
    if (!is_held(plan->phase))
        plan->phase = PLAN_PAUSED;
    return 0;
}
