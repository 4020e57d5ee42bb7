/* Gates: pass, fail and undecided on each side of the limit, when a gate does not apply, and what more it would take.
 */
#include "fixture.h"

#include <math.h>
#include <time.h>

#include "config/arena.h"
#include "config/schedule.h"
#include "router/gate.h"

static struct evidence evidence;
static struct config_gates gates;
static struct gate_traffic sent;
static struct gate_world world;
static struct gate_report report;

static void add(enum side side, uint64_t count, uint64_t errors, uint64_t latency_us)
{
    struct evidence_side *to = &evidence.side[side];
    to->judged += count;
    to->errors += errors;
    to->latency.count[histogram_bucket(latency_us)] += count;
}

static void add_both(uint64_t count, uint64_t new_errors, uint64_t legacy_errors)
{
    add(SIDE_NEW, count, new_errors, 1000);
    add(SIDE_LEGACY, count, legacy_errors, 1000);
}

static void ask(struct sketch *sketch, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        sketch_add(sketch, i * 37);
}

static int begin(void **state)
{
    (void)state;
    memset(&evidence, 0, sizeof(evidence));
    gates = (struct config_gates){
        .min_requests = 100,
        .error_rate_increase = RATE_UNSET,
        .error_rate = RATE_UNSET,
        .availability = RATE_UNSET,
        .p50_increase = RATE_UNSET,
        .p95_increase = RATE_UNSET,
        .p99_increase = RATE_UNSET,
        .p95_ratio = RATE_UNSET,
        .mismatch_rate = RATE_UNSET,
        .confidence = 0.99,
    };
    sent = (struct gate_traffic){5000, SHARE_ALL};
    world = (struct gate_world){.wall_ms = 1700000000000};
    return 0;
}

static void judge_all(void)
{
    gates_judge(&gates, &sent, &evidence, &world, &report);
    for (int kind = 0; kind < GATES; kind++) {
        const struct gate_result *result = &report.gate[kind];
        assert_true(strlen(result->sentence) > 0);
        assert_true(result->applies || result->verdict == VERDICT_PASS);
        assert_true((result->verdict == VERDICT_UNDECIDED) == (result->growth != 1));
        assert_true(result->growth == 0 || result->growth >= 1);
        assert_true(!result->measured || (result->low <= result->high && result->confidence > 0));
    }
}

static enum verdict judge(enum gate_kind kind)
{
    judge_all();
    return report.gate[kind].verdict;
}

static bool says(enum gate_kind kind, const char *words)
{
    if (strstr(report.gate[kind].sentence, words) != NULL)
        return true;
    print_error("%s\n", report.gate[kind].sentence);
    return false;
}

/* ---- volume ---- */

static void enough_requests_are_wanted_on_every_side_with_traffic(void **state)
{
    (void)state;
    assert_int_equal(judge(GATE_MIN_REQUESTS), VERDICT_UNDECIDED);
    assert_true(report.gate[GATE_MIN_REQUESTS].growth == 0); /* nothing to go by */
    add(SIDE_NEW, 100, 0, 1000);
    assert_int_equal(judge(GATE_MIN_REQUESTS), VERDICT_UNDECIDED);
    add(SIDE_LEGACY, 50, 0, 1000);
    assert_int_equal(judge(GATE_MIN_REQUESTS), VERDICT_UNDECIDED);
    assert_true(says(GATE_MIN_REQUESTS, "not enough requests yet: 50 more on legacy"));
    assert_false(says(GATE_MIN_REQUESTS, "0 more on new"));
    assert_false(says(GATE_MIN_REQUESTS, "compared"));
    assert_true(fabs(report.gate[GATE_MIN_REQUESTS].growth - 2) < 0.05);
    assert_int_equal(report.gate[GATE_MIN_REQUESTS].evidence, 50);
    add(SIDE_LEGACY, 50, 0, 1000);
    assert_int_equal(judge(GATE_MIN_REQUESTS), VERDICT_PASS);
    assert_int_equal(report.verdict, VERDICT_PASS);
}

static void a_stage_at_0_percent_wants_legacy_and_pairs(void **state)
{
    (void)state;
    sent.percent = 0;
    add(SIDE_LEGACY, 100, 0, 1000);
    assert_int_equal(judge(GATE_MIN_REQUESTS), VERDICT_UNDECIDED);
    evidence.pairs.compared = 100;
    assert_int_equal(judge(GATE_MIN_REQUESTS), VERDICT_PASS);
    evidence.pairs.compared = 0;
    sent.shadow = 0;
    assert_int_equal(judge(GATE_MIN_REQUESTS), VERDICT_PASS);
}

static void a_stage_at_100_percent_wants_new_only(void **state)
{
    (void)state;
    sent.percent = SHARE_ALL;
    add(SIDE_NEW, 100, 0, 1000);
    assert_int_equal(judge(GATE_MIN_REQUESTS), VERDICT_PASS);
    gates.error_rate_increase = 0.02;
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_UNDECIDED); /* nothing to compare with: no guess */
    assert_true(says(GATE_ERROR_RATE_INCREASE, "promote with force; more like these will not decide it"));
    assert_true(isinf(report.gate[GATE_ERROR_RATE_INCREASE].growth));
    add(SIDE_LEGACY, 5000, 0, 1000); /* carried over from the stage before: it stays as it is */
    add(SIDE_NEW, 100, 0, 1000);
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_UNDECIDED);
    assert_true(says(GATE_ERROR_RATE_INCREASE, "requests more on new if"));
    assert_int_equal(report.gate[GATE_ERROR_RATE_INCREASE].evidence, 200);
    add(SIDE_NEW, 1000, 0, 1000);
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_PASS);
}

