/*
 * Shapes: see protobuf_shape.h. A trie of field numbers, its edges in one hash table, so that a message made of a
 * hundred thousand different fields costs no more than one of a hundred thousand equal ones. What reads as a message is
 * looked into at once, although a later value may show that it is none: what was noted below is then never asked for.
 * Every byte is read once for each level it is nested in, of which there are PROTOBUF_DEPTH at most. Compare thread.
 */
#include "shadow/protobuf_shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/redact.h"
#include "shadow/tree.h"

enum {
    SHAPES_FIRST = 256,
    SHAPES_KEPT = 16 * 1024,
};

static const double real_least = 1e-9, real_most = 1e18;

/* ---- the trie ---- */

static void refuse(struct protobuf_shapes *s, enum json_fault fault)
{
    if (s->fault == JSON_FAULT_NONE)
        s->fault = fault;
}

static uint32_t *slot_of(const struct protobuf_shapes *s, uint32_t parent, uint32_t number)
{
    uint32_t mask = s->slot_room - 1;
    uint32_t i = (uint32_t)tree_mix((uint64_t)parent << 32 | number, 1) & mask;
    while (s->slots[i] != 0 && (s->at[s->slots[i]].parent != parent || s->at[s->slots[i]].number != number))
        i = (i + 1) & mask;
    return &s->slots[i];
}

/* At most half of the slots are taken. */
static bool grow(struct protobuf_shapes *s)
{
    uint32_t room = s->room == 0 ? SHAPES_FIRST : s->room * 2;
    struct protobuf_shape *at = realloc(s->at, room * sizeof(*at));
    if (at != NULL)
        s->at = at;
    uint32_t *slots = at == NULL ? NULL : calloc((size_t)room * 2, sizeof(*slots));
    if (slots == NULL) {
        refuse(s, JSON_FAULT_MEMORY);
        return false;
    }
    free(s->slots);
    s->slots = slots;
    s->room = room;
    s->slot_room = room * 2;
    for (uint32_t i = 1; i < s->count; i++)
        *slot_of(s, at[i].parent, at[i].number) = i;
    return true;
}

/* Is it on the wire as the descriptor says? A list of numbers may be packed or not, whatever was declared. */
static bool fits(const struct descriptor_field *field, enum wire_type type)
{
    return descriptor_wire_type(field->kind) == type ||
           (type == WIRE_BYTES && field->repeated && descriptor_may_be_packed(field->kind));
}

uint32_t protobuf_shapes_of(struct protobuf_shapes *s, uint32_t parent, const struct wire_field *wire)
{
    const struct descriptor_message *in = s->at[parent].message;
    const struct descriptor_field *field = in == NULL ? NULL : descriptor_field_numbered(in, wire->number);
    if (field != NULL && !fits(field, wire->type))
        field = NULL;
    uint32_t number = wire->number | (field == NULL ? PROTOBUF_UNKNOWN : 0);
    uint32_t found = *slot_of(s, parent, number);
    if (found != 0 || s->fault != JSON_FAULT_NONE)
        return found;
    if (s->count == PROTOBUF_SHAPES) {
        refuse(s, JSON_FAULT_SIZE);
        return 0;
    }
    if (s->count == s->room && !grow(s))
        return 0;
    found = s->count++;
    *slot_of(s, parent, number) = found;
    s->at[found] = (struct protobuf_shape){.parent = parent,
                                           .number = number,
                                           .field = field,
                                           .message = field == NULL ? NULL : field->message,
                                           .list = field != NULL && field->repeated};
    return found;
}

/* ---- what values say ---- */

double protobuf_real(enum wire_type type, uint64_t bits)
{
    uint32_t half = (uint32_t)bits;
    float single;
    double real;
    memcpy(&single, &half, sizeof(single));
    memcpy(&real, &bits, sizeof(real));
    return type == WIRE_FIXED32 ? (double)single : real;
}

static bool looks_real(enum wire_type type, uint64_t bits)
{
    double size = fabs(protobuf_real(type, bits));
    return bits == 0 || (size >= real_least && size <= real_most);
}

static bool is_blank(char c)
{
    return c == '\t' || c == '\n' || c == '\r';
}

