/*
 * Fuzzer of a client that speaks HTTP/2: its bytes go through the session into heads. For any bytes: the requests are
 * the same whole and in pieces; what is accepted is one request for a backend, too, and can be sent over HTTP/2 again;
 * and all is given back.
 */
#include <stdio.h>

#include "proxy/h2_link.h"
#include "tests/proxy/h2_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    STREAMS = 16,
    SEEN = 64 * 1024
};

struct fuzzed_stream {
    struct h2_stream base; /* first */
    bool open;
};

struct fuzzed {
    struct bench bench;
    struct conn conn;
    struct h2_link link;
    struct fuzzed_stream streams[STREAMS];
    char *seen; /* all that was understood, as text */
    size_t seen_len;
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "%s\n", what);
    abort();
}

static struct fuzzed *fuzzed_of(struct h2_link *link)
{
    return (struct fuzzed *)((char *)link - offsetof(struct fuzzed, link));
}

static void note(struct fuzzed *f, char what, int32_t id, const char *at, size_t len)
{
    if (f->seen_len + len + 32 > SEEN)
        return;
    f->seen_len += (size_t)snprintf(f->seen + f->seen_len, 32, "%c%d ", what, id);
    if (len > 0)
        memcpy(f->seen + f->seen_len, at, len);
    f->seen_len += len;
}

/* ---- what must hold for a request ---- */

static void must_be_one_field_each(const struct h2_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        const nghttp2_nv *nv = &fields->at[i];
        must(nv->namelen > 0, "a field without a name");
        must(nv->name[0] == ':' || nghttp2_check_header_name(nv->name, nv->namelen), "a name that may not be sent");
        must(nghttp2_check_header_value_rfc9113(nv->value, nv->valuelen), "a value that may not be sent");
    }
}

static void must_be_one_request(struct fuzzed *f, const struct head *head)
{
    static const struct config_headers rules = {.via = true, .x_request_id = HEADER_KEEP};
    const struct h1_forward forward = {
        .rules = &rules, .client = {{127, 0, 0, 1}, 4}, .request_id = {"id", 2}, .backend_host = {"b:1", 3}};
    static const struct config_limits wide = {.header_bytes = 65536, .header_count = 100, .uri_bytes = 65536};
    size_t bound = h1_request_bound(head, &forward), head_bytes = 0;
    char *text = malloc(bound);
    struct h1_parser *parser = h1_parser_new(&wide);
    must(text != NULL && parser != NULL, "no memory");
    size_t len = h1_write_request(text, head, &forward);
    must(len <= bound, "more than the bound was written");
    h1_parser_start_request(parser, &wide);
    must(h1_parser_read(parser, text, len, &head_bytes) == H1_DONE && head_bytes == len, "what was written is refused");
    const struct head *again = h1_parser_head(parser);
    must(again->framing == head->framing && again->content_length == head->content_length, "other framing");
    must(again->target.len == head->target.len && again->upgrade == head->upgrade, "other request");
    struct h2_fields *fields = h2_link_fields(&f->link);
    must(fields != NULL && h2_fields_request(fields, (struct text){text, (uint32_t)len}, false), "no fields");
    must_be_one_field_each(fields);
    h1_parser_free(parser);
    free(text);
}

/* ---- the link's events ---- */

static struct fuzzed_stream *open_stream(struct fuzzed *f, int32_t id)
{
    for (int i = 0; i < STREAMS; i++) {
        struct fuzzed_stream *s = &f->streams[i];
        if (s->open)
            continue;
        *s = (struct fuzzed_stream){.base = {.id = id}, .open = true};
        (void)nghttp2_session_set_stream_user_data(f->link.session, id, &s->base);
        return s;
    }
    return NULL;
}

static void answer(struct fuzzed *f, struct fuzzed_stream *s)
{
    struct h2_fields *fields = h2_link_fields(&f->link);
    nghttp2_data_provider body = h2_stream_body(&s->base);
    must(fields != NULL && h2_fields_response(fields, text_of("HTTP/1.1 200 OK\r\nServer: X\r\n\r\n"), 200),
         "no memory");
    (void)nghttp2_submit_response(f->link.session, s->base.id, fields->at, fields->count, &body);
    (void)h2_stream_end(&f->link, &s->base, text_of(s->base.id % 4 == 1 ? "x: y\r\n" : ""));
}

static void take_request(struct fuzzed *f, struct fuzzed_stream *s, bool ended)
{
    struct head head;
    struct slice text;
    struct h1_parser *parser = f->bench.parser;
    switch (h2_block_request(f->link.block, parser, &f->bench.config.limits, ended, &head, &text)) {
    case H2_BLOCK_DONE:
        if (!head.upgrade) /* a key that is random */
            note(f, 'R', s->base.id, text.at, text.len);
        must_be_one_request(f, &head);
        chunk_unref(text.chunk);
        break;
    case H2_BLOCK_BAD: {
        const char *name = h1_parser_fault(parser)->name;
        note(f, 'B', s->base.id, name, strlen(name));
        break;
    }
    case H2_BLOCK_NO_MEMORY:
        must(false, "no memory");
    }
}

