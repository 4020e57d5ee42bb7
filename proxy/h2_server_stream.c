/*
 * One request and its response on a stream of a client's HTTP/2 connection: see h2_server.h. Worker thread. Heads go
 * out through the writer of HTTP/1.1, so that what is added to them, and what is left out, is said in one place.
 *
 * What frames carry comes whether the exchange wants it or not; what it does not want now is held here, and not
 * acknowledged: the stream's window bounds it.
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/answer.h"
#include "proxy/exchange.h"
#include "proxy/h1_parser.h"
#include "proxy/h2_server.h"
#include "proxy/transport_tls.h"

enum {
    SPARE_STREAMS = 1024,
    INTERIMS_MOST = 64, /* interim responses are hints: a client need not get all of a flood */
};

static const struct server_codec h2_server_codec;

static struct h2_server_stream *stream_of(struct server_stream *stream)
{
    return (struct h2_server_stream *)((char *)stream - offsetof(struct h2_server_stream, stream));
}

/* ---- memory ---- */

static struct h2_server_stream *stream_take(struct worker *worker)
{
    struct h2_server_stream *s = worker->spare_server_streams;
    if (s == NULL)
        return calloc(1, sizeof(*s));
    worker->spare_server_streams = s->next;
    worker->spare_server_stream_count--;
    memset(s, 0, sizeof(*s));
    return s;
}

static void stream_give(struct worker *worker, struct h2_server_stream *s)
{
    if (worker->spare_server_stream_count >= SPARE_STREAMS) {
        free(s);
        return;
    }
    s->next = worker->spare_server_streams;
    worker->spare_server_streams = s;
    worker->spare_server_stream_count++;
}

void h2_server_streams_done(struct worker *worker)
{
    while (worker->spare_server_streams != NULL) {
        struct h2_server_stream *s = worker->spare_server_streams;
        worker->spare_server_streams = s->next;
        free(s);
    }
    worker->spare_server_stream_count = 0;
}

static struct h2_server_stream *stream_open(struct h2_server *down, int32_t id)
{
    struct worker *worker = down->base.conn.worker;
    struct h2_server_stream *s = stream_take(worker);
    if (s == NULL)
        return NULL;
    s->base.id = id;
    s->stream.codec = &h2_server_codec;
    s->down = down;
    s->next = down->streams;
    if (s->next != NULL)
        s->next->prev = s;
    down->streams = s;
    down->open++;
    down->fresh = false;
    count_add(&worker->counters.h2_down_streams, 1);
    count_add(&worker->counters.h2_down_streams_active, 1);
    (void)nghttp2_session_set_stream_user_data(down->link.session, id, &s->base);
    return s;
}

static void leave_resumed(struct h2_server_stream *s)
{
    struct h2_server_stream **at = &s->down->resumed;
    while (s->in_resumed && *at != s)
        at = &(*at)->next_resumed;
    if (s->in_resumed)
        *at = s->next_resumed;
    s->in_resumed = false;
}

static void drop_held(struct h2_server_stream *s)
{
    outq_clear(s->down->base.conn.worker, &s->held);
    free((void *)(uintptr_t)s->trailers.at);
    s->trailers = (struct text){NULL, 0};
}

static void stream_forget(struct h2_server_stream *s)
{
    struct h2_server *down = s->down;
    struct worker *worker = down->base.conn.worker;
    leave_resumed(s);
    drop_held(s);
    h2_stream_done(&down->link, &s->base);
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        down->streams = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    down->open--;
    down->idle_since_ms = worker_now_ms(worker);
    count_add(&worker->counters.h2_down_streams_active, (uint64_t)-1);
    stream_give(worker, s);
}

static void abandon(struct h2_server_stream *s)
{
    struct exchange *ex = s->stream.exchange;
    if (ex == NULL)
        return;
    count_add(&s->down->base.conn.worker->counters.client_gone, 1);
    exchange_abandon(ex, OUTCOME_CLIENT_GONE);
}

void h2_server_abandon(struct h2_server *down)
{
    for (struct h2_server_stream *s = down->streams; s != NULL; s = s->next)
        abandon(s);
}

void h2_server_forget_streams(struct h2_server *down)
{
    while (down->streams != NULL)
        stream_forget(down->streams);
}

/* ---- what goes out ---- */

static bool submit(struct h2_server_stream *s, const struct h2_fields *fields, bool final, bool has_body)
{
    nghttp2_session *session = s->down->link.session;
    nghttp2_data_provider body = h2_stream_body(&s->base);
    int result =
        final ? nghttp2_submit_response(session, s->base.id, fields->at, fields->count, has_body ? &body : NULL)
              : nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, s->base.id, NULL, fields->at, fields->count, NULL);
    h2_link_wake(&s->down->link);
    return result >= 0;
}

