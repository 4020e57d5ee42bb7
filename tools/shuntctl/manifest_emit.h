/*
 * Values as YAML in blocks, for people, or as JSON, for texts that are JSON or in braces.
 */
#ifndef SHUNT_SHUNTCTL_MANIFEST_EMIT_H
#define SHUNT_SHUNTCTL_MANIFEST_EMIT_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

struct emit {
    FILE *out;
    const char *newline;
    unsigned step, list_step; /* blanks between a key and the keys, or the dashes, below it */
};

/* Lines, each with its end: "key: value" at this column; "- ..." at this column. */
void emit_pairs(const struct emit *emit, const json_t *pairs, unsigned column);
void emit_items(const struct emit *emit, const json_t *items, unsigned column);

/*
 * JSON. `glue` stands in front of each member of the object or list that the value stands in: " " writes all in one
 * line, a line break with blanks puts each member below it in a line of its own, `step` blanks further to the right.
 */
void emit_json(FILE *out, const json_t *value, const char *glue, unsigned step);
void emit_key(FILE *out, const char *key);

#endif
