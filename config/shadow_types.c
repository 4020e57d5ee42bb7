/*
 * Types that only the sections on mirroring and comparing have: what a copy's head becomes, which answers are mirrored,
 * and rules of comparing.
 *
 * Called through the table of keys, as types.c is. A pattern is compiled here only to refuse a bad one with its place;
 * shadow/ compiles it again for itself.
 */
#include "config/types.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/jsonpath.h"
#include "config/loader.h"
#include "config/names.h"
#include "config/pattern.h"
#include "config/regex.h"
#include "config/scalar.h"
#include "config/texts.h"
#include "config/writer.h"

static void read_texts(struct loader *loader, const struct config_key *key, const struct node *node, void *base,
                       const struct texts_rule *rule)
{
    struct texts texts = {0};
    if (!texts_read(loader, node, rule, &texts))
        return;
    *KEY_FIELD(const char **, key, base) = texts.items;
    *KEY_COUNT(key, base) = texts.count;
}

/* ---- routes[].shadow.host ---- */

static const struct config_choice host_words[] = {
    {"original", SHADOW_HOST_ORIGINAL}, {"backend", SHADOW_HOST_BACKEND}, {NULL, 0}};

static void read_shadow_host(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const char expected[] = "original, backend, or a host such as api.example.com or api.example.com:8443";
    struct config_shadow *shadow = base;
    const struct node *scalar = loader_scalar(loader, node, expected);
    (void)key;
    if (scalar == NULL)
        return;
    for (const struct config_choice *choice = host_words; choice->word != NULL; choice++) {
        if (strcmp(choice->word, scalar->text) != 0)
            continue;
        shadow->host = (enum config_shadow_host)choice->value;
        return;
    }
    const char *why = NULL;
    if (scalar_host(loader->faults->arena, scalar->text, &why)) {
        shadow->host = SHADOW_HOST_FIXED;
        shadow->host_name = loader_text(loader, scalar);
    } else if (why == NULL) {
        faults_no_memory(loader->faults);
    } else {
        loader_fault(loader, scalar->place, "%s: %s; expected %s", node_shown(loader->faults, scalar), why, expected);
    }
}

static void write_shadow_host(struct writer *writer, const struct config_key *key, const void *base)
{
    const struct config_shadow *shadow = base;
    const struct config_choice *choice = host_words;
    (void)key;
    while (choice->word != NULL && choice->value != (int)shadow->host)
        choice++;
    writer_value(writer, choice->word != NULL ? choice->word : shadow->host_name);
}

static void write_host_range(struct writer *writer, const struct config_key *key)
{
    (void)key;
    writer_raw(writer, "`original`, `backend`, `HOST` or `HOST:PORT`");
}

const struct config_type type_shadow_host = {
    .name = "a host", .read = read_shadow_host, .write = write_shadow_host, .write_range = write_host_range};

/* ---- routes[].shadow.headers ---- */

enum {
    HEADER_EDITS_MOST = 64
};

struct kept_header {
    const char *name;
    const char *why;
};

/* Fields that say where a message begins and ends, or belong to one connection: a copy that lies about them is another
 * request, or the next one. */
static const struct kept_header kept_headers[] = {
    {"host", "is set with shadow.host"},
    {"content-length", "says how long the body is, and the body is copied as it came"},
    {"transfer-encoding", "says how long the body is, and the body is copied as it came"},
    {"trailer", "says what follows the body, and the body is copied as it came"},
    {"connection", "belongs to the connection, which shunt makes for itself"},
    {"keep-alive", "belongs to the connection, which shunt makes for itself"},
    {"proxy-connection", "belongs to the connection, which shunt makes for itself"},
    {"te", "belongs to the connection, which shunt makes for itself"},
    {"upgrade", "belongs to the connection, which shunt makes for itself"},
    {"expect", "is answered by shunt, and a copy never waits"},
    {"x-shunt-shadow", "marks every copy, so that backends can tell"},
};

static const char *edited_name_fault(const char *name)
{
    if (!name_is_token(name))
        return "holds other characters than letters, digits and !#$%&'*+-.^_`|~";
    for (size_t i = 0; i < sizeof(kept_headers) / sizeof(kept_headers[0]); i++) {
        if (strcasecmp(kept_headers[i].name, name) == 0)
            return kept_headers[i].why;
    }
    return NULL;
}

