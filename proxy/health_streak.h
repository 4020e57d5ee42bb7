/*
 * When an address counts as down or up again, and when it is asked next. Pure: no clock, no chance of its own.
 */
#ifndef SHUNT_PROXY_HEALTH_STREAK_H
#define SHUNT_PROXY_HEALTH_STREAK_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

/* Zeroed: never checked, and so healthy. */
struct health_streak {
    uint32_t failures, successes; /* in a row; of the kind that would turn the verdict */
    bool down;
};

/* One more check has ended. True: the verdict has turned, as `down` says. */
bool health_streak_note(struct health_streak *streak, const struct config_health *health, bool success);

/* From the beginning of one check to that of the next: the interval, up to a tenth more or less, so that many proxies
 * do not ask at the same moment for long. `random`: 64 bits of chance. */
uint64_t health_wait_ms(uint64_t interval_ms, uint64_t random);

#endif
