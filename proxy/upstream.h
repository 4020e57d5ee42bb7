/*
 * Backends as one worker sees them: addresses, kept connections, the queue of exchanges waiting for one, and attempts.
 *
 * Live traffic, copies and active checks have separate pools to the same backend, so that neither a mirror nor a check
 * can ever take a connection from a client.
 */
#ifndef SHUNT_PROXY_UPSTREAM_H
#define SHUNT_PROXY_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/codec.h"
#include "proxy/conn.h"
#include "proxy/snapshot.h"
#include "router/counters.h"

struct dial;
struct h1_client;
struct h2_client;
struct health_mark;
struct upstream_set;
struct view;
struct worker;

enum upstream_use {
    USE_LIVE,
    USE_SHADOW,
    USE_HEALTH,
    UPSTREAM_USES
};

/* One address of one backend. */
struct endpoint {
    struct upstream *upstream;
    struct endpoint_address address;
    struct h1_client *idle; /* last in, first out */
    uint32_t idle_count;
    struct h2_client *shared;    /* HTTP/2 connections, those with room for another stream first */
    struct dial *dials;          /* connections being made */
    struct tls_session *session; /* counted; NULL: TLS has never begun */
    enum config_protocol speaks; /* what the last connection turned out to speak; 0: none has stood yet */
    uint32_t open;               /* connections, idle ones included; keeps the endpoint alive */
    uint32_t failures;           /* in a row */
    uint64_t ejected_until_ms;
    struct health_mark *mark; /* counted: what active checks say; NULL: there are none */
    bool gone;                /* not in the list any more: freed when open is 0 */
    struct endpoint *next;
};

struct upstream {
    struct worker *worker;
    const struct config_backend *config; /* of the newest view */
    enum upstream_use use;
    struct endpoint *endpoints;
    uint32_t endpoint_count; /* not gone */
    struct endpoint *turn;   /* next one to be tried */
    uint32_t open;
    uint32_t limit; /* connections */
    uint32_t queue_limit;
    struct attempt *first_waiting, *last_waiting;
    uint32_t waiting;
    bool releasing; /* the waiting line is being served */
};

/*
 * One try of an exchange (or of a copy) at one backend.
 *
 *   START --connection free--> READY --head sent--> SENT --response head--> RESPONDING --> DONE
 *     |  \--none free--> WAITING --/                  |                        |
 *     +------------------- failed / cancelled --------+------------------------+--------> DONE
 */
enum attempt_state {
    ATTEMPT_IDLE = 0,
    ATTEMPT_WAITING,
    ATTEMPT_CONNECTING,
    ATTEMPT_READY,
    ATTEMPT_RESPONDING,
    ATTEMPT_DONE
};

struct attempt {
    const struct attempt_events *events;
    const struct client_codec *codec;
    struct upstream *upstream;
    const struct endpoint_address *only; /* borrowed: this address alone, on a new connection; NULL: whose turn it is */
    void *link; /* the codec's: our connection, or our stream on one; borrowed while it is ours */
    struct attempt *next_waiting, *prev_waiting;
    uint64_t waiting_since_ms;
    uint64_t response_timeout_ms; /* from the request's end to the response's head */
    enum attempt_state state;
    enum outcome_kind failure;
    const char *failure_text; /* static, for the log */
    enum framing framing;     /* of the request's body */
    bool to_head;             /* the request is HEAD */
    bool fresh;               /* never on a kept connection */
    bool http1; /* on a connection of HTTP/1.1, though the backend speaks HTTP/2, too: what it asks for is only there */
    bool reused;      /* is on one */
    bool unprocessed; /* failed, and the backend says that it has not begun with it: RFC 9113 section 8.7 */
    bool answered;    /* a byte of the response has come */
    bool request_done, response_done;
    uint8_t connects_left; /* other addresses that may be tried when connecting fails */
    char endpoint[64];     /* where it went, for the log */
};

/* Prepares and starts. May call on_ready or on_failed before it returns. `events`, `framing`, `to_head`, `fresh` and
 * `response_timeout_ms` must be set; the rest zero. */
void attempt_start(struct attempt *attempt, struct upstream *upstream);
/* No event comes any more. Fine in every state. */
void attempt_cancel(struct attempt *attempt);
static inline bool attempt_is_under_way(const struct attempt *attempt)
{
    return attempt->state != ATTEMPT_IDLE && attempt->state != ATTEMPT_DONE;
}
static inline bool attempt_is_ready(const struct attempt *attempt)
{
    return attempt->state == ATTEMPT_READY || attempt->state == ATTEMPT_RESPONDING;
}

/* For codecs: this attempt's connection could not be made or broke. */
void attempt_fail(struct attempt *attempt, enum outcome_kind kind, const char *text);
/* For dials: connecting failed, nothing has been sent: tries another address where there is one. */
void attempt_connect_failed(struct attempt *attempt, enum outcome_kind kind, const char *text);
/* For dials and codecs: nothing has been sent, and the connection it was to have is not for it. */
void attempt_again(struct attempt *attempt);

struct upstream_set *upstream_set_new(struct worker *worker);
void upstream_set_free(struct upstream_set *set);
/* Adopts the backends and addresses of a new view; connections to addresses that stay are kept. False without memory:
 * the old set stays. */
bool upstream_set_update(struct upstream_set *set, const struct view *view);
struct upstream *upstream_find(struct upstream_set *set, const struct config_backend *backend, enum upstream_use use);
/* Now and then: queue timeouts. */
void upstream_set_tick(struct upstream_set *set);
/* Memory has room again for those that wait for it. */
void upstream_set_release(struct upstream_set *set);
/* Closes idle connections of a use; returns how many. */
uint32_t upstream_set_close_idle(struct upstream_set *set, enum upstream_use use);

/* Closes the connections to an address that nobody asks for anything on. */
void upstream_close_at(struct upstream *upstream, const struct endpoint_address *address);

/* An address to connect to next, or NULL when there is none: in turn those that active checks and live traffic think
 * well of, else those that were only set aside, else all, since trying beats refusing. */
struct endpoint *upstream_pick(struct upstream *upstream);
/* A connection has become idle or has closed, or the limit has risen: the first in the queue may go on. */
void upstream_release(struct upstream *upstream);
void endpoint_succeeded(struct endpoint *endpoint);
void endpoint_failed(struct endpoint *endpoint);
/* Counts as a connection of this endpoint until endpoint_closed(): it stays where it is. */
void endpoint_hold(struct endpoint *endpoint);
/* A connection of this endpoint has closed. */
void endpoint_closed(struct endpoint *endpoint);

#endif
