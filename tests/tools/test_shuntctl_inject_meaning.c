/*
 * What a text means, and whether another one means the same but for what was to be changed: each kind of difference is
 * found, and none where there is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#include <jansson.h>

#include "tools/shuntctl/inject_meaning.h"

struct pair {
    struct manifest_faults faults;
    struct manifest before, after;
};

static void read_pair(struct pair *pair, const char *before, const char *after)
{
    *pair = (struct pair){.faults.arena = config_arena_new()};
    assert_non_null(pair->faults.arena);
    assert_true(manifest_parse(&pair->before, "before", before, strlen(before), &pair->faults));
    assert_true(manifest_parse(&pair->after, "after", after, strlen(after), &pair->faults));
}

static void done(struct pair *pair)
{
    assert_int_equal(pair->faults.count, 0);
    config_arena_free(pair->faults.arena);
}

/* Where another meaning is found, as text from there on; NULL: nowhere. */
static const char *found_in(const struct pair *pair)
{
    const struct manifest_node *wrong = inject_other_meaning(&pair->before, &pair->after);
    return wrong != NULL ? pair->before.text + wrong->start : NULL;
}

/* ---- nothing was to be changed ---- */

static void ways_of_writing_are_one_meaning(void **state)
{
    static const char *const same[][2] = {
        {"a: 1\nb: [x, y]\n", "# c\n{a: 1, b:\n [x,   y]}"},
        {"a: 'x'\n", "a: \"x\"\n"},
        {"a: |\n  x\nb: ~\n", "a: \"x\\n\"\nb: ~\n"},
        {"a: &x {b: c}\nd: *x\n", "a: &other\n  b: c\nd: *other\n"},
        {"a: !!int 5\n", "a: !<tag:yaml.org,2002:int> 5\n"},
        {"---\n---\na: 1\n", "---\n---\n{a: 1}\n"},
        {"", "# nothing\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        struct pair pair;
        read_pair(&pair, same[i][0], same[i][1]);
        if (found_in(&pair) != NULL)
            fail_msg("%s means %s", same[i][0], same[i][1]);
        done(&pair);
    }
}

static void every_other_meaning_is_found(void **state)
{
    static const char *const others[][3] = {
        {"a: 1\n", "a: 2\n", "1\n"},
        {"a: 1\n", "a: '1'\n", "1\n"},
        {"a: 1\n", "b: 1\n", "a: 1\n"},
        {"a: 1\n", "a: 1\nb: 2\n", "a: 1\n"},
        {"a: 1\nb: 2\n", "a: 1\n", "b: 2\n"},
        {"a: 1\nb: 2\n", "b: 2\na: 1\n", "a: 1\nb: 2\n"},
        {"a: [x, y]\n", "a: [x]\n", "y]\n"},
        {"a: [x]\n", "a: [x, y]\n", "[x]\n"},
        {"a: [x]\n", "a: x\n", "[x]\n"},
        {"a: []\n", "a: {}\n", "[]\n"},
        {"a: |\n  x\n", "a: |\n  x", "|\n  x\n"},
        {"a: !!int 5\n", "a: 5\n", "!!int 5\n"},
        {"a: 5\n", "a: !!str 5\n", "5\n"},
        {"a: &x b\nc: &y b\nd: *x\n", "a: &x b\nc: &y b\nd: *y\n", "*x\n"},
        {"a: &x b\nd: *x\n", "a: b\nd: b\n", "*x\n"},
        {"a: 1\n---\nb: 2\n", "a: 1\n", "a: 1\n---\nb: 2\n"},
        {"a: 1\n", "a: 1\n---\nb: 2\n", "a: 1\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct pair pair;
        read_pair(&pair, others[i][0], others[i][1]);
        const char *found = found_in(&pair);
        if (found == NULL || strcmp(found, others[i][2]) != 0)
            fail_msg("%s and %s differ at %s, and not at %s", others[i][0], others[i][1], others[i][2],
                     found != NULL ? found : "nothing");
        done(&pair);
    }
}

/* ---- something is laid on ---- */

static const char *laid_on(const char *before, const char *after, json_t *over)
{
    struct pair pair;
    read_pair(&pair, before, after);
    pair.before.documents->root->laid = over;
    const char *found = found_in(&pair);
    done(&pair);
    return found;
}

static void what_is_laid_on_is_there_and_nothing_else(void **state)
{
    static const char before[] = "x: 1\nl:\n- name: a\n  v: 2\n- port: 80\nn: ~\n";
    static const char good[] = "x: 5\nl:\n- name: a\n  v: 2\n  more: {t: true, f: false}\n- port: 80\n  to: "
                               "\"8080\"\n- name: b\nn: [\"null\"]\nnew: 64Mi\n";
    static const char *const bad[][2] = {
        {"x: 5\n", "x: '5'\n"},
        {"x: 5\n", "x: 1\n"},
        {"t: true", "t: 'true'"},
        {"f: false", "f: true"},
        {", f: false", ""},
        {"\"8080\"", "8080"},
        {"- name: b\n", ""},
        {"- name: b\n", "- name: c\n"},
        {"\"null\"", "null"},
        {"new: 64Mi\n", ""},
        {"64Mi\n", "64Mi\nq: 1\n"},
        {"64Mi\n", "[64Mi]\n"},
        {"- name: b\n", "- name: b\n- name: b\n"},
        {"64Mi", "!!str 64Mi"},
        {"  v: 2\n", ""},
    };
    json_t *over =
        json_pack("{s:i, s:[{s:s, s:{s:b, s:b}}, {s:s, s:s}, {s:s}], s:[s], s:s}", "x", 5, "l", "name", "a", "more",
                  "t", 1, "f", 0, "name", "80", "to", "8080", "name", "b", "n", "null", "new", "64Mi");
    (void)state;
    assert_non_null(over);
    assert_null(laid_on(before, good, over));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[400];
        const char *at = strstr(good, bad[i][0]);
        assert_non_null(at);
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, bad[i][1], at + strlen(bad[i][0]));
        if (laid_on(before, text, over) == NULL)
            fail_msg("%s was to be %s, and %s is taken for it", before, good, text);
    }
    json_decref(over);
}

