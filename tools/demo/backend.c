/*
 * A demo backend: the orders service, in its legacy or its new version.
 *
 * Both versions make the same orders out of an order's number. The new one has three flaws of the kind a migration
 * meets, so that there is something to find: it rounds some totals differently, it forgets the currency of some orders,
 * and, as both do, it stamps every answer with the time. It can be told to fail or to be slow: POST
 * /_demo/errors?rate=PERCENT and POST /_demo/latency?ms=N. One thread, libevent's own HTTP server; prints its port when
 * it listens. For the quickstart only.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>

struct backend {
    struct event_base *base;
    const char *version;
    bool is_new;
    unsigned error_percent;
    unsigned latency_ms;
    uint64_t answered;
};

/* An answer that waits for the configured latency. */
struct delayed {
    struct backend *backend;
    struct evhttp_request *request;
    struct event *timer;
    json_t *body; /* owned */
    int status;
};

/* The same number gives the same order in both versions and in every run. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static const char *reason_of(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    default:
        return "Internal Server Error";
    }
}

static char *time_now(char *text, size_t room)
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    size_t len = gmtime_r(&now.tv_sec, &parts) == NULL ? 0 : strftime(text, room, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + len, room - len, ".%06ldZ", now.tv_nsec / 1000);
    return text;
}

static json_t *order_line(uint64_t seed, double *sum)
{
    static const char *const goods[] = {"lamp", "chair", "kettle", "notebook", "bicycle bell", "umbrella"};
    uint64_t quantity = 1 + seed % 4;
    double price = (double)(seed % 9000 + 99) / 100;
    *sum += price * (double)quantity;
    return json_pack("{s:s, s:I, s:f}", "sku", goods[seed % (sizeof(goods) / sizeof(goods[0]))], "quantity",
                     (json_int_t)quantity, "price", price);
}

static json_t *order_make(const struct backend *backend, uint64_t id)
{
    static const char *const states[] = {"placed", "paid", "shipped", "delivered"};
    char stamp[64];
    double sum = 0;
    uint64_t seed = mix(id);
    json_t *items = json_array();
    for (uint64_t i = 0; items != NULL && i <= seed % 3; i++)
        json_array_append_new(items, order_line(mix(seed + i), &sum));
    double total = round(sum * 1.19 * 100) / 100;
    if (backend->is_new && id % 7 == 0)
        total += 0.01;
    json_t *order = json_pack("{s:I, s:s, s:I, s:o, s:f, s:s, s:s}", "id", (json_int_t)id, "state", states[seed % 4],
                              "customer", (json_int_t)(seed % 5000), "items", items, "total", total, "currency", "EUR",
                              "updated_at", time_now(stamp, sizeof(stamp)));
    if (backend->is_new && id % 10 == 3)
        json_object_del(order, "currency");
    return order;
}

static void answer_send(struct backend *backend, struct evhttp_request *request, int status, json_t *body)
{
    struct evkeyvalq *fields = evhttp_request_get_output_headers(request);
    struct evbuffer *buffer = evbuffer_new();
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(10));
    char length[32];
    json_decref(body);
    snprintf(length, sizeof(length), "%zu", text == NULL ? 0 : strlen(text));
    if (buffer == NULL || (text != NULL && evbuffer_add(buffer, text, strlen(text)) < 0) ||
        evhttp_add_header(fields, "Content-Type", "application/json") < 0 ||
        evhttp_add_header(fields, "Content-Length", length) < 0 ||
        evhttp_add_header(fields, "X-Demo-Version", backend->version) < 0) {
        fprintf(stderr, "demo backend: out of memory\n");
        exit(1);
    }
    evhttp_send_reply(request, status, reason_of(status), buffer);
    evbuffer_free(buffer);
    free(text);
    backend->answered++;
}

static void on_latency_over(evutil_socket_t fd, short events, void *context)
{
    struct delayed *delayed = context;
    (void)fd;
    (void)events;
    answer_send(delayed->backend, delayed->request, delayed->status, delayed->body);
    event_free(delayed->timer);
    free(delayed);
}

/* Takes ownership of body. */
static void answer(struct backend *backend, struct evhttp_request *request, int status, json_t *body)
{
    if (backend->error_percent > 0 && mix(backend->answered) % 100 < backend->error_percent) {
        json_decref(body);
        body = json_pack("{s:s}", "error", "the demo was told to fail");
        status = 500;
    }
    if (backend->latency_ms == 0) {
        answer_send(backend, request, status, body);
        return;
    }
    struct timeval wait = {.tv_sec = backend->latency_ms / 1000, .tv_usec = backend->latency_ms % 1000 * 1000};
    struct delayed *delayed = malloc(sizeof(*delayed));
    if (delayed == NULL) {
        answer_send(backend, request, status, body);
        return;
    }
    *delayed = (struct delayed){.backend = backend, .request = request, .body = body, .status = status};
    delayed->timer = evtimer_new(backend->base, on_latency_over, delayed);
    if (delayed->timer == NULL || evtimer_add(delayed->timer, &wait) < 0) {
        fprintf(stderr, "demo backend: no timer\n");
        exit(1);
    }
}

