/*
 * Judges the new side's last exchanges every tick, and walks the breaker through its states. Fed with sums over the
 * workers by control; opens nothing, logs nothing. The workers see its state in the next view.
 *
 * What trips it (each only where the file names it):
 *   error rate            new above the limit, unless legacy in the same window is above it, too: nothing to gain then
 *   error rate increase   new above legacy by more than the limit, and surely above it: the 95 % interval of the
 *                         difference (Newcombe) does not reach down to 0, so that one unlucky error is not a trip
 *   consecutive errors    in one worker, or in all of them together
 *   p95 ratio             new's 95th percentile over legacy's
 */
#include "router/breaker.h"

#include <stdio.h>

#include "router/interval.h"

#define INCREASE_CONFIDENCE 0.95

enum {
    HEALTHY_WINDOWS = 10,
    COOLDOWN_MAX_MS = 60 * 60 * 1000,
    RENEW_MIN_MS = 1000,
};

static const char *const state_names[] = {
    [BREAKER_CLOSED] = "closed",
    [BREAKER_OPEN] = "open",
    [BREAKER_HALF_OPEN] = "half_open",
};

const char *breaker_state_name(enum breaker_state state)
{
    return (unsigned)state < sizeof(state_names) / sizeof(state_names[0]) ? state_names[state] : "unknown";
}

uint64_t breaker_cooldown_ms(const struct config_breaker *limits, uint32_t trips)
{
    uint64_t most = limits->cooldown_ms > COOLDOWN_MAX_MS ? limits->cooldown_ms : COOLDOWN_MAX_MS;
    uint64_t cooldown = limits->cooldown_ms;
    for (uint32_t i = 1; i < trips && cooldown > 0 && cooldown < most; i++)
        cooldown *= 2;
    return cooldown < most ? cooldown : most;
}

/* ---- the one door ---- */

static void enter(struct breaker *breaker, enum breaker_state state, uint64_t now_ms)
{
    breaker->state = state;
    breaker->since_ms = now_ms;
    breaker->epoch++;
    breaker->run = 0;
    if (state == BREAKER_CLOSED)
        window_clear(&breaker->window, now_ms); /* what failed before is paid for */
}

/* ---- judging ---- */

static bool crosses(double rate, double limit)
{
    return rate > limit || rate >= 1;
}

static bool watches(double limit)
{
    return limit >= 0;
}

static bool is_over_error_rate(struct breaker *breaker, const struct config_breaker *limits)
{
    const struct window *window = &breaker->window;
    const struct window_counts *total = window->total;
    double rate = window_error_rate(window, SIDE_NEW);
    if (!watches(limits->error_rate) || total[SIDE_NEW].judged == 0 || total[SIDE_NEW].judged < limits->min_requests ||
        !crosses(rate, limits->error_rate))
        return false;
    if (total[SIDE_LEGACY].judged > 0 && total[SIDE_LEGACY].judged >= limits->min_requests &&
        crosses(window_error_rate(window, SIDE_LEGACY), limits->error_rate))
        return false;
    (void)snprintf(breaker->why, sizeof(breaker->why), "error rate of new is %.2f %% of %llu requests, limit %.2f %%",
                   rate * 100, (unsigned long long)total[SIDE_NEW].judged, limits->error_rate * 100);
    return true;
}

static bool has_enough_of_both(const struct breaker *breaker, const struct config_breaker *limits)
{
    const struct window_counts *total = breaker->window.total;
    return total[SIDE_NEW].judged > 0 && total[SIDE_LEGACY].judged > 0 &&
           total[SIDE_NEW].judged >= limits->min_requests && total[SIDE_LEGACY].judged >= limits->min_requests;
}

