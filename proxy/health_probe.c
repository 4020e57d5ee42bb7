/*
 * Active checks as bytes: see health_probe.h. Called by health.c on worker 0.
 */
#include "proxy/health_probe.h"

#include <stdio.h>
#include <string.h>

#include "proxy/text.h"
#include "shadow/protobuf_wire.h"

enum {
    PREFIX = 5,       /* of a gRPC message: a flag, and its length in four bytes, the highest first */
    VARINT_MOST = 10, /* bytes of one */
    HEAD_ROOM = 512,  /* for what does not come from the file */
    FIELD_SERVICE = 1,
    FIELD_STATUS = 1,
    STATUS_SERVING = 1,
};

static const char *const serving_names[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
enum {
    SERVING_NAMES = sizeof(serving_names) / sizeof(serving_names[0])
};

/* ---- the question ---- */

/* HealthCheckRequest{service = 1}; a string that is empty is not written. */
static size_t message_length(const struct config_health *health)
{
    size_t len = strlen(health->service);
    size_t varint = 1;
    for (size_t rest = len; rest >= 0x80; rest >>= 7)
        varint++;
    return len > 0 ? 1 + varint + len : 0;
}

size_t health_probe_bound(const struct config_backend *backend)
{
    const struct config_health *health = backend->health;
    size_t host = health->host != NULL ? strlen(health->host) : address_host_bound(&backend->address);
    size_t asked =
        health->kind == HEALTH_GRPC ? PREFIX + 1 + VARINT_MOST + strlen(health->service) : strlen(health->path);
    return HEAD_ROOM + host + asked;
}

size_t health_probe_body(char *to, const struct config_health *health)
{
    if (health->kind != HEALTH_GRPC)
        return 0;
    size_t len = message_length(health), service = strlen(health->service);
    char *at = to;
    *at++ = 0; /* not compressed */
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (char)(unsigned char)(len >> shift);
    if (len == 0)
        return (size_t)(at - to);
    *at++ = FIELD_SERVICE << 3 | WIRE_BYTES;
    size_t rest = service;
    for (; rest >= 0x80; rest >>= 7)
        *at++ = (char)(unsigned char)(rest | 0x80);
    *at++ = (char)rest;
    memcpy(at, health->service, service);
    return (size_t)(at - to) + service;
}

static size_t print_host(char *to, const struct config_backend *backend)
{
    const char *host = backend->health->host;
    if (host == NULL)
        return address_host_print(&backend->address, to);
    memcpy(to, host, strlen(host));
    return strlen(host);
}

size_t health_probe_head(char *to, const struct config_backend *backend)
{
    const struct config_health *health = backend->health;
    size_t room = health_probe_bound(backend);
    bool grpc = health->kind == HEALTH_GRPC;
    int len = snprintf(to, room, "%s %s HTTP/1.1\r\nHost: ", grpc ? "POST" : "GET",
                       grpc ? "/grpc.health.v1.Health/Check" : health->path);
    char *at = to + len;
    at += print_host(at, backend);
    room -= (size_t)(at - to);
    if (grpc) /* the server may give up when we do: grpc-timeout has eight digits, and a timeout is at most an hour */
        len = snprintf(at, room,
                       "\r\nUser-Agent: shunt-health\r\nContent-Type: application/grpc\r\nTE: trailers\r\n"
                       "grpc-timeout: %llum\r\nContent-Length: %zu\r\n\r\n",
                       (unsigned long long)health->timeout_ms, PREFIX + message_length(health));
    else
        len = snprintf(at, room, "\r\nUser-Agent: shunt-health\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    return (size_t)(at - to) + (size_t)len;
}

/* ---- the answer ---- */

bool health_answer_head(struct health_answer *answer, const struct head *head)
{
    if (head->status < 200)
        return head->status != 101 && ++answer->interims <= PROBE_INTERIMS;
    answer->status = head->status;
    answer->is_grpc = grpc_is_call(head);
    answer->grpc = grpc_status_of_head(head);
    return true;
}

bool health_answer_body(struct health_answer *answer, const char *at, size_t len)
{
    if (answer->bytes < PROBE_MESSAGE_ROOM) {
        size_t room = PROBE_MESSAGE_ROOM - (size_t)answer->bytes;
        memcpy(answer->message + answer->bytes, at, len < room ? len : room);
    }
    answer->bytes += len;
    return answer->bytes <= (answer->kind == HEALTH_GRPC ? PROBE_MESSAGE_ROOM : PROBE_BODY_MOST);
}

/* HealthCheckResponse{status = 1}: the last one counts, and none is UNKNOWN. False: it is not one message. */
static bool read_serving(const struct health_answer *answer, uint64_t *serving)
{
    const unsigned char *at = (const unsigned char *)answer->message;
    if (answer->bytes < PREFIX || answer->bytes > PROBE_MESSAGE_ROOM || at[0] != 0)
        return false;
    uint64_t len = (uint64_t)at[1] << 24 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 8 | at[4];
    if (len != answer->bytes - PREFIX)
        return false;
    struct wire_reader reader = {.text = {answer->message + PREFIX, (size_t)len}};
    struct wire_field field;
    *serving = 0;
    while (wire_next(&reader, &field))
        if (field.number == FIELD_STATUS && field.type == WIRE_VARINT)
            *serving = field.value;
    return reader.fault == WIRE_FAULT_NONE;
}

static bool judge_http(const struct health_answer *answer, char *reason, size_t room)
{
    snprintf(reason, room, "status %u", answer->status);
    return answer->status >= 200 && answer->status < 400;
}

static void say_status(enum grpc_status status, char *reason, size_t room)
{
    const char *more = status == GRPC_UNIMPLEMENTED ? ": it does not offer grpc.health.v1" : "";
    if (status == GRPC_NONE)
        snprintf(reason, room, "it did not say how the call ended (grpc-status)");
    else
        snprintf(reason, room, "grpc-status %u (%s)%s", (unsigned)status, grpc_name((unsigned)status), more);
}

static bool judge_grpc(const struct health_answer *answer, struct text trailers, char *reason, size_t room)
{
    enum grpc_status status = grpc_status_of_trailers(trailers);
    if (status == GRPC_NONE)
        status = answer->grpc;
    if (answer->status != 200 || !answer->is_grpc) {
        snprintf(reason, room, "status %u%s", answer->status, answer->is_grpc ? "" : ", not gRPC");
        return false;
    }
    if (status != GRPC_OK) {
        say_status(status, reason, room);
        return false;
    }
    uint64_t serving;
    if (!read_serving(answer, &serving)) {
        snprintf(reason, room, "its answer is not a HealthCheckResponse");
        return false;
    }
    if (serving < SERVING_NAMES)
        snprintf(reason, room, "%s", serving_names[serving]);
    else
        snprintf(reason, room, "serving status %llu", (unsigned long long)serving);
    return serving == STATUS_SERVING;
}

bool health_answer_judge(const struct health_answer *answer, struct text trailers, char *reason, size_t room)
{
    return answer->kind == HEALTH_GRPC ? judge_grpc(answer, trailers, reason, room) : judge_http(answer, reason, room);
}
