/*
 * Trees as documents: see tree_doc.h. Two passes: the first finds out what shape each place has, for which both trees
 * are needed; the second writes. Recursion is as deep as a tree, TREE_DEPTH at most. Runs on the compare thread.
 */
#include "shadow/tree_doc.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

enum {
    SLOTS_FIRST = 256,
    SLOTS_KEPT = 64 * 1024,
    CHILDREN_KEPT = 64 * 1024,
    SORTED_AT_ONCE = 32, /* children of one element; more are grouped by name first */
};

/* A table from hashes to small numbers. */
struct slot {
    uint64_t key; /* 0: free; a hash that is 0 is taken for 1 */
    uint64_t value;
};

struct table {
    struct slot *slots; /* owned; at most half of them taken */
    uint32_t room, count;
};

/* A child of an element while they are grouped by name. */
struct child {
    uint64_t key;
    uint32_t item;
    uint32_t times; /* of the first of a group: how many there are */
};

enum shape {
    SHAPE_OBJECT = 1, /* has more than text somewhere */
    SHAPE_LIST = 2,   /* occurs more than once somewhere */
};

struct tree_doc {
    const struct tree *tree[2];
    struct table shapes;    /* by path: bits of enum shape */
    struct table written;   /* by a written name: the key that it stands for */
    struct table names;     /* by key: where its name stands, see name_place() */
    struct child *children; /* owned stack; regions are addressed by index because it may move */
    uint32_t child_count, child_room;
    uint32_t *counts; /* owned: by the index of a name, see group_children() */
    uint32_t count_room;
    char *name; /* owned: a name with what it is relative to */
    size_t name_room;
    bool ordered, no_memory;
};

struct tree_doc *tree_doc_new(void)
{
    return calloc(1, sizeof(struct tree_doc));
}

void tree_doc_free(struct tree_doc *maker)
{
    if (maker == NULL)
        return;
    free(maker->shapes.slots);
    free(maker->written.slots);
    free(maker->names.slots);
    free(maker->children);
    free(maker->counts);
    free(maker->name);
    free(maker);
}

/* ---- tables ---- */

static struct slot *slot_of(const struct table *table, uint64_t key)
{
    uint32_t mask = table->room - 1, i = (uint32_t)key & mask;
    while (table->slots[i].key != 0 && table->slots[i].key != key)
        i = (i + 1) & mask;
    return &table->slots[i];
}

static bool grow_table(struct table *table)
{
    struct table grown = {.room = table->room == 0 ? SLOTS_FIRST : table->room * 2, .count = table->count};
    grown.slots = calloc(grown.room, sizeof(*grown.slots));
    if (grown.slots == NULL)
        return false;
    for (uint32_t i = 0; i < table->room; i++)
        if (table->slots[i].key != 0)
            *slot_of(&grown, table->slots[i].key) = table->slots[i];
    free(table->slots);
    *table = grown;
    return true;
}

/* The value under a hash, 0 when it is new; NULL without memory. */
static uint64_t *table_at(struct tree_doc *m, struct table *table, uint64_t hash)
{
    uint64_t key = hash == 0 ? 1 : hash;
    if (table->count >= table->room / 2 && !grow_table(table)) {
        m->no_memory = true;
        return NULL;
    }
    struct slot *slot = slot_of(table, key);
    table->count += slot->key == 0 ? 1 : 0;
    slot->key = key;
    return &slot->value;
}

static uint64_t table_get(const struct table *table, uint64_t hash)
{
    return table->room == 0 ? 0 : slot_of(table, hash == 0 ? 1 : hash)->value;
}

static void table_clear(struct table *table)
{
    if (table->room > SLOTS_KEPT) {
        free(table->slots);
        *table = (struct table){0};
    }
    if (table->room > 0)
        memset(table->slots, 0, table->room * sizeof(*table->slots));
    table->count = 0;
}

