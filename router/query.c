/*
 * Walks a query without copying it. Called by the matching of routes, by overrides and by sticky keys, on worker
 * threads.
 */
#include "router/query.h"

#include "router/text.h"

static struct text text_until(struct text text, char stop)
{
    const char *found = text.len > 0 ? memchr(text.at, stop, text.len) : NULL;
    return (struct text){text.at, found != NULL ? (uint32_t)(found - text.at) : text.len};
}

static void text_skip(struct text *text, uint32_t len)
{
    text->at += len;
    text->len -= len;
}

bool query_next(struct text *rest, struct query_pair *pair)
{
    while (rest->len > 0) {
        struct text whole = text_until(*rest, '&');
        text_skip(rest, whole.len < rest->len ? whole.len + 1 : whole.len);
        if (whole.len == 0)
            continue;
        pair->name = text_until(whole, '=');
        text_skip(&whole, pair->name.len < whole.len ? pair->name.len + 1 : pair->name.len);
        pair->value = whole;
        return true;
    }
    return false;
}

uint8_t query_take_byte(struct text *text)
{
    char c = text->at[0];
    if (c == '%' && text->len >= 3) {
        int high = text_hex(text->at[1]);
        int low = text_hex(text->at[2]);
        if (high >= 0 && low >= 0) {
            text_skip(text, 3);
            return (uint8_t)(high * 16 + low);
        }
    }
    text_skip(text, 1);
    return c == '+' ? (uint8_t)' ' : (uint8_t)c;
}

bool query_equals(struct text encoded, const char *plain, size_t len)
{
    size_t i = 0;
    while (encoded.len > 0 && i < len)
        if (query_take_byte(&encoded) != (uint8_t)plain[i++])
            return false;
    return encoded.len == 0 && i == len;
}

bool query_is_encoded(struct text text)
{
    for (uint32_t i = 0; i < text.len; i++)
        if (text.at[i] == '%' || text.at[i] == '+')
            return true;
    return false;
}
