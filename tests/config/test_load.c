/*
 * Good files: every key lands in its field, and what is left out has its default.
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
#include "config/tree.h"

#define BASE                                                                                                           \
    "listeners:\n  - address: 127.0.0.1:8080\nbackends:\n"                                                             \
    "  legacy: { url: \"http://127.0.0.1:3001\" }\n  new: { url: \"http://127.0.0.1:3002\" }\n"

static struct config *parse_as(const char *name, const char *text)
{
    struct config_errors errors = {0};
    struct config *config = config_parse(name, text, strlen(text), &errors);
    for (size_t i = 0; i < errors.count; i++)
        print_error("%s\n", errors.lines[i]);
    assert_int_equal(errors.count, 0);
    assert_non_null(config);
    config_errors_free(&errors);
    return config;
}

static struct config *parse(const char *text)
{
    return parse_as("good.yaml", text);
}

static void smallest_file_has_every_default(void **state)
{
    struct config *config = parse(BASE);
    (void)state;
    assert_string_equal(config->file, "good.yaml");
    assert_int_equal(config->listener_count, 1);
    assert_string_equal(config->listeners[0].address.host, "127.0.0.1");
    assert_int_equal(config->listeners[0].address.port, 8080);
    assert_null(config->listeners[0].tls);
    assert_int_equal(config->listeners[0].protocols, PROTOCOL_AUTO);
    assert_false(config->admin.enabled);
    assert_null(config->admin.token);
    assert_in_range(config->workers, 1, 256);
    assert_int_equal(config->access_log.sample, SHARE_ALL);
    assert_int_equal(config->timeouts.request_header_ms, 10000);
    assert_int_equal(config->timeouts.request_body_ms, 30000);
    assert_int_equal(config->timeouts.idle_ms, 60000);
    assert_int_equal(config->timeouts.connect_ms, 1000);
    assert_int_equal(config->timeouts.response_ms, 15000);
    assert_int_equal(config->timeouts.stream_idle_ms, 300000);
    assert_int_equal(config->timeouts.tunnel_idle_ms, 3600000);
    assert_int_equal(config->timeouts.drain_ms, 30000);
    assert_int_equal(config->timeouts.drain_min_ms, 0);
    assert_int_equal(config->timeouts.tls_handshake_ms, 5000);
    assert_int_equal(config->timeouts.http2_ping_ms, 30000);
    assert_int_equal(config->limits.header_bytes, 32768);
    assert_int_equal(config->limits.header_count, 100);
    assert_int_equal(config->limits.uri_bytes, 8192);
    assert_int_equal(config->limits.connections, 10000);
    assert_int_equal(config->limits.http2_streams, 128);
    assert_int_equal(config->limits.http2_window, 65536);
    assert_int_equal(config->limits.shadow_memory, 64 << 20);
    assert_true(config->headers.via);
    assert_int_equal(config->headers.x_forwarded_for, HEADER_APPEND);
    assert_int_equal(config->headers.x_forwarded_proto, HEADER_SET);
    assert_int_equal(config->headers.x_forwarded_host, HEADER_SET);
    assert_int_equal(config->headers.x_request_id, HEADER_KEEP);
    assert_int_equal(config->headers.x_forwarded_client_cert, HEADER_SET);
    assert_int_equal(config->backend_count, 2);
    assert_ptr_equal(config->legacy, &config->backends[0]);
    assert_int_equal(config->backends[1].index, 1);
    assert_int_equal(config->backends[1].address.port, 3002);
    assert_int_equal(config->backends[0].max_connections, 1024);
    assert_int_equal(config->backends[0].queue, 1024);
    assert_int_equal(config->backends[0].queue_timeout_ms, 1000);
    assert_int_equal(config->backends[0].idle_timeout_ms, 30000);
    assert_int_equal(config->backends[0].dns_refresh_ms, 30000);
    assert_int_equal(config->backends[0].eject_after, 5);
    assert_int_equal(config->backends[0].eject_ms, 10000);
    assert_null(config->backends[0].tls);
    assert_int_equal(config->backends[0].protocol, PROTOCOL_AUTO);
    assert_null(config->backends[0].health);
    assert_int_equal(config->route_count, 0);
    assert_null(config->state.directory);
    config_free(config);
}

static void bare_route_has_every_default(void **state)
{
    struct config *config = parse(BASE "routes: [ { name: all } ]\n");
    const struct config_route *route = &config->routes[0];
    (void)state;
    assert_int_equal(config->route_count, 1);
    assert_int_equal(route->line, 6);
    assert_null(route->match.host);
    assert_null(route->match.path);
    assert_int_equal(route->match.method_count, 0);
    assert_ptr_equal(route->side[SIDE_LEGACY], &config->backends[0]);
    assert_ptr_equal(route->side[SIDE_NEW], &config->backends[1]);
    assert_int_equal(route->sticky_count, 1);
    assert_int_equal(route->sticky[0].kind, STICKY_CLIENT_IP);
    assert_null(route->assign.cookie);
    assert_int_equal(route->stage_count, 0);
    assert_int_equal(route->percent, 0);
    assert_int_equal(route->promotion, PROMOTION_MANUAL);
    assert_int_equal(route->gates.min_requests, 500);
    assert_true(route->gates.error_rate_increase == 0.02);
    assert_true(route->gates.p95_increase == 0.2);
    assert_true(route->gates.mismatch_rate == RATE_UNSET); /* nothing is mirrored */
    assert_true(route->gates.confidence == 0.99);
    assert_true(route->breaker.enabled);
    assert_int_equal(route->breaker.window_ms, 60000);
    assert_int_equal(route->breaker.min_requests, 50);
    assert_true(route->breaker.error_rate == 0.05);
    assert_true(route->breaker.error_rate_increase == 0.02);
    assert_true(route->breaker.p95_ratio == 2.0);
    assert_int_equal(route->breaker.consecutive_errors, 10);
    assert_int_equal(route->breaker.cooldown_ms, 30000);
    assert_int_equal(route->breaker.max_trips, 3);
    assert_int_equal(route->breaker.trial_requests, 5);
    assert_int_equal(route->shadow.percent, 0);
    assert_int_equal(route->shadow.method_count, 2);
    assert_string_equal(route->shadow.methods[1], "HEAD");
    assert_false(route->shadow.all_methods);
    assert_int_equal(route->shadow.timeout_ms, 2000);
    assert_int_equal(route->shadow.max_in_flight, 256);
    assert_int_equal(route->shadow.max_body, 1 << 20);
    assert_int_equal(route->shadow.max_buffer, 256 << 10);
    assert_int_equal(route->shadow.max_connections, 256);
    assert_int_equal(route->shadow.max_rate, 0);
    assert_int_equal(route->shadow.host, SHADOW_HOST_ORIGINAL);
    assert_null(route->shadow.host_name);
    assert_int_equal(route->shadow.header_count, 0);
    assert_false(route->shadow.simulate);
    assert_false(route->shadow.sample_by_cohort);
    assert_int_equal(route->shadow.status_count, 0);
    assert_true(route->shadow.breaker.enabled);
    assert_int_equal(route->shadow.breaker.consecutive_failures, 20);
    assert_int_equal(route->shadow.breaker.cooldown_ms, 5000);
    assert_int_equal(route->shadow.endpoint_count, 0);
    assert_int_equal(route->shadow.samples.keep, 10);
    assert_int_equal(route->shadow.samples.values, SAMPLES_REDACTED);
    assert_int_equal(route->shadow.samples.max_bytes, 16 << 20);
    assert_int_equal(route->shadow.samples.max_age_ms, UINT64_C(30) * 86400000);
    assert_int_equal(route->shadow.samples.deny_count, 0);
    assert_false(route->shadow.compare.status_class);
    assert_int_equal(route->shadow.compare.header_count, 2);
    assert_string_equal(route->shadow.compare.headers[0], "content-type");
    assert_int_equal(route->shadow.compare.unordered_count, 0);
    assert_int_equal(route->shadow.compare.keyed_count, 0);
    assert_int_equal(route->shadow.compare.present_only_count, 0);
    assert_int_equal(route->shadow.compare.replace_count, 0);
    assert_null(route->shadow.compare.descriptor_set);
    assert_int_equal(route->errors.grpc, 1 << 2 | 1 << 4 | 1 << 8 | 1 << 13 | 1 << 14 | 1 << 15);
    assert_false(route->shadow.compare.xml_whitespace);
    assert_int_equal(route->shadow.compare.noise.percent, 0);
    assert_true(route->shadow.compare.noise.relative == 0.2);
    assert_true(route->shadow.compare.noise.absolute == 0.0003);
    assert_true(route->shadow.compare.noise.confidence == 0.99);
    assert_int_equal(route->fallback.on, 0);
    config_free(config);
}

