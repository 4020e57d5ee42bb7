/*
 * Clients over HTTP/1.1 and 1.0: see h1_server.h. Worker thread. Reads requests strictly, frames responses, and closes
 * so that the client gets what was sent. What to do with a request is the exchange's business.
 *
 * While an exchange waits for its backend nothing more is read: the next requests of a pipeline stay in the kernel's
 * buffer, and a client that closes its side has left (NGINX and Envoy see it so, too).
 */
#include "proxy/h1_server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/answer.h"
#include "proxy/exchange.h"
#include "proxy/h1_chunk.h"
#include "proxy/h2_server.h"
#include "proxy/transport_tls.h"
#include "proxy/tunnel.h"
#include "proxy/turn.h"

enum {
    READS_PER_EVENT = 4,
    HEAD_CHUNK = 4000,       /* first home of an incomplete head */
    EAGER_FLUSH = 48 * 1024, /* a body is written out from here on without waiting for the callback's end */
    LOOK_FOR_RESET_MS = 1000,
    DRAIN_FRESH_MS = 500, /* when idle connections are closed, for a request that may be on its way: where there was
                           * none yet, or an answer has just ended that did not say it was the last */
};

static const struct conn_events h1_server_events;
static const struct server_codec h1_server_codec;

static struct h1_server *down_of_conn(struct conn *conn)
{
    return (struct h1_server *)((char *)conn - offsetof(struct h1_server, base.conn));
}

static struct h1_server *down_of(struct server_stream *stream)
{
    return (struct h1_server *)((char *)stream - offsetof(struct h1_server, stream));
}

static const struct config *config_of(const struct h1_server *down)
{
    return down->base.conn.worker->view->config;
}

/* ---- life ---- */

static void drop_parser(struct h1_server *down)
{
    if (down->parser != NULL) {
        worker_give_parser(down->base.conn.worker, down->parser);
        down->parser = NULL;
    }
}

static void drop_input(struct h1_server *down)
{
    if (down->in != NULL)
        chunk_unref(down->in);
    down->in = NULL;
    down->in_len = 0;
}

static void down_free(struct worker *worker, struct retired *retired)
{
    (void)worker;
    free((char *)retired - offsetof(struct h1_server, base.retired));
}

/* The socket is closed or given away. */
static void forget(struct h1_server *down)
{
    drop_parser(down);
    drop_input(down);
    h1_body_done(&down->body);
    downstream_forget(&down->base, down_free);
}

static void down_close(struct h1_server *down)
{
    if (down->base.conn.closed)
        return;
    conn_close(&down->base.conn);
    forget(down);
}

static void down_reset(struct h1_server *down)
{
    if (down->base.conn.closed)
        return;
    conn_reset(&down->base.conn);
    forget(down);
}

/* The client has left, or cannot be written to. */
static void client_gone(struct h1_server *down)
{
    struct exchange *ex = down->stream.exchange;
    if (ex != NULL) {
        count_add(&down->base.conn.worker->counters.client_gone, 1);
        exchange_abandon(ex, OUTCOME_CLIENT_GONE);
    }
    down_close(down);
}

/* The last response is queued. */
static void linger(struct h1_server *down)
{
    down->phase = H1_SERVER_LINGER;
    drop_input(down);
    drop_parser(down);
    downstream_linger(&down->base, &down->lingering);
}

/* Nobody asks anything; what has been answered goes out first. */
static void leave_idle(struct h1_server *down)
{
    if (down->base.conn.out.bytes > 0)
        linger(down);
    else
        down_close(down);
}

static void become_idle(struct h1_server *down)
{
    bool closing = down->base.conn.worker->phase >= DRAIN_CLOSING;
    down->phase = H1_SERVER_IDLE;
    down->is_head = false;
    conn_timeout_in(&down->base.conn, closing ? DRAIN_FRESH_MS : config_of(down)->timeouts.idle_ms);
    if (down->in_len > 0)
        conn_wake(&down->base.conn);
    else
        conn_resume(&down->base.conn);
}

