/*
 * Backends of one worker: whose turn it is, who is set aside, who waits for how long, and what a change of addresses or
 * of the whole backend does to those who wait or are connecting. Sockets are real, time is the test's.
 */
#include "proxy/upstream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/h1_client.h"
#include "proxy/health_board.h"
#include "proxy/worker_inside.h"
#include "tests/proxy/unlimited.h"

enum {
    LEGACY,
    NEW,
    BACKENDS
};
enum {
    MANY = 100000
};

struct fixture {
    struct worker *worker;
    struct config *config;
    struct snapshot snapshot;
    struct view view;
    struct endpoint_list *lists[BACKENDS];
    struct health_board *board;
    int listener;
};

/* Attempts and what they were told. */
struct
try {
    struct attempt attempt;
    int ready, failed;
};

static void on_ready(struct attempt *attempt)
{
    ((struct try *)attempt)->ready++;
}

static void on_failed(struct attempt *attempt)
{
    ((struct try *)attempt)->failed++;
}

static const struct attempt_events events = {.on_ready = on_ready, .on_failed = on_failed};

/* ---- the world ---- */

static struct config *parse(const char *options, bool with_new)
{
    char text[512];
    int length = snprintf(text, sizeof(text),
                          "listeners:\n  - address: 127.0.0.1:0\nbackends:\n"
                          "  legacy: { url: \"http://127.0.0.1:1\"%s }\n%s",
                          options, with_new ? "  new: { url: \"http://127.0.0.1:2\" }\n" : "");
    struct config_errors errors = {0};
    struct config *config = config_parse("test", text, (size_t)length, &errors);
    if (config == NULL)
        fail_msg("%s", errors.lines[0]);
    config_errors_free(&errors);
    return config;
}

/* A socket whose line of clients is as short as can be; nobody accepts. */
static void listen_somewhere(struct fixture *f, struct endpoint_address *address)
{
    f->listener = socket(AF_INET, SOCK_STREAM, 0);
    address->to.in.sin_family = AF_INET;
    address->to.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address->length = sizeof(address->to.in);
    assert_int_equal(bind(f->listener, &address->to.any, address->length), 0);
    assert_int_equal(listen(f->listener, 16), 0);
    assert_int_equal(getsockname(f->listener, &address->to.any, &address->length), 0);
}

/* Legacy gets `count` addresses: a listening one, then others on 127.0.0.0/8 with the same port. */
static struct endpoint_list *list_of(const struct endpoint_address *first, uint32_t count)
{
    struct endpoint_list *list = endpoint_list_new(count);
    assert_non_null(list);
    for (uint32_t i = 0; i < count; i++) {
        list->address[i] = *first;
        list->address[i].to.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i);
        snprintf(list->address[i].text, sizeof(list->address[i].text), "address %u", i);
    }
    return list;
}

static void publish(struct fixture *f, struct config *config)
{
    f->config = config;
    f->snapshot.config = config;
    f->snapshot.endpoints = f->lists;
    f->snapshot.health = f->board;
    f->view = (struct view){.worker = f->worker, .snapshot = &f->snapshot, .config = config, .refs = 1};
    f->worker->view = &f->view;
    assert_true(upstream_set_update(f->worker->upstreams, &f->view));
}

static void begin(struct fixture *f, const char *options, uint32_t addresses)
{
    memset(f, 0, sizeof(*f));
    assert_int_equal(posix_memalign((void **)&f->worker, 64, sizeof(*f->worker)), 0);
    memset(f->worker, 0, sizeof(*f->worker));
    f->worker->memory = &unlimited;
    f->worker->workers = 1;
    f->worker->tick_is_fast = true; /* there is no tick to be set */
    f->worker->now_ms = 1000000;
    wheel_init(&f->worker->wheel, worker_now_ms(f->worker));
    f->worker->base = event_base_new();
    f->worker->upstreams = upstream_set_new(f->worker);
    f->board = health_board_new();
    assert_non_null(f->board);
    assert_non_null(f->worker->base);
    assert_non_null(f->worker->upstreams);
    struct endpoint_address address = {.length = 0};
    listen_somewhere(f, &address);
    f->lists[LEGACY] = list_of(&address, addresses);
    f->lists[NEW] = list_of(&address, addresses);
    publish(f, parse(options, true));
}

