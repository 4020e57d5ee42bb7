/*
 * nghttp2's memory: what has pages of its own and what has not behaves the same.
 */
#include "proxy/h2_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static const size_t sizes[] = {1, 100, 4096, 16383, 16384, 16394, 20480, 20481, 100000};

enum {
    SIZES = sizeof(sizes) / sizeof(sizes[0])
};

static void all_of_it_may_be_written(void **state)
{
    (void)state;
    struct h2_memory own = {.pages = NULL};
    nghttp2_mem calls = h2_memory_for(&own), *memory = &calls;
    for (int i = 0; i < SIZES; i++) {
        char *at = memory->malloc(sizes[i], memory->mem_user_data);
        assert_non_null(at);
        memset(at, 1, sizes[i]);
        memory->free(at, memory->mem_user_data);
        at = memory->calloc(sizes[i], 1, memory->mem_user_data);
        assert_non_null(at);
        assert_int_equal(at[0] | at[sizes[i] - 1], 0);
        memory->free(at, memory->mem_user_data);
    }
    memory->free(NULL, memory->mem_user_data);
}

static void content_stays_when_the_size_changes(void **state)
{
    (void)state;
    struct h2_memory own = {.pages = NULL};
    nghttp2_mem calls = h2_memory_for(&own), *memory = &calls;
    for (int i = 0; i < SIZES; i++) {
        for (int k = 0; k < SIZES; k++) {
            char *at = memory->realloc(NULL, sizes[i], memory->mem_user_data);
            assert_non_null(at);
            memset(at, i + 1, sizes[i]);
            at = memory->realloc(at, sizes[k], memory->mem_user_data);
            assert_non_null(at);
            size_t kept = sizes[i] < sizes[k] ? sizes[i] : sizes[k];
            assert_int_equal(at[0], i + 1);
            assert_int_equal(at[kept - 1], i + 1);
            memset(at, 9, sizes[k]);
            memory->free(at, memory->mem_user_data);
        }
    }
}

static void what_rests_can_be_used_again(void **state)
{
    (void)state;
    struct h2_memory own = {.pages = NULL};
    nghttp2_mem memory = h2_memory_for(&own);
    h2_memory_rest(&own);
    char *at = memory.malloc(16394, &own), *other = memory.malloc(16394, &own);
    assert_non_null(at);
    assert_non_null(other);
    memset(at, 1, 16394);
    memset(other, 2, 16394);
    h2_memory_rest(&own);
    memset(at, 3, 16394);
    assert_int_equal(other[0] + other[16393], 4); /* only the first is the frame's */
    memory.free(at, &own);
    h2_memory_rest(&own);
    assert_int_equal(other[0] + other[16393], 4);
    memory.free(other, &own);
    assert_null(own.pages);
}

static bool is_resident(const void *at)
{
    unsigned char resident = 0;
    assert_int_equal(mincore((void *)(uintptr_t)at, 1, &resident), 0);
    return (resident & 1) != 0;
}

static void a_table_of_streams_rests_when_it_is_empty(void **state)
{
    (void)state;
    struct h2_memory own = {.pages = NULL};
    nghttp2_mem memory = h2_memory_for(&own);
    char *session = memory.calloc(1, 2928, &own); /* not the table, and never empty */
    char *room = memory.malloc(16394, &own), *table = memory.calloc(256, 16, &own);
    assert_non_null(session);
    assert_non_null(room);
    assert_non_null(table);
    session[0] = 1;
    memset(room, 1, 16394);
    table[4095] = 1;
    h2_memory_rest(&own);
    assert_int_equal(table[4095], 1);
    assert_true(is_resident(room));
    table[4095] = 0;
    h2_memory_rest(&own);
    assert_false(is_resident(room));
    assert_false(is_resident(table));
    table[0] = 1;
    assert_int_equal(table[4095], 0);
    memory.free(table, &own);
    memory.free(room, &own);
    memory.free(session, &own);
    assert_null(own.pages);
}

static void a_table_that_grew_is_zeroed_again_and_does_not_hold_the_room(void **state)
{
    (void)state;
    struct h2_memory own = {.pages = NULL};
    nghttp2_mem memory = h2_memory_for(&own);
    char *room = memory.malloc(16394, &own), *table = memory.calloc(256, 16, &own);
    assert_non_null(room);
    assert_non_null(table);
    char *larger = memory.calloc(512, 16, &own);
    assert_non_null(larger);
    memset(larger, 1, 512 * 16);
    memset(table, 1, 4096);
    memory.free(table, &own);
    memset(room, 1, 16394);
    h2_memory_rest(&own);
    assert_false(is_resident(room));
    table = memory.calloc(256, 16, &own);
    assert_non_null(table);
    memset(table, 1, 4096);
    memory.free(table, &own);
    table = memory.calloc(256, 16, &own);
    assert_int_equal(table[0] | table[4095], 0);
    memory.free(table, &own);
    memory.free(larger, &own);
    memory.free(room, &own);
    assert_null(own.pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_may_be_written),
        cmocka_unit_test(content_stays_when_the_size_changes),
        cmocka_unit_test(what_rests_can_be_used_again),
        cmocka_unit_test(a_table_of_streams_rests_when_it_is_empty),
        cmocka_unit_test(a_table_that_grew_is_zeroed_again_and_does_not_hold_the_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
