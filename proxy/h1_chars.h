/*
 * Which bytes may stand where in a message head, and the loops that run over them. Private to the HTTP/1 codec.
 */
#ifndef SHUNT_PROXY_H1_CHARS_H
#define SHUNT_PROXY_H1_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "router/request.h"

enum h1_class {
    H1_TOKEN = 1,    /* tchar, RFC 9110 section 5.6.2 */
    H1_TARGET = 2,   /* of a request target, see h1_target.c */
    H1_REG_NAME = 4, /* of a host name: unreserved and sub-delims of RFC 3986 without "," */
    H1_HEX = 8,
    H1_DIGIT = 16,
    H1_QUOTED = 32, /* of a quoted string, but for the backslash; RFC 9110 section 5.6.4 */
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

/*
 * Most bytes of a head stand in a name, a value or the target. These three loops run over them, 16 at a time where the
 * machine has SSE2, and stop at the first byte that needs a closer look, or at `end`; they never read behind it.
 */

/* Behind the letters, digits, "-" and other token bytes of a method or name. */
static inline const char *h1_skip_token(const char *at, const char *end);
/* Behind the bytes of a request target. */
static inline const char *h1_skip_target(const char *at, const char *end);
/* At a byte below 0x20 or DEL. */
static inline const char *h1_find_control(const char *at, const char *end);

#ifdef __SSE2__
/* A bit for each byte of the 16 that is not a letter or "-". */
static inline unsigned h1_mark_unusual(const char *at)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i from_a = _mm_sub_epi8(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i letters = _mm_cmpeq_epi8(_mm_min_epu8(from_a, _mm_set1_epi8(25)), from_a);
    __m128i usual = _mm_or_si128(letters, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')));
    return (unsigned)_mm_movemask_epi8(usual) ^ 0xffffu;
}

/* A bit for each byte of the 16 that is at most `most`, or DEL, or `also`. */
static inline unsigned h1_mark_low(const char *at, char most, char also)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(most)), bytes);
    __m128i other =
        _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)), _mm_cmpeq_epi8(bytes, _mm_set1_epi8(also)));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, other));
}
#endif

static inline const char *h1_skip_token(const char *at, const char *end)
{
#ifdef __SSE2__
    while (end - at >= 16) {
        unsigned marks = h1_mark_unusual(at);
        if (marks == 0) {
            at += 16;
            continue;
        }
        at += __builtin_ctz(marks);
        if (!h1_is(*at, H1_TOKEN))
            return at;
        at++;
    }
#endif
    return h1_skip(at, end, H1_TOKEN);
}

static inline const char *h1_skip_target(const char *at, const char *end)
{
#ifdef __SSE2__
    for (; end - at >= 16; at += 16) {
        unsigned marks = h1_mark_low(at, 0x20, '#');
        if (marks != 0)
            return at + __builtin_ctz(marks);
    }
#endif
    return h1_skip(at, end, H1_TARGET);
}

static inline const char *h1_find_control(const char *at, const char *end)
{
#ifdef __SSE2__
    for (; end - at >= 16; at += 16) {
        unsigned marks = h1_mark_low(at, 0x1f, 0x7f);
        if (marks != 0)
            return at + __builtin_ctz(marks);
    }
#endif
    while (at < end && (uint8_t)*at >= 0x20 && *at != 0x7f)
        at++;
    return at;
}

/* The first control byte other than HTAB, or `end`: field values and reason phrases end there (RFC 9110 section 5.5).
 */
static inline const char *h1_skip_text(const char *at, const char *end)
{
    at = h1_find_control(at, end);
    while (at < end && *at == '\t')
        at = h1_find_control(at + 1, end);
    return at;
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
