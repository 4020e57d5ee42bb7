/*
 * Connections to backends over HTTP/2: see h2_client.h. Worker thread. Sends what attempts give it and reports the responses to
 * them; knows nothing of exchanges, copies or routes.
 *
 * A stream outlives its attempt: a cancelled one is reset, and its place is free only when nghttp2 has forgotten it.
 */
#include "proxy/h2_client.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/dial.h"
#include "proxy/h1.h"
#include "proxy/h2_link.h"
#include "proxy/transport_tls.h"

enum {
    READS_PER_EVENT = 4, /* then others have their turn */
    STREAMS_MOST = 1000, /* on one connection, however many the backend would take */
    ACCEPT_ROOM = 32,    /* Sec-WebSocket-Accept: 20 bytes in base64 */
    GOODBYE_MS = 2000,   /* a backend that reads nothing need not hear the last GOAWAY */
    SETTINGS_BEFORE = 100, /* streams until the backend has said how many it takes: RFC 9113 section 6.5.2 asks for no less */
};

struct h2_request {
    struct h2_stream stream; /* first: nghttp2 knows us by it */
    struct timer timer;      /* of the response's head */
    struct h2_client *client;
    struct attempt *attempt; /* NULL: cancelled, or answered */
    struct h2_request *next, *prev;
    struct slice held;       /* the request's head, until we know whether the backend takes it; chunk NULL: none */
    struct slice trailers;   /* of the response, until its end is reported; likewise */
    bool head_seen;
    bool reset_by_peer;
    bool websocket, tunnel;  /* an extended CONNECT; and it was granted */
    char accept[ACCEPT_ROOM];
};

struct h2_client {
    struct conn conn;
    struct retired retired;
    struct h2_link link;
    struct endpoint *endpoint;
    struct h2_client *next, *prev; /* of the endpoint's */
    struct h2_request *requests;
    uint32_t count;                /* of them */
    uint32_t asked;                /* of them with an attempt; the others were reset */
    bool settled;                  /* the backend has told its settings */
    bool leaving;                  /* nothing new is begun here */
};

static const char no_websocket[] = "the backend does not offer WebSocket over HTTP/2 (RFC 8441)";

static struct h2_client *client_of_conn(struct conn *conn)
{
    return (struct h2_client *)((char *)conn - offsetof(struct h2_client, conn));
}

static struct h2_client *client_of_link(struct h2_link *link)
{
    return (struct h2_client *)((char *)link - offsetof(struct h2_client, link));
}

static struct h2_request *request_of(struct h2_stream *stream)
{
    return (struct h2_request *)((char *)stream - offsetof(struct h2_request, stream));
}

static struct worker *worker_of(const struct h2_client *client)
{
    return client->conn.worker;
}

/* ---- requests ---- */

static void on_response_timeout(struct timer *timer);

static struct h2_request *request_take(struct h2_client *client)
{
    struct worker *worker = worker_of(client);
    struct h2_request *request = worker->free_requests;
    if (request != NULL) {
        worker->free_requests = request->next;
        worker->free_request_count--;
        memset(request, 0, offsetof(struct h2_request, accept));
    } else {
        request = calloc(1, sizeof(*request));
        if (request == NULL)
            return NULL;
    }
    request->client = client;
    request->timer.fire = on_response_timeout;
    request->next = client->requests;
    if (request->next != NULL)
        request->next->prev = request;
    client->requests = request;
    client->count++;
    count_add(&worker->counters.h2_up_streams, 1);
    count_add(&worker->counters.h2_up_streams_active, 1);
    return request;
}

static void drop_slice(struct slice *slice)
{
    if (slice->chunk != NULL)
        chunk_unref(slice->chunk);
    slice->chunk = NULL;
}

static void request_give(struct h2_request *request)
{
    struct h2_client *client = request->client;
    struct worker *worker = worker_of(client);
    if (request->prev != NULL)
        request->prev->next = request->next;
    else
        client->requests = request->next;
    if (request->next != NULL)
        request->next->prev = request->prev;
    client->count--;
    count_add(&worker->counters.h2_up_streams_active, (uint64_t)-1);
    wheel_cancel(&worker->wheel, &request->timer);
    h2_stream_done(&client->link, &request->stream);
    drop_slice(&request->held);
    drop_slice(&request->trailers);
    if (worker->free_request_count >= H2_FREE_REQUESTS) {
        free(request);
        return;
    }
    request->prev = NULL;
    request->next = worker->free_requests;
    worker->free_requests = request;
    worker->free_request_count++;
}

