/*
 * The breaker in simulated time: how soon it opens when new fails, what is lost until then, and that luck never opens
 * it. Beside it, on the same traffic, the defaults of Envoy's outlier detection and of resilience4j, re-stated from
 * their documentation.
 *
 * The real breaker and window, fed 40 times a second with what four workers would have counted; seeded, so that every
 * run gives the same numbers. The suite runs the short form. The long one, whose tables are in docs/judgement.md:
 *
 *     SHUNT_SIMULATION=long tests/router/test_breaker_simulation
 */
#include "fixture.h"

#include <math.h>

#include "router/breaker.h"

enum {
    LOOK_MS = 25,
    LOOKS_PER_LATENCY = 3,
    SIM_WORKERS = 4,
    CLIENTS = 1000,
    PATHS = 50,
    TABLE = 512,
    ROUNDS_MAX = 200,
};

/* As in a file that says nothing of the breaker. */
static const struct config_breaker defaults = {
    .enabled = true,
    .window_ms = 60000,
    .min_requests = 50,
    .min_distinct_keys = 3,
    .error_rate = 0.05,
    .error_rate_increase = 0.02,
    .p95_ratio = 2,
    .slow_call_ms = 0,
    .slow_call_rate = 0.5,
    .consecutive_errors = 10,
    .cooldown_ms = 30000,
    .ramp_ms = 10000,
    .max_trips = 3,
    .trial_requests = 5,
};

static bool is_long(void)
{
    const char *form = getenv("SHUNT_SIMULATION");
    return form != NULL && strcmp(form, "long") == 0;
}

/* ---- chance ---- */

static double uniform(uint64_t *random)
{
    return (double)(next_random(random) >> 11) * 0x1p-53;
}

/* Poisson numbers by looking the cumulative distribution up; the mean of a look is small enough. */
struct poisson {
    double upto[TABLE];
};

static void poisson_init(struct poisson *poisson, double mean)
{
    double sum = 0;
    for (int k = 0; k < TABLE; k++) {
        int sign;
        sum += mean > 0 ? exp(k * log(mean) - mean - lgamma_r(k + 1.0, &sign)) : k == 0;
        poisson->upto[k] = sum;
    }
    assert_true(sum > 1 - 1e-9);
}

static uint32_t poisson_draw(const struct poisson *poisson, uint64_t *random)
{
    double u = uniform(random);
    uint32_t low = 0;
    uint32_t high = TABLE - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (poisson->upto[middle] > u)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static double normal(uint64_t *random)
{
    return sqrt(-2 * log(1 - uniform(random))) * cos(2 * acos(-1) * uniform(random));
}

/* ---- the others ---- */

/*
 * Envoy, "Outlier detection" (config.cluster.v3.OutlierDetection): a host is ejected at the fifth 5xx in a row
 * (consecutive_5xx 5, enforced at 100 %). Success rates are compared among at least 5 hosts
 * (success_rate_minimum_hosts), failure percentages are not enforced, and latency is not looked at.
 */
struct envoy {
    uint32_t run;
    bool ejected;
};

static void envoy_sees(struct envoy *envoy, bool error)
{
    envoy->run = error ? envoy->run + 1 : 0;
    if (envoy->run >= 5)
        envoy->ejected = true;
}

/*
 * resilience4j, "CircuitBreaker": the last 100 calls (slidingWindowSize, COUNT_BASED), all 100 needed
 * (minimumNumberOfCalls), open at 50 % failures or more (failureRateThreshold). A slow call takes 60 s.
 */
struct resilience {
    bool failed[100];
    uint32_t next, seen, failures;
    bool open;
};

static void resilience_sees(struct resilience *r, bool error)
{
    r->failures -= r->failed[r->next];
    r->failed[r->next] = error;
    r->failures += error;
    r->next = (r->next + 1) % 100;
    r->seen += r->seen < 100;
    if (r->seen == 100 && r->failures >= 50)
        r->open = true;
}

/* ---- the world ---- */

struct side_truth {
    double rate;      /* requests per second */
    double errors;    /* of requests */
    double median_us; /* log-normal with sigma 0.5; 0: latency is not simulated */
};

struct world {
    struct config_breaker limits;
    struct breaker breaker;
    struct route_counters sum;
    uint64_t runs[SIM_WORKERS];
    uint64_t now_ms;
    uint64_t looks;
    uint64_t random;
    uint32_t clients; /* of new; the first of them sends `spoilt` of its requests ... */
    double spoilt;    /* ... and they all fail; 0: none is special */
    struct marks marks;
    struct side_truth truth[SIDES];
    struct poisson ok[SIDES], errors[SIDES];
    bool in_bulk; /* looks without an error are counted at once, and the others are not asked */
    struct envoy envoy;
    struct resilience resilience;
    bool all_lost;                              /* slow answers are as bad as none */
    uint64_t lost, lost_envoy, lost_resilience; /* failures of new until each of them opened */
};

static void world_truth(struct world *w, enum side side, struct side_truth truth)
{
    double per_look = truth.rate * LOOK_MS / 1000;
    w->truth[side] = truth;
    poisson_init(&w->ok[side], per_look * (1 - truth.errors));
    poisson_init(&w->errors[side], per_look * truth.errors);
}

static struct world *world_new(const struct config_breaker *limits, struct side_truth legacy, struct side_truth new,
                               uint64_t seed)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->limits = *limits;
    w->random = seed * 0x9e3779b97f4a7c15u + 88172645463325252u;
    w->clients = CLIENTS;
    w->now_ms = 1000000;
    assert_true(breaker_reserve(&w->breaker, &w->limits));
    (void)breaker_configure(&w->breaker, &w->limits, &w->sum, w->now_ms);
    world_truth(w, SIDE_LEGACY, legacy);
    world_truth(w, SIDE_NEW, new);
    return w;
}

