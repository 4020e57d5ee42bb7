/*
 * The router in a fleet: what people order, what a leader asks for and what it judges by, and what a follower leaves
 * alone.
 */
#include "fleet_fixture.h"

#include <errno.h>

/* ---- people's verbs ---- */

/* How a verb is prepared, and what it does. */
static const struct verb_row {
    const char *name;
    const char *yaml;
    enum router_verb before, verb;
    bool prepared;
    uint32_t percent;
    bool safe;
} verb_rows[] = {
    {"promote", ORDERS, 0, VERB_PROMOTE, false, 0, false},
    {"pause", ORDERS, 0, VERB_PAUSE, false, 0, true},
    {"freeze", ORDERS, 0, VERB_FREEZE, false, 0, true},
    {"resume", ORDERS, VERB_PAUSE, VERB_RESUME, true, 0, false},
    {"resume after a rollback", ORDERS, VERB_ROLLBACK, VERB_RESUME, true, 0, false},
    {"rollback", ORDERS, 0, VERB_ROLLBACK, false, 0, true},
    {"rollback of a fixed share", FIXED, 0, VERB_ROLLBACK, false, 0, true},
    {"restart", ORDERS, VERB_PROMOTE, VERB_RESTART, true, 0, false},
    {"start", MANUAL, 0, VERB_START, false, 0, false},
    {"set-percent 5", ORDERS, 0, VERB_SET_PERCENT, false, 500, true},
    {"set-percent 60", ORDERS, 0, VERB_SET_PERCENT, false, 6000, false},
    {"set-percent 5 of a fixed share", FIXED, 0, VERB_SET_PERCENT, false, 500, true},
    {"set-percent 60 of a fixed share", FIXED, 0, VERB_SET_PERCENT, false, 6000, false},
};

static struct fixture *alone(const struct verb_row *row)
{
    const char *why;
    struct fixture *f = fixture_new(1, row->yaml);
    if (row->prepared)
        assert_int_equal(order(f, row->before, 0, true, &why), 0);
    fixture_wait(f, 100);
    assert_int_equal(order(f, row->verb, row->percent, true, &why), 0);
    return f;
}

static void assert_same_plan(const struct verb_row *row, const struct fixture *a, const struct fixture *b)
{
    const struct plan *x = &orders(a)->plan;
    const struct plan *y = &orders(b)->plan;
    if (x->phase != y->phase || x->percent != y->percent || x->stage != y->stage || share_of(a) != share_of(b) ||
        x->entered_wall_ms != y->entered_wall_ms || x->steps_back != y->steps_back)
        fail_msg("%s: %s %u at %u, expected %s %u at %u", row->name, plan_phase_name(x->phase), x->stage, x->percent,
                 plan_phase_name(y->phase), y->stage, y->percent);
}

/* A fleet of two, prepared like `alone` was. */
static struct fixture *prepare(const struct verb_row *row, enum router_role role)
{
    fleet_begin(2, row->yaml);
    struct fixture *f = at(role == ROUTER_LEADER ? 0 : 1);
    if (row->prepared)
        assert_int_equal(say(f, row->before), ROUTER_ASKED);
    wait_all(100);
    if (role == ROUTER_CUT_OFF)
        take_role(f, role);
    return f;
}

static void is_asked_for_and_comes_back(const struct verb_row *row, enum router_role role)
{
    const char *why;
    struct fixture *f = prepare(row, role);
    struct fixture *expected = alone(row);
    struct plan before = orders(f)->plan;
    uint32_t events = f->event_count;
    fleet.silent = true;
    assert_int_equal(order(f, row->verb, row->percent, true, &why), ROUTER_ASKED);
    assert_null(why);
    assert_memory_equal(&orders(f)->plan, &before, sizeof(before));
    assert_int_equal(f->event_count, events);
    const struct router_wish *wish = &member_of(f)->last;
    assert_int_equal(wish->kind, WISH_PERSON);
    assert_int_equal(wish->ticket, 77);
    assert_string_equal(json_string_value(json_object_get(wish->log, "who")), "operator:ann");
    change(item_of("orders"), wish);
    for (uint32_t i = 0; i < 2; i++) {
        assert_same_plan(row, at(i), expected);
        assert_string_equal(at(i)->who[at(i)->event_count - 1], "operator:ann");
        assert_string_equal(at(i)->why[at(i)->event_count - 1], "test");
        assert_string_equal(last_event(at(i)), last_event(expected));
    }
    fixture_free(expected);
    fleet_end();
}

