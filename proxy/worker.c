/*
 * Workers: see worker.h. The outside runs on the control thread and only posts messages; everything else here runs on
 * the worker's own thread, around its event loop.
 */
#include "proxy/worker.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proxy/h1.h"
#include "proxy/downstream.h"
#include "proxy/h2_block.h"
#include "proxy/h2_client.h"
#include "proxy/h2_fields.h"
#include "proxy/h2_server.h"
#include "proxy/health.h"
#include "proxy/listener.h"
#include "proxy/log.h"
#include "proxy/mirror.h"
#include "proxy/pipe.h"
#include "proxy/upstream.h"
#include "proxy/worker_drain.h"
#include "proxy/worker_inside.h"
#include "proxy/worker_memory.h"
#include "shadow/comparer.h"

enum {
    TICK_FAST_MS = WHEEL_TICK_MS,
    TICK_SLOW_MS = 250,
    STILL_MS = 100, /* a tick that is so late comes after a pause of the thread */
    /* Messages come before all else that a round has found, which gets the middle one: whoever connects after a change
     * was acknowledged is not accepted as if it had not been, even where the loop has seen the listener first. */
    PRIORITIES = 2,
    MAIL_PRIORITY = 0,
};

enum message_kind {
    MESSAGE_SNAPSHOT,
    MESSAGE_LISTEN,
    MESSAGE_UNLISTEN,
    MESSAGE_DRAIN
};

struct worker_message {
    struct worker_message *next;
    enum message_kind kind;
    struct snapshot *snapshot; /* counted */
    uint32_t id;
    int fd;
    struct drain drain;
};

/* ---- small services ---- */

void worker_clock(struct worker *worker)
{
    const struct timespec *now = &worker->now;
    clock_gettime(CLOCK_MONOTONIC, &worker->now);
    worker->now_us = (uint64_t)now->tv_sec * 1000000 + (uint64_t)now->tv_nsec / 1000;
    worker->now_ms = worker->now_us / 1000;
    if (worker->now_ms >= worker->look_at_ms)
        worker_memory_look(worker);
}

/* xoroshiro128+ 1.0, Blackman and Vigna 2018: fast and good enough for sampling and request ids, not for secrets. */
uint64_t worker_random(struct worker *worker)
{
    uint64_t a = worker->random[0], b = worker->random[1];
    uint64_t result = a + b;
    b ^= a;
    worker->random[0] = (a << 24 | a >> 40) ^ b ^ (b << 16);
    worker->random[1] = b << 37 | b >> 27;
    return result;
}

uint32_t worker_part(const struct worker *worker, uint32_t whole)
{
    if (whole == 0)
        return 0;
    uint32_t part = whole / worker->workers + (worker->index < whole % worker->workers ? 1 : 0);
    return part > 0 ? part : 1;
}

void worker_retire(struct worker *worker, struct retired *retired)
{
    retired->next = worker->retired;
    worker->retired = retired;
}

struct view *view_ref(struct view *view)
{
    view->refs++;
    return view;
}

void view_unref(struct view *view)
{
    if (--view->refs > 0)
        return;
    snapshot_unref(view->snapshot);
    free(view);
}

struct h1_parser *worker_take_parser(struct worker *worker)
{
    if (worker->spare_parser_count > 0)
        return worker->spare_parsers[--worker->spare_parser_count];
    return h1_parser_new(&worker->view->config->limits);
}

void worker_give_parser(struct worker *worker, struct h1_parser *parser)
{
    if (worker->spare_parser_count < sizeof(worker->spare_parsers) / sizeof(worker->spare_parsers[0]))
        worker->spare_parsers[worker->spare_parser_count++] = parser;
    else
        h1_parser_free(parser);
}

bool worker_shed_shadow(struct worker *worker)
{
    uint32_t freed = mirrors_cancel(worker, MIRROR_MEMORY);
    freed += upstream_set_close_idle(worker->upstreams, USE_SHADOW);
    freed += worker->pipe_count;
    pipes_done(worker);
    /* Kept live connections are a comfort, too, when nothing else is left to give. */
    if (freed == 0)
        freed = upstream_set_close_idle(worker->upstreams, USE_LIVE);
    return freed > 0;
}

/* ---- ticks ---- */

static void set_tick(struct worker *worker, bool fast)
{
    worker->tick_is_fast = fast;
    uint32_t ms = fast ? TICK_FAST_MS : TICK_SLOW_MS;
    struct timeval interval = {.tv_sec = 0, .tv_usec = (suseconds_t)ms * 1000};
    (void)event_add(&worker->tick, &interval); /* room in the timer heap was made when the worker started */
}

