/*
 * Reading in turns while memory is scarce: who waits, whose turn it is, and that nobody is forgotten.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/memory.h"
#include "proxy/turn.h"
#include "proxy/worker_inside.h"

#define MIB ((uint64_t)1024 * 1024)

enum {
    CONNS = 100
};

struct fixture {
    struct memory memory;
    struct worker worker;
    struct conn conns[CONNS];
};

static void set_used(struct fixture *f, uint64_t used, enum memory_level level)
{
    atomic_store(&f->memory.used, used);
    atomic_store(&f->memory.level, level);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    const struct memory_marks marks = memory_marks_of(100 * MIB);
    atomic_store(&f->memory.limit, 100 * MIB);
    atomic_store(&f->memory.scarce_from, marks.enter[MEMORY_SCARCE]);
    atomic_store(&f->memory.scarce_until, marks.leave[MEMORY_SCARCE]);
    atomic_store(&f->memory.brink, marks.brink);
    f->worker.workers = 1;
    f->worker.memory = &f->memory;
    f->worker.tick_is_fast = true; /* it has no loop */
    f->worker.exchanges_open = 1000;
    for (int i = 0; i < CONNS; i++) {
        f->conns[i].worker = &f->worker;
        f->conns[i].readable = true;
    }
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

/* Takes what has been woken, as conn_settle() would. */
static int woken(struct fixture *f)
{
    int count = 0;
    for (struct conn *conn = f->worker.ready; conn != NULL; conn = conn->next_ready, count++)
        conn->in_ready = false;
    f->worker.ready = NULL;
    return count;
}

static void at_least_one_has_its_turn(void **state)
{
    (void)state;
    for (uint32_t waiting = 1; waiting < 100000; waiting = waiting * 3 + 1) {
        assert_int_equal(turns_due(waiting, TURN_BRINK), 1);
        assert_in_range(turns_due(waiting, TURN_SCARCE), 1, waiting / 32 + 1);
        assert_true(turns_due(waiting, TURN_ROOM) >= turns_due(waiting, TURN_SCARCE));
    }
}

static void while_there_is_room_nobody_waits(void **state)
{
    struct fixture *f = *state;
    set_used(f, 85 * MIB, MEMORY_SHORT);
    assert_true(turn_allows(&f->conns[0]));
    set_used(f, 85 * MIB, MEMORY_SCARCE); /* it is held for a while, but there is room again */
    assert_true(turn_allows(&f->conns[0]));
    assert_int_equal(f->worker.turns.waiting, 0);
}

static void a_few_exchanges_always_go_on(void **state)
{
    struct fixture *f = *state;
    set_used(f, 99 * MIB, MEMORY_SCARCE);
    f->worker.exchanges_open = 15;
    assert_true(turn_allows(&f->conns[0]));
    f->worker.exchanges_open = 16;
    assert_false(turn_allows(&f->conns[0]));
    f->worker.counters.upstream_queue = 1; /* this one only waits */
    assert_true(turn_allows(&f->conns[0]));
    assert_int_equal(f->worker.turns.waiting, 0); /* who is read does not wait any more */
}

static void everybodys_turn_comes_in_order(void **state)
{
    struct fixture *f = *state;
    set_used(f, 99 * MIB, MEMORY_SCARCE); /* the brink */
    for (int i = 0; i < CONNS; i++) {
        assert_false(turn_allows(&f->conns[i]));
        assert_false(turn_allows(&f->conns[i])); /* once is enough, whatever comes meanwhile */
    }
    assert_int_equal(f->worker.turns.waiting, CONNS);
    for (int i = 0; i < CONNS; i++) {
        turns_tick(&f->worker);
        assert_int_equal(woken(f), 1);
        assert_true(turn_allows(&f->conns[i]));
        assert_false(turn_allows(&f->conns[i])); /* one turn, one reading: then it is the last again */
    }
    assert_int_equal(f->worker.turns.waiting, CONNS);
}

static void when_there_is_room_again_all_are_woken(void **state)
{
    struct fixture *f = *state;
    set_used(f, 93 * MIB, MEMORY_SCARCE);
    for (int i = 0; i < CONNS; i++)
        assert_false(turn_allows(&f->conns[i]));
    turns_tick(&f->worker);
    int count = woken(f);
    assert_in_range(count, 2, 10); /* not yet at the brink: some at once */
    atomic_store(&f->memory.limit, 0);
    set_used(f, 0, MEMORY_PLENTY);
    for (int ticks = 0; f->worker.turns.waiting > 0; ticks++) {
        turns_tick(&f->worker);
        int more = woken(f);
        assert_true(more > 0 && ticks < 20);
        count += more;
    }
    assert_int_equal(count, CONNS);
}

static void who_leaves_is_missed_by_nobody(void **state)
{
    struct fixture *f = *state;
    set_used(f, 99 * MIB, MEMORY_SCARCE);
    for (int i = 0; i < 4; i++)
        assert_false(turn_allows(&f->conns[i]));
    turn_leave(&f->conns[1]); /* in the middle, at the end, at the beginning, and once more */
    turn_leave(&f->conns[3]);
    turn_leave(&f->conns[0]);
    turn_leave(&f->conns[0]);
    assert_int_equal(f->worker.turns.waiting, 1);
    assert_ptr_equal(f->worker.turns.first, &f->conns[2]);
    assert_ptr_equal(f->worker.turns.last, &f->conns[2]);
    assert_false(turn_is_awaited(&f->conns[0]));
    assert_true(turn_is_awaited(&f->conns[2]));
    turn_leave(&f->conns[2]);
    turns_tick(&f->worker);
    assert_int_equal(woken(f), 0);
}

static void who_is_about_to_end_serves_all_that_has_come(void **state)
{
    struct fixture *f = *state;
    set_used(f, 99 * MIB, MEMORY_SCARCE);
    assert_false(turn_allows(&f->conns[0]));
    f->worker.phase = DRAIN_CLOSING;
    assert_true(turn_allows(&f->conns[0]));
    assert_true(turn_allows_handshake(&f->conns[1], 1000));
}

static void handshakes_begin_as_many_as_there_is_room_for(void **state)
{
    struct fixture *f = *state;
    set_used(f, 82 * MIB, MEMORY_SHORT); /* 10 MiB less than when it would be scarce */
    assert_true(turn_allows_handshake(&f->conns[0], 200));
    assert_false(turn_allows_handshake(&f->conns[0], 220));
    assert_true(turn_is_awaited(&f->conns[0]));
    set_used(f, 99 * MIB, MEMORY_SCARCE);
    assert_false(turn_allows_handshake(&f->conns[1], 8));
    assert_true(turn_allows_handshake(&f->conns[2], 7)); /* some always */
    turns_tick(&f->worker);
    assert_int_equal(woken(f), 1);
    assert_true(turn_allows_handshake(&f->conns[0], 31)); /* a few more in turn */
    turns_tick(&f->worker);
    assert_int_equal(woken(f), 1);
    assert_false(turn_allows_handshake(&f->conns[1], 32));
    assert_true(turn_is_awaited(&f->conns[1]));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_least_one_has_its_turn),
        TEST(while_there_is_room_nobody_waits),
        TEST(a_few_exchanges_always_go_on),
        TEST(everybodys_turn_comes_in_order),
        TEST(when_there_is_room_again_all_are_woken),
        TEST(who_leaves_is_missed_by_nobody),
        TEST(who_is_about_to_end_serves_all_that_has_come),
        TEST(handshakes_begin_as_many_as_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
