/*
 * How handshakes end, in words that counters, code and the log share.
 */
#ifndef SHUNT_PROXY_TLS_COUNTERS_H
#define SHUNT_PROXY_TLS_COUNTERS_H

struct worker_counters;

enum tls_side {
    TLS_DOWNSTREAM,
    TLS_UPSTREAM,
    TLS_SIDES
};

enum tls_result {
    TLS_FULL,
    TLS_RESUMED,
    TLS_FAILED,
    TLS_RESULTS
};

/* Why one failed. */
enum tls_failure {
    TLS_FAILURE_TIMEOUT,
    TLS_FAILURE_CLOSED,         /* the peer left, or reset */
    TLS_FAILURE_PROTOCOL,       /* not TLS, or no version, cipher or ALPN in common */
    TLS_FAILURE_NO_CERTIFICATE, /* a client must show one, and did not */
    TLS_FAILURE_CERTIFICATE_EXPIRED,
    TLS_FAILURE_CERTIFICATE_AUTHORITY, /* signed by nobody we trust */
    TLS_FAILURE_CERTIFICATE_NAME,      /* for another name */
    TLS_FAILURE_CERTIFICATE,           /* anything else that verification says */
    TLS_FAILURE_ALERT,                 /* the peer refused us */
    TLS_FAILURE_OTHER,
    TLS_FAILURES,
};

/* Worker thread. */
void tls_count_result(struct worker_counters *counters, enum tls_side side, enum tls_result result);
/* One more that failed, and why. */
void tls_count_failure(struct worker_counters *counters, enum tls_side side, enum tls_failure failure);
/* A connection that was cut off in the middle of a message. */
void tls_count_truncation(struct worker_counters *counters, enum tls_side side);

#endif
