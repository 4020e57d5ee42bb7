/* The plan by itself: every verb in every phase, and what an edited file does to a plan under way. */
#include "fixture.h"

#include <errno.h>

#include "router/plan.h"

static struct config_stage four[] = {
    {.name = "shadow", .percent = 0, .shadow = SHARE_ALL, .hold_ms = 1000},
    {.name = "canary", .percent = 1000, .shadow = SHARE_ALL, .hold_ms = 1000},
    {.name = "half", .percent = 5000, .hold_ms = 1000},
    {.name = "all", .percent = SHARE_ALL, .hold_ms = 1000},
};
static const struct config_route staged = {
    .name = "r", .stages = four, .stage_count = 4, .start_by_hand = true, .on_failure = {FAILURE_ZERO, 0, 3}};
static const struct config_route fixed = {.name = "r", .percent = 2500, .shadow = {.percent = 300}};

static struct plan plan_in(enum plan_phase phase)
{
    struct plan plan = {0};
    const char *why;
    plan_begin(&plan, phase == PLAN_FIXED ? &fixed : &staged, 1);
    if (phase == PLAN_FIXED || phase == PLAN_WAITING)
        return plan;
    assert_int_equal(plan_start(&plan, &staged, 2, &why), 0);
    plan_advance(&plan, &staged, 2); /* canary */
    plan.held_ms = 77;
    plan.phase = phase;
    if (phase == PLAN_ROLLED_BACK)
        plan.percent = 0;
    if (phase == PLAN_DONE)
        plan = (struct plan){.phase = PLAN_DONE, .stage = 3, .percent = SHARE_ALL};
    return plan;
}

enum {
    START,
    PROMOTE,
    PAUSE,
    FREEZE,
    RESUME,
    ROLLBACK,
    RESTART,
    SET_PERCENT,
    ACTIONS
};

static int act(struct plan *plan, int action, const char **why)
{
    const struct config_route *config = plan->phase == PLAN_FIXED ? &fixed : &staged;
    switch (action) {
    case START:
        return plan_start(plan, config, 9, why);
    case PROMOTE:
        return plan_promote(plan, config, 9, why);
    case PAUSE:
        return plan_pause(plan, why);
    case FREEZE:
        return plan_freeze(plan, why);
    case RESUME:
        return plan_resume(plan, config, 9, why);
    case ROLLBACK:
        return plan_roll_back(plan, why);
    case RESTART:
        return plan_restart(plan, config, 9, why);
    default:
        return plan_set_percent(plan, config, 3000, 9, why);
    }
}

