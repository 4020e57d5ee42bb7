/*
 * Judges the new side's last exchanges every tick, and walks the breaker through its states. Fed with sums over the
 * workers by control; opens nothing, logs nothing. The workers see its state in the next view.
 *
 * What trips it (each only where the file names it):
 *   consecutive errors    in one worker, or in all of them together
 *   error rate            new above the limit
 *   error rate increase   new above legacy by more than the limit
 *   slow calls            so many of new's exchanges were slow
 *   p95 ratio             new's 95th percentile over legacy's
 *
 * And what must hold for each of them:
 *   It is not bad luck (router/chance.h). The whole window must be above the limit, and by more than chance could do to
 *   a backend with half the limit; or its newest part surely above the limit itself, so that an outage need not first
 *   outweigh a minute of good answers. A limit is thus crossed as soon as the file says where there is traffic, and
 *   later where there are only a few requests to tell by.
 *   Legacy does not do the same over the same time: then it is not new's fault, and nothing is gained by going back.
 *   It does not come from a few clients or paths: min_distinct_keys, or as many as there are.
 */
#include "router/breaker.h"

#include <math.h>
#include <stdio.h>

#include "router/chance.h"

/*
 * How unlikely bad luck must be, for one look: with forty looks a second, of which those a window apart are nearly
 * independent, it makes one false alarm in centuries of a backend that is always at half its limits.
 */
#define CHANCE 1e-8
/* Legacy does the same unless it is as unlikely as this that it only was luckier; errors in a row come less often. */
#define CHANCE_ALIKE        1e-6
#define CHANCE_ALIKE_IN_ROW 1e-5
/* A cooldown is longer by up to this part of it. */
#define JITTER 0.2

