/*
 * The report: what it counts, what it calls noise, where it stops growing, what it never says.
 */
#include "tests/shadow/pairs.h"

#include <inttypes.h>
#include <unistd.h>
#if defined(__SANITIZE_ADDRESS__)
size_t __sanitizer_get_current_allocated_bytes(void); /* of the sanitizer's allocator; gcc comes without its header */
#endif

#include "shadow/report.h"
#include "shadow/report_row.h"

struct fixture {
    struct test_route route;
    struct compare *compare;
    struct report *report;
};

static void start(struct fixture *f)
{
    test_route_init(&f->route, "orders");
    test_route_header(&f->route, "content-type");
    test_route_header(&f->route, "set-cookie");
    f->compare = compare_new();
    f->report = report_new();
    assert_true(f->compare != NULL && f->report != NULL);
}

static void stop(struct fixture *f)
{
    report_free(f->report);
    compare_free(f->compare);
}

static void add(struct fixture *f, struct pair *pair)
{
    report_add(f->report, pair, compare_pair(f->compare, pair));
    pair_free(pair);
}

static void add_json(struct fixture *f, enum pair_kind kind, const char *primary, const char *shadow, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        struct pair *pair = test_json_pair(&f->route, primary, shadow);
        pair->kind = kind;
        add(f, pair);
    }
}

static json_t *only_route(struct fixture *f, json_t **report)
{
    *report = report_json(f->report, "orders");
    assert_non_null(*report);
    json_t *routes = json_object_get(*report, "routes");
    assert_int_equal(json_array_size(routes), 1);
    return json_array_get(routes, 0);
}

