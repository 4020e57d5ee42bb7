/*
 * Buckets: see buckets.h. One for each route and direction, under the report's lock.
 *
 * The running minute is the only one that is counted into; when it ends it is put among the minutes and folded into the
 * running hour. A bucket that is already there, as after a restart or a jump of the clock, is joined: counts add up
 * exactly, quantiles are averaged by the pairs behind them.
 */
#include "shadow/buckets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE_MS    ((uint64_t)BUCKET_MINUTE_S * 1000)
#define HOUR_MS      ((uint64_t)BUCKET_HOUR_S * 1000)
#define LATE_MS      (5 * MINUTE_MS)
#define MINUTES_KEPT (3 * HOUR_MS)
#define HOURS_KEPT   (30 * 24 * HOUR_MS)
/* 2100: a time beyond it is damage. */
#define TIME_MAX_MS 4102444800000u

enum {
    SERIES_FIRST_ROOM = 8
};

static uint64_t floor_to(uint64_t ms, uint64_t width)
{
    return ms - ms % width;
}

static uint64_t less(uint64_t ms, uint64_t by)
{
    return ms > by ? ms - by : 0;
}

static uint64_t compared_of(const struct bucket *bucket)
{
    return (uint64_t)bucket->judged[JUDGEMENT_MATCHED] + bucket->judged[JUDGEMENT_IGNORED] +
           bucket->judged[JUDGEMENT_MISMATCHED];
}

static void count_up(uint32_t *count, uint32_t by)
{
    *count = by > UINT32_MAX - *count ? UINT32_MAX : *count + by;
}

/* ---- one bucket ---- */

static void join(struct bucket *into, const struct bucket *other)
{
    double mine = (double)compared_of(into), theirs = (double)compared_of(other);
    for (int i = 0; i < BUCKET_FIGURES && mine + theirs > 0; i++)
        into->figures[i] = (float)((into->figures[i] * mine + other->figures[i] * theirs) / (mine + theirs));
    for (int i = 0; i < JUDGEMENTS; i++)
        count_up(&into->judged[i], other->judged[i]);
    into->changed = into->changed || other->changed;
}

static void fill_figures(struct bucket *bucket, const struct paired *latency)
{
    if (latency == NULL || latency->count == 0)
        return;
    bucket->figures[BUCKET_PRIMARY_P50] = (float)paired_primary_ms(latency, 0.5);
    bucket->figures[BUCKET_PRIMARY_P95] = (float)paired_primary_ms(latency, 0.95);
    bucket->figures[BUCKET_SHADOW_P50] = (float)paired_shadow_ms(latency, 0.5);
    bucket->figures[BUCKET_SHADOW_P95] = (float)paired_shadow_ms(latency, 0.95);
    bucket->figures[BUCKET_DIFFERENCE_P50] = (float)paired_difference_ms(latency, 0.5);
    bucket->figures[BUCKET_DIFFERENCE_P95] = (float)paired_difference_ms(latency, 0.95);
    bucket->figures[BUCKET_RATIO_P50] = (float)paired_ratio(latency, 0.5);
    bucket->figures[BUCKET_RATIO_P95] = (float)paired_ratio(latency, 0.95);
}

static struct bucket bucket_of(const struct bucket_live *live)
{
    struct bucket bucket = live->bucket;
    fill_figures(&bucket, live->latency);
    return bucket;
}

/* ---- a series ---- */

static bool grow(struct bucket_series *series, struct budget *budget, uint32_t most)
{
    uint32_t room = series->room == 0 ? SERIES_FIRST_ROOM : series->room * 2;
    room = room < most ? room : most;
    if (room <= series->room || !budget_take(budget, (room - series->room) * sizeof(struct bucket)))
        return false;
    struct bucket *rows = realloc(series->rows, room * sizeof(*rows));
    if (rows == NULL) {
        budget_give(budget, (room - series->room) * sizeof(struct bucket));
        return false;
    }
    series->rows = rows;
    series->room = room;
    return true;
}

