/*
 * The mirror's breaker and its rate: see mirror_breaker.h. Worker thread, called by mirror.c. Copies that were under
 * way when the breaker opened say nothing any more: only the probe does.
 */
#include "proxy/mirror_breaker.h"

enum {
    MOST_DOUBLINGS = 5
}; /* 32 times the cool-down */

#define SECOND_NS UINT64_C(1000000000)

static void set_open(struct copy_state *state, uint64_t open)
{
    __atomic_store_n(&state->open, open, __ATOMIC_RELAXED);
}

bool mirror_breaker_allows(const struct copy_state *state, const struct config_shadow_breaker *config, uint64_t now_ms)
{
    return !config->enabled || state->open == 0 || (state->probing == 0 && now_ms >= state->probe_at_ms);
}

bool mirror_breaker_enter(struct copy_state *state, const struct config_shadow_breaker *config)
{
    if (state->open == 0)
        return false;
    if (!config->enabled) { /* it was switched off while it was open */
        set_open(state, 0);
        state->probing = state->trips = state->failures = 0;
        return false;
    }
    state->probing = 1;
    return true;
}

static void trip(struct copy_state *state, const struct config_shadow_breaker *config, uint64_t now_ms, uint64_t random)
{
    uint64_t doublings = state->trips < MOST_DOUBLINGS ? state->trips : MOST_DOUBLINGS;
    uint64_t cooldown_ms = config->cooldown_ms << doublings;
    uint64_t spread = cooldown_ms / 5 * 2 + 1;
    state->trips++;
    state->failures = 0;
    state->probing = 0;
    state->probe_at_ms = now_ms + cooldown_ms - cooldown_ms / 5 + random % spread;
    set_open(state, 1);
}

static void close_again(struct copy_state *state)
{
    state->failures = state->trips = state->probing = 0;
    set_open(state, 0);
}

void mirror_breaker_report(struct copy_state *state, const struct config_shadow_breaker *config, bool probe,
                           enum copy_result result, uint64_t now_ms, uint64_t random)
{
    if (!config->enabled || (state->open != 0) != probe)
        return;
    switch (result) {
    case COPY_ANSWERED:
        if (probe)
            close_again(state);
        state->failures = 0;
        break;
    case COPY_FAILED:
        state->failures++;
        if (probe || state->failures >= config->consecutive_failures)
            trip(state, config, now_ms, random);
        break;
    case COPY_UNKNOWN:
        if (probe)
            state->probing = 0; /* it said nothing: another may try */
        break;
    }
}

/* The generic cell rate algorithm (ITU-T I.371, annex A): *due_ns is when the next copy would be due at an even pace.
 */
bool mirror_rate_allows(uint64_t *due_ns, uint32_t per_second, uint64_t now_us)
{
    if (per_second == 0)
        return true;
    uint64_t now_ns = now_us * 1000, pace_ns = SECOND_NS / per_second;
    uint64_t due = *due_ns > now_ns ? *due_ns : now_ns;
    if (due + pace_ns > now_ns + SECOND_NS)
        return false;
    *due_ns = due + pace_ns;
    return true;
}
