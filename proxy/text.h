/* Small conversions to text that several modules of this room need. */
#ifndef SHUNT_PROXY_TEXT_H
#define SHUNT_PROXY_TEXT_H

#include <stddef.h>

#include "config/config.h"
#include "router/request.h"

/* "192.0.2.1", "2001:db8::1", or "" for a unix socket; `to` needs 46 bytes. Returns the length. */
size_t client_address_print(const struct client_address *address, char *to, size_t room);

/* The Host of requests to this address (RFC 9110 section 7.2): "shop:3002", "[2001:db8::7]" at port 80, "localhost" for
 * a unix socket; NUL-terminated. `to` needs address_host_bound() bytes. Returns the length. */
size_t address_host_print(const struct config_address *address, char *to);
size_t address_host_bound(const struct config_address *address);

#endif
