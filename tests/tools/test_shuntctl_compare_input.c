/*
 * Recorded requests: both formats, what is left out of them, and what is told about lines that are none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/compare_input.h"

static char told[4096];

static void tell(void *context, const char *sentence)
{
    size_t length = strlen(told);
    (void)context;
    snprintf(told + length, sizeof(told) - length, "%s\n", sentence);
}

static struct recording read_text(const char *text)
{
    struct recording recording = {.at = NULL};
    told[0] = '\0';
    assert_true(recording_parse(&recording, "f", text, strlen(text), tell, NULL));
    return recording;
}

static void assert_told(const char *part)
{
    if (strstr(told, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, told);
}

static void lines_of_json_are_requests(void **state)
{
    struct recording r =
        read_text("\xef\xbb\xbf{\"url\": \"/a?b=c#d\"}\r\n\n"
                  "{\"method\": \"POST\", \"url\": \"https://h.test:8443/p q/\xc3\xa9?x=1\", "
                  "\"headers\": {\"A\": \"1\", \"B\": [\"2\", \"3\"], \"N\": 7, \"E\": \"\"}, \"body\": \"text\"}\n"
                  "{\"path\": \"/only\", \"headers\": [[\"C\", \"4\"]], \"body\": {\"k\": [1]}}\n"
                  "{\"url\": \"http://h.test\", \"headers\": null, \"body\": null}");
    (void)state;
    assert_int_equal(r.bad, 0);
    assert_int_equal(r.count, 4);
    assert_string_equal(r.at[0].method, "GET");
    assert_string_equal(r.at[0].target, "/a?b=c");
    assert_null(r.at[0].body);
    assert_string_equal(r.at[1].target, "/p%20q/%C3%A9?x=1");
    assert_int_equal(r.at[1].header_count, 5);
    assert_string_equal(r.at[1].headers[0], "A: 1");
    assert_string_equal(r.at[1].headers[2], "B: 3");
    assert_string_equal(r.at[1].headers[3], "N: 7");
    assert_string_equal(r.at[1].headers[4], "E;");
    assert_string_equal(r.at[1].body, "text");
    assert_string_equal(r.at[2].headers[0], "C: 4");
    assert_string_equal(r.at[2].body, "{\"k\":[1]}");
    assert_string_equal(r.at[3].target, "/");
    recording_free(&r);
}

static void an_archive_is_told_by_its_log(void **state)
{
    struct recording r =
        read_text("{\"log\": {\"version\": \"1.2\", \"entries\": [\n"
                  " {\"request\": {\"method\": \"PUT\", \"url\": \"http://shop.test/o/1\", \"headers\": ["
                  "{\"name\": \":authority\", \"value\": \"shop.test\"}, {\"name\": \"accept\", \"value\": \"*/*\"}],"
                  " \"postData\": {\"mimeType\": \"application/json\", \"text\": \"{}\"}}},\n"
                  " {\"nothing\": 1}, {\"request\": {\"method\": \"GET\"}} ]}}\n");
    (void)state;
    assert_int_equal(r.count, 1);
    assert_int_equal(r.bad, 2);
    assert_string_equal(r.at[0].target, "/o/1");
    assert_int_equal(r.at[0].header_count, 1);
    assert_string_equal(r.at[0].body, "{}");
    assert_told("f: entry 2: not a JSON object");
    assert_told("f: entry 3: no \"url\"");
    recording_free(&r);
    r = read_text("{\"log\": {}}");
    assert_int_equal(r.bad, 1);
    assert_told("without \"log.entries\"");
    recording_free(&r);
}

/* Messages of protobuf and gRPC are no text. */
static void bodies_in_base64(void **state)
{
    struct recording r = read_text("{\"url\": \"/a.B/C\", \"method\": \"POST\", \"body_base64\": \"AAAAAAMIlgE=\"}\n"
                                   "{\"url\": \"/\", \"body_base64\": \"AP8\"}\n"
                                   "{\"url\": \"/\", \"body_base64\": \"\"}\n"
                                   "{\"url\": \"/\", \"postData\": {\"encoding\": \"base64\", \"text\": \"CAE=\"}}\n");
    (void)state;
    assert_int_equal(r.count, 4);
    assert_int_equal(r.at[0].body_length, 8);
    assert_memory_equal(r.at[0].body, "\0\0\0\0\3\x08\x96\x01", 8);
    assert_int_equal(r.at[1].body_length, 2);
    assert_memory_equal(r.at[1].body, "\0\xff", 2);
    assert_int_equal(r.at[2].body_length, 0);
    assert_int_equal(r.at[3].body_length, 2);
    assert_memory_equal(r.at[3].body, "\x08\x01", 2);
    recording_free(&r);
}

