/*
 * Copies: see mirror.h. Worker thread. Everything here may fail, fall behind or be given up; none of it is ever waited for, and
 * each reason is counted on the route.
 */
#include "proxy/mirror.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/worker_inside.h"
#include "shadow/comparer.h"

enum {
    FREE_PAIRS = 640,       /* as many as may be on their way to the compare thread and back, and in use */
    FREE_PAIRS_IN_QUIET = 32,
};

static const char shadow_line[] = "X-Shunt-Shadow: 1\r\n\r\n";

struct mirror {
    struct attempt attempt;
    struct mirror *next, *prev;   /* of the worker's, under way; next also in the free list */
    struct worker *worker;
    struct view *view;            /* counted */
    struct exchange *exchange;    /* borrowed; NULL once it has ended */
    struct route_counters *counters;
    struct pair *pair;            /* owned; NULL when there will be nothing to compare */
    struct timer timer;
    struct slice head;            /* counted */
    struct outq pending;          /* body that came before there was a connection */
    struct text trailers;         /* malloc'd copy, when they came before there was a connection */
    size_t max_buffer;
    size_t buffered;              /* as last told to the gauge */
    uint64_t started_us;
    bool request_ended;
    bool shadow_done, primary_done;
};

static const struct attempt_events mirror_events;

static struct mirror *mirror_of(struct attempt *attempt)
{
    return (struct mirror *)((char *)attempt - offsetof(struct mirror, attempt));
}

/* ---- pairs ---- */

static struct pair *pair_take(struct worker *worker)
{
    if (worker->free_pairs == NULL)
        mirrors_reclaim(worker);
    struct pair *pair = worker->free_pairs;
    if (pair == NULL)
        return pair_new();
    worker->free_pairs = pair->next;
    worker->free_pair_count--;
    return pair;
}

static void pair_give(struct worker *worker, struct pair *pair)
{
    view_unref(pair->holder);
    pair->holder = NULL;
    if (worker->free_pair_count >= FREE_PAIRS) {
        pair_free(pair);
        return;
    }
    pair->next = worker->free_pairs;
    worker->free_pairs = pair;
    worker->free_pair_count++;
}

void mirrors_reclaim(struct worker *worker)
{
    struct pair *pair;
    while ((pair = comparer_reclaim(worker->comparer, worker->index)) != NULL)
        pair_give(worker, pair);
}

void mirrors_trim(struct worker *worker)
{
    while (worker->free_pair_count > FREE_PAIRS_IN_QUIET) {
        struct pair *pair = worker->free_pairs;
        worker->free_pairs = pair->next;
        worker->free_pair_count--;
        pair_free(pair);
    }
}

static void copy_text(char *to, size_t room, const char *from, size_t len)
{
    if (len > room - 1)
        len = room - 1;
    memcpy(to, from, len);
    to[len] = '\0';
}

static struct pair *pair_begin(struct exchange *ex, enum pair_kind kind)
{
    struct pair *pair = pair_take(ex->worker);
    if (pair == NULL)
        return NULL;
    const struct config_route *route = ex->decision.route;
    const char *line = ex->replay[0].at;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    pair->route = route;
    pair->holder = view_ref(ex->view);
    pair->kind = kind;
    pair->primary = ex->decision.side;
    pair->wall_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    pair->cohort = ex->decision.cohort;
    copy_text(pair->method, sizeof(pair->method), line, ex->method_len);
    copy_text(pair->target, sizeof(pair->target), line + ex->method_len + 1, ex->target_len);
    copy_text(pair->request_id, sizeof(pair->request_id), ex->request_id, ex->id_len);
    capture_reset(&pair->primary_capture, route->shadow.max_body);
    capture_reset(&pair->shadow_capture, route->shadow.max_body);
    return pair;
}

/* ---- the end ---- */

static void count(struct mirror *mirror, enum mirror_reason reason)
{
    count_add(&mirror->counters->mirror[reason], 1);
}

static void update_gauge(struct mirror *mirror)
{
    size_t now = mirror->pending.bytes;
    if (attempt_is_ready(&mirror->attempt))
        now += mirror->attempt.codec->unsent(&mirror->attempt);
    count_add(&mirror->worker->counters.shadow_buffered_bytes, now - mirror->buffered);
    mirror->buffered = now;
}

