/*
 * RESP3 as RESP2: each type, alone and nested, in one piece and byte by byte; what is refused; and that hiredis reads
 * what comes out.
 */
#include "proxy/redis_resp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hiredis/hiredis.h>

enum {
    ROOM = 1 << 16
};

struct sink {
    char text[ROOM];
    size_t length;
    bool full;
};

static bool take(void *context, const char *bytes, size_t length)
{
    struct sink *sink = context;
    if (sink->full)
        return false;
    assert_true(length > 0 && length < ROOM - sink->length);
    memcpy(sink->text + sink->length, bytes, length);
    sink->length += length;
    sink->text[sink->length] = '\0';
    return true;
}

static struct sink out;

static void start(struct redis_resp *resp, bool drop_pushes)
{
    memset(&out, 0, sizeof(out));
    memset(resp, 0xa5, sizeof(*resp));
    resp->emit = take;
    resp->context = &out;
    resp->drop_pushes = drop_pushes;
    resp->size_most = 1024;
    redis_resp_start(resp);
}

/* Each piece in a block of its own, so that a sanitizer sees what is read behind it. */
static bool feed(struct redis_resp *resp, const char *bytes, size_t length, size_t step)
{
    bool good = true;
    for (size_t at = 0; at < length && good; at += step) {
        size_t size = length - at < step ? length - at : step;
        char *block = malloc(size);
        assert_non_null(block);
        memcpy(block, bytes + at, size);
        good = redis_resp_feed(resp, block, size);
        free(block);
    }
    return good;
}

static void becomes(const char *in, const char *expected)
{
    struct redis_resp resp;
    for (size_t step = 1; step <= strlen(in); step++) {
        start(&resp, false);
        assert_true(feed(&resp, in, strlen(in), step));
        assert_string_equal(out.text, expected);
        assert_true(redis_resp_is_between(&resp));
    }
}

static void refused(const char *in, const char *fault)
{
    struct redis_resp resp;
    for (size_t step = 1; step <= strlen(in); step++) {
        start(&resp, false);
        assert_false(feed(&resp, in, strlen(in), step));
        assert_string_equal(resp.fault, fault);
        size_t length = out.length;
        assert_false(redis_resp_feed(&resp, "+OK\r\n", 5)); /* and stays so */
        assert_int_equal(out.length, length);
    }
}

static void version_2_stays_as_it_is(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "+OK\r\n",
        "+\r\n",
        "-ERR no\r\n",
        ":0\r\n",
        ":-9223372036854775808\r\n",
        ":9223372036854775807\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "$0\r\n\r\n",
        "$10\r\n\r\n_\r\n#t\r\n%\r\n",
        "*0\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n",
        "*2\r\n*2\r\n:1\r\n*0\r\n*-1\r\n+a\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        becomes(texts[i], texts[i]);
}

static void version_3_becomes_version_2(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"_\r\n", "$-1\r\n"},
        {"#t\r\n", ":1\r\n"},
        {"#f\r\n", ":0\r\n"},
        {",3.14\r\n", "+3.14\r\n"},
        {",inf\r\n", "+inf\r\n"},
        {"(3492890328409238509324850943850943825024385\r\n", "+3492890328409238509324850943850943825024385\r\n"},
        {"!20\r\nSYNTAX invalid\r\nword\r\n", "-SYNTAX invalid  word\r\n"},
        {"!0\r\n\r\n", "-\r\n"},
        {"=15\r\ntxt:Some string\r\n", "$11\r\nSome string\r\n"},
        {"=4\r\ntxt:\r\n", "$0\r\n\r\n"},
        {"%2\r\n+a\r\n:1\r\n+b\r\n_\r\n", "*4\r\n+a\r\n:1\r\n+b\r\n$-1\r\n"},
        {"%0\r\n", "*0\r\n"},
        {"~2\r\n#t\r\n#f\r\n", "*2\r\n:1\r\n:0\r\n"},
        {">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n\r\n\r\n", "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n\r\n\r\n"},
        {"|1\r\n+ttl\r\n%1\r\n:1\r\n*2\r\n:2\r\n:3\r\n$1\r\nx\r\n", "$1\r\nx\r\n"},
        {"*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n|0\r\n%1\r\n|1\r\n_\r\n_\r\n+k\r\n+v\r\n", "*2\r\n:1\r\n*2\r\n+k\r\n+v\r\n"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        becomes(pairs[i][0], pairs[i][1]);
}

static void pushes_nobody_asked_for_are_left_out(void **state)
{
    (void)state;
    static const char in[] =
        ">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n+OK\r\n>0\r\n*1\r\n>1\r\n:1\r\n>1\r\n=4\r\ntxt:\r\n:2\r\n";
    struct redis_resp resp;
    for (size_t step = 1; step < sizeof(in); step++) {
        start(&resp, true);
        assert_true(feed(&resp, in, sizeof(in) - 1, step));
        assert_string_equal(out.text, "+OK\r\n*1\r\n*1\r\n:1\r\n:2\r\n"); /* inside an answer it is part of it */
    }
}

