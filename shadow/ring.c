/*
 * Ring: see ring.h. Workers and the compare thread run it; nothing in here blocks, allocates after ring_init() or calls
 * the system. Waking a sleeping consumer is comparer.c's business.
 */
#include "shadow/ring.h"

#include <stdlib.h>

enum {
    RING_LARGEST = 1 << 20
};

bool ring_init(struct ring *ring, uint32_t capacity)
{
    uint32_t size = 2;
    while (size < capacity && size < RING_LARGEST)
        size *= 2;
    atomic_init(&ring->tail, 0);
    atomic_init(&ring->head, 0);
    ring->seen_head = 0;
    ring->seen_tail = 0;
    ring->mask = size - 1;
    ring->slots = calloc(size, sizeof(*ring->slots));
    return ring->slots != NULL;
}

void ring_done(struct ring *ring)
{
    free(ring->slots);
    ring->slots = NULL;
}

bool ring_has_room(struct ring *ring)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail - ring->seen_head <= ring->mask)
        return true;
    ring->seen_head = atomic_load_explicit(&ring->head, memory_order_acquire);
    return tail - ring->seen_head <= ring->mask;
}

bool ring_push(struct ring *ring, void *item)
{
    if (!ring_has_room(ring))
        return false;
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    ring->slots[tail & ring->mask] = item;
    atomic_store(&ring->tail, tail + 1); /* sequentially consistent: see the header */
    return true;
}

uint32_t ring_depth(const struct ring *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    return atomic_load_explicit(&ring->tail, memory_order_relaxed) - head;
}

void *ring_pop(struct ring *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head == ring->seen_tail) {
        ring->seen_tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head == ring->seen_tail)
            return NULL;
    }
    void *item = ring->slots[head & ring->mask];
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return item;
}

bool ring_is_empty(const struct ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_relaxed) == atomic_load(&ring->tail);
}
