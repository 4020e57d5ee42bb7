/*
 * The differences of one pair: a bounded list with one entry for each field, however often the field differs.
 *
 * A "field" is where the answers differ with positions left out, so that it can be counted over many pairs:
 * "status", "header:location", "body", "$.items[*].price". Its `path` is the first place with the positions:
 * "$.items[3].price". The compare thread owns the list and uses it again for every pair.
 */
#ifndef SHUNT_SHADOW_DIFFERENCE_H
#define SHUNT_SHADOW_DIFFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "shadow/redact.h"

/* What is different; after Diffy's kinds. "Primary" is the answer the client got. */
enum difference_kind {
    DIFFERENCE_MISSING, /* only the primary has it */
    DIFFERENCE_EXTRA,   /* only the shadow has it */
    DIFFERENCE_TYPE,    /* a string here, a number there */
    DIFFERENCE_VALUE,
    DIFFERENCE_ORDER,     /* the same elements in another order */
    DIFFERENCE_LENGTH,    /* arrays or bodies of different length */
    DIFFERENCE_DUPLICATE, /* a member name that occurs more often on one side */
    DIFFERENCE_INVALID,   /* one side is not the JSON it says it is */
    DIFFERENCE_KINDS,
};

/* Kinds that say that a value is not there, or is no such value: a time that differs by itself must still be there. */
enum {
    DIFFERENCE_SHAPES = 1u << DIFFERENCE_MISSING | 1u << DIFFERENCE_EXTRA | 1u << DIFFERENCE_TYPE |
                        1u << DIFFERENCE_DUPLICATE | 1u << DIFFERENCE_INVALID
};

/* "missing", "extra", ... */
const char *difference_kind_name(enum difference_kind kind);

enum {
    RULES_MAX = 256, /* rules of one route of which it is known whether they did anything */
    DIFFERENCES_MAX = 64,
    FIELD_ROOM = 160,
    DIFFERENCE_PATH_ROOM = 200,
    VALUE_ROOM = 112
};

struct difference {
    uint64_t hash;             /* of field */
    uint32_t kinds;            /* bits: 1 << enum difference_kind */
    uint32_t count;            /* places in this pair */
    bool ignored;              /* a rule says that it does not matter */
    enum difference_kind kind; /* of the first place */
    double apart;              /* of two numbers: |a - b| / max(|a|, |b|), the most of all places; else negative */
    char field[FIELD_ROOM];
    char path[DIFFERENCE_PATH_ROOM];
    char primary[VALUE_ROOM]; /* the first place's values, as they may be shown; "" where there is none */
    char shadow[VALUE_ROOM];
};

struct difference_list {
    uint32_t count;
    uint32_t real;                      /* entries that are not ignored */
    uint32_t beyond;                    /* differences, not ignored, in fields for which there was no entry left */
    uint32_t last;                      /* entry of the newest difference_note(); DIFFERENCES_MAX: it found no room */
    struct veil veil;                   /* how values may be shown */
    uint64_t rule_hits[RULES_MAX / 64]; /* rules that changed something, by their place in rules->texts */
    struct difference at[DIFFERENCES_MAX];
};

void difference_list_reset(struct difference_list *list, const struct veil *veil);

/*
 * Notes a difference. Returns its entry when the field is new in this list, so that the caller fills path and values,
 * which are empty until then; NULL when it was only counted. Longer fields are cut.
 */
struct difference *difference_note(struct difference_list *list, enum difference_kind kind, bool ignored,
                                   const char *field);

/* The newest noted difference is one of two numbers that are so far apart. */
void difference_apart(struct difference_list *list, double apart);

/* A rule changed something about this pair. Numbers from RULES_MAX on are not kept. */
void difference_rule_hit(struct difference_list *list, uint32_t rule);

/* Does anything differ that no rule ignores? */
bool difference_list_is_real(const struct difference_list *list);

#endif
