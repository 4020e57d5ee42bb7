/*
 * Recorded requests: whatever the file is, what is read from it can be sent as the head of a request.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "tools/shuntctl/compare_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void tell(void *context, const char *sentence)
{
    assert(strncmp(sentence, "f:", 2) == 0 && strpbrk(sentence, "\r\n") == NULL);
    ++*(size_t *)context;
}

static void assert_plain(const char *text)
{
    for (; *text != '\0'; text++)
        assert((unsigned char)*text >= 0x20 || *text == '\t');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct recording recording = {.at = NULL};
    size_t told = 0;
    assert(recording_parse(&recording, "f", (const char *)data, size, tell, &told));
    assert(told == recording.bad);
    for (size_t i = 0; i < recording.count; i++) {
        const struct recorded *one = &recording.at[i];
        assert(one->target[0] == '/' && strpbrk(one->target, " #\r\n") == NULL && one->method[0] != '\0');
        for (size_t k = 0; k < one->header_count; k++)
            assert_plain(one->headers[k]);
        assert(one->body == NULL ? one->body_length == 0 : strlen(one->body) == one->body_length);
    }
    recording_free(&recording);
    return 0;
}
