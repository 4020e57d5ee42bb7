/*
 * The admin server over a real socket, on a control made of real parts: doors, dispatch, bodies, answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/admin.h"
#include "shadow/export.h"
#include "tests/proxy/fake_control.h"

#define PLAIN_YAML                                                                                                     \
    "listeners: [ { address: \"127.0.0.1:0\" } ]\n"                                                                    \
    "admin: { address: \"127.0.0.1:0\" }\n"                                                                            \
    "backends: { legacy: { url: \"http://127.0.0.1:3001\" }, new: { url: \"http://127.0.0.1:3002\" } }\n"              \
    "routes:\n"                                                                                                        \
    "  - name: orders\n"                                                                                               \
    "    match: { path: /orders/** }\n"                                                                                \
    "    sticky: [ { header: X-User-Id } ]\n"                                                                          \
    "    stages: [ { name: canary, percent: 10, hold: 2h }, { percent: 50, hold: 2h } ]\n"                             \
    "    gates: { min_requests: 500 }\n"                                                                               \
    "  - name: \"rest.v2\"\n"                                                                                          \
    "    match: { path: /rest/** }\n"                                                                                  \
    "    percent: 25\n"

struct fixture {
    struct control *control;
    struct admin *admin;
    char answer[256 * 1024];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->control = fake_control_new(PLAIN_YAML);
    char *error = NULL;
    f->admin = admin_start(f->control, &f->control->config->admin, &error);
    if (f->admin == NULL)
        fail_msg("%s", error);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    assert_true(keeper_stop(f->control->keeper, 60000)); /* before those who wait for it, as in control */
    f->control->keeper = NULL;
    admin_stop(f->admin);
    fake_control_free(f->control);
    free(f);
    return 0;
}

/* Gives the admin a token, as a reload would. */
static void require_token(struct fixture *f)
{
    f->control->config->admin.token = "s3cret-token";
}

/* Sends bytes, runs the server until it closes, returns the status and leaves the answer in f->answer. */
static int exchange(struct fixture *f, const char *bytes, size_t length)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)admin_port(f->admin)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), status = 0;
    size_t got = 0, sent = 0;
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    for (;;) {
        event_base_loop(f->control->base, EVLOOP_NONBLOCK);
        if (sent < length) {
            ssize_t n = send(fd, bytes + sent, length - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
            sent += n > 0 ? (size_t)n : 0;
            if (n > 0 || errno == EAGAIN)
                continue; /* like a client that reads only when it has sent all */
        }
        ssize_t n = recv(fd, f->answer + got, sizeof(f->answer) - 1 - got, MSG_DONTWAIT);
        if (n > 0)
            got += (size_t)n;
        else if (n == 0 || errno != EAGAIN)
            break;
        else
            poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 1);
    }
    f->answer[got] = '\0';
    close(fd);
    if (sscanf(f->answer, "HTTP/1.%*d %d", &status) != 1)
        fail_msg("no answer");
    return status;
}

static int ask(struct fixture *f, const char *method, const char *path, const char *fields, const char *body)
{
    char *text = NULL;
    int length =
        asprintf(&text, "%s %s HTTP/1.1\r\n%s%sConnection: close\r\nContent-Length: %zu\r\n\r\n%s", method, path,
                 strstr(fields, "Host:") == NULL ? "Host: 127.0.0.1:9901\r\n" : "", fields, strlen(body), body);
    assert_true(length > 0);
    int status = exchange(f, text, (size_t)length);
    free(text);
    return status;
}

static int get(struct fixture *f, const char *path)
{
    return ask(f, "GET", path, "", "");
}

static int post(struct fixture *f, const char *path, const char *body)
{
    return ask(f, "POST", path, "", body);
}

static const char *body_of(const struct fixture *f)
{
    const char *end = strstr(f->answer, "\r\n\r\n");
    return end != NULL ? end + 4 : "";
}

static json_t *json_of(const struct fixture *f)
{
    json_error_t fault;
    json_t *json = json_loads(body_of(f), 0, &fault);
    if (json == NULL)
        fail_msg("%s: %s", fault.text, body_of(f));
    return json;
}

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void assert_code(struct fixture *f, const char *code)
{
    json_t *json = json_of(f), *error = json_object_get(json, "error");
    assert_string_equal(json_string_value(json_object_get(error, "code")), code);
    assert_true(json_string_length(json_object_get(error, "message")) > 0);
    assert_true(json_string_length(json_object_get(error, "remedy")) > 0);
    json_decref(json);
}

/* ---- health and index ---- */

static void health_is_live_while_loops_turn(void **state)
{
    struct fixture *f = *state;
    f->control->ready = false;
    assert_int_equal(get(f, "/healthz"), 200);
    f->control->hangs_ms = 12345;
    assert_int_equal(get(f, "/healthz"), 503);
    assert_string_equal(body_of(f), "not live: the loop of worker 1 has not turned for 12 s\n");
    f->control->hangs_ms = 0;
    assert_int_equal(get(f, "/healthz"), 200);
}

