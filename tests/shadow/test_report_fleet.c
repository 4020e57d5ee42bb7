/*
 * The report of a fleet: parcels of several replicas add up, at a Redis made of one table, to the report of one that
 * saw all of their pairs; in parcels of bounded size, over restarts and resets, and whatever else is in the table.
 */
#include "tests/shadow/pairs.h"

#include <math.h>

#include "shadow/export.h"
#include "shadow/report_fleet.h"
#include "shadow/report_row.h"

enum {
    REPLICAS = 3,
    START_MS = 1000000,
};

/* xorshift64*: the same numbers in every run. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717u;
}

/* ---- replicas, and one that sees what all of them see ---- */

struct fleet {
    struct test_route orders, users;
    struct compare *compare;
    struct report *report[REPLICAS], *one;
    struct report_fleet *told[REPLICAS];
    json_t *sums, *samples; /* Redis' */
    uint64_t now_ms, wall_ms, random;
    size_t most_bytes;
    uint32_t parcels;
};

static void start(struct fleet *f)
{
    memset(f, 0, sizeof(*f));
    test_route_init(&f->orders, "orders");
    test_route_init(&f->users, "users");
    test_route_ignore(&f->orders, "$.at");
    f->orders.route.gates.mismatch_rate = 0.05;
    f->compare = compare_new();
    f->one = report_new();
    for (int i = 0; i < REPLICAS; i++) {
        f->report[i] = report_new();
        f->told[i] = report_fleet_new(f->report[i]);
        assert_non_null(f->told[i]);
    }
    f->sums = json_object();
    f->samples = json_array();
    f->now_ms = START_MS;
    f->wall_ms = 1700000000000;
    f->random = 88172645463325252u;
}

static void stop(struct fleet *f)
{
    for (int i = 0; i < REPLICAS; i++) {
        report_fleet_free(f->told[i]);
        report_free(f->report[i]);
    }
    report_free(f->one);
    compare_free(f->compare);
    json_decref(f->sums);
    json_decref(f->samples);
}

/* As the script adds a parcel up. */
static void add_up(struct fleet *f, const json_t *fields)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)fields, name, value)
    {
        assert_true(json_is_integer(value) && strlen(name) <= REPORT_FLEET_NAME);
        json_int_t number = json_integer_value(value);
        json_t *there = json_object_get(f->sums, name);
        json_int_t before = json_integer_value(there);
        if (name[0] == '<')
            number = there == NULL || number < before ? number : before;
        else if (name[0] == '>')
            number = there == NULL || number > before ? number : before;
        else
            number += before;
        assert_int_equal(json_object_set_new(f->sums, name, json_integer(number)), 0);
    }
}

static bool tell(struct fleet *f, int replica)
{
    json_t *fields, *samples;
    if (!report_fleet_parcel(f->told[replica], f->now_ms, &fields, &samples))
        return false;
    size_t bytes = fields != NULL ? json_dumpb(fields, NULL, 0, JSON_COMPACT) : 0;
    f->most_bytes = bytes > f->most_bytes ? bytes : f->most_bytes;
    f->parcels++;
    add_up(f, fields);
    json_array_extend(f->samples, samples);
    json_decref(fields);
    json_decref(samples);
    return true;
}

/* Until nothing is left to tell. */
static void tell_all(struct fleet *f)
{
    bool more = true;
    while (more) {
        more = false;
        f->now_ms += REPORT_FLEET_EVERY_MS;
        for (int i = 0; i < REPLICAS; i++)
            more = tell(f, i) || more;
    }
}

static void add_to(struct fleet *f, struct report *report, struct pair *pair)
{
    report_add(report, pair, compare_pair(f->compare, pair));
}

static void add(struct fleet *f, int replica, struct pair *pair)
{
    f->wall_ms += 7;
    pair->wall_ms = f->wall_ms;
    add_to(f, f->report[replica], pair);
    add_to(f, f->one, pair);
    pair_free(pair);
}

