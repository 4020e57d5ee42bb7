/*
 * Fuzzer of response heads; the first byte says what was asked. For any bytes: the outcome is the same whole and byte
 * by byte; what is accepted, llhttp accepts with the same fields; and what is written for a client is read again as the
 * same.
 */
#include "tests/proxy/h1_oracle.h"
#include "tests/proxy/h1_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct config_limits limits = {.header_bytes = 900, .header_count = 12, .uri_bytes = 300};

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

/* llhttp refuses a tab behind a Content-Length. */
static void hold_against_llhttp(const struct reading *reading, struct bytes bytes)
{
    struct oracle oracle = ask_oracle(false, bytes);
    if (!oracle.complete && strstr(oracle.reason, "Content-Length") != NULL &&
        memchr(bytes.at, '\t', bytes.len) != NULL)
        return;
    must(oracle.complete, "llhttp refuses it", reading->facts.text, oracle.reason);
    struct line plain;
    without_marks(&plain, &reading->fields);
    must(strcmp(plain.text, oracle.fields.text) == 0, "llhttp reads other fields", plain.text, oracle.fields.text);
}

static void write_and_read_again(const struct head *head, bool to_head, bool via)
{
    static const struct config_limits wide = {.header_bytes = 65536, .header_count = 40, .uri_bytes = 4096};
    const struct config_headers rules = {.via = via};
    const struct h1_reply reply = {.rules = &rules,
                                   .framing = head->framing,
                                   .client_minor = 1,
                                   .close = head->framing == FRAMING_UNTIL_CLOSE,
                                   .extra = {"Set-Cookie: a=b\r\n", 17}};
    size_t bound = h1_response_bound(head, &reply), head_bytes;
    char *to = malloc(bound);
    struct h1_parser *parser = h1_parser_new(&wide);
    if (parser == NULL || to == NULL)
        abort();
    size_t length = h1_write_response(to, head, &reply);
    must(length <= bound, "more than the bound was written", NULL, NULL);
    h1_parser_start_response(parser, &wide, to_head);
    enum h1_result result = h1_parser_read(parser, to, length, &head_bytes);
    must(result == H1_DONE && head_bytes == length, "what was written is refused",
         result == H1_BAD ? h1_parser_fault(parser)->name : "more", NULL);
    const struct head *again = h1_parser_head(parser);
    must(head->status == again->status && again->minor == 1, "other status", NULL, NULL);
    must(head->reason.len == again->reason.len && memcmp(head->reason.at, again->reason.at, head->reason.len) == 0,
         "other reason", NULL, NULL);
    must(head->framing == again->framing, "other framing", NULL, NULL);
    must(head->framing != FRAMING_LENGTH || head->content_length == again->content_length, "other length", NULL, NULL);
    h1_parser_free(parser);
    free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 1024)
        return 0;
    int kind = (data[0] & 1) + 1;
    struct bytes bytes = {(const char *)data + 1, size - 1};
    struct h1_parser *parser = h1_parser_new(&limits);
    if (parser == NULL)
        abort();
    struct reading bytewise = read_in_pieces(parser, &limits, kind, bytes, 0, 1);
    struct reading halves = read_in_pieces(parser, &limits, kind, bytes, size / 2, size);
    must_equal(&bytewise, &halves);
    struct reading whole = {.result = H1_MORE};
    h1_parser_start_response(parser, &limits, kind == 2);
    reading_take(&whole, parser, false, h1_parser_read(parser, bytes.at, bytes.len, &whole.head_bytes));
    must_equal(&bytewise, &whole);
    if (whole.result == H1_DONE) {
        hold_against_llhttp(&whole, bytes);
        write_and_read_again(h1_parser_head(parser), kind == 2, true);
        write_and_read_again(h1_parser_head(parser), kind == 2, false);
    }
    h1_parser_free(parser);
    return 0;
}