void h2_clients_done(struct worker *worker)
{
    while (worker->free_requests != NULL) {
        struct h2_request *request = worker->free_requests;
        worker->free_requests = request->next;
        free(request);
    }
    worker->free_request_count = 0;
}

static void bind_attempt(struct h2_request *request, struct attempt *attempt)
{
    struct h2_client *client = request->client;
    request->attempt = attempt;
    attempt->link = request;
    attempt->codec = &h2_client_codec;
    attempt->state = ATTEMPT_READY;
    memcpy(attempt->endpoint, client->endpoint->address.text, sizeof(attempt->endpoint));
    if (client->asked++ == 0)
        count_add(&worker_of(client)->counters.upstream_active, 1);
}

static struct attempt *unbind_attempt(struct h2_request *request)
{
    struct h2_client *client = request->client;
    struct attempt *attempt = request->attempt;
    request->attempt = NULL;
    attempt->link = NULL;
    wheel_cancel(&worker_of(client)->wheel, &request->timer);
    if (--client->asked == 0)
        count_add(&worker_of(client)->counters.upstream_active, (uint64_t)-1);
    return attempt;
}

/* ---- the endpoint's list ---- */

static void enter_list(struct h2_client *client)
{
    struct endpoint *endpoint = client->endpoint;
    client->prev = NULL;
    client->next = endpoint->shared;
    if (client->next != NULL)
        client->next->prev = client;
    endpoint->shared = client;
}

static void leave_list(struct h2_client *client)
{
    if (client->prev != NULL)
        client->prev->next = client->next;
    else
        client->endpoint->shared = client->next;
    if (client->next != NULL)
        client->next->prev = client->prev;
    client->next = client->prev = NULL;
}

