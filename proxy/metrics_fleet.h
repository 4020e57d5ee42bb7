/*
 * The families of the fleet and of the way to Redis on the /metrics page.
 */
#ifndef SHUNT_PROXY_METRICS_FLEET_H
#define SHUNT_PROXY_METRICS_FLEET_H

#include "proxy/metrics_text.h"

struct control_fleet_facts;

/* Not called without state.redis: the page then says nothing of a fleet. */
void metrics_fleet_write(struct metrics_text *text, const struct control_fleet_facts *facts);

#endif
