/*
 * The control thread's life: starts everything in the order in which it can be refused without harm, ticks, publishes,
 * and takes everything down again.
 *
 * It runs on the main thread over one libevent base that no other thread touches. Workers hear of changes by snapshots
 * only. What is done with the file is in control_reload.c, with the state in control_state.c, with the switches of
 * passthrough in control_passthrough.c, with the end in control_drain.c, and what the admin server may ask in
 * control_facts.c.
 *
 * Until the loop runs nothing is served: whatever is wrong with the file, an address or the state directory is said on
 * standard error, and the process exits. Later nothing but a signal ends it.
 */
#include "proxy/control.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "proxy/admin.h"
#include "proxy/control_fleet.h"
#include "proxy/control_inside.h"
#include "proxy/control_tls.h"
#include "proxy/descriptors.h"
#include "proxy/health_board.h"
#include "proxy/notify.h"
#include "proxy/resolver.h"
#include "proxy/watch.h"
#include "proxy/worker.h"
#include "router/store/store.h"
#include "router/utf8.h"
#include "shadow/comparer.h"
#include "shadow/report.h"

enum {
    TICK_MS = 25,
    NAMES_MS = 2000,      /* a start or a reload waits for names that long at most */
    FLEET_JOIN_MS = 1000, /* and a start for what the fleet wants */
    REPUBLISH_MS = 1000,
    PAIRS_QUEUED = 256,      /* for each worker, waiting to be compared */
    LOG_WAIT_MS = 1000,      /* at the end, for a reader that does not read */
    COMPARE_WAIT_MS = 1000,  /* at the end */
    PERSON_WAITS_MS = 10000, /* for a slow disk */
    LAST_SAVE_MS = 5000,     /* at the end */
    LAST_WORD_MS = 2000,     /* at the end, for events that others are still to be told */
    REMIND_MS = 60 * 1000,   /* how often fail-open says so */
    /* Without a beat for so long, the process was stopped. Beats come every 25 ms, on a busy machine or while the file
     * is read a few hundred later; where even more was only delay, a hold is that much longer, which does no harm. */
    SLEPT_MS = 2000,
};

uint64_t control_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t control_wall_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- publishing ---- */

/* New backends' names may need a moment before they can be published without refusing requests. */
static bool is_held(struct control *control)
{
    if (control->held_until_ms == 0)
        return false;
    if (resolver_unanswered(control->resolver) > 0 && control_clock_ms() < control->held_until_ms &&
        router_revision(control->router) == control->held_revision)
        return true;
    control->held_until_ms = 0;
    return false;
}

static struct snapshot *make_snapshot(struct control *control)
{
    struct router_view *view = router_publish(control->router);
    if (view == NULL)
        return NULL;
    const struct snapshot_parts parts = {
        .generation = control->generation + 1,
        .holder = control->holder,
        .view = view,
        .endpoints = resolver_endpoints(control->resolver),
        .backend_tls = control_tls_backends(control->tls),
        .health = control->health,
        .listener_ids = control->listeners.ids,
        .listener_tls = control_tls_listeners(control->tls),
    };
    struct snapshot *snapshot = snapshot_new(&parts);
    router_view_unref(view);
    return snapshot;
}

bool control_publish(struct control *control)
{
    uint64_t revision = router_revision(control->router);
    control->publish_wanted = true;
    if (is_held(control))
        return true;
    struct snapshot *snapshot = make_snapshot(control);
    if (snapshot == NULL)
        return false;
    if (control->snapshot == NULL || control->snapshot->config != snapshot->config)
        (void)health_board_settle(control->health, snapshot->config); /* without memory some checks are not counted */
    control->publish_wanted = false;
    control->published_revision = revision;
    control->generation = snapshot->generation;
    control->republish_at_ms = control_clock_ms() + REPUBLISH_MS;
    for (uint32_t i = 0; control->workers != NULL && i < control->worker_count; i++)
        if (control->workers[i] != NULL)
            worker_publish(control->workers[i], snapshot);
    snapshot_unref(control->snapshot);
    control->snapshot = snapshot;
    return true;
}