/* Some endpoints, in some directions; some pairs differ, in one field or in several, some by a rule, some by noise. */
static struct pair *some_pair(struct fleet *f)
{
    static const char *const endpoints[] = {"/orders/17", "/orders/17/items", "/orders", "/cart", "/stock/4"};
    char primary[160], shadow[160];
    uint64_t r = next_random(&f->random);
    bool differs = r % 5 == 0, at = r % 3 == 0;
    (void)snprintf(primary, sizeof(primary), "{\"total\":10,\"name\":\"a\",\"at\":1,\"list\":[1,2]}");
    (void)snprintf(shadow, sizeof(shadow), "{\"total\":%d,\"name\":%s,\"at\":%d,\"list\":[1,2%s]}",
                   differs ? 10 + (int)(r >> 8) % 4 : 10, (r >> 16) % 11 == 0 ? "\"b\"" : "\"a\"", at ? 2 : 1,
                   (r >> 20) % 13 == 0 ? ",3" : "");
    struct pair *pair = test_json_pair((r >> 24) % 4 == 0 ? &f->users : &f->orders, primary, shadow);
    (void)snprintf(pair->target, sizeof(pair->target), "%s", endpoints[(r >> 28) % 5]);
    pair->primary = (r >> 32) % 6 == 0 ? SIDE_NEW : SIDE_LEGACY;
    pair->kind = (r >> 36) % 7 == 0 ? PAIR_NOISE : PAIR_CROSS;
    pair->primary_capture.latency_us = 900 + (r >> 40) % 3000;
    pair->shadow_capture.latency_us = 800 + (r >> 44) % 9000;
    if ((r >> 50) % 17 == 0)
        pair->shadow_capture.kind = OUTCOME_TIMEOUT;
    return pair;
}

static void drive(struct fleet *f, uint32_t pairs)
{
    for (uint32_t i = 0; i < pairs; i++)
        add(f, (int)(next_random(&f->random) % REPLICAS), some_pair(f));
}

/* ---- two reports ---- */

static json_t *fleet_json_of(struct fleet *f, unsigned each)
{
    json_t *document = json_pack("{s:i, s:O, s:O}", "alive", REPLICAS, "fields", f->sums, "samples", f->samples);
    json_t *json = report_fleet_json(f->report[0], document, NULL, each);
    json_decref(document);
    assert_non_null(json);
    return json;
}

static void assert_near(const json_t *a, const json_t *b, const char *what)
{
    double x = json_number_value(a), y = json_number_value(b);
    assert_int_equal(json_is_null(a), json_is_null(b));
    if (fabs(x - y) > 0.2 * fmax(fabs(x), fabs(y)) + 0.05)
        fail_msg("%s: %g and %g", what, x, y);
}

static void assert_latency_near(const json_t *a, const json_t *b)
{
    static const char *const sides[] = {"primary", "shadow"};
    static const char *const quantiles[] = {"p50_ms", "p95_ms", "p99_ms"};
    for (int side = 0; side < 2; side++) {
        const json_t *x = json_object_get(a, sides[side]), *y = json_object_get(b, sides[side]);
        assert_int_equal(json_integer_value(json_object_get(x, "count")),
                         json_integer_value(json_object_get(y, "count")));
        for (int q = 0; q < 3; q++)
            assert_near(json_object_get(x, quantiles[q]), json_object_get(y, quantiles[q]), quantiles[q]);
    }
    const json_t *x = json_object_get(a, "paired"), *y = json_object_get(b, "paired");
    assert_true(json_equal(json_object_get(x, "slower"), json_object_get(y, "slower")));
    assert_near(json_object_get(json_object_get(x, "ratio"), "p50"),
                json_object_get(json_object_get(y, "ratio"), "p50"), "ratio");
}

/* Groups of the same number of pairs stand in any order, and rules in that of the file of one replica. */
static void sort_array(json_t *array)
{
    for (size_t i = 1; i < json_array_size(array); i++)
        for (size_t k = i; k > 0; k--) {
            char *a = json_dumps(json_array_get(array, k - 1), JSON_COMPACT | JSON_ENCODE_ANY);
            char *b = json_dumps(json_array_get(array, k), JSON_COMPACT | JSON_ENCODE_ANY);
            if (strcmp(a, b) > 0) {
                json_t *first = json_incref(json_array_get(array, k - 1));
                json_array_set(array, k - 1, json_array_get(array, k));
                json_array_set_new(array, k, first);
            }
            free(a);
            free(b);
        }
}

