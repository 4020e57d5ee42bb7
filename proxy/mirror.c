/*
 * Copies: see mirror.h. Worker thread. Everything here may fail, fall behind or be given up; none of it is ever waited
 * for, and each request's one reason is counted on the route.
 *
 *   HELD --the primary's status is listed--> SENT --answered, failed or given up--> shadow_done --+
 *     |                                                                                           +-- both: join(),
 * release()
 *     +--it is not, or never comes--> given up       the exchange has ended -----> primary_done --+
 *
 * Without shadow.statuses there is no HELD. Memory is counted where it grows: a copy and the request's bytes by
 * update_gauge(), pairs by recount(); has_memory() is asked before. Counted is what is held, not what is of use: a
 * small piece of a body would keep a whole read chunk, so it is copied out of it, and a large one counts as its chunk.
 */
#include "proxy/mirror.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/log.h"
#include "proxy/mirror_breaker.h"
#include "proxy/mirror_head.h"
#include "proxy/worker_inside.h"
#include "proxy/worker_memory.h"
#include "shadow/comparer.h"
#include "shadow/redact.h"

enum {
    FREE_PAIRS = 640,       /* as many as may be on their way to the compare thread and back, and in use */
    MOST_INTERIMS = 64,     /* 1xx heads of one answer: more are no answer */
    ANSWER_BODIES = 64,     /* an answer is digested up to so many times max_body, */
    ANSWER_LEAST = 1 << 20, /* or this many bytes */
    SIMULATED_LINES = 10,   /* in the log, per second and worker */
    COPY_BYTES =
        2048, /* a copy under way besides its head, body and pair: itself, its connection, its place in tables */
    PIECE_MOST =
        4096 - sizeof(struct chunk), /* of a waiting body: smaller pieces are put together in chunks of this size */
};

struct mirror {
    struct attempt attempt;
    struct mirror *next, *prev; /* of the worker's, under way; next also in the free list */
    struct worker *worker;
    struct view *view;                  /* counted */
    struct exchange *exchange;          /* borrowed; NULL once it has ended, or when nothing of it matters any more */
    const struct config_shadow *config; /* of the view */
    const struct config_backend *backend;
    struct route_counters *counters;
    struct copy_state *state; /* in the counters */
    struct pair *pair;        /* owned; NULL when there will be nothing to compare */
    struct timer timer;
    struct slice head;    /* counted */
    struct outq pending;  /* body that came before there was a connection */
    struct chunk *pieces; /* borrowed: of the last segment of `pending`, when it is our own; else NULL */
    size_t pending_held;  /* by the chunks in `pending` */
    struct text trailers; /* malloc'd copy, when they came before there was a connection */
    size_t buffered;      /* as last told to the gauges */
    size_t held_bytes;    /* likewise: memory */
    uint64_t answer_bytes;
    uint64_t started_us;
    uint32_t interims;
    enum side primary;
    bool noise; /* goes to the primary's own side */
    bool held;  /* waits for the primary's status */
    bool sent, probe;
    bool counted; /* its final reason has been */
    bool request_ended;
    bool shadow_done, primary_done;
};

static const struct attempt_events mirror_events;

static struct mirror *mirror_of(struct attempt *attempt)
{
    return (struct mirror *)((char *)attempt - offsetof(struct mirror, attempt));
}

/* ---- memory ---- */

static void discard_pair(struct worker *worker, struct pair *pair)
{
    count_add(&worker->counters.shadow_memory_bytes, (uint64_t)0 - pair->counted);
    pair_free(pair);
}

/* Tells the gauge what the pair holds now. */
static void recount(struct worker *worker, struct pair *pair)
{
    size_t now = pair_bytes(pair);
    if (now > pair->counted)
        worker_memory_grew(worker, now - pair->counted);
    count_add(&worker->counters.shadow_memory_bytes, now - pair->counted);
    pair->counted = now;
}

static void drop_spare_pairs(struct worker *worker, uint32_t keep)
{
    while (worker->free_pair_count > keep) {
        struct pair *pair = worker->free_pairs;
        worker->free_pairs = pair->next;
        worker->free_pair_count--;
        discard_pair(worker, pair);
    }
}