static void different_clients_are_counted(void **state)
{
    (void)state;
    gates.min_distinct_keys = 20;
    add(SIDE_NEW, 1000, 0, 1000);
    assert_int_equal(judge(GATE_MIN_DISTINCT_KEYS), VERDICT_UNDECIDED);
    ask(&evidence.side[SIDE_NEW].marks.keys, 19);
    assert_int_equal(judge(GATE_MIN_DISTINCT_KEYS), VERDICT_UNDECIDED);
    assert_true(says(GATE_MIN_DISTINCT_KEYS, "about 19 asked new, 20 wanted"));
    assert_true(report.gate[GATE_MIN_DISTINCT_KEYS].growth == 0); /* who else will come, nobody can tell */
    ask(&evidence.side[SIDE_NEW].marks.keys, 21);
    assert_int_equal(judge(GATE_MIN_DISTINCT_KEYS), VERDICT_PASS);
    sent.percent = 0;
    memset(&evidence.side[SIDE_NEW].marks, 0, sizeof(evidence.side[SIDE_NEW].marks));
    assert_int_equal(judge(GATE_MIN_DISTINCT_KEYS), VERDICT_PASS);
    assert_false(report.gate[GATE_MIN_DISTINCT_KEYS].applies);
}

/* ---- rates ---- */

static void an_increase_passes_only_when_the_whole_interval_is_below(void **state)
{
    (void)state;
    const struct gate_result *gate = &report.gate[GATE_ERROR_RATE_INCREASE];
    gates.error_rate_increase = 0.02;
    add_both(99, 0, 0);
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_UNDECIDED);
    assert_true(says(GATE_ERROR_RATE_INCREASE, "not enough requests on new yet: 99 of 100"));
    assert_false(gate->measured);
    add_both(301, 0, 0);
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_UNDECIDED); /* +- 2.2 % */
    assert_true(gate->measured && gate->high > 0.02 && gate->low < 0 && gate->limit == 0.02 && gate->evidence == 400);
    add_both(300, 0, 0);
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_PASS);
    assert_true(gate->high < 0.02 && gate->value == 0);
    evidence.side[SIDE_NEW].errors = 20; /* 2.9 %: above the limit, but not surely */
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_UNDECIDED);
    evidence.side[SIDE_NEW].errors = 70;
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_FAIL);
    assert_true(gate->low > 0.02);
    assert_int_equal(report.verdict, VERDICT_FAIL);
    assert_int_equal(report.decisive, GATE_ERROR_RATE_INCREASE);
    evidence.side[SIDE_LEGACY].errors = 70; /* legacy is as bad: no increase, but not surely below the limit either */
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_UNDECIDED);
    sent.percent = 0;
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_PASS);
    assert_false(gate->applies);
}

/* Half of all requests fail on both sides: nobody is to blame, and nothing is proved either. */
static void a_shared_outage_fails_nobody(void **state)
{
    (void)state;
    gates.error_rate_increase = 0.02;
    for (int i = 0; i < 40; i++) {
        add_both(250, 126 - (uint64_t)i % 3, 126 - (uint64_t)i % 4);
        assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_UNDECIDED);
    }
    add_both(200000, 0, 0); /* it is over */
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_PASS);
}

static void the_side_with_fewer_requests_decides(void **state)
{
    (void)state;
    gates.error_rate_increase = 0.02;
    add(SIDE_NEW, 100, 1, 1000);
    add(SIDE_LEGACY, 100000, 1000, 1000);
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_UNDECIDED);
    assert_int_equal(report.gate[GATE_ERROR_RATE_INCREASE].evidence, 100);
    assert_true(says(GATE_ERROR_RATE_INCREASE, "more on new and "));
    add(SIDE_NEW, 3000, 30, 1000);
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_PASS);
}

static void an_error_rate_is_judged_without_legacy(void **state)
{
    (void)state;
    gates.error_rate = 0.02;
    add(SIDE_NEW, 99, 0, 1000);
    assert_int_equal(judge(GATE_ERROR_RATE), VERDICT_UNDECIDED);
    assert_false(report.gate[GATE_ERROR_RATE].measured);
    add(SIDE_NEW, 901, 0, 1000);
    assert_int_equal(judge(GATE_ERROR_RATE), VERDICT_PASS);
    evidence.side[SIDE_NEW].errors = 21;
    assert_int_equal(judge(GATE_ERROR_RATE), VERDICT_UNDECIDED);
    assert_true(report.gate[GATE_ERROR_RATE].value == 0.021);
    evidence.side[SIDE_NEW].errors = 50;
    assert_int_equal(judge(GATE_ERROR_RATE), VERDICT_FAIL);
    assert_true(says(GATE_ERROR_RATE, "error rate of new 5.000 %: between "));
    evidence.side[SIDE_NEW].errors = 1000;
    assert_int_equal(judge(GATE_ERROR_RATE), VERDICT_FAIL);
    gates.error_rate = 1;
    assert_int_equal(judge(GATE_ERROR_RATE), VERDICT_PASS); /* no rate is above it */
    evidence.side[SIDE_NEW].errors = 0;
    gates.error_rate = 0;
    assert_int_equal(judge(GATE_ERROR_RATE), VERDICT_UNDECIDED); /* no number of requests shows that there is none */
    assert_true(says(GATE_ERROR_RATE, "more like these will not decide it"));
    sent.percent = 0;
    assert_int_equal(judge(GATE_ERROR_RATE), VERDICT_PASS);
    assert_false(report.gate[GATE_ERROR_RATE].applies);
}

