/*
 * The control groups this process is in: where the files are that say what it may have.
 */
#ifndef SHUNT_CONFIG_CGROUP_H
#define SHUNT_CONFIG_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

/* Where to look; tests have a folder of their own. */
struct cgroup_place {
    const char *membership; /* a file as /proc/self/cgroup */
    const char *mount;      /* where the hierarchies are mounted */
};

extern const struct cgroup_place cgroup_system; /* /proc/self/cgroup, /sys/fs/cgroup */

/*
 * Calls back with each folder that may have files of this controller ("cpu", "memory"): the group's own, then those
 * above it up to the mount, in version 2's hierarchy and in that of version 1. A folder need not exist: a container may
 * be told a path of which it only sees the end, mounted as the root. `folder` is borrowed for the call.
 */
void cgroup_walk(const struct cgroup_place *place, const char *controller,
                 void (*visit)(void *context, const char *folder), void *context);

/* The beginning of folder/name, NUL-terminated. False: it cannot be read, or does not fit. Nothing is logged. */
bool cgroup_read(const char *folder, const char *name, char *out, size_t room);

#endif
