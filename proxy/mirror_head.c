/*
 * Heads of copies: see mirror_head.h. Worker thread, called by mirror.c once for each copy. A pure function of bytes:
 * where the file changes nothing it costs one memcpy and one line, else it goes through the lines once.
 */
#include "proxy/mirror_head.h"

#include <string.h>
#include <strings.h>

#include "proxy/text.h"

static const char shadow_line[] = "X-Shunt-Shadow: 1\r\n\r\n";

enum {
    EMPTY_LINE = 2,
    LINE_EXTRA = 4
}; /* ": " and CRLF */

struct writer {
    char *at;
};

static void put(struct writer *out, const char *at, size_t len)
{
    memcpy(out->at, at, len);
    out->at += len;
}

static void put_line(struct writer *out, const char *name, const char *value)
{
    put(out, name, strlen(name));
    put(out, ": ", 2);
    put(out, value, strlen(value));
    put(out, "\r\n", 2);
}

static struct text text_of_string(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

bool mirror_head_may_edit(const char *name)
{
    switch (request_field_id(text_of_string(name))) {
    case FIELD_CONNECTION:
    case FIELD_CONTENT_LENGTH:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_HOST:
    case FIELD_EXPECT:
    case FIELD_UPGRADE:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TE:
    case FIELD_TRAILER:
    case FIELD_SHUNT_SHADOW:
        return false;
    default:
        return name[0] != '\0' && strpbrk(name, ":\r\n \t") == NULL;
    }
}

/* The file is checked when it is read; a line break that came through all the same must not split a request. */
static bool is_in_force(const struct config_header_edit *edit)
{
    return mirror_head_may_edit(edit->name) && (edit->value == NULL || strpbrk(edit->value, "\r\n") == NULL);
}

static void put_host(struct writer *out, const struct mirror_head *head)
{
    put(out, "Host: ", 6);
    if (head->shadow->host == SHADOW_HOST_BACKEND)
        out->at += address_host_print(&head->backend->address, out->at);
    else
        put(out, head->shadow->host_name, strlen(head->shadow->host_name));
    put(out, "\r\n", 2);
}

static size_t host_bound(const struct mirror_head *head)
{
    switch (head->shadow->host) {
    case SHADOW_HOST_ORIGINAL:
        break;
    case SHADOW_HOST_BACKEND:
        return address_host_bound(&head->backend->address);
    case SHADOW_HOST_FIXED:
        return strlen(head->shadow->host_name);
    }
    return 0;
}

static bool has_name(struct text line, const char *name, size_t len)
{
    return line.len > len && line.at[len] == ':' && strncasecmp(line.at, name, len) == 0;
}

/* Takes the next line, CRLF included, off the text. */
static struct text next_line(struct text *rest)
{
    const char *end = memchr(rest->at, '\n', rest->len);
    struct text line = {rest->at, end != NULL ? (uint32_t)(end + 1 - rest->at) : rest->len};
    rest->at += line.len;
    rest->len -= line.len;
    return line;
}

/* Removed, or replaced by a line that stands at the end. */
static bool is_dropped(const struct config_shadow *shadow, struct text line)
{
    for (uint32_t i = 0; i < shadow->header_count; i++) {
        const struct config_header_edit *edit = &shadow->headers[i];
        if (edit->kind != HEADER_EDIT_ADD && has_name(line, edit->name, strlen(edit->name)) && is_in_force(edit))
            return true;
    }
    return false;
}

static void write_edited(struct writer *out, const struct mirror_head *head, struct text lines)
{
    bool other_host = head->shadow->host != SHADOW_HOST_ORIGINAL;
    struct text line = next_line(&lines); /* the request line */
    put(out, line.at, line.len);
    while (lines.len > 0) {
        line = next_line(&lines);
        if (other_host && has_name(line, "Host", 4))
            put_host(out, head);
        else if (!is_dropped(head->shadow, line))
            put(out, line.at, line.len);
    }
    for (uint32_t i = 0; i < head->shadow->header_count; i++) {
        const struct config_header_edit *edit = &head->shadow->headers[i];
        if (edit->kind != HEADER_EDIT_REMOVE && is_in_force(edit))
            put_line(out, edit->name, edit->value);
    }
}

size_t mirror_head_bound(const struct mirror_head *head)
{
    size_t bound = head->original.len + sizeof(shadow_line) + host_bound(head);
    for (uint32_t i = 0; i < head->shadow->header_count; i++) {
        const struct config_header_edit *edit = &head->shadow->headers[i];
        if (edit->kind != HEADER_EDIT_REMOVE)
            bound += strlen(edit->name) + strlen(edit->value) + LINE_EXTRA;
    }
    return bound;
}

size_t mirror_head_write(char *to, const struct mirror_head *head)
{
    struct writer out = {to};
    struct text lines = {head->original.at, head->original.len - EMPTY_LINE};
    if (head->shadow->header_count == 0 && head->shadow->host == SHADOW_HOST_ORIGINAL)
        put(&out, lines.at, lines.len);
    else
        write_edited(&out, head, lines);
    put(&out, shadow_line, sizeof(shadow_line) - 1);
    return (size_t)(out.at - to);
}
