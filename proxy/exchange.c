/*
 * Exchanges: see exchange.h. Worker thread. Reads no socket and knows no codec; what it decides is what happens when:
 * which backend, another try or not, what the client gets when there is no answer, and who is told in the end.
 */
#include "proxy/exchange.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "proxy/grpc.h"
#include "proxy/h1.h"
#include "proxy/log.h"
#include "proxy/mirror.h"
#include "proxy/text.h"
#include "proxy/tunnel.h"
#include "proxy/worker_inside.h"
#include "proxy/worker_memory.h"

enum {
    HIGH_WATER = 128 * 1024,
    HIGH_WATER_SHORT = 8 * 1024, /* while memory is short */
    REPLAY_BYTES = 64 * 1024,    /* of a body kept for another try */
    RAW_TURN = 1024 * 1024,      /* moved inside the kernel before others have their turn */
    FREE_EXCHANGES = 1024,
};

/* What the client is told when no backend answered. */
static const struct {
    uint16_t status;
    const char *text;
} failures[OUTCOME_KINDS] = {
    [OUTCOME_CONNECT_FAILED] = {502, "the backend cannot be reached"},
    [OUTCOME_TIMEOUT] = {504, "the backend did not answer in time"},
    [OUTCOME_RESET] = {502, "the backend closed the connection before its response was complete"},
    [OUTCOME_BAD_RESPONSE] = {502, "the backend sent an invalid response"},
    [OUTCOME_OVERLOADED] = {503, "no connection to the backend is free"},
};

static const struct attempt_events primary_events;

static struct exchange *exchange_of(struct attempt *attempt)
{
    return (struct exchange *)((char *)attempt - offsetof(struct exchange, attempt));
}

/* ---- memory ---- */

static struct exchange *exchange_take(struct worker *worker)
{
    struct exchange *ex = worker->free_exchanges;
    if (ex == NULL)
        return calloc(1, sizeof(*ex));
    worker->free_exchanges = ex->next_free;
    worker->free_exchange_count--;
    memset(ex, 0, offsetof(struct exchange, replay));
    return ex;
}

static void exchange_give(struct worker *worker, struct exchange *ex)
{
    if (worker->free_exchange_count >= FREE_EXCHANGES) {
        free(ex);
        return;
    }
    ex->next_free = worker->free_exchanges;
    worker->free_exchanges = ex;
    worker->free_exchange_count++;
}

void exchanges_done(struct worker *worker)
{
    while (worker->free_exchanges != NULL) {
        struct exchange *ex = worker->free_exchanges;
        worker->free_exchanges = ex->next_free;
        free(ex);
    }
    worker->free_exchange_count = 0;
}

/* Unsent bytes that stop the reading on the other side. */
static size_t high_water(const struct exchange *ex)
{
    if (!worker_memory_is_short(ex->worker))
        return HIGH_WATER;
    return memory_is_scarce(ex->worker->memory) ? 0 : HIGH_WATER_SHORT; /* 0: one piece after the other */
}

/* ---- what may be sent again ---- */

static void replay_drop(struct exchange *ex, uint32_t keep)
{
    while (ex->replay_count > keep)
        chunk_unref(ex->replay[--ex->replay_count].chunk);
    if (keep <= 1) {
        ex->replay_bytes = 0;
        free((void *)(uintptr_t)ex->request_trailers.at);
        ex->request_trailers = (struct text){NULL, 0};
    }
}

static void replay_add(struct exchange *ex, struct slice slice)
{
    if (!ex->replayable)
        return;
    if (ex->replay_count == EXCHANGE_REPLAY || ex->replay_bytes + slice.len > REPLAY_BYTES) {
        ex->replayable = false;
        replay_drop(ex, 1);
        return;
    }
    slice.chunk = chunk_ref(slice.chunk);
    ex->replay[ex->replay_count++] = slice;
    ex->replay_bytes += slice.len;
}

static bool replay_send(struct exchange *ex)
{
    struct attempt *attempt = &ex->attempt;
    if (!attempt->codec->send_head(attempt, ex->replay[0]))
        return false;
    for (uint32_t i = 1; i < ex->replay_count; i++) {
        if (!attempt->codec->send_body(attempt, ex->replay[i]))
            return false;
    }
    return !ex->body_ended || attempt->codec->send_end(attempt, ex->request_trailers);
}

/* ---- the end ---- */

/* The Host as it was sent on: the first field of that name in the head. */
static struct text host_of(const struct slice *head)
{
    const char *end = head->at + head->len;
    for (const char *line = memchr(head->at, '\n', head->len); line != NULL && end - line > 6;
         line = memchr(line + 1, '\n', (size_t)(end - line - 1))) {
        if (strncasecmp(line + 1, "host:", 5) != 0)
            continue;
        const char *at = line + 6;
        while (*at == ' ' || *at == '\t')
            at++;
        const char *stop = memchr(at, '\r', (size_t)(end - at));
        return (struct text){at, stop != NULL ? (uint32_t)(stop - at) : 0};
    }
    return (struct text){NULL, 0};
}

