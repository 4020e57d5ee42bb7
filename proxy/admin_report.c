/*
 * What comparing found, over the admin API: the report in every form, the page, the verdict, and forgetting it all.
 *
 * A report can be large and is made on the keeper's thread, so its request waits: a ticket goes with the job, comes
 * back through a list under a lock and an eventfd, and is answered on control's loop. Whoever is gone by then is
 * answered all the same, since evhttp frees a request whose connection is gone only when it is. At most REPORTS_MOST
 * are under way at a time, counted until the last byte is sent or the connection ends, so that readers who do not read
 * hold so many texts in memory and no more. The verdict is a few figures and is answered at once.
 *
 * With ?fleet=1 Redis is asked first, and what it says goes with the job.
 */
#include "proxy/admin_handlers.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/keyvalq_struct.h>

#include "proxy/admin_reply.h"
#include "proxy/control.h"
#include "proxy/control_fleet.h"
#include "proxy/memory.h"
#include "shadow/export.h"
#include "shadow/keeper.h"
#include "shadow/verdict.h"

enum {
    REPORTS_MOST = 8,
    SAMPLES_MOST = 100,
    PAGE_SAMPLES = 3,
    PAGE_TIMES = 6, /* a report on its way out takes so many times what it takes at home */
};

struct ticket;

/* Redis has been asked for it. */
struct fleet_question {
    struct ticket *ticket; /* borrowed; NULL: it has been answered otherwise */
};

/* A request that waits for its report. */
struct ticket {
    struct admin_reports *reports;       /* borrowed */
    struct ticket *next, *next_finished; /* of all that wait; of those that the keeper has finished */
    struct evhttp_request *http;         /* to be answered exactly once */
    const struct export_format *format;
    bool page; /* to be looked at rather than saved */
    unsigned samples;
    struct control *control;         /* borrowed */
    struct fleet_question *question; /* the answer's; NULL: Redis is not being asked */
    char route[ADMIN_ROUTE_ROOM];    /* "": all */
    char *text;                      /* owned, once finished */
    size_t len;
    bool known;
};

struct admin_reports {
    int wake; /* eventfd */
    struct event *finished;
    struct ticket *waiting;
    unsigned under_way; /* waiting or being sent */
    struct {
        pthread_mutex_t lock;
        struct ticket *finished;
    } shared;
};

/* ---- sending ---- */

static void on_gone(struct evhttp_connection *connection, void *context)
{
    struct admin_reports *reports = context;
    (void)connection;
    reports->under_way--;
}

static void on_sent(struct evhttp_request *http, void *context)
{
    struct admin_reports *reports = context;
    reports->under_way--;
    evhttp_connection_set_closecb(evhttp_request_get_connection(http), NULL, NULL);
}

/* The ticket's place is free again when the answer, whatever it is, has left. */
static void expect_end(struct ticket *ticket)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(ticket->http);
    if (connection == NULL) {
        ticket->reports->under_way--;
        return;
    }
    evhttp_connection_set_closecb(connection, on_gone, ticket->reports);
    evhttp_request_set_on_complete_cb(ticket->http, on_sent, ticket->reports);
}

static void free_text(const void *text, size_t len, void *context)
{
    (void)len, (void)context;
    free((void *)text);
}

/* A name that every file system and header takes. */
static void add_file_name(struct evkeyvalq *headers, const struct ticket *ticket)
{
    char line[ADMIN_ROUTE_ROOM + 64], *at = line;
    at += snprintf(line, sizeof(line), "attachment; filename=\"shunt-report%s", ticket->route[0] != '\0' ? "-" : "");
    for (const char *c = ticket->route; *c != '\0'; c++)
        *at++ = isalnum((unsigned char)*c) || *c == '-' || *c == '_' ? *c : '_';
    snprintf(at, sizeof(line) - (size_t)(at - line), ".%s\"", ticket->format->extension);
    evhttp_add_header(headers, "Content-Disposition", line);
}