/* An unsigned number out of the query, or `fallback`. */
static unsigned query_number(struct evhttp_request *request, const char *key, unsigned fallback)
{
    struct evkeyvalq query;
    unsigned number = fallback;
    const char *text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
    if (text == NULL || evhttp_parse_query_str(text, &query) < 0)
        return fallback;
    const char *value = evhttp_find_header(&query, key);
    if (value != NULL)
        number = (unsigned)strtoul(value, NULL, 10);
    evhttp_clear_headers(&query);
    return number;
}

static void serve_order(struct backend *backend, struct evhttp_request *request, const char *id)
{
    char *end = NULL;
    uint64_t number = strtoull(id, &end, 10);
    if (end == id || *end != '\0')
        answer(backend, request, 404, json_pack("{s:s}", "error", "no such order"));
    else
        answer(backend, request, 200, order_make(backend, number));
}

static void serve_orders(struct backend *backend, struct evhttp_request *request, const char *rest)
{
    (void)rest;
    unsigned limit = query_number(request, "limit", 3);
    json_t *orders = json_array();
    for (unsigned id = 1; orders != NULL && id <= limit && id <= 100; id++)
        json_array_append_new(orders, order_make(backend, id));
    answer(backend, request, 200, json_pack("{s:o}", "orders", orders));
}

/* Echoes what was ordered, with a number made from it: two backends give the same one. */
static void serve_new_order(struct backend *backend, struct evhttp_request *request, const char *rest)
{
    (void)rest;
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    size_t len = evbuffer_get_length(input);
    const unsigned char *bytes = evbuffer_pullup(input, -1);
    uint64_t id = len;
    for (size_t i = 0; bytes != NULL && i < len; i++)
        id = mix(id ^ bytes[i]);
    json_t *asked = json_loadb(bytes == NULL ? "" : (const char *)bytes, len, 0, NULL);
    answer(backend, request, 201,
           json_pack("{s:I, s:s, s:o*}", "id", (json_int_t)(id % 1000000), "state", "placed", "asked", asked));
}

static void serve_health(struct backend *backend, struct evhttp_request *request, const char *rest)
{
    (void)rest;
    answer_send(backend, request, 200, json_pack("{s:s, s:s}", "status", "ok", "version", backend->version));
}

static void serve_demo_errors(struct backend *backend, struct evhttp_request *request, const char *rest)
{
    (void)rest;
    backend->error_percent = query_number(request, "rate", 0);
    answer_send(backend, request, 200, json_pack("{s:i}", "error_percent", (int)backend->error_percent));
}