static void every_route_key_lands_in_its_field(void **state)
{
    struct config *config = parse(
        BASE
        "  other: { url: \"unix:/run/o.sock\", max_connections: 7, queue: 0, queue_timeout: 2s, idle_timeout: 3s,\n"
        "           dns_refresh: 4s, eject_after: 0, eject_for: 6s }\n"
        "routes:\n"
        "  - name: r\n"
        "    match:\n"
        "      host: \"*.Example.COM\"\n"
        "      path: /a/*/b/**\n"
        "      methods: [GET, PROPFIND]\n"
        "      headers: { X-Tenant: [acme, zoom], X-Any: \"*\", X-One: one }\n"
        "      query: { Version: 2 }\n"
        "    new: other\n"
        "    sticky: [ { header: X-User-Id }, { cookie: Session }, { query: User }, random ]\n"
        "    assign: { cookie: shunt, max_age: 7d }\n"
        "    overrides:\n"
        "      - { cookie: { beta: \"1\" }, backend: other }\n"
        "      - { query: { side: \"*\" }, backend: legacy }\n"
        "    stages:\n"
        "      - { name: look, percent: 0, shadow: 12.25, hold: 1h30m, confirm: true }\n"
        "      - { percent: 25% }\n"
        "      - { percent: 25% }\n"
        "    promotion: manual\n"
        "    gates: { min_requests: 5, error_rate_increase: off, p95_increase: 150%, mismatch_rate: 0.01%,\n"
        "             confidence: 95% }\n"
        "    breaker: { window: 1s, min_requests: 6, error_rate: off, error_rate_increase: 0%, p95_ratio: 1.25,\n"
        "               consecutive_errors: 0, cooldown: 7s, max_trips: 0, trial_requests: 8 }\n"
        "    shadow:\n"
        "      methods: [\"*\"]\n"
        "      timeout: 9s\n"
        "      max_in_flight: 10\n"
        "      max_body: 11KiB\n"
        "      max_buffer: 12KiB\n"
        "      max_connections: 13\n"
        "      samples: { keep: 14, values: full }\n"
        "      compare:\n"
        "        status: class\n"
        "        headers: [ETag]\n"
        "        ignore: [ \"header:Date\", status, \"$['a b'][*].c\", \"$..id\" ]\n"
        "        tolerance: [ { path: \"$.a\", absolute: 0.5 }, { path: \"$.b[3]\", relative: 2% } ]\n"
        "        unordered: [ \"$.*\" ]\n"
        "        noise: { percent: 5 }\n"
        "    fallback: { on: [connect, reset], methods: [\"*\"] }\n");
    const struct config_backend *other = &config->backends[2];
    const struct config_route *route = &config->routes[0];
    (void)state;
    assert_string_equal(other->address.unix_path, "/run/o.sock");
    assert_int_equal(other->max_connections, 7);
    assert_int_equal(other->queue, 0);
    assert_int_equal(other->queue_timeout_ms, 2000);
    assert_int_equal(other->idle_timeout_ms, 3000);
    assert_int_equal(other->dns_refresh_ms, 4000);
    assert_int_equal(other->eject_after, 0);
    assert_int_equal(other->eject_ms, 6000);

    assert_string_equal(route->match.host, "*.example.com");
    assert_int_equal(route->match.path->segment_count, 4);
    assert_int_equal(route->match.path->segments[1].kind, SEGMENT_ANY);
    assert_int_equal(route->match.path->segments[3].kind, SEGMENT_REST);
    assert_memory_equal(route->match.path->segments[2].text, "b", 1);
    assert_int_equal(route->match.path->segments[2].len, 1);
    assert_int_equal(route->match.method_count, 2);
    assert_string_equal(route->match.methods[1], "PROPFIND");
    assert_int_equal(route->match.header_count, 3);
    assert_string_equal(route->match.headers[0].name, "x-tenant");
    assert_int_equal(route->match.headers[0].name_len, 8);
    assert_int_equal(route->match.headers[0].value_count, 2);
    assert_string_equal(route->match.headers[0].values[1], "zoom");
    assert_int_equal(route->match.headers[1].value_count, 0);
    assert_string_equal(route->match.headers[2].values[0], "one");
    assert_string_equal(route->match.query[0].name, "Version");
    assert_string_equal(route->match.query[0].values[0], "2");
    assert_ptr_equal(route->side[SIDE_NEW], other);
    assert_int_equal(route->sticky_count, 4);
    assert_string_equal(route->sticky[0].name, "x-user-id");
    assert_string_equal(route->sticky[1].name, "Session");
    assert_int_equal(route->sticky[2].kind, STICKY_QUERY);
    assert_int_equal(route->sticky[2].name_len, 4);
    assert_int_equal(route->sticky[3].kind, STICKY_RANDOM);
    assert_null(route->sticky[3].name);
    assert_string_equal(route->assign.cookie, "shunt");
    assert_int_equal(route->assign.max_age_ms, 7 * 86400000);
    assert_int_equal(route->override_count, 2);
    assert_int_equal(route->overrides[0].kind, STICKY_COOKIE);
    assert_int_equal(route->overrides[0].side, SIDE_NEW);
    assert_int_equal(route->overrides[1].side, SIDE_LEGACY);
    assert_int_equal(route->overrides[1].match.value_count, 0);
    assert_int_equal(route->stage_count, 3);
    assert_string_equal(route->stages[0].name, "look");
    assert_int_equal(route->stages[0].shadow, 1225);
    assert_int_equal(route->stages[0].hold_ms, 5400000);
    assert_true(route->stages[0].confirm);
    assert_string_equal(route->stages[1].name, "25%");
    assert_string_equal(route->stages[2].name, "25%-2");
    assert_int_equal(route->stages[2].percent, 2500);
    assert_int_equal(route->gates.min_requests, 5);
    assert_true(route->gates.error_rate_increase == RATE_UNSET);
    assert_true(route->gates.p95_increase == 1.5);
    assert_true(route->gates.mismatch_rate == 0.0001);
    assert_true(route->gates.confidence == 0.95);
    assert_int_equal(route->breaker.window_ms, 1000);
    assert_int_equal(route->breaker.min_requests, 6);
    assert_true(route->breaker.error_rate == RATE_UNSET);
    assert_true(route->breaker.error_rate_increase == 0);
    assert_true(route->breaker.p95_ratio == 1.25);
    assert_int_equal(route->breaker.consecutive_errors, 0);
    assert_int_equal(route->breaker.cooldown_ms, 7000);
    assert_int_equal(route->breaker.max_trips, 0);
    assert_int_equal(route->breaker.trial_requests, 8);
    assert_true(route->shadow.all_methods);
    assert_int_equal(route->shadow.timeout_ms, 9000);
    assert_int_equal(route->shadow.max_in_flight, 10);
    assert_int_equal(route->shadow.max_body, 11 << 10);
    assert_int_equal(route->shadow.max_buffer, 12 << 10);
    assert_int_equal(route->shadow.max_connections, 13);
    assert_int_equal(route->shadow.samples.keep, 14);
    assert_int_equal(route->shadow.samples.values, SAMPLES_FULL);
    assert_true(route->shadow.compare.status_class);
    assert_string_equal(route->shadow.compare.headers[0], "etag");
    assert_int_equal(route->shadow.compare.ignore_count, 4);
    assert_string_equal(route->shadow.compare.ignore[0], "header:date");
    assert_int_equal(route->shadow.compare.tolerance_count, 2);
    assert_int_equal(route->shadow.compare.tolerance[0].kind, TOLERANCE_ABSOLUTE);
    assert_true(route->shadow.compare.tolerance[0].amount == 0.5);
    assert_int_equal(route->shadow.compare.tolerance[1].kind, TOLERANCE_RELATIVE);
    assert_true(route->shadow.compare.tolerance[1].amount == 0.02);
    assert_int_equal(route->shadow.compare.unordered_count, 1);
    assert_int_equal(route->shadow.compare.noise.percent, 500);
    assert_int_equal(route->fallback.on, FALLBACK_CONNECT | FALLBACK_RESET);
    assert_true(route->fallback.all_methods);
    config_free(config);
}

