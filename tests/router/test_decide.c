/* The worker's half: which route, which side, mirror or not, and what is counted. */
#include "fixture.h"

#include <math.h>

#include "router/view.h"

#define SPLIT                                                                                                          \
    YAML_HEAD                                                                                                          \
    "  - name: orders\n"                                                                                               \
    "    match: { path: /orders/**, methods: [GET, HEAD] }\n"                                                          \
    "    sticky: [ { header: X-User-Id }, { cookie: session }, client_ip ]\n"                                          \
    "    overrides:\n"                                                                                                 \
    "      - { header: { X-Shunt-Backend: new }, backend: new }\n"                                                     \
    "      - { header: { X-Tenant: [acme, zoom2] }, backend: new }\n"                                                  \
    "      - { cookie: { side: old }, backend: legacy }\n"                                                             \
    "    percent: 25\n"                                                                                                \
    "    shadow: { percent: 40 }\n"                                                                                    \
    "  - name: rest\n"                                                                                                 \
    "    match: { path: /rest/** }\n"                                                                                  \
    "    sticky: [ random ]\n"                                                                                         \
    "    percent: 50\n"                                                                                                \
    "    shadow: { percent: 100, methods: [\"*\"], compare: { noise: { percent: 10 } } }\n"

static void user_request(struct request *r, char id[32], uint64_t user)
{
    request_init(r, "GET", "/orders/7");
    (void)snprintf(id, 32, "user-%llu", (unsigned long long)user);
    request_add(r, "X-User-Id", id);
}

static void an_unmatched_request_goes_to_legacy(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2, SPLIT);
    struct request r;
    request_init(&r, "GET", "/nothing");
    struct decision d = decide_on(f, 1, &r);
    assert_null(d.route);
    assert_int_equal(d.side, SIDE_LEGACY);
    assert_int_equal(d.reason, REASON_NO_ROUTE);
    assert_int_equal(d.mirror, MIRROR_OFF);
    assert_ptr_equal(d.backend, f->config[0]->legacy);
    observe(f, 1, &d, OUTCOME_OK, 200, 500);
    struct route_counters sum;
    assert_true(router_counters(f->router, "-", &sum));
    assert_int_equal(sum.side[SIDE_LEGACY].requests, 1);
    assert_int_equal(sum.in_flight, 0);
    fixture_free(f);
}

static void the_split_is_within_three_sigma(void **state)
{
    (void)state;
    static const uint32_t percents[] = {1000, 2500, 5000};
    struct fixture *f = fixture_new(1, SPLIT);
    for (int p = 0; p < 3; p++) {
        int result = command_percent(f, "orders", percents[p]);
        assert_true(result == 0 || percents[p] == 2500);
        double n = 20000;
        double share = percents[p] / 10000.0;
        uint32_t on_new = 0;
        for (uint64_t user = 0; user < 20000; user++) {
            struct request r;
            char id[32];
            user_request(&r, id, user);
            struct decision d = decide_on(f, 0, &r);
            on_new += d.side == SIDE_NEW;
            observe(f, 0, &d, OUTCOME_OK, 200, 100);
        }
        assert_true(fabs(on_new - n * share) <= 3 * sqrt(n * share * (1 - share)));
    }
    fixture_free(f);
}

static void no_user_moves_back_as_the_share_grows(void **state)
{
    (void)state;
    enum {
        USERS = 200
    };
    struct fixture *f = fixture_new(3, SPLIT);
    bool on_new[USERS] = {false};
    assert_int_equal(command_percent(f, "orders", 0), 0);
    for (uint32_t share = 1; share <= SHARE_ALL; share += share < 100 ? 1 : 61) {
        assert_int_equal(command_percent(f, "orders", share), 0);
        for (uint64_t user = 0; user < USERS; user++) {
            struct request r;
            char id[32];
            user_request(&r, id, user);
            enum side side = decide_on(f, (uint32_t)(share % 3), &r).side;
            assert_false(on_new[user] && side == SIDE_LEGACY);
            on_new[user] = side == SIDE_NEW;
        }
    }
    assert_int_equal(command_percent(f, "orders", SHARE_ALL), 0);
    for (uint64_t user = 0; user < USERS; user++) {
        struct request r;
        char id[32];
        user_request(&r, id, user);
        assert_int_equal(decide_on(f, 0, &r).side, SIDE_NEW);
    }
    fixture_free(f);
}

static void every_worker_gives_the_same_answer(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(4, SPLIT);
    for (uint64_t user = 0; user < 500; user++) {
        struct request r;
        char id[32];
        user_request(&r, id, user);
        struct decision first = decide_on(f, 0, &r);
        for (uint32_t worker = 1; worker < 4; worker++) {
            struct decision d = decide_on(f, worker, &r);
            assert_int_equal(d.side, first.side);
            assert_int_equal(d.cohort, first.cohort);
            assert_ptr_not_equal(d.counters, first.counters);
        }
    }
    fixture_free(f);
}

