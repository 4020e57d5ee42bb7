/*
 * The comparing rules of one route, compiled: what is compared, what is ignored, tolerated or unordered.
 */
#ifndef SHUNT_SHADOW_RULES_H
#define SHUNT_SHADOW_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "shadow/decimal.h"
#include "shadow/json_path.h"

enum rule_kind {
    RULE_IGNORE,
    RULE_TOLERANCE,
    RULE_UNORDERED
};

struct rule { /* of a JSON path; its index is the id in `paths` */
    enum rule_kind kind;
    struct tolerance tolerance;
};

struct rules_header {
    char *name; /* owned, lower case */
    size_t len;
    bool ignored;
};

struct rules {
    bool status_class; /* 200 and 204 are the same */
    bool ignore_status;
    bool ignore_body;
    bool redact;
    bool has_tolerance;
    struct rules_header *headers; /* owned: what is compared */
    uint32_t header_count;
    struct json_path_set *paths; /* owned */
    struct rule *rules;          /* owned */
    uint32_t rule_count;
    char **refused; /* owned: rules that are not understood, with the reason; they have no effect */
    uint32_t refused_count;
    char **texts; /* owned: every rule of the file as the report names it: "ignore $.meta.id", "tolerance $.total" */
    uint32_t text_count; /* at most RULES_MAX; the index is the bit in comparison.rule_hits */
    uint64_t serial;     /* never the same for two of this process */
    char *source; /* owned: what they were made from */
    size_t source_len;
};

/* A rule under `ignore`: "status", "body", "header:NAME" or a path. False: *fault says where and what was expected. */
bool rules_accept_ignore(const char *text, struct json_path_fault *fault);

/* NULL without memory. Keeps nothing of `route`. */
struct rules *rules_new(const struct config_route *route);
void rules_free(struct rules *rules); /* NULL is fine */
/*
 * Would rules_new() make the same of this route? Compared by content, because the memory of a configuration that was
 * replaced may be another's by now. Some hundred instructions.
 */
bool rules_are_of(const struct rules *rules, const struct config_route *route);

#endif
