/*
 * A connection that speaks HTTP/2, as far as both sides are the same: nghttp2's session between the connection's bytes
 * and the streams' bodies. Bodies are never copied: what comes is a slice of the chunk it was read into, what goes
 * waits in the stream's queue until a frame takes it.
 *
 * Flow control (RFC 9113 section 5.2) is the back-pressure: what a stream has been given is acknowledged as consumed
 * only while nobody has paused it, so that a peer can be ahead by one window for each stream and no more. The
 * connection's own window is acknowledged at once: a stream that stands still does not hold up the others.
 */
#ifndef SHUNT_PROXY_H2_LINK_H
#define SHUNT_PROXY_H2_LINK_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>

#include "proxy/conn.h"
#include "proxy/h2.h"
#include "proxy/h2_block.h"
#include "proxy/h2_fields.h"
#include "proxy/h2_guard.h"
#include "proxy/h2_memory.h"
#include "proxy/h2_walk.h"
#include "proxy/worker_inside.h"

struct h2_link;

/* A stream's own part; first in each side's struct. */
struct h2_stream {
    int32_t id;
    struct outq out;       /* body not yet in a frame */
    struct slice trailers; /* counted, or without a chunk; to follow the body */
    size_t unconsumed;     /* bytes received while paused */
    size_t framed;         /* of `out`, in a frame that waits for room in the connection's queue: not to be dropped */
    bool ended;            /* nothing more will be queued */
    bool waiting;          /* nghttp2 has asked for more and got none: it is to be told when there is some */
    bool has_body;         /* a body was promised with the head */
    bool want_drained;
    bool paused;
    bool broken;    /* nothing more will be queued, and what is queued ends in a reset */
    uint32_t error; /* with which */
};

/* What the sides do differently. A stream is what was given as stream user data. */
struct h2_link_events {
    void (*on_begin)(struct h2_link *link, int32_t id); /* a header section begins; link->block is empty */
    void (*on_section)(struct h2_link *link, const nghttp2_frame *frame); /* link->block has it, whole and sound */
    void (*on_body)(struct h2_link *link, struct h2_stream *stream, struct slice bytes);
    void (*on_end)(struct h2_link *link,
                   struct h2_stream *stream); /* END_STREAM, after the section or the last bytes */
    void (*on_closed)(struct h2_link *link, struct h2_stream *stream,
                      uint32_t error);                                  /* nghttp2 forgets it; `stream` may be NULL */
    void (*on_drained)(struct h2_link *link, struct h2_stream *stream); /* asked for with want_drained */
    void (*on_abuse)(struct h2_link *link, enum h2_abuse what);         /* found here; the GOAWAY is on its way */
    void (*on_frame)(struct h2_link *link,
                     const nghttp2_frame *frame); /* any whole frame, after the above; NULL: not asked */
    void (*on_refused)(struct h2_link *link, const nghttp2_frame *frame,
                       int error); /* a frame that breaks the rules; NULL: not asked */
    void (*on_sent)(struct h2_link *link,
                    const nghttp2_frame *frame); /* any of ours is in the queue; NULL: not asked */
};

struct h2_link {
    struct conn *conn;
    nghttp2_session *session;
    const struct h2_link_events *events;
    struct h2_block *block; /* while a header section is incomplete */
    struct chunk *input;    /* what is being read from: bodies are slices of it */
    uint64_t heard_ms;      /* when the peer last said anything */
    bool pinged;            /* and was asked since whether it is there */
    bool feeding;           /* inside nghttp2: the session may not be freed */
    bool server;
    bool has_reset;      /* a stream, or said goodbye: what the peer sent before it knew may still come */
    int32_t last_id;     /* of the peer's streams */
    struct h2_walk walk; /* a server's: for data of closed streams */
    struct h2_memory memory;
    bool calmed;     /* it did too much of something: the GOAWAY is on its way */
    uint64_t queued; /* bytes given to the connection's queue, ever */
    struct h2_guard guard;
};

/* Makes the session. `settings` go out first. False without memory. */
bool h2_link_open(struct h2_link *link, struct conn *conn, bool server, const struct h2_link_events *events,
                  const nghttp2_settings_entry *settings, size_t count);
void h2_link_close(struct h2_link *link); /* fine for one that was never opened */
/* The connection's window, beyond the 65,535 bytes each begins with (section 6.9.2). */
bool h2_link_window(struct h2_link *link, size_t bytes);

/* Bytes have come. False when the connection is to be closed: a GOAWAY that says why may wait to be written. */
bool h2_link_feed(struct h2_link *link, struct slice bytes);
/* For conn_events.on_fill: frames into the connection's queue, as many as it should hold. False: as above. */
bool h2_link_fill(struct h2_link *link);
/* Nothing more is expected either way: the connection may be closed once its queue is empty. */
bool h2_link_is_over(const struct h2_link *link);
/* The connection is idle, and gives back what it does not need until it is not. */
void h2_link_rest(struct h2_link *link);
/* The peer does too much of something: on_abuse, and GOAWAY(ENHANCE_YOUR_CALM). Once. */
void h2_link_calm(struct h2_link *link, enum h2_abuse what);
/* One more frame, or stream, of a kind that is bounded. */
void h2_link_note(struct h2_link *link, enum h2_abuse what);
/* There is something for h2_link_fill(). */
void h2_link_wake(struct h2_link *link);

/* Body of the stream. False without memory. */
bool h2_stream_send(struct h2_link *link, struct h2_stream *stream, struct slice slice);
/* That was all, but for trailers. */
bool h2_stream_end(struct h2_link *link, struct h2_stream *stream, struct text trailers);
/* For nghttp2_submit_*(): where the body comes from. */
nghttp2_data_provider h2_stream_body(struct h2_stream *stream);
/* `len` bytes of the body have been given to whom they are for. */
void h2_stream_taken(struct h2_link *link, struct h2_stream *stream, size_t len);
void h2_stream_pause(struct h2_link *link, struct h2_stream *stream, bool on);
void h2_stream_reset(struct h2_link *link, struct h2_stream *stream, uint32_t error);
/* The same, once what is queued is out. */
void h2_stream_break(struct h2_link *link, struct h2_stream *stream, uint32_t error);
/* Nobody needs what is queued any more: the stream is about to be reset. What a frame has been made of stays until
 * then. */
void h2_stream_forget(struct h2_link *link, struct h2_stream *stream);
/* Frees what it holds. */
void h2_stream_done(struct h2_link *link, struct h2_stream *stream);

/* The worker's scratch for sections to be sent; NULL without memory. */
struct h2_fields *h2_link_fields(struct h2_link *link);

#endif