static void headers_of_one_connection_are_left_out(void **state)
{
    struct recording r = read_text("{\"url\": \"/\", \"headers\": {\":path\": \"/\", \"Connection\": \"close\", "
                                   "\"CONTENT-LENGTH\": \"9\", \"Transfer-Encoding\": \"chunked\", \"TE\": \"x\", "
                                   "\"Upgrade\": \"h2c\", \"Host\": \"h\", \"Accept-Encoding\": \"gzip\"}}");
    (void)state;
    assert_int_equal(r.count, 1);
    assert_int_equal(r.at[0].header_count, 2);
    assert_string_equal(r.at[0].headers[0], "Host: h");
    assert_string_equal(r.at[0].headers[1], "Accept-Encoding: gzip");
    recording_free(&r);
}

static void what_is_no_request_is_told_with_its_line(void **state)
{
    static const struct {
        const char *text, *sentence;
    } lines[] = {
        {"nonsense", "f:1: not JSON"},
        {"{\"url\": \"/a\"}\n{\"url\": \"/b\"", "f:2: not JSON"},
        {"[1]", "f:1: not a JSON object"},
        {"{}", "f:1: no \"url\""},
        {"{\"url\": 7}", "f:1: no \"url\""},
        {"{\"url\": \"relative\"}", "neither a URL nor a path"},
        {"{\"url\": \"//h/x\"}", "neither a URL nor a path"},
        {"{\"url\": \"/a\\u000d\\u000aX: y\"}", "control character"},
        {"{\"url\": \"/\", \"method\": \"G T\"}", "not a method"},
        {"{\"url\": \"/\", \"method\": 3}", "not a method"},
        {"{\"url\": \"/\", \"method\": \"CONNECT\"}", "CONNECT"},
        {"{\"url\": \"/\", \"body_base64\": 3}", "is not a string"},
        {"{\"url\": \"/\", \"body_base64\": \"AAAAA\"}", "base64 is none"},
        {"{\"url\": \"/\", \"body_base64\": \"AA?=\"}", "base64 is none"},
        {"{\"url\": \"/\", \"headers\": 3}", "neither an object nor a list"},
        {"{\"url\": \"/\", \"headers\": {\"a b\": \"c\"}}", "cannot stand in a request"},
        {"{\"url\": \"/\", \"headers\": {\"a\": \"c\\u000ad: e\"}}", "cannot stand in a request"},
        {"{\"url\": \"/\", \"headers\": [[\"a\"]]}", "without name or value"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct recording r = read_text(lines[i].text);
        assert_int_equal(r.bad, 1);
        assert_told(lines[i].sentence);
        recording_free(&r);
    }
}

static void deep_nesting_is_refused_before_it_costs_anything(void **state)
{
    char *text = malloc(200001);
    (void)state;
    assert_non_null(text);
    memset(text, '[', 200000);
    text[200000] = '\0';
    struct recording r = read_text(text);
    assert_int_equal(r.bad, 1);
    assert_told("nested too deeply");
    recording_free(&r);
    free(text);
    r = read_text(
        "{\"url\": \"/\", \"body\": \"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}");
    assert_int_equal(r.count, 1); /* brackets in a string nest nothing */
    recording_free(&r);
}

static void an_empty_file_has_no_requests(void **state)
{
    struct recording r = read_text(" \n\n\t\n");
    (void)state;
    assert_int_equal(r.count + r.bad, 0);
    recording_free(&r);
    r = read_text("");
    assert_int_equal(r.count + r.bad, 0);
    recording_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_json_are_requests),
        cmocka_unit_test(an_archive_is_told_by_its_log),
        cmocka_unit_test(bodies_in_base64),
        cmocka_unit_test(headers_of_one_connection_are_left_out),
        cmocka_unit_test(what_is_no_request_is_told_with_its_line),
        cmocka_unit_test(deep_nesting_is_refused_before_it_costs_anything),
        cmocka_unit_test(an_empty_file_has_no_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
