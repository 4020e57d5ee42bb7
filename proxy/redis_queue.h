/*
 * The questions nobody has answered yet, as the commands they become. Bounded in number and bytes.
 */
#ifndef SHUNT_PROXY_REDIS_QUEUE_H
#define SHUNT_PROXY_REDIS_QUEUE_H

#include "proxy/redis.h"

enum {
    REDIS_SHA_ROOM = 41
};

struct redis_asked {
    struct redis_asked *next;
    struct redis *owner; /* borrowed */
    int count;           /* of words */
    const char **words;  /* owned, with what they point to in `text`: EVALSHA or EVAL, SHA1 or script, how many keys,
                            keys, arguments */
    char *text;
    size_t size;       /* of all that */
    uint64_t due_ms;   /* then it is over */
    uint64_t again_ms; /* not before; 0: now */
    uint64_t sent_us;
    bool is_sent;
    bool is_aside;          /* goes where ASK has told, this once */
    unsigned hops;          /* how often it was sent aside */
    enum redis_fault fault; /* what it waits for, should it wait too long; NONE: an answer */
    const char *why;        /* static */
    void (*answered)(void *context, uint64_t ticket, const struct redis_answer *answer);
    void *context;
    uint64_t ticket;
};

struct redis_queue {
    struct redis_asked *first;
    unsigned count;
    size_t size;
    const char *script; /* borrowed */
    char sha[REDIS_SHA_ROOM];
};

/* False without memory. */
bool redis_queue_init(struct redis_queue *queue, const char *script);
/* Everything is copied. NULL: there are too many, or there is no memory. */
struct redis_asked *redis_queue_add(struct redis_queue *queue, const struct redis_question *question);
/* From now on it is sent with the whole script. False: it was already. */
bool redis_queue_send_whole(struct redis_queue *queue, struct redis_asked *asked);
/* Takes it out, tells it, frees it. The last one out may ask the next. */
void redis_queue_answer(struct redis_queue *queue, struct redis_asked *asked, const struct redis_answer *answer);
/* The same with all that are there now. */
void redis_queue_answer_all(struct redis_queue *queue, const struct redis_answer *answer);

#endif
