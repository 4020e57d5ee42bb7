/*
 * Plans that wait for plans: whom they find, and that every ring is told once, whole.
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

#define BASE                                                                                                           \
    "listeners:\n  - address: 127.0.0.1:8080\nbackends:\n"                                                             \
    "  legacy: { url: \"http://127.0.0.1:3001\" }\n  new: { url: \"http://127.0.0.1:3002\" }\nroutes:\n"
#define PLAN(name, more)                                                                                               \
    "  - { name: " name ", match: { path: /" name " }, stages: [ { name: canary, percent: 1 }, { percent: 50 } ]" more \
    " }\n"

static struct config *parse(const char *text, struct config_errors *errors)
{
    *errors = (struct config_errors){0};
    return config_parse("a.yaml", text, strlen(text), errors);
}

static struct config *good(const char *text)
{
    struct config_errors errors;
    struct config *config = parse(text, &errors);
    for (size_t i = 0; i < errors.count; i++)
        print_error("%s\n", errors.lines[i]);
    assert_non_null(config);
    config_errors_free(&errors);
    return config;
}

static void dependencies_find_their_route_and_stage(void **state)
{
    static const char text[] = BASE PLAN("executor", ", depends_on: [ planner, { route: bundler, stage: 50% } ]")
        PLAN("planner", "") PLAN("bundler", ", depends_on: [ { route: planner, stage: canary } ]");
    struct config *config = good(text);
    const struct config_route *executor = &config->routes[0];
    const struct config_route *bundler = &config->routes[2];
    (void)state;
    assert_int_equal(executor->depends_count, 2);
    assert_string_equal(executor->depends_on[0].route, "planner");
    assert_null(executor->depends_on[0].stage);
    assert_int_equal(executor->depends_on[0].route_index, 1);
    assert_string_equal(executor->depends_on[1].stage, "50%"); /* a stage that has its name from its share */
    assert_int_equal(executor->depends_on[1].route_index, 2);
    assert_int_equal(executor->depends_on[1].stage_index, 1);
    assert_int_equal(bundler->depends_on[0].route_index, 1);
    assert_int_equal(bundler->depends_on[0].stage_index, 0);
    assert_int_equal(config->routes[1].depends_count, 0);
    char *dump = config_dump(config);
    assert_non_null(dump);
    assert_non_null(strstr(dump, "    depends_on: [planner, { route: bundler, stage: 50% }]\n"));
    config_free(config);
    config = good(dump);
    char *again = config_dump(config);
    assert_non_null(again);
    assert_string_equal(dump, again);
    config_free(config);
    free(dump);
    free(again);
}

static void a_plan_may_be_waited_for_by_many_without_a_ring(void **state)
{
    (void)state; /* a diamond, and a chain against the file's order */
    config_free(good(BASE PLAN("a", ", depends_on: [ b, c ]") PLAN("b", ", depends_on: [ d ]")
                         PLAN("c", ", depends_on: [ d, b ]") PLAN("d", "")));
}

static void every_ring_is_told_once_from_its_first_route(void **state)
{
    struct config_errors errors;
    struct config *config =
        parse(BASE PLAN("a", ", depends_on: [ c ]") PLAN("b", ", depends_on: [ a, e ]") PLAN("c", ", depends_on: [ b ]")
                  PLAN("d", ", depends_on: [ e ]") PLAN("e", ", depends_on: [ d ]") PLAN("f", ", depends_on: [ a ]"),
              &errors);
    (void)state;
    assert_null(config);
    assert_int_equal(errors.count, 2);
    assert_non_null(strstr(errors.lines[0], "a.yaml:7:"));
    assert_non_null(strstr(errors.lines[0], " a -> c -> b -> a; expected no way back"));
    assert_non_null(strstr(errors.lines[1], "a.yaml:10:"));
    assert_non_null(strstr(errors.lines[1], " d -> e -> d; expected no way back"));
    config_errors_free(&errors);
}

/* A chain as long as a file may have, closed to a ring: found in time, and told. */
static void a_very_long_ring_is_found(void **state)
{
    enum {
        ROUTES = 1000,
        LINE = 160
    };
    char *text = malloc(sizeof(BASE) + (size_t)ROUTES * LINE);
    struct config_errors errors;
    (void)state;
    assert_non_null(text);
    size_t len = (size_t)snprintf(text, sizeof(BASE), "%s", BASE);
    for (unsigned i = 0; i < ROUTES; i++)
        len +=
            (size_t)snprintf(text + len, LINE,
                             "  - { name: r%u, match: { path: /%u }, stages: [ { percent: 1 } ], depends_on: [ r%u ] "
                             "}\n",
                             i, i, (i + 1) % ROUTES);
    assert_null(parse(text, &errors));
    assert_int_equal(errors.count, 1);
    assert_non_null(strstr(errors.lines[0], "would wait for each other for ever: r0 -> r1 -> r2 -> "));
    config_errors_free(&errors);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dependencies_find_their_route_and_stage),
        cmocka_unit_test(a_plan_may_be_waited_for_by_many_without_a_ring),
        cmocka_unit_test(every_ring_is_told_once_from_its_first_route),
        cmocka_unit_test(a_very_long_ring_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
