/* What time and evidence do to a plan: failures, ramps, deadlines, windows, approvals; the sentence why it stands. */
#include "fixture.h"

#include <errno.h>

#include "router/gate.h"

#define ROUTE                                                                                                          \
    YAML_HEAD                                                                                                          \
    "  - name: orders\n"                                                                                               \
    "    match: { path: /orders/** }\n"                                                                                \
    "    sticky: [ { header: X-User-Id } ]\n"                                                                          \
    "    breaker: off\n"                                                                                               \
    "    promotion: auto\n"                                                                                            \
    "    gates: { min_requests: 10, error_rate_increase: off, p95_increase: off, mismatch_rate: 1% }\n"
#define STAGES                                                                                                         \
    "    stages:\n"                                                                                                    \
    "      - { name: shadow, percent: 0, shadow: 100, hold: 60s }\n"                                                   \
    "      - { name: canary, percent: 10, shadow: 100, hold: 60s }\n"                                                  \
    "      - { name: half, percent: 50, shadow: 100, hold: 60s }\n"

static void pairs(struct fixture *f, uint64_t compared, uint64_t mismatched)
{
    f->pairs.compared += compared;
    f->pairs.mismatched += mismatched;
}

static void to_half(struct fixture *f)
{
    assert_int_equal(command_force(f, "orders"), 0);
    assert_int_equal(command_force(f, "orders"), 0);
    assert_int_equal(state_of(f, "orders").percent, 5000);
}

static json_t *newest_event(const struct fixture *f)
{
    json_t *history = router_history(f->router, "orders");
    json_t *event = json_incref(json_array_get(history, json_array_size(history) - 1));
    json_decref(history);
    return event;
}

/* ---- failures ---- */

static void a_failed_gate_takes_the_share_down_by_steps(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE "    on_failure: { to: zero, ramp: 90s }\n" STAGES);
    to_half(f);
    traffic(f, 100, 200);
    pairs(f, 1000, 500);
    fixture_wait(f, 1100);
    assert_string_equal(last_event(f), "rollback");
    assert_int_equal(state_of(f, "orders").phase, PLAN_ROLLED_BACK);
    assert_int_equal(state_of(f, "orders").percent, 0);
    assert_int_equal(state_of(f, "orders").effective, 4500);
    uint32_t on_new = 0;
    for (uint64_t user = 0; user < 1000; user++)
        on_new += drive(f, 0, user, 200, 200, 1000).side == SIDE_NEW;
    assert_true(on_new > 400 && on_new < 500); /* it is rolled back, and still on its way */
    uint64_t revision = router_revision(f->router);
    uint32_t last = 4500;
    for (int i = 0; i < 100; i++) {
        fixture_wait(f, 1000);
        uint32_t share = state_of(f, "orders").effective;
        assert_true(share <= last);
        if (share != last)
            assert_true(router_revision(f->router) > revision); /* saved, so that no step is taken back */
        revision = router_revision(f->router);
        last = share;
    }
    assert_int_equal(last, 0);
    assert_int_equal(drive(f, 0, 1, 200, 200, 1000).reason, REASON_ROLLED_BACK);
    fixture_free(f);
}

static void passthrough_ends_a_way_down(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE "    on_failure: { to: zero, ramp: 90s }\n" STAGES);
    to_half(f);
    traffic(f, 100, 200);
    pairs(f, 1000, 500);
    fixture_wait(f, 1100);
    (void)router_passthrough(f->router, PASSTHROUGH_API, true, "operator:ann", NULL, f->wall_ms);
    (void)router_passthrough(f->router, PASSTHROUGH_API, false, "operator:ann", NULL, f->wall_ms);
    assert_int_equal(state_of(f, "orders").effective, 0);
    fixture_free(f);
}

