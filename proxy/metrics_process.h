/*
 * What the kernel says about this process, for /metrics. Linux: /proc/self.
 */
#ifndef SHUNT_PROXY_METRICS_PROCESS_H
#define SHUNT_PROXY_METRICS_PROCESS_H

#include <stdint.h>

struct metrics_process { /* 0 where the kernel would not say */
    uint64_t resident_bytes;
    uint64_t virtual_bytes;
    uint64_t open_fds;
    uint64_t max_fds;
    uint64_t threads;
    double cpu_seconds; /* user and system, all threads */
};

void metrics_process_read(struct metrics_process *process);

#endif
