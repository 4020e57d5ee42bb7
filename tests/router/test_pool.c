/*
 * The pool: what many replicas tell in parcels adds up, at a Redis made of a few tables, to the evidence and the window
 * of one router that saw all of their traffic; whatever is told late, twice forgotten, learnt to be noise, or not at
 * all.
 */
#include "tests/router/fixture.h"

#include "router/control.h"
#include "router/pool.h"
#include "router/pool_fields.h"

enum {
    REPLICAS = 5,
    REDIS_AHEAD_MS = 1234567,
    SKETCH_BYTES = POOL_SKETCHES * SKETCH_BITS / 8,
    ENTRY = 7,
};

#define HALF(name)                                                                                                     \
    "  - name: " name "\n"                                                                                             \
    "    match: { path: /" name "/** }\n"                                                                              \
    "    sticky: [ { header: X-User-Id } ]\n"                                                                          \
    "    breaker: { window: 12s, slow_call: 50ms }\n"                                                                  \
    "    promotion: manual\n"                                                                                          \
    "    stages: [ { name: half, percent: 50, shadow: 100, hold: 1h } ]\n"
#define CROWDED "    gates: { min_requests: 10, min_distinct_keys: 5, p95_increase: 20%, mismatch_rate: 1% }\n"
#define PLAIN   "    gates: { min_requests: 10, min_distinct_keys: 0, p95_increase: 20%, mismatch_rate: 1% }\n"
#define ORDERS  YAML_HEAD HALF("orders") CROWDED

/* ---- Redis ---- */

struct table {
    uint64_t entry;
    json_t *sums;
    unsigned char bits[SKETCH_BYTES];
    json_t *window;
};

struct redis {
    struct table route[64];
    json_t *names; /* route: index */
    size_t most_bytes;
};

static void redis_init(struct redis *redis)
{
    memset(redis, 0, sizeof(*redis));
    redis->names = json_object();
}

static void redis_done(struct redis *redis)
{
    for (size_t i = 0; i < json_object_size(redis->names); i++) {
        json_decref(redis->route[i].sums);
        json_decref(redis->route[i].window);
    }
    json_decref(redis->names);
}

static struct table *table_of(struct redis *redis, const char *route)
{
    json_t *index = json_object_get(redis->names, route);
    if (index == NULL) {
        size_t count = json_object_size(redis->names);
        assert_true(count < 64);
        redis->route[count] = (struct table){.sums = json_object(), .window = json_object()};
        assert_int_equal(json_object_set_new(redis->names, route, json_integer((json_int_t)count)), 0);
        index = json_object_get(redis->names, route);
    }
    return &redis->route[json_integer_value(index)];
}

static void add_all(json_t *sums, const json_t *add, const char *prefix)
{
    const char *field;
    json_t *number;
    char name[80];
    json_object_foreach((json_t *)add, field, number)
    {
        assert_true(json_is_integer(number) && json_integer_value(number) != 0);
        (void)snprintf(name, sizeof(name), "%s%s", prefix, field);
        json_int_t sum = json_integer_value(json_object_get(sums, name)) + json_integer_value(number);
        assert_int_equal(json_object_set_new(sums, name, json_integer(sum)), 0);
    }
}

static void add_evidence(struct table *table, const json_t *counts)
{
    size_t i;
    json_t *bit;
    uint64_t entry = (uint64_t)json_integer_value(json_object_get(counts, "entry"));
    if (entry < table->entry)
        return;
    if (entry > table->entry) {
        assert_int_equal(json_object_clear(table->sums), 0);
        memset(table->bits, 0, sizeof(table->bits));
        table->entry = entry;
    }
    add_all(table->sums, json_object_get(counts, "add"), "");
    json_array_foreach(json_object_get(counts, "bits"), i, bit)
    {
        json_int_t offset = json_integer_value(bit);
        assert_in_range(offset, 0, SKETCH_BYTES * 8 - 1);
        table->bits[offset / 8] |= (unsigned char)(0x80 >> offset % 8); /* as SETBIT does */
    }
}

static void add_window(struct table *table, const json_t *window, uint64_t redis_ms)
{
    char bucket[32];
    json_int_t bucket_ms = json_integer_value(json_object_get(window, "bucket_ms"));
    assert_int_equal(json_integer_value(json_object_get(window, "keep")), POOL_BUCKETS + 1);
    assert_int_equal(bucket_ms, 1000); /* a twelfth of 12 s */
    (void)snprintf(bucket, sizeof(bucket), "%llu ", (unsigned long long)redis_ms / (unsigned long long)bucket_ms);
    add_all(table->window, json_object_get(window, "add"), bucket);
}

/* The next parcel of a replica is told. False: there is none. */
static bool tell_as(struct fixture *f, struct redis *redis, bool leads)
{
    json_t *routes;
    json_t *counts;
    if (!router_pool_parcel(f->router, leads, f->now_ms, &routes, &counts))
        return false;
    assert_int_equal(json_array_size(routes), json_array_size(counts));
    for (size_t i = 0; i < json_array_size(counts); i++) {
        struct table *table = table_of(redis, json_string_value(json_array_get(routes, i)));
        const json_t *of = json_array_get(counts, i);
        add_evidence(table, of);
        if (json_object_get(of, "window") != NULL)
            add_window(table, json_object_get(of, "window"), f->now_ms + REDIS_AHEAD_MS);
    }
    char *text = json_dumps(counts, JSON_COMPACT);
    if (strlen(text) > redis->most_bytes)
        redis->most_bytes = strlen(text);
    free(text);
    json_decref(routes);
    json_decref(counts);
    return true;
}

