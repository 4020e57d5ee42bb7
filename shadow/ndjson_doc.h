/*
 * JSON line by line (NDJSON, JSON Lines), and JSON text sequences (RFC 7464), as one array.
 */
#ifndef SHUNT_SHADOW_NDJSON_DOC_H
#define SHUNT_SHADOW_NDJSON_DOC_H

#include "shadow/doc_builder.h"
#include "shadow/span.h"

/*
 * Blank lines are no elements; a line that is not JSON is an element that is marked as broken. `separator` is '\n', or
 * '\x1e' of a sequence. `line` is a document to parse lines with. JSON_FAULT_NONE, or the bound that was reached.
 */
enum json_fault ndjson_doc_make(struct doc_builder *builder, struct json_doc *line, struct span text, char separator);

#endif