static void draining_begins_and_is_taken_back(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(post(f, "/api/v1/drain", "{\"who\": \"ann\", \"reason\": \"kernel\"}"), 200);
    json_t *answer = json_of(f);
    assert_true(json_is_true(json_object_get(answer, "draining")));
    assert_string_equal(json_string_value(json_object_get(json_object_get(answer, "drain"), "phase")), "serving");
    json_decref(answer);
    assert_string_equal(f->control->last_who, "operator:ann");
    assert_string_equal(f->control->last_reason, "kernel");
    assert_int_equal(post(f, "/api/v1/drain", "{\"cancel\": \"yes\"}"), 400);
    f->control->drain.ends = true;
    assert_int_equal(post(f, "/api/v1/drain", "{\"cancel\": true}"), 409);
    assert_contains(body_of(f), "not_possible_now");
    f->control->drain.ends = false;
    assert_int_equal(post(f, "/api/v1/drain", "{\"cancel\": true}"), 200);
    answer = json_of(f);
    assert_true(json_is_false(json_object_get(answer, "draining")));
    assert_true(json_is_null(json_object_get(answer, "drain")));
    json_decref(answer);
}

static void readiness_says_why_not(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/readyz"), 200);
    for (enum drain_phase phase = DRAIN_SERVING; phase <= DRAIN_OVER; phase++) {
        f->control->drain.phase = phase;
        assert_int_equal(get(f, "/readyz"), 503);
        assert_contains(body_of(f), "draining");
    }
    f->control->drain.phase = DRAIN_NONE;
    f->control->ready = false;
    assert_int_equal(get(f, "/readyz"), 503);
    assert_contains(body_of(f), "listeners");
}

static void index_lists_the_endpoints(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/"), 200);
    assert_contains(body_of(f), "/api/v1/routes/{route}/set-percent");
    assert_contains(body_of(f), "/metrics");
}

/* ---- dispatch ---- */

static void unknown_path_is_404_with_a_hint(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/api/v1/statuss"), 404);
    assert_code(f, "no_such_path");
    assert_int_equal(get(f, "/api/v1/routes/orders/promote/now"), 404);
    assert_int_equal(get(f, "/api/v1/routes/"), 404);
}

static void wrong_method_is_405_with_allow(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(post(f, "/api/v1/status", "{}"), 405);
    assert_contains(f->answer, "Allow: GET, HEAD\r\n");
    assert_code(f, "wrong_method");
    assert_int_equal(get(f, "/api/v1/routes/orders/promote"), 405);
    assert_contains(f->answer, "Allow: POST\r\n");
    assert_int_equal(ask(f, "BREW", "/api/v1/status", "", ""), 405);
    assert_int_equal(ask(f, "DELETE", "/api/v1/status", "", ""), 405);
}

static void head_has_the_length_and_no_body(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, "HEAD", "/healthz", "", ""), 200);
    assert_contains(f->answer, "Content-Length: 5\r\n");
    assert_string_equal(body_of(f), "");
}

static void get_changes_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t revision = router_revision(f->control->router);
    get(f, "/api/v1/routes/orders/rollback");
    get(f, "/api/v1/passthrough");
    ask(f, "PUT", "/api/v1/passthrough", "", "{\"on\": true}");
    assert_int_equal(router_revision(f->control->router), revision);
}

/* ---- reading ---- */

static void status_has_process_and_routes(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/api/v1/status"), 200);
    assert_contains(f->answer, "Content-Type: application/json");
    assert_contains(f->answer, "Cache-Control: no-store");
    json_t *json = json_of(f);
    assert_string_equal(json_string_value(json_object_get(json, "started_at")), "2023-11-14T22:13:20.000Z");
    assert_true(json_is_true(json_object_get(json, "ready")));
    assert_true(json_is_false(json_object_get(json, "passthrough")));
    assert_int_equal(json_array_size(json_object_get(json, "passthrough_sources")), 0);
    assert_int_equal(json_array_size(json_object_get(json, "routes")), 2);
    assert_true(json_is_integer(json_object_get(json_object_get(json, "counters"), "downstream_requests")));
    json_decref(json);
}

static void route_is_found_by_its_encoded_name(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/api/v1/routes/rest%2Ev2"), 200);
    json_t *json = json_of(f);
    assert_string_equal(json_string_value(json_object_get(json, "name")), "rest.v2");
    json_decref(json);
    assert_int_equal(get(f, "/api/v1/routes/rest%2"), 404);
    assert_int_equal(get(f, "/api/v1/routes/rest%00v2"), 404);
}

static void unknown_route_names_the_known_ones(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/api/v1/routes/order"), 404);
    assert_code(f, "no_such_route");
    assert_contains(body_of(f), "orders, rest.v2");
    assert_int_equal(get(f, "/api/v1/report?route=order"), 404);
    assert_int_equal(get(f, "/api/v1/history?route=order"), 404);
    assert_int_equal(post(f, "/api/v1/routes/order/pause", ""), 404);
    assert_int_equal(post(f, "/api/v1/report/reset", "{\"route\": \"order\"}"), 404);
}

static void history_is_limited_to_the_newest(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(post(f, "/api/v1/routes/orders/pause", ""), 200);
    assert_int_equal(post(f, "/api/v1/routes/orders/resume", ""), 200);
    assert_int_equal(get(f, "/api/v1/history?route=orders&limit=1"), 200);
    json_t *json = json_of(f), *events = json_object_get(json, "history");
    assert_int_equal(json_array_size(events), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(events, 0), "what")), "resume");
    json_decref(json);
    assert_int_equal(get(f, "/api/v1/history?limit=0"), 400);
    assert_int_equal(get(f, "/api/v1/history?limit=7x"), 400);
    assert_code(f, "bad_query");
}

