/*
 * Checks of dependencies: which plan waits for which, and that none waits for itself in the end.
 *
 * Called by file_check() once all routes are read, as a route may name one further down. Finds the routes and stages
 * that are named, and then the rings among them.
 */
#include "config/check.h"

#include <string.h>

#include "config/names.h"

/* ---- finding what is named ---- */

static const struct config_route *find_route(const struct config *config, const char *name, struct name_guess *guess)
{
    for (uint32_t i = 0; i < config->route_count; i++) {
        const char *known = config->routes[i].name;
        if (known != NULL && strcmp(known, name) == 0)
            return &config->routes[i];
        if (known != NULL)
            name_guess_try(guess, known);
    }
    return NULL;
}

static bool find_stage(const struct config_route *route, struct config_dependency *dependency)
{
    for (uint32_t i = 0; i < route->stage_count; i++) {
        if (route->stages[i].name != NULL && strcmp(route->stages[i].name, dependency->stage) == 0) {
            dependency->stage_index = i;
            return true;
        }
    }
    return false;
}

/* "a, b, c" */
static const char *stage_names(struct loader *loader, const struct config_route *route)
{
    const char *text = "";
    for (uint32_t i = 0; i < route->stage_count && text != NULL; i++)
        text = config_arena_print(loader->faults->arena, "%s%s%s", text, i > 0 ? ", " : "",
                                  route->stages[i].name != NULL ? route->stages[i].name : "?");
    if (text == NULL)
        faults_no_memory(loader->faults);
    return text != NULL ? text : "one of its stages";
}

static bool is_named_before(const struct config_route *route, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++) {
        const char *other = route->depends_on[i].route;
        if (other != NULL && strcmp(other, route->depends_on[index].route) == 0)
            return true;
    }
    return false;
}

/* True when the dependency stands for a plan and one of its stages. */
static bool resolve(struct loader *loader, const struct config_route *route, uint32_t index, struct place place)
{
    struct config_dependency *dependency = &route->depends_on[index];
    struct name_guess guess = {.wanted = dependency->route};
    const struct config_route *other = find_route(loader->config, dependency->route, &guess);
    const char *near = other == NULL ? name_guess_best(&guess) : NULL;
    const char *shown = text_shown(loader->faults, dependency->route);
    if (other == NULL) {
        loader_fault(loader, place, "there is no route named %s; expected one of those in this file%s%s%s", shown,
                     near != NULL ? "; did you mean " : "", near != NULL ? near : "", near != NULL ? "?" : "");
    } else if (other == route) {
        loader_fault(loader, place, "this is the route itself, which would wait for ever; expected another one");
    } else if (is_named_before(route, index)) {
        loader_fault(loader, place, "%s stands here twice; expected it once", shown);
    } else if (other->stage_count == 0) {
        loader_fault(loader, place,
                     "the route %s has a fixed share and no plan to wait for; expected a route with stages", shown);
    } else if (dependency->stage != NULL && !find_stage(other, dependency)) {
        loader_fault(loader, place, "the route %s has no stage named %s; expected one of %s", shown,
                     text_shown(loader->faults, dependency->stage), stage_names(loader, other));
    } else {
        dependency->route_index = other->index;
        return true;
    }
    return false;
}

/* False where a dependency is not known, and was told. */
static bool resolve_all(struct loader *loader, const struct config_route *route, const struct node *list)
{
    bool good = true;
    uint32_t index = 0;
    for (const struct node_item *item = list->items; item != NULL; item = item->next, index++) {
        size_t mark = faults_enter_item(loader->faults, index);
        bool is_read = route->depends_on[index].route != NULL; /* else it was told */
        good = is_read && resolve(loader, route, index, item->value->place) && good;
        faults_leave(loader->faults, mark);
    }
    return good;
}

/* ---- rings ---- */

static const uint32_t NOBODY = UINT32_MAX;

/*
 * Breadth first from `start` along what it waits for, until a route waits for `start` again: *last is that one, and
 * waiter[] leads back from it. Only routes behind `start` in the file are visited, so that each ring is found once,
 * from its first route.
 */
