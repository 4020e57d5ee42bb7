/*
 * Look-ups against a small DNS server on loopback that answers from a script, on the same loop.
 */
#include "proxy/resolver.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/dns.h>
#include <event2/event.h>

enum {
    DEADLINE_S = 30,
    DNS_ROOM = 512,
    TYPE_A = 1,
    RCODE_SERVFAIL = 2,
    RCODE_NXDOMAIN = 3
};

/* What the server says from now on to every question for an IPv4 address; for other types it knows nothing. */
struct script {
    const char *addresses[4];
    uint8_t rcode;
    bool silent;
};

struct fixture {
    struct event_base *base;
    struct event *dns_event;
    int dns;
    char nameserver[32];
    struct script script;
    unsigned questions; /* for IPv4 addresses */
    unsigned results, changes, turns;
    char last_error[96];
    uint32_t last_addresses;
    struct resolver *resolver;
    struct config_backend backends[3];
    struct config config;
};

/* ---- the server ---- */

static size_t question_length(const uint8_t *packet, size_t length)
{
    size_t at = 12;
    while (at < length && packet[at] != 0)
        at += packet[at] + 1u;
    return at + 5 <= length ? at + 5 - 12 : 0;
}

static void on_question(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct fixture *f = context;
    uint8_t packet[DNS_ROOM];
    struct sockaddr_in from;
    socklen_t from_length = sizeof(from);
    ssize_t got = recvfrom(fd, packet, sizeof(packet) / 2, 0, (struct sockaddr *)&from, &from_length);
    size_t asked = got > 12 ? question_length(packet, (size_t)got) : 0;
    if (asked == 0)
        return;
    bool is_a = packet[12 + asked - 3] == TYPE_A;
    f->questions += is_a;
    if (f->script.silent)
        return;
    size_t at = 12 + asked;
    uint8_t count = 0;
    for (int i = 0; is_a && f->script.rcode == 0 && i < 4 && f->script.addresses[i] != NULL; i++, count++) {
        const uint8_t record[12] = {0xc0, 12, 0, TYPE_A, 0, 1, 0, 0, 0, 60, 0, 4}; /* the name asked for, 60 s */
        memcpy(packet + at, record, sizeof(record));
        assert_int_equal(inet_pton(AF_INET, f->script.addresses[i], packet + at + 12), 1);
        at += 16;
    }
    packet[2] = 0x84;
    packet[3] = (uint8_t)(0x80 | f->script.rcode);
    memset(packet + 6, 0, 6);
    packet[7] = count;
    assert_int_equal(sendto(fd, packet, at, 0, (struct sockaddr *)&from, from_length), at);
}

static void start_server(struct fixture *f)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(at);
    f->dns = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(f->dns, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(f->dns, (struct sockaddr *)&at, &length), 0);
    snprintf(f->nameserver, sizeof(f->nameserver), "127.0.0.1:%u", (unsigned)ntohs(at.sin_port));
    f->dns_event = event_new(f->base, f->dns, EV_READ | EV_PERSIST, on_question, f);
    assert_int_equal(event_add(f->dns_event, NULL), 0);
}

/* ---- the fixture ---- */

static void on_result(void *context, const struct resolver_result *result)
{
    struct fixture *f = context;
    f->results++;
    f->changes += result->changed;
    f->turns += result->turned;
    f->last_addresses = result->addresses;
    snprintf(f->last_error, sizeof(f->last_error), "%s", result->error != NULL ? result->error : "");
}

static void set_backend(struct fixture *f, uint32_t i, const char *name, const char *host, const char *unix_path)
{
    f->backends[i] = (struct config_backend){
        .name = name,
        .url = "http://as-written",
        .address = {.text = "", .host = host, .unix_path = unix_path, .port = 3000},
        .index = i,
        .dns_refresh_ms = 20,
    };
    f->config.backends = f->backends;
    if (f->config.backend_count <= i)
        f->config.backend_count = i + 1;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->base = event_base_new();
    assert_non_null(f->base);
    start_server(f);
    const struct resolver_options options = {
        .nameserver = f->nameserver, .timeout_ms = 50, .retry_ms = 5, .on_result = on_result, .context = f};
    f->resolver = resolver_new(f->base, &options);
    assert_non_null(f->resolver);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    resolver_free(f->resolver);
    event_free(f->dns_event);
    close(f->dns);
    event_base_free(f->base);
    free(f);
    return 0;
}

