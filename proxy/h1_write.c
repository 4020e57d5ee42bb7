/*
 * Writes heads: what goes to a backend and what goes back to a client.
 *
 * Fields are kept as they came, in order and letter case, with their duplicates; runs of lines that are forwarded
 * unchanged are copied in one piece. What belongs to one connection only is left out, and what shunt adds stands behind
 * the rest. The caller's room is at least h1_*_bound(); nothing is checked again here and nothing is allocated.
 */
#include "proxy/h1.h"

#include <string.h>

#include "proxy/h1_chars.h"
#include "proxy/h1_field.h"
#include "router/text.h"

/* More than all lines that shunt adds, without the texts that are counted one by one. */
enum {
    FIXED_ROOM = 640
};

/* ---- pieces ---- */

static inline char *put(char *to, const char *from, size_t length)
{
    memcpy(to, from, length);
    return to + length;
}

#define PUT(to, literal) put(to, literal, sizeof(literal) - 1)

static inline char *put_text(char *to, struct text text)
{
    return text.len > 0 ? put(to, text.at, text.len) : to;
}

static char *put_number(char *to, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return put(to, digits + at, sizeof(digits) - at);
}

static char *put_hex(char *to, uint64_t number)
{
    unsigned digits = number > 0 ? (unsigned)(67 - __builtin_clzll(number)) / 4 : 1;
    for (unsigned i = digits; i-- > 0;)
        *to++ = "0123456789abcdef"[number >> (4 * i) & 15];
    return to;
}

static char *put_ipv4(char *to, const uint8_t *bytes)
{
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            *to++ = '.';
        unsigned byte = bytes[i];
        if (byte >= 100)
            *to++ = (char)('0' + byte / 100);
        if (byte >= 10)
            *to++ = (char)('0' + byte / 10 % 10);
        *to++ = (char)('0' + byte % 10);
    }
    return to;
}

/* The longest run of zero groups, the first of equals, at least two long (RFC 5952 section 4.2). */
static void find_zeros(const uint8_t *bytes, int *start, int *length)
{
    *start = 8;
    *length = 1;
    for (int i = 0, run = 0; i < 8; i++) {
        run = bytes[2 * i] == 0 && bytes[2 * i + 1] == 0 ? run + 1 : 0;
        if (run > *length) {
            *length = run;
            *start = i + 1 - run;
        }
    }
}

static char *put_ipv6(char *to, const uint8_t *bytes)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(bytes, mapped, sizeof(mapped)) == 0) /* an IPv4 client of a socket for both */
        return put_ipv4(to, bytes + 12);
    int start, length;
    find_zeros(bytes, &start, &length);
    for (int i = 0; i < 8; i++) {
        if (i == start) {
            to = PUT(to, "::");
            i += length - 1;
            continue;
        }
        if (i > 0 && i != start + length)
            *to++ = ':';
        to = put_hex(to, (uint64_t)bytes[2 * i] << 8 | bytes[2 * i + 1]);
    }
    return to;
}

static char *put_address(char *to, const struct client_address *client)
{
    return client->length == 4 ? put_ipv4(to, client->bytes) : put_ipv6(to, client->bytes);
}

static char *put_line(char *to, const char *name, size_t name_len, struct text value)
{
    to = put(to, name, name_len);
    to = put_text(to, value);
    return PUT(to, "\r\n");
}

/* `name` with its colon and blank. */
#define PUT_LINE(to, name, value) put_line(to, name, sizeof(name) - 1, value)

/* ---- fields that are forwarded ---- */

struct copying {
    h1_field_set drop;       /* left out */
    h1_field_set keep;       /* forwarded though hop-by-hop */
    h1_field_set kept, left; /* result: what was forwarded, what was left out */
};

/* Judges one field and remembers the answer. */
static inline bool is_forwarded(struct copying *copying, const struct field *field)
{
    h1_field_set bit = H1_SET(field->id);
    bool forwarded = (copying->drop & bit) == 0 && (!field->hop_by_hop || (copying->keep & bit) != 0);
    if (forwarded)
        copying->kept |= bit;
    else
        copying->left |= bit;
    return forwarded;
}

/* Lines in the plain form are copied as they are, in runs between those that are left out. */
static char *put_plain_lines(char *to, const struct head *head, struct copying *copying)
{
    const char *from = head->lines.at;
    const h1_field_set drop = copying->drop;
    copying->kept = head->present & ~drop;
    copying->left = head->present & drop;
    const struct field *field = head->fields;
    for (uint32_t i = copying->left != 0 ? head->field_count : 0; i > 0; i--, field++) {
        if (!h1_in_set(field->id, drop))
            continue;
        to = put(to, from, (size_t)(field->name.at - from));
        from = field->value.at + field->value.len + 2;
    }
    return put(to, from, (size_t)(head->lines.at + head->lines.len - from));
}