static void the_first_sticky_key_present_decides(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, SPLIT);
    struct request r;
    request_init(&r, "GET", "/orders");
    struct decision by_address = decide_on(f, 0, &r);
    assert_int_equal(by_address.sticky, 2);
    request_add(&r, "Cookie", "a=b; session=s-1");
    struct decision by_cookie = decide_on(f, 0, &r);
    assert_int_equal(by_cookie.sticky, 1);
    request_add(&r, "x-user-id", "");
    assert_int_equal(decide_on(f, 0, &r).sticky, 1); /* an empty value is no key */
    request_add(&r, "x-user-id", "s-1");
    struct decision by_header = decide_on(f, 0, &r);
    assert_int_equal(by_header.sticky, 0);
    assert_int_equal(by_header.cohort, by_cookie.cohort); /* the value decides, not where it was */
    assert_int_not_equal(by_header.cohort, by_address.cohort);
    fixture_free(f);
}

static void overrides_beat_the_share(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, SPLIT);
    struct request r;
    assert_int_equal(command_percent(f, "orders", 0), 0);
    request_init(&r, "GET", "/orders");
    request_add(&r, "x-shunt-backend", "new");
    struct decision d = decide_on(f, 0, &r);
    assert_int_equal(d.side, SIDE_NEW);
    assert_int_equal(d.reason, REASON_OVERRIDE);
    assert_int_equal(d.override, 0);
    request_init(&r, "GET", "/orders");
    request_add(&r, "X-Tenant", "zoom2");
    assert_int_equal(decide_on(f, 0, &r).override, 1);
    request_init(&r, "GET", "/orders");
    request_add(&r, "X-Tenant", "zoom");
    assert_int_equal(decide_on(f, 0, &r).override, -1);
    assert_int_equal(command_percent(f, "orders", SHARE_ALL), 0);
    request_init(&r, "GET", "/orders");
    request_add(&r, "Cookie", "side=old");
    d = decide_on(f, 0, &r);
    assert_int_equal(d.side, SIDE_LEGACY);
    assert_int_equal(d.override, 2);
    fixture_free(f);
}

static void a_rolled_back_plan_still_lets_testers_through(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, SPLIT);
    struct request r;
    assert_int_equal(command(f, VERB_ROLLBACK, "orders"), 0);
    for (uint64_t user = 0; user < 200; user++) {
        struct decision d = drive(f, 0, user, 200, 200, 100);
        assert_int_equal(d.side, SIDE_LEGACY);
        assert_int_equal(d.reason, REASON_ROLLED_BACK);
    }
    request_init(&r, "GET", "/orders");
    request_add(&r, "X-Shunt-Backend", "new");
    assert_int_equal(decide_on(f, 0, &r).side, SIDE_NEW);
    fixture_free(f);
}

static void passthrough_beats_everything(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, SPLIT);
    struct request r;
    assert_int_equal(command_percent(f, "orders", SHARE_ALL), 0);
    assert_true(router_passthrough(f->router, PASSTHROUGH_API, true, "operator:ann", "fire", f->wall_ms));
    assert_false(router_passthrough(f->router, PASSTHROUGH_FILE, true, "file", NULL, f->wall_ms)); /* on already */
    fixture_publish(f);
    assert_true(router_view_passthrough(f->view));
    assert_true(router_view_passthrough_raw(f->view));
    request_init(&r, "GET", "/orders");
    request_add(&r, "X-Shunt-Backend", "new");
    struct decision d = decide_on(f, 0, &r);
    assert_int_equal(d.side, SIDE_LEGACY);
    assert_int_equal(d.reason, REASON_PASSTHROUGH);
    assert_int_equal(d.mirror, MIRROR_PASSTHROUGH);
    assert_false(router_passthrough(f->router, PASSTHROUGH_API, false, "operator:ann", NULL, f->wall_ms));
    assert_true(router_passthrough_is_on(f->router)); /* the file still stands */
    assert_true(router_passthrough(f->router, PASSTHROUGH_FILE, false, "file", NULL, f->wall_ms));
    fixture_publish(f);
    assert_int_equal(decide_on(f, 0, &r).side, SIDE_NEW);
    fixture_free(f);
}

static void raw_passthrough_needs_one_legacy_for_all(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, YAML_HEAD "  - { name: a, match: { path: /a }, legacy: other, percent: 0 }\n"
                                                 "  - { name: b, match: { path: /b }, percent: 0 }\n");
    struct request r;
    assert_false(router_view_passthrough_raw(f->view));
    (void)router_passthrough(f->router, PASSTHROUGH_SIGNAL, true, "signal:USR1", NULL, f->wall_ms);
    fixture_publish(f);
    request_init(&r, "GET", "/a");
    assert_string_equal(decide_on(f, 0, &r).backend->name, "other"); /* its own legacy side */
    fixture_free(f);
}

