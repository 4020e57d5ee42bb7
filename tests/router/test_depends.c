/* Plans that depend on other plans: what they wait for, when they fall with them, and when they have no traffic. */
#include "fixture.h"

#include <errno.h>

#define QUIET(last)                                                                                                    \
    "    sticky: [ { header: X-User-Id } ]\n"                                                                          \
    "    promotion: auto\n"                                                                                            \
    "    gates: { min_requests: 1, error_rate_increase: off, p95_increase: off, mismatch_rate: off }\n"                \
    "    breaker: { consecutive_errors: 5, error_rate: off, error_rate_increase: off, p95_ratio: off, cooldown: 1s,\n" \
    "               trial_requests: 1, ramp: 0s, max_trips: 5 }\n"                                                     \
    "    stages: [ { name: canary, percent: 50, hold: 10s }, { name: half, percent: 60, hold: 10s },\n"                \
    "              { name: all, percent: " last ", hold: 10s } ]\n"
/* The plan depended on stands last in the file: the order there says nothing. */
#define ROUTES_WITH(last)                                                                                              \
    YAML_HEAD                                                                                                          \
    "  - name: executor\n    match: { path: /executor }\n    depends_on: [ bundler ]\n"                                \
    "    on_failure: { to: freeze }\n" QUIET(                                                                          \
        "90") "  - name: bundler\n    match: { path: /bundler }\n    depends_on: [ { route: orders, stage: half } ]\n" \
              "    on_failure: { to: previous }\n" QUIET(                                                              \
                  last) "  - name: orders\n    match: { path: /orders/** }\n" QUIET("90")
#define ROUTES ROUTES_WITH("90")

static void users(struct fixture *f, const char *path, uint32_t count, uint16_t new_status)
{
    static uint64_t user;
    for (uint32_t i = 0; i < count; i++) {
        struct request r;
        char id[32];
        request_init(&r, "GET", path);
        (void)snprintf(id, sizeof(id), "user-%llu", (unsigned long long)++user);
        request_add(&r, "X-User-Id", id);
        struct decision decision = decide_on(f, 0, &r);
        observe(f, 0, &decision, OUTCOME_OK, decision.side == SIDE_NEW ? new_status : 200, 1000);
    }
}

static void a_plan_does_not_leave_its_stage_before_the_other_has_come(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTES);
    users(f, "/bundler", 100, 200);
    fixture_wait(f, 20000);
    assert_int_equal(state_of(f, "bundler").stage, 0);
    assert_int_equal(state_of(f, "bundler").effective, 5000); /* the share of its first stage it has */
    assert_why_not(f, 1, "orders has to be in stage half or behind it, and is running in stage canary");
    assert_int_equal(command(f, VERB_PROMOTE, "bundler"), -EPERM);
    users(f, "/orders", 100, 200);
    fixture_wait(f, 1100);
    assert_int_equal(state_of(f, "orders").stage, 1);
    assert_int_equal(count_events(f, "dependency_met"), 1);
    fixture_wait(f, 1100);
    assert_int_equal(state_of(f, "bundler").stage, 1);
    fixture_free(f);
}

static void a_person_promotes_past_a_dependency_with_force(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTES);
    assert_int_equal(command_force(f, "bundler"), 0);
    assert_int_equal(state_of(f, "bundler").stage, 1);
    fixture_wait(f, 5000);
    assert_int_equal(state_of(f, "bundler").stage, 1); /* it was never met, so it has not fallen */
    assert_int_equal(command(f, VERB_ROLLBACK, "orders"), 0);
    fixture_wait(f, 5000);
    assert_int_equal(state_of(f, "bundler").stage, 1);
    fixture_free(f);
}

/* orders in its last stage, done; bundler in its second, or done, too. */
static struct fixture *all_the_way(bool bundler_done)
{
    struct fixture *f = fixture_new(1, ROUTES);
    for (int i = 0; i < 3; i++)
        assert_int_equal(command_force(f, "orders"), 0);
    assert_int_equal(state_of(f, "orders").phase, PLAN_DONE);
    for (int i = 0; i < (bundler_done ? 3 : 1); i++)
        assert_int_equal(command_force(f, "bundler"), 0);
    assert_int_equal(command_force(f, "executor"), 0);
    fixture_wait(f, 100);
    return f;
}

