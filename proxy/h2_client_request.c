/*
 * One request and its response on a stream of a backend's HTTP/2 connection: see h2_client_inside.h. Worker thread.
 * Sends what attempts give it and reports the responses to them; knows nothing of exchanges, copies or routes.
 *
 * A stream outlives its attempt: a cancelled one is reset, and its place is free only when nghttp2 has forgotten it.
 */
#include "proxy/h2_client_inside.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/h1.h"

static const char no_websocket[] = "the backend does not offer WebSocket over HTTP/2 (RFC 8441)";

/* ---- requests ---- */

static void on_response_timeout(struct timer *timer);

struct h2_request *h2_request_take(struct h2_client *client)
{
    struct worker *worker = h2_client_worker(client);
    struct h2_request *request = worker->free_requests;
    if (request != NULL) {
        worker->free_requests = request->next;
        worker->free_request_count--;
        memset(request, 0, offsetof(struct h2_request, accept));
    } else {
        request = calloc(1, sizeof(*request));
        if (request == NULL)
            return NULL;
    }
    request->client = client;
    request->timer.fire = on_response_timeout;
    request->next = client->requests;
    if (request->next != NULL)
        request->next->prev = request;
    client->requests = request;
    client->count++;
    count_add(&worker->counters.h2_up_streams, 1);
    count_add(&worker->counters.h2_up_streams_active, 1);
    return request;
}

static void drop_slice(struct slice *slice)
{
    if (slice->chunk != NULL)
        chunk_unref(slice->chunk);
    slice->chunk = NULL;
}

static void request_give(struct h2_request *request)
{
    struct h2_client *client = request->client;
    struct worker *worker = h2_client_worker(client);
    if (request->prev != NULL)
        request->prev->next = request->next;
    else
        client->requests = request->next;
    if (request->next != NULL)
        request->next->prev = request->prev;
    client->count--;
    count_add(&worker->counters.h2_up_streams_active, (uint64_t)-1);
    wheel_cancel(&worker->wheel, &request->timer);
    h2_stream_done(&client->link, &request->stream);
    drop_slice(&request->held);
    drop_slice(&request->trailers);
    if (worker->free_request_count >= H2_FREE_REQUESTS) {
        free(request);
        return;
    }
    request->prev = NULL;
    request->next = worker->free_requests;
    worker->free_requests = request;
    worker->free_request_count++;
}

void h2_clients_done(struct worker *worker)
{
    while (worker->free_requests != NULL) {
        struct h2_request *request = worker->free_requests;
        worker->free_requests = request->next;
        free(request);
    }
    worker->free_request_count = 0;
}

void h2_request_bind(struct h2_request *request, struct attempt *attempt)
{
    struct h2_client *client = request->client;
    request->attempt = attempt;
    attempt->link = request;
    attempt->codec = &h2_client_codec;
    attempt->state = ATTEMPT_READY;
    memcpy(attempt->endpoint, client->endpoint->address.text, sizeof(attempt->endpoint));
    if (client->asked++ == 0)
        count_add(&h2_client_worker(client)->counters.upstream_active, 1);
}

static struct attempt *unbind_attempt(struct h2_request *request)
{
    struct h2_client *client = request->client;
    struct attempt *attempt = request->attempt;
    request->attempt = NULL;
    attempt->link = NULL;
    wheel_cancel(&h2_client_worker(client)->wheel, &request->timer);
    if (--client->asked == 0)
        count_add(&h2_client_worker(client)->counters.upstream_active, (uint64_t)-1);
    return attempt;
}

void h2_requests_fail(struct h2_client *client, enum outcome_kind kind, const char *text)
{
    while (client->requests != NULL) {
        struct h2_request *request = client->requests;
        struct attempt *attempt = request->attempt != NULL ? unbind_attempt(request) : NULL;
        request_give(request);
        if (attempt != NULL)
            attempt_fail(attempt, kind, text);
    }
}

/* ---- the response ---- */

/* nghttp2 tells when the stream is gone; of one it has not heard of we know. */
static void drop(struct h2_request *request, uint32_t error)
{
    if (request->stream.id == 0) {
        struct h2_client *client = request->client;
        request_give(request);
        h2_client_look_if_idle(client);
        return;
    }
    h2_stream_forget(&request->client->link, &request->stream);
    h2_stream_reset(&request->client->link, &request->stream, error);
    count_add(&h2_client_worker(request->client)->counters.h2_up_resets_shunt, 1);
    h2_client_look_if_idle(request->client);
}

