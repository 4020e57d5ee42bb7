/*
 * The fleet's breaker, and each replica's own under it.
 */
#include "fleet_fixture.h"

#include <errno.h>

static void the_fleets_breaker_lives(void **state)
{
    (void)state;
    fleet_begin(3, ORDERS);
    testers(at(1), 3, 500);
    assert_int_equal(own_of(1), BREAKER_OPEN);
    leader_looks(at(0), 3);
    assert_int_equal(fleets_of(0), BREAKER_CLOSED);
    testers(at(2), 3, 500);
    leader_looks(at(0), 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(fleets_of(i), BREAKER_OPEN);
        assert_int_equal(own_of(i), BREAKER_OPEN);
        assert_int_equal(share_of(at(i)), 0);
        assert_string_equal(last_event(at(i)), "fleet_breaker_open");
        assert_non_null(strstr(at(i)->why[at(i)->event_count - 1], "replica-1, replica-2"));
        assert_int_equal(orders(at(i))->fleet.breaker.trips, 1);
        json_t *open = router_open_breakers(at(i)->router);
        assert_int_equal(json_object_size(open), 0); /* the fleet's is nobody's own */
        json_decref(open);
    }
    assert_int_equal(item_of("orders")->share, 0);
    wait_all(1900);
    assert_int_equal(fleets_of(0), BREAKER_OPEN);
    wait_all(200);
    assert_int_equal(fleets_of(2), BREAKER_HALF_OPEN);
    assert_int_equal(own_of(0), BREAKER_HALF_OPEN); /* one alone probes */
    assert_int_equal(own_of(1), BREAKER_OPEN);
    assert_int_equal(own_of(2), BREAKER_OPEN);
    wait_all(20000);
    assert_int_equal(own_of(1), BREAKER_OPEN);
    assert_why_not(at(1), 0, "the fleet's breaker is half_open");
    traffic(at(0), 100, 200);
    wait_all(TICK_MS);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(fleets_of(i), BREAKER_CLOSED);
        assert_int_equal(own_of(i), BREAKER_CLOSED);
        assert_in_range(share_of(at(i)), 100, 200); /* a tenth, and more with time */
    }
    wait_all(2100);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(share_of(at(i)), 1000);
    assert_int_equal(orders(at(1))->fleet.breaker.trips, 1);
    wait_all(101000);
    assert_int_equal(orders(at(1))->fleet.breaker.trips, 0);
    assert_string_equal(last_event(at(1)), "fleet_breaker_healthy");
    fleet_end();
}

static void a_failed_probe_is_another_trip_and_the_last_rolls_back(void **state)
{
    (void)state;
    fleet_begin(3, ORDERS);
    trip_all();
    assert_all(PLAN_RUNNING, 1000);
    wait_all(2100);
    assert_int_equal(own_of(0), BREAKER_HALF_OPEN);
    traffic(at(0), 50, 500);
    wait_all(TICK_MS);
    assert_all(PLAN_ROLLED_BACK, 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(fleets_of(i), BREAKER_OPEN);
        assert_int_equal(orders(at(i))->fleet.breaker.trips, 2);
        assert_int_equal(count_events(at(i), "fleet_breaker_open"), 2);
        assert_int_equal(count_events(at(i), "rollback"), 1);
    }
    wait_all(3900); /* twice as long */
    assert_int_equal(fleets_of(1), BREAKER_OPEN);
    wait_all(200);
    assert_int_equal(fleets_of(1), BREAKER_HALF_OPEN);
    assert_int_equal(say(at(2), VERB_RESUME), ROUTER_ASKED);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(fleets_of(i), BREAKER_CLOSED);
        assert_int_equal(own_of(i), BREAKER_CLOSED);
        assert_int_equal(orders(at(i))->fleet.breaker.trips, 0);
        assert_int_equal(share_of(at(i)), 1000);
    }
    fleet_end();
}

