/*
 * What a wait ends on: each state in each phase, and the same for the breaker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#include "tools/shuntctl/goal.h"

/* A route with the stages shadow, canary, done and 100%. */
static json_t *route_in(const char *phase, int stage, double percent, double effective)
{
    static const char *const names[] = {"shadow", "canary", "done", "100%"};
    json_t *route = json_pack("{s:s, s:s, s:f, s:f, s:{s:b, s:s}, s:{s:s}}", "name", "orders", "phase", phase,
                              "percent", percent, "effective_percent", effective, "breaker", "enabled", 1, "state",
                              "closed", "gates", "verdict", "undecided");
    assert_non_null(route);
    if (strcmp(phase, "fixed") == 0)
        return route;
    json_object_set_new(route, "stage_index", json_integer(stage));
    json_t *stages = json_array();
    for (int i = 0; i < 4; i++)
        json_array_append_new(stages, json_pack("{s:s}", "name", names[i]));
    json_object_set_new(route, "stages", stages);
    return route;
}

static enum goal_answer ask(const char *text, json_t *route, char *sentence, size_t room)
{
    const struct goal goal = goal_of(text);
    enum goal_answer answer = goal_judge(&goal, route, sentence, room);
    json_decref(route);
    return answer;
}

static void assert_goal(const char *text, const char *phase, int stage, enum goal_answer expected)
{
    char sentence[512];
    enum goal_answer answer = ask(text, route_in(phase, stage, 10, 10), sentence, sizeof(sentence));
    if (answer != expected)
        fail_msg("%s, %s in stage %d: %d, not %d (%s)", text, phase, stage, (int)answer, (int)expected, sentence);
    assert_int_equal(sentence[0] != '\0', answer == GOAL_LOST || answer == GOAL_UNKNOWN);
}

static void phases_are_reached_or_lost(void **state)
{
    static const char *const phases[] = {"waiting", "running", "paused", "frozen", "done", "rolled_back", "fixed"};
    static const struct {
        const char *goal;
        const char *answers; /* by phase: r reached, n not yet, l lost */
    } rows[] = {
        {"waiting", "rllllll"}, {"running", "nrnnlll"}, {"paused", "nnrnlll"},
        {"frozen", "nnnrlll"},  {"done", "nnnnrll"},    {"rolled_back", "nnnnnrn"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t p = 0; p < sizeof(phases) / sizeof(phases[0]); p++) {
            char letter = rows[i].answers[p];
            assert_goal(rows[i].goal, phases[p], 1,
                        letter == 'r'   ? GOAL_REACHED
                        : letter == 'n' ? GOAL_NOT_YET
                                        : GOAL_LOST);
        }
    }
}

static void a_stage_is_reached_when_a_later_one_is(void **state)
{
    (void)state;
    assert_goal("canary", "running", 0, GOAL_NOT_YET);
    assert_goal("canary", "running", 1, GOAL_REACHED);
    assert_goal("canary", "paused", 3, GOAL_REACHED);
    assert_goal("canary", "done", 3, GOAL_REACHED);
    assert_goal("100%", "frozen", 1, GOAL_NOT_YET);
    assert_goal("shadow", "waiting", 0, GOAL_NOT_YET);
    assert_goal("canary", "rolled_back", 1, GOAL_LOST);
    assert_goal("canary", "fixed", 0, GOAL_UNKNOWN);
    assert_goal("canry", "running", 1, GOAL_UNKNOWN);
    assert_goal("stage:done", "running", 2, GOAL_REACHED);
    assert_goal("stage:done", "running", 1, GOAL_NOT_YET);
    assert_goal("done", "running", 2, GOAL_NOT_YET);
}

static void an_unknown_stage_names_those_there_are(void **state)
{
    char sentence[512];
    (void)state;
    assert_int_equal(ask("canry", route_in("running", 0, 0, 0), sentence, sizeof(sentence)), GOAL_UNKNOWN);
    assert_string_equal(sentence, "\"canry\" is neither a stage of orders nor another state; expected shadow, canary, "
                                  "done, 100%, running, paused, frozen, waiting, done, rolled_back, breaker-closed, "
                                  "breaker-open or healthy");
    char little[40];
    assert_int_equal(ask("canry", route_in("running", 0, 0, 0), little, sizeof(little)), GOAL_UNKNOWN);
}

