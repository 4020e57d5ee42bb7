/*
 * Reads message heads: finds the end of each part of a head and refuses, at the first wrong byte, what can never become
 * a valid one. What the parts mean together is h1_facts.c.
 *
 * A worker owns each parser and calls it while a head arrives; nothing here allocates between h1_parser_start_*() and
 * the end of a head, and each byte is looked at once, however the head is cut into pieces. The outcome does not depend
 * on those cuts, because faults are found strictly from left to right.
 *
 *   EMPTY_LINES -> METHOD -> TARGET -> VERSION -> LINE_LF --+-> LINE -> NAME -> BLANKS -> VALUE -> VALUE_LF -> LINE ...
 *        STATUS_LINE -> REASON_START -> REASON -> LINE_LF --+     \-> END_LF -> DONE
 *
 * llhttp was measured for this: it alone spends 1,670 instructions on a request of 100 bytes and 2,670 on a response of
 * 150, calls back for each piece, and what it accepts has to be looked at again. So it reads beside this file in the
 * tests and the fuzzers, which hold the two against each other, and not on the path of a request.
 */
#include "proxy/h1_parser.h"

#include <stdlib.h>

#include "proxy/h1_chars.h"
#include "proxy/h1_field.h"
#include "proxy/h1_target.h"

enum {
    EMPTY_LINES_MAX = 4,
    STATUS_LINE_START = 12, /* "HTTP/1.1 200" */
    VERSION_LENGTH = 8,     /* "HTTP/1.1" */
};

static bool make_room(struct h1_parser *parser, uint32_t fields)
{
    if (fields <= parser->room)
        return true;
    /* one more than asked for: the field being read stands behind the last complete one */
    struct field *grown = reallocarray(parser->fields, (size_t)fields + 1, sizeof(*grown));
    if (grown == NULL)
        return false;
    parser->fields = grown;
    parser->room = fields;
    return true;
}

struct h1_parser *h1_parser_new(const struct config_limits *limits)
{
    struct h1_parser *parser = calloc(1, sizeof(*parser));
    if (parser == NULL)
        return NULL;
    if (!make_room(parser, limits->header_count > 0 ? limits->header_count : 1)) {
        free(parser);
        return NULL;
    }
    return parser;
}

void h1_parser_free(struct h1_parser *parser)
{
    if (parser == NULL)
        return;
    free(parser->fields);
    free(parser);
}

static void start(struct h1_parser *parser, const struct config_limits *limits)
{
    make_room(parser, limits->header_count); /* without memory the old room stays, and is the limit */
    parser->header_bytes_max = limits->header_bytes;
    parser->uri_bytes_max = limits->uri_bytes;
    parser->fields_max = limits->header_count < parser->room ? limits->header_count : parser->room;
    parser->at = 0;
    parser->base = 0;
    parser->mark = NULL;
    parser->empty_lines = 0;
    parser->fault = NULL;
    parser->facts = (struct h1_facts){0};
    parser->head = (struct head){.plain = true};
}

void h1_parser_start_request(struct h1_parser *parser, const struct config_limits *limits)
{
    start(parser, limits);
    parser->request = true;
    parser->state = H1_EMPTY_LINES;
}

void h1_parser_start_response(struct h1_parser *parser, const struct config_limits *limits, bool to_head)
{
    start(parser, limits);
    parser->request = false;
    parser->facts.to_head = to_head;
    parser->state = H1_STATUS_LINE;
}

const struct head *h1_parser_head(const struct h1_parser *parser)
{
    return &parser->head;
}

const struct h1_fault *h1_parser_fault(const struct h1_parser *parser)
{
    return parser->fault;
}

/* ---- steps: each takes bytes from *at on; true when its part is complete, false at the end of the bytes or with a
 * fault ---- */

static bool fail(struct h1_parser *parser, enum h1_fault_id id)
{
    parser->state = H1_BROKEN;
    parser->fault = h1_fault_of(id, parser->request);
    return false;
}