static void edit_is(const struct config_header_edit *edit, enum config_header_edit_kind kind, const char *name,
                    const char *value)
{
    assert_int_equal(edit->kind, kind);
    assert_string_equal(edit->name, name);
    if (value == NULL)
        assert_null(edit->value);
    else
        assert_string_equal(edit->value, value);
}

static void every_key_of_mirroring_lands_in_its_field(void **state)
{
    assert_int_equal(setenv("SHUNT_TEST_KEY", "swordfish", 1), 0);
    struct config *config = parse(BASE "routes:\n"
                                       "  - name: r\n"
                                       "    shadow:\n"
                                       "      max_rate: 50\n"
                                       "      sampling: cohort\n"
                                       "      statuses: [2xx, 404, 500-504]\n"
                                       "      read_only: simulate\n"
                                       "      host: \"[::1]:8443\"\n"
                                       "      headers:\n"
                                       "        add: { X-Also: one }\n"
                                       "        set: { Authorization: \"Bearer ${SHUNT_TEST_KEY}\", X-Empty: \"\" }\n"
                                       "        remove: [Cookie, X-Also]\n"
                                       "      breaker: { consecutive_failures: 3, cooldown: 2s }\n"
                                       "      endpoints: [\"/orders/{id}/items\", /files/**, /]\n"
                                       "      samples: { keep: 0, values: hashed, max_bytes: 1MiB, max_age: 1d,\n"
                                       "                 deny: [X-Tenant-Key, Birth Day] }\n");
    const struct config_shadow *shadow = &config->routes[0].shadow;
    (void)state;
    assert_int_equal(shadow->max_rate, 50);
    assert_true(shadow->sample_by_cohort);
    assert_int_equal(shadow->status_count, 3);
    assert_int_equal(shadow->statuses[0].from, 200);
    assert_int_equal(shadow->statuses[0].to, 299);
    assert_int_equal(shadow->statuses[1].from, 404);
    assert_int_equal(shadow->statuses[1].to, 404);
    assert_int_equal(shadow->statuses[2].from, 500);
    assert_int_equal(shadow->statuses[2].to, 504);
    assert_true(shadow->simulate);
    assert_int_equal(shadow->host, SHADOW_HOST_FIXED);
    assert_string_equal(shadow->host_name, "[::1]:8443");
    assert_int_equal(shadow->header_count, 5); /* removals, replacements, additions, whatever the file's order */
    edit_is(&shadow->headers[0], HEADER_EDIT_REMOVE, "cookie", NULL);
    edit_is(&shadow->headers[1], HEADER_EDIT_REMOVE, "x-also", NULL);
    edit_is(&shadow->headers[2], HEADER_EDIT_SET, "Authorization", "Bearer swordfish");
    edit_is(&shadow->headers[3], HEADER_EDIT_SET, "X-Empty", "");
    edit_is(&shadow->headers[4], HEADER_EDIT_ADD, "X-Also", "one");
    assert_int_equal(shadow->breaker.consecutive_failures, 3);
    assert_int_equal(shadow->breaker.cooldown_ms, 2000);
    assert_int_equal(shadow->endpoint_count, 3);
    assert_string_equal(shadow->endpoints[0], "/orders/{id}/items");
    assert_int_equal(shadow->samples.keep, 0);
    assert_int_equal(shadow->samples.values, SAMPLES_HASHED);
    assert_int_equal(shadow->samples.max_bytes, 1 << 20);
    assert_int_equal(shadow->samples.max_age_ms, 86400000);
    assert_int_equal(shadow->samples.deny_count, 2);
    assert_string_equal(shadow->samples.deny[0], "x-tenant-key");
    assert_string_equal(shadow->samples.deny[1], "birth day");
    config_free(config);
    assert_int_equal(unsetenv("SHUNT_TEST_KEY"), 0);
}

