/* The breaker on the real router: what trips it, how soon, and the way back. Time is the fixture's. */
#include "fixture.h"

#include <errno.h>

#include "router/breaker.h"

#define ROUTE(breaker)                                                                                                 \
    YAML_HEAD                                                                                                          \
    "  - name: orders\n"                                                                                               \
    "    match: { path: /orders/** }\n"                                                                                \
    "    sticky: [ { header: X-User-Id } ]\n"                                                                          \
    "    overrides: [ { header: { X-Shunt-Backend: new }, backend: new } ]\n"                                          \
    "    percent: 50\n"                                                                                                \
    "    shadow: { percent: 100 }\n"                                                                                   \
    "    breaker: { " breaker " }\n"

#define RATE_ONLY                                                                                                      \
    "window: 60s, min_requests: 50, error_rate: 5%, error_rate_increase: off, p95_ratio: off, consecutive_errors: 0, " \
    "cooldown: 30s, max_trips: 3, trial_requests: 5"
#define RUN_ONLY                                                                                                       \
    "window: 60s, min_requests: 50, error_rate: off, error_rate_increase: off, p95_ratio: off, consecutive_errors: "   \
    "10, cooldown: 30s, max_trips: 3, trial_requests: 5"
#define INCREASE_ONLY                                                                                                  \
    "window: 60s, min_requests: 50, error_rate: off, error_rate_increase: 2%, p95_ratio: off, consecutive_errors: 0, " \
    "cooldown: 30s, max_trips: 3, trial_requests: 5"
#define P95_ONLY                                                                                                       \
    "window: 60s, min_requests: 50, error_rate: off, error_rate_increase: off, p95_ratio: 2.0, consecutive_errors: "   \
    "0, "                                                                                                              \
    "cooldown: 30s, max_trips: 3, trial_requests: 5"

static enum breaker_state breaker_of(const struct fixture *f)
{
    return state_of(f, "orders").breaker;
}

/* Users until `count` requests were asked of `side`. */
static void drive_side(struct fixture *f, enum side side, uint32_t count, uint16_t status, uint64_t latency_us)
{
    static uint64_t user;
    uint64_t last_user = user + 1000 + 100 * (uint64_t)count;
    for (uint32_t done = 0; done < count;) {
        struct request r;
        assert_true(user < last_user);
        char id[32];
        request_init(&r, "GET", "/orders");
        (void)snprintf(id, sizeof(id), "u%llu", (unsigned long long)user++);
        request_add(&r, "X-User-Id", id);
        uint32_t worker = (uint32_t)(user % f->workers);
        struct decision d = decide_on(f, worker, &r);
        if (d.side != side) {
            observe(f, worker, &d, OUTCOME_CLIENT_GONE, 0, 0); /* says nothing */
            continue;
        }
        observe(f, worker, &d, status == 0 ? OUTCOME_CONNECT_FAILED : OUTCOME_OK, status, latency_us);
        done++;
    }
}

static void it_opens_at_the_tick_after_the_crossing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2, ROUTE(RATE_ONLY));
    drive_side(f, SIDE_NEW, 35, 200, 1000);
    drive_side(f, SIDE_NEW, 14, 500, 1000);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* 49 requests: too few to judge */
    drive_side(f, SIDE_NEW, 1, 503, 1000);
    uint64_t crossed_ms = f->now_ms;
    while (breaker_of(f) == BREAKER_CLOSED && f->now_ms < crossed_ms + 1000)
        fixture_wait(f, TICK_MS);
    assert_true(f->now_ms - crossed_ms <= 100);
    assert_string_equal(last_event(f), "breaker_open");
    assert_string_equal(f->who[f->event_count - 1], "breaker");
    assert_non_null(strstr(f->why[f->event_count - 1], "30.00 % of 50 requests"));
    for (uint64_t user = 0; user < 200; user++)
        assert_int_equal(drive(f, 0, user, 200, 200, 1000).side, SIDE_LEGACY);
    assert_int_equal(state_of(f, "orders").effective, 0);
    assert_int_equal(state_of(f, "orders").percent, 5000);
    fixture_free(f);
}

static void at_the_limit_it_stays_closed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE(RATE_ONLY));
    drive_side(f, SIDE_NEW, 1900, 200, 1000);
    drive_side(f, SIDE_NEW, 100, 500, 1000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    drive_side(f, SIDE_NEW, 1, 0, 1000); /* connect failures count like 5xx */
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_free(f);
}

static void bad_luck_with_few_requests_does_not_open_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE(RATE_ONLY));
    drive_side(f, SIDE_NEW, 46, 200, 1000);
    drive_side(f, SIDE_NEW, 4, 500, 1000); /* 8 %, where 1 of 25 such minutes of a backend with 4 % has as many */
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    drive_side(f, SIDE_NEW, 12, 500, 1000); /* 16 of 62: not even with half the limit in a hundred million looks */
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_free(f);
}

