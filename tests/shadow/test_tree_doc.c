/*
 * Trees as documents: shapes, names and order; forms are the trees, XML is in the corpus.
 */
#include "tests/shadow/pairs.h"

#include "shadow/form_tree.h"
#include "shadow/json_diff.h"
#include "shadow/tree_doc.h"
#include "shadow/xml_tree.h"

struct fixture {
    struct tree a, b;
    struct doc_builder x, y;
    struct tree_doc *maker;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->maker = tree_doc_new();
    assert_non_null(f->maker);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    tree_done(&f->a);
    tree_done(&f->b);
    doc_builder_done(&f->x);
    doc_builder_done(&f->y);
    tree_doc_free(f->maker);
    free(f);
    return 0;
}

static struct span span(const char *text)
{
    return (struct span){text, strlen(text)};
}

static void make_forms(struct fixture *f, const char *first, const char *second)
{
    assert_int_equal(form_tree_read(&f->a, span(first)), JSON_FAULT_NONE);
    assert_int_equal(form_tree_read(&f->b, span(second)), JSON_FAULT_NONE);
    assert_int_equal(tree_doc_make(f->maker, &f->a, &f->b, false, &f->x, &f->y), JSON_FAULT_NONE);
}

static bool are_same(const struct fixture *f)
{
    return f->x.doc.len == f->y.doc.len && memcmp(f->x.doc.text, f->y.doc.text, f->x.doc.len) == 0;
}

static void what_means_the_same_has_the_same_bytes(void **state)
{
    struct fixture *f = *state;
    make_forms(f, "a=1&b=2&a=3", "b=2&&a=1&%61=3");
    assert_true(are_same(f));
    make_forms(f, "a=1", "a=2");
    assert_false(are_same(f));
    make_forms(f, "", "&");
    assert_true(are_same(f));
    assert_int_equal(f->x.doc.nodes[0].count, 0);
}

static void a_list_on_one_side_is_a_list_on_both(void **state)
{
    struct fixture *f = *state;
    make_forms(f, "a=1", "a=1&a=2");
    assert_int_equal(f->x.doc.nodes[2].type, NODE_ARRAY);
    assert_int_equal(f->x.doc.nodes[2].count, 1);
    assert_int_equal(f->y.doc.nodes[2].count, 2);
    make_forms(f, "a=1", "a=2"); /* nothing is remembered from the pair before */
    assert_int_equal(f->x.doc.nodes[2].type, NODE_STRING);
}

/* Many names and many values: tables and stacks grow. */
static void large_forms(void **state)
{
    enum {
        FIELDS = 40000
    };
    struct fixture *f = *state;
    char *text = malloc(FIELDS * 24), *to = text;
    assert_non_null(text);
    for (int i = 0; i < FIELDS; i++)
        to += sprintf(to, "n%d=%d&", i / 2, i);
    make_forms(f, text, text);
    assert_true(are_same(f));
    assert_int_equal(f->x.doc.nodes[0].count, FIELDS / 2);
    free(text);
}

static void order_is_kept_where_it_counts(void **state)
{
    struct fixture *f = *state;
    for (int ordered = 0; ordered < 2; ordered++) {
        assert_int_equal(xml_tree_read(&f->a, span("<a><b>1</b><c>2</c></a>"), false).fault, XML_FAULT_NONE);
        assert_int_equal(xml_tree_read(&f->b, span("<a><c>2</c><b>1</b></a>"), false).fault, XML_FAULT_NONE);
        assert_int_equal(tree_doc_make(f->maker, &f->a, &f->b, ordered != 0, &f->x, &f->y), JSON_FAULT_NONE);
        assert_int_equal(are_same(f), ordered == 0);
        assert_int_equal(f->x.doc.nodes[0].ordered, ordered != 0);
    }
}

/* An element with many children of few names: each name's stand side by side, in their order. */
static void many_children_of_few_names(void **state)
{
    enum {
        CHILDREN = 300
    };
    struct fixture *f = *state;
    char text[CHILDREN * 24], *to = text;
    for (int i = 0; i < CHILDREN; i++)
        to += sprintf(to, "n%d=%d&", i * 7 % 5, i);
    make_forms(f, text, "n0=1");
    const struct json_doc *doc = &f->x.doc;
    assert_int_equal(doc->nodes[0].count, 5);
    for (uint32_t name = 1; name < doc->count; name = doc->nodes[name + 1].next) {
        int digit = json_node_text(doc, name)[2] - '0', last = -1;
        assert_int_equal(doc->nodes[name + 1].count, CHILDREN / 5);
        for (uint32_t i = name + 2; i < doc->nodes[name + 1].next; i++) {
            int value = atoi(json_node_text(doc, i) + 1);
            assert_int_equal(value * 7 % 5, digit);
            assert_true(value > last);
            last = value;
        }
    }
    make_forms(f, text, text); /* and no count is left over from before */
    assert_true(are_same(f));
}

static void more_names_than_are_looked_at(void **state)
{
    struct fixture *f = *state;
    char *text = malloc((TREE_NAMES + 2) * 12), *to = text;
    assert_non_null(text);
    for (int i = 0; i < TREE_NAMES - 1; i++) /* the root has one, too */
        to += sprintf(to, "n%d=1&", i);
    assert_int_equal(form_tree_read(&f->a, span(text)), JSON_FAULT_NONE);
    strcpy(to, "n0=2&n1=3");
    assert_int_equal(form_tree_read(&f->a, span(text)), JSON_FAULT_NONE);
    strcpy(to, "m=1");
    assert_int_equal(form_tree_read(&f->a, span(text)), JSON_FAULT_SIZE);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_means_the_same_has_the_same_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_list_on_one_side_is_a_list_on_both, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_forms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(order_is_kept_where_it_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_children_of_few_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_names_than_are_looked_at, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
