/*
 * A cluster's nodes: see redis_cluster.h. Control thread.
 *
 * CLUSTER SLOTS is asked of one node after the other, beginning with another one each time, since one that was cut off
 * from the rest answers, too. https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
 */
#include "proxy/redis_cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "proxy/redis_fault.h"

enum {
    WHY_ROOM = 400
};

struct redis_cluster {
    struct redis_means *means; /* borrowed */
    struct redis_cluster_hooks hooks;
    uint16_t slot;
    struct redis_node *node; /* that is asked; NULL: none now */
    struct event *clock;     /* the next one is asked from the loop */
    struct redis_place known[REDIS_CLUSTER_KNOWN_MOST];
    uint32_t known_count, known_next; /* the oldest makes place */
    uint32_t at, tried;
    enum redis_fault fault;
    char why[WHY_ROOM];
};

/* ---- slots ---- */

/* CRC16 of the XMODEM kind: polynomial 0x1021, begins with 0, nothing reflected (the cluster specification, appendix A,
 * there by a table). */
static uint16_t crc16(const char *bytes, size_t length)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < length; i++) {
        crc ^= (uint32_t)(unsigned char)bytes[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1;
        crc &= 0xffff;
    }
    return (uint16_t)crc;
}

uint16_t redis_cluster_slot(const char *key, size_t length)
{
    const char *open = memchr(key, '{', length);
    const char *shut = open != NULL ? memchr(open, '}', length - (size_t)(open - key)) : NULL;
    if (shut != NULL && shut > open + 1)
        return crc16(open + 1, (size_t)(shut - open - 1)) % REDIS_CLUSTER_SLOTS;
    return crc16(key, length) % REDIS_CLUSTER_SLOTS;
}

/* ---- answers ---- */

/* [ host, port, id, ... ] */
static bool read_node(const redisReply *node, const struct redis_place *from, struct redis_place *place)
{
    if (node->type != REDIS_REPLY_ARRAY || node->elements < 2 || node->element[1]->type != REDIS_REPLY_INTEGER ||
        node->element[1]->integer <= 0 || node->element[1]->integer > UINT16_MAX)
        return false;
    const redisReply *host = node->element[0];
    uint64_t port = (uint64_t)node->element[1]->integer;
    if (host->type == REDIS_REPLY_STRING && host->len > 0)
        return strcmp(host->str, "?") != 0 && redis_place_set(place, host->str, host->len, port);
    return redis_place_set(place, from->host, strlen(from->host), port);
}

/* [ first slot, last slot, master, replicas... ] */
static bool is_range(const redisReply *range)
{
    return range->type == REDIS_REPLY_ARRAY && range->elements >= 3 && range->element[0]->type == REDIS_REPLY_INTEGER &&
           range->element[1]->type == REDIS_REPLY_INTEGER;
}

bool redis_cluster_read(const redisReply *reply, uint16_t slot, const struct redis_place *from,
                        struct redis_place *place, void (*note)(void *context, const struct redis_place *place),
                        void *context)
{
    bool found = false;
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        const redisReply *range = reply->element[i];
        struct redis_place node;
        if (!is_range(range))
            return false;
        bool ours = slot >= range->element[0]->integer && slot <= range->element[1]->integer;
        for (size_t k = 2; k < range->elements; k++) {
            if (!read_node(range->element[k], from, &node))
                continue;
            if (note != NULL)
                note(context, &node);
            if (ours && k == 2) {
                *place = node;
                found = true;
            }
        }
    }
    return found;
}

bool redis_cluster_read_redirect(const char *text, const struct redis_place *from, struct redis_place *place)
{
    const char *slot = strchr(text, ' ');
    const char *host = slot != NULL ? strchr(slot + 1, ' ') : NULL;
    const char *colon = host != NULL ? strrchr(host, ':') : NULL; /* an IPv6 address has more of them */
    if (colon == NULL)
        return false;
    host++;
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (end == colon + 1 || (*end != '\0' && *end != ' ') || port == 0)
        return false;
    if (colon == host)
        return redis_place_set(place, from->host, strlen(from->host), port);
    return redis_place_set(place, host, (size_t)(colon - host), port);
}

/* ---- asking ---- */

void redis_cluster_note(struct redis_cluster *cluster, const struct redis_place *place)
{
    for (uint32_t i = 0; i < cluster->known_count; i++)
        if (redis_place_equal(&cluster->known[i], place))
            return;
    cluster->known[cluster->known_next] = *place;
    cluster->known_next = (cluster->known_next + 1) % REDIS_CLUSTER_KNOWN_MOST;
    if (cluster->known_count < REDIS_CLUSTER_KNOWN_MOST)
        cluster->known_count++;
}

