/*
 * Arena: zeroed, aligned, copied, and refused where a size cannot be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/arena.h"

static void memory_is_zeroed_and_aligned(void **state)
{
    struct config_arena *arena = config_arena_new();
    (void)state;
    assert_non_null(arena);
    for (size_t size = 1; size < 20000; size += 97) {
        unsigned char *taken = config_arena_take(arena, 1, size);
        assert_non_null(taken);
        assert_int_equal((uintptr_t)taken % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(taken[i], 0);
        memset(taken, 0xff, size);
    }
    config_arena_free(arena);
}

static void impossible_sizes_are_refused(void **state)
{
    struct config_arena *arena = config_arena_new();
    (void)state;
    assert_non_null(arena);
    assert_null(config_arena_take(arena, SIZE_MAX / 2, 3));
    assert_null(config_arena_take(arena, 1, SIZE_MAX));
    assert_null(config_arena_take(arena, 1, SIZE_MAX - 16));
    assert_null(config_arena_text(arena, "", SIZE_MAX));
    assert_non_null(config_arena_take(arena, 0, 8));
    config_arena_free(arena);
    config_arena_free(NULL);
}

static void texts_are_copied(void **state)
{
    struct config_arena *arena = config_arena_new();
    char source[] = "X-Tenant\xc3\x84";
    (void)state;
    assert_non_null(arena);
    const char *copy = config_arena_text(arena, source, 8);
    const char *lower = config_arena_lower(arena, source, strlen(source));
    source[0] = '?';
    assert_string_equal(copy, "X-Tenant");
    assert_string_equal(lower, "x-tenant\xc3\x84");
    assert_string_equal(config_arena_text(arena, NULL, 0), "");
    assert_string_equal(config_arena_print(arena, "%s-%d", "a", 7), "a-7");
    config_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_aligned),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(texts_are_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
