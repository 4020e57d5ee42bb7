/*
 * Suggestions: which rule is proposed for what, and what never is.
 */
#include "tests/shadow/pairs.h"

#include "shadow/report.h"

struct fixture {
    struct test_route route;
    struct compare *compare;
    struct report *report;
};

static void start(struct fixture *f)
{
    test_route_init(&f->route, "orders");
    test_route_header(&f->route, "x-served-by");
    f->compare = compare_new();
    f->report = report_new();
    assert_true(f->compare != NULL && f->report != NULL);
}

static void stop(struct fixture *f)
{
    report_free(f->report);
    compare_free(f->compare);
}

static void add(struct fixture *f, enum pair_kind kind, const char *target, const char *primary, const char *shadow,
                int times)
{
    for (int i = 0; i < times; i++) {
        struct pair *pair = test_json_pair(&f->route, primary, shadow);
        pair->kind = kind;
        snprintf(pair->target, sizeof(pair->target), "%s", target);
        report_add(f->report, pair, compare_pair(f->compare, pair));
        pair_free(pair);
    }
}

/* The suggestion for a path, or NULL; `*report` is the caller's. */
static json_t *suggestion(struct fixture *f, const char *path, json_t **report)
{
    size_t i;
    json_t *one;
    *report = report_json(f->report, "orders");
    json_t *array = json_object_get(json_array_get(json_object_get(*report, "routes"), 0), "suggestions");
    assert_true(json_is_array(array));
    json_array_foreach(array, i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "path")), path) == 0)
            return one;
    }
    return NULL;
}

static void assert_rule(struct fixture *f, const char *path, const char *rule)
{
    json_t *report, *one = suggestion(f, path, &report);
    if (rule == NULL) {
        if (one != NULL)
            fail_msg("%s is suggested for %s", json_string_value(json_object_get(one, "rule")), path);
    } else {
        assert_non_null(one);
        assert_string_equal(json_string_value(json_object_get(one, "rule")), rule);
        assert_true(json_integer_value(json_object_get(one, "pairs")) > 0);
        assert_true(json_string_length(json_object_get(one, "why")) > 0);
    }
    json_decref(report);
}

static void noise_may_be_ignored(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    add(&f, PAIR_CROSS, "/orders", "{\"id\":\"x\",\"real\":1}", "{\"id\":\"y\",\"real\":\"1\"}", 50);
    assert_rule(&f, "$.id", NULL); /* nothing is known yet */
    add(&f, PAIR_NOISE, "/orders", "{\"id\":\"x\"}", "{\"id\":\"z\"}", 20);
    assert_rule(&f, "$.id", "ignore");
    assert_rule(&f, "$.real", NULL);
    stop(&f);
}

static void noise_of_heads_may_be_ignored_too(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    for (int i = 0; i < 40; i++) {
        struct pair *pair = test_pair(&f.route);
        pair->kind = i % 2 == 0 ? PAIR_CROSS : PAIR_NOISE;
        test_capture(&pair->primary_capture, 1000, 200, "X-Served-By: a\r\n", "", 0);
        test_capture(&pair->shadow_capture, 1000, 201, "X-Served-By: b\r\n", "", 0);
        report_add(f.report, pair, compare_pair(f.compare, pair));
        pair_free(pair);
    }
    assert_rule(&f, "status", "ignore");
    assert_rule(&f, "header:x-served-by", "ignore");
    stop(&f);
}

/* A rule holds for the whole route: what is noise here and real there must not be ignored. */
static void noise_at_one_endpoint_only_is_not_suggested(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    add(&f, PAIR_CROSS, "/orders", "{\"id\":\"x\"}", "{\"id\":\"y\"}", 50);
    add(&f, PAIR_NOISE, "/orders", "{\"id\":\"x\"}", "{\"id\":\"z\"}", 20);
    add(&f, PAIR_CROSS, "/people", "{\"id\":\"x\"}", "{\"id\":\"y\"}", 50);
    assert_rule(&f, "$.id", NULL);
    stop(&f);
}

static void order_alone_may_be_left_out(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    add(&f, PAIR_CROSS, "/orders", "{\"tags\":[1,2,3],\"mixed\":[1,2]}", "{\"tags\":[3,2,1],\"mixed\":[2,1]}", 5);
    assert_rule(&f, "$.tags", "unordered");
    add(&f, PAIR_CROSS, "/orders", "{\"mixed\":[1,2]}", "{\"mixed\":[1,2,3]}", 1);
    add(&f, PAIR_CROSS, "/orders", "{\"mixed\":1}", "{\"mixed\":[1,2,3]}", 1);
    assert_rule(&f, "$.tags", "unordered");
    assert_rule(&f, "$.mixed", NULL);
    stop(&f);
}

static void rounding_may_be_tolerated(void **state)
{
    struct fixture f;
    json_t *report;
    (void)state;
    start(&f);
    add(&f, PAIR_CROSS, "/orders", "{\"total\":100,\"far\":100,\"text\":1}",
        "{\"total\":100.0003,\"far\":120,\"text\":1.000001}", 5);
    add(&f, PAIR_CROSS, "/orders", "{\"text\":\"a\"}", "{\"text\":\"b\"}", 1);
    json_t *one = suggestion(&f, "$.total", &report);
    assert_non_null(one);
    assert_string_equal(json_string_value(json_object_get(one, "rule")), "tolerance");
    double relative = json_real_value(json_object_get(one, "relative"));
    assert_true(relative > 0.0000029999 && relative < 0.0000030001);
    assert_non_null(strstr(json_string_value(json_object_get(one, "why")), "relative"));
    json_decref(report);
    assert_rule(&f, "$.far", NULL);  /* 17 % apart */
    assert_rule(&f, "$.text", NULL); /* not always numbers */
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_may_be_ignored),
        cmocka_unit_test(noise_of_heads_may_be_ignored_too),
        cmocka_unit_test(noise_at_one_endpoint_only_is_not_suggested),
        cmocka_unit_test(order_alone_may_be_left_out),
        cmocka_unit_test(rounding_may_be_tolerated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