void control_settle(struct control *control)
{
    if (router_revision(control->router) != control->published_revision)
        control_publish(control);
    control_save(control);
}

bool control_settle_and_wait(struct control *control)
{
    if (router_revision(control->router) != control->published_revision)
        control_publish(control);
    return control_save_and_wait(control, PERSON_WAITS_MS);
}

void control_hold_for_names(struct control *control)
{
    if (resolver_unanswered(control->resolver) == 0)
        return;
    control->held_until_ms = control_clock_ms() + NAMES_MS;
    control->held_revision = router_revision(control->router);
}

/* A worker that had no memory for the newest snapshot gets it once more. */
static void republish(struct control *control, uint64_t now_ms)
{
    if (now_ms < control->republish_at_ms)
        return;
    control->republish_at_ms = now_ms + REPUBLISH_MS;
    for (uint32_t i = 0; i < control->worker_count; i++)
        if (worker_generation(control->workers[i]) < control->generation && !worker_finished(control->workers[i]))
            worker_publish(control->workers[i], control->snapshot);
}

/* ---- what happens while it runs ---- */

static void remind_of_fail_open(struct control *control, uint64_t now_ms)
{
    if (!control->fail_open || now_ms - control->told_fail_open_ms < REMIND_MS)
        return;
    control->told_fail_open_ms = now_ms;
    log_event(control->log, LOG_LEVEL_ERROR, "fail_open",
              json_pack("{s:o, s:s, s:s}", "file", utf8_json(control->options->config_path), "legacy",
                        control->options->fail_open, "why", "there is still no valid configuration file"));
}

void control_beat(struct control *control)
{
    uint64_t now_ms = control_clock_ms();
    if (control->beat_ms != 0 && now_ms - control->beat_ms >= SLEPT_MS)
        router_slept(control->router, now_ms);
    control->beat_ms = now_ms;
    if (router_tick(control->router, now_ms, control_wall_clock_ms()) || control->publish_wanted)
        control_publish(control);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct control *control = context;
    uint64_t now_ms = control_clock_ms();
    control_beat(control);
    control_fleet_tick(control->fleet, now_ms);
    control_save(control);
    republish(control, now_ms);
    remind_of_fail_open(control, now_ms);
    if (control_liveness_tick(control, now_ms))
        service_manager_beat(&control->manager, now_ms);
    control_report_tick(control);
    control_memory_tick(control, now_ms);
    control_drain_tick(control);
}

static void on_resolved(void *context, const struct resolver_result *result)
{
    struct control *control = context;
    if (result->turned)
        log_event(control->log, result->error != NULL ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
                  result->error != NULL ? "backend_resolve_failed" : "backend_resolved",
                  json_pack("{s:s, s:s, s:s?, s:i}", "backend", result->backend, "host", result->host, "error",
                            result->error, "addresses", (int)result->addresses));
    if ((result->changed || control->held_until_ms != 0) && control->router != NULL && control->snapshot != NULL)
        control_publish(control);
}

static void obey(struct control *control, int signal)
{
    switch (signal) {
    case SIGHUP:
        control_reload(control, "signal:HUP", NULL);
        break;
    case SIGUSR1:
        control_passthrough_toggle(control);
        break;
    default:
        control_end(control, signal);
        break;
    }
}

static void on_signals(evutil_socket_t fd, short what, void *context)
{
    struct signalfd_siginfo told;
    (void)what;
    while (read((int)fd, &told, sizeof(told)) == (ssize_t)sizeof(told))
        obey(context, (int)told.ssi_signo);
}

/* ---- the process ---- */

/* Blocked in every thread for ever, so that no handler interrupts anybody: the loop reads them when it runs. */
static int open_signals(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaddset(&set, signals[i]);
    errno = pthread_sigmask(SIG_BLOCK, &set, NULL);
    return errno == 0 ? signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) : -1;
}