static void availability_is_what_was_answered_with_any_status(void **state)
{
    (void)state;
    gates.availability = 0.99;
    add(SIDE_NEW, 99, 0, 1000);
    assert_int_equal(judge(GATE_AVAILABILITY), VERDICT_UNDECIDED);
    add(SIDE_NEW, 1901, 1000, 1000); /* half of it 500s, all of it answered */
    assert_int_equal(judge(GATE_AVAILABILITY), VERDICT_PASS);
    assert_true(report.gate[GATE_AVAILABILITY].value == 1 && report.gate[GATE_AVAILABILITY].high == 1);
    evidence.side[SIDE_NEW].unanswered = 10;
    assert_int_equal(judge(GATE_AVAILABILITY), VERDICT_UNDECIDED);
    assert_true(says(GATE_AVAILABILITY, "new answered 99.5000 % of what it was asked"));
    evidence.side[SIDE_NEW].unanswered = 60;
    assert_int_equal(judge(GATE_AVAILABILITY), VERDICT_FAIL);
    assert_true(report.gate[GATE_AVAILABILITY].high < 0.99 && report.gate[GATE_AVAILABILITY].low < 0.97);
    sent.percent = 0;
    assert_int_equal(judge(GATE_AVAILABILITY), VERDICT_PASS);
    assert_false(report.gate[GATE_AVAILABILITY].applies);
}

/* One client with a broken cookie, or one path that always fails, moves no plan. */
static void errors_of_few_clients_or_paths_do_not_fail(void **state)
{
    (void)state;
    static const enum gate_kind kinds[] = {GATE_ERROR_RATE_INCREASE, GATE_ERROR_RATE, GATE_AVAILABILITY};
    gates.error_rate_increase = 0.02;
    gates.error_rate = 0.02;
    gates.availability = 0.99;
    gates.min_distinct_keys = 5;
    add_both(2000, 200, 0);
    evidence.side[SIDE_NEW].unanswered = 200;
    ask(&evidence.side[SIDE_NEW].marks.keys, 300);
    ask(&evidence.side[SIDE_NEW].marks.paths, 3);
    ask(&evidence.side[SIDE_NEW].marks.error_keys, 1);
    ask(&evidence.side[SIDE_NEW].marks.error_paths, 3);
    ask(&evidence.side[SIDE_NEW].marks.lost_keys, 1);
    ask(&evidence.side[SIDE_NEW].marks.lost_paths, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(judge(kinds[i]), VERDICT_UNDECIDED);
        assert_true(says(kinds[i], "all errors come from 1 client and 3 paths"));
        assert_true(report.gate[kinds[i]].growth == 0);
    }
    assert_int_equal(report.verdict, VERDICT_UNDECIDED);
    ask(&evidence.side[SIDE_NEW].marks.error_keys, 5); /* three paths are all there are */
    ask(&evidence.side[SIDE_NEW].marks.lost_keys, 5);
    for (int i = 0; i < 3; i++)
        assert_int_equal(judge(kinds[i]), VERDICT_FAIL);
    memset(&evidence.side[SIDE_NEW].marks.error_paths, 0, sizeof(evidence.side[SIDE_NEW].marks.error_paths));
    ask(&evidence.side[SIDE_NEW].marks.error_paths, 1);
    memset(&evidence.side[SIDE_NEW].marks.lost_paths, 0, sizeof(evidence.side[SIDE_NEW].marks.lost_paths));
    ask(&evidence.side[SIDE_NEW].marks.lost_paths, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(judge(kinds[i]), VERDICT_UNDECIDED);
        assert_true(says(kinds[i], "all errors come from 5 clients and 1 path:"));
    }
    gates.min_distinct_keys = 0; /* not asked for */
    for (int i = 0; i < 3; i++)
        assert_int_equal(judge(kinds[i]), VERDICT_FAIL);
}

static void availability_does_not_go_by_who_had_errors(void **state)
{
    (void)state;
    gates.availability = 0.99;
    gates.error_rate = 0.02;
    gates.min_distinct_keys = 3;
    add(SIDE_NEW, 2000, 200, 1000);
    evidence.side[SIDE_NEW].unanswered = 200;
    ask(&evidence.side[SIDE_NEW].marks.keys, 300);
    ask(&evidence.side[SIDE_NEW].marks.paths, 30);
    ask(&evidence.side[SIDE_NEW].marks.lost_keys, 100);
    ask(&evidence.side[SIDE_NEW].marks.lost_paths, 30);
    ask(&evidence.side[SIDE_NEW].marks.error_keys, 1);
    ask(&evidence.side[SIDE_NEW].marks.error_paths, 1);
    assert_int_equal(judge(GATE_AVAILABILITY), VERDICT_FAIL);
    assert_int_equal(judge(GATE_ERROR_RATE), VERDICT_UNDECIDED);
}

/* Legacy's broken client does not excuse what all clients of new suffer. */
static void errors_of_few_clients_of_legacy_do_not_pass(void **state)
{
    (void)state;
    struct marks *marks = &evidence.side[SIDE_LEGACY].marks;
    gates.error_rate_increase = 0.02;
    gates.min_distinct_keys = 5;
    add_both(20000, 1400, 1400); /* 7 % on both */
    ask(&marks->keys, 300);
    ask(&marks->paths, 30);
    ask(&marks->error_keys, 4);
    ask(&marks->error_paths, 30);
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_UNDECIDED);
    assert_true(says(GATE_ERROR_RATE_INCREASE,
                     "; but all errors of legacy come from 4 clients and 30 paths: without them it does not pass"));
    assert_true(report.gate[GATE_ERROR_RATE_INCREASE].growth == 0);
    ask(&marks->error_keys, 5);
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_PASS);
    memset(&marks->error_paths, 0, sizeof(marks->error_paths));
    ask(&marks->error_paths, 1);
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_UNDECIDED);
    memset(&marks->paths, 0, sizeof(marks->paths));
    ask(&marks->paths, 1); /* there is no other */
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_PASS);
    ask(&marks->paths, 30);
    gates.min_distinct_keys = 0;
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_PASS);
    gates.min_distinct_keys = 5;
    evidence.side[SIDE_NEW].errors = 10; /* passes also against none at all */
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_PASS);
    evidence.side[SIDE_NEW].errors = 4000; /* and a failure is one whatever legacy's errors are */
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_FAIL);
}

