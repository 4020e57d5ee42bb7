/*
 * Compressed bodies. The input is a list of codings, a line feed, and the bytes.
 *
 * Beside memory errors it looks for broken bounds: nothing that comes out is larger than the limit, nor is the memory
 * taken for it, and a larger limit never changes what comes out.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "shadow/coding.h"

enum {
    LIMIT = 4096,
    LARGER = 64 * 1024
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct coding_output output = {0}, larger = {0};
    const char *names = (const char *)data, *end = size == 0 ? NULL : memchr(data, '\n', size);
    size_t names_len = end == NULL ? size : (size_t)(end - names);
    const char *body = end == NULL ? "" : end + 1;
    size_t len = end == NULL ? 0 : size - names_len - 1;

    if (size == 0)
        return 0;
    enum coding_result result = coding_decode(names, names_len, body, len, LIMIT, &output);
    enum coding_result other = coding_decode(names, names_len, body, len, LARGER, &larger);
    assert(output.room <= LIMIT + 1 && larger.room <= LARGER + 1);
    if (result == CODING_DONE) {
        assert(output.len <= LIMIT);
        assert(other == CODING_DONE && other == result && larger.len == output.len);
        assert(output.len == 0 || memcmp(output.at, larger.at, output.len) == 0);
    }
    if (coding_is_identity(names, names_len) && len <= LIMIT)
        assert(result == CODING_DONE && output.len == len);
    coding_output_done(&output);
    coding_output_done(&larger);
    return 0;
}