static json_int_t number(json_t *object, const char *outer, const char *key)
{
    json_t *value = json_object_get(json_object_get(object, outer), key);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static json_t *only_endpoint(json_t *route)
{
    json_t *endpoints = json_object_get(route, "endpoints");
    assert_int_equal(json_array_size(endpoints), 1);
    return json_array_get(endpoints, 0);
}

static json_t *field_named(json_t *route, const char *name)
{
    size_t i;
    json_t *field;
    json_array_foreach(json_object_get(only_endpoint(route), "fields"), i, field)
    {
        if (strcmp(json_string_value(json_object_get(field, "field")), name) == 0)
            return field;
    }
    return NULL;
}

static const char *text_at(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

static void nothing_yet(void **state)
{
    struct fixture f;
    struct comparison_totals totals = {1, 1};
    (void)state;
    start(&f);
    report_totals(f.report, "orders", &totals);
    assert_true(totals.compared == 0 && totals.mismatched == 0);
    assert_null(report_json(f.report, "orders"));
    json_t *report = report_json(f.report, NULL);
    assert_int_equal(json_integer_value(json_object_get(report, "schema")), REPORT_SCHEMA);
    assert_int_equal(json_array_size(json_object_get(report, "routes")), 0);
    json_decref(report);
    stop(&f);
}

static void counts_each_judgement(void **state)
{
    struct fixture f;
    struct comparison_totals totals;
    json_t *report;
    (void)state;
    start(&f);
    test_route_ignore(&f.route, "$.at");
    add_json(&f, PAIR_CROSS, "{\"a\":1}", "{\"a\":1}", 5);
    add_json(&f, PAIR_CROSS, "{\"a\":1,\"at\":1}", "{\"a\":1,\"at\":2}", 3);
    add_json(&f, PAIR_CROSS, "{\"a\":1}", "{\"a\":2}", 2);
    struct pair *lost = test_json_pair(&f.route, "1", "1");
    lost->shadow_capture.kind = OUTCOME_TIMEOUT;
    add(&f, lost);

    report_totals(f.report, "orders", &totals);
    assert_true(totals.compared == 10 && totals.mismatched == 2);
    json_t *route = only_route(&f, &report);
    assert_int_equal(number(route, "totals", "matched"), 5);
    assert_int_equal(number(route, "totals", "ignored"), 3);
    assert_int_equal(number(route, "totals", "mismatched"), 2);
    assert_int_equal(number(route, "totals", "not_comparable"), 1);
    assert_int_equal(number(route, "not_comparable", "shadow_timeout"), 1);
    assert_int_equal(number(route, "verdict", "differing"), 2);
    assert_string_equal(json_string_value(json_object_get(json_object_get(route, "verdict"), "state")), "differ");
    assert_int_equal(json_integer_value(json_object_get(field_named(route, "$.a"), "differing")), 2);
    assert_int_equal(json_integer_value(json_object_get(field_named(route, "$.at"), "ignored")), 3);
    json_decref(report);
    stop(&f);
}

/* A mirror that never answers must not look like one that always agrees. */
static void silence_is_no_agreement(void **state)
{
    struct fixture f;
    json_t *report;
    (void)state;
    start(&f);
    for (int i = 0; i < 40; i++) {
        struct pair *pair = test_json_pair(&f.route, "1", "1");
        pair->shadow_capture.kind = OUTCOME_CONNECT_FAILED;
        add(&f, pair);
    }
    json_t *route = only_route(&f, &report);
    json_t *verdict = json_object_get(route, "verdict");
    assert_string_equal(json_string_value(json_object_get(verdict, "state")), "no_data");
    assert_string_equal(json_string_value(json_object_get(verdict, "sentence")),
                        "orders: nothing compared yet; no limit: undecided");
    assert_int_equal(number(route, "not_comparable", "shadow_connect"), 40);
    json_decref(report);
    stop(&f);
}

/* ---- noise ---- */

static void a_field_that_differs_by_itself_is_noise(void **state)
{
    struct fixture f;
    struct comparison_totals totals;
    json_t *report;
    (void)state;
    start(&f);
    add_json(&f, PAIR_CROSS, "{\"a\":1,\"id\":\"x\"}", "{\"a\":1,\"id\":\"y\"}", 50);
    report_totals(f.report, "orders", &totals);
    assert_int_equal(totals.mismatched, 50); /* nothing is known about noise yet */
    add_json(&f, PAIR_NOISE, "{\"a\":1,\"id\":\"x\"}", "{\"a\":1,\"id\":\"z\"}", 2);
    report_totals(f.report, "orders", &totals);
    assert_int_equal(totals.mismatched, 50); /* two sightings are not enough */
    add_json(&f, PAIR_NOISE, "{\"a\":1,\"id\":\"x\"}", "{\"a\":1,\"id\":\"z\"}", 1);
    report_totals(f.report, "orders", &totals);
    assert_int_equal(totals.compared, 50); /* noise pairs do not count as compared */
    assert_int_equal(totals.mismatched, 0);
    add_json(&f, PAIR_CROSS, "{\"a\":1,\"id\":\"x\"}", "{\"a\":2,\"id\":\"y\"}", 4);
    report_totals(f.report, "orders", &totals);
    assert_int_equal(totals.mismatched, 4); /* noise and something real */

    json_t *route = only_route(&f, &report);
    assert_string_equal(text_at(field_named(route, "$.id"), "state"), "noise");
    assert_true(json_is_false(json_object_get(field_named(route, "$.id"), "shown")));
    assert_string_equal(text_at(field_named(route, "$.a"), "state"), "undecided"); /* 4 of 54, against none of 3 */
    assert_int_equal(number(route, "totals", "noise_only"), 50);
    assert_int_equal(number(route, "noise", "compared"), 3);
    json_decref(report);
    stop(&f);
}

static void add_of(struct fixture *f, uint16_t key, uint16_t path, const char *primary, const char *shadow)
{
    struct pair *pair = test_json_pair(&f->route, primary, shadow);
    pair->key_mark = key;
    pair->path_mark = path;
    pair->primary = key % 2 == 0 ? SIDE_LEGACY : SIDE_NEW;
    add(f, pair);
}

static void it_is_known_whose_pairs_differ(void **state)
{
    struct fixture f;
    struct marks marks = {0};
    (void)state;
    start(&f);
    for (uint16_t i = 0; i < 20; i++)
        add_of(&f, i, i % 5, "{\"a\":1}", i < 3 ? "{\"a\":2}" : "{\"a\":1}");
    struct pair *lost = test_json_pair(&f.route, "1", "1");
    lost->shadow_capture.kind = OUTCOME_TIMEOUT;
    lost->key_mark = 100;
    add(&f, lost);
    report_take_marks(f.report, "orders", &marks);
    assert_int_equal(sketch_count(&marks.keys), 20); /* what could not be compared is no pair */
    assert_int_equal(sketch_count(&marks.paths), 5);
    assert_int_equal(sketch_count(&marks.error_keys), 3);
    assert_int_equal(sketch_count(&marks.error_paths), 3);
    memset(&marks, 0, sizeof(marks));
    report_take_marks(f.report, "orders", &marks); /* once */
    report_take_marks(f.report, "others", &marks);
    assert_int_equal(sketch_count(&marks.keys), 0);

    add_json(&f, PAIR_NOISE, "{\"id\":\"x\"}", "{\"id\":\"z\"}", 40);
    report_take_marks(f.report, "orders", &marks);
    assert_int_equal(sketch_count(&marks.keys), 0); /* pairs for noise are not judged */
    add_of(&f, 2, 2, "{\"id\":\"x\"}", "{\"id\":\"z\"}");
    report_take_marks(f.report, "orders", &marks);
    assert_int_equal(sketch_count(&marks.keys), 1);
    assert_int_equal(sketch_count(&marks.error_keys), 0); /* nor is what is noise */
    add_of(&f, 2, 2, "{\"id\":\"x\"}", "{}");
    report_take_marks(f.report, "orders", &marks);
    assert_int_equal(sketch_count(&marks.error_keys), 1);

    memset(&marks, 0, sizeof(marks));
    add_of(&f, 2, 2, "{\"id\":\"x\"}", "{}");
    report_reset(f.report, "orders");
    report_take_marks(f.report, "orders", &marks);
    assert_int_equal(sketch_count(&marks.keys), 0);
    stop(&f);
}

/* That its value is another one every time excuses no backend that has no value, or a number for a text. */
static void noise_does_not_excuse_what_is_missing(void **state)
{
    struct fixture f;
    struct comparison_totals totals;
    json_t *report;
    (void)state;
    start(&f);
    add_json(&f, PAIR_NOISE, "{\"id\":\"x\"}", "{\"id\":\"z\"}", 40);
    add_json(&f, PAIR_CROSS, "{\"id\":\"x\"}", "{\"id\":\"y\"}", 50);
    report_totals(f.report, "orders", &totals);
    assert_int_equal(totals.mismatched, 0);
    add_json(&f, PAIR_CROSS, "{\"id\":\"x\"}", "{}", 30);
    add_json(&f, PAIR_CROSS, "{\"id\":\"x\"}", "{\"id\":7}", 4);
    report_totals(f.report, "orders", &totals);
    assert_int_equal(totals.mismatched, 34); /* and the 50 stay excused */

    json_t *route = only_route(&f, &report);
    assert_string_equal(text_at(field_named(route, "$.id"), "state"), "real");
    assert_non_null(strstr(text_at(field_named(route, "$.id"), "why"), "(34 of 84)"));
    assert_int_equal(number(route, "totals", "noise_only"), 50);
    json_decref(report);
    add_json(&f, PAIR_NOISE, "{\"id\":\"x\"}", "{}", 20); /* now and then it has none by itself */
    report_totals(f.report, "orders", &totals);
    assert_int_equal(totals.mismatched, 0);
    stop(&f);
}

/* The samples that wait, as an array; asserts how many. */
static json_t *take_samples(struct fixture *f, size_t count)
{
    json_t *samples = report_take_samples(f->report);
    assert_int_equal(json_array_size(samples), count);
    return samples;
}

static void noise_is_no_sample(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    add_json(&f, PAIR_NOISE, "{\"id\":1}", "{\"id\":2}", 5);
    add_json(&f, PAIR_CROSS, "{\"id\":1}", "{\"id\":2}", 5);
    take_samples(&f, 0);
    add_json(&f, PAIR_CROSS, "{\"id\":1,\"a\":1}", "{\"id\":2,\"a\":2}", 1);
    json_t *samples = take_samples(&f, 1);
    json_t *entry = json_array_get(samples, 0);
    assert_string_equal(text_at(entry, "route"), "orders");
    assert_string_equal(text_at(entry, "primary"), "legacy");
    assert_string_equal(text_at(entry, "endpoint"), "GET /orders/{number}");
    assert_string_equal(text_at(entry, "field"), "$.a");
    assert_int_equal(json_integer_value(json_object_get(entry, "score")), 2);
    assert_int_equal(json_integer_value(json_object_get(entry, "keep")), 8);
    assert_true(json_is_object(json_object_get(entry, "sample")));
    json_decref(samples);
    stop(&f);
}

static void add_at(struct fixture *f, uint64_t wall_ms, const char *primary, const char *shadow)
{
    struct pair *pair = test_json_pair(&f->route, primary, shadow);
    pair->wall_ms = wall_ms;
    add(f, pair);
}

/* How many of the samples that wait were made for this field. */
static uint32_t samples_for(struct fixture *f, const char *field)
{
    size_t i;
    uint32_t count = 0;
    json_t *entry, *samples = report_take_samples(f->report);
    json_array_foreach(samples, i, entry) count += strcmp(text_at(entry, "field"), field) == 0;
    json_decref(samples);
    return count;
}

static void the_first_few_and_one_a_second_become_samples(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    for (uint64_t i = 0; i < 10; i++)
        add_at(&f, 5000 + i, "{\"a\":1}", "{\"a\":2}");
    assert_int_equal(samples_for(&f, "$.a"), 3);
    for (uint64_t i = 0; i < 5000; i += 100)
        add_at(&f, 6500 + i, "{\"a\":1}", "{\"a\":2}");
    assert_int_equal(samples_for(&f, "$.a"), 5);
    /* a new field beside one that is well known: the pair is kept for the new one */
    add_at(&f, 11500, "{\"a\":1,\"b\":1}", "{\"a\":2,\"b\":2}");
    assert_int_equal(samples_for(&f, "$.b"), 1);
    add_at(&f, 11501, "{\"a\":1}", "{\"a\":1}"); /* equal: nothing to look at */
    take_samples(&f, 0);
    stop(&f);
}

static void routes_that_keep_nothing_make_no_samples(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    f.route.route.shadow.samples.keep = 0;
    add_json(&f, PAIR_CROSS, "1", "2", 5);
    take_samples(&f, 0);
    f.route.route.shadow.samples.keep = 8;
    f.route.route.shadow.samples.values = SAMPLES_NONE;
    add_json(&f, PAIR_CROSS, "1", "2", 5);
    take_samples(&f, 0);
    f.route.route.shadow.samples.values = SAMPLES_REDACTED;
    add_json(&f, PAIR_CROSS, "1", "2", 1);
    report_reset(f.report, "orders"); /* what waits is of before */
    take_samples(&f, 0);
    stop(&f);
}

static void only_so_many_samples_wait(void **state)
{
    struct fixture f;
    char large[9000], primary[9100], shadow[9100];
    (void)state;
    start(&f);
    for (uint64_t i = 0; i < 400; i++)
        add_at(&f, 1000000 + i * 1000, "1", "2");
    json_decref(take_samples(&f, 256));
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    snprintf(primary, sizeof(primary), "{\"a\":\"1%s\"}", large);
    snprintf(shadow, sizeof(shadow), "{\"a\":\"2%s\"}", large);
    f.route.route.shadow.samples.values = SAMPLES_FULL;
    for (uint64_t i = 0; i < 256; i++)
        add_at(&f, 2000000 + i * 1000, primary, shadow);
    json_t *samples = report_take_samples(f.report);
    size_t bytes = json_dumpb(samples, NULL, 0, JSON_COMPACT);
    assert_true(bytes > 3 * 1024 * 1024 && bytes < 4 * 1024 * 1024 + 4096);
    json_decref(samples);
    add_at(&f, 9000000, primary, shadow); /* there is room again */
    json_decref(take_samples(&f, 1));
    stop(&f);
}

static void directions_are_apart(void **state)
{
    struct fixture f;
    struct comparison_totals totals;
    (void)state;
    start(&f);
    add_json(&f, PAIR_CROSS, "1", "2", 3);
    struct pair *reverse = test_json_pair(&f.route, "1", "2");
    reverse->primary = SIDE_NEW;
    add(&f, reverse);
    report_totals(f.report, "orders", &totals);
    assert_int_equal(totals.compared, 4);
    json_t *report = report_json(f.report, "orders");
    json_t *routes = json_object_get(report, "routes");
    assert_int_equal(json_array_size(routes), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(routes, 1), "primary")), "new");
    json_decref(report);
    stop(&f);
}