static void documents_that_are_added_are_there(void **state)
{
    struct pair pair;
    (void)state;
    read_pair(&pair, "a: 1\n---\nb: 2\n", "a: 1\n---\nc: d\n---\nb: 2\n");
    assert_non_null(found_in(&pair));
    pair.before.laid = json_pack("[{s:s}]", "c", "d");
    assert_null(found_in(&pair));
    done(&pair);
    json_t *laid = pair.before.laid;
    read_pair(&pair, "a: 1\n", "a: 1\n---\nc: e\n");
    pair.before.laid = laid;
    assert_non_null(found_in(&pair));
    done(&pair);
    read_pair(&pair, "a: 1\n", "a: 1\n");
    pair.before.laid = laid;
    assert_non_null(found_in(&pair));
    done(&pair);
    json_decref(laid);
}

/* ---- something is taken off ---- */

static void what_leaves_is_gone_and_nothing_else(void **state)
{
    static const struct {
        const char *after;
        bool good;
    } cases[] = {{"a: {}\nc: 'old'\n", true},        {"a:\nc: 'old'\n", true},    {"a: {x: 1}\nc: 'old'\n", false},
                 {"a: {}\nb: 2\nc: 'old'\n", false}, {"c: 'old'\n", false},       {"a: {}\nc: 3\n", false},
                 {"a: {}\nc: old\n", false},         {"a: []\nc: 'old'\n", false}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pair pair;
        read_pair(&pair, "a: {x: 1}\nb: 2\nc: 3\n---\nd: 4\n", cases[i].after);
        struct manifest_node *root = pair.before.documents->root, *key = root->first;
        key->value->first->leaves = true;
        key->next->leaves = true;
        root->last->value->restored = "'old'";
        pair.before.documents->next->root->leaves = true;
        if ((found_in(&pair) == NULL) != cases[i].good)
            fail_msg("%zu: %s", i, cases[i].after);
        done(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ways_of_writing_are_one_meaning),
        cmocka_unit_test(every_other_meaning_is_found),
        cmocka_unit_test(what_is_laid_on_is_there_and_nothing_else),
        cmocka_unit_test(documents_that_are_added_are_there),
        cmocka_unit_test(what_leaves_is_gone_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
