/*
 * What control publishes and every worker reads: configuration, the router's view, and where the backends are now.
 *
 * Immutable once published. Control makes one after every change and hands each worker a reference through its mailbox;
 * a worker keeps the one it last adopted and lets go of an older one when its last exchange has ended.
 */
#ifndef SHUNT_PROXY_SNAPSHOT_H
#define SHUNT_PROXY_SNAPSHOT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "config/config.h"
#include "proxy/tls_context.h"
#include "router/router.h"

/* One address of a backend. */
struct endpoint_address {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } to;
    socklen_t length;
    char text[64]; /* for logs and metrics: "127.0.0.1:3001", "unix:/path" (cut where too long) */
};

/* A backend's addresses as last resolved; shared by snapshots, counted. Zero addresses: the name has not been resolved.
 */
struct endpoint_list {
    uint32_t refs; /* atomic */
    uint32_t count;
    struct endpoint_address address[];
};

/* A loaded file, counted, since snapshots outlive reloads. */
struct config_holder {
    uint32_t refs; /* atomic */
    struct config *config;
};

struct health_board;

struct snapshot {
    uint32_t refs; /* atomic */
    uint64_t generation;
    struct config_holder *holder; /* counted */
    const struct config *config;  /* holder's */
    struct router_view *view;     /* counted */
    bool relay_raw; /* passthrough, and legacy is the same backend for all, in clear and of HTTP/1.1: new connections
                       need no parsing */
    uint32_t backend_count;
    struct endpoint_list **endpoints; /* counted; indexed by config_backend.index */
    struct tls_context **backend_tls; /* likewise; NULL: in clear */
    struct health_board *health;      /* borrowed: outlives all snapshots; NULL: no address is ever checked */
    uint32_t listener_count;
    uint32_t *listener_ids;            /* as in worker_listen(), in the order of config.listeners */
    struct tls_context **listener_tls; /* likewise, counted; NULL: in clear */
};

/* What a snapshot is made of; it takes its own references. The numbers are those of the holder's configuration. */
struct snapshot_parts {
    uint64_t generation;
    struct config_holder *holder;
    struct router_view *view;
    struct endpoint_list **endpoints;
    struct tls_context **backend_tls;  /* NULL: none has any */
    struct health_board *health;       /* NULL: no active checks */
    const uint32_t *listener_ids;      /* NULL: none is open yet */
    struct tls_context **listener_tls; /* NULL: none has any */
};

/* NULL without memory. */
struct snapshot *snapshot_new(const struct snapshot_parts *parts);
/* Any thread. */
struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot); /* NULL is fine; the last one frees */

struct config_holder *config_holder_new(struct config *config); /* owns config from then on; NULL without memory: not */
void config_holder_ref(struct config_holder *holder);
void config_holder_unref(struct config_holder *holder); /* any thread; NULL is fine */

struct endpoint_list *endpoint_list_new(uint32_t count); /* zeroed, one reference; NULL without memory */
void endpoint_list_ref(struct endpoint_list *list);
void endpoint_list_unref(struct endpoint_list *list); /* any thread; NULL is fine */
/* The same addresses in the same order. */
bool endpoint_list_equal(const struct endpoint_list *a, const struct endpoint_list *b);

#endif
