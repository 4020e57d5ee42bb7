/*
 * Client connections: see downstream.h. Worker thread. Keeps the list that draining walks, and knows which codec begins
 * and how a connection ends whatever it speaks.
 */
#include "proxy/downstream.h"

#include <stdlib.h>
#include <unistd.h>

#include "proxy/greeting.h"
#include "proxy/h1_server.h"
#include "proxy/tunnel.h"

enum {
    READS_PER_EVENT = 4,
    LINGER_MS = 2000,       /* a client may take this long to read what is last and close */
    LINGER_BYTES = 1 << 20, /* what it may still send until then */
};

/* In passthrough bytes go to legacy unread, where they need not be looked at to know what they are. */
static bool goes_raw(const struct worker *worker, const struct listener_facts *listener)
{
    bool raw =
        worker->view->snapshot->relay_raw && listener->tls == NULL && (listener->protocols & PROTOCOL_HTTP2) == 0;
    return raw && !worker_is_leaving(worker); /* a relay cannot tell the client to leave */
}

void downstream_accept(struct worker *worker, const struct listener_facts *listener, int fd,
                       const struct client_address *client)
{
    if (goes_raw(worker, listener))
        tunnel_passthrough(worker, fd);
    else if (listener->tls != NULL)
        greeting_accept(worker, listener, fd, client);
    else
        h1_server_accept(worker, listener, fd, client);
}

static void enter_list(struct downstream *down)
{
    struct worker *worker = down->conn.worker;
    down->prev = NULL;
    down->next = worker->downstreams;
    if (down->next != NULL)
        down->next->prev = down;
    else
        worker->oldest_downstream = down;
    worker->downstreams = down;
}

static void leave_list(struct downstream *down)
{
    if (down->prev != NULL)
        down->prev->next = down->next;
    else
        down->conn.worker->downstreams = down->next;
    if (down->next != NULL)
        down->next->prev = down->prev;
    else
        down->conn.worker->oldest_downstream = down->prev;
}

void downstream_touch(struct downstream *down)
{
    leave_list(down);
    enter_list(down);
}

bool downstream_open(struct downstream *down, struct worker *worker, int fd, const struct conn_events *on,
                     const struct downstream_ops *ops)
{
    if (!conn_open(&down->conn, worker, fd, on))
        return false;
    down->ops = ops;
    enter_list(down);
    count_add(&worker->counters.downstream_connections, 1);
    count_add(&worker->counters.downstream_active, 1);
    return true;
}

void downstream_move(struct downstream *to, struct downstream *from, const struct conn_events *on,
                     const struct downstream_ops *ops)
{
    leave_list(from);
    conn_move(&to->conn, &from->conn, on);
    to->ops = ops;
    to->client = from->client;
    to->protocols = from->protocols;
    enter_list(to);
}

void downstream_retire(struct downstream *down, void (*free)(struct worker *worker, struct retired *retired))
{
    down->retired.free = free;
    worker_retire(down->conn.worker, &down->retired);
}

void downstream_forget(struct downstream *down, void (*free)(struct worker *worker, struct retired *retired))
{
    struct worker *worker = down->conn.worker;
    leave_list(down);
    count_add(&worker->counters.downstream_active, (uint64_t)-1);
    downstream_retire(down, free);
    worker_downstream_ended(worker);
}

/* ---- a last word ---- */

void downstream_linger(struct downstream *down, struct lingering *lingering)
{
    struct conn *conn = &down->conn;
    lingering->room = LINGER_BYTES;
    conn_shutdown_when_sent(conn);
    (void)conn_flush(conn); /* a fault comes back when the callback ends */
    lingering->unsent = conn->out.bytes;
    lingering->progress_ms = worker_now_ms(conn->worker);
    conn_timeout_in(conn, LINGER_MS);
    conn_wake(conn);
}

bool downstream_linger_readable(struct downstream *down, struct lingering *lingering)
{
    struct conn *conn = &down->conn;
    for (int i = 0; i < READS_PER_EVENT && lingering->room > 0; i++) {
        struct slice bytes;
        switch (conn_read(conn, &bytes)) {
        case CONN_READ_DATA:
            /* What is too much stays in the kernel, which stops the client. */
            lingering->room -= bytes.len < lingering->room ? bytes.len : lingering->room;
            break;
        case CONN_READ_AGAIN:
            return true;
        case CONN_READ_END:
            return conn->out.bytes > 0; /* half-closed: it may still read */
        case CONN_READ_ERROR:
            return false;
        }
    }
    if (lingering->room == 0)
        return !conn_is_broken(conn);
    conn_later(conn);
    return true;
}

/* The time runs from the last byte handed to the kernel; until then a client only has to keep reading. */
bool downstream_linger_timeout(struct downstream *down, struct lingering *lingering)
{
    struct conn *conn = &down->conn;
    uint64_t now_ms = worker_now_ms(conn->worker);
    if (conn->out.bytes < lingering->unsent)
        lingering->progress_ms = now_ms;
    bool wait =
        lingering->unsent > 0 && now_ms - lingering->progress_ms < conn->worker->view->config->timeouts.stream_idle_ms;
    lingering->unsent = conn->out.bytes;
    if (wait)
        conn_timeout_in(conn, LINGER_MS);
    return wait;
}
