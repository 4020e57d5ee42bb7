/*
 * What the two files that compare bodies share: body.c, and body_messages.c for protobuf and gRPC.
 */
#ifndef SHUNT_SHADOW_BODY_INSIDE_H
#define SHUNT_SHADOW_BODY_INSIDE_H

#include "shadow/body.h"
#include "shadow/coding.h"
#include "shadow/doc_builder.h"
#include "shadow/grpc_stream.h"
#include "shadow/json_diff.h"
#include "shadow/json_doc.h"
#include "shadow/media.h"
#include "shadow/protobuf_tree.h"
#include "shadow/text_diff.h"
#include "shadow/tree.h"
#include "shadow/tree_doc.h"

enum {
    BODY_DECODED_TIMES = 8, /* bodies that come out of a compressed one may be so many times as large as what is kept */
    BODY_CODINGS_ROOM = 96,
};

/* A body with what its header fields say of it. */
struct body {
    struct span type; /* Content-Type's value */
    struct span bytes;
    uint64_t len; /* of the whole body; `bytes` may be only its beginning */
    bool truncated;
    size_t max_body;
    char codings[BODY_CODINGS_ROOM]; /* Content-Encoding: all its lines as one list */
    struct span head, trailers;      /* field lines as they were captured */
};

struct body_judge {
    struct json_doc primary, shadow;
    struct coding_output primary_output, shadow_output;
    struct doc_builder primary_built, shadow_built;
    struct tree primary_tree, shadow_tree;
    struct tree_doc *trees;         /* owned */
    struct json_diff *json;         /* owned */
    struct text_diff *text;         /* owned */
    struct grpc_stream streams[2];  /* of primary and shadow */
    struct protobuf_tree *messages; /* owned */
    struct span target;             /* of the pair's request, for the call */
    size_t decoded_most;            /* of a body that comes out of a compressed one; 0: BODY_DECODED_TIMES alone says */
};

/* What may come out of a compressed body. */
size_t body_decoded_most(const struct body_judge *judge, size_t max_body);

/* The value of the first line of this name; empty where there is none. */
struct span body_field(struct span head, const char *name);

/* How one kind of body is compared. */
enum obstacle body_compare_bytes(struct body_judge *judge, const struct rules *rules, const struct body *primary,
                                 const struct body *shadow, struct difference_list *list);
enum obstacle body_compare_json(struct body_judge *judge, const struct rules *rules, const struct body *primary,
                                const struct body *shadow, struct difference_list *list);
enum obstacle body_compare_protobuf(struct body_judge *judge, const struct rules *rules, const struct body *primary,
                                    const struct body *shadow, struct difference_list *list);
/* Also of bodies that are truncated, or empty. */
enum obstacle body_compare_grpc(struct body_judge *judge, const struct rules *rules, const struct body *primary,
                                const struct body *shadow, struct difference_list *list);

/* Both are longer than what is kept, or one of them is. */
enum obstacle body_compare_beyond(const struct rules *rules, enum media_kind kind, const struct body *primary,
                                  const struct body *shadow, struct difference_list *list);
/* One side is not what it says it is. */
void body_note_invalid(struct difference_list *list, const char *primary, const char *shadow);
/* The two documents that were built; `fault`: of building them. */
enum obstacle body_diff_built(struct body_judge *judge, const struct rules *rules, enum json_fault fault,
                              struct difference_list *list);
enum obstacle body_obstacle_of_coding(enum coding_result result);

#endif
