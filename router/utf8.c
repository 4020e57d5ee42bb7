/*
 * UTF-8, as far as what shunt writes down has to be UTF-8: paths, reasons and names that people and files hand in.
 */
#include "router/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static size_t sequence_length(uint8_t first, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef) {
        if (first == 0xe0)
            *low = 0xa0; /* no overlong forms */
        if (first == 0xed)
            *high = 0x9f; /* no surrogates */
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (first == 0xf0)
            *low = 0x90;
        if (first == 0xf4)
            *high = 0x8f; /* nothing above U+10FFFF */
        return 4;
    }
    return 0;
}

size_t utf8_sequence(const char *at, size_t len)
{
    if (len == 0)
        return 0;
    const uint8_t *bytes = (const uint8_t *)at;
    uint8_t low, high;
    size_t length = sequence_length(bytes[0], &low, &high);
    if (length == 0 || length > len)
        return 0;
    if (length > 1 && (bytes[1] < low || bytes[1] > high))
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

json_t *utf8_json(const char *text)
{
    static const char replacement[] = "\xef\xbf\xbd";
    if (text == NULL)
        return json_null();
    size_t len = strlen(text);
    json_t *whole = json_stringn(text, len);
    if (whole != NULL)
        return whole;
    char *clean = malloc(len * 3 + 1);
    if (clean == NULL)
        return NULL;
    size_t used = 0;
    for (size_t i = 0; i < len;) {
        size_t length = utf8_sequence(text + i, len - i);
        const char *from = length > 0 ? text + i : replacement;
        size_t count = length > 0 ? length : 3;
        memcpy(clean + used, from, count);
        used += count;
        i += length > 0 ? length : 1;
    }
    whole = json_stringn_nocheck(clean, used);
    free(clean);
    return whole;
}
