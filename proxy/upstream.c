/*
 * Backends of one worker: see upstream.h. Chooses addresses, keeps the waiting line, and ejects an address that keeps
 * failing while others work; those that active checks have found down it leaves out, too. Opens no socket itself: that
 * is dial.c's, and connections are their codecs'.
 */
#include "proxy/upstream.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/dial.h"
#include "proxy/h1_client.h"
#include "proxy/h2_client.h"
#include "proxy/health_board.h"
#include "proxy/tls_session.h"
#include "proxy/worker_inside.h"
#include "proxy/worker_memory.h"

struct upstream_set {
    struct worker *worker;
    uint32_t count;
    struct upstream **at; /* of each backend one for each use */
};

/* ---- endpoints ---- */

static void endpoint_free_if_unused(struct endpoint *endpoint)
{
    if (!endpoint->gone || endpoint->open > 0)
        return;
    struct upstream *upstream = endpoint->upstream;
    if (upstream != NULL) {
        for (struct endpoint **at = &upstream->endpoints; *at != NULL; at = &(*at)->next) {
            if (*at == endpoint) {
                *at = endpoint->next;
                break;
            }
        }
        if (upstream->turn == endpoint)
            upstream->turn = NULL;
    }
    tls_session_unref(endpoint->session);
    health_mark_unref(endpoint->mark);
    free(endpoint);
}

void endpoint_hold(struct endpoint *endpoint)
{
    endpoint->open++;
    if (endpoint->upstream != NULL)
        endpoint->upstream->open++;
}

void endpoint_closed(struct endpoint *endpoint)
{
    struct upstream *upstream = endpoint->upstream;
    endpoint->open--;
    if (upstream != NULL)
        upstream->open--;
    endpoint_free_if_unused(endpoint);
    if (upstream != NULL)
        upstream_release(upstream);
}

void endpoint_succeeded(struct endpoint *endpoint)
{
    endpoint->failures = 0;
    endpoint->ejected_until_ms = 0;
}

void endpoint_failed(struct endpoint *endpoint)
{
    struct upstream *upstream = endpoint->upstream;
    endpoint->failures++;
    if (upstream == NULL || upstream->use == USE_HEALTH || upstream->endpoint_count < 2 ||
        upstream->config->eject_after == 0 || endpoint->failures < upstream->config->eject_after)
        return;
    struct worker *worker = upstream->worker;
    if (endpoint->ejected_until_ms <= worker_now_ms(worker))
        count_add(&worker->counters.upstream_ejections, 1);
    endpoint->ejected_until_ms = worker_now_ms(worker) + upstream->config->eject_ms;
}

/* How little is thought of an address: 0 is well. What checks ask for weighs more than what live traffic met once. */
static int doubt(const struct endpoint *endpoint, uint64_t now_ms)
{
    return (health_mark_is_down(endpoint->mark) ? 2 : 0) + (endpoint->ejected_until_ms > now_ms ? 1 : 0);
}

struct endpoint *upstream_pick(struct upstream *upstream)
{
    if (upstream->endpoints == NULL)
        return NULL;
    uint64_t now_ms = worker_now_ms(upstream->worker);
    struct endpoint *start = upstream->turn != NULL ? upstream->turn : upstream->endpoints;
    struct endpoint *best = NULL, *at = start;
    int least = INT_MAX;
    do {
        int doubts = at->gone ? INT_MAX : doubt(at, now_ms);
        if (doubts < least) {
            best = at;
            least = doubts;
        }
        at = at->next != NULL ? at->next : upstream->endpoints;
    } while (at != start && least > 0);
    if (best != NULL)
        upstream->turn = best->next;
    return best;
}

/* ---- attempts ---- */

