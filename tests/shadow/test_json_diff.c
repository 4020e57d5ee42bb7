/*
 * The structural difference, beyond what the corpus shows: places and values as they are shown, many fields, and work
 * that would never end.
 */
#include "tests/shadow/pairs.h"

#include "shadow/json_diff.h"

struct fixture {
    struct test_route route;
    struct compare *compare;
    struct pair *pair;
};

static void start(struct fixture *f)
{
    test_route_init(&f->route, "r");
    f->compare = compare_new();
    assert_non_null(f->compare);
    f->pair = NULL;
}

static void stop(struct fixture *f)
{
    pair_free(f->pair);
    compare_free(f->compare);
}

static const struct comparison *judge(struct fixture *f, const char *primary, const char *shadow)
{
    pair_free(f->pair);
    f->pair = test_json_pair(&f->route, primary, shadow);
    return compare_pair(f->compare, f->pair);
}

static void check_shown(struct fixture *f, const char *primary, const char *shadow, const char *path, const char *left,
                        const char *right)
{
    const struct comparison *c = judge(f, primary, shadow);
    assert_int_equal(c->judgement, JUDGEMENT_MISMATCHED);
    const struct difference *d = &c->differences.at[0];
    if (strcmp(d->path, path) != 0 || strcmp(d->primary, left) != 0 || strcmp(d->shadow, right) != 0)
        fail_msg("%s: %s -> %s; expected %s: %s -> %s", d->path, d->primary, d->shadow, path, left, right);
}

static void shows_type_and_length_only(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    check_shown(&f, "{\"a\":[1,{\"b\":\"hunter2\"}]}", "{\"a\":[1,{\"b\":\"swordfish\"}]}", "$.a[1].b", "<string 7>",
                "<string 9>");
    check_shown(&f, "{\"n\":1}", "{\"n\":2}", "$.n", "<number>", "<number>");
    check_shown(&f, "{\"n\":true}", "{\"n\":null}", "$.n", "<boolean>", "null");
    check_shown(&f, "{\"n\":{\"x\":1}}", "{\"n\":[1,2]}", "$.n", "<object 1>", "<array 2>");
    check_shown(&f, "{\"n\":[1,2]}", "{}", "$.n", "<array 2>", "");
    check_shown(&f, "{\"u\":{\"ann@example.com\":1}}", "{\"u\":{\"ann@example.com\":2}}", "$.u['<name 15>']",
                "<number>", "<number>");
    check_shown(&f, "{\"u\":{\"4111111111111111\":1}}", "{\"u\":{}}", "$.u['<name 16>']", "<number>", "");
    check_shown(&f, "{\"a\\u001b[31m\":1}", "{\"a\\u001b[31m\":2}", "$['a?[31m']", "<number>", "<number>");
    stop(&f);
}

static void shows_values_where_the_file_says_so(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    f.route.route.shadow.samples.values = SAMPLES_FULL;
    check_shown(&f, "{\"a\":\"left\"}", "{\"a\":\"right\"}", "$.a", "\"left\"", "\"right\"");
    check_shown(&f, "{\"a\":1.50}", "{\"a\":2}", "$.a", "1.50", "2");
    check_shown(&f, "{\"17\":1}", "{\"17\":2}", "$['17']", "1", "2");
    /* never: secrets, and what is inside them; whole containers */
    check_shown(&f, "{\"password\":\"hunter2\"}", "{\"password\":\"x\"}", "$.password", "<string 7>", "<string 1>");
    check_shown(&f, "{\"secrets\":{\"x\":\"hunter2\"}}", "{\"secrets\":{\"x\":\"y\"}}", "$.secrets.x", "<string 7>",
                "<string 1>");
    check_shown(&f, "{\"a\":{\"password\":\"hunter2\"}}", "{\"a\":1}", "$.a", "<object 1>", "1");
    stop(&f);
}