static void config_is_yaml_that_reads_again(void **state)
{
    struct fixture *f = *state;
    struct config_errors errors = {0};
    assert_int_equal(get(f, "/api/v1/config"), 200);
    assert_contains(f->answer, "Content-Type: application/yaml");
    struct config *again = config_parse("again.yaml", body_of(f), strlen(body_of(f)), &errors);
    assert_non_null(again);
    config_errors_free(&errors);
    config_free(again);
}

static void metrics_are_served_as_text(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/metrics"), 200);
    assert_contains(f->answer, "text/plain; version=0.0.4");
    assert_contains(body_of(f), "shunt_route_share{route=\"rest.v2\"} 0.25\n");
}

/* ---- what comparing found ---- */

/* A pair of answers that differ in $.a, counted. */
static void compare_one(struct fixture *f)
{
    static const char head[] = "Content-Type: application/json\r\n", old[] = "{\"a\":1}", new[] = "{\"a\":2}";
    struct pair *pair = pair_new();
    struct compare *compare = compare_new();
    assert_true(pair != NULL && compare != NULL);
    pair->route = &f->control->config->routes[0];
    pair->wall_ms = 1700000000000;
    snprintf(pair->method, sizeof(pair->method), "GET");
    snprintf(pair->target, sizeof(pair->target), "/orders/17");
    capture_reset(&pair->primary_capture, 65536);
    capture_head(&pair->primary_capture, 200, head, strlen(head));
    capture_body(&pair->primary_capture, old, strlen(old));
    capture_end(&pair->primary_capture, OUTCOME_OK, 1000);
    capture_reset(&pair->shadow_capture, 65536);
    capture_head(&pair->shadow_capture, 200, head, strlen(head));
    capture_body(&pair->shadow_capture, new, strlen(new));
    capture_end(&pair->shadow_capture, OUTCOME_OK, 1000);
    report_add(f->control->report, pair, compare_pair(compare, pair));
    pair_free(pair);
    compare_free(compare);
}

static void report_comes_in_every_form(void **state)
{
    struct fixture *f = *state;
    const struct export_format *format;
    compare_one(f);
    for (unsigned i = 0; (format = export_at(i)) != NULL; i++) {
        char path[96];
        snprintf(path, sizeof(path), "/api/v1/report?route=orders&format=%s", format->name);
        assert_int_equal(get(f, path), 200);
        assert_contains(f->answer, format->media_type);
        bool is_shown = strcmp(format->name, "json") == 0 || strcmp(format->name, "text") == 0;
        snprintf(path, sizeof(path), "filename=\"shunt-report-orders.%s\"", format->extension);
        assert_int_equal(strstr(f->answer, path) != NULL, !is_shown);
    }
    assert_true(format == NULL && export_at(0) != NULL);
}

static void report_is_completed(void **state)
{
    struct fixture *f = *state;
    compare_one(f);
    assert_int_equal(get(f, "/api/v1/report"), 200);
    json_t *json = json_of(f), *route = json_array_get(json_object_get(json, "routes"), 0);
    assert_int_equal(json_integer_value(json_object_get(json, "schema")), 2);
    assert_true(json_integer_value(json_object_get(json, "generated_at_ms")) > 0);
    assert_true(json_is_string(json_object_get(json, "version")));
    assert_true(json_is_array(json_object_get(route, "samples")));
    assert_true(json_is_object(json_object_get(route, "not_mirrored")));
    json_decref(json);
}

static void report_refuses_with_a_remedy(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/api/v1/report?format=pdf"), 400);
    assert_contains(body_of(f), "json");
    assert_contains(body_of(f), "junit");
    assert_code(f, "bad_query");
    assert_int_equal(get(f, "/api/v1/report?samples=-1"), 400);
    assert_int_equal(get(f, "/api/v1/report?samples=1000000"), 400);
    assert_int_equal(get(f, "/api/v1/report?route=orders"), 404);
    assert_code(f, "nothing_compared");
    assert_int_equal(get(f, "/report?route=order"), 404);
    assert_code(f, "no_such_route");
}

static void page_may_load_nothing(void **state)
{
    struct fixture *f = *state;
    compare_one(f);
    assert_int_equal(get(f, "/report"), 200);
    assert_contains(f->answer, "Content-Type: text/html");
    assert_contains(f->answer, "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "
                               "script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'");
    assert_contains(f->answer, "X-Content-Type-Options: nosniff");
    assert_contains(f->answer, "Referrer-Policy: no-referrer");
    assert_null(strstr(f->answer, "Content-Disposition"));
    assert_int_equal(ask(f, "HEAD", "/report", "", ""), 200);
    assert_string_equal(body_of(f), "");
}

static int send_request(struct fixture *f, const char *path)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)admin_port(f->admin)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char text[256];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int length = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, text, (size_t)length, MSG_NOSIGNAL), length);
    return fd;
}

/* The report is under way when its reader has gone: nothing may be left of it, and the next one gets its own. */
static void reader_goes_away(void **state)
{
    struct fixture *f = *state;
    const struct linger reset = {.l_onoff = 1};
    for (int i = 0; i < 50; i++) {
        int fd = send_request(f, "/api/v1/report?format=html");
        event_base_loop(f->control->base, EVLOOP_NONBLOCK);
        if (i % 2 == 0)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(fd);
        assert_int_equal(get(f, "/healthz"), 200);
    }
    int status = 503;
    for (int i = 0; i < 10000 && status == 503; i++)
        status = get(f, "/api/v1/report");
    assert_int_equal(status, 200);
}

static atomic_bool is_held;

/* Holds the keeper's thread until it is let go. */
static void wait_for_gate(void *gate, char *text, size_t len, bool known)
{
    (void)len, (void)known;
    free(text);
    atomic_store(&is_held, true);
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
}