static void waiting_remove(struct attempt *attempt)
{
    struct upstream *upstream = attempt->upstream;
    *(attempt->prev_waiting != NULL ? &attempt->prev_waiting->next_waiting : &upstream->first_waiting) =
        attempt->next_waiting;
    *(attempt->next_waiting != NULL ? &attempt->next_waiting->prev_waiting : &upstream->last_waiting) =
        attempt->prev_waiting;
    attempt->next_waiting = attempt->prev_waiting = NULL;
    upstream->waiting--;
    count_add(&upstream->worker->counters.upstream_queue, (uint64_t)-1);
}

static void waiting_add(struct attempt *attempt)
{
    struct upstream *upstream = attempt->upstream;
    attempt->next_waiting = NULL;
    attempt->prev_waiting = upstream->last_waiting;
    *(upstream->last_waiting != NULL ? &upstream->last_waiting->next_waiting : &upstream->first_waiting) = attempt;
    upstream->last_waiting = attempt;
    upstream->waiting++;
    attempt->waiting_since_ms = worker_now_ms(upstream->worker);
    attempt->state = ATTEMPT_WAITING;
    count_add(&upstream->worker->counters.upstream_queue, 1);
    worker_busy(upstream->worker);
}

void attempt_fail(struct attempt *attempt, enum outcome_kind kind, const char *text)
{
    attempt->state = ATTEMPT_DONE;
    attempt->failure = kind;
    attempt->failure_text = text;
    attempt->events->on_failed(attempt);
}

static struct h1_client *take_idle(struct upstream *upstream, struct endpoint *endpoint)
{
    if (endpoint->idle != NULL)
        return endpoint->idle;
    /* At the limit another address' kept connection serves too; below it, balance beats reuse. */
    if (upstream->open < upstream->limit)
        return NULL;
    for (struct endpoint *other = upstream->endpoints; other != NULL; other = other->next) {
        if (!other->gone && other->idle != NULL && !health_mark_is_down(other->mark))
            return other->idle;
    }
    return NULL;
}

/* Makes room below the limit by closing another address' idle connection. `down`: only of one that is. */
static bool close_one_idle(struct upstream *upstream, bool down)
{
    for (struct endpoint *endpoint = upstream->endpoints; endpoint != NULL; endpoint = endpoint->next) {
        if (endpoint->idle != NULL && (!down || health_mark_is_down(endpoint->mark))) {
            h1_client_close(endpoint->idle);
            return true;
        }
    }
    return false;
}

/* Is there an endpoint whose connections may carry many exchanges at once? */
static bool may_share(const struct upstream *upstream)
{
    return upstream->config->protocol == PROTOCOL_AUTO ? upstream->config->tls != NULL
                                                       : upstream->config->protocol == PROTOCOL_HTTP2;
}

/* Does this one's, or may it? With TLS ALPN says so, as last time until it says something else. */
static bool is_shared(const struct upstream *upstream, const struct endpoint *endpoint)
{
    return may_share(upstream) && (upstream->config->protocol != PROTOCOL_AUTO || endpoint->speaks != PROTOCOL_HTTP1);
}

static bool share_at(struct upstream *upstream, struct endpoint *endpoint, struct attempt *attempt)
{
    return !endpoint->gone && is_shared(upstream, endpoint) &&
           (h2_client_take(endpoint, attempt) || dial_join(endpoint, attempt));
}

/* At the limit another address' connection serves too, one that checks think well of first; below it, balance beats
 * sharing. */
static bool share(struct upstream *upstream, struct endpoint *endpoint, struct attempt *attempt)
{
    if (share_at(upstream, endpoint, attempt))
        return true;
    for (int down = 0; down < 2 && upstream->open >= upstream->limit; down++)
        for (struct endpoint *other = upstream->endpoints; other != NULL; other = other->next)
            if (health_mark_is_down(other->mark) == (down != 0) && share_at(upstream, other, attempt))
                return true;
    return false;
}

static struct endpoint *endpoint_find(struct upstream *upstream, const struct endpoint_address *address)
{
    for (struct endpoint *endpoint = upstream->endpoints; endpoint != NULL; endpoint = endpoint->next) {
        if (endpoint->address.length == address->length &&
            memcmp(&endpoint->address.to, &address->to, address->length) == 0)
            return endpoint;
    }
    return NULL;
}