static char *put_field(char *to, const struct field *field)
{
    to = put_text(to, field->name);
    to = PUT(to, ": ");
    to = put_text(to, field->value);
    return PUT(to, "\r\n");
}

static char *put_fields(char *to, const struct head *head, struct copying *copying)
{
    if (head->plain && head->lines.len > 0)
        return put_plain_lines(to, head, copying);
    for (uint32_t i = 0; i < head->field_count; i++)
        if (is_forwarded(copying, &head->fields[i]))
            to = put_field(to, &head->fields[i]);
    return to;
}

/* All values of a list field, joined in order, each followed by ", ". */
static char *put_values(char *to, const struct head *head, enum field_id id)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct field *field = &head->fields[i];
        if (field->id != id || field->value.len == 0)
            continue;
        to = put_text(to, field->value);
        to = PUT(to, ", ");
    }
    return to;
}

static size_t fields_bound(const struct head *head)
{
    if (head->lines.len > 0)
        return (size_t)head->lines.len + head->field_count; /* a blank behind the colon may be added */
    size_t bound = 0;
    for (uint32_t i = 0; i < head->field_count; i++)
        bound += (size_t)head->fields[i].name.len + head->fields[i].value.len + 4;
    return bound;
}

/* ---- what shunt adds ---- */

/* What the message's framing is to be, towards the next recipient. */
struct framing_plan {
    bool chunked;
    bool with_length;
    uint64_t length;
};

/* A field that says the framing stays where it was, when it says it in the plain form; else it is written anew behind
 * the others. */
static void plan_copying(struct copying *copying, const struct framing_plan *plan)
{
    copying->drop |= H1_HOP_BY_HOP | H1_SET(FIELD_CONTENT_LENGTH);
    if (plan->chunked) {
        copying->drop &= ~H1_SET(FIELD_TRANSFER_ENCODING);
        copying->keep |= H1_SET(FIELD_TRANSFER_ENCODING);
    } else if (plan->with_length) {
        copying->drop &= ~H1_SET(FIELD_CONTENT_LENGTH);
    }
}

static char *put_framing(char *to, const struct framing_plan *plan, h1_field_set kept)
{
    if (plan->chunked)
        return h1_in_set(FIELD_TRANSFER_ENCODING, kept) ? to : PUT(to, "Transfer-Encoding: chunked\r\n");
    if (!plan->with_length || h1_in_set(FIELD_CONTENT_LENGTH, kept))
        return to;
    to = PUT(to, "Content-Length: ");
    to = put_number(to, plan->length);
    return PUT(to, "\r\n");
}

/* RFC 9110 section 7.6.3: each intermediary adds itself behind those before it, with the version it received. */
static char *put_via(char *to, const struct head *head, h1_field_set left)
{
    to = PUT(to, "Via: ");
    if (h1_in_set(FIELD_VIA, left))
        to = put_values(to, head, FIELD_VIA);
    if (head->http2)
        return PUT(to, "2 shunt\r\n");
    return head->minor == 0 ? PUT(to, "1.0 shunt\r\n") : PUT(to, "1.1 shunt\r\n");
}

/* ---- requests ---- */

/* A field that shunt writes by a rule: KEEP writes it only where the client sent none. */
static void plan_rule(struct copying *copying, enum config_header_rule rule, enum field_id id, bool has_value)
{
    if (has_value && (rule == HEADER_SET || rule == HEADER_APPEND))
        copying->drop |= H1_SET(id);
}

static bool rule_writes(enum config_header_rule rule, enum field_id id, bool has_value, h1_field_set kept)
{
    if (!has_value || rule == HEADER_OFF)
        return false;
    return rule != HEADER_KEEP || !h1_in_set(id, kept);
}

static char *put_forwarded_for(char *to, const struct head *head, const struct h1_forward *forward, h1_field_set left)
{
    to = PUT(to, "X-Forwarded-For: ");
    if (forward->rules->x_forwarded_for == HEADER_APPEND && h1_in_set(FIELD_X_FORWARDED_FOR, left))
        to = put_values(to, head, FIELD_X_FORWARDED_FOR);
    to = put_address(to, &forward->client);
    return PUT(to, "\r\n");
}

/* Nobody else vouches for what stands in this field: what the client sent by itself stays only where the file says so.
 */
