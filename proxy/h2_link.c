/*
 * HTTP/2 connections, both sides: see h2_link.h. Worker thread.
 *
 * nghttp2 keeps the state of the protocol: frames, HPACK, windows, what may come when. It also bounds what hostile
 * peers do in bulk: acknowledgements it owes, settings in a frame, CONTINUATION frames, streams reset (CVE-2023-44487).
 */
#include "proxy/h2_link.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/worker_memory.h"

enum {
    QUEUE_MOST = 64 * 1024, /* bytes in the connection's queue before frames wait */
    QUEUE_SHORT = 8 * 1024, /* the same while memory is short */
    OWED_ACKS = 500,        /* PING and SETTINGS to be acknowledged */
    SETTINGS_MOST = 32,     /* entries in one SETTINGS frame */
    RESET_BURST = 500,      /* streams the peer may reset at once, and then so many a second */
    RESET_RATE = 33,
};

static nghttp2_session_callbacks *callbacks;
static nghttp2_option *options;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- out ---- */

static bool is_full(const struct h2_link *link)
{
    return link->conn->out.bytes >= (worker_memory_is_short(link->conn->worker) ? QUEUE_SHORT : QUEUE_MOST);
}

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t length, int flags, void *context)
{
    (void)session;
    (void)flags;
    struct h2_link *link = context;
    if (is_full(link))
        return NGHTTP2_ERR_WOULDBLOCK;
    if (link->conn->closed || !conn_send_copy(link->conn, (const char *)data, length))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    link->queued += length;
    return (ssize_t)length;
}

/* The body is all in frames: trailers follow, or nothing. */
static void end_body(struct h2_link *link, struct h2_stream *stream, uint32_t *flags)
{
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->trailers.chunk == NULL)
        return;
    struct h2_fields *fields = h2_link_fields(link);
    struct text lines = {stream->trailers.at, stream->trailers.len};
    if (fields != NULL && h2_fields_trailers(fields, lines) &&
        nghttp2_submit_trailer(link->session, stream->id, fields->at, fields->count) == 0)
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
}

static ssize_t on_read_body(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t length, uint32_t *flags,
                            nghttp2_data_source *source, void *context)
{
    (void)session;
    (void)id;
    (void)buffer;
    struct h2_stream *stream = source->ptr;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    size_t take = stream->out.bytes < length ? stream->out.bytes : length;
    if (take == 0 && !stream->ended) {
        stream->waiting = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (stream->ended && take == stream->out.bytes)
        end_body(context, stream, flags);
    stream->framed = take;
    return (ssize_t)take;
}

static int on_send_body(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length,
                        nghttp2_data_source *source, void *context)
{
    (void)frame;
    struct h2_link *link = context;
    struct h2_stream *stream = source->ptr;
    if (is_full(link))
        return NGHTTP2_ERR_WOULDBLOCK;
    if (link->conn->closed || !conn_send_copy(link->conn, (const char *)head, H2_FRAME_HEAD) ||
        !conn_send_from(link->conn, &stream->out, length))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    stream->framed = 0;
    link->queued += H2_FRAME_HEAD + length;
    h2_guard_work(&link->guard);
    if (stream->broken && stream->out.bytes == 0)
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id, stream->error);
    if (stream->want_drained && stream->out.bytes == 0) {
        stream->want_drained = false;
        link->events->on_drained(link, stream);
    }
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    (void)session;
    struct h2_link *link = context;
    if (frame->hd.type == NGHTTP2_RST_STREAM || frame->hd.type == NGHTTP2_GOAWAY)
        link->has_reset = true;
    if (link->events->on_sent != NULL)
        link->events->on_sent(link, frame);
    return 0;
}

nghttp2_data_provider h2_stream_body(struct h2_stream *stream)
{
    return (nghttp2_data_provider){.source = {.ptr = stream}, .read_callback = on_read_body};
}

/* ---- in ---- */

static struct h2_stream *stream_of(struct h2_link *link, int32_t id)
{
    return nghttp2_session_get_stream_user_data(link->session, id);
}