static void probing_ends_with_the_lease(void **state)
{
    (void)state;
    fleet_begin(3, ORDERS);
    trip_all();
    wait_all(2100);
    assert_int_equal(own_of(0), BREAKER_HALF_OPEN);
    take_role(at(0), ROUTER_FOLLOWER);
    assert_int_equal(own_of(0), BREAKER_OPEN);
    assert_int_equal(share_of(at(0)), 0);
    wait_all(1000);
    assert_int_equal(own_of(0), BREAKER_OPEN);
    take_role(at(2), ROUTER_LEADER);
    wait_all(100);
    assert_int_equal(own_of(2), BREAKER_HALF_OPEN);
    take_role(at(2), ROUTER_CUT_OFF);
    wait_all(5000);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(own_of(i), BREAKER_OPEN);
    fleet_end();
}

static void a_probe_whose_wish_is_refused_is_made_again(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    trip_all();
    wait_all(2100);
    fleet.silent = true;
    traffic(at(0), 100, 200);
    wait_all(TICK_MS);
    assert_string_equal(json_string_value(json_object_get(fleet.member[0].last.log, "what")), "fleet_breaker_closed");
    assert_int_equal(own_of(0), BREAKER_OPEN);
    assert_int_equal(share_of(at(0)), 0);
    fleet.silent = false;
    router_wish_over(at(0)->router, "orders");
    wait_all(300);
    assert_int_equal(own_of(0), BREAKER_HALF_OPEN);
    traffic(at(0), 100, 200);
    wait_all(TICK_MS);
    assert_int_equal(fleets_of(1), BREAKER_CLOSED);
    fleet_end();
}

static void legacy_that_fails_as_well_makes_no_trip(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    trip_all();
    wait_all(2100);
    assert_int_equal(own_of(0), BREAKER_HALF_OPEN);
    for (uint64_t user = 0; user < 200; user++)
        (void)drive(at(0), 0, user, 500, 500, 1000);
    wait_all(TICK_MS);
    assert_int_equal(fleets_of(1), BREAKER_OPEN);
    assert_int_equal(orders(at(1))->fleet.breaker.trips, 1);
    assert_non_null(strstr(orders(at(1))->fleet.breaker.why, "as did legacy"));
    assert_all(PLAN_RUNNING, 1000);
    fleet_end();
}

static void a_refused_wish_waits_a_moment(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    trip_all();
    fleet.silent = true;
    uint32_t asked = fleet.member[0].asked;
    wait_all(2500);
    assert_int_equal(fleet.member[0].asked, asked + 1); /* to half-open it */
    router_wish_over(at(0)->router, "orders");
    wait_all(150);
    assert_int_equal(fleet.member[0].asked, asked + 1);
    wait_all(100);
    assert_int_equal(fleet.member[0].asked, asked + 2);
    fleet_end();
}

/* What replicas tell just after it has closed may be of before. */
static void what_is_told_late_trips_nothing(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    trip_all();
    wait_all(2100);
    traffic(at(0), 100, 200);
    wait_all(TICK_MS);
    assert_int_equal(fleets_of(0), BREAKER_CLOSED);
    json_t *open = json_pack("{s:[s, s]}", "orders", "a", "b");
    router_fleet_looked(at(0)->router, open, 2, at(0)->now_ms, at(0)->wall_ms);
    assert_int_equal(fleets_of(0), BREAKER_CLOSED);
    wait_all(2000);
    router_fleet_looked(at(0)->router, open, 2, at(0)->now_ms, at(0)->wall_ms);
    assert_int_equal(fleets_of(0), BREAKER_OPEN);
    json_decref(open);
    fleet_end();
}

static void a_trip_sets_the_hold_back(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    wait_all(30000);
    assert_true(orders(at(0))->plan.held_ms > 29000);
    trip_all();
    assert_int_equal(orders(at(0))->plan.held_ms, 0);
    wait_all(2100);
    traffic(at(0), 100, 200);
    wait_all(3000);
    assert_int_equal(share_of(at(0)), 1000);
    pool_says(at(1), 1000, 0, 30000); /* what was counted before */
    take_role(at(0), ROUTER_FOLLOWER);
    take_role(at(1), ROUTER_LEADER);
    wait_all(1100);
    assert_in_range(orders(at(1))->plan.held_ms, 1, 2000);
    assert_true(orders(at(1))->gathered_ms >= 30000);
    fleet_end();
}

