/* What survives a restart: everything router_save() writes, and nothing it did not. */
#include "fixture.h"

#define ROUTES                                                                                                         \
    YAML_HEAD                                                                                                          \
    "  - name: orders\n"                                                                                               \
    "    match: { path: /orders/** }\n"                                                                                \
    "    sticky: [ { header: X-User-Id } ]\n"                                                                          \
    "    promotion: auto\n"                                                                                            \
    "    gates: { min_requests: 100, error_rate_increase: 50%, p95_increase: off, mismatch_rate: 5% }\n"               \
    "    breaker: { consecutive_errors: 5, error_rate: off, error_rate_increase: off, p95_ratio: off, cooldown: 30s "  \
    "}\n"                                                                                                              \
    "    stages:\n"                                                                                                    \
    "      - { name: shadow, percent: 0, shadow: 100, hold: 60s }\n"                                                   \
    "      - { name: canary, percent: 50, shadow: 100, hold: 60s }\n"                                                  \
    "      - { name: all, percent: 100, hold: 60s }\n"                                                                 \
    "  - { name: rest, match: { path: /rest }, percent: 25 }\n"

/* Two stages, both mirrored only, each left by a person. */
#define BY_HAND                                                                                                        \
    YAML_HEAD                                                                                                          \
    "  - name: orders\n"                                                                                               \
    "    match: { path: /orders/** }\n"                                                                                \
    "    sticky: [ { header: X-User-Id } ]\n"                                                                          \
    "    breaker: off\n    promotion: manual\n"                                                                        \
    "    gates: { min_requests: 10, error_rate_increase: off, p95_increase: off, mismatch_rate: 5% }\n"                \
    "    stages: [ { name: a, percent: 0, shadow: 100, hold: 1s }, { name: b, percent: 0, shadow: 100, hold: 1s } ]\n"

static void everything_comes_back(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTES);
    assert_int_equal(command_force(f, "orders"), 0);
    assert_int_equal(command_percent(f, "rest", 1234), 0);
    (void)router_passthrough(f->router, PASSTHROUGH_API, true, "operator:ann", "why not", f->wall_ms);
    (void)router_passthrough(f->router, PASSTHROUGH_FILE, true, "file", NULL, f->wall_ms);
    traffic(f, 500, 200);
    f->pairs = (struct comparison_totals){400, 3};
    json_t *state1 = fixture_save(f);
    struct fixture *g = restarted(f, state1, 1000, ROUTES);
    json_t *state2 = router_save(g->router, g->now_ms, f->wall_ms);
    assert_true(json_equal(state1, state2)); /* with the same wall clock the two are the same */
    assert_int_equal(g->event_count, 0);
    assert_int_equal(state_of(g, "orders").percent, 5000);
    assert_int_equal(state_of(g, "rest").percent, 1234);
    assert_true(router_passthrough_is_on(g->router));
    assert_true(router_passthrough(g->router, PASSTHROUGH_API, false, "operator:ann", NULL,
                                   g->wall_ms)); /* the only one kept */
    json_decref(state1);
    json_decref(state2);
    fixture_free(f);
    fixture_free(g);
}

static void hold_and_evidence_go_on_counting(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTES);
    assert_int_equal(command_force(f, "orders"), 0);
    traffic(f, 400, 200);
    f->pairs = (struct comparison_totals){80, 0};
    fixture_wait(f, 50000);
    json_t *text = fixture_save(f);
    struct fixture *g = restarted(f, text, 86400000, ROUTES); /* a day away does not count as held */
    g->pairs = (struct comparison_totals){80, 0};             /* counted since this process began */
    fixture_wait(g, 10000 - TICK_MS);
    assert_int_equal(state_of(g, "orders").stage, 1);
    fixture_wait(g, 1000);
    assert_int_equal(state_of(g, "orders").stage, 2); /* 80 + 80 pairs and 400 requests were enough */
    json_decref(text);
    fixture_free(f);
    fixture_free(g);
}