static void on_section(struct h2_link *link, const nghttp2_frame *frame)
{
    struct fuzzed *f = fuzzed_of(link);
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        struct text trailers = h2_block_trailers(link->block);
        note(f, 'T', frame->hd.stream_id, trailers.at, trailers.len);
        return;
    }
    struct fuzzed_stream *s = open_stream(f, frame->hd.stream_id);
    if (s == NULL)
        (void)nghttp2_submit_rst_stream(link->session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
    else
        take_request(f, s, (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
}

static void on_body(struct h2_link *link, struct h2_stream *stream, struct slice bytes)
{
    for (uint32_t i = 0; i < bytes.len; i++)
        note(fuzzed_of(link), 'D', stream->id, bytes.at + i, 1);
    if (stream->id % 3 == 0)
        h2_stream_pause(link, stream, !stream->paused);
    h2_stream_taken(link, stream, bytes.len);
}

static void on_end(struct h2_link *link, struct h2_stream *stream)
{
    note(fuzzed_of(link), 'E', stream->id, NULL, 0);
    answer(fuzzed_of(link), (struct fuzzed_stream *)stream);
}

static void on_closed(struct h2_link *link, struct h2_stream *stream, uint32_t error)
{
    (void)error;
    if (stream == NULL)
        return;
    h2_stream_done(link, stream);
    ((struct fuzzed_stream *)stream)->open = false;
}

static void on_drained(struct h2_link *link, struct h2_stream *stream)
{
    (void)link;
    (void)stream;
}

static void on_abuse(struct h2_link *link, enum h2_abuse what)
{
    (void)link;
    must(what < H2_ABUSE_KINDS, "an abuse of no kind");
}

static const struct h2_link_events events = {.on_section = on_section,
                                             .on_body = on_body,
                                             .on_end = on_end,
                                             .on_closed = on_closed,
                                             .on_drained = on_drained,
                                             .on_abuse = on_abuse};

/* ---- a connection without a socket ---- */

static void write_nowhere(struct fuzzed *f)
{
    for (int i = 0; i < 100 && h2_link_fill(&f->link) && f->conn.out.bytes > 0; i++)
        outq_clear(f->bench.worker, &f->conn.out);
    outq_clear(f->bench.worker, &f->conn.out);
}

static bool feed(struct fuzzed *f, const void *at, size_t len)
{
    struct chunk *chunk = chunk_take(&f->bench.worker->chunks, len + 1);
    must(chunk != NULL, "no memory");
    if (len > 0)
        memcpy(chunk->data, at, len);
    chunk->used = (uint32_t)len;
    bool goes_on = h2_link_feed(&f->link, (struct slice){chunk, chunk->data, (uint32_t)len});
    chunk_unref(chunk);
    write_nowhere(f);
    return goes_on && !h2_link_is_over(&f->link);
}

static void play(struct fuzzed *f, const uint8_t *data, size_t size, size_t piece)
{
    static const char begin[] = H2_PREFACE "\0\0\0\4\0\0\0\0\0";
    static const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS},
                                                      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
                                                      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
    memset(f, 0, sizeof(*f));
    must(bench_open(&f->bench), "no memory");
    f->seen = malloc(SEEN);
    must(f->seen != NULL, "no memory");
    f->conn.worker = f->bench.worker;
    must(h2_link_open(&f->link, &f->conn, true, &events, settings, sizeof(settings) / sizeof(settings[0])),
         "no session");
    bool goes_on = feed(f, begin, sizeof(begin) - 1);
    for (size_t from = 0; from < size && goes_on; from += piece)
        goes_on = feed(f, data + from, from + piece < size ? piece : size - from);
}

static void put_away(struct fuzzed *f)
{
    for (int i = 0; i < STREAMS; i++)
        if (f->streams[i].open)
            h2_stream_done(&f->link, &f->streams[i].base);
    h2_link_close(&f->link);
    outq_clear(f->bench.worker, &f->conn.out);
    bench_close(&f->bench);
    free(f->seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzzed whole, pieces;
    if (size > 4096)
        return 0;
    play(&whole, data, size, size > 0 ? size : 1);
    play(&pieces, data, size, 7);
    /* In pieces answers go out in between: what comes for a stream that is over by then is not the same. All before is.
     */
    size_t least = whole.seen_len < pieces.seen_len ? whole.seen_len : pieces.seen_len;
    must(memcmp(whole.seen, pieces.seen, least) == 0 || whole.link.has_reset || pieces.link.has_reset,
         "not the same in pieces");
    put_away(&whole);
    put_away(&pieces);
    return 0;
}
