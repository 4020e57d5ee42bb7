/*
 * The workers' half: which route, which side, mirror or not; and how it ended.
 *
 * Runs on every request, so it reads the view, writes the worker's own slot of a tally, and does nothing else: no
 * allocation, no lock, no clock. Who may say "new", strongest first:
 *
 *   passthrough                 legacy for everybody
 *   open breaker                nobody reaches new, testers neither; half-open: only with one of the epoch's permits
 *   override                    testers and canary tenants; also while rolled back or at share 0
 *   rolled back                 legacy for everybody else
 *   held back                   the same, while the breaker of a route it depends on is not closed
 *   assignment cookie "new"     while the share is above 0
 *   cohort number below share
 */
#include "router/view.h"

#include <assert.h>

#include "router/cohort.h"
#include "router/cookie.h"
#include "router/text.h"

enum {
    COHORT_STEP = 6181
};

static const char *const reason_names[DECISION_REASONS] = {
    [REASON_NO_ROUTE] = "no_route",
    [REASON_PASSTHROUGH] = "passthrough",
    [REASON_OVERRIDE] = "override",
    [REASON_ASSIGNED] = "assigned",
    [REASON_COHORT] = "cohort",
    [REASON_BREAKER_OPEN] = "breaker_open",
    [REASON_BREAKER_TRIAL] = "breaker_trial",
    [REASON_ROLLED_BACK] = "rolled_back",
    [REASON_DEPENDENCY] = "dependency",
};

const char *decision_reason_name(enum decision_reason reason)
{
    return (unsigned)reason < DECISION_REASONS ? reason_names[reason] : "unknown";
}

/* ---- deciding ---- */

static const struct view_route *find_route(const struct router_view *view, const struct request_facts *facts)
{
    struct route_probe probe = {.facts = facts};
    for (uint32_t i = 0; i < view->count; i++)
        if (route_matches(view->routes[i].route, &probe))
            return &view->routes[i];
    return NULL;
}

static int32_t find_override(const struct route *route, const struct request_facts *facts)
{
    for (uint32_t i = 0; i < route->override_count; i++)
        if (route_rule_matches(&route->overrides[i], facts))
            return (int32_t)i;
    return -1;
}

static bool assigned_to_new(const struct route *route, const struct request_facts *facts)
{
    struct text value;
    if (route->assign_cookie.len == 0 || !cookie_find(facts, route->assign_cookie, &value))
        return false;
    return text_equals(value, route->assign_value[SIDE_NEW], strlen(route->assign_value[SIDE_NEW]));
}

/* The side before the breaker has its say. */
static void choose_side(const struct view_route *row, const struct request_facts *facts, struct decision *decision)
{
    const struct route *route = row->route;
    decision->share = row->held_back ? 0 : row->share;
    decision->override = find_override(route, facts);
    if (decision->override >= 0) {
        decision->side = route->overrides[decision->override].side;
        decision->reason = REASON_OVERRIDE;
        return;
    }
    if (row->rolled_back) {
        decision->reason = REASON_ROLLED_BACK;
        return;
    }
    if (row->held_back) {
        decision->reason = REASON_DEPENDENCY;
        return;
    }
    decision->reason = REASON_COHORT;
    bool assigned = row->share > 0 && assigned_to_new(route, facts);
    if (decision->cohort < row->share) {
        decision->side = SIDE_NEW;
        decision->set_assign_cookie = route->assign_cookie.len > 0 && !assigned;
    } else if (assigned && !row->by_cohort) {
        decision->side = SIDE_NEW;
        decision->reason = REASON_ASSIGNED;
    }
}

static void ask_breaker(const struct view_route *row, bool dry, struct decision *decision)
{
    if (row->breaker == BREAKER_CLOSED || decision->side == SIDE_LEGACY)
        return;
    if (row->breaker == BREAKER_HALF_OPEN && tally_take_permit(row->tally, row->epoch, row->permits, dry)) {
        decision->trial = true;
        decision->reason = REASON_BREAKER_TRIAL;
        return;
    }
    decision->side = SIDE_LEGACY;
    decision->reason = REASON_BREAKER_OPEN;
    decision->set_assign_cookie = false;
}