static void plan_client_certificate(struct copying *copying, enum config_header_rule rule)
{
    if (rule == HEADER_SET || rule == HEADER_APPEND)
        copying->drop |= H1_SET(FIELD_X_FORWARDED_CLIENT_CERT);
}

static char *put_client_certificate(char *to, const struct head *head, const struct h1_forward *forward,
                                    h1_field_set left)
{
    to = PUT(to, "X-Forwarded-Client-Cert: ");
    if (forward->rules->x_forwarded_client_cert == HEADER_APPEND && h1_in_set(FIELD_X_FORWARDED_CLIENT_CERT, left))
        to = put_values(to, head, FIELD_X_FORWARDED_CLIENT_CERT);
    to = put_text(to, forward->client_certificate);
    return PUT(to, "\r\n");
}

static void plan_request(struct copying *copying, const struct head *head, const struct h1_forward *forward)
{
    const struct config_headers *rules = forward->rules;
    if (head->authority.len > 0)
        copying->drop |= H1_SET(FIELD_HOST);
    if (rules->via)
        copying->drop |= H1_SET(FIELD_VIA);
    if (forward->shadow)
        copying->drop |= H1_SET(FIELD_SHUNT_SHADOW);
    if (head->minor == 0) /* means nothing in HTTP/1.0, and would in the 1.1 that is written: RFC 9110 section 10.1.1 */
        copying->drop |= H1_SET(FIELD_EXPECT);
    plan_rule(copying, rules->x_forwarded_for, FIELD_X_FORWARDED_FOR, forward->client.length > 0);
    plan_rule(copying, rules->x_forwarded_proto, FIELD_X_FORWARDED_PROTO, true);
    plan_rule(copying, rules->x_forwarded_host, FIELD_X_FORWARDED_HOST, head->host.len > 0);
    plan_client_certificate(copying, rules->x_forwarded_client_cert);
    plan_rule(copying, rules->x_request_id, FIELD_X_REQUEST_ID, forward->request_id.len > 0);
}

static char *put_request_line(char *to, const struct head *head)
{
    to = put_text(to, head->method);
    *to++ = ' ';
    if (head->authority.len == 0) {
        to = put_text(to, head->target);
    } else {
        to = put_text(to, head->path);
        if (head->has_query) {
            *to++ = '?';
            to = put_text(to, head->query);
        }
    }
    return PUT(to, " HTTP/1.1\r\n");
}

/* TE is for the next hop alone and needs Connection to say so (RFC 9110 section 10.1.4); so does Upgrade (7.8). */
static char *put_request_options(char *to, const struct head *head)
{
    if (head->te_trailers)
        to = PUT(to, "TE: trailers\r\n");
    if (!head->upgrade)
        return head->te_trailers ? PUT(to, "Connection: TE\r\n") : to;
    to = head->te_trailers ? PUT(to, "Connection: Upgrade, TE\r\n") : PUT(to, "Connection: Upgrade\r\n");
    return PUT_LINE(to, "Upgrade: ", head->upgrade_protocol);
}

static char *put_rules(char *to, const struct head *head, const struct h1_forward *forward,
                       const struct copying *copying)
{
    const struct config_headers *rules = forward->rules;
    const h1_field_set kept = copying->kept;
    if (rules->via)
        to = put_via(to, head, copying->left);
    if (rule_writes(rules->x_forwarded_for, FIELD_X_FORWARDED_FOR, forward->client.length > 0, kept))
        to = put_forwarded_for(to, head, forward, copying->left);
    if (rule_writes(rules->x_forwarded_proto, FIELD_X_FORWARDED_PROTO, true, kept))
        to = forward->downstream_tls ? PUT(to, "X-Forwarded-Proto: https\r\n") : PUT(to, "X-Forwarded-Proto: http\r\n");
    if (rule_writes(rules->x_forwarded_host, FIELD_X_FORWARDED_HOST, head->host.len > 0, kept))
        to = PUT_LINE(to, "X-Forwarded-Host: ", head->host);
    if (rule_writes(rules->x_forwarded_client_cert, FIELD_X_FORWARDED_CLIENT_CERT, forward->client_certificate.len > 0,
                    kept))
        to = put_client_certificate(to, head, forward, copying->left);
    if (forward->early_data)
        to = PUT(to, "Early-Data: 1\r\n");
    if (rule_writes(rules->x_request_id, FIELD_X_REQUEST_ID, forward->request_id.len > 0, kept))
        to = PUT_LINE(to, "X-Request-Id: ", forward->request_id);
    return forward->shadow ? PUT(to, "X-Shunt-Shadow: 1\r\n") : to;
}