void worker_busy(struct worker *worker)
{
    worker->tick_saw_work = true;
    if (!worker->tick_is_fast)
        set_tick(worker, true);
}

/*
 * The thread has stood still: the process was stopped, or the machine had no core for it. The tick may come before what
 * has arrived meanwhile was looked at, and an answer that is there is not late: deadlines wait for the next tick, once.
 */
static bool has_stood_still(struct worker *worker)
{
    uint64_t since_ms = worker_now_ms(worker) - worker->ticked_ms;
    bool late = since_ms >= (worker->tick_is_fast ? TICK_FAST_MS : TICK_SLOW_MS) + STILL_MS;
    worker->ticked_ms = worker_now_ms(worker);
    worker->deadlines_waited = late && !worker->deadlines_waited;
    return worker->deadlines_waited;
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct worker *worker = context;
    worker_clock(worker);
    if (has_stood_still(worker)) {
        worker_busy(worker);
    } else {
        wheel_advance(&worker->wheel, worker_now_ms(worker));
        upstream_set_tick(worker->upstreams);
    }
    mirrors_reclaim(worker);
    access_log_flush(worker->access_log);
    listeners_tick(worker);
    worker_drain_tick(worker);
    worker_memory_tick(worker);
    conn_settle(worker);
    /* Fast while anything is under way or a deadline is near; slow in the quiet. */
    bool busy =
        worker->tick_saw_work || worker->exchanges_open > 0 || worker->mirrors != NULL || worker_drain_is_busy(worker);
    worker->tick_saw_work = false;
    if (busy)
        return;
    if (worker->tick_is_fast) {
        set_tick(worker, false);
        pipes_done(worker); /* a quiet worker holds no descriptors it has no use for */
    } else {
        mirrors_trim(worker); /* nor, when it stays quiet, memory: also pairs that came back from the compare thread */
        worker_memory_rest(worker);
    }
}

/* ---- snapshots ---- */

static struct view *view_new(struct worker *worker, struct snapshot *snapshot)
{
    struct view *view = calloc(1, sizeof(*view));
    if (view == NULL)
        return NULL;
    view->worker = worker;
    view->snapshot = snapshot_ref(snapshot);
    view->config = snapshot->config;
    view->refs = 1;
    return view;
}

static bool adopt(struct worker *worker, struct snapshot *snapshot)
{
    struct view *view = view_new(worker, snapshot);
    if (view == NULL)
        return false;
    struct view *old = worker->view;
    /* Most snapshots change a share or a flag: addresses and limits stay as they are. */
    bool same = old != NULL && old->config == view->config;
    for (uint32_t i = 0; same && i < snapshot->backend_count; i++)
        same = old->snapshot->endpoints[i] == snapshot->endpoints[i];
    worker->view = view;
    if (!same && !upstream_set_update(worker->upstreams, view)) {
        worker->view = old;
        view_unref(view);
        return false;
    }
    if (!same)
        health_update(worker);
    worker->shadow_bound = worker_memory_shadow_bound(worker);
    /* The other half is for copies under way: when the compare thread is behind, they are still made. */
    comparer_set_bound(worker->comparer, worker->index, worker->shadow_bound / 2);
    if (old != NULL)
        view_unref(old);
    atomic_store_explicit(&worker->generation, snapshot->generation, memory_order_release);
    return true;
}

/* ---- mailbox ---- */

void worker_downstream_ended(struct worker *worker)
{
    listeners_resume(worker);
}

