/*
 * The fleet on the /metrics page: see metrics_fleet.h. Control thread; reads the facts it is handed only.
 *
 * What only the leader knows (replicas with another file) is 0 elsewhere, so that a sum over the fleet is right.
 */
#include "proxy/metrics_fleet.h"

#include <stddef.h>

#include "proxy/control_fleet.h"

static const enum fleet_role roles[] = {FLEET_LEADER, FLEET_FOLLOWER, FLEET_CUT_OFF};

static void write_errors(struct metrics_text *text, const struct redis_facts *redis)
{
    metrics_text_family(text, "shunt_redis_errors_total", METRICS_COUNTER, "What did not work with Redis, by kind");
    for (int fault = REDIS_FAULT_NONE + 1; fault < REDIS_FAULTS; fault++) {
        const struct metrics_label labels[] = {{"kind", redis_fault_name((enum redis_fault)fault)}, {NULL, NULL}};
        metrics_text_count(text, labels, redis->faults[fault]);
    }
}

static void write_redis(struct metrics_text *text, const struct redis_facts *redis)
{
    const struct metrics_fact facts[] = {
        {"shunt_redis_available", METRICS_GAUGE, redis->ready, "1 while Redis answers"},
        {"shunt_redis_reconnects_total", METRICS_COUNTER, (double)redis->reconnects,
         "Connections to Redis made after the first"},
        {"shunt_redis_commands_total", METRICS_COUNTER, (double)redis->commands, "Commands sent to Redis"},
        {"shunt_redis_unverified_total", METRICS_COUNTER, (double)redis->unverified,
         "Connections to Redis whose certificate nobody looked at (insecure_skip_verify)"},
        {"shunt_redis_queue", METRICS_GAUGE, (double)redis->queued, "Questions that Redis has not answered yet"},
    };
    metrics_text_facts(text, facts, sizeof(facts) / sizeof(facts[0]));
    metrics_text_family(text, "shunt_redis_latency_seconds", METRICS_HISTOGRAM,
                        "From a question to Redis to its answer");
    metrics_text_histogram(text, NULL, NULL, NULL, 0, redis->answers, redis->latency_sum_us);
    write_errors(text, redis);
}

static void write_role(struct metrics_text *text, enum fleet_role role)
{
    metrics_text_family(text, "shunt_fleet_role", METRICS_GAUGE, "1 for the part this replica has in its fleet");
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        const struct metrics_label labels[] = {{"role", fleet_role_name(roles[i])}, {NULL, NULL}};
        metrics_text_count(text, labels, role == roles[i] ? 1 : 0);
    }
}

/* Without a sample while nobody can tell: Redis has never answered. */
static void write_lag(struct metrics_text *text, const struct control_fleet_facts *facts)
{
    metrics_text_family(text, "shunt_fleet_lag_seconds", METRICS_GAUGE,
                        "Since the last answer of Redis to this replica");
    if (facts->lag_ms > 0 || facts->redis.ready)
        metrics_text_value(text, NULL, (double)facts->lag_ms / 1e3);
}

void metrics_fleet_write(struct metrics_text *text, const struct control_fleet_facts *facts)
{
    const struct metrics_label names[] = {{"group", facts->group}, {"replica", facts->replica}, {NULL, NULL}};
    const struct metrics_fact rows[] = {
        {"shunt_fleet_epoch", METRICS_GAUGE, (double)facts->epoch,
         "Changes of what the fleet wants that this replica knows of"},
        {"shunt_fleet_term", METRICS_GAUGE, (double)facts->term, "Leaders the fleet has had"},
        {"shunt_fleet_replicas", METRICS_GAUGE, (double)facts->alive, "Replicas alive at the last answer of Redis"},
        {"shunt_fleet_replicas_other_file", METRICS_GAUGE, (double)facts->other_file,
         "Replicas whose file has other plans, as the leader knows them; 0 in followers"},
        {"shunt_fleet_conflicts_total", METRICS_COUNTER, (double)facts->conflicts,
         "Changes of this replica that somebody else's was before"},
    };
    metrics_text_family(text, "shunt_fleet_info", METRICS_GAUGE, "Always 1; group and replica are labels");
    metrics_text_count(text, names, 1);
    write_role(text, facts->role);
    metrics_text_facts(text, rows, sizeof(rows) / sizeof(rows[0]));
    write_lag(text, facts);
    write_redis(text, &facts->redis);
}
