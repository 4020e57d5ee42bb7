/*
 * One Redis server as we talk to it: its name looked up, its addresses tried one after the other until one is what was
 * wanted, then one connection to ask and, of a master, one to listen. Up or down as a whole; never used again once
 * down.
 */
#ifndef SHUNT_PROXY_REDIS_NODE_H
#define SHUNT_PROXY_REDIS_NODE_H

#include "proxy/redis_link.h"
#include "proxy/redis_names.h"
#include "proxy/redis_place.h"
#include "proxy/redis_tls.h"

struct redis_node;

/* What all nodes of one way to Redis share. */
struct redis_means {
    struct event_base *base;           /* borrowed */
    const struct config_redis *config; /* borrowed: the newest */
    struct redis_names *names;
    struct redis_tls *tls; /* NULL: in clear */
    uint64_t commands;     /* sent to Redis */
    uint64_t asked_of_sentinels;
    uint64_t unverified; /* connections whose certificate nobody looked at */
};

enum redis_node_kind {
    REDIS_NODE_MASTER,  /* asked and listened to; it must be a master */
    REDIS_NODE_ASIDE,   /* asked this or that: of a cluster */
    REDIS_NODE_SENTINEL /* says nothing of itself before it is asked */
};

struct redis_node_hooks {
    void *context;
    void (*on_up)(void *context);
    void (*on_down)(void *context, enum redis_fault fault, const char *why);
    void (*on_message)(void *context, const char *payload, size_t length); /* of a master's channel */
};

/* All but `means` is copied. NULL without memory. No hook is called before this returns; each may close the node. */
struct redis_node *redis_node_open(struct redis_means *means, enum redis_node_kind kind,
                                   const struct redis_place *place, const char *channel,
                                   const struct redis_node_hooks *hooks);
void redis_node_close(struct redis_node *node); /* NULL is fine */

bool redis_node_is_up(const struct redis_node *node); /* NULL is not */
const struct redis_place *redis_node_place(const struct redis_node *node);
/* For a sentinel that wants to know it; NULL: there is none. Borrowed. */
const char *redis_node_password(const struct redis_node *node);
/* As redis_link_send(); only while it is up. */
bool redis_node_send(struct redis_node *node, int count, const char **words, const size_t *lengths,
                     redis_link_answered *answered, void *context);

#endif
