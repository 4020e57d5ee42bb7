/*
 * Places of Redis servers: see redis_place.h. No I/O.
 */
#include "proxy/redis_place.h"

#include <stdio.h>
#include <string.h>

bool redis_place_set(struct redis_place *place, const char *host, size_t length, uint64_t port)
{
    if (length == 0 || length >= sizeof(place->host) || port > UINT16_MAX || memchr(host, '\0', length) != NULL)
        return false;
    memcpy(place->host, host, length);
    place->host[length] = '\0';
    place->port = (uint16_t)port;
    return true;
}

bool redis_place_equal(const struct redis_place *a, const struct redis_place *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

void redis_place_print(const struct redis_place *place, char *text, size_t room)
{
    if (place->port == 0)
        snprintf(text, room, "%s", place->host);
    else
        snprintf(text, room, strchr(place->host, ':') != NULL ? "[%s]:%u" : "%s:%u", place->host,
                 (unsigned)place->port);
}
