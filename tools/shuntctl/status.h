/*
 * The overview that `status` and `watch` show, drawn from the answer of GET /api/v1/status.
 */
#ifndef SHUNT_SHUNTCTL_STATUS_H
#define SHUNT_SHUNTCTL_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "tools/shuntctl/screen.h"

/*
 * `before` is an earlier answer, for rates of the time between; NULL: rates are those of the breakers' windows.
 * False without memory.
 */
bool status_draw(const struct screen *screen, const json_t *status, const json_t *before);

/* The table of both sides' traffic alone. */
bool status_draw_traffic(const struct screen *screen, const json_t *status, const json_t *before);

/* One route: its plan as plan.h draws it, its traffic and counters; `route` is an element of status.routes. */
bool status_draw_route(const struct screen *screen, const json_t *route);

struct ctl;

/* Waits for the state that the options name. Returns the exit code; all is told. */
int status_wait(struct ctl *ctl, const char *route);

/* One line for each route, for logs and pipes. */
void status_draw_lines(const struct screen *screen, const json_t *status, const json_t *before);

/* The verdict on a route's gates in one sentence: "undecided: ...", "" without gates. malloc'd; NULL without memory. */
char *status_verdict(const json_t *route);

/* The route of that name in status.routes; borrowed, NULL when there is none. */
json_t *status_route(const json_t *status, const char *name);

/* Live requests a second of one side ("legacy", "new") of a route; negative when it cannot be said. */
double status_rate(const json_t *status, const json_t *route, const json_t *before, const char *side);

#endif
