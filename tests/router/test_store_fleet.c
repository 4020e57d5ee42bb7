/*
 * A replica's part in its fleet, one at a time: the clock is in hand, and the other side is the Redis of fleet_redis.h,
 * or answers that are written here. What fleets do together is in test_fleet_simulation.c.
 */
#include "fleet_redis.h"

enum {
    START_MS = 100000,
    STEP_MS = 5,
    SENT = 4096,
    EVENTS = 256,
    DONE = 2048,
};

struct sent {
    char operation[8];
    uint64_t ticket, at_ms;
    char *document;
};

struct fixture {
    struct model model;
    struct fleet *fleet;
    uint64_t now_ms;
    struct sent sent[SENT];
    size_t sent_count, answered_count;
    bool answers, refuses_to_send; /* the other side is there; the link takes nothing */
    char events[EVENTS][24];
    size_t event_count;
    char done[DONE][16]; /* by ticket: "" not yet, "ok", or why */
    size_t items_told;
    char told[MODEL_TEXT]; /* text of the last */
    uint32_t told_share;
    enum fleet_role role;
    uint64_t term, beats, fills;
    json_t *view, *open; /* borrowed by the next beat, once */
    int counts;          /* to tell; 0: none */
    size_t reads;
};

static bool send_question(void *context, uint64_t ticket, const char *operation, const json_t *routes,
                          const char *document)
{
    struct fixture *f = context;
    (void)routes;
    if (f->refuses_to_send)
        return false;
    assert_true(f->sent_count < SENT);
    struct sent *sent = &f->sent[f->sent_count++];
    snprintf(sent->operation, sizeof(sent->operation), "%s", operation);
    sent->ticket = ticket;
    sent->at_ms = f->now_ms;
    sent->document = strdup(document);
    assert_non_null(sent->document);
    return true;
}

static void fill_beat(void *context, struct fleet_beat *beat)
{
    struct fixture *f = context;
    f->fills++;
    beat->view = f->view;
    beat->open = f->open;
    f->view = f->open = NULL;
    if (f->counts == 0)
        return;
    beat->counts = json_pack("{s:[{s:i, s:{s:i}}]}", "routes", "entry", 1, "add", "n", f->counts);
    beat->routes = json_pack("[s]", "a");
    f->counts = 0;
}

static void on_item(void *context, const struct fleet_item *item)
{
    struct fixture *f = context;
    f->items_told++;
    f->told_share = item->share;
    snprintf(f->told, sizeof(f->told), "%s", item->text);
}

static void on_role(void *context, enum fleet_role role, uint64_t term)
{
    struct fixture *f = context;
    f->role = role;
    f->term = term;
}

static void on_beat(void *context, const json_t *answer)
{
    struct fixture *f = context;
    assert_true(json_is_object(answer));
    f->beats++;
}

static void on_event(void *context, bool bad, const char *what, json_t *fields)
{
    struct fixture *f = context;
    (void)bad;
    assert_true(f->event_count < EVENTS);
    assert_true(json_is_object(fields));
    snprintf(f->events[f->event_count++], sizeof(f->events[0]), "%s", what);
    json_decref(fields);
}

static size_t events(const struct fixture *f, const char *what)
{
    size_t count = 0;
    for (size_t i = 0; i < f->event_count; i++)
        count += strcmp(f->events[i], what) == 0;
    return count;
}

static void on_done(void *context, uint64_t ticket, const char *why)
{
    struct fixture *f = context;
    assert_true(ticket < DONE);
    assert_string_equal(f->done[ticket], ""); /* once */
    snprintf(f->done[ticket], sizeof(f->done[0]), "%s", why != NULL ? why : "ok");
}

static void on_read(void *context, const json_t *answer)
{
    struct fixture *f = context;
    f->reads += answer != NULL ? 1 : 100;
}

static struct fleet *new_fleet(struct fixture *f, const char *boot)
{
    const struct fleet_options options = {.replica = "me", .boot = boot, .may_lead = true};
    const struct fleet_hooks hooks = {.context = f,
                                      .send = send_question,
                                      .fill_beat = fill_beat,
                                      .on_item = on_item,
                                      .on_role = on_role,
                                      .on_beat = on_beat,
                                      .on_event = on_event};
    struct fleet *fleet = fleet_new(&options, &hooks);
    assert_non_null(fleet);
    fleet_tick(fleet, f->now_ms);
    return fleet;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->now_ms = START_MS;
    f->answers = true;
    f->fleet = new_fleet(f, "boot");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    fleet_free(f->fleet);
    for (size_t i = 0; i < f->sent_count; i++)
        free(f->sent[i].document);
    json_decref(f->view);
    json_decref(f->open);
    model_done(&f->model);
    free(f);
    return 0;
}

/* Answers what has been sent, in order, also what that brings about. */
static void answer_all(struct fixture *f)
{
    while (f->answers && f->answered_count < f->sent_count) {
        const struct sent *sent = &f->sent[f->answered_count++];
        f->model.now_ms = f->now_ms;
        char *answer = model_ask(&f->model, sent->operation, sent->document);
        fleet_answer(f->fleet, sent->ticket, answer, f->now_ms);
        free(answer);
    }
}

static void pass(struct fixture *f, uint64_t ms)
{
    for (uint64_t end_ms = f->now_ms + ms; f->now_ms < end_ms; f->now_ms += STEP_MS) {
        fleet_tick(f->fleet, f->now_ms);
        answer_all(f);
    }
}