static void every_verb_is_asked_of_the_fleet(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(verb_rows) / sizeof(verb_rows[0]); i++) {
        is_asked_for_and_comes_back(&verb_rows[i], ROUTER_LEADER);
        is_asked_for_and_comes_back(&verb_rows[i], ROUTER_FOLLOWER);
    }
}

static void safe_ones_happen_while_cut_off(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(verb_rows) / sizeof(verb_rows[0]); i++) {
        const struct verb_row *row = &verb_rows[i];
        const char *why;
        struct fixture *f = prepare(row, ROUTER_CUT_OFF);
        struct fixture *expected = alone(row);
        struct plan before = orders(f)->plan;
        uint32_t asked = member_of(f)->asked;
        int result = order(f, row->verb, row->percent, true, &why);
        if (row->safe) {
            assert_int_equal(result, 0);
            assert_same_plan(row, f, expected);
            assert_int_equal(member_of(f)->asked, asked + 1);
            assert_int_equal(member_of(f)->last.kind, WISH_SAFETY);
            assert_int_equal(member_of(f)->last.ticket, 77);
            assert_string_equal(last_event(f), last_event(expected));
        } else {
            assert_int_equal(result, -ENOLINK);
            assert_non_null(strstr(why, "until Redis is there again"));
            assert_memory_equal(&orders(f)->plan, &before, sizeof(before));
            assert_int_equal(member_of(f)->asked, asked);
        }
        fixture_free(expected);
        fleet_end();
    }
}

static void what_happened_while_cut_off_is_told_later(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(verb_rows) / sizeof(verb_rows[0]); i++) {
        const struct verb_row *row = &verb_rows[i];
        const char *why;
        if (!row->safe)
            continue;
        struct fixture *f = prepare(row, ROUTER_CUT_OFF);
        struct fixture *expected = alone(row);
        assert_int_equal(order(f, row->verb, row->percent, true, &why), 0);
        if (orders(at(0))->config->stage_count > 0)
            assert_int_equal(say(at(0), VERB_PROMOTE), ROUTER_ASKED); /* the others have gone on */
        uint32_t share = share_of(f);
        meet(f); /* and their item does not undo it */
        assert_true(share_of(f) <= share);
        wait_all(100);
        assert_same_plan(row, f, expected);
        assert_int_equal(orders(at(0))->plan.phase, orders(f)->plan.phase);
        assert_int_equal(orders(at(0))->plan.percent, orders(f)->plan.percent);
        assert_false(orders(f)->fleet.ahead);
        assert_string_equal(at(0)->who[at(0)->event_count - 1], "operator:ann");
        fixture_free(expected);
        fleet_end();
    }
}

static void a_follower_does_not_know_what_the_gates_say(void **state)
{
    const char *why;
    (void)state;
    fleet_begin(2, ORDERS);
    assert_int_equal(order(at(1), VERB_PROMOTE, 0, false, &why), -EPERM);
    assert_non_null(strstr(why, "another replica leads"));
    assert_int_equal(order(at(0), VERB_PROMOTE, 0, false, &why), -EPERM);
    assert_non_null(strstr(why, "undecided"));
    pool_says(at(0), 1000, 0, 0);
    assert_int_equal(order(at(0), VERB_PROMOTE, 0, false, &why), ROUTER_ASKED);
    assert_all(PLAN_RUNNING, 5000);
    fleet_end();
}

static void refusals_are_the_plans(void **state)
{
    const char *why;
    (void)state;
    fleet_begin(2, ORDERS);
    uint32_t asked = fleet.member[1].asked;
    assert_int_equal(order(at(1), VERB_RESUME, 0, false, &why), -EALREADY);
    assert_non_null(why);
    assert_int_equal(order(at(1), VERB_SET_PERCENT, SHARE_ALL + 1, false, &why), -EINVAL);
    assert_int_equal(fleet.member[1].asked, asked);
    fleet_end();
}

/* ---- wishes ---- */

