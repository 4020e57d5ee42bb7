/*
 * A replica's part in its fleet: see control_fleet.h. Control thread.
 *
 *   router  --wish-->  here  --change-->  fleet.c  --document-->  redis.c  -->  Redis
 *   router <--adopt--  here <---item----  fleet.c <---answer----  redis.c <--
 *
 * Nothing here is on a request's path, and nothing waits: what the workers go by is the router's view, as without a
 * fleet.
 */
#include "proxy/control_fleet_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <xxhash.h>

#include "router/pool.h"
#include "router/store/fleet_script.h"
#include "router/utf8.h"
#include "shadow/report_fleet.h"

enum {
    READ_EVERY_MS = 1000, /* the pooled evidence, while it changes */
    READ_AT_ONCE = 16,    /* routes */
    READ_PATIENCE_MS = 5000,
};

/* ---- names ---- */

const char *control_fleet_item_name(char name[FLEET_ROUTE_ITEM_ROOM], const char *route)
{
    snprintf(name, FLEET_ROUTE_ITEM_ROOM, FLEET_ROUTE_PREFIX "%s", route);
    return name;
}

const char *control_fleet_route(const char *item)
{
    size_t length = sizeof(FLEET_ROUTE_PREFIX) - 1;
    return strncmp(item, FLEET_ROUTE_PREFIX, length) == 0 ? item + length : NULL;
}

/* Two processes of one name are two replicas all the same. */
static bool choose_id(struct control_fleet *fleet)
{
    uint64_t chance;
    if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
        return false;
    snprintf(fleet->boot, sizeof(fleet->boot), "%016llx", (unsigned long long)chance);
    snprintf(fleet->id, sizeof(fleet->id), "%.100s/%.8s", control_fleet_config(fleet)->replica, fleet->boot + 8);
    return true;
}

static void hash_file(struct control_fleet *fleet)
{
    const struct config *config = fleet->holder->config;
    uint64_t hash = 0;
    for (uint32_t i = 0; i < config->route_count; i++) {
        uint32_t share, rank;
        const char *name = config->routes[i].name;
        json_t *item =
            router_item(fleet->control->router, name, control_clock_ms(), control_wall_clock_ms(), &share, &rank);
        const char *plan = json_string_value(json_object_get(item, "file"));
        hash = XXH3_64bits_withSeed(name, strlen(name), hash);
        if (plan != NULL)
            hash = XXH3_64bits_withSeed(plan, strlen(plan), hash);
        json_decref(item);
    }
    snprintf(fleet->file, sizeof(fleet->file), "%016llx", (unsigned long long)hash);
}

void control_fleet_settle(struct control_fleet *fleet)
{
    if (fleet->ready)
        control_settle(fleet->control);
}

static void adopt_passthrough(struct control_fleet *fleet, const struct fleet_item *item, const json_t *value)
{
    const json_t *by = json_object_get(value, "by");
    const char *who = json_string_value(json_object_get(by, "who"));
    const char *why = json_string_value(json_object_get(by, "why"));
    bool on = item->share == 0;
    if (!on && control_fleet_turns_on(fleet))
        return; /* it has just been turned on here, and the fleet is about to hear of it */
    control_fleet_turn(fleet, on, who != NULL ? who : "fleet", why != NULL ? why : "the fleet says so");
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
    const char *route = control_fleet_route(item->name), *why = NULL;
    json_t *value = item->text != NULL ? json_loads(item->text, 0, NULL) : NULL;
    fleet->control->adopts = !control_fleet_asks(fleet, item->name);
    if (!json_is_object(value))
        tell_garbage(fleet, item->name, "its text is no JSON object");
    else if (strcmp(item->name, FLEET_PASSTHROUGH) == 0)
        adopt_passthrough(fleet, item, value);
    else if (route != NULL && !router_adopt(fleet->control->router, route, value, item->version, control_clock_ms(),
                                            control_wall_clock_ms(), &why))
        tell_garbage(fleet, item->name, why != NULL ? why : "it is not the state of a route");
    fleet->control->adopts = false;
    json_decref(value);
    control_fleet_settle(fleet);
}

