/*
 * What a body is taken for.
 */
#include "tests/shadow/pairs.h"

#include "shadow/media.h"

static enum media_kind kind(const char *type, const char *body)
{
    return media_kind_of((struct span){type, strlen(type)}, (struct span){body, strlen(body)});
}

static void by_media_type(void **state)
{
    static const struct {
        const char *type;
        enum media_kind kind;
    } cases[] = {
        {"application/json", MEDIA_JSON},
        {"Application/JSON; charset=utf-8", MEDIA_JSON},
        {"application/vnd.api+json", MEDIA_JSON},
        {"text/json", MEDIA_JSON},
        {"application/x-ndjson", MEDIA_JSON_LINES},
        {"application/jsonl", MEDIA_JSON_LINES},
        {"application/json-seq", MEDIA_JSON_SEQUENCE},
        {"application/geo+json-seq", MEDIA_JSON_SEQUENCE},
        {"application/xml", MEDIA_XML},
        {"text/xml;charset=utf-8", MEDIA_XML},
        {"image/svg+xml", MEDIA_XML},
        {"application/soap+xml; action=\"x\"", MEDIA_XML},
        {"application/x-www-form-urlencoded", MEDIA_FORM},
        {"application/x-protobuf", MEDIA_PROTOBUF},
        {"application/protobuf; charset=utf-8", MEDIA_PROTOBUF},
        {"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily", MEDIA_PROTOBUF},
        {"application/grpc", MEDIA_GRPC},
        {"application/grpc+proto", MEDIA_GRPC},
        {"application/grpc+json", MEDIA_GRPC},
        {"application/grpc-web-text", MEDIA_GRPC},
        {"text/html", MEDIA_TEXT},
        {"text/plain", MEDIA_TEXT},
        {"application/javascript", MEDIA_TEXT},
        {"application/xml-dtd", MEDIA_TEXT},
        {"multipart/form-data; boundary=x", MEDIA_BYTES},
        {"application/octet-stream", MEDIA_BYTES},
        {"image/png", MEDIA_BYTES},
        {";", MEDIA_BYTES},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (kind(cases[i].type, "x") != cases[i].kind)
            fail_msg("%s is taken for %d", cases[i].type, (int)kind(cases[i].type, "x"));
}

static void by_the_first_bytes(void **state)
{
    (void)state;
    assert_int_equal(kind("", "{\"a\":1}"), MEDIA_JSON);
    assert_int_equal(kind("", " \r\n\t[1]"), MEDIA_JSON);
    assert_int_equal(kind("", "<?xml version=\"1.0\"?><a/>"), MEDIA_XML);
    assert_int_equal(kind("", "<html>"), MEDIA_BYTES);
    assert_int_equal(kind("", ""), MEDIA_BYTES);
    assert_int_equal(kind("", "abc"), MEDIA_BYTES);
    assert_int_equal(kind("text/plain", "{\"a\":1}"), MEDIA_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_media_type),
        cmocka_unit_test(by_the_first_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