static void an_open_breaker_stays_open_for_what_is_left(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTES);
    assert_int_equal(command_force(f, "orders"), 0);
    traffic(f, 100, 500);
    fixture_wait(f, TICK_MS);
    assert_int_equal(state_of(f, "orders").breaker, BREAKER_OPEN);
    fixture_wait(f, 10000);
    json_t *text = fixture_save(f);
    struct fixture *g = restarted(f, text, 5000, ROUTES);
    assert_int_equal(state_of(g, "orders").breaker, BREAKER_OPEN);
    assert_int_equal(state_of(g, "orders").trips, 1);
    for (uint64_t user = 0; user < 50; user++)
        assert_int_equal(drive(g, 0, user, 200, 200, 1).side, SIDE_LEGACY);
    fixture_wait(g, 15000 - TICK_MS);
    assert_int_equal(state_of(g, "orders").breaker, BREAKER_OPEN);
    fixture_wait(g, TICK_MS);
    assert_int_equal(state_of(g, "orders").breaker, BREAKER_HALF_OPEN);

    json_t *half = fixture_save(g); /* half open comes back open, with a trial at once */
    struct fixture *h = restarted(g, half, 0, ROUTES);
    assert_int_equal(state_of(h, "orders").breaker, BREAKER_OPEN);
    fixture_wait(h, TICK_MS);
    assert_int_equal(state_of(h, "orders").breaker, BREAKER_HALF_OPEN);

    struct fixture *back = fixture_empty(1); /* a wall clock that went back */
    char *why = NULL;
    assert_true(router_restore(back->router, text, 1, 1000, &why));
    back->last_sequence = f->last_sequence;
    fixture_configure(back, ROUTES);
    assert_int_equal(state_of(back, "orders").breaker, BREAKER_OPEN);
    fixture_skip(back, 20000);
    assert_int_equal(state_of(back, "orders").breaker, BREAKER_HALF_OPEN);
    json_decref(text);
    json_decref(half);
    fixture_free(f);
    fixture_free(g);
    fixture_free(h);
    fixture_free(back);
}

static void rolled_back_comes_back_rolled_back(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTES);
    assert_int_equal(command(f, VERB_ROLLBACK, "orders"), 0);
    assert_int_equal(command(f, VERB_ROLLBACK, "rest"), 0);
    json_t *text = fixture_save(f);
    struct fixture *g = restarted(f, text, 1000, ROUTES);
    assert_int_equal(state_of(g, "orders").phase, PLAN_ROLLED_BACK);
    assert_int_equal(state_of(g, "rest").phase, PLAN_ROLLED_BACK);
    assert_int_equal(state_of(g, "rest").percent, 0);
    json_decref(text);
    fixture_free(f);
    fixture_free(g);
}

static void an_edited_file_meets_the_saved_plan_as_a_reload_does(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTES);
    assert_int_equal(command_force(f, "orders"), 0);
    json_t *text = fixture_save(f);
    struct fixture *g = fixture_empty(1);
    char *why = NULL;
    assert_true(router_restore(g->router, text, 1, f->wall_ms, &why));
    g->last_sequence = f->last_sequence;
    fixture_configure(g, YAML_HEAD "  - name: orders\n    match: { path: /orders }\n"
                                   "    stages: [ { name: canary, percent: 80 }, { name: all, percent: 100 } ]\n"
                                   "  - { name: rest, match: { path: /rest }, percent: 30 }\n");
    assert_int_equal(state_of(g, "orders").stage, 0);
    assert_int_equal(state_of(g, "orders").percent, 5000); /* not up to 80 % */
    assert_int_equal(state_of(g, "rest").percent, 3000);   /* a fixed share follows the file */
    assert_int_equal(count_events(g, "reload"), 1);
    json_decref(text);
    fixture_free(f);
    fixture_free(g);
}