static void every_verb_in_every_phase(void **state)
{
    (void)state;
    /* result, and phase and share after it */
    static const struct {
        int result;
        enum plan_phase phase;
        uint32_t percent;
    } expected[PLAN_PHASES][ACTIONS] = {
        [PLAN_FIXED] = {[START] = {-EPERM, PLAN_FIXED, 2500},
                        [PROMOTE] = {-EPERM, PLAN_FIXED, 2500},
                        [PAUSE] = {-EPERM, PLAN_FIXED, 2500},
                        [FREEZE] = {-EPERM, PLAN_FIXED, 2500},
                        [RESUME] = {-EALREADY, PLAN_FIXED, 2500},
                        [ROLLBACK] = {0, PLAN_ROLLED_BACK, 0},
                        [RESTART] = {-EPERM, PLAN_FIXED, 2500},
                        [SET_PERCENT] = {0, PLAN_FIXED, 3000}},
        [PLAN_WAITING] = {[START] = {0, PLAN_RUNNING, 0},
                          [PROMOTE] = {-EPERM, PLAN_WAITING, 0},
                          [PAUSE] = {-EPERM, PLAN_WAITING, 0},
                          [FREEZE] = {-EPERM, PLAN_WAITING, 0},
                          [RESUME] = {-EPERM, PLAN_WAITING, 0},
                          [ROLLBACK] = {0, PLAN_ROLLED_BACK, 0},
                          [RESTART] = {-EPERM, PLAN_WAITING, 0},
                          [SET_PERCENT] = {-EPERM, PLAN_WAITING, 0}},
        [PLAN_RUNNING] = {[START] = {-EALREADY, PLAN_RUNNING, 1000},
                          [PROMOTE] = {0, PLAN_RUNNING, 5000},
                          [PAUSE] = {0, PLAN_PAUSED, 1000},
                          [FREEZE] = {0, PLAN_FROZEN, 1000},
                          [RESUME] = {-EALREADY, PLAN_RUNNING, 1000},
                          [ROLLBACK] = {0, PLAN_ROLLED_BACK, 0},
                          [RESTART] = {0, PLAN_RUNNING, 0},
                          [SET_PERCENT] = {0, PLAN_PAUSED, 3000}},
        [PLAN_PAUSED] = {[START] = {-EALREADY, PLAN_PAUSED, 1000},
                         [PROMOTE] = {-EPERM, PLAN_PAUSED, 1000},
                         [PAUSE] = {-EALREADY, PLAN_PAUSED, 1000},
                         [FREEZE] = {0, PLAN_FROZEN, 1000},
                         [RESUME] = {0, PLAN_RUNNING, 1000},
                         [ROLLBACK] = {0, PLAN_ROLLED_BACK, 0},
                         [RESTART] = {0, PLAN_RUNNING, 0},
                         [SET_PERCENT] = {0, PLAN_PAUSED, 3000}},
        [PLAN_FROZEN] = {[START] = {-EALREADY, PLAN_FROZEN, 1000},
                         [PROMOTE] = {-EPERM, PLAN_FROZEN, 1000},
                         [PAUSE] = {-EPERM, PLAN_FROZEN, 1000},
                         [FREEZE] = {-EALREADY, PLAN_FROZEN, 1000},
                         [RESUME] = {0, PLAN_RUNNING, 1000},
                         [ROLLBACK] = {0, PLAN_ROLLED_BACK, 0},
                         [RESTART] = {0, PLAN_RUNNING, 0},
                         [SET_PERCENT] = {0, PLAN_FROZEN, 3000}},
        [PLAN_ROLLED_BACK] = {[START] = {-EALREADY, PLAN_ROLLED_BACK, 0},
                              [PROMOTE] = {-EPERM, PLAN_ROLLED_BACK, 0},
                              [PAUSE] = {-EPERM, PLAN_ROLLED_BACK, 0},
                              [FREEZE] = {-EPERM, PLAN_ROLLED_BACK, 0},
                              [RESUME] = {0, PLAN_RUNNING, 0},
                              [ROLLBACK] = {-EALREADY, PLAN_ROLLED_BACK, 0},
                              [RESTART] = {0, PLAN_RUNNING, 0},
                              [SET_PERCENT] = {-EPERM, PLAN_ROLLED_BACK, 0}},
        [PLAN_DONE] = {[START] = {-EALREADY, PLAN_DONE, SHARE_ALL},
                       [PROMOTE] = {-EALREADY, PLAN_DONE, SHARE_ALL},
                       [PAUSE] = {-EPERM, PLAN_DONE, SHARE_ALL},
                       [FREEZE] = {-EPERM, PLAN_DONE, SHARE_ALL},
                       [RESUME] = {-EALREADY, PLAN_DONE, SHARE_ALL},
                       [ROLLBACK] = {0, PLAN_ROLLED_BACK, 0},
                       [RESTART] = {0, PLAN_RUNNING, 0},
                       [SET_PERCENT] = {0, PLAN_PAUSED, 3000}},
    };
    for (int phase = 0; phase < PLAN_PHASES; phase++) {
        for (int action = 0; action < ACTIONS; action++) {
            struct plan plan = plan_in((enum plan_phase)phase);
            struct plan before = plan;
            const char *why = NULL;
            int result = act(&plan, action, &why);
            assert_int_equal(result, expected[phase][action].result);
            assert_int_equal(plan.phase, expected[phase][action].phase);
            assert_int_equal(plan.percent, expected[phase][action].percent);
            if (result != 0) {
                assert_non_null(why);
                assert_memory_equal(&plan, &before, sizeof(plan));
            }
        }
    }
}

/* ---- falling ---- */

static struct config_route falling(enum config_failure_to to, uint64_t ramp_ms)
{
    struct config_route config = staged;
    config.on_failure = (struct config_on_failure){to, ramp_ms, 2};
    return config;
}

