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
 * without a trip end the row. Control thread only.
 */
#ifndef SHUNT_ROUTER_BREAKER_H
#define SHUNT_ROUTER_BREAKER_H

#include "router/router.h"
#include "router/tally.h"
#include "router/window.h"

struct breaker {
    enum breaker_state state;
    uint32_t trips; /* in a row */
    uint32_t epoch;
    uint64_t since_ms;        /* entered the state */
    uint64_t half_open_at_ms; /* OPEN: end of the cooldown */
    uint64_t renew_at_ms;     /* HALF_OPEN: when lost permits are given out again */
    uint64_t runs_over;       /* error_runs_over of the new side at the last look */
    bool ran_over;            /* it grew at the last look */
    uint64_t run;             /* errors of the new side in a row, as far as it is certain over all workers */
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
 * p95 is not judged. breaker->why says why, after a change.
 */
enum breaker_change breaker_tick(struct breaker *breaker, const struct config_breaker *limits,
                                 const struct route_counters *sum, bool with_latency, const struct trial_totals *trials,
                                 uint64_t now_ms);

/* A person closes it, or it is closed with its plan's new start. */
void breaker_reset(struct breaker *breaker, const char *why, uint64_t now_ms);

/* Opens it again after a restart, for what was left of the cooldown. */
void breaker_reopen(struct breaker *breaker, uint32_t trips, uint64_t cooldown_left_ms, uint64_t now_ms);

/* The cooldown after `trips` in a row: doubled by each after the first, to one hour at most (or the file's, if longer).
 */
uint64_t breaker_cooldown_ms(const struct config_breaker *limits, uint32_t trips);

#endif
