/*
 * Manifests as text with nodes: every node knows its bytes, whatever the way of writing, and changes touch nothing
 * else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/manifest_edit.h"
#include "tools/shuntctl/manifest_emit.h"

struct read {
    struct manifest manifest;
    struct manifest_faults faults;
    json_t *kept;
};

static struct read *read_bytes(const char *text, size_t length)
{
    struct read *read = calloc(1, sizeof(*read));
    assert_non_null(read);
    read->faults.arena = config_arena_new();
    read->kept = json_array();
    assert_true(read->faults.arena != NULL && read->kept != NULL);
    if (!manifest_parse(&read->manifest, "f", text, length, &read->faults))
        assert_true(read->faults.count > 0);
    read->manifest.kept = read->kept;
    return read;
}

static struct read *read_text(const char *text)
{
    return read_bytes(text, strlen(text));
}

static void done(struct read *read)
{
    json_decref(read->kept);
    config_arena_free(read->faults.arena);
    free(read);
}

static struct manifest_node *root_of(struct read *read)
{
    assert_int_equal(read->faults.count, 0);
    assert_non_null(read->manifest.documents);
    return read->manifest.documents->root;
}

/* The node at a way such as "a.b.1". */
static struct manifest_node *at(struct read *read, const char *way)
{
    struct manifest_node *node = root_of(read);
    char copy[64], *rest = copy;
    snprintf(copy, sizeof(copy), "%s", way);
    for (char *step; (step = strsep(&rest, ".")) != NULL && step[0] != '\0';) {
        if (node->kind == MANIFEST_LIST) {
            node = node->first;
            for (long i = strtol(step, NULL, 10); i > 0; i--)
                node = node->next;
        } else {
            struct manifest_node *key = manifest_key(&read->manifest, node, step);
            assert_non_null(key);
            node = key->value;
        }
    }
    return node;
}

static void assert_bytes(struct read *read, const char *way, const char *bytes)
{
    const struct manifest_node *node = at(read, way);
    if (node->end - node->start != strlen(bytes) ||
        memcmp(read->manifest.text + node->start, bytes, strlen(bytes)) != 0)
        fail_msg("%s: \"%.*s\" is not \"%s\"", way, (int)(node->end - node->start), read->manifest.text + node->start,
                 bytes);
}

static void assert_becomes(struct read *read, const char *wanted)
{
    size_t length;
    if (read->faults.count > 0)
        fail_msg("%s", read->faults.lines[0]);
    const char *made = manifest_apply(&read->manifest, &length);
    assert_non_null(made);
    if (length != strlen(wanted) || memcmp(made, wanted, length) != 0)
        fail_msg("%.*s\n---- is not\n%s", (int)length, made, wanted);
    done(read);
}

/* ---- nodes ---- */

static void nodes_know_their_bytes(void **state)
{
    (void)state;
    struct read *read =
        read_text("# größer 🛒\na: 'ö'   # c\nb:\n- x: \"1\"\n  y: &n [ 1, {z: 2} ]\n- - 3\n  -\nc: "
                  "|\n  text\n\nd: w\n  x\ne: {f: , g}\n"
                  "h:   # none\ni: *n\n? j\nk: 4\n");
    assert_bytes(read, "a", "'ö'");
    assert_bytes(read, "b.0.x", "\"1\"");
    assert_bytes(read, "b.0.y", "&n [ 1, {z: 2} ]");
    assert_bytes(read, "b.0.y.1.z", "2");
    assert_bytes(read, "b.0", "x: \"1\"\n  y: &n [ 1, {z: 2} ]");
    assert_bytes(read, "b.1.0", "3");
    assert_bytes(read, "b.1.1", "");
    assert_bytes(read, "b.1", "- 3\n  -");
    assert_bytes(read, "c", "|\n  text\n\n");
    assert_bytes(read, "d", "w\n  x");
    assert_bytes(read, "e.f", "");
    assert_bytes(read, "e", "{f: , g}");
    assert_bytes(read, "i", "*n");
    assert_true(at(read, "e.f")->colon && at(read, "h")->colon);
    assert_false(at(read, "e.g")->colon || at(read, "j")->colon);
    assert_memory_equal(read->manifest.text + at(read, "e.f")->start - 2, "f:", 2);
    assert_memory_equal(read->manifest.text + at(read, "h")->start - 2, "h:", 2);
    assert_int_equal(at(read, "b.0.y")->aliases, 1);
    assert_ptr_equal(manifest_meant(at(read, "i")), at(read, "b.0.y"));
    assert_memory_equal(read->manifest.text + at(read, "b.1")->dash, "- - 3", 5);
    assert_memory_equal(read->manifest.text + at(read, "b.1.1")->dash, "-\nc", 3);
    done(read);
}