static bool tell(struct fixture *f, struct redis *redis)
{
    return tell_as(f, redis, false);
}

/* One route as the script answers `read`. */
static json_t *answer_of(struct redis *redis, const char *route)
{
    const struct table *table = table_of(redis, route);
    char hex[2 * SKETCH_BYTES + 1];
    for (size_t i = 0; i < SKETCH_BYTES; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", table->bits[i]);
    json_t *answer = json_pack("{s:I, s:O, s:s, s:O}", "entry", (json_int_t)table->entry, "counts", table->sums, "bits",
                               hex, "window", table->window);
    assert_non_null(answer);
    return answer;
}

static void read_into(struct fixture *f, struct redis *redis, const char *route)
{
    json_t *answer = answer_of(redis, route);
    assert_true(router_pool_take(f->router, route, answer, f->now_ms, f->now_ms + REDIS_AHEAD_MS));
    json_decref(answer);
}

static json_int_t sum_of(struct redis *redis, const char *route, const char *field)
{
    return json_integer_value(json_object_get(table_of(redis, route)->sums, field));
}

/* ---- replicas ---- */

static void join(struct fixture *f)
{
    for (uint32_t i = 0; i < f->router->count; i++) {
        struct route_state *state = f->router->states[i];
        if (state->pool == NULL)
            state->pool = pool_route_new();
        assert_non_null(state->pool);
        state->entry = ENTRY;
        pool_route_resume(f->router, state);
    }
}

static struct fixture *replica(const char *yaml)
{
    struct fixture *f = fixture_new(1, yaml);
    fixture_wait(f, TICK_MS);
    join(f);
    return f;
}

static void leave(struct fixture *f)
{
    for (uint32_t i = 0; i < f->router->count; i++) {
        pool_route_free(f->router->states[i]->pool);
        f->router->states[i]->pool = NULL;
    }
    fixture_free(f);
}

/* The fleet has decided that another stage begins, of the same plan. */
static void enter(struct fixture *f, uint64_t entry)
{
    struct route_state *state = f->router->states[0];
    state->plan.entries++;
    state->entry = entry;
    route_state_follow_plan(f->router, state);
}

static void local_evidence(struct fixture *f, uint32_t index, struct evidence *evidence)
{
    struct route_state *state = f->router->states[index];
    struct comparison_totals pairs = route_state_pairs(f->router, state);
    tally_sum(state->tally, &f->router->sum);
    evidence_follow(&state->meter, &pairs);
    evidence_read(&state->meter, &f->router->sum, &pairs, evidence);
}

/* What differs on the way of one request, by its user: some paths, slow ones, failed ones, ones without an answer. */
static void ask(struct fixture *f, const char *route, uint64_t user)
{
    struct request r;
    char id[32];
    char path[64];
    (void)snprintf(path, sizeof(path), "/%s/%llu", route, (unsigned long long)(user * 7 % 50));
    (void)snprintf(id, sizeof(id), "user-%llu", (unsigned long long)user);
    request_init(&r, "GET", path);
    request_add(&r, "X-User-Id", id);
    struct decision decision = decide_on(f, 0, &r);
    uint64_t us = 500 + user * user % 90000;
    if (user % 17 == 0)
        observe(f, 0, &decision, OUTCOME_RESET, 0, us);
    else
        observe(f, 0, &decision, OUTCOME_OK, user % 11 == 0 ? 503 : 200, us);
}

static void add_pairs(struct fixture *f, uint64_t user)
{
    f->pairs.compared++;
    sketch_add(&f->pair_marks.keys, (uint32_t)user);
    if (user % 5 != 0)
        return;
    f->pairs.mismatched++;
    sketch_add(&f->pair_marks.error_keys, (uint32_t)user);
}

static void assert_same(const struct evidence *pooled, const struct evidence *one, bool crowds)
{
    assert_non_null(pooled);
    for (int side = 0; side < SIDES; side++) {
        const struct evidence_side *a = &pooled->side[side];
        const struct evidence_side *b = &one->side[side];
        assert_int_equal(a->judged, b->judged);
        assert_int_equal(a->errors, b->errors);
        assert_int_equal(a->unanswered, b->unanswered);
        assert_memory_equal(&a->latency, &b->latency, sizeof(a->latency));
        if (crowds)
            assert_memory_equal(&a->crowd, &b->crowd, sizeof(a->crowd));
    }
    for (size_t i = 0; i < POOL_SKETCHES; i++)
        assert_memory_equal((const char *)pooled + pool_sketches[i], (const char *)one + pool_sketches[i],
                            sizeof(struct sketch));
    assert_int_equal(pooled->pairs.compared, one->pairs.compared);
    assert_int_equal(pooled->pairs.mismatched, one->pairs.mismatched);
}

static const struct evidence *pooled_of(struct fixture *f, uint32_t index)
{
    return pool_evidence(f->router->states[index]->pool, f->router->states[index]->entry);
}

/* Replicas and one that sees all of their traffic. */
struct fleet {
    struct fixture *replica[REPLICAS];
    struct fixture *one;
    struct redis redis;
    uint64_t user;
    uint64_t random;
};

static void fleet_init(struct fleet *fleet, const char *yaml)
{
    redis_init(&fleet->redis);
    fleet->one = replica(yaml);
    fleet->user = 0;
    fleet->random = 88172645463325252u;
    for (int i = 0; i < REPLICAS; i++)
        fleet->replica[i] = replica(yaml);
}

static void fleet_done(struct fleet *fleet)
{
    leave(fleet->one);
    for (int i = 0; i < REPLICAS; i++)
        leave(fleet->replica[i]);
    redis_done(&fleet->redis);
}

static void fleet_wait(struct fleet *fleet, uint64_t ms)
{
    fixture_wait(fleet->one, ms);
    for (int i = 0; i < REPLICAS; i++)
        fixture_wait(fleet->replica[i], ms);
}

static void fleet_drive(struct fleet *fleet, uint32_t requests)
{
    for (uint32_t i = 0; i < requests; i++) {
        struct fixture *f = fleet->replica[next_random(&fleet->random) % REPLICAS];
        fleet->user++;
        ask(f, "orders", fleet->user);
        ask(fleet->one, "orders", fleet->user);
        if (fleet->user % 3 != 0)
            continue;
        add_pairs(f, fleet->user);
        add_pairs(fleet->one, fleet->user);
    }
}

/* All that is there is told. */
static void fleet_tell(struct fleet *fleet)
{
    fleet_wait(fleet, 1100); /* marks of pairs are taken once a second */
    for (int i = 0; i < REPLICAS; i++)
        (void)tell(fleet->replica[i], &fleet->redis);
}

static void assert_one(struct fleet *fleet, bool crowds)
{
    struct evidence one;
    local_evidence(fleet->one, 0, &one);
    read_into(fleet->replica[0], &fleet->redis, "orders");
    assert_same(pooled_of(fleet->replica[0], 0), &one, crowds);
}

/* ---- evidence ---- */

static void replicas_together_are_one(void **state)
{
    (void)state;
    struct fleet fleet;
    fleet_init(&fleet, ORDERS);
    for (int round = 0; round < 30; round++) {
        fleet_drive(&fleet, (uint32_t)(next_random(&fleet.random) % 60));
        fleet_wait(&fleet, 100);
        for (int i = 0; i < REPLICAS; i++)
            if (next_random(&fleet.random) % 3 == 0)
                (void)tell(fleet.replica[i], &fleet.redis);
    }
    fleet_tell(&fleet);
    assert_one(&fleet, true);
    const struct evidence *pooled = pooled_of(fleet.replica[0], 0);
    assert_true(pooled->side[SIDE_NEW].judged > 300 && pooled->side[SIDE_NEW].errors > 20);
    assert_true(pooled->side[SIDE_NEW].unanswered > 10 && pooled->pairs.mismatched > 30);
    assert_true(sketch_count(&pooled->pair_marks.error_keys) > 20);
    assert_true(fleet.redis.most_bytes < POOL_PARCEL_BYTES);
    fleet_done(&fleet);
}

static void what_has_been_told_is_not_told_again(void **state)
{
    (void)state;
    struct fleet fleet;
    fleet_init(&fleet, ORDERS);
    fleet_drive(&fleet, 200);
    fleet_tell(&fleet);
    for (int round = 0; round < 5; round++) {
        fleet_wait(&fleet, 700);
        for (int i = 0; i < REPLICAS; i++)
            assert_false(tell(fleet.replica[i], &fleet.redis));
    }
    assert_one(&fleet, true);
    fleet_done(&fleet);
}

static void crowds_are_told_where_a_gate_asks_for_them(void **state)
{
    (void)state;
    struct fleet fleet;
    const char *field;
    json_t *number;
    fleet_init(&fleet, YAML_HEAD HALF("orders") PLAIN);
    fleet_drive(&fleet, 200);
    fleet_tell(&fleet);
    json_object_foreach(table_of(&fleet.redis, "orders")->sums, field, number)
        assert_true(strncmp(field + 1, ".c.", 3) != 0);
    assert_one(&fleet, false);
    for (int i = 0; i < REPLICAS; i++) /* and once it does, all of what had been left out is */
        fixture_configure(fleet.replica[i], ORDERS);
    fixture_configure(fleet.one, ORDERS);
    fleet_drive(&fleet, 100);
    fleet_tell(&fleet);
    fleet_drive(&fleet, 50);
    fleet_tell(&fleet);
    for (int i = 0; i < REPLICAS; i++) {
        struct fixture *f = fleet.replica[i];
        struct evidence now;
        local_evidence(f, 0, &now);
        if (now.side[SIDE_NEW].judged == 0)
            fail_msg("replica %d has seen nothing", i);
    }
    assert_one(&fleet, true);
    fleet_done(&fleet);
}

static void a_stage_begins_anew_with_its_entry(void **state)
{
    (void)state;
    struct fleet fleet;
    fleet_init(&fleet, ORDERS);
    fleet_drive(&fleet, 200);
    fleet_tell(&fleet);
    fleet_drive(&fleet, 50); /* not told before the stage ends */
    enter(fleet.one, ENTRY + 1);
    enter(fleet.replica[1], ENTRY + 1);
    fleet_wait(&fleet, 200);
    for (int i = 0; i < REPLICAS; i++)
        (void)tell(fleet.replica[i], &fleet.redis);
    for (int i = 0; i < REPLICAS; i++)
        if (i != 1)
            enter(fleet.replica[i], ENTRY + 1);
    fleet_drive(&fleet, 150);
    fleet_tell(&fleet);
    assert_int_equal(table_of(&fleet.redis, "orders")->entry, ENTRY + 1);
    assert_one(&fleet, true);
    assert_null(pool_evidence(fleet.replica[0]->router->states[0]->pool, ENTRY));
    fleet_done(&fleet);
}

/* As when it rolled back by itself while it was cut off: the item, and with it the entry, are the former ones. */
static void what_one_does_alone_is_no_evidence_of_the_fleet(void **state)
{
    (void)state;
    struct fleet fleet;
    fleet_init(&fleet, ORDERS);
    fleet_drive(&fleet, 200);
    fleet_tell(&fleet);
    struct fixture *alone = fleet.replica[2];
    enter(alone, ENTRY);
    for (uint64_t user = 0; user < 300; user++) {
        ask(alone, "orders", user);
        add_pairs(alone, user * 5);
    }
    fleet_tell(&fleet);
    assert_one(&fleet, true);
    alone->pairs.mismatched -= 100; /* noise: of pairs that the fleet has never been told of */
    fleet_tell(&fleet);
    assert_one(&fleet, true);
    fleet_done(&fleet);
}

static void without_an_entry_nothing_is_told_of_the_stage(void **state)
{
    (void)state;
    struct redis redis;
    struct fixture *f = replica(ORDERS);
    redis_init(&redis);
    f->router->states[0]->entry = 0;
    for (uint64_t user = 0; user < 100; user++)
        ask(f, "orders", user);
    fixture_wait(f, 100);
    assert_true(tell(f, &redis)); /* the window */
    assert_int_equal(json_object_size(table_of(&redis, "orders")->sums), 0);
    assert_true(json_object_size(table_of(&redis, "orders")->window) > 0);
    redis_done(&redis);
    leave(f);
}

/* ---- pairs that are taken back ---- */

static void noise_is_taken_back_from_the_fleet(void **state)
{
    (void)state;
    struct fleet fleet;
    fleet_init(&fleet, ORDERS);
    fleet_drive(&fleet, 600);
    fleet_tell(&fleet);
    uint64_t learnt = fleet.replica[3]->pairs.mismatched / 2;
    assert_true(learnt > 0);
    fleet.replica[3]->pairs.mismatched -= learnt;
    fleet.one->pairs.mismatched -= learnt;
    fleet_tell(&fleet);
    assert_one(&fleet, true);
    fleet_drive(&fleet, 300);
    fleet_tell(&fleet);
    assert_one(&fleet, true);
    fleet_done(&fleet);
}

static void a_forgotten_report_takes_its_pairs_along(void **state)
{
    (void)state;
    struct fleet fleet;
    fleet_init(&fleet, ORDERS);
    fleet_drive(&fleet, 600);
    fleet_tell(&fleet);
    json_int_t before = sum_of(&fleet.redis, "orders", "p.c");
    json_int_t of_one = (json_int_t)fleet.replica[4]->pairs.compared;
    fleet.replica[4]->pairs = (struct comparison_totals){3, 1};
    fleet_tell(&fleet);
    assert_int_equal(sum_of(&fleet.redis, "orders", "p.c"), before - of_one + 3);
    fleet_done(&fleet);
}

/* Redis came back with less than it had been told: then what is taken back would be missing from what others found. */
static void what_redis_lost_is_not_taken_from_others(void **state)
{
    (void)state;
    struct redis redis;
    struct fixture *f = replica(ORDERS);
    redis_init(&redis);
    f->pairs = (struct comparison_totals){1000, 300};
    assert_true(tell(f, &redis));
    json_t *answer = json_pack("{s:i, s:i}", "had", 0, "seq", 1);
    router_pool_answered(f->router, answer);
    json_decref(answer);
    redis_done(&redis);
    redis_init(&redis);
    answer = json_pack("{s:i, s:i}", "had", 0, "seq", 0);
    router_pool_answered(f->router, answer);
    json_decref(answer);
    f->pairs = (struct comparison_totals){1100, 350};
    assert_true(tell(f, &redis));
    f->pairs = (struct comparison_totals){1200, 20}; /* 330 were noise: 300 of them are not there any more */
    assert_true(tell(f, &redis));
    assert_int_equal(sum_of(&redis, "orders", "p.c"), 200);
    assert_int_equal(sum_of(&redis, "orders", "p.m"), 20);
    redis_done(&redis);
    leave(f);
}

static void redis_that_lost_nothing_is_told_what_is_taken_back(void **state)
{
    (void)state;
    struct redis redis;
    struct fixture *f = replica(ORDERS);
    redis_init(&redis);
    f->pairs = (struct comparison_totals){1000, 300};
    assert_true(tell(f, &redis));
    for (int i = 0; i < 3; i++) {
        json_t *answer = json_pack("{s:i, s:i}", "had", i > 0, "seq", 1);
        router_pool_answered(f->router, answer);
        json_decref(answer);
    }
    f->pairs.mismatched = 20;
    assert_true(tell(f, &redis));
    assert_int_equal(sum_of(&redis, "orders", "p.m"), 20);
    redis_done(&redis);
    leave(f);
}

/* ---- a restart ---- */

static void a_restart_counts_nothing_twice(void **state)
{
    (void)state;
    struct fleet fleet;
    fleet_init(&fleet, ORDERS);
    fleet_drive(&fleet, 400);
    fleet_tell(&fleet);
    struct fixture *before = fleet.replica[1];
    json_t *saved = fixture_save(before);
    struct fixture *after = restarted(before, saved, 3000, ORDERS);
    json_decref(saved);
    after->pairs = before->pairs; /* the report outlives it, too */
    struct evidence had;
    struct evidence has;
    local_evidence(before, 0, &had);
    leave(before);
    join(after);
    after->now_ms = fleet.one->now_ms; /* so that all run by one clock again */
    fixture_wait(after, TICK_MS);
    fleet.replica[1] = after;
    local_evidence(after, 0, &has);
    assert_int_equal(has.side[SIDE_NEW].judged, had.side[SIDE_NEW].judged); /* it is there, and is not told */
    fleet_tell(&fleet);
    assert_one(&fleet, true);
    fleet_drive(&fleet, 300);
    fleet_tell(&fleet);
    assert_one(&fleet, true);
    fleet_done(&fleet);
}

/* ---- size ---- */

static void routes_that_do_not_fit_wait_for_their_turn(void **state)
{
    (void)state;
    enum {
        ROUTES = 40
    };
    static char yaml[64 * 1024];
    struct redis redis;
    size_t length = (size_t)snprintf(yaml, sizeof(yaml), "%s", YAML_HEAD);
    for (int i = 0; i < ROUTES; i++)
        length += (size_t)snprintf(yaml + length, sizeof(yaml) - length,
                                   "  - name: r%d\n    match: { path: /r%d/** }\n"
                                   "    sticky: [ { header: X-User-Id } ]\n"
                                   "    breaker: off\n    promotion: manual\n"
                                   "    stages: [ { name: half, percent: 50, hold: 1h } ]\n%s",
                                   i, i, CROWDED);
    struct fixture *f = replica(yaml);
    redis_init(&redis);
    bool all_told[ROUTES] = {false};
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < ROUTES; i++) {
            char name[16];
            (void)snprintf(name, sizeof(name), "r%d", i);
            for (uint64_t user = 0; user < 120; user++)
                ask(f, name, user + (uint64_t)round * 1000);
        }
        fixture_wait(f, 50);
        assert_true(tell(f, &redis));
        for (int i = 0; i < ROUTES; i++) { /* in a round or two all have had their turn */
            char name[16];
            (void)snprintf(name, sizeof(name), "r%d", i);
            all_told[i] = all_told[i] || sum_of(&redis, name, "n.j") > 0;
            if (round >= 15)
                assert_true(all_told[i]);
        }
    }
    assert_true(redis.most_bytes > POOL_PARCEL_BYTES / 2 && redis.most_bytes < POOL_PARCEL_BYTES * 5 / 4);
    for (int more = 0; more < 30; more++) {
        fixture_wait(f, 100);
        (void)tell(f, &redis);
    }
    for (uint32_t i = 0; i < ROUTES; i++) {
        struct evidence now;
        local_evidence(f, i, &now);
        read_into(f, &redis, f->router->states[i]->tally->name);
        assert_same(pooled_of(f, i), &now, true);
    }
    redis_done(&redis);
    leave(f);
}