static void mirroring_follows_share_method_and_upgrade(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, SPLIT);
    struct request r;
    uint32_t sent = 0;
    uint32_t sent_and_new = 0;
    uint32_t on_new = 0;
    uint32_t noise = 0;
    for (int i = 0; i < 20000; i++) {
        char id[32];
        user_request(&r, id, (uint64_t)i);
        struct decision d = decide_on(f, 0, &r);
        assert_true(d.mirror == MIRROR_SENT || d.mirror == MIRROR_RATE);
        sent += d.mirror == MIRROR_SENT;
        on_new += d.side == SIDE_NEW;
        sent_and_new += d.mirror == MIRROR_SENT && d.side == SIDE_NEW;
        assert_false(d.noise);
    }
    assert_true(fabs(sent - 8000.0) <= 3 * sqrt(20000 * 0.4 * 0.6));
    /* the sample does not depend on the cohort */
    assert_true(fabs(sent_and_new - on_new * 0.4) <= 4 * sqrt(on_new * 0.4 * 0.6));
    struct route_counters sum;
    assert_true(router_counters(f->router, "orders", &sum));
    assert_int_equal(sum.mirror[SIDE_LEGACY][MIRROR_RATE] + sum.mirror[SIDE_NEW][MIRROR_RATE], 20000 - sent);
    assert_int_equal(sum.mirror[SIDE_LEGACY][MIRROR_SENT] + sum.mirror[SIDE_NEW][MIRROR_SENT],
                     0); /* counted by whoever sends it */

    request_init(&r, "GET", "/orders");
    r.facts.upgrade = true;
    assert_int_equal(decide_on(f, 0, &r).mirror, MIRROR_UPGRADE);
    for (int i = 0; i < 10000; i++) {
        request_init(&r, "DELETE", "/rest");
        struct decision d = decide_on(f, 0, &r);
        assert_int_equal(d.mirror, MIRROR_SENT);
        noise += d.noise;
    }
    assert_true(fabs(noise - 1000.0) <= 3 * sqrt(10000 * 0.1 * 0.9));
    fixture_free(f);
}

static const char *sampled_yaml(char *room, size_t size, const char *shadow, int percent)
{
    (void)snprintf(room, size,
                   YAML_HEAD "  - { name: orders, match: { path: /orders/** }, sticky: [ { header: X-User-Id } ],\n"
                             "      percent: %d, shadow: { percent: %s, sampling: cohort } }\n",
                   percent, shadow);
    return room;
}

/* The same users each time, a share that grows only adds some, and live traffic has no say in it. */
static void a_sample_of_users_stays_the_same(void **state)
{
    enum {
        USERS = 20000
    };
    (void)state;
    char yaml[512];
    static bool before[USERS];
    memset(before, 0, sizeof(before));
    static const char *const shares[] = {"1", "10", "40", "100"};
    static const double parts[] = {0.01, 0.1, 0.4, 1};
    struct fixture *f = fixture_new(1, sampled_yaml(yaml, sizeof(yaml), shares[0], 30));
    for (size_t s = 0; s < sizeof(shares) / sizeof(shares[0]); s++) {
        uint32_t sent = 0, on_new = 0, sent_and_new = 0;
        fixture_configure(f, sampled_yaml(yaml, sizeof(yaml), shares[s], 30));
        for (uint64_t i = 0; i < USERS; i++) {
            struct request r;
            char id[32];
            user_request(&r, id, i);
            struct decision d = decide_on(f, 0, &r);
            bool mirrored = d.mirror == MIRROR_SENT;
            assert_int_equal(decide_on(f, 0, &r).mirror, d.mirror); /* with other random bits */
            assert_true(mirrored || !before[i]);
            before[i] = mirrored;
            sent += mirrored;
            on_new += d.side == SIDE_NEW;
            sent_and_new += mirrored && d.side == SIDE_NEW;
        }
        assert_true(fabs(sent - USERS * parts[s]) <= 4 * sqrt(USERS * parts[s]));
        assert_true(fabs(sent_and_new - on_new * parts[s]) <= 4 * sqrt(on_new * parts[s]) + 1);
    }
    fixture_free(f);
}

static void a_write_is_not_mirrored_unless_named(void **state)
{
    (void)state;
    struct fixture *f =
        fixture_new(1, YAML_HEAD "  - { name: a, match: { path: /a }, percent: 0, shadow: { percent: 100 } }\n");
    struct request r;
    request_init(&r, "POST", "/a");
    assert_int_equal(decide_on(f, 0, &r).mirror, MIRROR_METHOD);
    request_init(&r, "HEAD", "/a");
    assert_int_equal(decide_on(f, 0, &r).mirror, MIRROR_SENT);
    fixture_free(f);
}