static void routes_not_in_the_file_are_kept_for_later(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTES);
    assert_int_equal(command_percent(f, "rest", 1234), 0);
    json_t *text = fixture_save(f);
    struct fixture *g = fixture_empty(1);
    char *why = NULL;
    assert_true(router_restore(g->router, text, 1, f->wall_ms, &why));
    g->last_sequence = f->last_sequence;
    fixture_configure(g, YAML_HEAD "  - { name: other, match: { path: /o }, percent: 1 }\n");
    json_t *again = fixture_save(g);
    assert_non_null(json_object_get(json_object_get(again, "routes"), "rest"));
    struct fixture *h = restarted(g, again, 1000, ROUTES);
    assert_int_equal(state_of(h, "rest").percent, 1234);
    json_decref(text);
    json_decref(again);
    fixture_free(f);
    fixture_free(g);
    fixture_free(h);
}

static void the_revision_grows_with_changes_only(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTES);
    uint64_t revision = router_revision(f->router);
    traffic(f, 100, 200);
    fixture_wait(f, 10000);
    assert_int_equal(router_revision(f->router), revision);
    assert_int_equal(command(f, VERB_PAUSE, "orders"), 0);
    assert_true(router_revision(f->router) > revision);
    fixture_free(f);
}

static void restoring_after_the_first_configuration_is_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTES);
    json_t *text = fixture_save(f);
    char *why = NULL;
    assert_false(router_restore(f->router, text, f->now_ms, f->wall_ms, &why));
    assert_non_null(strstr(why, "before the first configuration"));
    free(why);
    json_decref(text);
    fixture_free(f);
}

/* ---- what version 2 added ---- */

#define FALLING                                                                                                        \
    YAML_HEAD                                                                                                          \
    "  - name: orders\n"                                                                                               \
    "    match: { path: /orders/** }\n"                                                                                \
    "    sticky: [ { header: X-User-Id } ]\n"                                                                          \
    "    promotion: auto\n"                                                                                            \
    "    on_failure: { to: previous, ramp: 90s }\n"                                                                    \
    "    gates: { min_requests: 10, error_rate_increase: off, p95_increase: off, mismatch_rate: 5% }\n"                \
    "    breaker: { consecutive_errors: 5, error_rate: off, error_rate_increase: off, p95_ratio: off, cooldown: 1s, "  \
    "trial_requests: 1, ramp: 100s }\n"                                                                                \
    "    stages:\n"                                                                                                    \
    "      - { name: canary, percent: 10, shadow: 100, hold: 60s, deadline: 1h, on_deadline: tell }\n"                 \
    "      - { name: half, percent: 50, shadow: 100, hold: 60s }\n"

static struct fixture *restarted_now(const struct fixture *before, uint64_t away_ms, const char *yaml)
{
    json_t *state = fixture_save(before);
    struct fixture *f = restarted(before, state, away_ms, yaml);
    json_decref(state);
    return f;
}

static void a_way_down_goes_on_for_what_is_left(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, FALLING);
    assert_int_equal(command_force(f, "orders"), 0);
    traffic(f, 100, 200);
    f->pairs = (struct comparison_totals){1000, 500};
    fixture_wait(f, 1100);
    assert_string_equal(last_event(f), "step_back");
    assert_int_equal(state_of(f, "orders").percent, 1000);
    assert_int_equal(state_of(f, "orders").steps_back, 1);
    fixture_skip(f, 30000);
    assert_int_equal(state_of(f, "orders").effective, 1000 + 4000 * 6 / 10);
    struct fixture *g = restarted_now(f, 20000, FALLING); /* the time away counts: two steps more */
    assert_int_equal(state_of(g, "orders").steps_back, 1);
    assert_int_equal(state_of(g, "orders").effective, 1000 + 4000 * 4 / 10);
    fixture_skip(g, 50000);
    assert_int_equal(state_of(g, "orders").effective, 1000);
    fixture_free(f);
    fixture_free(g);
}

static void a_way_back_up_goes_on_where_it_was(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, FALLING);
    assert_int_equal(command_force(f, "orders"), 0);
    traffic(f, 100, 500);
    fixture_wait(f, TICK_MS);
    assert_int_equal(state_of(f, "orders").breaker, BREAKER_OPEN);
    fixture_wait(f, 2000);
    traffic(f, 20, 200);
    fixture_wait(f, TICK_MS);
    assert_int_equal(state_of(f, "orders").breaker, BREAKER_CLOSED);
    fixture_skip(f, 35000);
    uint32_t share = state_of(f, "orders").effective;
    assert_true(share > 500 && share < 5000);
    struct fixture *g = restarted_now(f, 3600000, FALLING); /* nobody has seen it hold meanwhile */
    assert_int_equal(state_of(g, "orders").effective, share);
    assert_int_equal(state_of(g, "orders").percent, 5000);
    fixture_skip(g, 100000);
    assert_int_equal(state_of(g, "orders").effective, 5000);
    fixture_free(f);
    fixture_free(g);
}