static void every_rule_of_comparing_lands_in_its_field(void **state)
{
    struct config *config =
        parse(BASE "routes:\n"
                   "  - name: r\n"
                   "    shadow:\n"
                   "      compare:\n"
                   "        tolerance: [ { path: \"$.at\", within: 5s } ]\n"
                   "        unordered: [ \"$.tags\", { path: \"$.items\", by: id }, \"$..ids\" ]\n"
                   "        present_only: [ \"$.id\", \"$..created\" ]\n"
                   "        replace:\n"
                   "          - { in: body, pattern: \"v[0-9]+\" }\n"
                   "          - { in: \"header:Location\", pattern: \"^(https?)://[^/]+\", with: \"$1://host$$$$\" }\n"
                   "          - { in: \"$.items[*].url\", pattern: \"(a)(b)\", with: \"$${2}$0\" }\n"
                   "        xml_whitespace: exact\n"
                   "        noise: { percent: 5, relative: 30%, absolute: 0.1%, confidence: 95% }\n");
    const struct config_compare *compare = &config->routes[0].shadow.compare;
    (void)state;
    assert_int_equal(compare->tolerance[0].kind, TOLERANCE_WITHIN);
    assert_true(compare->tolerance[0].amount == 5000);
    assert_int_equal(compare->unordered_count, 2);
    assert_string_equal(compare->unordered[1], "$..ids");
    assert_int_equal(compare->keyed_count, 1);
    assert_string_equal(compare->keyed[0].path, "$.items");
    assert_string_equal(compare->keyed[0].by, "id");
    assert_int_equal(compare->present_only_count, 2);
    assert_string_equal(compare->present_only[0], "$.id");
    assert_int_equal(compare->replace_count, 3);
    assert_string_equal(compare->replace[0].in, "body");
    assert_string_equal(compare->replace[0].with, "");
    assert_string_equal(compare->replace[1].in, "header:location");
    assert_string_equal(compare->replace[1].pattern, "^(https?)://[^/]+");
    assert_string_equal(compare->replace[1].with, "$1://host$$");
    assert_string_equal(compare->replace[2].with, "${2}$0");
    assert_true(compare->xml_whitespace);
    assert_int_equal(compare->noise.percent, 500);
    assert_true(compare->noise.relative == 0.3);
    assert_true(compare->noise.absolute == 0.001);
    assert_true(compare->noise.confidence == 0.95);
    config_free(config);
}