/* ---- windows ---- */

static void fails(struct fixture *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct request r;
        request_init(&r, "GET", "/orders/1");
        request_add(&r, "X-User-Id", "user-1");
        struct decision decision = decide_on(f, 0, &r);
        observe(f, 0, &decision, OUTCOME_OK, 503, 80000);
    }
}

static uint64_t errors_in_window(struct fixture *f, uint64_t since_ms)
{
    struct window_counts counts[SIDES];
    assert_true(pool_window(f->router->states[0]->pool, since_ms, f->now_ms, counts));
    assert_int_equal(counts[SIDE_LEGACY].errors + counts[SIDE_NEW].errors,
                     counts[SIDE_LEGACY].slow + counts[SIDE_NEW].slow);
    return counts[SIDE_LEGACY].errors + counts[SIDE_NEW].errors;
}

static void a_window_is_of_all_replicas_and_grows_old(void **state)
{
    (void)state;
    struct fleet fleet;
    fleet_init(&fleet, ORDERS);
    struct fixture *leader = fleet.replica[0];
    struct window_counts counts[SIDES];
    assert_false(pool_window(leader->router->states[0]->pool, 0, leader->now_ms, counts));
    for (int second = 0; second < 20; second++) { /* 5 a second, one by each */
        for (int i = 0; i < REPLICAS; i++) {
            fails(fleet.replica[i], 1);
            fixture_wait(fleet.replica[i], 1000);
            assert_true(tell(fleet.replica[i], &fleet.redis));
        }
    }
    read_into(leader, &fleet.redis, "orders");
    uint64_t now = errors_in_window(leader, 0);
    assert_in_range(now, 12 * REPLICAS, 13 * REPLICAS);
    assert_in_range(errors_in_window(leader, leader->now_ms - 3500), 3 * REPLICAS, 4 * REPLICAS);
    assert_int_equal(errors_in_window(leader, leader->now_ms + 2000), 0);
    leader->now_ms += 6000; /* without another look */
    assert_in_range(errors_in_window(leader, 0), 6 * REPLICAS, 7 * REPLICAS);
    leader->now_ms += 8000;
    assert_int_equal(errors_in_window(leader, 0), 0);
    router_pool_forget(leader->router);
    assert_false(pool_window(leader->router->states[0]->pool, 0, leader->now_ms, counts));
    assert_null(pooled_of(leader, 0));
    fleet_done(&fleet);
}

