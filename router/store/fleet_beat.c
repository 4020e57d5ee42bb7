/*
 * Beats: "I live, this is what I know and have counted; what is new, and who leads?" Part of fleet.c; control thread,
 * no I/O.
 *
 * One beat is under way at a time. What it told of counts is kept until Redis has acknowledged it, and told again with
 * the same sequence, over lost links too: Redis takes in each sequence once. What it told of the view and of open
 * breakers is told again whenever Redis may not have it.
 *
 * The next one follows in FLEET_BEAT_MS, give or take a tenth, so that replicas spread. When the lease will have run
 * out before that, it follows at that time: a dead leader is replaced within FLEET_LEASE_MS and LEASE_SPREAD_MS of its
 * last beat.
 */
#include "router/store/fleet_inner.h"

#include <stdlib.h>
#include <string.h>

enum {
    BEAT_SPREAD_MS = FLEET_BEAT_MS / 10,
    LEASE_LATE_MS = 15, /* Redis' clock counts whole ms */
    LEASE_SPREAD_MS = 150,
    /* Redis forgets after a minute of silence which counts it has taken in of us: later they might be counted twice,
     * and one parcel of counts is missed by nobody. */
    COUNTS_KEPT_MS = 45000,
    REPLICA_MOST = 800, /* bytes of a replica's id in answers */
};

/* ---- what is told ---- */

static void take_view(struct fleet *fleet, json_t *view)
{
    char *text = view != NULL ? json_dumps(view, JSON_COMPACT) : NULL;
    json_decref(view);
    if (text == NULL || strlen(text) > FLEET_VIEW_MOST) {
        free(text);
        return;
    }
    free(fleet->view);
    fleet->view = text;
    fleet->view_untold = true;
}

static void take_open(struct fleet *fleet, json_t *open)
{
    if (open == NULL)
        return;
    json_decref(fleet->open);
    fleet->open = open;
    fleet->open_untold = true;
}

static void drop_counts(struct fleet *fleet)
{
    json_decref(fleet->counts);
    json_decref(fleet->counts_routes);
    fleet->counts = fleet->counts_routes = NULL;
}

static void take_counts(struct fleet *fleet, struct fleet_beat *beat)
{
    if (beat->counts == NULL ||
        json_object_set_new(beat->counts, "seq", json_integer((json_int_t)fleet->seq + 1)) < 0) {
        fleet->lost_counts += beat->counts != NULL;
        json_decref(beat->counts);
        json_decref(beat->routes);
        return;
    }
    fleet->seq++;
    fleet->counts = beat->counts;
    fleet->counts_ms = fleet->now_ms;
    fleet->counts_routes = beat->routes != NULL ? beat->routes : json_array();
}

static void ask_what_there_is(struct fleet *fleet)
{
    struct fleet_beat beat = {0};
    if (fleet->counts != NULL && fleet->now_ms - fleet->counts_ms >= COUNTS_KEPT_MS) {
        fleet->lost_counts++;
        drop_counts(fleet);
    }
    if (fleet->counts != NULL || fleet->hooks.fill_beat == NULL)
        return;
    fleet->hooks.fill_beat(fleet->hooks.context, &beat);
    take_view(fleet, beat.view);
    take_open(fleet, beat.open);
    take_counts(fleet, &beat);
}

static json_t *beat_document(struct fleet *fleet)
{
    bool view = fleet->view != NULL && (fleet->view_untold || fleet->tell_all);
    bool open = fleet->open != NULL && (fleet->open_untold || fleet->tell_all);
    json_t *document =
        json_pack("{s:s, s:s, s:i, s:I, s:s, s:b, s:I, s:i}", "replica", fleet->replica, "boot", fleet->boot, "format",
                  FLEET_FORMAT, "epoch", (json_int_t)fleet->epoch, "mark", fleet->mark, "lead", fleet->may_lead, "term",
                  (json_int_t)(fleet->role == FLEET_LEADER ? fleet->term : 0), "lease_ms", FLEET_LEASE_MS);
    bool whole = document != NULL;
    whole = whole && json_object_set_new(document, "view", view ? json_string(fleet->view) : json_null()) == 0;
    whole = whole && json_object_set(document, "open", open ? fleet->open : json_null()) == 0;
    whole = whole && json_object_set(document, "counts", fleet->counts != NULL ? fleet->counts : json_null()) == 0;
    whole = whole && json_object_set_new(document, "routes",
                                         fleet->counts != NULL ? json_incref(fleet->counts_routes) : json_array()) == 0;
    if (whole)
        return document;
    json_decref(document);
    return NULL;
}

void fleet_send_beat(struct fleet *fleet)
{
    ask_what_there_is(fleet);
    const struct fleet_question question = {.kind = FLEET_ASKS_BEAT, .had_counts = fleet->counts != NULL};
    if (!fleet_send(fleet, &question, "beat", fleet->counts_routes, beat_document(fleet)))
        return;
    fleet->hurried = fleet->tell_all = fleet->view_untold = fleet->open_untold = false;
    fleet->beats++;
    fleet->beat_sent_ms = fleet->now_ms;
    fleet->next_beat_ms = fleet->now_ms + FLEET_BEAT_MS - BEAT_SPREAD_MS + fleet_chance(fleet, 2 * BEAT_SPREAD_MS + 1);
}

