/*
 * The file: read at the start, and again on SIGHUP, by the admin server, when it has changed, and when it was refused
 * for files it names (certificates that are no good, or anything that is missing) and these have.
 *
 * A reload first finds out everything that could refuse it (the file's faults, new listeners, memory; leaving
 * fail-open, also the state directory) and changes nothing until then. After that nothing can fail: router, addresses,
 * listeners follow, and the workers get one snapshot. Listeners that the file does not name any more go last. What only
 * a restart can change keeps its value and is told.
 */
#include "proxy/control_fleet.h"
#include "proxy/control_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "config/faults.h"
#include "proxy/admin.h"
#include "proxy/control_tls.h"
#include "proxy/libraries.h"
#include "proxy/notify.h"
#include "proxy/resolver.h"
#include "proxy/watch.h"
#include "router/store/fault.h"
#include "router/store/store.h"
#include "router/utf8.h"
#include "shadow/descriptor.h"

enum {
    SETTLE_MS = 50, /* a file that is still being written is not read */
    POLL_MS = 1000,
    NAMES_ROOM = 256,
};

/* ---- reading ---- */

/* Digest of the file's bytes; 0 when it cannot be read. */
static uint64_t digest_of(const char *path)
{
    char block[16 * 1024];
    FILE *file = fopen(path, "re");
    XXH3_state_t *state = file != NULL ? XXH3_createState() : NULL;
    uint64_t digest = 0;
    if (state != NULL) {
        size_t got;
        XXH3_64bits_reset(state);
        while ((got = fread(block, 1, sizeof(block), file)) > 0)
            XXH3_64bits_update(state, block, got);
        digest = XXH3_64bits_digest(state);
    }
    XXH3_freeState(state);
    if (file != NULL)
        fclose(file);
    return digest;
}

static void add_fault(void *errors, const char *fault)
{
    (void)config_errors_add(errors, fault); /* without memory it is refused without a sentence */
}

/* The digest is taken first: should the file change in between, it will differ from the file, which is read once more.
 */
bool control_load(struct control *control, struct config **config, struct config_errors *errors)
{
    control->file_digest = digest_of(control->options->config_path);
    *config = config_load(control->options->config_path, errors);
    if (*config != NULL &&
        !(libraries_open(*config, LIBRARIES_NOW, errors) && descriptor_sets_check(*config, add_fault, errors))) {
        config_free(*config);
        *config = NULL;
    }
    if (errors->missing_count > 0)
        control_tls_await(control->tls, errors->missing, errors->missing_count);
    return *config != NULL;
}

bool control_load_fallback(struct control *control, struct config_errors *errors)
{
    char *text;
    int length = asprintf(&text,
                          "listeners:\n"
                          "  - address: \"%s\"\n"
                          "backends:\n"
                          "  legacy: { url: \"http://%s\" }\n",
                          control->options->fail_listen, control->options->fail_open);
    if (length < 0)
        return false;
    struct config *config = config_parse("--listen and --fail-open", text, (size_t)length, errors);
    free(text);
    if (config == NULL)
        return false;
    control->fallback = config_holder_new(config);
    if (control->fallback == NULL)
        config_free(config);
    return control->fallback != NULL;
}

/* ---- adopting ---- */

/* Everything a reload needs before it may change anything. */
struct adoption {
    struct config_holder *holder;
    struct listeners_plan listeners;
    struct resolver_plan *resolver;
    struct notify_plan *targets;
    struct control_tls_plan *tls;
    struct control_state state; /* only when fail-open ends */
    struct admin *admin;        /* only when fail-open ends */
};

static void discard(struct adoption *adoption)
{
    admin_stop(adoption->admin);
    control_state_close(&adoption->state);
    control_tls_discard(adoption->tls);
    notify_discard(adoption->targets);
    resolver_discard(adoption->resolver);
    listeners_discard(&adoption->listeners);
    config_holder_unref(adoption->holder);
}