static void mismatches_of_few_clients_or_paths_do_not_fail(void **state)
{
    (void)state;
    struct marks *marks = &evidence.pair_marks;
    gates.mismatch_rate = 0.01;
    gates.min_distinct_keys = 3;
    evidence.pairs = (struct comparison_totals){5000, 500};
    ask(&marks->keys, 200);
    ask(&marks->paths, 20);
    ask(&marks->error_keys, 1);
    ask(&marks->error_paths, 20);
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_UNDECIDED);
    assert_true(says(GATE_MISMATCH_RATE, "; but all of these come from 1 client and 20 paths: too few to say"));
    ask(&marks->error_keys, 3);
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_FAIL);
    memset(&marks->error_paths, 0, sizeof(marks->error_paths));
    ask(&marks->error_paths, 2);
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_UNDECIDED);
    memset(&marks->paths, 0, sizeof(marks->paths));
    ask(&marks->paths, 2); /* all there are */
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_FAIL);
    gates.min_distinct_keys = 0;
    memset(&marks->error_keys, 0, sizeof(marks->error_keys));
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_FAIL);
}

static void mismatches_are_judged_by_their_rate(void **state)
{
    (void)state;
    gates.mismatch_rate = 0.001;
    evidence.pairs.compared = 99;
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_UNDECIDED);
    assert_true(says(GATE_MISMATCH_RATE, "not enough compared pairs yet: 99 of 100"));
    evidence.pairs.compared = 5000;
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_UNDECIDED);
    assert_true(says(GATE_MISMATCH_RATE, "0 of 5,000 compared pairs differ"));
    assert_true(says(GATE_MISMATCH_RATE, "pairs more if it goes on like this"));
    evidence.pairs.compared = 8400;
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_PASS);
    evidence.pairs = (struct comparison_totals){500, 1}; /* 0.2 %, but one pair proves little */
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_UNDECIDED);
    evidence.pairs = (struct comparison_totals){5295, 30};
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_FAIL);
    sent.percent = 0; /* pairs need no live traffic */
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_FAIL);
    sent.shadow = 0;
    assert_int_equal(judge(GATE_MISMATCH_RATE), VERDICT_PASS);
    assert_false(report.gate[GATE_MISMATCH_RATE].applies);
}

/* ---- latency ---- */

static void latencies_are_judged_by_their_interval(void **state)
{
    (void)state;
    static const struct {
        enum gate_kind kind;
        double *limit;
        double value;
        const char *name;
    } kinds[] = {
        {GATE_P50_INCREASE, &gates.p50_increase, 0.2, "p50 of new"},
        {GATE_P95_INCREASE, &gates.p95_increase, 0.2, "p95 of new"},
        {GATE_P99_INCREASE, &gates.p99_increase, 0.2, "p99 of new"},
        {GATE_P95_RATIO, &gates.p95_ratio, 1.2, "p95 of new"},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const struct gate_result *gate = &report.gate[kinds[i].kind];
        double unit = kinds[i].kind == GATE_P95_RATIO ? 1 : 0;
        begin(NULL);
        *kinds[i].limit = kinds[i].value;
        assert_int_equal(judge(kinds[i].kind), VERDICT_UNDECIDED);
        add_both(2000, 0, 0);
        assert_int_equal(judge(kinds[i].kind), VERDICT_PASS);
        assert_true(says(kinds[i].kind, kinds[i].name));
        assert_true(fabs(gate->value - unit) < 0.001 && gate->high < unit + 0.07 && gate->low > unit - 0.07);
        assert_int_equal(gate->evidence, 2000);
        begin(NULL);
        *kinds[i].limit = kinds[i].value;
        add(SIDE_NEW, 2000, 0, 1500);
        add(SIDE_LEGACY, 2000, 0, 1000);
        assert_int_equal(judge(kinds[i].kind), VERDICT_FAIL);
        assert_true(gate->low > 0.4 + unit);
        begin(NULL);
        *kinds[i].limit = kinds[i].value;
        add(SIDE_NEW, 2000, 0, 1000); /* faster */
        add(SIDE_LEGACY, 2000, 0, 1500);
        assert_int_equal(judge(kinds[i].kind), VERDICT_PASS);
        sent.percent = 0;
        assert_int_equal(judge(kinds[i].kind), VERDICT_PASS);
        assert_false(gate->applies);
    }
}

static void a_cliff_at_the_quantile_decides_nothing(void **state)
{
    (void)state;
    gates.p95_increase = 0.20;
    for (int side = 0; side < SIDES; side++) {
        add((enum side)side, 1900, 0, 1000);
        add((enum side)side, 100, 0, 5000);
    }
    assert_int_equal(judge(GATE_P95_INCREASE), VERDICT_UNDECIDED); /* p95 is 1 ms or 5 ms */
}