static void every_fall_in_every_phase(void **state)
{
    (void)state;
    static const struct {
        const char *what; /* NULL: nothing happens */
        enum plan_phase phase;
        uint32_t percent;
    } expected[PLAN_PHASES][FAILURE_FREEZE + 1] = {
        [PLAN_FIXED] = {[FAILURE_TELL] = {NULL, PLAN_FIXED, 2500},
                        [FAILURE_ZERO] = {"rollback", PLAN_ROLLED_BACK, 0},
                        [FAILURE_PREVIOUS] = {"rollback", PLAN_ROLLED_BACK, 0},
                        [FAILURE_FREEZE] = {NULL, PLAN_FIXED, 2500}},
        [PLAN_WAITING] = {[FAILURE_TELL] = {NULL, PLAN_WAITING, 0},
                          [FAILURE_ZERO] = {NULL, PLAN_WAITING, 0},
                          [FAILURE_PREVIOUS] = {NULL, PLAN_WAITING, 0},
                          [FAILURE_FREEZE] = {NULL, PLAN_WAITING, 0}},
        [PLAN_RUNNING] = {[FAILURE_TELL] = {NULL, PLAN_RUNNING, 1000},
                          [FAILURE_ZERO] = {"rollback", PLAN_ROLLED_BACK, 0},
                          [FAILURE_PREVIOUS] = {"step_back", PLAN_RUNNING, 0},
                          [FAILURE_FREEZE] = {"freeze", PLAN_FROZEN, 1000}},
        [PLAN_PAUSED] = {[FAILURE_TELL] = {NULL, PLAN_PAUSED, 1000},
                         [FAILURE_ZERO] = {"rollback", PLAN_ROLLED_BACK, 0},
                         [FAILURE_PREVIOUS] = {"step_back", PLAN_PAUSED, 0},
                         [FAILURE_FREEZE] = {"freeze", PLAN_FROZEN, 1000}},
        [PLAN_FROZEN] = {[FAILURE_TELL] = {NULL, PLAN_FROZEN, 1000},
                         [FAILURE_ZERO] = {NULL, PLAN_FROZEN, 1000},
                         [FAILURE_PREVIOUS] = {NULL, PLAN_FROZEN, 1000},
                         [FAILURE_FREEZE] = {NULL, PLAN_FROZEN, 1000}},
        [PLAN_ROLLED_BACK] = {[FAILURE_TELL] = {NULL, PLAN_ROLLED_BACK, 0},
                              [FAILURE_ZERO] = {NULL, PLAN_ROLLED_BACK, 0},
                              [FAILURE_PREVIOUS] = {NULL, PLAN_ROLLED_BACK, 0},
                              [FAILURE_FREEZE] = {NULL, PLAN_ROLLED_BACK, 0}},
        [PLAN_DONE] = {[FAILURE_TELL] = {NULL, PLAN_DONE, SHARE_ALL},
                       [FAILURE_ZERO] = {"rollback", PLAN_ROLLED_BACK, 0},
                       [FAILURE_PREVIOUS] = {"step_back", PLAN_RUNNING, 5000},
                       [FAILURE_FREEZE] = {"freeze", PLAN_FROZEN, SHARE_ALL}},
    };
    for (int phase = 0; phase < PLAN_PHASES; phase++) {
        for (int to = FAILURE_TELL; to <= (int)FAILURE_FREEZE; to++) {
            struct config_route config = phase == PLAN_FIXED ? fixed : falling((enum config_failure_to)to, 0);
            struct plan plan = plan_in((enum plan_phase)phase);
            struct plan before = plan;
            const char *what = plan_fall(&plan, &config, (enum config_failure_to)to, plan.percent, 9);
            assert_int_equal(plan.phase, expected[phase][to].phase);
            assert_int_equal(plan.percent, expected[phase][to].percent);
            if (expected[phase][to].what != NULL) {
                assert_string_equal(what, expected[phase][to].what);
            } else {
                assert_null(what);
                assert_memory_equal(&plan, &before, sizeof(plan));
            }
        }
    }
}

