/* What the audit trail knows and the saved state does not is there again after the restart. */
#include "fixture.h"

#include "router/replay.h"

#define PLANS                                                                                                          \
    YAML_HEAD                                                                                                          \
    "  - name: orders\n"                                                                                               \
    "    match: { path: /orders/** }\n"                                                                                \
    "    sticky: [ { header: X-User-Id } ]\n"                                                                          \
    "    promotion: auto\n"                                                                                            \
    "    on_failure: { to: previous, ramp: 3s, retries: 2 }\n"                                                         \
    "    gates: { min_requests: 10, error_rate_increase: off, p95_increase: off, mismatch_rate: 5% }\n"                \
    "    breaker: { window: 1s, consecutive_errors: 3, min_distinct_keys: 0, error_rate: off, p95_ratio: off,\n"       \
    "               error_rate_increase: off, cooldown: 1s, trial_requests: 1, ramp: 2s, max_trips: 3 }\n"             \
    "    stages:\n"                                                                                                    \
    "      - { name: canary, percent: 10, shadow: 100, hold: 100ms }\n"                                                \
    "      - { name: half, percent: 50, shadow: 100, hold: 100ms, deadline: 20s, on_deadline: pause }\n"               \
    "      - { name: all, percent: 100, hold: 100ms }\n"                                                               \
    "  - name: rest\n    match: { path: /rest/** }\n    depends_on: [ { route: orders, stage: half } ]\n"              \
    "    promotion: manual\n    breaker: off\n"                                                                        \
    "    stages: [ { name: a, percent: 20, hold: 1h }, { name: b, percent: 40, hold: 1h } ]\n"                         \
    "  - { name: fixed, match: { path: /** }, percent: 25, breaker: off }\n"

static uint64_t sequence_of(const json_t *object)
{
    return (uint64_t)json_integer_value(json_object_get(object, "sequence"));
}

/* The process was killed `away_ms` ago, with `state` on the disk and `events` in the trail. Takes both. */
static struct fixture *replayed(const struct fixture *before, json_t *state, json_t *events, uint64_t away_ms,
                                const char *yaml)
{
    (void)state_replay(state, events);
    struct fixture *f = restarted(before, state, away_ms, yaml);
    json_decref(state);
    json_decref(events);
    return f;
}

static void assert_same(const struct fixture *a, const struct fixture *b, const char *route)
{
    struct router_route_state before = state_of(a, route);
    struct router_route_state after = state_of(b, route);
    assert_string_equal(plan_phase_name(after.phase), plan_phase_name(before.phase));
    assert_int_equal(after.stage, before.stage);
    assert_int_equal(after.percent, before.percent);
    assert_int_equal(after.trips, before.trips);
    assert_int_equal(after.steps_back, before.steps_back);
    assert_int_equal(after.breaker == BREAKER_CLOSED, before.breaker == BREAKER_CLOSED);
    assert_true(after.effective <= before.effective);
}

/* ---- anything may have happened ---- */

static void ask_new(struct fixture *f, uint16_t status)
{
    struct request r;
    char id[32];
    request_init(&r, "GET", "/orders/1");
    (void)snprintf(id, sizeof(id), "user-%llu", (unsigned long long)next_random(&f->random));
    request_add(&r, "X-User-Id", id);
    struct decision decision = decide_on(f, 0, &r);
    observe(f, 0, &decision, OUTCOME_OK, decision.side == SIDE_NEW ? status : 200, 1000);
}

static void something_happens(struct fixture *f)
{
    static const char *const routes[] = {"orders", "orders", "rest", "fixed"};
    static const enum router_verb verbs[] = {VERB_PAUSE,   VERB_RESUME, VERB_ROLLBACK,
                                             VERB_RESTART, VERB_FREEZE, VERB_RESET_BREAKER};
    uint64_t what = next_random(&f->random) >> 8;
    const char *route = routes[what % 4];
    uint16_t status = what / 4 % 3 == 0 ? 500 : 200;
    switch (what / 16 % 8) {
    case 0:
        (void)command(f, verbs[what / 128 % 6], route);
        break;
    case 1:
        (void)command_force(f, route);
        break;
    case 2:
        (void)command_percent(f, route, (uint32_t)(what / 128 % SHARE_ALL));
        break;
    case 3:
        (void)router_passthrough(f->router, PASSTHROUGH_API, what / 128 % 4 == 0, "operator:ann", "test", f->wall_ms);
        break;
    case 4: /* so that the walk does not end in a rollback */
        (void)command(f, VERB_RESTART, route);
        break;
    case 5:
        f->pairs.mismatched = f->pairs.compared + (what / 128 % 2 == 0 ? 50 : 0);
        f->pairs.compared += 100;
        fixture_wait(f, 1100);
        break;
    default:
        for (int i = 0; i < 30; i++)
            ask_new(f, status);
        fixture_wait(f, 25 + what / 128 % 40 * 25);
    }
}