static void few_values_have_no_bound_above(void **state)
{
    (void)state;
    gates.p95_increase = 0.20;
    gates.min_requests = 10;
    add_both(150, 0, 0);
    assert_int_equal(judge(GATE_P95_INCREASE), VERDICT_UNDECIDED);
    assert_true(isinf(report.gate[GATE_P95_INCREASE].high));
    assert_true(says(GATE_P95_INCREASE, "too few requests for a bound above"));
    assert_true(says(GATE_P95_INCREASE, "requests more on each side"));
    begin(NULL);
    gates.p95_increase = 0.20;
    add(SIDE_NEW, 2000, 0, 0); /* less than a microsecond: no ratio of it is told */
    add(SIDE_LEGACY, 2000, 0, 0);
    assert_int_equal(judge(GATE_P95_INCREASE), VERDICT_UNDECIDED);
}

/* ---- others' word ---- */

enum {
    CLIENTS = 200,
    PATHS = 10
};

static uint16_t mark_of(uint32_t one)
{
    return (uint16_t)(one * 2654435761u >> 12);
}

static void serve(enum side side, uint32_t client, uint32_t path, uint64_t us)
{
    add(side, 1, 0, us);
    crowd_add(&evidence.side[side].crowd, mark_of(client), mark_of(1000 + path), us);
}

/* Each client asks for each path `each` times, in 10 to 20 ms times `slower`, all values alike. */
static void serve_all(enum side side, uint32_t each, double slower)
{
    for (uint32_t i = 0; i < each * CLIENTS * PATHS; i++)
        serve(side, i % CLIENTS, i / CLIENTS % PATHS, (uint64_t)((10000 + (i * 7919) % 10000) * slower));
}

static void serve_one(enum side side, uint32_t count, int client, int path, uint64_t us)
{
    for (uint32_t i = 0; i < count; i++)
        serve(side, client >= 0 ? (uint32_t)client : i % CLIENTS, path >= 0 ? (uint32_t)path : i % PATHS, us);
}

static void begin_latency(void)
{
    memset(&evidence, 0, sizeof(evidence));
    gates.p50_increase = gates.p95_increase = 0.2;
    gates.p95_ratio = 1.2;
    gates.min_distinct_keys = 5;
}

static void expect_p95(enum verdict verdict, const char *words)
{
    assert_int_equal(judge(GATE_P95_INCREASE), verdict);
    assert_int_equal(judge(GATE_P95_RATIO), verdict);
    assert_true(says(GATE_P95_INCREASE, words) && says(GATE_P95_RATIO, words));
}

/* The slowest twentieth of healthy traffic is everybody's all the same: who is slow would be soon all clients. */
static void one_slow_client_or_path_of_new_does_not_fail(void **state)
{
    (void)state;
    for (int path = 0; path < 2; path++) {
        begin_latency();
        serve_all(SIDE_LEGACY, 2, 1);
        serve_all(SIDE_NEW, 2, 1);
        serve_one(SIDE_NEW, 400, path ? -1 : 7, path ? 3 : -1, 90000);
        expect_p95(VERDICT_UNDECIDED,
                   path ? "; but only by a few paths that are slow on new: without them it does not fail"
                        : "; but only by a few clients that are slow on new");
        assert_true(report.gate[GATE_P95_INCREASE].growth == 0);
        assert_int_equal(judge(GATE_P50_INCREASE), VERDICT_PASS);
        gates.min_distinct_keys = 1; /* one alone is enough */
        expect_p95(VERDICT_FAIL, "limit");
        gates.min_distinct_keys = 5;
        serve_one(SIDE_NEW, 400, -1, -1, 90000); /* others, too */
        expect_p95(VERDICT_FAIL, "limit");
    }
}

static void one_slow_client_or_path_of_legacy_does_not_pass(void **state)
{
    (void)state;
    for (int path = 0; path < 2; path++) {
        begin_latency();
        serve_all(SIDE_LEGACY, 2, 1);
        serve_all(SIDE_NEW, 2, 1.5);
        serve_one(SIDE_LEGACY, 400, path ? -1 : 7, path ? 3 : -1, 90000);
        expect_p95(VERDICT_UNDECIDED, path ? "; but only by a few paths that are slow on legacy: without them it does"
                                           : "; but only by a few clients that are slow on legacy");
        assert_int_equal(judge(GATE_P50_INCREASE), VERDICT_FAIL);
        gates.min_distinct_keys = 0;
        expect_p95(VERDICT_PASS, "limit");
        gates.min_distinct_keys = 5;
        serve_one(SIDE_LEGACY, 400, -1, -1, 90000);
        expect_p95(VERDICT_PASS, "limit");
    }
}

/* All of the tail is one path's, on both sides: it neither passes nor fails a plan by that. */
static void a_path_that_is_slow_on_both_sides_decides_nothing(void **state)
{
    (void)state;
    begin_latency();
    serve_all(SIDE_LEGACY, 2, 1);
    serve_all(SIDE_NEW, 2, 1);
    for (int side = 0; side < SIDES; side++)
        for (uint64_t i = 0; i < 800; i++)
            serve((enum side)side, (uint32_t)i % CLIENTS, 3, 90000 + i * 10);
    expect_p95(VERDICT_PASS, "limit");
    begin_latency();
    serve_all(SIDE_LEGACY, 2, 1);
    serve_all(SIDE_NEW, 2, 1.6); /* slower all over */
    for (uint64_t i = 0; i < 800; i++) {
        serve(SIDE_LEGACY, (uint32_t)i % CLIENTS, 3, 90000 + i * 10);
        serve(SIDE_NEW, (uint32_t)i % CLIENTS, 3, 160000 + i * 10);
    }
    expect_p95(VERDICT_FAIL, "limit");
}