/* ---- children, grouped by name ---- */

struct region {
    uint32_t at, count;
};

static struct child *child_at(struct tree_doc *m, struct region region, uint32_t i)
{
    return &m->children[region.at + i];
}

/* Room for `more` beyond those that are there. */
static bool child_room(struct tree_doc *m, uint32_t more)
{
    if (more <= m->child_room - m->child_count)
        return true;
    uint32_t room = m->child_room == 0 ? SLOTS_FIRST : m->child_room * 2;
    if (room < m->child_count + more)
        room = m->child_count + more;
    struct child *children = realloc(m->children, room * sizeof(*children));
    if (children == NULL) {
        m->no_memory = true;
        return false;
    }
    m->children = children;
    m->child_room = room;
    return true;
}

static bool push_child(struct tree_doc *m, uint64_t key, uint32_t item)
{
    if (!child_room(m, 1))
        return false;
    m->children[m->child_count++] = (struct child){.key = key, .item = item};
    return true;
}

static int by_key(const void *a, const void *b)
{
    const struct child *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

/* Room for one number for each name of a tree; all are 0 between two uses. */
static bool make_counts(struct tree_doc *m, uint32_t names)
{
    if (names <= m->count_room)
        return true;
    uint32_t *counts = calloc(names, sizeof(*counts));
    if (counts == NULL) {
        m->no_memory = true;
        return false;
    }
    free(m->counts);
    m->counts = counts;
    m->count_room = names;
    return true;
}

/* How often each name occurs, and in `groups`, which has room for all, a child of each name in the order of the keys.
 * Returns how many names there are. */
static uint32_t count_names(struct tree_doc *m, const struct tree *tree, struct region region, struct region groups)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < region.count; i++) {
        struct child child = *child_at(m, region, i);
        if (m->counts[tree->items[child.item].name]++ == 0)
            *child_at(m, groups, count++) = child;
    }
    qsort(child_at(m, groups, 0), count, sizeof(struct child), by_key);
    return count;
}

/* Many children have few names: those are sorted, and each child then goes where its name begins. */
static void group_children(struct tree_doc *m, const struct tree *tree, struct region region)
{
    struct region groups = {.at = m->child_count, .count = region.count};
    if (!make_counts(m, tree->name_count) || !child_room(m, 2 * region.count))
        return;
    uint32_t count = count_names(m, tree, region, groups);
    struct region moved = {.at = groups.at + count, .count = region.count};
    for (uint32_t i = 0, start = 0; i < count; i++) {
        uint32_t *times = &m->counts[tree->items[child_at(m, groups, i)->item].name], next = start + *times;
        *times = start;
        start = next;
    }
    for (uint32_t i = 0; i < region.count; i++) {
        const struct child *child = child_at(m, region, i);
        *child_at(m, moved, m->counts[tree->items[child->item].name]++) = *child;
    }
    for (uint32_t i = 0; i < count; i++)
        m->counts[tree->items[child_at(m, groups, i)->item].name] = 0;
    memcpy(child_at(m, region, 0), child_at(m, moved, 0), region.count * sizeof(struct child));
}

/* The children side by side with those of the same name; each group's first knows the number of its `times`. */
static struct region open_children(struct tree_doc *m, int side, uint32_t element)
{
    const struct tree *tree = m->tree[side];
    struct region region = {.at = m->child_count};
    for (uint32_t i = element + 1; i < tree->items[element].next; i = tree->items[i].next)
        if (!push_child(m, tree->names[tree->items[i].name].key, i))
            break;
    region.count = m->child_count - region.at;
    if (region.count > SORTED_AT_ONCE)
        group_children(m, tree, region);
    else if (region.count > 1)
        qsort(child_at(m, region, 0), region.count, sizeof(struct child), by_key);
    for (uint32_t i = 0, first = 0; i < region.count; i++) {
        if (child_at(m, region, i)->key != child_at(m, region, first)->key)
            first = i;
        child_at(m, region, first)->times++;
    }
    return region;
}

