/*
 * A client's connection while its TLS handshake goes on; then the codec that ALPN chose has it.
 */
#ifndef SHUNT_PROXY_GREETING_H
#define SHUNT_PROXY_GREETING_H

#include "proxy/downstream.h"

/*
 *   SHAKING --done--> h1_server_adopt() or h2_server_adopt()
 *      \--failed--> LINGER --client's end, or time--> closed
 */

/* A connection of a listener with TLS has been accepted. Owns `fd`; closes it where there is no memory. */
void greeting_accept(struct worker *worker, const struct listener_facts *listener, int fd,
                     const struct client_address *client);

#endif