static void write_access_log(struct exchange *ex, uint64_t now_us)
{
    struct worker *worker = ex->worker;
    char client[64];
    size_t client_len = client_address_print(&ex->client, client, sizeof(client));
    const char *line = ex->replay[0].at;
    struct access_record record = {
        .wall_ms = ex->wall_ms,
        .method = {line, ex->method_len},
        .target = {line + ex->method_len + 1, ex->target_len},
        .host = host_of(&ex->replay[0]),
        .request_id = {ex->request_id, ex->id_len},
        .client = {client, (uint32_t)client_len},
        .route = ex->decision.route != NULL ? ex->decision.route->name : NULL,
        .samples = ex->decision.route != NULL ? &ex->decision.route->shadow.samples : NULL,
        .side = side_name(ex->side),
        .reason = decision_reason_name(ex->decision.reason),
        .outcome = outcome_kind_name(ex->outcome),
        .upstream = ex->attempt.endpoint[0] != '\0' ? ex->attempt.endpoint : NULL,
        .status = ex->client_status,
        .version_major = ex->http2 ? 2 : 1,
        .version_minor = ex->http2 ? 0 : ex->minor,
        .bytes_in = ex->bytes_in,
        .bytes_out = ex->bytes_out,
        .duration_us = now_us - ex->started_us,
        .upstream_us = ex->answered_us != 0 ? ex->answered_us - ex->started_us : 0,
        .mirrored = ex->decision.mirror == MIRROR_SENT,
        .fell_back = ex->fell_back,
        .retried = ex->retried,
        .is_grpc = ex->grpc && ex->grpc_status != GRPC_NONE,
        .grpc_status = ex->grpc_status,
        .error = ex->failure,
        .cohort = ex->decision.cohort,
    };
    if (!access_log_write(worker->access_log, &record))
        count_add(&worker->counters.access_log_dropped, 1);
}

/* Tells everybody how it ended and frees the exchange. The stream has been let go of before. */
static void conclude(struct exchange *ex)
{
    struct worker *worker = ex->worker;
    /* A tunnel lasts as long as people like it to: what counts is how soon it stood. */
    uint64_t latency_us = (ex->tunnel ? ex->answered_us : worker->now_us) - ex->started_us;
    for (int i = 0; i < EXCHANGE_MIRRORS; i++) {
        if (ex->mirror[i] != NULL)
            mirror_primary_end(ex->mirror[i], ex->fell_back ? OUTCOME_RESET : ex->outcome, latency_us);
    }
    if (ex->simulated)
        mirror_simulated(ex);
    struct outcome outcome = {
        .kind = ex->outcome,
        .status = ex->status,
        .client_status = ex->client_status,
        .fell_back = ex->fell_back,
        .is_grpc = ex->grpc && ex->grpc_status != GRPC_NONE,
        .grpc_status = ex->grpc_status,
        .latency_us = latency_us,
    };
    router_observe(ex->view->snapshot->view, worker->index, &ex->decision, &outcome);
    if (ex->log && ex->replay_count > 0)
        write_access_log(ex, worker->now_us);
    pump_close(worker, &ex->pump);
    replay_drop(ex, 0);
    view_unref(ex->view);
    worker->exchanges_open--;
    exchange_give(worker, ex);
}

static struct server_stream *let_go_of_stream(struct exchange *ex)
{
    struct server_stream *stream = ex->stream;
    ex->stream = NULL;
    if (stream != NULL)
        stream->exchange = NULL;
    return stream;
}

/* Until a call's deadline, in ms. */
static uint64_t time_left(const struct exchange *ex)
{
    uint64_t now_ms = worker_now_ms(ex->worker);
    if (ex->deadline_ms == 0)
        return UINT64_MAX;
    return ex->deadline_ms > now_ms ? ex->deadline_ms - now_ms : 0;
}

static bool deadline_passed(const struct exchange *ex)
{
    return time_left(ex) == 0;
}

/* A caller understands nothing but gRPC. */
static void answer_call(struct server_stream *stream, enum grpc_status status, const char *text, bool close)
{
    struct grpc_answer answer;
    struct response_plan plan = {.close = close};
    grpc_answer(&answer, status, text);
    if (stream->codec->send_head(stream, &answer.head, &plan))
        stream->codec->send_end(stream, (struct text){NULL, 0});
    else
        stream->codec->abort(stream);
}

void exchange_refuse_call(struct server_stream *stream, unsigned status, const char *text)
{
    answer_call(stream, grpc_status_of_answer(status, false), text, false);
}

