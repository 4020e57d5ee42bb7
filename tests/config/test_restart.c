/*
 * Restart: which changes of a file a reload cannot make.
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

#define LISTEN   "listeners: [ { address: 127.0.0.1:8080 } ]\n"
#define BACKENDS "backends: { legacy: { url: \"http://a\" }, new: { url: \"http://b\" } }\n"

static struct config *parse(const char *text)
{
    struct config_errors errors = {0};
    struct config *config = config_parse("a.yaml", text, strlen(text), &errors);
    assert_non_null(config);
    return config;
}

static void names_are(const char *before, const char *after, const char *expected)
{
    char names[128];
    struct config *running = parse(before);
    struct config *next = parse(after);
    bool differs = config_needs_restart(running, next, names, sizeof(names));
    assert_string_equal(names, expected);
    assert_true(differs == (expected[0] != '\0'));
    config_free(running);
    config_free(next);
}

static void routes_and_timeouts_are_reloaded(void **state)
{
    (void)state;
    names_are(LISTEN BACKENDS "workers: 1\n", LISTEN BACKENDS "workers: 1\n", "");
    names_are(LISTEN BACKENDS "workers: 1\n",
              LISTEN "backends: { legacy: { url: \"http://c\" }, new: { url: \"http://b\" } }\nworkers: 1\n"
                     "routes: [ { name: a, shadow: { max_rate: 1, headers: { remove: [a] } } } ]\n"
                     "timeouts: { idle: 1s }\naccess_log: off\nlimits: { shadow_memory: 1GiB }\n",
              "");
}

static void plans_gates_and_who_is_told_are_reloaded(void **state)
{
    (void)state;
    names_are(LISTEN BACKENDS "workers: 1\nroutes: [ { name: a, stages: [ { percent: 1 } ] } ]\n",
              LISTEN BACKENDS
              "workers: 1\nfreeze: 2026-12-24 - 2026-12-26\n"
              "notify: [ { url: \"http://a\", events: [ rollback ] } ]\n"
              "routes:\n"
              "  - { name: a, match: { path: /a }, stages: [ { percent: 2, hold: 1s, deadline: 1h, promotion: auto,\n"
              "      gates: { min_requests: 1 } } ], start: manual, errors: [ 429 ],\n"
              "      on_failure: { to: previous }, depends_on: [ b ],\n"
              "      gates: { only: Mon 09:00-10:00, webhook: { url: \"http://b\" },\n"
              "               confidence: { mismatch_rate: 90% } } }\n"
              "  - { name: b, match: { path: /b }, stages: [ { percent: 1 } ] }\n",
              "");
}

/* Connections that are there go on; new ones find the new certificates, protocols and checks. */
static void tls_protocols_and_checks_are_reloaded(void **state)
{
    (void)state;
    names_are(LISTEN BACKENDS "workers: 1\n",
              "listeners: [ { address: 127.0.0.1:8080, protocols: [h2], tls: { certificate: /proc/self/exe,\n"
              "               key: /proc/self/exe, client_ca: /proc/self/exe, early_data: true } } ]\n"
              "backends: { legacy: { url: \"https://a\", protocol: http2, health: { interval: 1s } },\n"
              "            new: { url: \"https://b\", tls: { insecure_skip_verify: true } } }\n"
              "workers: 1\n"
              "timeouts: { tls_handshake: 1s, http2_ping: off }\n"
              "limits: { http2_streams: 1, http2_window: 1MiB }\n"
              "headers: { x_forwarded_client_cert: off }\n"
              "routes: [ { name: a, errors: { grpc: [UNKNOWN] },\n"
              "            shadow: { compare: { descriptor_set: /proc/self/exe } } } ]\n",
              "");
}

static void threads_the_admin_address_and_state_need_a_restart(void **state)
{
    (void)state;
    names_are(LISTEN BACKENDS "workers: 1\n", "listeners: [ { address: 127.0.0.1:8081 } ]\n" BACKENDS "workers: 2\n",
              "workers"); /* listeners are opened and closed by a reload */
    names_are(LISTEN BACKENDS "admin: { address: 127.0.0.1:1 }\n", LISTEN BACKENDS "admin: { address: 127.0.0.1:2 }\n",
              "admin.address");
    names_are(LISTEN BACKENDS, LISTEN BACKENDS "admin: { address: 127.0.0.1:2 }\n", "admin");
    names_are(LISTEN BACKENDS "state: { directory: /a }\n", LISTEN BACKENDS, "state");
    names_are(LISTEN BACKENDS "state: { directory: /a }\n", LISTEN BACKENDS "state: { directory: /b }\n",
              "state.directory");
}

static void names_are_cut_where_the_room_ends(void **state)
{
    char names[5];
    struct config *running = parse(LISTEN BACKENDS "workers: 1\n");
    struct config *next = parse(LISTEN BACKENDS "workers: 2\n");
    (void)state;
    assert_true(config_needs_restart(running, next, names, sizeof(names)));
    assert_string_equal(names, "work");
    assert_true(config_needs_restart(running, next, names, 0));
    config_free(running);
    config_free(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_and_timeouts_are_reloaded),
        cmocka_unit_test(plans_gates_and_who_is_told_are_reloaded),
        cmocka_unit_test(tls_protocols_and_checks_are_reloaded),
        cmocka_unit_test(threads_the_admin_address_and_state_need_a_restart),
        cmocka_unit_test(names_are_cut_where_the_room_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
