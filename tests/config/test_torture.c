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

#include <unistd.h>

#include <yaml.h>

#include "config/arena.h"
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
void *__real_config_arena_take(struct config_arena *arena, size_t count, size_t size);
char *__real_config_arena_text(struct config_arena *arena, const char *text, size_t len);
char *__real_config_arena_lower(struct config_arena *arena, const char *text, size_t len);
char *__real_config_arena_vprint(struct config_arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
int __real_yaml_parser_initialize(yaml_parser_t *parser);
int __real_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
void *__wrap_config_arena_take(struct config_arena *arena, size_t count, size_t size);
char *__wrap_config_arena_text(struct config_arena *arena, const char *text, size_t len);
char *__wrap_config_arena_lower(struct config_arena *arena, const char *text, size_t len);
char *__wrap_config_arena_vprint(struct config_arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
char *__wrap_config_arena_print(struct config_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
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

void *__wrap_config_arena_take(struct config_arena *arena, size_t count, size_t size)
{
    return fails_now() ? NULL : __real_config_arena_take(arena, count, size);
}

char *__wrap_config_arena_text(struct config_arena *arena, const char *text, size_t len)
{
    return fails_now() ? NULL : __real_config_arena_text(arena, text, len);
}

char *__wrap_config_arena_lower(struct config_arena *arena, const char *text, size_t len)
{
    return fails_now() ? NULL : __real_config_arena_lower(arena, text, len);
}

char *__wrap_config_arena_vprint(struct config_arena *arena, const char *format, va_list args)
{
    return fails_now() ? NULL : __real_config_arena_vprint(arena, format, args);
}

char *__wrap_config_arena_print(struct config_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = fails_now() ? NULL : __real_config_arena_vprint(arena, format, args);
    va_end(args);
    return text;
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
    "admin: { address: 127.0.0.1:9901, token_file: \"${SHUNT_TEST_TOKEN}\" }\n"
    "backends:\n"
    "  legacy: { url: \"http://127.0.0.1:3001\" }\n"
    "  new: { url: \"http://${SHUNT_TEST_HOST}:3002\" }\n"
    "routes:\n"
    "  - name: a\n"
    "    match: { host: a.b, path: /a/**, methods: [GET], headers: { X-A: [b, c] }, query: { d: e } }\n"
    "    sticky: [ { header: X-A }, client_ip ]\n"
    "    overrides: [ { header: { X-A: \"${SHUNT_TEST_HOST}\" }, backend: new } ]\n"
    "    stages: &s [ { percent: 1 }, { percent: 1 } ]\n"
    "    shadow:\n"
    "      host: c.d\n"
    "      headers: { remove: [a], set: { b: \"${SHUNT_TEST_HOST}\" }, add: { b: d } }\n"
    "      statuses: [2xx]\n"
    "      endpoints: [\"/a/{b}\"]\n"
    "      samples: { deny: [a] }\n"
    "      compare: { ignore: [ \"header:date\", \"$.a\" ], tolerance: [ { path: \"$.b\", absolute: 1 } ],\n"
    "                 unordered: [ \"$.c\", { path: \"$.d\", by: e } ], present_only: [ \"$.f\" ],\n"
    "                 replace: [ { in: \"header:g\", pattern: (h), with: $1 } ] }\n"
    "    fallback: { on: [connect] }\n"
    "  - { name: b, stages: *s }\n"
    "state: { directory: /tmp }\n";

static const char bad[] =
    "listeners: [ { address: nowhere } ]\n"
    "workerss: 3\n"
    "backends: { legacy: { url: \"htps://a\", queue: many }, new: { url: \"http://${SHUNT_TEST_NONE}\" } }\n"
    "routes: [ { name: a }, { name: a, sticky: [ body ], match: { path: a }, new: nwe } ]\n"
    "headers: { via: maybe }\n";

static const char bad_shadow[] = "listeners: [ { address: 127.0.0.1:8080 } ]\n"
                                 "backends: { legacy: { url: \"http://a\" }, new: { url: \"http://b\" } }\n"
                                 "routes:\n"
                                 "  - name: a\n"
                                 "    shadow:\n"
                                 "      host: a b\n"
                                 "      headers: { remove: [host], set: { te: a, b: \"\\r\" }, add: { B: [] } }\n"
                                 "      statuses: [1xx]\n"
                                 "      endpoints: [a]\n"
                                 "      compare: { unordered: [ c, { path: \"$.d\" } ], replace: [ { in: a, pattern: ( "
                                 "}, { in: body, pattern: a, with: $1 } ] }\n";

static const char good_plan[] = "listeners: [ { address: 127.0.0.1:8080 } ]\n"
                                "backends: { legacy: { url: \"http://a\" }, new: { url: \"http://b\" } }\n"
                                "freeze: [ 2026-12-24 - 2026-12-26, 2026-12-24 18:00 - 2027-01-07 08:00 UTC ]\n"
                                "notify: [ { url: \"https://a/${SHUNT_TEST_HOST}\", events: [rollback],\n"
                                "            token_file: \"${SHUNT_TEST_TOKEN}\" } ]\n"
                                "routes:\n"
                                "  - name: a\n"
                                "    match: { path: /a }\n"
                                "    stages: [ { percent: 1, gates: { only: off, confidence: { default: 90% } } } ]\n"
                                "    gates: { confidence: { error_rate: 95% }, webhook: { url: \"http://a/b\" },\n"
                                "             only: [ \"Mon ${SHUNT_TEST_HOURS}\", Mon 09:00-12:00 Europe/Berlin ] }\n"
                                "    errors: [ 429, timeout ]\n"
                                "    on_failure: { to: previous }\n"
                                "    depends_on: [ b, { route: c, stage: 1% } ]\n"
                                "  - { name: b, match: { path: /b }, stages: [ { percent: 1 } ] }\n"
                                "  - { name: c, match: { path: /c }, stages: [ { percent: 1 } ], depends_on: [ b ] }\n";

static const char bad_plan[] = "listeners: [ { address: 127.0.0.1:8080 } ]\n"
                               "backends: { legacy: { url: \"http://a\" }, new: { url: \"http://b\" } }\n"
                               "freeze: [ 2026-12-24, Mondy ]\n"
                               "notify: [ { url: \"https://u@a\", events: [none] } ]\n"
                               "routes:\n"
                               "  - name: a\n"
                               "    match: { path: /a }\n"
                               "    stages: [ { percent: 1, hold: 2h, deadline: 1h, gates: { only: Mon } } ]\n"
                               "    gates: { webhook: { url: \"http://a\", interval: 1s, timeout: 1m } }\n"
                               "    errors: [ tls ]\n"
                               "    on_failure: { to: tell, ramp: 1m }\n"
                               "    depends_on: [ d, { route: c, stage: 2% } ]\n"
                               "  - { name: c, match: { path: /c }, stages: [ { percent: 1 } ] }\n";

static const char bad_ring[] = "listeners: [ { address: 127.0.0.1:8080 } ]\n"
                               "backends: { legacy: { url: \"http://a\" }, new: { url: \"http://b\" } }\n"
                               "routes:\n"
                               "  - { name: a, match: { path: /a }, stages: [ { percent: 1 } ], depends_on: [ b ] }\n"
                               "  - { name: b, match: { path: /b }, stages: [ { percent: 1 } ], depends_on: [ c ] }\n"
                               "  - { name: c, match: { path: /c }, stages: [ { percent: 1 } ], depends_on: [ a ] }\n";

static const char good_peers[] =
    "listeners:\n"
    "  - { address: 127.0.0.1:8080, protocols: [h2], tls: { certificate: \"${SHUNT_TEST_TOKEN}\",\n"
    "      key: \"${SHUNT_TEST_TOKEN}\", client_ca: /proc/self/exe } }\n"
    "  - { address: 127.0.0.1:8081, tls: { certificates: [ { certificate: /proc/self/exe, key: /proc/self/exe } ] } }\n"
    "backends:\n"
    "  legacy: { url: \"https://a.\", protocol: http2, tls: { ca: LICENSE },\n"
    "            health: { type: grpc } }\n"
    "  new: { url: \"https://b\", tls: { server_name: \"${SHUNT_TEST_HOST}\" }, health: { host: c.d, path: /e } }\n"
    "  other: { url: \"https://c\", health: {} }\n"
    "routes: [ { name: a, errors: [ 5xx, { grpc: [UNKNOWN, 14] } ], shadow: { compare: { descriptor_set: "
    "/proc/self/exe } } } ]\n";

static const char bad_peers[] =
    "listeners:\n"
    "  - { address: 127.0.0.1:8080, protocols: [h3], tls: { certificate: /nonexistent, client_certificate: required } "
    "}\n"
    "  - { address: 127.0.0.1:8081, tls: { client_ca: /proc/self/exe, client_certificate: off, early_data: true,\n"
    "      session_tickets: off } }\n"
    "backends:\n"
    "  legacy: { url: \"http://a\", protocol: http1, tls: { key: /proc/self/exe, server_name: \"b:1\" },\n"
    "            health: { type: grpc, path: / } }\n"
    "  new: { url: \"https://b/c\", health: { service: a b, host: a b, path: b, interval: 1s, timeout: 2s } }\n"
    "routes: [ { name: a, errors: [ 5xx, { grpc: [OK, 17] }, { http: [] } ] } ]\n";

static const char good_redis[] = "listeners: [ { address: 127.0.0.1:8080 } ]\n"
                                 "backends: { legacy: { url: \"http://a\" } }\n"
                                 "state:\n"
                                 "  redis: { url: \"rediss+sentinel://u%40:p%41@${SHUNT_TEST_HOST}:1,[::1]/main/2\", "
                                 "group: \"${SHUNT_TEST_HOST}\",\n"
                                 "           tls: { ca: LICENSE, server_name: a.b } }\n";

static const char good_password_file[] = "listeners: [ { address: 127.0.0.1:8080 } ]\n"
                                         "backends: { legacy: { url: \"http://a\" } }\n"
                                         "state: { redis: { url: \"unix:///a%20b?db=1\", group: a, username: u, "
                                         "password_file: \"${SHUNT_TEST_TOKEN}\" } }\n";

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

static char token_path[] = "/tmp/shunt-test-XXXXXX";

static int set_environment_up(void **state)
{
    int fd = mkstemp(token_path);
    (void)state;
    if (fd < 0 || write(fd, "secret\n", 7) != 7 || close(fd) != 0)
        return -1;
    return setenv("SHUNT_TEST_HOST", "a.b", 1) == 0 && setenv("SHUNT_TEST_TOKEN", token_path, 1) == 0 &&
                   setenv("SHUNT_TEST_HOURS", "09:00-12:00", 1) == 0
               ? 0
               : -1;
}

static int take_environment_down(void **state)
{
    (void)state;
    return unlink(token_path) == 0 && unsetenv("SHUNT_TEST_HOST") == 0 && unsetenv("SHUNT_TEST_TOKEN") == 0 &&
                   unsetenv("SHUNT_TEST_HOURS") == 0
               ? 0
               : -1;
}

static void every_allocation_of_loading_may_fail(void **state)
{
    unsigned at = 1;
    (void)state;
    while (!parse_with_failure(good, at))
        at++;
    assert_true(at > 300);
    static const char *const others[] = {bad, bad_shadow, good_plan, bad_plan, bad_ring, good_peers, bad_peers};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        at = 1;
        while (!parse_with_failure(others[i], at))
            at++;
        assert_true(at > 300);
    }
    static const char *const short_ones[] = {good_redis, good_password_file};
    for (size_t i = 0; i < sizeof(short_ones) / sizeof(short_ones[0]); i++) {
        at = 1;
        while (!parse_with_failure(short_ones[i], at))
            at++;
        assert_true(at > 100);
    }
}

static void dump_with_failures(const char *file)
{
    struct config_errors errors = {0};
    struct config *config = config_parse("t.yaml", file, strlen(file), &errors);
    assert_non_null(config);
    for (unsigned at = 1;; at++) {
        torture = (struct torture){.left = at};
        char *text = config_dump(config);
        char *page = config_reference();
        char *manual = config_manual();
        bool failed = torture.failed;
        torture = (struct torture){0};
        assert_true(failed == (text == NULL || page == NULL || manual == NULL));
        free(text);
        free(page);
        free(manual);
        if (!failed)
            break;
    }
    config_free(config);
}

static void every_allocation_of_dumping_may_fail(void **state)
{
    (void)state;
    dump_with_failures(good);
    dump_with_failures(good_plan);
    dump_with_failures(good_peers);
    dump_with_failures(good_redis);
    dump_with_failures(good_password_file);
}

static void comparing_without_memory_counts_as_different(void **state)
{
    struct config_errors errors = {0};
    char names[256];
    (void)state;
    struct config *config = config_parse("t.yaml", good, strlen(good), &errors);
    assert_non_null(config);
    torture = (struct torture){.left = 1};
    bool differs = config_needs_restart(config, config, names, sizeof(names));
    torture = (struct torture){0};
    assert_true(differs);
    assert_false(config_needs_restart(config, config, names, sizeof(names)));
    config_free(config);
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
    return cmocka_run_group_tests(tests, set_environment_up, take_environment_down);
}
