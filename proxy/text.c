/* Conversions to text; pure. */
#include "proxy/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

size_t client_address_print(const struct client_address *address, char *to, size_t room)
{
    to[0] = '\0';
    if (address->length != 0 &&
        inet_ntop(address->length == 4 ? AF_INET : AF_INET6, address->bytes, to, (socklen_t)room) == NULL)
        to[0] = '\0';
    return strlen(to);
}

enum {
    PORT_HTTP = 80
};

size_t address_host_bound(const struct config_address *address)
{
    return address->unix_path != NULL ? sizeof("localhost") : strlen(address->host) + sizeof("[]:65535");
}

size_t address_host_print(const struct config_address *address, char *to)
{
    if (address->unix_path != NULL)
        return (size_t)sprintf(to, "localhost");
    bool six = strchr(address->host, ':') != NULL;
    int length = sprintf(to, six ? "[%s]" : "%s", address->host);
    if (address->port != PORT_HTTP)
        length += sprintf(to + length, ":%u", address->port);
    return (size_t)length;
}