/* No backend's response will reach the client whole. */
static void end_without_response(struct exchange *ex, enum outcome_kind kind, unsigned status, const char *text)
{
    if (!ex->fell_back && ex->outcome == OUTCOME_OK)
        ex->outcome = kind;
    bool close = ex->close || (ex->has_body && !ex->body_ended);
    bool responded = ex->responded;
    if (!responded)
        ex->client_status = (uint16_t)status;
    attempt_cancel(&ex->attempt);
    bool grpc = ex->grpc && status != 0;
    enum grpc_status grpc_status = grpc_status_of_answer(status, deadline_passed(ex));
    if (grpc && !responded && !ex->fell_back)
        ex->grpc_status = (uint8_t)grpc_status;
    struct server_stream *stream = let_go_of_stream(ex);
    conclude(ex);
    if (responded)
        stream->codec->abort(stream);
    else if (grpc)
        answer_call(stream, grpc_status, text, close);
    else
        stream->codec->answer(stream, status, text, close);
}

/* An answer to a call that has begun, and is over all the same, still has its trailers to say so. */
static void end_call(struct exchange *ex, enum outcome_kind kind, enum grpc_status status, const char *message)
{
    char lines[128];
    int len = snprintf(lines, sizeof(lines), "grpc-status: %u\r\ngrpc-message: %s\r\n", (unsigned)status, message);
    if (!ex->fell_back && ex->outcome == OUTCOME_OK)
        ex->outcome = kind;
    if (!ex->fell_back)
        ex->grpc_status = (uint8_t)status;
    attempt_cancel(&ex->attempt);
    struct server_stream *stream = let_go_of_stream(ex);
    conclude(ex);
    stream->codec->send_end(stream, (struct text){lines, (uint32_t)len});
}

void exchange_time_out(struct exchange *ex, unsigned status, enum outcome_kind blame)
{
    if (ex->grpc && ex->responded && deadline_passed(ex)) {
        end_call(ex, blame, GRPC_DEADLINE_EXCEEDED, "the deadline has passed");
        return;
    }
    end_without_response(ex, blame, status,
                         status == 408 ? "the request's body did not come in time"
                                       : "the backend did not answer in time");
}

void exchange_abandon(struct exchange *ex, enum outcome_kind why)
{
    if (!ex->fell_back && ex->outcome == OUTCOME_OK)
        ex->outcome = why;
    attempt_cancel(&ex->attempt);
    (void)let_go_of_stream(ex);
    conclude(ex);
}

/* ---- asking a backend ---- */

/* Of a call with a deadline it is what is left until then. */
static uint64_t response_timeout(const struct exchange *ex)
{
    return ex->deadline_ms == 0 ? ex->view->config->timeouts.response_ms : time_left(ex);
}

/* Starts a try. The exchange may be over when this returns: see `stream->exchange`. */
static void ask(struct exchange *ex, enum side side, bool fresh)
{
    struct server_stream *stream = ex->stream;
    const struct config_backend *backend = ex->decision.backend;
    if (side != ex->decision.side)
        backend = ex->decision.route->side[side];
    ex->side = side;
    struct upstream *upstream = upstream_find(ex->worker->upstreams, backend, USE_LIVE);
    memset(&ex->attempt, 0, offsetof(struct attempt, endpoint));
    ex->attempt.endpoint[0] = '\0';
    ex->attempt.events = &primary_events;
    ex->attempt.framing = ex->framing;
    ex->attempt.to_head = ex->is_head;
    ex->attempt.fresh = fresh;
    ex->attempt.response_timeout_ms = response_timeout(ex);
    if (upstream == NULL) {
        attempt_fail(&ex->attempt, OUTCOME_CONNECT_FAILED, "the backend has been removed");
        return;
    }
    attempt_start(&ex->attempt, upstream);
    /* Nothing more of the body is read until there is a connection to send it on. */
    if (stream->exchange == ex && !ex->body_ended && !attempt_is_ready(&ex->attempt) && !ex->body_paused) {
        ex->body_paused = true;
        stream->codec->read_body(stream, false);
    }
}

/* A status that speaks against the backend is to a call what 5xx is to a request. */
static bool is_error_status(const struct exchange *ex, unsigned status, unsigned grpc_status)
{
    if (status >= 500)
        return true;
    return ex->grpc && grpc_status != GRPC_NONE && config_grpc_is_error(&ex->decision.route->errors, grpc_status);
}

static unsigned fallback_cause(const struct exchange *ex, enum outcome_kind kind, unsigned status, unsigned grpc_status)
{
    switch (kind) {
    case OUTCOME_CONNECT_FAILED:
        return FALLBACK_CONNECT;
    case OUTCOME_TIMEOUT:
        return FALLBACK_TIMEOUT;
    case OUTCOME_RESET:
    case OUTCOME_BAD_RESPONSE:
        return FALLBACK_RESET;
    case OUTCOME_OK:
        return is_error_status(ex, status, grpc_status) ? FALLBACK_5XX : 0;
    default:
        return 0;
    }
}

