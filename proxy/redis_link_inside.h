/*
 * The inside of a connection to Redis, for redis_link.c and redis_hello.c.
 */
#ifndef SHUNT_PROXY_REDIS_LINK_INSIDE_H
#define SHUNT_PROXY_REDIS_LINK_INSIDE_H

#include "proxy/redis_link.h"
#include "proxy/redis_resp.h"

struct redis_sent { /* a command without its answer yet */
    struct redis_sent *next;
    redis_link_answered *answered;
    void *context;
    uint64_t due_ms;
    char what[16]; /* its first word, for people */
};

struct redis_link {
    struct redis_link_hooks hooks;
    struct event_base *base;   /* borrowed */
    char *host;                /* what follows is owned */
    char *username, *password; /* NULL when they are not needed any more */
    char *channel;
    enum config_redis_resp resp;
    bool is_bare, must_be_master;
    uint32_t database;
    char database_text[16];
    uint64_t timeout_ms, ping_ms;
    uint64_t *commands;     /* borrowed */
    int fd;                 /* -1: the bufferevent has it */
    struct ssl_st *ssl;     /* until the bufferevent has it */
    struct event *writable; /* while it connects */
    struct bufferevent *stream;
    struct event *clock;
    redisReader *reader;
    struct redis_resp filter;
    struct redis_sent *first, **last;
    uint64_t connect_due_ms; /* 0: it is connected */
    int connect_error;       /* what connect() said at once */
    uint64_t heard_ms;       /* the last bytes */
    size_t step;             /* of the introduction */
    bool speaks_3;           /* HELLO 3 was understood */
    bool is_up;
    unsigned busy; /* within calls that use it afterwards */
    bool is_closed, is_down;
};

/* Ends it and tells. */
void redis_link_fail(struct redis_link *link, enum redis_fault fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The introduction: its next command, or on_up(). */
void redis_hello_go_on(struct redis_link *link);

#endif
