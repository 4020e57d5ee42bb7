/* The control half: plans that move with time and evidence, verbs, reloads, events. Time is the fixture's. */
#include "fixture.h"

#include <errno.h>

#define GATES                                                                                                          \
    "    gates: { min_requests: 100, error_rate_increase: 5%, p95_increase: off, mismatch_rate: 1%, confidence: 95% "  \
    "}\n"
#define PLAN_HEAD                                                                                                      \
    YAML_HEAD                                                                                                          \
    "  - name: orders\n"                                                                                               \
    "    match: { path: /orders/** }\n"                                                                                \
    "    sticky: [ { header: X-User-Id } ]\n"                                                                          \
    "    breaker: off\n" GATES
#define STAGES                                                                                                         \
    "    stages:\n"                                                                                                    \
    "      - { name: shadow, percent: 0, shadow: 100, hold: 60s }\n"                                                   \
    "      - { name: canary, percent: 10, hold: 60s }\n"                                                               \
    "      - { name: half, percent: 50, hold: 60s }\n"                                                                 \
    "      - { name: all, percent: 100, hold: 60s }\n"
#define AUTO   PLAN_HEAD "    promotion: auto\n" STAGES
#define MANUAL PLAN_HEAD "    promotion: manual\n" STAGES

static void pairs(struct fixture *f, uint64_t compared, uint64_t mismatched)
{
    f->pairs.compared += compared;
    f->pairs.mismatched += mismatched;
}

static const char *stage_of(const struct fixture *f)
{
    struct router_route_state state = state_of(f, "orders");
    return state.config->stages[state.stage].name;
}

static void a_plan_advances_on_a_pass_for_the_whole_hold(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2, AUTO);
    assert_string_equal(last_event(f), "route_added");
    traffic(f, 200, 200);
    pairs(f, 1000, 0);
    fixture_wait(f, 60000 - TICK_MS);
    assert_string_equal(stage_of(f), "shadow"); /* all passes, but the hold is not over */
    fixture_wait(f, TICK_MS);
    assert_string_equal(stage_of(f), "canary");
    assert_string_equal(last_event(f), "promote");
    assert_string_equal(f->who[f->event_count - 1], "plan");
    assert_int_equal(state_of(f, "orders").percent, 1000);

    fixture_wait(f, 120000);
    assert_string_equal(stage_of(f), "canary"); /* the hold is over, but there is no evidence: it never guesses */
    traffic(f, 3000, 200);
    fixture_wait(f, 1000);
    assert_string_equal(stage_of(f), "half");
    traffic(f, 1000, 200);
    fixture_wait(f, 61000);
    assert_string_equal(stage_of(f), "all");
    assert_int_equal(state_of(f, "orders").percent, SHARE_ALL);
    traffic(f, 1000, 200); /* legacy's record of the stage before serves the comparison */
    fixture_wait(f, 61000);
    assert_int_equal(state_of(f, "orders").phase, PLAN_DONE);
    assert_string_equal(last_event(f), "done");
    fixture_free(f);
}

static void evidence_of_one_stage_does_not_serve_the_next(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, AUTO);
    traffic(f, 100000, 200);
    pairs(f, 100000, 0);
    fixture_wait(f, 600000);
    assert_string_equal(stage_of(f), "canary");
    fixture_free(f);
}

static void a_failed_gate_rolls_an_automatic_plan_back(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, AUTO);
    assert_int_equal(command_force(f, "orders"), 0);
    traffic(f, 4000, 500);
    fixture_wait(f, 1100);
    assert_int_equal(state_of(f, "orders").phase, PLAN_ROLLED_BACK);
    assert_int_equal(state_of(f, "orders").percent, 0);
    assert_string_equal(last_event(f), "rollback");
    assert_string_equal(f->who[f->event_count - 1], "plan");
    assert_non_null(strstr(f->why[f->event_count - 1], "gate error_rate_increase failed"));
    fixture_wait(f, 600000);
    assert_int_equal(state_of(f, "orders").phase, PLAN_ROLLED_BACK);
    fixture_free(f);
}

