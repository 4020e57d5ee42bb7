/*
 * What a stage has of its route, and what it says of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/schedule.h"

#define BASE                                                                                                           \
    "listeners:\n  - address: 127.0.0.1:8080\nbackends:\n"                                                             \
    "  legacy: { url: \"http://127.0.0.1:3001\" }\n  new: { url: \"http://127.0.0.1:3002\" }\n"
#define ROUTE(keys) BASE "routes:\n  - name: r\n    " keys "\n"

static struct config *parse(const char *text)
{
    struct config_errors errors = {0};
    struct config *config = config_parse("a.yaml", text, strlen(text), &errors);
    for (size_t i = 0; i < errors.count; i++)
        print_error("%s\n", errors.lines[i]);
    assert_non_null(config);
    config_errors_free(&errors);
    return config;
}

static bool same(double a, double b)
{
    return a >= b && a <= b;
}

static const char plan[] =
    ROUTE("stages:\n"
          "      - { percent: 1, hold: 1h }\n"
          "      - { percent: 10, hold: 2h, promotion: manual, deadline: 3d, on_deadline: rollback,\n"
          "          gates: { min_requests: 7, error_rate: off, webhook: off, only: off, confidence: 80% } }\n"
          "      - { percent: 20, hold: 3h, confirm: true, deadline: 4h, on_deadline: tell,\n"
          "          gates: { webhook: { url: \"http://b/\" }, only: [ Fri 10:00-11:00 ],\n"
          "                   confidence: { p95_increase: 70% } } }\n"
          "      - { percent: 30, hold: 1h, gates: {} }\n"
          "      - { percent: 40, gates: { confidence: { default: 60% }, error_rate_increase: 5% } }\n"
          "    promotion: auto\n"
          "    start: manual\n"
          "    gates: { min_requests: 100, error_rate: 1%, min_distinct_keys: 4, only: Mon-Thu 09:00-16:00,\n"
          "             webhook: { url: \"http://a/\", interval: 1m },\n"
          "             confidence: { default: 95%, error_rate: 99.9% } }");

static void a_stage_has_the_gates_of_its_route(void **state)
{
    struct config *config = parse(plan);
    const struct config_stage *stage = &config->routes[0].stages[0];
    (void)state;
    assert_false(stage->own_gates);
    assert_memory_equal(&stage->gates, &config->routes[0].gates, sizeof(stage->gates));
    assert_int_equal(stage->gates.min_requests, 100);
    assert_true(same(stage->gates.confidence_of.error_rate, 0.999));
    config_free(config);
}

static void keys_of_a_stage_stand_over_those_of_its_route(void **state)
{
    struct config *config = parse(plan);
    const struct config_stage *stages = config->routes[0].stages;
    const struct config_gates *route = &config->routes[0].gates;
    (void)state;
    assert_true(stages[1].own_gates);
    assert_int_equal(stages[1].gates.min_requests, 7);
    assert_int_equal(stages[1].gates.min_distinct_keys, 4); /* said by the route alone */
    assert_true(same(stages[1].gates.error_rate, RATE_UNSET));
    assert_true(same(stages[1].gates.error_rate_increase, 0.02));
    assert_null(stages[1].gates.webhook.url);
    assert_null(stages[1].gates.only);
    assert_true(same(stages[1].gates.confidence_of.error_rate, 0.8)); /* in place of the route's as a whole */

    assert_int_equal(stages[2].gates.min_requests, 100);
    assert_string_equal(stages[2].gates.webhook.url, "http://b/");
    assert_int_equal(stages[2].gates.webhook.interval_ms,
                     30000); /* another webhook, not the route's with another URL */
    assert_string_equal(schedule_line(stages[2].gates.only, 0), "Fri 10:00-11:00");
    assert_int_equal(schedule_count(stages[2].gates.only), 1);
    assert_true(same(stages[2].gates.confidence, 0.95));
    assert_true(same(stages[2].gates.confidence_of.p95_increase, 0.7));
    assert_true(same(stages[2].gates.confidence_of.error_rate, 0.95));

    assert_memory_equal(&stages[3].gates, route, sizeof(*route));
    assert_true(same(stages[4].gates.confidence, 0.6));
    assert_true(same(stages[4].gates.confidence_of.error_rate, 0.6));
    assert_true(same(stages[4].gates.error_rate_increase, 0.05));
    assert_string_equal(stages[4].gates.webhook.url, "http://a/");
    assert_true(same(route->error_rate, 0.01)); /* and the route's are as they were */
    config_free(config);
}

