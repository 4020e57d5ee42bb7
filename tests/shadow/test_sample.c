/*
 * Samples: what a developer is shown of one pair, and what never.
 */
#include "tests/shadow/pairs.h"

#include <jansson.h>

#include "shadow/sample.h"

#define GZIP_JSON                                                                                                      \
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\x4b\xcc\x4d\x55\xb2\x52\x4a\xcc\xcb\x53\xaa\x05\x00\x58\xfa" \
    "\xda\x8c\x0e\x00\x00\x00" /* {"name":"ann"} */

struct fixture {
    struct test_route route;
    struct pair *pair;
    struct compare *compare;
    json_t *sample;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    test_route_init(&f->route, "orders");
    test_route_header(&f->route, "content-type");
    f->compare = compare_new();
    assert_non_null(f->compare);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    json_decref(f->sample);
    pair_free(f->pair);
    compare_free(f->compare);
    free(f);
    return 0;
}

static void values_are(struct fixture *f, enum config_sample_values values)
{
    f->route.route.shadow.samples.values = values;
}

static void make_sample(struct fixture *f)
{
    json_decref(f->sample);
    f->sample = sample_json(f->pair, compare_pair(f->compare, f->pair), "GET /orders/{number}");
}

/* Both sides answered with these bodies of this type. */
static void answers_are(struct fixture *f, const char *head, const char *primary, size_t primary_len,
                        const char *shadow)
{
    size_t kept = f->route.route.shadow.max_body;
    pair_free(f->pair);
    f->pair = test_pair(&f->route);
    test_capture(&f->pair->primary_capture, kept, 200, head, primary, primary_len);
    test_capture(&f->pair->shadow_capture, kept, 200, head, shadow, strlen(shadow));
    make_sample(f);
    assert_non_null(f->sample);
}

static json_t *answer(struct fixture *f)
{
    json_t *found = json_object_get(f->sample, "primary_answer");
    assert_non_null(found);
    return found;
}

static void text_is(json_t *object, const char *key, const char *expected)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (expected == NULL && text == NULL)
        return;
    if (expected == NULL || text == NULL || strcmp(text, expected) != 0)
        fail_msg("%s is %s, expected %s", key, text == NULL ? "absent" : text, expected == NULL ? "absent" : expected);
}

static void body_becomes(struct fixture *f, const char *head, const char *body, const char *expected)
{
    answers_are(f, head, body, strlen(body), "");
    text_is(answer(f), "body", expected);
}

#define JSON_HEAD "Content-Type: application/json; charset=utf-8\r\n"
#define TEXT_HEAD "Content-Type: text/plain\r\n"

static void tells_the_pair(void **state)
{
    struct fixture *f = *state;
    static const char head[] = "Host: api\r\nAuthorization: Bearer abcdefghijk\r\nContent-Type: application/json\r\n"
                               "X-Customer-123456:  ann \r\nContent-Length: 9\r\n";
    static const char body[] = "{\"pin\":1}";
    f->pair = test_json_pair(&f->route, "{\"a\":1,\"b\":[1]}", "{\"a\":2,\"b\":[1]}");
    f->pair->cohort = 42;
    snprintf(f->pair->target, sizeof(f->pair->target), "/orders/17?q=secret");
    capture_reset(&f->pair->request, PAIR_REQUEST_BODY);
    capture_head(&f->pair->request, 0, head, strlen(head));
    capture_body(&f->pair->request, body, strlen(body));
    make_sample(f);
    json_t *request = json_object_get(f->sample, "request");
    assert_int_equal(json_integer_value(json_object_get(f->sample, "at_ms")), 1700000000000);
    text_is(f->sample, "route", "orders");
    text_is(f->sample, "primary", "legacy");
    text_is(f->sample, "endpoint", "GET /orders/{number}");
    text_is(f->sample, "method", "GET");
    text_is(f->sample, "target", "/orders/17?q=<string 6>");
    text_is(f->sample, "request_id", "id-1");
    assert_int_equal(json_integer_value(json_object_get(f->sample, "cohort")), 42);
    text_is(f->sample, "values", "redacted");
    text_is(request, "body", "{\"pin\":\"<number>\"}");
    assert_int_equal(json_integer_value(json_object_get(request, "body_bytes")), 9);
    assert_true(json_is_false(json_object_get(request, "cut")));
    char *headers = json_dumps(json_object_get(request, "headers"), JSON_COMPACT);
    assert_non_null(headers);
    assert_string_equal(headers, "[[\"Host\",\"<string 3>\"],[\"Authorization\",\"<string 18>\"],"
                                 "[\"Content-Type\",\"application/json\"],[\"<name 17>\",\"<string 3>\"],"
                                 "[\"Content-Length\",\"9\"]]");
    free(headers);
    assert_int_equal(json_integer_value(json_object_get(answer(f), "status")), 200);
    assert_int_equal(json_integer_value(json_object_get(answer(f), "latency_us")), 1000);
    assert_int_equal(json_integer_value(json_object_get(answer(f), "bytes")), 15);
    text_is(answer(f), "type", "json");
    text_is(answer(f), "body", "{\"a\":\"<number>\",\"b\":[\"<number>\"]}");
    text_is(json_object_get(f->sample, "shadow_answer"), "body", "{\"a\":\"<number>\",\"b\":[\"<number>\"]}");
    assert_int_equal(json_integer_value(json_object_get(f->sample, "fields")), 1);
    json_t *difference = json_array_get(json_object_get(f->sample, "differences"), 0);
    text_is(difference, "field", "$.a");
    text_is(difference, "path", "$.a");
    text_is(difference, "kind", "value");
    text_is(difference, "primary", "<number>");
    assert_int_equal(json_integer_value(json_object_get(difference, "places")), 1);
    assert_true(json_is_false(json_object_get(difference, "ignored")));
}

