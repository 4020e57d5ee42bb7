/*
 * Evidence of a stage: what pairs count for it when the totals fall, because noise was learnt or the report forgotten,
 * and over a restart.
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