static void close_children(struct tree_doc *m, struct region region)
{
    m->child_count = region.at;
}

/* ---- shapes ---- */

static void add_shape(struct tree_doc *m, uint64_t path, enum shape shape)
{
    uint64_t *shapes = table_at(m, &m->shapes, path);
    if (shapes != NULL)
        *shapes |= shape;
}

static bool has_shape(const struct tree_doc *m, uint64_t path, enum shape shape)
{
    return (table_get(&m->shapes, path) & shape) != 0;
}

static void find_shape(struct tree_doc *m, int side, uint32_t element)
{
    const struct tree_item *items = m->tree[side]->items;
    struct region children = open_children(m, side, element);
    bool object = element == 0 || children.count > 1;
    for (uint32_t i = 0; i < children.count; i++) {
        const struct child *child = child_at(m, children, i);
        object = object || items[child->item].kind != TREE_TEXT;
        if (child->times > 1)
            add_shape(m, items[child->item].path, SHAPE_LIST);
    }
    if (object)
        add_shape(m, items[element].path, SHAPE_OBJECT);
    close_children(m, children);
}

static void find_shapes(struct tree_doc *m, int side)
{
    for (uint32_t i = 0; i < m->tree[side]->count && !m->no_memory; i++)
        if (m->tree[side]->items[i].kind == TREE_ELEMENT)
            find_shape(m, side, i);
}

/* ---- names ---- */

/* A name's tree and index as one number that is not 0. */
static uint64_t name_place(int side, uint32_t index)
{
    return (uint64_t)index << 2 | (uint64_t)side << 1 | 1;
}

static struct span name_text(const struct tree *tree, const struct tree_name *name)
{
    return (struct span){tree->text + name->at, name->len};
}

/* Enters the names of a tree. One that is written like another is left out: it needs its long form. */
static void find_names(struct tree_doc *m, int side)
{
    const struct tree *tree = m->tree[side];
    for (uint32_t i = 0; i < tree->name_count && !m->no_memory; i++) {
        const struct tree_name *name = &tree->names[i];
        struct span text = name_text(tree, name);
        uint64_t *known = table_at(m, &m->names, name->key);
        uint64_t *taken = table_at(m, &m->written, XXH3_64bits(text.at, text.len));
        if (known == NULL || taken == NULL || *known != 0 || *taken != 0)
            continue;
        *taken = 1;
        *known = name_place(side, i);
    }
}

/* "{URI}local", with the "@" of an attribute in front. */
static struct span long_name(struct tree_doc *m, const struct tree *tree, const struct tree_name *name)
{
    const char *text = tree->text + name->at;
    size_t mark = name->len > 0 && text[0] == '@' ? 1 : 0, need = mark + 1 + name->space_len + 1 + name->local_len;
    if (need > m->name_room) {
        char *grown = realloc(m->name, need);
        if (grown == NULL) {
            m->no_memory = true;
            return (struct span){"", 0};
        }
        m->name = grown;
        m->name_room = need;
    }
    memcpy(m->name, "@{", mark + 1);
    m->name[mark] = '{';
    memcpy(m->name + mark + 1, tree->text + name->space_at, name->space_len);
    m->name[mark + 1 + name->space_len] = '}';
    memcpy(m->name + need - name->local_len, text + name->len - name->local_len, name->local_len);
    return (struct span){m->name, need};
}

/* Valid until the next call. */
static struct span written_name(struct tree_doc *m, int side, uint32_t index)
{
    const struct tree_name *name = &m->tree[side]->names[index];
    uint64_t known = table_get(&m->names, name->key);
    if (known == 0)
        return long_name(m, m->tree[side], name);
    const struct tree *tree = m->tree[known >> 1 & 1];
    return name_text(tree, &tree->names[known >> 2]);
}

