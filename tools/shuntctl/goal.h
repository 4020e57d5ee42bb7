/*
 * What `status --wait` waits for, and whether a route is there, may still get there, or does not any more.
 */
#ifndef SHUNT_SHUNTCTL_GOAL_H
#define SHUNT_SHUNTCTL_GOAL_H

#include <stddef.h>

#include <jansson.h>

enum goal_kind {
    GOAL_STAGE,
    GOAL_PHASE,
    GOAL_BREAKER,
    GOAL_HEALTHY
};

struct goal {
    enum goal_kind kind;
    const char *word; /* borrowed: the stage, phase or state of the breaker that is wanted */
};

enum goal_answer {
    GOAL_REACHED,
    GOAL_NOT_YET,
    GOAL_LOST,   /* only a person could still bring it there */
    GOAL_UNKNOWN /* the route has no such stage */
};

/* What is neither a phase nor another known word is the name of a stage; so is all behind "stage:". */
struct goal goal_of(const char *text);

/* `route` is an element of status.routes. *sentence says why it is lost or unknown; "" otherwise. */
enum goal_answer goal_judge(const struct goal *goal, const json_t *route, char *sentence, size_t room);

#endif
