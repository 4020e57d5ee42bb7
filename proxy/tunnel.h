/*
 * Two sockets relayed byte for byte both ways, with half-close: after an upgrade, and for whole connections in passthrough.
 */
#ifndef SHUNT_PROXY_TUNNEL_H
#define SHUNT_PROXY_TUNNEL_H

#include "proxy/conn.h"
#include "proxy/snapshot.h"
#include "proxy/worker_inside.h"

/*
 * Joins a client's and a backend's socket, both owned from here on. `to_client`/`to_backend`: bytes to be written first (queue
 * and slice are taken over; a slice's chunk may be NULL).
 */
void tunnel_join(struct worker *worker, int client_fd, struct outq to_client, struct slice from_backend, int backend_fd,
                 struct outq to_backend, struct slice from_client);
/* Passthrough: a new client connection goes raw to legacy, connected first. Owns `client_fd`. */
void tunnel_passthrough(struct worker *worker, int client_fd);
/* Draining has taken too long. */
void tunnels_close(struct worker *worker);

#endif
