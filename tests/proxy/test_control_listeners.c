/*
 * From the listeners of one file to those of the next: what stays keeps its sockets, and a refused file costs nothing.
 */
#include "proxy/control_listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/worker.h"

enum {
    WORKERS = 2,
    SOCKETS = 16
};

/* In the place of the real ones: remember what they are given. */
struct worker {
    struct {
        uint32_t id;
        int fd;
    } at[SOCKETS];
    uint32_t count;
};

bool worker_listen(struct worker *worker, uint32_t id, int fd)
{
    assert_true(worker->count < SOCKETS);
    worker->at[worker->count].id = id;
    worker->at[worker->count++].fd = fd;
    return true;
}

void worker_unlisten(struct worker *worker, uint32_t id)
{
    for (uint32_t i = 0; i < worker->count; i++) {
        if (worker->at[i].id != id)
            continue;
        close(worker->at[i].fd);
        worker->at[i] = worker->at[--worker->count];
        return;
    }
    fail_msg("listener %u is not there", id);
}

struct fixture {
    struct worker workers[WORKERS];
    struct worker *list[WORKERS];
    struct listeners listeners;
    struct config_listener named[4];
    struct config config;
    unsigned opened, closed;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    for (int i = 0; i < WORKERS; i++)
        f->list[i] = &f->workers[i];
    f->config.listeners = f->named;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    for (int w = 0; w < WORKERS; w++)
        while (f->workers[w].count > 0)
            close(f->workers[w].at[--f->workers[w].count].fd);
    listeners_done(&f->listeners);
    free(f);
    return 0;
}

static void name(struct fixture *f, uint32_t count, const uint16_t *ports)
{
    for (uint32_t i = 0; i < count; i++)
        f->named[i].address = (struct config_address){.text = "in the test", .host = "127.0.0.1", .port = ports[i]};
    f->config.listener_count = count;
}

static void on_opened(void *context, const char *address)
{
    struct fixture *f = context;
    assert_memory_equal(address, "127.0.0.1:", 10);
    f->opened++;
}

static void on_closed(void *context, const char *address)
{
    struct fixture *f = context;
    assert_memory_equal(address, "127.0.0.1:", 10);
    f->closed++;
}

static void adopt(struct fixture *f)
{
    struct listeners_plan plan;
    char *error = NULL;
    if (!listeners_prepare(&f->listeners, &f->config, WORKERS, &plan, &error))
        fail_msg("%s", error);
    listeners_adopt(&f->listeners, &plan, f->list, WORKERS, on_opened, on_closed, f);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void every_worker_gets_a_socket_of_every_listener(void **state)
{
    struct fixture *f = *state;
    name(f, 2, (const uint16_t[]){0, 0});
    adopt(f);
    assert_int_equal(f->opened, 2);
    for (int w = 0; w < WORKERS; w++) {
        assert_int_equal(f->workers[w].count, 2);
        assert_int_not_equal(f->workers[w].at[0].id, f->workers[w].at[1].id);
    }
    json_t *addresses = listeners_json(&f->listeners);
    assert_int_equal(json_array_size(addresses), 2);
    assert_string_not_equal(json_string_value(json_array_get(addresses, 0)),
                            json_string_value(json_array_get(addresses, 1)));
    json_decref(addresses);
}

static void the_same_lines_keep_their_sockets_even_with_port_0(void **state)
{
    struct fixture *f = *state;
    name(f, 2, (const uint16_t[]){0, 0});
    adopt(f);
    json_t *before = listeners_json(&f->listeners);
    adopt(f);
    json_t *after = listeners_json(&f->listeners);
    assert_true(json_equal(before, after));
    assert_int_equal(f->opened, 2);
    assert_int_equal(f->closed, 0);
    json_decref(before);
    json_decref(after);
}

static void a_line_more_is_opened_and_a_line_less_is_closed(void **state)
{
    struct fixture *f = *state;
    name(f, 1, (const uint16_t[]){0});
    adopt(f);
    uint32_t first = f->workers[0].at[0].id;
    name(f, 3, (const uint16_t[]){0, 0, 0});
    adopt(f);
    assert_int_equal(f->opened, 3);
    assert_int_equal(f->workers[1].count, 3);
    name(f, 1, (const uint16_t[]){0});
    adopt(f);
    assert_int_equal(f->closed, 2);
    for (int w = 0; w < WORKERS; w++) {
        assert_int_equal(f->workers[w].count, 1);
        assert_int_equal(f->workers[w].at[0].id, first); /* the first one stays */
    }
}

static void a_number_is_never_given_twice(void **state)
{
    struct fixture *f = *state;
    uint32_t last = 0;
    for (int i = 0; i < 5; i++) { /* the kernel gives another port to each, so each line is another one */
        name(f, 0, NULL);
        adopt(f);
        name(f, 1, (const uint16_t[]){0});
        adopt(f);
        assert_true(f->workers[0].at[0].id > last);
        last = f->workers[0].at[0].id;
    }
}

static void a_refused_plan_closes_what_it_opened(void **state)
{
    struct fixture *f = *state;
    char *error = NULL;
    struct listeners_plan plan;
    name(f, 1, (const uint16_t[]){0});
    adopt(f);
    struct listeners other = {0}; /* another process, so to say */
    uint16_t taken = f->listeners.at[0].port;
    unsigned before = open_descriptors();
    name(f, 3, (const uint16_t[]){0, 0, taken});
    assert_false(listeners_prepare(&other, &f->config, WORKERS, &plan, &error));
    assert_non_null(strstr(error, "Address already in use"));
    free(error);
    assert_int_equal(open_descriptors(), before);
    assert_true(listeners_prepare(&f->listeners, &f->config, WORKERS, &plan, &error)); /* the port is our own */
    listeners_discard(&plan);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(f->listeners.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_worker_gets_a_socket_of_every_listener, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_same_lines_keep_their_sockets_even_with_port_0, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_more_is_opened_and_a_line_less_is_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_number_is_never_given_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refused_plan_closes_what_it_opened, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