static void hold_keeper(struct fixture *f, pthread_mutex_t *gate)
{
    const struct keeper_job job = {.format = "json", .done = wait_for_gate, .context = gate};
    atomic_store(&is_held, false);
    pthread_mutex_lock(gate);
    assert_true(keeper_submit(f->control->keeper, &job));
    for (int i = 0; i < 20000 && !atomic_load(&is_held); i++)
        poll(NULL, 0, 1);
    assert_true(atomic_load(&is_held)); /* and stands in the queue no more */
}

static void serve_for_a_while(struct fixture *f)
{
    for (int i = 0; i < 500; i++) {
        event_base_loop(f->control->base, EVLOOP_NONBLOCK);
        poll(NULL, 0, 1);
    }
}

enum {
    READERS = 20
};

/* Nothing is made meanwhile: those that find no place are told so at once, and all others get theirs in the end. */
static void a_report_that_would_take_the_last_memory_is_refused(void **state)
{
    struct fixture *f = *state;
    atomic_store(&f->control->memory.limit, 100 * 1024 * 1024);
    atomic_store(&f->control->memory.scarce_from, memory_marks_of(100 * 1024 * 1024).enter[MEMORY_SCARCE]);
    atomic_store(&f->control->memory.used, 91 * 1024 * 1024);
    assert_int_equal(get(f, "/api/v1/report"), 200);
    atomic_store(&f->control->memory.used, 92 * 1024 * 1024);
    assert_int_equal(get(f, "/api/v1/report"), 503);
    assert_code(f, "memory");
    atomic_store(&f->control->memory.limit, 0);
    assert_int_equal(get(f, "/api/v1/report"), 200);
}

static void too_many_reports_are_refused(void **state)
{
    struct fixture *f = *state;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    char answer[16];
    int readers[READERS], busy = 0, good = 0;
    hold_keeper(f, &gate);
    for (int i = 0; i < READERS; i++)
        readers[i] = send_request(f, "/api/v1/report?format=html");
    serve_for_a_while(f);
    for (int i = 0; i < READERS; i++)
        busy += recv(readers[i], answer, 13, MSG_DONTWAIT) == 13 && memcmp(answer, "HTTP/1.1 503 ", 13) == 0;
    assert_int_equal(busy, READERS - 8);
    assert_int_equal(get(f, "/api/v1/report"), 503);
    assert_code(f, "busy");
    pthread_mutex_unlock(&gate);
    for (int tries = 0; tries < 20000 && good + busy < READERS; tries++) {
        event_base_loop(f->control->base, EVLOOP_NONBLOCK);
        for (int i = 0; i < READERS; i++)
            good += recv(readers[i], answer, 13, MSG_DONTWAIT) == 13 && memcmp(answer, "HTTP/1.1 200 ", 13) == 0;
        poll(NULL, 0, 1);
    }
    assert_int_equal(good + busy, READERS);
    for (int i = 0; i < READERS; i++)
        close(readers[i]);
    assert_int_equal(get(f, "/api/v1/report"), 200);
}

/* Shutdown between question and answer: whether made by then or not, they are let go of (the sanitizer looks). */
static void the_end_comes_before_the_answer(void **state)
{
    struct fixture *f = *state;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    int readers[6];
    hold_keeper(f, &gate);
    for (int i = 0; i < 6; i++)
        readers[i] = send_request(f, i % 2 == 0 ? "/api/v1/report?format=html" : "/report");
    serve_for_a_while(f);
    for (int i = 0; i < 3; i++)
        close(readers[i]); /* three are gone as well */
    pthread_mutex_unlock(&gate);
    assert_true(keeper_stop(f->control->keeper, 60000));
    f->control->keeper = NULL;
    admin_stop(f->admin);
    f->admin = NULL;
    for (int i = 3; i < 6; i++)
        close(readers[i]);
}

static void verdict_is_one_sentence(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/api/v1/verdict?route=orders&limit=0.01"), 200);
    json_t *json = json_of(f);
    assert_string_equal(json_string_value(json_object_get(json, "result")), "undecided");
    assert_int_equal(json_integer_value(json_object_get(json, "compared")), 0);
    json_decref(json);
    for (int i = 0; i < 20; i++)
        compare_one(f);
    assert_int_equal(get(f, "/api/v1/verdict?route=orders&limit=0.01&confidence=0.95"), 200);
    json = json_of(f);
    assert_string_equal(json_string_value(json_object_get(json, "result")), "fail");
    assert_int_equal(json_integer_value(json_object_get(json, "compared")), 20);
    assert_int_equal(json_integer_value(json_object_get(json, "differing")), 20);
    assert_true(json_number_value(json_object_get(json, "at_least")) > 0.01);
    assert_true(json_number_value(json_object_get(json, "confidence")) == 0.95);
    assert_contains(json_string_value(json_object_get(json, "sentence")), "orders: ");
    json_decref(json);
    assert_int_equal(get(f, "/api/v1/verdict?route=order"), 404);
    assert_int_equal(get(f, "/api/v1/verdict"), 400);
    assert_int_equal(get(f, "/api/v1/verdict?route=orders&limit=2"), 400);
    assert_int_equal(get(f, "/api/v1/verdict?route=orders&confidence=nan"), 400);
}

