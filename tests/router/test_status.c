/* The status: the form that router.h promises, with figures that are right. */
#include "fixture.h"

#define ROUTES                                                                                                         \
    YAML_HEAD                                                                                                          \
    "  - name: orders\n"                                                                                               \
    "    match: { path: /orders/** }\n"                                                                                \
    "    sticky: [ { header: X-User-Id } ]\n"                                                                          \
    "    breaker: { window: 10s }\n"                                                                                   \
    "    stages:\n"                                                                                                    \
    "      - { name: canary, percent: 12.5, shadow: 50, hold: 60s, confirm: true }\n"                                  \
    "      - { name: all, percent: 100, hold: 30s }\n"                                                                 \
    "  - { name: rest, match: { path: /rest }, percent: 25 }\n"

/* The value at a dotted path; a number is an index. */
static const json_t *at(const json_t *json, const char *path)
{
    char part[64];
    while (*path != '\0') {
        size_t len = strcspn(path, ".");
        assert_true(len < sizeof(part));
        memcpy(part, path, len);
        part[len] = '\0';
        json = json_is_array(json) ? json_array_get(json, strtoul(part, NULL, 10)) : json_object_get(json, part);
        if (json == NULL)
            fail_msg("nothing at %s", path);
        path += path[len] == '.' ? len + 1 : len;
    }
    return json;
}

static void text_is(const json_t *json, const char *path, const char *expected)
{
    assert_string_equal(json_string_value(at(json, path)), expected);
}

static void number_is(const json_t *json, const char *path, double expected)
{
    double value = json_number_value(at(json, path));
    if (!json_is_number(at(json, path)) || value < expected - 1e-6 || value > expected + 1e-6)
        fail_msg("%s is %f, expected %f", path, value, expected);
}