/* To one address, on a connection of its own; limits are for those who can wait. */
static void place_alone(struct attempt *attempt)
{
    struct endpoint *endpoint = endpoint_find(attempt->upstream, attempt->only);
    if (endpoint == NULL || endpoint->gone)
        attempt_fail(attempt, OUTCOME_CONNECT_FAILED, "the backend does not have this address any more");
    else if (!dial_start(endpoint, attempt))
        attempt_fail(attempt, OUTCOME_OVERLOADED, "no socket to be had");
}

/* Puts the attempt on a connection if one is to be had. False: it has to wait. */
static bool place(struct attempt *attempt)
{
    struct upstream *upstream = attempt->upstream;
    struct worker *worker = upstream->worker;
    if (attempt->only != NULL) {
        place_alone(attempt);
        return true;
    }
    struct endpoint *endpoint = upstream_pick(upstream);
    if (endpoint == NULL) {
        attempt_fail(attempt, OUTCOME_CONNECT_FAILED, "the backend's name has not been resolved");
        return true;
    }
    if (!attempt->http1 && upstream->use == USE_LIVE && !worker_memory_allows_exchanges(worker))
        return false; /* it waits for room, as for a connection */
    if (!attempt->http1 && may_share(upstream) && share(upstream, endpoint, attempt))
        return true;
    struct h1_client *idle = attempt->fresh ? NULL : take_idle(upstream, endpoint);
    if (idle != NULL) {
        h1_client_reuse(idle, attempt);
        return true;
    }
    if (upstream->open >= upstream->limit &&
        (!close_one_idle(upstream, !attempt->fresh) || upstream->open >= upstream->limit)) { /* who waited was first */
        if (!attempt->http1)
            return false;
        /* In the waiting line it would stand before all those who only need a stream. */
        attempt_fail(attempt, OUTCOME_OVERLOADED,
                     "a WebSocket needs a connection of its own, and the backend has no more");
        return true;
    }
    if (dial_start(endpoint, attempt))
        return true;
    if ((errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) && upstream->use == USE_LIVE &&
        worker_shed_shadow(worker) && dial_start(endpoint, attempt))
        return true;
    attempt_fail(attempt, OUTCOME_OVERLOADED, "no socket to be had");
    return true;
}

/* A request's body has to be kept while it waits: at the brink there is no memory for that. */
static bool may_not_wait(const struct attempt *attempt)
{
    const struct upstream *upstream = attempt->upstream;
    return attempt->framing != FRAMING_NONE && upstream->use == USE_LIVE &&
           memory_is_at_brink(upstream->worker->memory);
}

static void refuse_wait(struct attempt *attempt)
{
    count_add(&attempt->upstream->worker->counters.upstream_queue_overflows, 1);
    attempt_fail(attempt, OUTCOME_OVERLOADED, "memory is too scarce to keep the request while it waits");
}

void attempt_start(struct attempt *attempt, struct upstream *upstream)
{
    attempt->upstream = upstream;
    attempt->link = NULL;
    attempt->connects_left = upstream->endpoint_count > 1 && attempt->only == NULL ? 2 : 0;
    if (upstream->waiting == 0 && place(attempt))
        return;
    if (may_not_wait(attempt)) {
        refuse_wait(attempt);
        return;
    }
    if (upstream->waiting >= upstream->queue_limit) {
        if (upstream->use == USE_LIVE)
            count_add(&upstream->worker->counters.upstream_queue_overflows, 1);
        attempt_fail(attempt, OUTCOME_OVERLOADED, "all connections to the backend are in use and the queue is full");
        return;
    }
    waiting_add(attempt);
}

void attempt_connect_failed(struct attempt *attempt, enum outcome_kind kind, const char *text)
{
    if (attempt->connects_left == 0) {
        attempt_fail(attempt, kind, text);
        return;
    }
    attempt->connects_left--;
    attempt_again(attempt);
}

