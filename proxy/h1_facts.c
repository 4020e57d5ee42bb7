/*
 * Judges a head's fields: each as it is complete, and all together at the head's end. Refuses whatever leaves it open
 * where a message ends or whom it is for (RFC 9112 sections 3.2, 6 and 11).
 *
 * Called by h1_parser.c; keeps no pointer into the head between calls, since its bytes may move.
 */
#include "proxy/h1_facts.h"

#include <strings.h>

#include "proxy/h1_chars.h"
#include "proxy/h1_field.h"
#include "proxy/h1_target.h"
#include "router/text.h"

enum {
    OPTIONS_MAX = 64,       /* elements of Connection: bounds the search for the fields they name */
    LENGTH_DIGITS_MAX = 64, /* of Content-Length, leading zeros included */
};

static bool fail(enum h1_fault_id *fault, enum h1_fault_id id)
{
    *fault = id;
    return false;
}

/* ---- field by field ---- */

static bool add_connection(struct h1_facts *facts, struct text value, enum h1_fault_id *fault)
{
    if (text_equals_fold(value, "keep-alive", 10)) { /* as nearly always */
        facts->keep_alive = true;
        return true;
    }
    struct h1_list list = h1_list_of(value);
    struct text option;
    while (h1_list_next(&list, &option)) {
        if (option.len == 0) /* empty elements are allowed: RFC 9110 section 5.6.1 */
            continue;
        if (!h1_is_token(option))
            return fail(fault, H1_FAULT_CONNECTION_MALFORMED);
        if (++facts->options > OPTIONS_MAX)
            return fail(fault, H1_FAULT_CONNECTION_OPTIONS);
        if (text_equals_fold(option, "keep-alive", 10))
            facts->keep_alive = true;
        else if (text_equals_fold(option, "close", 5))
            facts->close = true;
        else if (text_equals_fold(option, "upgrade", 7))
            facts->upgrade = true;
        else
            facts->nominates = true;
    }
    return true;
}

static bool add_length(struct head *head, struct field *field, enum h1_fault_id *fault)
{
    const struct text value = field->value;
    if (head->has_content_length) /* equal ones too: some sum them up, some take the first, some the last */
        return fail(fault, H1_FAULT_LENGTH_DUPLICATE);
    if (value.len == 0 || value.len > LENGTH_DIGITS_MAX)
        return fail(fault, H1_FAULT_LENGTH_MALFORMED);
    int64_t length = 0;
    for (uint32_t i = 0; i < value.len; i++) {
        int digit = value.at[i] - '0';
        if (digit < 0 || digit > 9)
            return fail(fault, memchr(value.at, ',', value.len) != NULL ? H1_FAULT_LENGTH_DUPLICATE
                                                                        : H1_FAULT_LENGTH_MALFORMED);
        if (__builtin_mul_overflow(length, 10, &length) || __builtin_add_overflow(length, digit, &length))
            return fail(fault, H1_FAULT_LENGTH_TOO_LARGE);
    }
    head->has_content_length = true;
    head->content_length = (uint64_t)length;
    if (value.len > 1 && value.at[0] == '0') { /* leading zeros look octal to some: written anew, without */
        field->hop_by_hop = true;
        head->plain = false;
    }
    return true;
}

static bool add_coding(struct h1_facts *facts, struct text value, enum h1_fault_id *fault)
{
    struct h1_list list = h1_list_of(value);
    struct text coding;
    facts->has_coding = true;
    while (h1_list_next(&list, &coding)) {
        const char *end = coding.at + coding.len;
        const char *stop = h1_skip(coding.at, end, H1_TOKEN);
        /* empty elements too: who skips them and who does not disagree about what is last */
        if (stop == coding.at || (stop < end && *stop != ';' && !h1_is_blank(*stop)))
            return fail(fault, H1_FAULT_CODING_MALFORMED);
        if (facts->chunked)
            facts->coding_after_chunked = true;
        if (!text_equals_fold((struct text){coding.at, (uint32_t)(stop - coding.at)}, "chunked", 7))
            facts->coding_unknown = true;
        else if (stop < end) /* chunked has no parameters */
            return fail(fault, H1_FAULT_CODING_MALFORMED);
        else
            facts->chunked = true;
    }
    return true;
}

