/*
 * The meaning of what was made, compared node by node with what it was made of. Called by inject_run.c before anything
 * is written. Recursion is bounded by MANIFEST_DEPTH, and by the depth of what is laid on. Aliases are not followed:
 * that one still means the node that its own meant then is enough, as that was compared where it stands.
 */
#include "tools/shuntctl/inject_meaning.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "tools/shuntctl/inject_lay.h"

struct comparison {
    const struct manifest *before, *after;
    const struct manifest_node *wrong; /* the first one */
};

static bool is_wrong(struct comparison *comparison, const struct manifest_node *node)
{
    if (comparison->wrong == NULL)
        comparison->wrong = node;
    return false;
}

/* ---- a node, and what is laid on ---- */

/* Would YAML take a text without quotes for something else than a text? For more than it need, but for none of ours. */
static bool reads_as_other(const char *text)
{
    static const char *const words[] = {"", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return strchr("0123456789+-.", text[0]) != NULL &&
           text[strspn(text, "0123456789+-._:abcdefxoABCDEFXOTtZz ")] == '\0';
}

/* The last line of a text may have no end, and a literal there has none either. */
static bool is_text_of(const struct comparison *comparison, const struct manifest_node *node, const json_t *value)
{
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);
    if (node->literal && comparison->after->unended && node->end == comparison->after->length && length > 0 &&
        text[length - 1] == '\n')
        length--;
    return node->length == length && memcmp(node->text, text, length) == 0 &&
           !(node->plain && reads_as_other(node->text));
}

static bool is_scalar_of(const struct comparison *comparison, const struct manifest_node *node, const json_t *value)
{
    char number[32];
    if (node->kind != MANIFEST_SCALAR || node->tag != NULL)
        return false;
    if (json_is_string(value))
        return is_text_of(comparison, node, value);
    if (json_is_integer(value))
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
    else
        snprintf(number, sizeof(number), "%s", json_is_true(value) ? "true" : json_is_false(value) ? "false" : "?");
    return node->plain && strcmp(node->text, number) == 0;
}

static bool is_called(const struct manifest_node *key, const char *name)
{
    return key->kind == MANIFEST_SCALAR && strcmp(key->text, name) == 0;
}

/* Is the node this value, and no more? */
static bool is_value(const struct comparison *comparison, const struct manifest_node *node, const json_t *value)
{
    const struct manifest_node *member = node->first;
    const char *key;
    json_t *below;
    size_t i;
    if (!json_is_object(value) && !json_is_array(value))
        return is_scalar_of(comparison, node, value);
    if (node->kind != (json_is_object(value) ? MANIFEST_MAP : MANIFEST_LIST) || node->tag != NULL)
        return false;
    json_object_foreach((json_t *)value, key, below)
    {
        if (member == NULL || !is_called(member, key) || !is_value(comparison, member->value, below))
            return false;
        member = member->next;
    }
    json_array_foreach(value, i, below)
    {
        if (member == NULL || !is_value(comparison, member, below))
            return false;
        member = member->next;
    }
    return member == NULL;
}

/* ---- a node, and what it was ---- */

static bool is_as_meant(struct comparison *comparison, struct manifest_node *before, struct manifest_node *after,
                        const json_t *over);

static bool has_same_tag(const struct manifest_node *a, const struct manifest_node *b)
{
    return a->tag == NULL || b->tag == NULL ? a->tag == b->tag : strcmp(a->tag, b->tag) == 0;
}

static struct manifest_node *staying(struct manifest_node *member)
{
    while (member != NULL && member->leaves)
        member = member->next;
    return member;
}

/* Is this text, and nothing else, the value there? */
static bool is_restored(const struct comparison *comparison, const struct manifest_node *after, const char *text)
{
    size_t length = after->end - after->start;
    return after->kind == MANIFEST_SCALAR && length == strlen(text) &&
           memcmp(comparison->after->text + after->start, text, length) == 0;
}

/* The item of the array that is laid on this one: the one of its name. */
static const json_t *laid_on_item(const struct comparison *comparison, const json_t *over,
                                  const struct manifest_node *item)
{
    const char *name = over != NULL ? lay_name_of(comparison->before, item) : NULL;
    size_t i;
    json_t *value;
    json_array_foreach(over, i, value)
    {
        const char *its_name = json_string_value(json_object_get(value, "name"));
        if (name != NULL && its_name != NULL && strcmp(name, its_name) == 0)
            return value;
    }
    return NULL;
}

static bool has_item(const struct comparison *comparison, const struct manifest_node *list, const json_t *value)
{
    const char *name = json_string_value(json_object_get(value, "name"));
    for (const struct manifest_node *item = list->first; name != NULL && item != NULL; item = item->next) {
        const char *its_name = lay_name_of(comparison->before, item);
        if (its_name != NULL && strcmp(its_name, name) == 0)
            return true;
    }
    return false;
}

static bool has_key(const struct manifest_node *map, const char *name)
{
    for (const struct manifest_node *key = map->first; key != NULL; key = key->next)
        if (is_called(manifest_meant(key), name))
            return true;
    return false;
}

