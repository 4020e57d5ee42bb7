/*
 * Documents that were not JSON: see doc_builder.h. XML, forms, lines of JSON and protobuf come to the differ this way.
 * It checks the bounds that json_doc_parse() checks, remembers the first that was reached and takes nothing more. Runs
 * on the compare thread.
 */
#include "shadow/doc_builder.h"

#include <stdlib.h>
#include <string.h>

enum {
    NODES_FIRST = 512,
    NODES_KEPT = 64 * 1024,
    TEXT_FIRST = 16 * 1024,
    TEXT_KEPT = 1024 * 1024,
};

static void refuse(struct doc_builder *b, enum json_fault fault)
{
    if (b->fault == JSON_FAULT_NONE)
        b->fault = fault;
}

/* ---- text and nodes ---- */

static bool text_room(struct doc_builder *b, size_t more)
{
    if (b->fault != JSON_FAULT_NONE)
        return false;
    if (more <= b->room - b->len)
        return true;
    if (more >= UINT32_MAX - b->len) {
        refuse(b, JSON_FAULT_SIZE);
        return false;
    }
    size_t room = b->room == 0 ? TEXT_FIRST : b->room * 2;
    if (room < b->len + more)
        room = b->len + more;
    char *text = realloc(b->text, room);
    if (text == NULL) {
        refuse(b, JSON_FAULT_MEMORY);
        return false;
    }
    b->text = text;
    b->room = room;
    return true;
}

/* The caller has made room. */
static void put_inside(struct doc_builder *b, const void *at, size_t len)
{
    if (len == 0)
        return;
    memcpy(b->text + b->len, at, len);
    b->len += len;
}

static void put(struct doc_builder *b, const void *at, size_t len)
{
    if (text_room(b, len))
        put_inside(b, at, len);
}

/* What stands in front of a value, and `room` for the value itself. False after a fault. */
static bool put_tag(struct doc_builder *b, char tag, size_t len, size_t room)
{
    uint32_t length = (uint32_t)len;
    if (!text_room(b, sizeof(tag) + sizeof(length) + room))
        return false;
    put_inside(b, &tag, sizeof(tag));
    put_inside(b, &length, sizeof(length));
    return true;
}

static bool node_room(struct doc_builder *b, uint32_t more)
{
    struct json_doc *doc = &b->doc;
    if (b->fault != JSON_FAULT_NONE)
        return false;
    if (more > json_doc_most(doc) - doc->count) {
        refuse(b, JSON_FAULT_SIZE);
        return false;
    }
    if (more <= doc->room - doc->count)
        return true;
    uint32_t room = doc->room == 0 ? NODES_FIRST : doc->room * 2;
    if (room < doc->count + more)
        room = doc->count + more;
    struct json_node *nodes = realloc(doc->nodes, room * sizeof(*nodes));
    if (nodes == NULL) {
        refuse(b, JSON_FAULT_MEMORY);
        return false;
    }
    doc->nodes = nodes;
    doc->room = room;
    return true;
}

/* A node that starts where the text ends now; NULL after a fault. */
static struct json_node *add_node(struct doc_builder *b, enum node_type type)
{
    if (!node_room(b, 1))
        return NULL;
    struct json_node *node = &b->doc.nodes[b->doc.count++];
    *node = (struct json_node){.start = (uint32_t)b->len, .next = b->doc.count, .type = (uint8_t)type};
    return node;
}

static void count_in_container(struct doc_builder *b)
{
    if (b->fault == JSON_FAULT_NONE && b->depth > 0)
        b->doc.nodes[b->open[b->depth - 1]].count++;
}

/* ---- values ---- */

static void open_container(struct doc_builder *b, enum node_type type)
{
    count_in_container(b);
    if (b->depth == JSON_DEPTH)
        refuse(b, JSON_FAULT_DEPTH);
    uint32_t index = b->doc.count;
    if (add_node(b, type) == NULL)
        return;
    b->open[b->depth++] = index;
    put(b, type == NODE_OBJECT ? "{" : "[", 1);
}

void doc_builder_open_array(struct doc_builder *b)
{
    open_container(b, NODE_ARRAY);
}