/* A minute of good answers does not have to be outweighed first. */
static void what_is_new_counts_before_the_window_has_turned(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE(RATE_ONLY));
    for (int second = 0; second < 60; second++) {
        drive_side(f, SIDE_NEW, 50, 200, 1000);
        fixture_wait(f, 1000);
    }
    uint64_t broke_ms = f->now_ms;
    for (int tenth = 0; tenth < 100 && breaker_of(f) == BREAKER_CLOSED; tenth++) {
        drive_side(f, SIDE_NEW, 3, 200, 1000); /* two of five fail */
        drive_side(f, SIDE_NEW, 2, 500, 1000);
        fixture_wait(f, 100);
    }
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    assert_true(f->now_ms - broke_ms <= 3000); /* 60 errors: 2 % of the window */
    fixture_free(f);
}

static void old_errors_leave_the_window(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE(RATE_ONLY));
    drive_side(f, SIDE_NEW, 49, 500, 1000);
    fixture_wait(f, 64000);
    drive_side(f, SIDE_NEW, 49, 200, 1000);
    fixture_wait(f, 100);
    drive_side(f, SIDE_NEW, 49, 200, 1000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    fixture_free(f);
}

static void a_failure_that_legacy_shares_does_not_open_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE(RATE_ONLY));
    drive_side(f, SIDE_LEGACY, 60, 500, 1000);
    drive_side(f, SIDE_NEW, 60, 500, 1000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    drive_side(f, SIDE_LEGACY, 5000, 200, 1000); /* legacy is well again, new is not */
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_free(f);
}

static void an_increase_over_legacy_opens_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE(INCREASE_ONLY));
    drive_side(f, SIDE_LEGACY, 300, 200, 1000);
    drive_side(f, SIDE_LEGACY, 30, 500, 1000);
    drive_side(f, SIDE_NEW, 300, 200, 1000);
    drive_side(f, SIDE_NEW, 30, 500, 1000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* both 9 %: no increase */
    drive_side(f, SIDE_NEW, 20, 500, 1000);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* 14 %: five points more, but not surely */
    drive_side(f, SIDE_NEW, 80, 500, 1000);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    assert_non_null(strstr(f->why[f->event_count - 1], "the increase is above the limit"));
    fixture_free(f);

    f = fixture_new(1, ROUTE(INCREASE_ONLY));
    drive_side(f, SIDE_LEGACY, 55, 200, 1000);
    drive_side(f, SIDE_NEW, 53, 200, 1000);
    drive_side(f, SIDE_NEW, 2, 500, 1000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* 3.6 %, but two errors may be bad luck */
    fixture_free(f);
}

static void errors_in_a_row_open_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE(RUN_ONLY));
    drive_side(f, SIDE_NEW, 1000, 200, 1000);
    for (int i = 0; i < 5; i++) {
        drive_side(f, SIDE_NEW, 9, 500, 1000);
        drive_side(f, SIDE_NEW, 1, 200, 1000);
    }
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    drive_side(f, SIDE_NEW, 10, 500, 1000);
    drive_side(f, SIDE_NEW, 1, 200, 1000); /* a success after the run, but before control looked */
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_free(f);
}

static void errors_in_a_row_over_several_workers_open_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(4, ROUTE(RUN_ONLY));
    drive_side(f, SIDE_NEW, 100, 200, 1000);
    fixture_wait(f, 100);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(breaker_of(f), BREAKER_CLOSED);
        drive_side(f, SIDE_NEW, 2, 500, 1000); /* no worker sees more than three */
        fixture_wait(f, TICK_MS);
    }
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_free(f);
}

