/*
 * What is told to the service manager that started the process: systemd, or whoever set NOTIFY_SOCKET. The messages are
 * those of sd_notify(3), datagrams of lines; where nobody listens, nothing is done. Control thread only; nothing here
 * waits or fails: a manager that does not hear is no reason not to serve.
 */
#ifndef SHUNT_PROXY_SERVICE_MANAGER_H
#define SHUNT_PROXY_SERVICE_MANAGER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SERVICE_MESSAGE_ROOM = 256
};

struct service_manager {
    int fd;           /* -1: nobody listens */
    uint64_t beat_ms; /* how often it wants to hear that the loop turns; 0: it does not */
    uint64_t beat_at_ms;
    char owed[SERVICE_MESSAGE_ROOM]; /* the newest state that its queue had no room for; "": it has heard */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. */
void service_manager_open(struct service_manager *manager);
void service_manager_close(struct service_manager *manager);

/* Clients are served. `status` is a short line for people. Also the end of reloading. */
void service_manager_tell_ready(struct service_manager *manager, const char *status);
void service_manager_tell_reloading(struct service_manager *manager, uint64_t now_ms); /* monotonic */
/* The end has begun, and may take `most_ms`: it is not to lose patience before. */
void service_manager_tell_stopping(struct service_manager *manager, uint64_t most_ms);
/* Each tick, from the moment that clients are served. Also tells the state again that there was no room for. */
void service_manager_beat(struct service_manager *manager, uint64_t now_ms);

#endif
