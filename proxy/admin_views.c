/*
 * The endpoints that only read: health, metrics, status, routes, history, audit trail, configuration, index.
 *
 * Control thread. Each asks the room that knows and answers with what it said; nothing is kept here.
 */
#include "proxy/admin_handlers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "config/names.h"
#include "proxy/admin_reply.h"
#include "proxy/control.h"
#include "proxy/control_fleet.h"
#include "proxy/metrics.h"
#include "router/store/store.h"

enum {
    LIST_DEFAULT = 100,
    LIST_MOST = 10000
};

/* A hundred years, in milliseconds. */
#define SINCE_MOST_MS UINT64_C(3155760000000)

/* RFC 3339, UTC, milliseconds; JSON null for 0 (never). */
static json_t *time_json(uint64_t wall_ms)
{
    if (wall_ms == 0)
        return json_null();
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    char text[32];
    if (gmtime_r(&seconds, &parts) == NULL || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts) == 0)
        return json_null();
    return json_sprintf("%s.%03uZ", text, (unsigned)(wall_ms % 1000));
}

/* A new reference; NULL without memory. */
static json_t *router_json(struct control *control)
{
    return router_status(control_router(control), control_now_ms(control), control_wall_ms(control));
}

/* With that route alone; NULL: with none. */
static json_t *router_json_of(struct control *control, const char *route)
{
    return router_status_of(control_router(control), route, control_now_ms(control), control_wall_ms(control));
}

static json_t *routes_json(struct control *control)
{
    json_t *status = router_json(control);
    json_t *routes = json_incref(json_object_get(status, "routes"));
    json_decref(status);
    return routes;
}

json_t *admin_passthrough_sources(struct control *control)
{
    json_t *status = router_json_of(control, NULL);
    json_t *sources = json_incref(json_object_get(json_object_get(status, "passthrough"), "sources"));
    json_decref(status);
    return sources;
}

json_t *admin_route_json(struct control *control, const char *name)
{
    json_t *status = router_json_of(control, name);
    json_t *found = json_incref(json_array_get(json_object_get(status, "routes"), 0));
    /* What a route alone does not say: when that was, and whether anything of it counts. */
    if (found != NULL &&
        (json_object_set(found, "at_ms", json_object_get(status, "at_ms")) != 0 ||
         json_object_set(found, "passthrough", json_object_get(json_object_get(status, "passthrough"), "on")) != 0)) {
        json_decref(found);
        found = NULL;
    }
    json_decref(status);
    return found;
}

