/*
 * Draining (drain.h), and the end. It begins with POST /api/v1/drain, after which the process only waits to be ended,
 * or with the first SIGTERM or SIGINT, which asks for the end; a second signal does not wait for anything.
 *
 * The workers go from phase to phase by themselves. Control tells of it and goes on ticking, saving and answering the
 * admin server; once the end was asked for it waits for the workers, and a worker that does not even manage to break
 * off what is left is left behind.
 */
#include "proxy/control_fleet.h"
#include "proxy/control_inside.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "proxy/worker.h"
#include "router/utf8.h"

enum {
    GRACE_MS = 5000,    /* for breaking off what is left */
    SAME_WISH_MS = 200, /* supervisors signal a process, and then its group: that is no second wish */
};

static enum drain_phase phase_now(const struct control *control)
{
    return drain_phase(&control->drain, control_clock_ms());
}

static const struct config_timeouts *timeouts_of(const struct control *control)
{
    return &control->holder->config->timeouts;
}

/* Nobody is to find the files of sockets that are about to close; once, as they may soon be another process's. */
static void unlink_when_due(struct control *control)
{
    if (control->drain_unlinked || phase_now(control) < DRAIN_ENDING)
        return;
    control->drain_unlinked = true;
    listeners_unlink(&control->listeners);
}

static void tell_workers(struct control *control)
{
    unlink_when_due(control);
    for (uint32_t i = 0; i < control->worker_count; i++)
        worker_drain(control->workers[i], &control->drain);
}

/* The minimum is what the file says now: a reload meanwhile changes the next draining. */
static void begin(struct control *control, const char *who)
{
    free(control->drain_who);
    control->drain_who = strdup(who); /* NULL without memory: nobody is named */
    control->drain_began_wall_ms = control_wall_clock_ms();
    control->drain = (struct drain){
        .begun = true,
        .began_ms = control_clock_ms(),
        .min_ms = timeouts_of(control)->drain_min_ms,
    };
}

/* Of the events that tell how far it is. */
static json_t *tell(struct control *control, enum drain_phase phase)
{
    control->drain_told = phase;
    return json_pack("{s:o, s:s, s:I}", "who", utf8_json(control->drain_who), "phase", drain_phase_name(phase),
                     "drain_min_ms", (json_int_t)control->drain.min_ms);
}

/* ---- by the admin server ---- */

void control_drain_begin(struct control *control, const char *who, const char *reason)
{
    if (control->drain.begun)
        return; /* it goes on as it has begun */
    begin(control, who);
    log_event(control->log, LOG_LEVEL_INFO, "draining", tell(control, phase_now(control)));
    tell_workers(control);
    router_note(control->router, NULL, "drain", who, reason, control_wall_clock_ms());
    control_settle(control);
}

bool control_drain_cancel(struct control *control, const char *who, const char *reason)
{
    if (control->drain.ends)
        return false;
    if (!control->drain.begun)
        return true;
    log_event(control->log, LOG_LEVEL_INFO, "drain_cancelled", json_pack("{s:o}", "who", utf8_json(who)));
    control->drain = (struct drain){0};
    control->drain_told = DRAIN_NONE;
    tell_workers(control);
    router_note(control->router, NULL, "drain_cancel", who, reason, control_wall_clock_ms());
    control_settle(control);
    return true;
}

void control_drain_state(const struct control *control, struct control_drain_state *state)
{
    const struct drain *drain = &control->drain;
    uint64_t now_ms = control_clock_ms(), over_ms = drain->began_ms + drain->min_ms;
    *state = (struct control_drain_state){.phase = drain_phase(drain, now_ms), .ends = drain->ends};
    if (!drain->begun)
        return;
    state->who = control->drain_who;
    state->began_wall_ms = control->drain_began_wall_ms;
    state->min_ms = drain->min_ms;
    state->min_left_ms = over_ms > now_ms ? over_ms - now_ms : 0;
    state->left_ms = drain->ends && drain->until_ms > now_ms ? drain->until_ms - now_ms : 0;
}

/* ---- by signals ---- */

static void cut_short(struct control *control, json_t *fields)
{
    control->exit_code = EXIT_BROKEN;
    control->drain.until_ms = control_clock_ms();
    log_event(control->log, LOG_LEVEL_WARN, "draining_cut_short", fields);
}

static void end(struct control *control, const char *name, json_t *fields)
{
    bool was_draining = control->drain.begun;
    if (!was_draining) {
        char who[16];
        (void)snprintf(who, sizeof(who), "signal:%s", name);
        begin(control, who);
    }
    control->drain.ends = true;
    control->drain.until_ms = control_clock_ms() + timeouts_of(control)->drain_ms;
    control_fleet_leave(control->fleet);
    json_object_update_new(fields, tell(control, phase_now(control)));
    log_event(control->log, LOG_LEVEL_INFO, was_draining ? "drain_phase" : "draining", fields);
}

void control_end(struct control *control, int signal)
{
    const char *name = signal == SIGINT ? "INT" : "TERM";
    uint64_t now_ms = control_clock_ms();
    bool first = !control->drain.ends;
    if (!first && now_ms - control->ended_ms < SAME_WISH_MS)
        return;
    if (first)
        control->ended_ms = now_ms;
    json_t *fields =
        json_pack("{s:s, s:I}", "signal", name, "drain_ms", (json_int_t)(first ? timeouts_of(control)->drain_ms : 0));
    if (first)
        end(control, name, fields);
    else
        cut_short(control, fields);
    control->drain_deadline_ms = control->drain.until_ms + GRACE_MS;
    service_manager_tell_stopping(&control->manager, control->drain_deadline_ms - control_clock_ms() + CONTROL_STOP_MS);
    tell_workers(control);
}

/* ---- as time passes ---- */

/* What the clock says and every worker has taken: who hears of a phase can rely on it. */
static enum drain_phase phase_taken(const struct control *control)
{
    enum drain_phase least = phase_now(control);
    for (uint32_t i = 0; i < control->worker_count; i++) {
        enum drain_phase taken = worker_phase(control->workers[i]);
        least = taken < least ? taken : least;
    }
    return least;
}

static void tell_phase(struct control *control)
{
    enum drain_phase phase = phase_taken(control);
    if (phase > control->drain_told && phase != DRAIN_OVER)
        log_event(control->log, LOG_LEVEL_INFO, "drain_phase", tell(control, phase));
}

static void look_for_end(struct control *control)
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

void control_drain_tick(struct control *control)
{
    if (!control->drain.begun)
        return;
    unlink_when_due(control);
    tell_phase(control);
    if (control->drain.ends)
        look_for_end(control);
}
