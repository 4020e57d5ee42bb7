/*
 * What must survive: opens the state directory, tells every change of state to the audit trail, the log and the targets
 * of `notify`, saves.
 *
 * An event is written to the audit trail when it happens, without waiting for the disk; the workers hear of a change
 * next; then the store's thread brings trail and state to the disk, and only when it has is whoever asked for the
 * change told that it is done. So bad news acts at the speed of memory, a slow disk does not slow the breakers, and
 * nothing that was acknowledged is lost. A directory that cannot be written changes nothing about the traffic: it is
 * told once, counted, and tried again every second.
 *
 * The trail may know of a change that the state does not: the process was killed between the two. It is then put into
 * the state, since it has been in force; and events are counted on from the trail, so that no number is given twice.
 */
#include "proxy/control_inside.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "proxy/control_fleet.h"
#include "proxy/notify.h"
#include "router/replay.h"
#include "router/store/fault.h"
#include "router/store/store.h"
#include "router/utf8.h"
#include "shadow/report.h"

enum {
    RETRY_MS = 1000,
    AWAIT_MS = 25,
    EVIDENCE_MS = 5000, /* what a running stage has gathered may be lost for this long */
};

/* ---- events ---- */

/* Changes that somebody should look at; all others are information. */
static const char *const alarming[] = {"breaker_open", "rollback",           "passthrough_on",
                                       "gate_failed",  "fleet_breaker_open", "fleet_outlier"};

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

/* What every pod that is replaced does is no news for people. */
static bool is_told_to_others(const char *what)
{
    static const char *const kept[] = {"drain", "drain_cancel"};
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        if (strcmp(kept[i], what) == 0)
            return false;
    return true;
}

static void on_event(void *context, const struct router_event *event)
{
    struct control *control = context;
    char *error = NULL;
    if (!store_audit(control->store, event, &error))
        on_failure(control, error);
    log_event(control->log, level_of(event->what), event->what,
              json_pack("{s:o, s:o, s:o, s:O?, s:O?, s:I}", "route", utf8_json(event->route), "who",
                        utf8_json(event->who), "why", utf8_json(event->why), "from", event->from, "to", event->to,
                        "sequence", (json_int_t)event->sequence));
    if (!control->adopts && is_told_to_others(event->what))
        notify_event(control->notify, event);
}

static void approval(void *context, const char *route, const char *stage, const struct config_gate_webhook *webhook,
                     struct approval_answer *answer)
{
    struct control *control = context;
    notify_approval(control->notify, route, stage, webhook, answer);
}

static void comparisons(void *context, const char *route, struct comparison_totals *totals)
{
    struct control *control = context;
    report_totals(control->report, route, totals);
}

static void comparison_marks(void *context, const char *route, struct marks *marks)
{
    struct control *control = context;
    report_take_marks(control->report, route, marks);
}

static void wish(void *context, const struct router_wish *wish)
{
    struct control *control = context;
    control_fleet_wish(control->fleet, wish);
}

/* ---- opening ---- */

/* SIGUSR1 turns its switch round, so it has to be known how it stood. */
static bool signal_was_on(const json_t *state)
{
    const json_t *source;
    size_t i;
    json_array_foreach(json_object_get(state, "passthrough"), i, source)
    {
        const char *name = json_string_value(source);
        if (name != NULL && strcmp(name, passthrough_source_name(PASSTHROUGH_SIGNAL)) == 0)
            return true;
    }
    return false;
}

static void tell_damage(struct control *control, char *sentence)
{
    log_event(control->log, LOG_LEVEL_ERROR, "state_damaged", json_pack("{s:o}", "error", utf8_json(sentence)));
    free(sentence);
}

static json_int_t last_audited(struct store *store)
{
    json_t *tail = store_audit_tail(store, 1);
    json_int_t sequence = json_integer_value(json_object_get(json_array_get(tail, 0), "sequence"));
    json_decref(tail);
    return sequence;
}

/* Takes up a saved state, counting events on from the audit trail. Takes the reference. False: it was refused, with a
 * malloc'd sentence in *why (NULL without memory). */
static bool take_up(struct control_state *state, json_t *saved, char **why)
{
    json_int_t audited = last_audited(state->store);
    *why = NULL;
    store_expect_audit(state->store, (uint64_t)json_integer_value(json_object_get(saved, "sequence")));
    if (audited > json_integer_value(json_object_get(saved, "sequence")))
        json_object_set_new(saved, "sequence", json_integer(audited));
    bool done = router_restore(state->router, saved, control_clock_ms(), control_wall_clock_ms(), why);
    if (done)
        state->signal_passthrough = signal_was_on(saved);
    json_decref(saved);
    return done;
}

/* The saved state with what the trail has beyond it; as it was saved, where that does not go together. */
static bool take_up_saved(struct control *control, struct control_state *state, json_t *saved, char **why)
{
    json_t *events = store_events_after(state->store, (uint64_t)json_integer_value(json_object_get(saved, "sequence")));
    json_t *newest = json_array_size(events) > 0 ? json_deep_copy(saved) : NULL;
    size_t behind = newest != NULL && state_replay(newest, events) ? json_array_size(events) : 0;
    json_decref(events);
    if (behind > 0 && take_up(state, json_incref(newest), why)) {
        log_event(control->log, LOG_LEVEL_INFO, "state_replayed", json_pack("{s:I}", "events", (json_int_t)behind));
        json_decref(newest);
        json_decref(saved);
        return true;
    }
    if (behind > 0)
        free(*why); /* the state as it was saved says by itself what is wrong with it */
    json_decref(newest);
    return take_up(state, saved, why);
}

