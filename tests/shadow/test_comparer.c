/*
 * The compare thread: every pair comes back judged and counted once, from two workers at a time; a full queue says so;
 * stopping loses nothing.
 */
#include "tests/shadow/pairs.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "shadow/comparer.h"

struct fixture {
    struct test_route route;
    struct report *report;
    struct comparer *comparer;
};

static void start(struct fixture *f, uint32_t workers, uint32_t capacity)
{
    test_route_init(&f->route, "orders");
    f->report = report_new();
    assert_non_null(f->report);
    f->comparer = comparer_start(workers, capacity, f->report);
    assert_non_null(f->comparer);
}

static void pause_ms(long ms)
{
    struct timespec time = {.tv_nsec = ms * 1000000L};
    nanosleep(&time, NULL);
}

/* Waits for the condition, not for a time: the bound only ends a test that has failed. */
static struct pair *await_pair(struct fixture *f, uint32_t worker)
{
    for (int i = 0; i < 20000; i++) {
        struct pair *pair = comparer_reclaim(f->comparer, worker);
        if (pair != NULL)
            return pair;
        pause_ms(1);
    }
    fail_msg("no pair came back");
    return NULL;
}

static void compares_and_gives_back(void **state)
{
    struct fixture f;
    struct comparison_totals totals;
    (void)state;
    start(&f, 1, 16);
    struct pair *same = test_json_pair(&f.route, "{\"a\":1}", "{\"a\":1}");
    struct pair *other = test_json_pair(&f.route, "{\"a\":1}", "{\"a\":2}");
    assert_null(comparer_reclaim(f.comparer, 0));
    assert_true(comparer_submit(f.comparer, 0, same));
    assert_true(comparer_submit(f.comparer, 0, other));
    assert_ptr_equal(await_pair(&f, 0), same);
    assert_ptr_equal(await_pair(&f, 0), other);
    report_totals(f.report, "orders", &totals);
    assert_int_equal(totals.compared, 2);
    assert_int_equal(totals.mismatched, 1);
    pair_free(same);
    pair_free(other);
    comparer_stop(f.comparer, 1000);
    report_free(f.report);
}

/* After more than NAPS_BEFORE_SLEEP naps the thread blocks; a submission must wake it. */
static void wakes_from_sleep(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 2, 16);
    struct pair *pair = test_json_pair(&f.route, "1", "1");
    for (int round = 0; round < 4; round++) {
        pause_ms(40);
        assert_true(comparer_submit(f.comparer, 1, pair));
        assert_ptr_equal(await_pair(&f, 1), pair);
    }
    pair_free(pair);
    comparer_stop(f.comparer, 1000);
    report_free(f.report);
}

/* Submits as many pairs as both ways hold, and takes none back. */
static void fill(struct fixture *f, uint32_t most)
{
    uint32_t accepted = 0;
    for (int i = 0; i < 20000 && accepted < most; i++) {
        struct pair *pair = test_json_pair(&f->route, "1", "1");
        if (comparer_submit(f->comparer, 0, pair)) {
            accepted++;
        } else {
            pair_free(pair);
            pause_ms(1);
        }
    }
    assert_int_equal(accepted, most);
}

/* What is not taken back fills the way back, then the way there; then submitting is refused and nothing is lost. */
static void a_full_queue_refuses(void **state)
{
    enum {
        CAPACITY = 8,
        MOST = 2 * CAPACITY
    };
    struct fixture f;
    struct comparison_totals totals;
    (void)state;
    start(&f, 1, CAPACITY);
    fill(&f, MOST);
    struct pair *refused = test_json_pair(&f.route, "1", "1");
    assert_false(comparer_submit(f.comparer, 0, refused)); /* still ours */
    pair_free(refused);
    for (uint32_t i = 0; i < CAPACITY; i++)
        pair_free(await_pair(&f, 0));
    comparer_stop(f.comparer, 10000);
    report_totals(f.report, "orders", &totals);
    assert_int_equal(totals.compared, MOST);
    report_free(f.report);
}

/* The thread sleeps over a full way back; taking everything back is enough for the rest to be judged. */
static void goes_on_when_the_way_back_is_empty(void **state)
{
    enum {
        CAPACITY = 8,
        MOST = 2 * CAPACITY
    };
    struct fixture f;
    (void)state;
    start(&f, 1, CAPACITY);
    fill(&f, MOST);
    pause_ms(150); /* it is asleep by then; where it is not, the test proves less */
    for (uint32_t i = 0; i < MOST; i++)
        pair_free(await_pair(&f, 0));
    comparer_stop(f.comparer, 1000);
    report_free(f.report);
}

/* The worker says what its queue may hold. */
static void the_bound_in_bytes_is_the_workers(void **state)
{
    struct fixture f;
    uint32_t accepted = 0;
    (void)state;
    start(&f, 2, 1024);
    struct pair *probe = test_json_pair(&f.route, "1", "2");
    comparer_set_bound(f.comparer, 1, 4 * pair_bytes(probe));
    pair_free(probe);
    for (;; accepted++) {
        struct pair *pair = test_json_pair(&f.route, "1", "2");
        if (!comparer_submit(f.comparer, 1, pair)) {
            pair_free(pair);
            break;
        }
    }
    assert_int_equal(accepted, 4);
    for (uint32_t i = 0; i < 10; i++) /* the other worker's queue is its own */
        assert_true(comparer_submit(f.comparer, 0, test_json_pair(&f.route, "1", "2")));
    for (uint32_t i = 0; i < 10; i++)
        pair_free(await_pair(&f, 0));
    for (uint32_t i = 0; i < accepted; i++)
        pair_free(await_pair(&f, 1));
    comparer_stop(f.comparer, 1000);
    report_free(f.report);
}

