/*
 * Making endpoint addresses from what configuration and DNS say.
 */
#ifndef SHUNT_PROXY_ENDPOINT_H
#define SHUNT_PROXY_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "config/config.h"
#include "proxy/snapshot.h"

/* A list of the one address that needs no look-up (a unix socket, an IPv4 or IPv6 address), with one reference. NULL
 * without memory, or when the host is a name (*is_name). */
struct endpoint_list *endpoint_list_of(const struct config_address *address, bool *is_name);

/* Fills in `text`. The socket address must be whole. False for a family that is neither IPv4, IPv6 nor unix. */
bool endpoint_address_set(struct endpoint_address *address, const struct sockaddr *to, socklen_t length);

/* A socket to connect to it with: non-blocking, and without delay where that is known. -1 with errno. */
int endpoint_socket(const struct endpoint_address *address);

/* Sorts and leaves out duplicates, so that DNS servers that turn their answers round change nothing. */
void endpoint_list_settle(struct endpoint_list *list);

#endif