/* What a fleet's report tells otherwise, or not at all; it has been looked at before. */
static void strip(json_t *report)
{
    size_t i, k, n;
    json_t *route, *endpoint, *field;
    json_object_del(report, "generated_at_ms");
    json_object_del(report, "fleet");
    json_array_foreach(json_object_get(report, "routes"), i, route)
    {
        json_object_del(route, "samples");
        json_object_del(route, "buckets");
        sort_array(json_object_get(route, "rules"));
        json_object_del(json_object_get(route, "limits"), "bytes_used");
        json_array_foreach(json_object_get(route, "endpoints"), k, endpoint)
        {
            json_object_del(endpoint, "latency");
            json_array_foreach(json_object_get(endpoint, "groups"), n, field)
                sort_array(json_object_get(field, "fields"));
            sort_array(json_object_get(endpoint, "groups"));
            json_array_foreach(json_object_get(endpoint, "fields"), n, field)
            {
                json_t *apart = json_object_get(field, "apart");
                json_object_del(field, "example");
                if (apart != NULL)
                    json_object_set_new(field, "apart", json_real(round(json_real_value(apart) * 1e12) / 1e12));
            }
        }
    }
}

static int by_route(const json_t *a, const json_t *b)
{
    int order = strcmp(json_string_value(json_object_get(a, "route")), json_string_value(json_object_get(b, "route")));
    return order != 0 ? order
                      : strcmp(json_string_value(json_object_get(a, "primary")),
                               json_string_value(json_object_get(b, "primary")));
}

/* Routes stand in the order in which they were first seen. */
static void sort_routes(json_t *report)
{
    json_t *routes = json_object_get(report, "routes");
    for (size_t i = 1; i < json_array_size(routes); i++)
        for (size_t k = i; k > 0 && by_route(json_array_get(routes, k - 1), json_array_get(routes, k)) > 0; k--) {
            json_t *first = json_incref(json_array_get(routes, k - 1));
            json_array_set(routes, k - 1, json_array_get(routes, k));
            json_array_set_new(routes, k, first);
        }
}

static void assert_same(struct fleet *f)
{
    json_t *one = report_json(f->one, NULL), *all = fleet_json_of(f, 3);
    sort_routes(one);
    sort_routes(all);
    json_t *routes = json_object_get(one, "routes"), *others = json_object_get(all, "routes");
    assert_int_equal(json_array_size(routes), json_array_size(others));
    for (size_t i = 0; i < json_array_size(routes); i++) {
        const json_t *a = json_object_get(json_array_get(routes, i), "endpoints");
        const json_t *b = json_object_get(json_array_get(others, i), "endpoints");
        assert_int_equal(json_array_size(a), json_array_size(b));
        for (size_t k = 0; k < json_array_size(a); k++)
            assert_latency_near(json_object_get(json_array_get(a, k), "latency"),
                                json_object_get(json_array_get(b, k), "latency"));
    }
    strip(one);
    strip(all);
    if (!json_equal(one, all)) {
        char *x = json_dumps(one, JSON_INDENT(1) | JSON_SORT_KEYS),
             *y = json_dumps(all, JSON_INDENT(1) | JSON_SORT_KEYS);
        for (const char *a = x, *b = y; *a != '\0' && *b != '\0'; a++, b++)
            if (*a != *b)
                fail_msg("one: %.600s\n\nfleet: %.600s", a - x > 300 ? a - 300 : x, b - y > 300 ? b - 300 : y);
        fail();
    }
    json_decref(one);
    json_decref(all);
}

/* ---- sums ---- */

static void replicas_together_are_one(void **state)
{
    struct fleet f;
    (void)state;
    start(&f);
    for (int round = 0; round < 20; round++) {
        drive(&f, 100);
        f.now_ms += REPORT_FLEET_EVERY_MS;
        for (int i = 0; i < REPLICAS; i++)
            if (next_random(&f.random) % 2 == 0)
                (void)tell(&f, i);
    }
    tell_all(&f);
    assert_same(&f);
    assert_true(f.parcels > 20);
    stop(&f);
}

static void parcels_are_not_told_more_often_than_every_five_seconds(void **state)
{
    struct fleet f;
    (void)state;
    start(&f);
    drive(&f, 30);
    assert_true(tell(&f, 0));
    drive(&f, 30);
    f.now_ms += REPORT_FLEET_EVERY_MS - 1;
    assert_false(tell(&f, 0));
    f.now_ms += 1;
    assert_true(tell(&f, 0));
    f.now_ms += REPORT_FLEET_EVERY_MS;
    assert_false(tell(&f, 0)); /* nothing new */
    stop(&f);
}