static void the_whole_form_is_there(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2, ROUTES);
    uint32_t on_new = 0;
    uint32_t bad = 0;
    for (uint32_t user = 0; user < 1000; user++) {
        uint16_t status = user % 100 == 0 ? 500 : 200;
        struct decision d = drive(f, user % 2, user, 200, status, 2000);
        on_new += d.side == SIDE_NEW;
        bad += d.side == SIDE_NEW && status == 500;
    }
    f->pairs = (struct comparison_totals){70, 7};
    fixture_wait(f, 15000);
    json_t *s = router_status(f->router, f->now_ms, f->wall_ms);
    number_is(s, "at_ms", (double)f->wall_ms);
    number_is(s, "revision", (double)router_revision(f->router));
    assert_true(json_is_false(at(s, "passthrough.on")));
    assert_int_equal(json_array_size(at(s, "passthrough.sources")), 0);
    assert_int_equal(json_array_size(at(s, "routes")), 2);
    number_is(s, "unrouted.counters.legacy.requests", 0);

    const json_t *r = at(s, "routes.0");
    text_is(r, "name", "orders");
    text_is(r, "legacy", "legacy");
    text_is(r, "new", "new");
    text_is(r, "phase", "running");
    number_is(r, "percent", 12.5);
    number_is(r, "effective_percent", 12.5);
    number_is(r, "shadow_percent", 50);
    text_is(r, "stage", "canary");
    number_is(r, "stage_index", 0);
    assert_true(json_is_true(at(r, "stages.0.current")) && json_is_true(at(r, "stages.0.confirm")));
    assert_true(json_is_false(at(r, "stages.1.current")));
    number_is(r, "stages.1.hold_ms", 30000);
    number_is(r, "hold.length_ms", 60000);
    number_is(r, "hold.elapsed_ms", 15000);
    number_is(r, "hold.left_ms", 45000);
    text_is(r, "gates.verdict", "undecided");
    text_is(r, "gates.gates.0.gate", "min_requests");
    number_is(r, "gates.gates.0.evidence", json_number_value(at(r, "evidence.new.judged")));
    assert_true(json_is_integer(at(r, "gates.gates.0.eta_ms")));
    number_is(r, "share", 12.5);
    assert_true(json_is_null(at(r, "ramp")) && json_is_null(at(r, "deadline")));
    assert_int_equal(json_array_size(at(r, "depends_on")), 0);
    text_is(r, "on_failure.to", "tell");
    number_is(r, "on_failure.ramp_ms", 0);
    number_is(r, "steps_back", 0);
    text_is(r, "stages.0.promotion", "manual");
    number_is(r, "stages.0.deadline_ms", 0);
    assert_non_null(strstr(json_string_value(at(r, "why_not")), "gate min_requests is undecided: "));
    number_is(r, "breaker.ramp_left_ms", 0);
    number_is(r, "breaker.slow_rate", 0);
    number_is(r, "breaker.distinct_keys", 0);
    number_is(r, "evidence.gathered_ms", 15000);
    assert_true(json_number_value(at(r, "evidence.distinct_keys")) > on_new * 0.9);
    assert_true(json_string_length(at(r, "gates.gates.3.sentence")) > 0);
    number_is(r, "evidence.new.judged", on_new);
    number_is(r, "evidence.new.errors", bad);
    number_is(r, "evidence.compared", 70);
    number_is(r, "evidence.mismatched", 7);
    text_is(r, "breaker.state", "closed");
    number_is(r, "breaker.window.length_ms", 10000);
    number_is(r, "breaker.window.new.judged", 0); /* it was 15 seconds ago */
    number_is(r, "counters.new.requests", on_new);
    number_is(r, "counters.new.error_rate", (double)bad / on_new);
    number_is(r, "counters.new.classes.5xx", bad);
    number_is(r, "counters.legacy.outcomes.ok", 1000 - on_new);
    assert_true(json_number_value(at(r, "counters.legacy.latency.p95_ms")) > 1.9);
    number_is(r, "counters.in_flight", 0);
    assert_true(json_number_value(at(r, "counters.mirror.rate")) > 300);
    assert_null(json_object_get(at(r, "counters.mirror"), "off"));

    r = at(s, "routes.1");
    text_is(r, "phase", "fixed");
    assert_null(json_object_get(r, "stage"));
    assert_null(json_object_get(r, "why_not"));
    assert_true(json_is_null(at(r, "counters.new.latency")));
    json_decref(s);
    fixture_free(f);
}

static void what_holds_traffic_back_shows_in_the_effective_share(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTES);
    (void)router_passthrough(f->router, PASSTHROUGH_SIGNAL, true, "signal:USR1", NULL, f->wall_ms);
    json_t *s = router_status(f->router, f->now_ms, f->wall_ms);
    assert_true(json_is_true(at(s, "passthrough.on")));
    text_is(s, "passthrough.sources.0", "signal");
    number_is(s, "routes.1.percent", 25);
    number_is(s, "routes.1.effective_percent", 0);
    json_decref(s);
    fixture_free(f);
}

static void one_route_is_shown_as_it_is_among_all(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTES);
    json_t *all = router_status(f->router, f->now_ms, f->wall_ms);
    json_t *one = router_status_of(f->router, "rest", f->now_ms, f->wall_ms);
    assert_int_equal(json_array_size(at(one, "routes")), 1);
    assert_true(json_equal(at(one, "routes.0"), at(all, "routes.1")));
    assert_true(json_equal(at(one, "passthrough"), at(all, "passthrough")));
    assert_true(json_equal(at(one, "unrouted"), at(all, "unrouted")));
    json_decref(one);
    static const char *const none[] = {NULL, "-", "nothing"};
    for (int i = 0; i < 3; i++) {
        one = router_status_of(f->router, none[i], f->now_ms, f->wall_ms);
        assert_int_equal(json_array_size(at(one, "routes")), 0);
        json_decref(one);
    }
    json_decref(all);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_form_is_there),
        cmocka_unit_test(what_holds_traffic_back_shows_in_the_effective_share),
        cmocka_unit_test(one_route_is_shown_as_it_is_among_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
