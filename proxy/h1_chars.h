/*
 * Which bytes may stand where in a message head, and the loops that run over them. Private to the HTTP/1 codec.
 */
#ifndef SHUNT_PROXY_H1_CHARS_H
#define SHUNT_PROXY_H1_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "router/request.h"

enum h1_class {
    H1_TOKEN = 1,     /* tchar, RFC 9110 section 5.6.2 */
    H1_TARGET = 2,    /* of a request target, see h1_target.c */
    H1_REG_NAME = 4,  /* of a host name: unreserved and sub-delims of RFC 3986 without "," */
    H1_HEX = 8,
    H1_DIGIT = 16,
    H1_QUOTED = 32,   /* of a quoted string, but for the backslash; RFC 9110 section 5.6.4 */
};

extern const uint8_t h1_classes[256];

static inline bool h1_is(char c, unsigned class)
{
    return (h1_classes[(uint8_t)c] & class) != 0;
}

static inline bool h1_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The first byte at or behind `at` that is not of `class`, or `end`. */
static inline const char *h1_skip(const char *at, const char *end, unsigned class)
{
    while (at < end && h1_is(*at, class))
        at++;
    return at;
}

static inline const char *h1_skip_blanks(const char *at, const char *end)
{
    while (at < end && h1_is_blank(*at))
        at++;
    return at;
}

static inline bool h1_is_text(char c)
{
    return ((uint8_t)c >= 0x20 && c != 0x7f) || c == '\t';
}

/* Marks, in its top bit, every byte of a word that is a control other than HTAB, or perhaps is one: bytes behind the first
 * marked one may be marked wrongly, the first never is. HTAB is marked too. */
static inline uint64_t h1_mark_controls(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u;
    return ((word - ones * 0x20) | ((word ^ ones * 0x7f) - ones)) & ~word & ones * 0x80;
}

/* The first control byte other than HTAB, or `end`: field values and reason phrases end there (RFC 9110 section 5.5). Eight
 * bytes at a time. */
static inline const char *h1_skip_text(const char *at, const char *end)
{
    for (;;) {
        while (end - at >= 8) {
            uint64_t word;
            memcpy(&word, at, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
            word = __builtin_bswap64(word);
#endif
            uint64_t marks = h1_mark_controls(word);
            if (marks != 0) {
                at += __builtin_ctzll(marks) / 8;
                break;
            }
            at += 8;
        }
        while (at < end && h1_is_text(*at)) {
            at++;
            if (end - at >= 8)
                break;
        }
        if (at == end || !h1_is_text(*at))
            return at;
    }
}

/* A comma-separated list is walked with this: the next element without blanks, empty ones too. False at the end. */
struct h1_list {
    const char *at, *end;
    bool done;
};

static inline struct h1_list h1_list_of(struct text text)
{
    return (struct h1_list){text.at, text.at + text.len, false};
}

static inline bool h1_list_next(struct h1_list *list, struct text *element)
{
    if (list->done)
        return false;
    size_t left = (size_t)(list->end - list->at);
    const char *comma = left > 0 ? memchr(list->at, ',', left) : NULL;
    const char *start = h1_skip_blanks(list->at, list->end);
    const char *stop = comma != NULL ? comma : list->end;
    while (stop > start && h1_is_blank(stop[-1]))
        stop--;
    *element = (struct text){start, stop > start ? (uint32_t)(stop - start) : 0};
    if (comma == NULL)
        list->done = true;
    else
        list->at = comma + 1;
    return true;
}

static inline bool h1_is_token(struct text text)
{
    const char *end = text.at + text.len;
    return text.len > 0 && h1_skip(text.at, end, H1_TOKEN) == end;
}

#endif