static void join(struct fixture *f)
{
    fleet_connected(f->fleet, f->now_ms);
    pass(f, STEP_MS);
    assert_int_not_equal(fleet_role(f->fleet), FLEET_CUT_OFF);
}

static void lead(struct fixture *f)
{
    join(f);
    pass(f, FLEET_SETTLE_MS + 100);
    assert_int_equal(fleet_role(f->fleet), FLEET_LEADER);
    assert_true(fleet_may_raise(f->fleet, f->now_ms));
}

static void want(struct fixture *f, enum fleet_kind kind, const char *name, uint32_t share, const char *text,
                 uint64_t ticket)
{
    const struct fleet_item item = {.name = (char *)name, .share = share, .rank = 5, .text = (char *)text};
    const struct fleet_change change = {.kind = kind,
                                        .items = &item,
                                        .item_count = 1,
                                        .log = "{\"who\":\"me\"}",
                                        .done = on_done,
                                        .context = f,
                                        .ticket = ticket};
    fleet_change(f->fleet, &change, f->now_ms);
    answer_all(f);
}

/* Another replica changes something; the news of it are lost. */
static void other_changes(struct fixture *f, const char *kind, const char *name, uint32_t share, const char *text)
{
    const struct model_item none = {{0}, {0}, {0}, 0, 0, 0}, *now = model_find(&f->model, name);
    now = now != NULL ? now : &none;
    json_t *document = json_pack("{s:s, s:i, s:s, s:i, s:[s], s:[], s:[[s, I, i, i, s, s]]}", "replica", "other",
                                 "format", 1, "kind", kind, "term", 0, "log", "{}", "routes", "items", name,
                                 (json_int_t)now->version, (int)share, 5, text, now->past);
    char *asked = json_dumps(document, JSON_COMPACT);
    f->model.now_ms = f->now_ms;
    free(model_ask(&f->model, "change", asked));
    free(asked);
    json_decref(document);
}

static size_t count_sent(const struct fixture *f, const char *operation)
{
    size_t count = 0;
    for (size_t i = 0; i < f->sent_count; i++)
        count += strcmp(f->sent[i].operation, operation) == 0;
    return count;
}

static json_t *last_sent(const struct fixture *f, const char *operation)
{
    for (size_t i = f->sent_count; i > 0; i--)
        if (strcmp(f->sent[i - 1].operation, operation) == 0)
            return json_loads(f->sent[i - 1].document, 0, NULL);
    fail_msg("no %s was sent", operation);
    return NULL;
}

static uint64_t last_number(const struct fixture *f, const char *key)
{
    json_t *document = last_sent(f, "beat");
    uint64_t number = (uint64_t)json_integer_value(json_object_get(document, key));
    json_decref(document);
    return number;
}

static bool told_in_last_beat(const struct fixture *f, const char *key)
{
    json_t *document = last_sent(f, "beat");
    bool is = !json_is_null(json_object_get(document, key));
    json_decref(document);
    return is;
}

/* ---- beats ---- */

static void quiet_replicas_beat_every_800_ms_give_or_take_a_tenth(void **state)
{
    struct fixture *f = *state;
    lead(f);
    pass(f, 60000);
    uint64_t least = UINT64_MAX, most = 0;
    for (size_t i = f->sent_count - 50; i < f->sent_count; i++) {
        uint64_t apart = f->sent[i].at_ms - f->sent[i - 1].at_ms;
        assert_string_equal(f->sent[i].operation, "beat");
        least = apart < least ? apart : least;
        most = apart > most ? apart : most;
    }
    assert_in_range(least, 715, 770);
    assert_in_range(most, 830, 885);
}

static void replicas_do_not_beat_in_step(void **state)
{
    struct fixture *f = *state;
    uint64_t first[8];
    for (int i = 0; i < 8; i++) {
        char boot[32];
        snprintf(boot, sizeof(boot), "boot-%d", i);
        fleet_free(f->fleet);
        f->fleet = new_fleet(f, boot);
        join(f);
        size_t before = f->sent_count;
        uint64_t begin_ms = f->now_ms;
        while (f->sent_count == before)
            pass(f, STEP_MS);
        first[i] = f->now_ms - begin_ms;
    }
    size_t different = 0;
    for (int i = 1; i < 8; i++)
        different += first[i] != first[0];
    assert_true(different >= 4);
}

static void hurry_beats_at_once_but_never_closer_than_70_ms(void **state)
{
    struct fixture *f = *state;
    lead(f);
    size_t before = f->sent_count;
    for (int i = 0; i < 400; i++) {
        fleet_hurry(f->fleet);
        pass(f, STEP_MS);
    }
    size_t sent = f->sent_count - before;
    assert_in_range(sent, 20, 30); /* in two seconds */
    for (size_t i = before; i < f->sent_count; i++)
        assert_true(f->sent[i].at_ms - f->sent[i - 1].at_ms >= FLEET_BEAT_LEAST_MS);
}

static void never_more_than_twenty_operations_a_second(void **state)
{
    struct fixture *f = *state;
    lead(f);
    size_t before = f->sent_count;
    for (int i = 0; i < 600; i++) {
        char name[32];
        snprintf(name, sizeof(name), "route:%d", i % 40);
        fleet_hurry(f->fleet);
        if (i % 3 == 0)
            want(f, i % 2 == 0 ? FLEET_BY_PERSON : FLEET_FOR_SAFETY, name, 0, "{}", (uint64_t)i);
        (void)fleet_read(f->fleet, NULL, on_read, f);
        pass(f, STEP_MS);
    }
    for (size_t i = before + 20; i < f->sent_count; i++)
        assert_true(f->sent[i].at_ms - f->sent[i - 20].at_ms >= 1000);
    assert_true(f->sent_count - before > 30);
    pass(f, 15000); /* what was refused together is asked for alone */
    for (int i = 0; i < 600; i += 3)
        assert_string_not_equal(f->done[i], "");
}

