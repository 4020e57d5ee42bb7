/*
 * Redaction: the one door through which anything of a request or an answer reaches the report.
 *
 * Values leave as their type and length only, unless the route says `full`; names on the deny-lists below never leave
 * with a value. Whatever leaves is cleaned first: a response must not be able to write escape sequences to the terminal
 * of whoever reads the report. Pure functions; used on the compare thread.
 */
#include "shadow/redact.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Exact names of header fields that carry credentials or sessions. */
static const char *const secret_headers[] = {
    "authorization",      "proxy-authorization", "cookie",
    "set-cookie",         "set-cookie2",         "www-authenticate",
    "proxy-authenticate", "authentication-info", "proxy-authentication-info",
    "x-csrf-token",       "x-xsrf-token",
};

/* A header, member or parameter whose name contains one of these holds a secret, or may. */
static const char *const secret_parts[] = {
    "password",   "passwd",  "passphrase", "secret",        "token",     "api-key",
    "api_key",    "apikey",  "access-key", "access_key",    "accesskey", "private",
    "credential", "session", "cookie",     "authorization", "signature", "bearer",
};

/* The same, for the whole name only: as a part they stand in innocent words ("className"). */
static const char *const secret_words[] = {"jwt", "otp", "cvv", "cvc", "ssn", "pin", "pwd", "auth", "iban"};

enum {
    DATA_NAME_LENGTH = 64,
    DATA_NAME_DIGITS = 6,
    DATA_SEGMENT_LENGTH = 40
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* Length of the valid, printable UTF-8 character at `at` (RFC 3629), or 0. */
static size_t printable_length(const unsigned char *at, size_t len)
{
    if (at[0] >= 0x20 && at[0] < 0x7f)
        return 1;
    if (at[0] < 0xc2)
        return 0;
    size_t need = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
    if (need == 0 || need > len)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if (need == 2 && at[0] == 0xc2 && at[1] < 0xa0) /* C1 control characters */
        return 0;
    if (need == 3) {
        unsigned code = (at[0] & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
        bool direction = (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
                         (code >= 0x2066 && code <= 0x2069); /* would reorder or break the reader's line */
        if (code < 0x800 || (code >= 0xd800 && code <= 0xdfff) || direction)
            return 0;
    }
    if (need == 4 && ((at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f)))
        return 0;
    return need;
}

size_t redact_clean(char *to, size_t room, const char *at, size_t len)
{
    static const char cut[] = "...";
    const unsigned char *in = (const unsigned char *)at;
    size_t out = 0, fits_with_cut = 0;

    for (size_t i = 0; i < len;) {
        size_t n = printable_length(in + i, len - i);
        size_t take = n == 0 ? 1 : n;
        if (out + take + 1 > room) {
            if (room < sizeof(cut))
                break;
            memcpy(to + fits_with_cut, cut, sizeof(cut));
            return fits_with_cut + sizeof(cut) - 1;
        }
        if (n == 0)
            to[out] = '?';
        else
            memcpy(to + out, in + i, n);
        i += take;
        out += take;
        if (out + sizeof(cut) <= room)
            fits_with_cut = out;
    }
    to[out] = '\0';
    return out;
}

static bool is_denied(const struct veil *veil, const char *name, size_t len)
{
    for (uint32_t i = 0; i < veil->deny_count; i++)
        if (strlen(veil->deny[i]) == len && strncasecmp(name, veil->deny[i], len) == 0)
            return true;
    return false;
}

static bool is_secret(const struct veil *veil, const char *name, size_t len)
{
    if (is_denied(veil, name, len))
        return true;
    for (size_t i = 0; i < COUNT(secret_words); i++)
        if (strlen(secret_words[i]) == len && strncasecmp(name, secret_words[i], len) == 0)
            return true;
    for (size_t p = 0; p < COUNT(secret_parts); p++) {
        size_t part = strlen(secret_parts[p]);
        for (size_t i = 0; i + part <= len; i++)
            if (strncasecmp(name + i, secret_parts[p], part) == 0)
                return true;
    }
    return false;
}

bool redact_is_secret_header(const struct veil *veil, const char *name, size_t len)
{
    for (size_t i = 0; i < COUNT(secret_headers); i++)
        if (strlen(secret_headers[i]) == len && strncasecmp(name, secret_headers[i], len) == 0)
            return true;
    return is_secret(veil, name, len);
}

bool redact_is_secret_name(const struct veil *veil, const char *name, size_t len)
{
    return is_secret(veil, name, len);
}

bool redact_is_data_name(const char *name, size_t len)
{
    size_t digits = 0;
    if (len > DATA_NAME_LENGTH)
        return true;
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '@')
            return true;
        digits += isdigit((unsigned char)name[i]) ? 1 : 0;
    }
    return digits >= DATA_NAME_DIGITS || (len > 0 && digits == len);
}

void redact_value(char *to, size_t room, const struct veil *veil, bool secret, const char *type, int64_t count,
                  const char *at, size_t len)
{
    if (!secret && !veil_hides(veil))
        redact_clean(to, room, at, len);
    else if (count == NO_COUNT)
        snprintf(to, room, "<%s>", type);
    else
        snprintf(to, room, "<%s %" PRId64 ">", type, count);
}

/* ---- targets ---- */

struct writer {
    char *to;
    size_t room, len;
};

static void write_clean(struct writer *w, const char *at, size_t len)
{
    if (w->len + 1 < w->room)
        w->len += redact_clean(w->to + w->len, w->room - w->len, at, len);
}

static void write_hint(struct writer *w, const char *what, size_t len)
{
    char hint[48];
    int n = snprintf(hint, sizeof(hint), "<%s%zu>", what, len);
    if (n > 0)
        write_clean(w, hint, (size_t)n);
}

static void write_path(struct writer *w, const char *path, size_t len)
{
    for (size_t i = 0; i < len;) {
        const char *slash = memchr(path + i, '/', len - i);
        size_t segment = slash == NULL ? len - i : (size_t)(slash - (path + i));
        if (segment > DATA_SEGMENT_LENGTH || memchr(path + i, '@', segment) != NULL)
            write_hint(w, "", segment);
        else
            write_clean(w, path + i, segment);
        if (slash != NULL)
            write_clean(w, "/", 1);
        i += segment + 1;
    }
}

static void write_query(struct writer *w, const struct veil *veil, const char *query)
{
    bool redact = veil_hides(veil);
    while (*query != '\0') {
        size_t len = strcspn(query, "&");
        size_t name = strcspn(query, "=&");
        bool hide = redact || redact_is_secret_name(veil, query, name);
        if (name < len && hide) {
            write_clean(w, query, name);
            write_clean(w, "=", 1);
            write_hint(w, "string ", len - name - 1);
        } else if (name == len && len > 0 && redact) { /* "?token-without-a-name" */
            write_hint(w, "string ", len);
        } else {
            write_clean(w, query, len);
        }
        query += len;
        if (*query == '&') {
            write_clean(w, "&", 1);
            query++;
        }
    }
}

void redact_target(char *to, size_t room, const struct veil *veil, const char *target)
{
    bool redact = veil_hides(veil);
    struct writer w = {.to = to, .room = room};
    size_t path = strcspn(target, "?");

    to[0] = '\0';
    if (redact)
        write_path(&w, target, path);
    else
        write_clean(&w, target, path);
    if (target[path] == '?') {
        write_clean(&w, "?", 1);
        write_query(&w, veil, target + path + 1);
    }
}