/* ---- bounds ---- */

static void letters(char to[8], uint32_t i)
{
    for (int k = 0; k < 6; k++, i /= 26)
        to[k] = (char)('a' + i % 26);
    to[6] = '\0';
}

/* What the process holds: allocated bytes where a sanitizer counts them (its shadow makes resident memory useless),
 * else resident memory. */
static int64_t bytes_held(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return (int64_t)__sanitizer_get_current_allocated_bytes();
#else
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%*d %ld", &pages), 1);
    fclose(statm);
    return pages * sysconf(_SC_PAGESIZE);
#endif
}

enum {
    MIB = 1024 * 1024,
    GROWTH_MAX = 64 * MIB
};

static void assert_growth(int64_t before)
{
    int64_t growth = bytes_held() - before;
    if (growth >= GROWTH_MAX)
        fail_msg("grew by %.1f MiB", (double)growth / MIB);
}

/* Adds a pair that was judged elsewhere: it differs in one field. */
static void add_judged(struct fixture *f, struct pair *pair, struct comparison *comparison, const char *field)
{
    struct veil veil = veil_of(&f->route.route.shadow.samples);
    difference_list_reset(&comparison->differences, &veil);
    struct difference *d = difference_note(&comparison->differences, DIFFERENCE_VALUE, false, field);
    snprintf(d->path, sizeof(d->path), "%s", field);
    snprintf(d->primary, sizeof(d->primary), "<string %zu>", strlen(field));
    comparison->judgement = JUDGEMENT_MISMATCHED;
    report_add(f->report, pair, comparison);
}