/* One caller with one path is all there is, as between two services. */
static void the_only_client_moves_the_plan(void **state)
{
    (void)state;
    begin_latency();
    serve_one(SIDE_LEGACY, 4000, 1, 1, 10000);
    serve_one(SIDE_NEW, 4000, 1, 1, 20000);
    expect_p95(VERDICT_FAIL, "limit");
    serve_one(SIDE_LEGACY, 40000, 1, 1, 30000);
    expect_p95(VERDICT_PASS, "limit");
    memset(&evidence.side[SIDE_NEW].crowd, 0, sizeof(evidence.side[SIDE_NEW].crowd)); /* saved before there were any */
    expect_p95(VERDICT_PASS, "limit");
}

static void a_webhook_says_go_or_not_yet(void **state)
{
    (void)state;
    gates.webhook.url = "http://127.0.0.1:9/go";
    add_both(1000, 0, 0);
    assert_int_equal(judge(GATE_WEBHOOK), VERDICT_UNDECIDED);
    assert_int_equal(report.verdict, VERDICT_UNDECIDED);
    assert_int_equal(report.decisive, GATE_WEBHOOK);
    assert_true(report.gate[GATE_WEBHOOK].growth == 0);
    world.approval = (struct approval_answer){APPROVAL_HOLD, "409 at 12:03"};
    assert_int_equal(judge(GATE_WEBHOOK), VERDICT_UNDECIDED);
    assert_true(says(GATE_WEBHOOK, "not yet: 409 at 12:03"));
    world.approval = (struct approval_answer){APPROVAL_GO, "200 at 12:04"};
    assert_int_equal(judge(GATE_WEBHOOK), VERDICT_PASS);
    assert_true(report.gate[GATE_WEBHOOK].applies);
    assert_int_equal(report.verdict, VERDICT_PASS);
}

static uint64_t utc(const char *text)
{
    struct tm parts = {0};
    const char *end = strptime(text, "%Y-%m-%d %H:%M", &parts);
    assert_true(end != NULL && *end == '\0');
    return (uint64_t)timegm(&parts) * 1000;
}

static struct schedule *schedule(struct config_arena *arena, const char *first, const char *second)
{
    struct schedule *made = NULL;
    const char *why = NULL;
    if (!schedule_add(&made, arena, first, &why) || (second != NULL && !schedule_add(&made, arena, second, &why)))
        fail_msg("%s", why != NULL ? why : "no memory");
    return made;
}

static void a_window_opens_and_shuts(void **state)
{
    (void)state;
    struct config_arena *arena = config_arena_new();
    assert_non_null(arena);
    add_both(1000, 0, 0);
    gates.only = schedule(arena, "Mon-Thu 09:00-16:00 Europe/Berlin", NULL);
    world.wall_ms = utc("2026-11-24 10:00"); /* a Tuesday */
    assert_int_equal(judge(GATE_WINDOW), VERDICT_PASS);
    assert_true(report.gate[GATE_WINDOW].applies);
    world.wall_ms = utc("2026-11-26 15:00"); /* 16:00 in Berlin */
    assert_int_equal(judge(GATE_WINDOW), VERDICT_UNDECIDED);
    assert_true(says(GATE_WINDOW, "not now, only Mon-Thu 09:00-16:00 Europe/Berlin; opens 2026-11-30 08:00 UTC"));
    assert_int_equal(report.verdict, VERDICT_UNDECIDED);
    assert_true(report.gate[GATE_WINDOW].growth == 0);
    gates.only = schedule(arena, "Mon 09:00-16:00", "Fri 09:00-10:00");
    assert_int_equal(judge(GATE_WINDOW), VERDICT_UNDECIDED);
    assert_true(says(GATE_WINDOW, "only at the times the stage names; opens 2026-11-27 09:00 UTC"));
    config_arena_free(arena);
}

static void a_freeze_shuts_every_window(void **state)
{
    (void)state;
    struct config_arena *arena = config_arena_new();
    assert_non_null(arena);
    add_both(1000, 0, 0);
    world.freeze = schedule(arena, "2026-12-20 18:00 - 2027-01-07 08:00", NULL);
    world.wall_ms = utc("2026-12-20 17:59");
    assert_int_equal(judge(GATE_WINDOW), VERDICT_PASS);
    assert_true(report.gate[GATE_WINDOW].applies);
    world.wall_ms = utc("2026-12-20 18:00");
    assert_int_equal(judge(GATE_WINDOW), VERDICT_UNDECIDED);
    assert_true(says(GATE_WINDOW, "changes are frozen; opens 2027-01-07 08:00 UTC"));
    gates.only = schedule(arena, "Mon-Wed 09:00-16:00", NULL); /* the freeze ends on a Thursday */
    assert_int_equal(judge(GATE_WINDOW), VERDICT_UNDECIDED);
    assert_true(says(GATE_WINDOW, "changes are frozen; opens 2027-01-11 09:00 UTC"));
    world.wall_ms = utc("2026-12-19 12:00"); /* a Saturday: Monday is frozen */
    assert_int_equal(judge(GATE_WINDOW), VERDICT_UNDECIDED);
    assert_true(says(GATE_WINDOW, "only Mon-Wed 09:00-16:00; opens 2027-01-11 09:00 UTC"));
    gates.only = schedule(arena, "Mon-Sun 09:00-16:00", "2027-05-20 - 2027-05-20");
    world.freeze = schedule(arena, "Mon-Sun 08:00-17:00", NULL);
    assert_int_equal(judge(GATE_WINDOW), VERDICT_UNDECIDED); /* some hundred openings are frozen */
    assert_true(says(GATE_WINDOW, "changes are frozen; opens 2027-05-20 00:00 UTC"));
    gates.only = schedule(arena, "2026-01-01 - 2026-01-02", NULL);
    world.freeze = NULL;
    assert_int_equal(judge(GATE_WINDOW), VERDICT_UNDECIDED);
    assert_true(says(GATE_WINDOW, "does not open within a year"));
    config_arena_free(arena);
}