static void top_level_keys_land_in_their_fields(void **state)
{
    struct config *config = parse(
        BASE
        "admin: { address: \"[::1]:0\" }\n"
        "workers: 3\n"
        "access_log: { sample: 0.5% }\n"
        "timeouts: { request_header: 1s, request_body: 2s, idle: 3s, connect: 4s, response: 5s,\n"
        "            stream_idle: 6s, tunnel_idle: 7s, drain: 8s, drain_min: 8s, tls_handshake: 9s, http2_ping: 10s }\n"
        "limits: { header_bytes: 16KiB, header_count: 50, uri_bytes: 4KiB, connections: 9,\n"
        "          http2_streams: 10, http2_window: 1MiB, shadow_memory: 64GiB }\n"
        "headers: { via: off, x_forwarded_for: set, x_forwarded_proto: keep,\n"
        "           x_forwarded_host: off, x_request_id: set, x_forwarded_client_cert: append }\n"
        "state: { directory: /var/lib/shunt }\n");
    (void)state;
    assert_true(config->admin.enabled);
    assert_string_equal(config->admin.address.host, "::1");
    assert_int_equal(config->workers, 3);
    assert_int_equal(config->access_log.sample, 50);
    assert_int_equal(config->timeouts.request_header_ms, 1000);
    assert_int_equal(config->timeouts.request_body_ms, 2000);
    assert_int_equal(config->timeouts.idle_ms, 3000);
    assert_int_equal(config->timeouts.connect_ms, 4000);
    assert_int_equal(config->timeouts.response_ms, 5000);
    assert_int_equal(config->timeouts.stream_idle_ms, 6000);
    assert_int_equal(config->timeouts.tunnel_idle_ms, 7000);
    assert_int_equal(config->timeouts.drain_ms, 8000);
    assert_int_equal(config->timeouts.drain_min_ms, 8000);
    assert_int_equal(config->timeouts.tls_handshake_ms, 9000);
    assert_int_equal(config->timeouts.http2_ping_ms, 10000);
    assert_int_equal(config->limits.header_bytes, 16384);
    assert_int_equal(config->limits.header_count, 50);
    assert_int_equal(config->limits.uri_bytes, 4096);
    assert_int_equal(config->limits.connections, 9);
    assert_int_equal(config->limits.http2_streams, 10);
    assert_int_equal(config->limits.http2_window, 1 << 20);
    assert_int_equal(config->limits.shadow_memory, UINT64_C(64) << 30);
    assert_false(config->headers.via);
    assert_int_equal(config->headers.x_forwarded_for, HEADER_SET);
    assert_int_equal(config->headers.x_forwarded_proto, HEADER_KEEP);
    assert_int_equal(config->headers.x_forwarded_host, HEADER_OFF);
    assert_int_equal(config->headers.x_request_id, HEADER_SET);
    assert_int_equal(config->headers.x_forwarded_client_cert, HEADER_APPEND);
    assert_string_equal(config->state.directory, "/var/lib/shunt");
    config_free(config);
}