/* The clock of the one that opened it may be anything. */
static void no_cooldown_is_longer_than_it_can_be(void **state)
{
    (void)state;
    fleet_begin(1, ORDERS);
    json_t *value = json_deep_copy(item_of("orders")->value);
    json_t *breaker = json_pack("{s:s, s:i, s:i, s:I, s:s}", "state", "open", "trips", 1, "resets", 0, "until_ms",
                                (json_int_t)at(0)->wall_ms + 31536000000, "why", "test");
    assert_int_equal(json_object_set_new(value, "breaker", breaker), 0);
    item_of("orders")->version = 7;
    adopt(at(0), "orders", value, 7);
    json_decref(value);
    assert_int_equal(fleets_of(0), BREAKER_OPEN);
    wait_all(1900);
    assert_int_equal(fleets_of(0), BREAKER_OPEN);
    wait_all(200);
    assert_int_equal(fleets_of(0), BREAKER_HALF_OPEN);
    fleet_end();
}

/* A leader that has not seen it close does not count what had opened it. */
static void a_new_leader_knows_when_it_closed(void **state)
{
    (void)state;
    fleet_begin(1, ORDERS);
    trip_all();
    wait_all(2100);
    traffic(at(0), 100, 200);
    wait_all(1000);
    assert_int_equal(fleets_of(0), BREAKER_CLOSED);
    for (int late = 0; late < 2; late++) {
        join(fixture_new(1, ORDERS));
        struct fixture *f = at(1 + (uint32_t)late);
        f->wall_ms = at(0)->wall_ms;
        meet(f);
        take_role(at((uint32_t)late), ROUTER_FOLLOWER);
        take_role(f, ROUTER_LEADER);
        uint64_t ago_ms = late ? 0 : 3000;
        char judged[40], errors[40];
        (void)snprintf(judged, sizeof(judged), "%llu n.j", (unsigned long long)(f->wall_ms - ago_ms) / 834);
        (void)snprintf(errors, sizeof(errors), "%llu n.e", (unsigned long long)(f->wall_ms - ago_ms) / 834);
        json_t *answer = json_pack("{s:I, s:{}, s:s, s:{s:I, s:I}}", "entry", (json_int_t)orders(f)->entry, "counts",
                                   "bits", "", "window", judged, (json_int_t)1000, errors, (json_int_t)1000);
        assert_true(router_pool_take(f->router, "orders", answer, f->now_ms, f->wall_ms));
        json_decref(answer);
        wait_all(300);
        assert_int_equal(fleets_of(0), late ? BREAKER_OPEN : BREAKER_CLOSED);
    }
    fleet_end();
}

static void an_outlier_is_named_and_helps_itself(void **state)
{
    (void)state;
    fleet_begin(3, ORDERS);
    for (int i = 0; i < 4; i++) { /* more trips than the last */
        testers(at(2), 3, 500);
        assert_int_equal(own_of(2), BREAKER_OPEN);
        for (int looks = 0; looks < 3; looks++)
            leader_looks(at(0), 3);
        assert_int_equal(count_events(at(0), "fleet_outlier"), i + 1);
        assert_non_null(strstr(at(0)->why[at(0)->event_count - 1], "replica-2"));
        while (own_of(2) == BREAKER_OPEN)
            wait_all(1000);
        traffic(at(2), 100, 200);
        wait_all(TICK_MS);
        assert_int_equal(own_of(2), BREAKER_CLOSED);
        leader_looks(at(0), 3);
    }
    assert_all(PLAN_RUNNING, 1000); /* its own last trip is not the fleet's */
    assert_int_equal(fleets_of(0), BREAKER_CLOSED);
    assert_int_equal(item_of("orders")->version, 1);
    fleet_end();
}

static void one_replica_alone_is_its_own_quorum(void **state)
{
    (void)state;
    fleet_begin(1, ORDERS);
    testers(at(0), 3, 500);
    leader_looks(at(0), 1);
    assert_int_equal(fleets_of(0), BREAKER_OPEN);
    fleet_end();
}

