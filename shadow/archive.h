/*
 * The report on disk: one SQLite file, shadow.db, in the state directory; in memory where there is no directory.
 *
 * WAL, synchronous=NORMAL: what was committed survives kill -9, and a loss of power costs the last commits but never
 * the file. A file that is damaged, or of a version not known, is set aside (shadow.db.damaged-N) and a new one begun.
 * Knows records (records.h) and samples, not the report. One thread at a time: the keeper's.
 */
#ifndef SHUNT_SHADOW_ARCHIVE_H
#define SHUNT_SHADOW_ARCHIVE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "shadow/records.h"

struct archive;

enum {
    ARCHIVE_ANSWER_BYTES = 8 * 1024 * 1024 /* of samples that archive_samples() gives at once */
};

/* Where there is little memory: from now on what SQLite has in memory, caches and a database without a file, is kept to
 * about `bytes`, and to `most` at any rate; beyond it a save fails. Of the whole process; any thread. */
void archive_bound(size_t bytes, size_t most);

/* NULL `directory`: in memory. NULL with a malloc'd sentence (place, fault, remedy) in *error; a sentence in *warning
 * (else NULL) when a damaged file was set aside. */
struct archive *archive_open(const char *directory, char **warning, char **error);
void archive_close(struct archive *archive); /* NULL is fine */

/* Everything stored, through the sink, in the order report_restore_...() wants. False with *error, when it cannot be
 * read. What the sink refuses is left out and counted in *refused. */
bool archive_load(struct archive *archive, const struct record_sink *sink, uint64_t *refused, char **error);

/* What archive_veil() has said of a route last; *known false when it has not. Inside of a transaction or not. False
 * when it cannot be read; within a transaction, that fails then. */
bool archive_values(struct archive *archive, const char *route, enum config_sample_values *values, bool *known);

/* One transaction. begin; any number of put and forget; commit. A failure of any of them makes commit fail and roll
 * back. */
bool archive_begin(struct archive *archive);
const struct record_sink *archive_sink(struct archive *archive);
/* As report_take_samples() gives it. False also for one that is not (the others are kept then). */
bool archive_put_sample(struct archive *archive, const json_t *sample);
/* Forgets a route (NULL: all); with the commit it is gone from the file, free pages and log included. */
bool archive_forget(struct archive *archive, const char *route);
/*
 * From now on samples of this route may tell no more than `values`; stored ones that do are deleted, and with the
 * commit they are gone from the file, free pages and log included. *deleted: how many.
 */
bool archive_veil(struct archive *archive, const char *route, enum config_sample_values values, uint64_t *deleted);
bool archive_commit(struct archive *archive, char **error);

/* Bounds of samples: of each route bytes and age (their count, of each field, is bounded with each put). Drops minutes
 * that are part of an hour long past. A transaction of its own; next to nothing when nothing is over. */
bool archive_prune(struct archive *archive, uint64_t wall_ms);

/* True when the file is of no use any more: found to be damaged, or removed or replaced by somebody. Close it, open it
 * again, and put everything once more. */
bool archive_is_lost(struct archive *archive);

/* Samples of a route (NULL: all), for each field at most `each`: the newest and the most telling, newest first, at most
 * ARCHIVE_ANSWER_BYTES. A new array of sample objects, each with the member "for": the field it was kept for. NULL
 * without memory, or when they cannot be read. */
json_t *archive_samples(struct archive *archive, const char *route, unsigned each);

#endif
