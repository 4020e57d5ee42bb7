/*
 * Two XML documents, separated by byte 0xff: read, made documents, compared. The same text twice has no difference.
 */
#include "tests/fuzz/built.h"

#include "shadow/tree_doc.h"
#include "shadow/xml_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tree a, b;
    static struct doc_builder x, y;
    static struct tree_doc *maker;
    struct span first, second;

    if (maker == NULL)
        maker = tree_doc_new();
    assert(maker != NULL);
    built_split(data, size, &first, &second);
    for (int whitespace = 0; whitespace < 2; whitespace++) {
        struct xml_result result = xml_tree_read(&a, first, whitespace != 0);
        struct xml_result other = xml_tree_read(&b, second, whitespace != 0);
        assert(result.fault == XML_FAULT_NONE || result.line >= 1);
        if (result.fault != XML_FAULT_NONE || other.fault != XML_FAULT_NONE)
            continue;
        if (tree_doc_make(maker, &a, &b, true, &x, &y) == JSON_FAULT_NONE) {
            built_check(&x);
            built_check(&y);
            built_diff(&x, &y);
        }
        if (tree_doc_make(maker, &a, &a, true, &x, &y) == JSON_FAULT_NONE)
            assert(!built_diff(&x, &y));
    }
    tree_trim(&a);
    tree_trim(&b);
    doc_builder_trim(&x);
    doc_builder_trim(&y);
    return 0;
}
