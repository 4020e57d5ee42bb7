/*
 * nghttp2's memory: see h2_memory.h. Worker thread.
 *
 * A session keeps room for one whole frame (16 KiB) as long as it lives, though an idle connection has used some
 * hundred bytes of it. On the heap that room lies where something else was before, and all of it is resident. Here it
 * is pages of its own, of which those count that were touched: 12 KiB less for each idle connection, for two system
 * calls in its life.
 */
#include "proxy/h2_memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* The heap's pointers are multiples of 16; ours lie so far behind one. */
enum {
    FRAME_ROOM = 16 * 1024,
    MAPPED = 20 * 1024,
    MARK = 8
};

static bool is_mapped(const void *at)
{
    return ((uintptr_t)at & 15) == MARK;
}

static void *map(struct h2_memory *memory)
{
    char *at = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    if (memory->room == NULL) /* the session's first, as long as it lives */
        memory->room = at;
    return at + MARK;
}

static void *take(size_t size, void *context)
{
    return size >= FRAME_ROOM && size <= MAPPED - MARK ? map(context) : malloc(size);
}

static void give(void *at, void *context)
{
    struct h2_memory *memory = context;
    if (!is_mapped(at)) {
        free(at);
        return;
    }
    char *room = (char *)at - MARK;
    if (memory->room == room)
        memory->room = NULL;
    (void)munmap(room, MAPPED);
}

static void *take_zeros(size_t count, size_t size, void *context)
{
    (void)context;
    return calloc(count, size);
}

static void *change(void *at, size_t size, void *context)
{
    if (at == NULL)
        return take(size, context);
    if (!is_mapped(at))
        return realloc(at, size);
    if (size <= MAPPED - MARK)
        return at;
    void *larger = malloc(size);
    if (larger != NULL) {
        memcpy(larger, at, MAPPED - MARK);
        give(at, context);
    }
    return larger;
}

nghttp2_mem h2_memory_for(struct h2_memory *memory)
{
    return (nghttp2_mem){
        .mem_user_data = memory, .malloc = take, .free = give, .calloc = take_zeros, .realloc = change};
}

void h2_memory_rest(struct h2_memory *memory)
{
    if (memory->room != NULL)
        (void)madvise(memory->room, MAPPED, MADV_DONTNEED);
}
