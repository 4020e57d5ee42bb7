/*
 * Rules: their texts, what is refused, when they are made anew, and which of them is said to have done something.
 */
#include "tests/shadow/pairs.h"

#include <unistd.h>

#include "shadow/rules.h"

/* A route with one rule of each kind. */
struct full_route {
    struct test_route test;
    const char *present[2];
    struct config_keyed keyed[1];
    struct config_replace replace[3];
};

static struct config_compare *fill(struct full_route *f)
{
    test_route_init(&f->test, "r");
    struct config_compare *c = &f->test.route.shadow.compare;
    test_route_header(&f->test, "etag");
    test_route_ignore(&f->test, "status");
    test_route_ignore(&f->test, "header:date");
    test_route_ignore(&f->test, "$.meta.id");
    test_route_unordered(&f->test, "$.tags");
    test_route_tolerate(&f->test, "$.total", TOLERANCE_ABSOLUTE, 0.01);
    test_route_tolerate(&f->test, "$.score", TOLERANCE_RELATIVE, 0.05);
    test_route_tolerate(&f->test, "$.at", TOLERANCE_WITHIN, 5000);
    test_route_tolerate(&f->test, "$.until", TOLERANCE_WITHIN, 250);
    f->keyed[0] = (struct config_keyed){.path = "$.items", .by = "id"};
    f->present[0] = "$.token";
    f->replace[0] = (struct config_replace){.in = "body", .pattern = "a", .with = "b"};
    f->replace[1] = (struct config_replace){.in = "header:etag", .pattern = "^W/", .with = ""};
    f->replace[2] = (struct config_replace){.in = "$.url", .pattern = "x", .with = "y"};
    c->keyed = f->keyed;
    c->keyed_count = 1;
    c->present_only = f->present;
    c->present_only_count = 1;
    c->replace = f->replace;
    c->replace_count = 3;
    return c;
}

static void every_rule_has_a_text(void **state)
{
    static const char *const texts[] = {
        "ignore status",
        "ignore header:date",
        "ignore $.meta.id",
        "unordered $.tags",
        "unordered $.items by id",
        "tolerance $.total absolute 0.01",
        "tolerance $.score relative 5%",
        "tolerance $.at within 5s",
        "tolerance $.until within 250ms",
        "present_only $.token",
        "replace body /a/",
        "replace header:etag /^W//",
        "replace $.url /x/",
    };
    struct full_route f;
    (void)state;
    fill(&f);
    struct rules *rules = rules_new(&f.test.route);
    assert_non_null(rules);
    assert_int_equal(rules->refused_count, 0);
    assert_int_equal(rules->text_count, sizeof(texts) / sizeof(texts[0]));
    for (uint32_t i = 0; i < rules->text_count; i++)
        assert_string_equal(rules->texts[i], texts[i]);
    rules_free(rules);
}

static void bad_rules_are_refused_and_named(void **state)
{
    struct test_route t;
    struct config_keyed keyed[] = {{.path = "$.a[", .by = "id"}, {.path = "$.a", .by = ""}};
    struct config_replace replace[] = {{.in = "somewhere", .pattern = "a", .with = ""},
                                       {.in = "body", .pattern = "(", .with = ""},
                                       {.in = "$.a", .pattern = "a", .with = "$7"},
                                       {.in = "$[x", .pattern = "a", .with = ""},
                                       {.in = "header:", .pattern = "a", .with = ""}};
    const char *present[] = {"a"};
    (void)state;
    test_route_init(&t, "r");
    test_route_ignore(&t, "bodies");
    struct config_compare *c = &t.route.shadow.compare;
    c->keyed = keyed;
    c->keyed_count = 2;
    c->replace = replace;
    c->replace_count = 5;
    c->present_only = present;
    c->present_only_count = 1;
    struct rules *rules = rules_new(&t.route);
    assert_non_null(rules);
    assert_int_equal(rules->text_count, 0);
    assert_int_equal(rules->rule_count, 0);
    assert_int_equal(rules->replacement_count, 0);
    assert_int_equal(rules->refused_count, 9);
    assert_true(rules_are_of(rules, &t.route));
    rules_free(rules);
}

static void each_has_its_serial(void **state)
{
    struct test_route t;
    (void)state;
    test_route_init(&t, "r");
    struct rules *a = rules_new(&t.route), *b = rules_new(&t.route);
    assert_non_null(a);
    assert_non_null(b);
    assert_true(a->serial != b->serial);
    rules_free(a);
    rules_free(b);
}

