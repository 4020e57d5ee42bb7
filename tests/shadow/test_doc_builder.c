/*
 * Documents that were not JSON: what is built is what the differ walks, and two values have the same bytes only when
 * they are the same.
 */
#include "tests/shadow/pairs.h"

#include "shadow/doc_builder.h"

/* {"a": "x\"", "b": ["1", 2]} */
static void builds_what_a_parser_would(void **state)
{
    struct doc_builder b = {0};
    struct json_doc two = {0};
    (void)state;
    assert_true(json_doc_parse(&two, " 2 ", 3));
    doc_builder_start(&b);
    doc_builder_open_object(&b, NULL);
    doc_builder_name(&b, "a", 1);
    doc_builder_string(&b, "x\"", 2);
    doc_builder_name(&b, "b", 1);
    doc_builder_open_array(&b);
    doc_builder_string(&b, "1", 1);
    doc_builder_document(&b, &two);
    doc_builder_close(&b);
    doc_builder_close(&b);
    assert_int_equal(doc_builder_finish(&b), JSON_FAULT_NONE);
    const struct json_node *n = b.doc.nodes;
    assert_int_equal(b.doc.count, 7);
    assert_int_equal(n[0].type, NODE_OBJECT);
    assert_int_equal(n[0].count, 2);
    assert_int_equal(n[0].next, 7);
    assert_int_equal(n[2].type, NODE_STRING);
    assert_int_equal(n[2].count, 2);
    assert_memory_equal(json_node_text(&b.doc, 2), "\"x\"\"", 4);
    assert_int_equal(n[4].type, NODE_ARRAY);
    assert_int_equal(n[4].count, 2);
    assert_int_equal(n[6].type, NODE_NUMBER);
    assert_int_equal(n[6].next, 7);
    assert_memory_equal(json_node_text(&b.doc, 6), "2", 1);
    json_doc_done(&two);
    doc_builder_done(&b);
}

static void build_array(struct doc_builder *b, const char *first, const char *second)
{
    doc_builder_start(b);
    doc_builder_open_array(b);
    doc_builder_string(b, first, strlen(first));
    if (second != NULL)
        doc_builder_string(b, second, strlen(second));
    doc_builder_close(b);
    assert_int_equal(doc_builder_finish(b), JSON_FAULT_NONE);
}

/* Quotes are not escaped, so one string could look like two. */
static void other_values_have_other_bytes(void **state)
{
    struct doc_builder a = {0}, b = {0};
    (void)state;
    build_array(&a, "x\"s\1", "y");
    build_array(&b, "x", "y");
    assert_false(a.doc.len == b.doc.len && memcmp(a.doc.text, b.doc.text, a.doc.len) == 0);
    build_array(&b, a.doc.text + 6, NULL);
    assert_false(a.doc.len == b.doc.len && memcmp(a.doc.text, b.doc.text, a.doc.len) == 0);
    doc_builder_done(&a);
    doc_builder_done(&b);
}

static void depth_is_bounded(void **state)
{
    struct doc_builder b = {0};
    (void)state;
    doc_builder_start(&b);
    for (int i = 0; i <= JSON_DEPTH; i++)
        doc_builder_open_array(&b);
    for (int i = 0; i <= JSON_DEPTH; i++)
        doc_builder_close(&b);
    assert_int_equal(doc_builder_finish(&b), JSON_FAULT_DEPTH);
    build_array(&b, "1", "2"); /* and is forgotten with the next start */
    doc_builder_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds_what_a_parser_would),
        cmocka_unit_test(other_values_have_other_bytes),
        cmocka_unit_test(depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
