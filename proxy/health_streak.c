/*
 * Thresholds and jitter of active checks: see health_streak.h. Called by health.c on worker 0.
 */
#include "proxy/health_streak.h"

/* How far from the interval the wait may be: a tenth of it. */
enum {
    JITTER_PART = 10
};

static bool turn(struct health_streak *streak, bool down)
{
    *streak = (struct health_streak){.down = down};
    return true;
}

bool health_streak_note(struct health_streak *streak, const struct config_health *health, bool success)
{
    if (success) {
        streak->failures = 0;
        return streak->down && ++streak->successes >= health->healthy_after && turn(streak, false);
    }
    streak->successes = 0;
    return !streak->down && ++streak->failures >= health->unhealthy_after && turn(streak, true);
}

uint64_t health_wait_ms(uint64_t interval_ms, uint64_t random)
{
    uint64_t jitter_ms = interval_ms / JITTER_PART;
    return interval_ms - jitter_ms + random % (2 * jitter_ms + 1);
}