/* Numbers are learnt; words, which are not, fill the endpoints up; and some are as long as a target may be. */
static void write_target(char target[PAIR_TARGET_ROOM], uint32_t i)
{
    char name[8];
    letters(name, i / 3);
    if (i % 3 == 0)
        snprintf(target, PAIR_TARGET_ROOM, "/orders/%u/items/%u?x=%u", i, i * 7, i);
    else if (i % 3 == 1)
        snprintf(target, PAIR_TARGET_ROOM, "/%s/x", name);
    else
        snprintf(target, PAIR_TARGET_ROOM, "/%s/%0160u/%s", name, i, name);
}

static void a_million_urls_are_bounded(void **state)
{
    enum {
        URLS = 1000000,
        NAMES = 100000
    };
    struct fixture f;
    struct comparison comparison = {.rules = NULL};
    json_t *report;
    (void)state;
    start(&f);
    int64_t before = bytes_held();
    struct pair *pair = test_json_pair(&f.route, "1", "2");
    for (uint32_t i = 0; i < URLS; i++) {
        char field[32] = "$.", name[8];
        letters(name, i % NAMES);
        strcat(field, name);
        write_target(pair->target, i);
        pair->wall_ms += 100;
        add_judged(&f, pair, &comparison, field);
        if (i % 1000 == 0)
            json_decref(report_take_samples(f.report)); /* as the keeper does once a second */
    }
    assert_growth(before);
    json_t *route = only_route(&f, &report);
    assert_int_equal(number(route, "totals", "compared"), URLS);
    json_t *limits = json_object_get(route, "limits"), *endpoints = json_object_get(route, "endpoints");
    assert_true(json_is_true(json_object_get(limits, "endpoints_beyond")));
    assert_true(json_is_true(json_object_get(limits, "fields_beyond")));
    assert_int_equal(json_integer_value(json_object_get(limits, "endpoints")), 128);
    assert_int_equal(json_array_size(endpoints), 129);
    assert_string_equal(text_at(json_array_get(endpoints, 128), "endpoint"), "(other)");
    json_int_t sum = 0;
    size_t i, fields = 0;
    json_t *endpoint;
    json_array_foreach(endpoints, i, endpoint)
    {
        sum += number(endpoint, "totals", "compared");
        fields += json_array_size(json_object_get(endpoint, "fields"));
    }
    assert_int_equal(sum, URLS);
    assert_true(fields <= 512 + 129);
    json_decref(report);
    pair_free(pair);
    stop(&f);
}

