/*
 * What must survive: opens the state directory, tells every change of state to the audit trail and the log, saves.
 *
 * An event is written to the audit trail when it happens, without waiting for the disk; the workers hear of a change
 * next; then state and trail are brought to the disk, and only then is whoever asked for the change told that it is done. So
 * bad news acts at the speed of memory, and nothing that was acknowledged is lost. A directory that cannot be written
 * changes nothing about the traffic: it is told once, counted, and tried again every second.
 */
#include "proxy/control_inside.h"

#include <stdlib.h>
#include <string.h>

#include "router/store/fault.h"
#include "router/store/store.h"
#include "router/store/utf8.h"
#include "shadow/report.h"

enum {
    RETRY_MS = 1000,
    EVIDENCE_MS = 5000, /* what a running stage has gathered may be lost for this long */
};

/* ---- events ---- */

/* Changes that somebody should look at; all others are information. */
static const char *const alarming[] = {"breaker_open", "rollback", "passthrough_on", "gate_failed"};

static enum log_level level_of(const char *what)
{
    for (size_t i = 0; i < sizeof(alarming) / sizeof(alarming[0]); i++)
        if (strcmp(alarming[i], what) == 0)
            return LOG_LEVEL_WARN;
    return LOG_LEVEL_INFO;
}

/* Counted each time, told the first time. Takes `error`. */
static void on_failure(struct control *control, char *error)
{
    control->state_save_failures++;
    control->save_at_ms = control_clock_ms() + RETRY_MS;
    control->save_now = true;
    if (!control->save_failing)
        log_event(control->log, LOG_LEVEL_ERROR, "state_save_failed", json_pack("{s:o}", "error", utf8_json(error)));
    control->save_failing = true;
    free(error);
}

static void on_event(void *context, const struct router_event *event)
{
    struct control *control = context;
    char *error = NULL;
    if (!store_audit(control->store, event, &error))
        on_failure(control, error);
    log_event(control->log, level_of(event->what), event->what,
              json_pack("{s:o, s:o, s:o, s:O?, s:O?, s:I}", "route", utf8_json(event->route), "who", utf8_json(event->who),
                        "why", utf8_json(event->why), "from", event->from, "to", event->to, "sequence",
                        (json_int_t)event->sequence));
}

static void comparisons(void *context, const char *route, struct comparison_totals *totals)
{
    struct control *control = context;
    report_totals(control->report, route, totals);
}

/* ---- opening ---- */

/* SIGUSR1 turns its switch round, so it has to be known how it stood. */
static bool signal_was_on(const json_t *state)
{
    const json_t *source;
    size_t i;
    json_array_foreach(json_object_get(state, "passthrough"), i, source) {
        const char *name = json_string_value(source);
        if (name != NULL && strcmp(name, passthrough_source_name(PASSTHROUGH_SIGNAL)) == 0)
            return true;
    }
    return false;
}

static void restore(struct control *control, struct control_state *state)
{
    char *warning = NULL, *why = NULL;
    json_t *saved = store_load(state->store, &warning);
    if (warning != NULL)
        log_event(control->log, LOG_LEVEL_ERROR, "state_damaged", json_pack("{s:o}", "error", utf8_json(warning)));
    free(warning);
    if (saved == NULL)
        return;
    if (router_restore(state->router, saved, control_clock_ms(), control_wall_clock_ms(), &why))
        state->signal_passthrough = signal_was_on(saved);
    else
        log_event(control->log, LOG_LEVEL_ERROR, "state_damaged", json_pack("{s:o}", "error", utf8_json(why)));
    free(why);
    json_decref(saved);
}

bool control_state_open(struct control *control, const struct config *config, struct control_state *state, char **error)
{
    const struct router_hooks hooks = {.context = control, .on_event = on_event, .comparisons = comparisons};
    *state = (struct control_state){0};
    state->store = store_open(config->state.directory, error);
    if (state->store == NULL)
        return false;
    state->router = router_new(control->worker_count, &hooks);
    if (state->router == NULL) {
        control_state_close(state);
        return fault_set(error, "no memory for %u routes", config->route_count);
    }
    restore(control, state);
    return true;
}

void control_state_close(struct control_state *state)
{
    router_free(state->router);
    store_close(state->store);
    *state = (struct control_state){0};
}

/* ---- saving ---- */

static void note_running(void *context, const struct router_route_state *state, const struct route_counters *sum)
{
    (void)sum;
    if (state->phase == PLAN_RUNNING)
        *(bool *)context = true;
}

/* Evidence changes with every request; it is saved now and then, and only where a stage gathers it. */
static bool evidence_is_due(struct control *control, uint64_t now_ms)
{
    if (now_ms < control->evidence_at_ms)
        return false;
    bool running = false;
    control->evidence_at_ms = now_ms + EVIDENCE_MS;
    router_each(control->router, note_running, &running);
    return running;
}

static bool save(struct control *control, uint64_t now_ms)
{
    char *error = NULL;
    uint64_t revision = router_revision(control->router);
    json_t *state = router_save(control->router, now_ms, control_wall_clock_ms());
    bool done = state != NULL ? store_save(control->store, state, &error) && store_sync(control->store, &error)
                              : fault_set(&error, "no memory to save the state");
    json_decref(state);
    if (!done) {
        on_failure(control, error);
        return false;
    }
    control->state_saves++;
    control->saved_revision = revision;
    control->save_now = false;
    if (control->save_failing)
        log_event(control->log, LOG_LEVEL_INFO, "state_saved_again",
                  json_pack("{s:I}", "audit_lines_lost", (json_int_t)store_lost(control->store)));
    control->save_failing = false;
    return true;
}

bool control_save(struct control *control, bool urgent)
{
    if (store_directory(control->store) == NULL)
        return true;
    uint64_t now_ms = control_clock_ms();
    bool changed = control->save_now || router_revision(control->router) != control->saved_revision;
    if (!urgent && now_ms < control->save_at_ms)
        return !changed;
    return (!changed && !evidence_is_due(control, now_ms)) || save(control, now_ms);
}