static void dashes_are_found_behind_comments_and_anchors(void **state)
{
    static const char text[] = "a: &x\n  # - no\n  -   # - no\n    b: 1\n\n  # - no\n  - c: 2\n";
    struct read *read = read_text(text);
    (void)state;
    assert_int_equal(at(read, "a.0")->dash, strstr(text, "-   #") - text);
    assert_int_equal(at(read, "a.1")->dash, strstr(text, "- c") - text);
    done(read);
}

static void documents_and_json_objects_stand_apart(void **state)
{
    struct read *read = read_text("a: 1\n---\n--- # c\n{\"b\": \"}{\"}\n...\n%YAML 1.1\n---\nc: 3\n");
    const struct manifest_document *document = read->manifest.documents;
    (void)state;
    assert_false(read->manifest.json || document->opened);
    assert_true(document->next->opened && document->next->next->opened && document->next->next->next->directed);
    assert_int_equal(document->next->next->start, 9);
    assert_null(document->next->next->next->next);
    done(read);
    read = read_text(" {\"a\": \"}{\\\"\"}\n\n{\"b\": [{}]} {\"c\": 1}\n");
    assert_true(read->manifest.json);
    document = read->manifest.documents;
    assert_int_equal(document->root->start, 1);
    assert_int_equal(document->next->root->start, 16);
    assert_string_equal(document->next->next->root->first->text, "c");
    done(read);
    read = read_text("{a: 1} # yaml\n");
    assert_false(read->manifest.json);
    done(read);
    read = read_text("");
    assert_null(read->manifest.documents);
    done(read);
}

static void a_byte_order_mark_and_every_line_break_count(void **state)
{
    static const char text[] = "\xef\xbb\xbf"
                               "a: 1\r\nb: 2\rc: \xe2\x80\xa8"
                               "d\n";
    struct read *read = read_text("\xef\xbb\xbf"
                                  "a: 1\r\n  b: 2\r\n");
    (void)state;
    assert_int_equal(read->faults.count, 1);
    assert_memory_equal(read->faults.lines[0], "f:2:4: ", 7);
    done(read);
    read = read_text("\xef\xbb\xbf"
                     "a: 1\r\nb: 2\r\n");
    assert_string_equal(read->manifest.newline, "\r\n");
    assert_bytes(read, "b", "2");
    assert_int_equal(manifest_column(&read->manifest, at(read, "a")->start), 3);
    done(read);
    assert_int_equal(manifest_break(text, sizeof(text) - 1, 7), 2);
    assert_int_equal(manifest_break(text, sizeof(text) - 1, 13), 1);
    assert_int_equal(manifest_break(text, sizeof(text) - 1, 17), 3);
    assert_int_equal(manifest_break(text, sizeof(text) - 1, 20), 0);
}

static void keys_are_found_through_merges_and_once(void **state)
{
    struct read *read =
        read_text("x: &x {p: 1, q: ~}\ny: &y {<<: *x, p: 2}\nz: {<<: [{r: 3}, *y], s: '', t: 07}\nu: {a: 1, a: 2}\n");
    const struct manifest_node *z = at(read, "z");
    (void)state;
    assert_string_equal(manifest_text(&read->manifest, z, "p"), "2");
    assert_int_equal(manifest_number(&read->manifest, z, "r"), 3);
    assert_null(manifest_text(&read->manifest, z, "q"));
    assert_non_null(manifest_value(&read->manifest, z, "q"));
    assert_string_equal(manifest_text(&read->manifest, z, "s"), "");
    assert_int_equal(manifest_number(&read->manifest, z, "s"), -1);
    assert_int_equal(manifest_number(&read->manifest, z, "nothing"), -1);
    assert_null(manifest_value(&read->manifest, at(read, "z.t"), "p"));
    assert_null(manifest_key(&read->manifest, at(read, "u"), "a"));
    assert_string_equal(read->faults.lines[0], "f:4:11: a stands here a second time; leave one of them out");
    done(read);
}

