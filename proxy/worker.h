/*
 * A worker: one thread, one event loop, its own listening sockets, upstream pools, buffers and counters.
 *
 * Control talks to it by messages only; nothing here is called on the worker's own thread except where it says so.
 */
#ifndef SHUNT_PROXY_WORKER_H
#define SHUNT_PROXY_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/drain.h"
#include "proxy/snapshot.h"
#include "proxy/worker_counters.h"

struct worker;
struct comparer;
struct log;
struct memory;

/* Makes the worker and starts its thread. Takes a reference to `snapshot`. `comparer`, `log` and `memory` are borrowed
 * for the worker's life. NULL with errno on failure. */
struct worker *worker_start(uint32_t index, uint32_t workers, struct snapshot *snapshot, struct comparer *comparer,
                            struct log *log, struct memory *memory);

/* Hands over a new snapshot (takes a reference) and wakes the loop; every decision made after the worker has read it
 * uses it. Within a millisecond on a machine that is not overloaded. */
void worker_publish(struct worker *worker, struct snapshot *snapshot);
/* The generation the worker has adopted. Any thread. */
uint64_t worker_generation(const struct worker *worker);

/* Gives a listening socket (non-blocking) to the worker, which owns it from then on. `id` names it for
 * worker_unlisten(). */
bool worker_listen(struct worker *worker, uint32_t id, int fd);
/* Accepts what is still in the socket's queue, then closes it. Current connections go on. */
void worker_unlisten(struct worker *worker, uint32_t id);

/* What holds of draining from now on (drain.h); the worker goes from phase to phase by itself. When it ends, the thread
 * ends by itself, too; worker_join() waits for it and frees everything. */
void worker_drain(struct worker *worker, const struct drain *drain);
/* The phase the worker has taken; a moment behind the clock. Any thread. */
enum drain_phase worker_phase(const struct worker *worker);
/* True once the thread has nothing left to do. Any thread. */
bool worker_finished(const struct worker *worker);
void worker_join(struct worker *worker);
/* Waits for the thread only. Between this and worker_join() the compare thread can be ended (comparer_finish()), so
 * that the worker takes back every pair it has handed over. */
void worker_wait(struct worker *worker);

/* Any thread; relaxed loads. */
const struct worker_counters *worker_counters(const struct worker *worker);

#endif
