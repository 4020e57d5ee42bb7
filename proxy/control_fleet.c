/*
 * A replica's part in its fleet: see control_fleet.h. Control thread.
 *
 *   router  --wish-->  here  --change-->  fleet.c  --document-->  redis.c  -->  Redis
 *   router <--adopt--  here <---item----  fleet.c <---answer----  redis.c <--
 *
 * Nothing here is on a request's path, and nothing waits: what the workers go by is the router's view, as without a fleet.
 */
#include "proxy/control_fleet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <xxhash.h>

#include "proxy/control_inside.h"
#include "proxy/fleet_keys.h"
#include "router/pool.h"
#include "router/store/fleet_script.h"
#include "router/utf8.h"

enum {
    WAITERS_MOST = 64,
    READ_EVERY_MS = 1000, /* the pooled evidence, while it changes */
    READ_AT_ONCE = 16,    /* routes */
    READ_PATIENCE_MS = 5000,
    ID_ROOM = 160,
};

static const char passthrough_item[] = "passthrough";
static const char route_prefix[] = "route:";

/* Somebody who waits for the wish of a command. */
struct expected {
    uint64_t ticket; /* 0: free */
    struct control_waiter waiter;
};

/* A wish under way. */
struct asked {
    struct control_fleet *fleet;
    uint64_t ticket; /* of `expected`; 0: nobody waits */
    bool safety;
    bool passthrough_on;
    char name[]; /* of the item */
};

struct control_fleet {
    struct control *control;
    struct config_holder *holder; /* one reference */
    struct redis *redis;
    struct fleet *fleet;
    struct fleet_keys keys;
    char id[ID_ROOM];
    char boot[17];
    char file[17]; /* hash of all plans in the file */
    bool ready;    /* the first items have been adopted: from now on changes are published */
    struct expected expected[WAITERS_MOST];
    uint64_t last_ticket;
    unsigned passthrough_asked; /* wishes to turn it on, under way */
    json_t *view, *open;        /* as last told; owned */
    uint64_t stamp, stamp_read, read_at_ms, reading_since_ms;
    json_t *reading; /* names of the routes that are being read; owned, NULL: none are */
    uint64_t alive, term, beaten_ms, conflicts, other_file;
    char leader[ID_ROOM];
};

/* ---- names ---- */

static const struct config_redis *config_of(const struct control_fleet *fleet)
{
    return &fleet->holder->config->state.redis;
}

/* NULL: it is not the item of a route. */
static const char *route_of(const char *item)
{
    size_t length = sizeof(route_prefix) - 1;
    return strncmp(item, route_prefix, length) == 0 ? item + length : NULL;
}

/* Two processes of one name are two replicas all the same. */
static bool choose_id(struct control_fleet *fleet)
{
    uint64_t chance;
    if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
        return false;
    snprintf(fleet->boot, sizeof(fleet->boot), "%016llx", (unsigned long long)chance);
    snprintf(fleet->id, sizeof(fleet->id), "%.100s/%.8s", config_of(fleet)->replica, fleet->boot);
    return true;
}

static void hash_file(struct control_fleet *fleet)
{
    const struct config *config = fleet->holder->config;
    uint64_t hash = 0;
    for (uint32_t i = 0; i < config->route_count; i++) {
        uint32_t share, rank;
        const char *name = config->routes[i].name;
        json_t *item = router_item(fleet->control->router, name, control_clock_ms(), control_wall_clock_ms(), &share, &rank);
        const char *plan = json_string_value(json_object_get(item, "file"));
        hash = XXH3_64bits_withSeed(name, strlen(name), hash);
        if (plan != NULL)
            hash = XXH3_64bits_withSeed(plan, strlen(plan), hash);
        json_decref(item);
    }
    snprintf(fleet->file, sizeof(fleet->file), "%016llx", (unsigned long long)hash);
}

const char *control_fleet_file(const struct control_fleet *fleet)
{
    return fleet->file;
}

