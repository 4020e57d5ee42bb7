/*
 * Connections to backends over HTTP/2: see h2_client.h. Worker thread. Here is what belongs to the connection: its
 * place in the endpoint's list, its beginning and end, what it hears in bulk, and its timer; what belongs to one
 * request on it is in h2_client_request.c.
 */
#include "proxy/h2_client_inside.h"

#include <stdlib.h>

#include "proxy/dial.h"
#include "proxy/transport_tls.h"
#include "proxy/turn.h"

enum {
    READS_PER_EVENT = 4, /* then others have their turn */
    STREAMS_MOST = 1000, /* on one connection, however many the backend would take */
    GOODBYE_MS = 2000,   /* a backend that reads nothing need not hear the last GOAWAY */
    SETTINGS_BEFORE =
        100, /* streams until the backend has said how many it takes: RFC 9113 section 6.5.2 asks for no less */
};

static struct h2_client *client_of_conn(struct conn *conn)
{
    return (struct h2_client *)((char *)conn - offsetof(struct h2_client, conn));
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
    uint32_t said = nghttp2_session_get_remote_settings(client->link.session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
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
 * The connection is closed; its attempts hear of it one by one, and may ask for others. The session goes when the round
 * is over: we may have been called from within it.
 */
static void close_with(struct h2_client *client, enum outcome_kind kind, const char *text)
{
    struct worker *worker = h2_client_worker(client);
    struct endpoint *endpoint = client->endpoint;
    if (client->conn.closed)
        return;
    client->leaving = true;
    leave_list(client);
    conn_close(&client->conn);
    count_add(&worker->counters.h2_up_active, (uint64_t)-1);
    h2_requests_fail(client, kind, text);
    client->retired.free = client_free;
    worker_retire(worker, &client->retired);
    endpoint_closed(endpoint);
}

static void close_quietly(struct h2_client *client)
{
    close_with(client, OUTCOME_RESET, "the connection to the backend was closed");
}

/* Requests that were given up before they could be sent are left with nghttp2 until the backend takes another stream.
 * One that takes none (SETTINGS_MAX_CONCURRENT_STREAMS 0) would keep them, and the connection, for ever. */
static bool takes_none(const struct h2_client *client)
{
    if (client->asked > 0 || client->count == 0 || most_streams(client) > 0)
        return false;
    for (const struct h2_request *request = client->requests; request != NULL; request = request->next)
        if (nghttp2_session_find_stream(client->link.session, request->stream.id) != NULL)
            return false; /* sent: its reset goes before our goodbye */
    return true;
}

void h2_client_look_if_idle(struct h2_client *client)
{
    struct upstream *upstream = client->endpoint->upstream;
    bool useless = takes_none(client);
    if ((client->count > 0 && !useless) || client->conn.closed)
        return;
    if (useless || client->leaving || client->endpoint->gone || upstream == NULL ||
        worker_is_ending(h2_client_worker(client))) {
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
    uint64_t ping_ms = h2_client_worker(client)->view->config->timeouts.http2_ping_ms;
    if (ping_ms > 0)
        conn_timeout_in(&client->conn, ping_ms);
    else
        conn_timeout_off(&client->conn);
}

/* ---- frames ---- */

static void on_frame(struct h2_link *link, const nghttp2_frame *frame)
{
    struct h2_client *client = h2_client_of(link);
    struct worker *worker = h2_client_worker(client);
    switch (frame->hd.type) {
    case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
            break;
        client->settled = true;
        h2_requests_go_on(client);
        if (takes_none(client))
            h2_client_look_if_idle(client);
        if (client->endpoint->upstream != NULL)
            upstream_release(client->endpoint->upstream);
        break;
    case NGHTTP2_RST_STREAM: {
        struct h2_stream *stream = nghttp2_session_get_stream_user_data(link->session, frame->hd.stream_id);
        count_add(&worker->counters.h2_up_resets_peer, 1);
        if (stream != NULL)
            h2_request_of(stream)->reset_by_peer = true;
        break;
    }
    case NGHTTP2_GOAWAY:
        count_add(&worker->counters.h2_up_goaways_peer, 1);
        client->leaving = true;
        h2_client_look_if_idle(client);
        break;
    default:
        break;
    }
}

static void on_abuse(struct h2_link *link, enum h2_abuse what)
{
    (void)what;
    count_add(&h2_client_worker(h2_client_of(link))->counters.h2_up_abuse, 1);
}

static const struct h2_link_events link_events = {
    .on_section = h2_request_on_section,
    .on_body = h2_request_on_body,
    .on_end = h2_request_on_end,
    .on_closed = h2_request_on_closed,
    .on_drained = h2_request_on_drained,
    .on_abuse = on_abuse,
    .on_frame = on_frame,
};

/* ---- the connection ---- */

static void broken_rules(struct h2_client *client)
{
    count_add(&h2_client_worker(client)->counters.h2_up_protocol_errors, 1);
    count_add(&h2_client_worker(client)->counters.h2_up_goaways_shunt, 1);
    endpoint_failed(client->endpoint);
    close_with(client, OUTCOME_BAD_RESPONSE, "the backend breaks the rules of HTTP/2");
}

static void connection_lost(struct h2_client *client, const char *text)
{
    if (client->count > 0)
        endpoint_failed(client->endpoint);
    close_with(client, OUTCOME_RESET, text);
}

/* Checks have a time to keep. */
static bool waits_in_turn(const struct h2_client *client)
{
    const struct upstream *upstream = client->endpoint->upstream;
    return client->settled && client->count > 0 && (upstream == NULL || upstream->use != USE_HEALTH);
}

static void on_readable(struct conn *conn)
{
    struct h2_client *client = client_of_conn(conn);
    if (waits_in_turn(client) && !turn_allows(conn))
        return;
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
    if (client->asked > 0)
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
    if (client->count == 0 || (client->asked == 0 && client->leaving)) {
        close_quietly(client);
        return;
    }
    uint64_t ping_ms = worker->view->config->timeouts.http2_ping_ms;
    if (ping_ms == 0)
        return;
    uint64_t quiet = worker_now_ms(worker) - client->link.heard_ms;
    if (quiet < ping_ms || turn_is_awaited(conn)) { /* what it has said may not have been read */
        conn_timeout_in(conn, quiet < ping_ms ? ping_ms - quiet : ping_ms);
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
    worker_busy(h2_client_worker(client));
    h2_request_bind(request, attempt);
    attempt->events->on_ready(attempt);
}

bool h2_client_adopt(struct dial *dial)
{
    struct worker *worker = dial->conn.worker;
    const struct config_limits *limits = &worker->view->config->limits;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)limits->http2_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header_bytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    struct h2_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return false;
    /* The connection is still the dial's: nothing of it is needed until the first frame is written. */
    client->conn.worker = worker;
    client->conn.closed = true;
    if (!h2_link_open(&client->link, &client->conn, false, &link_events, settings,
                      sizeof(settings) / sizeof(settings[0])) ||
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
        struct h2_request *request = h2_request_take(client);
        if (request == NULL)
            break; /* the rest looks for another connection, and hears there that there is no memory */
        put_on(client, dial_take(dial), request);
    }
    h2_client_look_if_idle(client);
    return true;
}

bool h2_client_take(struct endpoint *endpoint, struct attempt *attempt)
{
    struct h2_client *client = find_room(endpoint);
    struct h2_request *request = client != NULL ? h2_request_take(client) : NULL;
    if (request == NULL)
        return false;
    count_add(&h2_client_worker(client)->counters.upstream_reused, 1);
    attempt->reused = true;
    put_on(client, attempt, request);
    return true;
}

/* Nobody waits for anything on it, though streams that were reset may be left. One that is inside nghttp2 is left
 * alone: it looks itself whether it is needed when its streams end. */
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