static void off_turns_sections_off(void **state)
{
    struct config *config =
        parse(BASE "access_log: off\n"
                   "timeouts: { http2_ping: off }\n"
                   "routes: [ { name: r, breaker: off, fallback: off, match: { methods: [\"*\"] },\n"
                   "            shadow: { breaker: off, max_rate: off, read_only: off, host: backend } } ]\n");
    (void)state;
    assert_int_equal(config->access_log.sample, 0);
    assert_int_equal(config->timeouts.http2_ping_ms, 0);
    assert_false(config->routes[0].breaker.enabled);
    assert_int_equal(config->routes[0].breaker.window_ms, 60000);
    assert_int_equal(config->routes[0].fallback.on, 0);
    assert_int_equal(config->routes[0].match.method_count, 0);
    assert_false(config->routes[0].shadow.breaker.enabled);
    assert_int_equal(config->routes[0].shadow.breaker.cooldown_ms, 5000);
    assert_int_equal(config->routes[0].shadow.max_rate, 0);
    assert_false(config->routes[0].shadow.simulate);
    assert_int_equal(config->routes[0].shadow.host, SHADOW_HOST_BACKEND);
    config_free(config);
}

static void mirrored_route_gets_the_mismatch_gate(void **state)
{
    struct config *config = parse(BASE "routes:\n"
                                       "  - { name: a, match: { path: /a }, stages: [ { percent: 0, shadow: 1 } ] }\n"
                                       "  - { name: b, match: { path: /b }, shadow: { percent: 1 } }\n"
                                       "  - { name: c, match: { path: /c }, gates: { mismatch_rate: 3% } }\n");
    (void)state;
    assert_true(config->routes[0].gates.mismatch_rate == 0.001);
    assert_true(config->routes[1].gates.mismatch_rate == 0.001);
    assert_true(config->routes[2].gates.mismatch_rate == 0.03);
    config_free(config);
}

static void reachable_routes_are_accepted(void **state)
{
    struct config *config = parse(BASE "routes:\n"
                                       "  - { name: a, match: { path: /a/*, methods: [GET] } }\n"
                                       "  - { name: b, match: { path: /a/* } }\n"
                                       "  - { name: c, match: { path: /a/** } }\n"
                                       "  - { name: d, match: { host: api.example.com } }\n"
                                       "  - { name: e, match: { host: \"*.example.com\" } }\n"
                                       "  - { name: f, match: { headers: { X-A: b } } }\n"
                                       "  - { name: g, match: { headers: { X-A: \"*\" } } }\n"
                                       "  - { name: h, match: { path: /** } }\n"
                                       "  - { name: i }\n");
    (void)state;
    assert_int_equal(config->route_count, 9);
    assert_int_equal(config->routes[8].index, 8);
    config_free(config);
}

static void neighbours_of_the_listener_are_accepted(void **state)
{
    struct config *config = parse(
        "listeners: [ { address: \"0.0.0.0:8080\" }, { address: \"127.0.0.1:0\" }, { address: \"127.0.0.1:0\" } ]\n"
        "admin: { address: 127.0.0.1:0 }\n"
        "backends: { legacy: { url: \"http://10.0.0.1:8080\" }, new: { url: \"unix:/0.0.0.0:8080\" } }\n");
    (void)state;
    assert_int_equal(config->listener_count, 3);
    config_free(config);
}