static void later(struct fixture *f, uint64_t ms)
{
    f->worker->now_ms += ms;
    wheel_advance(&f->worker->wheel, worker_now_ms(f->worker));
    upstream_set_tick(f->worker->upstreams);
}

static void round_ends(struct fixture *f)
{
    while (f->worker->retired != NULL) {
        struct retired *retired = f->worker->retired;
        f->worker->retired = retired->next;
        retired->free(f->worker, retired);
    }
}

static void end(struct fixture *f)
{
    upstream_set_free(f->worker->upstreams);
    round_ends(f);
    assert_int_equal(f->worker->counters.upstream_active, 0);
    assert_int_equal(f->worker->counters.upstream_idle, 0);
    assert_int_equal(f->worker->counters.upstream_queue, 0);
    chunk_pool_done(&f->worker->chunks);
    health_board_free(f->board); /* a mark that was kept would be a leak now */
    event_base_free(f->worker->base);
    close(f->listener);
    config_free(f->config);
    endpoint_list_unref(f->lists[LEGACY]);
    endpoint_list_unref(f->lists[NEW]);
    free(f->worker);
}

static struct upstream *upstream_of(struct fixture *f, int backend)
{
    struct upstream *upstream = upstream_find(f->worker->upstreams, &f->config->backends[backend], USE_LIVE);
    assert_non_null(upstream);
    return upstream;
}

static void start(struct try *try, struct upstream *upstream)
{
    memset(try, 0, sizeof(*try));
    try->attempt.events = &events;
    attempt_start(&try->attempt, upstream);
}

/* ---- turns and ejection ---- */

static void every_address_has_its_turn(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "", 3);
    struct upstream *upstream = upstream_of(&f, LEGACY);
    struct endpoint *first = upstream_pick(upstream), *second = upstream_pick(upstream),
                    *third = upstream_pick(upstream);
    assert_ptr_not_equal(first, second);
    assert_ptr_not_equal(second, third);
    assert_ptr_not_equal(first, third);
    assert_ptr_equal(upstream_pick(upstream), first);
    end(&f);
}

static void a_failing_address_is_set_aside_and_comes_back(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, ", eject_after: 2, eject_for: 5s", 2);
    struct upstream *upstream = upstream_of(&f, LEGACY);
    struct endpoint *bad = upstream_pick(upstream), *good = upstream_pick(upstream);
    endpoint_failed(bad);
    assert_ptr_equal(upstream_pick(upstream), bad); /* once is not enough */
    endpoint_failed(bad);
    assert_int_equal(f.worker->counters.upstream_ejections, 1);
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(upstream_pick(upstream), good);
    endpoint_failed(good);
    endpoint_failed(good);
    assert_non_null(upstream_pick(upstream)); /* all are: trying beats refusing */
    later(&f, 5000);
    assert_ptr_not_equal(upstream_pick(upstream), upstream_pick(upstream));
    end(&f);
}

static void the_only_address_is_never_set_aside(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, ", eject_after: 1", 1);
    endpoint_failed(upstream_pick(upstream_of(&f, LEGACY)));
    assert_int_equal(f.worker->counters.upstream_ejections, 0);
    end(&f);
}

/* ---- active checks ---- */

/* Says so to all workers, as the one that checks does. */
static void checks_say(struct fixture *f, const struct endpoint *endpoint, bool down)
{
    struct health_mark *mark = health_board_mark(f->board, endpoint->upstream->config->name, &endpoint->address);
    assert_ptr_equal(mark, endpoint->mark);
    health_mark_set(mark, down, "said the test");
    health_mark_unref(mark);
}

static void an_address_that_is_down_has_no_turn(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, ", health: { path: / }", 3);
    struct upstream *upstream = upstream_of(&f, LEGACY);
    struct endpoint *one = upstream_pick(upstream), *two = upstream_pick(upstream), *three = upstream_pick(upstream);
    checks_say(&f, two, true);
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(upstream_pick(upstream), one);
        assert_ptr_equal(upstream_pick(upstream), three);
    }
    /* All of them: trying beats refusing, and each has its turn. */
    checks_say(&f, one, true);
    checks_say(&f, three, true);
    struct endpoint *picked = upstream_pick(upstream);
    assert_ptr_not_equal(upstream_pick(upstream), picked);
    checks_say(&f, two, false);
    assert_ptr_equal(upstream_pick(upstream), two);
    assert_ptr_equal(upstream_pick(upstream), two);
    end(&f);
}

