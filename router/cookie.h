/*
 * Cookies of a request: the pairs of all its Cookie fields, in order (RFC 6265 section 4.2; HTTP/2 may split the field,
 * RFC 9113 section 8.2.3).
 */
#ifndef SHUNT_ROUTER_COOKIE_H
#define SHUNT_ROUTER_COOKIE_H

#include "router/request.h"

struct cookie_walk {
    const struct request_facts *facts;
    uint32_t next_field;
    struct text rest; /* of the field being read */
};

struct cookie {
    struct text name;
    struct text value; /* as it came, quotes kept */
};

static inline struct cookie_walk cookie_walk_over(const struct request_facts *facts)
{
    return (struct cookie_walk){.facts = facts};
}

/* The next well-formed pair: pieces without "=" or without a name are passed over. False at the end. */
bool cookie_next(struct cookie_walk *walk, struct cookie *cookie);

/* The first cookie of this exact name with a value that is not empty. */
bool cookie_find(const struct request_facts *facts, struct text name, struct text *value);

#endif
