/*
 * Counters of TLS: see tls_counters.h. Where each stands among the worker's; worker_counters.h has their names and
 * labels.
 */
#include "proxy/tls_counters.h"

#include <stddef.h>

#include "proxy/worker_counters.h"
#include "router/histogram.h"

#define AT(member) offsetof(struct worker_counters, member)

static const size_t results[TLS_SIDES][TLS_RESULTS] = {
    [TLS_DOWNSTREAM] =
        {
            [TLS_FULL] = AT(tls_down_full),
            [TLS_RESUMED] = AT(tls_down_resumed),
            [TLS_FAILED] = AT(tls_down_failed),
        },
    [TLS_UPSTREAM] =
        {
            [TLS_FULL] = AT(tls_up_full),
            [TLS_RESUMED] = AT(tls_up_resumed),
            [TLS_FAILED] = AT(tls_up_failed),
        },
};

static const size_t failures[TLS_SIDES][TLS_FAILURES] = {
    [TLS_DOWNSTREAM] =
        {
            [TLS_FAILURE_TIMEOUT] = AT(tls_down_no_timeout),
            [TLS_FAILURE_CLOSED] = AT(tls_down_no_closed),
            [TLS_FAILURE_PROTOCOL] = AT(tls_down_no_protocol),
            [TLS_FAILURE_NO_CERTIFICATE] = AT(tls_down_no_no_certificate),
            [TLS_FAILURE_CERTIFICATE_EXPIRED] = AT(tls_down_no_certificate_expired),
            [TLS_FAILURE_CERTIFICATE_AUTHORITY] = AT(tls_down_no_certificate_authority),
            [TLS_FAILURE_CERTIFICATE_NAME] = AT(tls_down_no_certificate_name),
            [TLS_FAILURE_CERTIFICATE] = AT(tls_down_no_certificate),
            [TLS_FAILURE_ALERT] = AT(tls_down_no_alert),
            [TLS_FAILURE_OTHER] = AT(tls_down_no_other),
        },
    [TLS_UPSTREAM] =
        {
            [TLS_FAILURE_TIMEOUT] = AT(tls_up_no_timeout),
            [TLS_FAILURE_CLOSED] = AT(tls_up_no_closed),
            [TLS_FAILURE_PROTOCOL] = AT(tls_up_no_protocol),
            [TLS_FAILURE_NO_CERTIFICATE] = AT(tls_up_no_no_certificate),
            [TLS_FAILURE_CERTIFICATE_EXPIRED] = AT(tls_up_no_certificate_expired),
            [TLS_FAILURE_CERTIFICATE_AUTHORITY] = AT(tls_up_no_certificate_authority),
            [TLS_FAILURE_CERTIFICATE_NAME] = AT(tls_up_no_certificate_name),
            [TLS_FAILURE_CERTIFICATE] = AT(tls_up_no_certificate),
            [TLS_FAILURE_ALERT] = AT(tls_up_no_alert),
            [TLS_FAILURE_OTHER] = AT(tls_up_no_other),
        },
};

static const size_t truncated[TLS_SIDES] = {
    [TLS_DOWNSTREAM] = AT(tls_down_truncated),
    [TLS_UPSTREAM] = AT(tls_up_truncated),
};

static void count(struct worker_counters *counters, size_t at)
{
    count_add((uint64_t *)(void *)((char *)counters + at), 1);
}

void tls_count_result(struct worker_counters *counters, enum tls_side side, enum tls_result result)
{
    count(counters, results[side][result]);
}

void tls_count_failure(struct worker_counters *counters, enum tls_side side, enum tls_failure failure)
{
    tls_count_result(counters, side, TLS_FAILED);
    count(counters, failures[side][failure]);
}

void tls_count_truncation(struct worker_counters *counters, enum tls_side side)
{
    count(counters, truncated[side]);
}
