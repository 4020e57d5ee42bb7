/*
 * Watches one path: tells when what it leads to has changed, also through symbolic links that are swapped.
 */
#ifndef SHUNT_PROXY_WATCH_H
#define SHUNT_PROXY_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct watch;

struct watch_options {
    const char *path;   /* need not exist */
    uint32_t settle_ms; /* the change is told once nothing more has changed for this long; 0: at once */
    uint32_t poll_ms; /* looked at this often, too: where inotify is blind (network and bind mounts) or not to be had */
    /* The file differs from when it was last told, or has come, or has gone (`exists` false). On the loop's thread. */
    void (*on_change)(void *context, bool exists);
    void *context;
};

/* What is there now counts as told. NULL without memory; without inotify it polls. `options` is only read in the call.
 */
struct watch *watch_new(struct event_base *base, const struct watch_options *options);
void watch_free(struct watch *watch); /* NULL is fine; not from within on_change */

/* False when changes are only found by polling. */
bool watch_is_quick(const struct watch *watch);

#endif
