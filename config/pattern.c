/*
 * Patterns: reading them, and proving that a later route can never be reached.
 *
 * Used by the loader only; the router has its own walk over the segments. A proof looks at two routes at a time: a
 * route that several earlier ones cover together is not found, and never is a reachable one refused.
 */
#include "config/pattern.h"

#include <arpa/inet.h>
#include <string.h>

/* ---- paths ---- */

/* Bytes a request's path can hold (RFC 3986 section 3.3), and those seen in practice that shunt forwards as they are.
 */
static bool is_path_byte(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte > 0x20 && byte < 0x7f && c != '?' && c != '#';
}

static const char *path_fault(const char *text)
{
    if (text[0] != '/')
        return "a path starts with /";
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '?')
            return "a query is matched with the key query, not in the path";
        if (!is_path_byte(*at))
            return "a path holds no blanks, control bytes, # or bytes beyond ASCII (write them percent-encoded)";
    }
    return NULL;
}

static const char *read_segment(struct config_segment *segment, const char *text, size_t len, bool last)
{
    if (len == 2 && memcmp(text, "**", 2) == 0) {
        segment->kind = SEGMENT_REST;
        return last ? NULL : "** stands for the rest, so it can only be the last segment";
    }
    if (len == 1 && text[0] == '*') {
        segment->kind = SEGMENT_ANY;
        return NULL;
    }
    *segment = (struct config_segment){.kind = SEGMENT_LITERAL, .text = text, .len = (uint32_t)len};
    if (memchr(text, '*', len) != NULL)
        return "* stands for a whole segment, not for a part of one";
    return NULL;
}

struct config_path *pattern_path(struct config_arena *arena, const char *text, const char **why)
{
    *why = path_fault(text);
    if (*why != NULL)
        return NULL;
    size_t count = 0;
    for (const char *at = text; *at != '\0'; at++)
        count += *at == '/' ? 1 : 0;
    if (count > PATTERN_SEGMENTS) {
        *why = "a path pattern may have at most 64 segments";
        return NULL;
    }
    struct config_path *path = config_arena_take(arena, 1, sizeof(*path));
    char *copy = config_arena_text(arena, text, strlen(text));
    if (path == NULL || copy == NULL)
        return NULL;
    path->text = copy;
    path->segments = config_arena_take(arena, count, sizeof(*path->segments));
    if (path->segments == NULL)
        return NULL;
    for (const char *at = copy; *at == '/' && *why == NULL;) {
        size_t len = strcspn(at + 1, "/");
        bool last = at[1 + len] == '\0';
        *why = read_segment(&path->segments[path->segment_count++], at + 1, len, last);
        at += 1 + len;
    }
    return *why == NULL ? path : NULL;
}

/* ---- templates ---- */

#define TEMPLATE_NAME "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"

static const char *template_segment_fault(const char *text, size_t len, bool last)
{
    if (len == 0)
        return "a template has no empty segments: those of a request do not count";
    if (len == 2 && memcmp(text, "**", 2) == 0)
        return last ? NULL : "** stands for the rest, so it can only be the last segment";
    if (memchr(text, ';', len) != NULL)
        return "a template has no ; as parameters of a segment do not count";
    if (memchr(text, '*', len) != NULL)
        return "a template has no *; write {name} for a segment, or ** at the end for the rest";
    if (memchr(text, '{', len) == NULL && memchr(text, '}', len) == NULL)
        return NULL;
    bool whole = len > 2 && text[0] == '{' && text[len - 1] == '}' && strspn(text + 1, TEMPLATE_NAME) == len - 2;
    return whole ? NULL : "{name} stands for a whole segment, and its name has letters, digits, _, . and -";
}

const char *pattern_template_fault(const char *text)
{
    const char *wrong = path_fault(text);
    size_t segments = 0;
    if (wrong == NULL && strlen(text) > PATTERN_TEMPLATE_BYTES)
        wrong = "a template may have at most 160 bytes";
    for (const char *at = text; *at == '/' && text[1] != '\0' && wrong == NULL;) {
        size_t len = strcspn(at + 1, "/");
        if (++segments > PATTERN_SEGMENTS)
            return "a template may have at most 64 segments";
        wrong = template_segment_fault(at + 1, len, at[1 + len] == '\0');
        at += 1 + len;
    }
    return wrong;
}

/* ---- covering ---- */

