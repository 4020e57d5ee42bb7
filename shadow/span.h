/*
 * Bytes that belong to somebody else.
 */
#ifndef SHUNT_SHADOW_SPAN_H
#define SHUNT_SHADOW_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *at; /* borrowed; not NUL-terminated */
    size_t len;
};

static inline bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

#endif
