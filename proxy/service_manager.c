/*
 * sd_notify(3) without libsystemd: the protocol is one datagram to the socket that NOTIFY_SOCKET names, in the file
 * system or, with "@", in the abstract name space. See service_manager.h.
 *
 * Control beats while its own loop and those of the workers turn (control_liveness.c), as /healthz has it.
 */
#include "proxy/service_manager.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BEATS = 2, /* in the time after which a process without any is ended: sd_watchdog_enabled(3) */
};

/* The environment's number, or 0. */
static uint64_t number_of(const char *name)
{
    const char *text = getenv(name);
    char *end = NULL;
    unsigned long long number = text != NULL && text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    return end != NULL && *end == '\0' ? number : 0;
}

/* WATCHDOG_PID, where it is set, says that another process of the service is meant. */
static uint64_t beat_of_environment(void)
{
    uint64_t pid = number_of("WATCHDOG_PID"), patience_ms = number_of("WATCHDOG_USEC") / 1000;
    if (patience_ms == 0 || (pid != 0 && pid != (uint64_t)getpid()))
        return 0;
    return patience_ms / BEATS > 0 ? patience_ms / BEATS : 1;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path != NULL ? strlen(path) : 0;
    if (length < 2 || length >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
        return -1;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, size) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

void service_manager_open(struct service_manager *manager)
{
    *manager = (struct service_manager){.fd = connect_to(getenv("NOTIFY_SOCKET"))};
    if (manager->fd >= 0)
        manager->beat_ms = beat_of_environment();
}

void service_manager_close(struct service_manager *manager)
{
    if (manager->fd >= 0)
        close(manager->fd);
    manager->fd = -1;
}

/* False: its queue is full, and it has not heard. One that has gone hears nothing any more. */
static bool tell(const struct service_manager *manager, const char *message)
{
    return manager->fd < 0 || send(manager->fd, message, strlen(message), MSG_NOSIGNAL) >= 0 ||
           (errno != EAGAIN && errno != ENOBUFS);
}

/* A start or a reload that it never hears the end of it would break off. Only the newest state counts. */
static void tell_state(struct service_manager *manager, const char *message)
{
    bool heard = tell(manager, message);
    snprintf(manager->owed, sizeof(manager->owed), "%s", heard ? "" : message);
}

void service_manager_tell_ready(struct service_manager *manager, const char *status)
{
    char message[SERVICE_MESSAGE_ROOM];
    snprintf(message, sizeof(message), "READY=1\nSTATUS=%.200s\n", status);
    tell_state(manager, message);
}

void service_manager_tell_reloading(struct service_manager *manager, uint64_t now_ms)
{
    char message[SERVICE_MESSAGE_ROOM];
    snprintf(message, sizeof(message), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=Reads the file again\n",
             now_ms * 1000);
    tell_state(manager, message);
}

void service_manager_tell_stopping(struct service_manager *manager, uint64_t most_ms)
{
    char message[SERVICE_MESSAGE_ROOM];
    snprintf(message, sizeof(message),
             "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64 "\nSTATUS=Finishes what is under way\n", most_ms * 1000);
    tell_state(manager, message);
}

void service_manager_beat(struct service_manager *manager, uint64_t now_ms)
{
    if (manager->owed[0] != '\0' && tell(manager, manager->owed))
        manager->owed[0] = '\0';
    if (manager->beat_ms > 0 && now_ms >= manager->beat_at_ms && tell(manager, "WATCHDOG=1\n"))
        manager->beat_at_ms = now_ms + manager->beat_ms;
}
