/*
 * The control thread: owns configuration, router, store, workers and the admin server, and is the only one to change
 * state.
 *
 * The functions below are what the admin server (same thread) may ask for; main() calls control_run().
 */
#ifndef SHUNT_PROXY_CONTROL_H
#define SHUNT_PROXY_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "config/config.h"
#include "proxy/drain.h"
#include "proxy/worker_counters.h"
#include "router/router.h"

struct control;
struct health_board;
struct report;
struct memory;
struct store;
struct event_base;
struct control_fleet;
struct control_tls;
struct control_waiter;
struct keeper;
struct notify;

struct control_options {
    const char *config_path;
    const char *fail_open;   /* --fail-open HOST:PORT; NULL: none */
    const char *fail_listen; /* --listen HOST:PORT, with fail_open */
};

/* Runs until SIGTERM/SIGINT has drained everything; returns the exit code (0, 2 for a bad file). */
int control_run(const struct control_options *options);

/* ---- for the admin server ---- */
struct event_base *control_base(struct control *control);
const struct config *control_config(struct control *control);
struct router *control_router(struct control *control);
struct report *control_report(struct control *control);
struct store *control_store(struct control *control);
struct keeper *control_keeper(struct control *control); /* NULL: none runs */
struct notify *control_notify(struct control *control);
struct health_board *control_health(struct control *control);
const struct control_tls *control_tls(const struct control *control); /* NULL: none, as without a file */
/* Forgets what comparing found of a route (NULL: all), with an audit line. True when that line is on the disk. */
bool control_forget_report(struct control *control, const char *route, const char *who, const char *reason);
struct control_fleet *control_fleet(struct control *control); /* NULL: none */
/*
 * Runs the command, saves, publishes. Like router_command(), and CONTROL_LATER in a fleet: `waiter` will be called
 * (control_fleet.h). 0 with *pending: it has been done here, and the fleet will be told when Redis is there again.
 */
enum {
    CONTROL_LATER = 1
};
int control_command(struct control *control, const struct router_command *command, const struct control_waiter *waiter,
                    bool *pending, const char **why);
/* The API's passthrough switch, of this process alone. True when it is now as asked (saved and published). */
bool control_passthrough(struct control *control, bool on, const char *who, const char *reason);
/* Reads the file again now. False with the errors as an array of strings in *errors (new reference). */
bool control_reload(struct control *control, const char *who, json_t **errors);
/* The first worker whose loop does not turn any more, and since when. False: all turn, or have ended as they were to.
 */
bool control_hanging_worker(const struct control *control, uint32_t *index, uint64_t *still_ms);
/* Ready: all listeners serve and we are not draining. */
bool control_is_ready(const struct control *control);
bool control_is_draining(const struct control *control);
/* Begins draining, and does not end the process; once begun it goes on as it has. */
void control_drain_begin(struct control *control, const char *who, const char *reason);
/* Takes it back. False: a signal has asked for the end meanwhile. */
bool control_drain_cancel(struct control *control, const char *who, const char *reason);
struct control_drain_state {
    enum drain_phase phase; /* NONE: the rest is empty */
    const char *who;        /* borrowed until the next change; NULL: nobody is named */
    uint64_t began_wall_ms;
    uint64_t min_ms, min_left_ms;
    bool ends;        /* a signal has asked for the end, */
    uint64_t left_ms; /* and what is left then is broken off */
};
void control_drain_state(const struct control *control, struct control_drain_state *state);
/* Sum over the workers. */
void control_counters(const struct control *control, struct worker_counters *sum);

/* The control group's limit, and how close it is. */
const struct memory *control_memory(const struct control *control);

struct control_process { /* facts for status and metrics */
    uint64_t started_wall_ms;
    uint64_t uptime_ms;
    uint64_t generation;
    uint64_t reloads, reload_failures;
    uint64_t last_reload_wall_ms;
    bool last_reload_ok;
    uint64_t state_saves, state_save_failures;
    uint64_t report_saves, report_save_failures;
    uint64_t report_samples; /* stored */
    bool report_on_disk;
    uint64_t log_dropped;
    uint32_t workers;
    bool fail_open; /* serving without a valid file */
};
void control_process(const struct control *control, struct control_process *process);
uint64_t control_now_ms(const struct control *control); /* monotonic */
uint64_t control_wall_ms(const struct control *control);
/* Each listener's real address ("0.0.0.0:8080"), as a JSON array; new reference. */
json_t *control_listeners(const struct control *control);
/* Backends with their addresses as resolved now, and which of them are down where they are checked, as a JSON array;
 * new reference. */
json_t *control_backends(const struct control *control);

#endif
