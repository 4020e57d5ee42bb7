/*
 * Reading descriptor sets: see descriptor.h. Read with the same reader as the messages they describe; only what
 * comparing needs is kept. Two passes: every message and enum gets its full name, then fields and methods find theirs
 * among them. The file is the operator's own, but it may be the wrong one, so nothing in it is trusted: names are
 * identifiers, types are there, depth and size are bounded. Where rules are made: the compare thread, and the checking
 * of a file.
 */
#include "shadow/descriptor_inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TYPES_MOST = 64 * 1024, /* messages, enums, methods: of each */
    FIELDS_MOST = 512 * 1024,
};

/* What stands in the file: numbers of fields of descriptor.proto. */
enum {
    SET_FILE = 1,
    FILE_PACKAGE = 2,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    FILE_SYNTAX = 12,
    MESSAGE_NAME = 1,
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    MESSAGE_OPTIONS = 7,
    OPTIONS_MAP_ENTRY = 7,
    FIELD_NAME = 1,
    FIELD_NUMBER = 3,
    FIELD_LABEL = 4,
    FIELD_TYPE = 5,
    FIELD_TYPE_NAME = 6,
    FIELD_ONEOF = 9,
    FIELD_OPTIONAL = 17,
    LABEL_REPEATED = 3,
    ENUM_NAME = 1,
    ENUM_VALUE = 2,
    VALUE_NAME = 1,
    VALUE_NUMBER = 2,
    SERVICE_NAME = 1,
    SERVICE_METHOD = 2,
    METHOD_NAME = 1,
    METHOD_OUTPUT = 3,
    METHOD_STREAMS = 6,
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct descriptor_set *set, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(set->fault, DESCRIPTOR_FAULT_ROOM, format, arguments);
    va_end(arguments);
    return false;
}

static bool no_memory(struct descriptor_set *set)
{
    return refuse(set, "no memory");
}

/* ---- reading ---- */

static bool is_identifier(struct span name, bool points)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool later = i > 0 && ((c >= '0' && c <= '9') || (points && c == '.'));
        if (!letter && !later)
            return false;
    }
    return name.len > 0;
}

static bool name_is_good(struct descriptor_set *set, struct span name, const char *what)
{
    return is_identifier(name, false) || refuse(set, "the name of %s is no identifier", what);
}

/* The last field of this number that is bytes; empty where there is none. */
static struct span text_of(struct span message, uint32_t number)
{
    struct wire_reader r = {.text = message};
    struct wire_field field;
    struct span found = {"", 0};
    while (wire_next(&r, &field))
        if (field.number == number && field.type == WIRE_BYTES)
            found = field.bytes;
    return found;
}

static uint64_t number_of(struct span message, uint32_t number, uint64_t otherwise)
{
    struct wire_reader r = {.text = message};
    struct wire_field field;
    while (wire_next(&r, &field))
        if (field.number == number && field.type == WIRE_VARINT)
            otherwise = field.value;
    return otherwise;
}

static bool has_number(struct span message, uint32_t number)
{
    return number_of(message, number, 0) == number_of(message, number, 1);
}

/* The next field of this number that is a message. */
static bool next_of(struct wire_reader *r, uint32_t number, struct span *message)
{
    struct wire_field field;
    while (wire_next(r, &field)) {
        if (field.number != number || field.type != WIRE_BYTES)
            continue;
        *message = field.bytes;
        return true;
    }
    return false;
}

/* Room for one more element; NULL after a fault. */
static void *add(struct descriptor_set *set, void **array, uint32_t *count, uint32_t *room, size_t size, uint32_t most)
{
    if (*count == most) {
        refuse(set, "more than %u types or methods", most);
        return NULL;
    }
    if (*count == *room) {
        uint32_t larger = *room == 0 ? 64 : *room * 2;
        void *grown = realloc(*array, larger * size);
        if (grown == NULL) {
            no_memory(set);
            return NULL;
        }
        *array = grown;
        *room = larger;
    }
    void *element = (char *)*array + (size_t)(*count)++ * size;
    memset(element, 0, size);
    return element;
}

