/* router/duration.c: each duration is counted once, at or below its edge, and merging adds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "router/duration.h"

static void an_edge_is_inside(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < DURATION_EDGES; i++) {
        struct durations durations;
        memset(&durations, 0, sizeof(durations));
        durations_add(&durations, duration_edges_us[i]);
        durations_add(&durations, duration_edges_us[i] + 1);
        assert_int_equal(durations.count[i], 1);
        assert_int_equal(durations.count[i + 1], 1);
        assert_int_equal(durations.sum_us, 2 * duration_edges_us[i] + 1);
    }
}

static void edges_grow(void **state)
{
    (void)state;
    for (uint32_t i = 1; i < DURATION_EDGES; i++)
        assert_true(duration_edges_us[i] > duration_edges_us[i - 1]);
}

static void merging_adds(void **state)
{
    (void)state;
    struct durations a, b;
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    durations_add(&a, 0);
    durations_add(&b, 0);
    durations_add(&b, UINT32_MAX);
    durations_merge(&a, &b);
    assert_int_equal(a.count[0], 2);
    assert_int_equal(a.count[DURATION_EDGES], 1);
    assert_int_equal(a.sum_us, UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edge_is_inside),
        cmocka_unit_test(edges_grow),
        cmocka_unit_test(merging_adds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