static void forgetting_is_signed(void **state)
{
    struct fixture *f = *state;
    compare_one(f);
    assert_int_equal(
        post(f, "/api/v1/report/reset", "{\"route\": \"orders\", \"who\": \"ann\", \"reason\": \"fixed\"}"), 200);
    assert_string_equal(f->control->last_who, "operator:ann");
    assert_string_equal(f->control->last_reason, "fixed");
    struct comparison_totals totals;
    report_totals(f->control->report, "orders", &totals);
    assert_int_equal(totals.compared, 0);
    f->control->cannot_save = true;
    assert_int_equal(post(f, "/api/v1/report/reset", ""), 500);
    assert_code(f, "not_saved");
}

/* ---- verbs ---- */

static void verb_answers_with_the_route_afterwards(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(post(f, "/api/v1/routes/orders/pause", "{\"who\": \"ada\", \"reason\": \"lunch\"}"), 200);
    json_t *json = json_of(f);
    assert_string_equal(json_string_value(json_object_get(json, "phase")), "paused");
    json_decref(json);
    assert_string_equal(f->control->last_who, "operator:ada");
    assert_string_equal(f->control->last_reason, "lunch");
}

static void nobody_signs_as_the_plan(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(post(f, "/api/v1/routes/orders/pause", "{\"who\": \"plan\"}"), 200);
    assert_string_equal(f->control->last_who, "operator:plan");
    assert_int_equal(post(f, "/api/v1/routes/orders/resume", "{\"who\": \"operator:ada\"}"), 200);
    assert_string_equal(f->control->last_who, "operator:ada");
    assert_int_equal(post(f, "/api/v1/routes/orders/pause", "{\"who\": \"a\\nb\"}"), 400);
}

static void impossible_verb_is_409_with_why(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(post(f, "/api/v1/routes/orders/resume", ""), 409);
    assert_code(f, "already_so");
    assert_int_equal(post(f, "/api/v1/routes/rest%2Ev2/promote", ""), 409);
    assert_code(f, "not_possible_now");
}

static void undecided_gate_stops_promote_and_says_which(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(post(f, "/api/v1/routes/orders/promote", ""), 409);
    assert_code(f, "gate_undecided");
    assert_contains(body_of(f), "gate min_requests: undecided");
    assert_contains(body_of(f), "\"verdict\": \"undecided\"");
    assert_int_equal(post(f, "/api/v1/routes/orders/promote", "{\"force\": true}"), 200);
    json_t *json = json_of(f);
    assert_int_equal(json_integer_value(json_object_get(json, "stage_index")), 1);
    json_decref(json);
}

static void percent_takes_two_decimals_only(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"{\"percent\": 12.345}", "{\"percent\": -1}",     "{\"percent\": 100.01}",
                                      "{\"percent\": 1e400}",  "{\"percent\": \"12\"}", "{}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(post(f, "/api/v1/routes/orders/set-percent", bad[i]), 400);
    assert_int_equal(post(f, "/api/v1/routes/orders/set-percent", "{\"percent\": 12.34}"), 200);
    json_t *json = json_of(f);
    assert_float_equal(json_number_value(json_object_get(json, "percent")), 12.34, 1e-9);
    json_decref(json);
}

static void passthrough_off_says_who_holds_it_on(void **state)
{
    struct fixture *f = *state;
    router_passthrough(f->control->router, PASSTHROUGH_FILE, true, "file", NULL, 0);
    assert_int_equal(post(f, "/api/v1/passthrough", "{\"on\": true}"), 200);
    assert_int_equal(post(f, "/api/v1/passthrough", "{\"on\": false}"), 200);
    json_t *json = json_of(f);
    assert_true(json_is_true(json_object_get(json, "passthrough")));
    json_t *sources = json_object_get(json, "passthrough_sources");
    assert_int_equal(json_array_size(sources), 1);
    assert_string_equal(json_string_value(json_array_get(sources, 0)), "file");
    json_decref(json);
    f->control->cannot_save = true;
    assert_int_equal(post(f, "/api/v1/passthrough", "{\"on\": true}"), 500);
    assert_code(f, "not_saved");
}

/* ---- a fleet ---- */

static void a_shunt_alone_has_no_fleet(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/api/v1/fleet"), 404);
    assert_code(f, "no_fleet");
}

static json_t *replica_of(const json_t *fleet, size_t i)
{
    return json_array_get(json_object_get(fleet, "replicas"), i);
}

static json_int_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* Views come from other replicas, of whatever version: one that is no JSON takes nothing away from the others. */
static void what_redis_tells_of_a_fleet_is_shown(void **state)
{
    struct fixture *f = *state;
    json_t *document = json_loads(
        "{\"now\": 1000000, \"epoch\": 9, \"term\": 2, \"leader\": \"a/1\","
        " \"replicas\": {\"a/1\": {\"seen\": 999900, \"view\": \"{\\\"name\\\": \\\"a\\\", \\\"epoch\\\": 7}\"},"
        "                \"b/2\": {\"seen\": 999000, \"view\": \"garbage\"}},"
        " \"open\": {\"orders\": {\"b/2\": \"12 errors in a row\"}}, \"log\": [\"{\\\"what\\\": \\\"promote\\\"}\", "
        "\"x\"]}",
        0, NULL);
    assert_non_null(document);
    struct control_fleet fleet = {.facts = {.group = "shop", .epoch = 7}, .document = document};
    f->control->fleet = &fleet;
    assert_int_equal(get(f, "/api/v1/fleet"), 200);
    json_t *json = json_of(f);
    assert_string_equal(json_string_value(json_object_get(json, "group")), "shop");
    assert_int_equal(number_of(json, "epoch"), 9); /* Redis knows better */
    assert_int_equal(json_array_size(json_object_get(json, "replicas")), 2);
    const json_t *a = replica_of(json, 0), *b = replica_of(json, 1);
    assert_string_equal(json_string_value(json_object_get(a, "name")), "a");
    assert_int_equal(number_of(a, "seen_ms_ago"), 100);
    assert_int_equal(number_of(a, "epochs_behind"), 2);
    assert_int_equal(json_array_size(json_object_get(a, "open")), 0);
    assert_string_equal(json_string_value(json_object_get(b, "replica")), "b/2");
    assert_string_equal(json_string_value(json_array_get(json_object_get(b, "open"), 0)), "orders");
    assert_int_equal(json_array_size(json_object_get(json, "log")), 1);
    json_decref(json);
    json_decref(document);
    f->control->fleet = NULL;
}