static void adopt(struct fixture *f)
{
    struct resolver_plan *plan = resolver_prepare(f->resolver, &f->config);
    assert_non_null(plan);
    resolver_adopt(f->resolver, plan);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    *(bool *)context = true;
}

/* Runs the loop until `more` further look-ups have ended. */
static void await_results(struct fixture *f, unsigned more)
{
    bool late = false;
    struct timeval patience = {.tv_sec = DEADLINE_S};
    struct event *deadline = evtimer_new(f->base, on_deadline, &late);
    evtimer_add(deadline, &patience);
    unsigned wanted = f->results + more;
    while (f->results < wanted && !late)
        assert_true(event_base_loop(f->base, EVLOOP_ONCE) >= 0);
    event_free(deadline);
    assert_false(late);
}

static const char *address(struct fixture *f, uint32_t backend, uint32_t i)
{
    const struct endpoint_list *list = resolver_endpoints(f->resolver)[backend];
    return i < list->count ? list->address[i].text : "none";
}

/* ---- tests ---- */

static void addresses_need_no_look_up(void **state)
{
    struct fixture *f = *state;
    set_backend(f, 0, "four", "192.0.2.7", NULL);
    set_backend(f, 1, "six", "2001:db8::7", NULL);
    set_backend(f, 2, "socket", NULL, "/run/app.sock");
    adopt(f);
    assert_int_equal(resolver_unanswered(f->resolver), 0);
    assert_string_equal(address(f, 0, 0), "192.0.2.7:3000");
    assert_string_equal(address(f, 1, 0), "[2001:db8::7]:3000");
    assert_string_equal(address(f, 2, 0), "unix:/run/app.sock");
    assert_int_equal(event_base_loop(f->base, EVLOOP_NONBLOCK), 0);
    assert_int_equal(f->questions, 0);
}

static void a_name_is_resolved_and_refreshed(void **state)
{
    struct fixture *f = *state;
    f->script = (struct script){.addresses = {"192.0.2.2", "192.0.2.1"}};
    set_backend(f, 0, "legacy", "legacy.example.", NULL);
    adopt(f);
    assert_int_equal(resolver_unanswered(f->resolver), 1);
    assert_int_equal(resolver_endpoints(f->resolver)[0]->count, 0);
    await_results(f, 1);
    assert_int_equal(resolver_unanswered(f->resolver), 0);
    assert_string_equal(address(f, 0, 0), "192.0.2.1:3000");
    assert_string_equal(address(f, 0, 1), "192.0.2.2:3000");
    assert_int_equal(f->changes, 1);
    f->script = (struct script){.addresses = {"192.0.2.3"}};
    await_results(f, 2); /* the first may have been asked before */
    assert_string_equal(address(f, 0, 0), "192.0.2.3:3000");
    assert_string_equal(address(f, 0, 1), "none");
    assert_int_equal(f->changes, 2);
    assert_int_equal(f->turns, 0);
}

static void an_answer_in_another_order_is_no_change(void **state)
{
    struct fixture *f = *state;
    f->script = (struct script){.addresses = {"192.0.2.2", "192.0.2.1", "192.0.2.2"}};
    set_backend(f, 0, "legacy", "legacy.example.", NULL);
    adopt(f);
    await_results(f, 1);
    assert_int_equal(resolver_endpoints(f->resolver)[0]->count, 2);
    f->script = (struct script){.addresses = {"192.0.2.1", "192.0.2.2"}};
    await_results(f, 3);
    assert_int_equal(f->changes, 1);
}

