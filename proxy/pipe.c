/*
 * splice(2) through a pipe: see pipe.h. Used for large bodies that nobody looks at, and by tunnels. Worker thread.
 */
#include "proxy/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    PIPE_BYTES = 1 << 19
};

bool pump_open(struct worker *worker, struct pump *pump)
{
    pump->inside = 0;
    if (worker->pipe_count > 0) {
        pump->pipe = worker->pipes[--worker->pipe_count];
        pump->open = true;
        return true;
    }
    int fds[2];
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
        return false;
    /* Beyond the user's quota the kernel keeps its default size, which only costs more calls. */
    int capacity = fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
    if (capacity < 0)
        capacity = fcntl(fds[1], F_GETPIPE_SZ);
    pump->pipe = (struct pipe_pair){.in = fds[1], .out = fds[0], .capacity = capacity > 0 ? (uint32_t)capacity : 65536};
    pump->open = true;
    return true;
}

void pump_close(struct worker *worker, struct pump *pump)
{
    if (!pump->open)
        return;
    pump->open = false;
    if (pump->inside == 0 && worker->pipe_count < WORKER_PIPES) {
        worker->pipes[worker->pipe_count++] = pump->pipe;
        return;
    }
    close(pump->pipe.in);
    close(pump->pipe.out);
}

void pipes_done(struct worker *worker)
{
    while (worker->pipe_count > 0) {
        struct pipe_pair *pipe = &worker->pipes[--worker->pipe_count];
        close(pipe->in);
        close(pipe->out);
    }
}

static ssize_t splice_retry(int from, int to, size_t len)
{
    ssize_t n;
    do {
        n = splice(from, NULL, to, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (n < 0 && errno == EINTR);
    return n;
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

enum pump_result pump_move(struct pump *pump, int source, int sink, uint64_t most, uint64_t *moved)
{
    *moved = 0;
    for (;;) {
        if (pump->inside > 0) {
            ssize_t n = splice_retry(pump->pipe.out, sink, pump->inside);
            if (n < 0)
                return would_block() ? PUMP_SINK_FULL : PUMP_SINK_ERROR;
            pump->inside -= (size_t)n;
            *moved += (uint64_t)n;
            if (pump->inside > 0)
                continue;
        }
        if (*moved == most)
            return PUMP_DONE;
        uint64_t want = most - *moved;
        ssize_t n =
            splice_retry(source, pump->pipe.in, want < pump->pipe.capacity ? (size_t)want : pump->pipe.capacity);
        if (n == 0)
            return PUMP_SOURCE_END;
        if (n < 0)
            return would_block() ? PUMP_SOURCE_EMPTY : PUMP_SOURCE_ERROR;
        pump->inside = (size_t)n;
    }
}
