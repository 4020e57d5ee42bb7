/*
 * What the router's tests share: a router on a YAML file given as text, a clock in hand, requests made of a few words,
 * the events that came out, and a restart. Header only, as each test program is one file.
 */
#ifndef SHUNT_TESTS_ROUTER_FIXTURE_H
#define SHUNT_TESTS_ROUTER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "router/router.h"
#include "router/sketch.h"
#include "router/text.h"

#define UNUSED_OK __attribute__((unused))

enum {
    FIXTURE_CONFIGS = 64,
    FIXTURE_EVENTS = 4096,
    FIXTURE_FIELDS = 8,
    TICK_MS = 25
};

struct fixture {
    struct router *router;
    struct router_view *view;
    struct config *config[FIXTURE_CONFIGS];
    uint32_t config_count;
    uint32_t released; /* configurations nobody reads any more */
    uint32_t workers;
    uint64_t now_ms;
    uint64_t wall_ms;
    uint32_t event_count;
    char what[FIXTURE_EVENTS][32];
    char who[FIXTURE_EVENTS][32];
    char why[FIXTURE_EVENTS][320];
    uint64_t last_sequence;
    struct comparison_totals pairs;
    struct marks pair_marks;         /* since they were taken */
    struct approval_answer approval; /* of every webhook */
    uint32_t asked;                  /* how often it was asked for */
    uint64_t random;
};

/* xorshift64*: the same numbers in every run. */
UNUSED_OK static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717u;
}

UNUSED_OK static void fixture_on_event(void *context, const struct router_event *event)
{
    struct fixture *f = context;
    assert_int_equal(event->sequence, f->last_sequence + 1);
    f->last_sequence = event->sequence;
    assert_true(f->event_count < FIXTURE_EVENTS);
    (void)snprintf(f->what[f->event_count], sizeof(f->what[0]), "%s", event->what);
    (void)snprintf(f->who[f->event_count], sizeof(f->who[0]), "%s", event->who);
    (void)snprintf(f->why[f->event_count], sizeof(f->why[0]), "%s", event->why);
    f->event_count++;
}

UNUSED_OK static void fixture_comparisons(void *context, const char *route, struct comparison_totals *totals)
{
    struct fixture *f = context;
    (void)route;
    *totals = f->pairs;
}

UNUSED_OK static void fixture_comparison_marks(void *context, const char *route, struct marks *marks)
{
    struct fixture *f = context;
    (void)route;
    marks_take(marks, &f->pair_marks);
}

UNUSED_OK static void fixture_approval(void *context, const char *route, const char *stage,
                                       const struct config_gate_webhook *webhook, struct approval_answer *answer)
{
    struct fixture *f = context;
    assert_true(route != NULL && stage != NULL && webhook->url != NULL);
    *answer = f->approval;
    f->asked++;
}

UNUSED_OK static void fixture_config_released(void *context, const struct config *config)
{
    struct fixture *f = context;
    (void)config;
    __atomic_add_fetch(&f->released, 1, __ATOMIC_RELAXED); /* workers may let go of the last view */
}

UNUSED_OK static const char *last_event(const struct fixture *f)
{
    return f->event_count > 0 ? f->what[f->event_count - 1] : "";
}

UNUSED_OK static uint32_t count_events(const struct fixture *f, const char *what)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < f->event_count; i++)
        count += strcmp(f->what[i], what) == 0;
    return count;
}

UNUSED_OK static struct config *config_from(const char *yaml)
{
    struct config_errors errors = {0};
    struct config *config = config_parse("test.yaml", yaml, strlen(yaml), &errors);
    for (size_t i = 0; i < errors.count; i++)
        print_error("%s\n", errors.lines[i]);
    config_errors_free(&errors);
    assert_non_null(config);
    return config;
}

#define YAML_HEAD                                                                                                      \
    "listeners: [ { address: \"127.0.0.1:8080\" } ]\n"                                                                 \
    "backends: { legacy: { url: \"http://127.0.0.1:3001\" }, new: { url: \"http://127.0.0.1:3002\" },\n"               \
    "            other: { url: \"http://127.0.0.1:3003\" } }\n"                                                        \
    "routes:\n"

UNUSED_OK static void fixture_publish(struct fixture *f)
{
    router_view_unref(f->view);
    f->view = router_publish(f->router);
    assert_non_null(f->view);
}

