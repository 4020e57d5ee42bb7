/*
 * A sample: one pair, as far as it may be shown, for a developer to look at.
 *
 * Everything of a request or an answer in it has passed the veil (redact.h). It is made on the compare thread, before
 * anything is stored.
 */
#ifndef SHUNT_SHADOW_SAMPLE_H
#define SHUNT_SHADOW_SAMPLE_H

#include <jansson.h>
#include <stdbool.h>

#include "shadow/compare.h"

enum {
    SAMPLE_BODY_BYTES = 16 * 1024, /* of each body in a sample, as shown */
    SAMPLE_DIFFERENCES_MAX = 24
};

/*
 * A new object, NULL without memory or when the route keeps no values at all (SAMPLES_NONE). `endpoint` is borrowed.
 *
 *   { "at_ms", "route", "primary": "legacy"|"new" (which side answered the client), "endpoint", "method", "target",
 *     "request_id", "cohort", "values": "redacted"|"full"|"hashed",
 *     "request":        { "headers": [["name", "value"], ...], "body": "..." (absent: none), "body_bytes", "cut": bool
 * }, "primary_answer": { "status", "latency_us", "bytes", "headers": [...], "type": "json"|"xml"|"text"|"bytes",
 *                         "body": "..." (absent: not shown), "cut": bool },
 *     "shadow_answer":  { the same },
 *     "fields": how many fields differ and are not ignored,
 *     "differences": [ { "field", "path", "kind", "places", "primary", "shadow", "ignored": bool }, ... ] }
 *
 * A JSON body under `redacted` keeps its structure, with "<string 12>" for each value; other bodies are shown only
 * under `full`.
 */
json_t *sample_json(const struct pair *pair, const struct comparison *comparison, const char *endpoint);

#endif
