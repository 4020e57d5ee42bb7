/*
 * Clients over HTTP/2: see h2_server.h. Worker thread. Here is what belongs to the connection: its beginning and end,
 * what comes in bulk, and its one timer, which looks after all streams at once; what belongs to one stream is in
 * h2_server_stream.c.
 *
 * Nothing here closes the connection while nghttp2 is on the stack: its callbacks only queue, and what follows is seen
 * in on_fill().
 */
#include "proxy/h2_server.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/exchange.h"
#include "proxy/transport_tls.h"
#include "proxy/turn.h"

enum {
    READS_PER_EVENT = 4,
    LOOK_MS = 1000,    /* how often open streams are looked at, at least */
    GOODBYE_MS = 1000, /* between the two GOAWAYs at least, when no round trip has ended before */
    SETTLE_MS = 50, /* after that round trip: gRPC's C core writes its answer to a PING before streams that had begun */
    WINDOWS = 4,    /* the connection's window is so many streams' */
};

static const struct conn_events h2_server_events;

static struct h2_server *down_of_conn(struct conn *conn)
{
    return (struct h2_server *)((char *)conn - offsetof(struct h2_server, base.conn));
}

static struct worker_counters *counters_of(struct h2_server *down)
{
    return &down->base.conn.worker->counters;
}

/* ---- life ---- */

static void down_free(struct worker *worker, struct retired *retired)
{
    (void)worker;
    struct h2_server *down = (struct h2_server *)((char *)retired - offsetof(struct h2_server, base.retired));
    h2_link_close(&down->link);
    free(down);
}

static void down_close(struct h2_server *down)
{
    if (down->base.conn.closed)
        return;
    h2_server_abandon(down);
    h2_server_forget_streams(down);
    conn_close(&down->base.conn);
    count_add(&counters_of(down)->h2_down_active, (uint64_t)-1);
    downstream_forget(&down->base, down_free);
}

/* All has been said, and a GOAWAY says so. */
static void linger(struct h2_server *down)
{
    down->phase = H2_SERVER_LINGER;
    h2_server_abandon(down);
    h2_server_forget_streams(down);
    h2_link_close(&down->link);
    downstream_linger(&down->base, &down->lingering);
}

/* nghttp2 does not go on: what it has to say about it is said. */
static void give_up(struct h2_server *down)
{
    (void)h2_link_fill(&down->link);
    linger(down);
}

/* ---- frames ---- */

static void on_begin(struct h2_link *link, int32_t id)
{
    (void)id;
    struct h2_server *down = h2_server_of(link);
    down->section_since_ms = worker_now_ms(link->conn->worker);
    h2_server_watch(down);
}

static const size_t abuse_counters[H2_ABUSE_KINDS] = {
    [H2_ABUSE_RESETS] = offsetof(struct worker_counters, h2_down_abuse_resets),
    [H2_ABUSE_SETTINGS] = offsetof(struct worker_counters, h2_down_abuse_settings),
    [H2_ABUSE_PING] = offsetof(struct worker_counters, h2_down_abuse_ping),
    [H2_ABUSE_EMPTY_FRAMES] = offsetof(struct worker_counters, h2_down_abuse_empty_frames),
    [H2_ABUSE_CONTINUATION] = offsetof(struct worker_counters, h2_down_abuse_continuation),
    [H2_ABUSE_HEADER_LIST] = offsetof(struct worker_counters, h2_down_abuse_header_list),
    [H2_ABUSE_PRIORITY] = offsetof(struct worker_counters, h2_down_abuse_priority),
    [H2_ABUSE_WINDOW_UPDATES] = offsetof(struct worker_counters, h2_down_abuse_window_updates),
    [H2_ABUSE_STALLED] = offsetof(struct worker_counters, h2_down_abuse_stalled),
};

static void on_abuse(struct h2_link *link, enum h2_abuse what)
{
    count_add((uint64_t *)(void *)((char *)&link->conn->worker->counters + abuse_counters[what]), 1);
}