/* "scope.name", or "name" where there is no scope; malloc'd, NULL after a fault. */
static char *full_name(struct descriptor_set *set, const char *scope, char between, struct span name)
{
    char *full = NULL;
    size_t len = strlen(scope);
    if (len + name.len > DESCRIPTOR_NAME_LONGEST) {
        refuse(set, "a name of more than %d characters", DESCRIPTOR_NAME_LONGEST);
        return NULL;
    }
    if (asprintf(&full, "%s%.*s%.*s", scope, len > 0 ? 1 : 0, &between, (int)name.len, name.at) < 0) {
        no_memory(set);
        return NULL;
    }
    return full;
}

/* ---- first pass: which types there are ---- */

static bool find_enum(struct descriptor_set *set, struct span source, const char *scope)
{
    struct span name = text_of(source, ENUM_NAME);
    if (!name_is_good(set, name, "an enum"))
        return false;
    struct descriptor_enum *found =
        add(set, (void **)&set->enums, &set->enum_count, &set->enum_room, sizeof(*found), TYPES_MOST);
    if (found == NULL)
        return false;
    found->source = source;
    found->name = full_name(set, scope, '.', name);
    return found->name != NULL;
}

static bool find_enums(struct descriptor_set *set, struct span in, uint32_t number, const char *scope)
{
    struct wire_reader r = {.text = in};
    struct span source;
    while (next_of(&r, number, &source))
        if (!find_enum(set, source, scope))
            return false;
    return true;
}

static bool find_messages(struct descriptor_set *set, struct span in, uint32_t number, const char *scope, bool proto3,
                          int depth);

static bool find_message(struct descriptor_set *set, struct span source, const char *scope, bool proto3, int depth)
{
    struct span name = text_of(source, MESSAGE_NAME);
    if (!name_is_good(set, name, "a message"))
        return false;
    struct descriptor_message *found =
        add(set, (void **)&set->messages, &set->message_count, &set->message_room, sizeof(*found), TYPES_MOST);
    if (found == NULL)
        return false;
    found->source = source;
    found->implicit_presence = proto3;
    found->map_entry = number_of(text_of(source, MESSAGE_OPTIONS), OPTIONS_MAP_ENTRY, 0) != 0;
    char *inside = found->name = full_name(set, scope, '.', name); /* `found` moves when more are added */
    return inside != NULL && find_messages(set, source, MESSAGE_NESTED, inside, proto3, depth + 1) &&
           find_enums(set, source, MESSAGE_ENUM, inside);
}

static bool find_messages(struct descriptor_set *set, struct span in, uint32_t number, const char *scope, bool proto3,
                          int depth)
{
    struct wire_reader r = {.text = in};
    struct span source;
    if (depth > DESCRIPTOR_DEPTH)
        return refuse(set, "messages nested deeper than %d", DESCRIPTOR_DEPTH);
    while (next_of(&r, number, &source))
        if (!find_message(set, source, scope, proto3, depth))
            return false;
    return true;
}

/* The package of a file as a text; false where it is none. */
static bool package_of(struct descriptor_set *set, struct span file, char package[DESCRIPTOR_NAME_LONGEST + 1])
{
    struct span name = text_of(file, FILE_PACKAGE);
    if (name.len > DESCRIPTOR_NAME_LONGEST || (name.len > 0 && !is_identifier(name, true)))
        return refuse(set, "the name of a package is no identifier");
    memcpy(package, name.at, name.len);
    package[name.len] = '\0';
    return true;
}

static bool find_types(struct descriptor_set *set, struct span file)
{
    char package[DESCRIPTOR_NAME_LONGEST + 1];
    struct span syntax = text_of(file, FILE_SYNTAX);
    bool proto3 = span_equal(syntax, (struct span){"proto3", 6});
    return package_of(set, file, package) && find_messages(set, file, FILE_MESSAGE, package, proto3, 0) &&
           find_enums(set, file, FILE_ENUM, package);
}

/* ---- second pass: what is in them ---- */

static uint32_t count_of(struct span in, uint32_t number)
{
    struct wire_reader r = {.text = in};
    struct span one;
    uint32_t count = 0;
    while (next_of(&r, number, &one))
        count++;
    return count;
}

