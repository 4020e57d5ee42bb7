/*
 * XML as a tree: what counts and what does not, what is refused and where, and that nothing is expanded, fetched or
 * printed. What follows from it for a pair is in the corpus.
 */
#include "tests/shadow/pairs.h"

#include <pthread.h>
#include <unistd.h>

#include "shadow/xml_tree.h"

static struct xml_result read_text(struct tree *tree, const char *text, bool whitespace)
{
    return xml_tree_read(tree, (struct span){text, strlen(text)}, whitespace);
}

/* "name=text" for each item below the root, one after the other. */
static void check_items(const char *text, bool whitespace, const char *expected)
{
    struct tree tree = {0};
    char found[512] = "";
    assert_int_equal(read_text(&tree, text, whitespace).fault, XML_FAULT_NONE);
    for (uint32_t i = 1; i < tree.count; i++) {
        const struct tree_item *item = &tree.items[i];
        const struct tree_name *name = &tree.names[item->name];
        size_t len = strlen(found);
        snprintf(found + len, sizeof(found) - len, "%.*s=%.*s;", (int)name->len, tree.text + name->at,
                 (int)item->text_len, item->kind == TREE_ELEMENT ? "" : tree.text + item->text_at);
    }
    assert_string_equal(found, expected);
    tree_done(&tree);
}

static void reads_elements_attributes_and_texts(void **state)
{
    (void)state;
    check_items("<a>1</a>", false, "a=;#text=1;");
    check_items("<a b='1' c=\"2\"/>", false, "a=;@b=1;@c=2;");
    check_items("<a>\n <b> x </b>\n</a>", false, "a=;b=;#text=x;");
    check_items("<a>\n<b> x </b></a>", true, "a=;#text=\n;b=;#text= x ;");
    check_items("<a>1<!-- c --><?p i?>2<![CDATA[<3>]]></a>", false, "a=;#text=12<3>;");
    check_items("<x:a xmlns:x='urn:x' x:b='&amp;&lt;&#65;'/>", false, "x:a=;@x:b=&<A;");
    check_items("<!DOCTYPE a [<!ATTLIST a b CDATA 'given'><!ENTITY e 'x'>]><a/>", false, "a=;");
}

static void names_what_is_wrong(void **state)
{
    static const struct {
        const char *text;
        enum xml_fault fault;
        uint32_t line;
    } cases[] = {
        {"", XML_FAULT_EMPTY, 1},
        {" \n", XML_FAULT_EMPTY, 1},
        {"<a>\n</b>", XML_FAULT_TAGS, 2},
        {"<a>\n\n", XML_FAULT_ENDS_EARLY, 3},
        {"<a/>\n<b/>", XML_FAULT_AFTER_END, 2},
        {"<a>\n\xff</a>", XML_FAULT_CHARACTER, 2},
        {"<a>&#0;</a>", XML_FAULT_CHARACTER, 1},
        {"<a b='1' b='2'/>", XML_FAULT_ATTRIBUTE, 1},
        {"<a b/>", XML_FAULT_ATTRIBUTE, 1},
        {"<a>\n&x;</a>", XML_FAULT_ENTITY, 2},
        {"<!DOCTYPE a [<!ENTITY x 'y'>]>\n<a>&x;</a>", XML_FAULT_EXPANSION, 2},
        {"<!DOCTYPE a [<!ENTITY x 'y'>]>\n<a b='&x;'/>", XML_FAULT_EXPANSION, 2},
        {"<!DOCTYPE a [<!ENTITY % x 'y'>\n%x;]>\n<a/>", XML_FAULT_EXPANSION, 2},
        {"<!DOCTYPE a SYSTEM 'file:///etc/passwd'>\n<a>&x;</a>", XML_FAULT_EXPANSION, 2},
        {"<?xml version='1.0' encoding='UTF-16'?><a/>", XML_FAULT_ENCODING, 1},
        {"<?xml version='1.0' encoding='shift_jis'?><a/>", XML_FAULT_ENCODING, 1},
        {"{\"a\":1}", XML_FAULT_SYNTAX, 1},
        {"<a><b></a", XML_FAULT_SYNTAX, 1},
    };
    struct tree tree = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct xml_result result = read_text(&tree, cases[i].text, false);
        if (result.fault != cases[i].fault || result.line != cases[i].line)
            fail_msg("%s: %s at line %u", cases[i].text, xml_fault_name(result.fault), result.line);
    }
    tree_done(&tree);
}

