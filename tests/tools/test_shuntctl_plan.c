/*
 * The drawing of a plan, in every phase: tests/tools/plans/CASE.json laid over base.json, in 80 columns, must give
 * CASE.txt byte for byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/shuntctl/plan.h"
#include "tools/shuntctl/value.h"

#define FOLDER "tests/tools/plans/"

static json_t *load(const char *name)
{
    char path[128];
    json_error_t fault;
    snprintf(path, sizeof(path), FOLDER "%s.json", name);
    json_t *json = json_load_file(path, 0, &fault);
    if (json == NULL)
        fail_msg("%s:%d: %s", path, fault.line, fault.text);
    return json;
}

/* The route of a case; a new reference. */
static json_t *route_of(const char *name)
{
    json_t *route = load("base"), *over = load(name);
    assert_int_equal(json_object_update_recursive(route, over), 0);
    json_decref(over);
    return route;
}

static char *read_text(const char *name)
{
    char path[128], *text = NULL;
    size_t room = 0;
    snprintf(path, sizeof(path), FOLDER "%s.txt", name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        fail_msg("%s cannot be read", path);
    ssize_t length = getdelim(&text, &room, '\0', file);
    fclose(file);
    assert_true(length > 0);
    return text;
}

static char *draw(const json_t *route, bool unicode, bool color)
{
    char *text = NULL;
    size_t length = 0;
    struct screen screen = {.out = open_memstream(&text, &length), .width = 80, .unicode = unicode, .color = color};
    assert_non_null(screen.out);
    assert_true(plan_draw(&screen, route));
    fclose(screen.out);
    return text;
}

static void assert_golden(const char *name, const char *drawn)
{
    char *expected = read_text(name);
    if (strcmp(expected, drawn) != 0)
        fail_msg("%s is drawn as:\n%s", name, drawn);
    free(expected);
}

static void assert_narrow(const char *name, const char *drawn)
{
    for (const char *line = drawn; *line != '\0'; line += strcspn(line, "\n") + 1) {
        char *text = strndup(line, strcspn(line, "\n"));
        if (screen_columns(text) > 80)
            fail_msg("%s: wider than 80 columns: %s", name, text);
        free(text);
    }
}

static void every_phase_is_drawn(void **state)
{
    static const char *const cases[] = {"running", "paused", "frozen",    "rolled_back", "waiting",
                                        "done",    "fixed",  "half_open", "growing",     "older"};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *route = route_of(cases[i]);
        char *text = draw(route, true, false);
        assert_narrow(cases[i], text);
        assert_golden(cases[i], text);
        free(text);
        json_decref(route);
    }
}

static void without_utf8_it_is_drawn_in_ascii(void **state)
{
    json_t *route = route_of("running");
    char *text = draw(route, false, false);
    (void)state;
    for (const char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at >= 0x80)
            fail_msg("not ASCII: %s", at);
    assert_golden("ascii", text);
    free(text);
    json_decref(route);
}

static void colours_are_on_terminals_only(void **state)
{
    json_t *route = route_of("running");
    char *plain = draw(route, true, false), *coloured = draw(route, true, true);
    (void)state;
    assert_null(strchr(plain, '\033'));
    assert_non_null(strstr(coloured, "\033[33mundecided\033[0m"));
    assert_non_null(strstr(coloured, "\033[32mpass\033[0m"));
    assert_non_null(strstr(coloured, "\033[1mWhy not promoted yet: gate p95_increase"));
    free(plain);
    free(coloured);
    json_decref(route);
}

static void a_list_has_one_line_for_each_route(void **state)
{
    static const char *const cases[] = {"running", "waiting", "fixed"};
    char *text = NULL;
    size_t length = 0;
    struct screen screen = {.out = open_memstream(&text, &length), .width = 80, .terminal = true};
    json_t *routes = json_array();
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        json_array_append_new(routes, route_of(cases[i]));
    assert_true(plan_draw_list(&screen, routes));
    fclose(screen.out);
    assert_string_equal(text, "ROUTE        STATE    STAGE               SHARE  WHY NOT PROMOTED YET\n"
                              "orders-read  running  canary 2/5           10 %  gate p95_increase is undecid...\n"
                              "orders-read  waiting  shadow 1/3            0 %  the file says `start: manual...\n"
                              "orders-read  fixed                25 %, now 0 %\n");
    free(text);
    json_decref(routes);
}

static void odd_answers_are_survived(void **state)
{
    static const char *const odd[] = {
        "{}",
        "{\"stages\": [1, null, {}], \"gates\": {\"gates\": [7, {\"applies\": true}]}, \"stage_index\": -4}",
        "{\"stages\": [{\"current\": true}], \"hold\": 3, \"deadline\": {\"at_ms\": 9223372036854775807}}",
        "{\"stages\": [{\"current\": true}], \"ramp\": {}, \"percent\": -7, \"effective_percent\": 1e300}",
        "{\"stages\": [{}], \"gates\": {\"gates\": [{\"applies\": true, \"limit\": 0, \"low\": null}]}}",
        "{\"depends_on\": [1, {}], \"on_failure\": {\"to\": \"sideways\"}, \"breaker\": {\"enabled\": true}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        json_t *route = json_loads(odd[i], 0, NULL);
        assert_non_null(route);
        free(draw(route, true, true));
        json_decref(route);
    }
}

static int set_zone(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_phase_is_drawn),          cmocka_unit_test(without_utf8_it_is_drawn_in_ascii),
        cmocka_unit_test(colours_are_on_terminals_only), cmocka_unit_test(a_list_has_one_line_for_each_route),
        cmocka_unit_test(odd_answers_are_survived),
    };
    return cmocka_run_group_tests(tests, set_zone, NULL);
}
