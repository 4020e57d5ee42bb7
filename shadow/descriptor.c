/*
 * Descriptor sets: see descriptor.h. Finding in a set that was read (descriptor_read.c), and the file it comes from. A
 * set is never written again, so any thread may look into it; the compare thread does.
 */
#include "shadow/descriptor_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t wire_types[KINDS] = {
    [KIND_DOUBLE] = WIRE_FIXED64,   [KIND_FLOAT] = WIRE_FIXED32, [KIND_INT64] = WIRE_VARINT,
    [KIND_UINT64] = WIRE_VARINT,    [KIND_INT32] = WIRE_VARINT,  [KIND_FIXED64] = WIRE_FIXED64,
    [KIND_FIXED32] = WIRE_FIXED32,  [KIND_BOOL] = WIRE_VARINT,   [KIND_STRING] = WIRE_BYTES,
    [KIND_GROUP] = WIRE_GROUP,      [KIND_MESSAGE] = WIRE_BYTES, [KIND_BYTES] = WIRE_BYTES,
    [KIND_UINT32] = WIRE_VARINT,    [KIND_ENUM] = WIRE_VARINT,   [KIND_SFIXED32] = WIRE_FIXED32,
    [KIND_SFIXED64] = WIRE_FIXED64, [KIND_SINT32] = WIRE_VARINT, [KIND_SINT64] = WIRE_VARINT,
};

enum wire_type descriptor_wire_type(enum descriptor_kind kind)
{
    return (enum wire_type)wire_types[kind];
}

bool descriptor_may_be_packed(enum descriptor_kind kind)
{
    return wire_types[kind] != WIRE_BYTES && wire_types[kind] != WIRE_GROUP;
}

int descriptor_by_message_name(const void *a, const void *b)
{
    return strcmp(((const struct descriptor_message *)a)->name, ((const struct descriptor_message *)b)->name);
}

int descriptor_by_enum_name(const void *a, const void *b)
{
    return strcmp(((const struct descriptor_enum *)a)->name, ((const struct descriptor_enum *)b)->name);
}

int descriptor_by_path(const void *a, const void *b)
{
    return strcmp(((const struct descriptor_method *)a)->path, ((const struct descriptor_method *)b)->path);
}

static void *find(const void *array, uint32_t count, size_t size, const void *key,
                  int (*order)(const void *, const void *))
{
    return count == 0 ? NULL : bsearch(key, array, count, size, order);
}

/* False: longer than any name there is. */
static bool name_text(char text[DESCRIPTOR_NAME_LONGEST * 2 + 2], struct span name)
{
    if (name.len > DESCRIPTOR_NAME_LONGEST * 2 + 1 || (name.len > 0 && memchr(name.at, '\0', name.len) != NULL))
        return false;
    memcpy(text, name.at, name.len);
    text[name.len] = '\0';
    return true;
}

static struct span without_point(struct span name)
{
    return name.len > 0 && name.at[0] == '.' ? (struct span){name.at + 1, name.len - 1} : name;
}

const struct descriptor_message *descriptor_message_named(const struct descriptor_set *set, struct span name)
{
    char text[DESCRIPTOR_NAME_LONGEST * 2 + 2];
    struct descriptor_message key = {.name = text};
    if (!name_text(text, without_point(name)))
        return NULL;
    return find(set->messages, set->message_count, sizeof(key), &key, descriptor_by_message_name);
}

const struct descriptor_enum *descriptor_enum_named(const struct descriptor_set *set, struct span name)
{
    char text[DESCRIPTOR_NAME_LONGEST * 2 + 2];
    struct descriptor_enum key = {.name = text};
    if (!name_text(text, without_point(name)))
        return NULL;
    return find(set->enums, set->enum_count, sizeof(key), &key, descriptor_by_enum_name);
}

static size_t last_slash(struct span text)
{
    size_t at = text.len;
    while (at > 0 && text.at[at - 1] != '/')
        at--;
    return at; /* behind it; 0: there is none */
}

