/*
 * How long a worker takes to decide about a request in a fleet: router_decide(), a million times, each timed by itself.
 *
 * A router that follows a fleet, with 16 routes, adopts another share of the route every thousand requests and
 * publishes it, as a replica does when its fleet moves; each request is of another user. Prints one JSON object with
 * the nanoseconds of the fastest half, of 99 and of 99.9 in a hundred decisions. Two readings of the clock are in each
 * of them, and told by themselves as "clock_ns".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/config.h"
#include "router/router.h"
#include "router/text.h"

enum {
    DECISIONS = 1000000,
    OF_ONE_VIEW = 1000,
    ROUTES = 16,
    FIELDS = 10,
    USERS = 100000,
    FILE_ROOM = 16 * 1024,
    USER_ROOM = 24,
};

static const char head[] =
    "listeners: [ { address: \"127.0.0.1:0\" } ]\n"
    "backends: { legacy: { url: \"http://127.0.0.1:3001\" }, new: { url: \"http://127.0.0.1:3002\" } }\n"
    "state: { redis: { url: \"redis://127.0.0.1\", group: bench, replica: a } }\n"
    "routes:\n";

struct bench {
    struct router *router;
    struct router_view *view;
    json_t *wished; /* the item that was asked for; owned */
    uint64_t version, now_ms;
    uint32_t *nanoseconds; /* of each decision; owned */
};

static void fail(const char *what)
{
    (void)fprintf(stderr, "shunt-bench-decide: %s\n", what);
    exit(1);
}

static void on_wish(void *context, const struct router_wish *wish)
{
    struct bench *bench = context;
    json_decref(bench->wished);
    bench->wished = json_incref(wish->value);
}

static struct config *make_config(void)
{
    char *text = malloc(FILE_ROOM);
    if (text == NULL)
        fail("no memory");
    int at = snprintf(text, FILE_ROOM, "%s", head);
    for (int i = 0; i < ROUTES; i++)
        at += snprintf(text + at, (size_t)(FILE_ROOM - at),
                       "  - name: route-%d\n    match: { path: /part-%d/** }\n    sticky: [ { header: X-User-Id } ]\n"
                       "    stages: [ { name: a, percent: 10, hold: 1h }, { name: b, percent: 100 } ]\n",
                       i, i);
    struct config_errors errors = {0};
    struct config *config = config_parse("bench.yaml", text, strlen(text), &errors);
    if (config == NULL)
        fail(errors.count > 0 ? errors.lines[0] : "the file was not taken");
    config_errors_free(&errors);
    free(text);
    return config;
}

/* A person asks for the share, and the fleet says that it is so. */
static void move(struct bench *bench, uint32_t share)
{
    const struct router_command command = {
        .verb = VERB_SET_PERCENT, .route = "route-15", .percent = share, .who = "operator:bench", .ticket = 1};
    const char *why = NULL;
    bench->now_ms += 1000;
    if (router_command(bench->router, &command, bench->now_ms, bench->now_ms, &why) != ROUTER_ASKED)
        fail(why != NULL ? why : "the fleet was not asked");
    if (!router_adopt(bench->router, command.route, bench->wished, ++bench->version, bench->now_ms, bench->now_ms,
                      &why))
        fail(why != NULL ? why : "the item was not taken");
    struct router_view *view = router_publish(bench->router);
    if (view == NULL)
        fail("no memory");
    router_view_unref(bench->view);
    bench->view = view;
}

/* ---- requests ---- */

