/*
 * Chunks: see chunk.h. Called by a worker, touches only the pool it is given.
 */
#include "proxy/chunk.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/memory.h"

/* Sizes with the header: heads of ordinary messages, larger heads, bodies, and what one read may bring. */
static const struct {
    uint32_t bytes;
    uint32_t keep; /* at most this many free ones */
} classes[CHUNK_CLASSES] = {
    {1024, 2048}, /* as many heads as there are spare exchanges, and as many trailers */
    {4096, 128},
    {16384, 64},
    {65536 + sizeof(struct chunk), 16},
};

static uint32_t class_for(size_t size)
{
    for (uint32_t i = 0; i < CHUNK_CLASSES; i++) {
        if (size + sizeof(struct chunk) <= classes[i].bytes)
            return i;
    }
    return CHUNK_CLASSES;
}

struct chunk *chunk_take(struct chunk_pool *pool, size_t size)
{
    uint32_t class = class_for(size);
    struct chunk *chunk;
    if (class < CHUNK_CLASSES && pool->free[class] != NULL) {
        chunk = pool->free[class];
        pool->free[class] = chunk->next;
        pool->kept[class]--;
    } else {
        if (size > UINT32_MAX / 2)
            return NULL;
        size_t bytes = class < CHUNK_CLASSES ? classes[class].bytes : size + sizeof(struct chunk);
        chunk = malloc(bytes);
        if (chunk == NULL)
            return NULL;
        if (pool->memory != NULL)
            memory_grew(pool->memory, &pool->taken, bytes, *pool->now_ms);
        chunk->pool = pool;
        chunk->size = (uint32_t)(bytes - sizeof(struct chunk));
        chunk->class = class;
    }
    chunk->next = NULL;
    chunk->refs = 1;
    chunk->used = 0;
    return chunk;
}

bool chunk_copy(struct chunk_pool *pool, const char *at, size_t len, struct slice *copy)
{
    struct chunk *chunk = chunk_take(pool, len);
    if (chunk == NULL)
        return false;
    memcpy(chunk->data, at, len);
    chunk->used = (uint32_t)len;
    *copy = (struct slice){chunk, chunk->data, (uint32_t)len};
    return true;
}

void chunk_recycle(struct chunk *chunk)
{
    struct chunk_pool *pool = chunk->pool;
    uint32_t class = chunk->class;
    if (class == CHUNK_CLASSES || pool->kept[class] >= classes[class].keep) {
        free(chunk);
        return;
    }
    chunk->next = pool->free[class];
    pool->free[class] = chunk;
    pool->kept[class]++;
}

void chunk_pool_done(struct chunk_pool *pool)
{
    for (uint32_t i = 0; i < CHUNK_CLASSES; i++) {
        while (pool->free[i] != NULL) {
            struct chunk *chunk = pool->free[i];
            pool->free[i] = chunk->next;
            free(chunk);
        }
        pool->kept[i] = 0;
    }
}
