/*
 * What people are told of the fleet: facts, this replica's part, and what only Redis knows. See control_fleet.h.
 * Control thread.
 */
#include "proxy/control_fleet_inside.h"

#include <stdlib.h>
#include <string.h>

#include "router/router.h"
#include "router/utf8.h"

/* ---- readers ---- */

struct reader {
    struct reader *next;
    void (*answered)(void *context, const json_t *document);
    void *context;
};

void control_fleet_begin_readers(struct control_fleet *fleet)
{
    static const char *const operations[FLEET_READINGS] = {"look", "report"};
    for (size_t i = 0; i < FLEET_READINGS; i++)
        fleet->readers[i] = (struct readers){.fleet = fleet, .operation = operations[i]};
}

static void tell_readers(struct control_fleet *fleet, struct reader **list, const json_t *document)
{
    struct reader *reader = *list;
    *list = NULL;
    while (reader != NULL) {
        struct reader *next = reader->next;
        fleet->reader_count--;
        reader->answered(reader->context, document);
        free(reader);
        reader = next;
    }
}

static void ask_for(struct readers *readers);

static void on_asked(void *context, uint64_t ticket, const struct redis_answer *answer)
{
    struct readers *readers = context;
    json_t *document = answer->fault == REDIS_FAULT_NONE ? json_loadb(answer->text, answer->length, 0, NULL) : NULL;
    (void)ticket;
    tell_readers(readers->fleet, &readers->asked, json_is_object(document) ? document : NULL);
    json_decref(document);
    ask_for(readers);
}

/* One question for all who wait: however many look, Redis is asked no more often than it may be. Who comes while it is
 * under way is answered by the next, which knows what was done before. */
static void ask_for(struct readers *readers)
{
    struct control_fleet *fleet = readers->fleet;
    struct redis_question question = {
        .operation = readers->operation, .document = "{\"routes\":[]}", .answered = on_asked, .context = readers};
    if (readers->asked != NULL || readers->waiting == NULL || !redis_is_ready(fleet->redis) ||
        !fleet_spend(fleet->fleet))
        return;
    char **keys = fleet_keys_of(&fleet->keys, NULL, &question.key_count);
    question.keys = (const char *const *)keys;
    if (keys != NULL && redis_ask(fleet->redis, &question) == REDIS_FAULT_NONE) {
        readers->asked = readers->waiting;
        readers->waiting = NULL;
    }
    fleet_keys_free(keys, question.key_count);
}

void control_fleet_serve_readers(struct control_fleet *fleet)
{
    for (size_t i = 0; i < FLEET_READINGS; i++) {
        if (!redis_is_ready(fleet->redis))
            tell_readers(fleet, &fleet->readers[i].waiting, NULL);
        ask_for(&fleet->readers[i]);
    }
}

void control_fleet_end_readers(struct control_fleet *fleet)
{
    for (size_t i = 0; i < FLEET_READINGS; i++) {
        tell_readers(fleet, &fleet->readers[i].asked, NULL);
        tell_readers(fleet, &fleet->readers[i].waiting, NULL);
    }
}

bool control_fleet_ask(struct control_fleet *fleet, const char *operation,
                       void (*answered)(void *context, const json_t *document), void *context)
{
    struct readers *readers = fleet->readers;
    while (strcmp(readers->operation, operation) != 0)
        readers++;
    struct reader *reader = NULL;
    if (redis_is_ready(fleet->redis) && fleet->reader_count < FLEET_READERS_MOST)
        reader = malloc(sizeof(*reader));
    if (reader == NULL)
        return false;
    *reader = (struct reader){readers->waiting, answered, context};
    readers->waiting = reader;
    fleet->reader_count++;
    ask_for(readers);
    return true;
}

/* ---- other files ---- */

enum {
    LOOK_EVERY_MS = 5000,
    ALIVE_MS = 3000,
};

static bool has_other_file(const struct control_fleet *fleet, const json_t *facts, json_int_t now)
{
    const char *text = json_string_value(json_object_get(facts, "view"));
    json_t *view = text != NULL ? json_loads(text, 0, NULL) : NULL;
    const char *file = json_string_value(json_object_get(view, "file"));
    bool alive = now - json_integer_value(json_object_get(facts, "seen")) < ALIVE_MS;
    bool other = alive && file != NULL && strcmp(file, fleet->file) != 0;
    json_decref(view);
    return other;
}

static void on_looked(void *context, const json_t *document)
{
    struct control_fleet *fleet = context;
    json_int_t now = json_integer_value(json_object_get(document, "now"));
    uint64_t before = fleet->other_file, others = 0;
    const char *id;
    json_t *facts;
    fleet->looking = false;
    if (document == NULL || fleet_role(fleet->fleet) != FLEET_LEADER)
        return;
    json_object_foreach(json_object_get(document, "replicas"), id, facts)
    {
        others += has_other_file(fleet, facts, now);
    }
    fleet->other_file = others;
    fleet->looked = true;
    if (others > 0 && before == 0)
        log_event(
            fleet->control->log, LOG_LEVEL_WARN, "fleet_files_differ",
            json_pack("{s:I, s:s}", "replicas", (json_int_t)others, "why",
                      "their file has other plans than the leader's: nothing is promoted until all have the same"));
    else if (others == 0 && before > 0)
        log_event(fleet->control->log, LOG_LEVEL_INFO, "fleet_files_agree", NULL);
}