static void frozen_and_waiting_come_back_as_they_were(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, FALLING);
    assert_int_equal(command(f, VERB_FREEZE, "orders"), 0);
    struct fixture *g = restarted_now(f, 1000, FALLING);
    assert_int_equal(state_of(g, "orders").phase, PLAN_FROZEN);
    assert_int_equal(state_of(g, "orders").percent, 1000);
    json_t *status = router_status(g->router, g->now_ms, g->wall_ms);
    const json_t *route = json_array_get(json_object_get(status, "routes"), 0);
    assert_non_null(strstr(json_string_value(json_object_get(route, "why_not")), "frozen until a person resumes it: "
                                                                                 "freeze by operator:ann at "
                                                                                 "2023-11-14 22:13 UTC (test)"));
    json_decref(status);
    fixture_free(f);
    fixture_free(g);

    f = fixture_new(1, YAML_HEAD "  - name: orders\n    match: { path: /o }\n    start: manual\n"
                                 "    stages: [ { name: all, percent: 100, shadow: 100 } ]\n");
    assert_int_equal(state_of(f, "orders").phase, PLAN_WAITING);
    assert_int_equal(state_of(f, "orders").shadow, 0);
    g = restarted_now(f, 1000, FALLING); /* without `start: manual` */
    assert_int_equal(state_of(g, "orders").phase, PLAN_WAITING);
    assert_int_equal(command(g, VERB_START, "orders"), 0);
    assert_int_equal(state_of(g, "orders").percent, 1000);
    fixture_free(f);
    fixture_free(g);
}

static void a_deadline_is_told_once_however_often_it_starts(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, FALLING);
    struct fixture *g = restarted_now(f, 3599000, FALLING); /* the wall clock counts, not the time it ran */
    fixture_skip(g, 500);
    assert_int_equal(count_events(g, "deadline"), 0);
    fixture_skip(g, 500);
    assert_int_equal(count_events(g, "deadline"), 1);
    struct fixture *h = restarted_now(g, 1000, FALLING);
    fixture_skip(h, 10000);
    assert_int_equal(count_events(h, "deadline"), 0);
    fixture_free(f);
    fixture_free(g);
    fixture_free(h);
}

/* As the first release wrote it. */
static const char version_1[] =
    "{\"version\": 1, \"sequence\": 17, \"passthrough\": [\"api\"], \"history\": [{\"sequence\": 17, \"at_ms\": "
    "1699999999000, \"route\": \"orders\", \"what\": \"promote\", \"who\": \"plan\", \"why\": \"all gates passed for "
    "the "
    "whole hold\", \"from\": null, \"to\": null}], \"routes\": {\"orders\": {\"phase\": \"running\", \"stage\": "
    "\"canary\", \"stage_index\": 1, \"stage_percent\": 5000, \"percent\": 5000, \"file_percent\": 0, "
    "\"entered_wall_ms\": 1699999999000, \"held_ms\": 12345, \"saved_wall_ms\": 1700000000000, \"breaker\": "
    "\"closed\", "
    "\"trips\": 1, \"cooldown_left_ms\": 0, \"evidence\": {\"legacy\": {\"judged\": 400, \"errors\": 1, \"sum_us\": "
    "400000, \"latency\": [[111, 400]]}, \"new\": {\"judged\": 300, \"errors\": 2, \"sum_us\": 300000, \"latency\": "
    "[[111, 300]]}, \"compared\": 70, \"mismatched\": 1}}}}";

