/*
 * Pipes for moving bytes from one socket to another inside the kernel: splice(2). A worker keeps a few empty ones.
 */
#ifndef SHUNT_PROXY_PIPE_H
#define SHUNT_PROXY_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proxy/worker_inside.h"

struct pump {
    struct pipe_pair pipe;
    size_t inside; /* bytes in the pipe */
    bool open;
};

/* False when no pipe is to be had (descriptors): read and write instead. */
bool pump_open(struct worker *worker, struct pump *pump);
/* Gives the pipe back when it is empty, closes it when not. */
void pump_close(struct worker *worker, struct pump *pump);
void pipes_done(struct worker *worker);

/* Moves from `source` to `sink` through the pump until `most` bytes have left it (*moved), one of them would block, or
 * a fault. */
enum pump_result {
    PUMP_DONE,
    PUMP_SOURCE_EMPTY,
    PUMP_SINK_FULL,
    PUMP_SOURCE_END,
    PUMP_SOURCE_ERROR,
    PUMP_SINK_ERROR
};
enum pump_result pump_move(struct pump *pump, int source, int sink, uint64_t most, uint64_t *moved);

#endif
