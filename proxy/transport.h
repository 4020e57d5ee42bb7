/*
 * How bytes get in and out of a connection: plain sockets now, TLS beside them. Nothing above knows which.
 */
#ifndef SHUNT_PROXY_TRANSPORT_H
#define SHUNT_PROXY_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct conn;

struct transport {
    const char *name;
    bool raw; /* bytes on the socket are the bytes of the stream: splice() may move them */
    /* Like read(2) and writev(2): bytes, 0 at the end of the stream, -1 with errno; EAGAIN to wait for the next edge.
     */
    ssize_t (*read)(struct conn *conn, char *to, size_t room);
    ssize_t (*write)(struct conn *conn, const struct iovec *parts, int count);
    /* Says that nothing more will be written; reading goes on. */
    void (*shutdown_write)(struct conn *conn);
    /* The socket is about to be closed: lets go of what the transport keeps. NULL: nothing. */
    void (*close)(struct conn *conn);
};

extern const struct transport transport_plain;

#endif
