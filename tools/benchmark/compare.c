/*
 * How fast pairs are judged: what the compare thread does with a pair, done again and again on this thread.
 *
 * Prints one JSON object: the kind of pair and how many a second of processor time takes. Judged and counted as in
 * shunt, compare_pair() and report_add(), with the rules of the file's example; samples are taken as they are there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shadow/compare.h"
#include "shadow/report.h"

enum {
    BODY_ROOM = 64 * 1024,
    BATCH = 64,
    PAIR_PERIOD_MS = 1 /* of wall clock, between one pair and the next */
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

/* An order with as many items as fit into `bytes`. `variant` 1 differs in one price, one time and one name. */
static void write_order(struct order_text *text, size_t bytes, int variant)
{
    int n =
        snprintf(text->at, sizeof(text->at),
                 "{\"id\":4711,\"state\":\"shipped\",\"updated_at\":\"2025-03-02T08:00:0%dZ\",\"items\":[", variant);
    size_t len = (size_t)n;
    for (int i = 0; len + 200 < bytes; i++)
        len += (size_t)snprintf(text->at + len, sizeof(text->at) - len,
                                "%s{\"sku\":\"A-%05d\",\"name\":\"%s %d\",\"price\":%d.%02d,\"tags\":[\"blue\",\"xl\"],"
                                "\"stock\":{\"here\":%d,\"there\":null}}",
                                i > 0 ? "," : "", i, variant == 1 && i == 3 ? "Shoe" : "shoe", i, 10 + i,
                                variant == 1 && i == 5 ? 99 : 50, i * 3);
    len += (size_t)snprintf(text->at + len, sizeof(text->at) - len, "],\"note\":\"");
    while (len + 3 < bytes)
        text->at[len++] = 'x';
    len += (size_t)snprintf(text->at + len, sizeof(text->at) - len, "\"}");
    text->len = len;
}

static void fill(struct capture *capture, const struct order_text *body)
{
    static const char head[] = "Content-Type: application/json\r\nServer: bench\r\n";
    capture_reset(capture, 1 << 20);
    capture_head(capture, 200, head, sizeof(head) - 1);
    capture_body(capture, body->at, body->len);
    capture_end(capture, OUTCOME_OK, 1500);
}

static struct pair *make_pair(const struct bench *bench, const struct order_text *primary,
                              const struct order_text *shadow)
{
    struct pair *pair = pair_new();
    if (pair == NULL)
        return NULL;
    pair->route = &bench->route;
    pair->primary = SIDE_LEGACY;
    strcpy(pair->method, "GET");
    strcpy(pair->target, "/orders/4711");
    strcpy(pair->request_id, "bench");
    fill(&pair->primary_capture, primary);
    fill(&pair->shadow_capture, shadow);
    return pair;
}

static double pairs_per_second(struct bench *bench, struct pair *pair)
{
    double began = cpu_seconds(), now = began;
    unsigned long pairs = 0;
    while (now - began < seconds_each) {
        for (int i = 0; i < BATCH; i++) {
            pair->wall_ms = bench->wall_ms += PAIR_PERIOD_MS;
            report_add(bench->report, pair, compare_pair(bench->compare, pair));
        }
        pairs += BATCH;
        now = cpu_seconds();
    }
    return (double)pairs / (now - began);
}

/* Prints a line of the object. False without memory. */
static bool measure(struct bench *bench, const char *name, size_t bytes, int variant)
{
    static struct order_text primary, shadow;
    write_order(&primary, bytes, 0);
    write_order(&shadow, bytes, variant);
    struct pair *pair = make_pair(bench, &primary, &shadow);
    if (pair == NULL)
        return false;
    printf("\"%s\": %.0f", name, pairs_per_second(bench, pair));
    pair_free(pair);
    return true;
}

int main(void)
{
    static const char *headers[] = {"content-type", "location"};
    static const char *ignore[] = {"$.updated_at", "$.meta.request_id"};
    struct bench bench = {.route = {.name = "bench"}, .compare = compare_new(), .report = report_new(), .wall_ms = 1};
    bench.route.shadow.max_body = 1 << 20;
    bench.route.shadow.samples = (struct config_samples){.keep = 10, .max_bytes = 1 << 24, .max_age_ms = 86400000};
    bench.route.shadow.compare = (struct config_compare){
        .headers = headers, .header_count = 2, .ignore = ignore, .ignore_count = 2, .noise = {0, 0.2, 0.0003, 0.99}};
    bool done = bench.compare != NULL && bench.report != NULL;
    printf("{");
    done = done && measure(&bench, "equal, 1 KiB", 1024, 0);
    printf(", ");
    done = done && measure(&bench, "equal, 10 KiB", 10240, 0);
    printf(", ");
    done = done && measure(&bench, "differing JSON, 1 KiB", 1024, 1);
    printf(", ");
    done = done && measure(&bench, "differing JSON, 10 KiB", 10240, 1);
    printf("}\n");
    report_free(bench.report);
    compare_free(bench.compare);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
