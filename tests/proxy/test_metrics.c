/*
 * The metrics page, read back by the rules that promtool and the Prometheus scraper hold it to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <ctype.h>
#include <math.h>

#include "proxy/health_board.h"
#include "proxy/metrics.h"
#include "proxy/metrics_process.h"
#include "proxy/metrics_text.h"
#include "proxy/notify.h"
#include "tests/proxy/fake_control.h"

#define YAML                                                                                                           \
    "listeners: [ { address: \"127.0.0.1:0\" } ]\n"                                                                    \
    "backends: { legacy: { url: \"http://127.0.0.1:3001\" }, new: { url: \"http://127.0.0.1:3002\" } }\n"              \
    "routes:\n"                                                                                                        \
    "  - { name: orders, match: { path: /orders/** }, sticky: [ random ],\n"                                           \
    "      stages: [ { percent: 100, hold: 1h }, { percent: 100, hold: 1h } ],\n"                                      \
    "      gates: { min_requests: 10, error_rate: 50% } }\n"                                                           \
    "  - { name: rest, match: { path: /rest/** }, percent: 25 }\n"

/* ---- a reader of the format ---- */

enum {
    FAMILIES_MOST = 256,
    SAMPLES_MOST = 8192
};

struct family {
    char name[128];
    char type[16];
    bool has_samples;
};

struct reader {
    struct family families[FAMILIES_MOST];
    size_t family_count;
    char *samples[SAMPLES_MOST]; /* name and labels: must be unique */
    size_t sample_count;
    const char *page;
};

static bool is_name(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isalpha((unsigned char)text[i]) && text[i] != '_' && text[i] != ':' &&
            !(i > 0 && isdigit((unsigned char)text[i])))
            return false;
    return length > 0;
}

static struct family *current(struct reader *r)
{
    return r->family_count > 0 ? &r->families[r->family_count - 1] : NULL;
}

static void read_help(struct reader *r, const char *line)
{
    size_t length = strcspn(line, " ");
    assert_true(is_name(line, length));
    assert_true(strlen(line) > length + 1);      /* says something */
    for (size_t i = 0; i < r->family_count; i++) /* once only, so that all its samples stand together */
        assert_false(strlen(r->families[i].name) == length && memcmp(r->families[i].name, line, length) == 0);
    assert_true(r->family_count < FAMILIES_MOST);
    struct family *family = &r->families[r->family_count++];
    snprintf(family->name, sizeof(family->name), "%.*s", (int)length, line);
}

static void read_type(struct reader *r, const char *line)
{
    struct family *family = current(r);
    size_t length = strcspn(line, " ");
    if (family == NULL) {
        fail_msg("TYPE before HELP: %s", line);
        return;
    }
    assert_true(strlen(family->name) == length && memcmp(family->name, line, length) == 0); /* HELP before it */
    assert_string_equal(family->type, "");
    assert_false(family->has_samples);
    snprintf(family->type, sizeof(family->type), "%s", line + length + 1);
    bool counter = strcmp(family->type, "counter") == 0,
         total = length > 6 && memcmp(line + length - 6, "_total", 6) == 0;
    assert_true(counter || strcmp(family->type, "gauge") == 0 || strcmp(family->type, "histogram") == 0);
    assert_int_equal(counter, total); /* promtool: counters end in _total, nothing else does */
}

/* Behind the labels' closing brace; checks their syntax. */
static const char *skip_labels(const char *at)
{
    assert_int_equal(*at++, '{');
    for (;;) {
        size_t length = strcspn(at, "=");
        assert_true(is_name(at, length) && memchr(at, ':', length) == NULL);
        at += length + 1;
        assert_int_equal(*at++, '"');
        while (*at != '"') {
            assert_true(*at != '\0' && *at != '\n');
            if (*at == '\\') {
                at++;
                assert_non_null(strchr("\\\"n", *at));
            }
            at++;
        }
        at++;
        if (*at == '}')
            return at + 1;
        assert_int_equal(*at++, ',');
    }
}

