/* Conversions to text; pure. */
#include "proxy/text.h"

#include <arpa/inet.h>
#include <string.h>

size_t client_address_print(const struct client_address *address, char *to, size_t room)
{
    to[0] = '\0';
    if (address->length != 0 &&
        inet_ntop(address->length == 4 ? AF_INET : AF_INET6, address->bytes, to, (socklen_t)room) == NULL)
        to[0] = '\0';
    return strlen(to);
}