static bool is_over_increase(struct breaker *breaker, const struct config_breaker *limits)
{
    const struct window *window = &breaker->window;
    const struct window_counts *total = window->total;
    if (!watches(limits->error_rate_increase) || !has_enough_of_both(breaker, limits))
        return false;
    double new_rate = window_error_rate(window, SIDE_NEW);
    double legacy_rate = window_error_rate(window, SIDE_LEGACY);
    if (new_rate - legacy_rate <= limits->error_rate_increase)
        return false;
    struct interval increase =
        interval_of_difference(total[SIDE_NEW].errors, total[SIDE_NEW].judged, total[SIDE_LEGACY].errors,
                               total[SIDE_LEGACY].judged, INCREASE_CONFIDENCE);
    if (increase.low <= 0)
        return false;
    (void)snprintf(breaker->why, sizeof(breaker->why),
                   "error rate of new is %.2f %%, of legacy %.2f %%: the increase is above the limit of %.2f %%",
                   new_rate * 100, legacy_rate * 100, limits->error_rate_increase * 100);
    return true;
}

/* A millisecond: twice next to nothing is next to nothing, and on an idle machine measures the scheduler. */
enum { P95_LEAST_US = 1000 };

static bool is_over_p95(struct breaker *breaker, const struct config_breaker *limits)
{
    if (!watches(limits->p95_ratio) || !has_enough_of_both(breaker, limits))
        return false;
    double new_p95 = window_p95(&breaker->window, SIDE_NEW);
    double legacy_p95 = window_p95(&breaker->window, SIDE_LEGACY);
    if (legacy_p95 <= 0 || new_p95 <= legacy_p95 * limits->p95_ratio || new_p95 < legacy_p95 + P95_LEAST_US)
        return false;
    (void)snprintf(breaker->why, sizeof(breaker->why),
                   "p95 of new is %.1f ms, of legacy %.1f ms: %.2f times, limit %.2f times", new_p95 / 1000,
                   legacy_p95 / 1000, new_p95 / legacy_p95, limits->p95_ratio);
    return true;
}

static bool is_over_consecutive(struct breaker *breaker, const struct config_breaker *limits)
{
    if (limits->consecutive_errors == 0 || (!breaker->ran_over && breaker->run < limits->consecutive_errors))
        return false;
    (void)snprintf(breaker->why, sizeof(breaker->why), "%u errors of new in a row", limits->consecutive_errors);
    return true;
}

/* Between two looks without a success, every error continues the run, whichever worker had it. */
static void follow_run(struct breaker *breaker, const struct side_counters *now)
{
    breaker->ran_over = now->error_runs_over != breaker->runs_over;
    breaker->runs_over = now->error_runs_over;
    const struct window_counts *last = &breaker->window.last[SIDE_NEW];
    uint64_t judged = now->judged - last->judged;
    uint64_t errors = now->errors - last->errors;
    breaker->run = judged > errors ? 0 : breaker->run + errors;
}

static bool is_over_a_limit(struct breaker *breaker, const struct config_breaker *limits, bool with_latency)
{
    return is_over_consecutive(breaker, limits) || is_over_error_rate(breaker, limits) ||
           is_over_increase(breaker, limits) || (with_latency && is_over_p95(breaker, limits));
}

/* ---- states ---- */

static enum breaker_change trip(struct breaker *breaker, const struct config_breaker *limits, uint64_t now_ms)
{
    breaker->trips++;
    breaker->half_open_at_ms = now_ms + breaker_cooldown_ms(limits, breaker->trips);
    enter(breaker, BREAKER_OPEN, now_ms);
    return BREAKER_TRIPPED;
}

static enum breaker_change tick_closed(struct breaker *breaker, const struct config_breaker *limits, bool news,
                                       bool with_latency, uint64_t now_ms)
{
    if (news && is_over_a_limit(breaker, limits, with_latency))
        return trip(breaker, limits, now_ms);
    if (breaker->trips > 0 && now_ms - breaker->since_ms >= HEALTHY_WINDOWS * limits->window_ms) {
        breaker->trips = 0;
        (void)snprintf(breaker->why, sizeof(breaker->why), "healthy for %d windows", (int)HEALTHY_WINDOWS);
        return BREAKER_FORGAVE;
    }
    return BREAKER_UNCHANGED;
}

static void renew_permits(struct breaker *breaker, const struct config_breaker *limits, uint64_t now_ms)
{
    uint64_t patience_ms = limits->cooldown_ms > RENEW_MIN_MS ? limits->cooldown_ms : RENEW_MIN_MS;
    breaker->renew_at_ms = now_ms + patience_ms;
}