static void check_sample_name(const struct family *family, const char *name, size_t length)
{
    static const char *const suffixes[] = {"_bucket", "_sum", "_count"};
    size_t base = strlen(family->name);
    bool fits = length == base;
    if (strcmp(family->type, "histogram") == 0) {
        fits = false;
        for (size_t i = 0; i < 3; i++)
            fits |= length == base + strlen(suffixes[i]) && memcmp(name + base, suffixes[i], strlen(suffixes[i])) == 0;
    }
    if (!fits || memcmp(name, family->name, base) != 0)
        fail_msg("sample %.*s stands in family %s", (int)length, name, family->name);
}

static void read_sample(struct reader *r, const char *line)
{
    struct family *family = current(r);
    size_t length = strcspn(line, "{ ");
    char *end;
    if (family == NULL) {
        fail_msg("sample before HELP: %s", line);
        return;
    }
    assert_string_not_equal(family->type, "");
    assert_true(is_name(line, length));
    check_sample_name(family, line, length);
    const char *value = line[length] == '{' ? skip_labels(line + length) : line + length;
    assert_int_equal(*value, ' ');
    double number = strtod(value + 1, &end);
    assert_true(end != value + 1 && *end == '\0');
    if (strncmp(family->name, "shunt_gate_", 11) != 0)
        assert_true(isfinite(number) && number >= 0); /* nothing else we tell can be below 0, or unknown */
    family->has_samples = true;
    assert_true(r->sample_count < SAMPLES_MOST);
    r->samples[r->sample_count++] = strndup(line, (size_t)(value - line));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void check_no_duplicates(struct reader *r)
{
    qsort(r->samples, r->sample_count, sizeof(r->samples[0]), by_text);
    for (size_t i = 1; i < r->sample_count; i++)
        if (strcmp(r->samples[i - 1], r->samples[i]) == 0)
            fail_msg("duplicate series %s", r->samples[i]);
}

static struct reader *read_page(const char *page)
{
    struct reader *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->page = page;
    size_t length = strlen(page);
    assert_true(length > 0 && page[length - 1] == '\n');
    char *copy = strdup(page), *rest = copy;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && rest != NULL;) {
        if (strncmp(line, "# HELP ", 7) == 0)
            read_help(r, line + 7);
        else if (strncmp(line, "# TYPE ", 7) == 0)
            read_type(r, line + 7);
        else
            read_sample(r, line);
    }
    free(copy);
    check_no_duplicates(r);
    return r;
}

static void reader_free(struct reader *r)
{
    for (size_t i = 0; i < r->sample_count; i++)
        free(r->samples[i]);
    free(r);
}

/* The value of the series written exactly so; fails the test when it is not on the page. */
static double value_of(const char *page, const char *series)
{
    size_t length = strlen(series);
    for (const char *at = page; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, series, length) == 0 && at[length] == ' ')
            return strtod(at + length, NULL);
    }
    fail_msg("no series %s", series);
    return -1;
}

static void assert_value(double actual, double expected)
{
    if (fabs(actual - expected) > 1e-6)
        fail_msg("%.15g, expected %.15g", actual, expected);
}

/* ---- fixture ---- */

struct fixture {
    struct control *control;
    struct router_view *view;
    char *page;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->control = fake_control_new(YAML);
    f->view = router_publish(f->control->router);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    router_view_unref(f->view);
    fake_control_free(f->control);
    free(f->page);
    free(f);
    return 0;
}

static const char *scrape(struct fixture *f)
{
    struct evbuffer *out = evbuffer_new();
    assert_true(metrics_write(f->control, out));
    free(f->page);
    size_t length = evbuffer_get_length(out);
    f->page = calloc(1, length + 1);
    evbuffer_remove(out, f->page, length);
    evbuffer_free(out);
    return f->page;
}

/* One exchange of the route that ends so. */
static void exchange(struct fixture *f, const char *path, uint16_t status, uint64_t latency_us)
{
    struct request_facts facts = {.method = {"GET", 3}, .path = {path, (uint32_t)strlen(path)}};
    struct decision decision;
    router_decide(f->view, 0, &facts, &decision);
    router_observe(
        f->view, 0, &decision,
        &(struct outcome){.kind = OUTCOME_OK, .status = status, .client_status = status, .latency_us = latency_us});
}

/* ---- the format ---- */

