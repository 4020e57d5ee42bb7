/*
 * What fields of protobuf messages are called and what they are: a google.protobuf.FileDescriptorSet, as
 * `protoc --include_imports --descriptor_set_out=FILE` writes it.
 */
#ifndef SHUNT_SHADOW_DESCRIPTOR_H
#define SHUNT_SHADOW_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "shadow/protobuf_wire.h"
#include "shadow/span.h"

/* google.protobuf.FieldDescriptorProto.Type */
enum descriptor_kind {
    KIND_DOUBLE = 1,
    KIND_FLOAT,
    KIND_INT64,
    KIND_UINT64,
    KIND_INT32,
    KIND_FIXED64,
    KIND_FIXED32,
    KIND_BOOL,
    KIND_STRING,
    KIND_GROUP,
    KIND_MESSAGE,
    KIND_BYTES,
    KIND_UINT32,
    KIND_ENUM,
    KIND_SFIXED32,
    KIND_SFIXED64,
    KIND_SINT32,
    KIND_SINT64,
    KINDS,
};

struct descriptor_enum;

struct descriptor_field {
    uint32_t number;
    enum descriptor_kind kind;
    bool repeated;
    bool presence;                            /* that it is there says something, even where it has its default */
    struct span name;                         /* of the set */
    const struct descriptor_message *message; /* KIND_MESSAGE, KIND_GROUP */
    const struct descriptor_enum *values;     /* KIND_ENUM */
};

struct descriptor_message {
    char *name;                      /* owned: "package.Outer.Inner" */
    struct descriptor_field *fields; /* owned; by number */
    uint32_t field_count;
    bool map_entry;         /* field 1 is the key, field 2 the value */
    bool implicit_presence; /* proto3: a scalar without a label is there when it is not its default */
    struct span source;
};

struct descriptor_method {
    char *path; /* owned: "package.Service/Method" */
    const struct descriptor_message *output;
    bool streams; /* any number of answers, and not one */
};

struct descriptor_set;

enum {
    DESCRIPTOR_BYTES = 16 * 1024 * 1024,
    DESCRIPTOR_DEPTH = 32, /* of messages declared in messages */
    DESCRIPTOR_FAULT_ROOM = 320,
};

/* Keeps a copy of `text`. NULL: `fault` says why. */
struct descriptor_set *descriptor_set_read(struct span text, char fault[DESCRIPTOR_FAULT_ROOM]);
/* Reads a file; blocks. NULL: `fault` says why. */
struct descriptor_set *descriptor_set_load(const char *path, char fault[DESCRIPTOR_FAULT_ROOM]);
void descriptor_set_free(struct descriptor_set *set); /* NULL is fine */
/* Reads the files that routes name and says every fault, for --check. True when there is none. Blocks. */
bool descriptor_sets_check(const struct config *config, void (*on_fault)(void *context, const char *fault),
                           void *context);

/* "package.Message"; a point in front does not count. NULL: there is none. What is returned here lives as long as
 * `set`. */
const struct descriptor_message *descriptor_message_named(const struct descriptor_set *set, struct span name);
/* Of a request's path, by its last two segments: "/package.Service/Method". NULL: there is none. */
const struct descriptor_method *descriptor_method_of(const struct descriptor_set *set, struct span path);

const struct descriptor_field *descriptor_field_numbered(const struct descriptor_message *message, uint32_t number);
/* The name of a value; empty where it has none. */
struct span descriptor_value_name(const struct descriptor_enum *values, int32_t number);

/* How a kind stands on the wire. */
enum wire_type descriptor_wire_type(enum descriptor_kind kind);
/* May a repeated field of this kind be packed? */
bool descriptor_may_be_packed(enum descriptor_kind kind);

#endif
