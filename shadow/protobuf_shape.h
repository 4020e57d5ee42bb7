/*
 * What the fields of protobuf messages are, by their place, found out from all messages of a pair: so that the same
 * place is read the same way wherever it occurs, on either side.
 *
 * A place is the numbers of the fields from the root to here. Where a descriptor knows it, the descriptor says what it
 * is; a field that is not on the wire as the descriptor says is another place, as for a client that does not know it.
 * Otherwise all values that the place has, on both sides, say it together:
 *
 * - it is a list where some message has it more than once;
 * - bytes are text where all of them are printable UTF-8, and no value begins with a tab or a line end (as a message
 *   whose first field is number 1 does) and reads as a message; else they are messages where every value that is not
 *   empty reads as one; else they are bytes;
 * - fixed ones are floating-point numbers where each of them is 0 or between 1e-9 and 1e18, else unsigned integers;
 * - varints are signed integers of 64 bits.
 */
#ifndef SHUNT_SHADOW_PROTOBUF_SHAPE_H
#define SHUNT_SHADOW_PROTOBUF_SHAPE_H

#include "shadow/descriptor.h"
#include "shadow/json_doc.h"

enum {
    PROTOBUF_DEPTH = 100,         /* as deep as other readers go; what is deeper is bytes */
    PROTOBUF_SHAPES = 256 * 1024, /* places of one pair */
    PROTOBUF_UNKNOWN = 1u << 30,  /* in `number`: not what a descriptor says, or it says nothing */
};

struct protobuf_shape {
    uint32_t parent, number;                  /* number may have PROTOBUF_UNKNOWN */
    const struct descriptor_field *field;     /* NULL: not known */
    const struct descriptor_message *message; /* what it holds, where that is known */
    uint64_t last;                            /* the message that had it last */
    uint8_t wires;                            /* bits: 1 << enum wire_type */
    bool list;
    bool not_message, not_text, not_real;
};

struct protobuf_shapes {
    struct protobuf_shape *at; /* owned; 0 is the root */
    uint32_t count, room;
    uint32_t *slots; /* owned: by parent and number; 0 is free */
    uint32_t slot_room;
    uint64_t messages;     /* looked at */
    enum json_fault fault; /* JSON_FAULT_DEPTH, _SIZE or _MEMORY */
};

/* A zeroed struct is ready. `type` of the root, or NULL. */
void protobuf_shapes_start(struct protobuf_shapes *shapes, const struct descriptor_message *type);
/* Takes in what one message at the root has; it reads as one (wire_check()). */
void protobuf_shapes_note(struct protobuf_shapes *shapes, struct span message);
/* The place of a field inside of a place; 0 after a fault. */
uint32_t protobuf_shapes_of(struct protobuf_shapes *shapes, uint32_t parent, const struct wire_field *field);

/* Of places without a field of a descriptor, once all was noted. */
bool protobuf_shape_is_text(const struct protobuf_shape *shape);
bool protobuf_shape_is_message(const struct protobuf_shape *shape);
/* Has it several types on the wire? */
bool protobuf_shape_is_mixed(const struct protobuf_shape *shape);

/* The bits of a fixed field as a number. */
double protobuf_real(enum wire_type type, uint64_t bits);

void protobuf_shapes_trim(struct protobuf_shapes *shapes);
void protobuf_shapes_done(struct protobuf_shapes *shapes);

#endif