/* Every route there may be, each with more endpoints and fields than it may have, over months. */
static void no_traffic_makes_it_grow_beyond(void **state)
{
    struct fixture f;
    struct comparison comparison = {.rules = NULL};
    char name[16], letters_of[8], field[32];
    (void)state;
    start(&f);
    f.route.route.name = name;
    f.route.route.shadow.samples.keep = 0;
    int64_t before = bytes_held();
    struct pair *pair = test_json_pair(&f.route, "1", "2");
    for (uint32_t n = 0; n < 1500; n++) {
        snprintf(name, sizeof(name), "route-%u", n);
        for (uint32_t i = 0; i < 300; i++) {
            letters(letters_of, i);
            snprintf(pair->target, sizeof(pair->target), "/%s", letters_of);
            snprintf(field, sizeof(field), "$.%s", letters_of);
            pair->wall_ms = 1700000000000 + (uint64_t)i * 7200 * 1000;
            add_judged(&f, pair, &comparison, field);
        }
    }
    assert_growth(before);
    json_t *report = report_json(f.report, "(other)");
    json_t *route = json_array_get(json_object_get(report, "routes"), 0);
    assert_int_equal(number(route, "totals", "compared"), (1500 - 1024) * 300);
    json_t *limits = json_object_get(route, "limits");
    assert_true(json_is_true(json_object_get(limits, "bytes_beyond")));
    assert_true(json_integer_value(json_object_get(limits, "bytes_used")) <= REPORT_BYTES_MAX);
    json_decref(report);
    report_reset(f.report, NULL);
    report = report_json(f.report, "(other)");
    limits = json_object_get(json_array_get(json_object_get(report, "routes"), 0), "limits");
    assert_int_equal(json_integer_value(json_object_get(limits, "bytes_used")), 0); /* all is given back */
    json_decref(report);
    pair_free(pair);
    stop(&f);
}

