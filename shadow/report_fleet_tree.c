/*
 * Sorts the numbers of a fleet's report. A name counts only where its ID is made of it, so that nothing can be hung on
 * something else; numbers of things without a name are left out. Keeper's thread.
 */
#include "shadow/report_fleet_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MOST (INT64_C(1) << 50)

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct fleet_node *)a)->id, ((const struct fleet_node *)b)->id);
}

/* So that what belongs to one thing stands together, and always in the same order. */
static int by_parent(const void *a, const void *b)
{
    const struct fleet_node *x = a, *y = b;
    int order = strcmp(x->parent, y->parent);
    if (order == 0)
        order = x->kind - y->kind;
    return order != 0 ? order : strcmp(x->text, y->text);
}

/* "=ID KIND PARENT TEXT"; false: it is not that. */
static bool read_name(const char *name, struct fleet_node *node)
{
    enum {
        KIND = FLEET_ID + 2,
        PARENT = FLEET_ID + 4
    };
    if (strlen(name) < PARENT + 2 || name[0] != '=' || name[KIND - 1] != ' ' || name[KIND + 1] != ' ')
        return false;
    const char *text = strchr(name + PARENT, ' ');
    size_t length = text != NULL ? (size_t)(text - name - PARENT) : 0;
    if (length == 0 || length > FLEET_ID || text[1] == '\0')
        return false;
    *node = (struct fleet_node){.kind = name[KIND], .text = text + 1};
    memcpy(node->id, name + 1, FLEET_ID);
    memcpy(node->parent, name + PARENT, length);
    char expected[FLEET_ID + 1];
    fleet_id(expected, (enum fleet_thing)node->kind, node->parent, node->text);
    return strcmp(expected, node->id) == 0;
}

static struct fleet_node *find_id(const struct fleet_tree *tree, const char *id)
{
    struct fleet_node key = {0};
    if (strlen(id) < FLEET_ID)
        return NULL;
    memcpy(key.id, id, FLEET_ID);
    return bsearch(&key, tree->nodes, tree->count, sizeof(key), by_id);
}

/* "[<>]ID.COUNTER": N */
static void read_number(struct fleet_tree *tree, const char *name, const json_t *value)
{
    char counter[FLEET_KEY];
    const char *id = name + (name[0] == '<' || name[0] == '>');
    struct fleet_node *node = find_id(tree, id);
    if (strcmp(name, "beyond") == 0)
        tree->beyond = json_integer_value(value);
    if (node == NULL || id[FLEET_ID] != '.' || strlen(id) >= FLEET_ID + sizeof(counter) || !json_is_integer(value))
        return;
    (void)snprintf(counter, sizeof(counter), "%.*s%s", (int)(id - name), name, id + FLEET_ID + 1);
    if (node->numbers == NULL)
        node->numbers = json_object();
    (void)json_object_set(node->numbers, counter, (json_t *)value); /* without memory it is left out */
}

void fleet_tree_done(struct fleet_tree *tree)
{
    for (uint32_t i = 0; i < tree->count; i++)
        json_decref(tree->nodes[i].numbers);
    free(tree->nodes);
}

bool fleet_tree_read(struct fleet_tree *tree, const json_t *fields)
{
    const char *name;
    json_t *value;
    *tree = (struct fleet_tree){.nodes = calloc(json_object_size(fields) + 1, sizeof(*tree->nodes))};
    if (tree->nodes == NULL)
        return false;
    json_object_foreach((json_t *)fields, name, value)
    {
        if (read_name(name, &tree->nodes[tree->count]))
            tree->count++;
    }
    qsort(tree->nodes, tree->count, sizeof(*tree->nodes), by_id);
    json_object_foreach((json_t *)fields, name, value)
    {
        read_number(tree, name, value);
    }
    qsort(tree->nodes, tree->count, sizeof(*tree->nodes), by_parent);
    return true;
}

struct fleet_node *fleet_children(const struct fleet_tree *tree, const char *parent, enum fleet_thing kind,
                                  uint32_t *count)
{
    uint32_t low = 0, high = tree->count;
    *count = 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct fleet_node *node = &tree->nodes[middle];
        int order = strcmp(node->parent, parent);
        if (order < 0 || (order == 0 && node->kind < (char)kind))
            low = middle + 1;
        else
            high = middle;
    }
    for (uint32_t i = low;
         i < tree->count && tree->nodes[i].kind == (char)kind && strcmp(tree->nodes[i].parent, parent) == 0; i++)
        (*count)++;
    return *count > 0 ? &tree->nodes[low] : NULL;
}

uint64_t fleet_node_number(const struct fleet_node *node, const char *counter)
{
    json_int_t number = json_integer_value(json_object_get(node->numbers, counter));
    return number <= 0 ? 0 : number < COUNT_MOST ? (uint64_t)number : (uint64_t)COUNT_MOST;
}