/* `after` begins with what `before` had; what is new begins at *rest. */
static bool items_are_as_meant(struct comparison *comparison, const struct manifest_node *before,
                               const struct manifest_node *after, const json_t *over, struct manifest_node **rest)
{
    struct manifest_node *now = after->first;
    for (struct manifest_node *item = staying(before->first); item != NULL; item = staying(item->next)) {
        const json_t *laid = laid_on_item(comparison, over, item);
        json_t *members = laid != NULL ? json_copy((json_t *)laid) : NULL;
        if (members != NULL)
            json_object_del(members, "name"); /* it is its name already, or its port is */
        bool good = now != NULL && (laid == NULL) == (members == NULL) && is_as_meant(comparison, item, now, members);
        json_decref(members);
        if (!good)
            return is_wrong(comparison, item);
        now = now->next;
    }
    *rest = now;
    return true;
}

static bool list_is_as_meant(struct comparison *comparison, const struct manifest_node *before,
                             const struct manifest_node *after, const json_t *over)
{
    struct manifest_node *now;
    size_t i;
    json_t *value;
    if (!items_are_as_meant(comparison, before, after, over, &now))
        return false;
    json_array_foreach(over, i, value)
    {
        if (has_item(comparison, before, value))
            continue;
        if (now == NULL || !is_value(comparison, now, value))
            return is_wrong(comparison, before);
        now = now->next;
    }
    return now == NULL || is_wrong(comparison, before);
}

static bool map_is_as_meant(struct comparison *comparison, const struct manifest_node *before,
                            const struct manifest_node *after, const json_t *over)
{
    const struct manifest_node *now = after->first;
    const char *name;
    json_t *value;
    for (struct manifest_node *key = staying(before->first); key != NULL; key = staying(key->next)) {
        const struct manifest_node *meant = manifest_meant(key);
        const json_t *laid = meant->kind == MANIFEST_SCALAR ? json_object_get(over, meant->text) : NULL;
        if (now == NULL || !is_as_meant(comparison, key, (struct manifest_node *)now, NULL) ||
            !is_as_meant(comparison, key->value, now->value, laid))
            return is_wrong(comparison, key);
        now = now->next;
    }
    json_object_foreach((json_t *)over, name, value)
    {
        if (has_key(before, name))
            continue;
        if (now == NULL || !is_called(now, name) || !is_value(comparison, now->value, value))
            return is_wrong(comparison, before);
        now = now->next;
    }
    return now == NULL || is_wrong(comparison, before);
}

/* Where all members leave, nothing may be left but what has none. */
static bool is_emptied(const struct manifest_node *before, const struct manifest_node *after)
{
    return before->first != NULL && staying(before->first) == NULL &&
           (manifest_is_null(after) || (after->kind == before->kind && after->first == NULL));
}

static bool is_as_meant(struct comparison *comparison, struct manifest_node *before, struct manifest_node *after,
                        const json_t *over)
{
    bool good = false;
    before->twin = after;
    if (over == NULL)
        over = before->laid;
    if (before->restored != NULL)
        good = is_restored(comparison, after, before->restored);
    else if (over != NULL && (manifest_is_null(before) || (!json_is_object(over) && !json_is_array(over))))
        good = is_value(comparison, after, over);
    else if (is_emptied(before, after))
        good = true;
    else if (before->kind != after->kind || !has_same_tag(before, after))
        good = false;
    else if (before->kind == MANIFEST_MAP)
        good = map_is_as_meant(comparison, before, after, over);
    else if (before->kind == MANIFEST_LIST)
        good = list_is_as_meant(comparison, before, after, over);
    else if (before->kind == MANIFEST_ALIAS)
        good = before->target->twin == after->target;
    else
        good = before->plain == after->plain && before->length == after->length &&
               memcmp(before->text, after->text, before->length) == 0;
    return good || is_wrong(comparison, before);
}

/* ---- documents ---- */

static struct manifest_document *staying_document(struct manifest_document *document)
{
    while (document != NULL && document->root != NULL && document->root->leaves)
        document = document->next;
    return document;
}

static const struct manifest_node nowhere; /* in a text without a node */

const struct manifest_node *inject_other_meaning(const struct manifest *before, const struct manifest *after)
{
    struct comparison comparison = {before, after, NULL};
    struct manifest_document *was = staying_document(before->documents);
    const struct manifest_node *last = &nowhere;
    size_t added = 0;
    for (const struct manifest_document *now = after->documents; now != NULL; now = now->next) {
        const json_t *laid = json_array_get(before->laid, added);
        if (laid != NULL && now->root != NULL && is_value(&comparison, now->root, laid)) {
            added++;
            continue;
        }
        if (was == NULL || (was->root == NULL) != (now->root == NULL))
            return last;
        if (was->root != NULL && !is_as_meant(&comparison, was->root, now->root, NULL))
            return comparison.wrong;
        last = was->root != NULL ? was->root : last;
        was = staying_document(was->next);
    }
    return was == NULL && added == json_array_size(before->laid) ? NULL : last;
}
