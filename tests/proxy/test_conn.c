/*
 * Connections: what is queued is written in order and once per callback, what cannot be written waits for its edge and
 * holds little memory, and nobody hears of a connection that has been closed. Over socket pairs; the loop runs only
 * when asked.
 */
#include "proxy/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/worker_inside.h"
#include "tests/proxy/unlimited.h"

struct end {
    struct conn conn; /* first */
    int peer;
    int readable, drained, failed;
    int to_fill; /* pieces that on_fill() still has, and gives when nothing is queued */
    bool close_when_readable;
    struct end *close_too;
};

struct fixture {
    struct worker *worker;
    struct end one, other;
};

static void on_readable(struct conn *conn)
{
    struct end *end = (struct end *)conn;
    end->readable++;
    if (end->close_too != NULL)
        conn_close(&end->close_too->conn);
    if (end->close_when_readable)
        conn_close(conn);
}

static void on_drained(struct conn *conn)
{
    ((struct end *)conn)->drained++;
}

static void on_failed(struct conn *conn, int error)
{
    assert_int_equal(error, EPIPE);
    ((struct end *)conn)->failed++;
    conn_close(conn);
}

static const struct conn_events events = {.on_readable = on_readable, .on_drained = on_drained, .on_failed = on_failed};

static void on_fill(struct conn *conn)
{
    struct end *end = (struct end *)conn;
    if (conn->out.bytes > 0 || end->to_fill == 0)
        return;
    end->to_fill--;
    assert_true(conn_send_copy(conn, "more", 4));
}

static const struct conn_events filling_events = {
    .on_readable = on_readable, .on_fill = on_fill, .on_failed = on_failed};

static void open_end(struct fixture *f, struct end *end)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_true(conn_open(&end->conn, f->worker, fds[0], &events));
    end->peer = fds[1];
}

static void begin(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    assert_int_equal(posix_memalign((void **)&f->worker, 64, sizeof(*f->worker)), 0);
    memset(f->worker, 0, sizeof(*f->worker));
    f->worker->memory = &unlimited;
    wheel_init(&f->worker->wheel, 0);
    f->worker->base = event_base_new();
    assert_non_null(f->worker->base);
    open_end(f, &f->one);
    open_end(f, &f->other);
}

static void end(struct fixture *f)
{
    conn_close(&f->one.conn);
    conn_close(&f->other.conn);
    assert_null(f->worker->dirty);
    assert_null(f->worker->ready);
    assert_null(f->worker->later);
    close(f->one.peer);
    close(f->other.peer);
    if (f->worker->input != NULL)
        chunk_unref(f->worker->input);
    while (f->worker->free_segments != NULL) {
        struct segment *segment = f->worker->free_segments;
        f->worker->free_segments = segment->next;
        free(segment);
    }
    chunk_pool_done(&f->worker->chunks);
    event_base_free(f->worker->base);
    free(f->worker);
}

static void turn(struct fixture *f)
{
    assert_true(event_base_loop(f->worker->base, EVLOOP_ONCE | EVLOOP_NONBLOCK) >= 0);
}

/* A slice of `len` letters with one reference, the caller's. */
static struct slice letters(struct fixture *f, char letter, uint32_t len, size_t room)
{
    struct chunk *chunk = chunk_take(&f->worker->chunks, room);
    assert_non_null(chunk);
    memset(chunk->data, letter, len);
    chunk->used = len;
    return (struct slice){chunk, chunk->data, len};
}

static void fill(const struct end *end)
{
    static const char zeros[65536];
    while (write(end->conn.fd, zeros, sizeof(zeros)) > 0)
        ;
    while (write(end->conn.fd, zeros, 1) > 0)
        ;
    assert_int_equal(errno, EAGAIN);
}

static size_t empty(const struct end *end, char *last)
{
    static char room[65536];
    size_t total = 0;
    ssize_t n;
    while ((n = read(end->peer, room, sizeof(room))) > 0) {
        total += (size_t)n;
        *last = room[n - 1];
    }
    return total;
}

/* ---- writing ---- */

