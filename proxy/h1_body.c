/*
 * Reads bodies: counts a length down, or takes chunks apart (RFC 9112 section 7.1).
 *
 * A worker calls it for each piece that arrives; data is handed back where it lies. Chunk extensions are checked,
 * bounded and dropped, as section 7.1.1 lets any recipient do. The only memory is one block for the trailer section,
 * taken when there is one. The outcome does not depend on how the bytes are cut into pieces.
 *
 *   SIZE --CR--> SIZE_LF --size--> DATA -> DATA_CR -> DATA_LF -> SIZE
 *    \-> EXTENSION states --CR--^  \--0--> TRAILER_START <-> TRAILER_LINE
 *                                               \--CR--> LAST_LF -> ENDED
 *   Any state -> REFUSED.
 */
#include <stdlib.h>

#include "proxy/h1.h"
#include "proxy/h1_chars.h"
#include "proxy/h1_fault.h"
#include "proxy/h1_field.h"
#include "router/text.h"

enum {
    CHUNK_DIGITS = 16,
    CHUNK_LINE_ROOM = 512, /* size and extensions */
};

enum state {
    /* within a chunk's line; the first eight have a row in `after` */
    SIZE = 0,
    BLANK_BEFORE_EXTENSION, /* more must come: a blank directly before CR is refused */
    EXTENSION_START,        /* behind ";" */
    EXTENSION_NAME,
    BLANK_BEHIND_NAME,
    EXTENSION_VALUE_START, /* behind "=" */
    EXTENSION_VALUE,
    QUOTED,
    QUOTED_PAIR,
    QUOTED_END,
    SIZE_LF,
    /* behind it */
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START,
    TRAILER_LINE,
    LAST_LF,
    ENDED,
    REFUSED,
};

/* ---- chunk lines ---- */

enum byte_class {
    TOKEN,
    BLANK,
    SEMICOLON,
    EQUALS,
    QUOTE,
    BACKSLASH,
    CR,
    TEXT,
    CONTROL,
    BYTE_CLASSES
};

static enum byte_class classify(char c)
{
    switch (c) {
    case ' ':
    case '\t':
        return BLANK;
    case ';':
        return SEMICOLON;
    case '=':
        return EQUALS;
    case '"':
        return QUOTE;
    case '\\':
        return BACKSLASH;
    case '\r':
        return CR;
    default:
        return h1_is(c, H1_TOKEN) ? TOKEN : h1_is_text(c) ? TEXT : CONTROL;
    }
}

/* RFC 9112 section 7.1.1: *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ). What is not here is refused.
 */
#define NEXT(state) ((uint8_t)((state) + 1))
static const uint8_t after[SIZE_LF][BYTE_CLASSES] = {
    [SIZE] = {[BLANK] = NEXT(BLANK_BEFORE_EXTENSION), [SEMICOLON] = NEXT(EXTENSION_START), [CR] = NEXT(SIZE_LF)},
    [BLANK_BEFORE_EXTENSION] = {[BLANK] = NEXT(BLANK_BEFORE_EXTENSION), [SEMICOLON] = NEXT(EXTENSION_START)},
    [EXTENSION_START] = {[BLANK] = NEXT(EXTENSION_START), [TOKEN] = NEXT(EXTENSION_NAME)},
    [EXTENSION_NAME] = {[TOKEN] = NEXT(EXTENSION_NAME),
                        [EQUALS] = NEXT(EXTENSION_VALUE_START),
                        [BLANK] = NEXT(BLANK_BEHIND_NAME),
                        [SEMICOLON] = NEXT(EXTENSION_START),
                        [CR] = NEXT(SIZE_LF)},
    [BLANK_BEHIND_NAME] = {[BLANK] = NEXT(BLANK_BEHIND_NAME),
                           [EQUALS] = NEXT(EXTENSION_VALUE_START),
                           [SEMICOLON] = NEXT(EXTENSION_START)},
    [EXTENSION_VALUE_START] =
        {[BLANK] = NEXT(EXTENSION_VALUE_START), [TOKEN] = NEXT(EXTENSION_VALUE), [QUOTE] = NEXT(QUOTED)},
    [EXTENSION_VALUE] = {[TOKEN] = NEXT(EXTENSION_VALUE),
                         [BLANK] = NEXT(BLANK_BEFORE_EXTENSION),
                         [SEMICOLON] = NEXT(EXTENSION_START),
                         [CR] = NEXT(SIZE_LF)},
    [QUOTED] = {[TOKEN] = NEXT(QUOTED),
                [BLANK] = NEXT(QUOTED),
                [SEMICOLON] = NEXT(QUOTED),
                [EQUALS] = NEXT(QUOTED),
                [TEXT] = NEXT(QUOTED),
                [QUOTE] = NEXT(QUOTED_END),
                [BACKSLASH] = NEXT(QUOTED_PAIR)},
    [QUOTED_PAIR] = {[TOKEN] = NEXT(QUOTED),
                     [BLANK] = NEXT(QUOTED),
                     [SEMICOLON] = NEXT(QUOTED),
                     [EQUALS] = NEXT(QUOTED),
                     [TEXT] = NEXT(QUOTED),
                     [QUOTE] = NEXT(QUOTED),
                     [BACKSLASH] = NEXT(QUOTED)},
    [QUOTED_END] = {[BLANK] = NEXT(BLANK_BEFORE_EXTENSION), [SEMICOLON] = NEXT(EXTENSION_START), [CR] = NEXT(SIZE_LF)},
};

