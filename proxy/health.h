/*
 * Active checks of backends: each address of a backend with `health` is asked now and then, and left out while it does
 * not answer well.
 *
 * Worker 0 asks for the whole process, through the same dials, codecs and transports as live traffic but on connections
 * of its own (USE_HEALTH), so that a check neither takes a connection from a client nor waits for one, and tries what a
 * new connection would have to go through. What it finds is on the board (health_board.h), where every worker reads it.
 */
#ifndef SHUNT_PROXY_HEALTH_H
#define SHUNT_PROXY_HEALTH_H

struct worker;

/* Checks the addresses of the worker's view from now on, those that are new at once; those that stay go on, and begin
 * anew where the file asks something else of them. Call it while the view before is still there. Does nothing but on
 * worker 0. */
void health_update(struct worker *worker);
/* Ends all checks: the worker drains or goes. Fine at any time outside of an attempt's events. */
void health_stop(struct worker *worker);

#endif
