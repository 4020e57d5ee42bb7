/*
 * The /metrics page: gathers what routes, workers, the comparer, `notify`, control and the kernel count, and writes it
 * family by family.
 *
 * Called by the admin server on the control thread for each scrape. Only reads: counters have their writers elsewhere,
 * and grow while they are read. Families of routes, of control and of the process are tables, those of workers come
 * from the list in worker_counters.h.
 */
#include "proxy/metrics.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/control.h"
#include "proxy/control_fleet.h"
#include "proxy/control_tls.h"
#include "proxy/memory.h"
#include "proxy/metrics_fleet.h"
#include "proxy/metrics_health.h"
#include "proxy/metrics_process.h"
#include "proxy/metrics_text.h"
#include "proxy/notify.h"
#include "router/gate.h"
#include "router/store/store.h"
#include "shadow/report.h"

static const char *const class_names[STATUS_CLASSES] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

/* One side of a route. */
struct side_sum {
    uint64_t by_class[STATUS_CLASSES];
    uint64_t by_outcome[OUTCOME_KINDS];
    uint64_t by_grpc[GRPC_STATUSES];
    uint64_t judged, errors, fallbacks;
    struct durations durations[STATUS_CLASSES];
};

/* What a gate said at the last look. */
struct gate_sum {
    bool applies, measured;
    enum verdict verdict;
    double value, low, high, limit;
    uint64_t evidence;
    double decision_s; /* NAN: nobody can tell */
};

struct route_sum {
    struct router_route_state state; /* names are borrowed from the router for the page */
    struct gate_sum gates[GATES];    /* none applies where there are none */
    struct side_sum side[SIDES];
    uint64_t mirror[SIDES][MIRROR_REASONS];
    uint64_t copies_stopped[SIDES];
    uint64_t in_flight, mirror_in_flight;
};

struct page {
    struct metrics_text text;
    struct route_sum *routes;
    size_t route_count, route_room;
    bool failed;
};

/* ---- gathering ---- */

static void fold_side(struct side_sum *side, const struct side_counters *sum)
{
    memcpy(side->by_class, sum->by_class, sizeof(side->by_class));
    memcpy(side->by_outcome, sum->by_outcome, sizeof(side->by_outcome));
    memcpy(side->by_grpc, sum->by_grpc, sizeof(side->by_grpc));
    side->judged = sum->judged;
    side->errors = sum->errors;
    side->fallbacks = sum->fallbacks;
    memcpy(side->durations, sum->durations, sizeof(side->durations));
}

static void fold_gates(struct route_sum *route, const struct router_route_state *state)
{
    memset(route->gates, 0, sizeof(route->gates));
    for (int kind = 0; state->gates != NULL && kind < GATES; kind++) {
        const struct gate_result *gate = &state->gates->gate[kind];
        uint64_t eta_ms;
        bool known = router_gate_eta(gate, state->gathered_ms, &eta_ms);
        route->gates[kind] = (struct gate_sum){
            .applies = gate->applies,
            .measured = gate->measured,
            .verdict = gate->verdict,
            .value = gate->value,
            .low = gate->low,
            .high = gate->high,
            .limit = gate->limit,
            .evidence = gate->evidence,
            .decision_s = known ? (double)eta_ms / 1e3 : (double)NAN,
        };
    }
}

static bool make_room(struct page *page)
{
    if (page->route_count < page->route_room)
        return true;
    size_t room = page->route_room > 0 ? page->route_room * 2 : 16;
    struct route_sum *routes = realloc(page->routes, room * sizeof(*routes));
    if (routes == NULL) {
        page->failed = true;
        return false;
    }
    page->routes = routes;
    page->route_room = room;
    return true;
}

static void gather_route(void *context, const struct router_route_state *state, const struct route_counters *sum)
{
    struct page *page = context;
    if (!make_room(page))
        return;
    struct route_sum *route = &page->routes[page->route_count++];
    route->state = *state;
    route->state.gates = NULL; /* was borrowed for the call */
    fold_gates(route, state);
    for (int side = 0; side < SIDES; side++)
        fold_side(&route->side[side], &sum->side[side]);
    memcpy(route->mirror, sum->mirror, sizeof(route->mirror));
    for (int side = 0; side < SIDES; side++)
        route->copies_stopped[side] = sum->copies[side].open;
    route->in_flight = sum->in_flight;
    route->mirror_in_flight = sum->mirror_in_flight;
}