/* libevent tells on standard error that a DNS server does not answer; the resolver says it better. */
static void on_libevent_message(int severity, const char *message)
{
    if (severity >= EVENT_LOG_WARN)
        fprintf(stderr, "shunt: libevent: %s\n", message);
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    if (config == NULL)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK); /* this thread alone uses it */
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

/* Certificates, keys or CAs are others. */
static void on_tls_change(void *context)
{
    struct control *control = context;
    (void)control_publish(control); /* without memory the tick tries again */
}

/* They kept the file from being used. */
static void on_refused_tls_change(void *context)
{
    struct control *control = context;
    if (!control->drain.ends)
        control_reload(control, "files", NULL);
}

static const struct control_tls_events tls_events = {
    .on_change = on_tls_change,
    .on_refused_change = on_refused_tls_change,
};

static bool start_process(struct control *control)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a state or log that may not grow is a failed write, not the end */
    control->signal_fd = open_signals();
    descriptors_raise_limit();
    service_manager_open(&control->manager);
    event_set_log_callback(on_libevent_message);
    control->started_ms = control_clock_ms();
    control->started_wall_ms = control_wall_clock_ms();
    control->base = new_base();
    control->log = log_start(STDOUT_FILENO);
    control->report = report_new();
    control_memory_open(control);
    control->health = health_board_new();
    control->notify = control->log != NULL ? notify_new(control->log, &notify_limits) : NULL;
    const struct resolver_options options = {.on_result = on_resolved, .context = control};
    control->resolver = control->base != NULL ? resolver_new(control->base, &options) : NULL;
    control->tls = control->base != NULL && control->log != NULL
                       ? control_tls_new(control->base, control->log, &tls_events, control)
                       : NULL;
    if (control->signal_fd >= 0 && control->tls != NULL && control->base != NULL && control->log != NULL &&
        control->report != NULL && control->notify != NULL && control->resolver != NULL && control->health != NULL)
        return true;
    fprintf(stderr, "shunt: cannot start: %s; give it more memory or threads\n", strerror(errno));
    return false;
}

/* ---- the file ---- */

static void print_errors(const struct config_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++)
        fprintf(stderr, "%s\n", errors->lines[i]);
}

/* Says as loudly as it can that this is not what anybody wanted. */
static void tell_fail_open(struct control *control, const struct config_errors *errors)
{
    fprintf(stderr, "shunt: FAIL-OPEN: %s cannot be used; everything goes to %s until it can\n",
            control->options->config_path, control->options->fail_open);
    log_event(control->log, LOG_LEVEL_ERROR, "fail_open",
              json_pack("{s:o, s:s, s:s, s:o}", "file", utf8_json(control->options->config_path), "legacy",
                        control->options->fail_open, "why", "there is no valid configuration file", "errors",
                        control_errors_json(errors)));
    control->told_fail_open_ms = control_clock_ms();
}

static void use_config(struct control *control, struct config_holder *holder)
{
    config_holder_unref(control->holder);
    config_holder_unref(control->started);
    control->holder = control->started = holder;
    config_holder_ref(holder);
    control->worker_count = holder->config->workers;
}

static bool fall_back(struct control *control, const struct config_errors *errors)
{
    if (control->fallback == NULL || control->fail_open)
        return false;
    tell_fail_open(control, errors);
    control->fail_open = true;
    config_holder_ref(control->fallback);
    use_config(control, control->fallback);
    return true;
}

/* The file, or what stands in for it. */
static bool load(struct control *control, struct config_errors *errors)
{
    struct config *config = NULL;
    if (!control_load(control, &config, errors)) {
        print_errors(errors);
        return fall_back(control, errors);
    }
    struct config_holder *holder = config_holder_new(config);
    if (holder == NULL) {
        config_free(config);
        return false;
    }
    use_config(control, holder);
    return true;
}

static bool choose_config(struct control *control)
{
    struct config_errors errors = {0};
    bool chosen = control->options->fail_open == NULL || control_load_fallback(control, &errors);
    if (chosen)
        chosen = load(control, &errors);
    else
        print_errors(&errors);
    config_errors_free(&errors);
    return chosen;
}