static enum goal_answer with_breaker(const char *text, const char *phase, int enabled, const char *breaker)
{
    char sentence[512];
    json_t *route = route_in(phase, 1, 10, 10);
    json_object_set_new(route, "breaker", json_pack("{s:b, s:s}", "enabled", enabled, "state", breaker));
    return ask(text, route, sentence, sizeof(sentence));
}

static void breakers_open_and_close(void **state)
{
    (void)state;
    assert_int_equal(with_breaker("breaker-closed", "running", 1, "closed"), GOAL_REACHED);
    assert_int_equal(with_breaker("breaker-closed", "running", 1, "half_open"), GOAL_NOT_YET);
    assert_int_equal(with_breaker("breaker-closed", "running", 1, "open"), GOAL_NOT_YET);
    assert_int_equal(with_breaker("breaker-closed", "rolled_back", 1, "open"), GOAL_LOST);
    assert_int_equal(with_breaker("breaker-closed", "running", 0, "closed"), GOAL_LOST);
    assert_int_equal(with_breaker("breaker-open", "running", 1, "open"), GOAL_REACHED);
    assert_int_equal(with_breaker("breaker-open", "fixed", 1, "half_open"), GOAL_NOT_YET);
    assert_int_equal(with_breaker("breaker-open", "fixed", 0, "closed"), GOAL_LOST);
}

static enum goal_answer health(const char *phase, double effective, const char *verdict, int passthrough)
{
    char sentence[512];
    json_t *route = route_in(phase, 1, 10, effective);
    json_object_set_new(route, "gates", json_pack("{s:s}", "verdict", verdict));
    json_object_set_new(route, "passthrough", json_boolean(passthrough));
    return ask("healthy", route, sentence, sizeof(sentence));
}

static void health_is_all_of_the_share_in_force_and_nothing_failed(void **state)
{
    (void)state;
    assert_int_equal(health("running", 10, "undecided", 0), GOAL_REACHED);
    assert_int_equal(health("done", 10, "pass", 0), GOAL_REACHED);
    assert_int_equal(health("fixed", 10, "pass", 0), GOAL_REACHED);
    assert_int_equal(health("waiting", 10, "undecided", 0), GOAL_REACHED);
    assert_int_equal(health("paused", 10, "pass", 0), GOAL_NOT_YET);
    assert_int_equal(health("frozen", 10, "pass", 0), GOAL_NOT_YET);
    assert_int_equal(health("running", 4, "pass", 0), GOAL_NOT_YET);
    assert_int_equal(health("running", 10, "fail", 0), GOAL_NOT_YET);
    assert_int_equal(health("running", 10, "pass", 1), GOAL_NOT_YET);
    assert_int_equal(health("rolled_back", 10, "pass", 0), GOAL_LOST);
    assert_int_equal(with_breaker("healthy", "running", 1, "half_open"), GOAL_NOT_YET);
    assert_int_equal(with_breaker("healthy", "running", 0, "open"), GOAL_REACHED);
}

static void what_is_missing_is_survived(void **state)
{
    static const char *const goals[] = {"done", "canary", "breaker-open", "breaker-closed", "healthy", "stage:"};
    char sentence[64];
    (void)state;
    for (size_t i = 0; i < sizeof(goals) / sizeof(goals[0]); i++)
        assert_int_not_equal(ask(goals[i], json_object(), sentence, sizeof(sentence)), GOAL_REACHED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_are_reached_or_lost),
        cmocka_unit_test(a_stage_is_reached_when_a_later_one_is),
        cmocka_unit_test(an_unknown_stage_names_those_there_are),
        cmocka_unit_test(breakers_open_and_close),
        cmocka_unit_test(health_is_all_of_the_share_in_force_and_nothing_failed),
        cmocka_unit_test(what_is_missing_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