static void remove_at(struct bucket_series *series, uint32_t from, uint32_t count)
{
    if (count == 0)
        return;
    series->count -= count;
    memmove(series->rows + from, series->rows + from + count, (series->count - from) * sizeof(struct bucket));
}

/* Where a bucket of this time is, or would go. */
static uint32_t place_of(const struct bucket_series *series, uint64_t at_ms)
{
    uint32_t place = series->count;
    while (place > 0 && series->rows[place - 1].at_ms >= at_ms)
        place--;
    return place;
}

static const struct bucket *find(const struct bucket_series *series, uint64_t at_ms)
{
    uint32_t place = place_of(series, at_ms);
    return place < series->count && series->rows[place].at_ms == at_ms ? &series->rows[place] : NULL;
}

/* Joins or inserts; where there is no room the oldest goes. */
static bool put(struct bucket_series *series, struct budget *budget, uint32_t most, const struct bucket *bucket)
{
    uint32_t place = place_of(series, bucket->at_ms);
    if (place < series->count && series->rows[place].at_ms == bucket->at_ms) {
        join(&series->rows[place], bucket);
        return true;
    }
    if (series->count == series->room && !grow(series, budget, most)) {
        if (place == 0) /* older than all others, or there is no room at all */
            return false;
        remove_at(series, 0, 1);
        place--;
    }
    memmove(series->rows + place + 1, series->rows + place, (series->count - place) * sizeof(struct bucket));
    series->rows[place] = *bucket;
    series->count++;
    return true;
}

static void keep_between(struct bucket_series *series, uint64_t from_ms, uint64_t to_ms)
{
    remove_at(series, 0, place_of(series, from_ms));
    uint32_t end = place_of(series, to_ms + 1);
    remove_at(series, end, series->count - end);
}

/* ---- what runs ---- */

static void begin(struct bucket_live *live, uint64_t at_ms)
{
    live->bucket = (struct bucket){.at_ms = at_ms};
    if (live->latency != NULL)
        memset(live->latency, 0, sizeof(*live->latency));
}

static void close_hour(struct buckets *buckets, struct budget *budget)
{
    struct bucket bucket = bucket_of(&buckets->hour);
    if (bucket.at_ms != 0)
        put(&buckets->hours, budget, BUCKET_HOURS_MAX, &bucket);
    begin(&buckets->hour, 0);
}

static void fold_into_hour(struct buckets *buckets, struct budget *budget)
{
    const struct bucket_live *minute = &buckets->minute;
    uint64_t at_ms = floor_to(minute->bucket.at_ms, HOUR_MS);
    if (buckets->hour.bucket.at_ms != at_ms) {
        close_hour(buckets, budget);
        begin(&buckets->hour, at_ms);
    }
    for (int i = 0; i < JUDGEMENTS; i++)
        count_up(&buckets->hour.bucket.judged[i], minute->bucket.judged[i]);
    buckets->hour.bucket.changed = true;
    if (minute->latency != NULL && paired_make(&buckets->hour.latency, budget))
        paired_merge(buckets->hour.latency, minute->latency);
}

static void close_minute(struct buckets *buckets, struct budget *budget)
{
    struct bucket bucket = bucket_of(&buckets->minute);
    if (bucket.at_ms == 0)
        return;
    put(&buckets->minutes, budget, BUCKET_MINUTES_MAX, &bucket);
    fold_into_hour(buckets, budget);
}

/* The first minute that is told as one; what is older is told by the hour. */
static uint64_t first_minute(uint64_t now_ms)
{
    return floor_to(less(now_ms, MINUTES_KEPT), HOUR_MS);
}