static void a_failed_gate_steps_back_until_it_has_been_tried_often_enough(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE "    on_failure: { to: previous, retries: 1 }\n" STAGES);
    to_half(f);
    traffic(f, 100, 200);
    pairs(f, 1000, 500);
    fixture_wait(f, 1100);
    assert_string_equal(last_event(f), "step_back");
    assert_int_equal(state_of(f, "orders").percent, 1000);
    assert_int_equal(state_of(f, "orders").phase, PLAN_RUNNING);
    traffic(f, 400, 200);
    pairs(f, 3000, 0);
    fixture_wait(f, 61000);
    assert_int_equal(state_of(f, "orders").percent, 5000); /* it passed canary again */
    assert_int_equal(state_of(f, "orders").steps_back, 1);
    pairs(f, 1000, 500);
    fixture_wait(f, 1100);
    assert_int_equal(state_of(f, "orders").phase, PLAN_ROLLED_BACK);
    fixture_free(f);
}

/* Whatever the route's errors are: who gets no answer has no service. */
static void availability_fails_by_what_is_no_error(void **state)
{
    (void)state;
    struct fixture *f =
        fixture_new(1, YAML_HEAD
                    "  - name: orders\n    match: { path: /orders/** }\n    sticky: [ { header: X-User-Id } ]\n"
                    "    breaker: off\n    promotion: auto\n    errors: [ 5xx, connect ]\n"
                    "    gates: { min_requests: 10, min_distinct_keys: 3, error_rate_increase: 5%, p95_increase: off,\n"
                    "             mismatch_rate: off, availability: 99% }\n" STAGES);
    to_half(f);
    for (uint64_t user = 0; user < 1000; user++)
        (void)drive(f, 0, user, 200, user % 3 == 0 ? 0 : 200, 1000); /* 0: reset, not named above */
    fixture_wait(f, 1100);
    assert_string_equal(last_event(f), "rollback");
    assert_non_null(strstr(f->why[f->event_count - 1], "gate availability failed: new answered 6"));
    fixture_free(f);
}

#define FEW_ROUTE                                                                                                      \
    YAML_HEAD "  - name: orders\n    match: { path: /** }\n    sticky: [ { header: X-User-Id } ]\n"                    \
              "    breaker: off\n    promotion: auto\n"                                                                \
              "    gates: { min_requests: 10, min_distinct_keys: 3, error_rate_increase: 5%, p95_increase: 20%,\n"     \
              "             mismatch_rate: 1% }\n" STAGES

/* Whose pairs differ is asked with the pairs themselves; a stage that begins starts with none. */
static void differences_of_one_client_do_not_fail(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, FEW_ROUTE);
    for (uint32_t i = 0; i < 50; i++)
        sketch_add(&f->pair_marks.error_keys, i); /* of the stage before */
    to_half(f);
    for (uint32_t i = 0; i < 50; i++)
        sketch_add(&f->pair_marks.keys, i);
    sketch_add(&f->pair_marks.paths, 1);
    sketch_add(&f->pair_marks.error_keys, 7);
    sketch_add(&f->pair_marks.error_paths, 1);
    pairs(f, 1000, 500);
    fixture_wait(f, 3000);
    assert_int_equal(state_of(f, "orders").percent, 5000);
    assert_non_null(strstr(state_of(f, "orders").gates->gate[GATE_MISMATCH_RATE].sentence,
                           "; but all of these come from 1 client and 1 path"));
    sketch_add(&f->pair_marks.error_keys, 8);
    sketch_add(&f->pair_marks.error_keys, 9);
    fixture_wait(f, 1100);
    assert_string_equal(last_event(f), "rollback");
    fixture_free(f);
}

/* Through workers, tally and evidence: a client's exchanges are in one part of the crowd all the way. */
static void one_slow_client_does_not_fail(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2, FEW_ROUTE);
    to_half(f);
    uint64_t slow = 0;
    while (drive(f, 0, slow, 200, 200, 1000).side == SIDE_LEGACY)
        slow++;
    for (uint64_t i = 0; i < 4000; i++) {
        (void)drive(f, (uint32_t)(i % 2), i % 500, 200, 200, 10000 + i % 1000);
        if (i % 10 == 0)
            (void)drive(f, (uint32_t)(i % 2), slow, 200, 200, 900000);
    }
    fixture_wait(f, 1100);
    assert_int_equal(state_of(f, "orders").percent, 5000);
    assert_non_null(strstr(state_of(f, "orders").gates->gate[GATE_P95_INCREASE].sentence,
                           "; but only by a few clients that are slow on new"));
    for (uint64_t i = 0; i < 2000; i++) {
        struct request r;
        char id[32];
        request_init(&r, "GET", "/orders");
        (void)snprintf(id, sizeof(id), "user-%llu", (unsigned long long)i % 500);
        request_add(&r, "X-User-Id", id);
        struct decision d = decide_on(f, 0, &r);
        observe(f, 0, &d, OUTCOME_OK, 200, d.side == SIDE_NEW ? 900000 : 10000);
    }
    fixture_wait(f, 1100);
    assert_string_equal(last_event(f), "rollback");
    assert_non_null(strstr(f->why[f->event_count - 1], "gate p95_increase failed"));
    fixture_free(f);
}