static void text_escapes_what_must_be(void **state)
{
    (void)state;
    struct evbuffer *out = evbuffer_new();
    struct metrics_text text;
    const struct metrics_label labels[] = {{"route", "a\"b\\c\nd"}, {NULL, NULL}};
    metrics_text_init(&text, out);
    metrics_text_family(&text, "x_total", METRICS_COUNTER, "one \"two\"\nthree\\");
    metrics_text_count(&text, labels, 7);
    char page[256] = "";
    evbuffer_remove(out, page, sizeof(page) - 1);
    evbuffer_free(out);
    assert_string_equal(page, "# HELP x_total one \"two\"\\nthree\\\\\n# TYPE x_total counter\n"
                              "x_total{route=\"a\\\"b\\\\c\\nd\"} 7\n");
    reader_free(read_page(page));
}

static void text_prints_large_numbers_whole(void **state)
{
    (void)state;
    struct evbuffer *out = evbuffer_new();
    struct metrics_text text;
    metrics_text_init(&text, out);
    metrics_text_family(&text, "a", METRICS_GAUGE, "a");
    metrics_text_value(&text, NULL, 1700000000.123);
    metrics_text_count(&text, NULL, UINT64_MAX);
    metrics_text_value(&text, NULL, INFINITY);
    char page[256] = "";
    evbuffer_remove(out, page, sizeof(page) - 1);
    evbuffer_free(out);
    assert_non_null(strstr(page, "\na 1700000000.123\n"));
    assert_non_null(strstr(page, "\na 18446744073709551615\n"));
    assert_non_null(strstr(page, "\na +Inf\n"));
}

/* ---- the page ---- */

/* Nobody is told, nothing is checked, called or compared, there is no certificate. */
static bool may_have_no_samples(const char *name)
{
    static const char *const beginnings[] = {"shunt_notify_", "shunt_health_", "shunt_grpc_responses_",
                                             "shunt_comparisons_", "shunt_tls_certificate_expiry_"};
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++)
        if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return false;
}

static void page_keeps_the_rules(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 100; i++)
        exchange(f, "/orders/1", 200, 1500);
    router_tick(f->control->router, 1000, 1700000001000);
    struct reader *r = read_page(scrape(f));
    assert_true(r->family_count > 50);
    for (size_t i = 0; i < r->family_count; i++) {
        const char *name = r->families[i].name;
        assert_true(strncmp(name, "shunt_", 6) == 0 || strncmp(name, "process_", 8) == 0);
        if (!r->families[i].has_samples && !may_have_no_samples(name))
            fail_msg("%s has no samples", name);
    }
    reader_free(r);
}

static void a_fleet_is_told_where_there_is_one(void **state)
{
    struct fixture *f = *state;
    struct control_fleet fleet = {.facts = {.group = "g", .replica = "r", .leader = "", .epoch = 7, .lag_ms = 250}};
    assert_null(strstr(scrape(f), "shunt_fleet_"));
    assert_null(strstr(scrape(f), "shunt_redis_"));
    f->control->fleet = &fleet;
    struct reader *r = read_page(scrape(f));
    for (size_t i = 0; i < r->family_count; i++) {
        const char *name = r->families[i].name;
        if (strncmp(name, "shunt_fleet_", 12) == 0 || strncmp(name, "shunt_redis_", 12) == 0)
            assert_true(r->families[i].has_samples);
    }
    reader_free(r);
    assert_value(value_of(scrape(f), "shunt_fleet_epoch"), 7);
    assert_value(value_of(scrape(f), "shunt_redis_available"), 0);
    f->control->fleet = NULL;
}

static void requests_are_counted_by_route_backend_and_class(void **state)
{
    struct fixture *f = *state;
    exchange(f, "/orders/1", 200, 1500);
    exchange(f, "/orders/2", 204, 1500);
    exchange(f, "/orders/3", 503, 1500);
    exchange(f, "/elsewhere", 404, 1500);
    const char *page = scrape(f);
    assert_value(value_of(page, "shunt_requests_total{route=\"orders\",backend=\"new\",code=\"2xx\"}"), 2);
    assert_value(value_of(page, "shunt_requests_total{route=\"orders\",backend=\"new\",code=\"5xx\"}"), 1);
    assert_value(value_of(page, "shunt_requests_total{route=\"orders\",backend=\"legacy\",code=\"2xx\"}"), 0);
    assert_value(value_of(page, "shunt_requests_total{route=\"-\",backend=\"legacy\",code=\"4xx\"}"), 1);
    assert_value(value_of(page, "shunt_judged_requests_total{route=\"orders\",backend=\"new\"}"), 3);
    assert_value(value_of(page, "shunt_request_errors_total{route=\"orders\",backend=\"new\"}"), 1);
    assert_value(value_of(page, "shunt_outcomes_total{route=\"orders\",backend=\"new\",outcome=\"ok\"}"), 3);
}

