/*
 * How a route's plan stands, drawn from an element of status.routes: `plan`, and the upper part of `status ROUTE`.
 */
#ifndef SHUNT_SHUNTCTL_PLAN_H
#define SHUNT_SHUNTCTL_PLAN_H

#include <stdbool.h>

#include <jansson.h>

#include "tools/shuntctl/screen.h"

/* "orders: running, stage canary 2/5, 10 % to new, 100 % mirrored": one line, what every verb answers with. */
void plan_draw_line(const struct screen *screen, const json_t *route);

/* Why it is not promoted yet, stages, gates, dependencies, breaker. False without memory. */
bool plan_draw(const struct screen *screen, const json_t *route);

/* One line for each route of the array. False without memory. */
bool plan_draw_list(const struct screen *screen, const json_t *routes);

#endif
