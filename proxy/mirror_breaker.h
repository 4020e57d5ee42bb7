/*
 * The mirror's own breaker: a backend that cannot answer copies is left alone for a while, and then tried with one
 * copy.
 *
 * One for each worker, route and side the copies go to; it has nothing to do with the breaker of live traffic. Here,
 * too, is the limit on copies per second. Arithmetic on the worker's own state in the counters of the route: no clock,
 * no allocation.
 *
 *   CLOSED --consecutive_failures--> OPEN --cool-down over, one copy goes--> PROBING
 *     ^                               ^                                      |   |
 *     |                               +--- failed: twice the cool-down ------+   |
 *     +--------------------------------------- answered -------------------------+
 */
#ifndef SHUNT_PROXY_MIRROR_BREAKER_H
#define SHUNT_PROXY_MIRROR_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "router/counters.h"

enum copy_result {
    COPY_ANSWERED, /* with whatever status */
    COPY_FAILED,   /* connect, timeout, reset, not HTTP */
    COPY_UNKNOWN,  /* given up for a reason that is ours or the client's */
};

/* May a copy go now? Changes nothing. */
bool mirror_breaker_allows(const struct copy_state *state, const struct config_shadow_breaker *config, uint64_t now_ms);
/* A copy that was allowed goes. True: it is the probe, which mirror_breaker_report() must be told. */
bool mirror_breaker_enter(struct copy_state *state, const struct config_shadow_breaker *config);
/* How it ended. `random`: for the jitter of the cool-down, a fifth up or down. */
void mirror_breaker_report(struct copy_state *state, const struct config_shadow_breaker *config, bool probe,
                           enum copy_result result, uint64_t now_ms, uint64_t random);

/* May one more copy go under a limit of `per_second` copies (0: no limit), of which a second's worth may go at once?
 * Takes its place when it may. *due_ns is the caller's state, 0 at first. */
bool mirror_rate_allows(uint64_t *due_ns, uint32_t per_second, uint64_t now_us);

#endif