/* "did you mean orders? routes are: orders, rest"; malloc'd, NULL without memory or routes. */
static char *routes_there_are(json_t *routes, const char *wanted)
{
    struct name_guess guess = {.wanted = wanted};
    char *text = NULL;
    size_t length = 0, i;
    const json_t *item;
    FILE *out = json_array_size(routes) > 0 ? open_memstream(&text, &length) : NULL;
    if (out == NULL)
        return NULL;
    json_array_foreach(routes, i, item)
    {
        name_guess_try(&guess, json_string_value(json_object_get(item, "name")));
    }
    if (name_guess_best(&guess) != NULL)
        fprintf(out, "did you mean %s? ", name_guess_best(&guess));
    json_array_foreach(routes, i, item)
    {
        fprintf(out, "%s%s", i > 0 ? ", " : "routes are: ", json_string_value(json_object_get(item, "name")));
    }
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

void admin_no_such_route(struct admin_request *request, const char *route)
{
    json_t *routes = routes_json(request->control);
    char *there_are = routes_there_are(routes, route);
    json_decref(routes);
    admin_reply_error(request->http, 404, "no_such_route",
                      there_are != NULL ? there_are : "the configuration has no routes: add one, and reload",
                      "there is no route \"%s\"", route);
    free(there_are);
}

void admin_view_index(struct admin_request *request)
{
    char *text = admin_endpoint_list();
    if (text == NULL)
        admin_reply_json(request->http, 500, NULL);
    else
        admin_reply_text(request->http, 200, "text/plain; charset=utf-8", text);
    free(text);
}

void admin_view_health(struct admin_request *request)
{
    char text[80] = "live\n";
    uint32_t worker;
    uint64_t still_ms;
    bool hangs = control_hanging_worker(request->control, &worker, &still_ms);
    if (hangs)
        snprintf(text, sizeof(text), "not live: the loop of worker %u has not turned for %llu s\n", worker,
                 (unsigned long long)still_ms / 1000);
    admin_reply_text(request->http, hangs ? 503 : 200, "text/plain; charset=utf-8", text);
}

void admin_view_ready(struct admin_request *request)
{
    static const char *const draining[] = {
        [DRAIN_SERVING] = "not ready: draining, clients are still served as ever\n",
        [DRAIN_LEAVING] = "not ready: draining, clients are told to leave\n",
        [DRAIN_CLOSING] = "not ready: draining, idle connections are closed\n",
        [DRAIN_ENDING] = "not ready: draining, no new connections are taken\n",
        [DRAIN_OVER] = "not ready: draining, no new connections are taken\n",
    };
    struct control_drain_state drain;
    bool ready = control_is_ready(request->control);
    control_drain_state(request->control, &drain);
    const char *text = drain.phase != DRAIN_NONE ? draining[drain.phase]
                       : ready                   ? "ready\n"
                                                 : "not ready: not all listeners serve yet\n";
    admin_reply_text(request->http, ready && drain.phase == DRAIN_NONE ? 200 : 503, "text/plain; charset=utf-8", text);
}

void admin_view_metrics(struct admin_request *request)
{
    struct evbuffer *page = evbuffer_new();
    if (page != NULL && metrics_write(request->control, page))
        admin_reply_buffer(request->http, 200, "text/plain; version=0.0.4; charset=utf-8", page);
    else
        admin_reply_json(request->http, 500, NULL);
    if (page != NULL)
        evbuffer_free(page);
}

static json_t *config_json(struct control *control, const struct control_process *process)
{
    const struct config *config = control_config(control);
    return json_pack("{s:s?, s:I, s:I, s:I, s:o, s:b}", "file", config != NULL ? config->file : NULL, "generation",
                     (json_int_t)process->generation, "reloads", (json_int_t)process->reloads, "reload_failures",
                     (json_int_t)process->reload_failures, "last_reload_at", time_json(process->last_reload_wall_ms),
                     "last_reload_ok", process->last_reload_ok);
}

static json_t *state_json(struct control *control, const struct control_process *process)
{
    struct store *store = control_store(control);
    return json_pack("{s:s?, s:I, s:I}", "directory", store != NULL ? store_directory(store) : NULL, "saves",
                     (json_int_t)process->state_saves, "save_failures", (json_int_t)process->state_save_failures);
}

static json_t *workers_json(struct control *control)
{
    struct worker_counters sum = {0};
    control_counters(control, &sum);
    json_t *object = json_object();
#define M(name, kind, help) json_object_set_new(object, #name, json_integer((json_int_t)sum.name));
    WORKER_METRICS(M)
#undef M
    return object;
}

json_t *admin_drain_json(struct control *control)
{
    struct control_drain_state state;
    control_drain_state(control, &state);
    if (state.phase == DRAIN_NONE)
        return json_null();
    return json_pack("{s:s, s:s?, s:o, s:I, s:I, s:b, s:o}", "phase", drain_phase_name(state.phase), "who", state.who,
                     "began_at", time_json(state.began_wall_ms), "min_ms", (json_int_t)state.min_ms, "min_left_ms",
                     (json_int_t)state.min_left_ms, "ends", state.ends, "left_ms",
                     state.ends ? json_integer((json_int_t)state.left_ms) : json_null());
}

/* The process: what is not the router's. */
static json_t *process_json(struct control *control)
{
    struct control_process process;
    bool draining = control_is_draining(control);
    control_process(control, &process);
    return json_pack(
        "{s:s, s:i, s:o, s:I, s:i, s:b, s:b, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "version", SHUNT_VERSION, "pid",
        (int)getpid(), "started_at", time_json(process.started_wall_ms), "uptime_ms", (json_int_t)process.uptime_ms,
        "workers", (int)process.workers, "ready", control_is_ready(control) && !draining, "draining", draining, "drain",
        admin_drain_json(control), "fail_open", process.fail_open, "config", config_json(control, &process), "state",
        state_json(control, &process), "listeners", control_listeners(control), "backends", control_backends(control),
        "fleet", control_fleet_brief(control_fleet(control)), "counters", workers_json(control));
}

/* Adds what the router tells; passthrough, a switch and who holds it, becomes two plain members. */
static bool add_router(json_t *status, json_t *router)
{
    json_t *passthrough = json_object_get(router, "passthrough");
    return json_object_update_missing(status, router) == 0 &&
           json_object_set(status, "passthrough", json_object_get(passthrough, "on")) == 0 &&
           json_object_set(status, "passthrough_sources", json_object_get(passthrough, "sources")) == 0;
}

void admin_view_status(struct admin_request *request)
{
    json_t *status = process_json(request->control), *router = router_json(request->control);
    if (status == NULL || router == NULL || !add_router(status, router)) {
        json_decref(status);
        status = NULL;
    }
    json_decref(router);
    admin_reply_json(request->http, 200, status);
}

void admin_view_routes(struct admin_request *request)
{
    admin_reply_json(request->http, 200, json_pack("{s:o}", "routes", routes_json(request->control)));
}

void admin_view_route(struct admin_request *request)
{
    json_t *route = admin_route_json(request->control, request->route);
    if (route != NULL)
        admin_reply_json(request->http, 200, route);
    else
        admin_no_such_route(request, request->route);
}

bool admin_query_knows(struct admin_request *request, const char *const *names)
{
    char remedy[256] = "parameters are";
    const struct evkeyval *pair;
    TAILQ_FOREACH(pair, &request->query, next)
    {
        int i = 0;
        while (names[i] != NULL && strcmp(names[i], pair->key) != 0)
            i++;
        if (names[i] != NULL)
            continue;
        size_t used = strlen(remedy);
        for (i = 0; names[i] != NULL && used < sizeof(remedy); i++)
            used += (size_t)snprintf(remedy + used, sizeof(remedy) - used, "%s %s", i > 0 ? "," : "", names[i]);
        admin_reply_error(request->http, 400, "bad_query", remedy, "query: there is no parameter \"%.40s\"", pair->key);
        return false;
    }
    return true;
}

/* A query member that is a number from 1 to `most`; *value stays as it is without it. False: answered. */
static bool read_number(struct admin_request *request, const char *name, const char *remedy, uint64_t most,
                        uint64_t *value)
{
    const char *text = evhttp_find_header(&request->query, name);
    if (text == NULL)
        return true;
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || number < 1 || number > most) {
        admin_reply_error(request->http, 400, "bad_query", remedy, "query: \"%s\" is not a number from 1 to %llu", name,
                          (unsigned long long)most);
        return false;
    }
    *value = number;
    return true;
}

