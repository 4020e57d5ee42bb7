/* Crowds: latencies in parts, and what is left without one. */
#include "tests/router/fixture.h"

#include "router/crowd.h"

struct both {
    struct histogram all;
    struct crowd crowd;
};

static void add(struct both *b, uint16_t key, uint16_t path, uint64_t us, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        histogram_add(&b->all, us);
        crowd_add(&b->crowd, key, path, us);
    }
}

static void what_one_part_did_is_left_out(void **state)
{
    (void)state;
    static struct both b;
    struct histogram rest;
    memset(&b, 0, sizeof(b));
    add(&b, 0x0000, 0xe000, 1000, 70);  /* the first part of clients, the last of paths */
    add(&b, 0x1fff, 0xffff, 50000, 20); /* the same parts */
    add(&b, 0x2000, 0x0000, 1000, 10);
    crowd_without(&b.crowd, 0, &b.all, &rest);
    assert_int_equal(histogram_total(&rest), 10);
    assert_int_equal(rest.count[histogram_bucket(1000)], 10);
    crowd_without(&b.crowd, CROWD_PARTS - 1, &b.all, &rest);
    assert_int_equal(histogram_total(&rest), 10);
    crowd_without(&b.crowd, 1, &b.all, &rest);
    assert_int_equal(histogram_total(&rest), 90);
    assert_int_equal(rest.count[histogram_bucket(50000)], 20);
    crowd_without(&b.crowd, 2, &b.all, &rest); /* nobody */
    assert_memory_equal(rest.count, b.all.count, sizeof(rest.count));
}

/* Eight buckets are one here: a tenth of them takes a tenth of each, and never more than there is. */
static void of_buckets_that_are_one_each_gives_its_share(void **state)
{
    (void)state;
    static struct both b;
    struct histogram rest;
    uint32_t first = histogram_bucket(1024);
    assert_int_equal(first % CROWD_WIDTH, 0);
    memset(&b, 0, sizeof(b));
    for (uint32_t i = 0; i < CROWD_WIDTH; i++) {
        add(&b, 0x0000, 0, histogram_bucket_floor(first + i), 10 * (i + 1));
        add(&b, 0x2000, 0, histogram_bucket_floor(first + i), 90 * (i + 1));
    }
    crowd_without(&b.crowd, 0, &b.all, &rest);
    for (uint32_t i = 0; i < CROWD_WIDTH; i++)
        assert_int_equal(rest.count[first + i], 90 * (i + 1));
    b.crowd.count[0][first / CROWD_WIDTH] = 7; /* sums are right however it is rounded */
    crowd_without(&b.crowd, 0, &b.all, &rest);
    assert_int_equal(histogram_total(&rest), 3600 - 7);
    b.crowd.count[0][first / CROWD_WIDTH] = UINT32_MAX; /* seen before the histogram's */
    crowd_without(&b.crowd, 0, &b.all, &rest);
    assert_int_equal(histogram_total(&rest), 0);
}

static void crowds_add_up_and_subtract_over_the_end_of_a_counter(void **state)
{
    (void)state;
    static struct crowd earlier, later, into;
    memset(&into, 0, sizeof(into));
    earlier.count[3][5] = UINT32_MAX - 1;
    later.count[3][5] = 3;
    earlier.count[CROWD_PARTS - 1][CROWD_BUCKETS - 1] = 4;
    later.count[CROWD_PARTS - 1][CROWD_BUCKETS - 1] = 9;
    crowd_gain(&into, &later, &earlier);
    crowd_gain(&into, &later, &earlier);
    assert_int_equal(into.count[3][5], 10);
    assert_int_equal(into.count[CROWD_PARTS - 1][CROWD_BUCKETS - 1], 10);
    crowd_merge(&into, &later);
    assert_int_equal(into.count[3][5], 13);
    assert_int_equal(into.count[CROWD_PARTS - 1][CROWD_BUCKETS - 1], 19);
    assert_int_equal(into.count[0][0], 0);
}

static void every_latency_has_a_place(void **state)
{
    (void)state;
    static struct both b;
    struct histogram rest;
    memset(&b, 0, sizeof(b));
    static const uint64_t values[] = {0, 1, 31, 32, 33, 1000, UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < 8; i++)
        add(&b, 0xffff, 0xffff, values[i], 1);
    crowd_without(&b.crowd, CROWD_OF_EACH - 1, &b.all, &rest);
    assert_int_equal(histogram_total(&rest), 0);
    crowd_without(&b.crowd, CROWD_PARTS - 1, &b.all, &rest);
    assert_int_equal(histogram_total(&rest), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_part_did_is_left_out),
        cmocka_unit_test(of_buckets_that_are_one_each_gives_its_share),
        cmocka_unit_test(crowds_add_up_and_subtract_over_the_end_of_a_counter),
        cmocka_unit_test(every_latency_has_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
