/*
 * Two sockets relayed byte for byte both ways, with half-close: after an upgrade, and for whole connections in
 * passthrough.
 */
#ifndef SHUNT_PROXY_TUNNEL_H
#define SHUNT_PROXY_TUNNEL_H

#include "proxy/conn.h"
#include "proxy/snapshot.h"
#include "proxy/codec.h"
#include "proxy/worker_inside.h"

/*
 * After an upgrade: joins the connections of a stream and an attempt whose codecs both have detach(). Takes them over;
 * without memory both are closed. True when there is a tunnel.
 */
bool tunnel_join(struct worker *worker, struct server_stream *stream, struct attempt *attempt);
/* Passthrough: a new client connection goes raw to legacy, connected first. Owns `client_fd`. */
void tunnel_passthrough(struct worker *worker, int client_fd);
/* The same for a connection from which `early` has been read already. False without memory: *client is as it was. */
bool tunnel_take_over(struct conn *client, struct slice early);
/* Draining: closes those of passthrough on which nobody waits for an answer and that have been quiet for `quiet_ms`.
 * What runs on an upgraded connection is never taken for idle. */
void tunnels_close_idle(struct worker *worker, uint64_t quiet_ms);
/* Draining has taken too long. */
void tunnels_close(struct worker *worker);

#endif
