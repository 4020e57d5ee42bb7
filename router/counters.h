/*
 * What one worker has counted for one route. Only that worker writes; control and admin read at any time with relaxed
 * loads and add the workers up. Counters only grow, so that a reader works with differences.
 */
#ifndef SHUNT_ROUTER_COUNTERS_H
#define SHUNT_ROUTER_COUNTERS_H

#include "config/config.h"
#include "router/duration.h"
#include "router/histogram.h"

/* How an exchange ended, as the breaker and the gates see it. */
enum outcome_kind {
    OUTCOME_OK,             /* a whole response; see the status for 5xx */
    OUTCOME_CONNECT_FAILED, /* no connection to the backend */
    OUTCOME_TIMEOUT,        /* connect, response head, or stream idle */
    OUTCOME_RESET,          /* closed or broken off before the response's end */
    OUTCOME_BAD_RESPONSE,   /* not HTTP, or not acceptable HTTP */
    OUTCOME_OVERLOADED,     /* no connection free within the queue's bound: ours, not the backend's fault */
    OUTCOME_CLIENT_GONE,    /* the client left first: nobody's fault */
    OUTCOME_KINDS,
};

/* Why a request was, or was not, mirrored or its pair not compared. The name in metrics is mirror_reason_name(). */
enum mirror_reason {
    MIRROR_SENT,    /* a copy was started */
    MIRROR_OFF,     /* no share of shadow now: not counted as dropped */
    MIRROR_RATE,    /* outside the sampled share */
    MIRROR_METHOD,  /* method not named */
    MIRROR_UPGRADE, /* upgraded protocols are never mirrored */
    MIRROR_PASSTHROUGH,
    MIRROR_IN_FLIGHT, /* max_in_flight reached */
    MIRROR_MEMORY,    /* the copy fell behind max_buffer, or no memory */
    MIRROR_CONNECT,   /* copy could not connect or had no connection free */
    MIRROR_TIMEOUT,
    MIRROR_RESET,
    MIRROR_BAD_RESPONSE,
    MIRROR_CLIENT_GONE,    /* the client left, the primary has no whole response to compare */
    MIRROR_PRIMARY_FAILED, /* the primary had no response of a backend */
    MIRROR_QUEUE,          /* compare queue full */
    MIRROR_COMPARED,       /* handed to the compare thread */
    MIRROR_REASONS,
};

const char *outcome_kind_name(enum outcome_kind kind);
const char *mirror_reason_name(enum mirror_reason reason);

enum {
    STATUS_CLASSES = 6
}; /* 0: none, 1xx..5xx at their digit */

struct side_counters {
    uint64_t requests; /* live exchanges that ended on this side (client_gone and overloaded included) */
    uint64_t by_class[STATUS_CLASSES]; /* of responses sent to the client */
    uint64_t by_outcome[OUTCOME_KINDS];
    uint64_t judged;          /* exchanges that speak for or against the backend */
    uint64_t errors;          /* of judged: 5xx, connect, timeout, reset, bad response */
    uint64_t error_run;       /* errors since the last success (not a counter: it falls to 0) */
    uint64_t error_runs_over; /* times error_run reached the breaker's consecutive_errors */
    uint64_t fallbacks;       /* answered by the other side after this one failed */
    struct histogram latency; /* of judged, request's first byte to response's last byte */
    struct durations durations[STATUS_CLASSES]; /* the same, coarse, by class of the response sent to the client */
};

struct route_counters {
    struct side_counters side[SIDES]; /* by the side that was asked first */
    uint64_t mirror[MIRROR_REASONS];
    uint64_t in_flight;        /* gauge: live exchanges under way */
    uint64_t mirror_in_flight; /* gauge */
} __attribute__((aligned(64)));

/*
 * Who counts what: router_decide() counts in_flight up and, in mirror[], a request that is not mirrored because of its
 * rate, method, upgrade or passthrough; router_observe() counts in_flight down and everything in side[]. Whoever sends
 * the copy counts the rest of mirror[] and mirror_in_flight. MIRROR_OFF is never counted.
 */

/* into += from, loading each count once; `from` may be written meanwhile. The runs of all workers are added up, too. */
void route_counters_add(struct route_counters *into, const struct route_counters *from);
/* The same without the latency histograms, which are by far the most of it. */
void route_counters_add_counts(struct route_counters *into, const struct route_counters *from);

#endif