static void what_a_callback_queued_is_written_together_and_in_order(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct slice shared = letters(&f, 'b', 2000, 4000);
    assert_true(conn_send_copy(&f.one.conn, "head ", 5));
    assert_true(conn_send(&f.one.conn, shared));
    assert_true(conn_send_copy(&f.one.conn, " tail", 5));
    char got[4096];
    assert_int_equal(read(f.one.peer, got, sizeof(got)), -1); /* not before the callback has returned */
    conn_settle(f.worker);
    assert_int_equal(read(f.one.peer, got, sizeof(got)), 2010);
    assert_memory_equal(got, "head bbb", 8);
    assert_memory_equal(got + 2004, "b tail", 6);
    assert_int_equal(shared.chunk->refs, 1);
    chunk_unref(shared.chunk);
    end(&f);
}

/* As many as it wants to hold, as an owner does that makes frames. */
static void fill_up(struct conn *conn)
{
    static const char piece[5000];
    for (int *left = &((struct end *)conn)->to_fill; *left > 0 && conn->out.bytes < 3 * sizeof(piece); (*left)--)
        assert_true(conn_send_copy(conn, piece, sizeof(piece)));
}

static const struct conn_events filling = {
    .on_readable = on_readable, .on_fill = fill_up, .on_drained = on_drained, .on_failed = on_failed};

static void what_an_owner_held_back_is_asked_for_once_the_queue_is_out(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    begin(f);
    f->one.conn.on = &filling;
    for (int round = 0; round < 50; round++) {
        f->one.to_fill = 400;
        size_t rest = 400 * 5000;
        conn_dirty(&f->one.conn);
        conn_settle(f->worker);
        assert_true(f->one.conn.blocked);
        char bytes[4096];
        for (size_t step = 1 + (size_t)round;
             rest > 0;) { /* whatever is left in the queue when the kernel takes no more */
            ssize_t got = read(f->one.peer, bytes, step < sizeof(bytes) ? step : sizeof(bytes));
            if (got > 0)
                rest -= (size_t)got;
            step = sizeof(bytes);
            if (got >= 0)
                continue;
            assert_int_equal(errno, EAGAIN);
            int left = f->one.to_fill;
            size_t queued = f->one.conn.out.bytes;
            turn(f);
            assert_true(f->one.to_fill < left || f->one.conn.out.bytes < queued);
        }
    }
    end(f);
}

static void a_patient_connection_waits_for_the_end_of_the_round(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.one.conn.patient = true;
    char got[16];
    assert_true(conn_send_copy(&f.one.conn, "one ", 4));
    conn_settle(f.worker); /* a callback has returned */
    assert_true(conn_send_copy(&f.one.conn, "two", 3));
    conn_settle(f.worker);
    assert_int_equal(read(f.one.peer, got, sizeof(got)), -1);
    conn_settle_round(f.worker);
    assert_int_equal(read(f.one.peer, got, sizeof(got)), 7);
    assert_memory_equal(got, "one two", 7);
    assert_true(conn_send_copy(&f.one.conn, "gone", 4));
    conn_close(&f.one.conn);
    assert_null(f.worker->dirty_late);
    end(&f);
}

static void the_first_slice_of_a_queue_can_be_taken(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct outq out = {0};
    assert_true(outq_add(f.worker, &out, letters(&f, 'a', 10, 100)));
    assert_true(outq_add(f.worker, &out, letters(&f, 'b', 5, 100)));
    struct slice first = outq_take(f.worker, &out);
    assert_int_equal(first.len, 10);
    assert_int_equal(first.chunk->refs, 1);
    assert_int_equal(out.bytes, 5);
    chunk_unref(first.chunk);
    outq_clear(f.worker, &out);
    end(&f);
}

static void two_queues_may_end_in_the_same_chunk(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct slice shared = letters(&f, 's', 2000, 4000);
    assert_true(conn_send(&f.one.conn, shared));
    assert_true(conn_send(&f.other.conn, shared));
    assert_true(conn_send_copy(&f.one.conn, "ONE", 3));
    assert_true(conn_send_copy(&f.other.conn, "OTHER", 5));
    chunk_unref(shared.chunk);
    conn_settle(f.worker);
    char got[4096];
    assert_int_equal(read(f.one.peer, got, sizeof(got)), 2003);
    assert_memory_equal(got + 2000, "ONE", 3);
    assert_int_equal(read(f.other.peer, got, sizeof(got)), 2005);
    assert_memory_equal(got + 2000, "OTHER", 5);
    end(&f);
}

