/*
 * Fuzzer of request heads. For any bytes: the outcome is the same whole and byte by byte; what is accepted, llhttp
 * accepts with the same fields; and what is written for a backend is read again as the same request.
 */
#include "tests/proxy/h1_oracle.h"
#include "tests/proxy/h1_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct config_limits limits = {.header_bytes = 900, .header_count = 12, .uri_bytes = 300};
static const struct config_headers bare = {.x_forwarded_for = HEADER_OFF,
                                           .x_forwarded_proto = HEADER_OFF,
                                           .x_forwarded_host = HEADER_OFF,
                                           .x_request_id = HEADER_OFF};
static const struct config_headers usual = {.via = true,
                                            .x_forwarded_for = HEADER_APPEND,
                                            .x_forwarded_proto = HEADER_KEEP,
                                            .x_forwarded_host = HEADER_SET,
                                            .x_request_id = HEADER_KEEP};

static void must(bool holds, const char *what, const char *a, const char *b)
{
    if (holds)
        return;
    (void)fprintf(stderr, "%s:\n%s\n%s\n", what, a != NULL ? a : "-", b != NULL ? b : "-");
    abort();
}

static void must_equal(const struct reading *a, const struct reading *b)
{
    must(a->result == b->result, "other outcome in pieces", a->fault, b->fault);
    must((a->fault == NULL) == (b->fault == NULL), "only one refuses", a->fault, b->fault);
    must(a->fault == NULL || strcmp(a->fault, b->fault) == 0, "other faults", a->fault, b->fault);
    must(strcmp(a->facts.text, b->facts.text) == 0, "other facts", a->facts.text, b->facts.text);
    must(strcmp(a->fields.text, b->fields.text) == 0, "other fields", a->fields.text, b->fields.text);
    must(a->result != H1_DONE || a->head_bytes == b->head_bytes, "other length", a->facts.text, b->facts.text);
}

/* llhttp knows fewer methods, has an opinion about bytes in URIs, reads absolute ones in its own way, and refuses a tab
 * behind a Content-Length. */
static void hold_against_llhttp(const struct head *head, const struct reading *reading, struct bytes bytes)
{
    for (uint32_t i = 0; i < head->target.len; i++)
        if ((uint8_t)head->target.at[i] >= 0x80)
            return;
    struct oracle oracle = ask_oracle(true, bytes);
    if (!oracle.complete && (head->authority.len > 0 || strstr(oracle.reason, "method") != NULL))
        return;
    if (!oracle.complete && strstr(oracle.reason, "Content-Length") != NULL &&
        memchr(bytes.at, '\t', bytes.len) != NULL)
        return;
    must(oracle.complete, "llhttp refuses it", reading->facts.text, oracle.reason);
    struct line plain;
    without_marks(&plain, &reading->fields);
    must(strcmp(plain.text, oracle.fields.text) == 0, "llhttp reads other fields", plain.text, oracle.fields.text);
}

static size_t write_head(char *to, size_t room, const struct head *head, const struct config_headers *rules)
{
    const struct h1_forward forward = {
        .rules = rules, .client = {{127, 0, 0, 1}, 4}, .request_id = {"id", 2}, .backend_host = {"b:1", 3}};
    size_t bound = h1_request_bound(head, &forward);
    must(bound <= room, "the bound is too large for its head", NULL, NULL);
    char *exact = malloc(bound);
    if (exact == NULL)
        abort();
    size_t length = h1_write_request(exact, head, &forward);
    must(length <= bound, "more than the bound was written", NULL, NULL);
    memcpy(to, exact, length);
    free(exact);
    return length;
}

static bool same_text(struct text a, struct text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static void must_be_the_same_request(const struct head *a, const struct head *b, const char *text)
{
    must(same_text(a->method, b->method), "other method", text, NULL);
    must(same_text(a->path, b->path), "other path", text, NULL);
    must(a->has_query == b->has_query && same_text(a->query, b->query), "other query", text, NULL);
    must(a->minor == 0 || same_text(a->host, b->host), "other host", text, NULL);
    must(a->framing == b->framing && a->content_length == b->content_length, "other framing", text, NULL);
    must(a->upgrade == b->upgrade && same_text(a->upgrade_protocol, b->upgrade_protocol), "other upgrade", text, NULL);
    must(a->expect_continue == b->expect_continue, "other expectation", text, NULL);
    must(a->te_trailers == b->te_trailers && a->shunt_shadow == b->shunt_shadow, "other marks", text, NULL);
    must(b->minor == 1 && b->keep_alive && b->authority.len == 0, "not what a backend should get", text, NULL);
}

static void write_and_read_again(const struct head *head, const struct config_headers *rules, bool unchanged)
{
    static const struct config_limits wide = {.header_bytes = 65536, .header_count = 40, .uri_bytes = 4096};
    char first[8192], second[8192];
    size_t length = write_head(first, sizeof(first) - 1, head, rules);
    first[length] = '\0';
    struct h1_parser *parser = h1_parser_new(&wide);
    if (parser == NULL)
        abort();
    size_t head_bytes;
    h1_parser_start_request(parser, &wide);
    enum h1_result result = h1_parser_read(parser, first, length, &head_bytes);
    must(result == H1_DONE && head_bytes == length, "what was written is refused", first,
         result == H1_BAD ? h1_parser_fault(parser)->name : NULL);
    must_be_the_same_request(head, h1_parser_head(parser), first);
    if (unchanged) {
        size_t again = write_head(second, sizeof(second) - 1, h1_parser_head(parser), rules);
        second[again] = '\0';
        must(strcmp(first, second) == 0, "writing it again changes it", first, second);
    }
    h1_parser_free(parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1024)
        return 0;
    struct bytes bytes = {(const char *)data, size};
    struct h1_parser *parser = h1_parser_new(&limits);
    if (parser == NULL)
        abort();
    struct reading bytewise = read_in_pieces(parser, &limits, 0, bytes, 0, 1);
    struct reading halves = read_in_pieces(parser, &limits, 0, bytes, size / 2, size);
    must_equal(&bytewise, &halves);
    struct reading whole = {.result = H1_MORE};
    h1_parser_start_request(parser, &limits);
    reading_take(&whole, parser, true, h1_parser_read(parser, bytes.at, bytes.len, &whole.head_bytes));
    must_equal(&bytewise, &whole);
    if (whole.result == H1_DONE) {
        const struct head *head = h1_parser_head(parser);
        hold_against_llhttp(head, &whole, bytes);
        write_and_read_again(head, &bare, true);
        write_and_read_again(head, &usual, false);
    }
    h1_parser_free(parser);
    return 0;
}
