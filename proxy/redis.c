/*
 * The way to Redis: see redis.h. Control thread; blocks nowhere but in reading small files.
 *
 * This file is about where Redis is and whether it is there: phases, back-off, events. The questions are redis_ask.c's.
 *
 * Back-off: after a loss three quick tries, since most losses are restarts and failovers; then waits that double, drawn
 * between almost nothing and all of them, so that replicas do not come back in step. A connection counts as made when
 * it has answered something, or stood for a while: a server that takes connections and refuses all questions is not
 * hammered.
 */
#include "proxy/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <event2/util.h>

#include "proxy/redis_inside.h"

enum {
    QUICK_MS = 50, /* then 100, 200 */
    QUICK_TRIES = 3,
    STANDS_MS = 5000, /* a connection that stood so long was good */
    TOLD_AGAIN_MS = 10000,
};

static uint64_t now_ms(void)
{
    return redis_now_us() / 1000;
}

/* ---- telling ---- */

void redis_tell(struct redis *redis, bool bad, const char *what, json_t *fields)
{
    redis->hooks.on_event(redis->hooks.context, bad, what, fields);
}

static json_t *fault_json(const struct redis *redis, enum redis_fault fault, const char *why)
{
    return json_pack("{s:s, s:s, s:s}", "server", redis->facts.server, "fault", redis_fault_name(fault), "why", why);
}

/* That it is away, when it turns; and that it is away for another reason now, but not at each try. */
static void tell_fault(struct redis *redis, bool was_ready, enum redis_fault fault, const char *why)
{
    uint64_t now = now_ms();
    bool is_news = redis->told == REDIS_FAULT_NONE || (fault != redis->told && now - redis->told_ms >= TOLD_AGAIN_MS);
    if (!was_ready && !is_news)
        return;
    redis->told = fault;
    redis->told_ms = now;
    redis_tell(redis, true, was_ready ? "redis_lost" : "redis_unavailable", fault_json(redis, fault, why));
}

static void tell_insecure(struct redis *redis)
{
    if (redis->means.tls == NULL || !redis_tls_is_insecure(redis->means.tls) || redis->told_insecure)
        return;
    redis->told_insecure = true;
    redis_tell(redis, true, "redis_insecure",
               json_pack("{s:s, s:s}", "server", redis->facts.server, "why",
                         "insecure_skip_verify: anybody in between can be this Redis"));
}

static void tell_connected(struct redis *redis)
{
    const struct redis_facts *facts = &redis->facts;
    uint64_t away_ms = facts->down_since_ms != 0 ? now_ms() - facts->down_since_ms : 0;
    if (redis->server_before[0] != '\0' && strcmp(redis->server_before, facts->server) != 0)
        redis_tell(redis, false, "redis_failover",
                   json_pack("{s:s, s:s}", "from", redis->server_before, "to", facts->server));
    memcpy(redis->server_before, facts->server, sizeof(redis->server_before));
    redis_tell(redis, false, "redis_connected",
               json_pack("{s:s, s:I, s:b}", "server", facts->server, "away_ms", (json_int_t)away_ms, "tls",
                         redis->means.tls != NULL && redis->place.port != 0));
    tell_insecure(redis);
}

/* ---- losing it ---- */

static uint32_t draw(uint32_t below)
{
    uint32_t random;
    evutil_secure_rng_get_bytes(&random, sizeof(random));
    return below == 0 ? 0 : random % below;
}

static uint64_t back_off_ms(const struct redis *redis)
{
    if (redis->failures <= QUICK_TRIES)
        return (uint64_t)QUICK_MS << (redis->failures > 0 ? redis->failures - 1 : 0);
    unsigned doublings = redis->failures - QUICK_TRIES + 2;
    uint64_t most = doublings < 16 ? (uint64_t)QUICK_MS << doublings : REDIS_BACK_OFF_MS;
    if (most > REDIS_BACK_OFF_MS)
        most = REDIS_BACK_OFF_MS;
    return QUICK_MS + draw((uint32_t)most);
}