static void world_free(struct world *w)
{
    breaker_done(&w->breaker);
    free(w);
}

static uint64_t draw_latency(struct world *w, enum side side)
{
    return (uint64_t)(w->truth[side].median_us * exp(0.5 * normal(&w->random)));
}

static void mark_new(struct world *w, bool error, uint64_t latency_us)
{
    bool special = w->spoilt > 0 && error;
    uint32_t key = special ? 0 : (uint32_t)(next_random(&w->random) % w->clients);
    uint32_t path = special ? 0 : (uint32_t)(next_random(&w->random) % PATHS);
    key *= 2654435761u; /* to a hash */
    path *= 2654435761u;
    sketch_add(&w->marks.keys, key >> 8);
    sketch_add(&w->marks.paths, path >> 8);
    if (error) {
        sketch_add(&w->marks.error_keys, key >> 8);
        sketch_add(&w->marks.error_paths, path >> 8);
    }
    if (latency_us >= breaker_slow_us(&w->breaker, &w->limits)) {
        sketch_add(&w->marks.slow_keys, key >> 8);
        sketch_add(&w->marks.slow_paths, path >> 8);
    }
}

static void others_see(struct world *w, bool error)
{
    bool lost = error || w->all_lost;
    w->lost += lost && w->breaker.state == BREAKER_CLOSED;
    w->lost_envoy += lost && !w->envoy.ejected;
    w->lost_resilience += lost && !w->resilience.open;
    envoy_sees(&w->envoy, error);
    resilience_sees(&w->resilience, error);
}

static void count_one(struct world *w, enum side which, bool error)
{
    struct side_counters *side = &w->sum.side[which];
    uint64_t latency_us = 0;
    side->judged++;
    side->errors += error;
    if (w->truth[which].median_us > 0) {
        latency_us = draw_latency(w, which);
        histogram_add(&side->latency, latency_us);
    }
    if (which == SIDE_LEGACY)
        return;
    uint64_t *run = &w->runs[next_random(&w->random) % SIM_WORKERS];
    *run = error ? *run + 1 : 0;
    side->error_runs_over += *run > 0 && *run % w->limits.consecutive_errors == 0;
    if (!w->in_bulk)
        others_see(w, error);
    mark_new(w, error, latency_us);
}