static void the_assignment_cookie_only_ever_keeps_on_new(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, YAML_HEAD "  - name: orders\n"
                                                 "    match: { path: /orders }\n"
                                                 "    sticky: [ { header: X-User-Id } ]\n"
                                                 "    assign: { cookie: shunt_side, max_age: 1h }\n"
                                                 "    percent: 100\n"
                                                 "  - name: other\n"
                                                 "    match: { path: /other }\n"
                                                 "    sticky: [ { header: X-User-Id } ]\n"
                                                 "    assign: { cookie: shunt_side, max_age: 1h }\n"
                                                 "    percent: 0.01\n");
    struct request r;
    char cookie[64];
    request_init(&r, "GET", "/orders");
    request_add(&r, "X-User-Id", "ann");
    struct decision d = decide_on(f, 0, &r);
    assert_int_equal(d.reason, REASON_COHORT);
    assert_true(d.set_assign_cookie);
    (void)snprintf(cookie, sizeof(cookie), "shunt_side=%s", router_assign_value(f->view, &d));
    request_add(&r, "Cookie", cookie);
    d = decide_on(f, 0, &r);
    assert_int_equal(d.side, SIDE_NEW);
    assert_false(d.set_assign_cookie); /* it has it */

    assert_int_equal(command_percent(f, "orders", 1), 0);
    d = decide_on(f, 0, &r);
    assert_int_equal(d.side, SIDE_NEW);
    assert_int_equal(d.reason, REASON_ASSIGNED);
    r.facts.path = text_of("/other");
    assert_int_equal(decide_on(f, 0, &r).side, SIDE_LEGACY); /* another route's cookie says nothing here */
    r.facts.path = text_of("/orders");
    assert_int_equal(command_percent(f, "orders", 0), 0);
    assert_int_equal(decide_on(f, 0, &r).side, SIDE_LEGACY);
    assert_int_equal(command_percent(f, "orders", 1), 0);
    assert_int_equal(command(f, VERB_ROLLBACK, "orders"), 0);
    d = decide_on(f, 0, &r);
    assert_int_equal(d.side, SIDE_LEGACY);
    assert_int_equal(d.reason, REASON_ROLLED_BACK);

    assert_int_equal(command(f, VERB_RESUME, "orders"), 0); /* the file's 100 % again */
    request_init(&r, "GET", "/orders");
    request_add(&r, "X-User-Id", "ann");
    request_add(&r, "Cookie", "shunt_side=legacy");
    assert_int_equal(decide_on(f, 0, &r).side, SIDE_NEW); /* never moves anybody back */
    fixture_free(f);
}

static void outcomes_are_counted_on_the_side_asked_first(void **state)
{
    (void)state;
    static const struct {
        enum outcome_kind kind;
        uint16_t status;
        bool judged;
        bool error;
    } rows[] = {
        {OUTCOME_OK, 200, true, false},
        {OUTCOME_OK, 404, true, false},
        {OUTCOME_OK, 500, true, true},
        {OUTCOME_OK, 503, true, true},
        {OUTCOME_CONNECT_FAILED, 0, true, true},
        {OUTCOME_TIMEOUT, 0, true, true},
        {OUTCOME_RESET, 0, true, true},
        {OUTCOME_BAD_RESPONSE, 0, true, true},
        {OUTCOME_OVERLOADED, 0, false, false},
        {OUTCOME_CLIENT_GONE, 0, false, false},
        {OUTCOME_CLIENT_GONE, 500, false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture *f = fixture_new(1, SPLIT);
        struct request r;
        request_init(&r, "GET", "/orders");
        request_add(&r, "X-Shunt-Backend", "new");
        struct decision d = decide_on(f, 0, &r);
        struct route_counters sum;
        assert_true(router_counters(f->router, "orders", &sum));
        assert_int_equal(sum.in_flight, 1);
        observe(f, 0, &d, rows[i].kind, rows[i].status, 5000);
        assert_true(router_counters(f->router, "orders", &sum));
        const struct side_counters *side = &sum.side[SIDE_NEW];
        assert_int_equal(sum.in_flight, 0);
        assert_int_equal(side->requests, 1);
        assert_int_equal(side->by_outcome[rows[i].kind], 1);
        assert_int_equal(side->by_class[rows[i].status / 100], 1);
        assert_int_equal(side->judged, rows[i].judged);
        assert_int_equal(side->errors, rows[i].error);
        assert_int_equal(side->error_run, rows[i].error);
        assert_int_equal(histogram_total(&side->latency), rows[i].judged);
        assert_int_equal(sum.side[SIDE_LEGACY].requests, 0);
        fixture_free(f);
    }
}

#define WITH_ERRORS(errors)                                                                                            \
    YAML_HEAD                                                                                                          \
    "  - name: orders\n"                                                                                               \
    "    match: { path: /orders/** }\n"                                                                                \
    "    overrides: [ { header: { X-Shunt-Backend: new }, backend: new } ]\n"                                          \
    "    percent: 0\n"                                                                                                 \
    "    errors: " errors "\n"                                                                                         \
    "    breaker: { slow_call: 200ms }\n"

/* What the file calls an error is one, on both sides alike; the rest speaks for the backend. */
static void the_file_says_what_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        enum outcome_kind kind;
        uint16_t status;
        bool error;
    } rows[] = {
        {WITH_ERRORS("[5xx, connect, timeout, reset, bad_response]"), OUTCOME_OK, 599, true},
        {WITH_ERRORS("[5xx, connect, timeout, reset, bad_response]"), OUTCOME_OK, 429, false},
        {WITH_ERRORS("[500, 429, connect]"), OUTCOME_OK, 429, true},
        {WITH_ERRORS("[500, 429, connect]"), OUTCOME_OK, 500, true},
        {WITH_ERRORS("[500, 429, connect]"), OUTCOME_OK, 503, false},
        {WITH_ERRORS("[500, 429, connect]"), OUTCOME_CONNECT_FAILED, 0, true},
        {WITH_ERRORS("[500, 429, connect]"), OUTCOME_TIMEOUT, 0, false},
        {WITH_ERRORS("[500, 429, connect]"), OUTCOME_RESET, 500, true}, /* it began with the status */
        {WITH_ERRORS("[500, 429, connect]"), OUTCOME_BAD_RESPONSE, 0, false},
        {WITH_ERRORS("[timeout]"), OUTCOME_TIMEOUT, 0, true},
        {WITH_ERRORS("[reset]"), OUTCOME_RESET, 200, true},
        {WITH_ERRORS("[bad_response]"), OUTCOME_BAD_RESPONSE, 0, true},
        {WITH_ERRORS("[timeout]"), OUTCOME_OK, 500, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (int side = 0; side < SIDES; side++) {
            struct fixture *f = fixture_new(1, rows[i].yaml);
            struct request r;
            request_init(&r, "GET", "/orders");
            if (side == SIDE_NEW)
                request_add(&r, "X-Shunt-Backend", "new");
            struct decision d = decide_on(f, 0, &r);
            observe(f, 0, &d, rows[i].kind, rows[i].status, 1000);
            struct route_counters sum;
            assert_true(router_counters(f->router, "orders", &sum));
            assert_int_equal(sum.side[side].judged, 1);
            assert_int_equal(sum.side[side].errors, rows[i].error);
            fixture_free(f);
        }
}

static void what_has_no_route_fails_by_5xx_and_every_kind(void **state)
{
    (void)state;
    static const struct {
        enum outcome_kind kind;
        uint16_t status;
        bool error;
    } rows[] = {
        {OUTCOME_OK, 499, false},        {OUTCOME_OK, 500, true},  {OUTCOME_CONNECT_FAILED, 0, true},
        {OUTCOME_BAD_RESPONSE, 0, true}, {OUTCOME_RESET, 0, true}, {OUTCOME_TIMEOUT, 0, true},
    };
    uint64_t errors = 0;
    struct fixture *f = fixture_new(1, SPLIT);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct request r;
        struct route_counters sum;
        request_init(&r, "GET", "/nothing");
        struct decision d = decide_on(f, 0, &r);
        observe(f, 0, &d, rows[i].kind, rows[i].status, 1000000);
        errors += rows[i].error;
        assert_true(router_counters(f->router, "-", &sum));
        assert_int_equal(sum.side[SIDE_LEGACY].errors, errors);
        assert_int_equal(sum.side[SIDE_LEGACY].slow, 0);
    }
    fixture_free(f);
}