/* Answers of 1 MiB: the queue is full long before it has as many pairs as it has places. */
static void large_answers_are_bounded_in_bytes(void **state)
{
    enum {
        SIZE = 1024 * 1024
    };
    struct fixture f;
    uint32_t accepted = 0;
    char *body = malloc(SIZE);
    (void)state;
    assert_non_null(body);
    memset(body, 'x', SIZE);
    start(&f, 1, 1024);
    for (;; accepted++) {
        struct pair *pair = test_pair(&f.route);
        test_capture(&pair->primary_capture, SIZE, 200, "A: 1\r\n", body, SIZE);
        test_capture(&pair->shadow_capture, SIZE, 200, "A: 1\r\n", body, SIZE);
        if (!comparer_submit(f.comparer, 0, pair)) {
            pair_free(pair);
            break;
        }
    }
    assert_in_range(accepted, 2, 8); /* of 2 to 4 MiB each */
    for (uint32_t i = 0; i < accepted; i++) {
        struct pair *pair = await_pair(&f, 0);
        assert_int_equal(pair->primary_capture.room, 0);
        pair_free(pair);
    }
    struct pair *again = test_json_pair(&f.route, "1", "1");
    assert_true(comparer_submit(f.comparer, 0, again)); /* taking back has made room */
    pair_free(await_pair(&f, 0));
    free(body);
    comparer_stop(f.comparer, 1000);
    report_free(f.report);
}

static void finishing_gives_everything_back(void **state)
{
    struct fixture f;
    struct comparison_totals totals;
    uint32_t back = 0;
    (void)state;
    start(&f, 1, 64);
    for (int i = 0; i < 50; i++)
        assert_true(comparer_submit(f.comparer, 0, test_json_pair(&f.route, "1", "2")));
    comparer_finish(f.comparer, 10000);
    for (struct pair *pair = comparer_reclaim(f.comparer, 0); pair != NULL; pair = comparer_reclaim(f.comparer, 0)) {
        pair_free(pair);
        back++;
    }
    assert_int_equal(back, 50);
    report_totals(f.report, "orders", &totals);
    assert_int_equal(totals.mismatched, 50);
    comparer_stop(f.comparer, 0);
    report_free(f.report);
}

static void stopping_at_once_frees_what_waits(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 1, 64);
    for (int i = 0; i < 40; i++)
        assert_true(comparer_submit(f.comparer, 0, test_json_pair(&f.route, "1", "2")));
    comparer_stop(f.comparer, 0); /* the leak checker sees whether they are freed */
    report_free(f.report);
    comparer_stop(NULL, 0);
}

enum {
    WORKERS = 2,
    PAIRS_EACH = 3000,
    IN_FLIGHT = 100
};

struct worker {
    struct fixture *fixture;
    uint32_t index;
    uint32_t returned, refused;
};

static uint32_t take_back(struct worker *w)
{
    uint32_t count = 0;
    for (struct pair *pair = comparer_reclaim(w->fixture->comparer, w->index); pair != NULL;
         pair = comparer_reclaim(w->fixture->comparer, w->index)) {
        pair_free(pair);
        count++;
    }
    w->returned += count;
    return count;
}

static void *work(void *argument)
{
    struct worker *w = argument;
    for (uint32_t i = 0; i < PAIRS_EACH;) {
        struct pair *pair = test_json_pair(&w->fixture->route, "{\"a\":1}", i % 10 == 0 ? "{\"a\":2}" : "{\"a\": 1}");
        if (comparer_submit(w->fixture->comparer, w->index, pair)) {
            i++;
        } else {
            w->refused++;
            pair_free(pair);
            if (take_back(w) == 0)
                sched_yield();
        }
    }
    for (int i = 0; i < 20000 && w->returned < PAIRS_EACH; i++)
        if (take_back(w) == 0)
            pause_ms(1);
    return NULL;
}

static void two_workers_lose_nothing(void **state)
{
    struct fixture f;
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    struct comparison_totals totals;
    (void)state;
    start(&f, WORKERS, 64);
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.fixture = &f, .index = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].returned, PAIRS_EACH);
    }
    report_totals(f.report, "orders", &totals);
    assert_int_equal(totals.compared, WORKERS * PAIRS_EACH);
    assert_int_equal(totals.mismatched, WORKERS * PAIRS_EACH / 10);
    comparer_stop(f.comparer, 1000);
    report_free(f.report);
}

/* Control reads the report while the thread writes it. */
static void the_report_is_read_meanwhile(void **state)
{
    struct fixture f;
    struct worker worker;
    pthread_t thread;
    (void)state;
    start(&f, 1, 64);
    worker = (struct worker){.fixture = &f};
    assert_int_equal(pthread_create(&thread, NULL, work, &worker), 0);
    for (int i = 0; i < 50; i++) {
        json_t *report = report_json(f.report, NULL);
        assert_non_null(report);
        json_decref(report);
        if (i == 25)
            report_reset(f.report, "orders");
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(worker.returned, PAIRS_EACH);
    comparer_stop(f.comparer, 1000);
    report_free(f.report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_and_gives_back),
        cmocka_unit_test(wakes_from_sleep),
        cmocka_unit_test(a_full_queue_refuses),
        cmocka_unit_test(goes_on_when_the_way_back_is_empty),
        cmocka_unit_test(the_bound_in_bytes_is_the_workers),
        cmocka_unit_test(large_answers_are_bounded_in_bytes),
        cmocka_unit_test(finishing_gives_everything_back),
        cmocka_unit_test(stopping_at_once_frees_what_waits),
        cmocka_unit_test(two_workers_lose_nothing),
        cmocka_unit_test(the_report_is_read_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