static void follow_role(struct control_fleet *fleet, uint64_t now_ms)
{
    static const enum router_role roles[] = {
        [FLEET_CUT_OFF] = ROUTER_CUT_OFF,
        [FLEET_FOLLOWER] = ROUTER_FOLLOWER,
        [FLEET_LEADER] = ROUTER_LEADER,
    };
    const char *why_not = NULL;
    if (!fleet_may_raise(fleet->fleet, now_ms) || !fleet->looked)
        why_not = "this replica has led for a moment only, or Redis has just come back";
    else if (fleet->other_file > 0)
        why_not = "a replica has another file with other plans (shuntctl fleet)";
    router_set_role(fleet->control->router, roles[fleet_role(fleet->fleet)], why_not == NULL, why_not, now_ms);
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
    return json_pack("{s:o, s:s, s:s, s:I, s:s}", "name", utf8_json(control_fleet_config(fleet)->replica), "version",
                     SHUNT_VERSION, "role", fleet_role_name(fleet_role(fleet->fleet)), "epoch",
                     (json_int_t)fleet_epoch(fleet->fleet), "file", fleet->file);
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

/* False without memory: then they are missing from the fleet's sums, and nothing else. */
static bool add_counts(struct fleet_beat *beat, const char *what, json_t *value)
{
    if (beat->counts == NULL)
        beat->counts = json_object();
    return json_object_set_new(beat->counts, what, value) == 0;
}

static void fill_counts(struct control_fleet *fleet, struct fleet_beat *beat)
{
    json_t *counts, *fields, *samples;
    uint64_t now_ms = control_clock_ms();
    bool leads = fleet_role(fleet->fleet) == FLEET_LEADER;
    if (router_pool_parcel(fleet->control->router, leads, now_ms, &beat->routes, &counts) &&
        !add_counts(beat, "routes", counts)) {
        json_decref(beat->routes);
        beat->routes = NULL;
    }
    if (!report_fleet_parcel(fleet->told, now_ms, &fields, &samples))
        return;
    if (fields != NULL)
        (void)add_counts(beat, "report", fields);
    if (samples != NULL)
        (void)add_counts(beat, "samples", samples);
}

static void fill_beat(void *context, struct fleet_beat *beat)
{
    struct control_fleet *fleet = context;
    beat->view = if_changed(&fleet->view, make_view(fleet));
    beat->open = if_changed(&fleet->open, router_open_breakers(fleet->control->router));
    fill_counts(fleet, beat);
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
        char name[FLEET_ROUTE_ITEM_ROOM];
        const struct fleet_item *known =
            fleet_item(fleet->fleet, control_fleet_item_name(name, config->routes[i].name));
        if (known != NULL && known->version > 0)
            continue;
        struct router_wish wish = {.kind = WISH_FILE, .route = config->routes[i].name};
        wish.value = router_item(fleet->control->router, wish.route, control_clock_ms(), control_wall_clock_ms(),
                                 &wish.share, &wish.rank);
        wish.log = json_pack("{s:s, s:s, s:s}", "what", "route_shared", "who", fleet->id, "why",
                             "the fleet did not know the route");
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
    if (router_pool_answered(fleet->control->router, answer)) {
        report_fleet_lost(fleet->told);
        log_event(fleet->control->log, LOG_LEVEL_WARN, "fleet_counts_lost",
                  json_pack("{s:s}", "why",
                            "Redis has less than it was told: the evidence of running stages is of a part of the "
                            "fleet's requests, and holds may take longer"));
    }
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
        if (row != NULL &&
            !router_pool_take(fleet->control->router, route, row, control_clock_ms(), number_of(answer, "now")))
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
    if (fleet->reading != NULL && json_array_size(fleet->reading) > 0 &&
        fleet_read(fleet->fleet, fleet->reading, on_read, fleet))
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

static bool send_operation(void *context, uint64_t ticket, const char *operation, const json_t *routes,
                           const char *document)
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
    control_fleet_settle(fleet);
}

static void on_lost(void *context, enum redis_fault fault, const char *why)
{
    struct control_fleet *fleet = context;
    (void)fault, (void)why; /* the link tells the log */
    fleet_lost(fleet->fleet, control_clock_ms());
    follow_role(fleet, control_clock_ms());
    control_fleet_settle(fleet);
}

static void on_message(void *context, const char *payload, size_t length)
{
    struct control_fleet *fleet = context;
    fleet_news(fleet->fleet, payload, length, control_clock_ms());
}

/* ---- life ---- */

/* What another group wanted is not to be told to this one: its versions would stand. */
static bool is_of_this_group(const struct control_fleet *fleet, const json_t *saved)
{
    const char *group = json_string_value(json_object_get(saved, "group"));
    if (group == NULL || strcmp(group, fleet->group) == 0)
        return true;
    log_event(fleet->control->log, LOG_LEVEL_WARN, "fleet_group_changed",
              json_pack("{s:s, s:s, s:s}", "from", group, "to", fleet->group, "why",
                        "what the former group wanted is not told to this one"));
    return false;
}

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
    router_name_replica(fleet->control->router, fleet->boot + 8); /* as in its id */
    follow_role(fleet, control_clock_ms());
    if (saved != NULL && is_of_this_group(fleet, saved) && !fleet_restore(fleet->fleet, saved, &why))
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
    control_fleet_begin_readers(fleet);
    const struct redis_hooks hooks = {
        .context = fleet,
        .on_ready = on_ready,
        .on_lost = on_lost,
        .on_message = on_message,
        .on_event = on_event,
    };
    fleet->told = report_fleet_new(control->report);
    fleet->group = strdup(control_fleet_config(fleet)->group);
    if (fleet->told != NULL && fleet->group != NULL && choose_id(fleet) &&
        fleet_keys_init(&fleet->keys, control_fleet_config(fleet)->group)) {
        hash_file(fleet);
        if (start_fleet(fleet, saved))
            fleet->redis =
                redis_new(control->base, control_fleet_config(fleet), fleet_script, fleet->keys.channel, &hooks);
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
    control_fleet_end_readers(fleet);
    fleet_free(fleet->fleet);
    report_fleet_free(fleet->told);
    control_fleet_refuse(fleet);
    fleet_keys_done(&fleet->keys);
    json_decref(fleet->view);
    json_decref(fleet->open);
    json_decref(fleet->reading);
    free(fleet->group);
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
    redis_configure(fleet->redis, control_fleet_config(fleet));
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
    control_fleet_compare_files(fleet, now_ms);
    follow_role(fleet, now_ms);
    read_evidence(fleet, now_ms);
    control_fleet_serve_readers(fleet);
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
    json_t *saved = fleet != NULL ? fleet_save(fleet->fleet) : NULL;
    if (saved == NULL || json_object_set_new(saved, "group", json_string(fleet->group)) == 0)
        return saved;
    json_decref(saved);
    return NULL;
}

uint64_t control_fleet_revision(const struct control_fleet *fleet)
{
    return fleet != NULL ? fleet_revision(fleet->fleet) : 0;
}
