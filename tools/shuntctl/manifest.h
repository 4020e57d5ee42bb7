/*
 * Manifests as text with its nodes: where each key, value and item of a YAML or JSON text stands, byte by byte, so that
 * a few of them can be changed (manifest_edit.h) while all else stays as somebody wrote it.
 */
#ifndef SHUNT_SHUNTCTL_MANIFEST_H
#define SHUNT_SHUNTCTL_MANIFEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/arena.h"

enum {
    MANIFEST_BYTES = 16 * 1024 * 1024,
    MANIFEST_DEPTH = 100,
    MANIFEST_FAULTS = 50
};

enum manifest_kind {
    MANIFEST_SCALAR,
    MANIFEST_MAP,
    MANIFEST_LIST,
    MANIFEST_ALIAS
};

struct manifest_node {
    enum manifest_kind kind;
    bool flow;                    /* {...}, [...] */
    bool plain, literal;          /* a scalar without quotes; one of | or > */
    bool colon;                   /* of a value: it, and nothing else, stands behind a ":" */
    uint32_t aliases;             /* that mean this node */
    size_t start, end;            /* bytes; with anchor and tag. A block ends where its last value does */
    size_t dash;                  /* of an item of a block list: where its "-" is */
    const char *text;             /* of a scalar, as YAML reads it */
    size_t length;                /* of it */
    const char *tag;              /* "tag:yaml.org,2002:int" of "!!int"; NULL: none */
    struct manifest_node *parent; /* the map or list it stands in, as key, value or item; NULL: a document's root */
    struct manifest_node *next;   /* item, or key */
    struct manifest_node *first;  /* items of a list, keys of a map */
    struct manifest_node *last;   /* of them */
    struct manifest_node *key;    /* of a value in a map */
    struct manifest_node *value;  /* of a key */
    struct manifest_node *target; /* of an alias */
    bool leaves;                  /* it, or its key, is about to be removed */
    const char *restored;         /* what is about to stand in its place; NULL: it stays */
    struct json_t *laid;          /* borrowed: what is about to be laid on it; NULL: nothing */
    struct manifest_node *twin;   /* inject_meaning.h: the one of the text that was made */
};

struct manifest_document {
    struct manifest_document *next;
    struct manifest_node *root; /* NULL: there is nothing in it */
    size_t start;               /* of its first line: that of "---" where there is one */
    bool opened;                /* by "---" */
    bool directed;              /* by "%YAML" or "%TAG", too */
};

/* What is wrong, for all texts of one run. */
struct manifest_faults {
    struct config_arena *arena;
    const char *lines[MANIFEST_FAULTS]; /* "orders.yaml:3:7: ..." */
    size_t count;                       /* of them; more are not kept */
    bool no_memory;
};

struct manifest_splice; /* manifest_edit.c */

struct manifest {
    const char *name; /* of the file, for faults */
    const char *text; /* borrowed */
    size_t length;
    struct manifest_faults *faults; /* borrowed; its arena has all below */
    struct manifest_document *documents;
    size_t begin;        /* behind the byte order mark */
    const char *newline; /* as the text has them */
    bool json;           /* objects, one after the other; nothing of YAML between them */
    unsigned step;       /* blanks between a key and those below it, in blocks that are added */
    unsigned list_step;  /* between a key and the dashes below it: 0, or as many */
    bool unended;        /* its last line has no end, and is one of a scalar that such an end would change */
    struct json_t *kept; /* borrowed: an array, for what is laid on and must last until it is applied */
    struct json_t *laid; /* borrowed: an array of the documents that are added; NULL: none */
    struct manifest_splice *splices;
    size_t splice_count, splice_room;
    const struct manifest *before; /* the text this one was made from, by splices that are still there; NULL: none */
};

/* Reads a text. False: it cannot be read, or memory is out; the faults say it. */
bool manifest_parse(struct manifest *manifest, const char *name, const char *text, size_t length,
                    struct manifest_faults *faults);

/* A fault at this byte, told by line and column of the text that somebody wrote. */
void manifest_fault(const struct manifest *manifest, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* One of no place: a file, a command line. */
void manifest_fault_plainly(struct manifest_faults *faults, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What an alias means; else the node itself. NULL of NULL. */
const struct manifest_node *manifest_meant(const struct manifest_node *node);

/* The key of that name that stands in the map itself. A fault where it stands there twice. */
struct manifest_node *manifest_key(const struct manifest *manifest, const struct manifest_node *map, const char *name);

/* The value of that name, aliases followed, merges ("<<") looked into. NULL: none, or `map` is no map. */
const struct manifest_node *manifest_value(const struct manifest *manifest, const struct manifest_node *map,
                                           const char *name);

/* The scalar's text of that name; NULL: there is none, or it is null, or something else. */
const char *manifest_text(const struct manifest *manifest, const struct manifest_node *map, const char *name);

/* A whole number of that name, in digits; -1: none. */
long manifest_number(const struct manifest *manifest, const struct manifest_node *map, const char *name);

bool manifest_is_null(const struct manifest_node *node); /* NULL, ~, null or nothing */

/* Where a line that is to follow the node (one of a block) begins. */
size_t manifest_below(const struct manifest *manifest, const struct manifest_node *node);
/* Bytes of the line break here; 0: none. */
size_t manifest_break(const char *text, size_t length, size_t at);
/* Bytes of the line break that ends here; 0: none. */
size_t manifest_break_before(const struct manifest *manifest, size_t at);
size_t manifest_line(const struct manifest *manifest, size_t at); /* the first is 1 */
size_t manifest_line_start(const struct manifest *manifest, size_t at);
/* Characters before it in its line. */
unsigned manifest_column(const struct manifest *manifest, size_t at);

#endif