static void a_failed_gate_freezes(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE "    on_failure: { to: freeze }\n" STAGES);
    to_half(f);
    traffic(f, 100, 200);
    pairs(f, 1000, 500);
    fixture_wait(f, 1100);
    assert_int_equal(state_of(f, "orders").phase, PLAN_FROZEN);
    assert_int_equal(state_of(f, "orders").effective, 5000);
    assert_why_not(f, 0,
                   "the plan is frozen until a person resumes it: freeze by plan at 2023-11-14 22:13 UTC (gate "
                   "mismatch_rate failed: ");
    fixture_wait(f, 600000);
    assert_int_equal(count_events(f, "freeze"), 1);
    assert_int_equal(command(f, VERB_RESUME, "orders"), 0); /* judged anew, else it would freeze again at once */
    fixture_wait(f, 5000);
    assert_int_equal(state_of(f, "orders").phase, PLAN_RUNNING);
    fixture_free(f);
}

static void a_plan_may_tell_and_leave_it_to_a_person(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE "    on_failure: { to: tell }\n" STAGES);
    to_half(f);
    traffic(f, 100, 200);
    pairs(f, 1000, 500);
    fixture_wait(f, 10000);
    assert_int_equal(state_of(f, "orders").phase, PLAN_RUNNING);
    assert_int_equal(count_events(f, "gate_failed"), 1);
    assert_why_not(f, 0, "gate mismatch_rate has failed, and a person decides");
    fixture_free(f);
}

/* ---- what is told ---- */

static void a_transition_stands_with_its_evidence(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE STAGES);
    traffic(f, 100, 200);
    pairs(f, 3000, 0);
    fixture_wait(f, 61000);
    json_t *event = newest_event(f);
    const json_t *evidence = json_object_get(event, "evidence");
    assert_string_equal(json_string_value(json_object_get(event, "what")), "promote");
    assert_string_equal(json_string_value(json_object_get(evidence, "verdict")), "pass");
    assert_true(json_is_null(json_object_get(evidence, "decisive")));
    assert_int_equal(json_integer_value(json_object_get(evidence, "compared")), 3000);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(evidence, "legacy"), "judged")), 100);
    const json_t *gate = json_array_get(json_object_get(evidence, "gates"), 0);
    assert_string_equal(json_string_value(json_object_get(gate, "gate")), "mismatch_rate");
    assert_true(json_number_value(json_object_get(gate, "high")) < 0.01);
    assert_true(json_number_value(json_object_get(gate, "limit")) > 0.0099);
    assert_null(json_object_get(evidence, "forced"));
    json_decref(event);

    assert_int_equal(command(f, VERB_PROMOTE, "orders"), -EPERM);
    assert_int_equal(command_force(f, "orders"), 0);
    event = newest_event(f);
    evidence = json_object_get(event, "evidence");
    assert_true(json_is_true(json_object_get(evidence, "forced")));
    assert_string_equal(json_string_value(json_object_get(evidence, "verdict")), "undecided");
    assert_string_equal(json_string_value(json_object_get(evidence, "decisive")), "min_requests");
    json_decref(event);
    assert_int_equal(command(f, VERB_PAUSE, "orders"), 0);
    event = newest_event(f);
    assert_true(json_is_null(json_object_get(event, "evidence")));
    json_decref(event);
    fixture_free(f);
}

