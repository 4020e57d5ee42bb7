/*
 * Evidence of a stage: what pairs count for it when the totals fall, because noise was learnt or the report forgotten,
 * and over a restart; what both sides do while the share is not in force; and what is saved.
 */
#include "tests/router/fixture.h"

#include "router/evidence.h"

struct meter {
    struct evidence_meter meter;
    struct route_counters sum;
};

static void begin(struct meter *m, uint64_t compared, uint64_t mismatched)
{
    memset(m, 0, sizeof(*m));
    evidence_begin(&m->meter, &m->sum, &(struct comparison_totals){compared, mismatched}, false);
}

static void check(struct meter *m, uint64_t compared, uint64_t mismatched, uint64_t expected_compared,
                  uint64_t expected_mismatched)
{
    const struct comparison_totals totals = {compared, mismatched};
    struct evidence evidence;
    evidence_follow(&m->meter, &totals);
    evidence_read(&m->meter, &m->sum, &totals, &evidence);
    assert_int_equal(evidence.pairs.compared, expected_compared);
    assert_int_equal(evidence.pairs.mismatched, expected_mismatched);
}

static void a_stage_counts_from_its_beginning(void **state)
{
    (void)state;
    struct meter m;
    begin(&m, 5000, 40);
    check(&m, 5000, 40, 0, 0);
    check(&m, 6000, 43, 1000, 3);
}

static void noise_that_is_learnt_is_taken_back(void **state)
{
    (void)state;
    struct meter m;
    begin(&m, 5000, 1000); /* all of it noise, not known yet */
    check(&m, 6000, 1210, 1000, 210);
    check(&m, 6000, 10, 1000, 10); /* known: 10 of this stage remain */
    check(&m, 7000, 12, 2000, 12);
}

static void noise_of_this_stage_is_taken_back(void **state)
{
    (void)state;
    struct meter m;
    begin(&m, 0, 0);
    check(&m, 1000, 300, 1000, 300);
    check(&m, 1000, 2, 1000, 2);
    check(&m, 2000, 5, 2000, 5);
}

static void real_differences_are_never_lost(void **state)
{
    (void)state;
    struct meter m;
    begin(&m, 5000, 500); /* truly different, and still so in the report */
    check(&m, 6000, 1010, 1000, 510);
    check(&m, 6000, 510, 1000, 510); /* 500 were noise of this stage: in doubt nothing is excused */
}

static void a_forgotten_report_begins_anew(void **state)
{
    (void)state;
    struct meter m;
    begin(&m, 5000, 500);
    check(&m, 6000, 510, 1000, 10);
    check(&m, 20, 1, 20, 1);
    check(&m, 5500, 3, 5500, 3); /* and is not counted from the former base */
}

static void a_restart_goes_on_where_the_totals_are(void **state)
{
    (void)state;
    struct meter m;
    struct evidence past = {.pairs = {1000, 210}};
    begin(&m, 6000, 1210);
    evidence_resume(&m.meter, &past, &(struct comparison_totals){6000, 1210});
    check(&m, 6000, 1210, 1000, 210);
    check(&m, 6100, 10, 1100, 10); /* noise learnt after the restart */
}

static void a_restart_without_the_totals_keeps_what_was_saved(void **state)
{
    (void)state;
    struct meter m;
    struct evidence past = {.pairs = {1000, 2}};
    begin(&m, 0, 0);
    evidence_resume(&m.meter, &past, &(struct comparison_totals){0, 0});
    check(&m, 0, 0, 1000, 2);
    check(&m, 50, 1, 1050, 3);
}

/* ---- exchanges ---- */

static void serve(struct meter *m, enum side side, uint64_t count, uint64_t resets, uint64_t latency_us)
{
    struct side_counters *counters = &m->sum.side[side];
    counters->judged += count;
    counters->errors += resets;
    counters->by_outcome[OUTCOME_OK] += count - resets;
    counters->by_outcome[OUTCOME_RESET] += resets;
    counters->latency.count[histogram_bucket(latency_us)] += count;
    counters->latency.sum_us += count * latency_us;
}

static struct evidence read_now(const struct meter *m)
{
    struct evidence evidence;
    evidence_read(&m->meter, &m->sum, &m->meter.seen, &evidence);
    return evidence;
}