static bool find_ring(const struct config *config, uint32_t start, uint32_t *waiter, uint32_t *queue, uint32_t *last)
{
    uint32_t queued = 0;
    for (uint32_t i = 0; i < config->route_count; i++)
        waiter[i] = NOBODY;
    queue[queued++] = start;
    for (uint32_t at = 0; at < queued; at++) {
        const struct config_route *route = &config->routes[queue[at]];
        for (uint32_t i = 0; i < route->depends_count; i++) {
            uint32_t next = route->depends_on[i].route_index;
            if (next == start) {
                *last = queue[at];
                return true;
            }
            if (next < start || waiter[next] != NOBODY)
                continue;
            waiter[next] = queue[at];
            queue[queued++] = next;
        }
    }
    return false;
}

/* "a -> b -> a", from the ring's end to its start. */
static const char *ring_text(struct loader *loader, uint32_t start, const uint32_t *waiter, uint32_t last)
{
    const struct config_route *routes = loader->config->routes;
    const char *text = routes[start].name;
    for (uint32_t at = last; at != start && text != NULL; at = waiter[at])
        text = config_arena_print(loader->faults->arena, "%s -> %s", routes[at].name, text);
    if (text != NULL)
        text = config_arena_print(loader->faults->arena, "%s -> %s", routes[start].name, text);
    if (text == NULL)
        faults_no_memory(loader->faults);
    return text;
}

/* The item of the route's list that begins the ring. */
static struct place ring_place(const struct config_route *route, const struct node *list, uint32_t start,
                               const uint32_t *waiter, uint32_t last)
{
    uint32_t first = last;
    while (first != start && waiter[first] != start)
        first = waiter[first];
    const struct node_item *item = list->items;
    for (uint32_t i = 0; i + 1 < route->depends_count && route->depends_on[i].route_index != first; i++)
        item = item->next;
    return item->value->place;
}

static void refuse_ring(struct loader *loader, const struct config_route *route, const struct node *list,
                        uint32_t *scratch)
{
    uint32_t *waiter = scratch;
    uint32_t *queue = scratch + loader->config->route_count;
    uint32_t last = 0;
    if (!find_ring(loader->config, route->index, waiter, queue, &last))
        return;
    const char *text = ring_text(loader, route->index, waiter, last);
    if (text != NULL)
        loader_fault(loader, ring_place(route, list, route->index, waiter, last),
                     "these plans would wait for each other for ever: %s; expected no way back", text);
}

/* ---- all routes ---- */

/* The list of a route's dependencies as it stands in the file; NULL when there is none, or it was refused. */
static const struct node *list_of(const struct config_route *route, const struct node *node)
{
    const struct node_item *item = node->kind == NODE_MAPPING ? node_find(node, "depends_on") : NULL;
    bool is_read = item != NULL && item->value->kind == NODE_LIST && item->value->count == route->depends_count;
    return is_read ? item->value : NULL;
}

void dependencies_check(struct loader *loader, const struct node *routes)
{
    const struct config *config = loader->config;
    uint32_t *scratch = config_arena_take(loader->faults->arena, config->route_count, 2 * sizeof(*scratch));
    bool good = scratch != NULL;
    if (scratch == NULL)
        faults_no_memory(loader->faults);
    for (int pass = 0; pass < 2 && good; pass++) {
        uint32_t index = 0;
        size_t mark = faults_enter_key(loader->faults, "routes");
        for (const struct node_item *item = routes->items; item != NULL; item = item->next, index++) {
            const struct config_route *route = &config->routes[index];
            const struct node *list = list_of(route, item->value);
            if (list == NULL)
                continue;
            size_t item_mark = faults_enter_item(loader->faults, index);
            (void)faults_enter_key(loader->faults, "depends_on");
            if (pass == 0)
                good = resolve_all(loader, route, list) && good;
            else
                refuse_ring(loader, route, list, scratch);
            faults_leave(loader->faults, item_mark);
        }
        faults_leave(loader->faults, mark);
    }
}
