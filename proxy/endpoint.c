/*
 * Endpoint addresses: from text, from a resolver's answer, printed and brought into order. Makes sockets for them;
 * connects none and asks nobody.
 */
#include "proxy/endpoint.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool print_inet(struct endpoint_address *address)
{
    char host[INET6_ADDRSTRLEN];
    bool is6 = address->to.any.sa_family == AF_INET6;
    const void *bytes = is6 ? (const void *)&address->to.in6.sin6_addr : (const void *)&address->to.in.sin_addr;
    uint16_t port = is6 ? address->to.in6.sin6_port : address->to.in.sin_port;
    if (inet_ntop(address->to.any.sa_family, bytes, host, sizeof(host)) == NULL)
        return false;
    snprintf(address->text, sizeof(address->text), is6 ? "[%s]:%u" : "%s:%u", host, (unsigned)ntohs(port));
    return true;
}

bool endpoint_address_set(struct endpoint_address *address, const struct sockaddr *to, socklen_t length)
{
    memset(address, 0, sizeof(*address));
    if (length > sizeof(address->to))
        return false;
    memcpy(&address->to, to, length);
    address->length = length;
    if (to->sa_family == AF_INET || to->sa_family == AF_INET6)
        return print_inet(address);
    if (to->sa_family != AF_UNIX)
        return false;
    snprintf(address->text, sizeof(address->text), "unix:%.*s", (int)sizeof(address->text) - 6,
             address->to.un.sun_path);
    return true;
}

/* The socket address of text that needs no look-up; 0: it needs one. */
static socklen_t literal(const struct config_address *address, struct endpoint_address *to)
{
    if (address->unix_path != NULL) {
        to->to.un.sun_family = AF_UNIX;
        snprintf(to->to.un.sun_path, sizeof(to->to.un.sun_path), "%s", address->unix_path);
        return sizeof(to->to.un);
    }
    if (inet_pton(AF_INET, address->host, &to->to.in.sin_addr) == 1) {
        to->to.in.sin_family = AF_INET;
        to->to.in.sin_port = htons(address->port);
        return sizeof(to->to.in);
    }
    if (inet_pton(AF_INET6, address->host, &to->to.in6.sin6_addr) == 1) {
        to->to.in6.sin6_family = AF_INET6;
        to->to.in6.sin6_port = htons(address->port);
        return sizeof(to->to.in6);
    }
    return 0;
}

struct endpoint_list *endpoint_list_of(const struct config_address *address, bool *is_name)
{
    struct endpoint_address to;
    memset(&to, 0, sizeof(to));
    socklen_t length = literal(address, &to);
    *is_name = length == 0;
    struct endpoint_list *list = length > 0 ? endpoint_list_new(1) : NULL;
    if (list != NULL && !endpoint_address_set(&list->address[0], &to.to.any, length)) {
        endpoint_list_unref(list);
        return NULL;
    }
    return list;
}

/* IPv4 before IPv6, then by their bytes. */
static int compare(const void *a, const void *b)
{
    const struct endpoint_address *one = a, *other = b;
    if (one->length != other->length)
        return one->length < other->length ? -1 : 1;
    return memcmp(&one->to, &other->to, one->length);
}

void endpoint_list_settle(struct endpoint_list *list)
{
    qsort(list->address, list->count, sizeof(list->address[0]), compare);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < list->count; i++)
        if (kept == 0 || compare(&list->address[kept - 1], &list->address[i]) != 0)
            list->address[kept++] = list->address[i];
    list->count = kept;
}

int endpoint_socket(const struct endpoint_address *address)
{
    int fd = socket(address->to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int one = 1;
    if (address->to.any.sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* a hint: slower without */
    return fd;
}