static void one_that_is_set_aside_is_better_than_one_that_is_down(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, ", eject_after: 1, eject_for: 5s, health: { path: / }", 2);
    struct upstream *upstream = upstream_of(&f, LEGACY);
    struct endpoint *down = upstream_pick(upstream), *ejected = upstream_pick(upstream);
    checks_say(&f, down, true);
    endpoint_failed(ejected);
    assert_ptr_equal(upstream_pick(upstream), ejected);
    assert_ptr_equal(upstream_pick(upstream), ejected);
    end(&f);
}

static void without_checks_nothing_is_down(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, ", health: { path: / }", 2);
    struct upstream *upstream = upstream_of(&f, LEGACY);
    struct endpoint *one = upstream_pick(upstream), *other = upstream_pick(upstream);
    checks_say(&f, one, true);
    struct config *old = f.config;
    publish(&f, parse(", health: { path: /other }", true));
    config_free(old);
    assert_ptr_equal(upstream_pick(upstream), other); /* what is known outlasts a reload */
    assert_ptr_equal(upstream_pick(upstream), other);
    old = f.config;
    publish(&f, parse("", true));
    config_free(old);
    assert_ptr_not_equal(upstream_pick(upstream), upstream_pick(upstream));
    assert_null(one->mark);
    end(&f);
}

static void start_check(struct try *try, struct fixture *f, const struct endpoint_address *only)
{
    memset(try, 0, sizeof(*try));
    try->attempt.events = &events;
    try->attempt.only = only;
    attempt_start(&try->attempt, upstream_find(f->worker->upstreams, &f->config->backends[LEGACY], USE_HEALTH));
}

static void a_check_goes_to_its_address_whatever_live_traffic_holds(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, ", max_connections: 1, queue: 1, eject_after: 1, health: { path: / }", 2);
    struct upstream *live = upstream_of(&f, LEGACY);
    struct try held, checks[4], gone;
    start(&held, live);
    for (int i = 0; i < 4; i++) {
        const struct endpoint_address *address = &f.lists[LEGACY]->address[i % 2];
        start_check(&checks[i], &f, address);
        assert_int_equal(checks[i].attempt.state, ATTEMPT_CONNECTING);
        assert_string_equal(checks[i].attempt.endpoint, address->text);
    }
    assert_int_equal(live->open, 1);
    assert_int_equal(live->waiting, 0);
    struct endpoint_address none = f.lists[LEGACY]->address[0];
    none.to.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 77);
    start_check(&gone, &f, &none);
    assert_int_equal(gone.failed, 1);
    for (int i = 0; i < 4; i++)
        attempt_cancel(&checks[i].attempt);
    attempt_cancel(&held.attempt);
    assert_int_equal(f.worker->counters.upstream_queue_overflows, 0);
    end(&f);
}

static void a_check_that_fails_tries_no_other_address_and_sets_none_aside(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, ", eject_after: 1, health: { path: / }", 2);
    struct upstream *upstream = upstream_find(f.worker->upstreams, &f.config->backends[LEGACY], USE_HEALTH);
    struct try check;
    start_check(&check, &f, &f.lists[LEGACY]->address[0]);
    attempt_connect_failed(&check.attempt, OUTCOME_CONNECT_FAILED, "said the test");
    assert_int_equal(check.failed, 1);
    check.attempt.state = ATTEMPT_CONNECTING; /* the dial still holds it */
    attempt_cancel(&check.attempt);
    endpoint_failed(upstream->endpoints);
    assert_int_equal(f.worker->counters.upstream_ejections, 0);
    end(&f);
}

