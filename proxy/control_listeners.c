/*
 * Keeps the list of open listeners, on the control thread. The sockets themselves belong to the workers once they have
 * been handed over; what stays here is which address has which number.
 */
#include "proxy/control_listeners.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/worker.h"
#include "router/store/fault.h"
#include "router/utf8.h"

static char *key_of(const struct config_address *address)
{
    char *key;
    int made = address->unix_path != NULL ? asprintf(&key, "unix:%s", address->unix_path)
                                          : asprintf(&key, "%s|%u", address->host, (unsigned)address->port);
    return made < 0 ? NULL : key;
}

static uint16_t port_of(const struct listen_set *set)
{
    const char *colon = strrchr(set->text, ':');
    return set->unix_path != NULL || colon == NULL ? 0 : (uint16_t)strtoul(colon + 1, NULL, 10);
}

static void close_one(struct open_listener *listener)
{
    free(listener->key);
    listen_close(&listener->set);
}

/* ---- preparing ---- */

/* The first open one of this key that no line of the new file has got yet; -1: none. */
static int find_unused(const struct listeners *listeners, const char *key, const bool *used)
{
    for (uint32_t i = 0; i < listeners->count; i++)
        if (!used[i] && strcmp(listeners->at[i].key, key) == 0)
            return (int)i;
    return -1;
}

/* Do we listen on the port now, under whatever address? */
static bool is_ours(const struct listeners *listeners, uint16_t port)
{
    for (uint32_t i = 0; i < listeners->count; i++)
        if (port != 0 && listeners->at[i].port == port)
            return true;
    return false;
}

static bool prepare_one(const struct listeners *listeners, const struct config_address *address, uint32_t workers,
                        struct listeners_plan *plan, bool *used, char **error)
{
    struct open_listener *listener = &plan->at[plan->count];
    char *key = key_of(address);
    if (key == NULL)
        return fault_set(error, "listener %s: no memory", address->text);
    int open = find_unused(listeners, key, used);
    if (open >= 0) {
        free(key);
        used[open] = true;
        *listener = listeners->at[open];
        plan->is_new[plan->count++] = false;
        return true;
    }
    *listener = (struct open_listener){.key = key, .id = ++plan->last_id};
    if (!listen_open(&listener->set, address, workers, is_ours(listeners, address->port), error)) {
        free(key);
        return false;
    }
    listener->port = port_of(&listener->set);
    plan->is_new[plan->count++] = true;
    return true;
}

bool listeners_prepare(const struct listeners *listeners, const struct config *config, uint32_t workers,
                       struct listeners_plan *plan, char **error)
{
    *plan = (struct listeners_plan){.last_id = listeners->last_id};
    plan->at = calloc(config->listener_count + 1, sizeof(plan->at[0]));
    plan->is_new = calloc(config->listener_count + 1, sizeof(plan->is_new[0]));
    plan->ids = calloc(config->listener_count + 1, sizeof(plan->ids[0]));
    bool *used = calloc(listeners->count + 1, sizeof(used[0]));
    bool done = plan->at != NULL && plan->is_new != NULL && plan->ids != NULL && used != NULL;
    if (!done)
        fault_set(error, "listeners: no memory");
    for (uint32_t i = 0; i < config->listener_count && done; i++)
        done = prepare_one(listeners, &config->listeners[i].address, workers, plan, used, error);
    free(used);
    for (uint32_t i = 0; i < plan->count; i++)
        plan->ids[i] = plan->at[i].id;
    if (!done)
        listeners_discard(plan);
    return done;
}

void listeners_discard(struct listeners_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        if (!plan->is_new[i])
            continue;
        listen_unlink(&plan->at[i].set);
        close_one(&plan->at[i]);
    }
    free(plan->at);
    free(plan->is_new);
    free(plan->ids);
    *plan = (struct listeners_plan){0};
}

/* ---- adopting ---- */

void listeners_number(struct listeners *listeners, struct listeners_plan *plan)
{
    free(listeners->ids);
    listeners->ids = plan->ids;
    plan->ids = NULL;
}

static void hand_over(struct open_listener *listener, struct worker **workers, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < listener->set.count; i++) {
        if (!worker_listen(workers[i], listener->id, listener->set.fds[i]))
            close(listener->set.fds[i]); /* without memory: the other workers get its clients */
        listener->set.fds[i] = -1;
    }
}

static bool is_kept(const struct listeners_plan *plan, const struct open_listener *listener)
{
    for (uint32_t i = 0; i < plan->count; i++)
        if (plan->at[i].id == listener->id)
            return true;
    return false;
}

void listeners_adopt(struct listeners *listeners, struct listeners_plan *plan, struct worker **workers,
                     uint32_t worker_count, void (*opened)(void *context, const char *address),
                     void (*closed)(void *context, const char *address), void *context)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        if (!plan->is_new[i])
            continue;
        hand_over(&plan->at[i], workers, worker_count);
        opened(context, plan->at[i].set.text);
    }
    for (uint32_t i = 0; i < listeners->count; i++) {
        struct open_listener *former = &listeners->at[i];
        if (is_kept(plan, former))
            continue;
        listen_unlink(&former->set);
        for (uint32_t w = 0; w < worker_count; w++)
            worker_unlisten(workers[w], former->id);
        closed(context, former->set.text);
        close_one(former);
    }
    free(listeners->at);
    free(plan->is_new);
    if (plan->ids != NULL)
        listeners_number(listeners, plan);
    *listeners =
        (struct listeners){.at = plan->at, .count = plan->count, .last_id = plan->last_id, .ids = listeners->ids};
    *plan = (struct listeners_plan){0};
}

void listeners_unlink(struct listeners *listeners)
{
    for (uint32_t i = 0; i < listeners->count; i++)
        listen_unlink(&listeners->at[i].set);
}

void listeners_done(struct listeners *listeners)
{
    listeners_unlink(listeners);
    for (uint32_t i = 0; i < listeners->count; i++)
        close_one(&listeners->at[i]);
    free(listeners->at);
    free(listeners->ids);
    *listeners = (struct listeners){0};
}

json_t *listeners_json(const struct listeners *listeners)
{
    json_t *addresses = json_array();
    for (uint32_t i = 0; i < listeners->count; i++)
        json_array_append_new(addresses, utf8_json(listeners->at[i].set.text));
    return addresses;
}
