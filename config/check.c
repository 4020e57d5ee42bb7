/*
 * Checks: what must hold between keys, asked once a section's own keys are read.
 *
 * Called by the loader through the table of sections. Each check looks at the node for what the file said and at the
 * struct for what came of it, and copes with values that were refused before it.
 */
#include "config/check.h"

#include <inttypes.h>
#include <string.h>

#include "config/pattern.h"
#include "config/regex.h"
#include "config/scalar.h"

/* ---- what checks have in common ---- */

struct place check_place(const struct node *mapping, const char *key)
{
    const struct node_item *item = node_find(mapping, key);
    return item != NULL ? item->value->place : mapping->place;
}

bool check_says(const struct node *mapping, const char *key)
{
    return node_find(mapping, key) != NULL;
}

void check_fault(struct loader *loader, const char *key, struct place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = config_arena_vprint(loader->faults->arena, format, args);
    va_end(args);
    size_t mark = faults_enter_key(loader->faults, key);
    if (text == NULL)
        faults_no_memory(loader->faults);
    else
        faults_add(loader->faults, place, "%s", text);
    faults_leave(loader->faults, mark);
}

/* ---- small sections ---- */

bool admin_is_set(const void *base)
{
    return ((const struct config_admin *)base)->enabled;
}

void admin_check(struct loader *loader, const struct node *node, void *base)
{
    struct config_admin *admin = base;
    admin->enabled = true;
    if (admin->address.text == NULL || check_says(node, "token_file") || scalar_is_loopback(&admin->address))
        return;
    check_fault(loader, "address", check_place(node, "address"),
                "%s can be reached from other machines and there is no "
                "token_file; expected an address of this machine such as 127.0.0.1:9901, or a token_file",
                text_shown(loader->faults, admin->address.text));
}

void access_log_turn_off(void *base)
{
    ((struct config_access_log *)base)->sample = 0;
}

bool access_log_is_off(const void *base)
{
    return ((const struct config_access_log *)base)->sample == 0;
}

void timeouts_check(struct loader *loader, const struct node *node, void *base)
{
    const struct config_timeouts *timeouts = base;
    char least[SCALAR_TEXT_BYTES], most[SCALAR_TEXT_BYTES];
    scalar_print_duration(timeouts->drain_min_ms, least);
    scalar_print_duration(timeouts->drain_ms, most);
    if (timeouts->drain_min_ms > timeouts->drain_ms)
        check_fault(loader, "drain_min", check_place(node, check_says(node, "drain_min") ? "drain_min" : "drain"),
                    "it would serve on for %s, and break off what is left after %s; expected drain_min up to drain, %s",
                    least, most, most);
}

void limits_check(struct loader *loader, const struct node *node, void *base)
{
    const struct config_limits *limits = base;
    if (limits->uri_bytes > limits->header_bytes)
        check_fault(loader, "uri_bytes",
                    check_place(node, check_says(node, "uri_bytes") ? "uri_bytes" : "header_bytes"),
                    "a request target of %zu bytes does not fit a head of %zu; expected uri_bytes up to header_bytes",
                    limits->uri_bytes, limits->header_bytes);
}

bool match_is_set(const void *base)
{
    const struct config_match *match = base;
    return match->host != NULL || match->path != NULL || match->method_count > 0 || match->header_count > 0 ||
           match->query_count > 0;
}

bool assign_is_set(const void *base)
{
    return ((const struct config_assign *)base)->cookie != NULL;
}

void breaker_prepare(void *base)
{
    ((struct config_breaker *)base)->enabled = true;
}

void breaker_turn_off(void *base)
{
    ((struct config_breaker *)base)->enabled = false;
}

bool breaker_is_off(const void *base)
{
    return !((const struct config_breaker *)base)->enabled;
}

void fallback_turn_off(void *base)
{
    ((struct config_fallback *)base)->on = 0;
}

bool fallback_is_set(const void *base)
{
    return ((const struct config_fallback *)base)->on != 0;
}

bool edits_are_set(const void *base)
{
    return ((const struct config_shadow *)base)->header_count > 0;
}

void shadow_breaker_prepare(void *base)
{
    ((struct config_shadow_breaker *)base)->enabled = true;
}

void shadow_breaker_turn_off(void *base)
{
    ((struct config_shadow_breaker *)base)->enabled = false;
}

bool shadow_breaker_is_off(const void *base)
{
    return !((const struct config_shadow_breaker *)base)->enabled;
}

void breaker_check(struct loader *loader, const struct node *node, void *base)
{
    (void)base;
    if (check_says(node, "slow_call_rate") && !check_says(node, "slow_call"))
        check_fault(loader, "slow_call_rate", check_place(node, "slow_call_rate"),
                    "nothing says which exchanges are slow; expected slow_call beside it, such as slow_call: 2s");
}

void webhook_turn_off(void *base)
{
    ((struct config_gate_webhook *)base)->url = NULL;
}

