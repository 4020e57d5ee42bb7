/*
 * Client connections: see downstream.h. Worker thread. Keeps the list that draining walks, and knows which codec begins.
 */
#include "proxy/downstream.h"

#include <stdlib.h>
#include <unistd.h>

#include "proxy/greeting.h"
#include "proxy/h1_server.h"
#include "proxy/tunnel.h"

/* In passthrough bytes go to legacy unread, where they need not be looked at to know what they are. */
static bool goes_raw(const struct worker *worker, const struct listener_facts *listener)
{
    return worker->view->snapshot->relay_raw && listener->tls == NULL && (listener->protocols & PROTOCOL_HTTP2) == 0;
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
