/*
 * A file watch, on the loop of whoever makes it; control uses it for its configuration and for the file `passthrough`.
 *
 * inotify watches the folders, never the file: an editor, a deployment tool and the kubelet all put a new file in the
 * place of the old one. Two folders matter, the one the path names and the one its links lead to; a ConfigMap's
 * `..data` link is swapped in the first, and leads to another second. Any event there only means "look": what counts is
 * whether the file that the path leads to is another one (device, inode, size, times), or is there at all. The poll
 * does the same look. Reads nothing of the content.
 */
#include "proxy/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

enum {
    FOLLOW_MS = 1000,
    FOLDER_EVENTS = IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_CLOSE_WRITE | IN_ATTRIB | IN_ONLYDIR,
};

/* Which file, in which version; all zero when there is none. */
struct sight {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
    bool exists;
};

struct watch {
    struct event_base *base; /* borrowed */
    char *path;
    uint32_t settle_ms;
    void (*on_change)(void *context, bool exists);
    void *context;
    struct sight told, seen;
    int inotify;
    uint32_t polls, polls_to_follow; /* the folders themselves are looked up now and then only */
    int folder[2];                   /* watch descriptors: of the path, of what it leads to; -1: none */
    struct event *readable;          /* NULL without inotify */
    struct event *poll;
    struct event *settle;
};

static struct sight look(const char *path)
{
    struct stat facts;
    struct sight sight;
    memset(&sight, 0, sizeof(sight));
    if (stat(path, &facts) < 0)
        return sight;
    sight.device = facts.st_dev;
    sight.inode = facts.st_ino;
    sight.size = facts.st_size;
    sight.modified = facts.st_mtim;
    sight.changed = facts.st_ctim;
    sight.exists = true;
    return sight;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same(const struct sight *a, const struct sight *b)
{
    return a->exists == b->exists && a->device == b->device && a->inode == b->inode && a->size == b->size &&
           same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

/* ---- folders ---- */

/* Cuts the last name off, in place. */
static void to_folder(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash == NULL)
        strcpy(path, ".");
    else if (slash == path)
        path[1] = '\0';
    else
        *slash = '\0';
}

/* Points the two watches to the folders as they are now. Adding one that is there already changes nothing. */
static void follow_folders(struct watch *watch)
{
    char folder[PATH_MAX];
    if (watch->inotify < 0)
        return;
    int now[2] = {-1, -1};
    if (strlen(watch->path) < sizeof(folder)) {
        strcpy(folder, watch->path);
        to_folder(folder);
        now[0] = inotify_add_watch(watch->inotify, folder, FOLDER_EVENTS);
    }
    if (realpath(watch->path, folder) != NULL) {
        to_folder(folder);
        now[1] = inotify_add_watch(watch->inotify, folder, FOLDER_EVENTS);
    }
    for (int i = 0; i < 2; i++) {
        int old = watch->folder[i];
        if (old >= 0 && old != now[0] && old != now[1] && (i == 0 || old != watch->folder[0]))
            inotify_rm_watch(watch->inotify, old); /* fails when the folder has gone, and its watch with it */
    }
    watch->folder[0] = now[0];
    watch->folder[1] = now[1];
}

/* ---- looking ---- */

static void arm(struct event *timer, uint32_t ms)
{
    struct timeval after = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
    evtimer_add(timer, &after);
}

static void tell(struct watch *watch)
{
    watch->told = watch->seen;
    watch->on_change(watch->context, watch->told.exists);
}

/* Something may have changed. */
static void check(struct watch *watch)
{
    struct sight now = look(watch->path);
    if (same(&now, &watch->seen))
        return; /* what is under way goes on settling */
    watch->seen = now;
    follow_folders(watch);
    if (watch->settle_ms > 0)
        arm(watch->settle, watch->settle_ms); /* again from the start */
    else if (!same(&watch->seen, &watch->told))
        tell(watch);
}

static void on_settled(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct watch *watch = context;
    struct sight now = look(watch->path);
    if (!same(&now, &watch->seen))
        check(watch);
    else if (!same(&watch->seen, &watch->told))
        tell(watch);
}

static void on_poll(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct watch *watch = context;
    if (!watch_is_quick(watch) || ++watch->polls >= watch->polls_to_follow) {
        watch->polls = 0;
        follow_folders(watch);
    }
    check(watch);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct watch *watch = context;
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t got;
    do /* what exactly has happened does not matter, so what does not fit is no loss */
        got = read(fd, events, sizeof(events));
    while (got > 0 || (got < 0 && errno == EINTR));
    check(watch);
}

/* ---- life ---- */

/* Without inotify (its instances are limited for each user) polling has to do. */
static void start_inotify(struct watch *watch)
{
    watch->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->inotify < 0)
        return;
    watch->readable = event_new(watch->base, watch->inotify, EV_READ | EV_PERSIST, on_readable, watch);
    if (watch->readable == NULL || event_add(watch->readable, NULL) < 0) {
        close(watch->inotify);
        watch->inotify = -1;
        return;
    }
    follow_folders(watch);
}

struct watch *watch_new(struct event_base *base, const struct watch_options *options)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return NULL;
    watch->base = base;
    watch->settle_ms = options->settle_ms;
    watch->polls_to_follow = options->poll_ms < FOLLOW_MS ? FOLLOW_MS / options->poll_ms : 1;
    watch->on_change = options->on_change;
    watch->context = options->context;
    watch->inotify = watch->folder[0] = watch->folder[1] = -1;
    watch->path = strdup(options->path);
    watch->poll = event_new(base, -1, EV_PERSIST, on_poll, watch);
    watch->settle = evtimer_new(base, on_settled, watch);
    if (watch->path == NULL || watch->poll == NULL || watch->settle == NULL) {
        watch_free(watch);
        return NULL;
    }
    start_inotify(watch);
    watch->told = watch->seen = look(watch->path); /* after the watches stand: nothing falls between */
    arm(watch->poll, options->poll_ms);
    return watch;
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    struct event *events[] = {watch->readable, watch->poll, watch->settle};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (events[i] != NULL)
            event_free(events[i]);
    if (watch->inotify >= 0)
        close(watch->inotify);
    free(watch->path);
    free(watch);
}

bool watch_is_quick(const struct watch *watch)
{
    return watch->folder[0] >= 0;
}