static bool fits(const struct worker *worker, size_t more)
{
    return worker->counters.shadow_memory_bytes + more <= worker->shadow_bound;
}

/* May copies take `more` bytes? What only lies ready is given back first. */
static bool has_memory(struct worker *worker, size_t more)
{
    if (fits(worker, more))
        return true;
    mirrors_reclaim(worker);
    drop_spare_pairs(worker, 0);
    return fits(worker, more);
}

/* ---- pairs ---- */

static struct pair *pair_take(struct worker *worker)
{
    if (worker->free_pairs == NULL)
        mirrors_reclaim(worker);
    struct pair *pair = worker->free_pairs;
    if (pair == NULL) {
        pair = has_memory(worker, sizeof(*pair)) ? pair_new() : NULL;
        if (pair != NULL)
            recount(worker, pair);
        return pair;
    }
    worker->free_pairs = pair->next;
    worker->free_pair_count--;
    return pair;
}

static void pair_give(struct worker *worker, struct pair *pair)
{
    view_unref(pair->holder);
    pair->holder = NULL;
    if (worker->free_pair_count >= FREE_PAIRS) {
        discard_pair(worker, pair);
        return;
    }
    recount(worker, pair);
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

static void drop_spare_mirrors(struct worker *worker)
{
    while (worker->free_mirrors != NULL) {
        struct mirror *mirror = worker->free_mirrors;
        worker->free_mirrors = mirror->next;
        free(mirror);
    }
}

void mirrors_trim(struct worker *worker)
{
    drop_spare_pairs(worker, 0);
    drop_spare_mirrors(worker);
}

static void copy_text(char *to, size_t room, const char *from, size_t len)
{
    if (len > room - 1)
        len = room - 1;
    memcpy(to, from, len);
    to[len] = '\0';
}

/* The head's field lines as the primary got them. */
static void capture_request(struct pair *pair, const struct slice *head)
{
    const char *lines = memchr(head->at, '\n', head->len);
    size_t skipped = lines != NULL ? (size_t)(lines + 1 - head->at) : head->len;
    capture_reset(&pair->request, PAIR_REQUEST_BODY);
    if (head->len >= skipped + 2)
        capture_head(&pair->request, 0, head->at + skipped, head->len - skipped - 2);
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
    pair->key_mark = ex->decision.key_mark;
    pair->path_mark = ex->decision.path_mark;
    copy_text(pair->method, sizeof(pair->method), line, ex->method_len);
    copy_text(pair->target, sizeof(pair->target), line + ex->method_len + 1, ex->target_len);
    copy_text(pair->request_id, sizeof(pair->request_id), ex->request_id, ex->id_len);
    capture_request(pair, &ex->replay[0]);
    capture_reset(&pair->primary_capture, route->shadow.max_body);
    capture_reset(&pair->shadow_capture, route->shadow.max_body);
    recount(ex->worker, pair);
    return pair;
}

/* ---- the end ---- */

static void count(struct mirror *mirror, enum mirror_reason reason)
{
    count_add(&mirror->counters->mirror[mirror->primary][reason], 1);
}

/* Where this request's way ends. What comes first is the reason: the rest follows from it. */
static void conclude(struct mirror *mirror, enum mirror_reason reason)
{
    if (mirror->counted)
        return;
    mirror->counted = true;
    if (mirror->noise)
        reason = reason == MIRROR_COMPARED ? MIRROR_NOISE_COMPARED : MIRROR_NOISE_DROPPED;
    count(mirror, reason);
}

static size_t chunk_bytes(const struct chunk *chunk)
{
    return sizeof(*chunk) + chunk->size;
}

static void update_gauge(struct mirror *mirror)
{
    size_t unsent = attempt_is_ready(&mirror->attempt) ? mirror->attempt.codec->unsent(&mirror->attempt) : 0;
    size_t buffered = mirror->pending.bytes + unsent;
    size_t held = mirror->pending_held + mirror->trailers.len + unsent;
    if (mirror->head.chunk != NULL)
        held += COPY_BYTES + chunk_bytes(mirror->head.chunk);
    struct worker_counters *counters = &mirror->worker->counters;
    count_add(&counters->shadow_buffered_bytes, buffered - mirror->buffered);
    count_add(&counters->shadow_memory_bytes, held - mirror->held_bytes);
    mirror->buffered = buffered;
    mirror->held_bytes = held;
}

static void drop_pending(struct mirror *mirror)
{
    outq_clear(mirror->worker, &mirror->pending);
    mirror->pieces = NULL;
    mirror->pending_held = 0;
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
            conclude(mirror, MIRROR_COMPARED);
        } else {
            conclude(mirror, MIRROR_QUEUE);
        }
    }
    release(mirror);
}