/* The route's edits with room for `more` of them behind; NULL after noting that there is no memory. */
static struct config_header_edit *grow_edits(struct loader *loader, struct config_shadow *shadow, uint32_t more)
{
    struct config_header_edit *edits = loader_take(loader, (size_t)shadow->header_count + more, sizeof(*edits));
    if (edits == NULL)
        return NULL;
    if (shadow->header_count > 0)
        memcpy(edits, shadow->headers, shadow->header_count * sizeof(*edits));
    shadow->headers = edits;
    return edits;
}

static void read_removals(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const struct texts_rule rule = {.expected = "a list of header names such as [Authorization]",
                                           .item_expected = "the name of another header",
                                           .fault = edited_name_fault,
                                           .lower = true};
    struct config_shadow *shadow = base;
    struct texts texts = {0};
    (void)key;
    if (!texts_read(loader, node, &rule, &texts) || grow_edits(loader, shadow, texts.count) == NULL)
        return;
    for (uint32_t i = 0; i < texts.count; i++)
        shadow->headers[shadow->header_count++] =
            (struct config_header_edit){.kind = HEADER_EDIT_REMOVE, .name = texts.items[i]};
}

/* Who reads the file must see at once what becomes of a header. */
static const char *edit_before(const struct config_shadow *shadow, enum config_header_edit_kind kind, const char *name)
{
    for (uint32_t i = 0; i < shadow->header_count; i++) {
        const struct config_header_edit *edit = &shadow->headers[i];
        if (strcasecmp(edit->name, name) != 0)
            continue;
        if (edit->kind == kind)
            return "stands here in two spellings; expected it once";
        if (kind == HEADER_EDIT_SET)
            return "stands under remove too, and set replaces what is there; expected it under set alone";
    }
    return NULL;
}

/* A value needs no check of its own: the tree refuses line breaks and control bytes wherever a value comes from. */
static void read_edit(struct loader *loader, struct config_shadow *shadow, enum config_header_edit_kind kind,
                      const struct node_item *item)
{
    const char *wrong = edited_name_fault(item->key);
    const char *twice = wrong == NULL ? edit_before(shadow, kind, item->key) : NULL;
    const struct node *scalar = loader_scalar(loader, item->value, "a value, or { file: PATH }");
    if (wrong != NULL)
        loader_fault(loader, item->key_place, "the header %s %s; expected the name of another header",
                     text_shown(loader->faults, item->key), wrong);
    else if (twice != NULL)
        loader_fault(loader, item->key_place, "the header %s %s", text_shown(loader->faults, item->key), twice);
    else if (scalar != NULL) {
        const char *name = config_arena_text(loader->arena, item->key, strlen(item->key));
        const char *value = loader_text(loader, scalar);
        if (name == NULL)
            faults_no_memory(loader->faults);
        if (name != NULL && value != NULL)
            shadow->headers[shadow->header_count++] = (struct config_header_edit){kind, name, value};
    }
}

static void read_edits(struct loader *loader, const struct node *node, struct config_shadow *shadow,
                       enum config_header_edit_kind kind)
{
    const struct node *mapping = loader_mapping(loader, node, "names and values such as { X-Api-Key: test }");
    if (mapping == NULL)
        return;
    if (mapping->count > HEADER_EDITS_MOST) {
        loader_fault(loader, mapping->place, "there are %" PRIu32 " headers; expected at most %d", mapping->count,
                     HEADER_EDITS_MOST);
        return;
    }
    if (grow_edits(loader, shadow, mapping->count) == NULL)
        return;
    for (const struct node_item *item = mapping->items; item != NULL; item = item->next) {
        size_t mark = faults_enter_key(loader->faults, item->key);
        read_edit(loader, shadow, kind, item);
        faults_leave(loader->faults, mark);
    }
}

static void read_replacements(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    (void)key;
    read_edits(loader, node, base, HEADER_EDIT_SET);
}

static void read_additions(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    (void)key;
    read_edits(loader, node, base, HEADER_EDIT_ADD);
}

static bool has_edit(const void *base, enum config_header_edit_kind kind)
{
    const struct config_shadow *shadow = base;
    for (uint32_t i = 0; i < shadow->header_count; i++) {
        if (shadow->headers[i].kind == kind)
            return true;
    }
    return false;
}

static bool has_removals(const struct config_key *key, const void *base)
{
    (void)key;
    return has_edit(base, HEADER_EDIT_REMOVE);
}

