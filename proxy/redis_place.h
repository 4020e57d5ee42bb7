/*
 * Where a Redis server is, as people and other servers name it: host and port.
 */
#ifndef SHUNT_PROXY_REDIS_PLACE_H
#define SHUNT_PROXY_REDIS_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REDIS_HOST_ROOM = 256,
    REDIS_PLACE_ROOM = REDIS_HOST_ROOM + 16
};

struct redis_place {
    char host[REDIS_HOST_ROOM]; /* name, address without brackets, or the path of a unix socket */
    uint16_t port;              /* 0: a path */
};

/* False: too long, or empty. */
bool redis_place_set(struct redis_place *place, const char *host, size_t length, uint64_t port);
bool redis_place_equal(const struct redis_place *a, const struct redis_place *b);
/* "host:port", "[::1]:port" or the path. */
void redis_place_print(const struct redis_place *place, char *text, size_t room);

#endif