static void counts_places_of_a_field(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    const struct comparison *c = judge(&f, "[{\"p\":1},{\"p\":2},{\"p\":3}]", "[{\"p\":1},{\"p\":5},{\"p\":6}]");
    assert_int_equal(c->differences.count, 1);
    assert_int_equal(c->differences.at[0].count, 2);
    assert_string_equal(c->differences.at[0].field, "$[*].p");
    assert_string_equal(c->differences.at[0].path, "$[1].p");
    stop(&f);
}

static char *object_of(uint32_t members, uint32_t value)
{
    char *text = malloc(members * 32 + 16), *to = text;
    assert_non_null(text);
    *to++ = '{';
    for (uint32_t i = 0; i < members; i++) /* letters only, so that each is a field of its own */
        to += sprintf(to, "%s\"n%c%c%c%c\":%u", i > 0 ? "," : "", 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676 % 26,
                      'a' + i / 17576 % 26, value);
    strcpy(to, "}");
    return text;
}

static void more_fields_than_room_are_counted(void **state)
{
    struct fixture f;
    char *a = object_of(1000, 1), *b = object_of(1000, 2);
    (void)state;
    start(&f);
    const struct comparison *c = judge(&f, a, b);
    assert_int_equal(c->judgement, JUDGEMENT_MISMATCHED);
    assert_int_equal(c->differences.count, DIFFERENCES_MAX);
    assert_int_equal(c->differences.beyond, 1000 - DIFFERENCES_MAX);
    free(a);
    free(b);
    stop(&f);
}

/* Arrays in arrays, all in another order: each level asks the whole question again. */
static void endless_work_is_given_up(void **state)
{
    enum {
        ELEMENTS = 30000,
        LEVELS = 200
    };
    struct fixture f;
    size_t room = (size_t)ELEMENTS * 8 + LEVELS * 8;
    char *a = malloc(room), *b = malloc(room), *x = a, *y = b;
    (void)state;
    assert_true(a != NULL && b != NULL);
    start(&f);
    for (int i = 0; i < LEVELS; i++) {
        x += sprintf(x, "[1,");
        y += sprintf(y, "[2,");
    }
    for (int i = 0; i < ELEMENTS; i++) {
        x += sprintf(x, "%s%d", i == 0 ? "[" : ",", i);
        y += sprintf(y, "%s%d", i == 0 ? "[" : ",", ELEMENTS - i);
    }
    for (int i = 0; i <= LEVELS; i++) {
        x += sprintf(x, "]");
        y += sprintf(y, "]");
    }
    /* Whatever it finds before it gives up is a difference; "matched" would be a lie. */
    assert_int_equal(judge(&f, a, b)->judgement, JUDGEMENT_MISMATCHED);

    test_route_unordered(&f.route, "$..*");
    const struct comparison *c = judge(&f, a, b);
    assert_true(c->judgement == JUDGEMENT_MISMATCHED ||
                (c->judgement == JUDGEMENT_NOT_COMPARABLE && c->obstacle == OBSTACLE_TOO_COMPLEX));
    free(a);
    free(b);
    stop(&f);
}

/* Reordering a large object is sorting, not searching. */
static void large_objects_in_another_order(void **state)
{
    enum {
        MEMBERS = 50000
    };
    struct fixture f;
    char *a = object_of(MEMBERS, 1), *b = malloc(MEMBERS * 32);
    char *to = b;
    (void)state;
    assert_non_null(b);
    start(&f);
    *to++ = '{';
    for (uint32_t k = MEMBERS; k-- > 0;)
        to += sprintf(to, "\"n%c%c%c%c\":1%s", 'a' + k % 26, 'a' + k / 26 % 26, 'a' + k / 676 % 26,
                      'a' + k / 17576 % 26, k > 0 ? "," : "");
    strcpy(to, "}");
    f.route.route.shadow.max_body = 8 * 1024 * 1024;
    const struct comparison *c = judge(&f, a, b);
    assert_int_equal(c->judgement, JUDGEMENT_MATCHED);
    free(a);
    free(b);
    stop(&f);
}