static bool has_replacements(const struct config_key *key, const void *base)
{
    (void)key;
    return has_edit(base, HEADER_EDIT_SET);
}

static bool has_additions(const struct config_key *key, const void *base)
{
    (void)key;
    return has_edit(base, HEADER_EDIT_ADD);
}

static void write_edits(struct writer *writer, const struct config_shadow *shadow, enum config_header_edit_kind kind)
{
    const char *between = "";
    writer_raw(writer, kind == HEADER_EDIT_REMOVE ? " [" : " { ");
    for (uint32_t i = 0; i < shadow->header_count; i++) {
        const struct config_header_edit *edit = &shadow->headers[i];
        if (edit->kind != kind)
            continue;
        writer_raw(writer, between);
        between = ", ";
        if (kind == HEADER_EDIT_REMOVE) {
            writer_text(writer, edit->name);
            continue;
        }
        writer_name(writer, edit->name);
        writer_raw(writer, ": ");
        writer_text(writer, edit->value);
    }
    writer_raw(writer, kind == HEADER_EDIT_REMOVE ? "]\n" : " }\n");
}

static void write_removals(struct writer *writer, const struct config_key *key, const void *base)
{
    (void)key;
    write_edits(writer, base, HEADER_EDIT_REMOVE);
}

static void write_replacements(struct writer *writer, const struct config_key *key, const void *base)
{
    (void)key;
    write_edits(writer, base, HEADER_EDIT_SET);
}

static void write_additions(struct writer *writer, const struct config_key *key, const void *base)
{
    (void)key;
    write_edits(writer, base, HEADER_EDIT_ADD);
}

const struct config_type type_header_removals = {
    .name = "a list of header names", .read = read_removals, .write = write_removals, .is_set = has_removals};
const struct config_type type_header_replacements = {
    .name = "names and values", .read = read_replacements, .write = write_replacements, .is_set = has_replacements};
const struct config_type type_header_additions = {
    .name = "names and values", .read = read_additions, .write = write_additions, .is_set = has_additions};

/* ---- routes[].shadow.statuses ---- */

static const char *status_fault(const char *text)
{
    struct config_status_range range;
    return scalar_statuses(text, &range.from, &range.to) ? NULL : "names no status of an answer";
}

static void read_statuses(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const struct texts_rule rule = {.expected = "a list of statuses such as [2xx, 404]",
                                           .item_expected = "2xx, 404 or 200-204, from 200 to 599",
                                           .fault = status_fault};
    struct texts texts = {0};
    if (!texts_read(loader, node, &rule, &texts))
        return;
    if (texts.count == 0) {
        loader_fault(loader, node->place,
                     "the list is empty, so nothing would be mirrored; expected %s, or a file "
                     "without this key for all",
                     rule.expected);
        return;
    }
    struct config_status_range *ranges = loader_take(loader, texts.count, sizeof(*ranges));
    if (ranges == NULL)
        return;
    for (uint32_t i = 0; i < texts.count; i++)
        (void)scalar_statuses(texts.items[i], &ranges[i].from, &ranges[i].to);
    *KEY_FIELD(struct config_status_range *, key, base) = ranges;
    *KEY_COUNT(key, base) = texts.count;
}

static void write_statuses(struct writer *writer, const struct config_key *key, const void *base)
{
    const struct config_status_range *ranges = *KEY_CONST_FIELD(struct config_status_range *, key, base);
    writer_raw(writer, " [");
    for (uint32_t i = 0; i < *KEY_CONST_COUNT(key, base); i++) {
        char text[SCALAR_TEXT_BYTES];
        scalar_print_statuses(ranges[i].from, ranges[i].to, text);
        writer_print(writer, "%s%s", i > 0 ? ", " : "", text);
    }
    writer_raw(writer, "]\n");
}

const struct config_type type_statuses = {
    .name = "a list of statuses", .read = read_statuses, .write = write_statuses, .is_set = key_has_items};

/* ---- routes[].shadow.endpoints, samples.deny ---- */

static void read_templates(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const struct texts_rule rule = {.expected = "a list of templates such as [\"/orders/{id}/items\"]",
                                           .item_expected = "a template such as /orders/{id}/items or /files/**",
                                           .fault = pattern_template_fault,
                                           .fault_is_sentence = true};
    read_texts(loader, key, node, base, &rule);
}

