/*
 * Control groups: see cgroup.h. Asked at the start and at a reload; reads what the kernel writes and keeps nothing.
 */
#include "config/cgroup.h"

#include <stdio.h>
#include <string.h>

enum {
    PATH_ROOM = 4096,
    LINE_ROOM = 4352,
};

const struct cgroup_place cgroup_system = {.membership = "/proc/self/cgroup", .mount = "/sys/fs/cgroup"};

struct walk {
    const struct cgroup_place *place;
    const char *controller;
    void (*visit)(void *context, const char *folder);
    void *context;
};

bool cgroup_read(const char *folder, const char *name, char *out, size_t room)
{
    char path[PATH_ROOM + 64];
    int len = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (room == 0 || len < 0 || (size_t)len >= sizeof(path))
        return false;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    size_t got = fread(out, 1, room - 1, file);
    bool whole = ferror(file) == 0 && got > 0;
    (void)fclose(file);
    out[got] = '\0';
    return whole;
}

/* From the group's own folder to that of the hierarchy. */
static void walk_up(const struct walk *walk, const char *hierarchy, const char *group)
{
    char folder[PATH_ROOM];
    int root = snprintf(folder, sizeof(folder), "%s%s", walk->place->mount, hierarchy);
    if (root < 0 || (size_t)root >= sizeof(folder))
        return;
    int len = snprintf(folder + root, sizeof(folder) - (size_t)root, "%s", group);
    if (len < 0 || (size_t)len >= sizeof(folder) - (size_t)root)
        return;
    for (size_t end = (size_t)root + (size_t)len; end > (size_t)root && folder[end - 1] == '/';)
        folder[--end] = '\0'; /* the group "/" is the hierarchy's own folder */
    for (;;) {
        walk->visit(walk->context, folder);
        char *slash = strrchr(folder, '/');
        if (slash == NULL || slash < folder + root)
            return;
        *slash = '\0';
    }
}

/* Is it one of "cpu,cpuacct"? */
static bool is_listed(const char *controllers, const char *controller)
{
    size_t len = strlen(controller);
    for (const char *at = controllers;; at++) {
        size_t word = strcspn(at, ",");
        if (word == len && memcmp(at, controller, len) == 0)
            return true;
        at += word;
        if (*at == '\0')
            return false;
    }
}

/* A line of /proc/self/cgroup is "0::/group" (v2) or "4:cpu,cpuacct:/group" (v1). */
static void walk_line(const struct walk *walk, char *line)
{
    char hierarchy[PATH_ROOM];
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL)
        return;
    *controllers++ = '\0';
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    if (controllers[0] == '\0') {
        walk_up(walk, "", group);
        return;
    }
    if (!is_listed(controllers, walk->controller))
        return;
    (void)snprintf(hierarchy, sizeof(hierarchy), "/%s", walk->controller);
    walk_up(walk, hierarchy, group);
    if (strcmp(controllers, walk->controller) == 0)
        return;
    (void)snprintf(hierarchy, sizeof(hierarchy), "/%s", controllers); /* mounted together */
    walk_up(walk, hierarchy, group);
}

void cgroup_walk(const struct cgroup_place *place, const char *controller,
                 void (*visit)(void *context, const char *folder), void *context)
{
    const struct walk walk = {.place = place, .controller = controller, .visit = visit, .context = context};
    char line[LINE_ROOM];
    FILE *file = fopen(place->membership, "re");
    if (file == NULL) {
        visit(context, place->mount);
        return;
    }
    while (fgets(line, sizeof(line), file) != NULL)
        walk_line(&walk, line);
    (void)fclose(file);
}