static void who_depends_falls_at_the_same_moment(void **state)
{
    (void)state;
    struct fixture *f = all_the_way(true);
    assert_int_equal(command(f, VERB_ROLLBACK, "orders"), 0);
    /* within the verb, so that no state is ever saved in which the one has fallen and the others not */
    assert_int_equal(state_of(f, "bundler").phase, PLAN_RUNNING);
    assert_int_equal(state_of(f, "bundler").stage, 1); /* on_failure: previous */
    assert_int_equal(state_of(f, "bundler").steps_back, 1);
    assert_int_equal(state_of(f, "executor").phase, PLAN_ROLLED_BACK); /* freeze is not enough for a fall */
    assert_string_equal(f->what[f->event_count - 3], "rollback");
    assert_string_equal(f->what[f->event_count - 2], "step_back");
    assert_string_equal(f->who[f->event_count - 2], "plan");
    assert_string_equal(f->why[f->event_count - 2],
                        "a dependency fell: orders has to be in stage half or behind it, and is "
                        "rolled_back in stage all");
    assert_string_equal(f->what[f->event_count - 1], "rollback");
    assert_string_equal(f->why[f->event_count - 1],
                        "a dependency fell: bundler has to be done, and is running in stage half");
    assert_int_equal(command(f, VERB_RESUME, "orders"), 0); /* what fell does not come back by itself */
    fixture_wait(f, 1000);
    assert_int_equal(state_of(f, "executor").phase, PLAN_ROLLED_BACK);
    fixture_free(f);
}

static void the_last_trip_takes_the_others_with_it(void **state)
{
    (void)state;
    struct fixture *f = all_the_way(false);
    for (int i = 0; i < 5; i++) {
        users(f, "/orders", 40, 500);
        fixture_wait(f, 60000);
        users(f, "/orders", 40, 500);
        fixture_wait(f, TICK_MS);
    }
    assert_int_equal(state_of(f, "orders").phase, PLAN_ROLLED_BACK);
    assert_true(state_of(f, "bundler").stage == 0);
    fixture_free(f);
}

static void a_frozen_plan_stays_and_tells(void **state)
{
    (void)state;
    struct fixture *f = all_the_way(false);
    assert_int_equal(command(f, VERB_FREEZE, "bundler"), 0);
    assert_int_equal(command(f, VERB_ROLLBACK, "orders"), 0);
    assert_int_equal(state_of(f, "bundler").phase, PLAN_FROZEN);
    assert_int_equal(state_of(f, "bundler").percent, 6000);
    assert_int_equal(count_events(f, "dependency_lost"), 1);
    fixture_free(f);
}

static void a_paused_plan_falls_and_stays_paused(void **state)
{
    (void)state;
    struct fixture *f = all_the_way(false);
    assert_int_equal(command(f, VERB_PAUSE, "bundler"), 0);
    assert_int_equal(command(f, VERB_ROLLBACK, "orders"), 0);
    assert_int_equal(state_of(f, "bundler").phase, PLAN_PAUSED);
    assert_int_equal(state_of(f, "bundler").percent, 5000);
    fixture_free(f);
}

static void an_open_breaker_holds_the_traffic_of_all_behind_it(void **state)
{
    (void)state;
    struct fixture *f = all_the_way(true);
    uint32_t share = state_of(f, "executor").effective;
    assert_true(share > 0);
    users(f, "/orders", 20, 500);
    fixture_wait(f, TICK_MS);
    assert_int_equal(state_of(f, "orders").breaker, BREAKER_OPEN);
    assert_int_equal(state_of(f, "bundler").effective, 0);
    assert_int_equal(state_of(f, "executor").effective, 0); /* by way of bundler */
    assert_int_equal(state_of(f, "executor").percent, share);
    struct request r;
    request_init(&r, "GET", "/bundler");
    for (int i = 0; i < 50; i++) {
        struct decision decision = decide_on(f, 0, &r);
        assert_int_equal(decision.side, SIDE_LEGACY);
        assert_int_equal(decision.reason, REASON_DEPENDENCY);
        observe(f, 0, &decision, OUTCOME_OK, 200, 1000);
    }
    assert_why_not(f, 0, "the breaker of orders is open");
    fixture_wait(f, 2000);
    users(f, "/orders", 20, 200);
    fixture_wait(f, TICK_MS);
    assert_int_equal(state_of(f, "orders").breaker, BREAKER_CLOSED);
    assert_int_equal(state_of(f, "executor").effective, share);
    fixture_free(f);
}