static void turn_to(struct buckets *buckets, struct budget *budget, uint64_t at_ms)
{
    close_minute(buckets, budget);
    begin(&buckets->minute, at_ms);
    if (buckets->hour.bucket.at_ms != floor_to(at_ms, HOUR_MS))
        close_hour(buckets, budget);
    keep_between(&buckets->minutes, first_minute(at_ms), at_ms + HOUR_MS);
    keep_between(&buckets->hours, less(at_ms, HOURS_KEPT), at_ms + HOUR_MS);
}

static bool is_another(const struct bucket_live *minute, uint64_t wall_ms)
{
    uint64_t at_ms = minute->bucket.at_ms;
    return at_ms == 0 || wall_ms >= at_ms + MINUTE_MS || wall_ms + LATE_MS < at_ms;
}

void buckets_add(struct buckets *buckets, struct budget *budget, uint64_t wall_ms, enum judgement judgement,
                 const struct paired_steps *took)
{
    if (wall_ms < MINUTE_MS || wall_ms > TIME_MAX_MS) /* a clock that is not set */
        return;
    if (is_another(&buckets->minute, wall_ms))
        turn_to(buckets, budget, floor_to(wall_ms, MINUTE_MS));
    count_up(&buckets->minute.bucket.judged[judgement], 1);
    buckets->minute.bucket.changed = true;
    if (judgement != JUDGEMENT_NOT_COMPARABLE && paired_make(&buckets->minute.latency, budget))
        paired_add(buckets->minute.latency, took);
}

void buckets_done(struct buckets *buckets, struct budget *budget)
{
    struct bucket_live *lives[] = {&buckets->minute, &buckets->hour};
    struct bucket_series *series[] = {&buckets->minutes, &buckets->hours};
    for (int i = 0; i < 2; i++) {
        if (lives[i]->latency != NULL)
            budget_give(budget, sizeof(struct paired));
        free(lives[i]->latency);
        budget_give(budget, series[i]->room * sizeof(struct bucket));
        free(series[i]->rows);
    }
    memset(buckets, 0, sizeof(*buckets));
}

/* ---- storing ---- */

static bool is_sane(const struct bucket *bucket, uint64_t width_ms)
{
    if (bucket->at_ms == 0 || bucket->at_ms > TIME_MAX_MS || bucket->at_ms % width_ms != 0)
        return false;
    for (int i = 0; i < BUCKET_FIGURES; i++)
        if (!isfinite(bucket->figures[i]) ||
            (bucket->figures[i] < 0 && i != BUCKET_DIFFERENCE_P50 && i != BUCKET_DIFFERENCE_P95))
            return false;
    return true;
}

bool buckets_restore(struct buckets *buckets, struct budget *budget, const struct bucket *bucket, uint32_t width_s)
{
    bool is_minute = width_s == BUCKET_MINUTE_S;
    struct bucket stored = *bucket;
    stored.changed = false;
    if ((!is_minute && width_s != BUCKET_HOUR_S) || !is_sane(bucket, (uint64_t)width_s * 1000))
        return false;
    return put(is_minute ? &buckets->minutes : &buckets->hours, budget,
               is_minute ? BUCKET_MINUTES_MAX : BUCKET_HOURS_MAX, &stored);
}

/* What runs, joined with what is already there of the same time. */
static struct bucket minute_now(const struct buckets *buckets)
{
    struct bucket bucket = bucket_of(&buckets->minute);
    const struct bucket *closed = find(&buckets->minutes, bucket.at_ms);
    if (closed != NULL)
        join(&bucket, closed);
    return bucket;
}

static struct bucket hour_now(const struct buckets *buckets)
{
    struct bucket bucket = bucket_of(&buckets->hour), minute = bucket_of(&buckets->minute);
    bucket.at_ms = floor_to(minute.at_ms, HOUR_MS);
    join(&bucket, &minute);
    const struct bucket *closed = find(&buckets->hours, bucket.at_ms);
    if (closed != NULL)
        join(&bucket, closed);
    return bucket;
}

