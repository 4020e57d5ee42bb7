/*
 * The log thread and the events of the process.
 *
 * Anybody queues blocks of whole lines under one lock, held for a few instructions; the thread takes all of them at
 * once and writes them with writev(), blocking as long as it must. So a reader that does not read (a stuck pipe, a slow
 * disk) stops this thread alone: the queue fills to its bound, and what comes then is dropped and counted. What access
 * lines look like is access_log.c's business.
 */
#include "proxy/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "proxy/log_queue.h"
#include "router/store/timestamp.h"

enum {
    VECTORS = 64
};

struct log {
    int fd; /* borrowed */
    pthread_t thread;
    _Atomic uint64_t dropped;
    _Atomic uint32_t queued;   /* bytes of memory in the queue and in `writing` */
    struct log_block *writing; /* the thread's; what is left of what it took. log_stop() frees it */
    uint32_t written;          /* bytes of the first block of `writing` that are out */
    struct {
        pthread_mutex_t lock;
        pthread_cond_t filled;
        struct log_block *first, **last;
        struct log_block *spare;
        uint32_t spares;
        bool stopping;
    } shared;
};

static uint32_t weight(const struct log_block *block)
{
    return (uint32_t)sizeof(*block) + block->room;
}

/* ---- blocks ---- */

static struct log_block *block_new(uint32_t room)
{
    struct log_block *block = malloc(sizeof(*block) + room);
    if (block != NULL)
        *block = (struct log_block){.room = room};
    return block;
}

static void blocks_free(struct log_block *block)
{
    while (block != NULL) {
        struct log_block *next = block->next;
        free(block);
        block = next;
    }
}

struct log_block *log_take_block(struct log *log)
{
    pthread_mutex_lock(&log->shared.lock);
    struct log_block *block = log->shared.spare;
    if (block != NULL) {
        log->shared.spare = block->next;
        log->shared.spares--;
    }
    pthread_mutex_unlock(&log->shared.lock);
    if (block == NULL)
        return block_new(LOG_BLOCK_BYTES);
    block->next = NULL;
    block->used = block->lines = 0;
    return block;
}

/* A block whose lines are out. */
static void retire_block(struct log *log, struct log_block *block)
{
    atomic_fetch_sub_explicit(&log->queued, weight(block), memory_order_relaxed);
    if (block->room == LOG_BLOCK_BYTES) {
        pthread_mutex_lock(&log->shared.lock);
        if (log->shared.spares < LOG_SPARE_BLOCKS) {
            block->next = log->shared.spare;
            log->shared.spare = block;
            log->shared.spares++;
            block = NULL;
        }
        pthread_mutex_unlock(&log->shared.lock);
    }
    free(block);
}

bool log_is_behind(const struct log *log, uint32_t bound)
{
    return atomic_load_explicit(&log->queued, memory_order_relaxed) + sizeof(struct log_block) + LOG_BLOCK_BYTES >
           bound;
}

bool log_hand_over(struct log *log, struct log_block *block, uint32_t bound)
{
    bool taken = false;
    pthread_mutex_lock(&log->shared.lock);
    if (atomic_load_explicit(&log->queued, memory_order_relaxed) + weight(block) <= bound) {
        atomic_fetch_add_explicit(&log->queued, weight(block), memory_order_relaxed);
        bool was_empty = log->shared.first == NULL;
        block->next = NULL;
        *log->shared.last = block;
        log->shared.last = &block->next;
        if (was_empty)
            pthread_cond_signal(&log->shared.filled);
        taken = true;
    }
    pthread_mutex_unlock(&log->shared.lock);
    return taken;
}

/* ---- the thread ---- */

/* One writev() of as much as there is; the only place where the thread may be cancelled. */
static ssize_t write_some(struct log *log)
{
    struct iovec vectors[VECTORS];
    int count = 0;
    uint32_t skip = log->written;
    for (struct log_block *block = log->writing; block != NULL && count < VECTORS; block = block->next) {
        vectors[count++] = (struct iovec){block->text + skip, block->used - skip};
        skip = 0;
    }
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
    ssize_t wrote = writev(log->fd, vectors, count);
    int fault = errno;
    if (wrote < 0 && fault == EAGAIN) /* somebody made it non-blocking: it is shared with other processes */
        poll(&(struct pollfd){.fd = log->fd, .events = POLLOUT}, 1, -1);
    pthread_setcancelstate(state, NULL);
    errno = fault;
    return wrote;
}

/* `wrote` bytes are out. */
static void advance(struct log *log, size_t wrote)
{
    while (log->writing != NULL && log->writing->used - log->written <= wrote) {
        struct log_block *block = log->writing;
        wrote -= block->used - log->written;
        log->written = 0;
        log->writing = block->next;
        retire_block(log, block);
    }
    log->written += (uint32_t)wrote;
}

