/* proxy/chunk.c: sizes, counting, and that freed chunks come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/chunk.h"

static void there_is_room_for_what_was_asked(void **state)
{
    (void)state;
    struct chunk_pool pool = {0};
    static const size_t sizes[] = {0, 1, 900, 1024, 4000, 5000, 16000, 65536, 65537, 1000000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct chunk *chunk = chunk_take(&pool, sizes[i]);
        assert_non_null(chunk);
        assert_true(chunk_room(chunk) >= sizes[i]);
        memset(chunk_tail(chunk), 'x', sizes[i]); /* the sanitizer looks on */
        chunk_unref(chunk);
    }
    chunk_pool_done(&pool);
}

static void the_last_freed_is_the_next_taken(void **state)
{
    (void)state;
    struct chunk_pool pool = {0};
    struct chunk *chunk = chunk_take(&pool, 500);
    chunk->used = 400;
    chunk_unref(chunk);
    struct chunk *again = chunk_take(&pool, 600);
    assert_ptr_equal(chunk, again);
    assert_int_equal(again->used, 0);
    chunk_unref(again);
    chunk_pool_done(&pool);
}

static void a_shared_chunk_stays_until_the_last_has_gone(void **state)
{
    (void)state;
    struct chunk_pool pool = {0};
    struct chunk *chunk = chunk_take(&pool, 100);
    chunk_ref(chunk);
    chunk_unref(chunk);
    struct chunk *other = chunk_take(&pool, 100);
    assert_ptr_not_equal(chunk, other);
    chunk_unref(other);
    chunk_unref(chunk);
    chunk_pool_done(&pool);
}

static void a_copy_is_its_own(void **state)
{
    (void)state;
    struct chunk_pool pool = {0};
    struct slice copy;
    char text[] = "grpc-status: 0";
    assert_true(chunk_copy(&pool, text, sizeof(text), &copy));
    text[0] = 'x';
    assert_int_equal(copy.len, sizeof(text));
    assert_string_equal(copy.at, "grpc-status: 0");
    assert_true(chunk_tail(copy.chunk) == copy.at + copy.len);
    chunk_unref(copy.chunk);
    chunk_pool_done(&pool);
}

static void few_free_ones_are_kept(void **state)
{
    (void)state;
    enum {
        MANY = 100
    };
    struct chunk_pool pool = {0};
    struct chunk *chunks[MANY];
    for (size_t i = 0; i < MANY; i++)
        chunks[i] = chunk_take(&pool, 60000);
    for (size_t i = 0; i < MANY; i++)
        chunk_unref(chunks[i]);
    assert_in_range(pool.kept[CHUNK_CLASSES - 1], 1, 32);
    chunk_pool_done(&pool);
    assert_int_equal(pool.kept[CHUNK_CLASSES - 1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_room_for_what_was_asked),
        cmocka_unit_test(the_last_freed_is_the_next_taken),
        cmocka_unit_test(a_shared_chunk_stays_until_the_last_has_gone),
        cmocka_unit_test(a_copy_is_its_own),
        cmocka_unit_test(few_free_ones_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