/* So many good answers of both sides. One mark stands for all: what matters is from how many the errors come. */
static void count_good(struct world *w, uint32_t legacy, uint32_t new)
{
    w->sum.side[SIDE_LEGACY].judged += legacy;
    w->sum.side[SIDE_NEW].judged += new;
    for (uint32_t i = 0; i < new &&i < 8 * SIM_WORKERS; i++)
        w->runs[next_random(&w->random) % SIM_WORKERS] = 0;
    if (new > 0)
        mark_new(w, false, 0);
}

/* What came of both sides within a look, in a random order. */
static void world_traffic(struct world *w)
{
    uint32_t left[4] = {poisson_draw(&w->ok[0], &w->random), poisson_draw(&w->errors[0], &w->random),
                        poisson_draw(&w->ok[1], &w->random), poisson_draw(&w->errors[1], &w->random)};
    if (w->in_bulk && left[1] + left[3] == 0) {
        count_good(w, left[0], left[2]);
        return;
    }
    for (uint32_t all = left[0] + left[1] + left[2] + left[3]; all > 0; all--) {
        uint32_t pick = (uint32_t)(next_random(&w->random) % all);
        uint32_t kind = 0;
        while (pick >= left[kind])
            pick -= left[kind++];
        left[kind]--;
        count_one(w, kind < 2 ? SIDE_LEGACY : SIDE_NEW, kind % 2 == 1);
    }
}

static enum breaker_change world_look(struct world *w)
{
    struct trial_totals trials = {0};
    world_traffic(w);
    w->now_ms += LOOK_MS;
    bool with_latency = ++w->looks % LOOKS_PER_LATENCY == 0 && w->truth[SIDE_NEW].median_us > 0;
    enum breaker_change change =
        breaker_tick(&w->breaker, &w->limits, &w->sum, with_latency, &w->marks, &trials, w->now_ms);
    memset(&w->marks, 0, sizeof(w->marks));
    return change;
}

/* ---- outages ---- */

struct outage {
    const char *name;
    double errors;
    double slower; /* times */
};

static const struct outage outages[] = {
    {"dead", 1, 1},
    {"50 % errors", 0.5, 1},
    {"20 % errors", 0.2, 1},
    {"10 times slower", 0.001, 10},
};

