/*
 * The bounded queue between those who log and the log thread, in blocks of whole lines. Internal to log.c and
 * access_log.c.
 */
#ifndef SHUNT_PROXY_LOG_QUEUE_H
#define SHUNT_PROXY_LOG_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct log;

enum {
    LOG_QUEUE_BYTES = 4 * 1024 * 1024,          /* of memory that blocks on their way may take */
    LOG_ACCESS_BYTES = LOG_QUEUE_BYTES / 4 * 3, /* access lines leave room for events */
    LOG_BLOCK_BYTES = 16 * 1024,                /* of text in a block of access lines */
    LOG_SPARE_BLOCKS = 4,                       /* empty blocks kept for the next taker */
};

struct log_block {
    struct log_block *next; /* in the queue or among the spare ones */
    uint32_t room, used;    /* of text */
    uint32_t lines;
    char text[];
};

/* An empty block of LOG_BLOCK_BYTES, or NULL without memory. Any thread. */
struct log_block *log_take_block(struct log *log);
/* Queues it, which the log thread then owns. False: there is no room, it is still the caller's. Any thread. */
bool log_hand_over(struct log *log, struct log_block *block, uint32_t bound);
/* Would log_hand_over() of a block from log_take_block() fail? No lock. */
bool log_is_behind(const struct log *log, uint32_t bound);

#endif