static bool take_empty_lines(struct h1_parser *parser, const char **at, const char *end)
{
    const char *p = *at;
    while (p < end && (*p == '\r' || *p == '\n')) {
        bool line_ends = (parser->empty_lines & 1) != 0; /* counts bytes: odd behind a CR */
        if ((*p == '\n') != line_ends)
            return fail(parser, line_ends ? H1_FAULT_BARE_CR : H1_FAULT_BARE_LF);
        if (++parser->empty_lines > 2 * EMPTY_LINES_MAX)
            return fail(parser, H1_FAULT_EMPTY_LINES);
        p++;
    }
    *at = p;
    if (p == end)
        return false;
    if ((parser->empty_lines & 1) != 0)
        return fail(parser, H1_FAULT_BARE_CR);
    if (!h1_is(*p, H1_TOKEN))
        return fail(parser, *p == 0x16 ? H1_FAULT_TLS : H1_FAULT_NOT_HTTP);
    parser->head.method.at = p;
    return true;
}

static bool know_method(struct h1_parser *parser)
{
    struct head *head = &parser->head;
    const struct h1_method *method = h1_method_find(head->method);
    if (method == NULL)
        return fail(parser, H1_FAULT_METHOD_UNKNOWN);
    if (method->connect)
        return fail(parser, H1_FAULT_CONNECT);
    parser->facts.method = method;
    head->is_get = method->get;
    head->is_head = method->head;
    head->is_safe = method->safe;
    head->is_idempotent = method->idempotent;
    return true;
}

static bool take_method(struct h1_parser *parser, const char **at, const char *end)
{
    struct text *method = &parser->head.method;
    *at = h1_skip_token(*at, end);
    method->len = (uint32_t)(*at - method->at);
    if (method->len > H1_METHOD_ROOM)
        return fail(parser, H1_FAULT_METHOD_UNKNOWN);
    if (*at == end)
        return false;
    if (**at != ' ')
        return fail(parser, H1_FAULT_NOT_HTTP);
    if (!know_method(parser))
        return false;
    ++*at;
    parser->head.target.at = *at;
    return true;
}

static bool know_target(struct h1_parser *parser)
{
    enum h1_fault_id fault;
    if (parser->facts.method->preface || h1_target_split(&parser->head, parser->facts.method->options, &fault))
        return true;
    return fail(parser, fault);
}

static bool take_target(struct h1_parser *parser, const char **at, const char *end)
{
    struct text *target = &parser->head.target;
    *at = h1_skip_target(*at, end);
    target->len = (uint32_t)(*at - target->at);
    if (target->len > parser->uri_bytes_max)
        return fail(parser, H1_FAULT_TARGET_TOO_LONG);
    if (*at == end)
        return false;
    if (**at == '#')
        return fail(parser, H1_FAULT_TARGET_FRAGMENT);
    if (**at == '\r' || **at == '\n') /* HTTP/0.9 has no version */
        return fail(parser, H1_FAULT_VERSION_MALFORMED);
    if (**at != ' ')
        return fail(parser, H1_FAULT_TARGET_BYTE);
    if (!know_target(parser))
        return false;
    ++*at;
    parser->mark = *at;
    return true;
}

/* Of "HTTP/d.d", as many bytes as there are: its length when they are right, or the place of the first that is wrong.
 */
static size_t match_version(const char *at, size_t length)
{
    static const char shape[VERSION_LENGTH] = {'H', 'T', 'T', 'P', '/', 'd', '.', 'd'};
    size_t i = 0;
    while (i < length && i < VERSION_LENGTH && (shape[i] == 'd' ? h1_is(at[i], H1_DIGIT) : at[i] == shape[i]))
        i++;
    return i;
}

static bool know_version(struct h1_parser *parser, const char *at)
{
    if (at[5] == '1' && (at[7] == '1' || at[7] == '0')) {
        parser->head.minor = (uint8_t)(at[7] - '0');
        return true;
    }
    bool preface = parser->request && parser->facts.method->preface && at[5] == '2';
    return fail(parser, preface ? H1_FAULT_HTTP2_PREFACE : H1_FAULT_VERSION_UNSUPPORTED);
}

