/*
 * Ring: a bounded queue of pointers from exactly one thread to exactly one other, without a lock and without a wait.
 *
 * Each end remembers what it last saw of the other's position, so in the steady state an operation touches one shared
 * cache line, and only the line that the other thread does not write (the design of Lamport 1983 with the cached
 * indices of FastForward and folly's ProducerConsumerQueue).
 */
#ifndef SHUNT_SHADOW_RING_H
#define SHUNT_SHADOW_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    CACHE_LINE = 64
};

struct ring {
    /* the producer's line */
    _Alignas(CACHE_LINE) _Atomic uint32_t tail; /* next slot to fill; counts on for ever, wraps at 2^32 */
    uint32_t seen_head;
    /* the consumer's line */
    _Alignas(CACHE_LINE) _Atomic uint32_t head; /* next slot to empty */
    uint32_t seen_tail;
    /* neither writes these */
    _Alignas(CACHE_LINE) uint32_t mask;
    void **slots; /* owned */
};

/* `capacity` is rounded up to a power of two (at least 2, at most 2^20). False without memory. */
bool ring_init(struct ring *ring, uint32_t capacity);
/* Frees the slots, not what they point to. A zeroed ring is fine. */
void ring_done(struct ring *ring);

static inline uint32_t ring_capacity(const struct ring *ring)
{
    return ring->mask + 1;
}

/*
 * The producer's: false when the ring is full. A sequentially consistent store publishes the item, as ring_is_empty()
 * reads: a producer that pushes and then loads "is the consumer asleep?" and a consumer that stores "asleep" and then
 * asks ring_is_empty(), both sequentially consistent, cannot both miss the other.
 */
bool ring_push(struct ring *ring, void *item);
/* Either end's: how many wait, as it looks now (the other end may be adding or taking some). */
uint32_t ring_depth(const struct ring *ring);

/* The consumer's: NULL when the ring is empty. */
void *ring_pop(struct ring *ring);
/* The consumer's. */
bool ring_is_empty(const struct ring *ring);

/* The producer's: would ring_push() succeed? */
bool ring_has_room(struct ring *ring);

#endif