static void check_side(const struct meter *m, enum side side, uint64_t judged, uint64_t errors)
{
    struct evidence evidence = read_now(m);
    assert_int_equal(evidence.side[side].judged, judged);
    assert_int_equal(evidence.side[side].errors, errors);
    assert_int_equal(evidence.side[side].unanswered, errors);
    assert_int_equal(histogram_total(&evidence.side[side].latency), judged);
}

static void only_what_got_no_answer_is_unanswered(void **state)
{
    (void)state;
    struct meter m;
    begin(&m, 0, 0);
    struct side_counters *new = &m.sum.side[SIDE_NEW];
    new->judged = 100;
    new->errors = 10; /* four of them answered with 500 */
    new->by_outcome[OUTCOME_OK] = 94;
    new->by_outcome[OUTCOME_CONNECT_FAILED] = 1;
    new->by_outcome[OUTCOME_TIMEOUT] = 2;
    new->by_outcome[OUTCOME_RESET] = 2;
    new->by_outcome[OUTCOME_BAD_RESPONSE] = 1;
    new->by_outcome[OUTCOME_CLIENT_GONE] = 50; /* not judged */
    new->by_outcome[OUTCOME_OVERLOADED] = 50;
    assert_int_equal(read_now(&m).side[SIDE_NEW].unanswered, 6);
    new->judged = 4; /* read while it was written */
    assert_int_equal(read_now(&m).side[SIDE_NEW].unanswered, 4);
    assert_int_equal(read_now(&m).side[SIDE_NEW].errors, 4);
}

static void what_is_done_without_the_share_is_not_compared(void **state)
{
    (void)state;
    struct meter m;
    struct comparison_totals pairs = {10, 1};
    begin(&m, 0, 0);
    serve(&m, SIDE_NEW, 100, 3, 1000);
    serve(&m, SIDE_LEGACY, 200, 1, 1000);
    evidence_skip(&m.meter, &m.sum, &pairs); /* passthrough came on */
    check_side(&m, SIDE_NEW, 100, 3);
    serve(&m, SIDE_LEGACY, 5000, 5000, 9000); /* an outage, with all traffic on legacy */
    check_side(&m, SIDE_LEGACY, 200, 1); /* also for who reads between two looks: a judge, or the state that is saved */
    pairs.compared = 15;
    evidence_skip(&m.meter, &m.sum, &pairs);
    serve(&m, SIDE_LEGACY, 5000, 5000, 9000);
    check_side(&m, SIDE_NEW, 100, 3);
    check_side(&m, SIDE_LEGACY, 200, 1);
    evidence_take_up(&m.meter, &m.sum);
    check_side(&m, SIDE_LEGACY, 200, 1);
    evidence_take_up(&m.meter, &m.sum); /* and takes nothing away when called again */
    serve(&m, SIDE_NEW, 10, 1, 1000);
    serve(&m, SIDE_LEGACY, 20, 2, 1000);
    evidence_take_up(&m.meter, &m.sum);
    check_side(&m, SIDE_NEW, 110, 4);
    check_side(&m, SIDE_LEGACY, 220, 3);
    evidence_skip(&m.meter, &m.sum, &pairs); /* a second time: what was gained in between stays */
    serve(&m, SIDE_NEW, 10, 10, 1000);
    evidence_skip(&m.meter, &m.sum, &pairs);
    check_side(&m, SIDE_NEW, 110, 4);
    check_side(&m, SIDE_LEGACY, 220, 3);
    assert_int_equal(read_now(&m).pairs.compared, 15); /* both sides were asked the same: these count on */
}

static void a_stage_that_begins_while_skipping_begins_empty(void **state)
{
    (void)state;
    struct meter m;
    const struct comparison_totals none = {0, 0};
    begin(&m, 0, 0);
    evidence_skip(&m.meter, &m.sum, &none);
    serve(&m, SIDE_LEGACY, 100, 0, 1000);
    evidence_begin(&m.meter, &m.sum, &none, true);
    serve(&m, SIDE_LEGACY, 100, 0, 1000);
    evidence_skip(&m.meter, &m.sum, &none);
    check_side(&m, SIDE_LEGACY, 0, 0);
    evidence_take_up(&m.meter, &m.sum);
    serve(&m, SIDE_LEGACY, 7, 0, 1000);
    check_side(&m, SIDE_LEGACY, 7, 0);
}

