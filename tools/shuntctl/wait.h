/*
 * Asking again and again until an answer is good enough or the time is over. A shunt that restarts meanwhile, and is
 * therefore away, is waited for as well.
 */
#ifndef SHUNT_SHUNTCTL_WAIT_H
#define SHUNT_SHUNTCTL_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "tools/shuntctl/command.h"

struct wait {
    const char *path;
    const char *member; /* what every answer has, see api_ask() */
    uint64_t most_ms;   /* 0: one question */
    bool for_ever;      /* most_ms does not count; but a shunt that was never there is not waited for */
    void *context;
    /* Is this answer the last one? May change it. */
    bool (*is_enough)(void *context, struct ctl *ctl, json_t *answer);
    /* What is waited for, in a few words, for a terminal. */
    const char *(*progress)(void *context, const json_t *answer);
};

/*
 * EXIT_DONE: *answer is the last one, enough or not; a new reference. Otherwise the code of api_ask(), and *complaint
 * (malloc'd, may be NULL) has what it said.
 */
int wait_for(struct ctl *ctl, const struct wait *wait, json_t **answer, char **complaint);

uint64_t wait_clock_ms(void);
void wait_sleep_ms(uint64_t ms);

#endif