static void a_refused_wish_is_made_again(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    struct fixture *f = at(0);
    pool_says(f, 1000, 500, 0);
    fleet.silent = true;
    wait_all(1100);
    assert_int_equal(fleet.member[0].asked, 1);
    assert_int_equal(fleet.member[0].last.kind, WISH_LEADER);
    assert_string_equal(json_string_value(json_object_get(fleet.member[0].last.log, "what")), "rollback");
    assert_all(PLAN_RUNNING, 1000);
    wait_all(3000); /* it waits for the answer */
    assert_int_equal(fleet.member[0].asked, 1);
    router_wish_over(f->router, "orders");
    wait_all(150);
    assert_int_equal(fleet.member[0].asked, 1); /* not at once */
    fleet.silent = false;
    wait_all(1100);
    assert_int_equal(fleet.member[0].asked, 2);
    assert_all(PLAN_ROLLED_BACK, 0);
    fleet_end();
}

static void an_answer_that_never_comes_is_not_waited_for(void **state)
{
    (void)state;
    fleet_begin(1, ORDERS);
    pool_says(at(0), 1000, 500, 0);
    fleet.silent = true;
    wait_all(1100);
    assert_int_equal(fleet.member[0].asked, 1);
    wait_all(6500);
    assert_int_equal(fleet.member[0].asked, 2);
    fleet_end();
}

static void a_person_does_not_wait_for_the_leaders_wish(void **state)
{
    (void)state;
    fleet_begin(1, ORDERS);
    pool_says(at(0), 1000, 500, 0);
    fleet.silent = true;
    wait_all(1100);
    assert_int_equal(say(at(0), VERB_FREEZE), ROUTER_ASKED);
    assert_int_equal(fleet.member[0].asked, 2);
    assert_int_equal(fleet.member[0].last.kind, WISH_PERSON);
    fleet_end();
}

/* Redis bounds what it keeps of a change; the audit trail here has it all. */
static void a_long_log_is_shortened(void **state)
{
    (void)state;
    fleet_begin(1, ORDERS);
    struct fixture *f = at(0);
    json_t *evidence = json_pack("{s:s, s:[], s:[]}", "verdict", "pass", "gates", "past");
    for (int i = 0; i < 13; i++) {
        char sentence[400];
        memset(sentence, 'x', sizeof(sentence));
        (void)json_array_append_new(json_object_get(evidence, "gates"), json_stringn(sentence, sizeof(sentence)));
        (void)json_array_append_new(json_object_get(evidence, "past"), json_stringn(sentence, sizeof(sentence)));
    }
    const struct route_before before = {orders(f)->plan, orders(f)->fleet.breaker};
    orders(f)->plan.phase = PLAN_FROZEN;
    route_state_wish(f->router, orders(f), &before, WISH_LEADER, 0,
                     &(struct change){"freeze", "plan", "test", f->wall_ms, evidence});
    const json_t *log = fleet.member[0].last.log;
    assert_true(json_dumpb(log, NULL, 0, JSON_COMPACT) <= 6000);
    assert_string_equal(json_string_value(json_object_get(json_object_get(log, "evidence"), "verdict")), "pass");
    json_t *history = router_history(f->router, "orders");
    json_t *last = json_array_get(history, json_array_size(history) - 1);
    assert_int_equal(json_array_size(json_object_get(json_object_get(last, "evidence"), "past")), 13);
    json_decref(history);
    fleet_end();
}

/* Others may have gone on meanwhile: nobody knows whose evidence that of the stage is. */
static void what_happened_while_cut_off_begins_an_entry(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    take_role(at(1), ROUTER_CUT_OFF);
    assert_int_equal(say(at(1), VERB_PAUSE), 0);
    assert_int_equal(say(at(0), VERB_PROMOTE), ROUTER_ASKED);
    assert_int_equal(orders(at(0))->entry, 2);
    meet(at(1));
    wait_all(500);
    assert_all(PLAN_PAUSED, 1000);
    assert_int_equal(item_of("orders")->version, 3);
    assert_int_equal(orders(at(0))->entry, 3);
    assert_int_equal(orders(at(1))->entry, 3);
    fleet_end();
}

/* ---- the leader ---- */

