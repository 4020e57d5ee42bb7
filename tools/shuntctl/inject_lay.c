/*
 * Laying on and taking off. Decides which change of the text is meant; manifest_edit.c makes it.
 */
#include "tools/shuntctl/inject_lay.h"

#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/manifest_edit.h"

const char *lay_name_of(const struct manifest *manifest, const struct manifest_node *item)
{
    const char *name = manifest_text(manifest, item, "name");
    if (name == NULL)
        name = manifest_text(manifest, item, "port");
    return name != NULL && name[0] != '\0' ? name : NULL;
}

/* ---- on ---- */

static json_t *no_memory(struct manifest *manifest)
{
    manifest->faults->no_memory = true;
    return NULL;
}

static void set(struct manifest *manifest, json_t *record, const char *key, json_t *value)
{
    if (value == NULL || json_object_set_new(record, key, value) < 0)
        manifest->faults->no_memory = true;
}

/* The record of members that were not there. */
static void record_new(struct manifest *manifest, json_t *record, const json_t *members);

/* Of one that was not there. Others may put something into metadata and lists later, so that their members are told. */
static json_t *record_of_new(struct manifest *manifest, const char *key, const json_t *value)
{
    static const char *const shared[] = {"metadata", "annotations", "lifecycle"};
    bool is_shared = json_is_array(value);
    for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++)
        is_shared = is_shared || strcmp(key, shared[i]) == 0;
    if (!is_shared)
        return json_null();
    json_t *record = json_object();
    if (record == NULL)
        return no_memory(manifest);
    set(manifest, record, "", json_null());
    record_new(manifest, record, value);
    return record;
}

static void record_new(struct manifest *manifest, json_t *record, const json_t *members)
{
    const char *key;
    json_t *value;
    size_t i;
    json_object_foreach((json_t *)members, key, value)
    {
        set(manifest, record, key, record_of_new(manifest, key, value));
    }
    json_array_foreach(members, i, value)
    {
        set(manifest, record, json_string_value(json_object_get(value, "name")), json_null());
    }
}

/* What was null has members now. */
static json_t *lay_on_null(struct manifest *manifest, const struct manifest_node *value, json_t *over)
{
    const char *before = NULL;
    json_t *record = json_object();
    if (record == NULL)
        return no_memory(manifest);
    manifest_fill(manifest, value, over, &before);
    if (before != NULL)
        set(manifest, record, "", json_string(before));
    record_new(manifest, record, over);
    return record;
}

static json_t *lay_scalar(struct manifest *manifest, const struct manifest_node *value, json_t *over)
{
    const char *before = NULL;
    if (manifest_is_null(value))
        manifest_fill(manifest, value, over, &before);
    else
        manifest_replace(manifest, value, over, &before);
    return before != NULL ? json_string(before) : json_null();
}

static struct manifest_node *item_named(const struct manifest *manifest, const struct manifest_node *list,
                                        const char *name)
{
    struct manifest_node *found = NULL;
    for (struct manifest_node *item = list->first; item != NULL; item = item->next) {
        const char *its_name = lay_name_of(manifest, item);
        if (its_name == NULL || strcmp(its_name, name) != 0)
            continue;
        if (found != NULL) {
            manifest_fault(manifest, item->start, "%s is the name of another one in this list; rename one of them",
                           name);
            return found;
        }
        found = item;
    }
    return found;
}

static json_t *lay_on_list(struct manifest *manifest, const struct manifest_node *list, json_t *over)
{
    json_t *record = json_object(), *item;
    json_t *new = json_array();
    size_t i;
    if (record == NULL || new == NULL || json_array_append_new(manifest->kept, new) < 0) {
        json_decref(record);
        return no_memory(manifest);
    }
    json_array_foreach(over, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        struct manifest_node *there = item_named(manifest, list, name);
        if (there != NULL) {
            json_t *rest = json_copy(item);
            json_object_del(rest, "name");
            if (rest == NULL || json_array_append_new(manifest->kept, rest) < 0)
                manifest->faults->no_memory = true;
            else
                set(manifest, record, name, lay_on(manifest, there, rest));
        } else if (json_array_append(new, item) < 0) {
            manifest->faults->no_memory = true;
        }
    }
    if (json_array_size(new) > 0)
        manifest_add_items(manifest, list, new);
    record_new(manifest, record, new);
    return record;
}

static json_t *lay_value(struct manifest *manifest, struct manifest_node *value, const char *key, json_t *over)
{
    enum manifest_kind wanted = json_is_object(over)  ? MANIFEST_MAP
                                : json_is_array(over) ? MANIFEST_LIST
                                                      : MANIFEST_SCALAR;
    if (manifest_is_null(value) && wanted != MANIFEST_SCALAR)
        return lay_on_null(manifest, value, over);
    if (value->kind == wanted)
        return wanted == MANIFEST_MAP    ? lay_on(manifest, value, over)
               : wanted == MANIFEST_LIST ? lay_on_list(manifest, value, over)
                                         : lay_scalar(manifest, value, over);
    manifest_fault(manifest, value->start,
                   value->kind == MANIFEST_ALIAS ? "shunt has to change %s, which is an alias here; write %s out"
                                                 : "%s is something else than Kubernetes knows; expected %s",
                   key,
                   value->kind == MANIFEST_ALIAS ? "its value"
                   : wanted == MANIFEST_MAP      ? "a map"
                   : wanted == MANIFEST_LIST     ? "a list"
                                                 : "a single value");
    return json_null();
}