/* ---- who waits ---- */

uint64_t control_fleet_expect(struct control_fleet *fleet, const struct control_waiter *waiter)
{
    for (size_t i = 0; i < WAITERS_MOST; i++) {
        if (fleet->expected[i].ticket != 0)
            continue;
        fleet->expected[i] = (struct expected){++fleet->last_ticket, *waiter};
        return fleet->last_ticket;
    }
    return 0;
}

void control_fleet_forget(struct control_fleet *fleet, uint64_t ticket)
{
    for (size_t i = 0; fleet != NULL && i < WAITERS_MOST; i++)
        if (fleet->expected[i].ticket == ticket)
            fleet->expected[i].ticket = 0;
}

static void tell_waiter(struct control_fleet *fleet, uint64_t ticket, int error, const char *why)
{
    for (size_t i = 0; i < WAITERS_MOST && ticket != 0; i++) {
        struct expected *expected = &fleet->expected[i];
        if (expected->ticket != ticket)
            continue;
        expected->ticket = 0;
        expected->waiter.done(expected->waiter.context, error, why);
        return;
    }
}

static const struct {
    const char *why;
    int error;
    const char *sentence;
} failures[] = {
    {"conflict", -ECANCELED, "somebody else changed it in the same moment"},
    {"raise", -EPERM, "it would raise a share, which only the leader's verdict or a person may"},
    {"format", -EPERM, "the group is of a later version of shunt than this replica"},
    {"not_leader", -ECANCELED, "another replica leads by now"},
    {"cut_off", -ENOLINK, "Redis is not there, so that the fleet cannot be told"},
    {"no_answer", -ETIMEDOUT, "Redis did not answer: nobody knows yet whether it has happened"},
};

/* ---- from the router ---- */

static void settle(struct control_fleet *fleet)
{
    if (fleet->ready)
        control_settle(fleet->control);
}

/* What the fleet says has been saved before anybody is told that it is done. */
static void on_changed(void *context, uint64_t ticket, const char *why)
{
    struct asked *asked = context;
    struct control_fleet *fleet = asked->fleet;
    const char *route = route_of(asked->name);
    int error = 0;
    const char *sentence = NULL;
    (void)ticket;
    for (size_t i = 0; why != NULL && i < sizeof(failures) / sizeof(failures[0]); i++) {
        if (strcmp(failures[i].why, why) != 0)
            continue;
        error = failures[i].error;
        sentence = failures[i].sentence;
    }
    if (why != NULL && error == 0)
        error = -EPERM, sentence = "the fleet refused it";
    if (error == -ECANCELED)
        fleet->conflicts++;
    if (asked->passthrough_on)
        fleet->passthrough_asked--;
    if (route != NULL && why != NULL)
        router_wish_over(fleet->control->router, route);
    if (asked->ticket != 0 && error == 0 && fleet->ready && !control_settle_and_wait(fleet->control))
        error = -EIO, sentence = "it is done, but could not be saved: a restart while Redis is away would undo it";
    settle(fleet);
    tell_waiter(fleet, asked->ticket, error, sentence);
    free(asked);
}

static bool ask(struct control_fleet *fleet, enum fleet_kind kind, const struct fleet_item *item, const json_t *log,
                uint64_t ticket)
{
    size_t length = strlen(item->name) + 1;
    struct asked *asked = calloc(1, sizeof(*asked) + length);
    char *text = asked != NULL && log != NULL ? json_dumps(log, JSON_COMPACT) : NULL;
    if (asked == NULL || (log != NULL && text == NULL)) {
        free(asked);
        return false;
    }
    asked->fleet = fleet;
    asked->ticket = ticket;
    asked->passthrough_on = strcmp(item->name, passthrough_item) == 0 && item->share == 0;
    memcpy(asked->name, item->name, length);
    if (asked->passthrough_on)
        fleet->passthrough_asked++;
    const struct fleet_change change = {
        .kind = kind,
        .items = item,
        .item_count = 1,
        .log = text != NULL ? text : "{}",
        .done = on_changed,
        .context = asked,
        .ticket = ticket,
    };
    fleet_change(fleet->fleet, &change, control_clock_ms());
    free(text);
    return true;
}