static void garbage_is_refused(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"HTTP/1.1 400 Bad Request\r\n", "no type of RESP"},
        {"\x15\x03\x03", "no type of RESP"},
        {"+OK\n", "a line without CR"},
        {"+OK\rX", "a line that does not end in CR LF"},
        {":\r\n", "not a number"},
        {":1a\r\n", "not a number"},
        {":+1\r\n", "not a number"},
        {":01\r\n", "not a number"},
        {":-0\r\n", "not a number"},
        {":9223372036854775808\r\n", "not a number"},
        {":99999999999999999999999999999\r\n", "not a number"},
        {"$-2\r\n", "a negative length"},
        {"$1025\r\n", "too long"},
        {"$99999999999\r\n", "too long"},
        {"$1\r\nxy", "longer than it said"},
        {"$?\r\n", "not a number"},
        {"*-2\r\n", "a negative length"},
        {"%-1\r\n", "a negative length"},
        {"*262145\r\n", "too many elements"},
        {"%131073\r\n", "too many elements"},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "nested too deeply"},
        {"#x\r\n", "neither true nor false"},
        {"#tt\r\n", "neither true nor false"},
        {"_x\r\n", "a null with something in it"},
        {"=3\r\ntxt\r\n", "a verbatim string without its kind"},
        {"=5\r\ntxt?x\r\n", "a verbatim string without its kind"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        refused(pairs[i][0], pairs[i][1]);
}

static void an_endless_answer_is_refused(void **state)
{
    (void)state;
    static const char *const beginnings[] = {"+", "-", ",", "*200000\r\n", "|100\r\n", "!1000\r\n", "$1000\r\n"};
    static const char *const more[] = {"a", "a", "1", "$100\r\n", "|1\r\n:1\r\n_\r\n", "x", "\r\n"};
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        struct redis_resp resp;
        start(&resp, false);
        bool good = redis_resp_feed(&resp, beginnings[i], strlen(beginnings[i]));
        for (int k = 0; k < 2048 && good; k++)
            good = redis_resp_feed(&resp, more[i], strlen(more[i]));
        assert_false(good);
        assert_true(out.length <= 2 * resp.size_most);
    }
}

static void elements_are_counted_over_all_levels(void **state)
{
    (void)state;
    struct redis_resp resp;
    start(&resp, false);
    assert_true(redis_resp_feed(&resp, "*2\r\n*200000\r\n", 13));
    assert_false(redis_resp_feed(&resp, "*100000\r\n", 9));
    assert_string_equal(resp.fault, "too many elements");
}

static void no_memory_is_a_fault(void **state)
{
    (void)state;
    struct redis_resp resp;
    start(&resp, false);
    out.full = true;
    assert_false(redis_resp_feed(&resp, "+OK\r\n", 5));
    assert_string_equal(resp.fault, "no memory");
}

static bool feed_reader(void *context, const char *bytes, size_t length)
{
    return redisReaderFeed(context, bytes, length) == REDIS_OK;
}

static void hiredis_reads_what_comes_out(void **state)
{
    (void)state;
    static const char in[] =
        "|1\r\n+a\r\n+b\r\n%2\r\n$6\r\nserver\r\n=9\r\ntxt:redis\r\n_\r\n~2\r\n,1.5\r\n#t\r\n+next\r\n";
    redisReader *reader = redisReaderCreate();
    struct redis_resp resp;
    start(&resp, false);
    resp.emit = feed_reader;
    resp.context = reader;
    assert_true(redis_resp_feed(&resp, in, sizeof(in) - 1));
    void *got;
    assert_int_equal(redisReaderGetReply(reader, &got), REDIS_OK);
    redisReply *reply = got;
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    assert_int_equal(reply->elements, 4);
    assert_string_equal(reply->element[1]->str, "redis");
    assert_int_equal(reply->element[2]->type, REDIS_REPLY_NIL);
    assert_string_equal(reply->element[3]->element[0]->str, "1.5");
    assert_int_equal(reply->element[3]->element[1]->integer, 1);
    freeReplyObject(reply);
    assert_int_equal(redisReaderGetReply(reader, &got), REDIS_OK);
    assert_string_equal(((redisReply *)got)->str, "next");
    freeReplyObject(got);
    redisReaderFree(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_2_stays_as_it_is),
        cmocka_unit_test(version_3_becomes_version_2),
        cmocka_unit_test(pushes_nobody_asked_for_are_left_out),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(an_endless_answer_is_refused),
        cmocka_unit_test(elements_are_counted_over_all_levels),
        cmocka_unit_test(no_memory_is_a_fault),
        cmocka_unit_test(hiredis_reads_what_comes_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
