/*
 * Request targets and hosts. Private to the HTTP/1 codec.
 */
#ifndef SHUNT_PROXY_H1_TARGET_H
#define SHUNT_PROXY_H1_TARGET_H

#include <stdbool.h>

#include "proxy/h1_fault.h"
#include "proxy/head.h"

/* Fills in authority, path, query and has_query from target; false with *fault otherwise. `options`: the method is
 * OPTIONS. */
bool h1_target_split(struct head *head, bool options, enum h1_fault_id *fault);

/* uri-host [":" port] of RFC 3986, as in a Host field; an empty host is not one. */
bool h1_host_is_valid(struct text host);

#endif