static void what_is_too_deep_or_too_large_is_refused(void **state)
{
    char deep[2 * MANIFEST_DEPTH + 3];
    (void)state;
    memset(deep, '[', MANIFEST_DEPTH + 1);
    memset(deep + MANIFEST_DEPTH + 1, ']', MANIFEST_DEPTH + 1);
    struct read *read = read_bytes(deep, 2 * MANIFEST_DEPTH + 2);
    assert_non_null(strstr(read->faults.lines[0], "this is nested deeper than 100 levels"));
    done(read);
    read = read_bytes(deep + 1, 2 * MANIFEST_DEPTH);
    assert_int_equal(read->faults.count, 0);
    done(read);
    char *large = malloc(MANIFEST_BYTES + 1);
    assert_non_null(large);
    memset(large, '\n', MANIFEST_BYTES + 1);
    read = read_bytes(large, MANIFEST_BYTES + 1);
    assert_non_null(strstr(read->faults.lines[0], "f:1:1: the file is larger than 16 MiB"));
    done(read);
    free(large);
}

/* ---- changes ---- */

static json_t *json(struct read *read, const char *text)
{
    json_t *made = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(made);
    assert_int_equal(json_array_append_new(read->kept, made), 0);
    return made;
}

static void pairs_and_items_are_added_behind_the_last(void **state)
{
    static const struct {
        const char *text, *way, *added, *made;
    } cases[] = {
        {"a: 1\n", "", "{\"b\": 2}", "a: 1\nb: 2\n"},
        {"a: 1", "", "{\"b\": 2}", "a: 1\nb: 2"},
        {"a: 1\r\nc: 2\r\n", "", "{\"b\": 2}", "a: 1\r\nc: 2\r\nb: 2\r\n"},
        {"a:\n  b: 1 # c\n  # of a\n# of all\nd: 2\n", "a", "{\"e\": [3]}",
         "a:\n  b: 1 # c\n  # of a\n  e: [3]\n# of all\nd: 2\n"},
        {"a:\n- 1\nb: 2\n", "a", "[{\"x\": 1, \"k\": [{\"z\": true}]}]", "a:\n- 1\n- x: 1\n  k:\n  - z: true\nb: 2\n"},
        {"a:\n  - |\n    t\n\n  # c\nb: 2\n", "a", "[null]", "a:\n  - |\n    t\n\n  # c\n  - null\nb: 2\n"},
        {"{}", "", "{\"b\": 2}", "{\"b\": 2}"},
        {"[ ]", "", "[1, {\"a\": \"b\"}]", "[1, {\"a\": \"b\"} ]"},
        {"a: {b: 1, }\n", "a", "{\"c\": {\"d\": 2}}", "a: {b: 1, \"c\": {\"d\": 2}, }\n"},
        {"{\n    \"a\": [\n        1\n    ]\n}\n", "a", "[{\"b\": []}]",
         "{\n    \"a\": [\n        1,\n        {\n            \"b\": []\n        }\n    ]\n}\n"},
        {"{\n\t\"a\": 1\n}\n", "", "{\"b\": 2}", "{\n\t\"a\": 1,\n\t\"b\": 2\n}\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct read *read = read_text(cases[i].text);
        struct manifest_node *node = at(read, cases[i].way);
        (node->kind == MANIFEST_MAP ? manifest_add_pairs : manifest_add_items)(&read->manifest, node,
                                                                               json(read, cases[i].added));
        assert_becomes(read, cases[i].made);
    }
}

static void nulls_and_scalars_change_and_change_back(void **state)
{
    static const struct {
        const char *text, *content, *made, *before;
    } cases[] = {
        {"a:   # c\nb: 1\n", "[{\"x\": 1}]", "a:   # c\n  - x: 1\nb: 1\n", NULL},
        {"a:\n", "{\"x\": 1}", "a:\n  x: 1\n", NULL},
        {"a:   # c\n", "8080", "a: 8080   # c\n", ""},
        {"a: ~   # c\n", "[{\"x\": 1}]", "a: [{\"x\": 1}]   # c\n", "~"},
        {"{a: , b: 1}", "{\"x\": 1}", "{a: {\"x\": 1} , b: 1}", ""},
        {"{\"a\":null}", "[]", "{\"a\":[]}", "null"},
        {"a: 'h'   # c\n", "8080", "a: 8080   # c\n", "'h'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct read *read = read_text(cases[i].text);
        const char *before = NULL;
        struct manifest_node *value = at(read, "a");
        (manifest_is_null(value) ? manifest_fill : manifest_replace)(&read->manifest, value,
                                                                     json(read, cases[i].content), &before);
        assert_true((before == NULL) == (cases[i].before == NULL));
        if (before != NULL)
            assert_string_equal(before, cases[i].before);
        assert_becomes(read, cases[i].made);
        if (cases[i].before == NULL)
            continue;
        read = read_text(cases[i].made);
        manifest_restore(&read->manifest, at(read, "a"), cases[i].before);
        assert_becomes(read, cases[i].text);
    }
}

/* Of a map's keys or a list's items, those whose place is a letter in `leaving`. */
static void remove_members(struct read *read, struct manifest_node *collection, const char *leaving)
{
    char letter = 'a';
    for (struct manifest_node *member = collection->first; member != NULL; member = member->next)
        member->leaves = strchr(leaving, letter++) != NULL;
    manifest_remove(&read->manifest, collection);
}

static void members_are_removed_with_their_lines(void **state)
{
    static const struct {
        const char *text, *way, *leaving, *made;
    } cases[] = {
        {"a: 1\nb: 2 # c\nc: 3\n", "", "b", "a: 1\nc: 3\n"},
        {"a: 1\nb: 2\nc: 3", "", "bc", "a: 1"},
        {"a: 1\nb: 2\nc: 3", "", "ac", "b: 2"},
        {"- a: 1\n  b: 2\n", "0", "a", "- b: 2\n"},
        {"x:\n- 1\n- 2\n- 3\ny: 4\n", "x", "ac", "x:\n- 2\ny: 4\n"},
        {"x:\n- 1\ny: 4\n", "x", "a", "x:\ny: 4\n"},
        {"[1, 2, 3]", "", "a", "[2, 3]"},
        {"[1, 2, 3]", "", "bc", "[1]"},
        {"[1, 2 , 3, ]", "", "c", "[1, 2, ]"},
        {"[ 1, 2 ]", "", "ab", "[ ]"},
        {"{\"a\": 1,\n \"b\": 2}", "", "b", "{\"a\": 1}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct read *read = read_text(cases[i].text);
        remove_members(read, at(read, cases[i].way), cases[i].leaving);
        assert_becomes(read, cases[i].made);
    }
}

static void documents_are_added_and_removed(void **state)
{
    static const struct {
        const char *text, *with;
    } cases[] = {
        {"a: 1\n", "a: 1\n---\nb: 2\n"},
        {"a: 1", "a: 1\n---\nb: 2"},
        {"a: 1\n--- # c\nc: 3\n", "a: 1\n---\nb: 2\n--- # c\nc: 3\n"},
        {"{\"a\":1}\n", "{\"a\":1}\n{\"b\": 2}\n"},
        {"{\"a\":1}", "{\"a\":1}\n{\"b\": 2}"},
        {"{\n  \"a\": 1\n}\n{\"c\": 3}\n", "{\n  \"a\": 1\n}\n{\n  \"b\": 2\n}\n{\"c\": 3}\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct read *read = read_text(cases[i].text);
        root_of(read);
        manifest_add_document(&read->manifest, read->manifest.documents, json(read, "{\"b\": 2}"));
        assert_becomes(read, cases[i].with);
        read = read_text(cases[i].with);
        root_of(read);
        manifest_remove_document(&read->manifest, read->manifest.documents->next);
        assert_becomes(read, cases[i].text);
    }
}

static void places_lead_back_to_the_text_before(void **state)
{
    struct read *read = read_text("a: 1\nb: 2\nc: 3\n");
    struct manifest next;
    size_t length;
    (void)state;
    remove_members(read, root_of(read), "a");
    manifest_add_pairs(&read->manifest, root_of(read), json(read, "{\"d\": 4}"));
    const char *made = manifest_apply(&read->manifest, &length);
    assert_string_equal(made, "b: 2\nc: 3\nd: 4\n");
    assert_true(manifest_parse(&next, "f", made, length, &read->faults));
    next.before = &read->manifest;
    assert_int_equal(manifest_place_before(&next, 5), 10);
    assert_int_equal(manifest_place_before(&next, 12), 15);
    manifest_fault(&next, 8, "here");
    assert_string_equal(read->faults.lines[0], "f:3:4: here");
    done(read);
}

/* ---- values as text ---- */

static void texts_are_quoted_where_they_have_to_be(void **state)
{
    static const struct {
        const char *text, *yaml;
    } cases[] = {
        {"plain", "plain"},
        {"registry/shunt:0.1.0", "registry/shunt:0.1.0"},
        {"64Mi", "64Mi"},
        {"100m", "100m"},
        {"5s", "\"5s\""},
        {"0.0.0.0:9901", "\"0.0.0.0:9901\""},
        {"", "\"\""},
        {"No", "\"No\""},
        {"null", "\"null\""},
        {"a:", "\"a:\""},
        {"a b", "\"a b\""},
        {"- a", "\"- a\""},
        {"#", "\"#\""},
        {"it's", "\"it's\""},
        {"say \"it's\"", "'say \"it''s\"'"},
        {"a\\", "\"a\\\\\""},
        {"größer", "\"größer\""},
        {"tab\t\"", "'tab\t\"'"},
        {"\x01\x7f\xc2\x85\xe2\x80\xa8\xef\xbb\xbf", "\"\\u0001\\u007f\\u0085\\u2028\\ufeff\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct read *read = read_text("a: 1\n");
        char wanted[128];
        json_t *pairs = json_pack("{s:s}", "b", cases[i].text);
        assert_non_null(pairs);
        assert_int_equal(json_array_append_new(read->kept, pairs), 0);
        manifest_add_pairs(&read->manifest, root_of(read), pairs);
        snprintf(wanted, sizeof(wanted), "a: 1\nb: %s\n", cases[i].yaml);
        assert_becomes(read, wanted);
        read = read_text(wanted); /* and is read back */
        assert_string_equal(manifest_text(&read->manifest, root_of(read), "b"), cases[i].text);
        done(read);
    }
}

static void lines_are_a_literal_where_they_can_be(void **state)
{
    static const struct {
        const char *text, *yaml;
    } cases[] = {
        {"one\n  two\n\n\tthree\n", "|\n  one\n    two\n\n  \tthree\n"},
        {"one\n", "|\n  one\n"},
        {"one\ntwo", "\"one\\ntwo\"\n"},
        {"one\n\n", "\"one\\n\\n\"\n"},
        {" one\n", "\" one\\n\"\n"},
        {"\none\n", "\"\\none\\n\"\n"},
        {"one\r\n", "\"one\\u000d\\n\"\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct read *read = read_text("a: 1\n");
        char wanted[128];
        json_t *pairs = json_pack("{s:s}", "b", cases[i].text);
        assert_int_equal(json_array_append_new(read->kept, pairs), 0);
        manifest_add_pairs(&read->manifest, root_of(read), pairs);
        snprintf(wanted, sizeof(wanted), "a: 1\nb: %s", cases[i].yaml);
        assert_becomes(read, wanted);
        read = read_text(wanted);
        assert_string_equal(manifest_text(&read->manifest, root_of(read), "b"), cases[i].text);
        done(read);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_know_their_bytes),
        cmocka_unit_test(dashes_are_found_behind_comments_and_anchors),
        cmocka_unit_test(documents_and_json_objects_stand_apart),
        cmocka_unit_test(a_byte_order_mark_and_every_line_break_count),
        cmocka_unit_test(keys_are_found_through_merges_and_once),
        cmocka_unit_test(what_is_too_deep_or_too_large_is_refused),
        cmocka_unit_test(pairs_and_items_are_added_behind_the_last),
        cmocka_unit_test(nulls_and_scalars_change_and_change_back),
        cmocka_unit_test(members_are_removed_with_their_lines),
        cmocka_unit_test(documents_are_added_and_removed),
        cmocka_unit_test(places_lead_back_to_the_text_before),
        cmocka_unit_test(texts_are_quoted_where_they_have_to_be),
        cmocka_unit_test(lines_are_a_literal_where_they_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
