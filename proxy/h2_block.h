/*
 * A header section as it comes: HTTP/2's fields (RFC 9113 section 8.2) become the text of an HTTP/1.1 head, which the
 * one parser there is (h1_parser.h) then reads. What it refuses would smuggle if it were forwarded, whichever version
 * the client spoke; and exchanges, mirrors and writers need not know where a head came from.
 *
 * nghttp2 has looked at each field before: names and values of forbidden bytes, order and presence of pseudo-header
 * fields, fields of one connection only (sections 8.2.1, 8.2.2, 8.3).
 */
#ifndef SHUNT_PROXY_H2_BLOCK_H
#define SHUNT_PROXY_H2_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "proxy/chunk.h"
#include "proxy/head.h"

struct h2_block;
struct h1_parser;
struct worker;

/* An empty one, from the worker's few spare ones. Header sections do not interleave on a connection, so that one is
 * enough for each connection that is in the middle of one. NULL without memory. */
struct h2_block *h2_block_take(struct worker *worker);
void h2_block_give(struct worker *worker, struct h2_block *block); /* NULL is fine */
void h2_blocks_done(struct worker *worker);

/* A field has come. One over the limits is left out and remembered: the section has to be decoded to its end. False
 * when there is no memory, or when even that has gone on for too long. */
bool h2_block_add(struct h2_block *block, struct text name, struct text value);
/* How many fields have come. */
uint32_t h2_block_count(const struct h2_block *block);
/* It is a request by HEAD so far: no answer has content, not even one that refuses it. */
bool h2_block_asks_head(const struct h2_block *block);
/* A field has said that it is a gRPC call, even if the section is too large for that field to be kept. */
bool h2_block_is_call(const struct h2_block *block);

enum h2_block_result {
    H2_BLOCK_DONE,
    H2_BLOCK_BAD,
    H2_BLOCK_NO_MEMORY
};

/*
 * The section is complete: reads it as a head into *head, whose text lives in *text (one reference, the caller's) and
 * whose fields live in `parser` until that is used again. `ended`: no body follows. H2_BLOCK_BAD: see
 * h1_parser_fault(), or *head's status for an interim response that may not be one.
 *
 * A request of the extended CONNECT (RFC 8441) reads as the Upgrade it stands for, with a Sec-WebSocket-Key of ours for
 * a backend that speaks HTTP/1.1.
 */
enum h2_block_result h2_block_request(struct h2_block *block, struct h1_parser *parser,
                                      const struct config_limits *limits, bool ended, struct head *head,
                                      struct slice *text);
/* `to_head`: the response answers a HEAD. `accept`: it answers an extended CONNECT, and when it grants that it reads as
 * the 101 it stands for, with this Sec-WebSocket-Accept; len 0: it does not. */
enum h2_block_result h2_block_response(struct h2_block *block, struct h1_parser *parser,
                                       const struct config_limits *limits, bool to_head, bool ended, struct text accept,
                                       struct head *head, struct slice *text);
/* Trailers as lines "name: value\r\n", those left out that may not be trailers (RFC 9110 section 6.5.1); lives in the
 * block. */
struct text h2_block_trailers(struct h2_block *block);

#endif
