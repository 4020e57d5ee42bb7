/*
 * The keys of plans: each lands in its field, has its default, and is dumped so that it is read as the same again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/events.h"
#include "config/schedule.h"

#define BASE                                                                                                           \
    "listeners:\n  - address: 127.0.0.1:8080\nbackends:\n"                                                             \
    "  legacy: { url: \"http://127.0.0.1:3001\" }\n  new: { url: \"http://127.0.0.1:3002\" }\n"
#define ROUTE(keys) BASE "routes:\n  - name: r\n    " keys "\n"

static struct config *parse_as(const char *name, const char *text)
{
    struct config_errors errors = {0};
    struct config *config = config_parse(name, text, strlen(text), &errors);
    for (size_t i = 0; i < errors.count; i++)
        print_error("%s\n", errors.lines[i]);
    assert_non_null(config);
    config_errors_free(&errors);
    return config;
}

static struct config *parse(const char *text)
{
    return parse_as("a.yaml", text);
}

/* The dump of `text`, which was shown to be read again as the same. The caller frees it. */
static char *stable_dump(const char *name, const char *text)
{
    struct config *config = parse_as(name, text);
    char *first = config_dump(config);
    config_free(config);
    assert_non_null(first);
    config = parse_as(name, first);
    char *second = config_dump(config);
    config_free(config);
    assert_non_null(second);
    assert_string_equal(first, second);
    free(second);
    return first;
}

static void is_in(const char *dump, const char *part)
{
    if (strstr(dump, part) == NULL)
        fail_msg("%s is not in\n%s", part, dump);
}

static void dumps(const char *text, const char *part)
{
    char *dump = stable_dump("a.yaml", text);
    is_in(dump, part);
    free(dump);
}

static bool same(double a, double b)
{
    return a >= b && a <= b;
}

static void a_bare_plan_has_every_default(void **state)
{
    struct config *config = parse(ROUTE("stages: [ { percent: 10 }, { percent: 100 } ]"));
    const struct config_route *route = &config->routes[0];
    const struct config_stage *stage = &route->stages[0];
    (void)state;
    assert_null(config->freeze);
    assert_int_equal(config->notify_count, 0);
    assert_false(route->start_by_hand);
    assert_int_equal(route->on_failure.to, FAILURE_TELL); /* as promotion: manual is the default */
    assert_int_equal(route->on_failure.ramp_ms, 0);
    assert_int_equal(route->on_failure.retries, 0);
    assert_int_equal(route->depends_count, 0);
    assert_int_equal(route->errors.kinds, ERROR_CONNECT | ERROR_TIMEOUT | ERROR_RESET | ERROR_BAD_RESPONSE);
    for (unsigned status = 0; status < 700; status++)
        assert_int_equal(config_status_is_error(&route->errors, status), status >= 500 && status <= 599);
    assert_null(route->gates.webhook.url);
    assert_int_equal(route->gates.webhook.interval_ms, 30000);
    assert_int_equal(route->gates.webhook.timeout_ms, 5000);
    assert_null(route->gates.only);
    assert_int_equal(route->gates.min_distinct_keys, 0);
    assert_true(same(route->gates.error_rate, RATE_UNSET));
    assert_true(same(route->gates.availability, RATE_UNSET));
    assert_true(same(route->gates.p50_increase, RATE_UNSET));
    assert_true(same(route->gates.p99_increase, RATE_UNSET));
    assert_true(same(route->gates.p95_ratio, RATE_UNSET));
    assert_true(same(route->gates.confidence_of.mismatch_rate, 0.99));
    assert_true(same(route->gates.confidence_of.p95_ratio, 0.99));
    assert_int_equal(stage->promotion, PROMOTION_MANUAL);
    assert_int_equal(stage->deadline_ms, 0);
    assert_int_equal(stage->on_deadline, DEADLINE_PAUSE);
    assert_false(stage->own_gates);
    assert_true(same(stage->gates.error_rate_increase, 0.02));
    assert_true(same(stage->gates.confidence_of.error_rate, 0.99));
    config_free(config);
}

