/*
 * A copy of a request under way to the other side, and the pair of responses that comes of it.
 *
 * It shares the request's bytes with the exchange (counted, not copied), never makes anybody wait, is never retried, and
 * is given up when it falls behind its bounds. It outlives the exchange when its answer is slower, and drops its pair when one
 * of the two answers is not to be had.
 */
#ifndef SHUNT_PROXY_MIRROR_H
#define SHUNT_PROXY_MIRROR_H

#include "proxy/exchange.h"
#include "shadow/pair.h"

struct mirror;

/* Starts the copies the decision asks for; sets ex->mirror[]. `head` is the request head as sent to the primary. */
void mirror_start(struct exchange *ex, const struct head *head);
/* The same bytes that go to the primary. */
void mirror_body(struct mirror *mirror, struct slice slice);
void mirror_body_end(struct mirror *mirror, struct text trailers);
/* The primary's response as it comes. */
void mirror_primary_head(struct mirror *mirror, unsigned status, struct text lines);
void mirror_primary_body(struct mirror *mirror, struct slice slice);
/* The exchange is over; the mirror forgets it. */
void mirror_primary_end(struct mirror *mirror, enum outcome_kind kind, uint64_t latency_us);

/* Gives up all copies of this worker under way; returns how many. */
uint32_t mirrors_cancel(struct worker *worker, enum mirror_reason reason);
/* Takes compared pairs back. Called now and then. */
void mirrors_reclaim(struct worker *worker);
/* Gives most spare pairs back to the system: for quiet times. */
void mirrors_trim(struct worker *worker);
void mirrors_done(struct worker *worker);

#endif
