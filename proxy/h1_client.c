/*
 * Connections to backends over HTTP/1.1: see h1_client.h. Worker thread. Sends what an attempt gives it and reports the
 * response to the attempt; knows nothing of exchanges, copies or routes.
 *
 * A connection goes back to its endpoint only when request and response ended exactly where they should. Anything that
 * arrives on an idle connection closes it: such bytes belong to nobody.
 */
#include "proxy/h1_client.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/dial.h"
#include "proxy/h1_chunk.h"
#include "proxy/transport_tls.h"
#include "proxy/turn.h"

enum {
    READS_PER_EVENT = 4, /* then others have their turn */
    RAW_LEAST = 65536,   /* rests of a body from here on are worth moving inside the kernel */
    HEAD_CHUNK = 4000,   /* first home of an incomplete head */
};

static const struct conn_events h1_client_events;

static struct h1_client *client_of(struct conn *conn)
{
    return (struct h1_client *)((char *)conn - offsetof(struct h1_client, conn));
}

static struct h1_client *client_of_attempt(const struct attempt *attempt)
{
    return attempt->link;
}

/* ---- idle list ---- */

static void idle_add(struct h1_client *client)
{
    struct endpoint *endpoint = client->endpoint;
    client->prev = NULL;
    client->next = endpoint->idle;
    if (endpoint->idle != NULL)
        endpoint->idle->prev = client;
    endpoint->idle = client;
    endpoint->idle_count++;
    client->state = H1_CLIENT_IDLE;
    count_add(&client->conn.worker->counters.upstream_idle, 1);
}

static void idle_remove(struct h1_client *client)
{
    struct endpoint *endpoint = client->endpoint;
    if (client->prev != NULL)
        client->prev->next = client->next;
    else
        endpoint->idle = client->next;
    if (client->next != NULL)
        client->next->prev = client->prev;
    client->next = client->prev = NULL;
    endpoint->idle_count--;
    count_add(&client->conn.worker->counters.upstream_idle, (uint64_t)-1);
}

static void activate(struct h1_client *client, struct attempt *attempt)
{
    client->attempt = attempt;
    attempt->link = client;
    count_add(&client->conn.worker->counters.upstream_active, 1);
    memcpy(attempt->endpoint, client->endpoint->address.text, sizeof(attempt->endpoint));
}

static void deactivate(struct h1_client *client)
{
    if (client->attempt == NULL)
        return;
    client->attempt->link = NULL;
    client->attempt = NULL;
    count_add(&client->conn.worker->counters.upstream_active, (uint64_t)-1);
}

/* ---- life ---- */

static void drop_head(struct h1_client *client)
{
    if (client->head != NULL) {
        chunk_unref(client->head);
        client->head = NULL;
        client->head_len = 0;
    }
    if (client->parser != NULL) {
        worker_give_parser(client->conn.worker, client->parser);
        client->parser = NULL;
    }
}

static void h1_client_free(struct worker *worker, struct retired *retired)
{
    (void)worker;
    free((char *)retired - offsetof(struct h1_client, retired));
}

/* The socket is closed or given away: forget the connection. */
static void forget(struct h1_client *client)
{
    struct endpoint *endpoint = client->endpoint;
    deactivate(client);
    drop_head(client);
    h1_body_done(&client->body);
    client->retired.free = h1_client_free;
    worker_retire(client->conn.worker, &client->retired);
    endpoint_closed(endpoint);
}

void h1_client_close(struct h1_client *client)
{
    if (client->conn.closed)
        return;
    if (client->state == H1_CLIENT_IDLE)
        idle_remove(client);
    conn_close(&client->conn);
    forget(client);
}

/* The attempt on this connection has failed; the connection goes first, then the attempt hears of it. */
static void fail(struct h1_client *client, enum outcome_kind kind, const char *text)
{
    struct attempt *attempt = client->attempt;
    if (kind == OUTCOME_TIMEOUT || (kind == OUTCOME_RESET && !attempt->reused))
        endpoint_failed(client->endpoint);
    deactivate(client);
    h1_client_close(client);
    attempt_fail(attempt, kind, text);
}

static void become_idle(struct h1_client *client)
{
    struct conn *conn = &client->conn;
    struct upstream *upstream = client->endpoint->upstream;
    client->reading_body = false;
    client->paused = false;
    client->no_raw = false;
    client->raw_started = false;
    idle_add(client);
    conn_timeout_in(conn, upstream->config->idle_timeout_ms);
    upstream_release(upstream);
}

/* Bytes that the last read has left in the socket belong to nobody, and no event will tell of them. */
static bool nothing_behind(struct h1_client *client)
{
    struct slice bytes;
    enum conn_read result = conn_read(&client->conn, &bytes);
    if (result == CONN_READ_DATA)
        count_add(&client->conn.worker->counters.upstream_stray_bytes, 1);
    return result == CONN_READ_AGAIN;
}

