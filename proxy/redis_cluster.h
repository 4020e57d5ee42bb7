/*
 * Which node of a cluster has our keys. All keys of a group are in one slot, so one node is all we need to know; the
 * others are kept to be asked when it is gone.
 */
#ifndef SHUNT_PROXY_REDIS_CLUSTER_H
#define SHUNT_PROXY_REDIS_CLUSTER_H

#include "proxy/redis_node.h"

enum {
    REDIS_CLUSTER_SLOTS = 16384,
    REDIS_CLUSTER_KNOWN_MOST = 64 /* nodes that are remembered beside those of the configuration */
};

struct redis_cluster;

struct redis_cluster_hooks {
    void *context;
    void (*on_found)(void *context, const struct redis_place *place);
    void (*on_nothing)(void *context, enum redis_fault fault, const char *why);
};

/* Asks nobody yet. `key`: any of ours. NULL without memory. */
struct redis_cluster *redis_cluster_new(struct redis_means *means, const char *key,
                                        const struct redis_cluster_hooks *hooks);
void redis_cluster_free(struct redis_cluster *cluster); /* NULL is fine; within a hook, too */
/* Asks until one node answers or all were asked; then one hook, from the loop. What was asked for before is dropped. */
void redis_cluster_find(struct redis_cluster *cluster);
void redis_cluster_stop(struct redis_cluster *cluster);
/* Another node told of this one. */
void redis_cluster_note(struct redis_cluster *cluster, const struct redis_place *place);

/* The slot of a key: CRC16 of what is between its first { and the next }, if there is something, else of all. */
uint16_t redis_cluster_slot(const char *key, size_t length);
/* The answer to CLUSTER SLOTS: who has the slot, and each node that is named (`note` may be NULL). `from`: who was
 * asked; a node without a name is at the same host. False: nobody has it, or it is no such answer. */
bool redis_cluster_read(const redisReply *reply, uint16_t slot, const struct redis_place *from,
                        struct redis_place *place, void (*note)(void *context, const struct redis_place *place),
                        void *context);
/* "MOVED 3999 10.0.0.1:6381" or "ASK ...". False: no such thing. */
bool redis_cluster_read_redirect(const char *text, const struct redis_place *from, struct redis_place *place);

#endif