static void at_0_percent_a_failed_gate_is_only_told(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, AUTO);
    traffic(f, 200, 200);
    pairs(f, 1000, 500);
    fixture_wait(f, 120000);
    assert_string_equal(stage_of(f), "shadow");
    assert_int_equal(state_of(f, "orders").phase, PLAN_RUNNING);
    assert_int_equal(count_events(f, "gate_failed"), 1);
    assert_int_equal(command(f, VERB_RESTART, "orders"), 0); /* the differences are mended: evidence begins anew */
    traffic(f, 200, 200);
    pairs(f, 1000, 0);
    fixture_wait(f, 61000);
    assert_string_equal(stage_of(f), "canary");
    fixture_free(f);
}

static void a_manual_plan_waits_for_a_person(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, MANUAL);
    const char *why = NULL;
    struct router_command promote = {.verb = VERB_PROMOTE, .route = "orders", .who = "operator:ann"};
    assert_int_equal(router_command(f->router, &promote, f->now_ms, f->wall_ms, &why), -EPERM);
    assert_non_null(strstr(why, "undecided"));
    traffic(f, 200, 200);
    pairs(f, 1000, 0);
    fixture_wait(f, 600000);
    assert_string_equal(stage_of(f), "shadow");
    assert_int_equal(count_events(f, "waiting_for_promote"), 1);
    assert_int_equal(command(f, VERB_PROMOTE, "orders"), 0);
    assert_string_equal(stage_of(f), "canary");
    assert_string_equal(f->who[f->event_count - 1], "operator:ann");

    traffic(f, 4000, 500);
    fixture_wait(f, 5000);
    assert_int_equal(state_of(f, "orders").phase, PLAN_RUNNING); /* a person decides */
    assert_int_equal(count_events(f, "gate_failed"), 1);
    assert_int_equal(router_command(f->router, &promote, f->now_ms, f->wall_ms, &why), -EPERM);
    assert_non_null(strstr(why, "failed"));
    assert_int_equal(command_force(f, "orders"), 0);
    assert_string_equal(stage_of(f), "half");
    fixture_free(f);
}

static void a_stage_may_ask_for_a_person(void **state)
{
    (void)state;
    struct fixture *f =
        fixture_new(1, PLAN_HEAD "    promotion: auto\n"
                                 "    stages:\n"
                                 "      - { name: a, percent: 0, shadow: 100, hold: 1s, confirm: true }\n"
                                 "      - { name: b, percent: 10, hold: 1s }\n");
    traffic(f, 200, 200);
    pairs(f, 1000, 0);
    fixture_wait(f, 10000);
    assert_int_equal(state_of(f, "orders").stage, 0);
    assert_int_equal(count_events(f, "waiting_for_promote"), 1);
    assert_int_equal(command(f, VERB_PROMOTE, "orders"), 0);
    assert_int_equal(state_of(f, "orders").stage, 1);
    fixture_free(f);
}

static void a_hold_does_not_run_in_pause_or_passthrough(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, AUTO);
    traffic(f, 200, 200);
    pairs(f, 1000, 0);
    fixture_wait(f, 30000);
    assert_int_equal(command(f, VERB_PAUSE, "orders"), 0);
    fixture_wait(f, 600000);
    assert_int_equal(command(f, VERB_RESUME, "orders"), 0);
    (void)router_passthrough(f->router, PASSTHROUGH_API, true, "operator:ann", NULL, f->wall_ms);
    fixture_wait(f, 600000);
    (void)router_passthrough(f->router, PASSTHROUGH_API, false, "operator:ann", NULL, f->wall_ms);
    fixture_wait(f, 30000 - TICK_MS);
    assert_string_equal(stage_of(f), "shadow");
    fixture_wait(f, TICK_MS);
    assert_string_equal(stage_of(f), "canary");
    fixture_free(f);
}