static enum breaker_change tick_open(struct breaker *breaker, const struct config_breaker *limits, uint64_t now_ms)
{
    if (now_ms < breaker->half_open_at_ms)
        return BREAKER_UNCHANGED;
    (void)snprintf(breaker->why, sizeof(breaker->why), "cooldown over: %u trial requests decide",
                   limits->trial_requests);
    renew_permits(breaker, limits, now_ms);
    enter(breaker, BREAKER_HALF_OPEN, now_ms);
    return BREAKER_HALF_OPENED;
}

static enum breaker_change tick_half_open(struct breaker *breaker, const struct config_breaker *limits,
                                          const struct trial_totals *trials, uint64_t now_ms)
{
    if (trials->failed > 0) {
        (void)snprintf(breaker->why, sizeof(breaker->why), "a trial request failed");
        return trip(breaker, limits, now_ms);
    }
    if (trials->succeeded >= limits->trial_requests) {
        (void)snprintf(breaker->why, sizeof(breaker->why), "%llu trial requests succeeded",
                       (unsigned long long)trials->succeeded);
        enter(breaker, BREAKER_CLOSED, now_ms);
        return BREAKER_RECOVERED;
    }
    if (now_ms >= breaker->renew_at_ms && trials->most_taken >= limits->trial_requests) {
        renew_permits(breaker, limits, now_ms);
        breaker->epoch++;
        return BREAKER_RENEWED;
    }
    return BREAKER_UNCHANGED;
}

enum breaker_change breaker_tick(struct breaker *breaker, const struct config_breaker *limits,
                                 const struct route_counters *sum, bool with_latency, const struct trial_totals *trials,
                                 uint64_t now_ms)
{
    if (sum != NULL)
        follow_run(breaker, &sum->side[SIDE_NEW]);
    window_update(&breaker->window, sum, with_latency, now_ms);
    if (!limits->enabled)
        return BREAKER_UNCHANGED;
    switch (breaker->state) {
    case BREAKER_CLOSED:
        return tick_closed(breaker, limits, sum != NULL, with_latency, now_ms);
    case BREAKER_OPEN:
        return tick_open(breaker, limits, now_ms);
    case BREAKER_HALF_OPEN:
        return tick_half_open(breaker, limits, trials, now_ms);
    }
    return BREAKER_UNCHANGED;
}

/* ---- from outside ---- */

bool breaker_reserve(struct breaker *breaker, const struct config_breaker *limits)
{
    return window_reserve(&breaker->window, limits->enabled && watches(limits->p95_ratio));
}

bool breaker_configure(struct breaker *breaker, const struct config_breaker *limits, const struct route_counters *sum,
                       uint64_t now_ms)
{
    bool had_latency = breaker->window.latency != NULL;
    uint64_t had_bucket_ms = breaker->window.bucket_ms;
    window_init(&breaker->window, limits->window_ms, limits->enabled && watches(limits->p95_ratio));
    if (had_bucket_ms != breaker->window.bucket_ms || had_latency != (breaker->window.latency != NULL))
        window_restart(&breaker->window, sum, now_ms);
    if (limits->enabled || breaker->state == BREAKER_CLOSED)
        return false;
    breaker_reset(breaker, "the breaker was switched off in the file", now_ms);
    return true;
}

void breaker_done(struct breaker *breaker)
{
    window_done(&breaker->window);
}

void breaker_reset(struct breaker *breaker, const char *why, uint64_t now_ms)
{
    (void)snprintf(breaker->why, sizeof(breaker->why), "%s", why);
    breaker->trips = 0;
    enter(breaker, BREAKER_CLOSED, now_ms);
}

void breaker_reopen(struct breaker *breaker, uint32_t trips, uint64_t cooldown_left_ms, uint64_t now_ms)
{
    (void)snprintf(breaker->why, sizeof(breaker->why), "open before the restart");
    breaker->trips = trips;
    breaker->half_open_at_ms = now_ms + cooldown_left_ms;
    enter(breaker, BREAKER_OPEN, now_ms);
}
