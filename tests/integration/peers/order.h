/*
 * An order as JSON, with fields that differ by themselves: what a backend with clocks, caches and random ids answers.
 *
 * Of 20 fields 6 are volatile, each at its own rate, from every answer to one in a hundred. `total` is the same on all
 * backends but where a backend is told to be wrong about it.
 */
#ifndef SHUNT_TESTS_PEERS_ORDER_H
#define SHUNT_TESTS_PEERS_ORDER_H

#include <stddef.h>
#include <stdint.h>

struct order {
    uint64_t random; /* state of the generator; not 0 */
    double wrong;    /* part of the answers whose total is wrong */
};

/* Returns the length written; `room` must be 1,024 at least. */
size_t order_write(struct order *order, char *to, size_t room);

#endif
