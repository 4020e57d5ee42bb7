/*
 * A connection to a backend that is being made: socket, connecting, TLS. When it stands, its codec goes on with it.
 */
#ifndef SHUNT_PROXY_DIAL_H
#define SHUNT_PROXY_DIAL_H

#include <stdbool.h>

#include "proxy/conn.h"
#include "proxy/upstream.h"
#include "proxy/worker_inside.h"

/*
 *   CONNECTING --> HANDSHAKE (with TLS) --> h1_client_adopt() or h2_client_adopt()
 *        \-------------\--> attempt_connect_failed() for each attempt
 */
struct dial {
    struct conn conn;
    struct retired retired;
    struct endpoint *endpoint;
    struct tls_context *tls;      /* counted; NULL: in clear */
    struct dial *next, *prev;     /* of the endpoint's, */
    bool listed;                  /* while it is among them */
    struct attempt *first, *last; /* who waits for it, linked by next_waiting: in turn */
    uint32_t attempts;
    enum config_protocol protocol; /* of the file that it was begun under */
    bool http1;                    /* nothing else is offered to the backend; see attempt->http1 */
    bool handshaking;
};

extern const struct client_codec dial_codec; /* of attempts that wait for a connection: they can be cancelled */

/* Opens a connection for the attempt. False with errno when not even a socket could be had. */
bool dial_start(struct endpoint *endpoint, struct attempt *attempt);
/* Waits with others for a connection that is likely to carry many. False: there is none with room. */
bool dial_join(struct endpoint *endpoint, struct attempt *attempt);
/* Takes out the first attempt, whose connection stands or not; NULL: no more. For codecs that adopt. */
struct attempt *dial_take(struct dial *dial);

#endif
