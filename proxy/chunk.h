/*
 * Reference-counted pieces of memory that bytes are read into and written from.
 *
 * A worker's chunks belong to that worker alone, so counting needs no atomics. Freed chunks wait in a short last-in
 * first-out list per size, which keeps the few that a busy loop needs warm in the cache.
 */
#ifndef SHUNT_PROXY_CHUNK_H
#define SHUNT_PROXY_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CHUNK_CLASSES = 4
};

struct chunk_pool;

struct chunk {
    struct chunk *next; /* in the pool's list */
    struct chunk_pool *pool;
    uint32_t refs;
    uint32_t size;  /* of data */
    uint32_t used;  /* bytes at the front that somebody may refer to; what follows may be written */
    uint32_t class; /* CHUNK_CLASSES: made to measure, never kept */
    char data[];
};

struct chunk_pool {
    struct chunk *free[CHUNK_CLASSES];
    uint32_t kept[CHUNK_CLASSES];
    struct memory *memory;  /* borrowed; told of what is taken from the system. NULL: nobody is */
    const uint64_t *now_ms; /* borrowed, with `memory`: a clock value */
    size_t taken;           /* since memory was looked at: see memory_grew() */
};

/* Bytes inside a chunk. Whoever stores a slice holds a reference to its chunk. */
struct slice {
    struct chunk *chunk;
    const char *at;
    uint32_t len;
};

/* An empty chunk with room for at least `size` bytes and one reference, or NULL without memory. */
struct chunk *chunk_take(struct chunk_pool *pool, size_t size);
/* A chunk with a copy of these bytes, for as long as the caller keeps its reference. False without memory. */
bool chunk_copy(struct chunk_pool *pool, const char *at, size_t len, struct slice *copy);
void chunk_pool_done(struct chunk_pool *pool);
/* The last reference has gone; use chunk_unref(). */
void chunk_recycle(struct chunk *chunk);

static inline struct chunk *chunk_ref(struct chunk *chunk)
{
    chunk->refs++;
    return chunk;
}

static inline void chunk_unref(struct chunk *chunk)
{
    if (--chunk->refs == 0)
        chunk_recycle(chunk);
}

static inline char *chunk_tail(struct chunk *chunk)
{
    return chunk->data + chunk->used;
}

static inline uint32_t chunk_room(const struct chunk *chunk)
{
    return chunk->size - chunk->used;
}

#endif