static void gates_land_in_their_fields(void **state)
{
    struct config *config = parse(ROUTE("gates: { min_distinct_keys: 3, error_rate: 1%, availability: 99.9%, "
                                        "p50_increase: 10%, p95_increase: off, p99_increase: 300%, p95_ratio: 1.5, "
                                        "webhook: { url: \"https://go.example.com:8443/r?id=1\", interval: 1m, "
                                        "timeout: 250ms }, only: \"Mon-Thu 09:00-16:00 Europe/Berlin\" }"));
    const struct config_gates *gates = &config->routes[0].gates;
    (void)state;
    assert_int_equal(gates->min_distinct_keys, 3);
    assert_true(same(gates->error_rate, 0.01));
    assert_true(same(gates->availability, 0.999));
    assert_true(same(gates->p50_increase, 0.1));
    assert_true(same(gates->p95_increase, RATE_UNSET));
    assert_true(same(gates->p99_increase, 3));
    assert_true(same(gates->p95_ratio, 1.5));
    assert_string_equal(gates->webhook.url, "https://go.example.com:8443/r?id=1");
    assert_int_equal(gates->webhook.interval_ms, 60000);
    assert_int_equal(gates->webhook.timeout_ms, 250);
    assert_int_equal(schedule_count(gates->only), 1);
    assert_true(schedule_is_on(gates->only, UINT64_C(1781510400000)));  /* Monday, 2026-06-15 08:00 UTC */
    assert_false(schedule_is_on(gates->only, UINT64_C(1781532000000))); /* 14:00 UTC */
    config_free(config);
}

static void confidence_is_one_for_all_or_one_for_each(void **state)
{
    struct config *config = parse(ROUTE("gates: { confidence: 95% }"));
    (void)state;
    assert_true(same(config->routes[0].gates.confidence, 0.95));
    assert_true(same(config->routes[0].gates.confidence_of.error_rate_increase, 0.95));
    assert_true(same(config->routes[0].gates.confidence_of.mismatch_rate, 0.95));
    config_free(config);
    config = parse(ROUTE("gates: { confidence: { mismatch_rate: 99.9%, default: 95%, p50_increase: 80% } }"));
    assert_true(same(config->routes[0].gates.confidence, 0.95));
    assert_true(same(config->routes[0].gates.confidence_of.error_rate, 0.95));
    assert_true(same(config->routes[0].gates.confidence_of.p50_increase, 0.8));
    assert_true(same(config->routes[0].gates.confidence_of.mismatch_rate, 0.999));
    config_free(config);
    config = parse(ROUTE("gates: { confidence: { mismatch_rate: 99.9% } }"));
    assert_true(same(config->routes[0].gates.confidence, 0.99));
    assert_true(same(config->routes[0].gates.confidence_of.availability, 0.99));
    assert_true(same(config->routes[0].gates.confidence_of.mismatch_rate, 0.999));
    config_free(config);
    dumps(ROUTE("gates: { confidence: 95% }"), "      confidence: 95%\n");
    dumps(ROUTE("gates: { confidence: { mismatch_rate: 99.9%, default: 95%, p50_increase: 80%, error_rate: 95% } }"),
          "      confidence: { default: 95%, p50_increase: 80%, mismatch_rate: 99.9% }\n");
    dumps(ROUTE("gates: { confidence: { default: 95% } }"), "      confidence: 95%\n");
}