static void marks_are_of_the_stage(void **state)
{
    (void)state;
    struct meter m;
    struct marks marks[SIDES] = {0};
    struct marks *of_new = &marks[SIDE_NEW];
    const struct comparison_totals none = {0, 0};
    begin(&m, 0, 0);
    sketch_add(&of_new->keys, 1);
    sketch_add(&of_new->error_keys, 1);
    evidence_mark(&m.meter, marks);
    memset(marks, 0, sizeof(marks));
    sketch_add(&of_new->keys, 2);
    sketch_add(&of_new->paths, 3);
    sketch_add(&marks[SIDE_LEGACY].keys, 4);
    evidence_mark(&m.meter, marks);
    evidence_mark_pairs(&m.meter, of_new);
    struct evidence evidence = read_now(&m);
    assert_int_equal(sketch_count(&evidence.side[SIDE_NEW].marks.keys), 2);
    assert_int_equal(sketch_count(&evidence.side[SIDE_NEW].marks.error_keys), 1);
    assert_int_equal(sketch_count(&evidence.side[SIDE_NEW].marks.paths), 1);
    assert_int_equal(sketch_count(&evidence.side[SIDE_LEGACY].marks.keys), 1);
    assert_int_equal(sketch_count(&evidence.pair_marks.keys), 1);
    evidence_begin(&m.meter, &m.sum, &none, true);
    evidence = read_now(&m);
    assert_int_equal(sketch_count(&evidence.side[SIDE_NEW].marks.keys), 0);
    assert_int_equal(sketch_count(&evidence.pair_marks.keys), 0);
    assert_int_equal(sketch_count(&evidence.side[SIDE_LEGACY].marks.keys), 1); /* its record goes on */
    evidence_begin(&m.meter, &m.sum, &none, false);
    evidence = read_now(&m);
    assert_int_equal(sketch_count(&evidence.side[SIDE_LEGACY].marks.keys), 0);
}

static void marks_of_pairs_go_with_a_report_that_is_forgotten(void **state)
{
    (void)state;
    struct meter m;
    struct marks marks = {0};
    begin(&m, 0, 0);
    sketch_add(&marks.keys, 1);
    evidence_mark_pairs(&m.meter, &marks);
    evidence_follow(&m.meter, &(struct comparison_totals){9, 9});
    evidence_follow(&m.meter, &(struct comparison_totals){9, 2}); /* noise was learnt: of whom is not known */
    struct evidence evidence = read_now(&m);
    assert_int_equal(sketch_count(&evidence.pair_marks.keys), 1);
    evidence_follow(&m.meter, &(struct comparison_totals){0, 0});
    evidence = read_now(&m);
    assert_int_equal(sketch_count(&evidence.pair_marks.keys), 0);
}

static uint64_t crowd_total(const struct crowd *crowd, uint32_t part)
{
    uint64_t total = 0;
    for (uint32_t b = 0; b < CROWD_BUCKETS; b++)
        total += crowd->count[part][b];
    return total;
}

/* By clients and paths it is the same evidence: since the base, without what was skipped, and legacy's goes on. */
static void a_crowd_is_of_the_stage(void **state)
{
    (void)state;
    struct meter m;
    const struct comparison_totals none = {0, 0};
    memset(&m, 0, sizeof(m));
    struct crowd *of_new = &m.sum.side[SIDE_NEW].crowd;
    struct crowd *of_legacy = &m.sum.side[SIDE_LEGACY].crowd;
    crowd_add(of_new, 0, 0, 1000); /* before the stage */
    evidence_begin(&m.meter, &m.sum, &none, false);
    crowd_add(of_new, 0, 0xffff, 1000);
    crowd_add(of_legacy, 0x2000, 0, 1000);
    struct evidence evidence = read_now(&m);
    assert_int_equal(crowd_total(&evidence.side[SIDE_NEW].crowd, 0), 1);
    assert_int_equal(crowd_total(&evidence.side[SIDE_NEW].crowd, CROWD_PARTS - 1), 1);
    assert_int_equal(crowd_total(&evidence.side[SIDE_LEGACY].crowd, 1), 1);
    assert_int_equal(crowd_total(&evidence.side[SIDE_LEGACY].crowd, CROWD_OF_EACH), 1);
    evidence_skip(&m.meter, &m.sum, &none);
    crowd_add(of_new, 0, 0, 1000);
    evidence_take_up(&m.meter, &m.sum);
    evidence = read_now(&m);
    assert_int_equal(crowd_total(&evidence.side[SIDE_NEW].crowd, 0), 1);
    evidence_begin(&m.meter, &m.sum, &none, true);
    evidence = read_now(&m);
    assert_int_equal(crowd_total(&evidence.side[SIDE_NEW].crowd, 0), 0);
    assert_int_equal(crowd_total(&evidence.side[SIDE_LEGACY].crowd, 1), 1);
}

