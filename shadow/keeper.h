/*
 * The keeper: a thread ("report") that stores the report once a second and makes what people ask of it.
 *
 * Neither the compare thread nor control ever waits for the disk or for a large page to be written: control hands a job
 * over and gets the finished text back through a function of its own.
 */
#ifndef SHUNT_SHADOW_KEEPER_H
#define SHUNT_SHADOW_KEEPER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "shadow/report.h"

struct keeper;

/*
 * Opens the archive (archive.h), loads what is stored into `report` (borrowed, not shared with any thread yet), starts
 * the thread. An archive that cannot be opened costs persistence, not the start: *warning then says so (malloc'd, else
 * NULL), and memory is used. NULL only without memory or threads.
 */
struct keeper *keeper_start(const char *directory, struct report *report, char **warning);
/*
 * Stores what is left (bounded by `wait_ms`), drops the jobs that wait (their `done` is not called any more once it has
 * returned), ends the thread. NULL is fine. Call it after the comparer has stopped. False: the disk hangs and the
 * thread with it, which is left behind and still uses the report: nothing may be freed any more, only _exit() is left.
 */
bool keeper_stop(struct keeper *keeper, uint64_t wait_ms);

/* What to make; the table of formats is export.h's. */
struct keeper_job {
    const char *route;  /* NULL: all; copied */
    unsigned samples;   /* for each field */
    const char *format; /* "json", "html", ...: see export.h; static text */
    json_t *mirror;     /* owned by the job: per route and direction, why requests were not mirrored or compared:
                           { "orders-read": { "legacy": { "rate": 12, ... }, "new": { ... } } }; NULL: none */
    json_t *fleet;      /* owned by the job: what all replicas have told (report_fleet_json()), to be shown instead of
                           this replica's report, `mirror` and samples; NULL: not asked for */
    /* On the keeper's thread. `text` is malloc'd and the callee's; NULL: no memory, or nothing is known of this route
     * (`known` tells). Hand it to your own loop. */
    void (*done)(void *context, char *text, size_t len, bool known);
    void *context;
};

/* False: too many jobs wait (8); nothing happens then, and `mirror` and `fleet` are still the caller's. */
bool keeper_submit(struct keeper *keeper, const struct keeper_job *job);

/* Forgets a route (NULL: all) in the report at once, and on disk with the next second. */
void keeper_forget(struct keeper *keeper, const char *route);

/*
 * What may be shown of values from now on, see report_set_veils(). Where it is less than before, also before a restart,
 * what was kept under the old rule goes: at once from what is served, with the next save from the disk. False without
 * memory.
 */
bool keeper_veil(struct keeper *keeper, const struct report_veil *veils, uint32_t count);

struct keeper_stats {
    uint64_t saves, save_failures;
    uint64_t samples_kept, samples_dropped; /* stored; given up because too many waited */
    bool on_disk;                           /* false: in memory */
};
/* Any thread; NULL is fine for both. */
void keeper_stats(struct keeper *keeper, struct keeper_stats *stats);
/* The newest failure's sentence since the last call (malloc'd), or NULL: for the log. A failure that goes on is told
 * once, until a save has succeeded. */
char *keeper_fault(struct keeper *keeper);
/* A sentence (malloc'd) about values that were taken out of the report since the last call, or NULL: likewise. */
char *keeper_note(struct keeper *keeper);

#endif
