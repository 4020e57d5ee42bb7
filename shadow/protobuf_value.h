/*
 * Scalars of protobuf messages as texts.
 */
#ifndef SHUNT_SHADOW_PROTOBUF_VALUE_H
#define SHUNT_SHADOW_PROTOBUF_VALUE_H

#include "shadow/descriptor.h"
#include "shadow/doc_builder.h"

enum {
    PROTOBUF_NUMBER_ROOM = 40,
};

/* The number that the bits of a field of this kind are, as JSON writes it, or "NaN", "Infinity", "-Infinity". Of
 * numbers, KIND_BOOL (0 or 1) and KIND_ENUM. Returns the length. */
size_t protobuf_number_text(char to[PROTOBUF_NUMBER_ROOM], enum descriptor_kind kind, uint64_t bits);

/* Adds a scalar as its kind says: not KIND_MESSAGE, KIND_GROUP, KIND_BYTES. An enum's value by its name, if it has one.
 */
void protobuf_value_add(struct doc_builder *to, const struct descriptor_field *field, const struct wire_field *value);
/* Bytes that are no text, in base64 as protobuf's own JSON has them, behind `prefix`. */
void protobuf_bytes_add(struct doc_builder *to, const char *prefix, struct span bytes);

#endif
