/*
 * A control without workers, for tests of the admin server and the metrics page: real configuration, router, report and
 * store (in memory), everything else as the test sets it. It defines the functions of proxy/control.h in their place.
 */
#ifndef SHUNT_TESTS_FAKE_CONTROL_H
#define SHUNT_TESTS_FAKE_CONTROL_H

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "proxy/control.h"
#include "proxy/control_fleet.h"
#include "proxy/memory.h"
#include "router/store/store.h"
#include "shadow/keeper.h"
#include "shadow/report.h"

/* What the fleet and Redis would say; proxy/control_fleet.c has its own tests. */
struct control_fleet {
    struct control_fleet_facts facts;
    const json_t *document; /* what Redis answers; NULL: it is not there */
    int error;              /* of passthrough, and of a command: 0 or a negative errno */
    bool at_once;           /* it is told before anybody waits */
    unsigned asked;         /* how often */
};

struct control {
    struct event_base *base;
    struct config *config;
    struct router *router;
    struct report *report;
    struct keeper *keeper; /* in memory */
    struct store *store;
    struct control_fleet *fleet; /* NULL: as without state.redis */
    struct notify *notify;       /* NULL: as without targets */
    struct health_board *health; /* NULL: as without checks */
    struct memory memory;        /* without a limit, unless the test sets one */
    struct worker_counters counters;
    struct control_process process;
    bool ready;
    struct control_drain_state drain;
    uint64_t hangs_ms;        /* worker 1; 0: none does */
    bool cannot_save;         /* control_passthrough() then fails */
    const char *reload_fault; /* control_reload() then fails with it */
    char last_who[128];       /* of the last change */
    char last_reason[512];
};

const struct memory *control_memory(const struct control *control)
{
    return &control->memory;
}

struct event_base *control_base(struct control *control)
{
    return control->base;
}

const struct config *control_config(struct control *control)
{
    return control->config;
}

struct router *control_router(struct control *control)
{
    return control->router;
}

struct report *control_report(struct control *control)
{
    return control->report;
}

struct keeper *control_keeper(struct control *control)
{
    return control->keeper;
}

struct health_board *control_health(struct control *control)
{
    return control->health;
}

const struct control_tls *control_tls(const struct control *control)
{
    (void)control;
    return NULL;
}

struct notify *control_notify(struct control *control)
{
    return control->notify;
}

struct store *control_store(struct control *control)
{
    return control->store;
}

uint64_t control_now_ms(const struct control *control)
{
    return control->process.uptime_ms;
}

uint64_t control_wall_ms(const struct control *control)
{
    return control->process.started_wall_ms + control->process.uptime_ms;
}

static void fake_sign(struct control *control, const char *who, const char *reason)
{
    snprintf(control->last_who, sizeof(control->last_who), "%s", who);
    snprintf(control->last_reason, sizeof(control->last_reason), "%s", reason != NULL ? reason : "");
}

struct control_fleet *control_fleet(struct control *control)
{
    return control->fleet;
}

bool control_fleet_facts(const struct control_fleet *fleet, struct control_fleet_facts *facts)
{
    if (fleet != NULL)
        *facts = fleet->facts;
    return fleet != NULL;
}

json_t *control_fleet_status(const struct control_fleet *fleet)
{
    return json_pack("{s:s, s:s, s:I}", "group", fleet->facts.group, "role", fleet_role_name(fleet->facts.role),
                     "epoch", (json_int_t)fleet->facts.epoch);
}

json_t *control_fleet_brief(const struct control_fleet *fleet)
{
    return fleet != NULL ? control_fleet_status(fleet) : json_null();
}

bool control_fleet_ask(struct control_fleet *fleet, const char *operation,
                       void (*answered)(void *context, const json_t *document), void *context)
{
    (void)operation;
    fleet->asked++;
    if (fleet->document != NULL)
        answered(context, fleet->document);
    return fleet->document != NULL;
}