/* What a person was told of a stage before the restart is not told again, and of the next stage it is. */
static void what_was_told_of_a_stage_is_not_told_again(void **state)
{
    (void)state;
    static const char *const told[] = {"gate_failed", "waiting_for_promote"};
    for (int i = 0; i < 2; i++) {
        struct fixture *f = fixture_new(1, BY_HAND);
        traffic(f, 20, 200);
        f->pairs = (struct comparison_totals){4000, i == 0 ? 2000 : 0};
        fixture_wait(f, 2100);
        assert_int_equal(count_events(f, told[i]), 1);
        struct fixture *g = restarted_now(f, 1000, BY_HAND);
        g->pairs = f->pairs;
        fixture_wait(g, 3000);
        assert_int_equal(g->event_count, 0);
        assert_int_equal(command_force(g, "orders"), 0);
        traffic(g, 20, 200);
        g->pairs = (struct comparison_totals){8000, i == 0 ? 4000 : 0};
        fixture_wait(g, 2100);
        assert_int_equal(count_events(g, told[i]), 1);
        fixture_free(f);
        fixture_free(g);
    }
}

static void the_first_release_s_state_is_read(void **state)
{
    (void)state;
    struct fixture *f = fixture_empty(1);
    char *why = NULL;
    json_t *old = json_loads(version_1, 0, NULL);
    assert_non_null(old);
    if (!router_restore(f->router, old, f->now_ms, f->wall_ms, &why))
        fail_msg("%s", why);
    f->last_sequence = 17;
    fixture_configure(f, ROUTES);
    assert_int_equal(state_of(f, "orders").phase, PLAN_RUNNING);
    assert_int_equal(state_of(f, "orders").stage, 1);
    assert_int_equal(state_of(f, "orders").percent, 5000);
    assert_int_equal(state_of(f, "orders").trips, 1);
    assert_int_equal(count_events(f, "route_added"), 1); /* only of "rest" */
    json_t *status = router_status(f->router, f->now_ms, f->wall_ms);
    const json_t *evidence = json_object_get(json_array_get(json_object_get(status, "routes"), 0), "evidence");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(evidence, "new"), "judged")), 300);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(evidence, "legacy"), "errors")), 1);
    assert_int_equal(json_integer_value(json_object_get(evidence, "compared")), 70);
    json_decref(status);
    json_t *now = fixture_save(f);
    assert_int_equal(json_integer_value(json_object_get(now, "version")), 2);
    json_decref(now);
    json_decref(old);
    fixture_free(f);
}

/* ---- damage ---- */

static json_t *rich_state(void)
{
    struct fixture *f = fixture_new(1, ROUTES);
    assert_int_equal(command_force(f, "orders"), 0);
    traffic(f, 100, 500);
    fixture_wait(f, 100);
    f->pairs = (struct comparison_totals){10, 1};
    (void)router_passthrough(f->router, PASSTHROUGH_SIGNAL, true, "signal:USR1", NULL, f->wall_ms);
    json_t *state = fixture_save(f);
    fixture_free(f);
    return state;
}

/* Whatever was restored must be a router one can use; refused, it must be as new and say why. */
static void try_to_use(const json_t *state)
{
    struct fixture *f = fixture_empty(1);
    char *why = NULL;
    if (router_restore(f->router, state, f->now_ms, f->wall_ms, &why)) {
        assert_null(why);
        const json_t *sequence = json_object_get(state, "sequence");
        f->last_sequence = (uint64_t)json_integer_value(sequence);
    } else {
        assert_non_null(why);
        assert_non_null(strstr(why, "state: "));
        assert_false(router_passthrough_is_on(f->router));
        free(why);
    }
    fixture_configure(f, ROUTES);
    for (int i = 0; i < 20; i++)
        (void)drive(f, 0, (uint64_t)i, 200, 500, 1000);
    fixture_skip(f, 100);
    fixture_skip(f, 100000);
    struct router_route_state orders = state_of(f, "orders");
    assert_true(orders.percent <= SHARE_ALL && orders.stage < 3);
    json_t *again = fixture_save(f);
    json_t *status = router_status(f->router, f->now_ms, f->wall_ms);
    assert_non_null(status);
    json_decref(status);
    json_decref(again);
    fixture_free(f);
}

