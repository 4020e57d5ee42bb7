/*
 * The table of keys: everything the file may say, one row per key.
 *
 * The loader, --dump, the reference page and the check of a reload walk these rows; none of them knows a key by name. A
 * row names its type, and a type knows how to read and write one value.
 */
#ifndef SHUNT_CONFIG_KEYS_H
#define SHUNT_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/tree.h"

struct loader;
struct writer;
struct config_key;
struct config_section;

/* A kind of value. */
struct config_type {
    const char *name; /* in the reference: "duration" */
    /* Reads `node` into the struct at `base`; faults go to the loader, and the value then stays as it was. */
    void (*read)(struct loader *loader, const struct config_key *key, const struct node *node, void *base);
    /* Writes the value behind "key:", including what separates it from there. */
    void (*write)(struct writer *writer, const struct config_key *key, const void *base);
    /* Is there anything to write? NULL: always. */
    bool (*is_set)(const struct config_key *key, const void *base);
    /* What values there are, for the reference; NULL: the name says it. */
    void (*write_range)(struct writer *writer, const struct config_key *key);
};

struct config_choice {
    const char *word;
    int value;
};

enum {
    KEY_REQUIRED = 1,
    KEY_RESTART = 2,   /* a reload cannot change it */
    KEY_OFF = 4,       /* the word "off" is a value too */
    KEY_SKIP_ZERO = 8, /* --dump leaves it out when it is 0 */
    KEY_AUTO = 16,     /* the word "auto" is a value too */
    KEY_DEFERRED = 32, /* the section's check fills the default in, as it depends on other keys */
};

struct config_key {
    const char *name; /* NULL ends a table */
    const struct config_type *type;
    size_t at;            /* of the value in the section's struct */
    size_t count_at;      /* lists: of their uint32_t count */
    size_t flag_at;       /* methods: of the bool that means all of them */
    const char *fallback; /* the default, as the file would say it; NULL: none */
    double min, max;      /* inclusive, in the type's unit: ms, bytes, of SHARE_ALL, fraction, items of a list */
    const struct config_choice *choices;  /* NULL word ends them */
    const struct config_section *section; /* of a nested value */
    unsigned flags;
    const char *help; /* one sentence, or some */
};

struct config_section {
    const char *heading; /* in the reference */
    const char *intro;   /* paragraphs in front of its table, or NULL */
    const struct config_key *keys;
    size_t size;                                                               /* of the struct, for lists of it */
    void (*prepare)(void *base);                                               /* before any key, or NULL */
    void (*turn_off)(void *base);                                              /* the word "off", or NULL */
    bool (*is_off)(const void *base);                                          /* goes with turn_off */
    bool (*is_set)(const void *base);                                          /* NULL: always */
    void (*check)(struct loader *loader, const struct node *node, void *base); /* when it stands in the file, or NULL */
};

/* The value a row speaks of, and its count and flag, in the struct at `base`. */
#define KEY_FIELD(type, key, base)       ((type *)(void *)((char *)(base) + (key)->at))
#define KEY_CONST_FIELD(type, key, base) ((const type *)(const void *)((const char *)(base) + (key)->at))
#define KEY_COUNT(key, base)             ((uint32_t *)(void *)((char *)(base) + (key)->count_at))
#define KEY_CONST_COUNT(key, base)       ((const uint32_t *)(const void *)((const char *)(base) + (key)->count_at))
#define KEY_ALL(key, base)               ((bool *)(void *)((char *)(base) + (key)->flag_at))

extern const struct config_section config_file_section;
extern const struct config_section config_gate_section; /* of routes; stages say keys of it over them */

#endif
