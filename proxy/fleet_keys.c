/*
 * Names of keys: see fleet_keys.h. All have the group in braces, so that a cluster keeps them in one slot.
 */
#include "proxy/fleet_keys.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const of_group[] = {"state", "lease", "alive",  "replicas", "open",
                                       "seq",   "log",   "report", "samples"};
static const char *const of_route[] = {"e", "m", "w"};

enum {
    OF_GROUP = sizeof(of_group) / sizeof(of_group[0]),
    OF_ROUTE = sizeof(of_route) / sizeof(of_route[0]),
};

static char *join(const char *prefix, const char *name, const char *route)
{
    char *text = NULL;
    int length =
        route != NULL ? asprintf(&text, "%s%s:%s", prefix, name, route) : asprintf(&text, "%s%s", prefix, name);
    return length < 0 ? NULL : text;
}

bool fleet_keys_init(struct fleet_keys *keys, const char *group)
{
    *keys = (struct fleet_keys){0};
    if (asprintf(&keys->prefix, "shunt:{%s}:", group) < 0)
        keys->prefix = NULL;
    keys->channel = keys->prefix != NULL ? join(keys->prefix, "news", NULL) : NULL;
    if (keys->channel != NULL)
        return true;
    fleet_keys_done(keys);
    return false;
}

void fleet_keys_done(struct fleet_keys *keys)
{
    free(keys->prefix);
    free(keys->channel);
    *keys = (struct fleet_keys){0};
}

char **fleet_keys_of(const struct fleet_keys *keys, const json_t *routes, size_t *count)
{
    size_t routes_count = json_array_size(routes), used = 0;
    *count = OF_GROUP + routes_count * OF_ROUTE;
    char **names = calloc(*count, sizeof(*names));
    bool complete = names != NULL;
    for (size_t i = 0; complete && i < OF_GROUP; i++)
        complete = (names[used++] = join(keys->prefix, of_group[i], NULL)) != NULL;
    for (size_t r = 0; complete && r < routes_count; r++) {
        const char *route = json_string_value(json_array_get(routes, r));
        for (size_t i = 0; complete && i < OF_ROUTE; i++)
            complete = route != NULL && (names[used++] = join(keys->prefix, of_route[i], route)) != NULL;
    }
    if (complete)
        return names;
    fleet_keys_free(names, *count);
    return NULL;
}

void fleet_keys_free(char **names, size_t count)
{
    for (size_t i = 0; names != NULL && i < count; i++)
        free(names[i]);
    free(names);
}