static void a_trip_begins_the_hold_again(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(
        1, YAML_HEAD "  - name: orders\n"
                     "    match: { path: /orders/** }\n"
                     "    sticky: [ { header: X-User-Id } ]\n"
                     "    promotion: auto\n"
                     "    gates: { min_requests: 100, error_rate_increase: off, p95_increase: off, "
                     "mismatch_rate: off }\n"
                     "    breaker: { consecutive_errors: 5, cooldown: 1s, trial_requests: 1 }\n"
                     "    stages: [ { name: canary, percent: 50, hold: 60s }, { name: all, percent: 100 } ]\n");
    traffic(f, 1000, 200);
    fixture_wait(f, 50000);
    traffic(f, 20, 500);
    fixture_wait(f, 2000);
    assert_int_equal(state_of(f, "orders").breaker, BREAKER_HALF_OPEN);
    assert_int_equal(state_of(f, "orders").effective, 0);
    fixture_wait(f, 100000);
    assert_string_equal(stage_of(f), "canary"); /* no time counts while new has no live traffic */
    traffic(f, 20, 200);
    fixture_wait(f, TICK_MS);
    assert_int_equal(state_of(f, "orders").breaker, BREAKER_CLOSED);
    fixture_wait(f, 9000); /* nor before the tenth step of its way back */
    fixture_wait(f, 59000);
    assert_string_equal(stage_of(f), "canary");
    fixture_wait(f, 2000);
    assert_string_equal(stage_of(f), "all");
    fixture_free(f);
}

static void promoting_past_an_open_breaker_takes_force(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(
        1, YAML_HEAD "  - name: orders\n"
                     "    match: { path: /orders/** }\n"
                     "    sticky: [ { header: X-User-Id } ]\n"
                     "    gates: { min_requests: 1, error_rate_increase: off, p95_increase: off, "
                     "mismatch_rate: off }\n"
                     "    breaker: { consecutive_errors: 5 }\n"
                     "    stages: [ { name: canary, percent: 50, hold: 60s }, { name: all, percent: 100 } ]\n");
    const char *why = NULL;
    struct router_command promote = {.verb = VERB_PROMOTE, .route = "orders", .who = "operator:ann"};
    traffic(f, 100, 500);
    fixture_wait(f, TICK_MS);
    assert_int_equal(router_command(f->router, &promote, f->now_ms, f->wall_ms, &why), -EPERM);
    assert_non_null(strstr(why, "breaker"));
    promote.force = true;
    assert_int_equal(router_command(f->router, &promote, f->now_ms, f->wall_ms, &why), 0);
    assert_int_equal(state_of(f, "orders").effective, 0); /* the breaker still stands */
    fixture_free(f);
}

static void verbs_say_what_is_wrong(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, AUTO);
    const char *why = NULL;
    struct router_command order = {.verb = VERB_PAUSE, .route = "nothing", .who = "x"};
    assert_int_equal(router_command(f->router, &order, f->now_ms, f->wall_ms, &why), -ENOENT);
    order.route = NULL;
    assert_int_equal(router_command(f->router, &order, f->now_ms, f->wall_ms, &why), -ENOENT);
    order.verb = (enum router_verb)99;
    assert_int_equal(router_command(f->router, &order, f->now_ms, f->wall_ms, &why), -EINVAL);
    assert_non_null(why);
    uint64_t revision = router_revision(f->router);
    uint32_t events = f->event_count;
    assert_int_equal(command_percent(f, "orders", SHARE_ALL + 1), -EINVAL);
    assert_int_equal(router_revision(f->router), revision);
    assert_int_equal(f->event_count, events);
    fixture_free(f);
}

