/* The sliding window: what is in it, and when it has gone. */
#include "fixture.h"

#include "router/window.h"

static struct route_counters sum;

static void add(enum side side, uint64_t ok, uint64_t errors, uint64_t latency_us)
{
    sum.side[side].judged += ok + errors;
    sum.side[side].errors += errors;
    for (uint64_t i = 0; i < ok + errors; i++)
        histogram_add(&sum.side[side].latency, latency_us);
}

static void begin(struct window *window, uint64_t length_ms, bool latency, uint64_t now_ms)
{
    memset(&sum, 0, sizeof(sum));
    memset(window, 0, sizeof(*window));
    assert_true(window_reserve(window, latency));
    window_init(window, length_ms, latency);
    window_restart(window, &sum, now_ms);
}

static void what_happened_is_in_it_for_its_length_and_at_most_a_bucket_more(void **state)
{
    (void)state;
    struct window window;
    begin(&window, 10000, true, 0);
    add(SIDE_NEW, 90, 10, 3000);
    window_update(&window, &sum, true, NULL, 100);
    for (uint64_t now = 200; now < 10100; now += 25) {
        window_update(&window, NULL, true, NULL, now);
        assert_int_equal(window.total[SIDE_NEW].judged, 100);
        assert_true(window_error_rate(&window, SIDE_NEW) == 0.1);
        assert_true(window_p95(&window, SIDE_NEW) > 2900 && window_p95(&window, SIDE_NEW) < 3300);
    }
    window_update(&window, NULL, true, NULL, 100 + 10000 + 500);
    assert_int_equal(window.total[SIDE_NEW].judged, 0);
    assert_int_equal(window.total[SIDE_NEW].errors, 0);
    assert_int_equal(histogram_total(&window.latency->total[SIDE_NEW]), 0);
    window_done(&window);
}

static void a_steady_stream_keeps_a_steady_total(void **state)
{
    (void)state;
    struct window window;
    begin(&window, 1000, true, 0);
    for (uint64_t now = 25; now <= 60000; now += 25) {
        add(SIDE_NEW, 3, 1, 500);
        add(SIDE_LEGACY, 2, 0, 700);
        window_update(&window, &sum, true, NULL, now);
        if (now < 2000)
            continue;
        assert_in_range(window.total[SIDE_NEW].judged, 160, 168); /* 40 to 42 ticks of 4 */
        assert_int_equal(window.total[SIDE_NEW].errors * 4, window.total[SIDE_NEW].judged);
        assert_int_equal(histogram_total(&window.latency->total[SIDE_NEW]), window.total[SIDE_NEW].judged);
        assert_int_equal(histogram_total(&window.latency->total[SIDE_LEGACY]), window.total[SIDE_LEGACY].judged);
    }
    window_done(&window);
}

static void a_long_pause_forgets_everything_at_once(void **state)
{
    (void)state;
    struct window window;
    begin(&window, 1000, false, 0);
    add(SIDE_LEGACY, 5, 5, 1);
    window_update(&window, &sum, true, NULL, 10);
    add(SIDE_LEGACY, 1, 0, 1);
    window_update(&window, &sum, true, NULL, 1000000000000);
    assert_int_equal(window.total[SIDE_LEGACY].judged, 1); /* what came after the pause */
    add(SIDE_LEGACY, 1, 0, 1);
    window_update(&window, &sum, true, NULL, 1000000000010);
    assert_int_equal(window.total[SIDE_LEGACY].judged, 2);
    assert_true(window_p95(&window, SIDE_LEGACY) == 0);
    window_done(&window);
}

static void a_restart_or_clearing_starts_from_now(void **state)
{
    (void)state;
    struct window window;
    begin(&window, 1000, true, 0);
    add(SIDE_NEW, 0, 7, 1);
    window_restart(&window, &sum, 50);
    window_update(&window, &sum, true, NULL, 60);
    assert_int_equal(window.total[SIDE_NEW].judged, 0);
    add(SIDE_NEW, 0, 7, 1);
    window_update(&window, &sum, true, NULL, 70);
    assert_int_equal(window.total[SIDE_NEW].errors, 7);
    window_clear(&window, 80);
    window_update(&window, &sum, true, NULL, 90);
    assert_int_equal(window.total[SIDE_NEW].errors, 0);
    assert_int_equal(histogram_total(&window.latency->total[SIDE_NEW]), 0);
    window_done(&window);
}

