/*
 * What is kept of one route in one direction. Internal to the report: report.c fills it, report_json.c tells it.
 */
#ifndef SHUNT_SHADOW_REPORT_ROW_H
#define SHUNT_SHADOW_REPORT_ROW_H

#include <jansson.h>

#include "router/histogram.h"
#include "shadow/compare.h"
#include "shadow/field_map.h"
#include "shadow/groups.h"

enum {
    ROUTE_NAME_ROOM = 128,
    SAMPLES_MAX = 1000
};

struct report_row {
    char route[ROUTE_NAME_ROOM];
    enum side primary;
    uint64_t since_ms, last_ms;        /* wall clock of the first and the newest pair; 0: none since the reset */
    uint64_t judged[JUDGEMENTS];       /* pairs of both sides */
    uint64_t noise_judged[JUDGEMENTS]; /* pairs of the primary's side with itself */
    uint64_t obstacles[OBSTACLES];     /* of judged[JUDGEMENT_NOT_COMPARABLE] */
    uint64_t ungrouped;                /* mismatched pairs that found no group */
    uint64_t ungrouped_noise;          /* of these, those whose every field was noise when they came */
    struct field_map fields;
    struct groups groups;
    struct histogram latency[2]; /* of answers that were compared: the primary's, the shadow's */
    json_t **samples;            /* owned ring of owned objects, NULL where not filled yet */
    uint32_t sample_room, sample_next;
    json_t *refused; /* owned array of rules that are not understood; NULL: none */
};

/* Pairs whose answers were compared, with whatever result. */
static inline uint64_t judged_total(const uint64_t judged[JUDGEMENTS])
{
    return judged[JUDGEMENT_MATCHED] + judged[JUDGEMENT_IGNORED] + judged[JUDGEMENT_MISMATCHED];
}

bool report_row_field_is_noise(const struct report_row *row, uint32_t field);
/* Mismatched pairs whose every differing field is noise, as far as is known now. */
uint64_t report_row_noise_only(const struct report_row *row);
/* The row as one element of "routes"; a new reference, NULL without memory. */
json_t *report_row_json(const struct report_row *row);

#endif