static void a_beat_is_answered_before_the_next_is_sent(void **state)
{
    struct fixture *f = *state;
    join(f);
    f->answers = false;
    pass(f, 1000);
    size_t before = f->sent_count;
    for (int i = 0; i < 100; i++) {
        fleet_hurry(f->fleet);
        pass(f, 25);
    }
    assert_int_equal(f->sent_count, before);
}

static void views_are_told_when_they_change_and_when_redis_may_not_have_them(void **state)
{
    struct fixture *f = *state;
    f->view = json_pack("{s:s}", "name", "x");
    f->open = json_pack("{s:s}", "r", "errors");
    join(f);
    assert_true(told_in_last_beat(f, "view") && told_in_last_beat(f, "open"));
    pass(f, 1000);
    assert_false(told_in_last_beat(f, "view") || told_in_last_beat(f, "open"));
    memset(&f->model.state.replicas, 0, sizeof(f->model.state.replicas)); /* forgotten there */
    f->model.state.replica_count = 0;
    pass(f, 1800);
    assert_true(f->model.state.replicas[0].has_view && f->model.state.replicas[0].is_open);
    fleet_lost(f->fleet, f->now_ms);
    join(f);
    assert_true(told_in_last_beat(f, "view") && told_in_last_beat(f, "open"));
}

static void counts_are_told_again_with_their_sequence_until_they_are_acknowledged(void **state)
{
    struct fixture *f = *state;
    join(f);
    f->counts = 7;
    f->answers = false;
    pass(f, 1000);
    assert_true(told_in_last_beat(f, "counts"));
    uint64_t fills = f->fills;
    fleet_answer(f->fleet, f->sent[f->sent_count - 1].ticket, NULL, f->now_ms);
    f->answered_count = f->sent_count; /* it never came there */
    f->counts = 5;
    for (int i = 0; i < 3; i++) {
        fleet_lost(f->fleet, f->now_ms);
        fleet_connected(f->fleet, f->now_ms);
        pass(f, 100);
        json_t *document = last_sent(f, "beat");
        json_t *counts = json_object_get(document, "counts");
        assert_int_equal(json_integer_value(json_object_get(counts, "seq")), 1);
        json_decref(document);
        f->model.now_ms = f->now_ms;
        if (i < 2) {
            free(model_ask(&f->model, "beat", f->sent[f->sent_count - 1].document)); /* done, and the answer is lost */
            f->answered_count = f->sent_count;
        }
    }
    assert_int_equal(f->fills, fills); /* nothing new before the old is delivered */
    f->answers = true;
    pass(f, 2000);
    assert_int_equal(f->model.state.replicas[0].counted, 12);
}

/* After a minute of silence Redis does not know any more what it has taken in. */
static void counts_that_waited_for_long_are_not_told_again(void **state)
{
    struct fixture *f = *state;
    join(f);
    f->counts = 7;
    f->answers = false;
    pass(f, 1000);
    f->model.now_ms = f->now_ms;
    free(model_ask(&f->model, "beat", f->sent[f->sent_count - 1].document)); /* done, and the answer is lost */
    f->answered_count = f->sent_count;
    f->counts = 0;
    fleet_lost(f->fleet, f->now_ms);
    pass(f, 50000);
    f->answers = true;
    fleet_connected(f->fleet, f->now_ms);
    pass(f, 2000);
    assert_false(told_in_last_beat(f, "counts"));
    assert_int_equal(f->model.state.replicas[0].counted, 7);
}

static void what_the_script_refuses_is_not_told_for_ever(void **state)
{
    struct fixture *f = *state;
    join(f);
    f->counts = 7;
    f->answers = false;
    pass(f, 1000);
    fleet_answer(f->fleet, f->sent[f->sent_count - 1].ticket, "{\"error\":\"malformed\",\"why\":\"counts\"}",
                 f->now_ms);
    f->answered_count = f->sent_count;
    f->answers = true;
    pass(f, 2000);
    assert_int_equal(events(f, "fleet_refused"), 1);
    assert_false(told_in_last_beat(f, "counts"));
    assert_int_not_equal(fleet_role(f->fleet), FLEET_CUT_OFF);
}

/* ---- role ---- */

static void a_leader_leads_until_1500_ms_after_the_last_answered_beat(void **state)
{
    struct fixture *f = *state;
    lead(f);
    assert_int_equal(f->term, 1);
    assert_int_equal(last_number(f, "term"), 1);
    f->answers = false;
    uint64_t sent_ms = f->sent[f->answered_count - 1].at_ms;
    while (fleet_role(f->fleet) == FLEET_LEADER)
        pass(f, STEP_MS);
    assert_in_range(f->now_ms - sent_ms, FLEET_LEAD_MS, FLEET_LEAD_MS + 2 * STEP_MS);
    want(f, FLEET_BY_LEADER, "route:a", 1, "{}", 1);
    assert_string_equal(f->done[1], "not_leader");
    pass(f, 1000); /* the lease runs out there, too */
    f->answers = true;
    pass(f, 2000);
    assert_int_equal(fleet_role(f->fleet), FLEET_LEADER);
    assert_true(f->term > 1); /* the old one is over, whatever was decided in it */
}