bool webhook_is_off(const void *base)
{
    return ((const struct config_gate_webhook *)base)->url == NULL;
}

void webhook_check(struct loader *loader, const struct node *node, void *base)
{
    const struct config_gate_webhook *webhook = base;
    char timeout[SCALAR_TEXT_BYTES];
    scalar_print_duration(webhook->timeout_ms, timeout);
    if (webhook->interval_ms < webhook->timeout_ms)
        check_fault(loader, "interval", check_place(node, check_says(node, "interval") ? "interval" : "timeout"),
                    "it would be asked again before it must have answered; expected an interval of at least its "
                    "timeout, %s",
                    timeout);
}

void tolerance_check(struct loader *loader, const struct node *node, void *base)
{
    struct config_tolerance *tolerance = base;
    bool absolute = check_says(node, "absolute");
    bool relative = check_says(node, "relative");
    int given = absolute + relative + check_says(node, "within");
    if (given != 1)
        loader_fault(loader, node->place, "there are %s of absolute, relative and within; expected exactly one",
                     given == 0 ? "none" : "several");
    else
        tolerance->kind = absolute ? TOLERANCE_ABSOLUTE : relative ? TOLERANCE_RELATIVE : TOLERANCE_WITHIN;
}

void replace_check(struct loader *loader, const struct node *node, void *base)
{
    struct config_replace *replace = base;
    if (replace->with == NULL)
        replace->with = "";
    const char *wrong = replace->pattern == NULL ? NULL : regex_replacement_fault(replace->pattern, replace->with);
    if (wrong != NULL)
        check_fault(loader, "with", check_place(node, "with"),
                    "%s %s; expected $0 for the whole match, $1 for the first group, or $$$$ for a dollar sign",
                    node_shown(loader->faults, node_find(node, "with")->value), wrong);
}

/* ---- routes ---- */

/* Backends named like the sides are the default. */
static void fill_side(struct loader *loader, const struct node *node, struct config_route *route, enum side side)
{
    if (check_says(node, side_name(side)))
        return;
    const struct config *config = loader->config;
    for (uint32_t i = 0; i < config->backend_count; i++) {
        if (config->backends[i].name != NULL && strcmp(config->backends[i].name, side_name(side)) == 0)
            route->side[side] = &config->backends[i];
    }
    bool told = config->backend_count == 0 || (side == SIDE_LEGACY && config->legacy == NULL);
    if (route->side[side] == NULL && !told)
        check_fault(loader, side_name(side), node->place,
                    "there is no backend named %s; expected one under backends, or the "
                    "name of another here",
                    side_name(side));
}

/* A route's share comes from its stages or from `percent`, and so does what it mirrors. */
static void check_shares(struct loader *loader, const struct node *node)
{
    const struct node_item *shadow = node_find(node, "shadow");
    if (!check_says(node, "stages"))
        return;
    if (check_says(node, "percent"))
        check_fault(loader, "percent", check_place(node, "percent"),
                    "the route has stages too; expected one of percent and "
                    "stages");
    if (shadow != NULL && check_says(shadow->value, "percent"))
        check_fault(loader, "shadow.percent", check_place(shadow->value, "percent"),
                    "the route has stages, which say what is "
                    "mirrored; expected shadow: 100 in a stage instead");
}

void route_check(struct loader *loader, const struct node *node, void *base)
{
    struct config_route *route = base;
    route->line = node->place.line;
    fill_side(loader, node, route, SIDE_LEGACY);
    fill_side(loader, node, route, SIDE_NEW);
    check_shares(loader, node);
    plan_check(loader, node, route);
}

/* ---- the whole file ---- */

static void check_route_name(struct loader *loader, const struct config_route *routes, uint32_t index,
                             const struct node *node)
{
    for (uint32_t i = 0; i < index; i++) {
        if (routes[i].name == NULL || routes[index].name == NULL || strcmp(routes[i].name, routes[index].name) != 0)
            continue;
        check_fault(loader, "name", check_place(node, "name"),
                    "%s is the name of the route in line %" PRIu32 " too; expected another one",
                    text_shown(loader->faults, routes[index].name), routes[i].line);
        return;
    }
}

static void check_route_reach(struct loader *loader, const struct config_route *routes, uint32_t index,
                              const struct node *node)
{
    for (uint32_t i = 0; i < index; i++) {
        if (routes[i].line == 0 || !pattern_covers(&routes[i].match, &routes[index].match))
            continue;
        check_fault(loader, "match", check_place(node, "match"),
                    "no request can reach this route: the route %s in line %" PRIu32
                    " comes first and matches all that this one would; expected the narrower route first",
                    routes[i].name != NULL ? text_shown(loader->faults, routes[i].name) : "without a name",
                    routes[i].line);
        return;
    }
}

