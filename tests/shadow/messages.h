/*
 * Protobuf messages for the tests of shadow/: in digits, as documents, as text.
 */
#ifndef SHUNT_TESTS_SHADOW_MESSAGES_H
#define SHUNT_TESTS_SHADOW_MESSAGES_H

#include "tests/shadow/pairs.h"

#include "shadow/protobuf_tree.h"

enum {
    MESSAGE_ROOM = 4096
};

/* "08 96 01", and texts between quotes: "12 03 'abc'". */
static inline struct span message_of(char to[MESSAGE_ROOM], const char *digits)
{
    size_t len = 0;
    while (*digits != '\0') {
        unsigned byte;
        int taken = 0;
        assert_true(len < MESSAGE_ROOM);
        if (*digits == ' ') {
            digits++;
        } else if (*digits == '\'') {
            for (digits++; *digits != '\''; digits++)
                to[len++] = *digits;
            digits++;
        } else {
            assert_int_equal(sscanf(digits, "%2x%n", &byte, &taken), 1);
            to[len++] = (char)byte;
            digits += taken;
        }
    }
    return (struct span){to, len};
}

/* A document as JSON would write it, broken things between < and >. */
static inline uint32_t message_write(FILE *to, const struct json_doc *doc, uint32_t at)
{
    const struct json_node *node = &doc->nodes[at];
    uint32_t child = at + 1;
    if (node->type != NODE_ARRAY && node->type != NODE_OBJECT) {
        if (node->broken)
            fprintf(to, "<%s>", node_fault_name((enum node_fault)node->broken));
        else
            fwrite(json_node_text(doc, at), 1, json_node_length(doc, at), to);
        return at + 1;
    }
    fputc(node->type == NODE_ARRAY ? '[' : '{', to);
    for (uint32_t i = 0; i < node->count; i++) {
        if (i > 0)
            fputc(',', to);
        if (node->type == NODE_OBJECT) {
            child = message_write(to, doc, child);
            fputc(':', to);
        }
        child = message_write(to, doc, child);
    }
    assert_int_equal(child, node->next);
    fputc(node->type == NODE_ARRAY ? ']' : '}', to);
    return child;
}

static inline void message_text(char to[MESSAGE_ROOM], const struct doc_builder *built)
{
    FILE *file = fmemopen(to, MESSAGE_ROOM, "w");
    assert_non_null(file);
    message_write(file, &built->doc, 0);
    assert_int_equal(fclose(file), 0);
}

#endif