static void who_wakes_up_after_a_minute_does_not_lead(void **state)
{
    struct fixture *f = *state;
    lead(f);
    f->now_ms += 60000;
    want(f, FLEET_BY_LEADER, "route:a", 1, "{}", 1); /* before any tick */
    assert_string_not_equal(f->done[1], "ok");
    assert_int_not_equal(fleet_role(f->fleet), FLEET_LEADER);
}

static void a_dead_leader_is_replaced_within_3_s_of_its_last_beat(void **state)
{
    struct fixture *f = *state;
    for (int offset = 0; offset < 800; offset += 40) {
        fleet_free(f->fleet);
        f->fleet = new_fleet(f, "boot");
        strcpy(f->model.state.lease_holder, "other");
        f->model.state.lease_term = ++f->model.state.term;
        f->model.state.lease_until_ms = f->now_ms + 100000;
        join(f);
        assert_int_equal(fleet_role(f->fleet), FLEET_FOLLOWER);
        pass(f, 2000 + (uint64_t)offset);
        uint64_t died_ms = f->now_ms;
        f->model.state.lease_until_ms = f->now_ms + FLEET_LEASE_MS; /* its last beat was now */
        while (fleet_role(f->fleet) != FLEET_LEADER)
            pass(f, STEP_MS);
        assert_in_range(f->now_ms - died_ms, FLEET_LEASE_MS, 2100);
    }
}

static void who_may_not_lead_gives_the_lease_back(void **state)
{
    struct fixture *f = *state;
    lead(f);
    fleet_may_lead(f->fleet, false);
    pass(f, 200);
    assert_int_equal(fleet_role(f->fleet), FLEET_FOLLOWER);
    assert_int_equal(f->model.state.lease_until_ms, 0);
    pass(f, 5000);
    assert_int_equal(fleet_role(f->fleet), FLEET_FOLLOWER);
    assert_int_equal(events(f, "fleet_follower"), 1);
}

static void without_answers_it_is_cut_off_though_the_link_stands(void **state)
{
    struct fixture *f = *state;
    lead(f);
    f->answers = false;
    pass(f, FLEET_SILENT_MS + 1000);
    assert_int_equal(fleet_role(f->fleet), FLEET_CUT_OFF);
    assert_int_equal(f->role, FLEET_CUT_OFF);
    assert_int_equal(events(f, "fleet_left"), 1);
    want(f, FLEET_FOR_SAFETY, "passthrough", 0, "{}", 1);
    assert_string_equal(f->done[1], "cut_off"); /* who asked need not wait for ever */
    f->answers = true;
    pass(f, 2000);
    assert_int_equal(fleet_role(f->fleet), FLEET_LEADER);
    assert_int_equal(model_find(&f->model, "passthrough")->share, 0);
}

static void a_group_of_a_later_format_is_left_alone(void **state)
{
    struct fixture *f = *state;
    f->model.state.format = 2;
    fleet_connected(f->fleet, f->now_ms);
    pass(f, 5000);
    assert_int_equal(fleet_role(f->fleet), FLEET_CUT_OFF);
    assert_int_equal(events(f, "fleet_format"), 1);
    want(f, FLEET_FOR_SAFETY, "passthrough", 0, "{}", 1);
    assert_string_equal(f->done[1], "cut_off");
    assert_int_equal(count_sent(f, "change"), 0);
    assert_true(count_sent(f, "beat") <= 8);
}

/* ---- changes ---- */

static void a_change_is_done_when_redis_says_so(void **state)
{
    struct fixture *f = *state;
    join(f);
    want(f, FLEET_BY_PERSON, "route:a", 100, "{\"n\":1}", 1);
    assert_string_equal(f->done[1], "ok");
    assert_string_equal(f->told, "{\"n\":1}");
    assert_int_equal(fleet_item(f->fleet, "route:a")->version, 1);
    assert_int_equal(fleet_epoch(f->fleet), 1);
    size_t beats = f->sent_count;
    pass(f, 300);
    assert_int_equal(f->sent_count, beats); /* nothing was missed, so that nothing is asked */
    want(f, FLEET_BY_PERSON, "route:a", 200, "{\"n\":2}", 2);
    assert_int_equal(fleet_item(f->fleet, "route:a")->version, 2);
}

static void a_conflict_tells_what_is_there_instead(void **state)
{
    struct fixture *f = *state;
    join(f);
    want(f, FLEET_BY_PERSON, "route:a", 100, "{\"n\":1}", 1);
    other_changes(f, "person", "route:a", 300, "{\"n\":3}");
    want(f, FLEET_BY_PERSON, "route:a", 200, "{\"n\":2}", 2);
    assert_string_equal(f->done[2], "conflict");
    assert_string_equal(f->told, "{\"n\":3}");
    assert_int_equal(events(f, "fleet_conflict"), 1);
    pass(f, 200);
    assert_int_equal(fleet_epoch(f->fleet), 2);
}

