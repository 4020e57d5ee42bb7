/*
 * The phases of draining: see drain.h. Pure: facts and a clock value in, an answer out. Workers act on it in
 * worker_drain.c, control in control_drain.c.
 */
#include "proxy/drain.h"

enum drain_phase drain_phase(const struct drain *drain, uint64_t now_ms)
{
    uint64_t since_ms = now_ms > drain->began_ms ? now_ms - drain->began_ms : 0;
    if (!drain->begun)
        return DRAIN_NONE;
    if (drain->ends && now_ms >= drain->until_ms)
        return DRAIN_OVER;
    if (since_ms >= drain->min_ms)
        return drain->ends ? DRAIN_ENDING : DRAIN_CLOSING;
    return since_ms * 2 >= drain->min_ms ? DRAIN_LEAVING : DRAIN_SERVING;
}

const char *drain_phase_name(enum drain_phase phase)
{
    static const char *const names[] = {
        [DRAIN_NONE] = "none",       [DRAIN_SERVING] = "serving", [DRAIN_LEAVING] = "leaving",
        [DRAIN_CLOSING] = "closing", [DRAIN_ENDING] = "ending",   [DRAIN_OVER] = "ending",
    };
    return names[phase];
}
