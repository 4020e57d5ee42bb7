/*
 * Tells changes of state to whom the file names, and asks the webhooks of gates.
 *
 * A thread of its own ("notify") does all that waits for others; it starts when there is somebody to tell or to ask.
 * Control hands over and fetches under a lock that is never held across I/O. What cannot be delivered is tried again,
 * later and later; each target has a bounded queue of its own, so that a dead one neither holds up others nor grows.
 * Events of one target arrive in their order, and more than once where an answer was lost: their sequence tells.
 *
 * libcurl is opened and begun when the thread starts, and ended in notify_stop().
 */
#ifndef SHUNT_PROXY_NOTIFY_H
#define SHUNT_PROXY_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/router.h"

struct log;
struct notify;
struct notify_plan;

struct notify_limits {
    size_t queue;            /* events that wait for one target; then the oldest are dropped and counted */
    uint64_t first_retry_ms; /* after the first failure; doubles, up to a quarter longer by chance */
    uint64_t most_retry_ms;
    uint64_t give_up_ms; /* an event that is older is not sent any more */
    size_t questions;    /* of gates, under way at once; others wait for their turn */
};

/* 1,000 events; 1 s to 5 min; an hour; 256 questions. */
extern const struct notify_limits notify_limits;

/* `log` and `limits` are borrowed. NULL without memory. */
struct notify *notify_new(struct log *log, const struct notify_limits *limits);
/* Tries once more to send what waits, for at most `wait_ms`, ends the thread, frees everything. NULL is fine. */
void notify_stop(struct notify *notify, uint64_t wait_ms);

/* The targets of a configuration, which is not needed any more afterwards. NULL without memory. */
struct notify_plan *notify_prepare(const struct notify *notify, const struct config *config);
/* Takes them into use. A target that stays, by URL and format, keeps what waits for it; events of one that goes are
 * given up. */
void notify_adopt(struct notify *notify, struct notify_plan *plan);
void notify_discard(struct notify_plan *plan); /* NULL is fine */

/* Tells the targets that want it. Every event comes here, whether there are targets or not. Control thread. */
void notify_event(struct notify *notify, const struct router_event *event);

/* See router_hooks.approval. The webhook is asked while somebody goes on calling this, and not any more a few seconds
 * after the last call; whoever comes back later gets a new answer, and so does everybody after an event with which a
 * stage of the route begins or goes on (notify_event()). Control thread. */
void notify_approval(struct notify *notify, const char *route, const char *stage,
                     const struct config_gate_webhook *webhook, struct approval_answer *answer);

struct notify_stats {
    const char
        *target; /* "chat.example.org:8443", and "#2" behind it for the second of that host; borrowed for the call
                  */
    uint64_t delivered;
    uint64_t refused; /* answered with a status that says it is no use: 3xx, 4xx but for 408 and 429 */
    uint64_t expired;
    uint64_t dropped; /* the queue was full */
    uint64_t retries;
    size_t waiting;
};
/* Each target in the file's order. NULL `notify` has none. Control thread. */
void notify_each(struct notify *notify, void (*each)(void *context, const struct notify_stats *stats), void *context);

#endif