static void slow_exchanges_are_counted_on_both_sides(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, WITH_ERRORS("[5xx]"));
    for (int side = 0; side < SIDES; side++) {
        struct request r;
        request_init(&r, "GET", "/orders");
        if (side == SIDE_NEW)
            request_add(&r, "X-Shunt-Backend", "new");
        static const uint64_t took_us[] = {199999, 200000, 5000000};
        for (int i = 0; i < 3; i++) {
            struct decision d = decide_on(f, 0, &r);
            observe(f, 0, &d, OUTCOME_OK, 200, took_us[i]);
        }
        struct decision d = decide_on(f, 0, &r);
        observe(f, 0, &d, OUTCOME_CLIENT_GONE, 0, 5000000); /* says nothing */
        struct route_counters sum;
        assert_true(router_counters(f->router, "orders", &sum));
        assert_int_equal(sum.side[side].slow, 2);
    }
    fixture_free(f);
}

static void take_all_marks(struct fixture *f, uint32_t route, struct marks marks[SIDES])
{
    memset(marks, 0, SIDES * sizeof(*marks));
    tally_take_marks(f->view->routes[route].tally, marks);
}

static void take_marks(struct fixture *f, uint32_t route, struct marks *of_new)
{
    struct marks marks[SIDES];
    take_all_marks(f, route, marks);
    *of_new = marks[SIDE_NEW];
}

static void new_leaves_marks_of_clients_and_paths(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2, SPLIT);
    struct marks marks;
    uint32_t on_new = 0;
    take_marks(f, 0, &marks);
    tally_watch_slow(f->view->routes[0].tally, 7000);
    for (uint64_t user = 0; on_new < 8; user++) {
        struct request r;
        char id[32];
        user_request(&r, id, user);
        r.facts.path = text_of(on_new < 3 ? "/orders/1" : "/orders/2");
        struct decision d = decide_on(f, (uint32_t)(user % 2), &r);
        bool of_new = d.side == SIDE_NEW;
        observe(f, (uint32_t)(user % 2), &d, OUTCOME_OK, of_new && on_new < 2 ? 500 : 200, on_new < 4 ? 7000 : 6999);
        on_new += of_new;
    }
    take_marks(f, 0, &marks);
    assert_int_equal(sketch_count(&marks.keys), 8);
    assert_int_equal(sketch_count(&marks.paths), 2);
    assert_int_equal(sketch_count(&marks.error_keys), 2);
    assert_int_equal(sketch_count(&marks.error_paths), 1);
    assert_int_equal(sketch_count(&marks.slow_keys), 4);
    assert_int_equal(sketch_count(&marks.slow_paths), 2);
    take_marks(f, 0, &marks);
    assert_int_equal(sketch_count(&marks.keys), 0); /* each is taken once */
    fixture_free(f);
}

