/*
 * A fleet of a few routers: a table of items that takes a wish as Redis would, and hands what came of it to all who can
 * be reached. Header only, as each test program is one file.
 */
#ifndef SHUNT_TESTS_ROUTER_FLEET_FIXTURE_H
#define SHUNT_TESTS_ROUTER_FLEET_FIXTURE_H

#include "fixture.h"

#include "router/control.h"
#include "router/pool.h"

#define BREAKER                                                                                                        \
    "    breaker: { window: 10s, min_requests: 20, error_rate: 50%, error_rate_increase: off, p95_ratio: off,\n"       \
    "               consecutive_errors: 3, cooldown: 2s, trial_requests: 1, max_trips: 2, ramp: 2s }\n"
#define HEAD                                                                                                           \
    "  - name: orders\n    match: { path: /orders/** }\n    sticky: [ { header: X-User-Id } ]\n"                       \
    "    overrides: [ { header: { X-Test: new }, backend: new } ]\n" BREAKER                                           \
    "    gates: { min_requests: 10, error_rate: 5%, error_rate_increase: off, p95_increase: off }\n"
#define STAGES                                                                                                         \
    "    stages:\n"                                                                                                    \
    "      - { name: canary, percent: 10, hold: 60s }\n"                                                               \
    "      - { name: half, percent: 50, hold: 60s }\n"                                                                 \
    "      - { name: all, percent: 100, hold: 60s }\n"
#define ORDERS YAML_HEAD HEAD "    promotion: auto\n" STAGES
#define MANUAL YAML_HEAD HEAD "    start: manual\n" STAGES
#define FIXED  YAML_HEAD HEAD "    percent: 25\n"

/* Orders, which depends on planner. */
#define PAIR                                                                                                           \
    YAML_HEAD HEAD "    promotion: auto\n    depends_on: [ { route: planner, stage: b } ]\n" STAGES                    \
                   "  - name: planner\n    match: { path: /planner/** }\n    sticky: [ random ]\n"                     \
                   "    stages: [ { name: a, percent: 20, hold: 1h }, { name: b, percent: 100, hold: 1h } ]\n"

enum {
    MEMBERS_MOST = 3,
    ITEMS = 2, /* routes of a file */
    WHY_ROOM = 160,
};

/* ---- a fleet ---- */

struct item {
    char route[16];
    uint64_t version;
    uint32_t share, rank;
    json_t *value; /* owned */
};

struct member {
    struct fixture *f;
    bool reached; /* wishes come through, and items arrive */
    uint32_t asked;
    struct router_wish last; /* value and log are owned */
};

struct fleet {
    struct member member[MEMBERS_MOST];
    uint32_t count;
    struct item item[ITEMS];
    uint32_t items;
    bool silent; /* wishes are heard and not answered */
};

static struct fleet fleet;

UNUSED_OK static struct member *member_of(const struct fixture *f)
{
    for (uint32_t i = 0; i < fleet.count; i++)
        if (fleet.member[i].f == f)
            return &fleet.member[i];
    fail_msg("it is no member");
    return NULL;
}

UNUSED_OK static struct item *item_of(const char *route)
{
    for (uint32_t i = 0; i < fleet.items; i++)
        if (strcmp(fleet.item[i].route, route) == 0)
            return &fleet.item[i];
    assert_true(fleet.items < ITEMS);
    struct item *item = &fleet.item[fleet.items++];
    (void)snprintf(item->route, sizeof(item->route), "%s", route);
    return item;
}

UNUSED_OK static struct route_state *route_in(const struct fixture *f, const char *name)
{
    struct route_state *state = router_find(f->router, name);
    assert_non_null(state);
    return state;
}

UNUSED_OK static struct route_state *orders(const struct fixture *f)
{
    return route_in(f, "orders");
}

UNUSED_OK static void adopt(struct fixture *f, const char *route, const json_t *value, uint64_t version)
{
    const char *why = NULL;
    if (!router_adopt(f->router, route, value, version, f->now_ms, f->wall_ms, &why))
        fail_msg("%s", why);
    fixture_publish(f);
}

UNUSED_OK static void tell_all(const struct item *item)
{
    for (uint32_t i = 0; i < fleet.count; i++)
        if (fleet.member[i].reached)
            adopt(fleet.member[i].f, item->route, item->value, item->version);
}

UNUSED_OK static bool is_granted(const struct fixture *f, const struct item *item, const struct router_wish *wish)
{
    const struct route_state *state = router_find(f->router, wish->route);
    bool is_safer = wish->share < item->share || (wish->share == item->share && wish->rank < item->rank);
    if (wish->kind == WISH_SAFETY)
        return item->version == 0 || is_safer;
    return state->item_version == item->version && (wish->kind != WISH_LEADER || f->router->role == ROUTER_LEADER);
}

