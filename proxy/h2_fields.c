/*
 * Heads as fields of HTTP/2: see h2_fields.h. Worker thread. Works on a copy of the text, whose names it may make
 * small.
 */
#include "proxy/h2_fields.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/h1_field.h"
#include "router/text.h"

enum {
    FIRST_FIELDS = 32,
    STATUS_DIGITS = 3
};

static bool make_room(struct h2_fields *fields, size_t text, size_t count)
{
    if (fields->text_room < text) {
        char *grown = realloc(fields->text, text * 2);
        if (grown == NULL)
            return false;
        fields->text = grown;
        fields->text_room = text * 2;
    }
    if (fields->room < count) {
        nghttp2_nv *grown = reallocarray(fields->at, count * 2, sizeof(*grown));
        if (grown == NULL)
            return false;
        fields->at = grown;
        fields->room = count * 2;
    }
    return true;
}

static void add(struct h2_fields *fields, const char *name, size_t name_len, const char *value, size_t value_len)
{
    /* nghttp2 copies both while it is given them. */
    fields->at[fields->count++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name,
        .namelen = name_len,
        .value = (uint8_t *)(uintptr_t)value,
        .valuelen = value_len,
        .flags = NGHTTP2_NV_FLAG_NONE,
    };
}

/* A bound for the fields of a text: its lines, and a cookie's crumbs. */
static size_t count_bound(struct text text)
{
    size_t count = 8; /* pseudo-header fields */
    for (uint32_t i = 0; i < text.len; i++)
        count += text.at[i] == '\n' || text.at[i] == ';';
    return count;
}

char *h2_fields_room(struct h2_fields *fields, size_t len)
{
    return make_room(fields, len + STATUS_DIGITS + 1, 0) ? fields->text : NULL;
}

static bool begin(struct h2_fields *fields, struct text text)
{
    size_t count = count_bound(text);
    if (!make_room(fields, text.len + STATUS_DIGITS + 1, count > FIRST_FIELDS ? count : FIRST_FIELDS))
        return false;
    fields->count = 0;
    fields->websocket = false;
    fields->websocket_key = (struct text){NULL, 0};
    if (text.len > 0 && text.at != fields->text)
        memcpy(fields->text, text.at, text.len);
    fields->text_len = text.len;
    return true;
}

static void lower(char *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (char)(at[i] >= 'A' && at[i] <= 'Z' ? at[i] + ('a' - 'A') : at[i]);
}

struct line {
    char *name;
    uint32_t name_len;
    const char *value;
    uint32_t value_len;
    enum field_id id;
};

/* The field line at *at, its name made small, and *at behind it. False at the empty line or the end. */
static bool next_line(char **at, const char *end, struct line *line)
{
    char *start = *at;
    char *lf = start < end ? memchr(start, '\n', (size_t)(end - start)) : NULL;
    char *colon = lf != NULL ? memchr(start, ':', (size_t)(lf - start)) : NULL;
    if (colon == NULL)
        return false;
    *at = lf + 1;
    const char *value = colon + 1, *stop = lf - 1;
    while (value < stop && (*value == ' ' || *value == '\t'))
        value++;
    while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    line->name = start;
    line->name_len = (uint32_t)(colon - start);
    line->value = value;
    line->value_len = (uint32_t)(stop - value);
    line->id = h1_field_id(start, line->name_len);
    lower(start, line->name_len);
    return true;
}

static bool says_trailers(const struct line *line)
{
    return line->id == FIELD_TE && text_equals_fold((struct text){line->value, line->value_len}, "trailers", 8);
}

/* Section 8.2.2: what is for one connection only has no place here, but "TE: trailers". */
static bool is_forwarded(const struct line *line)
{
    return !h1_in_set(line->id, H1_HOP_BY_HOP) || says_trailers(line);
}

static void add_crumbs(struct h2_fields *fields, const struct line *line)
{
    const char *at = line->value, *end = at + line->value_len;
    while (at < end) {
        const char *semicolon = memchr(at, ';', (size_t)(end - at));
        const char *stop = semicolon != NULL ? semicolon : end;
        if (stop > at)
            add(fields, line->name, line->name_len, at, (size_t)(stop - at));
        at = stop < end ? stop + 1 : end;
        while (at < end && *at == ' ')
            at++;
    }
}