static uint64_t count_part(const struct crowd *crowd, uint32_t part)
{
    uint64_t count = 0;
    for (uint32_t b = 0; b < CROWD_BUCKETS; b++)
        count += crowd->count[part][b];
    return count;
}

#define STAGED                                                                                                         \
    YAML_HEAD "  - name: orders\n    match: { path: /orders/** }\n    sticky: [ { header: X-User-Id } ]\n"             \
              "    stages: [ { percent: 50 } ]\n"

/* Each side has its own; nobody asks who was slow on legacy, or who was served in passthrough. */
static void legacy_leaves_marks_of_its_own(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2, STAGED);
    struct marks marks[SIDES];
    uint64_t on_legacy = 0;
    tally_watch_slow(f->view->routes[0].tally, 0);
    for (uint64_t user = 0; on_legacy < 8; user++)
        on_legacy += drive(f, (uint32_t)(user % 2), user, on_legacy < 3 ? 503 : 200, 200, 1000).side == SIDE_LEGACY;
    take_all_marks(f, 0, marks);
    assert_int_equal(sketch_count(&marks[SIDE_LEGACY].keys), 8);
    assert_int_equal(sketch_count(&marks[SIDE_LEGACY].paths), 1);
    assert_int_equal(sketch_count(&marks[SIDE_LEGACY].error_keys), 3);
    assert_int_equal(sketch_count(&marks[SIDE_LEGACY].error_paths), 1);
    assert_int_equal(sketch_count(&marks[SIDE_LEGACY].slow_keys), 0);
    assert_int_equal(sketch_count(&marks[SIDE_NEW].error_keys), 0);
    (void)router_passthrough(f->router, PASSTHROUGH_API, true, "operator:ann", NULL, f->wall_ms);
    fixture_publish(f);
    (void)drive(f, 0, 5000, 503, 200, 1000);
    take_all_marks(f, 0, marks);
    assert_int_equal(sketch_count(&marks[SIDE_LEGACY].keys), 0);
    fixture_free(f);
    f = fixture_new(2, SPLIT); /* no gates: nobody asks who was on legacy at all */
    for (uint64_t user = 0; user < 100; user++)
        (void)drive(f, 0, user, 503, 503, 1000);
    take_all_marks(f, 0, marks);
    assert_int_equal(sketch_count(&marks[SIDE_LEGACY].keys), 0);
    assert_true(sketch_count(&marks[SIDE_NEW].keys) > 10);
    fixture_free(f);
}

/* All exchanges of one client are in one part of the clients, and of one path in one of the paths. */
static void a_client_is_in_one_part_of_the_crowd(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, STAGED);
    struct route_counters sum;
    struct decision d = {0};
    for (int i = 0; i < 10; i++)
        d = drive(f, 0, 7, 200, 200, 1000 * (uint64_t)i);
    assert_true(router_counters(f->router, "orders", &sum));
    const struct crowd *crowd = &sum.side[d.side].crowd;
    for (uint32_t part = 0; part < CROWD_PARTS; part++) {
        uint32_t its = crowd_part_is_paths(part) ? CROWD_OF_EACH + (d.path_mark >> 13u) : d.key_mark >> 13u;
        assert_int_equal(count_part(crowd, part), part == its ? 10 : 0);
        assert_int_equal(count_part(&sum.side[1 - d.side].crowd, part), 0);
    }
    fixture_free(f);
}

/* With the key `random` a client is its address: else each of its requests would be a client. */
static void a_client_without_a_key_is_its_address(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, SPLIT);
    struct marks marks;
    for (int i = 0; i < 300; i++) {
        struct request r;
        request_init(&r, "GET", "/rest/1?page=1");
        r.facts.query.len = (uint32_t)(i % 7); /* of no account */
        r.facts.client.bytes[3] = (uint8_t)(i % 3);
        struct decision d = decide_on(f, 0, &r);
        observe(f, 0, &d, OUTCOME_RESET, 0, 1000);
    }
    take_marks(f, 1, &marks);
    assert_int_equal(sketch_count(&marks.keys), 3);
    assert_int_equal(sketch_count(&marks.error_keys), 3);
    assert_int_equal(sketch_count(&marks.paths), 1);
    fixture_free(f);
}

static void a_route_that_is_held_back_lets_only_testers_through(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, SPLIT);
    assert_int_equal(command_percent(f, "orders", SHARE_ALL), 0);
    f->view->routes[0].held_back = true;
    struct request r;
    char id[32];
    user_request(&r, id, 1);
    struct decision d = decide_on(f, 0, &r);
    assert_int_equal(d.side, SIDE_LEGACY);
    assert_int_equal(d.reason, REASON_DEPENDENCY);
    assert_int_equal(d.share, 0);
    assert_int_not_equal(d.mirror, MIRROR_OFF);
    request_add(&r, "X-Shunt-Backend", "new");
    d = decide_on(f, 0, &r);
    assert_int_equal(d.side, SIDE_NEW);
    assert_int_equal(d.reason, REASON_OVERRIDE);
    fixture_free(f);
}