static void fail_request(struct h2_request *request, enum outcome_kind kind, const char *text, uint32_t error)
{
    struct attempt *attempt = unbind_attempt(request);
    drop(request, error);
    attempt_fail(attempt, kind, text);
}

/* WebSocket is not to be had here. Where both versions may be spoken a connection of HTTP/1.1 has it, as browsers know;
 * a body that has begun may be gone, but none is to be expected. */
static void refuse_websocket(struct h2_request *request)
{
    struct attempt *attempt = request->attempt;
    const struct upstream *upstream = request->client->endpoint->upstream;
    if (upstream == NULL || upstream->config->protocol != PROTOCOL_AUTO || attempt->http1 ||
        attempt->framing != FRAMING_NONE) {
        fail_request(request, OUTCOME_BAD_RESPONSE, no_websocket, NGHTTP2_CANCEL);
        return;
    }
    attempt->http1 = true;
    (void)unbind_attempt(request);
    drop(request, NGHTTP2_CANCEL);
    attempt_again(attempt);
}

static void on_response_timeout(struct timer *timer)
{
    struct h2_request *request = (struct h2_request *)((char *)timer - offsetof(struct h2_request, timer));
    if (request->stream.id == 0 && request->client->settled) {
        refuse_websocket(request);
        return;
    }
    endpoint_failed(request->client->endpoint);
    fail_request(request, OUTCOME_TIMEOUT, "the backend did not answer in time", NGHTTP2_CANCEL);
}

static void bad_response(struct h2_request *request, const char *text)
{
    count_add(&h2_client_worker(request->client)->counters.bad_responses, 1);
    fail_request(request, OUTCOME_BAD_RESPONSE, text, NGHTTP2_PROTOCOL_ERROR);
}

static void take_head(struct h2_request *request, const struct head *head)
{
    struct attempt *attempt = request->attempt;
    bool interim = head->status < 200 && head->status != 101;
    if (!interim) {
        request->head_seen = true;
        attempt->state = ATTEMPT_RESPONDING;
        wheel_cancel(&h2_client_worker(request->client)->wheel, &request->timer);
        endpoint_succeeded(request->client->endpoint);
    }
    attempt->events->on_head(attempt, head);
}

/* HTTP/2 has trailers behind a body of known length, too; in HTTP/1.1 they need chunks (RFC 9110 section 6.5). */
static void expect_trailers(struct head *head)
{
    if (head->framing != FRAMING_LENGTH || (head->present & 1U << FIELD_TRAILER) == 0)
        return;
    head->framing = FRAMING_CHUNKED;
    head->has_content_length = false;
}

static void read_head(struct h2_request *request, bool ended)
{
    struct h2_client *client = request->client;
    struct worker *worker = h2_client_worker(client);
    struct h1_parser *parser = worker_take_parser(worker);
    if (parser == NULL) {
        fail_request(request, OUTCOME_OVERLOADED, "no memory to read the response", NGHTTP2_CANCEL);
        return;
    }
    struct head head;
    struct slice text;
    struct text accept = {request->accept, request->websocket ? (uint32_t)strlen(request->accept) : 0};
    switch (h2_block_response(client->link.block, parser, &worker->view->config->limits, request->attempt->to_head,
                              ended, accept, &head, &text)) {
    case H2_BLOCK_DONE:
        expect_trailers(&head);
        take_head(request, &head);
        chunk_unref(text.chunk);
        break;
    case H2_BLOCK_BAD:
        bad_response(request, h1_parser_fault(parser)->what);
        break;
    case H2_BLOCK_NO_MEMORY:
        fail_request(request, OUTCOME_OVERLOADED, "no memory to read the response", NGHTTP2_CANCEL);
        break;
    }
    worker_give_parser(worker, parser);
}

static void keep_trailers(struct h2_request *request)
{
    struct text lines = h2_block_trailers(request->client->link.block);
    if (lines.len == 0)
        return;
    if (!chunk_copy(&h2_client_worker(request->client)->chunks, lines.at, lines.len, &request->trailers))
        fail_request(request, OUTCOME_OVERLOADED, "no memory for the response's trailers", NGHTTP2_CANCEL);
}

