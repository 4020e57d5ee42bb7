/*
 * Sending recorded requests to two sides at a bounded rate, and handing each finished pair to the judge.
 */
#ifndef SHUNT_SHUNTCTL_COMPARE_RUN_H
#define SHUNT_SHUNTCTL_COMPARE_RUN_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "shadow/pair.h"
#include "tools/shuntctl/compare_input.h"

struct run_side {
    const char *url; /* as given, without a slash at the end */
    uint64_t failed; /* requests without a whole answer */
    char fault[128]; /* of the first of them; "" none */
};

struct run {
    const struct config_route *route; /* borrowed, for the pairs */
    const struct recording *recording;
    const bool *wanted; /* for each: may it be sent? */
    struct run_side side[SIDES];
    const char *const *headers; /* "Name: value" instead of what was recorded; "Name:" drops it */
    size_t header_count;
    uint64_t rate, timeout_ms;
    unsigned concurrency;
    double noise;
    bool insecure;
    const volatile sig_atomic_t *stop; /* not 0: send no more, give up what is under way */

    /* A finished pair; kinds cross and noise. Borrowed for the call. */
    void (*judge)(void *context, const struct pair *pair);
    /* Now and then. */
    void (*progress)(void *context, size_t done);
    void *context;
};

/* False with a sentence in *error (static) when it could not begin. */
bool run_requests(struct run *run, const char **error);

#endif