/*
 * The sample of requests, each by itself or, where the file says so, of users: then a cohort number is in it or is not,
 * whatever its request, and a share that grows only adds some. The numbers are spread by a step near the golden ratio
 * that has no divisor in common with SHARE_ALL, so that any share of them is met exactly, and evenly among those on new
 * and those on legacy.
 */
static bool in_sample(const struct view_route *row, const struct request_facts *facts, uint32_t cohort)
{
    const struct route *route = row->route;
    if (row->shadow >= SHARE_ALL)
        return true;
    if (!route->config->shadow.sample_by_cohort)
        return cohort_draw(route->shadow_seed, facts->random) < row->shadow;
    uint64_t place = ((uint64_t)cohort * COHORT_STEP + route->shadow_seed % SHARE_ALL) % SHARE_ALL;
    return place < row->shadow;
}

static enum mirror_reason choose_mirror(const struct view_route *row, const struct request_facts *facts,
                                        uint32_t cohort)
{
    const struct route *route = row->route;
    if (row->shadow == 0)
        return MIRROR_OFF;
    if (facts->upgrade)
        return MIRROR_UPGRADE;
    if (!route->config->shadow.all_methods &&
        !route_names_method(route->shadow_methods, route->shadow_method_count, facts->method))
        return MIRROR_METHOD;
    return in_sample(row, facts, cohort) ? MIRROR_SENT : MIRROR_RATE;
}

static bool choose_noise(const struct route *route, const struct request_facts *facts)
{
    uint32_t percent = route->config->shadow.compare.noise.percent;
    return percent > 0 && cohort_draw(route->noise_seed, facts->random) < percent;
}

static void decide_passthrough(const struct view_route *row, struct decision *decision)
{
    decision->side = SIDE_LEGACY;
    decision->reason = REASON_PASSTHROUGH;
    decision->mirror = row->shadow > 0 ? MIRROR_PASSTHROUGH : MIRROR_OFF;
}

/* Of legacy only the gates of a plan ask who it was, of new the breaker, too; of passthrough nobody. */
static bool is_marked(const struct decision *decision)
{
    if (decision->route == NULL || decision->reason == REASON_PASSTHROUGH)
        return false;
    return decision->side == SIDE_NEW || decision->route->stage_count > 0;
}

/* For router_observe(), by when the request's own text may have gone. */
static void mark(const struct request_facts *facts, uint64_t hash, struct decision *decision)
{
    const struct config_sticky *key = decision->sticky >= 0 ? &decision->route->sticky[decision->sticky] : NULL;
    decision->key_mark = cohort_key_mark(hash, key, facts);
    decision->path_mark = cohort_path_mark(facts);
}

static void decide_route(const struct router_view *view, const struct view_route *row, uint32_t worker,
                         const struct request_facts *facts, bool dry, struct decision *decision)
{
    struct tally_slot *slot = &row->tally->slots[worker];
    decision->route = row->route->config;
    decision->counters = &slot->counters;
    decision->epoch = row->epoch;
    if (view->passthrough) {
        decide_passthrough(row, decision);
    } else {
        const struct config_route *config = decision->route;
        uint64_t hash =
            cohort_hash_of_request(row->route->seed, config->sticky, config->sticky_count, facts, &decision->sticky);
        decision->cohort = cohort_of_hash(hash);
        choose_side(row, facts, decision);
        ask_breaker(row, dry, decision);
        if (is_marked(decision))
            mark(facts, hash, decision);
        decision->mirror = choose_mirror(row, facts, decision->cohort);
        decision->noise = decision->mirror == MIRROR_SENT && choose_noise(row->route, facts);
    }
    decision->backend = row->route->config->side[decision->side];
}

