/*
 * A target of `notify`: who it is, and the events that wait for it. For notify.c alone, under its lock.
 */
#ifndef SHUNT_PROXY_NOTIFY_TARGET_H
#define SHUNT_PROXY_NOTIFY_TARGET_H

#include "config/config.h"
#include "proxy/errand.h"
#include "proxy/notify.h"

/* What targets and questions share. */
struct notify_context {
    struct log *log;
    const struct notify_limits *limits;
    CURLM *multi;    /* the thread's; NULL before it runs */
    uint64_t now_ms; /* monotonic */
    uint64_t chance; /* state of a small generator */
    bool stopping;   /* one try each, and no other */
};

struct message { /* one event in the words of one format */
    unsigned refs;
    uint64_t at_ms;
    char *text; /* owned */
};

/* Takes `text`; NULL without memory, also where `text` is NULL. */
struct message *message_new(char *text, uint64_t now_ms);
void message_unref(struct message *message); /* NULL is fine */

struct target {
    struct target *next;
    struct notify_context *context; /* borrowed */
    char *url, *token;              /* owned; token may be NULL */
    char *name;                     /* owned: what may be shown of the URL */
    enum config_notify_format format;
    char **events; /* owned; none: all */
    uint32_t event_count;
    uint64_t timeout_ms;
    struct message **ring; /* owned, limits->queue places */
    size_t first, count;
    struct errand errand; /* of the oldest event; the thread's */
    unsigned tries;       /* of the oldest event */
    unsigned failures;    /* in a row, whichever events were tried */
    uint64_t due_ms;      /* not before */
    bool failing;         /* told once, until one is delivered */
    uint64_t lost;        /* since then */
    bool given_up;        /* while stopping */
    struct notify_stats stats;
};

/* NULL without memory. */
struct target *target_new(struct notify_context *context, const struct config_notify *config);
/* Breaks off what is under way. On the thread, when one runs. */
void target_free(struct target *target);
bool target_is_same(const struct target *target, const struct target *other);
/* What may change from file to file, the name included, goes to `target`; `from` gets the former. */
void target_swap_words(struct target *target, struct target *from);

bool target_wants(const struct target *target, const char *what);
/* Takes a reference of its own. */
void target_push(struct target *target, struct message *message);
/* Sends the oldest event if it is time. */
void target_work(struct target *target);
/* When target_work() has something to do, if not before; UINT64_MAX: never. */
uint64_t target_due_ms(const struct target *target);
/* Tells that what waits is given up. */
void target_tell_lost(struct target *target, uint64_t count, const char *why);

#endif
