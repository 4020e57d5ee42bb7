/*
 * Is a field that differs a real difference, or does it differ by itself?
 *
 * A field is shown when Diffy's rule says so (raw rate above noise rate, by more than `relative` of their sum and by
 * more than `absolute` of all pairs; github.com/opendiffy/diffy, DifferenceCollector) and, beyond Diffy, when the
 * excess is significant: Fisher's exact test of raw against noise counts (R. A. Fisher, 1934), one-sided, at
 * `confidence` for all fields of a route together (Bonferroni). What differs by itself must still be there: where a
 * field is noise, the pairs in which it is missing, extra or of another type are asked the same once more. Rare and
 * undecided fields are not shown, yet they count against a gate: only what is known to be noise excuses a pair. Pure
 * arithmetic.
 */
#ifndef SHUNT_SHADOW_NOISE_H
#define SHUNT_SHADOW_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

enum field_state {
    FIELD_REAL,  /* shown */
    FIELD_NOISY, /* hidden and excused: it differs as much by itself. Seen at least NOISE_SIGHTINGS times by itself */
    FIELD_RARE,  /* hidden, not excused: below the thresholds of Diffy's rule */
    FIELD_UNDECIDED, /* hidden, not excused: the excess is not significant yet */
    FIELD_STATES,
};

/* "real", "noise", "rare", "undecided". */
const char *field_state_name(enum field_state state);

enum {
    NOISE_SIGHTINGS = 3,
    NOISE_WHY_ROOM = 400
};

struct noise_counts {
    uint64_t differing, compared;   /* pairs of both sides */
    uint64_t noise, noise_compared; /* pairs of the primary's side with itself; 0 compared: noise is not measured,
                                       and every difference is real */
    uint32_t fields;                /* judged together; at least 1 */
    uint64_t shape, noise_shape;    /* of differing and noise: the value was missing, extra or no such value */
};

enum field_state noise_judge(const struct config_noise *config, const struct noise_counts *counts);
/* Is it FIELD_NOISY? The same answer as noise_judge() without the test, which only tells real from undecided. */
bool noise_excuses(const struct config_noise *config, const struct noise_counts *counts);

/* The state with the sentence why, for people: "differs in 0.10 % of pairs and by itself in 0.00 %: significant at
 * 99 %". NUL-terminated. */
enum field_state noise_explain(const struct config_noise *config, const struct noise_counts *counts, char *why,
                               size_t room);

/* P(as many of first+second events among the first, or more, by chance): the hypergeometric upper tail, 0..1. */
double noise_excess_p(uint64_t first_events, uint64_t first_total, uint64_t second_events, uint64_t second_total);

#endif
