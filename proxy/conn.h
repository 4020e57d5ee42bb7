/*
 * A connection: one socket, its event, its unsent output, one timer, and who is told what happens on it.
 *
 * Registered once, edge-triggered, for reading, writing and the peer's close, so that epoll_ctl is not on the request
 * path. Consequences everybody above lives with: "readable" is remembered until a read comes back short, and who stops
 * reading calls conn_resume() later. Output is only queued by conn_send*(); all queues a callback has filled are
 * written once, when it has returned (conn_settle()), which is what makes one response one system call.
 */
#ifndef SHUNT_PROXY_CONN_H
#define SHUNT_PROXY_CONN_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "proxy/chunk.h"
#include "proxy/transport.h"
#include "proxy/wheel.h"

struct worker;
struct conn;
struct conn_watch; /* the loop's event for one socket; an allocation of its own, so that a connection can move */
struct tls;

struct segment {
    struct segment *next;
    struct slice slice; /* counted */
};

struct outq {
    struct segment *first, *last;
    size_t bytes;
};

/* Callbacks of the connection's owner. Each may close the connection. */
struct conn_events {
    void (*on_readable)(struct conn *conn); /* read until conn_read() says stop */
    void (*on_writable)(struct conn *conn); /* connected, or blocked output may go on (NULL: conn_flush does it) */
    void (*on_fill)(
        struct conn *conn); /* output is about to be written: the last moment to queue more (NULL: nothing) */
    void (*on_drained)(struct conn *conn);           /* queue empty, asked for with conn->want_drained */
    void (*on_failed)(struct conn *conn, int error); /* writing failed */
    void (*on_timeout)(struct conn *conn);
};

struct conn {
    struct conn_watch *watch;
    struct timer timer;
    struct worker *worker;
    const struct transport *transport;
    struct tls *tls; /* the transport's; NULL in clear */
    const struct conn_events *on;
    struct outq out;
    struct conn *next_dirty;            /* output to write when the callback has returned */
    struct conn *next_ready;            /* input to look at when the callback has returned */
    struct conn *next_turn, *prev_turn; /* in the worker's line of those that wait to be read: turn.h */
    int fd;
    bool readable;    /* there may be unread bytes, or the end */
    bool dry;         /* for transports that read ahead: the socket is empty until the next edge, which clears this */
    bool peer_closed; /* the peer has said it sends no more: read until 0 */
    bool blocked;     /* the kernel took no more: wait for the writable edge */
    bool in_dirty, in_ready;
    bool awaits_turn; /* it is in that line */
    bool has_turn;    /* it is to be read, however scarce memory is */
    bool patient; /* many exchanges share it: what a round of the loop has for it is written together, at the round's
                     end */
    bool want_drained;
    bool shut_when_sent; /* shutdown_write() once the queue is empty */
    bool write_shut;
    bool closed; /* retired: no callback comes any more */
    bool fixed;  /* never resumed by itself (tunnels drive both ends) */
};

/* Takes over `fd` (non-blocking) and registers it. False with errno: the descriptor is still the caller's. */
bool conn_open(struct conn *conn, struct worker *worker, int fd, const struct conn_events *on);
/* Closes the socket and drops unsent output; the memory stays the owner's, who must retire it, not free it
 * (worker_retire()). */
void conn_close(struct conn *conn);
/* Like conn_close(), but the peer sees a reset instead of an end. */
void conn_reset(struct conn *conn);
/* The connection becomes *to, a new owner's: socket, transport, unsent output and what is known of its input go along,
 * without a system call; the timer does not. *from is closed in the sense that no callback comes any more; its memory
 * must be retired. `to` must be zeroed but for its timer. */
void conn_move(struct conn *to, struct conn *from, const struct conn_events *on);

/*
 * Reads once into the worker's read chunk. Returns the bytes as a slice without a reference of its own (take one to
 * keep it). *len 0 with CONN_READ_AGAIN: wait; CONN_READ_END: the peer's end; CONN_READ_ERROR: errno.
 */
enum conn_read {
    CONN_READ_DATA,
    CONN_READ_AGAIN,
    CONN_READ_END,
    CONN_READ_ERROR
};
enum conn_read conn_read(struct conn *conn, struct slice *slice);
/* The same into memory of the caller. */
enum conn_read conn_read_into(struct conn *conn, char *to, size_t room, size_t *len);
/* The peer has reset the connection, even if bytes it sent before are still unread. One system call. */
bool conn_is_broken(const struct conn *conn);
/* Bytes have come that nobody has read; a transport that reads ahead may be wrong about what it holds. One system call.
 */
bool conn_has_input(const struct conn *conn);
/* There may be something that no edge has told of yet, or will: the next read asks the socket. */
static inline void conn_look(struct conn *conn)
{
    conn->readable = true;
    conn->dry = false;
}
/* on_readable will be called once the current callback has returned. */
void conn_wake(struct conn *conn);
/* The same, if there may be something to read: after a pause. */
void conn_resume(struct conn *conn);

/* It has had its share of this round: look at it again in the next. */
void conn_later(struct conn *conn);

/* Queue output. Slices are shared, copies are small. False without memory: nothing was queued. */
bool conn_send(struct conn *conn, struct slice slice);
bool conn_send_copy(struct conn *conn, const char *at, size_t len);
/* Moves the first `len` bytes of a queue of the owner's to the end of this one. False without memory: some may have
 * moved. */
bool conn_send_from(struct conn *conn, struct outq *from, size_t len);
/* Room for `len` contiguous bytes at the end of the queue; fill them, then conn_send_commit(). NULL without memory. */
char *conn_send_reserve(struct conn *conn, size_t len);
void conn_send_commit(struct conn *conn, size_t len);
/* Writes as much as the kernel takes. False: failed with errno (the owner has not been told). */
bool conn_flush(struct conn *conn);
/* Ask for the queue to be written when the callback has returned; conn_send*() do that by themselves. */
void conn_dirty(struct conn *conn);
void conn_shutdown_when_sent(struct conn *conn);

/* Sets the connection's one timer. */
void conn_timeout_in(struct conn *conn, uint64_t ms);
void conn_timeout_off(struct conn *conn);

/* Writes what callbacks have queued and looks at input that was resumed, until nothing is left. Called by the
 * dispatcher, the tick and the mailbox after each callback. */
void conn_settle(struct worker *worker);
/* The round is over: the same for patient connections. */
void conn_settle_round(struct worker *worker);

/* Frees what lies ready for queues. */
void conn_spares_done(struct worker *worker);

/* Takes over a reference to the slice's chunk. False without memory: it has not. */
bool outq_add(struct worker *worker, struct outq *out, struct slice slice);
/* The first slice of one that is not empty; its reference is the caller's now. */
struct slice outq_take(struct worker *worker, struct outq *out);
void outq_clear(struct worker *worker, struct outq *out);

#endif