/* The trail is never silently other than what was written, and never a reason not to serve. */
static void tell_trail(struct control *control, const struct store *store)
{
    struct store_trail trail;
    store_trail(store, &trail);
    if (trail.cut_bytes > 0)
        log_event(control->log, LOG_LEVEL_WARN, "audit_repaired",
                  json_pack("{s:I, s:s}", "bytes", (json_int_t)trail.cut_bytes, "why",
                            "the last line of the audit trail was torn: it was cut off"));
    if (trail.damaged > 0)
        log_event(control->log, LOG_LEVEL_WARN, "audit_damaged",
                  json_pack("{s:o, s:I}", "error", utf8_json(trail.damage), "damaged", (json_int_t)trail.damaged));
}

static void restore(struct control *control, struct control_state *state)
{
    char *warning = NULL, *why = NULL;
    json_t *saved = store_load(state->store, &warning);
    state->fleet = json_incref(json_object_get(saved, "fleet"));
    if (saved != NULL && take_up_saved(control, state, saved, &why))
        return;
    if (saved != NULL) /* a later version's, most likely: the next save must not be the end of it */
        store_set_aside(state->store, why != NULL ? why : "out of memory", &warning);
    free(why);
    if (warning != NULL)
        tell_damage(control, warning);
    /* An empty state still has to count on from an audit trail that is there. */
    json_t *empty = router_save(state->router, control_clock_ms(), control_wall_clock_ms());
    if (empty != NULL && !take_up(state, empty, &why))
        tell_damage(control, why);
}

/* Without a seed the cooldowns of all processes are alike: no reason not to start. */
static void seed(struct router *router)
{
    uint64_t chance;
    if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) == sizeof(chance))
        router_seed(router, chance);
}

bool control_state_open(struct control *control, const struct config *config, struct control_state *state, char **error)
{
    const struct router_hooks hooks = {
        .context = control,
        .on_event = on_event,
        .comparisons = comparisons,
        .comparison_marks = comparison_marks,
        .approval = approval,
        .wish = wish,
    };
    *state = (struct control_state){0};
    state->store = store_open(config->state.directory, error);
    if (state->store == NULL)
        return false;
    state->router = router_new(control->worker_count, &hooks);
    if (state->router == NULL) {
        control_state_close(state);
        return fault_set(error, "no memory for %u routes", config->route_count);
    }
    seed(state->router);
    restore(control, state);
    tell_trail(control, state->store);
    return true;
}

void control_state_close(struct control_state *state)
{
    router_free(state->router);
    store_close(state->store);
    json_decref(state->fleet);
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

static void on_success(struct control *control, uint64_t kept)
{
    if (kept == control->kept_ticket)
        return;
    control->kept_ticket = kept;
    control->state_saves++;
    if (control->save_failing)
        log_event(control->log, LOG_LEVEL_INFO, "state_saved_again",
                  json_pack("{s:I}", "audit_lines_lost", (json_int_t)store_lost(control->store)));
    control->save_failing = false;
}

/* Hears from the store's thread. */
static void hear(struct control *control)
{
    char *error;
    uint64_t kept;
    if (!store_poll(control->store, &kept, &error))
        on_failure(control, error);
    else
        on_success(control, kept);
}

static void submit(struct control *control, uint64_t now_ms)
{
    char *error = NULL;
    uint64_t revision = router_revision(control->router);
    uint64_t fleet_revision = control_fleet_revision(control->fleet);
    json_t *state = router_save(control->router, now_ms, control_wall_clock_ms());
    json_t *fleet = state != NULL ? control_fleet_save(control->fleet) : NULL;
    bool whole =
        state != NULL && (control->fleet == NULL || (fleet != NULL && json_object_set(state, "fleet", fleet) == 0));
    uint64_t ticket = whole ? store_submit(control->store, state) : 0;
    json_decref(fleet);
    json_decref(state);
    if (ticket == 0) {
        fault_set(&error, "no memory to save the state");
        on_failure(control, error);
        return;
    }
    control->submitted_ticket = ticket;
    control->saved_revision = revision;
    control->saved_fleet_revision = fleet_revision;
    control->save_now = false;
}

void control_save(struct control *control)
{
    uint64_t now_ms = control_clock_ms();
    hear(control);
    bool changed = control->save_now || router_revision(control->router) != control->saved_revision ||
                   control_fleet_revision(control->fleet) != control->saved_fleet_revision;
    if (store_directory(control->store) == NULL || (control->save_failing && now_ms < control->save_at_ms))
        return;
    if (changed || evidence_is_due(control, now_ms))
        submit(control, now_ms);
}

/* Plans and breakers go on meanwhile. */
static bool await(struct control *control, uint64_t wait_ms)
{
    uint64_t until_ms = control_clock_ms() + wait_ms;
    for (;;) {
        char *error = NULL;
        if (store_await(control->store, control->submitted_ticket, AWAIT_MS, &error))
            return true;
        bool failed = error != NULL;
        free(error);
        if (failed || control_clock_ms() >= until_ms)
            return false;
        control_beat(control);
    }
}

bool control_save_and_wait(struct control *control, uint64_t wait_ms)
{
    if (store_directory(control->store) == NULL)
        return true;
    submit(control, control_clock_ms());
    bool kept = !control->save_now && await(control, wait_ms);
    hear(control);
    return kept;
}
