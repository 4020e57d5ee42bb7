/*
 * Routes and pairs for the tests of shadow/.
 */
#ifndef SHUNT_TESTS_SHADOW_PAIRS_H
#define SHUNT_TESTS_SHADOW_PAIRS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/compare.h"
#include "shadow/pair.h"

enum {
    RULES_ROOM = 32
};

/* A route with room for rules; texts are borrowed. */
struct test_route {
    struct config_route route;
    const char *headers[RULES_ROOM];
    const char *ignore[RULES_ROOM];
    const char *unordered[RULES_ROOM];
    struct config_tolerance tolerance[RULES_ROOM];
};

static inline void test_route_init(struct test_route *t, const char *name)
{
    memset(t, 0, sizeof(*t));
    t->route.name = name;
    t->route.shadow.max_body = 1024 * 1024;
    t->route.shadow.samples.keep = 8;
    t->route.shadow.samples.values = SAMPLES_REDACTED;
    t->route.shadow.compare.noise = (struct config_noise){.relative = 0.2, .absolute = 0.0003, .confidence = 0.99};
    t->route.gates = (struct config_gates){.mismatch_rate = RATE_UNSET, .confidence = 0.99};
    t->route.shadow.compare.headers = t->headers;
    t->route.shadow.compare.ignore = t->ignore;
    t->route.shadow.compare.unordered = t->unordered;
    t->route.shadow.compare.tolerance = t->tolerance;
}

static inline void test_route_header(struct test_route *t, const char *name)
{
    assert_true(t->route.shadow.compare.header_count < RULES_ROOM);
    t->headers[t->route.shadow.compare.header_count++] = name;
}

static inline void test_route_ignore(struct test_route *t, const char *rule)
{
    assert_true(t->route.shadow.compare.ignore_count < RULES_ROOM);
    t->ignore[t->route.shadow.compare.ignore_count++] = rule;
}

static inline void test_route_unordered(struct test_route *t, const char *path)
{
    assert_true(t->route.shadow.compare.unordered_count < RULES_ROOM);
    t->unordered[t->route.shadow.compare.unordered_count++] = path;
}

static inline void test_route_tolerate(struct test_route *t, const char *path, enum config_tolerance_kind kind,
                                       double amount)
{
    assert_true(t->route.shadow.compare.tolerance_count < RULES_ROOM);
    t->tolerance[t->route.shadow.compare.tolerance_count++] =
        (struct config_tolerance){.path = path, .kind = kind, .amount = amount};
}

/* Fills a capture as a worker does: head, body, end. */
static inline void test_capture(struct capture *capture, size_t max_body, unsigned status, const char *head,
                                const char *body, size_t len)
{
    capture_reset(capture, max_body);
    capture_head(capture, status, head, strlen(head));
    capture_body(capture, body, len);
    capture_end(capture, OUTCOME_OK, 1000);
}

static inline struct pair *test_pair(const struct test_route *t)
{
    struct pair *pair = pair_new();
    assert_non_null(pair);
    pair->route = &t->route;
    pair->primary = SIDE_LEGACY;
    pair->wall_ms = 1700000000000;
    snprintf(pair->method, sizeof(pair->method), "GET");
    snprintf(pair->target, sizeof(pair->target), "/orders/17");
    snprintf(pair->request_id, sizeof(pair->request_id), "id-1");
    return pair;
}

/* Both sides answered 200 with these JSON bodies. */
static inline struct pair *test_json_pair(const struct test_route *t, const char *primary, const char *shadow)
{
    static const char head[] = "Content-Type: application/json\r\n";
    struct pair *pair = test_pair(t);
    test_capture(&pair->primary_capture, t->route.shadow.max_body, 200, head, primary, strlen(primary));
    test_capture(&pair->shadow_capture, t->route.shadow.max_body, 200, head, shadow, strlen(shadow));
    return pair;
}

#endif