#define SHARE(f, route) state_of(f, route).effective

/* Whoever depends on what has just come back comes back with it, not before. */
static void a_share_grows_back_with_that_it_depends_on(void **state)
{
    (void)state;
    static const char *const ramped = YAML_HEAD
        "  - name: last\n    match: { path: /last }\n    depends_on: [ { route: middle, stage: canary } ]\n" QUIET(
            "90") "  - name: middle\n    match: { path: /middle }\n    depends_on: [ { route: orders, stage: canary } "
                  "]\n" //
        QUIET(
            "90") "  - name: orders\n    match: { path: /orders/** }\n    sticky: [ { header: X-User-Id } ]\n"
                  "    promotion: manual\n    stages: [ { name: canary, percent: 40 }, { name: all, percent: 100 } ]\n"
                  "    breaker: { consecutive_errors: 5, error_rate: off, error_rate_increase: off, p95_ratio: off,\n"
                  "               cooldown: 1s, trial_requests: 1, ramp: 10s, max_trips: 5 }\n";
    struct fixture *f = fixture_new(1, ramped);
    users(f, "/orders", 40, 500);
    fixture_wait(f, TICK_MS);
    assert_int_equal(SHARE(f, "last"), 0);
    fixture_wait(f, 2000);
    users(f, "/orders", 20, 200);
    fixture_wait(f, TICK_MS);
    assert_int_equal(state_of(f, "orders").breaker, BREAKER_CLOSED);
    for (uint32_t step = 1; step <= 10; step++) {
        assert_int_equal(SHARE(f, "orders"), 400 * step);
        assert_int_equal(SHARE(f, "middle"), 500 * step);
        assert_int_equal(SHARE(f, "last"), 500 * step);
        for (uint64_t user = 0; user < 100; user++) {
            struct request r;
            char id[32];
            request_init(&r, "GET", "/last");
            (void)snprintf(id, sizeof(id), "user-%llu", (unsigned long long)user);
            request_add(&r, "X-User-Id", id);
            struct decision decision = decide_on(f, 0, &r);
            assert_int_equal(decision.share, 500 * step);
            assert_int_equal(decision.side, decision.cohort < 500 * step ? SIDE_NEW : SIDE_LEGACY);
            observe(f, 0, &decision, OUTCOME_CLIENT_GONE, 0, 0);
        }
        if (step == 3) {
            assert_why_not(f, 0, "the share is 15.00 % and goes back up to the stage's 50.00 % within 8 s");
            json_t *route = route_status(f, 0);
            assert_int_equal(json_integer_value(json_object_get(json_object_get(route, "ramp"), "left_ms")), 8000);
            assert_int_equal(json_integer_value(json_object_get(json_object_get(route, "hold"), "elapsed_ms")), 0);
            json_decref(route);
        }
        fixture_wait(f, 1000);
    }
    assert_int_equal(SHARE(f, "last"), 5000);
    fixture_wait(f, 5000);
    json_t *route = route_status(f, 0);
    assert_true(json_integer_value(json_object_get(json_object_get(route, "hold"), "elapsed_ms")) >= 5000);
    assert_true(json_is_null(json_object_get(route, "ramp")));
    json_decref(route);
    fixture_free(f);
}

static void traffic_that_is_held_is_no_evidence_and_no_hold(void **state)
{
    (void)state;
    struct fixture *f = all_the_way(false);
    users(f, "/orders", 40, 500);
    fixture_wait(f, TICK_MS);
    json_t *before = route_status(f, 1);
    users(f, "/bundler", 100, 200);
    fixture_wait(f, 900);
    json_t *after = route_status(f, 1);
    assert_true(json_equal(json_object_get(before, "hold"), json_object_get(after, "hold")));
    assert_true(json_equal(json_object_get(json_object_get(before, "evidence"), "legacy"),
                           json_object_get(json_object_get(after, "evidence"), "legacy")));
    json_decref(before);
    json_decref(after);
    fixture_free(f);
}

static void an_edit_of_the_file_is_no_fall(void **state)
{
    (void)state;
    struct fixture *f = all_the_way(true);
    fixture_configure(f, ROUTES_WITH("95")); /* bundler was done, and runs again on its way to 95 % */
    fixture_wait(f, 100);
    assert_int_equal(state_of(f, "bundler").phase, PLAN_RUNNING);
    assert_int_equal(state_of(f, "executor").percent, 6000);
    assert_why_not(f, 0, "bundler has to be done, and is running in stage all");
    fixture_free(f);
}

