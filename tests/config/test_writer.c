/*
 * --dump: what it writes is read again as the same, is complete, and shows no secret.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "config/config.h"
#include "config/writer.h"

#define BASE                                                                                                           \
    "listeners:\n  - address: 127.0.0.1:8080\nbackends:\n"                                                             \
    "  legacy: { url: \"http://127.0.0.1:3001\" }\n  new: { url: \"http://127.0.0.1:3002\" }\n"

static struct config *parse(const char *name, const char *text)
{
    struct config_errors errors = {0};
    struct config *config = config_parse(name, text, strlen(text), &errors);
    for (size_t i = 0; i < errors.count; i++)
        print_error("%s\n", errors.lines[i]);
    assert_non_null(config);
    assert_int_equal(errors.count, 0);
    config_errors_free(&errors);
    return config;
}

/* The dump of `text`, which was shown to be read again as the same. The caller frees it. */
static char *stable_dump(const char *name, const char *text)
{
    struct config *config = parse(name, text);
    char *first = config_dump(config);
    config_free(config);
    assert_non_null(first);
    config = parse(name, first);
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

static void smallest_file_dumps_every_default(void **state)
{
    char *dump = stable_dump("a.yaml", BASE);
    (void)state;
    is_in(dump, "# The effective configuration of a.yaml: every default filled in.\n");
    is_in(dump, "listeners:\n  - address: \"127.0.0.1:8080\"\n    protocols: [h2, http/1.1]\n");
    is_in(dump, "access_log:\n  sample: 100%\n");
    is_in(dump, "timeouts:\n  request_header: 10s\n");
    is_in(dump, "  x_forwarded_for: append\n");
    is_in(dump,
          "backends:\n  legacy:\n    url: \"http://127.0.0.1:3001\"\n    protocol: auto\n    max_connections: 1024\n");
    assert_null(strstr(dump, "admin:"));
    assert_null(strstr(dump, "state:"));
    assert_null(strstr(dump, "***"));
    free(dump);
}

static const char everything[] = BASE
    "admin: { address: \"unix:/run/a b.sock\" }\n"
    "workers: 3\n"
    "access_log: off\n"
    "headers: { via: off, x_request_id: off }\n"
    "routes:\n"
    "  - name: a.b_c-1\n"
    "    match: { host: \"*.example.com\", path: /a/*/**, methods: [GET],\n"
    "             headers: { X-A: [\"b, c\", 'd\"e\\', \"*\"], X-B: \"*\", X-C: \"null\" },\n"
    "             query: { \"a b\": \"\", \"c:d\": \"$${}x\", e: [ \"$${\", \"$$$$\", \"#\" ] } }\n"
    "    sticky: [ { query: \"q: s\" }, { header: H }, random ]\n"
    "    assign: { cookie: c }\n"
    "    overrides:\n"
    "      - { header: { X-A: \"\xc3\xa9\" }, backend: new }\n"
    "      - { query: { a: [b, c] }, backend: legacy }\n"
    "    stages: [ { percent: 0.01 }, { name: \"50%\", percent: 1 }, { percent: 50, hold: 90m, confirm: on } ]\n"
    "    gates: { error_rate_increase: off, p95_increase: 33.3333%, mismatch_rate: 0.001% }\n"
    "    breaker: { p95_ratio: off, error_rate: 0% }\n"
    "    shadow:\n"
    "      methods: [\"*\"]\n"
    "      max_body: 0B\n"
    "      samples: { values: full, deny: [\"X Y\"] }\n"
    "      max_rate: 9\n"
    "      statuses: [4xx, 204, 301-303]\n"
    "      read_only: simulate\n"
    "      host: a.example.com:8443\n"
    "      headers: { remove: [A], set: { X-A: \"b c\", X-B: \"$$x\" }, add: { \"X-|\": \"\" } }\n"
    "      breaker: off\n"
    "      endpoints: [\"/a/{b.c}/**\"]\n"
    "      compare:\n"
    "        status: class\n"
    "        headers: []\n"
    "        ignore: [body, \"header:X-A\", \"$['a\\\"b']\"]\n"
    "        unordered: [{ path: \"$.k\", by: \"the id\" }, \"$.a[*]\", { path: \"$.l\", by: id }]\n"
    "        tolerance: [ { path: \"$.a\", relative: 0.07% }, { path: \"$.b\", absolute: 0.1 },\n"
    "                     { path: \"$.c\", within: 90s } ]\n"
    "        present_only: [\"$.p\"]\n"
    "        replace: [ { in: \"header:X\", pattern: '(\\d+) \"', with: \"$${1}$0$$$$\" }, { in: body, pattern: a } ]\n"
    "        xml_whitespace: exact\n"
    "        noise: { relative: 0%, absolute: 0.0001% }\n"
    "    fallback: { on: [reset, 5xx], methods: [\"*\"] }\n"
    "  - { name: z, breaker: off, percent: 0.5, shadow: { percent: 3 } }\n"
    "state: { directory: \"/var/lib/my state\" }\n";

static void everything_dumps_to_itself(void **state)
{
    static const char *const parts[] = {
        "admin:\n  address: \"unix:/run/a b.sock\"\n",
        "workers: 3\naccess_log: off\n",
        "  via: false\n",
        "      headers: { x-a: [\"b, c\", \"d\\\"e\\\\\", \"*\"], x-b: \"*\", x-c: [\"null\"] }\n",
        "      query: { \"a b\": [\"\"], \"c:d\": [\"$${}x\"], e: [\"$${\", \"$$$\", \"#\"] }\n",
        "    sticky: [{ query: \"q: s\" }, { header: h }, random]\n",
        "    assign:\n      cookie: c\n      max_age: 30d\n",
        "      - { header: { x-a: [\"\xc3\xa9\"] }, backend: new }\n",
        "      - { query: { a: [b, c] }, backend: legacy }\n",
        "      - name: 0.01%\n        percent: 0.01%\n",
        "      - name: 50%-2\n        percent: 50%\n        shadow: 0%\n        hold: 1h30m\n        confirm: true\n",
        "      min_distinct_keys: 0\n      error_rate_increase: off\n      error_rate: off\n",
        "      p95_increase: 33.3333%\n      p50_increase: off\n",
        "      mismatch_rate: 0.001%\n      confidence: 99%\n      webhook: off\n      only: off\n",
        "      error_rate: 0%\n",
        "      p95_ratio: off\n",
        "      max_body: 0B\n",
        "        values: full\n        max_bytes: 16MiB\n        max_age: 30d\n        deny: [\"x y\"]\n",
        "      max_rate: 9\n      sampling: request\n      statuses: [4xx, 204, 301-303]\n      read_only: simulate\n",
        "      host: \"a.example.com:8443\"\n",
        "      headers:\n        remove: [a]\n        set: { X-A: \"b c\", X-B: \"$x\" }\n        add: { \"X-|\": "
        "\"\" }\n",
        "      breaker: off\n      endpoints: [\"/a/{b.c}/**\"]\n",
        "        unordered: [\"$.a[*]\", { path: \"$.k\", by: \"the id\" }, { path: \"$.l\", by: id }]\n",
        "          - path: \"$.c\"\n            within: 1m30s\n",
        "        present_only: [\"$.p\"]\n",
        "          - in: \"header:x\"\n            pattern: \"(\\\\d+) \\\"\"\n            with: \"$${1}$0$$$\"\n",
        "          - in: body\n            pattern: a\n            with: \"\"\n",
        "        xml_whitespace: exact\n",
        "          percent: 0%\n          relative: 0%\n          absolute: 0.0001%\n          confidence: 99%\n",
        "      max_rate: off\n      sampling: request\n      read_only: off\n      host: original\n      breaker:\n"
        "        consecutive_failures: 20\n        cooldown: 5s\n      samples:\n        keep: 10\n",
        "        headers: []\n        ignore: [body, \"header:x-a\", \"$['a\\\"b']\"]\n",
        "          - path: \"$.a\"\n            relative: 0.07%\n",
        "          - path: \"$.b\"\n            absolute: 0.1\n",
        "      on: [5xx, reset]\n      methods: [\"*\"]\n",
        "    breaker: off\n    shadow:\n      percent: 3%\n",
        "state:\n  directory: \"/var/lib/my state\"\n",
    };
    char *dump = stable_dump("a.yaml", everything);
    (void)state;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        is_in(dump, parts[i]);
    free(dump);
}

static void examples_dump_to_themselves(void **state)
{
    static const char *const names[] = {"smallest", "orders",   "atlas",       "json-to-redis",
                                        "atlantis", "clambake", "git-service", "billing"};
    (void)state;
    assert_int_equal(setenv("ATLANTIS_NEW_URL", "http://127.0.0.1:3002", 1), 0);
    assert_int_equal(setenv("BILLING_STAGING_TOKEN", "t0ken", 1), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[128];
        struct config_errors errors = {0};
        (void)snprintf(path, sizeof(path), "config/examples/%s.yaml", names[i]);
        struct config *config = config_load(path, &errors);
        assert_non_null(config);
        char *dump = config_dump(config);
        config_free(config);
        assert_non_null(dump);
        char *again = stable_dump(path, dump);
        assert_string_equal(dump, again);
        free(dump);
        free(again);
    }
    assert_int_equal(unsetenv("ATLANTIS_NEW_URL"), 0);
    assert_int_equal(unsetenv("BILLING_STAGING_TOKEN"), 0);
}

static void secrets_are_masked(void **state)
{
    char folder[] = "/tmp/shunt-test-XXXXXX";
    char name[128];
    char token[128];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(name, sizeof(name), "%s/shunt.yaml", folder);
    (void)snprintf(token, sizeof(token), "%s/my token", folder);
    FILE *file = fopen(token, "w");
    assert_non_null(file);
    assert_true(fputs("hunter2\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(setenv("SHUNT_TEST_KEY", "swordfish", 1), 0);
    assert_int_equal(setenv("SHUNT_TEST_PORT", "3005", 1), 0);
    char *dump = stable_dump(name, "listeners: [ { address: 127.0.0.1:8080 } ]\n"
                                   "admin: { address: \"0.0.0.0:9901\", token_file: \"my token\" }\n"
                                   "backends: { legacy: { url: \"http://127.0.0.1:${SHUNT_TEST_PORT}\" } }\n"
                                   "routes:\n"
                                   "  - name: r\n"
                                   "    new: legacy\n"
                                   "    overrides:\n"
                                   "      - { header: { X-Key: \"a${SHUNT_TEST_KEY}\" }, backend: legacy }\n"
                                   "      - { header: { X-Key: [ { file: \"my token\" }, plain ] }, backend: new }\n"
                                   "    shadow: { headers: { set: { Authorization: \"Bearer ${SHUNT_TEST_KEY}\" },\n"
                                   "                         add: { X-Key: { file: \"my token\" } } } }\n");
    assert_null(strstr(dump, "hunter2"));
    assert_null(strstr(dump, "swordfish"));
    is_in(dump, "***");
    is_in(dump, "  token_file: \"my token\"\n");
    is_in(dump, "[\"a${SHUNT_TEST_KEY}\"]");
    is_in(dump, "[{ file: \"my token\" }, plain]");
    is_in(dump, "        set: { Authorization: \"Bearer ${SHUNT_TEST_KEY}\" }\n");
    is_in(dump, "        add: { X-Key: { file: \"my token\" } }\n");
    is_in(dump, "    url: \"http://127.0.0.1:3005\"\n"); /* an address is no secret: the effective one is shown */
    free(dump);
    assert_int_equal(unlink(token), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(unsetenv("SHUNT_TEST_KEY"), 0);
    assert_int_equal(unsetenv("SHUNT_TEST_PORT"), 0);
}

static void text_grows_as_needed(void **state)
{
    struct writer writer = {.config = NULL};
    (void)state;
    for (unsigned i = 0; i < 10000; i++)
        writer_print(&writer, "%u,", i);
    char *text = writer_take(&writer);
    assert_non_null(text);
    assert_int_equal(strlen(text), 48890);
    assert_string_equal(text + 48880, "9998,9999,");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smallest_file_dumps_every_default),
        cmocka_unit_test(everything_dumps_to_itself),
        cmocka_unit_test(examples_dump_to_themselves),
        cmocka_unit_test(secrets_are_masked),
        cmocka_unit_test(text_grows_as_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
