/*
 * Builds a struct json_doc out of something that is not one JSON text, so that the JSON differ and all its rules apply.
 *
 * The document's text is the builder's own and no JSON: each value has a tag and a length in front, so that two values
 * have the same bytes only when they are the same; strings stand between quotes as they are, without escapes.
 */
#ifndef SHUNT_SHADOW_DOC_BUILDER_H
#define SHUNT_SHADOW_DOC_BUILDER_H

#include "shadow/json_doc.h"

struct doc_builder {
    struct json_doc doc; /* complete after doc_builder_finish(); borrowed by the differ until the next start */
    char *text;          /* owned */
    size_t len, room;
    uint32_t open[JSON_DEPTH]; /* containers around the place, outermost first */
    uint32_t depth;
    enum json_fault fault; /* JSON_FAULT_DEPTH, _SIZE or _MEMORY: what follows is not added any more */
};

/* What tells the order of an object's members: the same `members`, another `sequence`: they were moved. */
struct doc_order {
    uint64_t members, sequence;
};

/* A zeroed struct is ready. */
void doc_builder_start(struct doc_builder *builder);
/* The whole value is there. Returns the fault, or JSON_FAULT_NONE. */
enum json_fault doc_builder_finish(struct doc_builder *builder);

void doc_builder_open_array(struct doc_builder *builder);
void doc_builder_open_object(struct doc_builder *builder, const struct doc_order *order); /* NULL: order is nothing */
void doc_builder_close(struct doc_builder *builder);
/* The name of the member whose value comes next. */
void doc_builder_name(struct doc_builder *builder, const char *at, size_t len);
/* The same for a name that is no data, such as the number or the name of a field in a schema. */
void doc_builder_field(struct doc_builder *builder, const char *at, size_t len);
void doc_builder_string(struct doc_builder *builder, const char *at, size_t len);
/* `at` is a number as JSON writes it. */
void doc_builder_number(struct doc_builder *builder, const char *at, size_t len);
void doc_builder_boolean(struct doc_builder *builder, bool value);
/* What should have been something else, a line of JSON perhaps: differs from every string and from every other such
 * text. Not NODE_SOUND. */
void doc_builder_broken(struct doc_builder *builder, enum node_fault fault, const char *at, size_t len);
/* A document as a value of this one; it is copied. */
void doc_builder_document(struct doc_builder *builder, const struct json_doc *doc);

/* Gives back large buffers, and with them what was built. */
void doc_builder_trim(struct doc_builder *builder);
void doc_builder_done(struct doc_builder *builder);

#endif