static bool take_version(struct h1_parser *parser, const char **at, const char *end)
{
    const char *start = parser->mark;
    size_t length = (size_t)(end - start);
    if (length > VERSION_LENGTH && memcmp(start, "HTTP/1.1\r", VERSION_LENGTH + 1) == 0) {
        parser->head.minor = 1;
    } else {
        size_t matched = match_version(start, length);
        if (matched < VERSION_LENGTH) {
            *at = start + matched;
            return *at == end ? false : fail(parser, H1_FAULT_VERSION_MALFORMED);
        }
        if (!know_version(parser, start))
            return false;
        *at = start + VERSION_LENGTH;
        if (*at == end)
            return false;
        if (**at != '\r')
            return fail(parser, **at == '\n' ? H1_FAULT_BARE_LF : H1_FAULT_VERSION_MALFORMED);
    }
    if (parser->facts.method->preface) /* PRI is for HTTP/2 alone */
        return fail(parser, H1_FAULT_METHOD_UNKNOWN);
    *at = start + VERSION_LENGTH + 1;
    return true;
}

/* "HTTP/1.1 200"; what follows it is looked at by the next step. */
static bool take_status_line(struct h1_parser *parser, const char **at, const char *base, const char *end)
{
    size_t length = (size_t)(end - base);
    size_t i = VERSION_LENGTH + 1;
    if (length >= STATUS_LINE_START && memcmp(base, "HTTP/1.1 ", VERSION_LENGTH + 1) == 0) {
        parser->head.minor = 1;
    } else {
        i = match_version(base, length);
        if (i < VERSION_LENGTH && i < length)
            return fail(parser, H1_FAULT_STATUS_LINE);
        if (i == VERSION_LENGTH && !know_version(parser, base))
            return false;
    }
    for (; i < length && i < STATUS_LINE_START; i++)
        if (i == VERSION_LENGTH ? base[i] != ' ' : !h1_is(base[i], H1_DIGIT))
            return fail(parser, H1_FAULT_STATUS_LINE);
    *at = base + i;
    if (i < STATUS_LINE_START)
        return false;
    parser->head.status = (uint16_t)((base[9] - '0') * 100 + (base[10] - '0') * 10 + (base[11] - '0'));
    /* RFC 9110 section 15 knows statuses up to 599; higher ones are in use and frame like any other */
    return parser->head.status >= 100 ? true : fail(parser, H1_FAULT_STATUS_CODE);
}

/* A missing blank before an absent reason is common and changes nothing (RFC 9112 section 4). */
static bool take_reason_start(struct h1_parser *parser, const char **at, const char *end)
{
    if (*at == end)
        return false;
    if (**at == ' ')
        ++*at;
    else if (**at != '\r')
        return fail(parser, **at == '\n' ? H1_FAULT_BARE_LF : H1_FAULT_STATUS_LINE);
    parser->head.reason.at = *at;
    return true;
}

static bool take_reason(struct h1_parser *parser, const char **at, const char *end)
{
    struct text *reason = &parser->head.reason;
    *at = h1_skip_text(*at, end);
    reason->len = (uint32_t)(*at - reason->at);
    if (*at == end)
        return false;
    if (**at != '\r')
        return fail(parser, h1_text_fault(**at));
    ++*at;
    return true;
}

static bool take_lf(struct h1_parser *parser, const char **at, const char *end)
{
    if (*at == end)
        return false;
    if (**at != '\n')
        return fail(parser, H1_FAULT_BARE_CR);
    ++*at;
    return true;
}

static bool take_field_start(struct h1_parser *parser, const char *at)
{
    uint32_t count = parser->head.field_count;
    if (!h1_is(*at, H1_TOKEN)) {
        if (!h1_is_blank(*at))
            return fail(parser, h1_name_fault(*at, true));
        return fail(parser, count == 0 ? H1_FAULT_SPACE_BEFORE_FIELD : H1_FAULT_OBS_FOLD);
    }
    if (count >= parser->fields_max)
        return fail(parser, H1_FAULT_FIELDS_TOO_MANY);
    parser->fields[count].name.at = at;
    parser->fields[count].value.at = NULL;
    return true;
}