static void a_failure_keeps_the_addresses_and_is_told_once(void **state)
{
    struct fixture *f = *state;
    f->script = (struct script){.addresses = {"192.0.2.1"}};
    set_backend(f, 0, "legacy", "legacy.example.", NULL);
    adopt(f);
    await_results(f, 1);
    f->script = (struct script){.rcode = RCODE_NXDOMAIN};
    await_results(f, 4);
    assert_string_equal(address(f, 0, 0), "192.0.2.1:3000");
    assert_string_not_equal(f->last_error, "");
    assert_int_equal(f->last_addresses, 1);
    assert_int_equal(f->turns, 1);
    assert_int_equal(f->changes, 1);
    json_t *json = resolver_json(f->resolver), *first = json_array_get(json, 0);
    assert_true(json_is_true(json_object_get(first, "resolved")));
    assert_true(json_integer_value(json_object_get(first, "failures")) >= 3);
    assert_string_equal(json_string_value(json_object_get(first, "error")), f->last_error);
    assert_string_equal(json_string_value(json_array_get(json_object_get(first, "addresses"), 0)), "192.0.2.1:3000");
    json_decref(json);
    f->script = (struct script){.addresses = {"192.0.2.1"}};
    await_results(f, 2);
    assert_string_equal(f->last_error, "");
    assert_int_equal(f->turns, 2);
    assert_int_equal(f->changes, 1);
}

static void a_server_that_fails_or_is_silent_is_a_failure(void **state)
{
    struct fixture *f = *state;
    f->script = (struct script){.rcode = RCODE_SERVFAIL};
    set_backend(f, 0, "legacy", "legacy.example.", NULL);
    adopt(f);
    await_results(f, 1);
    assert_int_equal(resolver_unanswered(f->resolver), 0); /* answered, though without an address */
    assert_int_equal(resolver_endpoints(f->resolver)[0]->count, 0);
    assert_int_equal(f->turns, 1);
    f->script = (struct script){.silent = true};
    await_results(f, 2);
    assert_int_equal(f->turns, 1);
    f->script = (struct script){.addresses = {"192.0.2.9"}};
    await_results(f, 2);
    assert_string_equal(address(f, 0, 0), "192.0.2.9:3000");
    assert_int_equal(f->turns, 2);
}

static void a_reload_keeps_what_is_known_about_a_host(void **state)
{
    struct fixture *f = *state;
    f->script = (struct script){.addresses = {"192.0.2.1"}};
    set_backend(f, 0, "legacy", "legacy.example.", NULL);
    adopt(f);
    await_results(f, 1);
    f->script = (struct script){.silent = true};
    set_backend(f, 0, "other", "other.example.", NULL);
    set_backend(f, 1, "legacy", "legacy.example.", NULL);
    struct resolver_plan *plan = resolver_prepare(f->resolver, &f->config);
    assert_non_null(plan);
    resolver_discard(plan); /* a reload that is refused changes nothing */
    assert_int_equal(resolver_count(f->resolver), 1);
    assert_string_equal(address(f, 0, 0), "192.0.2.1:3000");
    adopt(f);
    assert_int_equal(resolver_count(f->resolver), 2);
    assert_int_equal(resolver_unanswered(f->resolver), 1);
    assert_string_equal(address(f, 0, 0), "none");
    assert_string_equal(address(f, 1, 0), "192.0.2.1:3000");
}

static void reloads_and_the_end_with_questions_under_way_lose_nothing(void **state)
{
    struct fixture *f = *state; /* the sanitizers judge */
    f->script = (struct script){.silent = true};
    for (int i = 0; i < 5; i++) {
        set_backend(f, 0, "legacy", i % 2 == 0 ? "legacy.example." : "new.example.", NULL);
        adopt(f);
        unsigned before = f->questions;
        while (f->questions == before)
            assert_true(event_base_loop(f->base, EVLOOP_ONCE) >= 0);
    }
    assert_int_equal(f->results, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(addresses_need_no_look_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_is_resolved_and_refreshed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_in_another_order_is_no_change, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failure_keeps_the_addresses_and_is_told_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_that_fails_or_is_silent_is_a_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reload_keeps_what_is_known_about_a_host, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reloads_and_the_end_with_questions_under_way_lose_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
