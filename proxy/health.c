/*
 * Active checks: see health.h. Worker 0's thread. An attempt of its own for each check, with a timer of the loop
 * instead of the wheel's, since a quiet worker looks at its wheel four times a second only.
 *
 *   WAITING --due--> ASKING --answered, failed, or too late--> LEAVING --its connection is closed--> WAITING
 *
 * LEAVING is there because a connection must not be closed from within its own events.
 */
#include "proxy/health.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/h2_client.h"
#include "proxy/health_board.h"
#include "proxy/health_probe.h"
#include "proxy/health_streak.h"
#include "proxy/log.h"
#include "proxy/upstream.h"
#include "proxy/worker_inside.h"
#include "router/utf8.h"

enum probe_state {
    PROBE_WAITING,
    PROBE_ASKING,
    PROBE_LEAVING
};

/* The checks of one address of one backend. */
struct probe {
    struct attempt attempt;
    struct probe *next; /* of the worker's */
    struct worker *worker;
    const struct config_backend *backend; /* of the worker's view */
    struct health_mark *mark;             /* counted */
    struct endpoint_address address;
    struct event timer;
    enum probe_state state;
    struct health_streak streak;
    struct health_answer answer;
    uint64_t started_ms;
    bool listed; /* the view has it */
};

static const struct attempt_events probe_events;

static struct probe *probe_of(struct attempt *attempt)
{
    return (struct probe *)((char *)attempt - offsetof(struct probe, attempt));
}

static void set_timer(struct probe *probe, uint64_t ms)
{
    struct timeval wait = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    (void)event_add(&probe->timer, &wait); /* room in the timer heap was made with the first */
}

/* ---- the end of a check ---- */

static void leave(struct probe *probe)
{
    probe->state = PROBE_LEAVING;
    set_timer(probe, 0);
}

static void tell(const struct probe *probe, const char *reason)
{
    bool down = probe->streak.down;
    log_event(probe->worker->log, down ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, down ? "health_down" : "health_up",
              json_pack("{s:s, s:o, s:s}", "backend", probe->backend->name, "address", utf8_json(probe->address.text),
                        "reason", reason));
}

static void conclude(struct probe *probe, enum check_result result, const char *reason)
{
    health_board_count(probe->mark->board, probe->backend->name, result);
    if (health_streak_note(&probe->streak, probe->backend->health, result == CHECK_SUCCESS)) {
        health_mark_set(probe->mark, probe->streak.down, reason);
        tell(probe, reason);
    }
    leave(probe);
}

static void judge(struct probe *probe, struct text trailers)
{
    char reason[HEALTH_REASON_ROOM];
    bool healthy = health_answer_judge(&probe->answer, trailers, reason, sizeof(reason));
    conclude(probe, healthy ? CHECK_SUCCESS : CHECK_FAILURE, reason);
}

static void give_up(struct probe *probe, enum check_result result, const char *reason)
{
    attempt_cancel(&probe->attempt);
    conclude(probe, result, reason);
}

/* ---- the attempt's events ---- */

/* False without memory. */
static bool send_question(struct probe *probe)
{
    struct attempt *attempt = &probe->attempt;
    struct chunk *chunk = chunk_take(&probe->worker->chunks, 2 * health_probe_bound(probe->backend));
    if (chunk == NULL)
        return false;
    struct slice head = {chunk, chunk->data, (uint32_t)health_probe_head(chunk->data, probe->backend)};
    struct slice body = {chunk, chunk->data + head.len, 0};
    body.len = (uint32_t)health_probe_body(chunk->data + head.len, probe->backend->health);
    chunk->used = head.len + body.len;
    bool sent = attempt->codec->send_head(attempt, head) &&
                (body.len == 0 || attempt->codec->send_body(attempt, body)) &&
                attempt->codec->send_end(attempt, (struct text){NULL, 0});
    chunk_unref(chunk);
    return sent;
}

static void on_ready(struct attempt *attempt)
{
    struct probe *probe = probe_of(attempt);
    if (probe->backend->health->kind == HEALTH_GRPC && attempt->codec != &h2_client_codec) {
        give_up(probe, CHECK_FAILURE, "it does not speak HTTP/2, which gRPC needs");
    } else if (!send_question(probe)) { /* our own shortage says nothing about the backend */
        attempt_cancel(attempt);
        leave(probe);
    }
}

static void on_head(struct attempt *attempt, const struct head *head)
{
    struct probe *probe = probe_of(attempt);
    if (!health_answer_head(&probe->answer, head))
        give_up(probe, CHECK_FAILURE, "its answer is none to a health check");
}

static void on_body(struct attempt *attempt, struct slice slice)
{
    struct probe *probe = probe_of(attempt);
    if (health_answer_body(&probe->answer, slice.at, slice.len))
        return;
    attempt_cancel(attempt);
    judge(probe, (struct text){NULL, 0});
}

static void on_end(struct attempt *attempt, struct text trailers)
{
    judge(probe_of(attempt), trailers);
}

static void on_failed(struct attempt *attempt)
{
    struct probe *probe = probe_of(attempt);
    if (attempt->failure == OUTCOME_OVERLOADED) /* ours, as above */
        leave(probe);
    else
        conclude(probe, attempt->failure == OUTCOME_TIMEOUT ? CHECK_TIMEOUT : CHECK_FAILURE, attempt->failure_text);
}

static void on_drained(struct attempt *attempt)
{
    (void)attempt;
}

static const struct attempt_events probe_events = {
    .on_ready = on_ready,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_failed = on_failed,
    .on_drained = on_drained,
};

/* ---- the timer ---- */

