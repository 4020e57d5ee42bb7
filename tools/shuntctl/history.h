/*
 * Changes of state as people read them; the elements are those of router_history() and of the audit trail.
 */
#ifndef SHUNT_SHUNTCTL_HISTORY_H
#define SHUNT_SHUNTCTL_HISTORY_H

#include <stdbool.h>

#include <jansson.h>

#include "tools/shuntctl/screen.h"

/* Oldest first, as it comes. False without memory. */
bool history_draw(const struct screen *screen, const json_t *events);

#endif
