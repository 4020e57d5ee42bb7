/*
 * A client's connection, whatever it speaks: what every codec's own struct begins with.
 */
#ifndef SHUNT_PROXY_DOWNSTREAM_H
#define SHUNT_PROXY_DOWNSTREAM_H

#include <stdbool.h>

#include "config/config.h"
#include "proxy/conn.h"
#include "proxy/worker_inside.h"
#include "router/request.h"

struct downstream;

enum {
    DOWNSTREAM_RESTED_MS = 1000, /* a client that is about to ask again has done so by then, mostly */
};

struct downstream_ops {
    /* The worker has come to this phase of draining, LEAVING or later; earlier ones may have been skipped. LEAVING:
     * tell the client, close nothing. CLOSING, ENDING: an idle connection closes, another one after what is under way.
     * OVER: at once. May close only itself. */
    void (*drain)(struct downstream *down, enum drain_phase phase);
    /* Memory is scarce: a connection that has rested for DOWNSTREAM_RESTED_MS closes; true: it does. NULL: it never
     * rests. */
    bool (*rests)(struct downstream *down);
};

struct downstream {
    struct conn conn;
    struct retired retired;
    const struct downstream_ops *ops;
    struct downstream *next, *prev; /* of the worker's */
    struct client_address client;
    enum config_protocol protocols; /* what its listener speaks */
};

/* A connection on which all has been said, until the client has had time to read it. */
struct lingering {
    size_t room;   /* bytes that the client may still send; they are thrown away */
    size_t unsent; /* of ours, when it was last looked at */
    uint64_t progress_ms;
};

/* What the configuration says of a listener. */
struct listener_facts {
    enum config_protocol protocols;
    struct tls_context *tls; /* counted; NULL: in clear */
};

/* A connection has been accepted. Owns `fd`; closes it where there is no memory. */
void downstream_accept(struct worker *worker, const struct listener_facts *listener, int fd,
                       const struct client_address *client);

/* Registers `fd` and enters the worker's list. False with errno: the descriptor is still the caller's. */
bool downstream_open(struct downstream *down, struct worker *worker, int fd, const struct conn_events *on,
                     const struct downstream_ops *ops);
/* *to, zeroed, takes the place of *from: another codec goes on with the connection. The owner of *from lets go of what
 * else it has and calls downstream_retire(). */
void downstream_move(struct downstream *to, struct downstream *from, const struct conn_events *on,
                     const struct downstream_ops *ops);
/* Goes to the young end of the worker's list. */
void downstream_touch(struct downstream *down);
void downstream_retire(struct downstream *down, void (*free)(struct worker *worker, struct retired *retired));
/*
 * Everything is queued: says that it was the last, and stays until the client has read it and closes, or time is over.
 * Closing with unread input would make the kernel send a reset, which can destroy the response on its way (RFC 9112
 * section 9.6).
 */
void downstream_linger(struct downstream *down, struct lingering *lingering);
/* For the two events that are left. False: the connection is to be closed. */
bool downstream_linger_readable(struct downstream *down, struct lingering *lingering);
bool downstream_linger_timeout(struct downstream *down, struct lingering *lingering);
/* The connection is closed, or is no client's any more: leaves the list and retires the memory through `free`. */
void downstream_forget(struct downstream *down, void (*free)(struct worker *worker, struct retired *retired));

#endif
