/*
 * A connection to a backend that speaks HTTP/2: many attempts at a time, one for each stream.
 */
#ifndef SHUNT_PROXY_H2_CLIENT_H
#define SHUNT_PROXY_H2_CLIENT_H

#include <stdbool.h>

#include "proxy/upstream.h"

struct dial;
struct h2_client;

enum {
    H2_FREE_REQUESTS = 1024
}; /* kept by a worker for the next streams */

extern const struct client_codec h2_client_codec;

/* The dial's connection stands, and is ours from here on, with as many of its attempts as the backend takes at once.
 * False without memory: nothing has changed. */
bool h2_client_adopt(struct dial *dial);
/* Puts the attempt on one of the endpoint's connections. False: none has room. */
bool h2_client_take(struct endpoint *endpoint, struct attempt *attempt);
bool h2_client_has_room(const struct endpoint *endpoint);
/* Nothing new is begun on the endpoint's connections: each closes with its last stream, at once when it has none. */
void h2_client_retire_all(struct endpoint *endpoint);
/* Closes those without a stream; how many. */
uint32_t h2_client_close_idle(struct endpoint *endpoint);

/* The worker ends: frees what it kept. */
void h2_clients_done(struct worker *worker);

#endif
