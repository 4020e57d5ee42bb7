/*
 * What an error reply means. The names of faults are redis_fault_name() in redis.h.
 */
#ifndef SHUNT_PROXY_REDIS_FAULT_H
#define SHUNT_PROXY_REDIS_FAULT_H

#include "proxy/redis.h"

/* Error replies that are followed or tried again and only then a fault. */
enum redis_hint {
    REDIS_HINT_NONE,
    REDIS_HINT_NO_SCRIPT, /* send it whole */
    REDIS_HINT_MOVED,     /* the slot is elsewhere now */
    REDIS_HINT_ASK,       /* this once */
    REDIS_HINT_LATER,     /* CLUSTERDOWN, TRYAGAIN: in a moment */
};

struct redis_meaning {
    enum redis_fault fault;
    enum redis_hint hint;
};

/* `text`: an error reply without its minus, as hiredis gives it. A script's error is what made the script fail. */
struct redis_meaning redis_meaning_of(const char *text);
/* The server does not know this command, or not in this form: an older one, or something that only looks like Redis. */
bool redis_is_unknown_command(const char *text);

#endif