size_t h1_request_bound(const struct head *head, const struct h1_forward *forward)
{
    return FIXED_ROOM + (size_t)head->method.len + head->target.len + fields_bound(head) + head->authority.len +
           head->host.len + head->upgrade_protocol.len + forward->request_id.len + forward->backend_host.len +
           forward->client_certificate.len;
}

size_t h1_write_request(char *to, const struct head *head, const struct h1_forward *forward)
{
    char *p = put_request_line(to, head);
    struct copying copying = {0};
    const struct framing_plan plan = {.chunked = head->framing == FRAMING_CHUNKED,
                                      .with_length = head->framing == FRAMING_LENGTH,
                                      .length = head->content_length};
    plan_copying(&copying, &plan);
    plan_request(&copying, head, forward);
    if (head->authority.len > 0)
        p = PUT_LINE(p, "Host: ", head->authority);
    p = put_fields(p, head, &copying);
    if (!h1_in_set(FIELD_HOST, copying.kept | copying.left) && head->authority.len == 0)
        p = PUT_LINE(p, "Host: ", forward->backend_host);
    p = put_framing(p, &plan, copying.kept);
    p = put_request_options(p, head);
    p = put_rules(p, head, forward, &copying);
    p = PUT(p, "\r\n");
    return (size_t)(p - to);
}

/* ---- responses ---- */

static struct framing_plan plan_response(const struct head *head, const struct h1_reply *reply)
{
    struct framing_plan plan = {.length = head->content_length};
    if (head->status < 200 || head->status == 204) /* RFC 9110 section 8.6: neither field */
        return plan;
    plan.chunked = reply->framing == FRAMING_CHUNKED;
    plan.with_length = reply->framing == FRAMING_LENGTH || (reply->framing == FRAMING_NONE && head->has_content_length);
    return plan;
}

static char *put_status_line(char *to, const struct head *head)
{
    to = PUT(to, "HTTP/1.1 ");
    *to++ = (char)('0' + head->status / 100 % 10);
    *to++ = (char)('0' + head->status / 10 % 10);
    *to++ = (char)('0' + head->status % 10);
    *to++ = ' ';
    to = put_text(to, head->reason.at != NULL ? head->reason : text_of(h1_reason(head->status)));
    return PUT(to, "\r\n");
}

/* Of the answer to the client; interim answers say nothing about the connection, but for 101. */
static char *put_response_options(char *to, const struct head *head, const struct h1_reply *reply)
{
    bool upgrade = head->upgrade_protocol.len > 0; /* of a 101, and of a 426, which must have it (RFC 9110 15.5.22) */
    bool final = head->status >= 200;
    if (upgrade)
        to = PUT_LINE(to, "Upgrade: ", head->upgrade_protocol);
    if (final && reply->close)
        return upgrade ? PUT(to, "Connection: close, Upgrade\r\n") : PUT(to, "Connection: close\r\n");
    if (final && reply->keep_alive_10)
        return upgrade ? PUT(to, "Connection: keep-alive, Upgrade\r\n") : PUT(to, "Connection: keep-alive\r\n");
    return upgrade || head->upgrade ? PUT(to, "Connection: Upgrade\r\n") : to;
}

size_t h1_response_bound(const struct head *head, const struct h1_reply *reply)
{
    return FIXED_ROOM + (size_t)head->reason.len + fields_bound(head) + head->upgrade_protocol.len + reply->extra.len;
}

size_t h1_write_response(char *to, const struct head *head, const struct h1_reply *reply)
{
    char *p = put_status_line(to, head);
    bool via = reply->rules->via && head->status != 100; /* a 100 is an answer of this hop: it stays as bare as it is */
    struct copying copying = {.drop = via ? H1_SET(FIELD_VIA) : 0};
    const struct framing_plan plan = plan_response(head, reply);
    plan_copying(&copying, &plan);
    p = put_fields(p, head, &copying);
    p = put_framing(p, &plan, copying.kept);
    if (via)
        p = put_via(p, head, copying.left);
    p = put_text(p, reply->extra);
    p = put_response_options(p, head, reply);
    p = PUT(p, "\r\n");
    return (size_t)(p - to);
}

size_t h1_write_chunk_prefix(char *to, uint64_t length)
{
    char *end = put_hex(to, length);
    end = PUT(end, "\r\n");
    return (size_t)(end - to);
}

/* ---- reasons ---- */

const char *h1_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {100, "Continue"},
        {101, "Switching Protocols"},
        {103, "Early Hints"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {425, "Too Early"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}
