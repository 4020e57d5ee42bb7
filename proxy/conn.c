/*
 * Connections: see conn.h. Runs on the worker's thread; knows sockets, queues and the rounds of one callback, and
 * nothing of HTTP. What a connection is for is its owner's business (h1_server.c, h1_client.c, tunnel.c).
 *
 * Not used here: libevent's bufferevents, which cost more per request than all the rest of the proxy.
 */
#include "proxy/conn.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/turn.h"
#include "proxy/worker_inside.h"
#include "proxy/worker_memory.h"

enum {
    READ_CHUNK = 65536,                              /* one read brings at most this, */
    READ_CHUNK_PARTS = 1024,                         /* and no more than such a part of the memory limit, */
    READ_CHUNK_LEAST = 16384 - sizeof(struct chunk), /* but this always */
    READ_CHUNK_SHORT = 8192, /* the same while memory is short: whoever keeps some of it keeps all */
    READ_CHUNK_SCARCE = 4000,
    READ_LEAST = 16384, /* less room in the read chunk than this: take another chunk */
    COPY_LIMIT = 1024,  /* smaller pieces are copied behind what is queued, to go out as one piece */
    KEEP_SMALL = 2048,  /* unsent rests below this do not hold a large chunk */
    PARTS = 16,         /* segments in one write */
};

struct conn_watch {
    struct event event;
    struct conn *conn;
};

/* ---- queue ---- */

static struct segment *segment_take(struct worker *worker)
{
    struct segment *segment = worker->free_segments;
    if (segment != NULL) {
        worker->free_segments = segment->next;
        return segment;
    }
    return malloc(sizeof(*segment));
}

static void segment_give(struct worker *worker, struct segment *segment)
{
    segment->next = worker->free_segments;
    worker->free_segments = segment;
}

void conn_spares_done(struct worker *worker)
{
    while (worker->free_segments != NULL) {
        struct segment *segment = worker->free_segments;
        worker->free_segments = segment->next;
        free(segment);
    }
}

bool outq_add(struct worker *worker, struct outq *out, struct slice slice)
{
    struct segment *segment = segment_take(worker);
    if (segment == NULL)
        return false;
    segment->next = NULL;
    segment->slice = slice;
    if (out->last != NULL)
        out->last->next = segment;
    else
        out->first = segment;
    out->last = segment;
    out->bytes += slice.len;
    return true;
}

static void outq_shift(struct worker *worker, struct outq *out)
{
    struct segment *segment = out->first;
    out->first = segment->next;
    if (out->first == NULL)
        out->last = NULL;
    chunk_unref(segment->slice.chunk);
    segment_give(worker, segment);
}

struct slice outq_take(struct worker *worker, struct outq *out)
{
    struct slice slice = out->first->slice;
    chunk_ref(slice.chunk);
    outq_shift(worker, out);
    out->bytes -= slice.len;
    return slice;
}

void outq_clear(struct worker *worker, struct outq *out)
{
    while (out->first != NULL)
        outq_shift(worker, out);
    out->bytes = 0;
}

static void outq_consume(struct worker *worker, struct outq *out, size_t sent)
{
    out->bytes -= sent;
    while (sent > 0) {
        struct slice *slice = &out->first->slice;
        if (sent < slice->len) {
            slice->at += sent;
            slice->len -= (uint32_t)sent;
            return;
        }
        sent -= slice->len;
        outq_shift(worker, out);
    }
}

/* Small rests move out of large chunks, so that a slow reader holds what it has not read and little more. */
static void outq_slim(struct worker *worker, struct outq *out)
{
    for (struct segment *segment = out->first; segment != NULL; segment = segment->next) {
        struct slice *slice = &segment->slice;
        if (slice->len > KEEP_SMALL || slice->chunk->size <= 2 * KEEP_SMALL)
            continue;
        struct chunk *small = chunk_take(&worker->chunks, slice->len);
        if (small == NULL)
            return; /* the large one serves as well */
        memcpy(small->data, slice->at, slice->len);
        small->used = slice->len;
        chunk_unref(slice->chunk);
        slice->chunk = small;
        slice->at = small->data;
    }
}

/* ---- sending ---- */

void conn_dirty(struct conn *conn)
{
    if (conn->in_dirty || conn->closed)
        return;
    struct worker *worker = conn->worker;
    struct conn **list = conn->patient && !worker->round_is_over ? &worker->dirty_late : &worker->dirty;
    conn->in_dirty = true;
    conn->next_dirty = *list;
    *list = conn;
}

