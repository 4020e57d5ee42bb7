/*
 * Fields that differed, over many pairs: a bounded map from field to counts, with an "(other)" row for what found no
 * room.
 */
#ifndef SHUNT_SHADOW_FIELD_MAP_H
#define SHUNT_SHADOW_FIELD_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "shadow/difference.h"
#include "shadow/pair.h"

enum {
    FIELDS_MAX = 256,
    FIELD_SLOTS = 1024,
    FIELD_OTHER_ROW = FIELDS_MAX
};

struct field_counts {
    uint64_t hash;
    uint64_t differing;                 /* pairs of both sides in which it differed */
    uint64_t ignored;                   /* ... in which it differed and a rule ignored it */
    uint64_t noise;                     /* pairs of the primary's side with itself in which it differed */
    uint64_t by_kind[DIFFERENCE_KINDS]; /* of `differing` */
    uint64_t example_ms;                /* wall clock of the newest example kept */
    char name[FIELD_ROOM];
    char path[DIFFERENCE_PATH_ROOM]; /* the example */
    char primary[VALUE_ROOM];
    char shadow[VALUE_ROOM];
    char request_id[PAIR_ID_ROOM];
};

struct field_map {
    struct field_counts *rows; /* owned */
    uint32_t count, room;
    struct field_counts other;   /* pairs that differed in fields without a row; the caller counts, once for a pair */
    uint16_t slots[FIELD_SLOTS]; /* open addressing: row + 1, 0 is free */
};

/* What a pair adds to a field. */
enum field_count {
    FIELD_DIFFERING,
    FIELD_IGNORED,
    FIELD_NOISE
};

/* A zeroed struct is empty. Frees the rows and leaves it empty. */
void field_map_done(struct field_map *fields);

/* Counts one difference of one pair; returns the row's index. FIELD_OTHER_ROW: there was no room (or no memory) for the
 * field, nothing is counted. */
uint32_t field_map_count(struct field_map *fields, const struct difference *difference, enum field_count what,
                         const struct pair *pair);

/*
 * Is a field noise? By Diffy's rule a difference is real when the rate between the sides is above the noise rate, by
 * more than 20 % of their sum and by more than 0.03 % of all pairs. Two things are stricter here, because a real
 * difference taken for noise costs more than the reverse: a field must have been seen to differ in NOISE_SIGHTINGS
 * noise pairs before anything is called noise, and a field that never differs on its own never is. `compared` and
 * `noise_compared` are the pairs behind the two counts.
 */
enum {
    NOISE_SIGHTINGS = 3
};
bool field_is_noise(const struct field_counts *field, uint64_t compared, uint64_t noise_compared);
/* The same for the field of a difference; a field without a row is none. */
bool field_map_is_noise(const struct field_map *fields, const struct difference *difference, uint64_t compared,
                        uint64_t noise_compared);

#endif