static void differences_that_count_come_first(void **state)
{
    struct fixture *f = *state;
    test_route_ignore(&f->route, "$.a");
    f->pair = test_json_pair(&f->route, "{\"a\":1,\"b\":1}", "{\"a\":2,\"b\":2}");
    make_sample(f);
    json_t *list = json_object_get(f->sample, "differences");
    assert_int_equal(json_array_size(list), 2);
    text_is(json_array_get(list, 0), "field", "$.b");
    assert_true(json_is_true(json_object_get(json_array_get(list, 1), "ignored")));
    assert_int_equal(json_integer_value(json_object_get(f->sample, "fields")), 1);
}

static void json_keeps_its_structure_and_loses_its_values(void **state)
{
    struct fixture *f = *state;
    body_becomes(f, JSON_HEAD, " { \"name\" : \"ann\", \"n\" : [ 1, 2.5e3, true, null, {} , [] ] } ",
                 "{\"name\":\"<string 3>\",\"n\":[\"<number>\",\"<number>\",\"<boolean>\",null,{},[]]}");
    body_becomes(f, JSON_HEAD, "\"ann\"", "\"<string 3>\"");
    body_becomes(f, JSON_HEAD, "[]", "[]");
    body_becomes(f, JSON_HEAD, "{\"\\u0061\":\"\\u00e9\"}", "{\"a\":\"<string 2>\"}");
    body_becomes(f, JSON_HEAD, "{\"ann@example.com\":1,\"card\":{\"no\":\"4111\"},\"token\":[1,2],\"pin\":null}",
                 "{\"<name 15>\":\"<number>\",\"card\":\"<object 1>\",\"token\":\"<array 2>\",\"pin\":\"<null>\"}");
    body_becomes(f, JSON_HEAD, "{\"a\":1}\n\n{\"a\":2}\n", "{\"a\":\"<number>\"}\n{\"a\":\"<number>\"}");
    body_becomes(f, "X: y\r\n", "{\"a\":1}", "{\"a\":\"<number>\"}");
    text_is(answer(f), "type", "json");
    body_becomes(f, JSON_HEAD, "{\"a\":", NULL);
    body_becomes(f, JSON_HEAD, "not json", NULL);
    body_becomes(f, JSON_HEAD, "", NULL);
    text_is(answer(f), "type", "json");
}

static void other_bodies_are_not_shown(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *head, *type;
    } kinds[] = {{TEXT_HEAD, "text"},
                 {"Content-Type: application/xml\r\n", "xml"},
                 {"Content-Type: application/x-www-form-urlencoded\r\n", "text"},
                 {"Content-Type: text/html\r\n", "text"},
                 {"Content-Type: image/svg+xml\r\n", "xml"},
                 {"Content-Type: multipart/form-data; boundary=text/x\r\n", "bytes"},
                 {"Content-Type: image/png\r\n", "bytes"},
                 {"", "bytes"}};
    for (int values = 0; values < 2; values++) {
        values_are(f, values == 0 ? SAMPLES_REDACTED : SAMPLES_HASHED);
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
            body_becomes(f, kinds[i].head, "something", NULL);
            text_is(answer(f), "type", kinds[i].type);
        }
    }
}