static void only_one_worker_has_addresses_to_check(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, ", health: { path: / }", 2);
    assert_int_equal(upstream_find(f.worker->upstreams, &f.config->backends[LEGACY], USE_HEALTH)->endpoint_count, 2);
    assert_int_equal(upstream_find(f.worker->upstreams, &f.config->backends[NEW], USE_HEALTH)->endpoint_count, 0);
    f.worker->index = 1;
    publish(&f, f.config);
    assert_int_equal(upstream_find(f.worker->upstreams, &f.config->backends[LEGACY], USE_HEALTH)->endpoint_count, 0);
    assert_int_equal(upstream_of(&f, LEGACY)->endpoint_count, 2);
    end(&f);
}

/* ---- the line ---- */

static void one_connects_one_waits_one_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, ", max_connections: 1, queue: 1", 1);
    struct upstream *upstream = upstream_of(&f, LEGACY);
    struct try first, second, third;
    start(&first, upstream);
    start(&second, upstream);
    start(&third, upstream);
    assert_int_equal(first.attempt.state, ATTEMPT_CONNECTING);
    assert_int_equal(second.attempt.state, ATTEMPT_WAITING);
    assert_int_equal(third.failed, 1);
    assert_int_equal(third.attempt.failure, OUTCOME_OVERLOADED);
    attempt_cancel(&first.attempt);
    assert_int_equal(second.attempt.state, ATTEMPT_CONNECTING);
    assert_int_equal(first.failed + second.failed, 0);
    attempt_cancel(&second.attempt);
    assert_int_equal(upstream->open, 0);
    end(&f);
}

/* Over HTTP/2, nobody waits while another address' connection can carry one more. */
static void at_the_limit_another_address_is_shared(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, ", protocol: http2, max_connections: 1", 3);
    struct upstream *upstream = upstream_of(&f, LEGACY);
    struct try tries[6];
    for (int i = 0; i < 6; i++) {
        start(&tries[i], upstream);
        assert_int_equal(tries[i].attempt.state, ATTEMPT_CONNECTING);
    }
    assert_int_equal(upstream->open, 1);
    for (int i = 0; i < 6; i++)
        attempt_cancel(&tries[i].attempt);
    assert_int_equal(upstream->open, 0);
    end(&f);
}

static void who_waits_too_long_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, ", max_connections: 1, queue: 5, queue_timeout: 200ms", 1);
    struct upstream *upstream = upstream_of(&f, LEGACY);
    struct try first, second, third;
    start(&first, upstream);
    start(&second, upstream);
    later(&f, 100);
    start(&third, upstream);
    later(&f, 100);
    assert_int_equal(second.failed, 1);
    assert_int_equal(third.failed, 0);
    assert_int_equal(f.worker->counters.upstream_queue_overflows, 1);
    attempt_cancel(&third.attempt);
    attempt_cancel(&first.attempt);
    end(&f);
}

static void a_higher_limit_serves_all_who_wait(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, ", max_connections: 1", 1);
    struct try tries[5];
    for (int i = 0; i < 5; i++)
        start(&tries[i], upstream_of(&f, LEGACY));
    struct config *old = f.config;
    publish(&f, parse(", max_connections: 4", true));
    config_free(old);
    for (int i = 0; i < 5; i++)
        assert_int_equal(tries[i].attempt.state, i < 4 ? ATTEMPT_CONNECTING : ATTEMPT_WAITING);
    for (int i = 5; i > 0; i--)
        attempt_cancel(&tries[i - 1].attempt);
    end(&f);
}

/* Connecting to a unix socket that is not there fails at once; doing so must not take stack for each one in the line.
 */
static void a_line_of_any_length_may_fail_at_once(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, ", max_connections: 1, queue: 100000", 1);
    struct upstream *upstream = upstream_of(&f, LEGACY);
    struct try first, *tries = calloc(MANY, sizeof(*tries));
    assert_non_null(tries);
    start(&first, upstream);
    for (int i = 0; i < MANY; i++)
        start(&tries[i], upstream);
    assert_int_equal(upstream->waiting, MANY);
    struct endpoint_address *address = &upstream->endpoints->address;
    memset(address, 0, sizeof(*address));
    address->to.un.sun_family = AF_UNIX;
    strcpy(address->to.un.sun_path, "/nonexistent/socket");
    address->length = sizeof(address->to.un);
    attempt_cancel(&first.attempt);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(tries[i].failed, 1);
    assert_int_equal(upstream->open, 0);
    free(tries);
    end(&f);
}

/* ---- changes ---- */