static void a_way_down_stands_in_the_event(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE "    on_failure: { to: previous, ramp: 90s }\n" STAGES);
    to_half(f);
    traffic(f, 100, 200);
    pairs(f, 1000, 500);
    fixture_wait(f, 1100);
    json_t *event = newest_event(f);
    char *to = json_dumps(json_object_get(event, "to"), JSON_SORT_KEYS);
    assert_string_equal(to, "{\"percent\": 10, \"phase\": \"running\", \"ramp\": {\"from\": 50, \"left_ms\": 90000}, "
                            "\"stage\": \"canary\"}");
    free(to);
    json_decref(event);
    json_t *route = route_status(f, 0);
    char *ramp = json_dumps(json_object_get(route, "ramp"), JSON_SORT_KEYS);
    assert_non_null(strstr(ramp, "\"from\": 50, \"left_ms\": 88"));
    assert_non_null(strstr(ramp, "\"to\": 10"));
    free(ramp);
    json_decref(route);
    assert_why_not(f, 0, "the share is 46.00 % and goes down to the stage's 10.00 % within 1 min 29 s");
    fixture_free(f);
}

/* ---- only what happens at the stage's share counts ---- */

static void what_happens_on_a_ramp_is_no_evidence(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE "    on_failure: { to: previous, ramp: 90s }\n" STAGES);
    to_half(f);
    traffic(f, 100, 200);
    pairs(f, 1000, 500);
    fixture_wait(f, 1100);
    traffic(f, 500, 200);
    pairs(f, 5000, 0);
    fixture_wait(f, 85000);
    json_t *route = route_status(f, 0);
    const json_t *evidence = json_object_get(route, "evidence");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(evidence, "new"), "judged")), 0);
    assert_int_equal(json_integer_value(json_object_get(evidence, "gathered_ms")), 0);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(route, "hold"), "elapsed_ms")), 0);
    json_decref(route);
    fixture_wait(f, 10000); /* the ramp is over */
    traffic(f, 500, 200);
    fixture_wait(f, 2000);
    route = route_status(f, 0);
    evidence = json_object_get(route, "evidence");
    assert_true(json_integer_value(json_object_get(json_object_get(evidence, "new"), "judged")) > 10);
    json_decref(route);
    fixture_free(f);
}

static void what_happens_in_passthrough_is_no_evidence(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE STAGES);
    to_half(f);
    traffic(f, 200, 200);
    fixture_wait(f, 1000);
    json_t *before = route_status(f, 0);
    (void)router_passthrough(f->router, PASSTHROUGH_API, true, "operator:ann", NULL, f->wall_ms);
    fixture_publish(f);
    traffic(f, 200, 200);
    fixture_wait(f, 1000);
    assert_why_not(f, 0, "passthrough is on");
    (void)router_passthrough(f->router, PASSTHROUGH_API, false, "operator:ann", NULL, f->wall_ms);
    json_t *after = route_status(f, 0);
    assert_true(json_equal(json_object_get(before, "evidence"), json_object_get(after, "evidence")));
    json_decref(before);
    json_decref(after);
    fixture_free(f);
}

/* ---- a process that was stopped ---- */

static uint64_t hold_elapsed_ms(const struct fixture *f)
{
    json_t *route = route_status(f, 0);
    json_int_t elapsed_ms = json_integer_value(json_object_get(json_object_get(route, "hold"), "elapsed_ms"));
    json_decref(route);
    return (uint64_t)elapsed_ms;
}

static void time_asleep_is_no_hold(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE STAGES);
    traffic(f, 100, 200);
    pairs(f, 3000, 0);
    fixture_wait(f, 2000);
    fixture_sleep(f, 3600000);
    fixture_wait(f, 1000);
    assert_int_equal(hold_elapsed_ms(f), 3000);
    assert_int_equal(state_of(f, "orders").gathered_ms, 3000);
    assert_int_equal(state_of(f, "orders").stage, 0);
    fixture_wait(f, 57000);
    assert_int_equal(state_of(f, "orders").stage, 1); /* and the hold goes on where it was */
    fixture_free(f);
}

