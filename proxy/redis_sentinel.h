/*
 * Who is the master: asks one sentinel after the other until one knows, and that one again every second.
 */
#ifndef SHUNT_PROXY_REDIS_SENTINEL_H
#define SHUNT_PROXY_REDIS_SENTINEL_H

#include "proxy/redis_node.h"

enum {
    REDIS_SENTINEL_POLL_MS = 1000
};

struct redis_sentinel;

struct redis_sentinel_hooks {
    void *context;
    /* A sentinel has said so; each time. */
    void (*on_master)(void *context, const struct redis_place *master);
    /* All were asked and none knows one, or none answers; then the round begins anew. */
    void (*on_nobody)(void *context, const char *why);
};

/* Asks from the loop on. The configuration's hosts are the sentinels. NULL without memory. */
struct redis_sentinel *redis_sentinel_new(struct redis_means *means, const struct redis_sentinel_hooks *hooks);
void redis_sentinel_free(struct redis_sentinel *sentinel); /* NULL is fine; within a hook, too */

/* What was said last, if that is not longer ago than a poll and a deadline. False: nobody knows. */
bool redis_sentinel_master(const struct redis_sentinel *sentinel, struct redis_place *master);

#endif
