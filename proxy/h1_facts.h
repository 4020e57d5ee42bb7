/*
 * What the fields of a head say together: host, framing, persistence, upgrade. Private to the HTTP/1 codec.
 */
#ifndef SHUNT_PROXY_H1_FACTS_H
#define SHUNT_PROXY_H1_FACTS_H

#include <stdbool.h>

#include "proxy/h1_fault.h"
#include "proxy/h1_method.h"
#include "proxy/head.h"

struct h1_facts {
    const struct h1_method *method;  /* of a request */
    bool to_head;                    /* a response to HEAD */
    bool close, keep_alive, upgrade; /* options of Connection */
    bool nominates;                  /* Connection names fields */
    bool has_host, has_upgrade;
    bool has_coding;           /* Transfer-Encoding */
    bool coding_unknown;       /* one other than chunked */
    bool coding_after_chunked; /* chunked was not the last or not the only one */
    bool chunked;
    uint16_t options; /* elements of all Connection fields */
};

/* A complete field of H1_JUDGED; in the order of the head. Sets hop_by_hop in a Content-Length that is not in the plain
 * form. False with *fault when it is wrong by itself or with those before. */
bool h1_facts_add(struct h1_facts *facts, struct head *head, struct field *field, enum h1_fault_id *fault);

/* All fields have come: fills in the rest of the head. `fields` are the head's own; hop_by_hop is set in nominated
 * ones. */
bool h1_facts_request(struct h1_facts *facts, struct head *head, struct field *fields, enum h1_fault_id *fault);
bool h1_facts_response(struct h1_facts *facts, struct head *head, struct field *fields, enum h1_fault_id *fault);

#endif