/* The copy is over, one way or the other. */
static void end_shadow(struct mirror *mirror, enum outcome_kind kind, enum copy_result result)
{
    struct worker *worker = mirror->worker;
    mirror->shadow_done = true;
    wheel_cancel(&worker->wheel, &mirror->timer);
    drop_pending(mirror);
    if (mirror->head.chunk != NULL)
        chunk_unref(mirror->head.chunk);
    mirror->head.chunk = NULL;
    free((void *)(uintptr_t)mirror->trailers.at);
    mirror->trailers = (struct text){NULL, 0};
    update_gauge(mirror);
    count_add(&mirror->counters->mirror_in_flight, (uint64_t)-1);
    count_add(&worker->counters.shadow_in_flight, (uint64_t)-1);
    if (mirror->sent)
        mirror_breaker_report(mirror->state, &mirror->config->breaker, mirror->probe, result, worker_now_ms(worker),
                              worker_random(worker));
    if (mirror->pair != NULL)
        capture_end(&mirror->pair->shadow_capture, kind, worker->now_us - mirror->started_us);
    join(mirror);
}

/* The exchange has nothing to tell any more. */
static void forget_exchange(struct mirror *mirror)
{
    struct exchange *ex = mirror->exchange;
    mirror->exchange = NULL;
    mirror->primary_done = true;
    for (int i = 0; ex != NULL && i < EXCHANGE_MIRRORS; i++) {
        if (ex->mirror[i] == mirror)
            ex->mirror[i] = NULL;
    }
}

/* There will be nothing to compare: the copy is given up, if it is still under way. The mirror may be gone on return.
 */
static void give_up(struct mirror *mirror, enum mirror_reason reason, enum copy_result result)
{
    conclude(mirror, reason);
    drop_pair(mirror);
    forget_exchange(mirror);
    if (mirror->shadow_done) {
        join(mirror);
        return;
    }
    attempt_cancel(&mirror->attempt);
    end_shadow(mirror, OUTCOME_OVERLOADED, result);
}

/* ---- what is kept of both answers ---- */

/* Bytes of an answer that are digested before it is too large. */
static uint64_t answer_bound(const struct mirror *mirror)
{
    uint64_t bound = (uint64_t)mirror->config->max_body * ANSWER_BODIES;
    return bound > ANSWER_LEAST ? bound : ANSWER_LEAST;
}

/* See make_room(). */
static bool may_grow(struct mirror *mirror, const struct capture *capture, size_t len)
{
    size_t growth = capture_growth(capture, len);
    if (growth == 0 || has_memory(mirror->worker, growth))
        return true;
    give_up(mirror, MIRROR_MEMORY, COPY_UNKNOWN);
    return false;
}

/* Room for `len` bytes that are to be kept. False: there is none, the mirror has been given up. */
static bool make_room(struct mirror *mirror, const struct capture *capture, size_t len)
{
    /* Nearly always there is: a capture keeps its buffer. */
    return len <= capture->room - capture->len || may_grow(mirror, capture, len);
}

static void note_growth(struct mirror *mirror, const struct capture *capture, size_t room_before)
{
    if (capture->room != room_before)
        recount(mirror->worker, mirror->pair);
}

