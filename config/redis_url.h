/*
 * The URL of state.redis: where Redis is, by itself, behind sentinels or as a cluster, and who asks.
 *
 *   redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]
 *   unix:///PATH[?db=DATABASE]
 *   redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST...]/MASTER[/DATABASE]
 *   redis+cluster://[USER:PASSWORD@]HOST[:PORT][,HOST...]
 *
 * and the same with rediss for TLS. User name, password and path are percent-decoded (RFC 3986 section 2.1). Pure
 * functions, any thread.
 */
#ifndef SHUNT_CONFIG_REDIS_URL_H
#define SHUNT_CONFIG_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "config/arena.h"
#include "config/config.h"

enum {
    REDIS_HOSTS_MOST = 64,
    REDIS_DATABASE_MOST = 65535,
};

/* Both static, and never a part of the URL: it may hold a password wherever the slip is. */
struct redis_url_fault {
    const char *why; /* NULL: there was no memory */
    const char *expected;
};

/* Fills in kind, is_tls, hosts, master, database, username and password; the rest stays. On false nothing changes. */
bool redis_url_read(struct config_arena *arena, const char *text, struct config_redis *redis,
                    struct redis_url_fault *fault);

/* A stretch of the URL, as written there; `at` NULL: it says nothing of it. */
struct redis_url_part {
    const char *at;
    size_t len;
};

struct redis_url_user {
    struct redis_url_part name;
    struct redis_url_part password;
};

struct redis_url_user redis_url_user(const char *url);

#endif
