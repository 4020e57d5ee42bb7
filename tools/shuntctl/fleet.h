/*
 * The fleet as one replica and Redis know it, drawn from the answer of GET /api/v1/fleet.
 */
#ifndef SHUNT_SHUNTCTL_FLEET_H
#define SHUNT_SHUNTCTL_FLEET_H

#include <stdbool.h>

#include <jansson.h>

#include "tools/shuntctl/screen.h"

/* Who leads, how Redis does, what each route is to be, and the replicas as far as Redis tells. False without memory. */
bool fleet_draw(const struct screen *screen, const json_t *fleet);

#endif