static bool keep_head(struct mirror *mirror, struct capture *capture, unsigned status, struct text lines)
{
    if (!make_room(mirror, capture, lines.len))
        return false;
    size_t room = capture->room;
    capture_head(capture, status, lines.at, lines.len);
    note_growth(mirror, capture, room);
    return true;
}

static bool keep_body(struct mirror *mirror, struct capture *capture, struct slice slice)
{
    if (!make_room(mirror, capture, slice.len))
        return false;
    size_t room = capture->room;
    capture_body(capture, slice.at, slice.len);
    note_growth(mirror, capture, room);
    return true;
}

/* What stands behind a body: how a gRPC call ended. Without memory the pair is told to be incomparable; the copy is
 * over anyway. */
static void keep_trailers(struct mirror *mirror, struct capture *capture, struct text trailers)
{
    if (trailers.len == 0)
        return;
    size_t room = capture->room;
    if (trailers.len > room - capture->len && !has_memory(mirror->worker, room + CAPTURE_TRAILERS))
        capture->failed = true;
    capture_trailers(capture, trailers.at, trailers.len);
    note_growth(mirror, capture, room);
}

/* ---- the copy's response ---- */

static void on_ready(struct attempt *attempt)
{
    struct mirror *mirror = mirror_of(attempt);
    bool sent = attempt->codec->send_head(attempt, mirror->head);
    for (struct segment *s = mirror->pending.first; s != NULL && sent; s = s->next)
        sent = attempt->codec->send_body(attempt, s->slice);
    drop_pending(mirror);
    if (sent && mirror->request_ended)
        sent = attempt->codec->send_end(attempt, mirror->trailers);
    if (!sent) {
        give_up(mirror, MIRROR_MEMORY, COPY_UNKNOWN);
        return;
    }
    update_gauge(mirror);
}

static void on_head(struct attempt *attempt, const struct head *head)
{
    struct mirror *mirror = mirror_of(attempt);
    if (head->status < 200) {
        if (head->status == 101 || ++mirror->interims > MOST_INTERIMS)
            give_up(mirror, MIRROR_BAD_RESPONSE, COPY_FAILED);
        return;
    }
    if (mirror->pair != NULL)
        (void)keep_head(mirror, &mirror->pair->shadow_capture, head->status, head->lines);
}

static void on_body(struct attempt *attempt, struct slice slice)
{
    struct mirror *mirror = mirror_of(attempt);
    mirror->answer_bytes += slice.len;
    if (mirror->answer_bytes > answer_bound(mirror))
        give_up(mirror, MIRROR_BODY_TOO_LARGE, COPY_ANSWERED);
    else if (mirror->pair != NULL)
        (void)keep_body(mirror, &mirror->pair->shadow_capture, slice);
}

static void on_end(struct attempt *attempt, struct text trailers)
{
    struct mirror *mirror = mirror_of(attempt);
    if (mirror->pair != NULL)
        keep_trailers(mirror, &mirror->pair->shadow_capture, trailers);
    end_shadow(mirror, OUTCOME_OK, COPY_ANSWERED);
}

static void on_failed(struct attempt *attempt)
{
    static const enum mirror_reason reasons[OUTCOME_KINDS] = {
        [OUTCOME_CONNECT_FAILED] = MIRROR_CONNECT,
        [OUTCOME_TIMEOUT] = MIRROR_TIMEOUT,
        [OUTCOME_RESET] = MIRROR_RESET,
        [OUTCOME_BAD_RESPONSE] = MIRROR_BAD_RESPONSE,
        [OUTCOME_OVERLOADED] = MIRROR_CONNECT,
    };
    struct mirror *mirror = mirror_of(attempt);
    bool ours = attempt->failure == OUTCOME_OVERLOADED;
    conclude(mirror, reasons[attempt->failure]);
    /* Our own shortage says nothing about the backend. */
    if (ours)
        drop_pair(mirror);
    end_shadow(mirror, attempt->failure, ours ? COPY_UNKNOWN : COPY_FAILED);
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
    conclude(mirror, MIRROR_TIMEOUT);
    /* A client that takes its time over the request is not the backend's fault. */
    end_shadow(mirror, OUTCOME_TIMEOUT, mirror->request_ended ? COPY_FAILED : COPY_UNKNOWN);
}

