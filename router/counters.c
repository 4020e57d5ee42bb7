/*
 * Names of what is counted, and the sum over workers. The names are part of the metrics and of the log: they never
 * change.
 */
#include "router/counters.h"

static const char *const outcome_names[OUTCOME_KINDS] = {
    [OUTCOME_OK] = "ok",
    [OUTCOME_CONNECT_FAILED] = "connect_failed",
    [OUTCOME_TIMEOUT] = "timeout",
    [OUTCOME_RESET] = "reset",
    [OUTCOME_BAD_RESPONSE] = "bad_response",
    [OUTCOME_OVERLOADED] = "overloaded",
    [OUTCOME_CLIENT_GONE] = "client_gone",
};

static const struct {
    const char *name;
    bool final;
} mirror_reasons[MIRROR_REASONS] = {
    [MIRROR_SENT] = {"sent", false},
    [MIRROR_OFF] = {"off", false},
    [MIRROR_RATE] = {"rate", true},
    [MIRROR_METHOD] = {"method", true},
    [MIRROR_UPGRADE] = {"upgrade", true},
    [MIRROR_COPY] = {"copy", true},
    [MIRROR_PASSTHROUGH] = {"passthrough", true},
    [MIRROR_SIMULATED] = {"simulated", true},
    [MIRROR_RATE_LIMIT] = {"rate_limit", true},
    [MIRROR_IN_FLIGHT] = {"in_flight", true},
    [MIRROR_BREAKER] = {"breaker", true},
    [MIRROR_MEMORY] = {"memory", true},
    [MIRROR_BODY_TOO_LARGE] = {"body_too_large", true},
    [MIRROR_STATUS] = {"status", true},
    [MIRROR_CONNECT] = {"connect", true},
    [MIRROR_TIMEOUT] = {"timeout", true},
    [MIRROR_RESET] = {"reset", true},
    [MIRROR_BAD_RESPONSE] = {"bad_response", true},
    [MIRROR_CLIENT_GONE] = {"client_gone", true},
    [MIRROR_PRIMARY_FAILED] = {"primary_failed", true},
    [MIRROR_CUT_SHORT] = {"cut_short", true},
    [MIRROR_QUEUE] = {"queue", true},
    [MIRROR_COMPARED] = {"compared", true},
    [MIRROR_NOISE_SENT] = {"noise_sent", false},
    [MIRROR_NOISE_COMPARED] = {"noise_compared", false},
    [MIRROR_NOISE_DROPPED] = {"noise_dropped", false},
};

const char *outcome_kind_name(enum outcome_kind kind)
{
    return (unsigned)kind < OUTCOME_KINDS ? outcome_names[kind] : "unknown";
}

const char *mirror_reason_name(enum mirror_reason reason)
{
    return (unsigned)reason < MIRROR_REASONS ? mirror_reasons[reason].name : "unknown";
}

bool mirror_reason_is_final(enum mirror_reason reason)
{
    return (unsigned)reason < MIRROR_REASONS && mirror_reasons[reason].final;
}

static void side_counters_add(struct side_counters *into, const struct side_counters *from)
{
    into->requests += count_read(&from->requests);
    for (int i = 0; i < STATUS_CLASSES; i++)
        into->by_class[i] += count_read(&from->by_class[i]);
    for (int i = 0; i < OUTCOME_KINDS; i++)
        into->by_outcome[i] += count_read(&from->by_outcome[i]);
    for (int i = 0; i < GRPC_STATUSES; i++)
        into->by_grpc[i] += count_read(&from->by_grpc[i]);
    into->judged += count_read(&from->judged);
    into->errors += count_read(&from->errors);
    into->slow += count_read(&from->slow);
    into->error_run += count_read(&from->error_run);
    into->error_runs_over += count_read(&from->error_runs_over);
    into->fallbacks += count_read(&from->fallbacks);
}

void route_counters_add(struct route_counters *into, const struct route_counters *from)
{
    route_counters_add_latency(into, from);
    for (int side = 0; side < SIDES; side++)
        crowd_merge(&into->side[side].crowd, &from->side[side].crowd);
}

void route_counters_add_latency(struct route_counters *into, const struct route_counters *from)
{
    route_counters_add_counts(into, from);
    for (int side = 0; side < SIDES; side++)
        histogram_merge(&into->side[side].latency, &from->side[side].latency);
    for (int side = 0; side < SIDES; side++)
        for (int class = 0; class < STATUS_CLASSES; class ++)
            durations_merge(&into->side[side].durations[class], &from->side[side].durations[class]);
}

void route_counters_add_counts(struct route_counters *into, const struct route_counters *from)
{
    for (int side = 0; side < SIDES; side++)
        side_counters_add(&into->side[side], &from->side[side]);
    for (int side = 0; side < SIDES; side++)
        for (int i = 0; i < MIRROR_REASONS; i++)
            into->mirror[side][i] += count_read(&from->mirror[side][i]);
    for (int side = 0; side < SIDES; side++)
        into->copies[side].open += count_read(&from->copies[side].open);
    into->in_flight += count_read(&from->in_flight);
    into->mirror_in_flight += count_read(&from->mirror_in_flight);
}