static void schedules_are_one_line_or_several(void **state)
{
    (void)state;
    dumps(ROUTE("gates: { only: \"Mon-Thu 09:00-16:00 Europe/Berlin\" }"),
          "      only: [\"Mon-Thu 09:00-16:00 Europe/Berlin\"]\n");
    dumps(ROUTE("gates: { only: [ \"Mon-Thu 09:00-16:00\", Fri 09:00-12:00 ] }"),
          "      only: [\"Mon-Thu 09:00-16:00\", \"Fri 09:00-12:00\"]\n");
    dumps(ROUTE("gates: { only: off }"), "      only: off\n");
    dumps(BASE "freeze: 2026-12-24 - 2026-12-26\n", "freeze: [\"2026-12-24 - 2026-12-26\"]\n");
    dumps(BASE, "freeze: off\n");
    struct config *config = parse(BASE "freeze: [ 2026-12-24 - 2026-12-26, Sat-Sun 00:00-24:00 ]\n");
    assert_int_equal(schedule_count(config->freeze), 2);
    assert_true(schedule_is_on(config->freeze, UINT64_C(1798070400000))); /* 2026-12-24 00:00, a Thursday */
    config_free(config);
}

static void what_a_failure_does_follows_the_promotion(void **state)
{
    static const struct {
        const char *keys;
        enum config_failure_to to;
        uint64_t ramp_ms;
        uint32_t retries;
    } cases[] = {
        {"promotion: auto", FAILURE_ZERO, 0, 0},
        {"promotion: manual", FAILURE_TELL, 0, 0},
        {"promotion: auto\n    on_failure: { ramp: 10m }", FAILURE_ZERO, 600000, 0},
        {"promotion: auto\n    on_failure: { to: tell }", FAILURE_TELL, 0, 0},
        {"promotion: auto\n    on_failure: { to: freeze }", FAILURE_FREEZE, 0, 0},
        {"on_failure: { to: zero }", FAILURE_ZERO, 0, 0},
        {"on_failure: { to: previous }", FAILURE_PREVIOUS, 0, 3},
        {"on_failure: { to: previous, ramp: 1m, retries: 7 }", FAILURE_PREVIOUS, 60000, 7},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512];
        (void)snprintf(text, sizeof(text), ROUTE("stages: [ { percent: 1 } ]\n    %s"), cases[i].keys);
        struct config *config = parse(text);
        assert_int_equal(config->routes[0].on_failure.to, cases[i].to);
        assert_int_equal(config->routes[0].on_failure.ramp_ms, cases[i].ramp_ms);
        assert_int_equal(config->routes[0].on_failure.retries, cases[i].retries);
        config_free(config);
        free(stable_dump("a.yaml", text));
    }
    dumps(ROUTE("stages: [ { percent: 1 } ]\n    on_failure: { to: previous, ramp: 1m }"),
          "    on_failure:\n      to: previous\n      ramp: 1m\n      retries: 3\n");
    dumps(ROUTE("stages: [ { percent: 1 } ]"), "    on_failure:\n      to: tell\n    errors:");
}

static void who_is_told_lands_in_its_fields(void **state)
{
    struct config *config =
        parse(BASE "notify:\n"
                   "  - { url: \"https://hooks.slack.com/services/T0/B0/x\", format: slack, timeout: 2s,\n"
                   "      events: [ rollback, breaker_open ] }\n"
                   "  - { url: \"http://[::1]:9000\" }\n");
    (void)state;
    assert_int_equal(config->notify_count, 2);
    assert_string_equal(config->notify[0].url, "https://hooks.slack.com/services/T0/B0/x");
    assert_int_equal(config->notify[0].format, NOTIFY_SLACK);
    assert_int_equal(config->notify[0].event_count, 2);
    assert_string_equal(config->notify[0].events[1], "breaker_open");
    assert_null(config->notify[0].token);
    assert_int_equal(config->notify[0].timeout_ms, 2000);
    assert_int_equal(config->notify[1].format, NOTIFY_JSON);
    assert_int_equal(config->notify[1].event_count, 0);
    assert_int_equal(config->notify[1].timeout_ms, 5000);
    config_free(config);
}