static void aliases_are_resolved(void **state)
{
    struct config *config =
        parse(BASE "routes:\n"
                   "  - { name: a, match: { path: /a }, stages: &plan [ { percent: 1 }, { percent: 2 } ] }\n"
                   "  - { name: b, match: { path: /b }, stages: *plan }\n");
    (void)state;
    assert_int_equal(config->routes[1].stage_count, 2);
    assert_int_equal(config->routes[1].stages[1].percent, 200);
    config_free(config);
}

static void variables_are_replaced(void **state)
{
    (void)state;
    assert_int_equal(setenv("SHUNT_TEST_HOST", "backend.internal", 1), 0);
    assert_int_equal(setenv("SHUNT_TEST_EMPTY", "", 1), 0);
    struct config *config = parse("listeners: [ { address: 127.0.0.1:8080 } ]\n"
                                  "backends: { legacy: { url: \"http://${SHUNT_TEST_HOST}:1${SHUNT_TEST_EMPTY}2\" } }\n"
                                  "state: { directory: \"/$${a}/$x/$$/${SHUNT_TEST_HOST}\" }\n");
    assert_string_equal(config->legacy->address.host, "backend.internal");
    assert_int_equal(config->legacy->address.port, 12);
    assert_string_equal(config->state.directory, "/${a}/$x/$/backend.internal");
    config_free(config);
    assert_int_equal(unsetenv("SHUNT_TEST_HOST"), 0);
    assert_int_equal(unsetenv("SHUNT_TEST_EMPTY"), 0);
}

static void bad_variable_values_are_refused(void **state)
{
    static const char text[] = BASE "state: { directory: \"${SHUNT_TEST_BAD}\" }\n";
    static const char *const bad[] = {"a\nb", "a\tb", "\xff", "a\x7f"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct config_errors errors = {0};
        assert_int_equal(setenv("SHUNT_TEST_BAD", bad[i], 1), 0);
        assert_null(config_parse("b.yaml", text, strlen(text), &errors));
        assert_int_equal(errors.count, 1);
        assert_non_null(
            strstr(errors.lines[0], "b.yaml:6:21: state.directory: the environment variable SHUNT_TEST_BAD"));
        config_errors_free(&errors);
    }
    char *huge = malloc(TREE_SCALAR_BYTES + 2);
    struct config_errors errors = {0};
    assert_non_null(huge);
    memset(huge, 'x', TREE_SCALAR_BYTES + 1);
    huge[TREE_SCALAR_BYTES + 1] = '\0';
    assert_int_equal(setenv("SHUNT_TEST_BAD", huge, 1), 0);
    free(huge);
    assert_null(config_parse("b.yaml", text, strlen(text), &errors));
    assert_non_null(strstr(errors.lines[0], "too long"));
    config_errors_free(&errors);
    assert_int_equal(unsetenv("SHUNT_TEST_BAD"), 0);
}

struct folder {
    char path[64];
};

static void write_file(const struct folder *folder, const char *name, const char *text, size_t length)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static struct folder new_folder(void)
{
    struct folder folder;
    (void)snprintf(folder.path, sizeof(folder.path), "/tmp/shunt-test-XXXXXX");
    assert_non_null(mkdtemp(folder.path));
    return folder;
}

static void remove_file(const struct folder *folder, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    assert_int_equal(unlink(path), 0);
}

static void token_and_secrets_come_from_files_beside_the_configuration(void **state)
{
    struct folder folder = new_folder();
    char name[128];
    (void)state;
    (void)snprintf(name, sizeof(name), "%s/shunt.yaml", folder.path);
    write_file(&folder, "token", "s3cret\r\n", 8);
    struct config *config =
        parse_as(name, BASE "admin: { address: \"0.0.0.0:0\", token_file: token }\n"
                            "routes:\n"
                            "  - name: r\n"
                            "    overrides: [ { header: { X-Key: { file: token } }, backend: new } ]\n");
    assert_string_equal(config->admin.token, "s3cret");
    assert_memory_equal(config->admin.token_file, folder.path, strlen(folder.path));
    assert_string_equal(config->routes[0].overrides[0].match.values[0], "s3cret");
    config_free(config);
    remove_file(&folder, "token");
    assert_int_equal(rmdir(folder.path), 0);
}

static void bad_secret_files_are_refused(void **state)
{
    static const char *const contents[] = {"", "\n", "two\nlines\n", "tab\there", "two words"};
    static const char text[] = BASE "admin: { address: 127.0.0.1:0, token_file: token }\n";
    struct folder folder = new_folder();
    char name[128];
    (void)state;
    (void)snprintf(name, sizeof(name), "%s/shunt.yaml", folder.path);
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        struct config_errors errors = {0};
        write_file(&folder, "token", contents[i], strlen(contents[i]));
        assert_null(config_parse(name, text, strlen(text), &errors));
        assert_int_equal(errors.count, 1);
        assert_non_null(strstr(errors.lines[0], ":6:44: admin.token_file: "));
        config_errors_free(&errors);
    }
    static char large[TREE_SCALAR_BYTES + 1];
    struct config_errors errors = {0};
    memset(large, 'x', sizeof(large));
    write_file(&folder, "token", large, sizeof(large));
    assert_null(config_parse(name, text, strlen(text), &errors));
    assert_non_null(strstr(errors.lines[0], "is too large"));
    config_errors_free(&errors);
    remove_file(&folder, "token");
    assert_int_equal(rmdir(folder.path), 0);
}

