/*
 * Items: the same one twice, garbage, another file, an edited file, a route that is not there, a restart.
 */
#include "fleet_fixture.h"

/* ---- items ---- */

static void the_same_item_again_changes_nothing(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    assert_int_equal(say(at(0), VERB_PROMOTE), ROUTER_ASKED);
    wait_all(2000);
    struct fixture *f = at(1);
    const struct item *item = item_of("orders");
    json_t *before = fixture_save(f);
    uint32_t events = f->event_count;
    uint64_t revision = router_revision(f->router);
    for (int i = 0; i < 3; i++)
        adopt(f, "orders", item->value, item->version);
    json_t *after = fixture_save(f);
    assert_true(json_equal(before, after));
    assert_int_equal(f->event_count, events);
    assert_int_equal(router_revision(f->router), revision);
    adopt(f, "orders", item->value, item->version + 1); /* another version of the same plan: nothing to see */
    assert_int_equal(f->event_count, events);
    assert_plan(f, PLAN_RUNNING, 5000);
    json_decref(before);
    json_decref(after);
    fleet_end();
}

/* Whatever stands in one of its places: it is refused, and nothing has changed; or it is a plan like any other. */
static void garbage_is_refused(void **state)
{
    (void)state;
    static const char *const junk[] = {"null", "true", "-1",    "1e300", "99999999999999999", "\"\"", "\"rolled_back\"",
                                       "[]",   "{}",   "10001", "0",     "\"open\"",          "12.5"};
    fleet_begin(1, ORDERS);
    struct fixture *f = at(0);
    const json_t *good = item_of("orders")->value;
    uint32_t refused = 0;
    uint64_t version = 100;
    for (size_t j = 0; j < sizeof(junk) / sizeof(junk[0]); j++) {
        const char *outer;
        json_t *part;
        json_object_foreach((json_t *)good, outer, part)
        {
            const char *inner = NULL;
            void *at_member = json_is_object(part) ? json_object_iter(part) : NULL;
            do {
                json_t *bad = json_deep_copy(good);
                inner = at_member != NULL ? json_object_iter_key(at_member) : NULL;
                json_t *value = json_loads(junk[j], JSON_DECODE_ANY, NULL);
                assert_int_equal(inner != NULL ? json_object_set_new(json_object_get(bad, outer), inner, value)
                                               : json_object_set_new(bad, outer, value),
                                 0);
                struct plan before = orders(f)->plan;
                uint64_t had = orders(f)->item_version;
                const char *why = NULL;
                if (router_adopt(f->router, "orders", bad, ++version, f->now_ms, f->wall_ms, &why)) {
                    const struct plan *plan = &orders(f)->plan;
                    assert_true(plan->stage < 3 && plan->percent <= SHARE_ALL && plan->ramp.from <= SHARE_ALL);
                } else {
                    assert_non_null(why);
                    assert_memory_equal(&orders(f)->plan, &before, sizeof(before));
                    assert_int_equal(orders(f)->item_version, had);
                    refused++;
                }
                fixture_wait(f, TICK_MS);
                json_decref(bad);
                at_member = at_member != NULL ? json_object_iter_next(part, at_member) : NULL;
            } while (at_member != NULL);
        }
    }
    assert_true(refused > 150);
    const char *why = NULL;
    assert_false(router_adopt(f->router, "orders", NULL, 1, f->now_ms, f->wall_ms, &why));
    assert_non_null(why);
    fleet_end();
}

