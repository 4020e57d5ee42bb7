/*
 * A route's plan: which stage, which share, and what may change them.
 *
 *                            promote (a person), or a pass for the whole hold
 *                        +--------------- next stage ---------------+
 *            start       v                                          |
 *   WAITING -------> RUNNING --------- last stage left ---------> DONE
 *                    |  ^  ^ |  +--- the stage before: on_failure previous
 *     pause, deadline|  |  | |  v
 *        set_percent v  |  | +-> RUNNING
 *                PAUSED-+  |
 *       freeze |   resume  | resume: the stage begins anew
 *              v           |
 *            FROZEN -------+         from everywhere: rollback (a person, the breaker's last trip), on_failure zero
 *                                        |
 *                                        v
 *                                   ROLLED_BACK --- resume, restart ---> RUNNING at the first stage
 *
 * A plan begins RUNNING at its first stage, or WAITING where the file says `start: manual`. A route without stages is
 * FIXED: its share is the file's, or what a person set until the file's changes. Rolled back, it waits for `resume`,
 * too. Every arrow is a function below; each changes nothing when it may not be taken.
 *
 * The share never goes up but by three things: a stage that passed, a person's verb, a fixed share edited in the file.
 */
#ifndef SHUNT_ROUTER_PLAN_H
#define SHUNT_ROUTER_PLAN_H

#include "config/config.h"
#include "router/router.h"

/* The way down after a failure: what the share is above the plan's own. It only ever falls. */
struct plan_ramp {
    uint32_t from;      /* of SHARE_ALL */
    uint64_t length_ms; /* 0: no ramp */
    uint64_t left_ms;
};

struct plan {
    enum plan_phase phase;
    uint32_t entries;         /* grows each time a stage, or another share, begins: evidence then begins anew */
    uint32_t stage;           /* index; of no meaning when FIXED */
    uint32_t percent;         /* the plan's share, of SHARE_ALL; 0 when ROLLED_BACK or WAITING */
    uint32_t file_percent;    /* fixed routes: what the file said when it was last followed */
    uint32_t steps_back;      /* in a row, by on_failure `previous` */
    uint32_t fell_from;       /* the largest share of that row; a share above it ends the row */
    uint64_t entered_wall_ms; /* the stage began */
    uint64_t held_ms;         /* time that counts for `hold` */
    bool deadline_over;       /* it has passed in this stage, and what it asks for has been done */
    struct plan_ramp ramp;
};

enum {
    SHARE_UNKNOWN = SHARE_ALL + 1
};

/* What a plan was before a reload or a restart, in words that outlive the configuration it came from. */
struct plan_past {
    struct plan plan;
    bool had_stages;
    const char *stage_name; /* borrowed; NULL without stages */
    uint32_t stage_percent; /* as that configuration had it; SHARE_UNKNOWN: nobody knows (router/replay.h) */
};

/* A plan that begins. *plan is all zero or a former plan. */
void plan_begin(struct plan *plan, const struct config_route *config, uint64_t wall_ms);

/* Takes an edited file into the plan: docs/plans.md has the rules. In the same stage plan->entries stays. */
void plan_adopt(struct plan *plan, const struct plan_past *past, const struct config_route *config, uint64_t wall_ms);
struct plan_past plan_past_of(const struct plan *plan, const struct config_route *config);

/* NULL for a fixed route. */
const struct config_stage *plan_stage(const struct plan *plan, const struct config_route *config);
const char *plan_stage_name(const struct plan *plan, const struct config_route *config);
uint64_t plan_hold_ms(const struct plan *plan, const struct config_route *config); /* 0 for a fixed route */
uint32_t plan_shadow(const struct plan *plan, const struct config_route *config);
/* The plan's share with the way down that is left, of SHARE_ALL: never below plan->percent. */
uint32_t plan_share(const struct plan *plan);
/* The wall clock at which the stage's deadline passes; false: it has none (any more). */
bool plan_deadline(const struct plan *plan, const struct config_route *config, uint64_t *at_ms);

/* Lets the way down go on. */
void plan_pass_time(struct plan *plan, uint64_t elapsed_ms);
/* The way down is over. */
void plan_end_ramp(struct plan *plan);

/* Leaves the stage for the next one, or is done after the last. RUNNING only. */
void plan_advance(struct plan *plan, const struct config_route *config, uint64_t wall_ms);

/*
 * Something failed: does `to`, with the ramp and the retries of config->on_failure. The way down begins at `share`,
 * that in force: where breaker or passthrough have taken it all, there is no way down. Returns the name of what was
 * done: "rollback", "step_back" or "freeze"; NULL when there was nothing to do (WAITING, FROZEN, ROLLED_BACK, or
 * FAILURE_TELL).
 */
const char *plan_fall(struct plan *plan, const struct config_route *config, enum config_failure_to to, uint32_t share,
                      uint64_t wall_ms);

/* The verbs: 0 or a negative errno with *why, and then nothing is changed. */
int plan_start(struct plan *plan, const struct config_route *config, uint64_t wall_ms, const char **why);
int plan_promote(struct plan *plan, const struct config_route *config, uint64_t wall_ms, const char **why);
int plan_pause(struct plan *plan, const char **why);
int plan_freeze(struct plan *plan, const char **why);
int plan_resume(struct plan *plan, const struct config_route *config, uint64_t wall_ms, const char **why);
/* At once: a way down that is under way ends, too. */
int plan_roll_back(struct plan *plan, const char **why);
int plan_restart(struct plan *plan, const struct config_route *config, uint64_t wall_ms, const char **why);
int plan_set_percent(struct plan *plan, const struct config_route *config, uint32_t percent, uint64_t wall_ms,
                     const char **why);

#endif