static void drop_pair(struct mirror *mirror)
{
    if (mirror->pair != NULL) {
        pair_give(mirror->worker, mirror->pair);
        mirror->pair = NULL;
    }
}

static void release(struct mirror *mirror)
{
    struct worker *worker = mirror->worker;
    drop_pair(mirror);
    if (mirror->prev != NULL)
        mirror->prev->next = mirror->next;
    else
        worker->mirrors = mirror->next;
    if (mirror->next != NULL)
        mirror->next->prev = mirror->prev;
    view_unref(mirror->view);
    mirror->next = worker->free_mirrors;
    worker->free_mirrors = mirror;
}

/* When both sides have ended: to the compare thread, or nowhere. */
static void join(struct mirror *mirror)
{
    if (!mirror->shadow_done || !mirror->primary_done)
        return;
    if (mirror->pair != NULL) {
        if (comparer_submit(mirror->worker->comparer, mirror->worker->index, mirror->pair)) {
            mirror->pair = NULL;
            count(mirror, MIRROR_COMPARED);
        } else {
            count(mirror, MIRROR_QUEUE);
        }
    }
    release(mirror);
}

/* The copy is over, one way or the other. */
static void end_shadow(struct mirror *mirror, enum outcome_kind kind)
{
    struct worker *worker = mirror->worker;
    mirror->shadow_done = true;
    wheel_cancel(&worker->wheel, &mirror->timer);
    outq_clear(worker, &mirror->pending);
    if (mirror->head.chunk != NULL)
        chunk_unref(mirror->head.chunk);
    mirror->head.chunk = NULL;
    free((void *)(uintptr_t)mirror->trailers.at);
    mirror->trailers = (struct text){ NULL, 0 };
    update_gauge(mirror);
    count_add(&mirror->counters->mirror_in_flight, (uint64_t)-1);
    count_add(&worker->counters.shadow_in_flight, (uint64_t)-1);
    if (mirror->pair != NULL)
        capture_end(&mirror->pair->shadow_capture, kind, worker->now_us - mirror->started_us);
    join(mirror);
}

/* The copy is given up for a reason that is ours: there is nothing to compare. */
static void give_up(struct mirror *mirror, enum mirror_reason reason)
{
    if (mirror->shadow_done)
        return;
    count(mirror, reason);
    attempt_cancel(&mirror->attempt);
    drop_pair(mirror);
    end_shadow(mirror, OUTCOME_OVERLOADED);
}

/* ---- the copy's response ---- */

static void on_ready(struct attempt *attempt)
{
    struct mirror *mirror = mirror_of(attempt);
    bool sent = attempt->codec->send_head(attempt, mirror->head);
    for (struct segment *s = mirror->pending.first; s != NULL && sent; s = s->next)
        sent = attempt->codec->send_body(attempt, s->slice);
    outq_clear(mirror->worker, &mirror->pending);
    if (sent && mirror->request_ended)
        sent = attempt->codec->send_end(attempt, mirror->trailers);
    if (!sent) {
        give_up(mirror, MIRROR_MEMORY);
        return;
    }
    update_gauge(mirror);
}

static void on_head(struct attempt *attempt, const struct head *head)
{
    struct mirror *mirror = mirror_of(attempt);
    if (head->status < 200) {
        if (head->status == 101)
            give_up(mirror, MIRROR_BAD_RESPONSE);
        return;
    }
    if (mirror->pair != NULL) {
        capture_head(&mirror->pair->shadow_capture, head->status, head->lines.at, head->lines.len);
    }
}

static void on_body(struct attempt *attempt, struct slice slice)
{
    struct mirror *mirror = mirror_of(attempt);
    if (mirror->pair != NULL)
        capture_body(&mirror->pair->shadow_capture, slice.at, slice.len);
}

static void on_end(struct attempt *attempt, struct text trailers)
{
    (void)trailers;
    end_shadow(mirror_of(attempt), OUTCOME_OK);
}

