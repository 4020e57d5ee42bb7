/*
 * What the report hands to whoever keeps it, and takes back at a start: flat records, so that neither side knows how
 * the other stores them. Strings are NUL-terminated and borrowed for the call.
 */
#ifndef SHUNT_SHADOW_RECORDS_H
#define SHUNT_SHADOW_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "shadow/compare.h"

struct record_key {
    const char *route;
    enum side primary;
    const char *endpoint; /* "" for what belongs to the route as a whole */
};

/* Totals of a route and direction (endpoint ""), or of one endpoint. */
struct record_cell {
    struct record_key key;
    uint64_t since_ms, last_ms; /* wall clock */
    uint64_t judged[JUDGEMENTS], noise_judged[JUDGEMENTS];
    uint64_t obstacles[OBSTACLES];
    uint64_t ungrouped, ungrouped_noise;
    uint64_t other_differing, other_ignored, other_noise; /* fields that found no row */
    double limit, confidence; /* of the route's mismatch gate when the newest pair came; limit negative: none */
    const void *latency;      /* paired latencies, packed by the report with a version of its own; NULL: none */
    size_t latency_len;
};

/* Kinds of differences, and two counts that are kept with them. */
enum {
    RECORD_SHAPE = DIFFERENCE_KINDS,
    RECORD_NOISE_SHAPE,
    RECORD_KINDS
};

struct record_field {
    struct record_key key;
    uint32_t index; /* position in the endpoint's map; groups refer to it */
    const char *name;
    uint64_t differing, ignored, noise;
    uint64_t by_kind[RECORD_KINDS];
    double apart; /* of numbers: the most they were apart, relative; negative: not numbers */
    uint64_t example_ms;
    const char *path, *primary, *shadow, *request_id; /* the example; "" where there is none */
};

struct record_group {
    struct record_key key;
    uint32_t index;         /* position in the endpoint's groups */
    const uint16_t *fields; /* positions, some with GROUP_SHAPE (groups.h) */
    uint32_t field_count;
    uint64_t pairs, last_ms;
};

struct record_bucket {
    struct record_key key; /* endpoint "" */
    uint64_t at_ms;        /* wall clock of its beginning */
    uint32_t width_s;      /* 60 or 3600 */
    uint64_t judged[JUDGEMENTS];
    float primary_p50_ms, primary_p95_ms, shadow_p50_ms, shadow_p95_ms; /* of compared pairs; 0 without any */
    float difference_p50_ms, difference_p95_ms, ratio_p50, ratio_p95;   /* shadow - primary, shadow / primary */
};

struct record_rule {
    struct record_key key; /* endpoint "" */
    const char *text;
    uint64_t pairs; /* about which it changed something */
};

/* Called for everything that has changed. False: cannot be kept now; the report remembers it as changed. */
struct record_sink {
    void *context;
    bool (*cell)(void *context, const struct record_cell *record);
    bool (*field)(void *context, const struct record_field *record);
    bool (*group)(void *context, const struct record_group *record);
    bool (*bucket)(void *context, const struct record_bucket *record);
    bool (*rule)(void *context, const struct record_rule *record);
};

#endif
