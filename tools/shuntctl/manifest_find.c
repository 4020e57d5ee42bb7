/*
 * Looking things up in a manifest, as Kubernetes would find them: through aliases and merges.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/manifest.h"

enum {
    MERGES = 64 /* maps looked into for one key */
};

const struct manifest_node *manifest_meant(const struct manifest_node *node)
{
    return node != NULL && node->kind == MANIFEST_ALIAS ? node->target : node;
}

static bool is_named(const struct manifest_node *key, const char *name)
{
    const struct manifest_node *meant = manifest_meant(key);
    return meant->kind == MANIFEST_SCALAR && meant->length == strlen(name) &&
           memcmp(meant->text, name, meant->length) == 0;
}

struct manifest_node *manifest_key(const struct manifest *manifest, const struct manifest_node *map, const char *name)
{
    struct manifest_node *found = NULL;
    if (map == NULL || map->kind != MANIFEST_MAP)
        return NULL;
    for (struct manifest_node *key = map->first; key != NULL; key = key->next) {
        if (!is_named(key, name))
            continue;
        if (found != NULL) {
            manifest_fault(manifest, key->start, "%s stands here a second time; leave one of them out", name);
            return NULL;
        }
        found = key;
    }
    return found;
}

static const struct manifest_node *value_within(const struct manifest *manifest, const struct manifest_node *map,
                                                const char *name, unsigned *merges)
{
    if (map == NULL || map->kind != MANIFEST_MAP || ++*merges > MERGES)
        return NULL;
    const struct manifest_node *key = manifest_key(manifest, map, name);
    if (key != NULL)
        return manifest_meant(key->value);
    key = manifest_key(manifest, map, "<<");
    const struct manifest_node *merged = key != NULL ? manifest_meant(key->value) : NULL, *found = NULL;
    if (merged == NULL || merged->kind != MANIFEST_LIST)
        return value_within(manifest, merged, name, merges);
    for (const struct manifest_node *item = merged->first; item != NULL && found == NULL; item = item->next)
        found = value_within(manifest, manifest_meant(item), name, merges);
    return found;
}

const struct manifest_node *manifest_value(const struct manifest *manifest, const struct manifest_node *map,
                                           const char *name)
{
    unsigned merges = 0;
    return value_within(manifest, manifest_meant(map), name, &merges);
}

bool manifest_is_null(const struct manifest_node *node)
{
    static const char *const names[] = {"", "~", "null", "Null", "NULL"};
    if (node == NULL)
        return true;
    if (node->kind != MANIFEST_SCALAR || (node->tag == NULL && !node->plain))
        return false;
    if (node->tag != NULL && strcmp(node->tag, "tag:yaml.org,2002:null") != 0)
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(node->text, names[i]) == 0)
            return true;
    return false;
}

const char *manifest_text(const struct manifest *manifest, const struct manifest_node *map, const char *name)
{
    const struct manifest_node *value = manifest_value(manifest, map, name);
    return value == NULL || value->kind != MANIFEST_SCALAR || manifest_is_null(value) ? NULL : value->text;
}

long manifest_number(const struct manifest *manifest, const struct manifest_node *map, const char *name)
{
    const struct manifest_node *value = manifest_value(manifest, map, name);
    if (value == NULL || value->kind != MANIFEST_SCALAR || value->length == 0 || value->length > 9 ||
        strspn(value->text, "0123456789") != value->length)
        return -1;
    if (value->length > 1 && value->text[0] == '0') /* of eight digits, to Kubernetes */
        return -1;
    return strtol(value->text, NULL, 10);
}
