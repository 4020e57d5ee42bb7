/*
 * The report on disk: one SQLite file, shadow.db, in the state directory; in memory where there is no directory.
 *
 * WAL, synchronous=NORMAL: what was committed survives kill -9, and a loss of power costs the last commits but never the
 * file. A file that is damaged, or of a version not known, is set aside (shadow.db.damaged-N) and a new one begun.
 * Knows records (records.h) and samples, not the report. One thread at a time: the keeper's.
 */
#ifndef SHUNT_SHADOW_ARCHIVE_H
#define SHUNT_SHADOW_ARCHIVE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "shadow/records.h"

struct archive;

/* NULL `directory`: in memory. NULL with a malloc'd sentence (place, fault, remedy) in *error; a sentence in *warning
 * (else NULL) when a damaged file was set aside. */
struct archive *archive_open(const char *directory, char **warning, char **error);
void archive_close(struct archive *archive); /* NULL is fine */

/* Everything stored, through the sink, in the order report_restore_...() wants. False with *error. */
bool archive_load(struct archive *archive, const struct record_sink *sink, char **error);

/* One transaction. begin; any number of put; commit. A failure of any put makes commit fail and roll back. */
bool archive_begin(struct archive *archive);
const struct record_sink *archive_sink(struct archive *archive);
bool archive_put_sample(struct archive *archive, const json_t *sample); /* as report_take_samples() gives it */
bool archive_commit(struct archive *archive, char **error);

/* Bounds of samples: of each field the newest and the most telling, of each route bytes and age. */
bool archive_prune(struct archive *archive, uint64_t wall_ms);
/* Forgets a route (NULL: all). */
bool archive_forget(struct archive *archive, const char *route);

/* Samples of a route (NULL: all), for each field at most `each`: the newest and the most telling, newest first. A new
 * array of sample objects, each with the member "for": the field it was kept for. NULL without memory. */
json_t *archive_samples(struct archive *archive, const char *route, unsigned each);

#endif
