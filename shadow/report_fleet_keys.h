/*
 * Names of what a fleet adds up of its reports. Internal to report_fleet.c, which tells, and report_fleet_make.c, which
 * reads.
 */
#ifndef SHUNT_SHADOW_REPORT_FLEET_KEYS_H
#define SHUNT_SHADOW_REPORT_FLEET_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "router/router.h"
#include "shadow/cell.h"
#include "shadow/compare.h"
#include "shadow/field_map.h"
#include "shadow/paired.h"

enum {
    FLEET_ID = 8,     /* characters: 48 bits */
    FLEET_KEY = 48,   /* room for a counter's name */
    FLEET_PARTS = 4,  /* histograms of latency */
    FLEET_COARSE = 4, /* steps of an endpoint's latency in one */
    FLEET_STEPS_MAX = PAIRED_SIDES * 2 + PAIRED_DIFFERENCES + PAIRED_RATIOS,
};

#define FLEET_APART 1e15 /* `apart` is told in these parts of one */

enum fleet_thing {
    FLEET_ROW = 'r',
    FLEET_CELL = 'c',
    FLEET_FIELD = 'f',
    FLEET_GROUP = 'g',
    FLEET_RULE = 'u',
};

/* Of an endpoint: "matched", ...; "noise_matched", ...; "why_truncated", ...; "ungrouped", ... */
struct fleet_cell_sums {
    uint64_t judged[JUDGEMENTS], noise_judged[JUDGEMENTS], obstacles[OBSTACLES];
    uint64_t ungrouped, ungrouped_noise, other_differing, other_ignored, other_noise;
};

/* Of a field: "differing", "ignored", "noise", "shape", "noise_shape"; "kind_value", ... */
struct fleet_field_sums {
    uint64_t differing, ignored, noise, shape, noise_shape;
    uint64_t by_kind[DIFFERENCE_KINDS];
};

enum {
    FLEET_CELL_COUNTERS = sizeof(struct fleet_cell_sums) / sizeof(uint64_t),
    FLEET_FIELD_COUNTERS = sizeof(struct fleet_field_sums) / sizeof(uint64_t),
};

/* The name of the counter at this place of the struct. */
void fleet_cell_counter(uint32_t index, char name[FLEET_KEY]);
void fleet_field_counter(uint32_t index, char name[FLEET_KEY]);

/* A histogram of latency: "p12" is step 12 of the primary's; s: shadow, d: difference, r: ratio. */
struct fleet_part {
    char letter;
    uint32_t count;  /* of steps */
    uint32_t offset; /* so that the middle of a coarse step is the middle */
};
extern const struct fleet_part fleet_parts[FLEET_PARTS];
uint32_t *fleet_steps(struct paired *paired, uint32_t part);
/* Of `width` steps in one: which of them a step belongs to, and how many there are. */
uint32_t fleet_coarse(const struct fleet_part *part, uint32_t width, uint32_t step);
uint32_t fleet_coarse_count(const struct fleet_part *part, uint32_t width);

void fleet_id_of_row(char id[FLEET_ID + 1], const char *route, enum side primary);
void fleet_id(char id[FLEET_ID + 1], enum fleet_thing thing, const char *parent, const char *text);

#endif
