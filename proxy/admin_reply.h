/*
 * Answers of the admin server. Each function sends one whole answer; the request belongs to evhttp afterwards.
 */
#ifndef SHUNT_PROXY_ADMIN_REPLY_H
#define SHUNT_PROXY_ADMIN_REPLY_H

#include <event2/buffer.h>
#include <event2/http.h>
#include <jansson.h>

/* Steals the reference; NULL (no memory to build it) is answered 500. */
void admin_reply_json(struct evhttp_request *http, int status, json_t *body);
void admin_reply_text(struct evhttp_request *http, int status, const char *type, const char *text);
/* Drains `body`. */
void admin_reply_buffer(struct evhttp_request *http, int status, const char *type, struct evbuffer *body);

struct admin_fault {
    int status;
    const char *code;    /* stable, for programs */
    const char *message; /* place and fault */
    const char *remedy;  /* what to do about it */
};

/* {"error": {"code", "message", "remedy"}} */
void admin_reply_fault(struct evhttp_request *http, const struct admin_fault *fault);
/* The same with a message made by printf. */
void admin_reply_error(struct evhttp_request *http, int status, const char *code, const char *remedy,
                       const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
