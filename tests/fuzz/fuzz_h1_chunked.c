/*
 * Fuzzer of chunked bodies; the first byte is the size of the pieces. For any bytes: the same data, trailers, length
 * and fault come out whole and in pieces, and what is accepted, llhttp reads as the same data.
 */
#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    ROOM = 8192
};

struct outcome {
    enum h1_body_result result;
    const char *fault;
    size_t used, data_len, trailers_len;
    char data[ROOM], trailers[H1_TRAILER_ROOM];
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "%s\n", what);
    abort();
}

static void take(struct outcome *outcome, struct h1_body *body, const char *at, size_t length)
{
    for (;;) {
        size_t consumed = 0;
        struct text data;
        outcome->result = h1_body_read(body, at, length, &consumed, &data);
        must(consumed <= length, "more was used than there is");
        outcome->used += consumed;
        if (outcome->result != H1_BODY_DATA) {
            must(outcome->result != H1_BODY_MORE || consumed == length, "wants more without taking all");
            return;
        }
        must(data.len > 0 && data.at >= at && data.at + data.len == at + consumed,
             "data is not the last of what was used");
        memcpy(outcome->data + outcome->data_len, data.at, data.len);
        outcome->data_len += data.len;
        at += consumed;
        length -= consumed;
    }
}

static void read_body(struct outcome *outcome, const uint8_t *bytes, size_t size, size_t step)
{
    const struct head head = {.framing = FRAMING_CHUNKED};
    struct h1_body body;
    memset(outcome, 0, offsetof(struct outcome, data));
    h1_body_start(&body, &head, true);
    for (size_t at = 0; at < size && outcome->result == H1_BODY_MORE; at += step) {
        size_t length = size - at < step ? size - at : step;
        char *block = malloc(length);
        if (block == NULL)
            abort();
        memcpy(block, bytes + at, length);
        take(outcome, &body, block, length);
        free(block);
    }
    outcome->fault = outcome->result == H1_BODY_BAD ? body.fault->name : "";
    outcome->trailers_len = outcome->result == H1_BODY_END ? body.trailers_len : 0;
    if (outcome->trailers_len > 0)
        memcpy(outcome->trailers, body.trailers, outcome->trailers_len);
    h1_body_done(&body);
}

static void must_equal(const struct outcome *a, const struct outcome *b)
{
    must(a->result == b->result && strcmp(a->fault, b->fault) == 0, "other outcome in pieces");
    must(a->data_len == b->data_len && memcmp(a->data, b->data, a->data_len) == 0, "other data in pieces");
    must(a->trailers_len == b->trailers_len && memcmp(a->trailers, b->trailers, a->trailers_len) == 0,
         "other trailers");
    must(a->result != H1_BODY_END || a->used == b->used, "another length in pieces");
}

struct oracle {
    size_t len;
    bool complete;
    char data[ROOM];
};

static int on_body(llhttp_t *llhttp, const char *at, size_t length)
{
    struct oracle *oracle = llhttp->data;
    memcpy(oracle->data + oracle->len, at, length);
    oracle->len += length;
    return 0;
}

static int on_complete(llhttp_t *llhttp)
{
    ((struct oracle *)llhttp->data)->complete = true;
    return HPE_PAUSED;
}

/* llhttp reads extensions in a way of its own, so bodies with one are left aside. */
static void hold_against_llhttp(const struct outcome *outcome, const uint8_t *bytes)
{
    static const char head[] = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    if (memchr(bytes, ';', outcome->used) != NULL)
        return;
    llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_body = on_body;
    settings.on_message_complete = on_complete;
    static struct oracle oracle;
    oracle.len = 0;
    oracle.complete = false;
    llhttp_t llhttp;
    llhttp_init(&llhttp, HTTP_REQUEST, &settings);
    llhttp.data = &oracle;
    llhttp_execute(&llhttp, head, sizeof(head) - 1);
    llhttp_execute(&llhttp, (const char *)bytes, outcome->used);
    must(oracle.complete, "llhttp does not see the end there");
    must(oracle.len == outcome->data_len && memcmp(oracle.data, outcome->data, oracle.len) == 0,
         "llhttp reads other data");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome whole, pieces, bytewise;
    if (size < 2 || size > ROOM)
        return 0;
    size_t step = (size_t)data[0] % 64 + 1;
    read_body(&whole, data + 1, size - 1, size);
    read_body(&pieces, data + 1, size - 1, step);
    read_body(&bytewise, data + 1, size - 1, 1);
    must_equal(&whole, &pieces);
    must_equal(&whole, &bytewise);
    if (whole.result == H1_BODY_END)
        hold_against_llhttp(&whole, data + 1);
    return 0;
}