static void steps_back_in_a_row_end_in_a_rollback(void **state)
{
    (void)state;
    struct config_route config = falling(FAILURE_PREVIOUS, 0);
    struct plan plan = plan_in(PLAN_RUNNING);
    plan_advance(&plan, &config, 3); /* half */
    for (uint32_t i = 1; i <= 2; i++) {
        assert_string_equal(plan_fall(&plan, &config, FAILURE_PREVIOUS, plan.percent, 4), "step_back");
        assert_int_equal(plan.percent, 1000);
        assert_int_equal(plan.steps_back, i);
        assert_int_equal(plan.held_ms, 0);
        plan_advance(&plan, &config, 5); /* canary passes again, which does not end the row ... */
        assert_int_equal(plan.steps_back, i);
    }
    struct plan beyond = plan;
    plan_advance(&beyond, &config, 6); /* ... but a share above that it fell from does */
    assert_int_equal(beyond.steps_back, 0);
    assert_string_equal(plan_fall(&plan, &config, FAILURE_PREVIOUS, plan.percent, 7), "rollback");
    assert_int_equal(plan.phase, PLAN_ROLLED_BACK);
    const char *why;
    assert_int_equal(plan_resume(&plan, &config, 8, &why), 0);
    assert_int_equal(plan.steps_back, 0);
}

static void a_step_back_never_raises_the_share(void **state)
{
    (void)state;
    struct config_stage odd[] = {{.name = "a", .percent = 5000}, {.name = "b", .percent = 1000}};
    struct config_route config = falling(FAILURE_PREVIOUS, 0);
    config.stages = odd;
    config.stage_count = 2;
    struct plan plan = {.phase = PLAN_RUNNING, .stage = 1, .percent = 1000};
    assert_string_equal(plan_fall(&plan, &config, FAILURE_PREVIOUS, 1000, 9), "step_back");
    assert_int_equal(plan.stage, 0);
    assert_int_equal(plan.percent, 1000);
}

static void a_way_down_has_ten_equal_steps(void **state)
{
    (void)state;
    struct config_route config = falling(FAILURE_ZERO, 9000);
    struct plan plan = plan_in(PLAN_RUNNING);
    assert_string_equal(plan_fall(&plan, &config, FAILURE_ZERO, 1000, 9), "rollback");
    assert_int_equal(plan.percent, 0);
    for (uint32_t step = 9; step > 0; step--) {
        assert_int_equal(plan_share(&plan), step * 100);
        plan_pass_time(&plan, 999);
        assert_int_equal(plan_share(&plan), step * 100);
        plan_pass_time(&plan, 1);
    }
    assert_int_equal(plan_share(&plan), 0);
    assert_int_equal(plan.ramp.length_ms, 0);
}

static void a_way_down_begins_at_the_share_in_force(void **state)
{
    (void)state;
    const char *why;
    struct config_route config = falling(FAILURE_PREVIOUS, 9000);
    struct plan plan = plan_in(PLAN_RUNNING);
    plan_advance(&plan, &config, 3); /* half */
    assert_string_equal(plan_fall(&plan, &config, FAILURE_PREVIOUS, 2000, 9), "step_back");
    assert_int_equal(plan_share(&plan), 1900);
    assert_string_equal(plan_fall(&plan, &config, FAILURE_ZERO, 1900, 10), "rollback"); /* and again, on its way */
    assert_int_equal(plan_share(&plan), 1710);
    assert_int_equal(plan_roll_back(&plan, &why), 0); /* a person cannot wait */
    assert_int_equal(plan_share(&plan), 0);
    assert_int_equal(plan_roll_back(&plan, &why), -EALREADY);

    plan = plan_in(PLAN_RUNNING); /* the breaker had taken all */
    assert_string_equal(plan_fall(&plan, &config, FAILURE_ZERO, 0, 9), "rollback");
    assert_int_equal(plan_share(&plan), 0);
    assert_int_equal(plan.ramp.length_ms, 0);
}

