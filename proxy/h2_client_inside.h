/*
 * The inside of a connection to a backend over HTTP/2, for h2_client.c, which knows the connection, and
 * h2_client_request.c, which knows one request on it. See h2_client.h for the outside.
 */
#ifndef SHUNT_PROXY_H2_CLIENT_INSIDE_H
#define SHUNT_PROXY_H2_CLIENT_INSIDE_H

#include <stddef.h>

#include "proxy/h2_client.h"
#include "proxy/h2_link.h"

enum {
    H2_ACCEPT_ROOM = 32, /* Sec-WebSocket-Accept: 20 bytes in base64 */
};

struct h2_request {
    struct h2_stream stream; /* first: nghttp2 knows us by it */
    struct timer timer;      /* of the response's head */
    struct h2_client *client;
    struct attempt *attempt; /* NULL: cancelled, or answered */
    struct h2_request *next, *prev;
    struct slice held;     /* the request's head, until we know whether the backend takes it; chunk NULL: none */
    struct slice trailers; /* of the response, until its end is reported; likewise */
    bool head_seen;
    bool reset_by_peer;
    bool websocket, tunnel; /* an extended CONNECT; and it was granted */
    char accept[H2_ACCEPT_ROOM];
};

struct h2_client {
    struct conn conn;
    struct retired retired;
    struct h2_link link;
    struct endpoint *endpoint;
    struct h2_client *next, *prev; /* of the endpoint's */
    struct h2_request *requests;
    uint32_t count; /* of them */
    uint32_t asked; /* of them with an attempt; the others were reset */
    bool settled;   /* the backend has told its settings */
    bool leaving;   /* nothing new is begun here */
};

/* ---- of the connection ---- */

/* With its last stream a connection that nothing is begun on any more goes, and another one begins to count its idle
 * time. */
void h2_client_look_if_idle(struct h2_client *client);

/* ---- of its requests ---- */

/* One more on the connection, without an attempt; NULL without memory. */
struct h2_request *h2_request_take(struct h2_client *client);
/* From here on the request is the attempt's, which is ready. It is told by whoever calls. */
void h2_request_bind(struct h2_request *request, struct attempt *attempt);
/* Lets go of all, whose attempts fail one by one: the connection is closed. */
void h2_requests_fail(struct h2_client *client, enum outcome_kind kind, const char *text);
/* The backend's settings are known now: what waited for them goes, or fails. */
void h2_requests_go_on(struct h2_client *client);

/* What frames bring for requests. */
void h2_request_on_section(struct h2_link *link, const nghttp2_frame *frame);
void h2_request_on_body(struct h2_link *link, struct h2_stream *stream, struct slice bytes);
void h2_request_on_end(struct h2_link *link, struct h2_stream *stream);
void h2_request_on_closed(struct h2_link *link, struct h2_stream *stream, uint32_t error);
void h2_request_on_drained(struct h2_link *link, struct h2_stream *stream);

static inline struct h2_client *h2_client_of(struct h2_link *link)
{
    return (struct h2_client *)((char *)link - offsetof(struct h2_client, link));
}

static inline struct worker *h2_client_worker(const struct h2_client *client)
{
    return client->conn.worker;
}

static inline struct h2_request *h2_request_of(struct h2_stream *stream)
{
    return (struct h2_request *)((char *)stream - offsetof(struct h2_request, stream));
}

#endif