/* A report shows what backends and clients have sent: no browser may take any of it for more than text. */
static void add_headers(const struct ticket *ticket)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(ticket->http);
    const char *name = ticket->format->name;
    evhttp_add_header(headers, "Content-Security-Policy",
                      "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
                      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    evhttp_add_header(headers, "Referrer-Policy", "no-referrer");
    if (!ticket->page && strcmp(name, "json") != 0 && strcmp(name, "text") != 0)
        add_file_name(headers, ticket);
}

/* The text is handed over, not copied. */
static void send_text(struct ticket *ticket)
{
    struct evbuffer *body = evbuffer_new();
    if (body == NULL || evbuffer_add_reference(body, ticket->text, ticket->len, free_text, NULL) < 0) {
        admin_reply_json(ticket->http, 500, NULL);
    } else {
        ticket->text = NULL;
        add_headers(ticket);
        admin_reply_buffer(ticket->http, 200, ticket->format->media_type, body);
    }
    if (body != NULL)
        evbuffer_free(body);
}

static void answer(struct ticket *ticket)
{
    expect_end(ticket);
    if (ticket->text != NULL)
        send_text(ticket);
    else if (!ticket->known) /* the route is there, but nothing of it has been compared */
        admin_reply_error(ticket->http, 404, "nothing_compared",
                          "a stage or route with a share of `shadow` makes pairs to compare",
                          "nothing has been compared yet for route \"%s\"", ticket->route);
    else
        admin_reply_error(ticket->http, 500, "out_of_memory", "ask for one route, or for fewer samples",
                          "there is no memory for this report");
}

static void ticket_free(struct ticket *ticket)
{
    struct ticket **at = &ticket->reports->waiting;
    while (*at != ticket)
        at = &(*at)->next;
    *at = ticket->next;
    if (ticket->question != NULL)
        ticket->question->ticket = NULL;
    free(ticket->text);
    free(ticket);
}

/* ---- from the keeper's thread ---- */

static void on_made(void *context, char *text, size_t len, bool known)
{
    static const uint64_t one = 1;
    struct ticket *ticket = context;
    struct admin_reports *reports = ticket->reports;
    ticket->text = text;
    ticket->len = len;
    ticket->known = known;
    pthread_mutex_lock(&reports->shared.lock);
    ticket->next_finished = reports->shared.finished;
    reports->shared.finished = ticket;
    /* Under the lock: control frees all this once the keeper has ended. Fails only when it already says "look". */
    if (write(reports->wake, &one, sizeof(one)) < 0)
        errno = 0;
    pthread_mutex_unlock(&reports->shared.lock);
}

static void on_finished(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct admin_reports *reports = context;
    uint64_t count;
    if (read(fd, &count, sizeof(count)) < 0)
        errno = 0;
    pthread_mutex_lock(&reports->shared.lock);
    struct ticket *ticket = reports->shared.finished;
    reports->shared.finished = NULL;
    pthread_mutex_unlock(&reports->shared.lock);
    while (ticket != NULL) {
        struct ticket *next = ticket->next_finished;
        answer(ticket);
        ticket_free(ticket);
        ticket = next;
    }
}

/* ---- life ---- */

struct admin_reports *admin_reports_new(struct event_base *base)
{
    struct admin_reports *reports = calloc(1, sizeof(*reports));
    if (reports == NULL)
        return NULL;
    pthread_mutex_init(&reports->shared.lock, NULL);
    reports->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (reports->wake >= 0)
        reports->finished = event_new(base, reports->wake, EV_READ | EV_PERSIST, on_finished, reports);
    if (reports->finished != NULL && event_add(reports->finished, NULL) == 0)
        return reports;
    admin_reports_free(reports);
    return NULL;
}

void admin_reports_refuse(struct admin_reports *reports)
{
    while (reports != NULL && reports->waiting != NULL) {
        struct ticket *ticket = reports->waiting;
        expect_end(ticket);
        admin_reply_error(ticket->http, 503, "stopping", "ask again once shunt has started", "shunt ends");
        ticket_free(ticket);
    }
}