static const enum fleet_kind kinds[] = {
    [WISH_LEADER] = FLEET_BY_LEADER,
    [WISH_PERSON] = FLEET_BY_PERSON,
    [WISH_SAFETY] = FLEET_FOR_SAFETY,
    [WISH_FILE] = FLEET_BY_FILE,
};

void control_fleet_wish(struct control_fleet *fleet, const struct router_wish *wish)
{
    if (fleet == NULL)
        return; /* without a fleet the router wishes nothing */
    char name[sizeof(route_prefix) + 256];
    char *text = json_dumps(wish->value, JSON_COMPACT | JSON_SORT_KEYS);
    snprintf(name, sizeof(name), "%s%s", route_prefix, wish->route);
    const struct fleet_item item = {.name = name, .share = wish->share, .rank = wish->rank, .text = text};
    if (text == NULL || !ask(fleet, kinds[wish->kind], &item, wish->log, wish->ticket)) {
        router_wish_over(fleet->control->router, wish->route);
        tell_waiter(fleet, wish->ticket, -ENOMEM, "no memory to ask the fleet");
    }
    free(text);
}

/* ---- passthrough ---- */

static bool turn(struct control_fleet *fleet, bool on, const char *who, const char *why)
{
    bool changed = router_passthrough(fleet->control->router, PASSTHROUGH_FLEET, on, who, why, control_wall_clock_ms());
    settle(fleet);
    return changed;
}

bool control_fleet_passthrough(struct control_fleet *fleet, bool on, const char *who, const char *reason,
                               const struct control_waiter *waiter, int *error, const char **why)
{
    uint64_t wall_ms = control_wall_clock_ms();
    const char *because = reason != NULL ? reason : "no reason given";
    if (on)
        (void)turn(fleet, true, who, because); /* one switch always works */
    if (!on && fleet_role(fleet->fleet) == FLEET_CUT_OFF) {
        *error = -ENOLINK;
        *why = failures[4].sentence;
        return false;
    }
    json_t *value = json_pack("{s:b, s:{s:s, s:o, s:o, s:I}}", "on", on, "by", "what", on ? "passthrough_on" : "passthrough_off",
                              "who", utf8_json(who), "why", utf8_json(because), "at_ms", (json_int_t)wall_ms);
    json_t *log = json_copy(json_object_get(value, "by"));
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    const struct fleet_item item = {.name = (char *)passthrough_item, .share = on ? 0 : 1, .text = text};
    uint64_t ticket = text != NULL ? control_fleet_expect(fleet, waiter) : 0;
    bool asked = ticket != 0 && ask(fleet, on ? FLEET_FOR_SAFETY : FLEET_BY_PERSON, &item, log, ticket);
    if (!asked) {
        control_fleet_forget(fleet, ticket);
        *error = -ENOMEM;
        *why = "too many wait for the fleet already, or there is no memory";
    }
    free(text);
    json_decref(log);
    json_decref(value);
    return asked;
}

static void adopt_passthrough(struct control_fleet *fleet, const struct fleet_item *item, const json_t *value)
{
    const json_t *by = json_object_get(value, "by");
    const char *who = json_string_value(json_object_get(by, "who"));
    const char *why = json_string_value(json_object_get(by, "why"));
    bool on = item->share == 0;
    if (!on && fleet->passthrough_asked > 0)
        return; /* it has just been turned on here, and the fleet is about to hear of it */
    (void)turn(fleet, on, who != NULL ? who : "fleet", why != NULL ? why : "the fleet says so");
}

/* ---- to the router ---- */

static void tell_garbage(struct control_fleet *fleet, const char *name, const char *why)
{
    log_event(fleet->control->log, LOG_LEVEL_ERROR, "fleet_item_refused",
              json_pack("{s:o, s:s}", "item", utf8_json(name), "why", why));
}