static const double edges[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                               0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};
enum {
    EDGES = sizeof(edges) / sizeof(edges[0])
};

static double bucket_of(const char *page, double edge)
{
    char series[160];
    snprintf(series, sizeof(series),
             "shunt_request_duration_seconds_bucket{route=\"orders\",backend=\"new\",code=\"2xx\",le=\"%.15g\"}", edge);
    return value_of(page, series);
}

static void durations_are_cumulative_and_exact(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < EDGES; i++) { /* one at each edge, which is inside, and one just above */
        uint64_t us = (uint64_t)llround(edges[i] * 1e6);
        exchange(f, "/orders/1", 200, us);
        exchange(f, "/orders/1", 200, us + 1);
    }
    const char *page = scrape(f);
    for (size_t i = 0; i < EDGES; i++)
        assert_value(bucket_of(page, edges[i]), 2.0 * (double)i + 1);
    assert_value(
        value_of(page,
                 "shunt_request_duration_seconds_bucket{route=\"orders\",backend=\"new\",code=\"2xx\",le=\"+Inf\"}"),
        2.0 * EDGES);
    assert_value(value_of(page, "shunt_request_duration_seconds_count{route=\"orders\",backend=\"new\",code=\"2xx\"}"),
                 2.0 * EDGES);
    double sum = 0;
    for (size_t i = 0; i < EDGES; i++)
        sum += 2 * edges[i] + 1e-6;
    assert_value(value_of(page, "shunt_request_duration_seconds_sum{route=\"orders\",backend=\"new\",code=\"2xx\"}"),
                 sum);
}

static void plan_and_breaker_are_told(void **state)
{
    struct fixture *f = *state;
    const char *page = scrape(f);
    assert_value(value_of(page, "shunt_route_share{route=\"orders\"}"), 1);
    assert_value(value_of(page, "shunt_route_share{route=\"rest\"}"), 0.25);
    assert_value(value_of(page, "shunt_route_stage{route=\"orders\"}"), 1);
    assert_value(value_of(page, "shunt_route_stages{route=\"orders\"}"), 2);
    assert_value(value_of(page, "shunt_route_stage{route=\"rest\"}"), 0);
    assert_value(value_of(page, "shunt_route_phase{route=\"orders\",phase=\"running\"}"), 1);
    assert_value(value_of(page, "shunt_route_phase{route=\"rest\",phase=\"fixed\"}"), 1);
    assert_value(value_of(page, "shunt_breaker_state{route=\"orders\",state=\"closed\"}"), 1);
    assert_value(value_of(page, "shunt_breaker_state{route=\"orders\",state=\"open\"}"), 0);
    assert_null(strstr(page, "shunt_route_share{route=\"-\"}"));
    router_passthrough(f->control->router, PASSTHROUGH_API, true, "operator:test", NULL, 0);
    page = scrape(f);
    assert_value(value_of(page, "shunt_passthrough"), 1);
    assert_value(value_of(page, "shunt_route_effective_share{route=\"orders\"}"), 0);
    assert_value(value_of(page, "shunt_route_share{route=\"orders\"}"), 1);
}

static double gate_of(const char *page, const char *family, const char *gate)
{
    char series[160];
    snprintf(series, sizeof(series), "shunt_gate_%s{route=\"orders\",gate=\"%s\"}", family, gate);
    return value_of(page, series);
}

static void look(struct fixture *f, uint64_t now_ms)
{
    router_tick(f->control->router, now_ms, 1700000000000 + now_ms);
}