static void close_nodes(struct redis *redis)
{
    redis_node_close(redis->node);
    redis_node_close(redis->next);
    redis_node_close(redis->aside);
    redis->node = redis->next = redis->aside = NULL;
    if (redis->cluster != NULL)
        redis_cluster_stop(redis->cluster);
}

void redis_lost(struct redis *redis, enum redis_fault fault, const char *why, bool at_once)
{
    char text[sizeof(redis->facts.last_error)];
    snprintf(text, sizeof(text), "%s", why); /* it may be of what is closed now */
    bool was_ready = redis->phase == REDIS_READY;
    const struct redis_answer answer = {.fault = fault, .text = text, .length = strlen(text)};
    redis->phase = REDIS_WAITING;
    if (was_ready && now_ms() - redis->ready_ms >= STANDS_MS)
        redis->failures = 0;
    redis->failures++;
    redis->moves = 0;
    /* Of TLS the files are read again: memory may have been short, or the system's CAs others by now. */
    if (fault == REDIS_FAULT_TLS)
        memset(&redis->files, 0, sizeof(redis->files));
    redis->facts.faults[fault]++;
    redis->facts.last_fault = fault;
    memcpy(redis->facts.last_error, text, sizeof(text));
    if (redis->facts.down_since_ms == 0)
        redis->facts.down_since_ms = now_ms();
    close_nodes(redis);
    redis->retry_ms = now_ms() + (at_once ? 0 : back_off_ms(redis));
    redis_queue_answer_all(&redis->queue, &answer);
    if (was_ready)
        redis->hooks.on_lost(redis->hooks.context, fault, text);
    tell_fault(redis, was_ready, fault, text);
    redis_arm(redis);
}

/* ---- finding and connecting ---- */

static void on_node_up(void *context)
{
    struct redis *redis = context;
    redis->phase = REDIS_READY;
    redis->ready_ms = now_ms();
    redis->facts.reconnects += redis->times_ready++ > 0;
    tell_connected(redis);
    redis->facts.down_since_ms = 0;
    redis->told = REDIS_FAULT_NONE;
    redis_arm(redis);
    redis->hooks.on_ready(redis->hooks.context);
}

static void on_node_down(void *context, enum redis_fault fault, const char *why)
{
    redis_lost(context, fault, why, false);
}

static void on_message(void *context, const char *payload, size_t length)
{
    struct redis *redis = context;
    redis->hooks.on_message(redis->hooks.context, payload, length);
}

static void connect_to(struct redis *redis, const struct redis_place *place)
{
    const struct redis_node_hooks hooks = {
        .context = redis, .on_up = on_node_up, .on_down = on_node_down, .on_message = on_message};
    redis->phase = REDIS_CONNECTING;
    redis->place = *place;
    redis_place_print(place, redis->facts.server, sizeof(redis->facts.server));
    redis->node = redis_node_open(&redis->means, REDIS_NODE_MASTER, place, redis->channel, &hooks);
    if (redis->node == NULL)
        redis_lost(redis, REDIS_FAULT_CONNECT, "no memory", false);
}

/* The files of TLS are read when they are others than last time. False: that was the try. */
static bool have_tls(struct redis *redis)
{
    const struct config_redis *config = redis->means.config;
    struct redis_files files = redis_files_now(config);
    bool is_same = redis_files_equal(&files, &redis->files);
    redis->files = files;
    if (!config->is_tls || (redis->means.tls != NULL && is_same))
        return true;
    char *error = NULL;
    struct redis_tls *tls = redis_tls_new(config, &error);
    if (tls != NULL) {
        redis_tls_free(redis->means.tls);
        redis->means.tls = tls;
        return true;
    }
    redis_lost(redis, REDIS_FAULT_TLS, error != NULL ? error : "no memory", false);
    free(error);
    return false;
}