/* Two workers ask for the last permit; an old view gets none. */
static void permits_are_counted_for_the_whole_process(void **state)
{
    (void)state;
    struct tally *tally = tally_new("orders", 2);
    assert_non_null(tally);
    assert_true(tally_take_permit(tally, 4, 2, true));
    assert_true(tally_take_permit(tally, 4, 2, false));
    assert_true(tally_take_permit(tally, 4, 2, false));
    assert_false(tally_take_permit(tally, 4, 2, false));
    assert_int_equal(tally_trials(tally, 4).taken, 2);
    tally_return_permit(tally, 3); /* of an epoch that is over */
    assert_false(tally_take_permit(tally, 4, 2, false));
    tally_return_permit(tally, 4);
    assert_true(tally_take_permit(tally, 4, 2, false));
    assert_true(tally_take_permit(tally, 5, 2, false));
    assert_false(tally_take_permit(tally, 4, 100, false));
    assert_int_equal(tally_trials(tally, 5).taken, 1);
    tally_unref(tally);
}

static void a_fallback_counts_what_the_client_got_and_what_the_backend_did(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, SPLIT);
    struct request r;
    request_init(&r, "GET", "/orders");
    request_add(&r, "X-Shunt-Backend", "new");
    struct decision d = decide_on(f, 0, &r);
    struct outcome outcome = {
        .kind = OUTCOME_OK, .status = 502, .client_status = 200, .fell_back = true, .latency_us = 9};
    router_observe(f->view, 0, &d, &outcome);
    struct route_counters sum;
    assert_true(router_counters(f->router, "orders", &sum));
    assert_int_equal(sum.side[SIDE_NEW].by_class[2], 1);
    assert_int_equal(sum.side[SIDE_NEW].errors, 1);
    assert_int_equal(sum.side[SIDE_NEW].fallbacks, 1);
    fixture_free(f);
}

/* grpc-status speaks against a backend as 5xx does, whatever the HTTP status. */
static void calls_are_judged_by_their_status(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, SPLIT);
    uint64_t errors = 0;
    for (unsigned status = 0; status <= 16; status++) {
        struct request r;
        request_init(&r, "GET", "/orders");
        request_add(&r, "X-Shunt-Backend", "new");
        struct decision d = decide_on(f, 0, &r);
        struct outcome outcome = {.status = 200, .client_status = 200, .is_grpc = true, .grpc_status = (uint8_t)status};
        router_observe(f->view, 0, &d, &outcome);
        bool error = status == 2 || status == 4 || status == 8 || status == 13 || status == 14 || status == 15;
        errors += error;
        struct route_counters sum;
        assert_true(router_counters(f->router, "orders", &sum));
        assert_int_equal(sum.side[SIDE_NEW].errors, errors);
        assert_int_equal(sum.side[SIDE_NEW].by_grpc[status], 1);
    }
    fixture_free(f);
}

static void explain_says_what_decide_does_and_counts_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2, SPLIT);
    char sentence[512];
    for (uint64_t user = 0; user < 50; user++) {
        struct request r;
        char id[32];
        struct decision explained;
        user_request(&r, id, user);
        r.facts.random = user * 7919;
        router_explain(f->router, &r.facts, &explained, sentence, sizeof(sentence));
        struct decision d;
        router_decide(f->view, 0, &r.facts, &d);
        assert_int_equal(explained.side, d.side);
        assert_int_equal(explained.cohort, d.cohort);
        assert_int_equal(explained.mirror, d.mirror);
        assert_non_null(strstr(sentence, "Route orders: header x-user-id gives cohort"));
    }
    struct route_counters sum;
    assert_true(router_counters(f->router, "orders", &sum));
    assert_int_equal(sum.in_flight, 50);

    /* a cookie is found though nobody marked the field, and a small room cuts the sentence off cleanly */
    struct request r;
    struct decision explained;
    request_init(&r, "GET", "/orders");
    request_add(&r, "Cookie", "session=1");
    r.fields[0].id = FIELD_OTHER;
    router_explain(f->router, &r.facts, &explained, sentence, 10);
    assert_int_equal(explained.sticky, 1);
    assert_int_equal(strlen(sentence), 9);
    fixture_free(f);
}

#define ASSIGNED_ROUTE                                                                                                 \
    YAML_HEAD                                                                                                          \
    "  - name: orders\n"                                                                                               \
    "    match: { path: /orders }\n"                                                                                   \
    "    sticky: [ { header: X-User-Id } ]\n"                                                                          \
    "    assign: { cookie: shunt_side, max_age: 1h }\n"                                                                \
    "    gates: { min_requests: 10, error_rate_increase: off, p95_increase: off, mismatch_rate: 1% }\n"                \
    "    breaker: { consecutive_errors: 5, error_rate: off, error_rate_increase: off, p95_ratio: off, cooldown: 1s,\n" \
    "               trial_requests: 1, ramp: 10s }\n"                                                                  \
    "    stages: [ { name: some, percent: 10, shadow: 100, hold: 60s }, { name: half, percent: 50, hold: 60s,\n"       \
    "              shadow: 100 } ]\n"

