/*
 * Moves one plan through its phases. Control thread only; knows neither counters nor breakers: whether a stage may be
 * left is the gates' question, asked by the router before it calls plan_advance().
 */
#include "router/plan.h"

#include <errno.h>
#include <string.h>

static const char *const phase_names[PLAN_PHASES] = {
    [PLAN_FIXED] = "fixed", [PLAN_RUNNING] = "running", [PLAN_PAUSED] = "paused", [PLAN_ROLLED_BACK] = "rolled_back",
    [PLAN_DONE] = "done",   [PLAN_WAITING] = "waiting", [PLAN_FROZEN] = "frozen",
};

const char *plan_phase_name(enum plan_phase phase)
{
    return (unsigned)phase < PLAN_PHASES ? phase_names[phase] : "unknown";
}

static int refuse(int error, const char *reason, const char **why)
{
    *why = reason;
    return -error;
}

/* ---- the one door into a stage ---- */

static void enter_stage(struct plan *plan, const struct config_route *config, uint32_t stage, uint64_t wall_ms)
{
    plan->phase = PLAN_RUNNING;
    plan->entries++;
    plan->stage = stage;
    plan->percent = config->stages[stage].percent;
    plan->held_ms = 0;
    plan->entered_wall_ms = wall_ms;
}

static void follow_file(struct plan *plan, const struct config_route *config, uint64_t wall_ms)
{
    plan->phase = PLAN_FIXED;
    plan->entries++;
    plan->stage = 0;
    plan->percent = config->percent;
    plan->file_percent = config->percent;
    plan->held_ms = 0;
    plan->entered_wall_ms = wall_ms;
}

void plan_start(struct plan *plan, const struct config_route *config, uint64_t wall_ms)
{
    if (config->stage_count > 0)
        enter_stage(plan, config, 0, wall_ms);
    else
        follow_file(plan, config, wall_ms);
}

/* ---- questions ---- */

static const struct config_stage *current_stage(const struct plan *plan, const struct config_route *config)
{
    return plan->stage < config->stage_count ? &config->stages[plan->stage] : NULL;
}

uint32_t plan_shadow(const struct plan *plan, const struct config_route *config)
{
    const struct config_stage *stage = current_stage(plan, config);
    return stage != NULL ? stage->shadow : config->shadow.percent;
}

uint64_t plan_hold_ms(const struct plan *plan, const struct config_route *config)
{
    const struct config_stage *stage = current_stage(plan, config);
    return stage != NULL ? stage->hold_ms : 0;
}

const char *plan_stage_name(const struct plan *plan, const struct config_route *config)
{
    const struct config_stage *stage = current_stage(plan, config);
    return stage != NULL ? stage->name : NULL;
}

struct plan_past plan_past_of(const struct plan *plan, const struct config_route *config)
{
    const struct config_stage *stage = current_stage(plan, config);
    return (struct plan_past){
        .plan = *plan,
        .had_stages = config->stage_count > 0,
        .stage_name = stage != NULL ? stage->name : NULL,
        .stage_percent = stage != NULL ? stage->percent : config->percent,
    };
}

/* ---- an edited file ---- */

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

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
        follow_file(plan, config, wall_ms);
    }
}

static void adopt_other_stage(struct plan *plan, const struct config_route *config, uint64_t wall_ms)
{
    uint32_t share = plan->percent;
    enum plan_phase phase = plan->phase;
    enter_stage(plan, config, stage_of_share(config, share), wall_ms);
    if (phase == PLAN_PAUSED || phase == PLAN_ROLLED_BACK)
        plan->phase = phase;
    plan->percent = phase == PLAN_PAUSED ? share : smaller(share, plan->percent);
}

static void adopt_same_stage(struct plan *plan, const struct plan_past *past, const struct config_route *config,
                             uint32_t stage)
{
    plan->stage = stage;
    bool edited = config->stages[stage].percent != past->stage_percent;
    if (plan->phase != PLAN_PAUSED || edited)
        plan->percent = smaller(plan->percent, config->stages[stage].percent);
    bool held_enough = stage + 1 == config->stage_count && plan->percent == config->stages[stage].percent;
    if (plan->phase == PLAN_DONE && !held_enough)
        plan->phase = PLAN_RUNNING;
}

void plan_adopt(struct plan *plan, const struct plan_past *past, const struct config_route *config, uint64_t wall_ms)
{
    *plan = past->plan;
    if (config->stage_count == 0) {
        adopt_fixed(plan, past, config, wall_ms);
        return;
    }
    if (plan->phase == PLAN_FIXED)
        plan->phase = PLAN_RUNNING;
    uint32_t stage = past->had_stages ? stage_of_name(config, past->stage_name, plan->stage) : config->stage_count;
    if (stage == config->stage_count)
        adopt_other_stage(plan, config, wall_ms);
    else
        adopt_same_stage(plan, past, config, stage);
}