static bool post(struct worker *worker, struct worker_message message)
{
    struct worker_message *copy = malloc(sizeof(*copy));
    if (copy == NULL)
        return false;
    *copy = message;
    copy->next = NULL;
    pthread_mutex_lock(&worker->shared.lock);
    *worker->shared.last = copy;
    worker->shared.last = &copy->next;
    pthread_mutex_unlock(&worker->shared.lock);
    uint64_t one = 1;
    ssize_t n;
    do {
        n = write(worker->mailbox_fd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR); /* EAGAIN: the counter is full, so the worker is awake */
    return true;
}

static void handle(struct worker *worker, struct worker_message *message)
{
    switch (message->kind) {
    case MESSAGE_SNAPSHOT:
        if (!adopt(worker, message->snapshot) && worker_shed_shadow(worker))
            (void)adopt(worker, message->snapshot);
        snapshot_unref(message->snapshot);
        break;
    case MESSAGE_LISTEN:
        listener_add(worker, message->id, message->fd);
        break;
    case MESSAGE_UNLISTEN:
        listener_remove(worker, message->id);
        break;
    case MESSAGE_DRAIN:
        worker_drain_set(worker, &message->drain);
        set_tick(worker, true);
        break;
    }
    free(message);
}

static struct worker_message *take_messages(struct worker *worker)
{
    pthread_mutex_lock(&worker->shared.lock);
    struct worker_message *first = worker->shared.first;
    worker->shared.first = NULL;
    worker->shared.last = &worker->shared.first;
    pthread_mutex_unlock(&worker->shared.lock);
    return first;
}

static void on_mail(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct worker *worker = context;
    uint64_t count;
    if (read((int)fd, &count, sizeof(count)) < 0 && errno != EAGAIN && errno != EINTR)
        return;
    worker_clock(worker);
    struct worker_message *message = take_messages(worker);
    while (message != NULL) {
        struct worker_message *next = message->next;
        handle(worker, message);
        message = next;
    }
    conn_settle(worker);
}

/* ---- the loop ---- */

static void free_retired(struct worker *worker)
{
    while (worker->retired != NULL) {
        struct retired *retired = worker->retired;
        worker->retired = retired->next;
        retired->free(worker, retired);
    }
}

static void run_later(struct worker *worker)
{
    struct conn *conn = worker->later;
    worker->later = NULL;
    while (conn != NULL) {
        struct conn *next = conn->next_ready;
        conn->in_ready = false;
        conn_wake(conn);
        conn = next;
    }
    conn_settle(worker);
}

static void *worker_main(void *context)
{
    struct worker *worker = context;
    char name[16];
    (void)snprintf(name, sizeof(name), "worker %u", worker->index);
    (void)pthread_setname_np(pthread_self(), name);
    while (!worker_drain_is_done(worker)) {
        int flags = EVLOOP_ONCE | (worker->later != NULL ? EVLOOP_NONBLOCK : 0);
        if (event_base_loop(worker->base, flags) < 0)
            break;
        count_add(&worker->counters.loop_rounds, 1);
        if (worker->later != NULL)
            run_later(worker);
        conn_settle_round(worker);
        if (worker_memory_is_watched(worker))
            worker_memory_round(worker);
        if (worker->retired != NULL)
            free_retired(worker);
    }
    access_log_flush(worker->access_log);
    atomic_store_explicit(&worker->finished, true, memory_order_release);
    return NULL;
}

/* ---- life ---- */

static void worker_free(struct worker *worker)
{
    if (worker == NULL)
        return;
    struct worker_message *message = take_messages(worker);
    while (message != NULL) {
        struct worker_message *next = message->next;
        if (message->snapshot != NULL)
            snapshot_unref(message->snapshot);
        if (message->kind == MESSAGE_LISTEN)
            close(message->fd);
        free(message);
        message = next;
    }
    listeners_close_all(worker);
    health_stop(worker);
    upstream_set_free(worker->upstreams);
    free_retired(worker);
    mirrors_done(worker);
    exchanges_done(worker);
    h2_clients_done(worker);
    h2_blocks_done(worker);
    h2_server_streams_done(worker);
    if (worker->h2_fields != NULL)
        h2_fields_done(worker->h2_fields);
    free(worker->h2_fields);
    pipes_done(worker);
    access_log_free(worker->access_log);
    while (worker->spare_parser_count > 0)
        h1_parser_free(worker->spare_parsers[--worker->spare_parser_count]);
    if (worker->view != NULL)
        view_unref(worker->view);
    conn_spares_done(worker);
    if (worker->input != NULL)
        chunk_unref(worker->input);
    chunk_pool_done(&worker->chunks);
    if (worker->base != NULL) {
        if (event_initialized(&worker->tick))
            event_del(&worker->tick);
        if (event_initialized(&worker->mailbox_event))
            event_del(&worker->mailbox_event);
        event_base_free(worker->base);
    }
    if (worker->mailbox_fd >= 0)
        close(worker->mailbox_fd);
    pthread_mutex_destroy(&worker->shared.lock);
    free(worker);
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    if (config == NULL)
        return NULL;
    /* One thread uses the base, and messages come by eventfd: locks would be paid for on every event. */
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = NULL;
    if (event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE) == 0)
        base = event_base_new_with_config(config);
    event_config_free(config);
    if (base != NULL && event_base_priority_init(base, PRIORITIES) < 0) {
        event_base_free(base);
        base = NULL;
    }
    return base;
}

