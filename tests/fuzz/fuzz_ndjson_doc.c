/*
 * Two texts of JSON lines, separated by byte 0xff: made documents, compared; as lines and as a sequence.
 */
#include "tests/fuzz/built.h"

#include "shadow/ndjson_doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct doc_builder x, y;
    static struct json_doc line;
    struct span first, second;

    built_split(data, size, &first, &second);
    for (int sequence = 0; sequence < 2; sequence++) {
        char separator = sequence != 0 ? '\x1e' : '\n';
        if (ndjson_doc_make(&x, &line, first, separator) != JSON_FAULT_NONE ||
            ndjson_doc_make(&y, &line, second, separator) != JSON_FAULT_NONE)
            continue;
        built_check(&x);
        built_check(&y);
        built_diff(&x, &y);
        assert(ndjson_doc_make(&y, &line, first, separator) == JSON_FAULT_NONE);
        assert(!built_diff(&x, &y));
    }
    return 0;
}
