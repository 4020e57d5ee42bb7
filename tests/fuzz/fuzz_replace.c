/*
 * A pattern, what replaces its matches, and a text, with line feeds between them: refused with a place, done, or given
 * up within the budget; what comes out is bounded, and the same each time.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/replace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next line as a text of its own; the caller frees it. */
static char *line(const uint8_t **data, size_t *size, size_t *len)
{
    const uint8_t *end = *size == 0 ? NULL : memchr(*data, '\n', *size);
    *len = end == NULL ? *size : (size_t)(end - *data);
    char *copy = malloc(*len + 1);
    assert(copy != NULL);
    memcpy(copy, *data, *len);
    copy[*len] = '\0';
    size_t taken = *len + (end == NULL ? 0 : 1);
    *data += taken;
    *size -= taken;
    return copy;
}

static void run(const struct replacement *replacement, struct span text)
{
    static struct replacer *replacer;
    struct span first = text, second = text;
    uint64_t sums[2] = {0, 0};
    if (replacer == NULL)
        replacer = replacer_new();
    assert(replacer != NULL);
    replacer_start(replacer);
    enum replace_result result = replacer_run(replacer, replacement, 0, &first, &sums[0]);
    assert(result == REPLACE_DONE || first.at == text.at);
    assert(first.len <= text.len * REPLACE_TIMES + REPLACE_MORE);
    replacer_start(replacer);
    assert(replacer_run(replacer, replacement, 1, &second, &sums[1]) == result);
    assert(span_equal(first, second) && sums[0] == sums[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct replace_fault fault;
    size_t pattern_len, with_len;
    char *pattern = line(&data, &size, &pattern_len), *with = line(&data, &size, &with_len);
    char *text = malloc(size == 0 ? 1 : size);
    assert(text != NULL);
    memcpy(text, data, size);
    struct replacement *replacement = replacement_new(pattern, with, &fault);
    if (replacement == NULL)
        assert(fault.at <= pattern_len && (fault.no_memory || fault.what[0] != '\0'));
    else
        run(replacement, (struct span){text, size});
    replacement_free(replacement);
    free(text);
    free(pattern);
    free(with);
    return 0;
}
