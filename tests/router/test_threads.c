/*
 * Two workers decide and observe while control ticks, publishes, reloads, obeys and reads. Run under ThreadSanitizer
 * this shows that the halves share nothing without order; run plainly it shows that nothing is lost or freed too early.
 */
#include "fixture.h"

#include <pthread.h>

#define FILE_OF(percent)                                                                                               \
    YAML_HEAD                                                                                                          \
    "  - name: orders\n"                                                                                               \
    "    match: { path: /orders/** }\n"                                                                                \
    "    sticky: [ { header: X-User-Id } ]\n"                                                                          \
    "    percent: " percent "\n"                                                                                       \
    "    shadow: { percent: 50 }\n"                                                                                    \
    "    breaker: { window: 1s, consecutive_errors: 3, cooldown: 50ms, max_trips: 0, trial_requests: 2 }\n"

enum {
    WORKERS = 2,
    REQUESTS = 20000
};

/* The newest view, handed over the way control does it: under a lock, with a reference. */
struct exchange_place {
    pthread_mutex_t lock;
    struct router_view *view;
};

struct worker {
    pthread_t thread;
    uint32_t index;
    struct exchange_place *place;
    uint64_t on_side[SIDES];
};

static struct router_view *take_view(struct exchange_place *place)
{
    (void)pthread_mutex_lock(&place->lock);
    struct router_view *view = place->view;
    router_view_ref(view);
    (void)pthread_mutex_unlock(&place->lock);
    return view;
}

static void put_view(struct exchange_place *place, struct router_view *view)
{
    (void)pthread_mutex_lock(&place->lock);
    struct router_view *former = place->view;
    place->view = view;
    (void)pthread_mutex_unlock(&place->lock);
    router_view_unref(former);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    uint64_t random = worker->index + 1;
    struct router_view *view = take_view(worker->place);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        struct request r;
        struct decision d;
        char id[32];
        if (i % 64 == 0) {
            router_view_unref(view);
            view = take_view(worker->place);
        }
        request_init(&r, "GET", "/orders/1");
        (void)snprintf(id, sizeof(id), "u%u", i);
        request_add(&r, "X-User-Id", id);
        r.facts.random = next_random(&random);
        router_decide(view, worker->index, &r.facts, &d);
        bool bad = d.side == SIDE_NEW && (i / 2000) % 2 == 1;
        struct outcome outcome = {.kind = OUTCOME_OK, .status = bad ? 500 : 200, .client_status = 200, .latency_us = i};
        router_observe(view, worker->index, &d, &outcome);
        worker->on_side[d.side]++;
    }
    router_view_unref(view);
    return NULL;
}

static uint64_t ended(const struct fixture *f)
{
    struct route_counters sum;
    assert_true(router_counters(f->router, "orders", &sum));
    return sum.side[SIDE_LEGACY].requests + sum.side[SIDE_NEW].requests;
}

static void control(struct fixture *f, struct exchange_place *place)
{
    for (uint32_t round = 0; ended(f) < (uint64_t)WORKERS * REQUESTS; round++) {
        f->now_ms += TICK_MS;
        f->wall_ms += TICK_MS;
        bool publish = router_tick(f->router, f->now_ms, f->wall_ms);
        if (round % 50 == 49 && f->config_count < FIXTURE_CONFIGS) {
            struct config *config = config_from(round % 100 == 99 ? FILE_OF("70") : FILE_OF("30"));
            f->config[f->config_count++] = config;
            assert_true(router_configure(f->router, config, f->now_ms, f->wall_ms));
            publish = true;
        }
        if (round % 7 == 0)
            json_decref(router_status(f->router, f->now_ms, f->wall_ms));
        if (round % 11 == 0)
            json_decref(router_save(f->router, f->now_ms, f->wall_ms));
        if (publish)
            put_view(place, router_publish(f->router));
        (void)sched_yield();
    }
}

static void workers_and_control_share_nothing_without_order(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(WORKERS, FILE_OF("50"));
    struct exchange_place place = {.view = router_publish(f->router)};
    struct worker workers[WORKERS];
    assert_int_equal(pthread_mutex_init(&place.lock, NULL), 0);
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.index = i, .place = &place};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    control(f, &place);
    uint64_t on_side[SIDES] = {0};
    for (uint32_t i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        on_side[SIDE_LEGACY] += workers[i].on_side[SIDE_LEGACY];
        on_side[SIDE_NEW] += workers[i].on_side[SIDE_NEW];
    }
    struct route_counters sum;
    assert_true(router_counters(f->router, "orders", &sum));
    assert_int_equal(sum.side[SIDE_LEGACY].requests, on_side[SIDE_LEGACY]);
    assert_int_equal(sum.side[SIDE_NEW].requests, on_side[SIDE_NEW]);
    assert_int_equal(sum.in_flight, 0);
    assert_true(on_side[SIDE_NEW] > 0);
    router_view_unref(place.view);
    assert_int_equal(pthread_mutex_destroy(&place.lock), 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_and_control_share_nothing_without_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