static void latency_that_was_not_looked_at_is_taken_in_later(void **state)
{
    (void)state;
    struct window window;
    begin(&window, 1000, true, 0);
    add(SIDE_NEW, 10, 0, 500);
    window_update(&window, &sum, false, NULL, 25);
    assert_int_equal(window.total[SIDE_NEW].judged, 10);
    assert_int_equal(histogram_total(&window.latency->total[SIDE_NEW]), 0);
    add(SIDE_NEW, 5, 0, 500);
    window_update(&window, &sum, true, NULL, 100);
    assert_int_equal(window.total[SIDE_NEW].judged, 15);
    assert_int_equal(histogram_total(&window.latency->total[SIDE_NEW]), 15);
    window_done(&window);
}

static void slow_ones_are_counted_beside_errors(void **state)
{
    (void)state;
    struct window window;
    begin(&window, 1000, false, 0);
    add(SIDE_NEW, 6, 2, 1);
    sum.side[SIDE_NEW].slow += 4;
    window_update(&window, &sum, true, NULL, 25);
    assert_true(window_slow_rate(&window, SIDE_NEW) == 0.5);
    assert_true(window_slow_rate(&window, SIDE_LEGACY) == 0);
    add(SIDE_NEW, 8, 0, 1);
    window_update(&window, &sum, true, NULL, 500);
    assert_true(window_slow_rate(&window, SIDE_NEW) == 0.25);
    window_update(&window, NULL, true, NULL, 1060);
    assert_true(window_slow_rate(&window, SIDE_NEW) == 0); /* only the healthy half is still in it */
    window_done(&window);
}

static void marks_leave_with_their_bucket(void **state)
{
    (void)state;
    struct window window;
    begin(&window, 1000, false, 0);
    struct marks left;
    for (uint32_t i = 0; i < 3; i++) {
        memset(&left, 0, sizeof(left));
        sketch_add(&left.keys, i * 100);
        sketch_add(&left.error_paths, 7);
        window_update(&window, NULL, false, &left, 100 + i * 300);
    }
    struct marks marks;
    window_marks(&window, &marks);
    assert_int_equal(sketch_count(&marks.keys), 3);
    assert_int_equal(sketch_count(&marks.error_paths), 1);
    window_update(&window, NULL, false, NULL, 1160); /* the first is more than a second ago */
    window_marks(&window, &marks);
    assert_int_equal(sketch_count(&marks.keys), 2);
    assert_int_equal(sketch_count(&marks.error_paths), 1);
    window_clear(&window, 1170);
    window_marks(&window, &marks);
    assert_int_equal(sketch_count(&marks.keys), 0);
    window_done(&window);
}

static void an_error_seen_before_its_exchange_does_no_harm(void **state)
{
    (void)state;
    struct window window;
    begin(&window, 1000, false, 0);
    sum.side[SIDE_NEW].errors = 1;
    window_update(&window, &sum, true, NULL, 25);
    assert_true(window_error_rate(&window, SIDE_NEW) <= 1);
    sum.side[SIDE_NEW].judged = 2;
    window_update(&window, &sum, true, NULL, 50);
    assert_true(window_error_rate(&window, SIDE_NEW) == 0.5);
    window_done(&window);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_happened_is_in_it_for_its_length_and_at_most_a_bucket_more),
        cmocka_unit_test(a_steady_stream_keeps_a_steady_total),
        cmocka_unit_test(a_long_pause_forgets_everything_at_once),
        cmocka_unit_test(a_restart_or_clearing_starts_from_now),
        cmocka_unit_test(latency_that_was_not_looked_at_is_taken_in_later),
        cmocka_unit_test(slow_ones_are_counted_beside_errors),
        cmocka_unit_test(marks_leave_with_their_bucket),
        cmocka_unit_test(an_error_seen_before_its_exchange_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
