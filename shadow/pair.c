/*
 * Pair: the two captures of one mirrored request, allocated by a worker and freed only by it or by comparer_stop().
 *
 * A worker keeps its pairs on a free list, so this file runs when a worker meets more concurrent mirrored requests than
 * ever before, and at the end.
 */
#include "shadow/pair.h"

#include <stdlib.h>

struct pair *pair_new(void)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    if (pair == NULL)
        return NULL;
    capture_init(&pair->request);
    capture_init(&pair->primary_capture);
    capture_init(&pair->shadow_capture);
    return pair;
}

void pair_free(struct pair *pair)
{
    if (pair == NULL)
        return;
    capture_done(&pair->request);
    capture_done(&pair->primary_capture);
    capture_done(&pair->shadow_capture);
    free(pair);
}

size_t pair_bytes(const struct pair *pair)
{
    return sizeof(*pair) + pair->request.room + pair->primary_capture.room + pair->shadow_capture.room;
}
