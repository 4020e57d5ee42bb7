/*
 * The comparing rules of one route, compiled: what is compared, ignored, tolerated, unordered, replaced.
 */
#ifndef SHUNT_SHADOW_RULES_H
#define SHUNT_SHADOW_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "shadow/decimal.h"
#include "shadow/descriptor.h"
#include "shadow/difference.h"
#include "shadow/json_path.h"
#include "shadow/replace.h"
#include "shadow/span.h"

enum rule_kind {
    RULE_IGNORE,
    RULE_UNORDERED,
    RULE_KEYED,     /* an array whose elements are matched by a member */
    RULE_TOLERANCE, /* of numbers */
    RULE_WITHIN,    /* of points in time */
    RULE_PRESENT,   /* must be there on both sides, whatever it is */
    RULE_REPLACE,
};

enum {
    RULE_NO_TEXT = UINT32_MAX, /* of rules beyond RULES_MAX: they work, whether they do is not counted */
    RULES_REPLACEMENTS = 64
};

struct rule { /* of a JSON path; its index is the id in `paths` */
    enum rule_kind kind;
    uint32_t text;              /* index in `texts`, or RULE_NO_TEXT */
    struct tolerance tolerance; /* RULE_TOLERANCE */
    uint64_t within_ns;         /* RULE_WITHIN */
    char *by;                   /* owned; RULE_KEYED: a member's name, or several with points between them */
    uint32_t replacement;       /* RULE_REPLACE: index in `replacements` */
};

struct rules_header {
    char *name; /* owned, lower case */
    size_t len;
    uint32_t text; /* of the rule that ignores it, or RULE_NO_TEXT */
};

struct rules_replacement {
    struct replacement *pattern; /* owned */
    uint32_t text;
    bool of_body;
    char *header; /* owned, lower case; NULL: of the body, or of a path */
    size_t header_len;
};

struct rules {
    bool status_class; /* 200 and 204 are the same */
    bool ignore_status;
    bool ignore_body;
    uint32_t status_text, body_text; /* of the rules that ignore them */
    bool has_tolerance;              /* also of time */
    bool replaces_body;
    bool xml_whitespace;          /* blanks around text and blank text between elements count */
    bool all_headers;             /* and not only `headers` are compared */
    struct rules_header *headers; /* owned: what is compared */
    uint32_t header_count;
    struct rules_header *ignored_headers; /* owned; their differences do not count */
    uint32_t ignored_header_count;
    struct json_path_set *paths; /* owned */
    struct rule *rules;          /* owned */
    uint32_t rule_count;
    struct rules_replacement *replacements; /* owned, at most RULES_REPLACEMENTS; in the order in which they happen */
    uint32_t replacement_count;
    struct replacer *replacer;          /* owned: buffers; the compare thread's */
    struct descriptor_set *descriptors; /* owned; NULL: the route names none, or it is among `refused` */
    char **refused;                     /* owned: rules that are not understood, with the reason; they have no effect */
    uint32_t refused_count;
    char **texts;        /* owned: every rule of the file as the report names it: "ignore $.meta.id", "tolerance $.total
                            absolute 0.01" */
    uint32_t text_count; /* at most RULES_MAX; the index is the bit in comparison.rule_hits */
    uint64_t serial;     /* never the same for two of this process */
    char *source;        /* owned: what they were made from */
    size_t source_len;
};

/* A rule under `ignore`: "status", "body", "header:NAME" or a path. False: *fault says where and what was expected. */
bool rules_accept_ignore(const char *text, struct json_path_fault *fault);

/* NULL without memory. Keeps nothing of `route`; reads the file of `descriptor_set`. */
struct rules *rules_new(const struct config_route *route);
void rules_free(struct rules *rules); /* NULL is fine */
/*
 * Would rules_new() make the same of this route? Compared by content, because the memory of a configuration that was
 * replaced may be another's by now; of a descriptor set, when the file was written and how long it is. Some hundred
 * instructions, and a stat() where there is such a file.
 */
bool rules_are_of(const struct rules *rules, const struct config_route *route);

/* Before each pair: what a pair may spend on replacing is there again. */
void rules_start_pair(const struct rules *rules);

/*
 * Makes the replacements whose bits are set in *primary and *shadow, which then may point into buffers of the rules,
 * until the next call or pair; on anything but REPLACE_DONE they are as before. *changed: the bits of those that
 * replaced something that was not the same on both sides.
 */
enum replace_result rules_replace(const struct rules *rules, uint64_t which, struct span *primary, struct span *shadow,
                                  uint64_t *changed);
void rules_count_replacements(const struct rules *rules, uint64_t which, struct difference_list *list);

/*
 * The same for the decoded bodies of a pair, before they are parsed; only where rules->replaces_body. *changed: where
 * the pair agrees now, it agrees because of a rule. The rules in question are counted in `list`.
 */
enum replace_result rules_replace_bodies(const struct rules *rules, struct span *primary, struct span *shadow,
                                         bool *changed, struct difference_list *list);
/* The same for the values of a header, all its lines as one list. */
enum replace_result rules_replace_header(const struct rules *rules, const char *name, size_t len, struct span *primary,
                                         struct span *shadow, bool *changed, struct difference_list *list);
bool rules_replaces_header(const struct rules *rules, const char *name, size_t len);

#endif