static bool add_host(struct h1_facts *facts, enum h1_fault_id *fault)
{
    if (facts->has_host)
        return fail(fault, H1_FAULT_HOST_DUPLICATE);
    facts->has_host = true;
    return true;
}

static void add_te(struct head *head, struct text value)
{
    struct h1_list list = h1_list_of(value);
    struct text coding;
    while (h1_list_next(&list, &coding))
        if (text_equals_fold(coding, "trailers", 8))
            head->te_trailers = true;
}

/* 100-continue is the only expectation there is; HTTP/1.0 knows none (RFC 9110 section 10.1.1). */
static bool add_expect(struct head *head, struct text value, enum h1_fault_id *fault)
{
    if (head->minor == 0 || head->status != 0)
        return true;
    if (!text_equals_fold(value, "100-continue", 12))
        return fail(fault, H1_FAULT_EXPECTATION);
    head->expect_continue = true;
    return true;
}

bool h1_facts_add(struct h1_facts *facts, struct head *head, struct field *field, enum h1_fault_id *fault)
{
    switch (field->id) {
    case FIELD_HOST:
        return add_host(facts, fault);
    case FIELD_CONNECTION:
        return add_connection(facts, field->value, fault);
    case FIELD_CONTENT_LENGTH:
        return add_length(head, field, fault);
    case FIELD_TRANSFER_ENCODING:
        return add_coding(facts, field->value, fault);
    case FIELD_EXPECT:
        return add_expect(head, field->value, fault);
    case FIELD_UPGRADE:
        facts->has_upgrade = true;
        return true;
    case FIELD_TE:
        add_te(head, field->value);
        return true;
    case FIELD_SHUNT_SHADOW:
        head->shunt_shadow = true;
        return true;
    default:
        return true;
    }
}

/* ---- all together ---- */

/* RFC 9112 sections 6.1 and 6.3. */
static bool check_coding(const struct h1_facts *facts, const struct head *head, enum h1_fault_id *fault)
{
    if (!facts->has_coding)
        return true;
    if (head->has_content_length)
        return fail(fault, H1_FAULT_LENGTH_AND_CODING);
    if (head->minor == 0)
        return fail(fault, H1_FAULT_CODING_IN_10);
    if (facts->coding_after_chunked)
        return fail(fault, H1_FAULT_CODING_ORDER);
    if (facts->coding_unknown)
        return fail(fault, H1_FAULT_CODING_UNKNOWN);
    return true;
}

/* RFC 9112 section 9.3. */
static void judge_persistence(const struct h1_facts *facts, struct head *head)
{
    head->keep_alive = !facts->close && (head->minor == 1 || facts->keep_alive);
}

static void nominate(struct head *head, struct field *fields, struct text option)
{
    if (h1_field_is_essential(option))
        return;
    for (uint32_t i = 0; i < head->field_count; i++) {
        struct field *field = &fields[i];
        if (field->name.len == option.len && strncasecmp(field->name.at, option.at, option.len) == 0) {
            field->hop_by_hop = true;
            head->plain = false;
        }
    }
}

static void mark_nominated(const struct h1_facts *facts, struct head *head, struct field *fields)
{
    if (!facts->nominates)
        return;
    for (uint32_t i = 0; i < head->field_count; i++) {
        if (fields[i].id != FIELD_CONNECTION)
            continue;
        struct h1_list list = h1_list_of(fields[i].value);
        struct text option;
        while (h1_list_next(&list, &option))
            if (option.len > 0)
                nominate(head, fields, option);
    }
}

static const struct field *find(const struct head *head, const struct field *fields, enum field_id id)
{
    for (uint32_t i = 0; i < head->field_count; i++)
        if (fields[i].id == id)
            return &fields[i];
    return NULL;
}