static void whatever_happened_has_happened(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, PLANS);
    uint32_t behind = 0;
    for (int round = 0; round < 300; round++) {
        json_t *old = fixture_save(f);
        uint64_t sequence = sequence_of(old);
        for (uint64_t n = 1 + next_random(&f->random) % 3; n > 0; n--)
            something_happens(f);
        fixture_publish(f);
        behind += f->last_sequence > sequence;
        struct fixture *g = replayed(f, old, router_history(f->router, NULL), 0, PLANS);
        assert_same(f, g, "orders");
        assert_same(f, g, "rest");
        assert_same(f, g, "fixed");
        assert_int_equal(router_passthrough_is_on(g->router), router_passthrough_is_on(f->router));
        assert_int_equal(g->event_count, 0); /* nothing was edited */
        assert_int_equal(g->last_sequence, f->last_sequence);
        fixture_free(g);
        if (f->event_count > FIXTURE_EVENTS / 2)
            f->event_count = 0;
    }
    assert_true(behind > 150);
    fixture_free(f);
}

/* ---- one thing each ---- */

static void fill_rest(struct fixture *f)
{
    assert_int_equal(command_force(f, "orders"), 0);
    fixture_wait(f, TICK_MS);
    assert_string_equal(last_event(f), "dependency_met");
}

static void who_depends_falls_though_nobody_had_time_to_write_it_down(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, PLANS);
    fill_rest(f);
    json_t *old = fixture_save(f);
    assert_int_equal(command(f, VERB_ROLLBACK, "orders"), 0);
    assert_int_equal(state_of(f, "rest").phase, PLAN_ROLLED_BACK);
    json_t *events = router_history(f->router, NULL);
    assert_int_equal(json_array_remove(events, json_array_size(events) - 1), 0); /* that of rest */
    struct fixture *g = replayed(f, old, events, 0, PLANS);
    assert_int_equal(state_of(g, "orders").phase, PLAN_ROLLED_BACK);
    fixture_wait(g, TICK_MS);
    assert_int_equal(state_of(g, "rest").phase, PLAN_ROLLED_BACK);
    assert_int_equal(state_of(g, "rest").effective, 0);
    fixture_free(g);
    fixture_free(f);
}

static void the_last_trip_rolls_back_though_nobody_had_time_to_write_it_down(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, PLANS);
    fill_rest(f);
    json_t *old = NULL;
    for (int turn = 0; turn < 400 && state_of(f, "orders").phase == PLAN_RUNNING; turn++) {
        json_decref(old);
        old = fixture_save(f);
        for (int i = 0; i < 10; i++)
            ask_new(f, 500);
        fixture_wait(f, TICK_MS);
    }
    assert_int_equal(state_of(f, "orders").phase, PLAN_ROLLED_BACK);
    for (int lines = 1; lines <= 3; lines++) { /* breaker_open, rollback, and that of rest */
        json_t *events = router_history(f->router, NULL);
        for (int i = 3; i > lines; i--)
            assert_int_equal(json_array_remove(events, json_array_size(events) - 1), 0);
        struct fixture *g = replayed(f, json_deep_copy(old), events, 0, PLANS);
        fixture_wait(g, TICK_MS);
        assert_int_equal(state_of(g, "orders").phase, PLAN_ROLLED_BACK);
        assert_int_equal(state_of(g, "rest").phase, PLAN_ROLLED_BACK);
        assert_int_equal(g->event_count, 3 - lines);
        fixture_free(g);
    }
    json_decref(old);
    fixture_free(f);
}

static void a_route_falls_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, PLANS);
    fill_rest(f);
    json_t *old = fixture_save(f);
    assert_int_equal(command(f, VERB_ROLLBACK, "orders"), 0);
    struct fixture *g = replayed(f, old, router_history(f->router, NULL), 0, PLANS);
    fixture_wait(g, 2000);
    assert_int_equal(g->event_count, 0);
    fixture_free(g);
    fixture_free(f);
}