/* Of a small limit the report has a share, which no traffic makes larger; what finds no room is told. */
static void it_may_be_given_little_memory(void **state)
{
    enum {
        BYTES = 2 * MIB,
        SAMPLE_BYTES = 32 * 1024
    };
    struct fixture f;
    struct comparison comparison = {.rules = NULL};
    char name[16], letters_of[8], field[32];
    (void)state;
    start(&f);
    report_bound(f.report, BYTES, SAMPLE_BYTES);
    f.route.route.name = name;
    int64_t before = bytes_held();
    struct pair *pair = test_json_pair(&f.route, "1", "2");
    for (uint32_t n = 0; n < 100; n++) {
        snprintf(name, sizeof(name), "route-%u", n);
        for (uint32_t i = 0; i < 100; i++) {
            letters(letters_of, i);
            snprintf(pair->target, sizeof(pair->target), "/%s", letters_of);
            snprintf(field, sizeof(field), "$.%s", letters_of);
            add_judged(&f, pair, &comparison, field);
        }
    }
    json_t *samples = report_take_samples(f.report);
    assert_true(json_array_size(samples) > 0 && json_dumpb(samples, NULL, 0, JSON_COMPACT) < SAMPLE_BYTES + 4096);
    json_decref(samples);
    int64_t growth = bytes_held() - before;
    if (growth > 2 * BYTES)
        fail_msg("grew by %.1f MiB", (double)growth / MIB);
    json_t *report = report_json(f.report, "route-99");
    json_t *route = json_array_get(json_object_get(report, "routes"), 0);
    assert_int_equal(number(route, "totals", "compared"), 100);
    json_t *limits = json_object_get(route, "limits");
    assert_true(json_is_true(json_object_get(limits, "bytes_beyond")));
    assert_int_equal(json_integer_value(json_object_get(limits, "bytes")), BYTES);
    assert_true(json_integer_value(json_object_get(limits, "bytes_used")) <= BYTES);
    json_decref(report);
    pair_free(pair);
    stop(&f);
}

static void a_hundred_thousand_fields_are_bounded(void **state)
{
    enum {
        NAMES = 100000
    };
    struct fixture f;
    struct comparison_totals totals;
    json_t *report;
    (void)state;
    start(&f);
    int64_t before = bytes_held();
    for (uint32_t i = 0; i < NAMES; i++) {
        char name[8], primary[32], shadow[32];
        letters(name, i);
        snprintf(primary, sizeof(primary), "{\"%s\":1}", name);
        snprintf(shadow, sizeof(shadow), "{\"%s\":2}", name);
        add_json(&f, PAIR_CROSS, primary, shadow, 1);
    }
    assert_growth(before);
    report_totals(f.report, "orders", &totals);
    assert_int_equal(totals.mismatched, NAMES);
    json_t *route = only_route(&f, &report);
    json_t *fields = json_object_get(only_endpoint(route), "fields");
    assert_int_equal(json_array_size(fields), FIELDS_MAX + 1);
    json_t *other = json_array_get(fields, FIELDS_MAX);
    assert_string_equal(json_string_value(json_object_get(other, "field")), "(other)");
    assert_int_equal(json_integer_value(json_object_get(other, "differing")), NAMES - FIELDS_MAX);
    json_t *groups = json_object_get(only_endpoint(route), "groups");
    assert_int_equal(json_array_size(groups), GROUPS_MAX + 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(groups, GROUPS_MAX), "pairs")),
                     NAMES - GROUPS_MAX);
    json_t *limits = json_object_get(route, "limits");
    assert_true(json_is_true(json_object_get(limits, "fields_beyond")));
    assert_true(json_is_false(json_object_get(limits, "endpoints_beyond")));
    json_decref(report);
    stop(&f);
}

static void many_fields_in_one_pair_count_once(void **state)
{
    struct fixture f;
    json_t *report;
    char primary[8192], shadow[8192], *x = primary, *y = shadow;
    (void)state;
    start(&f);
    for (uint32_t i = 0; i < 400; i++) {
        char name[8];
        letters(name, i);
        x += sprintf(x, "%s\"%s\":1", i == 0 ? "{" : ",", name);
        y += sprintf(y, "%s\"%s\":2", i == 0 ? "{" : ",", name);
    }
    strcpy(x, "}");
    strcpy(y, "}");
    add_json(&f, PAIR_CROSS, primary, shadow, 2);
    json_t *other = field_named(only_route(&f, &report), "(other)");
    assert_int_equal(json_integer_value(json_object_get(other, "differing")), 2);
    json_decref(report);
    stop(&f);
}