/* ---- routes ---- */

static void write_side_count(struct page *page, const struct route_sum *route, int side, const char *label,
                             const char *value, uint64_t count)
{
    struct metrics_label labels[] = {
        {"route", route->state.name}, {"backend", side_name((enum side)side)}, {label, value}, {NULL, NULL}};
    metrics_text_count(&page->text, labels, count);
}

static void write_requests(struct page *page, const struct route_sum *route)
{
    for (int side = 0; side < SIDES; side++)
        for (int class = 0; class < STATUS_CLASSES; class ++)
            write_side_count(page, route, side, "code", class_names[class], route->side[side].by_class[class]);
}

static void write_outcomes(struct page *page, const struct route_sum *route)
{
    for (int side = 0; side < SIDES; side++)
        for (int kind = 0; kind < OUTCOME_KINDS; kind++)
            write_side_count(page, route, side, "outcome", outcome_kind_name((enum outcome_kind)kind),
                             route->side[side].by_outcome[kind]);
}

static void write_grpc_count(struct page *page, const struct route_sum *route, int side, unsigned status)
{
    char number[4];
    (void)snprintf(number, sizeof(number), "%u", status);
    write_side_count(page, route, side, "status", number, route->side[side].by_grpc[status]);
}

/* Only what was ever answered: most routes carry no calls. */
static void write_grpc(struct page *page, const struct route_sum *route)
{
    for (int side = 0; side < SIDES; side++)
        for (unsigned status = 0; status < GRPC_STATUSES; status++)
            if (route->side[side].by_grpc[status] > 0)
                write_grpc_count(page, route, side, status);
}

static void write_judged(struct page *page, const struct route_sum *route)
{
    for (int side = 0; side < SIDES; side++)
        write_side_count(page, route, side, NULL, NULL, route->side[side].judged);
}

static void write_errors(struct page *page, const struct route_sum *route)
{
    for (int side = 0; side < SIDES; side++)
        write_side_count(page, route, side, NULL, NULL, route->side[side].errors);
}

static void write_fallbacks(struct page *page, const struct route_sum *route)
{
    for (int side = 0; side < SIDES; side++)
        write_side_count(page, route, side, NULL, NULL, route->side[side].fallbacks);
}

static void write_durations_of(struct page *page, const struct route_sum *route, enum side side, unsigned class)
{
    const struct durations *durations = &route->side[side].durations[class];
    uint64_t cumulative[DURATION_EDGES], total = 0;
    for (uint32_t i = 0; i < DURATION_EDGES; i++)
        cumulative[i] = total += durations->count[i];
    total += durations->count[DURATION_EDGES];
    if (total == 0)
        return; /* a series begins with its first response: most routes never see most classes */
    struct metrics_label labels[] = {
        {"route", route->state.name}, {"backend", side_name(side)}, {"code", class_names[class]}, {NULL, NULL}};
    metrics_text_histogram(&page->text, labels, duration_edges_us, cumulative, DURATION_EDGES, total,
                           durations->sum_us);
}

static void write_durations(struct page *page, const struct route_sum *route)
{
    for (int side = 0; side < SIDES; side++)
        for (unsigned class = 0; class < STATUS_CLASSES; class ++)
            write_durations_of(page, route, (enum side)side, class);
}

static void write_mirror(struct page *page, const struct route_sum *route)
{
    for (int side = 0; side < SIDES; side++) {
        for (int reason = 0; reason < MIRROR_REASONS; reason++) {
            if (reason == MIRROR_OFF) /* never counted */
                continue;
            struct metrics_label labels[] = {{"route", route->state.name},
                                             {"primary", side_name((enum side)side)},
                                             {"reason", mirror_reason_name((enum mirror_reason)reason)},
                                             {NULL, NULL}};
            metrics_text_count(&page->text, labels, route->mirror[side][reason]);
        }
    }
}

