/*
 * A worker's part in draining. Worker thread.
 */
#ifndef SHUNT_PROXY_WORKER_DRAIN_H
#define SHUNT_PROXY_WORKER_DRAIN_H

#include <stdbool.h>

#include "proxy/drain.h"

struct worker;

/* What holds from now on, the end of draining included. */
void worker_drain_set(struct worker *worker, const struct drain *drain);
/* With each tick: takes the next phase when it is due. */
void worker_drain_tick(struct worker *worker);
/* A phase will end by itself: the tick runs fast. */
bool worker_drain_is_busy(const struct worker *worker);
/* Everything has ended, and the thread may. */
bool worker_drain_is_done(const struct worker *worker);

#endif
