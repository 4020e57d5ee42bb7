/*
 * Endpoints: the route template a request belongs to, so that /orders/1 and /orders/2 are one line of a report.
 *
 * The file's templates (config/pattern.h says what one is) come first; else one is learnt from the path by what its
 * segments look like: numbers, UUIDs, hexadecimal strings, dates, e-mail addresses and long tokens become "{number}",
 * "{uuid}", ... The result depends on the path alone, never on what came before, so that all workers, replicas and
 * restarts name an endpoint alike.
 */
#ifndef SHUNT_SHADOW_ENDPOINT_H
#define SHUNT_SHADOW_ENDPOINT_H

#include <stddef.h>

#include "config/config.h"

enum {
    ENDPOINT_ROOM = 192
};

/*
 * Writes "GET /orders/{number}/items" for a method and a target (path and query; the query does not count). Always
 * NUL-terminated, printable, without a value that looks like data; too long a name is cut. Allocates nothing.
 */
void endpoint_name(const struct config_shadow *shadow, const char *method, const char *target,
                   char name[ENDPOINT_ROOM]);

#endif
