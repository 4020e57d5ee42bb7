/*
 * The inside of a worker, for the modules that run on its thread. See worker.h for the outside.
 */
#ifndef SHUNT_PROXY_WORKER_INSIDE_H
#define SHUNT_PROXY_WORKER_INSIDE_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "proxy/chunk.h"
#include "proxy/conn.h"
#include "proxy/memory.h"
#include "proxy/snapshot.h"
#include "proxy/turn.h"
#include "proxy/wheel.h"
#include "proxy/worker.h"
#include "proxy/worker_counters.h"

struct access_log;
struct comparer;
struct downstream;
struct exchange;
struct h1_parser;
struct h2_block;
struct h2_fields;
struct h2_server_stream;
struct h2_request;
struct listener;
struct log;
struct mirror;
struct pair;
struct probe;
struct segment;
struct upstream_set;

/* A snapshot as this worker uses it: counted without atomics by whoever still needs what is in it. */
struct view {
    struct worker *worker;
    struct snapshot *snapshot;
    const struct config *config;
    uint32_t refs;
};

/* An object to be freed when the round is over. */
struct retired {
    struct retired *next;
    void (*free)(struct worker *worker, struct retired *retired);
};

/* Idle pipes for splice(); see pipe.h. */
enum {
    WORKER_PIPES = 32
};
struct pipe_pair {
    int in, out; /* write end, read end */
    uint32_t capacity;
};

struct worker_message;

struct worker {
    uint32_t index, workers;
    struct event_base *base;
    struct event tick;
    bool tick_is_fast;
    bool tick_saw_work;    /* something was in flight since the last tick */
    bool deadlines_waited; /* at the last tick, which came late */
    uint64_t ticked_ms;
    struct wheel wheel;
    struct timespec now;     /* what now_us is made of; on the stack it would be guarded, four times a request */
    uint64_t now_us, now_ms; /* monotonic; as of the current callback */
    struct view *view;       /* the newest adopted; one reference */
    struct worker_counters counters;

    struct chunk_pool chunks;
    struct chunk *input; /* where the next read goes */
    struct segment *free_segments;
    struct exchange *free_exchanges;
    uint32_t free_exchange_count;
    uint32_t exchanges_open;
    struct mirror *free_mirrors;
    struct pair *free_pairs;
    uint32_t free_pair_count;
    struct h2_block *spare_blocks;
    uint32_t spare_block_count;
    struct h2_request *free_requests; /* streams to backends */
    uint32_t free_request_count;
    struct h2_server_stream *spare_server_streams;
    uint32_t spare_server_stream_count;
    struct h2_fields *h2_fields; /* of the header section being sent; NULL before the first */
    struct h1_parser *spare_parsers[8];
    uint32_t spare_parser_count;
    struct pipe_pair pipes[WORKER_PIPES];
    uint32_t pipe_count;
    struct retired *retired;
    struct conn *dirty, *ready;
    struct conn *dirty_late; /* patient ones: written at the round's end */
    bool round_is_over;
    struct turn_line turns; /* while memory is scarce */
    struct conn *later;     /* had their share of this round; looked at in the next */
    bool settling;

    struct listener *listeners;
    struct downstream *downstreams;       /* all client connections: drain walks them */
    struct downstream *oldest_downstream; /* the list's other end */
    struct upstream_set *upstreams;
    uint32_t tunnels_open;
    struct tunnel *tunnels;
    struct mirror *mirrors; /* under way */
    struct probe *probes;   /* active checks: worker 0's; see health.h */
    size_t shadow_bound;    /* of counters.shadow_memory_bytes: this worker's part of limits.shadow_memory */
    uint64_t simulated_due_ns, simulated_unlogged; /* of the lines about copies that would have been sent */
    bool accept_paused;
    struct drain drain;
    enum drain_phase phase; /* of it, as the last tick found it */

    struct memory *memory;          /* borrowed: the process's */
    enum memory_level memory_level; /* that has been acted upon */
    uint64_t trim_at_ms;            /* while memory is short: when spare parts are freed again */
    uint64_t look_at_ms;            /* at memory, while there is work */
    uint32_t greetings;             /* clients whose TLS handshake is not over */
    uint32_t handshakes;            /* of these, begun */
    size_t promised;                /* memory that clients will take who have just come: less with each tick */

    struct comparer *comparer;
    struct log *log;
    struct access_log *access_log;
    uint64_t random[2];        /* xoroshiro128+ */
    char request_id_front[20]; /* of the ids made now */
    uint32_t request_ids_left; /* with that front */

    pthread_t thread;
    bool thread_started;
    struct event mailbox_event;
    int mailbox_fd;
    atomic_uint_least64_t generation;
    atomic_bool finished;
    atomic_int phase_taken; /* enum drain_phase */
    struct {
        pthread_mutex_t lock;
        struct worker_message *first, **last;
    } shared;
};

/* Reads the clock into worker->now_us and now_ms. */
void worker_clock(struct worker *worker);
static inline uint64_t worker_now_ms(const struct worker *worker)
{
    return worker->now_ms;
}
/* Clients are told to leave: every response says that it was the connection's last. */
static inline bool worker_is_leaving(const struct worker *worker)
{
    return worker->phase >= DRAIN_LEAVING;
}
/* No client comes any more. */
static inline bool worker_is_ending(const struct worker *worker)
{
    return worker->phase >= DRAIN_ENDING;
}
uint64_t worker_random(struct worker *worker);
/* This worker's part of a bound on the whole process; at least 1 when the bound is not 0. */
uint32_t worker_part(const struct worker *worker, uint32_t whole);
/* Something has a deadline soon: the tick runs fast while that is so. */
void worker_busy(struct worker *worker);
void worker_retire(struct worker *worker, struct retired *retired);

struct view *view_ref(struct view *view);
void view_unref(struct view *view);

/* A parser from the worker's few spare ones; NULL without memory. */
struct h1_parser *worker_take_parser(struct worker *worker);
void worker_give_parser(struct worker *worker, struct h1_parser *parser);

/* Out of memory or descriptors: what the migration costs goes first. Gives up copies under way, closes idle shadow
 * connections and spare pipes. True when something was freed. */
bool worker_shed_shadow(struct worker *worker);
/* A client connection has ended; accepting may go on, draining may be over. */
void worker_downstream_ended(struct worker *worker);

/* May the connection be read now? Else it waits in the line (turn.h), and on_readable comes again. For
 * conn_events.on_readable only. In here, as it is asked with each request and nearly always answered by a look. */
static inline bool turn_allows(struct conn *conn)
{
    bool at_once = !conn->awaits_turn && !conn->has_turn && memory_level(conn->worker->memory) < MEMORY_SCARCE;
    return at_once || turn_has_come(conn);
}

#endif
