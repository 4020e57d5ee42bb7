/*
 * One head being read: the state of h1_parser.c. Private to the HTTP/1 codec.
 */
#ifndef SHUNT_PROXY_H1_PARSER_H
#define SHUNT_PROXY_H1_PARSER_H

#include "proxy/h1.h"
#include "proxy/h1_facts.h"

/* In the order in which a head goes through them; see the picture in h1_parser.c. */
enum h1_state {
    H1_EMPTY_LINES = 0,
    H1_METHOD,
    H1_TARGET_STATE,
    H1_VERSION,
    H1_STATUS_LINE,
    H1_REASON_START,
    H1_REASON,
    H1_LINE_LF,
    H1_LINE,
    H1_NAME,
    H1_BLANKS,
    H1_VALUE,
    H1_VALUE_LF,
    H1_END_LF,
    H1_COMPLETE,
    H1_BROKEN,
};

struct h1_parser {
    uint64_t header_bytes_max, uri_bytes_max; /* copies: a head may come so slowly that the configuration changes */
    const struct h1_fault *fault;             /* static */
    struct field *fields;                     /* owned: room + 1 of them */
    uint32_t room;
    uint32_t fields_max; /* of this head */
    uintptr_t base;      /* where the bytes were in the call before */
    size_t at;           /* the next byte to read, counted from base */
    const char *mark;    /* where the version began */
    uint8_t state;       /* of enum h1_state */
    uint8_t empty_lines; /* bytes of them */
    bool request;
    struct h1_facts facts;
    struct head head;
};

#endif