/* The PING behind the first GOAWAY. */
static const uint8_t told_mark[8] = {'f', 'a', 'r', 'e', 'w', 'e', 'l', 'l'};

/* Which streams are the last is settled when it is written, in submit_goodbye(): until then others come and are served.
 */
static void say_goodbye(struct h2_server *down)
{
    down->goodbye_ms = 0;
    down->last_said = down->last_due = true;
    h2_link_wake(&down->link);
}

static void submit_goodbye(struct h2_server *down)
{
    nghttp2_session *session = down->link.session;
    down->last_due = false;
    (void)nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session),
                                NGHTTP2_NO_ERROR, NULL, 0);
}

/* A request that was begun and is given up before it could be answered has cost us and not the client: CVE-2023-44487.
 */
static void on_reset(struct h2_server *down, int32_t id)
{
    struct h2_server_stream *s = nghttp2_session_get_stream_user_data(down->link.session, id);
    count_add(&counters_of(down)->h2_down_resets_peer, 1);
    if (s != NULL && s->stream.exchange != NULL && !s->stream.exchange->responded)
        h2_link_note(&down->link, H2_ABUSE_RESETS);
}

static void look_in(struct h2_server *down, uint64_t ms);

/* What was on its way when the first GOAWAY went out has come, or is about to. */
static void on_ping(struct h2_server *down, const nghttp2_ping *ping)
{
    if ((ping->hd.flags & NGHTTP2_FLAG_ACK) == 0 || !down->told ||
        memcmp(ping->opaque_data, told_mark, sizeof(told_mark)) != 0)
        return;
    down->told_answered_ms = worker_now_ms(down->base.conn.worker);
    if (down->goodbye_ms == 0)
        return;
    down->goodbye_ms = down->told_answered_ms + SETTLE_MS;
    look_in(down, SETTLE_MS);
}

static void on_frame(struct h2_link *link, const nghttp2_frame *frame)
{
    struct h2_server *down = h2_server_of(link);
    switch (frame->hd.type) {
    case NGHTTP2_SETTINGS:
        down->fresh =
            false; /* it speaks: a client may open its connection long before its first request, as gRPC's do */
        break;
    case NGHTTP2_RST_STREAM:
        on_reset(down, frame->hd.stream_id);
        break;
    case NGHTTP2_GOAWAY:
        count_add(&counters_of(down)->h2_down_goaways_peer, 1);
        break;
    case NGHTTP2_PING:
        on_ping(down, &frame->ping);
        break;
    default:
        break;
    }
}

/* One over the streams allowed is no fault: the client may not have read yet how many are. */
static void on_refused(struct h2_link *link, const nghttp2_frame *frame, int error)
{
    (void)frame;
    if (error == NGHTTP2_ERR_REFUSED_STREAM) {
        h2_link_note(link, H2_ABUSE_EMPTY_FRAMES);
        return;
    }
    count_add(&link->conn->worker->counters.h2_down_protocol_errors, 1);
    h2_link_note(link, H2_ABUSE_RESETS);
}

static void on_sent(struct h2_link *link, const nghttp2_frame *frame)
{
    struct worker_counters *counters = &link->conn->worker->counters;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        count_add(&counters->h2_down_resets_shunt, 1);
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
        count_add(&counters->h2_down_goaways_shunt, 1);
    } else if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
               (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        struct h2_stream *stream = nghttp2_session_get_stream_user_data(link->session, frame->hd.stream_id);
        if (stream != NULL)
            h2_server_on_end_sent(link, stream);
    }
}

static const struct h2_link_events link_events = {
    .on_begin = on_begin,
    .on_section = h2_server_on_section,
    .on_body = h2_server_on_body,
    .on_end = h2_server_on_end,
    .on_closed = h2_server_on_closed,
    .on_drained = h2_server_on_drained,
    .on_abuse = on_abuse,
    .on_frame = on_frame,
    .on_refused = on_refused,
    .on_sent = on_sent,
};

