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
    drive_side(f, SIDE_NEW, 47, 200, 1000);
    drive_side(f, SIDE_NEW, 2, 500, 1000);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* 49 requests: too few to judge */
    drive_side(f, SIDE_NEW, 1, 503, 1000);           /* 3 of 50 is 6 % */
    uint64_t crossed_ms = f->now_ms;
    while (breaker_of(f) == BREAKER_CLOSED && f->now_ms < crossed_ms + 1000)
        fixture_wait(f, TICK_MS);
    assert_true(f->now_ms - crossed_ms <= 100);
    assert_string_equal(last_event(f), "breaker_open");
    assert_string_equal(f->who[f->event_count - 1], "breaker");
    assert_non_null(strstr(f->why[f->event_count - 1], "6.00 % of 50 requests"));
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
    drive_side(f, SIDE_NEW, 95, 200, 1000);
    drive_side(f, SIDE_NEW, 5, 500, 1000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    drive_side(f, SIDE_NEW, 1, 0, 1000); /* connect failures count like 5xx */
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
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
    drive_side(f, SIDE_NEW, 40, 500, 1000);
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_OPEN);
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
    drive_side(f, SIDE_NEW, 185, 200, 10000);
    drive_side(f, SIDE_NEW, 9, 200, 100000);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* fewer than 5 % are slow */
    drive_side(f, SIDE_NEW, 10, 200, 100000);
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
    assert_int_equal(trials.count, 10); /* trial_requests for each worker */
    for (uint32_t i = 0; i < 4; i++)
        end_trial(f, &trials, i, OUTCOME_OK, 200);
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_HALF_OPEN);
    end_trial(f, &trials, 4, OUTCOME_OK, 404); /* the client's fault: a success */
    fixture_wait(f, TICK_MS);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED);
    assert_string_equal(last_event(f), "breaker_closed");
    end_trial(f, &trials, 5, OUTCOME_OK, 500); /* too late to count as a trial */
    fixture_wait(f, 100);
    assert_int_equal(breaker_of(f), BREAKER_CLOSED); /* and the errors that opened it are forgotten */
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
        cmocka_unit_test(testers_use_permits_too),
        cmocka_unit_test(after_max_trips_it_is_rolled_back_until_a_person_resumes),
        cmocka_unit_test(ten_healthy_windows_end_the_row_of_trips),
        cmocka_unit_test(a_run_does_not_go_on_over_an_open_breaker),
        cmocka_unit_test(resetting_and_switching_it_off_close_it),
        cmocka_unit_test(a_reload_keeps_it_open_with_its_window),
        cmocka_unit_test(the_cooldown_doubles_to_an_hour),
        cmocka_unit_test(health_never_opens_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
