/*
 * Tunnels: see tunnel.h. Worker thread. Bytes are never looked at. Small pieces are read and written, long runs are
 * moved inside the kernel; a side that does not read stops the reading of the other.
 */
#include "proxy/tunnel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/endpoint.h"
#include "proxy/pipe.h"
#include "proxy/upstream.h"

enum {
    BULK = 32 * 1024,     /* a read of this size announces more: move it inside the kernel */
    TURN_BYTES = 1 << 20, /* then others have their turn */
    TURN_READS = 8,       /* likewise */
    CONNECTS = 3,         /* addresses tried for a passthrough connection */
};

struct tunnel_end {
    struct conn conn;
    struct pump pump; /* bytes read from here on their way to the other end */
    bool open;        /* conn is registered */
    bool ended;       /* the peer sends no more */
};

struct tunnel {
    struct tunnel *next, *prev;
    struct retired retired;
    struct worker *worker;
    struct tunnel_end client, backend;
    struct slice early; /* from the client, for the backend once it is connected; counted, chunk NULL: none */
    uint64_t activity_ms;
    uint8_t connects_left;
    bool connecting;
    bool upgraded; /* else a whole connection, in passthrough */
    bool asked;    /* the newest bytes came from the client */
};

static const struct conn_events client_events, backend_events;

static struct tunnel *tunnel_of_client(struct conn *conn)
{
    return (struct tunnel *)((char *)conn - offsetof(struct tunnel, client.conn));
}

static struct tunnel *tunnel_of_backend(struct conn *conn)
{
    return (struct tunnel *)((char *)conn - offsetof(struct tunnel, backend.conn));
}

/* ---- life ---- */

static void tunnel_free(struct worker *worker, struct retired *retired)
{
    (void)worker;
    free((char *)retired - offsetof(struct tunnel, retired));
}

static void close_end(struct tunnel *tunnel, struct tunnel_end *end, bool reset)
{
    pump_close(tunnel->worker, &end->pump);
    if (!end->open)
        return;
    end->open = false;
    if (reset)
        conn_reset(&end->conn);
    else
        conn_close(&end->conn);
}

static void drop_early(struct tunnel *tunnel)
{
    if (tunnel->early.chunk != NULL)
        chunk_unref(tunnel->early.chunk);
    tunnel->early.chunk = NULL;
}

static void tunnel_close(struct tunnel *tunnel, bool reset)
{
    struct worker *worker = tunnel->worker;
    close_end(tunnel, &tunnel->client, reset);
    close_end(tunnel, &tunnel->backend, reset);
    drop_early(tunnel);
    if (tunnel->prev != NULL)
        tunnel->prev->next = tunnel->next;
    else
        worker->tunnels = tunnel->next;
    if (tunnel->next != NULL)
        tunnel->next->prev = tunnel->prev;
    count_add(&worker->counters.tunnels_active, (uint64_t)-1);
    tunnel->retired.free = tunnel_free;
    worker_retire(worker, &tunnel->retired);
    worker->tunnels_open--;
    worker_downstream_ended(worker);
}

static struct tunnel *tunnel_new(struct worker *worker)
{
    struct tunnel *tunnel = calloc(1, sizeof(*tunnel));
    if (tunnel == NULL)
        return NULL;
    tunnel->worker = worker;
    tunnel->activity_ms = worker_now_ms(worker);
    tunnel->next = worker->tunnels;
    if (tunnel->next != NULL)
        tunnel->next->prev = tunnel;
    worker->tunnels = tunnel;
    worker->tunnels_open++;
    count_add(&worker->counters.tunnels_active, 1);
    return tunnel;
}

/* ---- relaying ---- */

static bool sink_takes(struct conn *sink)
{
    if (sink->out.bytes > 0 && !conn_flush(sink)) {
        conn_dirty(sink); /* fails once more when the callback has returned, and then its owner is told */
        return false;
    }
    if (sink->out.bytes == 0 && !sink->blocked)
        return true;
    sink->want_drained = true;
    return false;
}