/* ---- writing ---- */

static struct doc_order order_of(const struct tree *tree, uint32_t element)
{
    struct doc_order order = {0, 0};
    for (uint32_t i = element + 1; i < tree->items[element].next; i = tree->items[i].next) {
        uint64_t key = tree->names[tree->items[i].name].key;
        if (tree->items[i].kind == TREE_ATTRIBUTE)
            continue;
        order.members += tree_mix(key, 1);
        order.sequence = tree_mix(order.sequence, key);
    }
    return order;
}

static void write_item(struct tree_doc *m, int side, uint32_t item, struct doc_builder *to);

static void write_text(struct tree_doc *m, int side, uint32_t item, struct doc_builder *to)
{
    const struct tree *tree = m->tree[side];
    doc_builder_string(to, tree->text + tree->items[item].text_at, tree->items[item].text_len);
}

/* `group` is the first of a group; the others follow it. */
static void write_group(struct tree_doc *m, int side, struct region group, struct doc_builder *to)
{
    uint32_t first = child_at(m, group, 0)->item;
    const struct tree_item *item = &m->tree[side]->items[first];
    struct span name = written_name(m, side, item->name);
    doc_builder_name(to, name.at, name.len);
    if (!has_shape(m, item->path, SHAPE_LIST)) {
        write_item(m, side, first, to);
        return;
    }
    doc_builder_open_array(to);
    for (uint32_t i = 0; i < group.count; i++)
        write_item(m, side, child_at(m, group, i)->item, to);
    doc_builder_close(to);
}

static void write_object(struct tree_doc *m, int side, uint32_t element, struct doc_builder *to)
{
    struct doc_order order = order_of(m->tree[side], element);
    struct region children = open_children(m, side, element);
    doc_builder_open_object(to, m->ordered ? &order : NULL);
    for (uint32_t i = 0; i < children.count && !m->no_memory && to->fault == JSON_FAULT_NONE;) {
        uint32_t times = child_at(m, children, i)->times;
        write_group(m, side, (struct region){children.at + i, times}, to);
        i += times;
    }
    doc_builder_close(to);
    close_children(m, children);
}

static void write_item(struct tree_doc *m, int side, uint32_t item, struct doc_builder *to)
{
    const struct tree_item *items = m->tree[side]->items;
    if (items[item].kind != TREE_ELEMENT)
        write_text(m, side, item, to);
    else if (has_shape(m, items[item].path, SHAPE_OBJECT))
        write_object(m, side, item, to);
    else if (items[item].next > item + 1)
        write_text(m, side, item + 1, to);
    else
        doc_builder_string(to, "", 0);
}

static void write_tree(struct tree_doc *m, int side, struct doc_builder *to)
{
    doc_builder_start(to);
    write_object(m, side, 0, to);
    if (m->no_memory && to->fault == JSON_FAULT_NONE)
        to->fault = JSON_FAULT_MEMORY;
    doc_builder_finish(to);
}

enum json_fault tree_doc_make(struct tree_doc *m, const struct tree *first, const struct tree *second, bool ordered,
                              struct doc_builder *first_doc, struct doc_builder *second_doc)
{
    m->tree[0] = first;
    m->tree[1] = second;
    m->ordered = ordered;
    m->no_memory = false;
    m->child_count = 0;
    table_clear(&m->shapes);
    table_clear(&m->written);
    table_clear(&m->names);
    for (int side = 0; side < 2; side++) {
        find_shapes(m, side);
        find_names(m, side);
    }
    if (m->no_memory)
        return JSON_FAULT_MEMORY;
    write_tree(m, 0, first_doc);
    write_tree(m, 1, second_doc);
    if (m->child_room > CHILDREN_KEPT) {
        free(m->children);
        m->children = NULL;
        m->child_room = 0;
    }
    return first_doc->fault != JSON_FAULT_NONE ? first_doc->fault : second_doc->fault;
}
