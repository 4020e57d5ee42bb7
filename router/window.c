/*
 * The breaker's memory. A ring of differences with running totals, so that a look costs the same whatever the window
 * holds.
 */
#include "router/window.h"

#include <stdlib.h>
#include <string.h>

bool window_reserve(struct window *window, bool latency)
{
    if (latency && window->latency == NULL && window->spare == NULL)
        window->spare = calloc(1, sizeof(*window->spare));
    return !latency || window->latency != NULL || window->spare != NULL;
}

void window_init(struct window *window, uint64_t length_ms, bool latency)
{
    if (latency && window->latency == NULL) {
        window->latency = window->spare;
        window->spare = NULL;
    } else if (!latency) {
        window_done(window);
    }
    uint64_t bucket_ms = length_ms / (WINDOW_BUCKETS - 1);
    window->bucket_ms = bucket_ms > WINDOW_BUCKET_MIN_MS ? bucket_ms : WINDOW_BUCKET_MIN_MS;
}

void window_done(struct window *window)
{
    free(window->latency);
    free(window->spare);
    window->latency = NULL;
    window->spare = NULL;
}

static void remember(struct window *window, const struct route_counters *sum, bool with_latency)
{
    for (int side = 0; side < SIDES; side++) {
        window->last[side] =
            (struct window_counts){sum->side[side].judged, sum->side[side].errors, sum->side[side].slow};
        if (with_latency)
            window->latency->last[side] = sum->side[side].latency;
    }
}

void window_clear(struct window *window, uint64_t now_ms)
{
    memset(window->total, 0, sizeof(window->total));
    memset(window->bucket, 0, sizeof(window->bucket));
    memset(window->marks, 0, sizeof(window->marks));
    if (window->latency != NULL && window->latency->used) { /* fresh memory is not even touched */
        memset(window->latency->total, 0, sizeof(window->latency->total));
        memset(window->latency->bucket, 0, sizeof(window->latency->bucket));
        window->latency->used = false;
    }
    window->head = 0;
    window->head_until_ms = now_ms + window->bucket_ms;
}

void window_restart(struct window *window, const struct route_counters *sum, uint64_t now_ms)
{
    window_clear(window, now_ms);
    remember(window, sum, window->latency != NULL);
}

static void forget_bucket(struct window *window, uint32_t index)
{
    memset(&window->marks[index], 0, sizeof(window->marks[index]));
    for (int side = 0; side < SIDES; side++) {
        struct window_counts *bucket = &window->bucket[index][side];
        window->total[side].judged -= bucket->judged;
        window->total[side].errors -= bucket->errors;
        window->total[side].slow -= bucket->slow;
        memset(bucket, 0, sizeof(*bucket));
        if (window->latency == NULL || !window->latency->used)
            continue;
        uint32_t *counts = window->latency->bucket[index][side];
        for (uint32_t b = 0; b < HISTOGRAM_BUCKETS; b++)
            window->latency->total[side].count[b] -= counts[b];
        memset(counts, 0, sizeof(window->latency->bucket[index][side]));
    }
}

static void let_time_pass(struct window *window, uint64_t now_ms)
{
    for (int step = 0; now_ms >= window->head_until_ms; step++) {
        if (step == WINDOW_BUCKETS) { /* everything is forgotten: skip what is left of a long pause */
            window->head_until_ms = now_ms + window->bucket_ms;
            return;
        }
        window->head = (window->head + 1) % WINDOW_BUCKETS;
        window->head_until_ms += window->bucket_ms;
        forget_bucket(window, window->head);
    }
}

static void take_latency(struct window_latency *latency, uint32_t head, int side, const struct histogram *now)
{
    uint32_t *bucket = latency->bucket[head][side];
    latency->used = true;
    for (uint32_t b = 0; b < HISTOGRAM_BUCKETS; b++) {
        uint64_t gained = now->count[b] - latency->last[side].count[b];
        bucket[b] += (uint32_t)gained;
        latency->total[side].count[b] += gained;
    }
}

static void take_counts(struct window_counts *into, const struct side_counters *now, const struct window_counts *last)
{
    into->judged += now->judged - last->judged;
    into->errors += now->errors - last->errors;
    into->slow += now->slow - last->slow;
}

void window_update(struct window *window, const struct route_counters *sum, bool with_latency,
                   const struct marks *marks, uint64_t now_ms)
{
    let_time_pass(window, now_ms);
    if (marks != NULL)
        marks_merge(&window->marks[window->head], marks);
    if (sum == NULL)
        return;
    with_latency = with_latency && window->latency != NULL;
    for (int side = 0; side < SIDES; side++) {
        take_counts(&window->bucket[window->head][side], &sum->side[side], &window->last[side]);
        take_counts(&window->total[side], &sum->side[side], &window->last[side]);
        if (with_latency)
            take_latency(window->latency, window->head, side, &sum->side[side].latency);
    }
    remember(window, sum, with_latency);
}

static double rate(uint64_t events, uint64_t judged)
{
    if (events >= judged) /* read while a worker wrote, an error may be seen before its exchange */
        return events > 0 ? 1 : 0;
    return (double)events / (double)judged;
}

double window_error_rate(const struct window *window, enum side side)
{
    return rate(window->total[side].errors, window->total[side].judged);
}

double window_slow_rate(const struct window *window, enum side side)
{
    return rate(window->total[side].slow, window->total[side].judged);
}

double window_p95(const struct window *window, enum side side)
{
    return window->latency != NULL ? histogram_quantile(&window->latency->total[side], 0.95) : 0;
}

void window_marks(const struct window *window, struct marks *marks)
{
    memset(marks, 0, sizeof(*marks));
    for (uint32_t i = 0; i < WINDOW_BUCKETS; i++)
        marks_merge(marks, &window->marks[i]);
}
