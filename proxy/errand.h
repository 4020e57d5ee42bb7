/*
 * An errand: one HTTP request that shunt makes for itself, to tell somebody or to ask. Not for traffic.
 *
 * Over libcurl's multi interface (curl_library.h must be open): many are under way on one thread, and none blocks it.
 * Certificates are verified, redirects are not followed. Environment variables: proxies as libcurl reads them, and
 * SSL_CERT_FILE names the authorities to trust in place of the system's.
 */
#ifndef SHUNT_PROXY_ERRAND_H
#define SHUNT_PROXY_ERRAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

enum {
    ERRAND_KEPT = 512,       /* bytes of the answer's beginning */
    ERRAND_READ = 64 * 1024, /* of its head, and again of its body; more is not read */
};

struct errand_request { /* all text borrowed for the call */
    const char *url;
    const char *body;  /* JSON, to be posted; NULL: GET */
    const char *token; /* Authorization: Bearer; NULL: none */
    const char *route; /* in the query and as X-Shunt-Route, as is the stage; NULL: neither */
    const char *stage;
    uint64_t timeout_ms;
};

struct errand_result {
    unsigned status;        /* 0: no answer */
    const char *fault;      /* static: why there is none. That a body is too long is no fault: its status counts */
    uint64_t retry_after_s; /* what the answer asks for; 0: nothing */
};

struct errand {
    CURL *easy;                 /* owned, kept from one request to the next; NULL: none yet */
    struct curl_slist *headers; /* owned */
    void (*on_end)(void *owner, const struct errand_result *result);
    void *owner; /* borrowed */
    bool under_way;
    size_t head, body; /* bytes that came */
    size_t length;     /* of `answer` */
    char answer[ERRAND_KEPT];
};

/* Sends it off; `on_end` is called by errand_end(). False without memory. Must not be under way. */
bool errand_start(struct errand *errand, CURLM *multi, const struct errand_request *request,
                  void (*on_end)(void *owner, const struct errand_result *result), void *owner);
/* The transfer `easy` is over: takes it out of `multi` and tells the owner, who may start the next one. */
void errand_end(CURL *easy, CURLM *multi, CURLcode code);
/* Breaks off what is under way and frees everything; for an errand that was never started, too. */
void errand_done(struct errand *errand, CURLM *multi);
/* The first line of the answer as text for people: UTF-8, no control characters, at most `room` bytes with the NUL. */
void errand_first_line(const struct errand *errand, char *line, size_t room);

#endif
