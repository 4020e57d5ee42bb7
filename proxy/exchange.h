/*
 * An exchange: one request of a client and its response, from the first byte to the last, whatever codecs are on its
 * sides.
 *
 * It asks the router once, sends the request to the chosen backend (again on a fresh connection, or to legacy, where
 * that is allowed), relays the response with back-pressure, feeds the copies, and tells the router how it ended.
 */
#ifndef SHUNT_PROXY_EXCHANGE_H
#define SHUNT_PROXY_EXCHANGE_H

#include "proxy/codec.h"
#include "proxy/pipe.h"
#include "proxy/upstream.h"
#include "router/router.h"

struct mirror;
struct view;
struct worker;

enum {
    EXCHANGE_MIRRORS = 2,
    EXCHANGE_REPLAY = 12,
    EXCHANGE_ID_ROOM = 40
};

struct exchange {
    struct attempt attempt; /* the current try at a backend */
    struct exchange *next_free;
    struct worker *worker;
    struct view *view;            /* counted: decision and configuration point into it */
    struct server_stream *stream; /* NULL once the client has left or its response is complete */
    struct decision decision;
    struct mirror *mirror[EXCHANGE_MIRRORS]; /* borrowed: they outlive us and are told when we end */

    uint32_t replay_count;
    uint32_t replay_bytes;
    bool replayable;     /* `replay` holds everything that came so far */
    uint32_t method_len; /* method and target are at the front of replay[0] */
    uint32_t target_len;
    struct text request_trailers; /* malloc'd copy, only while replayable */

    enum side side;       /* being asked now */
    enum framing framing; /* of the request's body */
    bool has_body, body_ended, body_paused;
    bool is_head, is_idempotent, upgrade, close;
    bool grpc;            /* a gRPC call: grpc-status says how it ended */
    uint8_t grpc_status;  /* of the side that was asked first; GRPC_NONE: not known yet */
    uint64_t deadline_ms; /* of a call: when its caller gives up; 0: never */
    bool tunnel;          /* after a 101 that this exchange relays itself: both bodies are the tunnel's bytes */
    bool responded;       /* a final head has gone to the client */
    bool drain_wanted;
    size_t held_bytes; /* unsent when the response was held back, or last looked at */
    bool fell_back, retried;
    bool may_fall_back;
    bool simulated; /* a copy would have been sent: see mirror_simulated() */
    bool log;
    uint8_t id_len;
    uint8_t minor;   /* of the client's HTTP/1.x */
    bool http2;      /* it speaks HTTP/2 instead */
    uint16_t status; /* of the side that was asked first */
    uint16_t client_status;
    enum outcome_kind outcome; /* of the side that was asked first */
    const char *failure;       /* why it failed, static; NULL: it did not */
    uint64_t started_us, answered_us, activity_ms;
    uint64_t bytes_in, bytes_out;
    uint64_t wall_ms;
    struct pump pump; /* while the response's body moves inside the kernel */
    struct client_address client;

    /* From here on it is long, and as long as the counts above say: nothing is cleared for a new request. */
    struct slice replay[EXCHANGE_REPLAY]; /* the request as sent: head first, then the body's beginning while it may
                                             have to be sent again; counted */
    char request_id[EXCHANGE_ID_ROOM];
};

struct exchange_request {
    const struct head *head;
    struct client_address client;
    bool tls;
    bool early_data;                /* came before the client's handshake was over: somebody may have sent it again */
    struct text client_certificate; /* for X-Forwarded-Client-Cert; empty without a verified one */
    bool leaving;                   /* answer with Connection: close */
};

/* Starts the exchange of a request whose head has been read; sets stream->exchange, unless it is over (answered) on
 * return. */
void exchange_start(struct worker *worker, struct server_stream *stream, const struct exchange_request *request);
/* Answers a gRPC call that is no exchange, as its request is refused: `status` as HTTP would say it. */
void exchange_refuse_call(struct server_stream *stream, unsigned status, const char *text);
void exchange_body(struct exchange *ex, struct slice slice);
void exchange_body_end(struct exchange *ex, struct text trailers);
/* The client has left or broke the rules: everything is given up, nothing is sent. Frees the exchange. */
void exchange_abandon(struct exchange *ex, enum outcome_kind why);
/* The client's queue is empty again. */
void exchange_drained(struct exchange *ex);
/* What exchange_patience() said has come true: answers with its status (not 0), or breaks off a response that has
 * begun. */
void exchange_time_out(struct exchange *ex, unsigned status, enum outcome_kind blame);
/* How long until this exchange has been without progress for too long, in ms; 0: it is. Then *status is 408 when the
 * client owes bytes and has had no answer, 504 when the backend takes none, else 0, and *blame says whose fault it is.
 */
uint64_t exchange_patience(struct exchange *ex, unsigned *status, enum outcome_kind *blame);
void exchanges_done(struct worker *worker);

#endif