void admin_reports_free(struct admin_reports *reports)
{
    if (reports == NULL)
        return;
    if (reports->finished != NULL)
        event_free(reports->finished);
    if (reports->wake >= 0)
        close(reports->wake);
    pthread_mutex_destroy(&reports->shared.lock);
    free(reports);
}

/* ---- asking ---- */

struct reasons {
    json_t *routes;
    const char *only; /* NULL: all */
};

static json_t *reasons_of(const uint64_t *counts)
{
    json_t *object = json_object();
    for (int i = 0; i < MIRROR_REASONS; i++)
        if (counts[i] > 0 && mirror_reason_is_final((enum mirror_reason)i) && i != MIRROR_COMPARED)
            json_object_set_new(object, mirror_reason_name((enum mirror_reason)i), json_integer((json_int_t)counts[i]));
    return object;
}

static void gather(void *context, const struct router_route_state *state, const struct route_counters *sum)
{
    struct reasons *reasons = context;
    if (state->config == NULL || (reasons->only != NULL && strcmp(state->name, reasons->only) != 0))
        return;
    json_t *sides = json_object();
    for (int side = 0; side < SIDES; side++)
        json_object_set_new(sides, side_name((enum side)side), reasons_of(sum->mirror[side]));
    json_object_set_new(reasons->routes, state->name, sides);
}

/* Why requests have no compared pair, by route and direction. What finds no memory is left out. */
static json_t *reasons_json(struct control *control, const char *route)
{
    struct reasons reasons = {json_object(), route};
    router_each(control_router(control), gather, &reasons);
    return reasons.routes;
}

/* In the file, or still in the report although the file names it no more. */
static bool is_route(struct control *control, const char *name)
{
    struct route_counters sum;
    return strlen(name) < ADMIN_ROUTE_ROOM &&
           (router_counters(control_router(control), name, &sum) || report_knows(control_report(control), name));
}

/* ?route=NAME, NULL without. False: answered. */
static bool read_route(struct admin_request *request, const char **route)
{
    *route = evhttp_find_header(&request->query, "route");
    if (*route == NULL || is_route(request->control, *route))
        return true;
    admin_no_such_route(request, *route);
    return false;
}

/* ?format=NAME. False: answered, with the names there are. */
static bool read_format(struct admin_request *request, const struct export_format **format)
{
    char remedy[256] = "formats are";
    const char *name = evhttp_find_header(&request->query, "format");
    *format = export_find(name != NULL ? name : "json");
    if (*format != NULL)
        return true;
    size_t used = strlen(remedy);
    const struct export_format *known;
    for (unsigned i = 0; (known = export_at(i)) != NULL && used < sizeof(remedy); i++)
        used += (size_t)snprintf(remedy + used, sizeof(remedy) - used, "%s %s", i > 0 ? "," : "", known->name);
    admin_reply_error(request->http, 400, "bad_query", remedy, "query: there is no format \"%.40s\"", name);
    return false;
}

/* ?samples=N. False: answered. */
static bool read_samples(struct admin_request *request, unsigned *samples)
{
    const char *text = evhttp_find_header(&request->query, "samples");
    if (text == NULL)
        return true;
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0 || value > SAMPLES_MOST) {
        admin_reply_error(request->http, 400, "bad_query", "leave it out for what fits the format",
                          "query: \"samples\" is not a number from 0 to %d", SAMPLES_MOST);
        return false;
    }
    *samples = (unsigned)value;
    return true;
}

/* ?fleet=1. False: answered. */
static bool read_fleet(struct admin_request *request, bool *fleet)
{
    const char *text = evhttp_find_header(&request->query, "fleet");
    *fleet = text != NULL && strcmp(text, "1") == 0;
    if (text != NULL && !*fleet && strcmp(text, "0") != 0) {
        admin_reply_error(request->http, 400, "bad_query", "leave it out for the report of this replica alone",
                          "query: \"fleet\" is neither 0 nor 1");
        return false;
    }
    if (!*fleet || control_fleet(request->control) != NULL)
        return true;
    admin_reply_error(request->http, 404, "no_fleet", "name a Redis in state.redis to share a plan with other replicas",
                      "this shunt compares alone");
    return false;
}