static bool read_limit(struct admin_request *request, uint64_t *limit)
{
    *limit = LIST_DEFAULT;
    return read_number(request, "limit", "leave it out for 100", LIST_MOST, limit);
}

/* Takes out what is older than `since_ms` (0: nothing is) and all but the newest `limit`; the oldest stand first. */
static void keep_newest(json_t *history, uint64_t wall_ms, uint64_t since_ms, uint64_t limit)
{
    uint64_t from_ms = since_ms > 0 && since_ms < wall_ms ? wall_ms - since_ms : 0;
    while (json_array_size(history) > 0) {
        json_int_t at_ms = json_integer_value(json_object_get(json_array_get(history, 0), "at_ms"));
        if ((uint64_t)at_ms >= from_ms && json_array_size(history) <= limit)
            break;
        json_array_remove(history, 0);
    }
}

void admin_view_history(struct admin_request *request)
{
    static const char *const names[] = {"route", "limit", "since_ms", NULL};
    const char *route = evhttp_find_header(&request->query, "route");
    struct route_counters sum;
    uint64_t limit, since_ms = 0;
    if (!admin_query_knows(request, names) || !read_limit(request, &limit) ||
        !read_number(request, "since_ms", "leave it out for all that is kept", SINCE_MOST_MS, &since_ms))
        return;
    if (route != NULL && !router_counters(control_router(request->control), route, &sum)) {
        admin_no_such_route(request, route);
        return;
    }
    json_t *history = router_history(control_router(request->control), route);
    keep_newest(history, control_wall_ms(request->control), since_ms, limit);
    admin_reply_json(request->http, 200, json_pack("{s:o}", "history", history));
}

void admin_view_audit(struct admin_request *request)
{
    static const char *const names[] = {"limit", NULL};
    uint64_t limit;
    if (!admin_query_knows(request, names) || !read_limit(request, &limit))
        return;
    json_t *lines = store_audit_tail(control_store(request->control), limit);
    admin_reply_json(request->http, 200, json_pack("{s:o}", "audit", lines));
}

void admin_view_config(struct admin_request *request)
{
    const struct config *config = control_config(request->control);
    if (config == NULL) {
        admin_reply_error(request->http, 503, "no_config", "correct the file and reload",
                          "shunt serves without a valid configuration (fail-open)");
        return;
    }
    char *text = config_dump(config);
    if (text != NULL)
        admin_reply_text(request->http, 200, "application/yaml", text);
    else
        admin_reply_json(request->http, 500, NULL);
    free(text);
}
