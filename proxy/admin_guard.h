/*
 * The admin server's door: who may ask what. Pure functions over the facts of a request.
 */
#ifndef SHUNT_PROXY_ADMIN_GUARD_H
#define SHUNT_PROXY_ADMIN_GUARD_H

#include <stdbool.h>

#include "proxy/admin_reply.h"
#include "proxy/admin_request.h"

struct admin_visitor {
    const char *host;            /* Host field; NULL: none */
    const char *origin;          /* Origin field; NULL: none */
    const char *fetch_site;      /* Sec-Fetch-Site field; NULL: none */
    const char *authorization;   /* NULL: none */
    const char *token;           /* the one to know; NULL: none is configured */
    const char *configured_host; /* host of admin.address, accepted as a name beside addresses and localhost */
    bool changes;                /* asks for a change of state */
    enum admin_access access;
};

/*
 * True when the request may be handled; else false with the answer in *fault (static text).
 *
 *  - A token, where one is configured, is needed for everything but health checks and metrics (RFC 6750 section 2.1).
 *  - Without a token the address is loopback, and what protects it is that only local programs reach it. A browser is
 * one, and runs pages of strangers: a Host that is a name (DNS rebinding) is refused.
 *  - A change asked by a page of another origin (Origin, Sec-Fetch-Site) is refused in either case.
 */
bool admin_guard_admits(const struct admin_visitor *visitor, struct admin_fault *fault);

#endif