/* ---- the exchange's side ---- */

static bool make_head(struct mirror *mirror, const struct exchange *ex)
{
    const struct mirror_head head = {
        .original = {ex->replay[0].at, ex->replay[0].len},
        .shadow = mirror->config,
        .backend = mirror->backend,
    };
    struct chunk *chunk = chunk_take(&ex->worker->chunks, mirror_head_bound(&head));
    if (chunk == NULL)
        return false;
    chunk->used = (uint32_t)mirror_head_write(chunk->data, &head);
    mirror->head = (struct slice){chunk, chunk->data, chunk->used};
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
    mirror->config = &ex->decision.route->shadow;
    mirror->counters = ex->decision.counters;
    mirror->primary = ex->decision.side;
    return mirror;
}

/* What the route's limits say to one more copy; MIRROR_SENT: it may go, and has taken its place. */
static enum mirror_reason ask_limits(struct worker *worker, struct route_counters *counters, enum side side,
                                     const struct config_shadow *config)
{
    if (!mirror_breaker_allows(&counters->copies[side], &config->breaker, worker_now_ms(worker)))
        return MIRROR_BREAKER;
    if (!mirror_rate_allows(&counters->copies_due_ns, worker_part(worker, config->max_rate), worker->now_us))
        return MIRROR_RATE_LIMIT;
    return MIRROR_SENT;
}

/* The copy goes. The mirror may be gone on return. */
static void send_copy(struct mirror *mirror)
{
    struct worker *worker = mirror->worker;
    const struct config_shadow *config = mirror->config;
    struct upstream *upstream = upstream_find(worker->upstreams, mirror->backend, USE_SHADOW);
    if (upstream == NULL) { /* removed from the file while the request came */
        give_up(mirror, MIRROR_CONNECT, COPY_UNKNOWN);
        return;
    }
    count(mirror, mirror->noise ? MIRROR_NOISE_SENT : MIRROR_SENT);
    mirror->held = false;
    mirror->sent = true;
    mirror->probe = mirror_breaker_enter(mirror->state, &config->breaker);
    mirror->started_us = worker->now_us;
    mirror->timer.fire = on_timer;
    wheel_set(&worker->wheel, &mirror->timer, worker_now_ms(worker) + config->timeout_ms);
    attempt_start(&mirror->attempt, upstream);
}

/* ---- shadow.statuses ---- */

static bool status_is_listed(const struct config_shadow *config, unsigned status)
{
    for (uint32_t i = 0; i < config->status_count; i++) {
        if (status >= config->statuses[i].from && status <= config->statuses[i].to)
            return true;
    }
    return false;
}

/* The side that was asked first has answered with this status. The mirror may be gone on return. */
static void release_held(struct mirror *mirror, unsigned status)
{
    enum side side = mirror->noise ? mirror->primary : side_other(mirror->primary);
    enum mirror_reason reason = MIRROR_STATUS;
    if (status_is_listed(mirror->config, status))
        reason = ask_limits(mirror->worker, mirror->counters, side, mirror->config);
    if (reason == MIRROR_SENT)
        send_copy(mirror);
    else
        give_up(mirror, reason, COPY_UNKNOWN);
}

static void count_refused(struct exchange *ex, enum pair_kind kind, enum mirror_reason reason)
{
    if (kind == PAIR_NOISE)
        reason = MIRROR_NOISE_DROPPED;
    else
        ex->decision.mirror = reason; /* for the access log */
    count_add(&ex->decision.counters->mirror[ex->decision.side][reason], 1);
}