/* ---- the socket ---- */

static void read_on(struct conn *conn)
{
    struct h2_server *down = down_of_conn(conn);
    for (int i = 0; !conn->closed && down->phase == H2_SERVER_OPEN; i++) {
        if (i == READS_PER_EVENT) {
            conn_later(conn);
            return;
        }
        struct slice bytes;
        switch (conn_read(conn, &bytes)) {
        case CONN_READ_DATA:
            count_add(&conn->worker->counters.downstream_bytes_in, bytes.len);
            if (!h2_link_feed(&down->link, bytes))
                give_up(down);
            break;
        case CONN_READ_AGAIN:
            return;
        case CONN_READ_END:
            if (down->open > 0)
                tls_note_truncation(conn);
            down_close(down);
            return;
        case CONN_READ_ERROR:
            down_close(down);
            return;
        }
        if (!conn->readable) {
            if (!conn->closed && conn_is_broken(conn)) /* a reset that came with these bytes makes no edge of its own */
                down_close(down);
            return;
        }
    }
    if (!conn->closed && down->phase == H2_SERVER_LINGER && !downstream_linger_readable(&down->base, &down->lingering))
        down_close(down);
}

static void on_readable(struct conn *conn)
{
    struct h2_server *down = down_of_conn(conn);
    if (down->phase == H2_SERVER_OPEN)
        h2_server_give_held(down);
    if (!conn->closed && (down->phase != H2_SERVER_OPEN || turn_allows(conn)))
        read_on(conn);
}

static void on_fill(struct conn *conn)
{
    struct h2_server *down = down_of_conn(conn);
    if (down->phase == H2_SERVER_LINGER)
        return;
    if (down->last_due)
        submit_goodbye(down);
    if (!h2_link_fill(&down->link))
        down_close(down);
    else if (h2_link_is_over(&down->link))
        linger(down);
}

static void on_failed(struct conn *conn, int error)
{
    (void)error;
    down_close(down_of_conn(conn));
}

/* ---- time ---- */