/* The response is complete. `clean`: no byte came behind it. */
static void finish(struct h1_client *client, bool clean)
{
    struct attempt *attempt = client->attempt;
    struct h1_body body = client->body;
    memset(&client->body, 0, sizeof(client->body));
    attempt->response_done = true;
    attempt->state = ATTEMPT_DONE;
    bool keep = client->keep && clean && attempt->request_done && client->conn.out.bytes == 0 &&
                !client->conn.peer_closed && !client->write_failed && !client->endpoint->gone &&
                !worker_is_ending(client->conn.worker) && (!client->conn.readable || nothing_behind(client));
    deactivate(client);
    if (keep)
        become_idle(client);
    else
        h1_client_close(client);
    struct text trailers = {body.trailers, body.trailers_len};
    attempt->events->on_end(attempt, trailers);
    h1_body_done(&body);
}

/* ---- reading ---- */

/* Keeps bytes of an incomplete head together. */
static bool keep_head(struct h1_client *client, struct slice bytes)
{
    struct worker *worker = client->conn.worker;
    size_t need = (size_t)client->head_len + bytes.len;
    if (client->head == NULL || client->head->size < need) {
        struct chunk *bigger = chunk_take(&worker->chunks, need < HEAD_CHUNK ? HEAD_CHUNK : need * 2);
        if (bigger == NULL)
            return false;
        if (client->head != NULL) {
            memcpy(bigger->data, client->head->data, client->head_len);
            chunk_unref(client->head);
        }
        client->head = bigger;
    }
    memcpy(client->head->data + client->head_len, bytes.at, bytes.len);
    client->head_len += bytes.len;
    client->head->used = client->head_len;
    return true;
}

static void start_parser(struct h1_client *client)
{
    h1_parser_start_response(client->parser, &client->conn.worker->view->config->limits, client->attempt->to_head);
}

/* Reports a complete head. False: the connection is not ours any more. */
static bool take_head(struct h1_client *client)
{
    struct attempt *attempt = client->attempt;
    const struct head *head = h1_parser_head(client->parser);
    bool interim = head->status < 200 && head->status != 101;
    if (!interim) {
        h1_body_start(&client->body, head, false);
        client->keep = head->keep_alive;
        client->reading_body = true;
        attempt->state = ATTEMPT_RESPONDING;
        conn_timeout_off(&client->conn);
        endpoint_succeeded(client->endpoint);
    }
    attempt->events->on_head(attempt, head);
    if (client->attempt != attempt || client->conn.closed)
        return false;
    drop_head(client);
    return true;
}

/* Takes head bytes from *bytes. False: wait for more, or the connection is not ours any more. */
static bool read_head(struct h1_client *client, struct slice *bytes)
{
    struct worker *worker = client->conn.worker;
    if (client->parser == NULL) {
        client->parser = worker_take_parser(worker);
        if (client->parser == NULL) {
            fail(client, OUTCOME_OVERLOADED, "no memory to read the response");
            return false;
        }
        start_parser(client);
    }
    uint32_t before = client->head_len;
    const char *base = bytes->at;
    size_t length = bytes->len;
    if (client->head != NULL) {
        if (!keep_head(client, *bytes)) {
            fail(client, OUTCOME_OVERLOADED, "no memory to read the response");
            return false;
        }
        base = client->head->data;
        length = client->head_len;
    }
    size_t head_bytes = 0;
    switch (h1_parser_read(client->parser, base, length, &head_bytes)) {
    case H1_MORE:
        if (client->head == NULL && !keep_head(client, *bytes)) {
            fail(client, OUTCOME_OVERLOADED, "no memory to read the response");
            return false;
        }
        bytes->len = 0;
        return false;
    case H1_BAD:
        count_add(&worker->counters.bad_responses, 1);
        fail(client, OUTCOME_BAD_RESPONSE, h1_parser_fault(client->parser)->what);
        return false;
    case H1_DONE:
        break;
    }
    uint32_t taken = (uint32_t)head_bytes - before;
    bytes->at += taken;
    bytes->len -= taken;
    client->unread = *bytes;
    return take_head(client);
}