/* The new side has failed: may and can legacy answer instead? */
static bool may_fall_back(const struct exchange *ex, enum outcome_kind kind, unsigned status, unsigned grpc_status)
{
    return ex->may_fall_back && !ex->fell_back && ex->side == SIDE_NEW && !ex->responded && ex->replayable &&
           (ex->decision.route->fallback.on & fallback_cause(ex, kind, status, grpc_status)) != 0;
}

static void fall_back(struct exchange *ex, enum outcome_kind kind, unsigned status)
{
    ex->outcome = kind;
    ex->status = (uint16_t)status;
    ex->fell_back = true;
    for (int i = 0; i < EXCHANGE_MIRRORS; i++) {
        if (ex->mirror[i] != NULL)
            mirror_fell_back(ex->mirror[i], status);
    }
    attempt_cancel(&ex->attempt);
    ask(ex, SIDE_LEGACY, false);
}

static void on_ready(struct attempt *attempt)
{
    struct exchange *ex = exchange_of(attempt);
    if (!replay_send(ex)) {
        end_without_response(ex, OUTCOME_OVERLOADED, 503, "out of memory");
        return;
    }
    if (ex->body_paused) {
        ex->body_paused = false;
        ex->activity_ms = worker_now_ms(ex->worker); /* the client's time begins again */
        ex->stream->codec->read_body(ex->stream, true);
    }
}

static void on_failed(struct attempt *attempt)
{
    struct exchange *ex = exchange_of(attempt);
    /* A kept connection that died before it said anything: once more on a fresh one, where RFC 9110 section 9.2.2
     * allows it. And where the backend says that it has not even looked at the request, RFC 9113 section 8.7 always
     * does. */
    bool lost = attempt->reused && !attempt->answered && attempt->failure == OUTCOME_RESET && ex->is_idempotent;
    if ((lost || attempt->unprocessed) && !ex->retried && ex->replayable) {
        ex->retried = true;
        count_add(&ex->worker->counters.upstream_retries, 1);
        ask(ex, ex->side, true);
        return;
    }
    if (ex->failure == NULL)
        ex->failure = attempt->failure_text;
    if (may_fall_back(ex, attempt->failure, 0, GRPC_NONE)) {
        fall_back(ex, attempt->failure, 0);
        return;
    }
    enum outcome_kind kind = attempt->failure;
    end_without_response(ex, kind, failures[kind].status, failures[kind].text);
}

/* ---- request ---- */

/* Upper bound of methods compared here: a route names few. */
static bool method_listed(const char **methods, uint32_t count, struct text method)
{
    for (uint32_t i = 0; i < count; i++) {
        if (text_equals(method, methods[i], strlen(methods[i])))
            return true;
    }
    return false;
}

/* Eight hexadecimal digits, all at once: a nibble to each byte, the first in the highest. */
static void put_hex8(char to[8], uint32_t bits)
{
    uint64_t nibbles = bits;
    nibbles = (nibbles | nibbles << 16) & 0x0000ffff0000ffff;
    nibbles = (nibbles | nibbles << 8) & 0x00ff00ff00ff00ff;
    nibbles = (nibbles | nibbles << 4) & 0x0f0f0f0f0f0f0f0f;
    uint64_t letters = (nibbles + 0x0606060606060606) >> 4 & 0x0101010101010101;
    uint64_t digits = htobe64(nibbles + 0x3030303030303030 + letters * ('a' - '9' - 1));
    memcpy(to, &digits, sizeof(digits));
}

static void put_hex16(char to[16], uint64_t bits)
{
    put_hex8(to, (uint32_t)(bits >> 32));
    put_hex8(to + 8, (uint32_t)bits);
}

/* The form of a random UUID, RFC 9562 section 5.4. The first half is the worker's and changes now and then; the second
 * is new each time, so that one request costs sixteen digits and not thirty-two. */
