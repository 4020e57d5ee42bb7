/*
 * Coarse durations: see duration.h. Workers write, control merges; no I/O, no clock.
 */
#include "router/duration.h"

const uint64_t duration_edges_us[DURATION_EDGES] = {
    100,    250,    500,    1000,    2500,    5000,    10000,    25000,    50000,
    100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000,
};

void durations_merge(struct durations *into, const struct durations *from)
{
    for (uint32_t i = 0; i <= DURATION_EDGES; i++)
        into->count[i] += count_read(&from->count[i]);
    into->sum_us += count_read(&from->sum_us);
}