static uint32_t most_streams(const struct h2_client *client)
{
    if (!client->settled)
        return SETTINGS_BEFORE;
    uint32_t said =
        nghttp2_session_get_remote_settings(client->link.session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return said < STREAMS_MOST ? said : STREAMS_MOST;
}

static bool has_room(const struct h2_client *client)
{
    return !client->leaving && client->count < most_streams(client) &&
           nghttp2_session_check_request_allowed(client->link.session) != 0;
}

static struct h2_client *find_room(const struct endpoint *endpoint)
{
    for (struct h2_client *client = endpoint->shared; client != NULL; client = client->next)
        if (has_room(client))
            return client;
    return NULL;
}

bool h2_client_has_room(const struct endpoint *endpoint)
{
    return find_room(endpoint) != NULL;
}

/* ---- life ---- */

static void client_free(struct worker *worker, struct retired *retired)
{
    (void)worker;
    struct h2_client *client = (struct h2_client *)((char *)retired - offsetof(struct h2_client, retired));
    h2_link_close(&client->link);
    free(client);
}

/*
 * The connection is closed; its attempts hear of it one by one, and may ask for others. The session goes when the round is over: we
 * may have been called from within it.
 */
static void close_with(struct h2_client *client, enum outcome_kind kind, const char *text)
{
    struct worker *worker = worker_of(client);
    struct endpoint *endpoint = client->endpoint;
    if (client->conn.closed)
        return;
    client->leaving = true;
    leave_list(client);
    conn_close(&client->conn);
    count_add(&worker->counters.h2_up_active, (uint64_t)-1);
    while (client->requests != NULL) {
        struct h2_request *request = client->requests;
        struct attempt *attempt = request->attempt != NULL ? unbind_attempt(request) : NULL;
        request_give(request);
        if (attempt != NULL)
            attempt_fail(attempt, kind, text);
    }
    client->retired.free = client_free;
    worker_retire(worker, &client->retired);
    endpoint_closed(endpoint);
}

static void close_quietly(struct h2_client *client)
{
    close_with(client, OUTCOME_RESET, "the connection to the backend was closed");
}

/* With its last stream a connection that nothing is begun on any more goes, and another one begins to count its idle time. */
static void look_if_idle(struct h2_client *client)
{
    struct upstream *upstream = client->endpoint->upstream;
    if (client->count > 0 || client->conn.closed)
        return;
    if (client->leaving || client->endpoint->gone || upstream == NULL || worker_of(client)->draining) {
        (void)nghttp2_session_terminate_session(client->link.session, NGHTTP2_NO_ERROR);
        client->leaving = true;
        client->conn.want_drained = true; /* after the goodbye */
        conn_timeout_in(&client->conn, GOODBYE_MS);
        h2_link_wake(&client->link);
        return;
    }
    conn_timeout_in(&client->conn, upstream->config->idle_timeout_ms);
}

static void watch_silence(struct h2_client *client)
{
    uint64_t ping_ms = worker_of(client)->view->config->timeouts.http2_ping_ms;
    if (ping_ms > 0)
        conn_timeout_in(&client->conn, ping_ms);
    else
        conn_timeout_off(&client->conn);
}

/* ---- the response ---- */

/* nghttp2 tells when the stream is gone; of one it has not heard of we know. */
static void drop(struct h2_request *request, uint32_t error)
{
    if (request->stream.id == 0) {
        struct h2_client *client = request->client;
        request_give(request);
        look_if_idle(client);
        return;
    }
    h2_stream_forget(&request->client->link, &request->stream);
    h2_stream_reset(&request->client->link, &request->stream, error);
    count_add(&worker_of(request->client)->counters.h2_up_resets_shunt, 1);
}

static void fail_request(struct h2_request *request, enum outcome_kind kind, const char *text, uint32_t error)
{
    struct attempt *attempt = unbind_attempt(request);
    drop(request, error);
    attempt_fail(attempt, kind, text);
}

static void on_response_timeout(struct timer *timer)
{
    struct h2_request *request = (struct h2_request *)((char *)timer - offsetof(struct h2_request, timer));
    if (request->stream.id == 0 && request->client->settled) {
        fail_request(request, OUTCOME_BAD_RESPONSE, no_websocket, NGHTTP2_CANCEL);
        return;
    }
    endpoint_failed(request->client->endpoint);
    fail_request(request, OUTCOME_TIMEOUT, "the backend did not answer in time", NGHTTP2_CANCEL);
}

static void bad_response(struct h2_request *request, const char *text)
{
    count_add(&worker_of(request->client)->counters.bad_responses, 1);
    fail_request(request, OUTCOME_BAD_RESPONSE, text, NGHTTP2_PROTOCOL_ERROR);
}

static void take_head(struct h2_request *request, const struct head *head)
{
    struct attempt *attempt = request->attempt;
    bool interim = head->status < 200 && head->status != 101;
    if (!interim) {
        request->head_seen = true;
        attempt->state = ATTEMPT_RESPONDING;
        wheel_cancel(&worker_of(request->client)->wheel, &request->timer);
        endpoint_succeeded(request->client->endpoint);
    }
    attempt->events->on_head(attempt, head);
}

/* HTTP/2 has trailers behind a body of known length, too; in HTTP/1.1 they need chunks (RFC 9110 section 6.5). */
static void expect_trailers(struct head *head)
{
    if (head->framing != FRAMING_LENGTH || (head->present & 1U << FIELD_TRAILER) == 0)
        return;
    head->framing = FRAMING_CHUNKED;
    head->has_content_length = false;
}

static void read_head(struct h2_request *request, bool ended)
{
    struct h2_client *client = request->client;
    struct worker *worker = worker_of(client);
    struct h1_parser *parser = worker_take_parser(worker);
    if (parser == NULL) {
        fail_request(request, OUTCOME_OVERLOADED, "no memory to read the response", NGHTTP2_CANCEL);
        return;
    }
    struct head head;
    struct slice text;
    struct text accept = { request->accept, request->websocket ? (uint32_t)strlen(request->accept) : 0 };
    switch (h2_block_response(client->link.block, parser, &worker->view->config->limits, request->attempt->to_head, ended, accept,
                              &head, &text)) {
    case H2_BLOCK_DONE:
        expect_trailers(&head);
        take_head(request, &head);
        chunk_unref(text.chunk);
        break;
    case H2_BLOCK_BAD:
        bad_response(request, h1_parser_fault(parser)->what);
        break;
    case H2_BLOCK_NO_MEMORY:
        fail_request(request, OUTCOME_OVERLOADED, "no memory to read the response", NGHTTP2_CANCEL);
        break;
    }
    worker_give_parser(worker, parser);
}

static void keep_trailers(struct h2_request *request)
{
    struct text lines = h2_block_trailers(request->client->link.block);
    if (lines.len == 0)
        return;
    struct chunk *chunk = chunk_take(&worker_of(request->client)->chunks, lines.len);
    if (chunk == NULL) {
        fail_request(request, OUTCOME_OVERLOADED, "no memory for the response's trailers", NGHTTP2_CANCEL);
        return;
    }
    memcpy(chunk->data, lines.at, lines.len);
    chunk->used = lines.len;
    request->trailers = (struct slice){ chunk, chunk->data, lines.len };
}

static void on_section(struct h2_link *link, const nghttp2_frame *frame)
{
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(link->session, frame->hd.stream_id);
    struct h2_request *request = stream != NULL ? request_of(stream) : NULL;
    if (request == NULL || request->attempt == NULL)
        return;
    request->attempt->answered = true;
    if (request->head_seen)
        keep_trailers(request);
    else
        read_head(request, (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
}

static void on_body(struct h2_link *link, struct h2_stream *stream, struct slice bytes)
{
    struct attempt *attempt = request_of(stream)->attempt;
    if (attempt != NULL)
        attempt->events->on_body(attempt, bytes);
    h2_stream_taken(link, stream, bytes.len);
}

/* The response is complete. */
static void on_end(struct h2_link *link, struct h2_stream *stream)
{
    struct h2_request *request = request_of(stream);
    if (request->attempt == NULL)
        return;
    struct attempt *attempt = unbind_attempt(request);
    attempt->response_done = true;
    attempt->state = ATTEMPT_DONE;
    if (stream->has_body && (!stream->ended || stream->out.bytes > 0)) /* nobody reads the rest of the request */
        h2_stream_reset(link, stream, NGHTTP2_CANCEL);
    struct slice trailers = request->trailers;
    request->trailers.chunk = NULL;
    attempt->events->on_end(attempt, (struct text){ trailers.at, trailers.chunk != NULL ? trailers.len : 0 });
    drop_slice(&trailers);
}

/* Why a stream ended before its response did, for who asked. */
static void lost(struct h2_request *request, uint32_t error)
{
    bool ours = !request->reset_by_peer && error != NGHTTP2_REFUSED_STREAM && error != NGHTTP2_NO_ERROR;
    struct attempt *attempt = unbind_attempt(request);
    attempt->unprocessed = error == NGHTTP2_REFUSED_STREAM;
    if (request->reset_by_peer)
        attempt->reused = false; /* the connection lives: this is what the backend has to say to the request */
    if (ours) {
        count_add(&worker_of(request->client)->counters.bad_responses, 1);
        count_add(&worker_of(request->client)->counters.h2_up_protocol_errors, 1);
        attempt_fail(attempt, OUTCOME_BAD_RESPONSE, "the backend's response breaks the rules of HTTP/2");
    } else {
        attempt_fail(attempt, OUTCOME_RESET,
                     attempt->unprocessed ? "the backend refused the stream" : "the backend reset the stream");
    }
}

static void on_closed(struct h2_link *link, struct h2_stream *stream, uint32_t error)
{
    struct h2_client *client = client_of_link(link);
    if (stream == NULL)
        return;
    struct h2_request *request = request_of(stream);
    struct upstream *upstream = client->endpoint->upstream;
    if (request->attempt != NULL)
        lost(request, error);
    request_give(request);
    look_if_idle(client);
    if (upstream != NULL)
        upstream_release(upstream);
}

static void on_drained(struct h2_link *link, struct h2_stream *stream)
{
    (void)link;
    struct attempt *attempt = request_of(stream)->attempt;
    if (attempt != NULL)
        attempt->events->on_drained(attempt);
}

static void send_held(struct h2_client *client);

static void on_frame(struct h2_link *link, const nghttp2_frame *frame)
{
    struct h2_client *client = client_of_link(link);
    struct worker *worker = worker_of(client);
    switch (frame->hd.type) {
    case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
            break;
        client->settled = true;
        send_held(client);
        if (client->endpoint->upstream != NULL)
            upstream_release(client->endpoint->upstream);
        break;
    case NGHTTP2_RST_STREAM: {
        struct h2_stream *stream = nghttp2_session_get_stream_user_data(link->session, frame->hd.stream_id);
        count_add(&worker->counters.h2_up_resets_peer, 1);
        if (stream != NULL)
            request_of(stream)->reset_by_peer = true;
        break;
    }
    case NGHTTP2_GOAWAY:
        count_add(&worker->counters.h2_up_goaways_peer, 1);
        client->leaving = true;
        look_if_idle(client);
        break;
    default:
        break;
    }
}

static void on_abuse(struct h2_link *link, enum h2_abuse what)
{
    (void)what;
    count_add(&worker_of(client_of_link(link))->counters.h2_up_abuse, 1);
}

static const struct h2_link_events link_events = {
    .on_section = on_section,
    .on_body = on_body,
    .on_end = on_end,
    .on_closed = on_closed,
    .on_drained = on_drained,
    .on_abuse = on_abuse,
    .on_frame = on_frame,
};

/* ---- the connection ---- */

static void broken_rules(struct h2_client *client)
{
    count_add(&worker_of(client)->counters.h2_up_protocol_errors, 1);
    count_add(&worker_of(client)->counters.h2_up_goaways_shunt, 1);
    endpoint_failed(client->endpoint);
    close_with(client, OUTCOME_BAD_RESPONSE, "the backend breaks the rules of HTTP/2");
}

static void connection_lost(struct h2_client *client, const char *text)
{
    if (client->count > 0)
        endpoint_failed(client->endpoint);
    close_with(client, OUTCOME_RESET, text);
}

static void on_readable(struct conn *conn)
{
    struct h2_client *client = client_of_conn(conn);
    for (int i = 0; i < READS_PER_EVENT && !conn->closed; i++) {
        struct slice bytes;
        switch (conn_read(conn, &bytes)) {
        case CONN_READ_DATA:
            if (!h2_link_feed(&client->link, bytes)) {
                broken_rules(client);
                return;
            }
            if (!conn->closed && !conn->readable && client->count > 0)
                conn_look(conn); /* a reset that came together with these bytes makes no edge of its own */
            else if (!conn->readable)
                return;
            break;
        case CONN_READ_AGAIN:
            return;
        case CONN_READ_END:
            connection_lost(client, "the backend closed the connection before the response's end");
            return;
        case CONN_READ_ERROR:
            if (client->count > 0)
                tls_note_truncation(conn);
            connection_lost(client, tls_reset_text(conn));
            return;
        }
    }
    if (!conn->closed)
        conn_later(conn);
}

static void on_fill(struct conn *conn)
{
    struct h2_client *client = client_of_conn(conn);
    if (!h2_link_fill(&client->link)) {
        broken_rules(client);
        return;
    }
    if (!conn->closed && h2_link_is_over(&client->link)) {
        client->leaving = true;
        conn->want_drained = true; /* the goodbye goes first */
    }
}

static void on_conn_drained(struct conn *conn)
{
    struct h2_client *client = client_of_conn(conn);
    if (!client->leaving || !h2_link_is_over(&client->link))
        return;
    if (client->count > 0)
        broken_rules(client);
    else
        close_quietly(client);
}

static void on_failed(struct conn *conn, int error)
{
    (void)error;
    connection_lost(client_of_conn(conn), "the backend closed the connection while a request was sent");
}

static void on_timeout(struct conn *conn)
{
    struct h2_client *client = client_of_conn(conn);
    struct worker *worker = conn->worker;
    if (client->count == 0) {
        close_quietly(client);
        return;
    }
    uint64_t ping_ms = worker->view->config->timeouts.http2_ping_ms;
    if (ping_ms == 0)
        return;
    uint64_t quiet = worker_now_ms(worker) - client->link.heard_ms;
    if (quiet < ping_ms) {
        conn_timeout_in(conn, ping_ms - quiet);
        return;
    }
    if (client->link.pinged) {
        count_add(&worker->counters.h2_up_ping_timeouts, 1);
        endpoint_failed(client->endpoint);
        close_with(client, OUTCOME_TIMEOUT, "the backend does not answer on its connection any more");
        return;
    }
    client->link.pinged = true;
    (void)nghttp2_submit_ping(client->link.session, NGHTTP2_FLAG_NONE, NULL);
    h2_link_wake(&client->link);
    conn_timeout_in(conn, ping_ms);
}

static const struct conn_events client_events = {
    .on_readable = on_readable,
    .on_fill = on_fill,
    .on_drained = on_conn_drained,
    .on_failed = on_failed,
    .on_timeout = on_timeout,
};

static void put_on(struct h2_client *client, struct attempt *attempt, struct h2_request *request)
{
    if (client->count == 1)
        watch_silence(client);
    worker_busy(worker_of(client));
    bind_attempt(request, attempt);
    attempt->events->on_ready(attempt);
}

bool h2_client_adopt(struct dial *dial)
{
    struct worker *worker = dial->conn.worker;
    const struct config_limits *limits = &worker->view->config->limits;
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)limits->http2_window },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header_bytes },
        { NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
    };
    struct h2_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return false;
    /* The connection is still the dial's: nothing of it is needed until the first frame is written. */
    client->conn.worker = worker;
    client->conn.closed = true;
    if (!h2_link_open(&client->link, &client->conn, false, &link_events, settings, sizeof(settings) / sizeof(settings[0])) ||
        !h2_link_window(&client->link, 4 * limits->http2_window)) {
        h2_link_close(&client->link);
        free(client);
        return false;
    }
    client->conn.closed = false;
    conn_move(&client->conn, &dial->conn, &client_events);
    client->endpoint = dial->endpoint;
    enter_list(client);
    count_add(&worker->counters.h2_up_connections, 1);
    count_add(&worker->counters.h2_up_active, 1);
    h2_link_wake(&client->link);
    while (dial->first != NULL && !client->conn.closed && has_room(client)) {
        struct h2_request *request = request_take(client);
        if (request == NULL)
            break; /* the rest looks for another connection, and hears there that there is no memory */
        put_on(client, dial_take(dial), request);
    }
    look_if_idle(client);
    return true;
}