/* ---- what is made of the answer ---- */

/* The fields that are always there. */
struct answer {
    uint64_t now, format, epoch, term, lease_ms, seq, stamp, alive;
    bool empty, view;
    const char *mark, *leader; /* borrowed */
};

static bool read_flag(const json_t *object, const char *key, bool *value)
{
    const json_t *field = json_object_get(object, key);
    *value = json_is_true(field);
    return json_is_boolean(field);
}

static bool read_answer(const json_t *json, struct answer *answer)
{
    const struct {
        const char *key;
        uint64_t *value;
    } numbers[] = {
        {"now", &answer->now}, {"format", &answer->format},     {"epoch", &answer->epoch}, {"term", &answer->term},
        {"seq", &answer->seq}, {"lease_ms", &answer->lease_ms}, {"stamp", &answer->stamp}, {"alive", &answer->alive},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (!fleet_number(json, numbers[i].key, numbers[i].value))
            return false;
    answer->mark = fleet_text(json, "mark", FLEET_MARK_MOST);
    answer->leader = fleet_text(json, "leader", REPLICA_MOST);
    return answer->mark != NULL && answer->leader != NULL && read_flag(json, "empty", &answer->empty) &&
           read_flag(json, "view", &answer->view);
}

static void acknowledge(struct fleet *fleet, uint64_t seq)
{
    if (fleet->counts != NULL && seq >= fleet->seq)
        drop_counts(fleet);
}

static void follow_lease(struct fleet *fleet, const struct answer *answer, uint64_t sent_ms)
{
    bool is_ours = strcmp(answer->leader, fleet->replica) == 0;
    if (answer->term > fleet->group_term) {
        fleet->group_term = answer->term;
        fleet->revision++;
    }
    char *leader = strdup(answer->leader);
    if (leader != NULL) {
        free(fleet->leader);
        fleet->leader = leader;
    }
    bool is_new = is_ours && fleet->role == FLEET_LEADER && fleet->term != answer->term;
    if (!is_ours || is_new) {
        fleet->term = 0; /* one term ends before another begins, so that everybody hears of both */
        fleet->lead_until_ms = 0;
        fleet_update_role(fleet);
    }
    if (is_ours) {
        fleet->term = answer->term;
        fleet->lead_until_ms = sent_ms + FLEET_LEAD_MS;
    } else if (fleet->may_lead) {
        uint64_t over_ms = fleet->now_ms + answer->lease_ms + LEASE_LATE_MS + fleet_chance(fleet, LEASE_SPREAD_MS);
        if (over_ms < fleet->next_beat_ms)
            fleet->next_beat_ms = over_ms;
    }
    fleet_update_role(fleet);
}

/* Is Redis' state another than the one we know? Then its items come along. What is garbage would be so again at once.
 */
static void take_news(struct fleet *fleet, const json_t *json, const struct answer *answer)
{
    if (json_object_get(json, "items") != NULL)
        (void)fleet_take_state(fleet, json);
    else if (answer->epoch != fleet->epoch || strcmp(answer->mark, fleet->mark) != 0)
        fleet->hurried = true;
}

static void not_answered(struct fleet *fleet)
{
    fleet->unanswered++;
    fleet->tell_all = true;
}

/* What the script refuses it would refuse for ever: the part that it may be is given up, so that beats go on. */
static void refused(struct fleet *fleet, const struct fleet_question *question, const json_t *json)
{
    fleet_note_refused(fleet, "beat", json);
    if (question->had_counts) {
        fleet->lost_counts++;
        drop_counts(fleet);
    }
    json_decref(fleet->open);
    free(fleet->view);
    fleet->open = NULL;
    fleet->view = NULL;
}

void fleet_on_beat(struct fleet *fleet, const struct fleet_question *question, const json_t *json)
{
    struct answer answer;
    const char *error = json_string_value(json_object_get(json, "error"));
    if (json == NULL) {
        not_answered(fleet);
    } else if (error != NULL && strcmp(error, "format") == 0) {
        fleet_note_format(fleet, json);
    } else if (error != NULL) {
        refused(fleet, question, json);
    } else if (!read_answer(json, &answer)) {
        fleet_note_garbage(fleet, "beat", "a field is missing or out of range");
        not_answered(fleet);
    } else {
        fleet->answered_ms = fleet->proven_ms = fleet->now_ms;
        fleet->joined = true;
        fleet->hold_orders = false;
        fleet->told_garbage = fleet->told_refused = fleet->told_format = false;
        fleet->alive = answer.alive;
        fleet->format = answer.format;
        fleet->tell_all = !answer.view && fleet->view != NULL;
        acknowledge(fleet, answer.seq);
        take_news(fleet, json, &answer);
        follow_lease(fleet, &answer, question->sent_ms);
        if (fleet->hooks.on_beat != NULL)
            fleet->hooks.on_beat(fleet->hooks.context, json);
    }
}