/* The first protocol that is offered and is not h2c: that one would carry requests past us (RFC 9113 section 3.1
 * dropped it). A malformed offer is none. */
static struct text find_protocol(const struct head *head, const struct field *fields)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        if (fields[i].id != FIELD_UPGRADE)
            continue;
        struct h1_list list = h1_list_of(fields[i].value);
        struct text protocol;
        while (h1_list_next(&list, &protocol)) {
            const char *end = protocol.at + protocol.len;
            const char *slash = h1_skip(protocol.at, end, H1_TOKEN);
            bool plain = slash == end || (*slash == '/' && end - slash > 1 && h1_skip(slash + 1, end, H1_TOKEN) == end);
            if (slash > protocol.at && plain && !text_equals_fold(protocol, "h2c", 3))
                return protocol;
        }
    }
    return (struct text){NULL, 0};
}

/* RFC 9112 section 3.2, RFC 9110 section 7.2. */
static bool judge_host(const struct h1_facts *facts, struct head *head, const struct field *fields,
                       enum h1_fault_id *fault)
{
    struct text host = {head->target.at, 0};
    if (facts->has_host)
        host = find(head, fields, FIELD_HOST)->value;
    else if (head->minor == 1)
        return fail(fault, H1_FAULT_HOST_MISSING);
    if (host.len > 0 && !h1_host_is_valid(host))
        return fail(fault, H1_FAULT_HOST_MALFORMED);
    bool named = head->authority.len > 0;
    /* an http URI with an empty host must be refused (RFC 9110 section 4.2.1); "*" is no URI */
    bool asterisk = head->path.len == 1 && head->path.at[0] == '*';
    if (facts->has_host && host.len == 0 && !named && !asterisk)
        return fail(fault, H1_FAULT_HOST_EMPTY);
    head->host = named ? head->authority : host;
    return true;
}

bool h1_facts_request(struct h1_facts *facts, struct head *head, struct field *fields, enum h1_fault_id *fault)
{
    if (!check_coding(facts, head, fault) || !judge_host(facts, head, fields, fault))
        return false;
    head->framing = facts->chunked ? FRAMING_CHUNKED : head->has_content_length ? FRAMING_LENGTH : FRAMING_NONE;
    judge_persistence(facts, head);
    mark_nominated(facts, head, fields);
    if (facts->has_upgrade && facts->upgrade && head->minor == 1) { /* HTTP/1.0 cannot: RFC 9110 section 7.8 */
        head->upgrade_protocol = find_protocol(head, fields);
        head->upgrade = head->upgrade_protocol.len > 0;
    }
    return true;
}

/* RFC 9112 section 6.3. */
static enum framing response_framing(const struct h1_facts *facts, const struct head *head)
{
    if (facts->to_head || head->status < 200 || head->status == 204 || head->status == 304)
        return FRAMING_NONE;
    if (facts->chunked)
        return FRAMING_CHUNKED;
    return head->has_content_length ? FRAMING_LENGTH : FRAMING_UNTIL_CLOSE;
}

bool h1_facts_response(struct h1_facts *facts, struct head *head, struct field *fields, enum h1_fault_id *fault)
{
    if (!check_coding(facts, head, fault))
        return false;
    /* RFC 9110 section 8.6 and RFC 9112 section 6.1; a needless "Content-Length: 0" in a 204 is common and harmless */
    bool announces = facts->has_coding || (head->has_content_length && head->content_length > 0);
    if ((head->status < 200 || head->status == 204) && announces)
        return fail(fault, H1_FAULT_BODY_FORBIDDEN);
    head->framing = response_framing(facts, head);
    judge_persistence(facts, head);
    if (head->framing == FRAMING_UNTIL_CLOSE)
        head->keep_alive = false;
    mark_nominated(facts, head, fields);
    head->upgrade = head->status == 101;
    if (facts->has_upgrade && (head->upgrade || head->status == 426))
        head->upgrade_protocol = find_protocol(head, fields);
    return true;
}
