/*
 * A rule path: whatever it is, it is taken or refused with a place inside it; what is taken can be walked.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/json_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *context, uint32_t id)
{
    assert(id == 7);
    ++*(uint32_t *)context;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_path_fault fault = {.at = SIZE_MAX};
    struct json_path_set *set = json_path_set_new();
    char *text = malloc(size + 1);
    assert(set != NULL && text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';

    bool valid = json_path_is_valid(text, &fault);
    if (!valid)
        assert(fault.at <= strlen(text) && fault.what != NULL);
    assert(json_path_set_add(set, text, 7, &fault) == valid);
    uint32_t words = json_path_words(set), matches = 0;
    assert((words > 0) == valid);
    if (valid) {
        uint64_t positions[2][4];
        assert(words <= 4);
        json_path_root(set, positions[0]);
        json_path_matches(set, positions[0], count, &matches);
        for (size_t i = 0; i < size && i < 16; i++) {
            const uint64_t *from = positions[i % 2];
            uint64_t *to = positions[1 - i % 2];
            bool any = data[i] % 2 == 0 ? json_path_into_element(set, from, data[i] / 2, to)
                                        : json_path_into_member(set, from, text + i, 1, to);
            json_path_matches(set, to, count, &matches);
            if (!any)
                break;
        }
    }
    json_path_set_free(set);
    free(text);
    return 0;
}