static void without_redis_a_fleet_is_what_this_replica_knows(void **state)
{
    struct fixture *f = *state;
    struct control_fleet fleet = {.facts = {.group = "shop", .epoch = 7}};
    f->control->fleet = &fleet;
    assert_int_equal(get(f, "/api/v1/fleet"), 200);
    json_t *json = json_of(f);
    assert_int_equal(number_of(json, "epoch"), 7);
    assert_null(json_object_get(json, "replicas"));
    json_decref(json);
    f->control->fleet = NULL;
}

static void passthrough_is_the_fleets_unless_it_is_local(void **state)
{
    struct fixture *f = *state;
    struct control_fleet fleet = {.facts = {.group = "shop"}};
    f->control->fleet = &fleet;
    assert_int_equal(post(f, "/api/v1/passthrough", "{\"on\": true}"), 200);
    assert_int_equal(fleet.asked, 1);
    assert_int_equal(post(f, "/api/v1/passthrough", "{\"on\": true, \"local\": true}"), 200);
    assert_int_equal(fleet.asked, 1);
    fleet.error = -ENOLINK;
    assert_int_equal(post(f, "/api/v1/passthrough", "{\"on\": true}"), 202); /* it holds here, and will be told */
    json_t *json = json_of(f);
    assert_true(json_is_true(json_object_get(json, "pending")));
    json_decref(json);
    fleet.at_once = true;
    assert_int_equal(post(f, "/api/v1/passthrough", "{\"on\": false}"), 503);
    assert_code(f, "no_redis");
    assert_non_null(strstr(f->answer, "Redis is away"));
    fleet.error = -ECANCELED;
    fleet.at_once = false;
    assert_int_equal(post(f, "/api/v1/passthrough", "{\"on\": false}"), 409);
    assert_code(f, "conflict");
    fleet.error = -ETIMEDOUT;
    assert_int_equal(post(f, "/api/v1/passthrough", "{\"on\": false}"), 504);
    assert_code(f, "no_answer");
    f->control->fleet = NULL;
}

static void bad_reload_lists_the_faults(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(post(f, "/api/v1/reload", ""), 200);
    f->control->reload_fault = "test.yaml:3:1: percnt: unknown key; did you mean percent?";
    assert_int_equal(post(f, "/api/v1/reload", ""), 422);
    assert_code(f, "bad_config");
    assert_contains(body_of(f), "test.yaml:3:1");
}

/* ---- bodies ---- */

static void bad_json_is_400_with_the_place(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(post(f, "/api/v1/passthrough", "{\"on\": tru}"), 400);
    assert_code(f, "bad_body");
    assert_contains(body_of(f), "line 1, column");
    assert_int_equal(post(f, "/api/v1/passthrough", "[]"), 400);
    assert_int_equal(post(f, "/api/v1/passthrough", "{\"on\": true} x"), 400);
    assert_int_equal(post(f, "/api/v1/passthrough", "{\"on\": true, \"on\": false}"), 400);
    assert_int_equal(post(f, "/api/v1/passthrough", ""), 400);
}

static void misspelt_member_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(post(f, "/api/v1/routes/orders/promote", "{\"forced\": true}"), 400);
    assert_contains(body_of(f), "forced");
    assert_contains(body_of(f), "force, who, reason");
    assert_int_equal(post(f, "/api/v1/passthrough", "{\"on\": \"yes\"}"), 400);
}

static void large_body_is_413(void **state)
{
    struct fixture *f = *state;
    size_t length = 65 * 1024;
    char *body = malloc(length + 1);
    assert_non_null(body);
    memset(body, ' ', length);
    body[length] = '\0';
    assert_int_equal(post(f, "/api/v1/passthrough", body), 413);
    assert_code(f, "body_too_large");
    free(body);
}

/* More than evhttp takes: the answer is its own, and arrives although the client sends all before it reads. */
static void huge_body_is_413_after_it_was_sent(void **state)
{
    struct fixture *f = *state;
    size_t length = 4 * 1024 * 1024;
    char *body = malloc(length + 1);
    assert_non_null(body);
    memset(body, 'x', length);
    body[length] = '\0';
    assert_int_equal(post(f, "/api/v1/passthrough", body), 413);
    free(body);
}

static void long_head_is_refused(void **state)
{
    struct fixture *f = *state;
    char *fields = malloc(32 * 1024);
    assert_non_null(fields);
    strcpy(fields, "X-Long: ");
    memset(fields + 8, 'a', 20 * 1024);
    strcpy(fields + 8 + 20 * 1024, "\r\n");
    assert_int_equal(ask(f, "GET", "/healthz", fields, ""), 400);
    free(fields);
}