/* ---- answers of our own ---- */

static void answer(struct server_stream *stream, unsigned status, const char *text, bool close)
{
    struct h1_server *down = down_of(stream);
    if (down->base.conn.closed)
        return;
    if (status == 0) {
        down_reset(down);
        return;
    }
    close = close || down->close || !down->body_ended || worker_is_leaving(down->base.conn.worker);
    char head[ANSWER_HEAD_ROOM];
    size_t len = answer_head(head, sizeof(head), status, strlen(text) + 1, close);
    struct conn *conn = &down->base.conn;
    if (len == 0 || !conn_send_copy(conn, head, len) ||
        (!down->is_head && !(conn_send_copy(conn, text, strlen(text)) && conn_send_copy(conn, "\n", 1)))) {
        down_reset(down);
        return;
    }
    if (close)
        linger(down);
    else
        become_idle(down);
}

/* ---- reading ---- */

/* Keeps what cannot be used now; what was kept before is in front of it, or is it. */
static bool keep_input(struct h1_server *down, struct slice bytes)
{
    struct worker *worker = down->base.conn.worker;
    if (bytes.len == 0)
        return true;
    if (down->in != NULL && down->in->size - down->in_len >= bytes.len) {
        memcpy(down->in->data + down->in_len, bytes.at, bytes.len);
    } else {
        size_t need = (size_t)down->in_len + bytes.len;
        struct chunk *bigger = chunk_take(&worker->chunks, need < HEAD_CHUNK ? HEAD_CHUNK : need * 2);
        if (bigger == NULL)
            return false;
        if (down->in_len > 0)
            memcpy(bigger->data, down->in->data, down->in_len);
        memcpy(bigger->data + down->in_len, bytes.at, bytes.len);
        if (down->in != NULL)
            chunk_unref(down->in);
        down->in = bigger;
    }
    down->in_len += bytes.len;
    down->in->used = down->in_len;
    return true;
}

static void bad_request(struct h1_server *down, unsigned status, const char *what)
{
    count_add(&down->base.conn.worker->counters.bad_requests, 1);
    down->close = true;
    struct exchange *ex = down->stream.exchange;
    bool responded = false;
    if (ex != NULL) {
        responded = ex->responded;
        exchange_abandon(ex, OUTCOME_CLIENT_GONE);
    }
    if (responded)
        down_reset(down);
    else
        answer(&down->stream, status, what, true);
}

static void no_memory(struct h1_server *down)
{
    down->close = true;
    struct exchange *ex = down->stream.exchange;
    bool responded = ex != NULL && ex->responded;
    if (ex != NULL)
        exchange_abandon(ex, OUTCOME_OVERLOADED);
    if (responded)
        down_reset(down);
    else
        answer(&down->stream, 503, "out of memory", true);
}

/*
 * A reset that came together with the request leaves no edge behind, since nothing is read while the exchange is under
 * way: now and then somebody has to look.
 */
static void wait_for_exchange(struct h1_server *down, uint64_t ms)
{
    conn_timeout_in(&down->base.conn, ms < LOOK_FOR_RESET_MS ? ms : LOOK_FOR_RESET_MS);
}

static void start_exchange(struct h1_server *down)
{
    struct worker *worker = down->base.conn.worker;
    const struct head *head = h1_parser_head(down->parser);
    down->phase = H1_SERVER_EXCHANGE;
    down->fresh = false;
    down->minor = head->minor;
    down->is_head = head->is_head;
    down->client_closes = !head->keep_alive;
    down->close = down->client_closes;
    down->keep_alive_10 = head->minor == 0 && head->keep_alive;
    down->body_paused = false;
    down->body_ended = head->framing == FRAMING_NONE || (head->framing == FRAMING_LENGTH && head->content_length == 0);
    if (!down->body_ended)
        h1_body_start(&down->body, head, true);
    const struct config_timeouts *timeouts = &config_of(down)->timeouts;
    wait_for_exchange(down, timeouts->request_body_ms < timeouts->stream_idle_ms ? timeouts->request_body_ms
                                                                                 : timeouts->stream_idle_ms);
    struct exchange_request request = {.head = head, .client = down->base.client, .leaving = worker_is_leaving(worker)};
    tls_describe(&down->base.conn, &request);
    struct h1_parser *parser = down->parser;
    down->parser = NULL;
    exchange_start(worker, &down->stream, &request);
    worker_give_parser(worker, parser);
}