static void an_event_says_who_why_from_and_to(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, AUTO);
    assert_int_equal(command_percent(f, "orders", 1234), 0);
    json_t *history = router_history(f->router, "orders");
    json_t *event = json_array_get(history, json_array_size(history) - 1);
    char *text = json_dumps(event, JSON_SORT_KEYS | JSON_REAL_PRECISION(10));
    assert_string_equal(
        text,
        "{\"at_ms\": 1700000000000, \"evidence\": null, \"from\": {\"percent\": 0, \"phase\": \"running\", \"stage\": "
        "\"shadow\"}, \"route\": \"orders\", \"sequence\": 2, \"to\": {\"percent\": 12.34, \"phase\": "
        "\"paused\", \"stage\": \"canary\"}, \"what\": \"set_percent\", \"who\": \"operator:ann\", "
        "\"why\": \"no reason given\"}");
    free(text);
    json_decref(history);
    struct router_command order = {
        .verb = VERB_RESTART, .route = "orders", .who = "operator:\xff", .reason = "\xfe not UTF-8"};
    const char *why;
    assert_int_equal(router_command(f->router, &order, f->now_ms, f->wall_ms, &why), 0);
    history = router_history(f->router, NULL);
    event = json_array_get(history, json_array_size(history) - 1);
    assert_string_equal(json_string_value(json_object_get(event, "who")), "operator:\xef\xbf\xbd");
    json_decref(history);
    history = router_history(f->router, "nothing");
    assert_int_equal(json_array_size(history), 0);
    json_decref(history);
    fixture_free(f);
}

static void the_history_keeps_the_newest_200(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, AUTO);
    for (int i = 0; i < 300; i++)
        assert_int_equal(command(f, i % 2 == 0 ? VERB_PAUSE : VERB_RESUME, "orders"), 0);
    json_t *history = router_history(f->router, NULL);
    assert_int_equal(json_array_size(history), 200);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(history, 199), "sequence")), 301);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(history, 0), "sequence")), 102);
    json_decref(history);
    fixture_free(f);
}

/* ---- reloads ---- */

static void counters_and_plan_go_on_over_a_reload(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, AUTO);
    struct request r;
    request_init(&r, "GET", "/orders");
    struct decision d = decide_on(f, 0, &r); /* ends after the reload */
    struct router_view *view = f->view;
    router_view_ref(view);
    traffic(f, 150, 200);
    pairs(f, 1000, 0);
    fixture_wait(f, 30000);
    fixture_configure(f, AUTO);
    assert_int_equal(f->released, 0); /* a view still reads the former file */
    struct outcome outcome = {.kind = OUTCOME_OK, .status = 200, .client_status = 200, .latency_us = 1};
    router_observe(view, 0, &d, &outcome);
    router_view_unref(view);
    assert_int_equal(f->released, 1);
    struct route_counters sum;
    assert_true(router_counters(f->router, "orders", &sum));
    assert_int_equal(sum.side[SIDE_LEGACY].requests, 151);
    assert_int_equal(sum.in_flight, 0);
    fixture_wait(f, 30000);
    assert_string_equal(stage_of(f), "canary");
    assert_int_equal(count_events(f, "reload"), 0); /* nothing had changed */
    fixture_free(f);
}

static void an_edited_plan_is_told(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, AUTO);
    assert_int_equal(command_force(f, "orders"), 0);
    fixture_configure(f, PLAN_HEAD
                      "    stages: [ { name: a, percent: 0, hold: 1s }, { name: b, percent: 5, hold: 1s } ]\n");
    assert_string_equal(last_event(f), "reload");
    assert_string_equal(f->who[f->event_count - 1], "config");
    assert_string_equal(stage_of(f), "b");
    assert_int_equal(state_of(f, "orders").percent, 500);
    fixture_free(f);
}

