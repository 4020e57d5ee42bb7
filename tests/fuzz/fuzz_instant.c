/*
 * A point in time, or two with a line feed between them: whatever it is, it is taken or refused; what is taken is no
 * distance from itself, and as far from the other as the other from it.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/instant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* From an exact copy, so that a byte read too far is seen. */
static bool take(struct instant *instant, const uint8_t *data, size_t size)
{
    char *copy = malloc(size == 0 ? 1 : size);
    assert(copy != NULL);
    memcpy(copy, data, size);
    bool taken = instant_read_text(instant, copy, size);
    free(copy);
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size == 0 ? NULL : memchr(data, '\n', size);
    size_t len = end == NULL ? size : (size_t)(end - data), rest = end == NULL ? size : size - len - 1;
    struct instant a, b;
    bool first = take(&a, data, len), second = take(&b, end == NULL ? data : end + 1, rest);
    if (first)
        assert(instant_within(&a, &a, 0));
    if (first && second)
        for (uint64_t bound = 1; bound != 0; bound <<= 7)
            assert(instant_within(&a, &b, bound) == instant_within(&b, &a, bound));
    return 0;
}
