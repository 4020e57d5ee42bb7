/* proxy/pipe.c: bytes go through unchanged, and each way of stopping is told apart. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/pipe.h"

struct fixture {
    struct worker *worker;
    struct pump pump;
    int source[2], sink[2]; /* [0]: the pump's end */
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->worker = calloc(1, sizeof(*f->worker));
    assert_non_null(f->worker);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, f->source), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, f->sink), 0);
    assert_true(pump_open(f->worker, &f->pump));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    pump_close(f->worker, &f->pump);
    pipes_done(f->worker);
    for (int i = 0; i < 2; i++) {
        if (f->source[i] >= 0)
            close(f->source[i]);
        if (f->sink[i] >= 0)
            close(f->sink[i]);
    }
    free(f->worker);
    free(f);
    return 0;
}

static void moves_no_more_than_asked(void **state)
{
    struct fixture *f = *state;
    char got[32];
    uint64_t moved = 0;
    assert_int_equal(write(f->source[1], "0123456789", 10), 10);
    assert_int_equal(pump_move(&f->pump, f->source[0], f->sink[0], 4, &moved), PUMP_DONE);
    assert_int_equal(moved, 4);
    assert_int_equal(read(f->sink[1], got, sizeof(got)), 4);
    assert_memory_equal(got, "0123", 4);
    assert_int_equal(pump_move(&f->pump, f->source[0], f->sink[0], 100, &moved), PUMP_SOURCE_EMPTY);
    assert_int_equal(moved, 6);
    assert_int_equal(read(f->sink[1], got, sizeof(got)), 6);
    assert_memory_equal(got, "456789", 6);
}

static void a_full_sink_loses_nothing(void **state)
{
    struct fixture *f = *state;
    enum {
        TOTAL = 2000000
    };
    char *sent = malloc(TOTAL), *got = malloc(TOTAL);
    assert_non_null(sent);
    assert_non_null(got);
    for (size_t i = 0; i < TOTAL; i++)
        sent[i] = (char)(i * 31 + i / 256);
    size_t written = 0, read_so_far = 0, through = 0, full = 0;
    while (read_so_far < TOTAL) {
        ssize_t n = written < TOTAL ? write(f->source[1], sent + written, TOTAL - written) : 0;
        written += n > 0 ? (size_t)n : 0;
        uint64_t moved = 0;
        enum pump_result result = pump_move(&f->pump, f->source[0], f->sink[0], TOTAL - through, &moved);
        through += moved;
        full += result == PUMP_SINK_FULL;
        assert_true(result == PUMP_SINK_FULL || result == PUMP_SOURCE_EMPTY || result == PUMP_DONE);
        n = read(f->sink[1], got + read_so_far, 3000);
        read_so_far += n > 0 ? (size_t)n : 0;
    }
    assert_true(full > 0);
    assert_memory_equal(sent, got, TOTAL);
    free(sent);
    free(got);
}

static void the_end_of_the_source_is_told(void **state)
{
    struct fixture *f = *state;
    uint64_t moved = 0;
    close(f->source[1]);
    f->source[1] = -1;
    assert_int_equal(pump_move(&f->pump, f->source[0], f->sink[0], 10, &moved), PUMP_SOURCE_END);
}

static void an_empty_pipe_is_used_again_and_a_full_one_is_not(void **state)
{
    struct fixture *f = *state;
    int in = f->pump.pipe.in;
    pump_close(f->worker, &f->pump);
    assert_int_equal(f->worker->pipe_count, 1);
    assert_true(pump_open(f->worker, &f->pump));
    assert_int_equal(f->pump.pipe.in, in);
    f->pump.inside = 1;
    pump_close(f->worker, &f->pump);
    assert_int_equal(f->worker->pipe_count, 0);
    assert_int_equal(fcntl(in, F_GETFD), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(moves_no_more_than_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_sink_loses_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_end_of_the_source_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_pipe_is_used_again_and_a_full_one_is_not, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