/* The name and the value's start are known, and its line ends at `cr`. */
static inline __attribute__((always_inline)) bool take_field(struct h1_parser *parser, struct field *field,
                                                             const char *cr)
{
    struct head *head = &parser->head;
    const char *end = cr;
    if (h1_is_blank(cr[-1])) { /* before an empty value stands the colon */
        head->plain = false;
        while (end > field->value.at && h1_is_blank(end[-1]))
            end--;
    }
    field->value.len = (uint32_t)(end - field->value.at);
    enum field_id id = h1_field_id(field->name.at, field->name.len);
    h1_field_set bit = H1_SET(id);
    field->id = id;
    field->hop_by_hop = (bit & H1_HOP_BY_HOP) != 0;
    head->present |= bit;
    head->field_count++;
    enum h1_fault_id fault;
    if ((bit & H1_JUDGED) == 0 || h1_facts_add(&parser->facts, head, field, &fault))
        return true;
    return fail(parser, fault);
}

/*
 * Field lines that are there as a whole and look right; stops before the first that is not or does not, and before the
 * empty line, and leaves that to take_fields(), which knows of partial lines and faults. Nearly every line is taken
 * here.
 */
static bool take_whole_lines(struct h1_parser *parser, const char **at, const char *end)
{
    const char *line = *at;
    struct field *field = &parser->fields[parser->head.field_count];
    struct field *last = &parser->fields[parser->fields_max];
    bool sound = true;
    for (; sound && field < last && end - line >= 4 && h1_is(*line, H1_TOKEN); field++) {
        const char *colon = h1_skip_token(line + 1, end);
        if (end - colon < 4 || *colon != ':')
            break;
        const char *value = colon + 2;
        if (colon[1] != ' ' || h1_is_blank(*value)) {
            value = h1_skip_blanks(colon + 1, end);
            parser->head.plain = false;
        }
        const char *cr = h1_skip_text(value, end);
        if (end - cr < 2 || memcmp(cr, "\r\n", 2) != 0)
            break;
        field->name = (struct text){line, (uint32_t)(colon - line)};
        field->value.at = value;
        sound = take_field(parser, field, cr);
        line = cr + 2;
    }
    *at = line;
    return sound;
}

/* The line whose value has ended; true when the machine goes on. */
static bool end_value(struct h1_parser *parser, struct field *field, const char *cr)
{
    if (*cr != '\r')
        return fail(parser, h1_text_fault(*cr));
    return take_field(parser, field, cr);
}

/* Field lines in pieces of any size, and the empty line behind them. */
static bool take_fields(struct h1_parser *parser, const char **at, const char *end)
{
    for (;;) {
        const char *p = *at;
        struct field *field = &parser->fields[parser->head.field_count];
        switch (parser->state) {
        case H1_LINE:
            if (!take_whole_lines(parser, at, end) || *at == end)
                return false;
            p = *at;
            if (*p == '\r') {
                parser->state = H1_END_LF;
                ++*at;
                break;
            }
            if (!take_field_start(parser, p))
                return false;
            parser->state = H1_NAME;
            break;
        case H1_NAME:
            *at = p = h1_skip_token(p, end);
            if (p == end)
                return false;
            if (*p != ':')
                return fail(parser, h1_name_fault(*p, false));
            field->name.len = (uint32_t)(p - field->name.at);
            parser->state = H1_BLANKS;
            ++*at;
            break;
        case H1_BLANKS:
            *at = p = h1_skip_blanks(p, end);
            if (p == end)
                return false;
            field->value.at = p;
            parser->head.plain &= p == field->name.at + field->name.len + 2 && p[-1] == ' ';
            parser->state = H1_VALUE;
            break;
        case H1_VALUE:
            *at = p = h1_skip_text(p, end);
            if (p == end || !end_value(parser, field, p))
                return false;
            parser->state = H1_VALUE_LF;
            ++*at;
            break;
        case H1_VALUE_LF:
            if (!take_lf(parser, at, end))
                return false;
            parser->state = H1_LINE;
            break;
        default: /* H1_END_LF */
            return take_lf(parser, at, end);
        }
    }
}

