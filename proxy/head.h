/*
 * The head of a message, whatever codec read it and whatever codec will write it.
 *
 * All text is borrowed from the codec's buffer and lives only as long as the call that hands the head over. Fields are
 * in the order in which they came, duplicates and letter case kept.
 */
#ifndef SHUNT_PROXY_HEAD_H
#define SHUNT_PROXY_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "router/request.h"

/* How a message's body ends (RFC 9112 section 6.3). */
enum framing {
    FRAMING_NONE,   /* there is no body */
    FRAMING_LENGTH, /* exactly content_length bytes */
    FRAMING_CHUNKED,
    FRAMING_UNTIL_CLOSE, /* responses only */
};

struct head {
    /* requests */
    struct text method;
    struct text target;    /* as on the wire */
    struct text authority; /* of an absolute-form target, else empty */
    struct text path;      /* without query; "*" for OPTIONS * ; "/" for an absolute-form target without path */
    struct text query;     /* without "?" */
    bool has_query;        /* "/a?" has an empty one */
    struct text host;      /* effective: authority of an absolute-form target, else the Host field; may be empty */
    bool is_head, is_get, is_connect, is_idempotent, is_safe; /* RFC 9110 section 9.2 */
    bool expect_continue;                                     /* Expect: 100-continue, HTTP/1.1 only */
    bool shunt_shadow; /* carries X-Shunt-Shadow: somebody's mirror; not mirrored again */
    bool te_trailers;  /* TE: trailers: the client reads trailers */
    /* responses */
    uint16_t status;
    struct text reason;
    /* both */
    uint8_t minor;   /* HTTP/1.x */
    bool http2;      /* came over HTTP/2, and minor is 1 */
    bool keep_alive; /* the peer will keep the connection */
    bool upgrade;    /* request: Upgrade with Connection: upgrade; response: 101 */
    struct text upgrade_protocol;
    enum framing framing;
    uint64_t content_length; /* FRAMING_LENGTH; also of a response to HEAD and of a 304, where nothing follows */
    bool has_content_length;
    const struct field *fields;
    uint32_t field_count;
    /*
     * The field lines as they came, "Name: value\r\n" and so on without the empty line, when `fields` point into them:
     * a writer then copies whole runs of lines. Empty in heads of other codecs; whoever changes `fields` empties it.
     */
    struct text lines;
    uint32_t present; /* with `lines`: bit 1 << enum field_id for each id among the fields */
    bool plain;       /* with `lines`: each is "Name: value\r\n" with one blank, and none is hop-by-hop by nomination */
};

#endif
