/*
 * A JSON text as a flat array of nodes that point into it: strict (RFC 8259), without recursion, without a copy.
 *
 * Made for comparing: numbers stay as they are written, members keep their order and their duplicates, and two values
 * with the same bytes can be found equal without looking into them. One document is used again for text after text.
 */
#ifndef SHUNT_SHADOW_JSON_DOC_H
#define SHUNT_SHADOW_JSON_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum node_type {
    NODE_NULL,
    NODE_BOOLEAN,
    NODE_NUMBER,
    NODE_STRING,
    NODE_ARRAY,
    NODE_OBJECT
};

const char *node_type_name(enum node_type type);

/* Why a text is not a document. */
enum json_fault {
    JSON_FAULT_NONE,
    JSON_FAULT_EMPTY, /* nothing but white space */
    JSON_FAULT_SYNTAX,
    JSON_FAULT_ENDS_EARLY,
    JSON_FAULT_AFTER_END, /* something follows the value */
    JSON_FAULT_UTF8,      /* a string is not UTF-8 (RFC 8259 section 8.1) */
    JSON_FAULT_CONTROL,   /* an unescaped control character in a string */
    JSON_FAULT_ESCAPE,
    JSON_FAULT_NUMBER,
    JSON_FAULT_NAN,   /* NaN or Infinity, which JSON does not have */
    JSON_FAULT_MARK,  /* a byte order mark (RFC 8259 section 8.1) */
    JSON_FAULT_DEPTH, /* nested deeper than JSON_DEPTH: perhaps JSON, but not looked at */
    JSON_FAULT_SIZE,  /* more than json_doc_most() values or 4 GiB: perhaps JSON, but not looked at */
    JSON_FAULT_MEMORY,
    JSON_FAULTS,
};

const char *json_fault_name(enum json_fault fault);
/* Does the fault speak about our limits rather than about the text? */
bool json_fault_is_ours(enum json_fault fault);

/* Why a string stands for something that is not what it should be; see doc_builder.h. */
enum node_fault {
    NODE_SOUND,
    NODE_NOT_JSON,
    NODE_NOT_PROTOBUF,
    NODE_CUT_OFF,     /* it ends before its length says */
    NODE_NOT_DECODED, /* it says it is compressed, and is not, or with what is not said */
    NODE_FAULTS,
};

/* "not JSON", "cut off", ... */
const char *node_fault_name(enum node_fault fault);

enum {
    JSON_DEPTH = 256,
    JSON_NODES = 1024 * 1024, /* a body that is kept has half of that at most; a compressed one may unfold to more */
    NODE_ORDER_BYTES = 16
};

struct json_node {
    uint32_t start, end; /* of the text, quotes and brackets included */
    uint32_t next;       /* index of the first node that is not inside this one */
    uint32_t count;      /* elements or members; of a string its length in bytes as written, without the quotes */
    uint8_t type;        /* enum node_type */
    bool escaped : 1;    /* a string with a backslash in it */
    /* Never set by json_doc_parse(); see doc_builder.h: */
    bool ordered : 1; /* an object with NODE_ORDER_BYTES behind its bracket that tell the order of its members */
    bool schema : 1;  /* a name that a schema gives: no data, whatever it looks like */
    uint8_t broken;   /* enum node_fault: of a string that stands for something that is not what it should be */
};

struct json_doc {
    const char *text; /* borrowed until the next parse */
    size_t len;
    struct json_node *nodes; /* owned; node 0 is the root; an object's members are a name node, then a value node */
    uint32_t count, room;
    uint32_t most; /* nodes; 0: JSON_NODES. The owner's, it stays */
    enum json_fault fault;
    size_t fault_at; /* offset in the text */
};

/* How many nodes it may have. */
static inline uint32_t json_doc_most(const struct json_doc *doc)
{
    return doc->most > 0 && doc->most < JSON_NODES ? doc->most : JSON_NODES;
}

/* A zeroed struct is ready. False: fault and fault_at say why. */
bool json_doc_parse(struct json_doc *doc, const char *text, size_t len);
/* Gives back a large array of nodes; for between two texts. */
void json_doc_trim(struct json_doc *doc);
void json_doc_done(struct json_doc *doc);

/* The bytes of a string between its quotes, escapes resolved, into `to` with room for node->count bytes. Returns the
 * length. A lone surrogate becomes the three bytes that UTF-8 would give it. */
size_t json_string_decode(const struct json_doc *doc, uint32_t node, char *to);
/* Are two strings equal when their escapes are resolved? */
bool json_string_equal(const struct json_doc *a, uint32_t x, const struct json_doc *b, uint32_t y);

static inline const char *json_node_text(const struct json_doc *doc, uint32_t node)
{
    return doc->text + doc->nodes[node].start;
}

static inline size_t json_node_length(const struct json_doc *doc, uint32_t node)
{
    return doc->nodes[node].end - doc->nodes[node].start;
}

#endif