static const char *secret_name_fault(const char *text)
{
    return strlen(text) > NAME_BYTES ? "is longer than 64 bytes" : NULL;
}

static void read_secret_names(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const struct texts_rule rule = {.expected = "a list of names such as [X-Tenant-Key, birthday]",
                                           .item_expected = "the name of a header, a parameter or a JSON member",
                                           .fault = secret_name_fault,
                                           .lower = true};
    read_texts(loader, key, node, base, &rule);
}

const struct config_type type_templates = {
    .name = "a list of templates", .read = read_templates, .write = key_write_texts, .is_set = key_has_items};
const struct config_type type_secret_names = {
    .name = "a list of names", .read = read_secret_names, .write = key_write_texts, .is_set = key_has_items};

/* ---- routes[].shadow.compare.tolerance[].within: beside absolute and relative, which set the same two fields ---- */

static void read_within(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    struct config_tolerance *tolerance = base;
    uint64_t ms = 0;
    struct config_key whole = *key; /* the type of a duration writes a whole number */
    whole.at = 0;
    tolerance->kind = TOLERANCE_WITHIN;
    type_duration.read(loader, &whole, node, &ms);
    tolerance->amount = (double)ms;
}

static void write_within(struct writer *writer, const struct config_key *key, const void *base)
{
    char text[SCALAR_TEXT_BYTES];
    (void)key;
    scalar_print_duration((uint64_t)((const struct config_tolerance *)base)->amount, text);
    writer_value(writer, text);
}

static bool is_within(const struct config_key *key, const void *base)
{
    (void)key;
    return ((const struct config_tolerance *)base)->kind == TOLERANCE_WITHIN;
}

static void write_within_range(struct writer *writer, const struct config_key *key)
{
    type_duration.write_range(writer, key);
}

const struct config_type type_within = {.name = "a duration",
                                        .read = read_within,
                                        .write = write_within,
                                        .is_set = is_within,
                                        .write_range = write_within_range};

/* ---- routes[].shadow.compare.unordered: paths, and paths with a key ---- */

static const char unordered_expected[] = "a JSON path such as $.tags, or { path: \"$.items\", by: id }";

static bool unordered_has(const struct config_compare *compare, const char *path)
{
    for (uint32_t i = 0; i < compare->unordered_count; i++) {
        if (strcmp(compare->unordered[i], path) == 0)
            return true;
    }
    for (uint32_t i = 0; i < compare->keyed_count; i++) {
        if (compare->keyed[i].path != NULL && strcmp(compare->keyed[i].path, path) == 0)
            return true;
    }
    return false;
}

static void fault_twice(struct loader *loader, struct place place, const char *path)
{
    loader_fault(loader, place, "%s stands here twice; expected it once", text_shown(loader->faults, path));
}

static void read_unordered_path(struct loader *loader, const struct node *node, struct config_compare *compare)
{
    const struct node *scalar = loader_scalar(loader, node, unordered_expected);
    if (scalar == NULL)
        return;
    const char *wrong = jsonpath_fault(scalar->text);
    if (wrong != NULL) {
        loader_fault(loader, scalar->place, "%s %s; expected %s", node_shown(loader->faults, scalar), wrong,
                     unordered_expected);
        return;
    }
    const char *path = loader_text(loader, scalar);
    if (path == NULL)
        return;
    if (unordered_has(compare, path))
        fault_twice(loader, scalar->place, path);
    else
        compare->unordered[compare->unordered_count++] = path;
}

static void read_keyed(struct loader *loader, const struct config_key *key, const struct node *node,
                       struct config_compare *compare)
{
    struct config_keyed *keyed = &compare->keyed[compare->keyed_count];
    loader_read_section(loader, key->section, node, keyed);
    if (keyed->path != NULL && unordered_has(compare, keyed->path))
        fault_twice(loader, node->place, keyed->path);
    else
        compare->keyed_count++;
}

/* { file: PATH } is a path too, as everywhere; a section has other keys. */
static bool is_keyed(const struct node *node)
{
    return node->kind == NODE_MAPPING && !(node->count == 1 && node_find(node, "file") != NULL);
}

