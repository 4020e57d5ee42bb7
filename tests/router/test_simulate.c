/*
 * The simulator: plans that end in every way, by whom, and that runs are those of the traffic that was assumed.
 */
#include "fixture.h"

#include <math.h>

#include "router/simulate.h"

enum {
    HOUR_MS = 3600000,
    DAY_MS = 24 * HOUR_MS
};

#define PLAN(rest) YAML_HEAD "  - name: orders\n    match: { path: /orders }\n" rest
#define STAGES                                                                                                         \
    "    stages: [ { name: tenth, percent: 10, hold: 2h }, { name: half, percent: 50, shadow: 100, hold: 1h } ]\n"
#define GATES_OF "    gates: { error_rate_increase: 2%, p95_increase: 20%, mismatch_rate: 0.1%, confidence: 99% }\n"

static struct simulate_run run_with(const char *yaml, const struct simulate_world *world, uint64_t most_ms)
{
    static struct simulate_run run;
    struct config *config = config_from(yaml);
    struct simulator *simulator = simulator_new(config, 0, world);
    assert_non_null(simulator);
    simulator_step(simulator, 0.1);
    assert_true(simulator_run(simulator, 5, most_ms, &run));
    simulator_free(simulator);
    config_free(config);
    return run;
}

static void an_equal_backend_is_done_after_its_holds(void **state)
{
    (void)state;
    struct simulate_world world = simulate_usual(50);
    struct simulate_run run = run_with(PLAN("    promotion: auto\n" STAGES GATES_OF), &world, 30 * (uint64_t)DAY_MS);
    assert_int_equal(run.end, SIMULATE_DONE);
    assert_int_equal(run.by, SIMULATE_BY_NOBODY);
    assert_int_equal(run.end_ms, 3 * HOUR_MS);
    assert_int_equal(run.trips, 0);
    assert_int_equal(run.errors_of_new, 0);
    assert_true(run.stages[0].entered && run.stages[0].left && run.stages[1].left);
    assert_int_equal(run.stages[0].took_ms, 2 * HOUR_MS);
    assert_int_equal(run.stages[1].took_ms, HOUR_MS);
    assert_false(run.stages[0].by_hand || run.stages[2].entered);
    /* the traffic that was asked for: 36,000 of 360,000 in the first stage, and half of 180,000 in the second */
    assert_true(fabs((double)run.stages[0].judged[SIDE_NEW] - 36000) < 1000);
    assert_true(fabs((double)run.stages[0].judged[SIDE_LEGACY] - 324000) < 3000);
    assert_true(fabs((double)run.stages[1].judged[SIDE_NEW] - 90000) < 1500);
    assert_false(run.stages[0].gate[GATE_MISMATCH_RATE].applies);
    const struct simulate_gate *mismatch = &run.stages[1].gate[GATE_MISMATCH_RATE];
    assert_int_equal(mismatch->verdict, VERDICT_PASS);
    assert_true(mismatch->evidence > 4000 && mismatch->after_ms < HOUR_MS);
}

static void the_same_seed_is_the_same_run(void **state)
{
    (void)state;
    struct simulate_world world = simulate_usual(7);
    world.errors[SIDE_LEGACY] = world.errors[SIDE_NEW] = 0.05;
    world.daily = 0.5;
    const char *yaml = PLAN("    promotion: auto\n" STAGES GATES_OF);
    struct simulate_run first = run_with(yaml, &world, DAY_MS);
    struct simulate_run second = run_with(yaml, &world, DAY_MS);
    assert_memory_equal(&first, &second, sizeof(first));
    assert_true(first.errors_of_new > 0);
}

static void a_worse_backend_is_rolled_back_by_the_gate(void **state)
{
    (void)state;
    struct simulate_world world = simulate_usual(50);
    const char *yaml = PLAN("    promotion: auto\n    breaker: off\n" STAGES GATES_OF);
    world.errors[SIDE_NEW] = 0.06;
    struct simulate_run run = run_with(yaml, &world, DAY_MS);
    assert_int_equal(run.end, SIMULATE_ROLLED_BACK);
    assert_int_equal(run.by, SIMULATE_BY_GATE);
    assert_int_equal(run.gate, GATE_ERROR_RATE_INCREASE);
    assert_int_equal(run.stage, 0);
    assert_false(run.stages[0].left);
    assert_int_equal(run.stages[0].took_ms, run.end_ms);
    assert_int_equal(run.stages[0].gate[GATE_ERROR_RATE_INCREASE].verdict, VERDICT_FAIL);
    assert_true(run.end_ms < HOUR_MS);

    world.errors[SIDE_NEW] = 0;
    world.median_us[SIDE_NEW] *= 2;
    run = run_with(yaml, &world, DAY_MS);
    assert_int_equal(run.by, SIMULATE_BY_GATE);
    assert_int_equal(run.gate, GATE_P95_INCREASE);

    world.median_us[SIDE_NEW] = world.median_us[SIDE_LEGACY];
    world.mismatches = 0.01;
    run = run_with(yaml, &world, DAY_MS);
    assert_int_equal(run.gate, GATE_MISMATCH_RATE);
    assert_int_equal(run.stage, 1); /* where something is mirrored */
    assert_true(run.stages[0].left);
}