/* The fields of the lines from `at` on. `host` of a request: where its value is to go; NULL: it stays a field. */
static void add_lines(struct h2_fields *fields, char *at, const char *end, struct text *host)
{
    struct line line;
    while (next_line(&at, end, &line)) {
        if (line.id == FIELD_HOST && host != NULL)
            *host = (struct text){line.value, line.value_len};
        else if (line.id == FIELD_COOKIE && host != NULL)
            add_crumbs(fields, &line);
        else if (is_forwarded(&line))
            add(fields, line.name, line.name_len, line.value, line.value_len);
    }
}

#define PSEUDO(fields, name, value) add(fields, name, sizeof(name) - 1, (value).at, (value).len)

/* What asks for an upgrade to WebSocket, but for the fields that are for one connection only (RFC 8441 section 5). */
static bool take_websocket(struct h2_fields *fields, char *at, const char *end)
{
    struct line line;
    bool upgrade = false;
    while (next_line(&at, end, &line)) {
        struct text value = {line.value, line.value_len};
        if (line.id == FIELD_UPGRADE && text_equals_fold(value, "websocket", 9))
            upgrade = true;
        else if (text_equals((struct text){line.name, line.name_len}, "sec-websocket-key", 17))
            fields->websocket_key = value;
    }
    return upgrade;
}

static void drop_websocket_key(struct h2_fields *fields)
{
    size_t kept = 0;
    for (size_t i = 0; i < fields->count; i++)
        if (fields->at[i].value != (const uint8_t *)fields->websocket_key.at)
            fields->at[kept++] = fields->at[i];
    fields->count = kept;
}

bool h2_fields_request(struct h2_fields *fields, struct text head, bool tls)
{
    if (!begin(fields, head))
        return false;
    char *at = fields->text;
    const char *end = at + fields->text_len;
    char *space = memchr(at, ' ', (size_t)(end - at));
    char *target = space + 1;
    char *behind = memchr(target, ' ', (size_t)(end - target));
    char *lines = (char *)memchr(behind, '\n', (size_t)(end - behind)) + 1;
    struct text method = {at, (uint32_t)(space - at)};
    struct text path = {target, (uint32_t)(behind - target)};
    struct text scheme = {tls ? "https" : "http", tls ? 5 : 4};
    struct text host = {NULL, 0};
    bool websocket = fields->websocket = take_websocket(fields, lines, end);
    if (websocket)
        method = (struct text){"CONNECT", 7};
    PSEUDO(fields, ":method", method);
    PSEUDO(fields, ":scheme", scheme);
    PSEUDO(fields, ":path", path);
    size_t authority = fields->count++; /* its place; pseudo-header fields come first */
    size_t first = fields->count;
    if (websocket)
        add(fields, ":protocol", 9, "websocket", 9);
    add_lines(fields, lines, end, &host);
    fields->at[authority] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t) ":authority",
        .namelen = 10,
        .value = (uint8_t *)(uintptr_t)host.at,
        .valuelen = host.len,
        .flags = NGHTTP2_NV_FLAG_NONE,
    };
    if (host.len == 0) { /* as "OPTIONS *" may be: none at all, instead of an empty one (section 8.3.1) */
        memmove(&fields->at[authority], &fields->at[first], (fields->count - first) * sizeof(fields->at[0]));
        fields->count--;
    }
    if (websocket)
        drop_websocket_key(fields);
    return true;
}

bool h2_fields_response(struct h2_fields *fields, struct text head, unsigned status)
{
    if (!begin(fields, head))
        return false;
    char *at = fields->text;
    const char *end = at + fields->text_len;
    char *lines = (char *)memchr(at, '\n', (size_t)(end - at)) + 1;
    char *digits = fields->text + fields->text_len;
    digits[0] = (char)('0' + status / 100 % 10);
    digits[1] = (char)('0' + status / 10 % 10);
    digits[2] = (char)('0' + status % 10);
    add(fields, ":status", 7, digits, STATUS_DIGITS);
    add_lines(fields, lines, end, NULL);
    return true;
}

bool h2_fields_trailers(struct h2_fields *fields, struct text lines)
{
    if (!begin(fields, lines))
        return false;
    add_lines(fields, fields->text, fields->text + fields->text_len, NULL);
    return true;
}

void h2_fields_drop(struct h2_fields *fields, const char *name)
{
    size_t kept = 0, len = strlen(name);
    for (size_t i = 0; i < fields->count; i++)
        if (fields->at[i].namelen != len || memcmp(fields->at[i].name, name, len) != 0)
            fields->at[kept++] = fields->at[i];
    fields->count = kept;
}

void h2_fields_done(struct h2_fields *fields)
{
    free(fields->at);
    free(fields->text);
    *fields = (struct h2_fields){0};
}