/* The body's end is the stream's: neither chunks nor the connection's close have to say it. */
static enum framing framing_for(const struct head *head)
{
    return head->framing == FRAMING_NONE || head->framing == FRAMING_LENGTH ? head->framing : FRAMING_UNTIL_CLOSE;
}

static bool send_head(struct server_stream *stream, const struct head *head, const struct response_plan *plan)
{
    struct h2_server_stream *s = stream_of(stream);
    bool tunnel = head->status == 101, interim = head->status < 200 && !tunnel;
    if (interim && ++s->interims > INTERIMS_MOST)
        return true;
    struct h1_reply reply = {
        .rules = &h2_server_config(s->down)->headers,
        .framing = interim || tunnel ? FRAMING_NONE : framing_for(head),
        .client_minor = 1,
        .extra = plan->extra,
    };
    struct h2_fields *fields = h2_link_fields(&s->down->link);
    char *to = fields != NULL ? h2_fields_room(fields, h1_response_bound(head, &reply)) : NULL;
    if (to == NULL)
        return false;
    size_t len = h1_write_response(to, head, &reply);
    if (!h2_fields_response(fields, (struct text){to, (uint32_t)len}, tunnel ? 200 : head->status))
        return false;
    if (tunnel)
        h2_fields_drop(fields, "sec-websocket-accept"); /* RFC 8441 section 5: there was no key to answer */
    if (!interim)
        s->base.has_body = tunnel || head->framing != FRAMING_NONE;
    return submit(s, fields, !interim, s->base.has_body);
}

static bool send_body(struct server_stream *stream, struct slice slice)
{
    struct h2_server_stream *s = stream_of(stream);
    count_add(&s->down->base.conn.worker->counters.downstream_bytes_out, slice.len);
    return h2_stream_send(&s->down->link, &s->base, slice);
}

/* A response before the request's end: RFC 9113 section 8.1. Only once all of it is out, or the reset would overtake
 * it. */
static void refuse_the_rest(struct h2_server_stream *s)
{
    drop_held(s);
    if (!s->request_ended)
        h2_stream_reset(&s->down->link, &s->base, NGHTTP2_NO_ERROR);
}