static void on_item(void *context, const struct fleet_item *item)
{
    struct control_fleet *fleet = context;
    const char *route = route_of(item->name), *why = NULL;
    json_t *value = item->text != NULL ? json_loads(item->text, 0, NULL) : NULL;
    if (!json_is_object(value))
        tell_garbage(fleet, item->name, "its text is no JSON object");
    else if (strcmp(item->name, passthrough_item) == 0)
        adopt_passthrough(fleet, item, value);
    else if (route != NULL && !router_adopt(fleet->control->router, route, value, item->version, control_clock_ms(),
                                            control_wall_clock_ms(), &why))
        tell_garbage(fleet, item->name, why != NULL ? why : "it is not the state of a route");
    json_decref(value);
    settle(fleet);
}

static void follow_role(struct control_fleet *fleet, uint64_t now_ms)
{
    static const enum router_role roles[] = {
        [FLEET_CUT_OFF] = ROUTER_CUT_OFF,
        [FLEET_FOLLOWER] = ROUTER_FOLLOWER,
        [FLEET_LEADER] = ROUTER_LEADER,
    };
    bool may_raise = fleet_may_raise(fleet->fleet, now_ms);
    router_set_role(fleet->control->router, roles[fleet_role(fleet->fleet)], may_raise,
                    may_raise ? NULL : "this replica has led for a moment only, or Redis has just come back", now_ms);
}

static void on_role(void *context, enum fleet_role role, uint64_t term)
{
    struct control_fleet *fleet = context;
    fleet->term = term;
    fleet->stamp_read = UINT64_MAX; /* read as soon as there is something */
    if (role != FLEET_LEADER)
        router_pool_forget(fleet->control->router);
    follow_role(fleet, control_clock_ms());
}

static void on_event(void *context, bool bad, const char *what, json_t *fields)
{
    struct control_fleet *fleet = context;
    log_event(fleet->control->log, bad ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, what, fields);
}

/* ---- beats ---- */

static json_t *make_view(const struct control_fleet *fleet)
{
    return json_pack("{s:o, s:s, s:s, s:I, s:s}", "name", utf8_json(config_of(fleet)->replica), "version", SHUNT_VERSION,
                     "role", fleet_role_name(fleet_role(fleet->fleet)), "epoch", (json_int_t)fleet_epoch(fleet->fleet), "file",
                     fleet->file);
}

/* `now` when it is not what was told last. */
static json_t *if_changed(json_t **told, json_t *now)
{
    if (now == NULL || json_equal(*told, now)) {
        json_decref(now);
        return NULL;
    }
    json_decref(*told);
    *told = json_incref(now);
    return now;
}

static void fill_beat(void *context, struct fleet_beat *beat)
{
    struct control_fleet *fleet = context;
    struct router *router = fleet->control->router;
    json_t *counts = NULL;
    beat->view = if_changed(&fleet->view, make_view(fleet));
    beat->open = if_changed(&fleet->open, router_open_breakers(router));
    bool leads = fleet_role(fleet->fleet) == FLEET_LEADER;
    if (router_pool_parcel(router, leads, control_clock_ms(), &beat->routes, &counts))
        beat->counts = json_pack("{s:o}", "routes", counts);
}

/* After the link was lost nobody knows what Redis still has of what was told. */
static void tell_all_again(struct control_fleet *fleet)
{
    json_decref(fleet->view);
    json_decref(fleet->open);
    fleet->view = fleet->open = NULL;
}