static void read_unordered(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    struct config_compare *compare = base;
    const struct node *list = loader_list(loader, node, "a list of JSON paths");
    if (list == NULL)
        return;
    if (list->count > TEXTS_MOST) {
        loader_fault(loader, list->place, "the list has %" PRIu32 " items; expected at most %d", list->count,
                     TEXTS_MOST);
        return;
    }
    compare->unordered = loader_take(loader, list->count, sizeof(*compare->unordered));
    compare->keyed = loader_take(loader, list->count, sizeof(*compare->keyed));
    if (compare->unordered == NULL || compare->keyed == NULL)
        return;
    size_t index = 0;
    for (const struct node_item *item = list->items; item != NULL; item = item->next, index++) {
        size_t mark = faults_enter_item(loader->faults, index);
        if (is_keyed(item->value))
            read_keyed(loader, key, item->value, compare);
        else
            read_unordered_path(loader, item->value, compare);
        faults_leave(loader->faults, mark);
    }
}

static void write_unordered(struct writer *writer, const struct config_key *key, const void *base)
{
    const struct config_compare *compare = base;
    (void)key;
    writer_raw(writer, " [");
    for (uint32_t i = 0; i < compare->unordered_count; i++) {
        writer_raw(writer, i > 0 ? ", " : "");
        writer_text(writer, compare->unordered[i]);
    }
    for (uint32_t i = 0; i < compare->keyed_count; i++) {
        writer_raw(writer, i + compare->unordered_count > 0 ? ", { path: " : "{ path: ");
        writer_text(writer, compare->keyed[i].path);
        writer_raw(writer, ", by: ");
        writer_text(writer, compare->keyed[i].by);
        writer_raw(writer, " }");
    }
    writer_raw(writer, "]\n");
}

static bool has_unordered(const struct config_key *key, const void *base)
{
    const struct config_compare *compare = base;
    (void)key;
    return compare->unordered_count + compare->keyed_count > 0;
}

const struct config_type type_unordered = {
    .name = "a list", .read = read_unordered, .write = write_unordered, .is_set = has_unordered};

/* ---- routes[].shadow.compare.replace[] ---- */

static const char *place_fault(const char *text)
{
    if (strcmp(text, "body") == 0)
        return NULL;
    if (strncmp(text, "header:", 7) == 0)
        return name_is_token(text + 7) ? NULL : "names no header";
    return text[0] == '$' ? jsonpath_fault(text) : "is no part of a response that is text";
}

static void read_replace_in(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const char expected[] = "body, header:NAME or a JSON path such as $.items[*].url";
    const struct node *scalar = loader_scalar(loader, node, expected);
    if (scalar == NULL)
        return;
    const char *wrong = place_fault(scalar->text);
    bool header = strncmp(scalar->text, "header:", 7) == 0; /* the name of a header has no case */
    if (wrong == NULL)
        *KEY_FIELD(const char *, key, base) = header ? loader_lower(loader, scalar) : loader_text(loader, scalar);
    else
        loader_fault(loader, scalar->place, "%s %s; expected %s", node_shown(loader->faults, scalar), wrong, expected);
}

static void read_regex(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const char expected[] = "a regular expression as PCRE2 has them, such as [0-9]+";
    const struct node *scalar = loader_scalar(loader, node, expected);
    struct regex_fault fault;
    if (scalar == NULL)
        return;
    if (scalar->text[0] == '\0')
        loader_fault(loader, scalar->place, "the pattern is empty; expected %s", expected);
    else if (regex_is_valid(scalar->text, &fault))
        *KEY_FIELD(const char *, key, base) = loader_text(loader, scalar);
    else if (fault.no_memory)
        faults_no_memory(loader->faults);
    else
        loader_fault(loader, scalar->place, "%s cannot be used: %s at offset %zu; expected %s",
                     node_shown(loader->faults, scalar), fault.text, fault.offset, expected);
}

static void read_replacement(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    const struct node *scalar = loader_scalar(loader, node, "a text, in which $1 is the first group");
    if (scalar != NULL)
        *KEY_FIELD(const char *, key, base) = loader_text(loader, scalar);
}

const struct config_type type_replace_in = {
    .name = "a place", .read = read_replace_in, .write = key_write_text, .is_set = key_text_is_set};
const struct config_type type_regex = {
    .name = "a regular expression", .read = read_regex, .write = key_write_text, .is_set = key_text_is_set};
const struct config_type type_replacement = {
    .name = "a text", .read = read_replacement, .write = key_write_text, .is_set = key_text_is_set};