static void files_are_read_from_disk(void **state)
{
    struct folder folder = new_folder();
    struct config_errors errors = {0};
    char path[128];
    (void)state;
    (void)snprintf(path, sizeof(path), "%s/shunt.yaml", folder.path);
    write_file(&folder, "shunt.yaml", BASE, strlen(BASE));
    struct config *config = config_load(path, &errors);
    assert_non_null(config);
    assert_string_equal(config->file, path);
    config_free(config);
    remove_file(&folder, "shunt.yaml");
    assert_null(config_load(path, &errors));
    assert_int_equal(errors.count, 1);
    assert_non_null(strstr(errors.lines[0], "/shunt.yaml:1:1: the file cannot be read: No such file or directory"));
    config_errors_free(&errors);
    assert_null(config_load(folder.path, &errors));
    assert_non_null(strstr(errors.lines[0], "Is a directory"));
    config_errors_free(&errors);
    assert_int_equal(rmdir(folder.path), 0);
}

static void too_large_a_file_is_refused(void **state)
{
    struct folder folder = new_folder();
    struct config_errors errors = {0};
    char path[128];
    char *text = malloc(TREE_FILE_BYTES + 1);
    (void)state;
    assert_non_null(text);
    memset(text, '#', TREE_FILE_BYTES + 1);
    memcpy(text, BASE, strlen(BASE));
    (void)snprintf(path, sizeof(path), "%s/shunt.yaml", folder.path);
    write_file(&folder, "shunt.yaml", text, TREE_FILE_BYTES);
    struct config *config = config_load(path, &errors);
    assert_non_null(config);
    config_free(config);
    write_file(&folder, "shunt.yaml", text, TREE_FILE_BYTES + 1);
    free(text);
    assert_null(config_load(path, &errors));
    assert_int_equal(errors.count, 1);
    assert_non_null(strstr(errors.lines[0], ":1:1: the file is larger than 1048576 bytes"));
    config_errors_free(&errors);
    remove_file(&folder, "shunt.yaml");
    assert_int_equal(rmdir(folder.path), 0);
}

static void byte_order_mark_and_crlf_are_fine(void **state)
{
    struct config *config = parse("\xef\xbb\xbflisteners:\r\n  - address: 127.0.0.1:8080\r\nbackends:\r\n"
                                  "  legacy: { url: \"http://127.0.0.1:3001\" }\r\n");
    (void)state;
    assert_int_equal(config->backend_count, 1);
    config_free(config);
}

static void examples_load(void **state)
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
        for (size_t j = 0; j < errors.count; j++)
            print_error("%s\n", errors.lines[j]);
        assert_non_null(config);
        assert_true(config->route_count > 0);
        config_free(config);
        config_errors_free(&errors);
    }
    assert_int_equal(unsetenv("ATLANTIS_NEW_URL"), 0);
    assert_int_equal(unsetenv("BILLING_STAGING_TOKEN"), 0);
}

static void nothing_is_freed_as_nothing(void **state)
{
    struct config_errors errors = {0};
    (void)state;
    config_free(NULL);
    config_errors_free(&errors);
}

static void sides_have_names(void **state)
{
    (void)state;
    assert_string_equal(side_name(SIDE_LEGACY), "legacy");
    assert_string_equal(side_name(SIDE_NEW), "new");
    assert_int_equal(side_other(SIDE_NEW), SIDE_LEGACY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smallest_file_has_every_default),
        cmocka_unit_test(bare_route_has_every_default),
        cmocka_unit_test(every_route_key_lands_in_its_field),
        cmocka_unit_test(every_key_of_mirroring_lands_in_its_field),
        cmocka_unit_test(every_rule_of_comparing_lands_in_its_field),
        cmocka_unit_test(top_level_keys_land_in_their_fields),
        cmocka_unit_test(off_turns_sections_off),
        cmocka_unit_test(mirrored_route_gets_the_mismatch_gate),
        cmocka_unit_test(reachable_routes_are_accepted),
        cmocka_unit_test(neighbours_of_the_listener_are_accepted),
        cmocka_unit_test(aliases_are_resolved),
        cmocka_unit_test(variables_are_replaced),
        cmocka_unit_test(bad_variable_values_are_refused),
        cmocka_unit_test(token_and_secrets_come_from_files_beside_the_configuration),
        cmocka_unit_test(bad_secret_files_are_refused),
        cmocka_unit_test(files_are_read_from_disk),
        cmocka_unit_test(too_large_a_file_is_refused),
        cmocka_unit_test(byte_order_mark_and_crlf_are_fine),
        cmocka_unit_test(examples_load),
        cmocka_unit_test(nothing_is_freed_as_nothing),
        cmocka_unit_test(sides_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