/* The connection has been given to another owner, *base with it. */
static void let_go(struct h1_server *down)
{
    drop_parser(down);
    drop_input(down);
    downstream_retire(&down->base, down_free);
}

/*
 * A listener that speaks HTTP/2 in clear knows by the first bytes whom it has (RFC 9113 section 3.4), and in
 * passthrough only then whether legacy understands the client. True: nothing of this is for us now, because of another
 * owner or of bytes still missing.
 */
static bool is_not_ours(struct h1_server *down, struct slice *bytes)
{
    uint32_t common = bytes->len < H2_PREFACE_BYTES ? bytes->len : H2_PREFACE_BYTES;
    if (memcmp(bytes->at, H2_PREFACE, common) == 0) {
        if (common < H2_PREFACE_BYTES)
            return true;
        struct slice all = *bytes;
        if (!h2_server_adopt(&down->base, all)) {
            down_reset(down);
            return true;
        }
        let_go(down);
        return true;
    }
    if (!down->base.conn.worker->view->snapshot->relay_raw || worker_is_leaving(down->base.conn.worker)) {
        if ((down->base.protocols & PROTOCOL_HTTP1) != 0)
            return false;
        down->is_head = false;
        down->body_ended = false;
        bad_request(down, 505, "this listener speaks HTTP/2 alone");
        return true;
    }
    if (!tunnel_take_over(&down->base.conn, *bytes))
        return false; /* without memory for a tunnel it is served like any other */
    forget(down);
    return true;
}

/* Takes head bytes from *bytes. False: wait for more, or this connection is done. */
static bool read_head(struct h1_server *down, struct slice *bytes)
{
    struct worker *worker = down->base.conn.worker;
    if (down->parser == NULL && down->fresh && down->base.conn.tls == NULL &&
        (down->base.protocols & PROTOCOL_HTTP2) != 0 && is_not_ours(down, bytes))
        return false;
    if (down->parser == NULL) {
        down->parser = worker_take_parser(worker);
        if (down->parser == NULL) {
            no_memory(down);
            return false;
        }
        h1_parser_start_request(down->parser, &config_of(down)->limits);
        if (down->phase == H1_SERVER_IDLE) {
            down->phase = H1_SERVER_HEAD;
            conn_timeout_in(&down->base.conn, config_of(down)->timeouts.request_header_ms);
        }
    }
    size_t head_bytes = 0;
    switch (h1_parser_read(down->parser, bytes->at, bytes->len, &head_bytes)) {
    case H1_MORE:
        worker_busy(worker);
        return false;
    case H1_BAD: {
        const struct h1_fault *fault = h1_parser_fault(down->parser);
        down->is_head = false;
        down->body_ended = false;
        bad_request(down, fault->status, fault->what);
        return false;
    }
    case H1_DONE:
        break;
    }
    bytes->at += head_bytes;
    bytes->len -= (uint32_t)head_bytes;
    start_exchange(down);
    return true;
}

/* Takes body bytes from *bytes. False: everything taken, or this connection is done. */
static bool read_body_bytes(struct h1_server *down, struct slice *bytes)
{
    size_t consumed = 0;
    struct text data = {NULL, 0};
    enum h1_body_result result = h1_body_read(&down->body, bytes->at, bytes->len, &consumed, &data);
    bytes->at += consumed;
    bytes->len -= (uint32_t)consumed;
    switch (result) {
    case H1_BODY_MORE:
        return false;
    case H1_BODY_DATA:
        exchange_body(down->stream.exchange, (struct slice){bytes->chunk, data.at, data.len});
        return true;
    case H1_BODY_END:
        down->body_ended = true;
        exchange_body_end(down->stream.exchange, (struct text){down->body.trailers, down->body.trailers_len});
        h1_body_done(&down->body);
        return true;
    case H1_BODY_BAD:
        bad_request(down, down->body.fault->status, down->body.fault->what);
        return false;
    }
    return false;
}

