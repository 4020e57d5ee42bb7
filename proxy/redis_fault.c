/*
 * Error replies in our words: see redis_fault.h. Only the first word of a reply is meant for programs; what stands
 * behind it differs between versions. Scripts of Redis before 7 wrap the reason: "ERR Error running script (...): ...
 * -OOM command not allowed ...".
 */
#include "proxy/redis_fault.h"

#include <string.h>

static const char *const names[] = {
    [REDIS_FAULT_NONE] = "none",     [REDIS_FAULT_RESOLVE] = "resolve",   [REDIS_FAULT_CONNECT] = "connect",
    [REDIS_FAULT_TLS] = "tls",       [REDIS_FAULT_AUTH] = "auth",         [REDIS_FAULT_TIMEOUT] = "timeout",
    [REDIS_FAULT_CLOSED] = "closed", [REDIS_FAULT_PROTOCOL] = "protocol", [REDIS_FAULT_READ_ONLY] = "read_only",
    [REDIS_FAULT_MEMORY] = "memory", [REDIS_FAULT_LOADING] = "loading",   [REDIS_FAULT_NO_MASTER] = "no_master",
    [REDIS_FAULT_QUEUE] = "queue",   [REDIS_FAULT_REFUSED] = "refused",
};
_Static_assert(sizeof(names) / sizeof(names[0]) == REDIS_FAULTS, "each has a name");

const char *redis_fault_name(enum redis_fault fault)
{
    return (unsigned)fault < REDIS_FAULTS ? names[fault] : "unknown";
}

static const struct {
    const char *begins;
    struct redis_meaning meaning;
} rows[] = {
    {"NOAUTH", {REDIS_FAULT_AUTH, REDIS_HINT_NONE}},
    {"WRONGPASS", {REDIS_FAULT_AUTH, REDIS_HINT_NONE}},
    {"NOPERM", {REDIS_FAULT_AUTH, REDIS_HINT_NONE}},
    {"DENIED", {REDIS_FAULT_AUTH, REDIS_HINT_NONE}}, /* protected mode */
    {"ERR invalid password", {REDIS_FAULT_AUTH, REDIS_HINT_NONE}},
    {"ERR operation not permitted", {REDIS_FAULT_AUTH, REDIS_HINT_NONE}}, /* before 2.8 */
    {"READONLY", {REDIS_FAULT_READ_ONLY, REDIS_HINT_NONE}},
    {"OOM", {REDIS_FAULT_MEMORY, REDIS_HINT_NONE}},
    {"MISCONF", {REDIS_FAULT_MEMORY, REDIS_HINT_NONE}}, /* its disk, which it will not write without */
    {"LOADING", {REDIS_FAULT_LOADING, REDIS_HINT_NONE}},
    {"BUSY", {REDIS_FAULT_LOADING, REDIS_HINT_NONE}}, /* another's script */
    {"MASTERDOWN", {REDIS_FAULT_LOADING, REDIS_HINT_NONE}},
    {"NOREPLICAS", {REDIS_FAULT_LOADING, REDIS_HINT_NONE}}, /* min-replicas-to-write */
    {"CLUSTERDOWN", {REDIS_FAULT_LOADING, REDIS_HINT_LATER}},
    {"TRYAGAIN", {REDIS_FAULT_LOADING, REDIS_HINT_LATER}},
    {"MOVED ", {REDIS_FAULT_REFUSED, REDIS_HINT_MOVED}},
    {"ASK ", {REDIS_FAULT_REFUSED, REDIS_HINT_ASK}},
    {"NOSCRIPT", {REDIS_FAULT_REFUSED, REDIS_HINT_NO_SCRIPT}},
};

static struct redis_meaning meaning_by_first_word(const char *text)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strncmp(text, rows[i].begins, strlen(rows[i].begins)) == 0)
            return rows[i].meaning;
    return (struct redis_meaning){REDIS_FAULT_REFUSED, REDIS_HINT_NONE};
}

struct redis_meaning redis_meaning_of(const char *text)
{
    static const char wrapped[] = "ERR Error running script";
    struct redis_meaning meaning = meaning_by_first_word(text);
    if (strncmp(text, wrapped, sizeof(wrapped) - 1) != 0)
        return meaning;
    for (const char *at = strstr(text, ": -"); at != NULL; at = strstr(at + 1, ": -"))
        meaning = meaning_by_first_word(at + 3);
    meaning.hint = REDIS_HINT_NONE; /* it has begun: it is not to be sent twice */
    return meaning;
}

bool redis_is_unknown_command(const char *text)
{
    static const char *const begins[] = {"ERR unknown command", "ERR unknown subcommand", "NOPROTO",
                                         "ERR wrong number",    "ERR syntax error",       "ERR Unknown"};
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
        if (strncmp(text, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}
