/*
 * The ring: order, fullness, wrap-around, and two threads at its ends (under TSan: without a race).
 */
#include "tests/shadow/pairs.h"

#include <pthread.h>
#include <sched.h>

#include "shadow/ring.h"

static void holds_its_capacity_and_no_more(void **state)
{
    struct ring ring;
    int items[5];
    (void)state;
    assert_true(ring_init(&ring, 4));
    assert_int_equal(ring_capacity(&ring), 4);
    for (int i = 0; i < 4; i++)
        assert_true(ring_push(&ring, &items[i]));
    assert_false(ring_has_room(&ring));
    assert_false(ring_push(&ring, &items[4]));
    assert_int_equal(ring_depth(&ring), 4);
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(ring_pop(&ring), &items[i]);
    assert_null(ring_pop(&ring));
    assert_true(ring_is_empty(&ring));
    assert_true(ring_push(&ring, &items[4]));
    assert_ptr_equal(ring_pop(&ring), &items[4]);
    ring_done(&ring);
}

static void rounds_capacity_up(void **state)
{
    static const uint32_t wanted[] = {0, 1, 2, 3, 5, 1000}, got[] = {2, 2, 2, 4, 8, 1024};
    (void)state;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        struct ring ring;
        assert_true(ring_init(&ring, wanted[i]));
        assert_int_equal(ring_capacity(&ring), got[i]);
        ring_done(&ring);
    }
}

/* Positions count on for ever; at 2^32 they begin at 0 again. */
static void survives_the_wrap_of_its_positions(void **state)
{
    struct ring ring;
    int items[8];
    (void)state;
    assert_true(ring_init(&ring, 4));
    atomic_store(&ring.tail, UINT32_MAX - 1);
    atomic_store(&ring.head, UINT32_MAX - 1);
    ring.seen_head = ring.seen_tail = UINT32_MAX - 1;
    for (int i = 0; i < 4; i++)
        assert_true(ring_push(&ring, &items[i]));
    assert_false(ring_push(&ring, &items[4]));
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(ring_pop(&ring), &items[i]);
    assert_null(ring_pop(&ring));
    ring_done(&ring);
}

enum {
    MESSAGES = 200000
};

static void *produce(void *argument)
{
    struct ring *ring = argument;
    static uint32_t numbers[MESSAGES];
    for (uint32_t i = 0; i < MESSAGES; i++) {
        numbers[i] = i;
        while (!ring_push(ring, &numbers[i]))
            sched_yield();
    }
    return NULL;
}

static void hands_over_everything_in_order(void **state)
{
    struct ring ring;
    pthread_t producer;
    (void)state;
    assert_true(ring_init(&ring, 64));
    assert_int_equal(pthread_create(&producer, NULL, produce, &ring), 0);
    for (uint32_t expected = 0; expected < MESSAGES;) {
        const uint32_t *number = ring_pop(&ring);
        if (number == NULL) {
            sched_yield();
            continue;
        }
        if (*number != expected)
            fail_msg("got %u, expected %u", *number, expected);
        expected++;
    }
    assert_null(ring_pop(&ring));
    assert_int_equal(pthread_join(producer, NULL), 0);
    ring_done(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_its_capacity_and_no_more),
        cmocka_unit_test(rounds_capacity_up),
        cmocka_unit_test(survives_the_wrap_of_its_positions),
        cmocka_unit_test(hands_over_everything_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