static void a_leader_raises_nothing_before_it_has_settled(void **state)
{
    struct fixture *f = *state;
    other_changes(f, "person", "route:a", 100, "{}");
    join(f);
    assert_int_equal(fleet_role(f->fleet), FLEET_LEADER);
    assert_false(fleet_may_raise(f->fleet, f->now_ms));
    want(f, FLEET_BY_LEADER, "route:a", 101, "{\"n\":1}", 1);
    assert_string_equal(f->done[1], "raise");
    want(f, FLEET_BY_LEADER, "route:a", 50, "{\"n\":2}", 2);
    assert_string_equal(f->done[2], "ok");
    pass(f, FLEET_SETTLE_MS + 100);
    want(f, FLEET_BY_LEADER, "route:a", 101, "{\"n\":3}", 3);
    assert_string_equal(f->done[3], "ok");
    fleet_lost(f->fleet, f->now_ms);
    join(f);
    assert_false(fleet_may_raise(f->fleet, f->now_ms));
}

static void a_change_in_flight_when_the_link_goes_has_no_answer_and_one_that_waits_is_cut_off(void **state)
{
    struct fixture *f = *state;
    join(f);
    f->answers = false;
    for (uint64_t i = 0; i < 12; i++)
        want(f, FLEET_BY_PERSON, "route:a", 1, "{}", i);
    size_t sent = count_sent(f, "change");
    assert_in_range(sent, 1, 11);
    fleet_lost(f->fleet, f->now_ms);
    for (uint64_t i = 0; i < 12; i++)
        assert_string_equal(f->done[i], i < sent ? "no_answer" : "cut_off");
    want(f, FLEET_BY_PERSON, "route:a", 1, "{}", 20);
    assert_string_equal(f->done[20], "cut_off");
}

static void what_waits_is_told_together_and_refused_alone(void **state)
{
    struct fixture *f = *state;
    join(f);
    other_changes(f, "person", "route:7", 1, "{\"other\":7}");
    for (uint64_t i = 0; i < 200; i++) {
        char name[32], text[32];
        snprintf(name, sizeof(name), "route:%d", (int)(i % 50));
        snprintf(text, sizeof(text), "{\"n\":%d}", (int)i);
        want(f, FLEET_BY_FILE, name, 1, text, i); /* after 50 they are looked at again before they are shared */
    }
    pass(f, 10000);
    for (uint64_t i = 0; i < 50; i++)
        assert_string_equal(f->done[i], i == 7 ? "conflict" : "ok");
    for (uint64_t i = 50; i < 200; i++)
        assert_string_not_equal(f->done[i], "");
    assert_string_equal(fleet_item(f->fleet, "route:7")->text, "{\"other\":7}");
    assert_string_equal(fleet_item(f->fleet, "route:49")->text, "{\"n\":49}");
}

static void changes_that_are_refused_or_answered_with_garbage_end_too(void **state)
{
    static const struct {
        const char *answer, *why;
    } cases[] = {
        {"{\"error\":\"malformed\",\"why\":\"text\"}", "refused"},
        {"garbage", "no_answer"},
        {"{}", "no_answer"},
        {"{\"ok\":true}", "no_answer"},
        {"{\"ok\":true,\"epoch\":1,\"mark\":\"m\",\"after\":\"\",\"items\":[[\"route:a\",1,1]]}", "no_answer"},
        {"{\"ok\":false,\"why\":\"something else\"}", "no_answer"},
        {"{\"ok\":false,\"why\":\"full\",\"epoch\":1,\"mark\":\"m\",\"after\":\"m\",\"items\":[]}", "full"},
    };
    struct fixture *f = *state;
    join(f);
    f->answers = false;
    for (uint64_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pass(f, 300);
        want(f, FLEET_BY_PERSON, "route:a", 1, "{}", i);
        fleet_answer(f->fleet, f->sent[f->sent_count - 1].ticket, cases[i].answer, f->now_ms);
        assert_string_equal(f->done[i], cases[i].why);
    }
    assert_int_equal(f->items_told, 0);
}

static void what_cannot_be_told_is_refused_and_not_in_the_way(void **state)
{
    struct fixture *f = *state;
    char *endless = calloc(1, FLEET_TEXT_MOST + 2);
    assert_non_null(endless);
    memset(endless, ' ', FLEET_TEXT_MOST + 1);
    join(f);
    want(f, FLEET_BY_PERSON, "route:\xff", 1, "{}", 1);
    want(f, FLEET_FOR_SAFETY, "route:a", 1, "\"\xc3\"", 2);
    want(f, FLEET_FOR_SAFETY, "route:a", 1, endless, 3);
    want(f, FLEET_BY_PERSON, "route:a", 1, "{}", 4);
    for (int i = 1; i <= 3; i++)
        assert_string_equal(f->done[i], "refused");
    assert_string_equal(f->done[4], "ok");
    free(endless);
}

/* ---- safety ---- */

static void an_order_for_safety_is_kept_while_redis_is_away_and_over_a_restart(void **state)
{
    struct fixture *f = *state;
    const char *why = NULL;
    join(f);
    want(f, FLEET_BY_PERSON, "passthrough", 1, "{\"on\":false}", 1);
    fleet_lost(f->fleet, f->now_ms);
    uint64_t revision = fleet_revision(f->fleet);
    want(f, FLEET_FOR_SAFETY, "passthrough", 0, "{\"on\":true}", 2);
    assert_string_equal(f->done[2], "cut_off");
    assert_int_not_equal(fleet_revision(f->fleet), revision);
    assert_string_equal(fleet_item(f->fleet, "passthrough")->text, "{\"on\":true}");
    json_t *saved = fleet_save(f->fleet);
    fleet_free(f->fleet);
    f->fleet = new_fleet(f, "next");
    f->told_share = 99;
    assert_true(fleet_restore(f->fleet, saved, &why));
    assert_int_equal(f->told_share, 0);
    json_t *again = fleet_save(f->fleet);
    assert_true(json_equal(saved, again));
    json_decref(again);
    json_decref(saved);
    other_changes(f, "person", "passthrough", 1, "{\"on\":\"no\"}");
    join(f);
    assert_int_equal(model_find(&f->model, "passthrough")->share, 0);
    assert_string_equal(f->told, "{\"on\":true}");
    saved = fleet_save(f->fleet);
    assert_int_equal(json_array_size(json_object_get(saved, "safety")), 0);
    json_decref(saved);
}