static void the_window_of_all_trips(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    window_says(at(0), 19, 19); /* too few to say */
    wait_all(300);
    assert_int_equal(fleets_of(0), BREAKER_CLOSED);
    window_says(at(0), 1000, 400); /* below the limit */
    wait_all(300);
    assert_int_equal(fleets_of(0), BREAKER_CLOSED);
    window_says(at(0), 1000, 700);
    wait_all(300);
    assert_int_equal(fleets_of(0), BREAKER_OPEN);
    assert_int_equal(own_of(1), BREAKER_OPEN);
    assert_non_null(strstr(last_event(at(1)), "fleet_breaker_open"));
    assert_non_null(strstr(at(1)->why[at(1)->event_count - 1], "all replicas together: error rate of new is 70.00 %"));
    wait_all(2000);
    traffic(at(0), 100, 200);
    wait_all(1000); /* what was before it closed is paid for */
    assert_int_equal(fleets_of(0), BREAKER_CLOSED);
    assert_int_equal(orders(at(0))->fleet.breaker.trips, 1);
    fleet_end();
}

/* What the pool says of both sides, at once. */
static void window_has(struct fixture *f, const uint64_t judged[SIDES], const uint64_t errors[SIDES], uint64_t slow)
{
    json_t *window = json_object();
    char name[40];
    for (int side = 0; side < SIDES; side++) {
        const struct {
            const char *field;
            uint64_t count;
        } counts[] = {{"j", judged[side]}, {"e", errors[side]}, {"s", side == SIDE_NEW ? slow : 0}};
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
            (void)snprintf(name, sizeof(name), "%llu %s.%s", (unsigned long long)(f->wall_ms / 834),
                           side == SIDE_NEW ? "n" : "l", counts[i].field);
            assert_int_equal(json_object_set_new(window, name, json_integer((json_int_t)counts[i].count)), 0);
        }
    }
    json_t *answer = json_pack("{s:I, s:{}, s:s, s:o}", "entry", (json_int_t)orders(f)->entry, "counts", "bits", "",
                               "window", window);
    assert_true(router_pool_take(f->router, "orders", answer, f->now_ms, f->wall_ms));
    json_decref(answer);
    wait_all(300);
}

static void every_rate_of_the_window_of_all_is_watched(void **state)
{
    static const char *const limits[] = {
        "error_rate: off, error_rate_increase: 10%",
        "error_rate: off, error_rate_increase: off, slow_call: 50ms, slow_call_rate: 20%",
        "error_rate: 10%, error_rate_increase: off",
    };
    const uint64_t judged[SIDES] = {1000, 1000}, none[SIDES] = {0, 0};
    const uint64_t as_bad[SIDES] = {400, 400}, worse[SIDES] = {100, 400};
    (void)state;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        char yaml[2048];
        bool of_errors = i != 1;
        (void)snprintf(yaml, sizeof(yaml),
                       "%s  - name: orders\n    match: { path: /orders/** }\n"
                       "    breaker: { window: 10s, min_requests: 20, p95_ratio: off, %s }\n%s",
                       YAML_HEAD, limits[i], STAGES);
        fleet_begin(1, yaml);
        window_has(at(0), judged, none, 150);
        assert_int_equal(fleets_of(0), BREAKER_CLOSED);
        window_has(at(0), judged, as_bad, 150); /* legacy does the same: new is not to blame */
        assert_int_equal(fleets_of(0), BREAKER_CLOSED);
        window_has(at(0), judged, of_errors ? worse : none, of_errors ? 0 : 400);
        assert_int_equal(fleets_of(0), BREAKER_OPEN);
        fleet_end();
    }
}

/* A tester alone is no reason: min_distinct_keys, by the leader's own clients. */
static void one_client_does_not_trip_the_fleet(void **state)
{
    (void)state;
    const uint64_t judged[SIDES] = {1000, 1000}, worse[SIDES] = {0, 700};
    for (int many = 0; many < 2; many++) {
        fleet_begin(1,
                    YAML_HEAD "  - name: orders\n    match: { path: /orders }\n    sticky: [ { header: X-User-Id } ]\n"
                              "    overrides: [ { header: { X-Test: new }, backend: new } ]\n"
                              "    breaker: { window: 10s, min_requests: 500, min_distinct_keys: 5, p95_ratio: off, "
                              "consecutive_errors: 0 }\n"
                              "    percent: 50\n");
        traffic(at(0), 200, 200);
        if (many)
            traffic(at(0), 50, 500);
        else
            testers(at(0), 50, 500);
        fixture_wait(at(0), 100); /* too few here for its own breaker */
        assert_int_equal(own_of(0), BREAKER_CLOSED);
        window_has(at(0), judged, worse, 0);
        assert_int_equal(fleets_of(0), many ? BREAKER_OPEN : BREAKER_CLOSED);
        fleet_end();
    }
}