/* ---- what is saved ---- */

static void fill(struct evidence *evidence)
{
    uint64_t random = 3;
    memset(evidence, 0, sizeof(*evidence));
    for (int side = 0; side < SIDES; side++) {
        struct evidence_side *to = &evidence->side[side];
        to->judged = 5000;
        to->errors = 40 + (uint64_t)side;
        to->unanswered = 11;
        for (int i = 0; i < 5000; i++) {
            uint64_t us = next_random(&random) % 300000;
            histogram_add(&to->latency, us);
            crowd_add(&to->crowd, (uint16_t)next_random(&random), (uint16_t)next_random(&random), us);
        }
        sketch_add(&to->marks.error_paths, 5 + (uint32_t)side);
    }
    evidence->pairs = (struct comparison_totals){77, 5};
    for (uint32_t i = 0; i < 500; i++) {
        sketch_add(&evidence->side[SIDE_NEW].marks.keys, (uint32_t)next_random(&random));
        sketch_add(&evidence->side[SIDE_NEW].marks.paths, (uint32_t)next_random(&random) % 5);
    }
    sketch_add(&evidence->side[SIDE_NEW].marks.error_keys, 1023); /* slow_keys stays empty */
    sketch_add(&evidence->pair_marks.keys, 900);
    sketch_add(&evidence->side[SIDE_NEW].marks.lost_paths, 7);
}

static void what_is_saved_is_read_back(void **state)
{
    (void)state;
    struct evidence evidence;
    struct evidence back;
    fill(&evidence);
    json_t *json = evidence_save(&evidence);
    assert_non_null(json);
    assert_true(evidence_load(json, &back));
    assert_memory_equal(&back, &evidence, sizeof(back));
    json_decref(json);
    memset(&evidence, 0, sizeof(evidence));
    json = evidence_save(&evidence);
    assert_true(evidence_load(json, &back));
    assert_memory_equal(&back, &evidence, sizeof(back));
    json_decref(json);
}

/* As version 0.1 wrote it: 16 buckets to each power of two, no marks. */
static void what_the_first_version_saved_is_still_read(void **state)
{
    (void)state;
    static const char old[] =
        "{\"legacy\": {\"judged\": 20, \"errors\": 1, \"sum_us\": 900, \"latency\": [[7, 3], [20, 6], [32, 1], [463, "
        "10]]},"
        " \"new\": {\"judged\": 1000, \"errors\": 0, \"sum_us\": 1, \"latency\": [[112, 501], [113, 499]]},"
        " \"compared\": 9, \"mismatched\": 2}";
    json_t *json = json_loads(old, 0, NULL);
    struct evidence evidence;
    assert_true(evidence_load(json, &evidence));
    json_decref(json);
    assert_int_equal(evidence.side[SIDE_LEGACY].judged, 20);
    assert_int_equal(evidence.side[SIDE_LEGACY].errors, 1);
    assert_int_equal(evidence.side[SIDE_LEGACY].unanswered, 0);
    assert_int_equal(evidence.pairs.mismatched, 2);
    assert_int_equal(sketch_count(&evidence.side[SIDE_NEW].marks.keys), 0);
    const struct histogram *latency = &evidence.side[SIDE_LEGACY].latency;
    assert_int_equal(latency->count[histogram_bucket(7)], 3);
    assert_int_equal(latency->count[histogram_bucket(20)], 6); /* held one value then, and does now */
    assert_int_equal(latency->count[histogram_bucket(32)], 0); /* 32 or 33: the odd one counts as slower */
    assert_int_equal(latency->count[histogram_bucket(33)], 1);
    assert_int_equal(latency->count[HISTOGRAM_BUCKETS - 2], 5);
    assert_int_equal(latency->count[HISTOGRAM_BUCKETS - 1], 5);
    assert_int_equal(latency->sum_us, 900);
    latency = &evidence.side[SIDE_NEW].latency; /* 1024 to 1087, 1088 to 1151 */
    assert_int_equal(latency->count[histogram_bucket(1024)], 250);
    assert_int_equal(latency->count[histogram_bucket(1056)], 251);
    assert_int_equal(latency->count[histogram_bucket(1088)], 249);
    assert_int_equal(latency->count[histogram_bucket(1120)], 250);
    assert_int_equal(histogram_total(latency), 1000);
}