static void an_order_hides_what_is_less_safe_until_it_is_known(void **state)
{
    struct fixture *f = *state;
    join(f);
    want(f, FLEET_BY_PERSON, "route:a", 5000, "{\"n\":1}", 1);
    f->answers = false;
    want(f, FLEET_FOR_SAFETY, "route:a", 0, "{\"n\":2}", 2);
    other_changes(f, "person", "route:a", 9000, "{\"n\":3}");
    fleet_news(f->fleet, f->model.news, strlen(f->model.news), f->now_ms);
    assert_string_equal(f->told, "{\"n\":1}");
    assert_string_equal(fleet_item(f->fleet, "route:a")->text, "{\"n\":2}");
    f->answers = true;
    answer_all(f);
    assert_string_equal(f->done[2], "ok");
    assert_string_equal(f->told, "{\"n\":2}");
    assert_int_equal(model_find(&f->model, "route:a")->version, 3);
}

static void the_safest_of_several_orders_is_told_and_everybody_gets_an_answer(void **state)
{
    struct fixture *f = *state;
    want(f, FLEET_FOR_SAFETY, "route:a", 700, "{\"n\":1}", 1);
    want(f, FLEET_FOR_SAFETY, "route:a", 300, "{\"n\":2}", 2);
    want(f, FLEET_FOR_SAFETY, "route:a", 500, "{\"n\":3}", 3);
    other_changes(f, "person", "route:a", 900, "{}");
    join(f);
    assert_string_equal(model_find(&f->model, "route:a")->text, "{\"n\":2}");
    want(f, FLEET_FOR_SAFETY, "route:a", 400, "{\"n\":4}", 4);
    assert_string_equal(f->done[4], "ok"); /* it is as safe already */
    assert_string_equal(model_find(&f->model, "route:a")->text, "{\"n\":2}");
}

static void an_order_without_an_answer_is_told_again(void **state)
{
    struct fixture *f = *state;
    join(f);
    other_changes(f, "person", "route:a", 900, "{}");
    f->answers = false;
    want(f, FLEET_FOR_SAFETY, "route:a", 0, "{\"n\":1}", 1);
    fleet_lost(f->fleet, f->now_ms);
    assert_string_equal(f->done[1], "no_answer");
    f->answered_count = f->sent_count;
    f->answers = true;
    join(f);
    assert_int_equal(model_find(&f->model, "route:a")->share, 0);
}

static void an_order_that_is_refused_is_kept(void **state)
{
    struct fixture *f = *state;
    join(f);
    f->answers = false;
    want(f, FLEET_FOR_SAFETY, "route:a", 0, "{\"n\":1}", 1);
    fleet_answer(f->fleet, f->sent[f->sent_count - 1].ticket, "{\"error\":\"malformed\",\"why\":\"document\"}",
                 f->now_ms);
    assert_string_equal(f->done[1], "refused");
    f->answered_count = f->sent_count;
    f->answers = true;
    pass(f, 2000);
    assert_non_null(model_find(&f->model, "route:a"));
}

static void an_order_that_met_another_history_is_known_only_after_the_merge(void **state)
{
    struct fixture *f = *state;
    join(f);
    want(f, FLEET_BY_PERSON, "passthrough", 1, "{\"on\":false}", 1);
    memset(&f->model.state, 0, sizeof(f->model.state)); /* and nobody has noticed yet */
    f->answers = false;
    want(f, FLEET_FOR_SAFETY, "passthrough", 0, "{\"on\":true}", 2);
    const struct sent *sent = &f->sent[f->answered_count++];
    char *answer = model_ask(&f->model, sent->operation, sent->document);
    fleet_answer(f->fleet, sent->ticket, answer, f->now_ms);
    free(answer);
    assert_string_equal(f->done[2], "");
    memset(&f->model.state, 0, sizeof(f->model.state)); /* forgotten again, before the merge */
    f->answers = true;
    pass(f, 2000);
    assert_string_equal(f->done[2], "ok");
    assert_int_equal(model_find(&f->model, "passthrough")->share, 0);
}

/* ---- a Redis that forgets ---- */

static void an_empty_redis_is_told_everything_and_nothing_is_raised_meanwhile(void **state)
{
    struct fixture *f = *state;
    lead(f);
    for (uint64_t i = 0; i < 500; i++) { /* more than one document holds */
        char name[32];
        snprintf(name, sizeof(name), "route:%d", (int)i);
        want(f, FLEET_BY_FILE, name, 100, "{}", i);
    }
    pass(f, 5000);
    assert_int_equal(f->model.state.item_count, 500);
    uint64_t epoch = fleet_epoch(f->fleet);
    memset(&f->model.state, 0, sizeof(f->model.state));
    pass(f, 1200);
    assert_int_equal(f->model.state.item_count, 500);
    assert_true(count_sent(f, "merge") >= 2);
    assert_true(f->model.state.epoch > epoch);
    assert_int_equal(fleet_epoch(f->fleet), f->model.state.epoch);
    assert_int_equal(events(f, "fleet_restored"), 1);
    assert_false(fleet_may_raise(f->fleet, f->now_ms));
    pass(f, FLEET_SETTLE_MS + 1000);
    assert_true(fleet_may_raise(f->fleet, f->now_ms));
}

