/*
 * Making and letting go of views and route tables. Made on the control thread, released on any.
 */
#include "router/view.h"

#include <stdlib.h>

struct route_table *route_table_new(const struct config *config, const struct router_hooks *hooks)
{
    struct route_table *table = calloc(1, sizeof(*table) + config->route_count * sizeof(table->routes[0]));
    if (table == NULL)
        return NULL;
    table->refs = 1;
    table->config = config;
    table->passthrough_raw = true;
    bool complete = true;
    for (uint32_t i = 0; i < config->route_count && complete; i++) {
        table->count = i + 1;
        complete = route_init(&table->routes[i], &config->routes[i]);
        if (config->routes[i].side[SIDE_LEGACY] != config->legacy)
            table->passthrough_raw = false;
    }
    if (!complete) {
        route_table_unref(table);
        return NULL;
    }
    table->hooks = *hooks; /* only now: a table that never came to be releases nothing */
    return table;
}

struct route_table *route_table_ref(struct route_table *table)
{
    __atomic_add_fetch(&table->refs, 1, __ATOMIC_RELAXED);
    return table;
}

void route_table_unref(struct route_table *table)
{
    if (table == NULL || __atomic_sub_fetch(&table->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    struct router_hooks hooks = table->hooks;
    const struct config *config = table->config;
    for (uint32_t i = 0; i < table->count; i++)
        route_done(&table->routes[i]);
    free(table);
    if (hooks.config_released != NULL)
        hooks.config_released(hooks.context, config);
}

struct router_view *view_new(struct route_table *table, struct tally *unrouted, uint32_t workers, bool passthrough)
{
    struct router_view *view = calloc(1, sizeof(*view) + table->count * sizeof(view->routes[0]));
    if (view == NULL)
        return NULL;
    view->refs = 1;
    view->passthrough = passthrough;
    view->workers = workers;
    view->table = route_table_ref(table);
    view->unrouted = tally_ref(unrouted);
    view->count = table->count;
    for (uint32_t i = 0; i < table->count; i++)
        view->routes[i].route = &table->routes[i];
    return view;
}

void router_view_ref(struct router_view *view)
{
    __atomic_add_fetch(&view->refs, 1, __ATOMIC_RELAXED);
}

void router_view_unref(struct router_view *view)
{
    if (view == NULL || __atomic_sub_fetch(&view->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (uint32_t i = 0; i < view->count; i++)
        tally_unref(view->routes[i].tally);
    tally_unref(view->unrouted);
    route_table_unref(view->table);
    free(view);
}

bool router_view_passthrough(const struct router_view *view)
{
    return view->passthrough;
}

bool router_view_passthrough_raw(const struct router_view *view)
{
    return view->table->passthrough_raw;
}

const struct config *router_view_config(const struct router_view *view)
{
    return view->table->config;
}

const char *router_assign_value(const struct router_view *view, const struct decision *decision)
{
    if (decision->route == NULL || decision->route->index >= view->count)
        return "";
    return view->routes[decision->route->index].route->assign_value[decision->side];
}
