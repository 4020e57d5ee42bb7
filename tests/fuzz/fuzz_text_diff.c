/*
 * Two texts, separated by byte 0xff, by lines. What is counted must fit to the number of lines of both; a text does not
 * differ from itself.
 */
#include "tests/fuzz/built.h"

#include "shadow/text_diff.h"

static uint32_t count_lines(struct span text)
{
    uint32_t count = text.len > 0 && text.at[text.len - 1] != '\n' ? 1 : 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.at[i] == '\n' ? 1 : 0;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct text_diff *diff;
    struct text_difference there, back;
    struct span a, b;

    if (diff == NULL)
        diff = text_diff_new();
    assert(diff != NULL);
    built_split(data, size, &a, &b);
    assert(text_diff_run(diff, a.at, a.len, a.at, a.len, &there) && there.line == 0);
    assert(text_diff_run(diff, a.at, a.len, b.at, b.len, &there));
    assert(text_diff_run(diff, b.at, b.len, a.at, a.len, &back));
    assert(there.line == back.line && there.removed == back.added && there.added == back.removed);
    uint32_t lines = count_lines(a), others = count_lines(b);
    assert(there.removed <= lines && there.added <= others);
    assert(lines - there.removed == others - there.added || !there.exact);
    return 0;
}
