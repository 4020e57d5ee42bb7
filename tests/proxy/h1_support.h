/*
 * What the tests of the HTTP/1 codec share: a head as one line of text, and reading bytes cut into pieces in such a way
 * that reading behind the last one is noticed.
 */
#ifndef SHUNT_TESTS_H1_SUPPORT_H
#define SHUNT_TESTS_H1_SUPPORT_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/h1.h"

#define MARK "\x01" /* a byte that no field can hold */
#define BYTES(literal)                                                                                                 \
    {                                                                                                                  \
        (literal), sizeof(literal) - 1                                                                                 \
    }

struct bytes {
    const char *at;
    size_t len;
};

struct line {
    char text[2048];
    size_t len;
};

static inline __attribute__((format(printf, 2, 3))) void line_add(struct line *line, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int n = vsnprintf(line->text + line->len, sizeof(line->text) - line->len, format, list);
    va_end(list);
    if (n > 0)
        line->len += (size_t)n < sizeof(line->text) - line->len ? (size_t)n : sizeof(line->text) - line->len - 1;
}

static inline void line_add_framing(struct line *line, const struct head *head)
{
    static const char *const names[] = {"none", "length", "chunked", "until-close"};
    line_add(line, " %s", names[head->framing]);
    if (head->has_content_length)
        line_add(line, ":%llu", (unsigned long long)head->content_length);
    if (!head->keep_alive)
        line_add(line, " close");
    if (head->upgrade)
        line_add(line, " upgrade:%.*s", (int)head->upgrade_protocol.len, head->upgrade_protocol.at);
    line_add(line, " %u", head->field_count);
}

/* "GET /a?b host:h 1.1 none 1": all that was understood of a request, the number of fields last. */
static inline void describe_request(struct line *line, const struct head *head)
{
    line->len = 0;
    line_add(line, "%.*s %.*s", (int)head->method.len, head->method.at, (int)head->path.len, head->path.at);
    if (head->has_query)
        line_add(line, "?%.*s", (int)head->query.len, head->query.at);
    line_add(line, " host:%.*s 1.%u", (int)head->host.len, head->host.at, head->minor);
    if (head->expect_continue)
        line_add(line, " continue");
    if (head->shunt_shadow)
        line_add(line, " shadow");
    if (head->te_trailers)
        line_add(line, " trailers");
    line_add_framing(line, head);
}

/* "200 OK 1.1 length:5 2" */
static inline void describe_response(struct line *line, const struct head *head)
{
    line->len = 0;
    line_add(line, "%u %.*s 1.%u", head->status, (int)head->reason.len, head->reason.at, head->minor);
    line_add_framing(line, head);
}

/* "name=value;" for each; `mark` stands behind the value of a hop-by-hop field. */
static inline void describe_fields(struct line *line, const struct head *head, const char *mark)
{
    line->len = 0;
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct field *field = &head->fields[i];
        line_add(line, "%.*s=%.*s%s;", (int)field->name.len, field->name.at, (int)field->value.len,
                 field->value.len > 0 ? field->value.at : "", field->hop_by_hop ? mark : "");
    }
}

/* What came of reading one head. */
struct reading {
    enum h1_result result;
    size_t seen; /* bytes given when it was decided */
    size_t head_bytes;
    const char *fault;
    uint16_t status;
    struct line facts, fields;
};

static inline void reading_take(struct reading *reading, struct h1_parser *parser, bool request, enum h1_result result)
{
    reading->result = result;
    reading->fault = NULL;
    reading->facts.text[0] = reading->fields.text[0] = '\0';
    if (result == H1_BAD) {
        reading->fault = h1_parser_fault(parser)->name;
        reading->status = h1_parser_fault(parser)->status;
    } else if (result == H1_DONE) {
        const struct head *head = h1_parser_head(parser);
        (request ? describe_request : describe_response)(&reading->facts, head);
        describe_fields(&reading->fields, head, MARK);
    }
}

/*
 * Reads `bytes` in pieces: the first `first` bytes, then `step` more each time. Every call gets its bytes in a block of
 * exactly their size at another address. `kind`: 0 request, 1 response, 2 response to HEAD.
 */
static inline struct reading read_in_pieces(struct h1_parser *parser, const struct config_limits *limits, int kind,
                                            struct bytes bytes, size_t first, size_t step)
{
    struct reading reading = {.result = H1_MORE};
    char *block = NULL;
    if (kind == 0)
        h1_parser_start_request(parser, limits);
    else
        h1_parser_start_response(parser, limits, kind == 2);
    for (size_t given = first;; given += step) {
        if (given > bytes.len)
            given = bytes.len;
        char *moved = malloc(given > 0 ? given : 1);
        if (moved == NULL)
            abort();
        memcpy(moved, bytes.at, given);
        enum h1_result result = h1_parser_read(parser, moved, given, &reading.head_bytes);
        free(block);
        block = moved;
        reading_take(&reading, parser, kind == 0, result);
        reading.seen = given;
        if (result != H1_MORE || given == bytes.len)
            break;
    }
    free(block);
    return reading;
}

#endif
