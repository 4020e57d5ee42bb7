/*
 * Fuzzer of what a leader reads of the fleet's evidence. For any answer: it is refused, or what is taken of it is
 * possible.
 */
#include <assert.h>
#include <stdlib.h>

#include "router/pool_fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pool_sums sums;
    static struct pool_window window;
    json_t *answer = json_loadb((const char *)data, size, 0, NULL);
    if (pool_sums_read(json_object_get(answer, "counts"), json_object_get(answer, "bits"), &sums)) {
        assert(sums.evidence.pairs.mismatched <= sums.evidence.pairs.compared);
        for (int side = 0; side < SIDES; side++)
            assert(sums.evidence.side[side].errors <= sums.evidence.side[side].judged &&
                   sums.evidence.side[side].unanswered <= sums.evidence.side[side].judged);
    }
    (void)pool_window_read(json_object_get(answer, "window"), 1000, &window);
    json_decref(answer);
    return 0;
}
