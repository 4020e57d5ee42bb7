/*
 * The messages in a gRPC body: of gRPC over HTTP/2, gRPC-Web, and gRPC-Web in base64 (github.com/grpc/grpc,
 * PROTOCOL-HTTP2.md and PROTOCOL-WEB.md).
 *
 * Each message has five bytes in front: is it compressed, and how long is it. gRPC-Web has its trailers as one more
 * frame at the end.
 */
#ifndef SHUNT_SHADOW_GRPC_STREAM_H
#define SHUNT_SHADOW_GRPC_STREAM_H

#include "shadow/coding.h"
#include "shadow/protobuf_tree.h"
#include "shadow/span.h"

/* What a Content-Type says. */
struct grpc_type {
    bool is_grpc;
    bool web;    /* says in the body how the call ended */
    bool base64; /* "application/grpc-web-text" */
    bool json;   /* "+json"; else protobuf, or what nobody here can read */
};

struct grpc_type grpc_type_of(struct span content_type);

struct grpc_stream {             /* buffers that are used again; a zeroed struct is ready */
    struct protobuf_part *parts; /* owned; bytes that point into the body, or into the stream's own */
    uint32_t count, room;
    bool cut_off;         /* the last part is the beginning of a message, or of what is none */
    bool ended;           /* trailers came: nothing may follow */
    bool too_many;        /* more than GRPC_MESSAGES */
    struct span trailers; /* of gRPC-Web: lines "name: value\r\n"; empty where none came */
    char *decoded;        /* owned: the body without base64 */
    size_t decoded_room;
    char *unpacked; /* owned: messages that were compressed */
    size_t unpacked_len, unpacked_room;
    struct coding_output output;
};

enum {
    GRPC_MESSAGES = 128 * 1024 /* of one body */
};

/*
 * Reads a body. `encoding`: the value of the header grpc-encoding. `limit`: bytes that compressed messages may become
 * together. A message that is compressed and cannot be read becomes a part with NODE_NOT_DECODED, one that is not all
 * there NODE_CUT_OFF. The body is borrowed as long as the parts are used. CODING_DONE, or what stood in the way:
 * CODING_UNKNOWN, _TOO_LARGE (also of `too_many` messages), _NO_MEMORY.
 */
enum coding_result grpc_stream_read(struct grpc_stream *stream, struct grpc_type type, struct span body,
                                    struct span encoding, size_t limit);

void grpc_stream_trim(struct grpc_stream *stream);
void grpc_stream_done(struct grpc_stream *stream);

#endif
