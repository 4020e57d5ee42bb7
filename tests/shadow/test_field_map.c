/*
 * The map of fields: rows, bounds, examples, how far numbers are apart.
 */
#include "shadow/field_map.h"

#include "tests/shadow/pairs.h"

struct fixture {
    struct test_route route;
    struct pair *pair;
    struct field_map fields;
    struct budget budget;
    uint32_t left;
    struct field_limits limits;
};

static void start(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    test_route_init(&f->route, "orders");
    f->pair = test_pair(&f->route);
    f->budget.limit = 1 << 20;
    f->left = 512;
    f->limits = (struct field_limits){&f->budget, &f->left};
}

static void stop(struct fixture *f)
{
    field_map_done(&f->fields, &f->limits);
    assert_int_equal(f->budget.used, 0);
    assert_int_equal(f->left, 512);
    pair_free(f->pair);
}

static uint32_t count(struct fixture *f, const char *field, enum field_count what, double apart)
{
    static struct difference_list list;
    struct veil veil = {.values = SAMPLES_FULL};
    difference_list_reset(&list, &veil);
    struct difference *d = difference_note(&list, DIFFERENCE_VALUE, false, field);
    d->apart = apart;
    snprintf(d->path, sizeof(d->path), "%s", field);
    snprintf(d->primary, sizeof(d->primary), "at %llu", (unsigned long long)f->pair->wall_ms);
    return field_map_count(&f->fields, &f->limits, d, what, f->pair);
}

/* A value that is not there, or is none of its kind, is counted beside values that are other ones. */
static void shape_is_counted_apart(void **state)
{
    static const enum difference_kind kinds[] = {DIFFERENCE_VALUE, DIFFERENCE_MISSING, DIFFERENCE_EXTRA,
                                                 DIFFERENCE_TYPE,  DIFFERENCE_ORDER,   DIFFERENCE_LENGTH};
    struct fixture f;
    struct difference difference = {.hash = 1, .field = "$.a"};
    (void)state;
    start(&f);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        difference.kinds = 1u << kinds[i];
        field_map_count(&f.fields, &f.limits, &difference, FIELD_DIFFERING, f.pair);
        if (i < 2)
            field_map_count(&f.fields, &f.limits, &difference, FIELD_NOISE, f.pair);
    }
    difference.kinds = 1u << DIFFERENCE_MISSING | 1u << DIFFERENCE_TYPE; /* one pair */
    field_map_count(&f.fields, &f.limits, &difference, FIELD_DIFFERING, f.pair);
    const struct field_counts *row = &f.fields.rows[0];
    assert_true(row->differing == 7 && row->shape == 4);
    assert_true(row->noise == 2 && row->noise_shape == 1);
    stop(&f);
}

static void each_count_is_kept_apart(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    assert_int_equal(count(&f, "$.a", FIELD_NOISE, -1), 0);
    assert_int_equal(count(&f, "$.b", FIELD_DIFFERING, -1), 1);
    assert_int_equal(count(&f, "$.a", FIELD_DIFFERING, -1), 0);
    assert_int_equal(count(&f, "$.a", FIELD_DIFFERING, -1), 0);
    assert_int_equal(count(&f, "$.a", FIELD_IGNORED, -1), 0);
    const struct field_counts *row = &f.fields.rows[0];
    assert_true(row->differing == 2 && row->noise == 1 && row->ignored == 1);
    assert_true(row->by_kind[DIFFERENCE_VALUE] == 2 && row->by_kind[DIFFERENCE_ORDER] == 0);
    assert_string_equal(row->name, "$.a");
    assert_true(row->changed);
    stop(&f);
}

static void there_is_room_for_so_many(void **state)
{
    struct fixture f;
    char name[32];
    (void)state;
    start(&f);
    for (uint32_t i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "$.f%u", i);
        assert_int_equal(count(&f, name, FIELD_DIFFERING, -1), i < FIELDS_MAX ? i : FIELD_NO_ROW);
    }
    for (uint32_t i = 0; i < FIELDS_MAX; i++) { /* all are found again after the map has grown */
        snprintf(name, sizeof(name), "$.f%u", i);
        assert_int_equal(count(&f, name, FIELD_DIFFERING, -1), i);
        assert_int_equal(f.fields.rows[i].differing, 2);
    }
    assert_int_equal(f.left, 512 - FIELDS_MAX);
    stop(&f);
}

static void bounds_of_others_hold_as_well(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    f.left = 1;
    assert_int_equal(count(&f, "$.a", FIELD_DIFFERING, -1), 0);
    assert_int_equal(count(&f, "$.b", FIELD_DIFFERING, -1), FIELD_NO_ROW);
    assert_int_equal(count(&f, "$.a", FIELD_DIFFERING, -1), 0);
    f.left = 511;
    f.budget.limit = f.budget.used;
    assert_int_equal(count(&f, "$.b", FIELD_DIFFERING, -1), 1); /* there was room left in what is allocated */
    for (int i = 0; i < 8; i++) {
        char name[32];
        snprintf(name, sizeof(name), "$.more%d", i);
        count(&f, name, FIELD_DIFFERING, -1);
    }
    assert_int_equal(f.fields.count, 4);
    assert_true(f.budget.refused);
    stop(&f);
}

static void the_example_is_a_new_one(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    f.pair->wall_ms = 5000;
    count(&f, "$.a", FIELD_DIFFERING, -1);
    f.pair->wall_ms = 5999;
    count(&f, "$.a", FIELD_DIFFERING, -1);
    assert_string_equal(f.fields.rows[0].primary, "at 5000"); /* one a second is enough */
    f.pair->wall_ms = 6000;
    count(&f, "$.a", FIELD_DIFFERING, -1);
    assert_string_equal(f.fields.rows[0].primary, "at 6000");
    f.pair->wall_ms = 100; /* the clock was set back: examples go on */
    count(&f, "$.a", FIELD_DIFFERING, -1);
    assert_string_equal(f.fields.rows[0].primary, "at 100");
    stop(&f);
}

static void numbers_are_apart_as_long_as_all_are_numbers(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    count(&f, "$.n", FIELD_DIFFERING, 0.001);
    count(&f, "$.n", FIELD_DIFFERING, 0.003);
    count(&f, "$.n", FIELD_DIFFERING, 0.002);
    assert_true(f.fields.rows[0].apart == 0.003);
    count(&f, "$.n", FIELD_NOISE, -1); /* says nothing about both sides */
    assert_true(f.fields.rows[0].apart == 0.003);
    count(&f, "$.n", FIELD_DIFFERING, -1);
    count(&f, "$.n", FIELD_DIFFERING, 0.5);
    assert_true(f.fields.rows[0].apart < 0);
    count(&f, "$.text", FIELD_DIFFERING, -1);
    count(&f, "$.text", FIELD_DIFFERING, 0.1);
    assert_true(f.fields.rows[1].apart < 0);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_count_is_kept_apart),  cmocka_unit_test(shape_is_counted_apart),
        cmocka_unit_test(there_is_room_for_so_many), cmocka_unit_test(bounds_of_others_hold_as_well),
        cmocka_unit_test(the_example_is_a_new_one),  cmocka_unit_test(numbers_are_apart_as_long_as_all_are_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
