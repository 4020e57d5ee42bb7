/*
 * The names of a group's keys in Redis, in the order the script declares them: docs/fleet.md has the table.
 */
#ifndef SHUNT_PROXY_FLEET_KEYS_H
#define SHUNT_PROXY_FLEET_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct fleet_keys {
    char *prefix;  /* owned: "shunt:{GROUP}:" */
    char *channel; /* owned */
};

/* False without memory: nothing to be done. */
bool fleet_keys_init(struct fleet_keys *keys, const char *group);
void fleet_keys_done(struct fleet_keys *keys);

/* Those of the group, then those of each route (array of names; NULL: none). For fleet_keys_free(); NULL without
 * memory. */
char **fleet_keys_of(const struct fleet_keys *keys, const json_t *routes, size_t *count);
void fleet_keys_free(char **names, size_t count); /* NULL is fine */

#endif