struct figures { /* of one way to watch */
    double seconds[ROUNDS_MAX];
    uint64_t lost[ROUNDS_MAX];
    uint32_t rounds;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static int by_count(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void figures_sort(struct figures *f)
{
    qsort(f->seconds, f->rounds, sizeof(f->seconds[0]), by_value);
    qsort(f->lost, f->rounds, sizeof(f->lost[0]), by_count);
}

static void figures_print(const char *who, const struct figures *f)
{
    double median = f->seconds[f->rounds / 2];
    double worst = f->seconds[f->rounds - 1];
    if (isinf(worst) && !isinf(median))
        (void)printf("| %s | %.2f s | not in 2 min | %llu | %llu |\n", who, median,
                     (unsigned long long)f->lost[f->rounds / 2], (unsigned long long)f->lost[f->rounds - 1]);
    else if (isinf(median))
        (void)printf("| %s | not in 2 min | not in 2 min | %llu | %llu |\n", who,
                     (unsigned long long)f->lost[f->rounds / 2], (unsigned long long)f->lost[f->rounds - 1]);
    else
        (void)printf("| %s | %.2f s | %.2f s | %llu | %llu |\n", who, median, worst,
                     (unsigned long long)f->lost[f->rounds / 2], (unsigned long long)f->lost[f->rounds - 1]);
}

/* A minute of health, then the outage for at most two: a row for each of shunt, Envoy and resilience4j. */
static void run_outage(const struct outage *outage, double rate, double share, uint32_t rounds,
                       struct figures figures[3])
{
    enum {
        HEALTHY_MS = 60000,
        OUTAGE_MS = 120000
    };
    const struct side_truth legacy = {rate * (1 - share), 0.001, 20000};
    const struct side_truth well = {rate * share, 0.001, 20000};
    const struct side_truth ill = {rate * share, outage->errors, 20000 * outage->slower};
    for (uint32_t round = 0; round < rounds; round++) {
        struct world *w = world_new(&defaults, legacy, well, round + 1);
        uint64_t broke_ms = w->now_ms + HEALTHY_MS + round * 37 % 3000; /* anywhere in a bucket */
        while (w->now_ms < broke_ms)
            assert_int_equal(world_look(w), BREAKER_UNCHANGED);
        double at[3] = {INFINITY, INFINITY, INFINITY};
        w->envoy = (struct envoy){0};
        w->lost = w->lost_envoy = w->lost_resilience = 0;
        w->all_lost = outage->slower > 1;
        world_truth(w, SIDE_NEW, ill);
        while (
            w->now_ms < broke_ms + OUTAGE_MS &&
            (isinf(at[0]) || (is_long() && (isinf(at[1]) || isinf(at[2]))))) { /* shown are the others only in full */
            bool tripped = world_look(w) == BREAKER_TRIPPED;
            double now = (double)(w->now_ms - broke_ms) / 1000;
            if (tripped && isinf(at[0]))
                at[0] = now;
            if (w->envoy.ejected && isinf(at[1]))
                at[1] = now;
            if (w->resilience.open && isinf(at[2]))
                at[2] = now;
        }
        const uint64_t lost[3] = {w->lost, w->lost_envoy, w->lost_resilience};
        for (int i = 0; i < 3; i++) {
            figures[i].seconds[round] = at[i];
            figures[i].lost[round] = lost[i];
            figures[i].rounds = round + 1;
        }
        world_free(w);
    }
    for (int i = 0; i < 3; i++)
        figures_sort(&figures[i]);
}

static void an_outage_opens_it_soon(void **state)
{
    (void)state;
    static const double rates[] = {10, 100, 10000};
    static const double shares[] = {0.5, 0.05, 0.95};
    /* Slowest that is taken for right, in seconds after the outage, at half the traffic: median of the rounds. */
    static const double within[][3] = {{4, 0.5, 0.1}, {12, 3, 1}, {60, 8, 2.5}, {15, 3, 2}};
    static struct figures figures[3];
    for (size_t s = 0; s < (is_long() ? 3 : 1); s++)
        for (size_t o = 0; o < sizeof(outages) / sizeof(outages[0]); o++)
            for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
                bool many = rates[r] > 1000;
                uint32_t rounds = is_long() ? (many ? 20 : 200) : (many ? 1 : 5);
                run_outage(&outages[o], rates[r], shares[s], rounds, figures);
                if (is_long()) {
                    (void)printf("\n%s, %g req/s, %g %% on new, %u rounds\n\n"
                                 "| | median | worst | lost, median | lost, worst |\n| --- | --- | --- | --- | --- |\n",
                                 outages[o].name, rates[r], shares[s] * 100, rounds);
                    figures_print("shunt", &figures[0]);
                    figures_print("Envoy", &figures[1]);
                    figures_print("resilience4j", &figures[2]);
                }
                if (s == 0 && figures[0].seconds[figures[0].rounds / 2] > within[o][r])
                    fail_msg("%s at %g req/s: %.2f s", outages[o].name, rates[r],
                             figures[0].seconds[figures[0].rounds / 2]);
            }
}

/* ---- health ---- */

/* Looks for so many hours; trips are counted and the breaker closed again. */
static uint32_t count_trips(const struct config_breaker *limits, struct side_truth legacy, struct side_truth new,
                            double hours, uint64_t seed)
{
    uint32_t trips = 0;
    struct world *w = world_new(limits, legacy, new, seed);
    w->in_bulk = new.median_us <= 0;
    uint64_t until_ms = w->now_ms + (uint64_t)(hours * 3600000);
    while (w->now_ms < until_ms)
        if (world_look(w) == BREAKER_TRIPPED) {
            trips++;
            print_message("    %s\n", w->breaker.why);
            breaker_reset(&w->breaker, "on", w->now_ms);
        }
    world_free(w);
    return trips;
}

struct health {
    const char *name;
    double legacy, new; /* error rates */
    double median_us;
};

static void luck_never_opens_it(void **state)
{
    (void)state;
    static const struct health rows[] = {
        {"1 % on legacy, 2 % on new, limit 5 %", 0.01, 0.02, 0},
        {"2 % on both", 0.02, 0.02, 0},
        {"0.1 % on both, latency watched", 0.001, 0.001, 20000},
    };
    static const double rates[] = {10, 100, 1000};
    static const double hours[] = {2, 0.6, 0.1};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t r = 0; r < 3; r++) {
            const struct side_truth legacy = {rates[r] / 2, rows[i].legacy, rows[i].median_us};
            const struct side_truth new = {rates[r] / 2, rows[i].new, rows[i].median_us};
            double length =
                is_long() ? (rows[i].median_us > 0 ? 100 : 1000) : hours[r] / (rows[i].median_us > 0 ? 10 : 1);
            uint32_t trips = count_trips(&defaults, legacy, new, length, 7 + i);
            if (is_long()) {
                (void)printf("%s, %g req/s, %g hours: %u trips\n", rows[i].name, rates[r], length, trips);
            }
            assert_int_equal(trips, 0);
        }
}