/* The one with the most errors is left out; what the others see counts. */
static void one_replica_alone_says_nothing_about_new(void **state)
{
    (void)state;
    struct fleet fleet;
    fleet_init(&fleet, YAML_HEAD
               "  - name: orders\n    match: { path: /** }\n    percent: 100\n    sticky: [ { header: X-User-Id } ]\n"
               "    breaker: { window: 12s, slow_call: 50ms }\n");
    struct fixture *leader = fleet.replica[0];
    for (int i = 0; i < REPLICAS; i++) {
        const char name[] = {(char)('a' + i), '\0'};
        router_name_replica(fleet.replica[i]->router, name);
        fails(fleet.replica[i], i == 1 ? 40 : i == 2 ? 3 : 0);
        fixture_wait(fleet.replica[i], 1000);
        (void)tell(fleet.replica[i], &fleet.redis);
    }
    read_into(leader, &fleet.redis, "orders");
    assert_int_equal(errors_in_window(leader, 0), 3);
    struct window_counts counts[SIDES];
    assert_true(pool_window(leader->router->states[0]->pool, 0, leader->now_ms, counts));
    assert_int_equal(counts[SIDE_NEW].judged, 3);
    fleet_done(&fleet);
}

/* After an hour without Redis the errors of that hour are none of the last seconds. */
static void what_was_counted_long_ago_is_in_no_window(void **state)
{
    (void)state;
    struct redis redis;
    struct fixture *f = replica(ORDERS);
    redis_init(&redis);
    assert_false(tell(f, &redis));
    fails(f, 50);
    fixture_skip(f, 7000);
    assert_true(tell(f, &redis));
    assert_int_equal(json_object_size(table_of(&redis, "orders")->window), 0);
    assert_int_equal(sum_of(&redis, "orders", "l.j") + sum_of(&redis, "orders", "n.j"), 50);
    fails(f, 2);
    fixture_skip(f, 800);
    assert_true(tell(f, &redis));
    read_into(f, &redis, "orders");
    assert_int_equal(errors_in_window(f, 0), 2);
    redis_done(&redis);
    leave(f);
}

