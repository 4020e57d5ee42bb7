/*
 * Where the backends are: turns their hosts into addresses, at once where they are addresses already, else by DNS,
 * again and again.
 *
 * Runs on the control thread's loop. A name that cannot be looked up keeps the addresses it had: a DNS server that is
 * away for an hour must not take the backends with it.
 */
#ifndef SHUNT_PROXY_RESOLVER_H
#define SHUNT_PROXY_RESOLVER_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "config/config.h"
#include "proxy/snapshot.h"

struct event_base;
struct resolver;
struct resolver_plan;

enum {
    RESOLVER_ADDRESSES_MOST = 64
}; /* of one name; more are left out */

/* How a look-up ended; all text is borrowed for the call. */
struct resolver_result {
    const char *backend;
    const char *host;
    const char *error;  /* NULL: it succeeded */
    bool changed;       /* the addresses are others than before */
    bool turned;        /* it failed after a success or at first, or succeeded after a failure: worth a log line */
    uint32_t addresses; /* in use now: with an error, those kept from before */
};

struct resolver_options {
    const char *nameserver; /* "127.0.0.1:5353" instead of those in /etc/resolv.conf; NULL: those */
    uint32_t timeout_ms;    /* of one question to one server; 0: 2 s */
    uint32_t retry_ms;      /* after a failure, doubling up to the backend's dns_refresh; 0: 1 s */
    /* Not from within resolver_adopt(). On the loop's thread. */
    void (*on_result)(void *context, const struct resolver_result *result);
    void *context;
};

/* NULL without memory. `options` is only read in the call. */
struct resolver *resolver_new(struct event_base *base, const struct resolver_options *options);
/* Runs the loop without waiting to let go of questions under way. NULL is fine. */
void resolver_free(struct resolver *resolver);

/*
 * Two steps to another configuration, so that a reload can still be refused between them. resolver_prepare() finds all
 * the memory, keeps the addresses of hosts known already, and asks nothing yet; NULL without memory. resolver_adopt()
 * takes the plan into use and starts the look-ups; `config` must live until the next one. resolver_discard() is the way
 * back.
 */
struct resolver_plan *resolver_prepare(struct resolver *resolver, const struct config *config);
void resolver_adopt(struct resolver *resolver, struct resolver_plan *plan);
void resolver_discard(struct resolver_plan *plan); /* NULL is fine */

/* By config_backend.index, as snapshot_new() wants them; borrowed, and replaced in place when a look-up changes one. */
struct endpoint_list **resolver_endpoints(struct resolver *resolver);
uint32_t resolver_count(const struct resolver *resolver);
/* Names that have never been answered, neither way. */
uint32_t resolver_unanswered(const struct resolver *resolver);

/* [{"name", "url", "addresses": [...], "resolved": bool, "lookups", "failures", "error": null | text}]; new reference.
 */
json_t *resolver_json(const struct resolver *resolver);

#endif