static void a_hold_goes_on_after_a_pause(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    wait_all(30000);
    assert_int_equal(say(at(1), VERB_PAUSE), ROUTER_ASKED);
    wait_all(5000);
    assert_int_equal(say(at(1), VERB_RESUME), ROUTER_ASKED);
    assert_in_range(orders(at(0))->plan.held_ms, 29000, 31000);
    fleet_end();
}

static void the_leader_judges_by_what_all_saw(void **state)
{
    (void)state;
    fleet_begin(3, ORDERS);
    struct fixture *f = at(0);
    traffic(f, 3000, 500); /* a bad day here alone: not what the gates are asked about */
    wait_all(1100);
    assert_all(PLAN_RUNNING, 1000);
    assert_why_not(f, 0, "the breaker is open");
    wait_all(2000);
    testers(f, 1, 200);
    wait_all(2100);
    assert_int_equal(share_of(f), 1000);
    assert_why_not(f, 0, "what all replicas saw of this stage has not been read yet");
    assert_int_equal(fleet.member[0].asked, 0);
    wait_all(61000);
    assert_int_equal(fleet.member[0].asked, 0);
    pool_says(f, 5000, 10, 0);
    wait_all(1100);
    assert_all(PLAN_RUNNING, 5000);
    assert_string_equal(last_event(at(2)), "promote");
    assert_string_equal(at(2)->who[at(2)->event_count - 1], "plan");
    json_t *history = router_history(f->router, "orders");
    json_t *last = json_array_get(history, json_array_size(history) - 1);
    assert_string_equal(json_string_value(json_object_get(last, "what")), "promote");
    json_t *evidence = json_object_get(last, "evidence");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(evidence, "new"), "judged")), 5000);
    json_decref(history);
    fleet_end();
}

static void nothing_is_raised_before_it_may(void **state)
{
    (void)state;
    fleet_begin(1, ORDERS);
    struct fixture *f = at(0);
    router_set_role(f->router, ROUTER_LEADER, false, "Redis has just come back", f->now_ms);
    pool_says(f, 5000, 10, 0);
    wait_all(62000);
    assert_plan(f, PLAN_RUNNING, 1000);
    assert_why_not(f, 0, "nothing is raised yet: Redis has just come back");
    router_set_role(f->router, ROUTER_LEADER, true, NULL, f->now_ms);
    wait_all(1100);
    assert_plan(f, PLAN_RUNNING, 5000);
    fleet_end();
}

static void a_follower_never_moves_a_plan(void **state)
{
    (void)state;
    fleet_begin(2,
                YAML_HEAD HEAD "    promotion: auto\n"
                               "    stages:\n"
                               "      - { name: canary, percent: 10, hold: 60s, deadline: 5m, on_deadline: rollback }\n"
                               "      - { name: all, percent: 100, hold: 60s }\n");
    struct fixture *f = at(1);
    take_role(at(0), ROUTER_FOLLOWER);
    for (int i = 0; i < 400; i++) {
        traffic(f, 100, i < 200 ? 200 : 404);
        wait_all(1000);
    }
    assert_int_equal(fleet.member[0].asked + fleet.member[1].asked, 0);
    assert_all(PLAN_RUNNING, 1000);
    assert_int_equal(orders(f)->plan.held_ms, 0);
    assert_why_not(f, 0, "another replica leads the fleet");
    take_role(f, ROUTER_CUT_OFF);
    fixture_wait(f, 2000);
    assert_int_equal(fleet.member[1].asked, 0);
    assert_plan(f, PLAN_RUNNING, 1000);
    assert_why_not(f, 0, "the fleet cannot be reached");
    take_role(f, ROUTER_LEADER);
    fixture_wait(f, 100);
    assert_all(PLAN_ROLLED_BACK, 0); /* the deadline had passed */
    fleet_end();
}

static void a_new_leader_goes_on_with_the_hold(void **state)
{
    (void)state;
    fleet_begin(2, ORDERS);
    struct fixture *f = at(1);
    wait_all(1000);
    take_role(at(0), ROUTER_FOLLOWER);
    take_role(f, ROUTER_LEADER);
    pool_says(f, 5000, 0, 55000);
    wait_all(1100);
    assert_in_range(orders(f)->plan.held_ms, 55000, 57000);
    wait_all(5000);
    assert_all(PLAN_RUNNING, 5000);
    assert_int_equal(orders(f)->plan.held_ms / 10000, 0);
    fleet_end();
}

