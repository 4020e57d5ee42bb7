/*
 * The report as records: what goes out comes back, what is damaged does not, and what was refused is offered again.
 */
#include "tests/shadow/pairs.h"

#include <math.h>

#include "shadow/groups.h"
#include "shadow/paired.h"
#include "shadow/report.h"
#include "shadow/report_row.h"

enum {
    RECORDS_MAX = 4096
};

/* A store: the newest of each record, with texts of its own. */
struct store {
    struct record_cell cells[RECORDS_MAX];
    struct record_field fields[RECORDS_MAX];
    struct record_group groups[RECORDS_MAX];
    struct record_bucket buckets[RECORDS_MAX];
    struct record_rule rules[RECORDS_MAX];
    uint32_t cell_count, field_count, group_count, bucket_count, rule_count;
    uint32_t calls, refuse_from; /* calls from this on are refused; 0: none is */
    void *kept[65536];           /* everything the records point to */
    uint32_t kept_count;
};

static struct store *store_new(void)
{
    struct store *store = calloc(1, sizeof(*store));
    assert_non_null(store);
    return store;
}

static void store_free(struct store *store)
{
    for (uint32_t i = 0; i < store->kept_count; i++)
        free(store->kept[i]);
    free(store);
}

static const void *keep(struct store *store, const void *at, size_t len)
{
    if (at == NULL)
        return NULL;
    void *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy, at, len);
    assert_true(store->kept_count < sizeof(store->kept) / sizeof(store->kept[0]));
    return store->kept[store->kept_count++] = copy;
}

static const char *keep_text(struct store *store, const char *text)
{
    return keep(store, text, strlen(text) + 1);
}

static void keep_key(struct store *store, struct record_key *key)
{
    key->route = keep_text(store, key->route);
    key->endpoint = keep_text(store, key->endpoint);
}

static bool is_refused(struct store *store)
{
    return ++store->calls >= store->refuse_from && store->refuse_from > 0;
}

static bool same_key(const struct record_key *a, const struct record_key *b)
{
    return strcmp(a->route, b->route) == 0 && a->primary == b->primary && strcmp(a->endpoint, b->endpoint) == 0;
}

/* The place of a record among those there are, told by its key and `same`. */
#define PLACE(list, count, record, same)                                                                               \
    ({                                                                                                                 \
        uint32_t i = 0;                                                                                                \
        while (i < (count) && !(same_key(&(list)[i].key, &(record)->key) && (same)))                                   \
            i++;                                                                                                       \
        assert_true(i < RECORDS_MAX);                                                                                  \
        (count) = i == (count) ? i + 1 : (count);                                                                      \
        i;                                                                                                             \
    })

static bool put_cell(void *context, const struct record_cell *record)
{
    struct store *store = context;
    if (is_refused(store))
        return false;
    struct record_cell copy = *record;
    keep_key(store, &copy.key);
    copy.latency = keep(store, record->latency, record->latency_len);
    store->cells[PLACE(store->cells, store->cell_count, record, true)] = copy;
    return true;
}

static bool put_field(void *context, const struct record_field *record)
{
    struct store *store = context;
    if (is_refused(store))
        return false;
    struct record_field copy = *record;
    keep_key(store, &copy.key);
    copy.name = keep_text(store, record->name);
    copy.path = keep_text(store, record->path);
    copy.primary = keep_text(store, record->primary);
    copy.shadow = keep_text(store, record->shadow);
    copy.request_id = keep_text(store, record->request_id);
    store->fields[PLACE(store->fields, store->field_count, record, store->fields[i].index == record->index)] = copy;
    return true;
}

static bool put_group(void *context, const struct record_group *record)
{
    struct store *store = context;
    if (is_refused(store))
        return false;
    struct record_group copy = *record;
    keep_key(store, &copy.key);
    copy.fields = keep(store, record->fields, record->field_count * sizeof(*record->fields));
    store->groups[PLACE(store->groups, store->group_count, record, store->groups[i].index == record->index)] = copy;
    return true;
}

static bool put_bucket(void *context, const struct record_bucket *record)
{
    struct store *store = context;
    if (is_refused(store))
        return false;
    struct record_bucket copy = *record;
    keep_key(store, &copy.key);
    store->buckets[PLACE(store->buckets, store->bucket_count, record,
                         store->buckets[i].at_ms == record->at_ms && store->buckets[i].width_s == record->width_s)] =
        copy;
    return true;
}