static void end_reached(struct tunnel *tunnel, struct tunnel_end *from, struct tunnel_end *to)
{
    from->ended = true;
    conn_shutdown_when_sent(&to->conn);
    if (to->ended && to->conn.out.bytes == 0 && from->conn.out.bytes == 0)
        tunnel_close(tunnel, false);
}

/* A long run inside the kernel. False: nothing more to do now, or the tunnel is gone. */
static bool move_bulk(struct tunnel *tunnel, struct tunnel_end *from, struct tunnel_end *to)
{
    uint64_t moved = 0;
    enum pump_result result = pump_move(&from->pump, from->conn.fd, to->conn.fd, TURN_BYTES, &moved);
    count_add(&tunnel->worker->counters.spliced_bytes, moved);
    if (moved > 0)
        tunnel->asked = from == &tunnel->client;
    switch (result) {
    case PUMP_SOURCE_EMPTY:
        pump_close(tunnel->worker, &from->pump); /* a quiet tunnel holds no pipe */
        from->conn.readable = from->conn.peer_closed;
        return from->conn.peer_closed;
    case PUMP_SINK_FULL:
        to->conn.blocked = true;
        to->conn.want_drained = true;
        return false;
    case PUMP_SOURCE_END:
        pump_close(tunnel->worker, &from->pump);
        end_reached(tunnel, from, to);
        return false;
    case PUMP_SOURCE_ERROR:
    case PUMP_SINK_ERROR:
        tunnel_close(tunnel, true);
        return false;
    case PUMP_DONE:
        conn_later(&from->conn);
        return false;
    }
    return false;
}

static void relay(struct tunnel *tunnel, struct tunnel_end *from, struct tunnel_end *to)
{
    tunnel->activity_ms = worker_now_ms(tunnel->worker);
    if (from->ended && conn_is_broken(&from->conn)) {
        tunnel_close(tunnel, true); /* nothing more will be read from it that could tell */
        return;
    }
    for (int reads = 0; !from->ended && sink_takes(&to->conn); reads++) {
        if (reads == TURN_READS) {
            conn_later(&from->conn);
            return;
        }
        if (from->pump.open) {
            if (!move_bulk(tunnel, from, to))
                return;
            continue;
        }
        struct slice bytes;
        switch (conn_read(&from->conn, &bytes)) {
        case CONN_READ_DATA:
            tunnel->asked = from == &tunnel->client;
            if (!conn_send(&to->conn, bytes)) {
                tunnel_close(tunnel, true);
                return;
            }
            conn_look(&from->conn); /* a reset that came together with these bytes makes no edge of its own */
            if (bytes.len >= BULK && from->conn.transport->raw && to->conn.transport->raw)
                (void)pump_open(tunnel->worker, &from->pump); /* without a pipe it goes on as before */
            break;
        case CONN_READ_AGAIN:
            return;
        case CONN_READ_END:
            end_reached(tunnel, from, to);
            return;
        case CONN_READ_ERROR:
            tunnel_close(tunnel, true);
            return;
        }
    }
}

static void on_client_readable(struct conn *conn)
{
    struct tunnel *tunnel = tunnel_of_client(conn);
    if (!tunnel->connecting)
        relay(tunnel, &tunnel->client, &tunnel->backend);
    else if (conn_is_broken(conn))
        tunnel_close(tunnel, true); /* but not when it has only ended its half */
}

static void on_backend_readable(struct conn *conn)
{
    struct tunnel *tunnel = tunnel_of_backend(conn);
    if (!tunnel->connecting)
        relay(tunnel, &tunnel->backend, &tunnel->client);
}

static void after_drain(struct tunnel *tunnel, struct tunnel_end *from, struct tunnel_end *to)
{
    if (from->ended && to->ended && from->conn.out.bytes == 0)
        tunnel_close(tunnel, false);
    else
        relay(tunnel, from, to);
}

static void on_client_drained(struct conn *conn)
{
    struct tunnel *tunnel = tunnel_of_client(conn);
    after_drain(tunnel, &tunnel->backend, &tunnel->client);
}