static void damaged_evidence_is_refused(void **state)
{
    (void)state;
    static const char *const damages[] = {
        "{\"new\": {\"errors\": 5001}}",
        "{\"new\": {\"unanswered\": 5001}}",
        "{\"new\": {\"unanswered\": \"1\"}}",
        "{\"new\": {\"unanswered\": -1}}",
        "{\"new\": {\"steps\": 16}}",
        "{\"new\": {\"latency\": [[896, 1]]}}",
        "{\"new\": {\"latency\": [[-1, 1]]}}",
        "{\"new\": {\"latency\": {}}}",
        "{\"mismatched\": 78}",
        "{\"marks\": []}",
        "{\"marks\": {\"keys\": \"00\"}}",
        "{\"marks\": {\"keys\": 3}}",
        "{\"legacy_marks\": {\"keys\": 3}}",
        "{\"pair_marks\": {\"keys\": 3}}",
        "{\"new\": {\"crowd\": {}}}",
        "{\"new\": {\"crowd\": [[1792, 1]]}}",
        "{\"new\": {\"crowd\": [[-1, 1]]}}",
        "{\"new\": {\"crowd\": [[0, -1]]}}",
        "{\"new\": {\"crowd\": [[0, 4294967296]]}}",
        "{\"new\": {\"crowd\": [[0]]}}",
        "{\"new\": {\"crowd_of\": 56}}",
    };
    struct evidence evidence;
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        fill(&evidence);
        json_t *json = evidence_save(&evidence);
        json_t *damage = json_loads(damages[i], 0, NULL);
        assert_non_null(damage);
        assert_int_equal(json_object_update_recursive(json, damage), 0);
        assert_false(evidence_load(json, &evidence));
        json_decref(damage);
        json_decref(json);
    }
    fill(&evidence);
    json_t *json = evidence_save(&evidence);
    char text[SKETCH_WORDS * 16 + 1];
    memset(text, '0', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    text[77] = 'g';
    json_object_set_new(json_object_get(json, "marks"), "paths", json_string(text));
    assert_false(evidence_load(json, &evidence));
    json_decref(json);
    json = json_loads("{\"judged\": 5, \"errors\": 0, \"sum_us\": 0, \"latency\": [[464, 5]]}", 0, NULL);
    json_t *old = json_pack("{s:O, s:o, s:i, s:i}", "legacy", json, "new", json, "compared", 0, "mismatched", 0);
    assert_false(evidence_load(old, &evidence)); /* the old layout had fewer buckets */
    json_decref(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stage_counts_from_its_beginning),
        cmocka_unit_test(noise_that_is_learnt_is_taken_back),
        cmocka_unit_test(noise_of_this_stage_is_taken_back),
        cmocka_unit_test(real_differences_are_never_lost),
        cmocka_unit_test(a_forgotten_report_begins_anew),
        cmocka_unit_test(a_restart_goes_on_where_the_totals_are),
        cmocka_unit_test(a_restart_without_the_totals_keeps_what_was_saved),
        cmocka_unit_test(only_what_got_no_answer_is_unanswered),
        cmocka_unit_test(what_is_done_without_the_share_is_not_compared),
        cmocka_unit_test(a_stage_that_begins_while_skipping_begins_empty),
        cmocka_unit_test(marks_are_of_the_stage),
        cmocka_unit_test(marks_of_pairs_go_with_a_report_that_is_forgotten),
        cmocka_unit_test(a_crowd_is_of_the_stage),
        cmocka_unit_test(what_is_saved_is_read_back),
        cmocka_unit_test(what_the_first_version_saved_is_still_read),
        cmocka_unit_test(damaged_evidence_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
