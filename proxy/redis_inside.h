/*
 * The inside of the way to Redis, for redis.c and redis_ask.c.
 */
#ifndef SHUNT_PROXY_REDIS_INSIDE_H
#define SHUNT_PROXY_REDIS_INSIDE_H

#include "proxy/redis_cluster.h"
#include "proxy/redis_fault.h"
#include "proxy/redis_files.h"
#include "proxy/redis_node.h"
#include "proxy/redis_queue.h"
#include "proxy/redis_sentinel.h"

/*
 *   WAITING --back-off over, or a sentinel names another--> FINDING --a place--> CONNECTING --node up--> READY
 *      ^                                                        |                      |                    |
 *      +------------------------------- redis_lost() ----------+----------------------+--------------------+
 *
 * In READY `next` may be on its way to where the slot has moved; questions wait for it.
 */
enum redis_phase {
    REDIS_WAITING,
    REDIS_FINDING,
    REDIS_CONNECTING,
    REDIS_READY
};

struct redis {
    struct redis_means means;
    struct redis_hooks hooks;
    const char *channel;      /* borrowed */
    struct redis_files files; /* as of the last try */
    enum redis_phase phase;
    struct redis_sentinel *sentinel; /* of the kind of configuration that has them */
    struct redis_cluster *cluster;
    struct redis_node *node, *next, *aside; /* NULL: none */
    struct redis_place place;               /* of `node`; the last tried */
    struct redis_queue queue;
    struct event *clock;
    uint64_t retry_ms; /* when WAITING ends */
    uint64_t ready_ms; /* since when READY */
    unsigned failures; /* since the last good answer, as `moves` are */
    unsigned moves;    /* how often the slot was said to be elsewhere */
    uint32_t host;     /* which of the configuration's, standalone */
    uint64_t times_ready;
    char server_before[sizeof(((struct redis_facts *)0)->server)]; /* the one that was ready last; "" */
    bool told_insecure;
    enum redis_fault told; /* what the log knows; NONE: that all is well, or nothing yet */
    uint64_t told_ms;
    struct redis_facts facts; /* some are filled in when asked for */
};

/* Everything under way ends, and it is looked for anew: at once, or with back-off. */
void redis_lost(struct redis *redis, enum redis_fault fault, const char *why, bool at_once);
/* The next time something is due. */
void redis_arm(struct redis *redis);
void redis_tell(struct redis *redis, bool bad, const char *what, json_t *fields);

/* ---- redis_ask.c ---- */

/* Sends what waits and can be sent. */
void redis_send_waiting(struct redis *redis);
/* Ends what took too long; may end the connection. */
void redis_end_overdue(struct redis *redis, uint64_t now_ms);
/* The next time a question is due, or is to be tried again; 0: none. */
uint64_t redis_questions_due_ms(const struct redis *redis);

#endif