/* Makes the copy, to `side`; NULL without memory. */
static struct mirror *prepare(struct exchange *ex, const struct head *head, enum pair_kind kind, enum side side)
{
    struct worker *worker = ex->worker;
    if (!has_memory(worker, COPY_BYTES + 2 * (size_t)ex->replay[0].len))
        return NULL;
    struct mirror *mirror = mirror_take(ex);
    if (mirror == NULL)
        return NULL;
    mirror->noise = kind == PAIR_NOISE;
    mirror->backend = ex->decision.route->side[side];
    mirror->state = &mirror->counters->copies[side];
    mirror->request_ended = ex->body_ended;
    mirror->attempt.events = &mirror_events;
    mirror->attempt.framing = head->framing;
    mirror->attempt.to_head = head->is_head;
    mirror->attempt.response_timeout_ms = mirror->config->timeout_ms;
    mirror->pair = pair_begin(ex, kind);
    if (mirror->pair == NULL || !make_head(mirror, ex)) {
        release(mirror);
        return NULL;
    }
    update_gauge(mirror);
    return mirror;
}

/* One copy, to `side`. */
static void start_one(struct exchange *ex, const struct head *head, enum pair_kind kind, enum side side, int slot)
{
    struct worker *worker = ex->worker;
    struct route_counters *counters = ex->decision.counters;
    const struct config_shadow *config = &ex->decision.route->shadow;
    bool held = config->status_count > 0;
    enum mirror_reason reason = MIRROR_SENT;
    if (count_read(&counters->mirror_in_flight) >= worker_part(worker, config->max_in_flight))
        reason = MIRROR_IN_FLIGHT;
    else if (!held)
        reason = ask_limits(worker, counters, side, config);
    struct mirror *mirror = reason == MIRROR_SENT ? prepare(ex, head, kind, side) : NULL;
    if (mirror == NULL) {
        count_refused(ex, kind, reason == MIRROR_SENT ? MIRROR_MEMORY : reason);
        return;
    }
    count_add(&counters->mirror_in_flight, 1);
    count_add(&worker->counters.shadow_in_flight, 1);
    ex->mirror[slot] = mirror;
    if (held)
        mirror->held = true;
    else
        send_copy(mirror);
}

void mirror_start(struct exchange *ex, const struct head *head)
{
    enum side primary = ex->decision.side;
    if (ex->decision.route->shadow.simulate) {
        ex->simulated = true;
        ex->decision.mirror = MIRROR_SIMULATED;
        return;
    }
    if (worker_memory_is_short(ex->worker)) {
        count_refused(ex, PAIR_CROSS, MIRROR_MEMORY);
        return;
    }
    start_one(ex, head, PAIR_CROSS, side_other(primary), 0);
    if (ex->mirror[0] != NULL && ex->decision.noise && head->is_safe)
        start_one(ex, head, PAIR_NOISE, primary, 1);
}

void mirror_refused(struct exchange *ex, enum mirror_reason reason)
{
    count_refused(ex, PAIR_CROSS, reason);
}

/* ---- read_only: simulate ---- */

/* Why a copy would not have been sent; MIRROR_SIMULATED: it would. */
static enum mirror_reason simulated_reason(const struct exchange *ex)
{
    const struct config_shadow *config = &ex->decision.route->shadow;
    if (config->status_count > 0) {
        if (ex->status == 0)
            return ex->outcome == OUTCOME_CLIENT_GONE ? MIRROR_CLIENT_GONE : MIRROR_PRIMARY_FAILED;
        if (!status_is_listed(config, ex->status))
            return MIRROR_STATUS;
    }
    if (!mirror_rate_allows(&ex->decision.counters->copies_due_ns, worker_part(ex->worker, config->max_rate),
                            ex->worker->now_us))
        return MIRROR_RATE_LIMIT;
    return MIRROR_SIMULATED;
}

