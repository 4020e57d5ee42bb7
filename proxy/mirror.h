/*
 * A copy of a request under way to the other side, and the pair of responses that comes of it.
 *
 * It shares the request's bytes with the exchange (counted, not copied), never makes anybody wait, is never retried,
 * and is given up when it falls behind its bounds. It outlives the exchange when its answer is slower, and drops its
 * pair when the primary's answer is not to be had. Where the file names statuses it is held back until the primary has
 * answered. What all mirrors and pairs of a worker hold is bounded by the worker's part of limits.shadow_memory.
 *
 * Each request that was to be mirrored is counted under one final reason (router/counters.h), the first that applies.
 */
#ifndef SHUNT_PROXY_MIRROR_H
#define SHUNT_PROXY_MIRROR_H

#include "proxy/exchange.h"
#include "shadow/pair.h"

struct mirror;

/* Starts the copies the decision asks for, or counts why not; sets ex->mirror[]. `head` is the request head as it came,
 * ex->replay[0] what is sent to the primary. With `read_only: simulate` it only sets ex->simulated. */
void mirror_start(struct exchange *ex, const struct head *head);
/* The decision asked for a copy, but there will be none. */
void mirror_refused(struct exchange *ex, enum mirror_reason reason);
/* The exchange of which only would have been sent a copy is over: counts it, and logs what would have been sent. */
void mirror_simulated(struct exchange *ex);
/* For the functions below: the mirror takes itself out of ex->mirror[] when it has no more use for the exchange. */
/* The same bytes that go to the primary. */
void mirror_body(struct mirror *mirror, struct slice slice);
void mirror_body_end(struct mirror *mirror, struct text trailers);
/* The primary's response as it comes. */
void mirror_primary_head(struct mirror *mirror, unsigned status, struct text lines);
void mirror_primary_body(struct mirror *mirror, struct slice slice);
/* Behind the last of the body, before mirror_primary_end(). Never ends the mirror. */
void mirror_primary_trailers(struct mirror *mirror, struct text trailers);
/* The side that was asked first has failed and the other is asked: its status, or 0. */
void mirror_fell_back(struct mirror *mirror, unsigned status);
/* The exchange is over; the mirror forgets it. */
void mirror_primary_end(struct mirror *mirror, enum outcome_kind kind, uint64_t latency_us);

/* Gives up all copies of this worker under way; returns how many. */
uint32_t mirrors_cancel(struct worker *worker, enum mirror_reason reason);
/* The same, also of those that have their answer and wait for the primary's: nothing of copies is left but what the
 * compare thread has. Not from within a callback of an exchange or a copy. */
void mirrors_shed(struct worker *worker, enum mirror_reason reason);
/* Takes compared pairs back. Called now and then. */
void mirrors_reclaim(struct worker *worker);
/* Gives what only lies ready back to the system: for quiet times. */
void mirrors_trim(struct worker *worker);
void mirrors_done(struct worker *worker);

#endif
