/*
 * Where the hosts of Redis are: addresses as they are, names by DNS, once for each connection that is made.
 */
#ifndef SHUNT_PROXY_REDIS_NAMES_H
#define SHUNT_PROXY_REDIS_NAMES_H

#include <stdint.h>

#include "proxy/snapshot.h"

enum {
    REDIS_ADDRESSES_MOST = 16 /* of one name; more are left out */
};

struct redis_names;
struct redis_lookup;
struct event_base;

/* `nameserver`: NULL: those in /etc/resolv.conf. NULL without memory. */
struct redis_names *redis_names_new(struct event_base *base, const char *nameserver);
/* After all questions have been answered or taken back. Runs the loop without waiting, to let go of what is under way.
 * NULL is fine. */
void redis_names_free(struct redis_names *names);

/* Port 0: `host` is the path of a unix socket. `done` is called once, from the loop, within `timeout_ms`: with one
 * reference to a list of at least one address, or with NULL and why. NULL without memory. */
struct redis_lookup *redis_names_ask(struct redis_names *names, const char *host, uint16_t port, uint64_t timeout_ms,
                                     void (*done)(void *context, struct endpoint_list *list, const char *why),
                                     void *context);
/* Takes a question back that has not been answered. NULL is fine. */
void redis_lookup_cancel(struct redis_lookup *lookup);

#endif
