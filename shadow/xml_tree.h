/*
 * An XML document (1.0, with namespaces) as a tree: elements, attributes, texts. Nothing is fetched, nothing is
 * expanded.
 */
#ifndef SHUNT_SHADOW_XML_TREE_H
#define SHUNT_SHADOW_XML_TREE_H

#include "shadow/tree.h"

enum xml_fault {
    XML_FAULT_NONE,
    XML_FAULT_EMPTY,
    XML_FAULT_SYNTAX,
    XML_FAULT_TAGS, /* an end tag that is not of the open element */
    XML_FAULT_ENDS_EARLY,
    XML_FAULT_AFTER_END, /* something follows the root element */
    XML_FAULT_CHARACTER, /* a byte or a character that may not occur, or is not of the encoding */
    XML_FAULT_ATTRIBUTE, /* an attribute that occurs twice, or has no value */
    XML_FAULT_ENTITY,    /* an entity that was never declared */
    XML_FAULT_EXPANSION, /* an entity of the document's own is used: perhaps XML, but it is not expanded */
    XML_FAULT_ENCODING,  /* an encoding that is not read here: perhaps XML */
    XML_FAULT_DEPTH,     /* nested deeper than TREE_DEPTH - 1: perhaps XML, but not looked at */
    XML_FAULT_SIZE,      /* more items, attributes or namespaces than are looked at */
    XML_FAULT_MEMORY,
    XML_FAULT_LIBRARY, /* libxml2 cannot be loaded */
    XML_FAULTS,
};

const char *xml_fault_name(enum xml_fault fault);

enum {
    XML_ATTRIBUTES = 256, /* of one element */
    XML_NAMESPACES = 256, /* declared around one place */
};

struct xml_result {
    enum xml_fault fault;
    uint32_t line; /* where the fault is, from 1 */
};

/*
 * Reads `text` into `tree`, below a root without name. `whitespace`: blank texts and blanks around texts count; else
 * they are taken away. Comments and processing instructions do not count, CDATA is text, attributes that only a DTD
 * gives do not exist. Any thread; prints nothing.
 */
struct xml_result xml_tree_read(struct tree *tree, struct span text, bool whitespace);

#endif