static void write_copies_stopped(struct page *page, const struct route_sum *route)
{
    for (int side = 0; side < SIDES; side++)
        write_side_count(page, route, side, NULL, NULL, route->copies_stopped[side]);
}

static void write_route_value(struct page *page, const struct route_sum *route, double value)
{
    struct metrics_label labels[] = {{"route", route->state.name}, {NULL, NULL}};
    metrics_text_value(&page->text, labels, value);
}

static void write_in_flight(struct page *page, const struct route_sum *route)
{
    write_route_value(page, route, (double)route->in_flight);
}

static void write_mirror_in_flight(struct page *page, const struct route_sum *route)
{
    write_route_value(page, route, (double)route->mirror_in_flight);
}

static void write_share(struct page *page, const struct route_sum *route)
{
    write_route_value(page, route, (double)route->state.percent / SHARE_ALL);
}

static void write_effective_share(struct page *page, const struct route_sum *route)
{
    write_route_value(page, route, (double)route->state.effective / SHARE_ALL);
}

static void write_shadow_share(struct page *page, const struct route_sum *route)
{
    write_route_value(page, route, (double)route->state.shadow / SHARE_ALL);
}

static void write_stage(struct page *page, const struct route_sum *route)
{
    write_route_value(page, route, route->state.config->stage_count > 0 ? route->state.stage + 1.0 : 0.0);
}

static void write_stages(struct page *page, const struct route_sum *route)
{
    write_route_value(page, route, route->state.config->stage_count);
}

static void write_phase(struct page *page, const struct route_sum *route)
{
    for (int phase = 0; phase < PLAN_PHASES; phase++) {
        struct metrics_label labels[] = {
            {"route", route->state.name}, {"phase", plan_phase_name((enum plan_phase)phase)}, {NULL, NULL}};
        metrics_text_count(&page->text, labels, (int)route->state.phase == phase);
    }
}

static void write_breaker(struct page *page, const struct route_sum *route)
{
    for (int state = BREAKER_CLOSED; state <= BREAKER_HALF_OPEN; state++) {
        struct metrics_label labels[] = {
            {"route", route->state.name}, {"state", breaker_state_name((enum breaker_state)state)}, {NULL, NULL}};
        metrics_text_count(&page->text, labels, (int)route->state.breaker == state);
    }
}

static void write_trips(struct page *page, const struct route_sum *route)
{
    write_route_value(page, route, route->state.trips);
}

static void write_steps_back(struct page *page, const struct route_sum *route)
{
    write_route_value(page, route, route->state.steps_back);
}

static void write_error_rate(struct page *page, const struct route_sum *route)
{
    for (int side = 0; side < SIDES; side++) {
        struct metrics_label labels[] = {
            {"route", route->state.name}, {"backend", side_name((enum side)side)}, {NULL, NULL}};
        metrics_text_value(&page->text, labels, route->state.error_rate[side]);
    }
}

static void write_slow_rate(struct page *page, const struct route_sum *route)
{
    write_route_value(page, route, route->state.slow_rate);
}

/* ---- gates ---- */

static double gate_verdict(const struct gate_sum *gate)
{
    return gate->verdict == VERDICT_PASS ? 1 : gate->verdict == VERDICT_FAIL ? -1 : 0;
}

static double gate_value(const struct gate_sum *gate)
{
    return gate->value;
}

static double gate_low(const struct gate_sum *gate)
{
    return gate->low;
}

static double gate_high(const struct gate_sum *gate)
{
    return gate->high;
}

static double gate_limit(const struct gate_sum *gate)
{
    return gate->limit;
}

static double gate_evidence(const struct gate_sum *gate)
{
    return (double)gate->evidence;
}

static double gate_decision(const struct gate_sum *gate)
{
    return gate->decision_s;
}

