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

struct snapshot *snapshot_new(uint64_t generation, struct config_holder *holder, struct router_view *view,
                              struct endpoint_list **endpoints, uint32_t backend_count)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (snapshot == NULL)
        return NULL;
    snapshot->endpoints = calloc(backend_count > 0 ? backend_count : 1, sizeof(*snapshot->endpoints));
    if (snapshot->endpoints == NULL) {
        free(snapshot);
        return NULL;
    }
    snapshot->refs = 1;
    snapshot->generation = generation;
    snapshot->holder = holder;
    snapshot->config = holder->config;
    snapshot->view = view;
    snapshot->relay_raw = router_view_passthrough(view) && router_view_passthrough_raw(view);
    snapshot->backend_count = backend_count;
    config_holder_ref(holder);
    router_view_ref(view);
    for (uint32_t i = 0; i < backend_count; i++) {
        snapshot->endpoints[i] = endpoints[i];
        endpoint_list_ref(endpoints[i]);
    }
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
    for (uint32_t i = 0; i < snapshot->backend_count; i++)
        endpoint_list_unref(snapshot->endpoints[i]);
    free(snapshot->endpoints);
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
