/* Gates: pass, fail and undecided on each side of the limit, and when a gate does not apply. */
#include "fixture.h"

#include "router/gate.h"

static struct evidence evidence;
static struct config_gates gates;
static struct gate_traffic traffic;
static struct gate_report report;

static void add(enum side side, uint64_t count, uint64_t errors, uint64_t latency_us)
{
    struct evidence_side *to = &evidence.side[side];
    to->judged += count;
    to->errors += errors;
    to->latency.count[histogram_bucket(latency_us)] += count;
}

static int begin(void **state)
{
    (void)state;
    memset(&evidence, 0, sizeof(evidence));
    gates = (struct config_gates){100, RATE_UNSET, RATE_UNSET, RATE_UNSET, 0.99};
    traffic = (struct gate_traffic){5000, SHARE_ALL};
    return 0;
}

static enum verdict judge(enum gate_kind kind)
{
    gates_judge(&gates, &traffic, &evidence, &(struct gate_world){0}, &report);
    assert_true(strlen(report.gate[kind].sentence) > 0);
    assert_true(report.gate[kind].applies || report.gate[kind].verdict == VERDICT_PASS);
    return report.gate[kind].verdict;
}

static void enough_requests_are_wanted_on_every_side_with_traffic(void **state)
{
    (void)state;
    assert_int_equal(judge(GATE_MIN_REQUESTS), VERDICT_UNDECIDED);
    add(SIDE_NEW, 100, 0, 1000);
    assert_int_equal(judge(GATE_MIN_REQUESTS), VERDICT_UNDECIDED);
    add(SIDE_LEGACY, 99, 0, 1000);
    assert_int_equal(judge(GATE_MIN_REQUESTS), VERDICT_UNDECIDED);
    add(SIDE_LEGACY, 1, 0, 1000);
    assert_int_equal(judge(GATE_MIN_REQUESTS), VERDICT_PASS);
    assert_int_equal(report.verdict, VERDICT_PASS);
}

static void a_stage_at_0_percent_wants_legacy_and_pairs(void **state)
{
    (void)state;
    traffic.percent = 0;
    add(SIDE_LEGACY, 100, 0, 1000);
    assert_int_equal(judge(GATE_MIN_REQUESTS), VERDICT_UNDECIDED);
    evidence.pairs.compared = 100;
    assert_int_equal(judge(GATE_MIN_REQUESTS), VERDICT_PASS);
    evidence.pairs.compared = 0;
    traffic.shadow = 0;
    assert_int_equal(judge(GATE_MIN_REQUESTS), VERDICT_PASS);
}

static void a_stage_at_100_percent_wants_new_only(void **state)
{
    (void)state;
    traffic.percent = SHARE_ALL;
    add(SIDE_NEW, 100, 0, 1000);
    assert_int_equal(judge(GATE_MIN_REQUESTS), VERDICT_PASS);
    gates.error_rate_increase = 0.02;
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_UNDECIDED); /* nothing to compare with: no guess */
    assert_non_null(strstr(report.gate[GATE_ERROR_RATE_INCREASE].sentence, "force"));
    add(SIDE_LEGACY, 100, 0, 1000); /* carried over from the stage before */
    add(SIDE_NEW, 1000, 0, 1000);
    add(SIDE_LEGACY, 1000, 0, 1000);
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_PASS);
}

static void an_error_rate_passes_only_when_the_whole_interval_is_below(void **state)
{
    (void)state;
    gates.error_rate_increase = 0.02;
    add(SIDE_NEW, 200, 0, 1000);
    add(SIDE_LEGACY, 200, 0, 1000);
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_UNDECIDED); /* +- 3.2 % */
    add(SIDE_NEW, 300, 0, 1000);
    add(SIDE_LEGACY, 300, 0, 1000);
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_PASS); /* +- 1.3 % */
    assert_true(report.gate[GATE_ERROR_RATE_INCREASE].high < 0.02);
    evidence.side[SIDE_NEW].errors = 12; /* 2.4 %: above the limit, but not surely */
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_UNDECIDED);
    evidence.side[SIDE_NEW].errors = 50;
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_FAIL);
    assert_true(report.gate[GATE_ERROR_RATE_INCREASE].low > 0.02);
    assert_int_equal(report.verdict, VERDICT_FAIL);
    assert_int_equal(report.decisive, GATE_ERROR_RATE_INCREASE);
    evidence.side[SIDE_LEGACY].errors = 50; /* legacy is as bad: no increase, but not surely below the limit either */
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_UNDECIDED);
}