/* `measured`: only of gates that measure something and have begun to. */
static const struct gate_family {
    const char *name;
    bool measured;
    double (*read)(const struct gate_sum *gate);
    const char *help;
} gate_families[] = {
    {"shunt_gate_verdict", false, gate_verdict, "1: the gate passes, -1: it fails, 0: undecided"},
    {"shunt_gate_value", true, gate_value, "What the gate measures, as a fraction"},
    {"shunt_gate_low", true, gate_low, "Lower end of its interval at the gate's confidence"},
    {"shunt_gate_high", true, gate_high, "Upper end of its interval at the gate's confidence"},
    {"shunt_gate_limit", true, gate_limit, "The limit the interval must lie within"},
    {"shunt_gate_evidence", true, gate_evidence,
     "Exchanges of the side that has fewer, or compared pairs, that the gate goes by so far"},
    {"shunt_gate_decision_seconds", false, gate_decision,
     "Until the gate has decided if all goes on as it is; 0: it has, NaN: nobody can tell"},
};

static void write_gates(struct page *page, const struct gate_family *family, const struct route_sum *route)
{
    for (int kind = 0; kind < GATES; kind++) {
        const struct gate_sum *gate = &route->gates[kind];
        struct metrics_label labels[] = {
            {"route", route->state.name}, {"gate", gate_name((enum gate_kind)kind)}, {NULL, NULL}};
        if (gate->applies && (gate->measured || !family->measured))
            metrics_text_value(&page->text, labels, family->read(gate));
    }
}

static void write_gate_families(struct page *page)
{
    for (size_t i = 0; i < sizeof(gate_families) / sizeof(gate_families[0]); i++) {
        const struct gate_family *family = &gate_families[i];
        metrics_text_family(&page->text, family->name, METRICS_GAUGE, family->help);
        for (size_t r = 0; r < page->route_count; r++)
            write_gates(page, family, &page->routes[r]);
    }
}

/* ---- families of routes ---- */

/* `planned`: not of "-", the requests without a route, which have no plan. */
static const struct route_family {
    const char *name;
    enum metrics_type type;
    bool planned;
    void (*write)(struct page *page, const struct route_sum *route);
    const char *help;
} route_families[] = {
    {"shunt_requests_total", METRICS_COUNTER, false, write_requests,
     "Requests by the backend that was asked first and the class of the status the client got (none: no response)"},
    {"shunt_grpc_responses_total", METRICS_COUNTER, false, write_grpc,
     "Answers to gRPC calls by grpc-status, in trailers or in a head alone"},
    {"shunt_outcomes_total", METRICS_COUNTER, false, write_outcomes,
     "How live exchanges ended, by the backend that was asked first"},
    {"shunt_judged_requests_total", METRICS_COUNTER, false, write_judged,
     "Requests that speak for or against the backend: clients that left and our own overload are not among them"},
    {"shunt_request_errors_total", METRICS_COUNTER, false, write_errors,
     "Of the judged requests: 5xx, no connection, timeout, reset, bad response"},
    {"shunt_fallbacks_total", METRICS_COUNTER, false, write_fallbacks,
     "Requests that the other backend answered after this one had failed"},
    {"shunt_request_duration_seconds", METRICS_HISTOGRAM, false, write_durations,
     "Time from a judged request's first byte to its response's last byte"},
    {"shunt_requests_in_flight", METRICS_GAUGE, false, write_in_flight, "Live exchanges under way"},
    {"shunt_shadow_total", METRICS_COUNTER, false, write_mirror,
     "Requests by the backend that was asked first and what became of their copy: sent, compared, or why there was "
     "none "
     "or nothing to compare"},
    {"shunt_shadow_copies_in_flight", METRICS_GAUGE, false, write_mirror_in_flight, "Copies under way, by route"},
    {"shunt_shadow_breaker_open", METRICS_GAUGE, true, write_copies_stopped,
     "Workers that send this backend no copies now, because copies to it keep failing"},
    {"shunt_route_share", METRICS_GAUGE, true, write_share, "Share of live traffic that the plan gives to new, 0 to 1"},
    {"shunt_route_effective_share", METRICS_GAUGE, true, write_effective_share,
     "What ramps, breaker, dependencies and passthrough leave of shunt_route_share"},
    {"shunt_route_shadow_share", METRICS_GAUGE, true, write_shadow_share,
     "Share of requests that are mirrored, 0 to 1"},
    {"shunt_route_stage", METRICS_GAUGE, true, write_stage, "Current stage, from 1; 0 for a route with a fixed share"},
    {"shunt_route_stages", METRICS_GAUGE, true, write_stages, "Stages the plan has"},
    {"shunt_route_phase", METRICS_GAUGE, true, write_phase, "1 for the phase the plan is in"},
    {"shunt_route_steps_back", METRICS_GAUGE, true, write_steps_back, "Steps back of the plan in a row"},
    {"shunt_breaker_state", METRICS_GAUGE, true, write_breaker, "1 for the state the breaker is in"},
    {"shunt_breaker_trips", METRICS_GAUGE, true, write_trips, "Trips of the breaker in a row"},
    {"shunt_breaker_error_rate", METRICS_GAUGE, true, write_error_rate,
     "Errors among the judged requests in the breaker's window, 0 to 1"},
    {"shunt_breaker_slow_rate", METRICS_GAUGE, true, write_slow_rate,
     "Slow requests among the judged of new in the breaker's window, 0 to 1"},
};

