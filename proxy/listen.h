/*
 * Opens listening sockets.
 */
#ifndef SHUNT_PROXY_LISTEN_H
#define SHUNT_PROXY_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

enum {
    LISTEN_TEXT_ROOM = 160
};

/* One address and its sockets, one for each worker. */
struct listen_set {
    uint32_t count;
    int *fds;                    /* -1 once somebody else owns it */
    char text[LISTEN_TEXT_ROOM]; /* the address really bound: "0.0.0.0:8080", "[::1]:8080", "unix:/run/shunt.sock" */
    char *unix_path;             /* owned; to be removed by listen_unlink(); NULL for host and port */
};

/*
 * Opens `count` non-blocking listening sockets at `address`: with SO_REUSEPORT, so that the kernel spreads connections
 * over the workers, or, for a unix socket, one socket duplicated. Port 0 lets the kernel choose one port for all of
 * them. `shared`: this process listens on the port already, so that finding it in use is no fault. Control thread, may
 * block on a look-up when the host is a name. On failure returns false, *set is empty, and *error gets a malloc'd
 * sentence with place, fault and remedy.
 *
 * An IPv6 address takes IPv6 only ("[::]" and "0.0.0.0" can stand side by side). TCP_NODELAY is set here because
 * accepted sockets inherit it on Linux.
 */
bool listen_open(struct listen_set *set, const struct config_address *address, uint32_t count, bool shared,
                 char **error);

/* Closes the sockets that are still ours. An empty set is fine. */
void listen_close(struct listen_set *set);

/* Removes the file of a unix socket, once. Before its sockets are closed: until then nobody else can have taken the
 * path. */
void listen_unlink(struct listen_set *set);

#endif
