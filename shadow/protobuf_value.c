/*
 * Protobuf scalars: see protobuf_value.h. After protobuf's JSON mapping, so that a rule of a path means what it would
 * mean for the same message sent as JSON; only numbers of 64 bits are numbers here. Compare thread.
 */
#include "shadow/protobuf_value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/protobuf_shape.h"

/* The shortest text of a row of precisions that reads as the same number. */
static size_t real_text(char to[PROTOBUF_NUMBER_ROOM], enum wire_type type, uint64_t bits)
{
    double real = protobuf_real(type, bits);
    bool single = type == WIRE_FIXED32;
    if (!isfinite(real))
        return (size_t)snprintf(to, PROTOBUF_NUMBER_ROOM, "%s",
                                isnan(real) ? "NaN"
                                : real > 0  ? "Infinity"
                                            : "-Infinity");
    int length = snprintf(to, PROTOBUF_NUMBER_ROOM, "%.*g", single ? 6 : 15, real);
    double again = single ? (double)strtof(to, NULL) : strtod(to, NULL);
    if (memcmp(&again, &real, sizeof(real)) != 0) /* NOLINT(bugprone-suspicious-memory-comparison): not even -0 */
        length = snprintf(to, PROTOBUF_NUMBER_ROOM, "%.*g", single ? 9 : 17, real);
    return (size_t)length;
}

static int64_t unzigzag(uint64_t bits)
{
    return (int64_t)(bits >> 1 ^ (0 - (bits & 1)));
}

static size_t signed_text(char to[PROTOBUF_NUMBER_ROOM], int64_t number)
{
    return (size_t)snprintf(to, PROTOBUF_NUMBER_ROOM, "%" PRId64, number);
}

static size_t unsigned_text(char to[PROTOBUF_NUMBER_ROOM], uint64_t number)
{
    return (size_t)snprintf(to, PROTOBUF_NUMBER_ROOM, "%" PRIu64, number);
}

size_t protobuf_number_text(char to[PROTOBUF_NUMBER_ROOM], enum descriptor_kind kind, uint64_t bits)
{
    switch (kind) {
    case KIND_DOUBLE:
        return real_text(to, WIRE_FIXED64, bits);
    case KIND_FLOAT:
        return real_text(to, WIRE_FIXED32, bits);
    case KIND_INT32:
    case KIND_ENUM:
    case KIND_SFIXED32:
        return signed_text(to, (int32_t)(uint32_t)bits);
    case KIND_UINT32:
    case KIND_FIXED32:
        return unsigned_text(to, (uint32_t)bits);
    case KIND_SINT32:
        return signed_text(to, unzigzag((uint32_t)bits));
    case KIND_SINT64:
        return signed_text(to, unzigzag(bits));
    case KIND_INT64:
    case KIND_SFIXED64:
        return signed_text(to, (int64_t)bits);
    case KIND_BOOL:
        return unsigned_text(to, bits != 0 ? 1 : 0);
    default:
        return unsigned_text(to, bits);
    }
}

static void add_enum(struct doc_builder *to, const struct descriptor_field *field, uint64_t bits)
{
    char text[PROTOBUF_NUMBER_ROOM];
    struct span name = descriptor_value_name(field->values, (int32_t)(uint32_t)bits);
    if (name.len > 0)
        doc_builder_string(to, name.at, name.len);
    else
        doc_builder_number(to, text, protobuf_number_text(text, KIND_ENUM, bits));
}

void protobuf_value_add(struct doc_builder *to, const struct descriptor_field *field, const struct wire_field *value)
{
    char text[PROTOBUF_NUMBER_ROOM];
    if (field->kind == KIND_STRING) {
        doc_builder_string(to, value->bytes.at, value->bytes.len);
    } else if (field->kind == KIND_BOOL) {
        doc_builder_boolean(to, value->value != 0);
    } else if (field->kind == KIND_ENUM) {
        add_enum(to, field, value->value);
    } else {
        size_t len = protobuf_number_text(text, field->kind, value->value);
        if (text[len - 1] > '9') /* "NaN" and the infinities */
            doc_builder_string(to, text, len);
        else
            doc_builder_number(to, text, len);
    }
}

void protobuf_bytes_add(struct doc_builder *to, const char *prefix, struct span bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t at = strlen(prefix);
    char *text = malloc(at + bytes.len / 3 * 4 + 5);
    if (text == NULL) {
        to->fault = to->fault == JSON_FAULT_NONE ? JSON_FAULT_MEMORY : to->fault;
        return;
    }
    memcpy(text, prefix, at);
    for (size_t i = 0; i < bytes.len; i += 3) {
        uint32_t three = 0;
        size_t left = bytes.len - i < 3 ? bytes.len - i : 3;
        for (size_t k = 0; k < left; k++)
            three |= (uint32_t)(unsigned char)bytes.at[i + k] << (16 - 8 * k);
        for (size_t k = 0; k < 4; k++)
            text[at++] = k <= left ? digits[three >> (18 - 6 * k) & 63] : '=';
    }
    doc_builder_string(to, text, at);
    free(text);
}