void attempt_again(struct attempt *attempt)
{
    if (!place(attempt))
        waiting_add(attempt);
}

void attempt_cancel(struct attempt *attempt)
{
    switch (attempt->state) {
    case ATTEMPT_WAITING:
        waiting_remove(attempt);
        break;
    case ATTEMPT_CONNECTING:
    case ATTEMPT_READY:
    case ATTEMPT_RESPONDING:
        attempt->codec->cancel(attempt);
        break;
    case ATTEMPT_IDLE:
    case ATTEMPT_DONE:
        break;
    }
    attempt->state = ATTEMPT_DONE;
}

static bool has_room(const struct upstream *upstream)
{
    if (upstream->use == USE_LIVE && !worker_memory_allows_exchanges(upstream->worker))
        return false;
    if (upstream->open < upstream->limit)
        return true;
    for (const struct endpoint *endpoint = upstream->endpoints; endpoint != NULL; endpoint = endpoint->next) {
        if (!endpoint->gone &&
            (endpoint->idle != NULL || (is_shared(upstream, endpoint) && h2_client_has_room(endpoint))))
            return true;
    }
    return false;
}

void upstream_release(struct upstream *upstream)
{
    /* Placing may fail at once and so release again: the loop that is under way sees to it, however long the line is.
     */
    if (upstream->first_waiting == NULL || upstream->releasing)
        return;
    upstream->releasing = true;
    while (upstream->first_waiting != NULL && has_room(upstream)) {
        struct attempt *attempt = upstream->first_waiting;
        waiting_remove(attempt);
        if (!place(attempt)) {
            waiting_add(attempt);
            break;
        }
    }
    upstream->releasing = false;
}

/* ---- the set ---- */

/* What is under way on the endpoint's connections ends there; nothing new begins. */
static void close_connections(struct endpoint *endpoint)
{
    while (endpoint->idle != NULL)
        h1_client_close(endpoint->idle);
    h2_client_retire_all(endpoint);
}

/* The same; with the last of them an endpoint that is gone is freed. */
static void close_unused(struct endpoint *endpoint)
{
    endpoint->open++; /* it stays while they go */
    close_connections(endpoint);
    endpoint->open--;
    endpoint_free_if_unused(endpoint);
}

static void upstream_drop(struct upstream *upstream)
{
    while (upstream->first_waiting != NULL) {
        struct attempt *attempt = upstream->first_waiting;
        waiting_remove(attempt);
        attempt_fail(attempt, OUTCOME_CONNECT_FAILED, "the backend has been removed");
    }
    struct endpoint *next;
    for (struct endpoint *endpoint = upstream->endpoints; endpoint != NULL; endpoint = next) {
        next = endpoint->next;
        endpoint->open++; /* keep it while its connections go */
        close_connections(endpoint);
        endpoint->gone = true;
        endpoint->upstream = NULL;
        endpoint->open--;
        endpoint_free_if_unused(endpoint);
    }
    free(upstream);
}

static bool endpoint_listed(const struct endpoint *endpoint, const struct endpoint_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->address[i].length == endpoint->address.length &&
            memcmp(&list->address[i].to, &endpoint->address.to, endpoint->address.length) == 0)
            return true;
    }
    return false;
}

/* What checks say of an address, where there are any. Without memory it counts as healthy. */
static void endpoint_mark(struct endpoint *endpoint, struct health_board *board)
{
    const struct config_backend *config = endpoint->upstream->config;
    if (!endpoint->gone && config->health != NULL && board != NULL) {
        if (endpoint->mark == NULL)
            endpoint->mark = health_board_mark(board, config->name, &endpoint->address);
        return;
    }
    health_mark_unref(endpoint->mark);
    endpoint->mark = NULL;
}

