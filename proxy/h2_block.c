/*
 * Header sections of HTTP/2 as heads: see h2_block.h. Worker thread.
 *
 * Pseudo-header fields come first and are kept apart until the line they become can be written; so are the crumbs of
 * Cookie, which HTTP/1.1 wants as one field (RFC 9113 section 8.2.3).
 */
#include "proxy/h2_block.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/grpc.h"
#include "proxy/h1_field.h"
#include "proxy/h1_parser.h"
#include "proxy/worker_inside.h"
#include "router/text.h"

enum {
    FIRST_ROOM = 1024,
    SPARE_BLOCKS = 8,
    SPARE_BYTES = 64 * 1024, /* a spare block does not keep more */
    PATIENCE = 8,            /* a section of so many times the allowed bytes is not decoded to its end */
    FIELD_COST = 32,         /* of a field beyond its bytes: RFC 9113 section 6.5.2 */
};

struct bytes {
    char *at;
    uint32_t len, room;
};

enum pseudo {
    PSEUDO_METHOD,
    PSEUDO_SCHEME,
    PSEUDO_AUTHORITY,
    PSEUDO_PATH,
    PSEUDO_PROTOCOL,
    PSEUDO_STATUS,
    PSEUDOS
};

static const struct text pseudo_names[PSEUDOS] = {
    [PSEUDO_METHOD] = {":method", 7}, [PSEUDO_SCHEME] = {":scheme", 7},     [PSEUDO_AUTHORITY] = {":authority", 10},
    [PSEUDO_PATH] = {":path", 5},     [PSEUDO_PROTOCOL] = {":protocol", 9}, [PSEUDO_STATUS] = {":status", 7},
};

struct h2_block {
    struct h2_block *next_spare;
    struct worker *worker;
    struct bytes pseudo, lines, cookie;
    uint32_t pseudo_at[PSEUDOS], pseudo_len[PSEUDOS];
    bool has[PSEUDOS];
    bool has_host;
    bool too_large;
    bool is_call;
    uint32_t fields;     /* regular ones */
    uint32_t line_count; /* of `lines`, */
    uint32_t expected;   /* and of the text they are in: any more, and one has made lines of its own */
    size_t taken;        /* bytes of all, as RFC 9113 section 6.5.2 counts */
};

/* ---- memory ---- */

struct h2_block *h2_block_take(struct worker *worker)
{
    struct h2_block *block = worker->spare_blocks;
    if (block == NULL) {
        block = calloc(1, sizeof(*block));
        if (block != NULL)
            block->worker = worker;
        return block;
    }
    worker->spare_blocks = block->next_spare;
    worker->spare_block_count--;
    struct bytes pseudo = block->pseudo, lines = block->lines, cookie = block->cookie;
    *block = (struct h2_block){.worker = worker, .pseudo = pseudo, .lines = lines, .cookie = cookie};
    block->pseudo.len = block->lines.len = block->cookie.len = 0;
    return block;
}

static void block_free(struct h2_block *block)
{
    free(block->pseudo.at);
    free(block->lines.at);
    free(block->cookie.at);
    free(block);
}

void h2_block_give(struct worker *worker, struct h2_block *block)
{
    if (block == NULL)
        return;
    if (worker->spare_block_count >= SPARE_BLOCKS || block->lines.room + block->cookie.room > SPARE_BYTES) {
        block_free(block);
        return;
    }
    block->next_spare = worker->spare_blocks;
    worker->spare_blocks = block;
    worker->spare_block_count++;
}

void h2_blocks_done(struct worker *worker)
{
    while (worker->spare_blocks != NULL) {
        struct h2_block *block = worker->spare_blocks;
        worker->spare_blocks = block->next_spare;
        block_free(block);
    }
    worker->spare_block_count = 0;
}

static bool make_room(struct bytes *bytes, uint32_t more)
{
    if (bytes->room - bytes->len >= more)
        return true;
    uint32_t room = bytes->room > 0 ? bytes->room : FIRST_ROOM;
    while (room - bytes->len < more)
        room *= 2;
    char *grown = realloc(bytes->at, room);
    if (grown == NULL)
        return false;
    bytes->at = grown;
    bytes->room = room;
    return true;
}