bool conn_send(struct conn *conn, struct slice slice)
{
    if (slice.len <= COPY_LIMIT && conn->out.last != NULL) {
        struct slice *last = &conn->out.last->slice;
        struct chunk *chunk = last->chunk;
        if (last->at + last->len == chunk_tail(chunk) && chunk_room(chunk) >= slice.len && chunk != slice.chunk)
            return conn_send_copy(conn, slice.at, slice.len);
    }
    if (!outq_add(conn->worker, &conn->out, slice))
        return false;
    chunk_ref(slice.chunk);
    conn_dirty(conn);
    return true;
}

char *conn_send_reserve(struct conn *conn, size_t len)
{
    struct segment *last = conn->out.last;
    if (last != NULL) {
        struct chunk *chunk = last->slice.chunk;
        /* Append only where the segment ends at the chunk's end of use, and never into the read chunk. */
        if (chunk != conn->worker->input && last->slice.at + last->slice.len == chunk_tail(chunk) &&
            chunk_room(chunk) >= len)
            return chunk_tail(chunk);
    }
    struct chunk *chunk = chunk_take(&conn->worker->chunks, len);
    if (chunk == NULL)
        return NULL;
    struct slice empty = {chunk, chunk->data, 0};
    if (!outq_add(conn->worker, &conn->out, empty)) {
        chunk_unref(chunk);
        return NULL;
    }
    return chunk->data;
}

void conn_send_commit(struct conn *conn, size_t len)
{
    struct slice *last = &conn->out.last->slice;
    last->chunk->used += (uint32_t)len;
    last->len += (uint32_t)len;
    conn->out.bytes += len;
    conn_dirty(conn);
}

bool conn_send_copy(struct conn *conn, const char *at, size_t len)
{
    if (len == 0)
        return true;
    char *to = conn_send_reserve(conn, len);
    if (to == NULL)
        return false;
    memcpy(to, at, len);
    conn_send_commit(conn, len);
    return true;
}

bool conn_send_from(struct conn *conn, struct outq *from, size_t len)
{
    while (len > 0) {
        struct slice first = from->first->slice;
        if (first.len > len)
            first.len = (uint32_t)len;
        if (!conn_send(conn, first))
            return false;
        outq_consume(conn->worker, from, first.len);
        len -= first.len;
    }
    return true;
}

void conn_shutdown_when_sent(struct conn *conn)
{
    conn->shut_when_sent = true;
    conn_dirty(conn);
}

bool conn_flush(struct conn *conn)
{
    while (conn->out.bytes > 0 && !conn->blocked) {
        struct iovec parts[PARTS];
        int count = 0;
        size_t offered = 0;
        for (struct segment *s = conn->out.first; s != NULL && count < PARTS; s = s->next) {
            if (s->slice.len == 0)
                continue;
            parts[count].iov_base = (void *)(uintptr_t)s->slice.at;
            parts[count++].iov_len = s->slice.len;
            offered += s->slice.len;
        }
        ssize_t sent = conn->transport->write(conn, parts, count);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK)
                return false;
            conn->blocked = true;
            break;
        }
        outq_consume(conn->worker, &conn->out, (size_t)sent);
        if ((size_t)sent < offered)
            conn->blocked = true; /* the buffer is full: the writable edge will come */
    }
    if (conn->out.bytes > 0) {
        outq_slim(conn->worker, &conn->out);
    } else {
        if (conn->out.first != NULL)
            outq_clear(conn->worker, &conn->out); /* segments that were reserved and stayed empty */
        if (conn->shut_when_sent && !conn->write_shut) {
            conn->write_shut = true;
            conn->transport->shutdown_write(conn);
        }
    }
    return true;
}

/* ---- receiving ---- */

static size_t input_size(const struct worker *worker)
{
    if (!worker_memory_is_short(worker)) {
        uint64_t most = memory_limit(worker->memory) / READ_CHUNK_PARTS;
        return most == 0 || most >= READ_CHUNK ? READ_CHUNK : READ_CHUNK_LEAST;
    }
    return memory_is_scarce(worker->memory) ? READ_CHUNK_SCARCE : READ_CHUNK_SHORT;
}