/* One worker checks for all. */
static const struct endpoint_list *addresses_for(const struct upstream *upstream, const struct snapshot *snapshot)
{
    static const struct endpoint_list none = {.refs = 1};
    bool checks = upstream->config->health != NULL && upstream->worker->index == 0;
    return upstream->use == USE_HEALTH && !checks ? &none : snapshot->endpoints[upstream->config->index];
}

/* Without memory an address is left out until the next change. */
static void upstream_adopt(struct upstream *upstream, const struct view *view)
{
    struct worker *worker = upstream->worker;
    const struct config_backend *config = upstream->config;
    const struct config *whole = view->config;
    const struct endpoint_list *list = addresses_for(upstream, view->snapshot);
    uint32_t limit = config->max_connections;
    if (upstream->use == USE_SHADOW) {
        limit = 0;
        for (uint32_t i = 0; i < whole->route_count; i++) {
            if (whole->routes[i].shadow.max_connections > limit)
                limit = whole->routes[i].shadow.max_connections;
        }
    }
    upstream->limit = upstream->use == USE_HEALTH ? UINT32_MAX : worker_part(worker, limit);
    /* Copies do not queue for long: their own time runs. */
    upstream->queue_limit = worker_part(worker, config->queue);
    for (uint32_t i = 0; i < list->count; i++) {
        struct endpoint *known = endpoint_find(upstream, &list->address[i]);
        if (known != NULL) {
            known->gone = false;
            continue;
        }
        struct endpoint *endpoint = calloc(1, sizeof(*endpoint));
        if (endpoint == NULL)
            continue;
        endpoint->upstream = upstream;
        endpoint->address = list->address[i];
        endpoint->next = upstream->endpoints;
        upstream->endpoints = endpoint;
    }
    struct endpoint *next;
    upstream->endpoint_count = 0;
    for (struct endpoint *endpoint = upstream->endpoints; endpoint != NULL; endpoint = next) {
        next = endpoint->next;
        endpoint->gone = !endpoint_listed(endpoint, list);
        endpoint_mark(endpoint, view->snapshot->health);
        if (!endpoint->gone) {
            upstream->endpoint_count++;
            continue;
        }
        close_unused(endpoint);
    }
}

void upstream_close_at(struct upstream *upstream, const struct endpoint_address *address)
{
    struct endpoint *endpoint = endpoint_find(upstream, address);
    if (endpoint != NULL)
        close_unused(endpoint);
}

struct upstream_set *upstream_set_new(struct worker *worker)
{
    struct upstream_set *set = calloc(1, sizeof(*set));
    if (set != NULL)
        set->worker = worker;
    return set;
}

void upstream_set_free(struct upstream_set *set)
{
    if (set == NULL)
        return;
    for (uint32_t i = 0; i < set->count * UPSTREAM_USES; i++)
        upstream_drop(set->at[i]);
    free(set->at);
    free(set);
}

static struct upstream *find_by_name(const struct upstream_set *set, const char *name, enum upstream_use use)
{
    for (uint32_t i = 0; i < set->count; i++) {
        struct upstream *upstream = set->at[i * UPSTREAM_USES + use];
        if (upstream != NULL && strcmp(upstream->config->name, name) == 0)
            return upstream;
    }
    return NULL;
}