/* Routes that nobody has shared yet. */
static void share_routes(struct control_fleet *fleet)
{
    const struct config *config = fleet->holder->config;
    for (uint32_t i = 0; i < config->route_count; i++) {
        char name[sizeof(route_prefix) + 256];
        snprintf(name, sizeof(name), "%s%s", route_prefix, config->routes[i].name);
        const struct fleet_item *known = fleet_item(fleet->fleet, name);
        if (known != NULL && known->version > 0)
            continue;
        struct router_wish wish = {.kind = WISH_FILE, .route = config->routes[i].name};
        wish.value = router_item(fleet->control->router, wish.route, control_clock_ms(), control_wall_clock_ms(), &wish.share,
                                 &wish.rank);
        wish.log = json_pack("{s:s, s:s, s:s}", "what", "route_shared", "who", fleet->id, "why", "the fleet did not know the route");
        if (wish.value != NULL && wish.log != NULL)
            control_fleet_wish(fleet, &wish);
        json_decref(wish.value);
        json_decref(wish.log);
    }
}

static uint64_t number_of(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

static void on_beat(void *context, const json_t *answer)
{
    struct control_fleet *fleet = context;
    uint64_t now_ms = control_clock_ms();
    const char *leader = json_string_value(json_object_get(answer, "leader"));
    fleet->beaten_ms = now_ms;
    fleet->alive = number_of(answer, "alive");
    fleet->stamp = number_of(answer, "stamp");
    fleet->term = number_of(answer, "term");
    snprintf(fleet->leader, sizeof(fleet->leader), "%s", leader != NULL ? leader : "");
    if (fleet_role(fleet->fleet) != FLEET_LEADER)
        return;
    share_routes(fleet);
    router_fleet_looked(fleet->control->router, json_object_get(answer, "open"), (uint32_t)fleet->alive, now_ms,
                        control_wall_clock_ms());
}

/* ---- the pooled evidence ---- */

static void on_read(void *context, const json_t *answer)
{
    struct control_fleet *fleet = context;
    const json_t *rows = json_object_get(answer, "routes");
    json_t *names = fleet->reading;
    fleet->reading = NULL;
    if (answer != NULL)
        fleet->stamp_read = number_of(answer, "stamp");
    for (size_t i = 0; answer != NULL && i < json_array_size(names); i++) {
        const char *route = json_string_value(json_array_get(names, i));
        const json_t *row = json_array_get(rows, i);
        if (row != NULL && !router_pool_take(fleet->control->router, route, row, control_clock_ms(), control_wall_clock_ms()))
            tell_garbage(fleet, route, "its counts are not what a replica sends");
    }
    json_decref(names);
}

static void read_evidence(struct control_fleet *fleet, uint64_t now_ms)
{
    if (fleet_role(fleet->fleet) != FLEET_LEADER || fleet->stamp == fleet->stamp_read || now_ms < fleet->read_at_ms)
        return;
    if (fleet->reading != NULL && now_ms - fleet->reading_since_ms < READ_PATIENCE_MS)
        return;
    json_decref(fleet->reading);
    fleet->read_at_ms = now_ms + READ_EVERY_MS;
    fleet->reading_since_ms = now_ms;
    fleet->reading = router_pool_wanted(fleet->control->router, READ_AT_ONCE);
    if (fleet->reading != NULL && json_array_size(fleet->reading) > 0 && fleet_read(fleet->fleet, fleet->reading, on_read, fleet))
        return;
    json_decref(fleet->reading);
    fleet->reading = NULL;
}

/* ---- the link ---- */

static void on_answer(void *context, uint64_t ticket, const struct redis_answer *answer)
{
    struct control_fleet *fleet = context;
    fleet_answer(fleet->fleet, ticket, answer->fault == REDIS_FAULT_NONE ? answer->text : NULL, control_clock_ms());
}

static bool send_operation(void *context, uint64_t ticket, const char *operation, const json_t *routes, const char *document)
{
    struct control_fleet *fleet = context;
    struct redis_question question = {
        .operation = operation,
        .document = document,
        .answered = on_answer,
        .context = fleet,
        .ticket = ticket,
    };
    char **keys = fleet_keys_of(&fleet->keys, routes, &question.key_count);
    question.keys = (const char *const *)keys;
    bool sent = keys != NULL && fleet->redis != NULL && redis_ask(fleet->redis, &question) == REDIS_FAULT_NONE;
    fleet_keys_free(keys, question.key_count);
    return sent;
}

static void on_ready(void *context)
{
    struct control_fleet *fleet = context;
    tell_all_again(fleet);
    fleet_connected(fleet->fleet, control_clock_ms());
    follow_role(fleet, control_clock_ms());
    settle(fleet);
}

static void on_lost(void *context, enum redis_fault fault, const char *why)
{
    struct control_fleet *fleet = context;
    (void)fault, (void)why; /* the link tells the log */
    fleet_lost(fleet->fleet, control_clock_ms());
    follow_role(fleet, control_clock_ms());
    settle(fleet);
}

static void on_message(void *context, const char *payload, size_t length)
{
    struct control_fleet *fleet = context;
    fleet_news(fleet->fleet, payload, length, control_clock_ms());
}

/* ---- for people ---- */

struct question {
    void (*answered)(void *context, const json_t *document);
    void *context;
};

static void on_asked(void *context, uint64_t ticket, const struct redis_answer *answer)
{
    struct question *question = context;
    json_t *document = answer->fault == REDIS_FAULT_NONE ? json_loadb(answer->text, answer->length, 0, NULL) : NULL;
    (void)ticket;
    question->answered(question->context, json_is_object(document) ? document : NULL);
    json_decref(document);
    free(question);
}

bool control_fleet_ask(struct control_fleet *fleet, const char *operation,
                       void (*answered)(void *context, const json_t *document), void *context)
{
    struct question *question = malloc(sizeof(*question));
    struct redis_question asked = {
        .operation = operation,
        .document = "{\"routes\":[]}",
        .answered = on_asked,
        .context = question,
    };
    char **keys = question != NULL ? fleet_keys_of(&fleet->keys, NULL, &asked.key_count) : NULL;
    bool sent = false;
    if (keys != NULL) {
        *question = (struct question){answered, context};
        asked.keys = (const char *const *)keys;
        sent = redis_ask(fleet->redis, &asked) == REDIS_FAULT_NONE;
    }
    if (!sent)
        free(question);
    fleet_keys_free(keys, asked.key_count);
    return sent;
}

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
        .group = config_of(fleet)->group,
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
            json_object_set_new(faults, redis_fault_name((enum redis_fault)i), json_integer((json_int_t)facts->faults[i]));
    return faults;
}

