/*
 * The transport of connections with TLS, either side, and what their owners ask of it.
 *
 * Once a connection stands its owner reads, writes and closes it like any other. All functions are for the worker's
 * thread; where they take a connection it may be one in clear unless they say otherwise.
 */
#ifndef SHUNT_PROXY_TRANSPORT_TLS_H
#define SHUNT_PROXY_TRANSPORT_TLS_H

#include <stdbool.h>

#include "config/config.h"
#include "proxy/tls_counters.h"
#include "proxy/transport.h"

struct conn;
struct exchange_request;
struct tls_context;
struct tls_session;

extern const struct transport transport_tls;

/* The connection, open and in clear so far, will speak TLS: as the server, or as the client. Takes its own references.
 * False without memory: nothing has changed. `session`: what to resume, and where the next one is kept; NULL: neither.
 */
bool tls_begin_server(struct conn *conn, struct tls_context *context);
bool tls_begin_client(struct conn *conn, struct tls_context *context, struct tls_session *session);

/* By ALPN the client offers HTTP/1.1 alone, whatever its context says. Before tls_handshake(). False without memory. */
bool tls_offer_http1(struct conn *conn);

enum tls_step {
    TLS_STEP_WAIT,   /* for either edge */
    TLS_STEP_STANDS, /* the connection may be read and written; what has come already makes no edge of its own */
    TLS_STEP_FAILED, /* see tls_failure_of(); counted */
};
/* Goes on with the handshake. Only after tls_begin_*(), until it does not answer WAIT. */
enum tls_step tls_handshake(struct conn *conn);
/* The handshake waits for the writable edge, too. */
bool tls_wants_to_send(const struct conn *conn);
/* The handshake has taken too long: counts that. */
void tls_handshake_late(struct conn *conn);

/* After TLS_STEP_FAILED. The text is static: of a backend, for the log. */
enum tls_failure tls_failure_of(const struct conn *conn);
const char *tls_failure_text(const struct conn *conn);

/* What ALPN chose; 0: nothing was. Only with TLS. */
enum config_protocol tls_protocol(const struct conn *conn);
/* The client's handshake is not over: what is read now came in early data, which somebody else may have sent again. */
bool tls_is_early(const struct conn *conn);

/* For server codecs: what a request is told to have come by. In clear there is nothing to tell. */
void tls_describe(struct conn *conn, struct exchange_request *request);
/* For codecs, when reading has failed within a message: counts it where TLS was cut off. */
void tls_note_truncation(const struct conn *conn);
/* For client codecs, when reading has failed: static text for the log. */
const char *tls_reset_text(const struct conn *conn);

#endif
