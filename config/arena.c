/*
 * Arena: a list of blocks, handed out from the newest one's front, freed all at once.
 *
 * Used while a file is loaded and by whoever holds the tree afterwards (who only reads it). Takes its blocks from
 * calloc(), so that what it hands out is zero.
 */
#include "config/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALIGNMENT = 16,
    BLOCK_BYTES = 8192,
};

struct block {
    struct block *older;
    size_t used;
    size_t room;
    _Alignas(ALIGNMENT) char bytes[];
};

struct config_arena {
    struct block *newest;
};

struct config_arena *config_arena_new(void)
{
    return calloc(1, sizeof(struct config_arena));
}

void config_arena_free(struct config_arena *arena)
{
    if (arena == NULL)
        return;
    struct block *block = arena->newest;
    while (block != NULL) {
        struct block *older = block->older;
        free(block);
        block = older;
    }
    free(arena);
}

static struct block *add_block(struct config_arena *arena, size_t room)
{
    if (room > SIZE_MAX - sizeof(struct block))
        return NULL;
    struct block *block = calloc(1, sizeof(*block) + room);
    if (block == NULL)
        return NULL;
    block->room = room;
    block->older = arena->newest;
    arena->newest = block;
    return block;
}

void *config_arena_take(struct config_arena *arena, size_t count, size_t size)
{
    size_t wanted;
    if (__builtin_mul_overflow(count, size, &wanted) || wanted > SIZE_MAX - ALIGNMENT)
        return NULL;
    wanted = (wanted + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct block *block = arena->newest;
    if (block == NULL || block->room - block->used < wanted) {
        block = add_block(arena, wanted > BLOCK_BYTES ? wanted : BLOCK_BYTES);
        if (block == NULL)
            return NULL;
    }
    void *taken = block->bytes + block->used;
    block->used += wanted;
    return taken;
}

char *config_arena_text(struct config_arena *arena, const char *text, size_t len)
{
    if (len == SIZE_MAX)
        return NULL;
    char *copy = config_arena_take(arena, len + 1, 1);
    if (copy != NULL && len > 0)
        memcpy(copy, text, len);
    return copy;
}

char *config_arena_lower(struct config_arena *arena, const char *text, size_t len)
{
    char *copy = config_arena_text(arena, text, len);
    if (copy == NULL)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] = (char)(copy[i] - 'A' + 'a');
    }
    return copy;
}

char *config_arena_vprint(struct config_arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    char *text = len < 0 ? NULL : config_arena_take(arena, (size_t)len + 1, 1);
    if (text != NULL && vsnprintf(text, (size_t)len + 1, format, again) != len)
        text = NULL;
    va_end(again);
    return text;
}

char *config_arena_print(struct config_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = config_arena_vprint(arena, format, args);
    va_end(args);
    return text;
}