/* ---- one thing after the other ---- */

static bool say(char *error)
{
    fprintf(stderr, "shunt: %s\n", error != NULL ? error : "no memory");
    free(error);
    return false;
}

/* What is in files that the file names is a part of it. */
static bool open_tls(struct control *control)
{
    char *error = NULL;
    struct control_tls_plan *plan = control_tls_prepare(control->tls, control->holder, &error);
    if (plan == NULL) {
        struct config_errors errors = {.lines = &error, .count = error != NULL};
        fprintf(stderr, "shunt: %s\n", error != NULL ? error : "no memory");
        if (fall_back(control, &errors))
            plan = control_tls_prepare(control->tls, control->holder, &(char *){NULL});
        free(error);
    }
    if (plan == NULL)
        return false;
    control_tls_adopt(control->tls, plan);
    return true;
}

/* A state directory that cannot be used is a fault of the file as any other. */
static bool open_state(struct control *control)
{
    struct control_state state;
    char *error = NULL;
    bool opened = control_state_open(control, control->holder->config, &state, &error);
    if (!opened) {
        struct config_errors errors = {.lines = &error, .count = error != NULL};
        fprintf(stderr, "shunt: %s\n", error != NULL ? error : "no memory");
        opened = fall_back(control, &errors) && open_tls(control) &&
                 control_state_open(control, control->holder->config, &state, &(char *){NULL});
        free(error);
    }
    if (!opened)
        return false;
    control->store = state.store;
    control->router = state.router;
    control->signal_passthrough = state.signal_passthrough;
    control->fleet_saved = state.fleet;
    control_passthrough_begin(&state, control->fail_open);
    return true;
}

static void on_beat_of_start(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what, (void)context; /* it only wakes the loop */
}

/* Lets the loop run until `done`, for a bounded time: a start never hangs on others. */
static void wait_until(struct control *control, bool (*done)(struct control *control), uint64_t most_ms)
{
    const struct timeval interval = {.tv_usec = TICK_MS * 1000};
    uint64_t until_ms = control_clock_ms() + most_ms;
    struct event *timer = event_new(control->base, -1, EV_PERSIST, on_beat_of_start, NULL);
    bool waits = timer != NULL && event_add(timer, &interval) == 0;
    while (waits && !done(control) && control_clock_ms() < until_ms)
        waits = event_base_loop(control->base, EVLOOP_ONCE) == 0;
    if (timer != NULL)
        event_free(timer);
}

/* The first request should not be refused because a name takes a moment. */
static bool names_are_known(struct control *control)
{
    return resolver_unanswered(control->resolver) == 0;
}

/* Where Redis is there, the fleet's share and passthrough hold before the first request: nobody changes sides because a
 * replica starts. */
static bool fleet_is_joined(struct control *control)
{
    control_fleet_tick(control->fleet, control_clock_ms());
    return control_fleet_has_joined(control->fleet);
}

static bool join_fleet(struct control *control)
{
    if (control->holder->config->state.redis.url == NULL)
        return true;
    control->fleet = control_fleet_new(control, control->holder, control->fleet_saved);
    if (control->fleet == NULL)
        return false;
    wait_until(control, fleet_is_joined, FLEET_JOIN_MS);
    return true;
}

static bool take_config(struct control *control)
{
    const struct config *config = control->holder->config;
    struct resolver_plan *plan = resolver_prepare(control->resolver, config);
    if (plan == NULL)
        return say(NULL);
    resolver_adopt(control->resolver, plan);
    struct notify_plan *targets = notify_prepare(control->notify, config);
    if (targets == NULL)
        return say(NULL);
    notify_adopt(control->notify, targets);
    if (!control_report_veil(control, config) ||
        !router_configure(control->router, config, control_clock_ms(), control_wall_clock_ms()))
        return say(NULL);
    if (!join_fleet(control))
        return say(NULL);
    wait_until(control, names_are_known, NAMES_MS);
    return control_publish(control) || say(NULL);
}

