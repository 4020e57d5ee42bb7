/*
 * What all workers have counted for one route name: one slot per worker, written by that worker only.
 *
 * A tally lives as long as the configuration names its route or a view that somebody still holds refers to it, so that
 * counters go on across reloads.
 */
#ifndef SHUNT_ROUTER_TALLY_H
#define SHUNT_ROUTER_TALLY_H

#include "router/counters.h"
#include "router/sketch.h"

/*
 * A count that belongs to one epoch of the breaker: epoch in the high half, count in the low half, so that control
 * never reads the one without the other.
 */
struct tally_slot {
    struct route_counters counters;
    uint64_t trial_ok;
    uint64_t trial_failed;
    uint64_t run_epoch;        /* epoch that side[SIDE_NEW].error_run belongs to */
    struct tally *tally;       /* it is part of */
    struct marks marks[SIDES]; /* who asked this side and for what, since control took them last */
} __attribute__((aligned(64)));

struct tally {
    uint32_t refs; /* atomic */
    uint32_t workers;
    char *name;   /* owned */
    void *memory; /* owned: where the slots are */
    struct tally_slot *slots;
    uint64_t slow_us;     /* atomic; exchanges of new that take so long leave a slow mark; control writes it */
    uint64_t trial_taken; /* atomic; permits of a half-open epoch in use or used up, by all workers */
};

/* The slot these counters are part of: its first member. */
static inline struct tally_slot *tally_slot_of(struct route_counters *counters)
{
    return (struct tally_slot *)counters;
}

struct trial_totals {
    uint64_t taken; /* permits, by all workers */
    uint64_t succeeded;
    uint64_t failed;
};

static inline uint64_t epoch_count(uint64_t packed, uint32_t epoch)
{
    return packed >> 32 == epoch ? packed & UINT32_MAX : 0;
}

static inline uint64_t epoch_pack(uint32_t epoch, uint64_t count)
{
    return (uint64_t)epoch << 32 | count;
}

/* One reference; NULL without memory. */
struct tally *tally_new(const char *name, uint32_t workers);
struct tally *tally_ref(struct tally *tally);
void tally_unref(struct tally *tally); /* NULL is fine; any thread */

/* *sum = all workers together. */
void tally_sum(const struct tally *tally, struct route_counters *sum);
/* The same, but sum->side[].crowd is left as it was: only the gates ask for it. */
void tally_sum_latency(const struct tally *tally, struct route_counters *sum);
/* The same, but sum->side[].latency is left as it was, too: it costs a tenth, and leaves the workers' histograms in
 * their caches. */
void tally_sum_counts(const struct tally *tally, struct route_counters *sum);
/* Live exchanges that ended, both sides. What they counted can be read once this has been. */
uint64_t tally_ended(const struct tally *tally);
struct trial_totals tally_trials(const struct tally *tally, uint32_t epoch);

/* Who asked which side and for what since this was last called, merged into `into`: each mark is taken once. Control
 * only. */
void tally_take_marks(struct tally *tally, struct marks into[SIDES]);
/* From now on exchanges of new that take at least `us` leave a slow mark; UINT64_MAX: none does. Any thread. */
void tally_watch_slow(struct tally *tally, uint64_t us);

/* One of `permits` of a half-open epoch, for the whole process. With `dry` only: would there be one? Any thread. */
bool tally_take_permit(struct tally *tally, uint32_t epoch, uint32_t permits, bool dry);
/* It said nothing: another may try. */
void tally_return_permit(struct tally *tally, uint32_t epoch);

#endif
