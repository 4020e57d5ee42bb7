/*
 * Samples of a fleet: what a replica tells, and what another shows of it. Internal to the fleet's report.
 */
#ifndef SHUNT_SHADOW_REPORT_FLEET_SAMPLES_H
#define SHUNT_SHADOW_REPORT_FLEET_SAMPLES_H

#include <jansson.h>
#include <stdbool.h>

struct report;

/* The newest samples since the last call, as texts; NULL: none. New reference. Locks the report. */
json_t *fleet_samples_take(struct report *report);
/* Those of these texts that are samples and that `own` may show, newest first; new reference, NULL without memory. */
json_t *fleet_samples_read(struct report *own, const json_t *texts);
/* Gives a route, as in a report's JSON, up to `each` samples of each field, and its fields their examples. False
 * without memory. */
bool fleet_samples_add(json_t *route, const json_t *samples, unsigned each);

#endif