static void routes_are_bounded(void **state)
{
    struct fixture f;
    uint64_t total = 0;
    size_t i;
    json_t *route;
    (void)state;
    start(&f);
    for (int n = 0; n < 1500; n++) {
        char name[32];
        snprintf(name, sizeof(name), "route-%d", n);
        f.route.route.name = name;
        add_json(&f, PAIR_CROSS, "1", "1", 1);
    }
    json_t *report = report_json(f.report, NULL);
    json_t *routes = json_object_get(report, "routes");
    assert_true(json_array_size(routes) <= 1025);
    json_array_foreach(routes, i, route) total += (uint64_t)number(route, "totals", "compared");
    assert_int_equal(total, 1500);
    json_decref(report);
    report = report_json(f.report, "(other)");
    assert_non_null(report);
    json_decref(report);
    stop(&f);
}

static void a_reset_forgets(void **state)
{
    struct fixture f;
    struct comparison_totals totals;
    (void)state;
    start(&f);
    add_json(&f, PAIR_CROSS, "1", "2", 3);
    report_reset(f.report, "another");
    report_totals(f.report, "orders", &totals);
    assert_int_equal(totals.compared, 3);
    report_reset(f.report, "orders");
    report_totals(f.report, "orders", &totals);
    assert_int_equal(totals.compared, 0);
    add_json(&f, PAIR_CROSS, "1", "1", 1);
    report_totals(f.report, "orders", &totals);
    assert_int_equal(totals.compared, 1);
    report_reset(f.report, NULL);
    stop(&f);
}

static void sum_up(void *context, const char *route, enum side primary, const char *outcome, uint64_t count)
{
    char *to = context;
    sprintf(to + strlen(to), "%s/%s/%s=%" PRIu64 " ", route, side_name(primary), outcome, count);
}

static void tells_metrics(void **state)
{
    struct fixture f;
    char sums[512] = "";
    (void)state;
    start(&f);
    add_json(&f, PAIR_CROSS, "1", "2", 2);
    add_json(&f, PAIR_CROSS, "1", "1", 3);
    add_json(&f, PAIR_NOISE, "1", "1", 9);
    report_each(f.report, sum_up, sums);
    assert_string_equal(sums, "orders/legacy/matched=3 orders/legacy/ignored=0 orders/legacy/mismatched=2 "
                              "orders/legacy/not_comparable=0 ");
    stop(&f);
}

static void names_rules_it_does_not_understand(void **state)
{
    struct fixture f;
    json_t *report;
    (void)state;
    start(&f);
    test_route_ignore(&f.route, "nonsense");
    add_json(&f, PAIR_CROSS, "1", "2", 2);
    json_t *refused = json_object_get(only_route(&f, &report), "rules_refused");
    assert_int_equal(json_array_size(refused), 1);
    json_decref(report);
    stop(&f);
}

/* ---- secrets ---- */

static const char secret[] = "hunter2-TOP-SECRET";

static struct pair *pair_full_of_secrets(struct fixture *f)
{
    struct pair *pair = test_pair(&f->route);
    char head[512], body[1024];
    for (int side = 0; side < 2; side++) {
        snprintf(head, sizeof(head), "Content-Type: application/json\r\nSet-Cookie: session=%s%d\r\n", secret, side);
        snprintf(body, sizeof(body),
                 "{\"password\":\"%s%d\",\"plain\":\"%s%d\",\"list\":[\"%s%d\"],\"n%d\":{\"x\":\"%s\"},\"%s@example."
                 "com\":%d}",
                 secret, side, secret, side, secret, side, side, secret, secret, side);
        test_capture(side == 0 ? &pair->primary_capture : &pair->shadow_capture, 1 << 20, 200, head, body,
                     strlen(body));
    }
    snprintf(pair->target, sizeof(pair->target), "/users/%s@example.com?token=%s&%s", secret, secret, secret);
    return pair;
}

static void assert_no_secret(struct fixture *f)
{
    json_t *report = report_json(f->report, NULL), *samples = report_take_samples(f->report);
    if (samples != NULL)
        json_object_set_new(report, "samples", samples);
    char *json = json_dumps(report, 0);
    assert_non_null(json);
    if (strstr(json, "TOP-SECRET") != NULL)
        fail_msg("a secret is in the JSON: %.200s", strstr(json, "TOP-SECRET") - 100);
    free(json);
    json_decref(report);
}

