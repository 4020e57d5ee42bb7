/*
 * Allocates and adds up the per-worker counters of a route. Created and summed on the control thread; the last
 * reference may be dropped on any thread.
 */
#include "router/tally.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* From calloc(), though it does not align: its fresh pages are zero untouched, so that a route without traffic takes up
 * next to none of what its histograms may. */
static bool find_slots(struct tally *tally)
{
    const size_t size = sizeof(*tally->slots);
    const size_t align = _Alignof(struct tally_slot);
    tally->memory = calloc(1, size * tally->workers + align);
    if (tally->memory == NULL)
        return false;
    uintptr_t at = ((uintptr_t)tally->memory + align - 1) / align * align;
    tally->slots = (struct tally_slot *)at;
    return true;
}

struct tally *tally_new(const char *name, uint32_t workers)
{
    struct tally *tally = calloc(1, sizeof(*tally));
    if (tally == NULL)
        return NULL;
    tally->refs = 1;
    tally->workers = workers;
    tally->slow_us = UINT64_MAX;
    tally->name = strdup(name);
    if (tally->name == NULL || !find_slots(tally)) {
        tally_unref(tally);
        return NULL;
    }
    for (uint32_t i = 0; i < workers; i++)
        tally->slots[i].tally = tally;
    return tally;
}

struct tally *tally_ref(struct tally *tally)
{
    __atomic_add_fetch(&tally->refs, 1, __ATOMIC_RELAXED);
    return tally;
}

void tally_unref(struct tally *tally)
{
    if (tally == NULL || __atomic_sub_fetch(&tally->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free(tally->name);
    free(tally->memory);
    free(tally);
}

void tally_sum(const struct tally *tally, struct route_counters *sum)
{
    memset(sum, 0, sizeof(*sum));
    for (uint32_t i = 0; i < tally->workers; i++)
        route_counters_add(sum, &tally->slots[i].counters);
}

/* Clears it but for what stands at `from` and behind in each side. */
static void clear_until(struct route_counters *sum, size_t from)
{
    for (int side = 0; side < SIDES; side++)
        memset(&sum->side[side], 0, from);
    memset(sum->mirror, 0, sizeof(sum->mirror));
    memset(sum->copies, 0, sizeof(sum->copies));
    sum->in_flight = 0;
    sum->mirror_in_flight = 0;
}

void tally_sum_latency(const struct tally *tally, struct route_counters *sum)
{
    clear_until(sum, offsetof(struct side_counters, crowd));
    for (uint32_t i = 0; i < tally->workers; i++)
        route_counters_add_latency(sum, &tally->slots[i].counters);
}

void tally_sum_counts(const struct tally *tally, struct route_counters *sum)
{
    clear_until(sum, offsetof(struct side_counters, latency));
    for (uint32_t i = 0; i < tally->workers; i++)
        route_counters_add_counts(sum, &tally->slots[i].counters);
}

uint64_t tally_ended(const struct tally *tally)
{
    uint64_t ended = 0;
    for (uint32_t i = 0; i < tally->workers; i++)
        for (int side = 0; side < SIDES; side++)
            ended += __atomic_load_n(&tally->slots[i].counters.side[side].requests, __ATOMIC_ACQUIRE);
    return ended;
}

struct trial_totals tally_trials(const struct tally *tally, uint32_t epoch)
{
    struct trial_totals totals = {.taken = epoch_count(count_read(&tally->trial_taken), epoch)};
    for (uint32_t i = 0; i < tally->workers; i++) {
        totals.succeeded += epoch_count(count_read(&tally->slots[i].trial_ok), epoch);
        totals.failed += epoch_count(count_read(&tally->slots[i].trial_failed), epoch);
    }
    return totals;
}

void tally_take_marks(struct tally *tally, struct marks into[SIDES])
{
    for (uint32_t i = 0; i < tally->workers; i++)
        for (int side = 0; side < SIDES; side++)
            marks_take(&into[side], &tally->slots[i].marks[side]);
}

void tally_watch_slow(struct tally *tally, uint64_t us)
{
    if (count_read(&tally->slow_us) != us) /* the workers read this line: leave it in their caches */
        __atomic_store_n(&tally->slow_us, us, __ATOMIC_RELAXED);
}

bool tally_take_permit(struct tally *tally, uint32_t epoch, uint32_t permits, bool dry)
{
    uint64_t now = count_read(&tally->trial_taken);
    for (;;) {
        uint64_t taken = epoch_count(now, epoch);
        if (now >> 32 > epoch || taken >= permits) /* an old view's epoch has no permits any more */
            return false;
        if (dry || __atomic_compare_exchange_n(&tally->trial_taken, &now, epoch_pack(epoch, taken + 1), true,
                                               __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return true;
    }
}

void tally_return_permit(struct tally *tally, uint32_t epoch)
{
    uint64_t now = count_read(&tally->trial_taken);
    while (epoch_count(now, epoch) > 0)
        if (__atomic_compare_exchange_n(&tally->trial_taken, &now, now - 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return;
}
