/*
 * JSON documents: the grammar of RFC 8259, taken strictly; where a text is refused, and why.
 */
#include "tests/shadow/pairs.h"

#include "shadow/json_doc.h"

static void takes(void **state)
{
    static const char *const good[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-1.5e+10",
        "1E5",
        "0.1",
        "\"\"",
        "\"a\\n\\u0041\\\"\"",
        "[]",
        "{}",
        " [ ] ",
        "{\"a\":{\"b\":[1,{}]}}",
        "[[],[[]]]",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
        "\"\\ud800\"",
        "\t\r\n1\n",
        "\"\x7f\"",
        "[1 , 2]",
        "{\"a\" : 1 , \"a\" : 2}",
        "1234567890123456789012345678901234567890",
    };
    struct json_doc doc = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!json_doc_parse(&doc, good[i], strlen(good[i])))
            fail_msg("%s: %s at %zu", good[i], json_fault_name(doc.fault), doc.fault_at);
    json_doc_done(&doc);
}

static void refuses(void **state)
{
    static const struct {
        const char *text;
        enum json_fault fault;
        size_t at;
    } bad[] = {
        {"", JSON_FAULT_EMPTY, 0},
        {"  ", JSON_FAULT_EMPTY, 2},
        {"nul", JSON_FAULT_ENDS_EARLY, 3},
        {"nulL", JSON_FAULT_SYNTAX, 3},
        {"1 2", JSON_FAULT_AFTER_END, 2},
        {"[1,]", JSON_FAULT_SYNTAX, 3},
        {"[,1]", JSON_FAULT_SYNTAX, 1},
        {"[1", JSON_FAULT_ENDS_EARLY, 2},
        {"{\"a\"}", JSON_FAULT_SYNTAX, 4},
        {"{\"a\":}", JSON_FAULT_SYNTAX, 5},
        {"{\"a\":1,}", JSON_FAULT_SYNTAX, 7},
        {"{a:1}", JSON_FAULT_SYNTAX, 1},
        {"{1:1}", JSON_FAULT_SYNTAX, 1},
        {"[1}", JSON_FAULT_SYNTAX, 2},
        {"{\"a\":1]", JSON_FAULT_SYNTAX, 6},
        {"01", JSON_FAULT_NUMBER, 0},
        {"-", JSON_FAULT_ENDS_EARLY, 1},
        {"-a", JSON_FAULT_NUMBER, 1},
        {"1.", JSON_FAULT_ENDS_EARLY, 2},
        {"1.x", JSON_FAULT_NUMBER, 2},
        {".5", JSON_FAULT_SYNTAX, 0},
        {"+1", JSON_FAULT_SYNTAX, 0},
        {"1e", JSON_FAULT_ENDS_EARLY, 2},
        {"1e+", JSON_FAULT_ENDS_EARLY, 3},
        {"\"a", JSON_FAULT_ENDS_EARLY, 2},
        {"\"a\nb\"", JSON_FAULT_CONTROL, 2},
        {"\"\\x\"", JSON_FAULT_ESCAPE, 1},
        {"\"\\u12g4\"", JSON_FAULT_ESCAPE, 1},
        {"\"\\u12", JSON_FAULT_ENDS_EARLY, 1},
        {"\"\\", JSON_FAULT_ENDS_EARLY, 1},
        {"\"\xff\"", JSON_FAULT_UTF8, 1},
        {"\"\xc0\xaf\"", JSON_FAULT_UTF8, 1},
        {"\"\xed\xa0\x80\"", JSON_FAULT_UTF8, 1},
        {"\"\xf4\x90\x80\x80\"", JSON_FAULT_UTF8, 1},
        {"\"\xe0\x80\x80\"", JSON_FAULT_UTF8, 1},
        {"\"\xc3", JSON_FAULT_UTF8, 1},
        {"\xef\xbb\xbf"
         "1",
         JSON_FAULT_MARK, 0},
        {"'a'", JSON_FAULT_SYNTAX, 0},
        {"NaN", JSON_FAULT_NAN, 0},
        {"[1,nan]", JSON_FAULT_NAN, 3},
        {"[-Infinity]", JSON_FAULT_NAN, 1},
        {"{\"a\":Infinity}", JSON_FAULT_NAN, 5},
        {"Na", JSON_FAULT_SYNTAX, 0},
        {"]", JSON_FAULT_SYNTAX, 0},
        {"[1]]", JSON_FAULT_AFTER_END, 3},
        {"// x\n1", JSON_FAULT_SYNTAX, 0},
    };
    struct json_doc doc = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        /* an exact copy, so that a byte read too far is seen */
        size_t len = strlen(bad[i].text);
        char *copy = malloc(len == 0 ? 1 : len);
        assert_non_null(copy);
        memcpy(copy, bad[i].text, len);
        if (json_doc_parse(&doc, copy, len))
            fail_msg("%s was taken", bad[i].text);
        if (doc.fault != bad[i].fault || doc.fault_at != bad[i].at)
            fail_msg("%s: %s at %zu, expected %s at %zu", bad[i].text, json_fault_name(doc.fault), doc.fault_at,
                     json_fault_name(bad[i].fault), bad[i].at);
        free(copy);
    }
    json_doc_done(&doc);
}

static void a_zero_byte_is_no_end(void **state)
{
    struct json_doc doc = {0};
    (void)state;
    assert_false(json_doc_parse(&doc, "1\0", 2));
    assert_int_equal(doc.fault, JSON_FAULT_AFTER_END);
    assert_false(json_doc_parse(&doc, "\"\\\0\"", 4));
    assert_int_equal(doc.fault, JSON_FAULT_ESCAPE);
    json_doc_done(&doc);
}