json_t *lay_on(struct manifest *manifest, struct manifest_node *map, json_t *over)
{
    json_t *record = json_object(), *new = json_object(), *value;
    const char *key;
    if (record == NULL || new == NULL || json_array_append_new(manifest->kept, new) < 0) {
        json_decref(record);
        return no_memory(manifest);
    }
    json_object_foreach(over, key, value)
    {
        struct manifest_node *there = manifest_key(manifest, map, key);
        if (there != NULL)
            set(manifest, record, key, lay_value(manifest, there->value, key, value));
        else if (manifest_value(manifest, map, key) != NULL)
            manifest_fault(manifest, map->start,
                           "shunt has to change %s, which is merged (<<) into this; write it out here", key);
        else if (json_object_set(new, key, value) < 0)
            manifest->faults->no_memory = true;
    }
    if (json_object_size(new) > 0)
        manifest_add_pairs(manifest, map, new);
    record_new(manifest, record, new);
    return record;
}

/* ---- off ---- */

/* Is this the text of one scalar, as lay_scalar() and lay_on_null() find it? */
static bool is_scalar_text(const char *text, const struct manifest_node *value)
{
    struct manifest read;
    struct manifest_faults faults = {.arena = config_arena_new()};
    size_t length = strlen(text);
    bool good = faults.arena != NULL && length <= 256 && text[strcspn(text, "\r\n\t#")] == '\0' &&
                manifest_parse(&read, "", text, length, &faults) && read.documents != NULL;
    if (good) {
        const struct manifest_node *root = read.documents->root;
        good = root != NULL && root->kind == MANIFEST_SCALAR && !root->literal && root->start == 0 &&
               root->end == length && read.documents->next == NULL && strchr("&!*", text[0]) == NULL &&
               (!root->plain || !value->parent->flow || text[strcspn(text, ",[]{}:")] == '\0');
    }
    config_arena_free(faults.arena);
    return good || length == 0;
}

/* The text as JSON has it. */
static const char *as_json(struct manifest *manifest, const char *text)
{
    struct manifest read;
    bool bare = text[0] == '"' || strspn(text, "0123456789") == strlen(text) || strcmp(text, "null") == 0;
    if (bare || !manifest_parse(&read, manifest->name, text, strlen(text), manifest->faults) || read.documents == NULL)
        return text;
    const struct manifest_node *root = read.documents->root;
    json_t *string = manifest_is_null(root) ? json_null() : json_string(root->text);
    char *quoted = json_dumps(string, JSON_ENCODE_ANY);
    const char *copy = quoted != NULL ? config_arena_text(manifest->faults->arena, quoted, strlen(quoted)) : NULL;
    manifest->faults->no_memory |= copy == NULL;
    free(quoted);
    json_decref(string);
    return copy != NULL ? copy : text;
}

static void restore(struct manifest *manifest, struct manifest_node *value, const char *text)
{
    if (is_scalar_text(text, value))
        manifest_restore(manifest, value, manifest->json ? as_json(manifest, text) : text);
    else
        manifest_fault(
            manifest, value->start,
            "the annotation shunt/injected has something here that shuntctl did not write; remove shunt by hand");
}

static bool take_off(struct manifest *manifest, struct manifest_node *value, const json_t *record);

/* Marks what leaves a collection. Does all of it? */
static bool mark_leaving(struct manifest *manifest, struct manifest_node *collection, const json_t *record, bool *any)
{
    const char *key;
    json_t *below;
    bool all = collection->first != NULL;
    json_object_foreach((json_t *)record, key, below)
    {
        struct manifest_node *member = collection->kind == MANIFEST_MAP    ? manifest_key(manifest, collection, key)
                                       : collection->kind == MANIFEST_LIST ? item_named(manifest, collection, key)
                                                                           : NULL;
        if (key[0] == '\0' || member == NULL)
            continue;
        member->leaves = take_off(manifest, member->value != NULL ? member->value : member, below);
        *any = *any || member->leaves;
    }
    for (const struct manifest_node *member = collection->first; member != NULL; member = member->next)
        all = all && member->leaves;
    return all;
}

/* Is the value to leave what it stands in? */
static bool take_off(struct manifest *manifest, struct manifest_node *value, const json_t *record)
{
    const json_t *own = json_object_get(record, "");
    bool any = false;
    if (json_is_string(record)) {
        if (value->kind == MANIFEST_SCALAR)
            restore(manifest, value, json_string_value(record));
        return value->kind != MANIFEST_SCALAR;
    }
    if (!json_is_object(record))
        return true;
    bool all = mark_leaving(manifest, value, record, &any);
    if (all && json_is_string(own) && value->flow)
        restore(manifest, value, json_string_value(own));
    else if (all && own != NULL)
        return true;
    else if (any)
        manifest_remove(manifest, value);
    return false;
}

void lay_off(struct manifest *manifest, struct manifest_node *map, const json_t *record)
{
    take_off(manifest, map, record);
}