static void the_breaker_ends_what_burns(void **state)
{
    (void)state;
    struct simulate_world world = simulate_usual(100);
    world.errors[SIDE_NEW] = 0.6;
    struct simulate_run run = run_with(PLAN("    promotion: auto\n" STAGES GATES_OF), &world, DAY_MS);
    assert_int_equal(run.end, SIMULATE_ROLLED_BACK);
    assert_int_equal(run.by, SIMULATE_BY_BREAKER);
    assert_int_equal(run.trips, 3); /* max_trips */
    assert_true(run.end_ms < 10 * 60000);
    assert_true(run.errors_of_new < 300);

    world.errors[SIDE_NEW] = 0;
    world.median_us[SIDE_NEW] *= 10;
    world.rate = 1000;
    run = run_with(PLAN("    promotion: auto\n" STAGES GATES_OF), &world, DAY_MS);
    assert_int_equal(run.end, SIMULATE_ROLLED_BACK);
    assert_true(run.trips > 0); /* slow ones count, too */
}

static void people_promote_when_asked(void **state)
{
    (void)state;
    struct simulate_world world = simulate_usual(50);
    struct simulate_run run =
        run_with(PLAN("    promotion: manual\n    start: manual\n" STAGES GATES_OF), &world, DAY_MS);
    assert_int_equal(run.end, SIMULATE_DONE);
    assert_true(run.stages[0].by_hand && run.stages[1].by_hand);
    world.errors[SIDE_NEW] = 0.04;
    run = run_with(PLAN("    promotion: manual\n" STAGES GATES_OF), &world, 3 * (uint64_t)DAY_MS);
    assert_int_equal(run.end, SIMULATE_TOLD); /* manual plans tell, and nothing more */
    assert_int_equal(run.by, SIMULATE_BY_GATE);
}

static void what_is_never_decided_ends_with_its_time_or_deadline(void **state)
{
    (void)state;
    struct simulate_world world = simulate_usual(1);
    struct simulate_run run = run_with(
        PLAN("    promotion: auto\n    stages: [ { name: a, percent: 1, hold: 1h } ]\n" GATES_OF), &world, DAY_MS);
    assert_int_equal(run.end, SIMULATE_UNDECIDED); /* 864 requests on new in a day */
    assert_int_equal(run.end_ms, DAY_MS);
    assert_int_equal(run.stages[0].gate[GATE_P95_INCREASE].verdict, VERDICT_UNDECIDED);
    run = run_with(
        PLAN("    promotion: auto\n    stages: [ { name: a, percent: 1, hold: 1h, deadline: 6h } ]\n" GATES_OF), &world,
        DAY_MS);
    assert_int_equal(run.end, SIMULATE_HALTED); /* paused */
    assert_int_equal(run.by, SIMULATE_BY_DEADLINE);
    assert_int_equal(run.end_ms, 6 * HOUR_MS);
}

/* A plan that waits for another would never start here, and a webhook would never answer. */
static void others_are_taken_to_agree(void **state)
{
    (void)state;
    struct simulate_world world = simulate_usual(100);
    const char *yaml = PLAN("    promotion: auto\n    depends_on: [ planner ]\n" STAGES
                            "    gates: { error_rate_increase: 2%, only: \"Sun 03:00-03:01 UTC\","
                            " webhook: { url: \"http://127.0.0.1:1/\" } }\n"
                            "  - name: planner\n    match: { path: /p }\n    stages: [ { percent: 50, hold: 1h } ]\n");
    struct simulate_run run = run_with(yaml, &world, DAY_MS);
    assert_int_equal(run.end, SIMULATE_DONE);
    assert_int_equal(run.end_ms, 3 * HOUR_MS);
}

static void the_truth_is_what_was_assumed(void **state)
{
    (void)state;
    struct config *config = config_from(PLAN(STAGES GATES_OF));
    const struct config_gates *gates = &config->routes[0].stages[0].gates;
    struct simulate_world world = simulate_usual(1);
    double truth;
    world.errors[SIDE_LEGACY] = 0.03;
    world.errors[SIDE_NEW] = 0.05;
    world.mismatches = 0.002;
    world.median_us[SIDE_NEW] *= 1.3;
    assert_true(simulate_holds(gates, &world, GATE_ERROR_RATE_INCREASE, &truth)); /* exactly the limit */
    assert_true(fabs(truth - 0.02) < 1e-12);
    assert_false(simulate_holds(gates, &world, GATE_P95_INCREASE, &truth));
    assert_true(fabs(truth - 0.3) < 1e-12);
    assert_false(simulate_holds(gates, &world, GATE_MISMATCH_RATE, &truth));
    assert_true(simulate_holds(gates, &world, GATE_ERROR_RATE, &truth)); /* not asked for */
    assert_true(simulate_holds(gates, &world, GATE_MIN_REQUESTS, &truth));
    config_free(config);
    assert_string_equal(simulate_end_name(SIMULATE_HALTED), "halted");
    assert_string_equal(simulate_end_name(SIMULATE_ENDS), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_equal_backend_is_done_after_its_holds),
        cmocka_unit_test(the_same_seed_is_the_same_run),
        cmocka_unit_test(a_worse_backend_is_rolled_back_by_the_gate),
        cmocka_unit_test(the_breaker_ends_what_burns),
        cmocka_unit_test(people_promote_when_asked),
        cmocka_unit_test(what_is_never_decided_ends_with_its_time_or_deadline),
        cmocka_unit_test(others_are_taken_to_agree),
        cmocka_unit_test(the_truth_is_what_was_assumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