static void a_slow_p95_opens_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE(P95_ONLY));
    drive_side(f, SIDE_LEGACY, 200, 200, 10000);
    fixture_wait(f, 100);
    drive_side(f, SIDE_NEW, 185, 200, 10000);
    drive_side(f, SIDE_NEW, 9, 200, 100000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* fewer than 5 % are slow */
    drive_side(f, SIDE_NEW, 10, 200, 100000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* 9 %, where legacy may have 5 %: not surely */
    drive_side(f, SIDE_NEW, 100, 200, 100000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    assert_non_null(strstr(f->why[f->event_count - 1], "p95 of new"));
    fixture_free(f);

    f = fixture_new(1, ROUTE(P95_ONLY));
    drive_side(f, SIDE_LEGACY, 200, 200, 10000);
    drive_side(f, SIDE_NEW, 200, 200, 19000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* 1.9 times */
    fixture_free(f);

    f = fixture_new(1, ROUTE(P95_ONLY));
    drive_side(f, SIDE_LEGACY, 200, 200, 100);
    drive_side(f, SIDE_NEW, 200, 200, 900);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* nine times, but not a millisecond */
    fixture_free(f);
}

static void trip(struct fixture *f)
{
    drive_side(f, SIDE_NEW, 50, 500, 1000);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
}

#define SLOW_ONLY                                                                                                      \
    "window: 60s, min_requests: 50, error_rate: off, error_rate_increase: off, p95_ratio: off, consecutive_errors: "   \
    "0, "                                                                                                              \
    "slow_call: 500ms, slow_call_rate: 40%, cooldown: 30s"

static void slow_calls_open_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE(SLOW_ONLY));
    fixture_wait(f, TICK_MS);
    drive_side(f, SIDE_LEGACY, 100, 200, 10000);
    drive_side(f, SIDE_NEW, 60, 200, 499999);
    drive_side(f, SIDE_NEW, 40, 200, 500000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* at the limit */
    drive_side(f, SIDE_NEW, 20, 500, 900000);        /* errors may be slow, too */
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    assert_non_null(strstr(f->why[f->event_count - 1], "50.00 % of 120 requests of new took 500 ms or longer"));
    fixture_free(f);

    f = fixture_new(1, ROUTE(SLOW_ONLY));
    fixture_wait(f, TICK_MS);
    drive_side(f, SIDE_LEGACY, 100, 200, 800000);
    drive_side(f, SIDE_NEW, 100, 200, 900000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* a busy hour: legacy is as slow */
    drive_side(f, SIDE_LEGACY, 1000, 200, 10000);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_free(f);
}

/* ---- who asks ---- */

/* Requests of one client for one path until `count` were asked of new; both from the numbers given. */
static void drive_one(struct fixture *f, uint64_t client, uint64_t path, uint32_t count, uint16_t status,
                      uint64_t latency_us)
{
    char id[32];
    char target[32];
    uint32_t done = 0;
    (void)snprintf(target, sizeof(target), "/orders/%llu?n=1", (unsigned long long)path);
    for (uint64_t other = 0; done < count; other++) { /* the first number of this client that is on new */
        struct request r;
        assert_true(other < 1000);
        request_init(&r, "GET", target);
        (void)snprintf(id, sizeof(id), "c%llu.%llu", (unsigned long long)client, (unsigned long long)other);
        request_add(&r, "X-User-Id", id);
        struct decision d = decide_on(f, 0, &r);
        if (d.side == SIDE_LEGACY) {
            observe(f, 0, &d, OUTCOME_CLIENT_GONE, 0, 0);
            continue;
        }
        for (;; done++) {
            observe(f, 0, &d, OUTCOME_OK, status, latency_us);
            if (done + 1 == count)
                return;
            d = decide_on(f, 0, &r);
        }
    }
}

#define EVERYTHING(least)                                                                                              \
    "window: 60s, min_requests: 50, error_rate: 5%, error_rate_increase: 2%, p95_ratio: 2, consecutive_errors: 10, "   \
    "slow_call: 500ms, slow_call_rate: 40%, cooldown: 30s, min_distinct_keys: " least

static void healthy_crowd(struct fixture *f)
{
    drive_side(f, SIDE_LEGACY, 200, 200, 1000);
    for (uint64_t client = 0; client < 20; client++)
        drive_one(f, client, client, 5, 200, 1000);
    fixture_wait(f, 100);
}

static void one_client_or_one_path_does_not_open_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE(EVERYTHING("3")));
    healthy_crowd(f);
    for (uint64_t path = 100; path < 120; path++)
        drive_one(f, 7, path, 20, 500, 900000); /* all its errors in a row, and slow besides */
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    for (uint64_t client = 100; client < 120; client++)
        drive_one(f, client, 7, 1, 200, 1000);
    fixture_wait(f, 100);
    drive_one(f, 8, 100, 1, 500, 1000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* two */
    drive_one(f, 9, 100, 1, 500, 900000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_OPEN); /* three */
    fixture_free(f);

    f = fixture_new(1, ROUTE(EVERYTHING("3")));
    healthy_crowd(f);
    for (uint64_t client = 0; client < 100; client++)
        drive_one(f, client, 3, 4, 500, 900000); /* everybody, but one path */
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    fixture_free(f);

    f = fixture_new(1, ROUTE(EVERYTHING("0")));
    healthy_crowd(f);
    drive_one(f, 7, 7, 30, 500, 1000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_OPEN); /* not asked for */
    fixture_free(f);
}

static void a_client_that_is_alone_opens_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE(EVERYTHING("3")));
    drive_one(f, 1, 1, 30, 500, 1000);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_free(f);

    f = fixture_new(1, ROUTE(EVERYTHING("3")));
    healthy_crowd(f);
    fixture_wait(f, 64000); /* the others have gone */
    drive_one(f, 1, 1, 30, 500, 1000);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_free(f);
}

/* ---- not new's fault ---- */

static void errors_in_a_row_of_both_sides_do_not_open_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2, ROUTE(RUN_ONLY));
    drive_side(f, SIDE_LEGACY, 100, 200, 1000);
    drive_side(f, SIDE_NEW, 100, 200, 1000);
    fixture_wait(f, 100);
    for (int i = 0; i < 30; i++) {
        drive_side(f, SIDE_LEGACY, 2, 500, 1000);
        drive_side(f, SIDE_NEW, 2, 500, 1000);
        fixture_wait(f, TICK_MS);
        assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    }
    drive_side(f, SIDE_LEGACY, 300, 200, 1000); /* legacy is back, new is not */
    drive_side(f, SIDE_NEW, 1, 500, 1000);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_free(f);
}

