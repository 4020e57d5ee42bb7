/*
 * What shunt knows of gRPC (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md): which requests are calls, how long they may
 * take, how they ended, and what a caller is told whom shunt has to answer itself.
 */
#ifndef SHUNT_PROXY_GRPC_H
#define SHUNT_PROXY_GRPC_H

#include <stdbool.h>
#include <stdint.h>

#include "config/grpc_names.h"
#include "proxy/head.h"
#include "router/counters.h"

enum grpc_status {
    GRPC_OK = 0,
    GRPC_UNKNOWN = 2,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
    GRPC_NONE = 255, /* it is not known, or there is none */
};

/* Content-Type application/grpc, with or without +proto and the like. gRPC-Web is not: its status is in the body. */
bool grpc_is_call(const struct head *head);
/* The same of a Content-Type's value. */
bool grpc_is_media_type(struct text value);
/* grpc-timeout in milliseconds, rounded up; 0: none, or malformed. */
uint64_t grpc_timeout_ms(const struct head *head);
/* grpc-status among the fields of a head (trailers-only), or the lines of trailers; GRPC_NONE when it is not there.
 * What is no number up to 16 is GRPC_UNKNOWN. */
enum grpc_status grpc_status_of_head(const struct head *head);
enum grpc_status grpc_status_of_trailers(struct text lines);
/* What a response without grpc-status counts as: doc/http-grpc-status-mapping.md. */
enum grpc_status grpc_status_of_http(unsigned status);
/* What the caller is told of an answer of our own with this HTTP status. */
enum grpc_status grpc_status_of_answer(unsigned status, bool deadline_passed);

/* A trailers-only response. Its text lives in *room. */
struct grpc_answer {
    char lines[512];
    struct field fields[3];
    struct head head;
};
void grpc_answer(struct grpc_answer *answer, enum grpc_status status, const char *message);

#endif
