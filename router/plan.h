/*
 * A route's plan: which stage, which share, and what may change them.
 *
 *                         promote (a person), or auto: pass for the whole hold
 *                     +------------------- next stage --------------------+
 *                     v                                                   |
 *   start ------> RUNNING ----------- last stage left ---------> DONE     |
 *                 |  ^  |  +----------------------------------------------+
 *           pause |  |  | rollback: a person, a failed gate (auto), the breaker's last trip; from anywhere
 *     set_percent |  |  v
 *                 v  |  ROLLED_BACK --- resume, restart ---> RUNNING at the first stage
 *             PAUSED-+ resume
 *
 * A route without stages is FIXED: its share is the file's, or what a person set until the file's changes. Rolled back,
 * it waits for `resume`, too. Every arrow is a function below; each changes nothing when it may not be taken.
 *
 * The share never goes up but by three things: a stage that passed, a person's verb, a fixed share edited in the file.
 */
#ifndef SHUNT_ROUTER_PLAN_H
#define SHUNT_ROUTER_PLAN_H

#include "config/config.h"
#include "router/router.h"

struct plan {
    enum plan_phase phase;
    uint32_t entries;         /* grows each time a stage, or another share, begins: evidence then begins anew */
    uint32_t stage;           /* index; of no meaning when FIXED */
    uint32_t percent;         /* share in force, of SHARE_ALL; 0 when ROLLED_BACK */
    uint32_t file_percent;    /* fixed routes: what the file said when it was last followed */
    uint64_t entered_wall_ms; /* the stage began */
    uint64_t held_ms;         /* time that counts for `hold` */
};

/* What a plan was before a reload or a restart, in words that outlive the configuration it came from. */
struct plan_past {
    struct plan plan;
    bool had_stages;
    const char *stage_name; /* borrowed; NULL without stages */
    uint32_t stage_percent; /* as that configuration had it */
};

/* A plan that begins. *plan is all zero or a former plan. */
void plan_start(struct plan *plan, const struct config_route *config, uint64_t wall_ms);

/* Takes an edited file into the plan: docs/plans.md has the rules. In the same stage plan->entries stays. */
void plan_adopt(struct plan *plan, const struct plan_past *past, const struct config_route *config, uint64_t wall_ms);
struct plan_past plan_past_of(const struct plan *plan, const struct config_route *config);

uint32_t plan_shadow(const struct plan *plan, const struct config_route *config);
uint64_t plan_hold_ms(const struct plan *plan, const struct config_route *config);       /* 0 for a fixed route */
const char *plan_stage_name(const struct plan *plan, const struct config_route *config); /* NULL for a fixed route */

/* Leaves the stage for the next one, or is done after the last. RUNNING only. */
void plan_advance(struct plan *plan, const struct config_route *config, uint64_t wall_ms);

/* The verbs: 0 or a negative errno with *why, and then nothing is changed. */
int plan_promote(struct plan *plan, const struct config_route *config, uint64_t wall_ms, const char **why);
int plan_pause(struct plan *plan, const char **why);
int plan_resume(struct plan *plan, const struct config_route *config, uint64_t wall_ms, const char **why);
int plan_roll_back(struct plan *plan, const char **why);
int plan_restart(struct plan *plan, const struct config_route *config, uint64_t wall_ms, const char **why);
int plan_set_percent(struct plan *plan, const struct config_route *config, uint32_t percent, uint64_t wall_ms,
                     const char **why);

#endif
