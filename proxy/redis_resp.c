/*
 * RESP3 as RESP2: see redis_resp.h. One byte after the other through a small state machine, payloads in one go; so the
 * result cannot depend on how the network cut the bytes. Reads nothing but what it is fed, keeps no payload.
 */
#include "proxy/redis_resp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 *   TYPE --+ - , (--> TEXT --CR--> TEXT_LF --LF--> (element done) TYPE
 *        --other----> NUMBER --CR--> NUMBER_LF --LF--> (number, null, bool, aggregate) TYPE
 *                                                 \--> [PREFIX] PAYLOAD --> PAYLOAD_CR --> PAYLOAD_LF --> (element
 * done) TYPE
 */
enum state {
    TYPE,
    TEXT,
    TEXT_LF,
    NUMBER,
    NUMBER_LF,
    PREFIX, /* "txt:" */
    PAYLOAD,
    PAYLOAD_CR,
    PAYLOAD_LF,
};

static bool fail(struct redis_resp *resp, const char *fault)
{
    if (resp->fault == NULL)
        resp->fault = fault;
    return false;
}

/* ---- what comes out ---- */

static bool flush(struct redis_resp *resp)
{
    size_t length = resp->out_length;
    resp->out_length = 0;
    return length == 0 || resp->emit(resp->context, resp->out, length) || fail(resp, "no memory");
}

static bool emit(struct redis_resp *resp, const char *bytes, size_t length)
{
    if (resp->muted > 0)
        return true;
    if (length > sizeof(resp->out) - resp->out_length && !flush(resp))
        return false;
    if (length > sizeof(resp->out))
        return resp->emit(resp->context, bytes, length) || fail(resp, "no memory");
    memcpy(resp->out + resp->out_length, bytes, length);
    resp->out_length += length;
    return true;
}

static bool emit_head(struct redis_resp *resp, char type, uint64_t count)
{
    char head[32];
    int length = snprintf(head, sizeof(head), "%c%llu\r\n", type, (unsigned long long)count);
    return emit(resp, head, (size_t)length);
}

/* An error's text stays on one line. */
static bool emit_on_one_line(struct redis_resp *resp, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = bytes[i] == '\r' || bytes[i] == '\n' ? ' ' : bytes[i];
        if (!emit(resp, &c, 1))
            return false;
    }
    return true;
}

/* ---- elements and what holds them ---- */

static bool is_aside(const struct redis_resp *resp)
{
    return resp->depth > 0 && resp->level[resp->depth - 1].aside;
}

/* One more element is whole; with it perhaps what is around it. */
static bool element_done(struct redis_resp *resp)
{
    resp->state = TYPE;
    while (resp->depth > 0 && --resp->level[resp->depth - 1].left == 0) {
        bool aside = is_aside(resp);
        resp->depth--;
        resp->muted -= resp->level[resp->depth].muted;
        if (aside)
            return true; /* what it is about is still to come */
    }
    if (resp->depth == 0)
        resp->size = resp->elements = 0;
    return true;
}

static bool aggregate(struct redis_resp *resp, uint64_t count, bool aside)
{
    bool muted = aside || (resp->type == '>' && resp->depth == 0 && resp->drop_pushes);
    resp->elements += count;
    if (count > REDIS_RESP_ELEMENTS || resp->elements > REDIS_RESP_ELEMENTS)
        return fail(resp, "too many elements");
    if (!muted && !emit_head(resp, '*', count))
        return false;
    resp->state = TYPE;
    if (count == 0)
        return aside || element_done(resp);
    if (resp->depth == REDIS_RESP_DEPTH)
        return fail(resp, "nested too deeply");
    resp->level[resp->depth].left = count;
    resp->level[resp->depth].muted = muted;
    resp->level[resp->depth].aside = aside;
    resp->depth++;
    resp->muted += muted;
    return true;
}

/* ---- numbers ---- */

/* Digits as a server writes them, perhaps with a minus: nothing in front, nothing left out. */
static bool read_number(const struct redis_resp *resp, long long *number)
{
    const char *digits = resp->line + (resp->line[0] == '-');
    if (digits[0] == '\0' || (digits[0] == '0' && (digits[1] != '\0' || digits != resp->line)))
        return false;
    for (const char *c = digits; *c != '\0'; c++)
        if (*c < '0' || *c > '9')
            return false;
    errno = 0;
    *number = strtoll(resp->line, NULL, 10);
    return errno == 0;
}

static bool pass_number(struct redis_resp *resp)
{
    return emit(resp, ":", 1) && emit(resp, resp->line, resp->length) && emit(resp, "\r\n", 2) && element_done(resp);
}

static bool pass_null(struct redis_resp *resp, const char *null)
{
    return emit(resp, null, 5) && element_done(resp);
}

static bool begin_payload(struct redis_resp *resp, uint64_t length)
{
    if (length > resp->size_most - resp->size) /* so that no piece of it can be too much */
        return fail(resp, "too long");
    resp->left = length;
    resp->state = length > 0 ? PAYLOAD : PAYLOAD_CR;
    if (resp->type == '!')
        return emit(resp, "-", 1);
    if (resp->type == '$')
        return emit_head(resp, '$', length);
    if (length < 4)
        return fail(resp, "a verbatim string without its kind");
    resp->left = length - 4;
    resp->length = 0;
    resp->state = PREFIX;
    return emit_head(resp, '$', length - 4);
}

