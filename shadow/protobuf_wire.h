/*
 * The wire format of protocol buffers, field by field, without a schema (protobuf.dev, "Encoding").
 */
#ifndef SHUNT_SHADOW_PROTOBUF_WIRE_H
#define SHUNT_SHADOW_PROTOBUF_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shadow/span.h"

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2, /* a text, bytes, a message, or packed numbers: the wire does not say which */
    WIRE_GROUP = 3,
    WIRE_GROUP_END = 4, /* never of a field that was read */
    WIRE_FIXED32 = 5,
};

enum wire_fault {
    WIRE_FAULT_NONE,
    WIRE_FAULT_ENDS_EARLY,
    WIRE_FAULT_VARINT, /* of more than 64 bits */
    WIRE_FAULT_NUMBER, /* of a field: 0, or more than WIRE_NUMBER_MOST */
    WIRE_FAULT_TYPE,   /* 6 and 7 do not exist */
    WIRE_FAULT_GROUP,  /* an end without a start, or of another group */
    WIRE_FAULT_DEPTH,  /* groups nested deeper than WIRE_GROUPS */
    WIRE_FAULTS,
};

enum {
    WIRE_NUMBER_MOST = 536870911, /* 29 bits */
    WIRE_GROUPS = 16,             /* in each other: what a group has inside is read once for each that it is in */
};

const char *wire_fault_name(enum wire_fault fault);

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;    /* of WIRE_VARINT and the fixed ones: the bits */
    struct span bytes; /* of WIRE_BYTES, and what a WIRE_GROUP has inside */
};

/* Start with {.text = ...}. */
struct wire_reader {
    struct span text; /* borrowed */
    size_t at;        /* of the next field; after a fault, of the field that has it */
    enum wire_fault fault;
};

/* False: the end, or a fault. */
bool wire_next(struct wire_reader *reader, struct wire_field *field);
/* Numbers that stand one behind the other without tags, as in a packed field. False: the end, or a fault. */
bool wire_next_packed(struct wire_reader *reader, enum wire_type type, uint64_t *value);

/* Is it a row of whole fields? What is inside of bytes is not looked at. No bytes at all are a message without fields.
 * NULL is fine for `at`. */
enum wire_fault wire_check(struct span text, size_t *at);

#endif