json_t *control_fleet_status(const struct control_fleet *fleet)
{
    struct control_fleet_facts facts;
    if (!control_fleet_facts(fleet, &facts))
        return NULL;
    const struct redis_facts *redis = &facts.redis;
    uint64_t down_ms = redis->down_since_ms != 0 ? control_clock_ms() - redis->down_since_ms : 0;
    json_t *link = json_pack("{s:b, s:o, s:o, s:f, s:I, s:I, s:I, s:I, s:o}", "available", redis->ready, "server",
                             utf8_json(redis->server), "last_error", redis->last_error[0] != '\0' ? utf8_json(redis->last_error) : json_null(),
                             "latency_ms", (double)redis->latency_us / 1000, "reconnects", (json_int_t)redis->reconnects, "down_ms",
                             (json_int_t)down_ms, "queued", (json_int_t)redis->queued, "commands", (json_int_t)redis->commands,
                             "faults", faults_json(redis));
    return json_pack("{s:s, s:o, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:o?}", "group", facts.group, "replica",
                     utf8_json(facts.replica), "role", fleet_role_name(facts.role), "leader", facts.leader, "term",
                     (json_int_t)facts.term, "epoch", (json_int_t)facts.epoch, "alive", (json_int_t)facts.alive, "quorum",
                     (json_int_t)(facts.alive / 2 + 1 > 2 ? facts.alive / 2 + 1 : 2), "lag_ms", (json_int_t)facts.lag_ms, "file",
                     fleet->file, "redis", link);
}

/* ---- life ---- */

