/*
 * Lines of JSON: see ndjson_doc.h. Each line is parsed by itself, so that one that is broken says nothing about the
 * others. Runs on the compare thread.
 */
#include "shadow/ndjson_doc.h"

#include <string.h>

static bool is_blank(struct span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.at[i] == '\0' || strchr(" \t\r\n", line.at[i]) == NULL)
            return false;
    return true;
}

static void add_line(struct doc_builder *builder, struct json_doc *parsed, struct span line)
{
    if (json_doc_parse(parsed, line.at, line.len))
        doc_builder_document(builder, parsed);
    else if (!json_fault_is_ours(parsed->fault))
        doc_builder_broken(builder, NODE_NOT_JSON, line.at, line.len);
    else if (builder->fault == JSON_FAULT_NONE)
        builder->fault = parsed->fault;
}

enum json_fault ndjson_doc_make(struct doc_builder *builder, struct json_doc *parsed, struct span text, char separator)
{
    doc_builder_start(builder);
    doc_builder_open_array(builder);
    for (size_t i = 0; i < text.len && builder->fault == JSON_FAULT_NONE;) {
        const char *end = memchr(text.at + i, separator, text.len - i);
        struct span line = {text.at + i, end == NULL ? text.len - i : (size_t)(end - text.at) - i};
        if (!is_blank(line))
            add_line(builder, parsed, line);
        i += line.len + 1;
    }
    doc_builder_close(builder);
    return doc_builder_finish(builder);
}