static void depth_is_bounded(void **state)
{
    struct json_doc doc = {0};
    char text[2 * JSON_DEPTH + 4];
    (void)state;
    for (int depth = JSON_DEPTH; depth <= JSON_DEPTH + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        bool good = json_doc_parse(&doc, text, 2 * (size_t)depth);
        assert_int_equal(good, depth == JSON_DEPTH);
        assert_int_equal(doc.fault, good ? JSON_FAULT_NONE : JSON_FAULT_DEPTH);
    }
    json_doc_done(&doc);
}

static void nodes_are_bounded(void **state)
{
    struct json_doc doc = {0};
    size_t len = (size_t)JSON_NODES * 2 + 1;
    char *text = malloc(len);
    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < len; i++)
        text[i] = i % 2 == 0 ? ',' : '1';
    text[0] = '[';
    text[len - 1] = ']';
    assert_false(json_doc_parse(&doc, text, len)); /* JSON_NODES numbers and the array */
    assert_int_equal(doc.fault, JSON_FAULT_SIZE);
    assert_true(json_fault_is_ours(doc.fault));
    text[len - 3] = ']';
    assert_true(json_doc_parse(&doc, text, len - 2));
    json_doc_trim(&doc);
    assert_int_equal(doc.room, 0);
    free(text);
    json_doc_done(&doc);
}

static void an_owner_may_allow_fewer_nodes(void **state)
{
    struct json_doc doc = {.most = 1000};
    char text[2002];
    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 2 == 0 ? ',' : '1';
    text[0] = '[';
    text[2000] = ']';
    assert_false(json_doc_parse(&doc, text, 2001)); /* 1000 numbers and the array */
    assert_int_equal(doc.fault, JSON_FAULT_SIZE);
    assert_true(doc.room <= 1000);
    text[1998] = ']';
    assert_true(json_doc_parse(&doc, text, 1999));
    json_doc_done(&doc);
    assert_int_equal(doc.most, 1000); /* also of the next text */
    doc.most = UINT32_MAX;
    assert_int_equal(json_doc_most(&doc), JSON_NODES);
}

static void nodes_describe_the_text(void **state)
{
    static const char text[] = " {\"a\": [1, \"x\\ty\"], \"b\": {}} ";
    static const struct {
        enum node_type type;
        const char *text;
        uint32_t next, count;
    } expected[] = {
        {NODE_OBJECT, "{\"a\": [1, \"x\\ty\"], \"b\": {}}", 7, 2},
        {NODE_STRING, "\"a\"", 2, 1},
        {NODE_ARRAY, "[1, \"x\\ty\"]", 5, 2},
        {NODE_NUMBER, "1", 4, 0},
        {NODE_STRING, "\"x\\ty\"", 5, 4},
        {NODE_STRING, "\"b\"", 6, 1},
        {NODE_OBJECT, "{}", 7, 0},
    };
    struct json_doc doc = {0};
    (void)state;
    assert_true(json_doc_parse(&doc, text, strlen(text)));
    assert_int_equal(doc.count, 7);
    for (uint32_t i = 0; i < doc.count; i++) {
        assert_int_equal(doc.nodes[i].type, expected[i].type);
        assert_int_equal(doc.nodes[i].next, expected[i].next);
        assert_int_equal(doc.nodes[i].count, expected[i].count);
        assert_int_equal(json_node_length(&doc, i), strlen(expected[i].text));
        assert_memory_equal(json_node_text(&doc, i), expected[i].text, strlen(expected[i].text));
    }
    json_doc_done(&doc);
}

static void strings_are_decoded(void **state)
{
    static const struct {
        const char *text, *decoded;
        size_t len;
    } cases[] = {
        {"\"\"", "", 0},
        {"\"plain\"", "plain", 5},
        {"\"\\b\\f\\n\\r\\t\\/\\\\\\\"\"", "\b\f\n\r\t/\\\"", 8},
        {"\"\\u0041\\u00e9\\u20ac\"", "A\xc3\xa9\xe2\x82\xac", 6},
        {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80", 4},
        {"\"\\ud83d\"", "\xed\xa0\xbd", 3},
        {"\"\\ud83dx\"", "\xed\xa0\xbdx", 4},
        {"\"\\ud83d\\u0041\"",
         "\xed\xa0\xbd"
         "A",
         4},
        {"\"\\u0000\"", "\0", 1},
    };
    struct json_doc doc = {0}, other = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char to[64];
        assert_true(json_doc_parse(&doc, cases[i].text, strlen(cases[i].text)));
        size_t len = json_string_decode(&doc, 0, to);
        assert_int_equal(len, cases[i].len);
        assert_memory_equal(to, cases[i].decoded, len);
        for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++) {
            assert_true(json_doc_parse(&other, cases[j].text, strlen(cases[j].text)));
            assert_int_equal(json_string_equal(&doc, 0, &other, 0), i == j);
        }
    }
    json_doc_done(&doc);
    json_doc_done(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes),
        cmocka_unit_test(refuses),
        cmocka_unit_test(a_zero_byte_is_no_end),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(nodes_are_bounded),
        cmocka_unit_test(an_owner_may_allow_fewer_nodes),
        cmocka_unit_test(nodes_describe_the_text),
        cmocka_unit_test(strings_are_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