static bool is_printable(struct span text)
{
    for (size_t i = 0; i < text.len;) {
        size_t len = is_blank(text.at[i]) ? 1 : redact_character(text.at + i, text.len - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

static void note_message(struct protobuf_shapes *s, uint32_t place, struct span message, unsigned depth);

static void note_unknown_bytes(struct protobuf_shapes *s, uint32_t place, struct span bytes, unsigned depth)
{
    if (bytes.len == 0)
        return;
    bool message = depth < PROTOBUF_DEPTH && wire_check(bytes, NULL) == WIRE_FAULT_NONE;
    if (!message)
        s->at[place].not_message = true;
    if ((message && is_blank(bytes.at[0])) || !is_printable(bytes))
        s->at[place].not_text = true;
    if (message)
        note_message(s, place, bytes, depth);
}

/* What a descriptor says is a message, or the tags say is a group, which was read to its end. */
static void note_inside(struct protobuf_shapes *s, uint32_t place, struct span message, bool group, unsigned depth)
{
    if (depth >= PROTOBUF_DEPTH)
        refuse(s, JSON_FAULT_DEPTH);
    else if (group || wire_check(message, NULL) == WIRE_FAULT_NONE)
        note_message(s, place, message, depth);
}

static void note_value(struct protobuf_shapes *s, uint32_t place, const struct wire_field *field, unsigned depth)
{
    struct protobuf_shape *shape = &s->at[place];
    shape->wires |= (uint8_t)(1u << field->type);
    switch (field->type) {
    case WIRE_VARINT:
    case WIRE_GROUP_END:
        break;
    case WIRE_FIXED64:
    case WIRE_FIXED32:
        shape->not_real = shape->not_real || !looks_real(field->type, field->value);
        break;
    case WIRE_BYTES:
        if (shape->message != NULL)
            note_inside(s, place, field->bytes, false, depth);
        else if (shape->field == NULL)
            note_unknown_bytes(s, place, field->bytes, depth);
        break;
    case WIRE_GROUP:
        note_inside(s, place, field->bytes, true, depth);
        break;
    }
}

/* `depth`: of what is inside. */
static void note_message(struct protobuf_shapes *s, uint32_t place, struct span message, unsigned depth)
{
    struct wire_reader r = {.text = message};
    struct wire_field field;
    uint64_t self = ++s->messages;
    while (s->fault == JSON_FAULT_NONE && wire_next(&r, &field)) {
        uint32_t child = protobuf_shapes_of(s, place, &field);
        if (child == 0)
            return;
        struct protobuf_shape *shape = &s->at[child];
        shape->list = shape->list || shape->last == self;
        shape->last = self;
        note_value(s, child, &field, depth + 1);
    }
}

void protobuf_shapes_start(struct protobuf_shapes *s, const struct descriptor_message *type)
{
    s->fault = JSON_FAULT_NONE;
    s->count = 0;
    s->messages = 0;
    if (s->room == 0 && !grow(s))
        return;
    memset(s->slots, 0, s->slot_room * sizeof(*s->slots));
    s->at[s->count++] = (struct protobuf_shape){.message = type};
}

void protobuf_shapes_note(struct protobuf_shapes *s, struct span message)
{
    if (s->fault == JSON_FAULT_NONE)
        note_message(s, 0, message, 0);
}

/* ---- what they are ---- */

bool protobuf_shape_is_text(const struct protobuf_shape *shape)
{
    return !shape->not_text;
}

bool protobuf_shape_is_message(const struct protobuf_shape *shape)
{
    return shape->not_text && !shape->not_message;
}

bool protobuf_shape_is_mixed(const struct protobuf_shape *shape)
{
    return (shape->wires & (shape->wires - 1)) != 0;
}

/* ---- buffers ---- */

void protobuf_shapes_trim(struct protobuf_shapes *s)
{
    if (s->room > SHAPES_KEPT)
        protobuf_shapes_done(s);
}

void protobuf_shapes_done(struct protobuf_shapes *s)
{
    free(s->at);
    free(s->slots);
    *s = (struct protobuf_shapes){0};
}