/* Above MATCHING_MAX elements tolerances take the first partner that fits. */
static void many_tolerated_elements(void **state)
{
    enum {
        COUNT = 200
    };
    struct fixture f;
    char a[COUNT * 8], b[COUNT * 8], *x = a, *y = b;
    (void)state;
    start(&f);
    test_route_unordered(&f.route, "$");
    test_route_tolerate(&f.route, "$[*]", TOLERANCE_ABSOLUTE, 0.2);
    for (int i = 0; i < COUNT; i++) {
        x += sprintf(x, "%s%d", i == 0 ? "[" : ",", i);
        y += sprintf(y, "%s%d.1", i == 0 ? "[" : ",", COUNT - 1 - i);
    }
    strcpy(x, "]");
    strcpy(y, "]");
    assert_int_equal(judge(&f, a, b)->judgement, JUDGEMENT_IGNORED);
    y[-2] = '5'; /* 0.5 */
    assert_int_equal(judge(&f, a, b)->judgement, JUDGEMENT_MISMATCHED);
    stop(&f);
}

/* The place names the element by its key, as far as the key may be shown. */
static void places_are_named_by_keys(void **state)
{
    static const char primary[] = "{\"items\":[{\"id\":17,\"price\":1},{\"id\":\"ann\",\"price\":1},{\"price\":3}]}";
    static const char shadow[] = "{\"items\":[{\"price\":3},{\"id\":\"ann\",\"price\":1},{\"id\":17,\"price\":2}]}";
    static const char missing[] = "{\"items\":[{\"price\":3},{\"id\":17,\"price\":1}]}";
    struct config_keyed keyed = {.path = "$.items", .by = "id"};
    struct fixture f;
    (void)state;
    start(&f);
    f.route.route.shadow.compare.keyed = &keyed;
    f.route.route.shadow.compare.keyed_count = 1;
    f.route.route.shadow.samples.values = SAMPLES_FULL;
    check_shown(&f, primary, shadow, "$.items[id=17].price", "1", "2");
    assert_string_equal(compare_pair(f.compare, f.pair)->differences.at[0].field, "$.items[*].price");
    check_shown(&f, primary, missing, "$.items[id=\"ann\"]", "<object 2>", "");
    f.route.route.shadow.samples.values = SAMPLES_REDACTED;
    check_shown(&f, primary, shadow, "$.items[id=<number>].price", "<number>", "<number>");
    check_shown(&f, primary, missing, "$.items[id=<string 3>]", "<object 2>", "");
    keyed.by = "api_key"; /* a secret, whatever the file says */
    f.route.route.shadow.samples.values = SAMPLES_FULL;
    check_shown(&f, "{\"items\":[{\"api_key\":\"hunter2\",\"n\":1}]}",
                "{\"items\":[{\"api_key\":\"hunter2\",\"n\":2}]}", "$.items[api_key=<string 7>].n", "1", "2");
    stop(&f);
}