/* Takes body bytes from *bytes. False: everything taken, or the connection is not ours any more. */
static bool read_body(struct h1_client *client, struct slice *bytes)
{
    struct attempt *attempt = client->attempt;
    size_t consumed = 0;
    struct text data = {NULL, 0};
    enum h1_body_result result = h1_body_read(&client->body, bytes->at, bytes->len, &consumed, &data);
    bytes->at += consumed;
    bytes->len -= (uint32_t)consumed;
    switch (result) {
    case H1_BODY_MORE:
        return false;
    case H1_BODY_DATA:
        attempt->events->on_body(attempt, (struct slice){bytes->chunk, data.at, data.len});
        return client->attempt == attempt && !client->conn.closed;
    case H1_BODY_END:
        if (bytes->len > 0)
            count_add(&client->conn.worker->counters.upstream_stray_bytes, 1);
        finish(client, bytes->len == 0);
        return false;
    case H1_BODY_BAD:
        count_add(&client->conn.worker->counters.bad_responses, 1);
        fail(client, OUTCOME_BAD_RESPONSE, client->body.fault->what);
        return false;
    }
    return false;
}

static void take_bytes(struct h1_client *client, struct slice bytes)
{
    struct attempt *attempt = client->attempt;
    attempt->answered = true;
    /* The bytes stay where they are while callbacks run: other reads go behind them. */
    struct chunk *held = chunk_ref(bytes.chunk);
    for (;;) {
        if (!client->reading_body) {
            if (bytes.len == 0 || !read_head(client, &bytes))
                break;
        } else if (!read_body(client, &bytes)) {
            break;
        }
        if (client->conn.closed || client->attempt != attempt)
            break;
    }
    chunk_unref(held);
}

static void on_end_of_stream(struct h1_client *client, const char *text)
{
    if (client->reading_body && h1_body_closed(&client->body)) {
        client->keep = false;
        finish(client, true);
        return;
    }
    fail(client, OUTCOME_RESET, text);
}

static void on_stray(struct h1_client *client)
{
    struct slice bytes;
    enum conn_read result = conn_read(&client->conn, &bytes);
    if (result == CONN_READ_AGAIN)
        return;
    if (result == CONN_READ_DATA)
        count_add(&client->conn.worker->counters.upstream_stray_bytes, 1);
    h1_client_close(client);
}

static bool wants_raw(const struct h1_client *client)
{
    return client->reading_body && !client->no_raw && client->attempt->events->on_raw != NULL &&
           client->body.framing == FRAMING_LENGTH && client->body.remaining > 0;
}

/* Checks have a time to keep. */
static bool waits_in_turn(const struct h1_client *client)
{
    const struct upstream *upstream = client->endpoint->upstream;
    return upstream == NULL || upstream->use != USE_HEALTH;
}

static void on_readable(struct conn *conn)
{
    struct h1_client *client = client_of(conn);
    if (client->state == H1_CLIENT_IDLE) {
        on_stray(client);
        return;
    }
    if (client->paused || (client->reading_body && waits_in_turn(client) && !turn_allows(conn)))
        return;
    struct attempt *attempt = client->attempt;
    for (int i = 0; !client->paused; i++) {
        if (wants_raw(client) && (client->body.remaining >= RAW_LEAST || client->raw_started)) {
            if (attempt->events->on_raw(attempt))
                return;
            client->no_raw = true;
        }
        if (i == READS_PER_EVENT) {
            conn_later(conn);
            return;
        }
        struct slice bytes;
        switch (conn_read(conn, &bytes)) {
        case CONN_READ_DATA:
            take_bytes(client, bytes);
            break;
        case CONN_READ_AGAIN:
            if (client->write_failed)
                fail(client, OUTCOME_RESET, "the backend closed the connection while the request was sent");
            return;
        case CONN_READ_END:
            on_end_of_stream(client, attempt->answered ? "the backend closed the connection before the response's end"
                                                       : "the backend closed the connection without a response");
            return;
        case CONN_READ_ERROR:
            tls_note_truncation(conn);
            fail(client, OUTCOME_RESET, tls_reset_text(conn)); /* a reset ends no body properly */
            return;
        }
        if (conn->closed || client->attempt != attempt)
            return;
        /* The response goes on. A reset that came together with these bytes makes no edge of its own: read until there
         * is no more. */
        conn_look(conn);
    }
}

/* ---- writing ---- */

static void on_drained(struct conn *conn)
{
    struct h1_client *client = client_of(conn);
    if (client->attempt != NULL)
        client->attempt->events->on_drained(client->attempt);
}

static void on_write_failed(struct conn *conn, int error)
{
    (void)error;
    struct h1_client *client = client_of(conn);
    if (client->attempt == NULL) {
        h1_client_close(client);
        return;
    }
    /* A backend may answer and close without reading the rest, 413 for one: read what it said before giving up. */
    client->write_failed = true;
    outq_clear(conn->worker, &conn->out);
    conn_look(conn);
    conn_resume(conn);
}

static void on_timeout(struct conn *conn)
{
    struct h1_client *client = client_of(conn);
    switch (client->state) {
    case H1_CLIENT_BUSY:
        fail(client, OUTCOME_TIMEOUT, "the backend did not answer in time");
        break;
    case H1_CLIENT_IDLE:
        h1_client_close(client);
        break;
    }
}

