/*
 * The breaker: may the new side of this route have live traffic now?
 *
 *              too many failures (a trip)                    cooldown over
 *   CLOSED ------------------------------------> OPEN ------------------------> HALF_OPEN
 *     ^  ^                                       | ^                             |    |
 *     |  +-------- a person, or the file --------+ +------- a trial failed ------+    |
 *     |                                                     (a trip, too)             |
 *     +------------------------------ enough trials succeeded ------------------------+
 *
 * Every arrow is taken in breaker_tick(), but for a person's: breaker_reset(). Each starts a new epoch, by which the
 * workers know which permits, trials and runs of errors are over. Trips in a row double the cooldown; ten windows
 * without a trip end the row. After a recovery new's share grows back in ten steps: breaker_share(). Control thread
 * only.
 */
#ifndef SHUNT_ROUTER_BREAKER_H
#define SHUNT_ROUTER_BREAKER_H

#include "router/router.h"
#include "router/tally.h"
#include "router/window.h"

enum {
    BREAKER_RAMP_STEPS = 10
};

struct breaker {
    enum breaker_state state;
    uint32_t trips; /* in a row */
    uint32_t epoch;
    uint64_t since_ms;                 /* entered the state; CLOSED: later by what the process slept since */
    uint64_t half_open_at_ms;          /* OPEN: end of the cooldown */
    uint64_t renew_at_ms;              /* HALF_OPEN: when lost permits are given out again */
    uint64_t patience_ms;              /* HALF_OPEN: how long they are waited for the next time */
    bool ramping;                      /* CLOSED: since_ms is when it recovered, and the share is not back yet */
    uint32_t ramp_step;                /* of BREAKER_RAMP_STEPS, at the last look */
    bool seeded;                       /* the cooldown is jittered */
    uint64_t chance;                   /* state of the generator for that */
    uint64_t runs_over;                /* error_runs_over of the new side at the last look */
    bool ran_over;                     /* it grew at the last look */
    uint64_t run;                      /* errors of the new side in a row, as far as it is certain over all workers */
    struct window_counts run_legacy;   /* what legacy did during the run */
    struct window_counts state_legacy; /* and since the state was entered */
    double legacy_p95_us;              /* at the last look with latency; 0: not known */
    struct window window;
    char why[200]; /* of the last change */
};

enum breaker_change {
    BREAKER_UNCHANGED,
    BREAKER_TRIPPED, /* CLOSED or HALF_OPEN -> OPEN */
    BREAKER_HALF_OPENED,
    BREAKER_RENEWED,   /* still HALF_OPEN, with fresh permits */
    BREAKER_RECOVERED, /* HALF_OPEN -> CLOSED */
    BREAKER_FORGAVE,   /* still CLOSED; the row of trips is over */
    BREAKER_RAMPED,    /* still CLOSED; breaker_share() has taken a step */
};

/* Finds memory for these limits; see window_reserve(). */
bool breaker_reserve(struct breaker *breaker, const struct config_breaker *limits);
/* Takes limits into use; a window of another shape starts empty. A breaker that is not enabled any more closes: true.
 */
bool breaker_configure(struct breaker *breaker, const struct config_breaker *limits, const struct route_counters *sum,
                       uint64_t now_ms);
void breaker_done(struct breaker *breaker);

/*
 * `sum` is NULL when no exchange has ended since the last look; without `with_latency` its histograms mean nothing, and
 * p95 is not judged. `marks` are those taken from the workers since the last look (tally_take_marks()); NULL: none.
 * breaker->why says why, after a change that is told to people.
 */
enum breaker_change breaker_tick(struct breaker *breaker, const struct config_breaker *limits,
                                 const struct route_counters *sum, bool with_latency, const struct marks *marks,
                                 const struct trial_totals *trials, uint64_t now_ms);

/* What tally_watch_slow() is to be told after each look: from when on an exchange of new is too slow for the limits. */
uint64_t breaker_slow_us(const struct breaker *breaker, const struct config_breaker *limits);

/*
 * What of the plan's share may be in force now. While it grows back after a recovery: one tenth of it at first, then a
 * tenth more with each tenth of `ramp`; else all of it, also while OPEN and HALF_OPEN, when the workers ask the state.
 */
uint32_t breaker_share(const struct breaker *breaker, const struct config_breaker *limits, uint32_t plan_share,
                       uint64_t now_ms);
/* How many of BREAKER_RAMP_STEPS it lets through now: 0 while it is not CLOSED. */
uint32_t breaker_step(const struct breaker *breaker, const struct config_breaker *limits, uint64_t now_ms);
/* So many steps of a share, rounded up: never is the first one nothing. */
uint32_t breaker_share_at(uint32_t step, uint32_t share);
/* Until the share is back; 0 when it is. */
uint64_t breaker_ramp_left_ms(const struct breaker *breaker, const struct config_breaker *limits, uint64_t now_ms);
/* Goes on with a ramp after a restart; CLOSED only. */
void breaker_resume_ramp(struct breaker *breaker, const struct config_breaker *limits, uint64_t left_ms,
                         uint64_t now_ms);

/* Nothing was served for so long up to now: that is no time in which new was well. A cooldown goes on. */
void breaker_slept(struct breaker *breaker, uint64_t slept_ms, uint64_t now_ms);

/* Cooldowns are from now on up to a fifth longer, by chance. Without it they are exact. */
void breaker_seed(struct breaker *breaker, uint64_t seed);

/* A person closes it, or it is closed with its plan's new start. */
void breaker_reset(struct breaker *breaker, const char *why, uint64_t now_ms);

/* Opens it again after a restart, for what was left of the cooldown. */
void breaker_reopen(struct breaker *breaker, uint32_t trips, uint64_t cooldown_left_ms, uint64_t now_ms);

/*
 * In a fleet (fleet_breaker.c). Opens it for somebody else's reason, or keeps it open, until half_open_at_ms, and so
 * for ever where that is moved on in time: no trip is counted. Closes it as after a recovery: its share grows back.
 */
void breaker_hold(struct breaker *breaker, const char *why, uint64_t half_open_at_ms, uint64_t now_ms);
void breaker_recover(struct breaker *breaker, const struct config_breaker *limits, const char *why, uint64_t now_ms);
/* Does a window like breaker->window, of all replicas say, cross the limits on errors and slow calls? By the same
 * rules, but for the parts of the window, which are not known. `marks` as in breaker_tick(). */
bool breaker_is_crossed(const struct config_breaker *limits, const struct window_counts window[SIDES],
                        const struct marks *marks, char *why, size_t room);
/* How long it must be closed without a trip for the row to end. */
uint64_t breaker_healthy_ms(const struct config_breaker *limits);

/* The cooldown after `trips` in a row: doubled by each after the first, to one hour at most (or the file's, if longer).
 */
uint64_t breaker_cooldown_ms(const struct config_breaker *limits, uint32_t trips);

#endif
