/*
 * Reading in turns while memory is scarce.
 *
 * What is read has to be kept, by somebody and for some time. So while memory is scarce (memory.h) and more than a few
 * exchanges are under way, a connection that has bytes for us is not read at once: it waits in its worker's line, and
 * the tick gives turns, the oldest first. Nobody is broken off, TCP stops the peers meanwhile, and everybody's turn
 * comes, however scarce memory stays: among the bytes may be what makes room, as are HTTP/2's windows, the end of a
 * request or that a client has left.
 *
 * In the line stand: clients between two requests, clients over HTTP/2 at all times, clients whose TLS handshake has
 * not begun, and backends whose answers' bodies are being read. Worker thread.
 */
#ifndef SHUNT_PROXY_TURN_H
#define SHUNT_PROXY_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/conn.h"

struct worker;

enum {
    TURN_HANDSHAKE_BYTES = 48 * 1024, /* what a TLS handshake takes while it lasts */
};

struct turn_line {
    struct conn *first, *last;
    uint32_t waiting;
};

enum turn_room {
    TURN_ROOM, /* memory is not scarce any more */
    TURN_SCARCE,
    TURN_BRINK,
};

/* How many of those who wait have their turn with this tick: at least one. A pure function. */
uint32_t turns_due(uint32_t waiting, enum turn_room room);

/* turn_allows() of worker_inside.h, where memory may be scarce. */
bool turn_has_come(struct conn *conn);
/* May its handshake begin, while so many of this worker's are under way? Likewise. */
bool turn_allows_handshake(struct conn *conn, uint32_t under_way);
/* The connection may have more to say than has been read, however long it has been silent. */
static inline bool turn_is_awaited(const struct conn *conn)
{
    return conn->awaits_turn;
}

/* The connection closes, or moves. */
void turn_leave(struct conn *conn);
/* With each tick. Before conn_settle(). */
void turns_tick(struct worker *worker);

#endif