static void nothing_is_appended_to_the_chunk_that_is_read_into(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct slice bytes;
    assert_int_equal(write(f.one.peer, "ping", 4), 4);
    f.one.conn.readable = true;
    assert_int_equal(conn_read(&f.one.conn, &bytes), CONN_READ_DATA);
    assert_true(conn_send(&f.other.conn, bytes));
    assert_true(conn_send_copy(&f.other.conn, "pong", 4));
    assert_int_equal(f.worker->input->used, 4);
    conn_settle(f.worker);
    char got[16];
    assert_int_equal(read(f.other.peer, got, sizeof(got)), 8);
    assert_memory_equal(got, "pingpong", 8);
    end(&f);
}

static void what_the_kernel_does_not_take_waits_for_its_edge(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    turn(&f); /* the first writable edge */
    fill(&f.one);
    struct slice slice = letters(&f, 'x', 60000, 60000);
    assert_true(conn_send(&f.one.conn, slice));
    chunk_unref(slice.chunk);
    f.one.conn.want_drained = true;
    conn_settle(f.worker);
    assert_true(f.one.conn.blocked);
    assert_int_equal(f.one.conn.out.bytes, 60000);
    assert_int_equal(f.one.drained, 0);
    char last = 0;
    for (int i = 0; i < 100 && f.one.drained == 0; i++) {
        (void)empty(&f.one, &last);
        turn(&f);
    }
    assert_int_equal(f.one.drained, 1);
    assert_int_equal(f.one.conn.out.bytes, 0);
    (void)empty(&f.one, &last);
    assert_int_equal(last, 'x');
    end(&f);
}

/* Who fills in nothing while something is queued is asked again once that has gone: no other event would come. */
static void who_fills_is_asked_until_he_has_nothing_more(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    char last = 0;
    f.one.conn.on = &filling_events;
    turn(&f);
    fill(&f.one);
    f.one.to_fill = 3;
    assert_true(conn_send_copy(&f.one.conn, "first", 5));
    conn_settle(f.worker);
    assert_true(f.one.conn.blocked);
    assert_int_equal(f.one.to_fill, 3);
    (void)empty(&f.one, &last);
    turn(&f); /* the writable edge */
    assert_int_equal(f.one.to_fill, 0);
    assert_int_equal(f.one.conn.out.bytes, 0);
    assert_int_equal(empty(&f.one, &last), 5 + 3 * 4);
    end(&f);
}

static void a_small_rest_holds_no_large_chunk(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill(&f.one);
    struct slice large = letters(&f, 'x', 1500, 60000);
    assert_true(conn_send(&f.one.conn, large));
    assert_int_equal(large.chunk->refs, 2);
    conn_settle(f.worker);
    assert_int_equal(large.chunk->refs, 1); /* ours */
    assert_int_equal(f.one.conn.out.bytes, 1500);
    memset(large.chunk->data, '-', 1500);
    chunk_unref(large.chunk);
    char last = 0;
    (void)empty(&f.one, &last);
    f.one.conn.blocked = false;
    assert_true(conn_flush(&f.one.conn));
    assert_int_equal(empty(&f.one, &last), 1500);
    assert_int_equal(last, 'x');
    end(&f);
}

static void the_end_is_said_behind_the_last_byte(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    assert_true(conn_send_copy(&f.one.conn, "bye", 3));
    conn_shutdown_when_sent(&f.one.conn);
    conn_settle(f.worker);
    char got[16];
    assert_int_equal(read(f.one.peer, got, sizeof(got)), 3);
    assert_int_equal(read(f.one.peer, got, sizeof(got)), 0);
    end(&f);
}

static void a_failed_write_is_told_once(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    shutdown(f.one.peer, SHUT_RD);
    assert_true(conn_send_copy(&f.one.conn, "lost", 4));
    conn_settle(f.worker);
    assert_int_equal(f.one.failed, 1);
    conn_settle(f.worker);
    assert_int_equal(f.one.failed, 1);
    end(&f);
}

/* ---- reading ---- */

