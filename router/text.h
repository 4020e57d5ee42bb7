/*
 * Comparing borrowed text the way HTTP does: names and hosts without regard to case (ASCII only, RFC 9110 section 5.1).
 * Inline, eight bytes at a time, because it is asked for every field of every request.
 */
#ifndef SHUNT_ROUTER_TEXT_H
#define SHUNT_ROUTER_TEXT_H

#include <string.h>

#include "router/request.h"

static inline struct text text_of(const char *string)
{
    return (struct text){string, string != NULL ? (uint32_t)strlen(string) : 0};
}

/* A to Z become a to z in each of eight bytes; every other byte stays, those above 127 too. */
static inline uint64_t text_lower8(uint64_t bytes)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t low7 = bytes & (ones * 0x7f);
    uint64_t from_a = low7 + ones * (0x80 - 'A');
    uint64_t above_z = low7 + ones * (0x7f - 'Z');
    uint64_t upper = (from_a ^ above_z) & ~bytes & (ones * 0x80);
    return bytes | (upper >> 2);
}

static inline uint64_t text_load(const char *at, uint32_t len)
{
    uint64_t bytes = 0;
    memcpy(&bytes, at, len);
    return bytes;
}

/* `lower` is in lower case already. */
static inline bool text_equals_fold(struct text text, const char *lower, size_t len)
{
    if (text.len != len)
        return false;
    uint32_t i = 0;
    for (; i + 8 <= text.len; i += 8)
        if (text_lower8(text_load(text.at + i, 8)) != text_load(lower + i, 8))
            return false;
    if (i == text.len)
        return true;
    if (text.len >= 8) {
        i = text.len - 8;
        return text_lower8(text_load(text.at + i, 8)) == text_load(lower + i, 8);
    }
    for (; i < text.len; i++) {
        char c = text.at[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c | 0x20);
        if (c != lower[i])
            return false;
    }
    return true;
}

/* The value of a hexadecimal digit, or -1. */
static inline int text_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

#endif
