/*
 * Dialling backends: see dial.h. Worker thread. Knows which codec a connection gets, and nothing of what is sent on it.
 */
#include "proxy/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/endpoint.h"
#include "proxy/h1_client.h"
#include "proxy/h2_client.h"
#include "proxy/tls_session.h"
#include "proxy/transport_tls.h"

enum {
    SHARE_MOST =
        100, /* attempts that wait for one connection: what most servers take at once (RFC 9113 section 6.5.2) */
    UNSENT_IN_KERNEL = 64 * 1024,
};

static struct dial *dial_of(struct conn *conn)
{
    return (struct dial *)((char *)conn - offsetof(struct dial, conn));
}

/* ---- who waits ---- */

static void add_attempt(struct dial *dial, struct attempt *attempt)
{
    attempt->next_waiting = NULL;
    attempt->prev_waiting = dial->last;
    *(dial->last != NULL ? &dial->last->next_waiting : &dial->first) = attempt;
    dial->last = attempt;
    dial->attempts++;
    attempt->link = dial;
    attempt->codec = &dial_codec;
    attempt->state = ATTEMPT_CONNECTING;
    attempt->reused = false;
    memcpy(attempt->endpoint, dial->endpoint->address.text, sizeof(attempt->endpoint));
}

static void remove_attempt(struct dial *dial, struct attempt *attempt)
{
    *(attempt->prev_waiting != NULL ? &attempt->prev_waiting->next_waiting : &dial->first) = attempt->next_waiting;
    *(attempt->next_waiting != NULL ? &attempt->next_waiting->prev_waiting : &dial->last) = attempt->prev_waiting;
    attempt->next_waiting = attempt->prev_waiting = NULL;
    attempt->link = NULL;
    dial->attempts--;
}

struct attempt *dial_take(struct dial *dial)
{
    struct attempt *attempt = dial->first;
    if (attempt != NULL)
        remove_attempt(dial, attempt);
    return attempt;
}

/* ---- life ---- */

static void dial_free(struct worker *worker, struct retired *retired)
{
    struct dial *dial = (struct dial *)((char *)retired - offsetof(struct dial, retired));
    (void)worker;
    tls_context_unref(dial->tls);
    free(dial);
}

static void leave_endpoint(struct dial *dial)
{
    if (!dial->listed)
        return;
    dial->listed = false;
    if (dial->prev != NULL)
        dial->prev->next = dial->next;
    else
        dial->endpoint->dials = dial->next;
    if (dial->next != NULL)
        dial->next->prev = dial->prev;
}

static void retire(struct dial *dial)
{
    leave_endpoint(dial);
    dial->retired.free = dial_free;
    worker_retire(dial->conn.worker, &dial->retired);
}

static void abandon(struct dial *dial)
{
    conn_close(&dial->conn);
    retire(dial);
    endpoint_closed(dial->endpoint);
}

/* The connection goes first, then the attempts hear of it, one by one: each may ask for another. */
static void fail(struct dial *dial, enum outcome_kind kind, const char *text)
{
    struct worker *worker = dial->conn.worker;
    bool backend_removed = dial->endpoint->upstream == NULL; /* with it the other addresses */
    count_add(&worker->counters.upstream_connect_failures, 1);
    if (!dial->http1 || !dial->handshaking) /* that it does not speak HTTP/1.1 says nothing about requests of HTTP/2 */
        endpoint_failed(dial->endpoint);
    abandon(dial); /* still ours, until the round is over: a cancelled attempt takes itself out */
    for (struct attempt *attempt; (attempt = dial_take(dial)) != NULL;) {
        if (backend_removed)
            attempt_fail(attempt, kind, text);
        else
            attempt_connect_failed(attempt, kind, text);
    }
}

/* ---- it stands ---- */

/* Those for whom there is no room on the new connection look for another. */
static void place_rest(struct dial *dial)
{
    for (struct attempt *attempt; (attempt = dial_take(dial)) != NULL;) {
        if (dial->endpoint->upstream != NULL)
            attempt_again(attempt);
        else
            attempt_fail(attempt, OUTCOME_CONNECT_FAILED, "the backend has been removed");
    }
}

/* In clear nothing is negotiated: what is not known to speak HTTP/2 is asked in HTTP/1.1. So is a backend that knows no
 * ALPN. */
static enum config_protocol protocol_of(const struct dial *dial)
{
    if (dial->tls != NULL)
        return tls_protocol(&dial->conn) == PROTOCOL_HTTP2 ? PROTOCOL_HTTP2 : PROTOCOL_HTTP1;
    return dial->protocol == PROTOCOL_HTTP2 ? PROTOCOL_HTTP2 : PROTOCOL_HTTP1;
}

static void established(struct dial *dial)
{
    struct endpoint *endpoint = dial->endpoint;
    conn_timeout_off(&dial->conn);
    leave_endpoint(dial);    /* nobody joins any more */
    endpoint_hold(endpoint); /* whatever comes of the connection at once */
    enum config_protocol protocol = protocol_of(dial);
    if (!dial->http1)
        endpoint->speaks = protocol;
    if (protocol == PROTOCOL_HTTP2 ? h2_client_adopt(dial) : h1_client_adopt(dial)) {
        retire(dial);
        place_rest(dial);
    } else {
        fail(dial, OUTCOME_OVERLOADED, "no memory for a connection to the backend");
    }
    endpoint_closed(endpoint);
}