/* `fleet` NULL: the report of this replica. Takes it when true. */
static bool submit(struct ticket *ticket, json_t *fleet)
{
    struct keeper_job job = {
        .route = ticket->route[0] != '\0' ? ticket->route : NULL,
        .samples = ticket->samples,
        .format = ticket->format->name,
        .fleet = fleet,
        .done = on_made,
        .context = ticket,
    };
    if (fleet == NULL)
        job.mirror = reasons_json(ticket->control, job.route);
    if (keeper_submit(control_keeper(ticket->control), &job))
        return true;
    json_decref(job.mirror);
    return false;
}

static void reply_busy(struct evhttp_request *http)
{
    admin_reply_error(http, 503, "busy", "ask again in a moment, and read what you ask for",
                      "%d reports are being made or sent already", REPORTS_MOST);
}

/* A page is made as a whole, and of JSON first. */
static bool has_memory(const struct admin_request *request)
{
    size_t bytes = report_bytes(control_report(request->control)) * PAGE_TIMES;
    return memory_has_room(control_memory(request->control), bytes);
}

static void reply_without_memory(struct evhttp_request *http)
{
    admin_reply_error(http, 503, "memory", "ask again in a quieter moment, or raise the memory limit",
                      "making a report would take more memory than the limit has left");
}

static void reply_without_redis(struct evhttp_request *http)
{
    admin_reply_error(http, 503, "no_redis", "leave out \"fleet\" for what this replica alone has found",
                      "Redis, where the fleet's report is, does not answer");
}

/* The ticket has its place until the answer has left, as with any other report. */
static void on_fleet_told(void *context, const json_t *document)
{
    struct fleet_question *question = context;
    struct ticket *ticket = question->ticket;
    free(question);
    if (ticket == NULL)
        return;
    ticket->question = NULL;
    /* A copy, since it goes to another thread, and jansson's counts of references keep no order between threads. */
    json_t *fleet = json_is_object(json_object_get(document, "fields")) ? json_deep_copy(document) : NULL;
    if (fleet != NULL && submit(ticket, fleet))
        return;
    expect_end(ticket);
    if (fleet != NULL)
        reply_busy(ticket->http);
    else
        reply_without_redis(ticket->http);
    json_decref(fleet);
    ticket_free(ticket);
}

static bool ask_fleet(struct ticket *ticket)
{
    struct fleet_question *question = malloc(sizeof(*question));
    if (question == NULL)
        return false;
    *question = (struct fleet_question){ticket};
    ticket->question = question;
    if (control_fleet_ask(control_fleet(ticket->control), "report", on_fleet_told, question))
        return true;
    ticket->question = NULL;
    free(question);
    return false;
}

static void ask(struct admin_request *request, const char *route, bool fleet, const struct ticket *wanted)
{
    struct admin_reports *reports = request->reports;
    if (!has_memory(request)) {
        reply_without_memory(request->http);
        return;
    }
    struct ticket *ticket = reports->under_way < REPORTS_MOST ? calloc(1, sizeof(*ticket)) : NULL;
    if (ticket == NULL) {
        reply_busy(request->http);
        return;
    }
    /* Linked first: the keeper may have finished it before keeper_submit() is back. */
    *ticket = *wanted;
    ticket->reports = reports;
    ticket->next = reports->waiting;
    ticket->http = request->http;
    ticket->control = request->control;
    snprintf(ticket->route, sizeof(ticket->route), "%s", route != NULL ? route : "");
    reports->waiting = ticket;
    if (fleet ? ask_fleet(ticket) : submit(ticket, NULL)) {
        reports->under_way++;
        return;
    }
    ticket_free(ticket);
    if (fleet)
        reply_without_redis(request->http);
    else
        reply_busy(request->http);
}

