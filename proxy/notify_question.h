/*
 * The question a webhook gate puts to somebody else, and the newest answer. For notify.c alone, under its lock.
 */
#ifndef SHUNT_PROXY_NOTIFY_QUESTION_H
#define SHUNT_PROXY_NOTIFY_QUESTION_H

#include "proxy/notify_target.h"

struct question {
    struct question *next;
    struct notify_context *context; /* borrowed */
    char *route, *stage, *url;      /* owned */
    uint64_t interval_ms, timeout_ms;
    uint64_t wanted_ms;   /* when somebody last wanted to know */
    uint64_t ask_ms;      /* not before */
    uint64_t answered_ms; /* with `answer` */
    bool outdated;        /* what is under way was asked for what is over */
    struct approval_answer answer;
    struct errand errand; /* the thread's */
};

/* NULL without memory. */
struct question *question_new(struct notify_context *context, const char *route, const char *stage,
                              const struct config_gate_webhook *webhook);
void question_free(struct question *question);
bool question_is(const struct question *question, const char *route, const char *stage,
                 const struct config_gate_webhook *webhook);

/* Somebody wants to know: the answer as far as it still counts. True when the thread has to be woken. */
bool question_want(struct question *question, const struct config_gate_webhook *webhook,
                   struct approval_answer *answer);
/* Who asks from now on asks anew. */
void question_forget(struct question *question);
/* Asks if it is time and somebody wants to know. */
void question_work(struct question *question);
/* When question_work() has something to do, if not before; UINT64_MAX: not until somebody wants to know. */
uint64_t question_due_ms(const struct question *question);
/* Nobody has wanted to know for a long time. */
bool question_is_over(const struct question *question);

#endif