/* What would have been sent, without a value of it: who reads the log need not be allowed to read requests. */
static void log_simulated(struct exchange *ex)
{
    const struct veil veil = {.values = SAMPLES_REDACTED,
                              .deny = ex->decision.route->shadow.samples.deny,
                              .deny_count = ex->decision.route->shadow.samples.deny_count};
    struct worker *worker = ex->worker;
    const char *line = ex->replay[0].at;
    char method[PAIR_METHOD_ROOM], target[PAIR_TARGET_ROOM], shown[2 * PAIR_TARGET_ROOM], id[2 * EXCHANGE_ID_ROOM];
    (void)redact_clean(method, sizeof(method), line, ex->method_len);
    copy_text(target, sizeof(target), line + ex->method_len + 1, ex->target_len);
    redact_target(shown, sizeof(shown), &veil, target);
    (void)redact_clean(id, sizeof(id), ex->request_id, ex->id_len);
    log_event(worker->log, LOG_LEVEL_INFO, "shadow_simulated",
              json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "route", ex->decision.route->name, "to",
                        side_name(side_other(ex->decision.side)), "method", method, "target", shown, "request_id", id,
                        "body_bytes", (json_int_t)ex->bytes_in, "not_logged", (json_int_t)worker->simulated_unlogged));
}

void mirror_simulated(struct exchange *ex)
{
    struct worker *worker = ex->worker;
    enum mirror_reason reason = simulated_reason(ex);
    count_refused(ex, PAIR_CROSS, reason);
    if (reason != MIRROR_SIMULATED || ex->replay_count == 0)
        return;
    if (!mirror_rate_allows(&worker->simulated_due_ns, SIMULATED_LINES, worker->now_us)) {
        worker->simulated_unlogged++;
        return;
    }
    log_simulated(ex);
    worker->simulated_unlogged = 0;
}

/* ---- the request's body and the primary's answer ---- */

/* Room for a small piece behind the last one. False without memory. */
static bool make_piece_room(struct mirror *mirror, uint32_t len)
{
    if (mirror->pieces != NULL && chunk_room(mirror->pieces) >= len)
        return true;
    /* Most bodies are one piece: only one that drips takes more than it needs. */
    struct chunk *chunk = chunk_take(&mirror->worker->chunks, mirror->pending.first == NULL ? len : PIECE_MOST);
    if (chunk == NULL)
        return false;
    if (!outq_add(mirror->worker, &mirror->pending, (struct slice){chunk, chunk->data, 0})) {
        chunk_unref(chunk);
        return false;
    }
    mirror->pieces = chunk;
    mirror->pending_held += chunk_bytes(chunk);
    return true;
}

static bool keep_piece(struct mirror *mirror, struct slice slice)
{
    if (!make_piece_room(mirror, slice.len))
        return false;
    memcpy(chunk_tail(mirror->pieces), slice.at, slice.len);
    mirror->pieces->used += slice.len;
    mirror->pending.last->slice.len += slice.len;
    mirror->pending.bytes += slice.len;
    return true;
}

/* Keeps the body until there is a connection: of a large piece a reference. What follows its predecessor costs nothing
 * more. */
static bool keep_pending(struct mirror *mirror, struct slice slice)
{
    struct segment *last = mirror->pending.last;
    if (last != NULL && last->slice.chunk == slice.chunk && last->slice.at + last->slice.len == slice.at) {
        last->slice.len += slice.len;
        mirror->pending.bytes += slice.len;
        return true;
    }
    if (slice.len <= PIECE_MOST)
        return keep_piece(mirror, slice);
    if (!outq_add(mirror->worker, &mirror->pending, slice))
        return false;
    chunk_ref(slice.chunk);
    mirror->pieces = NULL;
    mirror->pending_held += chunk_bytes(slice.chunk);
    return true;
}

static bool keep_request(struct mirror *mirror, struct slice slice)
{
    struct capture *capture = &mirror->pair->request;
    if (!make_room(mirror, capture, slice.len))
        return false;
    size_t room = capture->room;
    capture_beginning(capture, slice.at, slice.len);
    note_growth(mirror, capture, room);
    return true;
}

