/*
 * Fields that differed, over many pairs: a bounded map from field to counts.
 */
#ifndef SHUNT_SHADOW_FIELD_MAP_H
#define SHUNT_SHADOW_FIELD_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "shadow/budget.h"
#include "shadow/difference.h"
#include "shadow/pair.h"

enum {
    FIELDS_MAX = 256, /* of one map */
    FIELD_NO_ROW = FIELDS_MAX
};

struct field_counts {
    uint64_t hash;
    uint64_t differing;                 /* pairs of both sides in which it differed */
    uint64_t ignored;                   /* ... in which it differed and a rule ignored it */
    uint64_t noise;                     /* pairs of the primary's side with itself in which it differed */
    uint64_t shape, noise_shape;        /* of `differing` and of `noise`: those of DIFFERENCE_SHAPES */
    uint64_t by_kind[DIFFERENCE_KINDS]; /* of `differing` */
    uint64_t example_ms;                /* wall clock of the newest example kept */
    uint64_t sampled_ms;                /* ... of the newest sample made for it */
    uint32_t samples;                   /* made for it since the start */
    bool changed;                       /* since it was last stored */
    double apart;                       /* the most its numbers were apart; negative: not always two numbers */
    char name[FIELD_ROOM];
    char path[DIFFERENCE_PATH_ROOM]; /* the example */
    char primary[VALUE_ROOM];
    char shadow[VALUE_ROOM];
    char request_id[PAIR_ID_ROOM];
};

struct field_map {
    struct field_counts *rows; /* owned */
    uint16_t *slots;           /* owned; open addressing, twice `room`: row + 1, 0 is free */
    uint32_t count, room;
};

/* What a pair adds to a field. */
enum field_count {
    FIELD_DIFFERING,
    FIELD_IGNORED,
    FIELD_NOISE
};

/* What there is room for: the map takes `bytes` from one and a field from the other. */
struct field_limits {
    struct budget *bytes;
    uint32_t *left; /* fields there may still be, over several maps */
};

/* A zeroed struct is empty. Frees the rows and leaves it empty. */
void field_map_done(struct field_map *fields, const struct field_limits *limits);

/* Counts one difference of one pair; returns the row's index. FIELD_NO_ROW: there was no room (or no memory) for the
 * field, nothing is counted. */
uint32_t field_map_count(struct field_map *fields, const struct field_limits *limits,
                         const struct difference *difference, enum field_count what, const struct pair *pair);

/* Takes back a stored field as the next row; its hash is made here. False: it is there already, or no room. */
bool field_map_restore(struct field_map *fields, const struct field_limits *limits, const struct field_counts *field);

#endif
