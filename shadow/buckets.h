/*
 * A route over time: buckets of a minute for the last hours, of an hour for a month.
 *
 * Closed buckets keep counts and quantiles only; of the minute and the hour that run there are histograms as well. Time
 * is the pairs' wall clock, which may jump: see buckets_add().
 */
#ifndef SHUNT_SHADOW_BUCKETS_H
#define SHUNT_SHADOW_BUCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "shadow/budget.h"
#include "shadow/compare.h"
#include "shadow/paired.h"

enum {
    BUCKET_MINUTE_S = 60,
    BUCKET_HOUR_S = 3600,
    BUCKET_MINUTES_MAX = 4 * 60 + 1, /* three hours, and what is missing to a whole one */
    BUCKET_HOURS_MAX = 30 * 24 + 1
};

enum bucket_figure {
    BUCKET_PRIMARY_P50,
    BUCKET_PRIMARY_P95,
    BUCKET_SHADOW_P50,
    BUCKET_SHADOW_P95,
    BUCKET_DIFFERENCE_P50,
    BUCKET_DIFFERENCE_P95,
    BUCKET_RATIO_P50,
    BUCKET_RATIO_P95,
    BUCKET_FIGURES
};

struct bucket {
    uint64_t at_ms; /* wall clock of its beginning */
    uint32_t judged[JUDGEMENTS];
    float figures[BUCKET_FIGURES]; /* milliseconds and ratios; 0 without compared pairs */
    bool changed;                  /* since it was last stored */
};

struct bucket_series {   /* sorted by time */
    struct bucket *rows; /* owned */
    uint32_t count, room;
};

struct bucket_live {
    struct bucket bucket;   /* without figures; at_ms 0: none runs */
    struct paired *latency; /* owned; NULL: none yet, or no room */
};

struct buckets { /* zeroed is empty */
    struct bucket_series minutes, hours;
    struct bucket_live minute, hour; /* `hour` without what is still in `minute` */
};

void buckets_done(struct buckets *buckets, struct budget *budget);

/*
 * Counts a pair. One that is up to five minutes late counts in the running minute, as pairs of several workers never
 * come in order; a larger jump back, or any forward, closes that minute and continues where the clock now is. Buckets
 * that are then more than an hour in the future came of a wrong clock and are dropped.
 */
void buckets_add(struct buckets *buckets, struct budget *budget, uint64_t wall_ms, enum judgement judgement,
                 const struct paired_steps *took);

/* Takes back a stored bucket. False: it is none, or there is no room. */
bool buckets_restore(struct buckets *buckets, struct budget *budget, const struct bucket *bucket, uint32_t width_s);

/* Every bucket once, oldest first: hours where minutes are gone, then minutes. */
void buckets_each(const struct buckets *buckets,
                  void (*each)(void *context, const struct bucket *bucket, uint32_t width_s), void *context);

struct bucket_change {
    struct bucket bucket;
    uint32_t width_s;
};
/* Copies up to `room` buckets that have changed and marks them as stored. */
uint32_t buckets_take_changes(struct buckets *buckets, struct bucket_change *changes, uint32_t room);
/* One that could not be stored after all. */
void buckets_mark_changed(struct buckets *buckets, const struct bucket_change *change);
void buckets_mark_all_changed(struct buckets *buckets);

#endif