/* A pause does not hold back the end of a body whose length is used up: no byte will come that could bring it later. */
static bool body_must_wait(const struct h1_server *down)
{
    return down->body_paused && !(down->body.framing == FRAMING_LENGTH && down->body.remaining == 0);
}

/* Works through `bytes`, which are all there is unread in memory. */
static void take_bytes(struct h1_server *down, struct slice bytes)
{
    struct chunk *held = chunk_ref(bytes.chunk); /* the bytes stay where they are while callbacks run */
    for (;;) {
        if (down->base.conn.closed || down->phase == H1_SERVER_LINGER)
            break;
        bool reading_head = down->phase != H1_SERVER_EXCHANGE;
        if (reading_head && bytes.len == 0)
            break;
        bool wanted = reading_head || (!down->body_ended && !body_must_wait(down) && down->stream.exchange != NULL);
        if (wanted && (reading_head ? read_head(down, &bytes) : read_body_bytes(down, &bytes)))
            continue;
        if (!down->base.conn.closed && down->phase != H1_SERVER_LINGER && !keep_input(down, bytes))
            no_memory(down);
        break;
    }
    chunk_unref(held);
}

/* What was kept, as a slice that holds the chunk. */
static struct slice take_kept(struct h1_server *down)
{
    struct slice bytes = {down->in, down->in->data, down->in_len};
    down->in = NULL;
    down->in_len = 0;
    return bytes;
}

/* New bytes behind what was kept: a head has to be contiguous. */
static void take_new_bytes(struct h1_server *down, struct slice bytes)
{
    if (down->in_len == 0) {
        take_bytes(down, bytes);
        return;
    }
    if (!keep_input(down, bytes)) {
        no_memory(down);
        return;
    }
    struct slice all = take_kept(down);
    take_bytes(down, all);
    chunk_unref(all.chunk);
}

static bool may_read(const struct h1_server *down)
{
    return down->phase != H1_SERVER_EXCHANGE || (!down->body_ended && !down->body_paused);
}

static void on_end_of_stream(struct h1_server *down)
{
    if (down->tunnel && down->stream.exchange != NULL) {
        down->body_ended = true; /* it may still be sent something */
        exchange_body_end(down->stream.exchange, (struct text){NULL, 0});
        return;
    }
    if (down->phase == H1_SERVER_HEAD)
        count_add(&down->base.conn.worker->counters.bad_requests, 1);
    client_gone(down);
}

static void read_on(struct conn *conn)
{
    struct h1_server *down = down_of_conn(conn);
    if (down->phase == H1_SERVER_LINGER) {
        if (!downstream_linger_readable(&down->base, &down->lingering))
            down_close(down);
        return;
    }
    if (down->in_len > 0 && may_read(down) && down->parser == NULL) {
        struct slice kept = take_kept(down);
        take_bytes(down, kept);
        chunk_unref(kept.chunk);
    }
    for (int i = 0; !conn->closed && down->phase != H1_SERVER_LINGER; i++) {
        if (!may_read(down)) {
            if ((conn->peer_closed && !down->tunnel) || conn_is_broken(conn))
                client_gone(down); /* the end of a tunnel's half waits behind its bytes, or was told */
            return;
        }
        if (i == READS_PER_EVENT) {
            conn_later(conn);
            return;
        }
        struct slice bytes;
        switch (conn_read(conn, &bytes)) {
        case CONN_READ_DATA:
            count_add(&conn->worker->counters.downstream_bytes_in, bytes.len);
            take_new_bytes(down, bytes);
            break;
        case CONN_READ_AGAIN:
            return;
        case CONN_READ_END:
            on_end_of_stream(down);
            return;
        case CONN_READ_ERROR:
            if (down->phase != H1_SERVER_IDLE)
                tls_note_truncation(conn);
            client_gone(down);
            return;
        }
        if (!conn->closed && !conn->readable)
            return;
    }
}

