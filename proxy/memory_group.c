/*
 * The memory files of cgroup v2 and v1: see memory_group.h. They stay open, so that a look costs one or two reads.
 */
#include "proxy/memory_group.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    NUMBER_ROOM = 64,
    STAT_ROOM = 8192, /* of memory.stat: what is looked for stands in its first half */
    PATH_ROOM = 4352,
};

/* Version 1 writes the largest multiple of a page for "none". */
static const uint64_t no_limit = (uint64_t)1 << 60;

static const char *const limit_files[] = {"memory.max", "memory.limit_in_bytes"};
static const char *const usage_files[] = {"memory.current", "memory.usage_in_bytes"};

/* ---- the limit ---- */

static uint64_t limit_of(const char *folder)
{
    char text[NUMBER_ROOM];
    uint64_t bytes = 0;
    for (int version = 0; version < 2; version++) {
        if (cgroup_read(folder, limit_files[version], text, sizeof(text)))
            return sscanf(text, "%" SCNu64, &bytes) == 1 && bytes < no_limit ? bytes : 0; /* "max" is none */
    }
    return 0;
}

static void visit_limit(void *context, const char *folder)
{
    uint64_t *least = context;
    uint64_t bytes = limit_of(folder);
    if (bytes > 0 && (*least == 0 || bytes < *least))
        *least = bytes;
}

uint64_t memory_group_limit(const struct cgroup_place *place)
{
    uint64_t least = 0;
    cgroup_walk(place, "memory", visit_limit, &least);
    return least;
}

/* ---- what is taken ---- */

static int open_file(const char *folder, const char *name)
{
    char path[PATH_ROOM];
    int len = snprintf(path, sizeof(path), "%s/%s", folder, name);
    return len > 0 && (size_t)len < sizeof(path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

/* The first folder that has the files is the own group's, or what of it can be seen. */
static void visit_usage(void *context, const char *folder)
{
    struct memory_group *group = context;
    for (int version = 0; version < 2 && group->usage_fd < 0; version++) {
        group->usage_fd = open_file(folder, usage_files[version]);
        if (group->usage_fd >= 0)
            group->stat_fd = open_file(folder, "memory.stat");
    }
}

bool memory_group_open(struct memory_group *group, const struct cgroup_place *place)
{
    *group = (struct memory_group){.usage_fd = -1, .stat_fd = -1};
    cgroup_walk(place, "memory", visit_usage, group);
    return group->usage_fd >= 0;
}

void memory_group_close(struct memory_group *group)
{
    if (group->usage_fd >= 0)
        close(group->usage_fd);
    if (group->stat_fd >= 0)
        close(group->stat_fd);
    *group = (struct memory_group){.usage_fd = -1, .stat_fd = -1};
}

static bool read_all(int fd, char *out, size_t room)
{
    ssize_t got;
    if (fd < 0)
        return false;
    do {
        got = pread(fd, out, room - 1, 0);
    } while (got < 0 && errno == EINTR);
    if (got <= 0)
        return false;
    out[got] = '\0';
    return true;
}

bool memory_group_charged(const struct memory_group *group, uint64_t *bytes)
{
    char text[NUMBER_ROOM];
    uint64_t read = 0;
    if (!read_all(group->usage_fd, text, sizeof(text)) || sscanf(text, "%" SCNu64, &read) != 1)
        return false;
    *bytes = read;
    return true;
}

/* The number of a line "name 123" with one of these names; version 1 has "total_" for groups below. */
static uint64_t number_of(const char *stat, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = stat; line != NULL && *line != '\0';) {
        if (strncmp(line, name, len) == 0 && line[len] == ' ')
            return strtoull(line + len, NULL, 10);
        line = strchr(line, '\n');
        line += line != NULL;
    }
    return 0;
}

uint64_t memory_group_cache(const char *stat)
{
    bool first = strstr(stat, "total_inactive_file ") != NULL;
    uint64_t files = number_of(stat, first ? "total_inactive_file" : "inactive_file") +
                     number_of(stat, first ? "total_active_file" : "active_file");
    uint64_t mapped = number_of(stat, first ? "total_mapped_file" : "file_mapped");
    return files > mapped ? files - mapped : 0;
}

bool memory_group_used(const struct memory_group *group, uint64_t *bytes)
{
    char stat[STAT_ROOM];
    uint64_t charged = 0;
    if (!memory_group_charged(group, &charged))
        return false;
    uint64_t cache = read_all(group->stat_fd, stat, sizeof(stat)) ? memory_group_cache(stat) : 0;
    *bytes = charged > cache ? charged - cache : 0;
    return true;
}
