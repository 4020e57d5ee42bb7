/*
 * The inside of control, for the control_*.c files. All of it belongs to the control thread. See control.h for the
 * outside.
 */
#ifndef SHUNT_PROXY_CONTROL_INSIDE_H
#define SHUNT_PROXY_CONTROL_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "proxy/control.h"
#include "proxy/control_listeners.h"
#include "proxy/drain.h"
#include "proxy/liveness.h"
#include "proxy/log.h"
#include "proxy/memory.h"
#include "proxy/service_manager.h"
#include "proxy/snapshot.h"

struct admin;
struct comparer;
struct control_fleet;
struct control_tls;
struct event;
struct health_board;
struct keeper;
struct notify;
struct resolver;
struct watch;
struct worker;

enum {
    EXIT_DONE = 0,    /* ended as it was asked to */
    EXIT_BROKEN = 1,  /* ended before everything was finished, or something of the system was not to be had */
    EXIT_REFUSED = 2, /* the command line, the file, an address or the state directory cannot be used */

    CONTROL_STOP_MS = 15000, /* what the waits at the end add up to, and more: control.c's *_WAIT_MS and LAST_*_MS */
};

struct control {
    const struct control_options *options; /* borrowed */
    struct event_base *base;
    struct event *tick;
    struct event *signals;
    int signal_fd;
    struct service_manager manager;
    struct log *log;
    struct admin *admin; /* NULL: none configured */
    struct comparer *comparer;
    struct report *report;
    struct keeper *keeper; /* stores the report; NULL before the state directory is open */
    struct resolver *resolver;
    struct health_board *health; /* outlives workers and snapshots */
    struct notify *notify;
    struct control_tls *tls;
    struct control_fleet *fleet; /* NULL: the file names no Redis */
    bool adopts;                 /* what happens now has been decided, and is told to others, by another replica */
    json_t *fleet_saved;         /* owned: what the fleet's part had saved before this start; NULL: nothing */

    struct config_holder *holder;   /* the file in use; in fail-open mode the one made from the command line */
    struct config_holder *started;  /* the file as it was when that began which only a restart can change */
    struct config_holder *fallback; /* made from --fail-open and --listen; NULL without */
    struct router *router;
    struct store *store;
    struct watch *file_watch;
    struct watch *passthrough_watch; /* NULL: state in memory */
    uint64_t file_digest;            /* of the file's bytes when it was last read, good or bad */
    bool fail_open;                  /* serving without a valid file */

    struct memory memory; /* outlives the workers, who look at it, too */
    enum memory_level memory_told;
    uint64_t memory_trim_at_ms;
    uint64_t memory_events; /* of clients, when it was last looked whether all is quiet */
    bool memory_is_trimmed; /* since then */

    struct worker **workers;
    uint32_t worker_count;
    struct liveness *liveness; /* of each worker; owned */
    struct listeners listeners;
    struct snapshot *snapshot; /* the newest published */
    uint64_t generation;
    uint64_t published_revision; /* of the router, as in the snapshot */
    uint64_t republish_at_ms;    /* a worker that has not adopted the newest by then is given it again */
    uint64_t held_until_ms;      /* publishing waits for names until then; 0: it does not */
    uint64_t held_revision;      /* of the router when that wait began; an urgent change ends it */
    bool publish_wanted;         /* by something other than the router: addresses, a file */

    bool signal_passthrough;                /* the switch that SIGUSR1 turns */
    uint64_t saved_revision;                /* of the router, as handed to the store */
    uint64_t saved_fleet_revision;          /* of the fleet's state, likewise */
    uint64_t submitted_ticket, kept_ticket; /* of the store */
    uint64_t save_at_ms;                    /* after a failure: not before */
    uint64_t evidence_at_ms;                /* when evidence of running stages is due to be saved */
    bool save_failing;                      /* told once */
    bool save_now;                          /* something must be saved although the revision says no */

    bool ready;
    struct drain drain;
    enum drain_phase drain_told; /* the newest that was logged */
    bool drain_unlinked;         /* the files of unix sockets are gone */
    char *drain_who;             /* owned: who began it; NULL: nobody yet */
    uint64_t drain_began_wall_ms;
    uint64_t drain_deadline_ms; /* workers that have not ended by then are left behind */
    uint64_t ended_ms;          /* when the first signal came that asked us to end */
    int exit_code;
    bool abandon; /* workers hang: do not wait for them */

