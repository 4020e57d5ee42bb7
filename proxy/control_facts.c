/*
 * What the admin server may ask of control: facts, and the commands that people give. Control thread.
 */
#include "proxy/control.h"

#include <errno.h>

#include "proxy/control_fleet.h"
#include "proxy/control_inside.h"
#include "proxy/health_board.h"
#include "proxy/resolver.h"
#include "proxy/worker.h"
#include "shadow/keeper.h"

struct event_base *control_base(struct control *control)
{
    return control->base;
}

const struct config *control_config(struct control *control)
{
    return control->fail_open ? NULL : control->holder->config;
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

const struct control_tls *control_tls(const struct control *control)
{
    return control->tls;
}

struct health_board *control_health(struct control *control)
{
    return control->health;
}

struct notify *control_notify(struct control *control)
{
    return control->notify;
}

struct store *control_store(struct control *control)
{
    return control->store;
}

const struct memory *control_memory(const struct control *control)
{
    return &control->memory;
}

struct control_fleet *control_fleet(struct control *control)
{
    return control->fleet;
}

int control_command(struct control *control, const struct router_command *command, const struct control_waiter *waiter,
                    bool *pending, const char **why)
{
    struct router_command own = *command;
    *pending = false;
    if (control->fleet != NULL) {
        own.ticket = control_fleet_expect(control->fleet, waiter);
        if (own.ticket == 0) {
            *why = "too many wait for the fleet already";
            return -EAGAIN;
        }
    }
    int result = router_command(control->router, &own, control_clock_ms(), control_wall_clock_ms(), why);
    if (result == ROUTER_ASKED)
        return CONTROL_LATER;
    control_fleet_forget(control->fleet, own.ticket);
    *pending = result == 0 && control->fleet != NULL;
    if (result != 0 || control_settle_and_wait(control))
        return result;
    *why = "it is done, but could not be saved: a restart would undo it";
    return -EIO;
}

bool control_is_ready(const struct control *control)
{
    return control->ready && !control->drain.begun;
}

bool control_is_draining(const struct control *control)
{
    return control->drain.begun;
}

void control_counters(const struct control *control, struct worker_counters *sum)
{
    *sum = (struct worker_counters){0};
    for (uint32_t i = 0; control->workers != NULL && i < control->worker_count; i++) {
        const struct worker_counters *one = worker_counters(control->workers[i]);
#define M(name, kind, help) sum->name += __atomic_load_n(&one->name, __ATOMIC_RELAXED);
        WORKER_METRICS(M)
#undef M
#define FAMILY(name, kind, help, first, second)
#define S(name, first, second) sum->name += __atomic_load_n(&one->name, __ATOMIC_RELAXED);
        WORKER_SERIES(FAMILY, S)
#undef S
#undef FAMILY
    }
}

void control_process(const struct control *control, struct control_process *process)
{
    struct keeper_stats report;
    keeper_stats(control->keeper, &report);
    *process = (struct control_process){
        .started_wall_ms = control->started_wall_ms,
        .uptime_ms = control_clock_ms() - control->started_ms,
        .generation = control->generation,
        .reloads = control->reloads,
        .reload_failures = control->reload_failures,
        .last_reload_wall_ms = control->last_reload_wall_ms,
        .last_reload_ok = control->last_reload_ok,
        .state_saves = control->state_saves,
        .state_save_failures = control->state_save_failures,
        .report_saves = report.saves,
        .report_save_failures = report.save_failures,
        .report_samples = report.samples_kept,
        .report_on_disk = report.on_disk,
        .log_dropped = log_dropped(control->log),
        .workers = control->worker_count,
        .fail_open = control->fail_open,
    };
}

uint64_t control_now_ms(const struct control *control)
{
    (void)control;
    return control_clock_ms();
}

uint64_t control_wall_ms(const struct control *control)
{
    (void)control;
    return control_wall_clock_ms();
}

json_t *control_listeners(const struct control *control)
{
    return listeners_json(&control->listeners);
}

json_t *control_backends(const struct control *control)
{
    const struct config *config = control->holder->config;
    json_t *backends = resolver_json(control->resolver), *backend;
    size_t i;
    json_array_foreach(backends, i, backend)
    {
        if (i < config->backend_count && config->backends[i].health != NULL)
            json_object_set_new(backend, "unhealthy", health_board_json(control->health, config->backends[i].name));
    }
    return backends;
}