static enum h1_body_result refuse(struct h1_body *body, enum h1_fault_id id)
{
    body->state = REFUSED;
    body->fault = h1_fault_of(id, body->request);
    return H1_BODY_BAD;
}

static enum h1_fault_id line_fault(enum state state, char c)
{
    if (c == '\n')
        return H1_FAULT_BARE_LF;
    return state == SIZE ? H1_FAULT_CHUNK_SIZE : H1_FAULT_CHUNK_EXTENSION;
}

static bool take_digit(struct h1_body *body, char c)
{
    if (++body->digits > CHUNK_DIGITS) {
        refuse(body, H1_FAULT_CHUNK_SIZE);
        return false;
    }
    body->remaining = body->remaining << 4 | (uint64_t)text_hex(c);
    if (body->remaining <= INT64_MAX)
        return true;
    refuse(body, H1_FAULT_CHUNK_TOO_LARGE);
    return false;
}

/* One byte of a chunk's line before its LF; false with the fault set. */
static bool take_line_byte(struct h1_body *body, char c)
{
    if (++body->line_bytes > CHUNK_LINE_ROOM) {
        refuse(body, H1_FAULT_CHUNK_LINE_TOO_LONG);
        return false;
    }
    if (body->state == SIZE && h1_is(c, H1_HEX))
        return take_digit(body, c);
    uint8_t next = after[body->state][classify(c)];
    if (next == 0 || (body->state == SIZE && body->digits == 0)) {
        refuse(body, line_fault(body->state, c));
        return false;
    }
    body->state = (uint8_t)(next - 1);
    return true;
}

/* ---- trailers ---- */

static bool check_trailer(struct h1_body *body, const char *line, const char *end, enum h1_trailer_use *use)
{
    const char *colon = h1_skip(line, end, H1_TOKEN);
    if (h1_is_blank(*line)) {
        refuse(body, body->trailers_len == 0 ? H1_FAULT_SPACE_BEFORE_FIELD : H1_FAULT_OBS_FOLD);
        return false;
    }
    if (colon == line || *colon != ':') {
        refuse(body, h1_name_fault(*colon, colon == line));
        return false;
    }
    const char *stop = h1_skip_text(colon + 1, end);
    if (*stop != '\r' || end - stop != 2) { /* `end` is behind the only LF */
        refuse(body, h1_text_fault(*stop));
        return false;
    }
    *use = h1_trailer_use((struct text){line, (uint32_t)(colon - line)});
    if (*use == H1_TRAILER_REFUSE)
        refuse(body, H1_FAULT_TRAILER_FRAMING);
    return *use != H1_TRAILER_REFUSE;
}

/* The line at the end of the block is complete, LF included: kept, or left out. */
static bool finish_trailer(struct h1_body *body)
{
    const char *line = body->trailers + body->trailers_len;
    enum h1_trailer_use use;
    if (!check_trailer(body, line, line + body->trailer_line, &use))
        return false;
    if (use == H1_TRAILER_KEEP)
        body->trailers_len += body->trailer_line;
    body->trailer_line = 0;
    body->state = TRAILER_START;
    return true;
}

/* Takes bytes up to the line's end or the last there is; false with the fault set. */
static bool take_trailer(struct h1_body *body, const char **at, const char *end)
{
    const char *lf = memchr(*at, '\n', (size_t)(end - *at));
    size_t length = (size_t)((lf != NULL ? lf + 1 : end) - *at);
    if (length > H1_TRAILER_ROOM - (size_t)body->line_bytes) {
        refuse(body, H1_FAULT_TRAILERS_TOO_LARGE);
        return false;
    }
    if (body->trailers == NULL && (body->trailers = malloc(H1_TRAILER_ROOM)) == NULL) {
        refuse(body, H1_FAULT_MEMORY);
        return false;
    }
    memcpy(body->trailers + body->trailers_len + body->trailer_line, *at, length);
    body->trailer_line += (uint32_t)length;
    body->line_bytes += (uint32_t)length;
    *at += length;
    return lf == NULL || finish_trailer(body);
}