/* ---- the stage's time ---- */

static void set_time(struct fixture *f, uint64_t held_ms, uint64_t gathered_ms)
{
    f->router->states[0]->plan.held_ms = held_ms;
    f->router->states[0]->gathered_ms = gathered_ms;
}

static void check_progress(struct fixture *f, struct redis *redis, uint64_t held_ms, uint64_t gathered_ms)
{
    uint64_t held;
    uint64_t gathered;
    read_into(f, redis, "orders");
    pool_progress(f->router->states[0]->pool, ENTRY, &held, &gathered);
    assert_int_equal(held, held_ms);
    assert_int_equal(gathered, gathered_ms);
    pool_progress(f->router->states[0]->pool, ENTRY + 1, &held, &gathered);
    assert_int_equal(held + gathered, 0);
}

/* Tells for so long, and the stage's time passes. */
static void lead_for(struct fixture *f, struct redis *redis, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += 500) {
        f->now_ms += 500;
        f->router->states[0]->plan.held_ms += 500;
        f->router->states[0]->gathered_ms += 500;
        (void)tell_as(f, redis, true);
    }
}

static void leaders_count_the_stage_s_time_one_after_the_other(void **state)
{
    (void)state;
    struct redis redis;
    struct fixture *a = replica(ORDERS);
    struct fixture *b = replica(ORDERS);
    redis_init(&redis);
    set_time(a, 0, 0);
    (void)tell_as(a, &redis, true);
    lead_for(a, &redis, 60000);
    check_progress(a, &redis, 60000, 60000);
    set_time(b, 777, 777); /* whatever a follower counts */
    (void)tell_as(b, &redis, false);
    (void)tell_as(b, &redis, true);
    check_progress(b, &redis, 60000, 60000);
    set_time(b, 60000, 60000); /* it goes on from there, and that is not told */
    lead_for(b, &redis, 60000);
    check_progress(b, &redis, 120000 - 500, 120000 - 500);
    set_time(b, 0, b->router->states[0]->gathered_ms); /* a trip: the hold begins anew */
    lead_for(b, &redis, 5000);
    check_progress(b, &redis, 4500, 124500);
    (void)tell_as(b, &redis, false);
    set_time(b, 90000, 90000);
    assert_false(tell_as(b, &redis, false));
    redis_done(&redis);
    leave(a);
    leave(b);
}

