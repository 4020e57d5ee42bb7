/*
 * What the fuzzers of bodies that become documents have in common.
 */
#ifndef SHUNT_TESTS_FUZZ_BUILT_H
#define SHUNT_TESTS_FUZZ_BUILT_H

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/doc_builder.h"
#include "shadow/json_diff.h"
#include "shadow/rules.h"
#include "shadow/span.h"

/* The two texts of an input; byte 0xff separates them. */
static inline void built_split(const uint8_t *data, size_t size, struct span *first, struct span *second)
{
    const uint8_t *end = size == 0 ? NULL : memchr(data, 0xff, size);
    size_t len = end == NULL ? size : (size_t)(end - data);
    *first = (struct span){size == 0 ? "" : (const char *)data, len};
    *second = end == NULL ? (struct span){"", 0} : (struct span){(const char *)end + 1, size - len - 1};
}

/* Every node lies inside the text, and inside the node that contains it. */
static inline void built_check(const struct doc_builder *builder)
{
    const struct json_doc *doc = &builder->doc;
    assert(doc->count > 0 && doc->nodes[0].next == doc->count);
    for (uint32_t i = 0; i < doc->count; i++) {
        const struct json_node *node = &doc->nodes[i];
        assert(node->start < node->end && node->end <= doc->len);
        assert(node->next > i && node->next <= doc->count);
        assert(node->type != NODE_STRING || node->count == node->end - node->start - 2);
        for (uint32_t child = i + 1; child < node->next; child = doc->nodes[child].next)
            assert(doc->nodes[child].start > node->start && doc->nodes[child].end < node->end);
    }
}

/* A document does not differ from itself; whether two differ does not depend on which comes first. */
static inline bool built_diff(const struct doc_builder *a, const struct doc_builder *b)
{
    static struct json_diff *diff;
    static struct rules *rules;
    static struct difference_list there, back;
    static const struct veil veil = {.values = SAMPLES_REDACTED};
    if (diff == NULL) {
        struct config_route route = {.name = "fuzz"};
        diff = json_diff_new();
        rules = rules_new(&route);
    }
    assert(diff != NULL && rules != NULL);
    difference_list_reset(&there, &veil);
    assert(json_diff_run(diff, rules, &a->doc, &a->doc, &there) == JSON_DIFF_DONE && there.count == 0);
    enum json_diff_result result = json_diff_run(diff, rules, &a->doc, &b->doc, &there);
    difference_list_reset(&back, &veil);
    enum json_diff_result other = json_diff_run(diff, rules, &b->doc, &a->doc, &back);
    if (result == JSON_DIFF_DONE && other == JSON_DIFF_DONE)
        assert(difference_list_is_real(&there) == difference_list_is_real(&back));
    return difference_list_is_real(&there);
}

#endif