void admin_view_report(struct admin_request *request)
{
    static const char *const names[] = {"route", "format", "samples", "fleet", NULL};
    struct ticket wanted = {.page = false};
    const char *route;
    bool fleet;
    if (!admin_query_knows(request, names) || !read_route(request, &route) || !read_format(request, &wanted.format))
        return;
    wanted.samples = wanted.format->samples;
    if (read_samples(request, &wanted.samples) && read_fleet(request, &fleet))
        ask(request, route, fleet, &wanted);
}

void admin_view_page(struct admin_request *request)
{
    static const char *const names[] = {"route", "samples", "fleet", NULL};
    struct ticket wanted = {.page = true, .samples = PAGE_SAMPLES, .format = export_find("html")};
    const char *route;
    bool fleet;
    if (admin_query_knows(request, names) && read_route(request, &route) && read_samples(request, &wanted.samples) &&
        read_fleet(request, &fleet))
        ask(request, route, fleet, &wanted);
}

/* ---- the verdict ---- */

/* ?NAME=FRACTION. False: answered. */
static bool read_fraction(struct admin_request *request, const char *name, double least, double most, double *fraction)
{
    const char *text = evhttp_find_header(&request->query, name);
    if (text == NULL)
        return true;
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= least && value <= most)) {
        admin_reply_error(request->http, 400, "bad_query", "leave it out for that of the route's gates",
                          "query: \"%s\" is not a fraction from %g to %g", name, least, most);
        return false;
    }
    *fraction = value;
    return true;
}

static const struct config_route *find_route(struct control *control, const char *name)
{
    const struct config *config = control_config(control);
    for (uint32_t i = 0; config != NULL && name != NULL && i < config->route_count; i++)
        if (strcmp(config->routes[i].name, name) == 0)
            return &config->routes[i];
    return NULL;
}

static json_t *verdict_json(const char *route, const struct comparison_totals *totals, double limit, double confidence)
{
    struct rate_verdict verdict;
    verdict_judge(route, totals->compared, totals->mismatched, limit, confidence, &verdict);
    return json_pack("{s:s, s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:o, s:s}", "route", route, "result",
                     verdict_name(verdict.result), "compared", (json_int_t)totals->compared, "differing",
                     (json_int_t)totals->mismatched, "rate", verdict.rate, "at_least", verdict.at_least, "at_most",
                     verdict.at_most, "confidence", confidence, "limit", limit >= 0 ? json_real(limit) : json_null(),
                     "sentence", verdict.sentence);
}

void admin_view_verdict(struct admin_request *request)
{
    static const char *const names[] = {"route", "limit", "confidence", NULL};
    const char *name = evhttp_find_header(&request->query, "route");
    const struct config_route *route = find_route(request->control, name);
    if (!admin_query_knows(request, names))
        return;
    if (name == NULL) {
        admin_reply_error(request->http, 400, "bad_query", "ask for ?route=NAME, and /api/v1/routes for their names",
                          "query: \"route\" is missing");
        return;
    }
    if (route == NULL) {
        admin_no_such_route(request, name);
        return;
    }
    double limit = route->gates.mismatch_rate, confidence = route->gates.confidence;
    if (!read_fraction(request, "limit", 0, 1, &limit) ||
        !read_fraction(request, "confidence", 0.5, 0.999999, &confidence))
        return;
    struct comparison_totals totals;
    report_totals(control_report(request->control), name, &totals);
    admin_reply_json(request->http, 200, verdict_json(name, &totals, limit, confidence));
}

/* ---- forgetting ---- */

void admin_change_report(struct admin_request *request)
{
    const char *route = json_string_value(json_object_get(request->body, "route"));
    struct admin_signature signature;
    if (!admin_read_signature(request, &signature))
        return;
    if (route != NULL && !is_route(request->control, route)) {
        admin_no_such_route(request, route);
        return;
    }
    if (control_forget_report(request->control, route, signature.who, signature.reason))
        admin_reply_json(request->http, 200, json_pack("{s:s?}", "reset", route));
    else
        admin_reply_error(request->http, 500, "not_saved", "see shunt's log and the state directory's free space",
                          "what comparing found is forgotten, but the audit trail could not be saved");
}
