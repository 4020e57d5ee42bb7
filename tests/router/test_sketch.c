/* Counting different things in 128 bytes, and whether errors come from enough of them. */
#include "fixture.h"

#include <math.h>

#include "router/sketch.h"

static void add_many(struct sketch *sketch, uint32_t count, uint64_t *random)
{
    for (uint32_t i = 0; i < count; i++)
        sketch_add(sketch, (uint32_t)(next_random(random) >> 40));
}

static void few_are_exact_and_many_within_a_tenth(void **state)
{
    (void)state;
    uint64_t random = 42;
    static const uint32_t counts[] = {20, 100, 500, 1000, 2000};
    struct sketch sketch = {0};
    assert_int_equal(sketch_count(&sketch), 0);
    for (int again = 0; again < 5; again++)
        sketch_add(&sketch, 12345);
    assert_int_equal(sketch_count(&sketch), 1);
    sketch_add(&sketch, 12346);
    sketch_add(&sketch, 12346 + 64);
    assert_int_equal(sketch_count(&sketch), 3);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        memset(&sketch, 0, sizeof(sketch));
        add_many(&sketch, counts[i], &random);
        assert_true(fabs(sketch_count(&sketch) - (double)counts[i]) <= 2 + 0.1 * counts[i]);
    }
    add_many(&sketch, 100000, &random);
    assert_int_equal(sketch_count(&sketch), SKETCH_MOST);
}

static void what_was_taken_is_gone(void **state)
{
    (void)state;
    struct sketch from = {0};
    struct sketch into = {0};
    sketch_add(&from, 1);
    sketch_add(&from, 900);
    sketch_take(&into, &from);
    assert_int_equal(sketch_count(&into), 2);
    assert_int_equal(sketch_count(&from), 0);
    sketch_add(&from, 900); /* the same again */
    sketch_take(&into, &from);
    assert_int_equal(sketch_count(&into), 2);
    struct sketch sum = {0};
    sketch_add(&sum, 5);
    sketch_merge(&sum, &into);
    assert_int_equal(sketch_count(&sum), 3);
    assert_int_equal(sketch_count(&into), 2);
}

/* Each sketch of a mark is a field of its own: nothing is forgotten in merging and taking. */
static void marks_have_all_their_sketches(void **state)
{
    (void)state;
    enum {
        ALL = sizeof(struct marks) / sizeof(struct sketch)
    };
    struct marks from = {0};
    struct marks into = {0};
    struct sketch *of_from = (struct sketch *)&from;
    struct sketch *of_into = (struct sketch *)&into;
    for (uint32_t i = 0; i < ALL; i++)
        for (uint32_t n = 0; n <= i; n++)
            sketch_add(&of_from[i], n * 64);
    marks_merge(&into, &from);
    for (uint32_t i = 0; i < ALL; i++)
        assert_int_equal(sketch_count(&of_into[i]), i + 1);
    memset(&into, 0, sizeof(into));
    marks_take(&into, &from);
    for (uint32_t i = 0; i < ALL; i++) {
        assert_int_equal(sketch_count(&of_into[i]), i + 1);
        assert_int_equal(sketch_count(&of_from[i]), 0);
    }
}

static void set(struct sketch *sketch, uint32_t count)
{
    memset(sketch, 0, sizeof(*sketch));
    for (uint32_t i = 0; i < count; i++)
        sketch_add(sketch, i * 67);
}

static void errors_are_spread_over_enough_or_over_all_there_are(void **state)
{
    (void)state;
    static const struct {
        uint32_t keys, error_keys, paths, error_paths, least;
        bool spread;
    } rows[] = {
        {100, 3, 100, 3, 3, true},  {100, 2, 100, 3, 3, false},   {100, 3, 100, 2, 3, false}, {100, 50, 1, 1, 3, true},
        {1, 1, 100, 40, 3, true},   {1, 1, 1, 1, 3, true},        {2, 1, 1, 1, 3, false},     {2, 2, 2, 2, 3, true},
        {1, 1, 2, 1, 3, false},     {100, 1, 100, 1, 1, true},    {100, 1, 100, 1, 0, true},  {0, 0, 0, 0, 3, true},
        {100, 0, 100, 0, 3, false}, {100, 20, 100, 20, 20, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct marks marks = {0};
        set(&marks.keys, rows[i].keys);
        set(&marks.error_keys, rows[i].error_keys);
        set(&marks.paths, rows[i].paths);
        set(&marks.error_paths, rows[i].error_paths);
        assert_int_equal(marks_are_spread(&marks, rows[i].least), rows[i].spread);
        assert_int_equal(marks_slow_are_spread(&marks, rows[i].least), rows[i].least == 0 || rows[i].keys == 0);
        set(&marks.slow_keys, rows[i].error_keys);
        set(&marks.slow_paths, rows[i].error_paths);
        assert_int_equal(marks_slow_are_spread(&marks, rows[i].least), rows[i].spread);
        assert_int_equal(marks_lost_are_spread(&marks, rows[i].least), rows[i].least == 0 || rows[i].keys == 0);
        set(&marks.lost_keys, rows[i].error_keys);
        set(&marks.lost_paths, rows[i].error_paths);
        assert_int_equal(marks_lost_are_spread(&marks, rows[i].least), rows[i].spread);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_are_exact_and_many_within_a_tenth),
        cmocka_unit_test(what_was_taken_is_gone),
        cmocka_unit_test(marks_have_all_their_sketches),
        cmocka_unit_test(errors_are_spread_over_enough_or_over_all_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