static void write_routes(struct page *page)
{
    for (size_t i = 0; i < sizeof(route_families) / sizeof(route_families[0]); i++) {
        const struct route_family *family = &route_families[i];
        metrics_text_family(&page->text, family->name, family->type, family->help);
        for (size_t r = 0; r < page->route_count; r++)
            if (!family->planned || page->routes[r].state.config != NULL)
                family->write(page, &page->routes[r]);
    }
}

static void write_comparison(void *context, const char *route, enum side primary, const char *outcome, uint64_t count)
{
    struct page *page = context;
    struct metrics_label labels[] = {
        {"route", route}, {"primary", side_name(primary)}, {"outcome", outcome}, {NULL, NULL}};
    metrics_text_count(&page->text, labels, count);
}

/* ---- notify ---- */

static void write_told(void *context, const struct notify_stats *stats)
{
    struct page *page = context;
    const struct {
        const char *outcome;
        uint64_t count;
    } rows[] = {
        {"delivered", stats->delivered},
        {"refused", stats->refused},
        {"expired", stats->expired},
        {"dropped", stats->dropped},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct metrics_label labels[] = {{"target", stats->target}, {"outcome", rows[i].outcome}, {NULL, NULL}};
        metrics_text_count(&page->text, labels, rows[i].count);
    }
}

static void write_told_again(void *context, const struct notify_stats *stats)
{
    struct page *page = context;
    struct metrics_label labels[] = {{"target", stats->target}, {NULL, NULL}};
    metrics_text_count(&page->text, labels, stats->retries);
}

static void write_to_be_told(void *context, const struct notify_stats *stats)
{
    struct page *page = context;
    struct metrics_label labels[] = {{"target", stats->target}, {NULL, NULL}};
    metrics_text_count(&page->text, labels, stats->waiting);
}

static void write_notify(struct page *page, struct control *control)
{
    struct notify *notify = control_notify(control);
    metrics_text_family(&page->text, "shunt_notify_total", METRICS_COUNTER,
                        "Events for a target of notify and what became of them; those that wait are not among them");
    notify_each(notify, write_told, page);
    metrics_text_family(&page->text, "shunt_notify_retries_total", METRICS_COUNTER,
                        "Tries to deliver an event beyond the first");
    notify_each(notify, write_told_again, page);
    metrics_text_family(&page->text, "shunt_notify_queue", METRICS_GAUGE, "Events that wait for the target");
    notify_each(notify, write_to_be_told, page);
}

/* ---- TLS; what handshakes count is among the workers' ---- */

static void write_expiry(void *context, const struct tls_expiry *expiry)
{
    struct page *page = context;
    struct metrics_label labels[] = {{"certificate", expiry->path}, {NULL, NULL}};
    metrics_text_value(&page->text, labels, (double)expiry->ends_s);
}

