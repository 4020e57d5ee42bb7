/*
 * Snapshots: what they count lives exactly as long as somebody holds it, whoever lets go last.
 */
#include "proxy/snapshot.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/endpoint.h"

static const char file[] = "listeners:\n"
                           "  - address: 127.0.0.1:0\n"
                           "backends:\n"
                           "  legacy: { url: \"http://127.0.0.1:3001\" }\n"
                           "  new: { url: \"http://[::1]:3002\" }\n"
                           "routes:\n"
                           "  - name: all\n"
                           "    match: { path: /** }\n"
                           "    percent: 50\n";

/* What control has when it publishes. */
struct fixture {
    struct config_holder *holder;
    struct router *router;
    struct endpoint_list *endpoints[2];
};

static void begin(struct fixture *f)
{
    struct config_errors errors = {0};
    struct config *config = config_parse("test", file, sizeof(file) - 1, &errors);
    if (config == NULL)
        fail_msg("%s", errors.lines[0]);
    config_errors_free(&errors);
    f->holder = config_holder_new(config);
    f->router = router_new(1, NULL);
    assert_non_null(f->holder);
    assert_non_null(f->router);
    assert_true(router_configure(f->router, config, 1, 1));
    for (uint32_t i = 0; i < 2; i++) {
        bool is_name;
        f->endpoints[i] = endpoint_list_of(&config->backends[i].address, &is_name);
        assert_non_null(f->endpoints[i]);
    }
}

static struct snapshot *publish(struct fixture *f, uint64_t generation)
{
    struct router_view *view = router_publish(f->router);
    assert_non_null(view);
    const struct snapshot_parts parts = {
        .generation = generation, .holder = f->holder, .view = view, .endpoints = f->endpoints};
    struct snapshot *snapshot = snapshot_new(&parts);
    assert_non_null(snapshot);
    router_view_unref(view);
    return snapshot;
}

/* Control lets go of everything. */
static void end(struct fixture *f)
{
    router_free(f->router);
    config_holder_unref(f->holder);
    for (uint32_t i = 0; i < 2; i++)
        endpoint_list_unref(f->endpoints[i]);
}

static void a_snapshot_outlives_those_who_made_it(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct snapshot *snapshot = publish(&f, 7);
    end(&f);
    assert_int_equal(snapshot->generation, 7);
    assert_false(snapshot->relay_raw);
    assert_string_equal(snapshot->config->routes[0].name, "all");
    assert_ptr_equal(router_view_config(snapshot->view), snapshot->config);
    assert_string_equal(snapshot->endpoints[snapshot->config->legacy->index]->address[0].text, "127.0.0.1:3001");
    snapshot_unref(snapshot_ref(snapshot));
    assert_string_equal(snapshot->config->routes[0].name, "all");
    snapshot_unref(snapshot); /* the sanitizers find what is left or used again */
    snapshot_unref(NULL);
}

static void passthrough_is_part_of_it(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct snapshot *before = publish(&f, 1);
    assert_true(router_passthrough(f.router, PASSTHROUGH_API, true, "operator:a", "because", 1));
    struct snapshot *after = publish(&f, 2);
    assert_false(before->relay_raw);
    assert_true(after->relay_raw);
    snapshot_unref(before);
    snapshot_unref(after);
    end(&f);
}

enum {
    THREADS = 4,
    ROUNDS = 20000
};

static void *take_and_give(void *argument)
{
    for (int i = 0; i < ROUNDS; i++)
        snapshot_unref(snapshot_ref(argument));
    snapshot_unref(argument); /* this thread's own */
    return NULL;
}

static void many_threads_count_right(void **state)
{
    (void)state;
    struct fixture f;
    pthread_t threads[THREADS];
    begin(&f);
    struct snapshot *snapshot = publish(&f, 1);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, snapshot_ref(snapshot)), 0);
    snapshot_unref(snapshot);
    end(&f);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void lists_are_equal_when_their_addresses_are(void **state)
{
    (void)state;
    const struct config_address one = {.host = "192.0.2.1", .port = 80}, other = {.host = "192.0.2.1", .port = 81};
    bool is_name;
    struct endpoint_list *a = endpoint_list_of(&one, &is_name), *b = endpoint_list_of(&one, &is_name);
    struct endpoint_list *c = endpoint_list_of(&other, &is_name), *none = endpoint_list_new(0);
    assert_true(endpoint_list_equal(a, b));
    assert_false(endpoint_list_equal(a, c));
    assert_false(endpoint_list_equal(a, none));
    assert_true(endpoint_list_equal(none, none));
    endpoint_list_unref(a);
    endpoint_list_unref(b);
    endpoint_list_unref(c);
    endpoint_list_unref(none);
    endpoint_list_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_outlives_those_who_made_it),
        cmocka_unit_test(passthrough_is_part_of_it),
        cmocka_unit_test(many_threads_count_right),
        cmocka_unit_test(lists_are_equal_when_their_addresses_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