static void make_request_id(struct worker *worker, char *to)
{
    char digits[16], *front = worker->request_id_front;
    if (worker->request_ids_left == 0) {
        worker->request_ids_left = 1 << 16;
        put_hex16(digits, (worker_random(worker) & ~UINT64_C(0xf000)) | 0x4000);
        memcpy(front, digits, 8);
        front[8] = '-';
        memcpy(front + 9, digits + 8, 4);
        front[13] = '-';
        memcpy(front + 14, digits + 12, 4);
        front[18] = '-';
    }
    worker->request_ids_left--;
    put_hex16(digits, (worker_random(worker) & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63);
    memcpy(to, front, 19);
    memcpy(to + 19, digits, 4);
    to[23] = '-';
    memcpy(to + 24, digits + 4, 12);
}

static void set_request_id(struct exchange *ex, const struct head *head)
{
    if (ex->view->config->headers.x_request_id != HEADER_SET) {
        for (uint32_t i = 0; i < head->field_count; i++) {
            const struct field *field = &head->fields[i];
            if (field->id != FIELD_X_REQUEST_ID || field->value.len == 0)
                continue;
            ex->id_len = (uint8_t)(field->value.len < EXCHANGE_ID_ROOM ? field->value.len : EXCHANGE_ID_ROOM);
            memcpy(ex->request_id, field->value.at, ex->id_len);
            return;
        }
        if (ex->view->config->headers.x_request_id == HEADER_OFF)
            return;
    }
    make_request_id(ex->worker, ex->request_id);
    ex->id_len = 36;
}

static void decide(struct exchange *ex, const struct exchange_request *request)
{
    const struct head *head = request->head;
    struct request_facts facts = {
        .method = head->method,
        .path = head->path,
        .query = head->query,
        .host = head->host,
        .fields = head->fields,
        .field_count = head->field_count,
        .has_body = head->framing != FRAMING_NONE,
        .upgrade = head->upgrade,
        .client = request->client,
        .random = worker_random(ex->worker),
    };
    router_decide(ex->view->snapshot->view, ex->worker->index, &facts, &ex->decision);
    /* Somebody else's mirrored request is answered, not mirrored once more. */
    if (head->shunt_shadow && ex->decision.mirror == MIRROR_SENT)
        mirror_refused(ex, MIRROR_COPY);
    ex->side = ex->decision.side;
    const struct config_route *route = ex->decision.route;
    ex->may_fall_back = route != NULL && ex->side == SIDE_NEW && route->fallback.on != 0 &&
                        (route->fallback.all_methods ||
                         method_listed(route->fallback.methods, route->fallback.method_count, head->method));
}

/* For an HTTP/1.0 request that names no host. */
static struct text host_of_backend(const struct config_backend *backend, char *room, size_t size)
{
    if (address_host_bound(&backend->address) > size)
        return (struct text){NULL, 0};
    return (struct text){room, (uint32_t)address_host_print(&backend->address, room)};
}

/* The head as every backend gets it. */
static bool write_head(struct exchange *ex, const struct exchange_request *request)
{
    char host[320]; /* a name has 253 bytes at most */
    struct h1_forward forward = {
        .rules = &ex->view->config->headers,
        .client = request->client,
        .downstream_tls = request->tls,
        .early_data = request->early_data,
        .client_certificate = request->client_certificate,
        .request_id = {ex->request_id, ex->id_len},
    };
    if (request->head->host.len == 0)
        forward.backend_host = host_of_backend(ex->decision.backend, host, sizeof(host));
    struct chunk *chunk = chunk_take(&ex->worker->chunks, h1_request_bound(request->head, &forward));
    if (chunk == NULL)
        return false;
    chunk->used = (uint32_t)h1_write_request(chunk->data, request->head, &forward);
    ex->replay[0] = (struct slice){chunk, chunk->data, chunk->used};
    ex->replay_count = 1;
    ex->method_len = request->head->method.len;
    const char *line = chunk->data + ex->method_len + 1;
    const char *space = memchr(line, ' ', chunk->used - ex->method_len - 1);
    ex->target_len = space != NULL ? (uint32_t)(space - line) : 0;
    return true;
}

static void describe(struct exchange *ex, const struct exchange_request *request)
{
    const struct head *head = request->head;
    const struct config *config = ex->view->config;
    ex->client = request->client;
    ex->framing = head->framing;
    ex->has_body = head->framing != FRAMING_NONE && !(head->framing == FRAMING_LENGTH && head->content_length == 0);
    ex->body_ended = !ex->has_body;
    ex->is_head = head->is_head;
    ex->is_idempotent = head->is_idempotent;
    ex->upgrade = head->upgrade;
    ex->grpc = grpc_is_call(head);
    ex->grpc_status = GRPC_NONE;
    uint64_t timeout_ms = ex->grpc ? grpc_timeout_ms(head) : 0;
    if (timeout_ms > 0)
        ex->deadline_ms = worker_now_ms(ex->worker) + timeout_ms;
    ex->minor = head->minor;
    ex->http2 = head->http2;
    ex->close = request->leaving;
    ex->started_us = ex->worker->now_us;
    ex->activity_ms = worker_now_ms(ex->worker);
    uint32_t sample = config->access_log.sample;
    ex->log = sample == SHARE_ALL || (sample > 0 && worker_random(ex->worker) % SHARE_ALL < sample);
    if (ex->log) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        ex->wall_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    }
}

/* RFC 8470 section 5.2: what may do harm when it is done twice has to wait until the handshake is over. A call of gRPC
 * gets 425, too: who sends early knows it, and repeats it below gRPC. True: answered. */
static bool is_too_early(struct worker *worker, struct server_stream *stream, const struct exchange_request *request)
{
    struct worker_counters *counters = &worker->counters;
    if (!request->early_data)
        return false;
    count_add(request->head->is_safe ? &counters->tls_early_accepted : &counters->tls_early_refused, 1);
    if (request->head->is_safe)
        return false;
    stream->codec->answer(stream, 425, "only safe methods are taken in early data: send this again after the handshake",
                          false);
    return true;
}

