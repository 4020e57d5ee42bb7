/*
 * Laying an object on a manifest, as a patch, and taking it back from the record that says what was there before.
 *
 * A record has the shape of what was laid. null: nothing was there, remove it. A text: that stood there. An object:
 * look into the map, or into the items of a list by their names; its member "" is the record of the map or list itself,
 * which holds when nothing but what was laid is left in it.
 */
#ifndef SHUNT_SHUNTCTL_INJECT_LAY_H
#define SHUNT_SHUNTCTL_INJECT_LAY_H

#include <jansson.h>

#include "tools/shuntctl/manifest.h"

/* What tells an item of a list from the others: its name, else its port. NULL: nothing does. */
const char *lay_name_of(const struct manifest *manifest, const struct manifest_node *item);

/* Lays `over` (an object, kept by the caller until the manifest is applied) on a map. The record, a new reference; NULL
 * without memory, which the faults know. */
json_t *lay_on(struct manifest *manifest, struct manifest_node *map, json_t *over);

/* Takes it back. */
void lay_off(struct manifest *manifest, struct manifest_node *map, const json_t *record);

#endif