static void a_run_waits_for_legacys_word_but_not_long(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE(RUN_ONLY));
    drive_side(f, SIDE_LEGACY, 100, 200, 1000);
    drive_side(f, SIDE_NEW, 100, 200, 1000);
    fixture_wait(f, 100);
    drive_side(f, SIDE_NEW, 10, 500, 1000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* legacy was not asked meanwhile */
    drive_side(f, SIDE_LEGACY, 12, 200, 1000);
    drive_side(f, SIDE_NEW, 1, 500, 1000);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_free(f);

    f = fixture_new(1, ROUTE(RUN_ONLY));
    drive_side(f, SIDE_LEGACY, 100, 200, 1000);
    drive_side(f, SIDE_NEW, 100, 200, 1000);
    fixture_wait(f, 100);
    drive_side(f, SIDE_NEW, 30, 500, 1000); /* three times ten: legacy has no word */
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_free(f);
}

static void a_user_who_was_answered_by_legacy_counts_against_new(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE(RUN_ONLY));
    for (uint64_t user = 0, done = 0; done < 10; user++) {
        struct request r;
        char id[32];
        request_init(&r, "GET", "/orders");
        (void)snprintf(id, sizeof(id), "user-%llu", (unsigned long long)user);
        request_add(&r, "X-User-Id", id);
        struct decision d = decide_on(f, 0, &r);
        struct outcome outcome = {.kind = OUTCOME_OK, .status = 200, .client_status = 200, .latency_us = 1000};
        if (d.side == SIDE_NEW) { /* every client got a 200 all the same */
            outcome = (struct outcome){
                .kind = OUTCOME_CONNECT_FAILED, .client_status = 200, .fell_back = true, .latency_us = 1000};
            done++;
        }
        router_observe(f->view, 0, &d, &outcome);
    }
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_free(f);
}

static void open_it_keeps_mirroring_and_turns_testers_away(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE(RATE_ONLY));
    struct request r;
    trip(f);
    request_init(&r, "GET", "/orders");
    request_add(&r, "X-Shunt-Backend", "new");
    struct decision d = decide_on(f, 0, &r);
    assert_int_equal(d.side, SIDE_LEGACY);
    assert_int_equal(d.reason, REASON_BREAKER_OPEN);
    assert_int_equal(d.mirror, MIRROR_SENT);
    fixture_free(f);
}

/* A half-open breaker's probes, with the workers that have them. */
struct trials {
    struct decision decision[64];
    uint32_t worker[64];
    uint32_t count;
};

static struct fixture *half_open(uint32_t workers, const char *yaml)
{
    struct fixture *f = fixture_new(workers, yaml);
    trip(f);
    fixture_wait(f, 30000 - TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_HALF_OPEN);
    return f;
}

static void take_trials(struct fixture *f, struct trials *trials)
{
    trials->count = 0;
    for (uint64_t user = 0; user < 400; user++) {
        struct request r;
        char id[32];
        request_init(&r, "GET", "/orders");
        (void)snprintf(id, sizeof(id), "u%llu", (unsigned long long)user);
        request_add(&r, "X-User-Id", id);
        uint32_t worker = (uint32_t)(user % f->workers);
        struct decision d = decide_on(f, worker, &r);
        if (d.side == SIDE_LEGACY) {
            assert_true(d.cohort >= 5000 || d.reason == REASON_BREAKER_OPEN);
            observe(f, worker, &d, OUTCOME_OK, 200, 1000);
            continue;
        }
        assert_true(d.trial && d.reason == REASON_BREAKER_TRIAL && d.cohort < 5000);
        assert_true(trials->count < 64);
        trials->worker[trials->count] = worker;
        trials->decision[trials->count++] = d;
    }
}

static void end_trial(struct fixture *f, const struct trials *trials, uint32_t i, enum outcome_kind kind,
                      uint16_t status)
{
    observe(f, trials->worker[i], &trials->decision[i], kind, status, 1000);
}

static void enough_trials_close_it_and_no_more_are_sent_than_allowed(void **state)
{
    (void)state;
    struct fixture *f = half_open(2, ROUTE(RATE_ONLY));
    struct trials trials;
    take_trials(f, &trials);
    assert_int_equal(trials.count, 5); /* trial_requests for all workers together */
    for (uint32_t i = 0; i < 4; i++)
        end_trial(f, &trials, i, OUTCOME_OK, 200);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_HALF_OPEN);
    end_trial(f, &trials, 4, OUTCOME_OK, 404); /* the client's fault: a success */
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    assert_string_equal(last_event(f), "breaker_closed");
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* the errors that opened it are forgotten */
    assert_int_equal(state_of(f, "orders").trips, 1);
    fixture_free(f);
}

static void one_failed_trial_opens_it_again_for_twice_as_long(void **state)
{
    (void)state;
    struct fixture *f = half_open(1, ROUTE(RATE_ONLY));
    struct trials trials;
    take_trials(f, &trials);
    end_trial(f, &trials, 0, OUTCOME_OK, 200);
    end_trial(f, &trials, 1, OUTCOME_TIMEOUT, 0);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    assert_int_equal(state_of(f, "orders").trips, 2);
    fixture_wait(f, 60000 - TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_HALF_OPEN);
    fixture_free(f);
}

