/*
 * The overview, drawn from made-up answers of a shunt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/status.h"
#include "tools/shuntctl/value.h"

static json_t *load(const char *text)
{
    json_error_t fault;
    json_t *json = json_loads(text, 0, &fault);
    if (json == NULL)
        fail_msg("%s at %d", fault.text, fault.position);
    return json;
}

/* One staged route at 10 %, with `breaker` and `gates` as given. */
static json_t *status_with(const char *breaker, const char *gates)
{
    char text[4096];
    snprintf(text, sizeof(text),
             "{\"version\": \"0.1.0\", \"uptime_ms\": 7500000, \"workers\": 2, \"ready\": true, \"passthrough\": false,"
             " \"passthrough_sources\": [], \"at_ms\": 1000000, \"listeners\": [\"0.0.0.0:8080\"],"
             " \"routes\": [{\"name\": \"orders\", \"phase\": \"running\", \"stage\": \"canary\", \"stage_index\": 1,"
             " \"stages\": [{}, {}, {}], \"percent\": 10, \"effective_percent\": 10, \"shadow_percent\": 100,"
             " \"hold\": {\"length_ms\": 7200000, \"elapsed_ms\": 2820000},"
             " \"evidence\": {\"compared\": 1204332, \"mismatched\": 12,"
             "   \"legacy\": {\"judged\": 1000, \"error_rate\": 0.001, \"latency\": {\"p95_ms\": 12.3}},"
             "   \"new\": {\"judged\": 0, \"error_rate\": 0, \"latency\": null}},"
             " \"counters\": {\"legacy\": {\"requests\": 5000}, \"new\": {\"requests\": 600}},"
             " \"why_not\": \"gate min_requests is undecided: 312 of 500 on new; and 43 min of the hold are left\","
             " \"breaker\": %s, \"gates\": %s}]}",
             breaker, gates);
    return load(text);
}

#define CLOSED                                                                                                         \
    "{\"enabled\": true, \"state\": \"closed\", \"trips\": 0, \"max_trips\": 3,"                                       \
    " \"window\": {\"length_ms\": 60000, \"legacy\": {\"judged\": 1200, \"error_rate\": 0.5}, \"new\": {\"judged\": "  \
    "0}}}"
#define OPEN                                                                                                           \
    "{\"enabled\": true, \"state\": \"open\", \"trips\": 2, \"max_trips\": 3, \"cooldown_left_ms\": 12000,"            \
    " \"why\": \"12 errors in a row\", \"window\": {\"length_ms\": 60000}}"
#define UNDECIDED                                                                                                      \
    "{\"verdict\": \"undecided\", \"gates\": [{\"gate\": \"p95\", \"applies\": false, \"verdict\": \"undecided\"},"    \
    " {\"gate\": \"min_requests\", \"applies\": true, \"verdict\": \"undecided\", \"sentence\": \"312 of 500 on "      \
    "new\"}]}"

static char *draw(const json_t *status, const json_t *before)
{
    char *text = NULL;
    size_t length = 0;
    struct screen screen = {.out = open_memstream(&text, &length), .width = 120};
    assert_true(status_draw(&screen, status, before));
    fclose(screen.out);
    return text;
}

static void assert_shows(const json_t *status, const char *part)
{
    char *text = draw(status, NULL);
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in:\n%s", part, text);
    free(text);
}

static void overview_says_share_stage_and_evidence(void **state)
{
    json_t *status = status_with(CLOSED, UNDECIDED);
    (void)state;
    assert_shows(status, "shunt 0.1.0, up 2h 05m, 2 workers, ready");
    assert_shows(status, "orders  running  canary 2/3   10 %   100 %  closed   1,204,332  12 (0.001 %)\n");
    assert_shows(status, "  gate min_requests is undecided: 312 of 500 on new; and 43 min of the hold are left\n");
    assert_shows(status, "orders   legacy  20.0/s        50 %     1,000   0.1 %    -  12.3 ms    -\n");
    json_decref(status);
}

static void open_breaker_says_why_and_when_it_tries(void **state)
{
    json_t *status = status_with(OPEN, UNDECIDED);
    (void)state;
    json_object_set_new(json_array_get(value_at(status, "routes"), 0), "effective_percent", json_integer(0));
    assert_shows(status, "10 %, now 0 %");
    assert_shows(status, "open, trip 2/3");
    assert_shows(status, "breaker: 12 errors in a row; next trial in 12s\n");
    json_decref(status);
}

static void passthrough_is_shouted(void **state)
{
    json_t *status = status_with(CLOSED, UNDECIDED);
    (void)state;
    json_object_set_new(status, "passthrough", json_true());
    json_object_set_new(status, "passthrough_sources", json_pack("[s, s]", "api", "file"));
    assert_shows(status, "PASSTHROUGH IS ON: everything goes straight to legacy; no split, no shadow (by api, file)\n");
    json_decref(status);
}

