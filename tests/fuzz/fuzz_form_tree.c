/*
 * Two forms, separated by byte 0xff: read, made documents, compared. The same form twice has no difference.
 */
#include "tests/fuzz/built.h"

#include "shadow/form_tree.h"
#include "shadow/tree_doc.h"

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
    assert(form_tree_read(&a, first) == JSON_FAULT_NONE && form_tree_read(&b, second) == JSON_FAULT_NONE);
    assert(tree_doc_make(maker, &a, &b, false, &x, &y) == JSON_FAULT_NONE);
    built_check(&x);
    built_check(&y);
    built_diff(&x, &y);
    assert(tree_doc_make(maker, &a, &a, false, &x, &y) == JSON_FAULT_NONE);
    assert(!built_diff(&x, &y));
    return 0;
}
