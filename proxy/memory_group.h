/*
 * What the control group says of memory: how much there may be, and how much is taken.
 */
#ifndef SHUNT_PROXY_MEMORY_GROUP_H
#define SHUNT_PROXY_MEMORY_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "config/cgroup.h"

/* The files of the process's own group, open. All -1: there are none. */
struct memory_group {
    int usage_fd, stat_fd;
};

/* The smallest limit of the group and of those above it, in bytes; 0: there is none, or it cannot be read. */
uint64_t memory_group_limit(const struct cgroup_place *place);

/* False: there are no files to be read. */
bool memory_group_open(struct memory_group *group, const struct cgroup_place *place);
void memory_group_close(struct memory_group *group);

/* Everything that is charged to the group, the cache of files included. One system call, any thread. False: unreadable.
 */
bool memory_group_charged(const struct memory_group *group, uint64_t *bytes);

/*
 * What the kernel cannot take back: what is charged, without the cache of files that nobody has mapped. Memory of the
 * process, files in memory (tmpfs), the kernel's own (sockets) and the mapped program count. Kubernetes' working set
 * would count a file as used that was read twice, such as the report's; the kernel drops it before it ends a process.
 * Two system calls, any thread. False: unreadable.
 */
bool memory_group_used(const struct memory_group *group, uint64_t *bytes);

/* Of the text of memory.stat: the cache of files that nobody has mapped. */
uint64_t memory_group_cache(const char *stat);

#endif