static void time_asleep_is_no_step_of_a_way_down(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE "    on_failure: { to: zero, ramp: 90s }\n" STAGES);
    to_half(f);
    traffic(f, 100, 200);
    pairs(f, 1000, 500);
    fixture_wait(f, 1100);
    assert_int_equal(state_of(f, "orders").effective, 4500);
    fixture_sleep(f, 3600000);
    fixture_wait(f, 1000);
    assert_int_equal(state_of(f, "orders").effective, 4500);
    fixture_wait(f, 90000);
    assert_int_equal(state_of(f, "orders").effective, 0);
    fixture_free(f);
}

/* ---- deadlines ---- */

#define DEADLINE(action)                                                                                               \
    "    stages:\n"                                                                                                    \
    "      - { name: canary, percent: 10, shadow: 100, hold: 60s, deadline: 1h, on_deadline: " action " }\n"           \
    "      - { name: half, percent: 50, shadow: 100, hold: 60s, deadline: 2h, on_deadline: " action " }\n"

static void a_deadline_pauses(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE DEADLINE("pause"));
    json_t *route = route_status(f, 0);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(route, "deadline"), "at_ms")),
                     f->wall_ms + 3600000);
    assert_string_equal(json_string_value(json_object_get(json_object_get(route, "deadline"), "action")), "pause");
    json_decref(route);
    fixture_skip(f, 3599999);
    assert_int_equal(state_of(f, "orders").phase, PLAN_RUNNING);
    fixture_skip(f, 1);
    assert_int_equal(state_of(f, "orders").phase, PLAN_PAUSED);
    assert_int_equal(state_of(f, "orders").percent, 1000);
    assert_string_equal(last_event(f), "pause");
    assert_string_equal(f->who[f->event_count - 1], "plan");
    assert_string_equal(f->why[f->event_count - 1], "the deadline of stage canary is over");
    assert_why_not(
        f, 0,
        "the plan is paused until a person resumes it: pause by plan at 2023-11-14 23:13 UTC (the deadline of "
        "stage canary is over)");
    assert_int_equal(command(f, VERB_RESUME, "orders"), 0); /* who resumes has seen it: the stage has none any more */
    fixture_skip(f, 36000000);
    assert_int_equal(state_of(f, "orders").phase, PLAN_RUNNING);
    assert_int_equal(command_force(f, "orders"), 0);
    fixture_skip(f, 7200000);
    assert_int_equal(state_of(f, "orders").phase, PLAN_PAUSED); /* the next one has its own */
    fixture_free(f);
}

static void a_deadline_counts_in_pause_but_moves_nothing_frozen(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE DEADLINE("rollback"));
    assert_int_equal(command(f, VERB_PAUSE, "orders"), 0);
    fixture_skip(f, 3600000);
    assert_int_equal(state_of(f, "orders").phase, PLAN_ROLLED_BACK);
    fixture_free(f);

    f = fixture_new(1, ROUTE DEADLINE("rollback"));
    assert_int_equal(command(f, VERB_FREEZE, "orders"), 0);
    fixture_skip(f, 3600000);
    fixture_skip(f, 3600000);
    assert_int_equal(state_of(f, "orders").phase, PLAN_FROZEN);
    assert_int_equal(count_events(f, "deadline"), 1);
    fixture_free(f);
}

static void a_deadline_does_what_on_failure_says(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE "    on_failure: { to: previous }\n" DEADLINE("rollback"));
    assert_int_equal(command_force(f, "orders"), 0);
    fixture_skip(f, 7200000);
    assert_string_equal(last_event(f), "step_back");
    assert_int_equal(state_of(f, "orders").stage, 0);
    fixture_skip(f, 3600000); /* and the deadline of that stage has begun anew */
    assert_int_equal(state_of(f, "orders").phase, PLAN_ROLLED_BACK);
    fixture_free(f);
}

static void a_deadline_that_rolls_back_is_not_content_with_less(void **state)
{
    (void)state;
    static const char *const files[] = {
        ROUTE "    on_failure: { to: freeze }\n" DEADLINE("rollback"),
        ROUTE "    on_failure: { to: tell }\n" DEADLINE("rollback"),
    };
    for (int i = 0; i < 2; i++) {
        struct fixture *f = fixture_new(1, files[i]);
        fixture_skip(f, 3600000);
        assert_int_equal(state_of(f, "orders").phase, PLAN_ROLLED_BACK);
        fixture_free(f);
    }
}