/* A "*" is not said to match an empty segment, as the router may see that otherwise: nothing is proved there. */
static bool segment_covers(const struct config_segment *wide, const struct config_segment *narrow)
{
    if (narrow->kind == SEGMENT_REST)
        return false;
    if (wide->kind == SEGMENT_ANY)
        return narrow->kind == SEGMENT_ANY || narrow->len > 0;
    return narrow->kind == SEGMENT_LITERAL && narrow->len == wide->len &&
           memcmp(narrow->text, wide->text, wide->len) == 0;
}

static bool path_covers(const struct config_path *wide, const struct config_path *narrow)
{
    if (wide == NULL)
        return true;
    if (narrow == NULL)
        return false; /* also "OPTIONS *", which no pattern matches */
    for (uint32_t i = 0; i < wide->segment_count; i++) {
        if (wide->segments[i].kind == SEGMENT_REST)
            return true;
        if (i == narrow->segment_count || !segment_covers(&wide->segments[i], &narrow->segments[i]))
            return false;
    }
    return narrow->segment_count == wide->segment_count;
}

/* ---- hosts ---- */

#define HOST_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789_-"

static bool is_name(const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len > 253)
        return false;
    while (*text != '\0') {
        size_t label = strspn(text, HOST_LETTERS);
        if (label == 0 || label > 63 || (text[label] != '\0' && (text[label] != '.' || text[label + 1] == '\0')))
            return false;
        text += label + (text[label] == '.' ? 1 : 0);
    }
    return true;
}

static bool is_bracketed_ipv6(const char *text)
{
    char inner[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    size_t len = strlen(text);
    if (len < 4 || text[0] != '[' || text[len - 1] != ']' || len - 2 >= sizeof(inner))
        return false;
    memcpy(inner, text + 1, len - 2);
    inner[len - 2] = '\0';
    return inet_pton(AF_INET6, inner, bytes) == 1;
}

const char *pattern_host_fault(const char *text)
{
    if (text[0] == '[')
        return is_bracketed_ipv6(text) ? NULL
                                       : "this is no IPv6 address in [ ], and a host is matched without its port";
    if (strchr(text, ':') != NULL)
        return "a host is matched without its port";
    if (strncmp(text, "*.", 2) == 0)
        text += 2;
    if (strchr(text, '*') != NULL)
        return "* can only stand for whole labels at the front";
    return is_name(text) ? NULL : "this is no host name";
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    size_t end_len = strlen(end);
    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

/* "*.example.com" takes hosts that end in ".example.com", and so every narrower wildcard below it. */
static bool host_covers(const char *wide, const char *narrow)
{
    if (wide == NULL)
        return true;
    if (narrow == NULL)
        return false;
    return strcmp(wide, narrow) == 0 || (wide[0] == '*' && ends_with(narrow, wide + 1));
}

/* ---- methods and fields ---- */

static bool has_text(const char *const *texts, uint32_t count, const char *wanted)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(texts[i], wanted) == 0)
            return true;
    }
    return false;
}

static bool all_in(const char *const *wide, uint32_t wide_count, const char *const *narrow, uint32_t narrow_count)
{
    for (uint32_t i = 0; i < narrow_count; i++) {
        if (!has_text(wide, wide_count, narrow[i]))
            return false;
    }
    return true;
}

static bool methods_cover(const struct config_match *wide, const struct config_match *narrow)
{
    if (wide->method_count == 0)
        return true;
    return narrow->method_count > 0 && all_in(wide->methods, wide->method_count, narrow->methods, narrow->method_count);
}

/* Whoever meets `narrow` meets `wide`: the same field, and no value that `wide` would not take. */
static bool field_covers(const struct config_field_match *wide, const struct config_field_match *narrow)
{
    if (strcmp(wide->name, narrow->name) != 0)
        return false;
    if (wide->value_count == 0)
        return true;
    return narrow->value_count > 0 && all_in(wide->values, wide->value_count, narrow->values, narrow->value_count);
}

/* Each of `wide` must be implied by one of `narrow`. */
static bool fields_cover(const struct config_field_match *wide, uint32_t wide_count,
                         const struct config_field_match *narrow, uint32_t narrow_count)
{
    for (uint32_t i = 0; i < wide_count; i++) {
        uint32_t j = 0;
        while (j < narrow_count && !field_covers(&wide[i], &narrow[j]))
            j++;
        if (j == narrow_count)
            return false;
    }
    return true;
}

bool pattern_covers(const struct config_match *wide, const struct config_match *narrow)
{
    return host_covers(wide->host, narrow->host) && path_covers(wide->path, narrow->path) &&
           methods_cover(wide, narrow) &&
           fields_cover(wide->headers, wide->header_count, narrow->headers, narrow->header_count) &&
           fields_cover(wide->query, wide->query_count, narrow->query, narrow->query_count);
}