void exchange_start(struct worker *worker, struct server_stream *stream, const struct exchange_request *request)
{
    if (is_too_early(worker, stream, request))
        return;
    struct exchange *ex = exchange_take(worker);
    if (ex == NULL && worker_shed_shadow(worker))
        ex = exchange_take(worker);
    if (ex == NULL) {
        stream->codec->answer(stream, 503, "out of memory", true);
        return;
    }
    ex->worker = worker;
    ex->view = view_ref(worker->view);
    ex->stream = stream;
    stream->exchange = ex;
    count_add(&worker->counters.downstream_requests, 1);
    worker->exchanges_open++;
    worker_busy(worker);
    describe(ex, request);
    set_request_id(ex, request->head);
    decide(ex, request);
    if (!write_head(ex, request)) {
        if (ex->decision.mirror == MIRROR_SENT)
            mirror_refused(ex, MIRROR_MEMORY);
        end_without_response(ex, OUTCOME_OVERLOADED, 503, "out of memory");
        return;
    }
    bool may_be_refused = (ex->decision.backend->protocol & PROTOCOL_HTTP2) != 0;
    ex->replayable = !ex->has_body || ex->may_fall_back || ex->is_idempotent || may_be_refused;
    if (ex->decision.mirror == MIRROR_SENT)
        mirror_start(ex, request->head);
    ask(ex, ex->side, false);
}

void exchange_body(struct exchange *ex, struct slice slice)
{
    struct attempt *attempt = &ex->attempt;
    ex->bytes_in += slice.len;
    ex->activity_ms = worker_now_ms(ex->worker);
    for (int i = 0; i < EXCHANGE_MIRRORS; i++) {
        if (ex->mirror[i] != NULL)
            mirror_body(ex->mirror[i], slice);
    }
    replay_add(ex, slice);
    if (!attempt->codec->send_body(attempt, slice)) {
        end_without_response(ex, OUTCOME_OVERLOADED, 503, "out of memory");
        return;
    }
    if (attempt->codec->unsent(attempt) > high_water(ex) && !ex->body_paused) {
        ex->body_paused = true;
        attempt->codec->want_drained(attempt);
        ex->stream->codec->read_body(ex->stream, false);
    }
}

void exchange_body_end(struct exchange *ex, struct text trailers)
{
    struct attempt *attempt = &ex->attempt;
    ex->body_ended = true;
    for (int i = 0; i < EXCHANGE_MIRRORS; i++) {
        if (ex->mirror[i] != NULL)
            mirror_body_end(ex->mirror[i], trailers);
    }
    if (trailers.len > 0 && ex->replayable) {
        char *copy = malloc(trailers.len);
        if (copy == NULL) {
            ex->replayable = false;
        } else {
            memcpy(copy, trailers.at, trailers.len);
            ex->request_trailers = (struct text){copy, trailers.len};
        }
    }
    if (attempt_is_ready(attempt) && !attempt->codec->send_end(attempt, trailers))
        end_without_response(ex, OUTCOME_OVERLOADED, 503, "out of memory");
}

static void on_request_drained(struct attempt *attempt)
{
    struct exchange *ex = exchange_of(attempt);
    ex->activity_ms = worker_now_ms(ex->worker);
    if (ex->body_paused) {
        ex->body_paused = false;
        ex->stream->codec->read_body(ex->stream, true);
    }
}

/* ---- response ---- */

static struct text assign_cookie(const struct exchange *ex, char *room, size_t size)
{
    const struct config_route *route = ex->decision.route;
    if (!ex->decision.set_assign_cookie || route == NULL || route->assign.cookie == NULL || ex->fell_back)
        return (struct text){NULL, 0};
    int len = snprintf(room, size, "Set-Cookie: %s=%s; Path=/; Max-Age=%llu; HttpOnly; SameSite=Lax\r\n",
                       route->assign.cookie, router_assign_value(ex->view->snapshot->view, &ex->decision),
                       (unsigned long long)(route->assign.max_age_ms / 1000));
    if (len <= 0 || (size_t)len >= size)
        return (struct text){NULL, 0};
    return (struct text){room, (uint32_t)len};
}

/* Both connections turn into one tunnel, and the exchange is over. */
static void hand_over_to_tunnel(struct exchange *ex)
{
    struct worker *worker = ex->worker;
    struct server_stream *stream = let_go_of_stream(ex);
    if (tunnel_join(worker, stream, &ex->attempt))
        count_add(&worker->counters.tunnels, 1);
    conclude(ex);
}

/* A side shares its connection with others: the exchange goes on, with bodies that end when a side does. */
static void stay_as_tunnel(struct exchange *ex)
{
    ex->tunnel = true;
    ex->answered_us = ex->worker->now_us;
    ex->has_body = true;
    ex->body_ended = ex->body_paused = false;
    ex->framing = FRAMING_UNTIL_CLOSE;
    ex->replayable = false;
    replay_drop(ex, 1);
    if (!ex->attempt.codec->become_tunnel(&ex->attempt) || !ex->stream->codec->become_tunnel(ex->stream)) {
        end_without_response(ex, OUTCOME_OVERLOADED, 503, "out of memory");
        return;
    }
    count_add(&ex->worker->counters.tunnels, 1);
}

