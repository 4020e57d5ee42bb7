/*
 * What requests are matched by: host and path patterns, and whether one match takes everything another would.
 */
#ifndef SHUNT_CONFIG_PATTERN_H
#define SHUNT_CONFIG_PATTERN_H

#include <stdbool.h>

#include "config/arena.h"
#include "config/config.h"

enum {
    PATTERN_SEGMENTS = 64,
    PATTERN_FIELDS = 32,
    PATTERN_TEMPLATE_BYTES = 160
};

/*
 * Splits a path pattern at its slashes, the one in front excluded: "/" is one empty segment, "/a/" is "a" and an empty
 * one,
 * "/a/" with two stars behind it is "a" and SEGMENT_REST. NULL with *why (static text) for a bad pattern, or with *why
 * NULL without memory.
 */
struct config_path *pattern_path(struct config_arena *arena, const char *text, const char **why);

/*
 * What is wrong with a template that requests are grouped under, or NULL (static text): "/orders/{id}/items", "/files/"
 * with two stars behind it. Segments are literal (percent-encoded as in a request, or not), a name in braces, or at the
 * end two stars for the rest. What follows such a template is shadow/endpoint.c.
 */
const char *pattern_template_fault(const char *text);

/* A host name, an address, or "*." and a host name; `text` in lower case. What is wrong with it, or NULL. */
const char *pattern_host_fault(const char *text);

/*
 * Does `wide` match every request that `narrow` matches? True only where it is proved from the patterns alone; false
 * may also mean that nobody knows.
 */
bool pattern_covers(const struct config_match *wide, const struct config_match *narrow);

#endif