static void a_trial_that_says_nothing_gives_its_permit_back(void **state)
{
    (void)state;
    struct fixture *f = half_open(1, ROUTE(RATE_ONLY));
    struct trials trials;
    take_trials(f, &trials);
    assert_int_equal(trials.count, 5);
    end_trial(f, &trials, 0, OUTCOME_CLIENT_GONE, 0);
    end_trial(f, &trials, 1, OUTCOME_OVERLOADED, 0);
    struct trials more;
    take_trials(f, &more);
    assert_int_equal(more.count, 2);
    fixture_free(f);
}

static void lost_trials_are_replaced_after_a_while(void **state)
{
    (void)state;
    struct fixture *f = half_open(1, ROUTE(RATE_ONLY));
    struct trials lost;
    struct trials trials;
    take_trials(f, &lost);
    take_trials(f, &trials);
    assert_int_equal(trials.count, 0);
    uint32_t events = f->event_count;
    fixture_wait(f, 30000);
    take_trials(f, &trials);
    assert_int_equal(trials.count, 5);
    assert_int_equal(f->event_count, events); /* no change of state */
    end_trial(f, &lost, 0, OUTCOME_OK, 500);  /* of the epoch before: not a trial any more */
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_HALF_OPEN);
    for (uint32_t i = 0; i < 5; i++)
        end_trial(f, &trials, i, OUTCOME_OK, 200);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    fixture_free(f);
}

/* One request of new every ten seconds, each of which takes a tenth of a second. */
static void trials_may_come_slowly(void **state)
{
    (void)state;
    struct fixture *f = half_open(1, ROUTE(RATE_ONLY));
    struct request r;
    char id[16];
    struct decision d = {0};
    for (uint32_t user = 0; !d.trial; user++) {
        (void)snprintf(id, sizeof(id), "u%u", user);
        request_init(&r, "GET", "/orders");
        request_add(&r, "X-User-Id", id);
        d = decide_on(f, 0, &r);
    }
    for (int i = 0; i < 5; i++) {
        assert_true(d.trial);
        fixture_wait(f, 100);
        assert_int_equal(breaker_of(f), BREAKER_HALF_OPEN);
        observe(f, 0, &d, OUTCOME_OK, 200, 100000);
        fixture_wait(f, 10000);
        if (i < 4)
            d = decide_on(f, 0, &r);
    }
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    fixture_free(f);
}

static void trials_may_take_longer_than_the_cooldown(void **state)
{
    (void)state;
    struct fixture *f = half_open(1, ROUTE(RATE_ONLY));
    struct trials trials;
    take_trials(f, &trials);
    fixture_wait(f, 40000);
    for (uint32_t i = 0; i < trials.count; i++)
        end_trial(f, &trials, i, OUTCOME_OK, 200);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_HALF_OPEN); /* they came too late ... */
    take_trials(f, &trials);
    assert_int_equal(trials.count, 5);
    fixture_wait(f, 40000);
    for (uint32_t i = 0; i < trials.count; i++)
        end_trial(f, &trials, i, OUTCOME_OK, 200);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* ... and were waited for twice as long then */
    fixture_free(f);
}

static void testers_use_permits_too(void **state)
{
    (void)state;
    struct fixture *f = half_open(1, ROUTE(RATE_ONLY));
    uint32_t on_new = 0;
    for (int i = 0; i < 20; i++) {
        struct request r;
        request_init(&r, "GET", "/orders");
        request_add(&r, "X-Shunt-Backend", "new");
        on_new += decide_on(f, 0, &r).side == SIDE_NEW;
    }
    assert_int_equal(on_new, 5);
    fixture_free(f);
}

static void after_max_trips_it_is_rolled_back_until_a_person_resumes(void **state)
{
    (void)state;
    struct fixture *f = half_open(1, ROUTE(RATE_ONLY));
    struct trials trials;
    for (int round = 0; round < 2; round++) {
        take_trials(f, &trials);
        end_trial(f, &trials, 0, OUTCOME_RESET, 0);
        fixture_wait(f, TICK_MS);
        assert_int_equal(state_of(f, "orders").phase, round == 0 ? PLAN_FIXED : PLAN_ROLLED_BACK);
        fixture_wait(f, 60000);
    }
    assert_int_equal(count_events(f, "rollback"), 1);
    assert_int_equal(state_of(f, "orders").percent, 0);
    fixture_wait(f, 600000);
    assert_int_equal(state_of(f, "orders").phase, PLAN_ROLLED_BACK);
    for (uint64_t user = 0; user < 100; user++)
        assert_int_equal(drive(f, 0, user, 200, 200, 1000).side, SIDE_LEGACY);
    assert_int_equal(command(f, VERB_RESUME, "orders"), 0);
    assert_int_equal(state_of(f, "orders").phase, PLAN_FIXED);
    assert_int_equal(state_of(f, "orders").percent, 5000);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    assert_int_equal(state_of(f, "orders").trips, 0);
    fixture_free(f);
}