static void the_shortest_way_down_is_never_longer_than_its_time(void **state)
{
    (void)state;
    for (uint64_t length_ms = 1; length_ms < 40; length_ms++) {
        struct config_route config = falling(FAILURE_ZERO, length_ms);
        struct plan plan = plan_in(PLAN_RUNNING);
        (void)plan_fall(&plan, &config, FAILURE_ZERO, 1000, 9);
        uint32_t last = 1000;
        for (uint64_t ms = 0; ms < length_ms; ms++) {
            assert_true(plan_share(&plan) <= last && plan_share(&plan) < 1000);
            last = plan_share(&plan);
            plan_pass_time(&plan, 1);
        }
        assert_int_equal(plan_share(&plan), 0);
    }
}

/* ---- deadlines ---- */

static void a_deadline_belongs_to_one_entry_of_a_stage(void **state)
{
    (void)state;
    struct config_stage stages[4];
    memcpy(stages, four, sizeof(four));
    stages[1].deadline_ms = 5000;
    struct config_route config = staged;
    config.stages = stages;
    uint64_t at_ms = 0;
    const char *why;
    static const enum plan_phase with[] = {PLAN_RUNNING, PLAN_PAUSED, PLAN_FROZEN};
    for (int phase = 0; phase < PLAN_PHASES; phase++) {
        struct plan plan = plan_in((enum plan_phase)phase);
        bool expected = false;
        for (int i = 0; i < 3; i++)
            expected = expected || phase == (int)with[i];
        assert_int_equal(plan_deadline(&plan, phase == PLAN_FIXED ? &fixed : &config, &at_ms), expected);
    }
    struct plan plan = plan_in(PLAN_RUNNING);
    assert_true(plan_deadline(&plan, &config, &at_ms));
    assert_int_equal(at_ms, 2 + 5000);
    plan.deadline_over = true;
    assert_false(plan_deadline(&plan, &config, &at_ms));
    assert_int_equal(plan_pause(&plan, &why), 0);
    assert_int_equal(plan_resume(&plan, &config, 9, &why), 0); /* the stage goes on: it has had its deadline */
    assert_false(plan_deadline(&plan, &config, &at_ms));
    assert_int_equal(plan_freeze(&plan, &why), 0);
    assert_int_equal(plan_resume(&plan, &config, 100, &why), 0); /* and this begins it anew */
    assert_true(plan_deadline(&plan, &config, &at_ms));
    assert_int_equal(at_ms, 100 + 5000);
    assert_int_equal(plan.held_ms, 0);
}

static void a_plan_that_waits_mirrors_nothing(void **state)
{
    (void)state;
    const char *why;
    struct plan plan = plan_in(PLAN_WAITING);
    assert_int_equal(plan_shadow(&plan, &staged), 0);
    assert_int_equal(plan_start(&plan, &staged, 5, &why), 0);
    assert_int_equal(plan_shadow(&plan, &staged), SHARE_ALL);
    assert_int_equal(plan.entered_wall_ms, 5);
}

static void resuming_at_the_stages_share_goes_on_holding(void **state)
{
    (void)state;
    const char *why;
    struct plan plan = plan_in(PLAN_PAUSED);
    uint32_t entries = plan.entries;
    assert_int_equal(plan_resume(&plan, &staged, 9, &why), 0);
    assert_int_equal(plan.held_ms, 77);
    assert_int_equal(plan.entries, entries);
    assert_int_equal(plan_set_percent(&plan, &staged, 700, 9, &why), 0); /* below canary: the stage of that share */
    assert_string_equal(plan_stage_name(&plan, &staged), "shadow");
    assert_int_equal(plan.percent, 700);
    assert_int_equal(plan_resume(&plan, &staged, 9, &why), 0);
    assert_int_equal(plan.percent, 0);
    assert_int_equal(plan.held_ms, 0);
    assert_true(plan.entries > entries);
}

static void percentages_above_100_are_refused(void **state)
{
    (void)state;
    const char *why;
    struct plan plan = plan_in(PLAN_RUNNING);
    assert_int_equal(plan_set_percent(&plan, &staged, SHARE_ALL + 1, 9, &why), -EINVAL);
    assert_int_equal(plan_set_percent(&plan, &staged, SHARE_ALL, 9, &why), 0);
    assert_int_equal(plan_set_percent(&plan, &staged, SHARE_ALL, 9, &why), -EALREADY);
}

