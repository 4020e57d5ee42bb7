/*
 * Chunked bodies on their way out, towards a client or a backend (RFC 9112 section 7.1).
 */
#ifndef SHUNT_PROXY_H1_CHUNK_H
#define SHUNT_PROXY_H1_CHUNK_H

#include <stdbool.h>

#include "proxy/conn.h"
#include "router/request.h"

/* Queues one chunk; the slice is shared, and must not be empty (that would end the body). False without memory. */
bool h1_send_chunk(struct conn *conn, struct slice slice);
/* Queues the end: the last chunk, `trailers` (complete lines, may be empty) and the empty line. False without memory.
 */
bool h1_send_last_chunk(struct conn *conn, struct text trailers);

#endif