static void a_deadline_may_only_be_told(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE DEADLINE("tell"));
    fixture_skip(f, 3600000);
    fixture_skip(f, 3600000);
    assert_int_equal(count_events(f, "deadline"), 1);
    assert_int_equal(state_of(f, "orders").phase, PLAN_RUNNING);
    json_t *route = route_status(f, 0);
    assert_true(json_is_null(json_object_get(route, "deadline")));
    json_decref(route);
    fixture_free(f);
}

static void a_deadline_passes_in_sleep(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE DEADLINE("pause"));
    fixture_sleep(f, 3600000);
    assert_int_equal(state_of(f, "orders").phase, PLAN_RUNNING);
    fixture_wait(f, TICK_MS);
    assert_int_equal(state_of(f, "orders").phase, PLAN_PAUSED);
    fixture_free(f);
}

/* ---- windows, freezes, approvals ---- */

/* 1700000000000 is 2023-11-14 22:13:20 UTC, a Tuesday. */
static void a_stage_is_left_only_at_its_times(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(
        1, YAML_HEAD "  - name: orders\n    match: { path: /orders/** }\n    sticky: [ { header: X-User-Id } ]\n"
                     "    breaker: off\n    promotion: auto\n"
                     "    gates: { min_requests: 10, error_rate_increase: off, p95_increase: off, mismatch_rate: 1%,\n"
                     "             only: \"Wed 09:00-16:00\" }\n" STAGES);
    traffic(f, 100, 200);
    pairs(f, 3000, 0);
    fixture_wait(f, 120000);
    assert_int_equal(state_of(f, "orders").stage, 0);
    assert_why_not(f, 0, "gate window is undecided: not now, only Wed 09:00-16:00");
    fixture_skip(f, 11 * 3600000); /* Wednesday 09:15 */
    assert_int_equal(state_of(f, "orders").stage, 1);
    fixture_free(f);
}

static void no_plan_advances_in_a_freeze_of_the_file(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, "freeze: [ \"2023-11-14 - 2023-11-15\" ]\n" ROUTE STAGES);
    traffic(f, 100, 200);
    pairs(f, 3000, 0);
    fixture_wait(f, 120000);
    assert_int_equal(state_of(f, "orders").stage, 0);
    assert_why_not(f, 0, "changes are frozen");
    assert_int_equal(command(f, VERB_PROMOTE, "orders"), -EPERM);
    assert_int_equal(command_force(f, "orders"), 0); /* a person may */
    assert_int_equal(command(f, VERB_ROLLBACK, "orders"), 0);
    fixture_free(f);
}

static void somebody_else_may_have_to_say_go(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(
        1, YAML_HEAD "  - name: orders\n    match: { path: /orders/** }\n    sticky: [ { header: X-User-Id } ]\n"
                     "    breaker: off\n    promotion: auto\n"
                     "    gates: { min_requests: 10, error_rate_increase: off, p95_increase: off, mismatch_rate: 1%,\n"
                     "             webhook: { url: \"http://127.0.0.1:1/go\" } }\n" STAGES);
    traffic(f, 100, 200);
    pairs(f, 3000, 0);
    fixture_wait(f, 120000);
    assert_int_equal(state_of(f, "orders").stage, 0);
    assert_true(f->asked > 100);
    assert_why_not(f, 0, "gate webhook is undecided: the webhook has not answered yet");
    assert_int_equal(command(f, VERB_PAUSE, "orders"), 0);
    uint32_t asked = f->asked;
    fixture_wait(f, 10000);
    assert_int_equal(f->asked, asked); /* a plan that stands asks nobody */
    assert_int_equal(command(f, VERB_RESUME, "orders"), 0);
    f->approval = (struct approval_answer){APPROVAL_GO, "200"};
    fixture_wait(f, 1000);
    assert_int_equal(state_of(f, "orders").stage, 1);
    fixture_free(f);
}