/* A reload, too: the former file is kept until the fixture ends. */
UNUSED_OK static void fixture_configure(struct fixture *f, const char *yaml)
{
    assert_true(f->config_count < FIXTURE_CONFIGS);
    struct config *config = config_from(yaml);
    f->config[f->config_count++] = config;
    assert_true(router_configure(f->router, config, f->now_ms, f->wall_ms));
    fixture_publish(f);
}

UNUSED_OK static struct fixture *fixture_empty(uint32_t workers)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->workers = workers;
    f->now_ms = 1000000;
    f->wall_ms = 1700000000000;
    f->random = 88172645463325252u;
    struct router_hooks hooks = {
        .context = f,
        .on_event = fixture_on_event,
        .comparisons = fixture_comparisons,
        .comparison_marks = fixture_comparison_marks,
        .approval = fixture_approval,
        .config_released = fixture_config_released,
    };
    f->router = router_new(workers, &hooks);
    assert_non_null(f->router);
    return f;
}

UNUSED_OK static struct fixture *fixture_new(uint32_t workers, const char *yaml)
{
    struct fixture *f = fixture_empty(workers);
    fixture_configure(f, yaml);
    return f;
}

UNUSED_OK static void fixture_free(struct fixture *f)
{
    router_free(f->router);
    router_view_unref(f->view);
    assert_int_equal(f->released, f->config_count);
    for (uint32_t i = 0; i < f->config_count; i++)
        config_free(f->config[i]);
    free(f);
}

/* Lets time pass in ticks, as control does, and adopts new views. */
UNUSED_OK static void fixture_wait(struct fixture *f, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += TICK_MS) {
        f->now_ms += TICK_MS;
        f->wall_ms += TICK_MS;
        if (router_tick(f->router, f->now_ms, f->wall_ms))
            fixture_publish(f);
    }
}

/* One long tick. */
UNUSED_OK static void fixture_skip(struct fixture *f, uint64_t ms)
{
    f->now_ms += ms;
    f->wall_ms += ms;
    if (router_tick(f->router, f->now_ms, f->wall_ms))
        fixture_publish(f);
}

/* Time passes, and the process does not run; control notices before it ticks. */
UNUSED_OK static void fixture_sleep(struct fixture *f, uint64_t ms)
{
    f->now_ms += ms;
    f->wall_ms += ms;
    router_slept(f->router, f->now_ms);
}

/* ---- requests ---- */

struct request {
    struct request_facts facts;
    struct field fields[FIXTURE_FIELDS];
};

/* Target with path and perhaps a query; random bits from the fixture. The texts are borrowed. */
UNUSED_OK static void request_init(struct request *r, const char *method, const char *target)
{
    memset(r, 0, sizeof(*r));
    const char *mark = strchr(target, '?');
    r->facts.method = text_of(method);
    r->facts.path = text_of(target);
    if (mark != NULL) {
        r->facts.path.len = (uint32_t)(mark - target);
        r->facts.query = text_of(mark + 1);
    }
    r->facts.host = text_of("example.com");
    r->facts.fields = r->fields;
    r->facts.client = (struct client_address){{192, 0, 2, 1}, 4};
}

UNUSED_OK static void request_add(struct request *r, const char *name, const char *value)
{
    assert_true(r->facts.field_count < FIXTURE_FIELDS);
    struct field *field = &r->fields[r->facts.field_count++];
    field->name = text_of(name);
    field->value = text_of(value);
    field->id = request_field_id(field->name);
}

UNUSED_OK static struct decision decide_on(struct fixture *f, uint32_t worker, struct request *r)
{
    struct decision decision;
    r->facts.random = next_random(&f->random);
    router_decide(f->view, worker, &r->facts, &decision);
    return decision;
}

UNUSED_OK static void observe(struct fixture *f, uint32_t worker, const struct decision *decision,
                              enum outcome_kind kind, uint16_t status, uint64_t latency_us)
{
    struct outcome outcome = {.kind = kind, .status = status, .client_status = status, .latency_us = latency_us};
    router_observe(f->view, worker, decision, &outcome);
}