static int by_value(const void *a, const void *b)
{
    const struct enum_value *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

/* Room that belongs to all fields and values of the set is taken; NULL after a fault. */
static void *make_fields(struct descriptor_set *set, uint32_t count, size_t size)
{
    if (count > FIELDS_MOST - set->field_count) {
        refuse(set, "more than %d fields", FIELDS_MOST);
        return NULL;
    }
    set->field_count += count;
    void *made = calloc((size_t)count + 1, size);
    if (made == NULL)
        no_memory(set);
    return made;
}

static bool read_enum(struct descriptor_set *set, struct descriptor_enum *to)
{
    struct wire_reader r = {.text = to->source};
    struct span source;
    to->values = make_fields(set, count_of(to->source, ENUM_VALUE), sizeof(*to->values));
    if (to->values == NULL)
        return false;
    while (next_of(&r, ENUM_VALUE, &source)) {
        struct span name = text_of(source, VALUE_NAME);
        if (!name_is_good(set, name, "a value of an enum"))
            return false;
        int32_t number = (int32_t)(uint32_t)number_of(source, VALUE_NUMBER, 0);
        to->values[to->count] = (struct enum_value){.number = number, .place = to->count, .name = name};
        to->count++;
    }
    if (to->count > 1)
        qsort(to->values, to->count, sizeof(*to->values), by_value);
    return true;
}

/* What a field's type_name stands for. */
static bool find_type(struct descriptor_set *set, struct descriptor_field *field, struct span name)
{
    if (field->kind == KIND_ENUM)
        field->values = descriptor_enum_named(set, name);
    else if (field->kind == KIND_MESSAGE || field->kind == KIND_GROUP)
        field->message = descriptor_message_named(set, name);
    else
        return true;
    if (field->values != NULL || field->message != NULL)
        return true;
    if (name.len > 0 && name.at[0] == '.')
        name = (struct span){name.at + 1, name.len - 1};
    return refuse(set, "the type %.*s of the field %.*s is not in it; protoc includes it with --include_imports",
                  is_identifier(name, true) ? (int)(name.len < 100 ? name.len : 100) : 0, name.at,
                  (int)(field->name.len < 60 ? field->name.len : 60), field->name.at);
}

static bool read_field(struct descriptor_set *set, const struct descriptor_message *of, struct span source,
                       struct descriptor_field *field)
{
    uint64_t kind = number_of(source, FIELD_TYPE, 0), number = number_of(source, FIELD_NUMBER, 0);
    field->name = text_of(source, FIELD_NAME);
    if (!name_is_good(set, field->name, "a field"))
        return false;
    if (kind == 0 || kind >= KINDS || number == 0 || number > WIRE_NUMBER_MOST)
        return refuse(set, "the field %.*s of %s has no type or no number",
                      (int)(field->name.len < 60 ? field->name.len : 60), field->name.at, of->name);
    field->kind = (enum descriptor_kind)kind;
    field->number = (uint32_t)number;
    field->repeated = number_of(source, FIELD_LABEL, 1) == LABEL_REPEATED;
    field->presence = !of->implicit_presence || has_number(source, FIELD_ONEOF) ||
                      number_of(source, FIELD_OPTIONAL, 0) != 0 || field->kind == KIND_MESSAGE;
    return find_type(set, field, text_of(source, FIELD_TYPE_NAME));
}

static int by_number(const void *a, const void *b)
{
    const struct descriptor_field *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static bool read_message(struct descriptor_set *set, struct descriptor_message *to)
{
    struct wire_reader r = {.text = to->source};
    struct span source;
    to->fields = make_fields(set, count_of(to->source, MESSAGE_FIELD), sizeof(*to->fields));
    if (to->fields == NULL)
        return false;
    while (next_of(&r, MESSAGE_FIELD, &source))
        if (!read_field(set, to, source, &to->fields[to->field_count++]))
            return false;
    if (to->field_count > 1)
        qsort(to->fields, to->field_count, sizeof(*to->fields), by_number);
    return true;
}

static bool read_types(struct descriptor_set *set)
{
    for (uint32_t i = 0; i < set->enum_count; i++)
        if (!read_enum(set, &set->enums[i]))
            return false;
    for (uint32_t i = 0; i < set->message_count; i++)
        if (!read_message(set, &set->messages[i]))
            return false;
    return true;
}

static bool read_method(struct descriptor_set *set, const char *service, struct span source)
{
    struct span name = text_of(source, METHOD_NAME);
    if (!name_is_good(set, name, "a method"))
        return false;
    struct descriptor_method *method =
        add(set, (void **)&set->methods, &set->method_count, &set->method_room, sizeof(*method), TYPES_MOST);
    if (method == NULL)
        return false;
    method->path = full_name(set, service, '/', name);
    method->streams = number_of(source, METHOD_STREAMS, 0) != 0;
    method->output = descriptor_message_named(set, text_of(source, METHOD_OUTPUT));
    if (method->path == NULL)
        return false;
    return method->output != NULL ||
           refuse(set, "what %s answers is not in it; protoc includes it with --include_imports", method->path);
}

static bool read_service(struct descriptor_set *set, const char *package, struct span source)
{
    struct span name = text_of(source, SERVICE_NAME), method;
    struct wire_reader r = {.text = source};
    char *service = name_is_good(set, name, "a service") ? full_name(set, package, '.', name) : NULL;
    bool good = service != NULL;
    while (good && next_of(&r, SERVICE_METHOD, &method))
        good = read_method(set, service, method);
    free(service);
    return good;
}

static bool read_services(struct descriptor_set *set, struct span file)
{
    char package[DESCRIPTOR_NAME_LONGEST + 1];
    struct wire_reader r = {.text = file};
    struct span service;
    if (!package_of(set, file, package))
        return false;
    while (next_of(&r, FILE_SERVICE, &service))
        if (!read_service(set, package, service))
            return false;
    return true;
}

/* ---- all of it ---- */

static bool each_file(struct descriptor_set *set, struct span text,
                      bool (*read)(struct descriptor_set *set, struct span file))
{
    struct wire_reader r = {.text = text};
    struct span file;
    while (next_of(&r, SET_FILE, &file))
        if (!read(set, file))
            return false;
    return true;
}

/* Names that occur twice are one too many: which of them is meant nobody could say. */
static bool sort_types(struct descriptor_set *set)
{
    if (set->message_count > 1)
        qsort(set->messages, set->message_count, sizeof(*set->messages), descriptor_by_message_name);
    if (set->enum_count > 1)
        qsort(set->enums, set->enum_count, sizeof(*set->enums), descriptor_by_enum_name);
    for (uint32_t i = 1; i < set->message_count; i++)
        if (descriptor_by_message_name(&set->messages[i - 1], &set->messages[i]) == 0)
            return refuse(set, "the message %s is in it twice", set->messages[i].name);
    return true;
}

static bool read_all(struct descriptor_set *set, struct span text)
{
    size_t at;
    enum wire_fault fault = wire_check(text, &at);
    if (fault != WIRE_FAULT_NONE)
        return refuse(set,
                      "is no FileDescriptorSet (%s at byte %zu); protoc --include_imports --descriptor_set_out "
                      "makes one",
                      wire_fault_name(fault), at);
    if (!each_file(set, text, find_types) || !sort_types(set))
        return false;
    if (set->message_count == 0)
        return refuse(set, "has no messages; protoc --include_imports --descriptor_set_out makes a FileDescriptorSet");
    if (!read_types(set) || !each_file(set, text, read_services))
        return false;
    if (set->method_count > 1)
        qsort(set->methods, set->method_count, sizeof(*set->methods), descriptor_by_path);
    return true;
}

struct descriptor_set *descriptor_set_read(struct span text, char fault[DESCRIPTOR_FAULT_ROOM])
{
    struct descriptor_set *set = calloc(1, sizeof(*set));
    if (set == NULL) {
        snprintf(fault, DESCRIPTOR_FAULT_ROOM, "no memory");
        return NULL;
    }
    set->fault = fault;
    set->text = malloc(text.len + 1);
    bool good = set->text != NULL || no_memory(set);
    if (good) {
        memcpy(set->text, text.at, text.len);
        good = read_all(set, (struct span){set->text, text.len});
    }
    set->fault = NULL;
    if (good)
        return set;
    descriptor_set_free(set);
    return NULL;
}
