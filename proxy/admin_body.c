/*
 * Bodies of admin requests. A member nobody knows is refused: a misspelt "force" must not be overlooked.
 *
 * Called by admin.c on the control thread; touches nothing else.
 */
#include "proxy/admin_body.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct admin_field no_fields[] = {{0}};

static const struct admin_field *field_named(const struct admin_field *fields, const char *name)
{
    for (; fields->name != NULL; fields++)
        if (strcmp(fields->name, name) == 0)
            return fields;
    return NULL;
}

static bool is_pair(const json_t *item)
{
    return json_is_array(item) && json_array_size(item) == 2 && json_is_string(json_array_get(item, 0)) &&
           json_is_string(json_array_get(item, 1));
}

static bool are_headers(json_t *value)
{
    const char *name;
    size_t i;
    json_t *item;
    if (json_is_object(value)) {
        json_object_foreach(value, name, item)
        {
            if (!json_is_string(item))
                return false;
        }
        return true;
    }
    if (!json_is_array(value))
        return false;
    json_array_foreach(value, i, item)
    {
        if (!is_pair(item))
            return false;
    }
    return true;
}

static bool has_type(json_t *value, enum admin_field_type type)
{
    switch (type) {
    case ADMIN_BOOLEAN:
        return json_is_boolean(value);
    case ADMIN_NUMBER:
        return json_is_number(value);
    case ADMIN_STRING:
        return json_is_string(value);
    case ADMIN_HEADERS:
        return are_headers(value);
    }
    return false;
}

/* "percent, reason, who" */
static void list_names(const struct admin_field *fields, char *out, size_t room)
{
    size_t length = 0;
    out[0] = '\0';
    for (; fields->name != NULL && length < room; fields++)
        length += (size_t)snprintf(out + length, room - length, "%s%s", length > 0 ? ", " : "", fields->name);
}

static bool check_members(json_t *body, const struct admin_field *fields, char **error)
{
    const char *name;
    json_t *value;
    json_object_foreach(body, name, value)
    {
        const struct admin_field *field = field_named(fields, name);
        if (field == NULL) {
            char known[256];
            list_names(fields, known, sizeof(known));
            if (asprintf(error, "body: \"%.64s\" is unknown; expected %s", name, known[0] ? known : "no members") < 0)
                *error = NULL;
            return false;
        }
        if (!has_type(value, field->type)) {
            if (asprintf(error, "body: \"%s\" is of the wrong type; expected %s", name, field->expected) < 0)
                *error = NULL;
            return false;
        }
    }
    for (const struct admin_field *field = fields; field->name != NULL; field++) {
        if (field->required && json_object_get(body, field->name) == NULL) {
            if (asprintf(error, "body: \"%s\" is missing; expected %s", field->name, field->expected) < 0)
                *error = NULL;
            return false;
        }
    }
    return true;
}

json_t *admin_body_read(const char *at, size_t length, const struct admin_field *fields, char **error)
{
    json_error_t fault;
    json_t *body = length == 0 ? json_object() : json_loadb(at, length, JSON_REJECT_DUPLICATES, &fault);
    *error = NULL;
    if (body == NULL) {
        if (length > 0 &&
            asprintf(error, "body, line %d, column %d: not JSON: %s", fault.line, fault.column, fault.text) < 0)
            *error = NULL;
        return NULL;
    }
    if (!json_is_object(body)) {
        *error = strdup("body: expected a JSON object");
    } else if (check_members(body, fields != NULL ? fields : no_fields, error)) {
        return body;
    }
    json_decref(body);
    return NULL;
}
