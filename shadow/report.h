/*
 * What comparing has found: totals, differing fields, newest redacted samples, per route and direction.
 *
 * The compare thread writes, control reads; one mutex inside, never touched by a worker. Every map is bounded and has
 * an
 * "(other)" row.
 */
#ifndef SHUNT_SHADOW_REPORT_H
#define SHUNT_SHADOW_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "router/router.h"
#include "shadow/compare.h"

struct report;

enum {
    REPORT_SCHEMA = 1
};

struct report *report_new(void); /* NULL without memory */
void report_free(struct report *report);

/* Counts a judged pair. The compare thread. */
void report_add(struct report *report, const struct pair *pair, const struct comparison *comparison);

/*
 * Zeroes where nothing was compared. Any thread. `compared` leaves out what could not be compared; `mismatched` leaves
 * out pairs whose every differing field is noise. So it may also fall: when a field is found to be noise, what was
 * counted before is taken back, and report_reset() takes back everything.
 */
void report_totals(struct report *report, const char *route, struct comparison_totals *totals);

/*
 * The report of one route, or of all (NULL), as JSON with a schema version; new reference, NULL without memory or when
 * there is no such route in it. Schema in docs/shadow.md.
 */
json_t *report_json(struct report *report, const char *route);
/* The same as a table for people, at most `width` columns; malloc'd. Made from report_json() so that shuntctl can print
 * what the API gave it. */
char *report_text(const json_t *report, unsigned width, bool color);

/* Calls back for each route in the report, for metrics: outcome names are "matched", "ignored", "mismatched",
 * "not_comparable". The counts only grow (until a reset): "mismatched" contains the pairs that differ only in noise. */
void report_each(struct report *report,
                 void (*each)(void *context, const char *route, enum side primary, const char *outcome, uint64_t count),
                 void *context);

/* Forgets everything of a route (NULL: all): a new stage of work on the new backend starts clean. What is stored is the
 * keeper's: see keeper_forget(). */
void report_reset(struct report *report, const char *route);

#endif
