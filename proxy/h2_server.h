/*
 * A client's connection that speaks HTTP/2: many exchanges at a time, one for each stream.
 */
#ifndef SHUNT_PROXY_H2_SERVER_H
#define SHUNT_PROXY_H2_SERVER_H

#include <stdbool.h>

#include "proxy/codec.h"
#include "proxy/downstream.h"
#include "proxy/h2.h"
#include "proxy/h2_link.h"

/*
 *   OPEN --nothing more either way: GOAWAY sent and all streams done, or an error of the connection--> LINGER
 * --client's end, or time-->
 *     \-- client gone
 * ------------------------------------------------------------------------------------------------------------> closed
 */
enum h2_server_phase {
    H2_SERVER_OPEN,
    H2_SERVER_LINGER
};

struct h2_server {
    struct downstream base;
    struct h2_link link;
    struct h2_server_stream *streams; /* open ones, owned */
    struct h2_server_stream *resumed; /* of these: what was held back is to be given on */
    uint32_t open;
    enum h2_server_phase phase;
    bool fresh;                /* it has not said yet that it speaks HTTP/2 */
    bool newcomer;             /* no stream yet */
    bool told;                 /* the first GOAWAY is out, */
    bool last_said;            /* the second is to go out with what is written next, */
    bool last_due;             /* and has not yet */
    uint64_t idle_since_ms;    /* without a stream */
    uint64_t section_since_ms; /* while link.block is there: when it began */
    uint64_t told_answered_ms; /* the client has read the first GOAWAY, and what it had sent until then has come; 0: not
                                  yet */
    uint64_t goodbye_ms;       /* when the second GOAWAY is due at the latest; 0: it is not, or not any more */
    uint64_t pinged_ms;
    uint64_t progress_ms; /* when the kernel last took something, */
    uint64_t written;     /* and how much it had taken until then */
    struct lingering lingering;
};

/* A stream; from the worker's spare ones. */
struct h2_server_stream {
    struct h2_stream base; /* first */
    struct server_stream stream;
    struct h2_server *down;
    struct h2_server_stream *next, *prev;
    struct h2_server_stream *next_resumed;
    struct outq held; /* the request's body that came while the exchange did not want it; within the stream's window */
    struct text trailers; /* malloc'd; behind `held` */
    uint64_t progress_ms; /* after the exchange: when the client last took something */
    size_t unsent;        /* and what was left then */
    uint32_t interims;
    bool is_head;
    bool request_ended; /* END_STREAM has come */
    bool body_ended;    /* and the exchange knows, or expects nothing */
    bool end_sent;      /* END_STREAM is out */
    bool connect;       /* an extended CONNECT: until the answer nothing is passed on */
    bool tunnel;
    bool in_resumed;
};

/*
 * Goes on with the connection of *from, whose owner lets go of it: after ALPN, or in clear once the preface has been
 * seen. `early`: what has been read already, preface first; len 0: nothing. Borrowed during the call. False without
 * memory: nothing has changed.
 */
bool h2_server_adopt(struct downstream *from, struct slice early);
/* The worker's spare streams. */
void h2_server_streams_done(struct worker *worker);

/* ---- between h2_server.c, which knows the connection, and h2_server_stream.c, which knows one stream ---- */

/* What frames bring for streams. */
void h2_server_on_section(struct h2_link *link, const nghttp2_frame *frame);
void h2_server_on_body(struct h2_link *link, struct h2_stream *stream, struct slice bytes);
void h2_server_on_end(struct h2_link *link, struct h2_stream *stream);
void h2_server_on_closed(struct h2_link *link, struct h2_stream *stream, uint32_t error);
void h2_server_on_drained(struct h2_link *link, struct h2_stream *stream);
void h2_server_on_end_sent(struct h2_link *link, struct h2_stream *stream);
/* The exchanges go on with what was held back for them. */
void h2_server_give_held(struct h2_server *down);
/* A stream has begun: there is something to look after. */
void h2_server_watch(struct h2_server *down);
/* The first stream of a connection: a client that came while others were told to leave has what it came for, and is
 * told, too. */
void h2_server_first_stream(struct h2_server *down);
/* How long the stream may go on without progress, in ms; one that may not is given up, and UINT64_MAX. */
uint64_t h2_server_stream_patience(struct h2_server_stream *s);
/* The client has left, or is to leave: gives up all exchanges. */
void h2_server_abandon(struct h2_server *down);
/* Frees all streams. The session must not be used any more. */
void h2_server_forget_streams(struct h2_server *down);

static inline struct h2_server *h2_server_of(struct h2_link *link)
{
    return (struct h2_server *)((char *)link - offsetof(struct h2_server, link));
}

static inline const struct config *h2_server_config(const struct h2_server *down)
{
    return down->base.conn.worker->view->config;
}

#endif