static void on_readable(struct conn *conn)
{
    const struct h1_server *down = down_of_conn(conn);
    if (down->phase != H1_SERVER_IDLE || down->in_len > 0 || turn_allows(conn))
        read_on(conn);
}

/* ---- writing ---- */

static void on_drained(struct conn *conn)
{
    struct h1_server *down = down_of_conn(conn);
    if (down->stream.exchange != NULL)
        exchange_drained(down->stream.exchange);
}

static void on_failed(struct conn *conn, int error)
{
    (void)error;
    client_gone(down_of_conn(conn));
}

static void on_exchange_timeout(struct h1_server *down)
{
    struct exchange *ex = down->stream.exchange;
    unsigned status = 0;
    enum outcome_kind blame;
    uint64_t patience = exchange_patience(ex, &status, &blame);
    if (conn_is_broken(&down->base.conn)) {
        client_gone(down);
        return;
    }
    if (patience > 0) {
        wait_for_exchange(down, patience);
        return;
    }
    count_add(&down->base.conn.worker->counters.request_timeouts, 1);
    down->close = true;
    if (status == 0) {
        exchange_abandon(ex, blame);
        down_reset(down);
        return;
    }
    exchange_time_out(ex, status, blame);
}

static void on_timeout(struct conn *conn)
{
    struct h1_server *down = down_of_conn(conn);
    switch (down->phase) {
    case H1_SERVER_IDLE:
        if (turn_is_awaited(conn))
            read_on(conn); /* a request may have come in time */
        if (!conn->closed && down->phase == H1_SERVER_IDLE)
            leave_idle(down);
        break;
    case H1_SERVER_LINGER:
        if (!downstream_linger_timeout(&down->base, &down->lingering))
            down_close(down);
        break;
    case H1_SERVER_HEAD:
        count_add(&conn->worker->counters.request_timeouts, 1);
        down->body_ended = false;
        down->is_head = false;
        down->close = true;
        answer(&down->stream, 408, "the request's head did not come in time", true);
        break;
    case H1_SERVER_EXCHANGE:
        on_exchange_timeout(down);
        break;
    }
}

static const struct conn_events h1_server_events = {
    .on_readable = on_readable,
    .on_drained = on_drained,
    .on_failed = on_failed,
    .on_timeout = on_timeout,
};

/* ---- what an exchange asks for ---- */

static enum framing framing_for(const struct h1_server *down, const struct head *head)
{
    /* A stream of HTTP/2 may end with its head, which says nothing of a length; here the client would wait for more. */
    if (head->framing == FRAMING_NONE && !down->is_head && head->status != 204 && head->status != 304)
        return FRAMING_LENGTH;
    if (head->framing == FRAMING_NONE || head->framing == FRAMING_LENGTH)
        return head->framing;
    return down->minor >= 1 ? FRAMING_CHUNKED : FRAMING_UNTIL_CLOSE;
}

static bool send_head(struct server_stream *stream, const struct head *head, const struct response_plan *plan)
{
    struct h1_server *down = down_of(stream);
    bool interim = head->status < 200 && head->status != 101;
    if (interim && down->minor == 0)
        return true; /* HTTP/1.0 knows no interim responses: RFC 9110 section 15.2 */
    struct h1_reply reply = {
        .rules = &config_of(down)->headers,
        .client_minor = down->minor,
        .extra = plan->extra,
    };
    if (interim || head->status == 101) {
        reply.framing = FRAMING_NONE;
    } else {
        reply.framing = framing_for(down, head);
        down->reply_framing = reply.framing;
        down->close = down->close || plan->close || reply.framing == FRAMING_UNTIL_CLOSE;
        reply.close = down->close;
        reply.keep_alive_10 = down->keep_alive_10 && !down->close;
    }
    char *to = conn_send_reserve(&down->base.conn, h1_response_bound(head, &reply));
    if (to == NULL)
        return false;
    conn_send_commit(&down->base.conn, h1_write_response(to, head, &reply));
    return true;
}

