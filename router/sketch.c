/*
 * Counts different things by bits. Control thread only, but for what sketch.h has inline.
 */
#include "router/sketch.h"

#include <math.h>

void sketch_merge(struct sketch *into, const struct sketch *from)
{
    for (int i = 0; i < SKETCH_WORDS; i++)
        into->word[i] |= from->word[i];
}

void sketch_take(struct sketch *into, struct sketch *from)
{
    for (int i = 0; i < SKETCH_WORDS; i++)
        if (__atomic_load_n(&from->word[i], __ATOMIC_RELAXED) != 0)
            into->word[i] |= __atomic_exchange_n(&from->word[i], 0, __ATOMIC_RELAXED);
}

uint32_t sketch_count(const struct sketch *sketch)
{
    unsigned set = 0;
    for (int i = 0; i < SKETCH_WORDS; i++)
        set += (unsigned)__builtin_popcountll(sketch->word[i]);
    if (set >= SKETCH_BITS - SKETCH_BITS / 50)
        return SKETCH_MOST;
    return (uint32_t)lround(SKETCH_BITS * log((double)SKETCH_BITS / (double)(SKETCH_BITS - set)));
}

void marks_merge(struct marks *into, const struct marks *from)
{
    sketch_merge(&into->keys, &from->keys);
    sketch_merge(&into->error_keys, &from->error_keys);
    sketch_merge(&into->paths, &from->paths);
    sketch_merge(&into->error_paths, &from->error_paths);
    sketch_merge(&into->slow_keys, &from->slow_keys);
    sketch_merge(&into->slow_paths, &from->slow_paths);
    sketch_merge(&into->lost_keys, &from->lost_keys);
    sketch_merge(&into->lost_paths, &from->lost_paths);
}

void marks_take(struct marks *into, struct marks *from)
{
    sketch_take(&into->keys, &from->keys);
    sketch_take(&into->error_keys, &from->error_keys);
    sketch_take(&into->paths, &from->paths);
    sketch_take(&into->error_paths, &from->error_paths);
    sketch_take(&into->slow_keys, &from->slow_keys);
    sketch_take(&into->slow_paths, &from->slow_paths);
    sketch_take(&into->lost_keys, &from->lost_keys);
    sketch_take(&into->lost_paths, &from->lost_paths);
}

static bool is_spread(const struct sketch *errors, const struct sketch *all, uint32_t least)
{
    uint32_t there = sketch_count(all);
    return sketch_count(errors) >= (there < least ? there : least);
}

bool marks_are_spread(const struct marks *marks, uint32_t least)
{
    return is_spread(&marks->error_keys, &marks->keys, least) && is_spread(&marks->error_paths, &marks->paths, least);
}

bool marks_slow_are_spread(const struct marks *marks, uint32_t least)
{
    return is_spread(&marks->slow_keys, &marks->keys, least) && is_spread(&marks->slow_paths, &marks->paths, least);
}

bool marks_lost_are_spread(const struct marks *marks, uint32_t least)
{
    return is_spread(&marks->lost_keys, &marks->keys, least) && is_spread(&marks->lost_paths, &marks->paths, least);
}