static void gates_tell_verdict_interval_evidence_and_when_they_decide(void **state)
{
    struct fixture *f = *state;
    look(f, 1000);
    const char *page = scrape(f);
    assert_value(gate_of(page, "verdict", "min_requests"), 0);
    assert_true(isnan(gate_of(page, "decision_seconds", "min_requests")));
    assert_null(strstr(page, "shunt_gate_verdict{route=\"rest\""));                    /* no plan, no gates */
    assert_null(strstr(page, "shunt_gate_verdict{route=\"orders\",gate=\"webhook\"")); /* not asked for */
    for (int i = 0; i < 1000; i++)
        exchange(f, "/orders/1", i % 100 == 0 ? 503 : 200, 1500);
    look(f, 3000);
    page = scrape(f);
    assert_value(gate_of(page, "verdict", "min_requests"), 1);
    assert_value(gate_of(page, "decision_seconds", "min_requests"), 0);
    assert_value(gate_of(page, "verdict", "error_rate"), 1);
    assert_value(gate_of(page, "value", "error_rate"), 0.01);
    assert_value(gate_of(page, "limit", "error_rate"), 0.5);
    assert_value(gate_of(page, "evidence", "error_rate"), 1000);
    assert_true(gate_of(page, "low", "error_rate") < 0.01 && gate_of(page, "high", "error_rate") > 0.01);
}

static void what_the_breaker_sees_is_told(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 4; i++)
        exchange(f, "/orders/1", i == 0 ? 503 : 200, 1500);
    look(f, 1000);
    const char *page = scrape(f);
    assert_value(value_of(page, "shunt_breaker_error_rate{route=\"orders\",backend=\"new\"}"), 0.25);
    assert_value(value_of(page, "shunt_breaker_error_rate{route=\"orders\",backend=\"legacy\"}"), 0);
    assert_value(value_of(page, "shunt_breaker_slow_rate{route=\"orders\"}"), 0);
    assert_value(value_of(page, "shunt_route_steps_back{route=\"orders\"}"), 0);
}

/* Nobody listens at the discard port: nothing is delivered, and nobody waits for it. */
static void who_is_told_is_counted(void **state)
{
    struct fixture *f = *state;
    const char yaml[] = YAML "notify: [ { url: \"http://127.0.0.1:9/secret\" } ]\n";
    struct config_errors errors = {0};
    struct config *config = config_parse("test.yaml", yaml, strlen(yaml), &errors);
    assert_non_null(config);
    f->control->notify = notify_new(NULL, &notify_limits);
    notify_adopt(f->control->notify, notify_prepare(f->control->notify, config));
    notify_event(f->control->notify, &(struct router_event){.sequence = 1, .what = "pause", .who = "operator:a"});
    const char *page = scrape(f);
    assert_value(value_of(page, "shunt_notify_queue{target=\"127.0.0.1:9\"}"), 1);
    assert_value(value_of(page, "shunt_notify_total{target=\"127.0.0.1:9\",outcome=\"delivered\"}"), 0);
    assert_value(value_of(page, "shunt_notify_total{target=\"127.0.0.1:9\",outcome=\"dropped\"}"), 0);
    assert_null(strstr(page, "secret"));
    reader_free(read_page(page));
    notify_stop(f->control->notify, 0);
    f->control->notify = NULL;
    config_free(config);
    config_errors_free(&errors);
}