static void become_tunnel(struct exchange *ex, const struct head *head)
{
    struct response_plan plan = {.close = false};
    if (!ex->stream->codec->send_head(ex->stream, head, &plan)) {
        end_without_response(ex, OUTCOME_OVERLOADED, 503, "out of memory");
        return;
    }
    ex->responded = true;
    ex->status = ex->client_status = 101;
    if (ex->stream->codec->detach != NULL && ex->attempt.codec->detach != NULL)
        hand_over_to_tunnel(ex);
    else
        stay_as_tunnel(ex);
}

static void hold_response_back(struct exchange *ex)
{
    ex->drain_wanted = true;
    ex->held_bytes = ex->stream->codec->unsent(ex->stream);
    ex->attempt.codec->pause(&ex->attempt, true);
    ex->stream->codec->want_drained(ex->stream);
}

static void on_interim(struct exchange *ex, const struct head *head)
{
    struct response_plan plan = {.close = false};
    (void)ex->stream->codec->send_head(ex->stream, head, &plan);
    if (!ex->drain_wanted && ex->stream->codec->unsent(ex->stream) > high_water(ex))
        hold_response_back(ex);
}

static void on_head(struct attempt *attempt, const struct head *head)
{
    struct exchange *ex = exchange_of(attempt);
    ex->activity_ms = worker_now_ms(ex->worker);
    if (head->status == 101) {
        if (ex->upgrade && ex->body_ended) {
            become_tunnel(ex, head);
        } else {
            /* Nobody asked for another protocol, or the request has not even come whole. */
            end_without_response(ex, OUTCOME_BAD_RESPONSE, 502, failures[OUTCOME_BAD_RESPONSE].text);
        }
        return;
    }
    if (head->status < 200) {
        on_interim(ex, head);
        return;
    }
    enum grpc_status grpc_status = ex->grpc ? grpc_status_of_head(head) : GRPC_NONE; /* trailers-only */
    if (!ex->fell_back)
        ex->grpc_status = (uint8_t)grpc_status;
    if (may_fall_back(ex, OUTCOME_OK, head->status, grpc_status)) {
        fall_back(ex, OUTCOME_OK, head->status);
        return;
    }
    ex->answered_us = ex->worker->now_us;
    if (!ex->fell_back)
        ex->status = head->status;
    ex->client_status = head->status;
    char cookie[512];
    struct response_plan plan = {
        .extra = assign_cookie(ex, cookie, sizeof(cookie)),
        /* What is left of the request will not be read. */
        .close = ex->close || worker_is_leaving(ex->worker) || !ex->body_ended,
    };
    for (int i = 0; i < EXCHANGE_MIRRORS; i++) {
        if (ex->mirror[i] != NULL)
            mirror_primary_head(ex->mirror[i], head->status, head->lines);
    }
    if (!ex->stream->codec->send_head(ex->stream, head, &plan)) {
        end_without_response(ex, OUTCOME_OVERLOADED, 503, "out of memory");
        return;
    }
    ex->responded = true;
    /* No other try from here on. */
    ex->replayable = false;
    replay_drop(ex, 1);
}

static void on_body(struct attempt *attempt, struct slice slice)
{
    struct exchange *ex = exchange_of(attempt);
    ex->bytes_out += slice.len;
    ex->activity_ms = worker_now_ms(ex->worker);
    for (int i = 0; i < EXCHANGE_MIRRORS; i++) {
        if (ex->mirror[i] != NULL)
            mirror_primary_body(ex->mirror[i], slice);
    }
    if (!ex->stream->codec->send_body(ex->stream, slice)) {
        end_without_response(ex, OUTCOME_OVERLOADED, 503, "out of memory");
        return;
    }
    if (!ex->drain_wanted && ex->stream->codec->unsent(ex->stream) > high_water(ex))
        hold_response_back(ex);
}

/* A call that ended without grpc-status counts as what its HTTP status stands for. */
static void note_grpc_status(struct exchange *ex, struct text trailers)
{
    if (!ex->grpc || ex->fell_back)
        return;
    if (ex->grpc_status == GRPC_NONE)
        ex->grpc_status = (uint8_t)grpc_status_of_trailers(trailers);
    if (ex->grpc_status == GRPC_NONE)
        ex->grpc_status = (uint8_t)grpc_status_of_http(ex->status);
}

static void on_end(struct attempt *attempt, struct text trailers)
{
    struct exchange *ex = exchange_of(attempt);
    note_grpc_status(ex, trailers);
    for (int i = 0; i < EXCHANGE_MIRRORS; i++) {
        if (ex->mirror[i] != NULL)
            mirror_primary_trailers(ex->mirror[i], trailers);
    }
    struct server_stream *stream = let_go_of_stream(ex);
    worker_clock(ex->worker);
    conclude(ex);
    stream->codec->send_end(stream, trailers);
}

