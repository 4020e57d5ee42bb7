/*
 * Protobuf as documents: see protobuf_tree.h. Two passes over both sides: what each place is (protobuf_shape.c), then
 * writing it down, the fields of a message in the order of their numbers. Recurses PROTOBUF_DEPTH deep at most. Compare
 * thread.
 */
#include "shadow/protobuf_tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/protobuf_shape.h"
#include "shadow/protobuf_value.h"

enum {
    ITEMS_FIRST = 256,
    ITEMS_KEPT = 16 * 1024,
    ITEMS_MOST = 1024 * 1024, /* fields of a message and of those around it */
};

/* A field of a message that is being written. */
struct item {
    struct wire_field field;
    uint32_t shape;
    uint32_t number; /* of the shape: what they are ordered by */
    uint32_t place;  /* and then by how they came */
};

struct protobuf_tree {
    struct protobuf_shapes shapes;
    struct item *items; /* owned stack: of a message inside of a message; addressed by index because it may move */
    uint32_t item_count, item_room;
};

struct region {
    uint32_t at, count;
};

struct protobuf_tree *protobuf_tree_new(void)
{
    return calloc(1, sizeof(struct protobuf_tree));
}

void protobuf_tree_free(struct protobuf_tree *t)
{
    if (t == NULL)
        return;
    protobuf_shapes_done(&t->shapes);
    free(t->items);
    free(t);
}

static void refuse(struct doc_builder *to, enum json_fault fault)
{
    if (to->fault == JSON_FAULT_NONE)
        to->fault = fault;
}

static const struct protobuf_shape *shape_at(const struct protobuf_tree *t, uint32_t shape)
{
    return &t->shapes.at[shape];
}

/* ---- the fields of a message, by number ---- */

static struct item *add_item(struct protobuf_tree *t, struct doc_builder *to)
{
    if (t->item_count < t->item_room)
        return &t->items[t->item_count++];
    if (t->item_count >= ITEMS_MOST) {
        refuse(to, JSON_FAULT_SIZE);
        return NULL;
    }
    uint32_t room = t->item_room == 0 ? ITEMS_FIRST : t->item_room * 2;
    struct item *items = realloc(t->items, room * sizeof(*items));
    if (items == NULL) {
        refuse(to, JSON_FAULT_MEMORY);
        return NULL;
    }
    t->items = items;
    t->item_room = room;
    return &t->items[t->item_count++];
}