/* Whatever is changed about a route's rules, they are not its rules any more. */
static void notices_every_change(void **state)
{
    struct full_route f, g;
    (void)state;
    fill(&f);
    struct rules *rules = rules_new(&f.test.route);
    assert_non_null(rules);
    struct config_compare *c = fill(&g);
    assert_true(rules_are_of(rules, &g.test.route));
#define CHANGED(change)                                                                                                \
    do {                                                                                                               \
        c = fill(&g);                                                                                                  \
        change;                                                                                                        \
        if (rules_are_of(rules, &g.test.route))                                                                        \
            fail_msg("not noticed: %s", #change);                                                                      \
    } while (0)
    CHANGED(c->status_class = true);
    CHANGED(c->xml_whitespace = true);
    CHANGED(g.test.headers[0] = "vary");
    CHANGED(c->header_count = 0);
    CHANGED(g.test.ignore[2] = "$.meta.ie");
    CHANGED(g.test.unordered[0] = "$.tag");
    CHANGED(g.test.tolerance[0].path = "$.totam");
    CHANGED(g.test.tolerance[0].kind = TOLERANCE_RELATIVE);
    CHANGED(g.test.tolerance[0].amount = 0.02);
    CHANGED(c->tolerance_count = 3);
    CHANGED(g.keyed[0].path = "$.item");
    CHANGED(g.keyed[0].by = "sku");
    CHANGED(c->keyed_count = 0);
    CHANGED(g.present[0] = "$.tokem");
    CHANGED(c->present_only_count = 0);
    CHANGED(g.replace[0].in = "$.a");
    CHANGED(g.replace[0].pattern = "b");
    CHANGED(g.replace[0].with = "c");
    CHANGED(c->replace_count = 2);
#undef CHANGED
    rules_free(rules);
}

static void copy_file(const char *from, const char *to, bool half)
{
    char text[16 * 1024];
    FILE *in = fopen(from, "re"), *out = fopen(to, "we");
    assert_non_null(in);
    assert_non_null(out);
    size_t len = fread(text, 1, sizeof(text), in);
    len = half ? len / 2 - 100 : len;
    assert_int_equal(fwrite(text, 1, len, out), len);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* A descriptor set that is none is named in the report like a rule that is none; once it is written anew, the rules of
 * the route are others. */
static void a_descriptor_set_that_is_none(void **state)
{
    static const char orders[] = "tests/shadow/corpus/orders.protoset";
    char path[] = "/tmp/shunt-rules-XXXXXX", expected[256];
    struct test_route t;
    int file = mkstemp(path);
    (void)state;
    assert_true(file >= 0);
    close(file);
    test_route_init(&t, "r");
    struct rules *without = rules_new(&t.route);
    t.route.shadow.compare.descriptor_set = path;
    assert_false(rules_are_of(without, &t.route));
    copy_file(orders, path, true);
    struct rules *half = rules_new(&t.route);
    assert_null(half->descriptors);
    assert_int_equal(half->refused_count, 1);
    snprintf(expected, sizeof(expected), "descriptor_set %s: is no FileDescriptorSet", path);
    assert_memory_equal(half->refused[0], expected, strlen(expected));
    assert_true(rules_are_of(half, &t.route));
    copy_file(orders, path, false);
    assert_false(rules_are_of(half, &t.route));
    struct rules *whole = rules_new(&t.route);
    assert_non_null(whole->descriptors);
    assert_int_equal(whole->refused_count, 0);
    assert_int_equal(unlink(path), 0);
    assert_false(rules_are_of(whole, &t.route));
    struct rules *gone = rules_new(&t.route);
    assert_int_equal(gone->refused_count, 1);
    snprintf(expected, sizeof(expected), "descriptor_set %s: cannot be opened: No such file or directory", path);
    assert_string_equal(gone->refused[0], expected);
    rules_free(without);
    rules_free(half);
    rules_free(whole);
    rules_free(gone);
}

/* Beyond RULES_MAX rules still work; only whether they do is not counted. */
static void more_rules_than_texts(void **state)
{
    enum {
        MANY = RULES_MAX + 40
    };
    static char texts[MANY][16];
    static const char *ignore[MANY];
    struct test_route t;
    struct compare *compare = compare_new();
    (void)state;
    assert_non_null(compare);
    test_route_init(&t, "r");
    for (int i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof(texts[i]), "$.m%d", i);
        ignore[i] = texts[i];
    }
    t.route.shadow.compare.ignore = ignore;
    t.route.shadow.compare.ignore_count = MANY;
    struct pair *pair = test_json_pair(&t, "{\"m290\":1,\"m7\":1}", "{\"m290\":2,\"m7\":2}");
    const struct comparison *comparison = compare_pair(compare, pair);
    assert_int_equal(comparison->judgement, JUDGEMENT_IGNORED);
    assert_int_equal(comparison->rules->text_count, RULES_MAX);
    assert_true(comparison->rule_hits[0] == UINT64_C(1) << 7);
    for (int i = 1; i < RULES_MAX / 64; i++)
        assert_true(comparison->rule_hits[i] == 0);
    pair_free(pair);
    compare_free(compare);
}

/* What a rule did for one pair is not said of the next. */
static void hits_are_of_one_pair(void **state)
{
    struct test_route t;
    struct compare *compare = compare_new();
    (void)state;
    assert_non_null(compare);
    test_route_init(&t, "r");
    test_route_ignore(&t, "$.a");
    struct pair *first = test_json_pair(&t, "{\"a\":1}", "{\"a\":2}");
    struct pair *second = test_json_pair(&t, "{\"b\":1}", "{\"b\":2}"), *third = test_json_pair(&t, "{}", "{}");
    assert_true(compare_pair(compare, first)->rule_hits[0] == 1);
    assert_true(compare_pair(compare, second)->rule_hits[0] == 0);
    assert_true(compare_pair(compare, first)->rule_hits[0] == 1);
    assert_true(compare_pair(compare, third)->rule_hits[0] == 0);
    pair_free(first);
    pair_free(second);
    pair_free(third);
    compare_free(compare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_has_a_text),         cmocka_unit_test(bad_rules_are_refused_and_named),
        cmocka_unit_test(each_has_its_serial),           cmocka_unit_test(notices_every_change),
        cmocka_unit_test(a_descriptor_set_that_is_none), cmocka_unit_test(more_rules_than_texts),
        cmocka_unit_test(hits_are_of_one_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