/* Fail-open has neither state directory nor admin server: both begin with the first valid file. */
static bool prepare_end_of_fail_open(struct control *control, struct adoption *adoption, char **error)
{
    const struct config *config = adoption->holder->config;
    if (!control_state_open(control, config, &adoption->state, error))
        return false;
    if (config->admin.enabled) {
        adoption->admin = admin_start(control, &config->admin, error);
        if (adoption->admin == NULL)
            return false;
    }
    return true;
}

/* Takes `config` whatever happens. */
static bool prepare(struct control *control, struct config *config, struct adoption *adoption, char **error)
{
    *adoption = (struct adoption){.holder = config_holder_new(config)};
    if (adoption->holder == NULL) {
        config_free(config);
        return fault_set(error, "no memory");
    }
    if (!listeners_prepare(&control->listeners, config, control->worker_count, &adoption->listeners, error))
        return false;
    adoption->resolver = resolver_prepare(control->resolver, config);
    if (adoption->resolver == NULL)
        return fault_set(error, "no memory for %u backends", config->backend_count);
    adoption->targets = notify_prepare(control->notify, config);
    if (adoption->targets == NULL)
        return fault_set(error, "no memory for %u targets of notify", config->notify_count);
    adoption->tls = control_tls_prepare(control->tls, adoption->holder, error);
    if (adoption->tls == NULL)
        return false;
    return !control->fail_open || prepare_end_of_fail_open(control, adoption, error);
}

static void tell_restart_of(struct control *control, const char *keys)
{
    log_event(control->log, LOG_LEVEL_WARN, "restart_needed",
              json_pack("{s:s, s:s}", "keys", keys, "why", "these keep their running values until shunt starts again"));
}

/* The router of the fail-open time knew no route and is not needed any more, once no view of it is. */
static void end_fail_open(struct control *control, struct adoption *adoption)
{
    router_free(control->router);
    control->router = adoption->state.router;
    control->signal_passthrough = adoption->state.signal_passthrough;
    control->fleet_saved = adoption->state.fleet;
    control->admin = adoption->admin;
    control->fail_open = false;
    control->save_now = true;
    control->submitted_ticket = control->kept_ticket = 0;
    config_holder_unref(control->started);
    control->started = adoption->holder;
    config_holder_ref(control->started);
    if (adoption->holder->config->workers != control->worker_count)
        tell_restart_of(control, "workers");
    control_passthrough_begin(&adoption->state, false);
    control_passthrough_watch(control);
    log_event(control->log, LOG_LEVEL_INFO, "fail_open_ended", NULL);
    control_tell_admin(control, control->admin, &adoption->holder->config->admin);
}

static void adopt(struct control *control, struct adoption *adoption)
{
    config_holder_unref(control->holder);
    control->holder = adoption->holder;
    resolver_adopt(control->resolver, adoption->resolver);
    notify_adopt(control->notify, adoption->targets);
    control_tls_adopt(control->tls, adoption->tls);
    listeners_number(&control->listeners, &adoption->listeners);
    control_hold_for_names(control);
    control_publish(control);
    listeners_adopt(&control->listeners, &adoption->listeners, control->workers, control->worker_count,
                    control_tell_opened, control_tell_closed, control);
}

/* Configures a router whose events go to its own store. */
static bool configure(struct control *control, struct adoption *adoption, bool leaves_fail_open)
{
    struct store *former = control->store;
    struct router *router = leaves_fail_open ? adoption->state.router : control->router;
    if (leaves_fail_open)
        control->store = adoption->state.store;
    /* The report, too, goes to the directory, before the evidence of a stage begins to count on from it. */
    if ((leaves_fail_open && !(control_report_end(control) && control_report_begin(control))) ||
        !control_report_veil(control, adoption->holder->config) ||
        !router_configure(router, adoption->holder->config, control_clock_ms(), control_wall_clock_ms())) {
        control->store = former;
        return false;
    }
    if (leaves_fail_open)
        store_close(former);
    return true;
}

/* A file that names a fleet where none was named before: only at the end of fail-open, else it takes a restart. */
static void follow_fleet(struct control *control)
{
    bool named = control->started->config->state.redis.url != NULL;
    if (control->fleet == NULL && named)
        control->fleet = control_fleet_new(control, control->holder, control->fleet_saved);
    else
        control_fleet_configure(control->fleet, control->holder);
}