static void put(struct bytes *bytes, const char *at, uint32_t len)
{
    if (len > 0)
        memcpy(bytes->at + bytes->len, at, len);
    bytes->len += len;
}

/* ---- field by field ---- */

static bool add_pseudo(struct h2_block *block, struct text name, struct text value)
{
    for (int i = 0; i < PSEUDOS; i++) {
        if (!text_equals(name, pseudo_names[i].at, pseudo_names[i].len))
            continue;
        if (!make_room(&block->pseudo, value.len))
            return false;
        block->has[i] = true;
        block->pseudo_at[i] = block->pseudo.len;
        block->pseudo_len[i] = value.len;
        put(&block->pseudo, value.at, value.len);
        return true;
    }
    return true; /* nghttp2 has refused all others */
}

static bool add_crumb(struct h2_block *block, struct text value)
{
    if (!make_room(&block->cookie, value.len + 2))
        return false;
    if (block->cookie.len > 0)
        put(&block->cookie, "; ", 2);
    put(&block->cookie, value.at, value.len);
    return true;
}

static bool add_line(struct h2_block *block, struct text name, struct text value)
{
    if (!make_room(&block->lines, name.len + value.len + 4))
        return false;
    put(&block->lines, name.at, name.len);
    put(&block->lines, ": ", 2);
    put(&block->lines, value.at, value.len);
    put(&block->lines, "\r\n", 2);
    block->line_count++;
    return true;
}

bool h2_block_add(struct h2_block *block, struct text name, struct text value)
{
    const struct config_limits *limits = &block->worker->view->config->limits;
    block->taken += (size_t)name.len + value.len + FIELD_COST;
    if (text_equals(name, "content-type", 12))
        block->is_call = grpc_is_media_type(value);
    if (block->too_large || block->taken > limits->header_bytes + (size_t)FIELD_COST * limits->header_count) {
        block->too_large = true;
        return block->taken <= PATIENCE * (limits->header_bytes + (size_t)FIELD_COST * limits->header_count);
    }
    if (name.len > 0 && name.at[0] == ':')
        return add_pseudo(block, name, value);
    block->fields++;
    if (!block->has[PSEUDO_STATUS] && text_equals(name, "cookie", 6))
        return add_crumb(block, value);
    if (text_equals(name, "host", 4))
        block->has_host = true;
    return add_line(block, name, value);
}

static struct text pseudo_of(const struct h2_block *block, enum pseudo which)
{
    if (!block->has[which])
        return (struct text){NULL, 0};
    return (struct text){block->pseudo.at + block->pseudo_at[which], block->pseudo_len[which]};
}

bool h2_block_asks_head(const struct h2_block *block)
{
    return text_equals(pseudo_of(block, PSEUDO_METHOD), "HEAD", 4);
}

bool h2_block_is_call(const struct h2_block *block)
{
    return block->is_call;
}

uint32_t h2_block_count(const struct h2_block *block)
{
    return block->fields;
}

/* ---- as text ---- */

static char *append(char *to, struct text text)
{
    if (text.len > 0)
        memcpy(to, text.at, text.len);
    return to + text.len;
}

#define APPEND(to, literal) append(to, (struct text){literal, sizeof(literal) - 1})

static char *append_field(char *to, struct text name, struct text value)
{
    to = append(to, name);
    to = APPEND(to, ": ");
    to = append(to, value);
    return APPEND(to, "\r\n");
}

/* RFC 6455 section 4.1: sixteen random bytes in base64. */
static char *append_websocket_key(char *to, struct worker *worker)
{
    uint64_t random[2] = {worker_random(worker), worker_random(worker)};
    to = APPEND(to, "sec-websocket-key: ");
    to += EVP_EncodeBlock((unsigned char *)to, (const unsigned char *)random, sizeof(random));
    return APPEND(to, "\r\n");
}

enum {
    LINE_EXTRA = 256
}; /* all that is added to what came: request line, names, an upgrade's fields */