static void a_deadline_is_asked_for_until_it_is_granted(void **state)
{
    (void)state;
    fleet_begin(2, YAML_HEAD HEAD "    promotion: auto\n"
                                  "    stages:\n"
                                  "      - { name: canary, percent: 10, hold: 5s, deadline: 10s, on_deadline: tell }\n"
                                  "      - { name: all, percent: 100, hold: 60s }\n");
    fleet.silent = true;
    wait_all(10100);
    assert_int_equal(fleet.member[0].asked, 1);
    assert_false(orders(at(0))->plan.deadline_over);
    router_wish_over(at(0)->router, "orders");
    fleet.silent = false;
    wait_all(300);
    assert_int_equal(fleet.member[0].asked, 2);
    wait_all(5000);
    assert_int_equal(fleet.member[0].asked, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(orders(at(i))->plan.deadline_over);
        assert_int_equal(count_events(at(i), "deadline"), 1);
    }
    fleet_end();
}

static void a_deadline_that_rolls_back_is_asked_for_until_it_is_granted(void **state)
{
    (void)state;
    fleet_begin(2,
                YAML_HEAD HEAD "    promotion: auto\n"
                               "    stages:\n"
                               "      - { name: canary, percent: 10, hold: 5s, deadline: 10s, on_deadline: rollback }\n"
                               "      - { name: all, percent: 100, hold: 60s }\n");
    fleet.silent = true;
    wait_all(10100);
    assert_int_equal(fleet.member[0].asked, 1);
    assert_all(PLAN_RUNNING, 1000);
    router_wish_over(at(0)->router, "orders");
    fleet.silent = false;
    wait_all(300);
    assert_all(PLAN_ROLLED_BACK, 0);
    fleet_end();
}

static void the_leader_lets_dependents_fall(void **state)
{
    (void)state;
    fleet_begin(2, PAIR);
    assert_int_equal(say_to(at(1), "planner", VERB_PROMOTE), ROUTER_ASKED);
    wait_all(100);
    assert_true(orders(at(0))->depends_met && orders(at(1))->depends_met);
    take_role(at(0), ROUTER_FOLLOWER); /* nobody leads */
    assert_int_equal(say_to(at(1), "planner", VERB_ROLLBACK), ROUTER_ASKED);
    wait_all(1000);
    assert_all(PLAN_RUNNING, 1000);
    take_role(at(1), ROUTER_LEADER); /* it has not seen the fall as a leader, and follows it */
    fleet.silent = true;
    wait_all(100);
    assert_int_equal(fleet.member[1].last.kind, WISH_LEADER);
    assert_all(PLAN_RUNNING, 1000);
    assert_true(orders(at(1))->depends_met);
    router_wish_over(at(1)->router, "orders");
    fleet.silent = false;
    wait_all(300);
    assert_all(PLAN_ROLLED_BACK, 0);
    assert_false(orders(at(0))->depends_met);
    fleet_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verb_is_asked_of_the_fleet),
        cmocka_unit_test(safe_ones_happen_while_cut_off),
        cmocka_unit_test(what_happened_while_cut_off_is_told_later),
        cmocka_unit_test(a_follower_does_not_know_what_the_gates_say),
        cmocka_unit_test(refusals_are_the_plans),
        cmocka_unit_test(a_refused_wish_is_made_again),
        cmocka_unit_test(an_answer_that_never_comes_is_not_waited_for),
        cmocka_unit_test(a_person_does_not_wait_for_the_leaders_wish),
        cmocka_unit_test(a_long_log_is_shortened),
        cmocka_unit_test(what_happened_while_cut_off_begins_an_entry),
        cmocka_unit_test(a_hold_goes_on_after_a_pause),
        cmocka_unit_test(a_deadline_that_rolls_back_is_asked_for_until_it_is_granted),
        cmocka_unit_test(the_leader_judges_by_what_all_saw),
        cmocka_unit_test(nothing_is_raised_before_it_may),
        cmocka_unit_test(a_follower_never_moves_a_plan),
        cmocka_unit_test(a_new_leader_goes_on_with_the_hold),
        cmocka_unit_test(a_deadline_is_asked_for_until_it_is_granted),
        cmocka_unit_test(the_leader_lets_dependents_fall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