static void a_trial_that_fails_with_legacy_is_no_trip(void **state)
{
    (void)state;
    struct fixture *f = half_open(1, ROUTE(RATE_ONLY));
    struct trials trials;
    drive_side(f, SIDE_LEGACY, 3, 500, 1000);
    struct request r;
    request_init(&r, "GET", "/orders");
    request_add(&r, "X-Shunt-Backend", "new");
    trials.worker[0] = 0;
    trials.decision[0] = decide_on(f, 0, &r);
    assert_true(trials.decision[0].trial);
    end_trial(f, &trials, 0, OUTCOME_OK, 500);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    assert_int_equal(state_of(f, "orders").trips, 1);
    assert_non_null(strstr(f->why[f->event_count - 1], "not counted"));
    fixture_wait(f, 30000);
    assert_int_equal(breaker_of(f), BREAKER_HALF_OPEN); /* nor is the cooldown longer */
    fixture_free(f);
}

/* ---- back again ---- */

#define RAMPED                                                                                                         \
    "window: 60s, min_requests: 50, error_rate: 5%, error_rate_increase: off, p95_ratio: off, consecutive_errors: 0, " \
    "cooldown: 30s, max_trips: 3, trial_requests: 5, ramp: "

static void recover(struct fixture *f)
{
    struct trials trials;
    take_trials(f, &trials);
    for (uint32_t i = 0; i < 5; i++)
        end_trial(f, &trials, i, OUTCOME_OK, 200);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
}

static uint32_t share_of(struct fixture *f)
{
    struct request r;
    request_init(&r, "GET", "/orders");
    request_add(&r, "X-User-Id", "ann");
    struct decision d = decide_on(f, 0, &r);
    observe(f, 0, &d, OUTCOME_CLIENT_GONE, 0, 0);
    return d.share;
}

static void the_share_grows_back_in_ten_steps(void **state)
{
    (void)state;
    struct fixture *f = half_open(1, ROUTE(RAMPED "10s"));
    assert_int_equal(share_of(f), 5000); /* trials are asked of those who would be on new */
    recover(f);
    for (uint32_t step = 1; step <= 10; step++) {
        assert_int_equal(share_of(f), 500 * step);
        fixture_wait(f, 1000 - TICK_MS);
        assert_int_equal(share_of(f), 500 * step);
        fixture_wait(f, TICK_MS);
    }
    assert_int_equal(share_of(f), 5000);
    fixture_free(f);

    f = half_open(1, ROUTE(RAMPED "0s"));
    recover(f);
    assert_int_equal(share_of(f), 5000);
    fixture_free(f);
}

static void a_trip_during_the_ramp_is_one_more_in_a_row(void **state)
{
    (void)state;
    struct fixture *f = half_open(1, ROUTE(RAMPED "20m")); /* longer than ten healthy windows */
    recover(f);
    fixture_wait(f, 11 * 60000);
    assert_int_equal(state_of(f, "orders").trips, 1);
    assert_int_equal(share_of(f), 3000);
    trip(f);
    assert_int_equal(state_of(f, "orders").trips, 2);
    fixture_wait(f, 60000);
    assert_int_equal(breaker_of(f), BREAKER_HALF_OPEN);
    recover(f);
    assert_int_equal(share_of(f), 500); /* from the beginning */
    fixture_wait(f, 20 * 60000);
    assert_int_equal(share_of(f), 5000);
    assert_int_equal(state_of(f, "orders").trips, 0);
    fixture_free(f);
}

static void time_asleep_is_no_step_of_the_way_back(void **state)
{
    (void)state;
    struct fixture *f = half_open(1, ROUTE(RAMPED "10s"));
    recover(f);
    fixture_wait(f, 2500);
    assert_int_equal(share_of(f), 1500);
    fixture_sleep(f, 3600000);
    fixture_wait(f, 250);
    assert_int_equal(share_of(f), 1500);
    assert_int_equal(state_of(f, "orders").trips, 1); /* nor is it an hour without a trip */
    fixture_wait(f, 7250);
    assert_int_equal(share_of(f), 5000);
    fixture_wait(f, 10 * 60000);
    assert_int_equal(state_of(f, "orders").trips, 0);
    fixture_free(f);
}

static void a_cooldown_passes_in_sleep(void **state)
{
    (void)state;
    struct fixture *f = half_open(1, ROUTE(RAMPED "10s"));
    recover(f);
    trip(f);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_sleep(f, 3600000);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_HALF_OPEN);
    fixture_free(f);
}

/* A person closed it after the last tick, and before anybody noticed the sleep. */
static void no_breaker_closes_in_the_future(void **state)
{
    (void)state;
    const struct config_breaker limits = {.enabled = true, .window_ms = 60000, .ramp_ms = 10000};
    struct breaker breaker = {0};
    breaker_reset(&breaker, "closed", 5000);
    breaker_slept(&breaker, 4000, 5500);
    breaker_slept(&breaker, 0, 5500);
    assert_int_equal(breaker.since_ms, 5500);
    assert_int_equal(breaker_share(&breaker, &limits, 2500, 5500), 2500);
    breaker_done(&breaker);
}