static void on_failed(struct attempt *attempt)
{
    static const enum mirror_reason reasons[OUTCOME_KINDS] = {
        [OUTCOME_CONNECT_FAILED] = MIRROR_CONNECT, [OUTCOME_TIMEOUT] = MIRROR_TIMEOUT,
        [OUTCOME_RESET] = MIRROR_RESET,            [OUTCOME_BAD_RESPONSE] = MIRROR_BAD_RESPONSE,
        [OUTCOME_OVERLOADED] = MIRROR_CONNECT,
    };
    struct mirror *mirror = mirror_of(attempt);
    count(mirror, reasons[attempt->failure]);
    /* Our own shortage says nothing about the backend. */
    if (attempt->failure == OUTCOME_OVERLOADED)
        drop_pair(mirror);
    end_shadow(mirror, attempt->failure);
}

static void on_drained(struct attempt *attempt)
{
    update_gauge(mirror_of(attempt));
}

static const struct attempt_events mirror_events = {
    .on_ready = on_ready,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_failed = on_failed,
    .on_drained = on_drained,
};

static void on_timer(struct timer *timer)
{
    struct mirror *mirror = (struct mirror *)((char *)timer - offsetof(struct mirror, timer));
    attempt_cancel(&mirror->attempt);
    count(mirror, MIRROR_TIMEOUT);
    end_shadow(mirror, OUTCOME_TIMEOUT);
}

/* ---- the exchange's side ---- */

static bool make_head(struct mirror *mirror, const struct exchange *ex)
{
    const struct slice *head = &ex->replay[0];
    uint32_t lines = head->len - 2; /* without the empty line */
    struct chunk *chunk = chunk_take(&ex->worker->chunks, lines + sizeof(shadow_line));
    if (chunk == NULL)
        return false;
    memcpy(chunk->data, head->at, lines);
    memcpy(chunk->data + lines, shadow_line, sizeof(shadow_line) - 1);
    chunk->used = lines + (uint32_t)sizeof(shadow_line) - 1;
    mirror->head = (struct slice){ chunk, chunk->data, chunk->used };
    return true;
}

static struct mirror *mirror_take(struct exchange *ex)
{
    struct worker *worker = ex->worker;
    struct mirror *mirror = worker->free_mirrors;
    if (mirror != NULL) {
        worker->free_mirrors = mirror->next;
        memset(mirror, 0, sizeof(*mirror));
    } else {
        mirror = calloc(1, sizeof(*mirror));
        if (mirror == NULL)
            return NULL;
    }
    mirror->next = worker->mirrors;
    if (worker->mirrors != NULL)
        worker->mirrors->prev = mirror;
    worker->mirrors = mirror;
    mirror->worker = worker;
    mirror->view = view_ref(ex->view);
    mirror->exchange = ex;
    mirror->counters = ex->decision.counters;
    mirror->started_us = worker->now_us;
    return mirror;
}

/* One copy, to `side`. */
static void start_one(struct exchange *ex, const struct head *head, enum pair_kind kind, enum side side, int slot)
{
    struct worker *worker = ex->worker;
    struct route_counters *counters = ex->decision.counters;
    const struct config_shadow *config = &ex->decision.route->shadow;
    if (count_read(&counters->mirror_in_flight) >= worker_part(worker, config->max_in_flight)) {
        count_add(&counters->mirror[MIRROR_IN_FLIGHT], 1);
        return;
    }
    struct upstream *upstream = upstream_find(worker->upstreams, ex->decision.route->side[side], USE_SHADOW);
    struct mirror *mirror = upstream != NULL ? mirror_take(ex) : NULL;
    if (mirror == NULL) {
        count_add(&counters->mirror[MIRROR_MEMORY], 1);
        return;
    }
    mirror->pair = pair_begin(ex, kind);
    if (mirror->pair == NULL || !make_head(mirror, ex)) {
        count(mirror, MIRROR_MEMORY);
        release(mirror);
        return;
    }
    count(mirror, MIRROR_SENT);
    count_add(&counters->mirror_in_flight, 1);
    count_add(&worker->counters.shadow_in_flight, 1);
    mirror->max_buffer = config->max_buffer;
    mirror->request_ended = ex->body_ended;
    mirror->timer.fire = on_timer;
    wheel_set(&worker->wheel, &mirror->timer, worker_now_ms(worker) + config->timeout_ms);
    mirror->attempt.events = &mirror_events;
    mirror->attempt.framing = head->framing;
    mirror->attempt.to_head = head->is_head;
    mirror->attempt.response_timeout_ms = config->timeout_ms;
    ex->mirror[slot] = mirror;
    attempt_start(&mirror->attempt, upstream);
}

