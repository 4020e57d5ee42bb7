/*
 * nghttp2's memory: see h2_memory.h. Worker thread.
 *
 * A session keeps room for one whole frame (16 KiB) and a table of its streams (4 KiB, of which one stream fills 16
 * bytes) as long as it lives, though an idle connection needs neither. On the heap both lie where something else was
 * before, and all of it is resident. Here they are pages of their own, of which those count that were touched, and
 * which go back when the connection rests: 16 KiB less for each idle connection, for two system calls in its life.
 */
#include "proxy/h2_memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* The pages: the room in front, the table behind it. */
enum {
    FRAME_BYTES = 16 * 1024, /* what is as large as this is the room */
    ROOM_BYTES = 20 * 1024,
    TABLE_BYTES = 4 * 1024,
    MAPPED = ROOM_BYTES + TABLE_BYTES
};

static bool has_pages(struct h2_memory *memory)
{
    if (memory->pages == NULL) {
        void *at = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memory->pages = at != MAP_FAILED ? at : NULL;
    }
    return memory->pages != NULL;
}

static char *table_of(const struct h2_memory *memory)
{
    return memory->pages + ROOM_BYTES;
}

static bool is_mapped(const struct h2_memory *memory, const void *at)
{
    return memory->pages != NULL && (at == memory->pages || at == table_of(memory));
}

static void *take(size_t size, void *context)
{
    struct h2_memory *memory = context;
    if (size < FRAME_BYTES || size > ROOM_BYTES || memory->room_taken || !has_pages(memory))
        return malloc(size);
    memory->room_taken = true;
    return memory->pages;
}

static void *take_zeros(size_t count, size_t size, void *context)
{
    struct h2_memory *memory = context;
    bool is_table = size > 0 && count == TABLE_BYTES / size && count * size == TABLE_BYTES;
    if (!is_table || memory->table_taken || !has_pages(memory))
        return calloc(count, size);
    memory->table_taken = true;
    return memset(table_of(memory), 0, TABLE_BYTES);
}

static void give(void *at, void *context)
{
    struct h2_memory *memory = context;
    if (!is_mapped(memory, at)) {
        free(at);
        return;
    }
    if (at == memory->pages)
        memory->room_taken = false;
    else
        memory->table_taken = false;
    if (memory->room_taken || memory->table_taken)
        return;
    (void)munmap(memory->pages, MAPPED);
    memory->pages = NULL;
}

static void *change(void *at, size_t size, void *context)
{
    const struct h2_memory *memory = context;
    if (at == NULL)
        return take(size, context);
    if (!is_mapped(memory, at))
        return realloc(at, size);
    size_t room = at == memory->pages ? ROOM_BYTES : TABLE_BYTES;
    if (size <= room)
        return at;
    void *larger = malloc(size);
    if (larger != NULL) {
        memcpy(larger, at, room);
        give(at, context);
    }
    return larger;
}

nghttp2_mem h2_memory_for(struct h2_memory *memory)
{
    return (nghttp2_mem){
        .mem_user_data = memory, .malloc = take, .free = give, .calloc = take_zeros, .realloc = change};
}

/* Pages that went back read as zeros, and so does a table without a stream. */
static bool is_without_streams(const struct h2_memory *memory)
{
    const char *table = table_of(memory);
    return !memory->table_taken || (table[0] == 0 && memcmp(table, table + 1, TABLE_BYTES - 1) == 0);
}

void h2_memory_rest(struct h2_memory *memory)
{
    if (memory->pages != NULL && is_without_streams(memory))
        (void)madvise(memory->pages, MAPPED, MADV_DONTNEED);
}