bool upstream_set_update(struct upstream_set *set, const struct view *view)
{
    const struct config *config = view->config;
    uint32_t count = config->backend_count;
    struct upstream **at = calloc((size_t)count * UPSTREAM_USES + 1, sizeof(*at));
    if (at == NULL)
        return false;
    /* First everything that can fail, then the change. */
    for (uint32_t i = 0; i < count * UPSTREAM_USES; i++) {
        const struct config_backend *backend = &config->backends[i / UPSTREAM_USES];
        enum upstream_use use = (enum upstream_use)(i % UPSTREAM_USES);
        if (find_by_name(set, backend->name, use) != NULL)
            continue;
        at[i] = calloc(1, sizeof(**at));
        if (at[i] == NULL) {
            for (uint32_t k = 0; k < i; k++)
                free(at[k]);
            free(at);
            return false;
        }
        at[i]->worker = set->worker;
        at[i]->use = use;
    }
    for (uint32_t i = 0; i < count * UPSTREAM_USES; i++) {
        const struct config_backend *backend = &config->backends[i / UPSTREAM_USES];
        if (at[i] == NULL) {
            at[i] = find_by_name(set, backend->name, (enum upstream_use)(i % UPSTREAM_USES));
            for (uint32_t k = 0; k < set->count * UPSTREAM_USES; k++) {
                if (set->at[k] == at[i])
                    set->at[k] = NULL;
            }
        }
        at[i]->config = backend;
    }
    struct upstream **old = set->at;
    uint32_t old_count = set->count;
    set->at = at;
    set->count = count;
    /* From here on exchanges may be told things, and look for backends. */
    for (uint32_t i = 0; i < count * UPSTREAM_USES; i++)
        upstream_adopt(at[i], view);
    for (uint32_t i = 0; i < old_count * UPSTREAM_USES; i++) {
        if (old[i] != NULL)
            upstream_drop(old[i]);
    }
    free(old);
    for (uint32_t i = 0; i < count * UPSTREAM_USES; i++)
        upstream_release(at[i]);
    return true;
}

struct upstream *upstream_find(struct upstream_set *set, const struct config_backend *backend, enum upstream_use use)
{
    /* The common case: the backend is of the newest configuration. An exchange begun before a reload asks by name. */
    if (backend->index < set->count) {
        struct upstream *upstream = set->at[backend->index * UPSTREAM_USES + use];
        if (upstream->config == backend)
            return upstream;
    }
    return find_by_name(set, backend->name, use);
}

static void expire_waiting(struct upstream *upstream)
{
    uint64_t now_ms = worker_now_ms(upstream->worker);
    while (upstream->first_waiting != NULL &&
           now_ms - upstream->first_waiting->waiting_since_ms >= upstream->config->queue_timeout_ms) {
        struct attempt *attempt = upstream->first_waiting;
        waiting_remove(attempt);
        if (upstream->use == USE_LIVE)
            count_add(&upstream->worker->counters.upstream_queue_overflows, 1);
        attempt_fail(attempt, OUTCOME_OVERLOADED, "no connection to the backend became free in time");
    }
}

static struct attempt *find_refusable(const struct upstream *upstream)
{
    struct attempt *attempt = upstream->first_waiting;
    while (attempt != NULL && !may_not_wait(attempt))
        attempt = attempt->next_waiting;
    return attempt;
}

/* Who is told may ask elsewhere, and change the line: each time it is looked at from its beginning. */
static void refuse_waiting(struct upstream *upstream)
{
    for (struct attempt *attempt = find_refusable(upstream); attempt != NULL; attempt = find_refusable(upstream)) {
        waiting_remove(attempt);
        refuse_wait(attempt);
    }
}

void upstream_set_tick(struct upstream_set *set)
{
    for (uint32_t i = 0; i < set->count * UPSTREAM_USES; i++) {
        if (set->at[i]->first_waiting == NULL)
            continue;
        expire_waiting(set->at[i]);
        if (memory_is_at_brink(set->worker->memory))
            refuse_waiting(set->at[i]);
    }
}

void upstream_set_release(struct upstream_set *set)
{
    for (uint32_t i = 0; i < set->count * UPSTREAM_USES; i++)
        upstream_release(set->at[i]);
}

uint32_t upstream_set_close_idle(struct upstream_set *set, enum upstream_use use)
{
    uint32_t closed = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        struct upstream *upstream = set->at[i * UPSTREAM_USES + use];
        while (close_one_idle(upstream, false))
            closed++;
        struct endpoint *next;
        for (struct endpoint *endpoint = upstream->endpoints; endpoint != NULL; endpoint = next) {
            next = endpoint->next;
            closed += h2_client_close_idle(endpoint);
        }
    }
    return closed;
}
