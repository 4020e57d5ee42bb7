/*
 * Sentinels: see redis_sentinel.h. Control thread.
 *
 * A question a second on a connection that stays, rather than a subscription to +switch-master: a message can be lost
 * while a sentinel is away, an answer cannot. Sentinels are told the password only when they ask for one: most have
 * none, and need not know Redis'. https://redis.io/docs/latest/develop/reference/sentinel-clients/
 */
#include "proxy/redis_sentinel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

enum {
    WHY_ROOM = 400
};

struct redis_sentinel {
    struct redis_means *means; /* borrowed */
    struct redis_sentinel_hooks hooks;
    struct redis_node *node; /* the sentinel that is asked; NULL: none now */
    struct event *clock;
    uint32_t at;    /* which of the hosts */
    uint32_t tried; /* in a row, without success */
    bool has_told_password;
    struct redis_place master;
    uint64_t known_ms; /* when it was said; 0: never */
};

static void ask(struct redis_sentinel *sentinel);

static void wait_ms(struct redis_sentinel *sentinel, unsigned ms)
{
    struct timeval after = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
    evtimer_add(sentinel->clock, &after);
}

/* This one is of no use now. */
static void try_next(struct redis_sentinel *sentinel, const char *why)
{
    char text[WHY_ROOM], host[REDIS_PLACE_ROOM];
    redis_place_print(redis_node_place(sentinel->node), host, sizeof(host));
    snprintf(text, sizeof(text), "sentinel %s: %s", host, why);
    redis_node_close(sentinel->node);
    sentinel->node = NULL;
    sentinel->at++;
    bool was_last = ++sentinel->tried >= sentinel->means->config->host_count;
    wait_ms(sentinel, was_last ? REDIS_SENTINEL_POLL_MS : 0);
    if (was_last) {
        sentinel->tried = 0;
        sentinel->hooks.on_nobody(sentinel->hooks.context, text);
    }
}

static bool read_master(const redisReply *reply, struct redis_place *master)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_STRING)
        return false;
    const redisReply *host = reply->element[0];
    unsigned long port = strtoul(reply->element[1]->str, NULL, 10);
    return port > 0 && redis_place_set(master, host->str, host->len, port);
}

static void on_password(void *context, const redisReply *reply)
{
    struct redis_sentinel *sentinel = context;
    if (reply->type == REDIS_REPLY_ERROR)
        try_next(sentinel, reply->str);
    else
        ask(sentinel);
}

static void tell_password(struct redis_sentinel *sentinel)
{
    const char *words[3], *username = sentinel->means->config->username;
    int count = 0;
    words[count++] = "AUTH";
    if (username != NULL)
        words[count++] = username;
    words[count++] = redis_node_password(sentinel->node);
    sentinel->has_told_password = true;
    if (!redis_node_send(sentinel->node, count, words, NULL, on_password, sentinel))
        try_next(sentinel, "no memory");
}

static void on_answer(void *context, const redisReply *reply)
{
    struct redis_sentinel *sentinel = context;
    struct redis_place master;
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOAUTH", 6) == 0 && !sentinel->has_told_password &&
        redis_node_password(sentinel->node) != NULL) {
        tell_password(sentinel);
    } else if (read_master(reply, &master)) {
        sentinel->tried = 0;
        sentinel->master = master;
        sentinel->known_ms = redis_now_us() / 1000;
        wait_ms(sentinel, REDIS_SENTINEL_POLL_MS);
        sentinel->hooks.on_master(sentinel->hooks.context, &master);
    } else {
        try_next(sentinel, reply->type == REDIS_REPLY_ERROR ? reply->str : "it knows no master of that name");
    }
}

static void ask(struct redis_sentinel *sentinel)
{
    const char *words[] = {"SENTINEL", "get-master-addr-by-name", sentinel->means->config->master};
    if (!redis_node_send(sentinel->node, 3, words, NULL, on_answer, sentinel))
        try_next(sentinel, "no memory");
}

static void on_up(void *context)
{
    ask(context);
}

static void on_down(void *context, enum redis_fault fault, const char *why)
{
    (void)fault;
    try_next(context, why);
}

static void open_sentinel(struct redis_sentinel *sentinel)
{
    const struct config_redis *config = sentinel->means->config;
    const struct config_redis_host *host = &config->hosts[sentinel->at % config->host_count];
    const struct redis_node_hooks hooks = {.context = sentinel, .on_up = on_up, .on_down = on_down};
    struct redis_place place;
    sentinel->has_told_password = false;
    if (redis_place_set(&place, host->host, strlen(host->host), host->port))
        sentinel->node = redis_node_open(sentinel->means, REDIS_NODE_SENTINEL, &place, NULL, &hooks);
    if (sentinel->node != NULL)
        return;
    sentinel->at++; /* no memory, or no host */
    wait_ms(sentinel, REDIS_SENTINEL_POLL_MS);
    sentinel->hooks.on_nobody(sentinel->hooks.context, "no memory");
}

static void on_clock(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct redis_sentinel *sentinel = context;
    if (sentinel->node == NULL)
        open_sentinel(sentinel);
    else if (redis_node_is_up(sentinel->node))
        ask(sentinel);
}

struct redis_sentinel *redis_sentinel_new(struct redis_means *means, const struct redis_sentinel_hooks *hooks)
{
    struct redis_sentinel *sentinel = calloc(1, sizeof(*sentinel));
    if (sentinel == NULL || (sentinel->clock = evtimer_new(means->base, on_clock, sentinel)) == NULL) {
        free(sentinel);
        return NULL;
    }
    sentinel->means = means;
    sentinel->hooks = *hooks;
    evutil_secure_rng_get_bytes(&sentinel->at, sizeof(sentinel->at)); /* replicas do not all ask the same one */
    wait_ms(sentinel, 0);
    return sentinel;
}

void redis_sentinel_free(struct redis_sentinel *sentinel)
{
    if (sentinel == NULL)
        return;
    redis_node_close(sentinel->node);
    event_free(sentinel->clock);
    free(sentinel);
}

bool redis_sentinel_master(const struct redis_sentinel *sentinel, struct redis_place *master)
{
    uint64_t age_ms = redis_now_us() / 1000 - sentinel->known_ms;
    if (sentinel->known_ms == 0 || age_ms > REDIS_SENTINEL_POLL_MS + sentinel->means->config->timeout_ms)
        return false;
    *master = sentinel->master;
    return true;
}