void mirror_body(struct mirror *mirror, struct slice slice)
{
    if (mirror->pair != NULL && !keep_request(mirror, slice))
        return;
    if (mirror->shadow_done)
        return;
    struct attempt *attempt = &mirror->attempt;
    bool taken;
    if (attempt_is_ready(attempt)) {
        taken = attempt->codec->send_body(attempt, slice);
        attempt->codec->want_drained(attempt);
    } else {
        taken = keep_pending(mirror, slice);
    }
    update_gauge(mirror);
    if (mirror->buffered > mirror->config->max_buffer)
        give_up(mirror, mirror->held ? MIRROR_BODY_TOO_LARGE : MIRROR_MEMORY, COPY_UNKNOWN);
    else if (!taken || !has_memory(mirror->worker, 0))
        give_up(mirror, MIRROR_MEMORY, COPY_UNKNOWN);
}

void mirror_body_end(struct mirror *mirror, struct text trailers)
{
    mirror->request_ended = true;
    if (mirror->shadow_done)
        return;
    struct attempt *attempt = &mirror->attempt;
    if (attempt_is_ready(attempt)) {
        if (!attempt->codec->send_end(attempt, trailers))
            give_up(mirror, MIRROR_MEMORY, COPY_UNKNOWN);
        return;
    }
    if (trailers.len == 0)
        return;
    char *copy = has_memory(mirror->worker, trailers.len) ? malloc(trailers.len) : NULL;
    if (copy == NULL) {
        give_up(mirror, MIRROR_MEMORY, COPY_UNKNOWN);
        return;
    }
    memcpy(copy, trailers.at, trailers.len);
    mirror->trailers = (struct text){copy, trailers.len};
    update_gauge(mirror);
}

void mirror_primary_head(struct mirror *mirror, unsigned status, struct text lines)
{
    if (mirror->pair != NULL && !keep_head(mirror, &mirror->pair->primary_capture, status, lines))
        return;
    if (mirror->held)
        release_held(mirror, status);
}

void mirror_primary_body(struct mirror *mirror, struct slice slice)
{
    if (mirror->pair == NULL)
        return;
    struct capture *capture = &mirror->pair->primary_capture;
    if (capture->body_len + slice.len > answer_bound(mirror))
        give_up(mirror, MIRROR_BODY_TOO_LARGE, COPY_UNKNOWN);
    else
        (void)keep_body(mirror, capture, slice);
}

void mirror_primary_trailers(struct mirror *mirror, struct text trailers)
{
    if (mirror->pair != NULL)
        keep_trailers(mirror, &mirror->pair->primary_capture, trailers);
}

void mirror_fell_back(struct mirror *mirror, unsigned status)
{
    /* The answer of the side that was asked first is lost, so that there is nothing to compare, whatever its status. */
    if (mirror->held)
        give_up(mirror,
                status != 0 && !status_is_listed(mirror->config, status) ? MIRROR_STATUS : MIRROR_PRIMARY_FAILED,
                COPY_UNKNOWN);
}

void mirror_primary_end(struct mirror *mirror, enum outcome_kind kind, uint64_t latency_us)
{
    enum mirror_reason reason = kind == OUTCOME_OK            ? MIRROR_CUT_SHORT
                                : kind == OUTCOME_CLIENT_GONE ? MIRROR_CLIENT_GONE
                                                              : MIRROR_PRIMARY_FAILED;
    if (mirror->held || (!mirror->request_ended && !mirror->shadow_done)) {
        /* It was never to be sent, or the rest of the request will never come. */
        give_up(mirror, reason, COPY_UNKNOWN);
        return;
    }
    mirror->exchange = NULL;
    mirror->primary_done = true;
    if (kind != OUTCOME_OK) {
        conclude(mirror, reason);
        drop_pair(mirror);
    } else if (mirror->pair != NULL) {
        capture_end(&mirror->pair->request, OUTCOME_OK, 0);
        capture_end(&mirror->pair->primary_capture, kind, latency_us);
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
        give_up(mirror, reason, COPY_UNKNOWN);
        cancelled++;
    }
    return cancelled;
}

void mirrors_shed(struct worker *worker, enum mirror_reason reason)
{
    while (worker->mirrors != NULL)
        give_up(worker->mirrors, reason, COPY_UNKNOWN);
}

void mirrors_done(struct worker *worker)
{
    mirrors_reclaim(worker);
    mirrors_trim(worker);
}