static void a_cooldown_and_a_way_down_are_whole_ones(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, PLANS);
    fill_rest(f);
    json_t *old = fixture_save(f);
    for (int i = 0; i < 40; i++)
        ask_new(f, 500);
    fixture_wait(f, TICK_MS);
    assert_int_equal(state_of(f, "orders").breaker, BREAKER_OPEN);
    struct fixture *g = replayed(f, old, router_history(f->router, NULL), 60000, PLANS);
    assert_int_equal(state_of(g, "orders").effective, 0);
    fixture_wait(g, 900);
    assert_int_equal(state_of(g, "orders").breaker, BREAKER_OPEN);
    fixture_wait(g, 200);
    assert_int_equal(state_of(g, "orders").breaker, BREAKER_HALF_OPEN);
    fixture_free(g);
    fixture_free(f);

    f = fixture_new(1, PLANS);
    fill_rest(f);
    old = fixture_save(f);
    f->pairs = (struct comparison_totals){1000, 500};
    fixture_wait(f, 1100);
    assert_int_equal(count_events(f, "step_back"), 1);
    uint32_t share = state_of(f, "orders").effective;
    assert_true(share > 1000);
    g = replayed(f, old, router_history(f->router, NULL), 0, PLANS);
    assert_true(state_of(g, "orders").effective > 1000);
    assert_true(state_of(g, "orders").effective <= share);
    fixture_skip(g, 3000);
    assert_int_equal(state_of(g, "orders").effective, 1000);
    fixture_free(g);
    fixture_free(f);
}

static void evidence_and_hold_begin_anew_with_a_stage(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, PLANS);
    for (int i = 0; i < 300; i++)
        ask_new(f, 200);
    json_t *old = fixture_save(f);
    assert_int_equal(command_force(f, "orders"), 0);
    struct fixture *g = replayed(f, old, router_history(f->router, NULL), 0, PLANS);
    json_t *status = router_status(g->router, g->now_ms, g->wall_ms);
    const json_t *route = json_array_get(json_object_get(status, "routes"), 0);
    const json_t *new = json_object_get(json_object_get(route, "evidence"), "new");
    assert_int_equal(json_integer_value(json_object_get(new, "judged")), 0);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(route, "hold"), "elapsed_ms")), 0);
    json_decref(status);
    fixture_free(g);
    fixture_free(f);
}

#define BY_HAND                                                                                                        \
    YAML_HEAD                                                                                                          \
    "  - name: orders\n    match: { path: /orders/** }\n    breaker: off\n    promotion: manual\n"                     \
    "    gates: { min_requests: 10, error_rate_increase: off, p95_increase: off, mismatch_rate: 5% }\n"                \
    "    stages: [ { name: a, percent: 0, shadow: 100, hold: 1s }, { name: b, percent: 0, shadow: 100, hold: 1s } ]\n"

/* The trail was written, the state was not: what it tells of the stage has been told. */
static void what_was_told_of_a_stage_is_not_told_again(void **state)
{
    (void)state;
    static const char *const told[] = {"gate_failed", "waiting_for_promote"};
    for (int i = 0; i < 2; i++) {
        struct fixture *f = fixture_new(1, BY_HAND);
        traffic(f, 100, 200);
        f->pairs = (struct comparison_totals){4000, i == 0 ? 2000 : 0};
        fixture_wait(f, 500);
        json_t *old = fixture_save(f);
        fixture_wait(f, 1600);
        assert_int_equal(count_events(f, told[i]), 1);
        struct fixture *g = replayed(f, old, router_history(f->router, NULL), 0, BY_HAND);
        g->pairs = f->pairs;
        traffic(g, 100, 200);
        fixture_wait(g, 3000);
        assert_int_equal(g->event_count, 0);
        fixture_free(g);
        fixture_free(f);
    }
}

static void a_state_that_knows_all_stays_as_it_is(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, PLANS);
    fill_rest(f);
    json_t *newest = fixture_save(f);
    json_t *copy = json_deep_copy(newest);
    json_t *events = router_history(f->router, NULL);
    assert_false(state_replay(newest, events));
    assert_true(json_equal(newest, copy));
    json_decref(events);
    json_decref(copy);
    json_decref(newest);
    fixture_free(f);
}

