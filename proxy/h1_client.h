/*
 * A connection to a backend that speaks HTTP/1.1: one attempt at a time, kept when it ended cleanly.
 */
#ifndef SHUNT_PROXY_H1_CLIENT_H
#define SHUNT_PROXY_H1_CLIENT_H

#include "proxy/conn.h"
#include "proxy/h1.h"
#include "proxy/upstream.h"
#include "proxy/worker_inside.h"

/*
 *   BUSY <--> IDLE --> closed
 */
enum h1_client_state {
    H1_CLIENT_BUSY,
    H1_CLIENT_IDLE
};

struct dial;

struct h1_client {
    struct conn conn;
    struct retired retired;
    struct endpoint *endpoint;
    struct attempt *attempt;       /* NULL when idle */
    struct h1_client *next, *prev; /* among the endpoint's idle */
    enum h1_client_state state;
    bool reading_body;
    bool keep; /* the response allows keeping the connection */
    bool paused;
    bool raw_started;         /* some of the body went raw: so does the rest, however small */
    bool no_raw;              /* the attempt does not want the body raw */
    bool tunnel;              /* the attempt's bytes are the connection's, both ways, until one side ends */
    bool write_failed;        /* nothing more can be sent; a response may still be there to read */
    uint32_t head_len;        /* bytes in `head` */
    struct h1_parser *parser; /* while a head is incomplete */
    struct chunk *head;       /* the incomplete head's bytes; counted */
    struct h1_body body;
    struct slice unread; /* bytes behind the head, while a head is reported: detach() hands them on */
};

extern const struct client_codec h1_client_codec;

/* The dial's connection stands, and is ours from here on, with its first attempt, whose on_ready follows. False without
 * memory: nothing has changed. */
bool h1_client_adopt(struct dial *dial);
/* Puts the attempt on a kept connection. */
void h1_client_reuse(struct h1_client *client, struct attempt *attempt);
void h1_client_close(struct h1_client *client);

#endif