static void a_plan_waits_for_another(void **state)
{
    (void)state;
    add_both(1000, 0, 0);
    world.waits_for = "planner is in stage canary, and must be done";
    assert_int_equal(judge(GATE_DEPENDENCY), VERDICT_UNDECIDED);
    assert_true(says(GATE_DEPENDENCY, "planner is in stage canary, and must be done"));
    assert_int_equal(report.decisive, GATE_DEPENDENCY);
    world.waits_for = NULL;
    assert_int_equal(judge(GATE_DEPENDENCY), VERDICT_PASS);
    assert_false(report.gate[GATE_DEPENDENCY].applies);
}

/* ---- what more it takes ---- */

static void scale(double factor)
{
    for (int side = 0; side < SIDES; side++) {
        struct evidence_side *to = &evidence.side[side];
        to->judged = (uint64_t)llround((double)to->judged * factor);
        to->errors = (uint64_t)llround((double)to->errors * factor);
        to->unanswered = (uint64_t)llround((double)to->unanswered * factor);
        for (uint32_t b = 0; b < HISTOGRAM_BUCKETS; b++)
            to->latency.count[b] = (uint64_t)llround((double)to->latency.count[b] * factor);
    }
    evidence.pairs.compared = (uint64_t)llround((double)evidence.pairs.compared * factor);
    evidence.pairs.mismatched = (uint64_t)llround((double)evidence.pairs.mismatched * factor);
}

/* What was foretold comes true, and not much sooner. */
static void the_growth_that_is_told_decides(void **state)
{
    (void)state;
    static const enum gate_kind kinds[] = {GATE_MIN_REQUESTS, GATE_ERROR_RATE_INCREASE, GATE_ERROR_RATE,
                                           GATE_AVAILABILITY, GATE_P95_INCREASE,        GATE_P95_RATIO,
                                           GATE_MISMATCH_RATE};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        for (int early = 0; early < 2; early++) {
            begin(NULL);
            gates.min_requests = 2000;
            gates.error_rate_increase = 0.02;
            gates.error_rate = 0.02;
            gates.availability = 0.99;
            gates.p95_increase = 0.2;
            gates.p95_ratio = 1.2;
            gates.mismatch_rate = 0.001;
            add(SIDE_NEW, 950, 10, 1000);
            add(SIDE_NEW, 45, 0, 1300);
            add(SIDE_NEW, 5, 0, 9000);
            add(SIDE_LEGACY, 900, 9, 1000);
            add(SIDE_LEGACY, 95, 0, 1300);
            add(SIDE_LEGACY, 5, 0, 9000);
            evidence.side[SIDE_NEW].unanswered = 3;
            evidence.pairs.compared = 2000;
            assert_int_equal(judge(kinds[i]), VERDICT_UNDECIDED);
            double growth = report.gate[kinds[i]].growth;
            assert_true(isfinite(growth) && growth > 1);
            scale(early ? growth * 0.93 : growth * 1.01);
            if (judge(kinds[i]) != (early ? VERDICT_UNDECIDED : VERDICT_PASS))
                fail_msg("%s at %s growth %g: %s", gate_name(kinds[i]), early ? "less than" : "its", growth,
                         report.gate[kinds[i]].sentence);
        }
    }
}

static void a_sentence_says_how_many_more(void **state)
{
    (void)state;
    gates.error_rate_increase = 0.02;
    add_both(400, 0, 0);
    judge_all();
    double more = (report.gate[GATE_ERROR_RATE_INCREASE].growth - 1) * 400;
    assert_true(more > 40 && more < 80); /* 455 decide */
    char words[80];
    (void)snprintf(words, sizeof(words), "; about %.0f requests more on each side if it goes on like this", ceil(more));
    assert_true(says(GATE_ERROR_RATE_INCREASE, words));
    begin(NULL);
    gates.error_rate_increase = 0.02;
    add_both(100000, 3200, 1000); /* 2.2 points: it takes long */
    judge_all();
    more = (report.gate[GATE_ERROR_RATE_INCREASE].growth - 1) * 100000;
    if (more < 100000 || more >= 990000)
        fail_msg("%.0f", more);
    (void)snprintf(words, sizeof(words), "about %d0,000 requests more on each side", (int)ceil(more / 10000));
    assert_true(says(GATE_ERROR_RATE_INCREASE, words));
    evidence.side[SIDE_NEW].errors = 3000; /* 2 points: exactly the limit */
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_UNDECIDED);
    assert_true(isinf(report.gate[GATE_ERROR_RATE_INCREASE].growth));
    assert_true(says(GATE_ERROR_RATE_INCREASE, "more like these will not decide it"));
}

static void who_does_not_ask_for_growth_gets_the_same_verdicts(void **state)
{
    (void)state;
    gates.error_rate_increase = 0.02;
    gates.p95_increase = 0.2;
    gates.mismatch_rate = 0.001;
    evidence.pairs.compared = 20000;
    for (int i = 0; i < 30; i++) {
        add_both(40, 1, 1);
        judge_all();
        struct gate_report full = report;
        world.verdicts_only = true;
        judge_all();
        world.verdicts_only = false;
        for (int kind = 0; kind < GATES; kind++) {
            assert_int_equal(report.gate[kind].verdict, full.gate[kind].verdict);
            assert_true(report.gate[kind].growth == (full.gate[kind].verdict == VERDICT_UNDECIDED ? 0 : 1));
        }
    }
}

/* ---- all together ---- */