static void p95_is_judged_by_its_interval(void **state)
{
    (void)state;
    gates.p95_increase = 0.20;
    add(SIDE_NEW, 1900, 0, 1000);
    add(SIDE_NEW, 100, 0, 5000);
    add(SIDE_LEGACY, 1900, 0, 1000);
    add(SIDE_LEGACY, 100, 0, 5000);
    assert_int_equal(judge(GATE_P95_INCREASE), VERDICT_UNDECIDED); /* p95 lies on a cliff: 1 ms or 5 ms */
    begin(NULL);
    gates.p95_increase = 0.20;
    add(SIDE_NEW, 2000, 0, 1000);
    add(SIDE_LEGACY, 2000, 0, 1000);
    assert_int_equal(judge(GATE_P95_INCREASE), VERDICT_PASS);
    begin(NULL);
    gates.p95_increase = 0.20;
    add(SIDE_NEW, 2000, 0, 1500);
    add(SIDE_LEGACY, 2000, 0, 1000);
    assert_int_equal(judge(GATE_P95_INCREASE), VERDICT_FAIL);
    begin(NULL);
    gates.p95_increase = 0.20;
    gates.min_requests = 10;
    add(SIDE_NEW, 50, 0, 1000);
    add(SIDE_LEGACY, 50, 0, 1000);
    assert_int_equal(judge(GATE_P95_INCREASE), VERDICT_UNDECIDED); /* 50 values have no upper bound for p95 */
}

static void mismatches_are_judged_by_their_exact_interval(void **state)
{
    (void)state;
    gates.mismatch_rate = 0.001;
    evidence.pairs.compared = 99;
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_UNDECIDED);
    evidence.pairs.compared = 5000; /* at most 0.106 % */
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_UNDECIDED);
    assert_non_null(strstr(report.gate[GATE_MISMATCH_RATE].sentence, "about 5296 pairs without a difference"));
    evidence.pairs.compared = 5296;
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_PASS);
    evidence.pairs.compared = 5295;
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_UNDECIDED);
    evidence.pairs = (struct comparison_totals){500, 1}; /* 0.2 %, but one pair proves little */
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_UNDECIDED);
    evidence.pairs = (struct comparison_totals){5295, 30};
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_FAIL);
    traffic.shadow = 0;
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_PASS);
    assert_false(report.gate[GATE_MISMATCH_RATE].applies);
}

static void gates_not_asked_for_do_not_apply(void **state)
{
    (void)state;
    gates.min_requests = 0;
    gates_judge(&gates, &traffic, &evidence, &(struct gate_world){0}, &report);
    assert_int_equal(report.verdict, VERDICT_PASS);
    for (int i = 0; i < GATES; i++)
        assert_false(report.gate[i].applies);
}

static void a_failure_beats_undecided_beats_pass(void **state)
{
    (void)state;
    gates.error_rate_increase = 0.02;
    gates.mismatch_rate = 0.01;
    add(SIDE_NEW, 1000, 0, 1000);
    add(SIDE_LEGACY, 1000, 0, 1000);
    gates_judge(&gates, &traffic, &evidence, &(struct gate_world){0}, &report);
    assert_int_equal(report.verdict, VERDICT_UNDECIDED);
    assert_int_equal(report.decisive, GATE_MISMATCH_RATE);
    evidence.side[SIDE_NEW].errors = 200;
    gates_judge(&gates, &traffic, &evidence, &(struct gate_world){0}, &report);
    assert_int_equal(report.verdict, VERDICT_FAIL);
    assert_int_equal(report.decisive, GATE_ERROR_RATE_INCREASE);
}

/* Whatever the counts: no pass without evidence, and no sentence that breaks. */
static void counts_of_any_size_give_a_verdict(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 99, 100, 12345, 1000000000, INT64_MAX / 1024};
    gates = (struct config_gates){100, 0.02, 0.2, 0.0001, 0.999};
    for (size_t i = 0; i < 7; i++) {
        for (size_t j = 0; j < 7; j++) {
            memset(&evidence, 0, sizeof(evidence));
            add(SIDE_NEW, sizes[i], sizes[i] / 3, 900);
            add(SIDE_LEGACY, sizes[j], 0, 900);
            evidence.pairs = (struct comparison_totals){sizes[j], sizes[j] / 2};
            gates_judge(&gates, &traffic, &evidence, &(struct gate_world){0}, &report);
            assert_int_not_equal(report.verdict, VERDICT_PASS);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(enough_requests_are_wanted_on_every_side_with_traffic, begin),
        cmocka_unit_test_setup(a_stage_at_0_percent_wants_legacy_and_pairs, begin),
        cmocka_unit_test_setup(a_stage_at_100_percent_wants_new_only, begin),
        cmocka_unit_test_setup(an_error_rate_passes_only_when_the_whole_interval_is_below, begin),
        cmocka_unit_test_setup(p95_is_judged_by_its_interval, begin),
        cmocka_unit_test_setup(mismatches_are_judged_by_their_exact_interval, begin),
        cmocka_unit_test_setup(gates_not_asked_for_do_not_apply, begin),
        cmocka_unit_test_setup(a_failure_beats_undecided_beats_pass, begin),
        cmocka_unit_test_setup(counts_of_any_size_give_a_verdict, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
