/*
 * A client's connection that speaks HTTP/1.1 or 1.0: requests in, responses out, one exchange at a time and in order.
 *
 * In clear it is also where a client is found to speak HTTP/2 (h2_server.h), or is handed on unread in passthrough.
 */
#ifndef SHUNT_PROXY_H1_SERVER_H
#define SHUNT_PROXY_H1_SERVER_H

#include "proxy/codec.h"
#include "proxy/downstream.h"
#include "proxy/h1.h"
#include "proxy/worker_inside.h"

/*
 *   IDLE --first byte--> HEAD --complete--> EXCHANGE --response sent--> IDLE
 *     |                   |                    |  \--close asked------> LINGER --client's end, or time--> closed
 *     +----- end, time ---+--- bad: answered --+---- client gone ------> closed
 */
enum h1_server_phase {
    H1_SERVER_IDLE,
    H1_SERVER_HEAD,
    H1_SERVER_EXCHANGE,
    H1_SERVER_LINGER
};

struct h1_server {
    struct downstream base;
    struct server_stream stream;
    enum h1_server_phase phase;
    enum framing reply_framing; /* of the response being sent */
    bool body_ended;            /* the request's */
    bool body_paused;
    bool close;         /* after this exchange */
    bool client_closes; /* it said so */
    bool is_head;
    bool keep_alive_10;
    bool fresh;      /* no request yet */
    bool tunnel;     /* both bodies are the connection's bytes, until one side ends */
    uint8_t minor;   /* of the request's HTTP/1.x */
    uint32_t in_len; /* bytes in `in` */
    struct lingering lingering;
    struct chunk *in;         /* read and not yet used: an incomplete head, or the next requests. Counted */
    struct h1_parser *parser; /* while a head is incomplete */
    struct h1_body body;
};

/* A connection in clear has been accepted. Owns `fd`; closes it where there is no memory. */
void h1_server_accept(struct worker *worker, const struct listener_facts *listener, int fd,
                      const struct client_address *client);
/* Goes on with the connection of *from, whose owner retires it. False without memory: nothing has changed. */
bool h1_server_adopt(struct downstream *from);

#endif
