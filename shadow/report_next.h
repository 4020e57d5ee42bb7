/* CONTRACT for report.h of schema 2: move these into report.h / report_row.h as you build them, then delete this file. */
#ifndef SHUNT_SHADOW_REPORT_NEXT_H
#define SHUNT_SHADOW_REPORT_NEXT_H

#include "shadow/records.h"
#include "shadow/report.h"

/*
 * Calls the sink for everything that has changed since the last call that returned true. The keeper's thread; copies
 * under the lock, calls back outside of it, so that a slow disk never holds up the compare thread. False: the sink
 * refused; what it refused stays changed.
 */
bool report_save_changes(struct report *report, const struct record_sink *sink);

/* Before the compare thread starts: takes back what was stored. False: no room for it, or it is damaged; nothing of it
 * is taken then. Cells first, then fields in the order of their index, then groups. */
bool report_restore_cell(struct report *report, const struct record_cell *record);
bool report_restore_field(struct report *report, const struct record_field *record);
bool report_restore_group(struct report *report, const struct record_group *record);
bool report_restore_bucket(struct report *report, const struct record_bucket *record);
bool report_restore_rule(struct report *report, const struct record_rule *record);

/*
 * Samples made since the last call (sample.h), as an array of { "route", "primary", "endpoint", "field", "score", "keep",
 * "max_bytes", "max_age_ms", "sample" }: the field of the pair it was taken for; score: lower tells more (the number of
 * fields that differ in it). NULL when there are none. New reference. At most 256 wait, and 4 MiB; more are not made.
 */
json_t *report_take_samples(struct report *report);

#endif