static void give_up_first(struct log *log)
{
    struct log_block *block = log->writing;
    atomic_fetch_add_explicit(&log->dropped, block->lines, memory_order_relaxed);
    log->written = 0;
    log->writing = block->next;
    retire_block(log, block);
}

static void write_all(struct log *log)
{
    while (log->writing != NULL) {
        ssize_t wrote = write_some(log);
        if (wrote > 0)
            advance(log, (size_t)wrote);
        else if (wrote == 0 || (errno != EINTR && errno != EAGAIN))
            give_up_first(log); /* the reader has gone, or the disk is full */
    }
}

/* Waits for blocks. False: there are none and the log is to stop. */
static bool take_all(struct log *log)
{
    pthread_mutex_lock(&log->shared.lock);
    while (log->shared.first == NULL && !log->shared.stopping)
        pthread_cond_wait(&log->shared.filled, &log->shared.lock);
    log->writing = log->shared.first;
    log->shared.first = NULL;
    log->shared.last = &log->shared.first;
    pthread_mutex_unlock(&log->shared.lock);
    return log->writing != NULL;
}

static void *run(void *argument)
{
    struct log *log = argument;
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_setname_np(pthread_self(), "log");
    while (take_all(log))
        write_all(log);
    return NULL;
}

struct log *log_start(int fd)
{
    struct log *log = calloc(1, sizeof(*log));
    if (log == NULL)
        return NULL;
    log->fd = fd;
    log->shared.last = &log->shared.first;
    pthread_mutex_init(&log->shared.lock, NULL);
    pthread_cond_init(&log->shared.filled, NULL);
    int fault = pthread_create(&log->thread, NULL, run, log);
    if (fault != 0) {
        pthread_cond_destroy(&log->shared.filled);
        pthread_mutex_destroy(&log->shared.lock);
        free(log);
        errno = fault;
        return NULL;
    }
    return log;
}

void log_flush(const struct log *log, uint64_t wait_ms)
{
    enum {
        LOOK_MS = 5
    };
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};
    for (uint64_t waited = 0; waited < wait_ms && atomic_load(&log->queued) > 0; waited += LOOK_MS)
        nanosleep(&pause, NULL);
}

void log_stop(struct log *log, uint64_t wait_ms)
{
    if (log == NULL)
        return;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + wait_ms % 1000 * 1000000;
    until.tv_sec += (time_t)(wait_ms / 1000 + ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_mutex_lock(&log->shared.lock);
    log->shared.stopping = true;
    pthread_cond_signal(&log->shared.filled);
    pthread_mutex_unlock(&log->shared.lock);
    if (pthread_timedjoin_np(log->thread, NULL, &until) != 0) {
        pthread_cancel(log->thread); /* stuck in writev() */
        pthread_join(log->thread, NULL);
    }
    blocks_free(log->writing);
    blocks_free(log->shared.first);
    blocks_free(log->shared.spare);
    pthread_cond_destroy(&log->shared.filled);
    pthread_mutex_destroy(&log->shared.lock);
    free(log);
}

uint64_t log_dropped(const struct log *log)
{
    return atomic_load_explicit(&log->dropped, memory_order_relaxed);
}

/* ---- events ---- */

static const char *const level_names[] = {
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_ERROR] = "error",
};

/* The line with its line feed, malloc'd; NULL without memory. */
static char *event_line(enum log_level level, const char *event, json_t *fields)
{
    struct timespec now;
    char time[TIMESTAMP_ROOM];
    clock_gettime(CLOCK_REALTIME, &now);
    timestamp_print(time, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
    json_t *line = json_pack("{s:s, s:s, s:s}", "time", time, "level", level_names[level], "event", event);
    if (line == NULL || (fields != NULL && json_object_update_missing(line, fields) < 0)) {
        json_decref(line);
        return NULL;
    }
    char *text = json_dumps(line, JSON_COMPACT);
    json_decref(line);
    return text;
}

void log_event(struct log *log, enum log_level level, const char *event, json_t *fields)
{
    char *text = log != NULL ? event_line(level, event, fields) : NULL;
    size_t len = text != NULL ? strlen(text) : 0;
    struct log_block *block = text != NULL && len < LOG_QUEUE_BYTES ? block_new((uint32_t)len + 1) : NULL;
    if (block != NULL) {
        memcpy(block->text, text, len);
        block->text[len] = '\n';
        block->used = (uint32_t)len + 1;
        block->lines = 1;
    }
    if (log != NULL && (block == NULL || !log_hand_over(log, block, LOG_QUEUE_BYTES))) {
        atomic_fetch_add_explicit(&log->dropped, 1, memory_order_relaxed);
        free(block);
    }
    free(text);
    json_decref(fields);
}