static int by_number(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static struct region open_items(struct protobuf_tree *t, uint32_t shape, struct span message, struct doc_builder *to)
{
    struct wire_reader r = {.text = message};
    struct region region = {t->item_count, 0};
    struct wire_field field;
    uint32_t last = 0;
    bool sorted = true;
    while (to->fault == JSON_FAULT_NONE && wire_next(&r, &field)) {
        uint32_t child = protobuf_shapes_of(&t->shapes, shape, &field);
        struct item *item = child == 0 ? NULL : add_item(t, to);
        if (item == NULL)
            break;
        *item = (struct item){field, child, shape_at(t, child)->number, region.count++};
        sorted = sorted && item->number >= last;
        last = item->number;
    }
    if (!sorted && t->items != NULL)
        qsort(t->items + region.at, region.count, sizeof(struct item), by_number);
    return region;
}

static void close_items(struct protobuf_tree *t, struct region region)
{
    t->item_count = region.at;
}

/* ---- values ---- */

static void write_message(struct protobuf_tree *t, uint32_t shape, struct span message, struct doc_builder *to);

static void write_checked(struct protobuf_tree *t, uint32_t shape, struct span message, struct doc_builder *to)
{
    if (wire_check(message, NULL) == WIRE_FAULT_NONE)
        write_message(t, shape, message, to);
    else
        doc_builder_broken(to, NODE_NOT_PROTOBUF, message.at, message.len);
}

static void write_prefixed(struct doc_builder *to, const char *prefix, struct span text)
{
    char *whole = NULL;
    int len = asprintf(&whole, "%s%.*s", prefix, (int)text.len, text.at); /* printable: no NUL in it */
    if (len < 0) {
        refuse(to, JSON_FAULT_MEMORY);
        return;
    }
    doc_builder_string(to, whole, (size_t)len);
    free(whole);
}

static void write_unknown_bytes(struct protobuf_tree *t, uint32_t place, struct span bytes, struct doc_builder *to)
{
    const struct protobuf_shape *shape = shape_at(t, place);
    bool mixed = protobuf_shape_is_mixed(shape);
    if (protobuf_shape_is_message(shape))
        write_message(t, place, bytes, to);
    else if (!protobuf_shape_is_text(shape))
        protobuf_bytes_add(to, mixed ? "bytes " : "", bytes);
    else if (mixed)
        write_prefixed(to, "text ", bytes);
    else
        doc_builder_string(to, bytes.at, bytes.len);
}

static void write_unknown_fixed(const struct protobuf_shape *shape, const struct wire_field *field,
                                struct doc_builder *to)
{
    char text[PROTOBUF_NUMBER_ROOM];
    bool single = field->type == WIRE_FIXED32;
    if (protobuf_shape_is_mixed(shape)) {
        int len = snprintf(text, sizeof(text), "fixed%d %" PRIu64, single ? 32 : 64, field->value);
        doc_builder_string(to, text, (size_t)len);
        return;
    }
    enum descriptor_kind kind = single ? KIND_FIXED32 : KIND_FIXED64;
    if (!shape->not_real)
        kind = single ? KIND_FLOAT : KIND_DOUBLE;
    doc_builder_number(to, text, protobuf_number_text(text, kind, field->value));
}

static void write_unknown_group(struct protobuf_tree *t, uint32_t place, struct span inside, struct doc_builder *to)
{
    bool mixed = protobuf_shape_is_mixed(shape_at(t, place));
    if (mixed)
        doc_builder_open_array(to);
    write_message(t, place, inside, to);
    if (mixed)
        doc_builder_close(to);
}

static void write_unknown(struct protobuf_tree *t, uint32_t place, const struct wire_field *field,
                          struct doc_builder *to)
{
    char text[PROTOBUF_NUMBER_ROOM];
    switch (field->type) {
    case WIRE_VARINT:
        doc_builder_number(to, text, protobuf_number_text(text, KIND_INT64, field->value));
        break;
    case WIRE_FIXED64:
    case WIRE_FIXED32:
        write_unknown_fixed(shape_at(t, place), field, to);
        break;
    case WIRE_BYTES:
        write_unknown_bytes(t, place, field->bytes, to);
        break;
    case WIRE_GROUP:
        write_unknown_group(t, place, field->bytes, to);
        break;
    case WIRE_GROUP_END:
        break;
    }
}

static void write_value(struct protobuf_tree *t, uint32_t place, const struct wire_field *field, struct doc_builder *to)
{
    const struct protobuf_shape *shape = shape_at(t, place);
    if (shape->field == NULL)
        write_unknown(t, place, field, to);
    else if (shape->message != NULL)
        write_checked(t, place, field->bytes, to);
    else if (shape->field->kind == KIND_BYTES)
        protobuf_bytes_add(to, "", field->bytes);
    else
        protobuf_value_add(to, shape->field, field);
}

/* ---- maps ---- */

/* The last one counts; one that is not there has its default. */
static struct wire_field entry_part(struct span entry, const struct descriptor_field *part)
{
    struct wire_reader r = {.text = entry};
    struct wire_field field;
    struct wire_field found = {.number = part->number, .type = descriptor_wire_type(part->kind), .bytes = {"", 0}};
    while (wire_next(&r, &field))
        if (field.number == part->number && field.type == found.type)
            found = field;
    return found;
}

static void write_key(const struct descriptor_field *key, const struct wire_field *field, struct doc_builder *to)
{
    char text[PROTOBUF_NUMBER_ROOM];
    if (key->kind == KIND_STRING)
        doc_builder_name(to, field->bytes.at, field->bytes.len);
    else if (key->kind == KIND_BOOL)
        doc_builder_name(to, field->value != 0 ? "true" : "false", field->value != 0 ? 4 : 5);
    else
        doc_builder_name(to, text, protobuf_number_text(text, key->kind, field->value));
}

static bool is_map(const struct protobuf_shape *shape)
{
    const struct descriptor_message *entry = shape->message;
    return entry != NULL && entry->map_entry && shape->field != NULL && shape->field->repeated &&
           entry->field_count == 2 && entry->fields[0].number == 1 && entry->fields[1].number == 2 &&
           descriptor_wire_type(entry->fields[0].kind) != WIRE_GROUP && entry->fields[0].message == NULL;
}

static void write_map(struct protobuf_tree *t, uint32_t place, struct region group, struct doc_builder *to)
{
    const struct descriptor_field *parts = shape_at(t, place)->message->fields;
    doc_builder_open_object(to, NULL);
    for (uint32_t i = 0; i < group.count && to->fault == JSON_FAULT_NONE; i++) {
        struct span entry = t->items[group.at + i].field.bytes;
        if (wire_check(entry, NULL) != WIRE_FAULT_NONE) {
            doc_builder_name(to, "", 0);
            doc_builder_broken(to, NODE_NOT_PROTOBUF, entry.at, entry.len);
            continue;
        }
        struct wire_field key = entry_part(entry, &parts[0]), value = entry_part(entry, &parts[1]);
        uint32_t value_place = protobuf_shapes_of(&t->shapes, place, &value);
        if (value_place == 0)
            break;
        write_key(&parts[0], &key, to);
        write_value(t, value_place, &value, to);
    }
    doc_builder_close(to);
}

/* ---- messages ---- */

static bool is_packed(const struct protobuf_shape *shape, const struct wire_field *field)
{
    return shape->field != NULL && field->type == WIRE_BYTES && descriptor_may_be_packed(shape->field->kind);
}

static void write_packed(struct protobuf_tree *t, uint32_t place, struct span packed, struct doc_builder *to)
{
    struct wire_reader r = {.text = packed};
    enum wire_type type = descriptor_wire_type(shape_at(t, place)->field->kind);
    struct wire_field one = {.type = type};
    while (to->fault == JSON_FAULT_NONE && wire_next_packed(&r, type, &one.value))
        write_value(t, place, &one, to);
    if (r.fault != WIRE_FAULT_NONE)
        doc_builder_broken(to, NODE_NOT_PROTOBUF, packed.at + r.at, packed.len - r.at);
}

static void write_list(struct protobuf_tree *t, uint32_t place, struct region group, struct doc_builder *to)
{
    doc_builder_open_array(to);
    for (uint32_t i = 0; i < group.count && to->fault == JSON_FAULT_NONE; i++) {
        struct wire_field field = t->items[group.at + i].field; /* items may move */
        if (is_packed(shape_at(t, place), &field))
            write_packed(t, place, field.bytes, to);
        else
            write_value(t, place, &field, to);
    }
    doc_builder_close(to);
}

static void write_name(const struct protobuf_shape *shape, struct doc_builder *to)
{
    char number[16];
    if (shape->field != NULL) {
        doc_builder_field(to, shape->field->name.at, shape->field->name.len);
        return;
    }
    int len = snprintf(number, sizeof(number), "%" PRIu32, shape->number & ~(uint32_t)PROTOBUF_UNKNOWN);
    doc_builder_field(to, number, (size_t)len);
}

/* Is it for a reader that knows the schema as if it had not been sent? */
static bool is_as_good_as_absent(const struct protobuf_tree *t, const struct protobuf_shape *shape, struct region group)
{
    if (shape->field == NULL)
        return false;
    for (uint32_t i = 0; i < group.count; i++) {
        const struct wire_field *field = &t->items[group.at + i].field;
        if (field->bytes.len > 0 || field->value != 0)
            return false;
        if (shape->field->repeated ? !is_packed(shape, field) : shape->field->presence)
            return false;
    }
    return true;
}

/* All fields of one place in one message. */
static void write_group(struct protobuf_tree *t, struct region group, struct doc_builder *to)
{
    uint32_t place = t->items[group.at].shape;
    const struct protobuf_shape *shape = shape_at(t, place);
    if (is_as_good_as_absent(t, shape, group))
        return;
    write_name(shape, to);
    if (is_map(shape)) {
        write_map(t, place, group, to);
    } else if (shape->list) {
        write_list(t, place, group, to);
    } else {
        struct wire_field field = t->items[group.at].field;
        write_value(t, place, &field, to);
    }
}

static void write_message(struct protobuf_tree *t, uint32_t shape, struct span message, struct doc_builder *to)
{
    struct region items = open_items(t, shape, message, to);
    doc_builder_open_object(to, NULL);
    for (uint32_t i = 0; i < items.count && to->fault == JSON_FAULT_NONE;) {
        uint32_t count = 1;
        while (i + count < items.count && t->items[items.at + i + count].shape == t->items[items.at + i].shape)
            count++;
        write_group(t, (struct region){items.at + i, count}, to);
        i += count;
    }
    doc_builder_close(to);
    close_items(t, items);
}

/* ---- a pair ---- */

static void write_part(struct protobuf_tree *t, const struct protobuf_part *part, struct doc_builder *to)
{
    if (part->fault != NODE_SOUND)
        doc_builder_broken(to, part->fault, part->bytes.at, part->bytes.len);
    else
        write_checked(t, 0, part->bytes, to);
}

static void write_side(struct protobuf_tree *t, bool list, const struct protobuf_parts *parts, struct doc_builder *to)
{
    doc_builder_start(to);
    if (list)
        doc_builder_open_array(to);
    for (uint32_t i = 0; i < parts->count && to->fault == JSON_FAULT_NONE; i++)
        write_part(t, &parts->at[i], to);
    if (list)
        doc_builder_close(to);
    if (t->shapes.fault != JSON_FAULT_NONE)
        refuse(to, t->shapes.fault);
    doc_builder_finish(to);
}

static void trim(struct protobuf_tree *t)
{
    protobuf_shapes_trim(&t->shapes);
    if (t->item_room <= ITEMS_KEPT)
        return;
    free(t->items);
    t->items = NULL;
    t->item_room = 0;
}

enum json_fault protobuf_tree_make(struct protobuf_tree *t, const struct descriptor_message *type, bool list,
                                   const struct protobuf_parts sides[2], struct doc_builder *docs[2])
{
    enum json_fault fault;
    t->item_count = 0;
    protobuf_shapes_start(&t->shapes, type);
    for (int side = 0; side < 2; side++)
        for (uint32_t i = 0; i < sides[side].count; i++)
            if (sides[side].at[i].fault == NODE_SOUND && wire_check(sides[side].at[i].bytes, NULL) == WIRE_FAULT_NONE)
                protobuf_shapes_note(&t->shapes, sides[side].at[i].bytes);
    fault = t->shapes.fault;
    for (int side = 0; side < 2 && fault == JSON_FAULT_NONE; side++) {
        write_side(t, list, &sides[side], docs[side]);
        fault = docs[side]->fault;
    }
    trim(t);
    return fault;
}