/* The read chunk: filled from its front again as soon as nobody refers to it. */
static struct chunk *input_chunk(struct worker *worker)
{
    struct chunk *chunk = worker->input;
    if (chunk != NULL) {
        if (chunk->refs == 1) {
            chunk->used = 0;
            return chunk;
        }
        if (chunk_room(chunk) >= READ_LEAST)
            return chunk;
        chunk_unref(chunk);
    }
    worker->input = chunk_take(&worker->chunks, input_size(worker));
    return worker->input;
}

enum conn_read conn_read_into(struct conn *conn, char *to, size_t room, size_t *len)
{
    *len = 0;
    if (!conn->readable)
        return CONN_READ_AGAIN;
    ssize_t n = conn->transport->read(conn, to, room);
    if (n > 0) {
        *len = (size_t)n;
        /* A short read has emptied the socket: the next byte is a new edge. Only the peer's end may be waiting behind
         * it. */
        if ((size_t)n < room && !conn->peer_closed)
            conn->readable = false;
        return CONN_READ_DATA;
    }
    if (n == 0) {
        conn->peer_closed = true;
        return CONN_READ_END;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        conn->readable = false;
        return CONN_READ_AGAIN;
    }
    return CONN_READ_ERROR;
}

enum conn_read conn_read(struct conn *conn, struct slice *slice)
{
    if (!conn->readable)
        return CONN_READ_AGAIN;
    struct chunk *chunk = input_chunk(conn->worker);
    if (chunk == NULL) {
        errno = ENOMEM;
        return CONN_READ_ERROR;
    }
    size_t len;
    slice->chunk = chunk;
    slice->at = chunk_tail(chunk);
    enum conn_read result = conn_read_into(conn, chunk_tail(chunk), chunk_room(chunk), &len);
    slice->len = (uint32_t)len;
    chunk->used += (uint32_t)len;
    return result;
}

bool conn_is_broken(const struct conn *conn)
{
    int error = 0;
    socklen_t size = sizeof(error);
    return getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0;
}