static void what_has_come_is_remembered_over_a_restart(void **state)
{
    (void)state;
    struct fixture *f = all_the_way(false);
    json_t *saved = router_save(f->router, f->now_ms, f->wall_ms);
    struct fixture *g = fixture_empty(1);
    char *why = NULL;
    assert_true(router_restore(g->router, saved, g->now_ms, g->wall_ms, &why));
    g->last_sequence = f->last_sequence;
    fixture_configure(g, ROUTES);
    assert_int_equal(command(g, VERB_ROLLBACK, "orders"), 0); /* before the first tick */
    assert_int_equal(state_of(g, "bundler").stage, 0);
    assert_int_equal(count_events(g, "step_back"), 1);
    json_decref(saved);
    fixture_free(f);
    fixture_free(g);
}

static void the_status_says_what_has_come(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTES);
    json_t *route = route_status(f, 1);
    char *text = json_dumps(json_object_get(route, "depends_on"), JSON_SORT_KEYS);
    assert_string_equal(text, "[{\"met\": false, \"route\": \"orders\", \"stage\": \"half\"}]");
    free(text);
    json_decref(route);
    assert_int_equal(command_force(f, "orders"), 0);
    route = route_status(f, 0);
    text = json_dumps(json_object_get(route, "depends_on"), JSON_SORT_KEYS);
    assert_string_equal(text, "[{\"met\": false, \"route\": \"bundler\", \"stage\": null}]");
    free(text);
    json_decref(route);
    fixture_free(f);
}

/* Each of these plans waits for as many before it as a file may name: there are nearly 2^31 ways from last to first. */
static void who_is_held_by_whom_is_found_where_many_depend_on_many(void **state)
{
    (void)state;
    enum {
        MANY = 32
    };
    char *yaml = NULL;
    size_t length = 0;
    FILE *text = open_memstream(&yaml, &length);
    assert_non_null(text);
    fputs(YAML_HEAD, text);
    for (int i = 0; i < MANY; i++) {
        fprintf(text, "  - name: r%d\n    match: { path: /r%d }\n", i, i);
        for (int before = 1; before <= i && before <= 16; before++)
            fprintf(text, "%s{ route: r%d, stage: canary }", before > 1 ? ", " : "    depends_on: [ ", i - before);
        fprintf(text, "%s" QUIET("90"), i > 0 ? " ]\n" : "");
    }
    assert_int_equal(fclose(text), 0);
    struct fixture *f = fixture_new(1, yaml);
    free(yaml);
    fixture_wait(f, 100);
    assert_int_equal(state_of(f, "r31").effective, 5000);
    users(f, "/r0", 50, 500);
    fixture_wait(f, TICK_MS);
    assert_int_equal(state_of(f, "r0").breaker, BREAKER_OPEN);
    assert_int_equal(state_of(f, "r31").effective, 0);
    assert_why_not(f, MANY - 1, "the breaker of r0 is open");
    assert_int_equal(command(f, VERB_RESET_BREAKER, "r0"), 0);
    assert_int_equal(state_of(f, "r31").effective, 5000);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_does_not_leave_its_stage_before_the_other_has_come),
        cmocka_unit_test(a_person_promotes_past_a_dependency_with_force),
        cmocka_unit_test(who_depends_falls_at_the_same_moment),
        cmocka_unit_test(the_last_trip_takes_the_others_with_it),
        cmocka_unit_test(a_frozen_plan_stays_and_tells),
        cmocka_unit_test(a_paused_plan_falls_and_stays_paused),
        cmocka_unit_test(an_open_breaker_holds_the_traffic_of_all_behind_it),
        cmocka_unit_test(a_share_grows_back_with_that_it_depends_on),
        cmocka_unit_test(traffic_that_is_held_is_no_evidence_and_no_hold),
        cmocka_unit_test(an_edit_of_the_file_is_no_fall),
        cmocka_unit_test(what_has_come_is_remembered_over_a_restart),
        cmocka_unit_test(the_status_says_what_has_come),
        cmocka_unit_test(who_is_held_by_whom_is_found_where_many_depend_on_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