static void fleet_is_one_line(void **state)
{
    json_t *status = status_with(CLOSED, UNDECIDED);
    (void)state;
    json_object_set_new(status, "fleet",
                        json_pack("{s:s, s:s, s:s, s:s, s:i, s:b}", "group", "orders", "replica", "a", "role",
                                  "follower", "leader", "b", "alive", 3, "redis_available", 1));
    json_t *fleet = json_object_get(status, "fleet");
    assert_shows(status, "  fleet orders as a: 3 replicas, led by b\n");
    json_object_set_new(fleet, "role", json_string("leader"));
    json_object_set_new(fleet, "leader", json_string("a"));
    assert_shows(status, "  fleet orders as a: 3 replicas, this one leads\n");
    json_object_set_new(fleet, "role", json_string("cut_off"));
    assert_shows(status, "  fleet orders as a: cut off, and what was known last holds (shuntctl fleet)\n");
    json_object_set_new(fleet, "redis_available", json_false());
    assert_shows(status, "  fleet orders as a: Redis is away, and what was known last holds (shuntctl fleet)\n");
    json_object_set_new(status, "fleet", json_null());
    char *text = draw(status, NULL);
    assert_null(strstr(text, "fleet"));
    free(text);
    json_decref(status);
}

static void shunt_without_routes_says_so(void **state)
{
    json_t *status = load("{\"version\": \"0.1.0\", \"routes\": []}");
    (void)state;
    assert_shows(status, "no routes: everything goes to legacy");
    assert_shows(status, "not ready");
    json_decref(status);
}

static void addresses_that_are_down_are_named(void **state)
{
    (void)state;
    json_t *status =
        load("{\"backends\": [{\"name\": \"new\", \"url\": \"http://shop:1\", \"addresses\": [\"10.0.0.1:1\","
             " \"10.0.0.2:1\", \"10.0.0.3:1\"], \"unhealthy\": [{\"address\": \"10.0.0.2:1\","
             " \"reason\": \"status 503\"}, {\"address\": \"10.0.0.3:1\", \"reason\": \"NOT_SERVING\"}]},"
             " {\"name\": \"legacy\", \"url\": \"http://10.0.0.9:1\", \"addresses\": [\"10.0.0.9:1\"],"
             " \"unhealthy\": []}]}");
    assert_shows(status,
                 "(10.0.0.1:1, 10.0.0.2:1, 10.0.0.3:1) unhealthy: 10.0.0.2:1 (status 503), 10.0.0.3:1 (NOT_SERVING)\n");
    assert_shows(status, "legacy http://10.0.0.9:1\n");
    json_decref(status);
}

static void unknown_and_missing_members_are_survived(void **state)
{
    static const char *const odd[] = {"{}", "[]", "{\"routes\": 7}", "{\"routes\": [{}, 3, null, {\"breaker\": []}]}",
                                      "{\"routes\": [{\"stages\": {}, \"gates\": {\"gates\": [1]}, \"name\": 4}]}"};
    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        json_t *status = load(odd[i]);
        free(draw(status, NULL));
        json_decref(status);
    }
}

static void rates_are_those_between_two_looks(void **state)
{
    json_t *before = status_with(CLOSED, UNDECIDED), *after = status_with(CLOSED, UNDECIDED);
    json_t *route = json_array_get(value_at(after, "routes"), 0);
    (void)state;
    json_object_set_new(after, "at_ms", json_integer(1002000));
    json_object_set_new(after, "uptime_ms", json_integer(7502000));
    json_object_set_new(value_at(route, "counters.new"), "requests", json_integer(1600));
    assert_float_equal(status_rate(after, route, before, "new"), 500, 1e-3);
    assert_float_equal(status_rate(after, route, before, "legacy"), 0, 1e-3);
    assert_float_equal(status_rate(after, route, NULL, "legacy"), 20, 1e-3);
    json_object_set_new(after, "uptime_ms",
                        json_integer(300)); /* restarted: counters began again, and so did the window */
    json_object_set_new(value_at(route, "breaker"), "in_state_ms", json_integer(300));
    assert_float_equal(status_rate(after, route, before, "legacy"), 4000, 1e-3);
    json_object_set_new(value_at(route, "breaker"), "enabled", json_false());
    assert_true(status_rate(after, route, NULL, "legacy") < 0);
    json_decref(before);
    json_decref(after);
}

static void verdict_is_one_sentence(void **state)
{
    json_t *fail = load(
        "{\"gates\": {\"verdict\": \"fail\", \"gates\": [{\"gate\": \"a\", \"applies\": true, \"verdict\": \"pass\"},"
        " {\"gate\": \"b\", \"applies\": true, \"verdict\": \"fail\", \"sentence\": \"too slow\"}]}}");
    json_t *pass = load("{\"gates\": {\"verdict\": \"pass\", \"gates\": []}}"), *none = load("{}");
    char *text = status_verdict(fail);
    (void)state;
    assert_string_equal(text, "fail: b: too slow");
    free(text);
    text = status_verdict(pass);
    assert_string_equal(text, "pass: all gates pass");
    free(text);
    text = status_verdict(none);
    assert_string_equal(text, "");
    free(text);
    json_decref(fail);
    json_decref(pass);
    json_decref(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overview_says_share_stage_and_evidence),
        cmocka_unit_test(open_breaker_says_why_and_when_it_tries),
        cmocka_unit_test(passthrough_is_shouted),
        cmocka_unit_test(fleet_is_one_line),
        cmocka_unit_test(shunt_without_routes_says_so),
        cmocka_unit_test(addresses_that_are_down_are_named),
        cmocka_unit_test(unknown_and_missing_members_are_survived),
        cmocka_unit_test(rates_are_those_between_two_looks),
        cmocka_unit_test(verdict_is_one_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
