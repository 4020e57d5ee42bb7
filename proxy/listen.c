/*
 * Listening sockets, for control to hand to workers. Does not accept, and keeps nothing once they are handed over.
 *
 * SO_REUSEPORT lets a second process of the same user bind the same port unnoticed, and the kernel would then give each
 * of the two a part of the clients. So the port is tried first without it: a port that anybody listens on is refused by
 * name.
 */
#include "proxy/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "router/store/fault.h"

enum {
    BACKLOG = 4096
}; /* the kernel takes at most net.core.somaxconn of it */

struct place {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        struct sockaddr_storage storage;
    } at;
    socklen_t length;
};

static bool set_on(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

static int open_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static void close_keeping_errno(int fd)
{
    int fault = errno;
    if (fd >= 0)
        close(fd);
    errno = fault;
}

/* ---- host and port ---- */

static bool find_place(struct place *place, const struct config_address *address, char **error)
{
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    snprintf(port, sizeof(port), "%u", (unsigned)address->port);
    int fault = getaddrinfo(address->host, port, &hints, &found);
    if (fault != 0)
        return fault_set(error, "listener %s: %s; use an address of this machine, such as 0.0.0.0:8080", address->text,
                         fault == EAI_SYSTEM ? strerror(errno) : gai_strerror(fault));
    memcpy(&place->at, found->ai_addr, found->ai_addrlen);
    place->length = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static uint16_t *port_in(struct place *place)
{
    return place->at.any.sa_family == AF_INET6 ? &place->at.in6.sin6_port : &place->at.in.sin_port;
}

/* False with errno EADDRINUSE when somebody listens there. */
static bool is_free(const struct place *place)
{
    int fd = open_socket(place->at.any.sa_family);
    bool is = fd >= 0 && set_on(fd, SOL_SOCKET, SO_REUSEADDR) &&
              (place->at.any.sa_family != AF_INET6 || set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY)) &&
              bind(fd, &place->at.any, place->length) == 0;
    close_keeping_errno(fd);
    return is;
}

static int open_tcp(const struct place *place)
{
    int fd = open_socket(place->at.any.sa_family);
    if (fd >= 0 && set_on(fd, SOL_SOCKET, SO_REUSEADDR) && set_on(fd, SOL_SOCKET, SO_REUSEPORT) &&
        set_on(fd, IPPROTO_TCP, TCP_NODELAY) &&
        (place->at.any.sa_family != AF_INET6 || set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY)) &&
        bind(fd, &place->at.any, place->length) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    close_keeping_errno(fd);
    return -1;
}

/* Reads back where the first socket is bound: the kernel may have chosen the port. */
static bool learn_place(struct listen_set *set, struct place *place)
{
    char host[INET6_ADDRSTRLEN];
    place->length = sizeof(place->at);
    if (getsockname(set->fds[0], &place->at.any, &place->length) < 0)
        return false;
    bool is6 = place->at.any.sa_family == AF_INET6;
    const void *address = is6 ? (const void *)&place->at.in6.sin6_addr : (const void *)&place->at.in.sin_addr;
    if (inet_ntop(place->at.any.sa_family, address, host, sizeof(host)) == NULL)
        return false;
    snprintf(set->text, sizeof(set->text), is6 ? "[%s]:%u" : "%s:%u", host, (unsigned)ntohs(*port_in(place)));
    return true;
}

static const char *remedy_for(int fault)
{
    switch (fault) {
    case EADDRINUSE:
        return "end the program that listens there, or choose another port";
    case EACCES:
        return "choose a port from 1024 on, or give shunt the capability CAP_NET_BIND_SERVICE";
    case EADDRNOTAVAIL:
        return "use an address of this machine, such as 0.0.0.0";
    case EMFILE:
    case ENFILE:
        return "raise the limit of open files (ulimit -n)";
    default:
        return "check the address";
    }
}

static bool refuse(struct listen_set *set, const struct config_address *address, char **error)
{
    int fault = errno;
    listen_close(set);
    return fault_set(error, "listener %s: cannot listen: %s; %s", address->text, strerror(fault), remedy_for(fault));
}

static bool open_inet(struct listen_set *set, const struct config_address *address, bool shared, char **error)
{
    struct place place;
    if (!find_place(&place, address, error)) {
        listen_close(set);
        return false;
    }
    if (!shared && address->port != 0 && !is_free(&place))
        return refuse(set, address, error);
    for (uint32_t i = 0; i < set->count; i++) {
        set->fds[i] = open_tcp(&place);
        if (set->fds[i] < 0 || (i == 0 && !learn_place(set, &place)))
            return refuse(set, address, error);
    }
    return true;
}

/* ---- unix sockets ---- */

/* Does a process listen at this path? Else the file was left by one that has gone, or there is none. */
static bool is_served(const struct place *place)
{
    int fd = open_socket(AF_UNIX);
    bool is = fd >= 0 && (connect(fd, &place->at.any, place->length) == 0 || errno == EAGAIN || errno == EACCES);
    if (fd >= 0)
        close(fd);
    return is;
}

static bool remove_left_over(const struct place *place)
{
    struct stat facts;
    if (lstat(place->at.un.sun_path, &facts) < 0)
        return errno == ENOENT;
    if (!S_ISSOCK(facts.st_mode) || is_served(place)) {
        errno = EADDRINUSE;
        return false;
    }
    return unlink(place->at.un.sun_path) == 0;
}

static bool bind_unix(int fd, const struct place *place)
{
    return remove_left_over(place) && bind(fd, &place->at.any, place->length) == 0 && listen(fd, BACKLOG) == 0;
}

static bool open_unix(struct listen_set *set, const struct config_address *address, char **error)
{
    struct place place = {.at.un.sun_family = AF_UNIX, .length = sizeof(place.at.un)};
    if (strlen(address->unix_path) >= sizeof(place.at.un.sun_path)) {
        listen_close(set);
        return fault_set(error, "listener %s: the path is too long; expected at most %zu bytes", address->text,
                         sizeof(place.at.un.sun_path) - 1);
    }
    strcpy(place.at.un.sun_path, address->unix_path);
    set->fds[0] = open_socket(AF_UNIX);
    if (set->fds[0] < 0 || !bind_unix(set->fds[0], &place))
        return refuse(set, address, error);
    set->unix_path = strdup(address->unix_path);
    bool whole = set->unix_path != NULL;
    for (uint32_t i = 1; i < set->count && whole; i++) {
        set->fds[i] = fcntl(set->fds[0], F_DUPFD_CLOEXEC, 0);
        whole = set->fds[i] >= 0;
    }
    if (!whole) {
        int fault = errno;
        unlink(address->unix_path);
        errno = fault;
        return refuse(set, address, error);
    }
    snprintf(set->text, sizeof(set->text), "unix:%s", address->unix_path);
    return true;
}

/* ---- both ---- */

bool listen_open(struct listen_set *set, const struct config_address *address, uint32_t count, bool shared,
                 char **error)
{
    *set = (struct listen_set){.count = count};
    set->fds = malloc(count * sizeof(set->fds[0]));
    if (set->fds == NULL) {
        listen_close(set);
        return fault_set(error, "listener %s: no memory", address->text);
    }
    for (uint32_t i = 0; i < count; i++)
        set->fds[i] = -1;
    return address->unix_path != NULL ? open_unix(set, address, error) : open_inet(set, address, shared, error);
}

void listen_close(struct listen_set *set)
{
    for (uint32_t i = 0; set->fds != NULL && i < set->count; i++)
        if (set->fds[i] >= 0)
            close(set->fds[i]);
    free(set->fds);
    free(set->unix_path);
    *set = (struct listen_set){0};
}

void listen_unlink(struct listen_set *set)
{
    if (set->unix_path != NULL)
        unlink(set->unix_path);
    free(set->unix_path);
    set->unix_path = NULL;
}
