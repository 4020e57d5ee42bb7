/*
 * Cores: the number behind `workers: auto`.
 *
 * Asked once per load. A container sees all cores of its node, but its quota stops it after its share of each period:
 * more workers than that share only wait for each other. Whatever cannot be read sets no limit.
 */
#include "config/cores.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

enum {
    LINE_ROOM = 128
};

static uint32_t quotient(uint64_t quota, uint64_t period)
{
    if (period == 0 || quota == 0)
        return 0;
    uint64_t cores = quota / period + (quota % period != 0 ? 1 : 0);
    return cores > UINT32_MAX ? UINT32_MAX : (uint32_t)cores;
}

uint32_t cores_of_cpu_max(const char *text)
{
    uint64_t quota = 0;
    uint64_t period = 0;
    if (sscanf(text, "%" SCNu64 " %" SCNu64, &quota, &period) != 2)
        return 0; /* "max 100000" too */
    return quotient(quota, period);
}

uint32_t cores_of_cfs(const char *quota, const char *period)
{
    int64_t us = 0;
    uint64_t period_us = 0;
    if (sscanf(quota, "%" SCNd64, &us) != 1 || us <= 0 || sscanf(period, "%" SCNu64, &period_us) != 1)
        return 0;
    return quotient((uint64_t)us, period_us);
}

static uint32_t smaller_limit(uint32_t a, uint32_t b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

/* The quota files of one folder, v2 first. */
static uint32_t folder_cores(const char *folder)
{
    char quota[LINE_ROOM];
    char period[LINE_ROOM];
    if (cgroup_read(folder, "cpu.max", quota, sizeof(quota)))
        return cores_of_cpu_max(quota);
    if (!cgroup_read(folder, "cpu.cfs_quota_us", quota, sizeof(quota)))
        return 0;
    return cgroup_read(folder, "cpu.cfs_period_us", period, sizeof(period)) ? cores_of_cfs(quota, period) : 0;
}

/* The group's own limit and those of the groups above it: the smallest counts. */
static void visit(void *context, const char *folder)
{
    uint32_t *cores = context;
    *cores = smaller_limit(*cores, folder_cores(folder));
}

uint32_t cores_of_quota(const struct cgroup_place *place)
{
    uint32_t cores = 0;
    cgroup_walk(place, "cpu", visit, &cores);
    return cores;
}

/* The mask of a machine with very many cores does not fit cpu_set_t: then all that are there are counted. */
static uint32_t allowed_cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        return (uint32_t)CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

uint32_t cores_count(uint32_t most)
{
    uint32_t cores = smaller_limit(allowed_cores(), cores_of_quota(&cgroup_system));
    if (cores == 0)
        return 1;
    return cores < most ? cores : most;
}