static void an_older_redis_does_not_take_anything_back(void **state)
{
    struct fixture *f = *state;
    join(f);
    want(f, FLEET_BY_PERSON, "route:a", 100, "{\"n\":1}", 1);
    const struct model_state old = f->model.state;
    want(f, FLEET_BY_PERSON, "route:a", 200, "{\"n\":2}", 2);
    size_t told = f->items_told;
    f->model.state = old;
    pass(f, 2000);
    assert_int_equal(f->items_told, told);
    assert_string_equal(model_find(&f->model, "route:a")->text, "{\"n\":2}");
}

static void a_history_as_long_as_ours_is_noticed_and_the_safer_stands(void **state)
{
    struct fixture *f = *state;
    join(f);
    want(f, FLEET_BY_PERSON, "route:a", 100, "{\"n\":1}", 1);
    const struct model_state old = f->model.state;
    want(f, FLEET_BY_PERSON, "route:a", 9000, "{\"n\":2}", 2);
    f->model.state = old;
    other_changes(f, "person", "route:a", 50, "{\"n\":3}");
    assert_int_equal(f->model.state.epoch, fleet_epoch(f->fleet));
    pass(f, 2000);
    assert_string_equal(f->told, "{\"n\":3}");
    assert_string_equal(model_find(&f->model, "route:a")->text, "{\"n\":3}");
    assert_int_equal(model_find(&f->model, "route:a")->version, 3);
}

/* ---- news ---- */

static void news_are_taken_at_once_and_a_gap_is_asked_for(void **state)
{
    struct fixture *f = *state;
    join(f);
    other_changes(f, "person", "route:a", 100, "{\"n\":1}");
    fleet_news(f->fleet, f->model.news, strlen(f->model.news), f->now_ms);
    assert_string_equal(f->told, "{\"n\":1}");
    assert_int_equal(fleet_epoch(f->fleet), 1);
    other_changes(f, "person", "route:b", 100, "{\"n\":2}"); /* lost */
    other_changes(f, "person", "route:a", 200, "{\"n\":3}");
    fleet_news(f->fleet, f->model.news, strlen(f->model.news), f->now_ms);
    assert_string_equal(f->told, "{\"n\":3}");
    assert_null(fleet_item(f->fleet, "route:b"));
    pass(f, 100);
    assert_non_null(fleet_item(f->fleet, "route:b"));
    assert_int_equal(fleet_epoch(f->fleet), 3);
}

static void garbage_changes_nothing(void **state)
{
    static const char *const news[] = {
        "",
        "garbage",
        "[]",
        "{}",
        "{\"epoch\":-1,\"mark\":\"m\",\"after\":\"\",\"items\":[]}",
        "{\"epoch\":1,\"mark\":\"mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm\",\"after\":\"\",\"items\":[]}",
        "{\"epoch\":1,\"mark\":\"m\",\"after\":\"\",\"items\":{}}",
        "{\"epoch\":1,\"mark\":\"m\",\"after\":\"\",\"items\":[[]]}",
        "{\"epoch\":1,\"mark\":\"m\",\"after\":\"\",\"items\":[[\"a\",0,1,1,\"{}\",\"\"]]}",
        "{\"epoch\":1,\"mark\":\"m\",\"after\":\"\",\"items\":[[\"a\",1,10001,1,\"{}\",\"\"]]}",
        "{\"epoch\":1,\"mark\":\"m\",\"after\":\"\",\"items\":[[\"a\",1,1,1,null,\"\"]]}",
        "{\"epoch\":1,\"mark\":\"m\",\"after\":\"\",\"items\":[[\"a\",1,1,1,\"{}\",\"12345678,\"]]}",
        "{\"epoch\":1,\"mark\":\"m\",\"after\":\"\",\"items\":[[\"a\",1,1,1,\"{}\",\"1234567g\"]]}",
        "{\"epoch\":1,\"mark\":\"m\",\"after\":\"\",\"items\":[[\"a\\n\",1,1,1,\"{}\",\"\"]]}",
        "{\"epoch\":1,\"mark\":\"\",\"after\":\"\",\"items\":[[\"b\",1,1,1,\"\",\"\"],[\"a\",1.5,1,1,\"\",\"\"]]}",
    };
    struct fixture *f = *state;
    join(f);
    json_t *before = fleet_save(f->fleet);
    for (size_t i = 0; i < sizeof(news) / sizeof(news[0]); i++)
        fleet_news(f->fleet, news[i], strlen(news[i]), f->now_ms);
    json_t *status = fleet_status(f->fleet, f->now_ms), *after = fleet_save(f->fleet);
    assert_int_equal(json_integer_value(json_object_get(status, "garbage")), sizeof(news) / sizeof(news[0]));
    assert_true(json_equal(before, after));
    assert_int_equal(events(f, "fleet_garbage"), 1);
    f->answers = false;
    pass(f, 1000);
    fleet_answer(f->fleet, f->sent[f->sent_count - 1].ticket, "{\"now\":1}", f->now_ms);
    fleet_answer(f->fleet, 987654, "{}", f->now_ms); /* nobody asked */
    json_decref(after);
    after = fleet_save(f->fleet);
    assert_true(json_equal(before, after));
    assert_int_equal(f->items_told, 0);
    json_decref(before);
    json_decref(after);
    json_decref(status);
}