bool conn_has_input(const struct conn *conn)
{
    char byte;
    return (conn->readable && !conn->transport->raw) || recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void conn_wake(struct conn *conn)
{
    if (conn->in_ready || conn->closed)
        return;
    conn->in_ready = true;
    conn->next_ready = conn->worker->ready;
    conn->worker->ready = conn;
}

void conn_resume(struct conn *conn)
{
    if (conn->readable)
        conn_wake(conn);
}

void conn_later(struct conn *conn)
{
    if (conn->in_ready || conn->closed)
        return;
    conn->in_ready = true;
    conn->next_ready = conn->worker->later;
    conn->worker->later = conn;
}

/* ---- rounds ---- */

static void drained(struct conn *conn)
{
    if (!conn->closed && conn->want_drained && conn->out.bytes == 0) {
        conn->want_drained = false;
        conn->on->on_drained(conn);
    }
}

static void write_out(struct conn *conn)
{
    /* What is filled in makes the connection dirty again: there is another round until the owner has nothing more to
     * say. It may have filled in nothing because of what was queued already: when that has gone, it is asked once more.
     */
    bool was_queued = conn->out.bytes > 0;
    if (conn->on->on_fill != NULL && !conn->blocked)
        conn->on->on_fill(conn);
    if (conn->closed)
        return;
    if (!conn_flush(conn)) {
        conn->on->on_failed(conn, errno);
        return;
    }
    if (conn->on->on_fill != NULL && was_queued && conn->out.bytes == 0)
        conn_dirty(conn);
    drained(conn);
}

void conn_settle(struct worker *worker)
{
    if (worker->settling)
        return;
    worker->settling = true;
    for (;;) {
        struct conn *conn = worker->dirty;
        if (conn != NULL) {
            worker->dirty = conn->next_dirty;
            conn->in_dirty = false;
            if (!conn->closed)
                write_out(conn);
            continue;
        }
        conn = worker->ready;
        if (conn == NULL)
            break;
        worker->ready = conn->next_ready;
        conn->in_ready = false;
        if (!conn->closed)
            conn->on->on_readable(conn);
    }
    worker->settling = false;
}

void conn_settle_round(struct worker *worker)
{
    if (worker->dirty_late == NULL)
        return;
    worker->dirty = worker->dirty_late;
    worker->dirty_late = NULL;
    worker->round_is_over = true;
    conn_settle(worker);
    worker->round_is_over = false;
}

static void on_event(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    struct conn *conn = ((struct conn_watch *)context)->conn;
    struct worker *worker = conn->worker;
    worker_clock(worker);
    if (what & EV_CLOSED)
        conn->peer_closed = true;
    if (what & (EV_READ | EV_CLOSED))
        conn_look(conn);
    if (what & EV_WRITE) {
        if (conn->on->on_writable != NULL) {
            conn->on->on_writable(conn);
        } else if (conn->blocked) {
            conn->blocked = false;
            write_out(conn);
        }
    }
    if (!conn->closed && conn->readable)
        conn->on->on_readable(conn);
    conn_settle(worker);
}

static void on_timer(struct timer *timer)
{
    struct conn *conn = (struct conn *)((char *)timer - offsetof(struct conn, timer));
    conn->on->on_timeout(conn);
}

/* ---- life ---- */

bool conn_open(struct conn *conn, struct worker *worker, int fd, const struct conn_events *on)
{
    struct conn_watch *watch = malloc(sizeof(*watch));
    if (watch == NULL) {
        errno = ENOMEM;
        return false;
    }
    if (event_assign(&watch->event, worker->base, fd, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, on_event,
                     watch) < 0 ||
        event_add(&watch->event, NULL) < 0) {
        int error = errno != 0 ? errno : ENOMEM;
        free(watch);
        errno = error;
        return false;
    }
    watch->conn = conn;
    conn->watch = watch;
    conn->worker = worker;
    conn->transport = &transport_plain;
    conn->on = on;
    conn->fd = fd;
    conn->timer.fire = on_timer;
    return true;
}

static void leave_list(struct conn **list, const struct conn *conn, bool dirty)
{
    for (struct conn **at = list; *at != NULL; at = dirty ? &(*at)->next_dirty : &(*at)->next_ready) {
        if (*at == conn) {
            *at = dirty ? conn->next_dirty : conn->next_ready;
            return;
        }
    }
}

/* No callback comes any more. */
static void retire(struct conn *conn)
{
    struct worker *worker = conn->worker;
    conn->closed = true;
    if (conn->in_dirty) {
        leave_list(&worker->dirty, conn, true);
        leave_list(&worker->dirty_late, conn, true);
    }
    if (conn->in_ready) {
        leave_list(&worker->ready, conn, false);
        leave_list(&worker->later, conn, false);
    }
    conn->in_dirty = conn->in_ready = false;
    turn_leave(conn);
    wheel_cancel(&worker->wheel, &conn->timer);
}

void conn_move(struct conn *to, struct conn *from, const struct conn_events *on)
{
    to->watch = from->watch;
    to->watch->conn = to;
    to->worker = from->worker;
    to->transport = from->transport;
    to->tls = from->tls;
    to->on = on;
    to->out = from->out;
    to->fd = from->fd;
    to->readable = from->readable;
    to->dry = from->dry;
    to->peer_closed = from->peer_closed;
    to->blocked = from->blocked;
    to->shut_when_sent = from->shut_when_sent;
    to->write_shut = from->write_shut;
    to->timer.fire = on_timer;
    retire(from);
    from->watch = NULL;
    from->tls = NULL;
    from->fd = -1;
    memset(&from->out, 0, sizeof(from->out));
    if (to->out.bytes > 0)
        conn_dirty(to);
    if (to->readable)
        conn_wake(to); /* the edge is gone: nobody else will tell the new owner */
}

void conn_close(struct conn *conn)
{
    if (conn->closed)
        return;
    retire(conn);
    if (conn->transport->close != NULL)
        conn->transport->close(conn);
    event_del(&conn->watch->event);
    free(conn->watch);
    conn->watch = NULL;
    outq_clear(conn->worker, &conn->out);
    close(conn->fd);
    conn->fd = -1;
}

void conn_reset(struct conn *conn)
{
    if (conn->closed)
        return;
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)); /* unix sockets: an end will do */
    conn->write_shut = true; /* nor may the transport say that it ended well */
    conn_close(conn);
}

void conn_timeout_in(struct conn *conn, uint64_t ms)
{
    wheel_set(&conn->worker->wheel, &conn->timer, worker_now_ms(conn->worker) + ms);
}

void conn_timeout_off(struct conn *conn)
{
    wheel_cancel(&conn->worker->wheel, &conn->timer);
}
