/*
 * What a descriptor set is made of, for the two files that read it and look it up.
 */
#ifndef SHUNT_SHADOW_DESCRIPTOR_INSIDE_H
#define SHUNT_SHADOW_DESCRIPTOR_INSIDE_H

#include "shadow/descriptor.h"

enum {
    DESCRIPTOR_NAME_LONGEST = 512, /* of a type, with its package */
};

struct enum_value {
    int32_t number;
    uint32_t place; /* of two names of one number the first counts */
    struct span name;
};

struct descriptor_enum {
    char *name;                /* owned */
    struct enum_value *values; /* owned; by number */
    uint32_t count;
    struct span source;
};

struct descriptor_set {
    char *text;                          /* owned: the file */
    struct descriptor_message *messages; /* owned; by name once all are there */
    uint32_t message_count, message_room;
    struct descriptor_enum *enums; /* owned; likewise */
    uint32_t enum_count, enum_room;
    struct descriptor_method *methods; /* owned; likewise */
    uint32_t method_count, method_room;
    uint32_t field_count; /* of all messages */
    char *fault;          /* borrowed while it is read */
};

/* Orders of the arrays, for qsort() and bsearch(). */
int descriptor_by_message_name(const void *a, const void *b);
int descriptor_by_enum_name(const void *a, const void *b);
int descriptor_by_path(const void *a, const void *b);

/* "package.Enum"; a point in front does not count. Once the enums are in their order. */
const struct descriptor_enum *descriptor_enum_named(const struct descriptor_set *set, struct span name);

#endif