/* ---- kept ---- */

static void what_is_damaged_is_not_restored(void **state)
{
    struct fixture *f = *state;
    join(f);
    want(f, FLEET_BY_PERSON, "route:a", 100, "{\"n\":1}", 1);
    json_t *saved = fleet_save(f->fleet);
    static const char *const damages[] = {
        "{\"version\":2}", "{\"epoch\":-1}",    "{\"mark\":7}",
        "{\"term\":null}", "{\"items\":{}}",    "{\"items\":[7]}",
        "{\"safety\":7}",  "{\"safety\":[{}]}", "{\"safety\":[{\"log\":\"{}\",\"item\":[]}]}",
    };
    fleet_free(f->fleet);
    f->fleet = new_fleet(f, "next");
    size_t told = f->items_told;
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        const char *why = NULL;
        json_t *damage = json_loads(damages[i], 0, NULL), *damaged = json_copy(saved);
        assert_int_equal(json_object_update(damaged, damage), 0);
        assert_false(fleet_restore(f->fleet, damaged, &why));
        assert_non_null(why);
        json_decref(damage);
        json_decref(damaged);
    }
    assert_int_equal(f->items_told, told);
    const char *why = NULL;
    assert_true(fleet_restore(f->fleet, saved, &why));
    assert_int_equal(fleet_epoch(f->fleet), 1);
    assert_int_equal(f->items_told, told + 1);
    json_decref(saved);
    join(f);
    assert_int_equal(f->items_told, told + 1); /* it was known */
}

static void reads_end_with_the_link(void **state)
{
    struct fixture *f = *state;
    json_t *routes = json_pack("[s]", "a");
    assert_false(fleet_read(f->fleet, routes, on_read, f));
    join(f);
    assert_true(fleet_read(f->fleet, routes, on_read, f));
    answer_all(f);
    assert_int_equal(f->reads, 1);
    f->answers = false;
    assert_true(fleet_read(f->fleet, routes, on_read, f));
    fleet_lost(f->fleet, f->now_ms);
    assert_int_equal(f->reads, 101);
    json_decref(routes);
}

static void a_link_that_takes_nothing_loses_nothing(void **state)
{
    struct fixture *f = *state;
    join(f);
    f->refuses_to_send = true;
    want(f, FLEET_BY_PERSON, "route:a", 100, "{}", 1);
    want(f, FLEET_FOR_SAFETY, "route:b", 0, "{}", 2);
    f->counts = 3;
    pass(f, 1500);
    f->refuses_to_send = false;
    pass(f, 1500);
    assert_string_equal(f->done[1], "ok");
    assert_string_equal(f->done[2], "ok");
    assert_int_equal(f->model.state.replicas[0].counted, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(quiet_replicas_beat_every_800_ms_give_or_take_a_tenth),
        TEST(replicas_do_not_beat_in_step),
        TEST(hurry_beats_at_once_but_never_closer_than_70_ms),
        TEST(never_more_than_twenty_operations_a_second),
        TEST(a_beat_is_answered_before_the_next_is_sent),
        TEST(views_are_told_when_they_change_and_when_redis_may_not_have_them),
        TEST(counts_are_told_again_with_their_sequence_until_they_are_acknowledged),
        TEST(counts_that_waited_for_long_are_not_told_again),
        TEST(what_the_script_refuses_is_not_told_for_ever),
        TEST(a_leader_leads_until_1500_ms_after_the_last_answered_beat),
        TEST(who_wakes_up_after_a_minute_does_not_lead),
        TEST(a_dead_leader_is_replaced_within_3_s_of_its_last_beat),
        TEST(who_may_not_lead_gives_the_lease_back),
        TEST(without_answers_it_is_cut_off_though_the_link_stands),
        TEST(a_group_of_a_later_format_is_left_alone),
        TEST(a_change_is_done_when_redis_says_so),
        TEST(a_conflict_tells_what_is_there_instead),
        TEST(a_leader_raises_nothing_before_it_has_settled),
        TEST(a_change_in_flight_when_the_link_goes_has_no_answer_and_one_that_waits_is_cut_off),
        TEST(what_waits_is_told_together_and_refused_alone),
        TEST(changes_that_are_refused_or_answered_with_garbage_end_too),
        TEST(what_cannot_be_told_is_refused_and_not_in_the_way),
        TEST(an_order_for_safety_is_kept_while_redis_is_away_and_over_a_restart),
        TEST(an_order_hides_what_is_less_safe_until_it_is_known),
        TEST(the_safest_of_several_orders_is_told_and_everybody_gets_an_answer),
        TEST(an_order_without_an_answer_is_told_again),
        TEST(an_order_that_is_refused_is_kept),
        TEST(an_order_that_met_another_history_is_known_only_after_the_merge),
        TEST(an_empty_redis_is_told_everything_and_nothing_is_raised_meanwhile),
        TEST(an_older_redis_does_not_take_anything_back),
        TEST(a_history_as_long_as_ours_is_noticed_and_the_safer_stands),
        TEST(news_are_taken_at_once_and_a_gap_is_asked_for),
        TEST(garbage_changes_nothing),
        TEST(what_is_damaged_is_not_restored),
        TEST(reads_end_with_the_link),
        TEST(a_link_that_takes_nothing_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
