/*
 * The listening sockets of one worker: accepting, and not accepting when there is no room.
 */
#ifndef SHUNT_PROXY_LISTENER_H
#define SHUNT_PROXY_LISTENER_H

#include <stdint.h>

struct worker;

/* Owns `fd` (listening, non-blocking). */
void listener_add(struct worker *worker, uint32_t id, int fd);
/* Accepts what is in the socket's queue, as far as there is room, then closes it. */
void listener_remove(struct worker *worker, uint32_t id);
/* The same of all, but one whose queue there is no room for stays until there is: worker->listeners is NULL when all
 * are closed. */
void listeners_end(struct worker *worker);
/* At once, whoever waits. */
void listeners_close_all(struct worker *worker);
/* A connection has ended: there may be room again. */
void listeners_resume(struct worker *worker);
/* Now and then: tries again after a shortage that no event announces the end of. */
void listeners_tick(struct worker *worker);

#endif
