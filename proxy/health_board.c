/*
 * The board: see health_board.h. Lists under one lock, since nobody takes it for a request: workers do when addresses
 * change, worker 0 when a check has ended, control for a page. What workers ask all the time, whether an address is
 * down, is an atomic.
 */
#include "proxy/health_board.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/utf8.h"

struct check_counts {
    struct check_counts *next;
    uint64_t ended[CHECK_RESULTS];
    char backend[];
};

struct health_board {
    pthread_mutex_t lock;
    struct health_mark *marks;
    struct check_counts *counts; /* in the order of the file */
};

struct health_board *health_board_new(void)
{
    struct health_board *board = calloc(1, sizeof(*board));
    if (board != NULL)
        pthread_mutex_init(&board->lock, NULL);
    return board;
}

static void free_counts(struct check_counts *counts)
{
    while (counts != NULL) {
        struct check_counts *next = counts->next;
        free(counts);
        counts = next;
    }
}

void health_board_free(struct health_board *board)
{
    if (board == NULL)
        return;
    free_counts(board->counts);
    pthread_mutex_destroy(&board->lock);
    free(board);
}

/* ---- counts ---- */

static struct check_counts *find_counts(struct check_counts *first, const char *backend)
{
    while (first != NULL && strcmp(first->backend, backend) != 0)
        first = first->next;
    return first;
}

static struct check_counts *counts_new(const char *backend, const struct check_counts *before)
{
    size_t room = strlen(backend) + 1;
    struct check_counts *counts = calloc(1, sizeof(*counts) + room);
    if (counts == NULL)
        return NULL;
    memcpy(counts->backend, backend, room);
    if (before != NULL)
        memcpy(counts->ended, before->ended, sizeof(counts->ended));
    return counts;
}

bool health_board_settle(struct health_board *board, const struct config *config)
{
    struct check_counts *first = NULL, **last = &first;
    bool whole = true;
    pthread_mutex_lock(&board->lock);
    for (uint32_t i = 0; i < config->backend_count; i++) {
        const struct config_backend *backend = &config->backends[i];
        if (backend->health == NULL)
            continue;
        *last = counts_new(backend->name, find_counts(board->counts, backend->name));
        if (*last != NULL)
            last = &(*last)->next;
        else
            whole = false;
    }
    struct check_counts *old = board->counts;
    board->counts = first;
    pthread_mutex_unlock(&board->lock);
    free_counts(old);
    return whole;
}

void health_board_count(struct health_board *board, const char *backend, enum check_result result)
{
    pthread_mutex_lock(&board->lock);
    struct check_counts *counts = find_counts(board->counts, backend);
    if (counts != NULL)
        counts->ended[result]++;
    pthread_mutex_unlock(&board->lock);
}

/* ---- marks ---- */

static bool is_of(const struct health_mark *mark, const char *backend, const struct endpoint_address *address)
{
    return mark->address.length == address->length && memcmp(&mark->address.to, &address->to, address->length) == 0 &&
           strcmp(mark->backend, backend) == 0;
}

static struct health_mark *mark_new(struct health_board *board, const char *backend,
                                    const struct endpoint_address *address)
{
    struct health_mark *mark = calloc(1, sizeof(*mark));
    if (mark == NULL)
        return NULL;
    mark->backend = strdup(backend);
    if (mark->backend == NULL) {
        free(mark);
        return NULL;
    }
    mark->board = board;
    mark->address = *address;
    mark->next = board->marks;
    board->marks = mark;
    return mark;
}

struct health_mark *health_board_mark(struct health_board *board, const char *backend,
                                      const struct endpoint_address *address)
{
    pthread_mutex_lock(&board->lock);
    struct health_mark *mark = board->marks;
    while (mark != NULL && !is_of(mark, backend, address))
        mark = mark->next;
    if (mark == NULL)
        mark = mark_new(board, backend, address);
    if (mark != NULL)
        mark->refs++;
    pthread_mutex_unlock(&board->lock);
    return mark;
}

static void take_out(struct health_mark *mark)
{
    struct health_mark **at = &mark->board->marks;
    while (*at != mark)
        at = &(*at)->next;
    *at = mark->next;
}

void health_mark_unref(struct health_mark *mark)
{
    if (mark == NULL)
        return;
    struct health_board *board = mark->board;
    pthread_mutex_lock(&board->lock);
    bool last = --mark->refs == 0;
    if (last)
        take_out(mark);
    pthread_mutex_unlock(&board->lock);
    if (last) {
        free(mark->backend);
        free(mark);
    }
}

void health_mark_set(struct health_mark *mark, bool down, const char *reason)
{
    pthread_mutex_lock(&mark->board->lock);
    snprintf(mark->reason, sizeof(mark->reason), "%s", reason);
    atomic_store_explicit(&mark->down, down, memory_order_relaxed);
    pthread_mutex_unlock(&mark->board->lock);
}

/* ---- looking at it ---- */

void health_board_each_count(struct health_board *board,
                             void (*visit)(void *context, const char *backend, const uint64_t counts[CHECK_RESULTS]),
                             void *context)
{
    pthread_mutex_lock(&board->lock);
    for (const struct check_counts *counts = board->counts; counts != NULL; counts = counts->next)
        visit(context, counts->backend, counts->ended);
    pthread_mutex_unlock(&board->lock);
}

void health_board_each_mark(struct health_board *board,
                            void (*visit)(void *context, const char *backend, const char *address, bool down),
                            void *context)
{
    pthread_mutex_lock(&board->lock);
    for (const struct health_mark *mark = board->marks; mark != NULL; mark = mark->next)
        visit(context, mark->backend, mark->address.text, health_mark_is_down(mark));
    pthread_mutex_unlock(&board->lock);
}

json_t *health_board_json(struct health_board *board, const char *backend)
{
    json_t *down = json_array();
    pthread_mutex_lock(&board->lock);
    for (const struct health_mark *mark = board->marks; mark != NULL; mark = mark->next)
        if (health_mark_is_down(mark) && strcmp(mark->backend, backend) == 0)
            json_array_append_new(
                down, json_pack("{s:o, s:s}", "address", utf8_json(mark->address.text), "reason", mark->reason));
    pthread_mutex_unlock(&board->lock);
    return down;
}