static void a_replica_with_another_file_finds_its_place(void **state)
{
    static const struct {
        const char *stages;
        uint32_t most;
        uint32_t expected;
    } files[] = {
        {"    stages: [ { name: one, percent: 1, hold: 1h }, { name: thirty, percent: 30, hold: 1h } ]\n", 5000, 3000},
        {"    stages: [ { name: half, percent: 20, hold: 1h }, { name: all, percent: 100, hold: 1h } ]\n", 5000, 2000},
        {"    stages: [ { name: much, percent: 80, hold: 1h } ]\n", 5000, 5000},
        {"    percent: 100\n", 5000, 5000},
        {"    percent: 30\n", 5000, 3000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char yaml[4096];
        (void)snprintf(yaml, sizeof(yaml), "%s%s%s", YAML_HEAD, HEAD, files[i].stages);
        fleet_begin(1, ORDERS);
        assert_int_equal(say(at(0), VERB_PROMOTE), ROUTER_ASKED);
        join(fixture_new(1, yaml));
        meet(at(1));
        assert_int_equal(share_of(at(1)), files[i].expected);
        wait_all(1000);
        assert_true(share_of(at(1)) <= files[i].most);
        assert_int_equal(say(at(0), VERB_ROLLBACK), ROUTER_ASKED);
        assert_all(PLAN_ROLLED_BACK, 0);
        fleet_end();
    }
}

static void a_fixed_share_is_the_fleets(void **state)
{
    (void)state;
    fleet_begin(1, FIXED);
    join(fixture_new(1, YAML_HEAD HEAD "    percent: 70\n"));
    meet(at(1));
    wait_all(1000);
    assert_int_equal(share_of(at(1)), 2500);
    join(fixture_new(1, ORDERS)); /* and one that has stages has the one below it */
    meet(at(2));
    assert_int_equal(share_of(at(2)), 1000);
    fleet_end();
}

static void an_edited_fixed_share_is_asked_for(void **state)
{
    (void)state;
    fleet_begin(2, FIXED);
    fixture_configure(at(1), YAML_HEAD HEAD "    percent: 40\n");
    assert_int_equal(share_of(at(1)), 2500);
    wait_all(100);
    assert_int_equal(fleet.member[1].last.kind, WISH_FILE);
    assert_int_equal(share_of(at(0)), 4000);
    assert_int_equal(share_of(at(1)), 4000);
    uint32_t asked = fleet.member[0].asked;
    fixture_configure(at(0), YAML_HEAD HEAD "    percent: 40\n"); /* the others' turn to read it */
    wait_all(100);
    assert_int_equal(fleet.member[0].asked, asked);
    take_role(at(1), ROUTER_CUT_OFF);
    fixture_configure(at(1), YAML_HEAD HEAD "    percent: 60\n");
    wait_all(100);
    assert_int_equal(share_of(at(1)), 4000);
    fixture_configure(at(1), YAML_HEAD HEAD "    percent: 5\n");
    wait_all(100);
    assert_int_equal(share_of(at(1)), 500); /* safe, and so at once */
    assert_int_equal(share_of(at(0)), 4000);
    meet(at(1));
    wait_all(300);
    assert_int_equal(share_of(at(0)), 500);
    fleet_end();
}

static void the_leader_shares_an_edited_plan(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    assert_int_equal(say(at(0), VERB_PROMOTE), ROUTER_ASKED);
    wait_all(300);
    uint64_t entry = orders(at(1))->entry;
    fixture_configure(at(1), YAML_HEAD HEAD "    promotion: auto\n"
                                            "    stages: [ { name: half, percent: 30, hold: 60s } ]\n");
    wait_all(500);
    assert_int_equal(share_of(at(1)), 3000);
    assert_int_equal(share_of(at(0)), 5000); /* a follower's file is nobody else's matter */
    take_role(at(0), ROUTER_FOLLOWER);
    take_role(at(1), ROUTER_LEADER);
    wait_all(500);
    assert_int_equal(fleet.member[1].last.kind, WISH_LEADER);
    assert_int_equal(share_of(at(0)), 3000);
    assert_int_not_equal(orders(at(1))->entry, entry);
    assert_int_equal(orders(at(0))->entry, orders(at(1))->entry);
    uint32_t asked = fleet.member[1].asked;
    wait_all(1000);
    assert_int_equal(fleet.member[1].asked, asked);
    fleet_end();
}

static void an_item_waits_for_its_route(void **state)
{
    (void)state;
    fleet_begin(1, ORDERS);
    assert_int_equal(say(at(0), VERB_PROMOTE), ROUTER_ASKED);
    join(fixture_new(1, YAML_HEAD "  - name: other\n    match: { path: /other/** }\n    percent: 0\n"));
    meet(at(1));
    fixture_configure(at(1), ORDERS);
    assert_plan(at(1), PLAN_RUNNING, 5000);
    assert_int_equal(orders(at(1))->item_version, item_of("orders")->version);
    fixture_configure(at(1), YAML_HEAD "  - name: other\n    match: { path: /other/** }\n    percent: 0\n");
    assert_int_equal(say(at(0), VERB_ROLLBACK), ROUTER_ASKED);
    fixture_configure(at(1), ORDERS);
    assert_plan(at(1), PLAN_ROLLED_BACK, 0);
    fleet_end();
}

static void evidence_begins_anew_with_the_entry(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    struct fixture *f = at(1);
    traffic(f, 500, 200);
    wait_all(1000);
    json_t *route = route_status(f, 0);
    json_t *legacy = json_object_get(json_object_get(route, "evidence"), "legacy");
    assert_true(json_integer_value(json_object_get(legacy, "judged")) > 300);
    json_decref(route);
    assert_int_equal(say(at(0), VERB_PAUSE), ROUTER_ASKED); /* the stage is the same */
    assert_int_equal(orders(f)->entry, 1);
    assert_int_equal(say(at(0), VERB_RESUME), ROUTER_ASKED);
    assert_int_equal(orders(f)->entry, 1);
    assert_true(orders(f)->gathered_ms > 0);
    assert_int_equal(say(at(0), VERB_PROMOTE), ROUTER_ASKED);
    assert_int_equal(orders(f)->entry, 4);
    assert_int_equal(orders(f)->gathered_ms, 0);
    route = route_status(f, 0);
    legacy = json_object_get(json_object_get(route, "evidence"), "legacy");
    assert_int_equal(json_integer_value(json_object_get(legacy, "judged")), 0);
    json_decref(route);
    json_t *status = fleet_status(f);
    assert_string_equal(json_string_value(json_object_get(status, "role")), "follower");
    assert_int_equal(json_integer_value(json_object_get(status, "version")), 4);
    assert_int_equal(json_integer_value(json_object_get(status, "entry")), 4);
    json_decref(status);
    fleet_end();
}

static void a_way_down_is_followed_and_never_begins_above(void **state)
{
    (void)state;
    fleet_begin(3, YAML_HEAD HEAD "    promotion: auto\n    on_failure: { to: zero, ramp: 10s }\n" STAGES);
    assert_int_equal(say(at(0), VERB_PROMOTE), ROUTER_ASKED);
    take_role(at(2), ROUTER_CUT_OFF);
    assert_int_equal(say(at(2), VERB_ROLLBACK), 0);
    pool_says(at(0), 1000, 500, 0);
    wait_all(1100);
    assert_int_equal(orders(at(1))->plan.phase, PLAN_ROLLED_BACK);
    assert_in_range(share_of(at(1)), 4000, 4500);
    take_role(at(2), ROUTER_FOLLOWER);
    meet(at(2));
    assert_int_equal(share_of(at(2)), 0);
    assert_int_equal(orders(at(2))->plan.ramp.length_ms, 0);
    wait_all(10000);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(share_of(at(i)), 0);
    fleet_end();
}

/* ---- restarts ---- */

static void a_restart_keeps_the_share_until_items_arrive(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    assert_int_equal(say(at(0), VERB_PROMOTE), ROUTER_ASKED);
    wait_all(500);
    uint64_t gathered_ms = orders(at(1))->gathered_ms;
    struct fixture *f = restart(1, ORDERS);
    assert_plan(f, PLAN_RUNNING, 5000);
    assert_int_equal(share_of(f), 5000);
    meet(f);
    assert_plan(f, PLAN_RUNNING, 5000);
    assert_int_equal(orders(f)->gathered_ms, gathered_ms); /* the stage is the one it was */
    f = restart(1, ORDERS);
    assert_int_equal(say(at(0), VERB_ROLLBACK), ROUTER_ASKED);
    meet(f);
    assert_plan(f, PLAN_ROLLED_BACK, 0);
    fleet_end();
}

static void a_rollback_while_cut_off_outlives_a_restart(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    take_role(at(1), ROUTER_CUT_OFF);
    assert_int_equal(say(at(1), VERB_ROLLBACK), 0);
    struct fixture *f = restart(1, ORDERS);
    meet(f); /* the item that it had adopted before */
    assert_plan(f, PLAN_ROLLED_BACK, 0);
    wait_all(300);
    assert_all(PLAN_ROLLED_BACK, 0);
    fleet_end();
}

static void a_fixed_share_edited_before_a_restart_is_asked_for(void **state)
{
    (void)state;
    fleet_begin(2, FIXED);
    struct fixture *f = restart(1, YAML_HEAD HEAD "    percent: 40\n");
    meet(f);
    assert_int_equal(share_of(f), 2500);
    wait_all(100);
    assert_int_equal(fleet.member[1].last.kind, WISH_FILE);
    assert_int_equal(share_of(at(0)), 4000);
    f = restart(1, YAML_HEAD HEAD "    percent: 40\n");
    meet(f);
    wait_all(100);
    assert_int_equal(fleet.member[1].asked, 0);
    assert_int_equal(share_of(f), 4000);
    fleet_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_item_again_changes_nothing),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(a_replica_with_another_file_finds_its_place),
        cmocka_unit_test(a_fixed_share_is_the_fleets),
        cmocka_unit_test(an_edited_fixed_share_is_asked_for),
        cmocka_unit_test(the_leader_shares_an_edited_plan),
        cmocka_unit_test(an_item_waits_for_its_route),
        cmocka_unit_test(evidence_begins_anew_with_the_entry),
        cmocka_unit_test(a_way_down_is_followed_and_never_begins_above),
        cmocka_unit_test(a_restart_keeps_the_share_until_items_arrive),
        cmocka_unit_test(a_rollback_while_cut_off_outlives_a_restart),
        cmocka_unit_test(a_fixed_share_edited_before_a_restart_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