static void a_route_that_comes_back_begins_where_it_was(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, AUTO);
    assert_int_equal(command_force(f, "orders"), 0);
    assert_int_equal(command(f, VERB_ROLLBACK, "orders"), 0);
    fixture_configure(f, YAML_HEAD "  - { name: other, match: { path: /x }, percent: 1 }\n");
    assert_false(router_counters(f->router, "orders", &(struct route_counters){0}));
    fixture_configure(f, YAML_HEAD "  - { name: orders, match: { path: /x }, percent: 50 }\n");
    assert_int_equal(state_of(f, "orders").phase, PLAN_ROLLED_BACK); /* not the file's 50 % */
    fixture_free(f);
}

static void routes_keep_their_state_in_any_order(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, YAML_HEAD "  - { name: a, match: { path: /a }, percent: 1 }\n"
                                                 "  - { name: b, match: { path: /b }, percent: 2 }\n");
    assert_int_equal(command_percent(f, "a", 700), 0);
    assert_int_equal(command_percent(f, "b", 800), 0);
    fixture_configure(f, YAML_HEAD "  - { name: c, match: { path: /c }, percent: 3 }\n"
                                   "  - { name: b, match: { path: /b }, percent: 2 }\n"
                                   "  - { name: a, match: { path: /a }, percent: 1 }\n");
    assert_int_equal(state_of(f, "a").percent, 700);
    assert_int_equal(state_of(f, "b").percent, 800);
    assert_int_equal(state_of(f, "c").percent, 300);
    struct request r;
    request_init(&r, "GET", "/a");
    assert_string_equal(decide_on(f, 0, &r).route->name, "a");
    assert_int_equal(decide_on(f, 0, &r).share, 700);
    fixture_free(f);
}

static void a_hundred_reloads_leave_nothing_behind(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2, AUTO);
    while (f->config_count < FIXTURE_CONFIGS) {
        traffic(f, 10, 200);
        fixture_configure(f, f->config_count % 2 == 0 ? AUTO : MANUAL);
        assert_int_equal(f->released, f->config_count - 1);
    }
    fixture_free(f);
}

/* ---- no share grows by itself ---- */

static bool may_raise(const char *what)
{
    static const char *const raising[] = {"promote", "resume", "set_percent", "restart"};
    for (int i = 0; i < 4; i++)
        if (strcmp(what, raising[i]) == 0)
            return true;
    return false;
}

/*
 * Random traffic, verbs, reloads, passthrough and time. Whenever the share has grown, the last event is one that may do
 * so; and when that event is the plan's own, all gates passed in the former stage.
 */
static void no_share_grows_without_a_pass_or_a_person(void **state)
{
    (void)state;
    static const char *const files[] = {
        AUTO, MANUAL,
        PLAN_HEAD
        "    promotion: auto\n    stages: [ { name: canary, percent: 20, hold: 1s }, { name: all, percent: 90 } ]\n",
        PLAN_HEAD "    promotion: auto\n    stages: [ { name: x, percent: 5, hold: 1s }, { name: half, percent: 60, "
                  "hold: 1s } ]\n"};
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct fixture *f = fixture_new(2, AUTO);
        uint64_t random = seed * 1234567;
        uint32_t grown = 0;
        for (int step = 0; step < 3000; step++) {
            uint32_t before = state_of(f, "orders").percent;
            uint32_t events = f->event_count;
            uint64_t dice = next_random(&random);
            switch (dice % 16) {
            case 0:
                (void)command(f, (enum router_verb)(dice / 16 % 7 == VERB_SET_PERCENT ? VERB_PAUSE : dice / 16 % 7),
                              "orders");
                break;
            case 1:
                (void)command_percent(f, "orders", (uint32_t)(dice / 16 % 10001));
                break;
            case 2:
                (void)command(f, VERB_RESUME, "orders");
                break;
            case 3:
                if (f->config_count < FIXTURE_CONFIGS && dice / 16 % 8 == 0)
                    fixture_configure(f, files[dice / 128 % 4]);
                break;
            case 4:
                (void)router_passthrough(f->router, PASSTHROUGH_API, dice / 16 % 4 == 0, "operator:ann", NULL,
                                         f->wall_ms);
                break;
            case 5:
                pairs(f, 1000, dice / 16 % 40 == 0 ? 100 : 0);
                break;
            case 6:
            case 7:
                traffic(f, 200, dice / 16 % 50 == 0 ? 500 : 200);
                break;
            case 8:
                fixture_skip(f, 61000);
                break;
            default:
                fixture_wait(f, 1000);
                break;
            }
            uint32_t after = state_of(f, "orders").percent;
            if (after <= before)
                continue;
            grown++;
            assert_true(f->event_count > events);
            assert_true(may_raise(last_event(f)));
            if (strcmp(last_event(f), "promote") == 0 && strcmp(f->who[f->event_count - 1], "plan") == 0)
                assert_string_equal(f->why[f->event_count - 1], "all gates passed for the whole hold");
            else
                assert_string_equal(f->who[f->event_count - 1], "operator:ann");
        }
        assert_true(grown > 10);
        fixture_free(f);
    }
}