void control_fleet_compare_files(struct control_fleet *fleet, uint64_t now_ms)
{
    if (fleet_role(fleet->fleet) != FLEET_LEADER) {
        fleet->other_file = 0;
        fleet->looked = false;
        fleet->look_at_ms = now_ms + ALIVE_MS;
        return;
    }
    if (fleet->looking || now_ms < fleet->look_at_ms)
        return;
    fleet->look_at_ms = now_ms + LOOK_EVERY_MS;
    fleet->looking = control_fleet_ask(fleet, "look", on_looked, fleet);
}

/* ---- facts ---- */

bool control_fleet_facts(const struct control_fleet *fleet, struct control_fleet_facts *facts)
{
    if (fleet == NULL)
        return false;
    *facts = (struct control_fleet_facts){
        .role = fleet_role(fleet->fleet),
        .epoch = fleet_epoch(fleet->fleet),
        .term = fleet->term,
        .alive = fleet->alive,
        .lag_ms = fleet->beaten_ms != 0 ? control_clock_ms() - fleet->beaten_ms : 0,
        .conflicts = fleet->conflicts,
        .other_file = fleet->other_file,
        .group = fleet->group,
        .replica = fleet->id,
        .leader = fleet->leader,
    };
    redis_facts(fleet->redis, &facts->redis);
    return true;
}

static json_t *faults_json(const struct redis_facts *facts)
{
    json_t *faults = json_object();
    for (int i = 0; i < REDIS_FAULTS; i++)
        if (facts->faults[i] > 0)
            json_object_set_new(faults, redis_fault_name((enum redis_fault)i),
                                json_integer((json_int_t)facts->faults[i]));
    return faults;
}

/* { "name", "version", "share", "by", "text" }; NULL: the fleet does not know it yet. */
static json_t *item_json(const struct control_fleet *fleet, const char *name)
{
    const struct fleet_item *item = fleet_item(fleet->fleet, name);
    json_t *text = item != NULL && item->text != NULL ? json_loads(item->text, 0, NULL) : NULL;
    if (!json_is_object(text)) {
        json_decref(text);
        return NULL;
    }
    return json_pack("{s:s, s:I, s:f, s:O?, s:o}", "name", name, "version", (json_int_t)item->version, "share",
                     (double)item->share / 100, "by", json_object_get(text, "by"), "text", text);
}

static json_t *items_json(const struct control_fleet *fleet)
{
    const struct config *config = fleet->holder->config;
    json_t *items = json_array();
    for (uint32_t i = 0; i < config->route_count; i++) {
        char name[FLEET_ROUTE_ITEM_ROOM];
        json_t *item = item_json(fleet, control_fleet_item_name(name, config->routes[i].name));
        if (item != NULL)
            (void)json_array_append_new(items, item);
    }
    return items;
}

json_t *control_fleet_status(const struct control_fleet *fleet)
{
    struct control_fleet_facts facts;
    if (!control_fleet_facts(fleet, &facts))
        return NULL;
    const struct redis_facts *redis = &facts.redis;
    uint64_t down_ms = redis->down_since_ms != 0 ? control_clock_ms() - redis->down_since_ms : 0;
    json_t *link = json_pack(
        "{s:b, s:o, s:o, s:f, s:I, s:I, s:I, s:I, s:o}", "available", redis->ready, "server", utf8_json(redis->server),
        "last_error", redis->last_error[0] != '\0' ? utf8_json(redis->last_error) : json_null(), "latency_ms",
        (double)redis->latency_us / 1000, "reconnects", (json_int_t)redis->reconnects, "down_ms", (json_int_t)down_ms,
        "queued", (json_int_t)redis->queued, "commands", (json_int_t)redis->commands, "faults", faults_json(redis));
    return json_pack("{s:s, s:o, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:s, s:o?, s:o?, s:o}", "group", facts.group,
                     "replica", utf8_json(facts.replica), "role", fleet_role_name(facts.role), "leader",
                     utf8_json(facts.leader), "term", (json_int_t)facts.term, "epoch", (json_int_t)facts.epoch, "alive",
                     (json_int_t)facts.alive, "quorum", (json_int_t)router_fleet_quorum(facts.alive), "lag_ms",
                     (json_int_t)facts.lag_ms, "file", fleet->file, "redis", link, "passthrough",
                     item_json(fleet, FLEET_PASSTHROUGH), "items", items_json(fleet));
}

json_t *control_fleet_brief(const struct control_fleet *fleet)
{
    struct control_fleet_facts facts;
    if (!control_fleet_facts(fleet, &facts))
        return json_null();
    return json_pack("{s:s, s:o, s:s, s:o, s:I, s:b}", "group", facts.group, "replica", utf8_json(facts.replica),
                     "role", fleet_role_name(facts.role), "leader", utf8_json(facts.leader), "alive",
                     (json_int_t)facts.alive, "redis_available", facts.redis.ready);
}