static const struct conn_events h1_client_events = {
    .on_readable = on_readable,
    .on_drained = on_drained,
    .on_failed = on_write_failed,
    .on_timeout = on_timeout,
};

bool h1_client_adopt(struct dial *dial)
{
    struct h1_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return false;
    struct attempt *attempt = dial_take(dial);
    conn_move(&client->conn, &dial->conn, &h1_client_events);
    client->endpoint = dial->endpoint;
    client->state = H1_CLIENT_BUSY;
    attempt->codec = &h1_client_codec;
    attempt->state = ATTEMPT_READY;
    activate(client, attempt);
    attempt->events->on_ready(attempt);
    return true;
}

void h1_client_reuse(struct h1_client *client, struct attempt *attempt)
{
    idle_remove(client);
    client->state = H1_CLIENT_BUSY;
    conn_timeout_off(&client->conn);
    count_add(&client->conn.worker->counters.upstream_reused, 1);
    attempt->reused = true;
    attempt->codec = &h1_client_codec;
    attempt->state = ATTEMPT_READY;
    activate(client, attempt);
    attempt->events->on_ready(attempt);
}

/* ---- what an attempt asks for ---- */

static bool send_head(struct attempt *attempt, struct slice head)
{
    return client_of_attempt(attempt)->write_failed || conn_send(&client_of_attempt(attempt)->conn, head);
}

static bool send_body(struct attempt *attempt, struct slice slice)
{
    struct conn *conn = &client_of_attempt(attempt)->conn;
    if (client_of_attempt(attempt)->write_failed || slice.len == 0)
        return true;
    return attempt->framing == FRAMING_CHUNKED ? h1_send_chunk(conn, slice) : conn_send(conn, slice);
}

static bool send_end(struct attempt *attempt, struct text trailers)
{
    struct h1_client *client = attempt->link;
    struct conn *conn = &client->conn;
    attempt->request_done = true;
    if (client->tunnel) {
        conn_shutdown_when_sent(conn);
        return true;
    }
    if (!client->write_failed && attempt->framing == FRAMING_CHUNKED && !h1_send_last_chunk(conn, trailers))
        return false;
    if (attempt->state == ATTEMPT_READY)
        conn_timeout_in(conn, attempt->response_timeout_ms);
    return true;
}

static void pause_reading(struct attempt *attempt, bool on)
{
    struct h1_client *client = attempt->link;
    if (client->paused == on)
        return;
    client->paused = on;
    if (!on)
        conn_resume(&client->conn);
}

static size_t unsent(const struct attempt *attempt)
{
    return client_of_attempt(attempt)->conn.out.bytes;
}

static void want_drained(struct attempt *attempt)
{
    client_of_attempt(attempt)->conn.want_drained = true;
}

static struct conn *raw_conn(struct attempt *attempt)
{
    return client_of_attempt(attempt)->conn.transport->raw ? &client_of_attempt(attempt)->conn : NULL;
}

static uint64_t raw_remaining(const struct attempt *attempt)
{
    const struct h1_client *client = attempt->link;
    return client->reading_body && client->body.framing == FRAMING_LENGTH ? client->body.remaining : 0;
}

static void moved_raw(struct attempt *attempt, uint64_t moved)
{
    struct h1_client *client = attempt->link;
    client->body.remaining -= moved;
    client->raw_started = true;
    if (client->body.remaining == 0)
        finish(client, true);
}

static void detach(struct attempt *attempt, struct conn *to, const struct conn_events *on, struct slice *early)
{
    struct h1_client *client = attempt->link;
    attempt->state = ATTEMPT_DONE;
    *early = client->unread;
    chunk_ref(early->chunk);
    conn_move(to, &client->conn, on);
    forget(client);
}

static bool become_tunnel(struct attempt *attempt)
{
    struct h1_client *client = attempt->link;
    client->tunnel = true;
    client->keep = false;
    client->no_raw = true;
    client->body.framing = FRAMING_UNTIL_CLOSE;
    client->body.remaining = UINT64_MAX;
    attempt->framing = FRAMING_UNTIL_CLOSE;
    attempt->request_done = false;
    return true;
}

static void cancel(struct attempt *attempt)
{
    struct h1_client *client = attempt->link;
    if (client == NULL)
        return;
    deactivate(client);
    h1_client_close(client);
}

const struct client_codec h1_client_codec = {
    .send_head = send_head,
    .send_body = send_body,
    .send_end = send_end,
    .pause = pause_reading,
    .unsent = unsent,
    .want_drained = want_drained,
    .raw_conn = raw_conn,
    .raw_remaining = raw_remaining,
    .moved_raw = moved_raw,
    .detach = detach,
    .become_tunnel = become_tunnel,
    .cancel = cancel,
};
