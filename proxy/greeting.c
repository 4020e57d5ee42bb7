/*
 * Handshakes of clients: see greeting.h. Worker thread. Waits for edges and for the clock, and knows which codec goes
 * on; what TLS says is in tls_handshake.c.
 *
 * A handshake that fails has told the client why, in an alert. Closing with bytes unread would make the kernel send a
 * reset, which can destroy the alert on its way: so the connection stays for a moment, and is read to its end.
 */
#include "proxy/greeting.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/h1_server.h"
#include "proxy/h2_server.h"
#include "proxy/transport_tls.h"
#include "proxy/turn.h"

enum {
    LINGER_MS = 1000,
    LINGER_READS = 64, /* then it is enough */
};

struct greeting {
    struct downstream base;
    bool counted; /* it is one of the worker's greetings: the handshake is not over */
    bool begun;   /* likewise, of its handshakes */
    bool waited;  /* for its turn */
    bool lingers;
    uint32_t reads; /* while it lingers */
};

static struct greeting *greeting_of(struct conn *conn)
{
    return (struct greeting *)((char *)conn - offsetof(struct greeting, base.conn));
}

static void greeting_free(struct worker *worker, struct retired *retired)
{
    (void)worker;
    free((char *)retired - offsetof(struct greeting, base.retired));
}

static void begin(struct greeting *greeting)
{
    struct conn *conn = &greeting->base.conn;
    greeting->begun = true;
    conn->worker->handshakes++;
    if (greeting->waited) /* that was not its time */
        conn_timeout_in(conn, conn->worker->view->config->timeouts.tls_handshake_ms);
}

static void be_over(struct greeting *greeting)
{
    struct worker *worker = greeting->base.conn.worker;
    worker->handshakes -= greeting->begun ? 1 : 0;
    worker->greetings -= greeting->counted ? 1 : 0;
    greeting->begun = greeting->counted = false;
}

static void end(struct greeting *greeting)
{
    be_over(greeting);
    conn_close(&greeting->base.conn);
    downstream_forget(&greeting->base, greeting_free);
}

/* ---- it stands ---- */

static bool adopt(struct greeting *greeting)
{
    enum config_protocol chosen = tls_protocol(&greeting->base.conn);
    if (chosen == 0) /* no ALPN: HTTP/1.1, where the listener speaks it */
        chosen = (greeting->base.protocols & PROTOCOL_HTTP1) != 0 ? PROTOCOL_HTTP1 : PROTOCOL_HTTP2;
    return chosen == PROTOCOL_HTTP2 ? h2_server_adopt(&greeting->base, (struct slice){NULL, NULL, 0})
                                    : h1_server_adopt(&greeting->base);
}

static void stand(struct greeting *greeting)
{
    struct worker *worker = greeting->base.conn.worker;
    be_over(greeting);
    greeting->base.conn.readable = true; /* what came with the handshake makes no edge of its own */
    if (!adopt(greeting)) {
        count_add(&worker->counters.connections_refused, 1);
        end(greeting);
        return;
    }
    downstream_retire(&greeting->base, greeting_free);
    struct downstream *newest = worker->downstreams;
    if (worker_is_ending(worker) && newest != NULL)
        newest->ops->drain(newest, worker->phase); /* it was not there when the others were told */
}

/* ---- it does not ---- */

/* The bytes that come now are nobody's. */
static void discard(struct greeting *greeting)
{
    char scratch[4096];
    size_t len;
    struct conn *conn = &greeting->base.conn;
    for (;;) {
        if (greeting->reads++ == LINGER_READS) {
            end(greeting);
            return;
        }
        switch (conn_read_into(conn, scratch, sizeof(scratch), &len)) {
        case CONN_READ_DATA:
            break;
        case CONN_READ_AGAIN:
            return;
        case CONN_READ_END:
        case CONN_READ_ERROR:
            end(greeting);
            return;
        }
    }
}

static void linger(struct greeting *greeting)
{
    struct conn *conn = &greeting->base.conn;
    be_over(greeting);
    if (tls_failure_of(conn) == TLS_FAILURE_CLOSED || conn->peer_closed) {
        end(greeting);
        return;
    }
    conn->transport->close(conn);
    conn->transport = &transport_plain;
    conn->transport->shutdown_write(conn);
    conn->write_shut = true;
    conn->readable = true;
    greeting->lingers = true;
    conn_timeout_in(conn, LINGER_MS);
    discard(greeting);
}

/* ---- what happens on it ---- */

static void go_on(struct greeting *greeting)
{
    struct conn *conn = &greeting->base.conn;
    if (!greeting->begun) {
        if (!turn_allows_handshake(conn, conn->worker->handshakes)) {
            greeting->waited = true;
            return;
        }
        begin(greeting);
    }
    switch (tls_handshake(&greeting->base.conn)) {
    case TLS_STEP_WAIT:
        break;
    case TLS_STEP_STANDS:
        stand(greeting);
        break;
    case TLS_STEP_FAILED:
        linger(greeting);
        break;
    }
}

static void on_readable(struct conn *conn)
{
    struct greeting *greeting = greeting_of(conn);
    if (greeting->lingers)
        discard(greeting);
    else
        go_on(greeting);
}

static void on_writable(struct conn *conn)
{
    struct greeting *greeting = greeting_of(conn);
    conn->blocked = false;
    if (!greeting->lingers && tls_wants_to_send(conn))
        go_on(greeting);
}

static void on_failed(struct conn *conn, int error)
{
    (void)error;
    end(greeting_of(conn));
}

static void on_timeout(struct conn *conn)
{
    struct greeting *greeting = greeting_of(conn);
    if (turn_is_awaited(conn)) { /* it has begun in time, and we have not */
        conn_timeout_in(conn, conn->worker->view->config->timeouts.tls_handshake_ms);
        return;
    }
    if (!greeting->lingers)
        tls_handshake_late(conn);
    end(greeting);
}

static const struct conn_events greeting_events = {
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_failed = on_failed,
    .on_timeout = on_timeout,
};

/* A client that was taken is greeted, draining or not: its request may be on its way. */
static void drain(struct downstream *base, enum drain_phase phase)
{
    struct greeting *greeting = (struct greeting *)((char *)base - offsetof(struct greeting, base));
    if (phase == DRAIN_OVER || (phase >= DRAIN_CLOSING && greeting->lingers))
        end(greeting);
}

static const struct downstream_ops greeting_ops = {.drain = drain};

void greeting_accept(struct worker *worker, const struct listener_facts *listener, int fd,
                     const struct client_address *client)
{
    struct greeting *greeting = calloc(1, sizeof(*greeting));
    if (greeting == NULL || !downstream_open(&greeting->base, worker, fd, &greeting_events, &greeting_ops)) {
        count_add(&worker->counters.connections_refused, 1);
        free(greeting);
        close(fd);
        return;
    }
    greeting->base.client = *client;
    greeting->base.protocols = listener->protocols;
    greeting->counted = true;
    worker->greetings++;
    if (!tls_begin_server(&greeting->base.conn, listener->tls)) {
        count_add(&worker->counters.connections_refused, 1);
        end(greeting);
        return;
    }
    conn_timeout_in(&greeting->base.conn, worker->view->config->timeouts.tls_handshake_ms);
    worker_busy(worker);
}