/* As a browser asks: what the route goes by comes last. `user` is borrowed. */
static void make_request(struct request_facts *facts, struct field fields[FIELDS], const char *user)
{
    static const char *const sent[FIELDS][2] = {
        {"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
        {"Accept", "application/json"},
        {"Accept-Language", "en"},
        {"Accept-Encoding", "gzip, br"},
        {"Referer", "https://shop.example.com/orders"},
        {"Cookie", "session=5f2b1c9e8d7a"},
        {"Cache-Control", "no-cache"},
        {"X-Request-Id", "9f1c2b3a-5d6e-4f70-8192-a3b4c5d6e7f8"},
        {"X-Forwarded-Proto", "https"},
        {"X-User-Id", ""},
    };
    for (int i = 0; i < FIELDS; i++) {
        fields[i].name = text_of(sent[i][0]);
        fields[i].value = text_of(i == FIELDS - 1 ? user : sent[i][1]);
        fields[i].id = request_field_id(fields[i].name);
    }
    memset(facts, 0, sizeof(*facts));
    facts->method = text_of("GET");
    facts->path = text_of("/part-15/orders/4711");
    facts->host = text_of("shop.example.com");
    facts->fields = fields;
    facts->field_count = FIELDS;
    facts->client = (struct client_address){{192, 0, 2, 1}, 4};
}

static uint32_t elapsed(const struct timespec *from, const struct timespec *to)
{
    int64_t ns = (to->tv_sec - from->tv_sec) * INT64_C(1000000000) + (to->tv_nsec - from->tv_nsec);
    return ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

/* Returns how many went to new. */
static uint64_t measure(struct bench *bench)
{
    struct request_facts facts;
    struct field fields[FIELDS];
    struct decision decision;
    struct timespec before, after;
    char user[USER_ROOM];
    uint64_t to_new = 0;
    for (uint32_t i = 0; i < DECISIONS; i++) {
        if (i % OF_ONE_VIEW == 0)
            move(bench, 1 + i / OF_ONE_VIEW % (SHARE_ALL - 1));
        (void)snprintf(user, sizeof(user), "user-%u", i * 2654435761u % USERS);
        make_request(&facts, fields, user);
        facts.random = i * UINT64_C(2685821657736338717);
        clock_gettime(CLOCK_MONOTONIC, &before);
        router_decide(bench->view, 0, &facts, &decision);
        clock_gettime(CLOCK_MONOTONIC, &after);
        bench->nanoseconds[i] = elapsed(&before, &after);
        to_new += decision.side == SIDE_NEW;
        const struct outcome outcome = {.kind = OUTCOME_OK, .status = 200, .client_status = 200, .latency_us = 900};
        router_observe(bench->view, 0, &decision, &outcome);
    }
    return to_new;
}

static void measure_clock(struct bench *bench)
{
    struct timespec before, after;
    for (uint32_t i = 0; i < DECISIONS; i++) {
        clock_gettime(CLOCK_MONOTONIC, &before);
        clock_gettime(CLOCK_MONOTONIC, &after);
        bench->nanoseconds[i] = elapsed(&before, &after);
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t quantile(struct bench *bench, uint32_t of_thousand)
{
    return bench->nanoseconds[DECISIONS / 1000 * of_thousand - 1];
}

int main(void)
{
    struct bench bench = {.now_ms = 1700000000000, .nanoseconds = calloc(DECISIONS, sizeof(uint32_t))};
    const struct router_hooks hooks = {.context = &bench, .wish = on_wish};
    struct config *config = make_config();
    bench.router = router_new(1, &hooks);
    if (bench.nanoseconds == NULL || bench.router == NULL)
        fail("no memory");
    router_set_role(bench.router, ROUTER_FOLLOWER, false, "it follows", bench.now_ms);
    if (!router_configure(bench.router, config, bench.now_ms, bench.now_ms))
        fail("no memory");
    measure_clock(&bench);
    qsort(bench.nanoseconds, DECISIONS, sizeof(uint32_t), by_size);
    uint32_t clock_ns = quantile(&bench, 500);
    uint64_t to_new = measure(&bench);
    qsort(bench.nanoseconds, DECISIONS, sizeof(uint32_t), by_size);
    printf("{\"decisions\": %d, \"views\": %d, \"to_new\": %llu, \"p50_ns\": %u, \"p99_ns\": %u, \"p99.9_ns\": %u, "
           "\"clock_ns\": %u}\n",
           DECISIONS, DECISIONS / OF_ONE_VIEW, (unsigned long long)to_new, quantile(&bench, 500), quantile(&bench, 990),
           quantile(&bench, 999), clock_ns);
    router_view_unref(bench.view);
    router_free(bench.router);
    json_decref(bench.wished);
    config_free(config);
    free(bench.nanoseconds);
    return 0;
}
