/*
 * Dotted paths into JSON. Reads only; called by all that show an answer.
 */
#include "tools/shuntctl/value.h"

#include <string.h>

json_t *value_at(const json_t *object, const char *path)
{
    char name[64];
    const json_t *at = object;
    while (at != NULL && *path != '\0') {
        size_t length = strcspn(path, ".");
        if (length >= sizeof(name))
            return NULL;
        memcpy(name, path, length);
        name[length] = '\0';
        at = json_object_get(at, name);
        path += length + (path[length] == '.');
    }
    return (json_t *)at;
}

const char *value_text(const json_t *object, const char *path)
{
    const char *text = json_string_value(value_at(object, path));
    return text != NULL ? text : "";
}

double value_number(const json_t *object, const char *path)
{
    return json_number_value(value_at(object, path));
}

uint64_t value_count(const json_t *object, const char *path)
{
    json_int_t value = json_integer_value(value_at(object, path));
    return value > 0 ? (uint64_t)value : 0;
}

bool value_flag(const json_t *object, const char *path)
{
    return json_is_true(value_at(object, path));
}