/* The line of one of : $ * = ! % ~ > | is whole. */
static bool number_done(struct redis_resp *resp)
{
    long long number;
    if (!read_number(resp, &number))
        return fail(resp, "not a number");
    if (resp->type == ':')
        return pass_number(resp);
    if (number == -1 && resp->type == '$')
        return pass_null(resp, "$-1\r\n");
    if (number == -1 && resp->type == '*')
        return pass_null(resp, "*-1\r\n");
    if (number < 0)
        return fail(resp, "a negative length");
    if (resp->type == '$' || resp->type == '=' || resp->type == '!')
        return begin_payload(resp, (uint64_t)number);
    if (number > REDIS_RESP_ELEMENTS)
        return fail(resp, "too many elements");
    bool pairs = resp->type == '%' || resp->type == '|';
    return aggregate(resp, (uint64_t)number * (pairs ? 2 : 1), resp->type == '|');
}

static bool line_done(struct redis_resp *resp)
{
    if (resp->type == '_')
        return resp->length == 0 ? pass_null(resp, "$-1\r\n") : fail(resp, "a null with something in it");
    if (resp->type != '#')
        return number_done(resp);
    if (resp->length != 1 || (resp->line[0] != 't' && resp->line[0] != 'f'))
        return fail(resp, "neither true nor false");
    return emit(resp, resp->line[0] == 't' ? ":1\r\n" : ":0\r\n", 4) && element_done(resp);
}

/* ---- bytes ---- */

static bool on_type(struct redis_resp *resp, char c)
{
    resp->type = c;
    resp->length = 0;
    if (c == '\0' || strchr("+-,(:$*_#=!%~>|", c) == NULL)
        return fail(resp, "no type of RESP");
    bool is_text = strchr("+-,(", c) != NULL;
    resp->state = is_text ? TEXT : NUMBER;
    char type = c == ',' || c == '(' ? '+' : c;
    return !is_text || emit(resp, &type, 1);
}

static bool on_text(struct redis_resp *resp, char c)
{
    if (c == '\r') {
        resp->state = TEXT_LF;
        return true;
    }
    if (c == '\n' || ++resp->length > REDIS_RESP_LINE_MOST)
        return fail(resp, c == '\n' ? "a line without CR" : "a line too long");
    return emit(resp, &c, 1);
}

static bool on_number(struct redis_resp *resp, char c)
{
    if (c == '\r') {
        resp->line[resp->length] = '\0';
        resp->state = NUMBER_LF;
        return true;
    }
    if (c == '\0' || resp->length == sizeof(resp->line) - 1)
        return fail(resp, "not a number");
    resp->line[resp->length++] = c;
    return true;
}

static bool on_prefix(struct redis_resp *resp, char c)
{
    if (++resp->length < 4)
        return true;
    resp->state = resp->left > 0 ? PAYLOAD : PAYLOAD_CR;
    return c == ':' || fail(resp, "a verbatim string without its kind");
}

static bool on_byte(struct redis_resp *resp, char c)
{
    switch ((enum state)resp->state) {
    case TYPE:
        return on_type(resp, c);
    case TEXT:
        return on_text(resp, c);
    case NUMBER:
        return on_number(resp, c);
    case PREFIX:
        return on_prefix(resp, c);
    case PAYLOAD_CR:
        resp->state = PAYLOAD_LF;
        return c == '\r' || fail(resp, "longer than it said");
    case TEXT_LF:
    case NUMBER_LF:
    case PAYLOAD_LF:
        if (c != '\n')
            return fail(resp, "a line that does not end in CR LF");
        if (resp->state == NUMBER_LF)
            return line_done(resp);
        return emit(resp, "\r\n", 2) && element_done(resp);
    case PAYLOAD:
        break;
    }
    return fail(resp, "out of step"); /* payloads come in one go */
}

/* As much of a payload as is there. */
static bool on_payload(struct redis_resp *resp, const char *bytes, size_t length)
{
    resp->left -= length;
    if (resp->left == 0)
        resp->state = PAYLOAD_CR;
    return resp->type == '!' ? emit_on_one_line(resp, bytes, length) : emit(resp, bytes, length);
}

bool redis_resp_feed(struct redis_resp *resp, const char *bytes, size_t length)
{
    size_t at = 0;
    while (at < length && resp->fault == NULL) {
        size_t step = 1;
        if (resp->state == PAYLOAD)
            step = length - at < resp->left ? length - at : (size_t)resp->left;
        resp->size += step;
        if (resp->size > resp->size_most)
            (void)fail(resp, "too long");
        else if (resp->state == PAYLOAD)
            (void)on_payload(resp, bytes + at, step);
        else
            (void)on_byte(resp, bytes[at]);
        at += step;
    }
    (void)flush(resp); /* what was good before a fault is still good */
    return resp->fault == NULL;
}

bool redis_resp_is_between(const struct redis_resp *resp)
{
    return resp->state == TYPE && resp->depth == 0;
}

void redis_resp_start(struct redis_resp *resp)
{
    resp->state = TYPE;
    resp->length = resp->out_length = 0;
    resp->left = resp->size = resp->elements = 0;
    resp->depth = resp->muted = 0;
    resp->fault = NULL;
}