    uint64_t started_ms, started_wall_ms;
    uint64_t reloads, reload_failures, last_reload_wall_ms;
    uint64_t state_saves, state_save_failures;
    uint64_t told_fail_open_ms;
    uint64_t beat_ms; /* the last control_beat(); 0: none yet */
    bool last_reload_ok;
};

uint64_t control_clock_ms(void); /* monotonic */
uint64_t control_wall_clock_ms(void);

/* ---- control.c ---- */

/* Makes a snapshot of what holds now and hands it to all workers. False without memory: the tick tries again. */
bool control_publish(struct control *control);
/* What must not wait: moves breakers and plans, and publishes what they change. */
void control_beat(struct control *control);
/* The next snapshot waits until new backends' names have been answered, for a bounded time; anything urgent ends the
 * wait. */
void control_hold_for_names(struct control *control);
/* After a change of the router: publishes it, then saves. */
void control_settle(struct control *control);
/* The same for a person who waits for it: true when it is on the disk. */
bool control_settle_and_wait(struct control *control);

/* Logs where it listens now and where not any more; for listeners_adopt(). */
void control_tell_opened(void *control, const char *address);
void control_tell_closed(void *control, const char *address);
void control_tell_admin(struct control *control, const struct admin *admin, const struct config_admin *config);

/* ---- control_state.c ---- */

/* State directory and router: what a restart takes up again. */
struct control_state {
    struct store *store;
    struct router *router;
    bool signal_passthrough;
    json_t *fleet; /* owned: what the fleet's part had saved; NULL: nothing */
};

/* Opens the store of this file and restores a router from it. False with a malloc'd sentence in *error. */
bool control_state_open(struct control *control, const struct config *config, struct control_state *state,
                        char **error);
void control_state_close(struct control_state *state);

/* Hands the state to the store when it has changed or is due; hears how it went before, and tells failures once. */
void control_save(struct control *control);
/* The same now, in any case, and waits. True when everything is on the disk. */
bool control_save_and_wait(struct control *control, uint64_t wait_ms);

/* ---- control_report.c ---- */

/* Takes up the stored report and stores it from now on, in the directory of the state. After the store has its lock,
 * before the router's first configuration: evidence counts on from the report's totals. False without memory. */
bool control_report_begin(struct control *control);
/* Logs what the keeper could not do. */
void control_report_tick(struct control *control);
/* What the file allows to be shown of values, before anybody works by it. False without memory. */
bool control_report_veil(struct control *control, const struct config *config);
/* The last save. False: it hangs, see keeper_stop(). */
bool control_report_end(struct control *control);

/* ---- control_memory.c ---- */

/* Finds the limit, and what of it the report and its database may take. Before anything is restored. */
void control_memory_open(struct control *control);
/* The compare thread's part, once there is one; tells of the limit. */
void control_memory_begin(struct control *control);
/* Another file is in use: tells what of it holds. */
void control_memory_reloaded(struct control *control);
void control_memory_tick(struct control *control, uint64_t now_ms);

/* ---- control_passthrough.c ---- */

/* Turns the switches of environment, file and fail-open to what they are now. Before anything is published. */
void control_passthrough_begin(struct control_state *state, bool fail_open);
/* Watches the file `passthrough` of the state directory from now on. False without memory. */
bool control_passthrough_watch(struct control *control);
void control_passthrough_toggle(struct control *control);

/* ---- control_reload.c ---- */

/* Reads the file for the first time. False with all faults in *errors. */
bool control_load(struct control *control, struct config **config, struct config_errors *errors);
/* The configuration of --fail-open. False with the faults in *errors. */
bool control_load_fallback(struct control *control, struct config_errors *errors);
/* The faults as an array of strings; new reference. */
json_t *control_errors_json(const struct config_errors *errors);
/* Watches the file from now on. False without memory. */
bool control_watch_file(struct control *control);

/* ---- control_liveness.c ---- */

/* Before the workers start. False without memory. */
bool control_liveness_begin(struct control *control);
/* With each tick: looks whether the workers' loops have turned, and tells where one hangs. True while all turn. */
bool control_liveness_tick(struct control *control, uint64_t now_ms);

/* ---- control_drain.c ---- */

/* One more signal asks us to end. */
void control_end(struct control *control, int signal);
/* Tells of phases; after a signal looks whether all workers have ended. */
void control_drain_tick(struct control *control);

#endif
