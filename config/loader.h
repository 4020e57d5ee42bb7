/*
 * What the parts of the loader share while one file is read.
 */
#ifndef SHUNT_CONFIG_LOADER_H
#define SHUNT_CONFIG_LOADER_H

#include <stdbool.h>
#include <stddef.h>

#include "config/arena.h"
#include "config/config.h"
#include "config/faults.h"
#include "config/keys.h"
#include "config/tree.h"
#include "config/zone.h"

enum {
    LOADER_SECRETS = 1000
}; /* values that may come from the environment and from files */

struct loader {
    struct config *config;
    struct config_arena *arena; /* the configuration's */
    struct faults *faults;      /* its arena is the scratch of loading */
    uint32_t secrets;           /* kept so far */
    struct zones zones;         /* places of schedules, in the configuration's memory */
    const char *folder;         /* of the file, with a slash at its end, or "" */
};

/* Reads a mapping's keys by the section's table into `base`; with NULL for `node` only fills in defaults. */
void loader_read_section(struct loader *loader, const struct config_section *section, const struct node *node,
                         void *base);

/* Reads only the keys that the mapping has, over what is in `base`: no defaults, nothing that is required, no check. */
void loader_read_given(struct loader *loader, const struct config_section *section, const struct node *node,
                       void *base);

/*
 * The single value of `node`: itself, or the content of the file it names with { file: PATH }. NULL after a fault,
 * which says "expected `expected`".
 */
const struct node *loader_scalar(struct loader *loader, const struct node *node, const char *expected);

/* A list, or NULL after a fault. */
const struct node *loader_list(struct loader *loader, const struct node *node, const char *expected);
/* A mapping, or NULL after a fault. */
const struct node *loader_mapping(struct loader *loader, const struct node *node, const char *expected);

/* Memory of the configuration, zeroed; NULL after noting that there is none. */
void *loader_take(struct loader *loader, size_t count, size_t size);

/* Text of a scalar in the configuration's memory; remembers where a value came from that --dump must mask. */
const char *loader_text(struct loader *loader, const struct node *scalar);
const char *loader_lower(struct loader *loader, const struct node *scalar);

/* Returns `text`, of the configuration's memory, which was made from `scalar`; remembers it as the two above do. */
const char *loader_keep(struct loader *loader, const char *text, const struct node *scalar);

/* Content of a small file: a secret. The path is relative to the configuration's folder; one line break at its end is
 * cut off. NULL after a fault at `place`. Memory of the configuration. */
const char *loader_secret(struct loader *loader, const char *path, struct place place);
/* The path that loader_secret() opens; NULL after noting that there is no memory. */
const char *loader_resolve(struct loader *loader, const char *path);
/* The path of a file that others open later, resolved the same way. NULL after a fault where it cannot be opened for
 * reading now. */
const char *loader_file(struct loader *loader, const struct node *scalar);
/* Lets --dump write `full`, resolved from `scalar`, as the file says it: it is read again from the same folder. False
 * after noting that there is no memory. */
bool loader_keep_path(struct loader *loader, const char *full, const struct node *scalar);

#define loader_fault(loader, where, ...) faults_add((loader)->faults, (where), __VA_ARGS__)

#endif
