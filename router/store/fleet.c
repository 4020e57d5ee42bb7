/*
 * A replica's part in its fleet: see fleet.h. Here is the door: the link's ups and downs, the clock, the role, and the
 * table of questions under way.
 *
 *   CUT_OFF --a beat is answered--> FOLLOWER --an answered beat names us--> LEADER
 *      ^                              |   ^                                  |
 *      |                              |   +-- FLEET_LEAD_MS since that beat -+
 *      +-- link lost, FLEET_SILENT_MS +--------------------------------------+
 *
 * fleet_update_role() takes every arrow. All that is sent goes through fleet_send(), which keeps to FLEET_RATE; beats
 * of the quiet kind are always sent. Callbacks may call back, so that nothing is held across them that they could
 * change.
 */
#include "router/store/fleet_inner.h"

#include <stdlib.h>
#include <string.h>

#include "router/utf8.h"

enum {
    CREDIT_EACH_MS = 1000 / FLEET_RATE,
    CREDIT_MOST_MS = 5 * CREDIT_EACH_MS, /* with what comes back within a second: at most 20 */
};

/* ---- small things ---- */

/* splitmix64: replicas differ in their seed, and so in when they beat. */
uint64_t fleet_chance(struct fleet *fleet, uint64_t below)
{
    uint64_t z = fleet->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

static uint64_t seed_of(const char *text, uint64_t seed)
{
    for (; *text != '\0'; text++)
        seed = (seed ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return seed;
}

void fleet_tell(struct fleet *fleet, bool bad, const char *what, json_t *fields)
{
    if (fleet->hooks.on_event != NULL)
        fleet->hooks.on_event(fleet->hooks.context, bad, what, fields);
    else
        json_decref(fields);
}

bool fleet_number(const json_t *object, const char *key, uint64_t *value)
{
    const json_t *field = json_object_get(object, key);
    if (!json_is_integer(field) || json_integer_value(field) < 0 || json_integer_value(field) > FLEET_VERSION_MOST)
        return false;
    *value = (uint64_t)json_integer_value(field);
    return true;
}

const char *fleet_text(const json_t *object, const char *key, size_t most)
{
    const json_t *field = json_object_get(object, key);
    return json_string_length(field) <= most ? json_string_value(field) : NULL;
}

void fleet_note_garbage(struct fleet *fleet, const char *what, const char *why)
{
    fleet->garbage++;
    if (!fleet->told_garbage)
        fleet_tell(fleet, true, "fleet_garbage", json_pack("{s:s, s:s}", "of", what, "why", why));
    fleet->told_garbage = true;
}

void fleet_note_refused(struct fleet *fleet, const char *what, const json_t *answer)
{
    const char *why = fleet_text(answer, "why", 200);
    fleet->refused++;
    if (!fleet->told_refused)
        fleet_tell(fleet, true, "fleet_refused",
                   json_pack("{s:s, s:s}", "of", what, "why", why != NULL ? why : "unknown"));
    fleet->told_refused = true;
}

void fleet_note_format(struct fleet *fleet, const json_t *answer)
{
    uint64_t format = 0;
    if (fleet_number(answer, "format", &format))
        fleet->format = format;
    if (!fleet->told_format)
        fleet_tell(fleet, true, "fleet_format",
                   json_pack("{s:i, s:I}", "ours", FLEET_FORMAT, "group", (json_int_t)fleet->format));
    fleet->told_format = true;
    fleet->joined = false;
    fleet_update_role(fleet);
}

/* ---- role ---- */

static enum fleet_role role_now(const struct fleet *fleet)
{
    if (!fleet->joined || fleet->now_ms - fleet->proven_ms >= FLEET_SILENT_MS)
        return FLEET_CUT_OFF;
    return fleet->term > 0 && fleet->now_ms < fleet->lead_until_ms ? FLEET_LEADER : FLEET_FOLLOWER;
}

static void tell_role(struct fleet *fleet, enum fleet_role from)
{
    static const char *const what[] = {
        [FLEET_CUT_OFF] = "fleet_left",
        [FLEET_FOLLOWER] = "fleet_joined",
        [FLEET_LEADER] = "fleet_leader",
    };
    const char *name = fleet->role == FLEET_FOLLOWER && from == FLEET_LEADER ? "fleet_follower" : what[fleet->role];
    const char *leader = fleet->leader != NULL ? fleet->leader : "";
    fleet_tell(fleet, fleet->role == FLEET_CUT_OFF, name,
               json_pack("{s:s, s:I, s:I, s:s, s:I}", "replica", fleet->replica, "term", (json_int_t)fleet->group_term,
                         "epoch", (json_int_t)fleet->epoch, "leader", leader, "alive", (json_int_t)fleet->alive));
}

void fleet_update_role(struct fleet *fleet)
{
    enum fleet_role from = fleet->role, to = role_now(fleet);
    if (to != FLEET_LEADER && fleet->now_ms >= fleet->lead_until_ms)
        fleet->term = 0; /* asked for anew, it is another term: whatever was decided in this one is refused */
    if (to == from)
        return;
    fleet->role = to;
    if (to == FLEET_LEADER)
        fleet->settle_until_ms = fleet->now_ms + FLEET_SETTLE_MS;
    if (to == FLEET_CUT_OFF) {
        fleet_give_up_waiting(fleet);
        fleet_give_up_wishes(fleet);
    }
    tell_role(fleet, from);
    if (fleet->hooks.on_role != NULL)
        fleet->hooks.on_role(fleet->hooks.context, to, to == FLEET_LEADER ? fleet->term : 0);
}

enum fleet_role fleet_role(const struct fleet *fleet)
{
    return fleet->role;
}

bool fleet_may_raise(const struct fleet *fleet, uint64_t now_ms)
{
    return fleet->role == FLEET_LEADER && !fleet->to_merge && now_ms >= fleet->settle_until_ms;
}

void fleet_may_lead(struct fleet *fleet, bool may)
{
    if (fleet->may_lead != may)
        fleet->hurried = true; /* others need not wait until the lease has run out */
    fleet->may_lead = may;
}

/* ---- questions ---- */

bool fleet_asks(const struct fleet *fleet, enum fleet_question_kind kind)
{
    for (size_t i = 0; i < FLEET_QUESTIONS; i++)
        if (fleet->questions[i].kind == kind)
            return true;
    return false;
}

static struct fleet_question *question_of(struct fleet *fleet, uint64_t ticket)
{
    for (size_t i = 0; i < FLEET_QUESTIONS; i++)
        if (fleet->questions[i].kind != FLEET_ASKS_NOTHING && fleet->questions[i].ticket == ticket)
            return &fleet->questions[i];
    return NULL;
}

static struct fleet_question *free_question(struct fleet *fleet)
{
    for (size_t i = 0; i < FLEET_QUESTIONS; i++)
        if (fleet->questions[i].kind == FLEET_ASKS_NOTHING)
            return &fleet->questions[i];
    return NULL;
}

bool fleet_has_credit(const struct fleet *fleet)
{
    return fleet->credit_ms >= CREDIT_EACH_MS;
}

static void take_credit(struct fleet *fleet)
{
    fleet->credit_ms -= fleet->credit_ms < CREDIT_EACH_MS ? fleet->credit_ms : CREDIT_EACH_MS;
}

bool fleet_spend(struct fleet *fleet)
{
    bool has = fleet_has_credit(fleet);
    if (has)
        take_credit(fleet);
    return has;
}

bool fleet_send(struct fleet *fleet, const struct fleet_question *question, const char *operation, const json_t *routes,
                json_t *document)
{
    struct fleet_question *place = free_question(fleet);
    char *text = document != NULL && place != NULL ? json_dumps(document, JSON_COMPACT) : NULL;
    bool sent = false;
    if (text != NULL) {
        uint64_t ticket = ++fleet->last_ticket;
        *place = *question;
        place->ticket = ticket;
        place->sent_ms = fleet->now_ms;
        sent = fleet->hooks.send(fleet->hooks.context, ticket, operation, routes, text);
        if (!sent)
            place->kind = FLEET_ASKS_NOTHING;
        else
            take_credit(fleet);
    }
    free(text);
    json_decref(document);
    return sent;
}

/* Frees its place before anybody is told. */
static void answered(struct fleet *fleet, struct fleet_question *place, const json_t *answer)
{
    struct fleet_question question = *place;
    *place = (struct fleet_question){0};
    switch (question.kind) {
    case FLEET_ASKS_BEAT:
        fleet_on_beat(fleet, &question, answer);
        break;
    case FLEET_ASKS_CHANGE:
        fleet_on_change(fleet, &question, answer);
        break;
    case FLEET_ASKS_SAFETY:
        fleet_on_safety(fleet, &question, answer);
        break;
    case FLEET_ASKS_MERGE:
        fleet_on_merge(fleet, answer);
        break;
    case FLEET_ASKS_READ:
        if (answer != NULL && json_object_get(answer, "error") != NULL)
            fleet_note_refused(fleet, "read", answer);
        question.done(question.context, json_object_get(answer, "error") == NULL ? answer : NULL);
        break;
    case FLEET_ASKS_NOTHING:
        break;
    }
}

void fleet_answer(struct fleet *fleet, uint64_t ticket, const char *text, uint64_t now_ms)
{
    struct fleet_question *place = question_of(fleet, ticket);
    fleet->now_ms = now_ms;
    if (place == NULL)
        return; /* given up already */
    json_t *answer = text != NULL ? json_loads(text, 0, NULL) : NULL;
    if (text != NULL && !json_is_object(answer)) {
        fleet_note_garbage(fleet, "answer", "no JSON object");
        json_decref(answer);
        answer = NULL;
    }
    answered(fleet, place, answer);
    json_decref(answer);
    fleet_pump(fleet);
}

bool fleet_read(struct fleet *fleet, const json_t *routes, void (*done)(void *context, const json_t *answer),
                void *context)
{
    const struct fleet_question question = {.kind = FLEET_ASKS_READ, .done = done, .context = context};
    if (!fleet->joined || !fleet_has_credit(fleet))
        return false;
    return fleet_send(fleet, &question, "read", routes, json_pack("{s:O}", "routes", (json_t *)routes));
}

/* ---- the link and the clock ---- */

void fleet_connected(struct fleet *fleet, uint64_t now_ms)
{
    if (fleet->connected)
        return;
    fleet->now_ms = fleet->proven_ms = fleet->next_beat_ms = now_ms;
    fleet->connected = fleet->tell_all = true;
    fleet->settle_until_ms = now_ms + FLEET_SETTLE_MS; /* others may know more than this Redis does */
    fleet_pump(fleet);
}

void fleet_lost(struct fleet *fleet, uint64_t now_ms)
{
    fleet->now_ms = now_ms;
    fleet->connected = fleet->joined = false;
    fleet->term = 0;
    for (size_t i = 0; i < FLEET_QUESTIONS; i++)
        if (fleet->questions[i].kind != FLEET_ASKS_NOTHING)
            answered(fleet, &fleet->questions[i], NULL);
    fleet_give_up_waiting(fleet);
    fleet_give_up_wishes(fleet);
    fleet_update_role(fleet);
}

static bool may_beat(const struct fleet *fleet)
{
    if (!fleet->connected || fleet_asks(fleet, FLEET_ASKS_BEAT))
        return false;
    if (fleet->now_ms >= fleet->next_beat_ms)
        return true;
    return fleet->hurried && fleet->now_ms - fleet->beat_sent_ms >= FLEET_BEAT_LEAST_MS && fleet_has_credit(fleet);
}

void fleet_pump(struct fleet *fleet)
{
    if (fleet->joined)
        fleet_send_safety(fleet);
    if (fleet->joined && fleet->to_merge)
        fleet_send_merge(fleet);
    if (fleet->joined)
        fleet_send_wishes(fleet);
    if (may_beat(fleet))
        fleet_send_beat(fleet);
}

void fleet_tick(struct fleet *fleet, uint64_t now_ms)
{
    uint64_t gained = now_ms - fleet->credit_at_ms;
    fleet->credit_ms = gained > CREDIT_MOST_MS - fleet->credit_ms ? CREDIT_MOST_MS : fleet->credit_ms + gained;
    fleet->credit_at_ms = fleet->now_ms = now_ms;
    fleet_update_role(fleet);
    fleet_pump(fleet);
}

void fleet_hurry(struct fleet *fleet)
{
    fleet->hurried = true;
}

/* ---- life ---- */

struct fleet *fleet_new(const struct fleet_options *options, const struct fleet_hooks *hooks)
{
    struct fleet *fleet = calloc(1, sizeof(*fleet));
    json_t *replica = utf8_json(options->replica); /* a name that was cut short may end amid a character */
    const char *name = json_string_value(replica);
    if (fleet != NULL && name != NULL) {
        fleet->hooks = *hooks;
        fleet->replica = strdup(name);
        fleet->boot = strdup(options->boot);
        fleet->may_lead = options->may_lead;
        fleet->random = seed_of(options->boot, seed_of(name, UINT64_C(0xcbf29ce484222325)));
        fleet->credit_ms = CREDIT_MOST_MS;
        fleet->wishes_end = &fleet->wishes;
        fleet->waiters_end = &fleet->waiters;
    }
    json_decref(replica);
    if (fleet != NULL && fleet->replica != NULL && fleet->boot != NULL)
        return fleet;
    fleet_free(fleet);
    return NULL;
}

void fleet_free(struct fleet *fleet)
{
    if (fleet == NULL)
        return;
    fleet->connected = fleet->joined = false;
    for (size_t i = 0; i < FLEET_QUESTIONS; i++)
        if (fleet->questions[i].kind != FLEET_ASKS_NOTHING)
            answered(fleet, &fleet->questions[i], NULL);
    fleet_give_up_waiting(fleet);
    fleet_give_up_wishes(fleet);
    for (size_t i = 0; i < fleet->known_count; i++)
        fleet_known_free(fleet->known[i]);
    free(fleet->known);
    free(fleet->replica);
    free(fleet->boot);
    free(fleet->leader);
    free(fleet->view);
    json_decref(fleet->open);
    json_decref(fleet->counts);
    json_decref(fleet->counts_routes);
    free(fleet);
}

json_t *fleet_status(const struct fleet *fleet, uint64_t now_ms)
{
    size_t pending = 0;
    for (size_t i = 0; i < fleet->known_count; i++)
        pending += fleet->known[i]->pending.name != NULL;
    json_t *lag = fleet->answered_ms != 0 ? json_integer((json_int_t)(now_ms - fleet->answered_ms)) : json_null();
    return json_pack(
        "{s:s, s:s, s:I, s:s, s:I, s:s, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "role",
        fleet_role_name(fleet->role), "replica", fleet->replica, "term", (json_int_t)fleet->group_term, "leader",
        fleet->leader != NULL ? fleet->leader : "", "epoch", (json_int_t)fleet->epoch, "mark", fleet->mark, "alive",
        (json_int_t)fleet->alive, "format", (json_int_t)fleet->format, "lag_ms", lag, "items",
        (json_int_t)fleet->known_count, "untold_safety", (json_int_t)pending, "waiting",
        (json_int_t)fleet->wish_count + (json_int_t)fleet->waiter_count, "beats", (json_int_t)fleet->beats,
        "unanswered", (json_int_t)fleet->unanswered, "garbage", (json_int_t)fleet->garbage, "refused",
        (json_int_t)fleet->refused, "lost_counts", (json_int_t)fleet->lost_counts, "conflicts",
        (json_int_t)fleet->conflicts, "merges", (json_int_t)fleet->merges, "restored", (json_int_t)fleet->restored);
}