static bool put_rule(void *context, const struct record_rule *record)
{
    struct store *store = context;
    if (is_refused(store))
        return false;
    struct record_rule copy = *record;
    keep_key(store, &copy.key);
    copy.text = keep_text(store, record->text);
    store->rules[PLACE(store->rules, store->rule_count, record, strcmp(store->rules[i].text, record->text) == 0)] =
        copy;
    return true;
}

static bool save(struct report *report, struct store *store)
{
    const struct record_sink sink = {store, put_cell, put_field, put_group, put_bucket, put_rule};
    store->calls = 0;
    return report_save_changes(report, &sink);
}

static void restore(struct report *report, const struct store *store)
{
    for (uint32_t i = 0; i < store->cell_count; i++)
        assert_true(report_restore_cell(report, &store->cells[i]));
    for (uint32_t i = 0; i < store->field_count; i++)
        assert_true(report_restore_field(report, &store->fields[i]));
    for (uint32_t i = 0; i < store->group_count; i++)
        assert_true(report_restore_group(report, &store->groups[i]));
    for (uint32_t i = 0; i < store->bucket_count; i++)
        assert_true(report_restore_bucket(report, &store->buckets[i]));
    for (uint32_t i = 0; i < store->rule_count; i++)
        assert_true(report_restore_rule(report, &store->rules[i]));
}

/* ---- a report with everything in it ---- */

struct fixture {
    struct test_route route;
    struct compare *compare;
    struct report *report;
    struct store *store;
};

static void start(struct fixture *f)
{
    test_route_init(&f->route, "orders");
    test_route_ignore(&f->route, "$.at");
    f->route.route.gates.mismatch_rate = 0.01;
    f->compare = compare_new();
    f->report = report_new();
    f->store = store_new();
    assert_true(f->compare != NULL && f->report != NULL);
}

static void stop(struct fixture *f)
{
    report_free(f->report);
    compare_free(f->compare);
    store_free(f->store);
}

static void add(struct fixture *f, enum pair_kind kind, enum side primary, const char *target, const char *ours,
                const char *theirs)
{
    static uint64_t wall = 1740909600000;
    struct pair *pair = test_json_pair(&f->route, ours, theirs);
    pair->kind = kind;
    pair->primary = primary;
    pair->wall_ms = wall += 1777;
    pair->shadow_capture.latency_us = wall % 5000;
    snprintf(pair->target, sizeof(pair->target), "%s", target);
    report_add(f->report, pair, compare_pair(f->compare, pair));
    pair_free(pair);
}

static void add_some(struct fixture *f, int times)
{
    for (int i = 0; i < times; i++) {
        add(f, PAIR_CROSS, SIDE_LEGACY, "/orders/1", "{\"a\":1,\"id\":1,\"at\":5}", "{\"a\":2,\"id\":2,\"at\":6}");
        add(f, PAIR_CROSS, SIDE_LEGACY, "/orders/1", "{\"n\":100,\"id\":1}", "{\"n\":101,\"id\":2}");
        add(f, PAIR_CROSS, SIDE_LEGACY, "/orders", "{\"id\":1}", "{\"id\":2}");
        add(f, PAIR_CROSS, SIDE_LEGACY, "/orders", "{\"id\":1}", "{\"id\":1}");
        add(f, PAIR_NOISE, SIDE_LEGACY, "/orders", "{\"id\":1}", "{\"id\":2}");
        add(f, PAIR_CROSS, SIDE_NEW, "/orders", "{\"tags\":[1,2]}", "{\"tags\":[2,1]}");
    }
}

