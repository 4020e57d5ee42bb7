/*
 * HTTP/1.1 and 1.0 as bytes: reads heads and bodies, writes heads. No sockets, no loop; a worker calls it.
 *
 * Reading is strict: whatever two parsers could understand differently is refused (RFC 9112 sections 2.2, 3, 5, 6, 7,
 * 11). llhttp reads; what it lets pass is checked again here.
 */
#ifndef SHUNT_PROXY_H1_H
#define SHUNT_PROXY_H1_H

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "proxy/head.h"

struct h1_parser; /* state of one head being read; heavy (some KiB), so idle connections own none */

enum h1_result {
    H1_MORE = 0, /* all bytes taken, the head is not complete */
    H1_DONE,
    H1_BAD, /* see h1_fault() */
};

struct h1_fault {
    uint16_t status;  /* what a client is answered: 400, 414, 417, 431, 501, 505. A response's fault is always 502 */
    const char *name; /* for metrics and logs: "bare_lf", "content_length_conflict", ... static */
    const char *what; /* one sentence; static */
};

/* `limits` are read at once, not kept. NULL without memory. */
struct h1_parser *h1_parser_new(const struct config_limits *limits);
void h1_parser_free(struct h1_parser *parser);

/* Ready for another head; must be called before the first byte of each. `limits` are copied. */
void h1_parser_start_request(struct h1_parser *parser, const struct config_limits *limits);
/* `to_head`: the request was HEAD; `to_connect` never happens (CONNECT is refused). */
void h1_parser_start_response(struct h1_parser *parser, const struct config_limits *limits, bool to_head);

/*
 * Reads on. `base` points to the head's first byte and `length` counts all bytes there are from there on: the head must
 * stay contiguous, but it may be at another address in each call. Empty lines before a request line are skipped (RFC
 * 9112 2.2), at most a few. H1_DONE: *head_bytes is the length of the head with its final empty line; h1_parser_head()
 * is valid until base's bytes or the parser change.
 */
enum h1_result h1_parser_read(struct h1_parser *parser, const char *base, size_t length, size_t *head_bytes);
const struct head *h1_parser_head(const struct h1_parser *parser);
const struct h1_fault *h1_parser_fault(const struct h1_parser *parser);

/* ---- bodies ---- */

enum {
    H1_TRAILER_ROOM = 4096
};

struct h1_body { /* small: lives in the connection while a body is read */
    enum framing framing;
    uint8_t state; /* of the chunk reader */
    uint8_t digits;
    bool request;
    uint64_t remaining;    /* of the length, or of the chunk */
    uint32_t line_bytes;   /* of a chunk line or of the trailers so far: bounded */
    char *trailers;        /* malloc'd when there are any: validated lines "Name: value\r\n", forbidden ones left out */
    uint32_t trailers_len; /* of the complete lines that are kept */
    uint32_t trailer_line; /* bytes of the line being read, behind them */
    const struct h1_fault *fault;
};

enum h1_body_result {
    H1_BODY_MORE = 0, /* everything given was taken; no data in it */
    H1_BODY_DATA,     /* *data is a piece of the body inside `at`; call again with what is left */
    H1_BODY_END,      /* the body is complete; *consumed tells what belonged to it */
    H1_BODY_BAD,      /* body->fault */
};

void h1_body_start(struct h1_body *body, const struct head *head, bool request);
/* Frees the trailers; the struct may be started again. */
void h1_body_done(struct h1_body *body);
/*
 * Takes bytes from `at`. One call returns at most one piece of data: H1_BODY_DATA may be followed by END without
 * further bytes, so call until MORE, END or BAD. With FRAMING_UNTIL_CLOSE the end is the transport's
 * (h1_body_closed()).
 */
enum h1_body_result h1_body_read(struct h1_body *body, const char *at, size_t length, size_t *consumed,
                                 struct text *data);
/* The peer has closed: true when that is this body's proper end. */
bool h1_body_closed(const struct h1_body *body);

/* ---- writing ---- */

/* What forwarding a request adds and needs; all borrowed. */
struct h1_forward {
    const struct config_headers *rules;
    struct client_address client;   /* for X-Forwarded-For; length 0: "unknown" is not written, the field is left */
    bool downstream_tls;            /* X-Forwarded-Proto */
    bool early_data;                /* Early-Data: 1 is added (RFC 8470 section 5.1) */
    struct text client_certificate; /* X-Forwarded-Client-Cert; empty: there is none to vouch for */
    struct text request_id;   /* used where the rule says so (caller made it); empty: the field is left as it came */
    struct text backend_host; /* Host for a request that names none, as HTTP/1.0 may; empty: an empty Host is sent */
    bool shadow;              /* a mirrored copy: X-Shunt-Shadow is added, so that nobody mirrors it again */
};

/* Upper bound of the bytes that h1_write_*() will write for this head. */
size_t h1_request_bound(const struct head *head, const struct h1_forward *forward);
/*
 * Writes a request head for a backend: request line with the target byte-exact in origin-form (absolute-form becomes
 * origin-form and its authority the Host, RFC 9112 3.2.2), HTTP/1.1, end-to-end fields in order, hop-by-hop and
 * Connection-nominated fields left out, framing fields by head->framing, Upgrade and Connection kept for an upgrade,
 * Expect kept, then Via, X-Forwarded-*, X-Request-Id by rule, and the empty line. Returns bytes written.
 */
size_t h1_write_request(char *to, const struct head *head, const struct h1_forward *forward);

struct h1_reply {
    const struct config_headers *rules;
    enum framing framing; /* towards the client */
    uint8_t client_minor; /* of the client's HTTP/1.x */
    bool close;           /* write Connection: close */
    bool keep_alive_10;   /* write Connection: keep-alive, for an HTTP/1.0 client that asked */
    struct text extra;    /* complete lines to add, such as Set-Cookie: ...\r\n; may be empty */
};
size_t h1_response_bound(const struct head *head, const struct h1_reply *reply);
/* Status line, end-to-end fields, framing, Via, Connection, empty line. 1xx heads get no framing. Date is added when
 * the backend sent none only if `extra` has it. */
size_t h1_write_response(char *to, const struct head *head, const struct h1_reply *reply);

/* "1f4\r\n"; at most H1_CHUNK_PREFIX bytes. */
enum {
    H1_CHUNK_PREFIX = 18
};
size_t h1_write_chunk_prefix(char *to, uint64_t length);

/* The id of a field by its name (any case); FIELD_OTHER for the rest. */
enum field_id h1_field_id(const char *name, size_t length);
/* The reason phrase for a status shunt makes itself; static. */
const char *h1_reason(unsigned status);

#endif
