/*
 * How fast pairs are judged: what the compare thread does with a pair, done again and again on this thread.
 *
 * Prints one JSON object: the kind of pair and how many a second of processor time takes. Judged and counted as in
 * shunt, compare_pair() and report_add(), with the rules of the file's example; samples are taken as they are there.
 *
 *     shunt-bench-compare                                  every kind, for half a second each
 *     shunt-bench-compare "differing XML, 10 KiB" 2000     so many of one kind: for a profiler that counts instructions
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shadow/compare.h"
#include "shadow/report.h"

enum {
    BODY_ROOM = 64 * 1024,
    HEAD_ROOM = 128,
    BATCH = 64,
    PAIR_PERIOD_MS = 1,    /* of wall clock, between one pair and the next */
    TAKE_PERIOD_MS = 1000, /* between two visits of the keeper */
};

static const double seconds_each = 0.5;

struct order_text {
    char at[BODY_ROOM];
    size_t len;
};

struct bench {
    struct config_route route;
    struct compare *compare;
    struct report *report;
    uint64_t wall_ms;
};

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void add(struct order_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct order_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text->len += (size_t)vsnprintf(text->at + text->len, sizeof(text->at) - text->len, format, args);
    va_end(args);
}

static void pad(struct order_text *text, size_t bytes)
{
    while (text->len + 1 < bytes)
        text->at[text->len++] = 'x';
}

/* Where two answers differ: one name and one price. */
static const char *name_of(int item, int variant)
{
    return variant == 1 && item == 3 ? "Shoe" : "shoe";
}

static int cents_of(int item, int variant)
{
    return variant == 1 && item == 5 ? 99 : 50;
}

static void add_item(struct order_text *text, int i, int variant)
{
    add(text,
        "{\"sku\":\"A-%05d\",\"name\":\"%s %d\",\"price\":%d.%02d,\"tags\":[\"blue\",\"xl\"],"
        "\"stock\":{\"here\":%d,\"there\":null}}",
        i, name_of(i, variant), i, 10 + i, cents_of(i, variant), i * 3);
}

/*
 * An order with as many items as fit into `bytes`. `variant` 1 differs in one time, one name and one price; each writer
 * says the same in its own way.
 */
static void write_json(struct order_text *text, size_t bytes, int variant)
{
    add(text, "{\"id\":4711,\"state\":\"shipped\",\"updated_at\":\"2025-03-02T08:00:0%dZ\",\"items\":[", variant);
    for (int i = 0; text->len + 200 < bytes; i++) {
        add(text, "%s", i > 0 ? "," : "");
        add_item(text, i, variant);
    }
    add(text, "],\"note\":\"");
    pad(text, bytes - 2);
    add(text, "\"}");
}

static void write_ndjson(struct order_text *text, size_t bytes, int variant)
{
    add(text, "{\"id\":4711,\"state\":\"shipped\",\"updated_at\":\"2025-03-02T08:00:0%dZ\"}\n", variant);
    for (int i = 0; text->len + 200 < bytes; i++) {
        add_item(text, i, variant);
        add(text, "\n");
    }
    add(text, "{\"note\":\"");
    pad(text, bytes - 3);
    add(text, "\"}\n");
}

static void write_xml(struct order_text *text, size_t bytes, int variant)
{
    add(text,
        "<?xml version=\"1.0\"?>\n<order id=\"4711\"><state>shipped</state><updated>2025-03-02T08:00:0%dZ</updated>",
        variant);
    for (int i = 0; text->len + 200 < bytes; i++)
        add(text,
            "<item sku=\"A-%05d\"><name>%s %d</name><price>%d.%02d</price><tag>blue</tag><tag>xl</tag>"
            "<stock here=\"%d\"/></item>",
            i, name_of(i, variant), i, 10 + i, cents_of(i, variant), i * 3);
    add(text, "<note>");
    pad(text, bytes - 15);
    add(text, "</note></order>");
}