static const char *const odd_values[] = {
    "null",
    "true",
    "-1",
    "0",
    "1",
    "10000",
    "10001",
    "9223372036854775807",
    "-9223372036854775808",
    "1.5",
    "1e308",
    "\"\"",
    "\"running\"",
    "\"fixed\"",
    "\"rolled_back\"",
    "\"half_open\"",
    "\"nonsense\"",
    "[]",
    "{}",
    "[[0,1]]",
    "[[464,1]]",
    "[[465,1]]",
    "[[-1,1]]",
    "[[0]]",
    "{\"phase\":\"running\"}",
    "[{}]",
    "[1,2,3]",
};

static uint32_t mutate_all(json_t *root, json_t *at);

static uint32_t mutate_place(json_t *root, json_t *parent, const char *key, size_t index)
{
    json_t *value = json_incref(key != NULL ? json_object_get(parent, key) : json_array_get(parent, index));
    uint32_t tried = 0;
    for (size_t i = 0; i < sizeof(odd_values) / sizeof(odd_values[0]); i++) {
        json_t *odd = json_loads(odd_values[i], JSON_DECODE_ANY, NULL);
        assert_non_null(odd);
        assert_int_equal(key != NULL ? json_object_set_new(parent, key, odd) : json_array_set_new(parent, index, odd),
                         0);
        try_to_use(root);
        tried++;
    }
    if (key != NULL) {
        (void)json_object_del(parent, key);
        try_to_use(root);
        tried++;
        assert_int_equal(json_object_set(parent, key, value), 0);
    } else {
        assert_int_equal(json_array_set(parent, index, value), 0);
    }
    tried += mutate_all(root, value);
    json_decref(value);
    return tried;
}

/* Every field of the state, each replaced by every odd value and left out once. */
static uint32_t mutate_all(json_t *root, json_t *at)
{
    uint32_t tried = 0;
    if (json_is_array(at)) {
        for (size_t i = 0; i < json_array_size(at) && i < 2; i++)
            tried += mutate_place(root, at, NULL, i);
    } else if (json_is_object(at)) {
        const char *keys[64];
        size_t count = 0;
        const char *key;
        json_t *value;
        json_object_foreach(at, key, value) keys[count++] = key;
        char *copies[64];
        for (size_t i = 0; i < count; i++)
            copies[i] = strdup(keys[i]);
        for (size_t i = 0; i < count; i++) {
            tried += mutate_place(root, at, copies[i], 0);
            free(copies[i]);
        }
    }
    return tried;
}

static void no_damaged_field_does_harm(void **state)
{
    (void)state;
    json_t *root = rich_state();
    assert_true(mutate_all(root, root) > 1000);
    try_to_use(root);
    json_decref(root);
}

static void what_is_not_an_object_is_refused(void **state)
{
    (void)state;
    try_to_use(NULL);
    for (size_t i = 0; i < sizeof(odd_values) / sizeof(odd_values[0]); i++) {
        json_t *odd = json_loads(odd_values[i], JSON_DECODE_ANY, NULL);
        try_to_use(odd);
        json_decref(odd);
    }
}

static void damage_is_named_by_its_place(void **state)
{
    (void)state;
    json_t *root = rich_state();
    struct fixture *f = fixture_empty(1);
    char *why = NULL;
    json_t *orders = json_object_get(json_object_get(root, "routes"), "orders");
    assert_int_equal(json_object_set_new(orders, "percent", json_integer(10001)), 0);
    assert_false(router_restore(f->router, root, f->now_ms, f->wall_ms, &why));
    assert_string_equal(why, "state: routes: orders: percent: expected a share from 0 to 10000");
    free(why);
    why = NULL;
    assert_int_equal(json_object_set_new(root, "version", json_integer(3)), 0);
    assert_false(router_restore(f->router, root, f->now_ms, f->wall_ms, &why));
    assert_string_equal(why, "state: version: 3 is of a later shunt, expected 1 to 2: start that one on it");
    free(why);
    assert_int_equal(json_object_set_new(root, "version", json_string("2")), 0);
    assert_false(router_restore(f->router, root, f->now_ms, f->wall_ms, &why));
    assert_string_equal(why, "state: version: expected 1 to 2");
    free(why);
    json_decref(root);
    fixture_free(f);
}

