/*
 * The facts of one request that decisions are made from. A codec fills them in; all text is borrowed from its buffer
 * and is not NUL-terminated.
 */
#ifndef SHUNT_ROUTER_REQUEST_H
#define SHUNT_ROUTER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    const char *at;
    uint32_t len;
};

/*
 * What a field is, as far as shunt treats names specially; the codec knows it once it has read the name, so that nobody
 * compares names again. FIELD_OTHER is everything else.
 */
enum field_id {
    FIELD_OTHER = 0,
    FIELD_CONNECTION,
    FIELD_CONTENT_LENGTH,
    FIELD_TRANSFER_ENCODING,
    FIELD_HOST,
    FIELD_EXPECT,
    FIELD_UPGRADE,
    FIELD_KEEP_ALIVE,
    FIELD_PROXY_CONNECTION,
    FIELD_TE,
    FIELD_TRAILER,
    FIELD_VIA,
    FIELD_X_FORWARDED_FOR,
    FIELD_X_FORWARDED_PROTO,
    FIELD_X_FORWARDED_HOST,
    FIELD_X_FORWARDED_CLIENT_CERT,
    FIELD_X_REQUEST_ID,
    FIELD_COOKIE,
    FIELD_CONTENT_TYPE,
    FIELD_CONTENT_ENCODING,
    FIELD_SHUNT_SHADOW,
    FIELD_IDS,
};

struct field {
    struct text name;  /* as it came: case is kept */
    struct text value; /* without surrounding blanks */
    enum field_id id;
    bool hop_by_hop; /* nominated by Connection, or hop-by-hop by nature: not forwarded */
};

struct client_address {
    uint8_t bytes[16]; /* IPv4 in the first four; all zero for a unix socket */
    uint8_t length;    /* 4, 16 or 0 */
};

struct request_facts {
    struct text method;
    struct text path;  /* without query; "*" for OPTIONS * */
    struct text query; /* without "?"; empty when there is none */
    struct text host;  /* with port, as it came; empty when there is none */
    const struct field *fields;
    uint32_t field_count;
    bool has_body;
    bool upgrade; /* asks for another protocol: never mirrored */
    struct client_address client;
    uint64_t random; /* fresh random bits from the caller: for `random` and for sampling without a key */
};

/* What the field of this name is, letters of either case. For callers that have no codec, such as `explain`. */
enum field_id request_field_id(struct text name);

static inline bool text_equals(struct text text, const char *other, size_t len)
{
    return text.len == len && __builtin_memcmp(text.at, other, len) == 0;
}

#endif