static const struct kind {
    const char *name, *media_type;
    void (*write)(struct order_text *text, size_t bytes, int variant);
    size_t bytes;
    int variant; /* of the shadow's answer; the primary's is 0 */
} kinds[] = {
    {"equal, 1 KiB", "application/json", write_json, 1024, 0},
    {"equal, 10 KiB", "application/json", write_json, 10240, 0},
    {"differing JSON, 1 KiB", "application/json", write_json, 1024, 1},
    {"differing JSON, 10 KiB", "application/json", write_json, 10240, 1},
    {"differing NDJSON, 10 KiB", "application/x-ndjson", write_ndjson, 10240, 1},
    {"differing XML, 10 KiB", "application/xml", write_xml, 10240, 1},
};

enum {
    KINDS = sizeof(kinds) / sizeof(kinds[0])
};

static void fill(struct capture *capture, const struct kind *kind, int variant)
{
    static struct order_text body;
    char head[HEAD_ROOM];
    int len = snprintf(head, sizeof(head), "Content-Type: %s\r\nServer: bench\r\n", kind->media_type);
    body.len = 0;
    kind->write(&body, kind->bytes, variant);
    capture_reset(capture, 1 << 20);
    capture_head(capture, 200, head, (size_t)len);
    capture_body(capture, body.at, body.len);
    capture_end(capture, OUTCOME_OK, 1500);
}

/* NULL without memory. */
static struct pair *make_pair(const struct bench *bench, const struct kind *kind)
{
    struct pair *pair = pair_new();
    if (pair == NULL)
        return NULL;
    pair->route = &bench->route;
    pair->primary = SIDE_LEGACY;
    strcpy(pair->method, "GET");
    strcpy(pair->target, "/orders/4711");
    strcpy(pair->request_id, "bench");
    fill(&pair->primary_capture, kind, 0);
    fill(&pair->shadow_capture, kind, kind->variant);
    return pair;
}

static void judge(struct bench *bench, struct pair *pair, unsigned long pairs)
{
    for (unsigned long i = 0; i < pairs; i++) {
        pair->wall_ms = bench->wall_ms += PAIR_PERIOD_MS;
        report_add(bench->report, pair, compare_pair(bench->compare, pair));
        if (bench->wall_ms % TAKE_PERIOD_MS == 0)
            json_decref(report_take_samples(bench->report));
    }
}

static double pairs_per_second(struct bench *bench, struct pair *pair)
{
    double began = cpu_seconds(), now = began;
    unsigned long pairs = 0;
    while (now - began < seconds_each) {
        judge(bench, pair, BATCH);
        pairs += BATCH;
        now = cpu_seconds();
    }
    return (double)pairs / (now - began);
}

/* Prints every kind's line of the object. False without memory. */
static bool measure_all(struct bench *bench)
{
    bool done = true;
    printf("{");
    for (int i = 0; i < KINDS && done; i++) {
        struct pair *pair = make_pair(bench, &kinds[i]);
        done = pair != NULL;
        if (done)
            printf("%s\"%s\": %.0f", i > 0 ? ", " : "", kinds[i].name, pairs_per_second(bench, pair));
        pair_free(pair);
    }
    printf("}\n");
    return done;
}

static bool judge_some(struct bench *bench, const char *name, const char *pairs)
{
    for (int i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        struct pair *pair = make_pair(bench, &kinds[i]);
        if (pair != NULL)
            judge(bench, pair, strtoul(pairs, NULL, 10));
        pair_free(pair);
        return pair != NULL;
    }
    fprintf(stderr, "no such kind: %s\n", name);
    return false;
}

int main(int argc, char **argv)
{
    static const char *headers[] = {"content-type", "location"};
    static const char *ignore[] = {"$.updated_at", "$.meta.request_id"};
    struct bench bench = {.route = {.name = "bench"}, .compare = compare_new(), .report = report_new(), .wall_ms = 1};
    bench.route.shadow.max_body = 1 << 20;
    bench.route.shadow.samples = (struct config_samples){.keep = 10, .max_bytes = 1 << 24, .max_age_ms = 86400000};
    bench.route.shadow.compare = (struct config_compare){
        .headers = headers, .header_count = 2, .ignore = ignore, .ignore_count = 2, .noise = {0, 0.2, 0.0003, 0.99}};
    bool done = (argc == 1 || argc == 3) && bench.compare != NULL && bench.report != NULL;
    done = done && (argc == 3 ? judge_some(&bench, argv[1], argv[2]) : measure_all(&bench));
    report_free(bench.report);
    compare_free(bench.compare);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