static void never_says_a_planted_secret(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    add(&f, pair_full_of_secrets(&f));
    assert_no_secret(&f);

    struct pair *text = test_pair(&f.route);
    test_capture(&text->primary_capture, 1 << 20, 200, "Content-Type: text/plain\r\n", secret, strlen(secret));
    test_capture(&text->shadow_capture, 1 << 20, 200, "Content-Type: text/plain\r\n", "other", 5);
    add(&f, text);
    assert_no_secret(&f);
    struct pair *bytes = test_pair(&f.route);
    test_capture(&bytes->primary_capture, 1 << 20, 200, "Content-Type: image/png\r\n", secret, strlen(secret));
    test_capture(&bytes->shadow_capture, 1 << 20, 200, "Content-Type: image/png\r\n", "other", 5);
    add(&f, bytes);
    struct pair *type = test_pair(&f.route);
    test_capture(&type->primary_capture, 1 << 20, 200, "Content-Type: text/html; x=hunter2-TOP-SECRET\r\n", "", 0);
    test_capture(&type->shadow_capture, 1 << 20, 200, "Content-Type: hunter2-TOP-SECRET; y=1\r\n", "", 0);
    add(&f, type);
    json_decref(report_take_samples(f.report)); /* what a sample shows of a head is for test_sample.c */
    struct pair *broken = test_json_pair(&f.route, "{\"a\":\"hunter2-TOP-SECRET\"", "{\"a\":\"x\"}");
    add(&f, broken);
    assert_no_secret(&f);
    stop(&f);
}

/* With values shown, what is known to be a secret still is not. */
static void full_values_leave_known_secrets_out(void **state)
{
    struct fixture f;
    json_t *report;
    (void)state;
    start(&f);
    f.route.route.shadow.samples.values = SAMPLES_FULL;
    struct pair *pair = test_pair(&f.route);
    static const char left[] = "{\"password\":\"hunter2-TOP-SECRET\",\"name\":\"visible\"}",
                      right[] = "{\"password\":\"x\",\"name\":\"y\"}";
    test_capture(&pair->primary_capture, 1 << 20, 200, "Content-Type: application/json\r\nSet-Cookie: s=TOP-SECRET\r\n",
                 left, strlen(left));
    test_capture(&pair->shadow_capture, 1 << 20, 200, "Content-Type: application/json\r\nSet-Cookie: s=1\r\n", right,
                 strlen(right));
    snprintf(pair->target, sizeof(pair->target), "/a?api_key=TOP-SECRET&q=shown");
    add(&f, pair);
    assert_no_secret(&f);
    only_route(&f, &report);
    char *json = json_dumps(report, 0);
    assert_non_null(strstr(json, "visible"));
    free(json);
    json_decref(report);
    stop(&f);
}

static void hostile_text_stays_text(void **state)
{
    struct fixture f;
    json_t *report;
    (void)state;
    start(&f);
    struct pair *pair = test_json_pair(&f.route, "{\"\\u001b[2J\":1}", "{\"\\u001b[2J\":2}");
    snprintf(pair->target, sizeof(pair->target), "/\x1b[31m\xff");
    snprintf(pair->request_id, sizeof(pair->request_id), "\x1b]0;x\x07\xff");
    snprintf(pair->method, sizeof(pair->method), "G\x1b");
    add(&f, pair);
    only_route(&f, &report);
    json_decref(report);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_yet),
        cmocka_unit_test(counts_each_judgement),
        cmocka_unit_test(silence_is_no_agreement),
        cmocka_unit_test(a_field_that_differs_by_itself_is_noise),
        cmocka_unit_test(it_is_known_whose_pairs_differ),
        cmocka_unit_test(noise_does_not_excuse_what_is_missing),
        cmocka_unit_test(noise_is_no_sample),
        cmocka_unit_test(the_first_few_and_one_a_second_become_samples),
        cmocka_unit_test(routes_that_keep_nothing_make_no_samples),
        cmocka_unit_test(only_so_many_samples_wait),
        cmocka_unit_test(directions_are_apart),
        cmocka_unit_test(a_million_urls_are_bounded),
        cmocka_unit_test(no_traffic_makes_it_grow_beyond),
        cmocka_unit_test(it_may_be_given_little_memory),
        cmocka_unit_test(a_hundred_thousand_fields_are_bounded),
        cmocka_unit_test(many_fields_in_one_pair_count_once),
        cmocka_unit_test(routes_are_bounded),
        cmocka_unit_test(a_reset_forgets),
        cmocka_unit_test(tells_metrics),
        cmocka_unit_test(names_rules_it_does_not_understand),
        cmocka_unit_test(never_says_a_planted_secret),
        cmocka_unit_test(full_values_leave_known_secrets_out),
        cmocka_unit_test(hostile_text_stays_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
