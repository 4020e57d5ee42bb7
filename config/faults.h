/*
 * The faults of one file: collected in any order, told in the order of their place.
 *
 * It also carries the path of the key being looked at ("routes[0].stages[1].percent"), as every fault names it. One
 * loader owns one of these; its memory is the loader's scratch arena.
 */
#ifndef SHUNT_CONFIG_FAULTS_H
#define SHUNT_CONFIG_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/arena.h"
#include "config/config.h"

enum {
    FAULT_PATH_BYTES = 512, /* a longer key path is cut, never overrun */
    FAULT_LIMIT = 100,      /* more are only counted */
};

/* Line and column count from 1, columns in characters. */
struct place {
    uint32_t line;
    uint32_t column;
};

struct fault {
    struct fault *next;
    struct place place;
    uint32_t order;
    const char *text;
};

struct missing_file {
    struct missing_file *next;
    const char *path;
};

struct faults {
    struct config_arena *arena; /* borrowed */
    const char *file;           /* borrowed */
    struct fault *first;        /* newest first until faults_tell() sorts them */
    uint32_t count;             /* also those over FAULT_LIMIT */
    struct missing_file *missing;
    bool no_memory; /* something could not be allocated: the tree is worth nothing */
    size_t path_len;
    char path[FAULT_PATH_BYTES];
};

void faults_init(struct faults *faults, struct config_arena *arena, const char *file);

/* Notes one fault of the key the path stands at. The text says what is wrong and, behind "; ", what was expected. */
void faults_add(struct faults *faults, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What such a line begins with, up to the key, in `arena`; NULL without memory. */
const char *faults_where(const struct faults *faults, struct place place, struct config_arena *arena);

/* Allocation failed: remembered, told as one line. */
void faults_no_memory(struct faults *faults);

static inline bool faults_any(const struct faults *faults)
{
    return faults->count > 0 || faults->no_memory;
}

/* Steps into a key or a list item; returns what faults_leave() takes to step back. */
size_t faults_enter_key(struct faults *faults, const char *key);
size_t faults_enter_item(struct faults *faults, size_t index);
void faults_leave(struct faults *faults, size_t mark);

/* The fault that was just noted is about a file that cannot be opened. `path` is the scratch arena's or longer-lived.
 */
void faults_missing(struct faults *faults, const char *path);

/* Writes the lines, sorted by place, and what is missing into *errors. False without memory: *errors then has what
 * fitted. */
bool faults_tell(struct faults *faults, struct config_errors *errors);

/* Adds one line, which it copies. False without memory. */
bool config_errors_add(struct config_errors *errors, const char *line);

#endif
