/*
 * The report of a fleet: what this replica's report gained, as parcels for the others, and a report of the sum of all.
 *
 * Everything in the sum is a number with a name: FIELD: N, in one hash of Redis' that all replicas add to. Things (a
 * route and direction, an endpoint, a field, a group of fields, a rule) have an ID of eight characters, made of their
 * names; what they are called is a name of a field, too:
 *   =ID KIND PARENT TEXT   kind r: route and direction (PARENT: l or n, who answered), c: endpoint, f: field,
 *                          g: group (TEXT: IDs of its fields, with ! where of shape), u: rule
 *   ID.COUNTER             sums: see report_fleet_keys.h; of a group and a rule "pairs"
 *   <ID.since  >ID.last    the least and the most of what was told: wall clock in ms; >ID.apart, >ID.mixed of a field
 *   beyond                 how often a number was told that found no room in the hash
 * Latencies are told as their histograms' steps, of endpoints four in one: quantiles of an endpoint are within a fifth.
 * What has no sum is not told: the course over time (buckets); examples come from samples.
 */
#ifndef SHUNT_SHADOW_REPORT_FLEET_H
#define SHUNT_SHADOW_REPORT_FLEET_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "shadow/report.h"

enum {
    REPORT_FLEET_EVERY_MS = 5000,
    REPORT_FLEET_BYTES = 32 * 1024, /* of the fields of one parcel, about; the rest waits for the next */
    REPORT_FLEET_SAMPLES = 4,       /* of one parcel, the newest */
    REPORT_FLEET_SAMPLE_BYTES = 16 * 1024,
    REPORT_FLEET_NAME = 300, /* characters of a field's name, at most */
};

/* What this replica has told. */
struct report_fleet;

/* What the report (borrowed) has is taken as delivered: after keeper_start(), before the compare thread starts. NULL
 * without memory. */
struct report_fleet *report_fleet_new(struct report *report);
void report_fleet_free(struct report_fleet *told); /* NULL is fine */

/*
 * The next parcel: *fields is an object FIELD: N, *samples an array of texts; new references, each NULL when there is
 * none. Whoever takes it has to see it delivered, once. Numbers of a report that was forgotten are taken back, as
 * negative ones. False: it is not time yet, or there is nothing to tell. One thread; locks the report row by row.
 */
bool report_fleet_parcel(struct report_fleet *told, uint64_t now_ms, json_t **fields, json_t **samples);
/* Redis has lost what it was told: names are told again with the next counts. */
void report_fleet_lost(struct report_fleet *told);

/*
 * The report of the sum, of one route or of all (NULL), in the form of report_json(), and so for every exporter, with
 * "fleet": { "replicas", "beyond" }. `document` is the answer to `report` (docs/fleet.md): "fields", "samples" and
 * "alive". Limits and rules of noise are those of `own`, this replica's report; examples and up to `each` samples for
 * each field that differs are shown as far as it may show them. Garbage in the document is left out. New reference;
 * NULL without memory or when there is nothing of such a route. Any thread.
 */
json_t *report_fleet_json(struct report *own, const json_t *document, const char *route, unsigned each);

#endif