static bool send_body(struct server_stream *stream, struct slice slice)
{
    struct h1_server *down = down_of(stream);
    struct conn *conn = &down->base.conn;
    if (slice.len == 0)
        return true;
    count_add(&conn->worker->counters.downstream_bytes_out, slice.len);
    if (!(down->reply_framing == FRAMING_CHUNKED ? h1_send_chunk(conn, slice) : conn_send(conn, slice)))
        return false;
    if (conn->out.bytes >= EAGER_FLUSH)
        (void)conn_flush(conn); /* a fault comes back when the callback ends */
    return true;
}

static void send_end(struct server_stream *stream, struct text trailers)
{
    struct h1_server *down = down_of(stream);
    struct conn *conn = &down->base.conn;
    if (conn->closed)
        return;
    if (down->reply_framing == FRAMING_CHUNKED && !h1_send_last_chunk(conn, trailers)) {
        down_reset(down);
        return;
    }
    if (!down->close && down->body_ended) { /* the response did not say that it was the last */
        become_idle(down);
        return;
    }
    /* A client that asked for the end sends nothing more: no need to wait for its goodbye. */
    bool wait = !down->client_closes || !down->body_ended || down->in_len > 0 || conn->readable || tls_is_early(conn);
    if (wait || !conn_flush(conn) || conn->out.bytes > 0)
        linger(down);
    else
        down_close(down);
}

static void abort_response(struct server_stream *stream)
{
    struct h1_server *down = down_of(stream);
    if (down->base.conn.closed)
        return;
    /* A reset is the only sign that a client of a close-delimited body cannot mistake for the end. What is queued goes
     * first. */
    (void)conn_flush(&down->base.conn);
    if (down->reply_framing == FRAMING_UNTIL_CLOSE)
        down_reset(down);
    else
        down_close(down);
}

static void read_body(struct server_stream *stream, bool on)
{
    struct h1_server *down = down_of(stream);
    down->body_paused = !on;
    if (!on)
        return;
    if (down->in_len > 0)
        conn_wake(&down->base.conn);
    else
        conn_resume(&down->base.conn);
}

static size_t unsent(const struct server_stream *stream)
{
    return ((const struct h1_server *)((const char *)stream - offsetof(struct h1_server, stream)))->base.conn.out.bytes;
}

static void want_drained(struct server_stream *stream)
{
    down_of(stream)->base.conn.want_drained = true;
}

static struct conn *raw_conn(struct server_stream *stream)
{
    struct h1_server *down = down_of(stream);
    bool raw = down->base.conn.transport->raw && down->reply_framing != FRAMING_CHUNKED;
    return raw ? &down->base.conn : NULL;
}

static void sent_raw(struct server_stream *stream, uint64_t sent)
{
    count_add(&down_of(stream)->base.conn.worker->counters.downstream_bytes_out, sent);
}

static void detach(struct server_stream *stream, struct conn *to, const struct conn_events *on, struct slice *early)
{
    struct h1_server *down = down_of(stream);
    *early = (struct slice){NULL, NULL, 0};
    if (down->in_len > 0)
        *early = take_kept(down);
    conn_move(to, &down->base.conn, on);
    forget(down);
}

static bool become_tunnel(struct server_stream *stream)
{
    struct h1_server *down = down_of(stream);
    down->tunnel = true;
    down->close = true;
    down->reply_framing = FRAMING_UNTIL_CLOSE;
    down->body.framing = FRAMING_UNTIL_CLOSE;
    down->body.remaining = UINT64_MAX;
    down->body_ended = down->body_paused = false;
    if (down->in_len > 0)
        conn_wake(&down->base.conn);
    else
        conn_resume(&down->base.conn);
    return true;
}