static void what_is_no_event_is_left_out(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, PLANS);
    static const char *const lines[] = {
        "7",
        "{}",
        "{\"sequence\":\"900\"}",
        "{\"sequence\":990,\"what\":\"x\",\"who\":null,\"why\":null,\"route\":\"orders\",\"from\":null,"
        "\"to\":{\"phase\":\"rolled_back\",\"stage\":\"all\",\"percent\":0}}",
        "{\"sequence\":901,\"at_ms\":1,\"what\":\"x\",\"who\":null,\"why\":null,\"route\":\"orders\",\"from\":null,"
        "\"to\":{\"phase\":\"running\",\"stage\":\"all\",\"percent\":101}}",
        "{\"sequence\":902,\"at_ms\":1,\"what\":\"x\",\"who\":null,\"why\":null,\"route\":null,\"from\":null,"
        "\"to\":{\"phase\":\"running\",\"stage\":\"all\",\"percent\":100}}",
        "{\"sequence\":903,\"at_ms\":1,\"what\":\"note\",\"who\":null,\"why\":null,\"route\":\"gone\",\"from\":null,"
        "\"to\":null}",
    };
    json_t *events = json_array();
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_int_equal(json_array_append_new(events, json_loads(lines[i], JSON_DECODE_ANY, NULL)), 0);
    struct fixture *g = replayed(f, fixture_save(f), events, 0, PLANS);
    assert_same(f, g, "orders");
    assert_int_equal(g->last_sequence, 903);
    fixture_free(g);
    fixture_free(f);
}

static void a_route_the_state_has_not_seen_is_taken_up(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, PLANS);
    json_t *old = fixture_save(f);
    (void)json_object_del(json_object_get(old, "routes"), "orders");
    (void)json_object_set_new(old, "sequence", json_integer(0));
    assert_int_equal(command_force(f, "orders"), 0);
    assert_int_equal(command(f, VERB_PAUSE, "orders"), 0);
    struct fixture *g = replayed(f, old, router_history(f->router, NULL), 0, PLANS);
    assert_same(f, g, "orders");
    fixture_free(g);
    fixture_free(f);
}

static uint64_t allocations_left;

static void *failing_malloc(size_t size)
{
    if (allocations_left == 0)
        return NULL;
    allocations_left--;
    return malloc(size);
}

/* A state that is behind, or none at all, is as if there had been no replay. */
static void no_missing_memory_does_harm(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, PLANS);
    fill_rest(f);
    json_t *old = fixture_save(f);
    (void)json_object_del(json_object_get(old, "routes"), "fixed");
    assert_int_equal(command_percent(f, "fixed", 300), 0);
    assert_int_equal(command(f, VERB_ROLLBACK, "orders"), 0);
    json_t *events = router_history(f->router, NULL);
    bool enough = false;
    uint64_t refused = 0;
    for (uint64_t count = 0; !enough; count++) {
        json_t *short_of_it = json_deep_copy(old);
        allocations_left = count;
        json_set_alloc_funcs(failing_malloc, free);
        (void)state_replay(short_of_it, events);
        enough = allocations_left > 0;
        json_set_alloc_funcs(malloc, free);
        struct fixture *g = fixture_empty(1);
        char *why = NULL;
        if (router_restore(g->router, short_of_it, g->now_ms, g->wall_ms, &why)) {
            g->last_sequence = sequence_of(short_of_it);
            fixture_configure(g, PLANS);
            assert_true(state_of(g, "orders").percent == 5000 || state_of(g, "orders").percent == 0);
            assert_true(!enough || state_of(g, "orders").phase == PLAN_ROLLED_BACK);
        } else {
            assert_false(enough);
            refused++;
        }
        free(why);
        json_decref(short_of_it);
        fixture_free(g);
    }
    assert_true(refused > 0);
    json_decref(events);
    json_decref(old);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happened_has_happened),
        cmocka_unit_test(who_depends_falls_though_nobody_had_time_to_write_it_down),
        cmocka_unit_test(the_last_trip_rolls_back_though_nobody_had_time_to_write_it_down),
        cmocka_unit_test(a_route_falls_once),
        cmocka_unit_test(a_cooldown_and_a_way_down_are_whole_ones),
        cmocka_unit_test(evidence_and_hold_begin_anew_with_a_stage),
        cmocka_unit_test(what_was_told_of_a_stage_is_not_told_again),
        cmocka_unit_test(a_state_that_knows_all_stays_as_it_is),
        cmocka_unit_test(what_is_no_event_is_left_out),
        cmocka_unit_test(a_route_the_state_has_not_seen_is_taken_up),
        cmocka_unit_test(no_missing_memory_does_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