/* What a webhook answers may be any bytes: what is not UTF-8 is replaced, and nothing else is lost. */
static void any_bytes_of_a_webhook_can_be_shown_and_saved(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(
        1, YAML_HEAD "  - name: orders\n    match: { path: /orders/** }\n    sticky: [ { header: X-User-Id } ]\n"
                     "    breaker: off\n    promotion: auto\n"
                     "    gates: { min_requests: 10, error_rate_increase: off, p95_increase: off, mismatch_rate: 1%,\n"
                     "             webhook: { url: \"http://127.0.0.1:1/go\" } }\n" STAGES);
    f->approval = (struct approval_answer){APPROVAL_HOLD, "503: caf\xe9 \xff\xfe, ask Zo\xc3"};
    traffic(f, 100, 200);
    pairs(f, 3000, 0);
    fixture_wait(f, 61000);
    assert_why_not(f, 0, "the webhook says not yet: 503: caf\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd, ask Zo\xef\xbf\xbd");
    json_t *route = route_status(f, 0);
    const json_t *gates = json_object_get(json_object_get(route, "gates"), "gates");
    assert_int_equal(json_array_size(gates), GATES);
    json_decref(route);
    assert_int_equal(command_force(f, "orders"), 0);
    json_t *event = newest_event(f);
    const json_t *past = json_object_get(json_object_get(event, "evidence"), "past");
    assert_int_equal(json_array_size(past), 1);
    assert_non_null(strstr(json_string_value(json_array_get(past, 0)), "says not yet: 503: caf\xef\xbf\xbd "));
    json_decref(event);
    json_t *all = fixture_save(f);
    assert_true(json_is_array(json_object_get(all, "history")));
    json_decref(all);
    fixture_free(f);
}

/* ---- a stage's own words ---- */

static void a_stage_may_have_its_own_gates_and_promotion(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(
        1, ROUTE "    stages:\n"
                 "      - { name: shadow, percent: 0, shadow: 100, hold: 1s, gates: { mismatch_rate: 90% } }\n"
                 "      - { name: canary, percent: 10, shadow: 100, hold: 1s, promotion: manual }\n"
                 "      - { name: half, percent: 50, shadow: 100, hold: 1s }\n");
    traffic(f, 100, 200);
    pairs(f, 3000, 300); /* a tenth differs, which the route would not let pass */
    fixture_wait(f, 3000);
    assert_int_equal(state_of(f, "orders").stage, 1);
    traffic(f, 500, 200);
    pairs(f, 3000, 0);
    fixture_wait(f, 5000);
    assert_int_equal(state_of(f, "orders").stage, 1);
    assert_int_equal(count_events(f, "waiting_for_promote"), 1);
    assert_why_not(f, 0, "all gates pass and the hold is over: a person has to promote (promotion is manual)");
    assert_int_equal(command(f, VERB_PROMOTE, "orders"), 0);
    fixture_free(f);
}

/* ---- why it stands ---- */

static void the_sentence_says_what_is_missing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE "    start: manual\n" STAGES);
    assert_why_not(f, 0, "the file says `start: manual`: a person has to start the plan");
    assert_int_equal(command(f, VERB_START, "orders"), 0);
    fixture_wait(f, 10000);
    assert_why_not(f, 0, "gate min_requests is undecided: ");
    assert_why_not(f, 0, "; and 50 s of the hold are left");
    traffic(f, 100, 200);
    pairs(f, 3000, 0);
    fixture_wait(f, 3000);
    assert_why_not(f, 0, "all gates pass, and 47 s of the hold are left");
    assert_int_equal(command(f, VERB_ROLLBACK, "orders"), 0);
    assert_why_not(f, 0, "the plan is rolled back until a person resumes it: rollback by operator:ann");
    assert_int_equal(command(f, VERB_RESUME, "orders"), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(command_force(f, "orders"), 0);
    json_t *route = route_status(f, 0);
    assert_true(json_is_null(json_object_get(route, "why_not"))); /* done */
    json_decref(route);
    fixture_free(f);
}