/* ---- verbs ---- */

void plan_advance(struct plan *plan, const struct config_route *config, uint64_t wall_ms)
{
    if (plan->percent < config->stages[plan->stage].percent)
        enter_stage(plan, config, plan->stage,
                    wall_ms); /* the file raised this stage's share: it was not reached yet */
    else if (plan->stage + 1 < config->stage_count)
        enter_stage(plan, config, plan->stage + 1, wall_ms);
    else
        plan->phase = PLAN_DONE;
}

static const char *const no_stages = "the route has a fixed share and no stages: use set-percent or rollback";

int plan_promote(struct plan *plan, const struct config_route *config, uint64_t wall_ms, const char **why)
{
    switch (plan->phase) {
    case PLAN_RUNNING:
        plan_advance(plan, config, wall_ms);
        return 0;
    case PLAN_PAUSED:
        return refuse(EPERM, "the plan is paused: resume it first", why);
    case PLAN_ROLLED_BACK:
        return refuse(EPERM, "the plan is rolled back: resume it first", why);
    case PLAN_DONE:
        return refuse(EALREADY, "the plan is done: there is no stage after the last", why);
    case PLAN_FIXED:
    case PLAN_WAITING:
    case PLAN_FROZEN:
    case PLAN_PHASES:
        break;
    }
    return refuse(EPERM, no_stages, why);
}

int plan_pause(struct plan *plan, const char **why)
{
    switch (plan->phase) {
    case PLAN_RUNNING:
        plan->phase = PLAN_PAUSED;
        return 0;
    case PLAN_PAUSED:
        return refuse(EALREADY, "the plan is paused already", why);
    case PLAN_ROLLED_BACK:
        return refuse(EPERM, "the plan is rolled back: nothing advances until it is resumed", why);
    case PLAN_DONE:
        return refuse(EPERM, "the plan is done: nothing advances any more", why);
    case PLAN_FIXED:
    case PLAN_WAITING:
    case PLAN_FROZEN:
    case PLAN_PHASES:
        break;
    }
    return refuse(EPERM, no_stages, why);
}

static int resume_paused(struct plan *plan, const struct config_route *config, uint64_t wall_ms)
{
    if (plan->percent == config->stages[plan->stage].percent)
        plan->phase = PLAN_RUNNING; /* the stage goes on: its hold and evidence count */
    else
        enter_stage(plan, config, plan->stage, wall_ms);
    return 0;
}

int plan_resume(struct plan *plan, const struct config_route *config, uint64_t wall_ms, const char **why)
{
    switch (plan->phase) {
    case PLAN_PAUSED:
        return resume_paused(plan, config, wall_ms);
    case PLAN_ROLLED_BACK:
        plan_start(plan, config, wall_ms);
        return 0;
    case PLAN_RUNNING:
    case PLAN_DONE:
    case PLAN_FIXED:
    case PLAN_WAITING:
    case PLAN_FROZEN:
    case PLAN_PHASES:
        break;
    }
    return refuse(EALREADY, "the plan is neither paused nor rolled back", why);
}

int plan_roll_back(struct plan *plan, const char **why)
{
    if (plan->phase == PLAN_ROLLED_BACK)
        return refuse(EALREADY, "the plan is rolled back already", why);
    plan->phase = PLAN_ROLLED_BACK;
    plan->percent = 0;
    return 0;
}

int plan_restart(struct plan *plan, const struct config_route *config, uint64_t wall_ms, const char **why)
{
    if (config->stage_count == 0)
        return refuse(EPERM, "the route has a fixed share and no stages: use resume", why);
    enter_stage(plan, config, 0, wall_ms);
    return 0;
}

int plan_set_percent(struct plan *plan, const struct config_route *config, uint32_t percent, uint64_t wall_ms,
                     const char **why)
{
    if (percent > SHARE_ALL)
        return refuse(EINVAL, "the percentage is above 100", why);
    if (plan->phase == PLAN_ROLLED_BACK)
        return refuse(EPERM, "the plan is rolled back: resume it first", why);
    if (percent == plan->percent && (plan->phase == PLAN_PAUSED || plan->phase == PLAN_FIXED))
        return refuse(EALREADY, "that is the share already", why);
    if (plan->phase != PLAN_FIXED) {
        uint32_t stage = stage_of_share(config, percent);
        if (config->stages[stage].percent == config->stages[plan->stage].percent)
            stage = plan->stage;
        if (stage != plan->stage || percent != plan->percent) {
            plan->stage = stage;
            plan->entries++;
            plan->held_ms = 0;
            plan->entered_wall_ms = wall_ms;
        }
        plan->phase = PLAN_PAUSED;
    }
    plan->percent = percent;
    return 0;
}
