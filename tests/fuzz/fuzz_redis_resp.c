/*
 * Fuzzer of RESP3 as RESP2; the first byte is the size of the pieces. For any bytes: the same comes out whole and in
 * pieces, hiredis's reader takes it without a fault and ends where we say that an answer ends; and what comes out, put
 * in again, comes out unchanged.
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/redis_resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    ROOM = 64 * 1024
};

struct outcome {
    size_t length;
    char text[ROOM];
    const char *fault;
    bool is_between;
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "%s\n", what);
    abort();
}

static bool take(void *context, const char *bytes, size_t length)
{
    struct outcome *outcome = context;
    must(length <= ROOM - outcome->length, "much more comes out than went in");
    memcpy(outcome->text + outcome->length, bytes, length);
    outcome->length += length;
    return true;
}

static void rewrite(struct outcome *outcome, const char *bytes, size_t size, size_t step, bool drop_pushes)
{
    struct redis_resp resp = {.emit = take, .context = outcome, .drop_pushes = drop_pushes, .size_most = 4096};
    outcome->length = 0;
    redis_resp_start(&resp);
    for (size_t at = 0; at < size && resp.fault == NULL; at += step) {
        size_t length = size - at < step ? size - at : step;
        char *block = malloc(length);
        if (block == NULL)
            abort();
        memcpy(block, bytes + at, length);
        must(redis_resp_feed(&resp, block, length) == (resp.fault == NULL), "good without being it");
        free(block);
    }
    outcome->fault = resp.fault;
    outcome->is_between = redis_resp_is_between(&resp);
}

static void must_equal(const struct outcome *a, const struct outcome *b)
{
    must((a->fault == NULL) == (b->fault == NULL) && (a->fault == NULL || strcmp(a->fault, b->fault) == 0),
         "another fault in pieces");
    must(a->length == b->length && memcmp(a->text, b->text, a->length) == 0, "something else comes out in pieces");
}

static void read_by_hiredis(const struct outcome *outcome)
{
    static const char end[] = "+this is the end\r\n";
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    bool ended = false;
    if (reader == NULL || redisReaderFeed(reader, outcome->text, outcome->length) != REDIS_OK)
        abort();
    if (outcome->fault == NULL && outcome->is_between && redisReaderFeed(reader, end, sizeof(end) - 1) != REDIS_OK)
        abort();
    do {
        must(redisReaderGetReply(reader, &reply) == REDIS_OK, "hiredis does not read it");
        if (reply == NULL)
            break;
        const redisReply *read = reply;
        ended = read->type == REDIS_REPLY_STATUS && strcmp(read->str, "this is the end") == 0;
        freeReplyObject(reply);
    } while (true);
    must(outcome->fault != NULL || !outcome->is_between || ended, "hiredis waits for more");
    redisReaderFree(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome whole, pieces, bytewise, again;
    if (size < 3 || size > 8192)
        return 0;
    size_t step = (size_t)data[0] % 64 + 1;
    bool drop_pushes = data[1] % 2 != 0;
    const char *bytes = (const char *)data + 2;
    rewrite(&whole, bytes, size - 2, size, drop_pushes);
    rewrite(&pieces, bytes, size - 2, step, drop_pushes);
    rewrite(&bytewise, bytes, size - 2, 1, drop_pushes);
    must_equal(&whole, &pieces);
    must_equal(&whole, &bytewise);
    read_by_hiredis(&whole);
    rewrite(&again, whole.text, whole.length, size, false);
    must(again.fault == NULL || strcmp(again.fault, "too long") == 0 || whole.fault != NULL, "RESP2 is refused");
    must(again.fault != NULL || (again.length == whole.length && memcmp(again.text, whole.text, whole.length) == 0),
         "RESP2 does not stay as it is");
    return 0;
}