/* ---- the whole ---- */

static enum h1_body_result take_data(struct h1_body *body, const char **at, const char *end, struct text *data)
{
    uint64_t there = (uint64_t)(end - *at);
    uint64_t length = there < body->remaining ? there : body->remaining;
    if (length > UINT32_MAX)
        length = UINT32_MAX;
    *data = (struct text){*at, (uint32_t)length};
    *at += length;
    body->remaining -= length;
    return H1_BODY_DATA;
}

static void start_chunk(struct h1_body *body)
{
    body->state = SIZE;
    body->digits = 0;
    body->line_bytes = 0;
    body->remaining = 0;
}

/* The chunk's line is complete. */
static void end_line(struct h1_body *body)
{
    body->line_bytes = 0;
    body->state = body->remaining > 0 ? DATA : TRAILER_START;
}

/* A step that takes exactly `byte`; `otherwise` is the fault when it does not stand there. */
static bool expect(struct h1_body *body, const char **at, char byte, enum state next, enum h1_fault_id otherwise)
{
    if (**at != byte) {
        refuse(body, otherwise);
        return false;
    }
    ++*at;
    body->state = (uint8_t)next;
    return true;
}

/* One step that yields no data; false with the fault set. There is at least one byte. */
static bool take(struct h1_body *body, const char **at, const char *end)
{
    switch ((enum state)body->state) {
    case SIZE_LF:
        if (!expect(body, at, '\n', DATA, H1_FAULT_BARE_CR))
            return false;
        end_line(body);
        return true;
    case DATA_CR:
        return expect(body, at, '\r', DATA_LF, H1_FAULT_CHUNK_END);
    case DATA_LF:
        if (!expect(body, at, '\n', SIZE, H1_FAULT_CHUNK_END))
            return false;
        start_chunk(body);
        return true;
    case TRAILER_START:
        if (**at == '\r')
            return expect(body, at, '\r', LAST_LF, H1_FAULT_BARE_CR);
        body->state = TRAILER_LINE;
        return true;
    case TRAILER_LINE:
        return take_trailer(body, at, end);
    case LAST_LF:
        return expect(body, at, '\n', ENDED, H1_FAULT_BARE_CR);
    default:
        return take_line_byte(body, *(*at)++);
    }
}

static enum h1_body_result read_chunked(struct h1_body *body, const char **at, const char *end, struct text *data)
{
    while (body->state != ENDED) {
        if (body->state == REFUSED)
            return H1_BODY_BAD;
        if (*at == end)
            return H1_BODY_MORE;
        if (body->state == DATA) {
            take_data(body, at, end, data);
            if (body->remaining == 0)
                body->state = DATA_CR;
            return H1_BODY_DATA;
        }
        if (!take(body, at, end))
            return H1_BODY_BAD;
    }
    return H1_BODY_END;
}

void h1_body_start(struct h1_body *body, const struct head *head, bool request)
{
    *body = (struct h1_body){.framing = head->framing, .request = request};
    if (head->framing == FRAMING_LENGTH)
        body->remaining = head->content_length;
    else if (head->framing == FRAMING_UNTIL_CLOSE)
        body->remaining = UINT64_MAX;
}

void h1_body_done(struct h1_body *body)
{
    free(body->trailers);
    body->trailers = NULL;
    body->trailers_len = 0;
    body->trailer_line = 0;
}

enum h1_body_result h1_body_read(struct h1_body *body, const char *at, size_t length, size_t *consumed,
                                 struct text *data)
{
    const char *p = at;
    enum h1_body_result result = H1_BODY_MORE;
    *data = (struct text){at, 0};
    if (body->framing == FRAMING_CHUNKED)
        result = read_chunked(body, &p, at + length, data);
    else if (body->framing == FRAMING_NONE || body->remaining == 0)
        result = H1_BODY_END;
    else if (length > 0)
        result = take_data(body, &p, at + length, data);
    *consumed = (size_t)(p - at);
    return result;
}

bool h1_body_closed(const struct h1_body *body)
{
    switch (body->framing) {
    case FRAMING_NONE:
    case FRAMING_UNTIL_CLOSE:
        return true;
    case FRAMING_LENGTH:
        return body->remaining == 0;
    default:
        return body->state == ENDED;
    }
}
