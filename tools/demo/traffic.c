/*
 * Demo traffic: users who look at orders and place some, at a steady rate over kept connections.
 *
 * Each user is a number sent as X-User-Id, and always looks at the same few orders. It ends after --seconds, or on
 * SIGTERM or SIGINT, and prints one JSON line: requests, how many each backend answered (by X-Demo-Version), failures,
 * and how many users were seen moving from the new backend back to legacy. One thread, libevent's HTTP client. For the
 * quickstart only.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <jansson.h>

enum {
    USERS_MAX = 100000,
    ORDERS_PER_USER = 4
};

struct traffic {
    struct event_base *base;
    const char *host;
    uint16_t port;
    unsigned rate; /* requests per second, of all connections */
    unsigned connections;
    unsigned users;
    unsigned seconds; /* 0: until a signal */
    unsigned writes_percent;
    uint64_t random;
    uint64_t requests;
    uint64_t legacy;
    uint64_t new;
    uint64_t failures; /* no answer, or 5xx */
    uint64_t moved_back;
    uint8_t on_new[USERS_MAX]; /* the last backend a user's read was answered by */
};

struct caller {
    struct traffic *traffic;
    struct evhttp_connection *connection;
    struct event *next;
    unsigned first_user; /* a connection's users are this one and every connections-th after it: a user has one
                            connection, */
    unsigned user;       /* so that the order in which their answers come is the order of their requests */
    bool reads;
    bool waits; /* for an answer: nobody asks again before it is there */
};

static uint64_t random_next(struct traffic *traffic)
{
    traffic->random ^= traffic->random << 13;
    traffic->random ^= traffic->random >> 7;
    traffic->random ^= traffic->random << 17;
    return traffic->random;
}

static void caller_wait(struct caller *caller)
{
    const struct traffic *traffic = caller->traffic;
    uint64_t pause_us = UINT64_C(1000000) * traffic->connections / traffic->rate;
    struct timeval pause = {.tv_sec = (time_t)(pause_us / 1000000), .tv_usec = (suseconds_t)(pause_us % 1000000)};
    if (event_add(caller->next, &pause) < 0) {
        fprintf(stderr, "demo traffic: no timer\n");
        exit(1);
    }
}

static void count_side(struct caller *caller, bool is_new)
{
    struct traffic *traffic = caller->traffic;
    traffic->new += is_new;
    traffic->legacy += !is_new;
    if (!caller->reads)
        return;
    traffic->moved_back += traffic->on_new[caller->user] != 0 && !is_new;
    traffic->on_new[caller->user] = is_new;
}

static void caller_failed(struct caller *caller)
{
    caller->waits = false;
    caller->traffic->failures++;
}

static void on_answer(struct evhttp_request *request, void *context)
{
    struct caller *caller = context;
    struct traffic *traffic = caller->traffic;
    int status = request == NULL ? 0 : evhttp_request_get_response_code(request);
    caller->waits = false;
    traffic->requests++;
    if (status == 0 || status >= 500)
        traffic->failures++;
    const char *version =
        request == NULL ? NULL : evhttp_find_header(evhttp_request_get_input_headers(request), "X-Demo-Version");
    if (version != NULL)
        count_side(caller, strcmp(version, "new") == 0);
}

static struct evhttp_request *request_make(struct caller *caller, char *path, size_t room)
{
    struct traffic *traffic = caller->traffic;
    char text[64];
    struct evhttp_request *request = evhttp_request_new(on_answer, caller);
    if (request == NULL)
        return NULL;
    struct evkeyvalq *fields = evhttp_request_get_output_headers(request);
    snprintf(text, sizeof(text), "u%u", caller->user);
    bool made =
        evhttp_add_header(fields, "Host", "orders.example") == 0 && evhttp_add_header(fields, "X-User-Id", text) == 0;
    if (caller->reads) {
        uint64_t order = caller->user * UINT64_C(9) + random_next(traffic) % ORDERS_PER_USER + 1;
        snprintf(path, room, "/orders/%" PRIu64, order);
    } else {
        snprintf(path, room, "/orders");
        made = made && evhttp_add_header(fields, "Content-Type", "application/json") == 0 &&
               evbuffer_add_printf(evhttp_request_get_output_buffer(request), "{\"sku\":\"lamp\",\"quantity\":%u}",
                                   1 + caller->user % 3) > 0;
    }
    if (made)
        return request;
    evhttp_request_free(request);
    return NULL;
}

static void on_next(evutil_socket_t fd, short events, void *context)
{
    struct caller *caller = context;
    struct traffic *traffic = caller->traffic;
    char path[64];
    (void)fd;
    (void)events;
    caller_wait(caller);
    if (caller->waits)
        return;
    unsigned own = (traffic->users - caller->first_user - 1) / traffic->connections + 1;
    caller->user = caller->first_user + (unsigned)(random_next(traffic) % own) * traffic->connections;
    caller->reads = random_next(traffic) % 100 >= traffic->writes_percent;
    struct evhttp_request *request = request_make(caller, path, sizeof(path));
    /* The connection owns the request from here on. */
    caller->waits = true;
    if (request == NULL ||
        evhttp_make_request(caller->connection, request, caller->reads ? EVHTTP_REQ_GET : EVHTTP_REQ_POST, path) < 0)
        caller_failed(caller);
}