static void stages_have_their_own_promotion_and_deadline(void **state)
{
    struct config *config = parse(plan);
    const struct config_route *route = &config->routes[0];
    static const enum config_promotion promotions[] = {PROMOTION_AUTO, PROMOTION_MANUAL, PROMOTION_MANUAL,
                                                       PROMOTION_AUTO, PROMOTION_AUTO};
    (void)state;
    assert_true(route->start_by_hand);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(route->stages[i].promotion, promotions[i]);
    assert_true(route->stages[2].confirm);
    assert_int_equal(route->stages[1].deadline_ms, UINT64_C(3) * 86400000);
    assert_int_equal(route->stages[1].on_deadline, DEADLINE_ROLLBACK);
    assert_int_equal(route->stages[2].on_deadline, DEADLINE_TELL);
    assert_int_equal(route->stages[3].deadline_ms, 0);
    config_free(config);
    config = parse(ROUTE("stages: [ { percent: 1, promotion: auto, hold: 1s }, { percent: 2 } ]"));
    assert_int_equal(config->routes[0].stages[0].promotion, PROMOTION_AUTO);
    assert_int_equal(config->routes[0].stages[1].promotion, PROMOTION_MANUAL);
    config_free(config);
}

static void a_plan_dumps_to_itself(void **state)
{
    static const char *const parts[] = {
        "      - name: 10%\n        percent: 10%\n        shadow: 0%\n        hold: 2h\n        confirm: false\n",
        "        promotion: manual\n        deadline: 3d\n        on_deadline: rollback\n        gates:\n",
        "          min_requests: 7\n          min_distinct_keys: 4\n          error_rate_increase: 2%\n",
        "          error_rate: off\n",
        "          confidence: 80%\n          webhook: off\n          only: off\n      - name: 20%\n",
        "        confirm: true\n        promotion: manual\n        deadline: 4h\n        on_deadline: tell\n",
        "          confidence: { default: 95%, p95_increase: 70% }\n",
        "          webhook:\n            url: \"http://b/\"\n",
        "          only: [\"Fri 10:00-11:00\"]\n",
        "    start: manual\n",
    };
    (void)state;
    struct config *config = parse(plan);
    char *first = config_dump(config);
    assert_non_null(first);
    struct config *again = parse(first);
    char *second = config_dump(again);
    assert_string_equal(first, second);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strstr(first, parts[i]) == NULL)
            fail_msg("%s is not in\n%s", parts[i], first);
    }
    /* Not only the text is the same: what a stage was given is what it has. */
    for (size_t i = 0; i < 5; i++) {
        const struct config_gates *a = &config->routes[0].stages[i].gates;
        const struct config_gates *b = &again->routes[0].stages[i].gates;
        assert_memory_equal(&a->confidence_of, &b->confidence_of, sizeof(a->confidence_of));
        assert_int_equal(a->min_requests, b->min_requests);
        assert_int_equal(schedule_count(a->only), schedule_count(b->only));
        assert_int_equal(a->webhook.interval_ms, b->webhook.interval_ms);
    }
    config_free(config);
    config_free(again);
    free(first);
    free(second);
}

static void the_default_mismatch_gate_needs_something_to_mirror(void **state)
{
    struct config *config = parse(ROUTE("stages: [ { percent: 1, gates: { min_requests: 5 } }, { percent: 2 } ]"));
    (void)state;
    assert_true(same(config->routes[0].stages[0].gates.mismatch_rate, RATE_UNSET));
    config_free(config);
    config = parse(ROUTE("stages: [ { percent: 1, gates: { mismatch_rate: 1% } }, { percent: 2, shadow: 10 } ]"));
    assert_true(same(config->routes[0].stages[0].gates.mismatch_rate, 0.01));
    assert_true(same(config->routes[0].stages[1].gates.mismatch_rate, 0.001));
    config_free(config);
}

static void words_that_change_nothing_are_fine_beside_a_fixed_share(void **state)
{
    struct config *config = parse(ROUTE("percent: 5\n    start: auto\n    on_failure: { to: tell, ramp: 0s }"));
    (void)state;
    assert_int_equal(config->routes[0].on_failure.to, FAILURE_TELL);
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stage_has_the_gates_of_its_route),
        cmocka_unit_test(keys_of_a_stage_stand_over_those_of_its_route),
        cmocka_unit_test(stages_have_their_own_promotion_and_deadline),
        cmocka_unit_test(a_plan_dumps_to_itself),
        cmocka_unit_test(the_default_mismatch_gate_needs_something_to_mirror),
        cmocka_unit_test(words_that_change_nothing_are_fine_beside_a_fixed_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