static void send_end(struct server_stream *stream, struct text trailers)
{
    struct h2_server_stream *s = stream_of(stream);
    struct h2_link *link = &s->down->link;
    if (s->base.has_body && !h2_stream_end(link, &s->base, trailers)) {
        h2_stream_reset(link, &s->base, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    s->unsent = s->base.out.bytes;
    s->progress_ms = worker_now_ms(link->conn->worker);
    if (s->end_sent)
        refuse_the_rest(s);
}

static bool queue_text(struct h2_server_stream *s, const char *text)
{
    size_t len = strlen(text) + 1;
    struct chunk *chunk = chunk_take(&s->down->base.conn.worker->chunks, len);
    if (chunk == NULL)
        return false;
    memcpy(chunk->data, text, len - 1);
    chunk->data[len - 1] = '\n';
    chunk->used = (uint32_t)len;
    bool queued = h2_stream_send(&s->down->link, &s->base, (struct slice){chunk, chunk->data, (uint32_t)len});
    chunk_unref(chunk);
    return queued && h2_stream_end(&s->down->link, &s->base, (struct text){NULL, 0});
}

static void answer(struct server_stream *stream, unsigned status, const char *text, bool close)
{
    (void)close; /* the others on this connection have done nothing */
    struct h2_server_stream *s = stream_of(stream);
    struct h2_link *link = &s->down->link;
    if (status == 0) {
        h2_stream_reset(link, &s->base, NGHTTP2_CANCEL);
        return;
    }
    char head[ANSWER_HEAD_ROOM];
    size_t len = answer_head(head, sizeof(head), status, strlen(text) + 1, false);
    struct h2_fields *fields = h2_link_fields(link);
    s->base.has_body = !s->is_head;
    s->progress_ms = worker_now_ms(link->conn->worker);
    if (len == 0 || fields == NULL || !h2_fields_response(fields, (struct text){head, (uint32_t)len}, status) ||
        (s->base.has_body && !queue_text(s, text)) || !submit(s, fields, true, s->base.has_body))
        h2_stream_reset(link, &s->base, NGHTTP2_INTERNAL_ERROR);
}

static void abort_response(struct server_stream *stream)
{
    struct h2_server_stream *s = stream_of(stream);
    s->progress_ms = worker_now_ms(s->down->base.conn.worker);
    s->unsent = s->base.out.bytes;
    h2_stream_break(&s->down->link, &s->base, NGHTTP2_INTERNAL_ERROR); /* what had come is the client's */
}

static void resume(struct h2_server_stream *s)
{
    struct h2_server *down = s->down;
    if (s->in_resumed)
        return;
    s->in_resumed = true;
    s->next_resumed = down->resumed;
    down->resumed = s;
    conn_wake(&down->base.conn);
}

static void read_body(struct server_stream *stream, bool on)
{
    struct h2_server_stream *s = stream_of(stream);
    h2_stream_pause(&s->down->link, &s->base, !on);
    if (on && s->held.bytes > 0)
        resume(s);
}

static size_t unsent(const struct server_stream *stream)
{
    return ((const struct h2_server_stream *)((const char *)stream - offsetof(struct h2_server_stream, stream)))
        ->base.out.bytes;
}

static void want_drained(struct server_stream *stream)
{
    stream_of(stream)->base.want_drained = true;
}

static struct conn *raw_conn(struct server_stream *stream)
{
    (void)stream;
    return NULL;
}

static bool become_tunnel(struct server_stream *stream)
{
    struct h2_server_stream *s = stream_of(stream);
    s->tunnel = true;
    s->body_ended = false;
    resume(s);
    return true;
}

static const struct server_codec h2_server_codec = {
    .send_head = send_head,
    .send_body = send_body,
    .send_end = send_end,
    .answer = answer,
    .abort = abort_response,
    .read_body = read_body,
    .unsent = unsent,
    .want_drained = want_drained,
    .raw_conn = raw_conn,
    .become_tunnel = become_tunnel,
};

/* ---- what comes ---- */

static void start_exchange(struct h2_server_stream *s, const struct head *head)
{
    struct worker *worker = s->down->base.conn.worker;
    s->connect = head->upgrade;
    s->body_ended = head->framing == FRAMING_NONE || (head->framing == FRAMING_LENGTH && head->content_length == 0);
    struct exchange_request request = {
        .head = head, .client = s->down->base.client, .leaving = worker_is_leaving(worker)};
    tls_describe(&s->down->base.conn, &request);
    exchange_start(worker, &s->stream, &request);
}

static void refuse_request(struct h2_server_stream *s, unsigned status, const char *text)
{
    if (h2_block_is_call(s->down->link.block))
        exchange_refuse_call(&s->stream, status, text);
    else
        answer(&s->stream, status, text, false);
}

static void take_request(struct h2_server_stream *s, struct h1_parser *parser)
{
    struct h2_server *down = s->down;
    struct head head;
    struct slice text;
    s->is_head = h2_block_asks_head(down->link.block);
    switch (
        h2_block_request(down->link.block, parser, &h2_server_config(down)->limits, s->request_ended, &head, &text)) {
    case H2_BLOCK_DONE:
        start_exchange(s, &head);
        chunk_unref(text.chunk);
        break;
    case H2_BLOCK_BAD:
        count_add(&down->base.conn.worker->counters.bad_requests, 1);
        refuse_request(s, h1_parser_fault(parser)->status, h1_parser_fault(parser)->what);
        break;
    case H2_BLOCK_NO_MEMORY:
        refuse_request(s, 503, "out of memory");
        break;
    }
}

static void open_stream(struct h2_server *down, const nghttp2_frame *frame)
{
    struct worker *worker = down->base.conn.worker;
    struct h2_server_stream *s = stream_open(down, frame->hd.stream_id);
    struct h1_parser *parser = worker_take_parser(worker);
    if (s == NULL || parser == NULL) {
        (void)nghttp2_submit_rst_stream(down->link.session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                        NGHTTP2_REFUSED_STREAM);
        down->link.has_reset = true;
    } else {
        s->request_ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        h2_server_watch(down);
        if (down->newcomer)
            h2_server_first_stream(down);
        take_request(s, parser);
    }
    if (parser != NULL)
        worker_give_parser(worker, parser);
}

static void end_body(struct h2_server_stream *s, struct text trailers)
{
    s->body_ended = true;
    exchange_body_end(s->stream.exchange, trailers);
}

static void take_trailers(struct h2_server_stream *s)
{
    struct text trailers = h2_block_trailers(s->down->link.block);
    if (s->stream.exchange == NULL || s->body_ended)
        return;
    if (s->held.bytes == 0) {
        end_body(s, trailers);
        return;
    }
    char *copy = malloc(trailers.len + 1);
    if (copy == NULL) {
        h2_stream_reset(&s->down->link, &s->base, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    if (trailers.len > 0)
        memcpy(copy, trailers.at, trailers.len);
    s->trailers = (struct text){copy, trailers.len};
}

void h2_server_on_section(struct h2_link *link, const nghttp2_frame *frame)
{
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        open_stream(h2_server_of(link), frame);
        return;
    }
    struct h2_server_stream *s = nghttp2_session_get_stream_user_data(link->session, frame->hd.stream_id);
    if (s != NULL)
        take_trailers(s);
}

static bool must_wait(const struct h2_server_stream *s)
{
    return s->base.paused || s->held.bytes > 0 || (s->connect && !s->tunnel);
}

void h2_server_on_body(struct h2_link *link, struct h2_stream *stream, struct slice bytes)
{
    struct h2_server_stream *s = (struct h2_server_stream *)stream;
    if (s->stream.exchange == NULL || (s->body_ended && !s->connect))
        return; /* nobody takes it: the window closes */
    if (must_wait(s)) {
        if (outq_add(link->conn->worker, &s->held, bytes))
            chunk_ref(bytes.chunk);
        else
            h2_stream_reset(link, stream, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    exchange_body(s->stream.exchange, bytes);
    h2_stream_taken(link, stream, bytes.len);
}

void h2_server_on_end(struct h2_link *link, struct h2_stream *stream)
{
    (void)link;
    struct h2_server_stream *s = (struct h2_server_stream *)stream;
    s->request_ended = true;
    if (s->stream.exchange != NULL && !s->body_ended && s->held.bytes == 0)
        end_body(s, (struct text){NULL, 0});
}

static void give_held(struct h2_server_stream *s)
{
    struct worker *worker = s->down->base.conn.worker;
    if (s->connect && !s->tunnel)
        return;
    while (s->stream.exchange != NULL && s->held.bytes > 0 && !s->base.paused) {
        struct slice slice = outq_take(worker, &s->held);
        exchange_body(s->stream.exchange, slice);
        h2_stream_taken(&s->down->link, &s->base, slice.len);
        h2_link_wake(&s->down->link); /* the credit for it goes out though nothing is read now */
        chunk_unref(slice.chunk);
    }
    if (s->stream.exchange != NULL && s->held.bytes == 0 && s->request_ended && !s->body_ended)
        end_body(s, s->trailers);
}

void h2_server_give_held(struct h2_server *down)
{
    while (down->resumed != NULL) {
        struct h2_server_stream *s = down->resumed;
        leave_resumed(s);
        give_held(s);
    }
}

void h2_server_on_closed(struct h2_link *link, struct h2_stream *stream, uint32_t error)
{
    (void)link;
    (void)error;
    if (stream == NULL)
        return;
    abandon((struct h2_server_stream *)stream);
    stream_forget((struct h2_server_stream *)stream);
}

void h2_server_on_drained(struct h2_link *link, struct h2_stream *stream)
{
    (void)link;
    struct exchange *ex = ((struct h2_server_stream *)stream)->stream.exchange;
    if (ex != NULL)
        exchange_drained(ex);
}

void h2_server_on_end_sent(struct h2_link *link, struct h2_stream *stream)
{
    (void)link;
    struct h2_server_stream *s = (struct h2_server_stream *)stream;
    s->end_sent = true;
    if (s->stream.exchange == NULL)
        refuse_the_rest(s);
}

/* ---- time ---- */

/* The response is complete, and the client does not take it. */
static uint64_t patience_for_client(struct h2_server_stream *s)
{
    uint64_t now_ms = worker_now_ms(s->down->base.conn.worker),
             limit = h2_server_config(s->down)->timeouts.stream_idle_ms;
    if (s->base.out.bytes < s->unsent)
        s->progress_ms = now_ms;
    s->unsent = s->base.out.bytes;
    if (now_ms - s->progress_ms < limit)
        return limit - (now_ms - s->progress_ms);
    h2_stream_reset(&s->down->link, &s->base, NGHTTP2_CANCEL);
    return UINT64_MAX;
}

uint64_t h2_server_stream_patience(struct h2_server_stream *s)
{
    struct exchange *ex = s->stream.exchange;
    if (ex == NULL)
        return patience_for_client(s);
    unsigned status = 0;
    enum outcome_kind blame;
    uint64_t patience = exchange_patience(ex, &status, &blame);
    if (patience > 0)
        return patience;
    count_add(&s->down->base.conn.worker->counters.request_timeouts, 1);
    if (status != 0) {
        exchange_time_out(ex, status, blame);
    } else {
        exchange_abandon(ex, blame);
        abort_response(&s->stream);
    }
    return UINT64_MAX;
}