static void a_short_read_empties_the_socket(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    char got[8];
    size_t len;
    assert_int_equal(write(f.one.peer, "0123456789", 10), 10);
    assert_int_equal(conn_read_into(&f.one.conn, got, sizeof(got), &len), CONN_READ_AGAIN); /* no edge yet */
    f.one.conn.readable = true;
    assert_int_equal(conn_read_into(&f.one.conn, got, sizeof(got), &len), CONN_READ_DATA);
    assert_true(f.one.conn.readable);
    assert_int_equal(conn_read_into(&f.one.conn, got, sizeof(got), &len), CONN_READ_DATA);
    assert_int_equal(len, 2);
    assert_false(f.one.conn.readable);
    shutdown(f.one.peer, SHUT_WR);
    turn(&f);
    assert_true(f.one.conn.peer_closed);
    assert_int_equal(conn_read_into(&f.one.conn, got, sizeof(got), &len), CONN_READ_END);
    end(&f);
}

static void the_read_chunk_is_filled_from_its_front_when_nobody_holds_it(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct slice first, second, third;
    assert_int_equal(write(f.one.peer, "first", 5), 5);
    f.one.conn.readable = true;
    assert_int_equal(conn_read(&f.one.conn, &first), CONN_READ_DATA);
    chunk_ref(first.chunk);
    assert_int_equal(write(f.one.peer, "second", 6), 6);
    f.one.conn.readable = true;
    assert_int_equal(conn_read(&f.one.conn, &second), CONN_READ_DATA);
    assert_ptr_equal(second.at, first.at + 5);
    assert_memory_equal(first.at, "first", 5);
    chunk_unref(first.chunk);
    assert_int_equal(write(f.one.peer, "third", 5), 5);
    f.one.conn.readable = true;
    assert_int_equal(conn_read(&f.one.conn, &third), CONN_READ_DATA);
    assert_ptr_equal(third.at, first.at);
    end(&f);
}

/* ---- rounds ---- */

static void a_closed_connection_hears_nothing_more(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.one.close_when_readable = true;
    f.one.close_too = &f.other;
    f.other.close_when_readable = true;
    f.other.close_too = &f.one;
    assert_true(conn_send_copy(&f.other.conn, "never", 5));
    f.worker->settling = true; /* as inside a callback */
    conn_wake(&f.one.conn);
    conn_wake(&f.other.conn);
    f.worker->settling = false;
    /* The queues are written first; then whoever is looked at first closes both. */
    conn_settle(f.worker);
    assert_int_equal(f.one.readable + f.other.readable, 1);
    assert_true(f.one.conn.closed && f.other.conn.closed);
    conn_wake(&f.one.conn);
    conn_later(&f.one.conn);
    conn_dirty(&f.one.conn);
    end(&f);
}

static void later_is_the_next_round(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    conn_later(&f.one.conn);
    conn_settle(f.worker);
    assert_int_equal(f.one.readable, 0);
    assert_ptr_equal(f.worker->later, &f.one.conn);
    conn_close(&f.one.conn);
    assert_null(f.worker->later);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_callback_queued_is_written_together_and_in_order),
        cmocka_unit_test(what_an_owner_held_back_is_asked_for_once_the_queue_is_out),
        cmocka_unit_test(a_patient_connection_waits_for_the_end_of_the_round),
        cmocka_unit_test(the_first_slice_of_a_queue_can_be_taken),
        cmocka_unit_test(two_queues_may_end_in_the_same_chunk),
        cmocka_unit_test(nothing_is_appended_to_the_chunk_that_is_read_into),
        cmocka_unit_test(what_the_kernel_does_not_take_waits_for_its_edge),
        cmocka_unit_test(who_fills_is_asked_until_he_has_nothing_more),
        cmocka_unit_test(a_small_rest_holds_no_large_chunk),
        cmocka_unit_test(the_end_is_said_behind_the_last_byte),
        cmocka_unit_test(a_failed_write_is_told_once),
        cmocka_unit_test(a_short_read_empties_the_socket),
        cmocka_unit_test(the_read_chunk_is_filled_from_its_front_when_nobody_holds_it),
        cmocka_unit_test(a_closed_connection_hears_nothing_more),
        cmocka_unit_test(later_is_the_next_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
