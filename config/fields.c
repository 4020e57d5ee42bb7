/*
 * Fields: reading and writing what a route or an override asks of headers, cookies and query parameters.
 *
 * Header names are kept in lower case, as they are compared without regard to case (RFC 9110 section 5.1); cookie and
 * query names are exact.
 */
#include "config/fields.h"

#include <inttypes.h>
#include <string.h>

#include "config/names.h"
#include "config/pattern.h"
#include "config/texts.h"

static const char *name_fault(const char *name, enum field_place place)
{
    if (name[0] == '\0')
        return "is empty";
    if (strlen(name) > NAME_BYTES * 4)
        return "is longer than 256 bytes";
    if (place == FIELD_QUERY)
        return NULL;
    return name_is_token(name) ? NULL : "holds other characters than letters, digits and !#$%&'*+-.^_`|~";
}

static bool read_name(struct loader *loader, const struct node_item *item, enum field_place place,
                      struct config_field_match *match)
{
    static const char *const expected[] = {
        [FIELD_HEADER] = "the name of a header",
        [FIELD_COOKIE] = "the name of a cookie",
        [FIELD_QUERY] = "the name of a query parameter",
    };
    const char *wrong = name_fault(item->key, place);
    if (wrong != NULL) {
        loader_fault(loader, item->key_place, "the name %s %s; expected %s", text_shown(loader->faults, item->key),
                     wrong, expected[place]);
        return false;
    }
    size_t len = strlen(item->key);
    match->name = place == FIELD_HEADER ? config_arena_lower(loader->arena, item->key, len)
                                        : config_arena_text(loader->arena, item->key, len);
    match->name_len = (uint32_t)len;
    if (match->name == NULL)
        faults_no_memory(loader->faults);
    return match->name != NULL;
}

static bool read_single(struct loader *loader, const struct node *node, struct config_field_match *match)
{
    const struct node *scalar = loader_scalar(loader, node, "a value, a list of values, or \"*\" for any value");
    if (scalar == NULL)
        return false;
    if (strcmp(scalar->text, "*") == 0 && scalar->origin == NULL)
        return true;
    match->values = loader_take(loader, 1, sizeof(*match->values));
    const char *text = loader_text(loader, scalar);
    if (match->values == NULL || text == NULL)
        return false;
    match->values[0] = text;
    match->value_count = 1;
    return true;
}

static bool read_values(struct loader *loader, const struct node *node, struct config_field_match *match)
{
    static const struct texts_rule rule = {.expected = "a value, a list of values, or \"*\" for any value",
                                           .item_expected = "a value",
                                           .may_be_empty = true};
    if (node->kind != NODE_LIST)
        return read_single(loader, node, match);
    struct texts texts = {0};
    if (node->count == 0) {
        loader_fault(loader, node->place, "the list is empty, so nothing would match; expected %s", rule.expected);
        return false;
    }
    if (!texts_read(loader, node, &rule, &texts))
        return false;
    match->values = texts.items;
    match->value_count = texts.count;
    return true;
}

bool fields_read_one(struct loader *loader, const struct node_item *item, enum field_place place,
                     struct config_field_match *match)
{
    struct config_field_match read = {0};
    size_t mark = faults_enter_key(loader->faults, item->key);
    bool good = read_name(loader, item, place, &read);
    good = read_values(loader, item->value, &read) && good;
    faults_leave(loader->faults, mark);
    if (good)
        *match = read;
    return good;
}

/* Two spellings of one header would be two keys of the mapping. */
static void check_spelling(struct loader *loader, const struct node_item *item,
                           const struct config_field_match *matches, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(matches[i].name, matches[count].name) == 0)
            loader_fault(loader, item->key_place, "the header %s stands here in two spellings; expected it once",
                         text_shown(loader->faults, item->key));
    }
}

void fields_read(struct loader *loader, const struct node *node, enum field_place place,
                 struct config_field_match **matches, uint32_t *count)
{
    const struct node *mapping = loader_mapping(loader, node, "a mapping of names to values");
    if (mapping == NULL)
        return;
    if (mapping->count > PATTERN_FIELDS) {
        loader_fault(loader, mapping->place, "there are %" PRIu32 " names; expected at most %d", mapping->count,
                     PATTERN_FIELDS);
        return;
    }
    *matches = loader_take(loader, mapping->count, sizeof(**matches));
    *count = 0;
    const struct node_item *item = *matches == NULL ? NULL : mapping->items;
    for (; item != NULL; item = item->next) {
        if (!fields_read_one(loader, item, place, &(*matches)[*count]))
            continue;
        check_spelling(loader, item, *matches, *count);
        ++*count;
    }
}

void fields_write_one(struct writer *writer, const struct config_field_match *match)
{
    writer_name(writer, match->name);
    writer_raw(writer, ": ");
    if (match->value_count == 0)
        writer_raw(writer, "\"*\"");
    if (match->value_count > 0)
        writer_raw(writer, "[");
    for (uint32_t i = 0; i < match->value_count; i++) {
        writer_raw(writer, i > 0 ? ", " : "");
        writer_text(writer, match->values[i]);
    }
    if (match->value_count > 0)
        writer_raw(writer, "]");
}