/* Many fields of many endpoints: far more than one parcel holds. */
static void drive_widely(struct fleet *f, int replica, int first_endpoint, int endpoints, int fields)
{
    for (int e = 0; e < endpoints; e++) {
        for (int n = 0; n < fields; n++) {
            char primary[64], shadow[64];
            (void)snprintf(primary, sizeof(primary), "{\"field-number-%d\":1}", n);
            (void)snprintf(shadow, sizeof(shadow), "{\"field-number-%d\":2}", n);
            struct pair *pair = test_json_pair(&f->orders, primary, shadow);
            (void)snprintf(pair->target, sizeof(pair->target), "/endpoint-%c%c/x", 'a' + (first_endpoint + e) / 26,
                           'a' + (first_endpoint + e) % 26);
            add(f, replica, pair);
        }
    }
}

static void a_large_report_is_told_in_parcels(void **state)
{
    struct fleet f;
    (void)state;
    start(&f);
    for (int i = 0; i < REPLICAS; i++)
        drive_widely(&f, i, 0, 20, 24);
    tell_all(&f);
    assert_in_range(f.most_bytes, REPORT_FLEET_BYTES / 2, REPORT_FLEET_BYTES + 1024);
    assert_true(f.parcels > 3 * REPLICAS);
    assert_same(&f);
    drive_widely(&f, 1, 0, 20, 24);
    f.now_ms += REPORT_FLEET_EVERY_MS;
    (void)tell(&f, 1);
    drive_widely(&f, 1, 5, 10, 24); /* more while the rest waits */
    tell_all(&f);
    assert_same(&f);
    stop(&f);
}

/* Each replica has room for its own endpoints; the sum has not. */
static void endpoints_beyond_a_report_are_counted_together(void **state)
{
    struct fleet f;
    (void)state;
    start(&f);
    for (int i = 0; i < REPLICAS; i++)
        drive_widely(&f, i, 60 * i, 60, 2);
    tell_all(&f);
    json_t *json = fleet_json_of(&f, 0);
    json_t *route = json_array_get(json_object_get(json, "routes"), 0);
    assert_int_equal(json_array_size(json_object_get(route, "endpoints")), CELLS_MAX + 1);
    assert_true(json_is_true(json_object_get(json_object_get(route, "limits"), "endpoints_beyond")));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(route, "totals"), "mismatched")), 360);
    json_decref(json);
    stop(&f);
}

static void a_restart_tells_nothing_twice(void **state)
{
    struct fleet f;
    (void)state;
    start(&f);
    drive(&f, 300);
    tell_all(&f);
    report_fleet_free(f.told[1]); /* the report itself comes back from the disk as it was */
    f.told[1] = report_fleet_new(f.report[1]);
    f.now_ms += REPORT_FLEET_EVERY_MS;
    assert_false(tell(&f, 1));
    drive(&f, 300);
    tell_all(&f);
    assert_same(&f);
    stop(&f);
}

static json_int_t total_of(struct fleet *f, const char *name)
{
    json_t *json = fleet_json_of(f, 0), *route;
    json_int_t total = 0;
    size_t i;
    json_array_foreach(json_object_get(json, "routes"), i, route) total +=
        json_integer_value(json_object_get(json_object_get(route, "totals"), name));
    json_decref(json);
    return total;
}

static void a_replica_that_forgets_takes_back_what_it_told(void **state)
{
    struct fleet f;
    (void)state;
    start(&f);
    drive(&f, 300);
    tell_all(&f);
    json_int_t all = total_of(&f, "compared");
    struct comparison_totals orders, users;
    report_totals(f.report[2], "orders", &orders);
    report_totals(f.report[2], "users", &users);
    report_reset(f.report[2], "orders");
    for (int i = 0; i < 10; i++) { /* it goes on before the rest is taken back */
        struct pair *pair = some_pair(&f);
        add_to(&f, f.report[2], pair);
        pair_free(pair);
    }
    struct comparison_totals now_orders, now_users;
    report_totals(f.report[2], "orders", &now_orders);
    report_totals(f.report[2], "users", &now_users);
    tell_all(&f);
    assert_int_equal(total_of(&f, "compared"), all - (json_int_t)(orders.compared + users.compared) +
                                                   (json_int_t)(now_orders.compared + now_users.compared));
    for (int i = 0; i < REPLICAS; i++)
        report_reset(f.report[i], NULL);
    tell_all(&f);
    assert_int_equal(total_of(&f, "compared") + total_of(&f, "mismatched") + total_of(&f, "not_comparable"), 0);
    const char *name;
    json_t *value;
    json_object_foreach(f.sums, name,
                        value) if (name[0] != '=' && name[0] != '<' && name[0] != '>' && json_integer_value(value) != 0)
        fail_msg("%s is %lld", name, (long long)json_integer_value(value));
    stop(&f);
}