static void count_start(const struct decision *decision)
{
    count_add(&decision->counters->in_flight, 1);
    if (decision->mirror != MIRROR_SENT && decision->mirror != MIRROR_OFF)
        count_add(&decision->counters->mirror[decision->side][decision->mirror], 1);
}

void view_decide(const struct router_view *view, uint32_t worker, const struct request_facts *facts, bool dry,
                 struct decision *decision)
{
    assert(worker < view->workers);
    *decision = (struct decision){.side = SIDE_LEGACY, .mirror = MIRROR_OFF, .override = -1, .sticky = -1};
    const struct view_route *row = find_route(view, facts);
    if (row != NULL) {
        decide_route(view, row, worker, facts, dry, decision);
    } else {
        decision->backend = view->table->config->legacy;
        decision->reason = view->passthrough ? REASON_PASSTHROUGH : REASON_NO_ROUTE;
        decision->counters = &view->unrouted->slots[worker].counters;
    }
    if (!dry)
        count_start(decision);
}

void router_decide(const struct router_view *view, uint32_t worker, const struct request_facts *facts,
                   struct decision *decision)
{
    view_decide(view, worker, facts, false, decision);
}

/* ---- observing ---- */

/* Outcomes that speak for or against the backend, and how the file names those that may speak against it. */
static const struct {
    bool judged;
    unsigned kind; /* of enum config_error_kind */
} outcome_meaning[OUTCOME_KINDS] = {
    [OUTCOME_OK] = {true, 0}, /* but for its status */
    [OUTCOME_CONNECT_FAILED] = {true, ERROR_CONNECT},
    [OUTCOME_TIMEOUT] = {true, ERROR_TIMEOUT},
    [OUTCOME_RESET] = {true, ERROR_RESET},
    [OUTCOME_BAD_RESPONSE] = {true, ERROR_BAD_RESPONSE},
    [OUTCOME_OVERLOADED] = {false, 0},
    [OUTCOME_CLIENT_GONE] = {false, 0},
};

/* How the exchange is counted, both sides alike. */
struct finding {
    bool judged;
    bool error;
    bool slow; /* for the breaker's slow calls */
};

/* What belongs to no route knows no file: 5xx and every kind. */
static bool is_error(const struct config_route *route, const struct outcome *outcome)
{
    unsigned kind = outcome_meaning[outcome->kind].kind;
    if (route == NULL)
        return kind != 0 || outcome->status >= 500;
    return (kind & route->errors.kinds) != 0 || config_status_is_error(&route->errors, outcome->status) ||
           (outcome->is_grpc && config_grpc_is_error(&route->errors, outcome->grpc_status));
}

static struct finding find(const struct config_route *route, const struct outcome *outcome)
{
    if (!outcome_meaning[outcome->kind].judged)
        return (struct finding){0};
    uint64_t slow_us = route != NULL ? route->breaker.slow_call_ms * 1000 : 0;
    return (struct finding){true, is_error(route, outcome), slow_us > 0 && outcome->latency_us >= slow_us};
}

static uint32_t status_class(uint16_t status)
{
    uint32_t class = status / 100u;
    return class < STATUS_CLASSES ? class : 0;
}

/* A run of errors belongs to one epoch of the breaker: what began before it closed does not count after. */
static void count_run(struct side_counters *side, struct tally_slot *slot, uint32_t epoch, uint32_t limit, bool error)
{
    uint64_t run_epoch = count_read(&slot->run_epoch);
    if (epoch < run_epoch)
        return;
    uint64_t run = count_read(&side->error_run);
    if (epoch > run_epoch) {
        __atomic_store_n(&slot->run_epoch, epoch, __ATOMIC_RELAXED);
        run = 0;
    }
    run = error ? run + 1 : 0;
    __atomic_store_n(&side->error_run, run, __ATOMIC_RELAXED);
    if (error && limit > 0 && run % limit == 0)
        count_add(&side->error_runs_over, 1);
}

