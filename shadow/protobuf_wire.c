/*
 * Wire format: see protobuf_wire.h. Strict where other readers shrug, because a text that is taken for a message by
 * mistake is the greater harm: a varint has at most 64 bits, a field number is never 0. A varint that is longer than it
 * needs to be is fine. Pure; reads nothing beyond the text. Used on the compare thread and where a descriptor is
 * loaded.
 */
#include "shadow/protobuf_wire.h"

static const char *const fault_names[WIRE_FAULTS] = {
    [WIRE_FAULT_NONE] = "none",
    [WIRE_FAULT_ENDS_EARLY] = "ends early",
    [WIRE_FAULT_VARINT] = "number of more than 64 bits",
    [WIRE_FAULT_NUMBER] = "no field number",
    [WIRE_FAULT_TYPE] = "no wire type",
    [WIRE_FAULT_GROUP] = "end of a group that is not open",
    [WIRE_FAULT_DEPTH] = "groups nested too deeply",
};

const char *wire_fault_name(enum wire_fault fault)
{
    return (unsigned)fault < WIRE_FAULTS ? fault_names[fault] : "unknown";
}

static bool fail(struct wire_reader *r, enum wire_fault fault)
{
    r->fault = fault;
    return false;
}

/* These move `at` only when they succeed. */

static bool read_varint(struct wire_reader *r, size_t *at, uint64_t *value)
{
    uint64_t bits = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (*at == r->text.len)
            return fail(r, WIRE_FAULT_ENDS_EARLY);
        unsigned char byte = (unsigned char)r->text.at[(*at)++];
        if (shift == 63 && byte > 1)
            return fail(r, WIRE_FAULT_VARINT);
        bits |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = bits;
            return true;
        }
    }
    return fail(r, WIRE_FAULT_VARINT);
}

/* Little endian. */
static bool read_fixed(struct wire_reader *r, size_t *at, unsigned bytes, uint64_t *value)
{
    uint64_t bits = 0;
    if (r->text.len - *at < bytes)
        return fail(r, WIRE_FAULT_ENDS_EARLY);
    for (unsigned i = 0; i < bytes; i++)
        bits |= (uint64_t)(unsigned char)r->text.at[*at + i] << 8 * i;
    *at += bytes;
    *value = bits;
    return true;
}

static bool read_bytes(struct wire_reader *r, size_t *at, struct span *bytes)
{
    uint64_t len;
    if (!read_varint(r, at, &len))
        return false;
    if (len > r->text.len - *at)
        return fail(r, WIRE_FAULT_ENDS_EARLY);
    *bytes = (struct span){r->text.at + *at, (size_t)len};
    *at += (size_t)len;
    return true;
}

static bool read_tag(struct wire_reader *r, size_t *at, struct wire_field *field)
{
    uint64_t tag;
    if (!read_varint(r, at, &tag))
        return false;
    if (tag >> 3 == 0 || tag >> 3 > WIRE_NUMBER_MOST)
        return fail(r, WIRE_FAULT_NUMBER);
    if ((tag & 7) > WIRE_FIXED32)
        return fail(r, WIRE_FAULT_TYPE);
    *field = (struct wire_field){.number = (uint32_t)(tag >> 3), .type = (enum wire_type)(tag & 7)};
    return true;
}

/* What follows a tag; not of groups. */
static bool read_value(struct wire_reader *r, size_t *at, struct wire_field *field)
{
    switch (field->type) {
    case WIRE_VARINT:
        return read_varint(r, at, &field->value);
    case WIRE_FIXED64:
        return read_fixed(r, at, 8, &field->value);
    case WIRE_FIXED32:
        return read_fixed(r, at, 4, &field->value);
    case WIRE_BYTES:
        return read_bytes(r, at, &field->bytes);
    case WIRE_GROUP:
    case WIRE_GROUP_END:
        break;
    }
    return fail(r, WIRE_FAULT_GROUP);
}

/* Up to the tag that closes it; groups may be inside of groups. */
static bool read_group(struct wire_reader *r, size_t *at, struct wire_field *group)
{
    uint32_t open[WIRE_GROUPS] = {group->number};
    size_t from = *at, depth = 1;
    while (depth > 0) {
        struct wire_field field;
        size_t before = *at;
        if (!read_tag(r, at, &field))
            return false;
        if (field.type == WIRE_GROUP_END) {
            if (field.number != open[--depth])
                return fail(r, WIRE_FAULT_GROUP);
            group->bytes = (struct span){r->text.at + from, before - from};
        } else if (field.type == WIRE_GROUP) {
            if (depth == WIRE_GROUPS)
                return fail(r, WIRE_FAULT_DEPTH);
            open[depth++] = field.number;
        } else if (!read_value(r, at, &field)) {
            return false;
        }
    }
    return true;
}

bool wire_next(struct wire_reader *r, struct wire_field *field)
{
    size_t at = r->at;
    if (r->fault != WIRE_FAULT_NONE || at == r->text.len || !read_tag(r, &at, field))
        return false;
    if (field->type == WIRE_GROUP ? !read_group(r, &at, field) : !read_value(r, &at, field))
        return false;
    r->at = at;
    return true;
}

bool wire_next_packed(struct wire_reader *r, enum wire_type type, uint64_t *value)
{
    struct wire_field field = {.type = type};
    size_t at = r->at;
    if (r->fault != WIRE_FAULT_NONE || at == r->text.len || !read_value(r, &at, &field))
        return false;
    *value = field.value;
    r->at = at;
    return true;
}

enum wire_fault wire_check(struct span text, size_t *at)
{
    struct wire_reader r = {.text = text};
    struct wire_field field;
    while (wire_next(&r, &field))
        ;
    if (at != NULL)
        *at = r.at;
    return r.fault;
}