static uint32_t take_of(struct bucket_series *series, uint64_t but_ms, uint32_t width_s, struct bucket_change *changes,
                        uint32_t room)
{
    uint32_t taken = 0;
    for (uint32_t i = 0; i < series->count && taken < room; i++) {
        if (!series->rows[i].changed || series->rows[i].at_ms == but_ms)
            continue;
        series->rows[i].changed = false;
        changes[taken++] = (struct bucket_change){series->rows[i], width_s};
    }
    return taken;
}

static uint32_t take_live(struct buckets *buckets, struct bucket_change *changes)
{
    changes[0] = (struct bucket_change){minute_now(buckets), BUCKET_MINUTE_S};
    changes[1] = (struct bucket_change){hour_now(buckets), BUCKET_HOUR_S};
    buckets->minute.bucket.changed = buckets->hour.bucket.changed = false;
    return 2;
}

uint32_t buckets_take_changes(struct buckets *buckets, struct bucket_change *changes, uint32_t room)
{
    uint64_t minute_ms = buckets->minute.bucket.at_ms;
    uint32_t taken = 0;
    if (minute_ms != 0 && buckets->minute.bucket.changed && room >= 2)
        taken = take_live(buckets, changes);
    taken += take_of(&buckets->minutes, minute_ms, BUCKET_MINUTE_S, changes + taken, room - taken);
    taken += take_of(&buckets->hours, floor_to(minute_ms, HOUR_MS), BUCKET_HOUR_S, changes + taken, room - taken);
    return taken;
}

void buckets_mark_changed(struct buckets *buckets, const struct bucket_change *change)
{
    bool is_minute = change->width_s == BUCKET_MINUTE_S;
    struct bucket_series *series = is_minute ? &buckets->minutes : &buckets->hours;
    uint64_t at_ms = change->bucket.at_ms, minute_ms = buckets->minute.bucket.at_ms;
    if (at_ms == minute_ms || at_ms == floor_to(minute_ms, HOUR_MS))
        buckets->minute.bucket.changed = true;
    uint32_t place = place_of(series, at_ms);
    if (place < series->count && series->rows[place].at_ms == at_ms)
        series->rows[place].changed = true;
}

void buckets_mark_all_changed(struct buckets *buckets)
{
    buckets->minute.bucket.changed = true;
    for (uint32_t i = 0; i < buckets->minutes.count; i++)
        buckets->minutes.rows[i].changed = true;
    for (uint32_t i = 0; i < buckets->hours.count; i++)
        buckets->hours.rows[i].changed = true;
}

/* ---- telling ---- */

void buckets_each(const struct buckets *buckets,
                  void (*each)(void *context, const struct bucket *bucket, uint32_t width_s), void *context)
{
    const struct bucket_series *minutes = &buckets->minutes, *hours = &buckets->hours;
    struct bucket now = minute_now(buckets);
    uint64_t newest = now.at_ms != 0       ? now.at_ms
                      : minutes->count > 0 ? minutes->rows[minutes->count - 1].at_ms
                      : hours->count > 0   ? hours->rows[hours->count - 1].at_ms + MINUTES_KEPT + HOUR_MS
                                           : 0;
    uint64_t first = first_minute(newest);
    for (uint32_t i = 0; i < hours->count && hours->rows[i].at_ms < first; i++)
        each(context, &hours->rows[i], BUCKET_HOUR_S);
    bool told = now.at_ms == 0;
    for (uint32_t i = place_of(minutes, first); i < minutes->count; i++) {
        if (!told && minutes->rows[i].at_ms >= now.at_ms) {
            each(context, &now, BUCKET_MINUTE_S);
            told = true;
        }
        if (minutes->rows[i].at_ms != now.at_ms)
            each(context, &minutes->rows[i], BUCKET_MINUTE_S);
    }
    if (!told)
        each(context, &now, BUCKET_MINUTE_S);
}
