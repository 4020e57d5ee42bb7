/*
 * One active check as bytes: what is asked of a backend, and what its answer means. Pure functions: sockets, codecs and
 * clocks are health.c's.
 *
 * HTTP: GET, and a final status of 2xx or 3xx is healthy. gRPC: grpc.health.v1.Health/Check (github.com/grpc/grpc,
 * doc/health-checking.md), and SERVING with grpc-status 0 is.
 */
#ifndef SHUNT_PROXY_HEALTH_PROBE_H
#define SHUNT_PROXY_HEALTH_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "proxy/grpc.h"
#include "proxy/head.h"

enum {
    PROBE_MESSAGE_ROOM = 256, /* of a gRPC answer: a status is two bytes, and there may be fields we do not know */
    PROBE_BODY_MOST = 65536,  /* of an HTTP answer; the rest of a longer one is not waited for */
    PROBE_INTERIMS = 64,      /* 1xx heads of one answer: more are no answer */
};

/* Both as HTTP/1.1 text, for any codec. `bound`: how many bytes they take at most. */
size_t health_probe_bound(const struct config_backend *backend);
size_t health_probe_head(char *to, const struct config_backend *backend);
/* The body: nothing for HTTP, else one message with its prefix. */
size_t health_probe_body(char *to, const struct config_health *health);

/* What has come so far. Begin with {.kind = ...}. */
struct health_answer {
    enum config_health_kind kind;
    unsigned status; /* 0: no final head yet */
    uint32_t interims;
    bool is_grpc;                     /* by its content type */
    enum grpc_status grpc;            /* of the head, when that was all */
    uint64_t bytes;                   /* of the body */
    char message[PROBE_MESSAGE_ROOM]; /* its beginning */
};

/* A head; false: it can be no answer to the check, whatever follows. */
bool health_answer_head(struct health_answer *answer, const struct head *head);
/* A piece of the body; false: nothing more is needed. */
bool health_answer_body(struct health_answer *answer, const char *at, size_t len);
/* Is the backend healthy by this answer? `trailers`: lines, may be empty. *reason says why, either way. */
bool health_answer_judge(const struct health_answer *answer, struct text trailers, char *reason, size_t room);

#endif