static void note(void *context, const struct redis_place *place)
{
    redis_cluster_note(context, place);
}

static uint32_t places(const struct redis_cluster *cluster)
{
    return cluster->means->config->host_count + cluster->known_count;
}

static bool place_at(const struct redis_cluster *cluster, uint32_t i, struct redis_place *place)
{
    const struct config_redis *config = cluster->means->config;
    if (i < config->host_count)
        return redis_place_set(place, config->hosts[i].host, strlen(config->hosts[i].host), config->hosts[i].port);
    *place = cluster->known[i - config->host_count];
    return true;
}

void redis_cluster_stop(struct redis_cluster *cluster)
{
    redis_node_close(cluster->node);
    cluster->node = NULL;
    evtimer_del(cluster->clock);
}

/* That nobody is there says less than what was said. */
static void remember(struct redis_cluster *cluster, enum redis_fault fault, const char *why)
{
    char host[REDIS_PLACE_ROOM] = "";
    if (fault == REDIS_FAULT_CONNECT && cluster->fault != REDIS_FAULT_NONE)
        return;
    if (cluster->node != NULL)
        redis_place_print(redis_node_place(cluster->node), host, sizeof(host));
    cluster->fault = fault;
    snprintf(cluster->why, sizeof(cluster->why), "%s: %s", host, why);
}

static void try_next(struct redis_cluster *cluster, enum redis_fault fault, const char *why)
{
    struct timeval at_once = {0};
    remember(cluster, fault, why);
    redis_cluster_stop(cluster);
    cluster->at++;
    if (++cluster->tried < places(cluster))
        evtimer_add(cluster->clock, &at_once);
    else
        cluster->hooks.on_nothing(cluster->hooks.context, cluster->fault, cluster->why);
}

static void on_answer(void *context, const redisReply *reply)
{
    struct redis_cluster *cluster = context;
    struct redis_place place;
    if (reply->type == REDIS_REPLY_ERROR) {
        try_next(cluster, redis_meaning_of(reply->str).fault, reply->str);
    } else if (redis_cluster_read(reply, cluster->slot, redis_node_place(cluster->node), &place, note, cluster)) {
        cluster->at++; /* another one next time */
        redis_cluster_stop(cluster);
        cluster->hooks.on_found(cluster->hooks.context, &place);
    } else {
        try_next(cluster, REDIS_FAULT_LOADING, "no node has the slot");
    }
}

static void on_up(void *context)
{
    static const char *words[] = {"CLUSTER", "SLOTS"};
    struct redis_cluster *cluster = context;
    if (!redis_node_send(cluster->node, 2, words, NULL, on_answer, cluster))
        try_next(cluster, REDIS_FAULT_CONNECT, "no memory");
}

static void on_down(void *context, enum redis_fault fault, const char *why)
{
    try_next(context, fault, why);
}

static void on_clock(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct redis_cluster *cluster = context;
    const struct redis_node_hooks hooks = {.context = cluster, .on_up = on_up, .on_down = on_down};
    struct redis_place place;
    if (place_at(cluster, cluster->at % places(cluster), &place))
        cluster->node = redis_node_open(cluster->means, REDIS_NODE_ASIDE, &place, NULL, &hooks);
    if (cluster->node == NULL)
        try_next(cluster, REDIS_FAULT_CONNECT, "no memory");
}

void redis_cluster_find(struct redis_cluster *cluster)
{
    struct timeval at_once = {0};
    redis_cluster_stop(cluster);
    cluster->tried = 0;
    cluster->fault = REDIS_FAULT_NONE;
    evtimer_add(cluster->clock, &at_once);
}

struct redis_cluster *redis_cluster_new(struct redis_means *means, const char *key,
                                        const struct redis_cluster_hooks *hooks)
{
    struct redis_cluster *cluster = calloc(1, sizeof(*cluster));
    if (cluster == NULL || (cluster->clock = evtimer_new(means->base, on_clock, cluster)) == NULL) {
        free(cluster);
        return NULL;
    }
    cluster->means = means;
    cluster->hooks = *hooks;
    cluster->slot = redis_cluster_slot(key, strlen(key));
    evutil_secure_rng_get_bytes(&cluster->at, sizeof(cluster->at)); /* replicas do not all ask the same one */
    return cluster;
}

void redis_cluster_free(struct redis_cluster *cluster)
{
    if (cluster == NULL)
        return;
    redis_cluster_stop(cluster);
    event_free(cluster->clock);
    free(cluster);
}
