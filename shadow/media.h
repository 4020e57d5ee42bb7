/*
 * What a body is, by its media type.
 */
#ifndef SHUNT_SHADOW_MEDIA_H
#define SHUNT_SHADOW_MEDIA_H

#include "shadow/span.h"

/* In this order a kind says more than those before it. */
enum media_kind {
    MEDIA_BYTES,
    MEDIA_TEXT,
    MEDIA_FORM,
    MEDIA_JSON_SEQUENCE, /* each text begins with RS */
    MEDIA_JSON_LINES,
    MEDIA_XML,
    MEDIA_JSON,
    MEDIA_PROTOBUF,
    MEDIA_GRPC, /* messages with their lengths, see grpc_stream.h */
};

/* Of a Content-Type's value; where it is empty, by the first bytes of the body. */
enum media_kind media_kind_of(struct span content_type, struct span body);

/* Is it compared by structure, so that rules of paths apply? */
static inline bool media_has_paths(enum media_kind kind)
{
    return kind >= MEDIA_FORM;
}

/* Is it a text, in which patterns may be replaced? */
static inline bool media_is_text(enum media_kind kind)
{
    return kind >= MEDIA_TEXT && kind <= MEDIA_JSON;
}

#endif