static void time_alone_is_told_seldom(void **state)
{
    (void)state;
    struct redis redis;
    struct fixture *f = replica(ORDERS);
    redis_init(&redis);
    uint32_t told = 0;
    (void)tell_as(f, &redis, true);
    for (int i = 0; i < 100; i++) {
        f->now_ms += 800;
        f->router->states[0]->plan.held_ms += 800;
        told += tell_as(f, &redis, true);
    }
    assert_in_range(told, 80 / 6, 80 / 5);
    redis_done(&redis);
    leave(f);
}

/* ---- reading ---- */

static void the_route_longest_not_read_comes_first(void **state)
{
    (void)state;
    struct redis redis;
    struct fixture *f = replica(YAML_HEAD HALF("a") HALF("b") HALF(
        "c") "  - { name: fixed, match: { path: /fixed }, breaker: off, percent: 5 }\n");
    redis_init(&redis);
    read_into(f, &redis, "a");
    f->now_ms += 5;
    read_into(f, &redis, "b");
    const char *const expected[] = {"c", "a", "b"};
    for (uint32_t most = 0; most <= 4; most++) {
        json_t *names = router_pool_wanted(f->router, most);
        assert_int_equal(json_array_size(names), most < 3 ? most : 3);
        for (size_t i = 0; i < json_array_size(names); i++)
            assert_string_equal(json_string_value(json_array_get(names, i)), expected[i]);
        json_decref(names);
    }
    redis_done(&redis);
    leave(f);
}