/* ---- what is not new's fault ---- */

static uint32_t count_trips_of_shared_outages(double rate, double share, double errors, uint32_t rounds)
{
    uint32_t trips = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        struct world *w = world_new(&defaults, (struct side_truth){rate * (1 - share), 0.001, 0},
                                    (struct side_truth){rate * share, 0.001, 0}, round + 1);
        while (w->now_ms < 1060000)
            (void)world_look(w);
        world_truth(w, SIDE_LEGACY, (struct side_truth){rate * (1 - share), errors, 0});
        world_truth(w, SIDE_NEW, (struct side_truth){rate * share, errors, 0});
        while (w->now_ms < 1180000 && w->breaker.state == BREAKER_CLOSED)
            (void)world_look(w);
        trips += w->breaker.state != BREAKER_CLOSED;
        if (is_long() && w->breaker.state != BREAKER_CLOSED && trips < 4)
            (void)printf("    %s\n", w->breaker.why);
        world_free(w);
    }
    return trips;
}

static void an_outage_of_both_sides_blames_nobody(void **state)
{
    (void)state;
    static const double rates[] = {10, 100};
    static const double shares[] = {0.05, 0.5, 0.8, 0.95};
    static const double errors[] = {1, 0.5, 0.1};
    for (size_t r = 0; r < (is_long() ? 2 : 1); r++)
        for (size_t s = 0; s < 4; s++)
            for (size_t e = 0; e < 3; e++) {
                uint32_t rounds = is_long() ? 50 : 3;
                uint32_t trips = count_trips_of_shared_outages(rates[r], shares[s], errors[e], rounds);
                if (is_long())
                    (void)printf("both at %g %% errors, %g req/s, %g %% on new: %u of %u tripped\n", errors[e] * 100,
                                 rates[r], shares[s] * 100, trips, rounds);
                if (!is_long() && shares[s] <= 0.8)
                    assert_true(trips * 50 <= rounds);
            }
}

static void one_client_alone_does_not_open_it(void **state)
{
    (void)state;
    struct world *w = world_new(&defaults, (struct side_truth){50, 0, 0}, (struct side_truth){50, 0.3, 0}, 3);
    w->spoilt = 1;
    while (w->now_ms < 1000000 + 600000)
        assert_int_equal(world_look(w), BREAKER_UNCHANGED);
    world_free(w);

    w = world_new(&defaults, (struct side_truth){50, 0, 0}, (struct side_truth){50, 0.3, 0}, 3);
    w->spoilt = 1;
    w->clients = 1; /* as many as there are */
    w->limits.min_distinct_keys = 3;
    uint32_t changes = 0;
    while (w->now_ms < 1000000 + 10000)
        changes += world_look(w) == BREAKER_TRIPPED;
    assert_int_equal(changes, 0); /* one client, but its other paths are well */
    w->limits.min_distinct_keys = 1;
    while (w->now_ms < 1000000 + 20000)
        changes += world_look(w) == BREAKER_TRIPPED;
    assert_int_equal(changes, 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_outage_opens_it_soon),
        cmocka_unit_test(luck_never_opens_it),
        cmocka_unit_test(an_outage_of_both_sides_blames_nobody),
        cmocka_unit_test(one_client_alone_does_not_open_it),
    };
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    cmocka_set_test_filter(getenv("SHUNT_SIMULATION_OF")); /* NULL: all */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
