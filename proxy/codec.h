/*
 * What an exchange and a codec say to each other, on either side. HTTP/1.1 is the first codec (h1_server.c,
 * h1_client.c).
 *
 * Downstream, the codec owns the connection to the client and reports requests to exchange.h; the exchange answers
 * through `struct server_codec`. Upstream, an attempt (upstream.h) is given a stream on some connection to a backend;
 * it sends through `struct client_codec` and hears back through `struct attempt_events`.
 */
#ifndef SHUNT_PROXY_CODEC_H
#define SHUNT_PROXY_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/chunk.h"
#include "proxy/head.h"

struct attempt;
struct conn;
struct conn_events;
struct exchange;
struct server_stream;

/* How a response is to be framed for the client and what follows it. */
struct response_plan {
    struct text extra; /* header lines to add */
    bool close;        /* the connection ends after this response */
};

struct server_codec {
    /* A head: final, or 1xx (interim). Framing is the codec's choice by the head's framing and the client's version.
     * False without memory or when the client cannot be sent this any more. */
    bool (*send_head)(struct server_stream *stream, const struct head *head, const struct response_plan *plan);
    bool (*send_body)(struct server_stream *stream, struct slice slice);
    /* The response is complete. `trailers`: validated lines, may be empty. The stream may start its next exchange
     * before this returns; the exchange must be done with it. */
    void (*send_end)(struct server_stream *stream, struct text trailers);
    /* A whole response made by shunt. */
    void (*answer)(struct server_stream *stream, unsigned status, const char *text, bool close);
    /* The response cannot be completed: the client must notice. */
    void (*abort)(struct server_stream *stream);
    /* Stop or resume reading the request's body (back-pressure). */
    void (*read_body)(struct server_stream *stream, bool on);
    /* Bytes queued for the client and not yet taken by the kernel. */
    size_t (*unsent)(const struct server_stream *stream);
    /* Call exchange_on_downstream_drained() once the queue is empty. */
    void (*want_drained)(struct server_stream *stream);
    /* The connection whose bytes are the stream's bytes while a body of known length is sent, or NULL: for splice(). */
    struct conn *(*raw_conn)(struct server_stream *stream);
    /* `sent` body bytes went by raw_conn(). */
    void (*sent_raw)(struct server_stream *stream, uint64_t sent);
    /* After a 101 was sent: from here on the connection's bytes are the tunnel's, both ways. *to, zeroed, becomes the
     * connection (conn_move()), *early what was read beyond the request (chunk NULL: nothing; else with a reference).
     * The stream is gone afterwards. NULL in codecs whose streams share a connection. */
    void (*detach)(struct server_stream *stream, struct conn *to, const struct conn_events *on, struct slice *early);
    /* The same where the other side has no detach(): the stream stays, and carries whatever comes as the request's and
     * the response's body, neither of known length. False: no memory. */
    bool (*become_tunnel)(struct server_stream *stream);
};

/* The client's side of an exchange; part of the codec's own struct. */
struct server_stream {
    const struct server_codec *codec;
    struct exchange *exchange; /* NULL between exchanges */
};

struct client_codec {
    /* Sends the request head: the bytes that h1_write_request() made, whatever the codec makes of them. Trailers, too,
     * are lines. */
    bool (*send_head)(struct attempt *attempt, struct slice head);
    bool (*send_body)(struct attempt *attempt, struct slice slice);
    bool (*send_end)(struct attempt *attempt, struct text trailers);
    void (*pause)(struct attempt *attempt, bool on); /* reading of the response */
    size_t (*unsent)(const struct attempt *attempt);
    void (*want_drained)(struct attempt *attempt);
    struct conn *(*raw_conn)(struct attempt *attempt);
    /* How many body bytes are still to come and may be moved raw; 0: none or unknown. */
    uint64_t (*raw_remaining)(const struct attempt *attempt);
    /* `moved` of them were; at the last one the response has ended and on_end follows. */
    void (*moved_raw)(struct attempt *attempt, uint64_t moved);
    /* Likewise; both may be called from on_head only. */
    void (*detach)(struct attempt *attempt, struct conn *to, const struct conn_events *on, struct slice *early);
    bool (*become_tunnel)(struct attempt *attempt);
    /* The attempt is given up; the connection closes unless the exchange was complete on it. */
    void (*cancel)(struct attempt *attempt);
};

/* Why an attempt ended without a whole response; `enum outcome_kind` says what the breaker makes of it. */
struct attempt_events {
    void (*on_ready)(struct attempt *attempt); /* a stream is there: send the head */
    void (*on_head)(struct attempt *attempt, const struct head *head);
    void (*on_body)(struct attempt *attempt, struct slice slice);
    void (*on_end)(struct attempt *attempt, struct text trailers); /* the attempt has let go of its connection */
    void (*on_failed)(struct attempt *attempt);                    /* see attempt->failure; likewise */
    void (*on_drained)(struct attempt *attempt);
    /* The socket is readable and the rest of the body may be moved raw. True: the receiver does the reading (it is
     * called again at each readable edge); false: it does not want to, and is not asked again. NULL: never. */
    bool (*on_raw)(struct attempt *attempt);
};

#endif
