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
        window->last[side] = (struct window_counts){sum->side[side].judged, sum->side[side].errors};
        if (with_latency)
            window->latency->last[side] = sum->side[side].latency;
    }
}

void window_clear(struct window *window, uint64_t now_ms)
{
    memset(window->total, 0, sizeof(window->total));
    memset(window->bucket, 0, sizeof(window->bucket));
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
    for (int side = 0; side < SIDES; side++) {
        struct window_counts *bucket = &window->bucket[index][side];
        window->total[side].judged -= bucket->judged;
        window->total[side].errors -= bucket->errors;
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

void window_update(struct window *window, const struct route_counters *sum, bool with_latency, uint64_t now_ms)
{
    let_time_pass(window, now_ms);
    if (sum == NULL)
        return;
    with_latency = with_latency && window->latency != NULL;
    for (int side = 0; side < SIDES; side++) {
        uint64_t judged = sum->side[side].judged - window->last[side].judged;
        uint64_t errors = sum->side[side].errors - window->last[side].errors;
        window->bucket[window->head][side].judged += judged;
        window->bucket[window->head][side].errors += errors;
        window->total[side].judged += judged;
        window->total[side].errors += errors;
        if (with_latency)
            take_latency(window->latency, window->head, side, &sum->side[side].latency);
    }
    remember(window, sum, with_latency);
}

double window_error_rate(const struct window *window, enum side side)
{
    const struct window_counts *total = &window->total[side];
    if (total->errors >= total->judged) /* read while a worker wrote, an error may be seen before its exchange */
        return total->errors > 0 ? 1 : 0;
    return (double)total->errors / (double)total->judged;
}

double window_p95(const struct window *window, enum side side)
{
    return window->latency != NULL ? histogram_quantile(&window->latency->total[side], 0.95) : 0;
}
