/*
 * A worker's part in keeping below the control group's limit of memory (memory.h). Worker thread.
 */
#ifndef SHUNT_PROXY_WORKER_MEMORY_H
#define SHUNT_PROXY_WORKER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker;

/* `bytes` more have been taken; the level may be another on return. Frees nothing. */
void worker_memory_grew(struct worker *worker, size_t bytes);
/* A client has come who will take `bytes` by and by, before anybody can see it. */
void worker_memory_promise(struct worker *worker, size_t bytes);
/* The round is over, and nobody is in the middle of anything: does what a new level asks for. */
void worker_memory_round(struct worker *worker);
/* With each tick: what a level asks for again and again. Before conn_settle(). */
void worker_memory_tick(struct worker *worker);
/* The worker is quiet: gives back what lies ready where there is a limit. */
void worker_memory_rest(struct worker *worker);

/* What is under way shall take less: smaller reads, shorter queues. */
bool worker_memory_is_short(const struct worker *worker);
/* May one more exchange of a client's begin? A few always may; others wait in their backend's line. */
bool worker_memory_allows_exchanges(const struct worker *worker);
/* May copies be made? */
bool worker_memory_allows_copies(const struct worker *worker);
/* May a client be taken, while `open` of them are there? A few always may. */
bool worker_memory_allows_clients(const struct worker *worker, uint64_t open);
/* What copies may hold at most: this worker's part of the file's bound and of the limit's share. */
size_t worker_memory_shadow_bound(const struct worker *worker);

#endif