static void the_last_stage_left_is_done(void **state)
{
    (void)state;
    struct plan plan = plan_in(PLAN_WAITING);
    const char *why;
    assert_int_equal(plan_start(&plan, &staged, 1, &why), 0);
    static const uint32_t shares[] = {0, 1000, 5000, SHARE_ALL};
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(plan.phase, PLAN_RUNNING);
        assert_int_equal(plan.percent, shares[i]);
        assert_int_equal(plan_promote(&plan, &staged, 2, &why), 0);
    }
    assert_int_equal(plan.phase, PLAN_DONE);
    assert_int_equal(plan.percent, SHARE_ALL);
}

/* ---- an edited file ---- */

static struct plan adopted(struct plan plan, const struct config_route *from, const struct config_route *to)
{
    struct plan_past past = plan_past_of(&plan, from);
    plan_adopt(&plan, &past, to, 50);
    return plan;
}

static void a_stage_is_found_again_by_its_name(void **state)
{
    (void)state;
    struct config_stage edited[] = {
        {.name = "canary", .percent = 1000},
        {.name = "new one", .percent = 2000},
        {.name = "half", .percent = 5000},
    };
    struct config_route file = {.stages = edited, .stage_count = 3};
    struct plan plan = plan_in(PLAN_RUNNING);
    uint32_t entries = plan.entries;
    plan = adopted(plan, &staged, &file);
    assert_int_equal(plan.stage, 0);
    assert_int_equal(plan.percent, 1000);
    assert_int_equal(plan.held_ms, 77); /* the same stage: its hold goes on */
    assert_int_equal(plan.entries, entries);
}

static void a_stage_that_is_gone_becomes_the_largest_not_above_its_share(void **state)
{
    (void)state;
    struct config_stage edited[] = {{.name = "a", .percent = 0},
                                    {.name = "b", .percent = 900},
                                    {.name = "c", .percent = 900},
                                    {.name = "d", .percent = 1100}};
    struct config_route file = {.stages = edited, .stage_count = 4};
    struct plan plan = plan_in(PLAN_RUNNING);
    uint32_t entries = plan.entries;
    plan = adopted(plan, &staged, &file);
    assert_string_equal(plan_stage_name(&plan, &file), "b");
    assert_int_equal(plan.percent, 900);
    assert_int_equal(plan.held_ms, 0);
    assert_true(plan.entries > entries);

    struct config_stage higher[] = {{.name = "x", .percent = 3000}, {.name = "y", .percent = 6000}};
    file = (struct config_route){.stages = higher, .stage_count = 2};
    plan = adopted(plan_in(PLAN_RUNNING), &staged, &file);
    assert_string_equal(plan_stage_name(&plan, &file), "x");
    assert_int_equal(plan.percent, 1000); /* it never jumps up */
}

static void a_raised_stage_keeps_its_share_until_it_is_passed(void **state)
{
    (void)state;
    struct config_stage edited[] = {
        {.name = "shadow", .percent = 0}, {.name = "canary", .percent = 2000}, {.name = "half", .percent = 5000}};
    struct config_route file = {.stages = edited, .stage_count = 3};
    struct plan plan = adopted(plan_in(PLAN_RUNNING), &staged, &file);
    assert_int_equal(plan.percent, 1000);
    plan = adopted(plan, &file, &file); /* another reload changes nothing */
    assert_int_equal(plan.percent, 1000);
    plan_advance(&plan, &file, 60); /* a pass: first to the stage's own share */
    assert_int_equal(plan.stage, 1);
    assert_int_equal(plan.percent, 2000);
    plan_advance(&plan, &file, 61);
    assert_int_equal(plan.percent, 5000);
}

static void a_lowered_stage_is_followed_at_once(void **state)
{
    (void)state;
    struct config_stage edited[] = {{.name = "shadow", .percent = 0}, {.name = "canary", .percent = 500}};
    struct config_route file = {.stages = edited, .stage_count = 2};
    assert_int_equal(adopted(plan_in(PLAN_RUNNING), &staged, &file).percent, 500);
    assert_int_equal(adopted(plan_in(PLAN_PAUSED), &staged, &file).percent, 500);
    assert_int_equal(adopted(plan_in(PLAN_PAUSED), &staged, &file).phase, PLAN_PAUSED);
}

