/*
 * Do the loops of the workers turn? Judged from how many rounds each has counted: a loop that is in order counts
 * several a second, since its tick comes at least every 250 ms whatever there is to do.
 */
#ifndef SHUNT_PROXY_LIVENESS_H
#define SHUNT_PROXY_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    LIVENESS_HANGS_MS = 10000, /* no callback takes so long, on a machine however busy */
};

struct liveness { /* of one loop; zeroed: not looked at yet */
    uint64_t rounds, looked_ms;
    uint64_t still_ms; /* it has not turned for so long while somebody looked */
};

/* Called again and again, several times a second. Of the time between two calls only the first second counts: when
 * nobody could look (the process was stopped, the machine slept), the loop could not turn either. */
void liveness_look(struct liveness *loop, uint64_t rounds, uint64_t now_ms);
bool liveness_hangs(const struct liveness *loop);

#endif