static bool start_admin(struct control *control)
{
    const struct config_admin *config = &control->holder->config->admin;
    char *error = NULL;
    if (!config->enabled)
        return true;
    control->admin = admin_start(control, config, &error);
    return control->admin != NULL || say(error);
}

static bool start_workers(struct control *control)
{
    control->comparer = comparer_start(control->worker_count, PAIRS_QUEUED, control->report);
    control->workers = calloc(control->worker_count, sizeof(*control->workers));
    bool started = control->comparer != NULL && control->workers != NULL && control_liveness_begin(control);
    if (started)
        control_memory_begin(control);
    for (uint32_t i = 0; i < control->worker_count && started; i++) {
        control->workers[i] = worker_start(i, control->worker_count, control->snapshot, control->comparer, control->log,
                                           &control->memory);
        started = control->workers[i] != NULL;
    }
    if (!started)
        fprintf(stderr, "shunt: cannot start %u workers: %s; give it more memory or threads, or set `workers` lower\n",
                control->worker_count, strerror(errno));
    return started;
}

static bool start_events(struct control *control)
{
    const struct timeval interval = {.tv_usec = TICK_MS * 1000};
    control->signals = event_new(control->base, control->signal_fd, EV_READ | EV_PERSIST, on_signals, control);
    if (control->signals == NULL || event_add(control->signals, NULL) < 0)
        return say(NULL);
    control->tick = event_new(control->base, -1, EV_PERSIST, on_tick, control);
    if (control->tick == NULL || event_add(control->tick, &interval) < 0)
        return say(NULL);
    return (control_watch_file(control) && control_passthrough_watch(control)) || say(NULL);
}

void control_tell_opened(void *context, const char *address)
{
    struct control *control = context;
    log_event(control->log, LOG_LEVEL_INFO, "listening", json_pack("{s:o}", "address", utf8_json(address)));
}

void control_tell_closed(void *context, const char *address)
{
    struct control *control = context;
    log_event(control->log, LOG_LEVEL_INFO, "listening_ended", json_pack("{s:o}", "address", utf8_json(address)));
}