static void a_gate_says_when_it_will_have_decided(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE STAGES);
    traffic(f, 100, 200);
    pairs(f, 200, 0);
    fixture_wait(f, 10000);
    json_t *route = route_status(f, 0);
    const json_t *gates = json_object_get(json_object_get(route, "gates"), "gates");
    size_t index;
    json_t *gate;
    json_array_foreach(gates, index, gate)
    {
        bool mismatch = strcmp(json_string_value(json_object_get(gate, "gate")), "mismatch_rate") == 0;
        const json_t *eta = json_object_get(gate, "eta_ms");
        if (mismatch) {
            assert_string_equal(json_string_value(json_object_get(gate, "verdict")), "undecided");
            assert_int_equal(json_integer_value(json_object_get(gate, "evidence")), 200);
            assert_true(json_number_value(json_object_get(gate, "confidence")) > 0.98);
            assert_true(json_integer_value(eta) > 10000 && json_integer_value(eta) < 200000);
        } else if (strcmp(json_string_value(json_object_get(gate, "gate")), "min_requests") == 0) {
            assert_int_equal(json_integer_value(eta), 0);
        }
    }
    json_decref(route);
    fixture_free(f);
}

/* With very many plans, each is judged within its second or so, but not all in one tick. */
static void many_plans_take_turns(void **state)
{
    (void)state;
    size_t length;
    char *yaml = NULL;
    FILE *text = open_memstream(&yaml, &length);
    assert_non_null(text);
    (void)fputs(YAML_HEAD, text);
    for (int i = 0; i < 100; i++)
        (void)fprintf(text,
                      "  - { name: r%d, match: { path: /r%d }, promotion: auto, breaker: off, gates: { min_requests: 1,"
                      " webhook: { url: \"http://127.0.0.1:1/go\" } },"
                      " stages: [ { percent: 10, hold: 1h }, { percent: 100 } ] }\n",
                      i, i);
    (void)fclose(text);
    struct fixture *f = fixture_new(1, yaml);
    f->asked = 0;
    fixture_wait(f, TICK_MS);
    assert_true(f->asked > 0 && f->asked < 50);
    fixture_wait(f, 1000 - TICK_MS);
    assert_int_equal(f->asked, 100);
    fixture_wait(f, 1000 + TICK_MS);
    assert_true(f->asked >= 200);
    free(yaml);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_gate_takes_the_share_down_by_steps),
        cmocka_unit_test(passthrough_ends_a_way_down),
        cmocka_unit_test(a_failed_gate_steps_back_until_it_has_been_tried_often_enough),
        cmocka_unit_test(availability_fails_by_what_is_no_error),
        cmocka_unit_test(differences_of_one_client_do_not_fail),
        cmocka_unit_test(one_slow_client_does_not_fail),
        cmocka_unit_test(a_failed_gate_freezes),
        cmocka_unit_test(a_plan_may_tell_and_leave_it_to_a_person),
        cmocka_unit_test(a_transition_stands_with_its_evidence),
        cmocka_unit_test(a_way_down_stands_in_the_event),
        cmocka_unit_test(what_happens_on_a_ramp_is_no_evidence),
        cmocka_unit_test(what_happens_in_passthrough_is_no_evidence),
        cmocka_unit_test(time_asleep_is_no_hold),
        cmocka_unit_test(time_asleep_is_no_step_of_a_way_down),
        cmocka_unit_test(a_deadline_pauses),
        cmocka_unit_test(a_deadline_counts_in_pause_but_moves_nothing_frozen),
        cmocka_unit_test(a_deadline_does_what_on_failure_says),
        cmocka_unit_test(a_deadline_that_rolls_back_is_not_content_with_less),
        cmocka_unit_test(a_deadline_may_only_be_told),
        cmocka_unit_test(a_deadline_passes_in_sleep),
        cmocka_unit_test(a_stage_is_left_only_at_its_times),
        cmocka_unit_test(no_plan_advances_in_a_freeze_of_the_file),
        cmocka_unit_test(somebody_else_may_have_to_say_go),
        cmocka_unit_test(any_bytes_of_a_webhook_can_be_shown_and_saved),
        cmocka_unit_test(a_stage_may_have_its_own_gates_and_promotion),
        cmocka_unit_test(the_sentence_says_what_is_missing),
        cmocka_unit_test(a_gate_says_when_it_will_have_decided),
        cmocka_unit_test(many_plans_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