bool control_fleet_passthrough(struct control_fleet *fleet, bool on, const char *who, const char *reason,
                               const struct control_waiter *waiter, int *error, const char **why)
{
    static const char no_redis[] = "Redis is away";
    (void)on, (void)who, (void)reason;
    fleet->asked++;
    *error = fleet->error;
    *why = no_redis;
    if (!fleet->at_once)
        waiter->done(waiter->context, fleet->error, no_redis);
    return !fleet->at_once;
}

int control_command(struct control *control, const struct router_command *command, const struct control_waiter *waiter,
                    bool *pending, const char **why)
{
    (void)waiter;
    *pending = false;
    fake_sign(control, command->who, command->reason);
    return router_command(control->router, command, control_now_ms(control), control_wall_ms(control), why);
}

bool control_passthrough(struct control *control, bool on, const char *who, const char *reason)
{
    fake_sign(control, who, reason);
    router_passthrough(control->router, PASSTHROUGH_API, on, who, reason, control_wall_ms(control));
    return !control->cannot_save;
}

bool control_forget_report(struct control *control, const char *route, const char *who, const char *reason)
{
    fake_sign(control, who, reason);
    keeper_forget(control->keeper, route);
    return !control->cannot_save;
}

bool control_reload(struct control *control, const char *who, json_t **errors)
{
    fake_sign(control, who, NULL);
    if (control->reload_fault == NULL) {
        control->process.generation++;
        return true;
    }
    *errors = json_pack("[s]", control->reload_fault);
    return false;
}

bool control_hanging_worker(const struct control *control, uint32_t *index, uint64_t *still_ms)
{
    *index = 1;
    *still_ms = control->hangs_ms;
    return control->hangs_ms > 0;
}

bool control_is_ready(const struct control *control)
{
    return control->ready;
}

bool control_is_draining(const struct control *control)
{
    return control->drain.phase != DRAIN_NONE;
}

void control_drain_begin(struct control *control, const char *who, const char *reason)
{
    fake_sign(control, who, reason);
    if (control->drain.phase == DRAIN_NONE)
        control->drain = (struct control_drain_state){.phase = DRAIN_SERVING, .who = "operator:api", .min_ms = 5000};
}

bool control_drain_cancel(struct control *control, const char *who, const char *reason)
{
    fake_sign(control, who, reason);
    if (control->drain.ends)
        return false;
    control->drain = (struct control_drain_state){0};
    return true;
}

void control_drain_state(const struct control *control, struct control_drain_state *state)
{
    *state = control->drain;
}

void control_counters(const struct control *control, struct worker_counters *sum)
{
    *sum = control->counters;
}

void control_process(const struct control *control, struct control_process *process)
{
    *process = control->process;
}

json_t *control_listeners(const struct control *control)
{
    (void)control;
    return json_pack("[s]", "127.0.0.1:8080");
}

json_t *control_backends(const struct control *control)
{
    (void)control;
    return json_array();
}

/* Everything of `yaml` in use, one worker. Aborts the test when the file is bad. */
static struct control *fake_control_new(const char *yaml)
{
    struct config_errors errors = {0};
    struct control *control = calloc(1, sizeof(*control));
    assert_non_null(control);
    control->memory.group = (struct memory_group){.usage_fd = -1, .stat_fd = -1};
    control->config = config_parse("test.yaml", yaml, strlen(yaml), &errors);
    if (errors.count > 0)
        fail_msg("%s", errors.lines[0]);
    config_errors_free(&errors);
    control->base = event_base_new();
    control->report = report_new();
    char *error = NULL;
    control->keeper = keeper_start(NULL, control->report, &error);
    assert_non_null(control->keeper);
    control->store = store_open(NULL, &error);
    static const struct router_hooks hooks = {0};
    control->router = router_new(1, &hooks);
    assert_non_null(control->router);
    control->process = (struct control_process){.started_wall_ms = 1700000000000, .uptime_ms = 5000, .workers = 1};
    assert_true(router_configure(control->router, control->config, 0, 1700000000000));
    control->ready = true;
    return control;
}

static void fake_control_free(struct control *control)
{
    assert_true(keeper_stop(control->keeper, 60000));
    router_free(control->router);
    report_free(control->report);
    store_close(control->store);
    event_base_free(control->base);
    config_free(control->config);
    free(control);
}

#endif
