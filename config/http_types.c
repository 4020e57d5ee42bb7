/*
 * Types of what requests are matched by: hosts, paths, methods, headers, query parameters.
 */
#include "config/types.h"

#include <string.h>

#include "config/fields.h"
#include "config/loader.h"
#include "config/names.h"
#include "config/pattern.h"
#include "config/texts.h"
#include "config/writer.h"

static bool pointer_is_set(const struct config_key *key, const void *base)
{
    return *KEY_CONST_FIELD(void *, key, base) != NULL;
}

/* ---- hosts and paths ---- */

static void read_host(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const char expected[] = "a host such as api.example.com or *.example.com";
    const struct node *scalar = loader_scalar(loader, node, expected);
    const char *host = scalar == NULL ? NULL : loader_lower(loader, scalar);
    if (host == NULL)
        return;
    const char *wrong = pattern_host_fault(host);
    if (wrong == NULL)
        *KEY_FIELD(const char *, key, base) = host;
    else
        loader_fault(loader, scalar->place, "%s: %s; expected %s", node_shown(loader->faults, scalar), wrong, expected);
}

static void write_host(struct writer *writer, const struct config_key *key, const void *base)
{
    writer_value(writer, *KEY_CONST_FIELD(char *, key, base));
}

static void read_path(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const char expected[] = "a path such as /orders, /orders/* or /orders/**";
    const struct node *scalar = loader_scalar(loader, node, expected);
    const char *why = NULL;
    if (scalar == NULL)
        return;
    struct config_path *path = pattern_path(loader->arena, scalar->text, &why);
    if (path != NULL)
        *KEY_FIELD(struct config_path *, key, base) = path;
    else if (why == NULL)
        faults_no_memory(loader->faults);
    else
        loader_fault(loader, scalar->place, "%s: %s; expected %s", node_shown(loader->faults, scalar), why, expected);
}

static void write_path(struct writer *writer, const struct config_key *key, const void *base)
{
    const struct config_path *path = *KEY_CONST_FIELD(struct config_path *, key, base);
    writer_value(writer, path->text);
}

const struct config_type type_host = {
    .name = "a host", .read = read_host, .write = write_host, .is_set = pointer_is_set};
const struct config_type type_path = {
    .name = "a path", .read = read_path, .write = write_path, .is_set = pointer_is_set};

/* ---- methods ---- */

static const char *method_fault(const char *text)
{
    if (strcmp(text, "*") == 0)
        return NULL;
    if (!name_is_token(text))
        return "is no method";
    for (const char *at = text; *at != '\0'; at++) {
        if (*at >= 'a' && *at <= 'z')
            return "is not in upper case, and methods are compared exactly";
    }
    return strcmp(text, "CONNECT") == 0 ? "is refused by shunt in every request" : NULL;
}

/* Reads a list of methods; *all says whether it is ["*"]. False after a fault. */
static bool list_methods(struct loader *loader, const struct node *node, struct texts *texts, bool *all)
{
    static const struct texts_rule rule = {.expected = "a list of methods such as [GET, HEAD], or [\"*\"] for all",
                                           .item_expected = "a method such as GET",
                                           .fault = method_fault};
    if (!texts_read(loader, node, &rule, texts))
        return false;
    *all = false;
    for (uint32_t i = 0; i < texts->count; i++)
        *all = *all || strcmp(texts->items[i], "*") == 0;
    if (texts->count == 0)
        loader_fault(loader, node->place, "the list is empty; expected %s", rule.expected);
    else if (*all && texts->count > 1)
        loader_fault(loader, node->place, "\"*\" already names all methods; expected it alone, or only the others");
    else
        return true;
    return false;
}

static void read_methods(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    struct texts texts = {0};
    bool all = false;
    if (!list_methods(loader, node, &texts, &all))
        return;
    *KEY_FIELD(const char **, key, base) = texts.items;
    *KEY_COUNT(key, base) = texts.count;
    *KEY_ALL(key, base) = all;
}

/* A match says "all methods" by naming none. */
static void read_match_methods(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    struct texts texts = {0};
    bool all = false;
    if (!list_methods(loader, node, &texts, &all) || all)
        return;
    *KEY_FIELD(const char **, key, base) = texts.items;
    *KEY_COUNT(key, base) = texts.count;
}

static void write_methods(struct writer *writer, const struct config_key *key, const void *base)
{
    writer_texts(writer, *KEY_CONST_FIELD(char *const *, key, base), *KEY_CONST_COUNT(key, base));
}

const struct config_type type_methods = {
    .name = "a list of methods", .read = read_methods, .write = write_methods, .is_set = key_has_items};
const struct config_type type_match_methods = {
    .name = "a list of methods", .read = read_match_methods, .write = write_methods, .is_set = key_has_items};

/* ---- fields ---- */

static void read_header_fields(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    fields_read(loader, node, FIELD_HEADER, KEY_FIELD(struct config_field_match *, key, base), KEY_COUNT(key, base));
}

static void read_query_fields(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    fields_read(loader, node, FIELD_QUERY, KEY_FIELD(struct config_field_match *, key, base), KEY_COUNT(key, base));
}

static void write_fields(struct writer *writer, const struct config_key *key, const void *base)
{
    const struct config_field_match *matches = *KEY_CONST_FIELD(struct config_field_match *, key, base);
    writer_raw(writer, " { ");
    for (uint32_t i = 0; i < *KEY_CONST_COUNT(key, base); i++) {
        writer_raw(writer, i > 0 ? ", " : "");
        fields_write_one(writer, &matches[i]);
    }
    writer_raw(writer, " }\n");
}

const struct config_type type_header_fields = {
    .name = "names and values", .read = read_header_fields, .write = write_fields, .is_set = key_has_items};
const struct config_type type_query_fields = {
    .name = "names and values", .read = read_query_fields, .write = write_fields, .is_set = key_has_items};

/* ---- header names ---- */

static const char *header_name_fault(const char *text)
{
    return name_is_token(text) ? NULL : "holds other characters than letters, digits and !#$%&'*+-.^_`|~";
}

static void read_header_names(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const struct texts_rule rule = {.expected = "a list of header names",
                                           .item_expected = "the name of a header",
                                           .fault = header_name_fault,
                                           .lower = true};
    struct texts texts = {0};
    if (!texts_read(loader, node, &rule, &texts))
        return;
    *KEY_FIELD(const char **, key, base) = texts.items;
    *KEY_COUNT(key, base) = texts.count;
}

const struct config_type type_header_names = {
    .name = "a list of header names", .read = read_header_names, .write = write_methods};