/* ---- reading ---- */

static void move(struct text *text, uintptr_t from, const char *to)
{
    if (text->at != NULL)
        text->at = to + ((uintptr_t)text->at - from);
}

/* The bytes are at another address than in the call before: what was remembered moves along. */
static void rebase(struct h1_parser *parser, const char *base)
{
    struct head *head = &parser->head;
    uintptr_t from = parser->base;
    parser->base = (uintptr_t)base;
    if (from == 0 || from == parser->base)
        return;
    move(&head->method, from, base);
    move(&head->target, from, base);
    move(&head->reason, from, base);
    if (parser->mark != NULL)
        parser->mark = base + ((uintptr_t)parser->mark - from);
    uint32_t begun = parser->state >= H1_NAME && parser->state <= H1_VALUE;
    for (uint32_t i = 0; i < head->field_count + begun; i++) {
        move(&parser->fields[i].name, from, base);
        move(&parser->fields[i].value, from, base);
    }
    enum h1_fault_id none;
    if (head->path.at != NULL)
        h1_target_split(head, parser->facts.method->options, &none);
}

/* One step of the machine; true while there is more to do with the bytes there are. */
static bool step(struct h1_parser *parser, const char **at, const char *base, const char *end)
{
    bool taken;
    switch ((enum h1_state)parser->state) {
    case H1_EMPTY_LINES:
        taken = take_empty_lines(parser, at, end);
        break;
    case H1_METHOD:
        taken = take_method(parser, at, end);
        break;
    case H1_TARGET_STATE:
        taken = take_target(parser, at, end);
        break;
    case H1_VERSION:
        taken = take_version(parser, at, end);
        break;
    case H1_STATUS_LINE:
        taken = take_status_line(parser, at, base, end);
        break;
    case H1_REASON_START:
        taken = take_reason_start(parser, at, end);
        break;
    case H1_REASON:
        taken = take_reason(parser, at, end);
        break;
    case H1_LINE_LF:
        taken = take_lf(parser, at, end);
        break;
    default:
        taken = take_fields(parser, at, end);
        if (taken)
            parser->state = H1_COMPLETE;
        return false;
    }
    if (taken)
        parser->state = parser->state == H1_VERSION ? H1_LINE_LF : (uint8_t)(parser->state + 1);
    return taken;
}

static enum h1_result finish(struct h1_parser *parser, const char *base)
{
    struct head *head = &parser->head;
    head->fields = parser->fields;
    if (head->field_count > 0) {
        const char *start = parser->fields[0].name.at;
        head->lines = (struct text){start, (uint32_t)(base + parser->at - 2 - start)};
    }
    enum h1_fault_id fault;
    bool sound = parser->request ? h1_facts_request(&parser->facts, head, parser->fields, &fault)
                                 : h1_facts_response(&parser->facts, head, parser->fields, &fault);
    if (sound)
        return H1_DONE;
    fail(parser, fault);
    return H1_BAD;
}

enum h1_result h1_parser_read(struct h1_parser *parser, const char *base, size_t length, size_t *head_bytes)
{
    if (parser->state == H1_BROKEN)
        return H1_BAD;
    rebase(parser, base);
    size_t limit = parser->header_bytes_max;
    const char *end = base + (length < limit ? length : limit);
    const char *at = base + parser->at;
    while (step(parser, &at, base, end))
        ;
    parser->at = (size_t)(at - base);
    if (parser->state == H1_COMPLETE) {
        *head_bytes = parser->at;
        return finish(parser, base);
    }
    if (parser->state == H1_BROKEN)
        return H1_BAD;
    if (length < limit)
        return H1_MORE;
    fail(parser, parser->state == H1_TARGET_STATE ? H1_FAULT_TARGET_TOO_LONG : H1_FAULT_HEAD_TOO_LARGE);
    return H1_BAD;
}
