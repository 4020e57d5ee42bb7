/*
 * The helpers of peer.h. Used by backend.c and load.c alone.
 */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

char pattern[PATTERN_BYTES + PATTERN_PERIOD];

void pattern_init(void)
{
    uint32_t bits = 12345;

    for (size_t i = 0; i < PATTERN_PERIOD; i++) {
        bits = bits * 1103515245u + 12345u;
        pattern[i] = (char)(bits >> 16);
    }
    for (size_t i = PATTERN_PERIOD; i < sizeof(pattern); i++)
        pattern[i] = pattern[i - PATTERN_PERIOD];
}

const char *pattern_at(uint64_t offset, size_t *length)
{
    if (*length > PATTERN_BYTES)
        *length = PATTERN_BYTES;
    return pattern + offset % PATTERN_PERIOD;
}

bool pattern_matches(const char *at, size_t length, uint64_t offset)
{
    while (length > 0) {
        size_t piece = length;
        const char *expected = pattern_at(offset, &piece);
        if (memcmp(at, expected, piece) != 0)
            return false;
        at += piece;
        offset += piece;
        length -= piece;
    }
    return true;
}

uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

void *must_alloc(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL)
        die("calloc");
    return memory;
}

struct any_address {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_un un;
    } to;
    socklen_t length;
};

static void address_parse(const char *text, struct any_address *address)
{
    const char *colon = strrchr(text, ':');
    char host[64];

    memset(address, 0, sizeof(*address));
    if (strncmp(text, "unix:", 5) == 0) {
        address->to.un.sun_family = AF_UNIX;
        snprintf(address->to.un.sun_path, sizeof(address->to.un.sun_path), "%s", text + 5);
        address->length = sizeof(address->to.un);
        return;
    }
    errno = EINVAL;
    if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
        die(text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    address->to.in.sin_family = AF_INET;
    address->to.in.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, host, &address->to.in.sin_addr) != 1)
        die(text);
    address->length = sizeof(address->to.in);
}

int socket_listen(const char *text, char *real, size_t room)
{
    struct any_address address;
    int one = 1;
    int fd;

    address_parse(text, &address);
    fd = socket(address.to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (address.to.any.sa_family == AF_UNIX)
        unlink(address.to.un.sun_path);
    if (bind(fd, &address.to.any, address.length) < 0)
        die("bind");
    if (listen(fd, 4096) < 0)
        die("listen");
    snprintf(real, room, "%s", text);
    if (address.to.any.sa_family == AF_INET) {
        socklen_t length = sizeof(address.to);
        char host[INET_ADDRSTRLEN];
        if (getsockname(fd, &address.to.any, &length) < 0)
            die("getsockname");
        inet_ntop(AF_INET, &address.to.in.sin_addr, host, sizeof(host));
        snprintf(real, room, "%s:%u", host, ntohs(address.to.in.sin_port));
    }
    return fd;
}

int socket_connect(const char *text)
{
    struct any_address address;
    int one = 1;
    int fd;

    address_parse(text, &address);
    fd = socket(address.to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    if (address.to.any.sa_family == AF_INET)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, &address.to.any, address.length) < 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}