void control_tell_admin(struct control *control, const struct admin *admin, const struct config_admin *config)
{
    const char *host = config->address.host;
    if (admin == NULL)
        return;
    log_event(control->log, LOG_LEVEL_INFO, "admin_listening",
              json_pack("{s:o}", "address",
                        json_sprintf(strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d", host, admin_port(admin))));
}

static void tell_start(struct control *control)
{
    const struct config *config = control->holder->config;
    log_event(control->log, LOG_LEVEL_INFO, "started",
              json_pack("{s:s, s:i, s:o, s:i, s:i, s:o, s:b, s:b}", "version", SHUNT_VERSION, "pid", (int)getpid(),
                        "file", utf8_json(control->options->config_path), "workers", (int)control->worker_count,
                        "routes", (int)config->route_count, "state", utf8_json(store_directory(control->store)),
                        "passthrough", router_passthrough_is_on(control->router), "fail_open", control->fail_open));
}

/* From here on clients are served. */
static void open_doors(struct control *control, struct listeners_plan *plan)
{
    tell_start(control);
    listeners_number(&control->listeners, plan);
    (void)control_publish(control); /* without memory the tick tries again, and until then nothing is accepted */
    listeners_adopt(&control->listeners, plan, control->workers, control->worker_count, control_tell_opened,
                    control_tell_closed, control);
    control_tell_admin(control, control->admin, &control->holder->config->admin);
    control->ready = true;
    service_manager_tell_ready(&control->manager, control->fail_open ? "Fail-open: without a valid file" : "Serves");
}

static int start(struct control *control)
{
    struct listeners_plan plan;
    char *error = NULL;
    if (!start_process(control))
        return EXIT_BROKEN;
    if (!choose_config(control) || !open_tls(control) || !open_state(control))
        return EXIT_REFUSED;
    if (!control_report_begin(control)) {
        say(NULL);
        return EXIT_BROKEN;
    }
    if (!take_config(control))
        return EXIT_REFUSED;
    if (!listeners_prepare(&control->listeners, control->holder->config, control->worker_count, &plan, &error)) {
        say(error);
        return EXIT_REFUSED;
    }
    bool admin = start_admin(control);
    if (!admin || !start_workers(control) || !start_events(control)) {
        listeners_discard(&plan);
        return admin ? EXIT_BROKEN : EXIT_REFUSED;
    }
    open_doors(control, &plan);
    control->save_now = true; /* says early whether the directory can be written */
    control_save(control);
    return EXIT_DONE;
}

/* ---- the end ---- */

static void stop_workers(struct control *control)
{
    static const struct drain at_once = {.begun = true, .ends = true};
    for (uint32_t i = 0; control->workers != NULL && i < control->worker_count; i++)
        if (control->workers[i] != NULL)
            worker_drain(control->workers[i], &at_once); /* those of a start that failed; else they have ended */
    for (uint32_t i = 0; control->workers != NULL && i < control->worker_count; i++)
        if (control->workers[i] != NULL)
            worker_wait(control->workers[i]);
    /* Each worker takes its pairs back before it goes: they hold on to snapshots. */
    if (control->comparer != NULL)
        comparer_finish(control->comparer, COMPARE_WAIT_MS);
    for (uint32_t i = 0; control->workers != NULL && i < control->worker_count; i++)
        if (control->workers[i] != NULL)
            worker_join(control->workers[i]);
    free(control->workers);
    control->workers = NULL;
    if (control->comparer != NULL)
        comparer_stop(control->comparer, COMPARE_WAIT_MS);
    control->comparer = NULL;
}

static void stop_events(struct control *control)
{
    control_fleet_free(control->fleet); /* tells who waits at the admin server */
    control->fleet = NULL;
    if (control->tick != NULL)
        event_free(control->tick);
    if (control->signals != NULL)
        event_free(control->signals);
    watch_free(control->file_watch);
    watch_free(control->passthrough_watch);
    admin_stop(control->admin);
    resolver_free(control->resolver);
    control_tls_free(control->tls);
}

/* Saves for the last time and says that it is over. */
static void tell_end(struct control *control)
{
    bool saved = control_save_and_wait(control, LAST_SAVE_MS);
    log_event(control->log, saved ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "stopped",
              json_pack("{s:i, s:b}", "code", control->exit_code, "saved", saved));
    if (!saved && !control->save_failing)
        control->abandon = true; /* the disk hangs, and the store's thread with it */
}

static void stop(struct control *control)
{
    bool was_running = control->ready || control->drain.begun;
    if (!control->abandon) {
        stop_workers(control);
        listeners_done(&control->listeners);
    }
    if (!control_report_end(control))
        control->abandon = true;
    if (was_running)
        tell_end(control);
    notify_stop(control->notify, LAST_WORD_MS);
    control->notify = NULL;
    if (control->abandon) {
        log_flush(control->log, LOG_WAIT_MS);
        _exit(control->exit_code); /* threads that hang still use everything else */
    }
    stop_events(control);
    snapshot_unref(control->snapshot);
    health_board_free(control->health);
    router_free(control->router);
    report_free(control->report);
    store_close(control->store);
    json_decref(control->fleet_saved);
    free(control->drain_who);
    free(control->liveness);
    config_holder_unref(control->holder);
    config_holder_unref(control->started);
    config_holder_unref(control->fallback);
    log_stop(control->log, LOG_WAIT_MS);
    memory_done(&control->memory);
    if (control->base != NULL)
        event_base_free(control->base);
    if (control->signal_fd >= 0)
        close(control->signal_fd);
    service_manager_close(&control->manager);
    libevent_global_shutdown();
}

int control_run(const struct control_options *options)
{
    struct control control = {.options = options, .last_reload_ok = true, .signal_fd = -1};
    control.exit_code = start(&control);
    if (control.exit_code == EXIT_DONE)
        event_base_dispatch(control.base);
    stop(&control);
    return control.exit_code;
}