static void on_end(evutil_socket_t fd, short events, void *context)
{
    (void)fd;
    (void)events;
    event_base_loopbreak(context);
}

static bool caller_open(struct caller *caller, struct traffic *traffic, unsigned first_user)
{
    caller->traffic = traffic;
    caller->first_user = first_user;
    caller->connection = evhttp_connection_base_new(traffic->base, NULL, traffic->host, traffic->port);
    caller->next = evtimer_new(traffic->base, on_next, caller);
    if (caller->connection == NULL || caller->next == NULL)
        return false;
    evhttp_connection_set_timeout(caller->connection, 10);
    uint64_t start_us = random_next(traffic) % (UINT64_C(1000000) * traffic->connections / traffic->rate + 1);
    struct timeval start = {.tv_sec = (time_t)(start_us / 1000000), .tv_usec = (suseconds_t)(start_us % 1000000)};
    return event_add(caller->next, &start) == 0;
}

static bool end_on(struct traffic *traffic, struct event *ends[3])
{
    struct timeval limit = {.tv_sec = (time_t)traffic->seconds};
    ends[0] = evsignal_new(traffic->base, SIGTERM, on_end, traffic->base);
    ends[1] = evsignal_new(traffic->base, SIGINT, on_end, traffic->base);
    ends[2] = evtimer_new(traffic->base, on_end, traffic->base);
    return ends[0] != NULL && ends[1] != NULL && ends[2] != NULL && event_add(ends[0], NULL) == 0 &&
           event_add(ends[1], NULL) == 0 && (traffic->seconds == 0 || event_add(ends[2], &limit) == 0);
}

static int run(struct traffic *traffic)
{
    int code = 1;
    struct event *ends[3] = {NULL, NULL, NULL};
    struct caller *callers = calloc(traffic->connections, sizeof(*callers));
    traffic->base = event_base_new();
    if (callers == NULL || traffic->base == NULL || !end_on(traffic, ends))
        goto out;
    for (unsigned i = 0; i < traffic->connections; i++) {
        if (!caller_open(&callers[i], traffic, i))
            goto out;
    }
    code = event_base_dispatch(traffic->base) < 0;
    printf("{\"requests\":%" PRIu64 ",\"legacy\":%" PRIu64 ",\"new\":%" PRIu64 ",\"failures\":%" PRIu64
           ",\"moved_back\":%" PRIu64 "}\n",
           traffic->requests, traffic->legacy, traffic->new, traffic->failures, traffic->moved_back);
out:
    for (unsigned i = 0; callers != NULL && i < traffic->connections; i++) {
        if (callers[i].connection != NULL)
            evhttp_connection_free(callers[i].connection);
        if (callers[i].next != NULL)
            event_free(callers[i].next);
    }
    for (int i = 0; i < 3; i++) {
        if (ends[i] != NULL)
            event_free(ends[i]);
    }
    if (traffic->base != NULL)
        event_base_free(traffic->base);
    free(callers);
    return code;
}

/* One row per option that is a number. */
static bool option_set(struct traffic *traffic, const char *name, const char *value)
{
    const struct {
        const char *name;
        unsigned *number;
        unsigned min;
        unsigned max;
    } rows[] = {
        {"--rate", &traffic->rate, 1, 100000},          {"--connections", &traffic->connections, 1, 1000},
        {"--users", &traffic->users, 1, USERS_MAX},     {"--seconds", &traffic->seconds, 0, 86400},
        {"--writes", &traffic->writes_percent, 0, 100},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(name, rows[i].name) != 0)
            continue;
        char *end = NULL;
        unsigned long number = strtoul(value, &end, 10);
        *rows[i].number = (unsigned)number;
        return *value != '\0' && *end == '\0' && number >= rows[i].min && number <= rows[i].max;
    }
    return false;
}

int main(int argc, char **argv)
{
    static struct traffic traffic = {
        .host = "127.0.0.1", .rate = 400, .connections = 8, .users = 2000, .random = 0x2545f4914f6cdd1du};
    unsigned long port = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    bool good = argc % 2 == 0 && port > 0 && port <= 65535;
    for (int i = 2; i + 1 < argc && good; i += 2)
        good = option_set(&traffic, argv[i], argv[i + 1]);
    good = good && traffic.connections <= traffic.users;
    if (!good) {
        fprintf(stderr,
                "usage: %s PORT [--rate PER_SECOND] [--connections N] [--users N] [--seconds N] [--writes PERCENT]\n",
                argv[0]);
        return 2;
    }
    traffic.port = (uint16_t)port;
    return run(&traffic);
}