static bool start_fleet(struct control_fleet *fleet, const json_t *saved)
{
    const char *why = NULL;
    const struct fleet_options options = {.replica = fleet->id, .boot = fleet->boot, .may_lead = true};
    const struct fleet_hooks hooks = {
        .context = fleet,
        .send = send_operation,
        .fill_beat = fill_beat,
        .on_item = on_item,
        .on_role = on_role,
        .on_beat = on_beat,
        .on_event = on_event,
    };
    fleet->fleet = fleet_new(&options, &hooks);
    if (fleet->fleet == NULL)
        return false;
    follow_role(fleet, control_clock_ms());
    if (saved != NULL && !fleet_restore(fleet->fleet, saved, &why))
        tell_garbage(fleet, "saved state", why != NULL ? why : "it is not what a replica saves");
    return true;
}

struct control_fleet *control_fleet_new(struct control *control, struct config_holder *holder, const json_t *saved)
{
    struct control_fleet *fleet = calloc(1, sizeof(*fleet));
    if (fleet == NULL)
        return NULL;
    fleet->control = control;
    fleet->holder = holder;
    config_holder_ref(holder);
    const struct redis_hooks hooks = {
        .context = fleet,
        .on_ready = on_ready,
        .on_lost = on_lost,
        .on_message = on_message,
        .on_event = on_event,
    };
    if (choose_id(fleet) && fleet_keys_init(&fleet->keys, config_of(fleet)->group)) {
        hash_file(fleet);
        if (start_fleet(fleet, saved))
            fleet->redis = redis_new(control->base, config_of(fleet), fleet_script, fleet->keys.channel, &hooks);
    }
    if (fleet->redis != NULL) {
        fleet->ready = true;
        return fleet;
    }
    control_fleet_free(fleet);
    return NULL;
}

void control_fleet_free(struct control_fleet *fleet)
{
    if (fleet == NULL)
        return;
    fleet->ready = false;
    redis_free(fleet->redis);
    fleet_free(fleet->fleet);
    for (size_t i = 0; i < WAITERS_MOST; i++)
        tell_waiter(fleet, fleet->expected[i].ticket, -ENOLINK, "shunt ends");
    fleet_keys_done(&fleet->keys);
    json_decref(fleet->view);
    json_decref(fleet->open);
    json_decref(fleet->reading);
    config_holder_unref(fleet->holder);
    free(fleet);
}

void control_fleet_configure(struct control_fleet *fleet, struct config_holder *holder)
{
    if (fleet == NULL || holder->config->state.redis.url == NULL)
        return; /* to leave a fleet takes a restart */
    struct config_holder *former = fleet->holder;
    fleet->holder = holder;
    config_holder_ref(holder);
    redis_configure(fleet->redis, config_of(fleet));
    config_holder_unref(former);
    hash_file(fleet);
}

void control_fleet_tick(struct control_fleet *fleet, uint64_t now_ms)
{
    if (fleet == NULL)
        return;
    json_t *open = router_open_breakers(fleet->control->router);
    if (open != NULL && !json_equal(open, fleet->open) && fleet->open != NULL)
        fleet_hurry(fleet->fleet); /* a breaker: others should hear of it now */
    json_decref(open);
    fleet_tick(fleet->fleet, now_ms);
    follow_role(fleet, now_ms);
    read_evidence(fleet, now_ms);
}

bool control_fleet_has_joined(const struct control_fleet *fleet)
{
    return fleet->beaten_ms != 0;
}

void control_fleet_leave(struct control_fleet *fleet)
{
    if (fleet != NULL)
        fleet_may_lead(fleet->fleet, false);
}

json_t *control_fleet_save(const struct control_fleet *fleet)
{
    return fleet != NULL ? fleet_save(fleet->fleet) : NULL;
}

uint64_t control_fleet_revision(const struct control_fleet *fleet)
{
    return fleet != NULL ? fleet_revision(fleet->fleet) : 0;
}