const struct descriptor_method *descriptor_method_of(const struct descriptor_set *set, struct span path)
{
    char text[DESCRIPTOR_NAME_LONGEST * 2 + 2];
    struct descriptor_method key = {.path = text};
    const char *query = path.len == 0 ? NULL : memchr(path.at, '?', path.len);
    if (query != NULL)
        path.len = (size_t)(query - path.at);
    size_t method = last_slash(path);
    size_t service = method == 0 ? 0 : last_slash((struct span){path.at, method - 1});
    if (method == 0 || !name_text(text, (struct span){path.at + service, path.len - service}))
        return NULL;
    return find(set->methods, set->method_count, sizeof(key), &key, descriptor_by_path);
}

const struct descriptor_field *descriptor_field_numbered(const struct descriptor_message *message, uint32_t number)
{
    uint32_t low = 0, high = message->field_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (message->fields[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < message->field_count && message->fields[low].number == number ? &message->fields[low] : NULL;
}

struct span descriptor_value_name(const struct descriptor_enum *values, int32_t number)
{
    uint32_t low = 0, high = values->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (values->values[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < values->count && values->values[low].number == number;
    return found ? values->values[low].name : (struct span){"", 0};
}

void descriptor_set_free(struct descriptor_set *set)
{
    if (set == NULL)
        return;
    for (uint32_t i = 0; i < set->message_count; i++) {
        free(set->messages[i].name);
        free(set->messages[i].fields);
    }
    for (uint32_t i = 0; i < set->enum_count; i++) {
        free(set->enums[i].name);
        free(set->enums[i].values);
    }
    for (uint32_t i = 0; i < set->method_count; i++)
        free(set->methods[i].path);
    free(set->messages);
    free(set->enums);
    free(set->methods);
    free(set->text);
    free(set);
}

static char *read_file(int file, size_t *len, char fault[DESCRIPTOR_FAULT_ROOM])
{
    struct stat facts;
    if (fstat(file, &facts) != 0 || !S_ISREG(facts.st_mode)) {
        snprintf(fault, DESCRIPTOR_FAULT_ROOM, "is no file");
        return NULL;
    }
    if (facts.st_size > DESCRIPTOR_BYTES) {
        snprintf(fault, DESCRIPTOR_FAULT_ROOM, "is larger than %d MiB", DESCRIPTOR_BYTES / 1024 / 1024);
        return NULL;
    }
    char *text = malloc((size_t)facts.st_size + 1);
    if (text == NULL) {
        snprintf(fault, DESCRIPTOR_FAULT_ROOM, "no memory");
        return NULL;
    }
    for (*len = 0; *len < (size_t)facts.st_size;) {
        ssize_t got = read(file, text + *len, (size_t)facts.st_size - *len);
        if (got <= 0) {
            snprintf(fault, DESCRIPTOR_FAULT_ROOM, "cannot be read: %s", got < 0 ? strerror(errno) : "it got shorter");
            free(text);
            return NULL;
        }
        *len += (size_t)got;
    }
    return text;
}

struct descriptor_set *descriptor_set_load(const char *path, char fault[DESCRIPTOR_FAULT_ROOM])
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe by that name must not hold us up */
    size_t len = 0;
    if (file < 0) {
        snprintf(fault, DESCRIPTOR_FAULT_ROOM, "cannot be opened: %s", strerror(errno));
        return NULL;
    }
    char *text = read_file(file, &len, fault);
    (void)close(file);
    if (text == NULL)
        return NULL;
    struct descriptor_set *set = descriptor_set_read((struct span){text, len}, fault);
    free(text);
    return set;
}

bool descriptor_sets_check(const struct config *config, void (*on_fault)(void *context, const char *fault),
                           void *context)
{
    bool good = true;
    for (uint32_t i = 0; i < config->route_count; i++) {
        char reason[DESCRIPTOR_FAULT_ROOM], *fault = NULL;
        const char *path = config->routes[i].shadow.compare.descriptor_set;
        struct descriptor_set *set = path == NULL ? NULL : descriptor_set_load(path, reason);
        descriptor_set_free(set);
        if (path == NULL || set != NULL)
            continue;
        good = false;
        bool told = asprintf(&fault, "routes[%u].shadow.compare.descriptor_set: %s: %s", i, path, reason) >= 0;
        on_fault(context, told ? fault : reason);
        if (told)
            free(fault);
    }
    return good;
}
