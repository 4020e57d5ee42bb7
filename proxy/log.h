/*
 * Structured JSON log lines: events of the process and the access log, on standard output.
 *
 * A thread of its own ("log") does the writing, so that a stuck pipe stops neither control nor a worker: what does not
 * fit its bounded queue is dropped and counted. Every line has "time" (RFC 3339, UTC, milliseconds), "level" and
 * "event" or "kind":"access".
 */
#ifndef SHUNT_PROXY_LOG_H
#define SHUNT_PROXY_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "router/request.h"

struct log;

enum log_level {
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARN,
    LOG_LEVEL_ERROR
};

/* `fd` is borrowed (standard output); blocking or not does not matter. NULL on failure. */
struct log *log_start(int fd);
/* Writes out what is queued (bounded by `wait_ms`), ends the thread, frees everything. All access logs must be gone.
 * NULL is fine. */
void log_stop(struct log *log, uint64_t wait_ms);

/* Waits until what is queued has been written, at most `wait_ms`. For an exit that leaves threads behind. */
void log_flush(const struct log *log, uint64_t wait_ms);

/* Any thread, not on the request path. `fields` (an object) may be NULL; a reference is stolen. NULL `log` logs
 * nothing. */
void log_event(struct log *log, enum log_level level, const char *event, json_t *fields);
/* Lines lost so far: events that found the queue full, and lines of either kind that the descriptor refused. Access
 * lines that found it full are counted by the worker. Any thread. */
uint64_t log_dropped(const struct log *log);

/* One worker's side: lines collect in a block that goes to the log thread when it is full or flushed. One thread only.
 */
struct access_log;
struct access_log *access_log_new(struct log *log);  /* `log` is borrowed; NULL without memory */
void access_log_free(struct access_log *access_log); /* flushes first; NULL is fine */

struct config_samples;

struct access_record { /* all text borrowed for the call, escaped by the callee */
    uint64_t wall_ms;
    struct text method, target, host, request_id, client; /* client: printed address */
    const char *route;                                    /* NULL: none */
    const struct config_samples *samples;                 /* of the route, for its names of secrets; NULL: none */
    const char *side;                                     /* "legacy", "new" */
    const char *reason;                                   /* decision_reason_name() */
    const char *outcome;                                  /* outcome_kind_name() */
    const char *upstream;                                 /* endpoint text; NULL: none reached */
    unsigned status;
    unsigned version_major, version_minor; /* of HTTP, as the client spoke it */
    uint64_t bytes_in, bytes_out;          /* bodies */
    uint64_t duration_us;
    uint64_t upstream_us; /* to the response's head */
    bool mirrored, fell_back, retried;
    bool is_grpc;        /* a gRPC call that ended with this status at the side that was asked first: */
    uint8_t grpc_status; /* as outcome.grpc_status */
    const char *error;   /* why the backend that was asked first gave no answer; NULL: it did */
    uint32_t cohort;
};

/*
 * No system call, no allocation in the steady state but for handing over a full block. Values of query parameters that
 * are known to hold secrets become "***", and so do path segments behind one that names secrets; very long texts are
 * cut and end in U+2026; a byte that is not UTF-8 is written as \u00XX. False: dropped, to be counted by the caller.
 */
bool access_log_write(struct access_log *access_log, const struct access_record *record);
/* Hands over what has collected; the worker calls it a few times a second. */
void access_log_flush(struct access_log *access_log);

#endif
