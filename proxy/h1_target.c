/*
 * Reads a request target (RFC 9112 section 3.2) and checks hosts.
 *
 * The bytes of a target have been looked at before it comes here: no controls, no space, no DEL and no "#". RFC 3986
 * allows fewer: it knows no `"<>\^`{|}` and nothing above 127. Those are forwarded as they came, because applications
 * behind servers such as NGINX have always received them and none of them moves a message's boundaries.
 */
#include "proxy/h1_target.h"

#include "proxy/h1_chars.h"
#include "router/text.h"

static bool fail(enum h1_fault_id *fault, enum h1_fault_id id)
{
    *fault = id;
    return false;
}

/* What follows the authority, or the whole origin-form: path, perhaps "?" and query. */
static void split_query(struct head *head, const char *at, const char *end)
{
    const char *mark = at < end ? memchr(at, '?', (size_t)(end - at)) : NULL;
    head->has_query = mark != NULL;
    head->path = (struct text){at, (uint32_t)((mark != NULL ? mark : end) - at)};
    head->query = mark != NULL ? (struct text){mark + 1, (uint32_t)(end - mark - 1)} : (struct text){end, 0};
}

static bool split_absolute(struct head *head, bool options, enum h1_fault_id *fault)
{
    const struct text target = head->target;
    const char *end = target.at + target.len;
    uint32_t scheme = 0;
    if (target.len > 7 && text_equals_fold((struct text){target.at, 7}, "http://", 7))
        scheme = 7;
    else if (target.len > 8 && text_equals_fold((struct text){target.at, 8}, "https://", 8))
        scheme = 8;
    else
        return fail(fault, H1_FAULT_TARGET_FORM);
    const char *at = target.at + scheme;
    const char *stop = at;
    while (stop < end && *stop != '/' && *stop != '?')
        stop++;
    head->authority = (struct text){at, (uint32_t)(stop - at)};
    if (!h1_host_is_valid(head->authority)) /* userinfo ("@") is refused with it: RFC 9110 section 4.2.4 */
        return fail(fault, H1_FAULT_TARGET_AUTHORITY);
    split_query(head, stop, end);
    if (head->path.len == 0) /* RFC 9112 sections 3.2.1 and 3.2.4 */
        head->path = text_of(options && !head->has_query ? "*" : "/");
    return true;
}

bool h1_target_split(struct head *head, bool options, enum h1_fault_id *fault)
{
    const struct text target = head->target;
    head->authority = (struct text){target.at, 0};
    if (target.len == 0)
        return fail(fault, H1_FAULT_TARGET_FORM);
    if (target.at[0] != '/') {
        if (target.len == 1 && target.at[0] == '*' && options) {
            head->path = target;
            head->query = (struct text){target.at + 1, 0};
            return true;
        }
        return split_absolute(head, options, fault);
    }
    split_query(head, target.at, target.at + target.len);
    return true;
}

/* Behind "[": an IPv6 address and "]". Only the alphabet is checked: nothing here connects to it. IPvFuture is refused.
 */
static const char *skip_ip_literal(const char *at, const char *end)
{
    const char *start = at;
    unsigned colons = 0;
    for (; at < end && (h1_is(*at, H1_HEX) || *at == ':' || *at == '.'); at++)
        colons += *at == ':';
    if (at == end || *at != ']' || colons < 2 || at - start > 45)
        return NULL;
    return at + 1;
}

static const char *skip_reg_name(const char *at, const char *end)
{
    for (;;) {
        at = h1_skip(at, end, H1_REG_NAME);
        if (at == end || *at != '%')
            return at;
        if (end - at < 3 || !h1_is(at[1], H1_HEX) || !h1_is(at[2], H1_HEX))
            return NULL;
        at += 3;
    }
}

bool h1_host_is_valid(struct text host)
{
    const char *at = host.at, *end = host.at + host.len;
    if (host.len == 0)
        return false;
    at = *at == '[' ? skip_ip_literal(at + 1, end) : skip_reg_name(at, end);
    if (at == NULL || at == host.at)
        return false;
    if (at == end)
        return true;
    if (*at++ != ':')
        return false;
    /* an empty port is allowed: RFC 3986 section 3.2.3; leading zeros beyond five digits are not */
    uint32_t port = 0;
    const char *digits = at;
    while (at < end && h1_is(*at, H1_DIGIT))
        port = port * 10 + (uint32_t)(*at++ - '0');
    return at == end && at - digits <= 5 && port <= 65535;
}