static bool start_events(struct worker *worker)
{
    worker->mailbox_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (worker->mailbox_fd < 0)
        return false;
    if (event_assign(&worker->mailbox_event, worker->base, worker->mailbox_fd, EV_READ | EV_PERSIST, on_mail, worker) <
            0 ||
        event_priority_set(&worker->mailbox_event, MAIL_PRIORITY) < 0 || event_add(&worker->mailbox_event, NULL) < 0)
        return false;
    if (event_assign(&worker->tick, worker->base, -1, EV_PERSIST, on_tick, worker) < 0)
        return false;
    struct timeval interval = {.tv_sec = 0, .tv_usec = TICK_SLOW_MS * 1000};
    return event_add(&worker->tick, &interval) == 0;
}

struct worker *worker_start(uint32_t index, uint32_t workers, struct snapshot *snapshot, struct comparer *comparer,
                            struct log *log, struct memory *memory)
{
    struct worker *worker = NULL;
    if (posix_memalign((void **)&worker, 64, sizeof(*worker)) != 0) {
        errno = ENOMEM;
        return NULL;
    }
    memset(worker, 0, sizeof(*worker));
    worker->index = index;
    worker->workers = workers;
    worker->comparer = comparer;
    worker->log = log;
    worker->memory = worker->chunks.memory = memory;
    worker->chunks.now_ms = &worker->now_ms;
    worker->mailbox_fd = -1;
    worker->shared.last = &worker->shared.first;
    pthread_mutex_init(&worker->shared.lock, NULL);
    if (getrandom(worker->random, sizeof(worker->random), 0) != (ssize_t)sizeof(worker->random))
        worker->random[0] = (uint64_t)time(NULL) ^ (uint64_t)index << 32;
    worker->random[1] |= 1; /* never all zero */
    worker_clock(worker);
    worker->ticked_ms = worker_now_ms(worker);
    wheel_init(&worker->wheel, worker_now_ms(worker));
    worker->base = new_base();
    worker->upstreams = upstream_set_new(worker);
    worker->access_log = access_log_new(log);
    if (worker->base == NULL || worker->upstreams == NULL || worker->access_log == NULL || !start_events(worker) ||
        !adopt(worker, snapshot))
        goto fail;
    int error = pthread_create(&worker->thread, NULL, worker_main, worker);
    if (error != 0) {
        errno = error;
        goto fail;
    }
    worker->thread_started = true;
    return worker;
fail:
    error = errno != 0 ? errno : ENOMEM;
    worker_free(worker);
    errno = error;
    return NULL;
}

void worker_publish(struct worker *worker, struct snapshot *snapshot)
{
    struct worker_message message = {.kind = MESSAGE_SNAPSHOT, .snapshot = snapshot_ref(snapshot)};
    if (!post(worker, message))
        snapshot_unref(snapshot); /* out of memory: the next one will do */
}

uint64_t worker_generation(const struct worker *worker)
{
    return atomic_load_explicit(&worker->generation, memory_order_acquire);
}

bool worker_listen(struct worker *worker, uint32_t id, int fd)
{
    return post(worker, (struct worker_message){.kind = MESSAGE_LISTEN, .id = id, .fd = fd});
}

void worker_unlisten(struct worker *worker, uint32_t id)
{
    (void)post(worker, (struct worker_message){.kind = MESSAGE_UNLISTEN, .id = id});
}

void worker_drain(struct worker *worker, const struct drain *drain)
{
    (void)post(worker, (struct worker_message){.kind = MESSAGE_DRAIN, .drain = *drain});
}

enum drain_phase worker_phase(const struct worker *worker)
{
    return (enum drain_phase)atomic_load_explicit(&worker->phase_taken, memory_order_relaxed);
}

bool worker_finished(const struct worker *worker)
{
    return atomic_load_explicit(&worker->finished, memory_order_acquire);
}

void worker_wait(struct worker *worker)
{
    if (worker->thread_started)
        pthread_join(worker->thread, NULL);
    worker->thread_started = false;
}

void worker_join(struct worker *worker)
{
    worker_wait(worker);
    worker_free(worker);
}

const struct worker_counters *worker_counters(const struct worker *worker)
{
    return &worker->counters;
}