/* Ten thousand elements in another order, each with its key, cost no more than sorting them. */
static void many_keyed_elements(void **state)
{
    enum {
        MANY = 10000
    };
    struct config_keyed keyed = {.path = "$", .by = "id"};
    char *primary = malloc(MANY * 32), *shadow = malloc(MANY * 32);
    size_t len = 0, other = 0;
    struct fixture f;
    (void)state;
    assert_non_null(primary);
    assert_non_null(shadow);
    start(&f);
    f.route.route.shadow.compare.keyed = &keyed;
    f.route.route.shadow.compare.keyed_count = 1;
    for (int i = 0; i < MANY; i++) {
        int j = MANY - 1 - i;
        len += (size_t)snprintf(primary + len, 32, "%c{\"id\":%d,\"n\":%d}", i == 0 ? '[' : ',', i, i);
        other += (size_t)snprintf(shadow + other, 32, "%c{\"id\":%d,\"n\":%d}", i == 0 ? '[' : ',', j, j == 7 ? 0 : j);
    }
    snprintf(primary + len, 32, "]");
    snprintf(shadow + other, 32, "]");
    const struct comparison *c = judge(&f, primary, shadow);
    assert_int_equal(c->judgement, JUDGEMENT_MISMATCHED);
    assert_int_equal(c->differences.count, 2);
    assert_string_equal(c->differences.at[0].field, "$[*].n");
    assert_int_equal(c->differences.at[0].count, 1);
    assert_string_equal(c->differences.at[1].field, "$");
    assert_true(c->differences.at[1].ignored);
    stop(&f);
    free(primary);
    free(shadow);
}

/* What a run over two JSON texts under the fixture's rules costs. */
static uint64_t units_of(struct fixture *f, const char *primary, const char *shadow, enum json_diff_result expected)
{
    static struct difference_list list;
    const struct veil veil = veil_of(&f->route.route.shadow.samples);
    struct json_doc a = {0}, b = {0};
    struct json_diff *diff = json_diff_new();
    struct rules *rules = rules_new(&f->route.route);
    assert_true(diff != NULL && rules != NULL);
    assert_true(json_doc_parse(&a, primary, strlen(primary)) && json_doc_parse(&b, shadow, strlen(shadow)));
    difference_list_reset(&list, &veil);
    assert_int_equal(json_diff_run(diff, rules, &a, &b, &list), expected);
    uint64_t units = json_diff_spent(diff);
    rules_free(rules);
    json_diff_free(diff);
    json_doc_done(&a);
    json_doc_done(&b);
    return units;
}

/* An array of `count` numbers from `first` on, upwards or downwards; the caller frees it. */
static char *numbers(int first, int count, bool down)
{
    char *text = malloc((size_t)count * 12 + 3), *to = text;
    assert_non_null(text);
    for (int i = 0; i < count; i++)
        to += sprintf(to, "%c%d", i == 0 ? '[' : ',', first + (down ? count - 1 - i : i));
    strcpy(to, "]");
    return text;
}

/* Elements that cannot be equal by their length are held against each other all the same. */
static void every_question_costs(void **state)
{
    struct fixture f;
    char *a = numbers(10000, 5000, false), *b = numbers(100000, 5000, false);
    (void)state;
    start(&f);
    test_route_unordered(&f.route, "$");
    test_route_tolerate(&f.route, "$[*]", TOLERANCE_ABSOLUTE, 0.5);
    assert_int_equal(units_of(&f, a, b, JSON_DIFF_TOO_COMPLEX), JSON_DIFF_BUDGET);
    const struct comparison *c = judge(&f, a, b);
    assert_int_equal(c->judgement, JUDGEMENT_NOT_COMPARABLE);
    assert_int_equal(c->obstacle, OBSTACLE_TOO_COMPLEX);
    free(a);
    free(b);
    stop(&f);
}

/* Elements that need no tolerance find each other by their hashes. */
static void tolerance_costs_only_where_it_is_needed(void **state)
{
    struct fixture f;
    char *a = numbers(0, 40000, false), *b = numbers(0, 40000, true);
    (void)state;
    start(&f);
    test_route_unordered(&f.route, "$");
    test_route_tolerate(&f.route, "$[*]", TOLERANCE_ABSOLUTE, 0.5);
    assert_true(units_of(&f, a, b, JSON_DIFF_DONE) < 40000 * 40);
    assert_int_equal(judge(&f, a, b)->judgement, JUDGEMENT_IGNORED);
    free(a);
    free(b);
    stop(&f);
}