static void on_backend_drained(struct conn *conn)
{
    struct tunnel *tunnel = tunnel_of_backend(conn);
    if (!tunnel->connecting)
        after_drain(tunnel, &tunnel->client, &tunnel->backend);
}

static void on_client_failed(struct conn *conn, int error)
{
    (void)error;
    tunnel_close(tunnel_of_client(conn), true);
}

static void on_backend_failed(struct conn *conn, int error)
{
    (void)error;
    tunnel_close(tunnel_of_backend(conn), true);
}

static void on_idle(struct conn *conn)
{
    struct tunnel *tunnel = tunnel_of_client(conn);
    uint64_t limit = tunnel->worker->view->config->timeouts.tunnel_idle_ms;
    uint64_t quiet = worker_now_ms(tunnel->worker) - tunnel->activity_ms;
    if (quiet < limit)
        conn_timeout_in(conn, limit - quiet);
    else
        tunnel_close(tunnel, false);
}

static void start(struct tunnel *tunnel)
{
    tunnel->connecting = false;
    if (tunnel->early.chunk != NULL && !conn_send(&tunnel->backend.conn, tunnel->early)) {
        tunnel_close(tunnel, true);
        return;
    }
    drop_early(tunnel);
    conn_timeout_in(&tunnel->client.conn, tunnel->worker->view->config->timeouts.tunnel_idle_ms);
    /* Input may have been there before we were asked. */
    tunnel->client.conn.readable = true;
    tunnel->backend.conn.readable = true;
    conn_wake(&tunnel->client.conn);
    conn_wake(&tunnel->backend.conn);
}

/* ---- after an upgrade ---- */

/* Input that was read before comes first; `early` has a reference. */
static bool send_early(struct conn *to, struct slice early)
{
    if (early.chunk == NULL)
        return true;
    bool queued = early.len == 0 || conn_send(to, early);
    chunk_unref(early.chunk);
    return queued;
}

bool tunnel_join(struct worker *worker, struct server_stream *stream, struct attempt *attempt)
{
    struct tunnel *tunnel = tunnel_new(worker);
    if (tunnel == NULL) {
        attempt_cancel(attempt);
        stream->codec->abort(stream);
        return false;
    }
    struct slice from_backend, from_client;
    attempt->codec->detach(attempt, &tunnel->backend.conn, &backend_events, &from_backend);
    stream->codec->detach(stream, &tunnel->client.conn, &client_events, &from_client);
    tunnel->client.open = tunnel->backend.open = true;
    tunnel->upgraded = true;
    bool to_client = send_early(&tunnel->client.conn, from_backend);
    bool to_backend = send_early(&tunnel->backend.conn, from_client);
    if (!to_client || !to_backend) {
        tunnel_close(tunnel, true);
        return false;
    }
    start(tunnel);
    return true;
}

/* ---- passthrough ---- */

/* Connects to the next address. False: none left, or no socket. */
static bool connect_next(struct tunnel *tunnel)
{
    struct worker *worker = tunnel->worker;
    /* Looked up each time: a reload may have come between two tries. */
    struct upstream *upstream = upstream_find(worker->upstreams, worker->view->config->legacy, USE_LIVE);
    while (upstream != NULL && tunnel->connects_left > 0) {
        tunnel->connects_left--;
        struct endpoint *endpoint = upstream_pick(upstream);
        if (endpoint == NULL)
            return false;
        int fd = endpoint_socket(&endpoint->address);
        if (fd < 0 && worker_shed_shadow(worker))
            fd = endpoint_socket(&endpoint->address);
        if (fd < 0)
            return false;
        memset(&tunnel->backend.conn, 0, sizeof(tunnel->backend.conn));
        count_add(&worker->counters.upstream_connections, 1);
        bool begun = connect(fd, &endpoint->address.to.any, endpoint->address.length) == 0 || errno == EINPROGRESS;
        if (begun && conn_open(&tunnel->backend.conn, worker, fd, &backend_events)) {
            tunnel->backend.open = true;
            conn_timeout_in(&tunnel->backend.conn, worker->view->config->timeouts.connect_ms);
            worker_busy(worker);
            return true;
        }
        count_add(&worker->counters.upstream_connect_failures, 1);
        close(fd);
    }
    return false;
}