enum {
    PATIENCE = 3, /* a run of errors waits for legacy's word until it is so many times too long */
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

uint64_t breaker_healthy_ms(const struct config_breaker *limits)
{
    return HEALTHY_WINDOWS * limits->window_ms;
}

/* ---- the one door ---- */

static void enter(struct breaker *breaker, enum breaker_state state, uint64_t now_ms)
{
    breaker->state = state;
    breaker->since_ms = now_ms;
    breaker->epoch++;
    breaker->run = 0;
    breaker->ramping = false;
    breaker->state_legacy = (struct window_counts){0};
    if (state == BREAKER_CLOSED)
        window_clear(&breaker->window, now_ms); /* what failed before is paid for */
}

/* ---- judging ---- */

static bool watches(double limit)
{
    return limit >= 0;
}

static bool watches_slow(const struct config_breaker *limits)
{
    return limits->slow_call_ms > 0 && watches(limits->slow_call_rate);
}

/* Things that happened to exchanges of both sides over the same time. */
struct sample {
    uint64_t events[SIDES];
    uint64_t judged[SIDES];
};

static double rate_of(const struct sample *sample, enum side side)
{
    uint64_t judged = sample->judged[side];
    uint64_t events = sample->events[side];
    return judged == 0 ? 0 : events >= judged ? 1 : (double)events / (double)judged;
}

static double chance_of_increase(const struct sample *sample)
{
    return chance_of_difference(sample->events[SIDE_NEW], sample->judged[SIDE_NEW], sample->events[SIDE_LEGACY],
                                sample->judged[SIDE_LEGACY]);
}

/* What a rule looks at: its own events, in parts of the window that begin at now and go back so many buckets. */
struct part {
    struct sample sample;
    bool whole;
    bool can_compare; /* legacy has enough in the window to tell whether it does the same */
};

static const uint32_t parts[] = {2, 3, 5, 8, 13, WINDOW_BUCKETS};

static uint64_t errors_of(const struct window_counts *counts)
{
    return counts->errors;
}

static uint64_t slow_of(const struct window_counts *counts)
{
    return counts->slow;
}

static bool is_enough(const struct window_counts *counts, const struct config_breaker *limits)
{
    return counts->judged > 0 && counts->judged >= limits->min_requests;
}

static bool has_enough(const struct breaker *breaker, const struct config_breaker *limits, enum side side)
{
    return is_enough(&breaker->window.total[side], limits);
}

/* Where legacy has few requests to tell by, it takes a rate above the limit to speak for new. */
static bool does_legacy_the_same(const struct part *part, double limit)
{
    if (chance_of_increase(&part->sample) <= CHANCE_ALIKE)
        return false;
    return part->can_compare || rate_of(&part->sample, SIDE_LEGACY) > limit;
}

static bool is_rate_over(const struct part *part, double limit)
{
    const struct sample *sample = &part->sample;
    double rate = rate_of(sample, SIDE_NEW);
    if (rate <= limit && rate < 1)
        return false;
    double innocent = part->whole ? limit / 2 : limit;
    return chance_of_rate(sample->events[SIDE_NEW], sample->judged[SIDE_NEW], innocent) <= CHANCE &&
           !does_legacy_the_same(part, limit);
}

/* Legacy is lent as many errors as may be added to it: what is left is new's own. */
static bool is_increase_over(const struct part *part, double limit)
{
    struct sample lent = part->sample;
    if (!part->can_compare || rate_of(&lent, SIDE_NEW) - rate_of(&lent, SIDE_LEGACY) <= limit)
        return false;
    double innocent = part->whole ? limit / 2 : limit;
    lent.events[SIDE_LEGACY] += (uint64_t)ceil(innocent * (double)lent.judged[SIDE_LEGACY]);
    return chance_of_increase(&lent) <= CHANCE;
}

static double error_rate_limit(const struct config_breaker *limits)
{
    return limits->error_rate;
}

static double increase_limit(const struct config_breaker *limits)
{
    return limits->error_rate_increase;
}

static double slow_limit(const struct config_breaker *limits)
{
    return watches_slow(limits) ? limits->slow_call_rate : RATE_UNSET;
}

static void say_error_rate(const struct sample *sample, const struct config_breaker *limits, char *why, size_t room)
{
    (void)snprintf(why, room, "error rate of new is %.2f %% of %llu requests, limit %.2f %%",
                   rate_of(sample, SIDE_NEW) * 100, (unsigned long long)sample->judged[SIDE_NEW],
                   limits->error_rate * 100);
}

static void say_increase(const struct sample *sample, const struct config_breaker *limits, char *why, size_t room)
{
    (void)snprintf(
        why, room, "error rate of new is %.2f %%, of legacy %.2f %%: the increase is above the limit of %.2f %%",
        rate_of(sample, SIDE_NEW) * 100, rate_of(sample, SIDE_LEGACY) * 100, limits->error_rate_increase * 100);
}

static void say_slow(const struct sample *sample, const struct config_breaker *limits, char *why, size_t room)
{
    (void)snprintf(why, room, "%.2f %% of %llu requests of new took %llu ms or longer, limit %.2f %%",
                   rate_of(sample, SIDE_NEW) * 100, (unsigned long long)sample->judged[SIDE_NEW],
                   (unsigned long long)limits->slow_call_ms, limits->slow_call_rate * 100);
}

/* What is judged by how often it happens. */
static const struct rate_rule {
    double (*limit)(const struct config_breaker *limits); /* below 0: not watched */
    uint64_t (*events)(const struct window_counts *counts);
    bool (*is_over)(const struct part *part, double limit);
    bool (*are_spread)(const struct marks *marks, uint32_t least);
    void (*say)(const struct sample *sample, const struct config_breaker *limits, char *why, size_t room);
} rate_rules[] = {
    {error_rate_limit, errors_of, is_rate_over, marks_are_spread, say_error_rate},
    {increase_limit, errors_of, is_increase_over, marks_are_spread, say_increase},
    {slow_limit, slow_of, is_rate_over, marks_slow_are_spread, say_slow},
};

enum {
    RATE_RULES = sizeof(rate_rules) / sizeof(rate_rules[0])
};

static void add_to_part(struct part *part, const struct rate_rule *rule, const struct window_counts counts[SIDES])
{
    for (int side = 0; side < SIDES; side++) {
        part->sample.events[side] += rule->events(&counts[side]);
        part->sample.judged[side] += counts[side].judged;
    }
}

/* The part of the window that is over the limit goes to *found. */
static bool find_part(const struct breaker *breaker, const struct config_breaker *limits, const struct rate_rule *rule,
                      struct part *found)
{
    const struct window *window = &breaker->window;
    double limit = rule->limit(limits);
    uint32_t next = 0;
    if (!watches(limit) || !has_enough(breaker, limits, SIDE_NEW))
        return false;
    if (rule->events(&window->total[SIDE_NEW]) == 0)
        return false; /* nor has any part of it one: so it is nearly always, and asked forty times a second */
    *found = (struct part){.can_compare = has_enough(breaker, limits, SIDE_LEGACY)};
    for (uint32_t age = 0; age < WINDOW_BUCKETS; age++) {
        add_to_part(found, rule, window->bucket[(window->head + WINDOW_BUCKETS - age) % WINDOW_BUCKETS]);
        if (age + 1 < parts[next])
            continue;
        next++;
        found->whole = age + 1 == WINDOW_BUCKETS;
        if (rule->is_over(found, limit))
            return true;
    }
    return false;
}

static bool are_errors_spread(const struct breaker *breaker, const struct config_breaker *limits)
{
    struct marks marks;
    window_marks(&breaker->window, &marks);
    return marks_are_spread(&marks, limits->min_distinct_keys);
}

static bool are_slow_ones_spread(const struct breaker *breaker, const struct config_breaker *limits)
{
    struct marks marks;
    window_marks(&breaker->window, &marks);
    return marks_slow_are_spread(&marks, limits->min_distinct_keys);
}

static bool is_over_a_rate(struct breaker *breaker, const struct config_breaker *limits)
{
    struct part part;
    struct marks marks;
    for (int i = 0; i < RATE_RULES; i++) {
        if (!find_part(breaker, limits, &rate_rules[i], &part))
            continue;
        window_marks(&breaker->window, &marks);
        if (!rate_rules[i].are_spread(&marks, limits->min_distinct_keys))
            continue;
        rate_rules[i].say(&part.sample, limits, breaker->why, sizeof(breaker->why));
        return true;
    }
    return false;
}

bool breaker_is_crossed(const struct config_breaker *limits, const struct window_counts window[SIDES],
                        const struct marks *marks, char *why, size_t room)
{
    for (int i = 0; i < RATE_RULES && limits->enabled && is_enough(&window[SIDE_NEW], limits); i++) {
        const struct rate_rule *rule = &rate_rules[i];
        struct part part = {.whole = true, .can_compare = is_enough(&window[SIDE_LEGACY], limits)};
        add_to_part(&part, rule, window);
        if (!watches(rule->limit(limits)) || part.sample.events[SIDE_NEW] == 0 ||
            !rule->is_over(&part, rule->limit(limits)) || !rule->are_spread(marks, limits->min_distinct_keys))
            continue;
        rule->say(&part.sample, limits, why, room);
        return true;
    }
    return false;
}

/* ---- judging: latency ---- */

/* A millisecond: twice next to nothing is next to nothing, and on an idle machine measures the scheduler. */
enum {
    P95_LEAST_US = 1000
};

#define P95_BEYOND 0.05 /* of exchanges take longer than the 95th percentile */

/* Where new's p95 must not lie, given legacy's. */
static double p95_limit_us(const struct config_breaker *limits, double legacy_p95)
{
    return fmax(legacy_p95 * limits->p95_ratio, legacy_p95 + P95_LEAST_US);
}

static uint64_t count_beyond(const struct window_latency *latency, uint32_t index, int side, double us)
{
    uint64_t count = 0;
    for (uint32_t b = histogram_bucket((uint64_t)us) + 1; b < HISTOGRAM_BUCKETS; b++)
        count += latency->bucket[index][side][b];
    return count;
}

static uint64_t count_all(const struct window_latency *latency, uint32_t index, int side)
{
    uint64_t count = 0;
    for (uint32_t b = 0; b < HISTOGRAM_BUCKETS; b++)
        count += latency->bucket[index][side][b];
    return count;
}

/*
 * Is new slower than legacy by more than chance, and by more than halfway to the limit? Legacy's p95 is beaten by one
 * exchange in twenty of its own; how many of new's beat what lies halfway between it and the limit?
 */
static bool is_surely_slower(const struct sample *sample)
{
    struct sample counted = *sample;
    uint64_t expected = (uint64_t)ceil(P95_BEYOND * (double)sample->judged[SIDE_LEGACY]);
    if (counted.events[SIDE_LEGACY] < expected)
        counted.events[SIDE_LEGACY] = expected;
    return chance_of_increase(&counted) <= CHANCE;
}

/* What new did in the part of the window in which its p95 is over the limit. */
struct slow_part {
    uint64_t judged;
    uint64_t beyond_limit;
};

static bool is_slow_part(const struct slow_part *part, const struct sample *sample)
{
    return (double)part->beyond_limit > P95_BEYOND * (double)part->judged && is_surely_slower(sample);
}

static uint64_t total_beyond(const struct window_latency *latency, enum side side, double us)
{
    uint64_t count = 0;
    for (uint32_t b = histogram_bucket((uint64_t)us) + 1; b < HISTOGRAM_BUCKETS; b++)
        count += latency->total[side].count[b];
    return count;
}

/* The newest parts by their buckets, the whole window by its totals: its buckets would be four times as much to read.
 */
static bool find_slow_part(const struct breaker *breaker, double legacy_p95, double limit_us, struct slow_part *found)
{
    static const uint32_t lengths[] = {2, 5};
    const struct window *window = &breaker->window;
    const struct window_latency *latency = window->latency;
    const double halfway_us = sqrt(legacy_p95 * limit_us);
    struct slow_part whole = {histogram_total(&latency->total[SIDE_NEW]), total_beyond(latency, SIDE_NEW, limit_us)};
    struct sample sample = {0};
    uint32_t age = 0;
    *found = (struct slow_part){0};
    if (whole.beyond_limit == 0)
        return false;
    for (uint32_t next = 0; next < sizeof(lengths) / sizeof(lengths[0]); next++) {
        for (; age < lengths[next]; age++) {
            uint32_t index = (window->head + WINDOW_BUCKETS - age) % WINDOW_BUCKETS;
            found->beyond_limit += count_beyond(latency, index, SIDE_NEW, limit_us);
            sample.events[SIDE_NEW] += count_beyond(latency, index, SIDE_NEW, halfway_us);
            sample.events[SIDE_LEGACY] += count_beyond(latency, index, SIDE_LEGACY, legacy_p95);
            for (int side = 0; side < SIDES; side++)
                sample.judged[side] += count_all(latency, index, side);
        }
        found->judged = sample.judged[SIDE_NEW];
        if (is_slow_part(found, &sample))
            return true;
    }
    *found = whole;
    sample.events[SIDE_NEW] = total_beyond(latency, SIDE_NEW, halfway_us);
    sample.events[SIDE_LEGACY] = total_beyond(latency, SIDE_LEGACY, legacy_p95);
    sample.judged[SIDE_NEW] = whole.judged;
    sample.judged[SIDE_LEGACY] = histogram_total(&latency->total[SIDE_LEGACY]);
    return is_slow_part(found, &sample);
}

static bool is_over_p95(struct breaker *breaker, const struct config_breaker *limits)
{
    if (!watches(limits->p95_ratio) || !has_enough(breaker, limits, SIDE_NEW) ||
        !has_enough(breaker, limits, SIDE_LEGACY))
        return false;
    double legacy_p95 = breaker->legacy_p95_us;
    double limit_us = p95_limit_us(limits, legacy_p95);
    struct slow_part part;
    if (legacy_p95 <= 0 || !find_slow_part(breaker, legacy_p95, limit_us, &part) ||
        !are_slow_ones_spread(breaker, limits))
        return false;
    (void)snprintf(
        breaker->why, sizeof(breaker->why),
        "p95 of new is above %.1f ms (%llu of %llu requests took longer), of legacy %.1f ms: limit %.2f times",
        limit_us / 1000, (unsigned long long)part.beyond_limit, (unsigned long long)part.judged, legacy_p95 / 1000,
        limits->p95_ratio);
    return true;
}

uint64_t breaker_slow_us(const struct breaker *breaker, const struct config_breaker *limits)
{
    uint64_t slow_us = UINT64_MAX;
    if (!limits->enabled)
        return slow_us;
    if (watches_slow(limits))
        slow_us = limits->slow_call_ms * 1000;
    double legacy_p95 = breaker->legacy_p95_us;
    if (watches(limits->p95_ratio) && legacy_p95 > 0) { /* else nothing is known yet that new could be compared with */
        uint64_t p95_us = (uint64_t)p95_limit_us(limits, legacy_p95);
        slow_us = p95_us < slow_us ? p95_us : slow_us;
    }
    return slow_us;
}

/* ---- judging: errors in a row ---- */

static void add_gain(struct window_counts *into, const struct side_counters *now, const struct window_counts *last)
{
    into->judged += now->judged - last->judged;
    into->errors += now->errors - last->errors;
}

/* A quarter: below it, ten errors in a row are not what legacy does (0.25^10 is one in a million). */
static bool are_many_errors(const struct window_counts *counts)
{
    return counts->judged > 0 && counts->errors * 4 >= counts->judged;
}

/*
 * Between two looks without a success, every error continues the run, whichever worker had it. What legacy did since
 * the run began is kept beside it.
 */
static void follow_run(struct breaker *breaker, const struct route_counters *now)
{
    const struct side_counters *new = &now->side[SIDE_NEW];
    const struct window_counts *last = breaker->window.last;
    if (breaker->run == 0)
        breaker->run_legacy = (struct window_counts){0};
    breaker->ran_over = new->error_runs_over != breaker->runs_over;
    breaker->runs_over = new->error_runs_over;
    add_gain(&breaker->run_legacy, &now->side[SIDE_LEGACY], &last[SIDE_LEGACY]);
    add_gain(&breaker->state_legacy, &now->side[SIDE_LEGACY], &last[SIDE_LEGACY]);
    uint64_t judged = new->judged - last[SIDE_NEW].judged;
    uint64_t errors = new->errors - last[SIDE_NEW].errors;
    breaker->run = judged > errors ? 0 : breaker->run + errors;
}

/*
 * A run is short: where legacy usually has traffic, the run goes on until legacy has surely done better, or for
 * PATIENCE times its length.
 */
static bool does_legacy_fail_too(const struct breaker *breaker, const struct config_breaker *limits)
{
    const struct window_counts *legacy = &breaker->run_legacy;
    uint64_t run = breaker->run > limits->consecutive_errors ? breaker->run : limits->consecutive_errors;
    if (are_many_errors(legacy))
        return chance_of_difference(run, run, legacy->errors, legacy->judged) > CHANCE_ALIKE_IN_ROW;
    return has_enough(breaker, limits, SIDE_LEGACY) && run < (uint64_t)limits->consecutive_errors * PATIENCE &&
           chance_of_difference(run, run, legacy->errors, legacy->judged) > CHANCE_ALIKE_IN_ROW;
}

static bool is_over_consecutive(struct breaker *breaker, const struct config_breaker *limits)
{
    if (limits->consecutive_errors == 0 || (!breaker->ran_over && breaker->run < limits->consecutive_errors) ||
        does_legacy_fail_too(breaker, limits) || !are_errors_spread(breaker, limits))
        return false;
    (void)snprintf(breaker->why, sizeof(breaker->why), "%u errors of new in a row", limits->consecutive_errors);
    return true;
}

static bool is_over_a_limit(struct breaker *breaker, const struct config_breaker *limits, bool with_latency)
{
    return is_over_consecutive(breaker, limits) || is_over_a_rate(breaker, limits) ||
           (with_latency && is_over_p95(breaker, limits));
}

/* ---- states ---- */

/* SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014): 0..1 from the next number. */
static double draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static uint64_t jittered(struct breaker *breaker, uint64_t cooldown_ms)
{
    if (!breaker->seeded)
        return cooldown_ms;
    return cooldown_ms + (uint64_t)((double)cooldown_ms * JITTER * draw(&breaker->chance));
}

static enum breaker_change open_up(struct breaker *breaker, const struct config_breaker *limits, uint64_t now_ms)
{
    breaker->half_open_at_ms = now_ms + jittered(breaker, breaker_cooldown_ms(limits, breaker->trips));
    enter(breaker, BREAKER_OPEN, now_ms);
    return BREAKER_TRIPPED;
}

static enum breaker_change trip(struct breaker *breaker, const struct config_breaker *limits, uint64_t now_ms)
{
    breaker->trips++;
    return open_up(breaker, limits, now_ms);
}

static uint32_t ramp_step(const struct breaker *breaker, const struct config_breaker *limits, uint64_t now_ms)
{
    uint64_t elapsed_ms = now_ms - breaker->since_ms;
    if (!breaker->ramping || elapsed_ms >= limits->ramp_ms)
        return BREAKER_RAMP_STEPS;
    return 1 + (uint32_t)(elapsed_ms * BREAKER_RAMP_STEPS / limits->ramp_ms);
}

static bool take_ramp_step(struct breaker *breaker, const struct config_breaker *limits, uint64_t now_ms)
{
    uint32_t before = breaker->ramp_step;
    breaker->ramp_step = ramp_step(breaker, limits, now_ms);
    breaker->ramping = now_ms - breaker->since_ms < limits->ramp_ms;
    return before != breaker->ramp_step;
}

static void begin_ramp(struct breaker *breaker, const struct config_breaker *limits, uint64_t now_ms)
{
    breaker->ramping = limits->ramp_ms > 0;
    breaker->ramp_step = ramp_step(breaker, limits, now_ms);
}

static enum breaker_change tick_closed(struct breaker *breaker, const struct config_breaker *limits, bool news,
                                       bool with_latency, uint64_t now_ms)
{
    if (news && is_over_a_limit(breaker, limits, with_latency))
        return trip(breaker, limits, now_ms);
    if (breaker->ramping && take_ramp_step(breaker, limits, now_ms))
        return BREAKER_RAMPED;
    if (breaker->trips > 0 && !breaker->ramping && now_ms - breaker->since_ms >= breaker_healthy_ms(limits)) {
        breaker->trips = 0;
        (void)snprintf(breaker->why, sizeof(breaker->why), "healthy for %d windows", (int)HEALTHY_WINDOWS);
        return BREAKER_FORGAVE;
    }
    return BREAKER_UNCHANGED;
}

/* The wait begins anew while there are permits to be had: where requests are few, it takes long to have them all. */
static void wait_for_trials(struct breaker *breaker, uint64_t now_ms)
{
    breaker->renew_at_ms = now_ms + breaker->patience_ms;
}

static enum breaker_change tick_open(struct breaker *breaker, const struct config_breaker *limits, uint64_t now_ms)
{
    if (now_ms < breaker->half_open_at_ms)
        return BREAKER_UNCHANGED;
    (void)snprintf(breaker->why, sizeof(breaker->why), "cooldown over: %u trial requests decide",
                   limits->trial_requests);
    breaker->patience_ms = limits->cooldown_ms > RENEW_MIN_MS ? limits->cooldown_ms : RENEW_MIN_MS;
    wait_for_trials(breaker, now_ms);
    enter(breaker, BREAKER_HALF_OPEN, now_ms);
    return BREAKER_HALF_OPENED;
}

static enum breaker_change tick_half_open(struct breaker *breaker, const struct config_breaker *limits,
                                          const struct trial_totals *trials, uint64_t now_ms)
{
    if (trials->failed > 0 && are_many_errors(&breaker->state_legacy)) {
        (void)snprintf(breaker->why, sizeof(breaker->why),
                       "a trial request failed, as did legacy: not counted as a trip");
        return open_up(breaker, limits, now_ms);
    }
    if (trials->failed > 0) {
        (void)snprintf(breaker->why, sizeof(breaker->why), "a trial request failed");
        return trip(breaker, limits, now_ms);
    }
    if (trials->succeeded >= limits->trial_requests) {
        (void)snprintf(breaker->why, sizeof(breaker->why), "%llu trial requests succeeded",
                       (unsigned long long)trials->succeeded);
        enter(breaker, BREAKER_CLOSED, now_ms);
        begin_ramp(breaker, limits, now_ms);
        return BREAKER_RECOVERED;
    }
    if (trials->taken < limits->trial_requests) {
        wait_for_trials(breaker, now_ms);
        return BREAKER_UNCHANGED;
    }
    if (now_ms < breaker->renew_at_ms)
        return BREAKER_UNCHANGED;
    if (breaker->patience_ms < COOLDOWN_MAX_MS) /* else new would never be heard where it answers later than that */
        breaker->patience_ms *= 2;
    wait_for_trials(breaker, now_ms);
    breaker->epoch++;
    return BREAKER_RENEWED;
}

enum breaker_change breaker_tick(struct breaker *breaker, const struct config_breaker *limits,
                                 const struct route_counters *sum, bool with_latency, const struct marks *marks,
                                 const struct trial_totals *trials, uint64_t now_ms)
{
    if (sum != NULL)
        follow_run(breaker, sum);
    window_update(&breaker->window, sum, with_latency, marks, now_ms);
    if (with_latency)
        breaker->legacy_p95_us = window_p95(&breaker->window, SIDE_LEGACY);
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

/* ---- the share after a recovery ---- */

uint32_t breaker_share(const struct breaker *breaker, const struct config_breaker *limits, uint32_t plan_share,
                       uint64_t now_ms)
{
    return breaker_share_at(ramp_step(breaker, limits, now_ms), plan_share);
}

uint32_t breaker_step(const struct breaker *breaker, const struct config_breaker *limits, uint64_t now_ms)
{
    return breaker->state == BREAKER_CLOSED ? ramp_step(breaker, limits, now_ms) : 0;
}

uint32_t breaker_share_at(uint32_t step, uint32_t share)
{
    return (share * step + BREAKER_RAMP_STEPS - 1) / BREAKER_RAMP_STEPS;
}

uint64_t breaker_ramp_left_ms(const struct breaker *breaker, const struct config_breaker *limits, uint64_t now_ms)
{
    uint64_t elapsed_ms = now_ms - breaker->since_ms;
    return breaker->ramping && elapsed_ms < limits->ramp_ms ? limits->ramp_ms - elapsed_ms : 0;
}

void breaker_resume_ramp(struct breaker *breaker, const struct config_breaker *limits, uint64_t left_ms,
                         uint64_t now_ms)
{
    uint64_t passed_ms = left_ms < limits->ramp_ms ? limits->ramp_ms - left_ms : 0;
    breaker->since_ms = now_ms > passed_ms ? now_ms - passed_ms : 0;
    breaker->ramping = left_ms > 0 && limits->ramp_ms > 0;
    breaker->ramp_step = ramp_step(breaker, limits, now_ms);
}

/* ---- from outside ---- */

void breaker_slept(struct breaker *breaker, uint64_t slept_ms, uint64_t now_ms)
{
    uint64_t since_ms = breaker->since_ms + slept_ms;
    if (breaker->state == BREAKER_CLOSED)
        breaker->since_ms = since_ms < now_ms ? since_ms : now_ms; /* a person may have closed it just now */
}

void breaker_seed(struct breaker *breaker, uint64_t seed)
{
    breaker->chance = seed;
    breaker->seeded = true;
}

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

/* ---- in a fleet ---- */

void breaker_hold(struct breaker *breaker, const char *why, uint64_t half_open_at_ms, uint64_t now_ms)
{
    breaker->half_open_at_ms = half_open_at_ms;
    if (breaker->state == BREAKER_OPEN)
        return;
    (void)snprintf(breaker->why, sizeof(breaker->why), "%s", why);
    enter(breaker, BREAKER_OPEN, now_ms);
}

void breaker_recover(struct breaker *breaker, const struct config_breaker *limits, const char *why, uint64_t now_ms)
{
    breaker_reset(breaker, why, now_ms);
    begin_ramp(breaker, limits, now_ms);
}
