/*
 * What one worker has counted for one route. Only that worker writes; control and admin read at any time with relaxed
 * loads and add the workers up. Counters only grow, so that a reader works with differences.
 */
#ifndef SHUNT_ROUTER_COUNTERS_H
#define SHUNT_ROUTER_COUNTERS_H

#include <stdbool.h>

#include "config/config.h"
#include "config/grpc_names.h"
#include "router/crowd.h"
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

/*
 * What became of the copy of a request. The name in metrics is mirror_reason_name().
 *
 * Every request of a route with a share of shadow ends in exactly one of the reasons that are final: their sum is the
 * number of such requests. MIRROR_SENT is a step on the way, MIRROR_OFF is never counted, and copies that measure noise
 * have reasons of their own, since they are a second copy of a request that has been counted.
 */
enum mirror_reason {
    MIRROR_SENT,    /* a copy was started */
    MIRROR_OFF,     /* no share of shadow now: not counted as dropped */
    MIRROR_RATE,    /* outside the sampled share */
    MIRROR_METHOD,  /* method not named */
    MIRROR_UPGRADE, /* upgraded protocols are never mirrored */
    MIRROR_COPY,    /* the request is somebody's copy itself */
    MIRROR_PASSTHROUGH,
    MIRROR_SIMULATED,      /* read_only: it would have been sent */
    MIRROR_RATE_LIMIT,     /* max_rate reached */
    MIRROR_IN_FLIGHT,      /* max_in_flight reached */
    MIRROR_BREAKER,        /* the mirrored backend is left alone */
    MIRROR_MEMORY,         /* the copy fell behind max_buffer, shadow_memory is used up, or there is none */
    MIRROR_BODY_TOO_LARGE, /* a request too large to wait for the primary's status, an answer too large to be digested
                            */
    MIRROR_STATUS,         /* the primary's status is not one of those mirrored */
    MIRROR_CONNECT,        /* copy could not connect or had no connection free */
    MIRROR_TIMEOUT,
    MIRROR_RESET,
    MIRROR_BAD_RESPONSE,
    MIRROR_CLIENT_GONE,    /* the client left, the primary has no whole response to compare */
    MIRROR_PRIMARY_FAILED, /* the primary had no response of a backend */
    MIRROR_CUT_SHORT,      /* the primary answered before the whole request had come: its rest is never read */
    MIRROR_QUEUE,          /* compare queue full */
    MIRROR_COMPARED,       /* both sides answered: handed to the compare thread */
    MIRROR_NOISE_SENT,     /* a copy to the primary's own side was started */
    MIRROR_NOISE_COMPARED, /* and its pair handed to the compare thread */
    MIRROR_NOISE_DROPPED,  /* it was not started, or there was nothing to compare, for whatever reason */
    MIRROR_REASONS,
};

const char *outcome_kind_name(enum outcome_kind kind);
const char *mirror_reason_name(enum mirror_reason reason);
/* Does a request's way end here? */
bool mirror_reason_is_final(enum mirror_reason reason);

enum {
    STATUS_CLASSES = 6
}; /* 0: none, 1xx..5xx at their digit */

struct side_counters {
    uint64_t requests; /* live exchanges that ended on this side (client_gone and overloaded included) */
    uint64_t by_class[STATUS_CLASSES]; /* of responses sent to the client */
    uint64_t by_outcome[OUTCOME_KINDS];
    uint64_t by_grpc[GRPC_STATUSES];            /* of gRPC calls: grpc-status of this side's answers */
    uint64_t judged;                            /* exchanges that speak for or against the backend */
    uint64_t errors;                            /* of judged: what the route's `errors` names */
    uint64_t slow;                              /* of judged: took breaker.slow_call or longer */
    uint64_t error_run;                         /* errors since the last success (not a counter: it falls to 0) */
    uint64_t error_runs_over;                   /* times error_run reached the breaker's consecutive_errors */
    uint64_t fallbacks;                         /* answered by the other side after this one failed */
    struct histogram latency;                   /* of judged, request's first byte to response's last byte */
    struct durations durations[STATUS_CLASSES]; /* the same, coarse, by class of the response sent to the client */
    struct crowd crowd;                         /* the same, coarse, by clients and paths; not without a route */
};

/*
 * What one worker knows of the copies it sends to one side: state of proxy/mirror_breaker.h, not counts. It stands here
 * because it belongs to the same worker and route name, and outlives reloads with them.
 */
struct copy_state {
    uint64_t open;     /* gauge, 0 or 1: copies are not sent now. The only field that others read */
    uint64_t failures; /* in a row */
    uint64_t trips;    /* in a row: each doubles the cool-down */
    uint64_t probe_at_ms;
    uint64_t probing; /* 0 or 1: the one copy that may try is under way */
};

struct route_counters {
    struct side_counters side[SIDES];       /* by the side that was asked first */
    uint64_t mirror[SIDES][MIRROR_REASONS]; /* by the side that was asked first: the copy goes to the other */
    uint64_t in_flight;                     /* gauge: live exchanges under way */
    uint64_t mirror_in_flight;              /* gauge */
    struct copy_state copies[SIDES];        /* by the side the copies go to */
    uint64_t copies_due_ns;                 /* state: of the limit on copies per second */
} __attribute__((aligned(64)));

/*
 * Who counts what: router_decide() counts in_flight up and, in mirror[], a request that is not mirrored because of its
 * rate, method, upgrade or passthrough; router_observe() counts in_flight down and everything in side[]. Whoever sends
 * the copy counts the rest of mirror[] and mirror_in_flight, and keeps copies[]. MIRROR_OFF is never counted.
 */

/* into += from, loading each count once; `from` may be written meanwhile. The runs of all workers are added up, too. */
void route_counters_add(struct route_counters *into, const struct route_counters *from);
/* The same without the crowds, of which only the gates ask. */
void route_counters_add_latency(struct route_counters *into, const struct route_counters *from);
/* The same without the latency histograms, too, which are by far the most of what is left. */
void route_counters_add_counts(struct route_counters *into, const struct route_counters *from);

#endif
