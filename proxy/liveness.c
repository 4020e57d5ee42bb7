/*
 * Whether loops turn: see liveness.h. Pure: counts and a clock value in, an answer out. Control looks, see
 * control_liveness.c.
 */
#include "proxy/liveness.h"

enum {
    STEP_MOST_MS = 1000
};

void liveness_look(struct liveness *loop, uint64_t rounds, uint64_t now_ms)
{
    uint64_t step_ms = now_ms > loop->looked_ms ? now_ms - loop->looked_ms : 0;
    bool turned = rounds != loop->rounds || loop->looked_ms == 0;
    loop->still_ms = turned ? 0 : loop->still_ms + (step_ms < STEP_MOST_MS ? step_ms : STEP_MOST_MS);
    loop->rounds = rounds;
    loop->looked_ms = now_ms;
}

bool liveness_hangs(const struct liveness *loop)
{
    return loop->still_ms >= LIVENESS_HANGS_MS;
}
