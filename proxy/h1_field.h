/*
 * What is known of fields by their names: which are for this connection only, which a Connection field may not take
 * away, which may not stand in a trailer section. Private to the HTTP/1 codec.
 */
#ifndef SHUNT_PROXY_H1_FIELD_H
#define SHUNT_PROXY_H1_FIELD_H

#include <stdbool.h>

#include "proxy/h1.h"
#include "proxy/h1_fault.h"

/* A set of enum field_id. */
typedef uint32_t h1_field_set;
#define H1_SET(id) ((h1_field_set)1 << (id))

/* Fields that are for one connection only, whether Connection names them or not (RFC 9110 section 7.6.1). */
#define H1_HOP_BY_HOP                                                                                                  \
    (H1_SET(FIELD_CONNECTION) | H1_SET(FIELD_KEEP_ALIVE) | H1_SET(FIELD_PROXY_CONNECTION) | H1_SET(FIELD_TE) |         \
     H1_SET(FIELD_TRANSFER_ENCODING) | H1_SET(FIELD_UPGRADE))

/* Fields that h1_facts_add() has something to say about. */
#define H1_JUDGED                                                                                                      \
    (H1_SET(FIELD_HOST) | H1_SET(FIELD_CONNECTION) | H1_SET(FIELD_CONTENT_LENGTH) | H1_SET(FIELD_TRANSFER_ENCODING) |  \
     H1_SET(FIELD_EXPECT) | H1_SET(FIELD_UPGRADE) | H1_SET(FIELD_TE) | H1_SET(FIELD_SHUNT_SHADOW))

static inline bool h1_in_set(enum field_id id, h1_field_set set)
{
    return (set >> id & 1) != 0;
}

/* True when a Connection field that names this field is ignored, because the field is meant for every recipient. */
bool h1_field_is_essential(struct text name);

enum h1_trailer_use {
    H1_TRAILER_KEEP,
    H1_TRAILER_DROP,   /* may not stand in a trailer section, harmless when left out (RFC 9110 section 6.5.1) */
    H1_TRAILER_REFUSE, /* frames the message */
};
enum h1_trailer_use h1_trailer_use(struct text name);

/* Why the byte behind the `name_len` valid bytes of a name, or a line's first byte, is wrong. */
enum h1_fault_id h1_name_fault(char byte, bool first_byte);
/* Why a byte that is not text stands where it may not. */
enum h1_fault_id h1_text_fault(char byte);

#endif