bool h2_client_take(struct endpoint *endpoint, struct attempt *attempt)
{
    struct h2_client *client = find_room(endpoint);
    struct h2_request *request = client != NULL ? request_take(client) : NULL;
    if (request == NULL)
        return false;
    count_add(&worker_of(client)->counters.upstream_reused, 1);
    attempt->reused = true;
    put_on(client, attempt, request);
    return true;
}

/* Nobody waits for anything on it, though streams that were reset may be left. One that is inside nghttp2 is left alone: it looks
 * itself whether it is needed when its streams end. */
static bool may_close(const struct h2_client *client)
{
    return client->asked == 0 && !client->link.feeding;
}

void h2_client_retire_all(struct endpoint *endpoint)
{
    struct h2_client *next;
    for (struct h2_client *client = endpoint->shared; client != NULL; client = next) {
        next = client->next;
        client->leaving = true;
        if (may_close(client))
            close_quietly(client);
    }
}

uint32_t h2_client_close_idle(struct endpoint *endpoint)
{
    uint32_t closed = 0;
    struct h2_client *next;
    for (struct h2_client *client = endpoint->shared; client != NULL; client = next) {
        next = client->next;
        if (!may_close(client))
            continue;
        close_quietly(client);
        closed++;
    }
    return closed;
}

