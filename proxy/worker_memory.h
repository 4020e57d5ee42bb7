/*
 * A worker's part in keeping below the control group's limit of memory (memory.h). Worker thread.
 */
#ifndef SHUNT_PROXY_WORKER_MEMORY_H
#define SHUNT_PROXY_WORKER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/worker_inside.h"

/* `bytes` more have been taken; the level may be another on return. Frees nothing. */
void worker_memory_grew(struct worker *worker, size_t bytes);
/* A client has come who will take `bytes` by and by, before anybody can see it. */
void worker_memory_promise(struct worker *worker, size_t bytes);
/* It is time to look how close the limit is: worker->look_at_ms has come. Within a round, which may be long. */
void worker_memory_look(struct worker *worker);
/* Is there anything to be done when a round is over? */
static inline bool worker_memory_is_watched(const struct worker *worker)
{
    return memory_limit(worker->memory) > 0 || worker->memory_level != MEMORY_PLENTY;
}

/* The round is over, and nobody is in the middle of anything: does what a new level asks for. */
void worker_memory_round(struct worker *worker);
/* With each tick: what a level asks for again and again. Before conn_settle(). */
void worker_memory_tick(struct worker *worker);
/* The worker is quiet: gives back what lies ready where there is a limit. */
void worker_memory_rest(struct worker *worker);

/* No copy is made, and what is under way takes less: smaller reads, shorter queues. */
static inline bool worker_memory_is_short(const struct worker *worker)
{
    return memory_level(worker->memory) != MEMORY_PLENTY;
}

/* Are those under way so few that they always may be? */
bool worker_memory_has_few_exchanges(const struct worker *worker);
/* Would it not be scarce if all workers took as much as this one is about to? */
bool worker_memory_has_room_for(const struct worker *worker, size_t bytes);
/* For when it is short: a few exchanges always may begin. */
bool worker_memory_has_room_for_exchange(const struct worker *worker);
/* May one more exchange of a client's begin? Else it waits in its backend's line. */
static inline bool worker_memory_allows_exchanges(const struct worker *worker)
{
    return !worker_memory_is_short(worker) || worker_memory_has_room_for_exchange(worker);
}

/* May a client be taken, while `open` of them are there? A few always may. */
bool worker_memory_allows_clients(const struct worker *worker, uint64_t open);
/* What copies may hold at most: this worker's part of the file's bound and of the limit's share. */
size_t worker_memory_shadow_bound(const struct worker *worker);

#endif