static void the_last_trip_while_cut_off_rolls_back(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    struct fixture *f = at(1);
    take_role(f, ROUTER_CUT_OFF);
    testers(f, 3, 500);
    assert_plan(f, PLAN_RUNNING, 1000);
    wait_all(2100);
    assert_int_equal(own_of(1), BREAKER_HALF_OPEN); /* alone, it helps itself */
    traffic(f, 50, 500);
    wait_all(TICK_MS);
    assert_plan(f, PLAN_ROLLED_BACK, 0);
    assert_int_equal(fleet.member[1].last.kind, WISH_SAFETY);
    assert_plan(at(0), PLAN_RUNNING, 1000);
    meet(f);
    wait_all(300);
    assert_all(PLAN_ROLLED_BACK, 0);
    assert_string_equal(at(0)->who[at(0)->event_count - 1], "breaker");
    fleet_end();
}

static void a_person_resets_every_breaker(void **state)
{
    (void)state;
    fleet_begin(3, ORDERS);
    testers(at(2), 3, 500);
    assert_int_equal(own_of(2), BREAKER_OPEN);
    assert_int_equal(say(at(1), VERB_RESET_BREAKER), ROUTER_ASKED);
    assert_int_equal(own_of(2), BREAKER_CLOSED); /* though the fleet's was closed */
    trip_all();
    assert_int_equal(fleets_of(0), BREAKER_OPEN);
    assert_int_equal(say(at(1), VERB_RESET_BREAKER), ROUTER_ASKED);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(own_of(i), BREAKER_CLOSED);
        assert_int_equal(share_of(at(i)), 1000);
        assert_string_equal(last_event(at(i)), "reset_breaker");
    }
    take_role(at(1), ROUTER_CUT_OFF);
    assert_int_equal(say(at(1), VERB_RESET_BREAKER), -ENOLINK);
    fleet_end();
}

static void one_that_starts_while_it_is_open_holds_it(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    trip_all();
    join(fixture_new(1, ORDERS));
    meet(at(2));
    assert_int_equal(own_of(2), BREAKER_OPEN);
    assert_int_equal(share_of(at(2)), 0);
    struct fixture *f = restart(1, ORDERS);
    assert_int_equal(share_of(f), 0);
    meet(f);
    take_role(at(0), ROUTER_CUT_OFF);
    wait_all(10000); /* nobody leads */
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(share_of(at(i)), 0);
    fixture_configure(f, ORDERS);
    assert_int_equal(share_of(f), 0);
    fleet_end();
}

/* It was held open when its state was saved, and comes back when the fleet's has closed. */
static void one_that_was_held_is_no_trip_of_its_own(void **state)
{
    (void)state;
    fleet_begin(3, ORDERS);
    trip_all();
    wait_all(2100);
    json_t *saved = fixture_save(at(1));
    traffic(at(0), 100, 200);
    wait_all(TICK_MS);
    assert_int_equal(fleets_of(0), BREAKER_CLOSED);
    struct fixture *f = restarted(at(1), saved, 1000, ORDERS);
    json_decref(saved);
    member_end(&fleet.member[1]);
    fleet.member[1] = (struct member){.f = f};
    f->router->hooks.wish = on_wish;
    take_role(f, ROUTER_CUT_OFF);
    fixture_wait(f, 5000);
    assert_int_equal(own_of(1), BREAKER_OPEN); /* it does not know yet */
    json_t *open = router_open_breakers(f->router);
    assert_int_equal(json_object_size(open), 0);
    json_decref(open);
    meet(f);
    assert_int_equal(own_of(1), BREAKER_CLOSED);
    assert_in_range(share_of(f), 100, 200);
    fleet_end();
}