void doc_builder_open_object(struct doc_builder *b, const struct doc_order *order)
{
    _Static_assert(sizeof(*order) == NODE_ORDER_BYTES, "what is written is what is read");
    open_container(b, NODE_OBJECT);
    if (order == NULL || b->fault != JSON_FAULT_NONE)
        return;
    b->doc.nodes[b->open[b->depth - 1]].ordered = true;
    put(b, order, sizeof(*order));
}

void doc_builder_close(struct doc_builder *b)
{
    if (b->fault != JSON_FAULT_NONE)
        return;
    uint32_t index = b->open[--b->depth];
    put(b, b->doc.nodes[index].type == NODE_OBJECT ? "}" : "]", 1);
    b->doc.nodes[index].end = (uint32_t)b->len;
    b->doc.nodes[index].next = b->doc.count;
}

static struct json_node *add_string(struct doc_builder *b, char tag, const char *at, size_t len)
{
    struct json_node *node = put_tag(b, tag, len, len + 2) ? add_node(b, NODE_STRING) : NULL;
    if (node == NULL)
        return NULL;
    put_inside(b, "\"", 1);
    put_inside(b, at, len);
    put_inside(b, "\"", 1);
    node->count = (uint32_t)len;
    node->end = (uint32_t)b->len;
    return node;
}

void doc_builder_name(struct doc_builder *b, const char *at, size_t len)
{
    add_string(b, 'n', at, len);
}

void doc_builder_field(struct doc_builder *b, const char *at, size_t len)
{
    struct json_node *node = add_string(b, 'n', at, len);
    if (node != NULL)
        node->schema = true;
}

void doc_builder_string(struct doc_builder *b, const char *at, size_t len)
{
    count_in_container(b);
    add_string(b, 's', at, len);
}

static void add_literal(struct doc_builder *b, enum node_type type, const char *at, size_t len)
{
    count_in_container(b);
    struct json_node *node = put_tag(b, 'l', len, len) ? add_node(b, type) : NULL;
    if (node == NULL)
        return;
    put_inside(b, at, len);
    node->end = (uint32_t)b->len;
}

void doc_builder_number(struct doc_builder *b, const char *at, size_t len)
{
    add_literal(b, NODE_NUMBER, at, len);
}

void doc_builder_boolean(struct doc_builder *b, bool value)
{
    add_literal(b, NODE_BOOLEAN, value ? "true" : "false", value ? 4 : 5);
}

void doc_builder_broken(struct doc_builder *b, enum node_fault fault, const char *at, size_t len)
{
    count_in_container(b);
    struct json_node *node = add_string(b, (char)('0' + fault), at, len);
    if (node != NULL)
        node->broken = (uint8_t)fault;
}

void doc_builder_document(struct doc_builder *b, const struct json_doc *doc)
{
    count_in_container(b);
    if (!put_tag(b, 'd', doc->len, doc->len) || !node_room(b, doc->count))
        return;
    uint32_t shift = (uint32_t)b->len, first = b->doc.count;
    put_inside(b, doc->text, doc->len);
    for (uint32_t i = 0; i < doc->count; i++) {
        struct json_node *node = &b->doc.nodes[b->doc.count++];
        *node = doc->nodes[i];
        node->start += shift;
        node->end += shift;
        node->next += first;
    }
}

/* ---- from start to finish ---- */

void doc_builder_start(struct doc_builder *b)
{
    b->len = 0;
    b->depth = 0;
    b->fault = JSON_FAULT_NONE;
    b->doc.count = 0;
}

enum json_fault doc_builder_finish(struct doc_builder *b)
{
    b->doc.text = b->text;
    b->doc.len = b->len;
    b->doc.fault = b->fault;
    b->doc.fault_at = 0;
    return b->fault;
}

void doc_builder_trim(struct doc_builder *b)
{
    if (b->doc.room > NODES_KEPT || b->room > TEXT_KEPT)
        doc_builder_done(b);
}

void doc_builder_done(struct doc_builder *b)
{
    json_doc_done(&b->doc);
    free(b->text);
    b->text = NULL;
    b->len = b->room = 0;
}
