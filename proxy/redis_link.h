/*
 * One connection to a server that speaks Redis: TCP or a unix socket, in clear or TLS. It introduces itself, sends
 * commands, hands out their answers in order, notices when none comes, and says once why it ended. It is never used
 * again then.
 *
 *   redis_hello.c      the introduction: protocol, password, name, database, role, channel
 */
#ifndef SHUNT_PROXY_REDIS_LINK_H
#define SHUNT_PROXY_REDIS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "proxy/redis.h"
#include "proxy/snapshot.h"

struct redis_link;
struct redis_tls;

struct redis_link_hooks {
    void *context;
    /* The introduction is over, and what it found is as it was to be. */
    void (*on_up)(void *context);
    /* It has ended, before or after. What was sent and has no answer will have none. */
    void (*on_down)(void *context, enum redis_fault fault, const char *why);
    /* NULL without a channel. */
    void (*on_message)(void *context, const char *payload, size_t length);
};

struct redis_link_options {
    struct event_base *base; /* borrowed */
    const struct endpoint_address *address;
    const struct redis_tls *tls; /* NULL: in clear */
    const char *host;            /* whose certificate is expected, when the TLS does not say another */
    const char *username;        /* NULL: "default" */
    const char *password;        /* NULL: none */
    enum config_redis_resp resp;
    bool is_bare; /* says nothing of itself (a sentinel's): up when connected */
    bool must_be_master;
    uint32_t database;
    const char *channel; /* to listen to; nothing else can be sent then; NULL: none */
    uint64_t timeout_ms; /* to connect, and for each answer */
    uint64_t ping_ms;    /* after so long without a byte it asks whether somebody is there; 0: never */
    uint64_t *commands;  /* counts what is sent; borrowed */
};

typedef void redis_link_answered(void *context, const redisReply *reply);

/* Everything but what is said to be borrowed is copied. NULL without memory or socket. No hook is called before this
 * returns. */
struct redis_link *redis_link_open(const struct redis_link_options *options, const struct redis_link_hooks *hooks);
/* No hook is called any more, no answer told. From within a hook, too. NULL is fine. */
void redis_link_close(struct redis_link *link);

/* False: no memory, or too much is unsent already; nothing has been sent then. `lengths` NULL: strings. */
bool redis_link_send(struct redis_link *link, int count, const char **words, const size_t *lengths,
                     redis_link_answered *answered, void *context);
/* Bytes that wait to be written. */
size_t redis_link_unsent(const struct redis_link *link);

/* Monotonic. */
uint64_t redis_now_us(void);

#endif
