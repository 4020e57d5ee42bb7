/*
 * Trees: see tree.h. Flat arrays that are used again; the readers of XML and of forms fill them, tree_doc.c takes them
 * apart. Bounded like a JSON document. Runs on the compare thread.
 */
#include "shadow/tree.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

enum {
    ITEMS_FIRST = 256,
    ITEMS_KEPT = 32 * 1024,
    TEXT_FIRST = 16 * 1024,
    TEXT_KEPT = 1024 * 1024,
};

static bool refuse(struct tree *tree, enum json_fault fault)
{
    if (tree->fault == JSON_FAULT_NONE)
        tree->fault = fault;
    return false;
}

/* Twice the room of an array, or more. NULL, and a fault, without memory. */
static void *grow(struct tree *tree, void *at, uint32_t *room, size_t size)
{
    uint32_t more = *room == 0 ? ITEMS_FIRST : *room * 2;
    if (tree->most > 0 && more * size > tree->most) {
        refuse(tree, JSON_FAULT_SIZE);
        return NULL;
    }
    void *grown = realloc(at, more * size);
    if (grown == NULL)
        refuse(tree, JSON_FAULT_MEMORY);
    else
        *room = more;
    return grown;
}

/* Where the copy begins; 0 after a fault. */
static uint32_t keep_text(struct tree *tree, struct span text)
{
    if (text.len >= UINT32_MAX - tree->len)
        refuse(tree, JSON_FAULT_SIZE);
    if (tree->fault != JSON_FAULT_NONE)
        return 0;
    if (tree->text == NULL || text.len > tree->text_room - tree->len) {
        size_t room = tree->text_room == 0 ? TEXT_FIRST : tree->text_room * 2;
        if (room < tree->len + text.len)
            room = tree->len + text.len;
        char *grown = realloc(tree->text, room);
        if (grown == NULL) {
            refuse(tree, JSON_FAULT_MEMORY);
            return 0;
        }
        tree->text = grown;
        tree->text_room = room;
    }
    uint32_t at = (uint32_t)tree->len;
    if (text.len > 0)
        memcpy(tree->text + at, text.at, text.len);
    tree->len += text.len;
    return at;
}

/* ---- names ---- */

static uint64_t key_of(enum tree_kind kind, struct span local, struct span space)
{
    uint64_t key = tree_mix(XXH3_64bits(space.at, space.len), XXH3_64bits(local.at, local.len));
    return tree_mix(key, (uint64_t)kind);
}

static uint32_t *slot_of(struct tree *tree, uint64_t key)
{
    uint32_t mask = tree->slot_room - 1, i = (uint32_t)key & mask;
    while (tree->slots[i] != 0 && tree->names[tree->slots[i] - 1].key != key)
        i = (i + 1) & mask;
    return &tree->slots[i];
}

/* At most half of the slots are taken. */
static bool grow_slots(struct tree *tree)
{
    if (tree->name_count < tree->slot_room / 2)
        return true;
    uint32_t room = tree->slot_room == 0 ? ITEMS_FIRST : tree->slot_room * 2;
    uint32_t *slots = calloc(room, sizeof(*slots));
    if (slots == NULL)
        return refuse(tree, JSON_FAULT_MEMORY);
    free(tree->slots);
    tree->slots = slots;
    tree->slot_room = room;
    for (uint32_t i = 0; i < tree->name_count; i++)
        *slot_of(tree, tree->names[i].key) = i + 1;
    return true;
}

static uint32_t add_name(struct tree *tree, uint64_t key, struct span name, struct span local, struct span space)
{
    if (tree->name_count == TREE_NAMES) {
        refuse(tree, JSON_FAULT_SIZE);
        return 0;
    }
    if (tree->name_count == tree->name_room) {
        struct tree_name *names = grow(tree, tree->names, &tree->name_room, sizeof(*names));
        if (names == NULL)
            return 0;
        tree->names = names;
    }
    struct tree_name added = {
        .key = key, .len = (uint32_t)name.len, .space_len = (uint32_t)space.len, .local_len = (uint32_t)local.len};
    added.at = keep_text(tree, name);
    added.space_at = keep_text(tree, space);
    if (tree->fault != JSON_FAULT_NONE)
        return 0;
    tree->names[tree->name_count++] = added;
    return tree->name_count;
}

/* The index of a name, which is added when it is new; 0 after a fault, too. */
static uint32_t name_index(struct tree *tree, enum tree_kind kind, struct span name, struct span local,
                           struct span space)
{
    uint64_t key = key_of(kind, local, space);
    if (tree->fault != JSON_FAULT_NONE || !grow_slots(tree))
        return 0;
    uint32_t *slot = slot_of(tree, key);
    if (*slot == 0)
        *slot = add_name(tree, key, name, local, space);
    return *slot == 0 ? 0 : *slot - 1;
}

/* ---- items ---- */

static struct tree_item *add_item(struct tree *tree, enum tree_kind kind, uint32_t name)
{
    if (tree->count == TREE_ITEMS)
        refuse(tree, JSON_FAULT_SIZE);
    if (tree->fault != JSON_FAULT_NONE)
        return NULL;
    if (tree->count == tree->room) {
        struct tree_item *items = grow(tree, tree->items, &tree->room, sizeof(*items));
        if (items == NULL)
            return NULL;
        tree->items = items;
    }
    uint64_t above = tree->depth == 0 ? 0 : tree->items[tree->open[tree->depth - 1]].path;
    struct tree_item *item = &tree->items[tree->count++];
    *item = (struct tree_item){
        .path = tree_mix(above, tree->names[name].key), .name = name, .next = tree->count, .kind = kind};
    return item;
}

void tree_open(struct tree *tree, struct span name, struct span local, struct span space)
{
    if (tree->depth == TREE_DEPTH)
        refuse(tree, JSON_FAULT_DEPTH);
    uint32_t index = tree->count, known = name_index(tree, TREE_ELEMENT, name, local, space);
    if (add_item(tree, TREE_ELEMENT, known) != NULL)
        tree->open[tree->depth++] = index;
}

void tree_close(struct tree *tree)
{
    if (tree->fault == JSON_FAULT_NONE)
        tree->items[tree->open[--tree->depth]].next = tree->count;
}

void tree_add(struct tree *tree, enum tree_kind kind, struct span name, struct span local, struct span space,
              struct span text)
{
    uint32_t known = name_index(tree, kind, name, local, space), at = keep_text(tree, text);
    struct tree_item *item = add_item(tree, kind, known);
    if (item == NULL)
        return;
    item->text_at = at;
    item->text_len = (uint32_t)text.len;
}

/* ---- from start to finish ---- */

void tree_start(struct tree *tree)
{
    tree->count = tree->name_count = tree->depth = 0;
    tree->len = 0;
    tree->fault = JSON_FAULT_NONE;
    if (tree->slots != NULL)
        memset(tree->slots, 0, tree->slot_room * sizeof(*tree->slots));
}

void tree_trim(struct tree *tree)
{
    if (tree->room > ITEMS_KEPT || tree->name_room > ITEMS_KEPT || tree->text_room > TEXT_KEPT)
        tree_done(tree);
}

void tree_done(struct tree *tree)
{
    free(tree->items);
    free(tree->names);
    free(tree->slots);
    free(tree->text);
    *tree = (struct tree){.most = tree->most};
}
