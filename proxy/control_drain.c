/*
 * The end: the first SIGTERM or SIGINT lets everything under way finish, the second does not.
 *
 * The workers close their listening sockets at once and end every connection after its exchange; control waits for them
 * and goes on ticking, saving and answering the admin server meanwhile. What has not ended after `timeouts.drain` is
 * broken off by the workers; a worker that does not even manage that is left behind.
 */
#include "proxy/control_fleet.h"
#include "proxy/control_inside.h"

#include <signal.h>
#include <string.h>

#include <event2/event.h>

#include "proxy/worker.h"

enum {
    GRACE_MS = 5000
}; /* for breaking off what is left */

static void drain(struct control *control, uint64_t ms)
{
    control->drain_deadline_ms = control_clock_ms() + ms + GRACE_MS;
    for (uint32_t i = 0; i < control->worker_count; i++)
        worker_drain(control->workers[i], ms);
}

void control_end(struct control *control, int signal)
{
    control->ends++;
    json_t *fields = json_pack("{s:s, s:I}", "signal", signal == SIGINT ? "INT" : "TERM", "drain_ms",
                               (json_int_t)(control->ends == 1 ? control->holder->config->timeouts.drain_ms : 0));
    if (control->ends == 1) {
        control->draining = true;
        control_fleet_leave(control->fleet);
        listeners_unlink(&control->listeners);
        log_event(control->log, LOG_LEVEL_INFO, "draining", fields);
        service_manager_tell_stopping(&control->manager,
                                      control->holder->config->timeouts.drain_ms + GRACE_MS + CONTROL_STOP_MS);
        drain(control, control->holder->config->timeouts.drain_ms);
    } else {
        control->exit_code = EXIT_BROKEN;
        log_event(control->log, LOG_LEVEL_WARN, "draining_cut_short", fields);
        drain(control, 0);
    }
}

void control_drain_tick(struct control *control)
{
    uint32_t finished = 0;
    for (uint32_t i = 0; i < control->worker_count; i++)
        finished += worker_finished(control->workers[i]);
    if (finished < control->worker_count && control_clock_ms() < control->drain_deadline_ms)
        return;
    if (finished < control->worker_count) {
        control->exit_code = EXIT_BROKEN;
        control->abandon = true;
        log_event(control->log, LOG_LEVEL_ERROR, "workers_hang",
                  json_pack("{s:i}", "workers", (int)(control->worker_count - finished)));
    }
    event_base_loopbreak(control->base);
}