/* As text, without what may differ: when it was made. */
static char *text_of(struct report *report)
{
    json_t *json = report_json(report, NULL);
    json_object_del(json, "generated_at_ms");
    size_t i;
    json_t *route;
    json_array_foreach(json_object_get(json, "routes"), i, route)
    {
        json_object_del(json_object_get(route, "limits"), "bytes_used"); /* live histograms of buckets are not stored */
        json_object_del(json_object_get(route, "noise_rule"), "percent");
    }
    char *text = json_dumps(json, JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
    assert_non_null(text);
    json_decref(json);
    return text;
}

static void assert_same_report(struct report *a, struct report *b)
{
    char *x = text_of(a), *y = text_of(b);
    size_t at = 0;
    while (x[at] != '\0' && x[at] == y[at])
        at++;
    if (x[at] != y[at])
        fail_msg("they differ at: %.300s\nand %.300s", x + (at > 150 ? at - 150 : 0), y + (at > 150 ? at - 150 : 0));
    free(x);
    free(y);
}

static void what_goes_out_comes_back(void **state)
{
    struct fixture f;
    struct comparison_totals before, after;
    (void)state;
    start(&f);
    add_some(&f, 100);
    assert_true(save(f.report, f.store));
    struct report *again = report_new();
    restore(again, f.store);
    assert_same_report(f.report, again);
    report_totals(f.report, "orders", &before);
    report_totals(again, "orders", &after);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_true(before.compared == 500 && before.mismatched == 300); /* 100 were only noise, 100 equal */
    assert_true(save(again, f.store));
    assert_int_equal(f.store->calls, 0); /* nothing of it is new */
    report_free(again);
    stop(&f);
}

static void only_what_changed_is_handed_over(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    add_some(&f, 50);
    assert_true(save(f.report, f.store));
    uint32_t all = f.store->calls;
    assert_true(save(f.report, f.store));
    assert_int_equal(f.store->calls, 0);
    add(&f, PAIR_CROSS, SIDE_LEGACY, "/orders", "{\"id\":1}", "{\"id\":1}");
    assert_true(save(f.report, f.store));
    assert_int_equal(f.store->calls, 4); /* route, endpoint, minute, hour */
    report_save_again(f.report);
    assert_true(save(f.report, f.store));
    assert_true(f.store->calls >= all);
    stop(&f);
}

/* A disk that refuses now and then: each call once is the first that is refused. */
static void what_was_refused_is_offered_again(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    add_some(&f, 20);
    for (uint32_t refuse = 1; refuse < 200; refuse++) {
        f.store->refuse_from = refuse;
        if (save(f.report, f.store))
            break;
        assert_true(refuse < 199);
    }
    f.store->refuse_from = 0;
    assert_true(save(f.report, f.store));
    struct report *again = report_new();
    restore(again, f.store);
    assert_same_report(f.report, again);
    report_free(again);
    stop(&f);
}

static void a_report_goes_on_after_a_restart(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    add_some(&f, 30);
    assert_true(save(f.report, f.store));
    struct report *first = f.report;
    f.report = report_new();
    restore(f.report, f.store);
    add_some(&f, 30);
    assert_true(save(f.report, f.store));
    struct report *again = report_new();
    restore(again, f.store);
    struct comparison_totals totals;
    report_totals(again, "orders", &totals);
    assert_int_equal(totals.compared, 300);
    assert_int_equal(totals.mismatched, 180);
    assert_int_equal(f.store->cell_count, 5); /* two directions, three endpoints: none twice */
    report_free(again);
    report_free(first);
    stop(&f);
}

/* A reset while records are on their way: what was refused then is of a row that is no more. */
static bool reset_and_refuse(void *context, const struct record_field *record)
{
    (void)record;
    report_reset(context, NULL);
    return false;
}

static bool take_cell(void *context, const struct record_cell *record)
{
    (void)context;
    return record->key.route != NULL;
}

static bool take_bucket(void *context, const struct record_bucket *record)
{
    (void)context;
    return record->at_ms > 0;
}

static bool take_rule(void *context, const struct record_rule *record)
{
    (void)context;
    return record->text != NULL;
}

static void a_reset_in_between_is_no_trouble(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    add_some(&f, 20);
    const struct record_sink sink = {f.report, take_cell, reset_and_refuse, NULL, take_bucket, take_rule};
    assert_false(report_save_changes(f.report, &sink));
    assert_true(save(f.report, f.store));
    assert_int_equal(f.store->calls, 0);
    stop(&f);
}

/* ---- damage ---- */

#define REFUSED(what, change)                                                                                          \
    do {                                                                                                               \
        struct record_##what bad = what;                                                                               \
        change;                                                                                                        \
        assert_false(report_restore_##what(report, &bad));                                                             \
    } while (0)

static char long_text[600];

static void damaged_cells_are_refused(void **state)
{
    struct report *report = report_new();
    const struct record_cell cell = {
        .key = {"orders", SIDE_LEGACY, "GET /orders"}, .since_ms = 1, .last_ms = 2, .judged = {5, 0, 3, 1}};
    const char *empty = "";
    (void)state;
    memset(long_text, 'a', sizeof(long_text) - 1);
    REFUSED(cell, bad.key.route = NULL);
    REFUSED(cell, bad.key.route = empty);
    REFUSED(cell, bad.key.route = long_text);
    REFUSED(cell, bad.key.primary = (enum side)7);
    REFUSED(cell, bad.key.endpoint = NULL);
    REFUSED(cell, bad.key.endpoint = long_text);
    REFUSED(cell, bad.key.endpoint = "GET /\x1b[2J");
    REFUSED(cell, bad.judged[0] = UINT64_MAX);
    REFUSED(cell, bad.noise_judged[0] = (uint64_t)INT64_MAX);
    REFUSED(cell, bad.obstacles[OBSTACLE_TRUNCATED] = 2);
    REFUSED(cell, bad.ungrouped = 4);
    REFUSED(cell, bad.ungrouped_noise = 1);
    REFUSED(cell, bad.other_noise = UINT64_MAX);
    REFUSED(cell, (bad.latency = "\x07", bad.latency_len = 1));
    REFUSED(cell, (bad.key.endpoint = empty, bad.confidence = 0));
    REFUSED(cell, (bad.key.endpoint = empty, bad.confidence = NAN));
    assert_true(report_restore_cell(report, &cell));
    assert_false(report_restore_cell(report, &cell)); /* twice */
    report_free(report);
}

static void damaged_parts_are_refused(void **state)
{
    struct report *report = report_new();
    const struct record_key key = {"orders", SIDE_LEGACY, "GET /orders"}, whole = {"orders", SIDE_LEGACY, ""};
    const struct record_cell cell = {.key = key, .since_ms = 1, .last_ms = 2, .judged = {5, 0, 3, 1}};
    const struct record_field field = {.key = key,
                                       .name = "$.a",
                                       .path = "$.a",
                                       .primary = "",
                                       .shadow = "",
                                       .request_id = "",
                                       .apart = -1,
                                       .differing = 3};
    const uint16_t fields[] = {0}, backwards[] = {0, 0}, beyond[] = {1};
    const struct record_group group = {.key = key, .fields = fields, .field_count = 1, .pairs = 3};
    const struct record_bucket bucket = {.key = whole, .at_ms = 1740909600000, .width_s = 60};
    const struct record_rule rule = {.key = whole, .text = "ignore $.a", .pairs = 1};
    (void)state;
    assert_false(report_restore_field(report, &field)); /* no such endpoint yet */
    assert_true(report_restore_cell(report, &cell));
    REFUSED(field, bad.index = 1);
    REFUSED(field, bad.name = "");
    REFUSED(field, bad.name = NULL);
    REFUSED(field, bad.name = long_text);
    REFUSED(field, bad.name = "$.\xff");
    REFUSED(field, bad.path = long_text);
    REFUSED(field, bad.request_id = NULL);
    REFUSED(field, bad.apart = NAN);
    REFUSED(field, bad.by_kind[0] = UINT64_MAX);
    REFUSED(field, bad.key = whole);
    assert_true(report_restore_field(report, &field));
    REFUSED(field, bad.index = 1); /* the same name again */
    REFUSED(group, bad.index = 1);
    REFUSED(group, bad.fields = beyond);
    REFUSED(group, (bad.fields = backwards, bad.field_count = 2));
    REFUSED(group, bad.field_count = 0);
    REFUSED(group, bad.field_count = 1000);
    REFUSED(group, bad.pairs = UINT64_MAX);
    assert_true(report_restore_group(report, &group));
    REFUSED(bucket, bad.key = key);
    REFUSED(bucket, bad.width_s = 7);
    REFUSED(bucket, bad.judged[0] = (uint64_t)UINT32_MAX + 1);
    REFUSED(bucket, bad.ratio_p50 = INFINITY);
    assert_true(report_restore_bucket(report, &bucket));
    REFUSED(rule, bad.text = "");
    REFUSED(rule, bad.text = long_text);
    REFUSED(rule, bad.pairs = UINT64_MAX);
    assert_true(report_restore_rule(report, &rule));
    assert_false(report_restore_rule(report, &rule));
    report_free(report);
}

/* More of a group than of the endpoint: no total may ever go below zero. */
static void contradictions_do_not_underflow(void **state)
{
    struct report *report = report_new();
    struct comparison_totals totals;
    const struct record_key key = {"orders", SIDE_LEGACY, "GET /orders"};
    const struct record_cell cell = {.key = key, .judged = {5, 0, 3, 0}, .noise_judged = {0, 0, 9, 0}};
    const struct record_field field = {.key = key,
                                       .name = "$.a",
                                       .path = "",
                                       .primary = "",
                                       .shadow = "",
                                       .request_id = "",
                                       .apart = -1,
                                       .differing = 3,
                                       .noise = 9};
    const uint16_t fields[] = {0};
    const struct record_group group = {.key = key, .fields = fields, .field_count = 1, .pairs = 1000};
    (void)state;
    assert_true(report_restore_cell(report, &cell) && report_restore_field(report, &field) &&
                report_restore_group(report, &group));
    report_totals(report, "orders", &totals);
    assert_true(totals.compared == 8 && totals.mismatched == 0);
    report_free(report);
}

/* Noise excuses other values, not values that are missing; what is known of that is kept, too. */
static void the_shape_of_noise_is_kept(void **state)
{
    static const uint64_t noise_shapes[] = {0, 9};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct report *report = report_new();
        struct comparison_totals totals;
        const struct record_key key = {"orders", SIDE_LEGACY, "GET /orders"};
        const struct record_cell cell = {.key = key, .judged = {5, 0, 3, 0}, .noise_judged = {0, 0, 9, 0}};
        const struct record_field field = {
            .key = key,
            .name = "$.a",
            .path = "",
            .primary = "",
            .shadow = "",
            .request_id = "",
            .apart = -1,
            .differing = 3,
            .noise = 9,
            .by_kind = {[DIFFERENCE_MISSING] = 3, [RECORD_SHAPE] = 3, [RECORD_NOISE_SHAPE] = noise_shapes[i]}};
        const uint16_t fields[] = {0 | GROUP_SHAPE};
        const struct record_group group = {.key = key, .fields = fields, .field_count = 1, .pairs = 3};
        assert_true(report_restore_cell(report, &cell) && report_restore_field(report, &field) &&
                    report_restore_group(report, &group));
        report_totals(report, "orders", &totals);
        assert_int_equal(totals.compared, 8);
        assert_int_equal(totals.mismatched, i == 0 ? 3 : 0);
        report_free(report);
    }
}

static void more_than_there_is_room_for_is_refused(void **state)
{
    struct report *report = report_new();
    uint32_t cells = 0, fields = 0;
    (void)state;
    for (uint32_t i = 0; i < 3 * CELLS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof(name), "GET /%c%c%c", 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676);
        const struct record_cell cell = {.key = {"orders", SIDE_LEGACY, name}, .judged = {1}};
        cells += report_restore_cell(report, &cell);
        for (uint32_t k = 0; k < 8; k++) {
            char field_name[32];
            snprintf(field_name, sizeof(field_name), "$.f%u", k);
            const struct record_field field = {.key = cell.key,
                                               .index = k,
                                               .name = field_name,
                                               .path = "",
                                               .primary = "",
                                               .shadow = "",
                                               .request_id = "",
                                               .apart = -1};
            fields += report_restore_field(report, &field);
        }
    }
    assert_int_equal(cells, CELLS_MAX);
    assert_int_equal(fields, ROW_FIELDS_MAX);
    report_free(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_out_comes_back),          cmocka_unit_test(only_what_changed_is_handed_over),
        cmocka_unit_test(what_was_refused_is_offered_again), cmocka_unit_test(a_report_goes_on_after_a_restart),
        cmocka_unit_test(a_reset_in_between_is_no_trouble),  cmocka_unit_test(damaged_cells_are_refused),
        cmocka_unit_test(damaged_parts_are_refused),         cmocka_unit_test(contradictions_do_not_underflow),
        cmocka_unit_test(the_shape_of_noise_is_kept),        cmocka_unit_test(more_than_there_is_room_for_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