static void a_paused_share_of_a_person_outlives_reloads(void **state)
{
    (void)state;
    const char *why;
    struct plan plan = plan_in(PLAN_RUNNING);
    assert_int_equal(plan_set_percent(&plan, &staged, 3000, 9, &why), 0);
    plan = adopted(plan, &staged, &staged);
    assert_int_equal(plan.percent, 3000);
    assert_int_equal(plan.phase, PLAN_PAUSED);
}

static void rolled_back_stays_rolled_back(void **state)
{
    (void)state;
    struct plan plan = adopted(plan_in(PLAN_ROLLED_BACK), &staged, &fixed);
    assert_int_equal(plan.phase, PLAN_ROLLED_BACK);
    assert_int_equal(plan.percent, 0);
    plan = adopted(plan, &fixed, &staged);
    assert_int_equal(plan.phase, PLAN_ROLLED_BACK);
    assert_int_equal(plan.percent, 0);
    const char *why;
    assert_int_equal(plan_resume(&plan, &staged, 9, &why), 0);
    assert_int_equal(plan.percent, 0);
    assert_int_equal(plan.stage, 0);
}

static void what_a_person_has_stopped_stays_stopped(void **state)
{
    (void)state;
    struct config_stage edited[] = {{.name = "x", .percent = 500}, {.name = "y", .percent = 6000}};
    struct config_route file = {.stages = edited, .stage_count = 2};
    struct plan plan = adopted(plan_in(PLAN_FROZEN), &staged, &file);
    assert_int_equal(plan.phase, PLAN_FROZEN);
    assert_int_equal(plan.percent, 1000);
    plan =
        adopted(plan_in(PLAN_WAITING), &staged, &file); /* it says `start: manual` no more: it takes a person still */
    assert_int_equal(plan.phase, PLAN_WAITING);
    assert_int_equal(plan.percent, 0);
    plan = adopted(plan_in(PLAN_WAITING), &staged, &fixed); /* a fixed share is the file's */
    assert_int_equal(plan.phase, PLAN_FIXED);
    assert_int_equal(plan.percent, 2500);
}

static void a_way_down_goes_on_over_a_reload(void **state)
{
    (void)state;
    struct config_route config = falling(FAILURE_ZERO, 9000);
    struct plan plan = plan_in(PLAN_RUNNING);
    (void)plan_fall(&plan, &config, FAILURE_ZERO, 1000, 9);
    plan_pass_time(&plan, 4000);
    struct config_stage edited[] = {{.name = "x", .percent = 9000}};
    struct config_route file = {.stages = edited, .stage_count = 1};
    assert_int_equal(plan_share(&plan), 500);
    plan = adopted(plan, &staged, &file);
    assert_int_equal(plan.phase, PLAN_ROLLED_BACK);
    assert_int_equal(plan_share(&plan), 500);
}

static void done_runs_again_when_stages_are_added(void **state)
{
    (void)state;
    struct config_stage more[5];
    memcpy(more, four, sizeof(four));
    more[4] = (struct config_stage){.name = "more", .percent = SHARE_ALL};
    struct config_route file = {.stages = more, .stage_count = 5};
    assert_int_equal(adopted(plan_in(PLAN_DONE), &staged, &staged).phase, PLAN_DONE);
    struct plan plan = adopted(plan_in(PLAN_DONE), &staged, &file);
    assert_int_equal(plan.phase, PLAN_RUNNING);
    assert_int_equal(plan.percent, SHARE_ALL);
    assert_string_equal(plan_stage_name(&plan, &file), "all");
}

static void a_fixed_share_follows_the_file_when_it_changes(void **state)
{
    (void)state;
    const char *why;
    struct config_route raised = fixed;
    raised.percent = 4000;
    struct plan plan = plan_in(PLAN_FIXED);
    assert_int_equal(plan_set_percent(&plan, &fixed, 100, 9, &why), 0);
    plan = adopted(plan, &fixed, &fixed);
    assert_int_equal(plan.percent, 100); /* the file says what it said */
    plan = adopted(plan, &fixed, &raised);
    assert_int_equal(plan.percent, 4000);
}