static void full_shows_all_but_secrets(void **state)
{
    struct fixture *f = *state;
    values_are(f, SAMPLES_FULL);
    body_becomes(f, JSON_HEAD, "{\"name\":\"ann \\u001b\\n\\\"x\\\\\",\"n\":[1.50,true,null],\"ann@example.com\":1}",
                 "{\"name\":\"ann ?\\n\\\"x\\\\\",\"n\":[1.50,true,null],\"ann@example.com\":1}");
    body_becomes(f, JSON_HEAD,
                 "{\"password\":\"x\",\"a\":\"Bearer abcdefgh\",\"n\":4111111111111111,\"pin\":{\"a\":1}}",
                 "{\"password\":\"<string 1>\",\"a\":\"<string 15>\",\"n\":\"<number>\",\"pin\":\"<object 1>\"}");
    body_becomes(f, TEXT_HEAD, "one\r\n\ttwo \x1b[31m\npassword=hunter2\nend", "one\n\ttwo ?[31m\n<line 16>\nend");
    body_becomes(f, TEXT_HEAD, "a\n-----BEGIN KEY-----\nMIIB\n\n-----END KEY-----\nb",
                 "a\n<line 19>\n<line 4>\n<line 0>\n<line 17>\nb");
    body_becomes(f, "Content-Type: text/xml\r\n", "<a>1</a>\n<secret>2</secret>\n", "<a>1</a>\n<line 18>\n");
    body_becomes(f, JSON_HEAD, "not json", "not json");
    body_becomes(f, "Content-Type: image/png\r\n", "png", NULL);
    body_becomes(f, TEXT_HEAD, "caf\xc3\xa9 \xff", "caf\xc3\xa9 ?");
}

static void hashes_tell_what_is_equal(void **state)
{
    struct fixture *f = *state;
    values_are(f, SAMPLES_HASHED);
    answers_are(f, JSON_HEAD, "[\"ann\",\"ann\",\"bob\"]", 19, "");
    const char *body = json_string_value(json_object_get(answer(f), "body"));
    assert_non_null(body);
    static const char start[] = "[\"<string 3 #";
    assert_memory_equal(body, start, sizeof(start) - 1);
    const size_t step = strlen("\"<string 3 #5f3a09bc11d2>\",");
    assert_memory_equal(body + 1, body + 1 + step, step - 1);
    assert_memory_not_equal(body + 1, body + 1 + 2 * step, step - 1);
    text_is(f->sample, "values", "hashed");
}

static void none_makes_no_sample_and_shows_no_value(void **state)
{
    struct fixture *f = *state;
    values_are(f, SAMPLES_NONE);
    f->pair = test_json_pair(&f->route, "{\"a\":1,\"b\":null}", "{\"a\":2,\"b\":true}");
    make_sample(f);
    assert_null(f->sample);
    const struct comparison *comparison = compare_pair(f->compare, f->pair);
    assert_int_equal(comparison->differences.count, 2);
    for (uint32_t i = 0; i < comparison->differences.count; i++) {
        assert_string_equal(comparison->differences.at[i].primary, "");
        assert_string_equal(comparison->differences.at[i].shadow, "");
    }
}

static void compressed_bodies_are_decoded_first(void **state)
{
    struct fixture *f = *state;
    static const char packed[] = GZIP_JSON;
    answers_are(f, JSON_HEAD "Content-Encoding: gzip\r\n", packed, sizeof(packed) - 1, "");
    text_is(answer(f), "body", "{\"name\":\"<string 3>\"}");
    assert_true(json_is_false(json_object_get(answer(f), "cut")));
    answers_are(f, JSON_HEAD "Content-Encoding: gzip\r\n", packed, sizeof(packed) - 6, "");
    text_is(answer(f), "body", NULL);
    answers_are(f, JSON_HEAD "Content-Encoding: rot13\r\n", "{}", 2, "");
    text_is(answer(f), "body", NULL);
}

/* A JSON text of `count` times `item` within brackets; freed by the caller. */
static char *repeated(const char *before, const char *item, size_t count, const char *after)
{
    size_t len = strlen(item), room = strlen(before) + count * (len + 1) + strlen(after) + 1;
    char *text = malloc(room), *at = text;
    assert_non_null(text);
    at = stpcpy(at, before);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *at++ = ',';
        at = stpcpy(at, item);
    }
    stpcpy(at, after);
    return text;
}

static void is_json_and_cut(struct fixture *f)
{
    const char *body = json_string_value(json_object_get(answer(f), "body"));
    assert_non_null(body);
    assert_true(strlen(body) <= SAMPLE_BODY_BYTES);
    assert_true(json_is_true(json_object_get(answer(f), "cut")));
    json_t *again = json_loads(body, JSON_DECODE_ANY, NULL);
    if (again == NULL)
        fail_msg("this is no JSON: %s", body);
    json_decref(again);
    assert_non_null(strstr(body, "\xe2\x80\xa6"));
}

