/*
 * How many workers are worth having here.
 */
#ifndef SHUNT_CONFIG_CORES_H
#define SHUNT_CONFIG_CORES_H

#include <stdint.h>

#include "config/cgroup.h"

/* One per core of the CPU quota of the control group, at most one per core the process may run on; 1 to `most`. */
uint32_t cores_count(uint32_t most);

/* Cores that the control group's quota allows, and those of the groups above it: the smallest; 0: there is none. */
uint32_t cores_of_quota(const struct cgroup_place *place);

/* Cores in a cgroup v2 cpu.max ("150000 100000" or "max 100000"), rounded up; 0 when it sets no limit or is not one. */
uint32_t cores_of_cpu_max(const char *text);

/* The same of the two files of cgroup v1. */
uint32_t cores_of_cfs(const char *quota, const char *period);

#endif
