/*
 * How the admin server answers: JSON or text, never cached, never sniffed; HEAD gets the head of what GET would get.
 *
 * Called by the handlers on the control thread, once per request. Knows nothing of what is answered.
 */
#include "proxy/admin_reply.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/utf8.h"

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {409, "Conflict"},
    {413, "Content Too Large"},
    {422, "Unprocessable Content"},
    {500, "Internal Server Error"},
    {503, "Service Unavailable"},
};

static const char *reason_of(int status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

void admin_reply_buffer(struct evhttp_request *http, int status, const char *type, struct evbuffer *body)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(http);
    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    if (evhttp_request_get_command(http) == EVHTTP_REQ_HEAD) {
        /* evhttp counts no body for HEAD, but the length must be the one GET would tell (RFC 9110 section 9.3.2). */
        char length[24];
        snprintf(length, sizeof(length), "%zu", evbuffer_get_length(body));
        evhttp_add_header(headers, "Content-Length", length);
        evbuffer_drain(body, evbuffer_get_length(body));
    }
    evhttp_send_reply(http, status, reason_of(status), body);
}

void admin_reply_text(struct evhttp_request *http, int status, const char *type, const char *text)
{
    struct evbuffer *body = evbuffer_new();
    if (body == NULL || evbuffer_add(body, text, strlen(text)) < 0) {
        evhttp_send_reply(http, 500, reason_of(500), NULL);
    } else {
        admin_reply_buffer(http, status, type, body);
    }
    if (body != NULL)
        evbuffer_free(body);
}

static int add_to_buffer(const char *at, size_t length, void *buffer)
{
    return evbuffer_add(buffer, at, length);
}

void admin_reply_json(struct evhttp_request *http, int status, json_t *body)
{
    struct evbuffer *out = evbuffer_new();
    /* Indented: people read it with curl, and programs do not mind. */
    if (out == NULL || body == NULL || json_dump_callback(body, add_to_buffer, out, JSON_INDENT(2)) < 0 ||
        evbuffer_add(out, "\n", 1) < 0) {
        evhttp_send_reply(http, 500, reason_of(500), NULL);
    } else {
        admin_reply_buffer(http, status, "application/json", out);
    }
    json_decref(body);
    if (out != NULL)
        evbuffer_free(out);
}

void admin_reply_fault(struct evhttp_request *http, const struct admin_fault *fault)
{
    /* Both may have bytes of the request in them, or a part of a letter where it was cut. */
    json_t *body = json_pack("{s:{s:s, s:o, s:o}}", "error", "code", fault->code, "message", utf8_json(fault->message),
                             "remedy", utf8_json(fault->remedy));
    admin_reply_json(http, fault->status, body);
}

void admin_reply_error(struct evhttp_request *http, int status, const char *code, const char *remedy,
                       const char *format, ...)
{
    char *message = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&message, format, args);
    va_end(args);
    if (length < 0)
        message = NULL;
    struct admin_fault fault = {status, code, message != NULL ? message : "out of memory", remedy};
    admin_reply_fault(http, &fault);
    free(message);
}