static void serve_demo_latency(struct backend *backend, struct evhttp_request *request, const char *rest)
{
    (void)rest;
    backend->latency_ms = query_number(request, "ms", 0);
    answer_send(backend, request, 200, json_pack("{s:i}", "latency_ms", (int)backend->latency_ms));
}

static const struct endpoint {
    int methods;
    const char *path;
    bool is_prefix;
    void (*serve)(struct backend *backend, struct evhttp_request *request, const char *rest);
} endpoints[] = {
    {EVHTTP_REQ_GET | EVHTTP_REQ_HEAD, "/orders/", true, serve_order},
    {EVHTTP_REQ_GET | EVHTTP_REQ_HEAD, "/orders", false, serve_orders},
    {EVHTTP_REQ_POST, "/orders", false, serve_new_order},
    {EVHTTP_REQ_GET | EVHTTP_REQ_HEAD, "/health", false, serve_health},
    {EVHTTP_REQ_POST, "/_demo/errors", false, serve_demo_errors},
    {EVHTTP_REQ_POST, "/_demo/latency", false, serve_demo_latency},
};

static void on_request(struct evhttp_request *request, void *context)
{
    struct backend *backend = context;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    int status = 404;
    for (size_t i = 0; path != NULL && i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        const struct endpoint *endpoint = &endpoints[i];
        size_t len = strlen(endpoint->path);
        if (strncmp(path, endpoint->path, len) != 0 || (!endpoint->is_prefix && path[len] != '\0'))
            continue;
        if ((endpoint->methods & (int)evhttp_request_get_command(request)) != 0) {
            endpoint->serve(backend, request, path + len);
            return;
        }
        status = 405;
    }
    answer(backend, request, status, json_pack("{s:s}", "error", reason_of(status)));
}

static void on_signal(evutil_socket_t number, short events, void *context)
{
    (void)number;
    (void)events;
    event_base_loopbreak(context);
}

static int listen_and_serve(struct backend *backend, uint16_t port)
{
    int code = 1;
    struct event *term = NULL;
    struct event *interrupt = NULL;
    struct evhttp *http = NULL;
    backend->base = event_base_new();
    if (backend->base == NULL || (http = evhttp_new(backend->base)) == NULL)
        goto out;
    term = evsignal_new(backend->base, SIGTERM, on_signal, backend->base);
    interrupt = evsignal_new(backend->base, SIGINT, on_signal, backend->base);
    if (term == NULL || interrupt == NULL || event_add(term, NULL) < 0 || event_add(interrupt, NULL) < 0)
        goto out;
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(http, "127.0.0.1", port);
    if (bound == NULL) {
        fprintf(stderr, "demo backend: cannot listen on 127.0.0.1:%u: %s\n", port, strerror(errno));
        goto out;
    }
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    if (getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len) < 0)
        goto out;
    evhttp_set_gencb(http, on_request, backend);
    printf("%u\n", ntohs(address.sin_port));
    if (fflush(stdout) != 0)
        goto out;
    code = event_base_dispatch(backend->base) < 0;
out:
    if (term != NULL)
        event_free(term);
    if (interrupt != NULL)
        event_free(interrupt);
    if (http != NULL)
        evhttp_free(http);
    if (backend->base != NULL)
        event_base_free(backend->base);
    return code;
}

int main(int argc, char **argv)
{
    struct backend backend = {.version = "legacy"};
    unsigned long port = 0;
    bool wrong = argc % 2 == 0;
    for (int i = 1; i + 1 < argc && !wrong; i += 2) {
        if (strcmp(argv[i], "--port") == 0)
            port = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--version") == 0)
            backend.version = argv[i + 1];
        else
            wrong = true;
    }
    backend.is_new = strcmp(backend.version, "new") == 0;
    if (wrong || port > 65535 || (!backend.is_new && strcmp(backend.version, "legacy") != 0)) {
        fprintf(stderr, "usage: %s [--port PORT] [--version legacy|new]\n", argv[0]);
        return 2;
    }
    return listen_and_serve(&backend, (uint16_t)port);
}
