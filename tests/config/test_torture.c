/*
 * Let each allocation fail once: no crash, no leak, no half-built tree, and always a line that says why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdbool.h>

#include <yaml.h>

#include "config/config.h"

/* Counts down to the one allocation that fails; 0: none does. */
struct torture {
    unsigned left;
    bool failed;
};

static struct torture torture;

static bool fails_now(void)
{
    if (torture.left == 0 || --torture.left > 0)
        return false;
    torture.failed = true;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
int __real_yaml_parser_initialize(yaml_parser_t *parser);
int __real_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_yaml_parser_initialize(yaml_parser_t *parser);
int __wrap_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event);

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails_now() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return fails_now() ? NULL : __real_strdup(text);
}

int __wrap_yaml_parser_initialize(yaml_parser_t *parser)
{
    return fails_now() ? 0 : __real_yaml_parser_initialize(parser);
}

int __wrap_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event)
{
    if (!fails_now())
        return __real_yaml_parser_parse(parser, event);
    memset(event, 0, sizeof(*event));
    parser->error = YAML_MEMORY_ERROR;
    return 0;
}

static const char good[] =
    "listeners: [ { address: 127.0.0.1:8080, protocols: [http/1.1] } ]\n"
    "admin: { address: 127.0.0.1:9901 }\n"
    "backends:\n"
    "  legacy: { url: \"http://127.0.0.1:3001\" }\n"
    "  new: { url: \"http://${SHUNT_TEST_HOST}:3002\" }\n"
    "routes:\n"
    "  - name: a\n"
    "    match: { host: a.b, path: /a/**, methods: [GET], headers: { X-A: [b, c] }, query: { d: e } }\n"
    "    sticky: [ { header: X-A }, client_ip ]\n"
    "    overrides: [ { header: { X-A: \"${SHUNT_TEST_HOST}\" }, backend: new } ]\n"
    "    stages: &s [ { percent: 1 }, { percent: 1 } ]\n"
    "    shadow: { compare: { ignore: [ \"header:date\", \"$.a\" ], tolerance: [ { path: \"$.b\", absolute: 1 } ] } }\n"
    "    fallback: { on: [connect] }\n"
    "  - { name: b, stages: *s }\n"
    "state: { directory: /tmp }\n";

static const char bad[] =
    "listeners: [ { address: nowhere } ]\n"
    "workerss: 3\n"
    "backends: { legacy: { url: \"https://a\", queue: many }, new: { url: \"http://${SHUNT_TEST_NONE}\" } }\n"
    "routes: [ { name: a }, { name: a, sticky: [ body ], match: { path: a }, new: nwe } ]\n"
    "headers: { via: maybe }\n";

/* True once no allocation was left to fail. */
static bool parse_with_failure(const char *text, unsigned at)
{
    struct config_errors errors = {0};
    torture = (struct torture){.left = at};
    struct config *config = config_parse("t.yaml", text, strlen(text), &errors);
    bool failed = torture.failed;
    torture = (struct torture){0};
    if (failed)
        assert_null(config);
    /* The line about memory needs memory itself: only the failure of that very allocation may leave none. */
    if (failed && errors.count == 0)
        assert_int_not_equal(at, 1);
    config_free(config);
    config_errors_free(&errors);
    return !failed;
}

static void every_allocation_of_loading_may_fail(void **state)
{
    unsigned at = 1;
    (void)state;
    assert_int_equal(setenv("SHUNT_TEST_HOST", "a.b", 1), 0);
    while (!parse_with_failure(good, at))
        at++;
    assert_true(at > 30);
    at = 1;
    while (!parse_with_failure(bad, at))
        at++;
    assert_true(at > 30);
    assert_int_equal(unsetenv("SHUNT_TEST_HOST"), 0);
}

static void every_allocation_of_dumping_may_fail(void **state)
{
    struct config_errors errors = {0};
    (void)state;
    assert_int_equal(setenv("SHUNT_TEST_HOST", "a.b", 1), 0);
    struct config *config = config_parse("t.yaml", good, strlen(good), &errors);
    assert_non_null(config);
    for (unsigned at = 1;; at++) {
        torture = (struct torture){.left = at};
        char *text = config_dump(config);
        char *page = config_reference();
        bool failed = torture.failed;
        torture = (struct torture){0};
        assert_true(failed == (text == NULL || page == NULL));
        free(text);
        free(page);
        if (!failed)
            break;
    }
    config_free(config);
    assert_int_equal(unsetenv("SHUNT_TEST_HOST"), 0);
}

static void comparing_without_memory_counts_as_different(void **state)
{
    struct config_errors errors = {0};
    char names[256];
    (void)state;
    assert_int_equal(setenv("SHUNT_TEST_HOST", "a.b", 1), 0);
    struct config *config = config_parse("t.yaml", good, strlen(good), &errors);
    assert_non_null(config);
    torture = (struct torture){.left = 1};
    bool differs = config_needs_restart(config, config, names, sizeof(names));
    torture = (struct torture){0};
    assert_true(differs);
    assert_false(config_needs_restart(config, config, names, sizeof(names)));
    config_free(config);
    assert_int_equal(unsetenv("SHUNT_TEST_HOST"), 0);
}

static void loading_a_file_without_memory_says_so(void **state)
{
    struct config_errors errors = {0};
    (void)state;
    torture = (struct torture){.left = 1};
    struct config *config = config_load("config/examples/smallest.yaml", &errors);
    torture = (struct torture){0};
    assert_null(config);
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.lines[0], "there is not enough memory to load the configuration");
    config_errors_free(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_of_loading_may_fail),
        cmocka_unit_test(every_allocation_of_dumping_may_fail),
        cmocka_unit_test(comparing_without_memory_counts_as_different),
        cmocka_unit_test(loading_a_file_without_memory_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