static bool take_text(struct fixture *f, const char *counts, const char *bits, const char *window)
{
    char text[2048];
    (void)snprintf(text, sizeof(text), "{\"entry\": 7, \"counts\": %s, \"bits\": %s, \"window\": %s}", counts, bits,
                   window);
    json_t *answer = json_loads(text, 0, NULL);
    if (answer == NULL)
        fail_msg("%s", text);
    bool taken = router_pool_take(f->router, "orders", answer, f->now_ms, 1000000);
    json_decref(answer);
    return taken;
}

static void garbage_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const counts[] = {
        "[1]",
        "\"x\"",
        "5",
        "{\"l.j\": -1}",
        "{\"n.e\": \"-1\"}",
        "{\"l.j\": true}",
        "{\"l.j\": null}",
        "{\"l.j\": {}}",
        "{\"l.j\": \"\"}",
        "{\"l.j\": \"-\"}",
        "{\"l.j\": \"1e3\"}",
        "{\"l.j\": 0.5}",
        "{\"l.j\": 1e300}",
        "{\"l.j\": 9007199254740993}",
        "{\"l.j\": \"99999999999999999999999999\"}",
        "{\"l.h.896\": 1}",
        "{\"l.h.-1\": 1}",
        "{\"l.h.\": 1}",
        "{\"l.h.01\": 1}",
        "{\"l.h.1x\": 1}",
        "{\"l.h.99999999999999999999\": 1}",
        "{\"n.c.16.0\": 1}",
        "{\"n.c.0.112\": 1}",
        "{\"n.c.0\": 1}",
        "{\"n.c.0.\": 1}",
        "{\"n.c.0.1.2\": 1}",
        "{\"n.h.us\": -4}",
        "{\"p.c\": \"many\"}",
    };
    static const char *const bits[] = {"5", "[]", "\"0\"", "\"0g\"", "\"-1\"", "{}"};
    static const char *const windows[] = {"[1]",
                                          "7",
                                          "{\"l.j\": 1}",
                                          "{\" l.j\": 1}",
                                          "{\"-5 l.j\": 1}",
                                          "{\"x l.j\": 1}",
                                          "{\"5 l.j\": -1}",
                                          "{\"5 l.j\": \"x\"}",
                                          "{\"55555555555555555555555555555555555555555 l.j\": 1}"};
    struct fixture *f = replica(ORDERS);
    assert_true(take_text(f, "{\"l.j\": 12}", "\"80\"", "{}"));
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        if (take_text(f, counts[i], "\"\"", "{}"))
            fail_msg("%s was taken", counts[i]);
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
        if (take_text(f, "{}", bits[i], "{}"))
            fail_msg("%s was taken", bits[i]);
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++)
        if (take_text(f, "{\"l.j\": 1}", "\"\"", windows[i]))
            fail_msg("%s was taken", windows[i]);
    static char long_hex[2 * SKETCH_BYTES + 16];
    (void)snprintf(long_hex, sizeof(long_hex), "\"%0*d\"", 2 * SKETCH_BYTES + 2, 0);
    json_t *answer = json_pack("{s:i, s:{}, s:o, s:{}}", "entry", 7, "counts", "bits",
                               json_loads(long_hex, JSON_DECODE_ANY, NULL), "window");
    assert_false(router_pool_take(f->router, "orders", answer, f->now_ms, 1000000));
    assert_int_equal(json_object_set_new(answer, "bits", json_string("")), 0);
    assert_true(router_pool_take(f->router, "orders", answer, f->now_ms, 1000000));
    assert_false(router_pool_take(f->router, "nobody", answer, f->now_ms, 1000000));
    assert_true(take_text(f, "{\"l.j\": 12}", "\"80\"", "{}"));
    assert_int_equal(json_object_set_new(answer, "entry", json_string("new")), 0);
    assert_false(router_pool_take(f->router, "orders", answer, f->now_ms, 1000000));
    assert_int_equal(json_object_set_new(answer, "entry", json_integer(-1)), 0);
    assert_false(router_pool_take(f->router, "orders", answer, f->now_ms, 1000000));
    assert_false(router_pool_take(f->router, "orders", NULL, f->now_ms, 1000000));
    json_decref(answer);
    assert_int_equal(pooled_of(f, 0)->side[SIDE_LEGACY].judged, 12);
    assert_int_equal(sketch_count(&pooled_of(f, 0)->side[SIDE_LEGACY].marks.keys), 1);
    leave(f);
}

