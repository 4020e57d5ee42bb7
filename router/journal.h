/*
 * The journal: every change of state, numbered, told to the hook and the newest of them kept for `history`.
 */
#ifndef SHUNT_ROUTER_JOURNAL_H
#define SHUNT_ROUTER_JOURNAL_H

#include "router/router.h"

enum {
    JOURNAL_KEEPS = 200
};

struct journal {
    void *context;
    void (*on_event)(void *context, const struct router_event *event);
    uint64_t sequence; /* of the newest event; 0: none yet */
    json_t *newest;    /* owned array, oldest first */
};

bool journal_init(struct journal *journal, const struct router_hooks *hooks);
void journal_done(struct journal *journal);

/* Numbers the event, whose sequence is ignored, and takes its JSON over. NULL there stands for "nothing" (and for JSON
 * that found no memory: the event is told all the same). */
void journal_tell(struct journal *journal, const struct router_event *event);

/* The kept events of one route, or all of them; new reference, NULL without memory. */
json_t *journal_list(const struct journal *journal, const char *route);

/* Is this an array journal_list() could have made? */
bool journal_is_valid(const json_t *events);
/* Starts from what was saved. False without memory. */
bool journal_load(struct journal *journal, uint64_t sequence, const json_t *events);

#endif
