/*
 * Draining: how a process leaves its clients without failing one of them. What phase holds when, for control and
 * workers alike.
 */
#ifndef SHUNT_PROXY_DRAIN_H
#define SHUNT_PROXY_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

/*
 *   NONE --begun--> SERVING --half of min--> LEAVING --min--> CLOSING --a signal has asked--> ENDING --until--> OVER
 *     ^                |                        |                |
 *     +----------------+-------- taken back ----+----------------+      (not once a signal has asked for the end)
 *
 * Time and struct drain alone decide: drain_phase() takes each arrow. With min 0 the first phases take no time.
 */
enum drain_phase {
    DRAIN_NONE = 0,
    DRAIN_SERVING, /* not ready; else as ever: who sends us clients has to notice first */
    DRAIN_LEAVING, /* clients are told to leave, none is sent away: new connections are taken, idle ones stay */
    DRAIN_CLOSING, /* idle connections are closed, the others after their exchange; new ones are still taken */
    DRAIN_ENDING,  /* listeners are closed; the process ends when nothing of a client's is in flight */
    DRAIN_OVER,    /* what is left is broken off */
};

struct drain { /* zeroed: not draining */
    bool begun;
    bool ends;         /* a signal has asked for the end: it cannot be taken back */
    uint64_t began_ms; /* monotonic */
    uint64_t min_ms;
    uint64_t until_ms; /* with `ends`; monotonic, and may be before the minimum is over */
};

enum drain_phase drain_phase(const struct drain *drain, uint64_t now_ms);
/* "serving", "leaving", ...; for OVER, which nobody sees, "ending". */
const char *drain_phase_name(enum drain_phase phase);

#endif
