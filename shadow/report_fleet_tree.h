/*
 * What a fleet has told of its reports, sorted to the things it belongs to. Internal to report_fleet_make.c.
 */
#ifndef SHUNT_SHADOW_REPORT_FLEET_TREE_H
#define SHUNT_SHADOW_REPORT_FLEET_TREE_H

#include <jansson.h>
#include <stdbool.h>

#include "shadow/report_fleet_keys.h"

struct fleet_node {
    char id[FLEET_ID + 1];
    char kind;
    char parent[FLEET_ID + 1]; /* of a row: the side */
    const char *text;          /* borrowed from the document */
    json_t *numbers;           /* owned: counter: N; least and most with their sign */
    uint32_t index;            /* of a field in its endpoint's map, when it has a place there */
    bool placed;
};

struct fleet_tree {
    struct fleet_node *nodes; /* owned, each with its numbers; by ID, then by parent and text */
    uint32_t count;
    int64_t beyond;
};

/* `fields` is { FIELD: N } and must live as long as the tree. What is garbage is left out. False without memory: there
 * is nothing to be done. */
bool fleet_tree_read(struct fleet_tree *tree, const json_t *fields);
void fleet_tree_done(struct fleet_tree *tree);
/* The things of a kind that belong to `parent`: the first of them, and how many. */
struct fleet_node *fleet_children(const struct fleet_tree *tree, const char *parent, enum fleet_thing kind,
                                  uint32_t *count);
/* A counter of a thing; 0: it is not told, or not above 0. */
uint64_t fleet_node_number(const struct fleet_node *node, const char *counter);

#endif
