/*
 * What active checks have found: which addresses of backends are down, and how many checks ended how. The one thing
 * about backends that all workers share.
 *
 * Control owns the board, worker 0 writes on it (health.c), every worker reads its marks when it chooses an address. A
 * mark lives as long as somebody holds it, so that it outlasts reloads and look-ups that leave its address in use; an
 * address that was gone begins anew, as healthy.
 */
#ifndef SHUNT_PROXY_HEALTH_BOARD_H
#define SHUNT_PROXY_HEALTH_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "proxy/snapshot.h"

struct health_board;

enum check_result {
    CHECK_SUCCESS,
    CHECK_FAILURE,
    CHECK_TIMEOUT,
    CHECK_RESULTS
};

enum {
    HEALTH_REASON_ROOM = 160
};

/* One address of one backend. Of the fields only `down` may be read without the board's functions. */
struct health_mark {
    atomic_bool down;
    struct health_board *board; /* borrowed */
    struct health_mark *next;
    uint32_t refs; /* under the board's lock */
    char *backend; /* owned: the backend's name */
    struct endpoint_address address;
    char reason[HEALTH_REASON_ROOM]; /* why it is what it is; under the lock */
};

struct health_board *health_board_new(void); /* NULL without memory */
/* All marks must have been let go of. NULL is fine. */
void health_board_free(struct health_board *board);

/* Counts checks for the backends of this file from now on, on from before for those that it had; forgets the others.
 * Control, before the file is published. False without memory: some are not counted. */
bool health_board_settle(struct health_board *board, const struct config *config);

/* The mark of this address, with a reference; made when there is none. NULL without memory. Any thread. */
struct health_mark *health_board_mark(struct health_board *board, const char *backend,
                                      const struct endpoint_address *address);
void health_mark_unref(struct health_mark *mark); /* any thread; NULL is fine */
void health_mark_set(struct health_mark *mark, bool down, const char *reason);
/* NULL: never checked, so not down. */
static inline bool health_mark_is_down(const struct health_mark *mark)
{
    return mark != NULL && atomic_load_explicit(&mark->down, memory_order_relaxed);
}

/* One more check ended so. Of a backend that the board has forgotten: nothing. */
void health_board_count(struct health_board *board, const char *backend, enum check_result result);

/* For the metrics page: each backend's checks, then each mark. Text is borrowed for the call, which must not use the
 * board. */
void health_board_each_count(struct health_board *board,
                             void (*visit)(void *context, const char *backend, const uint64_t counts[CHECK_RESULTS]),
                             void *context);
void health_board_each_mark(struct health_board *board,
                            void (*visit)(void *context, const char *backend, const char *address, bool down),
                            void *context);
/* [{"address", "reason"}] of a backend's addresses that are down; new reference. */
json_t *health_board_json(struct health_board *board, const char *backend);

#endif
