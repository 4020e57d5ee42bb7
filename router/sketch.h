/*
 * Sketches: about how many different things were there, in 128 bytes.
 *
 * Linear counting (K.-Y. Whang, B. T. Vander-Zanden, H. M. Taylor, ACM TODS 15 (1990) 208): each thing sets one bit of
 * 1,024 by its hash, and the share of bits still zero tells how many there were. Within 5 % up to 2,000; more are told
 * as SKETCH_MOST. One thread adds, control takes.
 */
#ifndef SHUNT_ROUTER_SKETCH_H
#define SHUNT_ROUTER_SKETCH_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SKETCH_WORDS = 16,
    SKETCH_BITS = SKETCH_WORDS * 64,
    SKETCH_MOST = 4000, /* nearly all bits are set: at least so many */
};

struct sketch {
    uint64_t word[SKETCH_WORDS];
};

/* Who asked one side and for what: its judged exchanges, and those of them that failed. Of compared pairs likewise:
 * those that differ stand for those that failed. */
struct marks {
    struct sketch keys, error_keys;      /* values of the sticky key */
    struct sketch paths, error_paths;    /* without the query */
    struct sketch slow_keys, slow_paths; /* of new: of those as slow as the breaker watches for (tally_watch_slow()) */
    struct sketch lost_keys, lost_paths; /* of those that got no answer, whether that is an error of the route or not */
};

/* The worker's own; control may take it away meanwhile. */
static inline void sketch_add(struct sketch *sketch, uint32_t hash)
{
    uint64_t *word = &sketch->word[hash / 64 % SKETCH_WORDS];
    uint64_t bit = UINT64_C(1) << (hash % 64);
    if ((__atomic_load_n(word, __ATOMIC_RELAXED) & bit) == 0)
        (void)__atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
}

void sketch_merge(struct sketch *into, const struct sketch *from);
/* Merges what is there and leaves it empty: each mark is taken once. */
void sketch_take(struct sketch *into, struct sketch *from);
/* About how many; exact for none and one. */
uint32_t sketch_count(const struct sketch *sketch);

void marks_merge(struct marks *into, const struct marks *from);
void marks_take(struct marks *into, struct marks *from);
/* Do the errors come from at least `least` clients and as many paths, or from as many as there are? */
bool marks_are_spread(const struct marks *marks, uint32_t least);
/* The same of the slow ones. */
bool marks_slow_are_spread(const struct marks *marks, uint32_t least);
/* And of those without an answer. */
bool marks_lost_are_spread(const struct marks *marks, uint32_t least);

#endif
