/*
 * The methods that are forwarded, and what each promises. Private to the HTTP/1 codec.
 */
#ifndef SHUNT_PROXY_H1_METHOD_H
#define SHUNT_PROXY_H1_METHOD_H

#include <stdbool.h>
#include <stdint.h>

#include "router/request.h"

enum {
    H1_METHOD_ROOM = 32
}; /* a longer one is unknown before it ends */

struct h1_method {
    const char *name;
    uint8_t len;
    bool safe, idempotent; /* RFC 9110 section 9.2; the registry has a column for each */
    bool get, head, options, connect, preface;
};

/* NULL for methods that are not known. Case matters (RFC 9110 section 9.1). */
const struct h1_method *h1_method_find(struct text name);

#endif