/* One GET /orders of user number `user`, answered with `status` (0: reset); returns the side that was asked. */
UNUSED_OK static struct decision drive(struct fixture *f, uint32_t worker, uint64_t user, uint16_t legacy_status,
                                       uint16_t new_status, uint64_t latency_us)
{
    struct request r;
    char id[32];
    request_init(&r, "GET", "/orders");
    (void)snprintf(id, sizeof(id), "user-%llu", (unsigned long long)user);
    request_add(&r, "X-User-Id", id);
    struct decision decision = decide_on(f, worker, &r);
    uint16_t status = decision.side == SIDE_NEW ? new_status : legacy_status;
    observe(f, worker, &decision, status == 0 ? OUTCOME_RESET : OUTCOME_OK, status, latency_us);
    return decision;
}

/* So many users, each anew, over all workers; legacy answers 200. */
UNUSED_OK static void traffic(struct fixture *f, uint32_t count, uint16_t new_status)
{
    static uint64_t user;
    for (uint32_t i = 0; i < count; i++) {
        user++;
        (void)drive(f, (uint32_t)(user % f->workers), user, 200, new_status, 1000);
    }
}

/* ---- verbs ---- */

UNUSED_OK static int command(struct fixture *f, enum router_verb verb, const char *route)
{
    const char *why = NULL;
    struct router_command order = {.verb = verb, .route = route, .who = "operator:ann", .reason = "test"};
    int result = router_command(f->router, &order, f->now_ms, f->wall_ms, &why);
    assert_true((result == 0) == (why == NULL));
    if (result == 0)
        fixture_publish(f);
    return result;
}

UNUSED_OK static int command_percent(struct fixture *f, const char *route, uint32_t percent)
{
    const char *why = NULL;
    struct router_command order = {.verb = VERB_SET_PERCENT, .route = route, .percent = percent, .who = "operator:ann"};
    int result = router_command(f->router, &order, f->now_ms, f->wall_ms, &why);
    if (result == 0)
        fixture_publish(f);
    return result;
}

UNUSED_OK static int command_force(struct fixture *f, const char *route)
{
    const char *why = NULL;
    struct router_command order = {.verb = VERB_PROMOTE, .route = route, .force = true, .who = "operator:ann"};
    int result = router_command(f->router, &order, f->now_ms, f->wall_ms, &why);
    if (result == 0)
        fixture_publish(f);
    return result;
}

/* ---- what is there ---- */

struct found_state {
    const char *name;
    struct router_route_state state;
    bool found;
};

UNUSED_OK static void find_state(void *context, const struct router_route_state *state,
                                 const struct route_counters *sum)
{
    struct found_state *wanted = context;
    (void)sum;
    if (strcmp(state->name, wanted->name) == 0) {
        wanted->state = *state;
        wanted->found = true;
    }
}

UNUSED_OK static struct router_route_state state_of(const struct fixture *f, const char *route)
{
    struct found_state wanted = {.name = route};
    router_each(f->router, find_state, &wanted);
    assert_true(wanted.found);
    return wanted.state;
}

/* The route of that place in the file; new reference. */
UNUSED_OK static json_t *route_status(const struct fixture *f, size_t index)
{
    json_t *status = router_status(f->router, f->now_ms, f->wall_ms);
    json_t *route = json_incref(json_array_get(json_object_get(status, "routes"), index));
    json_decref(status);
    return route;
}

UNUSED_OK static void assert_why_not(const struct fixture *f, size_t index, const char *expected)
{
    json_t *route = route_status(f, index);
    const char *why = json_string_value(json_object_get(route, "why_not"));
    if (why == NULL || strstr(why, expected) == NULL)
        fail_msg("why_not is \"%s\", expected \"%s\"", why != NULL ? why : "null", expected);
    json_decref(route);
}

/* ---- a restart ---- */

UNUSED_OK static json_t *fixture_save(const struct fixture *f)
{
    json_t *state = router_save(f->router, f->now_ms, f->wall_ms);
    assert_non_null(state);
    return state;
}

/* Another process takes `state` (borrowed) up: its monotonic clock starts anew, the wall clock went on by `away_ms`. */
UNUSED_OK static struct fixture *restarted(const struct fixture *before, const json_t *state, uint64_t away_ms,
                                           const char *yaml)
{
    struct fixture *f = fixture_empty(before->workers);
    char *why = NULL;
    f->now_ms = 100000;
    f->wall_ms = before->wall_ms + away_ms;
    if (!router_restore(f->router, state, f->now_ms, f->wall_ms, &why))
        fail_msg("%s", why);
    assert_null(why);
    f->last_sequence = (uint64_t)json_integer_value(json_object_get(state, "sequence"));
    fixture_configure(f, yaml);
    return f;
}

#endif
