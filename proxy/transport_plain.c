/*
 * The plain transport: system calls on a non-blocking TCP or unix socket. Keeps no state.
 */
#include "proxy/transport.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/conn.h"

static ssize_t plain_read(struct conn *conn, char *to, size_t room)
{
    ssize_t n;
    do {
        n = recv(conn->fd, to, room, 0);
    } while (n < 0 && errno == EINTR);
    return n;
}

static ssize_t plain_write(struct conn *conn, const struct iovec *parts, int count)
{
    ssize_t n;
    do {
        if (count == 1) {
            n = send(conn->fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL);
        } else {
            struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count};
            n = sendmsg(conn->fd, &message, MSG_NOSIGNAL);
        }
    } while (n < 0 && errno == EINTR);
    return n;
}

static void plain_shutdown_write(struct conn *conn)
{
    (void)shutdown(conn->fd, SHUT_WR); /* the only failure is a connection that is gone already */
}

const struct transport transport_plain = {
    .name = "plain",
    .raw = true,
    .read = plain_read,
    .write = plain_write,
    .shutdown_write = plain_shutdown_write,
};
