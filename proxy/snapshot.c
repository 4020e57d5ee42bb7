/*
 * Counted, immutable things that control publishes: snapshots, loaded files, resolved addresses.
 *
 * Made on the control thread, let go of on any. The counts are atomic; everything else is written before publication
 * only.
 */
#include "proxy/snapshot.h"

#include <stdlib.h>
#include <string.h>

static void count_up(uint32_t *refs)
{
    __atomic_add_fetch(refs, 1, __ATOMIC_RELAXED);
}

/* True for the last one. */
static bool count_down(uint32_t *refs)
{
    return __atomic_sub_fetch(refs, 1, __ATOMIC_ACQ_REL) == 0;
}

static void free_lists(struct snapshot *snapshot)
{
    for (uint32_t i = 0; snapshot->endpoints != NULL && i < snapshot->backend_count; i++)
        endpoint_list_unref(snapshot->endpoints[i]);
    for (uint32_t i = 0; snapshot->backend_tls != NULL && i < snapshot->backend_count; i++)
        tls_context_unref(snapshot->backend_tls[i]);
    for (uint32_t i = 0; snapshot->listener_tls != NULL && i < snapshot->listener_count; i++)
        tls_context_unref(snapshot->listener_tls[i]);
    free(snapshot->endpoints);
    free(snapshot->backend_tls);
    free(snapshot->listener_tls);
    free(snapshot->listener_ids);
}

static bool copy_lists(struct snapshot *snapshot, const struct snapshot_parts *parts)
{
    size_t backends = snapshot->backend_count + 1;
    size_t listeners = snapshot->listener_count + 1;
    snapshot->endpoints = calloc(backends, sizeof(snapshot->endpoints[0]));
    snapshot->backend_tls = calloc(backends, sizeof(struct tls_context *));
    snapshot->listener_ids = calloc(listeners, sizeof(snapshot->listener_ids[0]));
    snapshot->listener_tls = calloc(listeners, sizeof(struct tls_context *));
    if (snapshot->endpoints == NULL || snapshot->backend_tls == NULL || snapshot->listener_ids == NULL ||
        snapshot->listener_tls == NULL)
        return false;
    for (uint32_t i = 0; i < snapshot->backend_count; i++) {
        snapshot->endpoints[i] = parts->endpoints[i];
        endpoint_list_ref(parts->endpoints[i]);
        if (parts->backend_tls != NULL)
            snapshot->backend_tls[i] = tls_context_ref(parts->backend_tls[i]);
    }
    for (uint32_t i = 0; i < snapshot->listener_count; i++) {
        if (parts->listener_ids != NULL)
            snapshot->listener_ids[i] = parts->listener_ids[i];
        if (parts->listener_tls != NULL)
            snapshot->listener_tls[i] = tls_context_ref(parts->listener_tls[i]);
    }
    return true;
}

/* Bytes as they come are of use to a legacy in clear that speaks HTTP/1.1: to any other they have to be translated. */
static bool may_relay_raw(const struct snapshot_parts *parts)
{
    const struct config_backend *legacy = parts->holder->config->legacy;
    return router_view_passthrough(parts->view) && router_view_passthrough_raw(parts->view) && legacy != NULL &&
           legacy->tls == NULL && (legacy->protocol & PROTOCOL_HTTP1) != 0;
}

struct snapshot *snapshot_new(const struct snapshot_parts *parts)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (snapshot == NULL)
        return NULL;
    snapshot->refs = 1;
    snapshot->generation = parts->generation;
    snapshot->holder = parts->holder;
    snapshot->config = parts->holder->config;
    snapshot->view = parts->view;
    snapshot->health = parts->health;
    snapshot->relay_raw = may_relay_raw(parts);
    snapshot->backend_count = snapshot->config->backend_count;
    snapshot->listener_count = snapshot->config->listener_count;
    if (!copy_lists(snapshot, parts)) {
        free_lists(snapshot);
        free(snapshot);
        return NULL;
    }
    config_holder_ref(parts->holder);
    router_view_ref(parts->view);
    return snapshot;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    count_up(&snapshot->refs);
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (snapshot == NULL || !count_down(&snapshot->refs))
        return;
    free_lists(snapshot);
    router_view_unref(snapshot->view); /* before the file it points into */
    config_holder_unref(snapshot->holder);
    free(snapshot);
}

struct config_holder *config_holder_new(struct config *config)
{
    struct config_holder *holder = calloc(1, sizeof(*holder));
    if (holder == NULL)
        return NULL;
    holder->refs = 1;
    holder->config = config;
    return holder;
}

void config_holder_ref(struct config_holder *holder)
{
    count_up(&holder->refs);
}

void config_holder_unref(struct config_holder *holder)
{
    if (holder == NULL || !count_down(&holder->refs))
        return;
    config_free(holder->config);
    free(holder);
}

struct endpoint_list *endpoint_list_new(uint32_t count)
{
    struct endpoint_list *list = calloc(1, sizeof(*list) + count * sizeof(list->address[0]));
    if (list == NULL)
        return NULL;
    list->refs = 1;
    list->count = count;
    return list;
}

void endpoint_list_ref(struct endpoint_list *list)
{
    count_up(&list->refs);
}

void endpoint_list_unref(struct endpoint_list *list)
{
    if (list != NULL && count_down(&list->refs))
        free(list);
}

bool endpoint_list_equal(const struct endpoint_list *a, const struct endpoint_list *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct endpoint_address *one = &a->address[i], *other = &b->address[i];
        if (one->length != other->length || memcmp(&one->to, &other->to, one->length) != 0)
            return false;
    }
    return true;
}
