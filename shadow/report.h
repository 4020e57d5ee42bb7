/*
 * What comparing has found: totals, differing fields and latencies of each endpoint, per route and direction.
 *
 * The compare thread writes, control and the keeper read; one mutex inside, never touched by a worker. Every map is
 * bounded and has an "(other)" row, and all together take at most REPORT_BYTES_MAX whatever the traffic.
 */
#ifndef SHUNT_SHADOW_REPORT_H
#define SHUNT_SHADOW_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "router/router.h"
#include "router/sketch.h"
#include "shadow/compare.h"
#include "shadow/records.h"

struct report;

enum {
    REPORT_SCHEMA = 2,
    REPORT_BYTES_MAX = 48 * 1024 * 1024,
    REPORT_SAMPLE_BYTES_MAX = 4 * 1024 * 1024,
};

struct report *report_new(void); /* NULL without memory */
/* Where there is little memory: at most so much for everything, and for samples that wait. Before anything is added or
 * restored. */
void report_bound(struct report *report, size_t bytes, size_t sample_bytes);
void report_free(struct report *report);

/* Counts a judged pair, and makes a sample of it when it tells something new. The compare thread. */
void report_add(struct report *report, const struct pair *pair, const struct comparison *comparison);

/*
 * Zeroes where nothing was compared. Any thread. `compared` leaves out what could not be compared; `mismatched` leaves
 * out pairs whose every differing field is noise. So it may also fall: when a field is found to be noise, what was
 * counted before is taken back, and report_reset() takes back everything.
 */
void report_totals(struct report *report, const char *route, struct comparison_totals *totals);

/*
 * Whose pairs these are, merged into *marks: of all that were compared since this was last called for the route, and of
 * those that differ (error_keys and error_paths), but for what was noise when it came. Any thread.
 */
void report_take_marks(struct report *report, const char *route, struct marks *marks);

/* What it holds of the memory report_bound() speaks of. Any thread. */
size_t report_bytes(struct report *report);
/* Has no pair been added yet, of any route? */
bool report_is_empty(struct report *report);
/* Has anything of this route been compared, also of one that the file names no more? */
bool report_knows(struct report *report, const char *route);

/*
 * The report of one route, or of all (NULL), as JSON with a schema version, without `samples` and `not_mirrored`, which
 * the keeper adds; new reference, NULL without memory or when there is no such route in it. Schema in docs/report.md.
 * Any thread.
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

/* How much of values may be shown of a route. */
struct report_veil {
    const char *route;
    enum config_sample_values values;
};

/*
 * From now on nothing of these routes shows more than this: neither pairs that were sent when more was allowed nor,
 * where less is allowed than before, examples and waiting samples, which are emptied and dropped; counts stay. Routes
 * that are not named may show what they have. Replaces what was set before. Any thread; `veils` is copied. False
 * without memory.
 */
bool report_set_veils(struct report *report, const struct report_veil *veils, uint32_t count);
/* Would values kept under `values` tell more than `veil` allows? */
bool report_tells_more(enum config_sample_values values, enum config_sample_values veil);
struct report_veil *report_veils_copy(const struct report_veil *veils, uint32_t count); /* NULL without memory */
void report_veils_free(struct report_veil *veils, uint32_t count);                      /* NULL is fine */
/* None are set: what is taken back from now on is judged by the next call alone. */
void report_forget_veils(struct report *report);
/* May a sample that was made under `values` be shown for this route? */
bool report_may_show(struct report *report, const char *route, enum config_sample_values values);
/* Empties all examples of a route, kept under a veil that told more than the one there is now; returns how many. */
uint64_t report_forget_examples(struct report *report, const char *route);

/*
 * Calls the sink for everything that has changed since the last call that returned true. The keeper's thread; copies
 * under the lock, calls back outside of it, so that a slow disk never holds up the compare thread. False: the sink
 * refused (or there is no memory); what it refused stays changed. One endpoint's cell, fields and groups are of one
 * instant.
 */
bool report_save_changes(struct report *report, const struct record_sink *sink);
/* Everything counts as changed again: what was handed over has been lost, as when a transaction failed at its end. */
void report_save_again(struct report *report);

/* Before the compare thread starts: takes back what was stored. False: no room for it, or it is damaged; nothing of it
 * is taken then. Cells first, then fields in the order of their index, then groups. */
bool report_restore_cell(struct report *report, const struct record_cell *record);
bool report_restore_field(struct report *report, const struct record_field *record);
bool report_restore_group(struct report *report, const struct record_group *record);
bool report_restore_bucket(struct report *report, const struct record_bucket *record);
bool report_restore_rule(struct report *report, const struct record_rule *record);

/*
 * Samples made since the last call (sample.h), as an array of { "route", "primary", "endpoint", "field", "score",
 * "keep", "max_bytes", "max_age_ms", "sample" }: the field of the pair it was taken for; score: lower tells more (the
 * number of fields that differ in it). NULL when there are none. New reference. At most 256 wait, and
 * REPORT_SAMPLE_BYTES_MAX; more are not made.
 */
json_t *report_take_samples(struct report *report);

#endif
