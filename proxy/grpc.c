/*
 * gRPC: see grpc.h. Pure functions on text that is borrowed.
 */
#include "proxy/grpc.h"

#include <stdio.h>
#include <string.h>

#include "router/text.h"

static const char media_type[] = "application/grpc";
enum {
    MEDIA_TYPE_LEN = sizeof(media_type) - 1,
    TIMEOUT_DIGITS = 8
};

/* ---- requests ---- */

static const struct field *find_named(const struct head *head, const char *name, size_t len)
{
    for (uint32_t i = 0; i < head->field_count; i++)
        if (head->fields[i].id == FIELD_OTHER && text_equals_fold(head->fields[i].name, name, len))
            return &head->fields[i];
    return NULL;
}

bool grpc_is_media_type(struct text value)
{
    if (value.len < MEDIA_TYPE_LEN)
        return false;
    char next = value.len > MEDIA_TYPE_LEN ? value.at[MEDIA_TYPE_LEN] : ';';
    return text_equals_fold((struct text){value.at, MEDIA_TYPE_LEN}, media_type, MEDIA_TYPE_LEN) &&
           (next == '+' || next == ';' || next == ' ');
}

bool grpc_is_call(const struct head *head)
{
    /* A GET, as most are, has no type: its fields need not be looked at. */
    if (head->lines.len > 0 && (head->present & 1U << FIELD_CONTENT_TYPE) == 0)
        return false;
    for (uint32_t i = 0; i < head->field_count; i++)
        if (head->fields[i].id == FIELD_CONTENT_TYPE && head->fields[i].value.len >= MEDIA_TYPE_LEN)
            return grpc_is_media_type(head->fields[i].value);
    return false;
}

/* PROTOCOL-HTTP2.md: at most eight digits and a unit. */
static uint64_t timeout_of(struct text value)
{
    uint64_t number = 0;
    if (value.len < 2 || value.len > TIMEOUT_DIGITS + 1)
        return 0;
    for (uint32_t i = 0; i + 1 < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return 0;
        number = number * 10 + (uint64_t)(value.at[i] - '0');
    }
    switch (value.at[value.len - 1]) {
    case 'H':
        return number * 3600000;
    case 'M':
        return number * 60000;
    case 'S':
        return number * 1000;
    case 'm':
        return number;
    case 'u':
        return (number + 999) / 1000;
    case 'n':
        return (number + 999999) / 1000000;
    default:
        return 0;
    }
}

uint64_t grpc_timeout_ms(const struct head *head)
{
    const struct field *field = find_named(head, "grpc-timeout", 12);
    return field != NULL ? timeout_of(field->value) : 0;
}

/* ---- how a call ended ---- */

static enum grpc_status parse_status(struct text value)
{
    unsigned number = 0;
    if (value.len == 0 || value.len > 2)
        return GRPC_UNKNOWN;
    for (uint32_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return GRPC_UNKNOWN;
        number = number * 10 + (unsigned)(value.at[i] - '0');
    }
    return number < GRPC_STATUSES ? (enum grpc_status)number : GRPC_UNKNOWN;
}

enum grpc_status grpc_status_of_head(const struct head *head)
{
    const struct field *field = find_named(head, "grpc-status", 11);
    return field != NULL ? parse_status(field->value) : GRPC_NONE;
}

enum grpc_status grpc_status_of_trailers(struct text lines)
{
    const char *at = lines.at, *end = at + lines.len;
    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        const char *next = lf != NULL ? lf + 1 : end;
        const char *colon = memchr(at, ':', (size_t)(next - at));
        if (colon != NULL && text_equals_fold((struct text){at, (uint32_t)(colon - at)}, "grpc-status", 11)) {
            const char *value = colon + 1, *stop = next;
            while (value < stop && (*value == ' ' || *value == '\t'))
                value++;
            while (stop > value && strchr("\r\n \t", stop[-1]) != NULL)
                stop--;
            return parse_status((struct text){value, (uint32_t)(stop - value)});
        }
        at = next;
    }
    return GRPC_NONE;
}

enum grpc_status grpc_status_of_http(unsigned status)
{
    switch (status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

/* ---- answers of our own ---- */

enum grpc_status grpc_status_of_answer(unsigned status, bool deadline_passed)
{
    if (deadline_passed && (status == 408 || status == 504))
        return GRPC_DEADLINE_EXCEEDED;
    if (status == 413 || status == 431)
        return GRPC_RESOURCE_EXHAUSTED;
    return status == 408 ? GRPC_UNAVAILABLE : grpc_status_of_http(status);
}

void grpc_answer(struct grpc_answer *answer, enum grpc_status status, const char *message)
{
    /* The message is one of our own sentences: no byte of it has to be percent-encoded. */
    int len = snprintf(answer->lines, sizeof(answer->lines),
                       "content-type: application/grpc\r\ngrpc-status: %u\r\ngrpc-message: %s\r\n", (unsigned)status,
                       message);
    if (len < 0 || (size_t)len >= sizeof(answer->lines))
        len = snprintf(answer->lines, sizeof(answer->lines),
                       "content-type: application/grpc\r\ngrpc-status: %u\r\ngrpc-message: \r\n", (unsigned)status);
    const char *at = answer->lines;
    uint32_t present = 0;
    for (int i = 0; i < 3; i++) {
        const char *colon = strchr(at, ':'), *end = strchr(at, '\r');
        struct field *field = &answer->fields[i];
        field->name = (struct text){at, (uint32_t)(colon - at)};
        field->value = (struct text){colon + 2, (uint32_t)(end - colon - 2)};
        field->id = i == 0 ? FIELD_CONTENT_TYPE : FIELD_OTHER;
        field->hop_by_hop = false;
        present |= 1U << field->id;
        at = end + 2;
    }
    answer->head = (struct head){
        .status = 200,
        .reason = {"OK", 2},
        .minor = 1,
        .keep_alive = true,
        .framing = FRAMING_NONE,
        .fields = answer->fields,
        .field_count = 3,
        .lines = {answer->lines, (uint32_t)len},
        .present = present,
        .plain = true,
    };
}