static void numbers_come_in_the_forms_lua_has(void **state)
{
    (void)state;
    struct fixture *f = replica(ORDERS);
    struct window_counts window[SIDES];
    assert_true(take_text(
        f,
        "{\"l.j\": \"120\", \"n.j\": 5e3, \"n.e\": 6000, \"n.u\": 2, \"n.c.15.111\": 5000000000, \"l.h.895\": 2,"
        " \"p.c\": 10, \"p.m\": 12, \"held\": -5, \"gathered\": 5, \"of.tomorrow\": 3, \"l.z\": 4}",
        "\"0001FF\"",
        "{\"1000 n.e\": 4, \"999 n.e\": \"3\", \"986 n.e\": 50, \"1001 n.e\": 70, \"999 n.z\": 1, \"999 x\": 2}"));
    const struct evidence *pooled = pooled_of(f, 0);
    assert_int_equal(pooled->side[SIDE_LEGACY].judged, 120);
    assert_int_equal(pooled->side[SIDE_NEW].judged, 5000);
    assert_int_equal(pooled->side[SIDE_NEW].errors, 5000); /* not all of one instant */
    assert_int_equal(pooled->side[SIDE_NEW].crowd.count[15][111], UINT32_MAX);
    assert_int_equal(pooled->side[SIDE_LEGACY].latency.count[895], 2);
    assert_int_equal(pooled->pairs.mismatched, 10);
    assert_int_equal(pooled->side[SIDE_LEGACY].marks.keys.word[0], UINT64_C(0xff8000));
    uint64_t held;
    uint64_t gathered;
    pool_progress(f->router->states[0]->pool, 7, &held, &gathered);
    assert_int_equal(held, 0);
    assert_int_equal(gathered, 5);
    assert_true(pool_window(f->router->states[0]->pool, 0, f->now_ms, window));
    assert_int_equal(window[SIDE_NEW].errors,
                     7); /* bucket 1000 is the one that fills: 1001 is of a replica with another window */
    assert_true(take_text(f, "[]", "\"\"", "[]"));
    assert_int_equal(pooled_of(f, 0)->side[SIDE_NEW].judged, 0);
    assert_false(pool_window(NULL, 0, f->now_ms, window));
    assert_null(pool_evidence(NULL, 7));
    leave(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replicas_together_are_one),
        cmocka_unit_test(what_has_been_told_is_not_told_again),
        cmocka_unit_test(crowds_are_told_where_a_gate_asks_for_them),
        cmocka_unit_test(a_stage_begins_anew_with_its_entry),
        cmocka_unit_test(what_one_does_alone_is_no_evidence_of_the_fleet),
        cmocka_unit_test(without_an_entry_nothing_is_told_of_the_stage),
        cmocka_unit_test(noise_is_taken_back_from_the_fleet),
        cmocka_unit_test(a_forgotten_report_takes_its_pairs_along),
        cmocka_unit_test(what_redis_lost_is_not_taken_from_others),
        cmocka_unit_test(redis_that_lost_nothing_is_told_what_is_taken_back),
        cmocka_unit_test(a_restart_counts_nothing_twice),
        cmocka_unit_test(routes_that_do_not_fit_wait_for_their_turn),
        cmocka_unit_test(a_window_is_of_all_replicas_and_grows_old),
        cmocka_unit_test(one_replica_alone_says_nothing_about_new),
        cmocka_unit_test(what_was_counted_long_ago_is_in_no_window),
        cmocka_unit_test(leaders_count_the_stage_s_time_one_after_the_other),
        cmocka_unit_test(time_alone_is_told_seldom),
        cmocka_unit_test(the_route_longest_not_read_comes_first),
        cmocka_unit_test(garbage_is_refused_and_changes_nothing),
        cmocka_unit_test(numbers_come_in_the_forms_lua_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