static void an_address_that_goes_takes_no_more(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "", 2);
    struct upstream *upstream = upstream_of(&f, LEGACY);
    struct try tries[2];
    start(&tries[0], upstream);
    start(&tries[1], upstream);
    struct endpoint_list *both = f.lists[LEGACY];
    f.lists[LEGACY] = list_of(&both->address[0], 1);
    publish(&f, f.config);
    assert_int_equal(upstream->endpoint_count, 1);
    assert_ptr_equal(upstream_pick(upstream), upstream_pick(upstream));
    attempt_cancel(&tries[0].attempt);
    attempt_cancel(&tries[1].attempt);
    assert_null(upstream->endpoints->next); /* freed with its last connection */
    endpoint_list_unref(both);
    end(&f);
}

/* The file says now what another address speaks; this one was asked for under what it said before. */
static void who_is_connecting_speaks_what_its_address_did(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "", 1);
    struct try first;
    start(&first, upstream_of(&f, LEGACY));
    struct endpoint_list *before = f.lists[LEGACY];
    struct endpoint_address other = before->address[0];
    other.to.in.sin_port = htons(1);
    f.lists[LEGACY] = list_of(&other, 1);
    struct config *old = f.config;
    publish(&f, parse(", protocol: http2", true));
    config_free(old);
    while (first.attempt.state == ATTEMPT_CONNECTING)
        assert_true(event_base_loop(f.worker->base, EVLOOP_ONCE) >= 0);
    assert_int_equal(first.ready, 1);
    assert_ptr_equal(first.attempt.codec, &h1_client_codec);
    attempt_cancel(&first.attempt);
    endpoint_list_unref(before);
    end(&f);
}

static void a_removed_backend_is_not_asked_for_another_address(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, ", max_connections: 1", 2);
    struct try connecting[3];
    for (int i = 0; i < 3; i++)
        start(&connecting[i], upstream_of(&f, NEW));
    assert_true(connecting[0].attempt.connects_left > 0);
    struct config *old = f.config;
    publish(&f, parse("", false));
    config_free(old);
    later(&f, f.config->timeouts.connect_ms + 100);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(connecting[i].failed, 1);
        assert_int_equal(connecting[i].attempt.failure, OUTCOME_TIMEOUT);
    }
    end(&f);
}

static void those_who_wait_for_a_removed_backend_are_told(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "", 1);
    struct upstream *upstream = upstream_of(&f, NEW);
    upstream->limit = 1;
    struct try first, second;
    start(&first, upstream);
    start(&second, upstream);
    struct config *old = f.config;
    publish(&f, parse("", false));
    config_free(old);
    assert_int_equal(second.failed, 1);
    assert_int_equal(second.attempt.failure, OUTCOME_CONNECT_FAILED);
    assert_int_equal(first.failed, 0); /* its connection goes on */
    attempt_cancel(&first.attempt);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_address_has_its_turn),
        cmocka_unit_test(a_failing_address_is_set_aside_and_comes_back),
        cmocka_unit_test(the_only_address_is_never_set_aside),
        cmocka_unit_test(an_address_that_is_down_has_no_turn),
        cmocka_unit_test(one_that_is_set_aside_is_better_than_one_that_is_down),
        cmocka_unit_test(without_checks_nothing_is_down),
        cmocka_unit_test(a_check_goes_to_its_address_whatever_live_traffic_holds),
        cmocka_unit_test(a_check_that_fails_tries_no_other_address_and_sets_none_aside),
        cmocka_unit_test(only_one_worker_has_addresses_to_check),
        cmocka_unit_test(one_connects_one_waits_one_is_refused),
        cmocka_unit_test(at_the_limit_another_address_is_shared),
        cmocka_unit_test(who_waits_too_long_is_refused),
        cmocka_unit_test(a_higher_limit_serves_all_who_wait),
        cmocka_unit_test(a_line_of_any_length_may_fail_at_once),
        cmocka_unit_test(an_address_that_goes_takes_no_more),
        cmocka_unit_test(who_is_connecting_speaks_what_its_address_did),
        cmocka_unit_test(a_removed_backend_is_not_asked_for_another_address),
        cmocka_unit_test(those_who_wait_for_a_removed_backend_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