static void connect_to_next_host(struct redis *redis)
{
    const struct config_redis *config = redis->means.config;
    const struct config_redis_host *host = &config->hosts[redis->host++ % config->host_count];
    struct redis_place place;
    if (redis_place_set(&place, host->host, strlen(host->host), host->port))
        connect_to(redis, &place);
    else
        redis_lost(redis, REDIS_FAULT_RESOLVE, "a host's name is too long", false);
}

/* Each second. That another one is master is news in any phase. */
static void on_master(void *context, const struct redis_place *master)
{
    struct redis *redis = context;
    bool is_other = !redis_place_equal(master, &redis->place);
    if (redis->phase == REDIS_FINDING || (redis->phase == REDIS_WAITING && is_other))
        connect_to(redis, master);
    else if (is_other && redis->phase != REDIS_WAITING)
        redis_lost(redis, REDIS_FAULT_READ_ONLY, "the sentinels name another master", true);
}

static void on_nobody(void *context, const char *why)
{
    struct redis *redis = context;
    if (redis->phase == REDIS_FINDING)
        redis_lost(redis, REDIS_FAULT_NO_MASTER, why, false);
}

static void on_found(void *context, const struct redis_place *place)
{
    connect_to(context, place);
}

/* Those who know where it is, for the kind of configuration that has them. False without memory. */
static bool have_finders(struct redis *redis)
{
    const struct redis_sentinel_hooks of_sentinels = {.context = redis, .on_master = on_master, .on_nobody = on_nobody};
    const struct redis_cluster_hooks of_cluster = {.context = redis, .on_found = on_found, .on_nothing = on_node_down};
    enum config_redis_kind kind = redis->means.config->kind;
    if (kind == REDIS_SENTINEL && redis->sentinel == NULL)
        redis->sentinel = redis_sentinel_new(&redis->means, &of_sentinels);
    if (kind == REDIS_CLUSTER && redis->cluster == NULL) /* the channel's name has the group's tag, as all keys have */
        redis->cluster = redis_cluster_new(&redis->means, redis->channel, &of_cluster);
    return kind == REDIS_STANDALONE || redis->sentinel != NULL || redis->cluster != NULL;
}

static void drop_finders(struct redis *redis)
{
    redis_sentinel_free(redis->sentinel);
    redis_cluster_free(redis->cluster);
    redis->sentinel = NULL;
    redis->cluster = NULL;
}

static void try_now(struct redis *redis)
{
    struct redis_place place;
    redis->phase = REDIS_FINDING;
    if (!have_tls(redis))
        return;
    if (!have_finders(redis)) {
        redis_lost(redis, REDIS_FAULT_CONNECT, "no memory", false);
        return;
    }
    if (redis->cluster != NULL)
        redis_cluster_find(redis->cluster);
    else if (redis->sentinel == NULL)
        connect_to_next_host(redis);
    else if (redis_sentinel_master(redis->sentinel, &place))
        connect_to(redis, &place); /* else when they have said who it is, or that nobody is */
}

/* ---- time ---- */

void redis_arm(struct redis *redis)
{
    uint64_t due_ms = redis->phase == REDIS_WAITING ? redis->retry_ms : redis_questions_due_ms(redis), now = now_ms();
    if (due_ms == 0) {
        evtimer_del(redis->clock);
        return;
    }
    uint64_t wait_ms = due_ms > now ? due_ms - now : 0;
    struct timeval after = {.tv_sec = (time_t)(wait_ms / 1000), .tv_usec = (suseconds_t)(wait_ms % 1000) * 1000};
    evtimer_add(redis->clock, &after);
}

static void on_clock(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct redis *redis = context;
    if (redis->phase == REDIS_WAITING && redis->retry_ms <= now_ms()) {
        try_now(redis);
    } else if (redis->phase == REDIS_READY) {
        redis_end_overdue(redis, now_ms());
        redis_send_waiting(redis);
    }
    redis_arm(redis);
}