static bool take_into_use(struct control *control, struct config *config, char **error)
{
    struct adoption adoption;
    bool leaves_fail_open = control->fail_open;
    bool ready = prepare(control, config, &adoption, error);
    if (ready && !configure(control, &adoption, leaves_fail_open))
        ready = fault_set(error, "no memory for %u routes", config->route_count);
    if (!ready) {
        discard(&adoption);
        return false;
    }
    if (leaves_fail_open)
        end_fail_open(control, &adoption);
    adopt(control, &adoption);
    follow_fleet(control);
    control_save(control);
    return true;
}

/* ---- reloading ---- */

static void tell_restart(struct control *control, const struct config *next, json_t *fields)
{
    char names[NAMES_ROOM];
    if (!config_needs_restart(control->started->config, next, names, sizeof(names)))
        return;
    json_object_set_new(fields, "restart_needed", json_string(names));
    tell_restart_of(control, names);
}

static json_t *reload_fields(const struct control *control, const char *who)
{
    return json_pack("{s:o, s:o}", "file", utf8_json(control->options->config_path), "who", utf8_json(who));
}

static bool succeeded(struct control *control, const char *who)
{
    json_t *fields = reload_fields(control, who);
    control->reloads++;
    control->last_reload_ok = true;
    service_manager_tell_ready(&control->manager, "Serves");
    tell_restart(control, control->holder->config, fields);
    json_object_set_new(fields, "generation", json_integer((json_int_t)control->generation));
    log_event(control->log, LOG_LEVEL_INFO, "reloaded", fields);
    control_memory_reloaded(control);
    return true;
}

static bool failed(struct control *control, const char *who, json_t *faults, json_t **errors)
{
    json_t *fields = reload_fields(control, who);
    control->reload_failures++;
    control->last_reload_ok = false;
    if (!control->drain.ends)
        service_manager_tell_ready(&control->manager,
                                   "Serves by the former file: the new one was refused, see the log");
    json_object_set(fields, "errors", faults);
    log_event(control->log, LOG_LEVEL_ERROR, "reload_failed", fields);
    if (errors != NULL)
        *errors = faults;
    else
        json_decref(faults);
    return false;
}

json_t *control_errors_json(const struct config_errors *errors)
{
    json_t *lines = json_array();
    for (size_t i = 0; i < errors->count; i++)
        json_array_append_new(lines, utf8_json(errors->lines[i]));
    return lines;
}

bool control_reload(struct control *control, const char *who, json_t **errors)
{
    struct config_errors found = {0};
    struct config *config = NULL;
    char *refused = NULL;
    control->last_reload_wall_ms = control_wall_clock_ms();
    if (control->drain.ends)
        return failed(control, who, json_pack("[s]", "shunt is ending: it takes no other file"), errors);
    service_manager_tell_reloading(&control->manager, control_clock_ms());
    control_tls_forget_refused(control->tls);
    bool loaded = control_load(control, &config, &found);
    bool done = loaded && take_into_use(control, config, &refused);
    json_t *faults = control_errors_json(&found);
    if (loaded && !done)
        json_array_append_new(faults, utf8_json(refused != NULL ? refused : "no memory"));
    config_errors_free(&found);
    free(refused);
    if (!done)
        return failed(control, who, faults, errors);
    json_decref(faults);
    return succeeded(control, who);
}

/* ---- watching ---- */

/* A file that has gone is about to come back: tools that replace it in two steps do that. */
static void on_file_change(void *context, bool exists)
{
    struct control *control = context;
    if (exists && !control->drain.ends && digest_of(control->options->config_path) != control->file_digest)
        control_reload(control, "file", NULL);
}

bool control_watch_file(struct control *control)
{
    const struct watch_options options = {
        .path = control->options->config_path,
        .settle_ms = SETTLE_MS,
        .poll_ms = POLL_MS,
        .on_change = on_file_change,
        .context = control,
    };
    control->file_watch = watch_new(control->base, &options);
    return control->file_watch != NULL;
}