/* ---- no memory for JSON ---- */

static uint64_t allocations_left;

static void *failing_malloc(size_t size)
{
    if (allocations_left == 0)
        return NULL;
    allocations_left--;
    return malloc(size);
}

/* Everything that makes JSON, with memory for `count` pieces of it; true when that was enough. */
static bool run_short_of_memory(uint64_t count)
{
    struct fixture *f = fixture_new(1, ROUTES);
    json_t *full = fixture_save(f);
    allocations_left = count;
    json_set_alloc_funcs(failing_malloc, free);
    assert_int_equal(command_force(f, "orders"),
                     0); /* the change happens, and is told, with or without memory for its JSON */
    assert_int_equal(state_of(f, "orders").percent, 5000);
    assert_string_equal(last_event(f), "promote");
    traffic(f, 100, 500);
    fixture_skip(f, 100);
    assert_int_equal(state_of(f, "orders").breaker, BREAKER_OPEN);
    (void)router_passthrough(f->router, PASSTHROUGH_API, true, "operator:ann", "x", f->wall_ms);
    struct config *config = config_from(YAML_HEAD "  - { name: rest, match: { path: /rest }, percent: 25 }\n");
    f->config[f->config_count++] = config;
    assert_true(router_configure(f->router, config, f->now_ms, f->wall_ms));
    fixture_publish(f);
    json_t *state = router_save(f->router, f->now_ms, f->wall_ms);
    json_t *status = router_status(f->router, f->now_ms, f->wall_ms);
    json_t *history = router_history(f->router, NULL);
    json_set_alloc_funcs(malloc, free);
    struct fixture *g = fixture_empty(1);
    json_set_alloc_funcs(failing_malloc, free);
    char *why = NULL;
    bool restored = router_restore(g->router, full, g->now_ms, g->wall_ms, &why);
    bool enough = allocations_left > 0;
    json_set_alloc_funcs(malloc, free);
    assert_true(restored == (why == NULL));
    free(why);
    if (state != NULL) /* whole, or not at all */
        assert_int_equal(json_array_size(json_object_get(state, "passthrough")), 1);
    if (enough)
        assert_true(state != NULL && status != NULL && history != NULL && restored);
    json_decref(state);
    json_decref(status);
    json_decref(history);
    json_decref(full);
    fixture_free(f);
    fixture_free(g);
    return enough;
}

static void no_missing_memory_does_harm(void **state)
{
    (void)state;
    uint64_t count = 0;
    for (uint64_t step = 1; !run_short_of_memory(count); step = count > 300 ? 37 : 1)
        count += step;
    assert_true(count > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(hold_and_evidence_go_on_counting),
        cmocka_unit_test(an_open_breaker_stays_open_for_what_is_left),
        cmocka_unit_test(rolled_back_comes_back_rolled_back),
        cmocka_unit_test(an_edited_file_meets_the_saved_plan_as_a_reload_does),
        cmocka_unit_test(routes_not_in_the_file_are_kept_for_later),
        cmocka_unit_test(the_revision_grows_with_changes_only),
        cmocka_unit_test(restoring_after_the_first_configuration_is_refused),
        cmocka_unit_test(a_way_down_goes_on_for_what_is_left),
        cmocka_unit_test(a_way_back_up_goes_on_where_it_was),
        cmocka_unit_test(frozen_and_waiting_come_back_as_they_were),
        cmocka_unit_test(a_deadline_is_told_once_however_often_it_starts),
        cmocka_unit_test(what_was_told_of_a_stage_is_not_told_again),
        cmocka_unit_test(the_first_release_s_state_is_read),
        cmocka_unit_test(no_damaged_field_does_harm),
        cmocka_unit_test(what_is_not_an_object_is_refused),
        cmocka_unit_test(damage_is_named_by_its_place),
        cmocka_unit_test(no_missing_memory_does_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
