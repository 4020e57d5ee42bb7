/*
 * What the metrics page says of a fleet, and of the way to Redis.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proxy/control_fleet.h"
#include "proxy/metrics_fleet.h"

static char *page_of(const struct control_fleet_facts *facts)
{
    struct evbuffer *out = evbuffer_new();
    struct metrics_text text;
    metrics_text_init(&text, out);
    metrics_fleet_write(&text, facts);
    assert_false(text.failed);
    size_t length = evbuffer_get_length(out);
    char *page = malloc(length + 2);
    assert_non_null(page);
    page[0] = '\n'; /* each line is found between two of them */
    assert_int_equal(evbuffer_remove(out, page + 1, length), length);
    page[length + 1] = '\0';
    evbuffer_free(out);
    return page;
}

static void says(const char *page, const char *line)
{
    char whole[256];
    (void)snprintf(whole, sizeof(whole), "\n%s\n", line);
    if (strstr(page, whole) == NULL)
        fail_msg("\"%s\" is not in:%s", line, page);
}

static void a_leader_says_all_there_is_to_know(void **state)
{
    struct control_fleet_facts facts = {
        .redis = {.ready = true,
                  .reconnects = 3,
                  .commands = 4711,
                  .queued = 2,
                  .latency_us = 900,
                  .latency_sum_us = 2500000,
                  .answers = 5000},
        .role = FLEET_LEADER,
        .epoch = 17,
        .term = 4,
        .alive = 20,
        .lag_ms = 250,
        .conflicts = 5,
        .other_file = 1,
        .group = "orders",
        .replica = "pod-\"1\"",
        .leader = "pod-1",
    };
    (void)state;
    facts.redis.faults[REDIS_FAULT_TIMEOUT] = 6;
    facts.redis.faults[REDIS_FAULT_REFUSED] = 7;
    char *page = page_of(&facts);
    says(page, "shunt_fleet_info{group=\"orders\",replica=\"pod-\\\"1\\\"\"} 1");
    says(page, "shunt_fleet_role{role=\"leader\"} 1");
    says(page, "shunt_fleet_role{role=\"follower\"} 0");
    says(page, "shunt_fleet_role{role=\"cut_off\"} 0");
    says(page, "shunt_fleet_epoch 17");
    says(page, "shunt_fleet_term 4");
    says(page, "shunt_fleet_replicas 20");
    says(page, "shunt_fleet_lag_seconds 0.25");
    says(page, "shunt_fleet_replicas_other_file 1");
    says(page, "# TYPE shunt_fleet_conflicts_total counter");
    says(page, "shunt_fleet_conflicts_total 5");
    says(page, "shunt_redis_available 1");
    says(page, "shunt_redis_reconnects_total 3");
    says(page, "shunt_redis_commands_total 4711");
    says(page, "shunt_redis_queue 2");
    says(page, "shunt_redis_latency_seconds_sum 2.5");
    says(page, "shunt_redis_latency_seconds_count 5000");
    says(page, "shunt_redis_errors_total{kind=\"timeout\"} 6");
    says(page, "shunt_redis_errors_total{kind=\"refused\"} 7");
    says(page, "shunt_redis_errors_total{kind=\"auth\"} 0");
    free(page);
}

/* An alert on the lag must not read a replica that was never answered as one that is up to date. */
static void a_replica_without_redis_cannot_tell_its_lag(void **state)
{
    struct control_fleet_facts facts = {.role = FLEET_CUT_OFF, .group = "g", .replica = "r", .leader = ""};
    (void)state;
    char *page = page_of(&facts);
    says(page, "shunt_fleet_role{role=\"cut_off\"} 1");
    says(page, "shunt_fleet_role{role=\"leader\"} 0");
    says(page, "shunt_redis_available 0");
    assert_non_null(strstr(page, "\n# TYPE shunt_fleet_lag_seconds gauge\n"));
    assert_null(strstr(page, "\nshunt_fleet_lag_seconds"));
    free(page);
    facts.redis.ready = true; /* answered just now */
    page = page_of(&facts);
    says(page, "shunt_fleet_lag_seconds 0");
    free(page);
    facts.redis.ready = false; /* a minute ago */
    facts.lag_ms = 60000;
    page = page_of(&facts);
    says(page, "shunt_fleet_lag_seconds 60");
    free(page);
}

static void every_kind_of_fault_has_its_series(void **state)
{
    struct control_fleet_facts facts = {.group = "g", .replica = "r", .leader = ""};
    unsigned series = 0;
    (void)state;
    char *page = page_of(&facts);
    for (const char *at = page; (at = strstr(at, "\nshunt_redis_errors_total{kind=\"")) != NULL; at++)
        series++;
    assert_int_equal(series, REDIS_FAULTS - 1); /* not the one that says there is none */
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_says_all_there_is_to_know),
        cmocka_unit_test(a_replica_without_redis_cannot_tell_its_lag),
        cmocka_unit_test(every_kind_of_fault_has_its_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
