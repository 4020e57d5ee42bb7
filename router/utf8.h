/*
 * Bytes of unknown origin as JSON strings: UTF-8 is checked, and what is not UTF-8 does not get out.
 */
#ifndef SHUNT_ROUTER_UTF8_H
#define SHUNT_ROUTER_UTF8_H

#include <stddef.h>

#include <jansson.h>

/* Length (1 to 4) of the well-formed sequence at `at`, of at most `len` bytes; 0 when there is none. RFC 3629
 * section 4. */
size_t utf8_sequence(const char *at, size_t len);

/* A JSON string; every byte that is not part of UTF-8 becomes U+FFFD. NULL `text` is JSON null. New reference, NULL
 * without memory. */
json_t *utf8_json(const char *text);

#endif
