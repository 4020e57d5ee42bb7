/*
 * One Redis server: see redis_node.h. Control thread.
 *
 * The connection that listens is made when the other stands, to the same address: of a name with several addresses,
 * both must be of one server. The password is read for each node anew. A hook is the last thing every function here
 * calls.
 */
#include "proxy/redis_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/redis_files.h"

enum {
    WHY_ROOM = 400,
    QUIET_MS = 900, /* then PING: with a deadline of 1 s what hangs is known within 2 s, whether somebody asks or not */
};

struct redis_node {
    struct redis_means *means; /* borrowed */
    struct redis_node_hooks hooks;
    enum redis_node_kind kind;
    struct redis_place place;
    char *channel;  /* owned; NULL: not listened to */
    char *password; /* owned */
    struct redis_lookup *lookup;
    struct endpoint_list *list; /* counted; NULL: not known yet */
    uint32_t at;                /* which is tried */
    struct redis_link *question, *listener;
    bool is_up;
    enum redis_fault fault; /* the most telling of the addresses' */
    char why[WHY_ROOM];
};

static void try_address(struct redis_node *node);

/* ---- faults ---- */

static void drop_links(struct redis_node *node)
{
    redis_link_close(node->question);
    redis_link_close(node->listener);
    node->question = node->listener = NULL;
}

static void tell_down(struct redis_node *node)
{
    char why[WHY_ROOM];
    memcpy(why, node->why, sizeof(why)); /* the node may be gone before the hook is through with it */
    node->hooks.on_down(node->hooks.context, node->fault, why);
}

/* That nobody is at one address says less than what was said at another. */
static void remember(struct redis_node *node, enum redis_fault fault, const char *why)
{
    if (fault == REDIS_FAULT_CONNECT && node->fault != REDIS_FAULT_NONE)
        return;
    node->fault = fault;
    if (node->list != NULL && node->list->count > 1)
        snprintf(node->why, sizeof(node->why), "%s: %s", node->list->address[node->at].text, why);
    else
        snprintf(node->why, sizeof(node->why), "%s", why);
}

static void on_link_down(void *context, enum redis_fault fault, const char *why)
{
    struct redis_node *node = context;
    bool was_up = node->is_up;
    if (was_up)
        node->fault = REDIS_FAULT_NONE;
    remember(node, fault, why);
    node->is_up = false;
    drop_links(node);
    if (!was_up && ++node->at < node->list->count)
        try_address(node);
    else
        tell_down(node);
}

/* ---- links ---- */

static void on_all_up(struct redis_node *node)
{
    node->is_up = true;
    node->hooks.on_up(node->hooks.context);
}

static void on_listener_up(void *context)
{
    on_all_up(context);
}

static void on_payload(void *context, const char *payload, size_t length)
{
    struct redis_node *node = context;
    if (node->is_up)
        node->hooks.on_message(node->hooks.context, payload, length);
}

/* NULL without memory. */
static struct redis_link *open_link(struct redis_node *node, bool listens, void (*on_up)(void *context))
{
    struct redis_means *means = node->means;
    const struct config_redis *config = means->config;
    bool is_master = node->kind == REDIS_NODE_MASTER, is_sentinel = node->kind == REDIS_NODE_SENTINEL;
    struct redis_link_options options = {
        .base = means->base,
        .address = &node->list->address[node->at],
        .tls = node->place.port != 0 ? means->tls : NULL,
        .host = node->place.host,
        .username = config->username,
        .password = node->password,
        .resp = config->resp,
        .is_bare = is_sentinel,
        .must_be_master = is_master && !listens,
        .database = listens ? 0 : config->database, /* channels are the same in all */
        .channel = listens ? node->channel : NULL,
        .timeout_ms = config->timeout_ms,
        .ping_ms = listens     ? REDIS_PING_MS
                   : is_master ? QUIET_MS
                               : 0,
        .commands = is_sentinel ? &means->asked_of_sentinels : &means->commands,
    };
    struct redis_link_hooks hooks = {
        .context = node, .on_up = on_up, .on_down = on_link_down, .on_message = on_payload};
    if (options.tls != NULL && redis_tls_is_insecure(options.tls))
        means->unverified++;
    return redis_link_open(&options, &hooks);
}

static void on_question_up(void *context)
{
    struct redis_node *node = context;
    if (node->channel == NULL) {
        on_all_up(node);
        return;
    }
    node->listener = open_link(node, true, on_listener_up);
    if (node->listener == NULL)
        on_link_down(node, REDIS_FAULT_CONNECT, "no memory");
}

static void try_address(struct redis_node *node)
{
    for (; node->at < node->list->count; node->at++) {
        node->question = open_link(node, false, on_question_up);
        if (node->question != NULL)
            return;
        remember(node, REDIS_FAULT_CONNECT, "no memory");
    }
    tell_down(node);
}

static void on_addresses(void *context, struct endpoint_list *list, const char *why)
{
    struct redis_node *node = context;
    node->lookup = NULL;
    node->list = list;
    if (list != NULL && node->fault == REDIS_FAULT_NONE) {
        try_address(node);
        return;
    }
    if (node->fault == REDIS_FAULT_NONE) {
        node->fault = REDIS_FAULT_RESOLVE;
        snprintf(node->why, sizeof(node->why), "%s cannot be looked up: %s", node->place.host, why);
    }
    tell_down(node);
}

/* ---- life ---- */

void redis_node_close(struct redis_node *node)
{
    if (node == NULL)
        return;
    redis_lookup_cancel(node->lookup);
    drop_links(node);
    endpoint_list_unref(node->list);
    if (node->password != NULL)
        explicit_bzero(node->password, strlen(node->password));
    free(node->password);
    free(node->channel);
    free(node);
}

struct redis_node *redis_node_open(struct redis_means *means, enum redis_node_kind kind,
                                   const struct redis_place *place, const char *channel,
                                   const struct redis_node_hooks *hooks)
{
    struct redis_node *node = calloc(1, sizeof(*node));
    if (node == NULL)
        return NULL;
    node->means = means;
    node->hooks = *hooks;
    node->kind = kind;
    node->place = *place;
    if (!redis_secret_read(means->config, &node->password, node->why, sizeof(node->why)))
        node->fault = REDIS_FAULT_AUTH; /* told with the addresses */
    if (channel == NULL || (node->channel = strdup(channel)) != NULL)
        node->lookup = redis_names_ask(means->names, node->place.host, node->place.port, 2 * means->config->timeout_ms,
                                       on_addresses, node);
    if (node->lookup != NULL)
        return node;
    redis_node_close(node);
    return NULL;
}

bool redis_node_is_up(const struct redis_node *node)
{
    return node != NULL && node->is_up;
}

const struct redis_place *redis_node_place(const struct redis_node *node)
{
    return &node->place;
}

const char *redis_node_password(const struct redis_node *node)
{
    return node->password;
}

bool redis_node_send(struct redis_node *node, int count, const char **words, const size_t *lengths,
                     redis_link_answered *answered, void *context)
{
    return redis_link_send(node->question, count, words, lengths, answered, context);
}
