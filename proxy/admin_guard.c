/*
 * The admin server's door: token, Host and Origin.
 *
 * Asked by admin.c before any handler runs. Touches nothing but the texts it is given.
 */
#include "proxy/admin_guard.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const struct admin_fault unauthorized = {
    401, "unauthorized", "this address needs a token, and the request has none or another one",
    "send `Authorization: Bearer TOKEN` with the content of admin.token_file (shuntctl: --token-file or SHUNT_TOKEN)"};
static const struct admin_fault strange_host = {
    403, "host_refused", "the Host field names neither an address, nor localhost, nor the host of admin.address",
    "use the address itself, such as http://127.0.0.1:9901, or configure admin.token_file"};
static const struct admin_fault strange_origin = {403, "origin_refused",
                                                  "a web page of another origin asked for a change",
                                                  "use shuntctl or a program that is not a browser"};

/* Time depends on the length of what was sent, never on how much of it is right. */
static bool token_equals(const char *sent, const char *token)
{
    size_t sent_length = strlen(sent), length = strlen(token);
    unsigned char difference = sent_length != length;
    for (size_t i = 0; i < sent_length; i++)
        difference |= (unsigned char)((unsigned char)sent[i] ^ (unsigned char)token[length > 0 ? i % length : 0]);
    return difference == 0;
}

static bool knows_token(const struct admin_visitor *visitor)
{
    static const char scheme[] = "Bearer ";
    const char *sent = visitor->authorization;
    if (sent == NULL || strncasecmp(sent, scheme, sizeof(scheme) - 1) != 0)
        return false;
    sent += sizeof(scheme) - 1;
    sent += strspn(sent, " ");
    return token_equals(sent, visitor->token);
}

/* Copies the host of "host", "host:port" or "[v6]:port"; false when it is none of these. */
static bool host_part(const char *text, char *host, size_t room)
{
    size_t length;
    if (text[0] == '[') {
        const char *end = strchr(text, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':'))
            return false;
        text++;
        length = (size_t)(end - text);
    } else {
        length = strcspn(text, ":");
    }
    if (length == 0 || length >= room)
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    return true;
}

static bool is_address(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool host_is_ours(const struct admin_visitor *visitor)
{
    char host[256];
    if (visitor->host == NULL) /* HTTP/1.0 without one: no browser does that */
        return true;
    if (!host_part(visitor->host, host, sizeof(host)))
        return false;
    return is_address(host) || strcasecmp(host, "localhost") == 0 ||
           (visitor->configured_host != NULL && strcasecmp(host, visitor->configured_host) == 0);
}

static bool origin_is_ours(const struct admin_visitor *visitor)
{
    if (visitor->fetch_site != NULL && strcasecmp(visitor->fetch_site, "same-origin") != 0 &&
        strcasecmp(visitor->fetch_site, "none") != 0)
        return false;
    if (visitor->origin == NULL)
        return true;
    const char *authority = strstr(visitor->origin, "://");
    return authority != NULL && visitor->host != NULL && strcasecmp(authority + 3, visitor->host) == 0;
}

bool admin_guard_admits(const struct admin_visitor *visitor, struct admin_fault *fault)
{
    if (visitor->access == ADMIN_OPEN)
        return true;
    if (visitor->token != NULL) {
        if (visitor->access == ADMIN_SECRET && !knows_token(visitor)) {
            *fault = unauthorized;
            return false;
        }
    } else if (!host_is_ours(visitor)) {
        *fault = strange_host;
        return false;
    }
    if (visitor->changes && !origin_is_ours(visitor)) {
        *fault = strange_origin;
        return false;
    }
    return true;
}