static void look_in(struct h2_server *down, uint64_t ms)
{
    struct conn *conn = &down->base.conn;
    if (!timer_is_set(&conn->timer) || conn->timer.due_ms > worker_now_ms(conn->worker) + ms)
        conn_timeout_in(conn, ms);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void h2_server_watch(struct h2_server *down)
{
    const struct config_timeouts *timeouts = &h2_server_config(down)->timeouts;
    uint64_t ms =
        least(least(timeouts->request_header_ms, timeouts->request_body_ms), least(timeouts->stream_idle_ms, LOOK_MS));
    look_in(down, ms);
    worker_busy(down->base.conn.worker);
}

/* The client takes nothing of what is queued: all streams stand still behind it. */
static bool is_stalled(struct h2_server *down, uint64_t now_ms)
{
    uint64_t written = down->link.queued - down->base.conn.out.bytes;
    if (written != down->written || down->base.conn.out.bytes == 0) {
        down->written = written;
        down->progress_ms = now_ms;
    }
    return now_ms - down->progress_ms >= h2_server_config(down)->timeouts.stream_idle_ms;
}

/* A connection with streams that is silent is asked whether somebody is there. False: nobody is. */
static bool is_answering(struct h2_server *down, uint64_t now_ms)
{
    uint64_t limit = h2_server_config(down)->timeouts.http2_ping_ms;
    if (limit == 0 || down->open == 0 || now_ms - down->link.heard_ms < limit || turn_is_awaited(&down->base.conn))
        return true;
    if (down->link.pinged)
        return now_ms - down->pinged_ms < limit;
    down->link.pinged = true;
    down->pinged_ms = now_ms;
    (void)nghttp2_submit_ping(down->link.session, NGHTTP2_FLAG_NONE, NULL);
    h2_link_wake(&down->link);
    return true;
}

/* Without a stream, or with a header section that does not end: the connection goes, with a GOAWAY. */
static void end_connection(struct h2_server *down, uint32_t error)
{
    (void)nghttp2_session_terminate_session(down->link.session, error);
    h2_link_wake(&down->link);
}

/* What is due for the connection. Returns how long until it is to be looked at again. */
static uint64_t look_at_connection(struct h2_server *down, uint64_t now_ms)
{
    const struct config_timeouts *timeouts = &h2_server_config(down)->timeouts;
    uint64_t wait = UINT64_MAX;
    if (down->goodbye_ms != 0) {
        if (now_ms >= down->goodbye_ms)
            say_goodbye(down);
        else
            wait = down->goodbye_ms - now_ms;
    }
    if (turn_is_awaited(&down->base.conn)) {
        wait = least(wait, LOOK_MS); /* what it says has come, perhaps */
    } else if (down->link.block != NULL) {
        uint64_t quiet = now_ms - down->section_since_ms;
        if (quiet >= timeouts->request_header_ms) {
            count_add(&counters_of(down)->request_timeouts, 1);
            end_connection(down, NGHTTP2_ENHANCE_YOUR_CALM);
        } else {
            wait = least(wait, timeouts->request_header_ms - quiet);
        }
    } else if (down->open == 0) {
        uint64_t limit = down->fresh ? timeouts->request_header_ms : timeouts->idle_ms,
                 quiet = now_ms - down->idle_since_ms;
        if (quiet >= limit) {
            end_connection(down, NGHTTP2_NO_ERROR);
        } else {
            wait = least(wait, limit - quiet);
            h2_link_rest(&down->link);
        }
    }
    return wait;
}

static void on_timeout(struct conn *conn)
{
    struct h2_server *down = down_of_conn(conn);
    uint64_t now_ms = worker_now_ms(conn->worker);
    if (down->phase == H2_SERVER_LINGER) {
        if (!downstream_linger_timeout(&down->base, &down->lingering))
            down_close(down);
        return;
    }
    if (is_stalled(down, now_ms)) {
        on_abuse(&down->link, H2_ABUSE_STALLED);
        down_close(down);
        return;
    }
    if (!is_answering(down, now_ms)) {
        count_add(&counters_of(down)->h2_down_ping_timeouts, 1);
        down_close(down);
        return;
    }
    uint64_t wait = look_at_connection(down, now_ms);
    for (struct h2_server_stream *s = down->streams; s != NULL; s = s->next)
        wait = least(wait, h2_server_stream_patience(s));
    if (down->open > 0 || conn->out.bytes > 0) {
        wait = least(wait, LOOK_MS);
        worker_busy(conn->worker);
    }
    look_in(down, least(wait, LOOK_MS * 3600));
}

static const struct conn_events h2_server_events = {
    .on_readable = on_readable,
    .on_fill = on_fill,
    .on_failed = on_failed,
    .on_timeout = on_timeout,
};

/* ---- beginning and draining ---- */

/* RFC 9113 section 6.8: first that there is an end, then which streams are the last. Queues only. */
static void tell_to_leave(struct h2_server *down)
{
    if (down->told)
        return;
    down->told = true;
    (void)nghttp2_submit_shutdown_notice(down->link.session);
    (void)nghttp2_submit_ping(down->link.session, NGHTTP2_FLAG_NONE, told_mark);
    h2_link_wake(&down->link);
}

/* The last streams are those that have come by now, or are on their way to us. Queues only. */
static void take_no_more(struct h2_server *down)
{
    tell_to_leave(down);
    if (down->last_said || down->goodbye_ms != 0)
        return;
    uint64_t now_ms = worker_now_ms(down->base.conn.worker);
    uint64_t due_ms = down->told_answered_ms != 0 ? down->told_answered_ms + SETTLE_MS : now_ms + GOODBYE_MS;
    if (due_ms <= now_ms) {
        say_goodbye(down);
        return;
    }
    down->goodbye_ms = due_ms;
    look_in(down, due_ms - now_ms);
}

static void follow_phase(struct h2_server *down, enum drain_phase phase)
{
    if (phase >= DRAIN_CLOSING)
        take_no_more(down);
    else if (phase == DRAIN_LEAVING)
        tell_to_leave(down);
}

void h2_server_first_stream(struct h2_server *down)
{
    down->newcomer = false;
    follow_phase(down, down->base.conn.worker->phase);
}

/* What can be said at once is; nobody is waited for. */
static void say_last_word(struct h2_server *down)
{
    if (down->phase == H2_SERVER_OPEN) {
        end_connection(down, NGHTTP2_NO_ERROR);
        (void)h2_link_fill(&down->link);
        (void)conn_flush(&down->base.conn);
    }
    down_close(down);
}

static void drain(struct downstream *base, enum drain_phase phase)
{
    struct h2_server *down = (struct h2_server *)((char *)base - offsetof(struct h2_server, base));
    if (phase == DRAIN_OVER) {
        say_last_word(down);
        return;
    }
    if (phase >= DRAIN_CLOSING && down->phase == H2_SERVER_OPEN) {
        conn_look(&base->conn); /* streams that have come are not refused */
        h2_server_give_held(down);
        if (!base->conn.closed && down->phase == H2_SERVER_OPEN)
            read_on(&base->conn);
    }
    if (!base->conn.closed && down->phase == H2_SERVER_OPEN)
        follow_phase(down, phase);
}

static bool rests(struct downstream *base)
{
    struct h2_server *down = (struct h2_server *)((char *)base - offsetof(struct h2_server, base));
    uint64_t now_ms = worker_now_ms(base->conn.worker);
    if (down->phase != H2_SERVER_OPEN || down->open > 0 || down->link.block != NULL || base->conn.out.bytes > 0 ||
        turn_is_awaited(&base->conn) || now_ms - down->idle_since_ms < DOWNSTREAM_RESTED_MS)
        return false;
    conn_look(&base->conn); /* streams that have come are served */
    read_on(&base->conn);
    if (base->conn.closed || down->phase != H2_SERVER_OPEN || down->open > 0 || down->link.block != NULL)
        return base->conn.closed;
    say_last_word(down);
    return true;
}

static const struct downstream_ops h2_server_ops = {.drain = drain, .rests = rests};

static bool open_link(struct h2_server *down, struct conn *conn)
{
    const struct config_limits *limits = &conn->worker->view->config->limits;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->http2_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)limits->http2_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header_bytes},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    return h2_link_open(&down->link, conn, true, &link_events, settings, sizeof(settings) / sizeof(settings[0])) &&
           h2_link_window(&down->link, WINDOWS * limits->http2_window);
}

bool h2_server_adopt(struct downstream *from, struct slice early)
{
    struct worker *worker = from->conn.worker;
    struct h2_server *down = calloc(1, sizeof(*down));
    if (down == NULL)
        return false;
    /* The connection is still the other's: nothing of it is needed until the first frame is written. */
    down->base.conn.worker = worker;
    down->base.conn.closed = true;
    if (!open_link(down, &down->base.conn)) {
        h2_link_close(&down->link);
        free(down);
        return false;
    }
    down->base.conn.closed = false;
    downstream_move(&down->base, from, &h2_server_events, &h2_server_ops);
    down->fresh = down->newcomer = true;
    down->idle_since_ms = down->progress_ms = worker_now_ms(worker);
    count_add(&worker->counters.h2_down_connections, 1);
    count_add(&worker->counters.h2_down_active, 1);
    h2_server_watch(down);
    h2_link_wake(&down->link);
    if (worker_is_ending(worker))
        take_no_more(down); /* nobody will come back to tell it */
    if (early.len > 0 && !h2_link_feed(&down->link, early))
        give_up(down);
    else
        conn_resume(&down->base.conn);
    return true;
}