/* ---- explain ---- */

static void explain_tells_route_side_and_why(void **state)
{
    struct fixture *f = *state;
    static const char body[] =
        "{\"method\": \"GET\", \"path\": \"/orders/7?x=1\", \"headers\": [[\"X-User-Id\", \" 42 \"]]}";
    assert_int_equal(post(f, "/api/v1/explain", body), 200);
    json_t *json = json_of(f);
    assert_string_equal(json_string_value(json_object_get(json, "route")), "orders");
    assert_string_equal(json_string_value(json_object_get(json, "sticky")), "header:x-user-id");
    assert_float_equal(json_number_value(json_object_get(json, "share_percent")), 10.0, 1e-9);
    assert_true(json_string_length(json_object_get(json, "sentence")) > 10);
    json_int_t cohort = json_integer_value(json_object_get(json, "cohort"));
    assert_string_equal(json_string_value(json_object_get(json, "side")), cohort < 1000 ? "new" : "legacy");
    json_decref(json);
    assert_int_equal(post(f, "/api/v1/explain", "{\"path\": \"/orders/7\", \"headers\": {\"x-user-id\": \"42\"}}"),
                     200);
    json = json_of(f);
    assert_int_equal(json_integer_value(json_object_get(json, "cohort")), cohort); /* same key, same cohort */
    json_decref(json);
}

static void explain_without_a_route_goes_to_legacy(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(post(f, "/api/v1/explain", "{\"path\": \"/elsewhere\", \"client\": \"2001:db8::7\"}"), 200);
    json_t *json = json_of(f);
    assert_true(json_is_null(json_object_get(json, "route")));
    assert_string_equal(json_string_value(json_object_get(json, "side")), "legacy");
    json_decref(json);
}

static void explain_refuses_what_is_no_request(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(post(f, "/api/v1/explain", "{\"path\": \"orders\"}"), 400);
    assert_int_equal(post(f, "/api/v1/explain", "{\"path\": \"/\", \"client\": \"somewhere\"}"), 400);
    assert_int_equal(post(f, "/api/v1/explain", "{\"path\": \"/\", \"headers\": [[\"a\"]]}"), 400);
    assert_int_equal(post(f, "/api/v1/explain", "{\"path\": \"/\", \"headers\": {\"a\": 1}}"), 400);
    assert_int_equal(post(f, "/api/v1/explain", "{}"), 400);
}

/* ---- the door ---- */

static void token_is_asked_for_where_there_is_one(void **state)
{
    struct fixture *f = *state;
    require_token(f);
    assert_int_equal(get(f, "/healthz"), 200);
    assert_int_equal(get(f, "/readyz"), 200);
    assert_int_equal(get(f, "/metrics"), 200);
    assert_int_equal(get(f, "/api/v1/status"), 401);
    assert_contains(f->answer, "WWW-Authenticate: Bearer");
    assert_code(f, "unauthorized");
    assert_int_equal(get(f, "/no/such/path"), 401); /* strangers learn nothing */
    assert_int_equal(ask(f, "GET", "/api/v1/status", "Authorization: Bearer s3cret-token\r\n", ""), 200);
    assert_int_equal(ask(f, "GET", "/api/v1/status", "Authorization: bearer  s3cret-token\r\n", ""), 200);
    static const char *const wrong[] = {
        "Authorization: Bearer s3cret-toke\r\n",  "Authorization: Bearer s3cret-tokenn\r\n",
        "Authorization: Bearer S3cret-token\r\n", "Authorization: Bearer \r\n",
        "Authorization: Basic s3cret-token\r\n",  "Authorization: Bearer s3cret-tokens3cret-token\r\n"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(ask(f, "GET", "/api/v1/status", wrong[i], ""), 401);
}

static void rebound_name_is_refused_without_a_token(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, "GET", "/api/v1/status", "Host: attacker.example:9901\r\n", ""), 403);
    assert_code(f, "host_refused");
    assert_int_equal(ask(f, "POST", "/api/v1/passthrough", "Host: attacker.example\r\n", "{\"on\": true}"), 403);
    assert_false(router_passthrough_is_on(f->control->router));
    assert_int_equal(ask(f, "GET", "/healthz", "Host: pod.example\r\n", ""), 200);
    static const char *const fine[] = {"Host: localhost:9901\r\n", "Host: [::1]:9901\r\n", "Host: 10.0.0.7\r\n"};
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        assert_int_equal(ask(f, "GET", "/api/v1/status", fine[i], ""), 200);
    require_token(f); /* with it, any name does: the secret is what protects */
    assert_int_equal(
        ask(f, "GET", "/api/v1/status", "Host: shunt.internal:9901\r\nAuthorization: Bearer s3cret-token\r\n", ""),
        200);
}

static void page_of_another_origin_changes_nothing(void **state)
{
    struct fixture *f = *state;
    static const char *const foreign[] = {"Origin: https://attacker.example\r\n", "Origin: null\r\n",
                                          "Origin: http://127.0.0.1:8000\r\n", "Sec-Fetch-Site: cross-site\r\n"};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        assert_int_equal(ask(f, "POST", "/api/v1/passthrough", foreign[i], "{\"on\": true}"), 403);
        assert_code(f, "origin_refused");
    }
    assert_false(router_passthrough_is_on(f->control->router));
    assert_int_equal(ask(f, "POST", "/api/v1/passthrough", "Origin: http://127.0.0.1:9901\r\n", "{\"on\": true}"), 200);
}