static void a_new_router_has_no_view(void **state)
{
    (void)state;
    struct fixture *f = fixture_empty(1);
    assert_null(router_publish(f->router));
    assert_false(router_tick(f->router, f->now_ms, f->wall_ms));
    struct request r;
    struct decision d;
    char sentence[64];
    request_init(&r, "GET", "/");
    router_explain(f->router, &r.facts, &d, sentence, sizeof(sentence));
    assert_non_null(strstr(sentence, "No configuration"));
    json_t *status = router_status(f->router, f->now_ms, f->wall_ms);
    assert_non_null(status);
    json_decref(status);
    fixture_free(f);
}

/* What is no state of the router stands in its trail all the same, numbered with the rest, and is saved. */
static void a_note_is_an_event_and_saved(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, AUTO);
    uint64_t revision = router_revision(f->router);
    router_note(f->router, "orders", "report_forgotten", "operator:ann", NULL, f->wall_ms);
    assert_string_equal(last_event(f), "report_forgotten");
    assert_string_equal(f->who[f->event_count - 1], "operator:ann");
    assert_string_equal(f->why[f->event_count - 1], "no reason given");
    assert_true(router_revision(f->router) > revision);
    json_t *history = router_history(f->router, "orders");
    json_t *newest = json_array_get(history, json_array_size(history) - 1);
    assert_string_equal(json_string_value(json_object_get(newest, "what")), "report_forgotten");
    json_decref(history);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_advances_on_a_pass_for_the_whole_hold),
        cmocka_unit_test(evidence_of_one_stage_does_not_serve_the_next),
        cmocka_unit_test(a_failed_gate_rolls_an_automatic_plan_back),
        cmocka_unit_test(at_0_percent_a_failed_gate_is_only_told),
        cmocka_unit_test(a_manual_plan_waits_for_a_person),
        cmocka_unit_test(a_stage_may_ask_for_a_person),
        cmocka_unit_test(a_hold_does_not_run_in_pause_or_passthrough),
        cmocka_unit_test(a_note_is_an_event_and_saved),
        cmocka_unit_test(a_trip_begins_the_hold_again),
        cmocka_unit_test(promoting_past_an_open_breaker_takes_force),
        cmocka_unit_test(verbs_say_what_is_wrong),
        cmocka_unit_test(an_event_says_who_why_from_and_to),
        cmocka_unit_test(the_history_keeps_the_newest_200),
        cmocka_unit_test(counters_and_plan_go_on_over_a_reload),
        cmocka_unit_test(an_edited_plan_is_told),
        cmocka_unit_test(a_route_that_comes_back_begins_where_it_was),
        cmocka_unit_test(routes_keep_their_state_in_any_order),
        cmocka_unit_test(a_hundred_reloads_leave_nothing_behind),
        cmocka_unit_test(no_share_grows_without_a_pass_or_a_person),
        cmocka_unit_test(a_new_router_has_no_view),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