static void between_fixed_and_stages(void **state)
{
    (void)state;
    struct plan plan = adopted(plan_in(PLAN_FIXED), &fixed, &staged);
    assert_int_equal(plan.phase, PLAN_RUNNING);
    assert_string_equal(plan_stage_name(&plan, &staged), "canary");
    assert_int_equal(plan.percent, 1000);
    plan = adopted(plan_in(PLAN_RUNNING), &staged, &fixed);
    assert_int_equal(plan.phase, PLAN_FIXED);
    assert_int_equal(plan.percent, 2500);
    assert_null(plan_stage_name(&plan, &fixed));
    assert_int_equal(plan_shadow(&plan, &fixed), 300);
}

/* Reloads with files made at random never raise the share of a plan with stages. */
static void no_reload_raises_a_share(void **state)
{
    (void)state;
    uint64_t random = 99;
    char names[4][8];
    for (int run = 0; run < 20000; run++) {
        struct config_stage stages[4];
        uint32_t count = 1 + (uint32_t)(next_random(&random) % 4);
        uint32_t share = 0;
        for (uint32_t i = 0; i < count; i++) {
            static const char *const all[] = {"shadow", "canary", "half", "all", "x", "y"};
            share += (uint32_t)(next_random(&random) % 3000);
            (void)snprintf(names[i], sizeof(names[i]), "%s", all[next_random(&random) % 6]);
            stages[i] = (struct config_stage){.name = names[i], .percent = share > SHARE_ALL ? SHARE_ALL : share};
        }
        struct config_route file = {.stages = stages, .stage_count = count};
        struct plan before = plan_in((enum plan_phase)(next_random(&random) % PLAN_PHASES));
        if (next_random(&random) % 2 == 0 && before.phase != PLAN_FIXED)
            (void)plan_fall(&before, &staged, (enum config_failure_to)(next_random(&random) % 4), before.percent, 9);
        struct plan after = adopted(before, before.phase == PLAN_FIXED ? &fixed : &staged, &file);
        assert_true(after.percent <= before.percent);
        assert_true(plan_share(&after) <= plan_share(&before));
        assert_true(after.stage < count);
        assert_true(after.phase != PLAN_FIXED && (before.phase != PLAN_ROLLED_BACK || after.phase == PLAN_ROLLED_BACK));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verb_in_every_phase),
        cmocka_unit_test(every_fall_in_every_phase),
        cmocka_unit_test(steps_back_in_a_row_end_in_a_rollback),
        cmocka_unit_test(a_step_back_never_raises_the_share),
        cmocka_unit_test(a_way_down_has_ten_equal_steps),
        cmocka_unit_test(a_way_down_begins_at_the_share_in_force),
        cmocka_unit_test(the_shortest_way_down_is_never_longer_than_its_time),
        cmocka_unit_test(a_deadline_belongs_to_one_entry_of_a_stage),
        cmocka_unit_test(a_plan_that_waits_mirrors_nothing),
        cmocka_unit_test(resuming_at_the_stages_share_goes_on_holding),
        cmocka_unit_test(percentages_above_100_are_refused),
        cmocka_unit_test(the_last_stage_left_is_done),
        cmocka_unit_test(a_stage_is_found_again_by_its_name),
        cmocka_unit_test(a_stage_that_is_gone_becomes_the_largest_not_above_its_share),
        cmocka_unit_test(a_raised_stage_keeps_its_share_until_it_is_passed),
        cmocka_unit_test(a_lowered_stage_is_followed_at_once),
        cmocka_unit_test(a_paused_share_of_a_person_outlives_reloads),
        cmocka_unit_test(rolled_back_stays_rolled_back),
        cmocka_unit_test(what_a_person_has_stopped_stays_stopped),
        cmocka_unit_test(a_way_down_goes_on_over_a_reload),
        cmocka_unit_test(done_runs_again_when_stages_are_added),
        cmocka_unit_test(a_fixed_share_follows_the_file_when_it_changes),
        cmocka_unit_test(between_fixed_and_stages),
        cmocka_unit_test(no_reload_raises_a_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
