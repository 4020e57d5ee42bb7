/*
 * The JSON body of an admin request: read, bounded, and checked against the endpoint's list of members.
 */
#ifndef SHUNT_PROXY_ADMIN_BODY_H
#define SHUNT_PROXY_ADMIN_BODY_H

#include <event2/buffer.h>
#include <jansson.h>

#include "proxy/admin_request.h"

/*
 * Reads `length` bytes at `at`; no bytes at all mean {}. Returns an object whose members are all in `fields` and of
 * their type (a new reference), or NULL with a malloc'd sentence in *error (NULL without memory).
 */
json_t *admin_body_read(const char *at, size_t length, const struct admin_field *fields, char **error);

#endif