/* `levels` objects within each other, then `count` times `element` in an array; the caller frees it. */
static char *nested(const char *name, int levels, int count, const char *element)
{
    char *text = malloc((size_t)levels * (strlen(name) + 8) + (size_t)count * (strlen(element) + 1) + 3), *to = text;
    assert_non_null(text);
    for (int i = 0; i < levels; i++)
        to += sprintf(to, "{\"%s\":", name);
    for (int i = 0; i < count; i++)
        to += sprintf(to, "%c%s", i == 0 ? '[' : ',', element);
    *to++ = ']';
    for (int i = 0; i < levels; i++)
        *to++ = '}';
    *to = '\0';
    return text;
}

/* A name with escapes is read again for each difference below it. */
static void names_above_many_differences_cost(void **state)
{
    enum {
        LONG = 60000
    };
    static const char word[] = "a1b2c3d4e5f6g7h8i9j0a1b2c3d4e5f6g7h8i9j0a1b2c3d4e5";
    struct fixture f;
    char *escaped = malloc(LONG * 6 + 1), *to = escaped;
    (void)state;
    assert_non_null(escaped);
    start(&f);
    for (int i = 0; i < LONG; i++)
        to += sprintf(to, "\\u0061");
    char *a = nested(escaped, 1, 50000, "1"), *b = nested(escaped, 1, 50000, "2");
    units_of(&f, a, b, JSON_DIFF_TOO_COMPLEX);
    assert_int_equal(judge(&f, a, b)->judgement, JUDGEMENT_MISMATCHED);
    free(a);
    free(b);
    a = nested(word, 200, 50000, "1");
    b = nested(word, 200, 50000, "2");
    units_of(&f, a, b, JSON_DIFF_TOO_COMPLEX);
    assert_int_equal(judge(&f, a, b)->judgement, JUDGEMENT_MISMATCHED);
    free(a);
    free(b);
    a = nested("order", 4, 50000, "1"); /* as answers are */
    b = nested("order", 4, 50000, "2");
    assert_true(units_of(&f, a, b, JSON_DIFF_DONE) < 50000 * 10);
    free(a);
    free(b);
    free(escaped);
    stop(&f);
}

/* What is not finished finds nothing that is not there: numbers within a tolerance are not different when the work they
 * would take is no longer paid for. */
static void nothing_is_found_after_the_end(void **state)
{
    enum {
        NUMBERS = 250000
    };
    struct fixture f;
    char *a = nested("", 0, NUMBERS, "100e999"), *b = nested("", 0, NUMBERS, "101e999");
    (void)state;
    start(&f);
    f.route.route.shadow.max_body = 8 * 1024 * 1024;
    for (uint32_t i = 0; i < RULES_ROOM; i++) /* each path costs a little at each element */
        test_route_ignore(&f.route, "$..a.b.c.d.e.f.g.h.i.j");
    test_route_tolerate(&f.route, "$[*]", TOLERANCE_RELATIVE, 0.5);
    units_of(&f, a, b, JSON_DIFF_TOO_COMPLEX);
    const struct comparison *c = judge(&f, a, b);
    assert_int_equal(c->judgement, JUDGEMENT_NOT_COMPARABLE);
    assert_int_equal(c->obstacle, OBSTACLE_TOO_COMPLEX);
    free(a);
    free(b);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_type_and_length_only),
        cmocka_unit_test(shows_values_where_the_file_says_so),
        cmocka_unit_test(counts_places_of_a_field),
        cmocka_unit_test(more_fields_than_room_are_counted),
        cmocka_unit_test(endless_work_is_given_up),
        cmocka_unit_test(large_objects_in_another_order),
        cmocka_unit_test(many_tolerated_elements),
        cmocka_unit_test(places_are_named_by_keys),
        cmocka_unit_test(many_keyed_elements),
        cmocka_unit_test(every_question_costs),
        cmocka_unit_test(tolerance_costs_only_where_it_is_needed),
        cmocka_unit_test(names_above_many_differences_cost),
        cmocka_unit_test(nothing_is_found_after_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