static void check_routes(struct loader *loader, const struct node *list)
{
    struct config *config = loader->config;
    size_t mark = faults_enter_key(loader->faults, "routes");
    uint32_t index = 0;
    for (const struct node_item *item = list->items; item != NULL; item = item->next, index++) {
        config->routes[index].index = index;
        if (item->value->kind != NODE_MAPPING)
            continue;
        size_t item_mark = faults_enter_item(loader->faults, index);
        check_route_name(loader, config->routes, index, item->value);
        check_route_reach(loader, config->routes, index, item->value);
        faults_leave(loader->faults, item_mark);
    }
    faults_leave(loader->faults, mark);
}

static void check_listeners(struct loader *loader, const struct node *list)
{
    const struct config *config = loader->config;
    size_t mark = faults_enter_key(loader->faults, "listeners");
    uint32_t index = 0;
    for (const struct node_item *item = list->items; item != NULL; item = item->next, index++) {
        const struct config_address *address = &config->listeners[index].address;
        size_t item_mark = faults_enter_item(loader->faults, index);
        for (uint32_t i = 0; i < index; i++) {
            const struct config_address *other = &config->listeners[i].address;
            if (address->text == NULL || other->text == NULL || strcmp(address->text, other->text) != 0 ||
                (address->unix_path == NULL && address->port == 0))
                continue;
            check_fault(loader, "address", check_place(item->value, "address"),
                        "%s is the address of an earlier listener too; expected another one",
                        text_shown(loader->faults, address->text));
            break;
        }
        faults_leave(loader->faults, item_mark);
    }
    faults_leave(loader->faults, mark);
}

static bool is_any_address(const struct config_address *address)
{
    return address->host != NULL && (strcmp(address->host, "0.0.0.0") == 0 || strcmp(address->host, "::") == 0);
}

/* Would who connects to `target` arrive at `listener`? True only where the texts prove it. */
static bool leads_to(const struct config_address *target, const struct config_address *listener)
{
    if (target->text == NULL || listener->text == NULL)
        return false;
    if (target->unix_path != NULL || listener->unix_path != NULL)
        return target->unix_path != NULL && listener->unix_path != NULL &&
               strcmp(target->unix_path, listener->unix_path) == 0;
    if (target->port != listener->port || listener->port == 0)
        return false;
    return strcasecmp(target->host, listener->host) == 0 ||
           (is_any_address(listener) && (scalar_is_loopback(target) || is_any_address(target)));
}

static const struct config_listener *listener_at(const struct config *config, const struct config_address *address)
{
    for (uint32_t i = 0; i < config->listener_count; i++) {
        if (leads_to(address, &config->listeners[i].address))
            return &config->listeners[i];
    }
    return NULL;
}

/* A backend that is shunt itself would be asked for ever. */
static void check_backend_loops(struct loader *loader, const struct node *backends)
{
    const struct config *config = loader->config;
    size_t mark = faults_enter_key(loader->faults, "backends");
    const struct node_item *item = backends->items;
    for (uint32_t i = 0; i < config->backend_count && item != NULL; i++, item = item->next) {
        const struct config_listener *listener = listener_at(config, &config->backends[i].address);
        if (listener == NULL)
            continue;
        size_t name_mark = faults_enter_key(loader->faults, item->key);
        check_fault(loader, "url", check_place(item->value, "url"),
                    "this is shunt's own listener %s, so requests would go round "
                    "for ever; expected the address of the backend",
                    text_shown(loader->faults, listener->address.text));
        faults_leave(loader->faults, name_mark);
    }
    faults_leave(loader->faults, mark);
}

static void check_admin_address(struct loader *loader, const struct node *admin)
{
    const struct config *config = loader->config;
    const struct config_listener *listener = listener_at(config, &config->admin.address);
    if (listener == NULL)
        return;
    size_t mark = faults_enter_key(loader->faults, "admin");
    check_fault(loader, "address", check_place(admin, "address"),
                "the listener %s has this address; expected another one",
                text_shown(loader->faults, listener->address.text));
    faults_leave(loader->faults, mark);
}

void file_check(struct loader *loader, const struct node *node, void *base)
{
    const struct config *config = base;
    const struct node_item *admin = node_find(node, "admin");
    const struct node_item *backends = node_find(node, "backends");
    const struct node_item *routes = node_find(node, "routes");
    const struct node_item *listeners = node_find(node, "listeners");
    if (listeners != NULL && listeners->value->kind == NODE_LIST && listeners->value->count == config->listener_count)
        check_listeners(loader, listeners->value);
    if (routes != NULL && routes->value->kind == NODE_LIST && routes->value->count == config->route_count) {
        check_routes(loader, routes->value);
        dependencies_check(loader, routes->value);
    }
    if (backends != NULL && backends->value->kind == NODE_MAPPING)
        check_backend_loops(loader, backends->value);
    if (admin != NULL)
        check_admin_address(loader, admin->value);
}