/* ---- memory ---- */

static size_t allocations_left; /* of jansson; the next one fails at 0 */

static void *failing_malloc(size_t size)
{
    return allocations_left > 0 && allocations_left-- > 0 ? malloc(size) : NULL;
}

/* Asks again and again, with one more allocation allowed each time, until it is answered as it should be. */
static void assert_copes(struct fixture *f, const char *method, const char *path, const char *body)
{
    for (size_t allowed = 0;; allowed++) {
        allocations_left = allowed;
        json_set_alloc_funcs(failing_malloc, free);
        int status = ask(f, method, path, "", body);
        json_set_alloc_funcs(malloc, free);
        if (status == 200 && allocations_left > 0)
            break;
        if (status != 200 && status != 500 && status != 404 && status != 400)
            fail_msg("%s %s with %zu allocations: %d", method, path, allowed, status);
        assert_true(allowed < 5000);
    }
}

static void memory_that_runs_out_is_survived(void **state)
{
    struct fixture *f = *state;
    static const char *const views[] = {
        "/api/v1/status", "/api/v1/routes", "/api/v1/routes/orders",       "/api/v1/history", "/api/v1/audit",
        "/api/v1/report", "/report",        "/api/v1/verdict?route=orders"};
    for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
        assert_copes(f, "GET", views[i], "");
    assert_copes(f, "POST", "/api/v1/explain", "{\"path\": \"/orders/1\", \"headers\": [[\"X-User-Id\", \"7\"]]}");
    assert_copes(f, "POST", "/api/v1/passthrough", "{\"on\": true}");
    assert_copes(f, "POST", "/api/v1/reload", "");
}

/* ---- starting ---- */

static void beyond_loopback_a_token_is_required(void **state)
{
    struct fixture *f = *state;
    struct config_admin config = {.address = {.text = "0.0.0.0:0", .host = "0.0.0.0"}, .enabled = true};
    char *error = NULL;
    assert_null(admin_start(f->control, &config, &error));
    assert_contains(error, "token_file");
    free(error);
    config.token = "s3cret-token";
    struct admin *admin = admin_start(f->control, &config, &error);
    assert_non_null(admin);
    admin_stop(f->admin);
    f->admin = admin;
    /* the file in use has no token (any more): beyond loopback the one from the start stays in force */
    assert_int_equal(get(f, "/api/v1/status"), 401);
}

static void taken_port_is_told(void **state)
{
    struct fixture *f = *state;
    struct config_admin config = {.address = {.text = "127.0.0.1:taken", .host = "127.0.0.1"}, .enabled = true};
    char *error = NULL;
    config.address.port = (uint16_t)admin_port(f->admin);
    assert_null(admin_start(f->control, &config, &error));
    assert_contains(error, "127.0.0.1:taken: cannot listen: Address already in use");
    free(error);
    config.address = (struct config_address){.text = "unix:/run/x", .unix_path = "/run/x"};
    assert_null(admin_start(f->control, &config, &error));
    assert_contains(error, "unix:/run/x");
    free(error);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(health_is_live_while_loops_turn),
        TEST(draining_begins_and_is_taken_back),
        TEST(readiness_says_why_not),
        TEST(index_lists_the_endpoints),
        TEST(unknown_path_is_404_with_a_hint),
        TEST(wrong_method_is_405_with_allow),
        TEST(head_has_the_length_and_no_body),
        TEST(get_changes_nothing),
        TEST(status_has_process_and_routes),
        TEST(route_is_found_by_its_encoded_name),
        TEST(unknown_route_names_the_known_ones),
        TEST(history_is_limited_to_the_newest),
        TEST(config_is_yaml_that_reads_again),
        TEST(metrics_are_served_as_text),
        TEST(report_comes_in_every_form),
        TEST(report_is_completed),
        TEST(report_refuses_with_a_remedy),
        TEST(page_may_load_nothing),
        TEST(reader_goes_away),
        TEST(a_report_that_would_take_the_last_memory_is_refused),
        TEST(too_many_reports_are_refused),
        TEST(the_end_comes_before_the_answer),
        TEST(verdict_is_one_sentence),
        TEST(forgetting_is_signed),
        TEST(verb_answers_with_the_route_afterwards),
        TEST(nobody_signs_as_the_plan),
        TEST(impossible_verb_is_409_with_why),
        TEST(undecided_gate_stops_promote_and_says_which),
        TEST(percent_takes_two_decimals_only),
        TEST(passthrough_off_says_who_holds_it_on),
        TEST(a_shunt_alone_has_no_fleet),
        TEST(what_redis_tells_of_a_fleet_is_shown),
        TEST(without_redis_a_fleet_is_what_this_replica_knows),
        TEST(passthrough_is_the_fleets_unless_it_is_local),
        TEST(bad_reload_lists_the_faults),
        TEST(bad_json_is_400_with_the_place),
        TEST(misspelt_member_is_refused),
        TEST(large_body_is_413),
        TEST(huge_body_is_413_after_it_was_sent),
        TEST(long_head_is_refused),
        TEST(explain_tells_route_side_and_why),
        TEST(explain_without_a_route_goes_to_legacy),
        TEST(explain_refuses_what_is_no_request),
        TEST(token_is_asked_for_where_there_is_one),
        TEST(rebound_name_is_refused_without_a_token),
        TEST(page_of_another_origin_changes_nothing),
        TEST(memory_that_runs_out_is_survived),
        TEST(beyond_loopback_a_token_is_required),
        TEST(taken_port_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
