/*
 * libxml2, opened when two answers of XML differ for the first time; see config/library.h.
 */
#ifndef SHUNT_SHADOW_XML_LIBRARY_H
#define SHUNT_SHADOW_XML_LIBRARY_H

#include <libxml/parser.h>
#include <libxml/parserInternals.h>

#include "config/library.h"

#define XML_FUNCTIONS(X)                                                                                               \
    X(init_parser, xmlInitParser)                                                                                      \
    X(new_parser, xmlNewParserCtxt)                                                                                    \
    X(free_parser, xmlFreeParserCtxt)                                                                                  \
    X(stop_parser, xmlStopParser)                                                                                      \
    X(read_memory, xmlCtxtReadMemory)                                                                                  \
    X(free_document, xmlFreeDoc)                                                                                       \
    X(line_number, xmlSAX2GetLineNumber)

struct xml_library {
    XML_FUNCTIONS(LIBRARY_MEMBER)
};

/* Filled by xml_library_open(); then only read, by any thread. */
extern struct xml_library libxml;

/* As library_open(); libxml2 is ready for use then. */
bool xml_library_open(char why[LIBRARY_WHY_ROOM]);

#endif
