/*
 * The compare thread and the bounded queues to it and back.
 *
 * Each worker has a single-producer single-consumer ring of pairs to the compare thread and another for the way back,
 * so that a worker never waits and never frees what another thread allocated. The compare thread sleeps when there is
 * nothing to do; waking it costs the worker at most one system call per few milliseconds, not one per pair. When it is
 * behind, comparer_submit() refuses and the worker counts MIRROR_QUEUE. What is under way is bounded twice: in pairs by
 * the capacity, and in bytes (comparer_set_bound()), so that large answers cannot pile up.
 */
#ifndef SHUNT_SHADOW_COMPARER_H
#define SHUNT_SHADOW_COMPARER_H

#include <stdbool.h>
#include <stdint.h>

#include "shadow/pair.h"
#include "shadow/report.h"

struct comparer;

/*
 * Starts the thread. `capacity`: pairs in each worker's ring, rounded up to a power of two. `report` is borrowed. NULL
 * on failure.
 */
struct comparer *comparer_start(uint32_t workers, uint32_t capacity, struct report *report);
/* What one pair may take, see compare_bound(). Before the first is submitted. */
void comparer_limit(struct comparer *comparer, const struct compare_bounds *bounds);
/*
 * Ends the thread after it has compared what is queued (bounded by `wait_ms`). Call it when the workers have ended,
 * then take every pair back with comparer_reclaim(), so that what their holders keep can be released; then
 * comparer_stop().
 */
void comparer_finish(struct comparer *comparer, uint64_t wait_ms);
/* Compares what is queued (bounded by `wait_ms`), ends the thread, frees all pairs still in the rings (not their
 * holders). NULL is fine. */
void comparer_stop(struct comparer *comparer, uint64_t wait_ms);

/* What pairs that `worker` has submitted and not taken back may hold, in bytes; 16 MiB at first. That worker's thread.
 */
void comparer_set_bound(struct comparer *comparer, uint32_t worker, size_t bytes);
/* Worker `worker` hands over a pair whose two captures have ended. False: the queue is full (in pairs or
 * in bytes), the pair is still the caller's. */
bool comparer_submit(struct comparer *comparer, uint32_t worker, struct pair *pair);
/* A pair that has been compared and is the worker's again, large buffers given back; NULL when there is none now. */
struct pair *comparer_reclaim(struct comparer *comparer, uint32_t worker);

#endif
