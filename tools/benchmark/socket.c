/*
 * Sockets for the benchmark's own programs. They are tools that run for seconds on one machine, so whatever goes wrong
 * while they start ends them with a message; what goes wrong on one connection is the caller's to close.
 */
#include "tools/benchmark/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

union any_address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_un un;
};

static socklen_t address_parse(const char *text, union any_address *address)
{
    memset(address, 0, sizeof(*address));
    if (strchr(text, '/') != NULL) {
        if (strlen(text) >= sizeof(address->un.sun_path)) {
            errno = ENAMETOOLONG;
            fail(text);
        }
        address->un.sun_family = AF_UNIX;
        strcpy(address->un.sun_path, text);
        return sizeof(address->un);
    }
    char *end = NULL;
    unsigned long port = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || port > 65535) {
        fprintf(stderr, "%s: not a port and not a path of a unix socket\n", text);
        exit(2);
    }
    address->in.sin_family = AF_INET;
    address->in.sin_port = htons((uint16_t)port);
    address->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof(address->in);
}

static void set_nodelay(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* refused on a unix socket, which has no delay */
}

int socket_listen(const char *text)
{
    union any_address address;
    socklen_t len = address_parse(text, &address);
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        fail("SO_REUSEADDR");
    if (bind(fd, &address.any, len) < 0 || listen(fd, 4096) < 0)
        fail(text);
    return fd;
}

int socket_connect(const char *text)
{
    union any_address address;
    socklen_t len = address_parse(text, &address);
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    set_nodelay(fd);
    if (connect(fd, &address.any, len) < 0 && errno != EINPROGRESS) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

int socket_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        set_nodelay(fd);
    return fd;
}

int socket_port(int listener)
{
    union any_address address = {.in.sin_family = AF_UNSPEC};
    socklen_t len = sizeof(address);
    if (getsockname(listener, &address.any, &len) < 0)
        fail("getsockname");
    return address.any.sa_family == AF_INET ? ntohs(address.in.sin_port) : 0;
}
