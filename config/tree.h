/*
 * A YAML text as a tree of nodes that know their place.
 *
 * What the configuration has no use for is refused here: several documents, tags, merge keys, duplicate keys, keys that
 * are not plain names, control bytes, and aliases that contain themselves or unfold into too much. ${NAME} in values
 * becomes the environment's value here.
 */
#ifndef SHUNT_CONFIG_TREE_H
#define SHUNT_CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/arena.h"
#include "config/faults.h"

enum {
    TREE_FILE_BYTES = 1 << 20, /* of a configuration file */
    TREE_DEPTH = 32,           /* lists and mappings inside each other */
    TREE_NODES = 100000,       /* as written */
    TREE_ANCHORS = 1000,
    TREE_ALIAS_NODES = 10000,      /* that aliases add */
    TREE_MAPPING_KEYS = 1024,      /* of one mapping */
    TREE_SCALAR_BYTES = 8192,      /* of one value */
    TREE_VARIABLE_BYTES = 1 << 20, /* that variables add in all */
};

enum node_kind {
    NODE_SCALAR,
    NODE_LIST,
    NODE_MAPPING
};

/* One item of a list (no key) or one pair of a mapping. */
struct node_item {
    struct node_item *next;
    const char *key;
    struct place key_place;
    const struct node *value; /* an alias shares its anchor's node */
};

struct node {
    enum node_kind kind;
    struct place place;
    bool empty;         /* scalar: nothing, ~ or null */
    bool broken;        /* a fault was told already: readers stay silent */
    const char *text;   /* scalar: with variables replaced */
    const char *raw;    /* scalar: as written */
    const char *origin; /* where a value that may be secret came from, as YAML; NULL when it stands in the file */
    struct node_item *items;
    uint32_t count;
    uint32_t weight; /* nodes in here, this one included, aliases unfolded */
};

/*
 * Builds the tree in faults->arena. NULL when the text is no YAML, or with faults->no_memory. A tree with faults of
 * smaller kind is returned, so that the loader can find more.
 */
const struct node *tree_build(const char *text, size_t length, struct faults *faults);

/* The pair of that key, or NULL. */
const struct node_item *node_find(const struct node *mapping, const char *key);

/* A scalar made up by the program, as for a default. NULL without memory. */
struct node *node_scalar(struct config_arena *arena, const char *text, struct place place);

/* The name of a kind in messages: "a list". */
const char *node_kind_name(const struct node *node);

/* A value as messages show it: short, quoted where it is no number, never a secret. */
const char *node_shown(struct faults *faults, const struct node *node);
const char *text_shown(struct faults *faults, const char *text);

#endif