/* How many of a hundred users who all have the cookie of new are answered by it. */
static uint32_t on_new_by_cookie(struct fixture *f, uint16_t status)
{
    char cookie[64];
    uint32_t on_new = 0;
    struct decision names = {.route = f->config[0]->routes, .side = SIDE_NEW};
    (void)snprintf(cookie, sizeof(cookie), "shunt_side=%s", router_assign_value(f->view, &names));
    for (int user = 0; user < 100; user++) {
        struct request r;
        char id[32];
        request_init(&r, "GET", "/orders");
        (void)snprintf(id, sizeof(id), "user-%d", user);
        request_add(&r, "X-User-Id", id);
        request_add(&r, "Cookie", cookie);
        struct decision d = decide_on(f, 0, &r);
        observe(f, 0, &d, OUTCOME_OK, d.side == SIDE_NEW ? status : 200, 1000);
        on_new += d.side == SIDE_NEW;
    }
    return on_new;
}

static void cookies_do_not_hold_up_a_way_down(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ASSIGNED_ROUTE "    on_failure: { to: zero, ramp: 90s }\n");
    assert_int_equal(command_force(f, "orders"), 0);
    assert_int_equal(on_new_by_cookie(f, 200), 100);
    f->pairs = (struct comparison_totals){1000, 500};
    fixture_wait(f, 1100);
    assert_int_equal(state_of(f, "orders").effective, 4500);
    uint32_t on_new = on_new_by_cookie(f, 200);
    assert_true(on_new > 25 && on_new < 65);
    fixture_free(f);
}

/* The stage before keeps them: who is sent away in between would only come back. */
static void cookies_stay_on_new_on_the_way_to_the_stage_before(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ASSIGNED_ROUTE "    on_failure: { to: previous, ramp: 90s }\n");
    assert_int_equal(command_force(f, "orders"), 0);
    f->pairs = (struct comparison_totals){1000, 500};
    fixture_wait(f, 1100);
    assert_int_equal(state_of(f, "orders").effective, 4600);
    assert_int_equal(on_new_by_cookie(f, 200), 100);
    fixture_wait(f, 95000);
    assert_int_equal(state_of(f, "orders").effective, 1000);
    assert_int_equal(on_new_by_cookie(f, 200), 100);
    fixture_free(f);
}

static void cookies_do_not_all_come_back_at_once_after_a_recovery(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ASSIGNED_ROUTE);
    assert_int_equal(command_force(f, "orders"), 0);
    assert_int_equal(on_new_by_cookie(f, 500), 100);
    fixture_wait(f, TICK_MS);
    assert_int_equal(state_of(f, "orders").breaker, BREAKER_OPEN);
    fixture_wait(f, 1000);
    assert_int_equal(on_new_by_cookie(f, 200), 1); /* the trial */
    fixture_wait(f, TICK_MS);
    assert_int_equal(state_of(f, "orders").breaker, BREAKER_CLOSED);
    uint32_t at_first = on_new_by_cookie(f, 200);
    assert_true(at_first < 20);
    fixture_wait(f, 5000);
    assert_true(on_new_by_cookie(f, 200) > at_first);
    fixture_wait(f, 5000);
    assert_int_equal(on_new_by_cookie(f, 200), 100);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unmatched_request_goes_to_legacy),
        cmocka_unit_test(the_split_is_within_three_sigma),
        cmocka_unit_test(no_user_moves_back_as_the_share_grows),
        cmocka_unit_test(every_worker_gives_the_same_answer),
        cmocka_unit_test(the_first_sticky_key_present_decides),
        cmocka_unit_test(overrides_beat_the_share),
        cmocka_unit_test(a_rolled_back_plan_still_lets_testers_through),
        cmocka_unit_test(passthrough_beats_everything),
        cmocka_unit_test(raw_passthrough_needs_one_legacy_for_all),
        cmocka_unit_test(mirroring_follows_share_method_and_upgrade),
        cmocka_unit_test(a_sample_of_users_stays_the_same),
        cmocka_unit_test(a_write_is_not_mirrored_unless_named),
        cmocka_unit_test(the_assignment_cookie_only_ever_keeps_on_new),
        cmocka_unit_test(cookies_do_not_hold_up_a_way_down),
        cmocka_unit_test(cookies_stay_on_new_on_the_way_to_the_stage_before),
        cmocka_unit_test(cookies_do_not_all_come_back_at_once_after_a_recovery),
        cmocka_unit_test(outcomes_are_counted_on_the_side_asked_first),
        cmocka_unit_test(the_file_says_what_is_an_error),
        cmocka_unit_test(what_has_no_route_fails_by_5xx_and_every_kind),
        cmocka_unit_test(slow_exchanges_are_counted_on_both_sides),
        cmocka_unit_test(new_leaves_marks_of_clients_and_paths),
        cmocka_unit_test(legacy_leaves_marks_of_its_own),
        cmocka_unit_test(a_client_is_in_one_part_of_the_crowd),
        cmocka_unit_test(a_client_without_a_key_is_its_address),
        cmocka_unit_test(a_route_that_is_held_back_lets_only_testers_through),
        cmocka_unit_test(permits_are_counted_for_the_whole_process),
        cmocka_unit_test(a_fallback_counts_what_the_client_got_and_what_the_backend_did),
        cmocka_unit_test(calls_are_judged_by_their_status),
        cmocka_unit_test(explain_says_what_decide_does_and_counts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