static void names_are_told_again(void **state)
{
    struct fleet f;
    (void)state;
    start(&f);
    drive(&f, 300);
    tell_all(&f);
    json_object_clear(f.sums);
    for (int i = 0; i < REPLICAS; i++)
        report_fleet_lost(f.told[i]);
    report_free(f.one);
    f.one = report_new();
    drive(&f, 500);
    tell_all(&f);
    struct comparison_totals orders, users;
    report_totals(f.one, "orders", &orders);
    report_totals(f.one, "users", &users);
    assert_int_equal(total_of(&f, "compared"), orders.compared + users.compared);
    stop(&f);
}

/* ---- samples ---- */

static void samples_are_told_and_shown_as_far_as_they_may(void **state)
{
    struct fleet f;
    const json_t *text;
    size_t i, k;
    json_t *route, *endpoint;
    (void)state;
    start(&f);
    drive(&f, 400);
    tell_all(&f);
    assert_true(json_array_size(f.samples) > 0 && json_array_size(f.samples) <= REPLICAS * REPORT_FLEET_SAMPLES);
    json_array_foreach(f.samples, i, text) assert_true(json_string_length(text) <= REPORT_FLEET_SAMPLE_BYTES);
    json_t *json = fleet_json_of(&f, 1);
    uint32_t shown = 0, examples = 0;
    json_array_foreach(json_object_get(json, "routes"), i, route)
    {
        shown += (uint32_t)json_array_size(json_object_get(route, "samples"));
        json_array_foreach(json_object_get(route, "endpoints"), k, endpoint)
        {
            json_t *fields = json_object_get(endpoint, "fields");
            for (size_t n = 0; n < json_array_size(fields); n++)
                examples += json_object_get(json_array_get(fields, n), "example") != NULL;
        }
    }
    assert_true(shown > 0 && examples > 0);
    json_decref(json);
    const struct report_veil veils[] = {{"orders", SAMPLES_NONE}, {"users", SAMPLES_NONE}};
    assert_true(report_set_veils(f.report[0], veils, 2)); /* of the one that shows it */
    json = fleet_json_of(&f, 1);
    json_array_foreach(json_object_get(json, "routes"), i, route)
        assert_int_equal(json_array_size(json_object_get(route, "samples")), 0);
    json_decref(json);
    stop(&f);
}

static void a_long_sample_loses_its_bodies(void **state)
{
    struct fleet f;
    (void)state;
    start(&f);
    static char primary[60000], shadow[60000];
    size_t length = (size_t)snprintf(primary, sizeof(primary), "{\"total\":1");
    for (int i = 0; i < 3000; i++)
        length += (size_t)snprintf(primary + length, sizeof(primary) - length, ",\"member%d\":1", i);
    (void)snprintf(primary + length, sizeof(primary) - length, "}");
    memcpy(shadow, primary, sizeof(shadow));
    shadow[strlen("{\"total\":")] = '2';
    add(&f, 0, test_json_pair(&f.orders, primary, shadow));
    tell_all(&f);
    assert_int_equal(json_array_size(f.samples), 1);
    const json_t *text = json_array_get(f.samples, 0);
    assert_true(json_string_length(text) <= REPORT_FLEET_SAMPLE_BYTES);
    json_t *sample = json_loads(json_string_value(text), 0, NULL);
    assert_true(json_is_true(json_object_get(json_object_get(sample, "primary_answer"), "cut")));
    assert_null(json_object_get(json_object_get(sample, "primary_answer"), "body"));
    json_decref(sample);
    stop(&f);
}

static void without_a_fleet_no_samples_are_kept_for_it(void **state)
{
    struct fleet f;
    (void)state;
    start(&f);
    report_fleet_free(f.told[0]);
    f.told[0] = NULL;
    drive(&f, 50);
    assert_null(f.report[0]->samples.for_fleet);
    assert_null(f.one->samples.for_fleet);
    f.told[0] = report_fleet_new(f.report[0]);
    drive(&f, 50);
    report_reset(f.report[0], NULL);
    assert_int_equal(json_array_size(f.report[0]->samples.for_fleet), 0);
    stop(&f);
}

/* ---- what may be in Redis ---- */

