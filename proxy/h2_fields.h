/*
 * A header section to be sent: the text of an HTTP/1.1 head, or lines of trailers, as fields of HTTP/2 (RFC 9113
 * section 8.2): names in lower case, fields of one connection only left out, Host as :authority, Cookie in crumbs
 * (section 8.2.3).
 */
#ifndef SHUNT_PROXY_H2_FIELDS_H
#define SHUNT_PROXY_H2_FIELDS_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>

#include "router/request.h"

/* Zeroed: empty. Keeps its memory from use to use; one for each worker. */
struct h2_fields {
    nghttp2_nv *at;
    size_t count;
    size_t room;
    char *text; /* copies that names and values point into */
    size_t text_len, text_room;
    bool websocket;            /* the request asks for an upgrade to that, */
    struct text websocket_key; /* with this Sec-WebSocket-Key, which is not among the fields */
};

/* Each makes *fields anew; valid until the next. False without memory. The text must be whole and sound: it is what our
 * own writers made. An Upgrade becomes an extended CONNECT (RFC 8441 section 4), which only a peer that offers it may
 * be sent. */
bool h2_fields_request(struct h2_fields *fields, struct text head, bool tls);
bool h2_fields_response(struct h2_fields *fields, struct text head, unsigned status);
bool h2_fields_trailers(struct h2_fields *fields, struct text lines);
/* Room for a text of `len` bytes, which may be written there and then given to one of the above: it is not copied. NULL
 * without memory. */
char *h2_fields_room(struct h2_fields *fields, size_t len);
/* Leaves out all fields of that name. */
void h2_fields_drop(struct h2_fields *fields, const char *name);
void h2_fields_done(struct h2_fields *fields);

#endif
