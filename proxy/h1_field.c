/*
 * Names of fields: their ids, found by length and a few word comparisons, and the tables of what may be done with them.
 *
 * Pure functions over constants; any thread.
 */
#include "proxy/h1_field.h"

#include "proxy/h1_chars.h"
#include "router/text.h"

#define FOLD8 0x2020202020202020u
#define FOLD4 0x20202020u

static inline uint64_t load8(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

static inline uint32_t load4(const char *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* `len` is a constant at every call, so this becomes one to three word comparisons. Exact for letters, digits and, in a
 * valid name, "-"; of the bytes that setting bit 5 would turn into "-" only CR exists, which no name contains. */
static inline __attribute__((always_inline)) bool is(const char *name, const char *lower, size_t len)
{
    if (len >= 8) {
        uint64_t differs = (load8(name) | FOLD8) ^ load8(lower);
        if (len > 16)
            differs |= (load8(name + 8) | FOLD8) ^ load8(lower + 8);
        if (len > 8)
            differs |= (load8(name + len - 8) | FOLD8) ^ load8(lower + len - 8);
        return differs == 0;
    }
    if (len >= 4)
        return (((load4(name) | FOLD4) ^ load4(lower)) | ((load4(name + len - 4) | FOLD4) ^ load4(lower + len - 4))) ==
               0;
    for (size_t i = 0; i < len; i++)
        if ((name[i] | 0x20) != lower[i])
            return false;
    return true;
}

#define ROW(literal, id)                                                                                               \
    if (is(name, literal, sizeof(literal) - 1))                                                                        \
        return id;

enum field_id h1_field_id(const char *name, size_t length)
{
    switch (length) {
    case 2:
        ROW("te", FIELD_TE)
        break;
    case 3:
        ROW("via", FIELD_VIA)
        break;
    case 4:
        ROW("host", FIELD_HOST)
        break;
    case 6:
        ROW("cookie", FIELD_COOKIE)
        ROW("expect", FIELD_EXPECT)
        break;
    case 7:
        ROW("upgrade", FIELD_UPGRADE)
        ROW("trailer", FIELD_TRAILER)
        break;
    case 10:
        ROW("connection", FIELD_CONNECTION)
        ROW("keep-alive", FIELD_KEEP_ALIVE)
        break;
    case 12:
        ROW("content-type", FIELD_CONTENT_TYPE)
        ROW("x-request-id", FIELD_X_REQUEST_ID)
        break;
    case 14:
        ROW("content-length", FIELD_CONTENT_LENGTH)
        ROW("x-shunt-shadow", FIELD_SHUNT_SHADOW)
        break;
    case 15:
        ROW("x-forwarded-for", FIELD_X_FORWARDED_FOR)
        break;
    case 16:
        ROW("content-encoding", FIELD_CONTENT_ENCODING)
        ROW("x-forwarded-host", FIELD_X_FORWARDED_HOST)
        ROW("proxy-connection", FIELD_PROXY_CONNECTION)
        break;
    case 17:
        ROW("transfer-encoding", FIELD_TRANSFER_ENCODING)
        ROW("x-forwarded-proto", FIELD_X_FORWARDED_PROTO)
        break;
    case 23:
        ROW("x-forwarded-client-cert", FIELD_X_FORWARDED_CLIENT_CERT)
        break;
    default:
        break;
    }
    return FIELD_OTHER;
}

static bool is_in(struct text name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (text_equals_fold(name, names[i], strlen(names[i])))
            return true;
    return false;
}

/*
 * RFC 9110 section 7.6.1 lets Connection take away any field it names, and forbids senders to name fields that are
 * meant for every recipient. Clients that do it all the same want a backend to lose what an intermediary before us
 * vouched for, or what it decides by ("hop-by-hop header abuse"); so these stay.
 */
bool h1_field_is_essential(struct text name)
{
    static const char *const names[] = {
        "accept",
        "accept-encoding",
        "accept-language",
        "authorization",
        "cache-control",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "etag",
        "expect",
        "expires",
        "forwarded",
        "from",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "last-modified",
        "location",
        "max-forwards",
        "origin",
        "pragma",
        "range",
        "referer",
        "retry-after",
        "set-cookie",
        "strict-transport-security",
        "traceparent",
        "tracestate",
        "true-client-ip",
        "user-agent",
        "vary",
        "via",
        "warning",
        "www-authenticate",
        "x-real-ip",
        "x-request-id",
        "x-shunt-shadow",
        "x-client-ip",
        "cf-connecting-ip",
        "access-control-allow-origin",
    };
    static const char forwarded[] = "x-forwarded-"; /* -For, -Proto, -Host, -Port, -Client-Cert, ... */
    struct text start = {name.at, sizeof(forwarded) - 1};
    return (name.len >= start.len && text_equals_fold(start, forwarded, start.len)) ||
           is_in(name, names, sizeof(names) / sizeof(names[0]));
}

/* RFC 9110 section 6.5.1: no framing, routing, request modifiers, authentication, response control, or content format.
 */
enum h1_trailer_use h1_trailer_use(struct text name)
{
    static const char *const framing[] = {"content-length", "transfer-encoding"};
    static const char *const unfit[] = {
        "age",
        "authentication-info",
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expect",
        "expires",
        "forwarded",
        "host",
        "http2-settings",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "keep-alive",
        "location",
        "max-forwards",
        "pragma",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "retry-after",
        "set-cookie",
        "te",
        "trailer",
        "upgrade",
        "vary",
        "via",
        "warning",
        "www-authenticate",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-http-method-override",
        "x-request-id",
        "x-shunt-shadow",
    };
    if (is_in(name, framing, sizeof(framing) / sizeof(framing[0])))
        return H1_TRAILER_REFUSE;
    return is_in(name, unfit, sizeof(unfit) / sizeof(unfit[0])) ? H1_TRAILER_DROP : H1_TRAILER_KEEP;
}

enum h1_fault_id h1_text_fault(char byte)
{
    switch (byte) {
    case '\n':
        return H1_FAULT_BARE_LF;
    case '\0':
        return H1_FAULT_NUL_BYTE;
    case '\r':
        return H1_FAULT_BARE_CR;
    default:
        return H1_FAULT_CONTROL_BYTE;
    }
}

enum h1_fault_id h1_name_fault(char byte, bool first_byte)
{
    switch (byte) {
    case ':':
        return H1_FAULT_FIELD_NAME_EMPTY;
    case ' ':
    case '\t':
        return H1_FAULT_SPACE_BEFORE_COLON;
    case '\r':
        return H1_FAULT_NO_COLON;
    case '\n':
        return first_byte ? H1_FAULT_BARE_LF : H1_FAULT_NO_COLON;
    case '\0':
        return H1_FAULT_NUL_BYTE;
    default:
        return H1_FAULT_FIELD_NAME;
    }
}