static void each_gate_has_its_own_confidence(void **state)
{
    (void)state;
    gates.error_rate_increase = 0.02;
    gates.error_rate = 0.02;
    add_both(400, 0, 0);
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_UNDECIDED);
    assert_true(report.gate[GATE_ERROR_RATE_INCREASE].confidence == 0.99);
    gates.confidence_of.error_rate_increase = 0.9;
    gates.confidence_of.error_rate = 0.999999;
    assert_int_equal(judge(GATE_ERROR_RATE_INCREASE), VERDICT_PASS);
    assert_true(report.gate[GATE_ERROR_RATE_INCREASE].confidence == 0.9);
    assert_int_equal(judge(GATE_ERROR_RATE), VERDICT_UNDECIDED);
    assert_true(report.gate[GATE_ERROR_RATE].confidence == 0.999999);
}

static void gates_not_asked_for_do_not_apply(void **state)
{
    (void)state;
    gates.min_requests = 0;
    judge_all();
    assert_int_equal(report.verdict, VERDICT_PASS);
    for (int i = 0; i < GATES; i++) {
        assert_false(report.gate[i].applies);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(gate_name((enum gate_kind)i), gate_name((enum gate_kind)j));
    }
    assert_string_equal(gate_name(GATES), "unknown");
}

static void a_failure_beats_undecided_beats_pass(void **state)
{
    (void)state;
    gates.error_rate_increase = 0.02;
    gates.mismatch_rate = 0.01;
    add_both(1000, 0, 0);
    judge_all();
    assert_int_equal(report.verdict, VERDICT_UNDECIDED);
    assert_int_equal(report.decisive, GATE_MISMATCH_RATE);
    evidence.side[SIDE_NEW].errors = 200;
    judge_all();
    assert_int_equal(report.verdict, VERDICT_FAIL);
    assert_int_equal(report.decisive, GATE_ERROR_RATE_INCREASE);
}

/* Whatever the counts: no pass without evidence, and no sentence that breaks. */
static void counts_of_any_size_give_a_verdict(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 99, 100, 12345, 1000000000, INT64_MAX / 1024};
    gates.error_rate_increase = gates.error_rate = 0.02;
    gates.availability = 0.99;
    gates.p50_increase = gates.p95_increase = gates.p99_increase = 0.2;
    gates.p95_ratio = 1.2;
    gates.mismatch_rate = 0.0001;
    gates.confidence = 0.999;
    for (size_t i = 0; i < 7; i++) {
        for (size_t j = 0; j < 7; j++) {
            memset(&evidence, 0, sizeof(evidence));
            add(SIDE_NEW, sizes[i], sizes[i] / 3, 900);
            add(SIDE_LEGACY, sizes[j], 0, 900);
            evidence.side[SIDE_NEW].unanswered = sizes[i] / 5;
            evidence.pairs = (struct comparison_totals){sizes[j], sizes[j] / 2};
            judge_all();
            assert_int_not_equal(report.verdict, VERDICT_PASS);
            if (i > 2 && j > 2)
                assert_int_equal(report.verdict, VERDICT_FAIL);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(enough_requests_are_wanted_on_every_side_with_traffic, begin),
        cmocka_unit_test_setup(a_stage_at_0_percent_wants_legacy_and_pairs, begin),
        cmocka_unit_test_setup(a_stage_at_100_percent_wants_new_only, begin),
        cmocka_unit_test_setup(different_clients_are_counted, begin),
        cmocka_unit_test_setup(an_increase_passes_only_when_the_whole_interval_is_below, begin),
        cmocka_unit_test_setup(a_shared_outage_fails_nobody, begin),
        cmocka_unit_test_setup(the_side_with_fewer_requests_decides, begin),
        cmocka_unit_test_setup(an_error_rate_is_judged_without_legacy, begin),
        cmocka_unit_test_setup(availability_is_what_was_answered_with_any_status, begin),
        cmocka_unit_test_setup(errors_of_few_clients_or_paths_do_not_fail, begin),
        cmocka_unit_test_setup(availability_does_not_go_by_who_had_errors, begin),
        cmocka_unit_test_setup(errors_of_few_clients_of_legacy_do_not_pass, begin),
        cmocka_unit_test_setup(mismatches_of_few_clients_or_paths_do_not_fail, begin),
        cmocka_unit_test_setup(mismatches_are_judged_by_their_rate, begin),
        cmocka_unit_test_setup(latencies_are_judged_by_their_interval, begin),
        cmocka_unit_test_setup(a_cliff_at_the_quantile_decides_nothing, begin),
        cmocka_unit_test_setup(few_values_have_no_bound_above, begin),
        cmocka_unit_test_setup(one_slow_client_or_path_of_new_does_not_fail, begin),
        cmocka_unit_test_setup(one_slow_client_or_path_of_legacy_does_not_pass, begin),
        cmocka_unit_test_setup(a_path_that_is_slow_on_both_sides_decides_nothing, begin),
        cmocka_unit_test_setup(the_only_client_moves_the_plan, begin),
        cmocka_unit_test_setup(a_webhook_says_go_or_not_yet, begin),
        cmocka_unit_test_setup(a_window_opens_and_shuts, begin),
        cmocka_unit_test_setup(a_freeze_shuts_every_window, begin),
        cmocka_unit_test_setup(a_plan_waits_for_another, begin),
        cmocka_unit_test_setup(the_growth_that_is_told_decides, begin),
        cmocka_unit_test_setup(a_sentence_says_how_many_more, begin),
        cmocka_unit_test_setup(who_does_not_ask_for_growth_gets_the_same_verdicts, begin),
        cmocka_unit_test_setup(each_gate_has_its_own_confidence, begin),
        cmocka_unit_test_setup(gates_not_asked_for_do_not_apply, begin),
        cmocka_unit_test_setup(a_failure_beats_undecided_beats_pass, begin),
        cmocka_unit_test_setup(counts_of_any_size_give_a_verdict, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