static void every_event_can_be_asked_for(void **state)
{
    (void)state;
    assert_false(event_is_known("breaker_opened"));
    assert_false(event_is_known(""));
    for (size_t i = 0; event_names[i] != NULL; i++) {
        char text[512];
        assert_true(event_is_known(event_names[i]));
        (void)snprintf(text, sizeof(text), BASE "notify: [ { url: \"http://a\", events: [ %s ] } ]\n", event_names[i]);
        struct config *config = parse(text);
        assert_string_equal(config->notify[0].events[0], event_names[i]);
        config_free(config);
    }
}

static void urls_of_webhooks_are_shown_without_their_paths(void **state)
{
    char *dump = stable_dump("a.yaml", BASE "notify:\n"
                                            "  - { url: \"https://hooks.example.com/services/swordfish\" }\n"
                                            "  - { url: \"https://hooks.example.com:8443?key=swordfish\" }\n"
                                            "  - { url: \"http://127.0.0.1:9000\" }\n"
                                            "  - { url: \"http://[::1]:9000/\" }\n"
                                            "routes: [ { name: r, gates: { webhook: { url: "
                                            "\"http://go.example.com/swordfish\" } } } ]\n");
    (void)state;
    assert_null(strstr(dump, "swordfish"));
    is_in(dump, "  - url: \"https://hooks.example.com/***\"\n");
    is_in(dump, "  - url: \"https://hooks.example.com:8443/***\"\n");
    is_in(dump, "  - url: \"http://127.0.0.1:9000\"\n");
    is_in(dump, "  - url: \"http://[::1]:9000/\"\n");
    is_in(dump, "      webhook:\n        url: \"http://go.example.com/***\"\n        interval: 30s\n");
    free(dump);
}

static void secrets_from_elsewhere_are_masked_by_their_origin(void **state)
{
    char folder[] = "/tmp/shunt-test-XXXXXX";
    char name[128];
    char token[128];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(name, sizeof(name), "%s/shunt.yaml", folder);
    (void)snprintf(token, sizeof(token), "%s/token", folder);
    FILE *file = fopen(token, "w");
    assert_non_null(file);
    assert_true(fputs("hunter2\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(setenv("SHUNT_TEST_HOOK", "services/swordfish", 1), 0);
    assert_int_equal(setenv("SHUNT_TEST_HOURS", "09:00-16:00", 1), 0);
    static const char text[] =
        BASE "notify: [ { url: \"https://a.example.com/${SHUNT_TEST_HOOK}\", token_file: token } ]\n"
             "freeze: \"Mon ${SHUNT_TEST_HOURS}\"\n";
    struct config *config = parse_as(name, text);
    assert_string_equal(config->notify[0].url, "https://a.example.com/services/swordfish");
    assert_string_equal(config->notify[0].token, "hunter2");
    assert_string_equal(config->notify[0].token_file, token);
    assert_string_equal(schedule_line(config->freeze, 0), "Mon 09:00-16:00");
    config_free(config);
    char *dump = stable_dump(name, text);
    assert_null(strstr(dump, "hunter2"));
    assert_null(strstr(dump, "swordfish"));
    is_in(dump, "  - url: \"https://a.example.com/${SHUNT_TEST_HOOK}\"\n");
    is_in(dump, "    token_file: \"token\"\n");
    is_in(dump, "freeze: [\"Mon ${SHUNT_TEST_HOURS}\"]\n");
    free(dump);
    assert_int_equal(unlink(token), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(unsetenv("SHUNT_TEST_HOOK"), 0);
    assert_int_equal(unsetenv("SHUNT_TEST_HOURS"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bare_plan_has_every_default),
        cmocka_unit_test(gates_land_in_their_fields),
        cmocka_unit_test(confidence_is_one_for_all_or_one_for_each),
        cmocka_unit_test(schedules_are_one_line_or_several),
        cmocka_unit_test(what_a_failure_does_follows_the_promotion),
        cmocka_unit_test(who_is_told_lands_in_its_fields),
        cmocka_unit_test(every_event_can_be_asked_for),
        cmocka_unit_test(urls_of_webhooks_are_shown_without_their_paths),
        cmocka_unit_test(secrets_from_elsewhere_are_masked_by_their_origin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