static struct slice take_text(struct h2_block *block)
{
    size_t bound = (size_t)block->pseudo.len + block->lines.len + block->cookie.len + LINE_EXTRA;
    struct chunk *chunk = chunk_take(&block->worker->chunks, bound);
    return (struct slice){chunk, chunk != NULL ? chunk->data : NULL, 0};
}

static void end_text(struct slice *text, const char *end)
{
    text->chunk->used = (uint32_t)(end - text->chunk->data);
    text->len = text->chunk->used;
}

/* What an extended CONNECT stands for: RFC 8441 section 5. */
static bool is_websocket(const struct h2_block *block)
{
    struct text protocol = pseudo_of(block, PSEUDO_PROTOCOL);
    return text_equals_fold(protocol, "websocket", 9);
}

static struct slice write_request(struct h2_block *block)
{
    struct slice text = take_text(block);
    if (text.chunk == NULL)
        return text;
    char *to = text.chunk->data;
    struct text method = pseudo_of(block, PSEUDO_METHOD);
    bool upgrade = is_websocket(block);
    block->expected = block->line_count + (block->has[PSEUDO_AUTHORITY] ? 1 : 0) + (block->cookie.len > 0 ? 1 : 0) +
                      (upgrade ? 3 : 0);
    to = upgrade ? APPEND(to, "GET") : append(to, method);
    to = APPEND(to, " ");
    to = append(to, pseudo_of(block, PSEUDO_PATH));
    to = APPEND(to, " HTTP/1.1\r\n");
    /* Where both are there, the parser would refuse two Hosts: equal ones are one (section 8.3.1), see same_host(). */
    if (block->has[PSEUDO_AUTHORITY])
        to = append_field(to, (struct text){"host", 4}, pseudo_of(block, PSEUDO_AUTHORITY));
    if (upgrade) {
        to = APPEND(to, "connection: upgrade\r\nupgrade: websocket\r\n");
        to = append_websocket_key(to, block->worker);
    }
    to = append(to, (struct text){block->lines.at, block->lines.len});
    if (block->cookie.len > 0)
        to = append_field(to, (struct text){"cookie", 6}, (struct text){block->cookie.at, block->cookie.len});
    to = APPEND(to, "\r\n");
    end_text(&text, to);
    return text;
}

/* Takes a Host that says the same as :authority out of the lines. What says something else stays, and is refused as a
 * second one. */
static void drop_same_host(struct h2_block *block)
{
    struct text authority = pseudo_of(block, PSEUDO_AUTHORITY);
    char *at = block->lines.at, *end = at + block->lines.len;
    while (at < end) {
        char *next = (char *)memchr(at, '\n', (size_t)(end - at)) + 1;
        if (strncmp(at, "host: ", 6) == 0 && (size_t)(next - at - 8) == authority.len &&
            strncasecmp(at + 6, authority.at, authority.len) == 0) {
            memmove(at, next, (size_t)(end - next));
            block->lines.len -= (uint32_t)(next - at);
            block->line_count--;
            return;
        }
        at = next;
    }
}

static enum h2_block_result refuse(struct h1_parser *parser, enum h1_fault_id fault, bool request)
{
    parser->fault = h1_fault_of(fault, request);
    return H2_BLOCK_BAD;
}

static enum h2_block_result parse(const struct h2_block *block, struct h1_parser *parser, struct slice *text,
                                  struct head *head)
{
    if (text->chunk == NULL)
        return H2_BLOCK_NO_MEMORY;
    size_t head_bytes = 0;
    switch (h1_parser_read(parser, text->at, text->len, &head_bytes)) {
    case H1_DONE:
        *head = *h1_parser_head(parser);
        if (head_bytes == text->len && head->field_count == block->expected)
            return H2_BLOCK_DONE;
        (void)refuse(parser, H1_FAULT_NOT_HTTP, parser->request); /* a field has made an end of its own */
        break;
    case H1_MORE:
        (void)refuse(parser, H1_FAULT_HEAD_TOO_LARGE, parser->request);
        break;
    case H1_BAD:
        break;
    }
    chunk_unref(text->chunk);
    text->chunk = NULL;
    return H2_BLOCK_BAD;
}

