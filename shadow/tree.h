/*
 * A tree of named values, where a name may occur several times under one parent: what XML and forms are.
 */
#ifndef SHUNT_SHADOW_TREE_H
#define SHUNT_SHADOW_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shadow/json_doc.h"
#include "shadow/span.h"

enum {
    TREE_DEPTH = 127, /* so that a tree in which every name is a list fits into JSON_DEPTH */
    TREE_ITEMS = 512 * 1024,
    TREE_NAMES = 32 * 1024 /* different ones: each costs libxml2 and us a search in a table that no cache holds */
};

/* What two places have in common that have the same name; kinds keep attributes, elements and texts apart. */
enum tree_kind {
    TREE_ELEMENT,   /* has children */
    TREE_ATTRIBUTE, /* a text; its place among its siblings says nothing */
    TREE_TEXT,      /* a text between elements */
};

struct tree_name {
    uint64_t key;                 /* equal for equal names of one kind and one space */
    uint32_t at, len;             /* as it is written, in tree.text */
    uint32_t space_at, space_len; /* what it is relative to: a namespace's URI, or nothing */
    uint32_t local_len;           /* the end of the name that is without a prefix */
};

struct tree_item {
    uint64_t path; /* of the keys from the root to here: equal for the same place in two trees, whatever its index */
    uint32_t name; /* index in tree.names */
    uint32_t next; /* index of the first item that is not inside this one */
    uint32_t text_at, text_len; /* in tree.text; not of elements */
    enum tree_kind kind;
};

struct tree {
    struct tree_item *items; /* owned; in document order, item 0 is the root */
    uint32_t count, room;
    struct tree_name *names; /* owned; each once */
    uint32_t name_count, name_room;
    uint32_t *slots; /* owned: index of a name by its key, 0 is free, else one more than the index */
    uint32_t slot_room;
    char *text; /* owned */
    size_t len, text_room;
    uint32_t open[TREE_DEPTH];
    uint32_t depth;
    size_t most;           /* bytes of each list; 0: no bound. The owner's, it stays */
    enum json_fault fault; /* JSON_FAULT_DEPTH, _SIZE or _MEMORY: what follows is not added any more */
};

/* A zeroed struct is ready. */
void tree_start(struct tree *tree);
/* `name` as it is written; `local` is its end without a prefix, `space` what the prefix stands for. */
void tree_open(struct tree *tree, struct span name, struct span local, struct span space);
void tree_close(struct tree *tree);
/* A named text under the open element. */
void tree_add(struct tree *tree, enum tree_kind kind, struct span name, struct span local, struct span space,
              struct span text);

/* Gives back large buffers, and with them the tree. */
void tree_trim(struct tree *tree);
void tree_done(struct tree *tree);

/* Mixes two hashes; order counts. */
static inline uint64_t tree_mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)(a ^ UINT64_C(0x9e3779b97f4a7c15)) * (b ^ UINT64_C(0xc2b2ae3d27d4eb4f));
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

#endif