void mirror_start(struct exchange *ex, const struct head *head)
{
    enum side primary = ex->decision.side;
    start_one(ex, head, PAIR_CROSS, side_other(primary), 0);
    if (ex->decision.noise && head->is_safe)
        start_one(ex, head, PAIR_NOISE, primary, 1);
}

void mirror_body(struct mirror *mirror, struct slice slice)
{
    if (mirror->shadow_done)
        return;
    struct attempt *attempt = &mirror->attempt;
    bool taken;
    if (attempt_is_ready(attempt)) {
        taken = attempt->codec->send_body(attempt, slice);
        attempt->codec->want_drained(attempt);
    } else {
        taken = outq_add(mirror->worker, &mirror->pending, slice);
        if (taken)
            chunk_ref(slice.chunk);
    }
    update_gauge(mirror);
    if (!taken || mirror->buffered > mirror->max_buffer)
        give_up(mirror, MIRROR_MEMORY);
}

void mirror_body_end(struct mirror *mirror, struct text trailers)
{
    mirror->request_ended = true;
    if (mirror->shadow_done)
        return;
    struct attempt *attempt = &mirror->attempt;
    if (attempt_is_ready(attempt)) {
        if (!attempt->codec->send_end(attempt, trailers))
            give_up(mirror, MIRROR_MEMORY);
        return;
    }
    if (trailers.len == 0)
        return;
    char *copy = malloc(trailers.len);
    if (copy == NULL) {
        give_up(mirror, MIRROR_MEMORY);
        return;
    }
    memcpy(copy, trailers.at, trailers.len);
    mirror->trailers = (struct text){ copy, trailers.len };
}

void mirror_primary_head(struct mirror *mirror, unsigned status, struct text lines)
{
    if (mirror->pair != NULL)
        capture_head(&mirror->pair->primary_capture, status, lines.at, lines.len);
}

void mirror_primary_body(struct mirror *mirror, struct slice slice)
{
    if (mirror->pair != NULL)
        capture_body(&mirror->pair->primary_capture, slice.at, slice.len);
}

void mirror_primary_end(struct mirror *mirror, enum outcome_kind kind, uint64_t latency_us)
{
    mirror->exchange = NULL;
    mirror->primary_done = true;
    if (kind == OUTCOME_OK) {
        if (mirror->pair != NULL)
            capture_end(&mirror->pair->primary_capture, kind, latency_us);
    } else {
        if (mirror->pair != NULL)
            count(mirror, kind == OUTCOME_CLIENT_GONE ? MIRROR_CLIENT_GONE : MIRROR_PRIMARY_FAILED);
        drop_pair(mirror);
    }
    if (!mirror->request_ended && !mirror->shadow_done) {
        /* The rest of the request will never come. */
        attempt_cancel(&mirror->attempt);
        if (mirror->pair != NULL)
            count(mirror, MIRROR_PRIMARY_FAILED);
        drop_pair(mirror);
        end_shadow(mirror, OUTCOME_CLIENT_GONE);
        return;
    }
    join(mirror);
}

/* ---- all of them ---- */

static struct mirror *first_under_way(struct worker *worker)
{
    struct mirror *mirror = worker->mirrors;
    while (mirror != NULL && mirror->shadow_done)
        mirror = mirror->next;
    return mirror;
}

uint32_t mirrors_cancel(struct worker *worker, enum mirror_reason reason)
{
    uint32_t cancelled = 0;
    struct mirror *mirror;
    /* From the front each time: giving one up may end others. */
    while ((mirror = first_under_way(worker)) != NULL) {
        give_up(mirror, reason);
        cancelled++;
    }
    return cancelled;
}

void mirrors_done(struct worker *worker)
{
    mirrors_reclaim(worker);
    while (worker->free_mirrors != NULL) {
        struct mirror *mirror = worker->free_mirrors;
        worker->free_mirrors = mirror->next;
        free(mirror);
    }
    while (worker->free_pairs != NULL) {
        struct pair *pair = worker->free_pairs;
        worker->free_pairs = pair->next;
        pair_free(pair);
    }
}