void h2_request_on_section(struct h2_link *link, const nghttp2_frame *frame)
{
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(link->session, frame->hd.stream_id);
    struct h2_request *request = stream != NULL ? h2_request_of(stream) : NULL;
    if (request == NULL || request->attempt == NULL)
        return;
    request->attempt->answered = true;
    if (request->head_seen)
        keep_trailers(request);
    else
        read_head(request, (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
}

void h2_request_on_body(struct h2_link *link, struct h2_stream *stream, struct slice bytes)
{
    struct attempt *attempt = h2_request_of(stream)->attempt;
    if (attempt != NULL)
        attempt->events->on_body(attempt, bytes);
    h2_stream_taken(link, stream, bytes.len);
}

/* The response is complete. */
void h2_request_on_end(struct h2_link *link, struct h2_stream *stream)
{
    struct h2_request *request = h2_request_of(stream);
    if (request->attempt == NULL)
        return;
    struct attempt *attempt = unbind_attempt(request);
    attempt->response_done = true;
    attempt->state = ATTEMPT_DONE;
    if (stream->has_body && (!stream->ended || stream->out.bytes > 0)) /* nobody reads the rest of the request */
        h2_stream_reset(link, stream, NGHTTP2_CANCEL);
    struct slice trailers = request->trailers;
    request->trailers.chunk = NULL;
    attempt->events->on_end(attempt, (struct text){trailers.at, trailers.chunk != NULL ? trailers.len : 0});
    drop_slice(&trailers);
}

/* Why a stream ended before its response did, for who asked. */
static void lost(struct h2_request *request, uint32_t error)
{
    bool ours = !request->reset_by_peer && error != NGHTTP2_REFUSED_STREAM && error != NGHTTP2_NO_ERROR;
    struct attempt *attempt = unbind_attempt(request);
    attempt->unprocessed = error == NGHTTP2_REFUSED_STREAM;
    if (request->reset_by_peer)
        attempt->reused = false; /* the connection lives: this is what the backend has to say to the request */
    if (ours) {
        count_add(&h2_client_worker(request->client)->counters.bad_responses, 1);
        count_add(&h2_client_worker(request->client)->counters.h2_up_protocol_errors, 1);
        attempt_fail(attempt, OUTCOME_BAD_RESPONSE, "the backend's response breaks the rules of HTTP/2");
    } else {
        attempt_fail(attempt, OUTCOME_RESET,
                     attempt->unprocessed ? "the backend refused the stream" : "the backend reset the stream");
    }
}

void h2_request_on_closed(struct h2_link *link, struct h2_stream *stream, uint32_t error)
{
    struct h2_client *client = h2_client_of(link);
    if (stream == NULL)
        return;
    struct h2_request *request = h2_request_of(stream);
    struct upstream *upstream = client->endpoint->upstream;
    if (request->attempt != NULL)
        lost(request, error);
    request_give(request);
    h2_client_look_if_idle(client);
    if (upstream != NULL)
        upstream_release(upstream);
}

void h2_request_on_drained(struct h2_link *link, struct h2_stream *stream)
{
    (void)link;
    struct attempt *attempt = h2_request_of(stream)->attempt;
    if (attempt != NULL)
        attempt->events->on_drained(attempt);
}

/* ---- what an attempt asks for ---- */

static struct h2_request *request_of_attempt(const struct attempt *attempt)
{
    return attempt->link;
}

/* RFC 6455 section 4.2.2: what answers the key. */
static void compute_accept(struct h2_request *request, struct text key)
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    request->accept[0] = '\0';
    if (context != NULL && EVP_DigestInit_ex(context, EVP_sha1(), NULL) == 1 &&
        EVP_DigestUpdate(context, key.at, key.len) == 1 && EVP_DigestUpdate(context, magic, sizeof(magic) - 1) == 1 &&
        EVP_DigestFinal_ex(context, digest, &len) == 1)
        EVP_EncodeBlock((unsigned char *)request->accept, digest, (int)len);
    EVP_MD_CTX_free(context);
}

static bool submit(struct h2_request *request, const struct h2_fields *fields)
{
    struct h2_client *client = request->client;
    nghttp2_data_provider body = h2_stream_body(&request->stream);
    int32_t id = nghttp2_submit_request(client->link.session, NULL, fields->at, fields->count,
                                        request->stream.has_body ? &body : NULL, &request->stream);
    if (id < 0)
        return false;
    request->stream.id = id;
    h2_link_wake(&client->link);
    return true;
}

static bool offers_websocket(const struct h2_client *client)
{
    return nghttp2_session_get_remote_settings(client->link.session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

static bool send_head(struct attempt *attempt, struct slice head)
{
    struct h2_request *request = request_of_attempt(attempt);
    struct h2_client *client = request->client;
    struct h2_fields *fields = h2_link_fields(&client->link);
    if (fields == NULL || !h2_fields_request(fields, (struct text){head.at, head.len}, client->conn.tls != NULL))
        return false;
    request->websocket = fields->websocket;
    request->stream.has_body = attempt->framing != FRAMING_NONE || request->websocket;
    if (request->websocket) {
        compute_accept(request, fields->websocket_key);
        if (!client->settled || !offers_websocket(client)) {
            /* Whether it offers that is in its settings, which are the first it says. Where it has said so and does
             * not, the timer tells the attempt, which cannot hear of it while it is sending. */
            request->held = head;
            chunk_ref(head.chunk);
            return true;
        }
    }
    return submit(request, fields);
}

void h2_requests_go_on(struct h2_client *client)
{
    struct h2_request *next;
    for (struct h2_request *request = client->requests; request != NULL; request = next) {
        next = request->next;
        if (request->held.chunk == NULL || request->attempt == NULL)
            continue;
        struct slice head = request->held;
        request->held.chunk = NULL;
        struct h2_fields *fields = h2_link_fields(&client->link);
        bool sent = offers_websocket(client) &&
                    h2_fields_request(fields, (struct text){head.at, head.len}, client->conn.tls != NULL) &&
                    submit(request, fields);
        chunk_unref(head.chunk);
        if (!sent)
            refuse_websocket(request);
    }
}

static bool send_body(struct attempt *attempt, struct slice slice)
{
    struct h2_request *request = request_of_attempt(attempt);
    return h2_stream_send(&request->client->link, &request->stream, slice);
}

static bool send_end(struct attempt *attempt, struct text trailers)
{
    struct h2_request *request = request_of_attempt(attempt);
    struct worker *worker = h2_client_worker(request->client);
    bool refused = request->held.chunk != NULL && request->client->settled;
    if (attempt->state == ATTEMPT_READY)
        wheel_set(&worker->wheel, &request->timer,
                  worker_now_ms(worker) + (refused ? 0 : attempt->response_timeout_ms));
    if (request->websocket && !request->tunnel)
        return true; /* the request has no body: what would follow is the tunnel's */
    attempt->request_done = true;
    return !request->stream.has_body || h2_stream_end(&request->client->link, &request->stream, trailers);
}

static bool become_tunnel(struct attempt *attempt)
{
    struct h2_request *request = request_of_attempt(attempt);
    request->tunnel = true;
    return true;
}

static void pause_reading(struct attempt *attempt, bool on)
{
    struct h2_request *request = request_of_attempt(attempt);
    h2_stream_pause(&request->client->link, &request->stream, on);
}

static size_t unsent(const struct attempt *attempt)
{
    return request_of_attempt(attempt)->stream.out.bytes;
}

static void want_drained(struct attempt *attempt)
{
    request_of_attempt(attempt)->stream.want_drained = true;
}

static struct conn *raw_conn(struct attempt *attempt)
{
    (void)attempt;
    return NULL; /* frames are in between */
}

static uint64_t raw_remaining(const struct attempt *attempt)
{
    (void)attempt;
    return 0;
}

static void cancel(struct attempt *attempt)
{
    struct h2_request *request = request_of_attempt(attempt);
    if (request == NULL)
        return;
    (void)unbind_attempt(request);
    drop(request, NGHTTP2_CANCEL);
}

const struct client_codec h2_client_codec = {
    .send_head = send_head,
    .send_body = send_body,
    .send_end = send_end,
    .pause = pause_reading,
    .unsent = unsent,
    .want_drained = want_drained,
    .raw_conn = raw_conn,
    .raw_remaining = raw_remaining,
    .become_tunnel = become_tunnel,
    .cancel = cancel,
};
