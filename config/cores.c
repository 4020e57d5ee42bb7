/*
 * Cores: the number behind `workers: auto`.
 *
 * Asked once per load. A container sees all cores of its node, but its quota stops it after its share of each period:
 * more workers than that share only wait for each other. Reads /proc/self/cgroup and the control group's files;
 * whatever cannot be read sets no limit.
 */
#include "config/cores.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PATH_ROOM = 4096,
    LINE_ROOM = 4352
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

static bool read_line(const char *path, char out[LINE_ROOM])
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool got = fgets(out, LINE_ROOM, file) != NULL;
    (void)fclose(file);
    return got;
}

/* The quota files of one folder, v2 first. */
static uint32_t folder_cores(const char *folder)
{
    char path[PATH_ROOM + 64];
    char quota[LINE_ROOM];
    char period[LINE_ROOM];
    (void)snprintf(path, sizeof(path), "%s/cpu.max", folder);
    if (read_line(path, quota))
        return cores_of_cpu_max(quota);
    (void)snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", folder);
    if (!read_line(path, quota))
        return 0;
    (void)snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", folder);
    return read_line(path, period) ? cores_of_cfs(quota, period) : 0;
}

static uint32_t smaller_limit(uint32_t a, uint32_t b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

/* The group's own limit and those of the groups above it: the smallest counts. */
static uint32_t group_cores(const char *root, const char *group)
{
    char folder[PATH_ROOM];
    uint32_t cores = 0;
    int len = snprintf(folder, sizeof(folder), "%s%s", root, group);
    if (len < 0 || (size_t)len >= sizeof(folder))
        return 0;
    for (;;) {
        cores = smaller_limit(cores, folder_cores(folder));
        char *slash = strrchr(folder, '/');
        if (slash == NULL || (size_t)(slash - folder) < strlen(root))
            return cores;
        *slash = '\0';
    }
}

/* A line of /proc/self/cgroup is "0::/group" (v2) or "4:cpu,cpuacct:/group" (v1). */
static uint32_t line_cores(char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL)
        return 0;
    *controllers++ = '\0';
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    if (controllers[0] == '\0')
        return group_cores("/sys/fs/cgroup", group);
    if (strcmp(controllers, "cpu") == 0 || strncmp(controllers, "cpu,", 4) == 0 || strstr(controllers, ",cpu") != NULL)
        return smaller_limit(group_cores("/sys/fs/cgroup/cpu", group),
                             group_cores("/sys/fs/cgroup/cpu,cpuacct", group));
    return 0;
}

static uint32_t quota_cores(void)
{
    char line[LINE_ROOM];
    uint32_t cores = 0;
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL)
        return folder_cores("/sys/fs/cgroup");
    while (fgets(line, sizeof(line), file) != NULL)
        cores = smaller_limit(cores, line_cores(line));
    (void)fclose(file);
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
    uint32_t cores = smaller_limit(allowed_cores(), quota_cores());
    if (cores == 0)
        return 1;
    return cores < most ? cores : most;
}
