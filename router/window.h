/*
 * A sliding window over growing counters of both sides: how many exchanges were judged, how many failed, and how long
 * they took, within the last `length_ms`.
 *
 * Time is cut into buckets of a twentieth of the window (at least 25 ms); the oldest is forgotten as a new one begins,
 * so the window is up to one bucket longer than asked for, never shorter. Control thread only.
 */
#ifndef SHUNT_ROUTER_WINDOW_H
#define SHUNT_ROUTER_WINDOW_H

#include <stdbool.h>

#include "router/counters.h"
#include "router/sketch.h"

enum {
    WINDOW_BUCKETS = 21, /* 20 whole ones and the one that fills */
    WINDOW_BUCKET_MIN_MS = 25,
};

struct window_counts {
    uint64_t judged;
    uint64_t errors;
    uint64_t slow;
};

/* Kept only where latency is watched: some 175 KiB. */
struct window_latency {
    bool used; /* something was taken in since it was last cleared */
    struct histogram last[SIDES];
    struct histogram total[SIDES];
    uint32_t bucket[WINDOW_BUCKETS][SIDES][HISTOGRAM_BUCKETS];
};

struct window {
    uint64_t bucket_ms;
    uint64_t head_until_ms; /* when the filling bucket is full */
    uint32_t head;
    struct window_counts last[SIDES];  /* the counters at the last look */
    struct window_counts total[SIDES]; /* within the window */
    struct window_counts bucket[WINDOW_BUCKETS][SIDES];
    struct marks marks[WINDOW_BUCKETS]; /* who asked new */
    struct window_latency *latency;     /* owned; NULL: not watched */
    struct window_latency *spare;       /* owned; found by window_reserve(), not in use yet */
};

/* Finds the memory that window_init() with this `latency` will need. False without memory: nothing has changed. */
bool window_reserve(struct window *window, bool latency);
/* Sets the length. After window_reserve(); window_restart() must follow. All zero is a valid start. */
void window_init(struct window *window, uint64_t length_ms, bool latency);
void window_done(struct window *window);

/* Empties it: what the counters say now is the past. */
void window_restart(struct window *window, const struct route_counters *sum, uint64_t now_ms);

/* The same, for a window whose last look was just now. */
void window_clear(struct window *window, uint64_t now_ms);

/*
 * Lets time pass; then, unless `sum` is NULL (nothing changed since the last look), takes in what the counters gained:
 * their latency only `with_latency`, else it is taken in by the next look that has it. `marks` are those left since the
 * last look; NULL: none.
 */
void window_update(struct window *window, const struct route_counters *sum, bool with_latency,
                   const struct marks *marks, uint64_t now_ms);

/* errors / judged, 0 when there are none. */
double window_error_rate(const struct window *window, enum side side);
/* slow / judged, 0 when there are none. */
double window_slow_rate(const struct window *window, enum side side);
/* 95th percentile in microseconds; 0 where latency is not watched. */
double window_p95(const struct window *window, enum side side);

/* Who asked new within the window. */
void window_marks(const struct window *window, struct marks *marks);

#endif