static void write_tls(struct page *page, struct control *control)
{
    const struct control_tls *tls = control_tls(control);
    struct control_tls_stats stats = {0};
    if (tls != NULL)
        stats = control_tls_stats(tls);
    const struct {
        const char *name;
        enum metrics_type type;
        uint64_t count;
        const char *help;
    } rows[] = {
        {"shunt_tls_certificate_reloads_total", METRICS_COUNTER, stats.reloads,
         "TLS of listeners and backends taken anew because its files had changed"},
        {"shunt_tls_certificate_reload_failures_total", METRICS_COUNTER, stats.reload_failures,
         "Changed files that could not be used: the old ones stay"},
        {"shunt_tls_insecure_backends", METRICS_GAUGE, stats.insecure_backends,
         "Backends of the file with insecure_skip_verify"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        metrics_text_family(&page->text, rows[i].name, rows[i].type, rows[i].help);
        metrics_text_count(&page->text, NULL, rows[i].count);
    }
    metrics_text_family(&page->text, "shunt_tls_certificate_expiry_seconds", METRICS_GAUGE,
                        "When the certificate in this file ends, seconds since 1970");
    if (tls != NULL)
        control_tls_each_expiry(tls, write_expiry, page);
}

/* ---- control, process, workers ---- */

static void write_control(struct page *page, struct control *control)
{
    struct control_process process;
    const struct store *store = control_store(control);
    struct store_trail trail;
    store_trail(store, &trail);
    control_process(control, &process);
    const struct metrics_fact facts[] = {
        {"shunt_ready", METRICS_GAUGE, control_is_ready(control) && !control_is_draining(control),
         "1 while traffic is taken"},
        {"shunt_draining", METRICS_GAUGE, control_is_draining(control),
         "1 from where draining began: other clients are to go elsewhere"},
        {"shunt_passthrough", METRICS_GAUGE, router_passthrough_is_on(control_router(control)),
         "1 while everything goes straight to legacy"},
        {"shunt_fail_open", METRICS_GAUGE, process.fail_open, "1 while shunt serves without a valid file"},
        {"shunt_workers", METRICS_GAUGE, process.workers, "Worker threads"},
        {"shunt_config_generation", METRICS_GAUGE, (double)process.generation, "Snapshots published to the workers"},
        {"shunt_config_reloads_total", METRICS_COUNTER, (double)process.reloads,
         "Reloads that took a new file into use"},
        {"shunt_config_reload_failures_total", METRICS_COUNTER, (double)process.reload_failures,
         "Reloads refused because the file had faults"},
        {"shunt_config_last_reload_successful", METRICS_GAUGE, process.last_reload_ok,
         "1 when the last reload was taken"},
        {"shunt_config_last_reload_timestamp_seconds", METRICS_GAUGE, (double)process.last_reload_wall_ms / 1e3,
         "When the file was last read, seconds since 1970; 0 before the first reload"},
        {"shunt_state_saves_total", METRICS_COUNTER, (double)process.state_saves, "Times the state was saved"},
        {"shunt_state_save_failures_total", METRICS_COUNTER, (double)process.state_save_failures,
         "Times the state could not be saved"},
        {"shunt_report_saves_total", METRICS_COUNTER, (double)process.report_saves,
         "Times something of the shadow report was stored"},
        {"shunt_report_save_failures_total", METRICS_COUNTER, (double)process.report_save_failures,
         "Times it could not be stored"},
        {"shunt_report_samples_total", METRICS_COUNTER, (double)process.report_samples,
         "Samples of differing pairs that were stored"},
        {"shunt_report_on_disk", METRICS_GAUGE, process.report_on_disk,
         "1 while the shadow report is kept in the state directory, 0 in memory"},
        {"shunt_audit_pending", METRICS_GAUGE, (double)store_pending(store),
         "Audit lines that wait for a disk that takes them"},
        {"shunt_audit_lost_total", METRICS_COUNTER, (double)store_lost(store),
         "Audit lines given up because too many were waiting"},
        {"shunt_audit_damaged", METRICS_GAUGE, (double)trail.damaged,
         "Audit lines that did not fit their checksums when the trail was opened, and 1 more for a missing end"},
        {"shunt_log_dropped_total", METRICS_COUNTER, (double)process.log_dropped,
         "Log lines dropped because standard output was behind"},
    };
    metrics_text_facts(&page->text, facts, sizeof(facts) / sizeof(facts[0]));
}

static void write_process(struct page *page, struct control *control)
{
    struct control_process facts_of_control;
    struct metrics_process process;
    control_process(control, &facts_of_control);
    metrics_process_read(&process);
    const struct metrics_fact facts[] = {
        {"process_resident_memory_bytes", METRICS_GAUGE, (double)process.resident_bytes, "Resident memory"},
        {"process_virtual_memory_bytes", METRICS_GAUGE, (double)process.virtual_bytes, "Virtual memory"},
        {"process_cpu_seconds_total", METRICS_COUNTER, process.cpu_seconds, "User and system CPU time"},
        {"process_open_fds", METRICS_GAUGE, (double)process.open_fds, "Open file descriptors"},
        {"process_max_fds", METRICS_GAUGE, (double)process.max_fds, "Limit of open file descriptors"},
        {"process_threads", METRICS_GAUGE, (double)process.threads, "Threads"},
        {"process_start_time_seconds", METRICS_GAUGE, (double)facts_of_control.started_wall_ms / 1e3,
         "Start of the process, seconds since 1970"},
    };
    metrics_text_facts(&page->text, facts, sizeof(facts) / sizeof(facts[0]));
}

static void write_memory(struct page *page, struct control *control)
{
    const struct memory *memory = control_memory(control);
    const struct metrics_fact facts[] = {
        {"shunt_memory_limit_bytes", METRICS_GAUGE, (double)memory_limit(memory),
         "Memory limit of the control group; 0 without one"},
        {"shunt_memory_used_bytes", METRICS_GAUGE, (double)memory_used(memory),
         "Memory charged to the control group that the kernel cannot take back; 0 where it cannot be read"},
        {"shunt_memory_pressure", METRICS_GAUGE, (double)memory_level(memory),
         "0: plenty of memory; 1: short, nothing is mirrored; 2: scarce, resting clients are closed, new ones wait"},
    };
    metrics_text_facts(&page->text, facts, sizeof(facts) / sizeof(facts[0]));
}

#define WORKER_NAME_COUNTER(name) "shunt_" #name "_total"
#define WORKER_NAME_GAUGE(name)   "shunt_" #name

static void write_series(struct page *page, const char *const names[2], const char *const values[2], uint64_t value)
{
    const struct metrics_label labels[] = {{names[0], values[0]}, {names[1], values[1]}, {NULL, NULL}};
    metrics_text_count(&page->text, labels, value);
}

static void write_workers(struct page *page, struct control *control)
{
    struct worker_counters sum = {0};
    control_counters(control, &sum);
#define M(name, kind, help)                                                                                            \
    metrics_text_family(&page->text, WORKER_NAME_##kind(name), METRICS_##kind, help);                                  \
    metrics_text_count(&page->text, NULL, sum.name);
    WORKER_METRICS(M)
#undef M
    const char *names[2];
#define FAMILY(name, kind, help, first, second)                                                                        \
    metrics_text_family(&page->text, name, METRICS_##kind, help);                                                      \
    names[0] = first;                                                                                                  \
    names[1] = second;
#define S(name, first, second) write_series(page, names, (const char *[]){first, second}, sum.name);
    WORKER_SERIES(FAMILY, S)
#undef S
#undef FAMILY
}

static void write_build(struct page *page)
{
    static const struct metrics_label labels[] = {{"version", SHUNT_VERSION}, {NULL, NULL}};
    metrics_text_family(&page->text, "shunt_build_info", METRICS_GAUGE, "Always 1; the version is a label");
    metrics_text_count(&page->text, labels, 1);
}

bool metrics_write(struct control *control, struct evbuffer *out)
{
    struct page page = {0};
    metrics_text_init(&page.text, out);
    router_each(control_router(control), gather_route, &page);
    write_build(&page);
    write_control(&page, control);
    write_routes(&page);
    write_gate_families(&page);
    write_notify(&page, control);
    metrics_text_family(&page.text, "shunt_comparisons_total", METRICS_COUNTER,
                        "Pairs of responses by the side the client was answered from and what comparing found");
    report_each(control_report(control), write_comparison, &page);
    write_tls(&page, control);
    struct control_fleet_facts fleet;
    if (control_fleet_facts(control_fleet(control), &fleet))
        metrics_fleet_write(&page.text, &fleet);
    metrics_health_write(&page.text, control_health(control));
    write_workers(&page, control);
    write_memory(&page, control);
    write_process(&page, control);
    free(page.routes);
    return !page.failed && !page.text.failed;
}
