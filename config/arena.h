/*
 * Memory that dies together: one arena holds a whole configuration, another the scratch of loading it.
 *
 * Not thread-safe: whoever builds it owns it. Nothing in it can be freed alone.
 */
#ifndef SHUNT_CONFIG_ARENA_H
#define SHUNT_CONFIG_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct config_arena;

/* NULL without memory. */
struct config_arena *config_arena_new(void);
void config_arena_free(struct config_arena *arena); /* NULL is fine */

/* `count` zeroed elements of `size` bytes, aligned for any type; NULL without memory or when the product overflows. */
void *config_arena_take(struct config_arena *arena, size_t count, size_t size);

/* A NUL-terminated copy of `len` bytes; NULL without memory. */
char *config_arena_text(struct config_arena *arena, const char *text, size_t len);

/* The same in lower case (ASCII letters only). */
char *config_arena_lower(struct config_arena *arena, const char *text, size_t len);

/* What printf would print; NULL without memory. */
char *config_arena_print(struct config_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *config_arena_vprint(struct config_arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

#endif