void h2_link_calm(struct h2_link *link, enum h2_abuse what)
{
    if (link->calmed)
        return;
    link->calmed = true;
    link->events->on_abuse(link, what);
    (void)nghttp2_session_terminate_session(link->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

void h2_link_note(struct h2_link *link, enum h2_abuse what)
{
    if (!h2_guard_allows(&link->guard, what, worker_now_ms(link->conn->worker)))
        h2_link_calm(link, what);
}

static void end_for(struct h2_link *link, const nghttp2_frame_hd *head, uint32_t error)
{
    const nghttp2_frame frame = {.hd = *head};
    if (link->events->on_refused != NULL)
        link->events->on_refused(link, &frame, NGHTTP2_ERR_PROTO);
    (void)nghttp2_session_terminate_session(link->session, error);
}

/* nghttp2 forgets closed streams and overlooks what comes for them, since it may have been sent before a reset was read
 * (section 5.1). Where nothing was reset it is the peer's fault; so is a number below those that were used
 * (section 5.1.1). */
static void check_closed(struct h2_link *link, const nghttp2_frame_hd *head)
{
    if (head->stream_id <= link->last_id && head->stream_id > 0 && !link->has_reset &&
        stream_of(link, head->stream_id) == NULL)
        end_for(link, head, NGHTTP2_STREAM_CLOSED);
}

static void check_new(struct h2_link *link, const nghttp2_frame_hd *head)
{
    if (!link->server)
        return;
    check_closed(link, head);
    if (head->stream_id > link->last_id)
        link->last_id = head->stream_id;
}

/* Of data it says nothing at all: its frames are found before it sees them. A stream that begins among these bytes is
 * not known yet. */
static void check_data(struct h2_link *link, struct slice bytes)
{
    const uint8_t *at = (const uint8_t *)bytes.at, *end = at + bytes.len;
    nghttp2_frame_hd head;
    while (h2_walk_next(&link->walk, &at, end, &head)) {
        bool begins = link->block != NULL && head.stream_id == link->last_id;
        if (head.type == NGHTTP2_DATA && !begins && !link->calmed)
            check_closed(link, &head);
    }
}

/* What costs the peer nine bytes and us more. Frames of data are looked at when they are whole: see is_empty(). */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head, void *context)
{
    (void)session;
    struct h2_link *link = context;
    bool ack = (head->flags & NGHTTP2_FLAG_ACK) != 0;
    switch (head->type) {
    case NGHTTP2_DATA:
        h2_guard_work(&link->guard);
        break;
    case NGHTTP2_HEADERS:
        check_new(link, head);
        /* fall through */
    case NGHTTP2_CONTINUATION:
        h2_guard_work(&link->guard);
        if (head->length == 0)
            h2_link_note(link, H2_ABUSE_EMPTY_FRAMES);
        break;
    case NGHTTP2_SETTINGS:
        if (!ack)
            h2_link_note(link, H2_ABUSE_SETTINGS);
        break;
    case NGHTTP2_PING:
        h2_link_note(link, H2_ABUSE_PING);
        break;
    case NGHTTP2_PRIORITY:
        h2_link_note(link, H2_ABUSE_PRIORITY);
        if (head->stream_id == 0)
            end_for(link, head,
                    NGHTTP2_PROTOCOL_ERROR); /* section 6.3; nghttp2 does not look at what it does not use */
        break;
    case NGHTTP2_WINDOW_UPDATE:
        h2_link_note(link, H2_ABUSE_WINDOW_UPDATES);
        break;
    case NGHTTP2_RST_STREAM:
        if (stream_of(link, head->stream_id) == NULL)
            h2_link_note(link, H2_ABUSE_EMPTY_FRAMES);
        break;
    default:
        h2_link_note(link, H2_ABUSE_EMPTY_FRAMES);
        break;
    }
    return link->conn->closed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* Padding is not counted as something. */
static bool is_empty(const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_DATA && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 &&
           frame->hd.length == frame->data.padlen;
}

static bool is_section(const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_HEADERS;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    (void)session;
    struct h2_link *link = context;
    if (!is_section(frame))
        return 0;
    h2_block_give(link->conn->worker, link->block);
    link->block = h2_block_take(link->conn->worker);
    if (link->block == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (link->events->on_begin != NULL)
        link->events->on_begin(link, frame->hd.stream_id);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *context)
{
    (void)session;
    (void)flags;
    struct h2_link *link = context;
    if (!is_section(frame) || link->block == NULL)
        return 0;
    if (h2_block_add(link->block, (struct text){(const char *)name, (uint32_t)name_len},
                     (struct text){(const char *)value, (uint32_t)value_len}))
        return 0;
    h2_link_calm(link, H2_ABUSE_HEADER_LIST);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* Section 8.2.1: a field that may not be makes the message malformed; nghttp2 alone would leave it out. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                             const uint8_t *value, size_t value_len, uint8_t flags, void *context)
{
    (void)session, (void)frame, (void)name, (void)name_len, (void)value, (void)value_len, (void)flags, (void)context;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    (void)session;
    struct h2_link *link = context;
    if (is_section(frame) && link->block != NULL) {
        link->events->on_section(link, frame);
        h2_block_give(link->conn->worker, link->block);
        link->block = NULL;
    }
    bool carries = frame->hd.type == NGHTTP2_DATA || is_section(frame);
    if (carries && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        struct h2_stream *stream = stream_of(link, frame->hd.stream_id);
        if (stream != NULL)
            link->events->on_end(link, stream);
    }
    if (is_empty(frame))
        h2_link_note(link, H2_ABUSE_EMPTY_FRAMES);
    if (link->events->on_frame != NULL)
        link->events->on_frame(link, frame);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t length,
                   void *context)
{
    (void)flags;
    struct h2_link *link = context;
    struct h2_stream *stream = stream_of(link, id);
    (void)nghttp2_session_consume_connection(session, length);
    if (stream == NULL)
        return 0;
    link->events->on_body(link, stream, (struct slice){link->input, (const char *)data, (uint32_t)length});
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *context)
{
    (void)session;
    struct h2_link *link = context;
    link->events->on_closed(link, stream_of(link, id), error);
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *context)
{
    (void)session;
    struct h2_link *link = context;
    link->has_reset = true; /* or is about to */
    if (link->events->on_refused != NULL)
        link->events->on_refused(link, frame, error);
    return 0;
}

/* ---- the session ---- */

static void make_callbacks(void)
{
    if (nghttp2_session_callbacks_new(&callbacks) != 0) {
        callbacks = NULL;
        return;
    }
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_body);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    if (nghttp2_option_new(&options) != 0) {
        options = NULL;
        return;
    }
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_no_closed_streams(options, 1);
    nghttp2_option_set_max_outbound_ack(options, OWED_ACKS);
    nghttp2_option_set_max_settings(options, SETTINGS_MOST);
    nghttp2_option_set_stream_reset_rate_limit(options, RESET_BURST, RESET_RATE);
    nghttp2_option_set_peer_max_concurrent_streams(options, 100);
}

bool h2_link_open(struct h2_link *link, struct conn *conn, bool server, const struct h2_link_events *events,
                  const nghttp2_settings_entry *settings, size_t count)
{
    (void)pthread_once(&once, make_callbacks);
    if (callbacks == NULL || options == NULL)
        return false;
    link->conn = conn;
    link->events = events;
    link->server = server;
    link->walk.skip = server ? H2_PREFACE_BYTES : 0;
    conn->patient = true;
    link->heard_ms = worker_now_ms(conn->worker);
    nghttp2_mem memory = h2_memory_for(&link->memory);
    int made = server ? nghttp2_session_server_new3(&link->session, callbacks, link, options, &memory)
                      : nghttp2_session_client_new3(&link->session, callbacks, link, options, &memory);
    if (made != 0) {
        link->session = NULL;
        return false;
    }
    if (nghttp2_submit_settings(link->session, NGHTTP2_FLAG_NONE, settings, count) != 0) {
        h2_link_close(link);
        return false;
    }
    conn_dirty(conn);
    return true;
}

void h2_link_close(struct h2_link *link)
{
    nghttp2_session_del(link->session);
    link->session = NULL;
    if (link->conn != NULL)
        h2_block_give(link->conn->worker, link->block);
    link->block = NULL;
}

bool h2_link_window(struct h2_link *link, size_t bytes)
{
    return nghttp2_session_set_local_window_size(link->session, NGHTTP2_FLAG_NONE, 0, (int32_t)bytes) == 0;
}

/* Where nghttp2 gives up without a GOAWAY of its own. */
static void say_why(struct h2_link *link, int error)
{
    switch (error) {
    case NGHTTP2_ERR_FLOODED:
        h2_link_calm(link, H2_ABUSE_PING);
        break;
    case NGHTTP2_ERR_TOO_MANY_SETTINGS:
        h2_link_calm(link, H2_ABUSE_SETTINGS);
        break;
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
        h2_link_calm(link, H2_ABUSE_CONTINUATION);
        break;
    default:
        (void)nghttp2_session_terminate_session(
            link->session, error == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_INTERNAL_ERROR);
        break;
    }
}

bool h2_link_feed(struct h2_link *link, struct slice bytes)
{
    link->heard_ms = worker_now_ms(link->conn->worker);
    link->pinged = false;
    link->input = chunk_ref(bytes.chunk); /* the bytes stay where they are while callbacks run */
    if (link->server)
        check_data(link, bytes);
    link->feeding = true;
    ssize_t taken = nghttp2_session_mem_recv(link->session, (const uint8_t *)bytes.at, bytes.len);
    link->feeding = false;
    chunk_unref(link->input);
    link->input = NULL;
    if (link->conn->closed)
        return false;
    h2_link_wake(link);
    if (taken < 0)
        say_why(link, (int)taken);
    return taken >= 0 && (size_t)taken == bytes.len;
}

bool h2_link_fill(struct h2_link *link)
{
    link->feeding = true;
    int result = nghttp2_session_send(link->session);
    link->feeding = false;
    return result == 0;
}

bool h2_link_is_over(const struct h2_link *link)
{
    return nghttp2_session_want_read(link->session) == 0 && nghttp2_session_want_write(link->session) == 0;
}

void h2_link_wake(struct h2_link *link)
{
    conn_dirty(link->conn);
}

void h2_link_rest(struct h2_link *link)
{
    if (link->conn->out.bytes == 0 && nghttp2_session_want_write(link->session) == 0)
        h2_memory_rest(&link->memory);
}

struct h2_fields *h2_link_fields(struct h2_link *link)
{
    struct worker *worker = link->conn->worker;
    if (worker->h2_fields == NULL)
        worker->h2_fields = calloc(1, sizeof(*worker->h2_fields));
    return worker->h2_fields;
}

/* ---- streams ---- */

static void resume(struct h2_link *link, struct h2_stream *stream)
{
    if (stream->waiting) {
        stream->waiting = false;
        (void)nghttp2_session_resume_data(link->session, stream->id);
    }
    h2_link_wake(link);
}

bool h2_stream_send(struct h2_link *link, struct h2_stream *stream, struct slice slice)
{
    if (slice.len == 0)
        return true;
    if (!outq_add(link->conn->worker, &stream->out, slice))
        return false;
    chunk_ref(slice.chunk);
    resume(link, stream);
    return true;
}

bool h2_stream_end(struct h2_link *link, struct h2_stream *stream, struct text trailers)
{
    if (trailers.len > 0 && !chunk_copy(&link->conn->worker->chunks, trailers.at, trailers.len, &stream->trailers))
        return false;
    stream->ended = true;
    resume(link, stream);
    return true;
}

void h2_stream_taken(struct h2_link *link, struct h2_stream *stream, size_t len)
{
    if (stream->paused)
        stream->unconsumed += len;
    else
        (void)nghttp2_session_consume_stream(link->session, stream->id, len);
}

void h2_stream_pause(struct h2_link *link, struct h2_stream *stream, bool on)
{
    stream->paused = on;
    if (on || stream->unconsumed == 0)
        return;
    size_t len = stream->unconsumed;
    stream->unconsumed = 0;
    (void)nghttp2_session_consume_stream(link->session, stream->id, len);
    h2_link_wake(link);
}

void h2_stream_reset(struct h2_link *link, struct h2_stream *stream, uint32_t error)
{
    (void)nghttp2_submit_rst_stream(link->session, NGHTTP2_FLAG_NONE, stream->id, error);
    h2_link_wake(link);
}

void h2_stream_break(struct h2_link *link, struct h2_stream *stream, uint32_t error)
{
    if (stream->out.bytes == 0) {
        h2_stream_reset(link, stream, error);
        return;
    }
    stream->broken = true;
    stream->error = error;
}

void h2_stream_forget(struct h2_link *link, struct h2_stream *stream)
{
    if (stream->framed == 0)
        outq_clear(link->conn->worker, &stream->out);
}

void h2_stream_done(struct h2_link *link, struct h2_stream *stream)
{
    outq_clear(link->conn->worker, &stream->out);
    if (stream->trailers.chunk != NULL)
        chunk_unref(stream->trailers.chunk);
    stream->trailers.chunk = NULL;
}