/* ---- what an attempt asks for ---- */

static struct h2_request *request_of_attempt(const struct attempt *attempt)
{
    return attempt->link;
}

/* RFC 6455 section 4.2.2: what answers the key. */
static void compute_accept(struct h2_request *request, struct text key)
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    request->accept[0] = '\0';
    if (context != NULL && EVP_DigestInit_ex(context, EVP_sha1(), NULL) == 1 && EVP_DigestUpdate(context, key.at, key.len) == 1 &&
        EVP_DigestUpdate(context, magic, sizeof(magic) - 1) == 1 && EVP_DigestFinal_ex(context, digest, &len) == 1)
        EVP_EncodeBlock((unsigned char *)request->accept, digest, (int)len);
    EVP_MD_CTX_free(context);
}

static bool submit(struct h2_request *request, const struct h2_fields *fields)
{
    struct h2_client *client = request->client;
    nghttp2_data_provider body = h2_stream_body(&request->stream);
    int32_t id = nghttp2_submit_request(client->link.session, NULL, fields->at, fields->count,
                                        request->stream.has_body ? &body : NULL, &request->stream);
    if (id < 0)
        return false;
    request->stream.id = id;
    h2_link_wake(&client->link);
    return true;
}

static bool offers_websocket(const struct h2_client *client)
{
    return nghttp2_session_get_remote_settings(client->link.session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

static bool send_head(struct attempt *attempt, struct slice head)
{
    struct h2_request *request = request_of_attempt(attempt);
    struct h2_client *client = request->client;
    struct h2_fields *fields = h2_link_fields(&client->link);
    if (fields == NULL || !h2_fields_request(fields, (struct text){ head.at, head.len }, client->conn.tls != NULL))
        return false;
    request->websocket = fields->websocket;
    request->stream.has_body = attempt->framing != FRAMING_NONE || request->websocket;
    if (request->websocket) {
        compute_accept(request, fields->websocket_key);
        if (!client->settled || !offers_websocket(client)) {
            /* Whether it offers that is in its settings, which are the first it says. Where it has said so and does not, the timer
             * tells the attempt, which cannot hear of it while it is sending. */
            request->held = head;
            chunk_ref(head.chunk);
            return true;
        }
    }
    return submit(request, fields);
}

/* The settings are known now: what waited for them goes, or fails. */
static void send_held(struct h2_client *client)
{
    struct h2_request *next;
    for (struct h2_request *request = client->requests; request != NULL; request = next) {
        next = request->next;
        if (request->held.chunk == NULL || request->attempt == NULL)
            continue;
        struct slice head = request->held;
        request->held.chunk = NULL;
        struct h2_fields *fields = h2_link_fields(&client->link);
        bool sent = offers_websocket(client) &&
                    h2_fields_request(fields, (struct text){ head.at, head.len }, client->conn.tls != NULL) &&
                    submit(request, fields);
        chunk_unref(head.chunk);
        if (!sent)
            fail_request(request, OUTCOME_BAD_RESPONSE, no_websocket, NGHTTP2_CANCEL);
    }
}

static bool send_body(struct attempt *attempt, struct slice slice)
{
    struct h2_request *request = request_of_attempt(attempt);
    return h2_stream_send(&request->client->link, &request->stream, slice);
}

static bool send_end(struct attempt *attempt, struct text trailers)
{
    struct h2_request *request = request_of_attempt(attempt);
    struct worker *worker = worker_of(request->client);
    bool refused = request->held.chunk != NULL && request->client->settled;
    if (attempt->state == ATTEMPT_READY)
        wheel_set(&worker->wheel, &request->timer,
                  worker_now_ms(worker) + (refused ? 0 : attempt->response_timeout_ms));
    if (request->websocket && !request->tunnel)
        return true; /* the request has no body: what would follow is the tunnel's */
    attempt->request_done = true;
    return !request->stream.has_body || h2_stream_end(&request->client->link, &request->stream, trailers);
}

static bool become_tunnel(struct attempt *attempt)
{
    struct h2_request *request = request_of_attempt(attempt);
    request->tunnel = true;
    return true;
}

static void pause_reading(struct attempt *attempt, bool on)
{
    struct h2_request *request = request_of_attempt(attempt);
    h2_stream_pause(&request->client->link, &request->stream, on);
}

static size_t unsent(const struct attempt *attempt)
{
    return request_of_attempt(attempt)->stream.out.bytes;
}

static void want_drained(struct attempt *attempt)
{
    request_of_attempt(attempt)->stream.want_drained = true;
}

static struct conn *raw_conn(struct attempt *attempt)
{
    (void)attempt;
    return NULL; /* frames are in between */
}

static uint64_t raw_remaining(const struct attempt *attempt)
{
    (void)attempt;
    return 0;
}

static void cancel(struct attempt *attempt)
{
    struct h2_request *request = request_of_attempt(attempt);
    if (request == NULL)
        return;
    (void)unbind_attempt(request);
    drop(request, NGHTTP2_CANCEL);
}

const struct client_codec h2_client_codec = {
    .send_head = send_head,
    .send_body = send_body,
    .send_end = send_end,
    .pause = pause_reading,
    .unsent = unsent,
    .want_drained = want_drained,
    .raw_conn = raw_conn,
    .raw_remaining = raw_remaining,
    .become_tunnel = become_tunnel,
    .cancel = cancel,
};