static const char *handshake_fault(const struct dial *dial)
{
    if (dial->http1 && tls_failure_of(&dial->conn) == TLS_FAILURE_PROTOCOL)
        return "the backend offers WebSocket neither over HTTP/2 (RFC 8441) nor over HTTP/1.1";
    return tls_failure_text(&dial->conn);
}

static void shake(struct dial *dial)
{
    switch (tls_handshake(&dial->conn)) {
    case TLS_STEP_WAIT:
        break;
    case TLS_STEP_STANDS:
        dial->conn.readable = true; /* what came with the handshake makes no edge of its own */
        established(dial);
        break;
    case TLS_STEP_FAILED:
        fail(dial, OUTCOME_CONNECT_FAILED, handshake_fault(dial));
        break;
    }
}

static void start_handshake(struct dial *dial)
{
    struct endpoint *endpoint = dial->endpoint;
    if (endpoint->session == NULL)
        endpoint->session = tls_session_new(); /* without memory every handshake is a full one */
    if (!tls_begin_client(&dial->conn, dial->tls, endpoint->session) ||
        (dial->http1 && !tls_offer_http1(&dial->conn))) {
        fail(dial, OUTCOME_OVERLOADED, "no memory for TLS with the backend");
        return;
    }
    dial->handshaking = true;
    conn_timeout_in(&dial->conn, dial->conn.worker->view->config->timeouts.tls_handshake_ms);
    shake(dial);
}

static void on_connected(struct dial *dial)
{
    if (conn_is_broken(&dial->conn)) {
        fail(dial, OUTCOME_CONNECT_FAILED, "the backend does not accept connections");
        return;
    }
    if (dial->tls != NULL)
        start_handshake(dial);
    else
        established(dial);
}

/* Before it is connected there is nothing to read. */
static void on_readable(struct conn *conn)
{
    struct dial *dial = dial_of(conn);
    if (dial->handshaking)
        shake(dial);
}

static void on_writable(struct conn *conn)
{
    struct dial *dial = dial_of(conn);
    if (!dial->handshaking)
        on_connected(dial);
    else if (tls_wants_to_send(conn))
        shake(dial);
}

static void on_timeout(struct conn *conn)
{
    struct dial *dial = dial_of(conn);
    if (dial->handshaking) {
        tls_handshake_late(conn);
        fail(dial, OUTCOME_TIMEOUT, tls_failure_text(conn));
        return;
    }
    fail(dial, OUTCOME_TIMEOUT, "connecting to the backend took too long");
}

static void on_failed(struct conn *conn, int error)
{
    (void)error;
    fail(dial_of(conn), OUTCOME_CONNECT_FAILED, "the backend closed the connection before it stood");
}

static const struct conn_events dial_events = {
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_failed = on_failed,
    .on_timeout = on_timeout,
};

/* ---- beginning ---- */

static void enter_endpoint(struct dial *dial, struct endpoint *endpoint)
{
    dial->endpoint = endpoint;
    dial->next = endpoint->dials;
    if (dial->next != NULL)
        dial->next->prev = dial;
    endpoint->dials = dial;
    dial->listed = true;
    endpoint_hold(endpoint);
}

/* Of a copy nobody reads the kernel would keep megabytes, which cgroup v2 counts and limits.shadow_memory does not. */
static void keep_kernel_lean(const struct upstream *upstream, int fd)
{
    static const int bytes = UNSENT_IN_KERNEL;
    if (upstream->use == USE_SHADOW && memory_limit(upstream->worker->memory) > 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes)); /* not of a unix socket */
}

bool dial_start(struct endpoint *endpoint, struct attempt *attempt)
{
    struct worker *worker = endpoint->upstream->worker;
    struct dial *dial = calloc(1, sizeof(*dial));
    if (dial == NULL) {
        errno = ENOMEM;
        return false;
    }
    int fd = endpoint_socket(&endpoint->address);
    if (fd < 0)
        goto fail_memory;
    keep_kernel_lean(endpoint->upstream, fd);
    bool refused = connect(fd, &endpoint->address.to.any, endpoint->address.length) < 0 && errno != EINPROGRESS;
    if (!conn_open(&dial->conn, worker, fd, &dial_events))
        goto fail_socket;
    if (endpoint->upstream->config->tls != NULL)
        dial->tls = tls_context_ref(worker->view->snapshot->backend_tls[endpoint->upstream->config->index]);
    dial->protocol = endpoint->upstream->config->protocol;
    dial->http1 = attempt->http1;
    enter_endpoint(dial, endpoint);
    add_attempt(dial, attempt);
    count_add(&worker->counters.upstream_connections, 1);
    worker_busy(worker);
    if (refused)
        fail(dial, OUTCOME_CONNECT_FAILED, "the backend does not accept connections");
    else
        conn_timeout_in(&dial->conn, worker->view->config->timeouts.connect_ms);
    return true;
fail_socket:
    close(fd);
fail_memory:
    free(dial);
    return false;
}

bool dial_join(struct endpoint *endpoint, struct attempt *attempt)
{
    for (struct dial *dial = endpoint->dials; dial != NULL; dial = dial->next) {
        if (dial->attempts < SHARE_MOST && !dial->http1) {
            add_attempt(dial, attempt);
            return true;
        }
    }
    return false;
}

static void cancel(struct attempt *attempt)
{
    struct dial *dial = attempt->link;
    remove_attempt(dial, attempt);
    if (dial->attempts == 0 && !dial->conn.closed)
        abandon(dial);
}

const struct client_codec dial_codec = {.cancel = cancel};