static void a_ramp_goes_on_after_a_restart(void **state)
{
    (void)state;
    const struct config_breaker limits = {.enabled = true, .window_ms = 60000, .ramp_ms = 10000};
    struct breaker breaker = {0};
    assert_int_equal(breaker_share(&breaker, &limits, 2500, 1000), 2500);
    assert_int_equal(breaker_ramp_left_ms(&breaker, &limits, 1000), 0);
    breaker_resume_ramp(&breaker, &limits, 7000, 50000);
    assert_int_equal(breaker_ramp_left_ms(&breaker, &limits, 50000), 7000);
    assert_int_equal(breaker_share(&breaker, &limits, 2500, 50000), 1000);
    assert_int_equal(breaker_share(&breaker, &limits, 1, 50000), 1); /* never rounded away */
    assert_int_equal(breaker_share(&breaker, &limits, 2500, 56999), 2500);
    breaker_resume_ramp(&breaker, &limits, 70000, 50000); /* the file has made it shorter meanwhile */
    assert_int_equal(breaker_share(&breaker, &limits, 2500, 50000), 250);
    breaker_resume_ramp(&breaker, &limits, 0, 50000);
    assert_int_equal(breaker_share(&breaker, &limits, 2500, 50000), 2500);
}

static void cooldowns_are_up_to_a_fifth_longer_by_chance(void **state)
{
    (void)state;
    const struct config_breaker limits = {
        .enabled = true,
        .window_ms = 1000,
        .min_requests = 1,
        .error_rate = RATE_UNSET,
        .error_rate_increase = RATE_UNSET,
        .p95_ratio = RATE_UNSET,
        .consecutive_errors = 1,
        .cooldown_ms = 100000,
    };
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    uint64_t first[2];
    for (uint64_t seed = 0; seed < 400; seed++) {
        static struct breaker breaker;
        static struct route_counters sum;
        memset(&breaker, 0, sizeof(breaker));
        memset(&sum, 0, sizeof(sum));
        breaker_seed(&breaker, seed / 2);
        (void)breaker_configure(&breaker, &limits, &sum, 1000);
        sum.side[SIDE_NEW].judged = sum.side[SIDE_NEW].errors = 1;
        assert_int_equal(breaker_tick(&breaker, &limits, &sum, false, NULL, NULL, 2000), BREAKER_TRIPPED);
        uint64_t cooldown_ms = breaker.half_open_at_ms - 2000;
        least = cooldown_ms < least ? cooldown_ms : least;
        most = cooldown_ms > most ? cooldown_ms : most;
        first[seed % 2] = cooldown_ms;
        if (seed % 2 == 1)
            assert_int_equal(first[0], first[1]); /* the same seed */
    }
    assert_in_range(least, 100000, 101000);
    assert_in_range(most, 119000, 120000);
}

static void ten_healthy_windows_end_the_row_of_trips(void **state)
{
    (void)state;
    struct fixture *f = half_open(1, ROUTE(RATE_ONLY));
    struct trials trials;
    take_trials(f, &trials);
    for (uint32_t i = 0; i < 5; i++)
        end_trial(f, &trials, i, OUTCOME_OK, 200);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    fixture_wait(f, 10 * 60000 - TICK_MS);
    assert_int_equal(state_of(f, "orders").trips, 1);
    fixture_wait(f, TICK_MS);
    assert_int_equal(state_of(f, "orders").trips, 0);
    assert_string_equal(last_event(f), "breaker_healthy");
    fixture_free(f);
}

static void a_run_does_not_go_on_over_an_open_breaker(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2, ROUTE(RUN_ONLY));
    drive_side(f, SIDE_NEW, 18, 500, 1000); /* nine on each of two workers: over all, more than ten */
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    assert_int_equal(command(f, VERB_RESET_BREAKER, "orders"), 0);
    drive_side(f, SIDE_NEW, 9, 500, 1000);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    drive_side(f, SIDE_NEW, 1, 500, 1000);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_free(f);
}

static void resetting_and_switching_it_off_close_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE(RATE_ONLY));
    assert_int_equal(command(f, VERB_RESET_BREAKER, "orders"), -EALREADY);
    trip(f);
    assert_int_equal(command(f, VERB_RESET_BREAKER, "orders"), 0);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    assert_string_equal(f->who[f->event_count - 1], "operator:ann");
    trip(f);
    fixture_configure(f, YAML_HEAD "  - { name: orders, match: { path: /orders/** }, percent: 50, breaker: off }\n");
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    assert_string_equal(last_event(f), "breaker_closed");
    assert_string_equal(f->who[f->event_count - 1], "config");
    for (uint64_t user = 0; user < 1000; user++)
        (void)drive(f, 0, user, 200, 500, 1000);
    fixture_wait(f, 1000);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    fixture_free(f);
}

