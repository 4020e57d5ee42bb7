/* Small conversions to text that several modules of this room need. */
#ifndef SHUNT_PROXY_TEXT_H
#define SHUNT_PROXY_TEXT_H

#include <stddef.h>

#include "router/request.h"

/* "192.0.2.1", "2001:db8::1", or "" for a unix socket; `to` needs 46 bytes. Returns the length. */
size_t client_address_print(const struct client_address *address, char *to, size_t room);

#endif