UNUSED_OK static void change(struct item *item, const struct router_wish *wish)
{
    json_t *former = item->value;
    item->version++;
    item->share = wish->share;
    item->rank = wish->rank;
    item->value = json_deep_copy(wish->value);
    json_decref(former);
    tell_all(item);
}

UNUSED_OK static void on_wish(void *context, const struct router_wish *wish)
{
    struct fixture *f = context;
    struct member *member = member_of(f);
    assert_true(f->router->role != ROUTER_ALONE);
    assert_true(wish->share <= SHARE_ALL && wish->rank <= 1000);
    json_decref(member->last.value);
    json_decref(member->last.log);
    member->last = *wish;
    (void)json_incref(wish->value);
    (void)json_incref(wish->log);
    member->asked++;
    if (fleet.silent)
        return;
    struct item *item = item_of(wish->route);
    if (!member->reached || !is_granted(f, item, wish))
        router_wish_over(f->router, wish->route);
    else
        change(item, wish);
}

UNUSED_OK static void take_role(struct fixture *f, enum router_role role)
{
    router_set_role(f->router, role, role == ROUTER_LEADER, role == ROUTER_LEADER ? NULL : "it does not lead",
                    f->now_ms);
    member_of(f)->reached = role != ROUTER_CUT_OFF;
    fixture_publish(f);
}

UNUSED_OK static void share_file(struct fixture *f)
{
    for (uint32_t i = 0; i < f->router->count; i++) {
        struct router_wish wish = {.kind = WISH_FILE, .route = f->router->states[i]->tally->name};
        wish.value = router_item(f->router, wish.route, f->now_ms, f->wall_ms, &wish.share, &wish.rank);
        struct item *item = item_of(wish.route);
        assert_non_null(wish.value);
        if (item->version == 0)
            change(item, &wish);
        json_decref(wish.value);
    }
}

UNUSED_OK static void join(struct fixture *f)
{
    assert_true(fleet.count < MEMBERS_MOST);
    fleet.member[fleet.count++] = (struct member){.f = f};
    f->router->hooks.wish = on_wish;
    take_role(f, ROUTER_CUT_OFF);
}

UNUSED_OK static void meet(struct fixture *f)
{
    take_role(f, ROUTER_FOLLOWER);
    for (uint32_t i = 0; i < fleet.items; i++)
        adopt(f, fleet.item[i].route, fleet.item[i].value, fleet.item[i].version);
}

/* The first leads, and has shared its file. */
UNUSED_OK static void fleet_begin(uint32_t count, const char *yaml)
{
    memset(&fleet, 0, sizeof(fleet));
    for (uint32_t i = 0; i < count; i++)
        join(fixture_new(1, yaml));
    take_role(fleet.member[0].f, ROUTER_LEADER);
    share_file(fleet.member[0].f);
    for (uint32_t i = 1; i < count; i++)
        meet(fleet.member[i].f);
}

UNUSED_OK static void member_end(struct member *member)
{
    json_decref(member->last.value);
    json_decref(member->last.log);
    fixture_free(member->f);
    *member = (struct member){0};
}

UNUSED_OK static void fleet_end(void)
{
    for (uint32_t i = 0; i < fleet.count; i++)
        member_end(&fleet.member[i]);
    for (uint32_t i = 0; i < fleet.items; i++)
        json_decref(fleet.item[i].value);
    memset(&fleet, 0, sizeof(fleet));
}

UNUSED_OK static struct fixture *at(uint32_t i)
{
    return fleet.member[i].f;
}

UNUSED_OK static void wait_all(uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += TICK_MS)
        for (uint32_t i = 0; i < fleet.count; i++)
            fixture_wait(at(i), TICK_MS);
}

/* ---- people ---- */

UNUSED_OK static int order(struct fixture *f, enum router_verb verb, uint32_t percent, bool force, const char **why)
{
    struct router_command command = {
        .verb = verb,
        .route = "orders",
        .percent = percent,
        .force = force,
        .who = "operator:ann",
        .reason = "test",
        .ticket = 77,
    };
    *why = NULL;
    int result = router_command(f->router, &command, f->now_ms, f->wall_ms, why);
    fixture_publish(f);
    return result;
}

UNUSED_OK static int say(struct fixture *f, enum router_verb verb)
{
    const char *why;
    return order(f, verb, 0, true, &why);
}

UNUSED_OK static int say_to(struct fixture *f, const char *route, enum router_verb verb)
{
    const char *why = NULL;
    struct router_command command = {.verb = verb, .route = route, .force = true, .who = "operator:ann", .ticket = 5};
    int result = router_command(f->router, &command, f->now_ms, f->wall_ms, &why);
    fixture_publish(f);
    return result;
}

/* ---- what is there ---- */

UNUSED_OK static json_t *fleet_status(const struct fixture *f)
{
    json_t *route = route_status(f, 0);
    json_t *status = json_incref(json_object_get(route, "fleet"));
    json_decref(route);
    assert_non_null(status);
    return status;
}

