/*
 * A cell: what is known of one endpoint of a route in one direction. Internal to the report.
 */
#ifndef SHUNT_SHADOW_CELL_H
#define SHUNT_SHADOW_CELL_H

#include "shadow/compare.h"
#include "shadow/endpoint.h"
#include "shadow/field_map.h"
#include "shadow/groups.h"
#include "shadow/noise.h"
#include "shadow/paired.h"

struct cell {
    char endpoint[ENDPOINT_ROOM];
    uint64_t hash;                     /* of endpoint */
    uint64_t since_ms, last_ms;        /* wall clock of the first and the newest pair */
    uint64_t judged[JUDGEMENTS];       /* pairs of both sides */
    uint64_t noise_judged[JUDGEMENTS]; /* pairs of the primary's side with itself */
    uint64_t obstacles[OBSTACLES];     /* of judged[JUDGEMENT_NOT_COMPARABLE] */
    uint64_t ungrouped;                /* mismatched pairs that found no group */
    uint64_t ungrouped_noise;          /* of these, those whose every field was noise when they came */
    uint64_t other_differing;          /* pairs that differ in fields without a row */
    uint64_t other_ignored;
    uint64_t other_noise;
    bool changed; /* since it was last stored */
    struct field_map fields;
    struct groups groups;
    struct paired *latency; /* owned; NULL: none yet, or no room */
};

/* What a pair touched in a cell: rows of the fields that differ and are not ignored. */
struct cell_hit {
    uint32_t count;
    uint16_t fields[DIFFERENCES_MAX];
    bool of_shape[DIFFERENCES_MAX]; /* missing, extra or no such value there */
    bool others;                    /* some found no row */
};

/* Pairs whose answers were compared, with whatever result. */
static inline uint64_t judged_total(const uint64_t judged[JUDGEMENTS])
{
    return judged[JUDGEMENT_MATCHED] + judged[JUDGEMENT_IGNORED] + judged[JUDGEMENT_MISMATCHED];
}

/* NULL without memory or when the budget is spent. */
struct cell *cell_new(const char *endpoint, uint64_t hash, struct budget *budget);
void cell_free(struct cell *cell, const struct field_limits *limits);

/* Counts a pair of both sides, or of the primary's side with itself. */
void cell_add(struct cell *cell, const struct field_limits *limits, const struct config_noise *noise,
              const struct pair *pair, const struct paired_steps *took, const struct comparison *comparison,
              struct cell_hit *hit);

struct noise_counts cell_noise_counts(const struct cell *cell, uint32_t field, uint32_t fields_together);
/* Is it noise that a field has another value, or (`of_shape`) that it has none or one of another type? */
bool cell_difference_is_noise(const struct cell *cell, const struct config_noise *noise, uint32_t field, bool of_shape);
/* Both, as far as they occur. */
bool cell_field_is_noise(const struct cell *cell, const struct config_noise *noise, uint32_t field);
bool cell_group_is_noise(const struct cell *cell, const struct config_noise *noise, const struct group *group);
/* Is every field noise in which the pair differs that this was filled by? */
bool cell_hit_is_noise(const struct cell *cell, const struct config_noise *noise, const struct cell_hit *hit);
/* Mismatched pairs whose every differing field is noise, as far as is known now. */
uint64_t cell_noise_only(const struct cell *cell, const struct config_noise *noise);
/* Fields that differ at all. */
uint32_t cell_differing_fields(const struct cell *cell);

#endif