/* Whatever is wrong, the standard error stays as it was. */
static void is_silent(void **state)
{
    struct tree tree = {0};
    char buffer[64];
    int ends[2], old = dup(STDERR_FILENO);
    (void)state;
    assert_int_equal(pipe(ends), 0);
    fflush(stderr);
    dup2(ends[1], STDERR_FILENO);
    read_text(&tree, "<a><b></a>", false);
    read_text(&tree, "<!DOCTYPE a [<!ENTITY x SYSTEM 'http://127.0.0.1:9/'>]><a>&x;&y;<", false);
    read_text(&tree, "<p:a q:b='1'/>", false);
    fflush(stderr);
    dup2(old, STDERR_FILENO);
    close(old);
    close(ends[1]);
    assert_int_equal(read(ends[0], buffer, sizeof(buffer)), 0);
    close(ends[0]);
    tree_done(&tree);
}

static char *repeat(const char *before, const char *text, unsigned times, const char *behind)
{
    size_t len = strlen(text);
    char *all = malloc(strlen(before) + len * times + strlen(behind) + 1);
    assert_non_null(all);
    char *to = stpcpy(all, before);
    for (unsigned i = 0; i < times; i++)
        to = stpcpy(to, text);
    stpcpy(to, behind);
    return all;
}

static void check_fault(char *text, enum xml_fault fault)
{
    struct tree tree = {0};
    struct xml_result result = read_text(&tree, text, false);
    assert_int_equal(result.fault, fault);
    free(text);
    tree_done(&tree);
}

static void bounds(void **state)
{
    (void)state;
    check_fault(repeat("", "<a>", TREE_DEPTH, ""), XML_FAULT_DEPTH);
    check_fault(repeat("", "<a>", TREE_DEPTH - 1, ""), XML_FAULT_ENDS_EARLY);
    check_fault(repeat("<a ", "b='1' ", XML_ATTRIBUTES + 1, "/>"), XML_FAULT_SIZE);
    check_fault(repeat("<a ", "b='>' ", XML_ATTRIBUTES, "/>"), XML_FAULT_ATTRIBUTE);
    check_fault(repeat("<a><!-- ' -->", "<b x='1'/>", XML_ATTRIBUTES * 2, "</a>"), XML_FAULT_NONE);
    check_fault(repeat("<a>", "<b xmlns:x='urn:x'>", 100, ""), XML_FAULT_ENDS_EARLY);
    check_fault(repeat("<a>", "<b xmlns:x='1' xmlns:y='2' xmlns:z='3'>", 100, ""), XML_FAULT_SIZE);
    check_fault(repeat("<a>", "<b xmlns:x='1' xmlns:y='2' xmlns:z='3'/>", 1000, "</a>"), XML_FAULT_NONE);
    check_fault(repeat("<a>", "<b/>", TREE_ITEMS, "</a>"), XML_FAULT_SIZE);
}

static void *read_often(void *context)
{
    struct tree tree = {0};
    bool *good = context;
    *good = true;
    for (int i = 0; i < 200; i++) {
        *good = *good && read_text(&tree, "<a b='1'><c>x</c></a>", false).fault == XML_FAULT_NONE && tree.count == 5;
        *good = *good && read_text(&tree, "<a>", false).fault == XML_FAULT_ENDS_EARLY;
    }
    tree_done(&tree);
    return NULL;
}

static void threads_read_side_by_side(void **state)
{
    pthread_t threads[4];
    bool good[4];
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_often, &good[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(good[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_elements_attributes_and_texts),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(is_silent),
        cmocka_unit_test(bounds),
        cmocka_unit_test(threads_read_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
