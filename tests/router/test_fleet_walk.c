/*
 * A fleet of three at random: people, errors, evidence, roles that change, links and wishes that are lost. No share
 * rises but by a leader's verdict or a person, and in the end all agree.
 */
#include "fleet_fixture.h"

/* What each member was before a step, and what had been decided. */
struct seen {
    uint32_t percent, share;
    uint64_t version;
};

enum {
    ACTS = 15,
    SEEDS = 16,
    STEPS = 250,
};

static uint64_t chance;
static const char *file;
static uint32_t highest; /* share that was decided in this step */
static struct {
    uint32_t promote, rollback, step_back, fleet_breaker_open;
} happened;

static uint32_t draw(uint32_t below)
{
    return (uint32_t)(next_random(&chance) >> 33) % below;
}

static uint32_t percent_of(const json_t *value)
{
    return (uint32_t)json_integer_value(json_object_get(json_object_get(value, "plan"), "percent"));
}

/* Nobody but a leader's verdict and a person raises what all go by. */
static void on_walking_wish(void *context, const struct router_wish *wish)
{
    struct fixture *f = context;
    const struct item *item = item_of(wish->route);
    const char *what = json_string_value(json_object_get(wish->log, "what"));
    bool raises = percent_of(wish->value) > percent_of(item->value);
    bool by_verdict = wish->kind == WISH_LEADER && f->router->role == ROUTER_LEADER && strcmp(what, "promote") == 0;
    if (raises && is_granted(f, item, wish) && !by_verdict && wish->kind != WISH_PERSON)
        fail_msg("%s of kind %d raises %u to %u", what, wish->kind, percent_of(item->value), percent_of(wish->value));
    if (by_verdict && raises)
        assert_true(json_is_object(json_object_get(wish->log, "evidence")));
    if (is_granted(f, item, wish)) {
        if (percent_of(wish->value) > highest)
            highest = percent_of(wish->value);
        happened.promote += strcmp(what, "promote") == 0 && wish->kind == WISH_LEADER;
        happened.rollback += strcmp(what, "rollback") == 0;
        happened.step_back += strcmp(what, "step_back") == 0;
        happened.fleet_breaker_open += strcmp(what, "fleet_breaker_open") == 0;
    }
    if (draw(4) == 0)
        router_wish_over(f->router, wish->route); /* Redis did not answer in time */
    else
        on_wish(context, wish);
}

static void hear_all(struct fixture *f)
{
    for (uint32_t n = 0; n < fleet.items && member_of(f)->reached; n++)
        adopt(f, fleet.item[n].route, fleet.item[n].value, fleet.item[n].version);
}

static void someone_leads(uint32_t who)
{
    for (uint32_t i = 0; i < fleet.count; i++)
        if (at(i)->router->role == ROUTER_LEADER && i != who)
            take_role(at(i), ROUTER_FOLLOWER);
    if (at(who)->router->role == ROUTER_CUT_OFF)
        meet(at(who));
    take_role(at(who), ROUTER_LEADER);
}

static struct fixture *leader_or(struct fixture *f)
{
    for (uint32_t i = 0; i < fleet.count; i++)
        if (at(i)->router->role == ROUTER_LEADER)
            return at(i);
    return f;
}

/* Somebody sees to it that the plan goes on; and perhaps it should not have. */
static void a_good_minute(struct fixture *any)
{
    struct fixture *f = leader_or(any);
    const char *why;
    (void)order(f, VERB_RESUME, 0, false, &why);
    wait_all(2500); /* a breaker's ramp */
    pool_says(f, 5000, 0, 0);
    for (uint32_t i = 0; i < fleet.count; i++)
        fixture_skip(at(i), 61000);
    wait_all(1100);
    if (draw(2) == 0)
        return;
    pool_says(f, 5000, 2500, 0);
    wait_all(1300);
}

/* Killed, and up again: not with more than it had. */
static void start_again(uint32_t i)
{
    uint32_t percent = orders(at(i))->plan.percent;
    struct fixture *f = restart(i, file);
    f->router->hooks.wish = on_walking_wish;
    assert_true(orders(f)->plan.percent <= percent);
}