/* Methods whose requests are to say so when they have no content: RFC 9110 section 8.6. Others may, and then keep it.
 */
static bool expects_body(const struct head *head)
{
    return head->has_content_length || text_equals(head->method, "POST", 4) || text_equals(head->method, "PUT", 3) ||
           text_equals(head->method, "PATCH", 5);
}

enum h2_block_result h2_block_request(struct h2_block *block, struct h1_parser *parser,
                                      const struct config_limits *limits, bool ended, struct head *head,
                                      struct slice *text)
{
    h1_parser_start_request(parser, limits);
    text->chunk = NULL;
    if (block->too_large)
        return refuse(parser, H1_FAULT_HEAD_TOO_LARGE, true);
    if (block->has_host && block->has[PSEUDO_AUTHORITY])
        drop_same_host(block);
    bool connect = text_equals(pseudo_of(block, PSEUDO_METHOD), "CONNECT", 7);
    if (connect && !is_websocket(block))
        return refuse(parser, H1_FAULT_CONNECT, true);
    *text = write_request(block);
    enum h2_block_result result = parse(block, parser, text, head);
    if (result != H2_BLOCK_DONE)
        return result;
    if (connect)
        head->framing = FRAMING_NONE; /* what comes is the tunnel's */
    else if (ended)
        head->framing = expects_body(head) ? FRAMING_LENGTH : FRAMING_NONE;
    else if (!head->has_content_length)
        head->framing = FRAMING_CHUNKED;
    head->keep_alive = true;
    head->http2 = true;
    return H2_BLOCK_DONE;
}

static struct slice write_response(struct h2_block *block, struct text accept)
{
    struct slice text = take_text(block);
    if (text.chunk == NULL)
        return text;
    char *to = text.chunk->data;
    struct text status = pseudo_of(block, PSEUDO_STATUS);
    bool granted = accept.len > 0 && status.len == 3 && status.at[0] == '2';
    block->expected = block->line_count + (granted ? 3 : 0);
    to = APPEND(to, "HTTP/1.1 ");
    to = granted ? APPEND(to, "101") : append(to, status);
    to = APPEND(to, " \r\n");
    if (granted) {
        to = APPEND(to, "connection: upgrade\r\nupgrade: websocket\r\n");
        to = append_field(to, (struct text){"sec-websocket-accept", 20}, accept);
    }
    to = append(to, (struct text){block->lines.at, block->lines.len});
    to = APPEND(to, "\r\n");
    end_text(&text, to);
    return text;
}

enum h2_block_result h2_block_response(struct h2_block *block, struct h1_parser *parser,
                                       const struct config_limits *limits, bool to_head, bool ended, struct text accept,
                                       struct head *head, struct slice *text)
{
    h1_parser_start_response(parser, limits, to_head);
    text->chunk = NULL;
    if (block->too_large)
        return refuse(parser, H1_FAULT_HEAD_TOO_LARGE, false);
    *text = write_response(block, accept);
    enum h2_block_result result = parse(block, parser, text, head);
    if (result != H2_BLOCK_DONE)
        return result;
    const char *reason = h1_reason(head->status);
    head->reason = (struct text){reason, (uint32_t)strlen(reason)};
    head->keep_alive = true;
    head->http2 = true;
    if (ended)
        head->framing = FRAMING_NONE;
    else if (head->framing == FRAMING_UNTIL_CLOSE)
        head->framing = FRAMING_CHUNKED; /* the stream's end is certain */
    return H2_BLOCK_DONE;
}

struct text h2_block_trailers(struct h2_block *block)
{
    char *at = block->lines.at, *end = at + block->lines.len, *to = at;
    while (at < end) {
        char *next = (char *)memchr(at, '\n', (size_t)(end - at)) + 1;
        const char *colon = memchr(at, ':', (size_t)(next - at));
        size_t len = (size_t)(next - at);
        if (h1_trailer_use((struct text){at, (uint32_t)(colon - at)}) == H1_TRAILER_KEEP) {
            memmove(to, at, len);
            to += len;
        }
        at = next;
    }
    return (struct text){block->lines.at, (uint32_t)(to - block->lines.at)};
}