static void check_sanity(struct fleet *f)
{
    json_t *json = fleet_json_of(f, 2), *route;
    size_t i;
    json_array_foreach(json_object_get(json, "routes"), i, route)
    {
        json_t *totals = json_object_get(route, "totals");
        json_int_t compared = json_integer_value(json_object_get(totals, "compared"));
        json_int_t mismatched = json_integer_value(json_object_get(totals, "mismatched"));
        json_int_t noise_only = json_integer_value(json_object_get(totals, "noise_only"));
        assert_true(compared >= mismatched && mismatched >= noise_only && noise_only >= 0);
        double rate = json_number_value(json_object_get(json_object_get(route, "verdict"), "rate"));
        assert_true(rate >= 0 && rate <= 1);
    }
    const struct export_format *format;
    for (unsigned n = 0; (format = export_at(n)) != NULL; n++) {
        char *text = format->make(json);
        assert_non_null(text);
        free(text);
    }
    json_decref(json);
}

static void garbage_is_left_out(void **state)
{
    static const char *const names[] = {
        "=",
        "=AAAAAAAA",
        "=AAAAAAAA r l ",
        "=AAAAAAAA r l orders",
        "=AAAAAAAA x y z",
        "AAAAAAAA.matched",
        "<",
        ">.",
        "",
        ".",
        "=AAAAAAAA c BBBBBBBBBBBBBBBBBBBBBBBBBBB text",
        "beyond",
        "AAAAAAAA.p99999999999999999999999999999999999999999999999999999999",
    };
    struct fleet f;
    (void)state;
    start(&f);
    drive(&f, 200);
    tell_all(&f);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        json_object_set_new(f.sums, names[i], json_integer(7));
    json_array_append_new(f.samples, json_string("{"));
    json_array_append_new(f.samples, json_string("[]"));
    json_array_append_new(f.samples, json_integer(5));
    json_array_append_new(
        f.samples, json_string("{\"route\":\"orders\",\"primary\":\"legacy\",\"endpoint\":1,\"differences\":[]}"));
    json_array_append_new(f.samples,
                          json_string("{\"route\":\"orders\",\"primary\":\"legacy\",\"endpoint\":\"GET /cart\","
                                      "\"differences\":[7,{\"field\":5}],\"values\":\"redacted\"}"));
    assert_same(&f);
    json_t *json = fleet_json_of(&f, 0);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "fleet"), "beyond")), 7);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "fleet"), "replicas")), REPLICAS);
    json_decref(json);
    json_t *of_names = json_deep_copy(f.sums);
    for (int round = 0; round < 60; round++) { /* numbers that contradict each other */
        const char *name;
        json_t *value;
        json_object_foreach(of_names, name, value)
        {
            uint64_t r = next_random(&f.random);
            static const json_int_t odd[] = {-5, 0, 1, 3, INT64_MAX, INT64_MIN, 1 << 20};
            json_t *number = json_integer(odd[(r >> 8) % 7]);
            if (r % 8 == 0)
                json_object_set(f.sums, name, r % 64 == 0 ? json_array_get(f.samples, 0) : number);
            json_decref(number);
        }
        check_sanity(&f);
    }
    json_decref(of_names);
    stop(&f);
}

static void a_document_that_is_none(void **state)
{
    static const char *const documents[] = {"{}", "[]", "5", "{\"fields\":[],\"samples\":{}}",
                                            "{\"alive\":-4,\"fields\":{}}"};
    struct report *own = report_new();
    (void)state;
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        json_t *document = json_loads(documents[i], JSON_DECODE_ANY, NULL);
        json_t *json = report_fleet_json(own, document, NULL, 3);
        assert_int_equal(json_array_size(json_object_get(json, "routes")), 0);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "fleet"), "replicas")), 0);
        json_decref(json);
        assert_null(report_fleet_json(own, document, "orders", 3));
        json_decref(document);
    }
    report_free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replicas_together_are_one),
        cmocka_unit_test(parcels_are_not_told_more_often_than_every_five_seconds),
        cmocka_unit_test(a_large_report_is_told_in_parcels),
        cmocka_unit_test(endpoints_beyond_a_report_are_counted_together),
        cmocka_unit_test(a_restart_tells_nothing_twice),
        cmocka_unit_test(a_replica_that_forgets_takes_back_what_it_told),
        cmocka_unit_test(names_are_told_again),
        cmocka_unit_test(samples_are_told_and_shown_as_far_as_they_may),
        cmocka_unit_test(a_long_sample_loses_its_bodies),
        cmocka_unit_test(without_a_fleet_no_samples_are_kept_for_it),
        cmocka_unit_test(garbage_is_left_out),
        cmocka_unit_test(a_document_that_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