static void count_trial(struct tally_slot *slot, uint32_t epoch, bool judged, bool error)
{
    if (count_read(&slot->tally->trial_taken) >> 32 != epoch)
        return; /* the epoch is over: its answer comes too late */
    if (!judged) {
        tally_return_permit(slot->tally, epoch);
        return;
    }
    uint64_t *counter = error ? &slot->trial_failed : &slot->trial_ok;
    __atomic_store_n(counter, epoch_pack(epoch, epoch_count(count_read(counter), epoch) + 1), __ATOMIC_RELAXED);
}

static void count_side(struct side_counters *side, const struct outcome *outcome, const struct finding *finding)
{
    unsigned class = status_class(outcome->client_status);
    count_add(&side->by_class[class], 1);
    count_add(&side->by_outcome[outcome->kind], 1);
    if (outcome->is_grpc)
        count_add(&side->by_grpc[outcome->grpc_status], 1);
    if (outcome->fell_back)
        count_add(&side->fallbacks, 1);
    if (!finding->judged)
        return;
    count_add(&side->judged, 1);
    if (finding->error)
        count_add(&side->errors, 1);
    if (finding->slow)
        count_add(&side->slow, 1);
    histogram_add(&side->latency, outcome->latency_us);
    durations_add(&side->durations[class], outcome->latency_us);
}

static void leave_marks(const struct decision *decision, const struct outcome *outcome, bool error)
{
    struct tally_slot *slot = tally_slot_of(decision->counters);
    struct marks *marks = &slot->marks[decision->side];
    crowd_add(&slot->counters.side[decision->side].crowd, decision->key_mark, decision->path_mark, outcome->latency_us);
    sketch_add(&marks->keys, decision->key_mark);
    sketch_add(&marks->paths, decision->path_mark);
    if (error) {
        sketch_add(&marks->error_keys, decision->key_mark);
        sketch_add(&marks->error_paths, decision->path_mark);
    }
    if (outcome->kind != OUTCOME_OK) {
        sketch_add(&marks->lost_keys, decision->key_mark);
        sketch_add(&marks->lost_paths, decision->path_mark);
    }
    if (decision->side == SIDE_NEW && outcome->latency_us >= count_read(&slot->tally->slow_us)) {
        sketch_add(&marks->slow_keys, decision->key_mark);
        sketch_add(&marks->slow_paths, decision->path_mark);
    }
}

static void count_new(const struct decision *decision, const struct finding *finding)
{
    struct tally_slot *slot = tally_slot_of(decision->counters);
    uint32_t limit = decision->route->breaker.consecutive_errors;
    if (finding->judged)
        count_run(&slot->counters.side[SIDE_NEW], slot, decision->epoch, limit, finding->error);
    if (decision->trial)
        count_trial(slot, decision->epoch, finding->judged, finding->error);
}

void router_observe(const struct router_view *view, uint32_t worker, const struct decision *decision,
                    const struct outcome *outcome)
{
    assert(worker < view->workers && (unsigned)outcome->kind < OUTCOME_KINDS);
    assert(!outcome->is_grpc || outcome->grpc_status < GRPC_STATUSES);
    (void)view;
    (void)worker; /* without assertions: the decision has all it takes */
    struct side_counters *side = &decision->counters->side[decision->side];
    struct finding finding = find(decision->route, outcome);
    count_sub(&decision->counters->in_flight, 1);
    if (decision->side == SIDE_NEW)
        count_new(decision, &finding);
    if (finding.judged && is_marked(decision))
        leave_marks(decision, outcome, finding.error);
    count_side(side, outcome, &finding);
    /* Last, and released: control takes it for the sign that everything above has been written (tally_ended()). */
    __atomic_store_n(&side->requests, count_read(&side->requests) + 1, __ATOMIC_RELEASE);
}