/* ---- the door ---- */

struct redis *redis_new(struct event_base *base, const struct config_redis *config, const char *script,
                        const char *channel, const struct redis_hooks *hooks)
{
    struct redis *redis = calloc(1, sizeof(*redis));
    if (redis == NULL)
        return NULL;
    redis->means.base = base;
    redis->means.config = config;
    redis->hooks = *hooks;
    redis->channel = channel;
    redis->retry_ms = redis->facts.down_since_ms = now_ms();
    redis->clock = evtimer_new(base, on_clock, redis);
    redis->means.names = redis_names_new(base, NULL);
    if (redis->clock == NULL || redis->means.names == NULL || !redis_queue_init(&redis->queue, script)) {
        redis_free(redis);
        return NULL;
    }
    redis_arm(redis);
    return redis;
}

static void drop_all(struct redis *redis)
{
    close_nodes(redis);
    drop_finders(redis);
    redis_tls_free(redis->means.tls);
    redis->means.tls = NULL;
}

void redis_free(struct redis *redis)
{
    static const struct redis_answer closed = {.fault = REDIS_FAULT_CLOSED, .text = "shunt ends", .length = 10};
    if (redis == NULL)
        return;
    redis->phase = REDIS_WAITING;
    drop_all(redis);
    redis_queue_answer_all(&redis->queue, &closed);
    redis_names_free(redis->means.names);
    if (redis->clock != NULL)
        event_free(redis->clock);
    free(redis);
}

/* ---- another configuration ---- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_hosts(const struct config_redis *a, const struct config_redis *b)
{
    if (a->host_count != b->host_count)
        return false;
    for (uint32_t i = 0; i < a->host_count; i++)
        if (a->hosts[i].port != b->hosts[i].port || !same_text(a->hosts[i].host, b->hosts[i].host))
            return false;
    return true;
}

static bool same_server(const struct config_redis *a, const struct config_redis *b)
{
    return a->kind == b->kind && a->is_tls == b->is_tls && same_hosts(a, b) && same_text(a->master, b->master) &&
           a->database == b->database && a->resp == b->resp && a->timeout_ms == b->timeout_ms;
}

static bool same_secrets(const struct config_redis *a, const struct config_redis *b)
{
    return same_text(a->username, b->username) && same_text(a->password, b->password) &&
           same_text(a->password_file, b->password_file) && same_text(a->ca, b->ca) &&
           same_text(a->certificate, b->certificate) && same_text(a->key, b->key) &&
           same_text(a->server_name, b->server_name) && a->insecure_skip_verify == b->insecure_skip_verify;
}

void redis_configure(struct redis *redis, const struct config_redis *config)
{
    struct redis_files files = redis_files_now(config);
    bool is_same = same_server(redis->means.config, config) && same_secrets(redis->means.config, config) &&
                   redis_files_equal(&redis->files, &files);
    redis->means.config = config;
    if (is_same)
        return;
    bool was_ready = redis->phase == REDIS_READY;
    redis->told_insecure = false;
    drop_all(redis);
    if (was_ready)
        redis_lost(redis, REDIS_FAULT_CLOSED, "the configuration has changed", true);
    redis->phase = REDIS_WAITING;
    redis->failures = 0;
    redis->retry_ms = now_ms();
    redis_arm(redis);
}

/* ---- facts ---- */

bool redis_is_ready(const struct redis *redis)
{
    return redis->phase == REDIS_READY;
}

void redis_facts(const struct redis *redis, struct redis_facts *facts)
{
    *facts = redis->facts;
    facts->ready = redis->phase == REDIS_READY;
    facts->commands = redis->means.commands;
    facts->unverified = redis->means.unverified;
    facts->queued = redis->queue.count;
}