/* The next connection is made in the same struct: callers look at its flags alone afterwards, which are new, too. */
static void connect_failed(struct tunnel *tunnel)
{
    count_add(&tunnel->worker->counters.upstream_connect_failures, 1);
    tunnel->backend.open = false;
    conn_close(&tunnel->backend.conn);
    if (!connect_next(tunnel))
        tunnel_close(tunnel, true);
}

static void on_backend_writable(struct conn *conn)
{
    struct tunnel *tunnel = tunnel_of_backend(conn);
    if (!tunnel->connecting) {
        if (conn->blocked) {
            conn->blocked = false;
            conn->want_drained = true;
            conn_dirty(conn);
        }
        return;
    }
    if (conn_is_broken(conn)) {
        connect_failed(tunnel);
        return;
    }
    conn_timeout_off(conn);
    start(tunnel);
}

static void on_backend_timeout(struct conn *conn)
{
    struct tunnel *tunnel = tunnel_of_backend(conn);
    if (tunnel->connecting)
        connect_failed(tunnel);
}

static const struct conn_events client_events = {
    .on_readable = on_client_readable,
    .on_drained = on_client_drained,
    .on_failed = on_client_failed,
    .on_timeout = on_idle,
};

static const struct conn_events backend_events = {
    .on_readable = on_backend_readable,
    .on_writable = on_backend_writable,
    .on_drained = on_backend_drained,
    .on_failed = on_backend_failed,
    .on_timeout = on_backend_timeout,
};

static void begin_passthrough(struct tunnel *tunnel)
{
    count_add(&tunnel->worker->counters.passthrough_connections, 1);
    tunnel->client.open = true;
    tunnel->connecting = true;
    tunnel->connects_left = CONNECTS;
    if (!connect_next(tunnel))
        tunnel_close(tunnel, true);
}

void tunnel_passthrough(struct worker *worker, int client_fd)
{
    struct tunnel *tunnel = tunnel_new(worker);
    if (tunnel == NULL || !conn_open(&tunnel->client.conn, worker, client_fd, &client_events)) {
        if (tunnel != NULL)
            tunnel_close(tunnel, true);
        close(client_fd);
        return;
    }
    begin_passthrough(tunnel);
}

bool tunnel_take_over(struct conn *client, struct slice early)
{
    struct tunnel *tunnel = tunnel_new(client->worker);
    if (tunnel == NULL)
        return false;
    conn_move(&tunnel->client.conn, client, &client_events);
    tunnel->early = early;
    tunnel->asked = true;
    chunk_ref(early.chunk);
    begin_passthrough(tunnel);
    return true;
}

/* ---- draining ---- */

/*
 * Is nobody waiting for an answer? The bytes are not understood, but most of what comes in passthrough is HTTP: where
 * the backend spoke last and then kept silent, its answer is complete, or it pauses for longer than answers do.
 */
static bool is_idle(const struct tunnel *tunnel, uint64_t quiet_ms)
{
    const struct tunnel_end *client = &tunnel->client, *backend = &tunnel->backend;
    if (tunnel->upgraded || tunnel->connecting || tunnel->asked || client->ended || backend->ended)
        return false;
    if (client->pump.open || backend->pump.open || client->conn.out.bytes > 0 || backend->conn.out.bytes > 0)
        return false;
    return worker_now_ms(tunnel->worker) - tunnel->activity_ms >= quiet_ms && !conn_has_input(&client->conn);
}

void tunnels_close_idle(struct worker *worker, uint64_t quiet_ms)
{
    struct tunnel *next;
    for (struct tunnel *tunnel = worker->tunnels; tunnel != NULL; tunnel = next) {
        next = tunnel->next;
        if (is_idle(tunnel, quiet_ms))
            tunnel_close(tunnel, false);
    }
}

void tunnels_close(struct worker *worker)
{
    while (worker->tunnels != NULL)
        tunnel_close(worker->tunnels, true);
}