static void walk_on(uint32_t *acts)
{
    static const enum router_verb verbs[] = {VERB_PROMOTE,  VERB_PAUSE,       VERB_RESUME,
                                             VERB_ROLLBACK, VERB_RESTART,     VERB_FREEZE,
                                             VERB_RESUME,   VERB_SET_PERCENT, VERB_RESET_BREAKER};
    static const uint32_t percents[] = {0, 500, 3000, 10000};
    struct fixture *f = at(draw(fleet.count));
    const char *why;
    uint32_t act = draw(ACTS);
    acts[act]++;
    switch (act) {
    case 0:
        (void)order(f, verbs[draw(sizeof(verbs) / sizeof(verbs[0]))], percents[draw(4)], draw(2) == 0, &why);
        break;
    case 1:
        testers(f, 3, 500);
        break;
    case 2:
        traffic(f, 60, draw(3) == 0 ? 500 : 200);
        break;
    case 3:
        take_role(f, ROUTER_CUT_OFF);
        break;
    case 4:
        if (f->router->role == ROUTER_CUT_OFF)
            meet(f);
        break;
    case 5:
        someone_leads(draw(fleet.count));
        break;
    case 6:
        pool_says(f, 2000, draw(2) == 0 ? 0 : 400, draw(70000));
        break;
    case 7:
        leader_looks(f, fleet.count);
        break;
    case 8:
        member_of(f)->reached = false; /* its news get lost, though it does not know */
        break;
    case 9:
        if (f->router->role != ROUTER_CUT_OFF)
            member_of(f)->reached = true;
        hear_all(f);
        break;
    case 10:
        for (uint32_t i = 0; i < fleet.count; i++)
            fixture_skip(at(i), 20000);
        break;
    case 11:
        a_good_minute(f);
        break;
    case 12:
        if (router_find(f->router, "planner") != NULL)
            (void)say_to(f, "planner", verbs[draw(6)]);
        break;
    case 13:
        start_again(draw(fleet.count));
        break;
    default:
        wait_all(200 + draw(3000));
        break;
    }
}

static void check_member(uint32_t i, const struct seen *before)
{
    const struct route_state *state = orders(at(i));
    bool safe_alone = state->fleet.ahead;
    uint32_t share = share_of(at(i));
    assert_true(share <= plan_share(&state->plan));
    if (state->plan.percent > before->percent && (safe_alone || state->item_version == before->version))
        fail_msg("member %u rose by itself from %u to %u", i, before->percent, state->plan.percent);
    if (share > before->share)
        assert_true(share <= state->plan.percent || share <= highest); /* only what ramps and breakers give back */
    if (state->fleet.breaker.state != BREAKER_CLOSED)
        assert_int_equal(share, 0);
}

static void check_agreement(void)
{
    for (uint32_t i = 0; i < fleet.count; i++)
        meet(at(i));
    someone_leads(0);
    for (uint32_t i = 0; i < 40; i++) /* wishes may be lost on the way */
        wait_all(500);
    for (uint32_t i = 0; i < fleet.count; i++) {
        for (uint32_t n = 0; n < fleet.items; n++) {
            const struct route_state *state = route_in(at(i), fleet.item[n].route);
            const struct route_state *leaders = route_in(at(0), fleet.item[n].route);
            assert_false(state->fleet.ahead);
            assert_int_equal(state->item_version, fleet.item[n].version);
            assert_int_equal(state->plan.percent, leaders->plan.percent);
            assert_int_equal(state->plan.phase, leaders->plan.phase);
            assert_int_equal(state->fleet.breaker.state, leaders->fleet.breaker.state);
            assert_int_equal(state->entry, leaders->entry);
        }
    }
}

static void no_share_rises_without_a_verdict_or_a_person(void **state)
{
    uint32_t acts[ACTS] = {0};
    static const char one[] =
        YAML_HEAD HEAD "    promotion: auto\n    on_failure: { to: previous, ramp: 5s, retries: 1 }\n" STAGES;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        chance = seed * 0x9e3779b97f4a7c15u;
        file = seed % 2 == 0 ? one : PAIR;
        fleet_begin(3, file);
        for (uint32_t i = 0; i < 3; i++)
            at(i)->router->hooks.wish = on_walking_wish;
        for (uint32_t step = 0; step < STEPS; step++) {
            struct seen before[MEMBERS_MOST];
            for (uint32_t i = 0; i < 3; i++)
                before[i] = (struct seen){orders(at(i))->plan.percent, share_of(at(i)), orders(at(i))->item_version};
            highest = 0;
            walk_on(acts);
            for (uint32_t i = 0; i < 3; i++)
                check_member(i, &before[i]);
        }
        check_agreement();
        fleet_end();
    }
    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
        assert_true(acts[i] > 50);
    print_message("%u promotions, %u rollbacks, %u steps back, the fleet's breaker opened %u times\n", happened.promote,
                  happened.rollback, happened.step_back, happened.fleet_breaker_open);
    assert_true(happened.promote > 10 && happened.rollback > 10 && happened.step_back > 2 &&
                happened.fleet_breaker_open > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_share_rises_without_a_verdict_or_a_person),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