static void ask(struct probe *probe)
{
    struct worker *worker = probe->worker;
    const struct config_health *health = probe->backend->health;
    struct upstream *upstream = upstream_find(worker->upstreams, probe->backend, USE_HEALTH);
    memset(&probe->attempt, 0, sizeof(probe->attempt));
    probe->answer = (struct health_answer){.kind = health->kind};
    probe->attempt.events = &probe_events;
    probe->attempt.only = &probe->address;
    probe->attempt.framing = health->kind == HEALTH_GRPC ? FRAMING_LENGTH : FRAMING_NONE;
    probe->attempt.response_timeout_ms = health->timeout_ms;
    probe->state = PROBE_ASKING;
    probe->started_ms = worker_now_ms(worker);
    set_timer(probe, health->timeout_ms); /* of the whole check; before what may end it at once */
    attempt_start(&probe->attempt, upstream);
}

static void late(struct probe *probe)
{
    char reason[HEALTH_REASON_ROOM];
    const char *what = probe->attempt.state == ATTEMPT_CONNECTING ? "no connection"
                       : probe->answer.status != 0                ? "no whole answer"
                                                                  : "no answer";
    snprintf(reason, sizeof(reason), "%s within %llu ms", what, (unsigned long long)probe->backend->health->timeout_ms);
    give_up(probe, CHECK_TIMEOUT, reason);
}

static void wait_for_next(struct probe *probe)
{
    struct worker *worker = probe->worker;
    uint64_t due_ms = probe->started_ms + health_wait_ms(probe->backend->health->interval_ms, worker_random(worker));
    uint64_t now_ms = worker_now_ms(worker);
    upstream_close_at(upstream_find(worker->upstreams, probe->backend, USE_HEALTH), &probe->address);
    probe->state = PROBE_WAITING;
    set_timer(probe, due_ms > now_ms ? due_ms - now_ms : 0);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct probe *probe = context;
    struct worker *worker = probe->worker;
    worker_clock(worker);
    switch (probe->state) {
    case PROBE_WAITING:
        ask(probe);
        break;
    case PROBE_ASKING:
        late(probe);
        break;
    case PROBE_LEAVING:
        wait_for_next(probe);
        break;
    }
    conn_settle(worker);
}

/* ---- which ---- */

static void probe_free(struct probe *probe)
{
    attempt_cancel(&probe->attempt);
    event_del(&probe->timer);
    health_mark_unref(probe->mark);
    free(probe);
}

static void probe_start(struct worker *worker, const struct config_backend *backend,
                        const struct endpoint_address *address)
{
    struct probe *probe = calloc(1, sizeof(*probe));
    if (probe == NULL)
        return; /* not checked until the next change */
    probe->worker = worker;
    probe->backend = backend;
    probe->address = *address;
    probe->listed = true;
    probe->mark = health_board_mark(worker->view->snapshot->health, backend->name, address);
    const struct timeval at_once = {.tv_sec = 0};
    if (probe->mark == NULL || evtimer_assign(&probe->timer, worker->base, on_timer, probe) < 0 ||
        evtimer_add(&probe->timer, &at_once) < 0) {
        health_mark_unref(probe->mark);
        free(probe);
        return;
    }
    probe->streak.down = health_mark_is_down(probe->mark);
    probe->next = worker->probes;
    worker->probes = probe;
}

static struct probe *find(const struct worker *worker, const char *backend, const struct endpoint_address *address)
{
    for (struct probe *probe = worker->probes; probe != NULL; probe = probe->next)
        if (probe->address.length == address->length &&
            memcmp(&probe->address.to, &address->to, address->length) == 0 &&
            strcmp(probe->backend->name, backend) == 0)
            return probe;
    return NULL;
}

static bool same_text(const char *one, const char *other)
{
    return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

static bool same_check(const struct config_health *one, const struct config_health *other)
{
    return one->kind == other->kind && same_text(one->path, other->path) && same_text(one->host, other->host) &&
           same_text(one->service, other->service) && one->interval_ms == other->interval_ms &&
           one->timeout_ms == other->timeout_ms && one->unhealthy_after == other->unhealthy_after &&
           one->healthy_after == other->healthy_after;
}

static void list(struct worker *worker, const struct config_backend *backend, const struct endpoint_address *address)
{
    struct probe *probe = find(worker, backend->name, address);
    if (probe == NULL) {
        probe_start(worker, backend, address);
        return;
    }
    bool same = same_check(probe->backend->health, backend->health);
    probe->backend = backend;
    probe->listed = true;
    if (same)
        return;
    /* What is known stays known; what is under way asks what nobody wants to know any more. */
    attempt_cancel(&probe->attempt);
    probe->state = PROBE_WAITING;
    set_timer(probe, 0);
}

static void drop_unlisted(struct worker *worker)
{
    for (struct probe **at = &worker->probes; *at != NULL;) {
        struct probe *probe = *at;
        if (probe->listed) {
            at = &probe->next;
            continue;
        }
        *at = probe->next;
        probe_free(probe);
    }
}

void health_update(struct worker *worker)
{
    const struct view *view = worker->view;
    if (worker->index != 0 || worker_is_ending(worker) || view->snapshot->health == NULL)
        return;
    for (struct probe *probe = worker->probes; probe != NULL; probe = probe->next)
        probe->listed = false;
    for (uint32_t i = 0; i < view->config->backend_count; i++) {
        const struct config_backend *backend = &view->config->backends[i];
        const struct endpoint_list *addresses = view->snapshot->endpoints[backend->index];
        for (uint32_t k = 0; backend->health != NULL && k < addresses->count; k++)
            list(worker, backend, &addresses->address[k]);
    }
    drop_unlisted(worker);
}

void health_stop(struct worker *worker)
{
    while (worker->probes != NULL) {
        struct probe *probe = worker->probes;
        worker->probes = probe->next;
        probe_free(probe);
    }
}