static void a_reload_keeps_it_open_with_its_window(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTE(RATE_ONLY));
    drive_side(f, SIDE_NEW, 49, 500, 1000);
    fixture_wait(f, 100);
    fixture_configure(f, ROUTE(RATE_ONLY));
    drive_side(f, SIDE_NEW, 1, 500, 1000);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_configure(f, ROUTE(P95_ONLY)); /* other limits: still open, closed only by trials */
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
    fixture_wait(f, 30000);
    assert_int_equal(breaker_of(f), BREAKER_HALF_OPEN);
    fixture_free(f);
}

static void the_cooldown_doubles_to_an_hour(void **state)
{
    (void)state;
    struct config_breaker limits = {.cooldown_ms = 30000};
    assert_int_equal(breaker_cooldown_ms(&limits, 1), 30000);
    assert_int_equal(breaker_cooldown_ms(&limits, 2), 60000);
    assert_int_equal(breaker_cooldown_ms(&limits, 5), 480000);
    assert_int_equal(breaker_cooldown_ms(&limits, 1000000), 3600000);
    limits.cooldown_ms = 7200000;
    assert_int_equal(breaker_cooldown_ms(&limits, 3), 7200000);
    limits.cooldown_ms = 0;
    assert_int_equal(breaker_cooldown_ms(&limits, 3), 0);
}

/* Healthy traffic of every size and speed never opens it. */
static void health_never_opens_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2, YAML_HEAD "  - name: orders\n"
                                                 "    match: { path: /orders/** }\n"
                                                 "    sticky: [ { header: X-User-Id } ]\n"
                                                 "    percent: 50\n");
    for (int i = 0; i < 4000; i++) {
        for (uint64_t n = 0; n < 10; n++) {
            uint64_t user = next_random(&f->random);
            uint16_t status = user % 500 == 0 ? 500 : 200; /* 0.2 % on both sides */
            (void)drive(f, (uint32_t)(n & 1), user, status, status, 1000 + user % 700);
        }
        fixture_wait(f, TICK_MS);
    }
    assert_int_equal(count_events(f, "breaker_open"), 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_opens_at_the_tick_after_the_crossing),
        cmocka_unit_test(at_the_limit_it_stays_closed),
        cmocka_unit_test(old_errors_leave_the_window),
        cmocka_unit_test(a_failure_that_legacy_shares_does_not_open_it),
        cmocka_unit_test(an_increase_over_legacy_opens_it),
        cmocka_unit_test(errors_in_a_row_open_it),
        cmocka_unit_test(errors_in_a_row_over_several_workers_open_it),
        cmocka_unit_test(a_slow_p95_opens_it),
        cmocka_unit_test(open_it_keeps_mirroring_and_turns_testers_away),
        cmocka_unit_test(enough_trials_close_it_and_no_more_are_sent_than_allowed),
        cmocka_unit_test(one_failed_trial_opens_it_again_for_twice_as_long),
        cmocka_unit_test(a_trial_that_says_nothing_gives_its_permit_back),
        cmocka_unit_test(lost_trials_are_replaced_after_a_while),
        cmocka_unit_test(trials_may_come_slowly),
        cmocka_unit_test(trials_may_take_longer_than_the_cooldown),
        cmocka_unit_test(testers_use_permits_too),
        cmocka_unit_test(after_max_trips_it_is_rolled_back_until_a_person_resumes),
        cmocka_unit_test(ten_healthy_windows_end_the_row_of_trips),
        cmocka_unit_test(a_run_does_not_go_on_over_an_open_breaker),
        cmocka_unit_test(resetting_and_switching_it_off_close_it),
        cmocka_unit_test(a_reload_keeps_it_open_with_its_window),
        cmocka_unit_test(the_cooldown_doubles_to_an_hour),
        cmocka_unit_test(bad_luck_with_few_requests_does_not_open_it),
        cmocka_unit_test(what_is_new_counts_before_the_window_has_turned),
        cmocka_unit_test(slow_calls_open_it),
        cmocka_unit_test(one_client_or_one_path_does_not_open_it),
        cmocka_unit_test(a_client_that_is_alone_opens_it),
        cmocka_unit_test(errors_in_a_row_of_both_sides_do_not_open_it),
        cmocka_unit_test(a_run_waits_for_legacys_word_but_not_long),
        cmocka_unit_test(a_user_who_was_answered_by_legacy_counts_against_new),
        cmocka_unit_test(a_trial_that_fails_with_legacy_is_no_trip),
        cmocka_unit_test(the_share_grows_back_in_ten_steps),
        cmocka_unit_test(a_trip_during_the_ramp_is_one_more_in_a_row),
        cmocka_unit_test(time_asleep_is_no_step_of_the_way_back),
        cmocka_unit_test(a_cooldown_passes_in_sleep),
        cmocka_unit_test(no_breaker_closes_in_the_future),
        cmocka_unit_test(a_ramp_goes_on_after_a_restart),
        cmocka_unit_test(cooldowns_are_up_to_a_fifth_longer_by_chance),
        cmocka_unit_test(health_never_opens_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