static const struct server_codec h1_server_codec = {
    .send_head = send_head,
    .send_body = send_body,
    .send_end = send_end,
    .answer = answer,
    .abort = abort_response,
    .read_body = read_body,
    .unsent = unsent,
    .want_drained = want_drained,
    .raw_conn = raw_conn,
    .sent_raw = sent_raw,
    .detach = detach,
    .become_tunnel = become_tunnel,
};

/* ---- beginning and draining ---- */

static const struct downstream_ops h1_server_ops;

static void begin(struct h1_server *down)
{
    down->stream.codec = &h1_server_codec;
    down->fresh = true;
    /* A client that says nothing is given as long as one that says little. */
    conn_timeout_in(&down->base.conn, config_of(down)->timeouts.request_header_ms);
    worker_busy(down->base.conn.worker);
}

void h1_server_accept(struct worker *worker, const struct listener_facts *listener, int fd,
                      const struct client_address *client)
{
    struct h1_server *down = calloc(1, sizeof(*down));
    if (down == NULL || !downstream_open(&down->base, worker, fd, &h1_server_events, &h1_server_ops)) {
        count_add(&worker->counters.connections_refused, 1);
        free(down);
        close(fd);
        return;
    }
    down->base.client = *client;
    down->base.protocols = listener->protocols;
    begin(down);
}

bool h1_server_adopt(struct downstream *from)
{
    struct h1_server *down = calloc(1, sizeof(*down));
    if (down == NULL)
        return false;
    downstream_move(&down->base, from, &h1_server_events, &h1_server_ops);
    begin(down);
    conn_resume(&down->base.conn);
    return true;
}

/* How long an idle connection has been so: its timer was set when that began. */
static uint64_t rested_ms(const struct h1_server *down)
{
    const struct config_timeouts *timeouts = &config_of(down)->timeouts;
    uint64_t whole = down->fresh ? timeouts->request_header_ms : timeouts->idle_ms;
    uint64_t now_ms = worker_now_ms(down->base.conn.worker), due_ms = down->base.conn.timer.due_ms;
    return due_ms < now_ms + whole ? now_ms + whole - due_ms : 0;
}

/* Nothing has told the client, and its next request may be on its way: if it asks soon, it is answered and told. */
static void leave_soon(struct h1_server *down)
{
    struct conn *conn = &down->base.conn;
    if (conn->timer.due_ms <= worker_now_ms(conn->worker) + DRAIN_FRESH_MS)
        return; /* it leaves by then */
    if (down->fresh || rested_ms(down) < DRAIN_FRESH_MS)
        conn_timeout_in(conn, DRAIN_FRESH_MS);
    else
        leave_idle(down);
}

static void drain(struct downstream *base, enum drain_phase phase)
{
    struct h1_server *down = (struct h1_server *)((char *)base - offsetof(struct h1_server, base));
    if (phase == DRAIN_OVER) {
        client_gone(down);
        return;
    }
    if (phase < DRAIN_CLOSING || down->phase != H1_SERVER_IDLE || down->in_len > 0)
        return; /* its response will say Connection: close */
    /* A request may have arrived that we have not seen: it is served. */
    conn_look(&down->base.conn);
    read_on(&down->base.conn);
    if (down->base.conn.closed || down->phase != H1_SERVER_IDLE)
        return;
    leave_soon(down);
}

static bool rests(struct downstream *base)
{
    struct h1_server *down = (struct h1_server *)((char *)base - offsetof(struct h1_server, base));
    if (down->phase != H1_SERVER_IDLE || down->in_len > 0 || base->conn.out.bytes > 0 || turn_is_awaited(&base->conn) ||
        rested_ms(down) < DOWNSTREAM_RESTED_MS)
        return false;
    conn_look(&base->conn); /* a request that has come is served */
    read_on(&base->conn);
    if (!base->conn.closed && down->phase == H1_SERVER_IDLE && down->in_len == 0)
        down_close(down);
    return base->conn.closed;
}

static const struct downstream_ops h1_server_ops = {.drain = drain, .rests = rests};