static void active_checks_are_told(void **state)
{
    struct fixture *f = *state;
    struct config_health health = {.kind = HEALTH_HTTP};
    struct config_backend backends[] = {{.name = "legacy", .health = &health}, {.name = "new"}};
    struct config config = {.backends = backends, .backend_count = 2};
    struct endpoint_address one = {.length = sizeof(struct sockaddr_in), .text = "10.0.0.1:80"}, two = one;
    two.to.in.sin_port = 1;
    strcpy(two.text, "10.0.0.2:80");
    struct health_board *board = f->control->health = health_board_new();
    assert_true(health_board_settle(board, &config));
    struct health_mark *up = health_board_mark(board, "legacy", &one), *down = health_board_mark(board, "legacy", &two);
    health_mark_set(down, true, "status 503");
    health_board_count(board, "legacy", CHECK_SUCCESS);
    health_board_count(board, "legacy", CHECK_TIMEOUT);
    health_board_count(board, "legacy", CHECK_TIMEOUT);
    const char *page = scrape(f);
    assert_value(value_of(page, "shunt_health_checks_total{backend=\"legacy\",result=\"success\"}"), 1);
    assert_value(value_of(page, "shunt_health_checks_total{backend=\"legacy\",result=\"failure\"}"), 0);
    assert_value(value_of(page, "shunt_health_checks_total{backend=\"legacy\",result=\"timeout\"}"), 2);
    assert_null(strstr(page, "shunt_health_checks_total{backend=\"new\""));
    assert_value(value_of(page, "shunt_health_up{backend=\"legacy\",address=\"10.0.0.1:80\"}"), 1);
    assert_value(value_of(page, "shunt_health_up{backend=\"legacy\",address=\"10.0.0.2:80\"}"), 0);
    health_mark_unref(up);
    health_mark_unref(down);
    health_board_free(board);
    f->control->health = NULL;
}

static void process_and_control_are_told(void **state)
{
    struct fixture *f = *state;
    f->control->counters.downstream_requests = 12345678901;
    f->control->counters.upstream_idle = 3;
    f->control->process.reload_failures = 2;
    f->control->process.state_save_failures = 4;
    atomic_store(&f->control->memory.limit, 26214400);
    atomic_store(&f->control->memory.level, MEMORY_SHORT);
    const char *page = scrape(f);
    assert_value(value_of(page, "shunt_downstream_requests_total"), 12345678901.0);
    assert_value(value_of(page, "shunt_upstream_idle"), 3);
    assert_value(value_of(page, "shunt_config_reload_failures_total"), 2);
    assert_value(value_of(page, "shunt_state_save_failures_total"), 4);
    assert_value(value_of(page, "process_start_time_seconds"), 1700000000);
    assert_true(value_of(page, "process_resident_memory_bytes") > 1e6);
    assert_true(value_of(page, "process_open_fds") >= 3);
    assert_value(value_of(page, "shunt_memory_limit_bytes"), 26214400);
    assert_value(value_of(page, "shunt_memory_used_bytes"), 0); /* it has no files */
    assert_value(value_of(page, "shunt_memory_pressure"), 1);
    assert_value(value_of(page, "shunt_build_info{version=\"" SHUNT_VERSION "\"}"), 1);
}

static void descriptors_are_counted_exactly(void **state)
{
    (void)state;
    struct metrics_process before, after;
    metrics_process_read(&before);
    FILE *one = fopen("/dev/null", "re"), *two = fopen("/dev/null", "re");
    metrics_process_read(&after);
    assert_int_equal(after.open_fds, before.open_fds + 2);
    fclose(one);
    fclose(two);
}

/* docs/metrics.md names every family that is on the page. */
static void every_family_is_documented(void **state)
{
    struct fixture *f = *state;
    FILE *file = fopen("docs/metrics.md", "re");
    assert_non_null(file); /* tests run in the project's folder */
    char *text = NULL;
    size_t room = 0;
    assert_true(getdelim(&text, &room, '\0', file) > 0);
    fclose(file);
    struct reader *r = read_page(scrape(f));
    for (size_t i = 0; i < r->family_count; i++) {
        char quoted[160];
        snprintf(quoted, sizeof(quoted), "`%s`", r->families[i].name);
        if (strstr(text, quoted) == NULL)
            fail_msg("%s is not in docs/metrics.md", r->families[i].name);
    }
    reader_free(r);
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_escapes_what_must_be),
        cmocka_unit_test(text_prints_large_numbers_whole),
        TEST(page_keeps_the_rules),
        TEST(a_fleet_is_told_where_there_is_one),
        TEST(requests_are_counted_by_route_backend_and_class),
        TEST(durations_are_cumulative_and_exact),
        TEST(plan_and_breaker_are_told),
        TEST(gates_tell_verdict_interval_evidence_and_when_they_decide),
        TEST(what_the_breaker_sees_is_told),
        TEST(who_is_told_is_counted),
        TEST(active_checks_are_told),
        TEST(process_and_control_are_told),
        cmocka_unit_test(descriptors_are_counted_exactly),
        TEST(every_family_is_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