static void a_cut_body_is_still_json(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *before, *item, *after;
        size_t count;
    } texts[] = {
        {"[", "1", "]", 30000},
        {"[", "\"abc\"", "]", 5000},
        {"{\"a\":[{\"b\":[", "{\"name\":{\"x\":[1,2,{}]}}", "]}]}", 5000},
        {"{\"a\":[", "{\"pin\":[1,2],\"x\":\"\xc3\xa9\xc3\xa9\"}", "],\"b\":1}", 9000},
        {"[", "[[[[[[[[1]]]]]]]]", "]", 20000},
    };
    for (int values = 0; values < 3; values++) {
        values_are(f, (enum config_sample_values[]){SAMPLES_REDACTED, SAMPLES_FULL, SAMPLES_HASHED}[values]);
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
            char *text = repeated(texts[i].before, texts[i].item, texts[i].count, texts[i].after);
            answers_are(f, JSON_HEAD, text, strlen(text), "");
            is_json_and_cut(f);
            free(text);
        }
    }
}

/* Wherever what is kept of a body ends. */
static void any_beginning_of_a_body_makes_json(void **state)
{
    static const char text[] =
        "{\"a\":[1,-2.5e3,\"x\\u00e9\\n\",true,null],\"\xc3\xa9\":{\"b\":{}},\"pin\":[[1]],\"c\":12}";
    struct fixture *f = *state;
    for (int full = 0; full < 2; full++) {
        values_are(f, full == 1 ? SAMPLES_FULL : SAMPLES_REDACTED);
        for (size_t len = 1; len + 1 < sizeof(text); len++) {
            f->route.route.shadow.max_body = len;
            answers_are(f, JSON_HEAD, text, sizeof(text) - 1, "");
            is_json_and_cut(f);
            assert_null(strstr(json_string_value(json_object_get(answer(f), "body")), "-2.5e,"));
        }
        assert_int_equal(json_integer_value(json_object_get(answer(f), "bytes")), sizeof(text) - 1);
    }
}

static void text_is_cut_between_characters(void **state)
{
    struct fixture *f = *state;
    size_t len = SAMPLE_BODY_BYTES * 3;
    char *text = malloc(len + 1);
    assert_non_null(text);
    for (size_t i = 0; i < len; i += 2)
        memcpy(text + i, i % 200 == 0 ? "\n." : "\xc3\xa9", 2);
    text[len] = '\0';
    values_are(f, SAMPLES_FULL);
    answers_are(f, TEXT_HEAD, text, len, "");
    const char *body = json_string_value(json_object_get(answer(f), "body"));
    assert_non_null(body);
    assert_true(strlen(body) <= SAMPLE_BODY_BYTES && strlen(body) > SAMPLE_BODY_BYTES - 64);
    assert_string_equal(body + strlen(body) - 3, "\xe2\x80\xa6");
    assert_true(json_is_true(json_object_get(answer(f), "cut")));
    free(text);
}

static void a_bomb_is_not_shown(void **state)
{
    struct fixture *f = *state;
    /* gzip of "[0,0,...,0]" with 40,001 zeros */
    static const char packed[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc2\x31\x0d\x00\x00\x08\x03\x30\x43\x1c"
                                 "\xf3\x43\xf0\x6f\x03\x03\x93"
                                 "\xd0\xb4\x9b\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                                 "\x00\x00\x00\x00\x00\x00\x00"
                                 "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                                 "\x00\x00\x00\x00\x00\x00\x00"
                                 "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                                 "\x00\x00\x00\x80\xe2\x1e\xf3"
                                 "\x30\x14\x6a\x83\x38\x01\x00";
    answers_are(f, JSON_HEAD "Content-Encoding: gzip\r\n", packed, sizeof(packed) - 1, "");
    text_is(answer(f), "body", NULL);
    assert_true(json_is_true(json_object_get(answer(f), "cut")));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(tells_the_pair),
        TEST(differences_that_count_come_first),
        TEST(json_keeps_its_structure_and_loses_its_values),
        TEST(other_bodies_are_not_shown),
        TEST(full_shows_all_but_secrets),
        TEST(hashes_tell_what_is_equal),
        TEST(none_makes_no_sample_and_shows_no_value),
        TEST(compressed_bodies_are_decoded_first),
        TEST(a_cut_body_is_still_json),
        TEST(any_beginning_of_a_body_makes_json),
        TEST(text_is_cut_between_characters),
        TEST(a_bomb_is_not_shown),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