void exchange_drained(struct exchange *ex)
{
    ex->activity_ms = worker_now_ms(ex->worker);
    if (!ex->drain_wanted)
        return;
    ex->drain_wanted = false;
    if (attempt_is_ready(&ex->attempt))
        ex->attempt.codec->pause(&ex->attempt, false);
}

/* ---- large bodies inside the kernel ---- */

static bool may_go_raw(const struct exchange *ex)
{
    for (int i = 0; i < EXCHANGE_MIRRORS; i++) {
        if (ex->mirror[i] != NULL)
            return false; /* somebody looks at it */
    }
    return true;
}

static void wait_for_client(struct exchange *ex, struct conn *client)
{
    client->blocked = true;
    hold_response_back(ex);
}

static bool on_raw(struct attempt *attempt)
{
    struct exchange *ex = exchange_of(attempt);
    struct conn *source = attempt->codec->raw_conn(attempt);
    struct conn *sink = ex->stream->codec->raw_conn(ex->stream);
    if (source == NULL || sink == NULL || !may_go_raw(ex))
        return false;
    if (!ex->pump.open && !pump_open(ex->worker, &ex->pump))
        return false;
    /* What is queued goes first. */
    if (sink->out.bytes > 0 && (!conn_flush(sink) || sink->out.bytes > 0)) {
        conn_dirty(sink);
        hold_response_back(ex);
        return true;
    }
    if (sink->blocked) {
        hold_response_back(ex);
        return true;
    }
    uint64_t moved = 0, most = attempt->codec->raw_remaining(attempt);
    if (most > RAW_TURN)
        most = RAW_TURN;
    enum pump_result result = pump_move(&ex->pump, source->fd, sink->fd, most, &moved);
    ex->activity_ms = worker_now_ms(ex->worker);
    ex->bytes_out += moved;
    count_add(&ex->worker->counters.spliced_bytes, moved);
    ex->stream->codec->sent_raw(ex->stream, moved);
    switch (result) {
    case PUMP_SOURCE_EMPTY:
        source->readable = source->peer_closed;
        break;
    case PUMP_SINK_FULL:
        wait_for_client(ex, sink);
        break;
    case PUMP_SINK_ERROR:
        count_add(&ex->worker->counters.client_gone, 1);
        end_without_response(ex, OUTCOME_CLIENT_GONE, 0, "");
        return true;
    case PUMP_SOURCE_END:
    case PUMP_SOURCE_ERROR:
        end_without_response(ex, OUTCOME_RESET, 502, failures[OUTCOME_RESET].text);
        return true;
    case PUMP_DONE:
        if (moved < attempt->codec->raw_remaining(attempt))
            conn_later(source);
        break;
    }
    attempt->codec->moved_raw(attempt, moved);
    return true;
}

static const struct attempt_events primary_events = {
    .on_ready = on_ready,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_failed = on_failed,
    .on_drained = on_request_drained,
    .on_raw = on_raw,
};

/* ---- patience ---- */

/* A client that takes some of what is queued makes progress, however long it takes for all of it. */
static void note_progress(struct exchange *ex)
{
    size_t unsent = ex->stream->codec->unsent(ex->stream);
    if (unsent < ex->held_bytes)
        ex->activity_ms = worker_now_ms(ex->worker);
    ex->held_bytes = unsent;
}

uint64_t exchange_patience(struct exchange *ex, unsigned *status, enum outcome_kind *blame)
{
    const struct config_timeouts *timeouts = &ex->view->config->timeouts;
    if (ex->drain_wanted)
        note_progress(ex);
    /* The client owes us the body, unless we are the ones who have stopped reading it. */
    bool client_owes = !ex->body_ended && !ex->body_paused && !ex->tunnel;
    /* A call's two directions have nothing to do with each other: a caller may be silent for long. */
    uint64_t limit = ex->tunnel                 ? timeouts->tunnel_idle_ms
                     : client_owes && !ex->grpc ? timeouts->request_body_ms
                                                : timeouts->stream_idle_ms;
    uint64_t quiet = worker_now_ms(ex->worker) - ex->activity_ms;
    *status = 0;
    *blame = client_owes || ex->drain_wanted ? OUTCOME_CLIENT_GONE : OUTCOME_TIMEOUT;
    uint64_t left = time_left(ex);
    if (left == 0) {
        *status = 504;
        *blame = OUTCOME_TIMEOUT;
        return 0;
    }
    if (quiet < limit)
        return limit - quiet < left ? limit - quiet : left;
    /* The whole request is with the backend, or it waits for one: the attempt has its own, more exact time for that. */
    if ((ex->body_ended || !attempt_is_ready(&ex->attempt)) && !ex->responded && !ex->drain_wanted)
        return limit;
    if (!ex->responded)
        *status = *blame == OUTCOME_TIMEOUT ? 504 : client_owes ? 408 : 0;
    return 0;
}
