/*
 * A pair of rows of protobuf messages as a pair of documents for the JSON differ, with or without a descriptor.
 *
 * A message becomes an object with a member for each field, under its number, "$.3.1[2]", or under the name a
 * descriptor gives it, "$.order.items[2]". The order of fields on the wire does not count; the order of the values of
 * one field does. What a field without a descriptor is, protobuf_shape.h says. A place that has several types on the
 * wire, on either side, has its values written so that two of different types are never equal: varints as numbers,
 * fixed ones as "fixed32 17", texts as "text ...", groups as lists.
 *
 * With a descriptor: enums by name, maps as objects by key, bytes in base64, lists of numbers packed or not, and a
 * scalar of proto3 that is sent with its default is as good as not sent.
 */
#ifndef SHUNT_SHADOW_PROTOBUF_TREE_H
#define SHUNT_SHADOW_PROTOBUF_TREE_H

#include "shadow/descriptor.h"
#include "shadow/doc_builder.h"

struct protobuf_tree; /* buffers that are used again */

struct protobuf_tree *protobuf_tree_new(void); /* NULL without memory */
void protobuf_tree_free(struct protobuf_tree *tree);

/* A message that came. One that is not sound is written as broken, and so is one that does not read as a message. */
struct protobuf_part {
    struct span bytes;
    enum node_fault fault;
};

struct protobuf_parts {
    const struct protobuf_part *at; /* borrowed */
    uint32_t count;
};

/*
 * `type`: what they are, or NULL. `list`: each document is the list of the messages; else it is the message, of which
 * there is one on each side. JSON_FAULT_NONE, or the bound that was reached.
 */
enum json_fault protobuf_tree_make(struct protobuf_tree *tree, const struct descriptor_message *type, bool list,
                                   const struct protobuf_parts sides[2], struct doc_builder *docs[2]);

#endif