UNUSED_OK static void assert_plan(const struct fixture *f, enum plan_phase phase, uint32_t percent)
{
    const struct plan *plan = &orders(f)->plan;
    if (plan->phase != phase || plan->percent != percent)
        fail_msg("%s at %u, expected %s at %u", plan_phase_name(plan->phase), plan->percent, plan_phase_name(phase),
                 percent);
}

UNUSED_OK static void assert_all(enum plan_phase phase, uint32_t percent)
{
    for (uint32_t i = 0; i < fleet.count; i++)
        assert_plan(at(i), phase, percent);
}

UNUSED_OK static uint32_t share_of(const struct fixture *f)
{
    return router_share(f->router, orders(f));
}

/* ---- what all have seen, as Redis has it ---- */

UNUSED_OK static void pool_says(struct fixture *f, uint64_t judged, uint64_t errors, uint64_t held_ms)
{
    json_t *answer =
        json_pack("{s:I, s:{s:I, s:I, s:I, s:I, s:I, s:I}, s:s, s:{}}", "entry", (json_int_t)orders(f)->entry, "counts",
                  "l.j", (json_int_t)judged, "l.e", (json_int_t)0, "n.j", (json_int_t)judged, "n.e", (json_int_t)errors,
                  "held", (json_int_t)held_ms, "gathered", (json_int_t)held_ms, "bits", "", "window");
    assert_non_null(answer);
    assert_true(router_pool_take(f->router, "orders", answer, f->now_ms, f->wall_ms));
    json_decref(answer);
}

UNUSED_OK static void window_says(struct fixture *f, uint64_t judged, uint64_t errors)
{
    char names[3][40];
    unsigned long long bucket = f->wall_ms / 834; /* a twelfth of 10 s */
    (void)snprintf(names[0], sizeof(names[0]), "%llu l.j", bucket);
    (void)snprintf(names[1], sizeof(names[1]), "%llu n.j", bucket);
    (void)snprintf(names[2], sizeof(names[2]), "%llu n.e", bucket);
    json_t *answer =
        json_pack("{s:I, s:{}, s:s, s:{s:I, s:I, s:I}}", "entry", (json_int_t)orders(f)->entry, "counts", "bits", "",
                  "window", names[0], (json_int_t)judged, names[1], (json_int_t)judged, names[2], (json_int_t)errors);
    assert_non_null(answer);
    assert_true(router_pool_take(f->router, "orders", answer, f->now_ms, f->wall_ms));
    json_decref(answer);
}

/* Testers' requests, which go to new whatever the share is. */
UNUSED_OK static void testers(struct fixture *f, uint32_t count, uint16_t status)
{
    for (uint32_t i = 0; i < count; i++) {
        struct request r;
        request_init(&r, "GET", "/orders");
        request_add(&r, "X-Test", "new");
        struct decision decision = decide_on(f, 0, &r);
        observe(f, 0, &decision, OUTCOME_OK, status, 1000);
    }
    fixture_wait(f, TICK_MS);
}

/* The leader hears of everybody's own breakers. */
UNUSED_OK static void leader_looks(struct fixture *leader, uint32_t alive)
{
    json_t *open = json_object();
    for (uint32_t i = 0; i < fleet.count; i++) {
        char name[32];
        const char *route;
        json_t *why;
        json_t *own = router_open_breakers(at(i)->router);
        (void)snprintf(name, sizeof(name), "replica-%u", i);
        json_object_foreach(own, route, why)
        {
            assert_true(json_string_length(why) > 0);
            if (json_object_get(open, route) == NULL)
                assert_int_equal(json_object_set_new(open, route, json_array()), 0);
            assert_int_equal(json_array_append_new(json_object_get(open, route), json_string(name)), 0);
        }
        json_decref(own);
    }
    router_fleet_looked(leader->router, open, alive, leader->now_ms, leader->wall_ms);
    json_decref(open);
}

/* ---- restarts ---- */

UNUSED_OK static struct fixture *restart(uint32_t i, const char *yaml)
{
    struct fixture *former = at(i);
    json_t *state = fixture_save(former);
    struct fixture *f = restarted(former, state, 1000, yaml);
    json_decref(state);
    member_end(&fleet.member[i]);
    fleet.member[i] = (struct member){.f = f};
    f->router->hooks.wish = on_wish;
    take_role(f, ROUTER_CUT_OFF);
    return f;
}

/* ---- breakers ---- */

UNUSED_OK static enum breaker_state own_of(uint32_t i)
{
    return orders(at(i))->breaker.state;
}

UNUSED_OK static enum breaker_state fleets_of(uint32_t i)
{
    return orders(at(i))->fleet.breaker.state;
}

UNUSED_OK static void trip_all(void)
{
    for (uint32_t i = 0; i < fleet.count; i++)
        testers(at(i), 3, 500);
    leader_looks(at(0), fleet.count);
}

#endif