/* One that was cut off knows of fewer resets: what it orders for safety resets nobody. */
static void a_safe_order_resets_no_breaker(void **state)
{
    (void)state;
    fleet_begin(3, ORDERS);
    take_role(at(2), ROUTER_CUT_OFF);
    assert_int_equal(say(at(0), VERB_RESET_BREAKER), ROUTER_ASKED);
    testers(at(1), 3, 500);
    assert_int_equal(own_of(1), BREAKER_OPEN);
    assert_int_equal(say(at(2), VERB_PAUSE), 0);
    assert_int_equal(fleet.member[2].last.kind, WISH_SAFETY);
    change(item_of("orders"), &fleet.member[2].last); /* Redis has heard of it before it heard of the item */
    assert_int_equal(own_of(1), BREAKER_OPEN);
    assert_plan(at(0), PLAN_PAUSED, 1000);
    fleet_end();
}

/* While the fleet's breaker is open every share is 0, and none looks lower than another. */
static void a_safe_order_raises_no_plan_behind_an_open_breaker(void **state)
{
    (void)state;
    const char *why;
    fleet_begin(2, ORDERS);
    trip_all();
    take_role(at(1), ROUTER_CUT_OFF);
    uint32_t asked = fleet.member[1].asked;
    assert_int_equal(say(at(1), VERB_PAUSE), 0);
    assert_int_equal(fleet.member[1].asked, asked);
    assert_int_equal(order(at(0), VERB_SET_PERCENT, 100, false, &why), ROUTER_ASKED);
    meet(at(1));
    wait_all(500);
    assert_all(PLAN_PAUSED, 100);
    take_role(at(1), ROUTER_CUT_OFF);
    assert_int_equal(order(at(1), VERB_SET_PERCENT, 50, false, &why), 0);
    take_role(at(0), ROUTER_FOLLOWER);
    meet(at(1));
    wait_all(500);
    assert_plan(at(1), PLAN_PAUSED, 50);
    assert_plan(at(0), PLAN_PAUSED, 100);
    take_role(at(0), ROUTER_LEADER);
    wait_all(2100);
    traffic(at(0), 1000, 200); /* the probe */
    wait_all(500);
    assert_int_equal(fleets_of(0), BREAKER_CLOSED);
    assert_all(PLAN_PAUSED, 50);
    fleet_end();
}

static void a_breaker_switched_off_in_the_leaders_file_closes(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    trip_all();
    fixture_configure(at(0), YAML_HEAD "  - name: orders\n    match: { path: /orders/** }\n    breaker: off\n" STAGES);
    assert_int_equal(share_of(at(0)), 0);
    wait_all(300);
    assert_int_equal(fleets_of(1), BREAKER_CLOSED);
    assert_int_equal(share_of(at(0)), 1000);
    fleet_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fleets_breaker_lives),
        cmocka_unit_test(a_failed_probe_is_another_trip_and_the_last_rolls_back),
        cmocka_unit_test(probing_ends_with_the_lease),
        cmocka_unit_test(a_probe_whose_wish_is_refused_is_made_again),
        cmocka_unit_test(legacy_that_fails_as_well_makes_no_trip),
        cmocka_unit_test(a_refused_wish_waits_a_moment),
        cmocka_unit_test(what_is_told_late_trips_nothing),
        cmocka_unit_test(a_trip_sets_the_hold_back),
        cmocka_unit_test(no_cooldown_is_longer_than_it_can_be),
        cmocka_unit_test(a_new_leader_knows_when_it_closed),
        cmocka_unit_test(an_outlier_is_named_and_helps_itself),
        cmocka_unit_test(one_replica_alone_is_its_own_quorum),
        cmocka_unit_test(the_window_of_all_trips),
        cmocka_unit_test(every_rate_of_the_window_of_all_is_watched),
        cmocka_unit_test(one_client_does_not_trip_the_fleet),
        cmocka_unit_test(one_that_was_held_is_no_trip_of_its_own),
        cmocka_unit_test(a_safe_order_resets_no_breaker),
        cmocka_unit_test(a_safe_order_raises_no_plan_behind_an_open_breaker),
        cmocka_unit_test(the_last_trip_while_cut_off_rolls_back),
        cmocka_unit_test(a_person_resets_every_breaker),
        cmocka_unit_test(one_that_starts_while_it_is_open_holds_it),
        cmocka_unit_test(a_breaker_switched_off_in_the_leaders_file_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
