/*
 * Every way in which a message can be wrong: one row each. Private to the HTTP/1 codec.
 */
#ifndef SHUNT_PROXY_H1_FAULT_H
#define SHUNT_PROXY_H1_FAULT_H

#include "proxy/h1.h"

/* FAULT(id, status for a client's request, name, sentence) */
#define H1_FAULTS(FAULT)                                                                                               \
    FAULT(NOT_HTTP, 400, "not_http", "The first bytes are not an HTTP/1 request line.")                                \
    FAULT(TLS, 400, "tls_on_plain_port", "This port speaks HTTP in clear, and the client started TLS.")                \
    FAULT(EMPTY_LINES, 400, "empty_lines", "Too many empty lines came before the request line.")                       \
    FAULT(METHOD_UNKNOWN, 501, "method_unknown", "The method is not one of the registered ones (case matters).")       \
    FAULT(CONNECT, 501, "connect_refused", "CONNECT is not offered here.")                                             \
    FAULT(TARGET_BYTE, 400, "target_byte", "The request target holds a byte that may not stand in it.")                \
    FAULT(TARGET_FRAGMENT, 400, "target_fragment", "The request target holds a fragment (#).")                         \
    FAULT(TARGET_FORM, 400, "target_form", "The request target has none of the forms allowed for its method.")         \
    FAULT(TARGET_AUTHORITY, 400, "target_authority", "The authority in the request target is not host[:port].")        \
    FAULT(TARGET_TOO_LONG, 414, "target_too_long", "The request target is longer than limits.uri_bytes.")              \
    FAULT(VERSION_MALFORMED, 400, "version_malformed", "The request line does not end in HTTP/1.1 or HTTP/1.0.")       \
    FAULT(VERSION_UNSUPPORTED, 505, "version_unsupported", "The version is neither HTTP/1.1 nor HTTP/1.0.")            \
    FAULT(HTTP2_PREFACE, 505, "http2_preface", "This is an HTTP/2 connection preface, read as HTTP/1.")                \
    FAULT(STATUS_LINE, 400, "status_line", "The response does not begin with an HTTP/1.1 or HTTP/1.0 status line.")    \
    FAULT(STATUS_CODE, 400, "status_code", "The status is not a number from 100 to 999.")                              \
    FAULT(BARE_LF, 400, "bare_lf", "A line ends in LF without CR.")                                                    \
    FAULT(BARE_CR, 400, "bare_cr", "A CR is not followed by LF.")                                                      \
    FAULT(NUL_BYTE, 400, "nul_byte", "The message head holds a NUL byte.")                                             \
    FAULT(CONTROL_BYTE, 400, "control_byte", "The message head holds a control byte.")                                 \
    FAULT(SPACE_BEFORE_FIELD, 400, "space_before_field", "White space stands before the first field.")                 \
    FAULT(OBS_FOLD, 400, "obs_fold", "A field goes on in a next line (obsolete folding).")                             \
    FAULT(SPACE_BEFORE_COLON, 400, "space_before_colon", "White space stands in or behind a field's name.")            \
    FAULT(FIELD_NAME_EMPTY, 400, "field_name_empty", "A field has no name.")                                           \
    FAULT(FIELD_NAME, 400, "field_name", "A field's name holds a byte that may not stand in it.")                      \
    FAULT(NO_COLON, 400, "no_colon", "A field line has no colon.")                                                     \
    FAULT(HEAD_TOO_LARGE, 431, "head_too_large", "The message head is longer than limits.header_bytes.")               \
    FAULT(FIELDS_TOO_MANY, 431, "fields_too_many", "The message head has more fields than limits.header_count.")       \
    FAULT(HOST_MISSING, 400, "host_missing", "An HTTP/1.1 request has no Host field.")                                 \
    FAULT(HOST_DUPLICATE, 400, "host_duplicate", "The request has several Host fields.")                               \
    FAULT(HOST_MALFORMED, 400, "host_malformed", "The Host field is not host[:port].")                                 \
    FAULT(HOST_EMPTY, 400, "host_empty", "The Host field is empty, and the target names no host either.")              \
    FAULT(LENGTH_MALFORMED, 400, "content_length_malformed", "Content-Length is not a plain decimal number.")          \
    FAULT(LENGTH_TOO_LARGE, 400, "content_length_too_large", "Content-Length is above 2^63 - 1.")                      \
    FAULT(LENGTH_DUPLICATE, 400, "content_length_duplicate", "The message has several Content-Length fields.")         \
    FAULT(LENGTH_AND_CODING, 400, "content_length_and_transfer_encoding",                                              \
          "The message has both Content-Length and Transfer-Encoding.")                                                \
    FAULT(CODING_IN_10, 400, "transfer_encoding_in_http10", "An HTTP/1.0 message has Transfer-Encoding.")              \
    FAULT(CODING_MALFORMED, 400, "transfer_encoding_malformed", "Transfer-Encoding is not a list of plain names.")     \
    FAULT(CODING_ORDER, 400, "transfer_encoding_order", "chunked is not the one and last transfer coding.")            \
    FAULT(CODING_UNKNOWN, 501, "transfer_encoding_unknown", "A transfer coding other than chunked is not offered.")    \
    FAULT(CONNECTION_MALFORMED, 400, "connection_malformed", "Connection is not a list of names.")                     \
    FAULT(CONNECTION_OPTIONS, 400, "connection_options", "Connection names too many fields.")                          \
    FAULT(EXPECTATION, 417, "expectation", "Expect asks for something other than 100-continue.")                       \
    FAULT(BODY_FORBIDDEN, 400, "body_forbidden", "A response of this status may not announce a body.")                 \
    FAULT(CHUNK_SIZE, 400, "chunk_size", "A chunk's size is not 1 to 16 hexadecimal digits.")                          \
    FAULT(CHUNK_TOO_LARGE, 400, "chunk_too_large", "A chunk's size is above 2^63 - 1.")                                \
    FAULT(CHUNK_EXTENSION, 400, "chunk_extension", "A chunk extension is malformed.")                                  \
    FAULT(CHUNK_LINE_TOO_LONG, 400, "chunk_line_too_long", "A chunk's size and extensions are too long.")              \
    FAULT(CHUNK_END, 400, "chunk_end", "A chunk's data is not followed by CR LF.")                                     \
    FAULT(TRAILER_FRAMING, 400, "trailer_framing", "A trailer field would change how the message ends.")               \
    FAULT(TRAILERS_TOO_LARGE, 400, "trailers_too_large", "The trailer section is longer than 4 KiB.")                  \
    FAULT(MEMORY, 500, "out_of_memory", "There is no memory for the trailer section.")

enum h1_fault_id {
#define H1_FAULT_ID(id, status, name, what) H1_FAULT_##id,
    H1_FAULTS(H1_FAULT_ID)
#undef H1_FAULT_ID
    H1_FAULT_IDS,
};

/* Static. `request`: whose fault it is; a response's carries status 502. */
const struct h1_fault *h1_fault_of(enum h1_fault_id id, bool request);

#endif
